"""Both sides of every rule of exercises.kit.checking.closeness: what passes just inside, what fails just outside."""

import math
from collections import OrderedDict
from fractions import Fraction

import numpy
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from exercises.kit.checking.closeness import (
    Mismatch,
    Rule,
    bit_for_bit,
    dot_bound,
    dot_rounding,
    exact_dot,
    exactly,
    gamma,
    python_floats,
    quantized,
    relative,
    same,
    ulps,
    unit_roundoff,
    within,
)

FLOATS = [torch.float64, torch.float32, torch.float16, torch.bfloat16, torch.float8_e4m3fn, torch.float8_e5m2]
INTEGERS = [torch.uint8, torch.int8, torch.int16, torch.int32, torch.int64, torch.uint16, torch.uint32, torch.uint64]
steady = settings(derandomize=True, deadline=None, database=None, max_examples=60)


def refuses(got, want, rule: Rule = exactly, **options) -> Mismatch:
    """The mismatch that `same` raises; the test fails if it raises none."""
    with pytest.raises(Mismatch) as caught:
        same(got, want, rule, **options)
    return caught.value


def neighbour(value: float, dtype: torch.dtype, steps: int) -> torch.Tensor:
    """The number of `dtype`, not float8, that lies `steps` places above a positive value."""
    integers = {torch.float64: torch.int64, torch.float32: torch.int32}.get(dtype, torch.int16)
    return (torch.tensor([value], dtype=dtype).view(integers) + steps).view(dtype)


class Text(str):
    """A string that claims to equal everything."""

    __hash__ = str.__hash__

    def __eq__(self, other):
        return True


class Count(int):
    """An int that claims to be five."""

    __hash__ = int.__hash__

    def __eq__(self, other):
        return True

    def __int__(self):
        return 5

    def __repr__(self):
        return "5"


class Pretender(torch.Tensor):
    """A tensor that answers every question of torch with True."""

    @classmethod
    def __torch_function__(cls, function, types, args=(), kwargs=None):
        return True


class Liar(torch.Tensor):
    """A tensor with methods of its own, but torch's functions."""

    def __eq__(self, other):
        return torch.ones(self.shape, dtype=torch.bool)

    def detach(self):
        return torch.ones(2)


class TestTypes:
    @pytest.mark.parametrize(
        ("got", "want"),
        [
            (1, True),
            (True, 1),
            (1.0, 1),
            (1, 1.0),
            (None, 0),
            ("1", b"1"),
            ((1, 2), [1, 2]),
            ({1}, frozenset({1})),
            (numpy.int64(1), 1),
            (numpy.float32(1.0), 1.0),
            (numpy.bool_(True), True),
            (numpy.ones(2), torch.ones(2, dtype=torch.float64)),
            (torch.tensor(1.0), 1.0),
            (1.0, torch.tensor(1.0)),
            ("torch.float16", torch.float16),
            ({1}, {True}),
            ({1: "a"}, {True: "a"}),
            ([1, 2.0], [1, 2]),
        ],
        ids=repr,
    )
    def test_another_type_is_refused(self, got, want):
        refuses(got, want)

    @pytest.mark.parametrize(
        ("got", "want"),
        [
            (numpy.float64(1.5), 1.5),
            (OrderedDict(a=1), {"a": 1}),
            (torch.Size([2, 3]), (2, 3)),
            (torch.nn.Parameter(torch.ones(2)), torch.ones(2)),
            (torch.ones(2, requires_grad=True), torch.ones(2)),
            (torch.float16, torch.float16),
            (torch.device("cpu"), torch.device("cpu")),
            (None, None),
            (Count(4), 4),
            (Text("a"), "a"),
            (torch.ones(2).as_subclass(Liar), torch.ones(2)),
            (1 + 2j, 1 + 2j),
            (b"ab", b"ab"),
        ],
        ids=lambda value: type(value).__name__,
    )
    def test_a_subclass_counts_as_its_base(self, got, want):
        same(got, want)

    @pytest.mark.parametrize(
        ("got", "want"),
        [(Count(4), 5), (Text("a"), "b"), ({Count(4): 1}, {5: 1}), ([Count(4)], [5]), ({Text("a")}, {"b"})],
        ids=repr,
    )
    def test_no_object_talks_its_way_to_equality(self, got, want):
        refuses(got, want)

    def test_tensors_are_read_by_torch_itself(self):
        refuses(torch.zeros(2).as_subclass(Liar), torch.ones(2))
        assert "Pretender" in refuses(torch.ones(2).as_subclass(Pretender), torch.ones(2)).got

    def test_another_object_is_named_by_its_type_and_not_asked(self):
        class Loud:
            def __repr__(self):
                raise AssertionError("was asked")

        assert "Loud" in refuses(Loud(), 1).got


