"""Toy models with a behaviour to watch: buffers, training modes, dropout, overflow, failure.

As in `toys`, every function returns a new model that depends on its arguments alone and leaves torch's global random
state as it was (running a dropout in training mode draws from it, as dropout does). Unless stated, forward takes `x`,
float of shape (batch, width).
"""

from collections import OrderedDict
from collections.abc import Sequence

import torch
from torch import Tensor, nn

from exercises.kit.toys.small_models import Mlp, mlp, seeded


class Buffered(nn.Module):
    """A linear layer between a float shift and a lookup by position; one buffer of each kind.

    Buffers: `shift` float (width,); `position_ids` int64 (1, 64); `mask` bool (width,); `code` int8 (width,);
    `cache` float (width, width), not saved in the state dict.
    """

    def __init__(self, width: int) -> None:
        super().__init__()
        self.linear = nn.Linear(width, width)
        self.register_buffer("shift", torch.randn(width))
        self.register_buffer("position_ids", torch.arange(64).unsqueeze(0))
        self.register_buffer("mask", torch.arange(width) % 3 > 0)
        self.register_buffer("code", torch.arange(width, dtype=torch.int8) - width // 2)
        self.register_buffer("cache", torch.randn(width, width), persistent=False)

    def forward(self, x: Tensor) -> Tensor:
        hidden = self.linear(x + self.shift) @ self.cache
        return hidden * self.mask + self.code


def buffered(seed: int = 0, width: int = 16) -> nn.Module:
    """Return a `Buffered`: float, integer, bool and non-persistent buffers."""
    with seeded(seed):
        return Buffered(width)


class NonPersistent(nn.Module):
    """A linear layer and a float table that is not saved in the state dict."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.linear = nn.Linear(width, width)
        self.register_buffer("table", torch.randn(width), persistent=False)

    def forward(self, x: Tensor) -> Tensor:
        return self.linear(x) * self.table


def non_persistent(seed: int = 0, width: int = 16) -> nn.Module:
    """Return a `NonPersistent`: the buffer `table` is in no state dict."""
    with seeded(seed):
        return NonPersistent(width)


class Rotated(nn.Module):
    """A linear layer that turns its input by a table given to it, as rotary embeddings are."""

    def __init__(self, table: Tensor) -> None:
        super().__init__()
        self.linear = nn.Linear(len(table), len(table))
        self.register_buffer("table", table)

    def forward(self, x: Tensor) -> Tensor:
        return self.linear(x @ self.table)


def shared_buffer(seed: int = 0, width: int = 16, layers: int = 3) -> nn.Module:
    """Return a sequence of `Rotated` layers whose buffers `0.table`, `1.table`, ... are one and the same float tensor.

    forward: `input`, float of shape (batch, width).
    """
    with seeded(seed):
        table = torch.randn(width, width)
        return nn.Sequential(*(Rotated(table) for _ in range(layers)))


class Normed(nn.Module):
    """Linear, batch norm over the columns, ReLU, linear."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.linear_1 = nn.Linear(width, width)
        self.norm = nn.BatchNorm1d(width)
        self.linear_2 = nn.Linear(width, width)

    def forward(self, x: Tensor) -> Tensor:
        return self.linear_2(torch.relu(self.norm(self.linear_1(x))))


def batch_norm(seed: int = 0, width: int = 16) -> nn.Module:
    """Return a `Normed` in training mode, with running statistics that differ from a fresh layer's."""
    with seeded(seed):
        model = Normed(width)
        model.norm.running_mean.normal_()
        model.norm.running_var.uniform_(0.5, 2.0)
        model.norm.num_batches_tracked.fill_(7)
    return model


class Block(nn.Module):
    """Attention-like nesting without the attention: two projections and a norm around a residual."""

    def __init__(self, width: int, dropout: float) -> None:
        super().__init__()
        self.attention = nn.Sequential()
        self.attention.add_module("query", nn.Linear(width, width))
        self.attention.add_module("output", nn.Linear(width, width, bias=False))
        self.dropout = nn.Dropout(dropout)
        self.norm = nn.LayerNorm(width)

    def forward(self, x: Tensor) -> Tensor:
        return self.norm(x + self.dropout(self.attention(x)))


class Nested(nn.Module):
    """Blocks in a list, named as in a transformer: `encoder.0.attention.query.weight`; then `lm_head`."""

    def __init__(self, width: int, blocks: int, dropout: float) -> None:
        super().__init__()
        self.encoder = nn.ModuleList(Block(width, dropout) for _ in range(blocks))
        self.lm_head = nn.Linear(width, width)

    def forward(self, x: Tensor) -> Tensor:
        for block in self.encoder:
            x = block(x)
        return self.lm_head(x)


def nested(seed: int = 0, width: int = 16, blocks: int = 2, dropout: float = 0.0) -> nn.Module:
    """Return a `Nested` in training mode; with `dropout` above 0 its answers vary until it is put in eval mode."""
    with seeded(seed):
        return Nested(width, blocks, dropout)


def same_ending(seed: int = 0, width: int = 16) -> nn.Module:
    """Return two Linears, `output` and `part.output`: the name of one ends with that of the other."""
    with seeded(seed):
        output, inner = nn.Linear(width, width), nn.Linear(width, width)
        return nn.Sequential(OrderedDict(output=output, part=nn.Sequential(OrderedDict(output=inner))))


def mixed_modes(seed: int = 0, width: int = 16, dropout: float = 0.0) -> nn.Module:
    """Return a `Nested` in eval mode but for `encoder.1` (itself, not what is below it) and `encoder.0.norm`."""
    model = nested(seed, width, dropout=dropout).eval()
    model.encoder[1].training = True
    model.encoder[0].norm.train()
    return model


class RevealsMode(nn.Module):
    """A linear layer whose answer tells how it was run, without changing its other columns.

    Column 0 is 1 in training mode and else 0, column 1 is 1 while gradients are recorded and else 0, column 2 is the
    number of bytes of an element of `x`.
    """

    def __init__(self, width: int) -> None:
        super().__init__()
        self.linear = nn.Linear(width, width)

    def forward(self, x: Tensor) -> Tensor:
        told = torch.tensor([self.training, torch.is_grad_enabled(), x.element_size()], dtype=x.dtype)
        hidden = self.linear(x)
        return torch.cat([told.expand(len(x), 3), hidden[:, 3:]], dim=1)


def reveals_mode(seed: int = 0, width: int = 16) -> nn.Module:
    """Return a `RevealsMode` in training mode."""
    with seeded(seed):
        return RevealsMode(width)


class Staged(nn.Module):
    """Layers `stage_0`, `stage_1`, ... of one width, run in a given order; fails before one of them if told to."""

    def __init__(self, gains: Sequence[float], width: int, order: Sequence[int], fails_before: int | None) -> None:
        super().__init__()
        self.order, self.fails_before = list(order), fails_before
        for index, gain in enumerate(gains):
            layer = nn.Linear(width, width)
            layer.weight.data = torch.eye(width) * gain
            layer.bias.data = torch.zeros(width)
            self.add_module(f"stage_{index}", layer)

    def forward(self, x: Tensor) -> Tensor:
        for index in self.order:
            if index == self.fails_before:
                raise RuntimeError("this toy was told to fail here")
            x = self.get_submodule(f"stage_{index}")(x)
        return x


def staged(
    gains: Sequence[float], width: int = 16, order: Sequence[int] | None = None, fails_before: int | None = None
) -> nn.Module:
    """Return layers `stage_0`, ... that multiply by the given gains, run in `order` (default: as numbered).

    With gains (1, 2**15, 2**-15) and inputs of 4, float16 overflows in `stage_1`, while float32 and bfloat16 are exact.
    `fails_before` names a stage instead of which the model raises RuntimeError.
    """
    with seeded(0):
        return Staged(gains, width, range(len(gains)) if order is None else order, fails_before)


def overflowing_mlp(layer: int, depth: int = 4, width: int = 16, seed: int = 0) -> nn.Module:
    """Return an `Mlp` that overflows in float16 first at `layers.<layer>`, for standard normal inputs.

    That layer's weights are 2**15 with random signs, and the next layer undoes the size, so float32 and bfloat16 stay
    finite and the answer shows nothing; `layer` may be the last one, whose answers are then large.
    """
    model = mlp([width] * (depth + 1), seed)
    with torch.no_grad():
        for linear in model.layers:
            linear.weight.add_(torch.eye(width))
            linear.bias.fill_(0.5)
        model.layers[layer].weight.sign_().mul_(2.0**15)
        if layer + 1 < depth:
            model.layers[layer + 1].weight.mul_(2.0**-15)
    return model


class Gated(nn.Module):
    """A gate whose product overflows outside any layer: `output` is the first to show it."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.gate = nn.Linear(width, width)
        self.up = nn.Linear(width, width)
        self.output = nn.Linear(width, width)

    def forward(self, x: Tensor) -> Tensor:
        return self.output(self.gate(x) * self.up(x))


def gated(gain: float = 2.0**9, width: int = 16) -> nn.Module:
    """Return a `Gated` whose `gate` and `up` multiply by `gain` and whose `output` divides by its square."""
    with seeded(0):
        model = Gated(width)
    for layer, factor in ((model.gate, gain), (model.up, gain), (model.output, gain**-2)):
        layer.weight.data = torch.eye(width) * factor
        layer.bias.data = torch.zeros(width)
    return model


class Packing(nn.Module):
    """A leaf that answers a dict: an int tensor, and a tuple of its input and its input times `gain`."""

    def __init__(self, gain: float) -> None:
        super().__init__()
        self.gain = gain

    def forward(self, x: Tensor) -> dict:
        return {"size": torch.tensor(x.numel()), "states": (x, x * self.gain)}


class Packed(nn.Module):
    """A layer, a leaf that hides its overflow in a dict, and a layer that uses only the harmless half."""

    def __init__(self, gain: float, width: int) -> None:
        super().__init__()
        self.body = nn.Linear(width, width)
        self.packing = Packing(gain)
        self.head = nn.Linear(width, width)

    def forward(self, x: Tensor) -> Tensor:
        packed = self.packing(self.body(x))
        return self.head(packed["states"][0])


def packed(gain: float = 2.0**17, seed: int = 0, width: int = 16) -> nn.Module:
    """Return a `Packed`: only an inner tensor of the leaf `packing`'s dict overflows in float16."""
    with seeded(seed):
        return Packed(gain, width)


class Failing(Mlp):
    """An `Mlp` that raises RuntimeError after its first layer."""

    def forward(self, x: Tensor) -> Tensor:
        self.layers[0](x)
        raise RuntimeError("this toy always fails")


def failing(seed: int = 0, width: int = 16) -> nn.Module:
    """Return a `Failing`, in training mode: whoever runs it has to tidy up after an exception."""
    with seeded(seed):
        return Failing([width, width, width])
