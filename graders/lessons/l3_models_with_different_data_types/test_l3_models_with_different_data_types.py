"""Hidden tests of lesson 3: casting whole models, counting their bytes, and what it does to what they say."""

import copy
import functools

import pytest
import torch
from torch import nn

from exercises.kit import models, scenes, toys
from exercises.kit.checking.closeness import Mismatch, exactly, gamma, python_floats, relative, same, within
from exercises.kit.probes import l3 as probes
from exercises.kit.toys import behaviours, casts, endings, precisions, small_transformers, tensors, variants
from graders.judge import records
from graders.judge.contract import main, observed, once, raises, recipe
from graders.wire import codec
from graders.wire.records import ModelRecord

FLOAT64, FLOAT32, FLOAT16, BFLOAT16 = torch.float64, torch.float32, torch.float16, torch.bfloat16
FLOAT8 = torch.float8_e4m3fn

# Values at which roundings part: ties and what is next to them, carries, subnormals, the ends of the ranges, signs.
EDGES = torch.tensor(
    [
        [257.0, 2049.0, 2051.0, 1 + 2**-8, 1 + 3 * 2**-8, 1 + 2**-11],
        [-257.0, 65519.0, 65520.0, 3.4e38, 2.0**-24, 2.0**-25],
        [1 / 3, -1 / 3, 1e-8, -1e5, 0.0, 8190.0],
    ]
)
TIED_GROUPS = recipe(toys.tied_groups)
FROZEN = recipe(casts.frozen, TIED_GROUPS)
FROZEN_FLOATS = recipe(casts.frozen, TIED_GROUPS, count=False)
OTHER_NAME = recipe(casts.by_another_name)
TWO_NAMES = recipe(toys.module_under_two_names)
WITHOUT_TENSORS = recipe(toys.without_tensors)
BUFFERED = recipe(behaviours.buffered)
BATCH_NORM = recipe(behaviours.batch_norm)
CONVOLUTIONAL = recipe(toys.convolutional)
MIXED_MODES = recipe(behaviours.mixed_modes)
EDGY = recipe(toys.mlp_from, [EDGES, EDGES.T])
WIDE = recipe(toys.mlp_from, [torch.tensor([[1 / 3, 1 + 2**-40], [1e300, -(2.0**-1060)]], dtype=torch.float64)])
PROCESSOR = recipe(models.tiny_blip_processor)


def hidden(generator) -> int:
    """A seed for a recipe that nobody can guess."""
    return int(torch.randint(2**31, (), generator=generator))


def mixed(*dtypes, seed=0):
    """A perceptron with one layer in each dtype."""
    return recipe(toys.mixed_dtypes, list(dtypes), seed)


def meta(model):
    """The same model without data."""
    return recipe(toys.on_meta, model)


def record(model: nn.Module) -> ModelRecord:
    """The record of a model that was made here."""
    return codec.decode(codec.encode(model))


@once
def record_of(model) -> ModelRecord:
    """The record of a recipe's model, made here."""
    return record(model.build())


@once
def cast(model, dtype) -> ModelRecord:
    """The record of a recipe's model after torch's own cast, made here."""
    return record(copy.deepcopy(model.build()).to(dtype))


def ties(model: ModelRecord) -> list[str]:
    """The names of each tie, as a message tells them: `embedding.weight = lm_head.weight`."""
    return [" = ".join(sorted(names)) for names in records.ties(model)]


def same_model(got, want: ModelRecord) -> None:
    """Compare two models by their modules, dtypes, values bit for bit, ties, training modes and which buffers are saved."""
    if not isinstance(got, ModelRecord):
        raise Mismatch(got, "a model")
    same({name: module.type for name, module in got.modules.items()}, {n: m.type for n, m in want.modules.items()})
    same(records.dtypes(got), records.dtypes(want))
    same(records.values(got), records.values(want))
    same(dict.fromkeys(ties(got), "tied"), dict.fromkeys(ties(want), "tied"))
    same(told_modes(got), told_modes(want))
    same(saved(got), saved(want))


def told_modes(model: ModelRecord) -> dict[str, str]:
    """The mode of every module, as a message tells it."""
    return {name: "in train mode" if on else "in eval mode" for name, on in records.training(model).items()}


def saved(model: ModelRecord) -> dict[str, str]:
    """Which buffers the state dict saves, as a message tells it."""
    return {name: "saved" if buffer.persistent else "not saved" for name, buffer in model.buffers.items()}


@once
def trained_of(model) -> dict[str, bool]:
    """Which parameters of a recipe's model require gradients."""
    return {name: parameter.requires_grad for name, parameter in model.build().named_parameters()}


@once
def small_blip(seed, *dtypes) -> ModelRecord:
    """The record of a small BLIP after casts, one after the other."""
    model = small_transformers.small_blip(seed)
    for dtype in dtypes:
        model.to(dtype)
    return record(model)


@functools.cache
def trained(dtype) -> ModelRecord:
    """The record of the tiny BLIP after a cast."""
    return record(casts.tiny_blip_alone().to(dtype))


class TestParameterDtypes:
    @main
    @pytest.mark.parametrize(
        "model",
        [mixed(FLOAT16, FLOAT32, BFLOAT16), mixed(BFLOAT16, FLOAT64, FLOAT8), recipe(behaviours.nested)],
        ids=["three", "others", "nested"],
    )
    def test_names_and_dtypes_in_order(self, student, reference, model):
        """Every parameter's dtype stands under its qualified name, in the order of the model."""
        same(student.parameter_dtypes(model), reference.parameter_dtypes(model), ordered=True)

    @pytest.mark.parametrize(
        "model",
        [TIED_GROUPS, TWO_NAMES, recipe(toys.tied), OTHER_NAME],
        ids=["groups", "module", "head", "another name"],
    )
    def test_tied_parameters_come_once(self, student, reference, model):
        """A tied parameter comes once, at its first name."""
        same(student.parameter_dtypes(model), reference.parameter_dtypes(model), ordered=True)

    @pytest.mark.parametrize(
        "model",
        [FROZEN, recipe(casts.one_storage), meta(recipe(behaviours.nested))],
        ids=["frozen", "one storage", "meta"],
    )
    def test_every_parameter_comes(self, student, reference, model):
        """Every parameter comes, also a frozen one, an integer one, and two that are not tied but look at one storage."""
        same(student.parameter_dtypes(model), reference.parameter_dtypes(model), ordered=True)

    @pytest.mark.parametrize("model", [BUFFERED, BATCH_NORM], ids=["all kinds", "batch norm"])
    def test_buffers_do_not_come(self, student, reference, model):
        """Buffers are no parameters."""
        same(student.parameter_dtypes(model), reference.parameter_dtypes(model), ordered=True)

    @pytest.mark.parametrize(
        "model", [WITHOUT_TENSORS, recipe(toys.root_leaf, torch.ones(3, dtype=FLOAT16))], ids=["nothing", "root"]
    )
    def test_small_models(self, student, reference, model):
        """A model without parameters gives an empty dict, a parameter of the root has no dot in its name."""
        same(student.parameter_dtypes(model), reference.parameter_dtypes(model), ordered=True)


