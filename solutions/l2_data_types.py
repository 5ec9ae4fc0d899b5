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
# hint 1: Where does torch itself keep what it knows about an integer dtype, and what happens when you ask it about a
#         float one?
# hint 2: Look up torch.iinfo and its attributes.
# hint 3: Two lines: ask torch for the description of the dtype, then return its smallest and its largest value as a
#         tuple. The TypeErrors come by themselves.
# >>> integer_range(torch.complex64)
# Traceback (most recent call last):
# TypeError
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
    ### BEGIN SOLUTION
    info = torch.iinfo(dtype)
    return info.min, info.max
    ### END SOLUTION


# %% tags=["core"]
# hint 1: How many patterns do n bits have, and how many of them are left for numbers from 0 on when half of the
#         patterns mean negative numbers?
# hint 2: No torch here: Python's ** on ints, which never rounds.
# hint 3: Two cases. Unsigned: from 0 to one less than the number of patterns. Signed: half of the patterns lie below
#         zero, and the largest is one less than that half.
# >>> range_from_bits(1, True), range_from_bits(2000, True) == (-(2**1999), 2**1999 - 1)
# ((-1, 0), True)
# >>> range_from_bits(100, False)[1] == 2**100 - 1
# True
# >>> range_from_bits(0, True)
# Traceback (most recent call last):
# ValueError
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
    ### BEGIN SOLUTION
    if signed:
        return -(2 ** (bits - 1)), 2 ** (bits - 1) - 1
    return 0, 2**bits - 1
    ### END SOLUTION


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
# hint 1: Which five facts are asked for, and which of them does torch know by the very same name?
# hint 2: Look up torch.finfo and its attributes.
# hint 3: Ask torch for the description of the dtype, then build a dict with five keys, each holding the attribute of
#         that name. The TypeErrors come by themselves.
# >>> float_properties(torch.float8_e5m2)["eps"], float_properties(torch.float64)["eps"]
# (0.25, 2.220446049250313e-16)
# >>> float_properties(torch.bool)
# Traceback (most recent call last):
# TypeError
# >>> float_properties(torch.int32)
# Traceback (most recent call last):
# TypeError
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
    ### BEGIN SOLUTION
    info = torch.finfo(dtype)
    names = ("bits", "min", "max", "smallest_normal", "eps")
    return {name: getattr(info, name) for name in names}
    ### END SOLUTION


