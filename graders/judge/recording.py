"""What is recorded once per cohort, from trusted code and hidden inputs alone: calls, right answers, those of known mistakes.

Hidden inputs are the same for a whole cohort, so the calls of an exercise are noted while its checks run on the reference, when
they are first asked for. When they have run, this process asks the solution and the slips for nothing that was not recorded:
what contains a student's answer is asked of a worker (see `apart`).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType
from typing import Any

from graders.judge import checks, left_behind
from graders.judge.contract import slips_of
from graders.judge.kept import Kept, Recorded
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
    """The checks of a lesson with one secret seed, the calls that they make, and the right answers, each when first asked for.

    `kept` holds what was recorded before. Whatever records raises ValueError if the solution fails a check, or if its answers
    come near the limits that hold for answers.
    """

    def __init__(self, lesson: Lesson, seed: str, kept: Kept | None = None) -> None:
        self.lesson, self.seed, self._kept = lesson, seed, kept
        self.exercises = checks.collect(lesson.tests)
        for exercise in self.exercises:
            solution = vars(lesson.solution).get(exercise.name)
            exercise.checks.append(left_behind.check(lambda name=exercise.name: self.calls(name), solution))  # type: ignore[misc]
        self._by_name = {exercise.name: exercise for exercise in self.exercises}
        self._solution = in_process(vars(lesson.solution))
        self._recorded: dict[str, Recorded] = {}
        self._answers: dict[bytes, bytes] = {}
        self._slips: dict[str, list[tuple[str, Ask]]] = {}
        for slip in slips_of(lesson.slips) if lesson.slips else []:
            asks = self._slips.setdefault(slip.exercise, [])  # type: ignore[attr-defined]
            asks.append((slip.sentence, in_process({slip.exercise: slip})))  # type: ignore[attr-defined]

    def calls(self, name: str) -> list[bytes]:
        """Return the calls that the checks of an exercise make on the reference."""
        return self._of(name).calls

    def _of(self, name: str) -> Recorded:
        """Return what was recorded of an exercise; record it now if nothing was, here or before."""
        if name not in self._recorded:
            found = self._kept.read(name) if self._kept else None
            if found is None:
                found = self._record(self._by_name[name])
                if self._kept:
                    self._kept.write(name, found)
            self._recorded[name] = found
            self._answers |= found.answers
        return self._recorded[name]

    def _record(self, exercise: checks.Exercise) -> Recorded:
        """Run the checks on the reference."""
        made = Recorded([], {}, {})

        def answer(call: bytes) -> bytes:
            return made.answers.setdefault(call, self._solution(call))

        reference = Proxy(answer)
        for check in exercise.checks:
            if check.name == left_behind.NAME:  # which repeats the calls of the others
                continue
            for case in check.cases:
                student = Proxy(answer)
                try:
                    exercise.run(check, case, self.seed, student, reference)
                except Exception as error:
                    where = f"{exercise.owner.__name__}.{check.name}[{case.id}]"
                    raise ValueError(f"{self.lesson.name}: the solution fails {where}: {error!r}") from error
                made.by_case[check.name, case.id] = [call[0] for call in student._calls]
        made.calls = list(dict.fromkeys(call for calls in made.by_case.values() for call in calls))
        made.by_case[left_behind.NAME, ""] = made.calls
        left = [note for call in made.calls for note in left_behind.notes_of(made.answers[call])]
        if left:
            raise ValueError(f"{self.lesson.name}: the solution of {exercise.name} leaves something behind: {left}")
        if 2 * sum(len(made.answers[call]) for call in made.calls) > schema.MAX_ANSWERS:
            raise ValueError(f"{self.lesson.name}: the right answers of {exercise.name} are too large to be sent")
        return made

    def calls_of(self, exercise: checks.Exercise, check: checks.Check, case: checks.Case) -> list[bytes]:
        """Return the calls that a case made on the reference."""
        return self._of(exercise.name).by_case[check.name, case.id]

    def size(self, name: str) -> int:
        """Return the bytes of the right answers to the calls of an exercise."""
        found = self._of(name)
        return sum(len(found.answers[call]) for call in found.calls)

    def answer(self, call: bytes) -> bytes | None:
        """Return the right answer to a recorded call; None to one that was not: its arguments contain somebody's answer."""
        return self._answers.get(call)

    def slips(self, exercise: str) -> list[tuple[str, Ask]]:
        """Return the known mistakes of an exercise: a sentence, and an `ask` that runs it here: for recorded calls alone."""
        return self._slips.get(exercise, [])
