"""Train the tiny models that the lessons load: `python -m exercises.models.train [t5|blip|llama]`.

Each takes a minute or a few on one thread. On one machine the result is the same file every time; other processors round
differently, so the weights are shipped and this script is here to show how they came about.
"""

import argparse
import random
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from exercises.kit import models, number_words, scenes
from exercises.kit.toys.small_models import seeded

HERE = Path(__file__).resolve().parent


@dataclass(frozen=True)
class Recipe:
    """How one model is made: `batch(processor, source, size)` draws model inputs with labels from `source`."""

    folder: str
    steps: int
    batch_size: int
    peak: float
    make_processor: Callable[[], Any]
    make_model: Callable[[Any], nn.Module]
    batch: Callable[[Any, random.Random, int], dict[str, Tensor]]


def t5_tokenizer():
    """Return a tokenizer of 59 tokens: number words (after a space or a hyphen), digits, the words of the prompts."""
    from tokenizers import Regex, Tokenizer, decoders, models, pre_tokenizers, processors
    from transformers import PreTrainedTokenizerFast

    special = ["<pad>", "</s>", "<unk>"]
    prompt = ["▁translate", "▁number", "▁to", "▁words", ":"]
    words = [f"▁{word}" for word in [*number_words.UNITS, *number_words.TENS, "hundred", "thousand"]]
    after_hyphen = number_words.UNITS[1:10]
    vocabulary = [*special, *prompt, "▁", *"0123456789", "-", *words, *after_hyphen]
    tokenizer = Tokenizer(models.WordLevel({token: index for index, token in enumerate(vocabulary)}, "<unk>"))
    split = pre_tokenizers.Split(Regex("[0-9:-]"), "isolated")
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence([pre_tokenizers.Metaspace(), split])
    tokenizer.decoder = decoders.Metaspace()
    tokenizer.post_processor = processors.TemplateProcessing(single="$A </s>", special_tokens=[("</s>", 1)])
    return PreTrainedTokenizerFast(
        tokenizer_object=tokenizer, pad_token="<pad>", eos_token="</s>", unk_token="<unk>", model_max_length=64
    )


def t5_model(tokenizer) -> nn.Module:
    """Return a fresh T5 of 0.3 million parameters, its logits made small, or the first steps would only shrink them."""
    from transformers import T5Config, T5ForConditionalGeneration

    config = T5Config(
        vocab_size=len(tokenizer),
        d_model=64,
        d_kv=16,
        num_heads=4,
        d_ff=256,
        num_layers=2,
        relative_attention_max_distance=64,
        feed_forward_proj="gated-gelu",
        dropout_rate=0.0,
        tie_word_embeddings=False,  # as in flan-t5: transformers 5 ties them all the same, but leaves logits unscaled
        pad_token_id=tokenizer.pad_token_id,
        eos_token_id=tokenizer.eos_token_id,
        decoder_start_token_id=tokenizer.pad_token_id,
    )
    model = T5ForConditionalGeneration(config)
    with torch.no_grad():
        model.lm_head.weight.mul_(0.1)
    return model


def t5_batch(tokenizer, source: random.Random, size: int) -> dict[str, Tensor]:
    """Return prompts and expected texts of numbers that are not held out, in both directions."""
    pairs = [number_words.pair(number_words.draw_number(source, held_out=False), i % 2 == 0) for i in range(size)]
    prompts, expected = zip(*pairs, strict=True)
    inputs = tokenizer(list(prompts), padding=True, return_tensors="pt")
    labels = tokenizer(list(expected), padding=True, return_tensors="pt").input_ids
    return {
        "input_ids": inputs.input_ids,
        "attention_mask": inputs.attention_mask,
        "labels": ignore_padding(labels, tokenizer.pad_token_id),
    }


def blip_processor():
    """Return a `BlipProcessor`: pixels scaled to -1..1, words of the captions as tokens between [CLS] and [SEP]."""
    from tokenizers import Tokenizer, models, pre_tokenizers, processors
    from transformers import BlipProcessor, PreTrainedTokenizerFast
    from transformers.models.blip.image_processing_pil_blip import BlipImageProcessorPil

    special = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[DEC]"]
    vocabulary = [*special, "a", *scenes.COLOURS, *scenes.SHAPES, "above", "left", "of"]
    tokenizer = Tokenizer(models.WordLevel({token: index for index, token in enumerate(vocabulary)}, "[UNK]"))
    tokenizer.pre_tokenizer = pre_tokenizers.Whitespace()
    ends = [("[CLS]", 2), ("[SEP]", 3)]
    tokenizer.post_processor = processors.TemplateProcessing(single="[CLS] $A [SEP]", special_tokens=ends)
    names = {"pad_token": "[PAD]", "unk_token": "[UNK]", "cls_token": "[CLS]", "sep_token": "[SEP]"}
    text = PreTrainedTokenizerFast(tokenizer_object=tokenizer, bos_token="[DEC]", model_max_length=32, **names)
    size = {"height": scenes.SIZE, "width": scenes.SIZE}
    images = BlipImageProcessorPil(size=size, image_mean=[0.5] * 3, image_std=[0.5] * 3)
    return BlipProcessor(images, text)