class TestOrder:
    """Type, dtype, shape, nan and inf, value: the first that differs is the one named."""

    def test_dtype_comes_before_shape(self):
        found = refuses(torch.zeros(2, 3, dtype=torch.float16), torch.ones(3, dtype=torch.bfloat16))
        assert (found.got, found.want) == ("dtype torch.float16", "dtype torch.bfloat16")

    def test_shape_comes_before_value(self):
        found = refuses(torch.zeros(1), torch.tensor(1.0))
        assert (found.got, found.want) == ("shape (1,)", "shape ()")

    def test_nan_and_inf_come_before_value(self):
        got = torch.tensor([5.0] + [0.0] * 9 + [math.nan])
        assert refuses(got, torch.zeros(11)).got == "nan at [10] (1 of 11 elements differ)"

    def test_a_device_and_a_layout_are_compared_too(self):
        assert refuses(torch.zeros(2, device="meta"), torch.zeros(2)).got == "device meta"
        assert "sparse" in refuses(torch.zeros(2).to_sparse(), torch.zeros(2)).got
        same(torch.zeros(2, device="meta"), torch.zeros(2, device="meta"))


class TestExactly:
    @pytest.mark.parametrize("dtype", [*FLOATS, *INTEGERS, torch.bool, torch.complex64], ids=str)
    def test_every_dtype(self, dtype):
        want = torch.tensor([[0, 1, 1], [0, 0, 1]]).to(dtype)
        same(want.clone(), want)
        other = torch.tensor([[0, 1, 1], [0, 1, 1]]).to(dtype)
        assert "at [1, 1]" in refuses(other, want).got

    @pytest.mark.parametrize("dtype", FLOATS[:4], ids=str)
    def test_one_unit_in_the_last_place_is_refused(self, dtype):
        found = refuses(neighbour(1.0, dtype, 1), neighbour(1.0, dtype, 0))
        assert found.got.split(" (")[0] != found.want

    @pytest.mark.parametrize("dtype", FLOATS, ids=str)
    def test_nan_equals_nan_and_zeros_of_either_sign_are_equal(self, dtype):
        got, want = (torch.tensor([math.nan, zero]).to(dtype) for zero in (-0.0, 0.0))
        same(got, want)
        refuses(torch.tensor([1.0, 0.0]).to(dtype), want)
        refuses(want, torch.tensor([1.0, 0.0]).to(dtype))

    def test_infinities_have_signs(self):
        same(torch.tensor([math.inf, -math.inf]), torch.tensor([math.inf, -math.inf]))
        refuses(torch.tensor([math.inf]), torch.tensor([-math.inf]))
        refuses(-math.inf, math.inf)

    def test_integers_beyond_float64_are_told_apart(self):
        refuses(2**70 + 1, 2**70)
        refuses(torch.tensor([2**62 + 1]), torch.tensor([2**62]))
        same(2**70, 2**70)

    def test_packed_dtypes_compare_by_their_bytes(self):
        packed = torch.tensor([1, 2], dtype=torch.uint8)
        same(packed.view(torch.float4_e2m1fn_x2), packed.clone().view(torch.float4_e2m1fn_x2))
        refuses((packed + 1).view(torch.float4_e2m1fn_x2), packed.view(torch.float4_e2m1fn_x2))

    def test_empty_and_strided_tensors(self):
        same(torch.empty(0, 3), torch.empty(0, 3))
        refuses(torch.empty(0), torch.empty(0, 3))
        same(torch.arange(6).view(2, 3).t(), torch.arange(6).view(2, 3).t().contiguous())
        same(torch.ones(1).expand(4), torch.ones(4))

    def test_python_floats(self):
        same(math.nan, math.nan)
        same(-0.0, 0.0)
        refuses(math.nextafter(1.0, 2.0), 1.0)
        refuses(math.nan, 1.0)
        refuses(1.0, math.nan)


