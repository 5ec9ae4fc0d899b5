"""Recognised mistakes of lesson 6: wrong implementations, each with the sentence that names the misconception."""

import math
import statistics

import torch
from torch import Tensor

from graders.judge.contract import slip
from solutions.l6_number_formats import (
    E2M1,
    decode_e2m1,
    mx_quantize,
    nf4_codebook,
    round_to_e2m1,
)

e4m3 = torch.float8_e4m3fn


def _positive(scale: Tensor) -> Tensor:
    return torch.where(scale > 0, scale, 1.0)


def _amax(tensor: Tensor) -> Tensor:
    return tensor.abs().max()


# Eight bits with an exponent


@slip(
    "float8_quantize",
    "cast alone ends where float8 ends: divide by a scale first, so that amax becomes the largest number",
)
def no_scale(tensor, dtype=e4m3):
    return tensor.to(dtype), torch.ones(())


@slip("float8_quantize", "127 is the largest code of int8; float8_e4m3fn ends at 448 and float8_e5m2 at 57344")
def scale_of_int8(tensor, dtype=e4m3):
    scale = _positive(_amax(tensor) / 127)
    return (tensor / scale).to(dtype), scale


@slip(
    "float8_quantize",
    "240 is the end of another e4m3, with infinities or a second zero fewer; float8_e4m3fn ends at 448",
)
def end_of_another_e4m3(tensor, dtype=e4m3):
    scale = _positive(_amax(tensor) / (240.0 if dtype == e4m3 else 57344.0))
    return (tensor / scale).to(dtype), scale


@slip("float8_quantize", "the scale is what one multiplies by to get back, amax / 448; you returned its inverse")
def factor_instead_of_scale(tensor, dtype=e4m3):
    scale = _positive(_amax(tensor) / torch.finfo(dtype).max)
    return (tensor / scale).to(dtype), 1 / scale


@slip("float8_quantize", "the two dtypes end at different numbers, 448 and 57344: ask torch.finfo(dtype).max")
def always_448(tensor, dtype=e4m3):
    scale = _positive(_amax(tensor) / 448)
    return (tensor / scale).to(dtype), scale


@slip("float8_quantize", "the largest magnitude counts, also where it is negative")
def largest_value(tensor, dtype=e4m3):
    scale = _positive(tensor.max() / torch.finfo(dtype).max)
    return (tensor / scale).to(dtype), scale


@slip("float8_quantize", "zeros have the scale 1.0; 0 / 0 is nan")
def zeros_divided(tensor, dtype=e4m3):
    scale = _amax(tensor) / torch.finfo(dtype).max
    return (tensor / scale).to(dtype), scale


@slip("float8_quantize", "only zeros need a scale of their own: a floor under the scale is wrong for small values")
def floor_under_the_scale(tensor, dtype=e4m3):
    amax = _amax(tensor)
    scale = torch.where(amax > 0, amax.clamp(min=1e-12) / torch.finfo(dtype).max, 1.0)
    return (tensor / scale).to(dtype), scale


@slip("float8_quantize", "the values are to be in the float8 dtype itself, not cast back up")
def values_cast_back(tensor, dtype=e4m3):
    scale = _positive(_amax(tensor) / torch.finfo(dtype).max)
    return (tensor / scale).to(dtype).float(), scale


@slip("float8_quantize", "the scale is a 0-dim float32 tensor, no Python float")
def scale_as_a_number(tensor, dtype=e4m3):
    scale = _positive(_amax(tensor) / torch.finfo(dtype).max)
    return (tensor / scale).to(dtype), scale.item()


def _tiles(tensor: Tensor, rows: int, columns: int) -> Tensor:
    if rows < 1 or columns < 1 or tensor.shape[0] % rows or tensor.shape[1] % columns:
        raise ValueError("the tiles do not divide the matrix")
    return tensor.unflatten(0, (-1, rows)).unflatten(2, (-1, columns))


def _tile_scales(tiles: Tensor, floor: float = 1e-4, end: float = 448.0) -> Tensor:
    return tiles.abs().amax((1, 3)).clamp(min=floor) / end


def _by_tiles(tensor: Tensor, tiles: Tensor, scales: Tensor) -> Tensor:
    return (tiles / scales[:, None, :, None]).to(e4m3).reshape(tensor.shape)


def _next_power(scales: Tensor) -> Tensor:
    return (2.0 ** torch.ceil(torch.log2(scales.double()))).float()


@slip("tile_quantize", "a tile is (rows, columns); you took it as (columns, rows)")
def tile_turned(tensor, tile, power_of_two=False):
    tiles = _tiles(tensor, tile[1], tile[0])
    scales = _tile_scales(tiles)
    scales = _next_power(scales) if power_of_two else scales
    return _by_tiles(tensor, tiles, scales), scales


