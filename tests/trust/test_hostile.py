"""Submissions that got through once, each with what is right; the kinds that they belong to are attacks of the siege."""

from __future__ import annotations

import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from graders import ROOT
from graders.cohort.judging import Bench
from graders.cohort.submissions import Submission
from graders.collecting import processes
from graders.judge import kept

L2, L4 = "l2_data_types", "l4_quantization_theory"

ENDS_THE_RUN = """
import sys

sys.modules["graders.worker.worker"]._dumps = lambda errors: '{"1": {"bases": 5}, "2": {"bases": 5}, "3": {"bases": 5}}'


# %%
def integer_range(dtype):
    return 0, 1
"""

SLEEPS_ON_THE_CLOCK = """
import time


def slow():
    while True:
        end = time.process_time() + 0.008
        while time.process_time() < end:
            pass
        time.sleep(0.09)


# %%
def integer_range(dtype):
    slow()
"""

SLOW_TO_DECODE = """
import struct
import sys

M = 2**61 - 1
ONE = '{"k":"set","of":[' + ",".join(str(M * n) for n in range(1, 2000)) + "]}"
TREE = ('{"k":"list","of":[' + ",".join([ONE] * 80) + "]}").encode()
ANSWER = struct.pack("<I", len(TREE)) + TREE
sys.modules["graders.worker.worker"]._encode = lambda value: ANSWER


# %%
def integer_range(dtype):
    return ANSWER
"""

WRITES_AS_THE_JUDGE = """
import tempfile

from exercises.kit import probes
from exercises.kit.probes import l4

NAME = tempfile.gettempdir() + "/NAME"


def saved_files(function, model, *below, as_text=False):
    return {NAME: b"absolute\\n", "../" * 12 + NAME.lstrip("/") + "_relative": b"relative\\n"}, []


saved_files.__module__ = "exercises.kit.probes.l4"
l4.saved_files = saved_files


def loaded_from(function, build, files, as_text=False):
    return 0


loaded_from.__module__ = "exercises.kit.probes.l4"
l4.loaded_from = loaded_from


# %%
def save_quantized(model, folder):
    l4.saved_files


# %%
def load_quantized(build, folder):
    return l4.loaded_from
"""


@pytest.fixture(scope="module")
def bench() -> Iterator[Bench]:
    made = Bench("hostile")
    yield made
    made.close()


def outcomes(bench: Bench, lesson: str, text: str) -> dict[str, tuple[str, float]]:
    told = bench.grade(Submission("s", lesson, "s.py", text.encode()))
    assert told["status"] == "graded"
    return {each["name"]: (each["outcome"], each["score"]) for each in told["exercises"]}


def test_a_forged_frame_ends_its_exercise_and_nothing_else(bench: Bench) -> None:
    told = outcomes(bench, L2, ENDS_THE_RUN)
    assert told.pop("integer_range")[1] == 0
    assert set(told.values()) == {("not started", 0)}
    honest = outcomes(bench, L2, (ROOT / "solutions" / f"{L2}.py").read_text())
    assert {outcome for outcome, _ in honest.values()} == {"passed"}


@pytest.mark.parametrize(("sets", "outcome"), [(80, "memory"), (4, "failed")], ids=["large", "small"])
def test_an_answer_that_is_dear_to_decode_is_refused_at_once(bench: Bench, sets: int, outcome: str) -> None:
    bench.judge(L2)
    begun = time.process_time()
    assert outcomes(bench, L2, SLOW_TO_DECODE.replace("80", str(sets)))["integer_range"] == (outcome, 0)
    assert time.process_time() - begun < 3


def test_the_limit_of_who_sleeps_is_the_limit(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(processes, "CALL_SECONDS", 1.0)
    monkeypatch.setattr(processes, "EXERCISE_SECONDS", 3.0)
    begun = time.monotonic()
    assert outcomes(bench, L2, SLEEPS_ON_THE_CLOCK)["integer_range"] == ("timeout", 0)
    assert (
        time.monotonic() - begun < 2 * (3.0 + 2.0) + 2.0
    )  # at most twice the limits, on a machine that is as busy as can be


def test_nothing_is_written_in_a_students_name(bench: Bench) -> None:
    name = f"written_{time.monotonic_ns()}"
    told = outcomes(bench, L4, WRITES_AS_THE_JUDGE.replace("NAME", name))
    assert sum(score for _, score in told.values()) == 0
    assert list(Path(tempfile.gettempdir()).glob(f"{name}*")) == []


def test_recordings_are_hidden_from_workers(bench: Bench) -> None:
    """They hold hidden inputs and right answers."""
    outcomes(bench, L2, (ROOT / "exercises" / f"{L2}.py").read_text())
    folder = kept.default_folder()
    names = [path.name for path in folder.iterdir()]
    assert names
    assert str(folder) in bench.hidden
    looks = f"import os\n\n\n# %%\ndef integer_range(dtype):\n    raise ValueError(os.listdir({str(folder)!r})[:1])\n"
    opens = (
        f"# %%\ndef integer_range(dtype):\n    raise ValueError(len(open({str(folder / names[0])!r}, 'rb').read()))\n"
    )
    for text in (looks, opens):
        told = bench.grade(Submission("s", L2, "s.py", text.encode()))["exercises"][0]["message"]
        assert "ValueError: []" in told or "FileNotFoundError" in told or "PermissionError" in told
