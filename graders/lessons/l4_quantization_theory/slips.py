"""Recognised mistakes of lesson 4: each gives a wrong answer of its own, and the sentence that its author should read."""

import copy
import json
import math
from fnmatch import fnmatch
from pathlib import Path

import torch
from optimum import quanto
from safetensors.torch import load_file, save_file
from torch import nn

from graders.judge.contract import slip
from solutions.l4_quantization_theory import (
    compare_precisions,
    generate_text,
    linear_dequantize,
    quantize_model,
    save_quantized,
    stored_bytes,
)


def _refuse(values):
    if values.numel() == 0 or not values.isfinite().all():
        raise ValueError


def _refuse_unequal(tensor, restored):
    if tensor.shape != restored.shape or tensor.numel() == 0:
        raise ValueError


# The arithmetic ---------------------------------------------------------------------------------------------------------


def _affine(tensor, dtype, low, high, steps=None, to_int=round, start=True):
    _refuse(tensor)
    if low == high:
        return 1.0, 0
    codes = torch.iinfo(dtype)
    scale = (high - low) / (steps or codes.max - codes.min)
    return scale, to_int((codes.min if start else 0) - low / scale)


def _range(tensor):
    _refuse(tensor)
    return min(tensor.min().item(), 0.0), max(tensor.max().item(), 0.0)


@slip("scale_and_zero_point", "the zero point starts at the dtype's smallest value: -128 for int8, not 0")
def zero_point_from_zero(tensor, dtype=torch.int8):
    return _affine(tensor, dtype, *_range(tensor), start=False)


@slip("scale_and_zero_point", "the range has to contain 0, also where all values are positive or all negative")
def range_without_zero(tensor, dtype=torch.int8):
    _refuse(tensor)
    return _affine(tensor, dtype, tensor.min().item(), tensor.max().item())


@slip(
    "scale_and_zero_point", "the range has to contain 0: a zero point that is clamped instead no longer fits its scale"
)
def zero_point_clamped(tensor, dtype=torch.int8):
    scale, zero_point = range_without_zero(tensor, dtype)
    codes = torch.iinfo(dtype)
    return scale, max(codes.min, min(codes.max, zero_point))


@slip("scale_and_zero_point", "the codes are those of `dtype`: uint8 begins at 0")
def always_to_int8(tensor, dtype=torch.int8):
    return _affine(tensor, torch.int8, *_range(tensor))


@slip("scale_and_zero_point", "mind the sign: low = scale * (smallest code - zero_point), solved for the zero point")
def zero_point_mirrored(tensor, dtype=torch.int8):
    scale, zero_point = _affine(tensor, dtype, *_range(tensor))
    return (scale, 2 * torch.iinfo(dtype).min - zero_point) if tensor.any() else (1.0, 0)


@slip("scale_and_zero_point", "256 codes have 255 steps between them")
def one_step_too_many(tensor, dtype=torch.int8):
    return _affine(tensor, dtype, *_range(tensor), steps=256)


@slip("scale_and_zero_point", "the zero point is rounded to nearest: int() cuts it off, floor and ceil go to one side")
def zero_point_cut_off(tensor, dtype=torch.int8):
    return _affine(tensor, dtype, *_range(tensor), to_int=int)


@slip("scale_and_zero_point", "the zero point is rounded to nearest: int() cuts it off, floor and ceil go to one side")
def zero_point_floored(tensor, dtype=torch.int8):
    return _affine(tensor, dtype, *_range(tensor), to_int=math.floor)


@slip(
    "scale_and_zero_point", "the width of the range is computed in the tensor's own dtype, where it overflows or rounds"
)
def range_in_its_dtype(tensor, dtype=torch.int8):
    _refuse(tensor)
    low, high = tensor.min().clamp(max=0), tensor.max().clamp(min=0)
    width = (high - low).item()
    if width == 0:
        return 1.0, 0
    codes = torch.iinfo(dtype)
    scale = width / (codes.max - codes.min)
    return scale, round(codes.min - low.item() / scale)


@slip(
    "scale_and_zero_point", "the width of the range is computed in the tensor's own dtype, where it overflows or rounds"
)
def scale_in_its_dtype(tensor, dtype=torch.int8):
    _refuse(tensor)
    low, high = tensor.min().clamp(max=0), tensor.max().clamp(min=0)
    if low == high:
        return 1.0, 0
    codes = torch.iinfo(dtype)
    scale = ((high - low) / (codes.max - codes.min)).item()
    return scale, round(codes.min - low.item() / scale)


@slip(
    "scale_and_zero_point",
    "only a range of width 0 needs a scale of its own: with a floor under the scale (eps), small values lose their codes",
)
def floor_under_the_scale(tensor, dtype=torch.int8):
    low, high = _range(tensor)
    if low == high:
        return 1.0, 0
    codes = torch.iinfo(dtype)
    scale = max((high - low) / (codes.max - codes.min), torch.finfo(torch.float32).eps)
    return scale, round(codes.min - low / scale)


@slip(
    "scale_and_zero_point",
    "that is the symmetric scale, which fixes the zero point at 0; the affine map puts the smallest value on the smallest "
    "code and the largest on the largest",
)
def symmetric_instead(tensor, dtype=torch.int8):
    _refuse(tensor)
    return tensor.double().abs().max().item() / torch.iinfo(dtype).max or 1.0, 0


_ZERO_POINT_IS_AN_INT = "the zero point is a code, so an int, rounded to nearest: round() of a Python float gives one"


@slip("scale_and_zero_point", _ZERO_POINT_IS_AN_INT)
def zero_point_not_rounded(tensor, dtype=torch.int8):
    return _affine(tensor, dtype, *_range(tensor), to_int=float)


@slip("scale_and_zero_point", _ZERO_POINT_IS_AN_INT)
def zero_point_as_float(tensor, dtype=torch.int8):
    return _affine(tensor, dtype, *_range(tensor), to_int=lambda number: float(round(number)))


def _codes(tensor, scale, zero_point, dtype, rounding=torch.round):
    if tensor.isnan().any():
        raise ValueError
    codes = torch.iinfo(dtype)
    return (rounding(tensor.double() / scale) + zero_point).clamp(codes.min, codes.max).to(dtype)


@slip("linear_quantize", "a cast cuts the fraction off; round before it")
def codes_cut_off(tensor, scale, zero_point, dtype=torch.int8):
    return _codes(tensor, scale, zero_point, dtype, torch.trunc)


