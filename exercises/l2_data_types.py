# %% [markdown]
# # Data types and sizes
#
# A tensor is a row of bits and a rule for reading them. The rule is its **dtype**. A narrower dtype makes a model
# smaller and often faster; the price is paid in *range* (how large a number may be) and in *precision* (how close
# together the numbers lie). After this lesson you can say what each dtype stores, predict what a downcast costs, and
# tell when a sum in a narrow dtype stops growing.
#
# The first nine exercises are the core. The rest is practice, in any order. Every docstring holds examples: they are
# the public check.

# %%
import math

import torch
from torch import Tensor

# %% tags=["active-ipynb"]
# from exercises.kit import pictures

# %% [markdown]
# ## Integers
#
# With $n$ bits there are $2^n$ patterns. An unsigned dtype reads them as $0 \dots 2^n - 1$. A signed dtype uses
# *two's complement*: the highest bit counts $-2^{n-1}$ instead of $+2^{n-1}$. So the range is not symmetric: there is
# one more number below zero than above it.

# %% tags=["active-ipynb"]
# for dtype in (torch.uint8, torch.int8, torch.int16, torch.int32, torch.int64):
#     info = torch.iinfo(dtype)
#     print(f"{str(dtype):12} {info.bits:2} bits   {info.min} to {info.max}")
# byte = torch.tensor([127, 128, 255], dtype=torch.uint8)
# print(byte, "the same bits, read as signed:", byte.view(torch.int8))


# %% tags=["core"]
def integer_range(dtype: torch.dtype) -> tuple[int, int]:
    """Return the smallest and the largest value of an integer dtype, as exact Python ints.

    TypeError for a float dtype, for torch.bool and for a complex dtype.

    >>> integer_range(torch.int8)
    (-128, 127)
    >>> integer_range(torch.uint8)
    (0, 255)
    >>> integer_range(torch.int64)
    (-9223372036854775808, 9223372036854775807)
    >>> integer_range(torch.bool)
    Traceback (most recent call last):
        ...
    TypeError
    """
    # YOUR CODE HERE
    raise NotImplementedError()


# %% tags=["core"]
def range_from_bits(bits: int, signed: bool) -> tuple[int, int]:
    """Compute the smallest and the largest integer of any width, in two's complement when signed.

    bits: any width of at least 1, also one that torch does not have (3, 100, 2000).  ValueError below 1.

    >>> range_from_bits(3, True)
    (-4, 3)
    >>> range_from_bits(3, False)
    (0, 7)
    >>> range_from_bits(64, False)
    (0, 18446744073709551615)
    """
    if bits < 1:
        raise ValueError("an integer has at least one bit")
    # YOUR CODE HERE
    raise NotImplementedError()


# %% [markdown]
# ## Floats: where the bits go
#
# A float is a sign, an exponent and a mantissa: $\pm\, 1.\mathrm{mantissa} \times 2^{\mathrm{exponent}}$. **Exponent
# bits buy range, mantissa bits buy precision.**
#
# | dtype | sign | exponent | mantissa |
# |---|---|---|---|
# | float64 | 1 | 11 | 52 |
# | float32 | 1 | 8 | 23 |
# | bfloat16 | 1 | 8 | 7 |
# | float16 | 1 | 5 | 10 |
# | float8_e5m2 | 1 | 5 | 2 |
# | float8_e4m3fn | 1 | 4 | 3 |
#
# bfloat16 keeps all exponent bits of float32 and gives up 16 mantissa bits; float16 shares its 16 bits more evenly.
# Read off the consequences below: `max` is the largest finite number, `eps` the distance from 1 to the next number.

# %% tags=["active-ipynb"]
# for dtype in (torch.float64, torch.float32, torch.bfloat16, torch.float16, torch.float8_e5m2, torch.float8_e4m3fn):
#     info = torch.finfo(dtype)
#     print(f"{str(dtype):22} {info.bits:2} bits   max {info.max:<24} eps {info.eps}")

