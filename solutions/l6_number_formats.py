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
# # Number formats: from FP8 to NVFP4 and GGUF
#
# An int8 code is a number of equal steps. The formats of this lesson spend some of their bits on an exponent, or place
# their levels by hand, and let ever fewer values share a scale. You write each by its definition, bit for bit: FP8,
# the four bits of E2M1, the blocks of MX and NVFP4, NF4, what GGUF files hold, three values, and rounding by chance.
# At the end you count what a weight costs in each, and what it loses. Nothing here needs a GPU.
#
# **Holds for every exercise:** tensors that come in are float32, finite, not empty, of any strides and of any shape with
# at least one axis, unless the exercise says otherwise (0-dim only where it is named). Blocks run along the last axis.
# *amax* is the largest magnitude. Rounding goes to the nearest number, half to even, unless it is said otherwise. The
# sign of a zero in a result does not matter.
#
# The first thirteen exercises are the core, the rest is practice. Every docstring holds examples: they are the public
# check.

# %%
import math
import statistics

import torch
from torch import Tensor

# %% tags=["active-ipynb"]
# from exercises.kit import checkpoints, format_pictures, pictures

# %% [markdown]
# ## Eight bits with an exponent
#
# FP8 comes in two kinds. **e4m3** has four exponent bits, three mantissa bits, and ends at 448; **e5m2** trades a
# mantissa bit for range and ends at 57344. What happens beyond the end? In this torch a cast to e4m3 stops at the
# largest number, and a cast to e5m2 goes to infinity:

# %% tags=["active-ipynb"]
# print(torch.tensor([464.0, 480.0, 1e9, float("inf")]).to(torch.float8_e4m3fn))
# print(torch.tensor([61439.0, 61440.0]).to(torch.float8_e5m2))

# %% [markdown]
# Either is bad: a model's values do not know where FP8 ends. So divide by a scale first that puts the largest
# magnitude on the largest number. Then nothing is beyond the end, and no clamp is needed. Beside the values you keep
# the *scale*, by which one multiplies to get back; some libraries keep its inverse, the factor, instead.


# %% tags=["core"]
# hint 1: Which number of the tensor should become 448, and what do you divide it by to get there?
# hint 2: torch.finfo(dtype).max, tensor.abs().max(), torch.where for zeros; a division of a 0-dim tensor stays
# 0-dim.
# hint 3: amax; a scale from it, 1.0 where amax is 0; the tensor divided by the scale and cast.
# >>> float8_quantize(tensor([448 * 2.0**-60]))[0], float8_quantize(tensor([448 * 2.0**-60]))[1] == 2.0**-60
# (tensor([448.], dtype=torch.float8_e4m3fn), tensor(True))
# >>> float8_quantize(tensor([[448.0, 1.0], [2.0, 0.125]]).t())
# (tensor([[448.000000000, 2.000000000], [1.000000000, 0.125000000]], dtype=torch.float8_e4m3fn), tensor(1.))
# >>> float8_quantize(tensor([448.0, 1.0625 + 2**-12]))[0]
# tensor([448.000000000,   1.125000000], dtype=torch.float8_e4m3fn)
def float8_quantize(tensor: Tensor, dtype: torch.dtype = torch.float8_e4m3fn) -> tuple[Tensor, Tensor]:
    """Divide a tensor by one scale, so that its largest magnitude becomes the largest number of `dtype`, and cast it.

    tensor: any shape, 0-dim too.  dtype: torch.float8_e4m3fn, which ends at 448, or torch.float8_e5m2, at 57344.
    Returns: the values, tensor / scale in `dtype`, same shape; and the scale, amax / 448 (or amax / 57344), 0-dim
    float32.  Zeros have the scale 1.0.

    >>> float8_quantize(tensor([-3584.0, 8.0, 1.0]))
    (tensor([-448.0, 1.0, 0.125], dtype=torch.float8_e4m3fn), tensor(8.0))
    >>> float8_quantize(tensor([[0.875, -0.25]]), torch.float8_e5m2)
    (tensor([[57344.0, -16384.0]], dtype=torch.float8_e5m2), tensor(0.0000152587890625))
    >>> float8_quantize(tensor(0.0))
    (tensor(0.0, dtype=torch.float8_e4m3fn), tensor(1.0))
    """
    ### BEGIN SOLUTION
    amax = tensor.abs().max()
    scale = torch.where(amax > 0, amax / torch.finfo(dtype).max, 1.0)
    return (tensor / scale).to(dtype), scale
    ### END SOLUTION


# %% [markdown]
# One outlier makes the scale large for everybody, and small values drown. DeepSeek-V3 was trained in FP8 with a scale
# for every *tile*: 1 × 128 values of an activation, 128 × 128 of a weight (arXiv 2412.19437, section 3.3.2). An
# outlier then spoils its own tile only.
#
# DeepSeek's code for activations raises amax to at least 1e-4 first, so that a tile of zeros does not divide by zero,
# and can round the scale up to a power of two. Up, so that nothing is beyond 448; a scale that is a power of two
# already stays. Do not take that from `log2` in float32: just above a power of two it gives a whole number, too low.

# %% tags=["active-ipynb"]
# powers = 2.0 ** torch.arange(-126, 128)
# above = torch.nextafter(powers, torch.tensor(float("inf")))
# wrong = above.log2().ceil() != torch.arange(-126, 128) + 1
# print(f"ceil(log2) in float32 of the number after a power of two: wrong for {wrong.sum()} of {len(wrong)}")


# %% tags=["core"]
# hint 1: If a matrix of 6 x 8 is cut into tiles of 2 x 4, which axes would a four-dimensional view of it have?
# hint 2: Tensor.unflatten or reshape, amax over two axes at once; torch.frexp gives mantissa and exponent without
# rounding. Which mantissa does a power of two have?
# hint 3: View as (row tile, row, column tile, column); amax over the second and fourth axis, at least 1e-4, over
# 448; perhaps up to a power of two; divide with the scales put back on those axes; reshape.
# >>> large = tensor([[448 * 2.0**20 * (1 + 2**-23), 672.0]])
# >>> values, scales = tile_quantize(large, (1, 1), power_of_two=True)
# >>> values, scales
# (tensor([[224., 320.]], dtype=torch.float8_e4m3fn), tensor([[2097152.,       2.]]))
# >>> tile_quantize(tensor([[1e-5]]), (1, 1))[0]
# tensor([[44.]], dtype=torch.float8_e4m3fn)
# >>> tile_quantize(torch.ones(2, 4), (0, 2))
# Traceback (most recent call last):
# ValueError
def tile_quantize(tensor: Tensor, tile: tuple[int, int], power_of_two: bool = False) -> tuple[Tensor, Tensor]:
    """Quantize a matrix to float8_e4m3fn with one scale for each tile of (rows, columns).

    scale = max(amax of the tile, 1e-4) / 448; with `power_of_two` the smallest power of two that is not below it, exactly.
    Returns: the matrix divided by the scales that are returned, in float8_e4m3fn, same shape; and the scales, float32
    (row tiles, column tiles).  ValueError for a side below 1 or one that does not divide the matrix.

    >>> x = tensor([[448.0, 1.0, 0.0, 0.0], [2.0, -4.0, 672.0, 896.0]])
    >>> tile_quantize(x, (2, 2))
    (tensor([[448.0, 1.0, 0.0, 0.0], [2.0, -4.0, 336.0, 448.0]], dtype=torch.float8_e4m3fn), tensor([[1.0, 2.0]]))
    >>> [round(scale * 448, 6) for scale in tile_quantize(x, (1, 2))[1].flatten().tolist()]
    [448.0, 0.0001, 4.0, 896.0]
    >>> tile_quantize(tensor([[448.0, 448.00012, 672.0]]), (1, 1), power_of_two=True)[1]
    tensor([[1.0, 2.0, 2.0]])
    """
    rows, columns = tile
    if rows < 1 or columns < 1 or tensor.shape[0] % rows or tensor.shape[1] % columns:
        raise ValueError("the tiles do not divide the matrix")
    ### BEGIN SOLUTION
    tiles = tensor.unflatten(0, (-1, rows)).unflatten(2, (-1, columns))  # row tile, row, column tile, column
    scales = tiles.abs().amax((1, 3)).clamp(min=1e-4) / 448
    if power_of_two:
        mantissa, exponent = torch.frexp(scales)  # the mantissa is in [1/2, 1)
        scales = torch.ldexp(torch.ones_like(scales), exponent - (mantissa == 0.5).int())
    values = (tiles / scales[:, None, :, None]).to(torch.float8_e4m3fn)
    return values.reshape(tensor.shape), scales
    ### END SOLUTION


