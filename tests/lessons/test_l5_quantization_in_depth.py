"""Lesson 5: figures that its text names, and classes that say other things of themselves than torch's tables do."""

import os
import subprocess
import sys

import pytest
import torch
from torch import nn

from exercises.kit import models
from exercises.kit.probes.common import tables
from exercises.kit.unpacking import load_quanto
from graders import lessons
from graders.judge.judge import Judge
from solutions import l5_quantization_in_depth as solution

COURSE = [[191.6, -13.5, 728.6], [92.14, 295.5, -184.0], [0.0, 684.6, 245.5]]
INT8 = torch.int8


@pytest.mark.parametrize(("axis", "in_float32", "in_float64"), [(0, 1.8084441, 1.8084494), (1, 1.0781488, 1.0781465)])
def test_errors_of_the_course_matrix(axis, in_float32, in_float64):
    matrix = torch.tensor(COURSE)
    codes, scales = solution.quantize_per_channel(matrix, axis)
    restored = solution.dequantize_per_channel(codes, scales)
    assert (restored - matrix).square().mean().item() == pytest.approx(in_float32, abs=5e-7)
    exact = codes.double() * scales.double()
    assert (exact - matrix.double()).square().mean().item() == pytest.approx(in_float64, abs=6e-8)


def test_a_sum_that_float32_does_not_hold():
    ones = torch.full((1, 1041), 127, dtype=INT8)
    assert (ones.float() @ ones.float().t()).item() == 16_790_288
    assert solution.int8_matmul(ones, ones.t()).item() == 16_790_289
    lows = torch.full((1, 1041), -128, dtype=INT8)
    assert int((lows.float() @ lows.float().t()).item()) == 1041 * 128 * 128
    assert (torch.tensor([100], dtype=INT8) * 100 * 2).item() == 32
    assert 131_071 * 128 * 128 < 2**31 <= 131_072 * 128 * 128


def test_a_bfloat16_quotient_that_wraps():
    row = torch.tensor([1.375, 1.0], dtype=torch.bfloat16)
    quotient = row / (row.abs().max() / 127)
    assert quotient[0].item() == 127.5
    assert torch.round(quotient).to(INT8)[0].item() == -128
    every = torch.arange(2**15 - 1, dtype=torch.int16).view(torch.bfloat16).float()
    wide = every[every.isfinite() & (every > 1e-30)]
    assert torch.round(wide / (wide / 127)).max().item() == 127


def test_gradients_are_those_of_torch():
    quotients = torch.tensor([127.25, 127.5, -128.5, -129.0])
    for scale, values in ((0.01, [1.2749, 1.2751, 1.28, -1.2849, -1.286]), (1 / 64, (quotients / 64).tolist())):
        own, other = (torch.tensor(values, requires_grad=True) for _ in range(2))
        solution.fake_quantize(own, scale, 0).sum().backward()
        torch.fake_quantize_per_tensor_affine(other, scale, 0, -128, 127).sum().backward()
        assert torch.equal(own.grad, other.grad)
    assert own.grad.tolist() == [1.0, 0.0, 1.0, 0.0]


def test_the_default_momentum_is_torchs():
    observer = torch.ao.quantization.MovingAverageMinMaxObserver()
    own = solution.MovingAverageObserver()
    for batch in (torch.tensor([-1.0, 3.0]), torch.tensor([-9.0, 1.0])):
        observer(batch)
        own(batch)
    assert observer.averaging_constant == 0.01
    assert torch.allclose(own.min, observer.min_val)
    assert torch.allclose(own.max, observer.max_val)


def test_the_tiny_t5_with_own_layers_answers_as_with_quanto():
    quanto = load_quanto()
    plain, tokenizer = models.tiny_t5()
    own = solution.quantize_with_own_layers(plain)
    other, _ = models.tiny_t5()
    quanto.quantize(other, weights=quanto.qint8)
    quanto.freeze(other)
    prompts = [prompt for prompt, _ in models.number_pairs(20)]
    inputs = tokenizer(prompts, return_tensors="pt", padding=True)
    inputs["decoder_input_ids"] = torch.zeros(len(prompts), 1, dtype=torch.long)
    with torch.no_grad():
        logits = [model(**inputs).logits for model in (plain, other, own)]
    assert (logits[2] - logits[1]).abs().max() < 2e-5
    assert 0.03 < (logits[1] - logits[0]).abs().max() < 0.2

    def stored(model):
        values = {value.data_ptr(): value.numel() * value.element_size() for value in model.state_dict().values()}
        return sum(values.values())

    assert (stored(own), stored(other)) == (333_484, 333_780)
    assert sum(isinstance(module, solution.W8A16Linear) for module in own.modules()) == 37
    del solution.W8A16Linear.weight
    try:
        with pytest.raises(AttributeError, match="weight"):
            own(**inputs)
    finally:
        solution.W8A16Linear.weight = property(lambda self: self.int8_weights)