class TestBitForBit:
    @pytest.mark.parametrize("dtype", FLOATS, ids=str)
    def test_the_sign_of_zero_counts(self, dtype):
        want = torch.tensor([-0.0, 1.0]).to(dtype)
        same(want.clone(), want, bit_for_bit)
        refuses(torch.tensor([0.0, 1.0]).to(dtype), want, bit_for_bit)

    def test_in_python_too(self):
        same([-0.0], [-0.0], bit_for_bit)
        refuses([0.0], [-0.0], bit_for_bit)

    def test_nan_still_equals_nan(self):
        same(torch.tensor([math.nan, -math.nan]), torch.tensor([math.nan, math.nan]), bit_for_bit)


class TestWithin:
    def test_the_bound_itself_is_inside(self):
        same(torch.tensor([1.5]), torch.tensor([1.0]), within(0.5))
        refuses(torch.tensor([1.5]), torch.tensor([1.0]), within(math.nextafter(0.5, 0)))

    def test_a_bound_for_each_element(self):
        bound = torch.tensor([0.5, 0.0], dtype=torch.float64)
        same(torch.tensor([1.5, 1.0]), torch.tensor([1.0, 1.0]), within(bound))
        assert "[1]" in refuses(torch.tensor([1.5, 1.5]), torch.tensor([1.0, 1.0]), within(bound)).got

    def test_integers_are_meant(self):
        same(3, 4, within(1))
        refuses(2, 4, within(1))
        same(torch.tensor([3], dtype=torch.int8), torch.tensor([4], dtype=torch.int8), within(1))
        refuses(torch.tensor([2], dtype=torch.int8), torch.tensor([4], dtype=torch.int8), within(1))
        refuses(2**60 + 1, 2**60, within(1))
        refuses(torch.tensor([1 - 2**63]), torch.tensor([-(2**63)]), within(1))

    def test_an_exact_value_takes_the_place_of_want(self):
        rule = within(0.25, of=1.25)
        same(torch.tensor(1.5), torch.tensor(1.0), rule)
        refuses(torch.tensor(0.875), torch.tensor(1.0), rule)
        refuses(torch.tensor(1.5, dtype=torch.float64), torch.tensor(1.0), rule)

    @pytest.mark.parametrize("value", [math.inf, -math.inf, math.nan])
    def test_no_bound_reaches_from_a_number_to_inf_or_nan(self, value):
        for got, want in ((value, 1.0), (1.0, value)):
            refuses(got, want, within(1e300))
            refuses(torch.tensor([got]), torch.tensor([want]), within(1e300))

    @pytest.mark.parametrize("bound", [math.inf, math.nan, -1.0])
    def test_an_empty_bound_is_no_bound(self, bound):
        with pytest.raises(ValueError, match="finite"):
            within(bound)

    def test_bools_stay_exact(self):
        refuses(False, True, within(1))
        refuses(torch.tensor([False]), torch.tensor([True]), within(1))


