"""Judge one submission of one lesson: workers do the calls, the checks run here on the data that comes back.

Hidden inputs are the same for a whole cohort, so the calls of each exercise are recorded once, while the checks run on the
reference. A worker then gets its cells and all its calls in one message and streams the answers.

First the exercises go through a few workers one after the other (see `together`). What is not right there is judged alone, in
fresh workers, a few ahead of the checks; a call that was not recorded (its argument depends on an earlier answer) is asked when
it comes.

A check is a function of the answers that it gets. So where all of them are the reference's, byte for byte, it passes as it did
when it was recorded, and is not run again.
"""

from __future__ import annotations

import hashlib
import json
import time
from collections import deque
from collections.abc import Callable
from dataclasses import asdict, dataclass, field, is_dataclass
from pathlib import Path
from types import ModuleType
from typing import Any

import torch

from exercises.kit.checking.closeness import relative, same
from graders.judge import checks, left_behind, together
from graders.judge.attempt import ERROR, FAILED, NOT_STARTED, PASSED, Attempt, Submission
from graders.judge.contract import one_line, slips_of
from graders.judge.processes import WorkerEnded, Zygote
from graders.judge.proxy import Proxy, describe_call, in_process, value_of
from graders.judge.told import NEEDS_ANOTHER, told
from graders.wire import notes

AHEAD = 2


@dataclass
class Lesson:
    """What the judge needs to know of a lesson: its name, hidden tests, reference solutions, slips and libraries."""

    name: str
    tests: Path
    solution: ModuleType
    slips: ModuleType | None = None
    libraries: tuple[str, ...] = ()


@dataclass
class CheckVerdict:
    """How one check ended."""

    name: str
    outcome: str
    message: str = ""
    slips: set[str] = field(default_factory=set)


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


