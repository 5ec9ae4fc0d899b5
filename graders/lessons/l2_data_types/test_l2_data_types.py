"""Hidden tests of lesson 2.

Inputs are chosen so that every right algorithm gives the same bits, whatever its order of summation and its
accumulator (float32 or wider); then the tolerance is zero.  Where rounding cannot be avoided the bound is derived beside
the check.  u is the unit roundoff of a dtype, half of its eps: 2**-8 for bfloat16, 2**-11 for float16, 2**-24 for float32.
"""

import math
from collections.abc import Callable

import pytest
import torch
from torch import Generator, Tensor, tensor

from exercises.kit.checking.closeness import Mismatch, bit_for_bit, exactly, relative, same, within
from exercises.kit.checking.rounding import dot_bound, exact_dot, unit_roundoff
from exercises.kit.probes import l2 as probes
from exercises.kit.toys import tensors
from graders.judge.contract import main, observed, raises, recipe

bfloat16, float16, float32, float64 = torch.bfloat16, torch.float16, torch.float32, torch.float64
e4m3, e5m2 = torch.float8_e4m3fn, torch.float8_e5m2
uint8, int8, int16, int32, int64 = torch.uint8, torch.int8, torch.int16, torch.int32, torch.int64
FLOATS = [float64, float32, float16, bfloat16]
HALVES = [bfloat16, float16]
INF, NAN = math.inf, math.nan


def name(dtype: torch.dtype) -> str:
    return str(dtype).removeprefix("torch.")


def wider(dtype: torch.dtype) -> torch.dtype:
    """A dtype that holds the bits which a cast to `dtype` loses."""
    return float64 if dtype in (float32, float64) else float32


def integer(low: int, high: int, generator: Generator) -> int:
    return int(torch.randint(low, high, (), generator=generator))


def signs(count: int, generator: Generator) -> Tensor:
    return torch.randint(0, 2, (count,), generator=generator) * 2.0 - 1.0


def grid(dtype: torch.dtype, count: int, generator: Generator) -> Tensor:
    """Random numbers in [0.5, 1) of either sign, with two bits more than `dtype` keeps: one in four is a tie."""
    steps = round(2 / unit_roundoff(dtype))
    numbers = torch.randint(steps, 2 * steps, (count,), generator=generator).to(wider(dtype)) / (2 * steps)
    return signs(count, generator) * numbers


def any_shape(*values: float, dtype: torch.dtype = float32, small: bool = False) -> pytest.MarkDecorator:
    """Twelve values in every shape and layout that a tensor argument may have, the rows unlike one another.

    `small`: 0-dim and empty ones too, for exercises that name them.
    """
    x = tensor(values, dtype=dtype)
    layouts: dict[str, object] = (
        {"0-dim": x[-1], "empty": torch.zeros(0), "empty, 3-D": torch.zeros(2, 0, 3)} if small else {}
    )
    layouts |= {
        "one element": x[:1],
        "rows": x.reshape(3, 4),
        "3-D": x.reshape(2, 3, 2),
        "transposed": x.reshape(4, 3).T,
        "strided": x.repeat_interleave(2)[::2],
        "expanded": x[:3].reshape(3, 1).expand(3, 2),
        "slice of a larger storage": recipe(tensors.inside, x.reshape(3, 4)),
    }
    return pytest.mark.parametrize("x", list(layouts.values()), ids=list(layouts))


class TestIntegerRange:
    @main
    @pytest.mark.parametrize("dtype", [uint8, int8, int16, int32], ids=name)
    def test_limits(self, student, reference, dtype):
        """An integer dtype of n bits has the limits of two's complement, or 0 and 2**n - 1 when unsigned."""
        same(student.integer_range(dtype), reference.integer_range(dtype), exactly)

    def test_int64_is_exact(self, student):
        """The limits of int64 are exact; a float cannot hold them."""
        same(student.integer_range(int64), (-(2**63), 2**63 - 1), exactly)

    @pytest.mark.parametrize("dtype", [*FLOATS, e4m3], ids=name)
    def test_refuses_floats(self, student, dtype):
        """A float dtype is a TypeError."""
        with raises(TypeError):
            student.integer_range(dtype)

    @pytest.mark.parametrize("dtype", [torch.bool, torch.complex64], ids=name)
    def test_refuses_bool_and_complex(self, student, dtype):
        """torch.bool and complex dtypes are a TypeError."""
        with raises(TypeError):
            student.integer_range(dtype)


class TestRangeFromBits:
    @main
    @pytest.mark.parametrize("signed", [True, False], ids=["signed", "unsigned"])
    @pytest.mark.parametrize("widths", [(3, 4), (4, 5), (8, 9), (10, 50)], ids=["3", "4", "8", "drawn"])
    def test_limits(self, student, reference, generator, widths, signed):
        """The limits follow from the formula for any number of bits."""
        bits = integer(*widths, generator)
        same(student.range_from_bits(bits, signed), reference.range_from_bits(bits, signed), exactly)

    @pytest.mark.parametrize(("signed", "limits"), [(True, (-1, 0)), (False, (0, 1))], ids=["signed", "unsigned"])
    def test_one_bit(self, student, signed, limits):
        """One bit holds 0 and 1, or -1 and 0 when signed."""
        same(student.range_from_bits(1, signed), limits, exactly)

    @pytest.mark.parametrize("signed", [True, False], ids=["signed", "unsigned"])
    @pytest.mark.parametrize("bits", [54, 63, 64, 100, 1100], ids=str)
    def test_wide_is_exact(self, student, reference, bits, signed):
        """More than 53 bits are exact too: a Python int has no limit, a float has 53 bits and ends at 2**1024."""
        same(student.range_from_bits(bits, signed), reference.range_from_bits(bits, signed), exactly)

    @pytest.mark.parametrize("signed", [True, False], ids=["signed", "unsigned"])
    @pytest.mark.parametrize("bits", [0, -1], ids=str)
    def test_refuses_less_than_one_bit(self, student, bits, signed):
        """Less than one bit is a ValueError."""
        with raises(ValueError):
            student.range_from_bits(bits, signed)


def same_properties(got: object, want: dict) -> None:
    """The same dict, in any order of keys; `bits` may be an int or a float."""
    if type(got) is dict and type(got.get("bits")) in (int, float):
        got, want = {**got, "bits": float(got["bits"])}, {**want, "bits": float(want["bits"])}
    same(got, want, exactly)


class TestFloatProperties:
    @main
    @pytest.mark.parametrize("dtype", FLOATS, ids=name)
    def test_properties(self, student, reference, dtype):
        """The five properties are those of the dtype: min the most negative number, eps the gap after 1."""
        same_properties(student.float_properties(dtype), reference.float_properties(dtype))

    @pytest.mark.parametrize("dtype", [e4m3, e5m2], ids=name)
    def test_float8(self, student, reference, dtype):
        """The float8 dtypes have the same properties."""
        same_properties(student.float_properties(dtype), reference.float_properties(dtype))

    @pytest.mark.parametrize("dtype", [uint8, int8, int16, int32, int64, torch.bool], ids=name)
    def test_refuses_integers(self, student, dtype):
        """An integer dtype and torch.bool are a TypeError."""
        with raises(TypeError):
            student.float_properties(dtype)


class TestBitLayout:
    @main
    @pytest.mark.parametrize(
        ("dtype", "layout"),
        [(float64, (1, 11, 52)), (float32, (1, 8, 23)), (float16, (1, 5, 10)), (bfloat16, (1, 8, 7))],
        ids=["float64", "float32", "float16", "bfloat16"],
    )
    def test_layout(self, student, dtype, layout):
        """Sign, exponent and stored mantissa bits, in this order."""
        same(student.bit_layout(dtype), layout, exactly)

    @pytest.mark.parametrize(("dtype", "layout"), [(e4m3, (1, 4, 3)), (e5m2, (1, 5, 2))], ids=["e4m3fn", "e5m2"])
    def test_float8(self, student, dtype, layout):
        """The two float8 dtypes share their eight bits differently."""
        same(student.bit_layout(dtype), layout, exactly)

    @pytest.mark.parametrize("dtype", [uint8, int16, int64, torch.bool, torch.complex64], ids=name)
    def test_refuses_other_dtypes(self, student, dtype):
        """Integer dtypes, torch.bool and complex dtypes are a TypeError."""
        with raises(TypeError):
            student.bit_layout(dtype)


def third(dtype: torch.dtype, generator: Generator) -> float:
    return 1 / 3


