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
# # Models with different data types
#
# A model is code and tensors. The tensors are *parameters*, which training changes, and *buffers*, which it does not:
# running statistics, masks, position numbers. Each has a dtype. Casting a float32 model to bfloat16 rewrites every
# float tensor in half the bytes and leaves the code as it is; from then on it also computes in bfloat16. In this lesson
# you cast models, count what it saves, measure what it costs, and find the layer where float16 runs out of range.
#
# **If you come from the course** (torch 2.1, transformers 4.35), this is what changed since:
# - float16 runs on a CPU. The course shows a RuntimeError there, because torch lacked the kernels; now it has them, and
#   the answers are closer to float32 than bfloat16's.
# - `from_pretrained` keeps the dtype in which the checkpoint was saved. It used to convert to float32 unless told
#   otherwise; the change is [transformers pull request 42805](https://github.com/huggingface/transformers/pull/42805).
# - The argument is called `dtype`; the old name `torch_dtype` still works.
# - BLIP is smaller: its decoder's last matrix is tied to the word embedding, which saves 93,769,728 bytes. The ratio of
#   the two footprints moves with it, in the seventh decimal.
# - The course's dummy model shows a mean gap of 0.000997886, where one of the course's notebooks prints 0.000997871:
#   another torch, another processor, another last digit. Such a number is compared with a tolerance, never with `==`.

# %%
import copy
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from transformers import BlipForConditionalGeneration

from exercises.kit import models, pictures, scenes, toy_behaviours, toy_transformers, toys

# %% [markdown]
# ## What a model holds
#
# `named_parameters()` goes through a model and yields each parameter with its *qualified name*: the path of attribute
# names from the root, with dots. A parameter that stands in two places, such as an output layer that shares the
# embedding's matrix, is *tied*, and comes once, under the first of its names. `state_dict()` shows something else:
# every name, buffers too, but not the buffers that were declared as not worth saving.

# %% tags=["active-ipynb"]
# shown_model = toys.tied(vocabulary=8, width=4)
# print(shown_model)
# print("named_parameters:", [name for name, _ in shown_model.named_parameters()])
# print("state_dict:      ", list(shown_model.state_dict()))
# print("one tensor:      ", shown_model.lm_head.weight is shown_model.embedding.weight)


# %% tags=["core"]
# hint 1: Which of a model's two lists skips buffers and second names: its parameters, or its state dict?
# hint 2: Look up nn.Module.named_parameters and Tensor.dtype.
# hint 3: One line: a dict from each name to its parameter's dtype.
# >>> parameter_dtypes(nn.Linear(2, 2).requires_grad_(False))
# {'weight': torch.float32, 'bias': torch.float32}
# >>> len(parameter_dtypes(toy_behaviours.nested()))
# 12
# >>> from exercises.kit.toys import casts
# >>> len(parameter_dtypes(casts.one_storage()))
# 6
def parameter_dtypes(model: nn.Module) -> dict[str, torch.dtype]:
    """Return the dtype of every parameter by its qualified name, in the order of the model.

    A tied parameter comes once, at its first name; buffers do not come.
    >>> parameter_dtypes(toys.mixed_dtypes([torch.float16, torch.bfloat16]))["layers.1.bias"]
    torch.bfloat16
    >>> list(parameter_dtypes(toy_behaviours.batch_norm()))
    ['linear_1.weight', 'linear_1.bias', 'norm.weight', 'norm.bias', 'linear_2.weight', 'linear_2.bias']
    >>> list(parameter_dtypes(toys.tied()))
    ['embedding.weight', 'body.weight', 'body.bias', 'norm.weight', 'norm.bias']
    """
    ### BEGIN SOLUTION
    return {name: parameter.dtype for name, parameter in model.named_parameters()}
    ### END SOLUTION


# %% [markdown]
# ## Casting in place
#
# `tensor.half()` returns a new tensor and leaves the old one alone. `module.half()` does the opposite: it puts new data
# into the same parameters of the same module and returns that module. Whoever writes `small = model.half()` has one
# model with two names, and no float32 model any more.

# %% tags=["active-ipynb"]
# some_tensor, some_model = torch.ones(3), toys.mlp()
# print("tensor.half():", some_tensor.half() is some_tensor, some_tensor.dtype)
# print("module.half():", some_model.half() is some_model, some_model.layers[0].weight.dtype)


# %% tags=["core"]
# hint 1: What does a module do that a tensor does not, when you ask it to become half precision?
# hint 2: Look up nn.Module.half.
# hint 3: One line: call the method and return what it returns.
# >>> model = toy_behaviours.mixed_modes()
# >>> frozen, modes = model.lm_head.requires_grad_(False), [part.training for part in model.modules()]
# >>> before = list(model.parameters())
# >>> [new is old for new, old in zip(half_in_place(model).parameters(), before)] == [True] * len(before)
# True
# >>> [part.training for part in model.modules()] == modes
# True
# >>> {parameter.dtype for parameter in model.parameters()}, model.lm_head.weight.requires_grad
# ({torch.float16}, False)
# >>> model.encoder[0].norm.weight.requires_grad
# True
# >>> "table" in half_in_place(toy_behaviours.non_persistent()).state_dict()
# False
# >>> half_in_place(toys.mlp_from([tensor([[1e6, 1.0]], dtype=torch.float64)])).layers[0].weight.data
# tensor([[inf, 1.]], dtype=torch.float16)
# >>> {buffer.dtype for buffer in half_in_place(toy_behaviours.non_persistent()).buffers() if buffer.is_floating_point()}
# {torch.float16}
# >>> {parameter.dtype for parameter in half_in_place(toys.mixed_dtypes([torch.float8_e4m3fn])).parameters()}
# {torch.float16}
# >>> model = half_in_place(toy_behaviours.buffered())
# >>> model.mask.dtype, model.code.dtype
# (torch.bool, torch.int8)
def half_in_place(model: nn.Module) -> nn.Module:
    """Cast the model's float parameters and buffers to float16, in place, and return the very same object.

    Its `Parameter` objects stay the same too, so that ties and an optimizer's references hold.  Integer and bool
    buffers keep their dtypes; training modes, `requires_grad` and which buffers are saved stay as they are.
    >>> model = toys.mlp_from([tensor([[2049.0, 0.5]])])
    >>> half_in_place(model).layers[0].weight.data
    tensor([[2048.0, 0.5]], dtype=torch.float16)
    >>> model.layers[0].weight.dtype
    torch.float16
    >>> norm = half_in_place(toy_behaviours.batch_norm()).norm
    >>> norm.running_mean.dtype, norm.num_batches_tracked.dtype
    (torch.float16, torch.int64)
    """
    ### BEGIN SOLUTION
    return model.half()
    ### END SOLUTION


# %% [markdown]
# The course shows here that the float16 model cannot run on a CPU. It can:

# %% tags=["active-ipynb"]
# with torch.no_grad():
#     print(toys.dummy_model().half()(toys.dummy_input()))


# %% [markdown]
# ## Casting a copy
#
# To compare a model with its cast you need both, so copy first. `copy.deepcopy` copies all tensors and keeps the ties
# among them; assigning `other = model`, or `copy.copy`, shares them.
#
# A cast touches float tensors only. Integer buffers hold positions and counts, which half precision would damage:
# bfloat16 has no 257. So `module.to(torch.bfloat16)` leaves them as they are. Which tensors that spares in a batch
# norm:

