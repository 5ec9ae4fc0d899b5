"""What counts of what was judged, and how much: an instructor's choice, applied to verdicts without judging again.

Nothing that was judged is lost by it: where other exercises or points count than were judged, the verdict keeps those under
`judged`. Overrides and a late penalty leave `score` as it is; with them a verdict has a `final_score`.
"""

from __future__ import annotations

import math
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from graders.errors import Problem
from graders.marks import tables
from graders.marks.late import Late
from graders.marks.overrides import Overrides

_MADE = ("judged", "overrides", "due", "late", "penalty", "final_score")


class Scheme:
    """A choice of exercises (none: all of them), points for some, overrides, and what being late costs."""

    def __init__(
        self,
        only: Iterable[str] = (),
        points: Path | None = None,
        known: Iterable[str] = (),
        overrides: Overrides | None = None,
        late: Late | None = None,
    ) -> None:
        """Take the names, and a CSV file with lines `exercise,points`. Raises Problem for names that are not `known`."""
        names = set(known)
        self.only = frozenset(only)
        self.points = _read(points) if points else {}
        self.overrides, self._late = overrides or Overrides(), late or Late()
        unknown = sorted((self.only | self.points.keys()) - names)
        if unknown:
            raise Problem(f"there is no exercise {unknown[0]}")

    def asked(self, exercises: Iterable[str]) -> list[str]:
        """Return those of a lesson's exercises that count."""
        return [name for name in exercises if not self.only or name in self.only]

    def covers(self, verdict: dict[str, Any], exercises: Iterable[str]) -> bool:
        """Whether a verdict has all of a lesson's exercises that are asked for."""
        judged = whole(verdict)
        return {each["name"] for each in judged} >= set(self.asked(exercises)) or not judged

    def applied(self, verdict: dict[str, Any], exercises: Iterable[str] = ()) -> dict[str, Any]:
        """Return a verdict with the exercises and points that are asked for: an exercise's share of its points stays.

        `exercises` are those of its lesson: an override may give a score to one that could not be judged.
        """
        judged = whole(verdict)
        counted = [self._scored(each) for each in judged if each["name"] in self.asked([each["name"]])]
        made = {key: value for key, value in verdict.items() if key not in _MADE}
        made |= {
            "exercises": counted,
            "score": round(sum(each["score"] for each in counted), 4),
            "max_score": sum(each["max_score"] for each in counted),
            **self._late.told(verdict),
        }
        if counted != judged:
            made["judged"] = judged
        names = self.asked(dict.fromkeys([*(each["name"] for each in counted), *exercises]))
        overrides = self.overrides.of(verdict["student"], names)
        if overrides:
            made["overrides"] = {name: override._asdict() for name, override in overrides.items()}
        if overrides or "penalty" in made:
            made["final_score"] = _final(made)
        return made

    def _scored(self, exercise: dict[str, Any]) -> dict[str, Any]:
        points = self.points.get(exercise["name"], exercise["max_score"])
        passed = sum(check["outcome"] == "passed" for check in exercise["checks"])
        share = passed / len(exercise["checks"]) if exercise["score"] else 0.0
        return exercise | {"max_score": points, "score": round(points * share, 4)}


def whole(verdict: dict[str, Any]) -> list[dict[str, Any]]:
    """Return all exercises of a verdict as they were judged, those that do not count among them."""
    return verdict.get("judged", verdict["exercises"])


def final_score(verdict: dict[str, Any]) -> float:
    """Return what a verdict is worth in the end, overrides and late penalty included."""
    return verdict.get("final_score", verdict["score"])


def mark(verdict: dict[str, Any], exercise: dict[str, Any]) -> float:
    """Return what an exercise of a verdict is worth: what an instructor said, else what was judged."""
    return verdict.get("overrides", {}).get(exercise["name"], exercise)["score"]


def _final(verdict: dict[str, Any]) -> float:
    """Add up the exercises, then take off the percent."""
    scores = {each["name"]: each["score"] for each in verdict["exercises"]}
    scores |= {name: override["score"] for name, override in verdict.get("overrides", {}).items()}
    return round(sum(scores.values()) * (1 - verdict.get("penalty", {"percent": 0})["percent"] / 100), 4)


def _read(path: Path) -> dict[str, float]:
    rows = [row for _, row in tables.rows(path, "the file")]
    found: dict[str, float] = {}
    for name, *rest in rows[rows[:1] == [["exercise", "points"]] :]:
        points = tables.number(rest[0]) if len(rest) == 1 else math.nan
        if not 0 < points < 1e6:  # an exercise without points would have neither full nor no score
            raise Problem(
                f"{path}: the line of {name} needs one number above 0 for its points; leave it out with --only"
            )
        found[name.strip()] = int(points) if points.is_integer() else points
    return found
