"""Looking at answers has a limit of time, whenever a signal comes, and of what is read of them together."""

from __future__ import annotations

import contextlib
import pickle
import signal
import struct
import time
from typing import Any

import pytest

from exercises.kit.checking.closeness import Mismatch
from graders.collecting.endings import WorkerEnded
from graders.judge import deciding
from graders.judge.contract import StudentRaised
from graders.judge.proxy import Proxy, Values
from graders.wire import schema


def test_a_signal_that_comes_while_the_clock_is_being_stopped_leaves_none_behind(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    real, interrupted = signal.setitimer, []

    def setitimer(which: int, seconds: float, interval: float = 0.0) -> Any:
        if seconds == 0 and not interrupted:
            interrupted.append(True)
            signal.raise_signal(signal.SIGPROF)
        return real(which, seconds, interval)

    before = signal.getsignal(signal.SIGPROF)
    monkeypatch.setattr(signal, "setitimer", setitimer)
    with pytest.raises(WorkerEnded), deciding._limited(100.0):
        pass
    assert interrupted
    assert signal.getitimer(signal.ITIMER_PROF) == (0.0, 0.0)
    assert signal.getsignal(signal.SIGPROF) == before


def test_who_catches_everything_is_stopped_all_the_same() -> None:
    def look() -> None:
        with contextlib.suppress(WorkerEnded):
            while True:
                pass
        while True:
            pass

    begun = time.process_time()
    with pytest.raises(WorkerEnded, match="too long"), deciding._limited(0.05):
        look()
    assert time.process_time() - begun < 5


def test_how_a_worker_ended_can_be_sent_to_another_process() -> None:
    told = pickle.loads(pickle.dumps(WorkerEnded("timeout", "no answer in time")))
    assert (told.outcome, str(told)) == ("timeout", "no answer in time")


def test_the_answers_of_an_exercise_have_a_limit_together_and_each_is_counted_once() -> None:
    items = b"1," * 40_000
    trees = [b'{"k":"list","of":[' + items + str(number).encode() + b"]}" for number in range(10, 99)]
    room = schema.MAX_TREES // len(trees[0])
    told = iter([tree for tree in trees[: room + 1] for _ in range(2)])

    def ask(call: bytes) -> bytes:
        tree = next(told)
        return b"=" + struct.pack("<I", len(tree)) + tree

    student = Proxy(ask, Values())
    for _ in range(2 * room):
        student.f()
    with pytest.raises(Mismatch, match="too many parts"):
        student.f()


def test_exceptions_count_by_their_length() -> None:
    body = b'{"kind":"E","bases":[],"text":"%d","line":null,"in_file":false,"function":"","source":""}'
    numbers = iter(range(1000))
    student = Proxy(lambda call: b"!" + body % next(numbers), Values())
    for _ in range(1000):
        with pytest.raises(StudentRaised):
            student.f()
