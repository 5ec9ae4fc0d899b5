"""Which files count, that everything handed in has a row, and what a submission brings along."""

from __future__ import annotations

import gzip
import io
import os
import random
import stat
import struct
import tarfile
import time
import zipfile
from functools import partial
from pathlib import Path
from typing import Any

import py7zr
import pytest

from graders import ROOT
from graders.cohort import choosing, submissions
from graders.cohort.submissions import Submission, read
from graders.cohort.unpacking import archives, entries
from graders.cohort.unpacking.archives import listing
from graders.cohort.unpacking.entries import MAX_BYTES, Entry
from graders.cohort.unpacking.sevenzip import as_tar
from tests.cohort.handed_in import L2, L3, L4, STUB, Content, chosen, notebook, packed, rows, solved, write


def one(folder: Path, files: dict[str, Any], **options: Any) -> Submission:
    (found,) = chosen(write(folder, files), **options)
    return found


def counted(found: Submission) -> list[str]:
    return [file.path for file in found.files]


def test_a_file_without_answers_never_beats_one_with_answers(tmp_path: Path) -> None:
    """A solved notebook beside the `.py` as it was given out, and Colab's copy beside the template."""
    found = one(
        tmp_path / "a", {f"hw-ann/exercises/{L2}.ipynb": notebook(solved("a")), f"hw-ann/exercises/{L2}.py": STUB}
    )
    assert (counted(found), found.older) == ([f"exercises/{L2}.ipynb"], [f"exercises/{L2}.py"])
    found = one(tmp_path / "b", {f"ann/{L2}.ipynb": notebook(STUB), f"ann/Copy of {L2}.ipynb": notebook(solved("a"))})
    assert counted(found) == [f"Copy of {L2}.ipynb"]


def test_two_files_of_one_attempt_with_answers_both_count(tmp_path: Path) -> None:
    files = {f"ann/{L2}.py": solved("p"), f"ann/{L2}.ipynb": notebook(solved("n"))}
    found = one(tmp_path, files)
    assert (counted(found), found.older) == ([f"{L2}.ipynb", f"{L2}.py"], [])
    joined = Submission("ann", L2, "both", (files[f"ann/{L2}.ipynb"] + files[f"ann/{L2}.py"]).encode())
    assert found.sha256 == joined.sha256


def test_files_named_after_one_student_are_one_attempt(tmp_path: Path) -> None:
    assert counted(one(tmp_path, {"ann.py": solved("p"), "ann.ipynb": notebook(solved("n"))})) == [
        "ann.ipynb",
        "ann.py",
    ]


ATTEMPTS = {
    "canvas": ("doejane_102_{upload}_" + L2 + "{again}.py", {"upload": ("9000", "9100"), "again": ("", "-1")}),
    "canvas, the same name": ("doejane_102_{upload}_" + L2 + ".py", {"upload": ("9000", "9100")}),
    "blackboard": ("HW_jdoe_attempt_2026-0{day}-30-15-00-00_hw.py", {"day": ("1", "2")}),
    "brightspace": ("1-2 - Jane - {day} 2026 926 PM/hw.py", {"day": ("Sep 24,", "Oct 3,")}),
}


@pytest.mark.parametrize("name", ATTEMPTS)
@pytest.mark.parametrize("newer", [solved("newer"), STUB], ids=["with answers", "without answers"])
def test_of_attempts_the_newest_with_answers_counts(name: str, newer: str, tmp_path: Path) -> None:
    form, parts = ATTEMPTS[name]
    paths = [form.format(**{key: values[at] for key, values in parts.items()}) for at in (0, 1)]
    found = one(tmp_path / "in", dict(zip(paths, (solved("older"), newer), strict=True)))
    assert found.files[0].data.decode() == (newer if newer != STUB else solved("older"))
    assert len(found.older) == 1