class Judge:
    """Judges submissions of one lesson with one secret seed. Raises ValueError if the solutions fail the hidden tests."""

    def __init__(self, lesson: Lesson, seed: str, zygote: Zygote) -> None:
        torch.set_num_threads(1)
        self.lesson, self.seed, self.zygote = lesson, seed, zygote
        self.exercises = checks.collect(lesson.tests)
        self.names = [exercise.name for exercise in self.exercises]
        self._answers = in_process(vars(lesson.solution))
        self.reference = Proxy(self._answers)
        self._by_case: dict[tuple[str, str, str], list[bytes]] = {}  # exercise, check, case -> calls
        self.recorded = {exercise.name: self._record(exercise) for exercise in self.exercises}
        self._slips: dict[str, list[tuple[str, Callable[[bytes], bytes]]]] = {}
        for slip in slips_of(lesson.slips) if lesson.slips else []:
            asks = self._slips.setdefault(slip.exercise, [])  # type: ignore[attr-defined]
            asks.append((slip.sentence, in_process({slip.exercise: slip})))  # type: ignore[attr-defined]
        self._refusals: dict[
            str, list[tuple[str, set[str]]]
        ] = {}  # exercise -> (sentence, checks that refuse the slip)

    def _record(self, exercise: checks.Exercise) -> list[bytes]:
        """Run the checks on the reference and return the calls; the check of what they leave behind comes last."""
        calls: dict[bytes, bytes] = {}
        told: dict[bytes, tuple] = {}

        def ask(call: bytes) -> bytes:
            asked.append(calls.setdefault(call, call))
            return self._answers(call)

        def run(check: checks.Check, case: checks.Case) -> None:
            student = Proxy(ask)
            try:
                exercise.run(check, case, self.seed, student, self.reference)
            except Exception as error:
                where = f"{exercise.owner.__name__}.{check.name}[{case.id}]"
                raise ValueError(f"{self.lesson.name}: the solution fails {where}: {error!r}") from error
            told.update({call[0]: call for call in student._calls})

        for check in exercise.checks:
            for case in check.cases:
                asked = self._by_case[exercise.name, check.name, case.id] = []
                run(check, case)
        last = left_behind.check(list(told.values()), vars(self.lesson.solution).get(exercise.name))
        asked = self._by_case[exercise.name, last.name, last.cases[0].id] = []
        run(last, last.cases[0])
        exercise.checks.append(last)
        return list(calls)

    def judge(self, plan: dict[str, Any]) -> list[ExerciseVerdict]:
        """Judge a submission that was read (see `read`), exercise by exercise."""
        submission = Submission(self.zygote, self.lesson.name, plan)
        alone = {
            exercise.name: Attempt(submission, exercise.name, self.recorded[exercise.name], exercise.together_with)
            for exercise in self.exercises
        }
        right = self._right_ones(together.answered(self.zygote, list(alone.values())))
        waiting = deque(attempt for name, attempt in alone.items() if name not in right)
        attempts: deque[Attempt] = deque()
        verdicts = []
        for exercise in self.exercises:
            if exercise.name in right:
                verdicts.append(right[exercise.name])
                continue
            while waiting and len(attempts) <= AHEAD:
                waiting[0].start()
                attempts.append(waiting.popleft())
            attempt = attempts.popleft()
            try:
                verdicts.append(self._exercise(exercise, attempt))
            finally:
                attempt.end()
        _name_the_cause(verdicts, plan["plans"])
        return verdicts

    def _right_ones(self, answered: dict[str, tuple[dict[bytes, bytes], float]]) -> dict[str, ExerciseVerdict]:
        """Return the verdicts on the exercises that pass every check with these answers and no other call."""
        found = {}
        for name, (answers, seconds) in answered.items():
            exercise = self.exercise(name)
            if not any(self.refuses(exercise, check, answers.__getitem__) for check in exercise.checks):
                points, passed = exercise.points, [CheckVerdict(check.name, PASSED) for check in exercise.checks]
                found[name] = ExerciseVerdict(
                    name, PASSED, float(points), points, seconds=round(seconds, 4), checks=passed
                )
        return found

    def judge_in_process(self, space: dict[str, Any]) -> list[ExerciseVerdict]:
        """Judge trusted code in this process: for mutants, wheats and slips, never for a submission."""
        return [self.judge_function(exercise.name, space) for exercise in self.exercises]

    def judge_function(self, name: str, space: dict[str, Any]) -> ExerciseVerdict:
        """Judge one exercise of trusted code in this process."""
        return self._exercise(self.exercise(name), _Local(in_process(space)))

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

    def _exercise(self, exercise: checks.Exercise, attempt: Attempt | _Local) -> ExerciseVerdict:
        begun = time.monotonic()
        fate = attempt.fate()
        verdict = ExerciseVerdict(exercise.name, PASSED, 0.0, exercise.points)
        if fate is not None:
            verdict.outcome, verdict.message = fate
            verdict.checks = [CheckVerdict(check.name, *fate) for check in exercise.checks]
        else:
            verdict.checks = [self._check(exercise, check, attempt) for check in exercise.checks]
            self._sum_up(exercise, verdict)
        _settle(verdict, attempt.stub)
        cause = attempt.first_cause(verdict.message) if verdict.outcome == ERROR else ""
        verdict.message = f"{cause}\n{verdict.message}" if cause else verdict.message
        verdict.seconds = round(time.monotonic() - begun, 4)
        return verdict

    def _check(self, exercise: checks.Exercise, check: checks.Check, attempt: Attempt | _Local) -> CheckVerdict:
        for case in check.cases:
            if self._as_recorded(exercise, check, case, attempt.ask):
                continue
            student = Proxy(attempt.ask)
            try:
                exercise.run(check, case, self.seed, student, self.reference)
            except Exception as error:
                outcome, message = self.message(exercise.name, check.sentence, student, error)
                alike = left_behind.alike if check.name == left_behind.NAME else _alike
                return CheckVerdict(check.name, outcome, message, self._matching_slips(exercise.name, student, alike))
        return CheckVerdict(check.name, PASSED)

    def _as_recorded(
        self, exercise: checks.Exercise, check: checks.Check, case: checks.Case, ask: Callable[[bytes], bytes]
    ) -> bool:
        """Whether all answers of a case are the reference's."""
        calls = self._by_case[exercise.name, check.name, case.id]
        try:
            return all(ask(call) == self._answers(call) for call in calls)
        except WorkerEnded:
            return False

    def message(self, exercise: str, sentence: str, student: Proxy | None, error: Exception) -> tuple[str, str]:
        """Return the outcome and the message of a check that ended with `error`."""
        outcome, lines = told(error, exercise)
        call = self._call_line(student) if student else []
        return outcome, "\n".join(map(one_line, [*call, *(f"  {line}" for line in lines), f"  rule   {sentence}"]))

    def _call_line(self, student: Proxy) -> list[str]:
        if not student._calls:
            return []
        _, _, name, args, kwargs, probe = student._calls[-1]
        return [describe_call(name, args, kwargs, vars(self.lesson.solution).get(name), probe)]

    def _matching_slips(self, name: str, student: Proxy, alike: Callable[[bytes, bytes], bool]) -> set[str]:
        """Return the sentences of the slips that answer as the student did wherever the student's answer is not the reference's."""
        told = [(call, reply) for call, reply, called, *_ in student._calls if called == name and reply is not None]
        wrong = [(call, reply) for call, reply in told if not alike(reply, self._answers(call))]
        if not wrong:
            return set()
        slips = self._slips.get(name, [])
        return {sentence for sentence, ask in slips if all(alike(reply, ask(call)) for call, reply in wrong)}

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
            verdict.hint = _hint(
                first.slips, [check.slips for check in failed], lambda: self._ruled_out(exercise, passed)
            )

    def _ruled_out(self, exercise: checks.Exercise, passed: set[str]) -> set[str]:
        """Return the sentences of the slips that fail a check which the student passed: they did something else."""
        if exercise.name not in self._refusals:
            self._refusals[exercise.name] = [
                (sentence, {check.name for check in exercise.checks if self.refuses(exercise, check, ask)})
                for sentence, ask in self._slips.get(exercise.name, [])
            ]
        refusals = self._refusals[exercise.name]
        return {sentence for sentence, _ in refusals} - {sentence for sentence, by in refusals if not by & passed}


