"""Whose is it? Every layout in which work arrives, and that nothing which a student packs names another student."""

from __future__ import annotations

import os
import unicodedata
from pathlib import Path
from typing import Any

import pytest

from graders.cohort.roster import Roster
from graders.errors import Problem
from tests.cohort.handed_in import L2, L3, STUB, chosen, gathered, notebook, packed, rows, solved, write

SAKAI = {
    f"Assignment 1/{person}/Submission attachment(s)/{L2}.ipynb": notebook(solved(person))
    for person in ("Doe, Jane(jdoe)", "Roe, Rick(rroe)", "Poe, Pam(ppoe)")
} | {"Assignment 1/grades.csv": "x", "Assignment 1/Doe, Jane(jdoe)/timestamp.txt": "20261120100000000"}
GRADESCOPE = """---
submission_11:
  :submitters:
  - :name: Ann Lee
    :sid: '0042'
    :email: ann@example.org
  :created_at: 2026-01-01 10:00:00
submission_12:
  :submitters:
  - :name: Bob Ray
    :sid: '43'
  - :name: Cy Poe
    :sid: '44'
"""
BRIGHT = "Sep 24, 2026 926 PM"
LAYOUTS: dict[str, tuple[dict[str, Any], str, set[str]]] = {
    "files": (
        {"ann.py": solved("a"), "bob.ipynb": notebook(solved("b")), "notes.txt": "", "list.csv": ""},
        "files",
        {"ann", "bob"},
    ),
    "folders": (
        {f"ann/{L2}.py": solved("a"), "bob/hw.ipynb": notebook(solved("b")), f"cy/deep/er/{L2}.py": solved("c")},
        "folders",
        {"ann", "bob", "cy"},
    ),
    "archives": (
        {"ann.zip": {f"{L2}.py": solved("a")}, "bob.tar.gz": {f"x/{L2}.py": solved("b")}},
        "folders",
        {"ann", "bob"},
    ),
    "zipped kits": (
        {
            f"{who}.zip": {f"quantization-kit/exercises/{L2}.py": solved(who), "quantization-kit/README.md": "."}
            for who in "abc"
        },
        "folders",
        {"a", "b", "c"},
    ),
    "one student in a folder": ({f"ann/{L2}.py": solved("a")}, "folders", {"ann"}),
    "folders in a folder": ({f"all/{who}/{L2}.py": solved(who) for who in ("ann", "bob")}, "folders", {"ann", "bob"}),
    "nbgrader": (
        {
            f"submitted/ann/{L2}/{L2}.ipynb": notebook(solved("a")),
            f"source/{L2}/{L2}.ipynb": notebook(solved()),
            "gradebook.db": "",
        },
        "nbgrader",
        {"ann"},
    ),
    "lessons": (
        {f"{L2}/ann.py": solved("a"), f"{L2}/bob/hw.py": solved("b"), f"{L3}/ann.py": solved("c", L3)},
        "lessons",
        {"ann", "bob"},
    ),
    "canvas": (
        {
            f"doejane_102_9100_{L2}.ipynb": notebook(solved("d")),
            f"roerick_LATE_103_9101_{L2}-2.py": solved("r"),
            "poepam_104_text.html": "",
        },
        "canvas",
        {"doejane_102", "roerick_103", "poepam_104"},
    ),
    "canvas, anonymous": (
        {f"anon_aB3xY_9100_{L2}.py": solved("x"), f"anon_LATE_Zz9aa_9101_{L2}.py": solved("y")},
        "canvas",
        {"anon_aB3xY", "anon_Zz9aa"},
    ),
    "moodle with folders": (
        {
            f"Jané O'Doe-Li_48005_assignsubmission_file_/{L2}.ipynb": notebook(solved("d")),
            "Roe_1_assignsubmission_onlinetext_/onlinetext.html": "",
        },
        "moodle",
        {"Jané O'Doe-Li_48005", "Roe_1"},
    ),
    "moodle without folders": (
        {f"Jane Doe_48005_assignsubmission_file_{L2}.ipynb": notebook(solved("d"))},
        "moodle",
        {"Jane Doe_48005"},
    ),
    "moodle, namesakes": (
        {f"Anna Schmidt_{number}_assignsubmission_file_/{L2}.py": solved(number) for number in ("48005", "48006")},
        "moodle",
        {"Anna Schmidt_48005", "Anna Schmidt_48006"},
    ),
    "blackboard": (
        {
            f"Assignment 1_jdoe_attempt_2026-01-30-15-00-00_{L2}.ipynb": notebook(solved("d")),
            "Assignment 1_jdoe_attempt_2026-01-30-15-00-00.txt": "Name: Jane Doe (jdoe)",
            f"Assignment 1_r_roe_attempt_2026-01-30-16-00-00_my_attempt_2027-01-01-00-00-00_{L2}.py": solved("r"),
        },
        "blackboard",
        {"jdoe", "r_roe"},
    ),
    "brightspace": (
        {
            f"101-7 - Jane Doe - {BRIGHT}/{L2}.py": solved("d"),
            f"102-7 - Rick Roe-Li - {BRIGHT}/hw.py": solved("r"),
            "index.html": "",
        },
        "brightspace",
        {"Jane Doe_101", "Rick Roe-Li_102"},
    ),
    "sakai": (SAKAI, "sakai", {"jdoe", "rroe", "ppoe"}),
    "gradescope": (
        {
            "export/submission_metadata.yml": GRADESCOPE,
            f"export/submission_11/{L2}.py": solved("a"),
            f"export/submission_12/{L2}.py": solved("b"),
        },
        "gradescope",
        {"0042", "43", "44"},
    ),
    "git": (
        {
            f"hw2-{who}/{name}": solved(who)
            for who in ("ann-lee", "bob")
            for name in (f"exercises/{L2}.py", ".git/config")
        },
        "git",
        {"ann-lee", "bob"},
    ),
    "git, one of them without its history": (
        {"hw-ann/.git/config": "", f"hw-ann/{L2}.py": solved("ann"), f"hw-bob/{L2}.py": solved("bob")},
        "git",
        {"ann", "bob"},
    ),
    "git, names that begin alike": (
        {f"hw2-{who}/{name}": solved(who) for who in ("bea", "bob") for name in (f"{L2}.py", ".git/config")},
        "git",
        {"bea", "bob"},
    ),
    "git, in the folder of the clones": (
        {f"hw-submissions/hw-{who}/{L2}.py": solved(who) for who in ("ann-lee", "ann-kim")},
        "git",
        {"ann-lee", "ann-kim"},
    ),
}


