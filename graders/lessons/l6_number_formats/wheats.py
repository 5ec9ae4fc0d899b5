"""Right answers to lesson 6 in other styles than the reference: every one must pass every hidden test."""

import math
import struct
from bisect import bisect_left
from fractions import Fraction
from statistics import NormalDist

import numpy
import torch
from torch import Tensor

from graders.judge.contract import wheat

_LEVELS = [0.0, 0.5, 1.0, 1.5, 2.0, 3.0, 4.0, 6.0]
_ENDS = {"e2m1": (2, 6.0), "e4m3": (8, 448.0), "e5m2": (15, 57344.0)}


# Eight bits with an exponent


@wheat("float8_quantize")
def float8_in_float64(tensor, dtype=torch.float8_e4m3fn):
    end = {torch.float8_e4m3fn: 448.0, torch.float8_e5m2: 57344.0}[dtype]
    amax = max((abs(value) for value in tensor.flatten().tolist()), default=0.0)
    scale = amax / end if amax else 1.0
    values = (tensor.double() / scale).float().clamp(-end, end)
    return values.to(dtype), torch.tensor(scale)


@wheat("float8_quantize")
def float8_by_factor(tensor, dtype=torch.float8_e4m3fn):
    if not tensor.any():
        return torch.zeros(tensor.shape).to(dtype), torch.tensor(1.0)
    scale = torch.linalg.vector_norm(tensor, math.inf) * (1 / torch.finfo(dtype).max)
    return (tensor * (1 / scale)).clamp(torch.finfo(dtype).min, torch.finfo(dtype).max).to(dtype), scale


@wheat("float8_quantize")
def float8_with_numpy(tensor, dtype=torch.float8_e4m3fn):
    array = tensor.numpy().astype(numpy.float64)
    largest = numpy.abs(array).max()
    scale = numpy.float32(largest / torch.finfo(dtype).max) if largest > 0 else numpy.float32(1)
    scaled = torch.from_numpy(numpy.asarray(array / scale)).reshape(tensor.shape)
    return scaled.float().to(dtype), torch.as_tensor(scale).reshape(())


@wheat("float8_quantize")
def float8_from_both_ends(tensor, dtype=torch.float8_e4m3fn):
    low, high = torch.aminmax(tensor)
    amax = torch.maximum(-low, high)
    scale = amax / torch.finfo(dtype).max
    scale[scale == 0] = 1
    return torch.div(tensor, scale).to(dtype), scale


def _divides(tensor, tile):
    rows, columns = tile
    if rows < 1 or columns < 1 or tensor.shape[0] % rows or tensor.shape[1] % columns:
        raise ValueError("the tiles do not divide the matrix")
    return rows, columns


def _power_above(value: float) -> float:
    mantissa, exponent = math.frexp(value)
    return math.ldexp(1.0, exponent - 1 if mantissa == 0.5 else exponent)


