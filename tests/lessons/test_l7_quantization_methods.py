"""Lesson 7: the figures that the catalogue of exercises gives for its methods, recomputed."""

import random
import statistics

import pytest
import torch

from exercises.kit import models
from exercises.kit.unpacking import load_quanto
from exercises.models.score import in_precision
from solutions import l7_quantization_methods as solution

pytestmark = pytest.mark.usefixtures("one_thread")


def test_scales_of_a_row():
    scales = solution.smooth_scales(torch.tensor([2.0, 16.0]), torch.tensor([[4.0, 1.0]]))
    assert scales.tolist() == pytest.approx([0.5**0.5, 4.0])


def test_one_value_is_spread_over_all():
    assert solution.fast_hadamard(torch.eye(16) * 16).abs().unique().tolist() == [4.0]


def optimal_brain_quantizer(weight, hessian, bits):
    """GPTQ without its factor: the inverse of what is left of the Hessian, anew for each column."""
    weight, largest = weight.double().clone(), 2 ** (bits - 1) - 1
    scales = weight.abs().amax(1, keepdim=True) / largest
    codes = torch.zeros_like(weight)
    for i in range(weight.shape[1]):
        inverse = torch.linalg.inv(hessian[i:, i:])
        codes[:, i] = torch.round(weight[:, i] / scales[:, 0]).clamp(-largest, largest)
        error = weight[:, i : i + 1] - codes[:, i : i + 1] * scales
        weight[:, i:] -= error / inverse[0, 0] * inverse[:1]
    return codes.to(torch.int8)


def test_gptq_is_optimal_brain_quantization_and_nearly_always_beats_rounding():
    made, ratios = torch.Generator().manual_seed(0), []
    for number in range(400):
        columns, bits = [8, 16, 32, 64][number % 4], 2 + number // 4 % 3
        weight = torch.randn(8, columns, generator=made)
        mixed = torch.randn(columns, columns, generator=made) / columns**0.5 + torch.eye(columns)
        hessian = solution.input_hessian([torch.randn(4 * columns, columns, generator=made) @ mixed])
        codes, scales = solution.gptq_quantize_layer(weight, hessian, bits)
        damped = hessian + 0.01 * hessian.diagonal().mean() * torch.eye(columns, dtype=torch.float64)
        assert torch.equal(codes, optimal_brain_quantizer(weight, damped, bits))
        largest = 2 ** (bits - 1) - 1
        nearest = torch.round(weight.double() / scales).clamp(-largest, largest)
        errors = [(weight.double() - each * scales) for each in (codes, nearest)]
        ratios.append(((errors[0] @ damped) * errors[0]).sum().item() / ((errors[1] @ damped) * errors[1]).sum().item())
        assert ratios[-1] < 1 or columns == 8 or bits == 2
    assert 0.5 < statistics.median(ratios) < 0.65
    assert 390 <= sum(ratio < 1 for ratio in ratios) < 400


def test_an_inverse_of_a_nearly_singular_matrix_has_no_factor():
    made = torch.Generator().manual_seed(0)
    turned = torch.linalg.qr(torch.randn(16, 16, generator=made, dtype=torch.float64))[0]

    def hessian(condition):
        spread = torch.logspace(0, -condition, 16, dtype=torch.float64)
        return turned @ spread.diag() @ turned.T

    torch.linalg.cholesky(torch.linalg.inv(hessian(7)))
    with pytest.raises(torch.linalg.LinAlgError):
        torch.linalg.cholesky(torch.linalg.inv(hessian(11)))


def error_of_scores(change, per_channel, group_size, seed):
    """The mean squared error of 64 queries times 128 keys of 64 channels, in 2 bits."""
    made = torch.Generator().manual_seed(seed)
    keys, queries = torch.randn(128, 64, generator=made), torch.randn(64, 64, generator=made)
    keys[:, 7] = change(keys[:, 7])
    restored = solution.quantize_kv(keys, keys, 2, group_size)[0 if per_channel else 1]
    return (queries @ (restored - keys).T).square().mean().item()


@pytest.mark.parametrize(
    ("change", "group_size", "per_token", "per_channel", "better"),
    [
        (lambda channel: channel, 32, 9.8, 9.7, (6, 14)),  # no difference
        (lambda channel: channel + 20, 32, 154, 9.7, (20, 20)),
        (lambda channel: channel + 20, 16, 63, 6.8, (20, 20)),
        (lambda channel: channel * 20, 32, 91, 73, (14, 18)),
        (lambda channel: channel * 20, 16, 39.6, None, (1, 6)),  # worse, by how much depends on the draw
    ],
)
def test_groups_within_a_channel_help_against_an_offset(change, group_size, per_token, per_channel, better):
    errors = [[error_of_scores(change, rule, group_size, seed) for seed in range(20)] for rule in (False, True)]
    medians = [statistics.median(each) for each in errors]
    assert medians[0] == pytest.approx(per_token, rel=0.04)
    assert medians[1] == pytest.approx(per_channel, rel=0.04) if per_channel else medians[1] > medians[0]
    assert better[0] <= sum(channel < token for token, channel in zip(*errors, strict=True)) <= better[1]


def test_inference_mode_is_not_for_models_in_four_bits():
    model = in_precision(models.tiny_llama()[0], "qint4")
    with torch.inference_mode(), pytest.raises(RuntimeError, match="inference"):
        model(**models.number_lines([4071]))


@pytest.mark.full
def test_exact_match_hardly_sees_a_single_layer():
    load_quanto()
    made, held_out = models.tiny_t5, models.number_pairs(100, seed=11)
    lost = solution.layer_sensitivity(lambda: made()[0], models.t5_evaluator(held_out), "qint2")
    assert (len(lost), sum(each == 0 for each in lost.values())) in [(37, 36), (37, 37)]
    source = random.Random(11)
    numbers = [models.draw_number(source, held_out=True) for _ in range(300)]
    lost = solution.layer_sensitivity(lambda: models.tiny_llama()[0], models.llama_exact_match(numbers), "qint2")
    assert len(lost) == 15
    assert 11 <= sum(each == 0 for each in lost.values()) < 15
