"""Recognised mistakes of lesson 7: each gives a wrong answer of its own, and the sentence that its author should read."""

import copy
import math

import torch
from optimum import quanto
from torch import nn

from exercises.kit import groups
from graders.judge.contract import slip
from solutions.l7_quantization_methods import hadamard, perplexity, smooth_scales

# Perplexity -------------------------------------------------------------------------------------------------------------


def _parts(model, batches, shift=True, ignore=True, widen=True, evaluating=True):
    """The negative log-likelihoods of each batch's tokens."""
    modes = {module: module.training for module in model.modules()}
    if evaluating:
        model.eval()
    found = []
    try:
        with torch.no_grad():
            for batch in batches:
                logits, labels = model(**batch).logits, batch["labels"]
                if shift and not model.config.is_encoder_decoder:
                    logits, labels = logits[:, :-1], labels[:, 1:]
                counts = labels != -100 if ignore else torch.ones_like(labels, dtype=torch.bool)
                log_p = (logits[counts].float() if widen else logits[counts]).log_softmax(-1)
                found.append(-log_p.gather(-1, labels[counts].clamp(min=0).unsqueeze(-1)).double())
    finally:
        for module, training in modes.items():
            module.training = training
    if sum(map(len, found)) == 0:
        raise ValueError
    return found


@slip("perplexity", "batches hold different numbers of tokens: add up first and divide once, no mean of batch means")
def mean_of_batch_means(model, batches):
    means = [part.mean().item() for part in _parts(model, batches) if len(part)]
    return math.exp(sum(means) / len(means))


@slip("perplexity", "the mean comes before the exponential: no mean of the batches' perplexities")
def mean_of_perplexities(model, batches):
    each = [math.exp(part.mean().item()) for part in _parts(model, batches) if len(part)]
    return sum(each) / len(each)


@slip("perplexity", "logits at t of a decoder are for label t + 1: shift the labels")
def no_shift(model, batches):
    return torch.cat(_parts(model, batches, shift=False)).mean().exp().item()


@slip("perplexity", "an encoder-decoder's logits stand at their labels: shift only if not config.is_encoder_decoder")
def always_shifted(model, batches):
    kind, model.config.is_encoder_decoder = model.config.is_encoder_decoder, False
    try:
        return perplexity(model, batches)
    finally:
        model.config.is_encoder_decoder = kind


@slip("perplexity", "labels of -100 do not count")
def ignored_counted(model, batches):
    parts = _parts(model, batches)
    count = sum(batch["labels"].numel() for batch in batches)
    return math.exp(torch.cat(parts).sum().item() / count)


@slip("perplexity", "labels of -100 do not count")
def padding_as_a_token(model, batches):
    if not any((batch["labels"][:, 1:] != -100).any() for batch in batches):
        raise ValueError
    return torch.cat(_parts(model, batches, ignore=False)).mean().exp().item()


@slip("perplexity", "count the tokens after the shift: the first label of a decoder has no logits")
def counted_before_the_shift(model, batches):
    total = torch.cat(_parts(model, batches)).sum().item()
    return math.exp(total / sum(int((batch["labels"] != -100).sum()) for batch in batches))


@slip("perplexity", "take the log-softmax in float32: in 16 bits it is off by a percent")
def softmax_in_its_dtype(model, batches):
    return torch.cat(_parts(model, batches, widen=False)).mean().exp().item()


@slip("perplexity", "put the model in eval mode first: dropout is still on")
def in_training_mode(model, batches):
    return torch.cat(_parts(model, batches, evaluating=False)).mean().exp().item()


@slip("perplexity", "that is the loss; perplexity is e to it")
def only_the_loss(model, batches):
    return math.log(perplexity(model, batches))


@slip("perplexity", "perplexity is e to the mean, not 2 to it: log_softmax is in nats")
def two_to_the_loss(model, batches):
    return 2 ** math.log(perplexity(model, batches))


# Smoothing --------------------------------------------------------------------------------------------------------------


