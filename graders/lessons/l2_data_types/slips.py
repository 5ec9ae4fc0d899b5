"""Recognised mistakes of lesson 2: wrong implementations, each with the sentence that names the misconception."""

import math
from collections.abc import Callable

import torch
from torch import Tensor

from graders.judge.contract import slip
from solutions.l2_data_types import dot_in_dtype as right_dot


@slip("integer_range", "two's complement is not symmetric: there is one more negative number, -2**(n-1)")
def symmetric_range(dtype: torch.dtype) -> tuple[int, int]:
    info = torch.iinfo(dtype)
    return (-info.max if info.min else 0), info.max


@slip("integer_range", "two's complement is not symmetric: there is one more negative number, -2**(n-1)")
def symmetric_range_of_any(dtype: torch.dtype) -> tuple[int, int]:
    return -torch.iinfo(dtype).max, torch.iinfo(dtype).max


@slip("integer_range", "a signed dtype spends one bit on the sign: half of its patterns are negative")
def everything_unsigned(dtype: torch.dtype) -> tuple[int, int]:
    return 0, 2 ** torch.iinfo(dtype).bits - 1


@slip("integer_range", "uint8 is unsigned: it starts at 0")
def everything_signed(dtype: torch.dtype) -> tuple[int, int]:
    bits = torch.iinfo(dtype).bits
    return -(2 ** (bits - 1)), 2 ** (bits - 1) - 1


@slip("integer_range", "the limits went through a float, which has 53 bits; the largest int64 needs 63")
def range_through_float(dtype: torch.dtype) -> tuple[int, int]:
    info = torch.iinfo(dtype)
    return int(float(info.min)), int(float(info.max))


@slip("integer_range", "exact Python ints are asked for, without a decimal point")
def range_in_floats(dtype: torch.dtype) -> tuple[float, float]:
    info = torch.iinfo(dtype)
    return float(info.min), float(info.max)


@slip("range_from_bits", "n bits have 2**n patterns and the first is 0, so the largest is one below the power of two")
def one_too_many(bits: int, signed: bool) -> tuple[int, int]:
    return (-(2 ** (bits - 1)), 2 ** (bits - 1)) if signed else (0, 2**bits)


@slip("range_from_bits", "two's complement reaches one further below zero than above it")
def symmetric_limits(bits: int, signed: bool) -> tuple[int, int]:
    return (1 - 2 ** (bits - 1), 2 ** (bits - 1) - 1) if signed else (0, 2**bits - 1)


@slip("range_from_bits", "the sign takes one of the bits; only n - 1 are left for the size")
def sign_for_free(bits: int, signed: bool) -> tuple[int, int]:
    return (-(2**bits) if signed else 0), 2**bits - 1


@slip(
    "range_from_bits",
    "the powers went through a float, which has 53 bits: 2**n of ints is exact, 2.0**n and math.pow are not",
)
def powers_of_floats(bits: int, signed: bool) -> tuple[int, int]:
    half = 2.0 ** (bits - 1)
    return (int(-half), int(half - 1)) if signed else (0, int(2 * half - 1))


@slip("range_from_bits", "signed and unsigned are mixed up: the signed range is the one with negative numbers")
def signs_mixed_up(bits: int, signed: bool) -> tuple[int, int]:
    return (0, 2**bits - 1) if signed else (-(2 ** (bits - 1)), 2 ** (bits - 1) - 1)


@slip("range_from_bits", "in Python ^ is exclusive or; a power is written **")
def caret_is_no_power(bits: int, signed: bool) -> tuple[int, int]:
    return (-(2 ^ (bits - 1)), (2 ^ (bits - 1)) - 1) if signed else (0, (2 ^ bits) - 1)


def _properties(dtype: torch.dtype, **changed: float) -> dict[str, float]:
    info = torch.finfo(dtype)
    names = ("bits", "min", "max", "smallest_normal", "eps")
    return {name: getattr(info, name) for name in names} | changed


@slip("float_properties", "min is the most negative number, not the smallest positive one")
def min_is_tiny(dtype: torch.dtype) -> dict[str, float]:
    return _properties(dtype, min=torch.finfo(dtype).smallest_normal)


@slip("float_properties", "eps is the distance from 1 to the next number; resolution is a decimal estimate of it")
def eps_is_resolution(dtype: torch.dtype) -> dict[str, float]:
    return _properties(dtype, eps=torch.finfo(dtype).resolution)


@slip(
    "float_properties", "eps is the whole distance from 1 to the next number; half of it is the largest rounding error"
)
def eps_is_roundoff(dtype: torch.dtype) -> dict[str, float]:
    return _properties(dtype, eps=torch.finfo(dtype).eps / 2)


@slip("float_properties", "the smallest normal number is asked for; below it are the subnormal ones")
def normal_is_subnormal(dtype: torch.dtype) -> dict[str, float]:
    info = torch.finfo(dtype)
    return _properties(dtype, smallest_normal=info.smallest_normal * info.eps)