def test_the_only_one_in_a_blackboard_download_is_called_after_what_stands_last(tmp_path: Path) -> None:
    """Several names tell by what they have in common where the assignment's ends; one alone does not."""
    assert rows(write(tmp_path, {"HW_1_jdoe_attempt_2026-01-30-15-00-00_hw.py": solved()})) == [("jdoe", "l2")]


def test_files_of_one_canvas_attempt_are_all_its(tmp_path: Path) -> None:
    files = {f"doejane_102_9000_{L2}.ipynb": notebook(solved("n")), f"doejane_102_9001_{L2}.py": solved("p")}
    assert counted(one(tmp_path, files)) == [f"{L2}.ipynb", f"{L2}.py"]


def test_a_canvas_resubmission_in_a_second_archive_is_newer(tmp_path: Path) -> None:
    first = {f"brownbob_102_9000_{L2}.ipynb": notebook(solved("first"))}
    again = {f"brownbob_102_9100_{L2}-2.ipynb": notebook(solved("again"))}
    folder = write(tmp_path, {"first.zip": first, "again.zip": again})
    for order in (("first", "again"), ("again", "first")):
        (found,) = chosen(*(folder / f"{name}.zip" for name in order))
        assert (found.student, counted(found)) == ("brownbob_102", [f"{L2}-2.ipynb"])


def test_times_of_files_say_nothing_where_the_layout_does_not_keep_them(tmp_path: Path) -> None:
    """A file dated 2107 in what a student packed is not newer than any other."""
    folder = write(tmp_path / "in", {f"ann/{L2}.py": solved("a"), f"bob/{L2}.py": solved("b")})
    with zipfile.ZipFile(folder / "ann.zip", "w") as archive:
        archive.writestr(zipfile.ZipInfo(f"{L2}.py", (2107, 12, 31, 0, 0, 0)), solved("future"))
    assert rows(folder) == [("ann (ann)", "l2"), ("ann (ann.zip)", "l2"), ("bob", "l2")]


@pytest.mark.parametrize(
    ("place", "counts"), [("Ann A_7_assignsubmission_file_", "a.ipynb"), (f"submitted/ann/{L2}", f"{L2}/b.ipynb")]
)
def test_of_files_without_answers_the_newer_counts_where_the_layout_keeps_times(
    place: str, counts: str, tmp_path: Path
) -> None:
    folder = write(tmp_path, {f"{place}/a.ipynb": notebook(STUB), f"{place}/b.ipynb": notebook(STUB, "")})
    os.utime(folder / place / "b.ipynb", (1e9, 1e9))
    assert counted(one(folder, {})) == [counts]


@pytest.mark.parametrize("name", [L2, "hw"])
def test_in_nbgraders_layout_copies_in_folders_below_do_not_count(name: str, tmp_path: Path) -> None:
    place = f"submitted/ann/{L2}"
    files = {f"{place}/{name}.ipynb": notebook(solved("a")), f"{place}/old/{name}.ipynb": notebook(solved("old"))}
    found = one(tmp_path, files)
    assert (counted(found), found.older) == ([f"{L2}/{name}.ipynb"], [f"{L2}/old/{name}.ipynb"])


def test_files_whose_content_tells_the_lesson(tmp_path: Path) -> None:
    files = {"ann/first (1).py": solved("a"), "ann/second.ipynb": notebook(solved("b", L4)), "ann/notes.py": "x = 1"}
    found = [one for one in chosen(write(tmp_path, files | {"bob.py": solved("b")})) if one.student == "ann"]
    assert [(one.lesson, counted(one)) for one in found] == [(L2, ["first (1).py"]), (L4, ["second.ipynb"])]