@slip("linear_quantize", "a cast cuts the fraction off; round before it")
def shifted_and_cut_off(tensor, scale, zero_point, dtype=torch.int8):
    if tensor.isnan().any():
        raise ValueError
    codes = torch.iinfo(dtype)
    return (tensor.double() / scale + zero_point).clamp(codes.min, codes.max).to(dtype)


@slip("linear_quantize", "floor always goes down; round goes to the nearest")
def codes_floored(tensor, scale, zero_point, dtype=torch.int8):
    return _codes(tensor, scale, zero_point, dtype, torch.floor)


@slip("linear_quantize", "the codes are those of `dtype`: clamp to its range, and cast to it")
def always_int8_codes(tensor, scale, zero_point, dtype=torch.int8):
    return _codes(tensor, scale, zero_point, torch.int8)


@slip("linear_quantize", "the codes are those of `dtype`: clamp to its range, and cast to it")
def clamped_as_int8(tensor, scale, zero_point, dtype=torch.int8):
    return _codes(tensor, scale, zero_point, torch.int8).to(dtype)


@slip("linear_quantize", "the smallest code counts too: int8 reaches down to -128")
def smallest_code_unused(tensor, scale, zero_point, dtype=torch.int8):
    return _codes(tensor, scale, zero_point, dtype).clamp(min=torch.iinfo(dtype).min + 1)


@slip("linear_quantize", "a tie goes to the even neighbour (torch.round), not away from zero")
def codes_half_away(tensor, scale, zero_point, dtype=torch.int8):
    return _codes(tensor, scale, zero_point, dtype, lambda t: t.sign() * (t.abs() + 0.5).floor())


@slip("linear_quantize", "a tie goes to the even neighbour (torch.round), not up")
def codes_half_up(tensor, scale, zero_point, dtype=torch.int8):
    return _codes(tensor, scale, zero_point, dtype, lambda t: (t + 0.5).floor())


@slip("linear_quantize", "the cast wraps whatever is out of range: clamp first")
def codes_not_clamped(tensor, scale, zero_point, dtype=torch.int8):
    if tensor.isnan().any():
        raise ValueError
    return (torch.round(tensor.double() / scale) + zero_point).to(dtype)


@slip(
    "linear_quantize", "a cast of inf or of a huge number to an integer dtype is undefined: clamp as floats, then cast"
)
def cast_to_int32_before_the_clamp(tensor, scale, zero_point, dtype=torch.int8):
    if tensor.isnan().any():
        raise ValueError
    codes = torch.iinfo(dtype)
    return (torch.round(tensor.double() / scale).to(torch.int32) + zero_point).clamp(codes.min, codes.max).to(dtype)


@slip("linear_quantize", "the tensor that was given is changed: methods that end in _ work in place")
def quantized_in_place(tensor, scale, zero_point, dtype=torch.int8):
    codes = _codes(tensor, scale, zero_point, dtype)
    tensor.div_(scale)
    return codes


@slip("linear_quantize", "clamp after the shift: the codes have to be in range, not the quotients")
def codes_clamped_too_early(tensor, scale, zero_point, dtype=torch.int8):
    if tensor.isnan().any():
        raise ValueError
    codes = torch.iinfo(dtype)
    return (torch.round(tensor.double() / scale).clamp(codes.min, codes.max) + zero_point).to(torch.int64).to(dtype)


@slip("linear_quantize", "the zero point is added: it is the code of 0.0")
def zero_point_subtracted(tensor, scale, zero_point, dtype=torch.int8):
    return _codes(tensor, scale, -zero_point, dtype)


@slip("linear_quantize", "divide by the scale; to multiply is the way back")
def multiplied_by_scale(tensor, scale, zero_point, dtype=torch.int8):
    return _codes(tensor, 1 / scale, zero_point, dtype)


@slip("linear_dequantize", "the subtraction wraps in 8 bits: convert the codes to float before it")
def subtracted_in_8_bits(q, scale, zero_point):
    return (q - zero_point).float() * scale


@slip("linear_dequantize", "the zero point is subtracted on the way back")
def zero_point_added(q, scale, zero_point):
    return linear_dequantize(q, scale, -zero_point)


@slip("linear_dequantize", "subtract first, then multiply: the zero point is a code, not a value")
def multiplied_first(q, scale, zero_point):
    return q.float() * scale - zero_point


@slip("linear_dequantize", "subtract first, then multiply: the zero point is a code, not a value")
def zero_point_added_last(q, scale, zero_point):
    return q.float() * scale + zero_point


@slip(
    "linear_dequantize",
    "two products are rounded, each for itself: subtract the codes first, so that the zero point gives exactly 0",
)
def two_products(q, scale, zero_point):
    return q.float() * scale - zero_point * scale


@slip("linear_dequantize", "the zero point is missing")
def no_zero_point(q, scale, zero_point):
    return q.float() * scale


@slip("symmetric_scale", "the largest magnitude counts, whichever its sign: you took the largest value")
def largest_value(tensor, dtype=torch.int8):
    _refuse(tensor)
    largest = tensor.max().item()
    return largest / torch.iinfo(dtype).max if largest else 1.0


@slip("symmetric_scale", "divide by the dtype's largest value: 127 for int8, not 128")
def one_code_too_many(tensor, dtype=torch.int8):
    _refuse(tensor)
    return tensor.abs().max().item() / (torch.iinfo(dtype).max + 1) or 1.0


@slip("symmetric_scale", "the largest value is that of `dtype`: 127 is int8's")
def always_127(tensor, dtype=torch.int8):
    _refuse(tensor)
    return tensor.abs().max().item() / 127 or 1.0


@slip("symmetric_scale", "the largest magnitude is asked for, not the mean")
def mean_of_magnitudes(tensor, dtype=torch.int8):
    _refuse(tensor)
    return tensor.abs().mean().item() / torch.iinfo(dtype).max or 1.0


@slip("symmetric_scale", "zeros need a scale too: 1.0, since nothing can be divided by 0")
def zero_scale(tensor, dtype=torch.int8):
    _refuse(tensor)
    return tensor.abs().max().item() / torch.iinfo(dtype).max


@slip(
    "symmetric_scale",
    "that is the affine scale; the symmetric one has zero in the middle and needs the largest magnitude alone",
)
def affine_scale(tensor, dtype=torch.int8):
    _refuse(tensor)
    codes = torch.iinfo(dtype)
    return (tensor.max() - tensor.min()).item() / (codes.max - codes.min) or 1.0


