"""Toy models: small enough to print, each built to show one thing that real models do.

Every function returns a new model that depends on its arguments alone: the same seed gives the same weights, and
torch's global random state is left as it was. Weights are made in torch's default dtype; widths are 16 or more wherever
a model is meant to be quantized. The models' forward takes `x`, float of shape (batch, width), unless stated.
"""

import copy
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import pairwise

import torch
from torch import Tensor, nn


@contextmanager
def seeded(seed: int) -> Iterator[None]:
    """Draw from `seed` inside, and give torch's global generator its old state back afterwards."""
    state = torch.get_rng_state()
    torch.default_generator.manual_seed(seed)
    try:
        yield
    finally:
        torch.set_rng_state(state)


def random_input(*shape: int, seed: int = 0, dtype: torch.dtype = torch.float32) -> Tensor:
    """Return standard normal values of the given shape, drawn in float32 and cast to `dtype`."""
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float32).to(dtype)


class DummyModel(nn.Module):
    """The course's model of 30 parameters: tokens in, two logits for each out.

    forward: `x`, int64 of shape (batch, length), tokens 0 or 1 -> (batch, length, 2).
    The weights are those of `torch.manual_seed(123)`, but the global generator is left alone.
    """

    def __init__(self) -> None:
        super().__init__()
        with seeded(123):
            self.token_embedding = nn.Embedding(2, 2)
            self.linear_1 = nn.Linear(2, 2)
            self.layernorm_1 = nn.LayerNorm(2)
            self.linear_2 = nn.Linear(2, 2)
            self.layernorm_2 = nn.LayerNorm(2)
            self.head = nn.Linear(2, 2)

    def forward(self, x: Tensor) -> Tensor:
        hidden = self.token_embedding(x)
        hidden = self.layernorm_1(self.linear_1(hidden))
        hidden = self.layernorm_2(self.linear_2(hidden))
        return self.head(hidden)


def dummy_model() -> nn.Module:
    """Return a new `DummyModel`."""
    return DummyModel()


def dummy_input() -> Tensor:
    """Return the course's two sentences for `DummyModel`: int64 of shape (2, 2)."""
    return torch.tensor([[1, 0], [0, 1]])


class Mlp(nn.Module):
    """Linear layers `layers.0`, `layers.1`, ... with a ReLU between them (none after the last)."""

    def __init__(self, widths: Sequence[int], bias: bool = True) -> None:
        super().__init__()
        self.layers = nn.ModuleList(nn.Linear(*pair, bias=bias) for pair in pairwise(widths))

    def forward(self, x: Tensor) -> Tensor:
        for layer in self.layers[:-1]:
            x = torch.relu(layer(x))
        return self.layers[-1](x)


def mlp(widths: Sequence[int] = (16, 32, 16), seed: int = 0, bias: bool = True) -> Mlp:
    """Return an `Mlp` of the given widths, input first, with random weights; without biases if `bias` is false."""
    with seeded(seed):
        return Mlp(widths, bias)


def mlp_from(weights: Sequence[Tensor], biases: Sequence[Tensor] | None = None) -> Mlp:
    """Return an `Mlp` with the given weights, each (out, in), and biases, each (out,); their dtypes are kept."""
    model = mlp([weights[0].shape[1], *(len(weight) for weight in weights)], bias=biases is not None)
    for index, layer in enumerate(model.layers):
        layer.weight = nn.Parameter(weights[index].clone())
        if biases is not None:
            layer.bias = nn.Parameter(biases[index].clone())
    return model


def mixed_dtypes(dtypes: Sequence[torch.dtype], seed: int = 0, width: int = 16) -> Mlp:
    """Return an `Mlp` whose layers are in the given float dtypes, one layer for each. It is not meant to be run."""
    model = mlp([width] * (len(dtypes) + 1), seed)
    for layer, dtype in zip(model.layers, dtypes, strict=True):
        layer.to(dtype)
    return model


def outlier_mlp(power: int = 14, widths: Sequence[int] = (16, 32, 16), seed: int = 0, rows: int = 1) -> nn.Module:
    """Return `mlp(widths, seed)` with some rows of layer 0 times 2**power, undone in layer 1's columns.

    A ReLU lets a positive factor through, and powers of two are exact, so the float32 outputs stay the same bit for
    bit. Activations in float16 or int8 see values 2**power too large.
    """
    model = mlp(widths, seed)
    with torch.no_grad():
        model.layers[0].weight[:rows] *= 2.0**power
        model.layers[0].bias[:rows] *= 2.0**power
        model.layers[1].weight[:, :rows] *= 2.0**-power
    return model


class TiedModel(nn.Module):
    """Tokens in, logits out, through one matrix that is both the embedding and the weight of the head.

    forward: `input_ids`, int64 of shape (batch, length) -> (batch, length, vocabulary).
    """

    def __init__(self, vocabulary: int, width: int) -> None:
        super().__init__()
        self.embedding = nn.Embedding(vocabulary, width)
        self.body = nn.Linear(width, width)
        self.norm = nn.LayerNorm(width)
        self.lm_head = nn.Linear(width, vocabulary, bias=False)
        self.lm_head.weight = self.embedding.weight

    def forward(self, input_ids: Tensor) -> Tensor:
        hidden = self.embedding(input_ids)
        return self.lm_head(self.norm(hidden + self.body(hidden)))


def tied(vocabulary: int = 32, width: int = 16, seed: int = 0) -> nn.Module:
    """Return a `TiedModel`: `lm_head.weight` is `embedding.weight`."""
    with seeded(seed):
        return TiedModel(vocabulary, width)