# %% [markdown]
# The numbers do not lie evenly: at every power of two the distance between neighbours doubles. Count the steps from 1
# to 2 on the number line: 8 with three mantissa bits, 4 with two. From 2 to 4 there are as many, twice as wide.

# %% tags=["active-ipynb"]
# eights = (torch.float8_e4m3fn, torch.float8_e5m2)
# pictures.show(pictures.number_line(eights, 0.0, 4.0))

# %% [markdown]
# The same on logarithmic axes, for the wider dtypes. A higher line is coarser; where a line ends, so does the range.
# float16 is finer than bfloat16 from about 2^-16 on and ends at 65504; below 2^-14 its spacing stops shrinking, and soon
# there is nothing left above zero. bfloat16 is coarser and runs as far as float32.

# %% tags=["active-ipynb"]
# floats = (torch.float32, torch.float16, torch.bfloat16)
# pictures.show(pictures.spacing_by_magnitude(floats))


# %% tags=["core"]
def float_properties(dtype: torch.dtype) -> dict[str, float]:
    """Describe a float dtype in a dict with the keys bits, min, max, smallest_normal and eps.

    dtype: any float dtype of the table above.  min is the most negative finite number, eps the distance from 1 to the
    next number.  bits may be an int or a float.  TypeError for an integer dtype and for torch.bool.

    >>> properties = float_properties(torch.float16)
    >>> isinstance(properties, dict)
    True
    >>> sorted(properties)
    ['bits', 'eps', 'max', 'min', 'smallest_normal']
    >>> properties["bits"] in (16,), [properties[key] for key in ("min", "max", "smallest_normal", "eps")]
    (True, [-65504.0, 65504.0, 6.103515625e-05, 0.0009765625])
    """
    # YOUR CODE HERE
    raise NotImplementedError()


# %% tags=["core"]
def bit_layout(dtype: torch.dtype) -> tuple[int, int, int]:
    """Return how many sign, exponent and mantissa bits a float dtype stores.

    dtype: any float dtype of the table above.  The 1 in front of the mantissa is not stored, so eps is 2 to the power
    of minus the mantissa bits.  TypeError for integer dtypes, torch.bool and complex dtypes.

    >>> bit_layout(torch.float16)
    (1, 5, 10)
    >>> bit_layout(torch.bfloat16)
    (1, 8, 7)
    >>> bit_layout(torch.float8_e4m3fn)
    (1, 4, 3)
    """
    if not dtype.is_floating_point:
        raise TypeError(f"{dtype} is not a float dtype")
    # YOUR CODE HERE
    raise NotImplementedError()


# %% [markdown]
# ## What a dtype really stores
#
# A Python float is a float64. Most decimal fractions are not among its numbers, so the nearest one is stored; in a
# narrower dtype the nearest one is further away. Printing hides that, because it shows only a few digits. With 60
# decimals there is nothing left to hide.

# %% tags=["active-ipynb"]
# print(f"{1 / 3:.60f}  a Python float")
# print(torch.tensor(1 / 3, dtype=torch.bfloat16), torch.tensor(1 / 3, dtype=torch.float16), "what torch prints")


# %% tags=["core"]
def stored_value(value: float, dtype: torch.dtype) -> str:
    """Write with 60 decimals the number that a float dtype stores for `value`.

    dtype: float64, float32, float16 or bfloat16; inside its range also float8_e4m3fn or float8_e5m2.
    The infinities and nan come as 'inf', '-inf' and 'nan'; so does a value that is rounded to an infinity.

    >>> stored_value(1001.1, torch.bfloat16)
    '1000.000000000000000000000000000000000000000000000000000000000000'
    >>> stored_value(1 / 3, torch.bfloat16)
    '0.333984375000000000000000000000000000000000000000000000000000'
    >>> stored_value(1 / 3, torch.float64)
    '0.333333333333333314829616256247390992939472198486328125000000'
    >>> stored_value(-inf, torch.float16), stored_value(1e39, torch.float32)
    ('-inf', 'inf')
    >>> stored_value(65519.0, torch.float16)[:8]
    '65504.00'
    """
    # YOUR CODE HERE
    raise NotImplementedError()


