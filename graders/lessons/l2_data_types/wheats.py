"""Right answers to lesson 2 in other styles than the reference: every one must pass every hidden test."""

import contextlib
import math
import struct
import warnings
from collections import OrderedDict
from decimal import Decimal
from fractions import Fraction
from functools import reduce
from typing import NamedTuple

import numpy
import torch
from torch import Tensor

from graders.judge.contract import wheat

_INTEGERS = (torch.int8, torch.uint8, torch.int16, torch.int32, torch.int64)


@wheat("integer_range")
def range_by_table(dtype: torch.dtype) -> tuple[int, int]:
    table = {
        torch.uint8: (0, 255),
        torch.int8: (-128, 127),
        torch.int16: (-32768, 32767),
        torch.int32: (-2147483648, 2147483647),
        torch.int64: (-9223372036854775808, 9223372036854775807),
    }
    if dtype not in table:
        raise TypeError(f"{dtype} is not an integer dtype")
    return table[dtype]


@wheat("integer_range")
def range_by_formula(dtype: torch.dtype) -> tuple[int, int]:
    if dtype.is_floating_point or dtype.is_complex or dtype == torch.bool:
        raise TypeError("integers only")
    bits = 8 * dtype.itemsize
    return (-(1 << (bits - 1)), (1 << (bits - 1)) - 1) if dtype.is_signed else (0, (1 << bits) - 1)


@wheat("integer_range")
def range_by_numpy(dtype: torch.dtype) -> tuple[int, int]:
    print("looking up", dtype)
    try:
        info = numpy.iinfo(str(dtype).split(".")[1])
    except (ValueError, TypeError) as error:
        raise TypeError("integers only") from error
    return int(info.min), int(info.max)