class TestRelative:
    def test_the_factor_is_of_the_wanted_value(self):
        same(torch.tensor([-1.25]), torch.tensor([-1.0]), relative(0.25))
        refuses(torch.tensor([-1.250001]), torch.tensor([-1.0]), relative(0.25))
        refuses(1e-300, 0.0, relative(0.5))

    def test_integers_stay_exact(self):
        refuses(1001, 1000, relative(0.5))
        refuses(torch.tensor([1001]), torch.tensor([1000]), relative(0.5))

    def test_a_factor_of_one_would_accept_zero(self):
        with pytest.raises(ValueError, match="less than 1"):
            relative(1.0)

    def test_python_floats_alone(self):
        rule = python_floats(relative(1e-9))
        same([1.0 + 1e-10], [1.0], rule)
        refuses([1.0 + 2e-9], [1.0], rule)
        refuses(torch.tensor(1.0 + 1e-10, dtype=torch.float64), torch.tensor(1.0, dtype=torch.float64), rule)


class TestUlps:
    @pytest.mark.parametrize("dtype", FLOATS[:4], ids=str)
    @pytest.mark.parametrize("value", [1.0, 1.5, 0.0, 100.0, 2.0**-20])
    def test_counts_steps_of_the_wanted_dtype(self, dtype, value):
        want = neighbour(value, dtype, 0)
        same(neighbour(value, dtype, 2), want, ulps(2))
        refuses(neighbour(value, dtype, 3), want, ulps(2))

    @pytest.mark.parametrize(("dtype", "step"), [(torch.float8_e4m3fn, 0.125), (torch.float8_e5m2, 0.25)], ids=str)
    def test_float8(self, dtype, step):
        want, near, far = (torch.tensor([1 + count * step]).to(dtype) for count in (0, 1, 2))
        same(near, want, ulps(1))
        refuses(far, want, ulps(1))

    def test_a_python_float_is_float64(self):
        same(1.0 + 2**-52, 1.0, ulps(1))
        refuses(1.0 + 2**-51, 1.0, ulps(1))

    @steady
    @given(st.floats(width=32, allow_nan=False, allow_infinity=False), st.integers(0, 5))
    def test_agrees_with_exact_arithmetic(self, value, count):
        """The unit is that of the binade of `want`; fractions do the same sum without rounding."""
        want = torch.tensor(value, dtype=torch.float32)
        got = torch.nextafter(want, torch.tensor(math.inf)) if count else want
        unit = Fraction(2) ** (max(math.frexp(value)[1] - 1, -126) - 23) if value else Fraction(2) ** -149
        if not torch.isfinite(got):
            return
        inside = abs(Fraction(got.item()) - Fraction(value)) <= Fraction(count, 4) * unit
        if inside:
            same(got, want, ulps(count / 4))
        else:
            refuses(got, want, ulps(count / 4))


class TestQuantized:
    def test_both_neighbours_of_a_tie_are_right(self):
        exact = torch.tensor([2.5, -3.5], dtype=torch.float64)
        want = torch.tensor([2, -4], dtype=torch.int8)
        for codes in ([2, -4], [3, -4], [2, -3], [3, -3]):
            same(torch.tensor(codes, dtype=torch.int8), want, quantized(exact))
        refuses(torch.tensor([1, -4], dtype=torch.int8), want, quantized(exact))
        refuses(torch.tensor([2, -5], dtype=torch.int8), want, quantized(exact))

    def test_off_a_tie_there_is_one_answer(self):
        want = torch.tensor([3], dtype=torch.int8)
        rule = quantized(torch.tensor([2.5000001], dtype=torch.float64))
        same(want, want, rule)
        refuses(want - 1, want, rule)

    def test_the_slack_widens_a_tie(self):
        want = torch.tensor([3], dtype=torch.int8)
        rule = quantized(torch.tensor([2.75], dtype=torch.float64), slack=0.25)
        same(want - 1, want, rule)
        refuses(want - 1, want, quantized(torch.tensor([2.75], dtype=torch.float64), slack=0.2))

    def test_clamps_to_the_range(self):
        exact = torch.tensor([300.0, -math.inf], dtype=torch.float64)
        want = torch.tensor([127, -128], dtype=torch.int8)
        same(want, want, quantized(exact))
        refuses(torch.tensor([126, -128], dtype=torch.int8), want, quantized(exact))
        same(7, 7, quantized(9.0, low=-8, high=7))
        refuses(9, 7, quantized(9.0, low=-8, high=7))

    def test_a_code_is_a_whole_number(self):
        refuses(torch.tensor([2.25]), torch.tensor([2.0]), quantized(torch.tensor([2.25])))
        same(torch.tensor([2.0]), torch.tensor([2.0]), quantized(torch.tensor([2.25])))

    def test_refuses_bad_arguments(self):
        for arguments in ((math.nan,), (1.0, -0.5), (1.0, math.inf)):
            with pytest.raises(ValueError, match="slack"):
                quantized(*arguments)


