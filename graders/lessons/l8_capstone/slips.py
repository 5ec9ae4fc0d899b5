"""Recognised mistakes of lesson 8: each gives a wrong answer of its own, and the sentence that its author should read."""

from fnmatch import fnmatch

import torch
from optimum import quanto
from torch import nn

from exercises.kit import models
from graders.judge.contract import slip
from solutions.l8_capstone import pareto_front

# Arithmetic -------------------------------------------------------------------------------------------------------------


def _moved(m, n, k, bytes_a, bytes_b, bytes_out):
    return m * k * bytes_a + k * n * bytes_b + m * n * bytes_out


@slip("arithmetic_intensity", "a multiplication and an addition are two operations: 2 m n k")
def one_operation_each(m, n, k, bytes_a, bytes_b, bytes_out):
    return m * n * k / _moved(m, n, k, bytes_a, bytes_b, bytes_out)


@slip("arithmetic_intensity", "the output is written too: its bytes count")
def output_not_counted(m, n, k, bytes_a, bytes_b, bytes_out):
    return 2 * m * n * k / _moved(m, n, k, bytes_a, bytes_b, 0)


@slip("arithmetic_intensity", "the first input is (m, k), the second (k, n), the output (m, n)")
def shapes_mixed_up(m, n, k, bytes_a, bytes_b, bytes_out):
    return 2 * m * n * k / (m * n * bytes_a + n * k * bytes_b + m * k * bytes_out)


@slip("arithmetic_intensity", "that is bytes per operation; it is operations per byte")
def bytes_per_operation(m, n, k, bytes_a, bytes_b, bytes_out):
    return _moved(m, n, k, bytes_a, bytes_b, bytes_out) / (2 * m * n * k)


def _refuse_decode(weight_bytes, cache_bytes, bandwidth):
    if weight_bytes <= 0 or cache_bytes < 0 or bandwidth <= 0:
        raise ValueError


@slip("decode_bound", "the cache is read for each token as well")
def cache_forgotten(weight_bytes, cache_bytes, bandwidth):
    _refuse_decode(weight_bytes, cache_bytes, bandwidth)
    return bandwidth / weight_bytes


@slip("decode_bound", "that is seconds per token; it is tokens per second")
def seconds_per_token(weight_bytes, cache_bytes, bandwidth):
    _refuse_decode(weight_bytes, cache_bytes, bandwidth)
    return (weight_bytes + cache_bytes) / bandwidth


@slip("decode_bound", "an empty cache is allowed: 0 is fine")
def cache_of_zero_refused(weight_bytes, cache_bytes, bandwidth):
    if weight_bytes <= 0 or cache_bytes <= 0 or bandwidth <= 0:
        raise ValueError
    return bandwidth / (weight_bytes + cache_bytes)


@slip("decode_bound", "weights and bandwidth have to be above 0, and the cache not below: raise ValueError")
def nothing_refused(weight_bytes, cache_bytes, bandwidth):
    return bandwidth / (weight_bytes + cache_bytes)


def _refuse_batch(*values):
    if min(values) <= 0:
        raise ValueError


@slip("compute_bound_batch", "a weight of b bits is b / 8 bytes, used by 2 operations: divide by 16, not by 8")
def one_operation_for_each_weight(peak_flops, bandwidth, bits_per_weight):
    _refuse_batch(peak_flops, bandwidth, bits_per_weight)
    return peak_flops * bits_per_weight / (8 * bandwidth)


@slip("compute_bound_batch", "bandwidth is in bytes, bits are bits: a factor 8 is missing")
def bits_as_bytes(peak_flops, bandwidth, bits_per_weight):
    _refuse_batch(peak_flops, bandwidth, bits_per_weight)
    return peak_flops * bits_per_weight / (2 * bandwidth)


@slip("compute_bound_batch", "fewer bits are read faster, so computing is the bound earlier: bits stand above the line")
def bits_below_the_line(peak_flops, bandwidth, bits_per_weight):
    _refuse_batch(peak_flops, bandwidth, bits_per_weight)
    return 16 * peak_flops / (bandwidth * bits_per_weight)


@slip("compute_bound_batch", "all three have to be above 0: raise ValueError")
def zero_accepted(peak_flops, bandwidth, bits_per_weight):
    if min(peak_flops, bandwidth, bits_per_weight) < 0:
        raise ValueError
    return peak_flops * bits_per_weight / (16 * bandwidth) if bandwidth else float("inf")


# Plans ------------------------------------------------------------------------------------------------------------------


def _smallest(costs, sizes, budget_bytes):
    plan = {layer: min(each, key=lambda p: (sizes[layer][p], costs[layer][p])) for layer, each in costs.items()}
    if sum(sizes[layer][p] for layer, p in plan.items()) > budget_bytes:
        raise ValueError
    return plan


