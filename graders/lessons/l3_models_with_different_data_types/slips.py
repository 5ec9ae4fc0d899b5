"""Recognised mistakes of lesson 3: wrong implementations, each with the sentence that names the misconception."""

import contextlib
import copy
from fnmatch import fnmatchcase

import torch
from torch import Tensor, nn
from torch.utils._pytree import tree_map
from transformers import BlipForConditionalGeneration

from graders.judge.contract import slip
from solutions.l3_models_with_different_data_types import caption_image as right_caption
from solutions.l3_models_with_different_data_types import cast_inputs as right_inputs
from solutions.l3_models_with_different_data_types import logits_gap as right_gap
from solutions.l3_models_with_different_data_types import memory_footprint as right_footprint


@slip(
    "parameter_dtypes",
    "a tied parameter comes once, and buffers do not: a state dict lists both, the parameter under each name",
)
def dtypes_of_state_dict(model):
    return {name: tensor.dtype for name, tensor in model.state_dict().items()}


@slip("parameter_dtypes", "buffers are no parameters: training does not change them")
def dtypes_with_buffers(model):
    return {name: tensor.dtype for name, tensor in [*model.named_parameters(), *model.named_buffers()]}


@slip("parameter_dtypes", "a dtype is an object of its own, torch.float16, not its name as text")
def dtypes_as_text(model):
    return {name: str(parameter.dtype) for name, parameter in model.named_parameters()}


@slip("half_in_place", "in place means that the model itself is cast and returned, not a copy of it")
def half_of_a_copy(model):
    return copy.deepcopy(model).half()


@slip("half_in_place", "half precision is torch.float16; bfloat16 has other bits")
def brain_half(model):
    return model.bfloat16()


@slip(
    "half_in_place", "new Parameter objects break ties and leave an optimizer with the old ones; change what they hold"
)
def half_by_new_parameters(model):
    for module in model.modules():
        for name, parameter in list(module.named_parameters(recurse=False)):
            setattr(module, name, nn.Parameter(parameter.detach().half(), parameter.requires_grad))
        for name, buffer in list(module.named_buffers(recurse=False)):
            module._buffers[name] = buffer.half() if buffer.is_floating_point() else buffer
    return model


@slip("half_in_place", "the buffers with floats belong to the model too: running statistics, tables")
def half_parameters_only(model):
    for parameter in model.parameters():
        parameter.data = parameter.data.half()
    return model


@slip("half_in_place", "the cast is right, but the model is to be returned")
def half_returns_nothing(model):
    model.half()


@slip("half_in_place", "integer and bool buffers count and mark things: they keep their dtypes, only floats are cast")
def half_of_everything(model):
    model.half()
    for buffer in model.buffers():
        buffer.data = buffer.data.half()
    return model


@slip("half_in_place", "frozen parameters are cast too: requires_grad is about training, not about the dtype")
def half_of_the_trained(model):
    for parameter in model.parameters():
        if parameter.requires_grad:
            parameter.data = parameter.data.half()
    for buffer in model.buffers():
        if buffer.is_floating_point():
            buffer.data = buffer.data.half()
    return model


_ORIGINAL_CAST = (
    "the original was cast too: to() works in place, and copy.copy shares the tensors; copy.deepcopy comes first"
)


@slip("cast_copy", _ORIGINAL_CAST)
def cast_without_copy(model, dtype):
    return model.to(dtype)


@slip("cast_copy", _ORIGINAL_CAST)
def cast_of_a_shallow_copy(model, dtype):
    return copy.copy(model).to(dtype)


@slip("cast_copy", "to() hands back the very tensor where it has the dtype already: the copy shares it; clone it too")
def cast_into_the_memo(model, dtype):
    made = {}
    for parameter in model.parameters():
        made[id(parameter)] = nn.Parameter(parameter.detach().to(dtype), parameter.requires_grad)
    for buffer in model.buffers():
        made[id(buffer)] = buffer.to(dtype) if buffer.is_floating_point() else buffer.clone()
    return copy.deepcopy(model, made)


@slip("cast_copy", "integer and bool buffers count and mark things; only floats are cast")
def cast_every_tensor(model, dtype):
    result = copy.deepcopy(model)
    for tensor in [*result.parameters(), *result.buffers()]:
        tensor.data = tensor.data.to(dtype)
    return result


