"""Hidden tests of lesson 5: rows and groups, packed codes, integer products, layers of one's own, observers, training."""

import math

import pytest
import torch
from torch import Tensor

from exercises.kit import toys
from exercises.kit.checking.closeness import Mismatch, Rule, exactly, gamma, quantized, relative, same, within
from exercises.kit.models import tiny_t5_tokenizer
from exercises.kit.probes import l5 as probes
from exercises.kit.toys import behaviours, layers, quantized_models, variants
from graders.judge import records
from graders.judge.contract import main, observed, once, raises, recipe
from graders.wire import codec
from graders.wire.records import ModelRecord

INT8 = torch.int8
U = 2.0**-24  # of float32; 2**-8 is that of bfloat16
# Makes the scales of hidden weights about 1e-6, as small weights have them: a guard of 1e-5 is seen, those of 1e-8, which many
# libraries have, change nothing there.
SMALL = 2.0**-16
FAR = 1e300  # a bound for scales that may be any finite number


# Hidden inputs ----------------------------------------------------------------------------------------------------------


def whole(generator, *shape, low=-127, high=127):
    """Random integers as float32."""
    return torch.randint(low, high + 1, shape, generator=generator).float()


def with_largest(generator, rows, columns, largest, fraction=0.25):
    """Rows of numbers within +-largest that are a fraction or less away from integers; one in each row is +-largest."""
    values = whole(generator, rows, columns, low=1 - largest, high=largest - 1)
    values += fraction * torch.randint(-1, 2, values.shape, generator=generator)
    places = torch.randint(columns, (rows,), generator=generator)
    signs = 2.0 * torch.randint(2, (rows,), generator=generator) - 1
    values[torch.arange(rows), places] = signs * largest
    return values


def powers(generator, count):
    """Random powers of two, no two neighbours alike."""
    return 2.0 ** (torch.arange(count) % 2 * 5 + torch.randint(-4, 1, (count,), generator=generator))


def for_axis(generator, shape, axis):
    """A tensor whose slices along `axis` have power-of-two scales: every right quotient is exact, and no tie."""
    rest = math.prod(shape) // shape[axis]
    rows = with_largest(generator, shape[axis], rest, 127) * powers(generator, shape[axis])[:, None]
    others = [size for dim, size in enumerate(shape) if dim != axis % len(shape)]
    return rows.reshape(shape[axis], *others).movedim(0, axis)


def for_groups(generator, rows, columns, size, largest):
    """A matrix whose groups have power-of-two scales: every right quotient is exact, and no tie."""
    count = rows * columns // size
    groups = with_largest(generator, count, size, largest) * powers(generator, count)[:, None]
    return groups.reshape(rows, columns)


def bytes_of(generator, count, high=256):
    """Random bytes below `high`."""
    return torch.randint(high, (count,), generator=generator, dtype=torch.uint8)


def int8s(generator, *shape):
    """Random int8, both ends of the range among them."""
    values = torch.randint(-128, 128, shape, generator=generator).to(INT8)
    values.view(-1)[:2] = torch.tensor([-128, 127], dtype=INT8)
    return values


# Comparing --------------------------------------------------------------------------------------------------------------


def parts(got, count):
    """The parts of a tuple of tensors; Mismatch for anything else."""
    if not isinstance(got, tuple) or len(got) != count or not all(isinstance(part, Tensor) for part in got):
        raise Mismatch(got, f"a tuple of {count} tensors")
    return got


def scales_like(got, exact, slack=2.0**-22):
    """Compare scales with their exact values, each rounded a few times; where that is 0, any finite scale >= 0 is right."""
    bound = torch.where(exact > 0, slack * exact, FAR)
    same(got, exact.float(), within(bound, of=exact))
    if (got < 0).any():
        raise Mismatch(got, "scales that are not negative")


def codes_like(got, quotient, dtype=INT8, slack=2.0**-22):
    """Compare codes with exact quotients: each is the nearest integer, at a tie either neighbour."""
    same(got, torch.zeros(quotient.shape, dtype=dtype), quantized(quotient, slack=slack * quotient.abs()))


def quotient_of(values, scales):
    """The exact quotients of float64 tensors; 0 where the scale is 0."""
    return torch.where(scales > 0, values / torch.where(scales > 0, scales, 1.0), 0.0)


def answer_of(x, weight, bias):
    """The exact answer of a linear layer to x: float64."""
    y = x.double() @ weight.t()
    return y if bias is None else y + bias.double()


def linear_rule(x, weight, steps, bias, unit=U) -> Rule:
    """Accept a right answer of a linear layer whose rows have these float64 weights and steps.

    Scales are cast and multiplied in, a straight-through weight is rounded, the bias is cast and added: each is a rounding to
    the dtype of x, five at most on any way; the sum of K products is rounded in float32 in any order.
    """
    size = x.double().abs() @ (weight.abs() + steps[:, None]).t()
    size = size if bias is None else size + bias.double().abs()
    exact = answer_of(x, weight, bias)
    return within((gamma(x.shape[-1] + 2, U) + 5 * unit) * size, of=exact)


def restored_rows(tables):
    """The float64 weight and steps that a quantized layer's tables hold."""
    codes, scales = tables["buffers"]["int8_weights"], tables["buffers"]["scales"]
    return codes.double() * scales.double()[:, None], scales.double()


def holds(got, **wanted):
    """Ask that a dict of tensors has these, by dtype and shape alone, and say which one is wrong."""
    for name, (dtype, shape) in wanted.items():
        if not isinstance(got.get(name), Tensor):
            raise Mismatch(got=f"no buffer {name}", want=f"a buffer {name} of shape {shape}")
        same((str(got[name].dtype), tuple(got[name].shape)), (str(dtype), shape))


def lacks(names, what):
    """Ask that a list of names is empty; `what` says what a name in it means."""
    if names:
        raise Mismatch(got=what.format(", ".join(map(str, names))), want="no such thing")


def model_of(got):
    """The record of a model; Mismatch for anything else."""
    if not isinstance(got, ModelRecord):
        raise Mismatch(got, "a model")
    return got


@once
def record_of(model) -> ModelRecord:
    """The record of a model that is made here."""
    return codec.decode(codec.encode(model.build()))


def kinds_of(record):
    """The class names of a model's modules, by qualified name, without what stands in a kit's `Stand`."""
    return {name: module.type.rpartition(".")[2] for name, module in record.modules.items() if ".old" not in name}


def values_of(record):
    """The tensors of a model by name."""
    return records.values(record)


# Rows -------------------------------------------------------------------------------------------------------------------


class TestQuantizePerChannel:
    @main
    @pytest.mark.parametrize(
        ("shape", "axis"),
        [((5, 3), 0), ((3, 5), 1), ((3, 4), -1), ((4, 4), 0), ((4, 4), -2), ((2, 3, 4), 1), ((3, 2, 2, 3), 0)],
        ids=str,
    )
    def test_every_slice_has_a_scale(self, student, reference, generator, shape, axis):
        """Each index of the axis has the scale of its own slice, and the codes are of that scale."""
        weight = for_axis(generator, shape, axis)
        same(student.quantize_per_channel(weight, axis), reference.quantize_per_channel(weight, axis), exactly)

    @pytest.mark.parametrize(("shape", "axis"), [((2, 3, 4), 2), ((2, 3, 4), -3), ((2, 3, 2, 3), -3)], ids=str)
    def test_more_dimensions(self, student, reference, generator, shape, axis):
        """Tensors of three and four dimensions; a negative axis counts from the end."""
        weight = for_axis(generator, shape, axis)
        same(student.quantize_per_channel(weight, axis), reference.quantize_per_channel(weight, axis), exactly)

    @pytest.mark.parametrize("axis", [0, 1], ids=["rows", "columns"])
    def test_random_weights(self, student, generator, axis):
        """Random values in a slice of a larger tensor, not contiguous: nearest codes, scales from each largest magnitude."""
        weight = torch.randn(13, 8, generator=generator)[2:11, 1:6].t()
        codes, scales = parts(student.quantize_per_channel(weight, axis), 2)
        exact = weight.double().abs().amax(1 - axis, keepdim=True) / 127
        scales_like(scales, exact)
        codes_like(codes, weight.double() / exact)

    def test_ties_go_to_even(self, student, reference):
        """Half a step rounds to the even code."""
        weight = torch.tensor([[127.0, 0.5, 1.5, 2.5], [-0.5, -1.5, -127.0, -2.5]]) / 4
        same(student.quantize_per_channel(weight, 0), reference.quantize_per_channel(weight, 0), exactly)

    def test_a_slice_of_zeros(self, student, generator):
        """A slice of zeros has codes 0 and a finite scale; the other slices keep theirs."""
        weight = for_axis(generator, (4, 3), 0)
        weight[1] = 0
        codes, scales = parts(student.quantize_per_channel(weight, 0), 2)
        exact = weight.double().abs().amax(1, keepdim=True) / 127
        scales_like(scales, exact)
        codes_like(codes, quotient_of(weight.double(), exact))

    def test_small_weights(self, student, reference, generator):
        """Small weights have small scales; only a slice of zeros has a free one."""
        weight = for_axis(generator, (4, 3), 0) * SMALL
        same(student.quantize_per_channel(weight, 0), reference.quantize_per_channel(weight, 0), exactly)

    def test_the_course_matrix(self, student):
        """The sequel course's matrix and its errors: 1.8084494 with a scale for each row, 1.0781465 for each column."""
        values = [[191.6, -13.5, 728.6], [92.14, 295.5, -184.0], [0.0, 684.6, 245.5]]
        weight = torch.tensor(values)
        for axis, error in ((0, 1.8084494), (1, 1.0781465)):
            codes, scales = parts(student.quantize_per_channel(weight, axis), 2)
            found = (codes.double() * scales.double() - weight.double()).square().mean().item()
            same(found, error, relative(1e-5))

    @pytest.mark.parametrize(("shape", "axis"), [((2, 3), 2), ((2, 3), -3), ((2, 3, 4), 3)], ids=str)
    def test_refuses_an_axis_out_of_range(self, student, shape, axis):
        """An axis that the weight does not have is an IndexError."""
        with raises(IndexError):
            student.quantize_per_channel(torch.ones(shape), axis)


class TestDequantizePerChannel:
    @main
    @pytest.mark.parametrize(
        ("codes", "scales"),
        [((3, 5), (3, 1)), ((3, 5), (1, 5)), ((4, 4), (4, 1)), ((4, 4), (1, 4)), ((2, 3, 4), (1, 3, 1))],
        ids=str,
    )
    def test_one_product(self, student, generator, codes, scales):
        """Each code times the scale of its slice, as float32, rounded once."""
        q, steps = int8s(generator, *codes), torch.rand(scales, generator=generator) + 0.5
        want = (q.double() * steps.double()).float()
        same(student.dequantize_per_channel(q, steps), want, exactly)

    @pytest.mark.parametrize(
        ("codes", "scales"),
        [
            ((2, 3, 2, 2), (2, 1, 1, 1)),
            ((2, 2, 2, 3), (1, 2, 1, 1)),
            ((2, 3, 2, 2), (1, 1, 1, 2)),
            ((2, 3, 4), (1, 1, 4)),
        ],
        ids=str,
    )
    def test_more_dimensions(self, student, generator, codes, scales):
        """Codes of three and four dimensions."""
        q, steps = int8s(generator, *codes), torch.rand(scales, generator=generator) * 100
        same(student.dequantize_per_channel(q, steps), (q.double() * steps.double()).float(), exactly)

    def test_whole_scales(self, student, generator):
        """Scales that are whole numbers, codes that are not contiguous: no product is taken in 8 bits."""
        q, steps = int8s(generator, 7, 3).t(), torch.tensor([[3.0], [100.0], [1000.0]])
        same(student.dequantize_per_channel(q, steps), q.float() * steps, exactly)


# Groups -----------------------------------------------------------------------------------------------------------------


