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
# # Methods that make quantization work
#
# Rounding to nearest is where every quantizer starts, and for 8-bit weights it is enough. It stops being enough when
# activations are quantized too, or when weights get 4, 3 or 2 bits. The methods of this lesson are what the field does then. They
# share one thought: a layer computes a product, and there are many ways to write the same product down, some of which survive
# rounding better than others.
#
# The model is a tiny Llama that spells numbers, `4071: four thousand seventy-one`. Each method is tried on it, and a table
# of perplexities grows with the lesson. The first ten exercises are the core, two more are practice. Every docstring holds
# examples: they are the public check.

# %%
import copy
import math
from collections.abc import Callable

import torch
from optimum import quanto
from torch import Tensor, nn

from exercises.kit import groups, method_pictures, models, pictures
from exercises.kit.toys import parts, precisions
from exercises.kit.unpacking import unpack_in_torch

unpack_in_torch()  # quanto would compile C++ at the first use of 4-bit weights

# %% [markdown]
# ## A measure that moves
#
# A language model gives each next token a probability. The *negative log-likelihood* of a text is the sum of -log p over its
# tokens, and *perplexity* is e to the mean of that: a model that is sure and right has 1, one that guesses among k tokens has k.
# Right or wrong answers jump, perplexity creeps, so it sees damage long before an answer changes.
#
# Three traps wait here. Position t of a decoder predicts token t + 1, so labels are shifted by one against the logits; an
# encoder-decoder is given its shifted inputs, so there they are not. Labels of -100 are padding or prompt and do not count. And
# batches hold different numbers of tokens: add up first, divide once.


# %% tags=["core"]
# hint 1: If one batch has 3 label tokens and another 300, what does a mean over batches say? And which position's
#   logits speak about the label at t?
# hint 2: `nn.functional.cross_entropy` with `reduction`, on the positions that count only. `model.modules()` each
#   have `training`; `try` with `finally` runs in every case, also after Ctrl-C.
# hint 3: Note every module's mode, call eval. Without gradients: for each batch drop the last logits and the first
#   labels unless the model is an encoder-decoder, keep labels that are not -100, add the summed losses in float64
#   and their number. Put the modes back in `finally`. No tokens: ValueError; else exp of the quotient.
# >>> decoder = parts.says([[0.0, 0.0], [0.0, 2.0]], encoder_decoder=True)
# >>> round(perplexity(decoder, [{"input_ids": tensor([[0, 1]]), "labels": tensor([[1, -100]])}]), 4)
# 2.0
# >>> half = parts.says([[0.0, 0.0], [0.0, 5.0]]).half()
# >>> round(perplexity(half, [{"input_ids": tensor([[1, 1]]), "labels": tensor([[1, 0]])}]), 2)
# 149.41
# >>> silent = {"input_ids": tensor([[0, 1]]), "labels": tensor([[1, -100]])}
# >>> spoken = {"input_ids": tensor([[0, 0]]), "labels": tensor([[0, 1]])}
# >>> round(perplexity(parts.says([[0.0, 0.0], [0.0, 2.0]]), [silent, spoken]), 4)
# 2.0
# >>> loud, texts = parts.speaker(), [{"input_ids": tensor([[1, 2, 3]]), "labels": tensor([[1, 2, 3]])}]
# >>> perplexity(loud, texts) == perplexity(loud.eval(), texts)
# True
# >>> model = parts.speaker()
# >>> frozen = model.dropout.eval(), model.head.eval()
# >>> score = perplexity(model, [{"input_ids": tensor([[1, 2]]), "labels": tensor([[1, 2]])}])
# >>> model.counts, [part.training for part in model.modules()]
# ({'calls': 1, 'trained': 0, 'recorded': 0}, [True, True, False, False])
# >>> perplexity(model, [{"input_ids": tensor([[1, 2]]), "labels": tensor([[1, -100]])}])
# Traceback (most recent call last):
# ValueError
# >>> def modes_after_an_exception():
# ...     try:
# ...         perplexity(model, [{"labels": tensor([[1, 2]])}])
# ...     except TypeError:
# ...         return [part.training for part in model.modules()]
# >>> modes_after_an_exception()
# [True, True, False, False]
# >>> from exercises.kit.toys.endings import interrupted
# >>> stopped = interrupted(parts.speaker(), "head")
# >>> def mode_after_an_interrupt():
# ...     try:
# ...         perplexity(stopped, [batch])
# ...     except KeyboardInterrupt:
# ...         return stopped.training
# >>> mode_after_an_interrupt()
# True
def perplexity(model: nn.Module, batches: list[dict]) -> float:
    """Return exp(total negative log-likelihood / number of label tokens) of a language model on the batches.

    Each batch, a dict with `labels` (int64, -100 ignored), is passed whole as `model(**batch)`, once, and left as it is; of
    the output only `.logits` is used.  Unless `model.config.is_encoder_decoder`, labels are shifted: logits at t are for
    label t + 1.  Log-softmax in float32, sums in float64, in eval mode, without gradients; then every submodule has its
    old mode again, also after an exception.  ValueError if no label counts.
    >>> model = parts.says([[0.0, 0.0], [0.0, 3.0 ** 0.5]])
    >>> batch = {"input_ids": torch.tensor([[0, 0, 0]]), "labels": torch.tensor([[-100, 1, 0]])}
    >>> round(perplexity(model, [batch]), 4)
    2.0
    >>> long, short = [[0, 0, 0, 0, 0, 1, 1]], [[1, 1]]
    >>> texts = [{"input_ids": torch.tensor(ids), "labels": torch.tensor(ids)} for ids in (long, short)]
    >>> round(perplexity(parts.says([[0.0, 0.0], [0.0, 2.0]]), texts), 4)
    1.7013
    >>> round(perplexity(parts.says([[0.0, 1.0], [2.0, 0.0]], encoder_decoder=True), texts[1:]), 4)
    8.3891
    """
    ### BEGIN SOLUTION
    modes = {module: module.training for module in model.modules()}
    model.eval()
    total, count = 0.0, 0
    try:
        with torch.no_grad():
            for batch in batches:
                logits, labels = model(**batch).logits, batch["labels"]
                if not model.config.is_encoder_decoder:
                    logits, labels = logits[:, :-1], labels[:, 1:]
                counts = labels != -100
                losses = nn.functional.cross_entropy(logits[counts].float(), labels[counts], reduction="none")
                total += losses.double().sum().item()
                count += int(counts.sum())
    finally:
        for module, training in modes.items():
            module.training = training
    if count == 0:
        raise ValueError("no label counts")
    return math.exp(total / count)
    ### END SOLUTION


# %% [markdown]
# The table begins. `models.tiny_llama_outlier()` is the same function with one difference inside: behind each norm one of the 16
# channels is 128 times larger, and the weights that read it are as much smaller. Large language models grow such channels by
# themselves. In float32 nothing changes. With int8 weights little changes. With int8 activations, which share one scale for all
# channels, it is the end: the large channel takes the range, and the others get a code or two.

