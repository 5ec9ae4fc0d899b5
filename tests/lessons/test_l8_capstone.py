"""Lesson 8: models that say one thing and store another gain nothing, and whatever comes back is judged without a crash."""

import copy
import dataclasses

import pytest
import torch
from torch import nn

from exercises.kit import models
from exercises.kit.checking.closeness import Mismatch
from exercises.kit.unpacking import load_quanto
from graders.lessons.l8_capstone import measuring
from graders.wire.records import QuantizedRecord

ALL_QINT4 = 12_624
EMBEDDING = "model.embed_tokens.weight"


def build():
    return models.tiny_llama()[0]


@pytest.fixture(scope="module")
def evaluate():
    return models.llama_evaluator(models.llama_batches(50, seed=3))


def small(bits="qint4"):
    """An honest model: Linears in few bits, everything else in bfloat16."""
    quanto = load_quanto()
    model = build().to(torch.bfloat16)
    quanto.quantize(model, weights=bits)
    quanto.freeze(model)
    return model


def with_embedding(tensor):
    model = small()
    model.model.embed_tokens._parameters["weight"] = nn.Parameter(tensor, requires_grad=False)
    return model


def judged(model, evaluate, budget=ALL_QINT4, change=lambda record: record):
    return measuring.llama_score(change(measuring.record_of(model)), budget, build, evaluate)


# Float weights beside the model: what is not in its tensors is not judged, and what is counts -------------------------------


def bent(model, whole):
    """A closure in place of forward answers with the whole float model."""
    model.forward = lambda *args, **keywords: whole(*args, **keywords)
    return model


def in_an_attribute(model, whole):
    model.secret = {name: value.detach().clone() for name, value in whole.named_parameters()}
    return model


def of_a_class_that_is_called_alike(model, whole):
    """A subclass whose name is that of its parent, and whose methods say what they like."""
    parent = type(model)
    names = {"forward": lambda self, *args, **keywords: whole(*args, **keywords), "__module__": parent.__module__}
    names |= {
        "state_dict": lambda self, *args, **keywords: whole.state_dict(),
        "parameters": lambda self: whole.parameters(),
    }
    model.__class__ = type(parent.__name__, (parent,), names)
    return model


@pytest.mark.parametrize("hide", [bent, in_an_attribute, of_a_class_that_is_called_alike])
def test_what_is_hidden_beside_the_tensors_is_not_scored(hide, evaluate):
    plain = small("qint2")
    honest = judged(plain, evaluate)
    assert honest < 0.5
    assert judged(hide(small("qint2"), build()), evaluate) == honest
    assert measuring.stored_bytes(measuring.record_of(hide(small("qint2"), build()))) == models.llama_bytes(plain)


def with_a_buffer(model):
    model.register_buffer("secret", torch.zeros(1), persistent=False)


def with_a_bias(model):
    model.lm_head.bias = nn.Parameter(torch.zeros(59, dtype=torch.bfloat16))


def with_a_module(model):
    model.whole = nn.Linear(2, 2)


def of_another_class(model):
    model.__class__ = type("Clever", (type(model),), {})


def without_a_norm(model):
    del model.model.norm._parameters["weight"]


def with_a_quantized_embedding(model):
    model.model.embed_tokens._parameters["weight"] = model.lm_head.weight


@pytest.mark.parametrize(
    ("change", "got"),
    [
        (with_a_buffer, "a tensor more, secret"),
        (with_a_bias, "a tensor more, lm_head.bias"),
        (with_a_module, "Linear as whole"),
        (of_another_class, "Clever as the model"),
        (without_a_norm, "no tensor, model.norm.weight"),
        (with_a_quantized_embedding, f"a quantized {EMBEDDING}"),
    ],
)
def test_another_model_is_refused(change, got, evaluate):
    model = small()
    change(model)
    with pytest.raises(Mismatch) as refused:
        judged(model, evaluate)
    assert refused.value.got == got


@pytest.mark.parametrize(
    ("make", "got"),
    [
        (lambda rows: rows.to(torch.int8), "of dtype int8"),
        (lambda rows: rows > 0, "of dtype bool"),
        (lambda rows: rows / 0, "inf or nan"),
        (lambda rows: rows.bfloat16() * float("nan"), "inf or nan"),
        (lambda rows: rows.t().contiguous(), "of shape (16, 59)"),
        (lambda rows: rows[:0], "of shape (0, 16)"),
        (lambda rows: rows[0, 0].clone(), "of shape ()"),
        (lambda rows: rows.to("meta"), "without data"),
        (lambda rows: rows.to(torch.complex64), "14,264 bytes"),
        (lambda rows: rows.double(), "14,264 bytes"),
    ],
    ids=["int8", "bool", "inf", "nan", "transposed", "empty", "0-dim", "meta", "complex", "float64"],
)
def test_odd_tensors_are_refused_by_a_sentence(make, got, evaluate):
    model = with_embedding(make(build().model.embed_tokens.weight.detach()))
    with pytest.raises(Mismatch) as refused:
        judged(model, evaluate)
    assert got in refused.value.got