class TestQuantizePerGroup:
    @main
    @pytest.mark.parametrize(
        ("rows", "columns", "size", "bits"),
        [(3, 12, 4, 4), (4, 8, 2, 4), (2, 12, 6, 3), (5, 6, 3, 2), (3, 8, 4, 8), (2, 10, 5, 5)],
        ids=str,
    )
    def test_every_group_has_a_scale(self, student, reference, generator, rows, columns, size, bits):
        """Each group of neighbours in a row has the scale of its own largest magnitude, and codes of that scale."""
        weight = for_groups(generator, rows, columns, size, 2 ** (bits - 1) - 1)
        args = weight, size, bits
        same(student.quantize_per_group(*args), reference.quantize_per_group(*args), exactly)

    def test_four_bits_unless_told(self, student, reference, generator):
        """Without `bits` there are 4."""
        weight = for_groups(generator, 3, 8, 4, 7)
        same(student.quantize_per_group(weight, 4), reference.quantize_per_group(weight, 4), exactly)

    @pytest.mark.parametrize("size", [1, 6], ids=["one", "a whole row"])
    def test_smallest_and_largest_groups(self, student, reference, generator, size):
        """Groups of one number, and groups of a whole row."""
        weight = for_groups(generator, 3, 6, size, 7)
        same(student.quantize_per_group(weight, size), reference.quantize_per_group(weight, size), exactly)

    def test_a_transposed_weight(self, student, reference, generator):
        """A weight that is not contiguous: groups are neighbours in its rows, not in memory."""
        weight = for_groups(generator, 6, 4, 2, 7).t().contiguous().t()
        same(student.quantize_per_group(weight, 2), reference.quantize_per_group(weight, 2), exactly)

    @pytest.mark.parametrize("bits", [2, 4, 6, 7], ids=str)
    def test_random_weights(self, student, generator, bits):
        """Random values in a slice of a larger tensor: nearest codes, scales from each largest magnitude."""
        weight = torch.randn(9, 20, generator=generator)[1:8, 3:15]
        codes, scales = parts(student.quantize_per_group(weight, 4, bits), 2)
        groups = weight.double().reshape(7, 3, 4)
        exact = groups.abs().amax(2) / (2 ** (bits - 1) - 1)
        scales_like(scales, exact)
        codes_like(codes, (groups / exact[..., None]).reshape(7, 12))

    def test_ties_go_to_even(self, student, reference):
        """Half a step rounds to the even code."""
        weight = torch.tensor([[7.0, 0.5, 1.5, 2.5, -0.5, -1.5, -7.0, -2.5]]) / 4
        same(student.quantize_per_group(weight, 4), reference.quantize_per_group(weight, 4), exactly)

    def test_a_group_of_zeros(self, student, generator):
        """A group of zeros has codes 0 and a finite scale."""
        weight = for_groups(generator, 2, 8, 4, 7)
        weight[1, :4] = 0
        codes, scales = parts(student.quantize_per_group(weight, 4), 2)
        groups = weight.double().reshape(2, 2, 4)
        exact = groups.abs().amax(2) / 7
        scales_like(scales, exact)
        codes_like(codes, quotient_of(groups, exact[..., None]).reshape(2, 8))

    def test_small_weights(self, student, reference, generator):
        """Small weights have small scales; only a group of zeros has a free one."""
        weight = for_groups(generator, 3, 8, 4, 7) * SMALL
        same(student.quantize_per_group(weight, 4), reference.quantize_per_group(weight, 4), exactly)

    @pytest.mark.parametrize(("size", "bits"), [(4, 1), (4, 9), (4, 0), (3, 4), (16, 4), (0, 4), (-4, 4)], ids=str)
    def test_refuses(self, student, size, bits):
        """Bits outside 2 to 8, and sizes below 1 or that do not divide the columns."""
        with raises(ValueError):
            student.quantize_per_group(torch.ones(2, 8), size, bits)