@pytest.mark.parametrize(
    ("files", "lesson", "reason"),
    [
        ({f"bob/{L2}.pdf": "%PDF"}, L2, f"handed in {L2}.pdf; a notebook (.ipynb) or a .py file is needed"),
        ({"bob/essay.pdf": "%PDF"}, None, "handed in essay.pdf"),
        ({"bob/notes/README.md": "x"}, None, "handed in README.md"),
        ({f"bob/{L2}.ipynb.txt": "{}"}, L2, f"handed in {L2}.ipynb.txt; a notebook (.ipynb) or a .py file is needed"),
        ({"bob/l2.rar": "Rar!"}, None, "handed in l2.rar (it is an archive that is not opened here; hand in a .zip)"),
        ({"bob/l2.7z": "7z"}, None, "handed in l2.7z (the archive cannot be read (not a 7z file))"),
        ({"bob/": ""}, None, "handed in nothing"),
        ({"bob/broken.zip": "PK"}, None, "handed in broken.zip (the archive cannot be read (File is not a zip file))"),
        ({"bob/empty.zip": {}}, None, "handed in empty.zip (nothing is in it)"),
        ({"bob/a.py": "", "bob/b.html": ""}, None, "it defines no exercise of any lesson"),
        ({"bob/hw.ipynb": "{"}, None, "the notebook is not valid JSON (was it saved completely?)"),
        ({"bob/hw.py": solved().encode("utf-16")}, None, "the file is not text (it contains null bytes)"),
        ({"bob.pdf": "%PDF"}, None, "handed in bob.pdf"),
        ({"bob.ipynb.txt": "{}"}, None, "handed in bob.ipynb.txt"),
        ({"bob/a.py": "", "bob/b.py": ""}, None, "handed in a.py, b.py: no exercise of any lesson in it"),
    ],
    ids=str,
)
def test_everything_handed_in_has_a_row(
    files: dict[str, Content], lesson: str | None, reason: str, tmp_path: Path
) -> None:
    folder = write(tmp_path / "in", files | {f"ann/{L2}.py": solved("a")})
    ann, bob = sorted(chosen(folder), key=lambda one: one.student)
    assert (ann.student, ann.problem) == ("ann", None)
    assert (bob.student, bob.lesson, bob.problem) == ("bob", lesson, reason)


def test_an_upper_case_ending_is_a_notebook(tmp_path: Path) -> None:
    found = one(tmp_path, {f"jim/{L2}.IPYNB": notebook(solved("j"))})
    assert (found.lesson, found.files[0].notebook, found.problem) == (L2, True, None)


@pytest.mark.parametrize("name", ["hw.tar.gz", "hw.tgz", "hw.tar.bz2", "hw.tar.xz", "hw.tar", "hw.7z"])
def test_tar_and_7z_archives_are_opened(name: str, tmp_path: Path) -> None:
    kind = {"tgz": "gz", "tar": ""}.get(name.rpartition(".")[2], name.rpartition(".")[2])
    data = packed({f"deep/{L2}.py": solved("a")}, kind)
    assert counted(one(tmp_path, {f"ann/{name}": data, "ann/readme.txt": ""})) == [f"{name}/deep/{L2}.py"]


def test_a_7z_archive_keeps_times_and_leads_nowhere(tmp_path: Path) -> None:
    """What it holds is listed with its times, links are named, and a bomb, a password or a broken one cost a sentence."""
    work = tmp_path / "work"
    write(work, {f"{L2}.py": solved("a"), "empty/": ""})
    os.utime(work / f"{L2}.py", (1e9, 1e9))
    (work / "link.py").symlink_to("/etc/passwd")
    with py7zr.SevenZipFile(tmp_path / "hw.7z", "w") as archive:
        archive.writeall(work, "")
    found = {entry.path: entry for entry in listing(tmp_path / "hw.7z")}
    assert found[f"{L2}.py"].modified == 1e9
    assert found[f"{L2}.py"].read() == solved("a").encode()
    assert found["empty"].folder
    with pytest.raises(ValueError, match="no regular file"):
        found["link.py"].read()
    with py7zr.SevenZipFile(tmp_path / "locked.7z", "w", password="x") as archive:
        archive.writestr(b"1", "a.py")
    with pytest.raises(ValueError, match="it is encrypted; hand it in without a password"):
        list(listing(tmp_path / "locked.7z"))
    with pytest.raises(ValueError, match="larger than 1 MiB unpacked"):
        as_tar(io.BytesIO(packed({"a": b"0" * (3 << 20)}, "7z")), 1 << 20, 1 << 20, 60)
    assert {path.name for path in tmp_path.iterdir()} == {"work", "hw.7z", "locked.7z"}


