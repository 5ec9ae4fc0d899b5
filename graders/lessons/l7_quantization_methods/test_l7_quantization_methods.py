"""Hidden tests of lesson 7: perplexity, smoothing, rotation, GPTQ, AWQ, the cache, and the sensitivity of layers."""

import math
from fnmatch import fnmatch

import pytest
import torch

from exercises.kit.checking.closeness import Mismatch, exactly, gamma, relative, same, within
from exercises.kit.probes import l7 as probes
from exercises.kit.toys import endings, parts, precisions, quantized_models, small_transformers, variants
from graders.judge.contract import main, observed, once, raises, recipe
from graders.wire.records import ModelRecord

# Layers, by recipe, and what comes back of them -------------------------------------------------------------------------


def linear(weight, bias=None):
    """A linear layer of this weight and bias, made where it is used."""
    return recipe(parts.linear, weight, bias)


def weight_of(record):
    """The weight of a linear layer that was returned; Mismatch if there is none."""
    return _part(record, "weight")


def bias_of(record):
    """The bias of a linear layer that was returned, None if it has none."""
    return _part(record, "bias") if isinstance(record, ModelRecord) and "bias" in record.parameters else None


def _part(record, name):
    if not isinstance(record, ModelRecord) or not record.type.startswith("torch.nn.modules.linear."):
        raise Mismatch(record.type.rpartition(".")[2] if isinstance(record, ModelRecord) else record, "a Linear")
    return record.parameters[name].tensor


def pair(got):
    """The two parts of an answer."""
    if not isinstance(got, tuple | list) or len(got) != 2:
        raise Mismatch(got, "two values")
    return got


def randn(generator, *shape):
    """Normal float32 numbers."""
    return torch.randn(*shape, generator=generator)


def with_outliers(generator, tokens, width, *channels):
    """Normal inputs in which some channels are large, and negative where they are largest."""
    x = randn(generator, tokens, width)
    x[:, list(channels)] *= 40
    return x


def same_product(new, s, x, weight):
    """Ask that (x / s) @ new.T is x @ weight.T, in float64: only new = weight * s was rounded, column by column."""
    same(s, torch.ones(x.shape[-1]), within(1e6))
    exact = x.double() @ weight.double().T
    bound = 2.0**-22 * (x.double().abs() @ weight.double().abs().T)
    same((x.double() / s.double()) @ new.double().T, exact, within(bound))


# Perplexity -------------------------------------------------------------------------------------------------------------


def tokens(generator, *lengths, vocabulary=24, ignored=2):
    """A batch for a `Speaker`: ids and labels alike, padded with -100 behind each length, the first `ignored` labels too."""
    longest = max(lengths)
    ids = torch.randint(0, vocabulary, (len(lengths), longest), generator=generator)
    labels = ids.clone()
    labels[:, :ignored] = -100
    for row, length in enumerate(lengths):
        labels[row, length:] = -100
    return {"input_ids": ids, "labels": labels}


def offset(batch, value):
    """The batch with one more input of the model."""
    return {**batch, "offset": torch.tensor(value)}


SPEAKER = recipe(parts.speaker, 3)
INTERRUPTED = recipe(endings.interrupted, SPEAKER, "head")
BF16 = recipe(parts.speaker, 4, dtype=torch.bfloat16)
QINT8 = recipe(quantized_models.with_quanto, recipe(parts.speaker, 5))
IN_TURN = recipe(parts.speaker, 6, encoder_decoder=True)
PERPLEXITY = relative(1e-5)  # log-softmax in float32: an absolute error of a few 2**-24 of |logit| for each token


class TestPerplexity:
    @main
    @pytest.mark.parametrize("model", [SPEAKER, QINT8, BF16], ids=["float32", "qint8", "bfloat16"])
    def test_over_all_tokens_of_unequal_batches(self, student, reference, generator, model):
        """All tokens count alike, in whatever batch; labels are shifted, -100 is left out."""
        batches = [tokens(generator, 12, 9, 3), tokens(generator, 4), tokens(generator, 3, 6)]
        same(student.perplexity(model, batches), reference.perplexity(model, batches), PERPLEXITY)

    def test_a_llama(self, student, reference, generator):
        """A decoder of transformers."""
        model = recipe(variants.tiny_llama_variant, 3, noise=0.2)
        batches = [tokens(generator, 8, 5, vocabulary=59), tokens(generator, 3, vocabulary=59)]
        same(student.perplexity(model, batches), reference.perplexity(model, batches), relative(1e-4))

    @pytest.mark.parametrize("model", [IN_TURN, recipe(small_transformers.small_t5, vocabulary=24)], ids=["toy", "t5"])
    def test_an_encoder_decoder_is_not_shifted(self, student, reference, generator, model):
        """Where the config says encoder-decoder, logits and labels stand at the same place."""
        batches = [tokens(generator, 7, 4, ignored=0), tokens(generator, 5, ignored=0)]
        same(student.perplexity(model, batches), reference.perplexity(model, batches), PERPLEXITY)

    def test_only_counted_tokens(self, student, reference, generator):
        """A batch whose labels are all -100 changes nothing, and the first label of a decoder never counts."""
        silent = tokens(generator, 4, 4, ignored=4)
        batches = [silent, tokens(generator, 6, 2, ignored=0), silent]
        same(student.perplexity(SPEAKER, batches), reference.perplexity(SPEAKER, batches), PERPLEXITY)

    def test_batches_are_passed_whole(self, student, reference, generator):
        """Everything in a batch goes to the model."""
        batches = [offset(tokens(generator, 6, 5), 1.5), offset(tokens(generator, 3), -0.5)]
        same(student.perplexity(SPEAKER, batches), reference.perplexity(SPEAKER, batches), PERPLEXITY)

    def test_log_softmax_in_float32(self, student, reference, generator):
        """A bfloat16 model's logits are widened before the softmax."""
        model = recipe(parts.speaker, 7, dtype=torch.bfloat16, loud=8.0)
        batches = [tokens(generator, 16, 16, 16)]
        same(student.perplexity(model, batches), reference.perplexity(model, batches), PERPLEXITY)

    @pytest.mark.parametrize("labels", [[], [[-100, -100, -100]], [[5, -100, -100]]], ids=["none", "ignored", "first"])
    def test_refuses_no_tokens(self, student, labels):
        """Without a label that counts there is no perplexity."""
        batches = [{"input_ids": torch.tensor([[1, 2, 3]]), "labels": torch.tensor(each)[None]} for each in labels]
        with raises(ValueError):
            student.perplexity(SPEAKER, batches)

    @observed
    def test_each_batch_once_in_eval_mode(self, student, generator):
        """The model sees each batch once, in eval mode, without gradients."""
        batches = [tokens(generator, 6, 5), tokens(generator, 3)]
        counts = student.probe(probes.counts_of, "perplexity", SPEAKER, batches)
        same(counts, {"calls": 2, "trained": 0, "recorded": 0})

    @observed
    @pytest.mark.parametrize(
        ("model", "last", "raised"),
        [(SPEAKER, 5, ""), (SPEAKER, 99, "IndexError"), (INTERRUPTED, 5, "KeyboardInterrupt")],
        ids=["returns", "raises", "interrupted"],
    )
    @pytest.mark.parametrize("trained", ["d*", "*", "[!d]*"], ids=["dropout", "all", "others"])
    def test_modes_are_restored(self, student, generator, model, last, raised, trained):
        """Every submodule has its old mode again, also after an exception, an interruption too."""
        model = recipe(quantized_models.trained_where, model, trained)
        batches = [
            tokens(generator, 6, 5),
            {"input_ids": torch.tensor([[1, 2, last]]), "labels": torch.ones(1, 3).long()},
        ]
        told = student.probe(probes.modes_after, "perplexity", model, batches)
        modes = {name: fnmatch(name, trained) for name in ["", "embedding", "dropout", "head"]}
        same(told, {"raised": raised, "training": modes})


