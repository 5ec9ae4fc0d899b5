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
    # YOUR CODE HERE
    raise NotImplementedError()


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
    # YOUR CODE HERE
    raise NotImplementedError()


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
    # YOUR CODE HERE
    raise NotImplementedError()


# %% [markdown]
# A code of four bits: the lower three count the magnitudes in order, the highest is the sign. So 1 is 0.5, 7 is 6, 8
# is -0, 15 is -6. It is a sign and a magnitude, no two's complement.


# %% tags=["core"]
def decode_e2m1(codes: Tensor) -> Tensor:
    """Return the float32 numbers that codes of E2M1 stand for: 0 to 7 the magnitudes in order, 8 to 15 their negatives.

    codes: uint8, any shape, 0-dim too.  ValueError for a code above 15.

    >>> decode_e2m1(tensor([[0, 1, 3], [7, 9, 15]], dtype=torch.uint8))
    tensor([[0.0, 0.5, 1.5], [6.0, -0.5, -6.0]])
    >>> decode_e2m1(tensor([16], dtype=torch.uint8))
    Traceback (most recent call last):
    ValueError: a code of E2M1 is at most 15
    """
    # YOUR CODE HERE
    raise NotImplementedError()


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
def shared_exponent(block: Tensor, emax: int) -> int:
    """Return the exponent that a block shares: floor(log2(amax)) - emax, exact, then clamped to -127..127.

    block: all of the tensor is one block; subnormal and very large numbers too.  emax: any int, for a format the exponent
    of its largest number.  Zeros give -127.  Returns a Python int.

    >>> shared_exponent(tensor([0.5, -7.9, 1.0]), 2), shared_exponent(tensor([8.0]), 2), shared_exponent(tensor([0.3]), 2)
    (0, 1, -4)
    >>> shared_exponent(tensor([15.9999990463]), 0), shared_exponent(torch.zeros(2, 2), 8)
    (3, -127)
    """
    # YOUR CODE HERE
    raise NotImplementedError()


# %% [markdown]
# The elements are then $x / 2^e$, rounded to the element's format. The recipe has a price: an amax between 6 and 8
# times $2^e$ is beyond the largest element and is *clipped* to 6. Exponents are stored with 127 added, in a byte.


# %% tags=["core"]
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
    # YOUR CODE HERE
    raise NotImplementedError()


# %% [markdown]
# Back again: 127 off, then a product. uint8 has no negative numbers, and torch does not complain:

# %% tags=["active-ipynb"]
# print("126 - 127 in uint8:", torch.tensor([126], dtype=torch.uint8) - 127)


# %% tags=["core"]
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
    # YOUR CODE HERE
    raise NotImplementedError()


# %% [markdown]
# That is how the weights of **gpt-oss** are published. Its checkpoint keeps two uint8 tensors for each large matrix:
# `…blocks`, two codes of E2M1 in a byte and 16 bytes for a block, and `…scales`, a byte for each block. Of two
# neighbours the first is in the *lower* half of the byte: 0x21 holds the code 1, then the code 2. (GGUF packs the same
# blocks in another order: there byte i holds elements i and i + 16.)


# %% tags=["core"]
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
    # YOUR CODE HERE
    raise NotImplementedError()


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
    # YOUR CODE HERE
    raise NotImplementedError()


# %% [markdown]
# ## Levels where the weights are
#
# The weights of a trained layer look much like a normal distribution: many near zero, few far out. **NF4** puts
# sixteen levels where a normal distribution has its quantiles, so that each is used about equally often (QLoRA, arXiv
# 2305.14314). Eight are positive, seven negative, and one is an exact zero. The recipe is `create_normal_map` of
# bitsandbytes; the odd δ keeps the outermost quantile finite. `statistics.NormalDist` knows the normal quantile Φ⁻¹ as
# `inv_cdf`. (torchao writes the levels with four decimals: a value near a midpoint can get another code there.)


# %% tags=["core"]
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
    # YOUR CODE HERE
    raise NotImplementedError()


# %% tags=["core"]
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
    # YOUR CODE HERE
    raise NotImplementedError()


# %% tags=["core"]
def nf4_dequantize(codes: Tensor, absmax: Tensor, shape: tuple[int, ...]) -> Tensor:
    """Return the float32 tensor of `shape` that NF4 codes stand for: level * absmax of the block.

    codes: uint8 (elements,), absmax: float32 (blocks,); a block has as many codes as there are codes for each absmax.
    shape: a tuple or a torch.Size of at least one axis.

    >>> nf4_dequantize(tensor([0, 15, 7, 15, 0, 7], dtype=torch.uint8), tensor([2.0, 0.5]), (3, 2))
    tensor([[-2.0, 2.0], [0.0, 0.5], [-0.5, 0.0]])
    """
    # YOUR CODE HERE
    raise NotImplementedError()


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
def bits_per_weight(format: str) -> float:
    """Return how many bits a weight takes in a format of the table above, with everything that its block stores.

    ValueError for any other name, with all nine names in its text.

    >>> bits_per_weight("q8_0"), bits_per_weight("mxfp4"), bits_per_weight("nf4-double")
    (8.5, 4.25, 4.126953125)
    """
    # YOUR CODE HERE
    raise NotImplementedError()


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
    # YOUR CODE HERE
    raise NotImplementedError()


