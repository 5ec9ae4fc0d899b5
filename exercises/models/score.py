"""Measure the shipped models as their cards say: `python -m exercises.models.score`. About a minute on one thread."""

import copy
from collections.abc import Callable

import torch
from torch import Tensor, nn

from exercises.kit import models, number_words, scenes
from exercises.models import train

SEED = 2026  # of the held-out samples


def t5_margins(model: nn.Module, tokenizer, pairs: list[tuple[str, str]]) -> Tensor:
    """Return for each (prompt, expected) pair the least lead of an expected token's logit over the next best one."""
    prompts, expected = zip(*pairs, strict=True)
    inputs = tokenizer(list(prompts), padding=True, return_tensors="pt")
    labels = tokenizer(list(expected), padding=True, return_tensors="pt").input_ids
    with torch.no_grad():
        logits = model(**inputs, labels=labels).logits
    return least_lead(logits, labels, tokenizer.pad_token_id)


def blip_margins(model: nn.Module, processor, pairs: list) -> Tensor:
    """Return for each (image, caption) pair the least lead of an expected token's logit over the next best one."""
    images, captions = zip(*pairs, strict=True)
    inputs = train.caption_inputs(processor, images, captions)
    with torch.no_grad():
        logits = model(pixel_values=inputs["pixel_values"], input_ids=inputs["input_ids"]).logits
    return least_lead(logits[:, :-1], inputs["input_ids"][:, 1:], processor.tokenizer.pad_token_id)


def least_lead(logits: Tensor, expected: Tensor, padding: int) -> Tensor:
    """Return per row the least of (expected token's logit - largest other logit), padding left out."""
    right = logits.gather(2, expected.unsqueeze(2))
    rival = logits.scatter(2, expected.unsqueeze(2), -torch.inf).amax(2, keepdim=True)
    return (right - rival).squeeze(2).masked_fill(expected == padding, torch.inf).amin(1)


def in_precision(model: nn.Module, precision: str) -> nn.Module:
    """Return a copy of the model in a float dtype, or with weights quantized by quanto and frozen."""
    from optimum import quanto

    model = copy.deepcopy(model)
    if not precision.startswith("q"):
        return model.to(getattr(torch, precision))
    quanto.quantize(model, weights=precision)
    quanto.freeze(model)
    return model


def report(name: str, model: nn.Module, margins: Tensor, evaluate: Callable[[nn.Module], float]) -> None:
    """Print parameters, margins, and the score in each precision."""
    print(f"{name}: {sum(parameter.numel() for parameter in model.parameters()):,} parameters")
    low, median = float(margins.min()), float(margins.median())
    print(f"  lead of the expected token over the next, {len(margins)} samples: least {low:.2f}, median {median:.2f}")
    for precision in ("float32", "bfloat16", "float16", "qint8", "qint4", "qint2"):
        print(f"  exact match, {precision}: {evaluate(in_precision(model, precision)):.4f}")


def main() -> None:
    """Report on both models."""
    torch.set_num_threads(1)
    pairs = number_words.number_pairs(2000, SEED)
    model, tokenizer = models.tiny_t5()
    report("tiny_t5", model, t5_margins(model, tokenizer, pairs), models.t5_evaluator(pairs, tokenizer))
    painted = scenes.scenes(1000, SEED)
    model, processor = models.tiny_blip()
    report("tiny_blip", model, blip_margins(model, processor, painted), models.blip_evaluator(painted, processor))


if __name__ == "__main__":
    main()