def same_output(got, exact, roundings, size):
    """Compare what layers gave when they were called with the exact output, so many float32 roundings of `size` away."""
    same(got, exact.float(), within(gamma(roundings, 2.0**-24) * size, of=exact))


# Smoothing --------------------------------------------------------------------------------------------------------------

POWERS = relative(2.0**-18)  # two powers and a quotient in float32; powers by logarithms lose up to 12 ulp each


class TestSmoothScales:
    @main
    @pytest.mark.parametrize("alpha", [0.5, 0.3, 0.8], ids=str)
    def test_balances_the_ranges(self, student, reference, generator, alpha):
        """a^alpha / w^(1 - alpha) for each input channel."""
        a, weight = randn(generator, 7).abs() * 9 + 0.1, randn(generator, 5, 7)
        same(student.smooth_scales(a, weight, alpha), reference.smooth_scales(a, weight, alpha), POWERS)

    @pytest.mark.parametrize("alpha", [0.0, 1.0], ids=["all from the weight", "all from the input"])
    def test_the_ends(self, student, reference, generator, alpha):
        """alpha 0 looks at the weight alone, alpha 1 at the inputs alone."""
        a, weight = randn(generator, 6).abs() * 9 + 0.1, randn(generator, 4, 6)
        same(student.smooth_scales(a, weight, alpha), reference.smooth_scales(a, weight, alpha), POWERS)

    def test_half_by_default(self, student, reference, generator):
        """Without alpha it is a half."""
        a, weight = randn(generator, 6).abs() * 9 + 0.1, randn(generator, 6, 6)
        same(student.smooth_scales(a, weight), reference.smooth_scales(a, weight), POWERS)

    @pytest.mark.parametrize(
        ("a", "column"),
        [(0.0, 2.0), (8.0, 0.0), (0.0, 0.0), (1e-9, 1e-9), (4.0, 1e-3), (1e-3, 4.0)],
        ids=["input", "weight", "both", "tiny", "small weight", "small input"],
    )
    @pytest.mark.parametrize("alpha", [0.5, 0.0, 1.0], ids=str)
    def test_dead_channels(self, student, reference, a, column, alpha):
        """What is below 1e-5 counts as 1e-5, and nothing is added to what is not."""
        weight = torch.tensor([[1.0, column, -2.0], [0.5, -column / 2, 3.0]])
        args = torch.tensor([5.0, a, 0.25]), weight, alpha
        same(student.smooth_scales(*args), reference.smooth_scales(*args), POWERS)

    def test_the_result_is_raised_too(self, student, reference):
        """A divisor below 1e-5 is raised to it."""
        args = torch.tensor([1e-4, 2.0]), torch.tensor([[3e5, 1.0], [-9e5, 0.5]]), 0.1
        same(student.smooth_scales(*args), reference.smooth_scales(*args), POWERS)

    @pytest.mark.parametrize("alpha", [0.5, 1.0], ids=str)
    def test_nothing_is_lowered(self, student, reference, alpha):
        """There is no largest divisor."""
        args = torch.tensor([3e9, 2e8]), torch.tensor([[1e-4, 0.5], [-3e-4, 0.25]]), alpha
        same(student.smooth_scales(*args), reference.smooth_scales(*args), POWERS)

    def test_any_strides(self, student, reference, generator):
        """The strides of both do not matter."""
        a, weight = (randn(generator, 12).abs() * 9 + 0.1)[::2], randn(generator, 6, 5).t()
        same(student.smooth_scales(a, weight), reference.smooth_scales(a, weight), POWERS)


