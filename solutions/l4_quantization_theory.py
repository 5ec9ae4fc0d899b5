# ---
# jupyter:
#   jupytext:
#     cell_metadata_filter: tags,nbgrader,-all
#     text_representation:
#       extension: .py
#       format_name: percent
#   kernelspec:
#     display_name: Python 3
#     language: python
#     name: python3
# ---

# %% [markdown]
# # Quantization theory
#
# A cast to bfloat16 keeps a number for a number, each in half the bytes. Quantization goes further: it stores small
# integers, and beside them the few numbers that say what an integer stands for. In this lesson you write the
# arithmetic by hand, let the library quanto do it to a whole model, count the bytes that are really stored, and
# measure what it costs in quality. At the end you decide for a model whether a cast is enough or it has to be quantized.
#
# The first eleven exercises are the core, the rest is practice. Every docstring holds examples: they are the public
# check.

# %%
import copy
import json
import math
from collections.abc import Callable
from fnmatch import fnmatch
from pathlib import Path

import torch
from optimum import quanto
from safetensors.torch import load_file, save_file
from torch import Tensor, nn

from exercises.kit import models, number_words, pictures, toys
from exercises.kit.unpacking import unpack_in_torch

unpack_in_torch()  # quanto would compile C++ at the first use of 4-bit weights

# %% [markdown]
# ## One scale and one zero point
#
# Linear quantization draws a straight line between floats and integer codes:
#
# $$x \approx \text{scale}\cdot(q - \text{zero\_point}).$$
#
# `scale` is the step between two codes, a positive float. `zero_point` is the code of 0.0, an integer. The *affine* form
# puts the smallest value on the smallest code and the largest on the largest. The *symmetric* form fixes the zero
# point at 0 and needs the scale alone; quanto uses it for 8-bit weights.
#
# Zero itself has to have a code: padding, ReLU and bias-free layers produce exact zeros, and an error there would be
# added everywhere. So the range is widened to contain 0 before it is divided.


# %% tags=["core"]
# hint 1: Two points fix the line: the smallest value lands on the smallest code, the largest on the largest. What has
#         to lie between them in any case?
# hint 2: Look up torch.iinfo, item() (a Python float is a float64), min, max and round.
# hint 3: Take the two ends as Python floats, each widened to 0. If both are 0, answer at once. The scale is the width
#         over the number of steps; the zero point is the smallest code minus the low end in steps, rounded.
# >>> scale_and_zero_point(tensor([[0.0, 0.0], [0.0, 51 * 2.0**-60]]))
# (1.7347234759768072e-19, -128)
# >>> scale_and_zero_point(tensor([1 / 3], dtype=torch.float64))
# (0.00130718954248366, -128)
# >>> scale_and_zero_point(tensor([1.0, -254.0, 0.5]), torch.uint8)
# (1.0, 254)
# >>> scale_and_zero_point(tensor(-51.0)), scale_and_zero_point(torch.zeros(2))
# ((0.2, 127), (1.0, 0))
# >>> scale_and_zero_point(torch.full((3,), 32640.0).half())
# (128.0, -128)
# >>> scale_and_zero_point(tensor([255 * 2.0**-900], dtype=torch.float64)) == (2.0**-900, -128)
# True
def scale_and_zero_point(tensor: Tensor, dtype: torch.dtype = torch.int8) -> tuple[float, int]:
    """Map the range of `tensor`, widened to contain 0, onto the whole range of `dtype`.

    tensor: float, any shape (0-dim too).  dtype: int8 or uint8.  The range is taken in float64: the width of a float16
    tensor's range may exceed float16.  The zero point is an int inside the dtype's range, rounded to nearest.
    All zeros give (1.0, 0).  ValueError if the tensor is empty or not finite.  Ranges whose width or scale float64 cannot
    hold (from -1.7e308 to 1.7e308, or from 0 to 5e-324) do not occur.
    >>> scale_and_zero_point(tensor([-28.25, 100.0, 226.75]))
    (1.0, -100)
    >>> scale_and_zero_point(tensor([51.0, 127.5]), torch.uint8)
    (0.5, 0)
    >>> scale_and_zero_point(tensor([-65504.0, 65056.0], dtype=torch.float16))
    (512.0, 0)
    """
    if tensor.numel() == 0 or not tensor.isfinite().all():
        raise ValueError("the range of an empty tensor, or of one with inf or nan, is not defined")
    ### BEGIN SOLUTION
    low = min(tensor.min().item(), 0.0)
    high = max(tensor.max().item(), 0.0)
    if low == high:
        return 1.0, 0
    codes = torch.iinfo(dtype)
    scale = (high - low) / (codes.max - codes.min)
    return scale, round(codes.min - low / scale)
    ### END SOLUTION


# %% [markdown]
# With scale and zero point given, quantizing is five steps in a fixed order: divide, round, shift, clamp, cast. `round`
# goes to the even neighbour at a tie, as everywhere in torch. The clamp comes *before* the cast, because a cast of a
# number outside the range is undefined: on most machines 128 wraps to -128, the largest value becomes the smallest.


# %% tags=["core"]
# hint 1: Which of the five steps (divide, round, shift, clamp, cast) could wrap if it came too early?
# hint 2: Look up torch.round, Tensor.clamp, torch.iinfo and Tensor.to.
# hint 3: Three lines: the limits of the dtype; the rounded quotient plus the zero point; clamp that and cast it, last
#         of all.
# >>> linear_quantize(tensor([[0.5, 4.0]], dtype=torch.float64), 2.0, 1)
# tensor([[1, 3]], dtype=torch.int8)
# >>> linear_quantize(tensor([-12.649, 12.451]), 0.1, 0)
# tensor([-126,  125], dtype=torch.int8)
def linear_quantize(tensor: Tensor, scale: float, zero_point: int, dtype: torch.dtype = torch.int8) -> Tensor:
    """Return the codes of `tensor`: divide by scale, round half to even, shift by zero_point, clamp, cast.

    tensor: float, any shape but 0-dim.  dtype: int8 or uint8, of which the codes are; same shape.  The
    quotient is formed in the tensor's own float dtype or a wider one.  Values outside the range,
    infinities too, get the nearest end of it.  At an exact tie you may also shift first.  ValueError on nan.
    >>> linear_quantize(tensor([-0.25, 0.25, 0.75, 1.25, -100.0, 100.0]), 0.5, -2)
    tensor([-2, -2, 0, 0, -128, 127], dtype=torch.int8)
    >>> linear_quantize(tensor([-4.0, 1.0, inf]), 1.0, 3, torch.uint8)
    tensor([0, 4, 255], dtype=torch.uint8)
    """
    if tensor.isnan().any():
        raise ValueError("nan has no code")
    ### BEGIN SOLUTION
    codes = torch.iinfo(dtype)
    q = torch.round(tensor.double() / scale) + zero_point
    return q.clamp(codes.min, codes.max).to(dtype)
    ### END SOLUTION


# %% [markdown]
# Back again: subtract, then multiply. The subtraction must not happen in 8 bits. Here is what int8 does to it, with the
# numbers of the sequel course (scale 3.5, zero point -70), where 127 should become 3.5 · 197 = 689.5:

# %% tags=["active-ipynb"]
# code_127 = torch.tensor([127], dtype=torch.int8)
# print("in int8:   ", 3.5 * (code_127 - -70))
# print("in float32:", 3.5 * (code_127.float() - -70))


# %% tags=["core"]
# hint 1: What happens to 127 minus -70 in eight bits?
# hint 2: Look up Tensor.float.
# hint 3: One line: the codes as floats, minus the zero point, times the scale, in this order.
# >>> linear_dequantize(tensor([127, 126], dtype=torch.int8), 0.1, 127)
# tensor([ 0.000000000, -0.100000001])
# >>> linear_dequantize(tensor([127], dtype=torch.int8), 1.0, -128)
# tensor([255.])
def linear_dequantize(q: Tensor, scale: float, zero_point: int) -> Tensor:
    """Return the float32 values that codes stand for: scale * (q - zero_point).

    q: int8 or uint8, any shape but 0-dim; same shape.  The subtraction is exact, then one product.
    >>> linear_dequantize(tensor([[127], [-70], [-128]], dtype=torch.int8), 0.5, -70)
    tensor([[98.5], [0.0], [-29.0]])
    >>> linear_dequantize(tensor([0, 255], dtype=torch.uint8), 2.0, 200)
    tensor([-400.0, 110.0])
    """
    ### BEGIN SOLUTION
    return (q.float() - zero_point) * scale
    ### END SOLUTION


# %% [markdown]
# Both ways, on the course's matrix. It takes a quarter of the bytes, and no element is off by more than half a step:

# %% tags=["active-ipynb"]
# course_matrix = torch.tensor([[191.6, -13.5, 728.6], [92.14, 295.5, -184.0], [0.0, 684.6, 245.5]])
# course_scale, course_zero = scale_and_zero_point(course_matrix)
# course_codes = linear_quantize(course_matrix, course_scale, course_zero)
# course_restored = linear_dequantize(course_codes, course_scale, course_zero)
# print(f"scale {course_scale:.7f}, zero point {course_zero}\n{course_codes}")
# print(f"largest error {(course_restored - course_matrix).abs().max():.3f}, half a step {course_scale / 2:.3f}")

