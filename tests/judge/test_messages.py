"""What the judge says of a call, of an exception and of a mistake: it must be true for whoever reads it."""

from __future__ import annotations

import pytest
import torch

from exercises.kit import toys
from exercises.kit.probes import l3 as probes
from exercises.kit.toys import quantized_models
from graders import lessons
from graders.judge import checks, deciding
from graders.judge.contract import StudentRaised, recipe, slips_of
from graders.judge.judge import Judge
from graders.judge.proxy import Proxy, describe, describe_call
from graders.judge.recording import in_process
from graders.judge.told import told
from graders.wire import codec
from graders.worker import loading, worker

MODEL = recipe(toys.mlp)


def default_dtype(dtype):
    """Take what the exercise of this name takes."""


def caption_image(model, processor, image):
    """Take what the exercise of this name takes."""


def test_what_a_probe_takes_for_itself_is_no_argument_of_the_call():
    told = describe_call("default_dtype", (torch.float32, torch.bfloat16), {}, default_dtype, probes.made_around)
    assert told == "default_dtype(torch.bfloat16), with before=torch.float32"


def test_arguments_behind_those_of_a_probe_keep_their_names():
    told = describe_call("caption_image", ("vision", MODEL, 1, 2), {}, caption_image, probes.first_float_given)
    assert told == "caption_image(model, 1, 2), with part='vision', model is the kit's mlp"


@pytest.mark.parametrize(("given", "shown"), [("x" * 40, "x" * 40), ("x" * 41, "x" * 37 + "...")])
def test_long_text_in_a_call_is_cut(given, shown):
    assert describe_call("caption_image", (given,), {}, caption_image) == f"caption_image({shown!r})"


@pytest.mark.parametrize(
    ("given", "shown"),
    [
        (torch.tensor([1.0, 0.5]), "caption_image(tensor([1.0, 0.5]))"),
        (torch.ones(2, requires_grad=True), None),
        (torch.ones(2, 3).t(), None),
        (torch.ones(2, device="meta"), None),
    ],
    ids=["plain", "gradients", "strides", "meta"],
)
def test_a_fixed_tensor_is_written_out_where_its_numbers_tell_all_of_it(given, shown):
    told = describe_call("caption_image", (given,), {}, caption_image, fixed=True)
    assert told == (shown or f"caption_image(model), model is {describe(given)}")


def test_a_probe_without_arguments_of_its_own_changes_nothing():
    told = describe_call("half_in_place", (MODEL,), {}, lambda model: model, probes.what_comes_back)
    assert told == "half_in_place(model), model is the kit's mlp"


def test_a_model_made_of_another_is_named_with_it_and_without_numbers():
    model = recipe(
        quantized_models.with_quanto, recipe(toys.mlp, [16, 16], seed=7), "qint4", exclude=["a"], frozen="*.0"
    )
    told = describe_call("stored_bytes", (model,), {}, lambda model: 0)
    assert told == "stored_bytes(model), model is the kit's with_quanto(mlp, 'qint4', frozen='*.0')"


@pytest.mark.parametrize(
    ("value", "words"),
    [
        (torch.tensor([1.5, -2.0]), "float32 of shape (2,), values from -2 to 1.5"),
        (torch.ones(2, 3).t(), "float32 of shape (3, 2), not contiguous, values from 1 to 1"),
        (torch.tensor([1, 300], dtype=torch.int16), "int16 of shape (2,), values from 1 to 300"),
        (torch.tensor([float("nan"), 2.0]), "float32 of shape (2,), with nan, values from 2 to 2"),
        (torch.tensor([float("-inf")], dtype=torch.float16), "float16 of shape (1,), with inf"),
        (torch.ones(2, dtype=torch.complex64), "complex64 of shape (2,)"),
        (torch.empty(0), "float32 of shape (0,)"),
        (torch.empty(2, device="meta"), "float32 of shape (2,) on the meta device"),
        ({"a": 1, "b": 2}, "a dict with 2 keys"),
        ([0] * 7, "a list of 7"),
        (1j, "a complex"),
    ],
)
def test_a_hidden_input_is_described_as_it_is(value, words):
    assert describe(value) == words


@pytest.mark.parametrize(("line", "place"), [(1, "line 2 of its cell"), (7, "line 8 of the file")])
def test_lines_are_counted_where_the_student_counts_them(line, place):
    space = worker.new_namespace()
    cell = {"source": "def f():\n    return 1 / 0\n", "line": line, "number": 900 + line, "flags": 0}
    assert loading.run_cell(cell, space) is None
    with pytest.raises(StudentRaised) as raised:
        Proxy(in_process(space)).f()
    assert str(raised.value) == f"ZeroDivisionError: division by zero ({place})"