# %% tags=["active-ipynb"]
# lesson_batches = models.llama_batches(200, seed=1)
# calibration = models.llama_batches(100, seed=2, held_out=False)
#
#
# def int8_everywhere(changed):
#     quanto.quantize(changed, weights="qint8", activations="qint8")
#     with torch.no_grad(), quanto.Calibration():
#         for batch in calibration:
#             changed(**batch)
#     quanto.freeze(changed)
#     return changed
#
#
# def int8_weights(changed):
#     quanto.quantize(changed, weights="qint8")
#     quanto.freeze(changed)
#     return changed
#
#
# table = []
#
#
# def tell(title, measured):
#     table.append((title, perplexity(measured, lesson_batches)))
#     print("\n".join(f"{row[0]:48}{row[1]:12.4f}" for row in table))
#
#
# table.append(("float32", perplexity(models.tiny_llama_outlier()[0], lesson_batches)))
# table.append(("int8 weights", perplexity(int8_weights(models.tiny_llama_outlier()[0]), lesson_batches)))
# tell("int8 weights and activations", int8_everywhere(models.tiny_llama_outlier()[0]))

# %% [markdown]
# ## Move the difficulty: SmoothQuant
#
# Divide column j of the inputs by s_j and multiply column j of the weight by it: the product stays. With a_j the largest
# magnitude that channel j of the input has, and w_j that of the weight's column j, SmoothQuant takes
#
# $$s_j = a_j^{\alpha} / w_j^{1-\alpha}.$$
#
# With α = ½ both end up with the same range √(a_j w_j); α = 1 moves all of the difficulty into the weight. (Xiao et al.
# 2022, arXiv 2211.10438.)


# %% tags=["core"]
# hint 1: The weight is (out, in). Along which axis do you look for the largest magnitude if there is to be one
#   number for each input?
# hint 2: `Tensor.abs`, `amax(dim=...)`, and `clamp(min=...)`, which raises what is too small and leaves the rest
#   alone.
# hint 3: Both ranges, each raised to 1e-5 where smaller; the quotient of a to the power alpha and w to the power 1
#   - alpha; raised to 1e-5 as well.
# >>> (1000 * smooth_scales(tensor([0.0]), tensor([[0.25]]))).round()
# tensor([6.])
# >>> smooth_scales(tensor([4.0]), tensor([[0.0]])).round()
# tensor([632.])
# >>> (1e-5 * smooth_scales(tensor([2e8]), tensor([[1.0]]), alpha=1.0)).round()
# tensor([2000.])
# >>> (1e5 * smooth_scales(tensor([0.0]), tensor([[1e10]]))).round()
# tensor([1.])
def smooth_scales(activation_max: Tensor, weight: Tensor, alpha: float = 0.5) -> Tensor:
    """Return SmoothQuant's divisors of the input channels: s_j = a_j^alpha / w_j^(1 - alpha), float32 of shape (in,).

    activation_max: a_j, float32 (in,).  weight: float32 (out, in); w_j is the largest magnitude in its column j.
    alpha: from 0 to 1.  Each a_j, w_j and s_j is raised to 1e-5 where it is smaller; nothing is added.
    >>> smooth_scales(tensor([4.0, 16.0]), tensor([[1.0, -4.0], [-1.0, 0.5], [0.0, 2.0]]))
    tensor([2.0, 2.0])
    >>> smooth_scales(tensor([4.0, 16.0]), tensor([[1.0, -4.0], [-0.5, 0.5]]), alpha=1.0)
    tensor([4.0, 16.0])
    >>> smooth_scales(tensor([4.0, 16.0]), tensor([[1.0, -4.0], [-0.5, 0.5]]), alpha=0.0)
    tensor([1.0, 0.25])
    """
    ### BEGIN SOLUTION
    a = activation_max.clamp(min=1e-5)
    w = weight.abs().amax(dim=0).clamp(min=1e-5)
    return (a**alpha / w ** (1 - alpha)).clamp(min=1e-5)
    ### END SOLUTION


# %% tags=["core"]
# hint 1: If x is divided by s channel by channel, what has to happen to which columns of the weight so that the
#   product stays?
# hint 2: `copy.deepcopy` gives a new layer with its bias or without. `torch.no_grad()` lets you write into its
#   weight. Multiplying a matrix by a vector goes along the last axis.
# hint 3: a from the largest magnitudes over the tokens; s from `smooth_scales`; a copy of the layer whose weight is
#   multiplied by s; both returned.
# >>> new, s = smooth(parts.linear([[1.0, -4.0], [-1.0, 0.5]]), tensor([[4.0, 16.0]]), alpha=1.0)
# >>> s.tolist(), new.weight.tolist(), new.bias
# ([4.0, 16.0], [[4.0, -64.0], [-4.0, 8.0]], None)
# >>> new(tensor([4.0, 16.0]) / s).tolist()
# [-60.0, 4.0]
# >>> smooth(parts.linear([[4.0, -2.0]]), tensor([[9.0, 9.0]]), alpha=0.0)[1].tolist()
# [0.25, 0.5]
def smooth(linear: nn.Linear, inputs: Tensor, alpha: float = 0.5) -> tuple[nn.Linear, Tensor]:
    """Return a new layer and s of `smooth_scales`, so that new(x / s) equals linear(x).

    inputs: float32 (tokens, in), from which a_j = max |x_j|.  The new layer's weight has column j multiplied by s_j; its bias
    is the old one, or None.  `linear` stays as it is.
    >>> linear = parts.linear([[1.0, -4.0], [-1.0, 0.5]], [3.0, -1.0])
    >>> new, s = smooth(linear, tensor([[1.0, 2.0], [-4.0, 16.0], [0.0, -3.0]]))
    >>> s.tolist(), new.weight.tolist(), new.bias.tolist()
    ([2.0, 2.0], [[2.0, -8.0], [-2.0, 1.0]], [3.0, -1.0])
    >>> linear.weight.tolist()
    [[1.0, -4.0], [-1.0, 0.5]]
    """
    ### BEGIN SOLUTION
    s = smooth_scales(inputs.abs().amax(dim=0), linear.weight.detach(), alpha)
    new = copy.deepcopy(linear)
    with torch.no_grad():
        new.weight *= s
    return new, s
    ### END SOLUTION


# %% [markdown]
# In a model nobody wants to divide by s at every step. The norm in front of the layer multiplies each channel by a weight anyway,
# so 1 / s goes there and costs nothing. Layers that read the same norm have to share one s: here they are smoothed as one
# layer, their rows one below the other.