# %% [markdown]
# The sequel course's formula does not widen the range. For [10, 11, 12] it divides the width 2 by 255, finds a zero point
# of -1403, clamps it to -128, and every value comes back as 2. With 0 in the range all three survive:

# %% tags=["active-ipynb"]
# far_from_zero = torch.tensor([10.0, 11.0, 12.0])
# narrow_step = 2 / 255
# narrow_codes = (torch.round(far_from_zero / narrow_step) - 128).clamp(-128, 127)
# print("range 10 to 12:", narrow_step * (narrow_codes + 128))
# print("range 0 to 12: ", 12 / 255 * torch.round(far_from_zero / (12 / 255)))

# %% [markdown]
# ## A whole model with quanto
#
# `quanto.quantize(model, weights=quanto.qint8)` replaces every Linear and Conv2d by a quantized twin, *in place*. The
# twins still hold float weights, which they quantize again at each call: nothing is smaller yet, but one could still
# calibrate or train. `quanto.freeze(model)` then throws the floats away and keeps the codes. Embeddings and norms stay
# float.
#
# **If you come from the course** (quanto 0.0.11, transformers 4.35, torch 2.1), this is what changed since:
# - The package `quanto` was renamed to `optimum-quanto`: `from optimum import quanto`, or `import optimum.quanto as quanto`.
# - Types are quanto's own, `quanto.qint8` or its name `"qint8"`; `torch.int8` and `"int8"` end in a KeyError.
# - flan-t5's `lm_head` is tied to its embedding today (the course's version held two matrices), and `freeze` unties it.
# - Sizes are counted differently, because a quantized weight now passes itself off as float32; see below.


# %% tags=["core"]
# hint 1: quanto works in place. What does its function return, and what should yours?
# hint 2: Look up quanto.quantize and its arguments weights, activations and exclude.
# hint 3: Two lines: one call that passes everything on by keyword, and a return of the model itself.
# >>> from exercises.kit.toys import behaviours
# >>> model = behaviours.mixed_modes()
# >>> returned = quantize_model(model, exclude=["lm_head", "*.query"])
# >>> type(model.lm_head).__name__, type(model.encoder[0].attention.query).__name__
# ('Linear', 'Linear')
# >>> quantize_model(toys.mlp()).training, quantize_model(toys.mlp().eval()).training
# (True, False)
# >>> quantize_model(toys.mlp(), "int8")
# Traceback (most recent call last):
# ValueError
# >>> quantize_model(toys.mlp(), None)
# Traceback (most recent call last):
# ValueError
# >>> def after_a_refusal():
# ...     model = toys.mlp()
# ...     try:
# ...         quantize_model(model, "qint8", "int8")
# ...     except ValueError:
# ...         return type(model.layers[0]).__name__
# >>> after_a_refusal()
# 'Linear'
# >>> quantize_model(toys.mlp()).layers[0].activation_qtype is None
# True
# >>> quantize_model(toys.mlp(), quanto.qint4).layers[0].weight_qtype.name
# 'qint4'
# >>> from exercises.kit.probes.common import error_text
# >>> [name for name in quanto.qtypes if name not in error_text(quantize_model, toys.mlp(), "int8")]
# []
def quantize_model(
    model: nn.Module,
    weights: str | quanto.qtype = "qint8",
    activations: str | quanto.qtype | None = None,
    exclude: str | list[str] | None = None,
) -> nn.Module:
    """Quantize the model with quanto, in place and not frozen, and return the same object.

    weights, activations: a quanto qtype or its name.  exclude: a glob on qualified names, or a list of them; what
    matches stays float.  Training modes stay, but quanto's new layers may have either.  ValueError, the model unchanged,
    for anything else (torch.int8, "int8", weights=None); its text lists the names that quanto knows.
    >>> model = toys.mlp()
    >>> returned = quantize_model(model, "qint4", "qint8", exclude="*.1")
    >>> type(returned).__name__, returned is model
    ('Mlp', True)
    >>> [type(layer).__name__ for layer in model.layers]
    ['QLinear', 'Linear']
    >>> model.layers[0].weight_qtype.name, model.layers[0].activation_qtype.name, model.layers[0].frozen
    ('qint4', 'qint8', False)
    """
    for qtype in [weights] if activations is None else [weights, activations]:
        if qtype not in quanto.qtypes and not isinstance(qtype, quanto.qtype):
            raise ValueError(f"{qtype} is no quantized type; quanto knows {', '.join(quanto.qtypes)}")
    ### BEGIN SOLUTION
    quanto.quantize(model, weights=weights, activations=activations, exclude=exclude)
    return model
    ### END SOLUTION


# %% tags=["core"]
# hint 1: Which of the two steps turns floats into codes, and which only prepares it?
# hint 2: Your quantize_model, and quanto.freeze.
# hint 3: Three lines: prepare, freeze, return the model.
# >>> quantize_and_freeze(toys.mlp(), "int8")
# Traceback (most recent call last):
# ValueError
# >>> from exercises.kit.toys import behaviours
# >>> quantize_and_freeze(behaviours.mixed_modes().train()).training, quantize_and_freeze(toys.mlp().eval()).training
# (True, False)
# >>> [part.frozen for part in quantize_and_freeze(toys.convolutional()).modules() if hasattr(part, "frozen")]
# [True, True, True]
# >>> model = quantize_and_freeze(behaviours.nested())
# >>> all(part.frozen for part in model.modules() if hasattr(part, "frozen")), model.lm_head.activation_qtype is None
# (True, True)
def quantize_and_freeze(model: nn.Module, weights: str | quanto.qtype = "qint8") -> nn.Module:
    """Quantize the model's weights and freeze it, in place, and return the same object.

    weights, training modes and ValueError as in `quantize_model`.  Frozen weights hold codes, no floats.
    >>> model = toys.mlp_from([torch.diag(torch.full((16,), 254.0))])
    >>> returned = quantize_and_freeze(model)
    >>> type(returned).__name__, returned is model
    ('Mlp', True)
    >>> layer = model.layers[0]
    >>> layer.weight._data[0, :3], layer.weight._scale[0]
    (tensor([127, 0, 0], dtype=torch.int8), tensor([2.0]))
    >>> quantize_and_freeze(toys.mlp(), "qint4").layers[0].weight.qtype.name
    'qint4'
    """
    ### BEGIN SOLUTION
    quantize_model(model, weights)
    quanto.freeze(model)
    return model
    ### END SOLUTION


# %% [markdown]
# What did `freeze` do? Nothing to the answers, which are equal bit for bit, and everything to the weight. Its `dtype`
# still says float32, the type in which it takes part in sums; the codes are inside.

# %% tags=["active-ipynb"]
# def watch_freeze(watched, x):
#     with torch.no_grad():
#         answer_float = watched(x)
#         quanto.quantize(watched, weights=quanto.qint8)
#         print("quantized:", type(watched.layers[0]).__name__, type(watched.layers[0].weight).__name__)
#         answer_quantized = watched(x)
#         quanto.freeze(watched)
#         answer_frozen = watched(x)
#     inside = watched.layers[0].weight
#     print("frozen:   ", type(inside).__name__, inside.dtype, inside._data.dtype, inside._scale.shape)
#     print("same answer after freeze:", torch.equal(answer_quantized, answer_frozen))
#     print("largest change of the answer:", (answer_frozen - answer_float).abs().max().item())
#     return watched
#
#
# looked_at = watch_freeze(toys.mlp(), toys.random_input(4, 16))

# %% [markdown]
# A frozen model refuses two things that a float model allows, so copy and cast *before* you quantize. And two calls that
# look right are refused by name:

# %% tags=["active-ipynb"]
# refused_calls = {
#     "copy.deepcopy(frozen)": lambda: copy.deepcopy(looked_at),
#     "frozen.to(torch.bfloat16)": lambda: looked_at.to(torch.bfloat16),
#     "quantize(weights=torch.int8)": lambda: quanto.quantize(toys.mlp(), weights=torch.int8),
#     'quantize(weights="int8")': lambda: quanto.quantize(toys.mlp(), weights="int8"),
# }
# for refused_name, refused_call in refused_calls.items():
#     try:
#         refused_call()
#     except Exception as error:
#         print(f"{refused_name:30} {type(error).__name__}: {str(error)[:70]}")


