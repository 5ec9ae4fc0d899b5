"""What is judged together in one worker is judged as if alone."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from graders import ROOT
from graders.cohort.judging import Bench
from graders.cohort.submissions import Submission, definition
from graders.collecting import processes, together
from graders.collecting.attempt import Attempt
from graders.collecting.processes import Zygote

LESSON = "l2_data_types"
HONEST = (ROOT / "solutions" / f"{LESSON}.py").read_text()


@pytest.fixture(scope="module")
def bench() -> Iterator[Bench]:
    made = Bench("together")
    yield made
    made.close()


def graded(bench: Bench, text: str) -> dict[str, dict]:
    verdict = bench.grade(Submission("s", LESSON, "s.py", text.encode()))
    return {exercise.pop("name"): exercise for exercise in verdict["exercises"] if exercise.pop("seconds") is not None}


def begun_with(text: str, name: str, *lines: str) -> str:
    """Put lines at the begin of a function's body, behind its docstring."""
    start = text.index(f"def {name}(")
    quotes = '"""'
    opened = text.index(quotes, start)
    body = text.index("\n", text.index(quotes, opened + 3)) + 1
    return text[:body] + "".join(f"    {line}\n" for line in lines) + text[body:]


def test_what_is_right_needs_no_worker_of_its_own(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Attempt, "_open", lambda self, calls: pytest.fail(f"{self.name} was judged alone"))
    assert {exercise["outcome"] for exercise in graded(bench, HONEST).values()} == {"passed"}