@slip(
    "symmetric_scale", "only zeros need a scale of their own: a floor under the scale (eps) is wrong for small values"
)
def floor_under_the_symmetric_scale(tensor, dtype=torch.int8):
    _refuse(tensor)
    largest = tensor.abs().max().item()
    return max(largest / torch.iinfo(dtype).max, 1e-8) if largest else 1.0


@slip("quantization_error", "the mean of squares is asked for, you took the mean of magnitudes")
def mean_magnitude(tensor, restored):
    _refuse_unequal(tensor, restored)
    return (tensor.double() - restored.double()).abs().mean().item()


@slip("quantization_error", "the mean of squares is asked for, without the root")
def root_mean_square(tensor, restored):
    _refuse_unequal(tensor, restored)
    return math.sqrt((tensor.double() - restored.double()).square().mean().item())


@slip("quantization_error", "divide the sum of squares by the number of elements")
def sum_of_squares(tensor, restored):
    _refuse_unequal(tensor, restored)
    return (tensor.double() - restored.double()).square().sum().item()


@slip(
    "quantization_error",
    "convert to float64 first: differences and squares overflow and round in the tensors' own dtype",
)
def error_in_its_dtype(tensor, restored):
    _refuse_unequal(tensor, restored)
    return (tensor - restored).square().mean().item()


@slip(
    "quantization_error",
    "convert to float64 first: differences and squares overflow and round in the tensors' own dtype",
)
def difference_in_its_dtype(tensor, restored):
    _refuse_unequal(tensor, restored)
    return (tensor - restored).double().square().mean().item()


def _decibel(tensor, restored, factor=10.0, log=math.log10, wide=True):
    _refuse_unequal(tensor, restored)
    if wide:
        tensor, restored = tensor.double(), restored.double()
    signal, noise = tensor.square().sum().item(), (tensor - restored).square().sum().item()
    if noise == 0:
        return math.inf
    ratio = signal / noise
    return -math.inf if ratio == 0 else factor * log(ratio)


@slip("sqnr_db", "the factor is 10 for a ratio of powers; 20 is for amplitudes")
def twenty_decibel(tensor, restored):
    return _decibel(tensor, restored, factor=20.0)


@slip("sqnr_db", "signal over noise: you divided the other way round")
def noise_over_signal(tensor, restored):
    return _decibel(tensor, restored, factor=-10.0)


@slip("sqnr_db", "decibel use the decimal logarithm")
def natural_logarithm(tensor, restored):
    return _decibel(tensor, restored, log=math.log)


@slip("sqnr_db", "decibel use the decimal logarithm")
def binary_logarithm(tensor, restored):
    return _decibel(tensor, restored, log=math.log2)


@slip("sqnr_db", "ten decibel are one bel: the factor 10 is missing")
def bel(tensor, restored):
    return _decibel(tensor, restored, factor=1.0)


@slip("sqnr_db", "convert to float64 first: squares overflow and round in the tensors' own dtype")
def decibel_in_its_dtype(tensor, restored):
    return _decibel(tensor, restored, wide=False)


@slip("sqnr_db", "the noise is rounded in the tensors' own dtype: convert both to float64, then subtract")
def noise_in_its_dtype(tensor, restored):
    _refuse_unequal(tensor, restored)
    signal, noise = tensor.double().square().sum().item(), (tensor - restored).double().square().sum().item()
    if noise == 0:
        return math.inf
    return 10 * math.log10(signal / noise) if signal else -math.inf


def _rows(weight, scales, rounding=torch.round):
    return rounding(weight / torch.where(scales > 0, scales, 1.0)).to(torch.int8), scales


@slip("quantize_rows", "each row has a scale of its own; you took the matrix's")
def one_scale_for_all(weight):
    return _rows(weight, (weight.abs().max() / 127).expand(len(weight), 1).clone())


@slip("quantize_rows", "each row has a scale of its own; you took the matrix's")
def one_scalar_for_all(weight):
    return _rows(weight, weight.abs().max() / 127)


@slip("quantize_rows", "one scale for each row: reduce along the columns (dim 1)")
def one_scale_for_each_column(weight):
    return _rows(weight, weight.abs().amax(dim=0, keepdim=True) / 127)


@slip("quantize_rows", "a row's largest magnitude lands on 127, not 128")
def rows_over_128(weight):
    return _rows(weight, weight.abs().amax(dim=1, keepdim=True) / 128, lambda t: torch.round(t).clamp(-128, 127))


@slip("quantize_rows", "a cast cuts the fraction off; round before it")
def rows_cut_off(weight):
    return _rows(weight, weight.abs().amax(dim=1, keepdim=True) / 127, torch.trunc)


@slip("quantize_rows", "a tie goes to the even neighbour (torch.round), not away from zero")
def rows_half_away(weight):
    return _rows(weight, weight.abs().amax(dim=1, keepdim=True) / 127, lambda t: t.sign() * (t.abs() + 0.5).floor())


@slip("quantize_rows", "floor always goes down; round goes to the nearest")
def rows_floored(weight):
    return _rows(weight, weight.abs().amax(dim=1, keepdim=True) / 127, torch.floor)


@slip("quantize_rows", "the scales are of shape (rows, 1), so that they multiply row by row: keepdim=True")
def scales_without_a_column(weight):
    codes, scales = _rows(weight, weight.abs().amax(dim=1, keepdim=True) / 127)
    return codes, scales.squeeze(1)


@slip("quantize_rows", "a product with 1 / scale is not quite the quotient: divide, and ties go to even as quanto's do")
def rows_by_reciprocal(weight):
    scales = weight.abs().amax(dim=1, keepdim=True) / 127
    return torch.round(weight * torch.where(scales > 0, 1 / scales, 0.0)).to(torch.int8), scales


@slip("quantize_rows", "divide in float32, as quanto does: float64's quotient may lie on the other side of a half")
def rows_in_float64(weight):
    codes, scales = _rows(weight.double(), weight.double().abs().amax(dim=1, keepdim=True) / 127)
    return codes, scales.float()


@slip("quantize_rows", "divide in float32, as quanto does: float64's quotient may lie on the other side of a half")
def quotients_in_float64(weight):
    scales = weight.abs().amax(dim=1, keepdim=True) / 127
    return _rows(weight.double(), scales.double())[0], scales


