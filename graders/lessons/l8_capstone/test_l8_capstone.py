"""Hidden tests of lesson 8: what bytes cost, plans, and two models that are judged by what they store and score."""

import functools

import pytest
import torch

from exercises.kit import models
from exercises.kit.checking.closeness import Mismatch, relative, same
from exercises.kit.probes import l7 as probes
from exercises.kit.toys import precisions, variants
from exercises.kit.unpacking import load_quanto
from graders.judge import records
from graders.judge.contract import main, observed, once, raises, recipe
from graders.lessons.l8_capstone import measuring
from graders.wire.records import ModelRecord, QuantizedRecord

# Arithmetic -------------------------------------------------------------------------------------------------------------

ROUNDING = relative(2.0**-50)  # a handful of float64 operations
NOT_POSITIVE = [0, -1.5]


class TestArithmeticIntensity:
    @main
    @pytest.mark.parametrize(
        "args",
        [(3, 5, 7, 2, 1, 4), (1, 4096, 4096, 2, 0.5, 2), (64, 16, 128, 0.5, 4, 1), (7, 7, 7, 1, 2, 8)],
        ids=["small", "one token", "fractions", "square"],
    )
    def test_operations_per_byte(self, student, reference, args):
        """2 m n k over the bytes of inputs and output."""
        same(student.arithmetic_intensity(*args), reference.arithmetic_intensity(*args), ROUNDING)

    @pytest.mark.parametrize("place", [0, 1, 2], ids=["a", "b", "output"])
    def test_each_part_has_its_own_bytes(self, student, reference, place):
        """Each of the three matrices counts with its own size and its own bytes."""
        args = [11, 13, 17, *(1000.0 if index == place else 0.001 for index in range(3))]
        same(student.arithmetic_intensity(*args), reference.arithmetic_intensity(*args), ROUNDING)


class TestDecodeBound:
    @main
    @pytest.mark.parametrize(
        "args",
        [(7e9, 3e9, 5e11), (7e9, 1e9, 5e11), (7e9, 3e9, 9e11), (8e9, 3e9, 5e11), (123.0, 7, 1000), (0.25, 0.5, 0.125)],
        ids=["large", "other cache", "other bandwidth", "other weights", "ints", "small"],
    )
    def test_bandwidth_over_bytes(self, student, reference, args):
        """Weights and cache are read once for each token."""
        same(student.decode_bound(*args), reference.decode_bound(*args), ROUNDING)

    def test_without_a_cache(self, student, reference):
        """The cache may be empty."""
        same(student.decode_bound(3e9, 0, 7e10), reference.decode_bound(3e9, 0, 7e10), ROUNDING)

    @pytest.mark.parametrize(
        "args",
        [
            *((value, 1.0, 2.0) for value in NOT_POSITIVE),
            *((1.0, 1.0, value) for value in NOT_POSITIVE),
            (1.0, -1.0, 2.0),
        ],
        ids=str,
    )
    def test_refuses_what_is_not_positive(self, student, args):
        """Weights and bandwidth are above 0, the cache is not below."""
        with raises(ValueError):
            student.decode_bound(*args)


class TestComputeBoundBatch:
    @main
    @pytest.mark.parametrize(
        "args",
        [
            (3.1e14, 2e12, 16),
            (3.1e14, 2e12, 3),
            (3.1e14, 7e11, 16),
            (1e13, 2e12, 16),
            (1e12, 9e11, 32),
            (0.5, 0.75, 0.25),
        ],
        ids=["16", "other bits", "other bandwidth", "other peak", "32", "small"],
    )
    def test_reading_takes_as_long_as_computing(self, student, reference, args):
        """peak · bits / (16 · bandwidth)."""
        same(student.compute_bound_batch(*args), reference.compute_bound_batch(*args), ROUNDING)

    @pytest.mark.parametrize("place", [0, 1, 2], ids=["peak", "bandwidth", "bits"])
    @pytest.mark.parametrize("value", NOT_POSITIVE, ids=str)
    def test_refuses_what_is_not_positive(self, student, place, value):
        """All three are above 0."""
        with raises(ValueError):
            student.compute_bound_batch(*(value if index == place else 8.0 for index in range(3)))

    @pytest.mark.parametrize("place", [0, 1, 2], ids=["peak", "bandwidth", "bits"])
    def test_refuses_two_negative_numbers(self, student, place):
        """Two negative numbers, whose product is positive, are refused too."""
        with raises(ValueError):
            student.compute_bound_batch(*(8.0 if index == place else -2.0 for index in range(3)))


