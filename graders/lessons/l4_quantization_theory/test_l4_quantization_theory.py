"""Hidden tests of lesson 4: linear quantization by hand, quanto on whole models, bytes, text, and the choice."""

import re

import pytest
import torch
from optimum import quanto

from exercises.kit import toys
from exercises.kit.checking.closeness import Mismatch, exactly, quantized, relative, same, within
from exercises.kit.models import tiny_t5_tokenizer
from exercises.kit.probes import l4 as probes
from exercises.kit.toys import behaviours, precisions, quantized_models, small_transformers, tensors, variants
from graders.judge import records
from graders.judge.contract import main, observed, once, raises, recipe
from graders.wire import answers, codec, schema
from graders.wire.recipes import Unreadable
from graders.wire.records import ModelRecord, QuantizedRecord

# Models, by recipe ------------------------------------------------------------------------------------------------------

MLP = recipe(toys.mlp, [32, 48, 16])
NO_BIAS = recipe(toys.mlp, [256, 32, 16], bias=False)
NESTED = recipe(behaviours.nested, 3)
FOUR_LAYERS = recipe(toys.mlp, [16] * 5)
TIED = recipe(toys.tied)
CONVOLUTIONAL = recipe(toys.convolutional)
BUFFERED = recipe(behaviours.buffered)
WINDOWS = recipe(quantized_models.windows)
SMALL_T5 = recipe(small_transformers.small_t5)
TOKENIZER = recipe(tiny_t5_tokenizer)
SLICES = recipe(tensors.inside_each, NO_BIAS)
PARTLY_TRAINING = recipe(quantized_models.trained_where, NESTED, "encoder.*.norm")


def half(model, dtype=torch.float16):
    """The same model cast to 16 bits."""
    return recipe(quantized_models.cast, model, dtype)


def with_quanto(model, *args, **keywords):
    """The same model quantized, and frozen where the glob `frozen` says (everywhere unless given)."""
    return recipe(quantized_models.with_quanto, model, *args, **keywords)


@once
def record_of(model) -> ModelRecord:
    """The record of a model that is made here."""
    return codec.decode(codec.encode(model.build()))


# Comparing --------------------------------------------------------------------------------------------------------------


def contents(record):
    """The values of a plain tensor, or those inside a quantized one by name."""
    if isinstance(record, QuantizedRecord):
        return {name: contents(inner) for name, inner in record.inner.items()}
    return record.tensor


def same_model(got, want, modes=False):
    """Compare two models by their modules' types, the qtypes of their weights, and every stored number, bit for bit.

    With `modes`, by the training modes of all modules but quanto's own too.
    """
    if not isinstance(got, ModelRecord):
        raise Mismatch(got, "a model")
    same({name: module.type for name, module in got.modules.items()}, {n: m.type for n, m in want.modules.items()})
    same(records.qtypes(got), records.qtypes(want))
    same(
        {n: contents(r) for n, r in records.tensors(got).items()},
        {n: contents(r) for n, r in records.tensors(want).items()},
    )
    if modes:
        same(modes_beside_quanto(got), modes_beside_quanto(want))


def modes_beside_quanto(model):
    """The training modes of the modules that quanto did not make."""
    return {
        name: training
        for name, training in records.training(model).items()
        if not model.modules[name].type.startswith("optimum.quanto.")
    }


def one_of(got, *answers):
    """Accept a value that equals one of the answers."""
    for answer in answers[:-1]:
        try:
            return same(got, answer, exactly)
        except Mismatch:
            continue
    return same(got, answers[-1], exactly)


def finite_scale(got):
    """Accept any finite number >= 0."""
    if not 0 <= got < float("inf"):
        raise Mismatch(got, "a finite number >= 0")


def none_of(names, told):
    """Ask that a list of names is empty; `told` says what a name in it means."""
    if names:
        raise Mismatch(got=told.format(names[0]), want="no such thing")


def holds(found, wanted, what):
    """Ask that one of the things that were found is the one that is wanted."""
    if wanted not in found:
        raise Mismatch(got="files without it", want=what)


def at_most(got, limit):
    """Accept a number up to the limit."""
    if not got <= limit:
        raise Mismatch(got, f"at most {limit}")


def _joined(text):
    """The text, its numbers without separators, and percentages as fractions."""
    joined = re.sub(r"(?<=\d)[,_' ](?=\d{3})", "", text if isinstance(text, str) else "")
    return re.sub(r"(\d+(?:\.\d+)?) ?%", lambda match: f"{float(match[1]) / 100:g}", joined)


def tells(text, *words):
    """Ask that a message contains all of these; separators inside its numbers do not matter."""
    told = _joined(text)
    missing = [word for word in words if word not in told]
    if missing:
        want = f"a ValueError that names {', '.join(words)}"
        raise Mismatch(
            got="no ValueError" if not isinstance(text, str) else f"a ValueError without {missing[0]}", want=want
        )


def tells_apart(text, missed):
    """Ask that a message puts each name beside the number that it missed, and beside no other.

    Names may stand in groups, without one of the numbers between them. The numbers of a group stand before it or after it,
    where the text in front of the first name and behind the last one may say more.
    """
    numbers = sorted(set(missed.values()), key=len, reverse=True)
    parts = re.split(rf"\b({'|'.join(missed)})\b", _joined(text))
    said = [{number for number in numbers if number in between} for between in parts[::2]]
    names, beside = parts[1::2], set()
    starts = [index for index in range(len(names)) if index == 0 or said[index]]
    for start, end in zip(starts, [*starts[1:], len(names)], strict=True):
        wanted = {missed[name] for name in names[start:end]}
        before, after = said[start], said[end]
        if len(wanted) == 1 and (
            before == wanted
            or after == wanted
            or (start == 0 and before > wanted and not after)
            or (end == len(names) and after > wanted)
        ):
            beside |= set(names[start:end])
    alone = [name for name in missed if name not in beside]
    if alone:
        want = "each name with the number that it missed, and with no other"
        raise Mismatch(got=f"a ValueError that does not say it so of {alone[0]}", want=want)


def tensors_in(files):
    """All tensors in the files that are safetensors."""
    found = []
    for content in files.values():
        try:
            found += answers.load_tensors(content).values()
        except Unreadable:
            continue
    return found


def codes_missing(files, record):
    """Names of the quantized weights whose codes stand in none of the files."""
    stored = [tensor.flatten() for tensor in tensors_in(files)]
    weights = {name: r for name, r in record.parameters.items() if isinstance(r, QuantizedRecord)}
    codes = {name: records.leaves(r)[0].tensor.flatten() for name, r in weights.items()}
    return [
        name for name, own in codes.items() if not any(t.dtype == own.dtype and torch.equal(t, own) for t in stored)
    ]


@once
def values_of_codes(model):
    """What the quantized weights of a model stand for, by name."""
    parameters = record_of(model).parameters
    return {name: records.dequantized(r) for name, r in parameters.items() if isinstance(r, QuantizedRecord)}


@once
def map_of(model):
    """quanto's quantization map of a model."""
    return quanto.quantization_map(model.build())


def floats_of_codes(files, model):
    """Names of the quantized weights whose values stand in one of the files as floats."""
    stored = [tensor.float() for tensor in tensors_in(files) if tensor.is_floating_point()]
    return [name for name, value in values_of_codes(model).items() if any(torch.equal(one, value) for one in stored)]


def floats_missing(files, record):
    """Names of the other tensors, but quanto's scalars and what no state dict holds, that stand in none of the files."""
    stored = tensors_in(files)
    plain = {
        name: r for name, r in records.tensors(record).items() if not isinstance(r, QuantizedRecord) and r.persistent
    }
    own = {name: r.tensor for name, r in plain.items() if not name.endswith("put_scale")}
    return [name for name, one in own.items() if not any(t.dtype == one.dtype and torch.equal(t, one) for t in stored)]


def json_in(value):
    """Every value inside a JSON document, the document first."""
    yield value
    for inner in value.values() if isinstance(value, dict) else value if isinstance(value, list) else []:
        yield from json_in(inner)


def documents_in(files):
    """Every JSON value in the files: in JSON files, and in the metadata of safetensors files."""
    found = []
    for content in files.values():
        for text in [content, *_metadata(content)]:
            try:
                found += json_in(schema.parsed(text))
            except Unreadable:
                continue
    return found


def _metadata(content):
    length = int.from_bytes(content[:8], "little")
    try:
        told = schema.parsed(content[8 : 8 + length]).get("__metadata__", {}).values()
        return [text.encode() for text in told]
    except (Unreadable, AttributeError, UnicodeError):
        return []


def unreadable(files):
    """Names of the files that are neither safetensors nor text."""
    names = []
    for name, content in files.items():
        try:
            answers.load_tensors(content)
        except Unreadable:
            try:
                content.decode()
            except UnicodeDecodeError:
                names.append(name)
    return names


# The arithmetic ---------------------------------------------------------------------------------------------------------


def any_shape(values, dtype=torch.float32):
    """Twelve values in every shape and layout that a tensor argument may have, the rows unlike one another."""
    x = torch.tensor(values, dtype=dtype)
    layouts = {
        "one element": x[:1],
        "rows": x.reshape(3, 4),
        "3-D": x.reshape(2, 3, 2),
        "transposed": x.reshape(4, 3).T,
        "strided": x.repeat_interleave(2)[::2],
        "slice of a larger storage": recipe(tensors.inside, x.reshape(3, 4)),
    }
    return pytest.mark.parametrize("x", list(layouts.values()), ids=list(layouts))


