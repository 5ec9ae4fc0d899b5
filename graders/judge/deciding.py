"""From bytes to a verdict: the checks run here, on the answers that were collected.

A check is a function of the answers that it gets. So where all of them are the reference's, byte for byte or exceptions of the
same type, it passes as it did when it was recorded, and is not run again. Else its answers are checked, decoded once, and looked
at for a limited time.
Nothing is executed here on what a worker sent, and nothing is written.
"""

from __future__ import annotations

import contextlib
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import partial
from typing import TYPE_CHECKING, Any, Protocol

from exercises.kit.checking.closeness import Mismatch
from exercises.kit.checking.properties import property_of
from graders.collecting.endings import ERROR, FAILED, NOT_STARTED, PASSED, WorkerEnded, one_line
from graders.collecting.limited import limited
from graders.judge import checks, left_behind
from graders.judge.proxy import Proxy, Values, describe_call, value_of
from graders.judge.told import NEEDS_ANOTHER, alike, hint, told
from graders.wire.alike import is_right

if TYPE_CHECKING:
    from graders.judge.recording import Recording

SECONDS = 5.0  # of CPU, for the checks of one exercise


@dataclass
class CheckVerdict:
    """How one check ended."""

    name: str
    outcome: str
    message: str = ""
    slips: set[str] = field(default_factory=set)
    apart: str = ""  # what sets the answer apart from the right one, as far as it can be told from it


@dataclass
class ExerciseVerdict:
    """How one exercise ended."""

    name: str
    outcome: str
    score: float
    max_score: float
    message: str = ""
    hint: str = ""
    seconds: float = 0.0
    checks: list[CheckVerdict] = field(default_factory=list)
    measured: list[dict[str, Any]] = field(default_factory=list)  # rows for a leaderboard, where an exercise has one


class Answers(Protocol):
    """What was collected for one exercise: its fate before any check, and the answers to calls as bytes."""

    stub: bool
    seconds: float  # that it took already

    def fate(self) -> tuple[str, str] | None: ...

    def ask(self, call: bytes) -> bytes: ...

    def first_cause(self, message: str) -> str: ...


class Apart(Protocol):
    """Whoever answers calls whose arguments contain a student's answer; not this process."""

    def begin(self) -> None: ...

    def right(self, call: bytes) -> bytes: ...

    def slips(self, exercise: str, call: bytes) -> list[tuple[str, bytes]]: ...