class TestDequantizePerGroup:
    @main
    @pytest.mark.parametrize(("rows", "columns", "groups"), [(3, 12, 3), (2, 12, 4), (4, 8, 8), (3, 5, 1)], ids=str)
    def test_a_scale_for_each_group(self, student, generator, rows, columns, groups):
        """Each code times the scale of its group of neighbours, as float32, rounded once."""
        q, steps = int8s(generator, rows, columns), torch.rand(rows, groups, generator=generator) + 0.5
        want = q.double() * steps.double().repeat_interleave(columns // groups, 1)
        same(student.dequantize_per_group(q, steps), want.float(), exactly)

    def test_codes_and_scales_that_are_not_contiguous(self, student, generator):
        """Transposed codes and scales."""
        q, steps = int8s(generator, 6, 4).t(), (torch.rand(3, 4, generator=generator) * 100).t()
        want = q.double() * steps.double().repeat_interleave(2, 1)
        same(student.dequantize_per_group(q, steps), want.float(), exactly)

    @pytest.mark.parametrize(("columns", "groups"), [(8, 3), (4, 8), (6, 5)], ids=str)
    def test_refuses_groups_that_do_not_divide(self, student, columns, groups):
        """A number of groups that does not divide the columns."""
        with raises(ValueError):
            student.dequantize_per_group(torch.ones(2, columns, dtype=INT8), torch.ones(2, groups))


class TestAffinePerGroup:
    @main
    @pytest.mark.parametrize(
        ("rows", "columns", "size", "bits"),
        [(3, 12, 4, 4), (2, 12, 3, 2), (4, 6, 2, 1), (2, 10, 5, 8), (2, 8, 4, 3)],
        ids=str,
    )
    def test_from_minimum_to_maximum(self, student, reference, generator, rows, columns, size, bits):
        """Each group has its least value, the step from there to its largest, and codes between."""
        largest, count = 2**bits - 1, rows * columns // size
        codes = whole(generator, count, size, low=0, high=largest)
        codes += torch.where((codes > 0) & (codes < largest), 0.25, 0.0)
        codes[:, 0], codes[:, 1] = 0, largest
        codes = codes[:, torch.randperm(size, generator=generator)]
        starts = whole(generator, count, 1, low=-40, high=40)
        x = ((codes + starts) * powers(generator, count)[:, None]).reshape(rows, columns)
        same(student.affine_per_group(x, size, bits), reference.affine_per_group(x, size, bits), exactly)

    @pytest.mark.parametrize("bits", [2, 4, 8], ids=str)
    @pytest.mark.parametrize("offset", [0.0, 3.0, -3.0], ids=["both signs", "positive", "negative"])
    def test_random_values(self, student, generator, bits, offset):
        """Random values in a transposed slice; the range of a group is not widened to contain 0."""
        x = (torch.rand(20, 9, generator=generator) - 0.5)[3:15, 1:8].t() + offset
        codes, scales, minimums = parts(student.affine_per_group(x, 4, bits), 3)
        groups = x.double().reshape(7, 3, 4)
        low, high = groups.aminmax(dim=2)
        same(minimums, low.float(), exactly)
        exact = (high - low) / (2**bits - 1)
        scales_like(scales, exact)
        quotient = ((groups - low[..., None]) / exact[..., None]).reshape(7, 12)
        codes_like(codes, quotient, torch.uint8, slack=2.0**-21)

    def test_four_bits_unless_told(self, student, reference):
        """Without `bits` there are 4."""
        x = torch.tensor([[1.0, 16.0, 3.0, 5.25]])
        same(student.affine_per_group(x, 4), reference.affine_per_group(x, 4), exactly)

    def test_ties_go_to_even(self, student, reference):
        """Half a step rounds to the even code."""
        x = torch.tensor([[10.0, 25.0, 10.5, 11.5, 12.5, 22.5]]) / 4
        same(student.affine_per_group(x, 6), reference.affine_per_group(x, 6), exactly)

    def test_small_ranges(self, student, reference):
        """A narrow group has a small scale; only that of a constant group is free."""
        x = torch.tensor([[10.0, 25.0, 10.25, 11.75, 12.25, 22.25]]) * SMALL
        same(student.affine_per_group(x, 6), reference.affine_per_group(x, 6), exactly)

    @pytest.mark.parametrize("value", [0.0, 0.1, -7.3], ids=["zero", "positive", "negative"])
    def test_a_constant_group(self, student, value):
        """A constant group has codes 0 and a finite scale, so that it comes back exactly."""
        x = torch.tensor([[value] * 3 + [0.0, 15.0, 3.0]])
        codes, scales, minimums = parts(student.affine_per_group(x, 3), 3)
        same(codes, torch.tensor([[0, 0, 0, 0, 15, 3]], dtype=torch.uint8))
        same(minimums, x[:, ::3].contiguous(), exactly)
        scales_like(scales, torch.tensor([[0.0, 1.0]], dtype=torch.float64))

    def test_groups_of_one(self, student, generator):
        """A group of one number is constant: its code is 0, and the number is its minimum."""
        x = torch.randn(2, 3, generator=generator)
        codes, scales, minimums = parts(student.affine_per_group(x, 1), 3)
        same((codes, minimums), (torch.zeros(2, 3, dtype=torch.uint8), x), exactly)
        scales_like(scales, torch.zeros(2, 3, dtype=torch.float64))

    @pytest.mark.parametrize("size", [3, 16, 0, -4], ids=str)
    def test_refuses(self, student, size):
        """Sizes below 1 or that do not divide the columns."""
        with raises(ValueError):
            student.affine_per_group(torch.ones(2, 8), size)


# Bytes ------------------------------------------------------------------------------------------------------------------


class TestPackBits:
    @main
    @pytest.mark.parametrize(("bits", "count"), [(1, 24), (2, 12), (4, 6), (1, 11), (2, 7), (4, 5)], ids=str)
    def test_first_code_in_the_lowest_bits(self, student, generator, bits, count):
        """The first code stands in the lowest bits; the last byte is filled with zeros."""
        codes = bytes_of(generator, count, 2**bits)
        in_a_byte = 8 // bits
        values = [*codes.tolist(), *[0] * (-count % in_a_byte)]
        rows = [values[at : at + in_a_byte] for at in range(0, len(values), in_a_byte)]
        want = [sum(code << (bits * place) for place, code in enumerate(row)) for row in rows]
        same(student.pack_bits(codes, bits), torch.tensor(want, dtype=torch.uint8))

    @pytest.mark.parametrize("bits", [1, 2, 4], ids=str)
    def test_full_bytes(self, student, bits):
        """The largest codes give 255; one code gives one byte."""
        largest = torch.full((16,), 2**bits - 1, dtype=torch.uint8)
        same(student.pack_bits(largest, bits), torch.full((2 * bits,), 255, dtype=torch.uint8))
        same(student.pack_bits(largest[:1], bits), largest[:1])

    @pytest.mark.parametrize("bits", [1, 2, 4], ids=str)
    def test_no_codes(self, student, bits):
        """No codes give no bytes."""
        same(student.pack_bits(torch.zeros(0, dtype=torch.uint8), bits), torch.zeros(0, dtype=torch.uint8))

    def test_every_other_code(self, student):
        """Codes that are not contiguous."""
        codes = torch.tensor([1, 9, 2, 9, 3, 9, 1], dtype=torch.uint8)[::2]
        same(student.pack_bits(codes, 2), torch.tensor([0b01111001], dtype=torch.uint8))

    @pytest.mark.parametrize(
        ("codes", "bits"),
        [([1, 0], 3), ([1, 0], 8), ([1, 0], 0), ([], 3), ([1, 4], 2), ([255, 1], 4), ([16, 0], 4), ([0, 2], 1)],
        ids=str,
    )
    def test_refuses(self, student, codes, bits):
        """Other numbers of bits, and codes that do not fit."""
        with raises(ValueError):
            student.pack_bits(torch.tensor(codes, dtype=torch.uint8), bits)


class TestUnpackBits:
    @main
    @pytest.mark.parametrize(
        ("bits", "count"), [(1, 24), (2, 12), (4, 6), (1, 18), (2, 9), (4, 5), (1, 3), (2, 1)], ids=str
    )
    def test_lowest_bits_first(self, student, generator, bits, count):
        """The code in the lowest bits comes first; as many come as are asked for."""
        packed = bytes_of(generator, 3)
        places = range(8 // bits)
        codes = [(byte >> (bits * place)) % 2**bits for byte in packed.tolist() for place in places]
        same(student.unpack_bits(packed, bits, count), torch.tensor(codes[:count], dtype=torch.uint8))

    @pytest.mark.parametrize("bits", [1, 2, 4], ids=str)
    def test_no_codes(self, student, bits):
        """No codes come out of no bytes, or where none are asked for."""
        nothing = torch.zeros(0, dtype=torch.uint8)
        same(student.unpack_bits(nothing, bits, 0), nothing)
        same(student.unpack_bits(torch.tensor([7], dtype=torch.uint8), bits, 0), nothing)

    def test_every_other_byte(self, student):
        """Bytes that are not contiguous."""
        packed = torch.tensor([0b01111001, 0, 0b10], dtype=torch.uint8)[::2]
        same(student.unpack_bits(packed, 2, 5), torch.tensor([1, 2, 3, 1, 2], dtype=torch.uint8))

    @pytest.mark.parametrize(
        ("bits", "count"), [(3, 1), (8, 1), (0, 1), (3, 0), (2, 9), (4, 5), (1, 17), (2, -1)], ids=str
    )
    def test_refuses(self, student, bits, count):
        """Other numbers of bits, and counts that are negative or more than two bytes hold."""
        with raises(ValueError):
            student.unpack_bits(torch.tensor([177, 255], dtype=torch.uint8), bits, count)


def nibbles(generator, count):
    """Random signed 4-bit codes, both ends of the range among them."""
    codes = torch.randint(-8, 8, (count,), generator=generator).to(INT8)
    codes[:2] = torch.tensor([-8, 7], dtype=INT8)
    return codes


class TestPackInt4:
    @main
    @pytest.mark.parametrize("count", [8, 7, 2], ids=str)
    def test_twos_complement_low_half_first(self, student, generator, count):
        """Two codes to a byte in two's complement, the first in the low half; an odd number is filled up with 0."""
        codes = nibbles(generator, count)
        values = [*codes.tolist(), *[0] * (count % 2)]
        want = [low % 16 + 16 * (high % 16) for low, high in zip(values[::2], values[1::2], strict=True)]
        same(student.pack_int4(codes), torch.tensor(want, dtype=torch.uint8))

    def test_one_and_none(self, student):
        """One code gives one byte, no codes give none."""
        same(student.pack_int4(torch.tensor([-1], dtype=INT8)), torch.tensor([15], dtype=torch.uint8))
        same(student.pack_int4(torch.zeros(0, dtype=INT8)), torch.zeros(0, dtype=torch.uint8))

    @pytest.mark.parametrize("codes", [[8, 0], [0, -9], [127, 1], [1, -128]], ids=str)
    def test_refuses_codes_outside(self, student, codes):
        """Codes outside of -8 to 7."""
        with raises(ValueError):
            student.pack_int4(torch.tensor(codes, dtype=INT8))

    def test_any_strides(self, student, generator):
        """The strides of the codes do not matter."""
        codes = nibbles(generator, 8)
        want = [
            low % 16 + 16 * (high % 16) for low, high in zip(codes[::2].tolist(), codes[1::2].tolist(), strict=True)
        ]
        same(student.pack_int4(codes.repeat_interleave(2)[::2]), torch.tensor(want, dtype=torch.uint8))


class TestUnpackInt4:
    @main
    @pytest.mark.parametrize("count", [8, 7, 3], ids=str)
    def test_signs_come_back(self, student, generator, count):
        """Each half of a byte is a signed number, the low half first; as many come as are asked for."""
        packed = bytes_of(generator, 4)
        packed[0] = 0b01111000
        halves = [half for byte in packed.tolist() for half in (byte % 16, byte // 16)]
        want = [half - 16 if half > 7 else half for half in halves]
        same(student.unpack_int4(packed, count), torch.tensor(want[:count], dtype=INT8))

    def test_none(self, student):
        """No codes come out of no bytes, or where none are asked for."""
        same(student.unpack_int4(torch.zeros(0, dtype=torch.uint8), 0), torch.zeros(0, dtype=INT8))
        same(student.unpack_int4(torch.tensor([120], dtype=torch.uint8), 0), torch.zeros(0, dtype=INT8))

    @pytest.mark.parametrize("count", [5, -1], ids=str)
    def test_refuses(self, student, count):
        """Counts that are negative or more than two bytes hold."""
        with raises(ValueError):
            student.unpack_int4(torch.tensor([120, 15], dtype=torch.uint8), count)

    def test_any_strides(self, student):
        """The strides of the bytes do not matter."""
        packed = torch.tensor([0x21, 7, 0xF8, 7], dtype=torch.uint8)[::2]
        same(student.unpack_int4(packed, 4), torch.tensor([1, 2, -8, -1], dtype=INT8))


# Integers ---------------------------------------------------------------------------------------------------------------

UNFIT = {
    "int32": (torch.ones(2, 3, dtype=torch.int32), torch.ones(3, 2, dtype=INT8)),
    "uint8": (torch.ones(2, 3, dtype=INT8), torch.ones(3, 2, dtype=torch.uint8)),
    "float32": (torch.ones(2, 3), torch.ones(3, 2)),
    "vector": (torch.ones(3, dtype=INT8), torch.ones(3, 2, dtype=INT8)),
    "vector behind": (torch.ones(2, 3, dtype=INT8), torch.ones(3, dtype=INT8)),
    "three dimensions": (torch.ones(2, 2, 3, dtype=INT8), torch.ones(2, 3, 2, dtype=INT8)),
    "unfit": (torch.ones(2, 3, dtype=INT8), torch.ones(2, 3, dtype=INT8)),
}


class TestInt8Matmul:
    @main
    @pytest.mark.parametrize(("rows", "inner", "columns"), [(3, 5, 4), (1, 17, 2), (4, 1, 3)], ids=str)
    def test_exact_in_int32(self, student, generator, rows, inner, columns):
        """The exact sums of products, as int32."""
        a, b = int8s(generator, rows, inner), int8s(generator, inner, columns)
        same(student.int8_matmul(a, b), (a.long() @ b.long()).int())

    @pytest.mark.parametrize("value", [127, -128, 125], ids=str)
    def test_beyond_float32(self, student, value):
        """1041 products and more: sums that are exact in int32, and not in float32."""
        a = torch.full((2, 1041), value, dtype=INT8)
        b = torch.full((1041, 2), 127, dtype=INT8)
        b[-1, 1] = 126
        same(student.int8_matmul(a, b), (a.long() @ b.long()).int())

    def test_a_long_sum(self, student):
        """As long a sum as int32 is safe for."""
        a = torch.full((1, 131_071), -128, dtype=INT8)
        same(student.int8_matmul(a, a.t()), torch.tensor([[131_071 * 128 * 128]], dtype=torch.int32))

    def test_transposed(self, student, generator):
        """Matrices that are not contiguous."""
        a, b = int8s(generator, 5, 3).t(), int8s(generator, 4, 5).t()
        same(student.int8_matmul(a, b), (a.long() @ b.long()).int())

    @pytest.mark.parametrize("operands", list(UNFIT.values()), ids=list(UNFIT))
    def test_refuses(self, student, operands):
        """Other dtypes, other numbers of dimensions, and matrices that do not fit."""
        with raises(ValueError):
            student.int8_matmul(*operands)


class TestMatmulWithZeroPoints:
    @main
    @pytest.mark.parametrize(("zero_a", "zero_b"), [(-70, 5), (127, -128), (0, 33), (-9, 0)], ids=str)
    def test_of_the_differences(self, student, generator, zero_a, zero_b):
        """The exact sums of products of codes less their zero points, as int32."""
        a, b = int8s(generator, 3, 7), int8s(generator, 7, 4)
        want = ((a.long() - zero_a) @ (b.long() - zero_b)).int()
        same(student.matmul_with_zero_points(a, zero_a, b, zero_b), want)

    def test_beyond_float32(self, student):
        """Sums that are exact in int32, and not in float32."""
        a, b = torch.full((2, 1041), 127, dtype=INT8), torch.full((1041, 3), 126, dtype=INT8)
        want = ((a.long() + 128) @ (b.long() + 3)).int()
        same(student.matmul_with_zero_points(a, -128, b, -3), want)

    def test_transposed(self, student, generator):
        """Matrices that are not contiguous."""
        a, b = int8s(generator, 5, 3).t(), int8s(generator, 4, 5).t()
        same(student.matmul_with_zero_points(a, 11, b, -2), ((a.long() - 11) @ (b.long() + 2)).int())

    @pytest.mark.parametrize("operands", list(UNFIT.values()), ids=list(UNFIT))
    def test_refuses(self, student, operands):
        """Other dtypes, other numbers of dimensions, and matrices that do not fit."""
        with raises(ValueError):
            student.matmul_with_zero_points(operands[0], 1, operands[1], 2)


class TestRequantize:
    sums = torch.tensor([0, 1, -3, 5, 100, -77, 201, -1003], dtype=torch.int32)

    @main
    @pytest.mark.parametrize(
        "args",
        [(0.5, 0.25, 0.5), (0.25, 0.5, 0.125, -3), (0.03125, 4.0, 1.0, 90), (8.0, 0.125, 16.0, -64)],
        ids=["symmetric", "shifted down", "shifted up", "coarser"],
    )
    def test_multiplies_rounds_shifts(self, student, args):
        """Sums times scale_a * scale_b / scale_out, rounded to nearest, shifted, clamped to -128 to 127."""
        factor = args[0] * args[1] / args[2]
        quotient = self.sums.double() * factor + (args[3] if len(args) > 3 else 0)
        codes_like(student.requantize(self.sums, *args), quotient, slack=0.0)

    @pytest.mark.parametrize("zero_point", [0, 4], ids=["symmetric", "even"])
    def test_ties_go_to_even(self, student, zero_point):
        """Half a step rounds to the even code."""
        sums = torch.tensor([1, 3, 5, -1, -3, -5], dtype=torch.int32)
        want = torch.tensor([0, 2, 2, 0, -2, -2]) + zero_point
        same(student.requantize(sums, 0.5, 1.0, 1.0, zero_point), want.to(INT8))

    @pytest.mark.parametrize("zero_point", [0, -100, 100], ids=["symmetric", "low", "high"])
    def test_saturates_after_the_shift(self, student, zero_point):
        """What leaves int8 after the shift gets the nearest end of it."""
        sums = torch.tensor([126, 128, 300, -127, -129, -300, 2**31 - 1, -(2**31), 200, -200], dtype=torch.int32)
        want = (sums.long() + zero_point).clamp(-128, 127).to(INT8)
        same(student.requantize(sums, 1.0, 1.0, 1.0, zero_point), want)

    @pytest.mark.parametrize(("sign", "zero_point"), [(1, 0), (-1, 20)], ids=["positive", "negative"])
    def test_sums_beyond_float32(self, student, sign, zero_point):
        """A sum that float32 cannot hold, close to where the code changes: the product is taken in float64."""
        scale = 100.5 / 16_790_288.5
        sums = sign * torch.tensor([16_790_288, 16_790_289], dtype=torch.int32)
        want = sign * torch.tensor([100, 101]) + zero_point
        same(student.requantize(sums, scale, 1.0, 1.0, zero_point), want.to(INT8))

    def test_scales_beyond_float32(self, student):
        """Scales that float32 cannot hold, close to where the code changes: their quotient is taken in float64."""
        sums = torch.tensor([1, -1], dtype=torch.int32)
        for scales in ((2.5 + 1e-9, 1.0, 1.0), (1.0, 2.5 + 1e-9, 1.0), (2.5, 1.0, 1.0 - 1e-9)):
            same(student.requantize(sums, *scales), torch.tensor([3, -3], dtype=INT8))

    def test_any_scales(self, student, generator):
        """Scales that are no powers of two: each code is the nearest."""
        sums = torch.randint(-40_000, 40_000, (5, 9), generator=generator, dtype=torch.int32).t()
        quotient = sums.double() * (0.013 * 0.0271 / 0.119) + 7
        codes_like(student.requantize(sums, 0.013, 0.0271, 0.119, 7), quotient, slack=2.0**-40)

    @pytest.mark.parametrize("shape", [(), (1,), (3, 1, 2), (0,)], ids=["0-dim", "one", "three dimensions", "empty"])
    def test_any_shape(self, student, reference, shape):
        """Codes are of the sums' shape, whatever that is."""
        sums = (torch.arange(math.prod(shape)) * 40 - 33).to(torch.int32).reshape(shape)
        args = sums, 0.25, 0.5, 0.5, 3
        same(student.requantize(*args), reference.requantize(*args))


class TestFixedPointMultiplier:
    @main
    @pytest.mark.parametrize(
        ("real", "want"),
        [
            (0.5, (2**30, 0)),
            (0.75, (1610612736, 0)),
            (0.3, (1288490189, 1)),
            (1 / 3, (1431655765, 1)),
            (2.0**-20, (2**30, 19)),
            (0.0117, (1608035756, 6)),
            (0.999, (2145336164, 0)),
        ],
        ids=str,
    )
    def test_integers(self, student, real, want):
        """An integer from 2**30 on and below 2**31, rounded to nearest, and the shift that belongs to it."""
        same(student.fixed_point_multiplier(real), want)

    @pytest.mark.parametrize(
        ("real", "want"),
        [(1 - 2.0**-40, (2**30, -1)), (0.25 - 2.0**-50, (2**30, 1)), (0.5 - 2.0**-34, (2**30, 0))],
        ids=["near 1", "near a quarter", "near a half"],
    )
    def test_the_carry(self, student, real, want):
        """Where rounding reaches 2**31, the integer is 2**30 and the shift one less."""
        same(student.fixed_point_multiplier(real), want)

    def test_random_numbers(self, student, reference, generator):
        """Random numbers of many sizes."""
        for exponent in (0, -3, -17, -60, -300):
            real = (torch.rand((), generator=generator, dtype=torch.float64).item() / 2 + 0.5) * 2.0**exponent
            same(student.fixed_point_multiplier(real), reference.fixed_point_multiplier(real))

    @pytest.mark.parametrize("real", [0.0, 1.0, -0.25, 1.5, -3.0], ids=str)
    def test_refuses(self, student, real):
        """Numbers that do not lie between 0 and 1."""
        with raises(ValueError):
            student.fixed_point_multiplier(real)


# A layer ----------------------------------------------------------------------------------------------------------------


def layer_inputs(generator, *shape, dtype=torch.float32):
    """Small whole numbers."""
    return whole(generator, *shape, low=-3, high=3).to(dtype)


class TestW8A16Linear:
    exercise = "W8A16Linear"
    points = 4

    @main
    @pytest.mark.parametrize("bias", [True, False], ids=["bias", "no bias"])
    @pytest.mark.parametrize(("rows", "columns"), [(3, 5), (4, 4), (6, 2)], ids=str)
    def test_quantizes_and_multiplies(self, student, reference, generator, rows, columns, bias):
        """Codes and scales of each row, and x times the codes times the scales plus the bias, where all is exact."""
        weight = with_largest(generator, rows, columns, 127) * powers(generator, rows)[:, None]
        given = whole(generator, rows) / 8 if bias else None
        args = [weight], given, [layer_inputs(generator, 2, columns), layer_inputs(generator, columns)]
        got = student.probe(probes.quantized_layer, "W8A16Linear", *args)
        want = reference.probe(probes.quantized_layer, "W8A16Linear", *args)
        same(got["tables"]["parameters"], {})
        holds(got["tables"]["buffers"], int8_weights=(INT8, (rows, columns)), scales=(torch.float32, (rows,)))
        for name, value in want["tables"]["buffers"].items():
            same(got["tables"]["buffers"].get(name), value, exactly)
        same(got["outputs"], want["outputs"], exactly)

    @pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16], ids=str)
    def test_buffers_from_the_start(self, student, dtype):
        """A new layer has its buffers, in the state dict, of their dtypes and shapes; it has no parameters."""
        got = student.probe(probes.fresh, "W8A16Linear", 5, 3, dtype=dtype)
        holds(got["buffers"], int8_weights=(INT8, (3, 5)), scales=(dtype, (3,)), bias=(dtype, (3,)))
        lacks({"int8_weights", "scales", "bias"} & set(got["unsaved"]), "{} not in the state dict")
        lacks(list(got["parameters"]), "the parameter {}")

    def test_defaults(self, student):
        """A layer has a bias and is float32 unless told otherwise; without bias there is no tensor of that name."""
        got = student.probe(probes.fresh, "W8A16Linear", 5, 3)
        holds(got["buffers"], scales=(torch.float32, (3,)), bias=(torch.float32, (3,)))
        for kept in ("buffers", "parameters"):
            lacks({"bias"} & set(student.probe(probes.fresh, "W8A16Linear", 5, 3, bias=False)[kept]), "a {}")

    def test_random_weights(self, student, generator):
        """Random weights in a transposed slice: nearest codes, and an output within the rounding of float32."""
        weight = torch.randn(9, 12, generator=generator)[1:8, 2:11].t()
        bias, x = torch.randn(9, generator=generator), torch.randn(4, 7, generator=generator)
        got = student.probe(probes.quantized_layer, "W8A16Linear", [weight], bias, [x])
        exact = weight.double().abs().amax(1) / 127
        scales_like(got["tables"]["buffers"].get("scales"), exact)
        codes_like(got["tables"]["buffers"].get("int8_weights"), weight.double() / exact[:, None])
        rows, steps = restored_rows(got["tables"])
        same(got["outputs"], [torch.zeros(4, 9)], linear_rule(x, rows, steps, bias))

    @pytest.mark.parametrize("largest", [1.375, -1.375, 2.75], ids=str)
    def test_no_code_wraps_in_bfloat16(self, student, largest):
        """In bfloat16 a quotient may round beyond 127: it is clamped, and does not wrap."""
        weight = torch.tensor([[largest, 1.0, -0.5], [0.5, -largest, 0.25]], dtype=torch.bfloat16)
        self._judge_bfloat16(student, weight)

    def test_random_bfloat16_weights(self, student, generator):
        """bfloat16 weights: each code times its scale is within half a step, and what the scale's rounding adds."""
        self._judge_bfloat16(student, torch.randn(40, 16, generator=generator).bfloat16())

    def _judge_bfloat16(self, student, weight):
        got = student.probe(probes.quantized_layer, "W8A16Linear", [weight], None, [], torch.bfloat16)
        holds(
            got["tables"]["buffers"],
            int8_weights=(INT8, tuple(weight.shape)),
            scales=(torch.bfloat16, weight.shape[:1]),
        )
        rows, steps = restored_rows(got["tables"])
        same(rows, torch.zeros_like(rows), within(steps[:, None] * (0.5 + 127 * 2.0**-8), of=weight.double()))
        exact = weight.double().abs().amax(1) / 127
        same(steps, exact, within(2.0**-7 * exact))
        codes = got["tables"]["buffers"]["int8_weights"]
        same(codes, codes.clamp(-127, 127))

    @pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16], ids=["float32 layer", "bfloat16 layer"])
    @pytest.mark.parametrize("of_x", [torch.float32, torch.bfloat16], ids=["float32 x", "bfloat16 x"])
    def test_answers_in_the_dtype_of_x(self, student, reference, generator, dtype, of_x):
        """The result has the dtype of x, whatever the layer's is."""
        weight = torch.tensor([[127.0, 2.0, -1.0], [3.0, -127.0, 4.0], [1.0, 1.0, 127.0]]) * torch.tensor(
            [[0.5], [2], [1]]
        )
        x = torch.tensor([[0.0, 1.0, 1.0], [1.0, 0.0, 1.0]], dtype=of_x)  # 8 bits hold every partial sum
        args = [weight.to(dtype)], torch.tensor([1.0, 8.0, -2.0], dtype=dtype), [x], dtype
        got = student.probe(probes.quantized_layer, "W8A16Linear", *args)
        want = reference.probe(probes.quantized_layer, "W8A16Linear", *args)
        same(got["outputs"], want["outputs"], exactly)

    @pytest.mark.parametrize("of_x", [torch.float32, torch.bfloat16], ids=["float32 x", "bfloat16 x"])
    def test_random_inputs_to_a_bfloat16_layer(self, student, generator, of_x):
        """A bfloat16 layer's answer is that of its own codes, scales and bias, within the rounding of x's dtype."""
        weight, bias = (
            torch.randn(6, 24, generator=generator).bfloat16(),
            torch.randn(6, generator=generator).bfloat16(),
        )
        x = torch.randn(5, 24, generator=generator).to(of_x)
        got = student.probe(probes.quantized_layer, "W8A16Linear", [weight], bias, [x], torch.bfloat16)
        rows, steps = restored_rows(got["tables"])
        unit = U if of_x == torch.float32 else 2.0**-8
        same(got["outputs"], [torch.zeros(5, 6, dtype=of_x)], linear_rule(x, rows, steps, bias, unit))

    @pytest.mark.parametrize("shape", [(5,), (1, 5), (2, 1, 3, 5), (0, 5)], ids=str)
    def test_any_leading_dimensions(self, student, reference, generator, shape):
        """x may have any leading dimensions, or none."""
        weight = with_largest(generator, 3, 5, 127)
        args = [weight], whole(generator, 3), [layer_inputs(generator, *shape)]
        got = student.probe(probes.quantized_layer, "W8A16Linear", *args)
        same(got["outputs"], reference.probe(probes.quantized_layer, "W8A16Linear", *args)["outputs"], exactly)

    def test_quantized_twice(self, student, reference, generator):
        """Of two weights the last counts, and the bias stays."""
        weights = [with_largest(generator, 3, 4, 127) * powers(generator, 3)[:, None] for _ in range(2)]
        args = weights, whole(generator, 3), [layer_inputs(generator, 2, 4)]
        got = student.probe(probes.quantized_layer, "W8A16Linear", *args)
        want = reference.probe(probes.quantized_layer, "W8A16Linear", *args)
        same(got["outputs"], want["outputs"], exactly)
        same(got["tables"]["buffers"].get("bias"), args[1], exactly)

    def test_a_row_of_zeros(self, student, generator):
        """A row of zeros has codes 0 and a finite scale, so that it answers its bias."""
        weight, bias, x = with_largest(generator, 3, 4, 127), whole(generator, 3), layer_inputs(generator, 2, 4)
        weight[1] = 0
        got = student.probe(probes.quantized_layer, "W8A16Linear", [weight], bias, [x])
        scales_like(got["tables"]["buffers"].get("scales"), weight.double().abs().amax(1) / 127)
        same(got["outputs"], [answer_of(x, weight.double().round(), bias).float()], exactly)

    def test_ties_go_to_even(self, student, reference):
        """Half a step rounds to the even code."""
        args = [torch.tensor([[127.0, 0.5, 1.5, 2.5], [-0.5, -1.5, -127.0, -2.5]])], None, []
        got = student.probe(probes.quantized_layer, "W8A16Linear", *args)["tables"]["buffers"]
        want = reference.probe(probes.quantized_layer, "W8A16Linear", *args)["tables"]["buffers"]
        same(got.get("int8_weights"), want["int8_weights"])

    def test_small_weights(self, student, reference, generator):
        """Small weights have small scales; only a row of zeros has a free one."""
        args = [with_largest(generator, 3, 4, 127) * SMALL], None, []
        got = student.probe(probes.quantized_layer, "W8A16Linear", *args)["tables"]["buffers"]
        want = reference.probe(probes.quantized_layer, "W8A16Linear", *args)["tables"]["buffers"]
        same(got.get("int8_weights"), want["int8_weights"])
        same(got.get("scales"), want["scales"], exactly)

    @pytest.mark.parametrize("bias", [True, False], ids=["bias", "no bias"])
    def test_the_state_dict_is_the_layer(self, student, reference, generator, bias):
        """A layer that loads the state dict answers as the old one, even if it had answered before, and in eval mode too."""
        weight = with_largest(generator, 3, 4, 127) * powers(generator, 3)[:, None]
        args = weight, whole(generator, 3) if bias else None, layer_inputs(generator, 2, 4)
        got = student.probe(probes.reloaded_layer, "W8A16Linear", *args)
        want = reference.probe(probes.reloaded_layer, "W8A16Linear", *args)
        same(got["outputs"], want["outputs"], exactly)
        for name, value in want["state"].items():
            same(got["state"].get(name), value, exactly)
        lacks({"bias"} & set(got["state"]) if not bias else (), "a {} in the state dict")

    @observed
    def test_nothing_requires_gradients(self, student, generator):
        """The weight may be a Parameter; no buffer requires gradients."""
        weight = torch.nn.Parameter(with_largest(generator, 3, 4, 127))
        got = student.probe(probes.quantized_layer, "W8A16Linear", [weight], None, [])
        lacks(got["tables"]["with_gradients"], "{} with gradients")