class TestSmooth:
    @main
    @pytest.mark.parametrize("args", [(), (0.75,), (0.0,), (1.0,)], ids=["default", "alpha", "0", "1"])
    def test_moves_the_range(self, student, reference, generator, args):
        """s from the largest magnitudes of the inputs, and a weight with column j times s_j."""
        layer, x = linear(randn(generator, 5, 8), randn(generator, 5)), with_outliers(generator, 30, 8, 2, 5)
        (new, s), (want_new, want_s) = pair(student.smooth(layer, x, *args)), reference.smooth(layer, x, *args)
        same(s, want_s, POWERS)
        same(weight_of(new), weight_of(want_new), relative(2.0**-17))

    def test_the_function_stays(self, student, generator):
        """new(x / s) equals linear(x)."""
        weight, x = randn(generator, 6, 6), with_outliers(generator, 20, 6, 1)
        new, s = pair(student.smooth(linear(weight), x))
        same_product(weight_of(new), s, x, weight)

    @observed
    def test_the_new_layer_called(self, student, generator):
        """What new(x / s) gives when it is called: nothing else is done to the input or the output."""
        weight, bias, x = randn(generator, 6, 8), randn(generator, 6), with_outliers(generator, 20, 8, 1)
        got = student.probe(probes.called_smoothed, "smooth", linear(weight, bias), x)
        size = x.double().abs() @ weight.double().abs().T + bias.double().abs()
        same_output(got, x.double() @ weight.double().T + bias.double(), 14, size)

    def test_negative_outliers_count(self, student, reference, generator):
        """The largest magnitude counts, of whichever sign."""
        layer, x = linear(randn(generator, 4, 5)), randn(generator, 9, 5)
        x[3, 2] = -50.0
        same(pair(student.smooth(layer, x))[1], reference.smooth(layer, x)[1], POWERS)

    @pytest.mark.parametrize("bias", [True, False], ids=["bias", "no bias"])
    def test_the_bias_stays(self, student, generator, bias):
        """The bias is the old one, or None."""
        old = randn(generator, 3) if bias else None
        new, _ = pair(student.smooth(linear(randn(generator, 3, 4), old), randn(generator, 5, 4)))
        weight_of(new)
        same(bias_of(new), old)

    def test_dead_channels(self, student, reference, generator):
        """Channels that no input or no weight uses."""
        weight, x = randn(generator, 4, 5), randn(generator, 9, 5)
        weight[:, 1], x[:, 3] = 0.0, 0.0
        (new, s), (want_new, want_s) = pair(student.smooth(linear(weight), x)), reference.smooth(linear(weight), x)
        same(s, want_s, POWERS)
        same(weight_of(new), weight_of(want_new), relative(2.0**-17))

    def test_any_strides(self, student, reference, generator):
        """The strides of the inputs do not matter."""
        layer, x = linear(randn(generator, 4, 5)), randn(generator, 5, 9).t()
        same(pair(student.smooth(layer, x))[1], reference.smooth(layer, x)[1], POWERS)


class TestEqualize:
    @main
    @pytest.mark.parametrize("bias", [True, False], ids=["bias", "no bias"])
    def test_equal_ranges(self, student, reference, generator, bias):
        """Row i of the first and column i of the second have the range √(r1 r2)."""
        uneven = torch.logspace(-2, 2, 7)
        first = linear(randn(generator, 7, 4) * uneven[:, None], randn(generator, 7) * 9 if bias else None)
        second = linear(randn(generator, 3, 7), randn(generator, 3) if bias else None)
        got, want = pair(student.equalize(first, second)), reference.equalize(first, second)
        same([weight_of(layer) for layer in got], [weight_of(layer) for layer in want], relative(2.0**-20))

    def test_biases(self, student, reference, generator):
        """The first bias is divided too, the second stays."""
        first = linear(randn(generator, 6, 4) * 5, randn(generator, 6) * 100)
        second = linear(randn(generator, 3, 6), randn(generator, 3))
        got, want = pair(student.equalize(first, second)), reference.equalize(first, second)
        same(bias_of(got[0]), bias_of(want[0]), relative(2.0**-20))
        same(bias_of(got[1]), bias_of(want[1]))

    @pytest.mark.parametrize("layer", [0, 1], ids=["first", "second"])
    def test_without_one_bias(self, student, reference, generator, layer):
        """A layer without a bias stays without."""
        biases = [None if layer == 0 else randn(generator, 4), None if layer == 1 else randn(generator, 2)]
        args = linear(randn(generator, 4, 3), biases[0]), linear(randn(generator, 2, 4), biases[1])
        got, want = pair(student.equalize(*args)), reference.equalize(*args)
        same([weight_of(each) for each in got], [weight_of(each) for each in want], relative(2.0**-20))
        same([bias_of(each) for each in got], [bias_of(each) for each in want], relative(2.0**-20))

    @pytest.mark.parametrize("where", ["row", "column", "both"])
    def test_ranges_of_zero(self, student, reference, generator, where):
        """Where one of the ranges is 0, nothing is moved."""
        w1, w2 = randn(generator, 5, 4) * 8, randn(generator, 3, 5)
        w1[1] *= where == "column"
        w2[:, 1] *= where == "row"
        args = linear(w1, torch.full((5,), 3.0)), linear(w2, torch.ones(3))
        got, want = pair(student.equalize(*args)), reference.equalize(*args)
        same([weight_of(each) for each in got], [weight_of(each) for each in want], relative(2.0**-20))
        same([bias_of(each) for each in got], [bias_of(each) for each in want], relative(2.0**-20))

    def test_small_ranges(self, student, reference, generator):
        """Only 0 is no range: rows and columns of tiny numbers become equal too."""
        w1, w2 = randn(generator, 5, 4), randn(generator, 3, 5)
        w1[1], w2[:, 2] = w1[1] * 2.0**-30, w2[:, 2] * 2.0**-40
        got, want = pair(student.equalize(linear(w1), linear(w2))), reference.equalize(linear(w1), linear(w2))
        same([weight_of(each) for each in got], [weight_of(each) for each in want], relative(2.0**-20))

    @observed
    def test_the_function_stays(self, student, generator):
        """Called one after the other, the new layers give what the old ones gave."""
        w1, w2, x = randn(generator, 6, 4) * 5, randn(generator, 3, 6), randn(generator, 8, 4)
        got = student.probe(probes.called_in_turn, "equalize", linear(w1), linear(w2), x)
        hidden = (x.double() @ w1.double().T).relu()
        size = (x.double().abs() @ w1.double().abs().T) @ w2.double().abs().T
        same_output(got, hidden @ w2.double().T, 16, size)


