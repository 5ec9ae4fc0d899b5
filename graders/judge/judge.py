"""Judge one submission of one lesson: what was recorded once, what workers answer, and what is decided on it.

First the exercises go through a few workers one after the other (see `collecting.together`). What could not be answered there is
asked with more patience, in fresh workers, a few ahead of the checks.
"""

from __future__ import annotations

import gc
import math
from collections import deque
from collections.abc import Collection
from typing import Any

import torch

from graders.collecting import together
from graders.collecting.attempt import Asked, Attempt, Submission
from graders.collecting.endings import NOT_STARTED, PASSED
from graders.collecting.processes import Zygote
from graders.judge import checks
from graders.judge.apart import Apart
from graders.judge.deciding import SECONDS, Decider, ExerciseVerdict
from graders.judge.kept import Kept
from graders.judge.recording import Ask, Lesson, Recording, in_process

AHEAD = 2
HELD = (
    1 << 20
)  # bytes of answers that failed, after which garbage is collected: an exception and its frames hold one another


class Judge(Decider):
    """Judges submissions of one lesson with one secret seed; whatever it does raises ValueError if a solution fails its tests.

    Without a zygote it judges trusted code alone, in this process and without limits. `kept` holds earlier recordings.
    """

    def __init__(self, lesson: Lesson, seed: str, zygote: Zygote | None, kept: Kept | None = None) -> None:
        torch.set_num_threads(1)
        self._zygote, self._held = zygote, 0
        recording = Recording(lesson, seed, kept)
        if zygote is None:
            super().__init__(recording, _Here(recording), math.inf)
        else:
            super().__init__(recording, Apart(zygote, lesson), SECONDS)

    @property
    def zygote(self) -> Zygote:
        assert self._zygote is not None
        return self._zygote

    def judge(self, plan: dict[str, Any], only: Collection[str] = ()) -> list[ExerciseVerdict]:
        """Judge a submission that was read (see `Zygote.read`), exercise by exercise.

        only: the exercises that are asked for, if not all; what these rest on is judged too where they are not right.
        """
        submission = Submission(plan)
        verdicts = self._judge(submission, [one for one in self.exercises if not only or one.name in only])
        known = {verdict.name for verdict in verdicts}
        below = {
            name for verdict in verdicts if verdict.outcome != PASSED for name in submission.rests_on(verdict.name)
        }
        others = self._judge(submission, [one for one in self.exercises if one.name in below - known])
        _name_the_cause(verdicts, others, submission)
        return verdicts

    def _judge(self, submission: Submission, exercises: list[checks.Exercise]) -> list[ExerciseVerdict]:
        asked = {one.name: self._asked(submission, one) for one in exercises}
        told = together.answered(self.zygote, submission, list(asked.values()), self.recording.answer)
        waiting = deque(Attempt(self.zygote, submission, one, told.pop(name, None)) for name, one in asked.items())
        begun: deque[Attempt] = deque()
        verdicts = []
        try:
            for exercise in exercises:
                while waiting and len(begun) <= AHEAD:
                    begun.append(waiting.popleft())
                    begun[-1].start()
                verdicts.append(self.decide(exercise, begun[0]))
                if verdicts[-1].outcome != PASSED:
                    self._held += begun[0].size
                begun.popleft().end()
                if self._held > HELD:
                    gc.collect()
                    self._held = 0
        finally:
            for attempt in begun:
                attempt.end()
        return verdicts

    def _asked(self, submission: Submission, exercise: checks.Exercise) -> Asked:
        name = exercise.name
        return submission.asked(name, self.recording.calls(name), exercise.together_with, self.recording.size(name))

    def judge_in_process(self, space: dict[str, Any]) -> list[ExerciseVerdict]:
        """Judge trusted code in this process: for mutants, wheats and slips, never for a submission."""
        return [self.judge_function(exercise.name, space) for exercise in self.exercises]

    def judge_function(self, name: str, space: dict[str, Any]) -> ExerciseVerdict:
        """Judge one exercise of trusted code in this process."""
        return self.decide(self.exercise(name), _Local(in_process(space)))


def _name_the_cause(verdicts: list[ExerciseVerdict], others: list[ExerciseVerdict], submission: Submission) -> None:
    """Say it first when a failed exercise uses another one that failed; there is no hint then but that one's."""
    wrong = {verdict.name for verdict in [*verdicts, *others] if verdict.outcome != PASSED}
    for verdict in verdicts:
        below = [name for name in submission.rests_on(verdict.name) if name in wrong]
        if verdict.outcome not in (PASSED, NOT_STARTED) and below:
            verdict.message = f"rests on {', '.join(below)}, which is not right yet\n{verdict.message}"
            verdict.hint = ""  # it would be said of this code, and the mistake may be in the other


class _Local:
    """Stands for an attempt where trusted code is judged in this process."""

    stub, seconds = False, 0.0

    def __init__(self, ask: Ask) -> None:
        self.ask = ask

    def fate(self) -> None:
        return None

    def first_cause(self, message: str) -> str:
        return ""


class _Here:
    """Stands for workers apart where all code is trusted, and so are its answers."""

    def __init__(self, recording: Recording) -> None:
        self.right, self._slips = in_process(vars(recording.lesson.solution)), recording.slips

    def begin(self) -> None:
        return None

    def slips(self, exercise: str, call: bytes) -> list[tuple[str, bytes]]:
        return [(sentence, ask(call)) for sentence, ask in self._slips(exercise)]
