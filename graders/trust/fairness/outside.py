"""Answers from outside: written by people or programs that did not see the hidden tests. A folder of data that grows.

`outside/<lesson>/right/<exercise>__<name>.txt` and `.../wrong/...`: Python text that defines the exercise; what it does not
define itself (imports, other exercises) is the solution's. Its first line is a comment that says where it comes from; a line
`# screen: TEXT` says what the student's screen has to tell of a mistake. A right
answer must be accepted, a wrong one refused; of n that were, the true rate of failures is at most 3/n, at 95 % (the rule of
three: Hanley and Lippman-Hand, JAMA 1983).
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from graders.collecting.endings import PASSED
from graders.judge.judge import Judge

FOLDER = Path(__file__).parents[1] / "outside"
CLASSES = ("right", "wrong")


@dataclass(frozen=True)
class Case:
    """One answer from outside."""

    exercise: str
    name: str
    right: bool
    text: str

    @property
    def origin(self) -> str:
        """Where it comes from."""
        return self.text.partition("\n")[0].removeprefix("#").strip()

    @property
    def screen(self) -> str:
        """What the student's screen has to tell of it, "" if that is left open."""
        return next((line[9:].strip() for line in self.text.splitlines() if line.startswith("# screen:")), "")

    def space(self, solution: Any) -> dict[str, Any]:
        """Return the solution's names with this answer's in their place."""
        space = dict(vars(solution))
        exec(compile(self.text, f"<outside {self.name}>", "exec", dont_inherit=True), space)
        return space


def cases(lesson: str, folder: Path = FOLDER) -> Iterator[Case]:
    """Yield the answers from outside to a lesson. ValueError for a file that is not named after an exercise."""
    for kind in CLASSES:
        for path in sorted(folder.joinpath(lesson, kind).glob("*.txt")):
            exercise, found, name = path.stem.partition("__")
            if not found:
                raise ValueError(f"{path.name} is not named <exercise>__<name>.txt")
            yield Case(exercise, name, kind == "right", path.read_text(encoding="utf-8"))


def judged(judge: Judge, case: Case) -> bool:
    """Return whether a case is judged as it is: a right one accepted, a wrong one refused."""
    verdict = judge.judge_function(case.exercise, case.space(judge.lesson.solution))
    return (verdict.outcome == PASSED) is case.right


def bound(count: int, failures: int) -> float | None:
    """Return the upper bound at 95 % of the rate behind no failure in `count`; None where there is none, or a failure."""
    return None if failures or not count else min(1.0, 3 / count)


def counted(count: int, failures: int) -> dict[str, Any]:
    """Return what a report says of a class of cases: how many there are, how many were misjudged, and the bound."""
    return {"cases": count, "failures": failures, "bound": bound(count, failures)}