def drawn_value(dtype: torch.dtype, generator: Generator) -> float:
    """For 16-bit dtypes a float32 number, so that rounding it through float32 rounds once."""
    return 100 * torch.rand((), generator=generator, dtype=wider(dtype)).item()


class TestStoredValue:
    @main
    @pytest.mark.parametrize("dtype", FLOATS, ids=name)
    @pytest.mark.parametrize("build", [third, drawn_value])
    def test_nearest_number(self, student, reference, generator, build, dtype):
        """The nearest number of the dtype is printed with 60 decimals."""
        value = build(dtype, generator)
        same(student.stored_value(value, dtype), reference.stored_value(value, dtype), exactly)

    @pytest.mark.parametrize(
        ("value", "dtype"),
        [(65504.0, bfloat16), (16777217.0, float32), (2049.0, float16), (-2051.0, float16), (1e38, float32)],
        ids=["65504 in bfloat16", "16777217 in float32", "2049 in float16", "-2051 in float16", "1e38 in float32"],
    )
    def test_large(self, student, reference, value, dtype):
        """Large integers are rounded too, half to even, and printed in full."""
        same(student.stored_value(value, dtype), reference.stored_value(value, dtype), exactly)

    @pytest.mark.parametrize(
        ("value", "dtype"),
        [(2.0**-24, float16), (1.25 * 2.0**-23, float16), (-0.1, bfloat16), (3.0e-7, float32), (1e-30, float64)],
        ids=["smallest float16", "subnormal float16", "-0.1 in bfloat16", "3e-7 in float32", "1e-30 in float64"],
    )
    def test_small(self, student, reference, value, dtype):
        """Small and negative numbers show what is left of them in 60 decimals."""
        same(student.stored_value(value, dtype), reference.stored_value(value, dtype), exactly)

    @pytest.mark.parametrize(("value", "dtype"), [(0.3, e4m3), (-100.0, e5m2)], ids=["0.3 in e4m3fn", "-100 in e5m2"])
    def test_float8(self, student, reference, value, dtype):
        """float8 numbers are stored and printed in the same way."""
        same(student.stored_value(value, dtype), reference.stored_value(value, dtype), exactly)

    @pytest.mark.parametrize("dtype", FLOATS, ids=name)
    @pytest.mark.parametrize(
        ("value", "text"), [(INF, "inf"), (-INF, "-inf"), (NAN, "nan")], ids=["inf", "-inf", "nan"]
    )
    def test_not_finite(self, student, value, text, dtype):
        """The infinities and nan are written inf, -inf and nan."""
        same(student.stored_value(value, dtype), text, exactly)

    @pytest.mark.parametrize(
        ("value", "dtype", "text"),
        [(70000.0, float16, "inf"), (-1e39, bfloat16, "-inf"), (1e39, float32, "inf")],
        ids=["70000 in float16", "-1e39 in bfloat16", "1e39 in float32"],
    )
    def test_too_large(self, student, value, dtype, text):
        """A value beyond the range is stored as an infinity."""
        same(student.stored_value(value, dtype), text, exactly)

    @pytest.mark.parametrize(
        ("value", "dtype"),
        [
            (65510.0, float16),
            (-65519.0, float16),
            (2.0**128 - 2.0**119 - 2.0**104, bfloat16),
            (-(2.0**128) + 2.0**103 + 2.0**90, float32),
        ],
        ids=["65510 in float16", "-65519 in float16", "bfloat16", "float32"],
    )
    def test_beyond_the_largest(self, student, reference, value, dtype):
        """Less than half a step beyond the largest number is not too large: it is stored as the largest number."""
        same(student.stored_value(value, dtype), reference.stored_value(value, dtype), exactly)


def ties(dtype: torch.dtype, generator: Generator) -> Tensor:
    """Halfway between two numbers, to be rounded down and up, and beside halfway."""
    u = unit_roundoff(dtype)
    return tensor(
        [[1 + u, 1 + 3 * u, -1 - u, -1 - 3 * u], [1 + 1.5 * u, -1 - 0.5 * u, 4 + 2 * u, 3]], dtype=wider(dtype)
    )


def normal(dtype: torch.dtype, generator: Generator) -> Tensor:
    return torch.randn(5, 7, generator=generator, dtype=wider(dtype))


class TestDowncast:
    @main
    @pytest.mark.parametrize("dtype", [bfloat16, float16, float32], ids=name)
    @pytest.mark.parametrize("build", [ties, normal])
    def test_rounds_to_nearest(self, student, reference, generator, build, dtype):
        """Every element goes to the nearest number of the dtype, at a tie to the even one."""
        x = build(dtype, generator)
        same(student.downcast(x, dtype), reference.downcast(x, dtype), exactly)

    def test_range_of_bfloat16(self, student):
        """bfloat16 has the range of float32: 2**17 stays finite, 2**-30 stays above zero."""
        x = tensor([2.0**17, -(2.0**100), 2.0**-30, 65504.0])
        want = tensor([2.0**17, -(2.0**100), 2.0**-30, 65536.0], dtype=bfloat16)
        same(student.downcast(x, bfloat16), want, exactly)

    @pytest.mark.parametrize(
        ("x", "dtype"),
        [
            (tensor([65504.0, 65519.0, 65520.0, -65520.0, INF, -INF, NAN]), float16),
            (tensor([3.3e38, 3.4e38, -3.4e38, INF, -INF, NAN]), bfloat16),
            (tensor([3.4e38, 1e39, -1e300, INF, -INF, NAN], dtype=float64), float32),
        ],
        ids=["float16", "bfloat16", "float32"],
    )
    def test_too_large(self, student, reference, x, dtype):
        """What is too large becomes an infinity; inf and nan stay."""
        same(student.downcast(x, dtype), reference.downcast(x, dtype), exactly)

    @pytest.mark.parametrize(
        ("x", "dtype"),
        [
            (tensor([2.0**-24, 2.0**-25, 1.001 * 2.0**-25, 1.5 * 2.0**-24, -(2.0**-15)]), float16),
            (tensor([2.0**-133, 2.0**-134, 1.25 * 2.0**-134, -(2.0**-130)], dtype=float32), bfloat16),
            (tensor([2.0**-149, 2.0**-150, 1.25 * 2.0**-150, -(2.0**-140)], dtype=float64), float32),
        ],
        ids=["float16", "bfloat16", "float32"],
    )
    def test_subnormal(self, student, reference, x, dtype):
        """Numbers below the smallest normal one keep what the subnormals can hold."""
        same(student.downcast(x, dtype), reference.downcast(x, dtype), exactly)

    @pytest.mark.parametrize("dtype", [e4m3, e5m2], ids=name)
    def test_float8(self, student, reference, dtype):
        """float8 is rounded in the same way inside its range."""
        x = tensor([1.0625, 1.1875, -1.1, 3.0, 200.0, 0.02, 1.0625 + 2.0**-12, 1.125 + 2.0**-12])  # no second rounding
        same(student.downcast(x, dtype), reference.downcast(x, dtype), exactly)

    @pytest.mark.parametrize("dtype", HALVES, ids=name)
    @any_shape(1.1, -2.2, 3.3, 4.4, 0.0, 77777.0, -6.6, 1e-3, 8.8, INF, 300.1, 0.1, small=True)
    def test_any_shape(self, student, reference, x, dtype):
        """Any shape stays what it is, 0-dim and empty too; the strides of the tensor do not matter."""
        same(student.downcast(x, dtype), reference.downcast(x, dtype), exactly)

    @pytest.mark.parametrize("dtype", FLOATS, ids=name)
    def test_same_dtype(self, student, dtype):
        """A tensor that already has the dtype keeps its values."""
        x = tensor([1 / 3, -0.5, INF], dtype=dtype)
        same(student.downcast(x, dtype), x, exactly)