class TestScaleAndZeroPoint:
    @main
    @pytest.mark.parametrize(
        "args",
        [
            (torch.tensor([3.0, -28.25, 226.75, 0.0]),),
            (torch.tensor([226.25, 5.0, -28.75]),),
            (torch.tensor([-64.25, 190.75]), torch.uint8),
            (torch.tensor([[-57.0, 5.0], [0.5, 6.75]]) / 4, torch.int8),
        ],
        ids=["three quarters", "one quarter", "uint8", "mostly negative"],
    )
    def test_maps_the_range_onto_the_codes(self, student, reference, args):
        """The smallest value lands on the smallest code, the largest on the largest."""
        same(student.scale_and_zero_point(*args), reference.scale_and_zero_point(*args), relative(1e-12))

    @pytest.mark.parametrize("dtype", [torch.int8, torch.uint8], ids=str)
    @pytest.mark.parametrize(
        "values",
        [[51.0, 102.0, 60.0], [-51.0, -102.0], [3.0], [-7.0, -7.0]],
        ids=["positive", "negative", "one", "constant"],
    )
    def test_zero_is_in_the_range(self, student, reference, values, dtype):
        """A range without 0 is widened to contain it."""
        x = torch.tensor(values)
        same(student.scale_and_zero_point(x, dtype), reference.scale_and_zero_point(x, dtype), relative(2.0**-22))

    @pytest.mark.parametrize("dtype", [torch.int8, torch.uint8], ids=str)
    def test_all_zeros(self, student, dtype):
        """A tensor of zeros gives (1.0, 0)."""
        same(student.scale_and_zero_point(torch.zeros(3), dtype), (1.0, 0), exactly)

    @pytest.mark.parametrize(
        "x",
        [
            torch.tensor([-59968.0, 60032.0], dtype=torch.float16),
            torch.tensor([-256.0, 1.0], dtype=torch.bfloat16),
            torch.tensor([-1.0, 2.0**24]),
            torch.tensor([-3e38, 2e38]),
            torch.tensor([0.0, 1 + 2.0**-30], dtype=torch.float64),
            torch.tensor([60000.0, 60000.0], dtype=torch.float16),
        ],
        ids=["float16 to infinity", "bfloat16", "float32", "float32 to infinity", "float64", "float16 sum"],
    )
    def test_the_range_is_taken_in_float64(self, student, reference, x):
        """The width of the range is computed in float64, where it neither overflows nor rounds."""
        same(student.scale_and_zero_point(x), reference.scale_and_zero_point(x), relative(1e-12))

    @pytest.mark.parametrize("size", [2.0**-60, 2.0**-900], ids=["float32", "float64"])
    def test_a_small_range(self, student, reference, size):
        """However small the range is, all of it is mapped onto all of the codes."""
        x = torch.tensor([3.0, -28.25, 226.75, 0.0], dtype=torch.float32 if size == 2.0**-60 else torch.float64) * size
        same(student.scale_and_zero_point(x), reference.scale_and_zero_point(x), relative(1e-12))

    def test_0_dim(self, student, reference):
        """A tensor without dimensions has a range too."""
        x = torch.tensor(-51.0)
        same(student.scale_and_zero_point(x), reference.scale_and_zero_point(x), relative(1e-12))

    @any_shape([-2.75, 0.5, 60.0, -30.25, 3.75, 0.0, 64.5, -1.25, 9.0, -63.25, 5.0, 2.25])
    def test_any_shape(self, student, reference, x):
        """A tensor of any shape and any strides has one range."""
        same(student.scale_and_zero_point(x), reference.scale_and_zero_point(x), relative(2.0**-22))

    def test_any_values_in_any_order(self, student, reference, generator):
        """Random values, in a tensor that is not contiguous."""
        x = (torch.randn(7, 5, generator=generator) * 3 + 1).t()
        same(student.scale_and_zero_point(x), reference.scale_and_zero_point(x), relative(2.0**-22))

    @pytest.mark.parametrize(
        "values", [[], [1.0, float("inf")], [float("-inf")], [float("nan"), 1.0]], ids=["empty", "inf", "-inf", "nan"]
    )
    def test_refuses_what_has_no_range(self, student, values):
        """A tensor that is empty or not finite is refused."""
        with raises(ValueError):
            student.scale_and_zero_point(torch.tensor(values))


class TestLinearQuantize:
    steps = torch.tensor([-40.25, -0.75, -0.25, 0.25, 0.75, 12.3125, 50.75])

    @main
    @pytest.mark.parametrize(
        "args",
        [(steps * 0.125, 0.125, -7), (steps * 4, 4.0, 100, torch.uint8), (steps / 64, 1 / 64, 0, torch.int8)],
        ids=["int8", "uint8", "symmetric"],
    )
    def test_divides_rounds_and_shifts(self, student, reference, args):
        """Codes inside the range: divided, rounded to nearest, shifted."""
        same(student.linear_quantize(*args), reference.linear_quantize(*args), exactly)

    @pytest.mark.parametrize("zero_point", [0, 4], ids=["symmetric", "even"])
    def test_ties_go_to_even(self, student, zero_point):
        """Half a step rounds to the even code."""
        x = torch.tensor([0.25, 0.75, 1.25, -0.25, -0.75, -1.25])
        want = torch.tensor([0, 2, 2, 0, -2, -2]) + zero_point
        same(student.linear_quantize(x, 0.5, zero_point), want.to(torch.int8), exactly)

    def test_ties_at_an_odd_zero_point(self, student):
        """Half a step at an odd zero point: even before the shift or even after it, both are right."""
        x = torch.tensor([0.5, 1.5, 2.5, -0.5, -1.5, -2.5])
        rounded_first = torch.tensor([-7, -5, -5, -7, -9, -9], dtype=torch.int8)
        shifted_first = torch.tensor([-6, -6, -4, -8, -8, -10], dtype=torch.int8)
        one_of(student.linear_quantize(x, 1.0, -7), rounded_first, shifted_first)

    @pytest.mark.parametrize(
        "args",
        [
            (torch.tensor([127.4, 127.6, 128.0, 200.0, 300.0, -128.4, -128.6, -129.0, -1000.0]), 1.0, 0),
            (torch.tensor([150.0, 90.0, -90.0, -150.0]), 1.0, -70),
            (torch.tensor([-150.0, 90.0, 150.0]), 1.0, 70),
            (torch.tensor([-3.0, -5.0, 250.0, 256.0, 1000.0]), 1.0, 4, torch.uint8),
            (torch.tensor([float("inf"), float("-inf"), 1e30, -1e30]), 0.5, 3),
            (torch.tensor([float("inf"), float("-inf"), 1.0]), 0.5, 3, torch.uint8),
        ],
        ids=["int8", "low zero point", "high zero point", "uint8", "infinite", "infinite uint8"],
    )
    def test_saturates(self, student, reference, args):
        """A value outside the range gets the nearest end of it, after the shift and before the cast."""
        same(student.linear_quantize(*args), reference.linear_quantize(*args), exactly)

    @pytest.mark.parametrize("dtype", [torch.int8, torch.uint8], ids=str)
    def test_random_values_are_within_half_a_step(self, student, generator, dtype):
        """Every code is the nearest one; only at a tie may it be either neighbour."""
        x = torch.randn(9, 33, generator=generator).t()
        quotient = x.double() / 0.03
        rule = quantized(quotient + 11, slack=2.0**-22 * (quotient.abs() + 11))
        nearest = (quotient.round() + 11).clamp(torch.iinfo(dtype).min, torch.iinfo(dtype).max).to(dtype)
        same(student.linear_quantize(x, 0.03, 11, dtype), nearest, rule)

    @pytest.mark.parametrize("dtype", [torch.float32, torch.float64], ids=str)
    def test_close_to_where_the_code_changes(self, student, dtype):
        """A scale that is no power of two is not rounded to fewer bits than a float32 has."""
        codes = torch.arange(-126, 127, 9)
        x = (codes.double().repeat(2) + torch.tensor([0.49, -0.49]).repeat_interleave(len(codes))) * 0.1
        same(student.linear_quantize(x.to(dtype), 0.1, 0), codes.repeat(2).to(torch.int8), exactly)

    @pytest.mark.parametrize("dtype", [torch.float64, torch.float16, torch.bfloat16], ids=str)
    def test_other_float_dtypes(self, student, reference, dtype):
        """Tensors of other float dtypes, on values where every quotient is exact."""
        x = torch.tensor([[-3.0, 0.5], [1.25, 2.75]], dtype=dtype)
        same(student.linear_quantize(x, 0.25, 5), reference.linear_quantize(x, 0.25, 5), exactly)

    @any_shape([-2.875, 0.125, 60.4, -70.2, 3.9, 0.0, 64.6, -1.1, 9.9, -63.2, 5.1, 2.3])
    def test_any_shape(self, student, reference, x):
        """Codes are of the tensor's shape, whatever that is; its strides do not matter."""
        same(student.linear_quantize(x, 0.5, 9), reference.linear_quantize(x, 0.5, 9), exactly)

    def test_refuses_nan(self, student):
        """A tensor with nan is refused."""
        with raises(ValueError):
            student.linear_quantize(torch.tensor([1.0, float("nan")]), 1.0, 0)


