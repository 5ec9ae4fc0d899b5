"""Values survive the way to the worker and back; what is no data arrives as nothing but a type's name."""

from __future__ import annotations

import struct
import tempfile
from collections import OrderedDict, namedtuple

import hypothesis.strategies as st
import numpy
import pytest
import torch
from hypothesis import given, settings

from exercises.kit import toys
from exercises.kit.checking.closeness import bit_for_bit, same
from exercises.kit.checking.showing import Foreign, show
from exercises.kit.unpacking import load_quanto
from graders.judge import records
from graders.judge.contract import StudentRaised, recipe
from graders.judge.proxy import Proxy
from graders.judge.recording import in_process
from graders.wire import codec, recipes, schema
from graders.wire.records import ModelRecord, QuantizedRecord

quanto = load_quanto()  # 4-bit codes without a compiler

calm = settings(derandomize=True, deadline=None, database=None)
DTYPES = [
    torch.float64, torch.float32, torch.float16, torch.bfloat16, torch.float8_e4m3fn, torch.float8_e5m2,
    torch.uint8, torch.int8, torch.int16, torch.int32, torch.int64, torch.bool, torch.complex64, torch.complex128,
]  # fmt: skip


def there_and_back(value: object, strided: bool = False) -> object:
    return codec.decode(codec.encode(value, strided))


@st.composite
def tensors(draw: st.DrawFn) -> torch.Tensor:
    dtype = draw(st.sampled_from(DTYPES))
    shape = draw(st.lists(st.integers(0, 4), max_size=3))
    seed = torch.Generator().manual_seed(draw(st.integers(0, 99)))
    made = (torch.randn(shape, generator=seed) * 8).to(dtype)
    way = draw(st.sampled_from(["plain", "transposed", "expanded", "sliced"]))
    if way == "transposed" and made.ndim > 1:
        return made.transpose(0, -1)
    if way == "expanded":
        return made.unsqueeze(0).expand(2, *made.shape)
    if way == "sliced" and made.ndim and made.shape[-1] > 2:
        return made[..., 1::2]
    return made


scalars = st.none() | st.booleans() | st.integers() | st.floats() | st.text() | st.binary() | st.sampled_from(DTYPES)
values = st.recursive(
    scalars,
    lambda inner: (
        st.lists(inner, max_size=3) | st.tuples(inner, inner) | st.dictionaries(st.text(max_size=3), inner, max_size=3)
    ),
    max_leaves=8,
)


@calm
@given(tensors(), st.booleans())
def test_tensors_of_every_dtype_and_stride(tensor: torch.Tensor, strided: bool) -> None:
    back = there_and_back(tensor, strided)
    assert isinstance(back, torch.Tensor)
    same(back, tensor, bit_for_bit)
    if strided and tensor.numel():
        assert back.stride() == tensor.stride()
    assert back.data_ptr() != tensor.data_ptr() or not tensor.numel()


@calm
@given(values)
def test_nested_values(value: object) -> None:
    same(there_and_back(value), value, bit_for_bit)


def test_one_tensor_given_twice_stays_one() -> None:
    x = torch.ones(3)
    back = there_and_back([x, {"again": x}], strided=True)
    assert back[0] is back[1]["again"]


def test_gradients_parameters_and_meta() -> None:
    x = torch.ones(2, requires_grad=True)
    back = there_and_back([x, torch.nn.Parameter(x), torch.empty(3, 4, device="meta").t()], strided=True)
    assert back[0].requires_grad
    assert type(back[1]) is torch.nn.Parameter
    assert (back[2].device.type, back[2].stride()) == ("meta", (1, 4))


def test_subclasses_of_builtins_arrive_as_their_base() -> None:
    class Liar(int):
        def __eq__(self, other: object) -> bool:
            return True

        __hash__ = int.__hash__

    pair = namedtuple("pair", "a b")
    back = there_and_back([Liar(3), numpy.float64(0.5), OrderedDict(a=1), pair(1, 2)])
    assert [type(item) for item in back] == [int, float, dict, tuple]
    assert back == [3, 0.5, {"a": 1}, (1, 2)]


class Lying(torch.Tensor):
    @classmethod
    def __torch_function__(cls, function, types, args=(), kwargs=None):  # type: ignore[no-untyped-def]
        return True


@pytest.mark.parametrize(
    ("value", "name"),
    [
        (object(), "object"),
        (numpy.int64(3), "numpy.int64"),
        (numpy.ones(2), "numpy.ndarray"),
        (torch.ones(2).to_sparse(), "Tensor with layout torch.sparse_coo"),
        (torch.ones(2).as_subclass(Lying), "Lying"),
        (len, "builtin_function_or_method"),
    ],
)
def test_what_is_no_data_is_foreign(value: object, name: str) -> None:
    back = there_and_back(value)
    assert isinstance(back, Foreign)
    assert name in back.type_name
    assert show(back) == f"an object of type {back.type_name}"


