"""Which exercises count, and how much: an instructor's choice, applied to verdicts without judging again."""

from __future__ import annotations

import csv
import math
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from graders.errors import Problem


class Scheme:
    """A choice of exercises (none: all of them), and points for some."""

    def __init__(self, only: Iterable[str] = (), points: Path | None = None, known: Iterable[str] = ()) -> None:
        """Take the names, and a CSV file with lines `exercise,points`. Raises Problem for names that are not `known`."""
        names = set(known)
        self.only = frozenset(only)
        self.points = _read(points) if points else {}
        unknown = sorted((self.only | self.points.keys()) - names)
        if unknown:
            raise Problem(f"there is no exercise {unknown[0]}")

    def asked(self, exercises: Iterable[str]) -> list[str]:
        """Return those of a lesson's exercises that count."""
        return [name for name in exercises if not self.only or name in self.only]

    def covers(self, verdict: dict[str, Any], exercises: Iterable[str]) -> bool:
        """Whether a verdict has all of a lesson's exercises that are asked for."""
        return {each["name"] for each in verdict["exercises"]} >= set(self.asked(exercises)) or not verdict["exercises"]

    def applied(self, verdict: dict[str, Any]) -> dict[str, Any]:
        """Return a verdict with the exercises and points that are asked for: an exercise's share of its points stays."""
        exercises = [self._scored(each) for each in verdict["exercises"] if each["name"] in self.asked([each["name"]])]
        score = round(sum(each["score"] for each in exercises), 4)
        return verdict | {
            "exercises": exercises,
            "score": score,
            "max_score": sum(each["max_score"] for each in exercises),
        }

    def _scored(self, exercise: dict[str, Any]) -> dict[str, Any]:
        points = self.points.get(exercise["name"], exercise["max_score"])
        passed = sum(check["outcome"] == "passed" for check in exercise["checks"])
        share = passed / len(exercise["checks"]) if exercise["score"] else 0.0
        return exercise | {"max_score": points, "score": round(points * share, 4)}


def _read(path: Path) -> dict[str, float]:
    try:
        rows = [row for row in csv.reader(path.read_text(encoding="utf-8-sig").splitlines()) if row]
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise Problem(f"{path} cannot be read as CSV: {error}") from None
    found: dict[str, float] = {}
    for name, *rest in rows[rows[:1] == [["exercise", "points"]] :]:
        try:
            (points,) = map(float, rest)
        except ValueError:
            points = math.nan
        if not 0 < points < 1e6:  # an exercise without points would have neither full nor no score
            raise Problem(
                f"{path}: the line of {name} needs one number above 0 for its points; leave it out with --only"
            )
        found[name.strip()] = int(points) if points.is_integer() else points
    return found
