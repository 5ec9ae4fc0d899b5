"""Layers and norms with given numbers, models around them, and what puts other layers in their place."""

from typing import Any

import torch
from torch import Tensor, nn

from exercises.kit.toys.small_models import seeded


def linear(weight: Tensor, bias: Tensor | None = None) -> nn.Linear:
    """Return an `nn.Linear` with this weight (out, in) and bias."""
    return _filled(nn.Linear(weight.shape[1], weight.shape[0], bias is not None), weight, bias)


def convolution(weight: Tensor, bias: Tensor | None = None, **options: Any) -> nn.Conv2d:
    """Return an `nn.Conv2d` with this weight (out, in / groups, height, width), this bias and these options."""
    rows, columns, *size = weight.shape
    made = nn.Conv2d(columns * options.get("groups", 1), rows, tuple(size), bias=bias is not None, **options)
    return _filled(made, weight, bias)


def _filled(layer: Any, weight: Tensor, bias: Tensor | None) -> Any:
    layer.weight = nn.Parameter(weight.clone())
    if bias is not None:
        layer.bias = nn.Parameter(bias.clone())
    return layer


def batch_norm(
    dimensions: int,
    mean: Tensor,
    variance: Tensor,
    weight: Tensor | None = None,
    bias: Tensor | None = None,
    eps: float = 1e-5,
    training: bool = False,
) -> nn.Module:
    """Return a BatchNorm1d or BatchNorm2d with these statistics; affine if it has a weight."""
    kind = {1: nn.BatchNorm1d, 2: nn.BatchNorm2d}[dimensions]
    made = kind(len(mean), eps=eps, affine=weight is not None)
    made.running_mean, made.running_var = mean.clone(), variance.clone()
    if weight is not None and bias is not None:
        made.weight, made.bias = nn.Parameter(weight.clone()), nn.Parameter(bias.clone())
    return made.train(training)


def without_statistics(dimensions: int, width: int) -> nn.Module:
    """Return a BatchNorm1d or BatchNorm2d that keeps no running statistics."""
    return {1: nn.BatchNorm1d, 2: nn.BatchNorm2d}[dimensions](width, track_running_stats=False)


class Doubled(nn.Linear):
    """A subclass of `nn.Linear`: its output is doubled."""

    def forward(self, x: Tensor) -> Tensor:
        return 2 * super().forward(x)


class Branches(nn.Module):
    """Linear layers at several depths, between modules of other kinds.

    Names: `h`, `head`, `body.0` (a norm), `body.1.inner`, `body.1.head`, `body.2`, `parts.left`, `parts.right`, and `last`, a
    subclass of Linear. forward: float (batch, width) -> (batch, width).
    """

    def __init__(self, width: int) -> None:
        super().__init__()
        self.h = nn.Linear(width, width)
        self.head = nn.Linear(width, width, bias=False)
        inner = nn.ModuleDict({"inner": nn.Linear(width, width), "head": nn.Linear(width, width)})
        self.body = nn.ModuleList([nn.LayerNorm(width), inner, nn.Linear(width, width)])
        self.parts = nn.ModuleDict({"left": nn.Linear(width, width), "right": nn.Linear(width, width, bias=False)})
        self.last = Doubled(width, width)

    def forward(self, x: Tensor) -> Tensor:
        x = self.head(torch.relu(self.h(x)))
        x = self.body[1]["head"](self.body[1]["inner"](self.body[0](x)))
        return self.last(self.parts["right"](torch.relu(self.parts["left"](self.body[2](x)))))


def branches(seed: int = 0, width: int = 16) -> nn.Module:
    """Return a `Branches` in eval mode."""
    with seeded(seed):
        return Branches(width).eval()


def sharing(seed: int = 0, width: int = 16) -> nn.Module:
    """Return a model in which one Linear stands as `first.0`, as `first.2` and as `again`; `other` is another one."""
    with seeded(seed):
        shared = nn.Linear(width, width)
        model = nn.Module()
        model.first = nn.Sequential(shared, nn.ReLU(), shared)
        model.other = nn.Linear(width, width)
        model.again = shared
        return model


class LookAlike(nn.Module):
    """Has the names of a Linear, `in_features`, `weight` and `bias`, and is none."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.in_features = self.out_features = width
        self.weight, self.bias = nn.Parameter(torch.rand(width, width)), nn.Parameter(torch.rand(width))

    def forward(self, x: Tensor) -> Tensor:
        return x @ self.weight + self.bias


def look_alikes(seed: int = 0, width: int = 16) -> nn.Module:
    """Return a model with a Linear, as `linear`, between two modules that have something of one."""
    with seeded(seed):
        model = nn.Module()
        model.like = LookAlike(width)
        model.linear = nn.Linear(width, width)
        model.two = nn.Bilinear(width, width, width)
        return model


def in_bfloat16(model: nn.Module, *names: str) -> nn.Module:
    """Cast the modules of these names to bfloat16, in place, and return the model."""
    for name in names:
        model.get_submodule(name).bfloat16()
    return model


class Stand(nn.Module):
    """What `standing` puts in the place of a Linear: it holds that very layer, as `old`, and an identity."""

    def __init__(self, old: nn.Module) -> None:
        super().__init__()
        self.old = old
        self.after = nn.Identity()

    def forward(self, x: Tensor) -> Tensor:
        return self.after(self.old(x))


class Making:
    """Makes a `Stand` for each layer that it is called with, and notes these layers in `given`."""

    def __init__(self) -> None:
        self.given: list[nn.Module] = []

    def __call__(self, old: nn.Module) -> nn.Module:
        self.given.append(old)
        return Stand(old)


def standing() -> Making:
    """Return a new `Making`."""
    return Making()