# %% [markdown]
# Here are four hundred small values and one outlier, with one scale and with tiles of 1 × 8:

# %% tags=["active-ipynb"]
# with_outlier = torch.randn(16, 24, generator=torch.Generator().manual_seed(0)) / 4000
# with_outlier[0, 0] = 448.0
# for title, tile_shape in {"one scale": (16, 24), "tiles of 1 x 8": (1, 8)}.items():
#     tiled, _ = tile_quantize(with_outlier, tile_shape)
#     print(f"{title:15} {(tiled.float() == 0).float().mean():6.1%} of the values became 0")

# %% [markdown]
# ## Four bits with an exponent
#
# **E2M1** is a sign, two exponent bits and one mantissa bit: eight magnitudes, 0 to 6, and their negatives. Look at
# them beside the sixteen steps of int4, the levels of NF4 (below) and the eight-bit formats; all lines are scaled to
# end at 1.

# %%
E2M1 = (0.0, 0.5, 1.0, 1.5, 2.0, 3.0, 4.0, 6.0)  # magnitudes, in the order of their codes

# %% tags=["active-ipynb"]
# every_byte = torch.arange(256).to(torch.uint8)
# format_levels = {
#     "e4m3 (FP8)": every_byte.view(torch.float8_e4m3fn).float(),
#     "e5m2 (FP8)": every_byte.view(torch.float8_e5m2).float(),
#     "int8": torch.arange(-127.0, 128.0),
#     "e2m1 (MX, NVFP4)": torch.tensor([*E2M1, *(-level for level in E2M1)]),
#     "nf4": torch.tensor(format_pictures.NF4),
#     "int4": torch.arange(-7.0, 8.0),
#     "ternary": torch.tensor([-1.0, 0.0, 1.0]),
# }
# pictures.show(format_pictures.levels_on_lines(format_levels))

# %% [markdown]
# torch has a dtype for pairs of such numbers, and no cast to it:

# %% tags=["active-ipynb"]
# try:
#     torch.ones(2).to(torch.float4_e2m1fn_x2)
# except NotImplementedError as error:
#     print("NotImplementedError:", str(error)[:60])

# %% [markdown]
# So round by hand. At a tie the neighbour with the *even mantissa* wins, the one whose mantissa bit is 0: that is 0,
# 1, 2 and 4. It is not the one with the even value: 5 lies between 4 and 6, both even, and goes to 4; 0.75 goes to 1,
# not to
# 0.5. (The Python package `gguf`, which writes MXFP4 too, takes the smaller magnitude at each tie: 0.75 becomes 0.5 there.
# Such differences are why formats come with test data.)


# %% tags=["core"]
# hint 1: How far apart are neighbours below 2, from 2 to 4, and from 4 to 6?
# hint 2: torch.round goes half to even; dividing by a step and multiplying it back rounds to multiples of the step.
# clamp takes care of infinities.
# hint 3: The magnitude, at most 6; the step for each value by torch.where; divide, round, multiply, and put the sign
# back.
# >>> round_to_e2m1(tensor([0.25 + 2**-12, 5.0 - 2**-12])), round_to_e2m1(tensor(-0.75))
# (tensor([0.500000000, 4.000000000]), tensor(-1.))
# >>> round_to_e2m1(tensor([1.0, nan]))
# Traceback (most recent call last):
# ValueError
def round_to_e2m1(tensor: Tensor) -> Tensor:
    """Round to the nearest number of E2M1: 0, 0.5, 1, 1.5, 2, 3, 4, 6 and their negatives.  Returns float32, same shape.

    At a tie the neighbour with the even mantissa: 0, 1, 2 or 4.  What is beyond 6 becomes 6, infinities too (with their
    sign).  tensor: any shape, 0-dim too.  ValueError on nan.

    >>> round_to_e2m1(tensor([0.25, 0.75, 1.25, 1.75, 2.5, 3.5, 5.0]))
    tensor([0.0, 1.0, 1.0, 2.0, 2.0, 4.0, 4.0])
    >>> round_to_e2m1(tensor([[0.3, -2.6, 5.1], [1.2, -inf, 448.0]]))
    tensor([[0.5, -3.0, 6.0], [1.0, -6.0, 6.0]])
    """
    if tensor.isnan().any():
        raise ValueError("nan is none of the numbers of E2M1")
    ### BEGIN SOLUTION
    magnitude = tensor.abs().clamp(max=6.0)
    step = torch.where(magnitude < 2, 0.5, torch.where(magnitude < 4, 1.0, 2.0))
    return (magnitude / step).round() * step * tensor.sign()
    ### END SOLUTION


# %% [markdown]
# A code of four bits: the lower three count the magnitudes in order, the highest is the sign. So 1 is 0.5, 7 is 6, 8
# is -0, 15 is -6. It is a sign and a magnitude, no two's complement.


# %% tags=["core"]
# hint 1: Sixteen codes, sixteen numbers: where would you write them down?
# hint 2: Indexing a tensor with a tensor of int64; a uint8 index is taken for a mask.
# hint 3: Refuse what is above 15; a tensor of the eight magnitudes and their negatives, indexed with the codes.
# >>> decode_e2m1(tensor([[1, 16], [2, 3]], dtype=torch.uint8))
# Traceback (most recent call last):
# ValueError
def decode_e2m1(codes: Tensor) -> Tensor:
    """Return the float32 numbers that codes of E2M1 stand for: 0 to 7 the magnitudes in order, 8 to 15 their negatives.

    codes: uint8, any shape, 0-dim too.  ValueError for a code above 15.

    >>> decode_e2m1(tensor([[0, 1, 3], [7, 9, 15]], dtype=torch.uint8))
    tensor([[0.0, 0.5, 1.5], [6.0, -0.5, -6.0]])
    >>> decode_e2m1(tensor([16], dtype=torch.uint8))
    Traceback (most recent call last):
    ValueError: a code of E2M1 is at most 15
    """
    ### BEGIN SOLUTION
    if (codes > 15).any():
        raise ValueError("a code of E2M1 is at most 15")
    return torch.tensor([*E2M1, *(-level for level in E2M1)])[codes.long()]
    ### END SOLUTION


# %% [markdown]
# ## A power of two for 32 values
#
# Four bits cannot do without a scale. In the **MX** formats of the Open Compute Project (*Microscaling Formats v1.0*)
# 32 neighbours share one, and it is a power of two, $2^e$ in one byte: multiplying by it only shifts exponents. The
# standard's recipe, section 6.3, lines up the binade of amax with the binade of the element's largest number:
#
# $$e = \lfloor \log_2 \mathrm{amax} \rfloor - e_\max,$$
#
# where $e_\max$ is 2 for E2M1, since its largest number is $6 = 1.5 \cdot 2^2$. Again the logarithm has to be exact,
# and again float32 is not: just below a power of two it rounds up. `frexp` takes a number apart without rounding: its
# mantissa is in [½, 1).

# %% tags=["active-ipynb"]
# below = torch.nextafter(powers, torch.tensor(0.0))
# wrong = below.log2().floor() != torch.arange(-126, 128) - 1
# print(f"floor(log2) in float32 of the number before a power of two: wrong for {wrong.sum()} of {len(wrong)}")
# print("right below", powers[~wrong].tolist(), "   frexp(8.0) =", math.frexp(8.0))


