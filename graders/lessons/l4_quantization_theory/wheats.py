"""Honest right variants of lesson 4, in other styles than the reference: none of them may be refused."""

import contextlib
import copy
import fractions
import functools
import io
import itertools
import json
import math
import os
import statistics
from collections import OrderedDict, defaultdict
from fnmatch import fnmatch, fnmatchcase
from pathlib import Path

import numpy
import safetensors
import torch
from optimum import quanto
from safetensors.torch import load, load_file, save, save_file
from torch import nn

from graders.judge.contract import wheat

# The arithmetic ---------------------------------------------------------------------------------------------------------


def _refuse(values):
    if values.numel() == 0 or not torch.isfinite(values).all():
        raise ValueError("no range")


@wheat("scale_and_zero_point")
def affine_in_torch_float64(tensor, dtype=torch.int8):
    _refuse(tensor)
    wide = torch.cat([tensor.double().flatten(), torch.zeros(1, dtype=torch.float64)])
    low, high = wide.aminmax()
    if low == high:
        return 1.0, 0
    codes = torch.iinfo(dtype)
    scale = (high - low) / (codes.max - codes.min)
    zero_point = (codes.min - low / scale).round().clamp(codes.min, codes.max)
    return scale.item(), int(zero_point)


@wheat("scale_and_zero_point")
def affine_from_the_top(tensor, dtype=torch.int8):
    _refuse(tensor)
    values = [0.0, *tensor.reshape(-1).tolist()]
    if not any(values):
        return 1.0, 0
    codes = torch.iinfo(dtype)
    scale = (max(values) - min(values)) * (1 / (codes.max - codes.min))
    return scale, codes.max - math.floor(max(values) / scale + 0.5)


@wheat("scale_and_zero_point")
def affine_in_numpy(tensor, dtype=torch.int8):
    _refuse(tensor)
    values = tensor.double().numpy()
    low, high = min(values.min(), 0), max(values.max(), 0)
    codes = numpy.iinfo(str(dtype).removeprefix("torch."))
    scale = (high - low) / (codes.max - codes.min)
    return (float(scale), int(numpy.rint(codes.min - low / scale))) if scale else (1.0, 0)


@wheat("scale_and_zero_point")
def affine_in_fractions(tensor, dtype=torch.int8):
    _refuse(tensor)
    values = [fractions.Fraction(value) for value in tensor.flatten().tolist()]
    low, high = min([*values, 0]), max([*values, 0])
    if low == high:
        return 1.0, 0
    start = torch.iinfo(dtype).min
    return float((high - low) / 255), start - round(low * 255 / (high - low))


def _nan(tensor):
    if torch.isnan(tensor).any():
        raise ValueError("nan")


@wheat("linear_quantize")
def codes_in_float32(tensor, scale, zero_point, dtype=torch.int8):
    _nan(tensor)
    codes = torch.iinfo(dtype)
    return torch.clamp(torch.round(tensor / scale + zero_point), codes.min, codes.max).to(dtype)


@wheat("linear_quantize")
def codes_by_reciprocal(tensor, scale, zero_point, dtype=torch.int8):
    _nan(tensor)
    codes = torch.iinfo(dtype)
    return (tensor.float() * (1 / scale)).round_().add_(zero_point).clamp_(codes.min, codes.max).type(dtype)


@wheat("linear_quantize")
def codes_in_numpy(tensor, scale, zero_point, dtype=torch.int8):
    _nan(tensor)
    kind = numpy.int8 if dtype == torch.int8 else numpy.uint8
    q = numpy.rint(tensor.double().numpy() / scale) + zero_point
    return torch.from_numpy(numpy.clip(q, numpy.iinfo(kind).min, numpy.iinfo(kind).max).astype(kind))


@wheat("linear_quantize")
def codes_one_by_one(tensor, scale, zero_point, dtype=torch.int8):
    _nan(tensor)
    codes = torch.iinfo(dtype)

    def code(value):
        if math.isinf(value):
            return codes.max if value > 0 else codes.min
        return min(max(round(value / scale) + zero_point, codes.min), codes.max)

    return torch.tensor([code(value) for value in tensor.flatten().tolist()], dtype=dtype).reshape(tensor.shape)