# GPTQ -------------------------------------------------------------------------------------------------------------------


@once
def exact_hessian(batches):
    """Σ xᵀ x / tokens in float64, and the sum of magnitudes that bounds its error."""
    x = torch.cat([batch.reshape(-1, batch.shape[-1]).double() for batch in batches])
    return x.T @ x / len(x), x.abs().T @ x.abs() / len(x)


def same_hessian(got, batches):
    """Compare with the exact sum: n products and sums and a division in float64, in any order."""
    exact, size = exact_hessian(batches)
    count = sum(batch.numel() // batch.shape[-1] for batch in batches)
    same(got, exact, within(2 * gamma(count + 3, 2.0**-53) * size))


class TestInputHessian:
    @main
    @pytest.mark.parametrize("lengths", [(3, 40, 1), (17,)], ids=["unequal batches", "one batch"])
    def test_mean_over_all_tokens(self, student, generator, lengths):
        """The sum of xᵀx over all tokens of all batches, divided by their number."""
        batches = [randn(generator, length, 6) for length in lengths]
        same_hessian(student.input_hessian(batches), batches)

    def test_any_leading_dimensions(self, student, generator):
        """Every vector along the last axis is a token."""
        batches = [randn(generator, 2, 3, 5), randn(generator, 5), randn(generator, 4, 1, 2, 5).transpose(0, 2)]
        same_hessian(student.input_hessian(batches), batches)

    @pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float32, torch.float64], ids=str)
    def test_widened_before_the_product(self, student, generator, dtype):
        """Products are taken in float64, whatever the inputs' dtype."""
        batches = [(randn(generator, 9, 4) * 300 + 1000).to(dtype), (randn(generator, 30, 4) * 300).to(dtype)]
        same_hessian(student.input_hessian(batches), batches)

    def test_tokens_of_zeros(self, student, generator):
        """A token whose channels are all 0 is a token."""
        batches = [torch.zeros(2, 4), torch.cat([randn(generator, 3, 4), torch.zeros(1, 4)])]
        same_hessian(student.input_hessian(batches), batches)

    def test_one_channel(self, student):
        """A token of a single channel counts like any other."""
        batches = [torch.tensor([[3.0]]), torch.tensor([[1.0], [2.0]])]
        same_hessian(student.input_hessian(batches), batches)

    def test_batches_without_tokens(self, student, generator):
        """A batch without tokens counts nothing."""
        batches = [torch.zeros(0, 4), randn(generator, 3, 4), torch.zeros(2, 0, 4)]
        same_hessian(student.input_hessian(batches), batches)

    @pytest.mark.parametrize(
        "batches", [[], [torch.zeros(0, 3), torch.zeros(2, 0, 3)]], ids=["no batches", "empty ones"]
    )
    def test_refuses_no_tokens(self, student, batches):
        """Without tokens there is no mean."""
        with raises(ValueError):
            student.input_hessian(batches)


def gptq(weight, hessian, bits, damp=0.01):
    """Codes by Algorithm 1 with an explicit inverse factor, and how near a quotient came to a tie: the judge's own."""
    w, h, top = weight.double().clone(), hessian.double().clone(), 2 ** (bits - 1) - 1
    scales = w.abs().amax(1) / top
    scales = torch.where(scales > 0, scales, torch.ones_like(scales))
    dead = torch.diagonal(h) == 0
    w[:, dead] = 0
    h[dead, dead] = 1
    h += torch.eye(len(h), dtype=h.dtype) * damp * torch.diagonal(h).mean()
    upper = torch.linalg.cholesky(torch.linalg.inv(h)).T
    nearest = math.inf
    for i in range(len(h)):
        quotient = w[:, i] / scales
        inside = quotient.abs() < top
        gaps = ((quotient - quotient.floor()) - 0.5).abs()[inside]
        nearest = min(nearest, float(gaps.min()) if len(gaps) else math.inf)
        q = quotient.round().clamp(-top, top)
        w -= torch.outer((w[:, i] - q * scales) / upper[i, i], upper[i] * (torch.arange(len(h)) >= i))
    return nearest


def calm(generator, rows, columns, bits, dead=(), damp=0.01, tokens=64, size=1.0):
    """A weight and a Hessian of correlated inputs, drawn until no quotient is within 1e-4 of a tie.

    The weights of dead inputs are the largest of the first two rows.
    """
    while True:
        weight = randn(generator, rows, columns)
        weight[:2, list(dead)] *= 3
        mixing = torch.eye(columns) + 0.6 * randn(generator, columns, columns)
        x = size * randn(generator, tokens, columns).double() @ mixing.double()
        x[:, list(dead)] = 0
        hessian = x.T @ x / tokens
        if gptq(weight, hessian, bits, damp) > 1e-4:
            return weight, hessian


def calm_for(generator, hessian, rows, bits, damp=0.01):
    """A weight for a given Hessian, as `calm`."""
    while True:
        weight = randn(generator, rows, len(hessian))
        if gptq(weight, hessian, bits, damp) > 1e-4:
            return weight