class TestHalfInPlace:
    @main
    def test_every_float_becomes_float16(self, student, generator):
        """All float parameters become float16, each rounded to nearest."""
        for_seed = hidden(generator)
        model = recipe(toys.mlp, [24, 16, 8], for_seed)
        same_model(student.half_in_place(model), cast(model, FLOAT16))

    @pytest.mark.parametrize(
        "model", [EDGY, mixed(FLOAT64, BFLOAT16, FLOAT16, FLOAT32, FLOAT8)], ids=["edges", "from other dtypes"]
    )
    def test_rounding_and_range(self, student, model):
        """Ties go to even, what is too large becomes an infinity, and every float dtype is cast."""
        same_model(student.half_in_place(model), cast(model, FLOAT16))

    @pytest.mark.parametrize("model", [BUFFERED, BATCH_NORM, CONVOLUTIONAL], ids=["all kinds", "batch norm", "conv"])
    def test_buffers(self, student, model):
        """Float buffers become float16, integer and bool buffers stay as they are."""
        same_model(student.half_in_place(model), cast(model, FLOAT16))

    @pytest.mark.parametrize("model", [TIED_GROUPS, MIXED_MODES, FROZEN_FLOATS], ids=["ties", "modes", "frozen"])
    def test_ties_and_modes(self, student, model):
        """Tied parameters stay tied, every module stays in its mode, and what is not trained is cast too."""
        same_model(student.half_in_place(model), cast(model, FLOAT16))

    @observed
    @pytest.mark.parametrize("model", [MIXED_MODES, BUFFERED], ids=["nested", "buffers"])
    def test_same_object(self, student, model):
        """The model itself comes back, not a copy."""
        same(student.probe(probes.what_comes_back, "half_in_place", model), "the model itself")

    @observed
    @pytest.mark.parametrize("model", [MIXED_MODES, TIED_GROUPS], ids=["nested", "ties"])
    def test_same_parameters(self, student, model):
        """The model keeps its Parameter objects; only what they hold changes."""
        same(student.probe(probes.renewed_parameters, "half_in_place", model), [])

    @observed
    @pytest.mark.parametrize("model", [FROZEN_FLOATS, FROZEN], ids=["frozen", "with integers"])
    def test_what_is_trained(self, student, model):
        """Parameters require gradients if they did before, and only then."""
        same(student.probe(probes.trained_parameters, "half_in_place", model), trained_of(model))


class TestCastCopy:
    @main
    @pytest.mark.parametrize("dtype", [BFLOAT16, FLOAT16, FLOAT64], ids=str)
    def test_values_in_the_new_dtype(self, student, generator, dtype):
        """The copy holds the model's values in the new dtype, each rounded to nearest."""
        model = recipe(toys.mlp, [24, 16, 8], hidden(generator))
        same_model(student.cast_copy(model, dtype), cast(model, dtype))

    @pytest.mark.parametrize("dtype", [BFLOAT16, FLOAT16, FLOAT32], ids=str)
    @pytest.mark.parametrize(
        "model", [EDGY, mixed(FLOAT64, BFLOAT16, FLOAT16, FLOAT32, FLOAT8)], ids=["edges", "mixed"]
    )
    def test_rounding_and_range(self, student, model, dtype):
        """Ties go to even, what is too large becomes an infinity, and every float dtype is cast."""
        same_model(student.cast_copy(model, dtype), cast(model, dtype))

    def test_float64_stays_whole(self, student):
        """A float64 model is not rounded on its way to float64."""
        same_model(student.cast_copy(WIDE, FLOAT64), record_of(WIDE))

    @pytest.mark.parametrize("model", [BUFFERED, CONVOLUTIONAL], ids=["all kinds", "batch norm"])
    def test_buffers(self, student, model):
        """Float buffers are cast, integer and bool buffers keep dtype and values."""
        same_model(student.cast_copy(model, BFLOAT16), cast(model, BFLOAT16))

    @pytest.mark.parametrize("model", [TIED_GROUPS, TWO_NAMES, FROZEN_FLOATS], ids=["groups", "module", "frozen"])
    def test_ties(self, student, model):
        """What is tied in the model is tied in the copy, and what is not trained is cast too."""
        same_model(student.cast_copy(model, BFLOAT16), cast(model, BFLOAT16))

    @pytest.mark.parametrize("model", [MIXED_MODES, recipe(behaviours.nested)], ids=["mixed", "training"])
    def test_modes(self, student, model):
        """Every module of the copy is in the mode of the original's."""
        same_model(student.cast_copy(model, FLOAT16), cast(model, FLOAT16))

    @observed
    @pytest.mark.parametrize("model", [BUFFERED, mixed(FLOAT32, BFLOAT16)], ids=["all kinds", "two dtypes"])
    def test_shares_no_storage(self, student, model):
        """The copy shares no storage with the original, also where the dtype stays."""
        same(student.probe(probes.shared_names, "cast_copy", model, FLOAT32), [])

    @observed
    @pytest.mark.parametrize("model", [FROZEN_FLOATS, FROZEN], ids=["frozen", "with integers"])
    def test_what_is_trained(self, student, model):
        """Parameters of the copy require gradients if the original's do, and only then."""
        same(student.probe(probes.trained_parameters, "cast_copy", model, BFLOAT16), trained_of(model))


class TestLogitsGap:
    @main
    @pytest.mark.parametrize(
        ("expected", "actual"),
        [
            (torch.tensor([1.0, -2.0, 4.0, 8.0]), torch.tensor([1.5, -4.0, 4.0, 8.0])),
            (torch.tensor([[3.0, -7.5], [0.25, 10.0]]), torch.tensor([[3.5, 0.5], [0.25, 9.0]], dtype=BFLOAT16)),
            (torch.tensor([[[-5.0]], [[6.0]]], dtype=FLOAT16), torch.tensor([[[-5.5]], [[2.5]]])),
            (torch.arange(6.0).reshape(2, 3).T, torch.tensor([[0.0, 3.0], [1.0, 1.0], [8.0, 5.0]])),
            (torch.tensor([1.0, 1 + 2**-20]), torch.tensor([1 + 2**-19, 1.0])),
            (torch.tensor([1.0, 1.0], dtype=BFLOAT16), torch.tensor([257.0, 1.0])),
            (torch.tensor([2049.0, 1.0]), torch.tensor([1.0, 1.0], dtype=FLOAT16)),
            (torch.tensor([[8.0, 0.0], [1.0, 1.0], [0.0, 0.0]]), torch.tensor([[0.0, 0.0], [1.0, 2.0], [0.0, -3.0]])),
            (recipe(tensors.inside, torch.tensor([1.0, 4.0])), recipe(tensors.inside, torch.tensor([1.5, 2.0]))),
            (torch.tensor([1.0, 9.0, 4.0, 9.0])[::2], torch.tensor([[1.5, 2.0], [7.0, 7.0]]).T[:, 0]),
            (torch.tensor(2.5), torch.tensor(-1.0)),
        ],
        ids=[
            *["vector", "bfloat16", "float16", "transposed", "fine", "from bfloat16", "to float16"],
            *["unequal rows", "slices of larger storages", "strided", "0-dim"],
        ],
    )
    def test_mean_and_largest(self, student, reference, expected, actual):
        """The mean and the largest absolute difference, in this order, as Python floats."""
        same(student.logits_gap(expected, actual), reference.logits_gap(expected, actual), exactly)

    @pytest.mark.parametrize(
        ("expected", "actual", "gap"),
        [
            (torch.tensor([256.0, 256.0]), torch.tensor([0.5, 0.5]), 255.5),
            (torch.tensor([4096.0, 2048.0]), torch.tensor([0.5, 2047.5]), 2048.0),
            (torch.tensor([40000.0]), torch.tensor([-40000.0]), 80000.0),
        ],
        ids=["rounding", "mean", "overflow"],
    )
    @pytest.mark.parametrize("dtype", [BFLOAT16, FLOAT16], ids=str)
    def test_float32_for_narrow_inputs(self, student, reference, expected, actual, gap, dtype):
        """The difference of two 16-bit tensors is taken in float32, where it neither rounds nor overflows."""
        narrow = expected.to(dtype), actual.to(dtype)
        same(student.logits_gap(*narrow), reference.logits_gap(*narrow), exactly)

    @pytest.mark.parametrize(
        ("expected", "actual"),
        [
            (torch.tensor([1 + 2**-40, 3.0], dtype=FLOAT64), torch.tensor([1.0, 3.5], dtype=FLOAT64)),
            (torch.tensor([1 + 2**-40], dtype=FLOAT64), torch.tensor([1.0])),
            (torch.tensor([1.0], dtype=BFLOAT16), torch.tensor([1 + 2**-40], dtype=FLOAT64)),
        ],
        ids=["both", "first", "second"],
    )
    def test_float32_for_wide_inputs(self, student, reference, expected, actual):
        """float64 logits are cast to float32 first."""
        same(student.logits_gap(expected, actual), reference.logits_gap(expected, actual), exactly)

    @pytest.mark.parametrize("dtype", [FLOAT32, FLOAT16, BFLOAT16], ids=str)
    def test_many_logits(self, student, generator, dtype):
        """A batch of logits, compared with the exact gap."""
        expected = torch.randn(3, 7, 19, generator=generator)
        actual = (expected + 0.1 * torch.randn(3, 7, 19, generator=generator)).to(dtype)
        gap = (expected.double() - actual.double()).abs()
        want = gap.mean().item(), gap.max().item()
        same(student.logits_gap(expected, actual), want, relative(gamma(gap.numel() + 2, 2**-24)))

    def test_gradients(self, student):
        """Logits that require gradients are compared like any others."""
        expected, actual = torch.tensor([1.0, 2.0]).requires_grad_(), torch.tensor([1.5, 4.0]).requires_grad_()
        same(student.logits_gap(expected, actual), (1.25, 2.0), exactly)

    @pytest.mark.parametrize(
        ("expected", "actual"),
        [((2, 1), (1, 2)), ((4,), (1, 4)), ((4,), (1,)), ((2, 3), (3, 2)), ((0,), (0,)), ((2, 0), (2, 0))],
        ids=["outer", "row", "one", "turned", "empty", "no columns"],
    )
    def test_refuses(self, student, expected, actual):
        """Another shape is refused, even if it could be broadcast, and so is nothing at all."""
        with raises(ValueError):
            student.logits_gap(torch.ones(expected), torch.ones(actual))


