"""Folders of verdicts as `grade` leaves them, made without judging."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from graders import lessons
from graders.cohort import judging, verdicts
from graders.cohort.submissions import Submission
from graders.judge.deciding import CheckVerdict, ExerciseVerdict
from tests.cohort.handed_in import L2, L4

FIRST, SECOND = lessons.exercises(L2)[:2]
MESSAGE = f"{FIRST}(x), x is float32 of shape (4,), values from -3 to 1\n  got    1\n  want   4242\n  rule   It counts."


def exercise(name: str, outcome: str, score: float) -> ExerciseVerdict:
    checks = [
        CheckVerdict("test_main", outcome, "" if outcome == "passed" else MESSAGE),
        CheckVerdict("test_b", "passed"),
    ]
    return ExerciseVerdict(name, outcome, score, 2, checks[0].message, "", 0.25, checks)


def line(student: str, lesson: str | None, *exercises: ExerciseVerdict, **besides: Any) -> dict[str, Any]:
    found = Submission(student, lesson, "a.py", student.encode())
    made = judging.environment("process", "s", lesson)
    told = (
        judging.record(found, lesson, made, list(exercises))
        if exercises
        else judging.record(found, lesson, made, reason="no")
    )
    return told | besides


def book(folder: Path) -> Path:
    """Ann is right, Bob wrong in every way and late, =Cy could not be graded, and a name is odd."""
    held = verdicts.Book(folder, "s")
    outcomes = ("failed", "error", "timeout", "memory", "killed", "not started")
    wrong = [exercise(name, told, 0.0) for name, told in zip(lessons.exercises(L2), outcomes, strict=False)]
    late: dict[str, Any] = {
        "late": True,
        "penalty": {"days": 2, "percent": 20.0},
        "final_score": 0.8,
        "name": "Bob Stone",
    }
    late |= {"overrides": {FIRST: {"score": 1, "reason": "half"}}, "handed_in": "2026-03-02T12:00:00+01:00"}
    for one in (
        line("ann", L2, exercise(FIRST, "passed", 2.0), exercise(SECOND, "passed", 2.0)),
        line("ann", L4, exercise(lessons.exercises(L4)[0], "passed", 1.3333)),
        line("bob", L2, *wrong, **late),
        line("=cy", None),
        line("d/../ö \x0b<&", L2, exercise(FIRST, "passed", 2.0)),
    ):
        held.add(one)
    held.close()
    return folder
