"""What comes from a worker may have been written by anybody: it is checked before anything is built from it."""

from __future__ import annotations

import contextlib
import json
import resource
import struct
import sys
import time
from typing import Any

import hypothesis.strategies as st
import pytest
import torch
from hypothesis import HealthCheck, given, settings
from safetensors.torch import save

from exercises.kit import toys
from exercises.kit.checking.closeness import bit_for_bit, same
from exercises.kit.toys import precisions
from exercises.kit.unpacking import load_quanto
from graders.judge import records
from graders.wire import answers, codec, recipes, schema
from graders.wire.quantized import check
from graders.wire.records import QuantizedRecord


def answer(tree: str, body: bytes = b"") -> bytes:
    return struct.pack("<I", len(tree)) + tree.encode() + body


@pytest.mark.parametrize(
    "tree",
    [
        '{"k":"recipe","name":"exercises.kit.toys:DummyModel","args":{"k":"list","of":[]},"kwargs":{"k":"dict","of":[]}}',
        '{"k":"list","of":[{"k":"recipe","name":"exercises.kit.checking.examples:os.getcwd","args":[],"kwargs":{}}]}',
        '{"k":"tensor","dtype":"float32","size":[1000000000000],"stride":[0],"meta":true}',
        '{"k":"again","id":0}',
    ],
    ids=["recipe", "recipe below", "strides", "again"],
)
def test_an_answer_names_nothing_that_is_called(tree: str) -> None:
    with pytest.raises(recipes.Unreadable):
        answers.decode(answer(tree))