# %% tags=["active-ipynb"]
# def inputs_of(watched, layer_names):
#     """Return what goes into these layers on the calibration batches, as (tokens, in) each; padding is left out."""
#     seen = {name: [] for name in layer_names}
#     handles = []
#     for name in layer_names:
#         keep = seen[name]
#         hook = watched.get_submodule(name).register_forward_pre_hook(lambda _, args, keep=keep: keep.append(args[0]))
#         handles.append(hook)
#     kept_tokens = {name: [] for name in layer_names}
#     with torch.no_grad():
#         for batch in calibration:
#             watched(**batch)
#             for name in layer_names:
#                 kept_tokens[name].append(seen[name].pop()[batch["attention_mask"] == 1])
#     for handle in handles:
#         handle.remove()
#     return {name: torch.cat(parts) for name, parts in kept_tokens.items()}
#
#
# def readers_of_norms(watched):
#     found = []
#     for index in range(len(watched.model.layers)):
#         at = f"model.layers.{index}"
#         found.append((f"{at}.input_layernorm", [f"{at}.self_attn.{part}_proj" for part in "qkv"]))
#         found.append((f"{at}.post_attention_layernorm", [f"{at}.mlp.gate_proj", f"{at}.mlp.up_proj"]))
#     return [*found, ("model.norm", ["lm_head"])]
#
#
# def smoothed(changed):
#     pairs = readers_of_norms(changed)
#     seen = inputs_of(changed, [readers[0] for _, readers in pairs])
#     for norm_name, reader_names in pairs:
#         norm, readers = changed.get_submodule(norm_name), [changed.get_submodule(name) for name in reader_names]
#         joined = parts.linear(torch.cat([reader.weight.detach() for reader in readers]))
#         new, s = smooth(joined, seen[reader_names[0]])
#         with torch.no_grad():
#             norm.weight /= s
#             for reader, rows in zip(readers, new.weight.split([len(r.weight) for r in readers]), strict=True):
#                 reader.weight.copy_(rows)
#     return changed
#
#
# tell("  smoothed", int8_everywhere(smoothed(models.tiny_llama_outlier()[0])))

# %% [markdown]
# What goes into the first layer's attention, channel by channel, before and after:

# %% tags=["active-ipynb"]
# def channel_ranges(watched):
#     at = "model.layers.0.self_attn.q_proj"
#     return inputs_of(watched, [at])[at].abs().amax(dim=0)
#
#
# ranges = {"before": channel_ranges(models.tiny_llama_outlier()[0])}
# ranges["smoothed"] = channel_ranges(smoothed(models.tiny_llama_outlier()[0]))
# pictures.show(method_pictures.channel_ranges(ranges))

# %% [markdown]
# ## Spread the difficulty: rotation
#
# SmoothQuant needs to see activations first. Rotation does not. Multiply the inputs by an orthogonal matrix H and the weight
# by it too: x H (W H)ᵀ = x H Hᵀ Wᵀ = x Wᵀ. If every column of H mixes all channels with equal weight, an outlier in one
# channel becomes a little in each. A Hadamard matrix does that with entries ±1/√n, and Sylvester's construction doubles
# one: from H to [[H, H], [H, -H]]. (QuaRot, Ashkboos et al. 2024, arXiv 2404.00456.)


# %% tags=["core"]
# hint 1: What is the matrix of 2, and how does one make the matrix of 4 out of four copies of it?
# hint 2: `torch.cat` along dim 0 and dim 1 (or `torch.kron`), in a loop until there are n rows.
# hint 3: Begin with a single 1; as long as there are fewer than n rows, set two copies side by side, and below them
#   a copy and a negated copy; at the end divide by the root of n.
# >>> (1e5 * hadamard(8)[5]).round()
# tensor([35355., -35355., 35355., -35355., -35355., 35355., -35355., 35355.])
# >>> hadamard(0)
# Traceback (most recent call last):
# ValueError
def hadamard(n: int) -> Tensor:
    """Return Sylvester's Hadamard matrix of n rows, its entries ±1/√n, so that H Hᵀ = I; float32.

    Start with [[1]], and go from H to [[H, H], [H, -H]].  ValueError unless n is a power of two (1 is one).
    >>> hadamard(4).round(decimals=4)
    tensor([[0.5, 0.5, 0.5, 0.5], [0.5, -0.5, 0.5, -0.5], [0.5, 0.5, -0.5, -0.5], [0.5, -0.5, -0.5, 0.5]])
    >>> hadamard(1)
    tensor([[1.0]])
    >>> hadamard(12)
    Traceback (most recent call last):
        ...
    ValueError: 12 is no power of two
    """
    if n < 1 or n & (n - 1):
        raise ValueError(f"{n} is no power of two")
    ### BEGIN SOLUTION
    h = torch.ones(1, 1)
    while len(h) < n:
        h = torch.cat([torch.cat([h, h], dim=1), torch.cat([h, -h], dim=1)])
    return h / math.sqrt(n)
    ### END SOLUTION


# %% [markdown]
# A product with an n by n matrix takes n² multiplications per token. Sylvester's matrix needs only n log₂ n additions: in each of
# log₂ n stages, values at distance d (1, 2, 4, ...) become their sum and their difference, each *in its own place*.


# %% tags=["core"]
# hint 1: In the first stage 0 and 1 are partners, 2 and 3, and so on. Who are the partners in the second stage, and
#   where do sum and difference go?
# hint 2: `reshape` to (..., 2, distance) puts partners one above the other, `unbind` takes them apart,
#   `torch.stack` puts two tensors back in the same places.
# hint 3: For distances 1, 2, 4, ... below n: view the values as pairs of runs of that length; stack the sum of both
#   runs and their difference where the runs were. In the end the old shape, over the root of n. Write into x
#   nowhere.
# >>> fast_hadamard(tensor([[1.0, 3.0], [2.0, 3.0], [3.0, 3.0], [5.0, 3.0]]).T).round(decimals=4)
# tensor([[ 5.5, -1.5, -2.5,  0.5], [ 6.0, 0.0, 0.0, 0.0]])
# >>> fast_hadamard(tensor([[3.0], [-2.0]]))
# tensor([[ 3.], [-2.]])
def fast_hadamard(x: Tensor) -> Tensor:
    """Return x H for Sylvester's H of the last axis' length, a power of two, in n log n steps by butterflies.

    x: float32 or float64, any leading dimensions; same shape and dtype, x stays as it is.  In the stage of distance d, values i
    and i + d of each block of 2 d become their sum (at i) and their difference (at i + d); all are divided by √n.
    >>> fast_hadamard(tensor([1.0, 2.0, 3.0, 5.0])).round(decimals=4)
    tensor([5.5, -1.5, -2.5, 0.5])
    >>> fast_hadamard(tensor([[0.0, 0.0, 8.0, 0.0]], dtype=torch.float64)).round(decimals=4)
    tensor([[4.0, 4.0, -4.0, -4.0]], dtype=torch.float64)
    """
    ### BEGIN SOLUTION
    n, distance, y = x.shape[-1], 1, x
    while distance < n:
        first, second = y.reshape(-1, 2, distance).unbind(dim=1)
        y = torch.stack([first + second, first - second], dim=1)
        distance *= 2
    return y.reshape(x.shape) / math.sqrt(n)
    ### END SOLUTION


