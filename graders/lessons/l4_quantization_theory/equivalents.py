"""Mutants of lesson 4 that are right: each with the proof that no input of the contract tells it from a right solution."""

_QUOTIENT = (
    "The statement leaves the dtype of the quotient free; where float32 and float64 quotients round to different codes the "
    "hidden tests accept both, as they must."
)
_SMALL_CODES = (
    "After the clamp to int8 or uint8 the numbers are whole and at most 255, exact in every float dtype used here."
)
_PROMOTES = (
    "The difference of a float64 tensor and a narrower float one is taken in float64, after an exact conversion."
)
_ANY_DIVISOR = (
    "Only rows of zeros have the scale 0, and their codes are 0 for every divisor; even 0 / 0, nan, becomes the int8 0 in "
    "torch's casts on x86 and ARM."
)
_ORDER = "Only the order in which tensors are visited changes; each storage is counted once, and a sum has no order."
_NO_EXCEPTION = (
    "The two differ only when the call in between raises an exception; the statement says what modes hold after the "
    "function, and this lesson's nothing of exceptions."
)
_NO_GRADIENTS = "transformers decorates `generate` with torch.no_grad itself, inside whatever mode surrounds it."


def _both(before: str, *afters: str) -> list[str]:
    return [f"{before}  ->  {after}" for after in afters]


_GROUPS = (
    (
        "linear_quantize",
        _both(
            "q = torch.round(tensor.double() / scale) + zero_point",
            "q = torch.round(tensor / scale) + zero_point",
            "q = torch.round(tensor.float() / scale) + zero_point",
        ),
        _QUOTIENT,
    ),
    (
        "linear_quantize",
        _both(
            "return q.clamp(codes.min, codes.max).to(dtype)",
            "return q.clamp(codes.min, codes.max).to(torch.float16).to(dtype)",
            "return q.clamp(codes.min, codes.max).to(torch.bfloat16).to(dtype)",
            "return q.clamp(codes.min, codes.max).to(torch.float32).to(dtype)",
        ),
        _SMALL_CODES,
    ),
    (
        "quantization_error",
        _both(
            "return (tensor.double() - restored.double()).square().mean().item()",
            "return (tensor - restored.double()).square().mean().item()",
            "return (tensor.double() - restored).square().mean().item()",
        ),
        _PROMOTES,
    ),
    (
        "sqnr_db",
        _both(
            "noise = (tensor.double() - restored.double()).square().sum().item()",
            "noise = (tensor - restored.double()).square().sum().item()",
            "noise = (tensor.double() - restored).square().sum().item()",
        ),
        _PROMOTES,
    ),
    (
        "sqnr_db",
        [
            "signal = tensor.double().square().sum().item()  ->  signal = tensor.double().square().sum()",
            "noise = (tensor.double() - restored.double()).square().sum().item()  ->  "
            "noise = (tensor.double() - restored.double()).square().sum()",
        ],
        "A 0-dim float64 tensor compares and divides as the float that it holds, and math.log10 returns a float of it.",
    ),
    (
        "quantize_rows",
        _both(
            "divisor = torch.where(scales > 0, scales, 1.0)",
            "divisor = torch.where(scales >= 0, scales, 1.0)",
            "divisor = torch.where(scales > -1, scales, 1.0)",
            "divisor = torch.where(scales > 0, scales, 2.0)",
            "divisor = torch.where(scales > 0, scales, -1.0)",
        ),
        _ANY_DIVISOR,
    ),
    (
        "quantize_rows",
        _both(
            "codes = torch.round(weight / divisor).to(torch.int8)",
            "codes = torch.round(weight / divisor).to(torch.float16).to(torch.int8)",
            "codes = torch.round(weight / divisor).to(torch.bfloat16).to(torch.int8)",
            "codes = torch.round(weight / divisor).to(torch.float32).to(torch.int8)",
        ),
        "The codes are whole and at most 127 in size after rounding, exact in every float dtype used here.",
    ),
    (
        "quantize_model",
        [
            "for qtype in [weights] if activations is None else [weights, activations]  ->  "
            "for qtype in [weights] if activations is None else [activations, weights]"
        ],
        "Both are checked before anything is done; which of two wrong names is refused first, the statement leaves open.",
    ),
    (
        "stored_bytes",
        ["pending = [*model.parameters(), *model.buffers()]  ->  pending = [*model.buffers(), *model.parameters()]"],
        _ORDER,
    ),
    (
        "module_sizes",
        [
            "pending = [*module.parameters(recurse=False), *module.buffers(recurse=False)]  ->  "
            "pending = [*module.buffers(recurse=False), *module.parameters(recurse=False)]"
        ],
        _ORDER,
    ),
    (
        "module_sizes",
        [
            "pending += [getattr(tensor, inner) for inner in tensor.__tensor_flatten__()[0]]  ->  "
            "pending = [getattr(tensor, inner) for inner in tensor.__tensor_flatten__()[0]]"
        ],
        "The weight is the first parameter of every quanto module, and its nested part the first inner tensor; both are "
        "taken from the end of the list when nothing else is left in it, so there is nothing to lose.",
    ),
    (
        "predicted_int8_bytes",
        [
            "tensors = [*module.named_parameters(recurse=False), *module.named_buffers(recurse=False)]  ->  "
            "tensors = [*module.named_buffers(recurse=False), *module.named_parameters(recurse=False)]"
        ],
        _ORDER,
    ),
    (
        "predicted_int8_bytes",
        _both(
            "tensors = [*module.named_parameters(recurse=False), *module.named_buffers(recurse=False)]",
            "tensors = [*module.named_parameters(recurse=False), *module.named_buffers()]",
            "tensors = [*module.named_parameters(recurse=False), *module.named_buffers(recurse=True)]",
        ),
        "Buffers are kept by storage, so that those which every module above lists again count once all the same.",
    ),
    (
        "generate_text",
        ["try  ->  with torch.no_grad(); for module, training in modes.items()", "for Exception alone: try"],
        _NO_EXCEPTION,
    ),
    (
        "generate_text",
        [
            "with torch.no_grad()  ->  tokens = model.generate(**inputs, max_new_tokens=max_new_tokens, "
            "do_sample=False, num_beams=1)",
            "with torch.no_grad()  ->  with torch.enable_grad()",
        ],
        _NO_GRADIENTS,
    ),
    (
        "generate_text",
        [
            "return tokenizer.decode(tokens[0], skip_special_tokens=True)  ->  "
            "return tokenizer.decode(tokens[-1], skip_special_tokens=True)"
        ],
        "One prompt gives one sequence: the first row is the last.",
    ),
    (
        "calibrate",
        [
            "try  ->  with torch.no_grad(), quanto.Calibration(); for module, training in modes.items()",
            "for Exception alone: try",
        ],
        _NO_EXCEPTION,
    ),
    (
        "compare_precisions",
        ["model.to(getattr(torch, precision))  ->  model.to(torch.float32).to(getattr(torch, precision))"],
        "The model from `build()` is float32, as the statement says; a cast to float32 changes nothing.",
    ),
)
EQUIVALENT = {(exercise, text): proof for exercise, texts, proof in _GROUPS for text in texts}