# %% tags=["core"]
# hint 1: What does math.frexp(8.0) return, and what is floor(log2(8))?
# hint 2: math.frexp of a Python float is exact; its exponent is one more than the floor of the logarithm. min and
# max clamp.
# hint 3: amax as a Python float; -127 for zero; the exponent of frexp, less one, less emax, clamped to -127..127.
# >>> shared_exponent(tensor([2.0**100]), -100), shared_exponent(tensor([2.0**-126]), 8)
# (127, -127)
# >>> shared_exponent(tensor([[8.0, 1.0], [2.0, 1.0]]), 0), shared_exponent(tensor([2.0**-140]), -20)
# (3, -120)
# >>> shared_exponent(tensor([0.0]), -3), type(shared_exponent(tensor([2.0]), 0)) is int
# (-127, True)
def shared_exponent(block: Tensor, emax: int) -> int:
    """Return the exponent that a block shares: floor(log2(amax)) - emax, exact, then clamped to -127..127.

    block: all of the tensor is one block; subnormal and very large numbers too.  emax: any int, for a format the exponent
    of its largest number.  Zeros give -127.  Returns a Python int.

    >>> shared_exponent(tensor([0.5, -7.9, 1.0]), 2), shared_exponent(tensor([8.0]), 2), shared_exponent(tensor([0.3]), 2)
    (0, 1, -4)
    >>> shared_exponent(tensor([15.9999990463]), 0), shared_exponent(torch.zeros(2, 2), 8)
    (3, -127)
    """
    ### BEGIN SOLUTION
    amax = block.abs().max().item()
    if amax == 0:
        return -127
    return min(max(math.frexp(amax)[1] - 1 - emax, -127), 127)
    ### END SOLUTION


# %% [markdown]
# The elements are then $x / 2^e$, rounded to the element's format. The recipe has a price: an amax between 6 and 8
# times $2^e$ is beyond the largest element and is *clipped* to 6. Exponents are stored with 127 added, in a byte.


# %% tags=["core"]
# hint 1: Which of the steps is for a block, and which for an element?
# hint 2: Tensor.unflatten(-1, (-1, 32)), torch.frexp and torch.ldexp on tensors, round_to_e2m1 above; clamp before a
# cast to float8.
# hint 3: Blocks; exponents from their amax as in shared_exponent, but for all blocks at once; elements = blocks
# times 2**-e, rounded to the element; exponents + 127 as uint8, elements flattened again.
# >>> x = torch.zeros(4, 32)
# >>> x[:, 0] = tensor([2.0**20 * (1 - 2**-24), 2.0**-100, 4.0, 2.0**-127])
# >>> x[2, 1:4] = tensor([2.5, 3.5, 5.0])
# >>> exponents, elements = mx_quantize(x)
# >>> exponents.flatten(), elements[:, 0], elements[2, 1:4]
# (tensor([144,  25, 127,   0], dtype=torch.uint8), tensor([6., 4., 4., 1.]), tensor([2., 4., 4.]))
# >>> exponents, elements = mx_quantize(-x[:2], "e4m3")
# >>> exponents, elements[:, 0]
# (tensor([[138], [ 19]], dtype=torch.uint8), tensor([-448., -256.]))
def mx_quantize(tensor: Tensor, element: str = "e2m1") -> tuple[Tensor, Tensor]:
    """Quantize blocks of 32 neighbours of the last axis to an MX format: elements that share a power of two.

    element: "e2m1", "e4m3" or "e5m2", with emax 2, 8 or 15; ValueError for others, and unless 32 divides the last axis.
    Returns: the exponents + 127, uint8 (..., blocks), as in `shared_exponent` (for a block of zeros any of 0..254); and
    the elements x / 2**exponent, rounded half to even to the element's numbers, stopping at its largest (6, 448, 57344):
    float32, the tensor's shape, not multiplied back.

    >>> x = torch.zeros(2, 64)
    >>> x[:, 0], x[:, 32], x[:, 33] = tensor([5.9, 7.9]), tensor([8.0, 3.99]), tensor([2.5, -0.3])
    >>> exponents, elements = mx_quantize(x)
    >>> exponents, elements[:, 0], elements[:, 32:34]
    (tensor([[127, 128], [127, 126]], dtype=torch.uint8), tensor([6.0, 6.0]), tensor([[4.0, 1.0], [6.0, -0.5]]))
    >>> [mx_quantize(torch.full((32,), amax), "e5m2")[1][0].item() for amax in (61440.0, 65536.0)]
    [57344.0, 32768.0]
    """
    if element not in ("e2m1", "e4m3", "e5m2"):
        raise ValueError(f"{element} is none of e2m1, e4m3 and e5m2")
    if tensor.shape[-1] % 32:
        raise ValueError("the last axis is no multiple of 32")
    ### BEGIN SOLUTION
    blocks = tensor.unflatten(-1, (-1, 32))
    emax = {"e2m1": 2, "e4m3": 8, "e5m2": 15}[element]
    exponents = (torch.frexp(blocks.abs().amax(-1)).exponent - 1 - emax).clamp(min=-127)
    scaled = torch.ldexp(blocks, -exponents.unsqueeze(-1))
    if element == "e2m1":
        elements = round_to_e2m1(scaled)
    else:
        dtype = {"e4m3": torch.float8_e4m3fn, "e5m2": torch.float8_e5m2}[element]
        largest = torch.finfo(dtype).max
        elements = scaled.clamp(-largest, largest).to(dtype).float()
    return (exponents + 127).to(torch.uint8), elements.flatten(-2)
    ### END SOLUTION


# %% [markdown]
# Back again: 127 off, then a product. uint8 has no negative numbers, and torch does not complain:

# %% tags=["active-ipynb"]
# print("126 - 127 in uint8:", torch.tensor([126], dtype=torch.uint8) - 127)


# %% tags=["core"]
# hint 1: In which dtype is 126 - 127 still -1?
# hint 2: Tensor.int(), unsqueeze, torch.ldexp(x, e) is x times 2**e.
# hint 3: Elements in blocks of 32, times two to the power of (exponent - 127) of their block, flattened.
# >>> mx_dequantize(tensor([0], dtype=torch.uint8), torch.full((32,), 15 / 256))[0] == 15 * 2.0**-135
# tensor(True)
def mx_dequantize(exponents: Tensor, elements: Tensor) -> Tensor:
    """Return the float32 values that an MX tensor stands for: element * 2**(exponent - 127), exact.

    exponents: uint8 (..., blocks), 0 to 254.  elements: float32 (..., 32 * blocks), numbers of any of the three formats.
    The products are finite; some are subnormal.

    >>> elements = torch.cat([torch.full((32,), 1.5), torch.full((32,), -6.0)])
    >>> mx_dequantize(tensor([130, 126], dtype=torch.uint8), elements)[30:34]
    tensor([12.0, 12.0, -3.0, -3.0])
    >>> mx_dequantize(tensor([[0]], dtype=torch.uint8), torch.full((1, 32), 0.5))[0, :2] * 2.0**100
    tensor([0.0000000037252902984619140625, 0.0000000037252902984619140625])
    """
    ### BEGIN SOLUTION
    blocks = elements.unflatten(-1, (-1, 32))
    return torch.ldexp(blocks, exponents.int().unsqueeze(-1) - 127).flatten(-2)
    ### END SOLUTION


# %% [markdown]
# That is how the weights of **gpt-oss** are published. Its checkpoint keeps two uint8 tensors for each large matrix:
# `…blocks`, two codes of E2M1 in a byte and 16 bytes for a block, and `…scales`, a byte for each block. Of two
# neighbours the first is in the *lower* half of the byte: 0x21 holds the code 1, then the code 2. (GGUF packs the same
# blocks in another order: there byte i holds elements i and i + 16.)


# %% tags=["core"]
# hint 1: A byte is 16 * high + low. Which operators take it apart, and which half comes first?
# hint 2: & 0x0F and >> 4; torch.stack with a new last axis puts neighbours side by side; decode_e2m1 and
# torch.ldexp.
# hint 3: Codes (..., G, 32) from the bytes; decoded; times two to the power of (scale - 127); the last two axes
# flattened, cast to bfloat16.
# >>> unpack_mxfp4(blocks.reshape(2, 1, 1, 16), torch.zeros(2, 1, 1, dtype=torch.uint8)).shape == (2, 1, 32)
# True
# >>> (unpack_mxfp4(blocks, tensor([0, 1], dtype=torch.uint8))[:2].double() * 2.0**127)
# tensor([0.500000000, 1.000000000], dtype=torch.float64)
def unpack_mxfp4(blocks: Tensor, scales: Tensor) -> Tensor:
    """Return the bfloat16 weights in a pair of tensors of gpt-oss's checkpoint.

    blocks: uint8 (..., G, 16), two codes of E2M1 in a byte, the first in its low half.  scales: uint8 (..., G), 0 to 252.
    Any number of axes in front, none too; both contiguous.  Returns: (..., 32 * G), value * 2**(scale - 127), exact.
    As in `gpt_oss/torch/weights.py`.

    >>> blocks = torch.zeros(2, 16, dtype=torch.uint8)
    >>> blocks[0, 0], blocks[1, 15] = 0x21, 0xF7
    >>> weights = unpack_mxfp4(blocks, tensor([128, 126], dtype=torch.uint8))
    >>> weights[:3], weights[-2:], weights.shape == (64,)
    (tensor([1.0, 2.0, 0.0], dtype=torch.bfloat16), tensor([3.0, -3.0], dtype=torch.bfloat16), True)
    """
    ### BEGIN SOLUTION
    codes = torch.stack([blocks & 0x0F, blocks >> 4], dim=-1).flatten(-2)
    weights = torch.ldexp(decode_e2m1(codes), scales.int().unsqueeze(-1) - 127)
    return weights.flatten(-2).to(torch.bfloat16)
    ### END SOLUTION


