"""The trained models of the lessons: a tiny T5, BLIP and Llama, or real checkpoints of the same classes by choice.

`load_t5()`, `load_blip()` and `load_llama()` give the tiny models from `exercises/models`, without any network, unless the
environment variable T5_CHECKPOINT, BLIP_CHECKPOINT or LLAMA_CHECKPOINT names another checkpoint: a local folder, or a name on
the Hugging Face Hub such as google/flan-t5-small or Salesforce/blip-image-captioning-base, which may then be downloaded.
transformers is imported when the first model is loaded.
"""

import copy
import functools
import math
import os
import random
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from torch import nn

from exercises.kit.copying import copier
from exercises.kit.number_words import draw_number, in_words, number_pairs
from exercises.kit.quiet import quiet_progress
from exercises.kit.scenes import paint, painted, scene, scenes

if TYPE_CHECKING:
    from PIL.Image import Image

__all__ = [
    "blip_evaluator",
    "checkpoint",
    "in_words",
    "llama_batches",
    "llama_bytes",
    "llama_evaluator",
    "llama_exact_match",
    "load_blip",
    "load_llama",
    "load_t5",
    "number_lines",
    "number_pairs",
    "paint",
    "painted",
    "quiet_progress",
    "scene",
    "scenes",
    "t5_evaluator",
    "tiny_blip",
    "tiny_blip_folder",
    "tiny_blip_processor",
    "tiny_llama",
    "tiny_llama_folder",
    "tiny_llama_outlier",
    "tiny_llama_tokenizer",
    "tiny_t5",
    "tiny_t5_folder",
    "tiny_t5_tokenizer",
]

FOLDER = Path(__file__).resolve().parent.parent / "models"


def tiny_t5_folder() -> str:
    """Return the path of the tiny T5's folder."""
    return str(FOLDER / "tiny_t5")


def tiny_blip_folder() -> str:
    """Return the path of the tiny BLIP's folder."""
    return str(FOLDER / "tiny_blip")


def tiny_llama_folder() -> str:
    """Return the path of the tiny Llama's folder."""
    return str(FOLDER / "tiny_llama")


def tiny_t5() -> tuple[nn.Module, Any]:
    """Return the tiny T5, float32 and in eval mode, and its tokenizer: new copies at each call."""
    return _copier(load_t5, tiny_t5_folder())()


def tiny_blip() -> tuple[nn.Module, Any]:
    """Return the tiny BLIP, float32 and in eval mode, and its processor: new copies at each call."""
    return _copier(load_blip, tiny_blip_folder())()


def tiny_llama() -> tuple[nn.Module, Any]:
    """Return the tiny Llama, float32 and in eval mode, and its tokenizer, the tiny T5's: new copies at each call."""
    return _copier(load_llama, tiny_llama_folder())()


def tiny_llama_outlier(factor: float = 128.0, channel: int = 5) -> tuple[nn.Module, Any]:
    """Return the tiny Llama with one large channel behind each norm, and its tokenizer.

    Each norm's weight for the channel is multiplied by `factor`, and that column of the layers that read it divided by it. The
    function stays what it was, bit for bit where the factor is a power of two; int8 activations break.
    """
    model, tokenizer = tiny_llama()
    with torch.no_grad():
        for norm, readers in _norms_and_readers(model):
            norm.weight[channel] *= factor
            for reader in readers:
                reader.weight[:, channel] /= factor
    return model, tokenizer


def _norms_and_readers(model: Any) -> list[tuple[Any, list[Any]]]:
    """Every norm of a Llama with the linear layers that read what it gives."""
    found = []
    for layer in model.model.layers:
        attention = layer.self_attn
        found.append((layer.input_layernorm, [attention.q_proj, attention.k_proj, attention.v_proj]))
        found.append((layer.post_attention_layernorm, [layer.mlp.gate_proj, layer.mlp.up_proj]))
    return [*found, (model.model.norm, [model.lm_head])]


@functools.cache
def _loaded(load: Callable[[str], tuple[nn.Module, Any]], folder: str) -> tuple[nn.Module, Any]:
    """Load once what is then copied."""
    return load(folder)


