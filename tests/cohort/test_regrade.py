"""`grade` on a folder of older verdicts: what is judged again and why, which marks moved, and that a kill loses none of it."""

from __future__ import annotations

import csv
import itertools
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from graders import __main__, lessons
from graders.cohort import grading, judging, verdicts
from graders.cohort.spread.processes import Judged, Pool
from graders.errors import Problem
from graders.judge.deciding import CheckVerdict, ExerciseVerdict
from tests.cohort.handed_in import L2, L4, solved, write

FIRST, SECOND = lessons.exercises(L2)[:2]


class Class:
    """Ann and Bob handed in lesson 2, Bob lesson 4 too; who judges them is the test: `passed` tells how many of two checks."""

    def __init__(self, folder: Path, patch: pytest.MonkeyPatch) -> None:
        self.files, self.out = folder / "in", folder / "out"
        write(
            self.files, {f"ann/{L2}.py": solved("ann"), f"bob/{L2}.py": solved("bob"), f"bob/{L4}.py": solved("b", L4)}
        )
        self.passed: dict[str, int] = {"ann": 2, "bob": 2}
        self.judged: list[tuple[str, str | None]] = []
        self.dies_after = 99
        self.versions = {L2: "1+a", L4: "1+a"}
        patch.setattr(Pool, "judged", lambda pool, todo, seed: self.judge(todo, seed))
        for module in (verdicts, judging):
            patch.setattr(module, "graders_version", lambda lesson: self.versions.get(lesson, "1+a"))

    def judge(self, todo: Iterator[Any], seed: str) -> Iterator[Any]:
        for at, one in itertools.islice(todo, self.dies_after):
            self.judged.append((one.student, one.lesson))
            exercises = [self.exercise(name, self.passed[one.student]) for name in lessons.exercises(one.lesson)[:2]]
            environment = judging.environment("process", seed, one.lesson)
            yield at, one, Judged(judging.record(one, one.lesson, environment, exercises))
        if self.dies_after < 99:
            raise KeyboardInterrupt

    @staticmethod
    def exercise(name: str, passed: int) -> ExerciseVerdict:
        checks = [CheckVerdict(f"test_{at}", "passed" if at < passed else "failed") for at in range(2)]
        return ExerciseVerdict(name, "passed" if passed == 2 else "failed", float(passed), 2, checks=checks)

    def grade(self, **options: Any) -> list[str]:
        """Grade and return what was said of the run."""
        said: list[str] = []
        self.judged.clear()
        names = (*lessons.exercises(L2)[:2], *lessons.exercises(L4)[:2])
        made = grading.Options(**({"only": names} | options))
        self.told = {
            (one["student"], one["lesson"]): one
            for one in grading.grade([self.files], self.out, "s", options=made, note=said.append)
        }
        return said

    def changes(self) -> list[dict[str, str]]:
        if not (self.out / "changes.csv").exists():
            return []
        with (self.out / "changes.csv").open(newline="") as file:
            return list(csv.DictReader(file))


