"""Mutants of lesson 2 that are right: each with the proof that no input of the contract tells it from a right solution."""

_SUM_FREE = (
    "The products of two 16-bit floats are exact in float32 (8 + 8 or 11 + 11 significant bits, 24 are there), and the "
    "statement leaves the order of summation free: any sum in float32 that is rounded once is a right answer."
)
_IINFO_REFUSES = (
    "torch.iinfo, three lines below, raises TypeError itself for every float dtype and for torch.bool; the guard only says "
    "it in better words. Which error comes first when the tensor also holds nan, the statement leaves open."
)
_PROMOTES = (
    "torch takes the difference of a float64 tensor and one of another float dtype in float64, to which it converts "
    "without rounding. It refuses float8 operands, which the statement of this exercise does not name."
)

EQUIVALENT = {
    (
        "float_properties",
        "names = ('bits', 'min', 'max', 'smallest_normal', 'eps')  ->  "
        "names = ('min', 'bits', 'max', 'smallest_normal', 'eps')",
    ): "Only the order of the dict's keys changes; the statement names the keys and no order.",
    (
        "bit_layout",
        "mantissa = round(-math.log2(info.eps))  ->  mantissa = int(-math.log2(info.eps))",
    ): "The eps of a binary format is a power of two; math.log2 of a power of two is exact, and so a whole number.",
    (
        "stored_value",
        "return format(torch.tensor(value, dtype=dtype).item(), '.60f')  ->  "
        "return format(torch.tensor(value, dtype=dtype), '.60f')",
    ): "Tensor.__format__ of a 0-dim tensor is defined as self.item().__format__ of the same format.",
    (
        "downcast_error",
        "return (tensor.double() - tensor.to(dtype).double()).abs()  ->  return (tensor - tensor.to(dtype).double()).abs()",
    ): _PROMOTES,
    (
        "downcast_error",
        "return (tensor.double() - tensor.to(dtype).double()).abs()  ->  return (tensor.double() - tensor.to(dtype)).abs()",
    ): _PROMOTES,
    (
        "dot_relative_error",
        "exact = torch.dot(x.double(), y.double()).item()  ->  exact = (x.double() * y.double()).sum().item()",
    ): "Both are the dot product taken in float64; the statement leaves the order of its summation free.",
    (
        "dot_relative_error",
        "result = dot_in_dtype(x, y, dtype).item()  ->  result = dot_in_dtype(y, x, dtype).item()",
    ): "Multiplication of floats is commutative, so the products and the order in which they are added are the same.",
    (
        "overflows",
        "return tensor.isfinite() & tensor.to(dtype).isinf()  ->  "
        "return tensor.isfinite() & tensor.to(torch.float32).to(dtype).isinf()",
    ): "torch makes a float16 or bfloat16 of a float64 by way of float32 (c10::Half and c10::BFloat16 are made from float); "
    "a cast of float32 and narrower tensors to float32 is exact, and for the dtype float32 it is the cast itself.",
    ("saturating_cast", "without: if dtype.is_floating_point or dtype == torch.bool"): _IINFO_REFUSES,
    (
        "saturating_cast",
        "if dtype.is_floating_point or dtype == torch.bool  ->  if dtype.is_floating_point and dtype == torch.bool",
    ): _IINFO_REFUSES,
    (
        "saturating_cast",
        "if dtype.is_floating_point or dtype == torch.bool  ->  if dtype == torch.bool",
    ): _IINFO_REFUSES,
    (
        "saturating_cast",
        "if dtype.is_floating_point or dtype == torch.bool  ->  if dtype.is_floating_point",
    ): _IINFO_REFUSES,
    ("saturating_cast", "without: raise TypeError(f'{dtype} is not an integer dtype')"): _IINFO_REFUSES,
    (
        "spacing",
        "stored = torch.tensor(abs(value), dtype=dtype).item()  ->  stored = torch.tensor(abs(value), dtype=dtype)",
    ): "isfinite and frexp read a 0-dim tensor as the float that item() gives, and max compares it with smallest_normal, "
    "a number of the same dtype, exactly; from there on only the exponent, an int, is used.",
    (
        "mixed_precision_dot",
        "return torch.dot(x.float(), y.float()).to(x.dtype)  ->  "
        "return torch.dot(x.float(), y.float()).to(torch.float32).to(x.dtype)",
    ): "The dot product of two float32 vectors is float32 already; the cast to float32 does nothing.",
    (
        "mixed_precision_dot",
        "return torch.dot(x.float(), y.float()).to(x.dtype)  ->  return (x.float() * y.float()).sum().to(x.dtype)",
    ): _SUM_FREE,
}