# Plans ------------------------------------------------------------------------------------------------------------------


def totals(plan, costs, sizes):
    """The total cost and bytes of a plan; Mismatch if it is none for these layers."""
    if not isinstance(plan, dict) or plan.keys() != costs.keys():
        raise Mismatch(plan, "a dict with a precision for each layer")
    odd = [name for name, precision in plan.items() if not isinstance(precision, str) or precision not in costs[name]]
    if odd:
        raise Mismatch(got=f"{plan[odd[0]]!r} for {odd[0]}", want=f"one of {', '.join(costs[odd[0]])}")
    return tuple(sum(table[name][precision] for name, precision in plan.items()) for table in (costs, sizes))


def best_plan(got, want, costs, sizes):
    """Ask for the totals of the best plan, whichever plan has them."""
    (cost, size), (least, smallest) = totals(got, costs, sizes), totals(want, costs, sizes)
    if (cost, size) != (least, smallest):
        raise Mismatch(got=f"a plan of cost {cost} and {size} bytes", want=f"one of cost {least} and {smallest} bytes")


def drawn(generator, layers, precisions=4, largest=250, size=2**31):
    """Random costs and sizes, larger costs mostly where sizes are small; each layer's precisions have names of their own."""
    costs, sizes = {}, {}
    for layer in range(layers):
        names = [f"p{layer}.{index}" for index in range(precisions)]
        bytes_ = sorted(torch.randint(1, size, (precisions,), generator=generator).tolist(), reverse=True)
        costs_ = sorted(torch.randint(0, largest + 1, (precisions,), generator=generator).tolist())
        costs[f"layer.{layer}"] = dict(zip(names, costs_, strict=True))
        sizes[f"layer.{layer}"] = dict(zip(names, bytes_, strict=True))
    return costs, sizes


def between(sizes, share):
    """A budget that lies at `share` of the way from the smallest plan to the largest."""
    low, high = (sum(pick(each.values()) for each in sizes.values()) for pick in (min, max))
    return low + int(share * (high - low))


