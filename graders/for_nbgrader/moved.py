"""`changes.csv` of a course: every mark that `nbgrader autograde` moved, and the checks that moved it, as `grade` lists them."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from nbgrader.api import Grade

from graders.for_nbgrader.cells import TEST
from graders.marks import changes

NOTED = "graders"  # the key in an autograded notebook's metadata under which stands of what, and by whom, it was made
Checks = dict[str, dict[str, str]]  # exercise -> check -> how it ended


def checks_of(verdict: dict[str, Any]) -> Checks:
    """Return how each check of a verdict ended."""
    return {each["name"]: {one["name"]: one["outcome"] for one in each["checks"]} for each in verdict["exercises"]}


def marks(grades: Mapping[str, Grade]) -> dict[str, tuple[float, float | None, float]]:
    """Return of each exercise that was graded before: the judge's score, the one given by hand, and the points."""
    return {
        name.removeprefix(TEST): (grade.auto_score, grade.manual_score, grade.cell.max_score)
        for name, grade in grades.items()
        if name.startswith(TEST) and grade.auto_score is not None
    }


def add(course: Path, about: Mapping[str, str], old: tuple[dict, dict], new: tuple[dict, dict]) -> int:
    """Add the marks of a submission that moved to `changes.csv`; return how many did.

    about: the names of student and assignment. old, new: what was noted in the autograded notebook, and `marks`.
    A first mark has not moved.
    """
    if not old[1]:
        return 0
    before = {"submitted": "", "checks": new[0].get("checks", {})} | old[0]  # graders of an earlier version noted less
    pair = _verdict(about, before, old[1]), _verdict(about, new[0], new[1])
    return changes.add([pair], course / changes.FILE)


def _verdict(about: Mapping[str, str], noted: dict[str, Any], told: dict[str, Any]) -> dict[str, Any]:
    return {
        "student": about["student"],
        "lesson": about["assignment"],
        "sha256": noted.get("submitted"),
        "environment": {"graders": noted.get("graders")},
        "exercises": [
            {
                "name": name,
                "score": score,
                "max_score": points,
                "checks": [
                    {"name": check, "outcome": outcome}
                    for check, outcome in noted.get("checks", {}).get(name, {}).items()
                ],
            }
            for name, (score, _, points) in told.items()
        ],
        "overrides": {
            name: {"score": by_hand, "reason": "formgrader"}
            for name, (_, by_hand, _) in told.items()
            if by_hand is not None
        },
    }