@wheat("linear_quantize")
def codes_by_torch(tensor, scale, zero_point, dtype=torch.int8):
    _nan(tensor)
    codes = torch.iinfo(dtype)
    limits = (codes.min - zero_point) * scale, (codes.max - zero_point) * scale
    return (tensor.double().clamp(*limits).div(scale) + zero_point).round().to(torch.int32).to(dtype)


@wheat("linear_dequantize")
def values_in_float64(q, scale, zero_point):
    return ((q.double() - zero_point) * scale).float()


@wheat("linear_dequantize")
def values_by_int16(q, scale, zero_point):
    return scale * (q.to(torch.int16) - zero_point).to(torch.float32)


@wheat("linear_dequantize")
def values_in_numpy(q, scale, zero_point):
    return torch.from_numpy((q.numpy().astype(numpy.int64) - zero_point) * numpy.float64(scale)).to(torch.float32)


@wheat("linear_dequantize")
def values_by_table(q, scale, zero_point):
    low = torch.iinfo(q.dtype).min
    table = [(code - zero_point) * scale for code in range(low, low + 256)]
    return torch.tensor(table, dtype=torch.float32)[q.long() - low]


@wheat("symmetric_scale")
def scale_in_float32(tensor, dtype=torch.int8):
    _refuse(tensor)
    return float(tensor.float().abs().max() / torch.iinfo(dtype).max) or 1.0


@wheat("symmetric_scale")
def scale_by_norm(tensor, dtype=torch.int8):
    _refuse(tensor)
    largest = torch.linalg.vector_norm(tensor.double(), ord=torch.inf).item()
    return largest * (1 / torch.iinfo(dtype).max) if largest else 1.0


@wheat("symmetric_scale")
def scale_from_both_ends(tensor, dtype=torch.int8):
    _refuse(tensor)
    largest = max(tensor.max().item(), -tensor.min().item())
    return 1.0 if largest == 0 else largest / torch.iinfo(dtype).max


@wheat("symmetric_scale")
def scale_in_python(tensor, dtype=torch.int8):
    _refuse(tensor)
    return max(map(abs, tensor.reshape(-1).tolist())) / torch.iinfo(dtype).max or 1.0


def _unequal(tensor, restored):
    if tuple(tensor.shape) != tuple(restored.shape) or not tensor.numel():
        raise ValueError("shapes")


@wheat("quantization_error")
def error_by_torch(tensor, restored):
    _unequal(tensor, restored)
    return nn.functional.mse_loss(restored.double(), tensor.double()).item()


@wheat("quantization_error")
def error_in_numpy(tensor, restored):
    _unequal(tensor, restored)
    return float(numpy.mean((tensor.double().numpy() - restored.double().numpy()) ** 2))


@wheat("quantization_error")
def error_in_python(tensor, restored):
    _unequal(tensor, restored)
    pairs = zip(tensor.flatten().tolist(), restored.flatten().tolist(), strict=True)
    return statistics.fmean((a - b) ** 2 for a, b in pairs)


def _infinite(signal, noise):
    return math.inf if noise == 0 else -math.inf if signal == 0 else None


@wheat("sqnr_db")
def decibel_from_means(tensor, restored):
    _unequal(tensor, restored)
    signal = float(tensor.double().pow(2).mean())
    noise = float((restored.double() - tensor.double()).pow(2).mean())
    special = _infinite(signal, noise)
    return 10 * (math.log10(signal) - math.log10(noise)) if special is None else special


@wheat("sqnr_db")
def decibel_from_norms(tensor, restored):
    _unequal(tensor, restored)
    signal = torch.linalg.vector_norm(tensor.double()).item()
    noise = torch.linalg.vector_norm(tensor.double() - restored.double()).item()
    special = _infinite(signal, noise)
    return 20 * math.log10(signal / noise) if special is None else special


@wheat("sqnr_db")
def decibel_in_torch(tensor, restored):
    _unequal(tensor, restored)
    signal, noise = tensor.to(torch.float64), (tensor.to(torch.float64) - restored.to(torch.float64))
    if not noise.any():
        return float("inf")
    return (10 * torch.log10(signal.square().sum() / noise.square().sum())).item()