def test_archives_in_archives_are_the_students(tmp_path: Path) -> None:
    inner = {"homework/two.zip": {f"{L2}.py": solved("a"), f"__MACOSX/._{L2}.py": "\0", "three.zip": {"x.py": ""}}}
    found = one(tmp_path, {"Ann_1_assignsubmission_file_/homework.zip": inner})
    assert (found.student, found.lesson) == ("Ann_1", L2)
    deep: dict[str, Any] = {f"{L2}.py": solved("a")}
    for _ in range(6):
        deep = {"more.zip": deep}
    (found,) = chosen(write(tmp_path / "deep", {"ann.zip": deep, "x.txt": ""}))
    assert "packed more than five times over; unpack it" in str(found.problem)


def test_what_could_not_be_opened_beside_a_lesson_is_told(tmp_path: Path) -> None:
    found = one(tmp_path, {f"ann/{L2}.py": solved("a"), "ann/l3.rar": "Rar!", "ann/l4.ipynb": "{"})
    assert (found.lesson, found.problem) == (L2, None)
    assert [told.split()[0] for told in found.about["unread"]] == ["l3.rar", "l4.ipynb"]


def test_one_broken_member_costs_that_one(tmp_path: Path) -> None:
    data = bytearray(packed({f"Ann_1/{L2}.py": STUB, f"Bob_2/{L2}.py": STUB}))
    start = data.index(f"{L2}.py".encode()) + len(f"{L2}.py")
    data[start : start + 400] = b"\xff" * 400
    ann, bob = chosen(write(tmp_path, {"class.zip": bytes(data)}) / "class.zip")
    assert ("cannot be read" in str(ann.problem), bob.problem) == (True, None)


def test_links_and_large_files_are_refused(tmp_path: Path) -> None:
    folder = write(tmp_path / "in", {"ann/work.zip": {f"{L2}.py": STUB}, f"cy/{L2}.py": " " * (MAX_BYTES + 1)})
    (folder / "bob").mkdir()
    (folder / "bob" / f"{L2}.py").symlink_to(folder / "ann" / "work.zip")
    os.mkfifo(folder / "dan.py")
    with zipfile.ZipFile(folder / "eve.zip", "w") as archive:
        link = zipfile.ZipInfo(f"{L2}.py")
        link.external_attr = (stat.S_IFLNK | 0o777) << 16
        archive.writestr(link, "/etc/passwd")
    told = {one.student: str(one.problem) for one in chosen(folder)}
    assert told["ann"] == "None"
    assert "symbolic link" in told["bob"]
    assert "symbolic link" in told["eve"]
    assert "larger than 20 MiB" in told["cy"]
    assert told["dan"] == "it is no regular file"


def test_the_manual_names_the_budgets() -> None:
    manual = " ".join((ROOT / "graders/README.md").read_text().split())
    assert (
        f"{entries.MAX_BYTES >> 20} MiB for a file, {entries.MAX_PACKED >> 20} MiB for an archive in an archive, "
        f"{entries.MAX_STUDENT >> 20} MiB and {entries.MAX_MEMBERS:,} files for a student, five archives in one another; "
        f"{entries.MAX_CLASS:,} files in what you name, and {archives.MAX_UNPACKED >> 30} GiB for a tar or 7z archive unpacked"
    ) in manual
    assert entries.DEPTH == 5