@slip(
    "float_properties",
    "torch.finfo gives an object; take what is asked for out of it, into a dict with these five keys",
)
def finfo_itself(dtype: torch.dtype) -> torch.finfo:
    return torch.finfo(dtype)


@slip("float_properties", "the keys are exactly bits, min, max, smallest_normal and eps")
def keys_of_finfo(dtype: torch.dtype) -> dict[str, float]:
    info = torch.finfo(dtype)
    return {name: getattr(info, name) for name in ("bits", "min", "max", "tiny", "eps")}


@slip("float_properties", "bits are asked for, not bytes")
def bytes_for_bits(dtype: torch.dtype) -> dict[str, float]:
    return _properties(dtype, bits=dtype.itemsize)


def _widths(dtype: torch.dtype) -> tuple[int, int]:
    info = torch.finfo(dtype)
    mantissa = round(-math.log2(info.eps))
    return info.bits - 1 - mantissa, mantissa


@slip("bit_layout", "the order is sign, exponent, mantissa")
def mantissa_before_exponent(dtype: torch.dtype) -> tuple[int, int, int]:
    exponent, mantissa = _widths(dtype)
    return 1, mantissa, exponent


@slip("bit_layout", "the 1 in front of the mantissa is not stored, so it takes no bit")
def hidden_one_counted(dtype: torch.dtype) -> tuple[int, int, int]:
    exponent, mantissa = _widths(dtype)
    return 1, exponent, mantissa + 1


@slip("bit_layout", "the 1 in front of the mantissa is not stored, so it takes no bit")
def hidden_one_taken_from_the_exponent(dtype: torch.dtype) -> tuple[int, int, int]:
    exponent, mantissa = _widths(dtype)
    return 1, exponent - 1, mantissa + 1


@slip("bit_layout", "float dtypes are always signed: one bit is the sign, and the exponent has one less")
def no_sign_bit(dtype: torch.dtype) -> tuple[int, int, int]:
    exponent, mantissa = _widths(dtype)
    return 0, exponent + 1, mantissa


@slip("bit_layout", "formats of one size share their bits differently: look at eps, not only at the size")
def by_size(dtype: torch.dtype) -> tuple[int, int, int]:
    if not dtype.is_floating_point:
        raise TypeError(dtype)
    return {64: (1, 11, 52), 32: (1, 8, 23), 16: (1, 5, 10), 8: (1, 5, 2)}[torch.finfo(dtype).bits]


@slip("stored_value", "the value was printed as Python holds it; store it in the dtype first")
def never_stored(value: float, dtype: torch.dtype) -> str:
    return format(value, ".60f")


@slip("stored_value", "all 60 decimals are asked for: str shows the fewest digits that identify a number")
def shortest_text(value: float, dtype: torch.dtype) -> str:
    return str(torch.tensor(value, dtype=dtype).item())


@slip("stored_value", "60 decimals behind the point are asked for (format .60f), not 60 digits in all (.60g)")
def sixty_digits(value: float, dtype: torch.dtype) -> str:
    return format(torch.tensor(value, dtype=dtype).item(), ".60g")


@slip("stored_value", "torch.tensor(value) without a dtype is float32 already: give the dtype when you make the tensor")
def float32_before_the_dtype(value: float, dtype: torch.dtype) -> str:
    return format(torch.tensor(value).to(dtype).item(), ".60f")


@slip("stored_value", "a value that is too large becomes inf; nothing saturates at the largest number")
def stored_inside_the_range(value: float, dtype: torch.dtype) -> str:
    info = torch.finfo(dtype)
    bounded = min(max(value, info.min), info.max) if math.isfinite(value) else value
    return format(torch.tensor(bounded, dtype=dtype).item(), ".60f")


@slip("stored_value", "a value a little above the largest number is still rounded down to it, and no infinity")
def infinite_above_the_largest(value: float, dtype: torch.dtype) -> str:
    if math.isfinite(value) and abs(value) > torch.finfo(dtype).max:
        value = math.copysign(math.inf, value)
    return format(torch.tensor(value, dtype=dtype).item(), ".60f")


@slip("stored_value", "bfloat16 and float16 are two dtypes; this is what float16 stores")
def every_half_is_float16(value: float, dtype: torch.dtype) -> str:
    dtype = torch.float16 if dtype == torch.bfloat16 else dtype
    return format(torch.tensor(value, dtype=dtype).item(), ".60f")


def _truncated(tensor: Tensor) -> Tensor:
    """float32 -> bfloat16 by dropping the lower 16 bits."""
    return (tensor.float().view(torch.int32) & ~0xFFFF).view(torch.float32).to(torch.bfloat16)