# %% tags=["core"]
# hint 1: What should the answer be for a model without any quantized layer, and what does all() say of an empty list?
# hint 2: Look up quanto.QModuleMixin with its weight_qtype and frozen, and nn.Module.modules.
# hint 3: Two lines: the list of all modules whose weights have a qtype; then whether that list is not empty and all
#         in it are frozen.
# >>> model = toys.convolutional()
# >>> quanto.quantize(model, weights="qint8")
# >>> for part in model.modules():
# ...     if isinstance(part, quanto.QLinear):
# ...         part.freeze()
# >>> is_frozen(model)
# False
# >>> from exercises.kit.toys import behaviours
# >>> model = behaviours.nested()
# >>> quanto.quantize(model, weights="qint8", activations="qint8")
# >>> quanto.freeze(model)
# >>> is_frozen(model)
# True
# >>> model.encoder[1].attention.query = quanto.QLinear(16, 16, weights=quanto.qint8)
# >>> is_frozen(model)
# False
def is_frozen(model: nn.Module) -> bool:
    """Tell whether the model has quantized layers and all of them are frozen.

    A layer is quantized if its weights have a qtype: quanto's modules (`quanto.QModuleMixin`) keep it in `weight_qtype`,
    which is None for a layer norm, and answer `frozen`.
    >>> model = toys.mlp([16, 16, 16, 16])
    >>> is_frozen(model)
    False
    >>> quanto.quantize(model, weights="qint8")
    >>> is_frozen(model)
    False
    >>> model.layers[2].freeze()
    >>> last = is_frozen(model)
    >>> model.layers[0].freeze()
    >>> first_and_last = is_frozen(model)
    >>> model.layers[1].freeze()
    >>> last, first_and_last, is_frozen(model)
    (False, False, True)
    """
    ### BEGIN SOLUTION
    layers = [m for m in model.modules() if isinstance(m, quanto.QModuleMixin) and m.weight_qtype is not None]
    return bool(layers) and all(layer.frozen for layer in layers)
    ### END SOLUTION


# %% [markdown]
# ## The bytes that are really stored
#
# How small did it become? `get_memory_footprint` of transformers cannot tell: it multiplies the number of elements by the
# size of the outward dtype, float32. It even *rises*, because freezing gave `lm_head` a matrix of its own:

# %% tags=["active-ipynb"]
# def watch_footprint(watched):
#     def tell(when):
#         is_tied = watched.lm_head.weight is watched.shared.weight
#         print(f"{when:10} {watched.get_memory_footprint():9,} bytes, lm_head tied: {is_tied}")
#
#     tell("float32")
#     quanto.quantize(watched, weights=quanto.qint8)
#     tell("quantized")
#     quanto.freeze(watched)
#     tell("frozen")
#
#
# watch_footprint(models.tiny_t5()[0])

# %% [markdown]
# So count what is stored. A quantized weight is a tensor made of tensors; `__tensor_flatten__()` is torch's protocol for
# such types and returns their names (and some metadata): `_data` and `_scale` for qint8, `_shift` too for qint4, whose
# `_data` is again a packed tensor with a `_data` inside. A plain tensor lies in a storage, `untyped_storage()`, which may
# be shared (tied weights) or larger than the tensor (a view). Two tensors share one if `untyped_storage().data_ptr()` is the
# same; on the meta device, where nothing has an address, `untyped_storage()._cdata` tells storages apart.


# %% tags=["core"]
# hint 1: What is inside a quantized weight, and may what is inside have something inside again? What tells you that
#         two tensors lie in one storage?
# hint 2: Look up __tensor_flatten__, Tensor.untyped_storage with nbytes(), and data_ptr() or _cdata of a storage.
# hint 3: A list of tensors still to look at. Take one out: if it can be flattened, put its inner tensors on the list;
#         else note its storage's bytes under what identifies the storage. At the end add up the notes.
# >>> from exercises.kit.toys import quantized_models
# >>> stored_bytes(quantized_models.windows(width=4))
# 516
def stored_bytes(model: nn.Module) -> int:
    """Count the bytes that the model really stores in its parameters and buffers.

    Codes, scales and shifts of quantized weights count, whatever their inner tensors are called; buffers too, saved or not.
    Each storage counts once, with all its bytes.  Float and unfrozen models as well.
    >>> model = toys.mlp([256, 32], bias=False)
    >>> stored_bytes(model)
    32768
    >>> quanto.quantize(model, weights="qint4")
    >>> quanto.freeze(model)
    >>> stored_bytes(model)
    4616
    >>> stored_bytes(toys.tied(vocabulary=32, width=16))
    3264
    """
    ### BEGIN SOLUTION
    storages = {}
    pending = [*model.parameters(), *model.buffers()]
    while pending:
        tensor = pending.pop()
        if hasattr(tensor, "__tensor_flatten__"):
            names, _ = tensor.__tensor_flatten__()
            pending += [getattr(tensor, name) for name in names]
        else:
            storage = tensor.untyped_storage()
            storages[storage._cdata] = storage.nbytes()  # data_ptr() would do, but is 0 for all on the meta device
    return sum(storages.values())
    ### END SOLUTION


# %% tags=["core"]
# hint 1: In which order do you meet the modules, and for which names does a storage count that you meet in a.b.c?
# hint 2: As in stored_bytes, with recurse=False; nn.Module.named_modules, and split and join of names.
# hint 3: Begin with 0 for every name. For each module in order, look at its own tensors only; each storage that is
#         new adds its bytes to the module and to every prefix of its name, the empty one too.
# >>> sizes = module_sizes(toys.mlp([2] * 12, bias=False))
# >>> sizes["layers.1"], sizes["layers.10"]
# (16, 16)
# >>> from exercises.kit.toys import quantized_models
# >>> module_sizes(quantized_models.windows(width=4))
# {'': 516, 'part': 80, 'part.linear': 80}
def module_sizes(model: nn.Module) -> dict[str, int]:
    """Return the stored bytes of every module and all that is below it, by qualified name; "" is the whole model.

    Counted as in `stored_bytes`; a module that holds nothing has 0.  A storage counts where it first appears in
    `named_modules()`, for that module and those above it: a tied matrix counts once, and the sizes add up.
    >>> module_sizes(toys.mlp([16, 16], bias=False))
    {'': 1024, 'layers': 1024, 'layers.0': 1024}
    >>> sizes = module_sizes(toys.tied(vocabulary=32, width=16))
    >>> sizes["embedding"], sizes["lm_head"], sizes[""]
    (2048, 0, 3264)
    """
    ### BEGIN SOLUTION
    sizes = {name: 0 for name, _ in model.named_modules()}
    counted = set()
    for name, module in model.named_modules():
        pending = [*module.parameters(recurse=False), *module.buffers(recurse=False)]
        while pending:
            tensor = pending.pop()
            if hasattr(tensor, "__tensor_flatten__"):
                pending += [getattr(tensor, inner) for inner in tensor.__tensor_flatten__()[0]]
            elif tensor.untyped_storage()._cdata not in counted:
                counted.add(tensor.untyped_storage()._cdata)
                parts = name.split(".") if name else []
                for depth in range(len(parts) + 1):
                    sizes[".".join(parts[:depth])] += tensor.untyped_storage().nbytes()
    return sizes
    ### END SOLUTION


# %% [markdown]
# With these two, the course's own table. Shapes alone decide bytes, so the full-size models are built on the *meta* device,
# which knows shapes and dtypes and holds no data; quanto works there too. flan-t5-small in the course's version kept
# `lm_head` apart from the embedding; to get its number, untie it first. After freezing there is no difference: `lm_head`
# has become codes of its own.

# %% tags=["active-ipynb"]
# from transformers import GPTNeoXConfig, GPTNeoXForCausalLM, T5Config, T5ForConditionalGeneration
#
#
# def flan_t5(width=512, feed_forward=1024, depth=8, heads=6):
#     shape = {"d_model": width, "d_ff": feed_forward, "num_layers": depth, "num_heads": heads}
#     with torch.device("meta"):
#         return T5ForConditionalGeneration(T5Config(**shape, d_kv=64, vocab_size=32128, feed_forward_proj="gated-gelu"))
#
#
# def pythia(width=1024, depth=24, heads=16):
#     shape = {"hidden_size": width, "num_hidden_layers": depth, "num_attention_heads": heads}
#     with torch.device("meta"):
#         return GPTNeoXForCausalLM(GPTNeoXConfig(**shape, intermediate_size=4 * width, vocab_size=50304))
#
#
# def tell_course_row(title, watched):
#     sizes = [stored_bytes(watched)]
#     quanto.quantize(watched, weights=quanto.qint8)
#     sizes.append(stored_bytes(watched))
#     quanto.freeze(watched)
#     sizes.append(stored_bytes(watched))
#     print(f"{title:24}" + "".join(f"{size:15,}" for size in sizes))
#     return module_sizes(watched)
#
#
# print(f"{'bytes':24}{'float32':>15}{'quantized':>15}{'frozen':>15}")
# flan_then = flan_t5()
# flan_then.lm_head.weight = nn.Parameter(torch.empty_like(flan_then.lm_head.weight))
# tell_course_row("flan-t5-small, course", flan_then)
# flan_sizes = tell_course_row("flan-t5-small, today", flan_t5())
# tell_course_row("Pythia-410m", pythia())
# print(f"the embedding's share of the frozen flan-t5-small: {flan_sizes['shared'] / flan_sizes['']:.0%}")