# Models -----------------------------------------------------------------------------------------------------------------

BRANCHES = recipe(layers.branches, 3)
SHARING = recipe(layers.sharing, 4)
MLP = recipe(toys.mlp, [16, 32, 16])
LOOK_ALIKES = recipe(layers.look_alikes, 5)
MODES = recipe(behaviours.mixed_modes)
LINEARS = ["h", "head", "body.1.inner", "body.1.head", "body.2", "parts.left", "parts.right", "last"]


def stood(record, names):
    """The class names that a model has when a `Stand` is in each of these places."""
    kinds = kinds_of(record)
    for name in names:
        kinds[name] = "Stand"
        kinds[f"{name}.after"] = "Identity"
    return kinds


def same_stands(got, model, names):
    """Compare a model with the one in which a `Stand`, with the old layer in it, is in each of these places."""
    record, before = model_of(got), record_of(model)
    same(kinds_of(record), stood(before, names))
    inside = {f"{name}.": f"{name}.old." for name in names}
    want = {}
    for name, value in values_of(before).items():
        owner = name.rpartition(".")[0] + "."
        want[inside.get(owner, owner) + name.rpartition(".")[2]] = value
    same(values_of(record), want, exactly)


class TestReplaceLinearLayers:
    points = 3

    @main
    @pytest.mark.parametrize(
        ("exclude", "stay"),
        [
            ([], []),
            (["head"], ["head"]),
            ("head", ["head"]),
            (("*.head", "h"), ["h", "body.1.head"]),
            (["body.?"], ["body.2"]),
            (["body", "body.1", "parts"], []),
            (["parts.*", "*.inner"], ["parts.left", "parts.right", "body.1.inner"]),
            ("*head", ["head", "body.1.head"]),
        ],
        ids=["none", "one", "a string", "a tuple", "a digit", "parents", "below", "a star"],
    )
    def test_those_that_no_glob_matches(self, student, exclude, stay):
        """Every Linear whose full name matches no glob is replaced, at every depth, and holds the old layer."""
        got = student.probe(probes.stands, "replace_linear_layers", BRANCHES, exclude)
        same_stands(got, BRANCHES, [name for name in LINEARS if name not in stay])

    def test_nothing_excluded_unless_told(self, student):
        """Without `exclude` every Linear is replaced, subclasses too."""
        same_stands(student.probe(probes.stands, "replace_linear_layers", BRANCHES), BRANCHES, LINEARS)

    def test_one_layer_under_two_names(self, student):
        """A layer that stands under several names is replaced under all of them, by one and the same module."""
        record = model_of(student.probe(probes.stands, "replace_linear_layers", SHARING, ["other"]))
        names = ["first.0", "first.2", "again"]
        same(kinds_of(record), stood(record_of(SHARING), names))
        same(records.ties(record), [[f"{name}.old.{leaf}" for name in names] for leaf in ("weight", "bias")])

    def test_a_shared_layer_that_is_excluded(self, student):
        """A layer stays under all of its names where a glob matches all of them."""
        got = student.probe(probes.stands, "replace_linear_layers", SHARING, ["first.?", "again"])
        same(kinds_of(model_of(got)), stood(record_of(SHARING), ["other"]))

    def test_nothing_but_linear_layers(self, student):
        """What only looks like a Linear stays."""
        got = student.probe(probes.stands, "replace_linear_layers", LOOK_ALIKES)
        same(kinds_of(model_of(got)), stood(record_of(LOOK_ALIKES), ["linear"]))

    def test_training_modes_stay(self, student):
        """Modules that are not replaced have the mode that they had, the model itself too."""
        found = records.training(model_of(student.probe(probes.stands, "replace_linear_layers", MODES)))
        before = record_of(MODES)
        kept = [name for name, kind in kinds_of(before).items() if kind != "Linear"]
        same({name: found.get(name) for name in kept}, {name: records.training(before)[name] for name in kept})

    def test_the_order_of_modules_stays(self, student):
        """Modules are in the order in which they were."""
        got = model_of(student.probe(probes.stands, "replace_linear_layers", BRANCHES, ["h"]))
        names = [name for name in got.modules if ".old" not in name and ".after" not in name]
        same(names, list(record_of(BRANCHES).modules))

    @pytest.mark.parametrize("doubled", [False, True], ids=["Linear", "a subclass"])
    def test_refuses_a_linear(self, student, doubled):
        """A model that is itself a Linear cannot be replaced in place."""
        model = (
            recipe(layers.Doubled if doubled else torch.nn.Linear, 16, 16)
            if doubled
            else recipe(layers.linear, torch.ones(2, 3))
        )
        with raises(ValueError):
            student.probe(probes.stands, "replace_linear_layers", model)

    @observed
    def test_works_in_place(self, student):
        """The model that was given comes back."""
        same(student.probe(probes.made_for, "replace_linear_layers", BRANCHES)["the same model"], True)

    @observed
    @pytest.mark.parametrize("model", [BRANCHES, SHARING], ids=["branches", "shared"])
    def test_makes_one_of_each(self, student, reference, model):
        """`make` is called once with each layer that is replaced, that very object, and with nothing else."""
        got = student.probe(probes.made_for, "replace_linear_layers", model, "*2")
        want = reference.probe(probes.made_for, "replace_linear_layers", model, "*2")
        same(got["calls"], want["calls"])


