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
# # Quantization in depth
#
# In lesson 4 a library did the quantizing. Here you build what is inside: scales for rows and for groups, codes in half a
# byte, sums of integers, a quantized layer of your own, the choice of its range from data, and training that knows about
# rounding. At the end of the core your layers stand in the tiny T5 and answer as quanto's do.
#
# The first twelve exercises are the core, the rest is practice. Every docstring holds examples: they are the public check.
# Codes are int8 where signed and uint8 where not, and rounding goes to the even neighbour at a tie, as `torch.round` does.

# %%
import copy
import math
from collections.abc import Callable
from fnmatch import fnmatch

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from exercises.kit import error_pictures, models, pictures

# %% [markdown]
# ## A scale for each row
#
# One scale for a whole tensor is set by its largest number, and every other number pays for it. Give each row a scale of
# its own (*per channel*), and a large row no longer costs the others anything. In a linear layer the rows of the weight are
# the outputs, so that a scale can wait until the sum is done. Codes are *symmetric* here: zero point 0, from -127 to 127.


# %% tags=["core"]
# hint 1: Which numbers share a scale: those with the same index along `axis`, or those along it?
# hint 2: `Tensor.amax` takes a list of dimensions and `keepdim=True`. `range(weight.dim())[axis]` turns a negative
#   axis into the usual one, or raises the IndexError.
# hint 3: Two lines: scales = the largest magnitude over all other dimensions / 127; codes = round(weight / scales) as
#   int8. See to it that nothing is divided by 0.
# >>> quantize_per_channel(tensor([[0.0, 0.0], [127.0, 0.5], [127 * 2.0**-20, 2.0**-20]]), -2)[0]
# tensor([[0, 0], [127, 0], [127, 1]], dtype=torch.int8)
# >>> quantize_per_channel(torch.zeros(2, 2), 0)[1].isfinite()
# tensor([[True], [True]])
# >>> codes, scales = quantize_per_channel(tensor([[[127.0, -254.0], [1.0, 5.0]], [[3.0, 9.0], [-5.0, 127.0]]]), 1)
# >>> codes, scales
# (tensor([[[64, -127], [1, 5]], [[2, 4], [-5, 127]]], dtype=torch.int8), tensor([[[2.], [1.]]]))
# >>> quantize_per_channel(torch.ones(2, 2), 2)
# Traceback (most recent call last):
# IndexError
# >>> quantize_per_channel(torch.ones(2, 2), -3)
# Traceback (most recent call last):
# IndexError
# >>> quantize_per_channel(torch.ones(1, 2, 1, 2), -3)[1].shape == (1, 2, 1, 1)
# True
def quantize_per_channel(weight: Tensor, axis: int) -> tuple[Tensor, Tensor]:
    """Quantize symmetrically to int8 with one scale for each index of `axis`; return (codes, scales).

    weight: float32, 2 to 4 dimensions; axis counts from the end if it is negative.  scale = largest magnitude of the
    slice / 127; codes = weight / scale, rounded half to even, of the weight's shape.  scales: float32, the size 1 in every
    dimension but `axis`.  A slice of zeros has codes 0 and any finite scale >= 0.  IndexError for an axis out of range.
    >>> quantize_per_channel(tensor([[-254.0, 3.0, 100.0], [0.0, 0.0, 0.0], [63.5, 0.75, -31.75]]), 0)[0]
    tensor([[-127, 2, 50], [0, 0, 0], [127, 2, -64]], dtype=torch.int8)
    >>> quantize_per_channel(tensor([[-254.0, 63.5, 31.75], [3.0, 0.75, -15.875]]), -1)
    (tensor([[-127, 127, 127], [2, 2, -64]], dtype=torch.int8), tensor([[2.0, 0.5, 0.25]]))
    """
    ### BEGIN SOLUTION
    own = range(weight.dim())[axis]
    scales = weight.abs().amax([dim for dim in range(weight.dim()) if dim != own], keepdim=True) / 127
    return torch.round(weight / torch.where(scales > 0, scales, 1.0)).to(torch.int8), scales
    ### END SOLUTION


# %% tags=["core"]
# hint 1: In which dtype does int8 times float32 happen?
# hint 2: Broadcasting: dimensions of size 1 stretch.
# hint 3: One product of the codes as floats and the scales as they are.
# >>> dequantize_per_channel(tensor([[3]], dtype=torch.int8), tensor([[0.1]])) == tensor([[0.1]]) * 3
# tensor([[True]])
# >>> dequantize_per_channel(torch.ones(1, 2, 2, dtype=torch.int8), tensor([[[0.5], [4.0]]]))
# tensor([[[0.500000000, 0.500000000], [4.000000000, 4.000000000]]])
# >>> dequantize_per_channel(torch.ones(1, 2, 1, 1, dtype=torch.int8), tensor([[[[0.5]], [[4.0]]]])).flatten()
# tensor([0.500000000, 4.000000000])
def dequantize_per_channel(codes: Tensor, scales: Tensor) -> Tensor:
    """Return the float32 values that the codes stand for: each code times its scale, one product.

    codes: int8.  scales: float32, shaped as `quantize_per_channel` returns them.
    >>> dequantize_per_channel(tensor([[127, -3], [2, 100]], dtype=torch.int8), tensor([[0.5, 4.0]]))
    tensor([[63.5, -12.0], [1.0, 400.0]])
    >>> dequantize_per_channel(tensor([[127, -3], [2, 100]], dtype=torch.int8), tensor([[0.5], [4.0]]))
    tensor([[63.5, -1.5], [8.0, 400.0]])
    """
    ### BEGIN SOLUTION
    return codes.float() * scales
    ### END SOLUTION


# %% [markdown]
# The sequel course's matrix, three ways. Its columns are more alike than its rows, so a scale for each column serves it
# better:

# %% tags=["active-ipynb"]
# course_matrix = torch.tensor([[191.6, -13.5, 728.6], [92.14, 295.5, -184.0], [0.0, 684.6, 245.5]])
# course_step = course_matrix.abs().max() / 127
# course_restored = {"tensor": torch.round(course_matrix / course_step) * course_step}
# for course_name, course_axis in (("row", 0), ("column", 1)):
#     course_restored[course_name] = dequantize_per_channel(*quantize_per_channel(course_matrix, course_axis))
# for course_name, course_values in course_restored.items():
#     print(f"a scale for each {course_name:7} mean squared error {(course_values - course_matrix).square().mean():.7f}")

# %% [markdown]
# ## A scale for each group
#
# A row of a large model has thousands of numbers. Share a scale among only 128, 32 or 16 neighbours of a row, and most
# groups get steps of their own size. This is how weights of 4 bits and fewer stay usable; the price is more scales. With b
# bits the symmetric codes go from -(2ᵇ⁻¹-1) to 2ᵇ⁻¹-1: -7 to 7 for 4 bits, -1 to 1 for 2.


# %% tags=["core"]
# hint 1: Can you give the groups a dimension of their own?
# hint 2: `reshape(rows, -1, group_size)`; `amax` over the last dimension; `scales[..., None]` to divide.
# hint 3: Reshape into groups, one scale for each as in `quantize_per_channel` but over 2**(bits - 1) - 1, round, and
#   reshape the codes back to (rows, columns).
# >>> quantize_per_group(tensor([[7 * 2.0**-20, 2.0**-20, 0.0, 0.0]]), 2)[0]
# tensor([[7, 1, 0, 0]], dtype=torch.int8)
# >>> quantize_per_group(torch.ones(1, 4), 2, bits=9)
# Traceback (most recent call last):
# ValueError
# >>> quantize_per_group(torch.ones(1, 4), 2, bits=1)
# Traceback (most recent call last):
# ValueError
# >>> quantize_per_group(torch.ones(1, 4), -2)
# Traceback (most recent call last):
# ValueError
# >>> quantize_per_group(torch.ones(2, 3), 2)
# Traceback (most recent call last):
# ValueError
# >>> quantize_per_group(tensor([[7.0, 1.0, 2.0, 3.0], [-14.0, 5.0, 6.0, 8.0]]).t(), 1)[0]
# tensor([[7, -7], [7, 7], [7, 7], [7, 7]], dtype=torch.int8)
# >>> quantize_per_group(tensor([[127.0, 1.0]]), 2, bits=8)[0]
# tensor([[127, 1]], dtype=torch.int8)
# >>> quantize_per_group(torch.ones(1, 2), 4)
# Traceback (most recent call last):
# ValueError
def quantize_per_group(weight: Tensor, group_size: int, bits: int = 4) -> tuple[Tensor, Tensor]:
    """Quantize a matrix symmetrically with one scale for each `group_size` neighbours of a row; return (codes, scales).

    weight: float32 (rows, columns).  scale = largest magnitude of the group / (2**(bits - 1) - 1); codes = weight / scale,
    rounded half to even: int8 (rows, columns).  scales: float32 (rows, columns / group_size), in the order of the groups.
    A group of zeros has codes 0 and any finite scale >= 0.  ValueError for bits outside 2 to 8, a group_size below 1, or
    one that does not divide the columns.
    >>> quantize_per_group(tensor([[-14.0, 3.0, 28.0, 4.0], [7.0, 0.0, 1.75, -3.5]]), 2)
    (tensor([[-7, 2, 7, 1], [7, 0, 4, -7]], dtype=torch.int8), tensor([[2.0, 4.0], [1.0, 0.5]]))
    >>> quantize_per_group(torch.zeros(1, 2), 2)[0]
    tensor([[0, 0]], dtype=torch.int8)
    >>> quantize_per_group(tensor([[-14.0, 3.0, 28.0, 4.0], [5.0, 6.0, 1.75, -3.5]]).t(), 2, bits=2)[0]
    tensor([[-1, 0], [0, 1], [1, 0], [1, -1]], dtype=torch.int8)
    """
    if not 2 <= bits <= 8 or group_size < 1 or weight.shape[1] % group_size:
        raise ValueError("groups that do not divide the columns, or not 2 to 8 bits")
    ### BEGIN SOLUTION
    groups = weight.reshape(len(weight), -1, group_size)
    scales = groups.abs().amax(2) / (2 ** (bits - 1) - 1)
    codes = torch.round(groups / torch.where(scales > 0, scales, 1.0)[..., None])
    return codes.reshape(weight.shape).to(torch.int8), scales
    ### END SOLUTION