# The folder whose name the layout needs is not known inside an archive.
IN_A_FOLDER_ONLY = {"git, in the folder of the clones"}
FORMS = ("folder", "zip", "zip in a folder")


@pytest.mark.parametrize(
    ("name", "form"),
    [(name, form) for form in FORMS for name in LAYOUTS if form == "folder" or name not in IN_A_FOLDER_ONLY],
)
def test_layouts_are_recognised_and_said(name: str, form: str, tmp_path: Path) -> None:
    files, layout, students = LAYOUTS[name]
    if form == "folder":
        path = write(tmp_path / "handed in", files)
    else:
        path = write(tmp_path / "handed in", {"class.zip": files}) / ("class.zip" if form == "zip" else "")
    if (name, form) in {("one student in a folder", "zip"), ("one student in a folder", "zip in a folder")}:
        layout, students = "one", {"class"}  # one person's archive is named by its own name
    cohort = gathered(path)
    assert {person.student for person in cohort.people} == students
    assert [note.split(":")[0] for note in cohort.notes if note.startswith("layout ")] == [f"layout {layout}"]
    judged = [one for one in chosen(path) if not one.problem]
    assert all(len(one.files) == 1 for one in judged)
    assert len({one.sha256 for one in judged}) == len(judged) - (
        name == "gradescope"
    )  # a group's members have one file


def test_what_a_student_packed_names_lessons_and_never_people(tmp_path: Path) -> None:
    theirs = {f"bob/{L2}.py": solved("evil"), f"submitted/bob/{L2}/{L2}.ipynb": notebook(solved("evil too"))}
    theirs |= {f"bob_102_9100_{L2}.py": solved("evil, third"), f"../bob/{L2}.py": solved("evil, fourth")}
    folder = write(tmp_path / "in", {f"bob/{L2}.py": solved("honest"), "eve.zip": theirs, f"cy/{L2}.py": solved("c")})
    (bob,) = [one for one in chosen(folder) if one.student == "bob"]
    assert [file.data for file in bob.files] == [solved("honest").encode()]
    assert {one.student for one in chosen(folder)} == {"bob", "eve", "cy"}


