"""Measure the shipped models as their cards say: `python -m exercises.models.score [t5|blip|llama]`.

About a minute on one thread.
"""

import argparse
import copy
import random
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


def llama_margins(model: nn.Module, numbers: list[int]) -> Tensor:
    """Return for each number the least lead of an expected token's logit over the next best one."""
    batch = models.number_lines(numbers)
    with torch.no_grad():
        logits = model(input_ids=batch["input_ids"], attention_mask=batch["attention_mask"]).logits
    labels = batch["labels"][:, 1:]
    return least_lead(logits[:, :-1], labels.clamp(min=0), padding=0)


def with_int8_activations(model: nn.Module) -> nn.Module:
    """Quantize a tiny Llama's weights and activations to int8, calibrated on 200 training numbers, in place."""
    from optimum import quanto

    quanto.quantize(model, weights="qint8", activations="qint8")
    with torch.no_grad(), quanto.Calibration():
        for batch in models.llama_batches(200, seed=SEED, held_out=False):
            model(**batch)
    quanto.freeze(model)
    return model


def report_llama() -> None:
    """Print what the tiny Llama's card says."""
    source = random.Random(SEED)
    numbers = [number_words.draw_number(source, held_out=True) for _ in range(2000)]
    exact, fluent = models.llama_exact_match(numbers), models.llama_evaluator([models.number_lines(numbers)])
    model, _ = models.tiny_llama()
    report("tiny_llama", model, llama_margins(model, numbers), exact)
    for precision in ("float32", "qint8", "qint4", "qint2"):
        print(f"  1 / perplexity, {precision}: {fluent(in_precision(model, precision)):.4f}")
    print(f"  exact match, int8 weights and activations: {exact(with_int8_activations(model)):.4f}")
    for factor in (30, 128, 256):
        outlier, _ = models.tiny_llama_outlier(factor)
        weights, both = exact(in_precision(outlier, "qint8")), exact(with_int8_activations(outlier))
        print(f"  exact match, outlier {factor}: int8 weights {weights:.4f}, and activations {both:.4f}")


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


def report_t5() -> None:
    """Print what the tiny T5's card says."""
    pairs = number_words.number_pairs(2000, SEED)
    model, tokenizer = models.tiny_t5()
    report("tiny_t5", model, t5_margins(model, tokenizer, pairs), models.t5_evaluator(pairs, tokenizer))


def report_blip() -> None:
    """Print what the tiny BLIP's card says."""
    painted = scenes.scenes(1000, SEED)
    model, processor = models.tiny_blip()
    report("tiny_blip", model, blip_margins(model, processor, painted), models.blip_evaluator(painted, processor))


REPORTS = {"t5": report_t5, "blip": report_blip, "llama": report_llama}


def main() -> None:
    """Report on one model or on all."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("model", nargs="?", choices=REPORTS, help="which model (default: all)")
    chosen = parser.parse_args().model
    torch.set_num_threads(1)
    for report_one in [REPORTS[chosen]] if chosen else REPORTS.values():
        report_one()


if __name__ == "__main__":
    main()