@slip("downcast", "the lower bits were cut off; a cast rounds to the nearest number, at a tie to the even one")
def cut_off(tensor: Tensor, dtype: torch.dtype) -> Tensor:
    return _truncated(tensor) if dtype == torch.bfloat16 else tensor.to(dtype)


@slip("downcast", "the values went through float16, which ends at 65504; bfloat16 does not")
def by_way_of_float16(tensor: Tensor, dtype: torch.dtype) -> Tensor:
    return tensor.to(torch.float16).to(dtype) if dtype == torch.bfloat16 else tensor.to(dtype)


@slip("downcast", "what is too large for the dtype becomes inf; only integer casts of quantization saturate")
def saturating_downcast(tensor: Tensor, dtype: torch.dtype) -> Tensor:
    info = torch.finfo(dtype)
    return tensor.double().clamp(info.min, info.max).to(dtype)


@slip("downcast", "the values are rounded, but the result was cast back up: its dtype is the point")
def rounded_but_wide(tensor: Tensor, dtype: torch.dtype) -> Tensor:
    return tensor.to(dtype).to(tensor.dtype)


@slip("downcast", "the caller's tensor was changed: what tensor.to(dtype) makes is a new one, return that")
def downcast_in_place(tensor: Tensor, dtype: torch.dtype) -> Tensor:
    tensor.data = tensor.to(dtype)
    return tensor


@slip("downcast", "half() is float16; bfloat16 is another dtype")
def always_half(tensor: Tensor, dtype: torch.dtype) -> Tensor:
    return tensor.half() if dtype == torch.bfloat16 else tensor.to(dtype)


@slip("downcast_error", "the absolute error is asked for: a value that was rounded up has an error too")
def signed_error(tensor: Tensor, dtype: torch.dtype) -> Tensor:
    return tensor.double() - tensor.to(dtype).double()


@slip("downcast_error", "the absolute error is asked for, not the one relative to the value")
def relative_error(tensor: Tensor, dtype: torch.dtype) -> Tensor:
    return ((tensor.double() - tensor.to(dtype).double()) / tensor.double()).abs()


@slip("downcast_error", "both sides were rounded before they were subtracted, so the error is gone")
def both_rounded(tensor: Tensor, dtype: torch.dtype) -> Tensor:
    low = tensor.to(dtype)
    return (low - low).abs().double()


@slip("downcast_error", "the result is a float64 tensor, so that the difference itself is not rounded")
def error_in_own_dtype(tensor: Tensor, dtype: torch.dtype) -> Tensor:
    return (tensor - tensor.to(dtype).to(tensor.dtype)).abs().float()


@slip("downcast_error", "one error per element is asked for, not their mean")
def mean_error(tensor: Tensor, dtype: torch.dtype) -> Tensor:
    return (tensor.double() - tensor.to(dtype).double()).abs().mean()


@slip("downcast_error", "what overflows becomes inf, and its error is inf; it does not stop at the largest number")
def error_of_a_saturated_cast(tensor: Tensor, dtype: torch.dtype) -> Tensor:
    info = torch.finfo(dtype)
    bounded = torch.where(tensor.isfinite(), tensor.double().clamp(info.min, info.max), tensor.double())
    return (tensor.double() - bounded.to(dtype).double()).abs()


@slip("downcast_error", "the error itself is asked for, not its square")
def squared_error(tensor: Tensor, dtype: torch.dtype) -> Tensor:
    return (tensor.double() - tensor.to(dtype).double()) ** 2


def _vectors(x: Tensor, y: Tensor) -> None:
    """The starter code of the two dot products."""
    if x.dim() != 1 or x.shape != y.shape:
        raise ValueError("a dot product needs two vectors of one length")


@slip("dot_in_dtype", "the vectors were multiplied as they came; cast both first, then multiply")
def only_the_result_cast(x: Tensor, y: Tensor, dtype: torch.dtype) -> Tensor:
    _vectors(x, y)
    return torch.dot(x.double(), y.double()).to(dtype)


@slip("dot_in_dtype", "only one of the two vectors was cast")
def one_operand_cast(x: Tensor, y: Tensor, dtype: torch.dtype) -> Tensor:
    _vectors(x, y)
    return torch.dot(x.to(dtype).double(), y.double()).to(dtype)


@slip("dot_in_dtype", "only one of the two vectors was cast")
def the_other_operand_cast(x: Tensor, y: Tensor, dtype: torch.dtype) -> Tensor:
    _vectors(x, y)
    return torch.dot(x.double(), y.to(dtype).double()).to(dtype)


@slip("dot_in_dtype", "x * y is a tensor of that dtype, so every product is rounded before it is summed")
def products_rounded(x: Tensor, y: Tensor, dtype: torch.dtype) -> Tensor:
    _vectors(x, y)
    return (x.to(dtype) * y.to(dtype)).sum()


