"""Hidden tests of lesson 6: number formats, from FP8 to NVFP4 and GGUF.

Where a scale is a power of two every division is exact, and everything is compared bit for bit, ties too.  Elsewhere a scale
may be off by a few units in the last place (`CLOSE`), and inputs are chosen, or moved, so that no quotient comes nearer to a
tie than 2**-14 of itself: whatever the order of the divisions, the rounded element is determined.
"""

import math
from collections.abc import Callable

import pytest
import torch
from torch import Generator, Tensor, tensor

from exercises.kit.checking.closeness import Mismatch, Rule, exactly, relative, same, within
from exercises.kit.probes import l6 as probes
from exercises.kit.toys import tensors
from graders.judge.contract import main, observed, raises, recipe

e4m3, e5m2 = torch.float8_e4m3fn, torch.float8_e5m2
uint8, int8, int32 = torch.uint8, torch.int8, torch.int32
INF, NAN = math.inf, math.nan
CLOSE = relative(2.0**-21)  # four units in the last place of a float32, or more
E2M1 = tensor([0.0, 0.5, 1.0, 1.5, 2.0, 3.0, 4.0, 6.0])
ELEMENTS = {
    "e2m1": (2, 2, 6.0),
    "e4m3": (8, 4, 448.0),
    "e5m2": (15, 3, 57344.0),
}  # emax, bits of a mantissa with its 1, end


def name(value: object) -> str:
    return str(value).removeprefix("torch.").replace("(", "").replace(")", "").replace(", ", "x")


# Inputs -----------------------------------------------------------------------------------------------------------------


def integer(low: int, high: int, generator: Generator) -> int:
    return int(torch.randint(low, high, (), generator=generator))


def uniform(shape: tuple[int, ...], low: float, high: float, generator: Generator) -> Tensor:
    return low + (high - low) * torch.rand(shape, generator=generator)


def signs(shape: tuple[int, ...], generator: Generator) -> Tensor:
    return torch.randint(0, 2, shape, generator=generator) * 2.0 - 1.0


def shuffled(values: Tensor, generator: Generator) -> Tensor:
    return values[torch.randperm(len(values), generator=generator)]


def transposed(x: Tensor) -> Tensor:
    """The same values in column order."""
    return x.mT.contiguous().mT


def every_other(x: Tensor) -> Tensor:
    """The same values with others between them in memory."""
    return x.repeat_interleave(2, -1)[..., ::2]


def part_of_more(x: Tensor) -> Tensor:
    """The same values as a part of a larger storage."""
    return torch.cat([torch.full_like(x, 1e30), x])[len(x) :]


def spread(x: Tensor) -> Tensor:
    """The values of the first row in every row, none of them copied."""
    return x[:1].expand(x.shape)


LAYOUTS = pytest.mark.parametrize(
    "layout", [transposed, every_other, part_of_more, spread], ids=lambda make: make.__name__
)


def settled(x: Tensor, scale: Tensor, rounded: Callable[[Tensor], Tensor]) -> Tensor:
    """Put 0 where x / scale lies so near to a tie that its rounding depends on how it is computed."""
    quotient = x.double() / scale.double()
    below, above = (rounded((quotient * factor).float()) for factor in (1 - 2.0**-14, 1 + 2.0**-14))
    return torch.where(below == above, x, 0.0)


def to_float8(dtype: torch.dtype) -> Callable[[Tensor], Tensor]:
    return lambda quotient: quotient.to(dtype).float()


def to_e2m1(x: Tensor) -> Tensor:
    """The nearest number of E2M1, found by distance: of two at one distance, the one at an even place."""
    distance = (x.abs().clamp(max=6.0).unsqueeze(-1).double() - E2M1.double()).abs()
    nearest = distance == distance.amin(-1, keepdim=True)
    order = tensor([0, 2, 4, 6, 1, 3, 5, 7])
    return E2M1[order][nearest[..., order].int().argmax(-1)] * x.sign()


def step(values: Tensor, up: bool) -> Tensor:
    return torch.nextafter(values, tensor(INF if up else -INF))


# Comparing --------------------------------------------------------------------------------------------------------------


def parts(got: object, want: tuple, *rules: Rule) -> None:
    """Compare the parts of a tuple, each by its own rule."""
    if not isinstance(got, tuple) or len(got) != len(want):
        same(got, want)
    for one, other, rule in zip(got, want, rules, strict=True):
        same(one, other, rule)


def released(got: object, want: Tensor, free: Tensor, allowed: Callable[[Tensor], Tensor]) -> object:
    """The tensor with the wanted values where anything that is allowed is right; anything else as it is."""
    if not isinstance(got, Tensor) or got.dtype != want.dtype or got.shape != want.shape:
        return got
    return torch.where(free & allowed(got.float()), want, got)


def finite_scale(values: Tensor) -> Tensor:
    return values.isfinite() & (values >= 0)


def exponent_byte(values: Tensor) -> Tensor:
    return values <= 254


def with_free(got: object, want: tuple, index: int, free: Tensor, allowed: Callable[[Tensor], Tensor]) -> object:
    """A returned tuple in which the scales of some blocks are free, if it is one."""
    if not isinstance(got, tuple) or len(got) != len(want):
        return got
    return tuple(
        released(one, other, free, allowed) if at == index else one
        for at, (one, other) in enumerate(zip(got, want, strict=True))
    )


def zero_blocks(x: Tensor, size: int) -> Tensor:
    return (x.unflatten(-1, (-1, size)) == 0).all(-1)


# Eight bits with an exponent --------------------------------------------------------------------------------------------


def normals(dtype: torch.dtype, generator: Generator) -> Tensor:
    return torch.randn(6, 9, generator=generator) * 3


def negative_dominated(dtype: torch.dtype, generator: Generator) -> Tensor:
    return torch.cat([uniform((20,), 0.0, 1.0, generator), uniform((1,), -9.0, -7.0, generator)])


def over_many_binades(dtype: torch.dtype, generator: Generator) -> Tensor:
    return torch.randn(64, generator=generator) * 2.0 ** uniform((64,), -16.0, 8.0, generator)


def settled_float8(x: Tensor, dtype: torch.dtype) -> Tensor:
    return settled(x, x.abs().max() / torch.finfo(dtype).max, to_float8(dtype))


class TestFloat8Quantize:
    @main
    @pytest.mark.parametrize("dtype", [e4m3, e5m2], ids=name)
    @pytest.mark.parametrize("build", [normals, negative_dominated, over_many_binades], ids=lambda make: make.__name__)
    def test_largest_on_largest(self, student, reference, generator, build, dtype):
        """The largest magnitude, of either sign, becomes the largest number of the dtype, and the rest follows."""
        x = settled_float8(build(dtype, generator), dtype)
        parts(student.float8_quantize(x, dtype), reference.float8_quantize(x, dtype), exactly, CLOSE)

    def test_e4m3_unless_asked(self, student, reference, generator):
        """Without a dtype the values are float8_e4m3fn."""
        x = settled_float8(normals(e4m3, generator), e4m3)
        parts(student.float8_quantize(x), reference.float8_quantize(x), exactly, CLOSE)

    @pytest.mark.parametrize("dtype", [e4m3, e5m2], ids=name)
    @pytest.mark.parametrize("shape", [(), (1,), (2, 3)], ids=name)
    def test_zeros(self, student, reference, shape, dtype):
        """Zeros have the scale 1.0."""
        x = torch.zeros(shape)
        parts(student.float8_quantize(x, dtype), reference.float8_quantize(x, dtype), exactly, exactly)

    @pytest.mark.parametrize("dtype", [e4m3, e5m2], ids=name)
    @pytest.mark.parametrize("power", [-100, -40, 60, 124], ids=str)
    def test_small_and_large(self, student, reference, power, dtype):
        """A scale of its own brings any range to the dtype's, however small or large it is."""
        x = tensor([1.9, -0.3, 0.011, 0.0]) * 2.0**power
        parts(student.float8_quantize(x, dtype), reference.float8_quantize(x, dtype), exactly, CLOSE)

    @pytest.mark.parametrize("shape", [(), (1,), (3, 1, 2), (2, 2, 1, 2)], ids=name)
    def test_any_shape(self, student, reference, generator, shape):
        """Values have the tensor's shape, the scale has none."""
        x = settled_float8(signs(shape, generator) * uniform(shape, 0.3, 5.0, generator), e4m3)
        parts(student.float8_quantize(x), reference.float8_quantize(x), exactly, CLOSE)

    @LAYOUTS
    def test_any_strides(self, student, reference, generator, layout):
        """The strides of the tensor do not matter."""
        x = layout(settled_float8(normals(e4m3, generator), e4m3))
        x = settled_float8(x, e4m3) if layout is spread else x
        parts(student.float8_quantize(x), reference.float8_quantize(x), exactly, CLOSE)


def tiles_of(x: Tensor, tile: tuple[int, int]) -> Tensor:
    return x.unflatten(0, (-1, tile[0])).unflatten(2, (-1, tile[1]))


def over_tiles(per_tile: Tensor, tile: tuple[int, int]) -> Tensor:
    return per_tile.repeat_interleave(tile[0], 0).repeat_interleave(tile[1], 1)


