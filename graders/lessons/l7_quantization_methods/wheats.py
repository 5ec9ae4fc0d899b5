"""Honest right variants of lesson 7, in other styles than the reference: none of them may be refused."""

import copy
import fnmatch
import itertools
import math

import numpy
import torch
import torch.nn.functional as F
from optimum import quanto
from torch import nn

from graders.judge.contract import wheat

# Perplexity -------------------------------------------------------------------------------------------------------------


@wheat("perplexity")
def perplexity_by_cross_entropy(model, batches):
    was = [(module, module.training) for module in model.modules()]
    model.train(False)
    sums = []
    try:
        with torch.inference_mode():
            for batch in batches:
                logits = model(**batch).logits.float()
                labels = batch["labels"]
                if not model.config.is_encoder_decoder:
                    logits, labels = logits[..., :-1, :], labels[..., 1:]
                loss = F.cross_entropy(logits.transpose(1, 2), labels, ignore_index=-100, reduction="none")
                sums.append((loss.double().sum().item(), (labels != -100).sum().item()))
    finally:
        for module, training in was:
            module.training = training
    count = sum(n for _, n in sums)
    if not count:
        raise ValueError("no tokens")
    return math.exp(math.fsum(total for total, _ in sums) / count)


@wheat("perplexity")
def perplexity_in_numpy(model, batches):
    modes = {name: module.training for name, module in model.named_modules()}
    losses = []
    try:
        for module in model.modules():
            module.training = False
        for batch in batches:
            with torch.no_grad():
                logits = model(**batch).logits.float().numpy().astype(numpy.float64)
            labels = batch["labels"].numpy()
            shift = 0 if model.config.is_encoder_decoder else 1
            for row in range(len(labels)):
                for t in range(shift, labels.shape[1]):
                    if labels[row, t] != -100:
                        z = logits[row, t - shift]
                        losses.append(numpy.log(numpy.exp(z - z.max()).sum()) + z.max() - z[labels[row, t]])
    finally:
        for name, module in model.named_modules():
            module.training = modes[name]
    if not losses:
        raise ValueError
    return float(numpy.exp(numpy.mean(losses)))


@wheat("perplexity")
def perplexity_with_moved_labels(model, batches):
    modes = [module.training for module in model.modules()]
    total = torch.zeros((), dtype=torch.float64)
    count = 0
    try:
        model.eval()
        for batch in batches:
            with torch.no_grad():
                output = model(**batch)
            labels = batch["labels"]
            if not model.config.is_encoder_decoder:
                labels = torch.cat([labels[:, 1:], torch.full_like(labels[:, :1], -100)], dim=1)
            mask = (labels >= 0).double()
            picked = F.log_softmax(output.logits.float(), -1).double().gather(2, labels.clamp(min=0)[..., None])[..., 0]
            total -= (picked * mask).sum()
            count += int(mask.sum())
    finally:
        for module, training in zip(model.modules(), modes, strict=True):
            module.training = training
    if count == 0:
        raise ValueError("empty")
    return float((total / count).exp())


# Smoothing --------------------------------------------------------------------------------------------------------------


@wheat("smooth_scales")
def scales_in_float64(activation_max, weight, alpha=0.5):
    a = activation_max.double().clamp(min=1e-5)
    w = weight.double().abs().max(dim=0).values.clamp(min=1e-5)
    return torch.clamp(a.pow(alpha) / w.pow(1 - alpha), min=1e-5).float()


@wheat("smooth_scales")
def scales_by_logarithms(activation_max, weight, alpha=0.5):
    floor = torch.tensor(1e-5)
    a, w = torch.maximum(activation_max, floor), torch.maximum(weight.abs().max(0)[0], floor)
    return torch.maximum(torch.exp(alpha * a.log() - (1 - alpha) * w.log()), floor)


@wheat("smooth_scales")
def scales_one_by_one(activation_max, weight, alpha=0.5):
    found = []
    for j, a in enumerate(activation_max.tolist()):
        w = max(max(abs(value) for value in weight[:, j].tolist()), 1e-5)
        found.append(max(max(a, 1e-5) ** alpha * w ** (alpha - 1), 1e-5))
    return torch.tensor(found)