VARIANT = recipe(variants.tiny_t5_variant, 6)
ANSWERS = torch.tensor([[0, 9, 14, 21, 30], [0, 11, 8, 40, 17], [0, 25, 33, 10, 12]])


@once
def t5_inputs():
    """Three questions in tokens, and what the decoder has written so far. Made when they are needed: transformers loads slowly."""
    prompts = [prompt for prompt, _ in variants.coded_pairs(3, 7, code=6)]
    return {**tiny_t5_tokenizer()(prompts, return_tensors="pt", padding=True), "decoder_input_ids": ANSWERS}


def own_layers(record):
    """Names of the modules that are of a class W8A16Linear."""
    return [name for name, module in record.modules.items() if module.type.rpartition(".")[2] == "W8A16Linear"]


def same_own_layers(got, model, names):
    """Compare a model with the one in which these layers are quantized in rows, by every number in it."""
    record, before = model_of(got), record_of(model)
    same(sorted(own_layers(record)), sorted(names))
    found, want = values_of(record), values_of(before)
    for name in names:
        weight, bias = want.pop(f"{name}.weight"), want.pop(f"{name}.bias", None)
        own = {leaf: found.pop(f"{name}.{leaf}", None) for leaf in ("int8_weights", "scales", "bias")}
        holds(own, int8_weights=(INT8, tuple(weight.shape)), scales=(weight.dtype, weight.shape[:1]))
        exact = weight.double().abs().amax(1) / 127
        scales_like(own["scales"], exact) if weight.dtype == torch.float32 else None
        slack = 2.0**-22 if weight.dtype == torch.float32 else 2.0**-7
        codes_like(own["int8_weights"], weight.double() / exact[:, None], slack=slack)
        same(own["bias"], bias, exactly)
    same({name: value for name, value in found.items() if name.rpartition(".")[0] not in names}, want, exactly)


@once
def quanto_t5():
    """The variant as lesson 4's `quantized_copy` makes it: its logits, those of the float model, and its record."""
    inputs = t5_inputs()
    with torch.no_grad():
        plain = VARIANT.build()(**inputs).logits
        model = recipe(quantized_models.with_quanto, VARIANT).build()
        return model(**inputs).logits, plain, codec.decode(codec.encode(model))


class TestQuantizeWithOwnLayers:
    points = 3

    @main
    @pytest.mark.parametrize(
        ("model", "exclude", "stay"),
        [
            (BRANCHES, "head", ["head"]),
            (recipe(layers.branches, 8), ["*.head", "parts.*"], ["body.1.head", "parts.left", "parts.right"]),
            (recipe(layers.branches, 9, 32), (), []),
        ],
        ids=["a string", "globs", "all"],
    )
    def test_own_layers_of_the_weights(self, student, model, exclude, stay):
        """Each Linear that no glob matches becomes a W8A16Linear of its weight, with its bias; all else is as it was."""
        names = [name for name in LINEARS if name not in stay]
        same_own_layers(student.quantize_with_own_layers(model, exclude), model, names)

    def test_nothing_excluded_unless_told(self, student):
        """Without `exclude` every Linear is replaced."""
        same_own_layers(student.quantize_with_own_layers(BRANCHES), BRANCHES, LINEARS)

    def test_in_the_dtype_of_each_weight(self, student):
        """Scales and bias are in the weight's own dtype."""
        model = recipe(layers.in_bfloat16, BRANCHES, "h", "parts.right")
        same_own_layers(student.quantize_with_own_layers(model), model, LINEARS)

    def test_one_layer_under_two_names(self, student):
        """A layer that stands under several names is quantized once and stands under all of them."""
        record = model_of(student.quantize_with_own_layers(SHARING))
        same(sorted(own_layers(record)), ["again", "first.0", "first.2", "other"])
        places = {record.identities.get(f"{name}.int8_weights") for name in ("again", "first.0", "first.2")}
        same(len(places), 1)

    def test_answers_as_with_quanto(self, student):
        """The tiny T5's logits are quanto's, but for rounding: a fraction of what int8 changes about them."""
        want, plain, _ = quanto_t5()
        got = student.probe(probes.answers_of, "quantize_with_own_layers", VARIANT, t5_inputs())
        same(got, want, within((want - plain).abs().max().item() / 8))  # measured: 1/16000; one code off by one: 1/100

    def test_generates_as_with_quanto(self, student, reference):
        """The tiny T5 generates the same text."""
        args = probes.tokens_of, "quantize_with_own_layers", VARIANT, t5_inputs()["input_ids"][:1]
        same(student.probe(*args), reference.probe(*args))

    def test_stores_as_much_as_quanto(self, student):
        """The bytes stored are quanto's without the two scalars that it keeps for each layer."""
        record = quanto_t5()[2]
        same(
            records.stored_bytes(model_of(student.quantize_with_own_layers(VARIANT))),
            records.stored_bytes(record) - 8 * len(records.qtypes(record)),
        )

    @observed
    @pytest.mark.parametrize("model", [BRANCHES, recipe(behaviours.batch_norm)], ids=["branches", "with buffers"])
    def test_shares_nothing(self, student, model):
        """No tensor of the copy lies in the memory of the original, buffers neither."""
        args = probes.shared_tensors, "quantize_with_own_layers", model, "head"
        lacks(student.probe(*args), "{} shared with the original")

    @observed
    def test_no_buffer_requires_gradients(self, student):
        """The new layers' bias is a buffer without gradients."""
        got = student.probe(probes.buffers_with_gradients, "quantize_with_own_layers", BRANCHES)
        lacks(got, "{} with gradients")


# Observers --------------------------------------------------------------------------------------------------------------


def batches_of(generator, count=4, scale=8.0, offset=0.0):
    """Random batches of multiples of 1/4, each narrower or wider than the one before."""
    sizes = [1.0, 3.0, 0.5, 2.0][:count]
    return [(whole(generator, 3, 5, low=-40, high=40) / 4 * size) * (scale / 8) + offset for size in sizes]


def range_rule(batches, momentum=None):
    """Accept values within the rounding of a moving average in float32: four roundings for each batch, at most."""
    if momentum is None:
        return exactly
    largest = max(batch.abs().max().item() for batch in batches)
    return within(8 * len(batches) * U * largest)


def same_range(got, low, high, rule):
    """Compare what an observer noted, and the scales that it gives, with the exact range."""
    same((got["min"], got["max"]), (torch.tensor(low), torch.tensor(high)), rule)
    low, high = min(got["min"].item(), 0.0), max(got["max"].item(), 0.0)
    scale = (high - low) / 255
    for (found, zero_point), start in zip(map(pair_of, got["scales"]), (-128, -128, 0), strict=True):
        same(found, scale or 1.0, relative(1e-12))
        exact = start - low / scale if scale else 0.0
        same(zero_point, 0, quantized(exact, slack=1e-9, low=start, high=start + 255))


def pair_of(value):
    """A tuple of two values; Mismatch for anything else."""
    if not isinstance(value, tuple) or len(value) != 2:
        raise Mismatch(value, "a tuple (scale, zero point)")
    return value


