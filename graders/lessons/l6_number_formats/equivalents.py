"""Mutants of lesson 6 that are right: each with the proof that no input of the contract tells it from a right solution."""

_NO_OP = "The added cast does nothing: the tensor has that dtype already, or gets it one step later."
_BYTES = "The values are whole numbers from -128 to 255; float16, bfloat16 and float32 hold all of them exactly."
_AXES = "amax takes the largest over both axes, in whichever order they are named."
_ON_BOTH = (
    "The magnitude at the border, 2 or 4, is a multiple of the step below it and of the step above it: either leaves "
    "it."
)
_NEGATIVE_STEP = "round is odd: (m / -s).round() * -s equals (m / s).round() * s for every m."
_ITEM = (
    "math.frexp and the comparison with 0 read a 0-dim float32 tensor as the float that item() gives, without rounding."
)
_FREE_SCALE = (
    "Only a tensor of zeros has amax 0; the statement leaves its scales free, and its elements are 0 under any scale."
)
_NEVER_ABOVE = (
    "No block's amax exceeds the tensor's, so the quotient is at most 448 but for rounding, a few units in the last "
    "place above; e4m3 rounds every number from 432 to 464 to 448, and 447 too."
)
_SORTED = "The list is sorted: the order in which its members are written does not matter."
_ZERO_ANYWAY = (
    "Only where everything is 0 is the other factor taken, and 0 divided by, or times, any finite number but 0 is 0, "
    "of either sign."
)
_BOOL = "torch adds a bool tensor to an int32 tensor as 0 and 1; the sum is int32 either way."
_BLOCK_OF_ZEROS = "The block is one of zeros there, and the statement asks for zeros; the sign of a zero is free."
_COMPARED = "min compares 0-dim tensors by the same < as the floats that item() gives."
_SAME_COUNT = (
    "Both sums are divided by the same number of values, which changes neither their order nor their being equal."
)
_PRECISION_OPEN = (
    "The statement does not say in which precision the errors are added: float32 and float64 are both right, and "
    "inputs on which the two choose differently are not asked."
)
_NAN_IS_ZERO = (
    "Where nothing is left, 0 / 0 is nan, and a cast of nan to int8 gives 0, the wanted code: on x86 the conversion "
    "gives the int32 -2**31, whose low byte is 0, on ARM it gives 0."
)
_SIGN = (
    "The sign is 1, -1 or 0; dividing by 1 or -1 is multiplying by it, and where it is 0, 0 / 0 is nan, which the "
    "cast to int8 makes 0."
)
_WRAPS = (
    "torch casts a float to uint8 by way of int64 (c10/util/TypeCast.h), so a negative whole number keeps the low "
    "byte of its two's complement, which is that of its int8."
)
_SAME_ORDER = (
    "reshape keeps the order of the elements; runs are stacked along an axis behind the first two, which are then "
    "merged: which of the two has length 4 does not matter."
)

_ONE_AXIS = "The statement gives it a vector: where there is one axis, the last row is asked for by nobody."
_ERRORS = "(block - pair[1] * pair[0]).double().square()"
_LEAST = "return min(tried, key=lambda pair: {}.sum().item())"

