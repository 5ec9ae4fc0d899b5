"""What a worker holds that would answer an exercise is known, and stands in a short list."""

from __future__ import annotations

import os
import sys
from pathlib import Path

import pytest

from graders import lessons
from graders.trust import borrowed, children, trials
from graders.wire import records


def test_what_is_tried_are_functions_classes_and_methods_of_ours_and_of_libraries() -> None:
    found = dict(borrowed.callables("graders.wire.codec"))
    assert {
        "graders.wire.codec:encode",
        "graders.wire.codec:Encoder",
        "graders.wire.codec:Encoder.tensor",
    } <= found.keys()
    assert not [name for name in found if name.endswith((":Tensor", ":Recipe", ":Any"))]
    assert "numpy.linalg:norm" in dict(borrowed.callables("numpy.linalg"))


def test_workers_hold_no_function_that_counts_or_compares_models() -> None:
    for kind in (records.ModuleRecord, records.TensorRecord, records.QuantizedRecord, records.ModelRecord):
        assert [name for name, value in vars(kind).items() if callable(value) and not name.startswith("__")] == []


def test_an_answer_that_can_be_borrowed_is_found() -> None:
    judge = trials.judge_in_process(lessons.load("l2_data_types"))
    found = borrowed.answers(judge, ["exercises.kit.toys.quantized_models"])
    assert found == borrowed.KNOWN["l2_data_types"]


def test_what_is_tried_can_change_nothing(tmp_path: Path) -> None:
    """As an answer to an exercise without arguments, a function of the sandbox put its own /dev over the machine's."""
    outside = tmp_path / "outside"

    def writes() -> str:
        try:
            outside.write_text("x")
        except OSError as error:
            return type(error).__name__
        return "wrote"

    def may() -> list[str]:
        status = Path("/proc/self/status").read_text().split("\n")
        return [line.split()[1] for line in status if line.startswith(("CapEff", "CapBnd", "Seccomp:"))]

    def own_folder() -> str:
        Path("own").write_text("x")
        return Path("own").read_text()

    needed = [sys.prefix, sys.base_prefix, str(borrowed.ROOT)]
    told = dict(children.run([writes, may, own_folder], 20.0, needed))
    nothing = "0" * 16
    assert told == {0: "PermissionError", 1: [nothing, told[1][1], "2"], 2: "x"}
    assert told[1][1] == nothing or os.getuid() != 0
    assert not outside.exists()


@pytest.mark.full
@pytest.mark.timeout(3600)
@pytest.mark.parametrize("name", lessons.names())
def test_what_can_be_borrowed_is_known(name: str) -> None:
    lesson = lessons.load(name)
    judge = trials.judge_in_process(lesson)
    assert borrowed.answers(judge, borrowed.loaded(lesson.libraries)) == borrowed.KNOWN.get(name, {})