# %% [markdown]
# ## Practice: a power of two that never clips
#
# MX's recipe clips an amax between 6 and 8 times $2^e$. One can take the smallest exponent that clips nothing instead.
# It is $\lceil \log_2(\mathrm{amax} / 6) \rceil$, and not $\lceil \log_2 \mathrm{amax} \rceil - 2$, which wastes a
# factor of two where amax is 5 or 6.


# %% tags=["practice"]
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
    # YOUR CODE HERE
    raise NotImplementedError()


# %% [markdown]
# ## Practice: the choice of 4 or 6
#
# Between 4 and 6 the grid of E2M1 has its widest gap: whatever lies near 5/6 of amax is off by a sixth of it. If amax
# is put on 4 instead of 6, the largest gap is a quarter of amax wide instead of a third, but there is one level less.
# "Four over six" (arXiv 2512.02010) tries both for every block and keeps the better one.


# %% tags=["practice"]
def four_over_six(block: Tensor) -> tuple[Tensor, float]:
    """Quantize a block with amax on 6 or on 4, whichever has the smaller sum of (x - scale * element)**2; if equal, 6.

    block: 1-D, at most 16 values.  Returns: the float32 elements, x / scale rounded as in `round_to_e2m1`, and the scale,
    amax / 6 or amax / 4, a Python float, not rounded to e4m3.  Zeros have the scale 1.0.

    >>> four_over_six(tensor([10.0, 20.0, 30.0, 40.0]))
    (tensor([1.0, 2.0, 3.0, 4.0]), 10.0)
    >>> four_over_six(tensor([-12.0, 1.0, 3.0])), four_over_six(tensor([6.0, 0.0]))
    ((tensor([-6.0, 0.5, 1.5]), 2.0), (tensor([6.0, 0.0]), 1.0))
    """
    # YOUR CODE HERE
    raise NotImplementedError()


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
    # YOUR CODE HERE
    raise NotImplementedError()


# %% [markdown]
# ## Practice: what GGUF files hold
#
# llama.cpp reads models from GGUF files. Each tensor in them has a type that says how its bytes are to be read. The
# simplest is **Q8_0**: a block of 34 bytes for 32 values, the scale $d$ as float16 and then 32 int8 codes. Two details
# are easily missed. Halves are rounded *away from zero*, as C's `roundf` does. And codes are made with $d$ as it was
# *before* it was rounded to float16; only the stored $d$ is rounded.


# %% tags=["practice"]
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
    # YOUR CODE HERE
    raise NotImplementedError()


# %% [markdown]
# **Q4_K** goes further. 256 values form a block, and eight runs of 32 in it have a scale and a minimum of their own,
# both of 6 bits: scales, quantized again. 16 numbers of 6 bits make 12 bytes, packed to be fast rather than simple.
# Byte by byte: 2 bytes of float16 d, 2 of dmin, 12 of scales and minimums, 128 of codes.


# %% tags=["practice"]
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
    # YOUR CODE HERE
    raise NotImplementedError()


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
    # YOUR CODE HERE
    raise NotImplementedError()


# %% [markdown]
# ## Practice: rounding by chance
#
# Lesson 2 took 0.001 from a bfloat16 weight a hundred times, and nothing happened. *Stochastic rounding* goes up or
# down by chance, with probabilities that make the mean right. On bits it is an addition: add a number that was drawn
# from 0 to 65535 to the 32 bits of a float32, and drop the lower 16. The nearer the next bfloat16 is, the more draws
# carry into it.


# %% tags=["practice"]
def stochastic_round(tensor: Tensor, random: Tensor) -> Tensor:
    """Round float32 to bfloat16 by chance: add a draw to the 32 bits, read as an integer, and drop the lower 16.

    tensor: any shape, 0-dim too.  random: int32 draws from 0..65535, same shape.  Returns bfloat16, exact for the given
    draws.  The magnitude grows, of negative numbers too; past the largest number the carry gives an infinity.

    >>> stochastic_round(tensor([1.001953125, 1.001953125, -1.001953125, 1.5]), tensor([0, 49152, 49152, 65535]).int())
    tensor([1.0, 1.0078125, -1.0078125, 1.5], dtype=torch.bfloat16)
    >>> stochastic_round(tensor([1.005859375, 3.4028234e38]), tensor([0, 65535]).int())
    tensor([1.0, inf], dtype=torch.bfloat16)
    """
    # YOUR CODE HERE
    raise NotImplementedError()


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
# YOUR ANSWER HERE