def test_an_error_in_the_words_of_the_student_needs_no_worker_of_its_own(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whoever raises what is asked for says it in other words, in another line, than the reference."""
    is_right = together._Run.is_right
    asked = lambda self, right: is_right(self, right) or pytest.fail(f"{self.asked.name} is judged again")  # noqa: E731
    monkeypatch.setattr(together._Run, "is_right", asked)
    text = HONEST.replace("raise ValueError(", "raise ValueError('it cannot be'+")
    assert {exercise["outcome"] for exercise in graded(bench, text).values()} == {"passed"}
    monkeypatch.setattr(together._Run, "is_right", is_right)
    wrong = graded(bench, HONEST.replace("raise ValueError(", "raise KeyError("))
    assert [name for name, exercise in wrong.items() if exercise["outcome"] != "passed"] == [
        name for name in wrong if "raise ValueError(" in definition(HONEST, name)
    ]


def counted(monkeypatch: pytest.MonkeyPatch) -> list[processes.Worker]:
    """Note the workers that are taken."""
    taken: list[processes.Worker] = []
    take = Zygote.take
    monkeypatch.setattr(Zygote, "take", lambda self: taken.append(take(self)) or taken[-1])
    return taken


def test_what_is_wrong_is_asked_again_where_the_others_ran(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    graded(bench, HONEST)  # from here on the worker that reads files is there
    taken = counted(monkeypatch)
    wrong = ["range_from_bits", "bit_layout", "downcast", "spacing", "decode_bits", "running_sum"]
    text = HONEST
    for name in wrong:
        text = begun_with(text, name, "return None")
    assert [name for name, exercise in graded(bench, text).items() if exercise["outcome"] != "passed"] == wrong
    assert len(taken) == together.WORKERS


@pytest.mark.parametrize(
    "left", ["json.marker = 1", "json.marker = 1; threading.Thread(target=time.sleep, args=[60]).start()"]
)
def test_what_one_exercise_left_behind_makes_no_other_one_wrong(bench: Bench, left: str) -> None:
    """Where it is not noticed, the two answers of the other one differ; where it is, neither counts."""
    text = begun_with(HONEST, "integer_range", f"import json, threading, time; {left}")
    text = begun_with(text, "bit_layout", "import json; assert not hasattr(json, 'marker')")
    assert {exercise["outcome"] for exercise in graded(bench, text).values()} == {"passed"}


def test_one_that_changes_torch_for_all_costs_the_others_little(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    """What followed it is asked again in a shared worker, which is looked at before each of them."""
    graded(bench, HONEST)
    taken = counted(monkeypatch)
    text = begun_with(HONEST, "overflows", "torch.marker = 1")
    assert {exercise["outcome"] for exercise in graded(bench, text).values()} == {"passed"}
    assert len(taken) <= together.WORKERS + 2


def test_of_two_that_are_asked_again_neither_stands_before_the_other_both_times(bench: Bench) -> None:
    text = begun_with(HONEST, "bit_layout", "import json; json.marker = 1", "return None")
    for name in ("stored_value", "downcast", "downcast_error"):  # one of them stands behind it in the same worker
        text = begun_with(text, name, "import json; assert not hasattr(json, 'marker')")
    wrong = [name for name, exercise in graded(bench, text).items() if exercise["outcome"] != "passed"]
    assert wrong == ["bit_layout"]


def test_the_verdict_is_that_of_workers_of_their_own(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    text = HONEST
    for name, line in {
        "integer_range": "return (-(2 ** (torch.iinfo(dtype).bits - 1)), 0)",
        "float_properties": "import os; os._exit(0)",
        "stored_value": "raise RuntimeError('no')",
        "tensor_bytes": "torch.Tensor.numel = lambda self: 0",
        "overflows": "while True: pass",
        "spacing": "return dtype",
    }.items():
        text = begun_with(text, name, line)
    text = text.replace("def decode_bits(", "1 / 0\n\ndef decode_bits(").replace("def round_to_bfloat16(", "def (")
    monkeypatch.setattr(together, "SECONDS", 0.5)
    monkeypatch.setattr(processes, "CALL_SECONDS", 1.0)
    both = graded(bench, text)
    monkeypatch.setattr(together, "answered", lambda zygote, submission, asked, right: {})
    assert both == graded(bench, text)
    assert [name for name, exercise in both.items() if exercise["outcome"] != "passed"] == [
        "integer_range", "float_properties", "stored_value", "tensor_bytes", "overflows", "spacing", "round_to_bfloat16",
        "decode_bits",
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("left", "seen"),
    [
        ("torch.set_default_dtype(torch.float64)", "torch.get_default_dtype() == torch.float64"),
        ("torch.set_grad_enabled(False)", "not torch.is_grad_enabled()"),
        ("torch.marker = 1", "hasattr(torch, 'marker')"),
        ("torch.Tensor.marker = 1", "hasattr(torch.Tensor, 'marker')"),
        ("import builtins; builtins.marker = 1", "'marker' in dir(__import__('builtins'))"),
        ("import exercises.kit.models as kit; kit.marker = 1", "hasattr(__import__('exercises').kit.models, 'marker')"),
        ("import math; math.floor = math.ceil", "__import__('math').floor is __import__('math').ceil"),
        ("import sys; sys.setrecursionlimit(2000)", "__import__('sys').getrecursionlimit() == 2000"),
        ("import os; os.makedirs('d', exist_ok=True); os.chdir('d')", "__import__('os').getcwd().endswith('/d')"),
        ("import threading, time; threading.Thread(target=time.sleep, args=[60], daemon=True).start()",
         "__import__('threading').active_count() > 1"),
        ("torch.nn.modules.module.register_module_forward_hook(print)", "torch.nn.modules.module._global_forward_hooks"),
        ("from torch.overrides import TorchFunctionMode as Mode; Mode().__enter__()", "torch._C._len_torch_function_stack()"),
        ("torch.set_flush_denormal(True)", "float(torch.tensor([1e-45]).mul(1)) == 0"),
    ],
)  # fmt: skip
def test_nobody_is_right_by_what_another_exercise_left_behind(bench: Bench, left: str, seen: str) -> None:
    text = begun_with(HONEST, "integer_range", left)
    text = begun_with(text, "range_from_bits", left)  # for the other worker
    text = begun_with(text, "float_properties", f"if not ({seen}): return None")
    outcomes = {name: exercise["outcome"] for name, exercise in graded(bench, text).items()}
    assert outcomes.pop("float_properties") != "passed"
    assert outcomes.pop("bit_layout") == outcomes.pop("stored_value") == "passed"