class TestMemoryFootprint:
    @main
    @pytest.mark.parametrize(
        "model",
        [
            recipe(toys.dummy_model),
            mixed(FLOAT16, FLOAT64, FLOAT8, FLOAT32),
            CONVOLUTIONAL,
            recipe(small_transformers.small_blip),
        ],
        ids=["dummy", "mixed", "convolutions", "blip"],
    )
    def test_bytes(self, student, reference, model):
        """Every element counts with the bytes of its dtype."""
        same(student.memory_footprint(model), reference.memory_footprint(model))

    @pytest.mark.parametrize("model", [TIED_GROUPS, recipe(toys.tied), TWO_NAMES], ids=["groups", "head", "module"])
    def test_ties_count_once(self, student, reference, model):
        """A tied parameter counts once."""
        same(student.memory_footprint(model), reference.memory_footprint(model))

    @pytest.mark.parametrize(
        "model", [BUFFERED, recipe(behaviours.non_persistent), BATCH_NORM], ids=["all kinds", "unsaved", "norm"]
    )
    def test_buffers(self, student, reference, model):
        """Buffers count, of every dtype, saved or not."""
        same(student.memory_footprint(model), reference.memory_footprint(model))

    @pytest.mark.parametrize("model", [BATCH_NORM, BUFFERED], ids=["norm", "all kinds"])
    def test_slices(self, student, reference, model):
        """A tensor that is a slice of a larger storage counts its own elements."""
        sliced = recipe(tensors.inside_each, model)
        same(student.memory_footprint(sliced), reference.memory_footprint(sliced))

    def test_frozen_parameters(self, student, reference):
        """Parameters that are not trained, and integer ones, need memory too."""
        same(student.memory_footprint(FROZEN), reference.memory_footprint(FROZEN))

    def test_shared_buffers_count_once(self, student, reference):
        """A buffer that several modules share counts once."""
        model = recipe(behaviours.shared_buffer)
        same(student.memory_footprint(model), reference.memory_footprint(model))

    @pytest.mark.parametrize(
        "model", [meta(CONVOLUTIONAL), meta(TIED_GROUPS), meta(BUFFERED)], ids=["plain", "ties", "buffers"]
    )
    def test_meta(self, student, reference, model):
        """A model on the meta device counts as one with data."""
        same(student.memory_footprint(model), reference.memory_footprint(model))

    def test_nothing(self, student):
        """A model without parameters and buffers has no bytes."""
        same(student.memory_footprint(WITHOUT_TENSORS), 0)


RATIO = python_floats(relative(2.0**-48))


class TestFootprintRatio:
    @main
    @pytest.mark.parametrize("dtype", [BFLOAT16, FLOAT64, FLOAT8], ids=str)
    @pytest.mark.parametrize(
        "model",
        [BUFFERED, BATCH_NORM, recipe(toys.mlp), recipe(casts.statistics_alone)],
        ids=["buffers", "norm", "plain", "buffers alone"],
    )
    def test_ratio(self, student, reference, model, dtype):
        """Float tensors change their size, integer and bool buffers do not."""
        same(student.footprint_ratio(model, dtype), reference.footprint_ratio(model, dtype), RATIO)

    @pytest.mark.parametrize("dtype", [FLOAT16, FLOAT32], ids=str)
    def test_from_several_dtypes(self, student, reference, dtype):
        """Every float tensor is counted from the dtype that it has now."""
        model = recipe(casts.beside_integers, mixed(FLOAT16, FLOAT64, FLOAT32, FLOAT8))
        same(student.footprint_ratio(model, dtype), reference.footprint_ratio(model, dtype), RATIO)

    def test_slices(self, student, reference):
        """Tensors that are slices of larger storages count their own elements."""
        model = recipe(tensors.inside_each, BATCH_NORM)
        same(student.footprint_ratio(model, BFLOAT16), reference.footprint_ratio(model, BFLOAT16), RATIO)

    def test_meta(self, student, reference):
        """Nothing is cast: a model on the meta device has a ratio too."""
        model = meta(BUFFERED)
        same(student.footprint_ratio(model, BFLOAT16), reference.footprint_ratio(model, BFLOAT16), RATIO)

    @pytest.mark.parametrize(
        "model",
        [recipe(toys.tied), TIED_GROUPS, recipe(casts.shared_positions)],
        ids=["head", "groups", "shared buffer"],
    )
    def test_ties_count_once(self, student, reference, model):
        """A tied parameter, or a shared buffer, counts once before and once after."""
        with_buffers = recipe(casts.beside_integers, model)
        same(student.footprint_ratio(with_buffers, BFLOAT16), reference.footprint_ratio(with_buffers, BFLOAT16), RATIO)

    def test_nothing(self, student):
        """A model without parameters and buffers has the ratio 1.0."""
        same(student.footprint_ratio(WITHOUT_TENSORS, BFLOAT16), 1.0, exactly)