class TestDotBound:
    @steady
    @given(st.integers(1, 64), st.integers(0, 10**6), st.sampled_from(FLOATS[:4]))
    def test_accepts_every_order_and_accumulator(self, count, seed, dtype):
        numbers = torch.Generator().manual_seed(seed)
        x, y = (torch.randn(count, generator=numbers).to(dtype) for _ in range(2))
        want, rule = exact_dot(x, y, dtype).to(dtype), dot_rounding(x, y, dtype)
        for got in (torch.dot(x, y), torch.dot(x.flip(0), y.flip(0)), (x.double() @ y.double()).to(dtype)):
            same(got, want, rule)
        wide = torch.float64 if dtype == torch.float64 else torch.float32
        same(sum((a * b for a, b in zip(x.to(wide), y.to(wide), strict=True)), torch.zeros((), dtype=wide)).to(dtype),
             want, rule)  # fmt: skip

    @pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16], ids=str)
    def test_refuses_what_was_not_cast(self, dtype):
        h = 1.5 * unit_roundoff(dtype)
        x, y = torch.tensor([1 + h, -1.0]), torch.tensor([1.0, 1.0])
        want = torch.dot(x.to(dtype), y.to(dtype))
        same(want, want, dot_rounding(x, y, dtype))
        refuses(torch.dot(x, y).to(dtype), want, dot_rounding(x, y, dtype))

    def test_refuses_a_dropped_element(self):
        x, y = torch.arange(1.0, 33), torch.ones(32)
        for dtype in FLOATS[1:4]:
            want = torch.dot(x.to(dtype), y.to(dtype))
            refuses(torch.dot(x[:-1].to(dtype), y[:-1].to(dtype)), want, dot_rounding(x, y, dtype))

    def test_the_formula(self):
        x, y = torch.tensor([3.0, -1.0]), torch.tensor([1.0, 1.0])
        growth = gamma(2, 2.0**-24)
        want = 2.0**-8 * 2 * (1 + growth) + growth * 4 * (1 + 2.0**-8) + 2.0**-133
        assert dot_bound(x, y, torch.bfloat16).item() == pytest.approx(want, rel=1e-15, abs=0)
        assert dot_bound(x, y, torch.float32).item() == growth * 4

    def test_the_exact_value_is_exact(self):
        x, y = torch.tensor([2.0**60, 1.0, -(2.0**60)]), torch.ones(3)
        assert exact_dot(x, y, torch.float32).item() == 1.0
        x = torch.tensor([1 + 2.0**-52, -1.0, -(2.0**-51)], dtype=torch.float64)
        assert exact_dot(x, x * torch.tensor([1, 1, 0]), torch.float64).item() == 2.0 + 2.0**-51

    def test_gamma_is_empty_from_one_over_u_on(self):
        assert gamma(1, 0.25) == 0.25 / 0.75
        with pytest.raises(ValueError, match="empty"):
            gamma(256, 2.0**-8)