def test_an_answer_has_a_limited_tree() -> None:
    tree = '{"k":"list","of":[' + "0," * (schema.MAX_TREE // 2) + "0]}"
    with pytest.raises(recipes.Unreadable):
        answers.decode(answer(tree))


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("[" * 201 + "]" * 201, "nested too deeply"),
        ('{"a":' * 201 + "0" + "}" * 201, "nested too deeply"),
        ("[" + "0," * 300 + "0]", "too many parts"),
        ("[" + "[]," * 300 + "0]", "too many parts"),
        ("[" + "1" * (schema.MAX_DIGITS + 1) + "]", "number is too long"),
        ('["\\\\",' + "1" * (schema.MAX_DIGITS + 1) + "]", "number is too long"),
    ],
    ids=["lists", "dicts", "values", "empty lists", "digits", "digits behind a string"],
)
def test_what_is_too_much_is_refused_before_anything_is_built(
    text: str, told: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(json, "loads", lambda *args, **kwargs: pytest.fail("it was built"))
    with pytest.raises(recipes.Unreadable, match=told):
        schema.parsed(text.encode(), nodes=250)


@pytest.mark.parametrize(
    "text",
    [
        "[" * 199 + "]" * 199,
        '"' + "[{,1" * 300 + '\\""',
        "[" + "0," * 200 + "1]",
        '"' + "1" * 5000 + '"',
        "[" + "1" * 4300 + "]",
    ],
    ids=["lists", "text", "values", "digits in text", "digits"],
)
def test_what_is_within_the_limits_is_read(text: str) -> None:
    assert schema.parsed(text.encode(), nodes=250) == json.loads(text)


@pytest.mark.parametrize(
    "name", ["exercises.kit.checking.examples:os.getcwd", "exercises.kit.toys:torch.hub.load", "os:getcwd"]
)
def test_recipes_are_functions_of_the_kit_itself(name: str) -> None:
    with pytest.raises(recipes.Unreadable):
        recipes.cook(name, [], {})


def test_a_recipe_may_be_in_a_module_that_nobody_has_imported(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delitem(sys.modules, "exercises.kit.probes.l2", raising=False)
    assert recipes.named("exercises.kit.probes.l2:converted_to").__name__ == "converted_to"


def test_an_answer_with_as_many_bytes_as_tensors_may_have_fits_in_a_frame() -> None:
    whole = codec.encode(torch.zeros(schema.MAX_BYTES, dtype=torch.uint8))
    assert len(whole) <= schema.MAX_FRAME <= len(whole) + (1 << 20)
    assert schema.MAX_FRAME <= schema.MAX_ANSWERS
    assert answers.decode(whole).numel() == schema.MAX_BYTES


def tinygemm(size: list[int], packed: list[int], scales: list[int]) -> dict[str, Any]:
    """The record of a weight for tinygemm, of these shapes."""

    def node(kind: str, size: list[int], inner: dict[str, Any], qtype: str | None, axis: int | None) -> dict[str, Any]:
        meta = {"size": str(size), "stride": "(1, 1)"} | ({"qtype": qtype} if qtype else {})
        return {"type": kind, "qtype": qtype, "axis": axis, "size": size, "meta": meta, "inner": inner}

    data = node("TinyGemmPackedTensor", packed, {"_data": {"value": {"size": [1]}}}, None, None)
    inner = {"_data": data, "_scale_shift": {"value": {"size": scales}}}
    return node("TinyGemmWeightQBitsTensor", size, inner, "qint4", 0)


@pytest.mark.parametrize(
    ("size", "scales", "fine"),
    [
        ([16, 2048], [16, 1, 2], True),
        ([16, 4096], [16, 1, 2], False),
        ([4096, 16], [16, 1, 2], False),
        ([16, 16, 16], [16, 1, 2], False),
        ([16, 16], [16, 16, 4], False),
    ],
    ids=["small", "columns", "rows", "dimensions", "scales"],
)
def test_a_tensor_for_tinygemm_is_a_small_matrix(size: list[int], scales: list[int], fine: bool) -> None:
    """It is unpacked by a product with a matrix that has the square of its columns."""
    whole = tinygemm(size, size, scales)
    for node in [whole] if scales[1] > 1 else [whole, whole["inner"]["_data"]]:
        with (
            contextlib.nullcontext() if fine else pytest.raises(recipes.Unreadable, match="do not belong to its shape")
        ):
            check(node)


@pytest.mark.parametrize("packed", [[4, 8], [8, 4], [2, 4], [4, 2]], ids=str)
def test_what_is_packed_for_tinygemm_has_the_elements_of_the_weight(packed: list[int]) -> None:
    with pytest.raises(recipes.Unreadable, match="do not belong to its shape"):
        check(tinygemm([4, 4], packed, [4, 1, 2]))


def test_the_bytes_of_a_model_are_those_of_its_storages_each_once() -> None:
    model = toys.mlp([16, 16, 16])
    count = sum(parameter.numel() for parameter in model.parameters())
    assert records.stored_bytes(answers.decode(codec.encode(model))) == 4 * count
    for weight in (model.layers[-1].weight, torch.nn.Parameter(model.layers[-1].weight.detach())):  # another object
        model.layers[0].weight = weight
        assert records.stored_bytes(answers.decode(codec.encode(model))) == 4 * (count - 16 * 16)


@pytest.mark.parametrize("size", [(0, 1 << 30), (1 << 30, 0), (1 << 10, 0, 1 << 10)])
def test_a_tensor_without_elements_has_no_huge_shape(size: tuple[int, ...]) -> None:
    """As nested lists, or summed up, it would take gigabytes: it ended the process that looked at it."""
    with pytest.raises(recipes.Unreadable, match="huge shape"):
        answers.decode(codec.encode(torch.empty(size)))
    with pytest.raises(recipes.Unreadable, match="huge shape"):
        answers.load_tensors(save({"x": torch.empty(size)}))
    assert tuple(answers.decode(codec.encode(torch.empty(0, 1 << 16))).shape) == (0, 1 << 16)


def test_strides_of_a_tensor_inside_a_model_are_refused() -> None:
    data = codec.encode(torch.nn.Linear(2, 2))
    (length,) = struct.unpack_from("<I", data)
    tree = data[4 : 4 + length].decode().replace('"size":[2,2]', '"size":[2,2],"stride":[0,0]')
    codec.decode(answer(tree, data[4 + length :]))
    with pytest.raises(recipes.Unreadable):
        answers.decode(answer(tree, data[4 + length :]))


@pytest.mark.parametrize("kind", ["dict", "set"])
def test_an_answer_has_a_limited_number_of_keys(kind: str) -> None:
    """Keys of the same hash take a time that grows with the square of their number."""
    same_hash = [(2**61 - 1) * number for number in range(1, 1 + schema.MAX_KEYS)]
    parts = [[key, 0] if kind == "dict" else key for key in same_hash]
    assert len(answers.decode(answer(json.dumps({"k": kind, "of": parts})))) == schema.MAX_KEYS
    with pytest.raises(recipes.Unreadable, match="too many parts"):
        answers.decode(answer(json.dumps({"k": kind, "of": [*parts, [1, 0] if kind == "dict" else 1]})))


def listed(*parts: str) -> str:
    return '{"k":"list","of":[' + ",".join(parts) + "]}"


_SET = '{"k":"set","of":[' + ",".join(str((2**61 - 1) * number) for number in range(1, 2000)) + "]}"
_TENSOR = '{"k":"tensor","dtype":"float32","size":[2],"data":"0"}'
_TWO = save({"0": torch.zeros(2)})


@pytest.mark.parametrize(
    ("tree", "body"),
    [
        (listed(*[_SET] * 80), b""),
        (
            listed(*[_TENSOR.replace('"0"', f'"{n}"') for n in range(5000)]),
            save({str(n): torch.zeros(2) for n in range(5000)}),
        ),
        ("1" * 500_000, b""),
        ("[" * 400_000, b""),
        ('"' + '\\"' * 300_000, b""),
        ('"' * 300_001, b""),
        ('{"k":' * 150_000, b""),
        (listed(*["[]"] * 300_000), b""),
        ('"' + "x" * (1 << 21) + '"', b""),
        (listed(*[_TENSOR] * 40_000), _TWO),
        (_TENSOR.replace("[2]", "[-1]"), _TWO),
        (_TENSOR.replace("[2]", "[true]"), _TWO),
        (_TENSOR.replace("[2]", "[" + ",".join(["1"] * 40 + ["2"]) + "]"), _TWO),
        (_TENSOR.replace("[2]", "[1e30]"), _TWO),
        (_TENSOR.replace("[2]", '["2"]'), _TWO),
        (_TENSOR.replace("float32", "float64"), _TWO),
        (_TENSOR.replace('"data":"0"', '"data":"0","data":"0"'), _TWO),
        (_TENSOR.replace('"data"', '"stride":[0],"data"'), _TWO),
        (_TENSOR.replace('"data":"0"', '"data":["0"]'), _TWO),
        (_TENSOR, b"\xff" * 8),
        (_TENSOR, struct.pack("<Q", 1 << 60) + b"{}"),
        (_TENSOR, b""),
        ("null", _TWO),
        ('{"k":"dict","of":[[1]]}', b""),
        ('{"k":"dict","of":[[{"k":"list","of":[]},1]]}', b""),
        ('{"k":"dict","of":[[' + 60 * '{"k":"tuple","of":[' + 60 * "]}" + ",1]]}", b""),
        ('{"k":"bytes","hex":"zz"}', b""),
        ('{"k":"bytes","hex":5}', b""),
        ('{"k":["bytes"]}', b""),
        ('{"k":"model","type":"m","modules":5,"parameters":[],"buffers":[]}', b""),
        ('{"k":"model","type":"m","modules":[],"parameters":[{"name":1}],"buffers":[]}', b""),
    ],
)
def test_forged_answers_are_refused_at_once(tree: str, body: bytes) -> None:
    before, begun = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss, time.process_time()
    with pytest.raises(recipes.Unreadable):
        answers.decode(answer(tree, body))
    assert time.process_time() - begun < 1
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 64 << 10  # KiB


def quantized(weights: str) -> tuple[dict, bytes]:
    data = codec.encode(precisions.quantized("mlp", weights).layers[0].weight)
    (length,) = struct.unpack_from("<I", data)
    return json.loads(data[4 : 4 + length]), data[4 + length :]


load_quanto()


@pytest.mark.parametrize("weights", ["qint8", "qint4", "qint2", "qfloat8"])
def test_a_quantized_tensor_is_what_its_parts_are(weights: str) -> None:
    tree, body = quantized(weights)
    made = answers.decode(answer(json.dumps(tree), body))
    assert isinstance(made, QuantizedRecord)
    want = precisions.quantized("mlp", weights).layers[0].weight.dequantize()
    same(records.dequantized(made), want, bit_for_bit)


@pytest.mark.parametrize(
    ("path", "value"),
    [
        (["size"], [4096, 4096]),
        (["meta", "size"], "[4096, 4096]"),
        (["meta", "size"], "[" * 50),
        (["meta", "stride"], "__import__('os').getcwd()"),
        (["meta", "stride"], "[" + "9" * 100_000 + "]"),
        (["meta", "axis"], "0 " + "+ 1" * 60),
        (["meta", "qtype"], "qint9"),
        (["meta", "more"], ""),
        (["qtype"], None),
        (["axis"], 7),
        (["type"], "PackedTensor"),
        (["type"], "Tensor"),
        (["inner", "_data"], {"foreign": "x"}),
        (["inner", "_scale", "value", "meta"], True),
        (["inner", "more"], {"foreign": "x"}),
    ],
)
def test_a_quantized_tensor_with_other_parts_is_refused(path: list[str], value: object) -> None:
    tree, body = quantized("qint8")
    node = tree
    for key in path[:-1]:
        node = node[key]
    node[path[-1]] = value
    with pytest.raises(recipes.Unreadable):
        answers.decode(answer(json.dumps(tree), body))


def test_one_scale_may_be_of_all_codes() -> None:
    """As activations have it: a scale without any dimension."""
    tree, _ = quantized("qint8")
    codes = torch.ones(tree["size"], dtype=torch.int8)
    names = [tree["inner"][name]["value"]["data"] for name in ("_data", "_scale")]
    tree["inner"]["_scale"]["value"]["size"] = []
    made = answers.decode(answer(json.dumps(tree), save({names[0]: codes, names[1]: torch.tensor(0.5)})))
    assert isinstance(made, QuantizedRecord)
    same(records.dequantized(made), codes * 0.5, bit_for_bit)


def test_a_scale_is_not_spread_beyond_its_codes() -> None:
    """40 KB of codes and scales that stand for 100 million numbers."""
    tree, _ = quantized("qint8")
    tree["size"], tree["meta"]["size"], tree["meta"]["stride"] = [1, 10_000], "[1, 10000]", "[10000, 1]"
    tree["inner"]["_data"]["value"]["size"] = [1, 10_000]
    tree["inner"]["_scale"]["value"]["size"] = [10_000, 1]
    names = [tree["inner"][name]["value"]["data"] for name in ("_data", "_scale")]
    body = save({names[0]: torch.zeros(10_000, dtype=torch.int8), names[1]: torch.zeros(10_000)})
    with pytest.raises(recipes.Unreadable, match="parts do not belong"):
        answers.decode(answer(json.dumps(tree), body))


calm = settings(derandomize=True, deadline=2000, database=None, suppress_health_check=[HealthCheck.too_slow])
json_values = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**70), 2**70) | st.floats() | st.text(max_size=9),
    lambda inner: (
        st.lists(inner, max_size=4)
        | st.dictionaries(
            st.sampled_from(
                ["k", "of", "data", "size", "dtype", "name", "hex", "type", "inner", "meta", "value", "modules"]
            )
            | st.text(max_size=3),
            inner | st.sampled_from(sorted(schema._KINDS)),
            max_size=5,
        )
    ),
    max_leaves=30,
)


