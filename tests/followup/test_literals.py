"""A recorded call as Python text gives, when it is run, the same call: values, dtypes, strides, identity, parameters."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch

from exercises.kit import toys
from exercises.kit.probes import l5
from graders.followup.literals import Script
from graders.judge.contract import recipe
from graders.wire import codec

X = torch.tensor([[1.5, -0.0, float("inf")], [float("nan"), 1e-45, -3.0]])
CALLS: dict[str, tuple[tuple, dict[str, Any]]] = {
    "plain": ((1, True, None, "a'b", 2.5, float("-inf"), torch.int8, b"x"), {"dtype": torch.float16}),
    "containers": (([1, (2,), {"a": {3}, "b": []}], ()), {}),
    "tensors": ((X, torch.tensor(3), torch.tensor([]), torch.zeros(0, 3), torch.tensor([True])), {}),
    "dtypes": (
        tuple(torch.ones(2).to(d) for d in (torch.bfloat16, torch.float8_e4m3fn, torch.uint16, torch.complex64)),
        {},
    ),
    "strided": ((X.T, X[:, ::2], torch.ones(1).expand(4), torch.zeros(0, 2).T), {}),
    "gradients": (
        (torch.ones(2, requires_grad=True), torch.nn.Parameter(X.clone()), torch.empty(2, 3, device="meta")),
        {},
    ),
    "the same twice": ((X, [X, X.clone()]), {"other": X}),
    "large": ((torch.arange(1000.0), torch.arange(2000).reshape(40, 50).T), {"x": torch.arange(999.0).bfloat16()}),
    "recipes": ((recipe(toys.Mlp, [2, 3]), [recipe(toys.Mlp, [2, 3])]), {}),
}


def run(text: str, calls: list[tuple], name: str = "f") -> None:
    exec(text, {name: lambda *args, **kwargs: calls.append((args, kwargs))})


@pytest.mark.parametrize("name", [name for name in CALLS if name != "recipes"])
def test_the_text_makes_the_same_call(name: str, tmp_path: Path) -> None:
    args, kwargs = CALLS[name]
    made: list[tuple] = []
    run(Script(tmp_path / "in" / "x.safetensors").call("f", args, kwargs, None, ["x", "y"]), made)
    assert codec.encode([list(made[0][0]), made[0][1]], strided=True) == codec.encode(
        [list(args), kwargs], strided=True
    )
    assert (tmp_path / "in").exists() == (name == "large")


def test_recipes_are_called() -> None:
    args, kwargs = CALLS["recipes"]
    made: list[tuple] = []
    run(Script(Path()).call("f", args, kwargs, None, ["model"]), made)
    assert isinstance(made[0][0][0], toys.Mlp)
    assert isinstance(made[0][0][1][0], toys.Mlp)


def test_a_probe_is_imported_and_given_the_function() -> None:
    text = Script(Path()).call("W8A16Linear", (torch.ones(1),), {}, l5.quantized_layer, ["weights"])
    assert text == (
        "import torch\nfrom exercises.kit.probes.l5 import quantized_layer\n\n"
        "weights = torch.tensor([1.0], dtype=torch.float32)\nquantized_layer(W8A16Linear, weights)"
    )