# %% tags=["core"]
# hint 1: If eps is the distance from 1 to the next number, how many binary digits stand behind the point of a
#         mantissa?
# hint 2: Look up torch.finfo (bits and eps), math.log2 and round.
# hint 3: Three lines: the mantissa bits from eps; the exponent bits are what remains of all bits after sign and
#         mantissa; return the three in the order sign, exponent, mantissa.
# >>> bit_layout(torch.float8_e5m2)
# (1, 5, 2)
# >>> bit_layout(torch.complex64)
# Traceback (most recent call last):
# TypeError
# >>> bit_layout(torch.bool)
# Traceback (most recent call last):
# TypeError
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
    ### BEGIN SOLUTION
    info = torch.finfo(dtype)
    mantissa = round(-math.log2(info.eps))
    return 1, info.bits - 1 - mantissa, mantissa
    ### END SOLUTION


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
# hint 1: At which moment does a number lose digits: when it is printed, or when it is put into a tensor of that
#         dtype?
# hint 2: Look up torch.tensor with its dtype argument, item(), and the format specification .60f.
# hint 3: One line from the inside out: store the value in a tensor of the dtype, take it out as a Python float, which
#         holds it exactly, and format that with 60 decimals.
# >>> stored_value(nan, torch.bfloat16)
# 'nan'
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
    ### BEGIN SOLUTION
    return format(torch.tensor(value, dtype=dtype).item(), ".60f")
    ### END SOLUTION


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
# hint 1: Does casting a tensor change it, or make another one?
# hint 2: Look up Tensor.to.
# hint 3: One line: return what the cast of the tensor gives. Nothing has to be rounded, clamped or copied by hand.
# >>> downcast(tensor([2.0**-24, nan]), torch.float16)
# tensor([5.960464477539063e-08, nan], dtype=torch.float16)
# >>> downcast(tensor([1.0625 + 2.0**-12]), torch.float8_e4m3fn).float()
# tensor([1.125000000])
# >>> downcast(torch.zeros(0, 3), torch.float16).shape == (0, 3)
# True
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
    ### BEGIN SOLUTION
    return tensor.to(dtype)
    ### END SOLUTION


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
# hint 1: In which dtype can you take the difference of two numbers without rounding it again?
# hint 2: Look up Tensor.to, Tensor.double and Tensor.abs.
# hint 3: One line: the tensor in float64, minus the tensor cast down and then to float64, without its sign. The cases
#         with inf and nan come by themselves.
# >>> downcast_error(tensor([65504.0], dtype=torch.float16), torch.bfloat16)
# tensor([32.], dtype=torch.float64)
# >>> downcast_error(tensor([nan]), torch.float16)
# tensor([nan], dtype=torch.float64)
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
    ### BEGIN SOLUTION
    return (tensor.double() - tensor.to(dtype).double()).abs()
    ### END SOLUTION


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
# hint 1: Two things are rounded, the operands and the result. When does each happen, and what must not be rounded in
#         between?
# hint 2: Look up torch.dot; and see in the cell above why it is not the sum of products.
# hint 3: One line: cast both vectors, then take their dot product with torch's own function, which adds in float32
#         and rounds once.
# >>> dot_in_dtype(tensor([300.0]), tensor([300.0]), torch.float16)
# tensor(inf, dtype=torch.float16)
# >>> dot_in_dtype(tensor([1 + 2.0**-40], dtype=torch.float64), torch.ones(1, dtype=torch.float64), torch.float64) - 1
# tensor(9.094947017729282e-13, dtype=torch.float64)
# >>> dot_in_dtype(torch.ones(2), torch.ones(1), torch.float32)
# Traceback (most recent call last):
# ValueError
# >>> dot_in_dtype(torch.ones(1, 2), torch.ones(1, 2), torch.float32)
# Traceback (most recent call last):
# ValueError
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
    ### BEGIN SOLUTION
    return torch.dot(x.to(dtype), y.to(dtype))
    ### END SOLUTION


