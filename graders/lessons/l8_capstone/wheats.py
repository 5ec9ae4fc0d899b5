"""Honest right variants of lesson 8, in other styles than the reference: none of them may be refused."""

import bisect
import copy
import itertools
import math
from fractions import Fraction

import numpy
import torch
from optimum import quanto
from torch import nn

from exercises.kit import models
from graders.judge.contract import wheat

# Arithmetic -------------------------------------------------------------------------------------------------------------


@wheat("arithmetic_intensity")
def intensity_in_fractions(m, n, k, bytes_a, bytes_b, bytes_out):
    moved = m * k * Fraction(bytes_a) + k * n * Fraction(bytes_b) + m * n * Fraction(bytes_out)
    return float(2 * m * n * k / moved)


@wheat("arithmetic_intensity")
def intensity_in_numpy(m, n, k, bytes_a, bytes_b, bytes_out):
    return numpy.float64(2.0 * m * n * k) / numpy.dot([m * k, k * n, m * n], [bytes_a, bytes_b, bytes_out])


@wheat("arithmetic_intensity")
def intensity_by_reciprocals(m, n, k, bytes_a, bytes_b, bytes_out):
    return 2 / (bytes_a / n + bytes_b / m + bytes_out / k)


@wheat("decode_bound")
def bound_by_seconds(weight_bytes, cache_bytes, bandwidth):
    if not (weight_bytes > 0 and cache_bytes >= 0 and bandwidth > 0):
        raise ValueError("positive")
    return 1 / ((weight_bytes + cache_bytes) / bandwidth)


@wheat("decode_bound")
def bound_in_numpy(weight_bytes, cache_bytes, bandwidth):
    if numpy.any(numpy.array([weight_bytes, bandwidth]) <= 0) or cache_bytes < 0:
        raise ValueError
    return numpy.float64(bandwidth) / (weight_bytes + cache_bytes)


@wheat("decode_bound")
def bound_with_a_named_error(weight_bytes, cache_bytes, bandwidth):
    class NotPositive(ValueError):
        pass

    for value, zero in ((weight_bytes, False), (cache_bytes, True), (bandwidth, False)):
        if value < 0 or (value == 0 and not zero):
            raise NotPositive(value)
    return float(Fraction(bandwidth) / (Fraction(weight_bytes) + Fraction(cache_bytes)))


@wheat("compute_bound_batch")
def batch_by_times(peak_flops, bandwidth, bits_per_weight):
    if any(value <= 0 for value in (peak_flops, bandwidth, bits_per_weight)):
        raise ValueError
    seconds_to_read = bits_per_weight / 8 / bandwidth
    return seconds_to_read / (2 / peak_flops)


@wheat("compute_bound_batch")
def batch_in_fractions(peak_flops, bandwidth, bits_per_weight):
    if min(peak_flops, bandwidth, bits_per_weight) <= 0:
        raise ValueError
    return float(Fraction(peak_flops) * Fraction(bits_per_weight) / 16 / Fraction(bandwidth))


@wheat("compute_bound_batch")
def batch_in_torch(peak_flops, bandwidth, bits_per_weight):
    values = torch.tensor([peak_flops, bandwidth, bits_per_weight], dtype=torch.float64)
    if not (values > 0).all():
        raise ValueError
    return (values[0] / values[1] * values[2] / 16).item()


# Plans ------------------------------------------------------------------------------------------------------------------


@wheat("plan_mixed_precision")
def plan_on_an_array(costs, sizes, budget_bytes):
    """The table over costs as an array of least bytes, choices remembered, walked back."""
    names, far = list(costs), 2**62
    most = sum(max(each.values()) for each in costs.values())
    least = numpy.full(most + 1, far, dtype=numpy.int64)
    least[0] = 0
    choices = []
    for name in names:
        grown, chosen = numpy.full(most + 1, far, dtype=numpy.int64), numpy.full(most + 1, -1)
        for index, precision in enumerate(costs[name]):
            cost, size = costs[name][precision], sizes[name][precision]
            moved = numpy.full(most + 1, far, dtype=numpy.int64)
            moved[cost:] = least[: most + 1 - cost]
            moved = numpy.where(moved < far, moved + size, far)
            better = moved < grown
            grown[better], chosen[better] = moved[better], index
        least = grown
        choices.append(chosen)
    fitting = numpy.nonzero((least <= budget_bytes) & (least < far))[0]
    if not len(fitting) and (names or budget_bytes < 0):
        raise ValueError("no plan")
    plan, total = {}, int(fitting[0]) if len(fitting) else 0
    for name, chosen in zip(reversed(names), reversed(choices), strict=True):
        precision = list(costs[name])[chosen[total]]
        plan[name] = precision
        total -= costs[name][precision]
    return plan


