"""Compare what a function returned with what it should have returned.

`same(got, want, rule)` looks at type, dtype, shape, nan and inf, value, in this order, and stops at the first that
differs: one cause, one message.  The rules are those of `checking.rules`, and can be imported from here.

Types are read as `type(x)` and values by the unbound methods of the builtin type, so an object cannot talk its way to
equality: a bool is no int, a numpy.float64 (a subclass of float) counts as a float, a Parameter as a Tensor, an
OrderedDict as a dict.  A tensor subclass that redefines torch's functions is another type.
"""

import math
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor

from exercises.kit.checking.rounding import dot_bound, exact_dot, gamma, unit_roundoff
from exercises.kit.checking.rules import (
    Rule,
    bit_for_bit,
    dot_rounding,
    exactly,
    python_floats,
    quantized,
    relative,
    ulps,
    within,
)
from exercises.kit.checking.showing import SMALL, base_type, comparable, is_freed, plain, show, show_number, show_typed

__all__ = [
    "Mismatch",
    "Rule",
    "agree",
    "bit_for_bit",
    "dot_bound",
    "dot_rounding",
    "exact_dot",
    "exactly",
    "gamma",
    "python_floats",
    "quantized",
    "relative",
    "same",
    "ulps",
    "unit_roundoff",
    "within",
]

_CONTAINERS = (list, tuple, dict, set, frozenset)
_WHOLE = 160  # containers whose text is at most this long are shown whole, longer ones by the element that differs


class Mismatch(AssertionError):
    """Two values differ.  `got` and `want` are short texts, `hint` a sentence or None."""

    def __init__(self, got: object, want: object, hint: str | None = None):
        self.got = got if isinstance(got, str) else show(got)
        self.want = want if isinstance(want, str) else show(want)
        self.hint = hint
        lines = [f"got    {self.got}", f"want   {self.want}"]
        super().__init__("\n".join(lines if hint is None else [*lines, f"hint   {hint}"]))


class _Differ(Exception):
    """Two values differ at `place`, the path to them inside their containers; `told` makes the short texts of both."""

    def __init__(self, told: Callable[[], tuple[str, str]], place: tuple = ()):
        self.told, self.place = told, place

    def mismatch(self) -> Mismatch:
        got, want = self.told()
        return Mismatch(f"{got} at {_path(self.place)}" if self.place else got, want)


def _path(place: tuple) -> str:
    return "".join(f"[{show(key)}]" for key in place)


def same(got: Any, want: Any, rule: Rule = exactly, *, ordered: bool = False) -> None:
    """Raise Mismatch unless `got` is `want` by type, dtype, shape, nan and inf, and value as `rule` says.

    Lists, tuples, dicts and sets are compared element by element, the elements of sets and dict keys exactly.  The
    order of a dict's keys counts with ordered=True only.  An object with a method `compare_with(got, rule)`, as
    `want`, is asked to compare itself.
    """
    try:
        _compare(got, want, rule, ordered)
        return
    except Mismatch as told:  # by an object that compared itself
        found = told
    except _Differ as differ:
        found = differ.mismatch()
    left, right = show(got, _WHOLE + 1), show(want, _WHOLE + 1)
    if base_type(want) in _CONTAINERS and max(len(left), len(right)) <= _WHOLE and left != right:
        raise Mismatch(left, right, found.hint)
    raise found


def agree(got: Any, want: Any, rule: Rule = exactly) -> bool:
    """Whether `same` would raise nothing, found without making its texts."""
    try:
        _compare(got, want, rule, False)
    except (Mismatch, _Differ):
        return False
    return True


def _compare(got: Any, want: Any, rule: Rule, ordered: bool, place: tuple = ()) -> None:
    """Raise _Differ unless one value is the other; `place`: the keys and positions at which they are found."""
    if callable(getattr(type(want), "compare_with", None)):
        want.compare_with(got, rule)
        return
    kind = base_type(want)
    if base_type(got) is not kind:
        raise _Differ(lambda: (show_typed(got), show_typed(want)), place)
    if kind is Tensor:
        _compare_tensors(plain(got), plain(want), rule, place)
    elif kind in (list, tuple):
        _compare_sequences(plain(got), plain(want), rule, ordered, place)
    elif kind is dict:
        _compare_dicts(plain(got), plain(want), rule, ordered, place)
    elif kind in (set, frozenset):
        _compare_sets(plain(got), plain(want), place)
    elif not _equal(plain(got), plain(want), kind, rule):
        raise _Differ(lambda: _show_apart(plain(got), plain(want)), place)


def _show_apart(got: Any, want: Any) -> tuple[str, str]:
    """Both values; of long strings, the part around the first character that differs."""
    if not isinstance(want, str | bytes) or max(len(got), len(want)) <= _WHOLE:
        return show(got), show(want)
    first = next((at for at, pair in enumerate(zip(got, want, strict=False)) if pair[0] != pair[1]), None)
    first = min(len(got), len(want)) if first is None else first
    start = max(0, first - 20)
    parts = [f"{show(text[start : start + 60])} from character {start} of {len(text)}" for text in (got, want)]
    return parts[0], parts[1]


def _equal(got: Any, want: Any, kind: type, rule: Rule) -> bool:
    if kind is float:
        return _equal_floats(got, want, rule)
    if kind is int and "int" in rule.on and max(abs(got), abs(want)) <= 2**53:
        return _accepts(rule, got, want)
    return got is want or bool(got == want)


def _equal_floats(got: float, want: float, rule: Rule) -> bool:
    if math.isnan(got) or math.isnan(want):
        return math.isnan(got) and math.isnan(want)
    if "float" not in rule.on or math.isinf(got) or math.isinf(want):
        return got == want and (not rule.signed_zero or math.copysign(1, got) == math.copysign(1, want))
    return _accepts(rule, got, want)


