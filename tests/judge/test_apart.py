"""Reference and slips in a worker apart: all that one exercise asks there together has the time of one call."""

from __future__ import annotations

import importlib.util
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from graders.collecting.endings import WorkerEnded
from graders.collecting.processes import Zygote
from graders.judge import apart
from graders.judge.apart import Apart
from graders.judge.proxy import value_of
from graders.judge.recording import Lesson
from graders.wire import codec, notes

SECONDS = 2.0
SOLUTION = """
import time

def doubled(x):
    return 2 * x

def sleeps(x):
    time.sleep(x)
    return x

def loops():
    while True:
        pass
"""
SLIPS = """
from graders.judge.contract import slip
from solutions.toy import doubled

@slip("doubled", "you doubled twice")
def twice(x):
    return doubled(doubled(x))
"""


def module(path: Path, text: str) -> Any:
    path.write_text(text)
    spec = importlib.util.spec_from_file_location(path.stem, path)
    assert spec is not None
    assert spec.loader is not None
    made = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(made)
    return made


@pytest.fixture(scope="module")
def zygote() -> Iterator[Zygote]:
    made = Zygote()
    made.warm()
    yield made
    made.close()


@pytest.fixture
def toy(tmp_path: Path, zygote: Zygote, monkeypatch: pytest.MonkeyPatch) -> Apart:
    monkeypatch.setattr(apart, "CALL_SECONDS", SECONDS)
    solution = module(tmp_path / "toy.py", SOLUTION)
    monkeypatch.setitem(sys.modules, "solutions.toy", solution)
    made = Apart(zygote, Lesson("toy", tmp_path, solution, module(tmp_path / "slips.py", SLIPS)))
    made.begin()
    return made


def call(name: str, *arguments: Any) -> bytes:
    return codec.encode([name, "", list(arguments), {}], True)


def value(answer: bytes) -> Any:
    return value_of(notes.split(answer)[1])


def test_reference_and_slips_answer(toy: Apart) -> None:
    assert value(toy.right(call("doubled", 3))) == 6
    ((sentence, answer),) = toy.slips("doubled", call("doubled", 3))
    assert (sentence, value(answer)) == ("you doubled twice", 12)
    assert toy.slips("sleeps", call("sleeps", 0)) == []


def test_what_does_not_end_is_ended_and_nothing_is_asked_of_a_worker_after_it(
    toy: Apart, zygote: Zygote, monkeypatch: pytest.MonkeyPatch
) -> None:
    begun = time.monotonic()
    with pytest.raises(WorkerEnded) as ended:
        toy.right(call("loops"))
    assert ended.value.outcome == "timeout"
    assert SECONDS - 0.1 < time.monotonic() - begun < 3 * SECONDS + 5  # as much again is given back on a busy machine
    monkeypatch.setattr(zygote, "take", None)
    for ask in (lambda: toy.right(call("doubled", 3)), lambda: toy.slips("doubled", call("doubled", 3))):
        with pytest.raises(WorkerEnded, match="the exercise's time was used up"):
            ask()


def test_many_short_calls_share_the_time(toy: Apart) -> None:
    """Whoever asks again and again gets no more in total; the next exercise begins anew."""
    answered: list[bytes] = []

    def again_and_again() -> None:
        for _ in range(20):
            answered.append(toy.right(call("sleeps", SECONDS / 4)))

    with pytest.raises(WorkerEnded) as ended:
        again_and_again()
    assert ended.value.outcome == "timeout"
    assert 1 <= len(answered) <= 4
    toy.begin()
    assert value(toy.right(call("doubled", 3))) == 6