@wheat("smooth")
def smoothed_by_a_new_layer(linear, inputs, alpha=0.5):
    with torch.no_grad():
        s = scales_in_float64(inputs.abs().max(dim=0).values, linear.weight, alpha)
        new = nn.Linear(linear.in_features, linear.out_features, linear.bias is not None)
        new.weight.copy_(linear.weight * s[None, :])
        if linear.bias is not None:
            new.bias.copy_(linear.bias)
    return new, s


@wheat("smooth")
def smoothed_by_a_diagonal(linear, inputs, alpha=0.5):
    a = torch.maximum(inputs.amax(0), -inputs.amin(0))
    s = scales_by_logarithms(a, linear.weight.detach(), alpha)
    new = copy.deepcopy(linear)
    new.weight.data = linear.weight.data @ torch.diag(s)
    return new, s


@wheat("smooth")
def smoothed_as_parameter(linear, inputs, alpha=0.5):
    s = scales_one_by_one(inputs.abs().amax(0), linear.weight, alpha)
    new = copy.deepcopy(linear)
    new.weight = nn.Parameter((linear.weight.double() * s.double()).float())
    return (new, nn.Parameter(s))


def _range_factors(first, second):
    r1, r2 = first.weight.abs().amax(1), second.weight.abs().amax(0)
    return torch.where((r1 > 0) & (r2 > 0), torch.sqrt(r1) / torch.sqrt(r2), torch.ones_like(r1)).detach()


@wheat("equalize")
def equalized_by_new_layers(first, second):
    s = _range_factors(first, second)
    with torch.no_grad():
        one = nn.Linear(first.in_features, first.out_features, bias=first.bias is not None)
        two = nn.Linear(second.in_features, second.out_features, bias=second.bias is not None)
        one.weight.copy_(first.weight / s[:, None])
        two.weight.copy_(second.weight * s)
        if first.bias is not None:
            one.bias.copy_(first.bias / s)
        if second.bias is not None:
            two.bias.copy_(second.bias)
    return one, two


@wheat("equalize")
def equalized_row_by_row(first, second):
    first, second = copy.deepcopy(first), copy.deepcopy(second)
    for i in range(first.out_features):
        r1, r2 = first.weight.data[i].abs().max().item(), second.weight.data[:, i].abs().max().item()
        s = math.sqrt(r1 * r2) / r2 if r1 and r2 else 1.0
        first.weight.data[i] /= s
        second.weight.data[:, i] *= s
        if first.bias is not None:
            first.bias.data[i] /= s
    return [first, second][0], second


@wheat("equalize")
def equalized_in_float64(first, second):
    r1, r2 = first.weight.detach().double().abs().amax(1), second.weight.detach().double().abs().amax(0)
    s = (r1 / r2).sqrt()
    s[~s.isfinite() | (s == 0)] = 1.0
    new = copy.deepcopy(first), copy.deepcopy(second)
    new[0].weight = nn.Parameter((first.weight.double() * (1 / s)[:, None]).float())
    new[1].weight = nn.Parameter((second.weight.double() * s).float())
    if first.bias is not None:
        new[0].bias = nn.Parameter((first.bias.double() / s).float())
    return new


# GPTQ -------------------------------------------------------------------------------------------------------------------


@wheat("input_hessian")
def hessian_by_einsum(batches):
    total, count = None, 0
    for batch in batches:
        x = batch.to(torch.float64).flatten(0, -2) if batch.dim() > 1 else batch.double()[None]
        part = torch.einsum("ti,tj->ij", x, x)
        total = part if total is None else total + part
        count += x.shape[0]
    if not count:
        raise ValueError("no tokens")
    return total / count


@wheat("input_hessian")
def hessian_of_all_at_once(batches):
    if sum(batch.numel() for batch in batches) == 0:
        raise ValueError
    x = torch.cat([batch.reshape(-1, batch.size(-1)).double() for batch in batches]) / 1.0
    root = x / math.sqrt(len(x))
    return root.T @ root


@wheat("input_hessian")
def hessian_in_numpy(batches):
    rows = [batch.double().numpy().reshape(-1, batch.shape[-1]) for batch in batches]
    rows = numpy.concatenate(rows) if rows else numpy.zeros((0, 1))
    if not len(rows):
        raise ValueError
    return torch.from_numpy(sum(numpy.outer(row, row) for row in rows) / len(rows))


