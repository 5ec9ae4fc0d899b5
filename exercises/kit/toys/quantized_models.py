"""Toys around quanto: quantized models in every state, tensors that share or waste storage, an evaluator that tells.

As in `toys`, every function depends on its arguments alone. quanto is imported inside the functions.
"""

from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from exercises.kit import models
from exercises.kit.toys import small_transformers
from exercises.kit.toys.precisions import precision
from exercises.kit.toys.small_models import mlp, seeded
from exercises.kit.unpacking import load_quanto


def qtype(name: str) -> Any:
    """Return quanto's qtype of that name: "qint8", "qint4", "qint2", "qfloat8", ..."""
    from optimum import quanto

    return quanto.qtypes[name]


def with_quanto(
    model: nn.Module,
    weights: str | None = "qint8",
    activations: str | None = None,
    exclude: str | list[str] | None = None,
    frozen: str = "*",
) -> nn.Module:
    """Quantize the model in place and return it, frozen where a layer's qualified name matches the glob `frozen`."""
    from fnmatch import fnmatchcase

    quanto = load_quanto()
    quanto.quantize(model, weights=weights, activations=activations, exclude=exclude)
    for name, module in model.named_modules():
        if isinstance(module, quanto.QModuleMixin) and fnmatchcase(name, frozen):
            module.freeze()
    return model


def cast(model: nn.Module, dtype: torch.dtype) -> nn.Module:
    """Cast the model in place and return it."""
    return model.to(dtype)


def trained_where(model: nn.Module, pattern: str) -> nn.Module:
    """Put the modules whose qualified names match the glob in training mode, each by itself, and all others in eval mode."""
    from fnmatch import fnmatchcase

    for name, module in model.named_modules():
        module.training = fnmatchcase(name, pattern)
    return model


def new_folder() -> Path:
    """Return `small_transformers.new_folder()` as a Path."""
    return Path(small_transformers.new_folder())


def mixed_qtypes(qtypes: list[str], seed: int = 0, width: int = 16) -> nn.Module:
    """Return an `Mlp` whose layers are quantized, not frozen, each to its qtype; "" leaves a layer float."""
    quanto = load_quanto()
    model = mlp([width] * (len(qtypes) + 1), seed)
    for index, name in enumerate(qtypes):
        if name:
            others = [f"layers.{other}" for other in range(len(qtypes)) if other != index]
            quanto.quantize(model, weights=name, exclude=others)
    return model


class Windows(nn.Module):
    """Tensors that are windows on storages larger than themselves.

    `left` and `right` are parameters, the two halves of one storage; `window` is a buffer of 4 elements on one of 100,
    not saved; `column` is an expanded buffer, 64 elements that are stored once; `part.inner` is a window on `left`.
    """

    def __init__(self, width: int) -> None:
        super().__init__()
        both = torch.randn(2, width)
        self.left, self.right = nn.Parameter(both[0]), nn.Parameter(both[1])
        self.register_buffer("window", torch.randn(100)[10:14], persistent=False)
        self.register_buffer("column", torch.randn(1).expand(64))
        self.part = nn.Module()
        self.part.register_buffer("inner", both[0, : width // 2])
        self.part.linear = nn.Linear(width, width)

    def forward(self, x: Tensor) -> Tensor:
        return self.part.linear(x * self.left + self.right)


def windows(seed: int = 0, width: int = 16) -> nn.Module:
    """Return a `Windows`."""
    with seeded(seed):
        return Windows(width)


class Signal(nn.Module):
    """Convolutions that quanto leaves float, and a linear layer.

    forward: `x`, float of shape (batch, width, length) -> (batch, 4).
    """

    def __init__(self, width: int) -> None:
        super().__init__()
        self.sharpen = nn.Conv1d(width, width, kernel_size=3, padding=1)
        self.spread = nn.ConvTranspose1d(width, width, kernel_size=2, stride=2)
        self.classifier = nn.Linear(width, 4)

    def forward(self, x: Tensor) -> Tensor:
        return self.classifier(self.spread(torch.relu(self.sharpen(x))).mean(2))


def signal(seed: int = 0, width: int = 16) -> nn.Module:
    """Return a `Signal`."""
    with seeded(seed):
        return Signal(width)


def without_gradients(model: nn.Module) -> nn.Module:
    """Let none of the model's parameters be trained, and return it."""
    return model.requires_grad_(False)


class Spy(nn.Module):
    """Dropout and a linear layer, and buffers that count how forward was called.

    `calls` counts calls, `trained` those in training mode, `recorded` those with gradients; all int64, 0-dim.
    """

    def __init__(self, width: int, dropout: float) -> None:
        super().__init__()
        self.linear = nn.Linear(width, width)
        self.dropout = nn.Dropout(dropout)
        self.head = nn.Linear(width, width)
        for name in ("calls", "trained", "recorded"):
            self.register_buffer(name, torch.tensor(0))

    def forward(self, x: Tensor) -> Tensor:
        self.calls += 1
        self.trained += int(self.training)
        self.recorded += int(torch.is_grad_enabled())
        return self.head(self.dropout(torch.relu(self.linear(x))))


def spy(seed: int = 0, width: int = 16, dropout: float = 0.5) -> nn.Module:
    """Return a `Spy` in training mode."""
    with seeded(seed):
        return Spy(width, dropout)


class Describing:
    """Tells about each model it is given, in place of a score: its precision, its first bias, whether its quantized layers
    are frozen (None if it has none), and the call's number if it is `counting`.
    """

    def __init__(self, counting: bool) -> None:
        self.counting, self.calls = counting, 0

    def __call__(self, model: nn.Module) -> dict[str, Any]:
        self.calls += 1
        bias = next(value for name, value in model.named_parameters() if name.endswith("bias"))
        frozen = {module.frozen for module in model.modules() if getattr(module, "weight_qtype", None) is not None}
        told = {
            "precision": precision(model),
            "bias": bias.flatten()[0].item(),
            "frozen": all(frozen) if frozen else None,
        }
        return told | {"call": self.calls} if self.counting else told


def describing_evaluator(counting: bool = False) -> Describing:
    """Return a `Describing`."""
    return Describing(counting)


def unsure(model: nn.Module, power: int = -5) -> nn.Module:
    """Multiply a T5's logits by 2**power, in place, and return it: every order stays, but no token is likely any more."""
    with torch.no_grad():
        model.decoder.final_layer_norm.weight *= 2.0**power
    return model


def tiny_t5_exchanging(first: int, second: int) -> nn.Module:
    """Return the tiny T5 with the meaning of two token ids exchanged: it reads and writes one for the other."""
    model, _ = models.tiny_t5()
    with torch.no_grad():
        model.shared.weight[[first, second]] = model.shared.weight[[second, first]]
    return model
