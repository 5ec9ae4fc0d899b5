"""The exercises of a submission one after the other in a few workers, each judged as if it were alone.

Whoever comes first in a worker is alone there: nothing of the student's ran before it, so what it answers counts, right or wrong.
Those that follow in the same worker count as long as they answer what is right: byte for byte, or by an exception of the same
type, since no check can tell that from the right one (see `wire.alike`). At the first other answer, or if what came before
changed the world (see `world`), the exercise begins anew as the first in a fresh worker. So none can spoil another, none is right
by what another one left behind, and what is wrong is computed again only up to its first wrong answer.

What ends its worker, hangs or takes long is not answered here: that exercise is judged with more patience (see `attempt`).
"""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable
from multiprocessing.connection import wait
from typing import Any

from graders.collecting.attempt import Answered, Asked, Submission
from graders.collecting.deadlines import Deadline
from graders.collecting.endings import WorkerEnded
from graders.collecting.processes import Worker, Zygote
from graders.wire import schema
from graders.wire.alike import is_right
from graders.wire.recipes import Unreadable

WORKERS = 2
SECONDS = 3.0  # of an exercise; what takes longer is judged with more patience
ENDS = 3  # exercises that may end a worker in which they are alone before the rest is judged with more patience

Right = Callable[[bytes], bytes | None]  # the right answer to a recorded call


class _Other(Exception):
    """An exercise behind another one did not answer what is right."""


class _Run:
    """One worker, the exercise that it is at, and what it has sent of it; `right` is None for whoever is alone."""

    def __init__(self, worker: Worker, asked: Asked, sent: dict[str, Any], right: Right | None) -> None:
        self.worker, self.asked, self.right = worker, asked, right
        self.begun, self.deadline = time.monotonic(), Deadline(SECONDS)
        self._cells = [b"c%d" % number for number in asked.numbers]  # what comes before `l`, and then the answers
        self._frames: list[bytes] = []
        self._size = 0
        worker.send(sent, list(asked.calls))

    @property
    def finished(self) -> bool:
        return len(self._frames) == len(self._cells) + 1 + len(self.asked.calls)

    def answered(self) -> Answered | None:
        """Return what was answered; None if a frame is not one that was due."""
        count = len(self._cells)
        loaded, replies = self._frames[count], self._frames[count + 1 :]
        if self._frames[:count] != self._cells or any(frame[:1] != b"r" for frame in replies) or loaded[:1] != b"l":
            return None
        try:
            errors = schema.errors(loaded[1:])
        except Unreadable:
            return None
        answers = {call: frame[1:] for call, frame in zip(self.asked.calls, replies, strict=True)}
        return Answered(answers, errors, time.monotonic() - self.begun)

    def read(self) -> None:
        """Read one frame. Raises WorkerEnded, also when the time is up or the answers are too large; _Other."""
        frame = self.worker.receive(self.deadline)
        self._size += len(frame)
        if self._size > self.asked.likely:
            raise WorkerEnded("memory", "its answers are too large")
        if self.right is not None and not self._is_due(frame, self.right):
            raise _Other
        self._frames.append(frame)

    def _is_due(self, frame: bytes, right: Right) -> bool:
        """Whether a frame is the one that comes next if all is right."""
        at, count = len(self._frames), len(self._cells)
        if at <= count:
            return frame == (self._cells[at] if at < count else b"l{}")
        answer = right(self.asked.calls[at - count - 1])
        return answer is not None and frame[:1] == b"r" and is_right(frame[1:], answer)


class _Runs:
    """The workers of one submission, what they are at, what waits for one, and what was answered."""

    def __init__(self, zygote: Zygote, submission: Submission, asked: list[Asked], right: Right) -> None:
        self.zygote, self.submission, self.waiting, self.right = zygote, submission, deque(asked), right
        self.again: deque[Asked] = deque()  # what has to be the first in a fresh worker
        self.running: list[_Run] = []
        self.answered: dict[str, Answered] = {}
        self.ended = 0

    @property
    def to_do(self) -> bool:
        return bool(self.waiting or self.again) and self.ended < ENDS

    def go_on(self) -> None:
        """Start workers, then read a frame of each that has one."""
        while self.to_do and len(self.running) < WORKERS:
            self._begin((self.again or self.waiting).popleft(), self.zygote.take(), None)
        left = min((run.deadline.left for run in self.running), default=0.0)
        ready = wait([run.worker.connection for run in self.running], max(0.0, left))
        for run in [run for run in self.running if run.worker.connection in ready or run.deadline.passed]:
            try:
                run.read()
            except (WorkerEnded, _Other):
                self.running.remove(run)
                self._lose(run.worker, run.asked, run.right)
                continue
            if run.finished:
                self.running.remove(run)
                self._finish(run)

    def _finish(self, run: _Run) -> None:
        answered = run.answered()
        if answered is not None:
            self.answered[run.asked.name] = answered
        if self.waiting and self.ended < ENDS:
            self._begin(self.waiting.popleft(), run.worker, self.right)
        else:
            run.worker.kill()

    def _begin(self, asked: Asked, worker: Worker, right: Right | None) -> None:
        try:
            self.running.append(_Run(worker, asked, self.submission.sent(asked.numbers), right))
        except WorkerEnded:
            self._lose(worker, asked, right)

    def _lose(self, worker: Worker, asked: Asked, right: Right | None) -> None:
        worker.kill()
        if right is not None:
            self.again.append(asked)
        else:
            self.ended += 1

    def close(self) -> None:
        for run in self.running:
            run.worker.kill()


def answered(zygote: Zygote, submission: Submission, asked: list[Asked], right: Right) -> dict[str, Answered]:
    """Return what those exercises answered that answered all; `right` gives the right answer to a recorded call."""
    runs = _Runs(zygote, submission, [one for one in asked if submission.whole(one.name)], right)
    try:
        while runs.running or runs.to_do:
            runs.go_on()
        return runs.answered
    finally:
        runs.close()