def test_cycles_and_depth_cannot_be_read() -> None:
    cycle: list[object] = []
    cycle.append(cycle)
    with pytest.raises(recipes.Unreadable):
        codec.encode(cycle)
    with pytest.raises(recipes.Unreadable):
        codec.encode(torch.empty(1).expand(schema.MAX_BYTES))


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"\xff\xff\xff\xff",
        struct.pack("<I", 2) + b"[]",
        struct.pack("<I", 11) + b'{"k":"evil"}',
        struct.pack("<I", 12) + b'{"k":"again"',
        struct.pack("<I", 60) + b'{"k":"tensor","dtype":"float32","size":[9],"data":"0"}      ',
        struct.pack("<I", 60) + b'{"k":"recipe","name":"os:getcwd","args":{"k":"list","of":[]}}',
        b"\x80\x04" + b"x" * 50,
    ],
)
def test_forged_bytes_are_refused(data: bytes) -> None:
    with pytest.raises(recipes.Unreadable):
        codec.decode(data)


def test_recipes_are_made_once_per_call_and_only_from_the_kit() -> None:
    model = recipe(toys.DummyModel)
    back = there_and_back([model, model], strided=True)
    assert isinstance(back[0], toys.DummyModel)
    assert back[0] is back[1]
    with pytest.raises(recipes.Unreadable):
        codec.encode(codec.decode(codec.encode(recipes.Recipe("os:getcwd"), strided=True)))


def test_a_model_arrives_with_ties_buffers_and_modes() -> None:
    class Tied(torch.nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.first, self.second = torch.nn.Linear(4, 4, bias=False), torch.nn.Linear(4, 4, bias=False)
            self.second.weight = self.first.weight
            self.register_buffer("kept", torch.arange(3))
            self.register_buffer("unsaved", torch.ones(2), persistent=False)
            self.second.eval()

    model = Tied()
    record = there_and_back(model)
    assert isinstance(record, ModelRecord)
    assert records.ties(record) == [["first.weight", "second.weight"]]
    assert records.training(record) == {"": True, "first": True, "second": False}
    assert record.buffers["unsaved"].persistent is False
    assert records.stored_bytes(record) == 4 * 16 + 8 * 3 + 4 * 2
    rebuilt = records.load_into(record, Tied())
    same(dict(rebuilt.state_dict()), dict(model.state_dict()))
    assert rebuilt.first.weight is rebuilt.second.weight


@pytest.mark.parametrize("weights", ["qint8", "qint4", "qint2", "qfloat8"])
def test_quantized_weights_arrive_with_their_inner_tensors(weights: str) -> None:
    model = torch.nn.Sequential(torch.nn.Linear(32, 16), torch.nn.ReLU(), torch.nn.Linear(16, 16))
    quanto.quantize(model, weights=weights)
    quanto.freeze(model)
    record = there_and_back(model)
    weight = record.parameters["0.weight"]
    assert isinstance(weight, QuantizedRecord)
    assert weight.qtype.startswith(weights)
    same(records.dequantized(weight), model[0].weight.dequantize())
    same(
        records.load_into(record, toys_like(model))(torch.ones(1, 32)), model(torch.ones(1, 32)), relative_to_float32()
    )


def toys_like(model: torch.nn.Module) -> torch.nn.Module:
    return torch.nn.Sequential(torch.nn.Linear(32, 16), torch.nn.ReLU(), torch.nn.Linear(16, 16)).requires_grad_(False)


def relative_to_float32():  # type: ignore[no-untyped-def]
    from exercises.kit.checking.closeness import within

    return within(1e-4)


def test_a_module_that_lies_is_read_through_its_tables() -> None:
    class Liar(torch.nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.weight = torch.nn.Parameter(torch.ones(2))

        def named_parameters(self, *args: object, **kwargs: object):  # type: ignore[no-untyped-def]
            raise RuntimeError

        def __getattr__(self, name: str) -> object:
            raise AttributeError(name)

    model = Liar()
    model.itself = model
    record = there_and_back(model)
    assert list(record.parameters) == ["weight"]


def test_an_exception_says_the_same_of_every_temporary_folder() -> None:
    def missing() -> None:
        with tempfile.TemporaryDirectory() as folder:
            raise FileNotFoundError(f"no file {folder}/map.json")

    with pytest.raises(StudentRaised) as raised:
        Proxy(in_process({"missing": missing})).missing()
    assert raised.value.text == "no file FOLDER/map.json"


@pytest.mark.parametrize("tensor", [torch.arange(6.0).reshape(2, 3), torch.tensor(True), torch.zeros(0, 3)])
def test_an_argument_is_a_slice_of_a_larger_storage_and_an_answer_is_not(tensor: torch.Tensor) -> None:
    given = codec.decode(codec.encode(tensor, strided=True))
    assert torch.equal(given, tensor)
    assert given.is_contiguous()
    assert given.untyped_storage().nbytes() > tensor.nbytes
    assert codec.decode(codec.encode(tensor)).untyped_storage().nbytes() == tensor.nbytes


def test_a_tensor_that_cannot_be_read_ends_nobody() -> None:
    """To read beyond a storage is a segmentation fault; safetensors knows nothing of torch's own quantized tensors."""
    freed = torch.ones(4)
    freed.untyped_storage().resize_(0)
    with pytest.raises(recipes.Unreadable, match="a tensor has lost its numbers"):
        codec.encode([freed])
    quantized = torch.quantize_per_tensor(torch.ones(2), 0.1, 3, torch.quint8)
    assert there_and_back(quantized) == Foreign("Tensor of torch.quint8")