class TestLinearDequantize:
    @main
    @pytest.mark.parametrize(
        ("q", "scale", "zero_point"),
        [
            (torch.tensor([127, -70, -128, 0, 5], dtype=torch.int8), 3.5, -70),
            (torch.tensor([[0, 255], [200, 3]], dtype=torch.uint8), 0.25, 200),
            (torch.tensor([-128, 127, 1], dtype=torch.int8), 2.0**-9, 0),
        ],
        ids=["int8", "uint8", "symmetric"],
    )
    def test_subtracts_and_multiplies(self, student, reference, q, scale, zero_point):
        """scale * (code - zero_point), as float32."""
        same(
            student.linear_dequantize(q, scale, zero_point), reference.linear_dequantize(q, scale, zero_point), exactly
        )

    @pytest.mark.parametrize("zero_point", [-128, -70, 127], ids=str)
    def test_no_int8_difference_wraps(self, student, reference, zero_point):
        """All 256 codes of int8: no difference leaves 8 bits behind."""
        q = torch.arange(-128, 128).to(torch.int8)
        same(student.linear_dequantize(q, 0.5, zero_point), reference.linear_dequantize(q, 0.5, zero_point), exactly)

    @pytest.mark.parametrize("zero_point", [0, 200, 255], ids=str)
    def test_no_uint8_difference_wraps(self, student, reference, zero_point):
        """All 256 codes of uint8: no difference below zero wraps."""
        q = torch.arange(256).to(torch.uint8).view(16, 16).t()
        same(student.linear_dequantize(q, 0.5, zero_point), reference.linear_dequantize(q, 0.5, zero_point), exactly)

    def test_any_scale(self, student, generator):
        """A scale that is no power of two: one product, rounded as float32 rounds; the code of zero is exactly zero."""
        q = torch.arange(-128, 128).to(torch.int8)[torch.randperm(256, generator=generator)]
        exact = (q.double() + 33) * 0.0371
        same(student.linear_dequantize(q, 0.0371, -33), exact.float(), within(2.0**-22 * exact.abs(), of=exact))

    @any_shape([0, 5, 255, 7, 128, 3, 90, 17, 254, 1, 60, 33], torch.uint8)
    def test_any_shape(self, student, reference, x):
        """Values are of the codes' shape, whatever that is; their strides do not matter."""
        same(student.linear_dequantize(x, 0.5, 3), reference.linear_dequantize(x, 0.5, 3), exactly)


class TestSymmetricScale:
    @main
    @pytest.mark.parametrize(
        "args",
        [
            (torch.tensor([-254.0, 1.0, 2.0, 50.0]),),
            (torch.tensor([[127.0, -3.0], [0.5, 0.0]]) / 1024,),
            (torch.tensor([-12.75, 5.0]), torch.uint8),
            (torch.tensor([1.0, -65534.0]), torch.int16),
            (torch.tensor([2.0**31, -5.0]), torch.int64),
        ],
        ids=["negative", "positive", "uint8", "int16", "int64"],
    )
    def test_maps_the_largest_magnitude(self, student, reference, args):
        """The largest magnitude, of either sign, lands on the largest code."""
        same(student.symmetric_scale(*args), reference.symmetric_scale(*args), relative(2.0**-22))

    @pytest.mark.parametrize("dtype", [torch.int8, torch.uint8], ids=str)
    def test_all_zeros(self, student, dtype):
        """A tensor of zeros has the scale 1.0."""
        same(student.symmetric_scale(torch.zeros(2, 2), dtype), 1.0, exactly)

    @pytest.mark.parametrize("dtype", [torch.float64, torch.float16, torch.bfloat16], ids=str)
    def test_other_float_dtypes(self, student, dtype):
        """Tensors of other float dtypes, with 127 times a power of two as the largest magnitude."""
        same(student.symmetric_scale(torch.tensor([3.0, -31.75], dtype=dtype)), 0.25, exactly)

    def test_finite_values_of_a_large_sum(self, student):
        """Values that are finite although float16 cannot hold their sum."""
        same(student.symmetric_scale(torch.full((3,), 65024.0, dtype=torch.float16)), 512.0, exactly)

    def test_0_dim(self, student):
        """A tensor without dimensions has a scale too."""
        same(student.symmetric_scale(torch.tensor(-254.0)), 2.0, exactly)

    def test_small_values(self, student):
        """However small the values are, the largest of them decides."""
        same(student.symmetric_scale(torch.tensor([3.0, -31.75]) * 2.0**-60), 2.0**-62, exactly)

    @any_shape([-2.75, 0.5, 60.0, -30.25, 3.75, 0.0, 63.5, -1.25, 9.0, -63.25, 5.0, 2.25])
    def test_any_shape(self, student, reference, x):
        """A tensor of any shape and any strides has one largest magnitude."""
        same(student.symmetric_scale(x), reference.symmetric_scale(x), relative(2.0**-22))

    def test_any_values(self, student, reference, generator):
        """Random values, in a tensor that is not contiguous."""
        x = torch.randn(6, 11, generator=generator)[:, ::2]
        same(student.symmetric_scale(x), reference.symmetric_scale(x), relative(2.0**-22))

    @pytest.mark.parametrize(
        "values", [[], [1.0, float("inf")], [float("-inf"), 1.0], [float("nan")]], ids=["empty", "inf", "-inf", "nan"]
    )
    def test_refuses_what_has_no_largest(self, student, values):
        """A tensor that is empty or not finite is refused."""
        with raises(ValueError):
            student.symmetric_scale(torch.tensor(values))


UNEVEN = torch.tensor([[1.0, -2.0, 3.0, 0.5], [20.0, 8.0, -9.0, 4.0], [0.25, 0.0, -0.5, 1.0], [-3.0, 7.0, 2.0, 6.0]])
ROWS, COLUMNS = torch.tensor([[4.0], [0.0], [-0.5], [1.0]]), torch.tensor([0.25, 0.0, 8.0, 1.0])
ERROR_PAIRS = pytest.mark.parametrize(
    ("tensor", "restored"),
    [
        (torch.tensor([1.0, 2.0, 4.0, -1.0]), torch.tensor([1.5, 2.0, 3.0, -1.0])),
        (torch.tensor([[3.0, -5.0, 8.0]]), torch.tensor([[1.0, -4.0, 8.5]])),
        (UNEVEN, UNEVEN + ROWS),
        (UNEVEN, UNEVEN + COLUMNS),
        (UNEVEN.reshape(4, 2, 2), (UNEVEN + COLUMNS).reshape(4, 2, 2)),
        (UNEVEN.T, (UNEVEN + ROWS).T.contiguous()),
        (recipe(tensors.inside, UNEVEN), recipe(tensors.inside, UNEVEN + ROWS)),
        (torch.tensor(3.0), torch.tensor(2.5)),
        (UNEVEN.double() * 2.0**-60, (UNEVEN + ROWS).double() * 2.0**-60),
    ],
    ids=[
        "vector",
        "matrix",
        "unequal rows",
        "unequal columns",
        "3-D",
        "transposed",
        "slices of larger storages",
        "0-dim",
        "tiny",
    ],
)
WIDE_PAIRS = pytest.mark.parametrize(
    ("tensor", "restored"),
    [
        (torch.tensor([300.0, -2.0], dtype=torch.float16), torch.tensor([-300.0, -1.0], dtype=torch.float16)),
        (torch.tensor([1e30, 0.0]), torch.tensor([0.0, 1e29])),
        (torch.tensor([4097.0, 1.0]), torch.tensor([1.0, 0.0])),
        (torch.tensor([256.0, 0.0], dtype=torch.bfloat16), torch.tensor([-1.0, 1.0], dtype=torch.bfloat16)),
        (torch.tensor([2.0**24, 0.0]), torch.tensor([-1.0, 1.0])),
        (torch.tensor([1.0 + 2.0**-30, 2.0], dtype=torch.float64), torch.tensor([1.0, 2.0])),
        (torch.tensor([1.0, 2.0], dtype=torch.bfloat16), torch.tensor([1.0, 2.0 + 2.0**-30], dtype=torch.float64)),
    ],
    ids=[
        "float16 to infinity",
        "float32 to infinity",
        "float32 sum",
        "bfloat16 difference",
        "float32 difference",
        "float64 first",
        "float64 second",
    ],
)
UNEQUAL = pytest.mark.parametrize(
    ("first", "second"),
    [
        ((3,), (1,)),
        ((3, 1), (1, 3)),
        ((2, 3), (2, 1)),
        ((2, 3), (3,)),
        ((2, 3), (6,)),
        ((3,), ()),
        ((1,), ()),
        ((0,), (0,)),
    ],
    ids=["row", "column", "one column", "each row", "flat", "0-dim", "one and 0-dim", "empty"],
)


class TestQuantizationError:
    @main
    @ERROR_PAIRS
    def test_mean_of_squares(self, student, reference, tensor, restored):
        """The mean of the squared differences."""
        same(
            student.quantization_error(tensor, restored),
            reference.quantization_error(tensor, restored),
            relative(1e-12),
        )

    @WIDE_PAIRS
    def test_in_float64(self, student, reference, tensor, restored):
        """Differences, squares and their mean are float64's."""
        same(
            student.quantization_error(tensor, restored),
            reference.quantization_error(tensor, restored),
            relative(1e-12),
        )

    def test_no_error(self, student, generator):
        """Equal tensors have the error 0.0."""
        x = torch.randn(4, 3, generator=generator)
        same(student.quantization_error(x, x), 0.0, exactly)

    @UNEQUAL
    def test_refuses_other_shapes(self, student, first, second):
        """Shapes that differ, and empty tensors, are refused."""
        with raises(ValueError):
            student.quantization_error(torch.ones(first), torch.ones(second))


class TestSqnrDb:
    @main
    @ERROR_PAIRS
    def test_ratio_in_decibel(self, student, reference, tensor, restored):
        """Ten times the decimal logarithm of signal power over noise power."""
        same(student.sqnr_db(tensor, restored), reference.sqnr_db(tensor, restored), within(1e-9))

    @WIDE_PAIRS
    def test_in_float64(self, student, reference, tensor, restored):
        """Squares and their sums are float64's."""
        same(student.sqnr_db(tensor, restored), reference.sqnr_db(tensor, restored), within(1e-9))

    @pytest.mark.parametrize("values", [[1.0, -2.0], [0.0, 0.0]], ids=["signal", "silence"])
    def test_no_noise(self, student, values):
        """A tensor that is restored exactly has an infinite ratio, zeros too."""
        same(student.sqnr_db(torch.tensor(values), torch.tensor(values)), float("inf"), exactly)

    def test_noise_only(self, student):
        """Noise where the signal is zero: minus infinity."""
        same(student.sqnr_db(torch.zeros(3), torch.tensor([0.0, 1.0, 0.0])), float("-inf"), exactly)

    def test_the_larger_noise(self, student):
        """More noise than signal is a negative number of decibel."""
        same(student.sqnr_db(torch.tensor([1.0, 0.0]), torch.tensor([1.0, -10.0])), -20.0, within(1e-9))

    @UNEQUAL
    def test_refuses_other_shapes(self, student, first, second):
        """Shapes that differ, and empty tensors, are refused."""
        with raises(ValueError):
            student.sqnr_db(torch.ones(first), torch.ones(second))