class TestPlanMixedPrecision:
    points = 4

    @main
    @pytest.mark.parametrize("share", [0.5, 0.2, 0.8], ids=str)
    def test_least_cost_that_fits(self, student, reference, generator, share):
        """Of all plans that fit the one of least total cost."""
        costs, sizes = drawn(generator, 9, 3, 40, 1000)
        budget = between(sizes, share)
        got, want = (each.plan_mixed_precision(costs, sizes, budget) for each in (student, reference))
        best_plan(got, want, costs, sizes)

    @pytest.mark.parametrize("case", range(6), ids=str)
    def test_not_greedy(self, student, reference, generator, case):
        """Small plans in which going for the least cost, the least size or the best ratio goes wrong."""
        costs, sizes = drawn(generator, 4, 3, 12, 30)
        budget = between(sizes, 0.15 + 0.12 * case)
        got, want = (each.plan_mixed_precision(costs, sizes, budget) for each in (student, reference))
        best_plan(got, want, costs, sizes)

    def test_fewest_bytes_of_equal_cost(self, student, reference, generator):
        """Of plans of equal cost the one with fewer bytes."""
        costs, sizes = drawn(generator, 8, 4, 3, 500)
        budget = between(sizes, 0.6)
        got, want = (each.plan_mixed_precision(costs, sizes, budget) for each in (student, reference))
        best_plan(got, want, costs, sizes)

    @pytest.mark.parametrize("spare", [0, 1], ids=["exactly", "one byte more"])
    def test_a_plan_may_fill_the_budget(self, student, reference, spare):
        """Bytes equal to the budget fit."""
        costs = {"a": {"x": 0, "y": 5}, "b": {"x": 1, "y": 7}}
        sizes = {"a": {"x": 30, "y": 10}, "b": {"x": 25, "y": 9}}
        budget = 55 - 1 + spare
        got, want = (each.plan_mixed_precision(costs, sizes, budget) for each in (student, reference))
        best_plan(got, want, costs, sizes)

    def test_the_smallest_plan_just_fits(self, student, reference, generator):
        """A budget of exactly the smallest plan."""
        costs, sizes = drawn(generator, 6, 3, 50, 900)
        got, want = (each.plan_mixed_precision(costs, sizes, between(sizes, 0.0)) for each in (student, reference))
        best_plan(got, want, costs, sizes)

    def test_cost_and_size_need_not_go_together(self, student, reference, generator):
        """A precision may be larger and worse than another, or the only one."""
        costs, sizes = drawn(generator, 7, 3, 30, 200)
        sizes = {name: dict(zip(each, reversed(list(each.values())), strict=True)) for name, each in sizes.items()}
        costs["only"], sizes["only"] = {"this": 250}, {"this": 17}
        budget = between(sizes, 0.5)
        got, want = (each.plan_mixed_precision(costs, sizes, budget) for each in (student, reference))
        best_plan(got, want, costs, sizes)

    def test_the_order_of_keys_is_free(self, student, reference, generator):
        """Layers and precisions may stand in another order among the sizes than among the costs."""
        costs, sizes = drawn(generator, 7, 4, 40, 900)
        sizes = {name: dict(reversed(each.items())) for name, each in reversed(sizes.items())}
        budget = between(sizes, 0.5)
        got, want = (each.plan_mixed_precision(costs, sizes, budget) for each in (student, reference))
        best_plan(got, want, costs, sizes)

    def test_forty_layers(self, student, reference, generator):
        """40 layers of 4 precisions, sizes up to 2**31, in time."""
        costs, sizes = drawn(generator, 40)
        budget = between(sizes, 0.4)
        got, want = (each.plan_mixed_precision(costs, sizes, budget) for each in (student, reference))
        best_plan(got, want, costs, sizes)

    def test_no_layers(self, student):
        """No layers need no plan."""
        same(student.plan_mixed_precision({}, {}, 10), {})

    @pytest.mark.parametrize("missing", [1, 10_000], ids=["by one byte", "by far"])
    def test_refuses_a_budget_that_is_too_small(self, student, generator, missing):
        """If even the smallest plan does not fit, there is none."""
        costs, sizes = drawn(generator, 5, 3, 50, 900)
        with raises(ValueError):
            student.plan_mixed_precision(costs, sizes, between(sizes, 0.0) - missing)


def contents(record):
    """The values of a plain tensor, or those inside a quantized one by name."""
    if isinstance(record, QuantizedRecord):
        return {name: contents(inner) for name, inner in record.inner.items()}
    return record.tensor


def same_model(got, want):
    """Compare two models by their modules' types, the qtypes of their weights, and every stored number, bit for bit."""
    if not isinstance(got, ModelRecord):
        raise Mismatch(got, "a model")
    same({name: module.type for name, module in got.modules.items()}, {n: m.type for n, m in want.modules.items()})
    same(records.qtypes(got), records.qtypes(want))
    same(
        {n: contents(r) for n, r in records.tensors(got).items()},
        {n: contents(r) for n, r in records.tensors(want).items()},
    )


MLP = recipe(precisions.builder, "mlp", widths=[16, 32, 16, 16])
NESTED = recipe(precisions.builder, "nested", seed=3)
LLAMA = recipe(variants.tiny_llama_builder, 4)
QUERY, OUTPUT = "encoder.0.attention.query", "encoder.1.attention.output"