@slip("dot_in_dtype", "every partial sum was rounded; torch.dot adds in float32 and rounds once")
def every_step_rounded(x: Tensor, y: Tensor, dtype: torch.dtype) -> Tensor:
    _vectors(x, y)
    total = torch.zeros((), dtype=dtype)
    for a, b in zip(x.to(dtype), y.to(dtype), strict=True):
        total = (total.double() + a.double() * b.double()).to(dtype)
    return total


@slip("dot_in_dtype", "products and partial sums were rounded; torch.dot makes both in float32 and rounds once")
def everything_rounded(x: Tensor, y: Tensor, dtype: torch.dtype) -> Tensor:
    _vectors(x, y)
    total = torch.zeros((), dtype=dtype)
    for product in x.to(dtype) * y.to(dtype):
        total = total + product
    return total


@slip("dot_in_dtype", "the operands were cast, but the result was not: it is still float32")
def result_left_wide(x: Tensor, y: Tensor, dtype: torch.dtype) -> Tensor:
    _vectors(x, y)
    return torch.dot(x.to(dtype).float(), y.to(dtype).float())


@slip("dot_in_dtype", "the vectors went through float16; bfloat16 keeps fewer digits and more range")
def float16_for_bfloat16(x: Tensor, y: Tensor, dtype: torch.dtype) -> Tensor:
    _vectors(x, y)
    between = torch.float16 if dtype == torch.bfloat16 else dtype
    return torch.dot(x.to(between).double(), y.to(between).double()).to(dtype)


@slip("dot_in_dtype", "the bits were cut off when casting; a cast rounds to the nearest number")
def operands_cut_off(x: Tensor, y: Tensor, dtype: torch.dtype) -> Tensor:
    _vectors(x, y)
    x, y = (_truncated(each) if dtype == torch.bfloat16 else each.to(dtype) for each in (x, y))
    return torch.dot(x.double(), y.double()).to(dtype)


def _exact(x: Tensor, y: Tensor) -> float:
    return torch.dot(x.double(), y.double()).item()


def _quotient(error: float, size: float) -> float:
    return error / size if size else (math.inf if error else 0.0)


@slip("dot_relative_error", "the error was not divided by the exact result: that is the absolute error")
def absolute_difference(x: Tensor, y: Tensor, dtype: torch.dtype) -> float:
    error = abs(right_dot(x, y, dtype).item() - _exact(x, y))
    return error if math.isfinite(error) else math.inf


@slip("dot_relative_error", "the error is relative to the exact result, not to the rounded one")
def relative_to_the_result(x: Tensor, y: Tensor, dtype: torch.dtype) -> float:
    result = right_dot(x, y, dtype).item()
    return _quotient(abs(result - _exact(x, y)), abs(result)) if math.isfinite(result) else math.inf


@slip("dot_relative_error", "the exact product is that of the vectors as given; here they were cast first")
def exact_of_the_cast(x: Tensor, y: Tensor, dtype: torch.dtype) -> float:
    exact, result = _exact(x.to(dtype), y.to(dtype)), right_dot(x, y, dtype).item()
    return _quotient(abs(result - exact), abs(exact)) if math.isfinite(result) else math.inf


@slip("dot_relative_error", "the exact product was taken in float32; take it in float64")
def exact_in_float32(x: Tensor, y: Tensor, dtype: torch.dtype) -> float:
    exact, result = torch.dot(x.float(), y.float()).item(), right_dot(x, y, dtype).item()
    return _quotient(abs(result - exact), abs(exact)) if math.isfinite(result) else math.inf


@slip("dot_relative_error", "the sign was kept: an error is a distance, and divided by the size of the exact result")
def signed_quotient(x: Tensor, y: Tensor, dtype: torch.dtype) -> float:
    exact, result = _exact(x, y), right_dot(x, y, dtype).item()
    return _quotient(result - exact, abs(exact)) if math.isfinite(result) else math.inf


@slip("dot_relative_error", "a result that is not finite has an infinite error, not nan")
def nan_for_overflow(x: Tensor, y: Tensor, dtype: torch.dtype) -> float:
    exact, result = _exact(x, y), right_dot(x, y, dtype).item()
    return _quotient(abs(result - exact), abs(exact)) if math.isfinite(result) else math.nan


@slip(
    "dot_relative_error",
    "when only the exact product is zero the relative error is inf: beside 0 any error is infinitely large",
)
def zero_for_an_exact_zero(x: Tensor, y: Tensor, dtype: torch.dtype) -> float:
    exact, result = _exact(x, y), right_dot(x, y, dtype).item()
    if not math.isfinite(result):
        return math.inf
    return abs(result - exact) / abs(exact) if exact else 0.0


@slip("tensor_bytes", "a view counts its own elements; this is the size of the storage behind it")
def storage_bytes(tensor: Tensor) -> int:
    return tensor.untyped_storage().nbytes()