@slip(
    "quantize_rows",
    "only a row of zeros needs another divisor: a floor under the scales (eps) is wrong for a row of small weights",
)
def floor_under_the_rows(weight):
    return _rows(weight, (weight.abs().amax(dim=1, keepdim=True) / 127).clamp(min=1e-8))


@slip("quantize_rows", "a row's largest value may be negative: take magnitudes")
def rows_by_largest_value(weight):
    return _rows(weight, weight.amax(dim=1, keepdim=True) / 127, lambda t: torch.round(t).clamp(-128, 127))


# Whole models -----------------------------------------------------------------------------------------------------------


@slip("quantize_model", "this one only quantizes; freeze is the next exercise")
def frozen_too_early(model, weights="qint8", activations=None, exclude=None):
    quantize_model(model, weights, activations, exclude)
    quanto.freeze(model)
    return model


@slip("quantize_model", "the model is quantized in place: you returned a copy")
def quantized_a_copy(model, weights="qint8", activations=None, exclude=None):
    return quantize_model(copy.deepcopy(model), weights, activations, exclude)


@slip("quantize_model", "exclude has no effect here: pass it on to quanto as it is")
def exclude_forgotten(model, weights="qint8", activations=None, exclude=None):
    return quantize_model(model, weights, activations)


@slip("quantize_model", "activations are not passed on to quanto")
def activations_forgotten(model, weights="qint8", activations=None, exclude=None):
    quantize_model(copy.deepcopy(model), weights, activations)
    return quantize_model(model, weights, exclude=exclude)


@slip("quantize_model", "quanto.quantize works in place and returns None: return the model")
def quantized_and_lost(model, weights="qint8", activations=None, exclude=None):
    quantize_model(model, weights, activations, exclude)


_UNCHECKED = "check the type first: quanto ends in a KeyError for what it does not know, and takes None without a word"


@slip("quantize_model", _UNCHECKED)
def unknown_types_passed_on(model, weights="qint8", activations=None, exclude=None):
    quanto.quantize(model, weights=weights, activations=activations, exclude=exclude)
    return model


@slip("quantize_and_freeze", "the weights are still floats: freeze is missing, or comes before quantize")
def freeze_forgotten(model, weights="qint8"):
    return quantize_model(model, weights)


@slip("quantize_and_freeze", "`weights` is not passed on: every model becomes qint8")
def always_qint8(model, weights="qint8"):
    quantize_model(copy.deepcopy(model), weights)
    quantize_model(model)
    quanto.freeze(model)
    return model


@slip("quantize_and_freeze", "quanto's functions work in place and return None: return the model")
def frozen_and_lost(model, weights="qint8"):
    _frozen(quantize_model(model, weights))


@slip("quantize_and_freeze", "the model is changed in place: you returned a copy")
def froze_a_copy(model, weights="qint8"):
    return _frozen(quantize_model(copy.deepcopy(model), weights))


@slip("quantize_and_freeze", _UNCHECKED)
def unknown_types_frozen(model, weights="qint8"):
    return _frozen(unknown_types_passed_on(model, weights))


def _frozen(model):
    quanto.freeze(model)
    return model


_COPY_FIRST = "the model itself was quantized: copy it first with copy.deepcopy; copy.copy shares the modules"


@slip("quantized_copy", _COPY_FIRST)
def no_copy(model, weights="qint8", exclude=None):
    return _frozen(quantize_model(model, weights, exclude=exclude))


@slip("quantized_copy", _COPY_FIRST)
def shallow_copy(model, weights="qint8", exclude=None):
    shallow = copy.copy(model)
    shallow._modules = dict(model._modules)
    return _frozen(quantize_model(shallow, weights, exclude=exclude))


@slip("quantized_copy", "the copy is quantized but not frozen")
def copy_not_frozen(model, weights="qint8", exclude=None):
    return quantize_model(copy.deepcopy(model), weights, exclude=exclude)


@slip("quantized_copy", "a frozen model cannot be copied: copy before you quantize")
def copied_too_late(model, weights="qint8", exclude=None):
    return copy.deepcopy(_frozen(quantize_model(model, weights, exclude=exclude)))


@slip("quantized_copy", _UNCHECKED)
def unknown_types_copied(model, weights="qint8", exclude=None):
    return _frozen(unknown_types_passed_on(copy.deepcopy(model), weights, exclude=exclude))


@slip("quantized_copy", "exclude has no effect here: pass it on to quanto as it is")
def copy_without_exclude(model, weights="qint8", exclude=None):
    return _frozen(quantize_model(copy.deepcopy(model), weights))


def _layers(model):
    return [module for module in model.modules() if isinstance(module, quanto.QModuleMixin)]


def _quantized(model):
    return [layer for layer in _layers(model) if layer.weight_qtype is not None]


_ALL_LAYERS = "all quantized layers have to be frozen: one alone, the last or any, says nothing of the others"


@slip("is_frozen", _ALL_LAYERS)
def any_layer_frozen(model):
    return any(layer.frozen for layer in _quantized(model))


@slip("is_frozen", _ALL_LAYERS)
def last_layer_frozen(model):
    return bool(_quantized(model)) and _quantized(model)[-1].frozen


@slip("is_frozen", _ALL_LAYERS)
def first_layer_frozen(model):
    return bool(_quantized(model)) and _quantized(model)[0].frozen


@slip("is_frozen", "children() are the layers directly below: modules() goes all the way down")
def only_children(model):
    layers = [child for child in model.children() if child in _quantized(model)]
    return bool(layers) and all(layer.frozen for layer in layers)


@slip("is_frozen", "convolutions are quantized too: ask for QModuleMixin, not for QLinear alone")
def linear_layers_only(model):
    layers = [layer for layer in _quantized(model) if isinstance(layer, quanto.QLinear)]
    return bool(layers) and all(layer.frozen for layer in layers)


@slip("is_frozen", "a model without quantized layers is not frozen, although all of its none are")
def nothing_to_freeze(model):
    return all(layer.frozen for layer in _quantized(model))


@slip("is_frozen", "quanto's layer norms are never frozen: count only layers whose weights have a qtype")
def layer_norms_counted(model):
    return bool(_layers(model)) and all(layer.frozen for layer in _layers(model))


@slip("quantized_layers", "layers that are not frozen yet are quantized too")
def frozen_layers_only(model):
    named = model.named_modules()
    return {name: m.weight_qtype.name for name, m in named if m in _quantized(model) and m.frozen}