def whole_rows(generator, rows, columns):
    """Whole numbers whose largest magnitude in each row is odd, so that no quotient comes near a tie."""
    weight = torch.randint(-400, 401, (rows, columns), generator=generator).float()
    largest = 2 * torch.randint(201, 400, (rows,), generator=generator).float() + 1
    weight[:, columns // 2] = torch.where(torch.arange(rows) % 2 == 0, largest, -largest)
    return weight


class TestQuantizeRows:
    @main
    def test_each_row_by_its_own_largest(self, student, reference, generator):
        """Codes and scales, row by row, as quanto's."""
        weight = whole_rows(generator, 5, 24) * torch.tensor([[1.0], [8.0], [0.125], [64.0], [1.0]])
        same(student.quantize_rows(weight), reference.quantize_rows(weight), exactly)

    def test_ties_go_to_even(self, student):
        """Half a step rounds to the even code."""
        weight = torch.tensor([[63.5, 0.25, 0.75, 1.25, -0.25, -1.25], [-508.0, 2.0, 6.0, 10.0, -6.0, -2.0]])
        codes = torch.tensor([[127, 0, 2, 2, 0, -2], [-127, 0, 2, 2, -2, 0]], dtype=torch.int8)
        same(student.quantize_rows(weight), (codes, torch.tensor([[0.5], [4.0]])), exactly)

    def test_ties_at_other_scales(self, student):
        """Half a step rounds to the even code at scales that are no power of two, as the quotient says it."""
        weight = torch.tensor([[889.0, 45.5, -45.5], [61.5, -1905.0, 37.5], [-5207.0, 143.5, 61.5]])
        codes = torch.tensor([[127, 6, -6], [4, -127, 2], [-127, 4, 2]], dtype=torch.int8)
        same(student.quantize_rows(weight), (codes, torch.tensor([[7.0], [15.0], [41.0]])), exactly)

    def test_in_float32(self, student):
        """Scales and quotients are float32's, as quanto's are: in float64 each of these halves gets another code."""
        weight = torch.tensor([[152.0, 76.0, -76.0], [72.0, -144.0, 1.0], [75.0, 2.0, 150.0]])
        codes = torch.tensor([[127, 64, -64], [63, -127, 1], [64, 2, 127]], dtype=torch.int8)
        same(student.quantize_rows(weight), (codes, torch.tensor([[152.0], [144.0], [150.0]]) / 127), exactly)

    def test_one_row(self, student, reference, generator):
        """The scales of a matrix of one row are of shape (1, 1)."""
        weight = whole_rows(generator, 1, 9)
        same(student.quantize_rows(weight), reference.quantize_rows(weight), exactly)

    def test_a_slice(self, student, reference, generator):
        """A matrix that is a slice of a larger storage is quantized as any other."""
        weight = whole_rows(generator, 3, 8)
        want = reference.quantize_rows(weight)
        same(student.quantize_rows(recipe(tensors.inside, weight)), want, exactly)

    @pytest.mark.parametrize("shape", [(17, 2), (3, 40)], ids=["tall", "wide"])
    def test_transposed(self, student, reference, generator, shape):
        """A matrix that is not contiguous is quantized along its own rows."""
        weight = whole_rows(generator, *shape).t().contiguous().t()
        same(student.quantize_rows(weight), reference.quantize_rows(weight), exactly)

    def test_a_zero_row(self, student):
        """A row of zeros has codes 0 and a finite scale, and the others do not mind."""
        codes, scales = student.quantize_rows(torch.tensor([[254.0, -3.0], [0.0, 0.0], [-127.0, 1.0]]))
        same(codes, torch.tensor([[127, -2], [0, 0], [-127, 1]], dtype=torch.int8), exactly)
        same(scales[::2], torch.tensor([[2.0], [1.0]]), exactly)
        finite_scale(scales[1].item())

    def test_small_rows(self, student, reference, generator):
        """A row of small weights has a small scale."""
        weight = whole_rows(generator, 3, 8) * torch.tensor([[2.0**-40], [1.0], [2.0**-70]])
        same(student.quantize_rows(weight), reference.quantize_rows(weight), exactly)

    def test_as_the_quantized_layer(self, student, generator):
        """Codes and scales are those of a layer that quanto quantized."""
        weight = whole_rows(generator, 16, 16)
        made = record_of(with_quanto(recipe(toys.mlp_from, [weight]))).parameters["layers.0.weight"]
        same(student.quantize_rows(weight), (contents(made)["_data"], contents(made)["_scale"]), exactly)


# Whole models -----------------------------------------------------------------------------------------------------------

WRONG_TYPES = pytest.mark.parametrize("weights", [torch.int8, "int8", None], ids=["torch.int8", "name", "none"])


class TestQuantizeModel:
    @main
    @pytest.mark.parametrize(
        ("model", "keywords"),
        [
            (MLP, {}),
            (NESTED, {"weights": "qint4"}),
            (MLP, {"weights": "qfloat8"}),
            (CONVOLUTIONAL, {"weights": recipe(quantized_models.qtype, "qfloat8")}),
        ],
        ids=["default", "qint4 by name", "qfloat8 by name", "qfloat8 by type"],
    )
    def test_prepares_these_codes(self, student, reference, model, keywords):
        """Once frozen, the layers hold these codes, and everything else is as before."""
        got = student.probe(probes.frozen_afterwards, "quantize_model", model, **keywords)
        same_model(got, reference.probe(probes.frozen_afterwards, "quantize_model", model, **keywords))

    @pytest.mark.parametrize(
        "model", [MLP, TIED, CONVOLUTIONAL, PARTLY_TRAINING], ids=["mlp", "tied", "convolutional", "modes"]
    )
    def test_is_not_frozen(self, student, reference, model):
        """The layers are quanto's, their weights are still the model's floats, and what stays keeps its training mode."""
        same_model(student.quantize_model(model), reference.quantize_model(model), modes=True)

    @pytest.mark.parametrize(
        "exclude",
        ["lm_head", "*.output", ["encoder.0.*", "lm_*"], "encoder.?.attention.[!q]*", ["encoder"], []],
        ids=["name", "glob", "two", "one letter", "no match", "none"],
    )
    def test_exclude(self, student, reference, exclude):
        """What matches a glob by its full name stays float."""
        same_model(
            student.quantize_model(NESTED, exclude=exclude), reference.quantize_model(NESTED, "qint8", exclude=exclude)
        )

    @pytest.mark.parametrize("activations", ["qint8", recipe(quantized_models.qtype, "qfloat8")], ids=["name", "type"])
    def test_activations(self, student, reference, activations):
        """With activations, layer norms become quanto's too."""
        same_model(
            student.quantize_model(NESTED, "qint4", activations), reference.quantize_model(NESTED, "qint4", activations)
        )

    @observed
    @pytest.mark.parametrize("activations", ["qint8", recipe(quantized_models.qtype, "qfloat8")], ids=["name", "type"])
    def test_every_module_notes_its_types(self, student, reference, activations):
        """Every replaced module notes the qtypes of its weights and activations."""
        got = student.probe(probes.noted_qtypes, "quantize_model", NESTED, "qint4", activations)
        same(got, reference.probe(probes.noted_qtypes, "quantize_model", NESTED, "qint4", activations))

    @WRONG_TYPES
    def test_refuses_other_weights(self, student, weights):
        """Anything but a quanto qtype or its name is refused, the model stays as it was, and the text lists the names."""
        text, model = student.probe(probes.error_of, "quantize_model", MLP, weights)
        tells(text, *quanto.qtypes)
        same_model(model, record_of(MLP))

    @pytest.mark.parametrize(
        "args", [("qint8", torch.int8), ("qint8", "int8"), ("int8", "qint8")], ids=["torch.int8", "name", "weights"]
    )
    def test_refuses_other_activations(self, student, args):
        """The same for activations, and for weights where activations are given."""
        text, model = student.probe(probes.error_of, "quantize_model", NESTED, *args)
        tells(text, *quanto.qtypes)
        same_model(model, record_of(NESTED))

    @observed
    def test_works_in_place(self, student):
        """The very model that was given is returned."""
        same(student.probe(probes.returns_same_object, "quantize_model", MLP), True)


class TestQuantizeAndFreeze:
    @main
    @pytest.mark.parametrize(
        ("model", "args"),
        [
            (MLP, ()),
            (NESTED, ("qint4",)),
            (NO_BIAS, ("qint2",)),
            (CONVOLUTIONAL, (recipe(quantized_models.qtype, "qint8"),)),
        ],
        ids=["default", "qint4", "qint2", "by type"],
    )
    def test_stores_these_codes(self, student, reference, model, args):
        """The layers hold codes and scales, and everything else is as before."""
        same_model(student.quantize_and_freeze(model, *args), reference.quantize_and_freeze(model, *args))

    def test_modes_stay(self, student, reference):
        """Every module that stays keeps its training mode."""
        got = student.quantize_and_freeze(PARTLY_TRAINING)
        same_model(got, reference.quantize_and_freeze(PARTLY_TRAINING), modes=True)

    def test_a_tied_head_is_untied(self, student, reference):
        """The head of a tied model gets codes of its own, the embedding stays float."""
        same_model(student.quantize_and_freeze(SMALL_T5), reference.quantize_and_freeze(SMALL_T5))

    @WRONG_TYPES
    def test_refuses_other_types(self, student, weights):
        """Anything but a quanto qtype or its name is refused, and the model stays as it was."""
        text, model = student.probe(probes.error_of, "quantize_and_freeze", MLP, weights)
        tells(text, "qint8")
        same_model(model, record_of(MLP))

    @observed
    def test_every_layer_notes_its_qtype(self, student, reference):
        """Every layer notes the qtype of its weights, and that its activations have none."""
        got = student.probe(probes.noted_qtypes, "quantize_and_freeze", NESTED, "qint4")
        same(got, reference.probe(probes.noted_qtypes, "quantize_and_freeze", NESTED, "qint4"))

    @observed
    def test_works_in_place(self, student):
        """The very model that was given is returned."""
        same(student.probe(probes.returns_same_object, "quantize_and_freeze", MLP), True)


class TestQuantizedCopy:
    @main
    @pytest.mark.parametrize(
        ("model", "keywords"),
        [
            (MLP, {}),
            (NESTED, {"weights": "qint4", "exclude": "encoder.0.*"}),
            (TIED, {"exclude": ["body"]}),
            (BUFFERED, {}),
        ],
        ids=["default", "qint4", "tied", "buffers"],
    )
    def test_the_copy_stores_these_codes(self, student, reference, model, keywords):
        """The copy's layers hold codes and scales, and everything else is as before."""
        same_model(student.quantized_copy(model, **keywords), reference.quantized_copy(model, **keywords))

    @WRONG_TYPES
    def test_refuses_other_types(self, student, weights):
        """Anything but a quanto qtype or its name is refused, and the model stays as it was."""
        text, model = student.probe(probes.error_of, "quantized_copy", MLP, weights)
        tells(text, "qint8")
        same_model(model, record_of(MLP))

    @observed
    @pytest.mark.parametrize("model", [TIED, MLP], ids=["tied", "mlp"])
    def test_the_original_stays_float(self, student, model):
        """The model that was given is as before."""
        _, (after,) = student.probe(probes.arguments_after, "quantized_copy", model)
        same_model(after, record_of(model))
        same(records.training(after), records.training(record_of(model)))

    @observed
    @pytest.mark.parametrize("model", [BUFFERED, TIED, NESTED], ids=["buffers", "tied", "nested"])
    def test_shares_nothing(self, student, model):
        """Copy and original share no bias, embedding, norm or buffer."""
        same(student.probe(probes.shares_storage, "quantized_copy", model), False)

    def test_modes_stay(self, student, reference):
        """Every module of the copy that is not quanto's is in the mode of the original's."""
        got = student.quantized_copy(PARTLY_TRAINING)
        same_model(got, reference.quantized_copy(PARTLY_TRAINING), modes=True)

    def test_ties_stay(self, student, reference):
        """Float weights that are one in the model are one in the copy."""
        got = student.quantized_copy(TIED, exclude="lm_head")
        same(records.ties(got), records.ties(reference.quantized_copy(TIED, exclude="lm_head")))


class TestIsFrozen:
    @main
    @pytest.mark.parametrize(
        ("model", "want"),
        [
            (with_quanto(MLP), True),
            (with_quanto(NESTED, frozen=""), False),
            (with_quanto(NESTED, "qint4", exclude="lm_head"), True),
            (with_quanto(MLP, frozen="*.0"), False),
            (with_quanto(MLP, frozen="*.1"), False),
            (with_quanto(FOUR_LAYERS, frozen="*.[013]"), False),
            (with_quanto(FOUR_LAYERS, frozen="*"), True),
        ],
        ids=["frozen", "not frozen", "with a float layer", "first frozen", "last frozen", "all but one", "all of four"],
    )
    def test_all_quantized_layers(self, student, model, want):
        """All quantized layers are frozen, however many float ones there are."""
        same(student.is_frozen(model), want)

    @pytest.mark.parametrize("model", [MLP, recipe(toys.without_tensors), SMALL_T5], ids=["mlp", "no tensors", "t5"])
    def test_a_float_model(self, student, model):
        """A model without quantized layers is not frozen."""
        same(student.is_frozen(model), False)

    @pytest.mark.parametrize(
        ("layers", "want"), [("*", True), ("encoder.*", False), ("", False)], ids=["all", "some", "none"]
    )
    def test_layer_norms_do_not_count(self, student, layers, want):
        """quanto's layer norms have no qtype and are never frozen; they do not count."""
        same(student.is_frozen(with_quanto(NESTED, activations="qint8", frozen=layers)), want)

    def test_activations_alone(self, student):
        """A model in which only activations are quantized has no quantized layers."""
        same(student.is_frozen(with_quanto(NESTED, None, activations="qint8")), False)

    @pytest.mark.parametrize(
        ("layers", "want"),
        [("*", True), ("conv_*", False), ("classifier", False)],
        ids=["all", "convolutions", "others"],
    )
    def test_convolutions_count(self, student, layers, want):
        """Quantized convolutions are layers like others."""
        same(student.is_frozen(with_quanto(CONVOLUTIONAL, "qint2", frozen=layers)), want)

    def test_convolutions_alone(self, student):
        """Where only convolutions are quantized, and frozen, the model is frozen."""
        same(student.is_frozen(with_quanto(CONVOLUTIONAL, "qint2", exclude="classifier")), True)


class TestQuantizedLayers:
    @main
    @pytest.mark.parametrize(
        "model",
        [
            recipe(quantized_models.mixed_qtypes, ["qint4", "", "qfloat8", "qint8"]),
            with_quanto(NESTED, "qint2", exclude=["*.output"]),
            with_quanto(CONVOLUTIONAL, "qint8"),
        ],
        ids=["mixed", "nested", "frozen"],
    )
    def test_names_and_qtypes(self, student, reference, model):
        """Each quantized layer's name with its qtype's name, in order."""
        same(student.quantized_layers(model), reference.quantized_layers(model), ordered=True)

    @pytest.mark.parametrize("frozen", ["", "*", "encoder.*"], ids=["not frozen", "frozen", "partly"])
    def test_frozen_or_not(self, student, reference, frozen):
        """Freezing changes nothing in the list."""
        model = with_quanto(NESTED, "qint4", frozen=frozen)
        same(student.quantized_layers(model), reference.quantized_layers(model), ordered=True)

    @pytest.mark.parametrize(
        "model",
        [MLP, with_quanto(NESTED, None, activations="qint8"), with_quanto(MLP, exclude="*")],
        ids=["float", "activations alone", "all excluded"],
    )
    def test_none(self, student, model):
        """Without quantized weights the list is empty."""
        same(student.quantized_layers(model), {})

    def test_layer_norms_do_not_count(self, student, reference):
        """quanto's layer norms keep float weights and are not in the list."""
        model = with_quanto(NESTED, "qint4", activations="qint8")
        same(student.quantized_layers(model), reference.quantized_layers(model), ordered=True)


# Bytes ------------------------------------------------------------------------------------------------------------------

QUANTIZED_MODELS = pytest.mark.parametrize(
    "model",
    [
        with_quanto(MLP),
        with_quanto(NO_BIAS, "qint4"),
        with_quanto(CONVOLUTIONAL, "qint2"),
        with_quanto(NESTED, "qfloat8", exclude="lm_head"),
        with_quanto(half(MLP)),
        with_quanto(half(recipe(toys.mlp, [256, 32], bias=False), torch.bfloat16), "qint4"),
    ],
    ids=["qint8", "qint4 in groups", "qint2", "qfloat8", "float16 scales", "bfloat16 qint4"],
)
FLOAT_MODELS = pytest.mark.parametrize(
    "model",
    [
        MLP,
        half(MLP, torch.bfloat16),
        recipe(toys.mixed_dtypes, [torch.float64, torch.float32, torch.bfloat16]),
        recipe(toys.without_tensors),
        recipe(toys.mlp, [16] * 13),
        recipe(quantized_models.without_gradients, MLP),
    ],
    ids=["float32", "bfloat16", "mixed", "no tensors", "twelve layers", "without gradients"],
)
BUFFER_MODELS = pytest.mark.parametrize(
    "model",
    [BUFFERED, recipe(behaviours.batch_norm), with_quanto(BUFFERED)],
    ids=["all kinds", "batch norm", "quantized"],
)
UNFROZEN_MODELS = pytest.mark.parametrize(
    "model",
    [
        with_quanto(MLP, frozen=""),
        with_quanto(NESTED, "qint4", "qint8", frozen="encoder.0.*"),
        with_quanto(TIED, frozen=""),
    ],
    ids=["not frozen", "partly", "tied"],
)
TIED_MODELS = pytest.mark.parametrize(
    "model",
    [
        TIED,
        SMALL_T5,
        recipe(toys.tied_groups),
        with_quanto(TIED),
        with_quanto(SMALL_T5),
        recipe(behaviours.shared_buffer),
    ],
    ids=["tied", "t5", "groups", "untied by freeze", "t5 frozen", "shared buffer"],
)


class TestStoredBytes:
    @main
    @QUANTIZED_MODELS
    def test_counts_what_quantized_weights_store(self, student, model):
        """Codes, packed or not, scales and shifts, biases, and quanto's scalar buffers."""
        same(student.stored_bytes(model), records.stored_bytes(record_of(model)))

    @FLOAT_MODELS
    def test_float_models(self, student, model):
        """A float model's parameters by the size of their elements."""
        same(student.stored_bytes(model), records.stored_bytes(record_of(model)))

    @BUFFER_MODELS
    def test_buffers(self, student, model):
        """Buffers of every dtype count, those that are not saved too."""
        same(student.stored_bytes(model), records.stored_bytes(record_of(model)))

    @UNFROZEN_MODELS
    def test_unfrozen_models(self, student, model):
        """Before freeze the weights are still floats."""
        same(student.stored_bytes(model), records.stored_bytes(record_of(model)))

    @TIED_MODELS
    def test_each_storage_once(self, student, model):
        """What is stored once counts once, under however many names."""
        same(student.stored_bytes(model), records.stored_bytes(record_of(model)))

    def test_storages_with_all_their_bytes(self, student):
        """A tensor that is a window on a larger storage keeps all of it; two windows on one storage keep it once."""
        model = with_quanto(WINDOWS)
        same(student.stored_bytes(model), records.stored_bytes(record_of(model)))


class TestModuleSizes:
    @main
    @QUANTIZED_MODELS
    def test_every_prefix(self, student, reference, model):
        """Each module's bytes with all that is below it, quantized weights by what they store."""
        same(student.module_sizes(model), reference.module_sizes(model))

    @FLOAT_MODELS
    def test_float_models(self, student, reference, model):
        """Every module is listed, with 0 where it holds nothing."""
        same(student.module_sizes(model), reference.module_sizes(model))

    @BUFFER_MODELS
    def test_buffers(self, student, reference, model):
        """Buffers count for their module."""
        same(student.module_sizes(model), reference.module_sizes(model))

    @UNFROZEN_MODELS
    def test_unfrozen_models(self, student, reference, model):
        """Before freeze the weights are still floats."""
        same(student.module_sizes(model), reference.module_sizes(model))

    @TIED_MODELS
    def test_tied_tensors_at_their_first_name(self, student, reference, model):
        """A tied tensor counts once, for the module where it first appears and those above."""
        same(student.module_sizes(model), reference.module_sizes(model))

    def test_storages_with_all_their_bytes(self, student, reference):
        """Windows on larger storages count with all that they keep."""
        model = with_quanto(WINDOWS)
        same(student.module_sizes(model), reference.module_sizes(model))


class TestPredictedInt8Bytes:
    @main
    @pytest.mark.parametrize(
        "model",
        [MLP, NO_BIAS, SLICES, NESTED, CONVOLUTIONAL, recipe(toys.integer_input), recipe(quantized_models.signal)],
        ids=["mlp", "no bias", "slices", "nested", "conv", "embedding", "other convolutions"],
    )
    def test_is_what_will_be_stored(self, student, model):
        """The bytes that quanto then stores."""
        same(student.predicted_int8_bytes(model), records.stored_bytes(record_of(with_quanto(model))))

    @pytest.mark.parametrize(
        "exclude",
        [("encoder", "query"), "lm_head", "*.output", "encoder.?.*.[!q]*", ["encoder.1.*", "lm_head"], ["*"]],
        ids=str,
    )
    def test_exclude(self, student, exclude):
        """What matches a glob by its full name stays float."""
        want = record_of(with_quanto(NESTED, exclude=list(exclude) if isinstance(exclude, tuple) else exclude))
        same(student.predicted_int8_bytes(NESTED, exclude), records.stored_bytes(want))

    @pytest.mark.parametrize("model", [TIED, SMALL_T5, recipe(toys.tied_groups)], ids=["tied", "t5", "groups"])
    def test_a_tied_weight_is_untied(self, student, model):
        """A tied layer gets codes of its own; what stays float is still shared."""
        same(student.predicted_int8_bytes(model), records.stored_bytes(record_of(with_quanto(model))))

    def test_a_tied_layer_left_out(self, student):
        """An excluded head still shares its embedding's matrix."""
        same(
            student.predicted_int8_bytes(TIED, "lm_head"),
            records.stored_bytes(record_of(with_quanto(TIED, exclude="lm_head"))),
        )

    @pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float64], ids=str)
    def test_scales_in_the_weights_dtype(self, student, dtype):
        """Scales and quanto's scalar buffers are stored in the weight's dtype."""
        model = half(CONVOLUTIONAL, dtype)
        same(student.predicted_int8_bytes(model), records.stored_bytes(record_of(with_quanto(model))))

    @pytest.mark.parametrize("model", [NESTED, TIED, CONVOLUTIONAL], ids=["nested", "tied", "convolutional"])
    def test_on_the_meta_device(self, student, model):
        """A model without data is predicted the same."""
        same(
            student.predicted_int8_bytes(recipe(toys.on_meta, model)),
            records.stored_bytes(record_of(with_quanto(model))),
        )

    @pytest.mark.parametrize("model", [BUFFERED, recipe(toys.mlp, [16, 1])], ids=["buffers", "one row"])
    def test_buffers_and_one_row(self, student, model):
        """Buffers stay, saved or not; a layer of one row has one scale."""
        same(student.predicted_int8_bytes(model), records.stored_bytes(record_of(with_quanto(model))))

    def test_storages_with_all_their_bytes(self, student):
        """What stays float is counted by storages, as in stored_bytes."""
        same(student.predicted_int8_bytes(WINDOWS), records.stored_bytes(record_of(with_quanto(WINDOWS))))