class TestDowncastError:
    @main
    @pytest.mark.parametrize("dtype", [bfloat16, float16, float32], ids=name)
    @pytest.mark.parametrize("build", [ties, normal])
    def test_absolute_error(self, student, reference, generator, build, dtype):
        """The error is |value - what the dtype stores|, for values rounded up and down."""
        # A float64 and the number it is rounded to differ by something that float64 holds: the tolerance is zero.
        x = build(dtype, generator)
        same(student.downcast_error(x, dtype), reference.downcast_error(x, dtype), exactly)

    def test_in_float64(self, student):
        """The difference of float64 values is taken in float64; in float32 it would vanish."""
        x = tensor([1 + 2.0**-30, 1 + 2.0**-24 + 2.0**-40], dtype=float64)
        want = tensor([2.0**-30, 2.0**-24 - 2.0**-40], dtype=float64)
        same(student.downcast_error(x, float32), want, exactly)

    def test_float16_to_bfloat16(self, student):
        """What bfloat16 makes of float16's largest number is beyond float16, and off by 32."""
        x = tensor([65504.0, -65504.0], dtype=float16)
        same(student.downcast_error(x, bfloat16), tensor([32.0, 32.0], dtype=float64), exactly)

    def test_no_error(self, student):
        """A float64 tensor loses nothing in float64."""
        x = tensor([1 / 3, -0.1, 1e300], dtype=float64)
        same(student.downcast_error(x, float64), torch.zeros(3, dtype=float64), exactly)

    @pytest.mark.parametrize(
        ("x", "dtype"),
        [
            (tensor([65519.0, 65520.0, -70000.0]), float16),
            (tensor([3.3e38, 3.4e38, -3.4e38]), bfloat16),
            (tensor([3.4e38, 1e39, -1e39], dtype=float64), float32),
        ],
        ids=["float16", "bfloat16", "float32"],
    )
    def test_overflow(self, student, reference, x, dtype):
        """Where the value overflows, the error is inf."""
        same(student.downcast_error(x, dtype), reference.downcast_error(x, dtype), exactly)

    @pytest.mark.parametrize("dtype", [bfloat16, float16, float32], ids=name)
    def test_not_finite_before(self, student, dtype):
        """Where the value was inf or nan already, the error is nan."""
        x = tensor([INF, -INF, NAN, 1.0])
        same(student.downcast_error(x, dtype), tensor([NAN, NAN, NAN, 0.0], dtype=float64), exactly)

    def test_underflow(self, student):
        """A value that is rounded to zero is lost whole."""
        x = tensor([2.0**-26, -(2.0**-25), 1.5 * 2.0**-24])
        want = tensor([2.0**-26, 2.0**-25, 2.0**-25], dtype=float64)
        same(student.downcast_error(x, float16), want, exactly)

    @any_shape(1.1, -2.2, 3.3, 4.4, 0.0, 77777.0, -6.6, 1e-3, 8.8, INF, 300.1, 0.1)
    def test_any_shape(self, student, reference, x):
        """Every element has its own error, in a tensor of any shape and any strides."""
        same(student.downcast_error(x, float16), reference.downcast_error(x, float16), exactly)


def between_numbers(dtype: torch.dtype, generator: Generator) -> tuple[Tensor, Tensor]:
    """a - b with a rounded up to 1 + 2 u and b rounded down to 1: 2 u if both are cast.

    Uncast it is 25/32 u, with x alone cast 5/4 u, with y alone 49/32 u, cut off 0: all exact in a 16-bit dtype.
    """
    a, b = 1 + 49 / 32 * unit_roundoff(dtype), 1 + 3 / 4 * unit_roundoff(dtype)
    return tensor([a, -1.0], dtype=wider(dtype)), tensor([1.0, b], dtype=wider(dtype))


def drawn_pair(dtype: torch.dtype, generator: Generator) -> tuple[Tensor, Tensor]:
    """Two random numbers and two powers of two: the products are exact, and their one sum is rounded once."""
    powers = 2.0 ** torch.randint(-2, 3, (2,), generator=generator).to(wider(dtype))
    return grid(dtype, 2, generator), signs(2, generator) * powers


def turned_pair(dtype: torch.dtype, generator: Generator) -> tuple[Tensor, Tensor]:
    x, y = drawn_pair(dtype, generator)
    return y, x


def small_parts(dtype: torch.dtype, generator: Generator) -> tuple[Tensor, Tensor]:
    """2 u + t**2: the first is lost if the sum is rounded to `dtype` on the way, the second if the products are.

    2 + 2 u - 2 is a tie that goes to 2; (1 + t)**2 - (1 + 2 t) is t**2 <= u.  In float32 every sum is exact.
    """
    t = {bfloat16: 2.0**-4, float16: 2.0**-6}[dtype]
    x = [2.0, 2 * unit_roundoff(dtype), -2.0, -1 - 2 * t, 1 + t]
    return tensor(x), tensor([1.0, 1.0, 1.0, 1.0, 1 + t])


class TestDotInDtype:
    @main
    @pytest.mark.parametrize(
        ("dtype", "build"),
        [
            (bfloat16, between_numbers),
            (float16, between_numbers),
            (float32, between_numbers),
            (bfloat16, drawn_pair),
            (bfloat16, turned_pair),
            (float16, drawn_pair),
            (float16, turned_pair),
            (float32, drawn_pair),
            (float32, turned_pair),
        ],
    )
    def test_casts_both_vectors_first(self, student, reference, generator, dtype, build):
        """Both vectors are rounded to the dtype before they are multiplied."""
        x, y = build(dtype, generator)
        same(student.dot_in_dtype(x, y, dtype), reference.dot_in_dtype(x, y, dtype), exactly)

    @pytest.mark.parametrize("dtype", HALVES, ids=name)
    def test_products_are_not_rounded(self, student, reference, generator, dtype):
        """The products stay in float32 or wider until the sum is rounded."""
        x, y = small_parts(dtype, generator)
        same(student.dot_in_dtype(x, y, dtype), reference.dot_in_dtype(x, y, dtype), exactly)

    @pytest.mark.parametrize(
        ("values", "dtype", "want"),
        [
            ([256.0, 1.0, 1.0], bfloat16, 258.0),
            ([1.0, 1.0, 256.0], bfloat16, 258.0),
            ([2048.0, 1.0, 1.0], float16, 2050.0),
            ([1.0, 2.0**-8, 2.0**-22], bfloat16, 1 + 2.0**-7),
            ([1.0, 2.0**-11, 2.0**-22], float16, 1 + 2.0**-10),
            ([60000.0, 60000.0, -60000.0], float16, 60000.0),
        ],
        ids=["stall", "stall, reversed", "stall", "above a tie", "above a tie", "partial sum"],
    )
    def test_sums_are_not_rounded(self, student, values, dtype, want):
        """Partial sums stay in float32 or wider, and the result is rounded once."""
        ones = torch.ones(len(values))
        same(student.dot_in_dtype(tensor(values), ones, dtype), tensor(want, dtype=dtype), exactly)

    @pytest.mark.parametrize(
        ("x", "y", "dtype", "want"),
        [
            ([2.0**17, 2.0**16], [1.0, 1.0], bfloat16, 3 * 2.0**16),
            ([1.0, 1.0], [2.0**17, 2.0**16], bfloat16, 3 * 2.0**16),
            ([2047.0, -2046.0], [1.0, 1.0], float16, 1.0),
            ([1.0, 1.0], [2047.0, -2046.0], float16, 1.0),
            ([1 + 2.0**-23, -1.0], [1.0, 1.0], float32, 2.0**-23),
            ([1 + 2.0**-40, -1.0], [1.0, 1.0], float64, 2.0**-40),
            ([1.0, -1.0], [1 + 2.0**-40, 1.0], float64, 2.0**-40),
        ],
        ids=["bfloat16 x", "bfloat16 y", "float16 x", "float16 y", "float32", "float64 x", "float64 y"],
    )
    def test_no_other_dtype_between(self, student, x, y, dtype, want):
        """Nothing is rounded through another dtype: 2**17 is no float16, 2047 is no bfloat16."""
        got = student.dot_in_dtype(tensor(x, dtype=float64), tensor(y, dtype=float64), dtype)
        same(got, tensor(want, dtype=dtype), exactly)

    @pytest.mark.parametrize("sign", [1.0, -1.0], ids=["inf", "-inf"])
    def test_result_too_large(self, student, sign):
        """A result beyond the range of float16 is rounded to an infinity."""
        got = student.dot_in_dtype(tensor([60000.0, 10000.0]), tensor([sign, sign]), float16)
        same(got, tensor(sign * INF, dtype=float16), exactly)

    @pytest.mark.parametrize("dtype", FLOATS, ids=name)
    def test_small_integers(self, student, dtype):
        """Small integers give the exact integer in every dtype, of strided vectors and slices too."""
        # The sum of |products| is 104 <= 256: every partial sum is exact in every dtype.
        x = recipe(tensors.inside, tensor([1.0, -2.0, 3.0, -4.0, 5.0, 6.0, -7.0]))
        y = tensor([2.0, 3.0, -1.0, 4.0, 1.0, -5.0, 6.0]).repeat_interleave(2)[::2]
        same(student.dot_in_dtype(x, y, dtype), tensor(-90.0, dtype=dtype), exactly)

    @pytest.mark.parametrize("dtype", FLOATS, ids=name)
    def test_random_vectors(self, student, reference, generator, dtype):
        """64 random products are summed up to the rounding that no order of summation can avoid."""
        # The bound: u |e| for the result, gamma(64) of the accumulator times the sum of |products| (rounding.py).
        x, y = torch.randn(2, 64, generator=generator, dtype=float32).to(wider(dtype))
        rule = within(dot_bound(x, y, dtype), of=exact_dot(x, y, dtype))
        same(student.dot_in_dtype(x, y, dtype), reference.dot_in_dtype(x, y, dtype), rule)

    @pytest.mark.parametrize(
        ("x", "y"),
        [
            (torch.ones(3), torch.ones(4)),
            (torch.ones(3), torch.ones(1)),
            (torch.ones(2, 2), torch.ones(2, 2)),
            (torch.ones(2, 2), torch.ones(2)),
            (torch.ones(2), torch.ones(2, 1)),
            (tensor(1.0), tensor(1.0)),
        ],
        ids=["3 and 4", "3 and 1", "2-D", "2-D and 1-D", "1-D and 2-D", "0-dim"],
    )
    def test_refuses_other_shapes(self, student, x, y):
        """Anything but two vectors of one length is a ValueError."""
        with raises(ValueError):
            student.dot_in_dtype(x, y, bfloat16)

    def test_just_beyond_the_largest_number(self, student):
        """65510 is 65504 in float16, which half a step more would not be."""
        got = student.dot_in_dtype(tensor([65510.0, 1.5]), tensor([1.0, 0.0]), float16)
        same(got, tensor(65504.0, dtype=float16), exactly)