def test_a_bomb_is_not_unpacked(tmp_path: Path) -> None:
    zeros = b"\0" * (MAX_BYTES + 1)
    found = {
        one.student: one
        for one in chosen(write(tmp_path, {f"{name}": {f"{L2}.py": zeros} for name in ("a.zip", "b.tgz", "c.7z")}))
    }
    assert ["larger than" in str(found[student].problem) for student in "abc"] == [True] * 3


def test_a_file_of_two_mebibytes_in_an_archive_counts(tmp_path: Path) -> None:
    """Only what is packed a thousand times over is no file."""
    text = solved("a") + "# " + random.Random(0).randbytes(1 << 20).hex()
    assert one(tmp_path, {"ann.zip": {f"{L2}.py": text}}).problem is None


def test_a_student_who_hands_in_more_than_the_budget_is_told_the_budget(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(submissions, "MAX_STUDENT", 1 << 20)
    monkeypatch.setattr(submissions, "MAX_BYTES", 1 << 20)
    first = "x = 1".ljust(1 << 20)
    found = one(tmp_path, {f"submitted/ann/{L2}/a.py": first, f"submitted/ann/{L2}/b.py": solved("b")})
    assert ": more than 1 MiB were handed in by this student;" in str(found.problem)


@pytest.mark.parametrize(("small", "large"), [("MAX_STUDENT", "MAX_UNPACKED"), ("MAX_UNPACKED", "MAX_STUDENT")])
def test_a_tar_archive_has_the_budget_of_who_made_it(
    small: str, large: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What an instructor names may unpack to more than what a student handed in."""
    monkeypatch.setattr(archives, small, 1 << 20)
    monkeypatch.setattr(archives, large, 4 << 20)
    data = packed({"a.py": b"0" * (2 << 20)}, "gz")
    of_a_student = partial(archives.opened, Entry(("a.tar.gz",), read_all=lambda limit: data), len(data))
    of_a_class = partial(listing, write(tmp_path, {"class.tar.gz": data}) / "class.tar.gz")
    refused, read = (of_a_student, of_a_class) if small == "MAX_STUDENT" else (of_a_class, of_a_student)
    with pytest.raises(archives.TooMuch, match="larger than 1 MiB unpacked"):
        list(refused())
    assert [entry.name for entry in read()] == ["a.py"]


def test_the_list_of_a_zip_archive_has_a_limit(tmp_path: Path) -> None:
    """Each of its lines, of 46 bytes, takes memory and time many times as much before they can be counted."""
    line = b"PK\1\2" + bytes(42)
    end = struct.pack("<4s4xHHIIH", b"PK\5\6", 9, 9, len(line) * 600_000, 0, 0)
    data = line * 600_000 + end
    assert (
        len(zipfile.ZipFile(io.BytesIO(line * 9 + struct.pack("<4s4xHHIIH", b"PK\5\6", 9, 9, 9 * 46, 0, 0))).infolist())
        == 9
    )
    begun = time.process_time()
    found = one(tmp_path, {"ann/work.zip": data, f"ann/{L2}.py": solved("a")})
    assert (found.lesson, found.about["unread"]) == (L2, ["work.zip (it holds more than 20000 files)"])
    broken = one(tmp_path / "broken", {"ann/work.zip": b"\xff" * 100_000, f"ann/{L2}.py": solved("a")})
    assert "cannot be read" in broken.about["unread"][0]
    assert time.process_time() - begun < 2


def slow_tar(size: int = archives.MAX_HEADER) -> bytes:
    """A small archive whose header the standard library looks through once for each of its digits."""
    member = tarfile.TarInfo("x")
    member.type, member.size = tarfile.XHDTYPE, size
    return member.tobuf(tarfile.USTAR_FORMAT) + b"1" * size + bytes(1024)


def test_what_takes_too_long_to_read_costs_its_own_student(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(choosing, "SECONDS", 0.5)
    folder = write(
        tmp_path / "in", {"ann.zip": {"more.tar": slow_tar(), f"{L2}.py": solved("a")}, f"bob/{L2}.py": STUB}
    )
    begun = time.process_time()
    ann, bob = chosen(folder)
    assert time.process_time() - begun < 5
    assert (ann.student, ann.lesson, bob.problem) == ("ann", None, None)
    assert "more than 0.5 seconds to read what was handed in; hand in the notebook" in str(ann.problem)


def test_a_header_of_a_tar_archive_has_a_limit(tmp_path: Path) -> None:
    """Else it takes the square of its length, in one call that no signal interrupts."""
    path = write(tmp_path, {"ann.tar": slow_tar(20 << 20)}) / "ann.tar"
    (found,) = chosen(path)
    assert str(found.problem) == "handed in ann.tar (the archive cannot be read (a header of 20971520 bytes))"
    long = tarfile.TarInfo("x" * 5000 + ".py")
    path.write_bytes(long.tobuf(tarfile.PAX_FORMAT) + bytes(1024))
    assert [entry.name for entry in listing(path)] == [long.name]


def test_an_archive_that_takes_too_long_to_list_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(entries, "SECONDS", 0.1)
    path = write(tmp_path, {"ann.tar": slow_tar()}) / "ann.tar"
    (found,) = chosen(path)
    assert (found.student, found.problem is None) == ("ann", False)
    assert "seconds to list what it holds" in str(found.problem)


def test_what_a_file_imports_is_found_in_short_time(tmp_path: Path) -> None:
    text = f"import one, two\nx = '''{' import' * 100_000}'''\n{solved('a')}"
    begun = time.process_time()
    found = one(tmp_path, {**{f"ann/{name}.py": "" for name in ("two", "three", "four")}, f"ann/{L2}.py": text})
    assert list(found.helpers) == ["two.py"]
    assert time.process_time() - begun < 5


def test_a_packed_tar_archive_is_unpacked_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """However its members are read: backwards, gzip would begin anew for each."""
    unpacked = 0

    class Counted(gzip.GzipFile):
        def read(self, size: int | None = -1) -> bytes:
            nonlocal unpacked
            data = super().read(size)
            unpacked += len(data)
            return data

    monkeypatch.setitem(archives._UNPACK, ".gz", Counted)
    files = {f"{name}.py": solved(name) for name in "abcdefgh"}
    path = write(tmp_path, {"class.tar.gz": packed(files, "gz")}) / "class.tar.gz"
    found = list(listing(path))
    assert [entry.read().decode() for entry in reversed(found)] == list(reversed(files.values()))
    assert unpacked < 2 * sum(entry.size + 1024 for entry in found) + 20_000


def test_one_file_on_the_disk_is_read_if_it_may_be_graded(tmp_path: Path) -> None:
    write(tmp_path, {"a.py": solved("a"), "a.pdf": "%PDF"})
    (tmp_path / "link.py").symlink_to(tmp_path / "a.py")
    right, other, link, gone = (read(tmp_path / name, "ann", L2) for name in ("a.py", "a.pdf", "link.py", "b.py"))
    assert (right.files[0].data, right.problem) == (solved("a").encode(), None)
    assert other.problem == "it is neither a .py file nor a notebook (.ipynb)"
    assert link.problem == "it is a symbolic link; hand in the file itself"
    assert gone.problem == "it cannot be read (No such file or directory)"


@pytest.mark.parametrize("files", [{}, {"__MACOSX/._x.py": "x"}, {".DS_Store": "x"}], ids=str)
def test_an_empty_archive_that_is_named_has_a_row(files: dict[str, str], tmp_path: Path) -> None:
    folder = write(tmp_path, {"bob.zip": files})
    for named in (folder / "bob.zip", folder):
        (bob,) = chosen(named)
        assert (bob.student, bob.problem) == ("bob", "handed in bob.zip (nothing is in it)")


def test_of_a_copy_of_the_repository_the_exercises_count_alone(tmp_path: Path) -> None:
    theirs = {f"repo/exercises/{L2}.py": solved("theirs"), "repo/exercises/own.py": "", f"repo/solutions/{L2}.py": STUB}
    theirs |= {f"repo/graders/lessons/{L2}/hidden.py": solved("h"), f"repo/tests/{L2}.py": solved("t")}
    own = {f"exercises/{L2}.py": STUB, f"solutions/{L2}.py": solved("a folder of her own")}
    folder = write(tmp_path, {**{f"ann/{name}": text for name, text in own.items()}, "bob.zip": theirs})
    ann, bob = sorted(chosen(folder), key=lambda found: found.student)
    assert counted(ann) == [f"solutions/{L2}.py"]
    assert (counted(bob), bob.older) == ([f"bob.zip/repo/exercises/{L2}.py"], [])


def test_an_archive_writes_nothing(tmp_path: Path) -> None:
    folder = write(
        tmp_path / "in", {"class.zip": {"../../evil.py": solved("e"), "/abs.py": solved("a"), "C:\\c.py": solved("c")}}
    )
    assert rows(folder / "class.zip") == [("abs", "l2"), ("c", "l2"), ("evil", "l2")]
    assert [path.name for path in tmp_path.rglob("*")] == ["in", "class.zip"]


def test_the_kits_own_files_are_no_work(tmp_path: Path) -> None:
    kit = {f"ann/quantization-kit/exercises/{name}": "" for name in ("kit/models.py", "kit/__init__.py", "conftest.py")}
    assert rows(write(tmp_path, kit | {f"ann/quantization-kit/exercises/{L2}.py": solved("a")})) == [("ann", "l2")]


@pytest.mark.parametrize("form", ["folder", "archive"])
def test_what_editors_and_systems_leave_in_folders_is_no_work(form: str, tmp_path: Path) -> None:
    theirs = {
        f"{place}/{L2}.ipynb": notebook(solved(place)) for place in (".ipynb_checkpoints", "__MACOSX", "deep/.git")
    }
    files = {f"{L2}.ipynb": notebook(solved("a"))} | theirs
    found = one(
        tmp_path, {"ann.zip": files} if form == "archive" else {f"ann/{name}": it for name, it in files.items()}
    )
    assert (len(found.counted), found.older) == (1, [])


@pytest.mark.parametrize("form", ["folder", "archive"])
def test_what_editors_and_systems_leave_beside_folders_of_students_is_nobodys(form: str, tmp_path: Path) -> None:
    places = ("ann", "bob", ".ipynb_checkpoints", "__MACOSX")
    files: dict[str, Any] = {f"{place}/{L2}.py": solved(place) for place in places}
    folder = write(tmp_path / "in", {"class.zip": files} if form == "archive" else files)
    assert rows(folder / "class.zip" if form == "archive" else folder) == [("ann", "l2"), ("bob", "l2")]


def test_helper_files_that_are_imported_belong_to_the_submission(tmp_path: Path) -> None:
    source = "import numpy\nfrom helpers import scale\nimport tools.rounding as rounding\n" + solved("a")
    files = {
        f"ann/{L2}.ipynb": notebook(source),
        "ann/helpers.py": "import deeper",
        "ann/deeper.py": "",
        "ann/unused.py": "",
    }
    found = one(tmp_path, files | {"ann/tools/rounding.py": "", "ann/tools/__init__.py": ""})
    assert set(found.helpers) == {"helpers.py", "deeper.py", "tools/rounding.py", "tools/__init__.py"}
    assert [file.path for file in found.counted] == sorted([f"{L2}.ipynb", *found.helpers])
    assert rows(tmp_path) == [("ann", "l2")]


def test_both_lessons_of_a_student_have_a_row_each(tmp_path: Path) -> None:
    files = {f"ann/{L2}.py": solved("a"), f"ann/{L3}.pdf": "%PDF", f"ann/{L4}.ipynb": notebook(solved("c", L4))}
    assert rows(write(tmp_path, files)) == [("ann", "l2"), ("ann", "l3"), ("ann", "l4")]