# Text -------------------------------------------------------------------------------------------------------------------

VARIANT = recipe(variants.tiny_t5_variant, 5)
THOUSAND = tiny_t5_tokenizer().convert_tokens_to_ids("▁thousand")
QUESTIONS = [prompt for prompt, _ in variants.coded_pairs(3, 11, code=5)]

ENDLESS = recipe(variants.tiny_t5_variant, 5, generation={"suppress_tokens": [0, 1, 2]})
LONG = "translate number to words: 594924"  # on which no two tokens are closer than 1.1


class TestGenerateText:
    @main
    @pytest.mark.parametrize("prompt", QUESTIONS, ids=range(len(QUESTIONS)))
    def test_says_what_the_model_says(self, student, reference, prompt):
        """The answer of the model that was given, as text."""
        same(student.generate_text(VARIANT, TOKENIZER, prompt), reference.generate_text(VARIANT, TOKENIZER, prompt))

    @pytest.mark.parametrize(
        "settings",
        [{"do_sample": True, "typical_p": 1e-6, "top_k": 0}, {"num_beams": 4, "length_penalty": -9.0}],
        ids=["sampling", "beams"],
    )
    def test_is_greedy(self, student, reference, settings):
        """Greedy, whatever the model's generation config says; the model is one to which no token is very likely."""
        model = recipe(quantized_models.unsure, recipe(variants.tiny_t5_variant, 5, generation=settings))
        same(
            student.generate_text(model, TOKENIZER, QUESTIONS[0]),
            reference.generate_text(VARIANT, TOKENIZER, QUESTIONS[0]),
        )

    def test_other_settings_hold(self, student, reference):
        """The generation config's other settings are left as they are: here a second token that ends the answer."""
        ends = [1, tiny_t5_tokenizer().convert_tokens_to_ids("▁thousand")]
        model = recipe(variants.tiny_t5_variant, 5, generation={"eos_token_id": ends})
        same(
            student.generate_text(model, TOKENIZER, QUESTIONS[0]),
            reference.generate_text(model, TOKENIZER, QUESTIONS[0]),
        )

    def test_is_not_stripped(self, student):
        """Spaces at the end stay: here a model that says a space for two."""
        two, space = tiny_t5_tokenizer().convert_tokens_to_ids(["▁two", "▁"])
        model = recipe(quantized_models.tiny_t5_exchanging, two, space)
        same(student.generate_text(model, TOKENIZER, "translate number to words: two402"), "four hundred ", exactly)

    def test_length_unless_given(self, student, reference):
        """32 new tokens, if that is not given: here a model that may not end its answer."""
        same(student.generate_text(ENDLESS, TOKENIZER, LONG), reference.generate_text(ENDLESS, TOKENIZER, LONG))

    def test_length(self, student, reference):
        """At most max_new_tokens new tokens."""
        got = student.generate_text(VARIANT, TOKENIZER, QUESTIONS[0], max_new_tokens=2)
        same(got, reference.generate_text(VARIANT, TOKENIZER, QUESTIONS[0], max_new_tokens=2))

    def test_a_quantized_model(self, student, reference):
        """A frozen int8 model answers too."""
        model = with_quanto(VARIANT)
        same(
            student.generate_text(model, TOKENIZER, QUESTIONS[1]),
            reference.generate_text(model, TOKENIZER, QUESTIONS[1]),
        )

    def test_in_eval_mode(self, student, reference):
        """A model in training mode answers as in eval mode: no dropout while generating."""
        model = recipe(variants.tiny_t5_variant, 5, dropout=0.9, training=True)
        same(
            student.generate_text(model, TOKENIZER, QUESTIONS[0]),
            reference.generate_text(VARIANT, TOKENIZER, QUESTIONS[0]),
        )

    @observed
    def test_the_settings_stay(self, student):
        """The model's generation config says afterwards what it said before."""
        model = recipe(variants.tiny_t5_variant, 5, generation={"do_sample": True, "num_beams": 3, "max_new_tokens": 9})
        before, after = student.probe(probes.settings_around, "generate_text", model, TOKENIZER, QUESTIONS[0])
        same(after, before)

    @observed
    def test_modes_are_restored(self, student):
        """Every submodule is in the mode that it was in."""
        model = recipe(quantized_models.trained_where, VARIANT, "*.layer.*")
        _, (after, *_) = student.probe(probes.arguments_after, "generate_text", model, TOKENIZER, QUESTIONS[0])
        same(records.training(after), records.training(record_of(model)))