@wheat("plan_mixed_precision")
def plan_by_undominated_pairs(costs, sizes, budget_bytes):
    """Keep the plans that no other beats in cost and bytes."""
    front = [(0, 0, ())]
    for layer, choices in costs.items():
        tried = sorted(
            (cost + choices[p], size + sizes[layer][p], (plan, layer, p)) for cost, size, plan in front for p in choices
        )
        front, least = [], math.inf
        for cost, size, plan in tried:
            if size < least and size <= budget_bytes:
                front.append((cost, size, plan))
                least = size
    if not front:
        raise ValueError
    plan, found = front[0][2], {}
    while plan:
        plan, layer, precision = plan
        found[layer] = precision
    return dict(sorted(found.items()))


@wheat("plan_mixed_precision")
def plan_with_lists_of_choices(costs, sizes, budget_bytes):
    table = {0: (0, [])}
    layers = list(costs)
    for layer in layers:
        new = {}
        for (cost, (used, picked)), precision in itertools.product(table.items(), costs[layer]):
            key, size = cost + costs[layer][precision], used + sizes[layer][precision]
            if size <= budget_bytes and size < new.get(key, (math.inf, None))[0]:
                new[key] = (size, [picked, precision])
        table = new
    if len(table) == 0:
        raise ValueError("budget")
    picked, plan = table[sorted(table)[0]][1], {}
    for layer in reversed(layers):
        picked, plan[layer] = picked
    return plan


def _checked(model, plan):
    for name, precision in plan.items():
        named = dict(model.named_modules())
        if not isinstance(named.get(name), nn.Linear):
            raise ValueError(f"{name}")
        if precision not in {"float32", "qint8", "qint4", "qint2"}:
            raise ValueError(f"{precision}")


@wheat("apply_plan")
def plan_by_exclusion(build, plan):
    model = build()
    _checked(model, plan)
    for precision in ("qint8", "qint4", "qint2"):
        wanted = {name for name, own in plan.items() if own == precision}
        others = [name for name, _ in model.named_modules() if name and name not in wanted]
        if wanted:
            quanto.quantize(model, weights=quanto.qtypes[precision], exclude=others)
    quanto.freeze(model)
    return model


@wheat("apply_plan")
def plan_by_groups(build, plan):
    model = build()
    _checked(model, plan)
    for precision in set(plan.values()) - {"float32"}:
        quanto.quantize(model, weights=precision, include=[name for name, own in plan.items() if own == precision])
    for module in model.modules():
        if isinstance(module, quanto.QModuleMixin):
            module.freeze()
    return model


@wheat("apply_plan")
def plan_module_by_module(build, plan):
    model = build()
    _checked(model, plan)
    for name, precision in plan.items():
        if precision == "float32":
            continue
        owner, _, leaf = name.rpartition(".")
        quantized = quanto.QLinear.from_module(model.get_submodule(name), weights=quanto.qtypes[precision])
        setattr(model.get_submodule(owner), leaf, quantized)
        quantized.freeze()
    return model


@wheat("pareto_front")
def front_by_comparison(rows):
    def beats(a, b):
        no_worse = a["bytes"] <= b["bytes"] and a["score"] >= b["score"]
        return no_worse and (a["bytes"] < b["bytes"] or a["score"] > b["score"])

    found = []
    for row in rows:
        twin = any((row["bytes"], row["score"]) == (other["bytes"], other["score"]) for other in found)
        if not twin and not any(beats(other, row) for other in rows):
            found.append(row)
    found.sort(key=lambda row: row["bytes"])
    return found


@wheat("pareto_front")
def front_with_copies(rows):
    best = {}
    for row in reversed(rows):
        now = best.get(row["bytes"])
        if now is None or row["score"] >= now["score"]:
            best[row["bytes"]] = copy.copy(row)
    front, top = [], -math.inf
    for size in sorted(best):
        if best[size]["score"] > top:
            front.append(best[size])
            top = best[size]["score"]
    return front


@wheat("pareto_front")
def front_by_insertion(rows):
    front = []
    for row in rows:
        at = bisect.bisect_left([each["bytes"] for each in front], row["bytes"])
        smaller = front[: at + 1] if at < len(front) and front[at]["bytes"] == row["bytes"] else front[:at]
        if any(each["score"] >= row["score"] for each in smaller):
            continue
        front = [each for each in front if each["bytes"] < row["bytes"] or each["score"] > row["score"]]
        front.insert(bisect.bisect_left([each["bytes"] for each in front], row["bytes"]), row)
    return front


# Two models -------------------------------------------------------------------------------------------------------------