@slip("tile_quantize", "a tile is a rectangle of the matrix; you took values that follow one another in memory")
def tiles_flattened(tensor, tile, power_of_two=False):
    _tiles(tensor, *tile)
    count = (tensor.shape[0] // tile[0], tensor.shape[1] // tile[1])
    runs = tensor.reshape(count[0] * count[1], -1)
    scales = runs.abs().amax(1, keepdim=True).clamp(min=1e-4) / 448
    scales = _next_power(scales) if power_of_two else scales
    return (runs / scales).to(e4m3).reshape(tensor.shape), scales.reshape(count)


@slip(
    "tile_quantize",
    "log2 in float32 rounds: just above a power of two it gives a whole number, and the scale stays too small",
)
def logarithm_in_float32(tensor, tile, power_of_two=False):
    tiles = _tiles(tensor, *tile)
    scales = _tile_scales(tiles)
    scales = 2.0 ** scales.log2().ceil() if power_of_two else scales
    return _by_tiles(tensor, tiles, scales), scales


@slip("tile_quantize", "the values are made with the scale that is returned, the power of two")
def values_by_the_other_scale(tensor, tile, power_of_two=False):
    tiles = _tiles(tensor, *tile)
    scales = _tile_scales(tiles)
    return _by_tiles(tensor, tiles, scales), _next_power(scales) if power_of_two else scales


@slip("tile_quantize", "the scale goes up to the next power of two, so that nothing lies beyond 448; not down")
def power_of_two_below(tensor, tile, power_of_two=False):
    tiles = _tiles(tensor, *tile)
    scales = _tile_scales(tiles)
    scales = (2.0 ** torch.floor(torch.log2(scales.double()))).float() if power_of_two else scales
    return _by_tiles(tensor, tiles, scales), scales


@slip(
    "tile_quantize", "the scale goes up to the next power of two, so that nothing lies beyond 448; not to the nearest"
)
def power_of_two_nearest(tensor, tile, power_of_two=False):
    tiles = _tiles(tensor, *tile)
    scales = _tile_scales(tiles)
    scales = (2.0 ** torch.round(torch.log2(scales.double()))).float() if power_of_two else scales
    return _by_tiles(tensor, tiles, scales), scales


@slip("tile_quantize", "a scale that is a power of two already stays; you went one further")
def one_power_too_far(tensor, tile, power_of_two=False):
    tiles = _tiles(tensor, *tile)
    scales = _tile_scales(tiles)
    scales = torch.ldexp(torch.ones_like(scales), torch.frexp(scales).exponent) if power_of_two else scales
    return _by_tiles(tensor, tiles, scales), scales


@slip(
    "tile_quantize",
    "amax is raised to at least 1e-4 before it is divided; without that a tile of zeros divides by zero",
)
def no_floor(tensor, tile, power_of_two=False):
    tiles = _tiles(tensor, *tile)
    scales = _tile_scales(tiles, floor=0.0)
    scales = _next_power(scales) if power_of_two else scales
    return _by_tiles(tensor, tiles, scales), scales


@slip("tile_quantize", "1e-4 is the floor of amax, and it is divided by 448 too; you put the floor under the scale")
def floor_under_the_tile_scale(tensor, tile, power_of_two=False):
    tiles = _tiles(tensor, *tile)
    scales = _tile_scales(tiles, floor=0.0).clamp(min=1e-4)
    scales = _next_power(scales) if power_of_two else scales
    return _by_tiles(tensor, tiles, scales), scales


@slip("tile_quantize", "each tile has a scale of its own; you took one for the whole matrix")
def one_scale_for_all_tiles(tensor, tile, power_of_two=False):
    tiles = _tiles(tensor, *tile)
    scales = _tile_scales(tiles)
    scales = scales.max().expand_as(scales)
    scales = _next_power(scales) if power_of_two else scales
    return _by_tiles(tensor, tiles, scales), scales


# Four bits with an exponent


def _no_nan(tensor: Tensor) -> None:
    if tensor.isnan().any():
        raise ValueError("nan is none of the numbers of E2M1")


def _nearest(tensor: Tensor, order: list[int]) -> Tensor:
    """Round to E2M1; of two at one distance the one that stands first in `order`."""
    _no_nan(tensor)
    levels = torch.tensor(E2M1)[order]
    distance = (tensor.abs().clamp(max=6.0).unsqueeze(-1) - levels).abs()
    return levels[distance.argmin(-1)] * tensor.sign()


@slip("round_to_e2m1", "at a tie the even mantissa wins; you took the smaller magnitude, as GGUF's tools do")
def ties_to_the_smaller(tensor):
    return _nearest(tensor, [0, 1, 2, 3, 4, 5, 6, 7])


@slip("round_to_e2m1", "at a tie the even mantissa wins; you took the larger magnitude")
def ties_to_the_larger(tensor):
    return _nearest(tensor, [7, 6, 5, 4, 3, 2, 1, 0])


@slip("round_to_e2m1", "the nearest number is asked for; you cut off what lies above the lower neighbour")
def cut_off(tensor):
    _no_nan(tensor)
    levels = torch.tensor(E2M1)
    place = torch.searchsorted(levels, tensor.abs().contiguous(), right=True) - 1
    return levels[place] * tensor.sign()


@slip("round_to_e2m1", "the *mantissa* decides at a tie, not the value: between 4 and 6, both even, 5 goes to 4")
def ties_at_five_up(tensor):
    right = round_to_e2m1(tensor)
    return torch.where(tensor.abs() == 5, 6 * tensor.sign(), right)


@slip("round_to_e2m1", "the *mantissa* decides at a tie, not the value: 0.75 goes to 1 and 0.25 to 0")
def ties_below_one_down(tensor):
    right = round_to_e2m1(tensor)
    return torch.where(tensor.abs() == 0.75, 0.5 * tensor.sign(), right)


@slip("round_to_e2m1", "what is beyond 6 becomes 6; this grid has no infinities")
def infinity_stays(tensor):
    right = round_to_e2m1(tensor)
    return torch.where(tensor.isinf(), tensor, right)


@slip("round_to_e2m1", "0.5 and 1.5 are numbers of E2M1 too: below 2 the step is a half")
def whole_numbers_only(tensor):
    _no_nan(tensor)
    return torch.where(tensor.abs() < 3.5, tensor.round(), round_to_e2m1(tensor))


@slip("round_to_e2m1", "between 4 and 6 lies no other number: the step there is 2, so 5 is none of E2M1")
def five_is_a_number(tensor):
    _no_nan(tensor)
    magnitude = tensor.abs().clamp(max=6.0)
    step = torch.where(magnitude < 2, 0.5, 1.0)
    return (magnitude / step).round() * step * tensor.sign()


@slip("round_to_e2m1", "the sign was lost: round the magnitude, and give it the sign back")
def sign_lost(tensor):
    return round_to_e2m1(tensor).abs()


@slip("round_to_e2m1", "nan is none of the numbers of E2M1: ValueError")
def nan_passes(tensor):
    magnitude = tensor.abs().clamp(max=6.0)
    step = torch.where(magnitude < 2, 0.5, torch.where(magnitude < 4, 1.0, 2.0))
    return (magnitude / step).round() * step * tensor.sign()


def _checked(codes: Tensor) -> None:
    if (codes > 15).any():
        raise ValueError("a code of E2M1 is at most 15")


@slip("decode_e2m1", "a code above 15 is a ValueError; an index that is too large raises IndexError")
def index_error(codes):
    return torch.tensor([*E2M1, *(-level for level in E2M1)])[codes.long()]


@slip(
    "decode_e2m1",
    "the fourth bit is a sign before a magnitude: 15 is -6. This was two's complement, in which it is the smallest",
)
def twos_complement(codes):
    _checked(codes)
    return torch.tensor([*E2M1, -6.0, *(-level for level in E2M1[:0:-1])])[codes.long()]


@slip("decode_e2m1", "codes count the magnitudes in order (0, 0.5, 1, 1.5, 2, 3, 4, 6); this is the code itself")
def code_is_the_value(codes):
    _checked(codes)
    return (codes & 7).float() * (1 - 2.0 * (codes >> 3))


@slip("decode_e2m1", "codes from 8 on are the negatives")
def no_negatives(codes):
    _checked(codes)
    return torch.tensor([*E2M1, *E2M1])[codes.long()]


@slip("decode_e2m1", "a code above 15 is a ValueError; you cut off its upper bits")
def upper_bits_cut_off(codes):
    return torch.tensor([*E2M1, *(-level for level in E2M1)])[(codes & 15).long()]


@slip("decode_e2m1", "the exponent 0 has no hidden 1: the code 1 is 0.5, and the code 0 is 0")
def no_subnormals(codes):
    _checked(codes)
    exponent, mantissa, sign = (codes >> 1 & 3).float(), (codes & 1).float(), 1 - 2.0 * (codes >> 3)
    return sign * (1 + mantissa / 2) * 2.0 ** (exponent - 1)


@slip("encode_e2m1", "the negatives are 8 more than their magnitude: a sign bit, no two's complement")
def encode_twos_complement(values):
    matches = values.abs().unsqueeze(-1) == torch.tensor(E2M1)
    if not matches.any(-1).all():
        raise ValueError
    place = matches.int().argmax(-1)
    return torch.where(values < 0, (16 - place) & 15, place).to(torch.uint8)


@slip("encode_e2m1", "a value that is none of the numbers is a ValueError; you rounded it")
def rounded_first(values):
    rounded = round_to_e2m1(values.nan_to_num(0.0))
    matches = rounded.abs().unsqueeze(-1) == torch.tensor(E2M1)
    return (matches.int().argmax(-1) + 8 * (rounded < 0)).to(torch.uint8)


@slip("encode_e2m1", "the sign was lost: negatives have 8 added to their code")
def encode_without_sign(values):
    matches = values.abs().unsqueeze(-1) == torch.tensor(E2M1)
    if not matches.any(-1).all():
        raise ValueError
    return matches.int().argmax(-1).to(torch.uint8)


@slip(
    "encode_e2m1",
    "a value that is none of the numbers is a ValueError, infinities and nan too, also where others are in order",
)
def unknown_is_zero(values):
    matches = values.abs().unsqueeze(-1) == torch.tensor(E2M1)
    return (matches.int().argmax(-1) + 8 * (values < 0)).to(torch.uint8)


@slip(
    "encode_e2m1",
    "a value that is none of the numbers is a ValueError, infinities and nan too, also where others are in order",
)
def one_right_is_enough(values):
    matches = values.abs().unsqueeze(-1) == torch.tensor(E2M1)
    if not matches.any():
        raise ValueError
    return (matches.int().argmax(-1) + 8 * (values < 0)).to(torch.uint8)


@slip("encode_e2m1", "codes are uint8; argmax and the like give int64")
def codes_of_64_bits(values):
    matches = values.abs().unsqueeze(-1) == torch.tensor(E2M1)
    if not matches.any(-1).all():
        raise ValueError
    return matches.int().argmax(-1) + 8 * (values < 0)


# A power of two for 32 values


def _clamped(exponent: int) -> int:
    return min(max(exponent, -127), 127)


@slip("shared_exponent", "log2 in float32 rounds up just below a power of two: use frexp, or float64")
def exponent_by_float32_logarithm(block, emax):
    amax = _amax(block)
    return _clamped(int(amax.log2().floor()) - emax) if amax > 0 else -127


@slip("shared_exponent", "frexp's mantissa is in [1/2, 1), so its exponent is one more than floor(log2(amax))")
def exponent_of_frexp(block, emax):
    amax = _amax(block).item()
    return _clamped(math.frexp(amax)[1] - emax) if amax else -127


@slip(
    "shared_exponent",
    "the exponent is floor(log2(amax)): the logarithm is rounded down, also where the block is then clipped",
)
def exponent_rounded_up(block, emax):
    amax = _amax(block).item()
    return _clamped(math.ceil(math.log2(amax)) - emax) if amax else -127


@slip(
    "shared_exponent",
    "the exponent is floor(log2(amax)): the logarithm is rounded down, also where the block is then clipped",
)
def exponent_rounded_to_nearest(block, emax):
    amax = _amax(block).item()
    return _clamped(round(math.log2(amax)) - emax) if amax else -127


@slip("shared_exponent", "emax is to be subtracted: the element's own exponent carries the rest")
def emax_forgotten(block, emax):
    amax = _amax(block).item()
    return _clamped(math.frexp(amax)[1] - 1) if amax else -127


@slip("shared_exponent", "the largest magnitude counts, also where it is negative")
def exponent_of_the_largest_value(block, emax):
    largest = block.max().item()
    return _clamped(math.frexp(largest)[1] - 1 - emax) if largest > 0 else -127


@slip("shared_exponent", "the exponent is clamped to -127..127: a byte holds no others")
def exponent_not_clamped(block, emax):
    amax = _amax(block).item()
    return math.frexp(amax)[1] - 1 - emax if amax else -127


@slip("shared_exponent", "the clamp comes last, after emax is subtracted")
def clamped_before_emax(block, emax):
    amax = _amax(block).item()
    return _clamped(math.frexp(amax)[1] - 1) - emax if amax else -127


@slip("shared_exponent", "127 is added when the exponent is stored; here the exponent itself is asked for")
def exponent_with_bias(block, emax):
    amax = _amax(block).item()
    return (_clamped(math.frexp(amax)[1] - 1 - emax) if amax else -127) + 127


_ENDS = {"e2m1": (2, 6.0), "e4m3": (8, 448.0), "e5m2": (15, 57344.0)}


def _mx_blocks(tensor: Tensor, element: str, size: int = 32) -> Tensor:
    if element not in _ENDS or tensor.shape[-1] % 32:
        raise ValueError("an element or a length that is none of MX")
    return tensor.unflatten(-1, (-1, size))


def _elements(scaled: Tensor, element: str) -> Tensor:
    if element == "e2m1":
        return round_to_e2m1(scaled)
    dtype = e4m3 if element == "e4m3" else torch.float8_e5m2
    return scaled.clamp(-_ENDS[element][1], _ENDS[element][1]).to(dtype).float()


def _mx(blocks: Tensor, exponents: Tensor, element: str) -> tuple[Tensor, Tensor]:
    exponents = exponents.int().clamp(-127, 127)
    scaled = (blocks.double() * 2.0 ** -exponents.double().unsqueeze(-1)).float()
    return (exponents + 127).to(torch.uint8), _elements(scaled, element).flatten(-2)


def _floor_log2(blocks: Tensor) -> Tensor:
    return torch.frexp(blocks.abs().amax(-1)).exponent - 1


@slip("mx_quantize", "the exponent is floor(log2(amax)) - emax; you rounded the logarithm up")
def mx_rounded_up(tensor, element="e2m1"):
    blocks = _mx_blocks(tensor, element)
    exponents = blocks.abs().amax(-1).double().log2().ceil().nan_to_num(neginf=-200) - _ENDS[element][0]
    return _mx(blocks, exponents, element)


@slip("mx_quantize", "the exponent is floor(log2(amax)) - emax; you rounded the logarithm to the nearest")
def mx_rounded_to_nearest(tensor, element="e2m1"):
    blocks = _mx_blocks(tensor, element)
    exponents = blocks.abs().amax(-1).double().log2().round().nan_to_num(neginf=-200) - _ENDS[element][0]
    return _mx(blocks, exponents, element)


@slip("mx_quantize", "log2 in float32 rounds up just below a power of two: use frexp, or float64")
def mx_by_float32_logarithm(tensor, element="e2m1"):
    blocks = _mx_blocks(tensor, element)
    exponents = blocks.abs().amax(-1).log2().floor().nan_to_num(neginf=-200) - _ENDS[element][0]
    return _mx(blocks, exponents, element)


@slip("mx_quantize", "emax is the exponent of the element's largest number: 2 for 6 = 1.5 * 2**2; yours is one off")
def emax_one_off(tensor, element="e2m1"):
    blocks = _mx_blocks(tensor, element)
    return _mx(blocks, _floor_log2(blocks) - _ENDS[element][0] + 1, element)


@slip("mx_quantize", "emax belongs to the element: 2 for e2m1, 8 for e4m3, 15 for e5m2")
def emax_of_e2m1(tensor, element="e2m1"):
    blocks = _mx_blocks(tensor, element)
    return _mx(blocks, _floor_log2(blocks) - 2, element)


@slip("mx_quantize", "an MX block has 32 values; 16 is NVFP4's")
def mx_blocks_of_16(tensor, element="e2m1"):
    blocks = _mx_blocks(tensor, element, 16)
    return _mx(blocks, _floor_log2(blocks) - _ENDS[element][0], element)


@slip(
    "mx_quantize",
    "exponents are stored with 127 added; yours is the exponent itself, in a byte that knows no negatives",
)
def exponents_without_bias(tensor, element="e2m1"):
    exponents, elements = mx_quantize(tensor, element)
    return exponents - 127, elements


@slip("mx_quantize", "the elements are what is left after the division; you multiplied them back")
def elements_multiplied_back(tensor, element="e2m1"):
    exponents, elements = mx_quantize(tensor, element)
    return exponents, torch.ldexp(elements.unflatten(-1, (-1, 32)), exponents.int().unsqueeze(-1) - 127).flatten(-2)


@slip("mx_quantize", "what is beyond the largest element stops there; the bare cast to float8_e5m2 goes to infinity")
def bare_cast(tensor, element="e2m1"):
    blocks = _mx_blocks(tensor, element)
    exponents = (_floor_log2(blocks) - _ENDS[element][0]).clamp(-127, 127)
    scaled = (blocks.double() * 2.0 ** -exponents.double().unsqueeze(-1)).float()
    dtype = e4m3 if element == "e4m3" else torch.float8_e5m2
    elements = round_to_e2m1(scaled) if element == "e2m1" else scaled.to(dtype).float()
    return (exponents + 127).to(torch.uint8), elements.flatten(-2)


@slip("mx_quantize", "one exponent for all rows: each block of 32 has its own")
def one_exponent_for_all(tensor, element="e2m1"):
    blocks = _mx_blocks(tensor, element)
    exponents = _floor_log2(blocks)
    return _mx(blocks, exponents.max().expand_as(exponents) - _ENDS[element][0], element)


@slip("mx_quantize", "a floor under amax changes small blocks: they go down to 2**-127, and only zeros need care")
def mx_floor_under_amax(tensor, element="e2m1"):
    blocks = _mx_blocks(tensor, element)
    exponents = torch.frexp(blocks.abs().amax(-1).clamp(min=1e-12)).exponent - 1 - _ENDS[element][0]
    return _mx(blocks, exponents, element)


@slip("mx_quantize", "at a tie the even mantissa wins; you took the smaller magnitude, as GGUF's tools do")
def mx_ties_to_the_smaller(tensor, element="e2m1"):
    blocks = _mx_blocks(tensor, element)
    exponents = (_floor_log2(blocks) - _ENDS[element][0]).clamp(-127, 127)
    scaled = (blocks.double() * 2.0 ** -exponents.double().unsqueeze(-1)).float()
    elements = ties_to_the_smaller(scaled) if element == "e2m1" else _elements(scaled, element)
    return (exponents + 127).to(torch.uint8), elements.flatten(-2)


def _no_clip_blocks(tensor: Tensor) -> Tensor:
    return _mx_blocks(tensor, "e2m1")


@slip("mx_quantize_no_clip", "this is MX's own exponent, at which an amax between 6 and 8 times 2**e clips")
def still_clips(tensor):
    return mx_quantize(tensor)


@slip(
    "mx_quantize_no_clip",
    "the largest element is 6, not 4: ceil(log2(amax / 6)), where ceil(log2(amax)) - 2 wastes half of it",
)
def as_if_it_ended_at_4(tensor):
    blocks = _no_clip_blocks(tensor)
    exponents = blocks.abs().amax(-1).double().log2().ceil().nan_to_num(neginf=-200) - 2
    return _mx(blocks, exponents, "e2m1")


@slip(
    "mx_quantize_no_clip", "log2 in float32 rounds: right above 6 * 2**e it gives a whole number, and the block clips"
)
def no_clip_by_float32_logarithm(tensor):
    blocks = _no_clip_blocks(tensor)
    exponents = (blocks.abs().amax(-1) / 6).log2().ceil().nan_to_num(neginf=-200)
    return _mx(blocks, exponents, "e2m1")


@slip(
    "mx_quantize_no_clip",
    "the smallest exponent at which nothing clips: at amax = 6 * 2**e exactly nothing does, e is enough",
)
def one_exponent_too_far(tensor):
    blocks = _no_clip_blocks(tensor)
    return _mx(blocks, torch.frexp(blocks.abs().amax(-1).double() / 6).exponent, "e2m1")


@slip(
    "mx_quantize_no_clip",
    "an amax of 6.5 times 2**e rounds to 6 and is clipped all the same: amax <= 6 * 2**e is asked for",
)
def what_rounds_to_6_stays(tensor):
    blocks = _no_clip_blocks(tensor)
    exponents = (blocks.abs().amax(-1).double() / 7).log2().ceil().nan_to_num(neginf=-200)
    return _mx(blocks, exponents, "e2m1")


@slip(
    "mx_quantize_no_clip", "a floor under amax changes small blocks: they go down to 2**-127, and only zeros need care"
)
def no_clip_floor_under_amax(tensor):
    blocks = _no_clip_blocks(tensor)
    exponents = (blocks.abs().amax(-1).double().clamp(min=1e-12) / 6).log2().ceil()
    return _mx(blocks, exponents, "e2m1")


@slip("mx_dequantize", "127 was subtracted in uint8, which has no negative numbers: 126 - 127 is 255 there")
def subtracted_in_uint8(exponents, elements):
    blocks = elements.unflatten(-1, (-1, 32))
    return (blocks.double() * 2.0 ** (exponents - 127).double().unsqueeze(-1)).float().flatten(-2)


@slip("mx_dequantize", "the exponents are stored with 127 added: take it off")
def bias_left_on(exponents, elements):
    blocks = elements.unflatten(-1, (-1, 32))
    return (blocks.double() * 2.0 ** exponents.double().unsqueeze(-1)).float().flatten(-2)


@slip("mx_dequantize", "2**e is a power: the exponent alone, as a factor, is too small")
def exponent_as_factor(exponents, elements):
    blocks = elements.unflatten(-1, (-1, 32))
    return (blocks * (exponents.float() - 127).unsqueeze(-1)).flatten(-2)


@slip("mx_dequantize", "each exponent serves 32 neighbours; yours were repeated in turn (e0 e1 e0 e1)")
def exponents_in_turn(exponents, elements):
    factors = 2.0 ** (exponents.double() - 127)
    return (elements.double() * torch.cat([factors] * 32, dim=-1)).float()


@slip("mx_dequantize", "the bias of these exponents is 127; 128 is one too many")
def bias_of_128(exponents, elements):
    blocks = elements.unflatten(-1, (-1, 32))
    return (blocks.double() * 2.0 ** (exponents.double() - 128).unsqueeze(-1)).float().flatten(-2)


@slip("mx_dequantize", "you divided by the power of two: that is the way to the elements, and this is the way back")
def divided_again(exponents, elements):
    blocks = elements.unflatten(-1, (-1, 32))
    return (blocks.double() * 2.0 ** (127 - exponents.double()).unsqueeze(-1)).float().flatten(-2)


@slip("mx_dequantize", "the power of two, or the product, was taken in float16, which ends at 65504 and 2**-24")
def through_float16(exponents, elements):
    blocks = elements.unflatten(-1, (-1, 32))
    return (blocks * (2.0 ** (exponents.double() - 127)).half().float().unsqueeze(-1)).flatten(-2)


def _unpacked(codes: Tensor, scales: Tensor, bias: int = 127) -> Tensor:
    weights = decode_e2m1(codes).double() * 2.0 ** (scales.double() - bias).unsqueeze(-1)
    return weights.flatten(-2).to(torch.bfloat16)


def _pairs(blocks: Tensor) -> Tensor:
    return torch.stack([blocks & 15, blocks >> 4], dim=-1).flatten(-2)


@slip("unpack_mxfp4", "the first code of a pair is in the low half of the byte; you read the high half first")
def high_half_first(blocks, scales):
    return _unpacked(torch.stack([blocks >> 4, blocks & 15], dim=-1).flatten(-2), scales)


@slip(
    "unpack_mxfp4",
    "in gpt-oss's layout a byte holds neighbours; that byte i holds elements i and i + 16 is GGUF's order",
)
def order_of_gguf(blocks, scales):
    return _unpacked(torch.cat([blocks & 15, blocks >> 4], dim=-1), scales)


@slip("unpack_mxfp4", "127 was subtracted in uint8, which has no negative numbers: 126 - 127 is 255 there")
def unpacked_with_uint8_exponents(blocks, scales):
    weights = decode_e2m1(_pairs(blocks)).double() * 2.0 ** (scales - 127).double().unsqueeze(-1)
    return weights.flatten(-2).to(torch.bfloat16)


@slip("unpack_mxfp4", "the scales are stored with 127 added: take it off")
def unpacked_with_bias(blocks, scales):
    return _unpacked(_pairs(blocks), scales, 0)


@slip("unpack_mxfp4", "the result is bfloat16")
def unpacked_to_float32(blocks, scales):
    return (decode_e2m1(_pairs(blocks)) * (2.0 ** (scales.double() - 127)).float().unsqueeze(-1)).flatten(-2)


@slip("unpack_mxfp4", "the blocks of a row follow one another: the last two axes, G and 32, become one of 32 * G")
def blocks_left_apart(blocks, scales):
    weights = decode_e2m1(_pairs(blocks)).double() * 2.0 ** (scales.double() - 127).unsqueeze(-1)
    return weights.to(torch.bfloat16)


@slip("unpack_mxfp4", "four bits are a code of E2M1, to be looked up; you took them as an integer")
def codes_as_integers(blocks, scales):
    codes = _pairs(blocks).double()
    codes = torch.where(codes > 7, codes - 16, codes)
    return (codes * 2.0 ** (scales.double() - 127).unsqueeze(-1)).flatten(-2).to(torch.bfloat16)


# A small float for 16 values


def _nvfp4(tensor: Tensor, g: Tensor, size: int = 16, low: float = 2**-6, rounded: bool = True) -> tuple:
    if tensor.shape[-1] % 16:
        raise ValueError
    blocks = tensor.unflatten(-1, (-1, size))
    exact = (blocks.abs().amax(-1) / 6 / g).clamp(low, 448)
    scales = exact.to(e4m3)
    used = scales.float() if rounded else exact
    elements = round_to_e2m1(blocks / (g * used).unsqueeze(-1))
    return elements.flatten(-2), scales, g


@slip("nvfp4_quantize", "the scale of the tensor is missing: without it block scales leave the range of e4m3")
def no_global_scale(tensor):
    return _nvfp4(tensor, torch.ones(()))


@slip(
    "nvfp4_quantize",
    "g = amax / (6 * 448): the largest block scale is 448 and its largest element 6; you divided by 448 alone",
)
def only_448(tensor):
    return _nvfp4(tensor, _positive(_amax(tensor) / 448))


@slip(
    "nvfp4_quantize",
    "g = amax / (6 * 448): the largest block scale is 448 and its largest element 6; you divided by 6 alone",
)
def only_6(tensor):
    return _nvfp4(tensor, _positive(_amax(tensor) / 6))


@slip("nvfp4_quantize", "an NVFP4 block has 16 values; 32 is MX's")
def nvfp4_blocks_of_32(tensor):
    if tensor.shape[-1] % 16:
        raise ValueError
    short = tensor.shape[-1] % 32
    padded = torch.cat([tensor, tensor.new_zeros(*tensor.shape[:-1], 16)], dim=-1) if short else tensor
    elements, scales, g = _nvfp4(padded, _positive(_amax(tensor) / 2688), 32)
    return elements[..., : tensor.shape[-1]], scales, g


@slip(
    "nvfp4_quantize",
    "the elements are made with the block scale that is stored, rounded to e4m3; you used the exact one",
)
def scales_not_rounded(tensor):
    return _nvfp4(tensor, _positive(_amax(tensor) / 2688), rounded=False)


@slip("nvfp4_quantize", "a block scale is at least 2**-6, the smallest normal number of e4m3")
def no_lower_end(tensor):
    return _nvfp4(tensor, _positive(_amax(tensor) / 2688), low=2**-9)


@slip("nvfp4_quantize", "the block scale is relative to g: (amax of the block / 6) / g")
def block_scale_without_g(tensor):
    if tensor.shape[-1] % 16:
        raise ValueError
    g = _positive(_amax(tensor) / 2688)
    blocks = tensor.unflatten(-1, (-1, 16))
    scales = (blocks.abs().amax(-1) / 6).clamp(2**-6, 448).to(e4m3)
    return round_to_e2m1(blocks / (g * scales.float()).unsqueeze(-1)).flatten(-2), scales, g


@slip("nvfp4_quantize", "x is divided by both scales, g * s; you left g out")
def elements_without_g(tensor):
    _, scales, g = _nvfp4(tensor, _positive(_amax(tensor) / 2688))
    elements = round_to_e2m1(tensor.unflatten(-1, (-1, 16)) / scales.float().unsqueeze(-1))
    return elements.flatten(-2), scales, g


@slip("nvfp4_quantize", "g is the scale, by which one multiplies to get back; you returned its inverse")
def inverse_global_scale(tensor):
    elements, scales, g = _nvfp4(tensor, _positive(_amax(tensor) / 2688))
    return elements, scales, 1 / g


@slip("nvfp4_quantize", "the block scales are to be in float8_e4m3fn")
def block_scales_in_float32(tensor):
    elements, scales, g = _nvfp4(tensor, _positive(_amax(tensor) / 2688))
    return elements, scales.float(), g


def _fitted(block: Tensor, scale: float) -> tuple[Tensor, float]:
    elements = round_to_e2m1((block.double() / scale).float())
    return elements, (block.double() - scale * elements.double()).square().sum().item()


def _chosen(block: Tensor, choose) -> tuple[Tensor, float]:
    amax = _amax(block).item()
    if amax == 0:
        return torch.zeros_like(block), 1.0
    scale = choose(amax)
    return _fitted(block, scale)[0], scale


@slip("four_over_six", "amax on 4 is to be tried as well; this is always 6")
def always_six(block):
    return _chosen(block, lambda amax: amax / 6)


@slip("four_over_six", "amax on 6 is to be tried as well; this is always 4")
def always_four(block):
    return _chosen(block, lambda amax: amax / 4)


@slip("four_over_six", "where both errors are equal amax lies on 6")
def equal_takes_four(block):
    return _chosen(block, lambda amax: min((amax / 4, amax / 6), key=lambda scale: _fitted(block, scale)[1]))


@slip(
    "four_over_six", "errors are compared in the values, scale * element; you compared them in units of the two scales"
)
def error_in_steps(block):
    return _chosen(block, lambda amax: min((amax / 6, amax / 4), key=lambda scale: _fitted(block, scale)[1] / scale**2))


@slip("four_over_six", "the sum of squared errors decides; you took the largest error")
def by_largest_error(block):
    def error(scale):
        return (block.double() - scale * _fitted(block, scale)[0].double()).abs().max().item()

    return _chosen(block, lambda amax: min((amax / 6, amax / 4), key=error))


@slip("four_over_six", "squares of the errors are added; you added their magnitudes")
def by_sum_of_magnitudes(block):
    def error(scale):
        return (block.double() - scale * _fitted(block, scale)[0].double()).abs().sum().item()

    return _chosen(block, lambda amax: min((amax / 6, amax / 4), key=error))


@slip("four_over_six", "zeros have the scale 1.0")
def zeros_have_scale_zero(block):
    amax = _amax(block).item()
    if amax == 0:
        return torch.zeros_like(block), 0.0
    scale = min((amax / 6, amax / 4), key=lambda scale: _fitted(block, scale)[1])
    return _fitted(block, scale)[0], scale


@slip("four_over_six", "the elements are x / scale on the grid; you multiplied them back")
def four_or_six_restored(block):
    amax = _amax(block).item()
    if amax == 0:
        return torch.zeros_like(block), 1.0
    scale = min((amax / 6, amax / 4), key=lambda scale: _fitted(block, scale)[1])
    return _fitted(block, scale)[0] * scale, scale


# Levels where the weights are


def _quantiles(positive: int, negative: int) -> list[float]:
    delta, quantile = 0.9677083, statistics.NormalDist().inv_cdf
    above = [quantile(delta - (delta - 0.5) * i / positive) for i in range(positive)]
    below = [-quantile(delta - (delta - 0.5) * i / negative) for i in range(negative)]
    return sorted([*below, *above])


@slip("nf4_codebook", "zero has a level of its own, and seven levels are negative; yours are eight and eight")
def eight_and_eight():
    levels = _quantiles(8, 8)
    return torch.tensor(levels) / levels[-1]


@slip(
    "nf4_codebook",
    "levels lie at quantiles of the normal distribution, closer together near zero; yours are even steps",
)
def even_steps():
    return torch.linspace(-1, 1, 16)


@slip("nf4_codebook", "all levels are divided by the largest, so that they end at 1")
def not_normalised():
    return torch.tensor(sorted([*_quantiles(8, 7), 0.0]))


@slip("nf4_codebook", "eight levels are positive and seven negative; yours are the other way round")
def sides_exchanged():
    levels = sorted([*_quantiles(7, 8), 0.0])
    return torch.tensor(levels) / levels[-1]


@slip("nf4_codebook", "the levels are asked for in ascending order")
def levels_not_sorted():
    levels = sorted([*_quantiles(8, 7), 0.0])
    return torch.tensor(levels[::-1]) / levels[-1]


@slip("nf4_codebook", "float32 is asked for; a tensor made of numpy's or float64 numbers is float64")
def levels_in_float64():
    levels = sorted([*_quantiles(8, 7), 0.0])
    return torch.tensor(levels, dtype=torch.float64) / levels[-1]


def _nf4_blocks(tensor: Tensor, block_size: int) -> tuple[Tensor, Tensor]:
    if block_size < 1 or tensor.numel() % block_size:
        raise ValueError("the elements are no multiple of the block size")
    blocks = tensor.reshape(-1, block_size)
    return blocks, blocks.abs().amax(1)


def _codes(scaled: Tensor) -> Tensor:
    return (scaled.unsqueeze(-1) - nf4_codebook()).abs().argmin(-1).flatten().to(torch.uint8)


@slip(
    "nf4_quantize", "searchsorted gives the next level above, not the nearest: search among the midpoints of the levels"
)
def searched_without_midpoints(tensor, block_size=64):
    blocks, absmax = _nf4_blocks(tensor, block_size)
    scaled = blocks / _positive(absmax).unsqueeze(1)
    codes = torch.searchsorted(nf4_codebook(), scaled.contiguous()).clamp(max=15)
    return codes.flatten().to(torch.uint8), absmax


@slip("nf4_quantize", "the code of zero is 7, where the level 0 stands; a block of zeros is no row of zero codes")
def code_zero_for_zeros(tensor, block_size=64):
    blocks, absmax = _nf4_blocks(tensor, block_size)
    codes = _codes(blocks / _positive(absmax).unsqueeze(1))
    return torch.where(blocks.flatten() == 0, 0, codes).to(torch.uint8), absmax


@slip("nf4_quantize", "0 / 0 is nan, and nan has no nearest level: a block of zeros has codes 7")
def nf4_zeros_divided(tensor, block_size=64):
    blocks, absmax = _nf4_blocks(tensor, block_size)
    return _codes(blocks / absmax.unsqueeze(1)), absmax


@slip("nf4_quantize", "each block has its absmax; you took one for the whole tensor")
def one_absmax(tensor, block_size=64):
    blocks, absmax = _nf4_blocks(tensor, block_size)
    absmax = absmax.max().expand_as(absmax)
    return _codes(blocks / _positive(absmax).unsqueeze(1)), absmax


@slip("nf4_quantize", "absmax is the largest magnitude, also where it is negative")
def largest_value_of_a_block(tensor, block_size=64):
    blocks, _ = _nf4_blocks(tensor, block_size)
    largest = blocks.amax(1)
    return _codes(blocks / _positive(largest).unsqueeze(1)), largest


@slip("nf4_quantize", "the levels are not evenly spaced: look for the nearest, a rounded multiple is none")
def even_codes(tensor, block_size=64):
    blocks, absmax = _nf4_blocks(tensor, block_size)
    scaled = blocks / _positive(absmax).unsqueeze(1)
    return (scaled * 7.5 + 7.5).round().flatten().to(torch.uint8), absmax


@slip("nf4_quantize", "the codes are asked for, 0 to 15; you returned the levels")
def levels_for_codes(tensor, block_size=64):
    blocks, absmax = _nf4_blocks(tensor, block_size)
    return nf4_codebook()[_codes(blocks / _positive(absmax).unsqueeze(1)).long()], absmax


@slip("nf4_quantize", "the codes are one vector in reading order")
def codes_in_shape(tensor, block_size=64):
    blocks, absmax = _nf4_blocks(tensor, block_size)
    return _codes(blocks / _positive(absmax).unsqueeze(1)).reshape(tensor.shape), absmax


@slip("nf4_dequantize", "each absmax serves the codes of one block, neighbours; yours were repeated in turn")
def absmax_in_turn(codes, absmax, shape):
    return (nf4_codebook()[codes.long()] * absmax.repeat(len(codes) // len(absmax))).reshape(shape)


@slip("nf4_dequantize", "the codes were not looked up: a code is the index of a level")
def codes_for_levels(codes, absmax, shape):
    return (codes.float().reshape(len(absmax), -1) * absmax.unsqueeze(1)).reshape(shape)


@slip("nf4_dequantize", "the levels run from -1 to 1; multiply them by the absmax of their block")
def not_multiplied(codes, absmax, shape):
    return nf4_codebook()[codes.long()].reshape(shape)


@slip("nf4_dequantize", "a block has as many codes as there are codes for each absmax; it is not always 64")
def always_64(codes, absmax, shape):
    return (nf4_codebook()[codes.long()] * absmax.repeat_interleave(64)[: len(codes)]).reshape(shape)


@slip("nf4_dequantize", "the tensor is asked for in `shape`")
def shape_ignored(codes, absmax, shape):
    return (nf4_codebook()[codes.long()].reshape(len(absmax), -1) * absmax.unsqueeze(1)).flatten()


@slip("nf4_dequantize", "NF4's levels are no even steps")
def even_levels(codes, absmax, shape):
    return ((codes.float() / 7.5 - 1).reshape(len(absmax), -1) * absmax.unsqueeze(1)).reshape(shape)


def _double(absmax: Tensor, block_size: int, mean: Tensor, divisor: float) -> tuple[Tensor, Tensor, Tensor]:
    if block_size < 1 or absmax.numel() % block_size:
        raise ValueError("the length is no multiple of the block size")
    blocks = (absmax - mean).reshape(-1, block_size)
    scales = blocks.abs().amax(1) / divisor
    codes = (blocks / _positive(scales).unsqueeze(1)).round().clamp(-128, 127)
    return codes.flatten().to(torch.int8), scales, mean


@slip("double_quantize", "the mean is to be subtracted first: absmax is all positive, so half of the codes stay unused")
def mean_not_subtracted(absmax, block_size=256):
    codes, scales, _ = _double(absmax, block_size, torch.zeros(()), 127)
    return codes, scales, absmax.mean()


@slip(
    "double_quantize", "the largest code is 127; with 128 as divisor the largest rest has none, and has to be clamped"
)
def divided_by_128(absmax, block_size=256):
    return _double(absmax, block_size, absmax.mean(), 128)


@slip("double_quantize", "one mean is subtracted, that of all blocks; each of yours had its own")
def mean_of_each_block(absmax, block_size=256):
    if block_size < 1 or absmax.numel() % block_size:
        raise ValueError
    means = absmax.reshape(-1, block_size).mean(1).repeat_interleave(block_size)
    codes, scales, _ = _double(absmax, block_size, means, 127)
    return codes, scales, absmax.mean()


@slip("double_quantize", "each block has a scale of its own; you took one for all")
def one_scale_for_all_blocks(absmax, block_size=256):
    if block_size < 1 or absmax.numel() % block_size:
        raise ValueError
    codes, scale, mean = _double(absmax, absmax.numel(), absmax.mean(), 127)
    return codes, scale.expand(absmax.numel() // block_size), mean


@slip("double_quantize", "the largest magnitude of what is left counts, also where it is negative")
def largest_rest(absmax, block_size=256):
    if block_size < 1 or absmax.numel() % block_size:
        raise ValueError
    mean = absmax.mean()
    blocks = (absmax - mean).reshape(-1, block_size)
    scales = blocks.amax(1) / 127
    codes = (blocks / _positive(scales).unsqueeze(1)).round().clamp(-128, 127)
    return codes.flatten().to(torch.int8), scales, mean


@slip("double_quantize", "codes are rounded to the nearest; a cast alone cuts off")
def codes_cut_off(absmax, block_size=256):
    if block_size < 1 or absmax.numel() % block_size:
        raise ValueError
    mean = absmax.mean()
    blocks = (absmax - mean).reshape(-1, block_size)
    scales = blocks.abs().amax(1) / 127
    return (blocks / _positive(scales).unsqueeze(1)).to(torch.int8).flatten(), scales, mean


# What a weight costs

_COSTS = {
    "q8_0": (32, 8, 16.0),
    "q4_0": (32, 4, 16.0),
    "q4_k": (256, 4, 128.0),
    "mxfp8": (32, 8, 8.0),
    "mxfp4": (32, 4, 8.0),
    "nvfp4": (16, 4, 8.0),
    "nf4": (64, 4, 32.0),
    "nf4-double": (64, 4, 8 + 32 / 256),
    "int4-group32": (32, 4, 16.0),
}


def _cost(format: str, costs: dict) -> float:
    if format not in costs:
        raise ValueError(f"known are {', '.join(costs)}")
    values, bits, scales = costs[format]
    return bits + scales / values


@slip("bits_per_weight", "the scales are stored too: count everything in a block")
def codes_alone(format):
    return _cost(format, {name: (values, bits, 0.0) for name, (values, bits, _) in _COSTS.items()})


@slip("bits_per_weight", "in q4_k eight scales and eight minimums of 6 bits come on top of d and dmin")
def k_scales_forgotten(format):
    return _cost(format, {**_COSTS, "q4_k": (256, 4, 32.0)})


@slip("bits_per_weight", "in q4_k the six bits are there twice: eight scales and eight minimums")
def minimums_forgotten(format):
    return _cost(format, {**_COSTS, "q4_k": (256, 4, 32.0 + 48)})


@slip("bits_per_weight", "the float32 scale of nf4-double serves 256 blocks of 64 weights, not 256 weights")
def second_scale_for_256_weights(format):
    return _cost(format, {**_COSTS, "nf4-double": (64, 4, 8 + 32 / 4)})


@slip("bits_per_weight", "in nf4-double there is a float32 scale for every 256 blocks as well")
def second_scale_forgotten(format):
    return _cost(format, {**_COSTS, "nf4-double": (64, 4, 8.0)})


@slip("bits_per_weight", "bits are asked for; you counted bytes")
def counted_in_bytes(format):
    return _cost(format, _COSTS) / 8


@slip("bits_per_weight", "an NVFP4 block has 16 values; 32 is MX's")
def nvfp4_as_mx(format):
    return _cost(format, {**_COSTS, "nvfp4": (32, 4, 8.0)})


@slip("bits_per_weight", "another name is a ValueError; a dict raises KeyError")
def key_error(format):
    values, bits, scales = _COSTS[format]
    return bits + scales / values


@slip("bits_per_weight", "the text of the ValueError has to name all nine formats")
def short_error(format):
    if format not in _COSTS:
        raise ValueError(f"{format} is unknown")
    return _cost(format, _COSTS)


# GGUF


def _q8_blocks(row: Tensor) -> tuple[Tensor, Tensor]:
    if row.numel() % 32:
        raise ValueError("the length is no multiple of 32")
    blocks = row.reshape(-1, 32)
    return blocks, blocks.abs().amax(1, keepdim=True) / 127


def _half_away(x: Tensor) -> Tensor:
    return torch.trunc(x.double() + 0.5 * x.sign())


def _q8_bytes(d: Tensor, codes: Tensor, turned: bool = False) -> Tensor:
    two = d.half().view(torch.uint8)
    return torch.cat([two.flip(1) if turned else two, codes.to(torch.int8).view(torch.uint8)], dim=1)


def _inverse(d: Tensor) -> Tensor:
    return torch.where(d > 0, 1 / d, 0.0)


@slip("pack_q8_0", "halves go away from zero here, as in C; torch.round takes the even neighbour")
def halves_to_even(row):
    blocks, d = _q8_blocks(row)
    return _q8_bytes(d, torch.round(blocks * _inverse(d)))


@slip("pack_q8_0", "halves go away from zero, for negative numbers down: floor(x + 0.5) takes -2.5 to -2")
def halves_up(row):
    blocks, d = _q8_blocks(row)
    return _q8_bytes(d, torch.floor((blocks * _inverse(d)).double() + 0.5))


@slip("pack_q8_0", "the codes are made with d before it is rounded to float16; only the stored d is rounded")
def codes_with_float16_scale(row):
    blocks, d = _q8_blocks(row)
    return _q8_bytes(d, _half_away(blocks * _inverse(d.half().float())).clamp(-128, 127))


@slip("pack_q8_0", "the low byte of d comes first")
def high_byte_first(row):
    blocks, d = _q8_blocks(row)
    return _q8_bytes(d, _half_away(blocks * _inverse(d)), turned=True)


@slip("pack_q8_0", "d stands before the codes")
def scale_behind_the_codes(row):
    blocks, d = _q8_blocks(row)
    return _q8_bytes(d, _half_away(blocks * _inverse(d))).roll(-2, 1)


@slip("pack_q8_0", "d = amax / 127: 128 has no code in int8")
def q8_divided_by_128(row):
    blocks, d = _q8_blocks(row)
    d = d * 127 / 128
    return _q8_bytes(d, _half_away(blocks * _inverse(d)).clamp(-128, 127))


@slip("pack_q8_0", "codes are rounded; a cast alone cuts off")
def q8_codes_cut_off(row):
    blocks, d = _q8_blocks(row)
    return _q8_bytes(d, (blocks * _inverse(d)).trunc())


@slip("pack_q8_0", "d is a float16, two bytes; bfloat16 has two bytes as well, and is another dtype")
def scale_in_bfloat16(row):
    blocks, d = _q8_blocks(row)
    codes = _half_away(blocks * _inverse(d)).to(torch.int8).view(torch.uint8)
    return torch.cat([d.bfloat16().view(torch.uint8), codes], dim=1)


def _q4_k_parts(blocks: Tensor) -> tuple[Tensor, ...]:
    d, dmin = blocks[:, :4].contiguous().view(torch.float16).float().unsqueeze(-1).unbind(1)
    low, middle, high = blocks[:, 4:16].split(4, dim=1)
    scales = torch.cat([low & 63, (high & 15) | (low >> 6) << 4], dim=1)
    minimums = torch.cat([middle & 63, (high >> 4) | (middle >> 6) << 4], dim=1)
    runs = blocks[:, 16:].reshape(-1, 4, 32)
    codes = torch.stack([runs & 15, runs >> 4], dim=2).reshape(-1, 8, 32)
    return d, dmin, scales, minimums, codes


def _q4_k(d: Tensor, dmin: Tensor, scales: Tensor, minimums: Tensor, codes: Tensor) -> Tensor:
    return ((d * scales).unsqueeze(-1) * codes - (dmin * minimums).unsqueeze(-1)).flatten(1)


@slip("unpack_q4_k", "the low halves of a run are the first sub-block; you read the high halves first")
def high_halves_first(blocks):
    *others, codes = _q4_k_parts(blocks)
    return _q4_k(*others, codes.reshape(-1, 4, 2, 32).flip(2).reshape(-1, 8, 32))


@slip("unpack_q4_k", "the two halves of a byte belong to two sub-blocks, 32 weights apart; you took them as neighbours")
def halves_as_neighbours(blocks):
    *others, _ = _q4_k_parts(blocks)
    codes = torch.stack([blocks[:, 16:] & 15, blocks[:, 16:] >> 4], dim=-1).reshape(-1, 8, 32)
    return _q4_k(*others, codes)


@slip("unpack_q4_k", "dmin * m is subtracted")
def minimum_added(blocks):
    d, dmin, scales, minimums, codes = _q4_k_parts(blocks)
    return _q4_k(d, -dmin, scales, minimums, codes)


@slip("unpack_q4_k", "the upper two bits of the later scales and minimums stand in the first eight bytes")
def upper_bits_forgotten(blocks):
    d, dmin, scales, minimums, codes = _q4_k_parts(blocks)
    later = torch.tensor([63] * 4 + [15] * 4, dtype=torch.uint8)
    return _q4_k(d, dmin, scales & later, minimums & later, codes)


@slip("unpack_q4_k", "of the first eight bytes only six bits are a scale or a minimum: & 63")
def eight_bits_for_six(blocks):
    d, dmin, _, _, codes = _q4_k_parts(blocks)
    low, middle, high = blocks[:, 4:16].split(4, dim=1)
    scales = torch.cat([low, (high & 15) | (low >> 6) << 4], dim=1)
    minimums = torch.cat([middle, (high >> 4) | (middle >> 6) << 4], dim=1)
    return _q4_k(d, dmin, scales, minimums, codes)


@slip("unpack_q4_k", "scales and minimums are exchanged")
def minimums_for_scales(blocks):
    d, dmin, scales, minimums, codes = _q4_k_parts(blocks)
    return _q4_k(d, dmin, minimums, scales, codes)


@slip("unpack_q4_k", "the sums were made in float16; only the stored d and dmin are")
def sums_in_float16(blocks):
    d, dmin, scales, minimums, codes = _q4_k_parts(blocks)
    weights = (d.half() * scales).unsqueeze(-1) * codes - (dmin.half() * minimums).unsqueeze(-1)
    return weights.flatten(1).float()


@slip("unpack_q4_k", "d comes first, then dmin")
def dmin_before_d(blocks):
    d, dmin, scales, minimums, codes = _q4_k_parts(blocks)
    return _q4_k(dmin, d, scales, minimums, codes)


# Three values, and rounding by chance


def _ternary(weight: Tensor, gamma: float, divisor: float) -> tuple[Tensor, float]:
    return torch.round(weight / divisor).clamp(-1, 1).to(torch.int8), gamma


@slip("ternary_quantize", "gamma is the mean of the magnitudes; you took the largest, and almost everything became 0")
def gamma_is_amax(weight):
    gamma = _amax(weight).item()
    return _ternary(weight, gamma, gamma + 1e-5)


@slip("ternary_quantize", "gamma is the mean of the magnitudes; positive and negative weights must not cancel")
def gamma_is_the_mean(weight):
    gamma = weight.mean().item()
    return _ternary(weight, gamma, gamma + 1e-5)


@slip("ternary_quantize", "the gamma that is returned is without the 1e-5")
def gamma_with_epsilon(weight):
    gamma = weight.abs().mean().item() + 1e-5
    return _ternary(weight, gamma, gamma)


@slip("ternary_quantize", "1e-5 is added to gamma before the division: small weights become 0")
def epsilon_forgotten(weight):
    gamma = weight.abs().mean().item()
    return _ternary(weight, gamma, gamma or 1.0)


@slip("ternary_quantize", "codes beyond 1 are clamped: there are only three")
def not_clamped(weight):
    gamma = weight.abs().mean().item()
    return torch.round(weight / (gamma + 1e-5)).clamp(-128, 127).to(torch.int8), gamma


@slip("ternary_quantize", "what rounds to 0 is 0; the sign alone has no zeros")
def signs_alone(weight):
    return weight.sign().to(torch.int8), weight.abs().mean().item()


@slip("ternary_quantize", "one gamma serves the whole weight; you took one for each row")
def gamma_of_each_row(weight):
    rows = weight.abs().mean(-1, keepdim=True)
    return torch.round(weight / (rows + 1e-5)).clamp(-1, 1).to(torch.int8), weight.abs().mean().item()


@slip("ternary_quantize", "gamma is a Python float")
def gamma_as_a_tensor(weight):
    gamma = weight.abs().mean()
    return torch.round(weight / (gamma + 1e-5)).clamp(-1, 1).to(torch.int8), gamma


@slip("stochastic_round", "after the addition the lower bits are dropped; the cast to bfloat16 rounds them once more")
def rounded_twice(tensor, random):
    return (tensor.view(torch.int32) + random).view(torch.float32).to(torch.bfloat16)


@slip("stochastic_round", "bfloat16 is asked for; the bits are right, the dtype is not")
def left_in_float32(tensor, random):
    return ((tensor.view(torch.int32) + random) & ~0xFFFF).view(torch.float32)


@slip("stochastic_round", "the draw was ignored: this rounds to the nearest")
def draw_ignored(tensor, random):
    return tensor.to(torch.bfloat16)


@slip("stochastic_round", "the draw was ignored: this cuts off")
def draw_ignored_and_cut_off(tensor, random):
    return (tensor.view(torch.int32) & ~0xFFFF).view(torch.float32).to(torch.bfloat16)


@slip("stochastic_round", "the magnitude grows, of negative numbers too: add the draw to the bits, whatever the sign")
def subtracted_below_zero(tensor, random):
    bits = tensor.view(torch.int32) + torch.where(tensor < 0, -random, random)
    return (bits & ~0xFFFF).view(torch.float32).to(torch.bfloat16)


@slip("stochastic_round", "the draw is added to the bits, not to the value")
def added_to_the_value(tensor, random):
    return (((tensor + random).view(torch.int32)) & ~0xFFFF).view(torch.float32).to(torch.bfloat16)


@slip("stochastic_round", "the bits are to be read as an integer with view; a cast to int32 cuts off the fraction")
def cast_instead_of_view(tensor, random):
    return ((tensor.clamp(-1e9, 1e9).to(torch.int32) + random) & ~0xFFFF).view(torch.float32).to(torch.bfloat16)