class TestMinMaxObserver:
    exercise = "MinMaxObserver"
    points = 3

    @main
    @pytest.mark.parametrize("offset", [0.0, 200.0, -300.0], ids=["both signs", "positive", "negative"])
    def test_the_range_of_all_batches(self, student, generator, offset):
        """After some batches: the least and the largest value of all of them, and the scales of that range with 0 in it."""
        batches = batches_of(generator, offset=offset)
        together = torch.cat(batches)
        got = student.probe(probes.observed_range, "MinMaxObserver", batches)
        same_range(got, together.min().item(), together.max().item(), exactly)

    def test_any_values(self, student, generator):
        """Random values that float16 does not hold, in batches that are not contiguous."""
        batches = [torch.randn(9, 4, generator=generator)[1:].t() * 1e6 for _ in range(3)]
        together = torch.cat(batches)
        got = student.probe(probes.observed_range, "MinMaxObserver", batches)
        same_range(got, together.min().item(), together.max().item(), exactly)

    @pytest.mark.parametrize("training", [True, False], ids=["training", "eval"])
    @pytest.mark.parametrize("dtype", [torch.float32, torch.float16, torch.bfloat16], ids=str)
    def test_in_both_modes_and_other_dtypes(self, student, generator, dtype, training):
        """In training mode and in eval mode, for batches of other float dtypes; what is noted is float32."""
        batches = [batch.to(dtype) for batch in batches_of(generator, 3, offset=6.0)]
        together = torch.cat(batches).float()
        got = student.probe(probes.observed_range, "MinMaxObserver", batches, training=training)
        same_range(got, together.min().item(), together.max().item(), exactly)

    @pytest.mark.parametrize("shape", [(), (1,), (2, 1, 3)], ids=["0-dim", "one", "three dimensions"])
    def test_any_shape(self, student, shape):
        """Batches of any shape, one of them or more."""
        batch = (torch.arange(float(math.prod(shape))) - 7.5).reshape(shape)
        got = student.probe(probes.observed_range, "MinMaxObserver", [batch])
        same_range(got, -7.5, batch.max().item(), exactly)

    def test_only_zeros(self, student):
        """A range that is all 0 gives (1.0, 0)."""
        got = student.probe(probes.observed_range, "MinMaxObserver", [torch.zeros(3)])
        same((got["min"], got["max"]), (torch.tensor(0.0), torch.tensor(0.0)))
        same(got["scales"], [(1.0, 0)] * 3, exactly)

    @pytest.mark.parametrize("after", [None, 1], ids=["same", "loaded"])
    @pytest.mark.parametrize("value", [0.0, 5.0, -2.5], ids=str)
    def test_a_constant_batch(self, student, value, after):
        """A batch of one and the same value counts like any other, also for an observer that is loaded."""
        batches = [torch.full((3,), value), torch.tensor([6.0, 9.0])]
        got = student.probe(probes.observed_range, "MinMaxObserver", batches, handed_on_after=after)
        same_range(got, value, 9.0, exactly)

    def test_buffers_from_the_start(self, student):
        """A new observer has its buffers: `min` and `max`, 0-dim float32, in the state dict."""
        got = student.probe(probes.fresh, "MinMaxObserver")
        holds(got["buffers"], min=(torch.float32, ()), max=(torch.float32, ()))
        lacks({"min", "max"} & set(got["unsaved"]), "{} not in the state dict")

    @pytest.mark.parametrize("after", [0, 1, 3, 4], ids=str)
    def test_the_state_dict_is_the_whole_memory(self, student, generator, after):
        """An observer that loads the state dict of another goes on as that one would have, from any point."""
        batches = batches_of(generator, offset=100.0)
        together = torch.cat(batches)
        got = student.probe(probes.observed_range, "MinMaxObserver", batches, handed_on_after=after)
        same_range(got, together.min().item(), together.max().item(), exactly)

    @pytest.mark.parametrize("handed_on", [False, True], ids=["new", "loaded"])
    def test_refuses_before_the_first_batch(self, student, handed_on):
        """There are no scales before the first batch."""
        with raises(ValueError):
            student.probe(probes.before_the_first_batch, "MinMaxObserver", {}, handed_on)

    @observed
    @pytest.mark.parametrize("shape", [(2, 3), ()], ids=["matrix", "0-dim"])
    def test_passes_its_input_through(self, student, shape):
        """The very input comes back, unchanged; nothing is kept that requires gradients or lies in its memory."""
        x = torch.full(shape, 2.5).requires_grad_()
        same_passing(student.probe(probes.passed_through, "MinMaxObserver", x))


def same_passing(got):
    """Ask that an input came back as it was, and nothing of it was kept."""
    same((got["the input itself"], got["unchanged"]), (True, True))
    lacks(got["requires gradients"], "{} with gradients")
    lacks(got["shares memory"], "{} in the input's memory")


def moving(batches, momentum):
    """The exact moving averages of the batches' ends."""
    ends = [(batch.min().item(), batch.max().item()) for batch in batches]
    low, high = ends[0]
    for first, last in ends[1:]:
        low, high = low + momentum * (first - low), high + momentum * (last - high)
    return low, high


class TestMovingAverageObserver:
    exercise = "MovingAverageObserver"
    points = 3

    @main
    @pytest.mark.parametrize("offset", [0.0, 200.0, -300.0], ids=["both signs", "positive", "negative"])
    @pytest.mark.parametrize("momentum", [0.25, 0.1], ids=str)
    def test_moves_by_momentum(self, student, generator, momentum, offset):
        """The first batch sets the range; each later one moves its ends by `momentum` of the way to its own."""
        batches = batches_of(generator, offset=offset)
        got = student.probe(probes.observed_range, "MovingAverageObserver", batches, {"momentum": momentum})
        same_range(got, *moving(batches, momentum), range_rule(batches, momentum))

    @pytest.mark.parametrize("momentum", [1.0, 0.5], ids=str)
    def test_large_momentum(self, student, generator, momentum):
        """A momentum of 1 forgets all but the last batch; one of 1/2 goes half the way."""
        batches = batches_of(generator)
        got = student.probe(probes.observed_range, "MovingAverageObserver", batches, {"momentum": momentum})
        same_range(got, *moving(batches, momentum), range_rule(batches, momentum))

    def test_a_hundredth_unless_told(self, student, generator):
        """Without `momentum` it is 0.01."""
        batches = batches_of(generator)
        got = student.probe(probes.observed_range, "MovingAverageObserver", batches)
        same_range(got, *moving(batches, 0.01), range_rule(batches, 0.01))

    @pytest.mark.parametrize("training", [True, False], ids=["training", "eval"])
    @pytest.mark.parametrize("dtype", [torch.float32, torch.float16, torch.bfloat16], ids=str)
    def test_in_both_modes_and_other_dtypes(self, student, generator, dtype, training):
        """In training mode and in eval mode, for batches of other float dtypes; the averages are float32."""
        batches = [batch.to(dtype) for batch in batches_of(generator, 3, offset=6.0)]
        options = {"momentum": 0.3}
        got = student.probe(probes.observed_range, "MovingAverageObserver", batches, options, training=training)
        same_range(got, *moving(batches, 0.3), range_rule(batches, 0.3))

    @pytest.mark.parametrize("shape", [(), (1,), (2, 1, 3)], ids=["0-dim", "one", "three dimensions"])
    def test_any_shape(self, student, shape):
        """Batches of any shape, one of them or more."""
        batch = (torch.arange(float(math.prod(shape))) - 7.5).reshape(shape)
        got = student.probe(probes.observed_range, "MovingAverageObserver", [batch])
        same_range(got, -7.5, batch.max().item(), exactly)

    @pytest.mark.parametrize("after", [None, 1], ids=["same", "loaded"])
    @pytest.mark.parametrize("value", [0.0, 4.0, -4.0], ids=str)
    def test_a_constant_batch(self, student, value, after):
        """A batch of one and the same value counts as a first batch, also for an observer that is loaded."""
        batches, options = [torch.full((3,), value), torch.tensor([-8.0, 16.0])], {"momentum": 0.25}
        got = student.probe(probes.observed_range, "MovingAverageObserver", batches, options, after)
        same_range(got, *moving(batches, 0.25), exactly)

    def test_only_zeros(self, student):
        """A range that is all 0 gives (1.0, 0), and counts as a first batch."""
        got = student.probe(probes.observed_range, "MovingAverageObserver", [torch.zeros(3)])
        same(got["scales"], [(1.0, 0)] * 3, exactly)
        batches, options = [torch.zeros(3), torch.tensor([-8.0, 16.0])], {"momentum": 0.25}
        got = student.probe(probes.observed_range, "MovingAverageObserver", batches, options)
        same_range(got, -2.0, 4.0, exactly)

    def test_buffers_from_the_start(self, student):
        """A new observer has its buffers: `min` and `max`, 0-dim float32, in the state dict."""
        got = student.probe(probes.fresh, "MovingAverageObserver")
        holds(got["buffers"], min=(torch.float32, ()), max=(torch.float32, ()))
        lacks({"min", "max"} & set(got["unsaved"]), "{} not in the state dict")

    @pytest.mark.parametrize("after", [0, 1, 3, 4], ids=str)
    def test_the_state_dict_is_the_whole_memory(self, student, generator, after):
        """An observer that loads the state dict of another goes on as that one would have, from any point."""
        batches, options = batches_of(generator, offset=100.0), {"momentum": 0.25}
        got = student.probe(probes.observed_range, "MovingAverageObserver", batches, options, after)
        same_range(got, *moving(batches, 0.25), range_rule(batches, 0.25))

    @pytest.mark.parametrize("handed_on", [False, True], ids=["new", "loaded"])
    def test_refuses_before_the_first_batch(self, student, handed_on):
        """There are no scales before the first batch."""
        with raises(ValueError):
            student.probe(probes.before_the_first_batch, "MovingAverageObserver", {"momentum": 0.5}, handed_on)

    @observed
    @pytest.mark.parametrize("shape", [(2, 3), ()], ids=["matrix", "0-dim"])
    def test_passes_its_input_through(self, student, shape):
        """The very input comes back, unchanged; nothing is kept that requires gradients or lies in its memory."""
        x = torch.full(shape, 2.5).requires_grad_()
        same_passing(student.probe(probes.passed_through, "MovingAverageObserver", x, {"momentum": 0.5}))

    def test_any_strides(self, student):
        """The strides of a batch do not matter."""
        x = torch.tensor([[-2.0, 1.0], [4.0, 0.5], [3.0, -1.0]]).t()
        got = student.probe(probes.observed_range, "MovingAverageObserver", [x], {"momentum": 0.5})
        same_range(got, -2.0, 4.0, exactly)


# Training ---------------------------------------------------------------------------------------------------------------


def faked(x, scale, zero_point, dtype):
    """The exact value of fake quantization away from ties, in float64, and where its gradient is 1."""
    codes = torch.iinfo(dtype)
    q = torch.round(x.detach().double() / scale) + zero_point
    return (q.clamp(codes.min, codes.max) - zero_point) * scale, (q >= codes.min) & (q <= codes.max)