def error_one_128th(dtype: torch.dtype, generator: Generator) -> tuple[Tensor, Tensor]:
    """Exactly 0.25, computed 0.25 + u / 2: the sums are exact in float32, and u / 2 is the spacing at 0.25."""
    u = unit_roundoff(dtype)
    return tensor([1 + 1.5 * u, -0.75, -1.5 * u]), torch.ones(3)


def negative_error(dtype: torch.dtype, generator: Generator) -> tuple[Tensor, Tensor]:
    x, y = error_one_128th(dtype, generator)
    return y, -x


def twice_the_exact(dtype: torch.dtype, generator: Generator) -> tuple[Tensor, Tensor]:
    """Exactly u / 4, computed 3/4 u: the error is 2."""
    u = unit_roundoff(dtype)
    return tensor([1 + 1.5 * u, -1.0, -1.25 * u]), torch.ones(3)


class TestDotRelativeError:
    @main
    @pytest.mark.parametrize("dtype", HALVES, ids=name)
    @pytest.mark.parametrize("build", [error_one_128th, negative_error, twice_the_exact, drawn_pair])
    def test_relative_error(self, student, reference, generator, build, dtype):
        """The distance to the exact product of the given vectors, divided by the size of the exact product."""
        # Both products are exact on these inputs and differ by at least 2**-28 of the exact one; whatever way the
        # quotient is written, its error is below 2**-50, which is 2**-22 of it.
        x, y = build(dtype, generator)
        same(student.dot_relative_error(x, y, dtype), reference.dot_relative_error(x, y, dtype), relative(2.0**-20))

    @pytest.mark.parametrize(
        ("x", "y", "dtype", "want"),
        [
            (1 + 2.0**-30, 1.0, float32, 2.0**-30),
            (1.0, 1 + 2.0**-30, float32, 2.0**-30),
            (1 + 2.0**-12, 1 + 2.0**-12, float32, 2.0**-24),
            (1 + 2.0**-40, 1.0, float64, 0.0),
        ],
        ids=["bits in x", "bits in y", "bits of the product", "float64"],
    )
    def test_exact_is_taken_in_float64(self, student, x, y, dtype, want):
        """The exact product is taken in float64: it sees the error that float32 itself makes."""
        # want is the difference; the exact product is 1 + less than 2**-10, so the quotient lies that close to it.
        got = student.dot_relative_error(tensor([x], dtype=float64), tensor([y], dtype=float64), dtype)
        same(got, want, relative(2.0**-10))

    @pytest.mark.parametrize("dtype", FLOATS, ids=name)
    def test_no_error(self, student, dtype):
        """A product that the dtype holds has the error 0.0."""
        same(student.dot_relative_error(tensor([3.0, -1.0]), tensor([2.0, 4.0]), dtype), 0.0, exactly)

    @pytest.mark.parametrize("dtype", HALVES, ids=name)
    def test_products_and_sums_are_not_rounded(self, student, generator, dtype):
        """The product in a 16-bit dtype is that of dot_in_dtype: made in float32 or wider, and rounded once."""
        x, y = small_parts(dtype, generator)  # exact in float32, and the result is a number of the dtype
        same(student.dot_relative_error(x, y, dtype), 0.0, exactly)

    @pytest.mark.parametrize("x", [[0.0, 0.0], [1.5, -1.5]], ids=["zeros", "cancelling"])
    def test_both_zero(self, student, x):
        """The error is 0.0 when the exact product and the computed one are both zero."""
        same(student.dot_relative_error(tensor(x), torch.ones(2), bfloat16), 0.0, exactly)

    @pytest.mark.parametrize("dtype", [bfloat16, float32], ids=name)
    def test_small_products(self, student, reference, dtype):
        """The error is relative, however small the products are: nothing is added to the exact one, no floor is under it."""
        x, y = error_one_128th(dtype, Generator())
        small = 2.0**-60 * x.double()
        same(
            student.dot_relative_error(small, y, dtype),
            reference.dot_relative_error(small, y, dtype),
            relative(2.0**-20),
        )

    def test_strided_vectors(self, student, reference):
        """Vectors may be strided, or slices of larger ones."""
        x, y = error_one_128th(bfloat16, Generator())
        x, y = recipe(tensors.inside, x), y.repeat_interleave(2)[::2]
        same(
            student.dot_relative_error(x, y, bfloat16),
            reference.dot_relative_error(x, y, bfloat16),
            relative(2.0**-20),
        )

    @pytest.mark.parametrize("dtype", HALVES, ids=name)
    def test_only_result_is_zero(self, student, dtype):
        """The error is 1.0 when the computed product is zero and the exact one is not."""
        x = tensor([1 + unit_roundoff(dtype) / 2, -1.0])
        same(student.dot_relative_error(x, torch.ones(2), dtype), 1.0, exactly)

    @pytest.mark.parametrize("dtype", HALVES, ids=name)
    def test_only_exact_is_zero(self, student, dtype):
        """The error is inf when only the exact product is zero."""
        u = unit_roundoff(dtype)
        same(student.dot_relative_error(tensor([1 + 1.5 * u, -1.0, -1.5 * u]), torch.ones(3), dtype), INF, exactly)

    @pytest.mark.parametrize(
        ("x", "y"),
        [
            ([300.0], [300.0]),
            ([-300.0], [300.0]),
            ([60000.0, 50000.0], [1.0, 1.0]),
            ([70000.0, 1.0], [0.0, 1.0]),
            ([70000.0, -70000.0], [1.0, 1.0]),
        ],
        ids=["product", "negative product", "sum", "nan", "exactly zero"],
    )
    def test_result_is_not_finite(self, student, x, y):
        """The error is inf when the result is inf or nan."""
        # nan is inf times 0, or inf - inf, of operands that overflow: the same in every order of summation.
        same(student.dot_relative_error(tensor(x), tensor(y), float16), INF, exactly)

    def test_another_sign(self, student):
        """Where rounding the vectors changes the result's sign, the difference is larger than either."""
        x = tensor([1 + 3 * 2.0**-9, 1.0, -2 - 7 * 2.0**-10])  # -1/1024 exactly, 1/128 in bfloat16
        same(student.dot_relative_error(x, torch.ones(3), bfloat16), 9.0, relative(1e-12))

    def test_just_beyond_the_largest_number(self, student):
        """65510 is 65504 in float16: off by 6."""
        same(student.dot_relative_error(tensor([65510.0]), tensor([1.0]), float16), 6 / 65510, relative(1e-12))


