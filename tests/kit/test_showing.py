"""How values are written in messages: short, and as what they are."""

from __future__ import annotations

from typing import Any

import pytest
import torch

from exercises.kit.checking.showing import show


@pytest.mark.parametrize(
    ("value", "shown"),
    [
        (torch.tensor([1.0, 0.5]), "tensor([1.0, 0.5])"),
        (torch.tensor(2, dtype=torch.int8), "tensor(2, dtype=torch.int8)"),
        (torch.empty(0, 3), "tensor([], shape (0, 3))"),
        (torch.ones(40, 40, dtype=torch.float16), "a tensor of shape (40, 40), torch.float16"),
        (torch.ones(2, 2).to_sparse(), "a tensor of shape (2, 2), torch.float32"),
        (torch.empty(2, device="meta"), "a tensor of shape (2,), torch.float32 on meta"),
        (2**300, "an int of 301 bits"),
        ({"a": [1, (2,)], "b": set()}, "{'a': [1, (2,)], 'b': set()}"),
        ([[[[[1]]]]], "[[[[...]]]]"),
        (object(), "an object of type object"),
        ("x" * 300, "'" + "x" * 176 + "..."),
    ],
)
def test_a_value_is_shown_as_what_it_is(value: Any, shown: str) -> None:
    assert show(value) == shown