def _prepared(weight, hessian, bits, damp):
    w = weight.detach().to(torch.float64).clone()
    h = hessian.to(torch.float64).clone()
    top = 2 ** (bits - 1) - 1
    scales = w.abs().max(1, keepdim=True).values / top
    scales[scales == 0] = 1.0
    for j in range(len(h)):
        if h[j, j] == 0:
            h[j, j], w[:, j] = 1.0, 0.0
    return w, h + damp * h.diagonal().mean() * torch.eye(len(h), dtype=h.dtype), scales, top


@wheat("gptq_quantize_layer")
def gptq_by_elimination(weight, hessian, bits, damp=0.01):
    """Optimal Brain Quantization in a fixed order: a row of the inverse, then one step of Gauss on the inverse."""
    w, h, scales, top = _prepared(weight, hessian, bits, damp)
    inverse = torch.linalg.inv(h)
    codes = torch.zeros(w.shape, dtype=torch.int8)
    for i in range(w.shape[1]):
        q = (w[:, [i]] / scales).round().clamp(-top, top)
        codes[:, [i]] = q.to(torch.int8)
        w = w - (w[:, [i]] - q * scales) / inverse[i, i] * inverse[i]
        inverse = inverse - torch.outer(inverse[:, i], inverse[i]) / inverse[i, i]
        inverse[i, i] = 1.0
    return codes, scales


@wheat("gptq_quantize_layer")
def gptq_by_cholesky_inverse(weight, hessian, bits, damp=0.01):
    w, h, scales, top = _prepared(weight, hessian, bits, damp)
    u = torch.linalg.cholesky(torch.cholesky_inverse(torch.linalg.cholesky(h))).mT
    restored = torch.zeros_like(w)
    for i in range(w.shape[1]):
        restored[:, i] = torch.clamp(torch.round(w[:, i] / scales[:, 0]), -top, top) * scales[:, 0]
        e = (w[:, i] - restored[:, i]) / u[i, i]
        w[:, i + 1 :] -= e[:, None] @ u[i : i + 1, i + 1 :]
    return torch.round(restored / scales).to(torch.int8), scales


@wheat("gptq_quantize_layer")
def gptq_row_by_row(weight, hessian, bits, damp=0.01):
    w, h, scales, top = _prepared(weight, hessian, bits, damp)
    u = numpy.linalg.cholesky(numpy.linalg.inv(h.numpy())).T
    codes = numpy.zeros(w.shape, dtype=numpy.int8)
    for row, s in enumerate(scales[:, 0].tolist()):
        left = w[row].numpy().copy()
        for i in range(len(left)):
            q = min(max(round(left[i] / s), -top), top)
            codes[row, i] = q
            left[i:] -= (left[i] - q * s) / u[i, i] * u[i, i:]
    return torch.from_numpy(codes), scales


@wheat("awq_scales")
def awq_in_float64(weight, inputs, bits=4, group_size=16, grid=20):
    if group_size < 1 or weight.shape[1] % group_size:
        raise ValueError("groups")
    x, w, top = inputs.double(), weight.double(), 2 ** (bits - 1) - 1
    mean, best = x.abs().mean(0).clamp(min=1e-4), (math.inf, None)
    for i in range(grid):
        s = mean.pow(i / grid)
        s = s / torch.sqrt(s.max() * s.min())
        g = (w * s).unflatten(1, (-1, group_size))
        step = g.abs().amax(2, keepdim=True) / top
        q = torch.where(step > 0, (g / step).round().clamp(-top, top), 0.0) * step
        error = float(((x / s) @ q.flatten(1).T - x @ w.T).pow(2).sum())
        if error < best[0]:
            best = error, s
    return best[1].float()