class TestTensorBytes:
    @main
    @pytest.mark.parametrize(
        "dtype",
        [
            float64,
            float32,
            float16,
            bfloat16,
            e4m3,
            e5m2,
            uint8,
            int8,
            int16,
            int32,
            int64,
            torch.bool,
            torch.complex64,
        ],
        ids=name,
    )
    def test_number_of_elements_times_bytes_of_one(self, student, reference, generator, dtype):
        """Each element takes the bytes of its dtype, a bool one byte."""
        x = torch.zeros(integer(3, 9, generator), integer(10, 99, generator), dtype=dtype)
        same(student.tensor_bytes(x), reference.tensor_bytes(x), exactly)

    @pytest.mark.parametrize("shape", [(0,), (3, 0), (2, 0, 5)], ids=str)
    def test_empty(self, student, shape):
        """An empty tensor has no bytes."""
        same(student.tensor_bytes(torch.zeros(shape)), 0, exactly)

    @pytest.mark.parametrize(("dtype", "size"), [(float32, 4), (bfloat16, 2), (torch.bool, 1)], ids=["4", "2", "1"])
    def test_0_dim(self, student, dtype, size):
        """A 0-dim tensor has one element."""
        same(student.tensor_bytes(torch.zeros((), dtype=dtype)), size, exactly)

    def test_meta_device(self, student):
        """A tensor without memory, on the meta device, has a size too."""
        same(student.tensor_bytes(torch.empty(1000, 3000, dtype=bfloat16, device="meta")), 6_000_000, exactly)

    @pytest.mark.parametrize(
        ("view", "size"),
        [
            (torch.zeros(10, dtype=float64)[::2], 40),
            (torch.zeros(4, 6, dtype=int16)[:, 1:3], 16),
            (torch.zeros(4, 6).T, 96),
            (torch.zeros(20)[15:], 20),
        ],
        ids=["every other", "columns", "transposed", "end"],
    )
    def test_strided_views(self, student, view, size):
        """A strided view counts its own elements, not those of its storage."""
        same(student.tensor_bytes(view), size, exactly)

    @pytest.mark.parametrize(
        "x",
        [torch.zeros(7), torch.zeros(3, 5, dtype=int16), torch.zeros(2, 3, 4, dtype=torch.bool)],
        ids=["1", "2", "3"],
    )
    def test_slices(self, student, reference, x):
        """A slice that is contiguous counts its own elements too, not the larger storage that it lies in."""
        view = recipe(tensors.inside, x)
        same(student.tensor_bytes(view), reference.tensor_bytes(view), exactly)

    @pytest.mark.parametrize("shape", [(100, 7), (3, 1, 7)], ids=str)
    def test_expanded_views(self, student, reference, shape):
        """An expanded view counts every element, though they share memory."""
        view = torch.zeros(1, 7).expand(shape)
        same(student.tensor_bytes(view), reference.tensor_bytes(view), exactly)


EDGES = {
    float16: tensor([65519.0, 65520.0, -65519.0, -65520.0, 65504.0, 70000.0, 0.0, 2.0**-30]),
    # float32 numbers around 2**128 (1 - 2**-9), halfway between the largest bfloat16 and 2**128
    bfloat16: tensor(
        [2.0**128 - 2.0**119 - 2.0**104, 2.0**128 - 2.0**119, -(2.0**128) + 2.0**119, 70000.0, -1.0, 2.0**-140]
    ),
    # float64 numbers around 2**128 (1 - 2**-25), halfway between the largest float32 and 2**128
    float32: tensor([2.0**128 - 2.0**103 - 2.0**90, 2.0**128 - 2.0**103, -1e39, 1e38, 70000.0, 1e-60], dtype=float64),
}


class TestOverflows:
    @main
    @pytest.mark.parametrize(("dtype", "unit"), [(float16, 2.0**8), (bfloat16, 2.0**120), (float32, 2.0**120)])
    def test_beyond_the_range(self, student, reference, generator, dtype, unit):
        """Values beyond the range, of either sign, become an infinity; values inside do not."""
        # 254 units are inside every one of these ranges, 256 units are the power of two that follows it.
        x = torch.randint(-200, 200, (6, 5), generator=generator) * tensor(2 * unit, dtype=float64)
        same(student.overflows(x, dtype), reference.overflows(x, dtype), exactly)

    @pytest.mark.parametrize("dtype", EDGES, ids=name)
    def test_edge_of_the_range(self, student, reference, dtype):
        """What is rounded down to the largest number does not overflow, nor what becomes 0; from halfway on it does."""
        same(student.overflows(EDGES[dtype], dtype), reference.overflows(EDGES[dtype], dtype), exactly)

    @pytest.mark.parametrize("dtype", [float16, bfloat16, float32], ids=name)
    def test_not_finite_before(self, student, dtype):
        """inf and nan that were there before are no overflow."""
        x = tensor([INF, -INF, NAN, 1.0, 1e39], dtype=float64)
        same(student.overflows(x, dtype), tensor([False, False, False, False, True]), exactly)

    @any_shape(65519.0, -65520.0, 3.3, 70000.0, 0.0, NAN, -6.6, 1e-3, -1e5, INF, 65510.0, 65520.0)
    def test_any_shape(self, student, reference, x):
        """Every element has its own mark, in a tensor of any shape and any strides."""
        same(student.overflows(x, float16), reference.overflows(x, float16), exactly)


def fractions(generator: Generator) -> Tensor:
    return tensor([[0.5, 1.5, 2.5, -0.5, -1.5, -2.5], [1.9, -1.9, 126.51, 127.5, 200.0, -1000.0]])


def eighths(generator: Generator) -> Tensor:
    """Multiples of 1/8 between -375 and 375: exact in float32, one in eight a tie, a third of them out of range."""
    return torch.randint(-3000, 3001, (40,), generator=generator) / 8


class TestSaturatingCast:
    @main
    @pytest.mark.parametrize("dtype", [int8, uint8], ids=name)
    @pytest.mark.parametrize("build", [fractions, eighths])
    def test_rounds_and_clamps(self, student, reference, generator, build, dtype):
        """Values are rounded half to even and kept inside the range."""
        x = build(generator)
        same(student.saturating_cast(x, dtype), reference.saturating_cast(x, dtype), exactly)

    @pytest.mark.parametrize(
        ("dtype", "edges"),
        [
            (uint8, [-0.5, -0.51, -1.0, 254.5, 255.0, 255.49, 255.5, 256.0, 300.0]),
            (int8, [-128.0, -128.5, -129.0, -127.5, 126.5, 127.0, 127.49, 128.0, 300.0]),
            (int16, [-32768.0, -32768.5, -32769.0, 32766.5, 32767.0, 32767.5, 32768.0, 1e6]),
        ],
        ids=["uint8", "int8", "int16"],
    )
    def test_limits(self, student, reference, dtype, edges):
        """Both ends of the range are reached and never passed; nothing wraps around."""
        same(student.saturating_cast(tensor(edges), dtype), reference.saturating_cast(tensor(edges), dtype), exactly)

    @pytest.mark.parametrize("source", [float16, bfloat16, float32, float64], ids=name)
    @pytest.mark.parametrize("dtype", [uint8, int8, int16, int32], ids=name)
    def test_infinities(self, student, reference, dtype, source):
        """Infinities become the limits, though a float dtype may not hold the limit itself."""
        x = tensor([INF, -INF, 3.0], dtype=source)
        same(student.saturating_cast(x, dtype), reference.saturating_cast(x, dtype), exactly)

    @pytest.mark.parametrize(
        ("x", "dtype"),
        [
            (tensor([2.0**31, -(2.0**31), 2.0**31 - 128, 3e9, -3e9, 2.0**100]), int32),
            (tensor([2.0**31 - 1.5, 2.0**31 - 0.5, -(2.0**31) - 0.5, 16777217.0], dtype=float64), int32),
            (tensor([60000.0, 32752.0, -60000.0], dtype=float16), int16),
            (tensor([40000.0, 300.0, -40000.0], dtype=bfloat16), int16),
        ],
        ids=["int32 from float32", "int32 from float64", "int16 from float16", "int16 from bfloat16"],
    )
    def test_limit_is_no_float(self, student, reference, x, dtype):
        """The largest int32 is no float32: clamping there gives 2147483648, which wraps."""
        same(student.saturating_cast(x, dtype), reference.saturating_cast(x, dtype), exactly)

    @pytest.mark.parametrize(
        ("x", "dtype"),
        [
            (tensor([-129, -128, 0, 127, 128, 300]), int8),
            (tensor([0, 127, 128, 255], dtype=uint8), int8),
            (tensor([-5, 0, 5], dtype=int8), uint8),
            (tensor([2**31 - 2, 2**31 + 5, -(2**40), 16777217]), int32),
            (tensor([16777217, -16777217], dtype=int32), int32),
        ],
        ids=["int64", "uint8", "int8", "int64 to int32", "int32"],
    )
    def test_integers(self, student, reference, x, dtype):
        """Integer tensors are clamped too, and lose no digit."""
        same(student.saturating_cast(x, dtype), reference.saturating_cast(x, dtype), exactly)

    @any_shape(0.5, -2.2, 1.5, 400.0, 0.0, 127.5, -6.6, -1e3, 8.8, INF, 2.5, -3.4)
    def test_any_shape(self, student, reference, x):
        """Any shape stays what it is; the strides of the tensor do not matter."""
        same(student.saturating_cast(x, int8), reference.saturating_cast(x, int8), exactly)

    @any_shape(5, -200, 100, 400, 0, 127, -6, -1000, 8, 128, 2, -3, dtype=int32)
    def test_integers_of_any_shape(self, student, reference, x):
        """Integer tensors of any shape and any strides."""
        same(student.saturating_cast(x, int8), reference.saturating_cast(x, int8), exactly)

    def test_refuses_nan(self, student):
        """nan is a ValueError."""
        with raises(ValueError):
            student.saturating_cast(tensor([1.0, NAN]), int8)

    @pytest.mark.parametrize(
        ("dtype", "error"),
        [(int64, ValueError), *((dtype, TypeError) for dtype in [*FLOATS, e5m2, torch.bool])],
        ids=["int64", *map(name, FLOATS), "float8_e5m2", "bool"],
    )
    @pytest.mark.parametrize(
        "x", [tensor([1.0, 2.0]), tensor([1, 2]), torch.zeros(0)], ids=["float", "integer", "empty"]
    )
    def test_refuses_other_dtypes(self, student, x, dtype, error):
        """int64 is a ValueError, a float dtype or torch.bool a TypeError."""
        with raises(error):
            student.saturating_cast(x, dtype)