def _powers(a, w, alpha):
    return (a.clamp(min=1e-5) ** alpha / w.clamp(min=1e-5) ** (1 - alpha)).clamp(min=1e-5)


@slip("smooth_scales", "w_j is the largest magnitude of *column* j: the maximum goes over the rows, dim 0")
def maximum_of_rows(activation_max, weight, alpha=0.5):
    w = weight.abs().amax(1)
    return _powers(activation_max, w if len(w) == len(activation_max) else w[0].expand_as(activation_max), alpha)


@slip("smooth_scales", "alpha is the power of a, 1 - alpha that of w")
def alpha_on_the_weight(activation_max, weight, alpha=0.5):
    return _powers(activation_max, weight.abs().amax(0), 1 - alpha)


@slip("smooth_scales", "the weight's range is that of magnitudes: negative weights count")
def largest_weight_signed(activation_max, weight, alpha=0.5):
    return _powers(activation_max, weight.amax(0), alpha)


@slip("smooth_scales", "s divides the inputs: large where a is large; you have its reciprocal")
def reciprocal(activation_max, weight, alpha=0.5):
    return 1 / smooth_scales(activation_max, weight, alpha)


@slip("smooth_scales", "values below 1e-5 are raised to it; nothing is added to the others")
def eps_added(activation_max, weight, alpha=0.5):
    return (activation_max + 1e-5) ** alpha / (weight.abs().amax(0) + 1e-5) ** (1 - alpha)


@slip("smooth_scales", "a dead channel needs the floor of 1e-5 before the powers are taken")
def no_floor(activation_max, weight, alpha=0.5):
    return activation_max**alpha / weight.abs().amax(0) ** (1 - alpha)


@slip("smooth_scales", "the floor of 1e-5 is for a and w too, not for the result alone")
def floor_at_the_end_only(activation_max, weight, alpha=0.5):
    return (activation_max**alpha / weight.abs().amax(0) ** (1 - alpha)).clamp(min=1e-5)


@slip("smooth_scales", "the result has its floor of 1e-5 too")
def no_floor_at_the_end(activation_max, weight, alpha=0.5):
    return activation_max.clamp(min=1e-5) ** alpha / weight.abs().amax(0).clamp(min=1e-5) ** (1 - alpha)


def _smoothed(linear, s, weight):
    new = copy.deepcopy(linear)
    with torch.no_grad():
        new.weight.copy_(weight)
    return new, s


def _s(linear, inputs, alpha):
    return smooth_scales(inputs.abs().amax(0), linear.weight.detach(), alpha)


@slip("smooth", "the largest *magnitude* of the inputs counts: a negative outlier too")
def signed_maximum(linear, inputs, alpha=0.5):
    s = smooth_scales(inputs.amax(0), linear.weight.detach(), alpha)
    return _smoothed(linear, s, linear.weight * s)


@slip("smooth", "the weight is multiplied by s, the inputs are divided by it")
def weight_divided(linear, inputs, alpha=0.5):
    s = _s(linear, inputs, alpha)
    return _smoothed(linear, s, linear.weight / s)


@slip("smooth", "alpha is handed on to smooth_scales")
def alpha_forgotten(linear, inputs, alpha=0.5):
    s = _s(linear, inputs, 0.5)
    return _smoothed(linear, s, linear.weight * s)


@slip("smooth", "the layer that was given is changed: copy it first")
def smoothed_in_place(linear, inputs, alpha=0.5):
    s = _s(linear, inputs, alpha)
    with torch.no_grad():
        linear.weight *= s
    return linear, s


@slip("smooth", "the bias stays: it is added after the product")
def bias_lost(linear, inputs, alpha=0.5):
    s = _s(linear, inputs, alpha)
    new = nn.Linear(linear.in_features, linear.out_features, bias=False)
    with torch.no_grad():
        new.weight.copy_(linear.weight * s)
    return new, s


@slip("smooth", "a_j is the largest magnitude over the tokens, not the mean")
def mean_magnitude(linear, inputs, alpha=0.5):
    s = smooth_scales(inputs.abs().mean(0), linear.weight.detach(), alpha)
    return _smoothed(linear, s, linear.weight * s)


