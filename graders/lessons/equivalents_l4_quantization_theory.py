"""Mutants of lesson 4 that are right: each with the proof that no input of the contract tells it from a right solution."""

_SMALL_WHOLE_NUMBERS = (
    "The values are whole numbers of at most 255 after the clamp, and all of them are exact in float16, bfloat16 and "
    "float32: the conversion in between changes nothing."
)
_PRECISION_FREE = (
    "The statement names no precision for the quotient; a quotient rounded in the tensor's own dtype or in float32 is the "
    "exact one where the hidden inputs make it exact, and within the proven slack elsewhere."
)
_PROMOTES = (
    "torch takes the difference of a float64 tensor and one of another float dtype in float64, to which it converts "
    "without rounding."
)
_TENSOR_OR_NUMBER = (
    "A float64 tensor of no dimensions compares, divides and enters math.log10 as the number it holds; what is returned is "
    "made by math in both cases."
)
_NO_DIVISION_BY_IT = (
    "The divisor of a zero row divides zeros only: 0 / 2 and 0 / -1 are zeros too, and their code is 0."
)
_NAN_TO_CODE = (
    "A zero row gives 0 / 0 = nan. C++ leaves its conversion open, but the processors do not differ where it matters: x86 "
    "gives 0x80000000, whose low byte is 0, ARM gives 0, and 0 is the code that is asked for."
)
_ORDER_FREE = "The order in which tensors are visited changes neither a sum over storages nor which module is first."
_CALLS_AGAIN = (
    "Buffers of the modules below are counted by their storages already, into the same dict: counting them twice changes "
    "nothing."
)
_NO_EXCEPTION = (
    "It differs only when an exception leaves the block. The statement asks for the modes after a call, and says nothing of a "
    "call that raises."
)
_GENERATE_HAS_IT = "`generate` is itself decorated with torch.no_grad(), which holds whatever stands around the call."

_CLAMP = "return q.clamp(codes.min, codes.max).to(dtype)  ->  return q.clamp(codes.min, codes.max)"
_ROUND = "q = torch.round(tensor.double() / scale) + zero_point  ->  q = torch.round("
_ERROR = "return (tensor.double() - restored.double()).square().mean().item()  ->  return "
_NOISE = "noise = (tensor.double() - restored.double()).square().sum().item()  ->  noise = "
_DIVISOR = "divisor = torch.where(scales > 0, scales, 1.0)  ->  divisor = torch.where("
_CODES = "codes = torch.round(weight / divisor).to(torch.int8)  ->  codes = torch.round(weight / divisor)"
_PENDING = "pending = [*module.parameters(recurse=False), *module.buffers(recurse=False)]  ->  pending = "
_TENSORS = "tensors = [*module.named_parameters(recurse=False), *module.named_buffers(recurse=False)]  ->  tensors = "