# %% tags=["core"]
# hint 1: x H times what gives x Wᵀ, if H Hᵀ = I?
# hint 2: `copy.deepcopy`, `hadamard`, `.to(dtype)`, and `copy_` within `torch.no_grad()`.
# hint 3: A copy of the layer whose weight is the old one times H of in_features, H cast to the layer's dtype.
#   `hadamard` refuses the other sizes itself.
# >>> rotate(parts.linear([[1.0, 2.0]] * 3).double()).weight.dtype
# torch.float64
# >>> square = rotate(parts.linear([[1.0, 0.0, 0.0, 0.0], [0.0] * 4, [0.0] * 4, [0.0] * 4]))
# >>> square.weight.round(decimals=4).tolist(), square.bias
# ([[0.5, 0.5, 0.5, 0.5], [0.0, 0.0, 0.0, 0.0], [0.0, 0.0, 0.0, 0.0], [0.0, 0.0, 0.0, 0.0]], None)
# >>> rotate(parts.linear([[1.0] * 6]))
# Traceback (most recent call last):
# ValueError
def rotate(linear: nn.Linear) -> nn.Linear:
    """Return a new layer with weight W H, so that new(fast_hadamard(x)) equals linear(x).

    In the layer's dtype (float32 or float64), with its bias as it is, or None; `linear` stays as it is.  ValueError unless
    in_features is a power of two.
    >>> linear = parts.linear([[1.0, 2.0, 3.0, 5.0], [0.0, 0.0, 8.0, 0.0]], [7.0, -1.0])
    >>> new = rotate(linear)
    >>> new.weight.round(decimals=4).tolist(), new.bias.tolist()
    ([[5.5, -1.5, -2.5, 0.5], [4.0, 4.0, -4.0, -4.0]], [7.0, -1.0])
    >>> x = tensor([1.0, 0.0, 0.0, 2.0])
    >>> new(fast_hadamard(x)).round(decimals=4).tolist(), linear(x).tolist()
    ([18.0, -1.0], [18.0, -1.0])
    """
    ### BEGIN SOLUTION
    new = copy.deepcopy(linear)
    h = hadamard(linear.in_features).to(linear.weight.dtype)
    with torch.no_grad():
        new.weight.copy_(linear.weight @ h)
    return new
    ### END SOLUTION


# %% [markdown]
# On the tiny Llama: every linear layer is replaced by one that rotates its input first. The activation that quanto then
# quantizes is the rotated one.

# %% tags=["active-ipynb"]
# class Rotated(nn.Module):
#     def __init__(self, linear):
#         super().__init__()
#         self.linear = rotate(linear)
#
#     def forward(self, x):
#         return self.linear(fast_hadamard(x))
#
#
# def rotated(changed):
#     for name, module in list(changed.named_modules()):
#         if isinstance(module, nn.Linear):
#             changed.set_submodule(name, Rotated(module))
#     return changed
#
#
# tell("  rotated", int8_everywhere(rotated(models.tiny_llama_outlier()[0])))
# at_rotated = "model.layers.0.self_attn.q_proj.linear"
# ranges["rotated"] = inputs_of(rotated(models.tiny_llama_outlier()[0]), [at_rotated])[at_rotated].abs().amax(dim=0)
# pictures.show(method_pictures.channel_ranges(ranges))

# %% [markdown]
# Better by far than before, without having seen any data, and not as good as smoothing: among 16 channels an outlier can only be
# made √16 = 4 times smaller, among the 4096 of a large model 64 times.
#
# ## Repair: GPTQ
#
# Now weights alone, at few bits, and no outlier. Rounding each weight to nearest makes each error small by itself. What counts
# is the error of the layer's *output*, and errors of different weights may cancel there, if their inputs occur together.
# For inputs x the mean squared output error of an error E in the weight is tr(E H Eᵀ) with H the mean of xᵀx: the Hessian, up
# to a factor, of that error.


# %% tags=["core"]
# hint 1: Do batches count alike here, or tokens? And what becomes of 300 · 300 in float16?
# hint 2: `reshape(-1, batch.shape[-1])` makes a list of tokens of any batch; `.double()` before the product;
#   `torch.cat`.
# hint 3: All tokens of all batches below each other in float64, those of empty batches left out; if there are none,
#   ValueError; the transpose times the matrix, over the number of rows.
# >>> input_hessian([tensor([[2.0, 0.0], [0.0, 0.0]])]).round(decimals=4)
# tensor([[2., 0.], [0., 0.]], dtype=torch.float64)
# >>> input_hessian([tensor([[4097.0, 1.0]])]).round(decimals=4)
# tensor([[16785409., 4097.], [4097., 1.]], dtype=torch.float64)
# >>> input_hessian([tensor([2.0, 1.0], dtype=torch.bfloat16)])
# tensor([[4., 2.], [2., 1.]], dtype=torch.float64)
# >>> input_hessian([torch.zeros(0, 2)])
# Traceback (most recent call last):
# ValueError
def input_hessian(batches: list[Tensor]) -> Tensor:
    """Return the sum of xᵀ x over all tokens of all batches, divided by the number of tokens: float64 (in, in).

    batches: tensors (..., in) of any float dtype, widened to float64 before the product; a batch without tokens counts nothing.
    ValueError if there are no tokens at all.
    >>> input_hessian([tensor([[1.0, 2.0]]), tensor([[[3.0, 0.0], [0.0, -1.0], [2.0, 1.0]]])])
    tensor([[3.5, 1.0], [1.0, 1.5]], dtype=torch.float64)
    >>> input_hessian([tensor([[300.0, 1.0]], dtype=torch.float16), torch.zeros(0, 2)])
    tensor([[90000.0, 300.0], [300.0, 1.0]], dtype=torch.float64)
    """
    ### BEGIN SOLUTION
    tokens = [batch.reshape(-1, batch.shape[-1]).double() for batch in batches if batch.numel() > 0]
    if not tokens:
        raise ValueError("there are no tokens")
    x = torch.cat(tokens)
    return x.T @ x / len(x)
    ### END SOLUTION


# %% [markdown]
# GPTQ goes through the columns from left to right. It rounds one column, and then moves the columns that are still to come
# so that they make up for the error as well as they can. How they have to move stands in one matrix: the upper Cholesky
# factor U of H⁻¹ (H⁻¹ = Uᵀ U). Two guards belong to it. An input that never occurred has H_jj = 0: its weight is set to 0,
# and H_jj to 1. And H is *damped*: a share of its mean diagonal is added to the diagonal, or it might have no inverse.
# (Frantar et al. 2022, arXiv 2210.17323.)