class TestApplyPlan:
    points = 3

    @main
    @pytest.mark.parametrize(
        ("build", "plan"),
        [
            (MLP, {"layers.2": "qint2", "layers.0": "qint8", "layers.1": "qint4"}),
            (NESTED, {"lm_head": "qint4", QUERY: "qint2"}),
            (
                LLAMA,
                {
                    "model.layers.1.mlp.down_proj": "qint8",
                    "lm_head": "qint2",
                    "model.layers.0.self_attn.q_proj": "qint4",
                },
            ),
        ],
        ids=["mlp", "nested", "llama"],
    )
    def test_each_layer_in_its_precision(self, student, reference, build, plan):
        """The layers of the plan store these codes, the others are float."""
        same_model(student.apply_plan(build, plan), reference.apply_plan(build, plan))

    @pytest.mark.parametrize("precision", ["qint8", "qint4", "qint2"])
    def test_one_layer(self, student, reference, precision):
        """A plan for one layer leaves all others alone."""
        plan = {"layers.1": precision}
        same_model(student.apply_plan(MLP, plan), reference.apply_plan(MLP, plan))

    def test_another_model(self, student, reference):
        """The same plan for a model of other weights."""
        plan = {"layers.1": "qint4"}
        build = recipe(precisions.builder, "mlp", widths=[16, 32, 16, 16], seed=9)
        same_model(student.apply_plan(build, plan), reference.apply_plan(build, plan))

    def test_names_that_begin_alike(self, student, reference):
        """layers.1 is not layers.10."""
        build = recipe(precisions.builder, "mlp", widths=[16] * 13)
        plan = {"layers.1": "qint4", "layers.11": "qint8"}
        same_model(student.apply_plan(build, plan), reference.apply_plan(build, plan))

    def test_names_that_end_alike(self, student, reference):
        """output is not part.output."""
        build = recipe(precisions.builder, "same_ending")
        same_model(student.apply_plan(build, {"output": "qint8"}), reference.apply_plan(build, {"output": "qint8"}))

    @pytest.mark.parametrize("plan", [{}, {"layers.0": "float32", "layers.2": "float32"}], ids=["empty", "float32"])
    def test_float_layers(self, student, reference, plan):
        """What the plan lacks, or has as float32, stays float."""
        same_model(student.apply_plan(MLP, plan), reference.apply_plan(MLP, plan))

    def test_float32_beside_others(self, student, reference):
        """float32 and quantized layers in one plan."""
        plan = {"layers.0": "float32", "layers.1": "qint2", "layers.2": "float32"}
        same_model(student.apply_plan(MLP, plan), reference.apply_plan(MLP, plan))

    @pytest.mark.parametrize("precision", ["qint8", "float32"])
    @pytest.mark.parametrize("name", ["layers.9", "layers", "", "layers.*", "1", "*"])
    def test_refuses_names_of_no_linear(self, student, name, precision):
        """A name that is no Linear, a container's or a glob, is refused; with float32 too."""
        with raises(ValueError):
            student.apply_plan(MLP, {"layers.0": "qint8", name: precision})

    @pytest.mark.parametrize("precision", ["qint4", "float32"])
    @pytest.mark.parametrize("build", ["nested", "convolutional", "tied"])
    def test_refuses_norms_convolutions_and_embeddings(self, student, build, precision):
        """Other modules that have weights are no Linears."""
        name = {"nested": "encoder.0.norm", "convolutional": "conv_in", "tied": "embedding"}[build]
        with raises(ValueError):
            student.apply_plan(recipe(precisions.builder, build), {name: precision})

    @pytest.mark.parametrize("precision", ["qfloat8", "int8", "bfloat16", "qint3", "QINT8", "Float32", ""])
    def test_refuses_other_precisions(self, student, precision):
        """Only the four precisions."""
        with raises(ValueError):
            student.apply_plan(MLP, {"layers.1": precision})

    @observed
    @pytest.mark.parametrize("plan", [{}, {"layers.0": "qint8", "layers.1": "qint4"}], ids=["empty", "two"])
    def test_builds_once(self, student, plan):
        """One model is built."""
        same(student.probe(probes.builds_made, "apply_plan", MLP, plan), 1)


