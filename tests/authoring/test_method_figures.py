"""Figures that lessons 7 and 8 state, from the reference solutions."""

import statistics

import pytest
import torch

from exercises.kit import groups, models
from exercises.kit.unpacking import load_quanto
from solutions.l7_quantization_methods import gptq_quantize_layer, hadamard, quantize_kv, smooth_scales
from solutions.l8_capstone import apply_plan

pytestmark = pytest.mark.timeout(300)


def key_errors(change, group_size):
    """Mean squared errors of query times key at 2 bits over 20 seeds: groups within a token, and within a channel."""
    found = []
    for seed in range(20):
        made = torch.Generator().manual_seed(seed)
        keys, queries = torch.randn(128, 64, generator=made), torch.randn(64, 64, generator=made)
        keys = change(keys)
        restored = groups.affine(keys, group_size, 2), quantize_kv(keys, keys, 2, group_size)[0]
        found.append([float((queries @ (each - keys).T).square().mean()) for each in restored])
    return list(zip(*found, strict=True))


def offset(keys):
    keys[:, 7] += 20
    return keys


def larger(keys):
    keys[:, 7] *= 20
    return keys


@pytest.mark.parametrize(("group_size", "token", "channel"), [(32, 154, 9.7), (16, 62, 6.8)])
def test_an_offset_channel_wants_groups_within_channels(group_size, token, channel):
    by_token, by_channel = key_errors(offset, group_size)
    assert statistics.median(by_token) == pytest.approx(token, rel=0.03)
    assert statistics.median(by_channel) == pytest.approx(channel, rel=0.03)
    assert all(ours < theirs for ours, theirs in zip(by_channel, by_token, strict=True))


def test_a_large_channel_does_not_make_the_rule():
    by_token, by_channel = key_errors(larger, 32)
    assert sum(ours < theirs for ours, theirs in zip(by_channel, by_token, strict=True)) >= 12
    by_token, by_channel = key_errors(larger, 16)
    assert sum(ours > theirs for ours, theirs in zip(by_channel, by_token, strict=True)) >= 12


def test_smooth_scales_of_two_channels():
    scales = smooth_scales(torch.tensor([2.0, 16.0]), torch.tensor([[4.0, 1.0]]))
    torch.testing.assert_close(scales, torch.tensor([0.5**0.5, 4.0]))


def test_gptq_rounds_a_column_up_for_its_neighbour():
    hessian = torch.tensor([[2.0, 1.0, 0.0], [1.0, 2.0, 0.0], [0.0, 0.0, 1.0]], dtype=torch.float64)
    codes, _ = gptq_quantize_layer(torch.tensor([[0.4, 0.4, 3.0]]), hessian, 3, damp=0.0)
    assert codes.tolist() == [[0, 1, 3]]


def test_one_value_is_spread_over_sixteen():
    assert (16 * hadamard(16)[3]).abs().tolist() == [4.0] * 16


def test_int8_leaves_the_weights_behind_an_outlier_hardly_a_code():
    model, _ = models.tiny_llama_outlier()
    layers = [layer for name, layer in model.named_modules() if name.endswith(("q_proj", "gate_proj", "lm_head"))]
    scales = [layer.weight.abs().amax(1) / 127 for layer in layers]
    codes = torch.cat([(layer.weight[:, 5] / s).round() for layer, s in zip(layers, scales, strict=True)])
    assert codes.abs().max() <= 2
    assert (codes == 0).float().mean() > 0.5


@pytest.mark.parametrize(
    ("precision", "size"), [("float32", 40_672), ("qint8", 15_284), ("qint4", 12_624), ("qint2", 10_336)]
)
def test_bytes_of_the_tiny_llama(precision, size):
    load_quanto()
    model, _ = models.tiny_llama()
    names = [name for name, module in model.named_modules() if isinstance(module, torch.nn.Linear)]
    assert len(names) == 15
    assert models.llama_bytes(apply_plan(lambda: model, dict.fromkeys(names, precision))) == size