class TestContainers:
    def test_dict_order_counts_only_when_asked(self):
        got, want = {"b": 1, "a": 2.0}, {"a": 2.0, "b": 1}
        same(got, want)
        same(want, want, ordered=True)
        assert refuses(got, want, ordered=True).got == "{'b': 1, 'a': 2.0}"
        refuses([{"x": got}], [{"x": want}], ordered=True)

    def test_keys(self):
        refuses({"a": 1}, {"a": 1, "b": 2})
        refuses({"a": 1, "b": 2}, {"a": 1})
        same({torch.float16: 1}, {torch.float16: 1})

    def test_length(self):
        refuses([1, 2], [1, 2, 3])
        assert refuses([torch.ones(20)], [torch.ones(20)] * 5).got == "length 1"

    def test_rules_reach_inside(self):
        same({"a": (1.0 + 1e-10, 3)}, {"a": (1.0, 3)}, relative(1e-9))
        refuses({"a": (1.0 + 1e-10, 3)}, {"a": (1.0, 3)})

    def test_small_ones_are_shown_whole_and_large_ones_by_place(self):
        found = refuses((-128, 128), (-128, 127))
        assert (found.got, found.want) == ("(-128, 128)", "(-128, 127)")
        found = refuses({"w": [torch.zeros(20), torch.zeros(20)]}, {"w": [torch.zeros(20), torch.ones(20)]})
        assert found.got == "0.0 at ['w'][1][0] (20 of 20 elements differ, this one most)"
        assert found.want == "1.0"

    def test_a_list_that_holds_itself_ends(self):
        loop = [1]
        loop.append(loop)
        refuses(loop, [1, [1, 2]])

    @steady
    @given(st.recursive(st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
                        lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=3), inner, max_size=3),
                        max_leaves=8))  # fmt: skip
    def test_every_value_equals_itself(self, value):
        same(value, value, bit_for_bit, ordered=True)
        refuses([value, 0], [value])


class TestMessages:
    def test_mismatch_is_an_assertion_with_parts(self):
        found = Mismatch(1.5, "two", hint="count again")
        assert isinstance(found, AssertionError)
        assert (found.got, found.want, found.hint) == ("1.5", "two", "count again")
        assert str(found) == "got    1.5\nwant   two\nhint   count again"
        assert Mismatch("a", "b").hint is None

    def test_types_are_named(self):
        assert (refuses(3, 3.0).got, refuses(3, 3.0).want) == ("int 3", "float 3.0")

    def test_large_tensors_are_not_printed(self):
        found = refuses(torch.zeros(3, 4), torch.arange(12.0).view(3, 4))
        assert (found.got, found.want) == ("0.0 at [2, 3] (11 of 12 elements differ, this one most)", "11.0")
        assert refuses(3, torch.zeros(3, 4)).want == "Tensor, a tensor of shape (3, 4), torch.float32"

    @pytest.mark.parametrize("dtype", FLOATS[:4], ids=str)
    def test_neighbours_are_told_apart(self, dtype):
        for value in (1.0, 0.1, 3.14159, 1e-3):
            found = refuses(neighbour(value, dtype, 1), neighbour(value, dtype, 0))
            assert found.got != found.want

    def test_long_texts_are_shown_where_they_differ(self):
        found = refuses("x" * 300 + "y", "x" * 300 + "z")
        assert "y" in found.got
        assert "z" in found.want
        assert len(found.got) < 100

    def test_a_huge_answer_gives_a_short_message(self):
        for value in (10**5000, "x" * 10**6, list(range(10**6)), [[[[[[1]]]]]] * 50):
            assert max(map(len, (refuses(value, 1).got, refuses(1, value).want))) <= 190


class TestOwnComparison:
    def test_an_object_may_compare_itself(self):
        class Record:
            def compare_with(self, got, rule):
                same(got, 1.0, rule)

        same(1.25, Record(), within(0.25))
        refuses(1.5, Record(), within(0.25))
        refuses([1.5], [Record()], within(0.25))