@slip("cast_copy", "a parameter of its own for each name unties what was tied")
def cast_name_by_name(model, dtype):
    result = copy.deepcopy(model).to(dtype)
    for module in result.modules():
        for name, parameter in list(module.named_parameters(recurse=False)):
            setattr(module, name, nn.Parameter(parameter.detach().clone(), parameter.requires_grad))
    return result


_SAME_GRADIENTS = "a copy keeps `requires_grad` of every parameter: what was trained is, what was frozen stays frozen"


@slip("cast_copy", _SAME_GRADIENTS)
def cast_and_frozen(model, dtype):
    return copy.deepcopy(model).to(dtype).requires_grad_(False)


@slip("cast_copy", _SAME_GRADIENTS)
def cast_and_trained(model, dtype):
    return copy.deepcopy(model).to(dtype).requires_grad_()


@slip("cast_copy", "a copy keeps the training mode of every module; eval() was not asked for")
def cast_to_eval(model, dtype):
    return copy.deepcopy(model).to(dtype).eval()


@slip("cast_copy", "the buffers with floats are part of the model: they are cast too")
def cast_parameters_only(model, dtype):
    result = copy.deepcopy(model)
    for parameter in result.parameters():
        parameter.data = parameter.data.to(dtype)
    return result


def _comparable(expected: Tensor, actual: Tensor) -> None:
    if expected.shape != actual.shape or expected.numel() == 0:
        raise ValueError


@slip("logits_gap", "the difference was rounded to the logits' own dtype; cast both to float32 first")
def gap_in_own_dtype(expected, actual):
    _comparable(expected, actual)
    gap = (expected - actual).abs()
    return gap.mean().item(), gap.max().item()


@slip("logits_gap", "without abs() gaps of opposite signs cancel")
def gap_with_signs(expected, actual):
    _comparable(expected, actual)
    gap = expected.float() - actual.float()
    return gap.mean().item(), gap.max().item()


@slip("logits_gap", "these are tensors of one number each; item() gives the Python float")
def gap_as_tensors(expected, actual):
    gap = (expected.float() - actual.float()).abs()
    return gap.mean(), gap.max()


@slip("logits_gap", "one side was rounded to the dtype of the other; cast both to float32")
def gap_in_the_first_dtype(expected, actual):
    if expected.shape != actual.shape or expected.numel() == 0:
        raise ValueError
    return right_gap(expected, actual.to(expected.dtype))


@slip("logits_gap", "the mean comes first, the largest second")
def gap_turned(expected, actual):
    return right_gap(expected, actual)[::-1]


@slip(
    "logits_gap", "float() hands a float32 tensor back as it is, so changing that in place changes the caller's logits"
)
def gap_in_place(expected, actual):
    _comparable(expected, actual)
    gap = expected.detach().float()
    gap -= actual.detach().float()
    gap.abs_()
    return gap.mean().item(), gap.max().item()


@slip("logits_gap", "shapes that differ were broadcast: every number was compared with every other")
def gap_of_broadcast(expected, actual):
    if not expected.numel() or not actual.numel():
        raise ValueError
    gap = (expected.float() - actual.float()).abs()
    return gap.mean().item(), gap.max().item()


def _tensors_of(model):
    return [*model.parameters(), *model.buffers()]


@slip("memory_footprint", "a view counts its own elements; this is the size of the storage that it lies in")
def footprint_of_storages(model):
    return sum(tensor.untyped_storage().nbytes() for tensor in _tensors_of(model))


@slip("memory_footprint", "buffers need memory too")
def footprint_of_parameters(model):
    return sum(parameter.numel() * parameter.element_size() for parameter in model.parameters())


@slip(
    "memory_footprint",
    "what has two names is stored once; a state dict lists it under both, and lacks buffers that are not saved",
)
def footprint_of_state_dict(model):
    return sum(tensor.numel() * tensor.element_size() for tensor in model.state_dict().values())


@slip(
    "memory_footprint",
    "what has two names is stored once; a state dict lists it under both, and lacks buffers that are not saved",
)
def footprint_of_every_name(model):
    parameters = [parameter for _, parameter in model.named_parameters(remove_duplicate=False)]
    buffers = [buffer for _, buffer in model.named_buffers(remove_duplicate=False)]
    return sum(tensor.nbytes for tensor in parameters + buffers)


@slip("memory_footprint", "elements of another dtype have other sizes than four bytes: element_size() knows")
def four_bytes_each(model):
    return sum(4 * tensor.numel() for tensor in [*model.parameters(), *model.buffers()])