def power_of_two(generator: Generator) -> float:
    return 2.0 ** integer(-10, 12, generator)


def inside_a_binade(generator: Generator) -> float:
    return -1.5 * 2.0 ** integer(-10, 12, generator)


def ten_bits(generator: Generator) -> float:
    """Exact in float16; bfloat16 rounds it, but not up to the next power of two."""
    return math.ldexp(integer(512, 1000, generator), integer(-20, 5, generator))


class TestSpacing:
    @main
    @pytest.mark.parametrize("dtype", FLOATS, ids=name)
    @pytest.mark.parametrize("build", [power_of_two, inside_a_binade, ten_bits])
    def test_distance_to_the_next_number(self, student, reference, generator, build, dtype):
        """The distance to the next larger number of the dtype; it doubles with every power of two."""
        value = build(generator)
        same(student.spacing(value, dtype), reference.spacing(value, dtype), exactly)

    @pytest.mark.parametrize(
        ("value", "dtype", "want"),
        [(255.9, bfloat16, 2.0), (-2047.9, float16, 2.0), (16777215.9, float32, 2.0), (65519.0, float16, 32.0)],
        ids=["bfloat16", "float16", "float32", "largest float16"],
    )
    def test_rounds_the_value_first(self, student, value, dtype, want):
        """The value is rounded to the dtype first: 255.9 is 256 in bfloat16."""
        same(student.spacing(value, dtype), want, exactly)

    @pytest.mark.parametrize(
        ("dtype", "want"),
        [(bfloat16, 2.0**-133), (float16, 2.0**-24), (float32, 2.0**-149), (float64, 2.0**-1074)],
        ids=["bfloat16", "float16", "float32", "float64"],
    )
    @pytest.mark.parametrize(
        "below", [0.0, -0.0, 2.0**-30, 0.25, 0.75], ids=["zero", "-0.0", "tiny", "subnormal", "just below normal"]
    )
    def test_zero_and_subnormals(self, student, dtype, want, below):
        """From zero up to the smallest normal number, neighbours are one smallest subnormal apart."""
        same(student.spacing(below * torch.finfo(dtype).smallest_normal, dtype), want, exactly)

    @pytest.mark.parametrize(
        ("dtype", "want"),
        [(bfloat16, 2.0**120), (float16, 32.0), (float32, 2.0**104), (float64, 2.0**971)],
        ids=["bfloat16", "float16", "float32", "float64"],
    )
    def test_largest_number(self, student, dtype, want):
        """The largest finite number has the spacing of its own binade, though nothing finite follows."""
        same(student.spacing(torch.finfo(dtype).max, dtype), want, exactly)

    @pytest.mark.parametrize(
        ("value", "dtype"),
        [(INF, float32), (-INF, bfloat16), (NAN, float64), (65520.0, float16), (-3.4e38, bfloat16), (1e39, float32)],
        ids=["inf", "-inf", "nan", "65520 in float16", "-3.4e38 in bfloat16", "1e39 in float32"],
    )
    def test_refuses_what_is_not_finite(self, student, value, dtype):
        """A value that is, or becomes, inf or nan is a ValueError."""
        with raises(ValueError):
            student.spacing(value, dtype)


class TestSmallestIntegerDtype:
    @main
    @pytest.mark.parametrize(
        ("lows", "highs", "want"),
        [
            ((-128, -99), (20, 128), int8),
            ((0, 9), (128, 256), uint8),
            ((-9, 0), (128, 256), int16),
            ((0, 9), (256, 2**15), int16),
            ((-(2**15), -128), (-9, 9), int16),
            ((-9, 9), (2**15, 2**31), int32),
            ((-(2**31), -(2**15)), (0, 9), int32),
            ((0, 9), (2**31, 2**62), int64),
            ((-(2**62), -(2**31)), (-9, 9), int64),
        ],
    )
    def test_narrowest_that_holds_both(self, student, generator, lows, highs, want):
        """The narrowest dtype that holds both ends."""
        low, high = integer(*lows, generator), integer(*highs, generator)
        same(student.smallest_integer_dtype(low, high), want, exactly)

    @pytest.mark.parametrize(("low", "high", "want"), [(5, 100, int8), (0, 127, int8), (0, 0, int8), (7, 7, int8)])
    def test_signed_wins(self, student, low, high, want):
        """At equal width the signed dtype wins."""
        same(student.smallest_integer_dtype(low, high), want, exactly)

    @pytest.mark.parametrize(
        ("low", "high", "want"),
        [
            (-128, 127, int8),
            (0, 128, uint8),
            (-1, 128, int16),
            (-129, 0, int16),
            (0, 256, int16),
            (0, 2**15, int32),
            (-(2**15) - 1, 5, int32),
            (0, 2**31, int64),
            (-(2**31) - 1, 0, int64),
            (0, 255, uint8),
            (-32768, 32767, int16),
            (-(2**31), 2**31 - 1, int32),
            (-(2**63), 2**63 - 1, int64),
            (2**63 - 1, 2**63 - 1, int64),
            (300, 400, int16),
            (-500, -400, int16),
        ],
    )
    def test_limits(self, student, low, high, want):
        """The limits themselves are held, in exact integers."""
        same(student.smallest_integer_dtype(low, high), want, exactly)

    @pytest.mark.parametrize(
        ("low", "high"), [(0, 2**63), (-(2**63) - 1, 0), (0, 2**64 - 1), (-(10**30), 10**30)], ids=["a", "b", "c", "d"]
    )
    def test_refuses_what_none_holds(self, student, low, high):
        """A range that no dtype holds is a ValueError."""
        with raises(ValueError):
            student.smallest_integer_dtype(low, high)

    @pytest.mark.parametrize(("low", "high"), [(1, 0), (100, -100)])
    def test_refuses_low_above_high(self, student, low, high):
        """low > high is a ValueError."""
        with raises(ValueError):
            student.smallest_integer_dtype(low, high)


def from_bits(*patterns: int) -> Tensor:
    """float32 numbers with these bits, and their negatives."""
    both = [*patterns, *(pattern | 0x8000_0000 for pattern in patterns)]
    return tensor(both, dtype=int64).to(int32).view(float32)


def drawn_floats(generator: Generator) -> Tensor:
    """Random bits of every finite exponent, of either sign."""
    magnitudes = torch.randint(0, 0x7F7F_0000, (64,), generator=generator)
    return from_bits(*magnitudes.tolist()).reshape(8, 16)


def fixed(*patterns: int) -> Callable[[Generator], Tensor]:
    return lambda generator: from_bits(*patterns)