def output_error(weight, hessian, got):
    """tr(E H Eᵀ) of what was returned."""
    codes, scales = pair(got)
    error = weight.double() - codes.double() * scales.double()
    return float(torch.trace(error @ hessian @ error.T))


def same_gptq(got, want):
    """Compare codes exactly and scales up to float64's rounding."""
    codes, scales = pair(got)
    same(codes, want[0], exactly)
    same(scales, want[1], relative(2.0**-50))


def finite_scale(got):
    """Accept any finite number >= 0."""
    if not 0 <= got < math.inf:
        raise Mismatch(got, "a finite scale >= 0")


class TestGptqQuantizeLayer:
    points = 4

    @main
    @pytest.mark.parametrize("bits", [3, 4, 2], ids=["3 bits", "4 bits", "2 bits"])
    def test_later_columns_make_up(self, student, reference, generator, bits):
        """Each column's error moves the columns that are still to come."""
        args = calm(generator, 5, 12, bits)
        same_gptq(student.gptq_quantize_layer(*args, bits), reference.gptq_quantize_layer(*args, bits))

    def test_without_correlation(self, student, reference, generator):
        """With a diagonal Hessian it is plain rounding."""
        hessian = torch.diag(torch.linspace(0.5, 3.0, 9, dtype=torch.float64))
        weight = calm_for(generator, hessian, 4, 4)
        same_gptq(student.gptq_quantize_layer(weight, hessian, 4), reference.gptq_quantize_layer(weight, hessian, 4))

    @pytest.mark.parametrize("dead", [(0,), (3, 4), (11,)], ids=["first", "two", "last"])
    def test_dead_inputs(self, student, reference, generator, dead):
        """Columns whose inputs never occurred get the code 0; they count for the scales as given, and for the mean."""
        args = calm(generator, 8, 12, 4, dead, damp=0.1, size=0.1)
        same_gptq(student.gptq_quantize_layer(*args, 4, 0.1), reference.gptq_quantize_layer(*args, 4, 0.1))

    @pytest.mark.parametrize("damp", [0.5, 0.05], ids=str)
    def test_damping(self, student, reference, generator, damp):
        """damp times the mean diagonal is added to the diagonal."""
        args = calm(generator, 6, 10, 3, damp=damp, tokens=12)
        same_gptq(student.gptq_quantize_layer(*args, 3, damp), reference.gptq_quantize_layer(*args, 3, damp))

    def test_fewer_tokens_than_columns(self, student, reference, generator):
        """A Hessian without an inverse has one once it is damped."""
        args = calm(generator, 5, 12, 3, tokens=6)
        same_gptq(student.gptq_quantize_layer(*args, 3), reference.gptq_quantize_layer(*args, 3))

    def test_codes_are_clamped(self, student, reference):
        """A column moved beyond the row's range, to 1.92 or -1.92 steps, gets the last code; the next makes up for all of it."""
        weight = torch.tensor([[0.45, 1.0, 0.2], [-0.45, -1.0, -0.3]])
        hessian = torch.tensor([[4.0, 1.9, 0.9], [1.9, 1.0, 0.6], [0.9, 0.6, 1.0]], dtype=torch.float64)
        same_gptq(student.gptq_quantize_layer(weight, hessian, 2), reference.gptq_quantize_layer(weight, hessian, 2))

    def test_faint_inputs_are_not_dead(self, student, reference, generator):
        """Inputs that were tiny, and hardly ever there, are as alive as others; only an exact 0 is dead."""
        weight, hessian = calm(generator, 6, 10, 3, dead=(4,))
        hessian = hessian * 2.0**-80
        hessian[4, 4] = hessian.diagonal().max() * 2.0**-20
        same_gptq(student.gptq_quantize_layer(weight, hessian, 3), reference.gptq_quantize_layer(weight, hessian, 3))

    def test_nearly_the_same_inputs(self, student, reference, generator):
        """Two inputs differ by less than float32 can tell; in float64 the Hessian has an inverse."""
        hessian = torch.eye(5, dtype=torch.float64)
        hessian[[1, 3], [3, 1]] = 1.0
        hessian[3, 3] += 2.0**-26
        args = calm_for(generator, hessian, 4, 4, damp=0.0), hessian, 4, 0.0
        same_gptq(student.gptq_quantize_layer(*args), reference.gptq_quantize_layer(*args))

    def test_eight_bits(self, student, reference, generator):
        """Codes up to 127."""
        args = calm(generator, 3, 6, 8)
        same_gptq(student.gptq_quantize_layer(*args, 8), reference.gptq_quantize_layer(*args, 8))

    def test_a_row_of_zeros(self, student, reference, generator):
        """A row of zeros has codes 0 and a finite scale, and the others do not mind."""
        weight, hessian = calm(generator, 4, 7, 3)
        weight[2] = 0
        codes, scales = pair(student.gptq_quantize_layer(weight, hessian, 3))
        want_codes, want_scales = reference.gptq_quantize_layer(weight, hessian, 3)
        same(codes, want_codes, exactly)
        same(scales[[0, 1, 3]], want_scales[[0, 1, 3]], relative(2.0**-50))
        finite_scale(scales[2].item())

    def test_the_output_error_is_small(self, student, reference, generator):
        """The error of the layer's output is that of the algorithm on a larger layer."""
        x = randn(generator, 200, 48).double() @ torch.randn(48, 48, generator=generator).double()
        weight, hessian = randn(generator, 16, 48), x.T @ x / 200
        got = output_error(weight, hessian, student.gptq_quantize_layer(weight, hessian, 3))
        want = output_error(weight, hessian, reference.gptq_quantize_layer(weight, hessian, 3))
        same(got <= 1.02 * want, True)

    def test_any_strides(self, student, reference, generator):
        """The strides of the weight do not matter."""
        weight, hessian = calm(generator, 5, 9, 4)
        args = weight.t().contiguous().t(), hessian, 4
        same_gptq(student.gptq_quantize_layer(*args), reference.gptq_quantize_layer(*args))