@wheat("sqnr_db")
def decibel_in_numpy(tensor, restored):
    _unequal(tensor, restored)
    x, y = tensor.double().numpy(), restored.double().numpy()
    with numpy.errstate(divide="ignore"):
        noise = ((x - y) ** 2).sum()
        return float(10 * numpy.log10((x**2).sum() / noise)) if noise else math.inf


@wheat("quantize_rows")
def rows_by_eps(weight):
    scales = weight.abs().max(dim=1, keepdim=True).values / 127
    q = torch.clamp(torch.round(weight / scales.clamp(min=torch.finfo(torch.float32).tiny)), -127, 127)
    return q.to(torch.int8), scales


@wheat("quantize_rows")
def rows_one_by_one(weight):
    codes, scales = [], []
    for row in weight:
        largest = max(row.max().item(), -row.min().item())
        scale = torch.tensor([largest]) / 127 if largest else torch.ones(1)
        codes.append((row / scale).round().to(torch.int8))
        scales.append(scale)
    return torch.stack(codes), torch.stack(scales)


@wheat("quantize_rows")
def rows_by_nan_to_num(weight):
    scales = torch.linalg.vector_norm(weight, ord=torch.inf, dim=1, keepdim=True) / 127.0
    return torch.nan_to_num(weight / scales).round().char(), scales


@wheat("quantize_rows")
def rows_in_numpy(weight):
    values = weight.numpy()
    scales = numpy.abs(values).max(axis=1, keepdims=True) / numpy.float32(127)
    codes = numpy.rint(values / numpy.where(scales == 0, numpy.float32(1), scales)).astype(numpy.int8)
    return torch.from_numpy(codes), torch.from_numpy(scales)


# Whole models -----------------------------------------------------------------------------------------------------------


def _type(value):
    if isinstance(value, quanto.qtype):
        return value
    if isinstance(value, str) and value in quanto.qtypes:
        return quanto.qtypes[value]
    raise ValueError("expected one of " + " ".join(sorted(quanto.qtypes)))


@wheat("quantize_model")
def quantized_by_types(model, weights="qint8", activations=None, exclude=None):
    types = {"weights": _type(weights)}
    if activations is not None:
        types["activations"] = _type(activations)
    quanto.quantize(model, exclude=exclude or [], **types)
    return model


@wheat("quantize_model")
def quantized_by_trying(model, weights="qint8", activations=None, exclude=None):
    try:
        if weights is None:
            raise KeyError(weights)
        quanto.quantize(model, weights, activations, exclude=exclude)
    except KeyError as unknown:
        raise ValueError(f"{unknown} is none of {list(quanto.qtypes)}") from None
    return model


@wheat("quantize_model")
def quantized_by_include(model, weights="qint8", activations=None, exclude=None):
    weights, activations = _type(weights), activations and _type(activations)
    globs = [exclude] if isinstance(exclude, str) else exclude or []
    names = [name for name, _ in model.named_modules() if not any(fnmatch(name, glob) for glob in globs)]
    quanto.quantize(model, weights=weights, activations=activations, include=names)
    return model


@wheat("quantize_model")
def quantized_in_the_modes_that_were(model, weights="qint8", activations=None, exclude=None):
    modes = {name: module.training for name, module in model.named_modules()}
    quanto.quantize(model, _type(weights), activations and _type(activations), exclude=exclude)
    for name, module in model.named_modules():
        module.training = modes.get(name, module.training)
    return model


@wheat("quantize_and_freeze")
def frozen_at_once(model, weights="qint8"):
    quanto.quantize(model, weights=_type(weights))
    quanto.freeze(model)
    return model


@wheat("quantize_and_freeze")
def frozen_layer_by_layer(model, weights="qint8"):
    quanto.quantize(model, weights=_type(weights))
    for module in model.modules():
        if hasattr(module, "freeze"):
            module.freeze()
    return model


@wheat("quantized_copy")
def copied_first(model, weights="qint8", exclude=None):
    weights = _type(weights)
    model = copy.deepcopy(model)
    quanto.quantize(model, weights=weights, exclude=exclude)
    quanto.freeze(model)
    return model