def test_in_a_download_what_stands_behind_the_platforms_part_names_nobody(tmp_path: Path) -> None:
    inner = {f"Jane Doe_1_assignsubmission_file_/{L2}.py": solved("evil"), f"doejane_1_9_{L2}.py": solved("evil too")}
    files = {
        f"Jane Doe_1_assignsubmission_file_/{L2}.py": solved("honest"),
        "Eve_2_assignsubmission_file_/hw.zip": inner,
    }
    *eves, jane = chosen(write(tmp_path, {"class.zip": files}) / "class.zip")
    assert (jane.student, jane.files[0].data) == ("Jane Doe_1", solved("honest").encode())
    assert {one.student for one in eves} == {"Eve_2"}


def test_two_places_of_one_student_are_both_kept_and_reported(tmp_path: Path) -> None:
    folder = write(
        tmp_path / "in", {f"ann/{L2}.py": solved("a"), "ann.zip": {f"{L2}.py": solved("b")}, f"bob/{L2}.py": STUB}
    )
    first, second, bob = sorted(chosen(folder), key=lambda one: one.student)
    assert (first.student, second.student, bob.student) == ("ann (ann)", "ann (ann.zip)", "bob")
    assert first.about["collision"] == second.about["collision"]
    assert "decide which counts" in first.about["collision"]
    assert "collision" not in bob.about


def test_sections_with_namesakes_collide_and_without_do_not(tmp_path: Path) -> None:
    for section, students in {"one": "ann bob", "two": "ann cy"}.items():
        write(tmp_path / section, {f"{who}/{L2}.py": solved(section + who) for who in students.split()})
    found = rows(tmp_path / "one", tmp_path / "two")
    assert found == [("ann (one - ann)", "l2"), ("ann (two - ann)", "l2"), ("bob", "l2"), ("cy", "l2")]


def test_folders_of_people_in_one_folder_of_several_are_pointed_out(tmp_path: Path) -> None:
    files = {f"{who}/{L2}.py": solved(who) for who in ("morning/ann", "morning/bob", "evening/cy", "evening/exercises")}
    told = "each taken for one person; if folders in it are people, name it itself: morning (ann, bob)"
    assert gathered(write(tmp_path / "class", files)).notes == ["layout folders: class", told]
    assert gathered(tmp_path / "class/morning", tmp_path / "class/evening/cy").notes == [
        "layout folders: morning",
        "layout one: cy",
    ]


def test_a_file_and_a_folder_of_one_name_collide(tmp_path: Path) -> None:
    files = {"ann.py": solved("a"), f"ann/{L2}.py": solved("b"), f"bob/{L2}.py": solved("b")}
    assert rows(write(tmp_path, files)) == [("ann (ann, 1)", "l2"), ("ann (ann, 2)", "l2"), ("bob", "l2")]


def test_a_folder_called_after_a_lesson_is_no_student_whatever_lies_beside_it(tmp_path: Path) -> None:
    files = {f"{L2}/ann.py": solved("a"), f"{L2}/bob.py": solved("b"), "homework/cy.pdf": "%PDF"}
    assert rows(write(tmp_path, files)) == [("ann", "l2"), ("bob", "l2"), ("homework", None)]


def test_what_is_no_work_by_its_name_is_said_to_be_left_aside(tmp_path: Path) -> None:
    files = {f"{L2}/ann.py": solved("a"), f"{L2}/bob.py": solved("b"), f"{L2}/cy.txt": solved("c"), "list.csv": ""}
    told = "left aside, by their names no work of a student's: "
    found = gathered(write(tmp_path / "lessons", files)).notes
    assert found == ["layout lessons: lessons", f"{told}list.csv, {L2}/cy.txt"]
    found = gathered(write(tmp_path / "files", {"a.py": "", "b.csv": "", "c.txt": ""})).notes
    assert found == ["layout files: files", f"{told}b.csv, c.txt"]