# %% [markdown]
# The course's notebook says 307,844,608 and 126,828,680 for flan-t5-small. The embedding, which quanto does not touch, is
# half of what is left. For Pythia-410m it says 1,621,336,096 and 561,919,272: today's class keeps one more buffer of 32
# bytes for its rotary positions.
#
# **Does it fit?** Lesson 3 asked that of casts. With quantization, in gigabytes of weights, and the smallest of a few
# machines that could hold them; what the model computes with comes on top, so a close fit is no fit:

# %% tags=["active-ipynb"]
# def in_precision(changed, precision):
#     if precision.startswith("q"):
#         quanto.quantize(changed, weights=precision)
#         quanto.freeze(changed)
#         return changed
#     return changed.to(getattr(torch, precision))
#
#
# def tell_fit(title, make):
#     machines = {"4 GB": 4e9, "8 GB": 8e9, "16 GB": 16e9}
#     sizes = [stored_bytes(in_precision(make(), precision)) for precision in fitted]
#     places = [next((name for name, room in machines.items() if size < room), "none") for size in sizes]
#     cells = [f"{size / 1e9:.2f} ({place})" for size, place in zip(sizes, places, strict=True)]
#     print(f"{title:15}" + "".join(f"{cell:>16}" for cell in cells))
#
#
# fitted = ("float32", "bfloat16", "qint8", "qint4")
# print(f"{'':15}" + "".join(f"{column:>16}" for column in fitted))
# tell_fit("flan-t5-base", lambda: flan_t5(768, 2048, 12, 12))
# tell_fit("Pythia-1.4b", lambda: pythia(2048, 24, 16))
# tell_fit("Pythia-2.8b", lambda: pythia(2560, 32, 32))
# tell_fit("Pythia-6.9b", lambda: pythia(4096, 32, 32))
# tell_fit("Pythia-12b", lambda: pythia(5120, 36, 40))

# %% [markdown]
# ## Does it still work?
#
# Bytes are half of the question. The other half is what the model says. The tiny T5 of this course turns numbers into words
# and words into numbers, and a tenth of all numbers were kept out of its training.


# %% tags=["core"]
# hint 1: What must hold while the model generates, and what must hold afterwards for every single submodule?
# hint 2: Look up the tokenizer's return_tensors, generate with do_sample, num_beams and max_new_tokens, decode with
#         skip_special_tokens, and the attribute training of modules.
# hint 3: Encode; note every module's mode; eval; try to generate without gradients; finally give each module its own
#         mode back; decode the first row.
# >>> settings = model.generation_config
# >>> settings.do_sample, settings.temperature = True, 50.0
# >>> generate_text(model, tokenizer, "translate number to words: 4071"), settings.do_sample
# ('four thousand seventy-one', True)
# >>> settings.do_sample, settings.num_beams, settings.length_penalty = False, 4, -20.0
# >>> generate_text(model, tokenizer, "translate number to words: 4071"), settings.num_beams
# ('four thousand seventy-one', 4)
# >>> settings.num_beams, settings.eos_token_id = 1, [1, tokenizer.convert_tokens_to_ids("▁thousand")]
# >>> generate_text(model, tokenizer, "translate number to words: 4071")
# 'four thousand'
# >>> from exercises.kit.toys import quantized_models
# >>> two, space = tokenizer.convert_tokens_to_ids(["▁two", "▁"])
# >>> spaced = quantized_models.tiny_t5_exchanging(two, space)
# >>> generate_text(spaced, tokenizer, "translate number to words: two402")
# 'four hundred '
# >>> model = models.tiny_t5()[0].eval()
# >>> decoder = model.decoder.train()
# >>> for part in model.modules():
# ...     part.p = 0.9
# >>> generate_text(model, tokenizer, "translate number to words: 4071"), model.training, decoder.training
# ('four thousand seventy-one', False, True)
def generate_text(model: nn.Module, tokenizer, prompt: str, max_new_tokens: int = 32) -> str:
    """Return the model's greedy answer to the prompt, as text without special tokens, not stripped otherwise.

    model: encoder-decoder with `generate`.  Greedy whatever its generation config says (do_sample=False, num_beams=1);
    the config's other settings hold.  In eval mode; every submodule then has its old mode again.
    >>> model, tokenizer = models.tiny_t5()
    >>> generate_text(model.train(), tokenizer, "translate number to words: 4071")
    'four thousand seventy-one'
    >>> generate_text(model, tokenizer, "translate number to words: 4071", max_new_tokens=2), model.training
    ('four thousand', True)
    """
    ### BEGIN SOLUTION
    inputs = tokenizer(prompt, return_tensors="pt")
    modes = {module: module.training for module in model.modules()}
    model.eval()
    try:
        with torch.no_grad():
            tokens = model.generate(**inputs, max_new_tokens=max_new_tokens, do_sample=False, num_beams=1)
    finally:
        for module, training in modes.items():
            module.training = training
    return tokenizer.decode(tokens[0], skip_special_tokens=True)
    ### END SOLUTION


# %% [markdown]
# The course's own experiment: one prompt, before and after. `load_t5()` gives the tiny T5, or, if the environment variable
# T5_CHECKPOINT names a folder or a model on the Hub, that one: with `google/flan-t5-small` it is the course's model.

# %% tags=["active-ipynb"]
# import os
#
# asked_t5, asked_tokenizer = models.load_t5()
# asked_prompt = "Hello, my name is " if os.environ.get("T5_CHECKPOINT") else "translate number to words: 4071"
# print("before:", generate_text(asked_t5, asked_tokenizer, asked_prompt))
# print("after: ", generate_text(quantize_and_freeze(asked_t5), asked_tokenizer, asked_prompt))

# %% [markdown]
# The same answer, so quantization seems to cost nothing. But one answer proves little: ask more often, and in more
# precisions. Each starts from a fresh float32 model, because no step can be undone: what a cast or a freeze rounded
# away is gone.


# %% tags=["core"]
# hint 1: Which steps cannot be undone, and what follows for where build() has to be called? What has to happen to a
#         quantized model before it is measured?
# hint 2: Your quantize_and_freeze and stored_bytes; nn.Module.to and getattr on torch.
# hint 3: A loop over the six names: a fresh model; quantize and freeze it if the name begins with q, else cast it;
#         append a dict of name, bytes and what evaluate says.
# >>> seen = []
# >>> rows = compare_precisions(toys.mlp, lambda model: seen.append(id(model)) or len(seen))
# >>> [row["score"] for row in rows]
# [1, 2, 3, 4, 5, 6]
# >>> from exercises.kit.toys import precisions
# >>> build = precisions.builder("mlp", varying=True)
# >>> rows = compare_precisions(build, lambda model: model.layers[0].bias[0].item())
# >>> len({row["score"] for row in rows}), build.calls
# (6, 6)
# >>> from exercises.kit.toys import behaviours
# >>> compare_precisions(behaviours.batch_norm, lambda model: 1)[2]
# {'precision': 'float16', 'bytes': 1224, 'score': 1}
def compare_precisions(build: Callable[[], nn.Module], evaluate: Callable[[nn.Module], object]) -> list[dict]:
    """Measure a model in six precisions: float32, bfloat16, float16, qint8, qint4 and qint2, in that order.

    Each row is a dict of `precision` (its name), `bytes` (as `stored_bytes` counts) and `score` (what
    `evaluate(model)` returned), on a fresh float32 model from `build()`: one build and one evaluation for each row.
    Quantized models are frozen before they are evaluated.
    >>> def describe(model):
    ...     weight = model.layers[0].weight
    ...     return f"{weight.dtype} {type(weight).__name__}"
    >>> rows = compare_precisions(toys.mlp, describe)
    >>> [row["precision"] for row in rows]
    ['float32', 'bfloat16', 'float16', 'qint8', 'qint4', 'qint2']
    >>> rows[1]
    {'precision': 'bfloat16', 'bytes': 2144, 'score': 'torch.bfloat16 Parameter'}
    >>> rows[3]
    {'precision': 'qint8', 'bytes': 1424, 'score': 'torch.float32 WeightQBytesTensor'}
    """
    ### BEGIN SOLUTION
    rows = []
    for precision in ("float32", "bfloat16", "float16", "qint8", "qint4", "qint2"):
        model = build()
        if precision.startswith("q"):
            quantize_and_freeze(model, precision)
        else:
            model.to(getattr(torch, precision))
        rows.append({"precision": precision, "bytes": stored_bytes(model), "score": evaluate(model)})
    return rows
    ### END SOLUTION


# %% [markdown]
# On the tiny T5, with 100 numbers that it was not trained on: casts and 8 bits change nothing, 4 bits little or nothing, and
# 2 bits break it.

# %% tags=["active-ipynb"]
# held_out = number_words.number_pairs(100, seed=1)
# accuracy_of = models.t5_evaluator(held_out)
# measured_rows = compare_precisions(lambda: models.tiny_t5()[0], accuracy_of)
# for measured_row in measured_rows:
#     print("{precision:10}{bytes:12,} bytes   {score:6.1%} right".format(**measured_row))
# pictures.show(pictures.size_against_score(measured_rows))