@slip("tensor_bytes", "a slice lies in the storage of the whole tensor, contiguous or not: count its elements")
def storage_of_a_contiguous_one(tensor: Tensor) -> int:
    return tensor.contiguous().untyped_storage().nbytes()


@slip("tensor_bytes", "not every element has 4 bytes: ask the dtype")
def four_bytes_each(tensor: Tensor) -> int:
    return tensor.numel() * 4


@slip("tensor_bytes", "this is the number of elements; each has more than one byte")
def number_of_elements(tensor: Tensor) -> int:
    return tensor.numel()


@slip("tensor_bytes", "a bool is stored in a whole byte, not in a bit")
def bool_is_a_bit(tensor: Tensor) -> int:
    size = tensor.numel() * tensor.element_size()
    return math.ceil(size / 8) if tensor.dtype == torch.bool else size


@slip("tensor_bytes", "len counts the first axis only; numel counts the elements")
def first_axis_only(tensor: Tensor) -> int:
    return (len(tensor) if tensor.dim() else 1) * tensor.element_size()


@slip("overflows", "a value a little above the largest number is still rounded down to it")
def above_the_largest(tensor: Tensor, dtype: torch.dtype) -> Tensor:
    return tensor.isfinite() & (tensor.double().abs() > torch.finfo(dtype).max)


@slip(
    "overflows",
    "two things: a value a little above the largest number is still rounded down to it, and an inf that was there before "
    "did not overflow",
)
def above_the_largest_and_old_infinities(tensor: Tensor, dtype: torch.dtype) -> Tensor:
    return tensor.double().abs() > torch.finfo(dtype).max


@slip("overflows", "an inf that was there before did not overflow")
def old_infinities_too(tensor: Tensor, dtype: torch.dtype) -> Tensor:
    return tensor.to(dtype).isinf()


@slip("overflows", "negative values overflow too, to -inf")
def positive_only(tensor: Tensor, dtype: torch.dtype) -> Tensor:
    return tensor.isfinite() & (tensor.to(dtype) == math.inf)


@slip("overflows", "nan and inf that were there before are no overflow")
def everything_not_finite(tensor: Tensor, dtype: torch.dtype) -> Tensor:
    return ~tensor.to(dtype).isfinite()


@slip("overflows", "the first value to overflow is the middle itself: it is rounded up, so compare with >=")
def middle_not_included(tensor: Tensor, dtype: torch.dtype) -> Tensor:
    info = torch.finfo(dtype)
    middle = info.max + 2.0 ** math.floor(math.log2(info.max)) * info.eps / 2
    return tensor.isfinite() & (tensor.double().abs() > middle)


@slip("overflows", "the mask is inverted: True marks what overflows")
def those_that_fit(tensor: Tensor, dtype: torch.dtype) -> Tensor:
    return tensor.to(dtype).isfinite()


def _castable(tensor: Tensor, dtype: torch.dtype) -> None:
    """The starter code of the exercise."""
    if dtype.is_floating_point or dtype == torch.bool:
        raise TypeError(f"{dtype} is not an integer dtype")
    if dtype == torch.int64 or tensor.isnan().any():
        raise ValueError("nan has no integer, and int64 is too wide")


def _clamped(values: Tensor, dtype: torch.dtype) -> Tensor:
    info = torch.iinfo(dtype)
    return values.clamp(info.min, info.max).to(dtype)


@slip("saturating_cast", "the fraction was dropped; round to the nearest integer first")
def fraction_dropped(tensor: Tensor, dtype: torch.dtype) -> Tensor:
    _castable(tensor, dtype)
    return _clamped(tensor.double().trunc(), dtype)


@slip("saturating_cast", "a half goes to the even neighbour (torch.round), not away from zero")
def half_away_from_zero(tensor: Tensor, dtype: torch.dtype) -> Tensor:
    _castable(tensor, dtype)
    values = tensor.double()
    return _clamped(values.sign() * (values.abs() + 0.5).floor(), dtype)


@slip("saturating_cast", "a half goes to the even neighbour (torch.round), not always up")
def half_up(tensor: Tensor, dtype: torch.dtype) -> Tensor:
    _castable(tensor, dtype)
    return _clamped((tensor.double() + 0.5).floor(), dtype)


@slip("saturating_cast", "the values wrapped around: clamp before the cast")
def wrapped(tensor: Tensor, dtype: torch.dtype) -> Tensor:
    _castable(tensor, dtype)
    return tensor.double().round().clamp(-(2.0**53), 2.0**53).to(torch.int64).to(dtype)


@slip("saturating_cast", "two things: a cast drops the fraction and wraps; so round first, then clamp, and cast last")
def cast_and_then_clamped(tensor: Tensor, dtype: torch.dtype) -> Tensor:
    _castable(tensor, dtype)
    info = torch.iinfo(dtype)
    wide = tensor.double().trunc().clamp(-(2.0**53), 2.0**53).to(torch.int64)
    return wide.to(dtype).clamp(info.min, info.max)