# %% tags=["active-ipynb"]
# print("257 in bfloat16 is", torch.tensor(257).to(torch.bfloat16).item())
# print({name: str(value.dtype) for name, value in nn.BatchNorm1d(4).to(torch.bfloat16).state_dict().items()})
# shallow, original = copy.copy(shown_model), shown_model.embedding.weight.dtype
# shallow.to(torch.float64)
# print("after casting a shallow copy the original is", shown_model.embedding.weight.dtype, "and was", original)


# %% tags=["core"]
# hint 1: The cast works in place. What has to come before it, and how deep does that have to go?
# hint 2: Look up copy.deepcopy and nn.Module.to.
# hint 3: One line: a deep copy, cast.
# >>> model = toy_behaviours.mixed_modes()
# >>> frozen, made = model.lm_head.requires_grad_(False), cast_copy(model, torch.float16)
# >>> [part.training for part in made.modules()] == [part.training for part in model.modules()]
# True
# >>> made.lm_head.weight.requires_grad, made.encoder[0].norm.weight.requires_grad
# (False, True)
# >>> made = cast_copy(toys.tied(), torch.float16)
# >>> made.lm_head.weight is made.embedding.weight
# True
# >>> same = cast_copy(model, torch.float32)
# >>> same is model or same.lm_head.weight.data_ptr() == model.lm_head.weight.data_ptr()
# False
# >>> cast_copy(nn.Linear(2, 1, bias=False).requires_grad_(False).double(), torch.float16).weight.dtype
# torch.float16
# >>> fine = toys.mlp_from([tensor([[1.0 + 2**-40]], dtype=torch.float64)])
# >>> coarse = cast_copy(fine, torch.float16)
# >>> fine.layers[0].weight.item() == 1.0 + 2**-40
# True
# >>> cast_copy(fine, torch.float64).layers[0].weight.item() == 1.0 + 2**-40
# True
# >>> "table" in cast_copy(toy_behaviours.non_persistent(), torch.float16).state_dict()
# False
# >>> model = toy_behaviours.buffered()
# >>> made = cast_copy(model, torch.float16)
# >>> made.mask.dtype, made.mask.data_ptr() == model.mask.data_ptr()
# (torch.bool, False)
def cast_copy(model: nn.Module, dtype: torch.dtype) -> nn.Module:
    """Return a deep copy of the model in the float dtype; the original stays as it is and shares no storage with it.

    Integer and bool buffers keep their dtypes; ties, training modes, `requires_grad` and which buffers are saved are kept.
    >>> model = toys.mlp_from([tensor([[257.0, 1.0]])])
    >>> cast_copy(model, torch.bfloat16).layers[0].weight.data
    tensor([[256.0, 1.0]], dtype=torch.bfloat16)
    >>> model.layers[0].weight.data
    tensor([[257.0, 1.0]])
    >>> {name: buffer.dtype for name, buffer in cast_copy(toy_behaviours.batch_norm(), torch.float16).named_buffers()}
    {'norm.running_mean': torch.float16, 'norm.running_var': torch.float16, 'norm.num_batches_tracked': torch.int64}
    """
    ### BEGIN SOLUTION
    return copy.deepcopy(model).to(dtype)
    ### END SOLUTION


# %% [markdown]
# ## What the cast does to the answer
#
# The logits are the numbers that a model computes before it decides, so their change is the direct measure of a cast.
# Compute it in float32: the difference of two bfloat16 tensors is rounded to bfloat16 again, and `mean` adds rounding
# of its own.


# %% tags=["core"]
# hint 1: Where would the difference be rounded, if you left the tensors in their own dtypes?
# hint 2: Look up Tensor.float, Tensor.abs, Tensor.mean, Tensor.max and item().
# hint 3: Two lines: the magnitudes of the difference of both in float32; then their mean and their largest as Python
#         floats.
# >>> logits_gap(tensor([256.0], dtype=torch.bfloat16), tensor([255.5]))
# (0.5, 0.5)
# >>> logits_gap(tensor([[1.0, -2.0], [0.0, 0.0]]), tensor([[1.0, 2.0], [0.0, 0.0]]))
# (1.0, 4.0)
# >>> logits_gap(tensor([1.0 + 2**-40], dtype=torch.float64), tensor([1.0]))
# (0.0, 0.0)
# >>> logits_gap(tensor([1.0, 2.0]), tensor([1.0]))
# Traceback (most recent call last):
# ValueError
# >>> logits_gap(tensor(2.5), tensor(-1.0))
# (3.5, 3.5)
# >>> logits_gap(tensor([1.0], requires_grad=True), tensor([1.0 + 2**-40], dtype=torch.float64))
# (0.0, 0.0)
def logits_gap(expected: Tensor, actual: Tensor) -> tuple[float, float]:
    """Return the mean and the largest absolute difference of two tensors of logits, as Python floats.

    expected, actual: float, of one shape (0-dim too) and any dtypes.  Both are cast to float32 first.  They may require
    gradients.
    ValueError if the shapes differ, even if they could be broadcast, or if there is nothing to compare.
    >>> logits_gap(tensor([1.0, -2.0, 4.0, 8.0]), tensor([1.5, -4.0, 4.0, 8.0], dtype=torch.bfloat16))
    (0.625, 2.0)
    >>> logits_gap(tensor([256.0], dtype=torch.bfloat16), tensor([0.5], dtype=torch.bfloat16))
    (255.5, 255.5)
    """
    if expected.shape != actual.shape or expected.numel() == 0:
        raise ValueError("the two need the same shape and at least one element")
    ### BEGIN SOLUTION
    gap = (expected.float() - actual.float()).abs()
    return gap.mean().item(), gap.max().item()
    ### END SOLUTION


# %% [markdown]
# The course's `DummyModel` has 30 parameters: an embedding, two linear layers, two layer norms, a head. Its two
# sentences, in three dtypes:

# %% tags=["active-ipynb"]
# with torch.no_grad():
#     dummy_expected = toys.dummy_model()(toys.dummy_input())
#     for tried in (torch.bfloat16, torch.float16, torch.float64):
#         dummy_gap = (toys.dummy_model().to(tried)(toys.dummy_input()).float() - dummy_expected).abs()
#         print(f"{str(tried):15} mean gap {dummy_gap.mean().item():.9f}   largest {dummy_gap.max().item():.9f}")

# %% [markdown]
# float16 is five times closer than bfloat16: it has three more bits of mantissa, and this model needs no range.
#
# The float16 answer above shows one row of logits four times. That is no accident either: the layer norm of two numbers
# knows only which of them is larger.

# %% [markdown]
# ## How many bytes
#
# The *footprint* of a model is the memory of its tensors. Each parameter and each buffer has `numel()` elements of
# `element_size()` bytes, and what is shared counts once. On the *meta* device tensors have shapes and dtypes but no
# data, so that the largest model can be counted on the smallest machine.