# %% [markdown]
# ## Downcasting
#
# `tensor.to(dtype)` rounds every element to the nearest number of the new dtype; halfway between two, to the one
# whose last bit is 0 ("half to even"). What is too large becomes inf, what is too small becomes 0. The result is a
# **new** tensor, and going back up does not bring the lost bits back.

# %% tags=["active-ipynb"]
# x = torch.tensor([1 / 3, 257.0, 65519.0, 65520.0, 1e-8])
# for dtype in (torch.bfloat16, torch.float16):
#     print(f"{str(dtype):15}", x.to(dtype).to(torch.float64).tolist())

# %% [markdown]
# Two corners in which today's torch differs from that rule; no exercise asks about them. float8_e4m3fn has no inf: what
# is too large for it, infinities too, becomes 448, its largest number. And from float64 to a 16-bit dtype torch goes
# through float32, so that a number very close to a tie may be rounded twice.

# %% tags=["active-ipynb"]
# print("too large for float8_e4m3fn:", torch.tensor([math.inf, 1000.0]).to(torch.float8_e4m3fn).tolist())
# just_above_the_tie = torch.tensor(1 + 2**-11 + 2**-30, dtype=torch.float64)
# print("nearest float16:", 1 + 2**-10, "  by way of float32:", just_above_the_tie.to(torch.float16).item())


# %% tags=["core"]
def downcast(tensor: Tensor, dtype: torch.dtype) -> Tensor:
    """Return the tensor rounded to a float dtype: nearest number, half to even, too large becomes inf.

    tensor: float, any shape (0-dim and empty too), any strides; it stays as it is.  Returns: same shape, `dtype`, which
    may be float8_e4m3fn or float8_e5m2 inside their range.  If the tensor has the dtype already, it may come back itself.

    >>> downcast(tensor([1.01171875, 1.00390625, 65520.0]), torch.bfloat16)
    tensor([1.015625, 1.0, 65536.0], dtype=torch.bfloat16)
    >>> downcast(tensor([2049.5, 65519.0, -65520.0]), torch.float16)
    tensor([2050.0, 65504.0, -inf], dtype=torch.float16)
    >>> x = tensor(1.00390625)
    >>> downcast(x, torch.bfloat16), x
    (tensor(1.0, dtype=torch.bfloat16), tensor(1.00390625))
    """
    # YOUR CODE HERE
    raise NotImplementedError()


# %% [markdown]
# What did it cost? Cast down, cast up again, and compare. The comparison itself must not round: do it in float64.
# Inside a dtype's normal range the error is at most $\mathrm{eps} / 2$ times the value. The eps of bfloat16 is eight
# times that of float16, so its histogram is the same, moved to the right by a factor of eight.

# %% tags=["active-ipynb"]
# sample = torch.rand(10_000, generator=torch.Generator().manual_seed(0))
# for dtype in (torch.bfloat16, torch.float16):
#     ratio = sample.to(dtype).double() / sample.double()
#     worst = (ratio - 1).abs().max()
#     print(f"{str(dtype):15} largest relative error {worst:.6f}, eps / 2 = {torch.finfo(dtype).eps / 2:.6f}")
# pictures.show(pictures.downcast_errors(sample, (torch.bfloat16, torch.float16)))