# AWQ --------------------------------------------------------------------------------------------------------------------


def awq_table(weight, inputs, bits, group_size, grid):
    """Every candidate with its output error, in float64: the judge's own."""
    mean = inputs.double().abs().mean(0).clamp(min=1e-4)
    rows, top = [], 2 ** (bits - 1) - 1
    for i in range(grid):
        s = mean ** (i / grid)
        s = s / (s.max() * s.min()).sqrt()
        scaled = (weight.double() * s).reshape(len(weight), -1, group_size)
        step = scaled.abs().amax(-1, keepdim=True) / top
        step = torch.where(step > 0, step, torch.ones_like(step))
        restored = ((scaled / step).round().clamp(-top, top) * step).reshape(weight.shape)
        error = ((inputs.double() / s) @ restored.T - inputs.double() @ weight.double().T).square().sum()
        rows.append((float(error), s))
    return rows


def clear_case(generator, bits=4, group_size=16, grid=20, rows=8, columns=32, tokens=40, larger=0.0):
    """A weight and inputs with large channels for which the second best candidate is at least 2 % worse than the best.

    The weight's columns are as large as the inputs' to the power `larger`: at 1 scaling hurts, at -1 more of it would help.
    """
    while True:
        sizes = torch.exp(1.5 * randn(generator, columns))
        weight, inputs = randn(generator, rows, columns) * sizes**larger, randn(generator, tokens, columns) * sizes
        errors = sorted(error for error, _ in awq_table(weight, inputs, bits, group_size, grid))
        if len(errors) < 2 or errors[1] > 1.02 * errors[0]:
            return weight, inputs


def a_best_candidate(got, weight, inputs, bits=4, group_size=16, grid=20):
    """Ask that s is one of the candidates, and that this one's error is the least."""
    table = awq_table(weight, inputs, bits, group_size, grid)
    same(got, table[0][1].float(), within(1e30))
    near = [error for error, s in table if bool(((got.double() - s).abs() <= 1e-5 * s).all())]
    if not near:
        raise Mismatch("factors that are none of the candidates", f"one of the {grid} candidates")
    least = min(error for error, _ in table)
    if min(near) > least * (1 + 1e-6):
        raise Mismatch(f"a candidate of output error {min(near):.6g}", f"the one of output error {least:.6g}")


class TestAwqScales:
    points = 3

    @main
    @pytest.mark.parametrize("case", range(4), ids=str)
    def test_the_best_candidate(self, student, generator, case):
        """Of all candidates the one of least output error."""
        weight, inputs = clear_case(generator)
        a_best_candidate(student.awq_scales(weight, inputs), weight, inputs)

    @pytest.mark.parametrize(
        ("bits", "group_size", "grid"), [(3, 8, 20), (2, 32, 10), (8, 4, 7), (4, 16, 40)], ids=["3", "2", "8", "fine"]
    )
    def test_bits_groups_and_grid(self, student, generator, bits, group_size, grid):
        """Other bits, group sizes and grids."""
        weight, inputs = clear_case(generator, bits, group_size, grid)
        got = student.awq_scales(weight, inputs, bits, group_size, grid)
        a_best_candidate(got, weight, inputs, bits, group_size, grid)

    @pytest.mark.parametrize("larger", [1.0, -1.0], ids=["first", "last"])
    def test_the_ends_of_the_grid(self, student, generator, larger):
        """i goes from 0, which changes nothing, to grid - 1: s is never the mean magnitude itself."""
        weight, inputs = clear_case(generator, grid=6, larger=larger)
        a_best_candidate(student.awq_scales(weight, inputs, grid=6), weight, inputs, grid=6)

    def test_one_candidate(self, student, generator):
        """A grid of 1 tries only ones."""
        weight, inputs = clear_case(generator)
        same(student.awq_scales(weight, inputs, grid=1), torch.ones(32), relative(2.0**-20))

    def test_silent_channels(self, student, generator):
        """The mean of a channel that is always 0 counts as 1e-4."""
        weight, inputs = clear_case(generator, grid=5)
        inputs[:, 3] = 0
        inputs[:, 5] = 1e-6
        a_best_candidate(student.awq_scales(weight, inputs, grid=5), weight, inputs, grid=5)

    @pytest.mark.parametrize("group_size", [12, 0, 64], ids=str)
    def test_refuses_groups_that_do_not_fit(self, student, generator, group_size):
        """The group size has to divide the columns."""
        with raises(ValueError):
            student.awq_scales(randn(generator, 4, 32), randn(generator, 9, 32), 4, group_size)

    def test_any_strides(self, student, generator):
        """The strides of both do not matter."""
        weight, inputs = clear_case(generator, grid=5)
        got = student.awq_scales(weight.t().contiguous().t(), inputs.t().contiguous().t(), grid=5)
        a_best_candidate(got, weight, inputs, grid=5)


# Rotation ---------------------------------------------------------------------------------------------------------------

NO_POWERS = [0, -2, 3, 6, 12, 48]


def sylvester(n):
    """Sylvester's matrix by its closed form: the sign is the parity of the bits that row and column share."""
    signs = [[(-1.0) ** (i & j).bit_count() for j in range(n)] for i in range(n)]
    return torch.tensor(signs, dtype=torch.float64) / math.sqrt(n)