class TestParetoFront:
    @main
    @pytest.mark.parametrize("case", range(3), ids=str)
    def test_rows_that_none_beats(self, student, reference, generator, case):
        """Whole rows, by ascending bytes."""
        numbers = torch.randint(0, 12 + 20 * case, (25, 2), generator=generator).tolist()
        rows = [{"bytes": b, "score": s / 40, "name": f"row {i}", "plan": {"a": i}} for i, (b, s) in enumerate(numbers)]
        same(student.pareto_front(rows), reference.pareto_front(rows))

    @pytest.mark.parametrize(
        "pairs",
        [
            [(5, 0.5), (5, 0.7), (5, 0.6)],
            [(7, 0.5), (5, 0.5), (6, 0.5)],
            [(5, 0.5), (6, 0.6), (7, 0.7)],
            [(7, 0.1), (6, 0.2), (5, 0.3)],
            [(7, -0.1), (5, -3.0)],
            [(3, 0.0)],
            [(6, 0.7 + 2**-40), (5, 0.7), (2**40 + 1, 0.8 + 2**-40), (2**40, 0.8)],
        ],
        ids=["equal bytes", "equal scores", "all", "one", "negative", "single", "nearly equal"],
    )
    def test_small_lists(self, student, reference, pairs):
        """Better in one is enough, if it is not worse in the other."""
        rows = [{"score": score, "bytes": size, "at": at} for at, (size, score) in enumerate(pairs)]
        same(student.pareto_front(rows), reference.pareto_front(rows))

    def test_equal_rows_once(self, student, reference):
        """Of rows of equal bytes and score the first in the list."""
        pairs = [(9, 0.9), (5, 0.5), (9, 0.9), (5, 0.5), (5, 0.4), (9, 0.9)]
        rows = [{"bytes": size, "score": score, "at": 9 - at} for at, (size, score) in enumerate(pairs)]
        same(student.pareto_front(rows), reference.pareto_front(rows))

    def test_no_rows(self, student):
        """An empty list gives an empty list."""
        same(student.pareto_front([]), [])


# Two models -------------------------------------------------------------------------------------------------------------


def evaluator(code, seed, count=100):
    """A student's evaluator: on numbers that are not the judge's."""
    return recipe(models.llama_evaluator, recipe(variants.coded_lines, count, seed, code))


@functools.cache
def own_evaluator(code):
    """The judge's evaluator of a code, on numbers of its own."""
    return models.llama_evaluator(variants.coded_lines(200, 90_210 + code, code))


def outlier(code, channel):
    """The build of a variant with an outlier, as recipe and as function."""
    make = functools.partial(variants.tiny_llama_builder, code, factor=128.0, channel=channel)
    return recipe(variants.tiny_llama_builder, code, factor=128.0, channel=channel), make()


def plain_int8(model):
    """Quantize weights and activations and freeze: what has to come back, but for its numbers."""
    quanto = load_quanto()
    quanto.quantize(model, weights="qint8", activations="qint8")
    quanto.freeze(model)
    return model


@once
def float_score(code):
    """The judge's score of the float model of a code."""
    return own_evaluator(code)(variants.tiny_llama_variant(code))


def reaches(score, wanted):
    """Ask for a score."""
    if not score >= wanted:
        raise Mismatch(got=f"a score of {score:.4f}", want=f"at least {wanted:.4f}")


OUTLIERS = {"the lesson's": (31, 5), "another": (32, 11)}