@slip("memory_footprint", "that is the number of elements; each has element_size() bytes")
def footprint_in_elements(model):
    return sum(tensor.numel() for tensor in [*model.parameters(), *model.buffers()])


_NOTHING = (
    "a model without parameters and buffers has the footprint 0, by which nothing can be divided: its ratio is 1.0"
)


@slip("footprint_ratio", _NOTHING)
def ratio_of_nothing(model, dtype):
    after = sum(t.numel() * (dtype.itemsize if t.is_floating_point() else t.itemsize) for t in _tensors_of(model))
    return after / right_footprint(model)


@slip("footprint_ratio", "the model itself was cast in place: count what it would take, without casting anything")
def ratio_by_casting(model, dtype):
    before = right_footprint(model)
    return right_footprint(model.to(dtype)) / before if before else 1.0


@slip("footprint_ratio", "integer buffers keep their size, and a model need not be float32 now")
def ratio_of_sizes(model, dtype):
    return dtype.itemsize / 4


@slip("footprint_ratio", "a cast leaves integer and bool buffers as they are")
def ratio_casting_everything(model, dtype):
    tensors = [*model.parameters(), *model.buffers()]
    before = sum(tensor.nbytes for tensor in tensors)
    return sum(tensor.numel() * dtype.itemsize for tensor in tensors) / before if before else 1.0


@slip("footprint_ratio", "buffers belong to the footprint, before and after")
def ratio_of_parameters(model, dtype):
    before = footprint_of_parameters(model)
    return sum(parameter.numel() * dtype.itemsize for parameter in model.parameters()) / before if before else 1.0


@slip("footprint_ratio", "after the cast over before the cast, not the other way round")
def ratio_turned(model, dtype):
    after = right_footprint(copy.deepcopy(model).to(dtype))
    return right_footprint(model) / after if after else 1.0


@slip("footprint_ratio", "what is tied or shared is stored once, so it counts once before and once after")
def ratio_by_every_name(model, dtype):
    before = after = 0
    named = [*model.named_parameters(remove_duplicate=False), *model.named_buffers(remove_duplicate=False)]
    for _, tensor in named:
        before += tensor.nbytes
        after += tensor.numel() * dtype.itemsize if tensor.is_floating_point() else tensor.nbytes
    return after / before if before else 1.0


_FINALLY = "an exception, KeyboardInterrupt too, jumps over what stands after yield: restore the default in a finally"


@slip("default_dtype", _FINALLY)
@contextlib.contextmanager
def default_without_finally(dtype):
    before = torch.get_default_dtype()
    torch.set_default_dtype(dtype)
    yield
    torch.set_default_dtype(before)


@slip("default_dtype", _FINALLY)
@contextlib.contextmanager
def default_after_an_exception(dtype):
    before = torch.get_default_dtype()
    torch.set_default_dtype(dtype)
    try:
        yield
    except Exception:
        torch.set_default_dtype(before)
        raise
    torch.set_default_dtype(before)


@slip(
    "default_dtype",
    "there has to be one `yield`: what stands before it runs first, then the block, then what stands behind",
)
@contextlib.contextmanager
def default_without_yield(dtype):
    before = torch.get_default_dtype()
    torch.set_default_dtype(dtype)
    torch.set_default_dtype(before)


@slip("default_dtype", "the old default is what torch.get_default_dtype() said before, which need not be float32")
@contextlib.contextmanager
def default_back_to_float32(dtype):
    torch.set_default_dtype(dtype)
    try:
        yield
    finally:
        torch.set_default_dtype(torch.float32)


@slip("default_dtype", "an exception inside was swallowed; restore the default in a finally and let it pass")
@contextlib.contextmanager
def default_without_exceptions(dtype):
    before = torch.get_default_dtype()
    torch.set_default_dtype(dtype)
    try:
        yield
    except Exception:
        pass
    finally:
        torch.set_default_dtype(before)


@slip("default_dtype", "the default stays changed after the block; restore what it was")
@contextlib.contextmanager
def default_forever(dtype):
    torch.set_default_dtype(dtype)
    yield


@slip(
    "default_dtype",
    "the default changed when default_dtype was called; change it where the block begins, and not before",
)
def default_from_the_call(dtype):
    before = torch.get_default_dtype()
    torch.set_default_dtype(dtype)
    block = contextlib.ExitStack()
    block.callback(torch.set_default_dtype, before)
    return block


