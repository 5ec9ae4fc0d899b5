"""How far right and wrong answers are from what a check with a tolerance accepts, in units of that tolerance.

1 is the edge: everything right must lie below, everything wrong above. The tolerance is measured, not believed: its rule is
asked how far to either side it accepts.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from typing import Any

import torch
from torch import Tensor

from exercises.kit.checking import closeness
from exercises.kit.checking.closeness import Rule
from exercises.kit.checking.showing import base_type, comparable, plain
from graders.judge import checks
from graders.judge.judge import Judge
from graders.judge.proxy import Proxy

_EXACT = ("exactly", "bit for bit")
_NOT_REACHED = ("quantized",)  # accepts whole numbers only: either neighbour, no distance
Seen = list[tuple[str, float | None]]


def margins(judge: Judge, exercise: checks.Exercise, ask: Callable[[bytes], bytes]) -> dict[str, float]:
    """Return for each check with a tolerance how many units of it the answers of `ask` are off at most.

    Checks in which nothing was compared that both sides have as finite numbers of the same kind are left out.
    """
    found: dict[str, float] = {}
    for check in exercise.checks:
        with _watching(check) as seen:
            for case in check.cases:
                _run(judge, exercise, check, case, ask)
        units = [number for _, number in seen if number is not None]
        if units:
            found[check.name] = max(units)
    return found


def tolerances(judge: Judge, exercise: checks.Exercise) -> dict[str, str]:
    """Return the names of the rules with a tolerance by check, as the reference meets them."""
    found: dict[str, str] = {}
    for check in exercise.checks:
        with _watching(check) as seen:
            for case in check.cases:
                _run(judge, exercise, check, case, judge.reference._ask)
        rules = dict.fromkeys(name for name, _ in seen)
        if rules:
            found[check.name] = ", ".join(rules)
    return found


def _run(
    judge: Judge, exercise: checks.Exercise, check: checks.Check, case: checks.Case, ask: Callable[[bytes], bytes]
) -> None:
    """Run a case up to what it refuses; the judge itself would not compare answers that are the reference's."""
    with suppress(Exception):
        exercise.run(check, case, judge.seed, Proxy(ask), judge.reference)


@contextmanager
def _watching(check: checks.Check) -> Iterator[Seen]:
    """Note every comparison of a check whose rule has a tolerance: the rule's name, and the units that it was off."""
    space = check.function.__globals__
    own = space.get("same")
    seen: Seen = []

    def same(got: Any, want: Any, rule: Rule = closeness.exactly, *, ordered: bool = False) -> None:
        if rule.name not in _EXACT:
            seen.extend((rule.name, number) for number in _units(got, want, rule))
        closeness.same(got, want, rule, ordered=ordered)

    if own is closeness.same:
        space["same"] = same
    try:
        yield seen
    finally:
        if own is closeness.same:
            space["same"] = own


def _units(got: Any, want: Any, rule: Rule) -> Iterator[float | None]:
    """Yield the units that the numbers of two values are apart, one per tensor or Python number; None if not to be told."""
    kind = base_type(want)
    if base_type(got) is not kind:
        yield None
        return
    got, want = plain(got), plain(want)
    if kind in (list, tuple) and len(got) == len(want):
        for left, right in zip(got, want, strict=True):
            yield from _units(left, right, rule)
    elif kind is dict and set(got) == set(want):
        for key in want:
            yield from _units(got[key], want[key], rule)
    elif kind is Tensor and got.dtype == want.dtype and got.shape == want.shape and f"{_kind(want)} tensor" in rule.on:
        yield _off(comparable(got).double(), comparable(want).double(), want.dtype, rule)
    elif kind in (float, int) and kind.__name__ in rule.on:
        left, right = (torch.tensor(value, dtype=torch.float64) for value in (got, want))
        yield _off(left, right, torch.float64, rule)
    else:
        yield None


def _kind(tensor: Tensor) -> str:
    return "float" if tensor.is_floating_point() else "int"


def _off(got: Tensor, want: Tensor, dtype: torch.dtype, rule: Rule) -> float | None:
    if rule.name in _NOT_REACHED or not want.numel() or not bool((got.isfinite() & want.isfinite()).all()):
        return None
    above, below = (_reach(want, dtype, rule, sign) for sign in (1.0, -1.0))
    distance = (got - (want + (above - below) / 2)).abs()
    units = torch.where(distance == 0, 0.0, distance / ((above + below) / 2))
    return float(units.max())


def _reach(want: Tensor, dtype: torch.dtype, rule: Rule, sign: float) -> Tensor:
    """Return how far from `want` the rule accepts to one side, elementwise, to seven digits: bisection, first by powers of two."""
    low, high = torch.full_like(want, -1075.0), torch.full_like(want, 1023.0)
    for _ in range(12):
        middle = ((low + high) / 2).floor()
        inside = rule.accepts(want + sign * torch.ldexp(torch.ones_like(want), middle), want, dtype)
        low, high = torch.where(inside, middle, low), torch.where(inside, high, middle)
    unit = torch.where(low == -1075.0, 0.0, torch.ldexp(torch.ones_like(want), low))
    low, high = torch.ones_like(want), torch.full_like(want, 2.0)
    for _ in range(24):
        middle = (low + high) / 2
        inside = rule.accepts(want + sign * unit * middle, want, dtype)
        low, high = torch.where(inside, middle, low), torch.where(inside, high, middle)
    return unit * low