# %% tags=["core"]
def downcast_error(tensor: Tensor, dtype: torch.dtype) -> Tensor:
    """Return the absolute error that each element suffers when it is cast to `dtype` and back.

    tensor: float, any shape but 0-dim.  dtype: float64, float32, float16 or bfloat16.  Returns: float64,
    same shape.
    The difference is taken in float64: inf where the value overflows, nan where it was inf or nan before.

    >>> downcast_error(tensor([1.00048828125, 1.00146484375, 70000.0, inf]), torch.float16)
    tensor([0.00048828125, 0.00048828125, inf, nan], dtype=torch.float64)
    >>> downcast_error(tensor([[3.0], [-257.0]]), torch.bfloat16)
    tensor([[0.0], [1.0]], dtype=torch.float64)
    >>> downcast_error(tensor([1 + 2**-30], dtype=torch.float64), torch.float32)
    tensor([9.313225746154785e-10], dtype=torch.float64)
    """
    # YOUR CODE HERE
    raise NotImplementedError()


# %% [markdown]
# ## A downcast in a dot product
#
# Take 1000 random numbers between 0 and 1, and the dot product of this vector with itself, in float32 and in
# bfloat16. **Every bfloat16 result is even**, whatever the seed. The reason is spacing: the exact results lie near
# $1000 / 3$, and between 256 and 512 neighbouring bfloat16 numbers are $256 \cdot 2^{-7} = 2$ apart. Nothing odd can
# be written down there.

# %% tags=["active-ipynb"]
# for seed in (0, 42, 123):
#     x = torch.rand(1000, generator=torch.Generator().manual_seed(seed))
#     low = x.to(torch.bfloat16)
#     print(f"seed {seed:3}   float32 {torch.dot(x, x):.4f}   bfloat16 {torch.dot(low, low):.1f}")
# print("odd numbers in bfloat16:", torch.tensor([333.0, 335.0, 337.0], dtype=torch.bfloat16).tolist())

# %% [markdown]
# Two things happen in such a product, and they are not the same. The *operands* are rounded when they are cast. The
# *result* is rounded when it is stored. In between, `torch.dot` on a 16-bit dtype multiplies and adds in float32, and
# rounds once at the end. Writing `(x * y).sum()` rounds each product as well, because `x * y` is a tensor of that
# dtype:

# %% tags=["active-ipynb"]
# x = torch.tensor([1.0625, -1.125], dtype=torch.bfloat16)
# y = torch.tensor([1.0625, 1.0], dtype=torch.bfloat16)
# print("exact", 1.0625**2 - 1.125, "  torch.dot", torch.dot(x, y).item(), "  (x * y).sum()", (x * y).sum().item())


# %% tags=["core"]
def dot_in_dtype(x: Tensor, y: Tensor, dtype: torch.dtype) -> Tensor:
    """Cast both vectors to `dtype`, then return their dot product in that dtype.

    x, y: float, 1-D, of one length, else ValueError.  dtype: float64, float32, float16 or bfloat16.
    Returns: 0-dim, `dtype`.  For a 16-bit dtype multiply and add in float32 or wider and round once, as torch.dot does.

    >>> dot_in_dtype(tensor([1.00598144531250, -1.0]), tensor([1.0, 1.0029296875]), torch.bfloat16)
    tensor(0.0078125, dtype=torch.bfloat16)
    >>> x = tensor([2.0, 0.0078125, -2.0, -1.125, 1.0625])
    >>> dot_in_dtype(x, tensor([1.0, 1.0, 1.0, 1.0, 1.0625]), torch.bfloat16)
    tensor(0.01171875, dtype=torch.bfloat16)
    >>> dot_in_dtype(tensor([256.0, 1.0, 1.0]), torch.ones(3), torch.bfloat16)
    tensor(258.0, dtype=torch.bfloat16)
    """
    if x.dim() != 1 or x.shape != y.shape:
        raise ValueError("a dot product needs two vectors of one length")
    # YOUR CODE HERE
    raise NotImplementedError()