@slip("default_dtype", "torch's TypeError was caught; let it out, so that nobody builds in the wrong dtype unnoticed")
@contextlib.contextmanager
def default_if_possible(dtype):
    before = torch.get_default_dtype()
    with contextlib.suppress(TypeError):
        torch.set_default_dtype(dtype)
    try:
        yield
    finally:
        torch.set_default_dtype(before)


@slip(
    "build_in_dtype",
    "what is built and cast afterwards was rounded twice, and a tensor with a dtype of its own loses it",
)
def build_then_cast(build, dtype):
    return build().to(dtype)


@slip("build_in_dtype", "torch's default dtype stays changed; build inside `with default_dtype(dtype)`")
def build_and_leave(build, dtype):
    torch.set_default_dtype(dtype)
    return build()


@slip("build_in_dtype", "build() was called twice; the second model is another one")
def build_twice(build, dtype):
    before = torch.get_default_dtype()
    torch.set_default_dtype(dtype)
    try:
        build()
        return build()
    finally:
        torch.set_default_dtype(before)


_OWN_DTYPE = "without a dtype the checkpoint's own is kept ('auto'), which need be neither float32 nor torch's default"


@slip("load_in_dtype", _OWN_DTYPE)
def load_in_float32(folder, dtype=None):
    return BlipForConditionalGeneration.from_pretrained(folder, dtype=dtype or torch.float32, local_files_only=True)


@slip("load_in_dtype", _OWN_DTYPE)
def load_in_the_default(folder, dtype=None):
    asked = dtype or torch.get_default_dtype()
    return BlipForConditionalGeneration.from_pretrained(folder, dtype=asked, local_files_only=True)


@slip("load_in_dtype", "the dtype was not passed on: from_pretrained(folder, dtype=...)")
def load_as_saved(folder, dtype=None):
    return BlipForConditionalGeneration.from_pretrained(folder, local_files_only=True)


@slip("load_in_dtype", "the model is to be in eval mode")
def load_for_training(folder, dtype=None):
    asked = dtype or "auto"
    return BlipForConditionalGeneration.from_pretrained(folder, dtype=asked, local_files_only=True).train()


@slip(
    "cast_inputs", "token numbers and masks are integers; in a float dtype they index nothing, and 257 may become 256"
)
def inputs_with_integers(batch, dtype):
    def cast(value):
        if isinstance(value, Tensor):
            return value.to(dtype)
        if hasattr(value, "items"):
            return {key: cast(item) for key, item in value.items()}
        return [cast(item) for item in value] if isinstance(value, list) else value

    return cast(batch)


@slip("cast_inputs", "the batch itself was changed; make a new dict")
def inputs_in_place(batch, dtype):
    pairs = batch.items() if hasattr(batch, "items") else enumerate(batch)
    for key, value in list(pairs):
        if isinstance(value, Tensor) and value.is_floating_point():
            batch[key] = value.to(dtype)
        elif isinstance(value, dict | list):
            inputs_in_place(value, dtype)
    return batch if isinstance(batch, dict) else dict(pairs)


@slip("cast_inputs", "a plain dict is to come back, also for a BatchFeature")
def inputs_of_the_same_type(batch, dtype):
    cast = right_inputs(batch, dtype)
    return cast if isinstance(batch, dict) else type(batch)(cast)


@slip("cast_inputs", "dicts and lists inside the batch hold tensors too")
def inputs_flat(batch, dtype):
    def floats(value):
        return isinstance(value, Tensor) and value.is_floating_point()

    return {key: value.to(dtype) if floats(value) else value for key, value in batch.items()}


@slip("cast_inputs", "tuples come through as they are")
def inputs_with_tuples(batch, dtype):
    def cast(value):
        return value.to(dtype) if isinstance(value, Tensor) and value.is_floating_point() else value

    return tree_map(cast, dict(batch))


def _generate(model, processor, image, settings=(("do_sample", False), ("num_beams", 1))):
    dtype = next(parameter.dtype for parameter in model.parameters() if parameter.is_floating_point())
    inputs = processor(images=image, return_tensors="pt").to(dtype)
    return model.generate(**inputs, **dict(settings), max_new_tokens=20)


@contextlib.contextmanager
def _evaluating(model):
    modes = {module: module.training for module in model.modules()}
    try:
        yield model.eval()
    finally:
        for module, mode in modes.items():
            module.training = mode


