"""Mutants of lesson 5 that are right: each with the proof that no input of the contract tells it from a right solution."""

_ANY_DIVISOR = (
    "Only where all values that share a scale are 0 is the scale 0, and their codes are 0 for every divisor; even 0 / 0, nan, "
    "becomes the int8 0 in torch's casts on x86 and ARM."
)
_ANY_AFFINE_DIVISOR = (
    "Only in a constant group is the scale 0, and the differences from its minimum are 0 for every divisor; even 0 / 0, nan, "
    "becomes the uint8 0 in torch's casts on x86 and ARM."
)
_SMALL_CODES = "Codes are whole and at most 255 in size after rounding, exact in every float dtype used here."
_PROMOTES = (
    "A product of int8 or float16 codes and float32 scales is taken in float32, after an exact conversion of the codes."
)
_OPEN_START = "What a fresh layer holds before it is filled is open, as the catalogue says."
_ANNOTATION = "An annotation in a class body is not executed for its value; no attribute depends on it."
_LEGAL_TENSOR = (
    "A float tensor that requires gradients, as a Parameter does, is legal for a bias; its memory is its own."
)
_DISCARDED = "The memory of the bias is that of the discarded layer of the deep copy, which nobody else has."
_REPLACED = (
    "quantize and the assignment of the bias replace all three buffers of the layer, so that the sizes and the "
    "dtype that it was made with leave no trace."
)


def _both(before: str, *afters: str) -> list[str]:
    return [f"{before}  ->  {after}" for after in afters]


def _casts(before: str, cast: str, names: tuple[str, ...] = ("float16", "bfloat16", "float32")) -> list[str]:
    """The mutants that convert to another float dtype on the way to `cast`."""
    return _both(before, *(before.replace(cast, f".to(torch.{name}){cast}") for name in names))


def _divisors(before: str) -> list[str]:
    """The mutants that divide by something else where a scale is 0."""
    name = "self.scales" if "self.scales > 0" in before else "scales"
    return _both(
        before,
        before.replace(f"{name} > 0", f"{name} >= 0"),
        before.replace(f"{name} > 0", f"{name} > -1"),
        before.replace(f"{name}, 1.0", f"{name}, 2.0"),
        before.replace(f"{name}, 1.0", f"{name}, -1.0"),
    )


_CHANNELS = "return (torch.round(weight / torch.where(scales > 0, scales, 1.0)).to(torch.int8), scales)"
_GROUPS_ROUNDED = "codes = torch.round(groups / torch.where(scales > 0, scales, 1.0)[..., None])"
_AFFINE = "codes = torch.round((groups - minimums[..., None]) / torch.where(scales > 0, scales, 1.0)[..., None])"
_PACKED = "return (full << torch.arange(0, 8, bits, dtype=torch.uint8)).sum(1, dtype=torch.uint8)"
_NIBBLES = "return pack_bits((codes & 15).to(torch.uint8), 4)"
_SUMS = "rows, columns = (a.sum(-1, keepdim=True, dtype=torch.int32), b.sum(0, keepdim=True, dtype=torch.int32))"
_CODES = "self.int8_weights = torch.round(weight / divisor[:, None]).clamp(-127, 127).to(torch.int8)"
_PRODUCT = "y = F.linear(x, self.int8_weights.to(x.dtype)) * self.scales.to(x.dtype)"
_BIAS = "return y if self.bias is None else y + self.bias.to(x.dtype)"
_MADE = "layer = W8A16Linear(self.weight.shape[1], self.weight.shape[0], self.bias is not None)"