# %% tags=["core"]
def dot_relative_error(x: Tensor, y: Tensor, dtype: torch.dtype) -> float:
    """Return |dot_in_dtype(x, y, dtype) - exact| / |exact|, exact being the dot product taken in float64.

    x, y: float, finite, 1-D, of one length; `exact` is taken of the vectors as given, before any cast.
    0.0 when both are zero; inf when only the exact one is, and inf when the result of dot_in_dtype is not finite.

    >>> dot_relative_error(tensor([-1.005859375, 0.75, 0.005859375]), torch.ones(3), torch.bfloat16)
    0.0078125
    >>> dot_relative_error(tensor([4097.0]), tensor([4097.0]), torch.float32)  # 16785409 needs 25 bits
    5.957555159960654e-08
    >>> dot_relative_error(tensor([1.0, -1.0]), torch.ones(2), torch.float16)
    0.0
    >>> dot_relative_error(tensor([1.005859375, -1.0, -0.005859375]), torch.ones(3), torch.bfloat16)
    inf
    >>> dot_relative_error(tensor([300.0]), tensor([300.0]), torch.float16)
    inf
    """
    # YOUR CODE HERE
    raise NotImplementedError()


# %% [markdown]
# ## What downcasting brings, and what it takes
#
# **Advantages.** Half the bytes: twice the model in the same memory, half the time to move it. On hardware with
# 16-bit units also more operations per second.
#
# **Disadvantages.** Precision: two to four decimal digits are left. Range: in float16, numbers from 65520 on are inf.
# And what is added up in many small steps suffers most. In the cell below each number changes by less than 0.4 %; but a
# weight in bfloat16, from which 0.001 is taken a hundred times, stays where it is: every single step is less than half
# of the spacing, and lost.

# %% tags=["active-ipynb"]
# x = torch.rand(2000, generator=torch.Generator().manual_seed(1))
# low = x.to(torch.bfloat16)
# print("bytes of a number:", x.element_size(), "->", low.element_size())
# print("largest relative error of a number:", (low.double() / x.double() - 1).abs().max().item())
# for dtype in (torch.float32, torch.bfloat16):
#     weight = torch.ones((), dtype=dtype)
#     for _ in range(100):
#         weight -= 0.001
#     print(f"{str(dtype):15} 1 - 100 * 0.001 = {weight.item():.6f}")

# %% [markdown] tags=["question"]
# ## In your own words: range against precision
#
# A layer's activations reach 70000. In float16 the model's output is `nan`, in bfloat16 it is usable, although
# bfloat16 has an eps eight times as large. Explain in four to eight sentences: why does bfloat16 survive where
# float16 overflows, what does it pay for that, and which numbers of a model would you still not keep in bfloat16?
# Name the bits that matter, and give one number that shows the price.

# %% [markdown] tags=["answer"]
# YOUR ANSWER HERE

# %% [markdown]
# ## Practice: sizes and limits
#
# The size of a tensor is the number of its elements times the bytes of one. A *view* may have more or fewer elements
# than the memory behind it.

# %% tags=["active-ipynb"]
# row = torch.zeros(1, 1000)
# table = row.expand(1000, 1000)
# print("elements of the view:", table.numel(), "  bytes of the memory behind them:", table.untyped_storage().nbytes())


# %% tags=["practice"]
def tensor_bytes(tensor: Tensor) -> int:
    """Return the bytes of the tensor's elements.

    tensor: any dtype (a bool takes 1 byte), any shape (empty, 0-dim), any device (meta too).
    A view (strided, expanded, a slice) counts its elements, not the storage behind it.

    >>> tensor_bytes(torch.zeros(3, 5, dtype=torch.bool))
    15
    >>> tensor_bytes(torch.zeros(10, dtype=torch.float64)[::2]), tensor_bytes(torch.zeros(10, dtype=torch.float64)[:3])
    (40, 24)
    """
    # YOUR CODE HERE
    raise NotImplementedError()


# %% [markdown]
# A float that is too large becomes inf. Where exactly? Not above the largest number, but from the point where
# rounding to nearest would go up: float16 ends at 65504, its next number would be 65536, and the middle, 65520, is
# the first to overflow.