def _accepts(rule: Rule, got: float, want: float) -> bool:
    left, right = torch.tensor(got, dtype=torch.float64), torch.tensor(want, dtype=torch.float64)
    return bool(rule.accepts(left, right, torch.float64))


def _compare_sequences(got: list, want: list, rule: Rule, ordered: bool, place: tuple) -> None:
    if len(got) != len(want):
        raise _Differ(lambda: (f"length {len(got)}", f"length {len(want)}"), place)
    for position, (left, right) in enumerate(zip(got, want, strict=True)):
        _compare(left, right, rule, ordered, (*place, position))


def _tagged(value: Any, depth: int = 4) -> tuple:
    """A hashable stand-in for a key or set element, by type and value: True is not 1, and 1 is not 1.0."""
    kind = base_type(value)
    if kind in (tuple, frozenset) and depth:
        return kind, kind(_tagged(part, depth - 1) for part in plain(value))
    if kind is float and math.isnan(value):
        return kind, "nan"
    if kind in (type(None), bool, int, float, str, bytes, torch.dtype):
        return kind, plain(value)
    return kind, id(value)


def _compare_dicts(got: dict, want: dict, rule: Rule, ordered: bool, place: tuple) -> None:
    left, right = ({_tagged(key): key for key in keys} for keys in (got, want))
    if left.keys() != right.keys():
        keys = f"{len(want)} keys: " + ", ".join(map(show, want)) if want else "an empty dict"
        raise _Differ(lambda: (_odd_one(left, right, "key"), keys), place)
    if ordered and list(left) != list(right):
        raise _Differ(lambda: (f"keys in the order {show(list(got))}", f"keys in the order {show(list(want))}"), place)
    for tag, key in right.items():
        _compare(got[left[tag]], want[key], rule, ordered, (*place, key))


def _compare_sets(got: frozenset, want: frozenset, place: tuple) -> None:
    left, right = ({_tagged(value): value for value in values} for values in (got, want))
    if left.keys() != right.keys():
        raise _Differ(lambda: (_odd_one(left, right, "element"), f"{len(want)} elements: {show(want)}"), place)


def _odd_one(left: dict, right: dict, noun: str) -> str:
    """The first key or element that only one side has."""
    missing = (f"no {noun} {show(value)}" for tag, value in right.items() if tag not in left)
    return next(missing, "") or next(f"the {noun} {show(value)}" for tag, value in left.items() if tag not in right)


def _compare_tensors(got: Tensor, want: Tensor, rule: Rule, place: tuple) -> None:
    for name, left, right in (
        ("dtype", got.dtype, want.dtype),
        ("shape", tuple(got.shape), tuple(want.shape)),
        ("layout", got.layout, want.layout),
        ("device", got.device.type, want.device.type),
    ):
        if left != right:
            told = f"{name} {left}", f"{name} {right}"
            raise _Differ(lambda: told, place)  # noqa: B023, raised here
    if want.device.type == "meta":
        return
    if is_freed(got):
        raise _Differ(lambda: (show(got), show(want)), place)
    wrong = _wrong_elements(got, want, rule)
    if bool(wrong.any()):
        raise _Differ(lambda: _told_of_numbers(got, want, wrong, _path(place)))


def _told_of_numbers(got: Tensor, want: Tensor, wrong: Tensor, place: str) -> tuple[str, str]:
    """Both tensors where they are small, else the element that differs most."""
    left, right, count = show(got), show(want), int(wrong.sum())
    if want.numel() <= SMALL and max(len(left), len(right)) <= _WHOLE:
        others = f" and {count - 1} more" if count > 1 else ""
        note = f" (differs at {wrong.nonzero()[0].tolist()}{others})" if want.numel() > 1 else ""
        return left + note + (f" at {place}" if place else ""), right
    most = ", this one most" if count > 1 else ""
    index = _worst(got, want, wrong)
    left, right = (show_number(values[tuple(index)]) for values in (got, want))
    return f"{left} at {place}{index or ''} ({count} of {wrong.numel()} elements differ{most})", right


def _worst(got: Tensor, want: Tensor, wrong: Tensor) -> list[int]:
    """The index of the largest difference among the wrong elements, the first of equal ones."""
    left, right = (comparable(each) for each in (got, want))
    difference = left - right if left.is_complex() else left.double() - right.double()
    sizes = difference.abs().nan_to_num(nan=math.inf)
    place = torch.unravel_index(torch.where(wrong, sizes, -1.0).argmax(), wrong.shape)
    return [int(number) for number in place] if wrong.dim() else []


def _wrong_elements(got: Tensor, want: Tensor, rule: Rule) -> Tensor:
    """Bool tensor of the elements that the rule refuses; those that differ in being nan or inf come alone."""
    left, right = comparable(got), comparable(want)
    if left.is_complex():
        return ~((left == right) | (left.isnan() & right.isnan()))
    if not left.is_floating_point():
        wrong = left != right
        if "int tensor" not in rule.on or want.dtype == torch.bool or want.is_floating_point():
            return wrong
        small = torch.maximum(left.double().abs(), right.double().abs()) <= 2**53
        return torch.where(small, ~rule.accepts(left.double(), right.double(), want.dtype), wrong)
    finite = left.isfinite() & right.isfinite()
    special = ~finite & ~((left == right) | (left.isnan() & right.isnan()))
    if bool(special.any()):
        return special
    if "float tensor" in rule.on:
        zero = left.new_zeros(())
        accepted = rule.accepts(torch.where(finite, left, zero), torch.where(finite, right, zero), want.dtype)
        return finite & ~accepted
    return finite & ((left != right) | (rule.signed_zero & (left.signbit() != right.signbit())))