# %% tags=["core"]
# hint 1: Once a column is rounded, its error is known. Which columns can still make up for it, and which matrix
#   says how far each has to move?
# hint 2: `torch.linalg.inv`, then `torch.linalg.cholesky(..., upper=True)`. `h.diagonal()` is a view: you can write
#   and add through it. Slices like `[:, i:i + 1]` keep a column a column.
# hint 3: Copies in float64; scales of the rows; dead inputs; damping. Then for each column: codes, the error over
#   the factor's diagonal number, and from columns i to the last that error times the factor's row i is taken.
#   Beware of a division by 0 for a row of zeros.
# >>> gptq_quantize_layer(tensor([[0.0, 0.0, 0.0], [3.0, 1.4, -0.6]]), correlated, 3, damp=0.0)[0]
# tensor([[0, 0, 0], [3, 1, -1]], dtype=torch.int8)
# >>> faint = torch.diag(tensor([1e-8, 1.0, 1.0], dtype=torch.float64))
# >>> gptq_quantize_layer(tensor([[3.0, 1.0, 0.0]]), faint, 3, damp=0.0)[0]
# tensor([[3, 1, 0]], dtype=torch.int8)
# >>> weight = tensor([[-2.5, -2.2, -2.9, 1.6], [-2.0, -2.8, 2.9, 2.9]])
# >>> hessian = tensor([[16, -9, 5, -6], [-9, 10, 0, -2], [5, 0, 11, -8], [-6, -2, -8, 22]])
# >>> gptq_quantize_layer(weight, hessian.double(), 3, damp=0.25)[0]
# tensor([[-3, -3, -3, 2], [-2, -3, 3, 3]], dtype=torch.int8)
# >>> weight = tensor([[0.5, -2.6, 2.1, 2.8], [0.3, -0.5, -0.1, 2.0]])
# >>> hessian = tensor([[14, 0, -6, -2], [0, 11, 3, -1], [-6, 3, 18, -11], [-2, -1, -11, 12]])
# >>> gptq_quantize_layer(weight, hessian.double(), 3, damp=0.25)[0]
# tensor([[1, -3, 3, 3], [0, -1, 0, 3]], dtype=torch.int8)
# >>> weight = tensor([[0.7, 2.5, -1.3, -2.5], [2.1, 2.9, -2.1, 0.4]])
# >>> hessian = tensor([[13, 0, -1, 2], [0, 23, -5, 0], [-1, -5, 18, 13], [2, 0, 13, 11]])
# >>> gptq_quantize_layer(weight, hessian.double(), 3)[0]
# tensor([[1, 3, -1, -3], [2, 3, -2, 0]], dtype=torch.int8)
# >>> hessian = tensor([[4, 1, 0], [1, 1, 1], [0, 1, 2]])
# >>> gptq_quantize_layer(tensor([[0.4, 1.0, -0.2]]), hessian.double(), 2, damp=0.0)[0]
# tensor([[0, 1, 0]], dtype=torch.int8)
# >>> gptq_quantize_layer(tensor([[1.0, 1 / 6, 0.0]]), correlated, 3)[0]
# tensor([[3, 1, 0]], dtype=torch.int8)
# >>> alike = tensor([[1.0, 1.0], [1.0, 1.0 + 2.0**-26]], dtype=torch.float64)
# >>> gptq_quantize_layer(tensor([[0.4, 1.0]]), alike, 2, damp=0.0)[0]
# tensor([[0, 1]], dtype=torch.int8)
# >>> dead = 0.01 * correlated
# >>> dead[2, 2] = 0.0
# >>> gptq_quantize_layer(tensor([[0.4, 0.4, 3.0]]), dead, 3, damp=0.5)[0]
# tensor([[0, 0, 0]], dtype=torch.int8)
def gptq_quantize_layer(weight: Tensor, hessian: Tensor, bits: int, damp: float = 0.01) -> tuple[Tensor, Tensor]:
    """Quantize a weight with GPTQ: int8 codes of its shape, and a float64 scale for each row, of shape (rows, 1).

    weight: float32 (rows, columns).  hessian: float64 (columns, columns).  bits: 2 to 8.  All in float64; both stay as they are.
    1. Scales: a row's largest magnitude (of the weight as given) / (2**(bits-1) - 1).
    2. Dead inputs j, H_jj = 0: H_jj = 1 and column j of the weight is 0.  Then damp * mean of H's diagonal is added to it.
    3. U = the upper Cholesky factor of H's inverse (H⁻¹ = Uᵀ U).  For each column i, left to right: its codes q = round(w / s),
       clamped to ±(2**(bits-1) - 1); e = (w - q s) / U_ii; then column k loses e U_ik, for all k >= i.
    >>> correlated = tensor([[2.0, 1.0, 0.0], [1.0, 2.0, 0.0], [0.0, 0.0, 1.0]], dtype=torch.float64)
    >>> codes, scales = gptq_quantize_layer(tensor([[0.4, 0.4, 3.0]]), correlated, 3, damp=0.0)
    >>> codes, scales
    (tensor([[0, 1, 3]], dtype=torch.int8), tensor([[1.0]], dtype=torch.float64))
    >>> gptq_quantize_layer(tensor([[0.4, 0.4, 3.0]]), torch.eye(3, dtype=torch.float64), 3)[0]
    tensor([[0, 0, 3]], dtype=torch.int8)
    >>> gptq_quantize_layer(tensor([[7.0, 2.75, 14.0]]), torch.diag(tensor([1.0, 4.0, 0.0], dtype=torch.float64)), 4)
    (tensor([[4, 1, 0]], dtype=torch.int8), tensor([[2.0]], dtype=torch.float64))
    """
    ### BEGIN SOLUTION
    w, h, largest_code = weight.double().clone(), hessian.clone(), 2 ** (bits - 1) - 1
    scales = w.abs().amax(dim=1, keepdim=True) / largest_code
    scales = torch.where(scales > 0, scales, 1.0)
    dead = h.diagonal() == 0
    h.diagonal()[dead] = 1.0
    w[:, dead] = 0.0
    h.diagonal().add_(damp * h.diagonal().mean())
    upper = torch.linalg.cholesky(torch.linalg.inv(h), upper=True)
    codes = torch.zeros_like(w, dtype=torch.int8)
    for i in range(w.shape[1]):
        q = torch.round(w[:, i : i + 1] / scales).clamp(-largest_code, largest_code)
        error = (w[:, i : i + 1] - q * scales) / upper[i, i]
        w[:, i:] -= error * upper[i, i:]
        codes[:, i : i + 1] = q
    return codes, scales
    ### END SOLUTION


# %% [markdown]
# Three bits, one scale for each row: rounding to nearest against GPTQ, on the model without its outlier.

# %% tags=["active-ipynb"]
# def linear_names(watched):
#     return [name for name, module in watched.named_modules() if isinstance(module, nn.Linear)]
#
#
# def rewritten(changed, new_weight):
#     """Replace each linear layer's weight by new_weight(weight, inputs), inputs as the model had them before."""
#     seen = inputs_of(changed, linear_names(changed))
#     for name, tokens in seen.items():
#         layer = changed.get_submodule(name)
#         with torch.no_grad():
#             layer.weight.copy_(new_weight(layer.weight.detach(), tokens))
#     return changed
#
#
# def nearest(weight, tokens):
#     return groups.symmetric(weight, weight.shape[1], tried_bits)
#
#
# def with_gptq(weight, tokens):
#     codes, scales = gptq_quantize_layer(weight, input_hessian([tokens]), tried_bits)
#     return codes * scales
#
#
# tried_bits = 3
# table.append(("3-bit weights, nearest", perplexity(rewritten(models.tiny_llama()[0], nearest), lesson_batches)))
# tell("  GPTQ", rewritten(models.tiny_llama()[0], with_gptq))

