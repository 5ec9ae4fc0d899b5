"""The course's own table of sizes, byte for byte, from the reference solutions and full-size models without data."""

import pytest
import torch
from transformers import (
    BlipConfig,
    BlipForConditionalGeneration,
    GPTNeoXConfig,
    GPTNeoXForCausalLM,
    T5Config,
    T5ForConditionalGeneration,
)

from solutions.l3_models_with_different_data_types import cast_copy, footprint_ratio, memory_footprint
from solutions.l4_quantization_theory import module_sizes, predicted_int8_bytes, quantize_and_freeze, stored_bytes


def blip_base(tied: bool):
    with torch.device("meta"):
        model = BlipForConditionalGeneration(BlipConfig())
    if not tied:
        untie(model.text_decoder.cls.predictions.decoder)
    return model


def flan_t5_small(tied: bool):
    config = T5Config(
        vocab_size=32128, d_model=512, d_kv=64, d_ff=1024, num_layers=8, num_heads=6, feed_forward_proj="gated-gelu"
    )
    with torch.device("meta"):
        model = T5ForConditionalGeneration(config)
    if not tied:
        untie(model.lm_head)
    return model


def pythia_410m():
    sizes = {"hidden_size": 1024, "num_hidden_layers": 24, "num_attention_heads": 16, "intermediate_size": 4096}
    with torch.device("meta"):
        return GPTNeoXForCausalLM(GPTNeoXConfig(vocab_size=50304, **sizes))


def untie(layer):
    """Give a layer a weight of its own, as in the transformers of the course."""
    layer.weight = torch.nn.Parameter(torch.empty_like(layer.weight))


@pytest.mark.parametrize(
    ("tied", "full", "half"), [(False, 989_660_400, 494_832_248), (True, 895_890_672, 447_947_384)]
)
def test_blip_base(tied, full, half):
    model = blip_base(tied)
    assert memory_footprint(model) == stored_bytes(model) == full
    assert footprint_ratio(model, torch.bfloat16) == half / full
    assert memory_footprint(cast_copy(model, torch.bfloat16)) == half
    assert tied or half / full == 0.5000020693967345


@pytest.mark.parametrize(("tied", "full"), [(False, 307_844_608), (True, 242_046_464)])
def test_flan_t5_small(tied, full):
    model = flan_t5_small(tied)
    assert memory_footprint(model) == stored_bytes(model) == full
    predicted = predicted_int8_bytes(model)
    assert stored_bytes(quantize_and_freeze(model)) == predicted == 126_828_680
    sizes = module_sizes(model)
    assert sizes[""] == 126_828_680
    assert sizes["shared"] == 32128 * 512 * 4
    assert sizes["lm_head"] == 32128 * 512 + 32128 * 4 + 2 * 4  # codes, a scale per row, two scales of activations


def test_pythia_410m():
    model = pythia_410m()
    assert memory_footprint(model) == stored_bytes(model) == module_sizes(model)[""] == 1_621_336_128
