"""The exercises of a submission one after the other in a few workers, each judged as if it were alone.

Whoever comes first in a worker is alone there: nothing of the student's ran before it, so what it answers counts, right or wrong.
Those that follow in the same worker count where they answer what is right: byte for byte, or by an exception of the same type,
since no check can tell that from the right one (see `wire.alike`). What answers otherwise is asked once more, in a worker in which
none of those ran before it that ran before it the first time: if it answers the very same there, it is its own answer. All of this
counts only if the worker's world is at the end what it was at the beginning (see `world`). Whatever is not settled so begins anew
as the first in a fresh worker. So none can spoil another, and none is right by what another one left behind.

What ends its worker, hangs or takes long is not answered here: that exercise is judged with more patience (see `attempt`).
"""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable
from multiprocessing.connection import wait

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

LOOK = Asked("", (), ())  # asks for nothing: whether a worker serves it says whether its world is as it was

Right = Callable[[bytes], bytes | None]  # the right answer to a recorded call


class _Place:
    """A worker, and what ran there, in order."""

    def __init__(self, worker: Worker) -> None:
        self.worker = worker
        self.runs: list[_Run] = []

    @property
    def given(self) -> set[str]:
        return {run.asked.name for run in self.runs}

    @property
    def sure(self) -> bool:
        return all(run.sure for run in self.runs)


class _Run:
    """One exercise in one place: what ran there before it, and what it has sent. LOOK is no exercise (see `_Runs`).

    look: the worker looks at its world before it. `sure`: nothing that ran before it had changed the world.
    """

    def __init__(self, place: _Place, asked: Asked, look: bool) -> None:
        self.place, self.asked, self.before = place, asked, frozenset(place.given)
        self.begun, self.deadline = time.monotonic(), Deadline(SECONDS)
        self.look = look or len(self.before) == 1  # whoever comes second is preceded by a look in any case
        self.sure = not self.before
        self.frames: list[bytes] = []
        self._cells = [b"c%d" % number for number in asked.numbers]  # what comes before `l`, and then the answers
        self._size = 0
        place.runs += [] if asked is LOOK else [self]

    @property
    def finished(self) -> bool:
        return len(self.frames) == len(self._cells) + 1 + len(self.asked.calls)

    def read(self) -> None:
        """Read the frames that have come. Raises WorkerEnded, also when the time is up or the answers are too large."""
        while not self.finished:
            self.frames.append(self.place.worker.receive(self.deadline))
            self._size += len(self.frames[-1])
            if self._size > self.asked.likely:
                raise WorkerEnded("memory", "its answers are too large")
            if not self.place.worker.has_more:
                return

    def answered(self) -> Answered | None:
        """Return what was answered; None if a frame is not one that was due."""
        count = len(self._cells)
        loaded, replies = self.frames[count], self.frames[count + 1 :]
        if self.frames[:count] != self._cells or any(frame[:1] != b"r" for frame in replies) or loaded[:1] != b"l":
            return None
        try:
            errors = schema.errors(loaded[1:])
        except Unreadable:
            return None
        answers = {call: frame[1:] for call, frame in zip(self.asked.calls, replies, strict=True)}
        return Answered(answers, errors, time.monotonic() - self.begun)

    def is_right(self, right: Right) -> bool:
        """Whether the frames are those that come if all is right."""
        count = len(self._cells)
        if self.frames[: count + 1] != [*self._cells, b"l{}"]:
            return False
        replies = zip(self.asked.calls, self.frames[count + 1 :], strict=True)
        return all(frame[:1] == b"r" and is_right(frame[1:], right(call) or b"") for call, frame in replies)


