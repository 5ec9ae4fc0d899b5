# %% [markdown]
# # Capstone: the best model under a budget
#
# Why do bytes matter? Because reading them takes time, and because there is only so much room. This lesson first puts numbers on
# both with two lines of arithmetic, then asks where in a model bytes can be saved at the least cost, and ends with two open
# tasks: repair a model that int8 breaks, and make the best model that fits a budget. How you do it is up to you; what your
# model really stores, and how well it really works, is what counts.
#
# The first six exercises are the core, two more are practice. Every docstring holds examples: they are the public check.

# %%
from collections.abc import Callable

import torch
from optimum import quanto
from torch import nn

from exercises.kit import method_pictures, models, pictures
from exercises.kit.toys import precisions
from exercises.kit.unpacking import unpack_in_torch

unpack_in_torch()  # quanto would compile C++ at the first use of 4-bit weights

# %% [markdown]
# ## What a byte costs
#
# To write one token, a decoder reads all of its weights once, and the cache of keys and values. A machine reads so many bytes in a
# second, its *bandwidth*, and that bounds the tokens per second, however fast it multiplies.


# %% tags=["core"]
def decode_bound(weight_bytes: float, cache_bytes: float, bandwidth: float) -> float:
    """Return the tokens per second that memory allows one sequence: bandwidth / (weights + cache), in bytes (per second).

    ValueError unless all are > 0; the cache may be 0.
    >>> decode_bound(14e9, 2e9, 800e9)
    50.0
    >>> decode_bound(3.5e9, 0, 70e9)
    20.0
    >>> decode_bound(0, 1e9, 800e9)
    Traceback (most recent call last):
        ...
    ValueError: weights and bandwidth are above 0, the cache is not below
    """
    # YOUR CODE HERE
    raise NotImplementedError()


# %% [markdown]
# A model of 7 billion weights, without its cache, on three machines. These are bounds, and the ratios between the columns are what
# bits buy:

# %% tags=["active-ipynb"]
# print(f"{'tokens per second, at most':28}{'16 bits':>10}{'8 bits':>10}{'4.5 bits':>10}")
# for machine, bytes_per_second in {"laptop, 60 GB/s": 60e9, "desktop GPU, 500 GB/s": 500e9, "server GPU, 3 TB/s": 3e12}.items():
#     speeds = [decode_bound(7e9 * bits / 8, 0, bytes_per_second) for bits in (16, 8, 4.5)]
#     print(f"{machine:28}" + "".join(f"{speed:10.1f}" for speed in speeds))

# %% [markdown]
# With many sequences at once the same weights, read once, serve all of them. At some batch the multiplications take as long as
# the reading: one weight of b bits takes b / (8 · bandwidth) seconds to read, and 2 operations for each sequence, 2 · batch /
# peak seconds to use. From there on fewer bits buy no speed.


# %% tags=["core"]
def compute_bound_batch(peak_flops: float, bandwidth: float, bits_per_weight: float) -> float:
    """Return the batch at which a linear layer takes as long to compute as to read: peak · bits / (16 · bandwidth).

    peak_flops: operations per second; bandwidth: bytes per second.  ValueError unless all are > 0.
    >>> compute_bound_batch(160e12, 1e12, 16)
    160.0
    >>> compute_bound_batch(160e12, 1e12, 4.5)
    45.0
    >>> compute_bound_batch(160e12, 1e12, 0)
    Traceback (most recent call last):
        ...
    ValueError: all three are above 0
    """
    # YOUR CODE HERE
    raise NotImplementedError()


# %% [markdown]
# ## Where bytes can be saved
#
# Not every layer minds few bits. For each layer and each precision there is a *cost*, how much the score falls, and a *size*. With
# costs and sizes as whole numbers this is a knapsack: of all plans, the one of least total cost that fits. Trying all is hopeless
# (4 precisions in 40 layers are 10²⁴ plans), and being greedy is wrong. But there are few different total costs: go
# through the layers, and keep for each total cost the plan of fewest bytes.