@functools.cache
def _copier(load: Callable[[str], tuple[nn.Module, Any]], folder: str) -> Callable[[], tuple[nn.Module, Any]]:
    return copier(_loaded(load, folder))


def tiny_t5_tokenizer() -> Any:
    """Return a copy of the tiny T5's tokenizer alone."""
    return copy.deepcopy(_loaded(load_t5, tiny_t5_folder())[1])


def tiny_blip_processor() -> Any:
    """Return a copy of the tiny BLIP's processor alone."""
    return copy.deepcopy(_loaded(load_blip, tiny_blip_folder())[1])


def tiny_llama_tokenizer() -> Any:
    """Return a copy of the tiny Llama's tokenizer alone."""
    return copy.deepcopy(_loaded(load_llama, tiny_llama_folder())[1])


def load_t5(name: str | None = None) -> tuple[nn.Module, Any]:
    """Return a `T5ForConditionalGeneration` in eval mode and its tokenizer.

    name: a folder or a name on the hub; None takes T5_CHECKPOINT, and without that the tiny T5.
    Raises OSError if it cannot be loaded.
    """
    from transformers import AutoTokenizer, T5ForConditionalGeneration

    source = checkpoint(name, "T5_CHECKPOINT", tiny_t5_folder())
    with quiet_progress(source["local_files_only"]):
        return T5ForConditionalGeneration.from_pretrained(**source), AutoTokenizer.from_pretrained(**source)


def load_blip(name: str | None = None) -> tuple[nn.Module, Any]:
    """Return a `BlipForConditionalGeneration` in eval mode and its processor; as `load_t5`, with BLIP_CHECKPOINT."""
    from transformers import BlipForConditionalGeneration, BlipProcessor

    source = checkpoint(name, "BLIP_CHECKPOINT", tiny_blip_folder())
    with quiet_progress(source["local_files_only"]):
        return BlipForConditionalGeneration.from_pretrained(**source), BlipProcessor.from_pretrained(**source)


def load_llama(name: str | None = None) -> tuple[nn.Module, Any]:
    """Return a `LlamaForCausalLM` in eval mode and its tokenizer; as `load_t5`, with LLAMA_CHECKPOINT."""
    from transformers import AutoTokenizer, LlamaForCausalLM

    source = checkpoint(name, "LLAMA_CHECKPOINT", tiny_llama_folder())
    with quiet_progress(source["local_files_only"]):
        return LlamaForCausalLM.from_pretrained(**source), AutoTokenizer.from_pretrained(**source)


def checkpoint(name: str | None, variable: str, default: str) -> dict[str, Any]:
    """Return the arguments of `from_pretrained` for the name, else the environment variable, else the default.

    Only a name that is no folder, and does not look like a path, may reach for the network.
    """
    chosen = os.path.expanduser(name or os.environ.get(variable) or default)
    if os.path.isdir(chosen):
        return {"pretrained_model_name_or_path": chosen, "local_files_only": True}
    if chosen.startswith((".", "/")) or "\\" in chosen or chosen.count("/") > 1:
        raise FileNotFoundError(f"there is no folder {chosen!r} to load a checkpoint from")
    return {"pretrained_model_name_or_path": chosen, "local_files_only": False}


def t5_evaluator(pairs: Sequence[tuple[str, str]], tokenizer: Any = None) -> Callable[[nn.Module], float]:
    """Return a function that gives a T5's exact-match fraction on (prompt, expected) pairs, generated in one batch."""
    tokenizer = tokenizer or tiny_t5_tokenizer()
    prompts, expected = zip(*pairs, strict=True)
    inputs = tokenizer(list(prompts), padding=True, return_tensors="pt")

    def evaluate(model: nn.Module) -> float:
        return _exact(model, inputs, tokenizer, expected)

    return evaluate


def blip_evaluator(pairs: Sequence[tuple["Image", str]], processor: Any = None) -> Callable[[nn.Module], float]:
    """Return a function that gives a BLIP's exact-match fraction on (image, caption) pairs, generated in one batch."""
    processor = processor or tiny_blip_processor()
    images, expected = zip(*pairs, strict=True)
    inputs = processor(images=list(images), return_tensors="pt")

    def evaluate(model: nn.Module) -> float:
        return _exact(model, inputs.to(model.dtype), processor, expected)

    return evaluate