# %% tags=["core"]
# hint 1: Which of the two dot products may be rounded, and in which dtype does the other one see every digit of the
#         given vectors?
# hint 2: Look up torch.dot on float64 tensors, item() and math.isfinite.
# hint 3: Five lines: the exact result as a Python float; the result of your dot_in_dtype as one; if that is not
#         finite, inf; if the exact one is 0, then 0.0 or inf; else the quotient of magnitudes.
# >>> dot_relative_error(tensor([1.005859375, 1.0, -2.0068359375]), torch.ones(3), torch.bfloat16)
# 9.0
# >>> dot_relative_error(tensor([70000.0, -70000.0]), torch.ones(2), torch.float16)
# inf
# >>> dot_relative_error(tensor([70000.0, 1.0]), tensor([0.0, 1.0]), torch.float16)
# inf
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
    ### BEGIN SOLUTION
    exact = torch.dot(x.double(), y.double()).item()
    result = dot_in_dtype(x, y, dtype).item()
    if not math.isfinite(result):
        return math.inf
    if exact == 0:
        return 0.0 if result == 0 else math.inf
    return abs(result - exact) / abs(exact)
    ### END SOLUTION


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
# ### BEGIN SOLUTION
# Both dtypes have 16 bits, one of them the sign. float16 spends 5 of the rest on the exponent and 10 on the mantissa,
# bfloat16 8 and 7. The exponent decides the range: with 5 bits it ends at 65504, and from 65520 on a cast gives inf;
# inf minus inf is nan, and that is what reaches the output. With 8 bits, as many as float32 has, the range goes to
# 3.4e38, so that 70000 is an ordinary number: it is stored as 70144, an error of 0.2 %. The mantissa decides the
# precision: seven bits leave 2 to 3 decimal digits, and neighbouring numbers between 256 and 512 are 2 apart, so 257
# cannot be stored. A trained network mostly bears it, since it sums over many small rounding errors of both signs,
# but an overflow destroys everything after it. Long sums are another matter: adding ones in bfloat16 stops at 256.
# Accumulators, the statistics of normalisation layers, losses and the weights that an optimiser updates by small
# steps are therefore kept in float32.
#
# Mark scheme:
#
# - 1 point: the widths, 5 exponent and 10 mantissa bits against 8 and 7.
# - 1 point: exponent bits decide the range; 70000 is beyond float16's 65504 and becomes inf, and inf leads to nan.
# - 1 point: bfloat16 has the exponent of float32, hence nearly its range.
# - 1 point: mantissa bits decide the precision; bfloat16 pays with the coarser grid, eps 2^-7 against 2^-10.
# - 1 point: one right number for the price (70000 is stored as 70144; 257 as 256; spacing 2 from 256 on; up to 0.4 %
#   per value).
# - 1 point: what should stay wider, with a reason (long sums stall; small updates vanish).
#
# Wording and order do not matter. An answer that calls bfloat16 the more precise one does not get the fourth mark.
# ### END SOLUTION

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
# hint 1: What does a view have of its own, and what does it share?
# hint 2: Look up Tensor.numel and Tensor.element_size.
# hint 3: One line: a product of two numbers that the tensor knows.
# >>> [tensor_bytes(torch.zeros(shape)) for shape in ((), (0, 3), (2, 3, 4))], tensor_bytes(torch.zeros(2) + 1j)
# ([4, 0, 96], 16)
# >>> tensor_bytes(torch.zeros(3, 1, device="meta").expand(3, 4)), tensor_bytes(torch.ones(100, dtype=torch.bool))
# (48, 100)
def tensor_bytes(tensor: Tensor) -> int:
    """Return the bytes of the tensor's elements.

    tensor: any dtype (a bool takes 1 byte), any shape (empty, 0-dim), any device (meta too).
    A view (strided, expanded, a slice) counts its elements, not the storage behind it.

    >>> tensor_bytes(torch.zeros(3, 5, dtype=torch.bool))
    15
    >>> tensor_bytes(torch.zeros(10, dtype=torch.float64)[::2]), tensor_bytes(torch.zeros(10, dtype=torch.float64)[:3])
    (40, 24)
    """
    ### BEGIN SOLUTION
    return tensor.numel() * tensor.element_size()
    ### END SOLUTION


# %% [markdown]
# A float that is too large becomes inf. Where exactly? Not above the largest number, but from the point where
# rounding to nearest would go up: float16 ends at 65504, its next number would be 65536, and the middle, 65520, is
# the first to overflow.

# %% tags=["active-ipynb"]
# print(torch.tensor([65504.0, 65519.0, 65520.0, -65520.0]).to(torch.float16))


# %% tags=["practice"]
# hint 1: What tells a value that overflowed apart from an inf that was there before?
# hint 2: Look up Tensor.isfinite, Tensor.isinf and the operator & on masks.
# hint 3: One line: two masks combined, one of the tensor as given, one of its cast.
# >>> overflows(tensor([1e39, 1e38], dtype=torch.float64), torch.float32)
# tensor([ True, False])
def overflows(tensor: Tensor, dtype: torch.dtype) -> Tensor:
    """Mark the finite elements that a cast to `dtype` turns into an infinity.

    tensor: float, any shape but 0-dim.  dtype: float16, bfloat16 or float32.  Returns: bool, same shape.
    inf and nan that were there before are False.

    >>> overflows(tensor([[65519.0, 65520.0, -70000.0], [inf, nan, 0.0]]), torch.float16)
    tensor([[False, True, True], [False, False, False]])
    >>> overflows(tensor([70000.0, -3.4e38]), torch.bfloat16)
    tensor([False, True])
    """
    ### BEGIN SOLUTION
    return tensor.isfinite() & tensor.to(dtype).isinf()
    ### END SOLUTION


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
# hint 1: In which order do rounding, clamping and casting have to come, so that no step can wrap? And which float
#         dtype holds every int32?
# hint 2: Look up torch.iinfo, Tensor.round, Tensor.clamp, and float64.
# hint 3: Two lines: the limits of the dtype; then widen, round, clamp to both limits and cast, in one chain.
# >>> saturating_cast(tensor([-5], dtype=torch.int8), torch.uint8)
# tensor([0], dtype=torch.uint8)
# >>> saturating_cast(tensor([1.0, nan]), torch.int8)
# Traceback (most recent call last):
# ValueError
# >>> saturating_cast(tensor([1.0]), torch.int64)
# Traceback (most recent call last):
# ValueError
# >>> saturating_cast(torch.zeros(0), torch.float16)
# Traceback (most recent call last):
# TypeError
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
    ### BEGIN SOLUTION
    info = torch.iinfo(dtype)
    return tensor.double().round().clamp(info.min, info.max).to(dtype)
    ### END SOLUTION