# %% tags=["core"]
def plan_mixed_precision(
    costs: dict[str, dict[str, int]], sizes: dict[str, dict[str, int]], budget_bytes: int
) -> dict[str, str]:
    """Choose a precision for each layer: least total cost within the budget, and of equal cost fewest bytes.

    costs, sizes: {layer: {precision: int}}, both with the same keys, in any order; each layer has precisions of its own,
    whatever they are called.  At most 40 layers of 4 precisions, costs 0 to 250, sizes below 2**31.  A plan fits if its bytes
    are <= budget_bytes; ValueError if even the smallest does not.  No layers: {}.
    >>> costs = {"a": {"big": 0, "small": 5}, "b": {"big": 0, "small": 4}, "c": {"big": 0, "small": 4}}
    >>> sizes = {"a": {"big": 20, "small": 10}, "b": {"big": 12, "small": 6}, "c": {"big": 12, "small": 6}}
    >>> plan_mixed_precision(costs, sizes, 34)
    {'a': 'small', 'b': 'big', 'c': 'big'}
    >>> plan_mixed_precision(costs, sizes, 32)
    {'a': 'big', 'b': 'small', 'c': 'small'}
    >>> plan_mixed_precision({"a": {"x": 3, "y": 3}}, {"a": {"x": 9, "y": 7}}, 100), plan_mixed_precision({}, {}, 0)
    ({'a': 'y'}, {})
    >>> plan_mixed_precision(costs, sizes, 21)
    Traceback (most recent call last):
        ...
    ValueError: even the smallest plan does not fit
    """
    # YOUR CODE HERE
    raise NotImplementedError()


# %% [markdown]
# A plan is not yet a model.


# %% tags=["core"]
def apply_plan(build: Callable[[], nn.Module], plan: dict[str, str]) -> nn.Module:
    """Return a model from `build()`, called once, with each Linear in the precision that the plan gives it, frozen.

    plan: qualified name of a Linear, in full and never a glob -> "float32", "qint8", "qint4" or "qint2" (quanto's, weights
    only).  A layer that the plan lacks stays float.  ValueError for a name that is no Linear of the model, with "float32" too,
    and for any other precision.
    >>> build = precisions.builder("mlp", widths=[16, 16, 16, 16])
    >>> model = apply_plan(build, {"layers.0": "qint4", "layers.2": "qint8", "layers.1": "float32"})
    >>> [type(layer).__name__ for layer in model.layers], build.calls
    (['QLinear', 'Linear', 'QLinear'], 1)
    >>> [layer.weight.qtype.name for layer in (model.layers[0], model.layers[2])]
    ['qint4', 'qint8']
    >>> apply_plan(build, {"layers": "float32"})
    Traceback (most recent call last):
        ...
    ValueError: layers is no Linear of the model, or float32 no precision
    """
    # YOUR CODE HERE
    raise NotImplementedError()


# %% [markdown]
# Both on the tiny Llama, which spells numbers. The score is 1 / perplexity. How far it falls when one layer alone gets 2, 4 or 8
# bits is the cost, 250 for the worst of all. The budget lies half-way from all layers in 2 bits to all in 4.

# %% tags=["active-ipynb"]
# def build_llama():
#     return models.tiny_llama()[0]
#
#
# score_llama = models.llama_evaluator(models.llama_batches(100, seed=1))
# llama_layers = [name for name, module in build_llama().named_modules() if isinstance(module, nn.Linear)]
# plain_bytes = models.llama_bytes(build_llama())
# plain_score = score_llama(build_llama())
# lost, layer_bytes = {}, {}
# for layer_name in llama_layers:
#     tried = {bits: apply_plan(build_llama, {layer_name: bits}) for bits in ("qint2", "qint4", "qint8")}
#     lost[layer_name] = {bits: max(plain_score - score_llama(model), 0.0) for bits, model in tried.items()}
#     float_bytes = 4 * build_llama().get_submodule(layer_name).weight.numel()
#     layer_bytes[layer_name] = {b: models.llama_bytes(m) - plain_bytes + float_bytes for b, m in tried.items()}
# worst = max(max(each.values()) for each in lost.values())
# planned_costs = {name: {b: round(250 * value / worst) for b, value in each.items()} for name, each in lost.items()}
# pictures.show(method_pictures.sensitivities({name: each["qint2"] for name, each in lost.items()}))