class TestDefaultDtype:
    @main
    @pytest.mark.parametrize(
        ("before", "dtype"),
        [(FLOAT32, BFLOAT16), (FLOAT32, FLOAT64), (FLOAT64, FLOAT16), (BFLOAT16, FLOAT32)],
        ids=str,
    )
    def test_inside_and_after(self, student, reference, before, dtype):
        """New float tensors get the dtype inside the block, and the old default before and after it."""
        made = student.probe(probes.made_around, "default_dtype", before, dtype)
        same(made, reference.probe(probes.made_around, "default_dtype", before, dtype))

    @pytest.mark.parametrize(
        "dtypes",
        [(FLOAT64, BFLOAT16), (FLOAT16, FLOAT16, FLOAT64), (FLOAT64, FLOAT32, BFLOAT16)],
        ids=["two", "same", "three"],
    )
    def test_nested(self, student, reference, dtypes):
        """Each block restores what held before it."""
        made = student.probe(probes.made_around, "default_dtype", FLOAT32, *dtypes)
        same(made, reference.probe(probes.made_around, "default_dtype", FLOAT32, *dtypes))

    @pytest.mark.parametrize(
        ("before", "dtypes"),
        [(FLOAT32, (BFLOAT16,)), (FLOAT64, (FLOAT16,)), (FLOAT32, (FLOAT64, BFLOAT16))],
        ids=["one", "from float64", "nested"],
    )
    def test_after_an_exception(self, student, before, dtypes):
        """The old default comes back after an exception too."""
        made = student.probe(probes.made_after_exception, "default_dtype", before, *dtypes)
        third = torch.tensor([1 / 3], dtype=before)
        same(made, {"without an exception": third, "after an exception": third})

    @pytest.mark.parametrize(
        ("before", "dtypes"), [(FLOAT32, (BFLOAT16,)), (FLOAT64, (FLOAT16, BFLOAT16))], ids=["one", "nested"]
    )
    def test_after_an_interrupt(self, student, before, dtypes):
        """A KeyboardInterrupt (a notebook's interrupt button) comes out too, and the old default is back."""
        made = student.probe(probes.made_after_interrupt, "default_dtype", before, *dtypes)
        same(made, {"the interrupt came out": True, "after it": torch.tensor([1 / 3], dtype=before)})

    def test_lets_an_exception_out(self, student):
        """An exception inside comes out of the block, whatever its kind."""
        got = student.probe(probes.exceptions_out, "default_dtype", FLOAT32, BFLOAT16)
        same(got, {"ZeroDivisionError comes out": True, "TypeError comes out": True})

    @pytest.mark.parametrize("dtype", [torch.int32, torch.int64, FLOAT8, torch.float8_e5m2], ids=str)
    def test_refuses(self, student, dtype):
        """A dtype that torch refuses as default is a TypeError."""
        with raises(TypeError):
            student.probe(probes.entered, "default_dtype", FLOAT32, dtype)

    @pytest.mark.parametrize("dtype", [torch.int32, FLOAT8], ids=str)
    @pytest.mark.parametrize("before", [FLOAT64, BFLOAT16], ids=str)
    def test_unchanged_by_a_refusal(self, student, before, dtype):
        """The default is as before when a dtype was refused."""
        made = student.probe(probes.made_after_refusal, "default_dtype", before, dtype)
        same(made, torch.tensor([1 / 3], dtype=before))


PINNED = recipe(precisions.builder, "pinned")


class TestBuildInDtype:
    @main
    @pytest.mark.parametrize("dtype", [FLOAT64, BFLOAT16, FLOAT16], ids=str)
    def test_is_built_in_the_dtype(self, student, reference, generator, dtype):
        """What is built has the dtype, and its numbers were never rounded to another."""
        build = recipe(precisions.builder, "pinned", seed=hidden(generator))
        got = student.probe(probes.under_default, "build_in_dtype", FLOAT32, build, dtype)
        same_model(got, reference.probe(probes.under_default, "build_in_dtype", FLOAT32, build, dtype))

    @pytest.mark.parametrize("before", [FLOAT64, BFLOAT16], ids=str)
    def test_from_another_default(self, student, reference, before):
        """The dtype holds whatever torch's default was."""
        got = student.probe(probes.under_default, "build_in_dtype", before, PINNED, FLOAT32)
        same_model(got, reference.probe(probes.under_default, "build_in_dtype", before, PINNED, FLOAT32))

    @pytest.mark.parametrize("before", [FLOAT32, FLOAT64], ids=str)
    @pytest.mark.parametrize(
        "build",
        [PINNED, recipe(precisions.failing_builder), recipe(endings.interrupted_builder)],
        ids=["built", "failed", "interrupted"],
    )
    def test_default_restored(self, student, before, build):
        """The old default is back afterwards, also when `build` raised or was interrupted."""
        made = student.probe(probes.made_after, "build_in_dtype", before, build, BFLOAT16)
        same(made, torch.tensor([1 / 3], dtype=before))

    @pytest.mark.parametrize("dtype", [torch.int32, FLOAT8], ids=str)
    def test_refuses(self, student, dtype):
        """A dtype that torch refuses as default is a TypeError."""
        with raises(TypeError):
            student.probe(probes.under_default, "build_in_dtype", FLOAT32, PINNED, dtype)

    def test_lets_an_exception_out(self, student):
        """An exception of `build` goes through as it is."""
        build = recipe(precisions.failing_builder)
        with raises(TypeError):
            student.probe(probes.under_default, "build_in_dtype", FLOAT32, build, BFLOAT16)

    @observed
    @pytest.mark.parametrize("dtype", [BFLOAT16, FLOAT32], ids=str)
    def test_builds_once(self, student, dtype):
        """`build` is called exactly once, and its model comes back, not a copy."""
        build = recipe(precisions.builder, "mlp", varying=True)
        made = student.probe(probes.built, "build_in_dtype", build, dtype)
        same(made, {"calls of build": 1, "its model came back": True})


class TestLoadInDtype:
    @main
    @pytest.mark.parametrize(("saved", "dtype"), [(FLOAT32, BFLOAT16), (FLOAT16, FLOAT32)], ids=str)
    def test_loads_in_the_dtype(self, student, generator, saved, dtype):
        """The checkpoint's values come in the dtype that was asked for, in eval mode."""
        seed = hidden(generator)
        folder = recipe(small_transformers.blip_folder, seed, saved)
        got = student.load_in_dtype(folder, dtype)
        same_model(got, small_blip(seed, saved, dtype))

    @pytest.mark.parametrize(
        ("saved", "default"), [(FLOAT16, FLOAT64), (BFLOAT16, FLOAT32), (FLOAT32, BFLOAT16)], ids=str
    )
    def test_keeps_the_dtype_of_the_checkpoint(self, student, saved, default):
        """Without a dtype the checkpoint's own is kept, whatever torch's default is."""
        folder = recipe(small_transformers.blip_folder, 1, saved)
        got = student.probe(probes.under_default, "load_in_dtype", default, folder)
        same_model(got, small_blip(1, saved))

    @pytest.mark.parametrize("folder", [models.tiny_blip_folder, casts.tiny_blip_path], ids=["text", "path"])
    def test_the_trained_model(self, student, folder):
        """The tiny BLIP is loaded with all its weights, from a folder that is named by a text or a Path."""
        got = student.load_in_dtype(recipe(folder), FLOAT16)
        same_model(got, trained(FLOAT16))

    @pytest.mark.parametrize("dtype", [None, BFLOAT16], ids=str)
    def test_missing_folder(self, student, dtype):
        """A folder that does not exist is an OSError."""
        with raises(OSError):
            student.load_in_dtype("/no/such/folder", dtype)