# %% tags=["core"]
# hint 1: Which tensors does a model hold, and which of its iterators already skip what is tied?
# hint 2: Look up nn.Module.parameters, nn.Module.buffers, Tensor.numel and Tensor.element_size.
# hint 3: Two lines: a list of both kinds of tensors; then the sum, over them, of elements times bytes of one.
# >>> memory_footprint(nn.Linear(2, 2).requires_grad_(False).double())
# 48
# >>> memory_footprint(nn.Linear(4, 4).to("meta"))
# 80
# >>> memory_footprint(toy_behaviours.shared_buffer(width=4, layers=2))
# 224
# >>> model = nn.Linear(2, 1, bias=False)
# >>> model.weight = nn.Parameter(torch.zeros(8, 2)[:1])
# >>> memory_footprint(model)
# 8
def memory_footprint(model: nn.Module) -> int:
    """Return the bytes of all parameters and buffers, also of buffers that the state dict does not save.

    A tied parameter and a shared buffer count once; a view counts its elements.  Works on the meta device.
    >>> memory_footprint(toys.dummy_model())
    120
    >>> memory_footprint(toys.tied(vocabulary=32, width=16))
    3264
    >>> memory_footprint(toy_behaviours.buffered(width=16))
    2720
    """
    ### BEGIN SOLUTION
    tensors = [*model.parameters(), *model.buffers()]
    return sum(tensor.numel() * tensor.element_size() for tensor in tensors)
    ### END SOLUTION


# %% [markdown]
# What a cast would save can be said without doing it: float tensors change their size, all others do not.


# %% tags=["core"]
# hint 1: Which tensors would a cast leave alone, and what would one element of the others take?
# hint 2: Look up Tensor.is_floating_point, dtype.itemsize and Tensor.element_size.
# hint 3: A loop over parameters and buffers that adds up two sums, bytes now and bytes then; then their quotient, or
#         1.0 if there is nothing to divide by. Nothing is cast.
# >>> from exercises.kit.toys import casts
# >>> footprint_ratio(casts.beside_integers(toys.tied()), torch.bfloat16)
# 0.5677966101694916
# >>> footprint_ratio(nn.Linear(2, 2).half(), torch.float32)
# 2.0
# >>> footprint_ratio(casts.statistics_alone(), torch.float16)
# 0.5294117647058824
def footprint_ratio(model: nn.Module, dtype: torch.dtype) -> float:
    """Return the footprint that the model would have after a cast to `dtype`, over its footprint now.

    Nothing is cast: only float parameters and buffers would change their size, to `dtype.itemsize` bytes an element.
    1.0 for a model without parameters and buffers.
    >>> footprint_ratio(toys.dummy_model(), torch.bfloat16)
    0.5
    >>> footprint_ratio(toy_behaviours.buffered(width=16), torch.bfloat16)
    0.6
    >>> footprint_ratio(toys.without_tensors(), torch.bfloat16)
    1.0
    """
    ### BEGIN SOLUTION
    before = after = 0
    for tensor in [*model.parameters(), *model.buffers()]:
        before += tensor.numel() * tensor.element_size()
        after += tensor.numel() * (dtype.itemsize if tensor.is_floating_point() else tensor.element_size())
    return after / before if before else 1.0
    ### END SOLUTION


# %% [markdown]
# The course prints a ratio of 0.5000020693967345 for BLIP-base. Why not 0.5? Look at the buffers of the full-size
# model, built on the meta device from its configuration:

# %% tags=["active-ipynb"]
# from transformers import BlipConfig
#
# with torch.device("meta"):
#     blip_today, blip_course = (BlipForConditionalGeneration(BlipConfig()) for _ in range(2))
# for name, buffer in blip_today.named_buffers():
#     print(name, tuple(buffer.shape), buffer.dtype, buffer.numel() * buffer.element_size(), "bytes")

# %% [markdown]
# These 4096 bytes of position numbers stay int64. The rest of the difference to the course is the tie: in its version
# the decoder had a word matrix of its own. Untie it, and the course's table comes back to the last digit:

# %% tags=["active-ipynb"]
# untied_decoder = blip_course.text_decoder.cls.predictions.decoder
# untied_decoder.weight = nn.Parameter(torch.empty_like(untied_decoder.weight))
# for blip_name, blip in (("course", blip_course), ("today", blip_today)):
#     in_float32 = blip.get_memory_footprint()
#     in_bfloat16 = blip.to(torch.bfloat16).get_memory_footprint()
#     print(f"{blip_name:7} float32 {in_float32:,}   bfloat16 {in_bfloat16:,}   ratio {in_bfloat16 / in_float32}")
# print(f"the decoder's own matrix: {untied_decoder.weight.numel() * 4:,} bytes in float32")

# %% [markdown]
# **Does it fit?** Weights in gigabytes (10⁹ bytes) for models of known shape, and the smallest of a few machines that
# could hold them. What the model computes with (activations, a cache of past tokens) comes on top, so a close fit is no
# fit:

# %% tags=["active-ipynb"]
# from transformers import LlamaConfig, LlamaForCausalLM, T5Config, T5ForConditionalGeneration
#
#
# def llama(hidden, intermediate, layers, heads):
#     sizes = {"hidden_size": hidden, "intermediate_size": intermediate, "num_hidden_layers": layers}
#     return LlamaForCausalLM(
#         LlamaConfig(vocab_size=128256, num_attention_heads=heads, num_key_value_heads=8, **sizes)
#     )
#
#
# def t5(width, feed_forward, layers, heads):
#     sizes = {"d_model": width, "d_kv": 64, "d_ff": feed_forward, "num_layers": layers, "num_heads": heads}
#     return T5ForConditionalGeneration(T5Config(vocab_size=32128, feed_forward_proj="gated-gelu", **sizes))
#
#
# sized = {
#     "flan-t5-small": lambda: t5(512, 1024, 8, 6),
#     "BLIP-base": lambda: BlipForConditionalGeneration(BlipConfig()),
#     "flan-t5-xxl": lambda: t5(4096, 10240, 24, 64),
#     "Llama-3.1-8B": lambda: llama(4096, 14336, 32, 32),
#     "Llama-3.1-70B": lambda: llama(8192, 28672, 80, 64),
# }
# rooms = {"4 GB phone": 4, "8 GB laptop": 8, "16 GB laptop": 16, "80 GB accelerator": 80}
# print(f"{'':15}{'parameters':>16}" + "".join(f"{dtype:>26}" for dtype in ("float32", "bfloat16", "float8_e4m3fn")))
# for sized_name, make in sized.items():
#     with torch.device("meta"):
#         sized_model = make()
#     cells = []
#     for tried in (torch.float32, torch.bfloat16, torch.float8_e4m3fn):
#         gigabytes = sum(t.numel() * tried.itemsize for t in sized_model.parameters()) / 1e9
#         room = next((room for room, size in rooms.items() if gigabytes < size), "none")
#         cells.append(f"{gigabytes:.2f} ({room})")
#     count = sum(t.numel() for t in sized_model.parameters())
#     print(f"{sized_name:15}{count:>16,}" + "".join(f"{cell:>26}" for cell in cells))

# %% [markdown]
# ## Building in a dtype
#
# A model that is built in float32 and cast afterwards needs the room of float32 first. `torch.set_default_dtype` says
# in which dtype *new* float tensors are made, so a model can be born small. It is a global switch: it stays where you
# left it, and everything built afterwards is built that way, also when an exception kept you from switching back. A
# context manager makes it safe. What stands behind `yield` in a function with `@contextmanager` runs at the end of the
# `with` block; to run after an exception too, it belongs into a `finally`.

# %% tags=["active-ipynb"]
# torch.set_default_dtype(torch.bfloat16)
# built_small = toys.dummy_model()
# torch.set_default_dtype(torch.float32)
# print("built under bfloat16, looked at after switching back:", built_small.head.weight.dtype)
# for refused in (torch.int32, torch.float8_e4m3fn):
#     try:
#         torch.set_default_dtype(refused)
#     except TypeError as error:
#         print(f"{refused}: TypeError: {error}")
# print("the default is", torch.get_default_dtype())