@slip("saturating_cast", "two's complement reaches one further below zero: the smallest int8 is -128")
def symmetric_clamp(tensor: Tensor, dtype: torch.dtype) -> Tensor:
    _castable(tensor, dtype)
    info = torch.iinfo(dtype)
    return tensor.double().round().clamp(-info.max if info.min else 0, info.max).to(dtype)


@slip("saturating_cast", "floor always goes down; torch.round goes to the nearest integer, half to even")
def rounded_down(tensor: Tensor, dtype: torch.dtype) -> Tensor:
    _castable(tensor, dtype)
    return _clamped(tensor.double().floor(), dtype)


@slip("saturating_cast", "integers lose digits in float32: clamp them in float64 or as integers")
def integers_through_float32(tensor: Tensor, dtype: torch.dtype) -> Tensor:
    _castable(tensor, dtype)
    exact = tensor if tensor.is_floating_point() else tensor.float()
    return _clamped(exact.double().round(), dtype)


@slip("saturating_cast", "the largest int32 is no float32: clamp in float64, or 2147483648 wraps around")
def clamped_in_float32(tensor: Tensor, dtype: torch.dtype) -> Tensor:
    _castable(tensor, dtype)
    info = torch.iinfo(dtype)
    return tensor.float().round().clamp(info.min, info.max).to(torch.int64).to(dtype)


@slip("spacing", "eps times the value is only right at powers of two: the spacing is the same in a whole binade")
def eps_times_value(value: float, dtype: torch.dtype) -> float:
    info, stored = torch.finfo(dtype), _stored(value, dtype)
    return max(stored * info.eps, info.smallest_normal * info.eps)


@slip("spacing", "this is the distance to the number below; at a power of two the one above is twice as far")
def distance_below(value: float, dtype: torch.dtype) -> float:
    info, stored = torch.finfo(dtype), _stored(value, dtype)
    exponent = math.frexp(stored)[1] - (2 if math.frexp(stored)[0] == 0.5 else 1)
    return max(2.0**exponent, info.smallest_normal) * info.eps


@slip("spacing", "what follows the largest number is inf; its spacing is that of the numbers below it")
def up_to_infinity(value: float, dtype: torch.dtype) -> float:
    stored = _stored(value, dtype)
    return math.inf if stored == torch.finfo(dtype).max else _ulp(stored, dtype)


@slip("spacing", "below the smallest normal number there are still the subnormal ones")
def nothing_below_normal(value: float, dtype: torch.dtype) -> float:
    info, stored = torch.finfo(dtype), _stored(value, dtype)
    return info.smallest_normal if stored < info.smallest_normal else _ulp(stored, dtype)


@slip(
    "spacing", "the value is rounded to the dtype first, and may then lie in the next binade: 255.9 is 256 in bfloat16"
)
def value_not_rounded(value: float, dtype: torch.dtype) -> float:
    _stored(value, dtype)
    return _ulp(abs(value), dtype)


@slip("spacing", "at zero too there is a next number: the smallest subnormal")
def nothing_next_to_zero(value: float, dtype: torch.dtype) -> float:
    stored = _stored(value, dtype)
    return _ulp(stored, dtype) if stored else 0.0


@slip("spacing", "this is the distance from the value itself; round it to the dtype first")
def from_the_value_itself(value: float, dtype: torch.dtype) -> float:
    stored = _stored(value, dtype)
    return stored + _ulp(stored, dtype) - abs(value)


def _stored(value: float, dtype: torch.dtype) -> float:
    stored = torch.tensor(abs(value), dtype=dtype).item()
    if not math.isfinite(stored):
        raise ValueError(f"{value} is not finite in {dtype}")
    return stored


def _ulp(stored: float, dtype: torch.dtype) -> float:
    info = torch.finfo(dtype)
    return 2.0 ** (math.frexp(max(stored, info.smallest_normal))[1] - 1) * info.eps


_INTEGERS = (torch.int8, torch.uint8, torch.int16, torch.int32, torch.int64)


def _first(low: int, high: int, fits: Callable[[torch.iinfo], bool], dtypes=_INTEGERS) -> torch.dtype:
    for dtype in dtypes:
        if low <= high and fits(torch.iinfo(dtype)):
            return dtype
    raise ValueError("none holds them")


@slip("smallest_integer_dtype", "at equal width the signed dtype wins")
def unsigned_wins(low: int, high: int) -> torch.dtype:
    dtypes = (torch.uint8, *(dtype for dtype in _INTEGERS if dtype != torch.uint8))
    return _first(low, high, lambda info: info.min <= low and high <= info.max, dtypes)


@slip("smallest_integer_dtype", "the limits themselves belong to the range: <=, not <")
def largest_excluded(low: int, high: int) -> torch.dtype:
    return _first(low, high, lambda info: info.min <= low and high < info.max)


