"""Builders and evaluators to compare precisions with: what `build` and `evaluate` are in the lessons.

A builder makes a new model at each call, an evaluator gives a model a score. Both are objects that count their calls in
`calls`; neither knows what a good answer is.
"""

from collections.abc import Callable, Mapping
from typing import Any

import torch
from torch import Tensor, nn

from exercises.kit.toys import behaviours, casts, small_transformers
from exercises.kit.toys import small_models as toys
from exercises.kit.unpacking import load_quanto


class Builder:
    """Call it for a new model each time: the same weights at every call, or others each time if `varying`.

    `models` holds what it has built.
    """

    def __init__(self, make: Callable[..., nn.Module], keywords: dict[str, Any], varying: bool) -> None:
        self.make, self.keywords, self.varying = make, keywords, varying
        self.models: list[nn.Module] = []

    @property
    def calls(self) -> int:
        return len(self.models)

    def __call__(self) -> nn.Module:
        keywords = dict(self.keywords)
        if self.varying:
            keywords["seed"] = keywords.get("seed", 0) + len(self.models)
        self.models.append(self.make(**keywords))
        return self.models[-1]


def builder(toy: str, varying: bool = False, **keywords: Any) -> Builder:
    """Return a `Builder` of the toy model of that name (`"mlp"`, `"small_t5"`, ...) with these keyword arguments.

    With `varying` the seed grows by one at each call, so that the weights differ.
    """
    for module in (toys, behaviours, casts, small_transformers):
        if hasattr(module, toy):
            return Builder(getattr(module, toy), keywords, varying)
    raise LookupError(f"there is no toy {toy!r}")


def failing_builder() -> Callable[[], nn.Module]:
    """Return a builder that raises TypeError, as torch does for a default dtype that it refuses, once it has made a layer."""

    def build() -> nn.Module:
        nn.Identity()
        raise TypeError("this builder always fails")

    return build


class Fidelity:
    """Score a model by how close it stays to the float32 model from the same builder: 1 is equal, 0 is noise.

    The score is 1 - mean |logits - wanted| / mean |wanted|, in float64, on inputs that the evaluator keeps.
    """

    def __init__(self, wanted: Tensor, inputs: dict[str, Tensor]) -> None:
        self.wanted, self.inputs = wanted, inputs
        self.calls = 0

    def __call__(self, model: nn.Module) -> float:
        self.calls += 1
        dtype = first_dtype(model)
        inputs = {name: value.to(dtype) if value.is_floating_point() else value for name, value in self.inputs.items()}
        logits = logits_of(model, inputs)
        return float(1 - (logits - self.wanted).abs().mean() / self.wanted.abs().mean())


def fidelity(toy: str, inputs: dict[str, Tensor], **keywords: Any) -> Fidelity:
    """Return a `Fidelity` to `builder(toy, **keywords)` in float32, on these inputs of the model's forward."""
    return Fidelity(logits_of(builder(toy, **keywords)(), inputs), inputs)


class Scripted:
    """Score a model by what the script says about its precision, whatever its weights; KeyError for any other."""

    def __init__(self, scores: dict[str, float]) -> None:
        self.scores = scores
        self.calls = 0

    def __call__(self, model: nn.Module) -> float:
        self.calls += 1
        return self.scores[precision(model)]


def scripted_evaluator(scores: Mapping[str, float]) -> Scripted:
    """Return a `Scripted` evaluator with a score for each of "float32", "bfloat16", "float16", "qint8", ..."""
    return Scripted(dict(scores))


def failing_evaluator() -> Callable[[nn.Module], float]:
    """Return an evaluator that raises RuntimeError."""

    def evaluate(model: nn.Module) -> float:
        raise RuntimeError("this evaluator always fails")

    return evaluate


def precision(model: nn.Module) -> str:
    """Return the name of the first quantized weight's type if there is one, else that of the first float parameter."""
    for module in model.modules():
        qtype = getattr(module, "weight_qtype", None)
        if qtype is not None:
            return qtype.name
    return str(first_dtype(model)).removeprefix("torch.")


def first_dtype(model: nn.Module) -> torch.dtype:
    """Return the dtype of the model's first float parameter, float32 if it has none."""
    dtypes = (parameter.dtype for parameter in model.parameters() if parameter.is_floating_point())
    return next(dtypes, torch.float32)


def logits_of(model: nn.Module, inputs: dict[str, Tensor]) -> Tensor:
    """Return what the model answers (its `logits` where it has them), float64, without gradients."""
    with torch.no_grad():
        output = model(**inputs)
    return getattr(output, "logits", output).to(torch.float64)


def quantized(toy: str, weights: str = "qint8", frozen: bool | str = True, **keywords: Any) -> nn.Module:
    """Return the toy model of that name with quantized weights, frozen, or not, or frozen only where a glob matches.

    The keywords `activations` and `exclude` go to quanto, the others to the toy.
    """
    from fnmatch import fnmatchcase

    quanto = load_quanto()
    options = {name: keywords.pop(name) for name in ("activations", "exclude") if name in keywords}
    model = builder(toy, **keywords)()
    quanto.quantize(model, weights=weights, **options)
    pattern = {True: "*", False: ""}.get(frozen, frozen)
    for name, module in model.named_modules():
        if hasattr(module, "freeze") and fnmatchcase(name, pattern):
            module.freeze()
    return model