# %% [markdown]
# ## The cache: KIVI
#
# While a decoder writes, it keeps keys and values of all tokens before. With many users that is more memory than the weights. KIVI
# quantizes it to 2 bits, on the group's own range (minimum and scale), with one rule: keys in groups of *tokens* within a
# channel, values in groups of *channels* within a token. Keys have channels that lie far from zero at every token; a group that
# stays inside such a channel is narrow all the same. (Liu et al. 2024, arXiv 2402.02750.) `groups.affine(matrix, group_size,
# bits)` rounds a matrix in groups along its rows and gives back what the codes stand for.


# %% tags=["core"]
# hint 1: `groups.affine` makes groups along rows. For which of the two do the neighbours stand in a column?
# hint 2: `Tensor.T` before, and again after.
# hint 3: Keys turned, rounded in groups, turned back; values rounded in groups as they are. The errors come from
#   `groups.affine` by itself.
# >>> constant, rising = torch.full((4, 2), 5.0), tensor([[0.0, 1.0, 2.0, 30.0], [5.0, 5.0, 5.0, 5.0]])
# >>> quantize_kv(constant, rising, bits=2, group_size=4)
# (tensor([[5., 5.], [5., 5.], [5., 5.], [5., 5.]]), tensor([[0., 0., 0., 30.], [5., 5., 5., 5.]]))
# >>> quantize_kv(tensor([[0.0], [1.0], [90.0], [91.0]]), torch.zeros(1, 2), bits=1, group_size=2)[0].T
# tensor([[ 0.,  1., 90., 91.]])
# >>> quantize_kv(tensor([[0.0], [1.0], [5.0], [15.0]]), torch.zeros(1, 4), bits=4, group_size=4)[0].T
# tensor([[ 0.,  1.,  5., 15.]])
# >>> quantize_kv(keys[:3], values, group_size=4)
# Traceback (most recent call last):
# ValueError
def quantize_kv(keys: Tensor, values: Tensor, bits: int = 2, group_size: int = 32) -> tuple[Tensor, Tensor]:
    """Return keys and values as they come back from a cache of few bits, float32 of the same shapes.

    keys, values: float32 (tokens, channels).  Affine, on the group's own minimum and maximum: keys in groups of `group_size`
    tokens within a channel, values in groups of `group_size` channels within a token.  ValueError if group_size does not
    divide the tokens of keys or the channels of values.
    >>> keys, values = tensor([[0.0, 90.0], [1.0, 91.0], [2.0, 92.0], [30.0, 93.0]]), tensor([[0.0, 10.0, 20.0, 30.0]] * 4)
    >>> restored = quantize_kv(keys, values, bits=2, group_size=4)
    >>> restored[0].T, torch.equal(restored[1], values)
    (tensor([[0.0, 0.0, 0.0, 30.0], [90.0, 91.0, 92.0, 93.0]]), True)
    >>> quantize_kv(keys, values[:, :3], group_size=4)
    Traceback (most recent call last):
        ...
    ValueError: rows of 3 are no whole number of groups of 4
    """
    ### BEGIN SOLUTION
    return groups.affine(keys.T, group_size, bits).T, groups.affine(values, group_size, bits)
    ### END SOLUTION


# %% [markdown]
# When is the rule right? The error that counts is that of query times key. Normal keys with one channel *offset* by 20: groups
# within a channel do not see the offset, groups within a token all hold it. With one channel *20 times larger* instead, it
# depends: that channel is coarse either way. So it is an offset that makes the rule, not a large channel as such.

# %% tags=["active-ipynb"]
# def mean_error(kind, group_size, per_channel, seed):
#     made = torch.Generator().manual_seed(seed)
#     keys, queries = torch.randn(128, 64, generator=made), torch.randn(64, 64, generator=made)
#     if kind == "offset by 20":
#         keys[:, 7] += 20
#     elif kind == "20 times larger":
#         keys[:, 7] *= 20
#     restored = quantize_kv(keys, keys, 2, group_size)[0 if per_channel else 1]
#     return (queries @ (restored - keys).T).square().mean().item()
#
#
# def tell_errors(kind, group_size):
#     errors = [[mean_error(kind, group_size, rule, seed) for seed in range(20)] for rule in (False, True)]
#     medians = [torch.tensor(each).median().item() for each in errors]
#     better = sum(channel < token for token, channel in zip(*errors, strict=True))
#     print(f"{kind:18}{group_size:8}{medians[0]:14.1f}{medians[1]:14.1f}{better:12} of 20")
#
#
# print(f"{'one key channel':18}{'group':>8}{'per token':>14}{'per channel':>14}{'better in':>12}")
# for tried_kind in ("as the others", "offset by 20", "20 times larger"):
#     for tried_group in (32, 16):
#         tell_errors(tried_kind, tried_group)

# %% [markdown]
# ## Where does it hurt?
#
# Not all layers mind alike. Quantize one at a time, leave all others float, and see how far the score falls. This is how one
# decides which layers get more bits; lesson 8 turns it into a plan.


# %% tags=["core"]
# hint 1: If one model is used for all layers, what does the second layer's score contain besides its own loss?
# hint 2: `quanto.quantize(model, weights=..., include=name)`, `quanto.freeze`, and `named_modules()` with
#   `isinstance(module, nn.Linear)`.
# hint 3: Build one model, note its layers' names and its score. For each name: build, quantize this layer alone,
#   freeze, evaluate; the first score less this one goes under the name.
# >>> from exercises.kit.toys import behaviours
# >>> wide = precisions.builder("mlp", widths=[16] * 13)
# >>> def described(model):
# ...     kinds = [type(layer).__name__ == "QLinear" and layer.frozen for layer in model.layers]
# ...     active = any(getattr(layer, "activation_qtype", None) for layer in model.layers)
# ...     return float(sum(kinds)) + 100 * active
# >>> set(layer_sensitivity(wide, described, "qint8").values())
# {-1.0}
# >>> def inner(model):
# ...     return float(hasattr(model.part.output, "frozen"))
# >>> layer_sensitivity(behaviours.same_ending, inner, quanto.qint8)
# {'output': 0.0, 'part.output': -1.0}
# >>> list(layer_sensitivity(behaviours.nested, lambda model: 1.0))[:3]
# ['encoder.0.attention.query', 'encoder.0.attention.output', 'encoder.1.attention.query']
def layer_sensitivity(
    build: Callable[[], nn.Module], evaluate: Callable[[nn.Module], float], weights: str | quanto.qtype = "qint4"
) -> dict[str, float]:
    """Return for each Linear, by qualified name and in order, the score that is lost when it alone is quantized.

    Lost: evaluate(float model) - evaluate(model with only this layer quantized and frozen), negative where it gains.
    weights: a quanto qtype or its name; no activations.  Every model comes fresh from `build()`: one build and one evaluation
    for each layer, and one for the float model.
    >>> weights = [torch.eye(16), torch.arange(256.0).reshape(16, 16)]
    >>> build = precisions.builder("mlp_from", weights=weights)
    >>> evaluate = precisions.fidelity("mlp_from", {"x": torch.eye(16)}, weights=weights)
    >>> lost = layer_sensitivity(build, evaluate, "qint2")
    >>> list(lost), lost["layers.0"], lost["layers.1"] > 0.001
    (['layers.0', 'layers.1'], 0.0, True)
    >>> build.calls, evaluate.calls
    (3, 3)
    """
    ### BEGIN SOLUTION
    model = build()
    names = [name for name, module in model.named_modules() if isinstance(module, nn.Linear)]
    baseline, lost = evaluate(model), {}
    for name in names:
        model = build()
        quanto.quantize(model, weights=weights, include=name)
        quanto.freeze(model)
        lost[name] = baseline - evaluate(model)
    return lost
    ### END SOLUTION