_GROUPS = (
    ("quantize_per_channel", _divisors(_CHANNELS), _ANY_DIVISOR),
    ("quantize_per_channel", _casts(_CHANNELS, ".to(torch.int8)"), _SMALL_CODES),
    (
        "dequantize_per_channel",
        _both("return codes.float() * scales", "return codes * scales", "return codes.half() * scales"),
        _PROMOTES,
    ),
    ("quantize_per_group", _divisors(_GROUPS_ROUNDED), _ANY_DIVISOR),
    (
        "quantize_per_group",
        _casts("return (codes.reshape(weight.shape).to(torch.int8), scales)", ".to(torch.int8)"),
        _SMALL_CODES,
    ),
    ("affine_per_group", _divisors(_AFFINE), _ANY_AFFINE_DIVISOR),
    (
        "affine_per_group",
        _casts("return (codes.reshape(tensor.shape).to(torch.uint8), scales, minimums)", ".to(torch.uint8)"),
        _SMALL_CODES,
    ),
    (
        "pack_bits",
        _both(
            _PACKED,
            _PACKED.replace("bits, dtype=torch.uint8", "bits"),
            _PACKED.replace("bits, dtype=torch.uint8", "bits, dtype=torch.int8"),
        ),
        "A code shifted to its place is at most 240 in any integer dtype of 8 bits and more, and the sum is taken as uint8.",
    ),
    (
        "unpack_bits",
        _both(
            "if bits not in (1, 2, 4) or not 0 <= count <= len(packed) * 8 // bits",
            "if bits not in (1, 2, 4) or not 0 <= count <= len(packed) * 8 / bits",
        ),
        "Behind the first condition bits divides 8, so that both divisions give the same number.",
    ),
    (
        "pack_int4",
        _both(
            _NIBBLES,
            _NIBBLES.replace("(codes & 15).to(torch.uint8)", "codes & 15"),
            _NIBBLES.replace(".to(torch.uint8)", ".to()"),
            _NIBBLES.replace("torch.uint8", "torch.int8"),
        ),
        "The masked codes are 0 to 15 in int8 as in uint8, and pack_bits returns uint8 for either.",
    ),
    ("pack_int4", _casts(_NIBBLES, ".to(torch.uint8)"), _SMALL_CODES),
    ("unpack_int4", _casts("codes = unpack_bits(packed, 4, count).to(torch.int8)", ".to(torch.int8)"), _SMALL_CODES),
    (
        "matmul_with_zero_points",
        _both(
            _SUMS,
            _SUMS.replace("b.sum(0, keepdim=True, ", "b.sum(0, "),
            _SUMS.replace("b.sum(0, keepdim=True", "b.sum(0, keepdim=False"),
        ),
        "A vector of column sums broadcasts against a matrix as a matrix of one row does.",
    ),
    (
        "matmul_with_zero_points",
        _both(
            "return int8_matmul(a, b) - zero_b * rows - zero_a * columns + a.shape[-1] * zero_a * zero_b",
            "return int8_matmul(a, b) - zero_b * rows - zero_a * columns + a.shape[1] * zero_a * zero_b",
        ),
        "int8_matmul is called first and refuses whatever has not two dimensions, of which 1 is the last.",
    ),
    ("requantize", _casts("return q.clamp(-128, 127).to(torch.int8)", ".to(torch.int8)"), _SMALL_CODES),
    (
        "W8A16Linear",
        ["without: int8_weights: Tensor", "without: scales: Tensor", "without: bias: Tensor | None"],
        _ANNOTATION,
    ),
    (
        "W8A16Linear",
        [
            "self.register_buffer('int8_weights', torch.zeros(out_features, in_features, dtype=torch.int8))  ->  "
            "self.register_buffer('int8_weights', torch.ones(out_features, in_features, dtype=torch.int8))",
            "self.register_buffer('scales', torch.ones(out_features, dtype=dtype))  ->  "
            "self.register_buffer('scales', torch.zeros(out_features, dtype=dtype))",
            "self.register_buffer('bias', torch.zeros(out_features, dtype=dtype) if bias else None)  ->  "
            "self.register_buffer('bias', torch.ones(out_features, dtype=dtype) if bias else None)",
        ],
        _OPEN_START,
    ),
    (
        "W8A16Linear",
        [
            "without: @property def weight(self) -> Tensor",
            "@property def weight(self) -> Tensor  ->  def weight(self) -> Tensor",
            "without: return self.int8_weights",
        ],
        "The property is starter code for quantize_with_own_layers, whose checks need it; the contract of this class does not.",
    ),
    (
        "W8A16Linear",
        _divisors("divisor = torch.where(self.scales > 0, self.scales, 1.0)"),
        _ANY_DIVISOR,
    ),
    ("W8A16Linear", _casts(_CODES, ".to(torch.int8)"), _SMALL_CODES),
    (
        "W8A16Linear",
        _casts(_PRODUCT, ".to(x.dtype)) *"),
        "Codes are at most 127 in size, exact in every float dtype used here.",
    ),
    (
        "W8A16Linear",
        _both(_PRODUCT, _PRODUCT.replace("self.scales.to(x.dtype)", "self.scales.to(torch.float32).to(x.dtype)")),
        "A cast of bfloat16 or float32 to float32 changes nothing.",
    ),
    (
        "W8A16Linear",
        _both(_BIAS, _BIAS.replace("self.bias.to(x.dtype)", "self.bias.to(torch.float32).to(x.dtype)")),
        "A cast of bfloat16 or float32 to float32 changes nothing.",
    ),
    (
        "replace_linear_layers",
        _both(
            "for name, module in list(model.named_modules(remove_duplicate=False))",
            "for name, module in model.named_modules(remove_duplicate=False)",
        ),
        "named_modules has read a child before it yields it and goes on inside what it has read, so that a stand-in is not "
        "searched; it would be only in a block that itself stands under two names, which the contract does not name.",
    ),
    (
        "quantize_with_own_layers",
        _both(
            "layer = W8A16Linear(linear.in_features, linear.out_features, has_bias, linear.weight.dtype)",
            "layer = W8A16Linear(linear.out_features, linear.in_features, has_bias, linear.weight.dtype)",
            "layer = W8A16Linear(linear.in_features, linear.out_features, has_bias)",
        ),
        _REPLACED,
    ),
    (
        "quantize_with_own_layers",
        _both("layer.bias = linear.bias.detach().clone()", "layer.bias = linear.bias.detach()"),
        _DISCARDED,
    ),
    ("MinMaxObserver", ["without: min: Tensor", "without: max: Tensor"], _ANNOTATION),
    (
        "MinMaxObserver",
        _both("low, high = x.detach().float().aminmax()", "low, high = x.detach().aminmax()"),
        "torch.minimum of a float32 and a float16 or bfloat16 number is float32, after an exact conversion.",
    ),
    (
        "QATLinear",
        _both(
            "self.weight = nn.Parameter(torch.randn(out_features, in_features) / math.sqrt(in_features))",
            "self.weight = nn.Parameter(torch.randn(out_features, in_features) // math.sqrt(in_features))",
            "self.weight = nn.Parameter(torch.randn(out_features, in_features) * math.sqrt(in_features))",
            "self.weight = nn.Parameter(torch.randn(out_features, in_features))",
            "self.weight = nn.Parameter(torch.randn(out_features, in_features) / in_features)",
        ),
        _OPEN_START,
    ),
    (
        "QATLinear",
        _both(
            "self.bias = nn.Parameter(torch.zeros(out_features)) if bias else None",
            "self.bias = nn.Parameter(torch.ones(out_features)) if bias else None",
        ),
        _OPEN_START,
    ),
    (
        "QATLinear",
        _both(
            _MADE,
            _MADE.replace("shape[1], self.weight.shape[0]", "shape[0], self.weight.shape[1]"),
            _MADE.replace("shape[1], self", "shape[0], self"),
            _MADE.replace("shape[0]", "shape[1]"),
            _MADE.replace("shape[0]", "shape[-1]"),
        ),
        _REPLACED,
    ),
    ("QATLinear", _both("layer.bias = self.bias.detach().clone()", "layer.bias = self.bias.clone()"), _LEGAL_TENSOR),
    (
        "percentile_scale",
        _both(
            "largest = tensor.double().abs().flatten().quantile(percentile / 100).item()",
            "largest = tensor.double().abs().quantile(percentile / 100).item()",
        ),
        "Without a dimension torch.quantile flattens its input itself.",
    ),
    (
        "mse_scale",
        _both(
            "wide, largest_code = (tensor.double(), 2 ** (bits - 1) - 1)",
            "wide, largest_code = (tensor.float(), 2 ** (bits - 1) - 1)",
        ),
        "float32 moves each error by a few 2**-24 of itself at most, and an error up to 1e-5 above the least is accepted.",
    ),
    (
        "mse_scale",
        _both(
            "return (restored - wide).square().sum().item()",
            "return (restored - wide).square().sum()",
            "return (restored - wide).square().mean().item()",
        ),
        "min compares 0-dim float64 tensors as the floats that they hold, and a mean is the sum over a fixed number.",
    ),
)
EQUIVALENT = {(exercise, text): proof for exercise, texts, proof in _GROUPS for text in texts}