def tied_groups(seed: int = 0) -> Mlp:
    """Return an `Mlp` of four layers: the weights of 0, 1 and 3 are one parameter, the biases of 1 and 2 another."""
    model = mlp([16] * 5, seed)
    first, second, third, fourth = model.layers
    second.weight = fourth.weight = first.weight
    third.bias = second.bias
    return model


class TwoNames(nn.Module):
    """A model that calls one and the same layer by two names; not meant to be quantized."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.first = nn.Linear(width, width)
        self.middle = nn.Linear(width, width)
        self.again = self.first

    def forward(self, x: Tensor) -> Tensor:
        return self.again(torch.relu(self.middle(self.first(x))))


def module_under_two_names(seed: int = 0, width: int = 16) -> nn.Module:
    """Return a `TwoNames`: `again` is the module `first`, so each of its parameters has two names."""
    with seeded(seed):
        return TwoNames(width)


class IntegerInput(nn.Module):
    """Tokens in, four logits for each sentence out: every input is an integer tensor.

    forward: `input_ids` and `attention_mask` (1 = counts), int64 of shape (batch, length) -> (batch, 4).
    """

    def __init__(self, vocabulary: int, width: int) -> None:
        super().__init__()
        self.embedding = nn.Embedding(vocabulary, width)
        self.dense = nn.Linear(width, width)
        self.classifier = nn.Linear(width, 4)

    def forward(self, input_ids: Tensor, attention_mask: Tensor) -> Tensor:
        kept = attention_mask.unsqueeze(-1).to(self.embedding.weight.dtype)
        pooled = (self.embedding(input_ids) * kept).sum(1) / kept.sum(1)
        return self.classifier(torch.tanh(self.dense(pooled)))


def integer_input(vocabulary: int = 32, width: int = 16, seed: int = 0) -> nn.Module:
    """Return an `IntegerInput`."""
    with seeded(seed):
        return IntegerInput(vocabulary, width)


class Convolutional(nn.Module):
    """Two convolutions with batch norm between them, then a classifier.

    forward: `x`, float of shape (batch, 16, height, width) -> (batch, 16).
    """

    def __init__(self, bias: bool) -> None:
        super().__init__()
        self.conv_1 = nn.Conv2d(16, 32, kernel_size=3, padding=1, bias=bias)
        self.norm = nn.BatchNorm2d(32)
        self.conv_2 = nn.Conv2d(32, 16, kernel_size=1, bias=bias)
        self.classifier = nn.Linear(16, 16)

    def forward(self, x: Tensor) -> Tensor:
        hidden = self.conv_2(torch.relu(self.norm(self.conv_1(x))))
        return self.classifier(hidden.mean((2, 3)))


def convolutional(seed: int = 0, bias: bool = True) -> nn.Module:
    """Return a `Convolutional`, in training mode as every new model; `bias` concerns the convolutions."""
    with seeded(seed):
        return Convolutional(bias)


class Scale(nn.Module):
    """A model that is its own only module: it multiplies by one factor for each column."""

    def __init__(self, factor: Tensor) -> None:
        super().__init__()
        self.factor = nn.Parameter(factor.clone())

    def forward(self, x: Tensor) -> Tensor:
        return x * self.factor


def root_leaf(factor: Tensor) -> nn.Module:
    """Return a `Scale` by `factor`, of shape (width,) or (): a root module without children."""
    return Scale(factor)


class WithoutTensors(nn.Module):
    """A model with modules but no parameter and no buffer."""

    def __init__(self) -> None:
        super().__init__()
        self.relu = nn.ReLU()
        self.flatten = nn.Flatten()

    def forward(self, x: Tensor) -> Tensor:
        return self.flatten(self.relu(x))


def without_tensors() -> nn.Module:
    """Return a `WithoutTensors`."""
    return WithoutTensors()


@dataclass
class Output:
    """What a model returns whose answer is `output.logits`."""

    logits: Tensor
    hidden: Tensor


class Answering(nn.Module):
    """A perceptron whose answer comes in the given form: "tensor", "logits", "tuple", "dict" or "nested"."""

    def __init__(self, form: str, width: int) -> None:
        super().__init__()
        self.form = form
        self.body = nn.Linear(width, 2 * width)
        self.head = nn.Linear(2 * width, width)

    def forward(self, x: Tensor) -> Tensor | Output | tuple | dict:
        hidden = torch.relu(self.body(x))
        logits = self.head(hidden)
        return {
            "tensor": logits,
            "logits": Output(logits, hidden),
            "tuple": (logits, hidden),
            "dict": {"logits": logits, "hidden": hidden},
            "nested": {"steps": [(hidden, len(hidden))], "result": {"logits": logits}},
        }[self.form]


def answering(form: str, seed: int = 0, width: int = 16) -> nn.Module:
    """Return an `Answering`; the form "logits" gives an object with the attributes `logits` and `hidden`."""
    with seeded(seed):
        return Answering(form, width)


def on_meta(model: nn.Module) -> nn.Module:
    """Return a copy of the model without data (meta device): shapes, dtypes, ties, modes and names stay."""
    memo = {id(tensor): _without_data(tensor) for tensor in [*model.parameters(), *model.buffers()]}
    return copy.deepcopy(model, memo)


def _without_data(tensor: Tensor) -> Tensor:
    empty = torch.empty_like(tensor, device="meta")
    return nn.Parameter(empty, tensor.requires_grad) if isinstance(tensor, nn.Parameter) else empty