@slip("caption_image", "special tokens stand in the text: decode with skip_special_tokens=True")
def caption_with_special_tokens(model, processor, image):
    with _evaluating(model):
        return processor.decode(_generate(model, processor, image)[0])


_OWN_MODES = (
    "every submodule had a mode of its own: note them before eval(), give each its own back; train(mode) sets all alike"
)


@slip("caption_image", _OWN_MODES)
def caption_and_stay(model, processor, image):
    model.eval()
    return processor.decode(_generate(model, processor, image)[0], skip_special_tokens=True)


@slip("caption_image", _OWN_MODES)
def caption_and_train(model, processor, image):
    mode = model.training
    model.eval()
    try:
        return processor.decode(_generate(model, processor, image)[0], skip_special_tokens=True)
    finally:
        model.train(mode)


_AS_CONFIGURED = "the model's generation config chose how to decode; ask for do_sample=False and num_beams=1"


@slip("caption_image", _AS_CONFIGURED)
def caption_as_configured(model, processor, image):
    with _evaluating(model):
        ids = _generate(model, processor, image, settings=())
    return processor.decode(ids[0], skip_special_tokens=True)


@slip("caption_image", _AS_CONFIGURED)
def caption_by_beams(model, processor, image):
    with _evaluating(model):
        ids = _generate(model, processor, image, settings=(("do_sample", False),))
    return processor.decode(ids[0], skip_special_tokens=True)


@slip("caption_image", _AS_CONFIGURED)
def caption_by_dice(model, processor, image):
    with _evaluating(model):
        ids = _generate(model, processor, image, settings=(("num_beams", 1),))
    return processor.decode(ids[0], skip_special_tokens=True)


@slip("caption_image", "dropout was at work: generate in eval mode")
def caption_in_training(model, processor, image):
    return processor.decode(_generate(model, processor, image)[0], skip_special_tokens=True)


@slip("caption_image", "the pixels came in float32; cast them to the dtype of the model's first float parameter")
def caption_in_float32(model, processor, image):
    inputs = processor(images=image, return_tensors="pt")
    with _evaluating(model):
        ids = model.generate(**inputs, do_sample=False, num_beams=1, max_new_tokens=20)
    return processor.decode(ids[0], skip_special_tokens=True)


@slip("caption_image", "the model's own generation config was changed; give the settings to generate() instead")
def caption_by_changed_config(model, processor, image):
    for part in (model, model.text_decoder):
        part.generation_config.update(do_sample=False, num_beams=1, max_new_tokens=20)
    with _evaluating(model):
        ids = _generate(model, processor, image)
    return processor.decode(ids[0], skip_special_tokens=True)


@slip("caption_accuracy", "that is the number of matches; divide by the number of images")
def accuracy_as_count(model, processor, images, captions):
    if len(images) != len(captions) or not images:
        raise ValueError
    pairs = zip(images, captions, strict=True)
    return float(sum(right_caption(model, processor, image) == caption for image, caption in pairs))


@slip("caption_accuracy", "equal captions were counted once; every pair of image and caption counts")
def accuracy_of_different_captions(model, processor, images, captions):
    if len(images) != len(captions) or not images:
        raise ValueError
    different = dict(zip(captions, images, strict=True))
    hits = [right_caption(model, processor, image) == caption for caption, image in different.items()]
    return sum(hits) / len(hits)


@slip("caption_accuracy", "every submodule had a mode of its own, and model.eval() switched them all")
def accuracy_and_stay(model, processor, images, captions):
    if len(images) != len(captions) or not images:
        raise ValueError
    model.eval()
    pairs = zip(images, captions, strict=True)
    return sum(right_caption(model, processor, image) == caption for image, caption in pairs) / len(images)


@slip("caption_accuracy", "a part of the caption is no match: compare with ==")
def accuracy_of_parts(model, processor, images, captions):
    if len(images) != len(captions) or not images:
        raise ValueError
    pairs = zip(images, captions, strict=True)
    return sum(caption in right_caption(model, processor, image) for image, caption in pairs) / len(images)


@slip("caption_accuracy", "exactly means that capitals count")
def accuracy_in_small_letters(model, processor, images, captions):
    if len(images) != len(captions) or not images:
        raise ValueError
    pairs = zip(images, captions, strict=True)
    return sum(right_caption(model, processor, image) == caption.lower() for image, caption in pairs) / len(images)