@pytest.fixture
def cohort(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Class:
    made = Class(tmp_path, monkeypatch)
    assert made.grade() == []
    assert len(made.judged) == 3
    return made


def test_a_second_run_judges_nothing_and_says_nothing(cohort: Class) -> None:
    assert cohort.grade() == []
    assert (cohort.judged, cohort.changes()) == ([], [])


def test_other_graders_of_a_lesson_judge_that_lesson_again_and_the_marks_that_move_are_listed(cohort: Class) -> None:
    cohort.versions[L2] = "1+b"
    cohort.passed["bob"] = 1
    said = cohort.grade()
    assert cohort.judged == [("ann", L2), ("bob", L2)]
    assert f"2 judged again: the graders of {L2} changed" in said
    assert any("2 verdicts on l2_data_types" in one for one in said)
    assert any("2 marks moved" in one for one in said)
    told = [
        (row["student"], row["exercise"], row["old"], row["new"], row["check"], row["why"]) for row in cohort.changes()
    ]
    check = "test_1 (passed, now failed)"
    assert told == [("bob", name, "2", "1", check, "the graders changed") for name in (FIRST, SECOND)]
    assert cohort.told["ann", L2]["environment"]["graders"] == "1+b"
    assert cohort.told["bob", L4]["environment"]["graders"] == "1+a"


def test_a_run_that_is_killed_and_goes_on_lists_all_marks_that_moved_once(cohort: Class) -> None:
    cohort.versions[L2], cohort.passed, cohort.dies_after = "1+b", {"ann": 1, "bob": 0}, 1
    with pytest.raises(KeyboardInterrupt):
        cohort.grade()
    assert cohort.changes() == []
    cohort.dies_after = 99
    cohort.grade()
    assert cohort.judged == [("bob", L2)]
    assert [(row["student"], row["new"]) for row in cohort.changes()] == [("ann", "1")] * 2 + [("bob", "0")] * 2


def test_a_kill_between_the_list_and_the_end_lists_nothing_twice(
    cohort: Class, monkeypatch: pytest.MonkeyPatch
) -> None:
    cohort.versions[L2], cohort.passed["ann"] = "1+b", 1

    def killed(self: verdicts.Book) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(verdicts.Book, "compact", killed)
        with pytest.raises(KeyboardInterrupt):
            cohort.grade()
    listed = cohort.changes()
    cohort.grade()
    assert cohort.changes() == listed
    assert len(listed) == 2


def test_what_moved_stays_listed_when_it_moves_back(cohort: Class) -> None:
    for at, passed in enumerate((1, 2, 1)):
        cohort.versions[L2], cohort.passed["ann"] = f"2+{at}", passed
        cohort.grade()
    assert [(row["old"], row["new"]) for row in cohort.changes() if row["exercise"] == FIRST] == [
        ("2", "1"),
        ("1", "2"),
        ("2", "1"),
    ]


def test_other_points_judge_nothing_and_going_back_restores_every_line(cohort: Class, tmp_path: Path) -> None:
    before = cohort.told
    (tmp_path / "points.csv").write_text(f"{FIRST},7\n")
    cohort.grade(points=tmp_path / "points.csv", only=(FIRST,))
    assert (cohort.judged, cohort.told["ann", L2]["max_score"]) == ([], 7)
    cohort.grade()
    assert (cohort.judged, cohort.told) == ([], before)


def test_other_files_are_judged_again_and_said_so(cohort: Class) -> None:
    write(cohort.files, {f"ann/{L2}.py": solved("another")})
    cohort.passed["ann"] = 1
    assert "1 judged again: other files were handed in" in cohort.grade()
    assert {row["why"] for row in cohort.changes()} == {"other files were handed in"}


def test_overrides_are_read_at_every_run_and_survive_regrading(cohort: Class) -> None:
    path = cohort.out / "overrides.csv"
    path.write_text(f"ann,{FIRST},0.5,talked to her\ncy,{FIRST},1,nobody\n")
    said = cohort.grade()
    assert any("cy has no verdict" in one for one in said)
    assert (cohort.told["ann", L2]["score"], cohort.told["ann", L2]["final_score"]) == (4.0, 2.5)
    assert [(row["exercise"], row["new"], row["why"]) for row in cohort.changes()] == [
        (FIRST, "0.5", "override: talked to her")
    ]
    cohort.versions[L2] = "1+b"
    cohort.grade()
    assert cohort.told["ann", L2]["final_score"] == 2.5
    path.unlink()
    cohort.grade()
    assert "final_score" not in cohort.told["ann", L2]


def test_a_line_that_is_no_override_stops_the_run_before_it_begins(
    cohort: Class, capsys: pytest.CaptureFixture[str]
) -> None:
    (cohort.out / "overrides.csv").write_text("ann,spacin,1,typo\n")
    assert __main__.main(["grade", str(cohort.files), "--output", str(cohort.out)]) == 2
    assert "line 1 (there is no exercise 'spacin')" in (told := capsys.readouterr().err)
    assert told.count("\n") == 1


def test_late_work_counts_whole_unless_a_penalty_is_asked_for(cohort: Class, tmp_path: Path) -> None:
    (tmp_path / "roster.csv").write_text("id,extension\nann,\nbob,2\n")
    files = write(
        tmp_path / "class", {f"hw_{who}_attempt_2026-03-03-12-00-00_{L2}.py": solved(who) for who in ("ann", "bob")}
    )
    cohort.files = files
    cohort.grade(due=("2026-03-02 12:00",), roster=tmp_path / "roster.csv")
    ann, bob = (cohort.told[who, L2] for who in ("ann", "bob"))
    assert (ann["late"], "late" in bob, "final_score" in ann, bob["due"][:10]) == (True, False, False, "2026-03-04")
    cohort.grade(due=("2026-03-02 12:00",), roster=tmp_path / "roster.csv", late_penalty="10")
    ann, bob = (cohort.told[who, L2] for who in ("ann", "bob"))
    assert (ann["score"], ann["final_score"], ann["penalty"]) == (4.0, 3.6, {"days": 1, "percent": 10.0})
    assert "penalty" not in bob
    assert [(row["student"], row["exercise"], row["new"]) for row in cohort.changes()] == [("ann", "", "10 % off")]


def test_a_class_list_with_a_date_that_is_none_is_wrong_use(cohort: Class, tmp_path: Path) -> None:
    (tmp_path / "roster.csv").write_text("id,due\nann,next week\n")
    with pytest.raises(Problem, match="the due date of ann: 'next week' is no time"):
        cohort.grade(roster=tmp_path / "roster.csv")
