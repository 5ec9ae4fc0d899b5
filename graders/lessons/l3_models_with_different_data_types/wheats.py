"""Right answers to lesson 3 in other styles than the reference: every one must pass every hidden test."""

import contextlib
import copy
import fnmatch
import functools
import io
import json
import math
import pickle
import re
import statistics
import warnings
from collections import defaultdict
from pathlib import Path
from types import SimpleNamespace

import numpy
import torch
from torch import nn
from torch.func import functional_call
from torch.utils._pytree import tree_leaves
from transformers import BatchFeature, BlipConfig, BlipForConditionalGeneration, GenerationConfig

from graders.judge.contract import wheat


def _walk(module, prefix="", seen=None):
    """Every module below and its path, each path once, by hand."""
    yield prefix, module
    for name, child in module._modules.items():
        if child is not None:
            yield from _walk(child, f"{prefix}.{name}" if prefix else name)


def _slots(model):
    """Every place that holds a parameter or a buffer: its table, its key and its full name."""
    for prefix, module in _walk(model):
        for table in (module._parameters, module._buffers):
            for key, tensor in table.items():
                if tensor is not None:
                    yield table, key, f"{prefix}.{key}" if prefix else key


# parameter_dtypes


@wheat("parameter_dtypes")
def dtypes_by_loop(model):
    found = {}
    for name, parameter in model.named_parameters(remove_duplicate=True):
        print(name, parameter.dtype)
        found[name] = parameter.data.dtype
    return found


@wheat("parameter_dtypes")
def dtypes_by_walk(model):
    seen, found = set(), {}
    for prefix, module in _walk(model):
        for key, parameter in module._parameters.items():
            if parameter is not None and id(parameter) not in seen:
                seen.add(id(parameter))
                found[f"{prefix}.{key}".strip(".")] = parameter.dtype
    return found


@wheat("parameter_dtypes")
def dtypes_by_state_dict(model):
    names = {name for name, _ in model.named_parameters()}
    return {name: tensor.dtype for name, tensor in model.state_dict().items() if name in names}


# half_in_place


@wheat("half_in_place")
def half_by_to(model):
    return model.to(dtype=torch.float16)


@wheat("half_in_place")
def half_by_data(model):
    for tensor in [*model.parameters(), *model.buffers()]:
        if tensor.is_floating_point():
            tensor.data = tensor.data.half()
    return model


@wheat("half_in_place")
def half_by_apply(model):
    return model._apply(lambda tensor: tensor.half() if tensor.is_floating_point() else tensor)


@wheat("half_in_place")
def half_by_tables(model):
    done = set()
    for table, key, _ in list(_slots(model)):
        tensor = table[key]
        if not tensor.is_floating_point() or id(tensor) in done:
            continue
        done.add(id(tensor))
        if isinstance(tensor, nn.Parameter):
            with torch.no_grad():
                tensor.data = torch.empty_like(tensor, dtype=torch.float16).copy_(tensor)
        else:
            table[key] = tensor.to(torch.float16)
    return model


# cast_copy


@wheat("cast_copy")
def copy_then_type(model, dtype):
    result = copy.deepcopy(model)
    result.to(dtype)
    return result


@wheat("cast_copy")
def copy_through_memo(model, dtype):
    memo = {}
    for tensor in [*model.parameters(), *model.buffers()]:
        cast = tensor.detach().clone()
        cast = cast.to(dtype) if cast.is_floating_point() else cast
        parameter = isinstance(tensor, nn.Parameter)
        memo[id(tensor)] = nn.Parameter(cast, requires_grad=tensor.requires_grad) if parameter else cast
    return copy.deepcopy(model, memo)


@wheat("cast_copy")
def copy_by_pickle(model, dtype):
    result = pickle.loads(pickle.dumps(model))
    for tensor in [*result.parameters(), *result.buffers()]:
        if torch.is_floating_point(tensor):
            tensor.data = tensor.data.type(dtype)
    return result