INPUTS = {
    "pixels": torch.tensor([[257.0, 1 / 3], [65504.0, -1e-7]]),
    "wide": torch.tensor([1 + 2**-9, -2049.0, 1 + 2**-40], dtype=FLOAT64),
    "narrow": torch.tensor([0.1, 40000.0], dtype=BFLOAT16),
    "ids": torch.tensor([[257, 3], [2**40 + 1, -1]]),
    "mask": torch.tensor([True, False]),
    "bytes": torch.tensor([255], dtype=torch.uint8),
    "scale": torch.tensor(0.1),
    "empty": torch.ones(0, 3),
}
OTHERS = {
    "text": "a red circle",
    "nothing": None,
    "flag": True,
    "number": 0.1,
    "count": 257,
    "dtype": FLOAT64,
    "pair": (torch.tensor([1 / 3]), torch.tensor([3])),
    "x": torch.tensor([1 / 3]),
}
NESTED = {
    "a": {"b": {"c": torch.tensor([1 / 3]), "ids": torch.tensor([3])}, "text": "b"},
    "list": [torch.tensor([1 / 3]), [torch.tensor([257.0]), 0.1], {"d": torch.tensor([-0.1])}, ()],
    "tuple": ({"e": torch.tensor([1 / 3])}, [torch.tensor([1 / 3])]),
    "none": [],
    "states": [torch.tensor([1 / 3]), torch.tensor([257.0])],
}


class TestCastInputs:
    @main
    @pytest.mark.parametrize("dtype", [FLOAT16, BFLOAT16, FLOAT64], ids=str)
    def test_float_tensors(self, student, reference, generator, dtype):
        """Float tensors are cast, integer and bool tensors come through as they are."""
        batch = {"hidden": torch.randn(2, 3, generator=generator), **INPUTS}
        same(student.cast_inputs(batch, dtype), reference.cast_inputs(batch, dtype))

    def test_just_beyond_the_largest_number(self, student, reference):
        """65510 is 65504 in float16, half a step more is an infinity."""
        batch = {"x": torch.tensor([65510.0, -65510.0, 65520.0])}
        same(student.cast_inputs(batch, FLOAT16), reference.cast_inputs(batch, FLOAT16))

    @pytest.mark.parametrize("dtype", [FLOAT16, FLOAT64], ids=str)
    def test_other_values(self, student, reference, dtype):
        """Text, numbers, None, dtypes and tuples, with whatever they hold, come through as they are."""
        same(student.cast_inputs(OTHERS, dtype), reference.cast_inputs(OTHERS, dtype))

    @pytest.mark.parametrize("dtype", [FLOAT16, BFLOAT16], ids=str)
    def test_nested(self, student, reference, dtype):
        """Dicts and lists inside are treated alike, at any depth."""
        same(student.cast_inputs(NESTED, dtype), reference.cast_inputs(NESTED, dtype))

    @pytest.mark.parametrize("values", [INPUTS, NESTED], ids=["flat", "nested"])
    def test_batch_feature(self, student, reference, values):
        """A BatchFeature gives a plain dict."""
        batch = recipe(small_transformers.batch_feature, values)
        same(student.cast_inputs(batch, BFLOAT16), reference.cast_inputs(batch, BFLOAT16))

    @observed
    @pytest.mark.parametrize("batch", [{"ids": torch.tensor([3])}, {}], ids=["nothing to cast", "empty"])
    def test_new_dict(self, student, batch):
        """A new dict comes back, also where nothing was to be cast."""
        same(student.probe(probes.what_comes_back, "cast_inputs", batch, FLOAT16), "another object")


def scene(number):
    """An image whose caption is `caption(number)`."""
    return recipe(scenes.paint, caption(number), number)


@once
def caption(number):
    """One of the scenes that the tiny BLIP has not been trained on."""
    return [text for text in scenes.captions() if scenes.is_held_out(text)][number % 100]


def words(text):
    """The words of a caption."""
    if not isinstance(text, str):
        raise Mismatch(text, "a text")
    return text.split()


@once
def pixels(number):
    """What the processor makes of the scene, in float32."""
    return PROCESSOR.build()(images=scene(number).build(), return_tensors="pt").pixel_values


@once
def modes(model):
    """Which modules of a recipe's model are in training mode."""
    return {name: module.training for name, module in model.build().named_modules()}


@once
def settings(model):
    """What the generation configs of a recipe's BLIP set."""
    built = model.build()
    parts = {"": built, "text_decoder": built.text_decoder}
    return {name: part.generation_config.to_diff_dict() for name, part in parts.items()}


MIXED_BLIPS = pytest.mark.parametrize(
    ("model", "processor", "raised"),
    [
        (recipe(casts.blip_in_mixed_modes), PROCESSOR, ""),
        (recipe(casts.blip_in_mixed_modes), recipe(endings.failing_processor), "LookupError"),
        (
            recipe(endings.interrupted, recipe(casts.blip_in_mixed_modes), "text_decoder.bert"),
            PROCESSOR,
            "KeyboardInterrupt",
        ),
    ],
    ids=["after success", "after an exception of the processor", "after an interrupt of the model"],
)


class TestCaptionImage:
    @main
    @pytest.mark.parametrize("number", [3, 77])
    def test_says_what_the_model_says(self, student, reference, generator, number):
        """The caption is what this model generates, without special tokens."""
        arguments = recipe(variants.tiny_blip_variant, hidden(generator)), PROCESSOR, scene(number)
        same(student.caption_image(*arguments), reference.caption_image(*arguments))

    def test_in_the_dtype_of_the_model(self, student, reference):
        """A model in another dtype gets its inputs in it."""
        arguments = recipe(casts.blip_variant_in, BFLOAT16, 5), PROCESSOR, scene(12)
        same(student.caption_image(*arguments), reference.caption_image(*arguments))

    @pytest.mark.parametrize(
        "settings",
        [{"num_beams": 8, "length_penalty": -20.0}, {"do_sample": True, "temperature": 30.0}],
        ids=["beams", "dice"],
    )
    def test_greedy(self, student, reference, settings):
        """The most probable token is taken each time, whatever the model's generation config says."""
        arguments = recipe(casts.blip_that_decodes, 6, settings), PROCESSOR, scene(20)
        same(student.caption_image(*arguments), reference.caption_image(*arguments))

    def test_length(self, student, reference):
        """The caption may have 20 tokens, whatever the model's generation config says."""
        arguments = recipe(casts.blip_that_decodes, 6, {"max_length": 4}), PROCESSOR, scene(25)
        same(student.caption_image(*arguments), reference.caption_image(*arguments))

    def test_long_captions(self, student):
        """A caption of 20 tokens comes whole."""
        text = student.caption_image(recipe(casts.blip_that_says, 20, 11), PROCESSOR, scene(33))
        same(f"{len(words(text))} words", "20 words")

    def test_endless_captions(self, student):
        """Of a caption that never ends come 20 tokens at least."""
        text = student.caption_image(recipe(casts.blip_that_says, 10**6, 11), PROCESSOR, scene(34))
        same(f"{min(len(words(text)), 20)} words", "20 words")

    def test_eval_mode(self, student, reference):
        """The caption is generated in eval mode."""
        arguments = recipe(casts.blip_that_shows_its_mode, 7), PROCESSOR, scene(30)
        same(student.caption_image(*arguments), reference.caption_image(*arguments))

    @observed
    @MIXED_BLIPS
    def test_modes_restored(self, student, model, processor, raised):
        """Every submodule has its own mode again, and generation configs their settings, also after an exception."""
        given = model, processor, scene(40)
        want = {"raised": raised, "training": modes(model)}
        same(student.probe(probes.modes_after, "caption_image", *given), want)
        same(student.probe(probes.generation_settings, "caption_image", *given), settings(model))

    @observed
    def test_settings_untouched(self, student):
        """The generation configs of the model keep their settings."""
        model = recipe(casts.blip_with_first, FLOAT16)
        settings_after = student.probe(probes.generation_settings, "caption_image", model, PROCESSOR, scene(45))
        same(settings_after, settings(model))

    @observed
    @pytest.mark.parametrize("dtype", [FLOAT16, FLOAT64], ids=str)
    def test_inputs_in_the_first_float_dtype(self, student, dtype):
        """The pixels come in the dtype of the model's first float parameter."""
        model = recipe(casts.blip_with_first, dtype)
        seen = student.probe(probes.first_float_given, "caption_image", "vision_model", model, PROCESSOR, scene(50))
        same(seen, pixels(50).to(dtype))


