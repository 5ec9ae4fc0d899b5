"""Toys for casting, building and running in a dtype: tensors that insist on theirs, models that tell how they were run.

As in `toys`, every function returns a new model that depends on its arguments alone and leaves torch's global random
state as it was. Unless stated, forward takes `x`, float of shape (batch, width).
"""

from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from exercises.kit import models
from exercises.kit.toys import variants
from exercises.kit.toys.small_models import mlp, seeded


class Pinned(nn.Module):
    """A linear layer in the default dtype beside tensors whose dtypes the code names itself.

    Parameter `thirds` (width,) in the default dtype, `table` (width,) always float32; buffers `steps` in the default
    dtype, `position_ids` int64.
    """

    def __init__(self, width: int) -> None:
        super().__init__()
        self.linear = nn.Linear(width, width)
        self.thirds = nn.Parameter(torch.tensor([number / 3 for number in range(width)]))
        self.table = nn.Parameter(torch.randn(width, dtype=torch.float32))
        self.register_buffer("steps", torch.linspace(0, 1, width))
        self.register_buffer("position_ids", torch.arange(width))

    def forward(self, x: Tensor) -> Tensor:
        return self.linear(x * self.thirds) + self.table.to(x.dtype)


def pinned(seed: int = 0, width: int = 16) -> nn.Module:
    """Return a `Pinned`, made under whatever default dtype holds."""
    with seeded(seed):
        return Pinned(width)


def one_storage(seed: int = 0, width: int = 16) -> nn.Module:
    """Return an `Mlp` of three layers whose weights 0 and 1 are two parameters with one storage, and 2 equals them."""
    model = mlp([width] * 4, seed)
    model.layers[1].weight = nn.Parameter(model.layers[0].weight.data)
    model.layers[2].weight = nn.Parameter(model.layers[0].weight.data.clone())
    return model


def crossed_ties() -> nn.Module:
    """Return an `Mlp` of four layers with two ties, of which the first to begin is the shorter one and the last to end.

    The weights of 0 and 3 are one parameter, the biases of 0, 1 and 2 another, which 2 also calls `again`.
    """
    model = mlp([16] * 5)
    model.layers[3].weight = model.layers[0].weight
    model.layers[1].bias = model.layers[2].bias = model.layers[2].again = model.layers[0].bias
    return model


class Looked(nn.Module):
    """An embedding whose matrix the root also calls `table`, and a linear layer."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.embedding = nn.Embedding(8, width)
        self.head = nn.Linear(width, width)
        self.table = self.embedding.weight

    def forward(self, input_ids: Tensor) -> Tensor:
        return self.head(self.embedding(input_ids)) @ self.table.T


def by_another_name(seed: int = 0, width: int = 16) -> nn.Module:
    """Return a `Looked`: `table` and `embedding.weight` are one parameter, and `table` comes first."""
    with seeded(seed):
        return Looked(width)


def frozen(model: nn.Module, count: bool = True) -> nn.Module:
    """Return the model, whose weights training leaves alone; with an int64 parameter `count` of shape (3,) if so asked."""
    for name, parameter in model.named_parameters():
        parameter.requires_grad_(not name.endswith("weight"))
    if count:
        model.count = nn.Parameter(torch.arange(3), requires_grad=False)
    return model


class Amplifier(nn.Module):
    """A leaf that multiplies by `gain` while a condition holds: "training", "evaluating" or "recording" gradients.

    Gradients are recorded while its input requires them, which takes a parameter in front that does.
    """

    def __init__(self, condition: str, gain: float) -> None:
        super().__init__()
        self.condition, self.gain = condition, gain

    def forward(self, x: Tensor) -> Tensor:
        holds = {
            "training": self.training,
            "evaluating": not self.training,
            "recording": x.requires_grad,
        }
        return x * self.gain if holds[self.condition] else x


class Amplified(nn.Module):
    """A linear layer, then an `Amplifier`."""

    def __init__(self, condition: str, gain: float, width: int) -> None:
        super().__init__()
        self.linear = nn.Linear(width, width)
        self.amplifier = Amplifier(condition, gain)

    def forward(self, x: Tensor) -> Tensor:
        return self.amplifier(self.linear(x))


def amplified(
    condition: str, gain: float = 2.0**20, training: bool = True, seed: int = 0, width: int = 16
) -> nn.Module:
    """Return an `Amplified` in training or eval mode; with the default gain float16 overflows while it amplifies."""
    with seeded(seed):
        return Amplified(condition, gain, width).train(training)


class Bag(nn.Module):
    """A leaf that answers a list with much that is no float tensor, and its input times `gain` deep inside."""

    def __init__(self, gain: float) -> None:
        super().__init__()
        self.gain = gain

    def forward(self, x: Tensor) -> list:
        return [x, None, 3, "text", torch.tensor([3]), {"deep": (x > 0, [x * self.gain])}, torch.float16]


class Bagged(nn.Module):
    """A linear layer, a `Bag`, and a linear layer that uses what is harmless."""

    def __init__(self, gain: float, width: int) -> None:
        super().__init__()
        self.linear = nn.Linear(width, width)
        self.bag = Bag(gain)
        self.head = nn.Linear(width, width)

    def forward(self, x: Tensor) -> Tensor:
        return self.head(self.bag(self.linear(x))[0])


def bagged(gain: float = 2.0**20, seed: int = 0, width: int = 16) -> nn.Module:
    """Return a `Bagged`: with the default gain float16 overflows in one tensor inside of `bag`'s answer."""
    with seeded(seed):
        return Bagged(gain, width)


