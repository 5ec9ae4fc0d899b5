"""Units of rounding, and the proven error bound of a dot product."""

import math
from fractions import Fraction

import torch
from torch import Tensor


def unit_roundoff(dtype: torch.dtype) -> float:
    """Return the largest relative error of one rounding to nearest: 2**-8 in bfloat16, 2**-11 in float16."""
    return torch.finfo(dtype).eps / 2


def gamma(count: int, roundoff: float) -> float:
    """Return n u / (1 - n u), the order-free constant of n roundings (Higham, Accuracy and Stability, section 3.1)."""
    if count * roundoff >= 1:
        raise ValueError("the bound is empty: n times the unit roundoff must be less than 1")
    return count * roundoff / (1 - count * roundoff)


def ulp(value: Tensor, dtype: torch.dtype) -> Tensor:
    """Return the unit in the last place of each element of a finite float64 tensor, in the float `dtype`; float64."""
    limits = torch.finfo(dtype)
    binade = torch.ldexp(torch.ones_like(value), torch.frexp(value).exponent - 1)
    return torch.where(value == 0, 0.0, binade).clamp(min=limits.smallest_normal) * limits.eps


def exact_dot(x: Tensor, y: Tensor, dtype: torch.dtype) -> Tensor:
    """Return the dot product of two finite vectors after a cast to `dtype`, correctly rounded to float64; 0-dim."""
    pairs = zip(x.to(dtype).tolist(), y.to(dtype).tolist(), strict=True)
    if dtype == torch.float64:
        total = float(sum((Fraction(a) * Fraction(b) for a, b in pairs), Fraction(0)))
    else:
        total = math.fsum(a * b for a, b in pairs)  # products of float32 or narrower numbers are exact in float64
    return torch.tensor(total, dtype=torch.float64)


def dot_bound(x: Tensor, y: Tensor, dtype: torch.dtype) -> Tensor:
    """Return the largest error of a right dot product of two vectors cast to `dtype`; float64, 0-dim, absolute.

    u |e| (1 + g) + g S (1 + u) + smallest subnormal, where e is the exact value, u the unit roundoff of `dtype`, S the
    sum of |x_i y_i| and g = gamma(n, u of the accumulator), in any order of summation; g S alone for float32 and
    float64, which round no further.  The accumulator is float32 or wider (Blanchard, Higham, Lopez, Mary and Pranesh
    2020).  It holds against `exact_dot`, not against another rounded result, and says little from n = 1000 on.
    """
    size = exact_dot(x.abs(), y.abs(), dtype)
    if dtype in (torch.float32, torch.float64):
        return gamma(x.numel(), unit_roundoff(dtype)) * size
    roundoff, limits = unit_roundoff(dtype), torch.finfo(dtype)
    growth = gamma(x.numel(), unit_roundoff(torch.float32))
    rounding = roundoff * exact_dot(x, y, dtype).abs() * (1 + growth)
    return rounding + growth * size * (1 + roundoff) + limits.smallest_normal * limits.eps