def _equalized(first, second, scales, bias=True):
    first, second = copy.deepcopy(first), copy.deepcopy(second)
    with torch.no_grad():
        r1, r2 = first.weight.abs().amax(1), second.weight.abs().amax(0)
        s = torch.where((r1 > 0) & (r2 > 0), scales(r1, r2), 1.0)
        first.weight /= s.unsqueeze(1)
        if first.bias is not None and bias:
            first.bias /= s
        second.weight *= s
    return first, second


@slip("equalize", "the function stays with r1 / r2 too, but the ranges change places: take the root")
def no_root(first, second):
    return _equalized(first, second, lambda r1, r2: r1 / r2)


@slip("equalize", "the first layer's bias is divided by s as its row is")
def bias_not_divided(first, second):
    return _equalized(first, second, lambda r1, r2: (r1 / r2).sqrt(), bias=False)


@slip("equalize", "√(r1 r2) is the new range, not s: divide it by r2")
def the_range_as_factor(first, second):
    return _equalized(first, second, lambda r1, r2: (r1 * r2).sqrt())


@slip("equalize", "s is upside down: the first layer's row is *divided* by √(r1 r2) / r2")
def upside_down(first, second):
    return _equalized(first, second, lambda r1, r2: (r2 / r1).sqrt())


@slip("equalize", "where one of the ranges is 0 the factor is 1, or the result is nan or inf")
def zero_ranges_divided(first, second):
    first, second = copy.deepcopy(first), copy.deepcopy(second)
    with torch.no_grad():
        r1, r2 = first.weight.abs().amax(1), second.weight.abs().amax(0)
        s = (r1 * r2).sqrt() / r2
        first.weight /= s.unsqueeze(1)
        if first.bias is not None:
            first.bias /= s
        second.weight *= s
    return first, second


@slip("equalize", "r1 is the range of the weight's row; the bias is not counted")
def bias_in_the_range(first, second):
    if first.bias is None:
        return _equalized(first, second, lambda r1, r2: (r1 / r2).sqrt())
    largest = torch.maximum(first.weight.abs().amax(1), first.bias.abs()).detach()
    return _equalized(first, second, lambda _, r2: (largest / r2).sqrt())


# GPTQ -------------------------------------------------------------------------------------------------------------------


def _tokens(batches):
    found = [batch.reshape(-1, batch.shape[-1]) for batch in batches]
    if sum(map(len, found)) == 0:
        raise ValueError
    return [x for x in found if len(x)]


@slip("input_hessian", "batches hold different numbers of tokens: no mean of the batches' means")
def mean_of_means(batches):
    each = [x.double().T @ x.double() / len(x) for x in _tokens(batches)]
    return sum(each) / len(each)


@slip("input_hessian", "divide by the number of tokens, not of batches")
def divided_by_batches(batches):
    return sum(x.double().T @ x.double() for x in _tokens(batches)) / len(batches)


@slip("input_hessian", "divide the sum by the number of tokens")
def not_divided(batches):
    return sum(x.double().T @ x.double() for x in _tokens(batches))


@slip("input_hessian", "GPTQ's own code has a factor 2 there; here it is left out")
def factor_two(batches):
    tokens = _tokens(batches)
    return 2 * sum(x.double().T @ x.double() for x in tokens) / sum(map(len, tokens))


@slip("input_hessian", "widen to float64 before the product: in the inputs' dtype it rounds, or overflows")
def widened_after(batches):
    tokens = _tokens(batches)
    return sum((x.T @ x).double() for x in tokens) / sum(map(len, tokens))


@slip("input_hessian", "xᵀx is (in, in): a row of x is a token")
def x_times_itself_elementwise(batches):
    tokens = _tokens(batches)
    return torch.diag(sum(x.double().square().sum(0) for x in tokens) / sum(map(len, tokens)))