# %% [markdown]
# Near the end of its scale a score cannot tell good from better: one answer more or less says nothing. Logits can tell.
# How far they move on average, and at most, when the right answers are fed in:

# %% tags=["active-ipynb"]
# def with_answers(pairs):
#     prompts, wanted = ([pair[index] for pair in pairs] for index in (0, 1))
#     tokenizer = models.tiny_t5_tokenizer()
#     made = dict(tokenizer(prompts, padding=True, return_tensors="pt"))
#     return made | {"labels": tokenizer(wanted, padding=True, return_tensors="pt").input_ids}
#
#
# def logits_on(asked, answering):
#     with torch.no_grad():
#         return answering(**asked).logits.float()[asked["labels"] != 0]
#
#
# lesson_batch = with_answers(held_out)
# logits_float = logits_on(lesson_batch, models.tiny_t5()[0])
# for tried_precision in ("float16", "bfloat16", "qint8", "qfloat8", "qint4", "qint2"):
#     logits_moved = (logits_on(lesson_batch, in_precision(models.tiny_t5()[0], tried_precision)) - logits_float).abs()
#     print(f"{tried_precision:10} mean {logits_moved.mean():.4f}   largest {logits_moved.max():.3f}")

# %% [markdown]
# The course ends by asking which of these one should take. That depends on two numbers: how much room there is, and how good
# the answers have to be. With both given it is no matter of taste. The precision that changes the model least comes first,
# so go down the list and stop at the first that is small enough and good enough.


# %% tags=["core"]
# hint 1: What do you have to remember on the way down the list, in case nothing will do? And how must a comparison be
#         written so that nan fails it?
# hint 2: Your compare_precisions, and a dict for what each one missed.
# hint 3: A loop over the rows: return the first that fits and reaches; for each other note under its name the limit
#         that it missed, and that one only. Behind the loop a ValueError whose text holds the notes.
# >>> choose_precision(toys.mlp, lambda model: float(stored_bytes(model) < 2000) + 0.5, 5000, 0.5)
# 'float32'
# >>> choose_precision(toys.mlp, lambda model: 0.8 - 2.0**-20, 1500, 0.8)
# Traceback (most recent call last):
# ValueError
# >>> choose_precision(lambda: toys.tied(vocabulary=64, width=8), lambda model: 0.5, 99999, 0.5)
# 'float32'
# >>> from exercises.kit.probes.common import error_text
# >>> text = error_text(choose_precision, toys.mlp, lambda model: 0.5, 900, 0.8)
# >>> [word in text for word in ("float32", "bfloat16", "float16", "qint8", "qint4", "qint2", "900")]
# [True, True, True, True, True, True, True]
def choose_precision(
    build: Callable[[], nn.Module], evaluate: Callable[[nn.Module], float], budget_bytes: int, min_score: float
) -> str:
    """Return the first precision, in the order of `compare_precisions`, that fits the budget and reaches the score.

    It fits if its bytes are at most the budget, and reaches the score if its own is at least min_score; nan never does.
    If none does, ValueError; its text names all six, and beside each the value of the limit that it missed, budget_bytes
    or min_score, but no limit that it kept.
    >>> choose_precision(toys.mlp, lambda model: 0.9, 1500, 0.8)
    'qint8'
    >>> choose_precision(toys.mlp, lambda model: float(next(model.parameters()).dtype == torch.float32), 4000, 0.8)
    'qint8'
    >>> choose_precision(toys.mlp, lambda model: 0.9, 2144, 0.8)
    'bfloat16'
    >>> choose_precision(toys.mlp, lambda model: 0.9, 5000, 0.9)
    'float32'
    >>> choose_precision(toys.mlp, lambda model: nan, 5000, 0.5)
    Traceback (most recent call last):
        ...
    ValueError: no precision will do
    """
    ### BEGIN SOLUTION
    missed = {}
    for row in compare_precisions(build, evaluate):
        if row["bytes"] <= budget_bytes and row["score"] >= min_score:
            return row["precision"]
        missed[row["precision"]] = budget_bytes if row["bytes"] > budget_bytes else min_score
    raise ValueError(f"no precision will do; what each missed: {missed}")
    ### END SOLUTION


# %% [markdown]
# This is the end of the course's own material. What follows is practice: the quantizer that quanto uses, the measures of its
# error, and the traps around it.
#
# ## Symmetric, and per row


# %% tags=["practice"]
# hint 1: Which number of the tensor decides, whatever its sign?
# hint 2: Look up Tensor.abs, Tensor.max, item() and torch.iinfo.
# hint 3: Two lines: the largest magnitude as a Python float; that over the dtype's largest value, or 1.0 if it is
#         zero.
# >>> symmetric_scale(tensor([0.0, -0.0]))
# 1.0
# >>> symmetric_scale(tensor([127 * 2.0**-60])) == 2.0**-60
# True
# >>> symmetric_scale(tensor([127 * (1.0 + 2.0**-16)], dtype=torch.float64)) == 1.0 + 2.0**-16
# True
# >>> symmetric_scale(tensor(-254.0)), symmetric_scale(torch.full((3,), 65024.0).half())
# (2.0, 512.0)
# >>> symmetric_scale(tensor([2.0**31]), torch.int64)
# 2.3283064365386963e-10
def symmetric_scale(tensor: Tensor, dtype: torch.dtype = torch.int8) -> float:
    """Return the step that puts the largest magnitude in `tensor` on the largest value of `dtype`.

    tensor: float, any shape (0-dim too).  dtype: any integer dtype.  All zeros give 1.0.  ValueError if empty or not
    finite.
    >>> symmetric_scale(tensor([[1.0, 0.5], [-254.0, 100.0]]))
    2.0
    >>> symmetric_scale(tensor([-127.5, 25.5]), torch.uint8)
    0.5
    """
    if tensor.numel() == 0 or not tensor.isfinite().all():
        raise ValueError("the scale of an empty tensor, or of one with inf or nan, is not defined")
    ### BEGIN SOLUTION
    largest = tensor.abs().max().item()
    return largest / torch.iinfo(dtype).max if largest > 0 else 1.0
    ### END SOLUTION


# %% tags=["practice"]
# hint 1: In which dtype do you subtract, so that neither the difference nor its square rounds or overflows?
# hint 2: Look up Tensor.double, Tensor.square, Tensor.mean and item().
# hint 3: One line: both in float64, their difference, squared, the mean over all elements, as a Python float.
# >>> quantization_error(tensor([2.0**-30], dtype=torch.float64), tensor([0.0])) == 2.0**-60
# True
# >>> quantization_error(tensor([1.0 + 2.0**-40], dtype=torch.float64), tensor([1.0])) == 2.0**-80
# True
# >>> quantization_error(tensor([1.0]), tensor([2.0**-20])) == (1 - 2.0**-20)**2
# True
# >>> quantization_error(tensor([2.0**60]), tensor([1.0])) == (2.0**60 - 1)**2
# True
# >>> quantization_error(tensor([2048.0], dtype=torch.float16), tensor([-1.0], dtype=torch.float16))
# 4198401.0
# >>> x = tensor([1.0, 2.0], dtype=torch.float64)
# >>> quantization_error(x, tensor([0.0, 0.0])), x.tolist()
# (2.5, [1.0, 2.0])
# >>> quantization_error(tensor(3.0), tensor(2.5))
# 0.25
# >>> quantization_error(tensor([3.0]), tensor(2.5))
# Traceback (most recent call last):
# ValueError
# >>> quantization_error(torch.ones(2, 2), torch.ones(4))
# Traceback (most recent call last):
# ValueError
def quantization_error(tensor: Tensor, restored: Tensor) -> float:
    """Return the mean squared difference of two tensors, computed in float64.

    Float, of one shape (0-dim too); ValueError otherwise, and if they are empty.
    >>> quantization_error(tensor([[1.0, 2.0], [4.0, -1.0]]), tensor([[1.5, 2.0], [3.0, -1.0]]))
    0.3125
    >>> quantization_error(tensor([300.0], dtype=torch.float16), tensor([-300.0], dtype=torch.float16))
    360000.0
    """
    if tensor.shape != restored.shape or tensor.numel() == 0:
        raise ValueError("both tensors must have one shape and at least one element")
    ### BEGIN SOLUTION
    return (tensor.double() - restored.double()).square().mean().item()
    ### END SOLUTION