@wheat("cast_copy")
def copy_by_torch_save(model, dtype):
    file = io.BytesIO()
    torch.save(model, file)
    file.seek(0)
    return torch.load(file, weights_only=False).to(dtype)


@wheat("cast_copy")
def copy_by_tables(model, dtype):
    result = copy.deepcopy(model)
    made = {}
    for table, key, _ in list(_slots(result)):
        tensor = table[key]
        if tensor.is_floating_point():
            cast = tensor.detach().to(dtype)
            kept = nn.Parameter(cast, tensor.requires_grad) if isinstance(tensor, nn.Parameter) else cast
            made.setdefault(id(tensor), kept)
            table[key] = made[id(tensor)]
    return result


# logits_gap


def _comparable(expected, actual):
    if tuple(expected.size()) != tuple(actual.size()) or not expected.numel():
        raise ValueError("not comparable")


@wheat("logits_gap")
def gap_in_float64(expected, actual):
    _comparable(expected, actual)
    gap = (expected.float().double() - actual.float().double()).abs()
    return float(gap.mean()), float(gap.max())


@wheat("logits_gap")
def gap_by_sum(expected, actual):
    _comparable(expected, actual)
    with torch.no_grad():
        gap = torch.abs(actual.to(torch.float32) - expected.to(torch.float32)).flatten()
        return (gap.sum() / gap.numel()).item(), gap[gap.argmax()].item()


@wheat("logits_gap")
def gap_by_numpy(expected, actual):
    _comparable(expected, actual)
    gap = numpy.abs(expected.detach().float().numpy() - actual.detach().float().numpy())
    return float(gap.mean()), float(gap.max())


@wheat("logits_gap")
def gap_by_python(expected, actual):
    _comparable(expected, actual)
    pairs = zip(expected.float().flatten().tolist(), actual.float().flatten().tolist(), strict=True)
    gaps = [abs(a - b) for a, b in pairs]
    return statistics.fmean(gaps), max(gaps)


@wheat("logits_gap")
def gap_by_losses(expected, actual):
    _comparable(expected, actual)
    one, two = expected.float(), actual.float()
    return nn.functional.l1_loss(one, two).item(), torch.linalg.vector_norm(one - two, math.inf).item()


# memory_footprint


@wheat("memory_footprint")
def footprint_by_nbytes(model):
    return sum(tensor.nbytes for tensor in model.parameters()) + sum(tensor.nbytes for tensor in model.buffers())


@wheat("memory_footprint")
def footprint_by_walk(model):
    objects = {id(table[key]): table[key] for table, key, _ in _slots(model)}
    return sum(math.prod(tensor.shape) * tensor.dtype.itemsize for tensor in objects.values())


@wheat("memory_footprint")
def footprint_by_dtype(model):
    elements = defaultdict(int)
    for tensor in {*model.parameters(), *model.buffers()}:
        elements[tensor.dtype] += tensor.numel()
    return sum(count * torch.empty((), dtype=dtype).element_size() for dtype, count in elements.items())


@wheat("memory_footprint")
def footprint_by_modules(model):
    total, seen = 0, set()
    for module in model.modules():
        for tensor in [*module.parameters(recurse=False), *module.buffers(recurse=False)]:
            if id(tensor) not in seen:
                seen.add(id(tensor))
                total += tensor.element_size() * tensor.nelement()
    return total


# footprint_ratio


@wheat("footprint_ratio")
def ratio_on_meta(model, dtype):
    tensors = [*model.parameters(), *model.buffers()]
    before = sum(tensor.nbytes for tensor in tensors)
    if before == 0:
        return 1.0
    shadows = [torch.empty(t.shape, dtype=dtype if t.is_floating_point() else t.dtype, device="meta") for t in tensors]
    return sum(shadow.nbytes for shadow in shadows) / before


@wheat("footprint_ratio")
def ratio_by_real_cast(model, dtype):
    before = footprint_by_nbytes(model)
    return footprint_by_nbytes(copy.deepcopy(model).to(dtype)) / before if before else 1.0