# %% tags=["practice"]
# hint 1: Between two neighbouring powers of two all gaps are equal. How large is the gap from 1 on, and how does it
#         grow with the exponent?
# hint 2: Look up torch.finfo (eps, smallest_normal), math.frexp and math.isfinite; or torch.nextafter.
# hint 3: Store the magnitude in the dtype first and refuse what is not finite. The gap is eps times the power of two
#         at or below the value; below the smallest normal number it does not shrink any more.
# >>> spacing(-256.0, torch.bfloat16), spacing(1e-30, torch.float16)
# (2.0, 5.960464477539063e-08)
# >>> spacing(1.7976931348623157e308, torch.float64) == 2.0**971
# True
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
    ### BEGIN SOLUTION
    stored = torch.tensor(abs(value), dtype=dtype).item()
    if not math.isfinite(stored):
        raise ValueError(f"{value} is not finite in {dtype}")
    info = torch.finfo(dtype)
    exponent = math.frexp(max(stored, info.smallest_normal))[1] - 1
    return 2.0**exponent * info.eps
    ### END SOLUTION


# %% tags=["practice"]
# hint 1: If you try the five candidates one after the other, in which order do you have to try them?
# hint 2: Look up torch.iinfo.
# hint 3: A loop over the five dtypes, from narrow to wide and signed before unsigned: return the first whose limits
#         enclose both numbers. Behind the loop a ValueError.
# >>> smallest_integer_dtype(-(2**63) - 1, 0)
# Traceback (most recent call last):
# ValueError
# >>> smallest_integer_dtype(1, 0)
# Traceback (most recent call last):
# ValueError
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
    ### BEGIN SOLUTION
    for dtype in (torch.int8, torch.uint8, torch.int16, torch.int32, torch.int64):
        info = torch.iinfo(dtype)
        if info.min <= low and high <= info.max:
            return dtype
    raise ValueError(f"no integer dtype holds {low} and {high}")
    ### END SOLUTION


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
# hint 1: Of 32 bits the upper 16 stay. When does the lower half make the upper half one larger, and what decides
#         exactly at the middle?
# hint 2: Look up Tensor.view with torch.int32, the operators >> and &, torch.where and Tensor.isnan.
# hint 3: Four lines: the bits as integers; the last bit that stays; add just less than half a step plus that bit and
#         mask the lower half away; view as floats, but keep nan as it was.
# >>> round_to_bfloat16(tensor([[1.01171875, 2.0**-133], [1.0, 2.0]]).t())
# tensor([[1.015625000e+00, 1.000000000e+00],
#         [9.183549616e-41, 2.000000000e+00]])
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
    ### BEGIN SOLUTION
    bits = tensor.view(torch.int32)
    last_kept_bit = (bits >> 16) & 1
    rounded = (bits + 0x7FFF + last_kept_bit) & ~0xFFFF
    return torch.where(tensor.isnan(), tensor, rounded.view(torch.float32))
    ### END SOLUTION


# %% [markdown]
# Two exponent patterns are special. All zeros: no hidden 1, and the exponent is that of the smallest normal number;
# these are the *subnormals*, which fill the gap around zero evenly. All ones: inf if the mantissa is zero, else nan.
# (float8_e4m3fn breaks the second rule to gain one more power of two: it has nan, but no inf.)