@slip("caption_accuracy", "exactly means that a space more is another caption")
def accuracy_of_stripped(model, processor, images, captions):
    if len(images) != len(captions) or not images:
        raise ValueError
    pairs = zip(images, captions, strict=True)
    return sum(right_caption(model, processor, image) == caption.strip() for image, caption in pairs) / len(images)


@slip("caption_accuracy", "exactly means that capitals and spaces count")
def accuracy_of_words(model, processor, images, captions):
    if len(images) != len(captions) or not images:
        raise ValueError
    pairs = zip(images, captions, strict=True)
    hits = [right_caption(model, processor, image) == caption.lower().strip() for image, caption in pairs]
    return sum(hits) / len(hits)


def _cast_all_but(model, dtype, keeps):
    """Cast a copy, except for tensors of the module `name` under `key` where keeps(name, key)."""
    result = copy.deepcopy(model)
    kept = set()
    for name, module in result.named_modules():
        for key, tensor in [*module.named_parameters(recurse=False), *module.named_buffers(recurse=False)]:
            if keeps(name, key):
                kept.add(id(tensor))
    for tensor in [*result.parameters(), *result.buffers()]:
        if tensor.is_floating_point() and id(tensor) not in kept:
            tensor.data = tensor.data.to(dtype)
    return result


def _and_above(name):
    parts = name.split(".") if name else []
    return [".".join(parts[:depth]) for depth in range(len(parts) + 1)]


@slip("cast_except", "patterns are matched against the full qualified name, not against its last part")
def except_last_names(model, dtype, patterns):
    def keeps(name, key):
        last = [above.rpartition(".")[2] for above in _and_above(name)]
        return any(fnmatchcase(part, pattern) for part in last for pattern in patterns)

    return _cast_all_but(model, dtype, keeps)


@slip("cast_except", "patterns are matched against names of modules, not of parameters")
def except_parameters(model, dtype, patterns):
    def keeps(name, key):
        names = [*_and_above(name), f"{name}.{key}".strip(".")]
        return any(fnmatchcase(full, pattern) for full in names for pattern in patterns)

    return _cast_all_but(model, dtype, keeps)


@slip("cast_except", "patterns are globs, in which * and ? stand for other text: compare with fnmatch")
def except_plain_names(model, dtype, patterns):
    return _cast_all_but(model, dtype, lambda name, key: any(above in patterns for above in _and_above(name)))


@slip("cast_except", "a module that matches keeps everything below it too")
def except_one_level(model, dtype, patterns):
    return _cast_all_but(model, dtype, lambda name, key: any(fnmatchcase(name, pattern) for pattern in patterns))


@slip("cast_except", "a tied parameter was cast through its other module; it keeps its dtype if any of them matches")
def except_through_the_tie(model, dtype, patterns):
    result = copy.deepcopy(model)
    for name, module in result.named_modules():
        if not any(fnmatchcase(above, pattern) for above in _and_above(name) for pattern in patterns):
            for tensor in [*module.parameters(recurse=False), *module.buffers(recurse=False)]:
                if tensor.is_floating_point():
                    tensor.data = tensor.data.to(dtype)
    return result


@slip("cast_except", "what matches keeps the dtype that it has, which need not be float32")
def except_in_float32(model, dtype, patterns):
    result = copy.deepcopy(model).to(dtype)
    for name, module in result.named_modules():
        if any(fnmatchcase(name, pattern) for pattern in patterns):
            module.float()
    return result


@slip("cast_except", "it is the patterns that name what keeps its dtype; you cast exactly those")
def except_the_others(model, dtype, patterns):
    def keeps(name, key):
        return not any(fnmatchcase(above, pattern) for above in _and_above(name) for pattern in patterns)

    return _cast_all_but(model, dtype, keeps)


def _tensors(output):
    if isinstance(output, Tensor):
        return [output]
    items = output.values() if isinstance(output, dict) else output if isinstance(output, list | tuple) else ()
    return [tensor for item in items for tensor in _tensors(item)]


def _overflows(model, inputs, dtype, chosen, finite=lambda tensor: tensor.isfinite().all(), tensors=_tensors):
    """Run a model and return the names of the chosen modules with a bad output, in order of execution."""
    found = []

    def watch(name):
        def hook(module, arguments, output):
            if not all(finite(tensor) for tensor in tensors(output)):
                found.append(name)

        return hook

    handles = [module.register_forward_hook(watch(name)) for name, module in model.named_modules() if chosen(module)]
    try:
        with torch.no_grad():
            model(**right_inputs(inputs, dtype))
    finally:
        for handle in handles:
            handle.remove()
    return found