@wheat("quantized_copy")
def copied_through_bytes(model, weights="qint8", exclude=None):
    weights, buffer = _type(weights), io.BytesIO()
    torch.save(model, buffer)
    buffer.seek(0)
    twin = torch.load(buffer, weights_only=False)
    quanto.quantize(twin, weights=weights, exclude=exclude)
    quanto.freeze(twin)
    return twin


@wheat("is_frozen")
def frozen_by_weight(model):
    weights = [m.weight for m in model.modules() if getattr(m, "weight_qtype", None) is not None]
    return len(weights) > 0 and all(isinstance(weight, quanto.QTensor) for weight in weights)


@wheat("is_frozen")
def frozen_by_loop(model):
    found = False
    for module in model.modules():
        if isinstance(module, quanto.QLinear | quanto.QConv2d) and module.weight_qtype:
            if not module.frozen:
                return False
            found = True
    return found


@wheat("quantized_layers")
def layers_by_map(model):
    listed = quanto.quantization_map(model)
    return {name: entry["weights"] for name, entry in listed.items() if entry["weights"] != "none"}


@wheat("quantized_layers")
def layers_by_loop(model):
    found = OrderedDict()
    for name, module in model.named_modules():
        qtype = getattr(module, "weight_qtype", None)
        if qtype is not None:
            found[name] = qtype.name
    return found


# Bytes ------------------------------------------------------------------------------------------------------------------


def _leaves(tensor):
    try:
        names, _ = tensor.__tensor_flatten__()
    except AttributeError:
        return [tensor]
    return itertools.chain.from_iterable(_leaves(getattr(tensor, name)) for name in names)


@wheat("stored_bytes")
def bytes_by_address(model):
    sizes = {}
    for tensor in itertools.chain(model.parameters(), model.buffers()):
        for leaf in _leaves(tensor):
            storage = leaf.untyped_storage()
            sizes[storage.data_ptr()] = len(storage)
    return sum(sizes.values())


@wheat("stored_bytes")
def bytes_by_known_names(model):
    seen, total = set(), 0

    def add(tensor):
        nonlocal total
        inner = [
            getattr(tensor, name) for name in ("_data", "_scale", "_shift", "_scale_shift") if hasattr(tensor, name)
        ]
        for part in inner:
            add(part)
        if not inner and tensor.untyped_storage().data_ptr() not in seen:
            seen.add(tensor.untyped_storage().data_ptr())
            total += tensor.untyped_storage().nbytes()

    for _, module in model.named_modules():
        for tensor in [*module._parameters.values(), *module._buffers.values()]:
            if tensor is not None:
                add(tensor)
    return total


@wheat("module_sizes")
def sizes_by_parent(model):
    sizes, seen = defaultdict(int), set()
    for name, module in model.named_modules():
        sizes[name] += 0
        for tensor in itertools.chain(module.parameters(recurse=False), module.buffers(recurse=False)):
            for leaf in _leaves(tensor):
                storage = leaf.untyped_storage()
                if storage._cdata in seen:
                    continue
                seen.add(storage._cdata)
                owner = name
                while owner:
                    sizes[owner] += storage.nbytes()
                    owner = owner.rpartition(".")[0]
                sizes[""] += storage.nbytes()
    return sizes


@wheat("module_sizes")
def sizes_by_differences(model):
    def stored(tensors):
        leaves = [leaf for tensor in tensors for leaf in _leaves(tensor)]
        return {leaf.untyped_storage()._cdata: leaf.untyped_storage().nbytes() for leaf in leaves}

    own, before = {}, {}
    for name, module in model.named_modules():
        here = stored([*module.parameters(recurse=False), *module.buffers(recurse=False)])
        own[name] = sum(size for key, size in here.items() if key not in before)
        before |= here
    return {
        name: sum(size for other, size in own.items() if name == "" or other == name or other.startswith(name + "."))
        for name in own
    }