@wheat("awq_scales")
def awq_by_mean_error(weight, inputs, bits=4, group_size=16, grid=20):
    if group_size <= 0 or weight.size(1) % group_size != 0:
        raise ValueError
    top = 2 ** (bits - 1) - 1
    mean = torch.maximum(inputs.abs().mean(0), torch.tensor(1e-4))
    tried = []
    for ratio in [i / grid for i in range(grid)]:
        s = torch.exp(ratio * mean.log())
        s = s / (s.max().sqrt() * s.min().sqrt())
        parts = []
        for part in (weight * s).split(group_size, dim=1):
            step = part.abs().amax(1, keepdim=True).clamp(min=1e-30) / top
            parts.append(torch.clamp(torch.round(part / step), -top, top) * step)
        difference = (inputs / s) @ torch.cat(parts, 1).T - inputs @ weight.T
        tried.append((float(difference.pow(2).mean()), s))
    return min(tried, key=lambda pair: pair[0])[1]


@wheat("awq_scales")
def awq_on_the_weights_side(weight, inputs, bits=4, group_size=16, grid=20):
    """The error from the Hessian of the inputs: tr(E H Eᵀ) with E = Q(W s) / s - W."""
    columns = weight.shape[1]
    if group_size < 1 or columns % group_size:
        raise ValueError
    h, top = inputs.double().T @ inputs.double(), 2 ** (bits - 1) - 1
    mean = inputs.abs().double().mean(0).clamp_min(1e-4)
    errors, factors = [], []
    for i in range(grid):
        s = mean ** (i / grid) / ((mean.max() * mean.min()) ** (i / grid)).sqrt()
        scaled = (weight * s).reshape(-1, group_size)
        step = scaled.abs().max(1, keepdim=True).values / top
        step[step == 0] = 1
        e = (scaled.div(step).round() * step).reshape(weight.shape) / s - weight
        errors.append(((e @ h) * e).sum().item())
        factors.append(s)
    return factors[int(numpy.argmin(errors))].to(torch.float32)


# Rotation ---------------------------------------------------------------------------------------------------------------


def _power(n):
    if n not in {2**k for k in range(20)}:
        raise ValueError(f"{n}")


@wheat("hadamard")
def hadamard_by_kron(n):
    _power(n)
    h = torch.ones(1, 1, dtype=torch.float64)
    two = torch.tensor([[1.0, 1.0], [1.0, -1.0]], dtype=torch.float64) / math.sqrt(2)
    while len(h) < n:
        h = torch.kron(h, two)
    return h.float()


@wheat("hadamard")
def hadamard_by_parity(n):
    _power(n)
    return torch.tensor([[1 - 2 * (bin(i & j).count("1") % 2) for j in range(n)] for i in range(n)]) * n**-0.5


@wheat("hadamard")
def hadamard_in_numpy(n):
    _power(n)
    h = numpy.array([[1]], dtype=numpy.float32)
    for _ in range(int(math.log2(n))):
        h = numpy.block([[h, h], [h, -h]])
    return torch.from_numpy(h / numpy.float32(math.sqrt(n)))


@wheat("fast_hadamard")
def fast_by_loops(x):
    y, n, d = x.clone(), x.shape[-1], 1
    while d < n:
        for start in range(0, n, 2 * d):
            for i in range(start, start + d):
                a, b = y[..., i].clone(), y[..., i + d].clone()
                y[..., i], y[..., i + d] = (a + b) / math.sqrt(2), (a - b) / math.sqrt(2)
        d *= 2
    return y


@wheat("fast_hadamard")
def fast_from_the_large_end(x):
    n = x.shape[-1]
    y, d = x.double(), n // 2
    while d:
        y = y.reshape(*x.shape[:-1], -1, 2, d)
        y = torch.cat([y[..., :1, :] + y[..., 1:, :], y[..., :1, :] - y[..., 1:, :]], dim=-2)
        d //= 2
    return (y.reshape(x.shape) * n**-0.5).to(x.dtype)


