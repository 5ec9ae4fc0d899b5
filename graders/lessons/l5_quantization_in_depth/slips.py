"""Recognised mistakes of lesson 5: each gives a wrong answer of its own, and the sentence that its author should read."""

import copy
import math
from fnmatch import fnmatch

import torch
import torch.nn.functional as F
from torch import nn

from graders.judge.contract import slip
from solutions.l5_quantization_in_depth import (
    W8A16Linear,
    dequantize_per_channel,
    int8_matmul,
    pack_bits,
    quantize_per_channel,
    replace_linear_layers,
    unpack_bits,
)

# Rows and columns -------------------------------------------------------------------------------------------------------


def _divided(values, scales):
    return values / torch.where(scales > 0, scales, 1.0)


def _other_dims(weight, axis):
    own = range(weight.dim())[axis]
    return [dim for dim in range(weight.dim()) if dim != own]


def _per_channel(
    weight, axis, rounding=torch.round, divisor=127, largest=lambda w, dims: w.abs().amax(dims, keepdim=True)
):
    scales = largest(weight, _other_dims(weight, axis)) / divisor
    return rounding(_divided(weight, scales)).to(torch.int8), scales


@slip(
    "quantize_per_channel",
    "axis is the dimension that keeps its scales: take the largest magnitude over all the others",
)
def reduced_over_the_axis(weight, axis):
    own = range(weight.dim())[axis]
    scales = weight.abs().amax(own, keepdim=True) / 127
    return torch.round(_divided(weight, scales)).to(torch.int8), scales


@slip("quantize_per_channel", "that is one scale for the whole tensor; each index of axis has its own")
def one_scale_for_all(weight, axis):
    others = _other_dims(weight, axis)
    scales = weight.abs().amax().expand([1 if d in others else n for d, n in enumerate(weight.shape)]) / 127
    return torch.round(_divided(weight, scales)).to(torch.int8), scales


@slip(
    "quantize_per_channel", "keep the reduced dimensions as 1 (keepdim), so that the scales broadcast against the codes"
)
def scales_squeezed(weight, axis):
    codes, scales = _per_channel(weight, axis)
    return codes, scales.flatten()


@slip("quantize_per_channel", "symmetric codes end at -127 and 127: divide by 127")
def divided_by_128(weight, axis):
    return _per_channel(weight, axis, divisor=128)


@slip("quantize_per_channel", "the largest magnitude counts, whichever its sign: abs() before the maximum")
def largest_without_abs(weight, axis):
    return _per_channel(weight, axis, largest=lambda w, dims: w.amax(dims, keepdim=True).clamp(min=0))


@slip("quantize_per_channel", "a cast cuts the fraction off: round first")
def channel_codes_cut_off(weight, axis):
    return _per_channel(weight, axis, rounding=torch.trunc)


@slip("quantize_per_channel", "a slice of zeros has the scale 0, and 0 / 0 is nan: divide by something else there")
def zeros_give_nan_scales(weight, axis):
    codes, scales = _per_channel(weight, axis)
    return codes, torch.where(scales > 0, scales, math.nan)


@slip("quantize_per_channel", "a negative axis counts from the end: -1 is the last dimension")
def negative_axis_not_understood(weight, axis):
    if not -weight.dim() <= axis < weight.dim():
        raise IndexError
    dims = [dim for dim in range(weight.dim()) if dim != axis]
    scales = weight.abs().amax(dims, keepdim=True) / 127
    return torch.round(_divided(weight, scales)).to(torch.int8), scales


@slip("dequantize_per_channel", "the product was taken in 8 bits: cast the codes to float32 first")
def product_in_int8(codes, scales):
    return (codes * scales.to(torch.int8)).float()


@slip("dequantize_per_channel", "the scales say by their shape which slices they belong to: let them broadcast")
def scales_along_the_rows(codes, scales):
    return (
        codes.float() * scales.reshape(-1, *[1] * (codes.dim() - 1)) if len(codes) == scales.numel() else codes * scales
    )


@slip("dequantize_per_channel", "a code times its scale is the value; dividing goes the other way")
def divided_by_the_scale(codes, scales):
    return codes / scales


@slip("dequantize_per_channel", "the values are float32, and are not rounded")
def restored_in_bfloat16(codes, scales):
    return (codes.bfloat16() * scales.bfloat16()).float()


# Groups -----------------------------------------------------------------------------------------------------------------


def _check_groups(weight, group_size, bits):
    if not 2 <= bits <= 8 or group_size < 1 or weight.shape[1] % group_size:
        raise ValueError


def _per_group(weight, group_size, bits, divisor=None, rounding=torch.round):
    _check_groups(weight, group_size, bits)
    groups = weight.reshape(len(weight), -1, group_size)
    scales = groups.abs().amax(2) / (divisor or 2 ** (bits - 1) - 1)
    codes = rounding(_divided(groups, scales[..., None]))
    return codes.reshape(weight.shape).to(torch.int8), scales


@slip("quantize_per_group", "groups are neighbours in a row, not in a column")
def groups_down_the_columns(weight, group_size, bits=4):
    _check_groups(weight, group_size, bits)
    if len(weight) % group_size:
        codes, scales = _per_group(weight.t().reshape(weight.shape), group_size, bits)
        return codes, scales
    codes, scales = _per_group(weight.t(), group_size, bits)
    return codes.t(), scales.t()


@slip("quantize_per_group", "symmetric codes of b bits end at 2**(b - 1) - 1: divide by that, 7 for 4 bits")
def divided_by_a_power_of_two(weight, group_size, bits=4):
    return _per_group(weight, group_size, bits, divisor=2 ** (bits - 1))


@slip("quantize_per_group", "the range has both signs: 4 bits end at 7, and 15 is the last code of unsigned ones")
def divided_by_all_codes(weight, group_size, bits=4):
    return _per_group(weight, group_size, bits, divisor=2**bits - 1)


@slip("quantize_per_group", "the scales are in the order of the groups: one row of scales for each row of the weight")
def scales_of_columns_first(weight, group_size, bits=4):
    codes, scales = _per_group(weight, group_size, bits)
    return codes, scales.t().reshape(scales.shape)


@slip("quantize_per_group", "the weight need not be contiguous: take reshape, view cannot cut it into groups")
def viewed(weight, group_size, bits=4):
    _check_groups(weight, group_size, bits)
    groups = weight.view(-1, group_size)
    return _per_group(groups.reshape(weight.shape), group_size, bits)