def _improved(costs, sizes, budget_bytes, worth):
    """Start with the smallest plan and take the change of most worth as long as one fits."""
    plan = _smallest(costs, sizes, budget_bytes)
    used = sum(sizes[layer][p] for layer, p in plan.items())
    while True:
        found = []
        for layer, now in plan.items():
            for other in costs[layer]:
                gain = costs[layer][now] - costs[layer][other]
                more = sizes[layer][other] - sizes[layer][now]
                if gain > 0 and used + more <= budget_bytes:
                    found.append((worth(gain, more), layer, other, more))
        if not found:
            return plan
        _, layer, other, more = max(found)
        plan[layer], used = other, used + more


@slip("plan_mixed_precision", "the largest gain first is not the best plan: its bytes may buy more elsewhere")
def greedy_by_cost(costs, sizes, budget_bytes):
    return _improved(costs, sizes, budget_bytes, lambda gain, more: gain)


@slip("plan_mixed_precision", "the cheapest change first is not the best plan")
def greedy_by_size(costs, sizes, budget_bytes):
    return _improved(costs, sizes, budget_bytes, lambda gain, more: -more)


@slip("plan_mixed_precision", "gain per byte is a good guess and not the best plan: what is left over counts too")
def greedy_by_ratio(costs, sizes, budget_bytes):
    return _improved(costs, sizes, budget_bytes, lambda gain, more: gain / more if more > 0 else float("inf"))


@slip("plan_mixed_precision", "the smallest plan fits, but the budget is there to be used")
def always_the_smallest(costs, sizes, budget_bytes):
    return _smallest(costs, sizes, budget_bytes)


def _table(costs, sizes, budget_bytes, strict=False, first=False, refuse=True):
    best = {0: (0, {})}
    for layer, choices in costs.items():
        grown = {}
        for cost, (size, plan) in best.items():
            for precision, more in choices.items():
                total, room = cost + more, size + sizes[layer][precision]
                fits = room < budget_bytes if strict else room <= budget_bytes
                if fits and (total not in grown or (room < grown[total][0] and not first)):
                    grown[total] = (room, {**plan, layer: precision})
        best = grown
    if not best:
        if refuse:
            raise ValueError
        return {layer: min(each, key=each.get) for layer, each in sizes.items()}
    return best[min(best)][1]


@slip("plan_mixed_precision", "a plan that fills the budget exactly fits")
def budget_not_filled(costs, sizes, budget_bytes):
    return _table(costs, sizes, budget_bytes, strict=True) if costs else {}


@slip("plan_mixed_precision", "of plans of equal cost keep the one with fewer bytes, also on the way")
def first_of_equal_cost(costs, sizes, budget_bytes):
    return _table(costs, sizes, budget_bytes, first=True)


@slip("plan_mixed_precision", "if even the smallest plan does not fit, raise ValueError")
def too_small_a_budget_accepted(costs, sizes, budget_bytes):
    return _table(costs, sizes, budget_bytes, refuse=False)


_KNOWN = ("float32", "qint8", "qint4", "qint2")


def _applied(build, plan, check=True, precisions=_KNOWN, glob=False, freeze=True):
    model = build()
    linears = [name for name, module in model.named_modules() if isinstance(module, nn.Linear)]
    for name, precision in plan.items():
        known = any(fnmatch(linear, name) for linear in linears) if glob else name in linears
        if check and (not known or precision not in precisions):
            raise ValueError
    for name, precision in plan.items():
        if precision != "float32":
            quanto.quantize(model, weights=precision, include=name)
    if freeze:
        quanto.freeze(model)
    return model


@slip("apply_plan", "names that are no Linear, and other precisions, are refused: raise ValueError")
def unknown_names_ignored(build, plan):
    model = build()
    linears = {name for name, module in model.named_modules() if isinstance(module, nn.Linear)}
    return _applied(build, {name: p for name, p in plan.items() if name in linears and p in _KNOWN})


@slip("apply_plan", "names are full names, no globs")
def names_as_globs(build, plan):
    return _applied(build, plan, glob=True)


@slip("apply_plan", "freeze the model in the end")
def plan_not_frozen(build, plan):
    return _applied(build, plan, freeze=False)


@slip("apply_plan", "a name that is no Linear is refused with float32 too")
def float32_not_checked(build, plan):
    return _applied(build, {name: precision for name, precision in plan.items() if precision != "float32"})


@slip("apply_plan", "only float32, qint8, qint4 and qint2 are precisions of a plan")
def every_qtype_accepted(build, plan):
    return _applied(build, plan, precisions=(*_KNOWN, *quanto.qtypes))


@slip("apply_plan", "a layer that the plan lacks stays float")
def the_rest_in_qint8(build, plan):
    model = _applied(build, plan, freeze=False)
    quanto.quantize(model, weights="qint8", exclude=list(plan))
    quanto.freeze(model)
    return model


def _beaten(row, other):
    return other["bytes"] <= row["bytes"] and other["score"] >= row["score"]


@slip("pareto_front", "sort the front by ascending bytes")
def in_the_order_given(rows):
    front = [id(row) for row in pareto_front(rows)]
    return [row for row in rows if id(row) in front]


@slip("pareto_front", "rows of equal bytes and score do not beat each other: the first of them stays")
def equal_rows_beat_each_other(rows):
    left = [row for row in rows if not any(other is not row and _beaten(row, other) for other in rows)]
    return sorted(left, key=lambda row: row["bytes"])