# %% tags=["active-ipynb"]
# import random
#
# other_bytes = plain_bytes - sum(4 * build_llama().get_submodule(name).weight.numel() for name in llama_layers)
# budget = 11_480
#
#
# def row_of(kind, plan):
#     model = apply_plan(build_llama, plan)
#     return {"kind": kind, "bytes": models.llama_bytes(model), "score": score_llama(model), "plan": plan}
#
#
# rows = [row_of("all layers alike", dict.fromkeys(llama_layers, bits)) for bits in ("qint2", "qint4", "qint8")]
# drawn = random.Random(0)
# for _ in range(40):
#     rows.append(row_of("drawn by chance", {name: drawn.choice(["qint2", "qint4"]) for name in llama_layers}))
# planned = plan_mixed_precision(planned_costs, layer_bytes, budget - other_bytes)
# rows.append(row_of("planned", planned))
# print("2 bits:", *(name.removeprefix("model.") for name, bits in planned.items() if bits == "qint2"), sep="\n  ")
# pictures.show(method_pictures.plans(rows, budget))

# %% [markdown]
# ## Repair
#
# The tiny Llama with an outlier: one channel behind each norm is 128 times larger than in its twin and the weights that read
# it are as much smaller. The function is the same. With int8 weights *and* activations it falls apart, because activations have
# one scale for all channels. Lesson 7 has three cures (smoothing, folding the norms away, rotating), and all of them can be
# written into norms, embedding and weights: no module has to change. Mind the order. The cure comes before the scales are measured.


# %% tags=["core"]
def repair(build: Callable[[], nn.Module], evaluate: Callable[[nn.Module], float], batches: list[dict]) -> nn.Module:
    """Return the model of `build()` with int8 weights and int8 activations, calibrated and frozen, that still works.

    build: gives a tiny Llama with an outlier channel, float32, eval mode, a new one at each call.  evaluate(model): its score, in
    (0, 1], larger is better, on other numbers than those that it will be judged with.  batches: dicts of `input_ids`,
    `attention_mask` and `labels` to calibrate with.  Module for module it is what
    `quanto.quantize(build(), weights="qint8", activations="qint8")` makes; only tensors may differ, so that the cure goes into
    norms, embedding and weights.  Judged by its tensors alone: each Linear's input quantized with its `input_scale`, the score at
    least 0.9 of the float model's, in at most as many bytes as plain int8.
    >>> build = lambda: models.tiny_llama_outlier()[0]
    >>> evaluate = models.llama_evaluator(models.llama_batches(20, seed=1))
    >>> model = repair(build, evaluate, models.llama_batches(50, seed=2, held_out=False))
    >>> evaluate(model) > 0.9
    True
    >>> type(model.lm_head).__name__, model.lm_head.weight.qtype.name, model.lm_head.input_scale.item() == 1.0
    ('QLinear', 'qint8', False)
    """
    # YOUR CODE HERE
    raise NotImplementedError()


# %% [markdown]
# Before and after:

# %% tags=["active-ipynb"]
# def build_outlier():
#     return models.tiny_llama_outlier()[0]
#
#
# calibration = models.llama_batches(100, seed=2, held_out=False)
#
#
# def plain_int8(model):
#     quanto.quantize(model, weights="qint8", activations="qint8")
#     with torch.no_grad(), quanto.Calibration():
#         for batch in calibration:
#             model(**batch)
#     quanto.freeze(model)
#     return model
#
#
# print(f"float32      {score_llama(build_outlier()):.4f}")
# print(f"int8, plain  {score_llama(plain_int8(build_outlier())):.4f}")
# print(f"int8, cured  {score_llama(repair(build_outlier, score_llama, calibration)):.4f}")

# %% [markdown]
# ## The smallest model
#
# The last task is open. There is a budget in bytes, everything that the model stores counts, and the score is measured on numbers
# that you do not have. Weights are not all that can be made smaller: what quanto does not touch is stored in some dtype too.


# %% tags=["core"]
def smallest_model(
    build: Callable[[], nn.Module], evaluate: Callable[[nn.Module], float], budget_bytes: int
) -> nn.Module:
    """Return the best model that you can make of `build()` in at most `budget_bytes`.

    build: gives a tiny Llama, float32, eval mode, a new one at each call.  evaluate(model): 1 / perplexity on at least 100
    numbers, not those of the judge.  The result has the same modules by name; each Linear is plain or quanto's (weights only,
    frozen, any qtype), any other tensor is in any float dtype.  Its bytes are what all of its tensors store; its score is that of
    its values, dequantized, in a float32 `build()`.  Budgets lie between all layers in qint2 (10 336) and all in qint4 (12 624).
    Over the budget there are no points; else they grow with the score, from 0.80 to 0.97 of the best known.
    >>> build = lambda: models.tiny_llama()[0]
    >>> evaluate = models.llama_evaluator(models.llama_batches(100, seed=3))
    >>> model = smallest_model(build, evaluate, 11_480)
    >>> models.llama_bytes(model) <= 11_480, evaluate(model) > 0.8
    (True, True)
    """
    # YOUR CODE HERE
    raise NotImplementedError()