class TestHadamard:
    @main
    @pytest.mark.parametrize("n", [4, 16, 8, 2], ids=str)
    def test_sylvesters(self, student, n):
        """Sylvester's matrix, rows in its order."""
        same(student.hadamard(n), sylvester(n).float(), relative(2.0**-21))

    def test_one(self, student):
        """n = 1 gives [[1.]]."""
        same(student.hadamard(1), torch.ones(1, 1), relative(2.0**-21))

    def test_large(self, student):
        """n = 128."""
        same(student.hadamard(128), sylvester(128).float(), relative(2.0**-21))

    @pytest.mark.parametrize("n", NO_POWERS, ids=str)
    def test_refuses_other_sizes(self, student, n):
        """Only powers of two have Sylvester's matrix; 0 and negative numbers are none."""
        with raises(ValueError):
            student.hadamard(n)


def same_rotated(got, x):
    """Compare with the exact product: within 2**-20 of the largest magnitude, in x's dtype."""
    exact = x.double() @ sylvester(x.shape[-1])
    same(got, exact.to(x.dtype), within(2.0**-20 * max(float(exact.abs().max()), float(x.abs().max())), of=exact))


class TestFastHadamard:
    @main
    @pytest.mark.parametrize("n", [8, 16, 2, 64], ids=str)
    def test_is_the_product(self, student, generator, n):
        """x times Sylvester's matrix, in its order."""
        x = randn(generator, 3, n)
        same_rotated(student.fast_hadamard(x), x)

    @pytest.mark.parametrize("shape", [(8,), (1, 8), (2, 3, 4), (2, 1, 3, 16)], ids=str)
    def test_leading_dimensions(self, student, generator, shape):
        """Any leading dimensions, none too."""
        x = randn(generator, *shape)
        same_rotated(student.fast_hadamard(x), x)

    def test_float64(self, student, generator):
        """A float64 tensor gives a float64 tensor."""
        x = randn(generator, 3, 8).double()
        same_rotated(student.fast_hadamard(x), x)

    def test_not_contiguous(self, student, generator):
        """A transposed tensor is taken along its own last axis."""
        x = randn(generator, 8, 5).t()
        same_rotated(student.fast_hadamard(x), x)

    def test_one_value_is_spread(self, student):
        """16 in one place of 16 becomes ±4 everywhere."""
        x = torch.zeros(16)
        x[11] = 16.0
        same_rotated(student.fast_hadamard(x), x)

    def test_one_channel(self, student):
        """A single channel stays what it is."""
        x = torch.tensor([[3.0], [-2.0]])
        same_rotated(student.fast_hadamard(x), x)


class TestRotate:
    @main
    @pytest.mark.parametrize("shape", [(5, 8), (16, 16), (3, 4)], ids=str)
    def test_turns_the_weight(self, student, generator, shape):
        """The new weight is W H."""
        weight = randn(generator, *shape)
        self._turned(student.rotate(linear(weight, randn(generator, shape[0]))), weight)

    @staticmethod
    def _turned(new, weight):
        exact = weight.double() @ sylvester(weight.shape[1])
        bound = (weight.shape[1] + 4) * 2.0**-24 * (weight.double().abs() @ sylvester(weight.shape[1]).abs())
        same(weight_of(new), exact.to(weight.dtype), within(bound, of=exact))

    def test_float64(self, student, generator):
        """A float64 layer stays one."""
        weight = randn(generator, 3, 8).double()
        self._turned(student.rotate(linear(weight)), weight)

    @pytest.mark.parametrize("bias", [True, False], ids=["bias", "no bias"])
    @pytest.mark.parametrize("outputs", [3, 4], ids=str)
    def test_the_bias_stays(self, student, generator, bias, outputs):
        """The bias is the old one, or None; it is not rotated."""
        old = randn(generator, outputs) if bias else None
        new = student.rotate(linear(randn(generator, outputs, 4), old))
        weight_of(new)
        same(bias_of(new), old)

    @pytest.mark.parametrize("shape", [(1, 2), (7, 1), (12, 32)], ids=str)
    def test_any_number_of_outputs(self, student, generator, shape):
        """out_features need not be a power of two."""
        weight = randn(generator, *shape)
        self._turned(student.rotate(linear(weight)), weight)

    @observed
    def test_the_new_layer_called(self, student, generator):
        """What the new layer gives for x H when it is called: it does not rotate its input itself."""
        weight, x = randn(generator, 3, 8), randn(generator, 5, 8)
        rotated = (x.double() @ sylvester(8)).float()
        got = student.probe(probes.called_with, "rotate", linear(weight), rotated)
        size = x.double().abs() @ sylvester(8).abs() @ sylvester(8).abs() @ weight.double().abs().T
        same_output(got, x.double() @ weight.double().T, 32, size)

    @pytest.mark.parametrize("columns", [3, 12], ids=str)
    def test_refuses_other_sizes(self, student, generator, columns):
        """in_features has to be a power of two."""
        with raises(ValueError):
            student.rotate(linear(randn(generator, 4, columns)))


# The cache --------------------------------------------------------------------------------------------------------------


def far_from_ties(tensor, group_size, bits):
    """Whether no quotient of the tensor's groups along its last axis is within 1e-3 of a tie."""
    grouped = tensor.double().reshape(len(tensor), -1, group_size)
    low = grouped.amin(-1, keepdim=True)
    step = (grouped.amax(-1, keepdim=True) - low) / (2**bits - 1)
    quotient = (grouped - low) / torch.where(step > 0, step, torch.ones_like(step))
    return bool((((quotient - quotient.floor()) - 0.5).abs() > 1e-3).all())


def cache(generator, tokens, channels, bits, group_size, value_channels=None):
    """Keys with an offset channel, and values, away from ties."""
    while True:
        keys, values = randn(generator, tokens, channels), randn(generator, tokens, value_channels or channels) * 3
        keys[:, 1] += 20
        if far_from_ties(keys.T, group_size, bits) and far_from_ties(values, group_size, bits):
            return keys, values