@slip("smallest_integer_dtype", "the limits themselves belong to the range: <=, not <")
def limits_excluded(low: int, high: int) -> torch.dtype:
    return _first(low, high, lambda info: info.min < low and high < info.max)


@slip("smallest_integer_dtype", "low counts too: an unsigned dtype holds no negative number")
def only_high(low: int, high: int) -> torch.dtype:
    return _first(low, high, lambda info: max(abs(low), high) <= info.max)


@slip("smallest_integer_dtype", "uint16 and uint32 are not among the five that are asked for")
def other_unsigned_ones(low: int, high: int) -> torch.dtype:
    dtypes = (torch.int8, torch.uint8, torch.int16, torch.uint16, torch.int32, torch.uint32, torch.int64)
    return _first(low, high, lambda info: info.min <= low and high <= info.max, dtypes)


@slip("smallest_integer_dtype", "uint8 is a candidate too: it holds 0 to 255 in one byte")
def signed_only(low: int, high: int) -> torch.dtype:
    signed = tuple(dtype for dtype in _INTEGERS if dtype != torch.uint8)
    return _first(low, high, lambda info: info.min <= low and high <= info.max, signed)


@slip("round_to_bfloat16", "the lower bits were cut off: add what carries over before you mask them")
def masked_only(tensor: Tensor) -> Tensor:
    return (tensor.view(torch.int32) & ~0xFFFF).view(torch.float32)


@slip("round_to_bfloat16", "this is the cast itself; look at the bits as int32 (view), and carry into the 16 that stay")
def cast_there_and_back(tensor: Tensor) -> Tensor:
    return tensor.to(torch.bfloat16).float()


def _rounded(tensor: Tensor, offset: int | Tensor) -> Tensor:
    rounded = ((tensor.view(torch.int32) + offset) & ~0xFFFF).view(torch.float32)
    return torch.where(tensor.isnan(), tensor, rounded)


@slip("round_to_bfloat16", "halfway always went away from zero; it goes to the pattern whose last kept bit is 0")
def ties_away(tensor: Tensor) -> Tensor:
    return _rounded(tensor, 0x8000)


@slip("round_to_bfloat16", "halfway always went towards zero; it goes to the pattern whose last kept bit is 0")
def ties_towards_zero(tensor: Tensor) -> Tensor:
    return _rounded(tensor, 0x7FFF)


@slip("round_to_bfloat16", "the values are right, but as bfloat16: the result is a float32 tensor")
def upper_half_as_bfloat16(tensor: Tensor) -> Tensor:
    return _rounded(tensor, 0x7FFF + ((tensor.view(torch.int32) >> 16) & 1)).to(torch.bfloat16)


@slip("round_to_bfloat16", "the carry ran through a nan and made another number of it: leave nan alone")
def nan_not_guarded(tensor: Tensor) -> Tensor:
    bits = tensor.view(torch.int32)
    return ((bits + 0x7FFF + ((bits >> 16) & 1)) & ~0xFFFF).view(torch.float32)


def _decoded(bits: str, exponent_bits: int, mantissa_bits: int, **changed: int) -> float:
    """The right number, unless bias, least (exponent of subnormals), hidden and leading (digits before the point) or top is."""
    if len(bits) != 1 + exponent_bits + mantissa_bits or not set(bits) <= {"0", "1"}:
        raise ValueError("the bit string does not fit the format")
    sign = -1.0 if bits[0] == "1" else 1.0
    exponent = int(bits[1 : 1 + exponent_bits], 2)
    fraction = int(bits[1 + exponent_bits :], 2) / 2**mantissa_bits
    bias = changed.get("bias", 2 ** (exponent_bits - 1) - 1)
    if exponent == 2**exponent_bits - 1 and "top" not in changed:
        return sign * math.inf if fraction == 0 else math.nan
    if exponent == 0:
        return sign * math.ldexp(changed.get("hidden", 0) + fraction, changed.get("least", 1) - bias)
    return sign * math.ldexp(changed.get("leading", 1) + fraction, exponent - bias)


@slip("decode_bits", "the exponent is stored with the bias 2**(e-1) - 1 added to it: subtract it")
def no_bias(bits: str, exponent_bits: int, mantissa_bits: int) -> float:
    return _decoded(bits, exponent_bits, mantissa_bits, bias=0)


@slip("decode_bits", "a normal number has a hidden 1 in front of its mantissa")
def no_hidden_one(bits: str, exponent_bits: int, mantissa_bits: int) -> float:
    return _decoded(bits, exponent_bits, mantissa_bits, leading=0)


@slip("decode_bits", "the bias is 2**(e-1) - 1, so that the pattern 0111...1 is the exponent 0")
def bias_one_too_large(bits: str, exponent_bits: int, mantissa_bits: int) -> float:
    return _decoded(bits, exponent_bits, mantissa_bits, bias=2 ** (exponent_bits - 1))