# %% tags=["core"]
# hint 1: What do you have to know before you switch, so that you can switch back? And where does code stand that runs
#         even after an exception?
# hint 2: Look up torch.get_default_dtype, torch.set_default_dtype and try with finally.
# hint 3: Note the old default, set the new one, then try: yield, finally: set the old one again. Leave torch's own
#         TypeError alone.
# >>> def after_a_refusal(dtype):
# ...     with default_dtype(torch.float64):
# ...         try:
# ...             with default_dtype(dtype):
# ...                 return "not refused"
# ...         except TypeError:
# ...             return torch.get_default_dtype()
# >>> after_a_refusal(torch.int8), after_a_refusal(torch.float8_e5m2)
# (torch.float64, torch.float64)
# >>> def add():
# ...     with default_dtype(torch.float16):
# ...         return 1 + "1"
# >>> add()
# Traceback (most recent call last):
# TypeError
@contextmanager
def default_dtype(dtype: torch.dtype) -> Iterator[None]:
    """Make new float tensors in `dtype` inside a `with` block, not before it, and restore the old default at its end.

    The old default comes back after an exception too, KeyboardInterrupt included, and blocks can be nested.  The
    exception comes out.  TypeError, with the default unchanged, for a dtype that torch refuses as default: integer and
    float8 ones.
    >>> with default_dtype(torch.float64):
    ...     inside = torch.ones(1).dtype
    ...     with default_dtype(torch.bfloat16):
    ...         deeper = torch.ones(1).dtype
    ...     between = torch.ones(1).dtype
    >>> inside, deeper, between, torch.ones(1).dtype
    (torch.float64, torch.bfloat16, torch.float64, torch.float32)
    >>> came_out = False
    >>> try:
    ...     with default_dtype(torch.float64):
    ...         raise KeyboardInterrupt
    ... except KeyboardInterrupt:
    ...     came_out = True
    >>> came_out, torch.ones(1).dtype
    (True, torch.float32)
    """
    ### BEGIN SOLUTION
    before = torch.get_default_dtype()
    torch.set_default_dtype(dtype)
    try:
        yield
    finally:
        torch.set_default_dtype(before)
    ### END SOLUTION


# %% [markdown]
# Building is not the same as casting what was built. Constants are rounded once instead of twice, random weights are
# drawn in the new dtype, and a tensor whose code asks for float32 stays float32:


# %% tags=["core"]
# hint 1: Which exercise before this one does the switching and the switching back for you?
# hint 2: Your own default_dtype, in a with statement.
# hint 3: Two lines: a with block, and inside it the return of the one call.
# >>> build_in_dtype(lambda: 1 + "1", torch.float16)
# Traceback (most recent call last):
# TypeError
# >>> build_in_dtype(lambda: nn.Linear(1, 1), torch.float16).training
# True
# >>> from exercises.kit.toys.endings import interrupted_builder
# >>> def default_after_an_interrupt():
# ...     try:
# ...         build_in_dtype(interrupted_builder(), torch.float16)
# ...     except KeyboardInterrupt:
# ...         return torch.get_default_dtype()
# >>> default_after_an_interrupt()
# torch.float32
# >>> build_in_dtype(toys.mlp, torch.float8_e4m3fn)
# Traceback (most recent call last):
# TypeError
def build_in_dtype(build: Callable[[], nn.Module], dtype: torch.dtype) -> nn.Module:
    """Call `build()` once, with `dtype` as torch's default, and return the very model that it made.

    The model is not cast: a tensor that `build` makes in a dtype of its own keeps it.  The default is restored, also if
    `build` raises; its exception comes out.  TypeError as in `default_dtype`.
    >>> build_in_dtype(lambda: toys.root_leaf(tensor(0.1)), torch.float64).factor.item()
    0.1
    >>> build_in_dtype(lambda: toys.root_leaf(tensor(0.5, dtype=torch.float32)), torch.bfloat16).factor.dtype
    torch.float32
    >>> built = []
    >>> build_in_dtype(lambda: built.append(toys.mlp()) or built[-1], torch.float16) is built[-1], len(built)
    (True, 1)
    """
    ### BEGIN SOLUTION
    with default_dtype(dtype):
        return build()
    ### END SOLUTION


# %% [markdown]
# ## Loading in a dtype
#
# A *checkpoint* is a folder with a model's configuration and weights, the weights in some dtype. `from_pretrained`
# builds the model and fills it. Today it keeps the checkpoint's dtype, whatever torch's default is; `dtype=` asks for
# another. It also puts the model in eval mode, where dropout rests and batch norm stops learning.
#
# A name that is no folder is taken for a model on the Hugging Face Hub and looked up in the network.
# `local_files_only=True` says that only this machine is meant; without the folder it is an OSError either way.

# %% tags=["active-ipynb"]
# saved_in_float16 = toy_transformers.blip_folder(dtype=torch.float16)
# with models.quiet_progress():
#     for asked in ({}, {"dtype": torch.bfloat16}, {"torch_dtype": torch.bfloat16}):
#         print(asked, BlipForConditionalGeneration.from_pretrained(saved_in_float16, **asked).dtype)


# %% tags=["core"]
# hint 1: What should happen when no dtype was asked for, and which word tells transformers just that?
# hint 2: Look up from_pretrained: its arguments dtype (and the value "auto") and local_files_only.
# hint 3: One line: load from the folder with the dtype, or with the word that keeps the checkpoint's own. It comes in
#         eval mode by itself.
# >>> loaded = load_in_dtype(folder, torch.float32)
# >>> whole = BlipForConditionalGeneration.from_pretrained(folder, dtype=torch.float32, local_files_only=True)
# >>> type(loaded) is type(whole), all(torch.equal(*pair) for pair in zip(loaded.parameters(), whole.parameters()))
# (True, True)
def load_in_dtype(folder: str | Path, dtype: torch.dtype | None = None) -> nn.Module:
    """Load a `BlipForConditionalGeneration` from a local folder in the given dtype, in eval mode.

    None keeps the dtype in which the checkpoint was saved, whatever torch's default.  OSError for a missing folder.
    >>> load_in_dtype("/no/such/folder")
    Traceback (most recent call last):
        ...
    OSError
    >>> folder = toy_transformers.blip_folder(dtype=torch.float16)
    >>> load_in_dtype(folder).dtype
    torch.float16
    >>> loaded = load_in_dtype(folder, torch.bfloat16)
    >>> loaded.dtype, loaded.training
    (torch.bfloat16, False)
    """
    ### BEGIN SOLUTION
    return BlipForConditionalGeneration.from_pretrained(folder, dtype=dtype or "auto", local_files_only=True)
    ### END SOLUTION


# %% [markdown]
# ## What the model says
#
# BLIP turns pixels into a caption, one token at a time. The tiny BLIP of this suite does so for drawn scenes; it was
# trained for nothing else and is nearly always right about scenes it never saw. A processor scales the image to a
# float32 tensor, which has to be cast to the model's dtype, and turns tokens into text at the end.
#
# How the next token is chosen is set by the model's generation config, a file that comes with the checkpoint: it may
# ask for beams or for dice. Comparing models needs *greedy* decoding, the most probable token each time, so say it in
# the call. And leave the model in the mode in which it came: `model.eval()` switches every submodule, `module.training`
# tells each one's mode.

