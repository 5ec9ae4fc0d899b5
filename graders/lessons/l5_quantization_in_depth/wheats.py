"""Honest right variants of lesson 5, in other styles than the reference: none of them may be refused."""

import contextlib
import copy
import fractions
import itertools
import math
from fnmatch import fnmatch, fnmatchcase

import numpy
import torch
import torch.nn.functional as F
from torch import nn
from torch.nn.utils.fusion import fuse_conv_bn_eval, fuse_linear_bn_eval

from graders.judge.contract import wheat
from solutions.l5_quantization_in_depth import MinMaxObserver, W8A16Linear, quantize_per_channel

# Rows and columns -------------------------------------------------------------------------------------------------------


@wheat("quantize_per_channel")
def channel_by_channel(weight, axis):
    if not -weight.dim() <= axis < weight.dim():
        raise IndexError(axis)
    codes, scales = [], []
    for piece in weight.unbind(axis):
        largest = max(abs(value) for value in piece.flatten().tolist())
        scales.append(largest / 127)
        codes.append(torch.round(piece.double() / (scales[-1] or 1)).to(torch.int8))
    shape = [1] * weight.dim()
    shape[axis] = -1
    return torch.stack(codes, axis), torch.tensor(scales).reshape(shape)


@wheat("quantize_per_channel")
def channel_moved_to_the_front(weight, axis):
    rows = weight.movedim(axis, 0)
    flat = rows.reshape(len(rows), -1).double()
    scales = torch.linalg.vector_norm(flat, math.inf, dim=1, keepdim=True) / 127
    codes = (flat / scales).nan_to_num().round().char().reshape(rows.shape).movedim(0, axis)
    shape = [1 if dim != axis % weight.dim() else size for dim, size in enumerate(weight.shape)]
    return codes, scales.float().reshape(shape)


@wheat("quantize_per_channel")
def channel_in_numpy(weight, axis):
    values = weight.numpy()
    axis = numpy.lib.array_utils.normalize_axis_index(axis, values.ndim)
    others = tuple(dim for dim in range(values.ndim) if dim != axis)
    scales = numpy.abs(values).max(axis=others, keepdims=True) / numpy.float32(127)
    codes = numpy.divide(values, scales, out=numpy.zeros_like(values), where=scales > 0)
    return torch.from_numpy(numpy.rint(codes).astype(numpy.int8)), torch.from_numpy(scales)


@wheat("quantize_per_channel")
def channel_by_torch(weight, axis):
    own = range(weight.dim())[axis]
    others = tuple(dim for dim in range(weight.dim()) if dim != own)
    largest = torch.maximum(weight.amax(others, keepdim=True), -weight.amin(others, keepdim=True))
    scales = nn.Parameter((largest * (1 / 127)).clamp(min=1e-30), requires_grad=False)
    zeros = torch.zeros(scales.numel(), dtype=torch.int64)
    quantized = torch.quantize_per_channel(weight, scales.detach().flatten(), zeros, own, torch.qint8)
    return quantized.int_repr(), scales


@wheat("dequantize_per_channel")
def promoted_product(codes, scales):
    return codes * scales


@wheat("dequantize_per_channel")
def product_in_float64(codes, scales):
    return torch.mul(codes.double(), scales.double()).to(torch.float32)


@wheat("dequantize_per_channel")
def product_in_numpy(codes, scales):
    return torch.from_numpy(codes.numpy().astype("float32") * scales.numpy())


@wheat("dequantize_per_channel")
def product_of_expanded_scales(codes, scales):
    return torch.einsum("...,...->...", codes.float(), scales.expand(codes.shape))


# Groups -----------------------------------------------------------------------------------------------------------------


def _check_groups(weight, group_size, bits):
    if bits not in range(2, 9) or group_size < 1 or weight.shape[1] % group_size != 0:
        raise ValueError