class TestRepair:
    points = 6

    @staticmethod
    def _repaired(student, case, seed=7):
        code, channel = OUTLIERS[case]
        batches = variants.coded_lines(60, seed, code, size=20, held_out=False)
        got = student.repair(outlier(code, channel)[0], evaluator(code, 5), batches)
        return got, code, outlier(code, channel)[1]

    @main
    @pytest.mark.parametrize("case", OUTLIERS)
    def test_works_in_int8(self, student, case):
        """In int8 weights and activations it keeps 0.9 of the float model's score."""
        got, code, build = self._repaired(student, case)
        reaches(measuring.int8_score(got, build, plain_int8, own_evaluator(code)), 0.9 * float_score(code))

    @pytest.mark.parametrize("case", OUTLIERS)
    def test_is_no_larger(self, student, case):
        """It stores no more than plain int8."""
        got, _, build = self._repaired(student, case)
        if not isinstance(got, ModelRecord):
            raise Mismatch(got, "a model")
        size, limit = measuring.stored_bytes(got), measuring.stored_bytes(measuring.record_of(plain_int8(build())))
        same(size <= limit, True)

    @pytest.mark.parametrize("case", OUTLIERS)
    def test_other_samples(self, student, case):
        """Other samples to calibrate with, other numbers in them."""
        got, code, build = self._repaired(student, case, seed=8)
        reaches(measuring.int8_score(got, build, plain_int8, own_evaluator(code)), 0.9 * float_score(code))


ALL_QINT2, ALL_QINT4 = 10_336, 12_624
BUDGETS = {
    name: (code, ALL_QINT2 + round(share * (ALL_QINT4 - ALL_QINT2)))
    for name, code, share in [("half", 41, 0.5), ("three quarters", 42, 0.75), ("all", 43, 1.0)]
}


def made_for(implementation, case):
    """The model that an implementation makes for one of the budgets."""
    code, budget = BUDGETS[case]
    return implementation.smallest_model(recipe(variants.tiny_llama_builder, code), evaluator(code, 6), budget)


def measured(got, case):
    """The judge's score of a model that was made for one of the budgets. Raises Mismatch if it is over it."""
    code, budget = BUDGETS[case]
    return measuring.llama_score(got, budget, variants.tiny_llama_builder(code), own_evaluator(code))


class TestSmallestModel:
    points = 10

    @staticmethod
    def _share(student, reference, case, share):
        best = max(measured(made_for(reference, case), case), float_score(BUDGETS[case][0]) * 0.9999)
        reaches(measured(made_for(student, case), case), share * best)

    @main
    @pytest.mark.parametrize("case", BUDGETS)
    def test_fits_and_works(self, student, reference, case):
        """It stores no more than the budget, and reaches 0.80 of the best known score."""
        self._share(student, reference, case, 0.80)

    @pytest.mark.parametrize("case", BUDGETS)
    def test_works_well(self, student, reference, case):
        """It reaches 0.85 of the best known score."""
        self._share(student, reference, case, 0.85)

    @pytest.mark.parametrize("case", BUDGETS)
    def test_works_better(self, student, reference, case):
        """It reaches 0.90 of the best known score."""
        self._share(student, reference, case, 0.90)

    @pytest.mark.parametrize("case", BUDGETS)
    def test_is_nearly_the_best(self, student, reference, case):
        """It reaches 0.94 of the best known score."""
        self._share(student, reference, case, 0.94)

    @pytest.mark.parametrize("case", BUDGETS)
    def test_is_as_good_as_the_best(self, student, reference, case):
        """It reaches 0.97 of the best known score."""
        self._share(student, reference, case, 0.97)

    @staticmethod
    def measured(student):
        """Rows for the leaderboard: what a submission's models store and score at each budget they fit."""
        rows = []
        for case, (_, budget) in BUDGETS.items():
            got = made_for(student, case)
            rows.append(
                {"budget": budget, "bytes": measuring.stored_bytes(got), "score": round(measured(got, case), 6)}
            )
        return rows