def test_every_archive_among_those_of_others_has_a_row(tmp_path: Path) -> None:
    inner = {f"{L2}.py": solved("a")}
    opened = {f"{end}.tar.{end}": packed(inner, end) for end in ("gz", "bz2", "xz")}
    opened |= {"tbz.tbz": packed(inner, "bz2"), "tbz2.TBZ2": packed(inner, "bz2")}
    closed = ("a.tar.zst", "b.tzst", "c.tar.Z", "d.zipx", "e.lz4", "f.tar.lz", "g.iso", "h.ipynb.gz", "i.dmg")
    found = chosen(write(tmp_path, {**opened, **dict.fromkeys(closed, b"x")}))
    assert {one.student for one in found if one.files} == {"gz", "bz2", "xz", "tbz", "tbz2"}
    assert {one.student for one in found if one.problem} == set("abcdefgi") | {"h"}


def test_a_link_among_the_folders_of_students_has_a_row(tmp_path: Path) -> None:
    folder = write(tmp_path, {f"ann/{L2}.py": solved("a"), f"bob/{L2}.py": solved("b")})
    os.symlink("ann", folder / "cy")
    (cy,) = [one for one in chosen(folder) if one.student == "cy"]
    assert cy.problem == "handed in cy (it is a symbolic link; hand in the file itself)"


def test_the_same_file_in_two_places_is_no_collision(tmp_path: Path) -> None:
    folder = write(tmp_path, {f"ann/{L2}.py": solved("a"), "ann.zip": {f"{L2}.py": solved("a")}, f"bob/{L2}.py": STUB})
    assert rows(folder) == [("ann", "l2"), ("bob", "l2")]


def test_names_are_compared_in_one_normal_form(tmp_path: Path) -> None:
    composed, apart = (unicodedata.normalize(form, "José") for form in ("NFC", "NFD"))
    write(
        tmp_path / "in", {f"{composed}.zip": {f"{L2}.py": solved("a")}, f"{apart}.zip": {f"{L3}.py": solved("b", L3)}}
    )
    assert rows(tmp_path / "in") == [(composed, "l2"), (composed, "l3")]
    assert "written in 2 ways" in gathered(tmp_path / "in").look[0]


def test_nearly_equal_names_are_different_people_and_reported(tmp_path: Path) -> None:
    folder = write(tmp_path / "in", {f"Ann/{L2}.py": solved("a"), f"ann/{L2}.py": solved("b")})
    assert rows(folder) == [("Ann", "l2"), ("ann", "l2")]
    assert "nearly the same name, taken for different people: Ann, ann" in gathered(folder).notes


def test_one_persons_archive_is_named_by_its_name(tmp_path: Path) -> None:
    write(tmp_path, {"Ann Lee.zip": {f"{L2}.py": solved("a"), f"{L3}.ipynb": notebook(solved("b", L3))}})
    assert rows(tmp_path / "Ann Lee.zip") == [("Ann Lee", "l2"), ("Ann Lee", "l3")]


def test_a_lesson_beside_the_folders_of_several_does_not_make_all_of_it_one_persons(tmp_path: Path) -> None:
    files = {f"{L2}.py": solved("c"), f"ann/{L2}.py": solved("a"), f"bob/{L2}.py": solved("b")}
    assert rows(write(tmp_path / "cy", files)) == [("ann", "l2"), ("bob", "l2"), ("cy", "l2")]


def test_files_and_folders_named_directly(tmp_path: Path) -> None:
    write(
        tmp_path,
        {f"bob/{L2}.py": solved("b"), f"submitted/dan/{L2}/{L2}.ipynb": notebook(solved("d")), "eve.pdf": "%PDF"},
    )
    write(tmp_path, {f"hw1-{who}/{name}": solved(who) for who in ("ann", "cy") for name in (f"{L2}.py", ".git/config")})
    assert rows(tmp_path / "bob") == rows(tmp_path / "bob" / f"{L2}.py") == [("bob", "l2")]
    assert rows(tmp_path / "submitted/dan" / L2 / f"{L2}.ipynb") == rows(tmp_path / "submitted/dan") == [("dan", "l2")]
    assert rows(tmp_path / "eve.pdf") == [("eve", None)]
    assert rows(tmp_path / "hw1-ann", tmp_path / "hw1-cy") == [("ann", "l2"), ("cy", "l2")]