@wheat("fast_hadamard")
def fast_by_recursion(x):
    n = x.shape[-1]
    if n == 1:
        return x.clone()
    a, b = x[..., : n // 2], x[..., n // 2 :]
    return torch.cat([fast_by_recursion(a + b), fast_by_recursion(a - b)], -1) * 0.5**0.5


@wheat("rotate")
def rotated_by_butterflies(linear):
    _power(linear.in_features)
    new = copy.deepcopy(linear)
    new.weight = nn.Parameter(fast_by_recursion(linear.weight.detach()))
    return new


@wheat("rotate")
def rotated_in_float64(linear):
    new = nn.Linear(linear.in_features, linear.out_features, bias=linear.bias is not None, dtype=linear.weight.dtype)
    with torch.no_grad():
        new.weight.copy_(linear.weight.double() @ hadamard_by_kron(linear.in_features).double())
        if linear.bias is not None:
            new.bias.copy_(linear.bias)
    return new


@wheat("rotate")
def rotated_transposed(linear):
    h = hadamard_in_numpy(linear.in_features).to(linear.weight.dtype)
    new = copy.deepcopy(linear)
    new.weight.data.copy_((h.T @ linear.weight.data.T).T)
    return new


# The cache --------------------------------------------------------------------------------------------------------------


def _affine(matrix, size, bits):
    if size < 1 or matrix.shape[1] % size:
        raise ValueError
    parts = []
    for part in matrix.split(size, dim=1):
        low, high = part.min(1, keepdim=True).values, part.max(1, keepdim=True).values
        step = (high - low) / (2**bits - 1)
        parts.append(torch.where(step > 0, torch.round((part - low) / step.clamp(min=1e-30)), 0.0) * step + low)
    return torch.cat(parts, 1)


@wheat("quantize_kv")
def cache_in_parts(keys, values, bits=2, group_size=32):
    return _affine(keys.t(), group_size, bits).t(), _affine(values, group_size, bits)


@wheat("quantize_kv")
def cache_in_float64(keys, values, bits=2, group_size=32):
    restored = _affine(keys.double().T, group_size, bits).T, _affine(values.double(), group_size, bits)
    return restored[0].float().contiguous(), restored[1].float()


@wheat("quantize_kv")
def cache_without_transposing(keys, values, bits=2, group_size=32):
    if group_size < 1 or len(keys) % group_size or values.shape[1] % group_size:
        raise ValueError("groups")
    top = 2**bits - 1

    def along(tensor, dim):
        low, high = tensor.amin(dim, keepdim=True), tensor.amax(dim, keepdim=True)
        step = torch.where(high > low, (high - low) / top, 1.0)
        return low + ((tensor - low) / step).round() * step

    k = along(keys.reshape(-1, group_size, keys.shape[1]), 1).reshape(keys.shape)
    return k, along(values.reshape(len(values), -1, group_size), 2).reshape(values.shape)


# Sensitivity ------------------------------------------------------------------------------------------------------------


@wheat("layer_sensitivity")
def sensitivity_by_exclusion(build, evaluate, weights="qint4"):
    float_model = build()
    everything = [name for name, _ in float_model.named_modules() if name]
    linears = [name for name, module in float_model.named_modules() if isinstance(module, nn.Linear)]
    score = evaluate(float_model)
    result = {}
    for name in linears:
        one = build()
        quanto.quantize(one, weights=weights, exclude=[other for other in everything if other != name])
        quanto.freeze(one)
        result[name] = score - evaluate(one)
    return result


@wheat("layer_sensitivity")
def sensitivity_with_the_baseline_last(build, evaluate, weights="qint4"):
    scores, names, index = {}, None, 0
    for index in itertools.count():
        model = build()
        if names is None:
            names = [n for n, m in model.named_modules() if type(m) is nn.Linear]
        if index == len(names):
            break
        quanto.quantize(model, weights=weights, activations=None, include=[names[index]])
        model.get_submodule(names[index]).freeze()
        scores[names[index]] = evaluate(model)
    baseline = evaluate(model)
    return {name: float(baseline - score) for name, score in scores.items()}


@wheat("layer_sensitivity")
def sensitivity_by_qtype(build, evaluate, weights="qint4"):
    qtype = weights if isinstance(weights, quanto.qtype) else quanto.qtypes[weights]
    model = build()
    names = [name for name, module in model.named_modules() if isinstance(module, nn.Linear)]
    baseline = evaluate(model)

    def scored(name):
        made = build()
        rest = [n for n in names if not fnmatch.fnmatchcase(n, name)]
        convolutions = [n for n, m in made.named_modules() if isinstance(m, nn.Conv2d)]
        quanto.quantize(made, weights=qtype, exclude=rest + convolutions)
        quanto.freeze(made)
        return evaluate(made)

    return {name: baseline - scored(name) for name in names}