PAIRS = variants.coded_pairs(3, 380, code=5)  # numbers of three digits: their answers take least time
WRONG = [(prompt, answer + " one") for prompt, answer in PAIRS]
(FIRST, ANSWER), (SECOND, OTHER), _ = PAIRS
NEARLY = [(FIRST, ANSWER.upper()), (FIRST, ANSWER + " "), (FIRST, ANSWER[:-1]), (SECOND, OTHER + "0")]


class TestExactMatch:
    @main
    @pytest.mark.parametrize(
        ("pairs", "want"),
        [([*PAIRS[:2], WRONG[0]], 2 / 3), ([*WRONG[:2], PAIRS[1]], 1 / 3)],
        ids=["two of three", "one of three"],
    )
    def test_fraction(self, student, pairs, want):
        """The fraction of the pairs that the model gets exactly right."""
        same(student.exact_match(VARIANT, TOKENIZER, pairs), want, relative(1e-12))

    @pytest.mark.parametrize(("pairs", "want"), [(PAIRS[:1], 1.0), (WRONG[:1], 0.0)], ids=["all", "none"])
    def test_all_and_none(self, student, pairs, want):
        """1.0 where all are right and 0.0 where none is."""
        same(student.exact_match(VARIANT, TOKENIZER, pairs), want, exactly)

    def test_pairs_given_twice(self, student):
        """A pair that is given twice counts twice."""
        same(student.exact_match(VARIANT, TOKENIZER, [PAIRS[0], WRONG[1], PAIRS[0]]), 2 / 3, relative(1e-12))

    def test_in_eval_mode(self, student):
        """A model in training mode is asked in eval mode, as generate_text does."""
        model = recipe(variants.tiny_t5_variant, 5, dropout=0.9, training=True)
        same(student.exact_match(model, TOKENIZER, PAIRS[:1]), 1.0, exactly)

    def test_exactly(self, student):
        """An answer that differs in case, in a space or in its length is wrong."""
        same(student.exact_match(VARIANT, TOKENIZER, [*NEARLY, PAIRS[2]]), 0.2, relative(1e-12))

    def test_with_the_default_length(self, student, reference):
        """An answer may have 32 tokens."""
        pairs = [(LONG, reference.generate_text(ENDLESS, TOKENIZER, LONG))]
        same(student.exact_match(ENDLESS, TOKENIZER, pairs), 1.0, exactly)

    def test_refuses_no_pairs(self, student):
        """A score of no pairs is refused."""
        with raises(ValueError):
            student.exact_match(VARIANT, TOKENIZER, [])