def test_one_students_file_of_a_download_may_be_an_archive(tmp_path: Path) -> None:
    files = {
        "day_106_9005_work.zip": {"hw.py": "import own\n" + solved("d"), "own.py": ""},
        f"lee_1_2_{L2}.py": solved("l"),
    }
    folder = write(tmp_path, files)
    assert rows(folder) == rows(*folder.iterdir()) == [("day_106", "l2"), ("lee_1", "l2")]


def test_a_folder_of_downloads_is_read_as_downloads(tmp_path: Path) -> None:
    archives = {
        f"{lesson}.zip": {f"doejane_102_9{at}_{lesson}.py": solved("d", lesson)} for at, lesson in enumerate((L2, L3))
    }
    assert rows(write(tmp_path, archives)) == [("doejane_102", "l2"), ("doejane_102", "l3")]


def test_the_folder_of_verdicts_is_no_submission(tmp_path: Path) -> None:
    folder = write(
        tmp_path, {"ann.py": solved("a"), "bob.py": solved("b"), "graded/verdicts.jsonl": "", "graded/old.py": ""}
    )
    assert rows(folder) == [("ann", "l2"), ("bob", "l2")]


def test_a_layout_can_be_said(tmp_path: Path) -> None:
    folder = write(tmp_path / "in", {"hw/a.ipynb": notebook(solved("a")), "hw/b.ipynb": notebook(solved("b", L3))})
    assert rows(folder) == [("a", "l2"), ("b", "l3")]
    assert rows(folder, layout="folders") == [("hw", "l2"), ("hw", "l3")]
    assert rows(folder, layout="one") == [("in", "l2"), ("in", "l3")]
    for layout, told in {"blackbord": "there is no layout blackbord", "canvas": "is no download of canvas"}.items():
        with pytest.raises(Problem, match=told):
            rows(folder, layout=layout)


def test_a_pattern_can_be_said(tmp_path: Path) -> None:
    files = {
        f"{who} #{at} {late}/hw/x.py": solved(f"{who}{at}")
        for who, at, late in (("ann", 9, ""), ("ann", 10, "LATE"), ("bob", 1, ""))
    }
    folder = write(tmp_path / "in", files | {"odd.py": solved("o")})
    pattern = r"(?P<student>\w+) #(?P<attempt>\d+) (?P<late>LATE)?/"
    ann, bob = chosen(folder, pattern=pattern)
    assert (ann.student, ann.files[0].data, ann.older, ann.about) == (
        "ann",
        solved("ann10").encode(),
        ["hw/x.py"],
        {"late": True},
    )
    assert bob.student == "bob"
    assert gathered(folder, pattern=pattern).lost == ["nobody's by this pattern: odd.py"]
    for wrong, told in {
        "(": "no regular expression",
        "x": "must name a group",
        "(?P<student>)(?P<who>)": "no other",
    }.items():
        with pytest.raises(Problem, match=told):
            rows(folder, pattern=wrong)


def test_a_roster_joins_ids_of_platforms_and_lists_who_is_missing(tmp_path: Path) -> None:
    roster = write(
        tmp_path,
        {"roster.csv": "id;name;email;canvas;section\ns1;Doe, Jane;j@x;102;A\ns2;Rick Roe;r@x;;B\ns3;Pam Poe;p@x;;B\n"},
    )
    folder = write(
        tmp_path / "in",
        {f"doejane_102_9_{L2}.py": solved("d"), f"roerick_7_9_{L2}.py": solved("r"), f"x_9_9_{L2}.py": solved("x")},
    )
    cohort = gathered(folder, roster=roster / "roster.csv")
    assert [person.student for person in cohort.people] == ["s1", "s2", "x_9"]
    assert cohort.people[0].about == {"name": "Doe, Jane", "section": "A"}
    assert cohort.missing == ["s3 (Pam Poe)"]
    assert cohort.look == ["not in the roster: x_9"]


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16"])
def test_a_roster_may_be_saved_by_a_spreadsheet(encoding: str, tmp_path: Path) -> None:
    text = 'sep=\t\r\nID\tName\t\r\n007\tZoë "Zo" O\'Neil\t\r\n1e5\t"two\nlines"\r\n\t\r\n'
    write(tmp_path, {"roster.csv": text.encode(encoding)})
    found = Roster(tmp_path / "roster.csv").rows
    assert [(one.id, one.get("name")) for one in found] == [("007", 'Zoë "Zo" O\'Neil'), ("1e5", "two\nlines")]


