"""nbgrader's other commands on a course: feedback, export, exchange, archives, validation, database."""

from __future__ import annotations

import csv
import re
import sys
import zipfile
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import pytest
from nbgrader.api import Gradebook

from graders import ROOT
from graders.cohort import grading
from graders.report.feedback import HIDDEN, public, told
from tests.for_nbgrader.nbgrader_course import LESSON, exercise_scores, hand_in, nbgrader, new_course, rows, samples

pytestmark = pytest.mark.timeout(1800)
WRONG = {
    "integer_range": "def integer_range(dtype):\n    return -torch.iinfo(dtype).max, torch.iinfo(dtype).max",
    "downcast": "def downcast(tensor, dtype):\n    return tensor.to(torch.float16).to(dtype)",
    "stored_value": "def stored_value(value, dtype):\n    raise ValueError('<b>odd</b> ' + __file__)",
    "overflows": "def overflows(tensor, dtype):\n    return 3.0",
    "running_sum": "def running_sum(tensor, dtype):\n    return (",
    "spacing": "def spacing(x, dtype):\n    raise NotImplementedError()",
}
SCRIPT = (
    "My answer: <script>window.bad = 1</script><img src=x onerror='window.bad = 1'>, [link](javascript:bad()), `a < b`"
)


@pytest.fixture(scope="module")
def course(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return new_course(tmp_path_factory.mktemp("commands") / "course", LESSON)


@pytest.fixture(scope="module")
def graded(course: Path) -> Path:
    """A course with four graded students, one of whom handed in half a file, and pages for all of them."""
    made = samples(course)
    wrong = made.with_answers({**WRONG, "answer": SCRIPT})
    handed_in = {"ann": wrong, "ben": made.with_answers({}), "eve": b'{"cells": ', "=cmd()": made.with_answers({})}
    for student, data in handed_in.items():
        hand_in(course, student, data)
    names = [
        "--last-name",
        '=HYPERLINK("http://evil.invalid"), Jr.',
        "--first-name",
        'Ann "Lee"',
        "--email",
        "a@b.invalid",
    ]
    nbgrader(course, "db", "student", "add", "ann", *names)
    nbgrader(course, "db", "student", "add", "nobody")
    nbgrader(course, "autograde", LESSON, fails=True)
    with Gradebook(f"sqlite:///{course / 'gradebook.db'}") as gradebook:
        grade = gradebook.find_grade("answer", LESSON, LESSON, "ann")
        grade.manual_score, grade.needs_manual_grade = 1.5, False
        gradebook.find_comment("answer", LESSON, LESSON, "ann").manual_comment = "Where *else*?"
        gradebook.db.commit()
    nbgrader(course, "generate_feedback", LESSON)
    return course


@pytest.fixture(scope="module")
def verdict(graded: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[str, dict[str, Any]]:
    """What `grade` says about the student with wrong answers, by exercise."""
    seed = (graded / ".seed").read_text(encoding="utf-8")
    path = graded / "submitted" / "ann" / LESSON / f"{LESSON}.ipynb"
    (found,) = grading.grade([path], tmp_path_factory.mktemp("verdicts"), seed)
    return {each["name"]: each for each in found["exercises"]}


class _Text(HTMLParser):
    """The text of a page, and the tags and links in it."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.text, self.tags, self.links = "", set(), []
        self.feed(page)

    def handle_data(self, data: str) -> None:
        self.text += data

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.add(tag)
        self.links += [value or "" for name, value in attrs if name in ("href", "src", "action")]


def page(folder: Path, student: str) -> _Text:
    return _Text((folder / "feedback" / student / LESSON / f"{LESSON}.html").read_text(encoding="utf-8"))


def test_feedback_has_points_message_and_hint(graded, verdict):
    text = page(graded, "ann").text
    for name in WRONG:
        exercise = verdict[name]
        for line in told(exercise, exercise["score"], exercise["max_score"]).splitlines():
            assert re.sub(r"^  (got|want|rule|hint)\s+", "", line).strip() in text, line
    assert "two's complement is not symmetric" in text
    assert re.search(r"integer_range\s+0 of 2\s", text)
    assert re.search(r"range_from_bits\s+2 of 2\s+right", text)
    assert re.search(r"answer\s+1\.5 of \d", text)
    assert "Where else?" in text


def test_feedback_says_what_a_person_has_still_to_grade(graded):
    ben, ann = page(graded, "ben").text, page(graded, "ann").text
    assert re.search(r"answer\s+- of 6\s+not graded yet", ben)
    assert "not graded yet" not in ann
    assert re.search(r"36 of 42 points so far", ben)
    assert "so far" not in ann


def test_feedback_leaks_nothing(graded, verdict):
    found = page(graded, "ann")
    hidden = {name for name, each in verdict.items() if HIDDEN in public(each["message"])}
    assert {"downcast"} <= hidden <= WRONG.keys()
    for name in hidden:
        (want,) = re.findall(r"^  want   (.*)$", verdict[name]["message"], re.MULTILINE)
        assert f"want   {want}" not in found.text
    for secret in ("HIDDEN", "RuntimeError", "nbgrader_bridge", 'File "', "def test_", "reference", "generator"):
        assert secret not in found.text  # (the word Traceback stands in the examples of some docstrings)
    for place in (str(ROOT), str(graded), sys.prefix, "graders-"):
        assert place not in found.text
    assert not found.tags & {"script", "img", "iframe", "link"}
    assert all(link.startswith("#") for link in found.links)
    assert "<script>window.bad = 1</script>" in found.text
    assert "<b>odd</b>" in found.text


def test_feedback_of_what_could_not_be_graded_says_why(graded):
    assert "could not be graded: the notebook is not valid JSON" in page(graded, "eve").text


@pytest.mark.parametrize(
    ("message", "shown"),
    [
        ("f(3, torch.int8)\n  got    4\n  want   5\n  rule   r", "  want   5"),
        ("f(x), x is float32 of shape (4,)\n  got    4\n  want   5\n  rule   r", f"  want   {HIDDEN}"),
        ("f(x), x is int8 of shape (4,)\n  got    None\n  want   float 3.0\n  rule   r", f"  want   a float; {HIDDEN}"),
        ("f(x), x is int8 of shape (4,)\n  got    3\n  want   Tensor, tensor([1.])", f"  want   a Tensor; {HIDDEN}"),
        ("f(x), x is int8 of shape (4,)\n  got    3\n  want   dtype torch.int8", "  want   dtype torch.int8"),
        ("f(x), x is int8 of shape (4,)\n  got    3\n  want   shape (2, 3)", "  want   shape (2, 3)"),
        ("f(x), x is int8 of shape (4,)\n  got    3\n  want   ValueError", "  want   ValueError"),
        ("f(x), x is int8 of shape (4,)\n  got    3\n  want   [True, False]", f"  want   {HIDDEN}"),
        ("f(x), x is int8 of shape (4,)\n  got    3\n  want   'text'", f"  want   {HIDDEN}"),
        ("f(x), x is int8 of shape (4,)\n  got    3\n  want   inf", f"  want   {HIDDEN}"),
        ("rests on g, which is not right yet\nf(x), x is a list of 3\n  got    1\n  want   2", f"  want   {HIDDEN}"),
        ("  got    1\n  want   2\n  rule   r", f"  want   {HIDDEN}"),
    ],
    ids=[
        "printed",
        "number",
        "typed",
        "tensor",
        "dtype",
        "shape",
        "error",
        "bools",
        "text",
        "inf",
        "rests on",
        "no call",
    ],
)
def test_wanted_values_of_hidden_inputs_are_not_shown(message, shown):
    assert shown in public(message).split("\n")


def test_messages_hide_paths_and_control_characters():
    shown = public(f"f(1)\n  got    FileNotFoundError: {ROOT}/graders, \x1b[31m{sys.prefix}\x07")
    assert shown == "f(1)\n  got    FileNotFoundError: .../graders, ?[31m...?"


def test_export_has_a_column_per_exercise(graded, tmp_path):
    path = tmp_path / "grades, all.csv"
    nbgrader(graded, "export", "--to", str(path))
    with path.open(newline="", encoding="utf-8") as file:
        table = {row["student_id"]: row for row in csv.DictReader(file)}
    assert sorted(table) == ["'=cmd()", "ann", "ben", "eve", "nobody"]
    ann = table["ann"]
    assert ann["last_name"] == '\'=HYPERLINK("http://evil.invalid"), Jr.'
    assert ann["first_name"] == 'Ann "Lee"'
    scores = exercise_scores(rows(graded)["ann"])
    assert {name: float(ann[name]) for name in scores} == scores
    assert list(ann)[12:] == [
        *list(scores)[: list(ann)[12:].index("answer")],
        "answer",
        *list(scores)[list(ann)[12:].index("answer") :],
    ]
    assert float(ann["answer"]) == 1.5
    assert float(ann["score"]) == pytest.approx(sum(scores.values()) + 1.5)
    assert (table["ben"]["answer"], table["ben"]["needs_manual_grade"]) == ("", "1")
    assert {table["eve"][name] for name in scores} == {""}
    assert (table["nobody"]["score"], table["nobody"]["timestamp"]) == ("0.0", "")


def test_export_agrees_with_nbgraders_own(graded, tmp_path):
    tables = []
    for exporter in ("nbgrader.plugins.CsvExportPlugin", "graders.report.nbgrader_export.Exporter"):
        path = tmp_path / f"{len(tables)}.csv"
        options = ["--student", "['ben']", "--assignment", f"['{LESSON}']"]
        nbgrader(graded, "export", f"--exporter={exporter}", "--to", str(path), *options)
        with path.open(newline="", encoding="utf-8") as file:
            tables.append(list(csv.DictReader(file)))
    (stock,), (ours,) = tables
    assert {name: ours[name] for name in stock} == stock


def test_archive_of_an_lms(course):
    archive = course / "downloaded" / LESSON / "archive"
    archive.mkdir(parents=True)
    made = samples(course)
    with zipfile.ZipFile(archive / "all.zip", "w") as file:
        file.writestr(f"zip1_123_456_{LESSON}.ipynb", made.with_answers({}))
        file.writestr(f"zip2_LATE_123_456_{LESSON}-2.ipynb", made.with_answers(WRONG))
    nbgrader(course, "zip_collect", LESSON)
    for student in ("zip1_123", "zip2_123"):
        nbgrader(course, "autograde", LESSON, "--student", student)
    found = rows(course)
    assert sum(exercise_scores(found["zip1_123"]).values()) > sum(exercise_scores(found["zip2_123"]).values())


def test_exchange_there_and_back(course, tmp_path):
    nbgrader(course, "release_assignment", LESSON)
    place = tmp_path / "student"
    place.mkdir()
    options = ["--course", "quantization", f"--Exchange.root={course / 'exchange'}"]
    nbgrader(place, "fetch_assignment", LESSON, *options)
    notebook = place / LESSON / f"{LESSON}.ipynb"
    assert "BEGIN HIDDEN" not in notebook.read_text(encoding="utf-8")
    notebook.write_bytes(samples(course).with_answers(WRONG))
    nbgrader(place, "submit", LESSON, *options)
    nbgrader(course, "collect", LESSON)
    (student,) = [path.name for path in (course / "submitted").iterdir() if (path / LESSON / "timestamp.txt").exists()]
    nbgrader(course, "autograde", LESSON, "--student", student)
    nbgrader(course, "generate_feedback", LESSON, "--student", student)
    nbgrader(course, "release_feedback", LESSON, "--student", student)
    nbgrader(place, "fetch_feedback", LESSON, *options)
    (found,) = (place / LESSON).rglob("*.html")
    assert "two's complement is not symmetric" in _Text(found.read_text(encoding="utf-8")).text


def test_validate_runs_the_public_examples(course, tmp_path):
    solved = tmp_path / f"{LESSON}.ipynb"
    solved.write_bytes(samples(course).with_answers({}))
    assert "Success" in nbgrader(tmp_path, "validate", str(solved))
    solved.write_bytes(samples(course).with_answers(WRONG))
    told = nbgrader(tmp_path, "validate", str(solved))
    assert "VALIDATION FAILED ON 6 CELL(S)" in told
    assert "two's complement is not symmetric" in told
    source = course / "source" / LESSON / f"{LESSON}.ipynb"
    assert "grade with graders.nbgrader_bridge" in nbgrader(course, "validate", str(source))


def test_database_commands(course):
    assert LESSON in nbgrader(course, "db", "assignment", "list")
    nbgrader(course, "db", "upgrade")
    (course / "students.csv").write_text("id,last_name\nimported,Doe\n", encoding="utf-8")
    nbgrader(course, "db", "student", "import", "students.csv")
    assert "imported (Doe, None)" in nbgrader(course, "db", "student", "list")