@slip("quantized_layers", "children() are the layers directly below: named_modules() goes all the way down")
def only_named_children(model):
    return {name: m.weight_qtype.name for name, m in model.named_children() if m in _quantized(model)}


@slip("quantized_layers", "convolutions are quantized too: ask for QModuleMixin, not for QLinear alone")
def named_linear_layers_only(model):
    named = [(name, m) for name, m in model.named_modules() if isinstance(m, quanto.QLinear)]
    return {name: m.weight_qtype.name for name, m in named if m in _quantized(model)}


@slip("quantized_layers", "quanto's map also lists modules whose weights have no qtype, such as layer norms")
def all_of_the_map(model):
    return {name: entry["weights"] for name, entry in quanto.quantization_map(model).items()}


@slip("quantized_layers", "the qtype's name is asked for (`.name`), without the library's")
def name_of_the_library(model):
    return {name: str(m.weight_qtype) for name, m in model.named_modules() if m in _quantized(model)}


@slip("quantized_layers", "the last part of a name is not enough: use the qualified name")
def leaf_names(model):
    named = model.named_modules()
    return {name.rpartition(".")[2]: m.weight_qtype.name for name, m in named if m in _quantized(model)}


# Bytes ------------------------------------------------------------------------------------------------------------------


def _tensors(model):
    return [*model.parameters(), *model.buffers()]


def _inner(tensor, names=None):
    if not hasattr(tensor, "__tensor_flatten__"):
        return [tensor]
    found = tensor.__tensor_flatten__()[0]
    return [leaf for name in found if names is None or name in names for leaf in _inner(getattr(tensor, name), names)]


def _storage_bytes(tensors):
    return sum({t.untyped_storage()._cdata: t.untyped_storage().nbytes() for t in tensors}.values())


@slip("stored_bytes", "a quantized weight claims to be float32: count the tensors inside it")
def outward_bytes(model):
    return sum(tensor.numel() * tensor.element_size() for tensor in _tensors(model))


@slip("stored_bytes", "packed codes claim the shape that they had before: look inside them as well")
def packed_outward(model):
    weights = [tensor for tensor in _tensors(model) if isinstance(tensor, quanto.QTensor)]
    plain = [tensor for tensor in _tensors(model) if not isinstance(tensor, quanto.QTensor)]
    inner = [getattr(weight, name) for weight in weights for name in weight.__tensor_flatten__()[0]]
    return sum(part.numel() * part.element_size() for part in inner) + _storage_bytes(plain)


@slip("stored_bytes", "buffers are stored as well")
def parameters_only(model):
    return _storage_bytes([leaf for parameter in model.parameters() for leaf in _inner(parameter)])


@slip("stored_bytes", "two things: packed codes claim the shape that they had before, and qint4 stores shifts too")
def codes_and_scales_outward(model):
    weights = [tensor for tensor in _tensors(model) if isinstance(tensor, quanto.QTensor)]
    plain = [tensor for tensor in _tensors(model) if not isinstance(tensor, quanto.QTensor)]
    inner = [getattr(weight, name) for weight in weights for name in ("_data", "_scale")]
    return sum(part.numel() * part.element_size() for part in inner) + _storage_bytes(plain)


_STORED_ONCE = (
    "what has two names is stored once: count each storage once, under whichever name (a state dict has both names)"
)


@slip("stored_bytes", _STORED_ONCE)
def state_dict_bytes(model):
    return sum(tensor.numel() * tensor.element_size() for tensor in model.state_dict().values())


@slip("stored_bytes", _STORED_ONCE)
def every_name_counted(model):
    parameters = [parameter for _, parameter in model.named_parameters(remove_duplicate=False)]
    buffers = [buffer for _, buffer in model.named_buffers(remove_duplicate=False)]
    return sum(leaf.untyped_storage().nbytes() for tensor in parameters + buffers for leaf in _inner(tensor))


@slip("stored_bytes", "codes and scales are not all: qint4 and qint2 also store shifts")
def shifts_forgotten(model):
    return _storage_bytes([leaf for tensor in _tensors(model) for leaf in _inner(tensor, ("_data", "_scale"))])


@slip("stored_bytes", "count each storage once and whole, not each tensor's own elements")
def elements_of_each_tensor(model):
    return sum(leaf.numel() * leaf.element_size() for tensor in _tensors(model) for leaf in _inner(tensor))


@slip("stored_bytes", "the codes are not all: scales are stored too")
def codes_alone(model):
    return _storage_bytes([leaf for tensor in _tensors(model) for leaf in _inner(tensor, ("_data",))])


def _own_tensors(module):
    return [*module.parameters(recurse=False), *module.buffers(recurse=False)]


def _sizes(model, own, above=True):
    sizes = {name: 0 for name, _ in model.named_modules()}
    for name, module in model.named_modules():
        parts = name.split(".") if name else []
        for depth in range(len(parts) + 1) if above else [len(parts)]:
            sizes[".".join(parts[:depth])] += own(module)
    return sizes


def _stored_once():
    counted = set()

    def own(module):
        leaves = [leaf for tensor in _own_tensors(module) for leaf in _inner(tensor)]
        storages = {t.untyped_storage()._cdata: t.untyped_storage().nbytes() for t in leaves}
        new = {key: size for key, size in storages.items() if key not in counted}
        counted.update(new)
        return sum(new.values())

    return own


@slip("module_sizes", "a module counts with all that is below it")
def own_tensors_only(model):
    return _sizes(model, _stored_once(), above=False)


@slip("module_sizes", "a tied tensor counts once, where it first appears")
def tied_counted_twice(model):
    return {name: stored_bytes(module) for name, module in model.named_modules()}


@slip("module_sizes", "modules that hold nothing are listed too, with 0")
def empty_modules_left_out(model):
    owns = dict(zip(model.modules(), map(_stored_once(), model.modules()), strict=True))
    return {name: size for name, size in _sizes(model, owns.__getitem__).items() if size}


@slip("module_sizes", 'the whole model is listed too, as ""')
def total_left_out(model):
    owns = dict(zip(model.modules(), map(_stored_once(), model.modules()), strict=True))
    return {name: size for name, size in _sizes(model, owns.__getitem__).items() if name}


@slip("module_sizes", "layers.10 is not below layers.1: compare names with the dot that follows them")
def names_that_begin_alike(model):
    owns = dict(zip(dict(model.named_modules()), map(_stored_once(), model.modules()), strict=True))
    return {name: sum(size for own, size in owns.items() if own.startswith(name)) for name in owns}


