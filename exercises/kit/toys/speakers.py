"""Single layers of given numbers, and small language models that tell how they are called."""

import zlib
from types import SimpleNamespace
from typing import Any

import torch
from torch import Tensor, nn

from exercises.kit.toys.small_models import seeded


def linear(weight: Any, bias: Any = None) -> nn.Linear:
    """Return a linear layer of this weight (out, in), a tensor or lists, in its dtype, and with this bias or none."""
    weight = torch.as_tensor(weight)
    layer = nn.Linear(weight.shape[1], weight.shape[0], bias=bias is not None, dtype=weight.dtype)
    with torch.no_grad():
        layer.weight.copy_(weight)
        if bias is not None:
            layer.bias.copy_(torch.as_tensor(bias))
    return layer


class Speaker(nn.Module):
    """A language model of one embedding and one head, whose output has `logits` and nothing else.

    forward: `input_ids` (batch, length), `labels`, which it ignores, and `offset`, 0-dim, which it adds to the embedding.
    Buffers, int64 and 0-dim: `calls` counts calls of forward, `trained` those in training mode, `recorded` those with
    gradients.
    """

    def __init__(self, vocabulary: int, width: int, dropout: float, encoder_decoder: bool) -> None:
        super().__init__()
        self.config = SimpleNamespace(is_encoder_decoder=encoder_decoder)
        self.embedding = nn.Embedding(vocabulary, width)
        self.dropout = nn.Dropout(dropout)
        self.head = nn.Linear(width, vocabulary, bias=False)
        for name in ("calls", "trained", "recorded"):
            self.register_buffer(name, torch.tensor(0))

    def forward(self, input_ids: Tensor, labels: Tensor | None = None, offset: Tensor | float = 0.0) -> SimpleNamespace:
        self.calls += 1
        self.trained += int(self.training)
        self.recorded += int(torch.is_grad_enabled())
        return SimpleNamespace(logits=self.head(self.dropout(self.embedding(input_ids) + offset)))


def speaker(
    seed: int = 0,
    encoder_decoder: bool = False,
    dropout: float = 0.5,
    dtype: torch.dtype = torch.float32,
    loud: float = 2.0,
) -> nn.Module:
    """Return a `Speaker` of 24 tokens and width 16 in training mode; `loud` is how large its weights are."""
    with seeded(seed):
        model = Speaker(24, 16, dropout, encoder_decoder)
        with torch.no_grad():
            model.head.weight.copy_(torch.randn(24, 16) * loud / 4)
    return model.to(dtype)


def says(logits: list[list[float]], encoder_decoder: bool = False) -> nn.Module:
    """Return a model whose logits at a position are the row of `logits` that its input id names."""
    rows = torch.tensor(logits)
    model = Speaker(len(rows), rows.shape[1], 0.0, encoder_decoder)
    model.head = nn.Identity()  # type: ignore[assignment]
    with torch.no_grad():
        model.embedding.weight.copy_(rows)
    return model.eval()


class Telling:
    """Scores a model by what its modules are, an arbitrary number from 0 to 1 for each combination; counts its `calls`.

    What counts: each module's name and class, the qtypes of its weights and activations, and whether it is frozen.
    """

    def __init__(self) -> None:
        self.calls = 0

    def __call__(self, model: nn.Module) -> float:
        self.calls += 1
        told = [self._module(name, module) for name, module in model.named_modules()]
        return zlib.crc32(" ".join(told).encode()) / 2**32

    @staticmethod
    def _module(name: str, module: nn.Module) -> str:
        qtypes = [getattr(module, f"{what}_qtype", None) for what in ("weight", "activation")]
        names = [getattr(qtype, "name", "") for qtype in qtypes]
        return f"{name} {type(module).__name__} {names} {getattr(module, 'frozen', '')}"


def layers_evaluator() -> Telling:
    """Return a `Telling`."""
    return Telling()