# %% tags=["active-ipynb"]
# shown_captions = ["a red circle above a blue square", "a black cross left of a yellow triangle"]
# shown_scenes = scenes.painted(shown_captions)
# pictures.show(pictures.captioned(shown_scenes, shown_captions))
# _, shown_processor = models.tiny_blip()
# shown_batch = shown_processor(images=shown_scenes[0], return_tensors="pt")
# print(type(shown_batch).__name__, {name: (tuple(value.shape), value.dtype) for name, value in shown_batch.items()})


# %% tags=["core"]
# hint 1: Five things to take care of: the dtype of the pixels, greedy decoding, eval mode, the old modes, the special
#         tokens. Which of them must happen even when generating fails?
# hint 2: Look up the processor's return_tensors and to, nn.Module.modules and training, generate with do_sample,
#         num_beams and max_new_tokens, and decode with skip_special_tokens.
# hint 3: Find the first float parameter's dtype; make the inputs in it; note each module's mode; eval; in a try
#         generate without gradients; in its finally give every module its mode back; decode the first row.
# >>> settings.do_sample, settings.max_new_tokens
# (True, None)
# >>> from exercises.kit.toys import casts, endings
# >>> caption_image(casts.blip_that_shows_its_mode(0), processor, image)
# 'a green triangle above a purple cross'
# >>> len(caption_image(casts.blip_that_says(20, 0), processor, image).split())
# 20
# >>> dtype_given(caption_image, "vision_model", casts.blip_with_first(torch.float64), processor, image)
# torch.float64
# >>> stopped = endings.interrupted(casts.blip_in_mixed_modes(), "text_decoder.bert")
# >>> modes = [part.training for part in stopped.modules()]
# >>> def same_modes_after_an_end(processor):
# ...     try:
# ...         caption_image(stopped, processor, image)
# ...     except (KeyboardInterrupt, LookupError):
# ...         return [part.training for part in stopped.modules()] == modes
# >>> same_modes_after_an_end(processor), same_modes_after_an_end(endings.failing_processor())
# (True, True)
def caption_image(model: nn.Module, processor: Any, image: Any) -> str:
    """Return the model's greedy caption of an image, without special tokens.

    model: with `generate`; it gets its inputs in the dtype of its first float parameter.  Greedy whatever its
    generation config says (do_sample=False, num_beams=1), up to 20 new tokens, in eval mode;
    every submodule then has its old mode again, also after an exception; the generation config keeps its settings.
    >>> image = scenes.paint("a red circle above a blue square")
    >>> model, processor = models.tiny_blip()
    >>> decoder = model.text_decoder.train()
    >>> caption_image(model, processor, image), model.training, decoder.training
    ('a red circle above a blue square', False, True)
    >>> from exercises.kit.probes.l3 import dtype_given
    >>> dtype_given(caption_image, "vision_model", model.double(), processor, image)
    torch.float64
    >>> settings = model.text_decoder.generation_config  # now it asks for dice and for beams
    >>> settings.do_sample, settings.temperature, settings.num_beams, settings.length_penalty = True, 30.0, 4, -20.0
    >>> caption_image(model, processor, image), settings.num_beams
    ('a red circle above a blue square', 4)
    """
    ### BEGIN SOLUTION
    dtype = next(parameter.dtype for parameter in model.parameters() if parameter.is_floating_point())
    inputs = processor(images=image, return_tensors="pt").to(dtype)
    modes = {module: module.training for module in model.modules()}
    model.eval()
    try:
        with torch.no_grad():
            tokens = model.generate(**inputs, do_sample=False, num_beams=1, max_new_tokens=20)
    finally:
        for module, mode in modes.items():
            module.training = mode
    return processor.decode(tokens[0], skip_special_tokens=True)
    ### END SOLUTION


# %% [markdown]
# ## Side by side
#
# Everything in one table: for each dtype the bytes and the gap. `output.logits` is where transformers' models keep
# their logits; plain modules return the tensor itself. In training mode a comparison means nothing: dropout rolls dice,
# and a batch norm takes its statistics from the batch, and changes the model by being looked at.


# %% tags=["core"]
# hint 1: Which model gives the logits that all others are compared with, and why must each row start from the
#         original again?
# hint 2: Your cast_copy, logits_gap and memory_footprint; copy.deepcopy, nn.Module.eval, torch.no_grad.
# hint 3: Two small helpers: one casts inputs, going into dicts and lists; one returns the logits of a copy in eval
#         mode without gradients. Then a loop over the dtypes that makes a dict for each.
# >>> model = toy_behaviours.batch_norm().double()
# >>> inputs = {"x": torch.linspace(-1, 1, 32, dtype=torch.float64).reshape(2, 16)}
# >>> rows = compare_dtypes(model, inputs, [torch.float16, torch.float64, torch.float32])
# >>> [row["footprint"] for row in rows], [0 < row["max_gap"] < 1e-6 for row in rows], rows[1]["max_gap"]
# ([1224, 4872, 2440], [False, False, True], 0.0)
# >>> from exercises.kit.toys import casts
# >>> batch = {"first": torch.ones(1, 16), "more": {"states": [torch.ones(1, 16)], "ids": tensor([1])}}
# >>> compare_dtypes(casts.nested_input(), {"batch": batch}, [torch.float64])[0]["footprint"]
# 3200
# >>> model = toy_behaviours.nested(dropout=0.5)
# >>> compare_dtypes(model, {"x": torch.ones(1, 16)}, [torch.float32])[0]["max_gap"], model.training
# (0.0, True)
# >>> compare_dtypes(casts.amplified("recording"), {"x": torch.ones(1, 16)}, [torch.float16])[0]["max_gap"] < 1
# True
# >>> compare_dtypes(toys.answering("logits"), {"x": torch.ones(1, 16)}, [torch.float64])[0]["footprint"]
# 8576
# >>> from exercises.kit.toys.endings import interrupted
# >>> stopped = interrupted(toy_behaviours.mixed_modes(), "lm_head")
# >>> modes = [part.training for part in stopped.modules()]
# >>> def modes_after_an_interrupt():
# ...     try:
# ...         compare_dtypes(stopped, {"x": torch.ones(1, 16)}, [torch.float16])
# ...     except KeyboardInterrupt:
# ...         return [part.training for part in stopped.modules()] == modes
# >>> modes_after_an_interrupt()
# True
# >>> [row["footprint"] for row in compare_dtypes(toys.root_leaf(tensor([1.0])), {"x": tensor([1.0])}, [torch.float16] * 2)]
# [2, 2]
def compare_dtypes(model: nn.Module, inputs: dict, dtypes: list[torch.dtype]) -> list[dict[str, Any]]:
    """Return one row per dtype, in order: a dict with the keys dtype, footprint, mean_gap and max_gap.

    inputs: keyword arguments of the model.  Each row is about a copy of the model in that dtype, run on the inputs with
    their float tensors in it, those in dicts and lists inside too (the practice exercise `cast_inputs` does only this).
    Gaps are those of the logits against the model as it is, on the inputs as they are.  Logits are the output's
    `logits`, or the output if it is a tensor.  All run in eval mode, without gradients; the model, its modes and its
    batch norms' statistics stay as they are.
    >>> model = toys.root_leaf(tensor([1.0, 1.0]))
    >>> compare_dtypes(model, {"x": tensor([257.0, 1.0])}, [torch.bfloat16])
    [{'dtype': torch.bfloat16, 'footprint': 4, 'mean_gap': 0.5, 'max_gap': 1.0}]
    >>> model.factor.dtype
    torch.float32
    >>> compare_dtypes(toys.dummy_model(), {"x": toys.dummy_input()}, [torch.float32])
    [{'dtype': torch.float32, 'footprint': 120, 'mean_gap': 0.0, 'max_gap': 0.0}]
    """

    ### BEGIN SOLUTION
    def logits(copied: nn.Module, batch: dict) -> Tensor:
        with torch.no_grad():
            output = copied.eval()(**batch)
        return output if isinstance(output, Tensor) else output.logits

    def cast(value: Any, dtype: torch.dtype) -> Any:
        if isinstance(value, Tensor) and value.is_floating_point():
            return value.to(dtype)
        if isinstance(value, Mapping):
            return {key: cast(item, dtype) for key, item in value.items()}
        return [cast(item, dtype) for item in value] if isinstance(value, list) else value

    expected = logits(copy.deepcopy(model), inputs)
    rows = []
    for dtype in dtypes:
        small = cast_copy(model, dtype)
        mean_gap, max_gap = logits_gap(expected, logits(small, cast(inputs, dtype)))
        rows.append({"dtype": dtype, "footprint": memory_footprint(small), "mean_gap": mean_gap, "max_gap": max_gap})
    return rows
    ### END SOLUTION