class TestFakeQuantize:
    @main
    @pytest.mark.parametrize(
        ("scale", "zero_point", "dtype"),
        [(0.5, 0, INT8), (0.25, -100, INT8), (2.0, 100, INT8), (0.125, 128, torch.uint8), (1.0, 3, torch.uint8)],
        ids=str,
    )
    def test_values_and_gradients(self, student, generator, scale, zero_point, dtype):
        """The values that codes stand for, and the gradient where the clamp does not cut off; power-of-two scales."""
        x = whole(generator, 40, low=-200, high=330) + 0.25 * torch.randint(-1, 2, (40,), generator=generator)
        x = (x - zero_point) * scale
        upstream = whole(generator, 40, low=1, high=9)
        args = "fake_quantize", upstream, x.requires_grad_(), scale, zero_point, dtype
        got = student.probe(probes.gradients, *args)
        value, inside = faked(x, scale, zero_point, dtype)
        same(got, {"result": value.float(), "gradients": [upstream * inside]}, exactly)

    @pytest.mark.parametrize(
        ("zero_point", "dtype", "quotients", "inside"),
        [
            (0, INT8, [127.25, 127.75, -128.25, -128.75, 126.5, -127.5], [1, 0, 1, 0, 1, 1]),
            (0, INT8, [127.5, -128.5, -129.0, 128.0, 127.0, -128.0], [0, 1, 0, 0, 1, 1]),
            (0, torch.uint8, [-0.25, -0.75, 255.25, 255.75, 0.0, 255.0], [1, 0, 1, 0, 1, 1]),
            (10, torch.uint8, [-10.25, -10.75, 245.25, 245.75, -10.0, 245.0], [1, 0, 1, 0, 1, 1]),
        ],
        ids=["int8", "int8 ties", "uint8", "uint8 shifted"],
    )
    def test_the_gradient_at_the_ends(self, student, zero_point, dtype, quotients, inside):
        """The gradient is 1 where the rounded and shifted code lies inside the range, both ends included."""
        x = (torch.tensor(quotients) / 64).requires_grad_()
        got = student.probe(probes.gradients, "fake_quantize", torch.ones(6), x, 1 / 64, zero_point, dtype)
        same(got["gradients"], [torch.tensor(inside).float()], exactly)

    def test_a_scale_of_a_hundredth(self, student):
        """At scale 0.01 the gradient ends between 1.2749 and 1.2751, and between -1.2849 and -1.286, as torch's own."""
        x = torch.tensor([1.2749, 1.2751, 1.28, -1.2849, -1.286]).requires_grad_()
        got = student.probe(probes.gradients, "fake_quantize", torch.ones(5), x, 0.01, 0)
        same(got["gradients"], [torch.tensor([1.0, 0, 0, 1, 0])], exactly)

    def test_int8_unless_told(self, student):
        """Without `dtype` the codes are int8."""
        x = torch.tensor([-300.0, -3.0, 300.0]).requires_grad_()
        got = student.probe(probes.gradients, "fake_quantize", torch.ones(3), x, 1.0, 0)
        same(got, {"result": torch.tensor([-128.0, -3, 127]), "gradients": [torch.tensor([0.0, 1, 0])]}, exactly)

    def test_ties_go_to_even(self, student):
        """Half a step rounds to the even code."""
        x = torch.tensor([0.25, 0.75, 1.25, -0.25, -0.75, -1.25])
        same(student.fake_quantize(x, 0.5, 4), torch.tensor([0.0, 1, 1, 0, -1, -1]), exactly)

    @pytest.mark.parametrize("wrapped", [False, True], ids=["float", "tensor"])
    @pytest.mark.parametrize("dtype", [INT8, torch.uint8], ids=str)
    def test_any_scale(self, student, generator, dtype, wrapped):
        """A scale that is no power of two, as a float or a 0-dim tensor: values up to a rounding error of x."""
        k = whole(generator, 9, 7, low=-140, high=300) + torch.rand(9, 7, generator=generator) * 0.8 - 0.4
        scale = torch.tensor(0.0371) if wrapped else 0.0371
        x = ((k - 60).double() * float(scale)).float()
        want, _ = faked(x, float(scale), 60, dtype)
        bound = 2.0**-22 * (x.double().abs() + want.abs())
        same(student.fake_quantize(x, scale, 60, dtype), want.float(), within(bound, of=want))

    @pytest.mark.parametrize("shape", [(), (1,), (3, 1, 2)], ids=["0-dim", "one", "three dimensions"])
    def test_any_shape(self, student, shape):
        """Values are of the shape of x, whatever that is."""
        x = ((torch.arange(float(math.prod(shape))) * 90 - 130.25).reshape(shape) / 2).requires_grad_()
        got = student.probe(probes.gradients, "fake_quantize", torch.ones(shape), x, 0.5, 0)
        value, inside = faked(x, 0.5, 0, INT8)
        same(got, {"result": value.float(), "gradients": [inside.float()]}, exactly)

    def test_the_gradient_goes_on(self, student):
        """The gradient reaches what x was made of."""
        made_of = torch.tensor([0.3, 100.0, -2.0]).requires_grad_()
        got = student.probe(probes.gradient_through, "fake_quantize", made_of, 0.5, 0)
        same(got, torch.tensor([2.0, 0.0, 2.0]), exactly)

    def test_the_scale_gets_no_gradient(self, student):
        """A scale that requires gradients gets none, or 0."""
        x, scale = torch.tensor([0.3, 100.0, -2.0]).requires_grad_(), torch.tensor(0.5).requires_grad_()
        got = student.probe(probes.gradients, "fake_quantize", torch.tensor([1.0, 2, 3]), x, scale, 0)
        same(got["gradients"][0], torch.tensor([1.0, 0, 3]), exactly)
        if got["gradients"][1] is not None:
            same(got["gradients"][1], torch.tensor(0.0), exactly)

    def test_any_strides(self, student, generator):
        """The strides of x do not matter."""
        x = whole(generator, 12, low=-20, high=20).reshape(4, 3).t().requires_grad_()
        got = student.probe(probes.gradients, "fake_quantize", torch.ones(3, 4), x, 0.5, 0, INT8)
        same(got, {"result": x.detach().contiguous(), "gradients": [torch.ones(3, 4)]}, exactly)


def away_from_ties(generator, rows, columns, scales):
    """A weight whose quotients are at most 0.4 from integers, with these scales; and the exact rounded weight."""
    codes = with_largest(generator, rows, columns, 127, fraction=0.0)
    off = torch.rand(rows, columns, generator=generator) * 0.8 - 0.4
    quotients = torch.where(codes.abs() == 127, codes, codes + off).double()
    return (quotients * scales[:, None]).float(), codes.double() * scales[:, None]


class TestQATLinear:
    exercise = "QATLinear"
    points = 3

    @main
    @pytest.mark.parametrize("bias", [True, False], ids=["bias", "no bias"])
    def test_output_and_gradients(self, student, generator, bias):
        """The output is that of int8 rows; the weight's gradient passes straight through, that of x through the rounded weight."""
        weight = with_largest(generator, 3, 4, 127) * powers(generator, 3)[:, None]
        rounded = torch.round(weight / weight.abs().amax(1, keepdim=True) * 127) * (
            weight.abs().amax(1, keepdim=True) / 127
        )
        given = whole(generator, 3, low=-9, high=9) if bias else None
        x, upstream = layer_inputs(generator, 5, 4).requires_grad_(), layer_inputs(generator, 5, 3)
        got = student.probe(probes.trained, "QATLinear", weight, given, x, upstream)
        same(got["output"], answer_of(x.detach(), rounded.double(), given).float(), exactly)
        want = {
            "weight": upstream.t() @ x.detach(),
            **({"bias": upstream.sum(0)} if bias else {}),
            "x": upstream @ rounded,
        }
        same(got["gradients"], want, exactly)
        same(got["tables"]["parameters"], {"weight": weight, **({"bias": given} if bias else {})}, exactly)
        same(got["in eval mode"], got["output"], exactly)

    @pytest.mark.parametrize("bias", [True, False], ids=["bias", "no bias"])
    def test_parameters(self, student, bias):
        """Its parameters are `weight` and, unless told otherwise, `bias`; they train, and there are no others."""
        args = () if bias else (False,)
        got = student.probe(probes.fresh, "QATLinear", 4, 3, *args)
        holds(got["parameters"], weight=(torch.float32, (3, 4)), **({"bias": (torch.float32, (3,))} if bias else {}))
        same(sorted(got["parameters"]), ["bias", "weight"] if bias else ["weight"])
        lacks(set(got["parameters"]) - set(got["with_gradients"]), "{} without gradients")

    def test_any_scales(self, student, generator):
        """Rows whose scales are no powers of two: the output within the rounding of float32."""
        scales = torch.rand(5, generator=generator, dtype=torch.float64) + 0.01
        weight, rounded = away_from_ties(generator, 5, 6, scales)
        bias, x = torch.randn(5, generator=generator), torch.randn(4, 6, generator=generator).requires_grad_()
        upstream = torch.randn(4, 5, generator=generator)
        got = student.probe(probes.trained, "QATLinear", weight, bias, x, upstream)
        same(got["output"], torch.zeros(4, 5), linear_rule(x.detach(), rounded, scales, bias))
        through = linear_rule(upstream, rounded.t().contiguous(), scales.max().expand(6), None)
        same(got["gradients"]["x"], torch.zeros(4, 6), through)

    def test_ties_go_to_even(self, student):
        """Half a step rounds to the even code."""
        weight, x = torch.tensor([[127.0, 0.5, 1.5, 2.5, -1.5]]), torch.eye(5)[1:].requires_grad_()
        got = student.probe(probes.trained, "QATLinear", weight, None, x, torch.ones(4, 1))
        same(got["output"], torch.tensor([[0.0], [2], [2], [-2]]), exactly)

    @pytest.mark.parametrize("shape", [(4,), (2, 1, 3, 4)], ids=str)
    def test_any_leading_dimensions(self, student, generator, shape):
        """x may have any leading dimensions, or none."""
        weight, x = with_largest(generator, 3, 4, 127, fraction=0.0), layer_inputs(generator, *shape).requires_grad_()
        got = student.probe(probes.trained, "QATLinear", weight, None, x, torch.ones(*shape[:-1], 3))
        same(got["output"], x.detach() @ weight.t(), exactly)
        same(got["gradients"]["x"], weight.sum(0).expand(shape).contiguous(), exactly)

    def test_a_row_of_zeros(self, student, generator):
        """A row of zeros answers its bias, and gets its gradient."""
        weight, bias = with_largest(generator, 3, 4, 127, fraction=0.0), whole(generator, 3)
        weight[1] = 0
        x, upstream = layer_inputs(generator, 2, 4).requires_grad_(), layer_inputs(generator, 2, 3)
        got = student.probe(probes.trained, "QATLinear", weight, bias, x, upstream)
        same(got["output"], x.detach() @ weight.t() + bias, exactly)
        same(got["gradients"]["weight"], upstream.t() @ x.detach(), exactly)

    @pytest.mark.parametrize("steps", [0, 3], ids=["untrained", "trained"])
    @pytest.mark.parametrize("bias", [True, False], ids=["bias", "no bias"])
    def test_converts_what_it_has_learned(self, student, bias, steps):
        """The converted layer is a float32 W8A16Linear that answers as the trained layer did."""
        weight = torch.tensor([[0.9, -0.31, 0.07, 0.55], [-0.2, 0.43, 0.81, -0.66], [0.13, 0.29, -0.37, 0.0]])
        given, x = (
            torch.tensor([0.3, -0.6, 0.1]) if bias else None,
            torch.tensor([[1.0, -2.0, 0.5, 1.5], [0.25, 1.0, 3.0, -1.0]]),
        )
        got = student.probe(probes.converted, "QATLinear", weight, given, x, steps)
        same(got["class"], "W8A16Linear")
        holds(got["tables"]["buffers"], int8_weights=(INT8, (3, 4)), scales=(torch.float32, (3,)))
        same("bias" in got["tables"]["buffers"], bias)
        rows, scales = restored_rows(got["tables"])
        rule = linear_rule(x, rows, scales, got["tables"]["buffers"].get("bias"))
        same((got["trained"], got["converted"]), (torch.zeros(2, 3), torch.zeros(2, 3)), rule)
        if not steps:
            same(rows, torch.zeros(3, 4, dtype=torch.float64), within(scales[:, None] * 0.50001, of=weight.double()))

    def test_later_training_does_not_reach_it(self, student, generator):
        """The converted layer shares nothing with the one that is trained on."""
        weight, bias = torch.randn(3, 4, generator=generator), torch.randn(3, generator=generator)
        got = student.probe(probes.converted, "QATLinear", weight, bias, torch.randn(5, 4, generator=generator))
        same(got["after more training"], got["converted"], exactly)

    def test_any_strides(self, student, generator):
        """The strides of x do not matter."""
        weight = with_largest(generator, 3, 4, 127, fraction=0.0)
        x = layer_inputs(generator, 4, 5).t().requires_grad_()
        got = student.probe(probes.trained, "QATLinear", weight, None, x, torch.ones(5, 3))
        same(got["output"], x.detach() @ weight.t(), exactly)


NORM_1D = {"mean": torch.tensor([1.5, -2.0, 0.25]), "variance": torch.tensor([3.75, 0.1875, 60.0]), "eps": 0.25}
AFFINE = {"weight": torch.tensor([3.0, -0.5, 8.0]), "bias": torch.tensor([0.5, -4.0, 1.0])}
KERNEL = torch.arange(3 * 2 * 2 * 3).reshape(3, 2, 2, 3) % 7 - 3.0
FOLDS = {
    "linear": (
        (layers.linear, torch.tensor([[1.0, -2.0], [0.5, 3.0], [4.0, 0.0]]), torch.tensor([0.5, 1.0, -3.0])),
        1,
        {},
    ),
    "no bias": ((layers.linear, torch.tensor([[1.0, -2.0], [0.5, 3.0], [4.0, 0.0]])), 1, {}),
    "square": ((layers.linear, torch.tensor([[1.0, -2.0, 3.0], [0.5, 3.0, -1.0], [4.0, 0.0, 2.0]])), 1, {}),
    "convolution": ((layers.convolution, KERNEL, torch.tensor([0.5, 1.0, -3.0])), 2, {}),
    "strided": ((layers.convolution, KERNEL), 2, {"stride": (2, 1), "padding": (1, 2), "dilation": (2, 1)}),
    "circular": ((layers.convolution, KERNEL), 2, {"padding": 1, "padding_mode": "circular"}),
    "reflected": (
        (layers.convolution, KERNEL, torch.tensor([0.5, 1.0, -3.0])),
        2,
        {"padding": 1, "padding_mode": "reflect"},
    ),
    "grouped": ((layers.convolution, KERNEL[:, :1]), 2, {"groups": 3}),
}


def fold_case(name, affine, training, **norm):
    """The layer, the norm and an input of one of FOLDS, by recipe."""
    (make, *numbers), dimensions, options = FOLDS[name]
    layer = recipe(make, *numbers, **options)
    statistics = {**NORM_1D, **norm, **(AFFINE if affine else {})}
    channels = numbers[0].shape[1] * options.get("groups", 1)
    shape = (4, channels) if dimensions == 1 else (2, channels, 6, 7)
    x = toys.random_input(*shape, seed=11)
    return layer, recipe(layers.batch_norm, dimensions, **statistics, training=training), x