@wheat("predicted_int8_bytes")
def predicted_by_difference(model, exclude=()):
    globs = (exclude,) if isinstance(exclude, str) else tuple(exclude or ())
    replaced = {
        name: module
        for name, module in model.named_modules()
        if isinstance(module, nn.Linear | nn.Conv2d) and not any(fnmatchcase(name, glob) for glob in globs)
    }
    total = 0
    for module in replaced.values():
        scales = module.weight.shape[0] + 2
        total += module.weight.numel() + scales * module.weight.dtype.itemsize
    gone = {f"{name}.weight" for name in replaced}
    named = [*model.named_parameters(remove_duplicate=False), *model.named_buffers(remove_duplicate=False)]
    kept = {tensor.untyped_storage()._cdata: tensor for name, tensor in named if name not in gone}
    return total + sum(len(tensor.untyped_storage()) for tensor in kept.values())


@wheat("predicted_int8_bytes")
def predicted_module_by_module(model, exclude=()):
    globs = exclude.split("\0") if isinstance(exclude, str) else exclude
    matched = lambda name: any(map(functools.partial(fnmatch, name), globs))  # noqa: E731
    total, seen = 0, []
    for name, module in model.named_modules():
        kept = dict(module._parameters)
        if type(module) in (nn.Linear, nn.Conv2d) and not matched(name):
            weight = kept.pop("weight")
            rows = weight.size(0)
            total += weight.numel() + rows * weight.element_size() + 2 * weight.element_size()
        for tensor in [*kept.values(), *module._buffers.values()]:
            if tensor is not None and not any(tensor.untyped_storage()._cdata == other for other in seen):
                seen.append(tensor.untyped_storage()._cdata)
                total += tensor.untyped_storage().nbytes()
    return total


# Text -------------------------------------------------------------------------------------------------------------------


@contextlib.contextmanager
def _evaluating(model):
    trained = [module for module in model.modules() if module.training]
    model.eval()
    try:
        yield
    finally:
        for module in trained:
            module.training = True


@wheat("generate_text")
def text_by_batch_decode(model, tokenizer, prompt, max_new_tokens=32):
    batch = tokenizer([prompt], return_tensors="pt")
    with _evaluating(model), torch.inference_mode():
        made = model.generate(batch.input_ids, num_beams=1, do_sample=False, max_new_tokens=max_new_tokens)
    return tokenizer.batch_decode(made, skip_special_tokens=True)[0]


@wheat("generate_text")
def text_by_config(model, tokenizer, prompt, max_new_tokens=32):
    config = copy.deepcopy(model.generation_config)
    config.do_sample, config.num_beams, config.max_new_tokens = False, 1, max_new_tokens
    with _evaluating(model):
        made = model.generate(**tokenizer(prompt, return_tensors="pt"), generation_config=config)
    return tokenizer.decode(made.squeeze(0), skip_special_tokens=True)


@wheat("generate_text")
def text_token_by_token(model, tokenizer, prompt, max_new_tokens=32):
    ends = model.generation_config.eos_token_id
    ends = ends if isinstance(ends, list) else [ends]
    suppressed = model.generation_config.suppress_tokens or []
    inputs = tokenizer(prompt, return_tensors="pt")
    made = torch.tensor([[model.generation_config.decoder_start_token_id]])
    with _evaluating(model), torch.no_grad():
        for _ in range(max_new_tokens):
            logits = model(**inputs, decoder_input_ids=made).logits[:, -1]
            logits[:, suppressed] = -math.inf
            made = torch.cat([made, logits.argmax(-1, keepdim=True)], dim=1)
            if made[0, -1].item() in ends:
                break
    return tokenizer.decode(made[0], skip_special_tokens=True)


@wheat("exact_match")
def match_by_mean(model, tokenizer, pairs):
    if len(pairs) == 0:
        raise ValueError("no pairs")
    return statistics.fmean(text_by_batch_decode(model, tokenizer, ask) == answer for ask, answer in pairs)


@wheat("exact_match")
def match_by_count(model, tokenizer, pairs):
    right = total = 0
    for prompt, expected in pairs:
        total += 1
        if text_by_config(model, tokenizer, prompt, max_new_tokens=32) == expected:
            right += 1
    if not total:
        raise ValueError("no pairs")
    return right / total