@pytest.mark.parametrize(
    "got", [None, [], 3.0, {"model": 1}, nn.Module()], ids=["None", "list", "float", "dict", "Module"]
)
def test_what_is_no_llama_is_refused(got, evaluate):
    record = measuring.record_of(got) if isinstance(got, nn.Module) else got
    with pytest.raises(Mismatch):
        measuring.llama_score(record, ALL_QINT4, build, evaluate)


# Bytes ---------------------------------------------------------------------------------------------------------------------


def test_a_slice_counts_the_storage_behind_it_for_students_too():
    rows = build().model.embed_tokens.weight.detach().bfloat16()
    model = with_embedding(torch.cat([rows] * 20)[:59])
    assert models.llama_bytes(model) == models.llama_bytes(with_embedding(rows.clone())) + 19 * rows.nbytes
    assert measuring.stored_bytes(measuring.record_of(model)) == models.llama_bytes(model)


def test_tied_weights_count_once_and_views_as_often_as_they_differ():
    tied = small()
    tied.model.layers[1].self_attn.q_proj.weight = tied.model.layers[0].self_attn.q_proj.weight
    record = measuring.record_of(tied)
    weight = record.parameters["model.layers.0.self_attn.q_proj.weight"]
    assert isinstance(weight, QuantizedRecord)
    once = sum(leaf.tensor.nbytes for leaf in measuring.records.leaves(weight))
    assert measuring.stored_bytes(record) == models.llama_bytes(tied) == models.llama_bytes(small()) - once
    block = torch.randn(40, 16)
    views = nn.Module()
    views.first, views.second = nn.Parameter(block[:30]), nn.Parameter(block[10:])
    assert measuring.stored_bytes(measuring.record_of(views)) == 2 * 30 * 16 * 4


def smaller_by_its_word(record, storage=None, size=0):
    """The record of a worker that lies: every tensor in one storage, of no bytes or fewer."""

    def lying(held):
        if isinstance(held, QuantizedRecord):
            return dataclasses.replace(held, inner={name: lying(inner) for name, inner in held.inner.items()})
        return dataclasses.replace(held, storage=held.storage if storage is None else storage, storage_bytes=size)

    changed = copy.copy(record)
    return dataclasses.replace(
        changed,
        parameters={name: lying(held) for name, held in record.parameters.items()},
        buffers={name: lying(held) for name, held in record.buffers.items()},
    )


@pytest.mark.parametrize(
    "lie", [{}, {"storage": 0}, {"storage": 0, "size": -(2**40)}], ids=["empty", "one", "negative"]
)
def test_a_worker_that_lies_about_storages_gains_nothing(lie, evaluate):
    with pytest.raises(Mismatch) as refused:
        judged(build(), evaluate, change=lambda record: smaller_by_its_word(record, **lie))
    assert "bytes" in refused.value.got


def test_the_budget_is_the_last_byte(evaluate):
    size = measuring.stored_bytes(measuring.record_of(small()))
    assert judged(small(), evaluate, size) > 0.99
    with pytest.raises(Mismatch):
        judged(small(), evaluate, size - 1)


# Repair --------------------------------------------------------------------------------------------------------------------


def outlier():
    return models.tiny_llama_outlier()[0]


def int8(model, calibrate=True):
    quanto = load_quanto()
    quanto.quantize(model, weights="qint8", activations="qint8")
    if calibrate:
        with torch.no_grad(), quanto.Calibration():
            model(**models.llama_batches(50, seed=2, held_out=False)[0])
    quanto.freeze(model)
    return model


def scored(model, evaluate):
    return measuring.int8_score(measuring.record_of(model), outlier, lambda made: int8(made, calibrate=False), evaluate)


@pytest.mark.parametrize("hide", [bent, in_an_attribute, of_a_class_that_is_called_alike])
def test_a_repair_that_only_answers_well_scores_what_its_tensors_do(hide, evaluate):
    assert scored(hide(int8(outlier()), build()), evaluate) == scored(int8(outlier()), evaluate) < 0.1


def scale_of(value):
    def change(model):
        model.lm_head.input_scale = torch.tensor(value)

    return change


def float_weight(model):
    model.lm_head._parameters["weight"] = nn.Parameter(build().lm_head.weight.detach())


def finer_weight(model):
    model.lm_head._parameters["weight"] = small().lm_head.weight


def wide_embedding(model):
    model.model.embed_tokens.double()


def long_scale(model):
    model.lm_head.input_scale = torch.ones(16)


@pytest.mark.parametrize(
    "change",
    [
        *map(scale_of, [0.0, float("inf"), float("nan"), -1.0]),
        *(float_weight, finer_weight, wide_embedding, long_scale, with_a_buffer, of_another_class),
    ],
    ids=["0", "inf", "nan", "-1", "float weight", "4 bits", "float64", "a scale each", "buffer", "class"],
)
def test_a_repair_of_another_form_is_refused(change, evaluate):
    model = int8(outlier())
    change(model)
    with pytest.raises(Mismatch):
        scored(model, evaluate)