@wheat("quantize_per_group")
def group_by_group(weight, group_size, bits=4):
    _check_groups(weight, group_size, bits)
    top = 2 ** (bits - 1) - 1
    codes = torch.empty(weight.shape, dtype=torch.int8)
    scales = torch.empty(weight.shape[0], weight.shape[1] // group_size)
    for row, group in itertools.product(range(scales.shape[0]), range(scales.shape[1])):
        place = slice(group * group_size, (group + 1) * group_size)
        scale = weight[row, place].abs().max() / top
        scales[row, group] = scale
        codes[row, place] = torch.round(weight[row, place] / scale) if scale else 0
    return codes, scales


@wheat("quantize_per_group")
def groups_by_channels(weight, group_size, bits=4):
    _check_groups(weight, group_size, bits)
    top = (1 << (bits - 1)) - 1
    flat = weight.reshape(-1, group_size).double()
    scales = flat.abs().max(dim=1).values.div(top)
    codes = flat.div(scales.where(scales > 0, torch.ones(())).unsqueeze(1)).round().clamp(-top, top)
    return codes.to(torch.int8).view(weight.shape), scales.float().view(len(weight), -1)


@wheat("quantize_per_group")
def groups_in_numpy(weight, group_size, bits=4):
    _check_groups(weight, group_size, bits)
    top = 2 ** (bits - 1) - 1
    groups = numpy.ascontiguousarray(weight.numpy()).reshape(len(weight), -1, group_size)
    scales = numpy.abs(groups).max(-1) / numpy.float32(top)
    with numpy.errstate(all="ignore"):
        codes = numpy.nan_to_num(numpy.rint(groups / scales[..., None]))
    return torch.tensor(codes.reshape(weight.shape).astype("int8")), torch.tensor(scales)


@wheat("quantize_per_group")
def groups_unfolded(weight, group_size, bits=4):
    _check_groups(weight, group_size, bits)
    groups = weight.unfold(1, group_size, group_size)
    scales = groups.abs().amax(-1) * (1 / (2 ** (bits - 1) - 1))
    codes = (groups / scales.unsqueeze(-1).clamp(min=1e-38)).round()
    return codes.flatten(1).to(torch.int8), scales.clamp(min=1e-38)


def _check_division(codes, scales):
    if codes.shape[1] % scales.shape[1] != 0:
        raise ValueError


@wheat("dequantize_per_group")
def groups_unflattened(codes, scales):
    _check_division(codes, scales)
    return (codes.unflatten(1, (scales.shape[1], -1)).float() * scales.unsqueeze(2)).flatten(1)


@wheat("dequantize_per_group")
def groups_indexed(codes, scales):
    _check_division(codes, scales)
    size = codes.shape[1] // scales.shape[1]
    return codes.double().mul(scales.double()[:, torch.arange(codes.shape[1]) // size]).float()


@wheat("dequantize_per_group")
def groups_by_kronecker(codes, scales):
    _check_division(codes, scales)
    return torch.kron(scales.contiguous(), torch.ones(1, codes.shape[1] // scales.shape[1])) * codes


@wheat("dequantize_per_group")
def groups_repeated_in_numpy(codes, scales):
    _check_division(codes, scales)
    wide = numpy.repeat(scales.numpy(), codes.shape[1] // scales.shape[1], axis=1)
    return torch.from_numpy(codes.numpy() * wide)


def _check_size(tensor, group_size):
    if group_size < 1 or tensor.shape[1] % group_size:
        raise ValueError


@wheat("affine_per_group")
def affine_in_float64(tensor, group_size, bits=4):
    _check_size(tensor, group_size)
    groups = tensor.double().reshape(-1, group_size)
    low, high = groups.min(1, keepdim=True).values, groups.max(1, keepdim=True).values
    scales = (high - low) / ((1 << bits) - 1)
    codes = ((groups - low) / scales).nan_to_num(0).round().clamp(0, 2**bits - 1)
    shape = len(tensor), -1
    return codes.byte().reshape(tensor.shape), scales.float().reshape(shape), low.float().reshape(shape)


@wheat("affine_per_group")
def affine_one_by_one(tensor, group_size, bits=4):
    _check_size(tensor, group_size)
    codes, scales, minimums = [], [], []
    for row in tensor.tolist():
        for at in range(0, len(row), group_size):
            group = row[at : at + group_size]
            low, scale = min(group), (max(group) - min(group)) / (2**bits - 1)
            minimums.append(low)
            scales.append(scale if scale else 1.0)
            codes += [round((value - low) / scales[-1]) for value in group]
    shape = len(tensor), -1
    return (
        torch.tensor(codes, dtype=torch.uint8).reshape(tensor.shape),
        torch.tensor(scales).reshape(shape),
        torch.tensor(minimums).reshape(shape),
    )


@wheat("affine_per_group")
def affine_in_numpy(tensor, group_size, bits=4):
    _check_size(tensor, group_size)
    groups = numpy.ascontiguousarray(tensor.numpy()).reshape(len(tensor), -1, group_size)
    low = groups.min(2)
    scales = numpy.ptp(groups, axis=2) / numpy.float32(2**bits - 1)
    safe = numpy.where(scales > 0, scales, numpy.float32(1))
    codes = numpy.rint((groups - low[..., None]) / safe[..., None]).astype(numpy.uint8)
    return torch.from_numpy(codes.reshape(tensor.shape)), torch.from_numpy(scales), torch.from_numpy(low)


# Bytes ------------------------------------------------------------------------------------------------------------------


def _check_codes(codes, bits):
    if bits not in {1, 2, 4} or any(code >= 2**bits for code in codes.tolist()):
        raise ValueError


@wheat("pack_bits")
def packed_by_hand(codes, bits):
    _check_codes(codes, bits)
    found = [0] * math.ceil(len(codes) * bits / 8)
    for index, code in enumerate(codes.tolist()):
        found[index * bits // 8] |= code << (index * bits % 8)
    return torch.tensor(found, dtype=torch.uint8)


@wheat("pack_bits")
def packed_in_numpy(codes, bits):
    _check_codes(codes, bits)
    single = (codes.numpy()[:, None] >> numpy.arange(bits, dtype=numpy.uint8)) & 1
    return torch.from_numpy(numpy.packbits(single.astype(numpy.uint8).reshape(-1), bitorder="little"))


@wheat("pack_bits")
def packed_as_one_integer(codes, bits):
    _check_codes(codes, bits)
    whole = sum(code << (bits * index) for index, code in enumerate(codes.tolist()))
    return torch.tensor(list(whole.to_bytes(-(-len(codes) * bits // 8), "little")), dtype=torch.uint8)


@wheat("pack_bits")
def packed_place_by_place(codes, bits):
    _check_codes(codes, bits)
    each = 8 // bits
    packed = torch.zeros((len(codes) + each - 1) // each, dtype=torch.int32)
    for place in range(each):
        part = codes[place::each].int()
        packed[: len(part)] += part * 2 ** (bits * place)
    return packed.to(torch.uint8)


def _check_count(packed, bits, count):
    if bits not in {1, 2, 4} or count < 0 or count > len(packed) * (8 // bits):
        raise ValueError


@wheat("unpack_bits")
def unpacked_by_hand(packed, bits, count):
    _check_count(packed, bits, count)
    values = packed.tolist()
    found = [(values[index * bits // 8] >> (index * bits % 8)) % 2**bits for index in range(count)]
    return torch.tensor(found, dtype=torch.uint8)


@wheat("unpack_bits")
def unpacked_in_numpy(packed, bits, count):
    _check_count(packed, bits, count)
    single = numpy.unpackbits(packed.numpy(), bitorder="little").reshape(-1, bits)
    return torch.from_numpy((single << numpy.arange(bits)).sum(1).astype(numpy.uint8)[:count])


@wheat("unpack_bits")
def unpacked_by_division(packed, bits, count):
    _check_count(packed, bits, count)
    places = [(packed.int() // 2**shift) % 2**bits for shift in range(0, 8, bits)]
    return torch.stack(places, 1).reshape(-1)[:count].to(torch.uint8)


@wheat("pack_int4")
def nibbles_by_hand(codes):
    if len(codes) and not (int(codes.min()) >= -8 and int(codes.max()) <= 7):
        raise ValueError
    values = [code % 16 for code in codes.tolist()] + [0]
    return torch.tensor([values[at] + 16 * values[at + 1] for at in range(0, len(codes), 2)], dtype=torch.uint8)


@wheat("pack_int4")
def nibbles_by_views(codes):
    if codes.ne(codes.clamp(-8, 7)).any():
        raise ValueError
    low, high = codes[::2], codes[1::2]
    high = torch.cat([high, high.new_zeros(len(low) - len(high))])
    return ((low & 0x0F) | (high << 4)).contiguous().view(torch.uint8)


@wheat("pack_int4")
def nibbles_in_numpy(codes):
    values = codes.numpy()
    if ((values < -8) | (values > 7)).any():
        raise ValueError
    values = numpy.append(values, numpy.zeros(len(values) % 2, numpy.int8)).astype(numpy.uint8) & 15
    return torch.from_numpy(values[::2] | (values[1::2] << 4))


def _check_bytes(packed, count):
    if not 0 <= count <= 2 * len(packed):
        raise ValueError


@wheat("unpack_int4")
def signs_by_hand(packed, count):
    _check_bytes(packed, count)
    halves = [half for byte in packed.tolist() for half in (byte & 15, byte >> 4)]
    return torch.tensor([half if half < 8 else half - 16 for half in halves[:count]], dtype=torch.int8)


@wheat("unpack_int4")
def signs_by_shifts(packed, count):
    _check_bytes(packed, count)
    signed = packed.contiguous().view(torch.int8)
    return torch.stack([(signed << 4) >> 4, signed >> 4], 1).flatten()[:count]


@wheat("unpack_int4")
def signs_by_table(packed, count):
    _check_bytes(packed, count)
    table = torch.tensor([*range(8), *range(-8, 0)], dtype=torch.int8)
    wide = packed.long()
    return table[torch.stack((wide % 16, wide // 16), dim=-1).reshape(-1)][:count]


# Integers ---------------------------------------------------------------------------------------------------------------


def _check_matrices(a, b):
    if {a.dtype, b.dtype} != {torch.int8} or a.ndim != 2 or b.ndim != 2 or a.size(1) != b.size(0):
        raise ValueError


@wheat("int8_matmul")
def product_by_float64(a, b):
    _check_matrices(a, b)
    return (a.double() @ b.double()).to(torch.int32)


@wheat("int8_matmul")
def product_by_torch(a, b):
    _check_matrices(a, b)
    return torch._int_mm(a.contiguous(), b.contiguous())


@wheat("int8_matmul")
def product_in_numpy_int64(a, b):
    _check_matrices(a, b)
    return torch.from_numpy((a.numpy().astype("int64") @ b.numpy().astype("int64")).astype("int32"))


@wheat("int8_matmul")
def product_row_by_row(a, b):
    _check_matrices(a, b)
    wide = b.long()
    return torch.stack([(row.long()[:, None] * wide).sum(0) for row in a]).int()


@wheat("matmul_with_zero_points")
def differences_multiplied(a, zero_a, b, zero_b):
    _check_matrices(a, b)
    return torch.matmul(a.to(torch.int32) - zero_a, b.to(torch.int32) - zero_b)


@wheat("matmul_with_zero_points")
def differences_in_float64(a, zero_a, b, zero_b):
    _check_matrices(a, b)
    return torch.einsum("ik,kj->ij", a.double() - zero_a, b.double() - zero_b).round().int()


@wheat("matmul_with_zero_points")
def widened_with_a_row_and_a_column(a, zero_a, b, zero_b):
    _check_matrices(a, b)
    a, b = a.long(), b.long()
    product = a @ b
    product -= zero_b * a.sum(1)[:, None]
    product -= zero_a * b.sum(0)[None, :]
    return (product + a.shape[1] * zero_a * zero_b).to(torch.int32)


@wheat("requantize")
def requantized_shift_first(accumulator, scale_a, scale_b, scale_out, zero_point=0):
    wide = accumulator.double() * scale_a * scale_b / scale_out + zero_point
    return wide.round().clamp(-128, 127).to(torch.int8)


@wheat("requantize")
def requantized_one_by_one(accumulator, scale_a, scale_b, scale_out, zero_point=0):
    factor = scale_a / scale_out * scale_b
    codes = [min(max(round(value * factor) + zero_point, -128), 127) for value in accumulator.flatten().tolist()]
    return torch.tensor(codes, dtype=torch.int8).reshape(accumulator.shape)


@wheat("requantize")
def requantized_in_numpy(accumulator, scale_a, scale_b, scale_out, zero_point=0):
    wide = numpy.rint(accumulator.numpy() * numpy.float64(scale_a * scale_b / scale_out)) + zero_point
    return torch.from_numpy(numpy.asarray(numpy.clip(wide, -128, 127), dtype=numpy.int8))


@wheat("fixed_point_multiplier")
def multiplier_by_fractions(real):
    if real <= 0 or real >= 1:
        raise ValueError
    shift, exact = 0, fractions.Fraction(real)
    while exact < fractions.Fraction(1, 2):
        exact, shift = exact * 2, shift + 1
    m = round(exact * 2**31)
    return (m, shift) if m < 2**31 else (m // 2, shift - 1)


@wheat("fixed_point_multiplier")
def multiplier_by_doubling(real):
    if not 0.0 < real < 1.0:
        raise ValueError
    shift = -1
    while round(real * 2 ** (31 + shift + 1)) < 2**30 or real * 2.0 ** (shift + 1) < 0.5:
        shift += 1
    m = math.floor(real * 2.0 ** (31 + shift) + 0.5)
    if m < 2**30:
        shift += 1
        m = math.floor(real * 2.0 ** (31 + shift) + 0.5)
    return (2**30, shift - 1) if m == 2**31 else (m, shift)


@wheat("fixed_point_multiplier")
def multiplier_by_numpy(real):
    if not 0 < real < 1:
        raise ValueError
    fraction, exponent = numpy.frexp(numpy.float64(real))
    m, shift = int(numpy.rint(fraction * 2.0**31)), -int(exponent)
    return (m >> 1, shift - 1) if m >> 31 else (m, shift)


# A layer ----------------------------------------------------------------------------------------------------------------


@wheat("W8A16Linear")
class ScalesIntoTheCodes(nn.Module):
    """Scales multiplied into the codes first, buffers filled in place, made with torch.empty."""

    def __init__(self, in_features, out_features, bias=True, dtype=torch.float32):
        super().__init__()
        self.in_features, self.out_features = in_features, out_features
        self.register_buffer("int8_weights", torch.randint(-128, 128, (out_features, in_features), dtype=torch.int8))
        self.register_buffer("scales", torch.randn(out_features, dtype=dtype))
        if bias:
            self.register_buffer("bias", torch.randn(out_features, dtype=dtype))
        else:
            self.bias = None

    @property
    def weight(self):
        return self.int8_weights

    @torch.no_grad()
    def quantize(self, weight):
        codes, scales = quantize_per_channel(weight.float(), 0)
        self.int8_weights.copy_(codes)
        self.scales.copy_(scales.squeeze(1))
        return self

    def forward(self, x):
        weight = self.int8_weights.to(x.dtype) * self.scales.to(x.dtype).unsqueeze(1)
        return F.linear(x, weight, None if self.bias is None else self.bias.to(x.dtype))


@wheat("W8A16Linear")
class QuotientInTheLayersDtype(nn.Module):
    """bfloat16 quotients, clamped; the course's own formula with its error mended."""

    def __init__(self, in_features, out_features, bias=True, dtype=torch.float32):
        super().__init__()
        self.int8_weights = nn.Buffer(torch.zeros((out_features, in_features), dtype=torch.int8))
        self.scales = nn.Buffer(torch.zeros(out_features, dtype=dtype))
        self.register_buffer("bias", None)
        if bias:
            self.bias = torch.zeros(out_features, dtype=dtype)

    weight = property(lambda self: self.int8_weights)

    def quantize(self, weight):
        weight = weight.data.clone()
        scales = weight.abs().max(dim=-1).values / 127
        quotient = weight / scales.unsqueeze(1).clamp(min=torch.finfo(weight.dtype).tiny)
        self.int8_weights = quotient.round().clamp(-127, 127).to(torch.int8)
        self.scales = scales

    def forward(self, x):
        output = F.linear(x, self.int8_weights.to(x.dtype)) * self.scales
        if self.bias is not None:
            output = output + self.bias
        return output.to(x.dtype)


@wheat("W8A16Linear")
class InFloat32Inside(nn.Module):
    """All sums in float32, rounded to the dtype of x at the end; a helper and an attribute more."""

    def __init__(self, in_features, out_features, bias=True, dtype=torch.float32):
        super().__init__()
        self.dtype = dtype
        for name, shape, kind in (
            ("int8_weights", (out_features, in_features), torch.int8),
            ("scales", (out_features,), dtype),
        ):
            self.register_buffer(name, torch.ones(shape, dtype=kind))
        self.register_buffer("bias", torch.ones(out_features, dtype=dtype) if bias else None, persistent=True)

    def quantize(self, weight):
        with torch.no_grad():
            rows = weight.double()
            scales = rows.abs().amax(dim=1)
            self.scales = (scales / 127).to(self.dtype)
            scales[scales == 0] = 1
            self.int8_weights = (rows * 127 / scales[:, None]).round().to(torch.int8)

    def dequantized(self):
        return self.int8_weights.float() * self.scales.float().view(-1, 1)

    def forward(self, x):
        result = torch.matmul(x.float(), self.dequantized().T)
        if self.bias is not None:
            result += self.bias.float()
        return result.type_as(x)


# Models -----------------------------------------------------------------------------------------------------------------


@wheat("replace_linear_layers")
def replaced_by_recursion(model, make, exclude=()):
    if isinstance(model, nn.Linear):
        raise ValueError
    globs, made = ([exclude] if isinstance(exclude, str) else list(exclude)), {}

    def walk(module, prefix):
        for name, child in list(module._modules.items()):
            path = prefix + name
            if isinstance(child, nn.Linear) and not any(fnmatchcase(path, glob) for glob in globs):
                if id(child) not in made:
                    made[id(child)] = child, make(child)
                module._modules[name] = made[id(child)][1]
            elif child is not None:
                walk(child, path + ".")

    walk(model, "")
    return model


@wheat("replace_linear_layers")
def replaced_in_two_passes(model, make, exclude=()):
    if isinstance(model, nn.Linear):
        raise ValueError("a Linear")
    exclude = (exclude,) if isinstance(exclude, str) else tuple(exclude)
    paths = [
        (path, module)
        for path, module in model.named_modules(remove_duplicate=False)
        if isinstance(module, nn.Linear) and not [glob for glob in exclude if fnmatch(path, glob)]
    ]
    unique = list({id(module): module for _, module in paths}.values())
    stands = {id(module): make(module) for module in reversed(unique)}
    for path, module in paths:
        model.set_submodule(path, stands[id(module)])
    return model


@wheat("replace_linear_layers")
def replaced_parent_by_parent(model, make, exclude=()):
    if isinstance(model, nn.Linear):
        raise ValueError
    globs = exclude.split("\n") if isinstance(exclude, str) else exclude
    cache = []
    for prefix, parent in list(model.named_modules(remove_duplicate=False)):
        for name in list(parent._modules):
            child, path = parent._modules[name], f"{prefix}.{name}".lstrip(".")
            if isinstance(child, nn.Linear) and all(not fnmatch(path, glob) for glob in globs):
                known = [new for old, new in cache if old is child]
                if not known:
                    known = [make(child)]
                    cache.append((child, known[0]))
                parent.add_module(name, known[0])
    return model


def _own(linear):
    layer = W8A16Linear(linear.in_features, linear.out_features, linear.bias is not None, linear.weight.dtype)
    layer.quantize(linear.weight.data)
    if linear.bias is not None:
        layer.load_state_dict({"bias": linear.bias.data}, strict=False)
    return layer


@wheat("quantize_with_own_layers")
def own_by_recursion(model, exclude=()):
    return replaced_by_recursion(copy.deepcopy(model), _own, exclude)


@wheat("quantize_with_own_layers")
def own_with_copied_bias(model, exclude=()):
    def make(linear):
        rows, columns = linear.weight.shape
        layer = W8A16Linear(columns, rows, bias=linear.bias is not None, dtype=linear.weight.dtype).eval()
        with torch.no_grad():
            layer.quantize(linear.weight)
            if layer.bias is not None:
                layer.bias.copy_(linear.bias)
        return layer

    clone = copy.deepcopy(model)
    replaced_in_two_passes(clone, make, exclude)
    return clone


@wheat("quantize_with_own_layers")
def own_with_a_layer_of_another_style(model, exclude=()):
    made = type("W8A16Linear", (ScalesIntoTheCodes,), {})

    def make(linear):
        layer = made(linear.in_features, linear.out_features, linear.bias is not None, linear.weight.dtype)
        layer.quantize(linear.weight)
        if linear.bias is not None:
            layer.bias = linear.bias.detach().clone()
        return layer

    return replaced_parent_by_parent(copy.deepcopy(model), make, exclude)


# Observers --------------------------------------------------------------------------------------------------------------


def _scales(low, high, dtype):
    low, high = min(low, 0), max(high, 0)
    if high - low == 0:
        return 1.0, 0
    codes = torch.iinfo(dtype)
    scale = numpy.float64(high - low) / (codes.max - codes.min)
    return scale, int(codes.max - numpy.rint(high / scale))


@wheat("MinMaxObserver")
class CountingObserver(nn.Module):
    """Ranges in place, and a count of batches in a buffer."""

    def __init__(self):
        super().__init__()
        self.register_buffer("min", torch.zeros(()))
        self.register_buffer("max", torch.zeros(()))
        self.register_buffer("count", torch.zeros((), dtype=torch.int64))

    @torch.no_grad()
    def forward(self, x):
        low, high = x.min().to(torch.float32), x.max().to(torch.float32)
        self.min.copy_(torch.minimum(self.min, low) if self.count else low)
        self.max.copy_(torch.maximum(self.max, high) if self.count else high)
        self.count += 1
        return x

    def scale_and_zero_point(self, dtype=torch.int8):
        if not self.count:
            raise ValueError("nothing seen")
        return _scales(self.min.item(), self.max.item(), dtype)


@wheat("MinMaxObserver")
class NanObserver(nn.Module):
    """nan until the first batch; fmin and fmax ignore it."""

    def __init__(self):
        super().__init__()
        self.min = nn.Buffer(torch.full((), torch.nan))
        self.max = nn.Buffer(torch.full((), torch.nan))

    def forward(self, x):
        with torch.no_grad():
            self.min = torch.fmin(self.min, x.amin().float())
            self.max = torch.fmax(self.max, x.amax().float())
        return x

    def scale_and_zero_point(self, dtype=torch.int8):
        if self.min.isnan():
            raise ValueError
        return _scales(float(self.min), float(self.max), dtype)


@wheat("MinMaxObserver")
class PythonNumbers(nn.Module):
    """Computes with Python's floats."""

    def __init__(self):
        super().__init__()
        for name, start in (("min", math.inf), ("max", -math.inf)):
            self.register_buffer(name, torch.tensor(start, dtype=torch.float32))

    def forward(self, x):
        values = x.detach().flatten().tolist()
        self.min = torch.tensor(min(self.min.item(), *values))
        self.max = torch.tensor(max(self.max.item(), *values))
        return x

    def scale_and_zero_point(self, dtype=torch.int8):
        if math.isinf(self.min.item()):
            raise ValueError
        return _scales(self.min.item(), self.max.item(), dtype)


@wheat("MovingAverageObserver")
class WeightedObserver(CountingObserver):
    """(1 - momentum) * old + momentum * new."""

    def __init__(self, momentum=0.01):
        super().__init__()
        self.momentum = momentum

    def forward(self, x):
        low, high = x.detach().float().aminmax()
        share = self.momentum if self.count else 1.0
        self.min = (1 - share) * self.min + share * low
        self.max = (1 - share) * self.max + share * high
        self.count = self.count + 1
        return x


@wheat("MovingAverageObserver")
class LerpObserver(NanObserver):
    """torch.lerp, in place."""

    def __init__(self, momentum=0.01):
        super().__init__()
        self.momentum = momentum

    @torch.no_grad()
    def forward(self, x):
        for buffer, value in ((self.min, x.min()), (self.max, x.max())):
            buffer.copy_(value.float() if buffer.isnan() else torch.lerp(buffer, value.float(), self.momentum))
        return x


@wheat("MovingAverageObserver")
class Float64Observer(MinMaxObserver):
    """On top of the exercise before it, computed with Python's floats."""

    def __init__(self, momentum=0.01):
        super().__init__()
        self.share = momentum

    def forward(self, x):
        for name, value in (("min", x.detach().min().item()), ("max", x.detach().max().item())):
            old = getattr(self, name).item()
            setattr(self, name, torch.tensor(value if math.isinf(old) else old + self.share * (value - old)))
        return x


# Training ---------------------------------------------------------------------------------------------------------------


@wheat("fake_quantize")
def fake_by_torch(x, scale, zero_point, dtype=torch.int8):
    codes = torch.iinfo(dtype)
    return torch.fake_quantize_per_tensor_affine(x, float(scale), zero_point, codes.min, codes.max)


@wheat("fake_quantize")
def fake_by_difference(x, scale, zero_point, dtype=torch.int8):
    codes = torch.iinfo(dtype)
    with torch.no_grad():
        q = (x / scale).round() + zero_point
        y = (q.clamp(codes.min, codes.max) - zero_point) * scale
        outside = (q < codes.min) | (q > codes.max)
    through = torch.where(outside, x.detach(), x)
    return through + (y - through).detach()


class _Fake(torch.autograd.Function):
    @staticmethod
    def forward(ctx, x, scale, zero_point, low, high):
        q = torch.round(x / scale) + zero_point
        ctx.save_for_backward(torch.eq(q, q.clamp(low, high)))
        return (q.clamp(low, high) - zero_point) * scale

    @staticmethod
    def backward(ctx, upstream):
        (inside,) = ctx.saved_tensors
        return upstream * inside, None, None, None, None


@wheat("fake_quantize")
def fake_by_function(x, scale, zero_point, dtype=torch.int8):
    codes = torch.iinfo(dtype)
    return _Fake.apply(x, scale, zero_point, codes.min, codes.max)


@wheat("fake_quantize")
def fake_in_float64(x, scale, zero_point, dtype=torch.int8):
    low, high = (-128, 127) if dtype == torch.int8 else (0, 255)
    scale = scale.item() if isinstance(scale, torch.Tensor) else scale
    q = torch.round(x.detach().double() / scale) + zero_point
    y = ((q.clamp(low, high) - zero_point) * scale).float()
    mask = ((low <= q) * (q <= high)).float()
    return x * mask + (y - x.detach() * mask)


@wheat("QATLinear")
class ByDifference(nn.Module):
    """weight + (rounded - weight).detach(), scales without a graph; the bias by register_parameter."""

    def __init__(self, in_features, out_features, bias=True):
        super().__init__()
        self.weight = nn.Parameter(torch.empty(out_features, in_features))
        nn.init.kaiming_uniform_(self.weight)
        self.register_parameter("bias", nn.Parameter(torch.randn(out_features)) if bias else None)

    def forward(self, x):
        scales = self.weight.detach().abs().amax(dim=1, keepdim=True) / 127
        rounded = torch.round(self.weight / scales.clamp(min=1e-30)) * scales
        return x @ (self.weight + (rounded - self.weight).detach()).T + (0 if self.bias is None else self.bias)

    def convert(self):
        made = W8A16Linear(self.weight.size(1), self.weight.size(0), bias=self.bias is not None)
        made.quantize(self.weight.data)
        if self.bias is not None:
            made.load_state_dict({"bias": self.bias.data}, strict=False)
        return made


@wheat("QATLinear")
class OnTopOfLinear(nn.Linear):
    """A subclass of nn.Linear."""

    def __init__(self, in_features, out_features, bias=True):
        super().__init__(in_features, out_features, bias)

    def forward(self, x):
        rows = [_row(row) for row in self.weight]
        return F.linear(x, torch.stack(rows), self.bias)

    def convert(self):
        with torch.no_grad():
            layer = W8A16Linear(self.in_features, self.out_features, self.bias is not None)
            layer.quantize(self.weight)
            with contextlib.suppress(TypeError, AttributeError):
                layer.bias.copy_(self.bias)
        return layer


def _row(row):
    scale = row.detach().abs().max().item() / 127 or 1.0
    return torch.fake_quantize_per_tensor_affine(row, scale, 0, -128, 127)


class _Through(torch.autograd.Function):
    @staticmethod
    def forward(ctx, weight):
        codes, scales = quantize_per_channel(weight, 0)
        return codes * scales

    @staticmethod
    def backward(ctx, upstream):
        return upstream


@wheat("QATLinear")
class ByFunction(nn.Module):
    """A function with its own backward."""

    def __init__(self, in_features, out_features, bias=True):
        super().__init__()
        self.weight = nn.Parameter(torch.zeros(out_features, in_features))
        self.bias = nn.Parameter(torch.zeros(out_features)) if bias else None

    def forward(self, x):
        y = torch.einsum("...i,oi->...o", x, _Through.apply(self.weight))
        return y if self.bias is None else y.add(self.bias)

    def convert(self):
        layer = W8A16Linear(*reversed(self.weight.shape), self.bias is not None, torch.float32)
        layer.quantize(self.weight.detach().clone())
        layer.bias = None if self.bias is None else self.bias.detach().clone()
        return layer


def _refuse_norm(bn):
    if bn.running_mean is None:
        raise ValueError


@wheat("fold_batch_norm")
def folded_by_torch(layer, bn):
    _refuse_norm(bn)
    fuse = fuse_linear_bn_eval if isinstance(layer, nn.Linear) else fuse_conv_bn_eval
    norm = copy.deepcopy(bn).eval()
    if norm.weight is None:
        norm.weight = nn.Parameter(torch.ones_like(norm.running_mean))
        norm.bias = nn.Parameter(torch.zeros_like(norm.running_mean))
    return fuse(copy.deepcopy(layer).eval(), norm)


@wheat("fold_batch_norm")
def folded_in_float64(layer, bn):
    _refuse_norm(bn)
    deviation = torch.sqrt(bn.running_var.double() + bn.eps)
    gain = 1 if bn.weight is None else bn.weight.detach().double()
    factor = gain / deviation
    shift = 0 if bn.bias is None else bn.bias.detach().double()
    own = 0 if layer.bias is None else layer.bias.detach().double()
    new = copy.deepcopy(layer).requires_grad_(False)
    weight = layer.weight.detach().double() * factor.view([-1] + [1] * (layer.weight.dim() - 1))
    new.weight = nn.Parameter(weight.float())
    new.bias = nn.Parameter(((own - bn.running_mean.double()) * factor + shift).float())
    return new


@wheat("fold_batch_norm")
def folded_channel_by_channel(layer, bn):
    _refuse_norm(bn)
    if isinstance(layer, nn.Linear):
        new = nn.Linear(layer.in_features, layer.out_features)
    else:
        new = nn.Conv2d(
            layer.in_channels,
            layer.out_channels,
            layer.kernel_size,
            layer.stride,
            layer.padding,
            layer.dilation,
            layer.groups,
            True,
            layer.padding_mode,
        )
    with torch.no_grad():
        for row in range(len(new.weight)):
            factor = (bn.running_var[row] + bn.eps) ** -0.5
            factor = factor if bn.weight is None else factor * bn.weight[row]
            new.weight[row] = layer.weight[row] * factor
            new.bias[row] = -bn.running_mean[row] * factor
            new.bias[row] += 0 if layer.bias is None else layer.bias[row] * factor
            new.bias[row] += 0 if bn.bias is None else bn.bias[row]
    return new


# Ranges -----------------------------------------------------------------------------------------------------------------


def _check(tensor, percentile=1.0):
    if not 0 < percentile <= 100 or not len(tensor.reshape(-1)) or not torch.isfinite(tensor).all():
        raise ValueError


@wheat("percentile_scale")
def percentile_in_numpy(tensor, percentile, bits=8):
    _check(tensor, percentile)
    found = numpy.percentile(numpy.abs(tensor.double().numpy()), percentile)
    return found / (2 ** (bits - 1) - 1) if found else 1.0


@wheat("percentile_scale")
def percentile_by_sorting(tensor, percentile, bits=8):
    _check(tensor, percentile)
    ordered = sorted(abs(value) for value in tensor.reshape(-1).tolist())
    place = (len(ordered) - 1) * percentile / 100
    low, share = math.floor(place), place - math.floor(place)
    high = min(low + 1, len(ordered) - 1)
    found = ordered[low] * (1 - share) + ordered[high] * share
    return found / (2 ** (bits - 1) - 1) if found else 1.0


@wheat("percentile_scale")
def percentile_by_sorted_tensor(tensor, percentile, bits=8):
    _check(tensor, percentile)
    ordered = tensor.to(torch.float64).reshape(-1).abs().sort().values
    place = percentile * (ordered.numel() - 1) / 100
    pair = ordered[[int(place), min(int(place) + 1, ordered.numel() - 1)]]
    found = torch.lerp(pair[0], pair[1], place - int(place)).item()
    return 1.0 if found == 0 else found / ((1 << bits - 1) - 1)


@wheat("mse_scale")
def mse_all_at_once(tensor, bits=8, steps=100):
    _check(tensor)
    wide, top = tensor.double().reshape(1, -1), 2 ** (bits - 1) - 1
    largest = wide.abs().max()
    if largest == 0:
        return 1.0
    scales = largest / top * torch.arange(1, steps + 1, dtype=torch.float64)[:, None] / steps
    errors = ((wide / scales).round().clamp(-top, top) * scales - wide).pow(2).sum(1)
    return scales[errors.argmin()].item()


@wheat("mse_scale")
def mse_from_above_in_float32(tensor, bits=8, steps=100):
    _check(tensor)
    wide, top = tensor.float(), 2 ** (bits - 1) - 1
    largest = wide.abs().max().item()
    best, least = 1.0, math.inf
    for i in range(steps, 0, -1):
        scale = largest * i / (top * steps)
        if scale == 0:
            break
        error = (torch.clamp(torch.round(wide / scale), -top, top) * scale - wide).double().square().sum().item()
        if error < least:
            best, least = scale, error
    return best


@wheat("mse_scale")
def mse_in_numpy(tensor, bits=8, steps=100):
    _check(tensor)
    values, top = tensor.double().numpy(), 2 ** (bits - 1) - 1
    largest = numpy.abs(values).max()
    if not largest:
        return 1.0
    candidates = numpy.linspace(largest / top / steps, largest / top, steps)
    errors = [numpy.sum((numpy.clip(numpy.rint(values / s), -top, top) * s - values) ** 2) for s in candidates]
    return candidates[int(numpy.argmin(errors))]