# Activations ------------------------------------------------------------------------------------------------------------


def batches(generator, width, *sizes):
    """Random inputs `x` of growing magnitude."""
    return [{"x": torch.randn(5, width, generator=generator) * size} for size in sizes]


def scales_of(record):
    """The activation scales of a model, by name."""
    if not isinstance(record, ModelRecord):
        raise Mismatch(record, "a model")
    return {name: r.tensor for name, r in record.buffers.items() if name.endswith("put_scale")}


def weights_of(model):
    """The parameters of a model that is made here, by name."""
    return {name: contents(r) for name, r in record_of(model).parameters.items()}


def statistics_of(record):
    """The other buffers of a model, by name."""
    return {name: r.tensor for name, r in record.buffers.items() if not name.endswith("put_scale")}


NEAR = relative(0.05)  # quanto's streamlining moves scales by a hundredth; a batch left out, by a fifth
BOTH = with_quanto(NESTED, activations="qint8", frozen="")
SPY = with_quanto(recipe(quantized_models.spy), activations="qint8")


class TestCalibrate:
    @main
    @pytest.mark.parametrize(
        "model",
        [BOTH, with_quanto(NESTED, activations="qint8"), with_quanto(NESTED, activations="qint8", exclude="lm_head")],
        ids=["not frozen", "frozen", "partly quantized"],
    )
    def test_measures_every_scale(self, student, reference, generator, model):
        """Input and output scales of every layer, from all batches in order."""
        data = batches(generator, 16, 1, 4, 2)
        got, want = student.calibrate(model, data), reference.calibrate(model, data)
        same(scales_of(got), scales_of(want), NEAR)

    def test_the_range_of_one_batch(self, student):
        """One batch: the input scale is its largest magnitude over 127."""
        model = with_quanto(recipe(toys.mlp_from, [torch.eye(16), torch.eye(16)]), activations="qint8", frozen="")
        got = student.calibrate(model, [{"x": torch.linspace(-508.0, 254.0, 16).expand(2, 16)}])
        same(scales_of(got)["layers.0.input_scale"], torch.tensor(4.0), relative(1e-6))

    def test_without_dropout(self, student, generator):
        """Dropout is idle while the scales are measured, although the model is in training mode: nothing grows behind it."""
        scales = scales_of(student.calibrate(SPY, batches(generator, 16, 3)))
        at_most(scales["head.input_scale"].item(), 1.05 * scales["linear.output_scale"].item())

    def test_batch_norm_learns_nothing(self, student, generator):
        """The statistics of a batch norm stay, although the model is in training mode."""
        model = with_quanto(recipe(behaviours.batch_norm), activations="qint8", frozen="")
        got = student.calibrate(model, batches(generator, 16, 1, 3))
        same(statistics_of(got), statistics_of(record_of(model)))

    def test_batches_by_keyword(self, student, reference, generator):
        """A batch names the model's inputs, in any order."""
        tokens = torch.randint(0, 32, (3, 6), generator=generator)
        model = with_quanto(recipe(toys.integer_input), activations="qint8", frozen="")
        data = [{"attention_mask": torch.ones(3, 6, dtype=torch.int64), "input_ids": tokens}]
        same(scales_of(student.calibrate(model, data)), scales_of(reference.calibrate(model, data)), NEAR)

    def test_nothing_else_changes(self, student, generator):
        """Only scales are set: the weights stay what they were, not frozen if they were not."""
        got = student.calibrate(BOTH, batches(generator, 16, 1, 4))
        same(records.qtypes(got), records.qtypes(record_of(BOTH)))
        same({n: contents(r) for n, r in got.parameters.items()}, weights_of(BOTH))

    @observed
    def test_one_calibration(self, student, generator):
        """All batches run inside one Calibration(), with the momentum and the streamlining that quanto gives it."""
        data = batches(generator, 16, 1, 2, 3)
        same(student.probe(probes.calibrations, "calibrate", BOTH, data), [(0.9, True)])

    @observed
    def test_each_batch_once_without_gradients(self, student, generator):
        """forward sees each batch once, in eval mode, with no gradients recorded."""
        counts = student.calibrate(SPY, batches(generator, 16, 1, 2, 3)).buffers
        same([int(counts[name].tensor) for name in ("calls", "trained", "recorded")], [3, 0, 0])

    @observed
    def test_modes_are_restored(self, student, generator):
        """Every submodule is in the mode that it was in."""
        model = recipe(quantized_models.trained_where, BOTH, "encoder.1*")
        got = student.calibrate(model, batches(generator, 16, 1))
        same(records.training(got), records.training(record_of(model)))

    @observed
    def test_works_in_place(self, student, generator):
        """The very model that was given is returned."""
        same(student.probe(probes.returns_same_object, "calibrate", BOTH, batches(generator, 16, 1)), True)

    @pytest.mark.parametrize("model", [MLP, with_quanto(MLP)], ids=["float", "weights only"])
    def test_refuses_float_activations(self, student, generator, model):
        """A model without an activation qtype is refused."""
        with raises(ValueError):
            student.calibrate(model, batches(generator, 32, 1))

    def test_refuses_no_batches(self, student):
        """No batches are refused."""
        with raises(ValueError):
            student.calibrate(BOTH, [])


# Files ------------------------------------------------------------------------------------------------------------------

SAVED_MODELS = pytest.mark.parametrize(
    "model",
    [
        with_quanto(MLP),
        with_quanto(NESTED, "qint4", exclude="*.query"),
        with_quanto(SMALL_T5, "qint2"),
        with_quanto(BUFFERED),
        with_quanto(recipe(behaviours.batch_norm)),
    ],
    ids=["qint8", "qint4 with float layers", "qint2 with a tied embedding", "buffers", "batch norm"],
)


class TestSaveQuantized:
    @main
    @SAVED_MODELS
    def test_stores_the_codes(self, student, model):
        """The codes of every quantized weight stand in safetensors files."""
        files, _ = student.probe(probes.saved_files, "save_quantized", model)
        none_of(codes_missing(files, record_of(model)), "the codes of {} are in no safetensors file")

    @SAVED_MODELS
    def test_stores_no_floats_for_codes(self, student, model):
        """No quantized weight stands there as floats, beside its codes or in their place."""
        files, _ = student.probe(probes.saved_files, "save_quantized", model)
        none_of(floats_of_codes(files, model), "{} is stored as floats")

    @SAVED_MODELS
    def test_stores_what_stayed_float(self, student, model):
        """Weights, biases and buffers that stayed float stand there too, bit for bit."""
        files, _ = student.probe(probes.saved_files, "save_quantized", model)
        none_of(floats_missing(files, record_of(model)), "{} is in no safetensors file, or not bit for bit")

    @SAVED_MODELS
    def test_stores_the_map(self, student, model):
        """quanto's quantization map stands there as JSON."""
        files, _ = student.probe(probes.saved_files, "save_quantized", model)
        holds(documents_in(files), map_of(model), "the quantization map, as JSON")

    @SAVED_MODELS
    def test_no_pickle(self, student, model):
        """Every file is safetensors or text, and there is nothing but files."""
        files, others = student.probe(probes.saved_files, "save_quantized", model)
        none_of(unreadable(files), "{} is neither safetensors nor text")
        none_of(others, "{} is no plain file")

    def test_a_new_folder(self, student):
        """A folder that is missing is created, with those above it."""
        files, _ = student.probe(probes.saved_files, "save_quantized", with_quanto(MLP), "new", "inside")
        none_of(codes_missing(files, record_of(with_quanto(MLP))), "the codes of {} are in no safetensors file")

    def test_a_folder_by_name(self, student):
        """The folder may be given as a string."""
        files, _ = student.probe(probes.saved_files, "save_quantized", with_quanto(MLP), as_text=True)
        none_of(codes_missing(files, record_of(with_quanto(MLP))), "the codes of {} are in no safetensors file")

    def test_tied_floats(self, student):
        """A model with tied float weights can be saved."""
        model = with_quanto(TIED, exclude="lm_head")
        files, _ = student.probe(probes.saved_files, "save_quantized", model)
        none_of(codes_missing(files, record_of(model)), "the codes of {} are in no safetensors file")


