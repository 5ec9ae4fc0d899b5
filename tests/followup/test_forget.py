"""Who is forgotten is in no file of the folder any more, and everybody else in all of them."""

from __future__ import annotations

import json
import zipfile
from pathlib import Path

import pytest

from graders.cohort import verdicts
from graders.errors import Problem
from graders.followup import views
from graders.followup.forget import forget
from graders.report.table import write_csv
from tests.cohort.handed_in import L2
from tests.followup.books import FIRST, book, exercise, line


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    made = book(tmp_path / "out")
    held = verdicts.opened(made)
    write_csv(held.some(held.keys), made / "grades.csv")
    held.log("bob, l2_data_types:\nValueError: odd")
    held.log("ann, l2_data_types:\nValueError: odd")
    held.close()
    views.write(made)
    (made / "changes.csv").write_text("student,lesson\nbob,l2\nann,l2\n")
    (made / "overrides.csv").write_text(f"bob,{FIRST},1,x\n")
    lines = [json.loads(line) for line in (made / "verdicts.jsonl").read_text().splitlines()]
    lines = [line | {"returned": {"moodle": "B_7"}} if line["student"] == "bob" else line for line in lines]
    (made / "verdicts.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))
    written = [{"student": student, "lesson": "l2_data_types", "code": {}, "runs": {}} for student in ("bob", "ann")]
    (made / "written.jsonl").write_text("".join(json.dumps(line) + "\n" for line in written))
    (made / "feedback").mkdir()
    (made / "feedback/bob.html").write_text("Bob")
    (made / "explained").mkdir()
    (made / f"explained/bob__{FIRST}__1.safetensors").write_text("")
    with zipfile.ZipFile(made / "feedback-moodle.zip", "w") as archive:
        archive.writestr("bob_assignsubmission_file_/bob.html", "Bob")
        archive.writestr("B_7_feedback.html", "Bob")
        archive.writestr("ann_assignsubmission_file_/ann.html", "Ann")
    return made


def content(folder: Path) -> dict[str, bytes]:
    found = {}
    for path in folder.rglob("*"):
        if path.is_file():
            found[path.relative_to(folder).as_posix()] = path.name.encode() + path.read_bytes()
        if path.suffix == ".zip":
            with zipfile.ZipFile(path) as archive:
                found |= {f"{path.name}/{name}": name.encode() + archive.read(name) for name in archive.namelist()}
    return found


def test_nothing_of_the_student_is_left_and_all_of_the_others(folder: Path) -> None:
    before = content(folder)
    told = forget(folder, "bob")
    after = content(folder)
    assert [name for name, data in after.items() if b"bob" in data.lower()] == []
    assert {name for name in before if "bob" not in name} - {"feedback-moodle.zip/B_7_feedback.html"} == set(after)
    for name in ("junit/ann.xml", "gradescope/ann.json", "feedback-moodle.zip/ann_assignsubmission_file_/ann.html"):
        assert before[name] == after[name]
    assert b"ann, l2_data_types" in after["errors.log"]
    held = verdicts.opened(folder)
    assert [student for student, _ in held.keys] == ["ann", "ann", "=cy", "d/../ö \x0b<&"]
    held.close()
    for file in (
        "verdicts.jsonl: 1",
        "grades.csv: 1",
        "changes.csv: 1",
        "overrides.csv: 1",
        "errors.log: 1",
        "feedback-moodle.zip: 2",
        "written.jsonl: what was written",
    ):
        assert any(one.startswith(file) for one in told)


@pytest.mark.parametrize("student", ["verdicts", "report", "grades", "overrides", "feedback", "junit", "seed"])
def test_who_is_called_like_a_file_of_the_folder_takes_nothing_else_along(student: str, folder: Path) -> None:
    (folder / "report.html").write_text("<p>of all</p>")
    held = verdicts.opened(folder)
    held.add(line(student, L2, exercise(FIRST, "passed", 2.0)))
    held.close()
    before = {path.relative_to(folder) for path in folder.rglob("*")}
    told = forget(folder, student)
    assert {path.relative_to(folder) for path in folder.rglob("*")} == before
    assert "verdicts.jsonl: 1 verdict" in told


def test_a_number_of_few_digits_is_not_looked_for_everywhere(folder: Path) -> None:
    held = verdicts.opened(folder)
    held.add(line("2", L2, exercise(FIRST, "passed", 2.0)))
    held.close()
    assert forget(folder, "2") == ["verdicts.jsonl: 1 verdict"]


def test_tables_of_the_instructors_are_read_as_they_are_written(folder: Path) -> None:
    text = 'sep=;\r\nStudent;Exercise;Score;Reason\r\n bob ;f;1,5;x\r\nann;f;1;"one\r\ntwo"\r\n'
    (folder / "overrides.csv").write_bytes(text.encode("utf-16"))
    assert "overrides.csv: 1 row" in forget(folder, "bob")
    assert (folder / "overrides.csv").read_bytes().decode("utf-16") == text.replace(" bob ;f;1,5;x\r\n", "")
    (folder / "overrides.csv").write_bytes("Zoë;f;1;x".encode("latin-1"))
    with pytest.raises(Problem, match="is not UTF-8 text"):
        forget(folder, "ann")


def test_where_it_lay_is_forgotten_where_that_is_called_after_the_student(folder: Path) -> None:
    paths = ["/in/hw-bob.zip", "/in/ann", "/in/bobby"]
    (folder / ".places").write_text(json.dumps([{"paths": paths}, {"paths": ["/in/bob"]}]))
    assert ".places: where it lay" in forget(folder, "bob")
    assert json.loads((folder / ".places").read_text()) == [{"paths": paths[1:]}]


def test_what_a_killed_run_left_is_found_by_the_next(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(verdicts.Book, "compact", lambda self: (_ for _ in ()).throw(KeyboardInterrupt))
    with pytest.raises(KeyboardInterrupt):
        forget(folder, "bob")
    monkeypatch.undo()
    assert not any(b"bob" in data.lower() for name, data in content(folder).items() if name != "verdicts.jsonl")
    assert "verdicts.jsonl: 1 verdict" in forget(folder, "bob")
    assert [name for name, data in content(folder).items() if b"bob" in data.lower()] == []


@pytest.mark.parametrize("student", ["=cy", "d/../ö \x0b<&"])
def test_odd_names_are_found(folder: Path, student: str) -> None:
    assert any(one.startswith("grades.csv") for one in forget(folder, student))
    with pytest.raises(Problem, match="there is nothing of"):
        forget(folder, student)


def test_a_page_that_still_names_the_student_is_said(folder: Path) -> None:
    (folder / "notes.html").write_text("<p>Bob Stone</p>")
    (folder / "bobsled.html").write_text("<p>Bobby Stoneman</p>")
    (folder / "bob.pdf").touch()
    assert "still named in bob.pdf, notes.html: write these" in forget(folder, "bob")[-1]


def test_report_and_leaderboard_are_written_again_without_the_student(folder: Path) -> None:
    (folder / "report.html").write_text("<p>Bob Stone</p>")
    (folder / "leaderboard.csv").write_text("student,score\nmodel 1,1\n")
    (folder / "leaderboard.svg").write_text("<svg>bob</svg>")
    forget(folder, "bob")
    assert "Bob" not in (text := (folder / "report.html").read_text())
    assert "ann" in text
    assert not (folder / "leaderboard.svg").exists()  # nobody else has a model


def test_who_is_unknown_is_said(folder: Path) -> None:
    with pytest.raises(Problem, match="there is nothing of zoe"):
        forget(folder, "zoe")
