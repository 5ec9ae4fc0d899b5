"""The rules of `closeness.same`: how far two numbers may be apart.

The rules are derived and not picked: where every valid algorithm is exact, the tolerance is zero; where rounding cannot be
avoided, it is the proven bound of that computation.
"""

import math
from collections.abc import Callable
from dataclasses import dataclass, replace

import torch
from torch import Tensor

from exercises.kit.checking.rounding import dot_bound, exact_dot, ulp


@dataclass(frozen=True)
class Rule:
    """How far numbers may be apart.

    `accepts(got, want, dtype)` gets finite float64 tensors of one shape and the dtype they came from, and returns a
    bool tensor.  `on` lists the kinds of numbers the rule is for: "float" and "int" (Python's), "float tensor" and
    "int tensor"; every other value is compared exactly.
    """

    name: str
    accepts: Callable[[Tensor, Tensor, torch.dtype], Tensor]
    on: frozenset[str] = frozenset({"float", "float tensor"})
    signed_zero: bool = False


_EVERY_NUMBER = frozenset({"float", "int", "float tensor", "int tensor"})

exactly = Rule("exactly", lambda got, want, dtype: got == want, frozenset())
"""Equal values: nan equals nan, and zeros of either sign are equal."""

bit_for_bit = Rule("bit for bit", lambda got, want, dtype: got == want, frozenset(), signed_zero=True)
"""As `exactly`, and zeros have the same sign."""


def within(bound: float | Tensor, of: Tensor | float | None = None) -> Rule:
    """Accept |got - want| <= bound, where `bound` is a finite number >= 0 or a float64 tensor that broadcasts.

    With `of` the distance is taken to that exact value instead, and `want` only says type, dtype and shape: a proven
    bound holds against the exact value, not against another rounded result.  Integers are meant too.
    """
    limit = torch.as_tensor(bound, dtype=torch.float64)
    if not bool((limit.isfinite() & (limit >= 0)).all()):
        raise ValueError("a bound is finite and not negative")
    centre = None if of is None else torch.as_tensor(of, dtype=torch.float64)

    def accepts(got: Tensor, want: Tensor, dtype: torch.dtype) -> Tensor:
        middle = want if centre is None else centre.expand(want.shape)
        return (got - middle).abs() <= limit.expand(want.shape)

    return Rule("within", accepts, _EVERY_NUMBER)


def relative(factor: float) -> Rule:
    """Accept |got - want| <= factor * |want|.  Integers stay exact."""
    if not 0 <= factor < 1:
        raise ValueError("a relative bound is at least 0 and less than 1")
    return Rule("relative", lambda got, want, dtype: (got - want).abs() <= factor * want.abs())


def ulps(count: float) -> Rule:
    """Accept |got - want| <= count units in the last place of `want` in its own dtype.  Integers stay exact."""
    if not (math.isfinite(count) and count >= 0):
        raise ValueError("a number of ulps is finite and not negative")
    return Rule("ulps", lambda got, want, dtype: (got - want).abs() <= count * ulp(want, dtype))


def quantized(
    exact: Tensor | float, slack: float | Tensor = 0.0, low: int | None = None, high: int | None = None
) -> Rule:
    """Accept an integer code at most 1/2 + slack away from the clamped exact quotient: both neighbours at a tie.

    exact: x / scale + zero_point in float64, of the shape of the codes.  slack: absolute; k * u * |x / scale| for a
    quotient rounded k times in a dtype of unit roundoff u (one division 1, a scale of one's own 2).  low, high: the
    range of the codes, that of their dtype unless given (a Python int has none).
    """
    quotient = torch.as_tensor(exact, dtype=torch.float64)
    extra = torch.as_tensor(slack, dtype=torch.float64)
    if not bool((extra.isfinite() & (extra >= 0)).all()) or bool(quotient.isnan().any()):
        raise ValueError("the slack is finite and not negative, and the exact quotient is no nan")

    def accepts(got: Tensor, want: Tensor, dtype: torch.dtype) -> Tensor:
        integer = not (dtype.is_floating_point or dtype.is_complex)
        smallest = low if low is not None else torch.iinfo(dtype).min if integer else -math.inf
        largest = high if high is not None else torch.iinfo(dtype).max if integer else math.inf
        target = quotient.expand(want.shape).clamp(smallest, largest)
        return (got == got.round()) & ((got - target).abs() <= 0.5 + extra.expand(want.shape))

    return Rule("quantized", accepts, _EVERY_NUMBER)


def python_floats(rule: Rule) -> Rule:
    """The same rule for Python floats alone: tensors and ints are then compared exactly."""
    return replace(rule, on=frozenset({"float"}))


def dot_rounding(x: Tensor, y: Tensor, dtype: torch.dtype) -> Rule:
    """Accept any right dot product of two vectors cast to `dtype`: within `dot_bound` of `exact_dot`."""
    return within(dot_bound(x, y, dtype), of=exact_dot(x, y, dtype))