# %% tags=["practice"]
# hint 1: Which of the two sums may be zero, and what does the ratio mean then?
# hint 2: Look up Tensor.double, Tensor.square, Tensor.sum, math.log10 and math.inf.
# hint 3: Two sums in float64, of the signal and of the noise. Without noise the answer is inf, without a signal -inf,
#         else ten times the decimal logarithm of their quotient.
# >>> sqnr_db(tensor([2048.0], dtype=torch.float16), tensor([-1.0], dtype=torch.float16))
# -0.004240121948036826
# >>> sqnr_db(tensor([[8.0, 0.0], [0.0, 6.0]]), tensor([[8.0, 1.0], [0.0, 6.0]]))
# 20.0
# >>> sqnr_db(tensor([2.0**-30]), tensor([2.0**-29]))
# 0.0
# >>> x = tensor([1.0, 2.0], dtype=torch.float64)
# >>> sqnr_db(x, tensor([0.0, 0.0])), x.tolist()
# (0.0, [1.0, 2.0])
# >>> sqnr_db(tensor([3.0, 1.0]), x)
# 3.010299956639812
# >>> x.tolist()
# [1.0, 2.0]
# >>> sqnr_db(tensor(8.0), tensor(0.0)), sqnr_db(tensor([2.0**-60]), tensor([2.0**-59]))
# (0.0, 0.0)
def sqnr_db(tensor: Tensor, restored: Tensor) -> float:
    """Return the signal to quantization noise ratio in decibel: 10 log10(sum x² / sum (x - restored)²), in float64.

    inf where there is no noise (a zero signal too), -inf for noise on a zero signal.  ValueError as in
    `quantization_error`.  Each bit more halves the step, which is worth about 6 dB.
    >>> sqnr_db(tensor([1000.0, 0.0], dtype=torch.float16), tensor([900.0, 0.0], dtype=torch.float16))
    20.0
    >>> sqnr_db(tensor([0.0, 0.0]), tensor([0.0, 0.0])), sqnr_db(tensor([0.0]), tensor([1.0]))
    (inf, -inf)
    """
    if tensor.shape != restored.shape or tensor.numel() == 0:
        raise ValueError("both tensors must have one shape and at least one element")
    ### BEGIN SOLUTION
    signal = tensor.double().square().sum().item()
    noise = (tensor.double() - restored.double()).square().sum().item()
    if noise == 0:
        return math.inf
    return 10 * math.log10(signal / noise) if signal > 0 else -math.inf
    ### END SOLUTION


# %% [markdown]
# One scale for a whole matrix is set by its largest element, wherever that is. A row of small weights then gets few codes.
# quanto gives each output row a scale of its own: a number more per row, and each row uses all 255 codes.


# %% tags=["practice"]
# hint 1: Along which dimension do you look for the largest magnitude, if each row gets one scale? And what do you
#         divide a row of zeros by?
# hint 2: Look up Tensor.abs, Tensor.amax with dim and keepdim, torch.where and torch.round. Stay in float32.
# hint 3: Four lines: the scales as a column; a divisor that is 1 where a scale is 0; the rounded quotient as int8;
#         return codes and scales.
# >>> quantize_rows(tensor([[0.34, 0.17], [9.0, 4.5]]))[0]
# tensor([[127,  64],
#         [127,  63]], dtype=torch.int8)
# >>> quantize_rows(tensor([[127 * 2.0**-40, 2.0**-40], [0.0, 0.0]]))[0]
# tensor([[127,   1],
#         [  0,   0]], dtype=torch.int8)
# >>> quantize_rows(tensor([[0.0, 0.0]]))[1].isfinite()
# tensor([[True]])
# >>> quantize_rows(tensor([[127.0, 1.0], [254.0, 2.0]]).t())
# (tensor([[ 64, 127],
#         [ 64, 127]], dtype=torch.int8), tensor([[2.000000000],
#         [0.015748031]]))
# >>> quantize_rows(tensor([[1.24], [7.0]]))[1] == tensor([[1.24], [7.0]]) / 127
# tensor([[True],
#         [True]])
def quantize_rows(weight: Tensor) -> tuple[Tensor, Tensor]:
    """Quantize each row of a matrix symmetrically to int8, as quanto does: (codes, scales).

    weight: float32 (rows, columns).  codes: int8, same shape.  scales: float32 (rows, 1), the row's largest magnitude
    / 127; both equal quanto's `_data` and `_scale` bit for bit.  For one row too scales are (1, 1), where quanto keeps a
    scalar.  A zero row has codes 0 and any finite scale >= 0.
    >>> quantize_rows(tensor([[127.0, -63.5, 0.5], [-254.0, 100.0, 3.0]]))
    (tensor([[127, -64, 0], [-127, 50, 2]], dtype=torch.int8), tensor([[1.0], [2.0]]))
    >>> quantize_rows(tensor([[0.0, 0.0]]))[0]
    tensor([[0, 0]], dtype=torch.int8)
    """
    ### BEGIN SOLUTION
    scales = weight.abs().amax(dim=1, keepdim=True) / 127
    divisor = torch.where(scales > 0, scales, 1.0)
    codes = torch.round(weight / divisor).to(torch.int8)
    return codes, scales
    ### END SOLUTION


# %% [markdown]
# A weight of the tiny T5 before and after, at 4 bits so that the steps can be seen, and its error:

# %% tags=["active-ipynb"]
# shown_weight = models.tiny_t5()[0].encoder.block[0].layer[0].SelfAttention.q.weight.detach()
# shown_steps = shown_weight.abs().amax(dim=1, keepdim=True) / 7
# pictures.show(pictures.weight_before_and_after(shown_weight, torch.round(shown_weight / shown_steps) * shown_steps))

# %% [markdown]
# The same weight at fewer and fewer bits, with one scale for the matrix and with one for each row. Each bit less costs about
# 6 dB; scales for each row give some of it back:

# %% tags=["active-ipynb"]
# def tell_ratios(weight, bits):
#     largest_code = 2 ** (bits - 1) - 1
#     steps = weight.abs().max() / largest_code, weight.abs().amax(dim=1, keepdim=True) / largest_code
#     ratios = [sqnr_db(weight, torch.round(weight / step) * step) for step in steps]
#     print(f"{bits} bits: {ratios[0]:5.1f} dB with one scale, {ratios[1]:5.1f} dB with one for each row")
#
#
# for tried_bits in (8, 7, 6, 5, 4, 3):
#     tell_ratios(shown_weight, tried_bits)

# %% [markdown]
# ## Around quanto


# %% tags=["practice"]
# hint 1: A frozen model cannot be copied. So what comes first?
# hint 2: copy.deepcopy, your quantize_model, quanto.freeze.
# hint 3: Three lines: quantize a deep copy, freeze it, return it.
# >>> quantized_copy(toys.mlp(), "int8")
# Traceback (most recent call last):
# ValueError
# >>> quantized_copy(model).training, quantized_copy(toys.mlp().eval()).training
# (True, False)
# >>> [type(layer).__name__ for layer in quantized_copy(model, exclude=["layers.0", "none"]).layers]
# ['Linear', 'QLinear']
# >>> from exercises.kit.toys import behaviours
# >>> norm = behaviours.batch_norm()
# >>> quantized_copy(norm).norm.running_mean.data_ptr() == norm.norm.running_mean.data_ptr()
# False
def quantized_copy(model: nn.Module, weights: str = "qint8", exclude: str | list[str] | None = None) -> nn.Module:
    """Return a quantized, frozen copy of the model; the model itself stays as it is.

    weights, exclude, training modes and ValueError as in `quantize_model`.  The ties of what stays float are kept.
    Mind the order: a frozen model cannot be copied.
    >>> model = toys.mlp()
    >>> frozen = quantized_copy(model, exclude="*.1")
    >>> [type(layer).__name__ for layer in [*model.layers, *frozen.layers]], frozen.layers[0].frozen
    (['Linear', 'Linear', 'QLinear', 'Linear'], True)
    """
    ### BEGIN SOLUTION
    quantized = quantize_model(copy.deepcopy(model), weights, exclude=exclude)
    quanto.freeze(quantized)
    return quantized
    ### END SOLUTION


# %% tags=["practice"]
# hint 1: How did is_frozen tell a quantized layer from a layer norm?
# hint 2: Look up nn.Module.named_modules, quanto.QModuleMixin, weight_qtype and its name.
# hint 3: One dict comprehension: qualified name to the qtype's name, for the modules whose weights have a qtype.
# >>> model = toys.convolutional()
# >>> quanto.quantize(model, weights="qint8")
# >>> quantized_layers(model)
# {'conv_1': 'qint8', 'conv_2': 'qint8', 'classifier': 'qint8'}
# >>> model = toys.mlp([4] * 12, bias=False)
# >>> quanto.quantize(model, weights="qint8")
# >>> list(quantized_layers(model))[-1]
# 'layers.10'
def quantized_layers(model: nn.Module) -> dict[str, str]:
    """Return the name of each quantized layer with the name of its weights' qtype, in the order of `named_modules()`.

    Frozen or not.  A layer is quantized if its weights have a qtype, see `is_frozen`.
    >>> model = toys.mlp()
    >>> quanto.quantize(model, weights="qint4", exclude="*.1")
    >>> quanto.quantize(model, weights="qint8", exclude="*.0")
    >>> quantized_layers(model)
    {'layers.0': 'qint4', 'layers.1': 'qint8'}
    >>> model = toys.tied()
    >>> quanto.quantize(model, weights="qint2", activations="qint8")
    >>> quantized_layers(model)
    {'body': 'qint2', 'lm_head': 'qint2'}
    """
    ### BEGIN SOLUTION
    return {
        name: module.weight_qtype.name
        for name, module in model.named_modules()
        if isinstance(module, quanto.QModuleMixin) and module.weight_qtype is not None
    }
    ### END SOLUTION


