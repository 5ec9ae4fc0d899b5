"""Canonical texts of answers, by which a wrong value is recognised."""

import hashlib
from typing import Any

import torch
from torch import Tensor

from exercises.kit.checking.showing import base_type, comparable, plain, show_type

_MOST_PARTS = 10_000  # of a container, and elements of a tensor; what is larger is known by its size


def fingerprint(answer: Any, raised: BaseException | None = None) -> str:
    """Return a canonical text of a value or an exception, equal for answers that the public check cannot tell apart.

    Floats count to nine digits, zeros without sign, dicts and sets without order. An exception counts by its type if the
    function `raised` it, else by its text too: the example could not use what came back, which may be wrong in many ways.
    """
    if isinstance(answer, BaseException):
        text = "" if answer is raised else f": {answer}"
        return f"raises {type(answer).__name__}{text.partition(chr(10))[0][:120]}"
    text = _canonical(answer, 6, [_MOST_PARTS])
    return text if len(text) <= 160 else "sha256 " + hashlib.sha256(text.encode()).hexdigest()


def _canonical(value: Any, depth: int, budget: list[int]) -> str:
    """`budget` is what may still be written of the whole answer, in parts."""
    budget[0] -= 1
    kind = base_type(value)
    if kind is Tensor:
        return _canonical_tensor(plain(value), budget)
    if kind in (list, tuple, dict, set, frozenset):
        return _canonical_container(plain(value), kind, depth - 1, budget)
    if kind is float:
        return f"float {_digits(plain(value))}"
    if kind is int:
        return f"int {int(value):#x}"
    if kind in (bool, str, bytes, complex, type(None), torch.dtype, torch.device):
        return repr(plain(value))
    return f"object {show_type(value)}"


def _canonical_container(value: Any, kind: type, depth: int, budget: list[int]) -> str:
    if depth < 0 or len(value) > budget[0]:
        return f"{kind.__name__} of {len(value)}"
    parts = [_canonical(part, depth, budget) for part in value]
    if kind is dict:
        parts = [f"{key}: {_canonical(part, depth, budget)}" for key, part in zip(parts, value.values(), strict=True)]
    return f"{kind.__name__}({', '.join(parts if kind in (list, tuple) else sorted(parts))})"


def _canonical_tensor(tensor: Tensor, budget: list[int]) -> str:
    head = f"{tensor.dtype} {tuple(tensor.shape)} {tensor.device.type}"
    budget[0] -= tensor.numel()
    if tensor.device.type == "meta" or budget[0] < 0:
        return head
    numbers = comparable(tensor).flatten().tolist()
    digits = [_digits(number) if isinstance(number, float) else str(number) for number in numbers]
    return f"{head} [{' '.join(digits)}]"


def _digits(number: float) -> str:
    return "0" if number == 0 else f"{number:.9g}"
