"""Mutants of lesson 7 that are right: each with the proof that no input of the contract tells it from a right solution."""

_WIDER = "The softmax in float64 instead of float32 differs by less than the bound that float32 has to be given."
_ANY_DIVISOR = (
    "Only rows of zeros have the scale 0, and their codes are 0 for every divisor; even 0 / 0, nan, becomes the int8 0 in "
    "torch's casts on x86 and ARM. The statement leaves their scale free, as long as it is finite and not negative."
)
_SMALL_CODES = (
    "Every code is written by its column's step before the loop ends; what the tensor held before is not read."
)
_NO_MATTER = (
    "The order of errors is the same: a mean is the sum over a number that is the same for all candidates, and 0-dim tensors "
    "compare as the floats that they hold."
)
_ROUNDED_BEFORE = "hadamard(n) is float32, so a cast to float32 before the cast to the layer's dtype changes nothing."
_COPIED = "The weight is float32, so `double()` is a copy already, and nothing is written into the argument."
_GRADIENTS = "Whether s requires gradients is not part of the statement, nor of what comes back as data."
_SUMS = (
    "float32 sums of a batch's losses differ from float64 ones by less than the bound that float32 losses have to be given; "
    "0-dim tensors add, compare and convert as the numbers that they hold."
)

_LOSSES = "losses = nn.functional.cross_entropy(logits[counts].{}, labels[counts], reduction='none')"
_TOTAL = "total += losses.double().sum().item()"
_SCALES = "scales = torch.where(scales > 0, scales, 1.0)"
_ERROR = "candidates.append(((actual - wanted).square().{}, i, s))"
_WIDENED = "w, h, largest_code = (weight.double(){}, hessian.clone(), 2 ** (bits - 1) - 1)"
_H = "h = hadamard(linear.in_features).{}"

_ONE_AXIS = "It has one axis whatever the arguments are, so that its last row is asked for by nobody."
_S = "s = s / ({}.max() * {}.min()).sqrt()"
_LAST_S = "(s[-1] if s.dim() > 1 else s)"

_GROUPS: tuple[tuple[str, list[str], str], ...] = (
    ("perplexity", [f"{_LOSSES.format('float()')}  ->  {_LOSSES.format('double()')}"], _WIDER),
    (
        "perplexity",
        [
            "total, count = (0.0, 0)  ->  total, count = (0, 0.0)",
            f"{_TOTAL}  ->  total += losses.double().sum()",
            f"{_TOTAL}  ->  total += losses.sum().item()",
            f"{_TOTAL}  ->  total += losses.float().sum().item()",
            "count += int(counts.sum())  ->  count += counts.sum()",
        ],
        _SUMS,
    ),
    (
        "perplexity",
        [
            f"{_TOTAL}  ->  "
            "total += (losses.double()[-1] if losses.double().dim() > 1 else losses.double()).sum().item()"
        ],
        _ONE_AXIS,
    ),
    (
        "gptq_quantize_layer",
        [
            "h.diagonal().add_(damp * h.diagonal().mean())  ->  "
            "h.diagonal().add_(damp * (h.diagonal()[-1] if h.diagonal().dim() > 1 else h.diagonal()).mean())"
        ],
        _ONE_AXIS,
    ),
    (
        "awq_scales",
        [f"{_S.format('s', 's')}  ->  {_S.format(*one)}" for one in ((_LAST_S, "s"), ("s", _LAST_S))],
        _ONE_AXIS,
    ),
    (
        "input_hessian",
        ["without: if not tokens", "without: raise ValueError('there are no tokens')"],
        "`torch.cat` of an empty list raises ValueError as well.",
    ),
    (
        "smooth",
        [
            "s = smooth_scales(inputs.abs().amax(dim=0), linear.weight.detach(), alpha)  ->  "
            "s = smooth_scales(inputs.abs().amax(dim=0), linear.weight, alpha)"
        ],
        _GRADIENTS,
    ),
    (
        "gptq_quantize_layer",
        [
            f"without: {_SCALES}",
            *(
                f"{_SCALES}  ->  scales = torch.where({other})"
                for other in ("scales >= 0, scales, 1.0", "scales > -1, scales, 1.0", "scales > 0, scales, 2.0")
            ),
        ],
        _ANY_DIVISOR,
    ),
    (
        "gptq_quantize_layer",
        [
            "codes = torch.zeros_like(w, dtype=torch.int8)  ->  codes = torch.ones_like(w, dtype=torch.int8)",
            "codes[:, i:i + 1] = q  ->  codes[:, i:] = q",
            "codes[:, i:i + 1] = q  ->  codes[:, i:i + 2] = q",
        ],
        _SMALL_CODES,
    ),
    ("gptq_quantize_layer", [f"{_WIDENED.format('.clone()')}  ->  {_WIDENED.format('')}"], _COPIED),
    (
        "awq_scales",
        [f"{_ERROR.format('sum().item()')}  ->  {_ERROR.format(other)}" for other in ("sum()", "mean().item()")],
        _NO_MATTER,
    ),
    (
        "rotate",
        [f"{_H.format('to(linear.weight.dtype)')}  ->  {_H.format('to(torch.float32).to(linear.weight.dtype)')}"],
        _ROUNDED_BEFORE,
    ),
)

EQUIVALENT = {(exercise, text): proof for exercise, texts, proof in _GROUPS for text in texts}