def _gptq(weight, hessian, bits, damp, factor=None, propagate=True, squared=False, clamp=True, dead_first=True, **odd):
    w, h, top = weight.double().clone(), hessian.clone(), 2 ** (bits - 1) - odd.get("off", 1)
    dead = h.diagonal() == 0
    if odd.get("late_scales"):
        w[:, dead] = 0
    scales = w.abs().amax(1, keepdim=True) / top
    scales = torch.where(scales > 0, scales, 1.0)
    mean = h.diagonal().mean().clone()
    h.diagonal()[dead] = 1.0
    if not odd.get("dead_kept"):
        w[:, dead] = 0.0
    h.diagonal().add_(damp * (h.diagonal().mean() if dead_first else mean) if not odd.get("plain_damp") else damp)
    u = (factor or (lambda h: torch.linalg.cholesky(torch.linalg.inv(h), upper=True)))(h)
    codes = torch.zeros_like(w, dtype=torch.int8)
    for i in range(w.shape[1]):
        rounded = torch.round(w[:, i : i + 1] / scales)
        q = rounded.clamp(-top, top) if clamp else rounded
        made_up_for = rounded if odd.get("early_error") else q
        error = (w[:, i : i + 1] - made_up_for * scales) / (u[i, i] ** 2 if squared else u[i, i])
        if propagate:
            w[:, i:] -= error * u[i, i:]
        codes[:, i] = q[:, 0].to(torch.int8)
    return codes, scales


@slip(
    "gptq_quantize_layer",
    "that is rounding to nearest: row i of the *upper* factor says how the columns to come make up for the error",
)
def no_propagation(weight, hessian, bits, damp=0.01):
    return _gptq(weight, hessian, bits, damp, propagate=False)


@slip(
    "gptq_quantize_layer",
    "that is rounding to nearest: row i of the *upper* factor says how the columns to come make up for the error",
)
def lower_factor(weight, hessian, bits, damp=0.01):
    return _gptq(weight, hessian, bits, damp, lambda h: torch.linalg.cholesky(torch.linalg.inv(h)))


@slip(
    "gptq_quantize_layer",
    "factor the inverse, H⁻¹ = Uᵀ U; the inverse of H's own factor is another matrix, of U Uᵀ = H⁻¹",
)
def inverse_of_the_factor(weight, hessian, bits, damp=0.01):
    return _gptq(weight, hessian, bits, damp, lambda h: torch.linalg.inv(torch.linalg.cholesky(h)).T)


@slip("gptq_quantize_layer", "factor the inverse of H, not H")
def factor_of_h(weight, hessian, bits, damp=0.01):
    return _gptq(weight, hessian, bits, damp, lambda h: torch.linalg.cholesky(h, upper=True))


@slip("gptq_quantize_layer", "the update needs the Cholesky factor of the inverse, not the inverse itself")
def the_inverse_itself(weight, hessian, bits, damp=0.01):
    return _gptq(weight, hessian, bits, damp, torch.linalg.inv)


@slip("gptq_quantize_layer", "the error is divided by U_ii once: U is a factor already")
def divided_twice(weight, hessian, bits, damp=0.01):
    return _gptq(weight, hessian, bits, damp, squared=True)


@slip("gptq_quantize_layer", "codes end at ±(2^(bits-1) - 1), however far a column was moved")
def codes_run_over(weight, hessian, bits, damp=0.01):
    return _gptq(weight, hessian, bits, damp, clamp=False)


@slip("gptq_quantize_layer", "the error is that of the code that is kept: clamp it first")
def error_before_the_clamp(weight, hessian, bits, damp=0.01):
    return _gptq(weight, hessian, bits, damp, early_error=True)


@slip("gptq_quantize_layer", "dead inputs get H_jj = 1 first; the mean of the diagonal is taken after that")
def mean_before_the_ones(weight, hessian, bits, damp=0.01):
    return _gptq(weight, hessian, bits, damp, dead_first=False)