@wheat("exact_match")
def match_by_tensor(model, tokenizer, pairs):
    if not list(pairs):
        raise ValueError("there is nothing to match")
    hits = torch.tensor([float(text_by_batch_decode(model, tokenizer, prompt) == text) for prompt, text in pairs])
    return hits.double().mean().item()


# Activations ------------------------------------------------------------------------------------------------------------


def _with_activations(model):
    return any(isinstance(m, quanto.QModuleMixin) and m.activation_qtype is not None for m in model.modules())


@wheat("calibrate")
def calibrated_by_context(model, batches):
    if len(batches) < 1 or not _with_activations(model):
        raise ValueError("nothing to do")
    with _evaluating(model), quanto.Calibration(), torch.inference_mode(False), torch.no_grad():
        for batch in batches:
            model.forward(**batch)
    return model


@wheat("calibrate")
@torch.no_grad()
def calibrated_by_decorator(model, batches):
    if not list(batches) or not _with_activations(model):
        raise ValueError("nothing to do")
    modes = [(module, module.training) for module in model.modules()]
    model.train(False)
    with quanto.Calibration(streamline=True, debug=False):
        _ = [model(**batch) for batch in batches]
    for module, mode in modes:
        module.training = mode
    return model


@wheat("calibrate")
def calibrated_in_inference_mode(model, batches):
    if not batches or not _with_activations(model):
        raise ValueError("nothing to do")
    with _evaluating(model), torch.inference_mode(), quanto.Calibration():
        for batch in batches:
            model(**batch)
    return model


# Files ------------------------------------------------------------------------------------------------------------------


@wheat("save_quantized")
def saved_with_metadata(model, folder):
    os.makedirs(folder, exist_ok=True)
    tensors = {name: tensor.detach().clone() for name, tensor in model.state_dict().items()}
    save_file(
        tensors, os.path.join(folder, "all.safetensors"), metadata={"map": json.dumps(quanto.quantization_map(model))}
    )
    saved_with_one_more_folder(model, os.path.join(folder, "copy"))


@wheat("save_quantized")
def saved_with_one_more_folder(model, folder):
    base = Path(folder)
    (base / "data").mkdir(parents=True, exist_ok=True)
    (base / "readme.txt").write_text("a quantized model", encoding="utf-8")
    state = {name: tensor.clone() for name, tensor in model.state_dict().items()}
    for number, (name, tensor) in enumerate(sorted(state.items())):
        (base / "data" / f"{number:04}.safetensors").write_bytes(save({name: tensor.contiguous()}))
    content = {"version": 1, "layers": quanto.quantization_map(model)}
    (base / "config.json").write_text(json.dumps(content, indent=2), encoding="utf-8")
    (base / "model.safetensors").write_bytes(save(state))
    (base / "quantization_map.json").write_text(json.dumps(content["layers"]), encoding="utf-8")


@wheat("load_quantized")
def loaded_into_quantized(build, folder):
    model = build()
    entries = json.loads(Path(folder, "quantization_map.json").read_bytes())
    for name, entry in entries.items():
        quanto.quantize(model, weights=entry["weights"], include=name)
    model.load_state_dict(load(Path(folder, "model.safetensors").read_bytes()))
    return model


@wheat("load_quantized")
def loaded_by_opening(build, folder):
    tensors = {}
    with safetensors.safe_open(os.path.join(folder, "model.safetensors"), framework="pt") as file:
        for name in file.keys():  # noqa: SIM118 (no mapping, it only has keys)
            tensors[name] = file.get_tensor(name)
    model = build()
    with open(os.path.join(folder, "quantization_map.json"), encoding="utf-8") as file:
        quanto.requantize(model, tensors, json.load(file), device=torch.device("cpu"))
    return model


@wheat("load_quantized")
def loaded_and_frozen(build, folder):
    model = build()
    with open(f"{folder}/quantization_map.json", "rb") as file:
        quanto.requantize(model, load_file(f"{folder}/model.safetensors"), json.load(file))
    quanto.freeze(model)
    return model.eval()


# Precisions -------------------------------------------------------------------------------------------------------------


