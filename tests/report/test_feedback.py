"""What students read of a message: values that belong to hidden inputs are not in it."""

from __future__ import annotations

import pytest

from graders.report.feedback import HIDDEN, public, told

DESCRIBED = "downcast(tensor, torch.float16), tensor is float32 of shape (4,), values from -3 to 1"
PRINTED = "downcast(tensor([1.0, 2.0]), torch.float16)"


@pytest.mark.parametrize(
    ("want", "shown"),
    [
        ("tensor([0.5, 0.25])", HIDDEN),
        ("0.0078125", HIDDEN),
        ("float 0.0078125", f"a float; {HIDDEN}"),
        ("Tensor, tensor([1.0])", f"a Tensor; {HIDDEN}"),
        ("'one hundred'", HIDDEN),
        ("True", HIDDEN),
        ("dtype torch.float16", "dtype torch.float16"),
        ("shape (3, 4)", "shape (3, 4)"),
        ("ValueError", "ValueError"),
    ],
)
def test_the_wanted_value_of_a_hidden_input_is_not_shown(want: str, shown: str) -> None:
    message = f"{DESCRIBED}\n  got    tensor([9.0])\n  want   {want}\n  rule   It is rounded."
    lines = public(message).split("\n")
    assert lines == [DESCRIBED, "  got    tensor([9.0])", f"  want   {shown}", "  rule   It is rounded."]


def test_the_wanted_value_is_shown_where_every_argument_is_printed() -> None:
    message = f"{PRINTED}\n  got    tensor([9.0])\n  want   tensor([0.5, 0.25])"
    assert public(message) == message


def test_one_argument_that_is_described_hides_the_wanted_value() -> None:
    message = "cast(tensor([1.0]), model), model is the kit's mlp\n  got    1.5\n  want   2.5"
    assert public(message).split("\n")[2] == f"  want   {HIDDEN}"


@pytest.mark.parametrize(
    ("outcome", "score", "passed", "said"),
    [
        ("passed", 2.0, 2, "2 of 2 points: right"),
        ("failed", 1.0, 1, "1 of 2 points: 1 of 2 checks passed"),
        ("failed", 0.0, 1, "0 of 2 points: 1 of 2 checks passed, but not the main one"),
        ("failed", 0.0, 0, "0 of 2 points: not right yet"),
        ("error", 1.0, 1, "1 of 2 points: ended in an error; 1 of 2 checks passed"),
        ("timeout", 1.0, 1, "1 of 2 points: took too long; 1 of 2 checks passed"),
        ("not started", 0.0, 0, "0 of 2 points: not started"),
    ],
)
def test_the_first_line_says_how_an_exercise_ended(outcome: str, score: float, passed: int, said: str) -> None:
    checks = [{"name": "c", "outcome": "passed" if at < passed else outcome, "message": ""} for at in range(2)]
    exercise = {"name": "f", "outcome": outcome, "message": "", "hint": "", "checks": checks}
    assert told(exercise, score, 2.0).split("\n")[0] == said