@slip("gptq_quantize_layer", "scales are of the weight as given: columns of dead inputs count")
def scales_after_the_dead(weight, hessian, bits, damp=0.01):
    return _gptq(weight, hessian, bits, damp, late_scales=True)


@slip("gptq_quantize_layer", "the weights of dead inputs become 0")
def dead_weights_kept(weight, hessian, bits, damp=0.01):
    return _gptq(weight, hessian, bits, damp, dead_kept=True)


@slip("gptq_quantize_layer", "what is added is damp times the *mean of the diagonal*")
def damp_as_it_is(weight, hessian, bits, damp=0.01):
    return _gptq(weight, hessian, bits, damp, plain_damp=True)


@slip("gptq_quantize_layer", "the largest code of b bits is 2^(b-1) - 1: 7 of 4 bits")
def one_code_more(weight, hessian, bits, damp=0.01):
    return _gptq(weight, hessian, bits, damp, off=0)


@slip("awq_scales", "x̄ is the mean of magnitudes over tokens, not the largest")
def largest_magnitudes(weight, inputs, bits=4, group_size=16, grid=20):
    return _awq(weight, inputs, bits, group_size, grid, inputs.abs().amax(0))


def _awq(weight, inputs, bits, group_size, grid, mean, first=0, error=None, normalise=True):
    mean, found = mean.clamp(min=1e-4), []
    wanted = inputs @ weight.T
    for i in range(first, grid + first):
        s = mean ** (i / grid)
        s = s / (s.max() * s.min()).sqrt() if normalise else s
        restored = groups.symmetric(weight * s, group_size, bits)
        got = error(s, restored) if error else ((inputs / s) @ restored.T - wanted).double().square().sum().item()
        found.append((got, i, s))
    return min(found)[2]


@slip("awq_scales", "the weights' error alone does not choose well: it is the output's, with the inputs in it")
def error_of_the_weights(weight, inputs, bits=4, group_size=16, grid=20):
    def error(s, restored):
        return (restored / s - weight).square().sum().item()

    return _awq(weight, inputs, bits, group_size, grid, inputs.abs().mean(0), error=error)


@slip("awq_scales", "the inputs are divided by s: otherwise the two products are not comparable")
def inputs_not_divided(weight, inputs, bits=4, group_size=16, grid=20):
    def error(s, restored):
        return (inputs @ restored.T - inputs @ weight.T).square().sum().item()

    return _awq(weight, inputs, bits, group_size, grid, inputs.abs().mean(0), error=error)


@slip("awq_scales", "s is divided by √(max s · min s) before it is used")
def not_normalised(weight, inputs, bits=4, group_size=16, grid=20):
    return _awq(weight, inputs, bits, group_size, grid, inputs.abs().mean(0), normalise=False)


@slip("awq_scales", "i goes from 0 to grid - 1: 0 changes nothing and has to be among the candidates")
def from_one_to_grid(weight, inputs, bits=4, group_size=16, grid=20):
    return _awq(weight, inputs, bits, group_size, grid, inputs.abs().mean(0), first=1)


@slip("awq_scales", "the mean is that of magnitudes")
def signed_mean(weight, inputs, bits=4, group_size=16, grid=20):
    return _awq(weight, inputs, bits, group_size, grid, inputs.mean(0).abs())


# Rotation ---------------------------------------------------------------------------------------------------------------


def _refuse(n):
    if n < 1 or n & (n - 1):
        raise ValueError


def _bits_reversed(n):
    width = n.bit_length() - 1
    return [int(format(i, f"0{width}b")[::-1], 2) if width else 0 for i in range(n)]


@slip("hadamard", "divide by √n: H Hᵀ has to be I")
def entries_of_one(n):
    _refuse(n)
    return hadamard(n) * math.sqrt(n)


@slip("hadamard", "divide by √n, not by n")
def divided_by_n(n):
    _refuse(n)
    return hadamard(n) / math.sqrt(n)


@slip("hadamard", "the rows are Sylvester's, in the order in which [[H, H], [H, -H]] makes them")
def rows_reversed_in_bits(n):
    _refuse(n)
    return hadamard(n)[_bits_reversed(n)]