# %% [markdown]
# Will it fit? Better to know before the download. After int8 and freeze, a Linear or Conv2d stores one byte per weight, one
# scale per output row, and two scalar buffers in which quanto keeps the scales of input and output activations (unused
# here, but there). Everything else stays. A tied `lm_head` becomes codes, and its embedding stays float.


# %% tags=["practice"]
# hint 1: What does a quantized Linear store in place of its weight, and what stays as it was? Which storages may be
#         shared by what stays?
# hint 2: Look up nn.Module.named_modules, nn.Linear and nn.Conv2d, fnmatch.fnmatch, Tensor.element_size and
#         untyped_storage.
# hint 3: For each module's own tensors: the weight of a layer that is converted adds one byte for each element and,
#         in its own dtype, a scale for each row and two scalars; every other tensor's storage is noted once. Then add
#         up.
# >>> predicted_int8_bytes(toys.convolutional())
# 6432
# >>> predicted_int8_bytes(toys.mlp([16, 32, 16], bias=False), exclude="layers")
# 1232
# >>> from exercises.kit.toys import quantized_models
# >>> predicted_int8_bytes(quantized_models.windows(width=4))
# 492
# >>> predicted_int8_bytes(toys.mlp([4, 4]).to("meta"), exclude="*")
# 80
def predicted_int8_bytes(model: nn.Module, exclude: str | tuple[str, ...] | list[str] = ()) -> int:
    """Predict `stored_bytes` after int8 quantize and freeze, without quantizing; the model may be on the meta device.

    Linear and Conv2d: 1 byte per weight; per output row (the weight's first dimension) a scale, and per layer two
    scalars, all in the weight's dtype.  exclude: a glob or globs on qualified names, matched by `fnmatch` as in quanto.
    >>> predicted_int8_bytes(toys.mlp([16, 32, 16], bias=False))
    1232
    >>> predicted_int8_bytes(toys.mlp([16, 32, 16], bias=False).half())
    1128
    >>> predicted_int8_bytes(toys.mlp([16, 32, 16], bias=False), exclude="layers.1")
    2696
    >>> predicted_int8_bytes(toys.tied(vocabulary=32, width=16), exclude=("body",))
    3912
    """
    ### BEGIN SOLUTION
    globs = [exclude] if isinstance(exclude, str) else exclude
    total, kept = 0, {}
    for name, module in model.named_modules():
        converted = isinstance(module, nn.Linear | nn.Conv2d) and not any(fnmatch(name, glob) for glob in globs)
        tensors = [*module.named_parameters(recurse=False), *module.named_buffers(recurse=False)]
        for key, tensor in tensors:
            if converted and key == "weight":
                total += tensor.numel() + (len(tensor) + 2) * tensor.element_size()
            else:
                kept[tensor.untyped_storage()._cdata] = tensor.untyped_storage().nbytes()
    return total + sum(kept.values())
    ### END SOLUTION


# %% tags=["practice"]
# hint 1: What is counted, and what is it divided by?
# hint 2: Your generate_text, and ==.
# hint 3: Two lines: how many answers equal the expected text; that over the number of pairs.
# >>> exact_match(*models.tiny_t5(), [("translate number to words: 20", text) for text in ("twenty", "twenty", "twenty ")])
# 0.6666666666666666
def exact_match(model: nn.Module, tokenizer, pairs: list[tuple[str, str]]) -> float:
    """Return the fraction of (prompt, expected) pairs to which `generate_text` gives exactly the expected answer.

    With its default length.  ValueError if there are no pairs.
    >>> expected = ["twenty", "Twenty", "twent", "twen", "thirty"]
    >>> exact_match(*models.tiny_t5(), [("translate number to words: 20", text) for text in expected])
    0.2
    """
    if not pairs:
        raise ValueError("no pairs to score")
    ### BEGIN SOLUTION
    right = sum(generate_text(model, tokenizer, prompt) == expected for prompt, expected in pairs)
    return right / len(pairs)
    ### END SOLUTION


# %% [markdown]
# ## Activations
#
# So far only weights were integers, and sums were done in floats. quanto can quantize the activations too, so that a layer
# multiplies int8 by int8. The range of an activation is not known before the model has run: each layer needs an input and an
# output scale, measured on sample batches inside `quanto.Calibration()`. Forget it, and every scale stays 1. Nothing fails;
# nearly all answers are wrong:

# %% tags=["active-ipynb"]
# def with_int8_activations(changed, calibrated=True):
#     quanto.quantize(changed, weights=quanto.qint8, activations=quanto.qint8)
#     if calibrated:
#         with torch.no_grad(), quanto.Calibration():
#             changed(**lesson_batch)
#     quanto.freeze(changed)
#     return changed
#
#
# print(f"calibrated:     {accuracy_of(with_int8_activations(models.tiny_t5()[0])):6.1%} right")
# forgotten = with_int8_activations(models.tiny_t5()[0], calibrated=False)
# forgotten_scales = {module.input_scale.item() for module in forgotten.modules() if hasattr(module, "input_scale")}
# print(f"not calibrated: {accuracy_of(forgotten):6.1%} right, input scales {forgotten_scales}")


# %% tags=["practice"]
# hint 1: How often is Calibration entered, and what has to surround the loop over the batches?
# hint 2: Look up quanto.Calibration as a context manager, torch.no_grad, and the attribute training of modules.
# hint 3: Note every module's mode; eval; try: inside one calibration without gradients run all batches; finally
#         restore each mode; return the model.
# >>> model = toys.mlp()
# >>> quanto.quantize(model, weights="qint8", activations="qint8")
# >>> calibrate(model, [{"x": torch.ones(1, 16)}]).layers[0].frozen
# False
def calibrate(model: nn.Module, batches: list[dict]) -> nn.Module:
    """Measure the activation scales of a model whose activations are quantized, in place; return the same object.

    Runs `model(**batch)` for every batch, in order, in eval mode and without gradients, all inside one
    `quanto.Calibration()`; every submodule then has its old mode again.  ValueError if there are no batches or no module
    has an `activation_qtype`.
    >>> model = toys.mlp_from([torch.eye(16), torch.eye(16)])
    >>> quanto.quantize(model, weights="qint8", activations="qint8")
    >>> batches = [{"x": torch.full((1, 16), 254.0)}, {"x": torch.full((1, 16), 1524.0)}]
    >>> round(calibrate(model, batches).layers[0].input_scale.item(), 4), model.training  # 0.9 * 2 + 0.1 * 12
    (3.0, True)
    >>> from exercises.kit.probes.l4 import calibrations
    >>> len(calibrations(calibrate, model, batches))
    1
    >>> from exercises.kit.toys.quantized_models import spy
    >>> model = spy()  # a model that counts its calls, and those in training mode or with gradients
    >>> quanto.quantize(model, weights="qint8", activations="qint8")
    >>> counted = calibrate(model, [{"x": torch.ones(1, 16)}] * 3)
    >>> [int(count) for count in (counted.calls, counted.trained, counted.recorded)]
    [3, 0, 0]
    """
    if not batches or all(getattr(module, "activation_qtype", None) is None for module in model.modules()):
        raise ValueError("there are no batches, or no activations to calibrate")
    ### BEGIN SOLUTION
    modes = {module: module.training for module in model.modules()}
    model.eval()
    try:
        with torch.no_grad(), quanto.Calibration():
            for batch in batches:
                model(**batch)
    finally:
        for module, training in modes.items():
            module.training = training
    return model
    ### END SOLUTION


# %% [markdown]
# **One outlier.** Multiply one row of a layer by 2ᵏ and the matching column of the next layer by 2⁻ᵏ. Powers of two are exact,
# so the float32 logits stay the same bit for bit, and bfloat16, which has float32's exponents, does not mind. But the
# number in between is large now. As an int8 activation it takes the whole scale for itself and leaves the others a few
# codes, and from some k on it is out of float16's range. Weights in int8 have a scale for each row and hardly notice:

# %% tags=["active-ipynb"]
# def with_outlier(power):
#     changed, _ = models.tiny_t5()
#     with torch.no_grad():
#         for block in changed.encoder.block:
#             feed_forward = block.layer[1].DenseReluDense
#             feed_forward.wi_1.weight[0] *= 2.0**power
#             feed_forward.wo.weight[:, 0] *= 2.0**-power
#     return changed
#
#
# def tell_outlier(power):
#     equal = torch.equal(logits_on(lesson_batch, with_outlier(power)), logits_float)
#     changed = [in_precision(with_outlier(power), precision) for precision in ("bfloat16", "float16", "qint8")]
#     scores = [accuracy_of(tried) for tried in [*changed, with_int8_activations(with_outlier(power))]]
#     print(f"{power:2}{equal!s:>14}" + "".join(f"{score:>14.1%}" for score in scores))
#
#
# print(f"{'k':>2}" + "".join(f"{head:>14}" for head in ("float32 same", "bfloat16", "float16", "qint8", "int8 both")))
# for tried_power in (0, 8, 10, 14, 18):
#     tell_outlier(tried_power)