# %% tags=["core"]
# hint 1: How many neighbours does each column of `scales` serve?
# hint 2: `Tensor.repeat_interleave` repeats each element; `repeat` repeats the whole.
# hint 3: codes times the scales, each repeated (columns / groups) times along dimension 1.
# >>> dequantize_per_group(torch.ones(1, 3, dtype=torch.int8), torch.ones(1, 2))
# Traceback (most recent call last):
# ValueError
# >>> fine = tensor([[0.1, 7e-6]])
# >>> dequantize_per_group(tensor([[3, 1]], dtype=torch.int8), fine) == fine * tensor([[3, 1]])
# tensor([[True, True]])
def dequantize_per_group(codes: Tensor, scales: Tensor) -> Tensor:
    """Return the float32 values that the codes of groups stand for; the group's size follows from the two shapes.

    codes: int8 (rows, columns).  scales: float32 (rows, groups), shaped as `quantize_per_group` returns them.
    ValueError if the number of groups does not divide the number of columns.
    >>> dequantize_per_group(tensor([[7, 2, 7, 1], [-1, 3, 4, -7]], dtype=torch.int8), tensor([[2.0, 4.0], [8.0, 0.5]]))
    tensor([[14.0, 4.0, 28.0, 4.0], [-8.0, 24.0, 2.0, -3.5]])
    """
    if codes.shape[1] % scales.shape[1]:
        raise ValueError("the number of groups does not divide the columns")
    ### BEGIN SOLUTION
    return codes * scales.repeat_interleave(codes.shape[1] // scales.shape[1], 1)
    ### END SOLUTION


# %% [markdown]
# What do groups buy? Below is a weight with heavy tails, as trained weights have, quantized with your functions. A scale
# in float32 adds 32 / group size bits to every weight; a matrix's single scale adds next to nothing. Compare the curves at
# the same number of bits *per weight*, not at the same number of bits per code:

# %% tags=["active-ipynb"]
# def with_heavy_tails(rows, columns, seed=0):
#     values = torch.randn(rows, columns, generator=torch.Generator().manual_seed(seed))
#     return values * (1 + values.square() / 3)
#
#
# def errors_by_bits(values, size):
#     flat = values.reshape(1, -1) if size is None else values
#     found = []
#     for bits in range(2, 9):
#         codes, scales = quantize_per_group(flat, size or flat.shape[1], bits)
#         error = (dequantize_per_group(codes, scales) - flat).square().mean() / flat.square().mean()
#         found.append((bits + 32 * scales.numel() / flat.numel(), error.item()))
#     return found
#
#
# tailed = with_heavy_tails(256, 512)
# unit_sizes = {"tensor": None, "row of 512": 512, "group of 128": 128, "group of 32": 32, "group of 16": 16}
# error_curves = {name: errors_by_bits(tailed, size) for name, size in unit_sizes.items()}
# pictures.show(error_pictures.error_against_bits(error_curves))
# for unit_name, unit_curve in error_curves.items():
#     print(f"4-bit codes, {unit_name:13} {unit_curve[2][0]:.2f} bits per weight, relative error {unit_curve[2][1]:.5f}")

# %% [markdown]
# At 4 bits per code every smaller group is better. At equal bits per weight groups of 128 win; groups of 32 are level with
# whole rows, and groups of 16 are worse, because a float32 scale for each takes 2 bits from every weight. Formats with small
# groups therefore store their scales in 16 bits or 8.
#
# ## Codes in half a byte
#
# A code of 4 bits in an int8 tensor still takes a byte. Packed, two share a byte, or four of 2 bits, or eight of 1 bit. The
# first code goes into the lowest bits, and a last byte that is not full is filled up with zeros; since zeros are codes too,
# unpacking has to be told how many codes there are. (The sequel course's helper refuses a last byte that is not full.)


# %% tags=["core"]
# hint 1: How many codes share a byte, and by how many places is each of them shifted?
# hint 2: `F.pad` fills up at the end; `<<` shifts, also by a tensor of amounts; `sum(1, dtype=torch.uint8)`.
# hint 3: Fill up to whole bytes, reshape to (bytes, codes in a byte), shift the columns by 0, bits, 2 · bits, …, and
#   add up each row.
# >>> pack_bits(tensor([3, 4], dtype=torch.uint8), 2)
# Traceback (most recent call last):
# ValueError
# >>> pack_bits(tensor([1, 2], dtype=torch.uint8), 3)
# Traceback (most recent call last):
# ValueError
# >>> pack_bits(tensor([], dtype=torch.uint8), 1)
# tensor([], dtype=torch.uint8)
# >>> pack_bits(tensor([], dtype=torch.uint8), 3)
# Traceback (most recent call last):
# ValueError
# >>> pack_bits(tensor([1, 9, 2], dtype=torch.uint8)[::2], 4), pack_bits(tensor([255, 1], dtype=torch.uint8) & 1, 4)
# (tensor([33], dtype=torch.uint8), tensor([17], dtype=torch.uint8))
# >>> pack_bits(tensor([255], dtype=torch.uint8), 4)
# Traceback (most recent call last):
# ValueError
def pack_bits(codes: Tensor, bits: int) -> Tensor:
    """Pack unsigned codes of 1, 2 or 4 bits into bytes, the first code in the lowest bits.

    codes: uint8 vector -> uint8 vector.  The last byte is filled up with zeros; no codes give no bytes.
    ValueError for other bits, and for a code that does not fit.
    >>> pack_bits(tensor([1, 0, 3, 2, 1], dtype=torch.uint8), 2)
    tensor([177, 1], dtype=torch.uint8)
    >>> pack_bits(tensor([1, 2, 15], dtype=torch.uint8), 4)
    tensor([33, 15], dtype=torch.uint8)
    """
    if bits not in (1, 2, 4) or (codes >= 2**bits).any():
        raise ValueError(f"codes that do not fit into {bits} bits, or not 1, 2 or 4 bits")
    ### BEGIN SOLUTION
    in_a_byte = 8 // bits
    full = F.pad(codes, (0, -len(codes) % in_a_byte)).reshape(-1, in_a_byte)
    return (full << torch.arange(0, 8, bits, dtype=torch.uint8)).sum(1, dtype=torch.uint8)
    ### END SOLUTION


# %% tags=["core"]
# hint 1: How do you get the second code out of a byte, without the third?
# hint 2: `>>` shifts right; `& (2**bits - 1)` keeps the lowest bits.
# hint 3: packed[:, None] shifted by 0, bits, 2 · bits, …, masked, flattened, and the first `count` of it.
# >>> unpack_bits(tensor([228], dtype=torch.uint8), 2, 4), unpack_bits(tensor([], dtype=torch.uint8), 1, 0)
# (tensor([0, 1, 2, 3], dtype=torch.uint8), tensor([], dtype=torch.uint8))
# >>> unpack_bits(tensor([228], dtype=torch.uint8), 2, 0)
# tensor([], dtype=torch.uint8)
# >>> unpack_bits(tensor([228], dtype=torch.uint8), 2, 5)
# Traceback (most recent call last):
# ValueError
# >>> unpack_bits(tensor([228], dtype=torch.uint8), 2, -1)
# Traceback (most recent call last):
# ValueError
# >>> unpack_bits(tensor([228], dtype=torch.uint8), 8, 1)
# Traceback (most recent call last):
# ValueError
# >>> unpack_bits(tensor([228], dtype=torch.uint8), 3, 0)
# Traceback (most recent call last):
# ValueError
def unpack_bits(packed: Tensor, bits: int, count: int) -> Tensor:
    """Return the first `count` codes that `pack_bits` put into these bytes.

    packed: uint8 vector -> uint8 vector of `count` codes.  ValueError for bits other than 1, 2 or 4, and for a count that
    is negative or more than the bytes hold.
    >>> unpack_bits(tensor([177, 255], dtype=torch.uint8), 2, 7)
    tensor([1, 0, 3, 2, 3, 3, 3], dtype=torch.uint8)
    >>> unpack_bits(tensor([5], dtype=torch.uint8), 1, 4)
    tensor([1, 0, 1, 0], dtype=torch.uint8)
    """
    if bits not in (1, 2, 4) or not 0 <= count <= len(packed) * 8 // bits:
        raise ValueError(f"no {count} codes of {bits} bits in {len(packed)} bytes, or not 1, 2 or 4 bits")
    ### BEGIN SOLUTION
    codes = (packed[:, None] >> torch.arange(0, 8, bits, dtype=torch.uint8)) & (2**bits - 1)
    return codes.flatten()[:count]
    ### END SOLUTION


# %% [markdown]
# ## Integers times integers
#
# If activations are int8 as well, a layer multiplies int8 by int8. A product needs up to 15 bits and a sign, and a sum of K
# of them more: 8 bits wrap at once, and float32 is exact only up to 2²⁴ = 16 777 216. Hardware therefore adds in int32, which
# is safe for K up to 131 071. (A bound: 131 071 · 128 · 128 is just below 2³¹.)

# %% tags=["active-ipynb"]
# hundreds = torch.full((1, 2), 100, dtype=torch.int8)
# print("100·100 + 100·100 in int8:   ", (hundreds * hundreds).sum(dtype=torch.int8).item())
# ones_of_127 = torch.full((1, 1041), 127, dtype=torch.int8)
# print("1041 times 127·127 in float32:", int((ones_of_127.float() @ ones_of_127.float().t()).item()))
# print("1041 times 127·127, exact:    ", 1041 * 127 * 127)


# %% tags=["core"]
# hint 1: How large can a single product become, and a sum of a thousand?
# hint 2: `Tensor.int()`, and `@` works for int32 matrices.
# hint 3: Cast both, then multiply.
# >>> int8_matmul(tensor([[1, 2], [3, 4]], dtype=torch.int8), tensor([[5, 6], [7, 8]], dtype=torch.int8))
# tensor([[19, 22], [43, 50]], dtype=torch.int32)
# >>> int8_matmul(torch.ones(1, 2, dtype=torch.int8), torch.ones(2, 1, dtype=torch.uint8))
# Traceback (most recent call last):
# ValueError
# >>> int8_matmul(torch.ones(1, 2, dtype=torch.int32), torch.ones(2, 1, dtype=torch.int8))
# Traceback (most recent call last):
# ValueError
# >>> int8_matmul(torch.ones(1, 2, dtype=torch.int8), torch.ones(3, 1, dtype=torch.int8))
# Traceback (most recent call last):
# ValueError
# >>> int8_matmul(torch.ones(1, 1, 2, dtype=torch.int8), torch.ones(2, 1, dtype=torch.int8))
# Traceback (most recent call last):
# ValueError
# >>> int8_matmul(torch.full((1, 2), -128, dtype=torch.int8), torch.full((2, 1), -128, dtype=torch.int8))
# tensor([[32768]], dtype=torch.int32)
# >>> int8_matmul(torch.ones(2, 2, dtype=torch.int8), torch.ones(2, dtype=torch.int8))
# Traceback (most recent call last):
# ValueError
def int8_matmul(a: Tensor, b: Tensor) -> Tensor:
    """Return the exact int32 product of two int8 matrices.

    a: (rows, K), b: (K, columns).  ValueError unless both are int8, have two dimensions, and fit.
    >>> int8_matmul(tensor([[100, 100]], dtype=torch.int8), tensor([[100], [100]], dtype=torch.int8))
    tensor([[20000]], dtype=torch.int32)
    >>> int8_matmul(torch.full((1, 1041), 127, dtype=torch.int8), torch.full((1041, 1), 127, dtype=torch.int8))
    tensor([[16790289]], dtype=torch.int32)
    """
    if a.dtype != torch.int8 or b.dtype != torch.int8 or a.dim() != 2 or b.dim() != 2 or a.shape[1] != b.shape[0]:
        raise ValueError("two int8 matrices that fit are needed")
    ### BEGIN SOLUTION
    return a.int() @ b.int()
    ### END SOLUTION


# %% [markdown]
# ## A layer of your own
#
# The sequel course calls it W8A16: weights in 8 bits, activations in 16. Codes cannot be parameters, as torch refuses
# gradients for integers; what a module keeps without training it is a *buffer*:

# %% tags=["active-ipynb"]
# try:
#     nn.Parameter(torch.zeros(2, 2, dtype=torch.int8))
# except RuntimeError as error:
#     print(f"RuntimeError: {error}")

# %% [markdown]
# Mind the clamp. In bfloat16 a scale is rounded to 8 bits. For a row whose largest magnitude is 1.375 it becomes so
# small that the quotient is 127.5, which rounds to 128 and wraps to -128. The course's layer has this error; in float32 it cannot
# happen:

# %% tags=["active-ipynb"]
# for tried_dtype in (torch.float32, torch.bfloat16):
#     tried_row = torch.tensor([1.375, 1.0], dtype=tried_dtype)
#     tried_step = tried_row.abs().max() / 127
#     tried_codes = torch.round(tried_row / tried_step).to(torch.int8)
#     print(f"{tried_dtype}: quotient {(tried_row / tried_step)[0].item():.4f}, codes {tried_codes.tolist()}")


# %% tags=["core"]
# hint 1: What does the layer keep, and which of it is trained? In which dtype is each of the steps?
# hint 2: `register_buffer` (None is allowed), `Tensor.detach`, `Tensor.clamp`, `F.linear`.
# hint 3: Three buffers. quantize: scales of the rows in the layer's dtype, then codes: divide, round, clamp to
#   -127..127, cast. forward: F.linear(x, codes as x's dtype) * scales, plus the bias, all cast to the dtype of x.
# >>> layer.quantize(tensor([[0.0, 0.0, 0.0], [127.0, 1.0, 2.0]]))
# >>> layer.int8_weights, layer.scales[1], layer.bias, layer.scales.isfinite()
# (tensor([[0, 0, 0], [127, 1, 2]], dtype=torch.int8), tensor(1.), tensor([0., 1000.]), tensor([True, True]))
# >>> layer.quantize(nn.Parameter(torch.ones(2, 3)))
# >>> layer.scales.requires_grad, layer.scales.shape == (2,)
# (False, True)
# >>> W8A16Linear(2, 1, dtype=torch.bfloat16).scales.dtype, small.bias.dtype
# (torch.bfloat16, torch.bfloat16)
# >>> layer.quantize(tensor([[0.0, 0.0, 0.0], [127.0, 1.0, 2.0]]))
# >>> layer.eval()(torch.ones(3)), layer(torch.ones(2, 1, 2, 3)).shape == (2, 1, 2, 2)
# (tensor([   0., 1130.]), True)
# >>> other = W8A16Linear(3, 2)
# >>> _ = other(torch.ones(3)), other.load_state_dict(layer.state_dict())
# >>> other(torch.ones(3))
# tensor([   0., 1130.])
class W8A16Linear(nn.Module):
    """A linear layer with int8 weights and a scale for each output; dtype: float32 or bfloat16.

    Buffers, in the state dict and of these shapes from the start: int8_weights (out, in) int8, scales (out,) and bias
    (out,) of `dtype`; without bias `bias` is None.  No parameters, and no buffer requires gradients.
    >>> layer = W8A16Linear(3, 2)
    >>> layer.quantize(nn.Parameter(tensor([[-254.0, 3.0, 100.0], [63.5, 0.75, -31.75]])))
    >>> layer.bias = tensor([0.0, 1000.0])
    >>> layer(tensor([1.0, 1.0, 2.0])), layer(torch.ones(2, 1, 3, dtype=torch.bfloat16)).dtype
    (tensor([-50.0, 1000.5]), torch.bfloat16)
    >>> [(name, value.dtype, tuple(value.shape)) for name, value in W8A16Linear(3, 2, bias=False).state_dict().items()]
    [('int8_weights', torch.int8, (2, 3)), ('scales', torch.float32, (2,))]
    >>> small = W8A16Linear(2, 1, dtype=torch.bfloat16)
    >>> small.quantize(tensor([[1.375, 1.0]], dtype=torch.bfloat16))
    >>> small.int8_weights[0, 0].item(), small.scales.dtype
    (127, torch.bfloat16)
    """

    int8_weights: Tensor
    scales: Tensor
    bias: Tensor | None

    def __init__(self, in_features: int, out_features: int, bias: bool = True, dtype: torch.dtype = torch.float32):
        super().__init__()
        ### BEGIN SOLUTION
        self.register_buffer("int8_weights", torch.zeros(out_features, in_features, dtype=torch.int8))
        self.register_buffer("scales", torch.ones(out_features, dtype=dtype))
        self.register_buffer("bias", torch.zeros(out_features, dtype=dtype) if bias else None)
        ### END SOLUTION

    @property
    def weight(self) -> Tensor:
        """The codes: T5's feed-forward layer looks at the dtype of its `wo.weight`, and leaves int8 alone."""
        return self.int8_weights

    def quantize(self, weight: Tensor) -> None:
        """Take over a weight (out, in) of the layer's dtype as `quantize_per_channel` would, axis 0; the bias stays.

        In bfloat16 you may divide by the scale before or after it is rounded; codes stay within -127 to 127.
        """
        ### BEGIN SOLUTION
        weight = weight.detach()
        self.scales = weight.abs().amax(1) / 127
        divisor = torch.where(self.scales > 0, self.scales, 1.0)
        self.int8_weights = torch.round(weight / divisor[:, None]).clamp(-127, 127).to(torch.int8)
        ### END SOLUTION

    def forward(self, x: Tensor) -> Tensor:
        """Return x times the codes, times the scales, plus the bias, in the dtype of x.

        x: float32 or bfloat16, whatever the layer's dtype, any leading dimensions or none, the last of size in.  The codes
        are cast to the dtype of x; the scales may be multiplied into them first.
        """
        ### BEGIN SOLUTION
        y = F.linear(x, self.int8_weights.to(x.dtype)) * self.scales.to(x.dtype)
        return y if self.bias is None else y + self.bias.to(x.dtype)
        ### END SOLUTION


# %% [markdown]
# Now put it into models. `model.named_modules()` gives each module with its qualified name, "encoder.block.0.wo";
# `setattr(parent, "wo", layer)` replaces one. The course's helper compares leaf names only, so that excluding `"0"` would
# hit every first layer of every block. Globs on full names say which one is meant.
#
# An object may stand in a model twice, under two names. `named_modules` tells only the first of them, unless you ask for
# `remove_duplicate=False`.


# %% tags=["core"]
# hint 1: What do you need to put a module in the place of another: its name, its parent, or both?
# hint 2: `named_modules(remove_duplicate=False)`, `str.rpartition(".")`, `get_submodule`, `setattr`. Make a list
#   before you change anything.
# hint 3: For each (name, module) that is a Linear and that no glob matches: make its stand-in once (keep a dict), and
#   set it on the parent under the last part of the name.
# >>> model = nn.Sequential(nn.Sequential(nn.Linear(2, 2), nn.Linear(2, 2)), nn.Linear(2, 2))
# >>> replaced = replace_linear_layers(model, lambda linear: nn.Identity(), ["0", "?.1"])
# >>> [type(layer).__name__ for layer in [*model[0], model[1]]]
# ['Identity', 'Linear', 'Identity']
# >>> from exercises.kit.toys import layers
# >>> doubled = nn.Sequential(layers.Doubled(2, 2))
# >>> type(replace_linear_layers(doubled, lambda linear: nn.Identity())[0]).__name__
# 'Identity'
# >>> replace_linear_layers(nn.Linear(2, 2), lambda linear: nn.Identity())
# Traceback (most recent call last):
# ValueError
# >>> alike = replace_linear_layers(layers.look_alikes(), lambda linear: nn.Identity())
# >>> type(alike.like).__name__, type(alike.linear).__name__, alike.training, alike.two.training
# ('LookAlike', 'Identity', True, True)
# >>> model = nn.Sequential(nn.Linear(2, 2), nn.Sequential(nn.Linear(2, 2)))
# >>> inside = model[0]
# >>> type(replace_linear_layers(model, nn.Sequential, ("*.0",))[1][0]).__name__, model[0][0] is inside
# ('Linear', True)
# >>> type(replace_linear_layers(model, lambda linear: nn.Identity(), "*")[1][0]).__name__
# 'Linear'
def replace_linear_layers(
    model: nn.Module, make: Callable[[nn.Linear], nn.Module], exclude: str | list[str] | tuple[str, ...] = ()
) -> nn.Module:
    """Replace every `nn.Linear` by `make(linear)`, in place, and return the same model.

    Subclasses of nn.Linear too.  exclude: a glob or globs on full qualified names (`fnmatch`); what matches stays, and a
    glob that matches a parent does not reach its children.  What `make` returns is not searched.  A layer under two names
    is made once and put under both.  The order of modules and the training modes stay.  ValueError if the model itself is
    an nn.Linear.
    >>> model = nn.Sequential(nn.Linear(2, 3), nn.Sequential(nn.Linear(3, 3), nn.ReLU(), nn.Linear(3, 1)))
    >>> replace_linear_layers(model, lambda linear: nn.Sequential(linear, nn.Tanh()), exclude="1.0") is model
    True
    >>> [type(layer).__name__ for layer in [model[0], *model[1]]]
    ['Sequential', 'Linear', 'ReLU', 'Sequential']
    >>> shared = nn.Linear(2, 2)
    >>> model = replace_linear_layers(nn.Sequential(shared, nn.ReLU(), shared), lambda linear: nn.Identity(), ["1", "?.2"])
    >>> [type(layer).__name__ for layer in model], model[0] is model[2]
    (['Identity', 'ReLU', 'Identity'], True)
    """
    if isinstance(model, nn.Linear):
        raise ValueError("the model itself is a Linear: there is no place to put another one")
    ### BEGIN SOLUTION
    globs = [exclude] if isinstance(exclude, str) else exclude
    made: dict[nn.Module, nn.Module] = {}
    for name, module in list(model.named_modules(remove_duplicate=False)):
        if isinstance(module, nn.Linear) and not any(fnmatch(name, glob) for glob in globs):
            if module not in made:
                made[module] = make(module)
            parent, _, child = name.rpartition(".")
            setattr(model.get_submodule(parent), child, made[module])
    return model
    ### END SOLUTION


# %% tags=["core"]
# hint 1: Which three things does the new layer need from the old one?
# hint 2: `copy.deepcopy`; your `replace_linear_layers` with a function of your own as `make`.
# hint 3: An inner function that builds a W8A16Linear of the same sizes, bias and dtype, quantizes the weight, and
#   takes a clone of the bias; then replace_linear_layers on a deep copy.
# >>> model = nn.Sequential(nn.Linear(1, 1, bias=False))
# >>> _ = model[0].weight.data.fill_(254.0)
# >>> quantize_with_own_layers(model)[0].int8_weights
# tensor([[127]], dtype=torch.int8)
# >>> model = nn.Sequential(nn.Linear(2, 2), nn.BatchNorm1d(2), nn.Sequential(nn.Linear(2, 2)))
# >>> quantized = quantize_with_own_layers(model, "2.0")
# >>> quantized[1].running_mean is model[1].running_mean, quantized[0].bias.requires_grad, type(quantized[2][0]).__name__
# (False, False, 'Linear')
def quantize_with_own_layers(model: nn.Module, exclude: str | list[str] | tuple[str, ...] = ()) -> nn.Module:
    """Return a deep copy of the model in which a quantized `W8A16Linear` stands for every `nn.Linear`.

    Of the weight's dtype, with the bias if there is one.  exclude as in `replace_linear_layers`.  The original stays as it
    is, and no tensor is shared with it.
    >>> model = nn.Sequential(nn.Linear(2, 3), nn.Linear(3, 1, bias=False).bfloat16())
    >>> quantized = quantize_with_own_layers(model)
    >>> [type(layer).__name__ for layer in model], [type(layer).__name__ for layer in quantized]
    (['Linear', 'Linear'], ['W8A16Linear', 'W8A16Linear'])
    >>> torch.equal(quantized[0].bias, model[0].bias), quantized[1].bias, quantized[1].scales.dtype
    (True, None, torch.bfloat16)
    >>> [type(layer).__name__ for layer in quantize_with_own_layers(model, "1")]
    ['W8A16Linear', 'Linear']
    """
    ### BEGIN SOLUTION

    def own(linear: nn.Linear) -> W8A16Linear:
        has_bias = linear.bias is not None
        layer = W8A16Linear(linear.in_features, linear.out_features, has_bias, linear.weight.dtype)
        layer.quantize(linear.weight)
        if has_bias:
            layer.bias = linear.bias.detach().clone()
        return layer

    return replace_linear_layers(copy.deepcopy(model), own, exclude)
    ### END SOLUTION


# %% [markdown]
# The tiny T5 with your layers beside the one that quanto quantizes. Both keep int8 rows and compute in float32; what is left
# between their logits is the order of sums and products. quanto stores two scalars more per layer.
#
# If you try this with layers of your own: quanto 0.2.7 ends the whole process (segmentation fault) on bfloat16 weights as
# qint8 where `in_features` is 8, 12, 20, 24, 28 or 40. Multiples of 16 are safe.

# %% tags=["active-ipynb"]
# from exercises.kit.unpacking import load_quanto
#
# quanto = load_quanto()
# float_t5, t5_tokenizer = models.tiny_t5()
# quanto_t5, _ = models.tiny_t5()
# quanto.quantize(quanto_t5, weights=quanto.qint8)
# quanto.freeze(quanto_t5)
# own_t5 = quantize_with_own_layers(float_t5)
#
#
# def bytes_in(model):
#     storages = {value.data_ptr(): value.numel() * value.element_size() for value in model.state_dict().values()}
#     return sum(storages.values())
#
#
# asked = t5_tokenizer(["translate number to words: 4071"], return_tensors="pt")
# with torch.no_grad():
#     logits_of = {
#         name: model(**asked, decoder_input_ids=torch.zeros(1, 1, dtype=torch.long)).logits
#         for name, model in (("float32", float_t5), ("quanto", quanto_t5), ("own", own_t5))
#     }
# print("own layers:", sum(isinstance(layer, W8A16Linear) for layer in own_t5.modules()))
# print("largest logit:           ", logits_of["float32"].abs().max().item())
# print("own against quanto:      ", (logits_of["own"] - logits_of["quanto"]).abs().max().item())
# print("own against float32:     ", (logits_of["own"] - logits_of["float32"]).abs().max().item())
# for text_name, text_model in (("quanto", quanto_t5), ("own", own_t5)):
#     answer = text_model.generate(**asked, do_sample=False, num_beams=1, max_new_tokens=32)[0]
#     words = t5_tokenizer.decode(answer, skip_special_tokens=True)
#     print(f"{text_name:6} {bytes_in(text_model):,} bytes: {words}")

# %% [markdown]
# ## The range from data
#
# A weight's range is known. The range of an activation is known only once data has run through the model, so *observers*
# watch a few batches first. An observer is a module that returns its input and notes what it saw. What it notes belongs into
# buffers: then it travels in the state dict, and an observer that is loaded goes on as the old one would have.


# %% tags=["core"]
# hint 1: What could min hold before the first batch, so that the first batch needs no special case?
# hint 2: `register_buffer`, `torch.inf`, `Tensor.aminmax`, `torch.minimum`.
# hint 3: min starts at inf, max at -inf; forward takes the smaller and the larger one and returns x;
#   scale_and_zero_point refuses min > max, widens by 0, divides by 255 and solves for the zero point.
# >>> zeros = MinMaxObserver()
# >>> _ = zeros(torch.zeros(2))
# >>> zeros.scale_and_zero_point()
# (1.0, 0)
# >>> x = tensor([-1.0, 105.0], requires_grad=True)
# >>> watching = MinMaxObserver()
# >>> _ = watching(x)
# >>> watching.min.requires_grad, watching.scale_and_zero_point()[1]
# (False, -126)
# >>> with torch.no_grad():
# ...     _ = x.fill_(7.0)
# >>> watching.min, watching.max
# (tensor(-1.), tensor(105.))
# >>> constant = MinMaxObserver()
# >>> _ = constant(torch.full((2,), 5.0)), constant.scale_and_zero_point(), constant(tensor([6.0, 9.0]))
# >>> constant.min, constant.max
# (tensor(5.), tensor(9.))
# >>> loaded = MinMaxObserver()
# >>> _ = loaded.load_state_dict(zeros.state_dict()), loaded(tensor([3.0, 5.0]))
# >>> loaded.min, loaded.max
# (tensor(0.), tensor(5.))
class MinMaxObserver(nn.Module):
    """Note the smallest and largest value of all batches so far, in the 0-dim float32 buffers `min` and `max`.

    Both are there from the start; what they hold before the first batch is open.  The state dict is the whole memory.
    >>> observer = MinMaxObserver().eval()
    >>> batch = tensor([[3.0, 10.0], [5.0, 4.0]], dtype=torch.bfloat16)
    >>> observer(batch) is batch, observer.min, observer.max
    (True, tensor(3.0), tensor(10.0))
    >>> loaded = MinMaxObserver()
    >>> _ = loaded.load_state_dict(observer.state_dict())
    >>> _ = loaded(tensor([51.0, 4.0]))
    >>> loaded.min, loaded.scale_and_zero_point(torch.uint8)
    (tensor(3.0), (0.2, 0))
    >>> MinMaxObserver().scale_and_zero_point()
    Traceback (most recent call last):
    ValueError
    """

    min: Tensor
    max: Tensor

    def __init__(self):
        super().__init__()
        ### BEGIN SOLUTION
        self.register_buffer("min", torch.tensor(math.inf))
        self.register_buffer("max", torch.tensor(-math.inf))
        ### END SOLUTION

    def forward(self, x: Tensor) -> Tensor:
        """Widen the range by x and return x itself, in training mode and in eval mode.

        x: float32, float16 or bfloat16, any shape but empty.  Nothing is kept that requires gradients or shares x's memory.
        """
        ### BEGIN SOLUTION
        low, high = x.detach().float().aminmax()
        self.min, self.max = torch.minimum(self.min, low), torch.maximum(self.max, high)
        return x
        ### END SOLUTION

    def scale_and_zero_point(self, dtype: torch.dtype = torch.int8) -> tuple[float, int]:
        """Map the noted range, widened to contain 0, onto the whole range of `dtype`, as lesson 4's function of this name.

        scale = range / 255, zero point an int, rounded to nearest.  dtype: int8 or uint8.  If only zeros were seen:
        (1.0, 0).  ValueError before the first batch.
        """
        ### BEGIN SOLUTION
        if self.min > self.max:
            raise ValueError("no batch yet")
        low, high = min(self.min.item(), 0.0), max(self.max.item(), 0.0)
        if low == high:
            return 1.0, 0
        scale = (high - low) / 255
        return scale, round(torch.iinfo(dtype).min - low / scale)
        ### END SOLUTION


# %% [markdown]
# ## Training with the rounding in it
#
# Quantization-aware training puts the rounding into the forward pass, so that the weights learn to live with it: *fake*
# quantization, floats that take only values a code stands for. The trouble is the backward pass: `round` is flat, its
# gradient is 0, and nothing would be learned. The *straight-through estimator* pretends that rounding were the identity, except
# where the clamp has cut a value off:

# %% tags=["active-ipynb"]
# flat = torch.tensor([0.3, 1.2], requires_grad=True)
# (torch.round(flat / 0.5) * 0.5).sum().backward()
# print("gradient of round(x / 0.5) * 0.5:        ", flat.grad.tolist())
# through = torch.tensor([0.3, 1.2, 100.0], requires_grad=True)
# torch.fake_quantize_per_tensor_affine(through, 0.5, 0, -128, 127).sum().backward()
# print("gradient of torch's own fake quantization:", through.grad.tolist())


# %% tags=["core"]
# hint 1: Which values should come out, and from which part should the gradient come?
# hint 2: `y.detach()` has a value and no gradient; `x - x.detach()` has the value 0 and the gradient 1.
# hint 3: q = round(x / scale) + zero_point; a mask where q is inside the range; y from the clamped q; the result
#   y.detach() + mask * (x - x.detach()).
# >>> fake_quantize(tensor([200.0, -3.0]), 1.0, 0, torch.uint8)
# tensor([200.,   0.])
# >>> step = tensor(0.5, requires_grad=True)
# >>> y = tensor([0.75, 100.0, -100.0], requires_grad=True)
# >>> fake_quantize(y, step, 100).sum().backward()
# >>> y.grad, step.grad is None
# (tensor([1., 0., 1.]), True)
# >>> made_of = tensor([0.75, 100.0], requires_grad=True)
# >>> fake_quantize(2 * made_of, 0.5, 0).sum().backward()
# >>> made_of.grad
# tensor([2., 0.])
# >>> fake_quantize(tensor([[1.25], [-1.0]]), 0.5, 0)
# tensor([[ 1.],
#         [-1.]])
def fake_quantize(x: Tensor, scale: float | Tensor, zero_point: int, dtype: torch.dtype = torch.int8) -> Tensor:
    """Quantize x to `dtype` and back in float32, with the straight-through gradient.

    x: float32, any shape.  scale: a float or a 0-dim tensor.  dtype: int8 or uint8.  Divide, round half to even, shift, clamp,
    then back: (code - zero_point) * scale; a rounding error of |x| is allowed.  The gradient is 1 where the rounded and
    shifted code, before the clamp, lies inside the dtype's range, ends included, and 0 elsewhere.  A scale gets no gradient.
    >>> x = tensor([0.75, -64.5, 63.75, 64.25, 150.0], requires_grad=True)
    >>> fake_quantize(x, 0.5, 1).detach()
    tensor([1.0, -64.5, 63.0, 63.0, 63.0])
    >>> fake_quantize(x, 0.5, 0).sum().backward()
    >>> x.grad
    tensor([1.0, 0.0, 0.0, 0.0, 0.0])
    >>> x = tensor([127.0, 127.25, 127.5, -128.5, -129.0], requires_grad=True)
    >>> fake_quantize(x, tensor(1.0, requires_grad=True), 0).sum().backward()
    >>> x.grad
    tensor([1.0, 1.0, 0.0, 1.0, 0.0])
    """
    ### BEGIN SOLUTION
    codes = torch.iinfo(dtype)
    q = torch.round(x / scale) + zero_point
    inside = (q >= codes.min) & (q <= codes.max)
    y = (q.clamp(codes.min, codes.max) - zero_point) * scale
    return y.detach() + inside * (x - x.detach())
    ### END SOLUTION


# %% [markdown]
# That was the core. What follows goes further, in any order you like.
#
# ## Practice: codes without a sign, and with one
#
# Symmetric codes waste half of themselves on a group whose values all have one sign. The *affine* form keeps the group's
# minimum beside its scale. llama.cpp's Q4_1 blocks and the KIVI cache store groups so; unlike lesson 4's zero point, the
# minimum is a float, and the range is not widened to contain 0.


# %% tags=["practice"]
# hint 1: What is the code of a group's least value?
# hint 2: `aminmax(dim=2)` after a reshape into groups, as in `quantize_per_group`.
# hint 3: scales = (maximum - minimum) / (2**bits - 1); codes = round((groups - minimum) / scales), where a scale of 0
#   is replaced before you divide.
# >>> affine_per_group(tensor([[0.0, 2.0, 1.75, 3.0]]), 4, bits=2)
# (tensor([[0, 2, 2, 3]], dtype=torch.uint8), tensor([[1.]]), tensor([[0.]]))
# >>> affine_per_group(torch.ones(1, 2), 2)[1].isfinite()
# tensor([[True]])
# >>> affine_per_group(torch.ones(2, 3), 2)
# Traceback (most recent call last):
# ValueError
# >>> affine_per_group(tensor([[0.0, 2.0, 1.75, 3.0]]) * 2.0**-20, 4, bits=2)[0]
# tensor([[0, 2, 2, 3]], dtype=torch.uint8)
# >>> affine_per_group(tensor([[0.0, 255.0, 200.0]]), 3, bits=8)[0]
# tensor([[0, 255, 200]], dtype=torch.uint8)
def affine_per_group(tensor: Tensor, group_size: int, bits: int = 4) -> tuple[Tensor, Tensor, Tensor]:
    """Quantize groups of a matrix between their minimum and maximum; return (codes, scales, minimums).

    tensor: float32 (rows, columns), groups as in `quantize_per_group`.  bits: 1 to 8.  scale = (maximum - minimum) /
    (2**bits - 1), codes = (tensor - minimum) / scale rounded half to even: uint8, 0 to 2**bits - 1, (rows, columns).
    scales and minimums: float32 (rows, columns / group_size); the minimum is the group's least value as it is.
    A constant group has codes 0 and any finite scale >= 0.  ValueError for group sizes as in `quantize_per_group`.
    >>> affine_per_group(tensor([[10.0, 40.0, 11.0, 12.0, -5.5, 9.5, -4.5, -5.5]]), 4)
    (tensor([[0, 15, 0, 1, 0, 15, 1, 0]], dtype=torch.uint8), tensor([[2.0, 1.0]]), tensor([[10.0, -5.5]]))
    >>> affine_per_group(torch.full((1, 4), -5.5), 4)[0]
    tensor([[0, 0, 0, 0]], dtype=torch.uint8)
    >>> affine_per_group(tensor([[1.0, 9.0], [3.0, -1.0]]).t(), 1, bits=1)[2]
    tensor([[1.0, 3.0], [9.0, -1.0]])
    """
    if group_size < 1 or tensor.shape[1] % group_size:
        raise ValueError("groups that do not divide the columns")
    ### BEGIN SOLUTION
    groups = tensor.reshape(len(tensor), -1, group_size)
    minimums, maximums = groups.aminmax(dim=2)
    scales = (maximums - minimums) / (2**bits - 1)
    codes = torch.round((groups - minimums[..., None]) / torch.where(scales > 0, scales, 1.0)[..., None])
    return codes.reshape(tensor.shape).to(torch.uint8), scales, minimums
    ### END SOLUTION


# %% [markdown]
# Signed codes pack as well: in two's complement -1 is 1111 and -8 is 1000. Unpacked as unsigned they read 15 and 8, and
# the sign has to be put back.


# %% tags=["practice"]
# hint 1: Which four bits does -1 have in two's complement? And in int8?
# hint 2: `& 15` keeps the lowest four bits.
# hint 3: codes & 15 as uint8, then `pack_bits` with 4 bits.
# >>> pack_int4(tensor([8], dtype=torch.int8))
# Traceback (most recent call last):
# ValueError
# >>> pack_int4(tensor([-9], dtype=torch.int8))
# Traceback (most recent call last):
# ValueError
# >>> pack_int4(tensor([], dtype=torch.int8))
# tensor([], dtype=torch.uint8)
def pack_int4(codes: Tensor) -> Tensor:
    """Pack signed 4-bit codes, two to a byte in two's complement, the first in the low half.

    codes: int8 vector, -8 to 7 -> uint8 vector; an odd number is filled up with 0.  ValueError outside of -8 to 7.
    >>> pack_int4(tensor([-8, 7, -1], dtype=torch.int8))
    tensor([120, 15], dtype=torch.uint8)
    """
    if ((codes < -8) | (codes > 7)).any():
        raise ValueError("codes outside of -8 to 7")
    ### BEGIN SOLUTION
    return pack_bits((codes & 15).to(torch.uint8), 4)
    ### END SOLUTION


# %% tags=["practice"]
# hint 1: Which of the codes 0 to 15 stand for negative numbers?
# hint 2: `torch.where`, or `(code ^ 8) - 8`.
# hint 3: `unpack_bits` with 4 bits, cast to int8, and 16 less where the code is 8 or more.
# >>> unpack_int4(tensor([120], dtype=torch.uint8), 2), unpack_int4(tensor([120], dtype=torch.uint8), 0)
# (tensor([-8,  7], dtype=torch.int8), tensor([], dtype=torch.int8))
# >>> unpack_int4(tensor([120], dtype=torch.uint8), 3)
# Traceback (most recent call last):
# ValueError
# >>> unpack_int4(tensor([120], dtype=torch.uint8), -1)
# Traceback (most recent call last):
# ValueError
# >>> unpack_int4(tensor([143, 0, 120], dtype=torch.uint8)[::2], 4)
# tensor([-1, -8, -8,  7], dtype=torch.int8)
def unpack_int4(packed: Tensor, count: int) -> Tensor:
    """Return the first `count` signed codes that `pack_int4` put into these bytes.

    packed: uint8 vector -> int8 vector.  ValueError for a count that is negative or more than the bytes hold.
    >>> unpack_int4(tensor([120, 15], dtype=torch.uint8), 3)
    tensor([-8, 7, -1], dtype=torch.int8)
    """
    ### BEGIN SOLUTION
    codes = unpack_bits(packed, 4, count).to(torch.int8)
    return (codes ^ 8) - 8
    ### END SOLUTION


# %% [markdown]
# ## Practice: a layer without floats
#
# With zero points the product of two quantized matrices is Σ (a - zero_a)(b - zero_b). Multiplied out, as Jacob et al. (2018,
# arXiv 1712.05877) do, the expensive part is the plain product of the codes; the rest needs one sum per row of a and per
# column of b:
#
# $$\sum_k a_k b_k \;-\; z_b \sum_k a_k \;-\; z_a \sum_k b_k \;+\; K z_a z_b$$


# %% tags=["practice"]
# hint 1: Multiply out (a - z_a)(b - z_b): which four sums over k are there?
# hint 2: `sum(dim, keepdim=True, dtype=torch.int32)`; sums of int8 belong into int32.
# hint 3: int8_matmul, minus zero_b times the row sums of a, minus zero_a times the column sums of b, plus K · zero_a
#   · zero_b.
# >>> many = torch.full((1, 300), 127, dtype=torch.int8)
# >>> matmul_with_zero_points(many, -128, many.t(), -128), matmul_with_zero_points(many, 0, many.t(), 1)
# (tensor([[19507500]], dtype=torch.int32), tensor([[4800600]], dtype=torch.int32))
# >>> a, b = torch.full((1, 1041), 127, dtype=torch.int8), torch.full((1041, 1), 127, dtype=torch.int8)
# >>> matmul_with_zero_points(a, 0, b, 0)
# tensor([[16790289]], dtype=torch.int32)
# >>> matmul_with_zero_points(many[0], 0, many.t(), 0)
# Traceback (most recent call last):
# ValueError
def matmul_with_zero_points(a: Tensor, zero_a: int, b: Tensor, zero_b: int) -> Tensor:
    """Return the exact int32 product of a - zero_a and b - zero_b, for two int8 matrices of codes.

    a: (rows, K), b: (K, columns); zero points -128 to 127; results fit into int32.  ValueError as in `int8_matmul`.
    >>> matmul_with_zero_points(tensor([[127, -128]], dtype=torch.int8), -70, tensor([[3], [100]], dtype=torch.int8), 5)
    tensor([[-5904]], dtype=torch.int32)
    """
    ### BEGIN SOLUTION
    rows, columns = a.sum(-1, keepdim=True, dtype=torch.int32), b.sum(0, keepdim=True, dtype=torch.int32)
    return int8_matmul(a, b) - zero_b * rows - zero_a * columns + a.shape[-1] * zero_a * zero_b
    ### END SOLUTION


# %% [markdown]
# The int32 sums stand for numbers of scale scale_a · scale_b. The next layer wants int8 codes of its own scale, so the sums
# are multiplied by scale_a · scale_b / scale_out and rounded.


# %% tags=["practice"]
# hint 1: What scale do the sums have, and how many steps of scale_out is one unit of it?
# hint 2: `Tensor.double`, `torch.round`, `Tensor.clamp`.
# hint 3: round(sums in float64 · scale_a · scale_b / scale_out) + zero_point, clamped, as int8.
# >>> requantize(tensor([[16777217], [-16777217]], dtype=torch.int32), 2.0**-25, 1.0, 1.0)
# tensor([[1], [-1]], dtype=torch.int8)
# >>> requantize(tensor([1], dtype=torch.int32), 2.5 + 1e-9, 1.0, 1.0)
# tensor([3], dtype=torch.int8)
# >>> requantize(tensor(5, dtype=torch.int32), 1.0, 1.0, 1.0)
# tensor(5, dtype=torch.int8)
# >>> requantize(tensor([2**31 - 1, -(2**31)], dtype=torch.int32), 1.0, 1.0, 1.0, 1)
# tensor([ 127, -128], dtype=torch.int8)
def requantize(accumulator: Tensor, scale_a: float, scale_b: float, scale_out: float, zero_point: int = 0) -> Tensor:
    """Turn int32 sums into int8 codes of another scale, of the same shape.

    accumulator * (scale_a * scale_b / scale_out) in float64, rounded half to even, shifted by zero_point, clamped to -128
    to 127.  At an exact tie you may also shift first.
    >>> requantize(tensor([1000, -3, 1, 16790289], dtype=torch.int32), 0.5, 0.25, 0.25)
    tensor([127, -2, 0, 127], dtype=torch.int8)
    >>> requantize(tensor([300, -300], dtype=torch.int32), 0.5, 1.0, 1.0, -100)
    tensor([50, -128], dtype=torch.int8)
    """
    ### BEGIN SOLUTION
    q = torch.round(accumulator.double() * (scale_a * scale_b / scale_out)) + zero_point
    return q.clamp(-128, 127).to(torch.int8)
    ### END SOLUTION


# %% [markdown]
# That factor is the last float. Hardware without floats multiplies by a 32-bit integer and shifts the product right (in the
# same paper): any factor between 0 and 1 is, nearly, m · 2⁻³¹⁻ˢʰⁱᶠᵗ for an integer m from 2³⁰ on and below 2³¹.


# %% tags=["practice"]
# hint 1: How would you write 0.3 as a number between 0.5 and 1 times a power of two?
# hint 2: `math.frexp`.
# hint 3: m = round(fraction · 2**31); if that is 2**31, take 2**30 and the next exponent; the shift is minus the
#   exponent.
# >>> fixed_point_multiplier(0.0)
# Traceback (most recent call last):
# ValueError
# >>> fixed_point_multiplier(1.0)
# Traceback (most recent call last):
# ValueError
# >>> fixed_point_multiplier(2.0**-300), fixed_point_multiplier(0.25 - 2.0**-50)
# ((1073741824, 299), (1073741824, 1))
# >>> fixed_point_multiplier(-0.5)
# Traceback (most recent call last):
# ValueError
def fixed_point_multiplier(real: float) -> tuple[int, int]:
    """Return the integers (m, shift) with real = m * 2**(-31 - shift), m rounded to nearest, 2**30 <= m < 2**31.

    real: 0 < real < 1; at a tie either m is right.  Near 1, where m would round up to 2**31, the shift is -1.
    ValueError for any other number.
    >>> fixed_point_multiplier(0.3), fixed_point_multiplier(2.0**-20)
    ((1288490189, 1), (1073741824, 19))
    >>> fixed_point_multiplier(1 - 2.0**-40)
    (1073741824, -1)
    """
    if not 0 < real < 1:
        raise ValueError(f"{real} does not lie between 0 and 1")
    ### BEGIN SOLUTION
    fraction, exponent = math.frexp(real)
    m = round(fraction * 2**31)
    if m == 2**31:
        m, exponent = 2**30, exponent + 1
    return m, -exponent
    ### END SOLUTION


# %% [markdown]
# ## Practice: ranges that follow, forget or cut
#
# One odd batch widens a `MinMaxObserver` for ever. A moving average forgets it: each batch moves the noted ends a little
# towards its own. Only the first batch sets them; an average that starts at 0 would take hundreds of batches to get away from it.


# %% tags=["practice"]
# hint 1: How do you know, from the buffers alone, that no batch has been seen?
# hint 2: What `MinMaxObserver` has in its buffers before the first batch.
# hint 3: Keep momentum; in forward set both ends at the first batch, else add momentum times the difference to each.
# >>> observer = MovingAverageObserver().eval()
# >>> x = tensor([-100.0, 100.0], requires_grad=True)
# >>> observer(x) is x, observer.min.requires_grad
# (True, False)
# >>> _ = observer(tensor([-200.0, 300.0]))
# >>> observer.min, observer.max
# (tensor(-101.), tensor(102.))
# >>> single, watching = tensor(2.0), MovingAverageObserver(momentum=1.0)
# >>> _ = watching(single), single.fill_(7.0)
# >>> watching.min
# tensor(2.)
# >>> _ = watching(tensor([4.0, 9.0]))
# >>> watching.min, watching.max
# (tensor(4.), tensor(9.))
class MovingAverageObserver(MinMaxObserver):
    """As `MinMaxObserver`, but batches after the first move `min` and `max` only by `momentum` of the way to their own.

    min += momentum * (batch_min - min), max likewise; the first batch sets both.  0 < momentum <= 1.
    >>> observer = MovingAverageObserver(momentum=0.25)
    >>> for batch in ([-8.0, 4.0], [-16.0, 0.0], [-8.0, 35.0]):
    ...     _ = observer(tensor(batch))
    >>> observer.min, observer.max
    (tensor(-9.5), tensor(11.0))
    >>> loaded = MovingAverageObserver(momentum=0.25)
    >>> _ = loaded.load_state_dict(observer.state_dict())
    >>> _ = loaded(tensor([0.0, 31.0]))
    >>> loaded.min, loaded.max
    (tensor(-7.125), tensor(16.0))
    """

    def __init__(self, momentum: float = 0.01):
        super().__init__()
        ### BEGIN SOLUTION
        self.momentum = momentum
        ### END SOLUTION

    def forward(self, x: Tensor) -> Tensor:
        """Move the noted range towards that of x and return x itself, in training mode and in eval mode."""
        ### BEGIN SOLUTION
        low, high = x.detach().float().aminmax()
        if self.min > self.max:
            self.min, self.max = low, high
        else:
            self.min = self.min + self.momentum * (low - self.min)
            self.max = self.max + self.momentum * (high - self.max)
        return x
        ### END SOLUTION


# %% [markdown]
# Or cut the tails on purpose: a few values saturate, and all others get finer steps. How many? A percentile says it by
# counting, the squared error by measuring.


# %% tags=["practice"]
# hint 1: Of what is the percentile taken, and what is it divided by?
# hint 2: `Tensor.quantile` wants a fraction, and takes float64.
# hint 3: Magnitudes in float64, flattened; quantile of percentile / 100; over 2**(bits - 1) - 1; 1.0 instead of 0.
# >>> percentile_scale(tensor([1.0]), 100.5)
# Traceback (most recent call last):
# ValueError
# >>> percentile_scale(tensor([1.0]), 0)
# Traceback (most recent call last):
# ValueError
# >>> percentile_scale(tensor([1.0, nan]), 50)
# Traceback (most recent call last):
# ValueError
# >>> percentile_scale(tensor([1 / 3], dtype=torch.float64), 100, bits=2)
# 0.3333333333333333
# >>> percentile_scale(tensor([2.0**-40]), 100, bits=2)
# 9.094947017729282e-13
# >>> percentile_scale(tensor([60000.0, 60000.0]).half(), 100, bits=2), percentile_scale(tensor([0.0, 200.0]), 62.5, bits=2)
# (60000.0, 125.0)
# >>> percentile_scale(tensor([1.0, inf]), 50)
# Traceback (most recent call last):
# ValueError
def percentile_scale(tensor: Tensor, percentile: float, bits: int = 8) -> float:
    """Return the symmetric scale that maps a percentile of all magnitudes to the largest code of `bits` bits.

    tensor: float64, float32, float16 or bfloat16, any shape.  The percentile (100: the largest magnitude) is interpolated
    linearly, in float64, over 2**(bits - 1) - 1; bits 2 to 8.  Where it is 0: 1.0.
    ValueError if the percentile is not above 0 and at most 100, and if the tensor is empty or not finite.
    >>> percentile_scale(tensor([[-1.0, 2.0, -3.0], [4.0, -5.0, 1000.0]]), 80, bits=4)
    0.7142857142857143
    >>> percentile_scale(tensor([-1.0, 3.0, 0.0]), 75, bits=2), percentile_scale(tensor([0.0, 0.0, 9.0]), 50)
    (2.0, 1.0)
    """
    if not 0 < percentile <= 100 or tensor.numel() == 0 or not tensor.isfinite().all():
        raise ValueError("a percentile above 0 and at most 100, and finite numbers are needed")
    ### BEGIN SOLUTION
    largest = tensor.double().abs().flatten().quantile(percentile / 100).item()
    return largest / (2 ** (bits - 1) - 1) or 1.0
    ### END SOLUTION


# %% tags=["practice"]
# hint 1: What would the error say of a tiny scale if nothing were clamped?
# hint 2: `min(candidates, key=error)` with an inner function.
# hint 3: An inner function that rounds, clamps, multiplies back and sums the squared differences in float64; the
#   candidate for which it is least; 1.0 for zeros.
# >>> mse_scale(torch.zeros(3)), mse_scale(tensor([-8.0, 7.0, 7.0, 7.0]), bits=4, steps=8)
# (1.0, 1.1428571428571428)
# >>> mse_scale(tensor([1.0, inf]))
# Traceback (most recent call last):
# ValueError
# >>> mse_scale(tensor([70000.0 * 7]), bits=4, steps=1)
# 70000.0
# >>> mse_scale(tensor([-8.0, 7.0, -7.0, 6.0]), bits=4, steps=80)
# 1.1428571428571428
# >>> mse_scale(tensor([60000.0, 60000.0]).half(), bits=2)
# 60000.0
def mse_scale(tensor: Tensor, bits: int = 8, steps: int = 100) -> float:
    """Return the symmetric scale of least squared error among `steps` candidates.

    tensor and ValueError as in `percentile_scale`.  Candidates: largest magnitude / (2**(bits - 1) - 1) * i / steps for i =
    1 to steps.  Error: of rounding, clamping to the codes and multiplying back, summed over the whole tensor in float64.
    All zeros: 1.0.
    >>> x = torch.cat([torch.arange(-7.0, 8.0).repeat(8), tensor([56.0])])
    >>> mse_scale(x, bits=4, steps=8), mse_scale(x, bits=4, steps=1), mse_scale(torch.arange(-7.0, 8.0), 4, 4)
    (7.0, 8.0, 1.0)
    """
    if tensor.numel() == 0 or not tensor.isfinite().all():
        raise ValueError("finite numbers are needed")
    ### BEGIN SOLUTION
    wide, largest_code = tensor.double(), 2 ** (bits - 1) - 1
    largest = wide.abs().max().item()

    def error(scale: float) -> float:
        restored = torch.round(wide / scale).clamp(-largest_code, largest_code) * scale
        return (restored - wide).square().sum().item()

    return min((largest / largest_code * i / steps for i in range(1, steps + 1)), key=error) if largest else 1.0
    ### END SOLUTION


# %% [markdown]
# The heavy tails again, in 4 bits with one scale for all: the largest magnitude, two percentiles, and the least error.

# %% tags=["active-ipynb"]
# def error_at(values, scale, bits=4):
#     largest_code = 2 ** (bits - 1) - 1
#     restored = torch.round(values / scale).clamp(-largest_code, largest_code) * scale
#     return ((restored - values).square().mean() / values.square().mean()).item()
#
#
# range_choices = {"largest magnitude": percentile_scale(tailed, 100, 4), "99.9 %": percentile_scale(tailed, 99.9, 4)}
# range_choices |= {"90 %": percentile_scale(tailed, 90, 4), "least error": mse_scale(tailed, 4)}
# for choice_name, choice_scale in range_choices.items():
#     print(f"{choice_name:18} scale {choice_scale:8.4f}, relative error {error_at(tailed, choice_scale):.4f}")

# %% [markdown]
# ## Practice: training, then converting
#
# A layer that trains with its own rounding: the forward pass uses int8 rows, the gradient goes to the float weight as if
# nothing had been rounded. The scales follow the weight at every call.


# %% tags=["practice"]
# hint 1: Which value should the weight have in the product, and which gradient should reach it?
# hint 2: Your `quantize_per_channel` and `dequantize_per_channel` on `self.weight.detach()`; w - w.detach() is 0 with
#   the gradient 1.
# hint 3: forward: F.linear(x, rounded + (weight - weight.detach()), bias). convert: a W8A16Linear of the same sizes
#   that quantizes the weight and takes a clone of the bias.
# >>> layer = QATLinear(1, 2)
# >>> _ = layer.weight.data.copy_(tensor([[0.0], [127.0]])), layer.bias.data.fill_(3.0)
# >>> converted = layer.convert()
# >>> layer(tensor([2.0])).detach(), converted.bias, sorted(name for name, _ in layer.named_parameters())
# (tensor([  3., 257.]), tensor([3., 3.]), ['bias', 'weight'])
# >>> _ = layer.bias.data.fill_(4.0), layer.weight.data.fill_(254.0)
# >>> converted.bias, layer(tensor([[1.0]])).detach()
# (tensor([3., 3.]), tensor([[258., 258.]]))
# >>> layer.convert().int8_weights
# tensor([[127],
#         [127]], dtype=torch.int8)
# >>> layer = QATLinear(2, 1, bias=False).eval()
# >>> _ = layer.weight.data.copy_(tensor([[254.0, 3.5]]))
# >>> layer(torch.eye(2)).detach()
# tensor([[254.],
#         [  4.]])
class QATLinear(nn.Module):
    """A linear layer that trains with its weight rounded to int8 rows.

    Parameters `weight` (out, in) and `bias` (out,), float32; without bias `bias` is None; no other parameters.
    >>> layer = QATLinear(2, 2, bias=False)
    >>> _ = layer.weight.data.copy_(tensor([[-127.0, 0.25], [254.0, 3.5]]))
    >>> x = tensor([[1.0, 1.0], [0.0, 2.0]], requires_grad=True)
    >>> layer(x).detach(), layer.weight[1, 1].item()
    (tensor([[-127.0, 258.0], [0.0, 8.0]]), 3.5)
    >>> layer(x).sum().backward()
    >>> layer.weight.grad, x.grad
    (tensor([[1.0, 3.0], [1.0, 3.0]]), tensor([[127.0, 4.0], [127.0, 4.0]]))
    >>> converted = layer.convert()
    >>> type(converted).__name__, converted.int8_weights, converted.bias
    ('W8A16Linear', tensor([[-127, 0], [127, 2]], dtype=torch.int8), None)
    """

    def __init__(self, in_features: int, out_features: int, bias: bool = True):
        super().__init__()
        ### BEGIN SOLUTION
        self.weight = nn.Parameter(torch.randn(out_features, in_features) / math.sqrt(in_features))
        self.bias = nn.Parameter(torch.zeros(out_features)) if bias else None
        ### END SOLUTION

    def forward(self, x: Tensor) -> Tensor:
        """Return x times the weight as it is now, quantized per row and back, plus the bias; in eval mode too.

        x: float32, any leading dimensions or none.  The weight's gradient is that of the rounded weight (straight through, none
        through the scales), and goes to `weight` as it is; x's goes through the rounded weight.  `weight` is never rounded.
        """
        ### BEGIN SOLUTION
        rounded = dequantize_per_channel(*quantize_per_channel(self.weight.detach(), 0))
        return F.linear(x, rounded + (self.weight - self.weight.detach()), self.bias)
        ### END SOLUTION

    def convert(self) -> W8A16Linear:
        """Return a float32 `W8A16Linear` that answers as this layer does now; later training does not reach it."""
        ### BEGIN SOLUTION
        layer = W8A16Linear(self.weight.shape[1], self.weight.shape[0], self.bias is not None)
        layer.quantize(self.weight)
        if self.bias is not None:
            layer.bias = self.bias.detach().clone()
        return layer
        ### END SOLUTION


# %% [markdown]
# Batch norm in eval mode multiplies each channel by a number and adds another. A layer before it can do both itself; folded
# into the weights, the norm is gone, and there is one thing less to quantize.


# %% tags=["practice"]
# hint 1: Write out gamma · (w x + b - mean) / sqrt(var + eps) + beta: what multiplies x, and what is left?
# hint 2: `copy.deepcopy` keeps the class and all options; reshape the factor to (channels, 1, 1, 1) for a
#   convolution.
# hint 3: factor = gamma / sqrt(var + eps); new weight = weight · factor of its row; new bias = (bias - mean) · factor
#   + beta. Missing parts count as 1 and 0.
# >>> linear, norm = nn.Linear(2, 2), nn.BatchNorm1d(2, eps=0.75, affine=False)
# >>> _ = linear.weight.data.copy_(tensor([[2.0, 4.0], [6.0, 8.0]])), linear.bias.data.fill_(6.0)
# >>> _ = norm.running_mean.fill_(2.0), norm.running_var.copy_(tensor([3.25, 0.25]))
# >>> folded = fold_batch_norm(linear, norm)
# >>> folded.weight.tolist(), folded.bias.tolist()
# ([[1.0, 2.0], [6.0, 8.0]], [2.0, 4.0])
# >>> strange = nn.Conv2d(2, 2, 3, padding=1, padding_mode="reflect", dilation=2)
# >>> folded = fold_batch_norm(strange, nn.BatchNorm2d(2))
# >>> folded.padding_mode, folded.dilation
# ('reflect', (2, 2))
# >>> fold_batch_norm(linear, nn.BatchNorm1d(2, track_running_stats=False))
# Traceback (most recent call last):
# ValueError
# >>> fold_batch_norm(nn.Linear(2, 2, bias=False), nn.BatchNorm1d(2, affine=False)).bias.tolist()
# [0.0, 0.0]
def fold_batch_norm(layer: nn.Linear | nn.Conv2d, bn: nn.BatchNorm1d | nn.BatchNorm2d) -> nn.Module:
    """Return a new layer of the same class that equals `bn(layer(x))` in eval mode, whatever mode `bn` is in.

    A Linear with a BatchNorm1d, on (batch, features), or a Conv2d with a BatchNorm2d; all options of the convolution are kept.
    The new layer has a bias, even if the old one has none, and shares no tensor; both arguments stay as they are.  `bn` may be
    without weight and bias (affine=False).  ValueError if `bn` has no running statistics.
    >>> layer, bn = nn.Conv2d(1, 2, 1, stride=2, bias=False), nn.BatchNorm2d(2, eps=0.75)
    >>> _ = layer.weight.data.fill_(3.0), bn.running_mean.fill_(2.0), bn.running_var.fill_(3.25), bn.bias.data.fill_(5.0)
    >>> folded = fold_batch_norm(layer, bn)
    >>> folded.weight.flatten().tolist(), folded.bias.tolist(), folded.stride
    ([1.5, 1.5], [4.0, 4.0], (2, 2))
    """
    if bn.running_mean is None:
        raise ValueError("without running statistics the norm depends on the batch")
    ### BEGIN SOLUTION
    folded = copy.deepcopy(layer)
    with torch.no_grad():
        factor = (bn.running_var + bn.eps).rsqrt() * (1.0 if bn.weight is None else bn.weight)
        bias = (0.0 if layer.bias is None else layer.bias) - bn.running_mean
        folded.weight *= factor.reshape(-1, *[1] * (layer.weight.dim() - 1))
        folded.bias = nn.Parameter(bias * factor + (0.0 if bn.bias is None else bn.bias))
    return folded
    ### END SOLUTION


# %% [markdown] tags=["question"]
# ## In your own words
#
# **Why do groups beat rows, and what do they cost?** Say what a scale that is shared by many weights does to the small ones
# among them, what smaller groups change about that, what they add to every weight in bits and to every product in work, and
# how you would choose a group size for 4-bit weights. (About 150 words.)

# %% [markdown] tags=["answer"]
# ### BEGIN SOLUTION
# A scale is set by the largest magnitude of those that share it, and the step is the same for all of them. One outlier in a
# row of thousands makes the step large; most other weights are then rounded to a handful of codes or to zero. In groups an
# outlier spoils only its 16 or 128 neighbours, and the other groups have steps that fit them. So the error falls with the
# size of the group, most where the tails are heavy and the codes are few.
#
# The cost is storage: a scale of 32 bits for a group of 16 is 2 more bits for each weight, half as much as the 4-bit code
# itself; a group of 128 adds a quarter of a bit, a float16 scale half of that. The cost is work, too: a row's scale can wait
# until its sum is done, a group's has to be multiplied in after every group. And groups need columns that they divide.
#
# Choose by the error, or better the score, at equal bits per weight. In the picture above groups of 128 beat rows at every
# number of bits, groups of 32 only draw level, and groups of 16 lose: with float32 scales they pay more than they gain.
#
# Mark scheme:
# - 1 point: the largest magnitude sets the step for all that share a scale, and the small ones lose their codes
# - 1 point: a group keeps an outlier's damage among its own few weights
# - 1 point: names the storage of the scales and gives it in bits per weight
# - 1 point: names the work: the sum has to be scaled group by group
# - 1 point: compares at equal bits per weight, by an error or score that is measured
# ### END SOLUTION