# %% [markdown]
# The 15 layers of the tiny Llama at 2 bits. The score is 1 / perplexity: exact answers would hardly move for a single layer.

# %% tags=["active-ipynb"]
# def inverse_perplexity(measured):
#     return 1 / perplexity(measured, lesson_batches)
#
#
# lost_at_2_bits = layer_sensitivity(lambda: models.tiny_llama()[0], inverse_perplexity, "qint2")
# pictures.show(method_pictures.sensitivities(lost_at_2_bits))

# %% [markdown]
# This is the end of the core. Two methods more, for practice.
#
# ## Equalize two layers
#
# Before there were activations to look at, there were two layers with a ReLU between them. ReLU lets a positive factor through:
# relu(z / s) s = relu(z). So row i of the first layer can be divided by s_i and column i of the second multiplied by it. With
# s_i = √(r1 r2) / r2 both get the range √(r1 r2). (Nagel et al. 2019, arXiv 1906.04721.)


# %% tags=["practice"]
# hint 1: Two ranges r1 and r2 are to become equal, while their product stays. What do both become, and what is the
#   factor?
# hint 2: `amax` over rows of one weight and columns of the other, `torch.where` for ranges of 0, `unsqueeze(1)` to
#   divide row by row.
# hint 3: Copies of both layers; the two ranges; s, 1 where either is 0; the first one's weight rows and its bias
#   (if any) over s; the second one's columns times s.
# >>> first = parts.linear([[0.0, 0.0], [8.0, 4.0], [2.0, 2.0]], [3.0, 8.0, 5.0])
# >>> new_first, new_second = equalize(first, parts.linear([[5.0, 2.0, 0.0]], [7.0]))
# >>> new_first.weight.tolist(), new_first.bias.tolist()
# ([[0.0, 0.0], [4.0, 2.0], [2.0, 2.0]], [3.0, 4.0, 5.0])
# >>> new_second.weight.tolist(), new_second.bias.tolist()
# ([[5.0, 4.0, 0.0]], [7.0])
# >>> new_second(torch.relu(new_first(tensor([1.0, -1.0])))).tolist()
# [46.0]
# >>> tiny = parts.linear([[2.0**-20]]), parts.linear([[2.0**-30]])
# >>> equalize(*tiny)[0].weight.item() == 2.0**-25
# True
# >>> equalize(parts.linear([[-8.0, 2.0]]), parts.linear([[2.0]]))[0].weight.tolist()
# [[-4.0, 1.0]]
def equalize(first: nn.Linear, second: nn.Linear) -> tuple[nn.Linear, nn.Linear]:
    """Return new layers with equal ranges, so that new_second(relu(new_first(x))) equals second(relu(first(x))).

    r1_i, r2_i: largest magnitudes in row i of the first weight (its bias not counted) and in column i of the second.
    s_i = √(r1_i r2_i) / r2_i, or 1 where one of them is 0.  Row i of the first, its bias too, is divided by s_i, column i of the
    second multiplied by it; the second's bias stays.  float32; both arguments stay as they are.
    >>> first, second = parts.linear([[8.0, -1.0], [0.5, 0.25]], [4.0, 1.0]), parts.linear([[0.5, 1.0], [-0.25, -2.0]])
    >>> new_first, new_second = equalize(first, second)
    >>> new_first.weight.tolist(), new_first.bias.tolist()
    ([[2.0, -0.25], [1.0, 0.5]], [1.0, 2.0])
    >>> new_second.weight.tolist(), new_second.bias
    ([[2.0, 0.5], [-1.0, -1.0]], None)
    """
    ### BEGIN SOLUTION
    first, second = copy.deepcopy(first), copy.deepcopy(second)
    with torch.no_grad():
        r1, r2 = first.weight.abs().amax(dim=1), second.weight.abs().amax(dim=0)
        s = torch.where((r1 > 0) & (r2 > 0), (r1 * r2).sqrt() / r2, 1.0)
        first.weight /= s.unsqueeze(1)
        if first.bias is not None:
            first.bias.div_(s)
        second.weight *= s
    return first, second
    ### END SOLUTION


# %% [markdown]
# Why it helps: with one scale for the whole matrix, rows of very different ranges lose their codes to the largest.

# %% tags=["active-ipynb"]
# def in_8_bits(layer):
#     flat = layer.weight.detach().reshape(1, -1)
#     return parts.linear(groups.symmetric(flat, flat.numel(), 8).reshape(layer.weight.shape))
#
#
# def output_error(one, two, x):
#     wanted = two(torch.relu(one(x)))
#     return (in_8_bits(two)(torch.relu(in_8_bits(one)(x))) - wanted).square().mean().sqrt().item()
#
#
# made_here = torch.Generator().manual_seed(0)
# uneven = torch.logspace(-2, 2, 32)
# one_layer = parts.linear(torch.randn(32, 16, generator=made_here) * uneven.unsqueeze(1))
# next_layer = parts.linear(torch.randn(8, 32, generator=made_here) / uneven)
# sampled = torch.randn(200, 16, generator=made_here)
# with torch.no_grad():
#     print(f"as they are: {output_error(one_layer, next_layer, sampled):.4f}")
#     print(f"equalized:   {output_error(*equalize(one_layer, next_layer), sampled):.4f}")

# %% [markdown]
# ## Choose by what is multiplied with it: AWQ
#
# A weight matters as much as the inputs it meets. AWQ enlarges the columns whose inputs are large, so that they lose less in
# rounding, and divides the inputs by as much. How far to go is searched: s = x̄^(i/grid), with x̄_j the mean magnitude of
# channel j, for i = 0, 1, ..., grid - 1, and the one with the least output error wins. i = 0 changes nothing, so it never gets
# worse on the inputs it was chosen with. (Lin et al. 2023, arXiv 2306.00978.) `groups.symmetric(weight, group_size, bits)` rounds
# a weight in groups along its rows and gives back what the codes stand for.