class TestCaptionAccuracy:
    @main
    @pytest.mark.parametrize(("code", "wrong"), [(8, 1), (9, 2)], ids=["one wrong", "two wrong"])
    def test_fraction(self, student, code, wrong):
        """The fraction of images whose caption is exactly the expected one."""
        captions = [variants.coded_caption(caption(number), code) for number in range(60, 63)]
        captions[:wrong] = [caption(number) for number in range(60, 60 + wrong)]
        images = [scene(number) for number in range(60, 63)]
        got = student.caption_accuracy(recipe(variants.tiny_blip_variant, code), PROCESSOR, images, captions)
        same(got, 1 - wrong / 3, relative(2.0**-20))

    def test_exact_match(self, student, reference):
        """A part of the caption, other capitals or a space more are no match."""
        model = recipe(casts.blip_that_says, 2, 11)  # short captions take least time
        right = reference.caption_image(model, PROCESSOR, scene(70))
        captions = [right[:-1], *[right.capitalize()] * 2, *[f"{right} "] * 3, *[right] * 3]
        got = student.caption_accuracy(model, PROCESSOR, [scene(70)] * 9, captions)
        same(got, 3 / 9, relative(2.0**-20))

    def test_greedy(self, student):
        """The captions are the greedy ones, whatever the model's generation config says."""
        model = recipe(casts.blip_that_decodes, 6, {"num_beams": 8, "length_penalty": -20.0})
        captions = [variants.coded_caption(caption(20), 6)]
        same(student.caption_accuracy(model, PROCESSOR, [scene(20)], captions), 1.0, exactly)

    @pytest.mark.parametrize(("images", "captions"), [(2, 1), (1, 2), (0, 0), (0, 1)], ids=str)
    def test_refuses(self, student, images, captions):
        """Images and captions that do not pair up, or none at all, are refused."""
        given = [scene(80)] * images, [caption(80)] * captions
        with raises(ValueError):
            student.caption_accuracy(recipe(casts.tiny_blip_alone), PROCESSOR, *given)

    @observed
    @MIXED_BLIPS
    def test_modes_restored(self, student, model, processor, raised):
        """Every submodule has its own mode again, also after an exception."""
        after = student.probe(probes.modes_after, "caption_accuracy", model, processor, [scene(85)], [caption(85)])
        same(after, {"raised": raised, "training": modes(model)})


NESTED_MODEL = recipe(behaviours.nested)


class TestCastExcept:
    @main
    @pytest.mark.parametrize("dtype", [BFLOAT16, FLOAT16], ids=str)
    @pytest.mark.parametrize(
        "patterns",
        [["encoder.1.attention"], ["*.norm", "lm_head"], ["encoder.?.attention.query"], ["encoder"]],
        ids=["block", "globs", "one character", "all below"],
    )
    def test_keeps_what_matches(self, student, reference, generator, patterns, dtype):
        """Modules that match keep their dtypes, with everything below them; all others are cast."""
        model = recipe(behaviours.nested, hidden(generator))
        same_model(student.cast_except(model, dtype, patterns), reference.cast_except(model, dtype, patterns))

    @pytest.mark.parametrize(
        "patterns",
        [["norm"], ["*.weight"], ["encoder.0.norm.weight"], ["ENCODER"], ["ncoder.0"], ["encoder.[12]"]],
        ids=["last name", "parameters", "a parameter", "capitals", "a part", "a set"],
    )
    def test_full_names_of_modules(self, student, reference, patterns):
        """Patterns are matched against full names of modules, not against parts of them or names of parameters."""
        got = student.cast_except(NESTED_MODEL, BFLOAT16, patterns)
        same_model(got, reference.cast_except(NESTED_MODEL, BFLOAT16, patterns))

    @pytest.mark.parametrize("patterns", [[], [""], ["*"], ["?"]], ids=["none", "root", "star", "no such"])
    def test_all_or_nothing(self, student, reference, patterns):
        """No pattern keeps nothing; the name of the root is empty, and below it is everything."""
        got = student.cast_except(NESTED_MODEL, BFLOAT16, patterns)
        same_model(got, reference.cast_except(NESTED_MODEL, BFLOAT16, patterns))

    @pytest.mark.parametrize(
        ("model", "patterns"),
        [
            (recipe(toys.tied), ["lm_head"]),
            (recipe(toys.tied), ["embedding"]),
            (TIED_GROUPS, ["layers.3"]),
            (TIED_GROUPS, ["layers.2"]),
            (TIED_GROUPS, []),
            (TWO_NAMES, ["again"]),
            (OTHER_NAME, ["embedding"]),
            (FROZEN_FLOATS, ["layers.3"]),
        ],
        ids=["last", "first", "third of three", "bias", "none", "second name", "another name", "frozen"],
    )
    def test_ties(self, student, reference, model, patterns):
        """A tied parameter keeps its dtype if any of its modules matches, and stays tied in any case."""
        got = student.cast_except(model, BFLOAT16, patterns)
        same_model(got, reference.cast_except(model, BFLOAT16, patterns))

    @pytest.mark.parametrize(
        ("model", "patterns"),
        [
            (CONVOLUTIONAL, ["norm"]),
            (CONVOLUTIONAL, ["conv_*"]),
            (BUFFERED, ["linear"]),
            (BUFFERED, ["*"]),
            (BUFFERED, ["?*"]),
            (MIXED_MODES, ["*.norm"]),
        ],
        ids=["norm", "convolutions", "all kinds", "root", "below the root", "modes"],
    )
    def test_buffers_and_modes(self, student, reference, model, patterns):
        """Buffers of modules that match keep their dtypes too, integer buffers always do; modes are kept."""
        got = student.cast_except(model, FLOAT16, patterns)
        same_model(got, reference.cast_except(model, FLOAT16, patterns))

    @pytest.mark.parametrize(
        ("model", "dtype", "patterns"),
        [
            (mixed(FLOAT32, BFLOAT16, FLOAT64, FLOAT16, FLOAT8), FLOAT64, ["layers.[13]"]),
            (mixed(FLOAT64, FLOAT16, FLOAT32, BFLOAT16), FLOAT32, ["layers.0", "*.3"]),
            (WIDE, FLOAT64, []),
        ],
        ids=["to float64", "to float32", "float64 as it was"],
    )
    def test_several_dtypes(self, student, reference, model, dtype, patterns):
        """What is kept keeps the dtype that it has, whatever that is; what is cast is rounded once."""
        got = student.cast_except(model, dtype, patterns)
        same_model(got, reference.cast_except(model, dtype, patterns))

    @observed
    @pytest.mark.parametrize("patterns", [["*"], ["encoder.0"]], ids=["all kept", "some kept"])
    def test_shares_no_storage(self, student, patterns):
        """What is kept is copied too."""
        same(student.probe(probes.shared_names, "cast_except", NESTED_MODEL, BFLOAT16, patterns), [])

    @observed
    @pytest.mark.parametrize("patterns", [["*.0"], []], ids=["some kept", "none kept"])
    def test_what_is_trained(self, student, patterns):
        """Parameters of the copy require gradients if the original's do, and only then."""
        got = student.probe(probes.trained_parameters, "cast_except", FROZEN_FLOATS, BFLOAT16, patterns)
        same(got, trained_of(FROZEN_FLOATS))