def tiled(shape: tuple[int, int], tile: tuple[int, int], generator: Generator) -> Tensor:
    """A matrix whose tiles differ in size by powers of ten, away from ties under the scales of its tiles."""
    count = (shape[0] // tile[0], shape[1] // tile[1])
    x = torch.randn(shape, generator=generator) * over_tiles(10.0 ** uniform(count, -2.0, 4.0, generator), tile)
    return settled_tiles(x, tile)


def settled_tiles(x: Tensor, tile: tuple[int, int]) -> Tensor:
    scales = tiles_of(x, tile).abs().amax((1, 3)).clamp(min=1e-4) / 448
    return settled(x, over_tiles(scales, tile), to_float8(e4m3))


def with_amax(amax: Tensor, tile: tuple[int, int], generator: Generator) -> Tensor:
    """A matrix of tiles with the given largest magnitudes, away from ties under any scale that is a power of two."""
    shape = (amax.shape[0] * tile[0], amax.shape[1] * tile[1])
    x = tensor([1.0, -1.25, 1.5, 1.75, 0.0])[torch.randint(5, shape, generator=generator)] * over_tiles(amax, tile)
    x = x / 2.0 ** torch.randint(1, 5, shape, generator=generator)
    x = settled(x, over_tiles(2.0 ** torch.frexp(amax / 448).exponent.float(), tile), to_float8(e4m3))
    x[:: tile[0], :: tile[1]] = amax * signs(tuple(amax.shape), generator)
    return x


class TestTileQuantize:
    @main
    @pytest.mark.parametrize("tile", [(2, 4), (3, 2), (1, 8), (6, 1)], ids=name)
    def test_a_scale_for_each_tile(self, student, reference, generator, tile):
        """Each tile of (rows, columns) has a scale of its own."""
        x = tiled((6, 8), tile, generator)
        parts(student.tile_quantize(x, tile), reference.tile_quantize(x, tile), exactly, CLOSE)

    @pytest.mark.parametrize("tile", [(1, 1), (6, 8), (2, 2)], ids=["one value", "the whole matrix", "square"])
    def test_other_tiles(self, student, reference, generator, tile):
        """A tile may be one value, the whole matrix, or square."""
        x = tiled((6, 8), tile, generator)
        parts(student.tile_quantize(x, tile), reference.tile_quantize(x, tile), exactly, CLOSE)

    @pytest.mark.parametrize(
        ("shape", "tile"), [((2, 256), (1, 128)), ((128, 256), (128, 128))], ids=["1x128", "128x128"]
    )
    def test_tiles_of_the_paper(self, student, reference, generator, shape, tile):
        """Tiles of 1 x 128 and of 128 x 128."""
        x = tiled(shape, tile, generator)
        parts(student.tile_quantize(x, tile), reference.tile_quantize(x, tile), exactly, CLOSE)

    @pytest.mark.parametrize("factor", [1.0, 1 + 2.0**-22, 1.5], ids=["a power of two", "just above", "between"])
    @pytest.mark.parametrize("low", [-20, 2, 60], ids=["small", "middle", "large"])
    def test_power_of_two(self, student, reference, generator, factor, low):
        """A scale that is a power of two stays; anything above goes up to the next, exactly."""
        amax = (448 * 2.0 ** torch.randint(low, low + 18, (3, 4), generator=generator).double() * factor).float()
        x = with_amax(amax, (2, 3), generator)
        parts(student.tile_quantize(x, (2, 3), True), reference.tile_quantize(x, (2, 3), True), exactly, exactly)

    @pytest.mark.parametrize("power_of_two", [False, True], ids=["plain", "power of two"])
    @pytest.mark.parametrize("size", [0.0, 1e-6, 2.0**-100], ids=["zeros", "small", "very small"])
    def test_floor(self, student, reference, generator, size, power_of_two):
        """No scale is below 1e-4 / 448, in a tile of zeros neither."""
        x = uniform((4, 6), 0.5, 1.0, generator) * signs((4, 6), generator)
        x[:2, :3] *= size
        scales = (tiles_of(x, (2, 3)).abs().amax((1, 3)).clamp(min=1e-4) / 448).double()
        scales = 2.0 ** torch.ceil(torch.log2(scales)) if power_of_two else scales
        x = settled(x, over_tiles(scales, (2, 3)), to_float8(e4m3))
        rule = exactly if power_of_two else CLOSE
        want = reference.tile_quantize(x, (2, 3), power_of_two)
        parts(student.tile_quantize(x, (2, 3), power_of_two=power_of_two), want, exactly, rule)

    def test_one_outlier(self, student, reference, generator):
        """One outlier spoils its own tile only."""
        x = uniform((4, 8), 0.5, 1.0, generator)
        x[1, 5] = -30000.0
        x = settled_tiles(x, (1, 4))
        parts(student.tile_quantize(x, (1, 4)), reference.tile_quantize(x, (1, 4)), exactly, CLOSE)

    @pytest.mark.parametrize("power", [-10, 120], ids=["small", "large"])
    def test_range(self, student, reference, generator, power):
        """Small and very large tiles."""
        x = settled_tiles(uniform((2, 4), 1.0, 1.9, generator) * 2.0**power, (1, 2))
        parts(student.tile_quantize(x, (1, 2)), reference.tile_quantize(x, (1, 2)), exactly, CLOSE)

    @LAYOUTS
    def test_any_strides(self, student, reference, generator, layout):
        """The strides of the matrix do not matter."""
        x = layout(tiled((4, 6), (1, 3), generator))
        parts(student.tile_quantize(x, (1, 3)), reference.tile_quantize(x, (1, 3)), exactly, CLOSE)

    @pytest.mark.parametrize("tile", [(4, 8), (2, 3), (0, 2), (2, 0), (-2, 4), (3, -4), (12, 8)], ids=name)
    def test_refuses_tiles_that_do_not_divide(self, student, tile):
        """A tile that does not divide the matrix, or has a side below 1, is a ValueError."""
        with raises(ValueError):
            student.tile_quantize(torch.ones(6, 8), tile)


# Four bits with an exponent ---------------------------------------------------------------------------------------------


def e2m1_ties() -> Tensor:
    """Halfway between two neighbours, and right beside halfway, of both signs."""
    middle = (E2M1[1:] + E2M1[:-1]) / 2
    near = torch.cat([middle, step(middle, True), step(middle, False)])
    return torch.cat([near, -near])


def on_the_grid(shape: tuple[int, ...], generator: Generator) -> Tensor:
    """Numbers of E2M1; zeros are positive."""
    return E2M1[torch.randint(8, shape, generator=generator)] * signs(shape, generator) + 0.0


class TestRoundToE2m1:
    @main
    def test_ties_and_neighbours(self, student, reference, generator):
        """At a tie the even mantissa wins, and right beside a tie the nearest number."""
        x = shuffled(e2m1_ties(), generator)
        same(student.round_to_e2m1(x), reference.round_to_e2m1(x), exactly)

    def test_nearest(self, student, reference, generator):
        """Every value goes to the nearest number, of either sign."""
        x = uniform((40, 5), -7.0, 7.0, generator)
        same(student.round_to_e2m1(x), reference.round_to_e2m1(x), exactly)

    def test_the_numbers_stay(self, student, generator):
        """The numbers of E2M1 themselves stay what they are."""
        x = shuffled(torch.cat([E2M1, -E2M1]), generator)
        same(student.round_to_e2m1(x), x, exactly)

    def test_saturates(self, student):
        """What is beyond 6 becomes 6, infinities too."""
        x = tensor([6.5, 7.0, -8.0, 1e30, -1e30, INF, -INF])
        same(student.round_to_e2m1(x), tensor([6.0, 6.0, -6.0, 6.0, -6.0, 6.0, -6.0]), exactly)

    def test_tiny(self, student):
        """What is tiny becomes 0."""
        x = tensor([1e-30, -(2.0**-100), 2.0**-149, 0.0])
        same(student.round_to_e2m1(x), torch.zeros(4), exactly)

    @pytest.mark.parametrize("shape", [(), (1,), (2, 1, 3)], ids=name)
    def test_any_shape(self, student, reference, generator, shape):
        """Any shape stays what it is, 0-dim too."""
        x = uniform(shape, -6.0, 6.0, generator)
        same(student.round_to_e2m1(x), reference.round_to_e2m1(x), exactly)

    @LAYOUTS
    def test_any_strides(self, student, reference, generator, layout):
        """The strides of the tensor do not matter."""
        x = layout(uniform((4, 6), -7.0, 7.0, generator))
        same(student.round_to_e2m1(x), reference.round_to_e2m1(x), exactly)

    @pytest.mark.parametrize("x", [tensor(NAN), tensor([[1.0, NAN], [0.0, INF]])], ids=["alone", "among others"])
    def test_refuses_nan(self, student, x):
        """nan is a ValueError."""
        with raises(ValueError):
            student.round_to_e2m1(x)


class TestDecodeE2m1:
    @main
    @pytest.mark.parametrize("shape", [(16,), (4, 4)], ids=name)
    def test_all_codes(self, student, reference, generator, shape):
        """Three bits count the magnitudes in order, the fourth is the sign."""
        codes = torch.randperm(16, generator=generator).to(uint8).reshape(shape)
        same(student.decode_e2m1(codes), reference.decode_e2m1(codes), exactly)

    @pytest.mark.parametrize("shape", [(), (1,), (2, 1, 3), (300,)], ids=name)
    def test_any_shape(self, student, reference, generator, shape):
        """Any shape stays what it is, 0-dim too."""
        codes = torch.randint(16, shape, generator=generator, dtype=uint8)
        same(student.decode_e2m1(codes), reference.decode_e2m1(codes), exactly)

    @LAYOUTS
    def test_any_strides(self, student, reference, generator, layout):
        """The strides of the tensor do not matter."""
        codes = torch.randint(16, (4, 6), generator=generator, dtype=uint8)
        codes = codes.mT.contiguous().mT if layout is part_of_more else layout(codes)
        same(student.decode_e2m1(codes), reference.decode_e2m1(codes), exactly)

    @pytest.mark.parametrize(
        "codes",
        [[16], [3, 255, 1], [200, 15], [0, 31], [0, 1, 16, 2]],
        ids=["16", "255 among others", "200 first", "31 last", "16 among small ones"],
    )
    def test_refuses_larger_codes(self, student, codes):
        """A code above 15 is a ValueError."""
        with raises(ValueError):
            student.decode_e2m1(tensor(codes, dtype=uint8))


# A power of two for 32 values -------------------------------------------------------------------------------------------


def just_below(generator: Generator) -> Tensor:
    return step(tensor(2.0 ** integer(4, 100, generator)), False)


def just_below_small(generator: Generator) -> Tensor:
    return -step(tensor(2.0 ** integer(-100, -3, generator)), False)


def nearer_to_the_next(generator: Generator) -> Tensor:
    return uniform((), 1.6, 1.9, generator) * 2.0 ** integer(-60, 100, generator)


def nearer_to_the_last(generator: Generator) -> Tensor:
    return -uniform((), 1.05, 1.3, generator) * 2.0 ** integer(-60, 100, generator)


def block_of(amax: Tensor, generator: Generator) -> Tensor:
    """32 values of which one has the largest magnitude."""
    return shuffled(torch.cat([amax.reshape(1), amax * uniform((31,), -0.4, 0.4, generator)]), generator)


class TestSharedExponent:
    @main
    @pytest.mark.parametrize("emax", [2, 8, 15], ids=str)
    @pytest.mark.parametrize(
        "build",
        [nearer_to_the_next, nearer_to_the_last, just_below, just_below_small],
        ids=lambda make: make.__name__,
    )
    def test_floor_of_the_logarithm(self, student, reference, generator, build, emax):
        """The exponent is floor(log2(amax)) - emax, right below a power of two as well."""
        block = block_of(build(generator), generator)
        same(student.shared_exponent(block, emax), reference.shared_exponent(block, emax), exactly)

    @pytest.mark.parametrize("emax", [2, 8], ids=str)
    def test_powers_of_two(self, student, reference, generator, emax):
        """A power of two has its own exponent."""
        block = block_of(-tensor(2.0 ** integer(-60, 100, generator)), generator)
        same(student.shared_exponent(block, emax), reference.shared_exponent(block, emax), exactly)

    @pytest.mark.parametrize(
        ("amax", "emax"),
        [
            (2.0**-149, 2),
            (2.0**-126, 2),
            (2.0**-125, 2),
            (2.0**-124, 2),
            (1.5 * 2.0**-127, 0),
            (1.5 * 2.0**-140, -20),
            (2.0**-100, 40),
        ],
        ids=["smallest", "one too low", "at the end", "inside", "subnormal", "subnormal and inside", "another emax"],
    )
    def test_lower_end(self, student, reference, amax, emax):
        """The exponent is at least -127, for subnormal numbers too."""
        block = tensor([0.0, -amax])
        same(student.shared_exponent(block, emax), reference.shared_exponent(block, emax), exactly)

    @pytest.mark.parametrize(
        ("amax", "emax", "want"),
        [(3.4028235e38, 0, 127), (3.4028235e38, 2, 125), (3e38, -1, 127), (2.0**126, -5, 127), (2.0**125, -2, 127)],
        ids=["largest", "largest, e2m1", "one too high", "far too high", "at the end"],
    )
    def test_upper_end(self, student, amax, emax, want):
        """The exponent is at most 127."""
        same(student.shared_exponent(tensor([1.0, amax]), emax), want, exactly)

    @pytest.mark.parametrize("emax", [0, 2, 15, -3], ids=str)
    @pytest.mark.parametrize("shape", [(1,), (32,), (2, 3)], ids=name)
    def test_zeros(self, student, shape, emax):
        """Zeros give -127."""
        same(student.shared_exponent(torch.zeros(shape), emax), -127, exactly)

    @LAYOUTS
    def test_any_shape_and_strides(self, student, reference, generator, layout):
        """All of the tensor is one block, whatever its shape and strides."""
        block = layout(torch.randn(4, 6, generator=generator) * 30)
        same(student.shared_exponent(block, 2), reference.shared_exponent(block, 2), exactly)

    def test_three_dimensions(self, student):
        """The largest magnitude counts wherever it is."""
        block = torch.ones(2, 3, 4)
        block[0, 1, 2] = -40.0
        same(student.shared_exponent(block, 2), 3, exactly)


def element_input(element: str, shape: tuple[int, ...], generator: Generator) -> Tensor:
    """Quotients of one block after another with a bit more than the element keeps: one in two is a tie.

    The amax of each block is its first value: 1 to 1 + 7/8 times the largest power of two, so that some are clipped.
    """
    emax, bits, _ = ELEMENTS[element]
    mantissas = torch.randint(0, 2 ** (bits + 1), shape, generator=generator).float()
    x = torch.ldexp(mantissas, emax - bits - 1 - torch.randint(0, 2 * emax + 1, shape, generator=generator))
    x[..., ::32] = 2.0**emax * (1 + torch.randint(0, 8, x[..., ::32].shape, generator=generator) / 8)
    return x * signs(shape, generator)


def mx_input(element: str, shape: tuple[int, ...], generator: Generator) -> Tensor:
    """As `element_input`, each block times a power of two of its own."""
    x = element_input(element, shape, generator).unflatten(-1, (-1, 32))
    return torch.ldexp(x, torch.randint(-30, 30, (*x.shape[:-1], 1), generator=generator)).flatten(-2)


EACH_ELEMENT = pytest.mark.parametrize("element", ["e2m1", "e4m3", "e5m2"])


class TestMxQuantize:
    @main
    @EACH_ELEMENT
    def test_elements_share_a_power_of_two(self, student, reference, generator, element):
        """32 neighbours share an exponent; elements are rounded half to even, and stop at the largest."""
        x = mx_input(element, (5, 96), generator)
        parts(student.mx_quantize(x, element), reference.mx_quantize(x, element), exactly, exactly)

    def test_e2m1_unless_asked(self, student, reference, generator):
        """Without an element the format is e2m1."""
        x = mx_input("e2m1", (2, 64), generator)
        parts(student.mx_quantize(x), reference.mx_quantize(x), exactly, exactly)

    @EACH_ELEMENT
    def test_beside_ties(self, student, reference, generator, element):
        """Right beside a tie the nearest element is taken: nothing is rounded twice."""
        x = element_input(element, (2, 64), generator)
        x = torch.where(torch.rand(x.shape, generator=generator) < 0.5, step(x, True), step(x, False))
        x[:, ::32] = 2.0 ** ELEMENTS[element][0]
        parts(student.mx_quantize(x, element), reference.mx_quantize(x, element), exactly, exactly)

    @EACH_ELEMENT
    def test_below_a_power_of_two(self, student, reference, generator, element):
        """Right below a power of two the exponent is the lower one."""
        powers = 2.0 ** torch.randint(-60, 100, (6,), generator=generator)
        x = step(powers, False).repeat_interleave(32) * tensor([1.0, 0.3, 0.1, -0.9]).repeat(48)
        parts(student.mx_quantize(x, element), reference.mx_quantize(x, element), exactly, exactly)

    @pytest.mark.parametrize(
        ("element", "amax", "exponent", "stored"),
        [
            ("e2m1", 5.9, 127, 6.0),
            ("e2m1", 7.0, 127, 6.0),
            ("e2m1", 7.9, 127, 6.0),
            ("e2m1", 8.0, 128, 4.0),
            ("e2m1", 3.99, 126, 6.0),
            ("e4m3", 500.0, 127, 448.0),
            ("e4m3", 512.0, 128, 256.0),
            ("e5m2", 61440.0, 127, 57344.0),
            ("e5m2", 65536.0, 128, 32768.0),
        ],
        ids=lambda value: str(value),
    )
    def test_where_amax_lands(self, student, element, amax, exponent, stored):
        """amax is clipped to the largest element, or starts the next power of two."""
        got = student.mx_quantize(torch.full((1, 32), -amax), element)
        parts(got, (tensor([[exponent]], dtype=uint8), torch.full((1, 32), -stored)), exactly, exactly)

    @EACH_ELEMENT
    @pytest.mark.parametrize("power", [-149, -140, -127, -120, -100], ids=str)
    def test_small(self, student, reference, generator, element, power):
        """Blocks down to the smallest subnormal number: the exponent stops at -127, nothing else does."""
        x = torch.ldexp(torch.randint(-7, 8, (2, 32), generator=generator).float(), tensor(power))
        x[:, 3] = 2.0**power * 7
        parts(student.mx_quantize(x, element), reference.mx_quantize(x, element), exactly, exactly)

    @EACH_ELEMENT
    def test_large(self, student, reference, generator, element):
        """Blocks up to 2**125."""
        x = torch.ldexp(element_input(element, (2, 64), generator), tensor(123 - ELEMENTS[element][0]))
        parts(student.mx_quantize(x, element), reference.mx_quantize(x, element), exactly, exactly)

    @EACH_ELEMENT
    def test_a_block_of_zeros(self, student, reference, generator, element):
        """A block of zeros has elements 0, and any exponent."""
        x = mx_input(element, (2, 96), generator)
        x[0, 32:64] = 0
        want = reference.mx_quantize(x, element)
        got = with_free(student.mx_quantize(x, element), want, 0, zero_blocks(x, 32), exponent_byte)
        parts(got, want, exactly, exactly)

    @pytest.mark.parametrize("shape", [(32,), (1, 32), (2, 1, 3, 64)], ids=name)
    def test_any_shape(self, student, reference, generator, shape):
        """Blocks run along the last axis of any shape."""
        x = mx_input("e2m1", shape, generator)
        parts(student.mx_quantize(x), reference.mx_quantize(x), exactly, exactly)

    @LAYOUTS
    def test_any_strides(self, student, reference, generator, layout):
        """The strides of the tensor do not matter."""
        x = layout(mx_input("e2m1", (3, 64), generator))
        parts(student.mx_quantize(x), reference.mx_quantize(x), exactly, exactly)

    @pytest.mark.parametrize("element", ["e3m2", "int8", "", "float8_e4m3fn"], ids=repr)
    def test_refuses_other_elements(self, student, element):
        """Another element is a ValueError."""
        with raises(ValueError):
            student.mx_quantize(torch.ones(32), element)

    @pytest.mark.parametrize("shape", [(31,), (16,), (2, 48), (64, 33)], ids=name)
    def test_refuses_other_lengths(self, student, shape):
        """A last axis that is no multiple of 32 is a ValueError."""
        with raises(ValueError):
            student.mx_quantize(torch.ones(shape))


class TestMxDequantize:
    @main
    @EACH_ELEMENT
    def test_multiplies_by_powers_of_two(self, student, reference, generator, element):
        """Every element is multiplied by the power of two of its block."""
        exponents = torch.randint(60, 190, (3, 2), generator=generator, dtype=uint8)
        elements = reference.mx_quantize(element_input(element, (3, 64), generator), element)[1]
        same(student.mx_dequantize(exponents, elements), reference.mx_dequantize(exponents, elements), exactly)

    @pytest.mark.parametrize("smallest", [0.5, 2.0**-9, 2.0**-16], ids=["e2m1", "e4m3", "e5m2"])
    def test_smallest(self, student, smallest):
        """2**-127 and subnormal products are exact."""
        multiples = tensor([1.0, -1.0, 3.0, 2.0]).repeat(16) * smallest
        want = torch.cat([multiples[:32].double() * 2.0**-127, multiples[32:].double() * 2.0**-126]).float()
        same(student.mx_dequantize(tensor([0, 1], dtype=uint8), multiples), want, exactly)

    def test_largest(self, student):
        """2**127 is exact; its products are finite here."""
        elements = tensor([0.5, -1.0, 1.5, 0.0]).repeat(16)
        want = torch.cat([elements[:32].double() * 2.0**127, elements[32:].double() * 2.0**125]).float()
        same(student.mx_dequantize(tensor([254, 252], dtype=uint8), elements), want, exactly)

    @pytest.mark.parametrize("shape", [(1,), (1, 3), (2, 1, 2)], ids=name)
    def test_any_shape(self, student, reference, generator, shape):
        """Exponents (..., blocks) and elements (..., 32 * blocks), any axes in front."""
        exponents = torch.randint(100, 150, shape, generator=generator, dtype=uint8)
        elements = on_the_grid((*shape[:-1], 32 * shape[-1]), generator)
        same(student.mx_dequantize(exponents, elements), reference.mx_dequantize(exponents, elements), exactly)

    @pytest.mark.parametrize("layout", [transposed, every_other], ids=lambda make: make.__name__)
    def test_any_strides(self, student, reference, generator, layout):
        """The strides of both tensors do not matter."""
        exponents = layout(torch.randint(100, 150, (3, 2), generator=generator, dtype=uint8))
        elements = layout(on_the_grid((3, 64), generator))
        same(student.mx_dequantize(exponents, elements), reference.mx_dequantize(exponents, elements), exactly)


class TestUnpackMxfp4:
    @main
    @pytest.mark.parametrize("axes", [(3,), (2, 4)], ids=name)
    def test_reads_the_layout(self, student, reference, generator, axes):
        """Two codes in a byte, the first in the low half; every block times its power of two."""
        blocks = torch.randint(256, (*axes, 16), generator=generator, dtype=uint8)
        scales = torch.randint(110, 140, axes, generator=generator, dtype=uint8)
        same(student.unpack_mxfp4(blocks, scales), reference.unpack_mxfp4(blocks, scales), exactly)

    def test_every_byte(self, student, reference, generator):
        """Every byte holds two codes, and each of the sixteen has its number."""
        blocks = torch.randperm(256, generator=generator).to(uint8).reshape(16, 16)
        scales = torch.full((16,), 127, dtype=uint8)
        same(student.unpack_mxfp4(blocks, scales), reference.unpack_mxfp4(blocks, scales), exactly)

    @pytest.mark.parametrize("scale", [0, 1, 2, 251, 252], ids=str)
    def test_ends_of_the_scale(self, student, reference, generator, scale):
        """The smallest and the largest power of two are exact, subnormal numbers too."""
        blocks = torch.randint(256, (2, 16), generator=generator, dtype=uint8)
        scales = tensor([scale, 127], dtype=uint8)
        same(student.unpack_mxfp4(blocks, scales), reference.unpack_mxfp4(blocks, scales), exactly)

    @pytest.mark.parametrize("axes", [(1,), (2, 3), (2, 1, 3), (2, 2, 1, 2)], ids=name)
    def test_any_axes_in_front(self, student, reference, generator, axes):
        """Any number of axes in front, none too."""
        blocks = torch.randint(256, (*axes, 16), generator=generator, dtype=uint8)
        scales = torch.randint(120, 130, axes, generator=generator, dtype=uint8)
        same(student.unpack_mxfp4(blocks, scales), reference.unpack_mxfp4(blocks, scales), exactly)


# A small float for 16 values --------------------------------------------------------------------------------------------


def nvfp4_input(shape: tuple[int, ...], g: float, generator: Generator) -> Tensor:
    """Blocks of 16 whose scales lie well inside a step of e4m3, the largest on 448, and whose quotients are away from ties."""
    x = uniform((*shape[:-1], shape[-1] // 16, 16), -1.0, 1.0, generator)
    scales = (2.0 ** uniform(x.shape[:-1], -5.0, 8.0, generator)).to(e4m3).float()
    scales.view(-1)[-1] = 448.0
    amax = 6 * scales * (1 + uniform(x.shape[:-1], -(2.0**-6), 2.0**-6, generator))
    amax.view(-1)[-1] = 2688.0
    x = settled(x * amax.unsqueeze(-1), scales.unsqueeze(-1), to_e2m1)
    x[..., 5] = amax * signs(tuple(amax.shape), generator)
    return (x.double() * g).float().flatten(-2)


class TestNvfp4Quantize:
    @main
    @pytest.mark.parametrize("shape", [(3, 64), (80,)], ids=name)
    def test_two_scales(self, student, reference, generator, shape):
        """A float32 scale for the tensor, an e4m3 scale for 16 values, and elements made with the rounded scales."""
        x = nvfp4_input(shape, 0.1 + float(torch.rand((), generator=generator)), generator)
        parts(student.nvfp4_quantize(x), reference.nvfp4_quantize(x), exactly, exactly, CLOSE)

    @pytest.mark.parametrize("power", [-12, 0, 5], ids=str)
    def test_amax_2688(self, student, reference, generator, power):
        """Where amax is 2688 times a power of two, so is g, and blocks of 6, 9 and 2688 have the scales 1, 1.5 and 448."""
        x = torch.zeros(4, 16)
        x[:, 3] = tensor([6.0, -9.0, 2688.0, 3.0])
        x[:, 9] = tensor([1.1, 4.9, -1000.0, 0.3])
        x = x.flatten() * 2.0**power
        parts(student.nvfp4_quantize(x), reference.nvfp4_quantize(x), exactly, exactly, CLOSE)

    @pytest.mark.parametrize("side", [1, -1], ids=["above", "below"])
    def test_block_scale_beside_a_tie(self, student, reference, side):
        """A block scale a little beside a tie goes to the nearest number of e4m3: nothing is rounded twice."""
        middle = tensor([1.0625, 1.1875, 3.125, 104.0])  # between numbers of e4m3
        x = torch.zeros(5, 16)
        x[:4, 2] = 6 * middle * (1 + side * 2.0**-12)
        x[4, 2] = 2688.0
        parts(student.nvfp4_quantize(x), reference.nvfp4_quantize(x), exactly, exactly, CLOSE)

    def test_smallest_block_scale(self, student, reference, generator):
        """A block scale is at least 2**-6, so that small blocks become small elements, or zeros."""
        x = nvfp4_input((64,), 0.75, generator)
        x[:16] = tensor([0.0312, -0.005, 0.0011, 0.0]).repeat(4)
        x[16:32] = tensor([1e-6, -1e-30, 0.0, 1e-12]).repeat(4)
        parts(student.nvfp4_quantize(x), reference.nvfp4_quantize(x), exactly, exactly, CLOSE)

    @pytest.mark.parametrize("g", [2.0**-110, 1.3 * 2.0**-60, 1.7 * 2.0**112], ids=["very small", "small", "large"])
    def test_small_and_large(self, student, reference, generator, g):
        """g brings any range to that of the block scales."""
        x = nvfp4_input((2, 32), g, generator)
        parts(student.nvfp4_quantize(x), reference.nvfp4_quantize(x), exactly, exactly, CLOSE)

    def test_a_block_of_zeros(self, student, reference, generator):
        """A block of zeros has elements 0, and any finite scale."""
        x = nvfp4_input((2, 48), 0.6, generator)
        x[0, 16:32] = 0
        want = reference.nvfp4_quantize(x)
        got = with_free(student.nvfp4_quantize(x), want, 1, zero_blocks(x, 16), finite_scale)
        parts(got, want, exactly, exactly, CLOSE)

    @pytest.mark.parametrize("shape", [(16,), (2, 32)], ids=name)
    def test_zeros(self, student, reference, shape):
        """A tensor of zeros has elements 0, and any finite scales."""
        x = torch.zeros(shape)
        want = reference.nvfp4_quantize(x)
        got = with_free(student.nvfp4_quantize(x), want, 1, zero_blocks(x, 16), finite_scale)
        got = with_free(got, want, 2, tensor(True), finite_scale)
        parts(got, want, exactly, exactly, exactly)

    @pytest.mark.parametrize("shape", [(16,), (1, 32), (2, 1, 48)], ids=name)
    def test_any_shape(self, student, reference, generator, shape):
        """Blocks run along the last axis of any shape."""
        x = nvfp4_input(shape, 0.3, generator)
        parts(student.nvfp4_quantize(x), reference.nvfp4_quantize(x), exactly, exactly, CLOSE)

    @pytest.mark.parametrize("layout", [transposed, every_other, part_of_more], ids=lambda make: make.__name__)
    def test_any_strides(self, student, reference, generator, layout):
        """The strides of the tensor do not matter."""
        x = layout(nvfp4_input((3, 32), 0.3, generator))
        parts(student.nvfp4_quantize(x), reference.nvfp4_quantize(x), exactly, exactly, CLOSE)

    @pytest.mark.parametrize("shape", [(8,), (17,), (16, 24)], ids=name)
    def test_refuses_other_lengths(self, student, shape):
        """A last axis that is no multiple of 16 is a ValueError."""
        with raises(ValueError):
            student.nvfp4_quantize(torch.ones(shape))

    @pytest.mark.parametrize("row", [0, 1, 2], ids=str)
    def test_the_largest_of_all_rows(self, student, reference, row):
        """The global scale is that of the largest magnitude, in whichever row it is."""
        x = torch.zeros(3, 16)
        x[:, :2] = tensor([6.0, 2.5])
        x[row, :2] = tensor([-2688.0, 448.0])
        parts(student.nvfp4_quantize(x), reference.nvfp4_quantize(x), exactly, exactly, CLOSE)


# Levels where the weights are -------------------------------------------------------------------------------------------

PUBLISHED = (
    "-1 -.6961928 -.52507305 -.39491749 -.28444138 -.18477343 -.09105004 0 "
    ".0795803 .1609302 .2461123 .33791524 .44070983 .562617 .72295684 1"
)  # bitsandbytes
NF4 = tensor([float(level) for level in PUBLISHED.split()])


class TestNf4Codebook:
    @main
    def test_published_levels(self, student):
        """Sixteen ascending float32 levels: quantiles of the normal distribution, and 0."""
        same(student.nf4_codebook(), NF4, within(1e-6))


def nf4_input(shape: tuple[int, ...], block_size: int, generator: Generator) -> Tensor:
    """Values at most two fifths of the way from their level to the next, in blocks of unequal absmax."""
    codes = torch.randint(0, 16, (math.prod(shape) // block_size, block_size), generator=generator)
    gaps = torch.minimum(NF4.diff(prepend=tensor([-2.0])), NF4.diff(append=tensor([2.0])))
    x = NF4[codes] + gaps[codes] * uniform(tuple(codes.shape), -0.4, 0.4, generator)
    x = x.clamp(-0.99, 0.99)
    x[:, block_size // 2] = signs((len(x),), generator)
    absmax = 10.0 ** uniform((len(x), 1), -3.0, 3.0, generator)
    return (x * absmax).reshape(shape)


class TestNf4Quantize:
    @main
    @pytest.mark.parametrize(("shape", "block_size"), [((4, 96), 64), ((5, 12), 20), ((60,), 3)], ids=name)
    def test_nearest_level(self, student, reference, generator, shape, block_size):
        """Each value goes to the nearest level, after its block is divided by its absmax."""
        x = nf4_input(shape, block_size, generator)
        parts(student.nf4_quantize(x, block_size), reference.nf4_quantize(x, block_size), exactly, CLOSE)

    @pytest.mark.parametrize("shape", [(64,), (2, 32), (3, 2, 64)], ids=name)
    def test_64_unless_asked(self, student, reference, generator, shape):
        """Without a block size a block has 64 values."""
        x = nf4_input(shape, 64, generator)
        parts(student.nf4_quantize(x), reference.nf4_quantize(x), exactly, CLOSE)

    @pytest.mark.parametrize("block_size", [1, 2, 12], ids=str)
    def test_other_block_sizes(self, student, reference, generator, block_size):
        """Any block size that divides the elements, up to all of them."""
        x = nf4_input((3, 4), block_size, generator)
        parts(student.nf4_quantize(x, block_size), reference.nf4_quantize(x, block_size), exactly, CLOSE)

    def test_zeros_among_values(self, student, reference, generator):
        """A zero has the code 7."""
        x = nf4_input((4, 16), 16, generator)
        x[:, ::5] = 0
        parts(student.nf4_quantize(x, 16), reference.nf4_quantize(x, 16), exactly, CLOSE)

    def test_a_block_of_zeros(self, student, reference, generator):
        """A block of zeros has codes 7; its absmax is free."""
        x = nf4_input((3, 16), 16, generator)
        x[1] = 0
        want = reference.nf4_quantize(x, 16)
        got = with_free(student.nf4_quantize(x, 16), want, 1, zero_blocks(x, 16).flatten(), finite_scale)
        parts(got, want, exactly, CLOSE)

    @pytest.mark.parametrize("power", [-100, -60, 124], ids=str)
    def test_small_and_large(self, student, reference, power):
        """Any range is brought to -1..1, however small or large it is."""
        x = tensor([1.9, -0.3, 0.7, -1.9, 0.0, 0.011]) * 2.0**power
        parts(student.nf4_quantize(x, 3), reference.nf4_quantize(x, 3), exactly, CLOSE)

    @LAYOUTS
    def test_reading_order(self, student, reference, generator, layout):
        """Blocks follow the reading order, whatever the strides."""
        x = nf4_input((6, 8), 8, generator)
        x = layout(x)
        parts(student.nf4_quantize(x, 8), reference.nf4_quantize(x, 8), exactly, CLOSE)

    @pytest.mark.parametrize("block_size", [0, -1, -4, 5, 24], ids=str)
    def test_refuses_other_block_sizes(self, student, block_size):
        """A block size that does not divide the elements, or is below 1, is a ValueError."""
        with raises(ValueError):
            student.nf4_quantize(torch.ones(3, 4), block_size)


def restored_nf4(codes: Tensor, absmax: Tensor, shape: tuple[int, ...]) -> tuple[Tensor, Rule]:
    """The values, and how far they may be off: the levels are given to 1e-6, and one product is rounded."""
    exact = NF4.double()[codes.long()].reshape(len(absmax), -1) * absmax.double().unsqueeze(1)
    bound = (1.2e-6 * absmax.double().unsqueeze(1)).expand_as(exact)
    return exact.float().reshape(shape), within(bound.reshape(shape), of=exact.reshape(shape))


class TestNf4Dequantize:
    @main
    @pytest.mark.parametrize(("shape", "blocks"), [((4, 32), 2), ((5, 12), 3), ((30,), 10)], ids=["64", "20", "3"])
    def test_level_times_absmax(self, student, generator, shape, blocks):
        """Each code's level times the absmax of its block, in the given shape."""
        codes = torch.randint(16, (math.prod(shape),), generator=generator, dtype=uint8)
        absmax = 10.0 ** uniform((blocks,), -3.0, 3.0, generator)
        same(student.nf4_dequantize(codes, absmax, shape), *restored_nf4(codes, absmax, shape))

    @pytest.mark.parametrize("shape", [(16,), (2, 8), (2, 2, 4), (1, 16), (16, 1)], ids=name)
    def test_every_code_in_any_shape(self, student, generator, shape):
        """All sixteen codes, in any shape of at least one axis."""
        codes = torch.randperm(16, generator=generator).to(uint8)
        absmax = uniform((4,), 0.5, 2.0, generator)
        same(student.nf4_dequantize(codes, absmax, shape), *restored_nf4(codes, absmax, shape))

    @pytest.mark.parametrize("count", [1, 6], ids=["one block", "a block for each code"])
    def test_block_size_follows(self, student, generator, count):
        """A block has as many codes as there are codes for each absmax."""
        codes = torch.randint(16, (6,), generator=generator, dtype=uint8)
        absmax = uniform((count,), 0.5, 2.0, generator)
        same(student.nf4_dequantize(codes, absmax, (2, 3)), *restored_nf4(codes, absmax, (2, 3)))

    @pytest.mark.parametrize("power", [-100, 124], ids=["small", "large"])
    def test_small_and_large(self, student, generator, power):
        """Small and large values of absmax."""
        codes, absmax = torch.arange(16, dtype=uint8), tensor([1.0, 1.7]) * 2.0**power
        same(student.nf4_dequantize(codes, absmax, (16,)), *restored_nf4(codes, absmax, (16,)))

    def test_any_strides(self, student, generator):
        """The strides of codes and absmax do not matter."""
        codes = every_other(torch.randint(16, (12,), generator=generator, dtype=uint8))
        absmax = every_other(uniform((3,), 0.5, 2.0, generator))
        same(student.nf4_dequantize(codes, absmax, (4, 3)), *restored_nf4(codes, absmax, (4, 3)))


# What a weight costs ----------------------------------------------------------------------------------------------------

FORMATS = ["q8_0", "q4_0", "q4_k", "mxfp8", "mxfp4", "nvfp4", "nf4", "nf4-double", "int4-group32"]


def names_all(text: object) -> None:
    """Ask for the text of a ValueError that has all nine names, nf4 also apart from nf4-double."""
    if not isinstance(text, str):
        raise Mismatch(got="no ValueError", want="ValueError")
    apart = text.replace("nf4-double", " ") if text.count("nf4-double") == 1 else text
    missing = [known for known in FORMATS if known not in (apart if known == "nf4" else text)]
    if missing:
        raise Mismatch(got=f"a ValueError without {missing[0]}", want="a ValueError with all nine names")


class TestBitsPerWeight:
    @main
    @pytest.mark.parametrize("format", FORMATS)
    def test_everything_in_a_block(self, student, reference, format):
        """Codes and scales of a block, divided by its values."""
        same(student.bits_per_weight(format), reference.bits_per_weight(format), exactly)

    @pytest.mark.parametrize("format", ["q5_0", "", "float32", "mxfp6", "Q8_0", " nf4", "nf4_double", "q8-0"], ids=repr)
    def test_refuses_other_names(self, student, format):
        """Another name is a ValueError."""
        with raises(ValueError):
            student.bits_per_weight(format)

    @observed
    def test_error_has_all_names(self, student):
        """The text of the ValueError has all nine names."""
        names_all(student.probe(probes.error_text, "bits_per_weight", "int3"))


# Practice ---------------------------------------------------------------------------------------------------------------


class TestEncodeE2m1:
    @main
    def test_all_numbers(self, student, reference, generator):
        """The magnitudes are counted in order, the sign is the fourth bit."""
        values = shuffled(torch.cat([E2M1, -E2M1[1:]]), generator)
        same(student.encode_e2m1(values), reference.encode_e2m1(values), exactly)

    def test_minus_zero(self, student):
        """-0.0 has one of the two codes of zero."""
        want = tensor([0, 1], dtype=uint8)
        got = student.encode_e2m1(tensor([-0.0, 0.5]))
        same(released(got, want, tensor([True, False]), lambda code: code == 8), want, exactly)

    @pytest.mark.parametrize("shape", [(), (1,), (2, 1, 3), (200,)], ids=name)
    def test_any_shape(self, student, reference, generator, shape):
        """Any shape stays what it is, 0-dim too."""
        values = on_the_grid(shape, generator)
        same(student.encode_e2m1(values), reference.encode_e2m1(values), exactly)

    @LAYOUTS
    def test_any_strides(self, student, reference, generator, layout):
        """The strides of the tensor do not matter."""
        values = on_the_grid((4, 6), generator)
        values = transposed(values) if layout is part_of_more else layout(values)
        same(student.encode_e2m1(values), reference.encode_e2m1(values), exactly)

    @pytest.mark.parametrize(
        "values",
        [
            [7.0],
            [5.0, 1.0],
            [1.0, -0.25],
            [0.0, 2.5, 2.0],
            [1e-30],
            [INF],
            [-INF, 6.0],
            [NAN],
            [1.0, NAN],
            [6.0000005],
            [[5.0, 1.0], [2.0, 3.0]],
        ],
        ids=["7", "5", "-0.25", "2.5", "tiny", "inf", "-inf", "nan", "nan among others", "just above 6", "first row"],
    )
    def test_refuses_other_numbers(self, student, values):
        """A value that is none of the numbers is a ValueError."""
        with raises(ValueError):
            student.encode_e2m1(tensor(values))


def amax_at_six(generator: Generator) -> Tensor:
    return 6 * 2.0 ** torch.randint(-60, 100, (6,), generator=generator)


def amax_above_six(generator: Generator) -> Tensor:
    return step(amax_at_six(generator), True)


def amax_anywhere(generator: Generator) -> Tensor:
    return (4 + torch.randint(0, 17, (6,), generator=generator) / 4) * 2.0 ** torch.randint(
        -60, 100, (6,), generator=generator
    )


class TestMxQuantizeNoClip:
    @main
    @pytest.mark.parametrize("build", [amax_at_six, amax_above_six, amax_anywhere], ids=lambda make: make.__name__)
    def test_smallest_exponent_without_clipping(self, student, reference, generator, build):
        """amax at 6 times a power of two stays on 6; anything above it goes to the next exponent."""
        quotients = torch.randint(-64, 65, (6, 32), generator=generator) / 64
        quotients[:, 7] = signs((6,), generator)
        x = build(generator).unsqueeze(1) * quotients
        parts(student.mx_quantize_no_clip(x), reference.mx_quantize_no_clip(x), exactly, exactly)

    @pytest.mark.parametrize(
        ("amax", "exponent", "stored"),
        [(7.0, 128, 4.0), (6.0, 127, 6.0), (448.0, 134, 4.0), (5.0, 127, 4.0), (8.0, 128, 4.0), (3.0, 126, 6.0)],
        ids=str,
    )
    def test_where_amax_lands(self, student, amax, exponent, stored):
        """7 becomes 4 times 2, 6 stays 6."""
        got = student.mx_quantize_no_clip(torch.full((2, 32), -amax))
        parts(got, (torch.full((2, 1), exponent, dtype=uint8), torch.full((2, 32), -stored)), exactly, exactly)

    def test_ties(self, student, reference, generator):
        """Elements are rounded half to even."""
        x = torch.randint(-12, 13, (3, 64), generator=generator) / 2
        x[:, ::32] = 6.0
        x = x * 2.0 ** torch.randint(-20, 20, (3, 1), generator=generator)
        parts(student.mx_quantize_no_clip(x), reference.mx_quantize_no_clip(x), exactly, exactly)

    @pytest.mark.parametrize("power", [-149, -140, -131, -120, -100, 120], ids=str)
    def test_small_and_large(self, student, reference, generator, power):
        """Blocks down to the smallest subnormal number: the exponent stops at -127."""
        x = torch.ldexp(torch.randint(-7, 8, (2, 32), generator=generator).float(), tensor(power))
        x[:, 3] = 2.0**power * 7
        parts(student.mx_quantize_no_clip(x), reference.mx_quantize_no_clip(x), exactly, exactly)

    def test_a_block_of_zeros(self, student, reference, generator):
        """A block of zeros has elements 0, and any exponent."""
        x = mx_input("e2m1", (2, 96), generator)
        x[0, 32:64] = 0
        want = reference.mx_quantize_no_clip(x)
        got = with_free(student.mx_quantize_no_clip(x), want, 0, zero_blocks(x, 32), exponent_byte)
        parts(got, want, exactly, exactly)

    @pytest.mark.parametrize("shape", [(32,), (1, 32), (2, 1, 3, 64)], ids=name)
    def test_any_shape(self, student, reference, generator, shape):
        """Blocks run along the last axis of any shape."""
        x = mx_input("e2m1", shape, generator)
        parts(student.mx_quantize_no_clip(x), reference.mx_quantize_no_clip(x), exactly, exactly)

    @LAYOUTS
    def test_any_strides(self, student, reference, generator, layout):
        """The strides of the tensor do not matter."""
        x = layout(mx_input("e2m1", (3, 64), generator))
        parts(student.mx_quantize_no_clip(x), reference.mx_quantize_no_clip(x), exactly, exactly)

    @pytest.mark.parametrize("shape", [(31,), (16,), (2, 48)], ids=name)
    def test_refuses_other_lengths(self, student, shape):
        """A last axis that is no multiple of 32 is a ValueError."""
        with raises(ValueError):
            student.mx_quantize_no_clip(torch.ones(shape))


def errors_of(block: Tensor, measure: Callable[[Tensor], Tensor]) -> list[float]:
    """The errors of a block with its amax, 6, on 4 and on 6."""
    return [float(measure((block - to_e2m1(block * end / 6) * 6 / end).double())) for end in (4, 6)]


def by_squares(error: Tensor) -> Tensor:
    return error.square().sum()


def by_magnitudes(error: Tensor) -> Tensor:
    return error.abs().sum()


def by_the_largest(error: Tensor) -> Tensor:
    return error.abs().max()


def steady_block(count: int, generator: Generator) -> Tensor:
    """A block with the amax 6, away from ties under both scales; half of its values near those that 4 or 6 hits."""
    levels = E2M1[torch.randint(8, (count,), generator=generator)] * (1.0 if integer(0, 2, generator) else 1.5)
    block = torch.where(levels <= 6, levels, 1.5) * (1 + uniform((count,), -0.05, 0.05, generator))
    loose = torch.rand(count, generator=generator) < 0.4
    block = torch.where(loose, uniform((count,), 0.0, 6.0, generator), block).clamp(max=5.9) * signs(
        (count,), generator
    )
    block[0] = 6.0
    for end in (4, 6, 4, 6):
        block = settled(block, tensor(6 / end), to_e2m1)
    return block


def four_or_six(count: int, four: bool, generator: Generator) -> Tensor:
    """A block that is better with its amax on 4 (or on 6) by more than 2 %."""
    block = steady_block(count, generator)
    on_four, on_six = errors_of(block, by_squares)
    if 1.02 * (on_four if four else on_six) >= (on_six if four else on_four):
        return four_or_six(count, four, generator)
    return shuffled(block, generator) * uniform((), 0.3, 3.0, generator)


def nearly_equal(four: bool, generator: Generator) -> Tensor:
    """A block that is better with its amax on 4 (or on 6), by more than 2 % and less than 12 %."""
    while True:
        block = steady_block(16, generator)
        on_four, on_six = errors_of(block, by_squares)
        better, worse = (on_four, on_six) if four else (on_six, on_four)
        if 1.02 * better < worse < 1.12 * better:
            return block


def told_apart(other: Callable[[Tensor], Tensor], generator: Generator) -> Tensor:
    """A block for which the sum of squares and another measure choose differently, both by more than 3 %."""
    while True:
        block = steady_block(16, generator)
        (four, six), (other_four, other_six) = errors_of(block, by_squares), errors_of(block, other)
        if (1.03 * four < six and 1.03 * other_six < other_four) or (
            1.03 * six < four and 1.03 * other_four < other_six
        ):
            return block


class TestFourOverSix:
    @main
    @pytest.mark.parametrize("count", [16, 7, 5], ids=str)
    @pytest.mark.parametrize("four", [True, False], ids=["four", "six"])
    def test_smaller_error(self, student, reference, generator, four, count):
        """amax lies on 4 or on 6, whichever gives the smaller sum of squared errors."""
        block = four_or_six(count, four, generator)
        parts(student.four_over_six(block), reference.four_over_six(block), exactly, CLOSE)

    @pytest.mark.parametrize("four", [True, False], ids=["four", "six"])
    def test_a_little_better(self, student, reference, generator, four):
        """A little better is better."""
        block = nearly_equal(four, generator)
        parts(student.four_over_six(block), reference.four_over_six(block), exactly, CLOSE)

    @pytest.mark.parametrize("other", [by_magnitudes, by_the_largest], ids=lambda measure: measure.__name__)
    def test_sum_of_squares(self, student, reference, generator, other):
        """The sum of squares decides, where another measure of the error would choose otherwise."""
        block = told_apart(other, generator)
        parts(student.four_over_six(block), reference.four_over_six(block), exactly, CLOSE)

    def test_beside_a_tie(self, student):
        """A little beside a tie the nearest element is taken: nothing is rounded twice."""
        beside = tensor([6.0, 2.5 * (1 + 2.0**-13), -0.75 * (1 - 2.0**-13), 4.0, -4.0, 4.0])
        parts(student.four_over_six(beside), (tensor([6.0, 3.0, -0.5, 4.0, -4.0, 4.0]), 1.0), exactly, CLOSE)

    @pytest.mark.parametrize("power", [-20, -1, 0, 9], ids=str)
    def test_exact(self, student, power):
        """Where the steps of 4 fit, they are taken, and nothing is lost."""
        block = tensor([10.0, -20.0, 30.0, -40.0]) * 2.0**power
        parts(student.four_over_six(block), (tensor([1.0, -2.0, 3.0, -4.0]), 10.0 * 2.0**power), exactly, CLOSE)

    @pytest.mark.parametrize(
        ("values", "want"),
        [([6.0, 0.0], [6.0, 0.0]), ([-12.0], [-6.0]), ([0.0, 3.0, -3.0], [0.0, 6.0, -6.0])],
        ids=["with a zero", "one value", "two signs"],
    )
    def test_equal_errors(self, student, values, want):
        """Where both are equal, amax lies on 6."""
        scale = max(map(abs, values)) / 6
        parts(student.four_over_six(tensor(values)), (tensor(want), scale), exactly, CLOSE)

    @pytest.mark.parametrize("count", [1, 5, 16], ids=str)
    def test_zeros(self, student, count):
        """Zeros have the scale 1.0."""
        parts(student.four_over_six(torch.zeros(count)), (torch.zeros(count), 1.0), exactly, exactly)

    @pytest.mark.parametrize("power", [-40, 50, 120], ids=str)
    def test_small_and_large(self, student, reference, power):
        """The choice does not depend on how small or large the block is."""
        # One error is exactly 0 and the other is not, in float32 too: its square may overflow, and does not underflow.
        block = tensor([10.0, -20.0, 30.0, -40.0]) * 2.0**power / 32
        parts(student.four_over_six(block), reference.four_over_six(block), exactly, CLOSE)

    def test_any_strides(self, student, reference, generator):
        """The strides of the block do not matter."""
        block = every_other(four_or_six(9, True, generator))
        parts(student.four_over_six(block), reference.four_over_six(block), exactly, CLOSE)


def scales_input(blocks: int, size: int, generator: Generator) -> Tensor:
    """Multiples of 2**-12 below 4 with the mean 2: every sum of them is exact, and no quotient is near a tie."""
    rests = torch.randint(-2000, 2001, (blocks, size), generator=generator)
    rests = rests // torch.randint(1, 9, (blocks, 1), generator=generator)
    rests -= torch.div(rests.sum(), rests.numel(), rounding_mode="floor")
    rests.view(-1)[: int(rests.sum())] -= 1
    x = 2 + rests.float() / 4096
    quotient = (x - 2) / ((x - 2).abs().amax(1, keepdim=True) / 127)
    unsteady = ((quotient - quotient.floor() - 0.5).abs() < 2e-3).any() or quotient.isnan().any()
    return scales_input(blocks, size, generator) if unsteady else x.flatten()


class TestDoubleQuantize:
    @main
    @pytest.mark.parametrize(("blocks", "size"), [(3, 16), (2, 64), (5, 1)], ids=name)
    def test_mean_and_scales(self, student, reference, generator, blocks, size):
        """The mean of all is subtracted, then each block has int8 codes with one scale."""
        absmax = scales_input(blocks, size, generator)
        want = reference.double_quantize(absmax, size)
        parts(student.double_quantize(absmax, size), want, exactly, CLOSE, CLOSE)

    def test_256_unless_asked(self, student, reference, generator):
        """Without a block size a block has 256 values."""
        absmax = torch.cat([2 + tensor([1.0, -1.0]).repeat(128), 2 + tensor([0.5, 0.25, -0.5, -0.25]).repeat(64)])
        parts(student.double_quantize(absmax), reference.double_quantize(absmax), exactly, CLOSE, CLOSE)

    def test_one_block(self, student, reference, generator):
        """A block may be the whole vector, and its values may be zero."""
        absmax = tensor([0.0, 8.0, 4.0, 4.0, 3.0, 5.0, 0.0, 8.0])
        parts(student.double_quantize(absmax, 8), reference.double_quantize(absmax, 8), exactly, CLOSE, CLOSE)

    @pytest.mark.parametrize("value", [0.0, 0.5, 3.0], ids=str)
    def test_nothing_left(self, student, reference, value):
        """Where all values are equal, nothing is left: codes are 0, scales are free."""
        absmax = torch.full((8,), value)
        want = reference.double_quantize(absmax, 4)
        got = with_free(student.double_quantize(absmax, 4), want, 1, tensor([True, True]), finite_scale)
        parts(got, want, exactly, CLOSE, CLOSE)

    def test_nothing_left_in_one_block(self, student, reference):
        """A block whose values are all the mean has codes 0; the others have their own scale."""
        absmax = tensor([2.0, 2.0, 2.0, 2.0, 1.0, 3.0, 1.5, 2.5])
        want = reference.double_quantize(absmax, 4)
        got = with_free(student.double_quantize(absmax, 4), want, 1, tensor([True, False]), finite_scale)
        parts(got, want, exactly, CLOSE, CLOSE)

    @pytest.mark.parametrize("power", [-98, 60, 120], ids=str)
    def test_small_and_large(self, student, reference, power):
        """Small and large values."""
        absmax = tensor([0.0, 8.0, 4.0, 4.0, 3.0, 5.0, 0.0, 8.0]) * 2.0**power
        parts(student.double_quantize(absmax, 4), reference.double_quantize(absmax, 4), exactly, CLOSE, CLOSE)

    def test_any_strides(self, student, reference, generator):
        """The strides of the vector do not matter."""
        absmax = every_other(scales_input(2, 8, generator))
        parts(student.double_quantize(absmax, 8), reference.double_quantize(absmax, 8), exactly, CLOSE, CLOSE)

    @pytest.mark.parametrize("block_size", [0, -1, -4, 5, 24], ids=str)
    def test_refuses_other_block_sizes(self, student, block_size):
        """A block size that does not divide the length, or is below 1, is a ValueError."""
        with raises(ValueError):
            student.double_quantize(torch.ones(12), block_size)


def half_away(x: Tensor) -> Tensor:
    return (x.abs() + 0.5).floor() * x.sign()


def q8_input(blocks: int, generator: Generator) -> Tensor:
    """Blocks of unequal amax, away from ties of the codes, and of the scale in float16."""
    x = torch.randn(blocks, 32, generator=generator) * 10.0 ** uniform((blocks, 1), -3.0, 3.0, generator)
    amax = (
        (x.abs().amax(1, keepdim=True) / 127).half().float() * 127 * (1 + uniform((blocks, 1), -1e-4, 1e-4, generator))
    )
    x = torch.where(x.abs() < 0.99 * amax, x, 0.5 * amax)
    x[:, 4:5] = amax * signs((blocks, 1), generator)
    return settled(x, amax / 127, half_away)


class TestPackQ80:
    exercise = "pack_q8_0"

    @main
    @pytest.mark.parametrize("blocks", [1, 5], ids=str)
    def test_scale_and_codes(self, student, reference, generator, blocks):
        """Per 32 values: amax / 127 as float16, low byte first, then 32 int8 codes."""
        row = q8_input(blocks, generator).flatten()
        same(student.pack_q8_0(row), reference.pack_q8_0(row), exactly)

    def test_a_slice_of_a_larger_storage(self, student, reference, generator):
        """The row's own values count, not the storage that it lies in."""
        row = recipe(tensors.inside, q8_input(1, generator).flatten())
        same(student.pack_q8_0(row), reference.pack_q8_0(row), exactly)

    @pytest.mark.parametrize("power", [-20, -3, 0, 8], ids=str)
    def test_ties_go_away_from_zero(self, student, reference, generator, power):
        """Half a step is rounded away from zero: 0.5 to 1, 2.5 to 3, -2.5 to -3."""
        halves = torch.randint(-126, 127, (64,), generator=generator) + 0.5
        halves[::32] = 127.0
        row = halves * 2.0**power
        same(student.pack_q8_0(row), reference.pack_q8_0(row), exactly)

    def test_codes_before_the_scale_is_rounded(self, student, reference, generator):
        """Codes are made with the scale as it was before it became float16."""
        scale = 1 + 2.0**-12  # float16 makes it 1, and 119.5 steps of it 119.53
        codes = tensor([119.49, -119.49, 118.51, 63.0]).repeat(8)
        codes[5] = -127.0
        row = codes * scale
        same(student.pack_q8_0(row), reference.pack_q8_0(row), exactly)

    @pytest.mark.parametrize("size", [2.0**-100, 1e-8, 2e-4], ids=["0 in float16", "0 too", "subnormal"])
    def test_small(self, student, reference, size):
        """A scale that float16 makes 0, or subnormal, leaves the codes as they are."""
        row = tensor([1.0, -0.52, 0.3, 0.01] * 8) * size
        same(student.pack_q8_0(row), reference.pack_q8_0(row), exactly)

    def test_large(self, student, reference):
        """amax of almost 8e6 still has a float16 scale."""
        row = tensor([7.9e6, -4e6, 1e5, -7.9e6] * 8)
        same(student.pack_q8_0(row), reference.pack_q8_0(row), exactly)

    def test_zeros(self, student, reference, generator):
        """A block of zeros is 34 zero bytes, alone and among others."""
        row = torch.cat([torch.zeros(32), q8_input(1, generator).flatten(), torch.zeros(32)])
        same(student.pack_q8_0(row), reference.pack_q8_0(row), exactly)
        same(student.pack_q8_0(torch.zeros(64)), torch.zeros(2, 34, dtype=uint8), exactly)

    @pytest.mark.parametrize("length", [1, 16, 31, 48], ids=str)
    def test_refuses_other_lengths(self, student, length):
        """A length that is no multiple of 32 is a ValueError."""
        with raises(ValueError):
            student.pack_q8_0(torch.ones(length))


def q4_k_blocks(count: int, generator: Generator) -> Tensor:
    """Random blocks; bit 14 of d and dmin is cleared, so that both are finite."""
    blocks = torch.randint(256, (count, 144), generator=generator, dtype=uint8)
    blocks[:, [1, 3]] &= 0xBF
    return blocks


class TestUnpackQ4K:
    exercise = "unpack_q4_k"

    @main
    @pytest.mark.parametrize("count", [1, 4], ids=str)
    def test_reads_the_layout(self, student, reference, generator, count):
        """d, dmin, eight scales and minimums of six bits, and four runs of codes."""
        blocks = q4_k_blocks(count, generator)
        same(student.unpack_q4_k(blocks), reference.unpack_q4_k(blocks), exactly)

    @pytest.mark.parametrize("place", range(12))
    def test_every_byte_of_the_scales(self, student, reference, generator, place):
        """Each of the twelve bytes holds parts of a scale and of a minimum."""
        blocks = torch.zeros(2, 144, dtype=uint8)
        blocks[:, :4] = tensor([0x00, 0x3C, 0x00, 0x38], dtype=uint8)  # d 1, dmin 1/2
        blocks[:, 4 + place] = tensor([0xFF, 0x5A], dtype=uint8)
        blocks[:, 16:] = torch.randint(256, (128,), generator=generator, dtype=uint8)
        same(student.unpack_q4_k(blocks), reference.unpack_q4_k(blocks), exactly)

    def test_order_of_the_codes(self, student, reference, generator):
        """A run of 32 bytes holds one sub-block in its low and the next in its high halves."""
        blocks = torch.zeros(1, 144, dtype=uint8)
        blocks[0, 1] = 0x3C
        blocks[0, 4:16] = 1
        blocks[0, 16:] = torch.randperm(256, generator=generator)[:128].to(uint8)
        same(student.unpack_q4_k(blocks), reference.unpack_q4_k(blocks), exactly)

    @pytest.mark.parametrize(
        ("d", "dmin"),
        [(0xFBFF, 0x7BFF), (0x0001, 0x8001), (0x0000, 0x3C00), (0x3C00, 0x0000)],
        ids=["largest, negative", "subnormal", "d is 0", "dmin is 0"],
    )
    def test_any_scale(self, student, reference, generator, d, dmin):
        """d and dmin may be negative, subnormal, zero or large."""
        blocks = q4_k_blocks(2, generator)
        blocks[:, :4] = tensor([d & 255, d >> 8, dmin & 255, dmin >> 8], dtype=uint8)
        same(student.unpack_q4_k(blocks), reference.unpack_q4_k(blocks), exactly)


def ternary_input(shape: tuple[int, ...], generator: Generator) -> Tensor:
    """Multiples of 2**-10 below 4, so that their sum is exact, and no quotient within 1e-3 of a half."""
    x = torch.randint(-4095, 4096, shape, generator=generator).float() / 1024
    x = x * (torch.rand(shape, generator=generator) < 0.7)
    for _ in range(9):
        quotient = (x.double() / (x.double().abs().mean() + 1e-5)).abs()
        x = torch.where((quotient - 0.5).abs() < 2e-3, x * 2, x)
    return x


class TestTernaryQuantize:
    @main
    @pytest.mark.parametrize("shape", [(8, 16), (77,)], ids=name)
    def test_mean_magnitude(self, student, reference, generator, shape):
        """gamma is the mean magnitude; codes are the weight over gamma, rounded and clamped."""
        weight = ternary_input(shape, generator)
        parts(student.ternary_quantize(weight), reference.ternary_quantize(weight), exactly, CLOSE)

    def test_paper_example(self, student):
        """[1, -2, 0.4, 0, 0.9] has gamma 0.86 and the codes 1, -1, 0, 0, 1."""
        got = student.ternary_quantize(tensor([1.0, -2.0, 0.4, 0.0, 0.9]))
        parts(got, (tensor([1, -1, 0, 0, 1], dtype=int8), 0.86), exactly, CLOSE)

    def test_clamps(self, student, reference):
        """What is far beyond gamma is still 1 or -1; one gamma serves all rows."""
        weight = tensor([[1000.0, -0.5, 3.0], [-700.0, 2.0, 0.0], [0.0, 1.0, 0.25]])
        parts(student.ternary_quantize(weight), reference.ternary_quantize(weight), exactly, CLOSE)

    @pytest.mark.parametrize("shape", [(1,), (3, 2)], ids=name)
    def test_zeros(self, student, shape):
        """Zeros have codes 0 and gamma 0.0."""
        parts(student.ternary_quantize(torch.zeros(shape)), (torch.zeros(shape, dtype=int8), 0.0), exactly, exactly)

    @pytest.mark.parametrize("size", [1e-5, 2e-6, 2.0**-100], ids=["1e-5", "2e-6", "very small"])
    def test_small(self, student, reference, size):
        """1e-5 is added to gamma for the codes, and is not part of the gamma that is returned."""
        weight = tensor([1.0, -2.0, 0.5, 3.0, 0.0, -0.75]) * size
        parts(student.ternary_quantize(weight), reference.ternary_quantize(weight), exactly, CLOSE)

    def test_small_beside_the_added(self, student, reference):
        """Of the size of 1e-5, codes tell how much was added to gamma."""
        weight = tensor([1.2, -3.0, 0.9, 0.0, 1.4]) * 1e-5
        parts(student.ternary_quantize(weight), reference.ternary_quantize(weight), exactly, CLOSE)

    @pytest.mark.parametrize("power", [20, 120], ids=str)
    def test_large(self, student, reference, power):
        """Large weights; their mean is finite, and so is the sum of a few."""
        weight = tensor([1.0, -2.0, 0.25, 3.0, 0.0, -0.75]) * 2.0**power
        parts(student.ternary_quantize(weight), reference.ternary_quantize(weight), exactly, CLOSE)

    @pytest.mark.parametrize("shape", [(1,), (2, 3, 5)], ids=name)
    def test_any_shape(self, student, reference, generator, shape):
        """Codes have the weight's shape."""
        weight = ternary_input(shape, generator)
        parts(student.ternary_quantize(weight), reference.ternary_quantize(weight), exactly, CLOSE)

    @pytest.mark.parametrize("layout", [transposed, every_other], ids=lambda make: make.__name__)
    def test_any_strides(self, student, reference, generator, layout):
        """The strides of the weight do not matter."""
        weight = layout(ternary_input((4, 6), generator))
        parts(student.ternary_quantize(weight), reference.ternary_quantize(weight), exactly, CLOSE)


def draws(shape: tuple[int, ...], generator: Generator) -> Tensor:
    return torch.randint(65536, shape, generator=generator, dtype=int32)


class TestStochasticRound:
    @main
    @pytest.mark.parametrize("shape", [(200,), (6, 8)], ids=name)
    def test_exact_for_given_draws(self, student, reference, generator, shape):
        """The draw is added to the bits, and the lower 16 are dropped."""
        x = torch.randn(shape, generator=generator) * 10.0 ** uniform(shape, -20.0, 20.0, generator)
        random = draws(shape, generator)
        same(student.stochastic_round(x, random), reference.stochastic_round(x, random), exactly)

    @pytest.mark.parametrize("value", [1.001953125, -3.1415927, 1e-40], ids=["positive", "negative", "subnormal"])
    def test_mean_over_all_draws(self, student, reference, value):
        """Over all draws the mean is the value itself: each of them is added exactly."""
        x, random = torch.full((65536,), value), torch.arange(65536, dtype=int32)
        same(student.stochastic_round(x, random), reference.stochastic_round(x, random), exactly)

    def test_bfloat16_numbers_stay(self, student, generator):
        """A number of bfloat16 stays itself, whatever the draw."""
        x = torch.randn(100, generator=generator).bfloat16()
        x[:3] = tensor([0.0, 2.0**-133, -3.3895314e38])
        random = draws((100,), generator)
        random[:50] = 65535
        same(student.stochastic_round(x.float(), random), x, exactly)

    def test_nothing_is_rounded_after(self, student, generator):
        """What is left after the addition is dropped, never rounded again."""
        x = tensor([1.0, -1.0, 3.0, 0.1]).repeat(8) * (1 + 2.0**-8 + 2.0**-12)
        random = torch.zeros(32, dtype=int32)
        want = (x.view(int32) & ~0xFFFF).view(torch.float32).bfloat16()
        same(student.stochastic_round(x, random), want, exactly)

    @pytest.mark.parametrize(
        ("draw", "want"), [(65535, INF), (2, INF), (1, INF), (0, 3.3895314e38)], ids=["all", "two", "one", "nothing"]
    )
    def test_past_the_largest(self, student, draw, want):
        """Past the largest number the carry gives an infinity."""
        x, random = tensor([3.4028235e38, -3.4028235e38]), torch.full((2,), draw, dtype=int32)
        same(student.stochastic_round(x, random), tensor([want, -want]).bfloat16(), exactly)

    @pytest.mark.parametrize("shape", [(), (1,), (2, 1, 3)], ids=name)
    def test_any_shape(self, student, reference, generator, shape):
        """Any shape stays what it is, 0-dim too."""
        x, random = torch.randn(shape, generator=generator), draws(shape, generator)
        same(student.stochastic_round(x, random), reference.stochastic_round(x, random), exactly)

    @LAYOUTS
    def test_any_strides(self, student, reference, generator, layout):
        """The strides of the tensor do not matter."""
        x, random = layout(torch.randn(4, 6, generator=generator)), draws((4, 6), generator)
        same(student.stochastic_round(x, random), reference.stochastic_round(x, random), exactly)
