"""What is not right about an answer, told from the answer alone: its order, its sign, a factor, rounding, a wrap.

For answers that no recognised mistake explains, as where two mistakes meet. Everything said holds for these values.
"""

import re
from typing import Any

import torch
from torch import Tensor

from exercises.kit.checking.showing import base_type, comparable, plain, show_number

_NUMBER = re.compile(r"off by -?\d|it is -?\d")
_ROUNDING = 2.0**-7  # relative: as far as one rounding to bfloat16 and a half


def property_of(got: Any, want: Any, numbers: bool = True) -> str | None:
    """Return in one sentence what sets an answer apart from the right one; None if nothing simple does.

    numbers: factors and distances may be told, from which the right answer follows.
    """
    told = _property(got, want)
    return told if numbers or told is None or not _NUMBER.search(told) else None


def _property(got: Any, want: Any) -> str | None:
    kind = base_type(want)
    if kind in (list, tuple) and base_type(got) in (list, tuple):
        return _of_sequences(list(plain(got)), list(plain(want)), base_type(got) is kind)
    if kind is dict and base_type(got) is dict:
        return _of_dicts(plain(got), plain(want))
    left, right = _numbers(got), _numbers(want)
    if left is None or right is None or base_type(got) is not kind:
        return None
    if kind is Tensor and got.dtype != want.dtype:
        return None  # the message says so
    return _of_numbers(left, right, plain(want).dtype if kind is Tensor else torch.float64 if kind is float else None)


def _of_sequences(got: list, want: list, same_kind: bool) -> str | None:
    if len(got) != len(want) or not same_kind or not want:
        return None
    wrong = [at for at, pair in enumerate(zip(got, want, strict=True)) if not _same(*pair)]
    if len(want) > 1 and wrong and _permuted(got, want):
        return "the values are right, their order is not"
    if len(wrong) == 1 and len(want) > 1:
        inner = _property(got[wrong[0]], want[wrong[0]])
        return f"only [{wrong[0]}] is wrong" + (f": {inner}" if inner else "")
    return None


def _of_dicts(got: dict, want: dict) -> str | None:
    if got.keys() != want.keys():
        return None
    wrong = [key for key in want if not _same(got[key], want[key])]
    if not wrong or len(wrong) == len(want):
        return None
    return f"only {', '.join(map(repr, wrong[:3]))}{' and others' * (len(wrong) > 3)} of the {len(want)} keys " + (
        "has another value" if len(wrong) == 1 else "have other values"
    )


def _permuted(got: list, want: list) -> bool:
    rest = list(got)
    for value in want:
        at = next((at for at, other in enumerate(rest) if _same(other, value)), None)
        if at is None:
            return False
        del rest[at]
    return True


def _same(got: Any, want: Any) -> bool:
    left, right = _numbers(got), _numbers(want)
    if left is not None and right is not None:
        return _kind(got) == _kind(want) and left.shape == right.shape and _equal(left, right)
    kind = base_type(want)
    if base_type(got) is not kind or kind is Tensor:
        return False
    got, want = plain(got), plain(want)
    if kind in (list, tuple):
        return len(got) == len(want) and all(map(_same, got, want))
    if kind is dict:
        return got.keys() == want.keys() and all(_same(got[key], want[key]) for key in want)
    return bool(got == want)


def _kind(value: Any) -> tuple[type, torch.dtype | None]:
    kind = base_type(value)
    return kind, plain(value).dtype if kind is Tensor else None


def _numbers(value: Any) -> Tensor | None:
    kind = base_type(value)
    if kind is Tensor:
        value = plain(value)
        return None if value.device.type == "meta" or value.is_complex() else comparable(value).double()
    return torch.tensor(plain(value), dtype=torch.float64) if kind in (int, float) and abs(value) < 2**53 else None


def _equal(left: Tensor, right: Tensor) -> bool:
    return bool(((left == right) | (left.isnan() & right.isnan())).all())


def _of_numbers(got: Tensor, want: Tensor, dtype: torch.dtype | None) -> str | None:
    """`dtype`: of tensors; float64 for a Python float, None for an int."""
    if got.shape != want.shape:
        if got.dim() == want.dim() == 2 and got.shape == want.t().shape and _equal(got, want.t()):
            return "rows and columns are exchanged"
        return (
            "the numbers are right, the shape is not"
            if got.numel() == want.numel() and _equal(got.flatten(), want.flatten())
            else None
        )
    if not want.numel() or _equal(got, want):
        return None
    if want.numel() > 1 and _equal(got.flatten().sort().values, want.flatten().sort().values):
        return "the numbers are right, their order is not"
    finite = got.isfinite() & want.isfinite()
    if not bool(finite.all()):
        return "it differs where something is not finite" if _equal(got[finite], want[finite]) else None
    if _equal(got, -want):
        return "the sign is the other way round"
    if _equal(got.abs(), want.abs()):
        return "the sizes are right, some signs are not"
    if dtype is None or dtype == torch.bool:
        return None
    return _of_floats(got, want) if dtype.is_floating_point else _of_codes(got, want, dtype)


def _of_codes(got: Tensor, want: Tensor, dtype: torch.dtype) -> str | None:
    difference, limits = (got - want).abs(), torch.iinfo(dtype)
    limit = (want == limits.min) | (want == limits.max)
    if bool((difference <= 1).all()):
        return "codes are off by one: look at the rounding"
    if _equal(got[~limit], want[~limit]):
        return "only what lies at the ends of the range is wrong: look at the clamp"
    shift = (got - want).unique()
    return f"all codes are off by {int(shift[0])}" if shift.numel() == 1 and want.numel() > 1 else None


def _of_floats(got: Tensor, want: Tensor) -> str | None:
    if bool(((got - want).abs() <= want.abs() * _ROUNDING).all()):
        return "only the last digits differ: something is rounded once too often, not at all, or to another dtype"
    if bool((want != 0).all()):
        factors = (got / want).flatten()
        alike = bool(((factors - factors[0]).abs() <= 1e-6 * factors.abs()).all())
        if alike and factors[0] != 0 and (len(factors) > 1 or _is_telling(factors[0].item())):
            return f"it is {show_number(factors[0].float())} times what it should be"
    return None


def _is_telling(factor: float) -> bool:
    """Whether a factor between two single numbers is more than chance: a whole number up to 4096, or one over such."""
    size = max(abs(factor), 1 / abs(factor))
    return size < 4096.5 and abs(size - round(size)) <= 1e-6 * size