# %% tags=["practice"]
# hint 1: What is compared: the error of the weight, or of what comes out of the layer for these inputs?
# hint 2: `groups.symmetric`, `abs().mean(dim=0)`, `clamp(min=...)`, `max` and `min` of the candidate, a sum of
#   squares as a Python float.
# hint 3: The mean magnitudes, at least 1e-4. For i from 0 to grid - 1 make s, normalise it by the root of its
#   largest times its smallest; compute the layer with rounded weight · s on inputs / s; keep the s whose output
#   differs least from the float layer's.
# >>> awq_scales(torch.ones(2, 6), torch.ones(3, 6), group_size=4)
# Traceback (most recent call last):
# ValueError
# >>> x = tensor([[-24.0, 1.0, 7.0, 0.0], [24.0, -1.0, -1.0, 8.0], [-12.0, -3.0, 8.0, -6.0]])
# >>> weight = tensor([[-2.5, 1.0, 1.5, 2.1], [1.3, -2.0, 2.4, -1.3]])
# >>> awq_scales(weight, x, bits=3, group_size=2, grid=4).round(decimals=3)
# tensor([1., 1., 1., 1.])
# >>> x = tensor([[-24.0, -1.0, 2.0, 6.0], [0.0, -4.0, -7.0, 1.0], [-20.0, 4.0, -1.0, -4.0]])
# >>> weight = tensor([[-2.5, -2.2, -2.9, 1.6], [-2.0, -2.8, 2.9, 2.9]])
# >>> awq_scales(weight, x, bits=3, group_size=2, grid=4).round(decimals=3)
# tensor([1.486999989, 0.672999978, 0.708999991, 0.742999971])
# >>> x = tensor([[20.0, 2.0, 4.0, 0.0], [-20.0, -3.0, 1.0, 0.0], [8.0, 0.0, 8.0, 0.0]])
# >>> weight = tensor([[0.1, 0.9, -0.7, -1.3], [-3.0, -2.9, 2.4, -1.4]])
# >>> awq_scales(weight, x, bits=3, group_size=2, grid=4).round(decimals=3)
# tensor([20.000000000,  6.454999924, 10.407999992,  0.050000001])
# >>> x = tensor([[-32.0, 7.0, 0.0, -8.0], [-12.0, -5.0, 0.0, 1.0], [20.0, 4.0, -8.0, 0.0]])
# >>> weight = tensor([[-0.6, -0.4, -1.3, -0.9], [-0.3, 0.7, 0.2, -2.0]])
# >>> awq_scales(weight, x, bits=3, group_size=2, grid=4).round(decimals=3)
# tensor([1.297000051, 0.916999996, 0.771000028, 0.794000030])
def awq_scales(weight: Tensor, inputs: Tensor, bits: int = 4, group_size: int = 16, grid: int = 20) -> Tensor:
    """Return AWQ's factors of the weight's columns, float32 (in,): of the candidates, the one of least output error.

    weight: float32 (out, in).  inputs: float32 (tokens, in).  Candidates, i = 0 to grid - 1: s = x̄^(i / grid), with x̄_j = mean
    |x_j|, at least 1e-4; then s divided by √(max s · min s).  Output error: sum of squares of (inputs / s) Q(weight · s)ᵀ
    - inputs weightᵀ, Q rounding per group as `groups.symmetric` does.  ValueError if group_size does not divide the columns.
    >>> x = torch.diag(tensor([16.0, 1.0, 1.0, 1.0]))
    >>> weight = tensor([[0.4, 3.0, 1.0, 2.0], [0.4, -1.0, 3.0, 0.0]])
    >>> awq_scales(weight, x, bits=3, group_size=4, grid=2).round(decimals=4)
    tensor([2.0, 0.5, 0.5, 0.5])
    >>> awq_scales(weight, x, bits=3, group_size=4, grid=1)
    tensor([1.0, 1.0, 1.0, 1.0])
    """
    ### BEGIN SOLUTION
    mean = inputs.abs().mean(dim=0).clamp(min=1e-4)
    wanted = inputs @ weight.T
    candidates = []
    for i in range(grid):
        s = mean ** (i / grid)
        s = s / (s.max() * s.min()).sqrt()
        actual = (inputs / s) @ groups.symmetric(weight * s, group_size, bits).T
        candidates.append(((actual - wanted).square().sum().item(), i, s))
    return min(candidates)[2]
    ### END SOLUTION


# %% [markdown]
# Three bits again, in groups of 16, nearest against AWQ:

# %% tags=["active-ipynb"]
# def nearest_in_groups(weight, tokens):
#     return groups.symmetric(weight, 16, tried_bits)
#
#
# def with_awq(weight, tokens):
#     s = awq_scales(weight, tokens, tried_bits)
#     return groups.symmetric(weight * s, 16, tried_bits) / s
#
#
# in_groups = rewritten(models.tiny_llama()[0], nearest_in_groups)
# table.append(("3-bit weights in groups of 16, nearest", perplexity(in_groups, lesson_batches)))
# tell("  AWQ", rewritten(models.tiny_llama()[0], with_awq))

# %% [markdown] tags=["question"]
# ## In your own words
#
# **Which of the methods of this lesson moves the difficulty, which spreads it, and which repairs it?** Say for each what it
# changes in the model, what it has to know beforehand, and why the function stays the same, or does not. Then: a colleague
# wants int8 weights *and* activations, and has no sample of the data. Which method is left? (About 150 words.)

# %% [markdown] tags=["answer"]
# ### BEGIN SOLUTION
# SmoothQuant moves the difficulty: it divides large activation channels by s and multiplies the weight's columns by it, so the
# product is the same, but part of the range now lies in the weight, which has a scale for each row and bears it.
# Equalization does so between two layers, AWQ within the weight. SmoothQuant and AWQ need samples of activations. Rotation spreads
# it: an orthogonal matrix on both sides mixes every channel into all others, so an outlier becomes a little everywhere. It needs no
# data, and H Hᵀ = I keeps the function. GPTQ repairs: it rounds, which does change the function, and moves the weights that are
# still to be rounded so that the layer's output error becomes small; for that it needs the Hessian of the inputs. KIVI changes the
# direction of the groups and nothing else. Without data rotation is left (or equalization, where there is a ReLU), though the
# static scales of activations still want a few samples, or scales computed on the fly.
#
# Mark scheme:
# - 1 point: SmoothQuant (or equalization) moves range from activations, or one layer, into weights; the product is the same
# - 1 point: rotation spreads an outlier over all channels; orthogonality keeps the function
# - 1 point: GPTQ repairs: later columns make up for the rounding error of earlier ones, so the rounded function changes
# - 1 point: says what each must know: activation ranges, nothing, or the inputs' Hessian
# - 1 point: without data: rotation, with its reason
# ### END SOLUTION