@pytest.mark.parametrize(
    ("shown", "others", "ruled_out", "hint"),
    [
        ({"a"}, [{"a", "b"}], set(), "a"),
        ({"a", "b"}, [{"b", "c"}], set(), "b"),
        (set(), [{"a"}], set(), ""),
        ({"a"}, [set()], set(), "a"),
        ({"a", "b"}, [], set(), ""),
        ({"a", "b"}, [], {"a"}, "b"),
        ({"a", "b"}, [], {"a", "b"}, ""),
        ({"a"}, [], {"a"}, "a"),
    ],
    ids=[
        "both",
        "in common",
        "another check only",
        "the shown check only",
        "two that agree",
        "one of two was not made elsewhere",
        "neither was made elsewhere",
        "the only one",
    ],
)
def test_a_hint_explains_the_message_that_it_stands_under(shown, others, ruled_out, hint):
    assert deciding.hint(shown, [shown, *others], lambda: ruled_out) == hint


@pytest.mark.parametrize(("factor", "alike"), [(1.0, True), (1.0 + 2**-23, True), (1.001, False)])
def test_a_model_that_differs_in_the_last_bit_is_recognised(factor: float, alike: bool):
    """As where a sum was taken by two threads: the mistake is the same."""
    model = toys.mlp()
    one = b"=" + codec.encode((model, 1))
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.mul_(factor)
    assert deciding.alike(one, b"=" + codec.encode((model, 1)), {}, {}) is alike
    assert not deciding.alike(one, b"=" + codec.encode([model, 1]), {}, {})


def test_exceptions_are_alike_by_their_type():
    space = worker.new_namespace()
    source = "def f(x):\n    raise (ValueError if x else KeyError)(x)\n"
    assert loading.run_cell({"source": source, "line": 1, "number": 990, "flags": 0}, space) is None
    replies = []
    ask = in_process(space)
    for given in (1, 2, 0):
        with pytest.raises(StudentRaised):
            Proxy(lambda call: replies.append(ask(call)) or replies[-1]).f(given)
    one, two, other = replies
    assert deciding.alike(one, two, {}, {})
    assert not deciding.alike(one, other, {}, {})


@pytest.mark.parametrize(
    ("failed", "score"),
    [((), 3.0), ((1,), 2.4), ((1, 4), 1.8), ((1, 2, 3, 4), 0.6), ((0,), 0.0), ((0, 1, 2, 3, 4), 0.0)],
    ids=["none", "one", "two", "all but the main one", "the main one", "all"],
)
def test_an_exercise_is_worth_its_points_times_the_share_of_its_checks_that_pass(failed, score):
    """Without the main check, which is the first one here, it is worth nothing."""
    known = [checks.Check(f"test_{at}", "", at == 0, False, print, ()) for at in range(5)]
    ended = [
        deciding.CheckVerdict(one.name, "failed" if at in failed else "passed", str(at)) for at, one in enumerate(known)
    ]
    verdict = deciding.ExerciseVerdict("f", "passed", 0.0, 3, checks=ended)
    decider = object.__new__(deciding.Decider)
    decider._sum_up(checks.Exercise("f", 3, object, known), verdict)
    assert (verdict.score, verdict.message) == (score, str(failed[0]) if failed else "")


HALF_WRITTEN = """class Layer:
    def __init__(self):
        {}
    def forward(self):
        # YOUR CODE HERE
        raise NotImplementedError()

def other():
    return Layer().forward()
"""


@pytest.mark.parametrize(
    ("start", "exercise", "outcome", "line"),
    [
        ("pass", "Layer", "needs another", "got    nothing: Layer.forward is not written yet"),
        ("raise NotImplementedError()", "Layer", "not started", "got    nothing yet"),
        ("pass", "other", "needs another", "got    nothing: it needs Layer first"),
    ],
    ids=["half written", "untouched", "used by another"],
)
def test_methods_that_are_not_written_yet(start, exercise, outcome, line):
    space = worker.new_namespace()
    cell = {"source": HALF_WRITTEN.format(start), "line": 1, "number": 950 + len(start), "flags": 0}
    assert loading.run_cell(cell, space) is None
    with pytest.raises(StudentRaised) as raised:
        Proxy(in_process(space)).other()
    assert told(raised.value, exercise) == (outcome, [line])


def test_a_known_mistake_is_called_by_its_sentence_and_a_right_answer_by_none():
    lesson = lessons.load("l2_data_types")
    judge, (known, *_) = Judge(lesson, "seed", None), slips_of(lesson.slips)
    wrong = judge.judge_function(known.exercise, vars(lesson.solution) | {known.exercise: known})
    right = judge.judge_function(known.exercise, vars(lesson.solution))
    assert (wrong.outcome, wrong.hint, right.outcome, right.hint) == ("failed", known.sentence, "passed", "")