class NestedInput(nn.Module):
    """A linear layer on the sum of two tensors, one in a dict, one in a list in a dict.

    forward: `batch`, {"first": (batch, width), "more": {"states": [(batch, width)], "ids": int64 (batch,)}}.
    """

    def __init__(self, width: int) -> None:
        super().__init__()
        self.embedding = nn.Embedding(8, width)
        self.linear = nn.Linear(width, width)

    def forward(self, batch: dict) -> Tensor:
        first, more = batch["first"], batch["more"]
        return self.linear(first) + self.linear(more["states"][0]) + self.embedding(more["ids"])


def nested_input(seed: int = 0, width: int = 16) -> nn.Module:
    """Return a `NestedInput`."""
    with seeded(seed):
        return NestedInput(width)


class Outside(nn.Module):
    """A linear layer whose answer the root multiplies by `gain`, outside of any leaf."""

    def __init__(self, gain: float, width: int) -> None:
        super().__init__()
        self.linear = nn.Linear(width, width)
        self.gain = gain

    def forward(self, x: Tensor) -> Tensor:
        return self.linear(x) * self.gain


def outside(gain: float = 2.0**20, seed: int = 0, width: int = 16) -> nn.Module:
    """Return an `Outside`: with the default gain float16 overflows, but in no leaf."""
    with seeded(seed):
        return Outside(gain, width)


def blip_in_mixed_modes() -> nn.Module:
    """Return the tiny BLIP in training mode but for some submodules."""
    model, _ = models.tiny_blip()
    model.train()
    model.vision_model.encoder.layers[0].eval()
    model.text_decoder.bert.training = False
    return model


def blip_that_shows_its_mode(seed: int) -> nn.Module:
    """Return `tiny_blip_variant(seed)` in training mode, in which its decoder sees its words turned round."""
    model = variants.tiny_blip_variant(seed, training=True)
    model.text_decoder.bert.embeddings.dropout = Amplifier("training", -1.0)
    return model


def blip_that_says(count: int, seed: int) -> nn.Module:
    """Return a `tiny_blip_variant(seed)` whose captions have exactly `count` words, sense or not."""
    model = variants.tiny_blip_variant(seed)
    first_word, end, read = 5, model.config.text_config.sep_token_id, [0]

    def note_place(module: nn.Module, arguments: tuple, named: dict[str, Any]) -> None:
        read[0] = named.get("past_key_values_length", 0) + named["input_ids"].shape[1]

    def steer(module: nn.Module, arguments: tuple, logits: Tensor) -> Tensor:
        places = read[0] + 1 - torch.arange(logits.shape[1], 0, -1)  # the last ones, without a cache too
        steered = logits.clone()
        steered[:, :, :first_word] = -1e4
        steered[:, places > count, end] = 1e4
        return steered

    model.text_decoder.bert.embeddings.register_forward_pre_hook(note_place, with_kwargs=True)
    model.text_decoder.cls.register_forward_hook(steer)
    return model


def blip_variant_in(dtype: torch.dtype, seed: int) -> nn.Module:
    """Return `tiny_blip_variant(seed)` cast to `dtype`."""
    return variants.tiny_blip_variant(seed).to(dtype)


def blip_with_first(dtype: torch.dtype) -> nn.Module:
    """Return the tiny BLIP whose first parameter is an integer, its first float parameter in `dtype`, the rest float32."""
    model, _ = models.tiny_blip()
    model.count = nn.Parameter(torch.tensor(3), requires_grad=False)
    embeddings = model.vision_model.embeddings
    embeddings.class_embedding = nn.Parameter(embeddings.class_embedding.data.to(dtype))
    return model


def blip_that_decodes(seed: int, settings: dict[str, Any]) -> nn.Module:
    """Return `tiny_blip_variant(seed)` with these settings in its generation configs; its text decoder's is the one used."""
    model = variants.tiny_blip_variant(seed)
    for part in (model, model.text_decoder):
        for name, value in settings.items():
            setattr(part.generation_config, name, value)
    return model


def tiny_blip_path() -> Path:
    """Return the tiny BLIP's folder as a Path."""
    return Path(models.tiny_blip_folder())


def tiny_blip_alone() -> nn.Module:
    """Return the tiny BLIP without its processor."""
    return models.tiny_blip()[0]


class BesideIntegers(nn.Module):
    """A model beside an int64 buffer `position_ids` of shape (1, 64)."""

    def __init__(self, model: nn.Module) -> None:
        super().__init__()
        self.model = model
        self.register_buffer("position_ids", torch.arange(64).unsqueeze(0))

    def forward(self, *args: Any, **keywords: Any) -> Any:
        return self.model(*args, **keywords)


def beside_integers(model: nn.Module) -> nn.Module:
    """Return a `BesideIntegers` around the model."""
    return BesideIntegers(model)


def shared_positions() -> nn.Module:
    """Return a perceptron beside an int64 buffer, twice: `position_ids` and `model.position_ids` are one tensor."""
    model = beside_integers(beside_integers(mlp()))
    model.position_ids = model.model.position_ids
    return model


def statistics_alone() -> nn.Module:
    """Return a batch norm without parameters: float and integer buffers are all it has."""
    return nn.BatchNorm1d(16, affine=False)