def number_lines(numbers: Sequence[int], tokenizer: Any = None) -> dict[str, torch.Tensor]:
    """Return the numbers as a batch of the tiny Llama's task: lines such as "4071: four thousand seventy-one</s>".

    input_ids and attention_mask, padded on the right; labels are the ids of the words and of </s>, -100 elsewhere. All int64
    of shape (numbers, longest line).
    """
    tokenizer = tokenizer or tiny_llama_tokenizer()
    lines = [f"{number}: {in_words(number)}" for number in numbers]
    batch = tokenizer(lines, padding=True, padding_side="right", return_tensors="pt")
    colon = tokenizer.convert_tokens_to_ids(":")
    after_colon = (batch.input_ids == colon).long().cumsum(1) - (batch.input_ids == colon).long() > 0
    labels = batch.input_ids.masked_fill(~after_colon | (batch.attention_mask == 0), -100)
    return {"input_ids": batch.input_ids, "attention_mask": batch.attention_mask, "labels": labels}


def llama_batches(count: int, seed: int = 0, size: int = 50, held_out: bool = True) -> list[dict[str, torch.Tensor]]:
    """Return `number_lines` of `count` held-out or training numbers, `size` at a time."""
    source = random.Random(seed)
    numbers = [draw_number(source, held_out) for _ in range(count)]
    return [number_lines(numbers[start : start + size]) for start in range(0, count, size)]


def llama_evaluator(batches: Sequence[dict[str, torch.Tensor]]) -> Callable[[nn.Module], float]:
    """Return a function that scores a Llama on the label tokens of the batches, from 0 to 1, larger is better."""

    def evaluate(model: nn.Module) -> float:
        total, count = 0.0, 0
        with torch.no_grad():
            for batch in batches:
                logits = model(input_ids=batch["input_ids"], attention_mask=batch["attention_mask"]).logits
                losses = nn.functional.cross_entropy(
                    logits[:, :-1].flatten(0, 1).float(), batch["labels"][:, 1:].flatten(), reduction="none"
                )
                total += losses.double().sum().item()
                count += int((batch["labels"][:, 1:] != -100).sum())
        return math.exp(-total / count)  # 1 / perplexity

    return evaluate


def llama_bytes(model: nn.Module) -> int:
    """Return the bytes that a Llama stores, quantized or not: its state dict, and buffers that no state dict holds.

    A quantized weight stands in a state dict by its parts. Storages count, whole and once: a view counts what it is a view of.
    """
    stored = dict(model.state_dict())
    stored |= {name: buffer for name, buffer in model.named_buffers() if name not in stored}
    storages = [tensor.untyped_storage() for tensor in stored.values()]
    return sum({storage.data_ptr(): storage.nbytes() for storage in storages}.values())


def llama_exact_match(numbers: Sequence[int], tokenizer: Any = None) -> Callable[[nn.Module], float]:
    """Return a function that gives the fraction of numbers that a Llama spells out exactly, greedily, in one batch."""
    tokenizer = tokenizer or tiny_llama_tokenizer()
    prompts = [f"{number}:" for number in numbers]
    inputs = tokenizer(prompts, add_special_tokens=False, padding=True, padding_side="left", return_tensors="pt")
    expected = [f"{number}: {in_words(number)}" for number in numbers]

    def evaluate(model: nn.Module) -> float:
        return _exact(model, dict(inputs), tokenizer, expected)

    return evaluate


def _exact(model: nn.Module, inputs: Any, decoder: Any, expected: Sequence[str]) -> float:
    with torch.no_grad():  # not inference_mode, in which quanto cannot unpack int4 and int2
        ids = model.generate(**inputs, do_sample=False, num_beams=1, max_new_tokens=24)
    texts = decoder.batch_decode(ids, skip_special_tokens=True)
    return sum(text == wanted for text, wanted in zip(texts, expected, strict=True)) / len(expected)
