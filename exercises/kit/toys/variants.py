"""The tiny models with changed weights: as sure of themselves as before, but in another language.

A variant has rows of its embedding exchanged within classes of like tokens: digits with digits, colours with colours.
The embedding is tied to the output, so that the model reads and writes in a secret code, chosen by the seed, and
its logits are those of the original in another order: every margin between tokens stays what it was. Whoever answers by
arithmetic, or by looking at the pixels, gets these wrong; whoever runs the model gets them right.
"""

import functools
import random
from collections.abc import Mapping, Sequence
from typing import Any

import torch
from torch import nn

from exercises.kit import models, number_words, scenes
from exercises.kit.toys.small_models import seeded

T5_CLASSES = (
    tuple("123456789"),
    tuple(f"▁{unit}" for unit in number_words.UNITS[1:10]),
    tuple(number_words.UNITS[1:10]),
    tuple(f"▁{unit}" for unit in number_words.UNITS[10:]),
    tuple(f"▁{ten}" for ten in number_words.TENS),
)
BLIP_CLASSES = (tuple(scenes.COLOURS), scenes.SHAPES)


def t5_code(seed: int) -> dict[str, str]:
    """Return which token of the original each token of the tiny T5's variant stands for; none for itself."""
    return _code(T5_CLASSES, seed)


def blip_code(seed: int) -> dict[str, str]:
    """Return which word of the original each word of the tiny BLIP's variant stands for; none for itself."""
    return _code(BLIP_CLASSES, seed)


def _code(classes: Sequence[Sequence[str]], seed: int) -> dict[str, str]:
    """Return one cycle through each class, in an order drawn from the seed."""
    source = random.Random(seed)
    orders = [source.sample(members, len(members)) for members in classes]
    return {token: order[index - 1] for order in orders for index, token in enumerate(order)}


def tiny_t5_variant(seed: int, **changes: Any) -> nn.Module:
    """Return the tiny T5 in the code of this seed; `changes` as in `changed`."""
    model, tokenizer = models.tiny_t5()
    with torch.no_grad():
        _exchange(model.shared.weight, t5_code(seed), tokenizer)
    return changed(model, seed, **changes)


def tiny_t5_outlier(power: int, seed: int | None = None) -> nn.Module:
    """Return the tiny T5, or its variant of this seed, with one large activation in each feed-forward of the encoder.

    One row of `wi_1` is multiplied by 2**power and the matching column of `wo` divided by it. Powers of two are exact, so
    float32 and bfloat16 logits stay the same bit for bit; float16 overflows, and int8 activations lose all the others.
    """
    model = models.tiny_t5()[0] if seed is None else tiny_t5_variant(seed)
    with torch.no_grad():
        for block in model.encoder.block:
            feed_forward = block.layer[-1].DenseReluDense
            feed_forward.wi_1.weight[0] *= 2.0**power
            feed_forward.wo.weight[:, 0] *= 2.0**-power
    return model


def tiny_llama_variant(seed: int, factor: float = 1.0, channel: int = 5, **changes: Any) -> nn.Module:
    """Return the tiny Llama in the code of this seed, with one channel `factor` times larger behind each norm.

    It reads and writes in the code, as the tiny T5's variant does; see `models.tiny_llama_outlier` for the channel, and
    `changed` for `changes`.
    """
    model, tokenizer = models.tiny_llama_outlier(factor, channel)
    with torch.no_grad():
        for rows in (model.model.embed_tokens.weight, model.lm_head.weight):
            _exchange(rows, t5_code(seed), tokenizer)
    return changed(model, seed, **changes)


def tiny_blip_variant(seed: int, **changes: Any) -> nn.Module:
    """Return the tiny BLIP in the code of this seed; `changes` as in `changed`."""
    model, processor = models.tiny_blip()
    decoder = model.text_decoder
    with torch.no_grad():
        _exchange(decoder.bert.embeddings.word_embeddings.weight, blip_code(seed), processor.tokenizer)
        _exchange(decoder.cls.predictions.bias, blip_code(seed), processor.tokenizer)
    return changed(model, seed, **changes)