@wheat("integer_range")
def range_with_names(dtype: torch.dtype) -> tuple[int, int]:
    class NoInteger(TypeError):
        pass

    class Range(NamedTuple):
        low: int
        high: int

    if dtype not in _INTEGERS:
        raise NoInteger(dtype)
    ones = (1 << 8 * torch.empty((), dtype=dtype).element_size()) - 1
    return Range(-(ones + 1) // 2, ones // 2) if torch.empty((), dtype=dtype).is_signed() else Range(0, ones)


@wheat("range_from_bits")
def limits_by_shifts(bits: int, signed: bool) -> tuple[int, int]:
    if bits < 1:
        raise ValueError(bits)
    low = -(1 << (bits - 1)) if signed else 0
    return low, low + (1 << bits) - 1


@wheat("range_from_bits")
def limits_from_patterns(bits: int, signed: bool) -> tuple[int, int]:
    if not bits >= 1:
        raise ValueError("at least one bit")
    ones = int("1" * bits, 2)
    return (~(ones >> 1), ones >> 1) if signed else (0, ones)


@wheat("range_from_bits")
def limits_by_bytes(bits: int, signed: bool) -> tuple[int, int]:
    if bits < 1:
        raise ValueError
    values = [2**place for place in range(bits)]
    return (-values[-1], sum(values[:-1])) if signed else (0, sum(values))


@wheat("range_from_bits")
def limits_bit_by_bit(bits: int, signed: bool) -> tuple[int, int]:
    if bits < 1:
        raise ValueError(bits)
    low, high = (-1, 0) if signed else (0, 1)
    for _ in range(bits - 1):
        low, high = 2 * low, 2 * high + 1
    return low, high


@wheat("float_properties")
def properties_written_out(dtype: torch.dtype) -> dict[str, float]:
    info = torch.finfo(dtype)
    properties = {"eps": info.eps, "smallest_normal": info.tiny, "max": info.max}
    return {**properties, "min": -info.max, "bits": float(info.bits)}


@wheat("float_properties")
def properties_as_stored(dtype: torch.dtype) -> dict[str, float]:
    if not dtype.is_floating_point:
        raise TypeError("floats only")
    info = torch.finfo(dtype)
    numbers = torch.tensor([info.min, info.max, info.smallest_normal, info.eps], dtype=dtype).tolist()
    return {"bits": 8 * dtype.itemsize, **dict(zip(("min", "max", "smallest_normal", "eps"), numbers, strict=True))}


@wheat("float_properties")
def properties_by_table(dtype: torch.dtype) -> dict[str, float]:
    layouts = {
        torch.float64: (64, 1023, 52, 0),
        torch.float32: (32, 127, 23, 0),
        torch.float16: (16, 15, 10, 0),
        torch.bfloat16: (16, 127, 7, 0),
        torch.float8_e5m2: (8, 15, 2, 0),
        torch.float8_e4m3fn: (8, 7, 3, 1),  # one more exponent, and its last mantissa is nan
    }
    if dtype not in layouts:
        raise TypeError("floats only")
    bits, bias, mantissa, extended = layouts[dtype]
    largest = math.ldexp(2 - 2.0 ** (extended - mantissa), bias + extended)
    properties = {"bits": bits, "min": -largest, "max": largest}
    properties["smallest_normal"] = math.ldexp(1.0, 1 - bias)
    properties["eps"] = 2.0**-mantissa
    return properties


@wheat("float_properties")
def properties_as_numpy_floats(dtype: torch.dtype) -> dict[str, float]:
    info = torch.finfo(dtype)
    names = ("eps", "smallest_normal", "max", "min", "bits")
    return OrderedDict((name, numpy.float64(getattr(info, name))) for name in names)


@wheat("bit_layout")
def layout_by_table(dtype: torch.dtype) -> tuple[int, int, int]:
    table = {
        torch.float64: (1, 11, 52),
        torch.float32: (1, 8, 23),
        torch.float16: (1, 5, 10),
        torch.bfloat16: (1, 8, 7),
        torch.float8_e4m3fn: (1, 4, 3),
        torch.float8_e5m2: (1, 5, 2),
    }
    if dtype not in table:
        raise TypeError(dtype)
    return table[dtype]


@wheat("bit_layout")
def layout_by_counting(dtype: torch.dtype) -> tuple[int, int, int]:
    if not dtype.is_floating_point:
        raise TypeError(dtype)
    mantissa, eps = 0, torch.finfo(dtype).eps
    while eps < 1:
        eps, mantissa = 2 * eps, mantissa + 1
    return 1, dtype.itemsize * 8 - mantissa - 1, mantissa


@wheat("bit_layout")
def layout_by_bits_of_eps(dtype: torch.dtype) -> tuple[int, int, int]:
    if dtype in (torch.complex64, torch.complex128):
        raise TypeError("complex")
    info = torch.finfo(dtype)  # a TypeError for integers and bool
    mantissa = 1 - math.frexp(info.eps)[1]
    return 1, info.bits - mantissa - 1, mantissa


@wheat("bit_layout")
def layout_by_halving(dtype: torch.dtype) -> tuple[int, int, int]:
    if torch.empty(0, dtype=dtype).is_complex():
        raise TypeError("complex")
    bits, mantissa = torch.finfo(dtype).bits, 0
    while torch.tensor(1 + 2.0 ** -(mantissa + 1), dtype=torch.float64).to(dtype).item() != 1:
        mantissa += 1
    return 1, bits - 1 - mantissa, mantissa


@wheat("stored_value")
def stored_by_decimal(value: float, dtype: torch.dtype) -> str:
    stored = torch.full((), value, dtype=torch.float64).to(dtype).item()
    return f"{Decimal(stored):.60f}" if math.isfinite(stored) else str(stored)


@wheat("stored_value")
def stored_through_float32(value: float, dtype: torch.dtype) -> str:
    wide = torch.tensor(value, dtype=torch.float64)
    narrow = wide if dtype == torch.float64 else wide.to(torch.float32).to(dtype)
    return "%.60f" % narrow.to(torch.float64).item()  # noqa: UP031


@wheat("stored_value")
def stored_in_a_vector(value: float, dtype: torch.dtype) -> str:
    return f"{torch.tensor([value], dtype=dtype).tolist()[0]:.60f}"


@wheat("stored_value")
def stored_digit_by_digit(value: float, dtype: torch.dtype) -> str:
    stored = torch.tensor(value, dtype=dtype).item()
    if not math.isfinite(stored):
        return "nan" if stored != stored else "inf" if stored > 0 else "-inf"
    whole, part = divmod(round(abs(Fraction(stored)) * 10**60), 10**60)
    return f"{'-' if stored < 0 else ''}{whole}.{part:060d}"


@wheat("downcast")
def cast_by_copy(tensor: Tensor, dtype: torch.dtype) -> Tensor:
    result = torch.empty(tensor.shape, dtype=dtype)
    result.copy_(tensor)
    return result


@wheat("downcast")
def cast_by_type(tensor: Tensor, dtype: torch.dtype) -> Tensor:
    return tensor.detach().clone().type(dtype)


@wheat("downcast")
def cast_number_by_number(tensor: Tensor, dtype: torch.dtype) -> Tensor:
    numbers = [float(number) for number in tensor.reshape(-1)]
    return torch.tensor(numbers, dtype=dtype).reshape(tensor.shape)


@wheat("downcast")
def cast_through_float32(tensor: Tensor, dtype: torch.dtype) -> Tensor:
    if dtype is torch.float64:
        return tensor.double()
    return torch.nn.Parameter(tensor).float().to(dtype)  # the result takes part in autograd


@wheat("downcast")
def cast_into_a_view(tensor: Tensor, dtype: torch.dtype) -> Tensor:
    """Every second number of a larger tensor, and part of a graph: strides and autograd are free."""
    both = torch.stack([tensor.detach().to(dtype), torch.zeros(tensor.shape, dtype=dtype)], dim=-1)
    return both.requires_grad_().select(-1, 0)


@wheat("downcast_error")
def error_by_sub(tensor: Tensor, dtype: torch.dtype) -> Tensor:
    there_and_back = tensor.to(dtype).to(torch.float64)
    return torch.sub(there_and_back, tensor.to(torch.float64)).abs()


@wheat("downcast_error")
def error_by_promotion(tensor: Tensor, dtype: torch.dtype) -> Tensor:
    return torch.abs(tensor.to(dtype) - tensor.double())


@wheat("downcast_error")
def error_by_numpy(tensor: Tensor, dtype: torch.dtype) -> Tensor:
    before, after = tensor.double().numpy(), tensor.to(dtype).double().numpy()
    with numpy.errstate(all="ignore"):
        return torch.from_numpy(numpy.abs(before - after))


@wheat("downcast_error")
def error_one_by_one(tensor: Tensor, dtype: torch.dtype) -> Tensor:
    pairs = zip(tensor.flatten().tolist(), tensor.to(dtype).flatten().tolist(), strict=True)
    errors = [math.nan if not math.isfinite(before) else abs(after - before) for before, after in pairs]
    return torch.tensor(errors, dtype=torch.float64).view(tensor.shape)


@wheat("downcast_error")
def error_of_the_narrow_ones(tensor: Tensor, dtype: torch.dtype) -> Tensor:
    """The error of one rounding fits into the wider of the two dtypes, so it may be taken there."""
    return (tensor - tensor.to(dtype)).abs().to(torch.float64)


def _need_vectors(x: Tensor, y: Tensor) -> None:
    if x.ndim != 1 or y.ndim != 1 or len(x) != len(y):
        raise ValueError("two vectors of one length")


@wheat("dot_in_dtype")
def dot_in_float64(x: Tensor, y: Tensor, dtype: torch.dtype) -> Tensor:
    _need_vectors(x, y)
    return (x.to(dtype).double() * y.to(dtype).double()).sum().to(dtype)


@wheat("dot_in_dtype")
def dot_backwards_in_float32(x: Tensor, y: Tensor, dtype: torch.dtype) -> Tensor:
    _need_vectors(x, y)
    wide = torch.float64 if dtype == torch.float64 else torch.float32
    total = torch.zeros((), dtype=wide)
    for a, b in reversed(list(zip(x.to(dtype).to(wide), y.to(dtype).to(wide), strict=True))):
        total += a * b
    return total.to(dtype)


@wheat("dot_in_dtype")
def dot_by_matmul(x: Tensor, y: Tensor, dtype: torch.dtype) -> Tensor:
    if x.dim() != 1 or y.dim() != 1 or x.size(0) != y.size(0):
        raise ValueError
    return x.to(dtype) @ y.to(dtype)


@wheat("dot_in_dtype")
def dot_by_numpy(x: Tensor, y: Tensor, dtype: torch.dtype) -> Tensor:
    _need_vectors(x, y)
    wide = numpy.float64 if dtype == torch.float64 else numpy.float32
    a, b = (numpy.array(vector.to(dtype).tolist(), dtype=wide) for vector in (x, y))
    return torch.tensor(float(numpy.dot(a, b)), dtype=dtype)


@wheat("dot_in_dtype")
def dot_by_fsum(x: Tensor, y: Tensor, dtype: torch.dtype) -> Tensor:
    _need_vectors(x, y)
    products = [a * b for a, b in zip(x.to(dtype).tolist(), y.to(dtype).tolist(), strict=True)]
    return torch.tensor(math.fsum(products), dtype=dtype)


@wheat("dot_in_dtype")
def dot_in_chunks(x: Tensor, y: Tensor, dtype: torch.dtype) -> Tensor:
    _need_vectors(x, y)
    wide = torch.promote_types(dtype, torch.float32)
    products = x.to(dtype).to(wide) * y.to(dtype).to(wide)
    return sum(part.sum() for part in products.split(8)).to(dtype)


@wheat("dot_in_dtype")
def dot_by_einsum(x: Tensor, y: Tensor, dtype: torch.dtype) -> Tensor:
    _need_vectors(x, y)
    return torch.einsum("i,i->", x.to(dtype), y.to(dtype))


@wheat("dot_in_dtype")
def dot_by_fractions(x: Tensor, y: Tensor, dtype: torch.dtype) -> Tensor:
    _need_vectors(x, y)
    pairs = zip(x.to(dtype).tolist(), y.to(dtype).tolist(), strict=True)
    exact = sum((Fraction(a) * Fraction(b) for a, b in pairs), Fraction(0))
    return torch.tensor([float(exact)], dtype=torch.float64).to(dtype)[0]


@wheat("dot_relative_error")
def error_by_fractions(x: Tensor, y: Tensor, dtype: torch.dtype) -> float:
    exact = sum((Fraction(a) * Fraction(b) for a, b in zip(x.tolist(), y.tolist(), strict=True)), Fraction(0))
    result = float(torch.dot(x.to(dtype), y.to(dtype)))
    if math.isnan(result) or math.isinf(result):
        return math.inf
    if exact == 0:
        return math.inf if result != 0 else 0.0
    return float(abs(Fraction(result) - exact) / abs(exact))


@wheat("dot_relative_error")
def error_in_tensors(x: Tensor, y: Tensor, dtype: torch.dtype) -> float:
    exact = (x.double() * y.double()).sum()
    error = (torch.dot(x.to(dtype), y.to(dtype)).double() - exact).abs() / exact.abs()
    both_zero = exact == 0 and torch.dot(x.to(dtype), y.to(dtype)) == 0
    return 0.0 if both_zero else error.nan_to_num(nan=math.inf, posinf=math.inf).item()


@wheat("dot_relative_error")
def error_by_quotient(x: Tensor, y: Tensor, dtype: torch.dtype) -> float:
    exact = math.fsum(a * b for a, b in zip(x.tolist(), y.tolist(), strict=True))
    result = (x.to(dtype).double() @ y.to(dtype).double()).to(dtype).item()
    if result == exact:
        return 0.0
    if exact == 0 or not math.isfinite(result):
        return float("inf")
    return abs(1 - result / exact)


@wheat("dot_relative_error")
def error_by_numpy_floats(x: Tensor, y: Tensor, dtype: torch.dtype) -> float:
    exact = numpy.dot(x.double().numpy(), y.double().numpy())
    result = numpy.float64(dot_in_float64(x, y, dtype).item())
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        error = numpy.abs((result - exact) / exact)
    if not numpy.isfinite(result):
        return math.inf
    return 0.0 if result == exact else error  # a numpy.float64 is a float


@wheat("tensor_bytes")
def bytes_by_nbytes(tensor: Tensor) -> int:
    return tensor.nbytes


@wheat("tensor_bytes")
def bytes_by_itemsize(tensor: Tensor) -> int:
    return tensor.dtype.itemsize * math.prod(tensor.shape)


@wheat("tensor_bytes")
def bytes_by_shape(tensor: Tensor) -> int:
    if tensor.dim() == 0:
        return tensor.itemsize
    return reduce(lambda a, b: a * b, tensor.size()) * tensor.element_size()


@wheat("tensor_bytes")
def bytes_of_a_copy(tensor: Tensor) -> int:
    return torch.empty(tensor.shape, dtype=tensor.dtype).untyped_storage().nbytes()


@wheat("overflows")
def overflow_by_comparison(tensor: Tensor, dtype: torch.dtype) -> Tensor:
    info = torch.finfo(dtype)
    halfway = info.max + 2.0 ** math.floor(math.log2(info.max)) * info.eps / 2
    return (tensor.double().abs() >= halfway) & ~tensor.isinf()


@wheat("overflows")
def overflow_by_difference(tensor: Tensor, dtype: torch.dtype) -> Tensor:
    return torch.logical_and(torch.isinf(tensor.to(dtype)), torch.logical_not(torch.isinf(tensor)))


@wheat("overflows")
def overflow_one_by_one(tensor: Tensor, dtype: torch.dtype) -> Tensor:
    marks = [
        math.isfinite(before) and math.isinf(after)
        for before, after in zip(tensor.flatten().tolist(), tensor.to(dtype).flatten().tolist(), strict=True)
    ]
    return torch.tensor(marks, dtype=torch.bool).reshape(tensor.shape)


@wheat("overflows")
def overflow_of_the_error(tensor: Tensor, dtype: torch.dtype) -> Tensor:
    return (tensor.double() - tensor.to(dtype).double()).abs() == math.inf


def _need_integers(tensor: Tensor, dtype: torch.dtype) -> None:
    if dtype not in _INTEGERS:
        raise TypeError(dtype)
    if dtype == torch.int64 or tensor.isnan().any():
        raise ValueError


@wheat("saturating_cast")
def cast_by_numpy(tensor: Tensor, dtype: torch.dtype) -> Tensor:
    _need_integers(tensor, dtype)
    name = str(dtype).removeprefix("torch.")
    limits = numpy.iinfo(name)
    return torch.from_numpy(numpy.clip(numpy.rint(tensor.double().numpy()), limits.min, limits.max).astype(name))


@wheat("saturating_cast")
def cast_by_where(tensor: Tensor, dtype: torch.dtype) -> Tensor:
    _need_integers(tensor, dtype)
    info = torch.iinfo(dtype)
    x = torch.round(tensor.to(torch.float64))
    x = torch.where(x > info.max, float(info.max), x)
    x = torch.where(x < info.min, float(info.min), x)
    return x.type(dtype)


@wheat("saturating_cast")
def cast_in_python(tensor: Tensor, dtype: torch.dtype) -> Tensor:
    _need_integers(tensor, dtype)
    info, codes = torch.iinfo(dtype), []
    for value in tensor.flatten().tolist():
        bounded = min(max(value, info.min), info.max)
        codes.append(round(bounded))
    return torch.tensor(codes, dtype=dtype).reshape(tensor.shape)


@wheat("saturating_cast")
def clamp_then_round(tensor: Tensor, dtype: torch.dtype) -> Tensor:
    _need_integers(tensor, dtype)
    info = torch.iinfo(dtype)
    if not tensor.is_floating_point():
        return tensor.long().clamp(info.min, info.max).to(dtype)
    return tensor.double().clamp(min=info.min, max=info.max).round_().to(dtype)


@wheat("spacing")
def spacing_by_nextafter(value: float, dtype: torch.dtype) -> float:
    stored = torch.tensor(value, dtype=dtype).abs()
    if not torch.isfinite(stored):
        raise ValueError(value)
    infinity = torch.tensor(math.inf, dtype=dtype)
    following = torch.nextafter(stored, infinity)
    if following == infinity:
        return stored.double().item() - torch.nextafter(stored, -infinity).double().item()
    return following.double().item() - stored.double().item()


@wheat("spacing")
def spacing_by_bits(value: float, dtype: torch.dtype) -> float:
    whole = {2: torch.int16, 4: torch.int32, 8: torch.int64}[dtype.itemsize]
    stored = torch.tensor([abs(value)], dtype=torch.float64).to(dtype)
    if not stored.isfinite():
        raise ValueError("not finite")
    pattern = stored.view(whole)
    low = pattern if stored < torch.finfo(dtype).max else pattern - 1
    return ((low + 1).view(dtype).double() - low.view(dtype).double()).item()


@wheat("spacing")
def spacing_by_halving(value: float, dtype: torch.dtype) -> float:
    info = torch.finfo(dtype)
    stored = float(torch.tensor(abs(value), dtype=dtype))
    if stored in (math.inf,) or stored != stored:
        raise ValueError("not finite")
    power = info.smallest_normal
    while 2 * power <= stored:
        power *= 2
    return power * info.eps


@wheat("spacing")
def spacing_by_ulp(value: float, dtype: torch.dtype) -> float:
    """math.ulp is the spacing of float64: scale it, and keep it above the smallest subnormal."""
    stored = torch.tensor(abs(value), dtype=dtype).item()
    if not math.isfinite(stored):
        raise ValueError
    info = torch.finfo(dtype)
    return max(math.ulp(stored) * (info.eps / 2.0**-52), info.smallest_normal * info.eps)


@wheat("smallest_integer_dtype")
def dtype_by_comparisons(low: int, high: int) -> torch.dtype:
    if low > high:
        raise ValueError("low > high")
    if low >= -(2**7) and high < 2**7:
        return torch.int8
    if low >= 0 and high < 2**8:
        return torch.uint8
    if low >= -(2**15) and high < 2**15:
        return torch.int16
    if low >= -(2**31) and high < 2**31:
        return torch.int32
    if low >= -(2**63) and high < 2**63:
        return torch.int64
    raise ValueError("none")


@wheat("smallest_integer_dtype")
def dtype_by_bit_length(low: int, high: int) -> torch.dtype:
    if high < low:
        raise ValueError
    bits = 1 + max((~low if low < 0 else low).bit_length(), (~high if high < 0 else high).bit_length())
    if bits == 9 and low >= 0:
        return torch.uint8
    for width, dtype in ((8, torch.int8), (16, torch.int16), (32, torch.int32), (64, torch.int64)):
        if bits <= width:
            return dtype
    raise ValueError


@wheat("smallest_integer_dtype")
def dtype_by_sorting(low: int, high: int) -> torch.dtype:
    if low > high:
        raise ValueError
    fitting = [d for d in _INTEGERS if torch.iinfo(d).min <= low <= high <= torch.iinfo(d).max]
    if not fitting:
        raise ValueError("no dtype")
    return min(fitting, key=lambda d: (d.itemsize, not d.is_signed))


@wheat("smallest_integer_dtype")
def dtype_by_packing(low: int, high: int) -> torch.dtype:
    if low > high:
        raise ValueError("low > high")
    for code, dtype in zip("bBhiq", _INTEGERS, strict=True):
        with contextlib.suppress(struct.error):
            struct.pack(2 * code, low, high)
            return dtype
    raise ValueError("none")


@wheat("round_to_bfloat16")
def rounded_by_numpy(tensor: Tensor) -> Tensor:
    bits = numpy.array(tensor.numpy(), copy=True).view(numpy.uint32)
    lower, upper = bits & 0xFFFF, bits & 0xFFFF0000
    up = (lower > 0x8000) | ((lower == 0x8000) & ((bits >> 16) & 1 == 1))
    rounded = (upper + numpy.where(up, numpy.uint32(0x10000), numpy.uint32(0))).astype(numpy.uint32)
    rounded[numpy.isnan(tensor.numpy())] = 0x7FC00000
    return torch.from_numpy(rounded.view(numpy.float32))


@wheat("round_to_bfloat16")
def rounded_in_int64(tensor: Tensor) -> Tensor:
    bits = tensor.clone().view(torch.int32).to(torch.int64) & 0xFFFFFFFF
    remainder = bits % 65536
    kept = bits // 65536
    kept = kept + ((remainder > 32768) | ((remainder == 32768) & (kept % 2 == 1))).long()
    pattern = kept * 65536
    pattern = torch.where(pattern >= 2**31, pattern - 2**32, pattern)
    result = pattern.to(torch.int32).view(torch.float32)
    result[tensor != tensor] = math.nan
    return result


@wheat("round_to_bfloat16")
def rounded_one_by_one(tensor: Tensor) -> Tensor:
    def rounded(value: float) -> float:
        if math.isnan(value):
            return value
        (bits,) = struct.unpack("<I", struct.pack("<f", value))
        bits += 0x7FFF + (bits >> 16 & 1)
        return struct.unpack("<f", struct.pack("<I", bits & 0xFFFF0000))[0]

    return torch.tensor([rounded(v) for v in tensor.flatten().tolist()], dtype=torch.float32).view_as(tensor)


@wheat("round_to_bfloat16")
def rounded_by_halves(tensor: Tensor) -> Tensor:
    """Work on the pairs of 16-bit halves, and read the upper ones as bfloat16: a view, no cast."""
    halves = tensor.contiguous().view(torch.int16).reshape(*tensor.shape, 2).to(torch.int32) & 0xFFFF
    lower, upper = halves.unbind(-1)
    upper = upper + ((lower + (upper & 1)) > 0x8000).int()
    result = upper.to(torch.int16).view(torch.bfloat16).float()
    return torch.where(torch.isnan(tensor), math.nan, result)


@wheat("decode_bits")
def decoded_by_fractions(bits: str, exponent_bits: int, mantissa_bits: int) -> float:
    if len(bits) != 1 + exponent_bits + mantissa_bits or any(bit not in "01" for bit in bits):
        raise ValueError(bits)
    sign, exponent, mantissa = bits[0], bits[1 : exponent_bits + 1], bits[exponent_bits + 1 :]
    if "0" not in exponent:
        size = float("nan") if "1" in mantissa else float("inf")
    else:
        stored = int(exponent, 2)
        significand = Fraction(int(mantissa, 2), 2**mantissa_bits) + (stored > 0)
        size = float(significand * Fraction(2) ** (max(stored, 1) - (2 ** (exponent_bits - 1) - 1)))
    return -size if sign == "1" else size


@wheat("decode_bits")
def decoded_bit_by_bit(bits: str, exponent_bits: int, mantissa_bits: int) -> float:
    if len(bits) != exponent_bits + mantissa_bits + 1:
        raise ValueError("length")
    if bits.strip("01"):
        raise ValueError("characters")
    exponent = sum(2**place for place, bit in enumerate(reversed(bits[1 : 1 + exponent_bits])) if bit == "1")
    total = 0.0 if exponent == 0 else 1.0
    for place, bit in enumerate(bits[1 + exponent_bits :], start=1):
        total += int(bit) * 2.0**-place
    bias = 2 ** (exponent_bits - 1) - 1
    sign = (-1.0) ** int(bits[0])
    if exponent == 2**exponent_bits - 1:
        return sign * math.inf if total == 1.0 else math.nan
    return sign * total * 2.0 ** ((exponent or 1) - bias)


@wheat("decode_bits")
def decoded_as_float64(bits: str, exponent_bits: int, mantissa_bits: int) -> float:
    """Rewrite the pattern as one of float64, and let struct read it; subnormals are scaled by hand."""
    if len(bits) != 1 + exponent_bits + mantissa_bits or set(bits) - set("01"):
        raise ValueError("no such pattern")
    exponent, mantissa = int(bits[1 : 1 + exponent_bits], 2), int(bits[1 + exponent_bits :], 2)
    bias = (1 << (exponent_bits - 1)) - 1
    if exponent == 0:
        return math.copysign(math.ldexp(mantissa, 1 - bias - mantissa_bits), -1 if bits[0] == "1" else 1)
    wide = 2047 if exponent == (1 << exponent_bits) - 1 else exponent - bias + 1023
    pattern = int(bits[0]) << 63 | wide << 52 | mantissa << (52 - mantissa_bits)
    return struct.unpack(">d", pattern.to_bytes(8, "big"))[0]


@wheat("decode_bits")
def decoded_by_numpy(bits: str, exponent_bits: int, mantissa_bits: int) -> float:
    if len(bits) != 1 + exponent_bits + mantissa_bits or bits.count("0") + bits.count("1") != len(bits):
        raise ValueError(bits)
    exponent, mantissa = int(bits[1 : 1 + exponent_bits], 2), int(bits[1 + exponent_bits :], 2)
    if exponent == 2**exponent_bits - 1:
        size = numpy.float64("nan" if mantissa else "inf")
    else:
        digits = mantissa + (2**mantissa_bits if exponent else 0)
        power = max(exponent, 1) - 2 ** (exponent_bits - 1) + 1 - mantissa_bits
        size = numpy.ldexp(numpy.float64(digits), power)
    return numpy.copysign(size, -1.0 if bits[0] == "1" else 1.0)


@wheat("running_sum")
def sum_in_float64_steps(tensor: Tensor, dtype: torch.dtype) -> Tensor:
    total = 0.0
    for value in tensor.to(dtype).tolist():
        total = torch.tensor(total + value, dtype=torch.float64).to(dtype).item()
    return torch.tensor(total, dtype=dtype)


@wheat("running_sum")
def sum_by_reduce(tensor: Tensor, dtype: torch.dtype) -> Tensor:
    return reduce(torch.add, tensor.to(dtype).unbind(), torch.tensor(0.0, dtype=dtype))


@wheat("running_sum")
def sum_in_float32_steps(tensor: Tensor, dtype: torch.dtype) -> Tensor:
    wide = torch.float64 if dtype == torch.float64 else torch.float32
    total = torch.zeros((), dtype=wide)
    for index in range(len(tensor)):
        total = (total + tensor[index].to(dtype).to(wide)).to(dtype).to(wide)
    return total.to(dtype)


@wheat("running_sum")
def sum_in_place(tensor: Tensor, dtype: torch.dtype) -> Tensor:
    total = torch.zeros(1, dtype=dtype)
    with torch.no_grad():
        for element in tensor.to(dtype):
            total += element
    return total.squeeze()


@wheat("running_sum")
def sum_in_a_box(tensor: Tensor, dtype: torch.dtype) -> Tensor:
    box = torch.zeros(3, dtype=dtype)
    for index in range(tensor.numel()):
        box[1] += tensor[index].detach().to(dtype)
    return box[1]


@wheat("mixed_precision_dot")
def mixed_in_float64(x: Tensor, y: Tensor) -> Tensor:
    _need_halves(x, y)
    return (x.double() * y.double()).sum().to(x.dtype)


@wheat("mixed_precision_dot")
def mixed_native(x: Tensor, y: Tensor) -> Tensor:
    _need_halves(x, y)
    return torch.dot(x, y)


@wheat("mixed_precision_dot")
def mixed_backwards(x: Tensor, y: Tensor) -> Tensor:
    _need_halves(x, y)
    total = torch.tensor(0.0)
    for a, b in zip(x.flip(0), y.flip(0), strict=True):
        total = torch.addcmul(total, a.float(), b.float())
    return total.to(x.dtype)


@wheat("mixed_precision_dot")
def mixed_by_numpy(x: Tensor, y: Tensor) -> Tensor:
    _need_halves(x, y)
    return torch.from_numpy(numpy.asarray(x.float().numpy() @ y.float().numpy())).to(x.dtype)


def _need_halves(x: Tensor, y: Tensor) -> None:
    with contextlib.suppress(ValueError):
        _need_vectors(x, y)
        if x.dtype == y.dtype and x.dtype in {torch.bfloat16, torch.float16}:
            return
    raise ValueError("two vectors of one 16-bit dtype")