@slip("quantize_per_group", "one scale for each group, not for each row")
def one_scale_for_each_row(weight, group_size, bits=4):
    _check_groups(weight, group_size, bits)
    scales = weight.abs().amax(1, keepdim=True) / (2 ** (bits - 1) - 1)
    codes = torch.round(_divided(weight, scales)).to(torch.int8)
    return codes, scales.repeat(1, weight.shape[1] // group_size)


@slip("quantize_per_group", "group_size is the number of columns that share a scale, not the number of groups")
def as_many_groups_as_the_size(weight, group_size, bits=4):
    _check_groups(weight, group_size, bits)
    return _per_group(weight, weight.shape[1] // group_size, bits)


@slip("quantize_per_group", "a cast cuts the fraction off: round first")
def group_codes_cut_off(weight, group_size, bits=4):
    return _per_group(weight, group_size, bits, rounding=torch.trunc)


def _check_division(codes, scales):
    if codes.shape[1] % scales.shape[1]:
        raise ValueError


@slip(
    "dequantize_per_group", "neighbours share a scale: repeat each scale (s0 s0 s1 s1), do not tile them (s0 s1 s0 s1)"
)
def scales_tiled(codes, scales):
    _check_division(codes, scales)
    return codes * scales.repeat(1, codes.shape[1] // scales.shape[1])


@slip("dequantize_per_group", "each row has scales of its own, not only the first")
def scales_of_the_first_row(codes, scales):
    _check_division(codes, scales)
    return codes * scales[:1].repeat_interleave(codes.shape[1] // scales.shape[1], 1)


@slip("dequantize_per_group", "scales that do not divide the columns are a ValueError")
def any_number_of_groups(codes, scales):
    size = -(-codes.shape[1] // scales.shape[1])
    return codes * scales.repeat_interleave(size, 1)[:, : codes.shape[1]]


@slip("dequantize_per_group", "the values are float32, and are not rounded")
def groups_in_bfloat16(codes, scales):
    _check_division(codes, scales)
    return (codes * scales.bfloat16().float().repeat_interleave(codes.shape[1] // scales.shape[1], 1)).float()


def _affine(tensor, group_size, bits, widen=False, steps=None, guard=True):
    if group_size < 1 or tensor.shape[1] % group_size:
        raise ValueError
    groups = tensor.reshape(len(tensor), -1, group_size)
    low, high = groups.aminmax(dim=2)
    low, high = (low.clamp(max=0), high.clamp(min=0)) if widen else (low, high)
    scales = (high - low) / (steps or 2**bits - 1)
    divisor = torch.where(scales > 0, scales, 1.0) if guard else scales
    codes = torch.round((groups - low[..., None]) / divisor[..., None])
    return codes.reshape(tensor.shape), scales, low


@slip("affine_per_group", "the range of a group goes from its minimum to its maximum, it need not contain 0")
def group_range_widened(tensor, group_size, bits=4):
    codes, scales, low = _affine(tensor, group_size, bits, widen=True)
    return codes.to(torch.uint8), scales, low


@slip("affine_per_group", "b bits have 2**b codes, and one step fewer between them")
def affine_one_step_too_many(tensor, group_size, bits=4):
    codes, scales, low = _affine(tensor, group_size, bits, steps=2**bits)
    return codes.clamp(max=2**bits - 1).to(torch.uint8), scales, low


@slip("affine_per_group", "a constant group has the scale 0, and 0 / 0 is nan: divide by something else there")
def constant_group_is_nan(tensor, group_size, bits=4):
    codes, scales, low = _affine(tensor, group_size, bits)
    return codes.to(torch.uint8), torch.where(scales > 0, scales, math.nan), low


@slip("affine_per_group", "the third result is the group's minimum, a float, not a zero point in codes")
def zero_points_for_minimums(tensor, group_size, bits=4):
    codes, scales, low = _affine(tensor, group_size, bits)
    return codes.to(torch.uint8), scales, torch.round(-_divided(low, scales))


@slip("affine_per_group", "codes count from the minimum: subtract it before you divide, in every group its own")
def minimum_of_the_tensor(tensor, group_size, bits=4):
    codes, scales, low = _affine(tensor, group_size, bits)
    groups = tensor.reshape(len(tensor), -1, group_size)
    codes = torch.round(_divided(groups - tensor.min(), scales[..., None])).clamp(0, 2**bits - 1)
    return codes.reshape(tensor.shape).to(torch.uint8), scales, torch.full_like(low, tensor.min().item())


# Bytes ------------------------------------------------------------------------------------------------------------------


def _check_codes(codes, bits):
    if bits not in (1, 2, 4) or (codes >= 2**bits).any():
        raise ValueError


@slip("pack_bits", "the first code belongs into the lowest bits of its byte, not into the highest")
def first_code_on_top(codes, bits):
    _check_codes(codes, bits)
    full = F.pad(codes, (0, -len(codes) % (8 // bits))).reshape(-1, 8 // bits)
    return pack_bits(full.flip(1).flatten(), bits)


@slip("pack_bits", "a last byte that is not full is filled up with zeros, not refused")
def full_bytes_only(codes, bits):
    _check_codes(codes, bits)
    if len(codes) * bits % 8:
        raise ValueError
    return pack_bits(codes, bits)


@slip("pack_bits", "a last byte that is not full is filled up with zeros, not dropped")
def last_byte_dropped(codes, bits):
    _check_codes(codes, bits)
    return pack_bits(codes[: len(codes) // (8 // bits) * (8 // bits)], bits)


@slip("pack_bits", "a code that does not fit is a ValueError, not cut off")
def codes_cut_to_fit(codes, bits):
    if bits not in (1, 2, 4):
        raise ValueError
    return pack_bits(codes & (2**bits - 1), bits)


def _check_count(packed, bits, count):
    if bits not in (1, 2, 4) or not 0 <= count <= len(packed) * 8 // bits:
        raise ValueError


@slip("unpack_bits", "the first code stands in the lowest bits of its byte, not in the highest")
def highest_bits_first(packed, bits, count):
    _check_count(packed, bits, count)
    codes = unpack_bits(packed, bits, len(packed) * 8 // bits).reshape(-1, 8 // bits)
    return codes.flip(1).flatten()[:count]


@slip("unpack_bits", "only `count` codes: the rest of the last byte is filling")
def all_codes_of_the_bytes(packed, bits, count):
    _check_count(packed, bits, count)
    return unpack_bits(packed, bits, len(packed) * 8 // bits)


@slip("unpack_bits", "after the shift the codes above are still there: mask them with & (2**bits - 1)")
def without_a_mask(packed, bits, count):
    _check_count(packed, bits, count)
    return (packed[:, None] >> torch.arange(0, 8, bits, dtype=torch.uint8)).flatten()[:count]


@slip("unpack_bits", "codes of one byte stand together: byte after byte, not place after place")
def place_after_place(packed, bits, count):
    _check_count(packed, bits, count)
    codes = unpack_bits(packed, bits, len(packed) * 8 // bits).reshape(-1, 8 // bits)
    return codes.t().flatten()[:count]


@slip("unpack_bits", "a count that is negative or more than the bytes hold is a ValueError, not a slice")
def any_count(packed, bits, count):
    if bits not in (1, 2, 4):
        raise ValueError
    return unpack_bits(packed, bits, len(packed) * 8 // bits)[:count]


def _check_nibbles(codes):
    if ((codes < -8) | (codes > 7)).any():
        raise ValueError


@slip("pack_int4", "the first code belongs into the low half of its byte")
def high_half_first(codes):
    _check_nibbles(codes)
    full = F.pad(codes, (0, len(codes) % 2)).reshape(-1, 2)
    return pack_bits((full.flip(1).flatten() & 15).to(torch.uint8), 4)


@slip("pack_int4", "two's complement keeps the low four bits (codes & 15); adding 8 makes other codes")
def shifted_by_eight(codes):
    _check_nibbles(codes)
    return pack_bits((codes + 8).to(torch.uint8), 4)


@slip(
    "pack_int4", "a negative code keeps its low four bits only: mask with & 15, or its sign spills into the other half"
)
def signs_spilled(codes):
    _check_nibbles(codes)
    full = F.pad(codes, (0, len(codes) % 2)).reshape(-1, 2)
    return (full[:, 0] | (full[:, 1] << 4)).to(torch.uint8)


@slip("pack_int4", "a code outside of -8 to 7 is a ValueError, not cut off")
def nibbles_cut_to_fit(codes):
    return pack_bits((codes & 15).to(torch.uint8), 4)


@slip("unpack_int4", "the sign has to be put back: 15 stands for -1, 8 for -8")
def no_sign(packed, count):
    return unpack_bits(packed, 4, count).to(torch.int8)


@slip("unpack_int4", "in two's complement only codes from 8 on are negative: subtract 16 from these, not 8 from all")
def eight_subtracted(packed, count):
    return unpack_bits(packed, 4, count).to(torch.int8) - 8


@slip("unpack_int4", "8 is negative too: 1000 stands for -8")
def eight_stays(packed, count):
    codes = unpack_bits(packed, 4, count).to(torch.int8)
    return torch.where(codes > 8, codes - 16, codes)


@slip("unpack_int4", "the low half of a byte comes first")
def unpacked_high_half_first(packed, count):
    if not 0 <= count <= 2 * len(packed):
        raise ValueError
    codes = unpack_bits(packed, 4, 2 * len(packed)).reshape(-1, 2).flip(1).flatten()[:count].to(torch.int8)
    return (codes ^ 8) - 8


# Integers ---------------------------------------------------------------------------------------------------------------


def _check_matrices(a, b):
    if a.dtype != torch.int8 or b.dtype != torch.int8 or a.dim() != 2 or b.dim() != 2 or a.shape[1] != b.shape[0]:
        raise ValueError


@slip("int8_matmul", "8 bits wrap at once: cast to int32 before you multiply")
def accumulated_in_int8(a, b):
    _check_matrices(a, b)
    return (a @ b).int()


@slip("int8_matmul", "float32 is exact only up to 2**24; a sum of 1041 products is beyond it: add in int32")
def accumulated_in_float32(a, b):
    _check_matrices(a, b)
    return (a.float() @ b.float()).int()


@slip("int8_matmul", "the result is int32")
def sums_in_int64(a, b):
    _check_matrices(a, b)
    return a.long() @ b.long()


@slip("int8_matmul", "a matrix of another dtype is a ValueError")
def any_dtype(a, b):
    if a.dim() != 2 or b.dim() != 2 or a.shape[1] != b.shape[0]:
        raise ValueError
    return a.int() @ b.int()


def _with_zero_points(a, zero_a, b, zero_b, constant=True, swapped=False, dtype=torch.int32):
    rows, columns = a.sum(-1, keepdim=True, dtype=dtype).int(), b.sum(0, keepdim=True, dtype=dtype).int()
    first, second = (zero_a, zero_b) if swapped else (zero_b, zero_a)
    product = int8_matmul(a, b) - first * rows - second * columns
    return product + a.shape[-1] * zero_a * zero_b if constant else product


@slip("matmul_with_zero_points", "the last term is missing: K * zero_a * zero_b")
def constant_forgotten(a, zero_a, b, zero_b):
    return _with_zero_points(a, zero_a, b, zero_b, constant=False)


@slip("matmul_with_zero_points", "zero_b goes with the sums over a, and zero_a with the sums over b")
def sums_exchanged(a, zero_a, b, zero_b):
    return _with_zero_points(a, zero_a, b, zero_b, swapped=True)


@slip("matmul_with_zero_points", "a difference or a sum of int8 wraps in 8 bits: cast to int32 first")
def differences_in_int8(a, zero_a, b, zero_b):
    _check_matrices(a, b)
    return (a - zero_a).int() @ (b - zero_b).int()


@slip("matmul_with_zero_points", "a difference or a sum of int8 wraps in 8 bits: cast to int32 first")
def sums_in_int8(a, zero_a, b, zero_b):
    _check_matrices(a, b)
    return _with_zero_points(a, zero_a, b, zero_b, dtype=torch.int8)


@slip("matmul_with_zero_points", "the zero points have to be subtracted from the codes")
def zero_points_ignored(a, zero_a, b, zero_b):
    return int8_matmul(a, b)


@slip("matmul_with_zero_points", "float32 is exact only up to 2**24: add in int32")
def differences_in_float32(a, zero_a, b, zero_b):
    _check_matrices(a, b)
    return ((a.float() - zero_a) @ (b.float() - zero_b)).int()


@slip("requantize", "the clamp comes after the shift: a zero point moves codes out of the range")
def clamped_before_the_shift(accumulator, scale_a, scale_b, scale_out, zero_point=0):
    q = torch.round(accumulator.double() * (scale_a * scale_b / scale_out)).clamp(-128, 127)
    return (q + zero_point).to(torch.int8)


@slip("requantize", "float32 does not hold an int32 exactly: multiply in float64")
def requantized_in_float32(accumulator, scale_a, scale_b, scale_out, zero_point=0):
    q = torch.round(accumulator.float() * (scale_a * scale_b / scale_out)) + zero_point
    return q.clamp(-128, 127).to(torch.int8)


@slip("requantize", "the cast wraps whatever is out of range: clamp to -128..127 first")
def requantized_without_clamp(accumulator, scale_a, scale_b, scale_out, zero_point=0):
    q = torch.round(accumulator.double() * (scale_a * scale_b / scale_out)) + zero_point
    return q.to(torch.int64).to(torch.int8)


@slip("requantize", "a cast cuts the fraction off: round first")
def requantized_and_cut_off(accumulator, scale_a, scale_b, scale_out, zero_point=0):
    q = torch.trunc(accumulator.double() * (scale_a * scale_b / scale_out)) + zero_point
    return q.clamp(-128, 127).to(torch.int8)


@slip("requantize", "the sums have the scale scale_a * scale_b; codes of scale_out come by dividing by that")
def multiplied_by_scale_out(accumulator, scale_a, scale_b, scale_out, zero_point=0):
    q = torch.round(accumulator.double() * scale_a * scale_b * scale_out) + zero_point
    return q.clamp(-128, 127).to(torch.int8)


def _check_real(real):
    if not 0 < real < 1:
        raise ValueError


@slip(
    "fixed_point_multiplier", "near 1 the integer rounds up to 2**31, which is too large: take 2**30 and one shift less"
)
def no_carry(real):
    _check_real(real)
    fraction, exponent = math.frexp(real)
    return round(fraction * 2**31), -exponent


@slip("fixed_point_multiplier", "the integer is rounded to nearest: int() cuts it off")
def multiplier_cut_off(real):
    _check_real(real)
    fraction, exponent = math.frexp(real)
    return int(fraction * 2**31), -exponent


@slip("fixed_point_multiplier", "the shift counts to the right, on top of the 31: 0.25 has the shift 1")
def shift_to_the_left(real):
    _check_real(real)
    fraction, exponent = math.frexp(real)
    m = round(fraction * 2**31)
    return (m, exponent) if m < 2**31 else (2**30, exponent + 1)


@slip("fixed_point_multiplier", "shift so far that the integer is at least 2**30: a small one loses digits")
def never_normalized(real):
    _check_real(real)
    return round(real * 2**31), 0


@slip("fixed_point_multiplier", "the shift comes on top of 31, it does not include it")
def shift_includes_the_31(real):
    _check_real(real)
    fraction, exponent = math.frexp(real)
    m = round(fraction * 2**31)
    return (m, 31 - exponent) if m < 2**31 else (2**30, 30 - exponent)


# A layer ----------------------------------------------------------------------------------------------------------------


class _Layer(nn.Module):
    """What the slips of W8A16Linear change one thing about."""

    def __init__(self, in_features, out_features, bias=True, dtype=torch.float32):
        super().__init__()
        self.register_buffer("int8_weights", torch.zeros(out_features, in_features, dtype=torch.int8))
        self.register_buffer("scales", torch.ones(out_features, dtype=dtype))
        self.register_buffer("bias", torch.zeros(out_features, dtype=dtype) if bias else None)

    @property
    def weight(self):
        return self.int8_weights

    def _codes(self, weight, limit):
        weight = weight.detach()
        scales = weight.abs().amax(1) / 127
        q = torch.round(weight / torch.where(scales > 0, scales, 1.0)[:, None])
        self.scales = scales
        self.int8_weights = (q.clamp(-127, 127) if limit else q.to(torch.int32)).to(torch.int8)

    def quantize(self, weight):
        self._codes(weight, True)

    def _product(self, x):
        return F.linear(x, self.int8_weights.to(x.dtype)) * self.scales.to(x.dtype)

    def forward(self, x):
        return self._product(x) if self.bias is None else self._product(x) + self.bias.to(x.dtype)


@slip("W8A16Linear", "in bfloat16 a quotient can round to 128, which wraps to -128: clamp to -127..127 before the cast")
class NoClamp(_Layer):
    def quantize(self, weight):
        self._codes(weight, False)


@slip("W8A16Linear", "int8_weights has the shape of the weight: (out_features, in_features)")
class InTimesOut(_Layer):
    def __init__(self, in_features, out_features, bias=True, dtype=torch.float32):
        super().__init__(in_features, out_features, bias, dtype)
        self.register_buffer("int8_weights", torch.zeros(in_features, out_features, dtype=torch.int8))

    def quantize(self, weight):
        self._codes(weight, True)
        self.int8_weights = self.int8_weights.t().contiguous()

    def _product(self, x):
        return (x @ self.int8_weights.to(x.dtype)) * self.scales.to(x.dtype)


@slip("W8A16Linear", "the result has the dtype of x, whatever the layer's is")
class InTheLayersDtype(_Layer):
    def forward(self, x):
        return super().forward(x).to(self.scales.dtype)


@slip("W8A16Linear", "the result has the dtype of x: without a cast, float32 scales make a bfloat16 product float32")
class PromotedResult(_Layer):
    def forward(self, x):
        y = F.linear(x, self.int8_weights.to(x.dtype)) * self.scales
        return y if self.bias is None else y + self.bias


@slip("W8A16Linear", "the scales belong to the product alone: add the bias after it")
class BiasScaled(_Layer):
    def forward(self, x):
        bias = None if self.bias is None else self.bias.to(x.dtype)
        return F.linear(x, self.int8_weights.to(x.dtype), bias) * self.scales.to(x.dtype)


@slip("W8A16Linear", "the bias was forgotten in forward")
class BiasForgotten(_Layer):
    def forward(self, x):
        return self._product(x)


@slip("W8A16Linear", "one scale for each output: the largest magnitude of each row of the weight")
class OneScaleForTheLayer(_Layer):
    def quantize(self, weight):
        self._codes(weight, True)
        self.scales = weight.detach().abs().amax().expand(len(weight)).clone() / 127
        self.int8_weights = torch.round(weight.detach() / self.scales[:, None]).clamp(-127, 127).to(torch.int8)


@slip("W8A16Linear", "codes and scales are buffers (register_buffer): a plain attribute is in no state dict")
class PlainAttributes(_Layer):
    def __init__(self, in_features, out_features, bias=True, dtype=torch.float32):
        super().__init__(in_features, out_features, bias, dtype)
        codes, scales = self.int8_weights, self.scales
        del self.int8_weights, self.scales
        self.int8_weights, self.scales = codes, scales


@slip("W8A16Linear", "scales and bias are buffers here, not parameters: nothing in this layer is trained")
class ScalesAreParameters(_Layer):
    def __init__(self, in_features, out_features, bias=True, dtype=torch.float32):
        super().__init__(in_features, out_features, bias, dtype)
        self.bias_values, made = self.bias, [("scales", self.scales), ("bias", self.bias)]
        del self.scales, self.bias, self.bias_values
        for name, value in made:
            self.register_parameter(name, None if value is None else nn.Parameter(value))

    def quantize(self, weight):
        weight = weight.detach()
        self.scales.data = weight.abs().amax(1) / 127
        q = _divided(weight, self.scales.detach()[:, None])
        self.int8_weights = torch.round(q).clamp(-127, 127).to(torch.int8)


@slip("W8A16Linear", "buffers that are not persistent are missing in the state dict")
class NotPersistent(_Layer):
    def __init__(self, in_features, out_features, bias=True, dtype=torch.float32):
        super().__init__(in_features, out_features, bias, dtype)
        self.register_buffer("scales", torch.ones(out_features, dtype=dtype), persistent=False)


# Models -----------------------------------------------------------------------------------------------------------------


def _globs(exclude):
    return [exclude] if isinstance(exclude, str) else exclude


def _refuse_linear(model):
    if isinstance(model, nn.Linear):
        raise ValueError


def _replace(model, make, wanted, duplicates=True, kind=lambda module: isinstance(module, nn.Linear), once=True):
    _refuse_linear(model)
    made = {}
    for name, module in list(model.named_modules(remove_duplicate=not duplicates)):
        if kind(module) and wanted(name):
            new = made.setdefault(module, make(module)) if module not in made or not once else made[module]
            parent, _, child = name.rpartition(".")
            setattr(model.get_submodule(parent), child, new)
    return model


@slip("replace_linear_layers", "exclude holds globs on full qualified names: compare 'body.1.head', not only 'head'")
def leaf_names_only(model, make, exclude=()):
    globs = _globs(exclude)
    return _replace(model, make, lambda name: not any(fnmatch(name.rpartition(".")[2], glob) for glob in globs))


@slip("replace_linear_layers", "named_modules tells the first of two names only: ask for remove_duplicate=False")
def first_of_two_names(model, make, exclude=()):
    globs = _globs(exclude)
    return _replace(model, make, lambda name: not any(fnmatch(name, glob) for glob in globs), duplicates=False)


@slip("replace_linear_layers", "a string is one glob; `for glob in exclude` goes through its letters")
def letter_by_letter(model, make, exclude=()):
    return _replace(model, make, lambda name: not any(fnmatch(name, glob) for glob in exclude))


@slip("replace_linear_layers", "exclude holds globs: `in` compares whole names, fnmatch understands * and ?")
def names_for_globs(model, make, exclude=()):
    globs = _globs(exclude)
    return _replace(model, make, lambda name: name not in globs)


@slip("replace_linear_layers", "a glob that matches a parent does not reach the layers below it")
def parents_reach_below(model, make, exclude=()):
    globs = _globs(exclude)

    def wanted(name):
        parts = name.split(".")
        above = [".".join(parts[: end + 1]) for end in range(len(parts))]
        return not any(fnmatch(part, glob) for part in above for glob in globs)

    return _replace(model, make, wanted)


@slip("replace_linear_layers", "subclasses of nn.Linear are replaced too: isinstance, not type() ==")
def exact_type_only(model, make, exclude=()):
    globs = _globs(exclude)
    wanted = lambda name: not any(fnmatch(name, glob) for glob in globs)  # noqa: E731
    return _replace(model, make, wanted, kind=lambda module: type(module) is nn.Linear)


@slip("replace_linear_layers", "only the model's own children were replaced: go down into its modules, at every depth")
def children_only(model, make, exclude=()):
    _refuse_linear(model)
    globs = _globs(exclude)
    for name, module in list(model.named_children()):
        if isinstance(module, nn.Linear) and not any(fnmatch(name, glob) for glob in globs):
            setattr(model, name, make(module))
    return model


@slip("replace_linear_layers", "work in place, on the model that was given: no copy")
def replaced_in_a_copy(model, make, exclude=()):
    _refuse_linear(model)
    return replace_linear_layers(copy.deepcopy(model), make, exclude)


@slip("replace_linear_layers", "a layer under two names is made once and put under both")
def made_for_each_name(model, make, exclude=()):
    globs = _globs(exclude)
    _refuse_linear(model)
    for name, module in list(model.named_modules(remove_duplicate=False)):
        if isinstance(module, nn.Linear) and not any(fnmatch(name, glob) for glob in globs):
            parent, _, child = name.rpartition(".")
            setattr(model.get_submodule(parent), child, make(module))
    return model


def _own(linear, dtype=None, bias=True, quantize=True):
    has_bias = linear.bias is not None and bias
    layer = W8A16Linear(linear.in_features, linear.out_features, has_bias, dtype or linear.weight.dtype)
    if quantize:
        layer.quantize(linear.weight.to(layer.scales.dtype))
    if has_bias:
        layer.bias = linear.bias.detach().clone().to(layer.scales.dtype)
    return layer


@slip("quantize_with_own_layers", "copy the model first: the original stays as it is")
def the_original_changed(model, exclude=()):
    return replace_linear_layers(model, _own, exclude)


@slip("quantize_with_own_layers", "the bias was forgotten: a new layer's is not the old one's")
def bias_not_taken_over(model, exclude=()):
    def make(linear):
        layer = W8A16Linear(linear.in_features, linear.out_features, linear.bias is not None, linear.weight.dtype)
        layer.quantize(linear.weight)
        return layer

    return replace_linear_layers(copy.deepcopy(model), make, exclude)


@slip("quantize_with_own_layers", "a layer without bias stays without: pass bias=linear.bias is not None")
def always_a_bias(model, exclude=()):
    def make(linear):
        layer = W8A16Linear(linear.in_features, linear.out_features, True, linear.weight.dtype)
        layer.quantize(linear.weight)
        if linear.bias is not None:
            layer.bias = linear.bias.detach().clone()
        return layer

    return replace_linear_layers(copy.deepcopy(model), make, exclude)


@slip("quantize_with_own_layers", "the new layer has the weight's own dtype")
def always_float32(model, exclude=()):
    return replace_linear_layers(copy.deepcopy(model), lambda linear: _own(linear, torch.float32), exclude)


@slip("quantize_with_own_layers", "a new layer is empty: call its quantize with the old weight")
def never_quantized(model, exclude=()):
    return replace_linear_layers(copy.deepcopy(model), lambda linear: _own(linear, quantize=False), exclude)


@slip("quantize_with_own_layers", "exclude has to be passed on")
def exclude_not_passed_on(model, exclude=()):
    return replace_linear_layers(copy.deepcopy(model), _own)


# Observers --------------------------------------------------------------------------------------------------------------


def _scale_and_zero_point(low, high, dtype, widen=True):
    low, high = (min(low, 0.0), max(high, 0.0)) if widen else (low, high)
    if low == high:
        return 1.0, 0
    scale = (high - low) / 255
    return scale, round(torch.iinfo(dtype).min - low / scale)


class _Observer(nn.Module):
    """What the slips of the observers change one thing about."""

    momentum = None

    def __init__(self, momentum=0.01):
        super().__init__()
        self.rate = momentum
        self.register_buffer("min", torch.tensor(math.inf))
        self.register_buffer("max", torch.tensor(-math.inf))

    def _moved(self, old, new, first):
        return new if first else old + self.rate * (new - old)

    def forward(self, x):
        low, high = x.detach().float().aminmax()
        first = bool(self.min > self.max)
        if self.momentum is None:
            self.min, self.max = torch.minimum(self.min, low), torch.maximum(self.max, high)
        else:
            self.min, self.max = self._moved(self.min, low, first), self._moved(self.max, high, first)
        return x

    def scale_and_zero_point(self, dtype=torch.int8):
        if self.min > self.max:
            raise ValueError
        return _scale_and_zero_point(self.min.item(), self.max.item(), dtype)


class _Moving(_Observer):
    momentum = "moves"


def _start_at_zero(base):
    class Started(base):
        def __init__(self, momentum=0.01):
            super().__init__(momentum)
            self.min, self.max = torch.tensor(0.0), torch.tensor(0.0)
            self.register_buffer("seen", torch.tensor(False))

        def forward(self, x):
            self.seen = torch.tensor(True)
            return super().forward(x)

        def scale_and_zero_point(self, dtype=torch.int8):
            if not self.seen:
                raise ValueError
            return super().scale_and_zero_point(dtype)

    return Started


def _python_flag(base):
    class Flagged(base):
        def __init__(self, momentum=0.01):
            super().__init__(momentum)
            self.started = False

        def forward(self, x):
            if not self.started:
                self.min, self.max = torch.tensor(math.inf), torch.tensor(-math.inf)
            self.started = True
            return super().forward(x)

    return Flagged


def _last_batch_only(base):
    class Forgetful(base):
        def forward(self, x):
            self.min, self.max = x.detach().float().aminmax()
            return x

    return Forgetful


def _in_training_only(base):
    class Trained(base):
        def forward(self, x):
            return super().forward(x) if self.training else x

    return Trained


def _int8_only(base):
    class Signed(base):
        def scale_and_zero_point(self, dtype=torch.int8):
            return super().scale_and_zero_point(torch.int8)

    return Signed


_START = "start with the first batch's own range: a range that starts at 0 contains 0 for ever, whatever the data are"
_FLAG = "whether a batch was seen has to be in a buffer: a Python flag is not in the state dict"
_EVAL = "observers watch in eval mode too"
_DTYPE = "the codes are those of `dtype`: uint8 begins at 0"

MinMaxFromZero = slip("MinMaxObserver", _START)(_start_at_zero(_Observer))
MinMaxWithFlag = slip("MinMaxObserver", _FLAG)(_python_flag(_Observer))
MinMaxOfTheLast = slip("MinMaxObserver", "widen the range that is noted; it was replaced by the last batch's")(
    _last_batch_only(_Observer)
)
MinMaxInTraining = slip("MinMaxObserver", _EVAL)(_in_training_only(_Observer))
MinMaxSigned = slip("MinMaxObserver", _DTYPE)(_int8_only(_Observer))


@slip(
    "MinMaxObserver",
    "the range has to contain 0 when it becomes a scale, also where all values are positive or negative",
)
class MinMaxNotWidened(_Observer):
    def scale_and_zero_point(self, dtype=torch.int8):
        if self.min > self.max:
            raise ValueError
        return _scale_and_zero_point(self.min.item(), self.max.item(), dtype, widen=False)


@slip("MinMaxObserver", "min and max are buffers (register_buffer): a plain attribute is in no state dict")
class MinMaxAttributes(_Observer):
    def __init__(self, momentum=0.01):
        super().__init__()
        del self.min, self.max
        self.min, self.max = torch.tensor(math.inf), torch.tensor(-math.inf)


MovingFromZero = slip(
    "MovingAverageObserver", "the first batch sets the range; an average that starts at 0 lags behind"
)(_start_at_zero(_Moving))
MovingWithFlag = slip("MovingAverageObserver", _FLAG)(_python_flag(_Moving))
MovingInTraining = slip("MovingAverageObserver", _EVAL)(_in_training_only(_Moving))


@slip("MovingAverageObserver", "momentum is the share of the new batch: (1 - momentum) * old + momentum * new")
class MomentumReversed(_Moving):
    def _moved(self, old, new, first):
        return new if first else new + self.rate * (old - new)


@slip("MovingAverageObserver", "the ends move towards each batch's own: they can become narrower, too")
class OnlyWidened(_Moving):
    def _moved(self, old, new, first):
        moved = super()._moved(old, new, first)
        return moved if first else torch.where(old <= 0, torch.minimum(old, moved), torch.maximum(old, moved))


@slip(
    "MovingAverageObserver",
    "that is the range of all batches; here each batch after the first moves it by momentum only",
)
class NoAverage(_Observer):
    pass


# Training ---------------------------------------------------------------------------------------------------------------


def _fake(x, scale, zero_point, dtype, inside, keep=None):
    codes = torch.iinfo(dtype)
    q = torch.round(x / scale) + zero_point
    y = (q.clamp(codes.min, codes.max) - zero_point) * scale
    return y.detach() + inside(x, q, codes) * (x - x.detach())


@slip("fake_quantize", "the mask belongs to the rounded and shifted code, not to x")
def mask_on_x(x, scale, zero_point, dtype=torch.int8):
    return _fake(x, scale, zero_point, dtype, lambda x, q, codes: (x >= codes.min) & (x <= codes.max))


@slip("fake_quantize", "round before you compare: a quotient of 127.25 has the code 127, which is inside")
def mask_before_rounding(x, scale, zero_point, dtype=torch.int8):
    def inside(x, q, codes):
        exact = x / scale + zero_point
        return (exact >= codes.min) & (exact <= codes.max)

    return _fake(x, scale, zero_point, dtype, inside)


@slip("fake_quantize", "the ends of the range are inside: their gradient is 1")
def ends_left_out(x, scale, zero_point, dtype=torch.int8):
    return _fake(x, scale, zero_point, dtype, lambda x, q, codes: (q > codes.min) & (q < codes.max))


@slip("fake_quantize", "where the clamp cuts a value off, its gradient is 0")
def no_mask(x, scale, zero_point, dtype=torch.int8):
    return _fake(x, scale, zero_point, dtype, lambda x, q, codes: 1.0)


@slip(
    "fake_quantize", "round has the gradient 0: pass the gradient straight through, as in y.detach() + (x - x.detach())"
)
def no_straight_through(x, scale, zero_point, dtype=torch.int8):
    codes = torch.iinfo(dtype)
    return ((torch.round(x / scale) + zero_point).clamp(codes.min, codes.max) - zero_point) * scale


@slip("fake_quantize", "the result is a float32 value, what the code stands for: multiply back")
def codes_returned(x, scale, zero_point, dtype=torch.int8):
    codes = torch.iinfo(dtype)
    q = (torch.round(x / scale) + zero_point).clamp(codes.min, codes.max)
    return q.detach() + (x - x.detach()) * ((q > codes.min) & (q < codes.max))


@slip("fake_quantize", "no clamp: what leaves the dtype's range gets the value of its end")
def fake_without_clamp(x, scale, zero_point, dtype=torch.int8):
    codes = torch.iinfo(dtype)
    q = torch.round(x / scale) + zero_point
    inside = (q >= codes.min) & (q <= codes.max)
    return (torch.round(x / scale) * scale).detach() + inside * (x - x.detach())


class _Trained(nn.Module):
    """What the slips of QATLinear change one thing about."""

    def __init__(self, in_features, out_features, bias=True):
        super().__init__()
        self.weight = nn.Parameter(torch.randn(out_features, in_features) / math.sqrt(in_features))
        self.bias = nn.Parameter(torch.zeros(out_features)) if bias else None

    def _rounded(self):
        return dequantize_per_channel(*quantize_per_channel(self.weight.detach(), 0))

    def forward(self, x):
        return F.linear(x, self._rounded() + (self.weight - self.weight.detach()), self.bias)

    def convert(self):
        layer = W8A16Linear(self.weight.shape[1], self.weight.shape[0], self.bias is not None)
        layer.quantize(self.weight)
        if self.bias is not None:
            layer.bias = self.bias.detach().clone()
        return layer


@slip("QATLinear", "forward must not write the rounded weight back: small steps would be rounded away for ever")
class WeightRoundedInPlace(_Trained):
    def forward(self, x):
        with torch.no_grad():
            self.weight.copy_(self._rounded())
        return F.linear(x, self.weight, self.bias)


class _ThroughTheFloatWeight(torch.autograd.Function):
    @staticmethod
    def forward(ctx, x, weight, rounded):
        ctx.save_for_backward(x, weight)
        return F.linear(x, rounded)

    @staticmethod
    def backward(ctx, upstream):
        x, weight = ctx.saved_tensors
        rows = upstream.reshape(-1, upstream.shape[-1])
        return upstream @ weight, rows.t() @ x.reshape(-1, x.shape[-1]), None


@slip("QATLinear", "the gradient of x goes through the rounded weight, which the forward pass used")
class GradientThroughTheFloatWeight(_Trained):
    def forward(self, x):
        y = _ThroughTheFloatWeight.apply(x, self.weight, self._rounded())
        return y if self.bias is None else y + self.bias


@slip(
    "QATLinear", "the rounded weight is cut off from `weight`: nothing is learned; pass the gradient straight through"
)
class NothingLearned(_Trained):
    def forward(self, x):
        return F.linear(x, self._rounded(), self.bias)


@slip("QATLinear", "forward has to use the rounded weight")
class NeverRounded(_Trained):
    def forward(self, x):
        return F.linear(x, self.weight, self.bias)


@slip("QATLinear", "the scales follow the weight: compute them in every forward, not once")
class ScalesOfTheStart(_Trained):
    def __init__(self, in_features, out_features, bias=True):
        super().__init__(in_features, out_features, bias)
        self.steps = self.weight.detach().abs().amax(1, keepdim=True) / 127

    def _rounded(self):
        return torch.round(self.weight.detach() / self.steps).clamp(-127, 127) * self.steps


@slip("QATLinear", "each row has its own scale, as in the layer it is converted to")
class OneScaleInTraining(_Trained):
    def _rounded(self):
        step = self.weight.detach().abs().max() / 127
        return torch.round(self.weight.detach() / step) * step


@slip("QATLinear", "clone the bias for the converted layer: later training would reach a shared one")
class BiasSharedByConvert(_Trained):
    def convert(self):
        layer = super().convert()
        if self.bias is not None:
            layer.bias = self.bias.detach()
        return layer


@slip("QATLinear", "convert has to take the bias along")
class BiasLostByConvert(_Trained):
    def convert(self):
        layer = super().convert()
        if self.bias is not None:
            layer.bias = torch.zeros_like(self.bias.detach())
        return layer


def _fold(layer, bn, factor=None, own_bias=True, shift=True, mean=True):
    if bn.running_mean is None:
        raise ValueError
    folded = copy.deepcopy(layer)
    with torch.no_grad():
        if factor is None:
            factor = (bn.running_var + bn.eps).rsqrt()
        factor = factor * (1.0 if bn.weight is None else bn.weight)
        folded.weight *= factor.reshape(-1, *[1] * (layer.weight.dim() - 1))
        middle = bn.running_mean if mean else torch.zeros_like(bn.running_mean)
        bias = torch.zeros_like(middle) if layer.bias is None else layer.bias
        folded.bias = nn.Parameter((bias - middle) * factor if own_bias else bias - middle * factor)
        if shift and bn.bias is not None:
            folded.bias += bn.bias
    return folded


@slip("fold_batch_norm", "eps was forgotten: the norm divides by sqrt(running_var + eps)")
def eps_forgotten(layer, bn):
    return _fold(layer, bn, None if bn.running_var is None else bn.running_var.rsqrt())


@slip("fold_batch_norm", "eps stands inside the root: sqrt(running_var + eps)")
def eps_outside_the_root(layer, bn):
    return _fold(layer, bn, None if bn.running_var is None else 1 / (bn.running_var.sqrt() + bn.eps))


@slip("fold_batch_norm", "the layer's own bias goes through the norm too: it is scaled with the weight")
def own_bias_not_scaled(layer, bn):
    return _fold(layer, bn, own_bias=False)


@slip("fold_batch_norm", "divide by the standard deviation, the root of the variance")
def divided_by_the_variance(layer, bn):
    return _fold(layer, bn, None if bn.running_var is None else 1 / (bn.running_var + bn.eps))


@slip("fold_batch_norm", "the norm subtracts its running mean: that belongs into the bias")
def mean_forgotten(layer, bn):
    return _fold(layer, bn, mean=False)


@slip("fold_batch_norm", "the norm's own bias is added at the end")
def shift_forgotten(layer, bn):
    return _fold(layer, bn, shift=False)


@slip("fold_batch_norm", "the convolution's options were lost: stride, padding and its mode, dilation, groups")
def options_lost(layer, bn):
    folded = _fold(layer, bn)
    if isinstance(layer, nn.Linear):
        return folded
    columns = layer.in_channels if layer.groups == 1 else layer.groups
    plain = nn.Conv2d(columns, layer.out_channels, layer.kernel_size, groups=layer.groups)
    plain.weight, plain.bias = folded.weight, folded.bias
    return plain


# Ranges -----------------------------------------------------------------------------------------------------------------


def _check_finite(tensor):
    if tensor.numel() == 0 or not tensor.isfinite().all():
        raise ValueError


def _percentile(tensor, percentile, bits, values=lambda x: x.abs(), divisor=None):
    if not 0 < percentile <= 100:
        raise ValueError
    _check_finite(tensor)
    found = values(tensor.double()).flatten().quantile(percentile / 100).item()
    return found / (divisor or 2 ** (bits - 1) - 1) or 1.0


@slip("percentile_scale", "the percentile of the magnitudes is asked for: abs() first")
def percentile_of_values(tensor, percentile, bits=8):
    return _percentile(tensor, percentile, bits, lambda x: x)


@slip("percentile_scale", "percentile counts to 100; torch.quantile wants a fraction")
def fraction_expected(tensor, percentile, bits=8):
    if not 0 < percentile <= 100:
        raise ValueError
    _check_finite(tensor)
    if percentile > 1:
        raise RuntimeError("quantile() q values must be in the range [0, 1]")
    return _percentile(tensor, percentile * 100, bits)


@slip("percentile_scale", "one percentile of the whole tensor, not the mean of those of its rows")
def rows_averaged(tensor, percentile, bits=8):
    _check_finite(tensor)
    rows = tensor.reshape(len(tensor), -1) if tensor.dim() else tensor.reshape(1, 1)
    found = [_percentile(row, percentile, bits) for row in rows]
    return sum(found) / len(found)


@slip("percentile_scale", "the largest symmetric code of b bits is 2**(b - 1) - 1")
def percentile_over_a_power_of_two(tensor, percentile, bits=8):
    return _percentile(tensor, percentile, bits, divisor=2 ** (bits - 1))


@slip("percentile_scale", "between two values the percentile is interpolated linearly, not the nearest one")
def percentile_not_interpolated(tensor, percentile, bits=8):
    _percentile(tensor, percentile, bits)
    found = tensor.double().abs().flatten().quantile(percentile / 100, interpolation="lower").item()
    return found / (2 ** (bits - 1) - 1) or 1.0


def _mse(tensor, bits, steps, restored, size=lambda error: error.square().sum(), start=1):
    _check_finite(tensor)
    wide, top = tensor.double(), 2 ** (bits - 1) - 1
    largest = wide.abs().max().item()
    if not largest:
        return 1.0
    candidates = [largest / top * i / steps for i in range(start, steps + 1)]
    return min(candidates, key=lambda scale: size(restored(wide, scale, top) - wide).item())


def _clamped(x, scale, top):
    return torch.round(x / scale).clamp(-top, top) * scale


@slip("mse_scale", "clamp in the error too: without it the smallest step always looks best")
def error_without_clamp(tensor, bits=8, steps=100):
    return _mse(tensor, bits, steps, lambda x, scale, top: torch.round(x / scale) * scale)


@slip("mse_scale", "steps says how many candidates there are")
def steps_ignored(tensor, bits=8, steps=100):
    return _mse(tensor, bits, 100, _clamped)


@slip("mse_scale", "that is the scale of the largest magnitude; try smaller ones and take the one of least error")
def largest_magnitude(tensor, bits=8, steps=100):
    return _mse(tensor, bits, 1, _clamped)


@slip("mse_scale", "the squared error is asked for, not the absolute one")
def absolute_error(tensor, bits=8, steps=100):
    return _mse(tensor, bits, steps, _clamped, lambda error: error.abs().sum())


@slip("mse_scale", "the sum of all squared errors counts, not the largest error")
def largest_error(tensor, bits=8, steps=100):
    return _mse(tensor, bits, steps, _clamped, lambda error: error.abs().max())


@slip("mse_scale", "symmetric codes of b bits end at 2**(b - 1) - 1, in the candidates and in the clamp")
def clamped_at_a_power_of_two(tensor, bits=8, steps=100):
    _check_finite(tensor)
    found = _mse(tensor, bits, steps, lambda x, scale, top: torch.round(x / scale).clamp(-top - 1, top + 1) * scale)
    return found * (2 ** (bits - 1) - 1) / 2 ** (bits - 1) if tensor.any() else 1.0