class TestRoundToBfloat16:
    @main
    @pytest.mark.parametrize(
        "build",
        [drawn_floats, fixed(0x3F80_0001, 0x3F80_7FFF, 0x3F80_8001, 0x3F81_FFFF, 0x4049_0FDB)],
        ids=["drawn", "designed"],
    )
    def test_rounds_to_nearest(self, student, generator, build):
        """Each value becomes the nearest bfloat16, written as a float32."""
        x = build(generator)
        same(student.round_to_bfloat16(x), x.to(bfloat16).to(float32), bit_for_bit)

    @pytest.mark.parametrize(
        "x",
        [
            from_bits(0x3F80_8000, 0x3F81_8000, 0x3F82_8000, 0x4B7E_8000),
            from_bits(0x3FFF_8000, 0x3FFF_FFFF, 0x3F7F_8000, 0x00FF_8000),
            from_bits(0x7F7F_7FFF, 0x7F7F_8000, 0x7F7F_FFFF),
            from_bits(0x0000_0001, 0x0000_8000, 0x0000_8001, 0x0001_8000, 0x0040_8001, 0x007F_FFFF),
            from_bits(0x0000_0000),
            from_bits(0x7F80_0000),
        ],
        ids=["ties", "carries", "overflow", "subnormals", "zeros", "infinities"],
    )
    def test_every_kind_of_number(self, student, x):
        """Ties go to even, carries reach the exponent, the largest become inf; subnormals, -0.0 and inf are right."""
        same(student.round_to_bfloat16(x), x.to(bfloat16).to(float32), bit_for_bit)

    @pytest.mark.parametrize("pattern", [0x7FFF_FFFF, 0x7F80_0001, 0x7FC0_0000, 0x7FFF_8000], ids=hex)
    def test_nan_stays_nan(self, student, pattern):
        """Every nan stays nan, whatever its lower bits; no carry may turn it into inf or zero."""
        x = from_bits(pattern)
        same(student.round_to_bfloat16(x), tensor([NAN, NAN]), exactly)

    @any_shape(1.1, -2.2, 3.3, 4.4, 0.0, 7e37, -6.6, 1e-40, 8.8, INF, 3.4e38, 0.1)
    def test_any_shape(self, student, reference, x):
        """Any shape stays what it is; the strides of the tensor do not matter."""
        same(student.round_to_bfloat16(x), reference.round_to_bfloat16(x), bit_for_bit)

    @observed
    def test_does_not_cast(self, student):
        """The rounding is done on the bits, without a cast to bfloat16."""
        x = tensor([1.01171875, -2.71828])
        result, dtypes = student.probe(probes.converted_to, "round_to_bfloat16", x)
        same(result, x.to(bfloat16).to(float32), exactly)
        refuse(bfloat16, dtypes)


def refuse(dtype: torch.dtype, seen: set[torch.dtype]) -> None:
    if dtype in seen:
        raise Mismatch(got=f"a cast to {name(dtype)}", want=f"no cast to {name(dtype)}")


def pattern(sign: int, exponent: int, mantissa: int, exponent_bits: int, mantissa_bits: int) -> str:
    return f"{sign}{exponent:0{exponent_bits}b}{mantissa:0{mantissa_bits}b}"


class TestDecodeBits:
    @main
    @pytest.mark.parametrize(
        ("exponent_bits", "mantissa_bits"), [(5, 10), (8, 7), (8, 23), (4, 3), (3, 6)], ids=lambda bits: str(bits)
    )
    def test_normal_numbers(self, student, reference, generator, exponent_bits, mantissa_bits):
        """A normal number is 1.mantissa times two to the power of exponent minus bias."""
        exponent = integer(1, 2**exponent_bits - 1, generator)
        mantissa = integer(1, 2**mantissa_bits, generator)
        bits = pattern(integer(0, 2, generator), exponent, mantissa, exponent_bits, mantissa_bits)
        want = reference.decode_bits(bits, exponent_bits, mantissa_bits)
        same(student.decode_bits(bits, exponent_bits, mantissa_bits), want, exactly)

    @pytest.mark.parametrize(
        ("bits", "exponent_bits", "mantissa_bits", "want"),
        [
            ("0011110000000000", 5, 10, 1.0),
            ("0011110000000001", 5, 10, 1 + 2.0**-10),
            ("1111101111111111", 5, 10, -65504.0),
            ("0111111101111111", 8, 7, torch.finfo(bfloat16).max),
            ("01110111", 4, 3, 240.0),
            ("0" + "0" * 10 + "1" + "0" * 52, 11, 52, 2.0**-1022),
            ("0" + "1" * 10 + "0" + "1" * 52, 11, 52, torch.finfo(float64).max),
            ("1101", 2, 1, -3.0),
        ],
        ids=["one", "after one", "float16", "bfloat16", "4 and 3", "smallest", "largest", "2 and 1"],
    )
    def test_every_width(self, student, bits, exponent_bits, mantissa_bits, want):
        """Formats from 2 exponent bits and 1 mantissa bit up to float64, at both ends of the exponent."""
        same(student.decode_bits(bits, exponent_bits, mantissa_bits), want, exactly)

    @pytest.mark.parametrize(
        ("bits", "exponent_bits", "mantissa_bits", "want"),
        [
            ("0000000000000001", 5, 10, 2.0**-24),
            ("1000001111111111", 5, 10, -1023 * 2.0**-24),
            ("00000011", 4, 3, 3 * 2.0**-9),
            ("0001", 2, 1, 0.5),
            ("0" * 63 + "1", 11, 52, 2.0**-1074),
        ],
        ids=["smallest float16", "largest float16", "4 and 3", "2 and 1", "smallest float64"],
    )
    def test_subnormals(self, student, bits, exponent_bits, mantissa_bits, want):
        """With an exponent of zeros there is no hidden 1, and the exponent is that of the smallest normal number."""
        same(student.decode_bits(bits, exponent_bits, mantissa_bits), want, exactly)

    @pytest.mark.parametrize(("bits", "want"), [("00000000", 0.0), ("10000000", -0.0)], ids=["0.0", "-0.0"])
    def test_zeros(self, student, bits, want):
        """Zero keeps its sign."""
        same(student.decode_bits(bits, 4, 3), want, bit_for_bit)

    @pytest.mark.parametrize(
        ("bits", "exponent_bits", "mantissa_bits", "want"),
        [
            ("01111100", 5, 2, INF),
            ("11111100", 5, 2, -INF),
            ("01111101", 5, 2, NAN),
            ("11111110", 5, 2, NAN),
            ("01111000", 4, 3, INF),
            ("01111110", 4, 3, NAN),
            ("0" + "1" * 11 + "0" * 52, 11, 52, INF),
        ],
        ids=["inf", "-inf", "nan", "another nan", "inf of 4 and 3", "nan of 4 and 3", "inf of float64"],
    )
    def test_infinities_and_nan(self, student, bits, exponent_bits, mantissa_bits, want):
        """With an exponent of ones the number is inf if the mantissa is zero, else nan: so IEEE 754, in every format."""
        same(student.decode_bits(bits, exponent_bits, mantissa_bits), want, exactly)

    @pytest.mark.parametrize("bits", ["", "0", "0000000", "000000000"], ids=["empty", "1", "7", "9"])
    def test_refuses_another_length(self, student, bits):
        """A string of another length than the format is a ValueError."""
        with raises(ValueError):
            student.decode_bits(bits, 4, 3)

    @pytest.mark.parametrize(
        "bits",
        [
            "01020000",
            "20111000",
            "0000000 ",
            "0b000001",
            "0100_000",
            "0-111000",
            "0\uff11110000",
            "0 0111 000",
            "0b00111000",
            " 00111000",
            "00111000\n",
            "0_0111_000",
        ],
        ids=[
            *["2", "2 first", "blank", "0b", "_", "-", "another digit one", "blanks between", "0b in front"],
            *["blank in front", "line end", "_ between"],
        ],
    )
    def test_refuses_other_characters(self, student, bits):
        """Any character but 0 and 1 is a ValueError."""
        with raises(ValueError):
            student.decode_bits(bits, 4, 3)


def lost_and_rounded(dtype: torch.dtype, generator: Generator) -> Tensor:
    """2 u: -1 + u - 1 loses u, and 1 + 1.5 u is rounded to 1 + 2 u.

    In exact sums 3 u, of uncast elements 2.5 u; uncast and step by step 1.5 u; from the right 0.
    """
    u = unit_roundoff(dtype)
    return tensor([-1.0, u, -1.0, 1.0, 1 + 1.5 * u])


def ones(dtype: torch.dtype, generator: Generator) -> Tensor:
    return torch.ones(300)


def normals(dtype: torch.dtype, generator: Generator) -> Tensor:
    return torch.randn(60, generator=generator)