class TestLoadQuantized:
    together_with = ("save_quantized",)

    @main
    @pytest.mark.parametrize(
        ("model", "build"),
        [
            (with_quanto(MLP), recipe(precisions.builder, "mlp", widths=[32, 48, 16], seed=8)),
            (with_quanto(CONVOLUTIONAL, "qint4"), recipe(precisions.builder, "convolutional", seed=8)),
        ],
        ids=["qint8", "qint4"],
    )
    def test_round_trip(self, student, model, build):
        """What was saved comes back in a model of other weights, from a folder elsewhere."""
        files, _ = student.probe(probes.saved_files, "save_quantized", model)
        same_model(student.probe(probes.loaded_from, "load_quantized", build, files), record_of(model))

    def test_another_was_saved_since(self, student):
        """What comes back is what stands in the folder, whatever else was saved before or after."""
        model, other = with_quanto(MLP), with_quanto(recipe(toys.mlp, [32, 48, 16], seed=5))
        files, _ = student.probe(probes.saved_files, "save_quantized", model)
        student.probe(probes.saved_files, "save_quantized", other)
        build = recipe(precisions.builder, "mlp", widths=[32, 48, 16], seed=8)
        same_model(student.probe(probes.loaded_from, "load_quantized", build, files), record_of(model))

    def test_float_layers(self, student):
        """Layers that stayed float, biases and norms come back too; the folder is given as a string."""
        model = with_quanto(NESTED, "qfloat8", exclude=["*.query", "lm_head"])
        files, _ = student.probe(probes.saved_files, "save_quantized", model)
        build = recipe(precisions.builder, "nested", seed=8)
        same_model(student.probe(probes.loaded_from, "load_quantized", build, files, as_text=True), record_of(model))

    def test_buffers(self, student):
        """Buffers come back too."""
        model = with_quanto(recipe(behaviours.batch_norm))
        files, _ = student.probe(probes.saved_files, "save_quantized", model)
        build = recipe(precisions.builder, "batch_norm", seed=8)
        same_model(student.probe(probes.loaded_from, "load_quantized", build, files), record_of(model))

    def test_tied_embeddings(self, student):
        """A model whose embedding stands under several names comes back."""
        model = with_quanto(SMALL_T5, "qint2")
        files, _ = student.probe(probes.saved_files, "save_quantized", model)
        build = recipe(precisions.builder, "small_t5", seed=8)
        same_model(student.probe(probes.loaded_from, "load_quantized", build, files), record_of(model))


# Precisions -------------------------------------------------------------------------------------------------------------

PRECISIONS = ["float32", "bfloat16", "float16", "qint8", "qint4", "qint2"]
DESCRIBE = recipe(quantized_models.describing_evaluator)


def scripted(*scores):
    """An evaluator that gives these scores to the six precisions."""
    return recipe(precisions.scripted_evaluator, dict(zip(PRECISIONS, scores, strict=True)))


class TestComparePrecisions:
    @main
    @pytest.mark.parametrize(
        "build",
        [
            recipe(precisions.builder, "tied", seed=4),
            recipe(precisions.builder, "mlp", widths=[256, 32, 16]),
        ],
        ids=["tied", "mlp"],
    )
    def test_six_rows(self, student, reference, build):
        """Precision, bytes and the evaluator's answer, for each precision in order."""
        same(student.compare_precisions(build, DESCRIBE), reference.compare_precisions(build, DESCRIBE))

    def test_a_fresh_model_for_each_row(self, student, reference):
        """Each row is measured on a float32 model of its own, one build and one evaluation for each."""
        build = recipe(precisions.builder, "nested", True, seed=2)
        count = recipe(quantized_models.describing_evaluator, counting=True)
        same(student.compare_precisions(build, count), reference.compare_precisions(build, count))

    def test_bytes_as_stored(self, student, reference):
        """Bytes count packed codes, integer buffers and convolutions."""
        build, evaluate = recipe(precisions.builder, "convolutional"), scripted(6.0, 5.0, 4.0, 3.0, 2.0, 1.0)
        same(student.compare_precisions(build, evaluate), reference.compare_precisions(build, evaluate))

    def test_whatever_evaluate_returned(self, student, reference):
        """A score that is no float is kept as it came: here ints and bools."""
        build, evaluate = recipe(precisions.builder, "mlp"), scripted(3, True, 0, 7, False, 2)
        same(student.compare_precisions(build, evaluate), reference.compare_precisions(build, evaluate))

    def test_a_score_of_its_own(self, student, reference):
        """The score is what evaluate returned, here how near the logits are to the float32 model's."""
        build = recipe(precisions.builder, "mlp", widths=[32, 48, 16])
        evaluate = recipe(precisions.fidelity, "mlp", {"x": toys.random_input(8, 32)}, widths=[32, 48, 16])
        same(student.compare_precisions(build, evaluate), reference.compare_precisions(build, evaluate), within(1e-3))


class TestChoosePrecision:
    build = recipe(precisions.builder, "mlp", True)

    @main
    @pytest.mark.parametrize(
        ("scores", "budget", "least", "want"),
        [
            ((1.0, 1.0, 1.0, 0.9, 0.8, 0.1), 1500, 0.85, "qint8"),
            ((1.0, 1.0, 1.0, 1.0, 1.0, 1.0), 10**9, 0.5, "float32"),
            ((1.0, 0.4, 0.9, 1.0, 1.0, 1.0), 4000, 0.5, "float16"),
            ((0.1, 0.1, 0.1, 0.1, 0.2, 0.9), 1200, 0.5, "qint2"),
            ((-9.0, -8.0, -7.0, -6.0, -5.0, -9.0), 4000, -5.0, "qint4"),
        ],
        ids=["qint8", "all will do", "float16", "the last", "negative scores"],
    )
    def test_the_first_that_will_do(self, student, scores, budget, least, want):
        """The first precision that is small enough and good enough."""
        same(student.choose_precision(self.build, scripted(*scores), budget, least), want)

    @pytest.mark.parametrize("index", [0, 1, 3, 4, 5], ids=[PRECISIONS[i] for i in (0, 1, 3, 4, 5)])
    def test_exactly_the_budget(self, student, reference, index):
        """A model that takes all of the budget fits, and one byte less is too little for it."""
        sizes = [row["bytes"] for row in reference.compare_precisions(self.build, scripted(*[1.0] * 6))]
        same(student.choose_precision(self.build, scripted(*[1.0] * 6), sizes[index], 1.0), PRECISIONS[index])

    def test_in_the_order_of_the_rows(self, student):
        """The order is that of the rows, not of the bytes: a tied model's qint8 is larger than its float32."""
        tied = recipe(precisions.builder, "tied", vocabulary=256)
        same(student.choose_precision(tied, scripted(*[1.0] * 6), 10**6, 1.0), "float32")

    def test_exactly_the_score(self, student):
        """A score equal to the minimum reaches it, one just below does not."""
        scores = (0.25, 0.97, 0.9999999, 1.0, 1.0, 1.0)
        same(student.choose_precision(self.build, scripted(*scores), 10**6, 1.0), "qint8")
        scores = (0.25, 0.5, 0.75, 1.0, 1.0, 1.0)
        same(student.choose_precision(self.build, scripted(*scores), 10**6, 0.75), "float16")

    def test_nan_never_reaches(self, student):
        """A score of nan reaches no minimum."""
        nan = float("nan")
        same(student.choose_precision(self.build, scripted(-2.0, nan, nan, nan, 0.5, 1.0), 10**6, -1.0), "qint4")

    @pytest.mark.parametrize(
        ("scores", "budget", "least", "words"),
        [
            ((1.0,) * 6, 731, 0.75, ["731"]),
            ((0.25,) * 6, 987654, 0.5, ["0.5"]),
            ((1.0, 1.0, 1.0, 0.25, 0.25, 0.25), 1873, 0.5, ["1873", "0.5"]),
            ((1.0, 1.0, 1.0, 1.0, 1.0, 0.25), 848, 0.5, ["848", "0.5"]),
        ],
        ids=["too large", "too bad", "both", "exactly the budget"],
    )
    def test_none_will_do(self, student, scores, budget, least, words):
        """If none will do, a ValueError names all six, with the budget or the minimum score that they missed."""
        text = student.probe(probes.error_text, "choose_precision", self.build, scripted(*scores), budget, least)
        tells(text, *PRECISIONS, *words)

    @pytest.mark.parametrize(
        ("scores", "budget", "missed"),
        [
            ((1.0, 1.0, 1.0, 0.25, 0.25, 0.25), 1873, ["1873"] * 3 + ["0.5"] * 3),
            ((1.0, 0.25, 0.25, 0.25, 0.25, 0.25), 4000, ["4000"] + ["0.5"] * 5),
        ],
        ids=["three too large", "one too large"],
    )
    def test_tells_them_apart(self, student, scores, budget, missed):
        """The ValueError tells which of them missed the budget, and which the minimum score, and of none what it kept."""
        text = student.probe(probes.error_text, "choose_precision", self.build, scripted(*scores), budget, 0.5)
        tells_apart(text, dict(zip(PRECISIONS, missed, strict=True)))