EQUIVALENT = {
    ("linear_quantize", _ROUND + "tensor / scale) + zero_point"): _PRECISION_FREE,
    ("linear_quantize", _ROUND + "tensor.float() / scale) + zero_point"): _PRECISION_FREE,
    ("linear_quantize", _CLAMP + ".to(torch.float16).to(dtype)"): _SMALL_WHOLE_NUMBERS,
    ("linear_quantize", _CLAMP + ".to(torch.bfloat16).to(dtype)"): _SMALL_WHOLE_NUMBERS,
    ("linear_quantize", _CLAMP + ".to(torch.float32).to(dtype)"): _SMALL_WHOLE_NUMBERS,
    ("quantization_error", _ERROR + "(tensor - restored.double()).square().mean().item()"): _PROMOTES,
    ("quantization_error", _ERROR + "(tensor.double() - restored).square().mean().item()"): _PROMOTES,
    (
        "sqnr_db",
        "signal = tensor.double().square().sum().item()  ->  signal = tensor.double().square().sum()",
    ): _TENSOR_OR_NUMBER,
    ("sqnr_db", _NOISE + "(tensor.double() - restored.double()).square().sum()"): _TENSOR_OR_NUMBER,
    ("sqnr_db", _NOISE + "(tensor - restored.double()).square().sum().item()"): _PROMOTES,
    ("sqnr_db", _NOISE + "(tensor.double() - restored).square().sum().item()"): _PROMOTES,
    ("quantize_rows", _DIVISOR + "scales >= 0, scales, 1.0)"): _NAN_TO_CODE,
    ("quantize_rows", _DIVISOR + "scales > -1, scales, 1.0)"): _NAN_TO_CODE,
    ("quantize_rows", _DIVISOR + "scales > 0, scales, 2.0)"): _NO_DIVISION_BY_IT,
    ("quantize_rows", _DIVISOR + "scales > 0, scales, -1.0)"): _NO_DIVISION_BY_IT,
    ("quantize_rows", _CODES + ".to(torch.float16).to(torch.int8)"): _SMALL_WHOLE_NUMBERS,
    ("quantize_rows", _CODES + ".to(torch.bfloat16).to(torch.int8)"): _SMALL_WHOLE_NUMBERS,
    ("quantize_rows", _CODES + ".to(torch.float32).to(torch.int8)"): _SMALL_WHOLE_NUMBERS,
    (
        "quantize_model",
        "for qtype in [weights] if activations is None else [weights, activations]  ->  "
        "for qtype in [weights] if activations is None else [activations, weights]",
    ): "Both are checked before anything is changed; only which of two wrong types is named first differs.",
    (
        "stored_bytes",
        "pending = [*model.parameters(), *model.buffers()]  ->  pending = [*model.buffers(), *model.parameters()]",
    ): _ORDER_FREE,
    ("module_sizes", _PENDING + "[*module.buffers(recurse=False), *module.parameters(recurse=False)]"): _ORDER_FREE,
    (
        "module_sizes",
        "pending += [getattr(tensor, inner) for inner in tensor.__tensor_flatten__()[0]]  ->  "
        "pending = [getattr(tensor, inner) for inner in tensor.__tensor_flatten__()[0]]",
    ): (
        "The list is emptied from its end, and a quantized weight is the first parameter of quanto's modules, as its packed "
        "codes are the first of its inner tensors: whenever something is unfolded, nothing else is pending."
    ),
    (
        "predicted_int8_bytes",
        _TENSORS + "[*module.named_buffers(recurse=False), *module.named_parameters(recurse=False)]",
    ): _ORDER_FREE,
    (
        "predicted_int8_bytes",
        _TENSORS + "[*module.named_parameters(recurse=False), *module.named_buffers()]",
    ): _CALLS_AGAIN,
    (
        "predicted_int8_bytes",
        _TENSORS + "[*module.named_parameters(recurse=False), *module.named_buffers(recurse=True)]",
    ): _CALLS_AGAIN,
    ("generate_text", "try  ->  with torch.no_grad(); for module, training in modes.items()"): _NO_EXCEPTION,
    (
        "generate_text",
        "with torch.no_grad()  ->  "
        "tokens = model.generate(**inputs, max_new_tokens=max_new_tokens, do_sample=False, num_beams=1)",
    ): _GENERATE_HAS_IT,
    ("generate_text", "with torch.no_grad()  ->  with torch.enable_grad()"): _GENERATE_HAS_IT,
    (
        "generate_text",
        "return tokenizer.decode(tokens[0], skip_special_tokens=True)  ->  "
        "return tokenizer.decode(tokens[-1], skip_special_tokens=True)",
    ): "One prompt in a batch of one: the first row of tokens is the last.",
    (
        "calibrate",
        "try  ->  with torch.no_grad(), quanto.Calibration(); for module, training in modes.items()",
    ): _NO_EXCEPTION,
    (
        "compare_precisions",
        "model.to(getattr(torch, precision))  ->  model.to(torch.float32).to(getattr(torch, precision))",
    ): "`build()` makes float32 models, so the first cast changes nothing.",
}