@wheat("compare_precisions")
def compared_by_table(build, evaluate):
    floats = [torch.float32, torch.bfloat16, torch.float16]
    rows = []
    for dtype in floats:
        model = build().to(dtype)
        rows.append({"score": evaluate(model), "bytes": bytes_by_address(model), "precision": str(dtype).split(".")[1]})
    for qtype in (quanto.qint8, quanto.qint4, quanto.qint2):
        model = frozen_at_once(build(), qtype)
        rows.append({"score": evaluate(model), "bytes": bytes_by_address(model), "precision": qtype.name})
    return rows


@wheat("compare_precisions")
def compared_by_functions(build, evaluate):
    change = {
        "float32": lambda model: model,
        "bfloat16": nn.Module.bfloat16,
        "float16": nn.Module.half,
        **{name: functools.partial(frozen_at_once, weights=name) for name in ("qint8", "qint4", "qint2")},
    }

    def row(name):
        model = change[name](build())
        size = bytes_by_known_names(model)
        return {"precision": name, "bytes": size, "score": evaluate(model)}

    return list(map(row, change))


@wheat("choose_precision")
def chosen_lazily(build, evaluate, budget_bytes, min_score):
    missed = {}
    for name in ("float32", "bfloat16", "float16", "qint8", "qint4", "qint2"):
        model = build()
        model = frozen_at_once(model, name) if name[0] == "q" else model.to(getattr(torch, name))
        if bytes_by_address(model) > budget_bytes:
            missed[name] = f"the budget of {budget_bytes:,} bytes"
        elif evaluate(model) >= min_score:
            return name
        else:
            missed[name] = f"the minimum score {min_score}"
    raise ValueError(f"no precision will do: {missed}")


@wheat("choose_precision")
def chosen_from_the_table(build, evaluate, budget_bytes, min_score):
    rows = compared_by_functions(build, evaluate)
    for row in rows:
        if row["bytes"] <= budget_bytes and row["score"] >= min_score:
            return row["precision"]
    large = [row["precision"] for row in rows if row["bytes"] > budget_bytes]
    bad = [row["precision"] for row in rows if row["bytes"] <= budget_bytes]
    raise ValueError(f"over the budget {budget_bytes}: {large}; under the score {min_score}: {bad}")


def _missed(build, evaluate, budget_bytes, min_score):
    """The name of the first row that will do, or of all rows whether they fit, and whether they reach the score."""
    told = {}
    for row in compared_by_functions(build, evaluate):
        fits, reaches = row["bytes"] <= budget_bytes, row["score"] >= min_score
        if fits and reaches:
            return row["precision"], {}
        told[row["precision"]] = fits, reaches
    return None, told


@wheat("choose_precision")
def chosen_with_lines(build, evaluate, budget_bytes, min_score):
    found, told = _missed(build, evaluate, budget_bytes, min_score)
    if found:
        return found
    lines = [f"nothing fits {budget_bytes} bytes with a score of {min_score}:"]
    for name, (fits, reaches) in told.items():
        missed = [] if fits else [f"budget_bytes={budget_bytes:,}"]
        lines.append(f"  {name}: " + ", ".join(missed if reaches else [*missed, f"min_score={min_score}"]))
    raise ValueError("\n".join(lines))


@wheat("choose_precision")
def chosen_with_limits_first(build, evaluate, budget_bytes, min_score):
    found, told = _missed(build, evaluate, budget_bytes, min_score)
    if found:
        return found
    parts = [f"{min_score if fits else budget_bytes} ({name})" for name, (fits, _) in told.items()]
    raise ValueError("missed " + ", ".join(parts))


@wheat("choose_precision")
def chosen_with_limits_last(build, evaluate, budget_bytes, min_score):
    found, told = _missed(build, evaluate, budget_bytes, min_score)
    if found:
        return found
    large, bad = ([name for name, (fits, _) in told.items() if fits is wanted] for wanted in (False, True))
    parts = [f"{', '.join(large)} exceed {budget_bytes}"] if large else []
    parts += [f"{', '.join(bad)} stay below {min_score}"] if bad else []
    raise ValueError("; ".join(parts))