FOURS = {"x": torch.full((2, 16), 4.0)}
UP, DOWN = 2.0**15, 2.0**-15


def stages(*gains, order=None, fails_before=None):
    """Layers that multiply by the gains."""
    return recipe(behaviours.staged, list(gains), order=order, fails_before=fails_before)


class TestFirstOverflow:
    @main
    @pytest.mark.parametrize(
        ("model", "dtype", "want"),
        [
            (stages(1.0, UP, DOWN), FLOAT16, "stage_1"),
            (stages(UP, DOWN, UP), FLOAT16, "stage_0"),
            (stages(1.0, 2.0, UP), FLOAT16, "stage_2"),
            (stages(1.0, UP, DOWN), BFLOAT16, None),
            (stages(1.0, 2.0**13, 1.0), FLOAT16, None),
        ],
        ids=["second", "first", "last", "bfloat16", "none"],
    )
    def test_names_the_module(self, student, model, dtype, want):
        """The first module whose output is not finite in this dtype, None if all are finite."""
        same(student.first_overflow(model, FOURS, dtype), want)

    def test_just_beyond_the_largest_number(self, student):
        """65510 is 65504 in float16, which is finite."""
        x = torch.full((1, 16), 65510.0)
        same(student.first_overflow(stages(1.0, 1.0), {"x": x}, FLOAT16), None)

    @pytest.mark.parametrize("layer", [1, 3])
    def test_qualified_name(self, student, generator, layer):
        """The name is the qualified one."""
        model = recipe(behaviours.overflowing_mlp, layer, seed=hidden(generator))
        x = torch.randn(8, 16, generator=generator)
        same(student.first_overflow(model, {"x": x}, FLOAT16), f"layers.{layer}")

    @pytest.mark.parametrize(
        ("model", "want"),
        [
            (stages(1.0, UP, UP, order=[2, 0, 1]), "stage_2"),
            (stages(UP, 1.0, UP, order=[1, 2, 0]), "stage_2"),
            (stages(UP, 1.0, DOWN, order=[1, 2]), None),
            (stages(2.0**17, UP, 1.0, order=[2, 1]), "stage_1"),
        ],
        ids=["last first", "turned", "not run", "infinite weights that do not run"],
    )
    def test_order_of_execution(self, student, model, want):
        """First is what runs first, not what was registered first."""
        same(student.first_overflow(model, FOURS, FLOAT16), want)

    @pytest.mark.parametrize(
        ("model", "want"),
        [
            (recipe(behaviours.packed), "packing"),
            (recipe(behaviours.packed, 2.0), None),
            (recipe(behaviours.gated), "output"),
            (recipe(toys.root_leaf, torch.tensor(2.0**14)), ""),
            (recipe(toys.root_leaf, torch.tensor(2.0)), None),
            (recipe(casts.outside), None),
            (recipe(casts.bagged), "bag"),
            (recipe(casts.bagged, 2.0), None),
        ],
        ids=[
            "inside a dict",
            "a harmless dict",
            "between layers",
            "root",
            "a finite root",
            "outside of the leaves",
            "deep inside",
            "nothing inside",
        ],
    )
    def test_what_counts(self, student, model, want):
        """Every float tensor in the output of a leaf counts; the root, if it is the leaf, has the empty name."""
        same(student.first_overflow(model, FOURS, FLOAT16), want)

    @pytest.mark.parametrize("sign", [1.0, -1.0], ids=["positive", "negative"])
    def test_one_number_is_enough(self, student, sign):
        """One infinity in the output is enough, wherever it stands and of either sign."""
        x = torch.zeros(3, 16)
        x[2, 15] = sign * 4.0
        same(student.first_overflow(stages(1.0, UP, DOWN), {"x": x}, FLOAT16), "stage_1")

    @pytest.mark.parametrize(
        ("model", "inputs", "want"),
        [
            (recipe(toys.mlp), {"x": torch.full((1, 16), 1e5)}, "layers.0"),
            (recipe(toys.mlp), {"x": torch.full((1, 16), 1.0, dtype=FLOAT64)}, None),
            (stages(1.0, 2.0), {"x": torch.full((1, 16), torch.nan)}, "stage_0"),
            (
                recipe(toys.integer_input),
                {"input_ids": torch.tensor([[31, 3]]), "attention_mask": torch.ones(1, 2).long()},
                None,
            ),
        ],
        ids=["too large", "float64", "nan", "integers"],
    )
    def test_inputs(self, student, model, inputs, want):
        """Float inputs are cast, integer inputs are not."""
        same(student.first_overflow(model, inputs, FLOAT16), want)

    @pytest.mark.parametrize(
        ("condition", "training", "want"),
        [
            ("evaluating", False, "amplifier"),
            ("evaluating", True, None),
            ("training", True, "amplifier"),
            ("training", False, None),
            ("recording", True, None),
        ],
        ids=str,
    )
    def test_mode_and_gradients(self, student, condition, training, want):
        """The model runs in its own mode, and no gradients are recorded."""
        model = recipe(casts.amplified, condition, training=training)
        same(student.first_overflow(model, FOURS, FLOAT16), want)

    @pytest.mark.parametrize(
        "model", [stages(1.0, 2.0, UP, fails_before=1), recipe(behaviours.failing)], ids=["between", "after"]
    )
    def test_exception(self, student, model):
        """An exception before the first overflow goes through."""
        with raises(RuntimeError):
            student.first_overflow(model, FOURS, FLOAT16)

    @observed
    @pytest.mark.parametrize(
        "model",
        [
            stages(1.0, 2.0),
            stages(1.0, UP),
            recipe(behaviours.failing),
            recipe(endings.interrupted, stages(1.0, 2.0), "stage_1"),
        ],
        ids=["finite", "overflow", "exception", "interrupt"],
    )
    def test_no_hooks_left(self, student, model):
        """No hook stays behind, neither in the model nor for all modules."""
        same(student.probe(probes.hooks_after, "first_overflow", model, FOURS, FLOAT16), 0)