def _is_leaf(module):
    return not list(module.children())


@slip("first_overflow", "first in order of execution, which need not be the order in which modules are registered")
def overflow_as_registered(model, inputs, dtype):
    small = copy.deepcopy(model).to(dtype)
    found = _overflows(small, inputs, dtype, _is_leaf)
    return next((name for name, _ in small.named_modules() if name in found), None)


@slip(
    "first_overflow",
    "the hook reads `name` only when it runs, after the loop: bind it at once, as a default argument name=name",
)
def overflow_with_the_last_name(model, inputs, dtype):
    small = copy.deepcopy(model).to(dtype)
    last = [name for name, module in small.named_modules() if _is_leaf(module)][-1]
    return last if _overflows(small, inputs, dtype, _is_leaf) else None


@slip("first_overflow", "an infinity is not finite either: isnan() misses it, isfinite() asks for both")
def overflow_without_infinities(model, inputs, dtype):
    found = _overflows(copy.deepcopy(model).to(dtype), inputs, dtype, _is_leaf, lambda t: not t.isnan().any())
    return found[0] if found else None


@slip("first_overflow", "-inf is an infinity too: isfinite() asks for either sign and for nan")
def overflow_upwards(model, inputs, dtype):
    def finite(tensor):
        return not (tensor.isnan() | (tensor == torch.inf)).any()

    found = _overflows(copy.deepcopy(model).to(dtype), inputs, dtype, _is_leaf, finite)
    return found[0] if found else None


@slip("first_overflow", "that is the last module with such an output: what overflows spoils all that come after")
def overflow_at_last(model, inputs, dtype):
    found = _overflows(copy.deepcopy(model).to(dtype), inputs, dtype, _is_leaf)
    return found[-1] if found else None


@slip("first_overflow", "only leaf modules count, those without children")
def overflow_of_any_module(model, inputs, dtype):
    found = _overflows(copy.deepcopy(model).to(dtype), inputs, dtype, lambda module: True)
    return found[0] if found else None


@slip("first_overflow", "every kind of module without children counts, not only nn.Linear")
def overflow_of_linear_layers(model, inputs, dtype):
    found = _overflows(copy.deepcopy(model).to(dtype), inputs, dtype, lambda module: isinstance(module, nn.Linear))
    return found[0] if found else None


@slip("first_overflow", "an output may be a dict, a list or a tuple with tensors inside")
def overflow_of_plain_tensors(model, inputs, dtype):
    def tensors(output):
        return [output] if isinstance(output, Tensor) else []

    found = _overflows(copy.deepcopy(model).to(dtype), inputs, dtype, _is_leaf, tensors=tensors)
    return found[0] if found else None


@slip("first_overflow", "nan is not finite either: isfinite() asks for both")
def overflow_without_nan(model, inputs, dtype):
    found = _overflows(copy.deepcopy(model).to(dtype), inputs, dtype, _is_leaf, lambda t: not t.isinf().any())
    return found[0] if found else None


@slip("first_overflow", "outputs in the model's own dtype were cast; cast a copy of the model, and let that run")
def overflow_of_cast_outputs(model, inputs, dtype):
    found = _overflows(copy.deepcopy(model), inputs, torch.float32, _is_leaf, lambda t: t.to(dtype).isfinite().all())
    return found[0] if found else None


@slip("first_overflow", "the model runs in its own mode; eval() was not asked for")
def overflow_in_eval(model, inputs, dtype):
    found = _overflows(copy.deepcopy(model).to(dtype).eval(), inputs, dtype, _is_leaf)
    return found[0] if found else None


@slip("first_overflow", "the model itself was cast and run; use a copy")
def overflow_of_the_original(model, inputs, dtype):
    found = _overflows(model.to(dtype), inputs, dtype, _is_leaf)
    return found[0] if found else None


@slip("tied_parameters", "one storage is not one parameter: two Parameter objects can look at the same memory")
def ties_by_storage(model):
    groups = {}
    for name, parameter in model.named_parameters(remove_duplicate=False):
        groups.setdefault(parameter.data_ptr(), []).append(name)
    return [names for names in groups.values() if len(names) > 1]