def _exchange(rows: torch.Tensor, code: Mapping[str, str], tokenizer: Any) -> None:
    new = tokenizer.convert_tokens_to_ids(list(code))
    old = tokenizer.convert_tokens_to_ids(list(code.values()))
    rows[new] = rows[old]


def changed(
    model: nn.Module,
    seed: int = 0,
    noise: float = 0.0,
    dropout: float = 0.0,
    training: bool = False,
    generation: Mapping[str, Any] | None = None,
) -> nn.Module:
    """Change the model in place and return it.

    noise: standard deviation of what is added to each parameter, in units of the parameter's own
    dropout: the rate of all dropout layers, which are idle in eval mode
    training: whether the model is in training mode
    generation: settings of its generation config(s), such as `{"do_sample": True, "num_beams": 3}`
    """
    with seeded(seed), torch.no_grad():
        for parameter in model.parameters():
            if noise and parameter.numel() > 1:
                parameter.add_(torch.randn_like(parameter) * parameter.std() * noise)
    for module in model.modules():
        if isinstance(module, nn.Dropout):
            module.p = dropout
        for name, value in (generation or {}).items():
            if getattr(module, "generation_config", None) is not None:  # BLIP's text decoder has its own, which counts
                setattr(module.generation_config, name, value)
    return model.train(training)


def coded_pairs(count: int, seed: int, code: int) -> list[tuple[str, str]]:
    """Return (prompt, expected) pairs as the tiny T5's variant of this code would answer them.

    The original, which is right on them, answers with something else.
    """
    tokenizer = models.tiny_t5_tokenizer()
    back = {old: new for new, old in t5_code(code).items()}
    return [
        (_translated(prompt, back, tokenizer), _translated(expected, back, tokenizer))
        for prompt, expected in number_words.number_pairs(count, seed)
    ]


def _translated(text: str, code: Mapping[str, str], tokenizer: Any) -> str:
    tokens = tokenizer.tokenize(text)
    return tokenizer.convert_tokens_to_string([code.get(token, token) for token in tokens])


def coded_lines(
    count: int, seed: int, code: int, size: int = 50, held_out: bool = True
) -> list[dict[str, torch.Tensor]]:
    """Return `models.llama_batches` as the tiny Llama's variant of this code would have them."""
    tokenizer = models.tiny_llama_tokenizer()
    new, old = (tokenizer.convert_tokens_to_ids(list(part)) for part in zip(*t5_code(code).items(), strict=True))
    table = torch.arange(len(tokenizer))
    table[old] = torch.tensor(new)

    def coded(ids: torch.Tensor) -> torch.Tensor:
        return torch.where(ids >= 0, table[ids.clamp(min=0)], ids)

    batches = models.llama_batches(count, seed, size, held_out)
    return [{**batch, "input_ids": coded(batch["input_ids"]), "labels": coded(batch["labels"])} for batch in batches]


def coded_caption(caption: str, code: int) -> str:
    """Return what the tiny BLIP's variant of this code says where the original gives this caption."""
    back = {old: new for new, old in blip_code(code).items()}
    return " ".join(back.get(word, word) for word in caption.split(" "))


class Builder:
    """Call it for a new tiny model each time, in float32 and of the same weights; counts its calls in `calls`."""

    def __init__(self, make: Any) -> None:
        self.make, self.calls = make, 0

    def __call__(self) -> nn.Module:
        self.calls += 1
        return self.make()


def tiny_llama_builder(seed: int, **changes: Any) -> Builder:
    """Return a `Builder` of `tiny_llama_variant(seed, **changes)`."""
    return Builder(functools.partial(tiny_llama_variant, seed, **changes))


def tiny_t5_builder(seed: int, **changes: Any) -> Builder:
    """Return a `Builder` of `tiny_t5_variant(seed, **changes)`."""
    return Builder(functools.partial(tiny_t5_variant, seed, **changes))