class Decider:
    """Decides on the exercises of one lesson, given what was recorded of it."""

    def __init__(self, recording: Recording, apart: Apart, seconds: float = SECONDS) -> None:
        self.recording, self._apart, self._seconds = recording, apart, seconds
        self.lesson, self.seed, self.exercises = recording.lesson, recording.seed, recording.exercises
        self.names = [exercise.name for exercise in self.exercises]
        self.reference = Proxy(self._answer_of_the_reference)
        self._known = Values()  # what the reference and the slips answer
        self._refusals: dict[
            str, list[tuple[str, set[str]]]
        ] = {}  # exercise -> (sentence, checks that refuse the slip)

    def _answer_of_the_reference(self, call: bytes) -> bytes:
        return self.recording.answer(call) or self._apart.right(call)

    def exercise(self, name: str) -> checks.Exercise:
        """Return what is known of an exercise: its points and checks."""
        return next(known for known in self.exercises if known.name == name)

    def refuses(self, exercise: checks.Exercise, check: checks.Check, ask: Callable[[bytes], bytes]) -> bool:
        """Return whether a check refuses the answers of `ask`; no message is made, so that thousands can be asked."""
        for case in check.cases:
            try:
                if self._as_recorded(exercise, check, case, ask):
                    continue
                exercise.run(check, case, self.seed, Proxy(ask), self.reference)
            except Exception:
                return True
        return False

    def _measure(self, exercise: checks.Exercise, verdict: ExerciseVerdict, ask: Callable[[bytes], bytes]) -> None:
        """Note what the test class measures of answers whose main check passed, if it measures anything."""
        measure = getattr(exercise.owner, "measured", None)
        if measure and any(check.name == exercise.main.name and check.outcome == PASSED for check in verdict.checks):
            with contextlib.suppress(Exception), _limited(self._seconds):
                verdict.measured = measure(Proxy(ask))

    def decide(self, exercise: checks.Exercise, answers: Answers) -> ExerciseVerdict:
        """Return the verdict on an exercise."""
        begun = time.monotonic()
        self._apart.begin()
        fate = answers.fate()
        verdict = ExerciseVerdict(exercise.name, PASSED, 0.0, exercise.points)
        if fate is not None:
            verdict.outcome, verdict.message = fate
            verdict.checks = [CheckVerdict(check.name, *fate) for check in exercise.checks]
        else:
            values = Values()
            left = self._seconds
            for check in exercise.checks:
                before = time.process_time()
                verdict.checks.append(self._check(exercise, check, answers, values, left))
                left = max(left - (time.process_time() - before), self._seconds / 50)
            self._sum_up(exercise, verdict)
            self._measure(exercise, verdict, answers.ask)
        _settle(verdict, answers.stub)
        cause = answers.first_cause(verdict.message) if verdict.outcome == ERROR else ""
        verdict.message = f"{cause}\n{verdict.message}" if cause else verdict.message
        verdict.seconds = round(answers.seconds + time.monotonic() - begun, 4)
        return verdict

    def _check(
        self, exercise: checks.Exercise, check: checks.Check, answers: Answers, values: Values, seconds: float
    ) -> CheckVerdict:
        student = Proxy(answers.ask, values)
        try:
            with _limited(seconds):
                for case in check.cases:
                    if not self._as_recorded(exercise, check, case, answers.ask):
                        student._calls.clear()
                        exercise.run(check, case, self.seed, student, self.reference)
        except Exception as error:
            fixed = "generator" not in check.fixtures
            outcome, message = self.message(exercise.name, check.sentence, student, error, fixed)
            slips: set[str] = set()
            with contextlib.suppress(WorkerEnded), _limited(seconds):
                slips = self._matching_slips(exercise.name, student, values, check.name == left_behind.NAME)
            return CheckVerdict(check.name, outcome, message, slips, self._property(student, error, values))
        return CheckVerdict(check.name, PASSED)

    def _as_recorded(
        self, exercise: checks.Exercise, check: checks.Check, case: checks.Case, ask: Callable[[bytes], bytes]
    ) -> bool:
        """Whether no check can tell the answers of a case from the reference's."""
        try:
            calls = self.recording.calls_of(exercise, check, case)
            return all(is_right(ask(call), self.recording.answer(call) or b"") for call in calls)
        except WorkerEnded:
            return False

    def _property(self, student: Proxy, error: Exception, values: Values) -> str:
        """Return what sets the last answer apart from the right one, "" if that is not to be told from the two."""
        if not isinstance(error, Mismatch) or not student._calls:
            return ""
        call, reply = student._calls[-1][:2]
        right = self.recording.answer(call)
        if reply is None or right is None:
            return ""
        with contextlib.suppress(Exception):
            return property_of(value_of(reply, values), value_of(right, values), numbers=False) or ""
        return ""

    def message(
        self, exercise: str, sentence: str, student: Proxy | None, error: Exception, fixed: bool = False
    ) -> tuple[str, str]:
        """Return the outcome and the message of a check that ended with `error`; `fixed`: its inputs are not drawn."""
        outcome, lines = told(error, exercise)
        call = self._call_line(student, fixed) if student else []
        return outcome, "\n".join(map(one_line, [*call, *(f"  {line}" for line in lines), f"  rule   {sentence}"]))

    def _call_line(self, student: Proxy, fixed: bool) -> list[str]:
        if not student._calls:
            return []
        _, _, name, args, kwargs, probe = student._calls[-1]
        return [describe_call(name, args, kwargs, vars(self.lesson.solution).get(name), probe, fixed)]

    def _matching_slips(self, name: str, student: Proxy, values: Values, only_left_behind: bool) -> set[str]:
        """Return the sentences of the slips that answer as the student did wherever the student's answer is not the reference's.

        only_left_behind: what is compared is not the answers, but what the calls left behind.
        """
        same = left_behind.alike if only_left_behind else partial(alike, values=values, known=self._known)
        known = self.recording.slips(name)
        told = [(call, reply) for call, reply, called, *_ in student._calls if called == name and reply is not None]
        likely: set[str] | None = None
        for call, reply in told if known else []:
            right = self.recording.answer(call)
            if right is not None:
                theirs = [(sentence, ask(call)) for sentence, ask in known] if reply != right else []
            else:
                right, theirs = self._apart.right(call), self._apart.slips(name, call)
            if not same(reply, right):
                theirs = [(sentence, answer) for sentence, answer in theirs if likely is None or sentence in likely]
                likely = {sentence for sentence, answer in theirs if same(reply, answer)}
                if not likely:
                    break
        return likely or set()

    def _sum_up(self, exercise: checks.Exercise, verdict: ExerciseVerdict) -> None:
        failed = [check for check in verdict.checks if check.outcome != PASSED]
        if not failed:
            verdict.score = float(exercise.points)
            return
        main = next(check for check in verdict.checks if check.name == exercise.main.name)
        first = main if main.outcome != PASSED else failed[0]
        verdict.outcome, verdict.message = first.outcome, first.message
        if main.outcome == PASSED:
            share = (len(verdict.checks) - len(failed)) / len(verdict.checks)
            verdict.score = round(exercise.points * share, 4)
        if verdict.outcome == FAILED or verdict.outcome == ERROR:
            passed = {check.name for check in verdict.checks if check.outcome == PASSED}
            slips = [check.slips for check in failed]
            verdict.hint = hint(first.slips, slips, lambda: self._ruled_out(exercise, passed)) or first.apart

    def _ruled_out(self, exercise: checks.Exercise, passed: set[str]) -> set[str]:
        """Return the sentences of the slips that fail a check which the student passed: they did something else.

        A slip is judged on its own answers, which are as trusted as it is, once for all students.
        """
        if exercise.name not in self._refusals:
            self._refusals[exercise.name] = [
                (sentence, {check.name for check in exercise.checks if self.refuses(exercise, check, ask)})
                for sentence, ask in self.recording.slips(exercise.name)
            ]
        refusals = self._refusals[exercise.name]
        return {sentence for sentence, _ in refusals} - {sentence for sentence, by in refusals if not by & passed}


def _settle(verdict: ExerciseVerdict, stub: bool) -> None:
    """An exercise that stopped at another one's stub is an error of its own, unless it is a stub itself."""
    everything: list[ExerciseVerdict | CheckVerdict] = [verdict, *verdict.checks]
    for part in everything:
        if part.outcome == NEEDS_ANOTHER:
            part.outcome = NOT_STARTED if stub else ERROR


def _limited(seconds: float) -> contextlib.AbstractContextManager[None]:
    """Raise WorkerEnded("timeout") when so much was computed."""
    return limited(seconds, lambda: WorkerEnded("timeout", "its answer takes too long to look at"))