class TestTiedParameters:
    @main
    @pytest.mark.parametrize(
        ("model", "want"),
        [
            (recipe(toys.tied), [["embedding.weight", "lm_head.weight"]]),
            (
                TIED_GROUPS,
                [["layers.0.weight", "layers.1.weight", "layers.3.weight"], ["layers.1.bias", "layers.2.bias"]],
            ),
            (OTHER_NAME, [["table", "embedding.weight"]]),
            (recipe(toys.mlp), []),
        ],
        ids=["head", "groups", "another name", "none"],
    )
    def test_groups(self, student, model, want):
        """Names of one parameter form a group; groups and names come in order of appearance."""
        same(student.tied_parameters(model), want)

    def test_order_of_appearance(self, student):
        """The group whose first name appears first comes first, however many names follow and where."""
        biases = ["layers.0.bias", "layers.1.bias", "layers.2.bias", "layers.2.again"]
        want = [["layers.0.weight", "layers.3.weight"], biases]
        same(student.tied_parameters(recipe(casts.crossed_ties)), want)

    @pytest.mark.parametrize("model", [FROZEN, meta(TIED_GROUPS)], ids=["frozen", "meta"])
    def test_every_parameter_counts(self, student, reference, model):
        """Parameters that are not trained or have no data are tied like others."""
        same(student.tied_parameters(model), reference.tied_parameters(model))

    def test_module_with_two_names(self, student):
        """A module under two names has each parameter under two."""
        want = [["first.weight", "again.weight"], ["first.bias", "again.bias"]]
        same(student.tied_parameters(TWO_NAMES), want)

    @pytest.mark.parametrize("seed", [0, 1])
    def test_equal_is_not_tied(self, student, seed):
        """Parameters with equal values, or in one storage, are not one parameter."""
        same(student.tied_parameters(recipe(casts.one_storage, seed)), [])

    @pytest.mark.parametrize(
        "model", [WITHOUT_TENSORS, recipe(behaviours.shared_buffer)], ids=["nothing", "shared buffer"]
    )
    def test_buffers_are_no_parameters(self, student, model):
        """Without parameters, or with buffers alone that are shared, nothing is tied."""
        same(student.tied_parameters(model), [])


# 1 + 2**-10 is a float16 and no bfloat16, and its product with 1 + 2**-7 is neither; in float32 everything is exact.
FINE = recipe(toys.root_leaf, torch.tensor([1 + 2**-10, 1.0, -3.0, 0.0]))
COARSE = recipe(toys.root_leaf, torch.tensor([1 + 2**-7, 1.0, -3.0, 0.0], dtype=BFLOAT16))
# 2**40 (x - 1): float32 has no x between 1 and 1 + 2**-23.
STEP = torch.tensor([[2.0**40]], dtype=FLOAT64)
MAGNIFIER = recipe(toys.mlp_from, [STEP], [-STEP[0]])
X = torch.tensor([[1 + 2**-7, 257.0, 2049.0, 1.0], [-1 - 2**-7, 1.0, 2.0, 5.0]])


class TestCompareDtypes:
    @main
    @pytest.mark.parametrize(
        ("model", "x", "dtypes"),
        [
            (FINE, X, [BFLOAT16, FLOAT32, FLOAT16]),
            (FINE, X, [FLOAT16, FLOAT64, FLOAT16]),
            (COARSE, X.to(BFLOAT16), [FLOAT32, BFLOAT16]),
            (MAGNIFIER, torch.tensor([[1 + 2**-40]], dtype=FLOAT64), [FLOAT64, FLOAT32]),
            (recipe(toys.root_leaf, torch.ones(2)), torch.tensor([65510.0, 1.0]), [FLOAT16]),
        ],
        ids=["float32", "with a repeat", "a bfloat16 model", "a float64 model", "just beyond the largest number"],
    )
    def test_rows(self, student, reference, model, x, dtypes):
        """One row for each dtype, in order: bytes, and gaps against the model as it is on the inputs as they are."""
        arguments = model, {"x": x}, dtypes
        same(student.compare_dtypes(*arguments), reference.compare_dtypes(*arguments), exactly)

    @pytest.mark.parametrize("form", ["logits", "tensor"])
    def test_logits(self, student, reference, generator, form):
        """The logits are `output.logits`, or the output itself if it is a tensor."""
        model = recipe(toys.answering, form, hidden(generator))
        arguments = model, {"x": torch.randn(5, 16, generator=generator)}, [BFLOAT16, FLOAT16]
        same(student.compare_dtypes(*arguments), reference.compare_dtypes(*arguments), relative(0.25))

    @pytest.mark.parametrize(
        ("model", "inputs"),
        [
            (recipe(toys.tied), {"input_ids": torch.tensor([[3, 31, 0]])}),
            (BUFFERED, {"x": toys.random_input(3, 16)}),
            (recipe(small_transformers.small_blip, 3), small_transformers.small_blip_inputs(3)),
        ],
        ids=["ties", "buffers", "blip"],
    )
    def test_inputs_and_footprint(self, student, reference, model, inputs):
        """Integer inputs stay integers; ties count once and integer buffers keep their size."""
        arguments = model, inputs, [FLOAT16, BFLOAT16]
        same(student.compare_dtypes(*arguments), reference.compare_dtypes(*arguments), relative(0.25))

    @pytest.mark.parametrize(
        "model",
        [recipe(casts.amplified, "training", 64.0), BATCH_NORM, recipe(behaviours.nested, dropout=0.5)],
        ids=["training", "batch norm", "dropout"],
    )
    def test_eval_mode(self, student, reference, model):
        """All runs are in eval mode, whatever mode the model is in."""
        arguments = model, {"x": toys.random_input(6, 16)}, [BFLOAT16, FLOAT16]
        same(student.compare_dtypes(*arguments), reference.compare_dtypes(*arguments), relative(0.25))

    def test_no_gradients(self, student, reference):
        """No gradients are recorded."""
        model = recipe(casts.amplified, "recording", 64.0)
        arguments = model, {"x": toys.random_input(6, 16)}, [BFLOAT16, FLOAT16]
        same(student.compare_dtypes(*arguments), reference.compare_dtypes(*arguments), relative(0.25))

    def test_nested_inputs(self, student, reference):
        """Float tensors in dicts and lists inside the inputs are cast too."""
        states, ids = [toys.random_input(3, 16, seed=1)], torch.tensor([7, 0, 3])
        batch = {"first": toys.random_input(3, 16), "more": {"states": states, "ids": ids}}
        arguments = recipe(casts.nested_input), {"batch": batch}, [BFLOAT16, FLOAT16]
        same(student.compare_dtypes(*arguments), reference.compare_dtypes(*arguments), relative(0.25))

    def test_own_dtype(self, student):
        """The model in its own dtype has no gap."""
        rows = student.compare_dtypes(recipe(toys.mlp), {"x": toys.random_input(6, 16)}, [FLOAT32])
        want = {"dtype": FLOAT32, "footprint": 4288, "mean_gap": 0.0, "max_gap": 0.0}
        same(rows, [want], within(1e-6))

    def test_no_dtypes(self, student):
        """Without dtypes there are no rows."""
        same(student.compare_dtypes(recipe(toys.mlp), {"x": toys.random_input(6, 16)}, []), [])

    @observed
    @pytest.mark.parametrize("model", [BATCH_NORM, MIXED_MODES, TIED_GROUPS], ids=["batch norm", "modes", "ties"])
    def test_model_untouched(self, student, model):
        """The model keeps its dtypes, values, statistics and modes, the inputs and the list of dtypes stay too."""
        given = {"x": toys.random_input(4, 16)}, [BFLOAT16, FLOAT32]
        _, (after, *others) = student.probe(probes.arguments_after, "compare_dtypes", model, *given)
        same_model(after, record_of(model))
        same(others, list(given))

    @observed
    @pytest.mark.parametrize(
        "model",
        [recipe(behaviours.failing), recipe(endings.interrupted, MIXED_MODES, "lm_head")],
        ids=["failing", "interrupted"],
    )
    def test_modes_after_an_exception(self, student, model):
        """Every submodule keeps its mode, also when the model raises."""
        after = student.probe(probes.modes_after, "compare_dtypes", model, {"x": toys.random_input(4, 16)}, [BFLOAT16])
        same(after["training"], modes(model))