class _Runs:
    """The places of one submission, what runs in them, what waits, and what was answered."""

    def __init__(self, zygote: Zygote, submission: Submission, asked: list[Asked], right: Right) -> None:
        self.zygote, self.submission, self.waiting, self.right = zygote, submission, deque(asked), right
        self.again: deque[Asked] = deque()  # what has to be the first in a fresh worker
        self.running: list[_Run] = []
        self.idle: list[_Place] = []
        self.doubted: dict[str, _Run] = {}  # what answered behind others, and not what is right
        self.answered: dict[str, Answered] = {}
        self.taken_from: dict[str, list[_Run]] = {}  # of each answer the runs that gave it
        self.careful = False  # an exercise changes the world: workers look at it before each one, not only at the end
        self.ended = 0

    def go_on(self) -> bool:
        """Start what can be started, then read what has come; return False when there is nothing left to do."""
        self._start()
        if not self.running:
            return False
        left = min(run.deadline.left for run in self.running)
        ready = wait([run.place.worker.connection for run in self.running], max(0.0, left))
        for run in self.running[:]:
            if run.place.worker.connection in ready or run.deadline.passed:
                self._read(run)
        return True

    def _read(self, run: _Run) -> None:
        try:
            run.read()
        except WorkerEnded:
            self.running.remove(run)
            self._lose(run)
            return
        if run.finished:
            self.running.remove(run)
            self.idle.append(run.place)
            self._finish(run)

    def _start(self) -> None:
        while (self.again or self.waiting) and self.ended < ENDS and len(self.running) < WORKERS:
            place = _Place(self.zygote.take()) if self.again or not self.idle else self.idle.pop()
            self._begin((self.again or self.waiting).popleft(), place)
        for place in self.idle[:]:
            doubted = self._to_repeat(place)
            if len(self.running) < WORKERS and (doubted or not place.sure):
                self.idle.remove(place)
                self._begin(doubted.asked if doubted else LOOK, place)
        for place in [place for place in self.idle if place.sure][WORKERS:]:
            self.idle.remove(place)
            place.worker.kill()
        if not self.running and self.doubted and self.ended < ENDS:  # no place in which they could be asked once more
            self.again += [run.asked for run in self.doubted.values()]
            self.doubted.clear()
            self._start()

    def _to_repeat(self, place: _Place) -> _Run | None:
        """Return the last run whose answer is doubted and behind which, elsewhere, none ran that ran here.

        From the last to the first, so that of two that are asked here once more none has the other before it both times; and only
        when all have been asked once.
        """
        asked = {run.asked.name for run in self.running}
        if self.waiting or any(
            run.before and run.asked is not LOOK and run.asked.name not in self.doubted for run in self.running
        ):
            return None
        fits = [run for name, run in self.doubted.items() if name not in asked and run.before.isdisjoint(place.given)]
        return fits[-1] if fits else None

    def _begin(self, asked: Asked, place: _Place) -> None:
        run = _Run(place, asked, asked is LOOK or self.careful)
        try:
            place.worker.send(self.submission.sent(asked.numbers) | {"look": run.look}, list(asked.calls))
            self.running.append(run)
        except WorkerEnded:
            self._lose(run)

    def _finish(self, run: _Run) -> None:
        name, answered = run.asked.name, run.answered()
        if run.look:
            for each in run.place.runs:
                each.sure = True
        first = self.doubted.pop(name, None)
        if run.asked is LOOK or answered is None:
            return
        if first is not None and first.frames != run.frames:
            self.again.append(run.asked)
        elif first is None and run.before and not run.is_right(self.right):
            self.doubted[name] = run
        else:
            self.answered[name] = answered
            self.taken_from[name] = [each for each in (first, run) if each is not None]

    def _lose(self, run: _Run) -> None:
        """End a worker that did not serve: what it answered for whoever was not the first in it is not to be trusted."""
        run.place.worker.kill()
        self.careful |= run.asked is LOOK
        for name, runs in list(self.taken_from.items()):
            if any(each.place is run.place and not each.sure for each in runs):
                del self.answered[name], self.taken_from[name]
                self.waiting.append(runs[-1].asked)
        for name, doubted in list(self.doubted.items()):
            if doubted.place is run.place and not doubted.sure:
                del self.doubted[name]
                self.waiting.append(doubted.asked)
        self.doubted.pop(run.asked.name, None)
        if run.before and run.asked is not LOOK:
            self.again.append(run.asked)
        elif not run.before:
            self.ended += 1

    def close(self) -> None:
        for place in [*self.idle, *(run.place for run in self.running)]:
            place.worker.kill()


def answered(zygote: Zygote, submission: Submission, asked: list[Asked], right: Right) -> dict[str, Answered]:
    """Return what those exercises answered that answered all; `right` gives the right answer to a recorded call."""
    runs = _Runs(zygote, submission, [one for one in asked if submission.whole(one.name)], right)
    try:
        while runs.go_on():
            pass
        return runs.answered
    finally:
        runs.close()