# %% tags=["active-ipynb"]
# print(torch.tensor([65504.0, 65519.0, 65520.0, -65520.0]).to(torch.float16))


# %% tags=["practice"]
def overflows(tensor: Tensor, dtype: torch.dtype) -> Tensor:
    """Mark the finite elements that a cast to `dtype` turns into an infinity.

    tensor: float, any shape but 0-dim.  dtype: float16, bfloat16 or float32.  Returns: bool, same shape.
    inf and nan that were there before are False.

    >>> overflows(tensor([[65519.0, 65520.0, -70000.0], [inf, nan, 0.0]]), torch.float16)
    tensor([[False, True, True], [False, False, False]])
    >>> overflows(tensor([70000.0, -3.4e38]), torch.bfloat16)
    tensor([False, True])
    """
    # YOUR CODE HERE
    raise NotImplementedError()


# %% [markdown]
# Integers do worse. They have no inf, so a sum that leaves the range *wraps around*. A cast from float to an integer
# dtype first drops the fraction, and outside the range anything may happen: the result differs between machines.
# Quantization therefore always rounds, then clamps, then casts. That is called *saturation*.

# %% tags=["active-ipynb"]
# x = torch.tensor([100], dtype=torch.int8)
# print("100 + 100 in int8:", (x + x).item(), "  100 * 100:", (x * x).item())
# print("1.9 and -1.9 cast to int8:", torch.tensor([1.9, -1.9]).to(torch.int8).tolist())
# print("half to even:", torch.tensor([0.5, 1.5, 2.5, -0.5, -1.5]).round().tolist())
# print("the largest int32, as a float32:", torch.tensor(2**31 - 1).to(torch.float32).item())


# %% tags=["practice"]
def saturating_cast(tensor: Tensor, dtype: torch.dtype) -> Tensor:
    """Round half to even, clamp to the range of an integer dtype, then cast to it; never wrap.

    tensor: float or integer, any shape but 0-dim; infinities saturate, integers are clamped too, nan is a
    ValueError.
    dtype: uint8, int8, int16 or int32 (ValueError for int64, TypeError for a float dtype or torch.bool).

    >>> saturating_cast(tensor([[0.5, 1.5, -2.5], [300.0, -129.0, 1.9]]), torch.int8)
    tensor([[0, 2, -2], [127, -128, 2]], dtype=torch.int8)
    >>> saturating_cast(tensor([3e9, -inf]), torch.int32)
    tensor([2147483647, -2147483648], dtype=torch.int32)
    >>> saturating_cast(tensor([16777217, 3000000000]), torch.int32)
    tensor([16777217, 2147483647], dtype=torch.int32)
    """
    if dtype.is_floating_point or dtype == torch.bool:
        raise TypeError(f"{dtype} is not an integer dtype")
    if dtype == torch.int64 or tensor.isnan().any():
        raise ValueError("nan has no integer, and int64 is too wide")
    # YOUR CODE HERE
    raise NotImplementedError()


# %% tags=["practice"]
def spacing(value: float, dtype: torch.dtype) -> float:
    """Return the distance from |value|, rounded to `dtype`, to the next larger number of that dtype.

    dtype: float64, float32, float16 or bfloat16.  Zero gives the smallest subnormal; the largest finite number has the
    spacing of the numbers below it.  ValueError if the value is inf or nan, or becomes so in `dtype`.

    >>> spacing(256.0, torch.bfloat16), spacing(-384.0, torch.bfloat16)
    (2.0, 2.0)
    >>> spacing(255.9, torch.bfloat16)
    2.0
    >>> spacing(65504.0, torch.float16), spacing(0.0, torch.float16), spacing(1e-5, torch.float16)
    (32.0, 5.960464477539063e-08, 5.960464477539063e-08)
    >>> spacing(65520.0, torch.float16)
    Traceback (most recent call last):
        ...
    ValueError
    """
    # YOUR CODE HERE
    raise NotImplementedError()