@slip("module_sizes", "a quantized weight claims to be float32: count the tensors inside it")
def outward_sizes(model):
    counted = set()

    def own(module):
        new = {id(t): t.numel() * t.element_size() for t in _own_tensors(module) if id(t) not in counted}
        counted.update(new)
        return sum(new.values())

    return _sizes(model, own)


def _predicted(
    model, exclude, row=lambda name: name, scalars=2, scale_bytes=None, scales=True, kinds=nn.Linear | nn.Conv2d
):
    globs = [exclude] if isinstance(exclude, str) else list(exclude)
    total, kept = 0, {}
    for name, module in model.named_modules():
        matched = any(fnmatch(row(name), glob) for glob in globs)
        for key, tensor in [*module.named_parameters(recurse=False), *module.named_buffers(recurse=False)]:
            if key == "weight" and isinstance(module, kinds) and not matched:
                each = scale_bytes or tensor.element_size()
                total += tensor.numel() + (scales * len(tensor) + scalars) * each
            else:
                kept[tensor.untyped_storage()._cdata] = tensor
    return total + sum(tensor.untyped_storage().nbytes() for tensor in kept.values())


@slip("predicted_int8_bytes", "embeddings, norms and biases stay float: not everything shrinks to a quarter")
def a_quarter_of_all(model, exclude=()):
    return stored_bytes(model) // 4


@slip("predicted_int8_bytes", "scales are stored in the weight's dtype, not always in float32")
def layers_of_float32_alone(model, exclude=()):
    return _predicted(model, (), scale_bytes=4)


@slip("predicted_int8_bytes", "each quantized layer also stores two scalars, quanto's input and output scale")
def no_scalars(model, exclude=()):
    return _predicted(model, exclude, scalars=0)


@slip("predicted_int8_bytes", "the codes need a scale for each row")
def no_scales(model, exclude=()):
    return _predicted(model, exclude, scales=False)


@slip("predicted_int8_bytes", "scales are stored in the weight's dtype, not always in float32")
def scales_in_float32(model, exclude=()):
    return _predicted(model, exclude, scale_bytes=4)


@slip("predicted_int8_bytes", "exclude matches full names, not their last part")
def exclude_by_leaf_name(model, exclude=()):
    return _predicted(model, exclude, row=lambda name: name.rpartition(".")[2])


@slip("predicted_int8_bytes", "Conv2d is quantized as well")
def convolutions_kept(model, exclude=()):
    return _predicted(model, exclude, kinds=nn.Linear)


@slip("predicted_int8_bytes", "embeddings stay float: quanto replaces Linear and Conv2d")
def embeddings_shrink(model, exclude=()):
    return _predicted(model, exclude, kinds=nn.Linear | nn.Conv2d | nn.Embedding)


@slip(
    "predicted_int8_bytes", "exclude has no effect here; it may also be one glob, a string, whose elements are letters"
)
def nothing_excluded(model, exclude=()):
    return _predicted(model, ())


# Text -------------------------------------------------------------------------------------------------------------------


def _generated(model, tokenizer, prompt, skip=True, restore=True, evaluating=True, **options):
    inputs = tokenizer(prompt, return_tensors="pt")
    modes = {module: module.training for module in model.modules()}
    if evaluating:
        model.eval()
    tokens = model.generate(**inputs, **options)
    for module, training in modes.items() if restore else []:
        module.training = training
    return tokenizer.decode(tokens[0], skip_special_tokens=skip)


_GREEDY = {"do_sample": False, "num_beams": 1}


@slip("generate_text", "special tokens are left in the text: skip_special_tokens=True")
def special_tokens_kept(model, tokenizer, prompt, max_new_tokens=32):
    return _generated(model, tokenizer, prompt, skip=False, max_new_tokens=max_new_tokens, **_GREEDY)


@slip("generate_text", "the text was stripped: spaces at its ends belong to the answer")
def stripped(model, tokenizer, prompt, max_new_tokens=32):
    return _generated(model, tokenizer, prompt, max_new_tokens=max_new_tokens, **_GREEDY).strip()


@slip("generate_text", "the model's own generation config may ask for sampling: do_sample=False")
def sampling_allowed(model, tokenizer, prompt, max_new_tokens=32):
    return _generated(model, tokenizer, prompt, max_new_tokens=max_new_tokens, num_beams=1)


@slip("generate_text", "the model's own generation config may ask for a beam search: num_beams=1")
def beams_allowed(model, tokenizer, prompt, max_new_tokens=32):
    return _generated(model, tokenizer, prompt, max_new_tokens=max_new_tokens, do_sample=False)


@slip("generate_text", "eval mode is missing: dropout is active while generating")
def dropout_active(model, tokenizer, prompt, max_new_tokens=32):
    torch.manual_seed(0)
    return _generated(model, tokenizer, prompt, evaluating=False, max_new_tokens=max_new_tokens, **_GREEDY)


@slip("generate_text", "every submodule has to be in its old mode afterwards; the model stays in eval mode")
def left_in_eval_mode(model, tokenizer, prompt, max_new_tokens=32):
    return _generated(model, tokenizer, prompt, restore=False, max_new_tokens=max_new_tokens, **_GREEDY)


@slip("generate_text", "model.train() puts every submodule in training mode; each has to get its own old mode back")
def all_in_training_mode(model, tokenizer, prompt, max_new_tokens=32):
    training = model.training
    text = _generated(model, tokenizer, prompt, restore=False, max_new_tokens=max_new_tokens, **_GREEDY)
    model.train(not training)
    return text


@slip("generate_text", "max_length counts the start token too; max_new_tokens is asked for")
def length_in_all(model, tokenizer, prompt, max_new_tokens=32):
    return _generated(model, tokenizer, prompt, max_length=max_new_tokens, **_GREEDY)


@slip("generate_text", "a generation config of its own loses the model's other settings")
def settings_lost(model, tokenizer, prompt, max_new_tokens=32):
    from transformers import GenerationConfig

    ids = {"decoder_start_token_id": 0, "pad_token_id": 0, "eos_token_id": 1}
    own = GenerationConfig(max_new_tokens=max_new_tokens, **ids, **_GREEDY)
    return _generated(model, tokenizer, prompt, generation_config=own)


@slip("generate_text", "the model's generation config was changed: give generate the settings as arguments")
def settings_changed(model, tokenizer, prompt, max_new_tokens=32):
    model.generation_config.update(**_GREEDY)
    return _generated(model, tokenizer, prompt, max_new_tokens=max_new_tokens)