@slip("hadamard", "the minus stands at the bottom right: [[H, H], [H, -H]]")
def minus_at_the_top(n):
    _refuse(n)
    h = torch.ones(1, 1)
    while len(h) < n:
        h = torch.cat([torch.cat([-h, h], 1), torch.cat([h, h], 1)])
    return h / math.sqrt(n)


@slip(
    "fast_hadamard", "sum and difference stay in their own places, i and i + d: side by side the order is bit-reversed"
)
def side_by_side(x):
    n = x.shape[-1]
    return (x.reshape(-1, n).double() @ hadamard(n).double()[:, _bits_reversed(n)]).to(x.dtype).reshape(x.shape)


@slip("fast_hadamard", "divide by √n in the end, or by √2 in each stage")
def never_divided(x):
    return x @ (hadamard(x.shape[-1]) * math.sqrt(x.shape[-1])).to(x.dtype)


@slip("fast_hadamard", "each stage divides by √2, not by 2")
def halved_in_each_stage(x):
    return x @ (hadamard(x.shape[-1]) / math.sqrt(x.shape[-1])).to(x.dtype)


@slip("fast_hadamard", "x is changed: work on a copy")
def butterflies_in_place(x):
    rows = x.view(-1, x.shape[-1]) if x.is_contiguous() else x
    result = rows @ hadamard(x.shape[-1]).to(x.dtype)
    rows.copy_(result)
    return rows.reshape(x.shape)