def _hint(shown: set[str], slips: list[set[str]], ruled_out: Callable[[], set[str]]) -> str:
    """Return the one slip that explains every failed check, else the one that alone explains the check whose message is shown.

    A slip that explains another check only would stand under a message that it has nothing to do with. Among several, those
    that fail where the student did not are left out.
    """
    for candidates in (set.intersection(*slips), shown):
        likely = candidates - ruled_out() if len(candidates) > 1 else candidates
        if len(likely) == 1:
            return next(iter(likely))
    return ""


def _alike(left: bytes, right: bytes) -> bool:
    """Whether two answers are the same: values up to rounding, exceptions by type."""
    left, right = notes.split(left)[1], notes.split(right)[1]
    if left == right:
        return True
    if left[:1] != right[:1]:
        return False
    if left[:1] == b"!":
        try:
            return json.loads(left[1:])["kind"] == json.loads(right[1:])["kind"]
        except (ValueError, KeyError, TypeError):
            return False
    try:
        same(_as_data(value_of(left)), _as_data(value_of(right)), relative(1e-6))
    except Exception:
        return False
    return left[:1] == b"="


def _as_data(value: Any) -> Any:
    """Return the value with the records of models in it as dicts, so that their numbers can be compared."""
    if isinstance(value, list | tuple):
        return type(value)(_as_data(item) for item in value)
    return asdict(value) if is_dataclass(value) and not isinstance(value, type) else value


def _settle(verdict: ExerciseVerdict, stub: bool) -> None:
    """An exercise that stopped at another one's stub is an error of its own, unless it is a stub itself."""
    everything: list[ExerciseVerdict | CheckVerdict] = [verdict, *verdict.checks]
    for part in everything:
        if part.outcome == NEEDS_ANOTHER:
            part.outcome = NOT_STARTED if stub else ERROR


def _name_the_cause(verdicts: list[ExerciseVerdict], plans: dict[str, Any]) -> None:
    """Say it first when a failed exercise uses another one that failed."""
    wrong = {verdict.name for verdict in verdicts if verdict.outcome != PASSED}
    for verdict in verdicts:
        below = [name for name in plans.get(verdict.name, {}).get("rests_on", []) if name in wrong]
        if verdict.outcome not in (PASSED, NOT_STARTED) and below:
            verdict.message = f"rests on {', '.join(below)}, which is not right yet\n{verdict.message}"


class _Local:
    """Stands for an attempt where trusted code is judged in this process."""

    stub = False

    def __init__(self, ask: Callable[[bytes], bytes]) -> None:
        self.ask = ask

    def fate(self) -> None:
        return None

    def first_cause(self, message: str) -> str:
        return ""


def seed_hash(seed: str) -> str:
    """Return the public commitment to a secret seed."""
    return hashlib.sha256(seed.encode()).hexdigest()