EQUIVALENT = {
    (
        "float8_quantize",
        "return ((tensor / scale).to(dtype), scale)  ->  return ((tensor / scale).to(torch.float32).to(dtype), scale)",
    ): _NO_OP,
    (
        "tile_quantize",
        "scales = tiles.abs().amax((1, 3)).clamp(min=0.0001) / 448  ->  "
        "scales = tiles.abs().amax((3, 1)).clamp(min=0.0001) / 448",
    ): _AXES,
    (
        "tile_quantize",
        "values = (tiles / scales[:, None, :, None]).to(torch.float8_e4m3fn)  ->  "
        "values = (tiles / scales[:, None, :, None]).to(torch.float32).to(torch.float8_e4m3fn)",
    ): _NO_OP,
    (
        "round_to_e2m1",
        "step = torch.where(magnitude < 2, 0.5, torch.where(magnitude < 4, 1.0, 2.0))  ->  "
        "step = torch.where(magnitude <= 2, 0.5, torch.where(magnitude < 4, 1.0, 2.0))",
    ): _ON_BOTH,
    (
        "round_to_e2m1",
        "step = torch.where(magnitude < 2, 0.5, torch.where(magnitude < 4, 1.0, 2.0))  ->  "
        "step = torch.where(magnitude < 2, 0.5, torch.where(magnitude <= 4, 1.0, 2.0))",
    ): _ON_BOTH,
    (
        "round_to_e2m1",
        "step = torch.where(magnitude < 2, 0.5, torch.where(magnitude < 4, 1.0, 2.0))  ->  "
        "step = torch.where(magnitude < 2, -0.5, torch.where(magnitude < 4, 1.0, 2.0))",
    ): _NEGATIVE_STEP,
    (
        "round_to_e2m1",
        "step = torch.where(magnitude < 2, 0.5, torch.where(magnitude < 4, 1.0, 2.0))  ->  "
        "step = torch.where(magnitude < 2, 0.5, torch.where(magnitude < 4, -1.0, 2.0))",
    ): _NEGATIVE_STEP,
    (
        "round_to_e2m1",
        "step = torch.where(magnitude < 2, 0.5, torch.where(magnitude < 4, 1.0, 2.0))  ->  "
        "step = torch.where(magnitude < 2, 0.5, torch.where(magnitude < 4, 1.0, -2.0))",
    ): _NEGATIVE_STEP,
    (
        "shared_exponent",
        "amax = block.abs().max().item()  ->  amax = block.abs().max()",
    ): _ITEM,
    (
        "mx_quantize",
        "elements = scaled.clamp(-largest, largest).to(dtype).float()  ->  "
        "elements = scaled.clamp(-largest, largest).to(torch.float32).to(dtype).float()",
    ): _NO_OP,
    (
        "mx_quantize",
        "return ((exponents + 127).to(torch.uint8), elements.flatten(-2))  ->  "
        "return ((exponents + 127).to(torch.float16).to(torch.uint8), elements.flatten(-2))",
    ): _BYTES,
    (
        "mx_quantize",
        "return ((exponents + 127).to(torch.uint8), elements.flatten(-2))  ->  "
        "return ((exponents + 127).to(torch.bfloat16).to(torch.uint8), elements.flatten(-2))",
    ): _BYTES,
    (
        "mx_quantize",
        "return ((exponents + 127).to(torch.uint8), elements.flatten(-2))  ->  "
        "return ((exponents + 127).to(torch.float32).to(torch.uint8), elements.flatten(-2))",
    ): _BYTES,
    (
        "unpack_mxfp4",
        "return weights.flatten(-2).to(torch.bfloat16)  ->  "
        "return weights.flatten(-2).to(torch.bfloat16).to(torch.bfloat16)",
    ): _NO_OP,
    (
        "unpack_mxfp4",
        "return weights.flatten(-2).to(torch.bfloat16)  ->  "
        "return weights.flatten(-2).to(torch.float32).to(torch.bfloat16)",
    ): _NO_OP,
    (
        "nvfp4_quantize",
        "g = torch.where(amax > 0, amax / (6 * 448), 1.0)  ->  g = torch.where(amax > 0, amax / (6 * 448), 2.0)",
    ): _FREE_SCALE,
    (
        "nvfp4_quantize",
        "scales = (blocks.abs().amax(-1) / 6 / g).clamp(2 ** (-6), 448).to(torch.float8_e4m3fn)  ->  "
        "scales = (blocks.abs().amax(-1) / 6 / g).clamp(2 ** (-6), 448).to(torch.float32).to(torch.float8_e4m3fn)",
    ): _NO_OP,
    (
        "nvfp4_quantize",
        "scales = (blocks.abs().amax(-1) / 6 / g).clamp(2 ** (-6), 448).to(torch.float8_e4m3fn)  ->  "
        "scales = (blocks.abs().amax(-1) / 6 / g).clamp(2 ** (-6)).to(torch.float8_e4m3fn)",
    ): _NEVER_ABOVE,
    (
        "nvfp4_quantize",
        "scales = (blocks.abs().amax(-1) / 6 / g).clamp(2 ** (-6), 448).to(torch.float8_e4m3fn)  ->  "
        "scales = (blocks.abs().amax(-1) / 6 / g).clamp(2 ** (-6), 449).to(torch.float8_e4m3fn)",
    ): _NEVER_ABOVE,
    (
        "nvfp4_quantize",
        "scales = (blocks.abs().amax(-1) / 6 / g).clamp(2 ** (-6), 448).to(torch.float8_e4m3fn)  ->  "
        "scales = (blocks.abs().amax(-1) / 6 / g).clamp(2 ** (-6), 447).to(torch.float8_e4m3fn)",
    ): _NEVER_ABOVE,
    (
        "nf4_codebook",
        "levels = sorted([*negative, 0.0, *positive])  ->  levels = sorted([0.0, *negative, *positive])",
    ): _SORTED,
    (
        "nf4_quantize",
        "scaled = blocks / torch.where(absmax > 0, absmax, 1.0).unsqueeze(1)  ->  "
        "scaled = blocks / torch.where(absmax > 0, absmax, 2.0).unsqueeze(1)",
    ): _ZERO_ANYWAY,
    (
        "nf4_quantize",
        "scaled = blocks / torch.where(absmax > 0, absmax, 1.0).unsqueeze(1)  ->  "
        "scaled = blocks / torch.where(absmax > 0, absmax, -1.0).unsqueeze(1)",
    ): _ZERO_ANYWAY,
    (
        "nf4_quantize",
        "return (codes.flatten().to(torch.uint8), absmax)  ->  "
        "return (codes.flatten().to(torch.float16).to(torch.uint8), absmax)",
    ): _BYTES,
    (
        "nf4_quantize",
        "return (codes.flatten().to(torch.uint8), absmax)  ->  "
        "return (codes.flatten().to(torch.bfloat16).to(torch.uint8), absmax)",
    ): _BYTES,
    (
        "nf4_quantize",
        "return (codes.flatten().to(torch.uint8), absmax)  ->  "
        "return (codes.flatten().to(torch.float32).to(torch.uint8), absmax)",
    ): _BYTES,
    (
        "encode_e2m1",
        "return (matches.int().argmax(-1) + 8 * (values < 0)).to(torch.uint8)  ->  "
        "return (matches.int().argmax(-1) + 8 * (values < 0)).to(torch.float16).to(torch.uint8)",
    ): _BYTES,
    (
        "encode_e2m1",
        "return (matches.int().argmax(-1) + 8 * (values < 0)).to(torch.uint8)  ->  "
        "return (matches.int().argmax(-1) + 8 * (values < 0)).to(torch.bfloat16).to(torch.uint8)",
    ): _BYTES,
    (
        "encode_e2m1",
        "return (matches.int().argmax(-1) + 8 * (values < 0)).to(torch.uint8)  ->  "
        "return (matches.int().argmax(-1) + 8 * (values < 0)).to(torch.float32).to(torch.uint8)",
    ): _BYTES,
    (
        "mx_quantize_no_clip",
        "exponents = exponents + (torch.ldexp(amax, -exponents) > 6).int()  ->  "
        "exponents = exponents + (torch.ldexp(amax, -exponents) > 6)",
    ): _BOOL,
    (
        "mx_quantize_no_clip",
        "return ((exponents + 127).to(torch.uint8), elements.flatten(-2))  ->  "
        "return ((exponents + 127).to(torch.float16).to(torch.uint8), elements.flatten(-2))",
    ): _BYTES,
    (
        "mx_quantize_no_clip",
        "return ((exponents + 127).to(torch.uint8), elements.flatten(-2))  ->  "
        "return ((exponents + 127).to(torch.bfloat16).to(torch.uint8), elements.flatten(-2))",
    ): _BYTES,
    (
        "mx_quantize_no_clip",
        "return ((exponents + 127).to(torch.uint8), elements.flatten(-2))  ->  "
        "return ((exponents + 127).to(torch.float32).to(torch.uint8), elements.flatten(-2))",
    ): _BYTES,
    (
        "four_over_six",
        "return (torch.zeros_like(block), 1.0)  ->  return (block, 1.0)",
    ): _BLOCK_OF_ZEROS,
    (
        "four_over_six",
        "return min(tried, key=lambda pair: (block - pair[1] * pair[0]).double().square().sum().item())  ->  "
        "return min(tried, key=lambda pair: (block - pair[1] * pair[0]).double().square().sum())",
    ): _COMPARED,
    (
        "four_over_six",
        "return min(tried, key=lambda pair: (block - pair[1] * pair[0]).double().square().sum().item())  ->  "
        "return min(tried, key=lambda pair: (block - pair[1] * pair[0]).double().square().mean().item())",
    ): _SAME_COUNT,
    (
        "four_over_six",
        "return min(tried, key=lambda pair: (block - pair[1] * pair[0]).double().square().sum().item())  ->  "
        "return min(tried, key=lambda pair: (block - pair[1] * pair[0]).square().sum().item())",
    ): _PRECISION_OPEN,
    (
        "four_over_six",
        "return min(tried, key=lambda pair: (block - pair[1] * pair[0]).double().square().sum().item())  ->  "
        "return min(tried, key=lambda pair: (block - pair[1] * pair[0]).float().square().sum().item())",
    ): _PRECISION_OPEN,
    (
        "double_quantize",
        "codes = torch.round(blocks / torch.where(scales > 0, scales, 1.0).unsqueeze(1))  ->  "
        "codes = torch.round(blocks / torch.where(scales >= 0, scales, 1.0).unsqueeze(1))",
    ): _NAN_IS_ZERO,
    (
        "double_quantize",
        "codes = torch.round(blocks / torch.where(scales > 0, scales, 1.0).unsqueeze(1))  ->  "
        "codes = torch.round(blocks / torch.where(scales > -1, scales, 1.0).unsqueeze(1))",
    ): _NAN_IS_ZERO,
    (
        "double_quantize",
        "codes = torch.round(blocks / torch.where(scales > 0, scales, 1.0).unsqueeze(1))  ->  "
        "codes = torch.round(blocks / torch.where(scales > 0, scales, 2.0).unsqueeze(1))",
    ): _ZERO_ANYWAY,
    (
        "double_quantize",
        "codes = torch.round(blocks / torch.where(scales > 0, scales, 1.0).unsqueeze(1))  ->  "
        "codes = torch.round(blocks / torch.where(scales > 0, scales, -1.0).unsqueeze(1))",
    ): _ZERO_ANYWAY,
    (
        "double_quantize",
        "return (codes.flatten().to(torch.int8), scales, mean)  ->  "
        "return (codes.flatten().to(torch.float16).to(torch.int8), scales, mean)",
    ): _BYTES,
    (
        "double_quantize",
        "return (codes.flatten().to(torch.int8), scales, mean)  ->  "
        "return (codes.flatten().to(torch.bfloat16).to(torch.int8), scales, mean)",
    ): _BYTES,
    (
        "double_quantize",
        "return (codes.flatten().to(torch.int8), scales, mean)  ->  "
        "return (codes.flatten().to(torch.float32).to(torch.int8), scales, mean)",
    ): _BYTES,
    (
        "pack_q8_0",
        "scaled = blocks * torch.where(d > 0, 1 / d, 0.0)  ->  scaled = blocks * torch.where(d >= 0, 1 / d, 0.0)",
    ): _NAN_IS_ZERO,
    (
        "pack_q8_0",
        "scaled = blocks * torch.where(d > 0, 1 / d, 0.0)  ->  scaled = blocks * torch.where(d > -1, 1 / d, 0.0)",
    ): _NAN_IS_ZERO,
    (
        "pack_q8_0",
        "scaled = blocks * torch.where(d > 0, 1 / d, 0.0)  ->  scaled = blocks * torch.where(d > 0, 1 / d, 1.0)",
    ): _ZERO_ANYWAY,
    (
        "pack_q8_0",
        "codes = (whole + (scaled.abs() - whole >= 0.5)) * scaled.sign()  ->  "
        "codes = (whole + (scaled.abs() - whole >= 0.5)) / scaled.sign()",
    ): _SIGN,
    (
        "pack_q8_0",
        "return torch.cat([d.half().view(torch.uint8), codes.to(torch.int8).view(torch.uint8)], dim=1)  ->  "
        "return torch.cat([d.half().view(torch.uint8), codes.to(torch.float16).to(torch.int8).view(torch.uint8)], dim=1)",
    ): _BYTES,
    (
        "pack_q8_0",
        "return torch.cat([d.half().view(torch.uint8), codes.to(torch.int8).view(torch.uint8)], dim=1)  ->  "
        "return torch.cat([d.half().view(torch.uint8), codes.to(torch.bfloat16).to(torch.int8).view(torch.uint8)], dim=1)",
    ): _BYTES,
    (
        "pack_q8_0",
        "return torch.cat([d.half().view(torch.uint8), codes.to(torch.int8).view(torch.uint8)], dim=1)  ->  "
        "return torch.cat([d.half().view(torch.uint8), codes.to(torch.float32).to(torch.int8).view(torch.uint8)], dim=1)",
    ): _BYTES,
    (
        "pack_q8_0",
        "return torch.cat([d.half().view(torch.uint8), codes.to(torch.int8).view(torch.uint8)], dim=1)  ->  "
        "return torch.cat([d.half().view(torch.uint8), codes.to(torch.uint8).view(torch.uint8)], dim=1)",
    ): _WRAPS,
    (
        "unpack_q4_k",
        "runs = blocks[:, 16:].reshape(-1, 4, 32)  ->  runs = blocks[:, 16:].reshape(4, -1, 32)",
    ): _SAME_ORDER,
    (
        "ternary_quantize",
        "return (torch.round(weight / (gamma + 1e-05)).clamp(-1, 1).to(torch.int8), gamma)  ->  "
        "return (torch.round(weight / (gamma + 1e-05)).clamp(-1, 1).to(torch.float16).to(torch.int8), gamma)",
    ): _BYTES,
    (
        "ternary_quantize",
        "return (torch.round(weight / (gamma + 1e-05)).clamp(-1, 1).to(torch.int8), gamma)  ->  "
        "return (torch.round(weight / (gamma + 1e-05)).clamp(-1, 1).to(torch.bfloat16).to(torch.int8), gamma)",
    ): _BYTES,
    (
        "ternary_quantize",
        "return (torch.round(weight / (gamma + 1e-05)).clamp(-1, 1).to(torch.int8), gamma)  ->  "
        "return (torch.round(weight / (gamma + 1e-05)).clamp(-1, 1).to(torch.float32).to(torch.int8), gamma)",
    ): _BYTES,
    (
        "stochastic_round",
        "return bits.view(torch.float32).to(torch.bfloat16)  ->  "
        "return bits.view(torch.float32).to(torch.bfloat16).to(torch.bfloat16)",
    ): _NO_OP,
    (
        "stochastic_round",
        "return bits.view(torch.float32).to(torch.bfloat16)  ->  "
        "return bits.view(torch.float32).to(torch.float32).to(torch.bfloat16)",
    ): _NO_OP,
    (
        "four_over_six",
        "amax = block.abs().max().item()  ->  amax = (block.abs()[-1] if block.abs().dim() > 1 else block.abs()).max().item()",
    ): _ONE_AXIS,
    (
        "four_over_six",
        f"{_LEAST.format(_ERRORS)}  ->  {_LEAST.format(f'({_ERRORS}[-1] if {_ERRORS}.dim() > 1 else {_ERRORS})')}",
    ): _ONE_AXIS,
    (
        "double_quantize",
        "mean = absmax.mean()  ->  mean = (absmax[-1] if absmax.dim() > 1 else absmax).mean()",
    ): _ONE_AXIS,
}