def folded_exactly(layer, bn):
    """The exact folded weight and bias, in float64, and the size of what is added up in the bias."""
    made, norm = layer.build(), bn.build()
    factor = (norm.running_var.double() + norm.eps).rsqrt() * (
        1.0 if norm.weight is None else norm.weight.detach().double()
    )
    bias = torch.zeros(3, dtype=torch.float64) if made.bias is None else made.bias.detach().double()
    shift = torch.zeros(3, dtype=torch.float64) if norm.bias is None else norm.bias.detach().double()
    weight = made.weight.detach().double()
    size = (bias.abs() + norm.running_mean.double().abs()) * factor.abs() + shift.abs()
    return (
        weight * factor.reshape(-1, *[1] * (weight.dim() - 1)),
        (bias - norm.running_mean.double()) * factor + shift,
        size,
    )


def same_fold(got, layer, bn):
    """Compare a folded layer's class, weight and bias."""
    record = model_of(got)
    same(record.type, record_of(layer).type)
    same(sorted(record.parameters), ["bias", "weight"])
    found, (weight, bias, size) = values_of(record), folded_exactly(layer, bn)
    same(found["weight"], weight.float(), within(2.0**-20 * weight.abs(), of=weight))
    same(found["bias"], bias.float(), within(2.0**-20 * size, of=bias))


class TestFoldBatchNorm:
    @main
    @pytest.mark.parametrize("case", ["linear", "convolution", "no bias", "square", "grouped"])
    @pytest.mark.parametrize("affine", [True, False], ids=["affine", "not affine"])
    def test_weight_and_bias(self, student, case, affine):
        """A new layer of the same class, whose weight and bias do what the norm did."""
        layer, bn, _ = fold_case(case, affine, training=False)
        same_fold(student.fold_batch_norm(layer, bn), layer, bn)

    @pytest.mark.parametrize("training", [False, True], ids=["eval", "training"])
    @pytest.mark.parametrize("case", list(FOLDS))
    def test_answers_as_both(self, student, case, training):
        """The new layer answers as layer and norm in eval mode, whatever mode the norm is in; all options are kept."""
        layer, bn, x = fold_case(case, True, training)
        got = student.probe(probes.folded_answer, "fold_batch_norm", layer, bn, x)
        double = layer.build().double()
        want = bn.build().double().eval()(double(x.double())).detach()
        size = x.abs().max().item() * double.weight.abs().flatten(1).sum(1).max().item() * 20 + 40
        same(got, want.float(), within(2.0**-18 * size, of=want))

    def test_always_has_a_bias(self, student):
        """The new layer has a bias even where it is all 0."""
        nothing = {"mean": torch.zeros(3), "variance": torch.ones(3)}
        layer, bn, _ = fold_case("no bias", False, False, **nothing)
        same_fold(student.fold_batch_norm(layer, bn), layer, bn)

    @pytest.mark.parametrize("eps", [1e-5, 1e-3, 2.0], ids=str)
    def test_any_eps(self, student, eps):
        """The norm's own eps counts, inside the root; here a channel has almost no variance."""
        layer, bn, _ = fold_case("linear", True, False, eps=eps, variance=torch.tensor([1e-6, 1.0, 0.0]))
        same_fold(student.fold_batch_norm(layer, bn), layer, bn)

    @pytest.mark.parametrize("dimensions", [1, 2], ids=["Linear", "Conv2d"])
    def test_refuses_a_norm_without_statistics(self, student, dimensions):
        """A norm without running statistics."""
        layer = fold_case("linear" if dimensions == 1 else "convolution", True, False)[0]
        with raises(ValueError):
            student.fold_batch_norm(layer, recipe(layers.without_statistics, dimensions, 3))

    @observed
    @pytest.mark.parametrize("case", ["linear", "no bias"])
    def test_shares_nothing(self, student, case):
        """No tensor of the new layer lies in the memory of the arguments."""
        layer, bn, _ = fold_case(case, True, False)
        lacks(student.probe(probes.shared_tensors, "fold_batch_norm", layer, bn), "{} shared with an argument")


# Ranges -----------------------------------------------------------------------------------------------------------------

NOT_FINITE = [[], [1.0, float("inf")], [float("nan"), 2.0]]
FLOATS = [torch.float64, torch.float32, torch.float16, torch.bfloat16]


class TestPercentileScale:
    @main
    @pytest.mark.parametrize(("percentile", "bits"), [(50, 8), (90, 4), (99.5, 3), (0.5, 2), (73, 6)], ids=str)
    def test_of_all_magnitudes(self, student, reference, generator, percentile, bits):
        """The percentile of all magnitudes, interpolated, over the largest code."""
        x = torch.randn(7, 13, generator=generator)
        same(
            student.percentile_scale(x, percentile, bits),
            reference.percentile_scale(x, percentile, bits),
            relative(1e-9),
        )

    @pytest.mark.parametrize("bits", [8, 2, 5], ids=str)
    def test_a_hundred_is_the_largest(self, student, generator, bits):
        """The hundredth percentile is the largest magnitude, of either sign."""
        x = torch.randn(20, generator=generator)
        x[7] = -9.5
        same(student.percentile_scale(x, 100, bits), 9.5 / (2 ** (bits - 1) - 1), relative(1e-12))

    def test_eight_bits_unless_told(self, student):
        """Without `bits` there are 8."""
        same(student.percentile_scale(torch.tensor([2.0, -254.0, 4.0]), 100.0), 2.0, relative(1e-12))

    @pytest.mark.parametrize("dtype", FLOATS, ids=str)
    def test_float_dtypes(self, student, reference, generator, dtype):
        """Tensors of other float dtypes; the interpolation is in float64."""
        x = (torch.randn(6, 5, generator=generator, dtype=torch.float64) * 100).to(dtype)
        same(student.percentile_scale(x, 61, 8), reference.percentile_scale(x, 61, 8), relative(1e-9))

    @pytest.mark.parametrize("shape", [(), (1,), (2, 1, 3)], ids=["0-dim", "one", "three dimensions"])
    def test_any_shape(self, student, reference, shape):
        """A tensor of any shape has one percentile."""
        x = (torch.arange(float(math.prod(shape))) - 7.25).reshape(shape)
        same(student.percentile_scale(x, 40, 4), reference.percentile_scale(x, 40, 4), relative(1e-9))

    @pytest.mark.parametrize("size", [2.0**-40, 2.0**-20], ids=["tiny", "small"])
    def test_small_values(self, student, size):
        """Only a percentile of 0 gives 1.0."""
        x = torch.tensor([1.0, -3.0, 2.0, 0.0]) * size
        same(student.percentile_scale(x, 100, 3), size, relative(1e-12))

    def test_finite_values_of_a_large_sum(self, student):
        """Values that are finite although float16 cannot hold their sum."""
        x = torch.tensor([60000.0, 60000.0, 56.0], dtype=torch.float16)
        same(student.percentile_scale(x, 100, 3), 20000.0, relative(1e-12))

    def test_not_contiguous(self, student, reference, generator):
        """A transposed slice of a larger tensor."""
        x = torch.randn(9, 8, generator=generator)[1:7, 2:].t()
        same(student.percentile_scale(x, 95, 8), reference.percentile_scale(x, 95, 8), relative(1e-9))

    @pytest.mark.parametrize(("values", "percentile"), [([0.0, 0, 0], 100), ([0.0, 0, 0, 0, 9], 75)], ids=str)
    def test_zero(self, student, values, percentile):
        """Where the percentile is 0, the scale is 1.0."""
        same(student.percentile_scale(torch.tensor(values), percentile), 1.0, exactly)

    @pytest.mark.parametrize("percentile", [0, -5.0, 100.5, 1000], ids=str)
    def test_refuses_percentiles_outside(self, student, percentile):
        """A percentile that is not above 0 and at most 100."""
        with raises(ValueError):
            student.percentile_scale(torch.tensor([1.0, 2.0]), percentile)

    @pytest.mark.parametrize("values", NOT_FINITE, ids=["empty", "inf", "nan"])
    def test_refuses_what_is_not_finite(self, student, values):
        """A tensor that is empty or not finite."""
        with raises(ValueError):
            student.percentile_scale(torch.tensor(values), 50)


def error_of(x, scale, bits):
    """The squared error of a symmetric quantization, summed in float64."""
    wide, largest = x.double(), 2 ** (bits - 1) - 1
    return ((wide / scale).round().clamp(-largest, largest) * scale - wide).square().sum().item()


def near_best(got, x, bits, steps):
    """Accept a candidate whose error is the least, up to rounding."""
    largest, top = x.double().abs().max().item(), 2 ** (bits - 1) - 1
    candidates = [largest / top * i / steps for i in range(1, steps + 1)]
    same(got, min(candidates, key=lambda one: abs(one - got) if isinstance(got, float) else one), relative(1e-6))
    best = min(error_of(x, one, bits) for one in candidates)
    error = error_of(x, got, bits)
    if error > best * (1 + 1e-5) + 1e-12 * x.double().square().sum().item():
        raise Mismatch(got=f"{got}, of error {error:.6g}", want=f"a candidate of error {best:.6g}")


def with_outliers(generator, *shape, power=6):
    """Normal values, and two that are many times larger: the best scale cuts them off."""
    x = torch.randn(*shape, generator=generator)
    x.view(-1)[:2] = torch.tensor([-(2.0**power), 0.9 * 2.0**power])
    return x


class TestMseScale:
    @main
    @pytest.mark.parametrize(
        ("bits", "steps", "power"), [(4, 100, 3), (3, 40, 2), (4, 13, 3), (2, 25, 2), (5, 60, 4)], ids=str
    )
    def test_the_candidate_of_least_error(self, student, generator, bits, steps, power):
        """One of the candidates, and none has a smaller error."""
        x = with_outliers(generator, 16, 25, power=power)
        near_best(student.mse_scale(x, bits, steps), x, bits, steps)

    def test_large_values(self, student, generator):
        """Values that no 16-bit type holds."""
        x = with_outliers(generator, 12, 30, power=3) * 98_765.4
        near_best(student.mse_scale(x, 4), x, 4, 100)

    def test_a_hundred_steps_and_eight_bits_unless_told(self, student, generator):
        """Without `bits` and `steps` there are 8 and 100."""
        x = with_outliers(generator, 40_000)
        near_best(student.mse_scale(x), x, 8, 100)

    @pytest.mark.parametrize("dtype", FLOATS, ids=str)
    def test_float_dtypes(self, student, generator, dtype):
        """Tensors of other float dtypes, not contiguous."""
        x = with_outliers(generator, 40, 30, power=3).to(dtype).t()
        near_best(student.mse_scale(x, 4, 100), x, 4, 100)

    @pytest.mark.parametrize("shape", [(), (1,), (2, 1, 3)], ids=["0-dim", "one", "three dimensions"])
    def test_any_shape(self, student, shape):
        """A tensor of any shape has one scale."""
        x = (torch.arange(float(math.prod(shape))) - 7.25).reshape(shape)
        near_best(student.mse_scale(x, 4, 10), x, 4, 10)

    def test_zeros_among_the_values(self, student, generator):
        """Zeros among the values are no error; a scale of 0, which is no candidate, would make them nan."""
        x = torch.relu(with_outliers(generator, 16, 25, power=3))
        near_best(student.mse_scale(x, 4), x, 4, 100)

    @pytest.mark.parametrize("size", [2.0**-40, 1.0], ids=["tiny", "large"])
    def test_any_size(self, student, size):
        """Small values, and finite ones although float16 cannot hold their sum."""
        x = torch.tensor([60000.0, 60000.0, 54016.0]).half() if size == 1.0 else torch.tensor([3.0, -2.0, 1.0]) * size
        near_best(student.mse_scale(x, 3, 4), x, 3, 4)

    @pytest.mark.parametrize("steps", [1, 2], ids=str)
    def test_few_steps(self, student, steps):
        """With one step there is one candidate, the scale of the largest magnitude; a larger one is none."""
        x = torch.cat([torch.tensor([1.5, 3.0, -4.5, 6.0]).repeat(30), torch.tensor([-7.0])])
        near_best(student.mse_scale(x, 4, steps), x, 4, steps)

    def test_all_zeros(self, student):
        """A tensor of zeros has the scale 1.0."""
        same(student.mse_scale(torch.zeros(3)), 1.0, exactly)

    @pytest.mark.parametrize("values", NOT_FINITE, ids=["empty", "inf", "nan"])
    def test_refuses_what_is_not_finite(self, student, values):
        """A tensor that is empty or not finite."""
        with raises(ValueError):
            student.mse_scale(torch.tensor(values))