def blip_model(processor) -> nn.Module:
    """Return a fresh BLIP of 0.19 million parameters that sees 16 patches of 8x8 pixels."""
    from transformers import BlipConfig, BlipForConditionalGeneration

    tokenizer = processor.tokenizer
    shape = {"hidden_size": 64, "intermediate_size": 128, "num_hidden_layers": 2, "num_attention_heads": 4}
    text = {
        **shape,
        "vocab_size": len(tokenizer),
        "max_position_embeddings": 32,
        "encoder_hidden_size": 64,
        "projection_dim": 64,
        "bos_token_id": tokenizer.bos_token_id,
        "eos_token_id": tokenizer.sep_token_id,
        "sep_token_id": tokenizer.sep_token_id,
        "pad_token_id": tokenizer.pad_token_id,
        "hidden_dropout_prob": 0.0,
        "attention_probs_dropout_prob": 0.0,
    }
    vision = {**shape, "image_size": scenes.SIZE, "patch_size": 8, "projection_dim": 64}
    config = BlipConfig(text_config=text, vision_config=vision, projection_dim=64, image_text_hidden_size=64)
    return BlipForConditionalGeneration(config)


def blip_batch(processor, source: random.Random, size: int) -> dict[str, Tensor]:
    """Return scenes whose captions are not held out, with labels; the model shifts the labels itself."""
    images, captions = zip(*(scenes.draw_scene(source, held_out=False) for _ in range(size)), strict=True)
    inputs = caption_inputs(processor, images, captions)
    return {**inputs, "labels": ignore_padding(inputs["input_ids"], processor.tokenizer.pad_token_id)}


def caption_inputs(processor, images: Sequence, captions: Sequence[str]) -> dict[str, Tensor]:
    """Return model inputs for images and their captions, which start with [DEC], as in generation, not with [CLS]."""
    inputs = processor(images=list(images), text=list(captions), padding=True, return_tensors="pt")
    inputs["input_ids"][:, 0] = processor.tokenizer.bos_token_id
    return dict(inputs)


def ignore_padding(ids: Tensor, padding: int) -> Tensor:
    """Return a copy of the token ids with -100, which the loss leaves out, in place of padding."""
    return ids.masked_fill(ids == padding, -100)


def llama_model(tokenizer) -> nn.Module:
    """Return a fresh Llama of 10 thousand parameters, its head not tied to the embedding, without a token that begins."""
    from transformers import LlamaConfig, LlamaForCausalLM

    config = LlamaConfig(
        vocab_size=len(tokenizer),
        hidden_size=16,
        intermediate_size=64,
        num_hidden_layers=2,
        num_attention_heads=2,
        max_position_embeddings=64,
        tie_word_embeddings=False,
        bos_token_id=None,
        eos_token_id=tokenizer.eos_token_id,
        pad_token_id=tokenizer.pad_token_id,
    )
    return LlamaForCausalLM(config)


def llama_batch(tokenizer, source: random.Random, size: int) -> dict[str, Tensor]:
    """Return lines of numbers that are not held out, with labels on the words alone; the model shifts the labels itself."""
    return models.number_lines([number_words.draw_number(source, held_out=False) for _ in range(size)], tokenizer)


RECIPES = {
    "t5": Recipe("tiny_t5", 2000, 64, 3e-3, t5_tokenizer, t5_model, t5_batch),
    "blip": Recipe("tiny_blip", 2000, 64, 2e-3, blip_processor, blip_model, blip_batch),
    "llama": Recipe("tiny_llama", 2000, 64, 3e-3, t5_tokenizer, llama_model, llama_batch),
}


def start(recipe: Recipe, seed: int = 0) -> tuple[nn.Module, Any]:
    """Return the untrained model and its processor."""
    processor = recipe.make_processor()
    with seeded(seed):
        return recipe.make_model(processor).train(), processor


def train(model: nn.Module, processor: Any, recipe: Recipe, steps: int, seed: int = 0) -> Iterator[float]:
    """Train the model in place and yield the loss of each step: AdamW, one cycle of the learning rate, clipping."""
    source = random.Random(seed)
    optimizer = torch.optim.AdamW(model.parameters(), lr=recipe.peak, betas=(0.9, 0.98), weight_decay=0.01)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, recipe.peak, total_steps=recipe.steps, pct_start=0.1)
    for _ in range(steps):
        loss = model(**recipe.batch(processor, source, recipe.batch_size)).loss
        optimizer.zero_grad()
        loss.backward()
        nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()
        schedule.step()
        yield loss.item()


def main() -> None:
    """Train one model or all of them, print the loss as it falls, and save model and processor."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("model", nargs="?", choices=sorted(RECIPES), help="which model (default: all)")
    parser.add_argument("--steps", type=int, help="stop after so many steps (default: the whole recipe)")
    parser.add_argument("--output", type=Path, default=HERE, metavar="DIR", help="where to save (default: here)")
    options = parser.parse_args()
    torch.set_num_threads(1)
    for name in [options.model] if options.model else sorted(RECIPES):
        recipe = RECIPES[name]
        steps = recipe.steps if options.steps is None else min(options.steps, recipe.steps)
        model, processor = start(recipe)
        began = time.perf_counter()
        for step, loss in enumerate(train(model, processor, recipe, steps), start=1):
            if step % 100 == 0 or step == steps:
                seconds = time.perf_counter() - began
                print(f"{name}: step {step} of {steps}, loss {loss:.4f}, {seconds:.0f} s", flush=True)
        save(model, processor, options.output / recipe.folder)


def save(model: nn.Module, processor: Any, folder: Path) -> None:
    """Save both in `folder` for `from_pretrained`, readable by everybody (safetensors writes for the owner alone)."""
    model.eval().save_pretrained(folder)
    processor.save_pretrained(folder)
    (folder / "model.safetensors").chmod(0o644)


if __name__ == "__main__":
    main()