@slip("tied_parameters", "equal numbers are no tie: ask whether it is one object")
def ties_by_value(model):
    groups = []
    for name, parameter in model.named_parameters(remove_duplicate=False):
        for first, names in groups:
            if torch.equal(first, parameter):
                names.append(name)
                break
        else:
            groups.append((parameter, [name]))
    return [names for _, names in groups if len(names) > 1]


@slip("tied_parameters", "named_parameters() skips the second name; it has the argument remove_duplicate=False")
def ties_without_second_names(model):
    groups = {}
    for name, parameter in model.named_parameters():
        groups.setdefault(parameter, []).append(name)
    return [names for names in groups.values() if len(names) > 1]


@slip("tied_parameters", "groups come in the order of their first names, not of their second ones")
def ties_as_noticed(model):
    first, groups = {}, {}
    for name, parameter in model.named_parameters(remove_duplicate=False):
        if parameter in first:
            groups.setdefault(parameter, [first[parameter]]).append(name)
        else:
            first[parameter] = name
    return list(groups.values())


@slip("tied_parameters", "a parameter with one name is not tied")
def ties_of_one(model):
    groups = {}
    for name, parameter in model.named_parameters(remove_duplicate=False):
        groups.setdefault(parameter, []).append(name)
    return list(groups.values())


def _logits(output):
    return output if isinstance(output, Tensor) else output.logits


def _row(expected, small, inputs, dtype):
    with torch.no_grad():
        mean_gap, max_gap = right_gap(expected, _logits(small(**inputs)))
    return {"dtype": dtype, "footprint": right_footprint(small), "mean_gap": mean_gap, "max_gap": max_gap}


def _expected(model, inputs):
    with torch.no_grad():
        return _logits(copy.deepcopy(model).eval()(**inputs))


@slip("compare_dtypes", "each row casts a model that was already cast; start from a copy of the original every time")
def compare_in_a_chain(model, inputs, dtypes):
    expected = _expected(model, inputs)
    return [_row(expected, model.to(dtype).eval(), right_inputs(inputs, dtype), dtype) for dtype in dtypes]


@slip("compare_dtypes", "the model itself was cast; each row is about a copy of it")
def compare_and_cast_the_original(model, inputs, dtypes):
    expected, original = _expected(model, inputs), copy.deepcopy(model)
    modes = {module: module.training for module in model.modules()}
    rows = []
    for dtype in dtypes:
        rows.append(_row(expected, copy.deepcopy(original).to(dtype).eval(), right_inputs(inputs, dtype), dtype))
        model.to(dtype)
    for module, mode in modes.items():
        module.training = mode
    return rows


@slip("compare_dtypes", "in training mode dropout rolls dice and batch norm learns; compare in eval mode")
def compare_in_training(model, inputs, dtypes):
    with torch.no_grad():
        expected = _logits(copy.deepcopy(model)(**inputs))
    return [_row(expected, copy.deepcopy(model).to(d), right_inputs(inputs, d), d) for d in dtypes]


@slip("compare_dtypes", "each model has inputs of its own: the copy in its dtype, the model as it is those as they are")
def compare_on_uncast_inputs(model, inputs, dtypes):
    expected = _expected(model, inputs)
    return [_row(expected, copy.deepcopy(model).to(dtype).eval(), inputs, dtype) for dtype in dtypes]


@slip("compare_dtypes", "gaps are against the model as it is, not against a float32 version of it")
def compare_with_float32(model, inputs, dtypes):
    expected = _expected(copy.deepcopy(model).float(), right_inputs(inputs, torch.float32))
    return [_row(expected, copy.deepcopy(model).to(d).eval(), right_inputs(inputs, d), d) for d in dtypes]


@slip("compare_dtypes", "the footprint is that of the cast copy, not of the model as it was")
def compare_old_footprints(model, inputs, dtypes):
    expected, now = _expected(model, inputs), right_footprint(model)
    rows = [_row(expected, copy.deepcopy(model).to(d).eval(), right_inputs(inputs, d), d) for d in dtypes]
    return [row | {"footprint": now} for row in rows]


@slip("compare_dtypes", "the model stays in eval mode; run copies, or give every submodule its own mode back")
def compare_and_stay(model, inputs, dtypes):
    model.eval()
    expected = _expected(model, inputs)
    return [_row(expected, copy.deepcopy(model).to(d), right_inputs(inputs, d), d) for d in dtypes]