# %% tags=["active-ipynb"]
# patterns = torch.tensor([0x0001, 0x0400, 0x3C00, 0x7BFF, 0x7C00, 0x7E00], dtype=torch.int16)
# for pattern, value in zip(patterns.tolist(), patterns.view(torch.float16).tolist()):
#     print(f"{pattern:016b}  {value}")


# %% tags=["practice"]
# hint 1: Into which three parts do the bits fall, and which two patterns of the exponent mean something special?
# hint 2: Look up int with base 2, slices of strings, math.ldexp, math.inf and math.nan.
# hint 3: Read sign, exponent and fraction, then three cases: exponent all ones (inf or nan), exponent zero (no hidden
#         1, the exponent of the smallest normal number), and everything else (1 plus the fraction, exponent minus
#         bias).
# >>> math.copysign(1.0, decode_bits("10000000", 4, 3)), decode_bits("01111000", 4, 3), decode_bits("0" * 63 + "1", 11, 52)
# (-1.0, inf, 5e-324)
# >>> decode_bits("0_000000", 4, 3)
# Traceback (most recent call last):
# ValueError
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
    ### BEGIN SOLUTION
    sign = -1.0 if bits[0] == "1" else 1.0
    exponent = int(bits[1 : 1 + exponent_bits], 2)
    fraction = int(bits[1 + exponent_bits :], 2) / 2**mantissa_bits
    bias = 2 ** (exponent_bits - 1) - 1
    if exponent == 2**exponent_bits - 1:
        return sign * math.inf if fraction == 0 else math.nan
    if exponent == 0:
        return sign * math.ldexp(fraction, 1 - bias)
    return sign * math.ldexp(1 + fraction, exponent - bias)
    ### END SOLUTION


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
# hint 1: When is a partial sum rounded, if it is kept in a tensor of the narrow dtype?
# hint 2: Look up torch.zeros with an empty shape, Tensor.to and iterating over a 1-D tensor.
# hint 3: A total of the dtype that starts at zero, a loop over the cast elements that adds each, and a return. No
#         torch.sum: it adds in float32.
# >>> x = tensor([1.0, 2.0])
# >>> running_sum(x, torch.float32), x
# (tensor(3.), tensor([1., 2.]))
# >>> running_sum(torch.zeros(0), torch.float16), running_sum(tensor([-0.0]), torch.float32).signbit()
# (tensor(0., dtype=torch.float16), tensor(False))
def running_sum(tensor: Tensor, dtype: torch.dtype) -> Tensor:
    """Cast the elements to `dtype` and add them from left to right, rounding every partial sum to `dtype`.

    tensor: float, 1-D.  dtype: float64, float32, float16 or bfloat16.  Returns: 0-dim, `dtype`.
    The sum starts at +0, so an empty tensor gives 0.

    >>> running_sum(tensor([-1.0, 0.00390625, -1.0, 1.0, 1.005859375]), torch.bfloat16)
    tensor(0.0078125, dtype=torch.bfloat16)
    >>> running_sum(torch.ones(300), torch.bfloat16)
    tensor(256.0, dtype=torch.bfloat16)
    """
    ### BEGIN SOLUTION
    total = torch.zeros((), dtype=dtype)
    for element in tensor.to(dtype):
        total = total + element
    return total
    ### END SOLUTION


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
# hint 1: Where is a product of two 16-bit numbers exact, and how often may the sum be rounded?
# hint 2: Look up Tensor.float, torch.dot and Tensor.to.
# hint 3: One line: widen both vectors, take their dot product, and cast the result back once.
# >>> mixed_precision_dot(torch.ones(2), torch.ones(2))
# Traceback (most recent call last):
# ValueError
# >>> mixed_precision_dot(torch.ones(2, dtype=torch.int16), torch.ones(2, dtype=torch.int16))
# Traceback (most recent call last):
# ValueError
# >>> mixed_precision_dot(torch.ones(2).half(), torch.ones(2).bfloat16())
# Traceback (most recent call last):
# ValueError
# >>> mixed_precision_dot(torch.ones(()).half(), torch.ones(()).half())
# Traceback (most recent call last):
# ValueError
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
    ### BEGIN SOLUTION
    return torch.dot(x.float(), y.float()).to(x.dtype)
    ### END SOLUTION
