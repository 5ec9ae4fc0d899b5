"""The check that every exercise has: what its calls leave behind costs that check, and nothing else."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from graders import ROOT
from graders.cohort.judging import Bench
from graders.cohort.submissions import Submission
from graders.judge import left_behind
from graders.wire import notes

LESSON = "l2_data_types"
HONEST = (ROOT / "solutions" / f"{LESSON}.py").read_text()


@pytest.fixture(scope="module")
def bench() -> Iterator[Bench]:
    made = Bench("left behind")
    yield made
    made.close()


def failed(bench: Bench, old: str, new: str) -> dict[str, dict[str, str]]:
    assert old in HONEST
    verdict = bench.grade(Submission("s", LESSON, "s.py", HONEST.replace(old, new).encode()))
    return {
        each["name"]: {check["name"]: check["message"] for check in each["checks"] if check["outcome"] != "passed"}
        for each in verdict["exercises"]
        if each["outcome"] != "passed"
    }


@pytest.mark.parametrize(
    ("line", "note"),
    [
        ("tensor.data = tensor.data.clone().fill_(1)", "tensor has other values"),
        ("torch.set_grad_enabled(False)", "torch.is_grad_enabled() was True and is False"),
        ("torch.set_num_threads(2)", "torch.get_num_threads() was 1 and is 2"),
        ("torch.set_default_dtype(torch.float64)", "torch's default dtype was torch.float32 and is torch.float64"),
    ],
    ids=["argument", "grad mode", "threads", "default dtype"],
)
def test_what_is_left_behind_costs_one_check(bench: Bench, line: str, note: str) -> None:
    found = failed(bench, "    return tensor.numel()", f"    size = tensor.numel()\n    {line}\n    return size")
    assert list(found) == ["tensor_bytes"]
    assert list(found["tensor_bytes"]) == [left_behind.NAME]
    lines = found["tensor_bytes"][left_behind.NAME].splitlines()
    assert lines[0].startswith("tensor_bytes(tensor), tensor is ")
    assert lines[1:] == [f"  got    {note}", "  want   no such change", f"  rule   {left_behind.SENTENCE}"]


def test_notes_and_an_answer_come_apart_as_they_were_put_together() -> None:
    assert notes.split(b"=answer") == ([], b"=answer")
    assert notes.attach(b"=answer", []) == b"=answer"
    assert notes.split(notes.attach(b"=answer", ["a", "b"])) == (["a", "b"], b"=answer")


@pytest.mark.parametrize(
    "reply", [b"~", b"~\xff\xff\xff\xff", b"~\x02\x00\x00\x00{}=", b"~\x01\x00\x00\x001=", b"~\x03\x00\x00\x00[1]="]
)
def test_notes_that_nobody_wrote_are_no_answer(reply: bytes) -> None:
    told, answer = notes.split(reply)
    assert told == ["what it left behind could not be read"]
    assert answer.startswith(b"?")