# %% [markdown]
# ## Saving
#
# `save_pretrained` writes a frozen model to a file, and `from_pretrained` reads that file into the plain class without an
# error: it misses every quantized weight, says so in a warning, and starts them at random.

# %% tags=["active-ipynb"]
# import tempfile
#
# from transformers import logging as transformers_logging
#
# saved_t5 = in_precision(models.tiny_t5()[0], "qint8")
# transformers_logging.set_verbosity_error()  # without this line the warning lists every weight
# with tempfile.TemporaryDirectory() as somewhere, models.quiet_progress():
#     saved_t5.save_pretrained(somewhere)
#     reread_t5 = type(saved_t5).from_pretrained(somewhere)
# transformers_logging.set_verbosity_warning()
# print(f"before: {accuracy_of(saved_t5):6.1%} right, from the file: {accuracy_of(reread_t5):6.1%}")

# %% [markdown]
# What works is the state dict, in which quanto lists a weight's inner tensors one by one, and the quantization map, which
# says which layer has which qtype. `quanto.quantization_map(model)` is a plain dict;
# `quanto.requantize(model, state_dict, quantization_map)` applies both to a float model. It needs no pickle: loading a pickle
# runs whatever code its author put there, loading safetensors reads numbers.


# %% tags=["practice"]
# hint 1: Which two things does load_quantized need, and which of them is numbers, which is text?
# hint 2: Look up state_dict, safetensors.torch.save_file, quanto.quantization_map, json and Path.mkdir.
# hint 3: Make the folder with its parents. Save clones of the state dict's tensors as safetensors, and the
#         quantization map as JSON in a file beside it.
# >>> from exercises.kit.toys import quantized_models
# >>> save_quantized(quantized_models.with_quanto(toys.tied(), exclude=["lm_head", "embedding"]), folder / "a" / "b")
# >>> save_quantized(model, folder)  # the folder is there already
# >>> any((folder / "a" / "b").rglob("*"))
# True
def save_quantized(model: nn.Module, folder: str | Path) -> None:
    """Save a frozen model with quantized weights in a folder: its tensors as safetensors, quanto's map as JSON.

    The folder is made if it is missing; file names are yours; plain files only, no pickle.  Together they hold all that
    `load_quantized` needs.  safetensors refuses tensors that share memory: clone them.
    >>> import tempfile
    >>> model = toys.mlp([64, 64])
    >>> quanto.quantize(model, weights="qint8")
    >>> quanto.freeze(model)
    >>> folder = Path(tempfile.mkdtemp(), "new")
    >>> save_quantized(model, str(folder))
    >>> files = [path for path in folder.rglob("*") if path.is_file()]
    >>> any(path.read_bytes().startswith(b"PK") for path in files)  # so a pickle by torch.save begins
    False
    >>> 4096 < sum(path.stat().st_size for path in files) < 4 * 4096  # as floats they would take all of that
    True
    """
    ### BEGIN SOLUTION
    folder = Path(folder)
    folder.mkdir(parents=True, exist_ok=True)
    tensors = {name: tensor.clone() for name, tensor in model.state_dict().items()}
    save_file(tensors, folder / "model.safetensors")
    (folder / "quantization_map.json").write_text(json.dumps(quanto.quantization_map(model)))
    ### END SOLUTION


# %% tags=["practice"]
# hint 1: The model that build() makes has other weights and no quantized layers. Who turns it into the saved one?
# hint 2: Look up safetensors.torch.load_file, json, and quanto.requantize.
# hint 3: Build a model, read tensors and map from the folder, let quanto apply both to the model, and return it.
# >>> model = toys.mlp(seed=1)
# >>> quanto.quantize(model, weights="qint4")
# >>> quanto.freeze(model)
# >>> save_quantized(model, folder)
# >>> torch.equal(load_quantized(toys.mlp, folder)(x), model(x))
# True
# >>> from exercises.kit.toys import behaviours
# >>> model = behaviours.batch_norm()
# >>> quanto.quantize(model, weights="qint8")
# >>> quanto.freeze(model)
# >>> save_quantized(model, folder)
# >>> torch.equal(load_quantized(lambda: behaviours.batch_norm(seed=1).eval(), folder)(x), model.eval()(x))
# True
def load_quantized(build: Callable[[], nn.Module], folder: str | Path) -> nn.Module:
    """Return a model from `build()`, with other weights, turned into the one that `save_quantized` saved in the folder.

    Its outputs equal the saved model's bit for bit, also in another process and after the folder was moved.
    >>> import tempfile
    >>> model = toys.mlp(seed=1)
    >>> quanto.quantize(model, weights="qint8")
    >>> quanto.freeze(model)
    >>> folder = Path(tempfile.mkdtemp())
    >>> save_quantized(model, folder)
    >>> loaded, x = load_quantized(toys.mlp, str(folder)), toys.random_input(4, 16)
    >>> torch.equal(loaded(x), model(x)), type(loaded.layers[0].weight).__name__
    (True, 'WeightQBytesTensor')
    """
    ### BEGIN SOLUTION
    model = build()
    tensors = load_file(Path(folder) / "model.safetensors")
    quantization_map = json.loads((Path(folder) / "quantization_map.json").read_text())
    quanto.requantize(model, tensors, quantization_map)
    return model
    ### END SOLUTION


# %% [markdown]
# ## When to downcast, when to quantize
#
# One more number counts: time. It is not graded, since it belongs to the machine and not to you. `torch.utils.benchmark`
# warms up, repeats and takes the median.

# %% tags=["active-ipynb"]
# from torch.utils import benchmark
#
#
# def milliseconds(run):
#     with torch.no_grad():
#         return benchmark.Timer("run()", globals={"run": run}).blocked_autorange(min_run_time=0.3).median * 1000
#
#
# def tell_times(title, timed):
#     prompt = models.tiny_t5_tokenizer()("translate number to words: 4071", return_tensors="pt")
#     batch = milliseconds(lambda: timed(**lesson_batch))
#     answer = milliseconds(lambda: timed.generate(**prompt, do_sample=False, num_beams=1, max_new_tokens=24))
#     print(f"{title:18}{batch:14.1f}{answer:14.1f}")
#
#
# print(f"{'ms':18}{'batch of 100':>14}{'one answer':>14}")
# for timed_precision in ("float32", "bfloat16", "float16", "qint8", "qint4"):
#     tell_times(timed_precision, in_precision(models.tiny_t5()[0], timed_precision))
# tell_times("qint8, not frozen", quantize_model(models.tiny_t5()[0]))

# %% [markdown]
# What you see depends on the processor and on what else it does, but the reasons do not. bfloat16 is fast where the processor
# multiplies bfloat16 in hardware, as in a batch on a recent server, and slow where torch has to convert. A quantized weight is
# turned back into floats for each product: that is work on top, and it is repaid only where reading weights from memory
# is what takes the time, which is in models far larger than this one. A model that is not frozen even quantizes its
# weights anew in each call.

# %% [markdown] tags=["question"]
# ## In your own words
#
# A colleague has a model that works in float32 but is too large for the machine at hand. **When would you downcast it, and
# when would you quantize it?** Say what each of the two changes in what is stored and in what is computed, what each can
# spoil, and how you would decide between float16, bfloat16, int8 and fewer bits for this model. (About 150 words.)

# %% [markdown] tags=["answer"]
# ### BEGIN SOLUTION
# Downcast when half the bytes are enough. A cast rounds every weight once, and the model then computes in the small dtype too;
# nothing else changes, any layer can be cast, and it may run faster where the hardware knows the dtype. bfloat16 keeps
# float32's range and loses precision; float16 is more precise but overflows beyond 65504, so it needs a look at the
# activations.
#
# Quantize when half is not enough. Weights become integers with a scale for each row, a quarter of the bytes in int8 and
# less below, while embeddings and norms stay float, so the whole model shrinks less than the layers do. The sums are
# still floats unless activations are quantized as well, which needs calibration and suffers from outliers. It often costs time.
# Fewer bits cost quality: int8 seldom, int4 sometimes, int2 usually.
#
# Decide by measuring: count the bytes that are really stored, score the model on its own task in every precision, and
# take the one that changes it least among those that fit the budget and reach the score.
#
# Mark scheme:
# - 1 point: downcasting halves the bytes, and the model computes in the small dtype as well
# - 1 point: quantization stores integers with scales, and (with float activations) computes in floats after dequantizing
# - 1 point: names a risk of casts: float16's range, or bfloat16's precision
# - 1 point: names a risk of quantization: too few bits, outliers in activations, missing calibration, or layers left float
# - 1 point: decides by a byte budget and a score measured on the model's own task
# ### END SOLUTION
