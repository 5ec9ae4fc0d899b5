"""Small transformers of the real classes with random weights, and what belongs to them: inputs, a checkpoint folder.

transformers is imported inside the functions, so that a lesson that needs none of it does not wait for it.
As in `toys`, everything depends on the arguments alone and torch's global random state is left as it was.
"""

import atexit
import shutil
import tempfile
from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor, nn

from exercises.kit.quiet import quiet_progress
from exercises.kit.toys.small_models import random_input, seeded


def small_t5(seed: int = 0, width: int = 32, layers: int = 1, vocabulary: int = 48) -> nn.Module:
    """Return a `T5ForConditionalGeneration` in eval mode, with random weights and `lm_head` tied to the embedding.

    forward: `input_ids` and `labels` or `decoder_input_ids`, int64 of shape (batch, length); see `small_t5_inputs`.
    """
    from transformers import T5Config, T5ForConditionalGeneration

    special: dict[str, Any] = {"pad_token_id": 0, "eos_token_id": 1, "decoder_start_token_id": 0}
    config = T5Config(
        vocab_size=vocabulary,
        d_model=width,
        d_kv=width // 2,
        num_heads=2,
        d_ff=2 * width,
        num_layers=layers,
        feed_forward_proj="gated-gelu",
        dropout_rate=0.0,
        **special,
    )
    with seeded(seed):
        return T5ForConditionalGeneration(config).eval()


def small_t5_inputs(seed: int = 0, batch: int = 4, length: int = 6, vocabulary: int = 48) -> dict[str, Tensor]:
    """Return random `input_ids`, an `attention_mask` of ones and `decoder_input_ids`, int64 (batch, length)."""
    source, target = random_tokens(seed, 2 * batch, length, vocabulary).split(batch)
    return {"input_ids": source, "attention_mask": torch.ones_like(source), "decoder_input_ids": target}


def random_tokens(seed: int = 0, batch: int = 4, length: int = 6, vocabulary: int = 48) -> Tensor:
    """Return int64 of shape (batch, length) between 3 and `vocabulary` - 1, above the special tokens."""
    generator = torch.Generator().manual_seed(seed)
    return torch.randint(3, vocabulary, (batch, length), generator=generator)


def small_blip(seed: int = 0, width: int = 32, layers: int = 1, vocabulary: int = 24) -> nn.Module:
    """Return a `BlipForConditionalGeneration` in eval mode, with random weights, for images of 32x32.

    forward: `pixel_values` (batch, 3, 32, 32) and `input_ids` (batch, length); see `small_blip_inputs`.
    """
    from transformers import BlipConfig, BlipForConditionalGeneration

    shape = {
        "hidden_size": width,
        "intermediate_size": 2 * width,
        "num_hidden_layers": layers,
        "num_attention_heads": 2,
        "projection_dim": width,
    }
    special = {"bos_token_id": 3, "eos_token_id": 2, "sep_token_id": 2, "pad_token_id": 0}
    text = {**shape, **special, "vocab_size": vocabulary, "encoder_hidden_size": width, "max_position_embeddings": 16}
    config = BlipConfig(
        text_config=text,
        vision_config={**shape, "image_size": 32, "patch_size": 8},
        projection_dim=width,
        image_text_hidden_size=width,
    )
    with seeded(seed):
        return BlipForConditionalGeneration(config).eval()


def small_blip_inputs(seed: int = 0, batch: int = 4, length: int = 6, vocabulary: int = 24) -> dict[str, Tensor]:
    """Return random `pixel_values`, float32 of shape (batch, 3, 32, 32), and `input_ids`, int64 (batch, length)."""
    pixels = random_input(batch, 3, 32, 32, seed=seed)
    return {"pixel_values": pixels, "input_ids": random_tokens(seed, batch, length, vocabulary)}


def blip_folder(seed: int = 0, dtype: torch.dtype = torch.float32, **sizes: int) -> str:
    """Save `small_blip(seed, **sizes)`, cast to `dtype`, in a new temporary folder, and return the folder's path."""
    folder = new_folder()
    with quiet_progress():
        small_blip(seed, **sizes).to(dtype).save_pretrained(folder)
    return folder


def new_folder(made: bool = True) -> str:
    """Return the path of a new empty temporary folder, or one in it that is not there yet if not `made`.

    It is removed when the process ends.
    """
    folder = tempfile.mkdtemp()
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    return folder if made else f"{folder}/not/made"


def batch_feature(values: Mapping[str, Any]) -> Any:
    """Return the values as a transformers `BatchFeature`, which is what a processor returns."""
    from transformers import BatchFeature

    return BatchFeature(dict(values))