# %% [markdown]
# The course's model, and BLIP on one scene and the first words of its caption. `load_blip()` gives the tiny BLIP, or,
# if the environment variable BLIP_CHECKPOINT names a folder or a model on the Hub, that one: with
# `Salesforce/blip-image-captioning-base` this is the course's model.

# %% tags=["active-ipynb"]
# some_blip, some_processor = models.load_blip()
# blip_inputs = dict(some_processor(images=shown_scenes[0], text="a red circle", return_tensors="pt"))
# compared = {"DummyModel": (toys.dummy_model(), {"x": toys.dummy_input()}), "BLIP": (some_blip, blip_inputs)}
# for compared_name, (compared_model, compared_inputs) in compared.items():
#     for row in compare_dtypes(compared_model, compared_inputs, [torch.float32, torch.float16, torch.bfloat16]):
#         print(f"{compared_name:11}", *(f"{key} {value}  " for key, value in row.items()))

# %% [markdown]
# Where the gaps come from: every weight was rounded. A float16 is off by at most 2⁻¹¹ of itself, a bfloat16 by at most
# 2⁻⁸, eight times as much, as long as the weight is no smaller than 6·10⁻⁵, where float16's normal numbers end:

# %% tags=["active-ipynb"]
# all_weights = torch.cat([parameter.detach().flatten() for parameter in models.tiny_blip()[0].parameters()])
# pictures.show(pictures.downcast_errors(all_weights, [torch.float16, torch.bfloat16]))

# %% [markdown]
# And what it costs in time. Do not expect that half the bits take half the time. That depends on whether the processor
# has instructions for the dtype and whether torch has a kernel that uses them; else numbers are converted to float32
# and back, and the small dtype may well be the slow one. So measure, on the machine you care about:

# %% tags=["active-ipynb"]
# from torch.utils.benchmark import Timer
#
# timed_layer, timed_input = nn.Linear(512, 512), torch.randn(64, 512)
# for tried in (torch.float32, torch.float16, torch.bfloat16):
#     names = {"layer": copy.deepcopy(timed_layer).to(tried), "x": timed_input.to(tried)}
#     seconds = Timer("layer(x)", globals=names).blocked_autorange(min_run_time=0.2).median
#     print(f"{str(tried):15} {seconds * 1e6:8.0f} µs")

# %% [markdown]
# ## The range trap
#
# float16 was the closer one so far. Its largest number, though, is 65504. This model multiplies eight hidden units by
# 2¹⁶ and divides by it in the next layer, which changes nothing in float32, bit for bit. Values like that are not
# contrived: in t5-base somebody met 66246 in front of the layer `wo` ([transformers issue
# 5651](https://github.com/huggingface/transformers/issues/5651)).

# %% tags=["active-ipynb"]
# usual, outlier, outlier_input = toys.mlp(), toys.outlier_mlp(power=16, rows=8), toys.random_input(4, 16)
# with torch.no_grad():
#     usual_answer = usual(outlier_input)
#     print("same answers in float32:", torch.equal(outlier(outlier_input), usual_answer))
#     for tried in (torch.bfloat16, torch.float16):
#         answer = copy.deepcopy(outlier).to(tried)(outlier_input.to(tried))
#         print(f"{str(tried):15} gap {(answer.float() - usual_answer).abs().max().item():.4f}")

# %% [markdown]
# No exception, no warning: an infinity, or a nan where two of them met. bfloat16 has the range of float32 and does not
# notice. So the choice is:
#
# - *bfloat16* for models that were trained in float32 or bfloat16, unless you know their activations: less precise,
#   never out of range.
# - *float16* where its three more bits matter and you checked that nothing overflows, as `first_overflow` below does.
# - *neither* where half the bytes are not enough: quantization, the next lesson, stores a quarter or an eighth.
#
# ## Further practice
#
# Inputs first. A float32 batch and a bfloat16 layer do not go together; token numbers and masks must stay what they
# are.

# %% tags=["active-ipynb"]
# try:
#     nn.Linear(16, 16).to(torch.bfloat16)(toys.random_input(1, 16))
# except RuntimeError as error:
#     print("RuntimeError:", error)


# %% tags=["practice"]
# hint 1: Three kinds of values need something done: float tensors, dicts, lists. What happens with all others?
# hint 2: Look up isinstance with Tensor, collections.abc.Mapping and list, and Tensor.is_floating_point.
# hint 3: An inner function that calls itself: cast a float tensor, rebuild a mapping as a dict and a list as a list
#         from its own results, and return anything else as it is.
# >>> cast_inputs({"mask": None, "wide": tensor([0.5], dtype=torch.float64), "deep": {"none": None}}, torch.float16)
# {'mask': None, 'wide': tensor([0.5], dtype=torch.float16), 'deep': {'none': None}}
# >>> batch = {"deep": {"x": tensor([0.5])}, "list": [tensor([0.5])]}
# >>> made = cast_inputs(batch, torch.float32)
# >>> made is batch, made["deep"] is batch["deep"], made["list"] is batch["list"]
# (False, False, False)
# >>> cast_inputs({"deep": [[tensor([0.5])], {"x": [tensor([0.5])]}]}, torch.float16)
# {'deep': [[tensor([0.500000000], dtype=torch.float16)], {'x': [tensor([0.500000000], dtype=torch.float16)]}]}
# >>> from transformers import BatchFeature
# >>> cast_inputs(BatchFeature({"mask": tensor([True]), "x": tensor([0.5])}), torch.float16)
# {'mask': tensor([True]), 'x': tensor([0.5], dtype=torch.float16)}
def cast_inputs(batch: Mapping[str, Any], dtype: torch.dtype) -> dict[str, Any]:
    """Return a new plain dict with the batch's float tensors in `dtype` and everything else as it is.

    batch: a dict, or a `BatchFeature` of transformers, which is not changed.  Integer and bool tensors keep their
    dtypes.  Dicts and lists inside are treated alike, at any depth; tuples and other values come through as they are.
    >>> cast_inputs({"pixels": tensor([257.0]), "ids": tensor([257]), "scale": 0.1}, torch.bfloat16)
    {'pixels': tensor([256.0], dtype=torch.bfloat16), 'ids': tensor([257]), 'scale': 0.1}
    >>> cast_inputs({"deep": {"states": [tensor([0.5]), (tensor([0.5]), 3)]}}, torch.float16)
    {'deep': {'states': [tensor([0.5], dtype=torch.float16), (tensor([0.5]), 3)]}}
    """

    ### BEGIN SOLUTION
    def cast(value: Any) -> Any:
        if isinstance(value, Tensor) and value.is_floating_point():
            return value.to(dtype)
        if isinstance(value, Mapping):
            return {key: cast(item) for key, item in value.items()}
        return [cast(item) for item in value] if isinstance(value, list) else value

    return cast(batch)
    ### END SOLUTION