@wheat("footprint_ratio")
def ratio_by_savings(model, dtype):
    tensors = [*model.parameters(), *model.buffers()]
    total = sum(tensor.nbytes for tensor in tensors)
    if not total:
        return 1.0
    saved = sum((t.element_size() - dtype.itemsize) * t.numel() for t in tensors if t.is_floating_point())
    return 1 - saved / total


@wheat("footprint_ratio")
def ratio_by_finfo(model, dtype):
    floats = rest = now = 0
    for tensor in {*model.parameters(), *model.buffers()}:
        now += tensor.nbytes
        if tensor.dtype.is_floating_point:
            floats += tensor.numel()
        else:
            rest += tensor.nbytes
    return float((floats * torch.finfo(dtype).bits // 8 + rest) / now) if now else 1.0


# default_dtype


@wheat("default_dtype")
class DefaultByClass:
    def __init__(self, dtype):
        self.dtype = dtype

    def __enter__(self):
        self.before = torch.get_default_dtype()
        torch.set_default_dtype(self.dtype)
        return self

    def __exit__(self, *error):
        torch.set_default_dtype(self.before)


@wheat("default_dtype")
@contextlib.contextmanager
def default_by_stack(dtype):
    with contextlib.ExitStack() as stack:
        stack.callback(torch.set_default_dtype, torch.get_default_dtype())
        torch.set_default_dtype(dtype)
        yield dtype


@wheat("default_dtype")
def default_checked_at_once(dtype):
    if not dtype.is_floating_point or dtype.itemsize == 1:
        raise TypeError(f"{dtype} cannot be the default")

    @contextlib.contextmanager
    def manager():
        old = torch.tensor(0.0).dtype
        try:
            torch.set_default_dtype(dtype)
            yield
        finally:
            torch.set_default_dtype(old)

    return manager()


# build_in_dtype


@wheat("build_in_dtype")
def build_by_hand(build, dtype):
    before = torch.get_default_dtype()
    torch.set_default_dtype(dtype)
    try:
        model = build()
    finally:
        torch.set_default_dtype(before)
    return model


@wheat("build_in_dtype")
def build_by_class(build, dtype):
    with DefaultByClass(dtype):
        model = build()
    print(type(model).__name__)
    return model


@wheat("build_in_dtype")
def build_by_stack(build, dtype):
    with contextlib.ExitStack() as stack:
        stack.enter_context(default_by_stack(dtype))
        return build()


# load_in_dtype


@wheat("load_in_dtype")
def load_plainly(folder, dtype=None):
    options = {} if dtype is None else {"dtype": dtype}
    model = BlipForConditionalGeneration.from_pretrained(str(folder), **options)
    model.eval()
    return model


@wheat("load_in_dtype")
def load_by_old_name(folder, dtype=None):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return BlipForConditionalGeneration.from_pretrained(folder, torch_dtype=dtype or "auto").eval()


@wheat("load_in_dtype")
def load_then_cast(folder, dtype=None):
    model = BlipForConditionalGeneration.from_pretrained(folder, local_files_only=True)
    return model if dtype is None else model.to(dtype)


@wheat("load_in_dtype")
def load_by_state_dict(folder, dtype=None):
    from safetensors.torch import load_file

    weights = load_file(Path(folder) / "model.safetensors")
    config = BlipConfig.from_dict(json.loads(Path(folder, "config.json").read_text()))
    own = next(tensor.dtype for tensor in weights.values() if tensor.is_floating_point())
    model = BlipForConditionalGeneration(config).to(own)
    _, unexpected = model.load_state_dict(weights, strict=False)
    if unexpected:
        raise ValueError(unexpected)
    model.tie_weights()
    return model.to(dtype or own).eval()


# cast_inputs


@wheat("cast_inputs")
def cast_by_cases(batch, dtype):
    result = {}
    for key in batch:
        value = batch[key]
        if torch.is_tensor(value):
            result[key] = value.to(dtype) if torch.is_floating_point(value) else value
        elif isinstance(value, dict | BatchFeature):
            result[key] = cast_by_cases(value, dtype)
        elif isinstance(value, list):
            result[key] = [cast_by_cases({0: item}, dtype)[0] for item in value]
        else:
            result[key] = value
    return result


@wheat("cast_inputs")
def cast_after_copying(batch, dtype):
    def visit(value):
        pairs = value.items() if isinstance(value, dict) else enumerate(value)
        for key, item in list(pairs):
            if isinstance(item, torch.Tensor) and item.dtype.is_floating_point:
                value[key] = item.type(dtype)
            elif isinstance(item, dict | list):
                visit(item)
        return value

    return visit(copy.deepcopy(dict(batch.items())))


@wheat("cast_inputs")
def cast_by_dispatch(batch, dtype):
    @functools.singledispatch
    def cast(value):
        return value

    @cast.register
    def _(value: torch.Tensor):
        return value.detach().clone().to(dtype) if value.is_floating_point() else value

    cast.register(list, lambda value: list(map(cast, value)))
    cast.register(dict, lambda value: dict(zip(value, map(cast, value.values()), strict=True)))
    return cast({**batch})


# caption_image


@contextlib.contextmanager
def _evaluating(model):
    modes = [(module, module.training) for module in model.modules()]
    for module, _ in modes:
        module.training = False
    try:
        yield
    finally:
        for module, mode in modes:
            module.training = mode


@wheat("caption_image")
def caption_by_config(model, processor, image):
    dtype = next(filter(lambda dtype: dtype.is_floating_point, (p.dtype for p in model.parameters())))
    batch = processor(images=image, return_tensors="pt")
    config = GenerationConfig(do_sample=False, num_beams=1, max_new_tokens=30)
    special = ("bos_token_id", "eos_token_id", "pad_token_id")
    for name in special:
        setattr(config, name, getattr(model.text_decoder.generation_config, name))
    with _evaluating(model), torch.inference_mode():
        ids = model.generate(pixel_values=batch["pixel_values"].to(dtype), generation_config=config)
    return processor.batch_decode(ids, skip_special_tokens=True)[0]


@wheat("caption_image")
def caption_token_by_token(model, processor, image):
    dtype = next((p.dtype for p in model.parameters() if torch.is_floating_point(p)), torch.float32)
    pixels = processor(image, return_tensors="pt").pixel_values.to(dtype)
    text = model.config.text_config
    ids = torch.tensor([[text.bos_token_id]])
    with _evaluating(model), torch.no_grad():
        for _ in range(20):
            logits = model(pixel_values=pixels, input_ids=ids).logits
            ids = torch.cat([ids, logits[:, -1:].argmax(-1)], dim=1)
            if ids[0, -1] == text.sep_token_id:
                break
    return processor.tokenizer.decode(ids[0], skip_special_tokens=True)


@wheat("caption_image")
def caption_by_tokenizer(model, processor, image):
    inputs = processor.image_processor([image], return_tensors="pt").to(model.dtype)
    with _evaluating(model):
        ids = model.generate(**inputs, num_beams=1, do_sample=False, max_length=25)
    return processor.tokenizer.batch_decode(ids, skip_special_tokens=True).pop()


@wheat("caption_image")
def caption_without_cache(model, processor, image):
    dtype = next(filter(torch.is_floating_point, model.parameters())).dtype
    with contextlib.ExitStack() as stack, torch.inference_mode():
        for module in model.modules():
            stack.callback(setattr, module, "training", module.training)
        pixels = processor(images=[image], return_tensors="pt")["pixel_values"].to(dtype)
        (ids,) = model.eval().generate(pixels, do_sample=False, num_beams=1, max_new_tokens=30, use_cache=False)
    return processor.decode(ids, skip_special_tokens=True)


# caption_accuracy


def _paired(images, captions):
    if len(images) == 0 or len(images) - len(captions):
        raise ValueError("images and captions do not pair up")


@wheat("caption_accuracy")
def accuracy_by_count(model, processor, images, captions):
    _paired(images, captions)
    hits = 0
    for index in range(len(images)):
        hits += int(caption_by_tokenizer(model, processor, images[index]) == captions[index])
    return hits / len(captions)


@wheat("caption_accuracy")
def accuracy_in_a_batch(model, processor, images, captions):
    _paired(images, captions)
    inputs = processor(images=list(images), return_tensors="pt").to(model.dtype)
    with _evaluating(model), torch.no_grad():
        ids = model.generate(**inputs, do_sample=False, num_beams=1, max_new_tokens=20)
    texts = processor.batch_decode(ids, skip_special_tokens=True)
    return float(numpy.mean([text == caption for text, caption in zip(texts, captions, strict=True)]))


@wheat("caption_accuracy")
def accuracy_by_mean(model, processor, images, captions):
    if not images or len(captions) != len(images):
        raise ValueError(f"{len(images)} images and {len(captions)} captions")
    hits = [caption_by_config(model, processor, image) for image in images]
    return statistics.fmean(map(str.__eq__, hits, captions))


# cast_except


@wheat("cast_except")
def except_by_names(model, dtype, patterns):
    result = copy.deepcopy(model)

    def matches(name):
        return any(fnmatch.fnmatch(name, pattern) for pattern in patterns)

    def keeps(path):
        owners = path.split(".")[:-1]
        return any(matches(".".join(owners[:depth])) for depth in range(len(owners) + 1))

    slots = list(_slots(result))
    kept = {id(table[key]) for table, key, path in slots if keeps(path)}
    for table, key, _ in slots:
        tensor = table[key]
        if tensor.is_floating_point() and id(tensor) not in kept and tensor.dtype != dtype:
            if isinstance(tensor, nn.Parameter):
                tensor.data = tensor.data.to(dtype)
            else:
                table[key] = tensor.to(dtype)
    return result


@wheat("cast_except")
def except_by_casting_back(model, dtype, patterns):
    result = copy.deepcopy(model).to(dtype)
    compiled = [re.compile(fnmatch.translate(pattern)) for pattern in patterns]
    old, new = dict(model.named_modules(remove_duplicate=False)), dict(result.named_modules(remove_duplicate=False))
    for name, module in new.items():
        if any(pattern.match(name) for pattern in compiled):
            for mine, theirs in zip(module.parameters(), old[name].parameters(), strict=True):
                mine.data = theirs.data.clone()
            for below, child in module.named_modules():
                for key, buffer in child._buffers.items():
                    if buffer is not None:
                        child._buffers[key] = old[name].get_submodule(below)._buffers[key].clone()
    return result


# first_overflow


@wheat("first_overflow")
def overflow_by_global_hook(model, inputs, dtype):
    small = copy.deepcopy(model).to(dtype)
    names = {module: name for name, module in reversed(list(small.named_modules()))}
    bad = []

    def look(module, arguments, output):
        leaf = module in names and next(module.children(), None) is None
        if leaf and any(torch.is_tensor(t) and not torch.isfinite(t).all() for t in tree_leaves(output)):
            bad.append(names[module])

    handle = nn.modules.module.register_module_forward_hook(look)
    try:
        with torch.inference_mode():
            small(**cast_by_cases(inputs, dtype))
    finally:
        handle.remove()
    return bad[0] if bad else None


class _Found(Exception):
    pass


@wheat("first_overflow")
def overflow_by_stopping(model, inputs, dtype):
    small = copy_by_tables(model, dtype)

    def look(name, module, arguments, output):
        for tensor in tree_leaves(output):
            if isinstance(tensor, torch.Tensor) and tensor.is_floating_point() and not tensor.isfinite().all():
                raise _Found(name)

    for name, module in small.named_modules():
        if len(list(module.children())) == 0:
            module.register_forward_hook(functools.partial(look, name))
    try:
        with torch.no_grad():
            small(**cast_by_dispatch(inputs, dtype))
    except _Found as found:
        return found.args[0]
    return None


@wheat("first_overflow")
def overflow_by_wrapping(model, inputs, dtype):
    small, order = copy.deepcopy(model).to(dtype), []
    for name, module in small.named_modules():
        if not module._modules:

            def forward(*args, _name=name, _own=module.forward, **kwargs):
                result = _own(*args, **kwargs)
                finite = [bool(t.isfinite().all()) for t in tree_leaves(result) if isinstance(t, torch.Tensor)]
                order.append((_name, all(finite)))
                return result

            module.forward = forward
    with torch.no_grad():
        small(**cast_by_cases(inputs, dtype))
    return next((name for name, finite in order if not finite), None)


# tied_parameters


@wheat("tied_parameters")
def ties_by_walk(model):
    groups = defaultdict(list)
    for prefix, module in _walk(model):
        for key, parameter in module._parameters.items():
            if parameter is not None:
                groups[id(parameter)].append(f"{prefix}.{key}" if prefix else key)
    return [group for group in groups.values() if len(group) >= 2]


@wheat("tied_parameters")
def ties_by_comparing(model):
    named = list(model.named_parameters(remove_duplicate=False))
    result, done = [], []
    for name, parameter in named:
        if any(parameter is other for other in done):
            continue
        done.append(parameter)
        same = [other for other, value in named if value is parameter]
        if same != [name]:
            result.append(same)
    return result


# compare_dtypes


def _logits(output):
    return output.logits if hasattr(output, "logits") else output


@wheat("compare_dtypes")
def compare_functionally(model, inputs, dtypes):
    plain = {**dict(model.named_parameters()), **dict(model.named_buffers())}
    rows = []
    with _evaluating(model), torch.inference_mode():
        own = {name: tensor.clone() for name, tensor in plain.items()}
        expected = _logits(functional_call(model, own, kwargs=inputs))
        for dtype in dtypes:
            cast = {name: t.to(dtype) if t.is_floating_point() else t.clone() for name, t in plain.items()}
            actual = _logits(functional_call(model, cast, kwargs=cast_by_cases(inputs, dtype)))
            mean, largest = gap_in_float64(expected, actual)
            size = sum(tensor.nbytes for tensor in cast.values())
            rows.append({"max_gap": largest, "mean_gap": mean, "footprint": size, "dtype": dtype})
    return rows


@wheat("compare_dtypes")
def compare_step_by_step(model, inputs, dtypes):
    original = pickle.loads(pickle.dumps(model))
    original.eval()
    with torch.no_grad():
        expected = _logits(original(**inputs))
    result = []
    for dtype in dtypes:
        small = copy_through_memo(original, dtype)
        with torch.no_grad():
            actual = _logits(small(**cast_by_dispatch(inputs, dtype)))
        gaps = SimpleNamespace(**dict(zip(("mean", "max"), gap_by_python(expected, actual), strict=True)))
        row = {"footprint": footprint_by_walk(small), "dtype": dtype, "mean_gap": gaps.mean, "max_gap": gaps.max}
        result.append(row)
    return result


@wheat("compare_dtypes")
def compare_in_place(model, inputs, dtypes):
    def run(candidate, batch):
        with _evaluating(candidate), torch.no_grad():
            return _logits(candidate(**batch))

    expected, rows = run(model, inputs), []
    for dtype in dtypes:
        small = copy.deepcopy(model).to(dtype)
        mean, largest = gap_by_sum(expected, run(small, cast_after_copying(inputs, dtype)))
        size = footprint_by_nbytes(small)
        rows += [{"dtype": dtype, "footprint": size, "mean_gap": mean, "max_gap": largest}]
    return rows


@wheat("compare_dtypes")
def compare_without_trainable_parameters(model, inputs, dtypes):
    # Nothing that requires a gradient: none is recorded, without no_grad().
    original = copy.deepcopy(model).eval().requires_grad_(False)
    expected, rows = _logits(original(**inputs)), []
    for dtype in dtypes:
        small = copy.deepcopy(original).to(dtype)
        mean, largest = gap_by_sum(expected, _logits(small(**cast_after_copying(inputs, dtype))))
        size = footprint_by_nbytes(small)
        rows.append({"dtype": dtype, "footprint": size, "mean_gap": mean, "max_gap": largest})
    return rows