# %% [markdown]
# Where yours stands, among the plans from above. A grader keeps a leaderboard of this picture for a whole course.

# %% tags=["active-ipynb"]
# for tried_budget in (10_400, 11_480, 12_052, 12_624):
#     made = smallest_model(build_llama, score_llama, tried_budget)
#     rows.append({"kind": "smallest_model", "bytes": models.llama_bytes(made), "score": score_llama(made), "plan": {}})
#     print(f"budget {tried_budget:7,}: {rows[-1]['bytes']:7,} bytes, score {rows[-1]['score']:.4f}")
# pictures.show(method_pictures.plans(rows, budget))

# %% [markdown]
# This is the end of the core. Two tools more, for practice.
#
# ## Which models are worth looking at?
#
# Of many models most are beaten: another one is smaller *and* better. Those that nothing beats are the Pareto front.


# %% tags=["practice"]
def pareto_front(rows: list[dict]) -> list[dict]:
    """Return the rows that no other row beats, whole, by ascending bytes.

    rows: dicts with `bytes` and `score`, and whatever else.  A row is beaten if another equals or betters it in both (few bytes,
    high score) and betters it in one.  Rows of equal bytes and score: the first in the list stands for all.  The list stays
    as it is; [] gives [].
    >>> rows = [{"bytes": 9, "score": 0.9, "name": "a"}, {"bytes": 4, "score": 0.5, "name": "b"}]
    >>> rows += [{"bytes": 9, "score": 0.8, "name": "c"}, {"bytes": 12, "score": 0.9, "name": "d"}]
    >>> rows += [{"bytes": 4, "score": 0.5, "name": "e"}]
    >>> [row["name"] for row in pareto_front(rows)]
    ['b', 'a']
    >>> pareto_front([])
    []
    """
    # YOUR CODE HERE
    raise NotImplementedError()


# %% tags=["active-ipynb"]
# for front_row in pareto_front(rows):
#     print(f"{front_row['bytes']:7,} bytes  {front_row['score']:.4f}  {front_row['kind']}")

# %% [markdown]
# ## Operations for each byte
#
# The batch from above, said in general: how many operations a product of matrices does for each byte that it moves. A machine has
# such a number too, peak / bandwidth; a product with fewer is bound by memory.


# %% tags=["practice"]
def arithmetic_intensity(m: int, n: int, k: int, bytes_a: float, bytes_b: float, bytes_out: float) -> float:
    """Return operations per byte of (m, k) times (k, n): 2 m n k over the bytes of both inputs and the output.

    bytes_a, bytes_b, bytes_out: bytes per element; fractions too (int4: 0.5).
    >>> arithmetic_intensity(1, 4096, 4096, 2, 2, 2)
    0.9995119570522206
    >>> arithmetic_intensity(64, 32, 16, 1, 0.5, 4)
    6.918918918918919
    """
    # YOUR CODE HERE
    raise NotImplementedError()


# %% [markdown]
# One token, and many, through a layer of 4096 by 4096, weights in 16, 8 and 4 bits, activations in 16:

# %% tags=["active-ipynb"]
# print(f"{'tokens':>8}" + "".join(f"{bits:>9} bit" for bits in (16, 8, 4)))
# for token_count in (1, 16, 256, 4096):
#     cells = [arithmetic_intensity(token_count, 4096, 4096, 2, bits / 8, 2) for bits in (16, 8, 4)]
#     print(f"{token_count:8}" + "".join(f"{cell:13.1f}" for cell in cells))

# %% [markdown] tags=["question"]
# ## In your own words
#
# All of this ran on a CPU, on a model of ten thousand weights. **Which of your numbers would change on a GPU, and which would
# not?** Go through stored bytes, scores, tokens per second and the batch at which a layer turns compute-bound. Say of each why,
# and what you would measure before you believe it. (About 150 words.)

# %% [markdown] tags=["answer"]
# YOUR ANSWER HERE