@slip("pareto_front", "rows of equal bytes and score stand in the front once")
def equal_rows_all_kept(rows):
    front = [(row["bytes"], row["score"]) for row in pareto_front(rows)]
    return sorted((row for row in rows if (row["bytes"], row["score"]) in front), key=lambda row: row["bytes"])


@slip("pareto_front", "a row is beaten by one that is better in one and equal in the other, too")
def beaten_only_in_both(rows):
    def worse(row, other):
        return other["bytes"] < row["bytes"] and other["score"] > row["score"]

    left, seen = [], set()
    for row in rows:
        place = row["bytes"], row["score"]
        if place not in seen and not any(worse(row, other) for other in rows):
            seen.add(place)
            left.append(row)
    return sorted(left, key=lambda row: row["bytes"])


@slip("pareto_front", "whole rows come back, with whatever else is in them")
def bytes_and_score_alone(rows):
    return [{"bytes": row["bytes"], "score": row["score"]} for row in pareto_front(rows)]


@slip("pareto_front", "few bytes are good, and a high score: you have turned one of them round")
def low_scores_are_good(rows):
    turned = [{"bytes": row["bytes"], "score": -row["score"], "row": row} for row in rows]
    return [row["row"] for row in pareto_front(turned)]


# Two models -------------------------------------------------------------------------------------------------------------


def _folded(model):
    with torch.no_grad():
        for norm, readers in _pairs(model):
            for reader in readers:
                reader.weight *= norm.weight
            norm.weight.fill_(1.0)
    return model


def _pairs(model):
    found = [(model.model.norm, [model.lm_head])]
    for layer in model.model.layers:
        attention, mlp = layer.self_attn, layer.mlp
        found.append((layer.input_layernorm, [attention.q_proj, attention.k_proj, attention.v_proj]))
        found.append((layer.post_attention_layernorm, [mlp.gate_proj, mlp.up_proj]))
    return found


def _calibrated(model, batches):
    with torch.no_grad(), quanto.Calibration():
        for batch in batches:
            model(**batch)
    return model


@slip("repair", "the scales of activations are still 1: run the batches inside quanto.Calibration()")
def scales_of_one(build, evaluate, batches):
    model = _folded(build())
    quanto.quantize(model, weights="qint8", activations="qint8")
    quanto.freeze(model)
    return model


@slip("repair", "scales were measured before the cure: cure first, then calibrate")
def calibrated_before_the_cure(build, evaluate, batches):
    model = build()
    quanto.quantize(model, weights="qint8", activations="qint8")
    _folded(_calibrated(model, batches))
    quanto.freeze(model)
    return model


@slip("repair", "lm_head is a Linear like the others: it is quantized too")
def head_left_out(build, evaluate, batches):
    model = _folded(build())
    quanto.quantize(model, weights="qint8", activations="qint8", exclude="lm_head")
    _calibrated(model, batches)
    quanto.freeze(model)
    return model


@slip("repair", "without a cure the outlier takes the scale: its channel has to become smaller first")
def no_cure(build, evaluate, batches):
    model = build()
    quanto.quantize(model, weights="qint8", activations="qint8")
    _calibrated(model, batches)
    quanto.freeze(model)
    return model


@slip("repair", "activations are quantized too, not weights alone")
def weights_alone(build, evaluate, batches):
    model = _folded(build())
    quanto.quantize(model, weights="qint8")
    quanto.freeze(model)
    return model


@slip("repair", "freeze the model in the end: it still stores floats")
def repaired_not_frozen(build, evaluate, batches):
    model = _folded(build())
    quanto.quantize(model, weights="qint8", activations="qint8")
    return _calibrated(model, batches)


@slip("smallest_model", "the model is over the budget: count embedding, norms, scales and buffers too")
def over_the_budget(build, evaluate, budget_bytes):
    model = build()
    quanto.quantize(model, weights="qint8")
    quanto.freeze(model)
    return model


@slip("smallest_model", "the model is over the budget: it is not frozen, so it still stores floats")
def smallest_not_frozen(build, evaluate, budget_bytes):
    model = build()
    quanto.quantize(model, weights="qint4")
    return model


@slip("smallest_model", "all layers in 2 bits fit every budget, but the budget is there to be used")
def two_bits_everywhere(build, evaluate, budget_bytes):
    model = build()
    quanto.quantize(model, weights="qint2")
    quanto.freeze(model)
    return model


@slip("smallest_model", "two bits hurt some layers much more than others: choose them by what they lose")
def the_first_layers_in_two_bits(build, evaluate, budget_bytes):
    names = [name for name, module in build().named_modules() if isinstance(module, nn.Linear)]
    for count in range(len(names) + 1):
        model = build()
        for index, name in enumerate(names):
            quanto.quantize(model, weights="qint2" if index < count else "qint4", include=name)
        quanto.freeze(model)
        if models.llama_bytes(model) <= budget_bytes * 0.93 or count == len(names):
            return model
    return model