def test_an_id_is_its_students_whatever_else_is_called_so(tmp_path: Path) -> None:
    write(tmp_path, {"roster.csv": "id,number,tutor\nann,1,bob\nANN,2,bob\nbob,3,ann\n7,8,ann\n8,7,ann\n"})
    files = {f"{who}/{L2}.py": solved(who) for who in ("ann", "ANN", "bob", "7", "3")}
    found = gathered(write(tmp_path / "in", files), roster=tmp_path / "roster.csv")
    assert {person.student for person in found.people} == {"ann", "ANN", "bob", "7"}
    assert (found.missing, len(found.people[-1].sources)) == (["8"], 1)


def test_the_number_of_a_submission_is_nobodys_who_has_a_number_of_ones_own(tmp_path: Path) -> None:
    write(tmp_path, {"roster.csv": "id,number\nzoe,11\nrob,43\n"})
    found = rows(write(tmp_path / "in", LAYOUTS["gradescope"][0]), roster=tmp_path / "roster.csv")
    assert [who for who, _ in found] == ["0042", "44", "rob"]


@pytest.mark.parametrize("header", ["last_name,first_name", "Last Name,First Name", "Surname,Firstname"])
def test_a_roster_may_have_first_and_last_name_apart(header: str, tmp_path: Path) -> None:
    write(tmp_path, {"roster.csv": f"id,{header}\ns1,Doe,Jane\ns2,Doe,Rick\n"})
    files = {f"Jane Doe_48005_assignsubmission_file_/{L2}.py": solved("a")}
    assert rows(write(tmp_path / "in", files), roster=tmp_path / "roster.csv") == [("s1", "l2")]


def test_a_roster_makes_one_person_of_numbers_that_differ_from_lesson_to_lesson(tmp_path: Path) -> None:
    write(tmp_path, {"roster.csv": "id,name\ns1,Jane Doe\ns2,Anna Lee\ns3,Anna Lee\n"})
    files = {f"{name}_{number}_assignsubmission_file_/{lesson}.py": solved(number, lesson) for name, number, lesson in (
        ("Jane Doe", "1", L2), ("Jane Doe", "9", L3), ("Anna Lee", "2", L2), ("Anna Lee", "3", L2))}  # fmt: skip
    found = rows(write(tmp_path / "in", files), roster=tmp_path / "roster.csv")
    assert found == [("Anna Lee_2", "l2"), ("Anna Lee_3", "l2"), ("s1", "l2"), ("s1", "l3")]


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("", "holds no students"),
        ("id,name\n1,a\n1,b\n", "stands there twice"),
        ("id,name\n,a\n", "has no id"),
        ("\xff", "not UTF-8"),
        ("i\0d\0\n\0a\0\n\0", "not UTF-8"),
        ("s1,Ann Lee,ann@example.org\ns2,Bob Ray,bob@example.org\n", "first line must name the columns"),
        ("1001,Ann Lee\n1002,Bob Ray\n", "it has 1001"),
        ("id,name,email\ns1,Doe, Jane,j@x\n", "line 2 has more values than there are columns"),
    ],
)
def test_a_roster_that_is_none_is_said(text: str, told: str, tmp_path: Path) -> None:
    write(tmp_path, {"roster.csv": text.encode("latin-1")})
    with pytest.raises(Problem, match=told):
        rows(write(tmp_path / "in", {"a.py": ""}), roster=tmp_path / "roster.csv")


def test_names_that_are_no_text_can_be_written(tmp_path: Path) -> None:
    (Path(os.fsdecode(bytes(tmp_path) + b"/b\xff.py"))).write_text(solved("b"))
    ((student, _),) = rows(tmp_path)
    assert student.encode() == b"b\\udcff"


def test_names_that_an_archive_keeps_in_utf_8_without_saying_so(tmp_path: Path) -> None:
    data = packed({"José.py": solved("j"), "ann.py": solved("a")})
    assert data.count("José.py".encode()) == 2
    path = tmp_path / "class.zip"
    path.write_bytes(data.replace(b"\x14\x00\x00\x08", b"\x14\x00\x00\x00"))  # the flag of UTF-8 taken off
    assert rows(path) == [("José", "l2"), ("ann", "l2")]