# %% tags=["practice"]
def smallest_integer_dtype(low: int, high: int) -> torch.dtype:
    """Return the narrowest of uint8, int8, int16, int32 and int64 that holds both low and high.

    At equal width the signed one wins.  ValueError if none holds them, or if low > high.

    >>> smallest_integer_dtype(-128, 127), smallest_integer_dtype(5, 100)
    (torch.int8, torch.int8)
    >>> smallest_integer_dtype(0, 200), smallest_integer_dtype(-1, 200), smallest_integer_dtype(0, 40000)
    (torch.uint8, torch.int16, torch.int32)
    >>> smallest_integer_dtype(0, 2**63)
    Traceback (most recent call last):
        ...
    ValueError
    """
    if low > high:
        raise ValueError("low is above high")
    # YOUR CODE HERE
    raise NotImplementedError()


# %% [markdown]
# ## Practice: bits
#
# bfloat16 is the upper half of float32, so rounding to it is integer arithmetic: look at the 16 bits that go, and
# carry into the 16 that stay. One carry rule serves all numbers, because the next pattern is always the next larger
# number, across powers of two and up to inf.

# %% tags=["active-ipynb"]
# x = torch.tensor([1.0, 1.00390625, 1.01171875, -1.998046875, 3.4e38])
# for value, pattern, rounded in zip(x.tolist(), x.view(torch.int32).tolist(), x.bfloat16().tolist()):
#     bits = f"{pattern & 0xFFFFFFFF:032b}"
#     print(f"{bits[0]} {bits[1:9]} {bits[9:16]} | {bits[16:]}   {value:.9g} becomes {rounded:.9g}")


# %% tags=["practice"]
def round_to_bfloat16(tensor: Tensor) -> Tensor:
    """Round each float32 to the nearest bfloat16, half to even, by integer arithmetic on its bits.

    tensor: float32, any shape but 0-dim.  Returns: float32, same shape, bit-equal to
    `tensor.to(torch.bfloat16).float()` but made without a cast to bfloat16: ties, carries, overflow to inf, subnormals,
    -0.0 and inf included; nan stays nan.

    >>> round_to_bfloat16(tensor([1.01171875, 1.00390625, 1.001953125, -3.4e38, -0.0]))
    tensor([1.015625, 1.0, 1.0, -inf, -0.0])
    >>> round_to_bfloat16(tensor([0x7FFFFFFF], dtype=torch.int32).view(torch.float32))
    tensor([nan])
    >>> from exercises.kit.probes.l2 import converted_to
    >>> torch.bfloat16 in converted_to(round_to_bfloat16, tensor([1.0]))[1]
    False
    """
    # YOUR CODE HERE
    raise NotImplementedError()


# %% [markdown]
# Two exponent patterns are special. All zeros: no hidden 1, and the exponent is that of the smallest normal number;
# these are the *subnormals*, which fill the gap around zero evenly. All ones: inf if the mantissa is zero, else nan.
# (float8_e4m3fn breaks the second rule to gain one more power of two: it has nan, but no inf.)

# %% tags=["active-ipynb"]
# patterns = torch.tensor([0x0001, 0x0400, 0x3C00, 0x7BFF, 0x7C00, 0x7E00], dtype=torch.int16)
# for pattern, value in zip(patterns.tolist(), patterns.view(torch.float16).tolist()):
#     print(f"{pattern:016b}  {value}")


# %% tags=["practice"]
def decode_bits(bits: str, exponent_bits: int, mantissa_bits: int) -> float:
    """Return the number that an IEEE 754 bit string (sign, exponent, mantissa) stands for.

    2 <= exponent_bits <= 11, 1 <= mantissa_bits <= 52.  Subnormals, -0.0, inf and nan as in IEEE 754-2019, section 3.4.
    ValueError for a wrong length and for any character but 0 and 1.

    >>> decode_bits("0100000001000000", 5, 10)
    2.125
    >>> decode_bits("10000011", 4, 3)
    -0.005859375
    >>> decode_bits("11111100", 5, 2), decode_bits("01111101", 5, 2)
    (-inf, nan)
    """
    if len(bits) != 1 + exponent_bits + mantissa_bits or not set(bits) <= {"0", "1"}:
        raise ValueError("the bit string does not fit the format")
    # YOUR CODE HERE
    raise NotImplementedError()