@wheat("tile_quantize")
def tile_by_tile(tensor, tile, power_of_two=False):
    rows, columns = _divides(tensor, tile)
    values = torch.empty(tensor.shape, dtype=torch.float8_e4m3fn)
    scales = torch.empty(tensor.shape[0] // rows, tensor.shape[1] // columns)
    for i in range(scales.shape[0]):
        for j in range(scales.shape[1]):
            part = (slice(i * rows, (i + 1) * rows), slice(j * columns, (j + 1) * columns))
            scale = max(tensor[part].abs().max().item(), 1e-4) / 448
            if power_of_two:
                scale = _power_above(torch.tensor(scale).item())
            scales[i, j] = scale
            values[part] = (tensor[part] / scales[i, j]).to(torch.float8_e4m3fn)
    return values, scales


@wheat("tile_quantize")
def tiles_in_float64(tensor, tile, power_of_two=False):
    rows, columns = _divides(tensor, tile)
    tiles = tensor.double().reshape(tensor.shape[0] // rows, rows, tensor.shape[1] // columns, columns)
    scales = torch.clamp_min(tiles.abs().max(3).values.max(1).values, 1e-4) / 448.0
    if power_of_two:
        scales = torch.exp2(torch.ceil(torch.log2(scales)))
    scales = scales.float()
    wide = scales.repeat_interleave(rows, 0).repeat_interleave(columns, 1)
    return (tensor / wide).clamp(-448, 448).to(torch.float8_e4m3fn), scales


@wheat("tile_quantize")
def tiles_by_bits(tensor, tile, power_of_two=False):
    rows, columns = _divides(tensor, tile)
    blocks = tensor.unfold(0, rows, rows).unfold(1, columns, columns)
    scales = blocks.abs().amax((-2, -1)).clamp(min=1e-4) * (1 / 448)
    if power_of_two:
        bits = scales.view(torch.int32)
        scales = ((bits + 0x7FFFFF) & ~0x7FFFFF).view(torch.float32)  # any mantissa bit carries into the exponent
    return (tensor / torch.kron(scales, torch.ones(rows, columns))).to(torch.float8_e4m3fn), scales


@wheat("tile_quantize")
def tiles_by_pooling(tensor, tile, power_of_two=False):
    rows, columns = _divides(tensor, tile)
    amax = torch.nn.functional.max_pool2d(tensor.abs()[None], (rows, columns))[0]
    scales = torch.maximum(amax, torch.tensor(1e-4)) / 448
    if power_of_two:
        mantissa, exponent = torch.frexp(scales)
        scales = torch.where(mantissa == 0.5, scales, torch.ldexp(torch.ones_like(scales), exponent))
    factors = 1 / scales
    wide = torch.nn.functional.interpolate(factors[None, None], scale_factor=(rows, columns), mode="nearest")[0, 0]
    return (tensor * wide).to(torch.float8_e4m3fn), scales


# Four bits with an exponent


def _round(value: float) -> float:
    """One value, by exact comparison; of two at one distance the one at an even place."""
    magnitude = min(abs(value), 6.0)
    best = min(range(8), key=lambda place: (abs(Fraction(magnitude) - Fraction(_LEVELS[place])), place % 2))
    return math.copysign(_LEVELS[best], value)


@wheat("round_to_e2m1")
def rounded_one_by_one(tensor):
    if any(math.isnan(value) for value in tensor.flatten().tolist()):
        raise ValueError("nan")
    return torch.tensor([_round(value) for value in tensor.flatten().tolist()]).reshape(tensor.shape)


@wheat("round_to_e2m1")
def rounded_by_thresholds(tensor):
    if not bool((tensor == tensor).all()):
        raise ValueError("nan")
    x = tensor.abs()
    code = (x > 0.25).float() * 0.5
    for threshold, step in ((0.75, 0.5), (1.75, 0.5), (3.5, 1.0)):
        code += (x >= threshold) * step
    for threshold, step in ((1.25, 0.5), (2.5, 1.0), (5.0, 2.0)):
        code += (x > threshold) * step
    return torch.copysign(code, tensor)


@wheat("round_to_e2m1")
def rounded_by_float_bits(tensor):
    if torch.isnan(tensor).any().item():
        raise ValueError("nan is no number")
    # Adding 1.5 * 2**22 * step to a float32 rounds it half to even to a multiple of the step.
    x = tensor.abs().clamp(max=6.0)
    exponent = torch.frexp(x).exponent.clamp(min=1)
    magic = torch.ldexp(torch.full_like(x, 1.5), exponent + 21)
    return ((x + magic) - magic) * torch.sign(tensor)


@wheat("round_to_e2m1")
def rounded_with_numpy(tensor):
    array = tensor.double().numpy()
    if numpy.isnan(array).any():
        raise ValueError("nan")
    grid = numpy.array([0, 1, 2, 4, 0.5, 1.5, 3, 6])  # even mantissas first, so that argmin prefers them
    distance = numpy.abs(numpy.minimum(numpy.abs(array), 6)[..., None] - grid)
    result = numpy.sign(array) * grid[distance.argmin(-1)]
    return torch.from_numpy(numpy.asarray(result, dtype=numpy.float32)).reshape(tensor.shape)


@wheat("decode_e2m1")
def decoded_by_fields(codes):
    if codes.max() > 15:
        raise ValueError("too large")
    sign, exponent, mantissa = (codes >> 3).int(), (codes >> 1 & 3).int(), (codes & 1).float()
    magnitude = torch.where(exponent == 0, mantissa / 2, (1 + mantissa / 2) * 2.0 ** (exponent - 1))
    return torch.where(sign == 1, -magnitude, magnitude)


@wheat("decode_e2m1")
def decoded_one_by_one(codes):
    numbers = codes.flatten().tolist()
    if any(number >= 16 for number in numbers):
        raise ValueError(numbers)
    values = [_LEVELS[number % 8] * (-1 if number // 8 else 1) for number in numbers]
    return torch.tensor(values, dtype=torch.float32).reshape(codes.shape)


@wheat("decode_e2m1")
def decoded_by_take(codes):
    try:
        return torch.tensor(_LEVELS + [-level for level in _LEVELS]).take(codes.to(torch.int64))
    except IndexError as error:
        raise ValueError("a code above 15") from error


@wheat("decode_e2m1")
def decoded_with_numpy(codes):
    array = codes.numpy()
    if (array >> 4).any():
        raise ValueError("too large")
    table = numpy.array([*_LEVELS, *(-level for level in _LEVELS)], dtype=numpy.float32)
    return torch.from_numpy(numpy.asarray(table[array])).reshape(codes.shape)


@wheat("encode_e2m1")
def encoded_by_dict(values):
    table = {level: code for code, level in enumerate(_LEVELS)}
    codes = []
    for value in values.flatten().tolist():
        if abs(value) not in table:
            raise ValueError(value)
        codes.append(table[abs(value)] + (8 if math.copysign(1, value) < 0 else 0))
    return torch.tensor(codes, dtype=torch.uint8).reshape(values.shape)


@wheat("encode_e2m1")
def encoded_by_search(values):
    levels = torch.tensor(_LEVELS)
    magnitudes = values.abs().contiguous()
    place = torch.searchsorted(levels, magnitudes).clamp(max=7)
    if not torch.equal(levels[place], magnitudes):
        raise ValueError("off the grid")
    return (place | (values < 0).long() << 3).to(torch.uint8)


@wheat("encode_e2m1")
def encoded_and_checked(values):
    doubled = (values.abs() * 2).nan_to_num(99, posinf=99).clamp(max=99)
    table = torch.full((100,), 255, dtype=torch.uint8)
    table[torch.tensor([0, 1, 2, 3, 4, 6, 8, 12])] = torch.arange(8, dtype=torch.uint8)
    if (doubled != doubled.round()).any() or (table[doubled.long()] == 255).any():
        raise ValueError("off the grid")
    return table[doubled.long()] + torch.signbit(values).to(torch.uint8) * 8


@wheat("encode_e2m1")
def encoded_with_numpy(values):
    array = values.numpy()
    matches = numpy.abs(array)[..., None] == numpy.array(_LEVELS, dtype=numpy.float32)
    if not matches.any(-1).all():
        raise ValueError("off the grid")
    codes = matches.argmax(-1) + 8 * (array < 0)
    return torch.from_numpy(numpy.asarray(codes, dtype=numpy.uint8)).reshape(values.shape)


# A power of two for 32 values


@wheat("shared_exponent")
def exponent_by_float64_logarithm(block, emax):
    amax = block.double().abs().max()
    if amax == 0:
        return -127
    return int((torch.floor(torch.log2(amax)) - emax).clamp(-127, 127))


@wheat("shared_exponent")
def exponent_by_bits(block, emax):
    bits = max(struct.unpack("<I", struct.pack("<f", abs(value)))[0] for value in block.flatten().tolist())
    exponent, mantissa = bits >> 23, bits & 0x7FFFFF
    if bits == 0:
        return -127
    power = exponent - 127 if exponent else mantissa.bit_length() - 150
    return max(-127, min(power - emax, 127))


@wheat("shared_exponent")
def exponent_by_doubling(block, emax):
    amax, power = Fraction(block.abs().amax().item()), 0
    if not amax:
        return -127
    while amax >= 2:
        amax, power = amax / 2, power + 1
    while amax < 1:
        amax, power = amax * 2, power - 1
    return sorted([-127, power - emax, 127])[1]


@wheat("shared_exponent")
def exponent_with_numpy(block, emax):
    amax = numpy.abs(block.numpy()).max()
    _, exponent = numpy.frexp(amax)
    return int(numpy.clip(int(exponent) - 1 - emax, -127, 127)) if amax > 0 else -127


def _mx_arguments(tensor, element):
    if element not in _ENDS:
        raise ValueError(element)
    if tensor.shape[-1] % 32 != 0:
        raise ValueError("blocks of 32")


def _to_element(scaled: Tensor, element: str) -> Tensor:
    if element == "e2m1":
        return rounded_by_thresholds(scaled)
    dtype = torch.float8_e4m3fn if element == "e4m3" else torch.float8_e5m2
    end = _ENDS[element][1]
    return scaled.clamp(-end, end).to(dtype).float()


@wheat("mx_quantize")
def mx_block_by_block(tensor, element="e2m1"):
    _mx_arguments(tensor, element)
    exponents, elements = [], []
    for block in tensor.reshape(-1, 32):
        exponent = exponent_by_bits(block, _ENDS[element][0])
        exponents.append(exponent + 127)
        elements.append(_to_element((block.double() / 2.0**exponent).float(), element))
    shape = (*tensor.shape[:-1], tensor.shape[-1] // 32)
    return torch.tensor(exponents, dtype=torch.uint8).reshape(shape), torch.stack(elements).reshape(tensor.shape)


@wheat("mx_quantize")
def mx_in_float64(tensor, element="e2m1"):
    _mx_arguments(tensor, element)
    blocks = tensor.double().reshape(*tensor.shape[:-1], -1, 32)
    amax = blocks.abs().amax(-1)
    exponents = torch.where(amax > 0, torch.floor(torch.log2(amax)) - _ENDS[element][0], -127.0).clamp(-127, 127)
    scaled = blocks * torch.exp2(-exponents)[..., None]
    return (exponents + 127).byte(), _to_element(scaled.float(), element).reshape(tensor.shape)


@wheat("mx_quantize")
def mx_by_a_grid(tensor, element="e2m1"):
    _mx_arguments(tensor, element)
    emax, end = _ENDS[element]
    bits, lowest = {"e2m1": (1, 0), "e4m3": (3, -6), "e5m2": (2, -14)}[element]
    blocks = tensor.reshape(-1, 32)
    exponents = numpy.frexp(numpy.abs(blocks.numpy()).max(1))[1] - 1 - emax
    exponents = numpy.maximum(exponents, -127)
    x = blocks.double().numpy() * 2.0 ** -exponents.astype(numpy.float64)[:, None]
    binade = numpy.maximum(numpy.frexp(x)[1] - 1, lowest)
    step = 2.0 ** (binade - bits).astype(numpy.float64)
    elements = numpy.clip(numpy.rint(x / step) * step, -end, end)
    shape = (*tensor.shape[:-1], tensor.shape[-1] // 32)
    codes = torch.from_numpy((exponents + 127).astype(numpy.uint8)).reshape(shape)
    return codes, torch.from_numpy(elements).float().reshape(tensor.shape)


@wheat("mx_quantize")
def mx_by_exponent_bits(tensor, element="e2m1"):
    _mx_arguments(tensor, element)
    blocks = tensor.contiguous().view(*tensor.shape[:-1], -1, 32)
    biased = (blocks.abs().amax(-1).view(torch.int32) >> 23) - _ENDS[element][0]  # subnormal amax: below 0 all the same
    biased = biased.clamp(0, 254)
    elements = _to_element(torch.ldexp(blocks, (127 - biased)[..., None]), element)
    return biased.to(torch.uint8), elements.flatten(-2)


def _lengths(tensor):
    if tensor.shape[-1] % 32:
        raise ValueError("blocks of 32")


@wheat("mx_quantize_no_clip")
def no_clip_by_search(tensor):
    _lengths(tensor)
    blocks = tensor.reshape(-1, 32)
    exponents = []
    for amax in blocks.abs().amax(1).tolist():
        exponent = -127
        while amax > 6 * 2.0**exponent:
            exponent += 1
        exponents.append(exponent)
    exponents = torch.tensor(exponents)
    elements = rounded_by_thresholds((blocks.double() / 2.0 ** exponents.double()[:, None]).float())
    shape = (*tensor.shape[:-1], tensor.shape[-1] // 32)
    return (exponents + 127).to(torch.uint8).reshape(shape), elements.reshape(tensor.shape)


@wheat("mx_quantize_no_clip")
def no_clip_by_division_in_float64(tensor):
    _lengths(tensor)
    blocks = tensor.double().unflatten(-1, (-1, 32))
    mantissa, exponent = torch.frexp(blocks.abs().amax(-1) / 6)
    exponents = torch.where(mantissa > 0.5, exponent, exponent - 1).clamp(-127, 127)
    elements = rounded_by_float_bits((blocks * 2.0 ** -exponents.double()[..., None]).float())
    return (exponents + 127).byte(), elements.flatten(-2)


@wheat("mx_quantize_no_clip")
def no_clip_one_more_where_it_clips(tensor):
    _lengths(tensor)
    exponents, _ = mx_in_float64(tensor)
    blocks = tensor.double().unflatten(-1, (-1, 32))
    exponents = exponents.int() - 127
    exponents += blocks.abs().amax(-1) > 6 * 2.0 ** exponents.double()
    return (exponents + 127).byte(), rounded_by_thresholds(
        (blocks / 2.0 ** exponents.double()[..., None]).float()
    ).flatten(-2)


@wheat("mx_quantize_no_clip")
def no_clip_with_numpy(tensor):
    _lengths(tensor)
    blocks = tensor.numpy().astype(numpy.float64).reshape(-1, 32)
    amax = numpy.abs(blocks).max(1)
    with numpy.errstate(divide="ignore"):
        exponents = numpy.ceil(numpy.log2(amax / 6))
    exponents = numpy.clip(exponents, -127, 127)
    elements = rounded_with_numpy(torch.from_numpy(blocks / 2.0 ** exponents[:, None]))
    shape = (*tensor.shape[:-1], tensor.shape[-1] // 32)
    return torch.from_numpy((exponents + 127).astype(numpy.uint8)).reshape(shape), elements.reshape(tensor.shape)


@wheat("mx_dequantize")
def restored_by_repeating(exponents, elements):
    powers = torch.exp2(exponents.double() - 127).repeat_interleave(32, dim=-1)
    return (elements.double() * powers).float()


@wheat("mx_dequantize")
def restored_in_two_products(exponents, elements):
    shift = exponents.to(torch.int16).unsqueeze(-1) - 127
    half = shift // 2
    blocks = elements.reshape(*exponents.shape, 32)
    return (blocks * 2.0**half * 2.0 ** (shift - half)).reshape(elements.shape)


@wheat("mx_dequantize")
def restored_block_by_block(exponents, elements):
    blocks = elements.reshape(-1, 32).tolist()
    rows = [
        [math.ldexp(value, exponent - 127) for value in block]
        for exponent, block in zip(exponents.flatten().tolist(), blocks, strict=True)
    ]
    return torch.tensor(rows).reshape(elements.shape)


@wheat("mx_dequantize")
def restored_by_float_bits(exponents, elements):
    bits = exponents.int() << 23
    powers = torch.where(exponents == 0, torch.tensor(0x00400000, dtype=torch.int32), bits).view(torch.float32)
    return (elements.unflatten(-1, (-1, 32)) * powers.unsqueeze(-1)).flatten(-2)


_SIGNED = torch.tensor([*_LEVELS, *(-level for level in _LEVELS)])


@wheat("unpack_mxfp4")
def unpacked_as_gpt_oss(blocks, scales):
    *prefix, groups, size = blocks.shape
    rows = math.prod(prefix) * groups
    blocks = blocks.reshape(rows, size)
    exponents = scales.to(torch.int32).reshape(rows, 1) - 127
    out = torch.empty(rows, 2 * size, dtype=torch.bfloat16)
    table = _SIGNED.to(torch.bfloat16)
    out[:, 0::2] = table[(blocks & 0x0F).to(torch.long)]
    out[:, 1::2] = table[(blocks >> 4).to(torch.long)]
    out = torch.ldexp(out, exponents)
    return out.reshape(*prefix, groups * size * 2).to(torch.bfloat16)


@wheat("unpack_mxfp4")
def unpacked_with_numpy(blocks, scales):
    array = blocks.numpy()
    codes = numpy.stack([array % 16, array // 16], -1).reshape(*blocks.shape[:-1], 32)
    values = _SIGNED.double().numpy()[codes] * 2.0 ** (scales.numpy().astype(numpy.float64) - 127)[..., None]
    return torch.from_numpy(values.reshape(*blocks.shape[:-2], -1)).to(torch.bfloat16)


@wheat("unpack_mxfp4")
def unpacked_by_a_table_of_bytes(blocks, scales):
    table = torch.stack([_SIGNED[torch.arange(256) & 15], _SIGNED[torch.arange(256) >> 4]], 1)
    pairs = table[blocks.long()]
    powers = torch.exp2(scales.double() - 127)[..., None, None]
    return (pairs * powers).flatten(-3).bfloat16()


@wheat("unpack_mxfp4")
def unpacked_one_by_one(blocks, scales):
    weights = []
    for block, scale in zip(blocks.reshape(-1, 16).tolist(), scales.flatten().tolist(), strict=True):
        for byte in block:
            for code in (byte & 15, byte >> 4):
                weights.append(math.ldexp(_SIGNED[code].item(), scale - 127))
    return torch.tensor(weights, dtype=torch.bfloat16).reshape(*blocks.shape[:-2], -1)


# A small float for 16 values


def _sixteen(tensor):
    if tensor.shape[-1] % 16:
        raise ValueError("blocks of 16")


@wheat("nvfp4_quantize")
def nvfp4_in_float64(tensor):
    _sixteen(tensor)
    blocks = tensor.double().reshape(*tensor.shape[:-1], -1, 16)
    amax = blocks.abs().max()
    g = amax / 2688 if amax > 0 else torch.ones((), dtype=torch.float64)
    scales = (blocks.abs().amax(-1) / (6 * g)).clamp(0.015625, 448.0).float().to(torch.float8_e4m3fn)
    elements = rounded_by_thresholds((blocks / g / scales.double()[..., None]).float())
    return elements.reshape(tensor.shape), scales, g.float()


@wheat("nvfp4_quantize")
def nvfp4_block_by_block(tensor):
    _sixteen(tensor)
    g = tensor.abs().max().item() / 6 / 448 or 1.0
    scales, elements = [], []
    for block in tensor.reshape(-1, 16):
        s = torch.tensor(min(max(block.abs().max().item() / 6 / g, 2**-6), 448)).to(torch.float8_e4m3fn)
        scales.append(s)
        elements.append(rounded_one_by_one(block / (g * s.item())))
    shape = (*tensor.shape[:-1], tensor.shape[-1] // 16)
    return torch.cat(elements).reshape(tensor.shape), torch.stack(scales).reshape(shape), torch.tensor(g)


@wheat("nvfp4_quantize")
def nvfp4_by_factors(tensor):
    _sixteen(tensor)
    blocks = tensor.unflatten(-1, (-1, 16))
    block_amax = torch.linalg.vector_norm(blocks, math.inf, dim=-1)
    amax = block_amax.max()
    if amax == 0:
        return tensor.clone(), torch.zeros(block_amax.shape).to(torch.float8_e4m3fn), torch.zeros(())
    g = amax * (1 / 2688)
    factor = 1 / g
    scales = torch.clamp(factor * (block_amax * (1 / 6)), 2.0**-6, 448.0).to(torch.float8_e4m3fn)
    elements = rounded_by_float_bits(blocks * (factor / scales.float())[..., None])
    return elements.flatten(-2), scales, g


@wheat("nvfp4_quantize")
def nvfp4_with_repeated_scales(tensor):
    _sixteen(tensor)
    g = torch.maximum(tensor.abs().amax(), torch.tensor(2.0**-110)) / 2688
    blocks = tensor.reshape(-1, 16)
    scales = ((blocks.abs().max(1).values / 6) / g).clamp(min=2**-6, max=448).to(torch.float8_e4m3fn)
    wide = (scales.float() * g).repeat_interleave(16).reshape(tensor.shape)
    scales = scales.reshape(*tensor.shape[:-1], -1)
    return rounded_with_numpy(tensor / wide), scales, g


@wheat("four_over_six")
def both_fits_in_float64(block):
    x = block.double()
    amax = x.abs().max().item()
    if amax == 0:
        return torch.zeros(len(block)), 1.0
    best = None
    for scale in (amax / 6, amax / 4):
        elements = rounded_by_thresholds((x / scale).float())
        error = ((x - scale * elements.double()) ** 2).sum().item()
        if best is None or error < best[0]:
            best = (error, elements, scale)
    return best[1], best[2]


@wheat("four_over_six")
def both_fits_in_float32(block):
    amax = block.abs().max()
    if amax == 0:
        return block * 0, 1.0
    six, four = amax / 6, amax / 4
    on_six, on_four = rounded_by_float_bits(block / six), rounded_by_float_bits(block / four)
    better = ((block - four * on_four) ** 2).sum() < ((block - six * on_six) ** 2).sum()
    return (on_four, four.item()) if better else (on_six, six.item())


@wheat("four_over_six")
def both_fits_exactly(block):
    values = [Fraction(value) for value in block.tolist()]
    amax = max(abs(value) for value in values)
    if amax == 0:
        return torch.zeros(len(values)), 1.0
    tried = []
    for end in (6, 4):
        scale = amax / end
        elements = [_round(float(value / scale)) for value in values]
        error = sum((value - scale * Fraction(element)) ** 2 for value, element in zip(values, elements, strict=True))
        tried.append((error, -end, elements, float(scale)))
    _, _, elements, scale = min(tried)
    return torch.tensor(elements), scale


@wheat("four_over_six")
def both_fits_at_once(block):
    amax = block.abs().max().item()
    scales = torch.tensor([amax / 6, amax / 4], dtype=torch.float64)[:, None]
    if not amax:
        return torch.zeros_like(block), 1.0
    elements = rounded_with_numpy(block.double() / scales)
    errors = torch.linalg.vector_norm(block.double() - scales * elements, dim=1)
    choice = int(errors[1] < errors[0])
    return elements[choice], scales[choice].item()


# Levels where the weights are


@wheat("nf4_codebook")
def published_levels():
    below = "-1 -0.6961928009986877 -0.5250730514526367 -0.39491748809814453 -0.28444138169288635 -0.18477343022823334"
    above = "0.07958029955625534 0.16093020141124725 0.24611230194568634 0.33791524171829224 0.44070982933044434"
    texts = f"{below} -0.09105003625154495 0 {above} 0.5626170039176941 0.7229568362236023 1".split()
    return torch.tensor([float(text) for text in texts])


@wheat("nf4_codebook")
def levels_by_erfinv():
    def quantile(p):
        return math.sqrt(2) * torch.erfinv(2 * p - 1)

    offset = 0.9677083
    positive = quantile(torch.linspace(offset, 0.5, 9, dtype=torch.float64)[:-1])
    negative = -quantile(torch.linspace(offset, 0.5, 8, dtype=torch.float64)[:-1])
    levels = torch.cat([positive, torch.zeros(1, dtype=torch.float64), negative]).sort().values
    return (levels / levels.max()).float()


@wheat("nf4_codebook")
def levels_by_bisection():
    def quantile(p):
        low, high = -10.0, 10.0
        for _ in range(100):
            middle = (low + high) / 2
            low, high = (middle, high) if math.erfc(-middle / math.sqrt(2)) / 2 < p else (low, middle)
        return low

    delta = 0.9677083
    above = [quantile(delta - (delta - 0.5) * i / 8) for i in range(8)]
    below = [-quantile(delta - (delta - 0.5) * i / 7) for i in range(7)]
    return torch.tensor([level / above[0] for level in [*below, 0, *reversed(above)]], dtype=torch.float32)


@wheat("nf4_codebook")
def levels_by_icdf():
    normal = torch.distributions.Normal(torch.zeros((), dtype=torch.float64), 1.0)
    delta = 0.9677083
    above = normal.icdf(delta - (delta - 0.5) * torch.arange(8, dtype=torch.float64) / 8)
    below = -normal.icdf(delta - (delta - 0.5) * torch.arange(7, dtype=torch.float64) / 7)
    return (torch.cat([below, torch.zeros(1).double(), above.flip(0)]) / above[0]).to(torch.float32)


_NF4 = published_levels()


def _nf4_arguments(tensor, block_size):
    if block_size < 1 or tensor.numel() % block_size:
        raise ValueError("no multiple")


@wheat("nf4_quantize")
def codes_by_midpoints(tensor, block_size=64):
    _nf4_arguments(tensor, block_size)
    blocks = tensor.reshape(-1, block_size)
    absmax = blocks.abs().max(dim=1).values
    scaled = (blocks / absmax[:, None]).nan_to_num(0.0)
    middles = (_NF4[1:] + _NF4[:-1]) / 2
    return torch.bucketize(scaled.contiguous(), middles).to(torch.uint8).flatten(), absmax


@wheat("nf4_quantize")
def codes_one_by_one(tensor, block_size=64):
    _nf4_arguments(tensor, block_size)
    values, levels = tensor.flatten().tolist(), _NF4.tolist()
    codes, absmax = [], []
    for start in range(0, len(values), block_size):
        block = values[start : start + block_size]
        largest = max(abs(value) for value in block)
        absmax.append(largest)
        for value in block:
            scaled = value / (largest or 1.0)
            place = bisect_left(levels, scaled)
            nearest = min((place - 1, place), key=lambda at: abs(levels[at] - scaled) if 0 <= at < 16 else math.inf)
            codes.append(nearest)
    return torch.tensor(codes, dtype=torch.uint8), torch.tensor(absmax)


@wheat("nf4_quantize")
def codes_in_the_scale_of_the_block(tensor, block_size=64):
    _nf4_arguments(tensor, block_size)
    blocks = tensor.double().reshape(-1, block_size)
    absmax = torch.linalg.vector_norm(blocks, math.inf, dim=1)
    levels = _NF4.double() * absmax[:, None]
    codes = (blocks[:, :, None] - levels[:, None, :]).abs().argmin(-1)
    codes[absmax == 0] = 7
    return codes.flatten().byte(), absmax.float()


@wheat("nf4_quantize")
def codes_with_numpy(tensor, block_size=64):
    _nf4_arguments(tensor, block_size)
    blocks = tensor.numpy().reshape(-1, block_size)
    absmax = numpy.abs(blocks).max(1)
    absmax[absmax == 0] = 1
    levels = numpy.array([NormalDist().cdf(0) * 2 * level for level in _NF4.tolist()])
    codes = numpy.searchsorted((levels[1:] + levels[:-1]) / 2, blocks / absmax[:, None])
    return torch.from_numpy(codes.astype(numpy.uint8).ravel()), torch.from_numpy(absmax)


@wheat("nf4_dequantize")
def nf4_restored_by_repeating(codes, absmax, shape):
    size = codes.numel() // absmax.numel()
    return (_NF4.take(codes.long()) * absmax.repeat_interleave(size)).view(shape)


@wheat("nf4_dequantize")
def nf4_restored_one_by_one(codes, absmax, shape):
    size = len(codes) // len(absmax)
    values = [_NF4[code].item() * absmax[at // size].item() for at, code in enumerate(codes.tolist())]
    return torch.tensor(values).reshape(*shape)


@wheat("nf4_dequantize")
def nf4_restored_in_float64(codes, absmax, shape):
    levels = torch.nn.functional.one_hot(codes.long(), 16).double() @ _NF4.double()
    return (levels.view(absmax.numel(), -1) * absmax.double()[:, None]).float().reshape(torch.Size(shape))


@wheat("nf4_dequantize")
def nf4_restored_with_numpy(codes, absmax, shape):
    levels = _NF4.numpy()[codes.numpy()].reshape(len(absmax), -1)
    return torch.from_numpy((levels.T * absmax.numpy()).T.reshape(shape).copy())


@wheat("double_quantize")
def scales_in_float64(absmax, block_size=256):
    _nf4_arguments(absmax, block_size)
    x = absmax.double()
    mean = x.mean()
    blocks = (x - mean).view(-1, block_size)
    scales = blocks.abs().max(1).values / 127
    codes = torch.where(scales[:, None] > 0, blocks / scales[:, None], 0.0).round()
    return codes.to(torch.int8).flatten(), scales.float(), mean.float()


@wheat("double_quantize")
def scales_block_by_block(absmax, block_size=256):
    _nf4_arguments(absmax, block_size)
    mean = sum(absmax.tolist()) / len(absmax)
    codes, scales = [], []
    for block in absmax.split(block_size):
        rest = [value - mean for value in block.tolist()]
        scale = max(map(abs, rest)) / 127 or 1.0
        scales.append(scale)
        codes += [round(value / scale) for value in rest]
    return torch.tensor(codes, dtype=torch.int8), torch.tensor(scales), torch.tensor(mean)


@wheat("double_quantize")
def scales_by_factor(absmax, block_size=256):
    _nf4_arguments(absmax, block_size)
    mean = absmax.sum() / absmax.numel()
    blocks = torch.sub(absmax, mean).reshape(-1, block_size)
    largest = torch.linalg.vector_norm(blocks, math.inf, dim=1)
    factors = torch.where(largest == 0, torch.zeros(()), 127 / largest)
    return (blocks * factors[:, None]).round().clamp(-127, 127).to(torch.int8).view(-1), largest * (1 / 127), mean


@wheat("double_quantize")
def scales_with_numpy(absmax, block_size=256):
    _nf4_arguments(absmax, block_size)
    array = absmax.numpy()
    mean = array.mean(dtype=numpy.float64).astype(numpy.float32)
    blocks = (array - mean).reshape(-1, block_size)
    scales = numpy.abs(blocks).max(1) / numpy.float32(127)
    safe = numpy.where(scales > 0, scales, 1)
    codes = numpy.rint(blocks / safe[:, None]).astype(numpy.int8).ravel()
    return torch.from_numpy(codes), torch.from_numpy(scales), torch.tensor(mean)


# What a weight costs


@wheat("bits_per_weight")
def bits_as_sums(format):
    table = {
        "int4-group32": 4 + 16 / 32,
        "nf4-double": 4 + 8 / 64 + 32 / (64 * 256),
        "nf4": 4 + 32 / 64,
        "nvfp4": 4 + 8 / 16,
        "mxfp4": 4 + 8 / 32,
        "mxfp8": 8 + 8 / 32,
        "q4_k": 4 + (16 + 16 + 8 * (6 + 6)) / 256,
        "q4_0": 4 + 16 / 32,
        "q8_0": 8 + 16 / 32,
    }
    try:
        return table[format]
    except KeyError:
        raise ValueError("choose one of " + " ".join(sorted(table))) from None


@wheat("bits_per_weight")
def bits_from_bytes(format):
    sizes = {"q8_0": (34, 32), "q4_0": (18, 32), "q4_k": (144, 256), "mxfp8": (33, 32), "mxfp4": (17, 32)}
    sizes |= {"nvfp4": (9, 16), "nf4": (36, 64), "nf4-double": (256 * 33 + 4, 256 * 64), "int4-group32": (18, 32)}
    if format in sizes:
        size, values = sizes[format]
        return 8.0 * size / values
    raise ValueError(f"unknown format {format!r}; known: {list(sizes)}")


@wheat("bits_per_weight")
def bits_by_match(format):
    match format:
        case "q8_0":
            bits = Fraction(32 * 8 + 16, 32)
        case "q4_0" | "int4-group32":
            bits = Fraction(32 * 4 + 16, 32)
        case "q4_k":
            bits = Fraction(1024 + 32 + 96, 256)
        case "mxfp8" | "mxfp4":
            bits = int(format[-1]) + Fraction(1, 4)
        case "nvfp4" | "nf4":
            bits = Fraction(9, 2)
        case "nf4-double":
            bits = 4 + Fraction(1, 8) + Fraction(1, 512)
        case _:
            raise ValueError("q8_0\nq4_0\nq4_k\nmxfp8\nmxfp4\nnvfp4\nnf4\nnf4-double\nint4-group32")
    return float(bits)


# GGUF


def _row(row):
    if row.numel() % 32:
        raise ValueError("blocks of 32")


@wheat("pack_q8_0")
def packed_with_struct(row):
    _row(row)
    packed = []
    for start in range(0, row.numel(), 32):
        block = row[start : start + 32].numpy()
        d = numpy.abs(block).max() / numpy.float32(127)
        codes = []
        for value in block:
            scaled = float(value * (1 / d)) if d > 0 else 0.0
            codes.append(int(math.copysign(math.floor(abs(scaled) + 0.5), scaled)))
        packed.append(list(struct.pack("<e32b", float(d), *codes)))
    return torch.tensor(packed, dtype=torch.uint8)


@wheat("pack_q8_0")
def packed_as_gguf_does(row):
    _row(row)
    blocks = row.numpy().reshape(-1, 32)
    d = numpy.abs(blocks).max(axis=1, keepdims=True) / 127
    with numpy.errstate(divide="ignore"):
        inverse = numpy.where(d == 0, 0, 1 / d)
    x = blocks * inverse
    whole = numpy.floor(numpy.abs(x))
    codes = numpy.sign(x) * (whole + numpy.floor(2 * (numpy.abs(x) - whole)))
    low = d.astype("<f2").view(numpy.uint8)
    return torch.from_numpy(numpy.concatenate([low, codes.astype(numpy.int8).view(numpy.uint8)], axis=1))


@wheat("pack_q8_0")
def packed_in_float64(row):
    _row(row)
    blocks = row.double().view(-1, 32)
    d = blocks.abs().amax(1, keepdim=True) / 127
    x = torch.where(d > 0, blocks / d, 0.0)
    codes = torch.where(x < 0, torch.ceil(x - 0.5), torch.floor(x + 0.5)).to(torch.int8)
    stored = d.float().to(torch.float16).view(torch.int16).int()
    return torch.cat([stored & 255, stored >> 8 & 255, codes.int() & 255], 1).to(torch.uint8)


@wheat("pack_q8_0")
def packed_by_filling(row):
    _row(row)
    out = torch.zeros(row.numel() // 32, 34, dtype=torch.uint8)
    for line, block in zip(out, row.reshape(-1, 32), strict=True):
        d = block.abs().max() / 127
        if d == 0:
            continue
        x = block * (1 / d)
        line[:2] = d.to(torch.float16).reshape(1).view(torch.uint8)
        line[2:] = (x.sign() * (x.abs() + 0.5).trunc()).to(torch.int8).view(torch.uint8)
    return out


@wheat("unpack_q4_k")
def unpacked_q4_k_one_by_one(blocks):
    rows = []
    for block in blocks.tolist():
        d, dmin = struct.unpack("<ee", bytes(block[:4]))
        b, codes, row = block[4:16], block[16:], []
        for j in range(8):
            if j < 4:
                scale, minimum = b[j] & 63, b[j + 4] & 63
            else:
                scale = (b[j + 4] & 15) | (b[j - 4] >> 6) << 4
                minimum = (b[j + 4] >> 4) | (b[j] >> 6) << 4
            run = codes[32 * (j // 2) : 32 * (j // 2) + 32]
            row += [d * scale * (byte >> 4 if j % 2 else byte & 15) - dmin * minimum for byte in run]
        rows.append(row)
    return torch.tensor(rows, dtype=torch.float64).float()


@wheat("unpack_q4_k")
def unpacked_q4_k_with_numpy(blocks):
    array = blocks.numpy()
    d = array[:, 0:2].copy().view("<f2").astype(numpy.float32)
    dmin = array[:, 2:4].copy().view("<f2").astype(numpy.float32)
    a, b, c = array[:, 4:8], array[:, 8:12], array[:, 12:16]
    scales = numpy.concatenate([a & 0x3F, (c & 0x0F) | ((a >> 2) & 0x30)], axis=1)
    minimums = numpy.concatenate([b & 0x3F, (c >> 4) | ((b >> 2) & 0x30)], axis=1)
    runs = array[:, 16:].reshape(-1, 4, 1, 32) >> numpy.array([0, 4], dtype=numpy.uint8).reshape(1, 1, 2, 1)
    codes = (runs & 15).reshape(-1, 8, 32).astype(numpy.float32)
    return torch.from_numpy(((d * scales)[:, :, None] * codes - (dmin * minimums)[:, :, None]).reshape(-1, 256))


@wheat("unpack_q4_k")
def unpacked_q4_k_in_float64(blocks):
    halves = blocks[:, :4].int()
    d, dmin = (
        (halves[:, at] | halves[:, at + 1] << 8).to(torch.int16).view(torch.float16).double()[:, None] for at in (0, 2)
    )
    b = blocks[:, 4:16].int()
    out = torch.empty(len(blocks), 256, dtype=torch.float64)
    for j in range(8):
        if j < 4:
            scale, minimum = b[:, j] & 63, b[:, j + 4] & 63
        else:
            scale = b[:, j + 4] % 16 + (b[:, j - 4] // 64) * 16
            minimum = b[:, j + 4] // 16 + (b[:, j] // 64) * 16
        run = blocks[:, 16 + 32 * (j // 2) : 48 + 32 * (j // 2)]
        codes = (run >> 4 if j % 2 else run & 15).double()
        out[:, 32 * j : 32 * j + 32] = d * scale[:, None] * codes - dmin * minimum[:, None]
    return out.to(torch.float32)


@wheat("unpack_q4_k")
def unpacked_q4_k_by_bits(blocks):
    bits = blocks[:, 4:16, None] >> torch.arange(8, dtype=torch.uint8) & 1
    weights = (2 ** torch.arange(6)).float()
    low = torch.cat([bits[:, :8, :6], torch.cat([bits[:, 8:, :4], bits[:, :4, 6:]], 2)], 1)
    high = torch.cat([bits[:, 8:, 4:], bits[:, 4:8, 6:]], 2)
    numbers = torch.cat([low, high], 1).float() @ weights
    scales = torch.cat([numbers[:, :4], numbers[:, 8:12]], 1)
    minimums = torch.cat([numbers[:, 4:8], numbers[:, 12:]], 1)
    d, dmin = blocks[:, :4].clone().view(torch.float16).float().split(1, dim=1)
    codes = torch.stack([blocks[:, 16:].view(-1, 4, 32) % 16, blocks[:, 16:].view(-1, 4, 32) // 16], 2)
    return torch.addcmul(-(dmin * minimums)[..., None], (d * scales)[..., None], codes.view(-1, 8, 32)).flatten(1)


# Three values, and rounding by chance


@wheat("ternary_quantize")
def ternary_in_float64(weight):
    gamma = weight.double().abs().mean().item()
    codes = (weight.double() / (gamma + 1e-5)).round()
    return codes.clamp_(-1, 1).to(torch.int8), gamma


@wheat("ternary_quantize")
def ternary_by_thresholds(weight):
    gamma = float(weight.abs().sum() / weight.numel())
    half = (gamma + 1e-5) / 2
    return (weight > half).to(torch.int8) - (weight < -half).to(torch.int8), gamma


@wheat("ternary_quantize")
def ternary_one_by_one(weight):
    values = weight.flatten().tolist()
    gamma = math.fsum(map(abs, values)) / len(values)
    codes = [max(-1, min(1, round(value / (gamma + 1e-5)))) for value in values]
    return torch.tensor(codes, dtype=torch.int8).reshape(weight.shape), gamma


@wheat("ternary_quantize")
def ternary_with_numpy(weight):
    array = weight.numpy()
    gamma = numpy.abs(array).mean(dtype=numpy.float64)
    codes = numpy.clip(numpy.rint(array / (gamma + 1e-5)), -1, 1)
    return torch.from_numpy(codes.astype(numpy.int8)), gamma


@wheat("stochastic_round")
def rounded_by_unsigned_bits(tensor, random):
    bits = tensor.contiguous().view(torch.int32).long() & 0xFFFFFFFF
    upper = (bits + random) >> 16 & 0xFFFF
    return torch.where(upper > 0x7FFF, upper - 0x10000, upper).to(torch.int16).view(torch.bfloat16)


@wheat("stochastic_round")
def rounded_with_struct(tensor, random):
    values = []
    for value, draw in zip(tensor.flatten().tolist(), random.flatten().tolist(), strict=True):
        (bits,) = struct.unpack("<I", struct.pack("<f", value))
        values.append(struct.unpack("<f", struct.pack("<I", (bits + draw) // 65536 * 65536))[0])
    return torch.tensor(values, dtype=torch.float32).to(torch.bfloat16).reshape(tensor.shape)


@wheat("stochastic_round")
def rounded_with_numpy_bits(tensor, random):
    bits = numpy.ascontiguousarray(tensor.numpy()).view(numpy.uint32) + random.numpy().astype(numpy.uint32)
    kept = numpy.asarray(bits & numpy.uint32(0xFFFF0000)).view(numpy.float32)
    return torch.from_numpy(kept.reshape(tuple(tensor.shape))).bfloat16()


@wheat("stochastic_round")
def rounded_by_halves(tensor, random):
    bits = (tensor.clone(memory_format=torch.contiguous_format).view(torch.int32) + random).reshape(-1)
    return bits.view(torch.bfloat16)[1::2].reshape(tensor.shape)