def _right(model, tokenizer, pairs, accepts):
    if not pairs:
        raise ValueError
    return [accepts(generate_text(model, tokenizer, prompt), expected) for prompt, expected in pairs]


@slip("exact_match", "a fraction is asked for, not the number of right answers")
def number_right(model, tokenizer, pairs):
    return float(sum(_right(model, tokenizer, pairs, str.__eq__)))


@slip("exact_match", "a fraction is asked for, not a percentage")
def percentage(model, tokenizer, pairs):
    return 100 * sum(_right(model, tokenizer, pairs, str.__eq__)) / len(pairs)


@slip("exact_match", "exactly means exactly: spaces and case count")
def forgiving_match(model, tokenizer, pairs):
    found = _right(model, tokenizer, pairs, lambda text, wanted: text.strip().lower() == wanted.strip().lower())
    return sum(found) / len(pairs)


@slip("exact_match", "the whole answer counts, not that it begins as expected")
def prefix_match(model, tokenizer, pairs):
    return sum(_right(model, tokenizer, pairs, str.startswith)) / len(pairs)


@slip("exact_match", "that is the fraction of wrong answers")
def fraction_wrong(model, tokenizer, pairs):
    return 1 - sum(_right(model, tokenizer, pairs, str.__eq__)) / len(pairs)


# Activations ------------------------------------------------------------------------------------------------------------


def _calibrated(model, batches, context=quanto.Calibration, evaluating=True, restore=True, grad=False):
    if not batches or all(getattr(module, "activation_qtype", None) is None for module in model.modules()):
        raise ValueError
    modes = {module: module.training for module in model.modules()}
    if evaluating:
        model.eval()
    with torch.set_grad_enabled(grad), context():
        for batch in batches:
            model(**batch)
    for module, training in modes.items() if restore else []:
        module.training = training
    return model


@slip("calibrate", "the batches run outside quanto.Calibration(), so no scale is measured")
def without_calibration(model, batches):
    return _calibrated(model, batches, torch.no_grad)


@slip("calibrate", "eval mode is missing: dropout and batch norm act as in training")
def calibrated_in_training(model, batches):
    return _calibrated(model, batches, evaluating=False)


@slip("calibrate", "only the first batch was used")
def first_batch_only(model, batches):
    return _calibrated(model, batches[:1])


@slip("calibrate", "every submodule has to be in its old mode afterwards; the model stays in eval mode")
def calibrated_left_in_eval_mode(model, batches):
    return _calibrated(model, batches, restore=False)


@slip("calibrate", "the weights were frozen too: calibrate only measures the scales of the activations")
def calibrated_and_frozen(model, batches):
    return _frozen(_calibrated(model, batches))


@slip("calibrate", "one Calibration() for all batches: enter it once, outside the loop")
def calibrated_one_by_one(model, batches):
    _calibrated(model, batches[:1])
    for batch in batches[1:]:
        _calibrated(model, [batch])
    return model


@slip("calibrate", "no gradients are needed: torch.no_grad()")
def with_gradients(model, batches):
    return _calibrated(model, batches, grad=True)


# Files ------------------------------------------------------------------------------------------------------------------


@slip("save_quantized", "torch.save writes a pickle, which runs code when it is loaded: use safetensors")
def pickled(model, folder):
    Path(folder).mkdir(parents=True, exist_ok=True)
    torch.save({name: tensor.clone() for name, tensor in model.state_dict().items()}, Path(folder) / "model.pt")
    (Path(folder) / "quantization_map.json").write_text(json.dumps(quanto.quantization_map(model)))


@slip("save_quantized", "torch.save writes a pickle, which runs code when it is loaded: use safetensors")
def pickled_whole(model, folder):
    Path(folder).mkdir(parents=True, exist_ok=True)
    torch.save(model, Path(folder) / "model.pt")


@slip("save_quantized", "the weights were dequantized: save the state dict, which holds the codes")
def saved_as_floats(model, folder):
    Path(folder).mkdir(parents=True, exist_ok=True)
    tensors = {
        name: (p.dequantize() if hasattr(p, "dequantize") else p).clone() for name, p in model.named_parameters()
    }
    save_file(tensors, Path(folder) / "model.safetensors")
    (Path(folder) / "quantization_map.json").write_text(json.dumps(quanto.quantization_map(model)))


@slip("save_quantized", "floats are saved for the quantized weights as well: codes and scales are all that they need")
def floats_beside_codes(model, folder):
    save_quantized(model, folder)
    weights = {name: weight for name, weight in model.named_parameters() if isinstance(weight, quanto.QTensor)}
    save_file({name: weight.dequantize().clone() for name, weight in weights.items()}, Path(folder) / "f.safetensors")


@slip("save_quantized", "buffers are missing: a batch norm's statistics are as much a part of the model as its weights")
def saved_without_buffers(model, folder):
    Path(folder).mkdir(parents=True, exist_ok=True)
    buffers = dict(model.named_buffers())
    tensors = {name: tensor.clone() for name, tensor in model.state_dict().items() if name not in buffers}
    save_file(tensors, Path(folder) / "model.safetensors")
    (Path(folder) / "quantization_map.json").write_text(json.dumps(quanto.quantization_map(model)))


@slip("save_quantized", "the folder may be missing: make it first, with those above it")
def folder_missing(model, folder):
    if not Path(folder).exists():
        raise FileNotFoundError(folder)
    save_quantized(model, folder)


@slip("save_quantized", "the quantization map is missing: without it nobody knows which layer has which qtype")
def map_missing(model, folder):
    save_quantized(model, folder)
    (Path(folder) / "quantization_map.json").unlink()


@slip("save_quantized", "safetensors refuses tensors that share memory: clone them first")
def shared_tensors(model, folder):
    Path(folder).mkdir(parents=True, exist_ok=True)
    save_file(model.state_dict(), Path(folder) / "model.safetensors")
    (Path(folder) / "quantization_map.json").write_text(json.dumps(quanto.quantization_map(model)))


@slip("load_quantized", "load_state_dict with strict=False skips the codes without a word: use quanto.requantize")
def codes_skipped(build, folder):
    model = build()
    model.load_state_dict(load_file(Path(folder) / "model.safetensors"), strict=False)
    return model


@slip("load_quantized", "the new model comes back as it was built: load_state_dict and requantize are what changes it")
def nothing_loaded(build, folder):
    return build()


