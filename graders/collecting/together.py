"""The exercises of a submission one after the other in a few workers: for the many that are right, that is all it takes.

An exercise that is answered here passes if it passes all its checks. Anything else, a wrong answer, a cell that raises, an end, a
hang, is no verdict: that exercise is then judged alone, in workers of its own. So none can spoil another; and none can be right
by what another one left behind, for a worker in which that happened (see `world`) is not used again.
"""

from __future__ import annotations

import time
from collections import deque
from multiprocessing.connection import wait
from typing import Any

from graders.collecting.attempt import Asked, Submission
from graders.collecting.deadlines import Deadline
from graders.collecting.endings import WorkerEnded
from graders.collecting.processes import Worker, Zygote

WORKERS = 2
SECONDS = 3.0  # of an exercise; what takes longer is judged alone, with more patience
ENDS = 3  # workers that may end before the rest is judged alone


class _Run:
    """One worker, what it was asked for, and what it has sent."""

    def __init__(self, worker: Worker, asked: Asked, sent: dict[str, Any]) -> None:
        self.worker, self.asked, self.begun, self.deadline = worker, asked, time.monotonic(), Deadline(SECONDS)
        self.before = [*(b"c%d" % number for number in asked.numbers), b"l{}"]  # what comes before the first answer
        self.frames: list[bytes] = []
        self.size = 0
        worker.send(sent, list(asked.calls))

    @property
    def seconds(self) -> float:
        return time.monotonic() - self.begun

    @property
    def finished(self) -> bool:
        return len(self.frames) == len(self.before) + len(self.asked.calls)

    @property
    def answers(self) -> dict[bytes, bytes] | None:
        """The answers by call; None if the cells could not be loaded or an answer is none."""
        count = len(self.before)
        if self.frames[:count] != self.before or any(frame[:1] != b"r" for frame in self.frames[count:]):
            return None
        return {call: frame[1:] for call, frame in zip(self.asked.calls, self.frames[count:], strict=True)}

    def read(self) -> None:
        """Read one frame. Raises WorkerEnded, also when the time is up or the answers are too large."""
        frame = self.worker.receive(self.deadline)
        self.size += len(frame)
        if self.size > self.asked.likely:
            raise WorkerEnded("memory", "its answers are too large")
        self.frames.append(frame)


class _Runs:
    """The workers of one submission, what they are at, what waits for one, and what was answered."""

    def __init__(self, zygote: Zygote, submission: Submission, asked: list[Asked]) -> None:
        self.zygote, self.submission, self.waiting = zygote, submission, deque(asked)
        self.running: list[_Run] = []
        self.answered: dict[str, tuple[dict[bytes, bytes], float]] = {}
        self.ended = 0

    def go_on(self) -> None:
        """Start workers, then read a frame of each that has one."""
        while self.waiting and len(self.running) < WORKERS and self.ended < ENDS:
            self._begin(self.zygote.take())
        left = min((run.deadline.left for run in self.running), default=0.0)
        ready = wait([run.worker.connection for run in self.running], max(0.0, left))
        for run in [run for run in self.running if run.worker.connection in ready or run.deadline.passed]:
            try:
                run.read()
            except WorkerEnded:
                self._lose(run.worker)
                self.running.remove(run)
                continue
            if run.finished:
                self.running.remove(run)
                if run.answers is not None:
                    self.answered[run.asked.name] = run.answers, run.seconds
                if self.ended < ENDS:
                    self._begin(run.worker)
                else:
                    run.worker.kill()

    def _begin(self, worker: Worker) -> None:
        if not self.waiting:
            worker.kill()
            return
        asked = self.waiting.popleft()
        try:
            self.running.append(_Run(worker, asked, self.submission.sent(asked.numbers)))
        except WorkerEnded:
            self._lose(worker)

    def _lose(self, worker: Worker) -> None:
        worker.kill()
        self.ended += 1

    def close(self) -> None:
        for run in self.running:
            run.worker.kill()


def answered(zygote: Zygote, submission: Submission, asked: list[Asked]) -> dict[str, tuple[dict[bytes, bytes], float]]:
    """Return the answers to the recorded calls, and the seconds, of those exercises that were answered to the end."""
    runs = _Runs(zygote, submission, [one for one in asked if submission.whole(one.name)])
    try:
        while runs.running or (runs.waiting and runs.ended < ENDS):
            runs.go_on()
        return runs.answered
    finally:
        runs.close()