def _norms(model):
    found = []
    for layer in model.model.layers:
        attention = layer.self_attn
        found.append((layer.input_layernorm, [attention.q_proj, attention.k_proj, attention.v_proj]))
        found.append((layer.post_attention_layernorm, [layer.mlp.gate_proj, layer.mlp.up_proj]))
    return [*found, (model.model.norm, [model.lm_head])]


def _int8(model, batches):
    quanto.quantize(model, weights=quanto.qint8, activations=quanto.qint8)
    with torch.no_grad(), quanto.Calibration():
        for batch in batches:
            model(input_ids=batch["input_ids"], attention_mask=batch["attention_mask"])
    quanto.freeze(model)
    return model


@wheat("repair")
def repaired_by_smoothing(build, evaluate, batches):
    model = build()
    largest, handles = {}, []

    def watch(norm, _, output):
        here = output.detach().abs().flatten(0, -2).amax(0)
        largest[norm] = torch.maximum(largest.get(norm, here), here)

    for norm, _ in _norms(model):
        handles.append(norm.register_forward_hook(watch))
    with torch.no_grad():
        for batch in batches:
            model(**batch)
        for handle in handles:
            handle.remove()
        for norm, readers in _norms(model):
            columns = torch.cat([reader.weight for reader in readers]).abs().amax(0)
            s = (largest[norm] / columns).sqrt()
            norm.weight.div_(s)
            for reader in readers:
                reader.weight.mul_(s)
    return _int8(model, batches)


@wheat("repair")
def repaired_by_rotation(build, evaluate, batches):
    """Fold the norms away, then rotate the residual stream: everything that writes it, and everything that reads it."""
    model = build()
    width = model.config.hidden_size
    h = torch.ones(1, 1)
    while len(h) < width:
        h = torch.cat([torch.cat([h, h], 1), torch.cat([h, -h], 1)])
    h = h / math.sqrt(width)
    with torch.no_grad():
        for norm, readers in _norms(model):
            for reader in readers:
                reader.weight.copy_((reader.weight * norm.weight) @ h)
            norm.weight.fill_(1)
        model.model.embed_tokens.weight.copy_(model.model.embed_tokens.weight @ h)
        for layer in model.model.layers:
            for writer in (layer.self_attn.o_proj, layer.mlp.down_proj):
                writer.weight.copy_(h.T @ writer.weight)
    return _int8(model, batches)


@wheat("repair")
def repaired_by_finding_the_channel(build, evaluate, batches):
    """Each channel of a norm is brought to the median of that norm."""
    model = build()
    for norm, readers in _norms(model):
        s = norm.weight.data.abs() / norm.weight.data.abs().median()
        norm.weight.data /= s
        for reader in readers:
            reader.weight.data *= s
    return _int8(model, batches)


@wheat("smallest_model")
def smallest_in_float16(build, evaluate, budget_bytes):
    model = build().half()
    quanto.quantize(model, weights="qint4")
    quanto.freeze(model)
    return model


@wheat("smallest_model")
def smallest_by_sensitivity(build, evaluate, budget_bytes):
    """2 bits where they cost least per byte saved, 4 bits elsewhere; everything else in float32."""
    names = [name for name, module in build().named_modules() if isinstance(module, nn.Linear)]

    def made(low):
        model = build()
        for precision, group in (("qint2", low), ("qint4", [name for name in names if name not in low])):
            if group:
                quanto.quantize(model, weights=precision, include=group)
        quanto.freeze(model)
        return model

    full, lost, saved = made([]), {}, {}
    for name in names:
        one = made([name])
        lost[name] = evaluate(full) - evaluate(one)
        saved[name] = models.llama_bytes(full) - models.llama_bytes(one)
    low = []
    for name in sorted(names, key=lambda name: lost[name] / saved[name]):
        if models.llama_bytes(made(low)) <= budget_bytes:
            break
        low.append(name)
    return made(low)


@wheat("smallest_model")
def smallest_with_a_small_embedding(build, evaluate, budget_bytes):
    """4 bits in all layers, and of the rest only the embedding in bfloat16; a layer in 8 bits where there is room."""
    names = [name for name, module in build().named_modules() if isinstance(module, nn.Linear)]

    def made(high):
        model = build()
        quanto.quantize(model, weights="qint4", exclude=high)
        if high:
            quanto.quantize(model, weights="qint8", include=high)
        quanto.freeze(model)
        model.model.embed_tokens.weight = nn.Parameter(model.model.embed_tokens.weight.detach().bfloat16(), False)
        return model

    high = []
    for name in names:
        if models.llama_bytes(made([*high, name])) <= budget_bytes:
            high.append(name)
    return made(high)
