"""`overrides.csv`: what an instructor decided about an exercise of a student, and why. What was judged stays beside it."""

from __future__ import annotations

import unicodedata
from collections.abc import Iterable
from pathlib import Path
from typing import NamedTuple

from graders.errors import Problem
from graders.marks import tables

FILE = "overrides.csv"
COLUMNS = ("student", "exercise", "score", "reason")


class Override(NamedTuple):
    """The score that counts for an exercise of a student, and the reason."""

    score: float
    reason: str


class Overrides:
    """The overrides of an output folder, by student and exercise; none where there is no file."""

    def __init__(self, path: Path | None = None, known: Iterable[str] = ()) -> None:
        """Read the file. Raises Problem with a sentence that names all lines that are none, or whose exercise is not `known`."""
        self.path = path
        self.all: dict[tuple[str, str], Override] = {}
        if path is None or not path.exists():
            return
        names, wrong = set(known), []
        for number, row in tables.rows(path, "the file"):
            told = [unicodedata.normalize("NFC", value.strip()) for value in row]
            if tuple(value.casefold() for value in told) == COLUMNS:
                continue
            student, exercise, score = (*told, "", "", "")[:3]
            fault = _fault(told, names, (student, exercise) in self.all)
            if fault:
                wrong.append(f"line {number} ({fault})")
            else:
                self.all[student, exercise] = Override(_whole(tables.number(score)), ", ".join(told[3:]))
        if wrong:
            raise Problem(f"{path}: correct or take out {', '.join(wrong)}; a line is student,exercise,score,reason")

    def of(self, student: str, exercises: Iterable[str]) -> dict[str, Override]:
        """Return the overrides for some exercises of a student."""
        found = {name: self.all.get((student, name)) for name in exercises}
        return {name: override for name, override in found.items() if override}


def _fault(told: list[str], names: set[str], twice: bool) -> str:
    if len(told) < 3 or not told[0]:
        return "it needs a student, an exercise and a score"
    if told[1] not in names:
        return f"there is no exercise {told[1]!r}"
    if twice:
        return f"{told[1]} of {told[0]} stands there twice"
    if len(told) > 3 and told[3].isdecimal():
        return f"{told[2]},{told[3]} is two values here; write {told[2]}.{told[3]}"
    return "" if 0 <= tables.number(told[2]) < 1e6 else f"{told[2]!r} is no score"


def _whole(score: float) -> float:
    return int(score) if score.is_integer() else score