@slip("fast_hadamard", "the difference is first minus second")
def difference_reversed(x):
    n, d, y = x.shape[-1], 1, x
    while d < n:
        a, b = y.reshape(-1, n // (2 * d), 2, d).unbind(2)
        y, d = torch.stack([a + b, b - a], 2), 2 * d
    return y.reshape(x.shape) / math.sqrt(n)


def _turned(linear, weight):
    new = copy.deepcopy(linear)
    with torch.no_grad():
        new.weight.copy_(weight)
    return new


@slip("rotate", "H stands on the side of the inputs: W H, not H W")
def rotated_from_the_left(linear):
    _refuse(linear.in_features)
    h = hadamard(linear.in_features).to(linear.weight.dtype)
    out = linear.out_features
    turned = hadamard(out).to(h.dtype) @ linear.weight if out & (out - 1) == 0 else linear.weight @ -h
    return _turned(linear, turned)


@slip("rotate", "the layer that was given is changed: copy it first")
def rotated_in_place(linear):
    with torch.no_grad():
        linear.weight.copy_(linear.weight @ hadamard(linear.in_features).to(linear.weight.dtype))
    return linear


@slip("rotate", "the bias stays: the outputs are not rotated")
def rotated_without_bias(linear):
    new = nn.Linear(linear.in_features, linear.out_features, bias=False, dtype=linear.weight.dtype)
    with torch.no_grad():
        new.weight.copy_(linear.weight @ hadamard(linear.in_features).to(linear.weight.dtype))
    return new


@slip("rotate", "use the matrix with entries ±1/√n, or the outputs grow")
def rotated_by_ones(linear):
    h = hadamard(linear.in_features) * math.sqrt(linear.in_features)
    return _turned(linear, linear.weight @ h.to(linear.weight.dtype))


# The cache --------------------------------------------------------------------------------------------------------------


@slip("quantize_kv", "keys are grouped along the tokens, within a channel")
def both_by_token(keys, values, bits=2, group_size=32):
    if len(keys) % group_size:
        raise ValueError
    width = keys.shape[1]
    own = group_size if width % group_size == 0 else width
    return groups.affine(keys, own, bits), groups.affine(values, group_size, bits)


@slip("quantize_kv", "values are grouped along the channels, within a token")
def both_by_channel(keys, values, bits=2, group_size=32):
    if values.shape[1] % group_size:
        raise ValueError
    count = len(values)
    own = group_size if count % group_size == 0 else count
    return groups.affine(keys.T, group_size, bits).T, groups.affine(values.T, own, bits).T


@slip("quantize_kv", "it is the other way round: keys within a channel, values within a token")
def the_other_way_round(keys, values, bits=2, group_size=32):
    both_by_token(keys, values, bits, group_size)
    return both_by_token(keys, values, bits, group_size)[0], both_by_channel(keys, values, bits, group_size)[1]


@slip("quantize_kv", "groups have a minimum of their own: with a symmetric scale an offset takes all the codes")
def symmetric_codes(keys, values, bits=2, group_size=32):
    bits = max(bits, 2)
    return groups.symmetric(keys.T, group_size, bits).T, groups.symmetric(values, group_size, bits)


@slip("quantize_kv", "keys come back in their own shape: transpose them again")
def keys_left_transposed(keys, values, bits=2, group_size=32):
    return groups.affine(keys.T, group_size, bits), groups.affine(values, group_size, bits)


# Sensitivity ------------------------------------------------------------------------------------------------------------


def _linears(model):
    return [name for name, module in model.named_modules() if isinstance(module, nn.Linear)]


def _lost(build, evaluate, weights, change):
    model = build()
    names, baseline = _linears(model), evaluate(model)
    lost = {}
    for name in names:
        model = build()
        change(model, name, weights, names)
        quanto.freeze(model)
        lost[name] = baseline - evaluate(model)
    return lost


@slip("layer_sensitivity", "only this layer is quantized; you quantized all the others")
def all_but_this(build, evaluate, weights="qint4"):
    return _lost(build, evaluate, weights, lambda m, name, w, _: quanto.quantize(m, weights=w, exclude=name))


@slip("layer_sensitivity", "lost is float minus quantized: positive where quantization hurts")
def sign_reversed(build, evaluate, weights="qint4"):
    included = _lost(build, evaluate, weights, lambda m, name, w, _: quanto.quantize(m, weights=w, include=name))
    return {name: -value for name, value in included.items()}


@slip("layer_sensitivity", "each layer is quantized in a fresh model; yours stay quantized from one to the next")
def one_model_for_all(build, evaluate, weights="qint4"):
    model = build()
    baseline, lost = evaluate(model), {}
    for name in _linears(model):
        quanto.quantize(model, weights=weights, include=name)
        quanto.freeze(model)
        lost[name] = baseline - evaluate(model)
    return lost


@slip("layer_sensitivity", "the score itself is not what is lost: subtract it from the float model's")
def scores_themselves(build, evaluate, weights="qint4"):
    lost = _lost(build, evaluate, weights, lambda m, name, w, _: quanto.quantize(m, weights=w, include=name))
    baseline = evaluate(build())
    return {name: baseline - value for name, value in lost.items()}


@slip("layer_sensitivity", "freeze the model before it is scored")
def never_frozen(build, evaluate, weights="qint4"):
    model = build()
    names, baseline, lost = _linears(model), evaluate(model), {}
    for name in names:
        model = build()
        quanto.quantize(model, weights=weights, include=name)
        lost[name] = baseline - evaluate(model)
    return lost


@slip("layer_sensitivity", "`weights` says which type: it is not always qint4")
def always_qint4(build, evaluate, weights="qint4"):
    return _lost(build, evaluate, "qint4", lambda m, name, w, _: quanto.quantize(m, weights=w, include=name))


@slip("layer_sensitivity", "weights alone are quantized, no activations")
def activations_too(build, evaluate, weights="qint4"):
    def change(model, name, weights, names):
        others = [other for other, _ in model.named_modules() if other not in (name, "")]
        quanto.quantize(model, weights=weights, activations="qint8", exclude=others)

    return _lost(build, evaluate, weights, change)


@slip("layer_sensitivity", "layers are named in full, as named_modules() does")
def leaf_names(build, evaluate, weights="qint4"):
    lost = _lost(build, evaluate, weights, lambda m, name, w, _: quanto.quantize(m, weights=w, include=name))
    return {name.rpartition(".")[2]: value for name, value in lost.items()}