# %% [markdown]
# Gaps of logits say how far, captions say whether it matters.


# %% tags=["practice"]
# hint 1: What is counted, and what is it divided by?
# hint 2: Your caption_image, and zip.
# hint 3: One or two lines: the number of pairs whose caption equals the expected text, divided by the number of
#         images.
# >>> model, processor = models.tiny_blip()
# >>> decoder = model.text_decoder.train()
# >>> caption_accuracy(model, processor, scenes.painted([said] * 3), [said, said, f"{said} "])
# 0.6666666666666666
# >>> model.training, decoder.training
# (False, True)
# >>> from exercises.kit.toys import casts
# >>> its_own = ["a green triangle above a purple cross"]
# >>> caption_accuracy(casts.blip_that_shows_its_mode(0), processor, scenes.painted([said]), its_own)
# 1.0
def caption_accuracy(model: nn.Module, processor: Any, images: list, captions: list[str]) -> float:
    """Return the fraction of images whose greedy caption, as in `caption_image`, is exactly the expected one.

    ValueError if there are more images than captions, or fewer, or none.
    >>> said = "a red circle above a blue square"
    >>> caption_accuracy(*models.tiny_blip(), scenes.painted([said] * 5), [said, "a red circle", "circle", said.upper(), said])
    0.4
    """
    if len(images) != len(captions) or not images:
        raise ValueError("there must be one caption for each image, and at least one")
    ### BEGIN SOLUTION
    pairs = zip(images, captions, strict=True)
    return sum(caption_image(model, processor, image) == caption for image, caption in pairs) / len(images)
    ### END SOLUTION


# %% tags=["active-ipynb"]
# held_out = scenes.scenes(20, seed=1)
# for tried in (torch.float32, torch.float16, torch.bfloat16):
#     cast_blip, its_processor = models.tiny_blip()
#     accuracy = caption_accuracy(cast_blip.to(tried), its_processor, *map(list, zip(*held_out)))
#     print(f"{str(tried):15} {accuracy:.3f} of 20 new scenes")

# %% [markdown]
# Some layers do not take a small dtype well, so libraries keep them in float32: transformers keeps `wo` of a T5 when
# you load it in float16. Modules are chosen by *globs* on their qualified names: `*` stands for any text, dots
# included, `?` for one character. `encoder.*` matches everything inside the encoder, `*.norm` every norm that is not at
# the root.


# %% tags=["practice"]
# hint 1: How can one and the same tensor be known by several names, and how do you remember tensors rather than
#         names?
# hint 2: Look up copy.deepcopy, nn.Module.named_modules with remove_duplicate=False, fnmatch.fnmatchcase, and
#         assigning to a tensor's data.
# hint 3: On a deep copy: collect all tensors below each module that matches, then cast the data of every other float
#         tensor. Return the copy.
# >>> model = toy_behaviours.mixed_modes().double()
# >>> frozen = model.lm_head.requires_grad_(False)
# >>> made = cast_except(model, torch.float16, ["encoder.0.norm", "encoder.1.norm.weight", "norm", "lm"])
# >>> [block.norm.weight.dtype for block in made.encoder], made.lm_head.weight.dtype
# ([torch.float64, torch.float16], torch.float16)
# >>> [part.training for part in made.modules()] == [part.training for part in model.modules()]
# True
# >>> made.lm_head.weight.requires_grad, made.encoder[0].norm.weight.requires_grad
# (False, True)
# >>> made = cast_except(toys.mlp_from([tensor([[257.0]]), tensor([[1.0]])]), torch.bfloat16, ["layers.0"])
# >>> made.layers[0].weight.item(), made.layers[1].weight.dtype
# (257.0, torch.bfloat16)
# >>> cast_except(toy_behaviours.batch_norm(), torch.float16, ["linear_*"]).norm.running_mean.dtype
# torch.float16
# >>> cast_except(toys.module_under_two_names(), torch.float16, ["again"]).first.weight.dtype
# torch.float32
# >>> cast_except(toys.mlp(), torch.float16, [""]).layers[0].weight.dtype
# torch.float32
# >>> made = cast_except(toy_behaviours.batch_norm(), torch.float16, ["norm"])
# >>> made.norm.running_mean.dtype, made.norm.weight.dtype, made.linear_1.weight.dtype
# (torch.float32, torch.float32, torch.float16)
def cast_except(model: nn.Module, dtype: torch.dtype, patterns: list[str]) -> nn.Module:
    """Return a copy of the model in `dtype`, except for the modules whose qualified name matches one of the patterns.

    patterns: globs as in `fnmatch`, matched against full module names; the root's is "".  Parameters and buffers of a
    module that matches, and of everything below it, keep their dtypes.  A tied parameter keeps its dtype if any of
    its modules matches, by any of its names.  Integer and bool buffers always do.  The original stays as it is; ties,
    modes and `requires_grad` are kept.
    >>> model = cast_except(toy_behaviours.nested(), torch.bfloat16, ["encoder.0", "lm_head", "*.norm"])
    >>> [block.attention.query.weight.dtype for block in model.encoder]
    [torch.float32, torch.bfloat16]
    >>> model.lm_head.weight.dtype, model.encoder[1].norm.bias.dtype
    (torch.float32, torch.float32)
    >>> model = cast_except(toys.tied(), torch.bfloat16, ["lm_head"])
    >>> model.embedding.weight.dtype, model.body.weight.dtype
    (torch.float32, torch.bfloat16)
    """
    ### BEGIN SOLUTION
    result = copy.deepcopy(model)
    kept = set()
    for name, module in result.named_modules(remove_duplicate=False):
        if any(fnmatchcase(name, pattern) for pattern in patterns):
            kept.update([*module.parameters(), *module.buffers()])
    for tensor in {*result.parameters(), *result.buffers()} - kept:
        if tensor.is_floating_point():
            tensor.data = tensor.data.to(dtype)
    return result
    ### END SOLUTION


# %% [markdown]
# Where does float16 overflow? A *forward hook* is a function that torch calls with (module, arguments, output) each
# time a module has run. *Leaf* modules have no children; they do the work, in the order in which `forward` calls them,
# which need not be the order in which they are registered.

# %% tags=["active-ipynb"]
# watched = toys.mlp([16, 16, 16])
# handles = [
#     layer.register_forward_hook(lambda module, arguments, output: print(type(module).__name__, tuple(output.shape)))
#     for layer in watched.modules()
# ]
# watched(toys.random_input(1, 16))
# for handle in handles:
#     handle.remove()