# %% [markdown]
# ## Practice: sums that stall
#
# Add ones in bfloat16. At 256 the spacing becomes 2; 257 lies exactly between 256 and 258, half to even gives 256,
# and the sum never moves again. In general a sum stalls as soon as what is added is at most half of the spacing (at
# exactly half, when the last bit of the sum is 0). float16 stalls at 2048, float32 at 16777216.

# %% tags=["active-ipynb"]
# for dtype in (torch.bfloat16, torch.float16, torch.float32):
#     total = torch.tensor(2 / torch.finfo(dtype).eps, dtype=dtype)
#     print(f"{str(dtype):15} {total.item():.0f} + 1 = {(total + 1).item():.0f}")
# pictures.show(pictures.stalling_sum(3000, (torch.float32, torch.float16, torch.bfloat16)))


# %% tags=["practice"]
def running_sum(tensor: Tensor, dtype: torch.dtype) -> Tensor:
    """Cast the elements to `dtype` and add them from left to right, rounding every partial sum to `dtype`.

    tensor: float, 1-D.  dtype: float64, float32, float16 or bfloat16.  Returns: 0-dim, `dtype`.
    The sum starts at +0, so an empty tensor gives 0.

    >>> running_sum(tensor([-1.0, 0.00390625, -1.0, 1.0, 1.005859375]), torch.bfloat16)
    tensor(0.0078125, dtype=torch.bfloat16)
    >>> running_sum(torch.ones(300), torch.bfloat16)
    tensor(256.0, dtype=torch.bfloat16)
    """
    # YOUR CODE HERE
    raise NotImplementedError()


# %% [markdown]
# The remedy is **mixed precision**: store in 16 bits, multiply and add in 32, round once. A product of two 16-bit
# floats fits into a float32 without any rounding (8 + 8 or 11 + 11 significant bits, 24 are there), unless it is
# tiny. Matrix units in hardware work this way.

# %% tags=["active-ipynb"]
# x = torch.tensor([60000.0, 60000.0, -60000.0], dtype=torch.float16)
# print("in float16, step by step:", (x[0] + x[1] + x[2]).item())
# print("in float32, then rounded:", x.float().sum().half().item())
# x, y = torch.randn(2, 1000, generator=torch.Generator().manual_seed(0)).half()
# print("products exact in float32:", torch.equal((x.float() * y.float()).double(), x.double() * y.double()))


# %% tags=["practice"]
def mixed_precision_dot(x: Tensor, y: Tensor) -> Tensor:
    """Multiply and add two 16-bit vectors in float32 or wider, and round the sum once to their dtype.

    x, y: 1-D, of one length, both float16 or both bfloat16, else ValueError.  Returns: 0-dim, same dtype.

    >>> x = tensor([2.0, 0.0078125, -2.0, -1.125, 1.0625], dtype=torch.bfloat16)
    >>> mixed_precision_dot(x, tensor([1.0, 1.0, 1.0, 1.0, 1.0625], dtype=torch.bfloat16))
    tensor(0.01171875, dtype=torch.bfloat16)
    >>> mixed_precision_dot(tensor([60000.0, 60000.0, -60000.0]).half(), torch.ones(3).half())
    tensor(60000.0, dtype=torch.float16)
    """
    if x.dim() != 1 or x.shape != y.shape:
        raise ValueError("a dot product needs two vectors of one length")
    if x.dtype != y.dtype or x.dtype not in (torch.float16, torch.bfloat16):
        raise ValueError("both vectors are float16, or both bfloat16")
    # YOUR CODE HERE
    raise NotImplementedError()