# %% [markdown]
# Now read a file. `exercises/models/tiny_formats` holds one in gpt-oss's layout, two experts made of two matrices of
# the tiny T5. The environment variable `GPT_OSS_CHECKPOINT` names a real one instead, a file or a folder; only the
# first expert of the first pair that is found is read.

# %% tags=["active-ipynb"]
# stored_name, stored_blocks, stored_scales = checkpoints.mxfp4_tensors()
# from_file = unpack_mxfp4(stored_blocks, stored_scales)
# stored_size = stored_blocks.numel() + stored_scales.numel()
# print(f"{stored_name}: blocks {tuple(stored_blocks.shape)}, scales {tuple(stored_scales.shape)}")
# print(f"{tuple(from_file.shape)} in {from_file.dtype}: {8 * stored_size / from_file.numel()} bits per weight")
# print("largest magnitude of each of the first blocks:", from_file.flatten()[:128].view(4, 32).abs().amax(1).tolist())

# %% [markdown]
# ## A small float for 16 values
#
# A power of two is a coarse scale: amax lands anywhere between 4 and 8, so that up to a third of the range is unused
# or up to a quarter of amax clipped. **NVFP4** of NVIDIA's Blackwell lets only 16 values share a scale, and makes the
# scale itself a number of e4m3. That dtype ends at 448, so a second scale, in float32 and one for the whole tensor,
# moves all block scales into its range: it puts the largest block scale exactly on 448 (arXiv 2509.25149). As always:
# divide by the scales that are *stored*, rounded as they are, or rounding a scale makes errors that the elements could
# have taken back. And see to a tensor of zeros: torchao divides 0 by 0 there, and gets nan for its scales.