# %% tags=["practice"]
# hint 1: When does a hook learn its name: when it is made in the loop, or when it is called later?
# hint 2: Your cast_copy and cast_inputs; nn.Module.named_modules, register_forward_hook, Tensor.isfinite.
# hint 3: A list of names; on a cast copy a hook at every module without children that appends its name when any
#         tensor of its output is not finite; run the copy without gradients; return the first name, or None.
# >>> from exercises.kit.toys import casts
# >>> first_overflow(toys.root_leaf(tensor([-(2.0**15)])), {"x": tensor([4.0])}, torch.float16)
# ''
# >>> first_overflow(toys.root_leaf(tensor([1e6])), {"x": tensor([0.01])}, torch.float16)
# ''
# >>> first_overflow(toys.root_leaf(tensor([1.0])), {"x": tensor([nan])}, torch.float16)
# ''
# >>> x = {"x": toys.random_input(1, 16)}
# >>> first_overflow(casts.amplified("training"), x, torch.float16)
# 'amplifier'
# >>> [first_overflow(casts.amplified(when), x, torch.float16) for when in ("evaluating", "recording")]
# [None, None]
# >>> first_overflow(casts.outside(), x, torch.float16) is None
# True
# >>> first_overflow(casts.bagged(), x, torch.float16), first_overflow(toy_behaviours.packed(), x, torch.float16)
# ('bag', 'packing')
# >>> first_overflow(toy_behaviours.failing(), x, torch.float16)
# Traceback (most recent call last):
# RuntimeError
def first_overflow(model: nn.Module, inputs: dict, dtype: torch.dtype) -> str | None:
    """Return the qualified name of the first leaf module whose output is not finite when the model runs in `dtype`.

    A copy of the model runs, in the model's own mode and without gradients, on the inputs (keyword arguments) with
    their float tensors in `dtype`.  First in order of execution; "" if the root is the leaf; None if all outputs are
    finite.  An output counts with every float tensor in it.  The model keeps no hooks.  An exception before the first
    overflow propagates; after it, it does not matter whether one does.
    >>> model = toy_behaviours.staged([1.0, 2.0**15, 1.0, 1.0, 1.0], order=[4, 1, 2, 0, 3])  # runs stage_4 first
    >>> first_overflow(model, {"x": torch.full((1, 16), 4.0)}, torch.float16)
    'stage_1'
    >>> first_overflow(model, {"x": torch.full((1, 16), 4.0)}, torch.bfloat16) is None
    True
    """

    def tensors(output: Any) -> list[Tensor]:
        if isinstance(output, Tensor):
            return [output]
        items = output.values() if isinstance(output, Mapping) else output if isinstance(output, list | tuple) else ()
        return [tensor for item in items for tensor in tensors(item)]

    ### BEGIN SOLUTION
    found: list[str] = []
    small = cast_copy(model, dtype)
    for name, module in small.named_modules():
        if not list(module.children()):

            def hook(module: nn.Module, arguments: tuple, output: Any, name: str = name) -> None:
                if not all(tensor.isfinite().all() for tensor in tensors(output)):
                    found.append(name)

            module.register_forward_hook(hook)
    with torch.no_grad():
        small(**cast_inputs(inputs, dtype))
    return found[0] if found else None
    ### END SOLUTION


# %% [markdown]
# And the ties that decided the bytes of BLIP. Two parameters are tied when they are one object, not when they hold
# equal numbers.

# %% tags=["active-ipynb"]
# print("overflow at:", first_overflow(outlier, {"x": outlier_input}, torch.float16))
# decoder_weight = blip_today.text_decoder.cls.predictions.decoder.weight
# print("tied today:", decoder_weight is blip_today.text_decoder.bert.embeddings.word_embeddings.weight)


# %% tags=["practice"]
# hint 1: When are two parameters the same: when they are equal, when they share memory, or when they are one object?
# hint 2: Look up nn.Module.named_parameters with remove_duplicate=False, and dict.setdefault.
# hint 3: A dict from each parameter, or its id, to the list of its names, filled in order; then the lists that hold
#         more than one.
# >>> from exercises.kit.toys import casts
# >>> tied_parameters(casts.one_storage())
# []
# >>> tied_parameters(casts.crossed_ties())
# [['layers.0.weight', 'layers.3.weight'], ['layers.0.bias', 'layers.1.bias', 'layers.2.bias', 'layers.2.again']]
# >>> tied_parameters(toy_behaviours.shared_buffer())
# []
def tied_parameters(model: nn.Module) -> list[list[str]]:
    """Return the groups of qualified names that are bound to one and the same parameter, in order of appearance.

    Parameters with one name only do not come; [] if nothing is tied.
    >>> tied_parameters(toys.tied_groups())
    [['layers.0.weight', 'layers.1.weight', 'layers.3.weight'], ['layers.1.bias', 'layers.2.bias']]
    >>> tied_parameters(toys.module_under_two_names())
    [['first.weight', 'again.weight'], ['first.bias', 'again.bias']]
    >>> tied_parameters(toy_behaviours.nested())
    []
    """
    ### BEGIN SOLUTION
    groups: dict[nn.Parameter, list[str]] = {}
    for name, parameter in model.named_parameters(remove_duplicate=False):
        groups.setdefault(parameter, []).append(name)
    return [names for names in groups.values() if len(names) > 1]
    ### END SOLUTION


# %% [markdown] tags=["question"]
# ## In your own words
#
# A colleague writes: "I called `small = model.half()` on our float32 captioning model. The file of weights and the
# memory are now exactly half. The answers are the same, I compared five captions. It must also be faster, having half
# the bits. And if we ever regret it, we still have `model`, or call `small.float()`."
#
# Go through these claims. Which hold, which may hold, which are wrong, and why? Name one thing that you would have
# checked before choosing float16 instead of bfloat16, and say how.

# %% [markdown] tags=["answer"]
# ### BEGIN SOLUTION
# *Memory*: the float tensors are half, nothing else is. Integer buffers such as position numbers keep their size, so
# the ratio is a little above one half, and what the model computes with, its activations, depends on the batch.
#
# *Same answers*: five equal captions say that the best token stayed the best five times. Every weight was rounded, and
# every operation now rounds to 11 bits, so the logits changed; measure their gap in float32, and count exact matches on
# many images, not five.
#
# *Faster*: not by itself. It needs a processor with instructions for float16 and kernels that use them; otherwise each
# operation converts to float32 and back, which is slower. Moving half the bytes helps where memory is the bottleneck.
# Measure.
#
# *We still have `model`*: no. `half()` casts a module in place and returns it; `small` and `model` are one object. A
# deep copy before the cast would have kept the original.
#
# *`small.float()`*: gives the dtype back, not the digits. What was rounded off is gone, numbers above 65504 became
# infinities, numbers below about 6e-8 became zero. Only the saved checkpoint has them.
#
# *Before float16*: its range. Run a copy in float16 on real inputs with a hook on every leaf module and look for the
# first output with an inf or a nan, or look for the largest activation in float32 and compare it with 65504. bfloat16
# has float32's exponent and would not overflow.
#
# Mark scheme:
# - 1 point: about half but not exactly, since only float tensors shrink (integer buffers stay)
# - 1 point: logits do change; captions hide it; a gap in float32 or a large test set is needed
# - 1 point: speed depends on hardware and kernels; to be measured
# - 1 point: `half()` is in place, `model` is `small`; copy first
# - 1 point: casting back does not restore rounded or overflowed values
# - 1 point: the range, with a workable check (non-finite outputs layer by layer, or largest activation against 65504)
# ### END SOLUTION