WIDTHS = """
import os, sys, torch
from optimum import quanto
for width in map(int, sys.argv[1:]):
    child = os.fork()
    if not child:
        torch.set_num_threads(1)
        model = torch.nn.Sequential(torch.nn.Linear(width, 16)).bfloat16()
        quanto.quantize(model, weights=quanto.qint8)
        quanto.freeze(model)
        with torch.no_grad():
            for tokens in (2, 3, 5, 8, 9, 17):
                model(torch.ones(tokens, width, dtype=torch.bfloat16))
        os._exit(0)
    print(width, os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]))
"""


@pytest.mark.full
def test_widths_at_which_quanto_ends_the_process():
    bad, good = [8, 12, 20, 24, 28, 40], [16, 32, 48, 64, 80]
    command = [sys.executable, "-W", "ignore", "-c", WIDTHS, *map(str, bad + good)]
    told = subprocess.run(command, capture_output=True, text=True, check=True, env=dict(os.environ)).stdout
    ends = dict(map(int, line.split()) for line in told.splitlines())
    assert all(ends[width] == 0 for width in good)
    assert all(ends[width] < 0 for width in bad)


# Classes that say other things of themselves than torch's tables


class LyingDict(nn.Module):
    """Its `__dict__` shows tables that torch does not use."""

    def __init__(self):
        super().__init__()
        self.register_buffer("real", torch.zeros(2))

    @property
    def __dict__(self):
        return {"_parameters": {}, "_buffers": {"false": torch.ones(2)}, "_non_persistent_buffers_set": set()}


class LyingAttributes(nn.Module):
    """Its attributes are not those that torch keeps."""

    def __init__(self):
        super().__init__()
        self.register_buffer("real", torch.zeros(2), persistent=False)
        self.lies = True

    def __getattribute__(self, name):
        lies = "lies" in object.__getattribute__(self, "__dict__")
        return {} if lies and name in ("_buffers", "_parameters") else super().__getattribute__(name)

    def named_buffers(self, *args, **kwargs):
        return iter([("false", torch.ones(2))])

    def state_dict(self, *args, **kwargs):
        return {"false": torch.ones(2)}


@pytest.mark.parametrize("kind", [LyingDict, LyingAttributes])
def test_tables_are_torchs_own(kind):
    found = tables(kind())
    assert list(found["buffers"]) == ["real"]
    assert found["unsaved"] == (["real"] if kind is LyingAttributes else [])


@pytest.fixture(scope="module")
def judge():
    return Judge(lessons.load("l5_quantization_in_depth"), "classes", None)


def outcome(judge, kind):
    return judge.judge_function("W8A16Linear", {**vars(solution), "W8A16Linear": kind})


class Equal(solution.W8A16Linear):
    """Right, and equal to nothing and to everything."""

    def __eq__(self, other):
        return True

    __hash__ = object.__hash__


class OwnStateDict(nn.Module):
    """Answers from its own state dict; no buffer is registered."""

    def __init__(self, in_features, out_features, bias=True, dtype=torch.float32):
        super().__init__()
        self.inside = [solution.W8A16Linear(in_features, out_features, bias, dtype)]

    def __getattr__(self, name):
        return getattr(self.inside[0], name) if name != "inside" else super().__getattr__(name)

    def state_dict(self, *args, **kwargs):
        return self.inside[0].state_dict(*args, **kwargs)

    def named_buffers(self, *args, **kwargs):
        return self.inside[0].named_buffers(*args, **kwargs)

    def quantize(self, weight):
        self.inside[0].quantize(weight)

    def forward(self, x):
        return self.inside[0](x)


class WithoutQuantize(nn.Module):
    """One method is missing."""

    def __init__(self, in_features, out_features, bias=True, dtype=torch.float32):
        super().__init__()

    def forward(self, x):
        return x


class Parameters(solution.W8A16Linear):
    """Keeps its scales as a parameter."""

    def __init__(self, in_features, out_features, bias=True, dtype=torch.float32):
        super().__init__(in_features, out_features, bias, dtype)
        del self.scales
        self.scales = nn.Parameter(torch.ones(out_features, dtype=dtype))

    def quantize(self, weight):
        weight = weight.detach()
        self.scales.data = weight.abs().amax(1) / 127
        divisor = torch.where(self.scales > 0, self.scales, 1.0).detach()[:, None]
        self.int8_weights = torch.round(weight / divisor).clamp(-127, 127).to(INT8)


def test_a_right_class_that_equals_everything_is_right(judge):
    assert outcome(judge, Equal).outcome == "passed"


@pytest.mark.parametrize("kind", [OwnStateDict, WithoutQuantize, Parameters, lambda *args, **kwargs: None])
def test_wrong_classes_score_nothing(judge, kind):
    verdict = outcome(judge, kind)
    assert verdict.outcome in ("failed", "error")
    assert verdict.score == 0