# %% tags=["core"]
# hint 1: If the largest block scale is to be 448 and the largest element 6, how large may amax / g be?
# hint 2: unflatten to blocks of 16, amax, clamp, a cast to torch.float8_e4m3fn and .float() back; round_to_e2m1.
# hint 3: g; the scale of each block relative to g, clamped and cast; x divided by g times the cast scale, rounded;
# flattened.
# >>> x = torch.zeros(2, 32)
# >>> x[0, :2], x[0, 16:19], x[1, 0], x[1, 16] = tensor([5376.0, 900.0]), tensor([19.3, 2.0, 4.03]), 1.0, 0.01
# >>> elements, scales, g = nvfp4_quantize(x)
# >>> scales, g
# (tensor([[448.000000000, 1.625000000], [0.085937500, 0.015625000]], dtype=torch.float8_e4m3fn), tensor(2.))
# >>> elements[0, :2], elements[0, 16:19], elements[1, [0, 16]]
# (tensor([6., 1.]), tensor([6.000000000, 0.500000000, 1.000000000]), tensor([6.000000000, 0.500000000]))
# >>> nothing = nvfp4_quantize(torch.zeros(16))
# >>> nothing[0].any(), nothing[1].float().isfinite(), nothing[2].isfinite()
# (tensor(False), tensor([True]), tensor(True))
def nvfp4_quantize(tensor: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Quantize to NVFP4: E2M1 elements, an e4m3 scale for 16 neighbours of the last axis, a scale g for the tensor.

    g = amax / (6 * 448), 0-dim float32.  Block scale s = (amax of the block / 6) / g, clamped to 2**-6..448, in
    float8_e4m3fn (..., blocks).  Elements: x / (g * s) with that s, rounded as in `round_to_e2m1`, float32, same shape.
    A tensor or block of zeros: elements 0, any finite scales.  ValueError unless 16 divides the last axis.
    Returns (elements, block scales, g).

    >>> x = torch.zeros(48)
    >>> x[:3], x[16:19], x[32:34] = tensor([6.0, 2.5, -0.75]), tensor([-2688.0, 448.0, 1.0]), tensor([9.6, 1.3])
    >>> elements, scales, g = nvfp4_quantize(x)
    >>> scales, g
    (tensor([1.0, 448.0, 1.625], dtype=torch.float8_e4m3fn), tensor(1.0))
    >>> elements[:3], elements[16:19], elements[32:34]
    (tensor([6.0, 2.0, -1.0]), tensor([-6.0, 1.0, 0.0]), tensor([6.0, 1.0]))
    """
    if tensor.shape[-1] % 16:
        raise ValueError("the last axis is no multiple of 16")
    ### BEGIN SOLUTION
    blocks = tensor.unflatten(-1, (-1, 16))
    amax = tensor.abs().max()
    g = torch.where(amax > 0, amax / (6 * 448), 1.0)
    scales = (blocks.abs().amax(-1) / 6 / g).clamp(2**-6, 448).to(torch.float8_e4m3fn)
    elements = round_to_e2m1(blocks / (g * scales.float()).unsqueeze(-1))
    return elements.flatten(-2), scales, g
    ### END SOLUTION


# %% [markdown]
# ## Levels where the weights are
#
# The weights of a trained layer look much like a normal distribution: many near zero, few far out. **NF4** puts
# sixteen levels where a normal distribution has its quantiles, so that each is used about equally often (QLoRA, arXiv
# 2305.14314). Eight are positive, seven negative, and one is an exact zero. The recipe is `create_normal_map` of
# bitsandbytes; the odd δ keeps the outermost quantile finite. `statistics.NormalDist` knows the normal quantile Φ⁻¹ as
# `inv_cdf`. (torchao writes the levels with four decimals: a value near a midpoint can get another code there.)


# %% tags=["core"]
# hint 1: How many levels come from each of the two lists, and which one is in neither?
# hint 2: statistics.NormalDist().inv_cdf(p) is the quantile; sorted.
# hint 3: Eight positive quantiles, seven negative ones and 0 in one sorted list, as a tensor, divided by the last.
# >>> [round(level, 5) for level in levels[[1, 2, 8, 14]].tolist()]
# [-0.69619, -0.52507, 0.07958, 0.72296]
def nf4_codebook() -> Tensor:
    """Return the 16 levels of NF4: ascending, float32, from -1 to 1.

    With delta = 0.9677083 and Q the quantile of the standard normal distribution: Q(delta - (delta - 0.5) * i / 8) for
    i = 0..7, -Q(delta - (delta - 0.5) * i / 7) for i = 0..6, and 0, all divided by the largest.  Judged within 1e-6.

    >>> levels = nf4_codebook()
    >>> levels[[0, 7, 15]], levels.shape == (16,)
    (tensor([-1.0, 0.0, 1.0]), True)
    >>> [round(level, 3) for level in levels[[1, 6, 8, 14]].tolist()]
    [-0.696, -0.091, 0.08, 0.723]
    """
    ### BEGIN SOLUTION
    delta, quantile = 0.9677083, statistics.NormalDist().inv_cdf
    positive = [quantile(delta - (delta - 0.5) * i / 8) for i in range(8)]
    negative = [-quantile(delta - (delta - 0.5) * i / 7) for i in range(7)]
    levels = sorted([*negative, 0.0, *positive])
    return torch.tensor(levels) / levels[-1]
    ### END SOLUTION


# %% tags=["core"]
# hint 1: What has to be done with a block before its values can be compared with levels from -1 to 1, and what in a
# block of zeros?
# hint 2: reshape(-1, block_size); a new last axis of 16 distances, argmin; torch.where against dividing by zero.
# hint 3: Blocks and their absmax; divide, by 1 where absmax is 0; for each value the index of the nearest level,
# flattened, as uint8.
# >>> nf4_quantize(tensor([-4.0, 2.0, 2.0**-40, 2.0**-41]), 2)[0]
# tensor([ 0, 12, 15, 12], dtype=torch.uint8)
# >>> nf4_quantize(tensor([[2.0, 0.0, 1.0], [-0.5, 0.04, 0.5]]), 2)
# (tensor([15,  7, 15,  2,  8, 15], dtype=torch.uint8), tensor([2.0, 1.0, 0.5]))
# >>> nf4_quantize(tensor([1.0, 2.0, 3.0]), 2)
# Traceback (most recent call last):
# ValueError
def nf4_quantize(tensor: Tensor, block_size: int = 64) -> tuple[Tensor, Tensor]:
    """Return the NF4 codes of a tensor, flattened in reading order into blocks that may cross rows, and their absmax.

    The code of x is the index of the level nearest to x / absmax of its block, either one at a midpoint; 7 for a zero,
    in a block of zeros too (its absmax is free).  Returns: uint8 (elements,), 0 to 15; float32 (blocks,).
    ValueError if the elements are no multiple of block_size, or block_size is below 1.

    >>> nf4_quantize(tensor([[2.0, 0.0, 1.0], [-0.5, 0.04, 0.5]]), 3)
    (tensor([15, 7, 12, 0, 8, 15], dtype=torch.uint8), tensor([2.0, 0.5]))
    >>> nf4_quantize(tensor([4.0, -4.0, 0.16, 3.4, 0.0, 0.0]), 2)[0]
    tensor([15, 0, 8, 15, 7, 7], dtype=torch.uint8)
    """
    if block_size < 1 or tensor.numel() % block_size:
        raise ValueError("the elements are no multiple of the block size")
    ### BEGIN SOLUTION
    blocks = tensor.reshape(-1, block_size)
    absmax = blocks.abs().amax(1)
    scaled = blocks / torch.where(absmax > 0, absmax, 1.0).unsqueeze(1)
    codes = (scaled.unsqueeze(-1) - nf4_codebook()).abs().argmin(-1)
    return codes.flatten().to(torch.uint8), absmax
    ### END SOLUTION


# %% tags=["core"]
# hint 1: How many codes belong to one absmax?
# hint 2: nf4_codebook()[codes.long()], reshape(len(absmax), -1), unsqueeze.
# hint 3: Levels by index, one row for each absmax, times the absmax of the row, in the given shape.
# >>> round(nf4_dequantize(tensor([1], dtype=torch.uint8), tensor([2.0]), (1,)).item(), 4)
# -1.3924
def nf4_dequantize(codes: Tensor, absmax: Tensor, shape: tuple[int, ...]) -> Tensor:
    """Return the float32 tensor of `shape` that NF4 codes stand for: level * absmax of the block.

    codes: uint8 (elements,), absmax: float32 (blocks,); a block has as many codes as there are codes for each absmax.
    shape: a tuple or a torch.Size of at least one axis.

    >>> nf4_dequantize(tensor([0, 15, 7, 15, 0, 7], dtype=torch.uint8), tensor([2.0, 0.5]), (3, 2))
    tensor([[-2.0, 2.0], [0.0, 0.5], [-0.5, 0.0]])
    """
    ### BEGIN SOLUTION
    levels = nf4_codebook()[codes.long()].reshape(len(absmax), -1)
    return (levels * absmax.unsqueeze(1)).reshape(shape)
    ### END SOLUTION


# %% [markdown]
# ## What a weight costs
#
# "4 bit" is never 4 bits: scales are stored as well. Count everything that a block stores, and divide by its values.
#
# | name | values in a block | stored for a block |
# |---|---|---|
# | q8_0 (GGUF) | 32 | 8 bits for a value; a float16 scale |
# | q4_0 (GGUF) | 32 | 4 bits for a value; a float16 scale |
# | q4_k (GGUF) | 256 | 4 bits for a value; two float16 scales; eight scales and eight minimums of 6 bits |
# | mxfp8 | 32 | 8 bits for a value; an exponent of 8 bits |
# | mxfp4 | 32 | 4 bits for a value; an exponent of 8 bits |
# | nvfp4 | 16 | 4 bits for a value; an e4m3 scale (the scale of the tensor is left out) |
# | nf4 | 64 | 4 bits for a value; a float32 absmax |
# | nf4-double | 64 | 4 bits for a value; a code of 8 bits; for every 256 such blocks a float32 scale (their mean is left out) |
# | int4-group32 | 32 | 4 bits for a value; a float16 scale |


# %% tags=["core"]
# hint 1: What would you count if the block lay before you as bytes?
# hint 2: A dict from a name to the values and the bits of a block; ', '.join of its keys for the message.
# hint 3: A table of (values, bits); ValueError with all names for a name that is not in it; bits / values.
# >>> [bits_per_weight(name) for name in ("q4_0", "q4_k", "mxfp8", "nvfp4", "nf4", "int4-group32")]
# [4.5, 4.5, 8.25, 4.5, 4.5, 4.5]
# >>> bits_per_weight("Q8_0")
# Traceback (most recent call last):
# ValueError
# >>> bits_per_weight("nf4_double")
# Traceback (most recent call last):
# ValueError
# >>> from exercises.kit.probes.common import error_text
# >>> text = error_text(bits_per_weight, "fp3")
# >>> [name in text for name in ("q8_0", "q4_0", "q4_k", "mxfp8", "mxfp4", "nvfp4", "nf4-double", "int4-group32")]
# [True, True, True, True, True, True, True, True]
def bits_per_weight(format: str) -> float:
    """Return how many bits a weight takes in a format of the table above, with everything that its block stores.

    ValueError for any other name, with all nine names in its text.

    >>> bits_per_weight("q8_0"), bits_per_weight("mxfp4"), bits_per_weight("nf4-double")
    (8.5, 4.25, 4.126953125)
    """
    ### BEGIN SOLUTION
    stored = {  # values in a block, and the bits that are stored for all of them
        "q8_0": (32, 32 * 8 + 16),
        "q4_0": (32, 32 * 4 + 16),
        "q4_k": (256, 256 * 4 + 2 * 16 + 8 * 6 + 8 * 6),
        "mxfp8": (32, 32 * 8 + 8),
        "mxfp4": (32, 32 * 4 + 8),
        "nvfp4": (16, 16 * 4 + 8),
        "nf4": (64, 64 * 4 + 32),
        "nf4-double": (64, 64 * 4 + 8 + 32 / 256),
        "int4-group32": (32, 32 * 4 + 16),
    }
    if format not in stored:
        raise ValueError(f"{format} is none of {', '.join(stored)}")
    values, bits = stored[format]
    return bits / values
    ### END SOLUTION


# %% [markdown]
# And what does it buy? Here are all matrices of the tiny T5, each quantized and restored with your functions. The
# error is the root of the summed squares of what changed, relative to the weights themselves.

# %% tags=["active-ipynb"]
# weights = checkpoints.t5_weights()
#
#
# def restored_by_core():
#     values, scale = float8_quantize(weights)
#     yield "fp8, one scale", 8.0, values.float() * scale
#     yield "mxfp8 (e4m3)", bits_per_weight("mxfp8"), mx_dequantize(*mx_quantize(weights, "e4m3"))
#     yield "mxfp4", bits_per_weight("mxfp4"), mx_dequantize(*mx_quantize(weights))
#     elements, scales, g = nvfp4_quantize(weights)
#     yield "nvfp4", bits_per_weight("nvfp4"), elements * (g * scales.float()).repeat_interleave(16, -1)
#     yield "nf4", bits_per_weight("nf4"), nf4_dequantize(*nf4_quantize(weights), weights.shape)
#
#
# def relative_errors(restored):
#     return [(name, bits, ((w - weights).norm() / weights.norm()).item()) for name, bits, w in restored]
#
#
# for row_name, row_bits, row_error in relative_errors(restored_by_core()):
#     print(f"{row_name:16}{row_bits:8.4g} bits{row_error:10.2%}")

# %% [markdown]
# ## Practice: back to codes
#
# The other direction of `decode_e2m1`. Only numbers on the grid have a code; whoever asks for another has forgotten to
# round.


# %% tags=["practice"]
# hint 1: For which of the eight magnitudes is a value exactly equal?
# hint 2: Comparing with a new last axis gives eight booleans for each value; any and argmax over it.
# hint 3: A mask of matches; ValueError unless each value has one; the place of the match, plus 8 where the value is
# negative, as uint8.
# >>> encode_e2m1(tensor([[5.0, 1.0], [1.0, 2.0]]))
# Traceback (most recent call last):
# ValueError
# >>> encode_e2m1(tensor([1.0, 1.0000001]))
# Traceback (most recent call last):
# ValueError
# >>> encode_e2m1(tensor([-inf]))
# Traceback (most recent call last):
# ValueError
# >>> encode_e2m1(tensor([1.0, nan]))
# Traceback (most recent call last):
# ValueError
# >>> encode_e2m1(tensor(-2.0))
# tensor(12, dtype=torch.uint8)
def encode_e2m1(values: Tensor) -> Tensor:
    """Return the codes of numbers of E2M1: uint8, same shape, 0 to 7 for the magnitudes in order, 8 more if negative.

    values: any shape, 0-dim too.  -0.0 may become 0 or 8.  ValueError if any value is none of these numbers, also for
    infinities and nan.

    >>> encode_e2m1(tensor([[0.0, 0.5, 3.0], [6.0, -0.5, -6.0]]))
    tensor([[0, 1, 5], [7, 9, 15]], dtype=torch.uint8)
    >>> encode_e2m1(tensor([5.0]))
    Traceback (most recent call last):
    ValueError: a value is none of the numbers of E2M1
    """
    ### BEGIN SOLUTION
    matches = values.abs().unsqueeze(-1) == torch.tensor(E2M1)
    if not matches.any(-1).all():
        raise ValueError("a value is none of the numbers of E2M1")
    return (matches.int().argmax(-1) + 8 * (values < 0)).to(torch.uint8)
    ### END SOLUTION


# %% [markdown]
# ## Practice: a power of two that never clips
#
# MX's recipe clips an amax between 6 and 8 times $2^e$. One can take the smallest exponent that clips nothing instead.
# It is $\lceil \log_2(\mathrm{amax} / 6) \rceil$, and not $\lceil \log_2 \mathrm{amax} \rceil - 2$, which wastes a
# factor of two where amax is 5 or 6.


# %% tags=["practice"]
# hint 1: At MX's own exponent, which amax is clipped, and what does one exponent more do to it?
# hint 2: torch.frexp and torch.ldexp are exact; a comparison gives the booleans to add.
# hint 3: MX's exponents; one more where amax / 2**e exceeds 6; elements and bytes as in mx_quantize.
# >>> x[:, 0] = tensor([6 * 2.0**20 * (1 + 2**-23), 6 * 2.0**-100, 6.0, 2.0**-127])
# >>> mx_quantize_no_clip(x)[0].flatten()
# tensor([148,  27, 127,   0], dtype=torch.uint8)
def mx_quantize_no_clip(tensor: Tensor) -> tuple[Tensor, Tensor]:
    """Quantize to MX with E2M1 elements, with the smallest exponent e >= -127 at which nothing clips: amax <= 6 * 2**e.

    Exact.  Everything else as in `mx_quantize`: ValueError unless 32 divides the last axis; returns exponents + 127, uint8
    (..., blocks), for a block of zeros any of 0..254, and the float32 elements in the tensor's shape.

    >>> x = torch.zeros(4, 32)
    >>> x[:, 0] = tensor([7.0, 6.0, 6.0000005, 448.0])
    >>> exponents, elements = mx_quantize_no_clip(x)
    >>> exponents.flatten(), elements[:, 0]
    (tensor([128, 127, 128, 134], dtype=torch.uint8), tensor([4.0, 6.0, 3.0, 4.0]))
    """
    if tensor.shape[-1] % 32:
        raise ValueError("the last axis is no multiple of 32")
    ### BEGIN SOLUTION
    blocks = tensor.unflatten(-1, (-1, 32))
    amax = blocks.abs().amax(-1)
    exponents = (torch.frexp(amax).exponent - 3).clamp(min=-127)  # as in MX
    exponents = exponents + (torch.ldexp(amax, -exponents) > 6).int()
    elements = round_to_e2m1(torch.ldexp(blocks, -exponents.unsqueeze(-1)))
    return (exponents + 127).to(torch.uint8), elements.flatten(-2)
    ### END SOLUTION


# %% [markdown]
# ## Practice: the choice of 4 or 6
#
# Between 4 and 6 the grid of E2M1 has its widest gap: whatever lies near 5/6 of amax is off by a sixth of it. If amax
# is put on 4 instead of 6, the largest gap is a quarter of amax wide instead of a third, but there is one level less.
# "Four over six" (arXiv 2512.02010) tries both for every block and keeps the better one.


# %% tags=["practice"]
# hint 1: What do you need to know of both scales before you can choose?
# hint 2: round_to_e2m1(block / scale); the sum of squares of block - scale * elements; min with a key keeps the
# first of two that are equal.
# hint 3: 1.0 for zeros; for amax / 6, then amax / 4: elements and scale; the pair with the smaller error.
# >>> four_over_six(torch.zeros(2)), four_over_six(tensor([9.0, 4.0, -6.0, 10.0]))[0]
# ((tensor([0., 0.]), 1.0), tensor([ 6.,  2., -4.,  6.]))
# >>> four_over_six(tensor([-6.0, 4.5, -7.0]))[0]
# tensor([-6.,  4., -6.])
# >>> four_over_six(tensor([11.0, 9.0, -2.0, 12.0]))[0]
# tensor([ 4.0,  3.0, -0.5,  4.0])
def four_over_six(block: Tensor) -> tuple[Tensor, float]:
    """Quantize a block with amax on 6 or on 4, whichever has the smaller sum of (x - scale * element)**2; if equal, 6.

    block: 1-D, at most 16 values.  Returns: the float32 elements, x / scale rounded as in `round_to_e2m1`, and the scale,
    amax / 6 or amax / 4, a Python float, not rounded to e4m3.  Zeros have the scale 1.0.

    >>> four_over_six(tensor([10.0, 20.0, 30.0, 40.0]))
    (tensor([1.0, 2.0, 3.0, 4.0]), 10.0)
    >>> four_over_six(tensor([-12.0, 1.0, 3.0])), four_over_six(tensor([6.0, 0.0]))
    ((tensor([-6.0, 0.5, 1.5]), 2.0), (tensor([6.0, 0.0]), 1.0))
    """
    ### BEGIN SOLUTION
    amax = block.abs().max().item()
    if amax == 0:
        return torch.zeros_like(block), 1.0
    tried = [(round_to_e2m1(block / scale), scale) for scale in (amax / 6, amax / 4)]
    return min(tried, key=lambda pair: (block - pair[1] * pair[0]).double().square().sum().item())
    ### END SOLUTION


# %% [markdown]
# Where the values of one block land: under MX, which clips the outermost one; under NVFP4 with amax on 6; and with
# amax on 4.

# %% tags=["active-ipynb"]
# landing_block = torch.tensor([7.5, -6.2, 6.1, 5.0, -4.6, 3.9, 3.0, -2.4, 2.0, -1.6, 1.2, 0.9, -0.7, 0.4, 0.2, 0.0])
#
#
# def landed_blocks():
#     padded = torch.cat([landing_block, torch.zeros(16)])
#     yield "MX, a power of two", mx_dequantize(*mx_quantize(padded))[:16]
#     for end in (6, 4):
#         step = landing_block.abs().max() / end
#         yield f"NVFP4, amax on {end}", round_to_e2m1(landing_block / step) * step
#
#
# pictures.show(format_pictures.where_values_land(landing_block, dict(landed_blocks())))
# print(f"four_over_six puts amax on {landing_block.abs().max().item() / four_over_six(landing_block)[1]:.0f}")

# %% [markdown]
# ## Practice: scales, quantized again
#
# NF4's absmax costs half a bit for each weight. They are all positive and of one size, so QLoRA subtracts their mean
# and quantizes what is left to 8 bits, 256 of them with a scale. (torchao takes linear codes as well, in its
# `nf4_tensor.py`; it divides by 128, not 127, and clamps.)


# %% tags=["practice"]
# hint 1: What is left of scales of one size when their mean is subtracted?
# hint 2: mean, reshape(-1, block_size), abs().amax(1); torch.round; torch.where against dividing by zero.
# hint 3: The mean; rests in blocks; a scale for each block, largest magnitude / 127; rests / scale, rounded, as
# int8; the three together.
# >>> double_quantize(tensor([2.0, 1.0, 0.3, 0.0]), 4)[0]
# tensor([127,  19, -57, -89], dtype=torch.int8)
# >>> double_quantize(tensor([1.0, 2.0]))
# Traceback (most recent call last):
# ValueError
def double_quantize(absmax: Tensor, block_size: int = 256) -> tuple[Tensor, Tensor, Tensor]:
    """Quantize scales: subtract their mean, then int8 codes with one scale for each `block_size` of them.

    absmax: a vector, values >= 0; the mean is that of all of them.  scale = largest magnitude in the block / 127, codes =
    what is left / scale, rounded.  Returns: codes int8 (elements,), scales float32 (blocks,), mean 0-dim float32.
    Where nothing is left in a block, its codes are 0 and its scale is free.  ValueError if the length is no multiple of
    block_size, or block_size is below 1.

    >>> double_quantize(tensor([191.0, 24.0, 44.0, 0.5, 54.0, 70.5]), 3)
    (tensor([127, -40, -20, -127, -20, 13], dtype=torch.int8), tensor([1.0, 0.5]), tensor(64.0))
    >>> double_quantize(tensor([3.0, 3.0]), 2)[0]
    tensor([0, 0], dtype=torch.int8)
    """
    if block_size < 1 or absmax.numel() % block_size:
        raise ValueError("the length is no multiple of the block size")
    ### BEGIN SOLUTION
    mean = absmax.mean()
    blocks = (absmax - mean).reshape(-1, block_size)
    scales = blocks.abs().amax(1) / 127
    codes = torch.round(blocks / torch.where(scales > 0, scales, 1.0).unsqueeze(1))
    return codes.flatten().to(torch.int8), scales, mean
    ### END SOLUTION


# %% [markdown]
# ## Practice: what GGUF files hold
#
# llama.cpp reads models from GGUF files. Each tensor in them has a type that says how its bytes are to be read. The
# simplest is **Q8_0**: a block of 34 bytes for 32 values, the scale $d$ as float16 and then 32 int8 codes. Two details
# are easily missed. Halves are rounded *away from zero*, as C's `roundf` does. And codes are made with $d$ as it was
# *before* it was rounded to float16; only the stored $d$ is rounded.


# %% tags=["practice"]
# hint 1: Where does 2.5 go when halves go away from zero, and where -2.5?
# hint 2: half().view(torch.uint8) shows a float16 as two bytes; int8 as well has a view as uint8; floor of the
# magnitude, and what is left of it.
# hint 3: Blocks of 32, d in float32; x times 1 / d (0 for zeros); rounded by magnitude and sign; two bytes of d and
# 32 of codes, concatenated.
# >>> x[32:34] = tensor([61.0, 40.1])
# >>> pack_q8_0(x)[1, :4]
# tensor([175,  55, 127,  83], dtype=torch.uint8)
# >>> pack_q8_0(x * 2.0**-60)[0, :4]
# tensor([  0,   0, 127,   1], dtype=torch.uint8)
def pack_q8_0(row: Tensor) -> Tensor:
    """Return the Q8_0 blocks of a row as GGUF stores them: uint8 (blocks, 34).

    row: a vector, contiguous, amax below 8e6.  For 32 values: d = amax / 127 as float16 in two bytes, low byte first (a
    small d may become 0); then 32 int8 codes of x * (1 / d), with d not yet rounded to float16, half *away* from zero.
    Zeros give 34 zero bytes.  ValueError unless 32 divides the length.

    >>> x = torch.zeros(64)
    >>> x[:5] = tensor([127.0, 0.5, 2.5, -2.5, -1.25])
    >>> pack_q8_0(x)[:, :7]
    tensor([[0, 60, 127, 1, 3, 253, 255], [0, 0, 0, 0, 0, 0, 0]], dtype=torch.uint8)
    """
    if row.numel() % 32:
        raise ValueError("the length is no multiple of 32")
    ### BEGIN SOLUTION
    blocks = row.reshape(-1, 32)
    d = blocks.abs().amax(1, keepdim=True) / 127
    scaled = blocks * torch.where(d > 0, 1 / d, 0.0)
    whole = scaled.abs().floor()
    codes = (whole + (scaled.abs() - whole >= 0.5)) * scaled.sign()
    return torch.cat([d.half().view(torch.uint8), codes.to(torch.int8).view(torch.uint8)], dim=1)
    ### END SOLUTION


# %% [markdown]
# **Q4_K** goes further. 256 values form a block, and eight runs of 32 in it have a scale and a minimum of their own,
# both of 6 bits: scales, quantized again. 16 numbers of 6 bits make 12 bytes, packed to be fast rather than simple.
# Byte by byte: 2 bytes of float16 d, 2 of dmin, 12 of scales and minimums, 128 of codes.


# %% tags=["practice"]
# hint 1: Into which four parts do the 144 bytes fall, and how many bytes has each?
# hint 2: view(torch.float16) of two bytes, split(4, dim=1) of the twelve, & and >> and << for six bits; torch.stack
# for the two halves of each run.
# hint 3: d and dmin; eight scales and eight minimums, each from a first and a second half; codes (n, 8, 32); d *
# scale * code - dmin * minimum, flattened to 256.
# >>> two = torch.zeros(2, 144, dtype=torch.uint8)
# >>> two[:, 0], two[:, 1], two[:, [4, 8]], two[:, 16] = tensor([1, 0]).byte(), tensor([0x3C, 0x40]).byte(), 63, 15
# >>> two[:, 2], two[:, 3] = 3, 0x3C
# >>> unpack_q4_k(two)[:, :2]
# tensor([[882.738281250, -63.184570312], [1826.815429688, -63.184570312]])
def unpack_q4_k(blocks: Tensor) -> Tensor:
    """Return the float32 weights in Q4_K blocks of a GGUF file: uint8 (n, 144), contiguous -> (n, 256).

    Bytes 0 and 1 are d, 2 and 3 dmin: float16, low byte first, finite.  The next 12 bytes b hold for j = 0..7 a scale s
    and a minimum m of 6 bits:
      j < 4:  s = b[j] & 63                                      m = b[j + 4] & 63
      else:   s = (b[j + 4] & 15) | (b[j - 4] >> 6) << 4         m = (b[j + 4] >> 4) | (b[j] >> 6) << 4
    The last 128 bytes are four runs of 32; run i holds the codes q of sub-block 2i in its low and of 2i + 1 in its high
    halves.  A weight of sub-block j is d * s * q - dmin * m; only the subtraction rounds.

    >>> block = torch.zeros(1, 144, dtype=torch.uint8)
    >>> block[0, [1, 3]], block[0, [4, 8, 9, 16]] = tensor([0x3C, 0x38]).byte(), tensor([3, 4, 0x80, 0x21]).byte()
    >>> weights = unpack_q4_k(block)[0]
    >>> weights[:3], weights[32:34], weights[160:162]
    (tensor([1.0, -2.0, -2.0]), tensor([0.0, 0.0]), tensor([-16.0, -16.0]))
    """
    ### BEGIN SOLUTION
    d, dmin = blocks[:, :4].view(torch.float16).float().unsqueeze(-1).unbind(1)
    low, middle, high = blocks[:, 4:16].split(4, dim=1)
    scales = torch.cat([low & 63, (high & 15) | (low >> 6) << 4], dim=1)
    minimums = torch.cat([middle & 63, (high >> 4) | (middle >> 6) << 4], dim=1)
    runs = blocks[:, 16:].reshape(-1, 4, 32)
    codes = torch.stack([runs & 15, runs >> 4], dim=2).reshape(-1, 8, 32)
    weights = (d * scales).unsqueeze(-1) * codes - (dmin * minimums).unsqueeze(-1)
    return weights.flatten(1)
    ### END SOLUTION


# %% [markdown]
# The GGUF file in `exercises/models/tiny_formats` was written once with the package of GGUF's maintainers. It holds a
# matrix of the tiny T5 as Q8_0, which your function should give byte for byte from the floats, and another one as
# Q4_K, which yours should read. (`GGUF_FILE` names a file of your own; then the first tensor of type Q4_K in it is
# read.)

# %% tags=["active-ipynb"]
# for gguf_name, (gguf_type, gguf_shape, gguf_bytes) in list(checkpoints.gguf_tensors().items())[:6]:
#     print(f"{gguf_name:28} {gguf_type:6} {gguf_shape!s:12} {gguf_bytes.numel():,} bytes")
# packed_row = pack_q8_0(checkpoints.t5_weights(checkpoints.Q8_0_SOURCE).flatten())
# print("your Q8_0 is theirs:", torch.equal(packed_row, checkpoints.gguf_blocks("Q8_0", checkpoints.TINY_GGUF)))
# q4_k_weights = unpack_q4_k(checkpoints.gguf_blocks("Q4_K"))
# print("the first Q4_K weights:", [round(weight, 5) for weight in q4_k_weights[0, :4].tolist()])

# %% [markdown]
# ## Practice: three values
#
# **BitNet b1.58** keeps -1, 0 and 1, which is $\log_2 3 \approx 1.58$ bits, and one scale for a matrix: the mean
# magnitude (arXiv 2402.17764). A product with such a matrix needs no multiplications. It works for models that are
# *trained* so; rounding a finished model to it, as here, destroys it.


# %% tags=["practice"]
# hint 1: Which number stands for the size of the weights here, if not the largest?
# hint 2: abs().mean().item(), torch.round, clamp(-1, 1).
# hint 3: gamma as a float; the weight over gamma + 1e-5, rounded, clamped, as int8; and gamma.
# >>> ternary_quantize(tensor([[1.0, 0.1], [4.0, 3.9]]))[0]
# tensor([[0, 0], [1, 1]], dtype=torch.int8)
# >>> ternary_quantize(torch.zeros(2))
# (tensor([0, 0], dtype=torch.int8), 0.0)
def ternary_quantize(weight: Tensor) -> tuple[Tensor, float]:
    """Return the codes -1, 0 and 1 of BitNet b1.58, int8 in the weight's shape, and its scale gamma, a Python float.

    gamma = mean of |weight|; codes = weight / (gamma + 1e-5), rounded and clamped to -1..1.  The returned gamma is without
    the 1e-5; zeros have gamma 0.0.

    >>> codes, gamma = ternary_quantize(tensor([1.0, -2.0, 0.5, 0.0, 0.25]))
    >>> codes, gamma
    (tensor([1, -1, 1, 0, 0], dtype=torch.int8), 0.75)
    >>> ternary_quantize(tensor([0.000009, -0.00002]))[0]
    tensor([0, -1], dtype=torch.int8)
    """
    ### BEGIN SOLUTION
    gamma = weight.abs().mean().item()
    return torch.round(weight / (gamma + 1e-5)).clamp(-1, 1).to(torch.int8), gamma
    ### END SOLUTION


# %% [markdown]
# ## Practice: rounding by chance
#
# Lesson 2 took 0.001 from a bfloat16 weight a hundred times, and nothing happened. *Stochastic rounding* goes up or
# down by chance, with probabilities that make the mean right. On bits it is an addition: add a number that was drawn
# from 0 to 65535 to the 32 bits of a float32, and drop the lower 16. The nearer the next bfloat16 is, the more draws
# carry into it.


# %% tags=["practice"]
# hint 1: Which bits of a float32 does bfloat16 keep?
# hint 2: tensor.view(torch.int32) reads the same bits as integers; & ~0xFFFF drops the lower 16.
# hint 3: Bits plus draws, the lower bits dropped, read as float32 again, cast to bfloat16 (which then rounds
# nothing).
def stochastic_round(tensor: Tensor, random: Tensor) -> Tensor:
    """Round float32 to bfloat16 by chance: add a draw to the 32 bits, read as an integer, and drop the lower 16.

    tensor: any shape, 0-dim too.  random: int32 draws from 0..65535, same shape.  Returns bfloat16, exact for the given
    draws.  The magnitude grows, of negative numbers too; past the largest number the carry gives an infinity.

    >>> stochastic_round(tensor([1.001953125, 1.001953125, -1.001953125, 1.5]), tensor([0, 49152, 49152, 65535]).int())
    tensor([1.0, 1.0078125, -1.0078125, 1.5], dtype=torch.bfloat16)
    >>> stochastic_round(tensor([1.005859375, 3.4028234e38]), tensor([0, 65535]).int())
    tensor([1.0, inf], dtype=torch.bfloat16)
    """
    ### BEGIN SOLUTION
    bits = (tensor.view(torch.int32) + random) & ~0xFFFF
    return bits.view(torch.float32).to(torch.bfloat16)
    ### END SOLUTION


# %% [markdown]
# The weight that stood still, again: nearest and by chance, a hundred times 0.001 less.

# %% tags=["active-ipynb"]
# def after_hundred_steps(round_once):
#     weight = torch.ones(1000, dtype=torch.bfloat16)
#     for _ in range(100):
#         weight = round_once(weight.float() - 0.001)
#     return weight.float().mean().item()
#
#
# draws = torch.Generator().manual_seed(0)
#
#
# def by_chance(wanted):
#     return stochastic_round(wanted, torch.randint(65536, wanted.shape, generator=draws, dtype=torch.int32))
#
#
# print("to nearest:", after_hundred_steps(lambda wanted: wanted.to(torch.bfloat16)))
# print("by chance: ", after_hundred_steps(by_chance))

# %% [markdown]
# ## All of them in one picture
#
# Error against bits, on the tiny T5's weights, with your functions. Below and to the left is better. Among the formats
# of four bits the unit that shares a scale, the scale's own precision and the place of the levels all show. FP8 brings
# an exponent for each value, so without an outlier a scale for 32 values gains it nothing; eight bits are better spent
# on even steps (q8_0) once each unit has its scale.

# %% tags=["active-ipynb"]
# def restored_by_practice():
#     q8_0 = pack_q8_0(weights.flatten())
#     d = q8_0[:, :2].contiguous().view(torch.float16).float()
#     yield "q8_0", bits_per_weight("q8_0"), (q8_0[:, 2:].view(torch.int8) * d).reshape(weights.shape)
#     yield "mxfp4, no clip", bits_per_weight("mxfp4"), mx_dequantize(*mx_quantize_no_clip(weights))
#     codes, absmax = nf4_quantize(weights)
#     scale_codes, scales, mean = double_quantize(absmax)
#     absmax_again = scale_codes * scales.repeat_interleave(256) + mean
#     yield "nf4-double", bits_per_weight("nf4-double"), nf4_dequantize(codes, absmax_again, weights.shape)
#     ternary, gamma = ternary_quantize(weights)
#     yield "ternary", math.log2(3), ternary * gamma
#
#
# all_rows = relative_errors([*restored_by_core(), *restored_by_practice()])
# pictures.show(format_pictures.error_against_bits(all_rows))

# %% [markdown] tags=["question"]
# ## In your own words
#
# In lesson 4 a whole matrix, or each of its rows, shared one scale. In NVFP4 sixteen values do. **Why did the unit
# that shares a scale shrink from a tensor to 16 values, and who pays?** Say what an outlier does to those that share
# its scale, what the many scales cost and how formats make them cheap, and why fewer bits for a value call for smaller
# units. (About 150 words.)

# %% [markdown] tags=["answer"]
# ### BEGIN SOLUTION
# The largest magnitude of a unit fixes its scale, and with it the step for all others. An outlier makes the step
# large, and everybody who shares its scale is rounded coarsely or to zero; in a smaller unit fewer suffer, and the
# typical amax of a unit is smaller, so the step is finer. With eight bits there are levels enough to bear a wide
# range; with four there are eight magnitudes, and a single factor of ten inside a unit already uses them up. So the
# fewer the bits, the smaller the unit has to be.
#
# Somebody pays for every scale. In bits: a float32 for 16 values would be two bits for each of them. That is why
# scales became cheap themselves: a power of two in a byte (MX), a byte of e4m3 under one float32 for the tensor
# (NVFP4), codes of six bits (Q4_K), double quantization (NF4). In time and hardware: scales have to be read and
# applied inside the product, every 16 or 32 terms, so it takes units that know the format. And a cheap scale is itself
# rounded, which costs some accuracy.
#
# Mark scheme:
# - 1 point: an outlier fixes the scale for all that share it, and the small values among them lose their precision
# - 1 point: fewer bits have fewer levels, so that a unit bears less spread and has to be smaller
# - 1 point: scales cost bits per weight, with a figure or a way to count it (for example 8 bits for 16 values: half a bit)
# - 1 point: names a way in which scales are made cheap: power of two, e4m3 with a global scale, 6-bit codes, double quantization
# - 1 point: names the price beside bits: work or hardware inside the product, or the error of a coarse scale
# ### END SOLUTION