class TestRunningSum:
    @main
    @pytest.mark.parametrize("dtype", HALVES, ids=name)
    @pytest.mark.parametrize("build", [lost_and_rounded, ones, normals])
    def test_rounds_every_partial_sum(self, student, reference, generator, build, dtype):
        """Each partial sum is rounded to the dtype, from left to right."""
        # A sum of two numbers of a 16-bit dtype, rounded to float32 or wider and then to the dtype, is the nearest
        # number of the dtype (24 >= 2 * 11 + 2 bits, Figueroa 1995): every partial sum is determined.
        x = build(dtype, generator)
        same(student.running_sum(x, dtype), reference.running_sum(x, dtype), exactly)

    def test_just_beyond_the_largest_number(self, student):
        """65510 is 65504 in float16, which half a step more would not be."""
        same(student.running_sum(tensor([65510.0, -65504.0, 1.5]), float16), tensor(1.5, dtype=float16), exactly)

    @pytest.mark.parametrize("dtype", FLOATS, ids=name)
    def test_stalls(self, student, dtype):
        """What is less than half of the spacing is lost, however often it is added: 1 + eps + eps/4 + ... is 1 + eps."""
        eps = torch.finfo(dtype).eps
        x = tensor([1.0, eps, eps / 4, eps / 4, eps / 4], dtype=float64)
        same(student.running_sum(x, dtype), tensor(1 + eps, dtype=dtype), exactly)

    @pytest.mark.parametrize("dtype", FLOATS, ids=name)
    def test_casts_the_elements_first(self, student, dtype):
        """The elements themselves are rounded to the dtype, and to no other, before they are added."""
        u = unit_roundoff(dtype)
        x = tensor([-1.0, 1 + 1.5 * u], dtype=wider(dtype))
        same(student.running_sum(x, dtype), tensor(2 * u, dtype=dtype), exactly)

    @pytest.mark.parametrize(("values", "want"), [([1.0, 1.0, 256.0], 258.0), ([256.0, 1.0, 1.0, -256.0, 3.0], 3.0)])
    def test_left_to_right(self, student, values, want):
        """The order counts: small numbers first are kept, small numbers last are lost."""
        same(student.running_sum(tensor(values), bfloat16), tensor(want, dtype=bfloat16), exactly)

    @pytest.mark.parametrize("dtype", FLOATS, ids=name)
    def test_empty(self, student, dtype):
        """The sum of no elements is 0."""
        same(student.running_sum(torch.zeros(0), dtype), tensor(0.0, dtype=dtype), exactly)

    @pytest.mark.parametrize(
        "x",
        [
            recipe(tensors.inside, tensor([1.0, 1.0, 256.0])),
            tensor([1.0, 1.0, 256.0]).repeat_interleave(2)[::2],
            tensor([[1.0, 1.0, 256.0], [5.0, 6.0, 7.0]]).T[:, 0],
        ],
        ids=["slice of a larger storage", "strided", "column"],
    )
    def test_strided_vectors(self, student, x):
        """The vector may be strided, or a slice of a larger one."""
        same(student.running_sum(x, bfloat16), tensor(258.0, dtype=bfloat16), exactly)

    @pytest.mark.parametrize("values", [[-0.0], [-0.0, -0.0]], ids=["one", "two"])
    def test_starts_at_plus_zero(self, student, values):
        """The sum starts at +0, and +0 plus -0 is +0."""
        same(student.running_sum(tensor(values), bfloat16), tensor(0.0, dtype=bfloat16), bit_for_bit)


class TestMixedPrecisionDot:
    @main
    @pytest.mark.parametrize("dtype", HALVES, ids=name)
    @pytest.mark.parametrize("build", [small_parts, drawn_pair, turned_pair])
    def test_products_are_not_rounded(self, student, reference, generator, build, dtype):
        """The products stay in float32 or wider; the sum is rounded once."""
        x, y = (vector.to(dtype) for vector in build(dtype, generator))
        same(student.mixed_precision_dot(x, y), reference.mixed_precision_dot(x, y), exactly)

    @pytest.mark.parametrize(
        ("values", "dtype", "want"),
        [
            ([256.0, 1.0, 1.0], bfloat16, 258.0),
            ([1.0, 2.0**-8, 2.0**-22], bfloat16, 1 + 2.0**-7),
            ([2048.0, 1.0, 1.0], float16, 2050.0),
            ([1.0, 2.0**-11, 2.0**-22], float16, 1 + 2.0**-10),
        ],
        ids=["bfloat16 stall", "bfloat16 tie", "float16 stall", "float16 tie"],
    )
    def test_sums_are_not_rounded(self, student, values, dtype, want):
        """Partial sums stay in float32 or wider, so that nothing stalls."""
        x = tensor(values, dtype=dtype)
        same(student.mixed_precision_dot(x, torch.ones_like(x)), tensor(want, dtype=dtype), exactly)

    @pytest.mark.parametrize(
        ("x", "y", "dtype", "want"),
        [
            ([60000.0, 60000.0, -60000.0], [1.0, 1.0, 1.0], float16, 60000.0),
            ([300.0, -300.0, 1.0], [300.0, 300.0, 1.0], float16, 1.0),
            ([2.0**17, 3.0], [2.0**10, 2.0**26], bfloat16, 2.0**27 + 3 * 2.0**26),
            ([300.0], [300.0], float16, INF),
        ],
        ids=["partial sum", "products", "bfloat16", "result"],
    )
    def test_range_of_the_accumulator(self, student, x, y, dtype, want):
        """Products and partial sums may leave the range of float16; only the result has to fit."""
        got = student.mixed_precision_dot(tensor(x, dtype=dtype), tensor(y, dtype=dtype))
        same(got, tensor(want, dtype=dtype), exactly)

    @pytest.mark.parametrize(
        ("x", "y", "dtype"),
        [
            ([2047.0, -2046.0], [1.0, 1.0], float16),
            ([1.0, 1.0], [2047.0, -2046.0], float16),
            ([2.0**18, -(2.0**17)], [1.0, 1.0], bfloat16),
            ([1.0, 1.0], [2.0**18, -(2.0**17)], bfloat16),
        ],
        ids=["float16 x", "float16 y", "bfloat16 x", "bfloat16 y"],
    )
    def test_no_other_dtype_between(self, student, reference, x, y, dtype):
        """Nothing is rounded through the other 16-bit dtype: 2047 is no bfloat16, 2**17 is no float16."""
        x, y = tensor(x, dtype=dtype), tensor(y, dtype=dtype)
        same(student.mixed_precision_dot(x, y), reference.mixed_precision_dot(x, y), exactly)

    @pytest.mark.parametrize("dtype", HALVES, ids=name)
    def test_small_integers(self, student, dtype):
        """Small integers give the exact integer, of strided vectors and slices too."""
        x = recipe(tensors.inside, tensor([1.0, -2.0, 3.0, -4.0, 5.0, 6.0, -7.0], dtype=dtype))
        y = tensor([2.0, 3.0, -1.0, 4.0, 1.0, -5.0, 6.0], dtype=dtype).repeat_interleave(2)[::2]
        same(student.mixed_precision_dot(x, y), tensor(-90.0, dtype=dtype), exactly)

    @pytest.mark.parametrize(
        ("x", "y"),
        [
            (torch.ones(3), torch.ones(4)),
            (torch.ones(3), torch.ones(1)),
            (torch.ones(2, 2), torch.ones(2, 2)),
            (torch.ones(2, 2), torch.ones(2)),
            (torch.ones(2), torch.ones(2, 1)),
            (tensor(1.0), tensor(1.0)),
        ],
        ids=["3 and 4", "3 and 1", "2-D", "2-D and 1-D", "1-D and 2-D", "0-dim"],
    )
    def test_refuses_other_shapes(self, student, x, y):
        """Anything but two vectors of one length is a ValueError."""
        with raises(ValueError):
            student.mixed_precision_dot(x.to(bfloat16), y.to(bfloat16))

    @pytest.mark.parametrize(
        ("one", "other"),
        [
            (float16, bfloat16),
            (bfloat16, float16),
            (float16, float32),
            *((dtype, dtype) for dtype in [float64, float32, e5m2, int16, int32]),
        ],
        ids=name,
    )
    def test_refuses_other_dtypes(self, student, one, other):
        """Anything but two float16 or two bfloat16 vectors is a ValueError."""
        with raises(ValueError):
            student.mixed_precision_dot(torch.ones(2, dtype=one), torch.ones(2, dtype=other))
