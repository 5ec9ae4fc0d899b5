"""What is told of a wrong answer from its values alone is true of them."""

from typing import Any

import pytest
import torch
from torch import tensor

from exercises.kit.checking.properties import property_of

INT8 = torch.int8


@pytest.mark.parametrize(
    ("got", "want", "told"),
    [
        ((3, -1), (-1, 3), "the values are right, their order is not"),
        ((1, 8, 24), (1, 8, 23), "only [2] is wrong"),
        (("a", "b"), ("a", "c"), "only [1] is wrong"),
        (((tensor([1.0, 2.0]), 4.0), 1.0), ((tensor([1.0, 2.0]), 4.0), -1.0),
         "only [1] is wrong: the sign is the other way round"),
        (((tensor([1.0, 2.0]), 4.0), 1.0), ((tensor([1.0, 3.0]), 4.0), 1.0), "only [0] is wrong: only [0] is wrong"),
        ({"a": 1, "b": 2}, {"a": 1, "b": 3}, "only 'b' of the 2 keys has another value"),
        (tensor([[1.0, 2.0]]), tensor([[1.0], [2.0]]), "rows and columns are exchanged"),
        (tensor([[1.0, 2.0]]), tensor([[[1.0, 2.0]]]), "the numbers are right, the shape is not"),
        (tensor([1.0, 2.0]), tensor([[[1.0, 2.0]]]), "the numbers are right, the shape is not"),
        (tensor([2.0, 1.0]), tensor([1.0, 2.0]), "the numbers are right, their order is not"),
        (-3.0, 3.0, "the sign is the other way round"),
        (tensor([1.0, 2.0]), tensor([1.0, -2.0]), "the sizes are right, some signs are not"),
        (tensor([3, 5], dtype=INT8), tensor([4, 5], dtype=INT8), "codes are off by one: look at the rounding"),
        (tensor([-56, 5], dtype=INT8), tensor([127, 5], dtype=INT8),
         "only what lies at the ends of the range is wrong: look at the clamp"),
        (tensor([14, 15], dtype=INT8), tensor([4, 5], dtype=INT8), "all codes are off by 10"),
        (0.3334, 1 / 3, "only the last digits differ: something is rounded once too often, not at all, or to another dtype"),
        (tensor([2.0, 6.0]), tensor([1.0, 3.0]), "it is 2.0 times what it should be"),
        (tensor([1.5, 4.5]), tensor([1.0, 3.0]), "it is 1.5 times what it should be"),
        (0.125, 1.0, "it is 0.125 times what it should be"),
        (tensor([1.0, float("inf")]), tensor([1.0, 2.0]), "it differs where something is not finite"),
    ],
)  # fmt: skip
def test_what_is_told(got: Any, want: Any, told: str) -> None:
    assert property_of(got, want) == told


@pytest.mark.parametrize(
    ("got", "want"),
    [
        (1, "1"),
        (None, 3.0),
        (True, 1),
        (tensor([1.0]), tensor([1])),
        (tensor([1.0, 5.0]), tensor([2.0, 3.0])),
        (tensor([]), tensor([])),
        (tensor(1.0), tensor(1.0)),
        ({"a": 1}, {"b": 1}),
        ({"a": 1}, 1),
        (1, {"a": 1}),
        ([1], [1, 2]),
        ([1, 2], [1]),
        (object(), object()),
        (2**80, 3),
        (torch.empty(2, device="meta"), torch.ones(2)),
        (2000000057.142857, 50.0),
        (7.3, 5.0),
        ((tensor([0], dtype=INT8), tensor([1.0])), (tensor([1], dtype=INT8), tensor([1.0], dtype=torch.float64))),
    ],
)
def test_nothing_is_told_where_nothing_simple_holds(got: Any, want: Any) -> None:
    assert property_of(got, want) is None


def test_numbers_from_which_the_answer_follows_are_kept_back() -> None:
    assert property_of(6.0, 3.0) == "it is 2.0 times what it should be"
    assert property_of(6.0, 3.0, numbers=False) is None
    assert property_of(tensor([14, 15], dtype=INT8), tensor([4, 5], dtype=INT8), numbers=False) is None
    assert property_of(-3.0, 3.0, numbers=False) == "the sign is the other way round"
