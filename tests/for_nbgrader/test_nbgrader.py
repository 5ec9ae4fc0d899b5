"""`nbgrader autograde` on everything that students hand in: one command, every row as expected, the same as `grade`."""

from __future__ import annotations

import csv
import itertools
import os
import shutil
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

import nbformat
import pytest
from nbgrader.api import Gradebook

from graders import ROOT
from graders.cohort import grading
from tests.for_nbgrader.nbgrader_course import LESSON, exercise_scores, hand_in, nbgrader, new_course, rows, samples

pytestmark = pytest.mark.timeout(1800)
REACHES = """
def stored_value(value, dtype):
    found = []
    for path in {paths}:
        for mode in ("rb", "ab"):
            try:
                with open(path, mode) as file:
                    found.append((path, mode, file.read(8) if mode == "rb" else file.write(b"x")))
            except OSError:
                pass
    raise ValueError("reached " + repr(found))
"""


@pytest.fixture(scope="module")
def course(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A course with one assignment; its gradebook is kept as it is before anything was handed in."""
    folder = new_course(tmp_path_factory.mktemp("nbgrader") / "course", LESSON)
    shutil.copy(folder / "gradebook.db", folder / "before.db")
    return folder


@pytest.fixture
def fresh(course: Path, tmp_path: Path) -> Path:
    """A course as it is before anything was handed in; the configuration finds its folder itself."""
    for name in ("source", "release", "nbgrader_config.py", ".seed", ".course.json"):
        origin = course / name
        copy: Callable[..., Any] = shutil.copytree if origin.is_dir() else shutil.copy
        (tmp_path / "course").mkdir(exist_ok=True)
        copy(origin, tmp_path / "course" / name)
    shutil.copy(course / "before.db", tmp_path / "course" / "gradebook.db")
    return tmp_path / "course"


class Graded:
    """A course whose submissions were graded by one command, and its gradebook."""

    def __init__(self, folder: Path, handed_in: dict[str, tuple[bytes, Any]]) -> None:
        self.folder = folder
        self.expected = {student: expected for student, (_, expected) in handed_in.items()}
        self.lost = {student for student, expected in self.expected.items() if expected is None}
        for student, (data, _) in handed_in.items():
            hand_in(folder, student, data)
        self.told = nbgrader(folder, "autograde", LESSON, fails=bool(self.lost))
        self.rows = rows(folder)

    def feedback(self, student: str, exercise: str) -> str:
        """What the test cell of an exercise says in the graded notebook."""
        path = self.folder / "autograded" / student / LESSON / f"{LESSON}.ipynb"
        cells = nbformat.read(path, as_version=4).cells
        (cell,) = [cell for cell in cells if cell.metadata.get("nbgrader", {}).get("grade_id") == f"test_{exercise}"]
        return "".join(output.get("text", "") for output in cell.outputs)


@pytest.fixture(scope="module")
def graded(course: Path) -> Graded:
    """Every kind of submission but the slow ones, in one run, which ends with 1 because some cannot be graded."""
    made = samples(course)
    kinds = (made.right(), made.wrong(), made.hostile(), made.broken())
    handed_in = {student: (data, expected) for kind in kinds for student, data, expected in kind}
    reaches = REACHES.format(paths=[str(course / name) for name in ("gradebook.db", ".seed", "nbgrader_config.py")])
    handed_in["hostile_reaches"] = made.with_answer(reaches), {"stored_value": "error"}
    return Graded(course, handed_in)


@pytest.fixture(scope="module")
def verdicts(graded: Graded, tmp_path_factory: pytest.TempPathFactory) -> dict[str, dict[str, Any]]:
    """What `python -m graders grade` makes of the same submissions with the same seed."""
    seed = (graded.folder / ".seed").read_text(encoding="utf-8")
    found = grading.grade([graded.folder / "submitted"], tmp_path_factory.mktemp("verdicts"), seed)
    return {verdict["student"]: verdict for verdict in found}


def outcomes(verdict: dict[str, Any]) -> dict[str, str] | None:
    """The exercises of a verdict that did not pass, or None if there was no verdict."""
    if verdict["status"] != "graded":
        return None
    return {each["name"]: each["outcome"] for each in verdict["exercises"] if each["outcome"] != "passed"}


def as_expected(found: dict[str, str] | None, expected: dict[str, str] | None) -> bool:
    if found is None or expected is None:
        return found is expected
    return found.keys() == expected.keys() and all(found[name] in expected[name].split("|") for name in found)


def made_by(kind: Iterable[tuple[str, bytes, Any]], name: str) -> bytes:
    """The sample of this name."""
    return next(data for sample, data, _ in kind if sample == name)


def right(folder: Path) -> bytes:
    """A notebook with every exercise solved."""
    return made_by(samples(folder).right(), "right_plain")


def test_everybody_has_a_row(graded):
    assert sorted(graded.rows) == sorted(graded.expected)
    assert len({frozenset(row) for row in graded.rows.values()}) == 1


def test_outcomes_are_as_expected(graded, verdicts):
    found = {student: outcomes(verdict) for student, verdict in verdicts.items()}
    expected = graded.expected
    assert {student: found[student] for student in expected if not as_expected(found[student], expected[student])} == {}


def test_scores_are_those_of_grade(graded, verdicts):
    for student, verdict in verdicts.items():
        scores = {each["name"]: each["score"] for each in verdict["exercises"]}
        found = exercise_scores(graded.rows[student])
        assert found == (dict.fromkeys(found) if student in graded.lost else scores), student


def test_points_are_the_masters(graded):
    with Gradebook(f"sqlite:///{graded.folder / 'gradebook.db'}") as gradebook:
        most = gradebook.find_assignment(LESSON).max_score
        found = gradebook.assignment_submissions(LESSON)
        assert {each.max_score for each in found} == {most}
        assert max(each.score for each in found) < most  # the written answers are not graded yet


def test_what_cannot_be_graded_says_why_and_keeps_its_file(graded):
    made = {student: data for student, data, _ in samples(graded.folder).broken()}
    assert made.keys() == graded.lost
    for student, data in made.items():
        assert f"{student}: could not grade: " in graded.told
        assert set(graded.rows[student].values()) == {(None, True)}
        path = Path(LESSON) / f"{LESSON}.ipynb"
        assert (graded.folder / "submitted" / student / path).read_bytes() == data
        page = nbformat.read(graded.folder / "autograded" / student / path, as_version=4)
        assert page.cells[0].source.startswith("This submission could not be graded: ")


def test_a_written_answer_waits_for_a_person(graded):
    waiting = {student: row["answer"] for student, row in graded.rows.items() if student not in graded.lost}
    untouched = {"wrong_untouched", "wrong_empty", "right_text_deleted", "hostile_outputs", "hostile_points_0"}
    untouched |= {"right_one_new_cell"}  # all its code in one cell, and no text
    forgeries = {student for student, expected in graded.expected.items() if expected and len(expected) > 1}
    assert {student for student, row in waiting.items() if row == (0.0, False)} == untouched | forgeries
    assert {row for student, row in waiting.items() if student not in untouched | forgeries} == {(None, True)}


def test_warnings_and_prints_cost_nothing(graded):
    assert graded.feedback("right_warns", "stored_value").endswith("points: right\n")


def test_the_gradebook_is_out_of_reach(graded, verdicts):
    """As far as the tier of isolation goes: the weaker one, the manual says, does not hide it."""
    isolated = verdicts["hostile_reaches"]["environment"]["isolation"] == "namespaces"
    told = graded.feedback("hostile_reaches", "stored_value")
    assert "ValueError: reached [" in told
    assert ("ValueError: reached []" in told) == isolated


def test_the_same_command_again_does_nothing_and_force_gives_the_same(graded):
    assert "Judged" not in nbgrader(graded.folder, "autograde", LESSON)
    student = "wrong_value"
    nbgrader(graded.folder, "autograde", LESSON, "--student", student, "--force")
    assert rows(graded.folder)[student] == graded.rows[student]


def test_links_pipes_and_folders_are_no_notebooks(fresh):
    owner = hand_in(fresh, "owner", right(fresh))
    hand_in(fresh, "link", b"").unlink()
    (fresh / "submitted/link" / LESSON / f"{LESSON}.ipynb").symlink_to(owner)
    hand_in(fresh, "folder", b"").unlink()
    (fresh / "submitted/folder" / LESSON / f"{LESSON}.ipynb").mkdir()
    hand_in(fresh, "pipe", b"").unlink()
    os.mkfifo(fresh / "submitted/pipe" / LESSON / f"{LESSON}.ipynb")
    told = nbgrader(fresh, "autograde", LESSON, fails=True)
    found = rows(fresh)
    assert sorted(found) == ["folder", "link", "owner", "pipe"]
    for student in ("folder", "link", "pipe"):
        assert f"{student}: could not grade: it is" in told
        assert set(found[student].values()) == {(None, True)}
    assert None not in exercise_scores(found["owner"]).values()
    assert owner.read_bytes() == right(fresh)


def test_a_notebook_of_another_name_is_graded_as_by_grade(fresh, tmp_path):
    made = samples(fresh)
    wrong = made_by(made.wrong(), "wrong_untouched")
    hand_in(fresh, "two", right(fresh)).with_name("scratch.ipynb").write_bytes(wrong)
    for student, name in (("copy", f"{LESSON} (1).ipynb"), ("case", LESSON.upper() + ".IPYNB")):
        path = hand_in(fresh, student, right(fresh))
        path.rename(path.with_name(name))
    path = hand_in(fresh, "others", wrong)
    os.utime(path.rename(path.with_name("b.ipynb")), (1, 1))
    path.with_name("a.ipynb").write_bytes(right(fresh))
    nbgrader(fresh, "autograde", LESSON)
    found = {student: exercise_scores(row) for student, row in rows(fresh).items()}
    assert set(found) == {"two", "copy", "case", "others"}
    assert all(scores == found["two"] and all(scores.values()) for scores in found.values())
    verdicts = grading.grade([fresh / "submitted"], tmp_path / "verdicts", (fresh / ".seed").read_text())
    assert {one["student"] for one in verdicts} == set(found)
    for one in verdicts:
        assert {each["name"]: each["score"] for each in one["exercises"]} == found[one["student"]]


def test_without_a_notebook_a_py_is_judged_or_there_is_a_row_and_a_reason(fresh):
    path = hand_in(fresh, "ann", right(fresh))
    hand_in(fresh, "py", b"").rename(fresh / f"submitted/py/{LESSON}/{LESSON}.py")
    hand_in(fresh, "nothing", b"").unlink()
    hand_in(fresh, "ben", right(fresh))  # without any notebook nbgrader says so itself, and ends
    nbgrader(fresh, "autograde", LESSON, fails=True)
    before = exercise_scores(rows(fresh)["ann"])
    path.with_suffix(".py").write_bytes((ROOT / "solutions" / path.with_suffix(".py").name).read_bytes())
    path.unlink()
    told = nbgrader(fresh, "autograde", LESSON, "--force", fails=True)
    assert f"ann: {LESSON}.ipynb was made of {LESSON}.py" in told
    assert "nothing: could not grade: there is no notebook" in told
    found = rows(fresh)
    assert exercise_scores(found["ann"]) == before
    assert all(before.values())
    assert set(exercise_scores(found["py"]).values()) == {0}
    assert set(exercise_scores(found["nothing"]).values()) == {None}
    assert {manual for _, manual in found["nothing"].values()} == {True}


def test_odd_files_beside_the_notebook_are_set_aside(fresh):
    beside = hand_in(fresh, "ann", right(fresh)).parent
    (beside / "secret.txt").symlink_to(fresh / ".seed")
    (beside / "gone.txt").symlink_to("nowhere")
    (beside / "data.csv").write_text("1,2\n", encoding="utf-8")
    (beside / "timestamp.txt").write_text("tomorrow, perhaps", encoding="utf-8")
    os.mkfifo(beside / "pipe")
    nbgrader(fresh, "autograde", LESSON)
    assert sorted(path.name for path in (fresh / "autograded/ann" / LESSON).iterdir()) == [
        "data.csv",
        f"{LESSON}.ipynb",
    ]
    aside = sorted(path.name for path in (fresh / "set_aside/ann" / LESSON).iterdir())
    assert aside == ["gone.txt", "pipe", "secret.txt", "timestamp.txt"]


def test_a_broken_second_try_keeps_the_scores_of_the_first(fresh):
    hand_in(fresh, "ann", made_by(samples(fresh).wrong(), "wrong_value"))
    nbgrader(fresh, "autograde", LESSON)
    before = exercise_scores(rows(fresh)["ann"])
    hand_in(fresh, "ann", b"{")
    nbgrader(fresh, "autograde", LESSON, "--force", fails=True)
    row = rows(fresh)["ann"]
    assert exercise_scores(row) == before
    assert {manual for _, manual in row.values()} == {True}


def test_another_run_keeps_what_was_graded_by_hand_and_lists_the_marks_that_moved(fresh):
    """An exercise to which a person gave a score keeps it, whatever the judge says of another file."""
    hand_in(fresh, "ann", made_by(samples(fresh).wrong(), "wrong_untouched"))
    nbgrader(fresh, "autograde", LESSON)
    before = exercise_scores(rows(fresh)["ann"])
    wrong = sorted(name for name, score in before.items() if not score)
    by_hand = {"answer": 2.5, f"test_{wrong[0]}": 0.5}
    with Gradebook(f"sqlite:///{fresh / 'gradebook.db'}") as gradebook:
        for name, score in by_hand.items():
            grade = gradebook.find_grade(name, LESSON, LESSON, "ann")
            grade.manual_score, grade.needs_manual_grade = score, False
        gradebook.db.commit()
    assert not (fresh / "changes.csv").exists()
    hand_in(fresh, "ann", right(fresh))
    told = nbgrader(fresh, "autograde", LESSON)
    with Gradebook(f"sqlite:///{fresh / 'gradebook.db'}") as gradebook:
        for name, score in by_hand.items():
            grade = gradebook.find_grade(name, LESSON, LESSON, "ann")
            assert (grade.score, grade.needs_manual_grade) == (score, True)
    with (fresh / "changes.csv").open(newline="") as file:
        moved = {row["exercise"]: row for row in csv.DictReader(file)}
    after = exercise_scores(rows(fresh)["ann"])
    expected = [name for name in after if before[name] != after[name] and name != wrong[0]]
    assert sorted(moved) == sorted(expected)
    for name, row in moved.items():
        assert (float(row["old"]), float(row["new"])) == (before[name], after[name])
        assert (row["student"], row["lesson"], row["why"]) == ("ann", LESSON, "other files were handed in")
        assert ", now passed)" in row["check"]
    assert f"{len(moved)} marks moved, which changes.csv lists" in told


@pytest.mark.parametrize(
    ("removed", "fails"),
    [
        (None, False),
        ('    "graders.nbgrader_bridge.Judge",\n', False),
        ('c.Autograde.exporter_class = "graders.nbgrader_bridge.Reader"\n', True),
    ],
    ids=["all", "judge", "reader"],
)
def test_without_its_configuration_nobody_gains_a_point(fresh, removed, fails):
    config = fresh / "nbgrader_config.py"
    if removed is None:
        config.unlink()
    else:
        text = config.read_text(encoding="utf-8")
        assert removed in text
        config.write_text(text.replace(removed, ""), encoding="utf-8")
    hand_in(fresh, "ann", right(fresh))
    nbgrader(fresh, "autograde", LESSON, fails=fails)
    assert not any(exercise_scores(rows(fresh)["ann"]).values())


def test_no_seed_no_grade(fresh):
    (fresh / ".seed").unlink()
    hand_in(fresh, "ann", right(fresh))
    assert "there is no seed in" in nbgrader(fresh, "autograde", LESSON, fails=True)
    assert not any(exercise_scores(rows(fresh)["ann"]).values())


@pytest.mark.full
def test_two_hundred_submissions_in_one_command(fresh, tmp_path):
    made = samples(fresh)
    quick = [*made.right(), *made.wrong(), *made.hostile(), *made.broken()]
    chosen = [*made.slow(), *itertools.islice(itertools.cycle(quick), 196)]
    handed_in = {f"s{number:03}_{name}": (data, expected) for number, (name, data, expected) in enumerate(chosen)}
    graded = Graded(fresh, handed_in)
    assert graded.rows.keys() == handed_in.keys()
    assert len(graded.rows) == 200
    found = {student: exercise_scores(row) for student, row in graded.rows.items()}
    assert {student for student, scores in found.items() if None in scores.values()} == graded.lost
    seed = (fresh / ".seed").read_text(encoding="utf-8")
    verdicts = {each["student"]: each for each in grading.grade([fresh / "submitted"], tmp_path / "verdicts", seed)}
    ended = {student: outcomes(verdict) for student, verdict in verdicts.items()}
    expected = graded.expected
    for student in handed_in:  # shown by pytest -s
        total = "could not grade" if student in graded.lost else f"{sum(found[student].values()):g} points"
        print(f"{student:32} {total:16} {ended[student] or ''} (expected {expected[student] or ''})"[:200])
    assert {
        student: ended[student] for student in handed_in if not as_expected(ended[student], expected[student])
    } == {}
    for student in handed_in.keys() - graded.lost:
        assert found[student] == {each["name"]: each["score"] for each in verdicts[student]["exercises"]}