@calm
@given(json_values, st.binary(max_size=60))
def test_whatever_an_answer_is_it_is_read_or_refused(tree: object, body: bytes) -> None:
    try:
        answers.decode(answer(json.dumps(tree), body))
    except recipes.Unreadable:
        return


@calm
@given(st.binary(max_size=300))
def test_whatever_bytes_come_they_are_read_or_refused(data: bytes) -> None:
    for read in (answers.decode, answers.load_tensors, schema.exception, schema.errors, schema.read):
        try:
            read(data)  # type: ignore[operator]
        except recipes.Unreadable:
            continue


def _whole() -> bytes:
    model = precisions.quantized("mlp", "qint4")
    return codec.encode([model, {"x": torch.ones(2, 3), "y": (1, None, 0.5, b"z")}, toys.tied()])


WHOLE = _whole()


@calm
@given(st.lists(st.tuples(st.integers(0, len(WHOLE) - 1), st.integers(0, 255)), min_size=1, max_size=4))
def test_an_answer_with_some_bytes_changed_is_read_or_refused(changes: list[tuple[int, int]]) -> None:
    data = bytearray(WHOLE)
    for at, byte in changes:
        data[at] = byte
    try:
        made = answers.decode(bytes(data))
        for model in made if isinstance(made, list) else []:
            for record in getattr(model, "parameters", {}).values():
                if isinstance(record, QuantizedRecord):
                    records.dequantized(record)
    except recipes.Unreadable:
        return


@pytest.mark.parametrize(
    "told",
    [
        {"error": 5},
        {"lessons": {"l": {"cells": [], "plans": {"f": {"cells": [3], "rests_on": [], "stub": False}}, "defined": []}}},
        {"lessons": {"l": {"cells": [], "plans": {}, "defined": [1]}}},
        {"lessons": []},
    ],
)
def test_a_plan_is_what_was_asked_for(told: object) -> None:
    with pytest.raises(recipes.Unreadable):
        schema.read(json.dumps(told).encode())
