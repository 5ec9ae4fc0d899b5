"""What is recorded once per cohort, from trusted code and hidden inputs alone: calls, right answers, those of known mistakes.

Hidden inputs are the same for a whole cohort, so the calls of each exercise are noted while its checks run on the reference.
When they have run, this process asks the solution and the slips for nothing that was not recorded: what contains a student's
answer is asked of a worker (see `apart`).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType
from typing import Any

from graders.judge import checks, left_behind
from graders.judge.contract import slips_of
from graders.judge.proxy import Proxy
from graders.wire import schema
from graders.worker import worker

Ask = Callable[[bytes], bytes]


@dataclass
class Lesson:
    """What the judge needs to know of a lesson: its name, hidden tests, reference solutions, slips and libraries."""

    name: str
    tests: Path
    solution: ModuleType
    slips: ModuleType | None = None
    libraries: tuple[str, ...] = ()


def in_process(space: dict[str, Any]) -> Ask:
    """Return an `ask` that answers from a namespace of this process (trusted code only), each call once."""
    answers: dict[bytes, bytes] = {}

    def ask(call: bytes) -> bytes:
        if call not in answers:
            answers[call] = worker.answer(space, call)
        return answers[call]

    return ask


class Recording:
    """The checks of a lesson with one secret seed, the calls that they make, and the right answers.

    Raises ValueError if the solutions fail a check, or if a right answer comes near the limits that hold for answers.
    """

    def __init__(self, lesson: Lesson, seed: str) -> None:
        self.lesson, self.seed = lesson, seed
        self.exercises = checks.collect(lesson.tests)
        self._solution = in_process(vars(lesson.solution))
        self._answers: dict[bytes, bytes] = {}
        self._by_case: dict[tuple[str, str, str], list[bytes]] = {}  # exercise, check, case -> calls
        reference = Proxy(self._record_answer)
        self.calls = {exercise.name: self._record(exercise, reference) for exercise in self.exercises}
        self._slips: dict[str, list[tuple[str, Ask]]] = {}
        for slip in slips_of(lesson.slips) if lesson.slips else []:
            asks = self._slips.setdefault(slip.exercise, [])  # type: ignore[attr-defined]
            asks.append((slip.sentence, in_process({slip.exercise: slip})))  # type: ignore[attr-defined]

    def _record_answer(self, call: bytes) -> bytes:
        return self._answers.setdefault(call, self._solution(call))

    def _record(self, exercise: checks.Exercise, reference: Proxy) -> list[bytes]:
        """Run the checks on the reference and return the calls; the check of what these leave behind comes last."""
        calls: dict[bytes, tuple] = {}

        def run(check: checks.Check, case: checks.Case) -> None:
            student = Proxy(self._record_answer)
            where = f"{exercise.owner.__name__}.{check.name}[{case.id}]"
            try:
                exercise.run(check, case, self.seed, student, reference)
            except Exception as error:
                raise ValueError(f"{self.lesson.name}: the solution fails {where}: {error!r}") from error
            asked = [calls.setdefault(call[0], call)[0] for call in student._calls]
            self._by_case[exercise.name, check.name, case.id] = asked

        for check in exercise.checks:
            for case in check.cases:
                run(check, case)
        last = left_behind.check(list(calls.values()), vars(self.lesson.solution).get(exercise.name))
        run(last, last.cases[0])
        exercise.checks.append(last)
        if 2 * sum(len(self._answers[call]) for call in calls) > schema.MAX_ANSWERS:
            raise ValueError(f"{self.lesson.name}: the right answers of {exercise.name} are too large to be sent")
        return list(calls)

    def calls_of(self, exercise: checks.Exercise, check: checks.Check, case: checks.Case) -> list[bytes]:
        """Return the calls that a case made on the reference."""
        return self._by_case[exercise.name, check.name, case.id]

    def answer(self, call: bytes) -> bytes | None:
        """Return the right answer to a recorded call; None to one that was not: its arguments contain somebody's answer."""
        return self._answers.get(call)

    def slips(self, exercise: str) -> list[tuple[str, Ask]]:
        """Return the known mistakes of an exercise: a sentence, and an `ask` that runs it here: for recorded calls alone."""
        return self._slips.get(exercise, [])