@slip("load_quantized", "the new model's own weights were quantized; the saved ones are in the file")
def own_weights_quantized(build, folder):
    model = build()
    for name, entry in json.loads((Path(folder) / "quantization_map.json").read_text()).items():
        quanto.quantize(model, weights=entry["weights"], include=name)
    return _frozen(model)


# Precisions -------------------------------------------------------------------------------------------------------------

_PRECISIONS = ("float32", "bfloat16", "float16", "qint8", "qint4", "qint2")


def _in_precision(model, precision, freeze=True):
    if not precision.startswith("q"):
        return model.to(getattr(torch, precision))
    quanto.quantize(model, weights=precision)
    return _frozen(model) if freeze else model


def _compared(build, evaluate, prepare=_in_precision, count=stored_bytes):
    rows = []
    for precision in _PRECISIONS:
        model = prepare(build(), precision)
        rows.append({"precision": precision, "bytes": count(model), "score": evaluate(model)})
    return rows


@slip("compare_precisions", "each row needs a fresh model from build(): no step can be undone")
def one_model_for_all(build, evaluate):
    model = build()
    return _compared(lambda: model, evaluate)


@slip("compare_precisions", "freeze is missing: a quantized model still stores its floats")
def never_frozen(build, evaluate):
    return _compared(build, evaluate, lambda model, name: _in_precision(model, name, freeze=False))


@slip("compare_precisions", "freeze comes before evaluate: the row is about the frozen model")
def frozen_after_the_score(build, evaluate):
    rows = []
    for precision in _PRECISIONS:
        model = _in_precision(build(), precision, freeze=False)
        score = evaluate(model)
        quanto.freeze(model)
        rows.append({"precision": precision, "bytes": stored_bytes(model), "score": score})
    return rows


@slip("compare_precisions", "a quantized weight claims to be float32: count as in stored_bytes")
def compared_outward(build, evaluate):
    return _compared(build, evaluate, count=outward_bytes)


@slip("compare_precisions", "the score is the quantized model's, so evaluate it after the change")
def evaluated_too_early(build, evaluate):
    rows = []
    for precision in _PRECISIONS:
        model = build()
        score = evaluate(model)
        rows.append({"precision": precision, "bytes": stored_bytes(_in_precision(model, precision)), "score": score})
    return rows


@slip("compare_precisions", "one evaluation for each row")
def evaluated_twice(build, evaluate):
    return _compared(build, lambda model: evaluate(model) and evaluate(model))


def _chosen(build, evaluate, budget_bytes, min_score, small=None, good=None, key=None, text=None):
    small = small or (lambda size: size <= budget_bytes)
    good = good or (lambda score: score >= min_score)
    rows = compare_precisions(build, evaluate)
    able = [row for row in rows if small(row["bytes"]) and good(row["score"])]
    if not able:
        missed = {row["precision"]: min_score if small(row["bytes"]) else budget_bytes for row in rows}
        raise ValueError(text or f"none will do; each missed {missed}")
    return (min(able, key=key) if key else able[0])["precision"]


@slip("choose_precision", "the first that will do is asked for, not the smallest")
def smallest_that_will_do(build, evaluate, budget_bytes, min_score):
    return _chosen(build, evaluate, budget_bytes, min_score, key=lambda row: row["bytes"])


@slip("choose_precision", "the first that will do is asked for, not the best")
def best_that_fits(build, evaluate, budget_bytes, min_score):
    return _chosen(build, evaluate, budget_bytes, min_score, key=lambda row: -row["score"])


@slip("choose_precision", "a model of exactly the budget fits: <=")
def less_than_the_budget(build, evaluate, budget_bytes, min_score):
    return _chosen(build, evaluate, budget_bytes, min_score, small=lambda size: size < budget_bytes)


@slip("choose_precision", "a score of exactly the minimum reaches it: >=")
def more_than_the_score(build, evaluate, budget_bytes, min_score):
    return _chosen(build, evaluate, budget_bytes, min_score, good=lambda score: score > min_score)


@slip("choose_precision", "nan is not less than the minimum, and yet does not reach it: ask for score >= min_score")
def nan_passes(build, evaluate, budget_bytes, min_score):
    return _chosen(build, evaluate, budget_bytes, min_score, good=lambda score: not score < min_score)


@slip("choose_precision", "the ValueError names all six precisions, each with the number that it missed")
def reasons_missing(build, evaluate, budget_bytes, min_score):
    return _chosen(build, evaluate, budget_bytes, min_score, text="none of them will do")


@slip(
    "choose_precision", "which of them missed the budget, and which the minimum score? The ValueError tells them apart"
)
def reasons_not_told_apart(build, evaluate, budget_bytes, min_score):
    text = f"none of {', '.join(_PRECISIONS)} fits {budget_bytes} bytes with a score of {min_score}"
    return _chosen(build, evaluate, budget_bytes, min_score, text=text)


@slip("choose_precision", "beside each precision only the limit that it missed: these texts name both for all of them")
def both_limits_beside_each(build, evaluate, budget_bytes, min_score):
    text = "; ".join(f"{name}: {budget_bytes} bytes, score {min_score}" for name in _PRECISIONS)
    return _chosen(build, evaluate, budget_bytes, min_score, text=text)


@slip("choose_precision", "a rounded score reaches what it does not: compare the score as it is")
def score_rounded(build, evaluate, budget_bytes, min_score):
    return _chosen(build, evaluate, budget_bytes, min_score, good=lambda score: round(score, 2) >= min_score)


@slip("choose_precision", "the order is that of the rows, not of their bytes: a tied model's qint8 may be the largest")
def largest_first(build, evaluate, budget_bytes, min_score):
    return _chosen(build, evaluate, budget_bytes, min_score, key=lambda row: -row["bytes"])


@slip("choose_precision", "if none will do, a ValueError says so")
def none_without_error(build, evaluate, budget_bytes, min_score):
    fitting = [row for row in _compared(build, evaluate) if row["bytes"] <= budget_bytes]
    return next((row["precision"] for row in fitting if row["score"] >= min_score), None)


@slip("choose_precision", "the budget is not looked at")
def budget_ignored(build, evaluate, budget_bytes, min_score):
    return _chosen(build, evaluate, budget_bytes, min_score, small=lambda size: True)


@slip("choose_precision", "the score is not looked at")
def score_ignored(build, evaluate, budget_bytes, min_score):
    return _chosen(build, evaluate, budget_bytes, min_score, good=lambda score: True)