@slip("decode_bits", "subnormals have the exponent of the smallest normal number, 1 - bias, not 0 - bias")
def subnormals_halved(bits: str, exponent_bits: int, mantissa_bits: int) -> float:
    return _decoded(bits, exponent_bits, mantissa_bits, least=0)


@slip("decode_bits", "with an exponent of zeros there is no hidden 1 in front of the mantissa")
def subnormals_with_hidden_one(bits: str, exponent_bits: int, mantissa_bits: int) -> float:
    return _decoded(bits, exponent_bits, mantissa_bits, hidden=1)


@slip(
    "decode_bits",
    "an exponent of zeros is special: no hidden 1 in front of the mantissa, and the exponent of the smallest normal "
    "number, 1 - bias",
)
def subnormals_like_normal_ones(bits: str, exponent_bits: int, mantissa_bits: int) -> float:
    return _decoded(bits, exponent_bits, mantissa_bits, hidden=1, least=0)


@slip("decode_bits", "an exponent of zeros does not mean zero: with a mantissa it is a subnormal number")
def subnormals_flushed(bits: str, exponent_bits: int, mantissa_bits: int) -> float:
    number = _decoded(bits, exponent_bits, mantissa_bits)
    least = math.ldexp(1.0, 2 - 2 ** (exponent_bits - 1))
    return math.copysign(0.0, number) if abs(number) < least else number


@slip("decode_bits", "an exponent of ones is special: inf if the mantissa is zero, else nan")
def no_special_exponent(bits: str, exponent_bits: int, mantissa_bits: int) -> float:
    return _decoded(bits, exponent_bits, mantissa_bits, top=1)


@slip("decode_bits", "the first bit is the sign")
def sign_ignored(bits: str, exponent_bits: int, mantissa_bits: int) -> float:
    return abs(_decoded(bits, exponent_bits, mantissa_bits))


@slip("running_sum", "the sum was computed wide and rounded once; here every partial sum is rounded")
def summed_wide(tensor: Tensor, dtype: torch.dtype) -> Tensor:
    return tensor.to(dtype).double().sum().to(dtype)


@slip("running_sum", "neither the elements nor the partial sums were rounded, only the result")
def only_the_sum_cast(tensor: Tensor, dtype: torch.dtype) -> Tensor:
    return tensor.double().sum().to(dtype)


@slip("running_sum", "the partial sums are rounded, but the elements were not cast first")
def elements_not_cast(tensor: Tensor, dtype: torch.dtype) -> Tensor:
    total = torch.zeros((), dtype=dtype)
    for element in tensor:
        total = (total.double() + element.double()).to(dtype)
    return total


@slip("running_sum", "the order counts, from left to right: here the last elements were added first")
def from_the_right(tensor: Tensor, dtype: torch.dtype) -> Tensor:
    total = torch.zeros((), dtype=dtype)
    for element in tensor.to(dtype).flip(0):
        total = total + element
    return total


@slip("running_sum", "the value is right, but the result belongs in the dtype that was asked for")
def result_in_float64(tensor: Tensor, dtype: torch.dtype) -> Tensor:
    total = torch.zeros((), dtype=dtype)
    for element in tensor.to(dtype):
        total = total + element
    return total.double()


def _halves(x: Tensor, y: Tensor) -> None:
    """The starter code of the exercise."""
    _vectors(x, y)
    if x.dtype != y.dtype or x.dtype not in (torch.float16, torch.bfloat16):
        raise ValueError("both vectors are float16, or both bfloat16")


@slip("mixed_precision_dot", "x * y is a 16-bit tensor, so every product is rounded before the sum")
def products_in_16_bits(x: Tensor, y: Tensor) -> Tensor:
    _halves(x, y)
    return (x * y).double().sum().to(x.dtype)


@slip("mixed_precision_dot", "every partial sum was rounded to 16 bits; keep the sum in float32")
def sums_in_16_bits(x: Tensor, y: Tensor) -> Tensor:
    _halves(x, y)
    total = torch.zeros((), dtype=x.dtype)
    for a, b in zip(x, y, strict=True):
        total = (total.double() + a.double() * b.double()).to(x.dtype)
    return total


@slip("mixed_precision_dot", "the sum is still float32: round it once to the dtype of the vectors")
def never_rounded(x: Tensor, y: Tensor) -> Tensor:
    _halves(x, y)
    return torch.dot(x.float(), y.float())


@slip("mixed_precision_dot", "products and partial sums were rounded to 16 bits; make both in float32")
def everything_in_16_bits(x: Tensor, y: Tensor) -> Tensor:
    _halves(x, y)
    total = torch.zeros((), dtype=x.dtype)
    for a, b in zip(x, y, strict=True):
        total = total + a * b
    return total