def same_cache(got, want, given):
    """Compare both, within a few units in the last place of the largest magnitude of each."""
    for restored, wanted, before in zip(pair(got), want, given, strict=True):
        same(restored, wanted, within(2.0**-20 * float(before.abs().max())))


class TestQuantizeKv:
    @main
    @pytest.mark.parametrize(("bits", "group_size"), [(2, 4), (3, 8), (1, 2)], ids=["2 bits", "3 bits", "1 bit"])
    def test_keys_by_channel_values_by_token(self, student, reference, generator, bits, group_size):
        """Keys in groups of tokens within a channel, values in groups of channels within a token."""
        made = cache(generator, 16, 8, bits, group_size)
        want = reference.quantize_kv(*made, bits, group_size)
        same_cache(student.quantize_kv(*made, bits, group_size), want, made)

    def test_two_bits_in_groups_of_32(self, student, reference, generator):
        """The defaults."""
        made = cache(generator, 32, 32, 2, 32)
        same_cache(student.quantize_kv(*made), reference.quantize_kv(*made), made)

    def test_other_widths(self, student, reference, generator):
        """Only the tokens of keys and the channels of values have to be whole groups."""
        keys, _ = cache(generator, 12, 5, 2, 4, 4)
        _, values = cache(generator, 8, 4, 2, 4)
        made = keys, values[:7]
        same_cache(student.quantize_kv(*made, 2, 4), reference.quantize_kv(*made, 2, 4), made)

    def test_constant_groups(self, student):
        """A group of one value comes back exactly."""
        keys, values = torch.full((4, 2), 7.3), torch.full((4, 4), -0.1)
        same(pair(student.quantize_kv(keys, values, 2, 4)), (keys, values))

    def test_eight_bits(self, student, reference, generator):
        """Codes up to 255."""
        made = cache(generator, 8, 8, 8, 4)
        same_cache(student.quantize_kv(*made, 8, 4), reference.quantize_kv(*made, 8, 4), made)

    @pytest.mark.parametrize(
        ("keys", "values"), [((6, 8), (8, 8)), ((8, 8), (8, 6)), ((8, 6), (6, 6))], ids=["keys", "values", "both"]
    )
    def test_refuses_groups_that_do_not_fit(self, student, generator, keys, values):
        """The group size divides the tokens of keys and the channels of values, or nothing is done."""
        with raises(ValueError):
            student.quantize_kv(randn(generator, *keys), randn(generator, *values), 2, 4)

    def test_any_strides(self, student, reference, generator):
        """The strides of both do not matter."""
        made = tuple(one.t().contiguous().t() for one in cache(generator, 8, 8, 2, 4))
        same_cache(student.quantize_kv(*made, 2, 4), reference.quantize_kv(*made, 2, 4), made)


# Sensitivity ------------------------------------------------------------------------------------------------------------


def scored(toy, generator, **keywords):
    """A builder of a toy, and an evaluator that tells how close a model stays to it."""
    inputs = {"x": randn(generator, 6, 16)}
    return recipe(precisions.builder, toy, **keywords), recipe(precisions.fidelity, toy, inputs, **keywords)


SCORES = within(1e-7)  # the same model and the same evaluation; float64 means of float32 outputs
QTYPE = recipe(quantized_models.qtype, "qint2")


class TestLayerSensitivity:
    @main
    @pytest.mark.parametrize("args", [("qint2",), (), (QTYPE,)], ids=["qint2", "default", "by type"])
    def test_one_layer_at_a_time(self, student, reference, generator, args):
        """What is lost when only this layer is quantized, for each in order."""
        made = scored("mlp", generator, widths=[16, 32, 16, 16], seed=4)
        got, want = student.layer_sensitivity(*made, *args), reference.layer_sensitivity(*made, *args)
        same(got, want, SCORES, ordered=True)

    @pytest.mark.parametrize("toy", ["nested", "tied", "same_ending"])
    def test_qualified_names(self, student, reference, generator, toy):
        """Layers below others by their full names, tied ones too, and names that end alike; embeddings and norms are none."""
        made = recipe(precisions.builder, toy), recipe(parts.layers_evaluator)
        got, want = student.layer_sensitivity(*made, "qint2"), reference.layer_sensitivity(*made, "qint2")
        same(got, want, SCORES, ordered=True)

    def test_names_that_begin_alike(self, student, reference, generator):
        """layers.1 is not layers.10."""
        made = scored("mlp", generator, widths=[16] * 13, seed=2)
        got, want = student.layer_sensitivity(*made, "qint2"), reference.layer_sensitivity(*made, "qint2")
        same(got, want, SCORES, ordered=True)

    def test_convolutions_stay(self, student, reference, generator):
        """Only Linear layers are quantized and listed."""
        made = recipe(precisions.builder, "convolutional"), recipe(parts.layers_evaluator)
        got, want = student.layer_sensitivity(*made, "qint2"), reference.layer_sensitivity(*made, "qint2")
        same(got, want, SCORES, ordered=True)

    def test_models_are_told_apart(self, student, reference):
        """What the evaluator sees: one frozen layer of this qtype, no activations, the rest float."""
        made = recipe(precisions.builder, "mlp", widths=[16, 16, 16, 16]), recipe(parts.layers_evaluator)
        got, want = student.layer_sensitivity(*made, "qint4"), reference.layer_sensitivity(*made, "qint4")
        same(got, want, SCORES, ordered=True)

    @observed
    def test_one_build_and_one_evaluation_each(self, student):
        """One fresh model and one score for each layer, and one for the float model."""
        made = recipe(precisions.builder, "mlp", widths=[16, 16, 16, 16]), recipe(parts.layers_evaluator)
        same(student.probe(probes.calls_made, "layer_sensitivity", *made), [4, 4])
