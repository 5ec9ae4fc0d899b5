"""Answers from outside are judged as they are, and the public check does not contradict the hidden tests."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from graders import lessons
from graders.trust import trials
from graders.trust.fairness import outside, public

LESSON = "l2_data_types"
LONG = [
    pytest.param(lesson, marks=pytest.mark.full) for lesson in lessons.names() if lesson != LESSON
]  # `trust` asks too
MISTAKES = [(lesson, case) for lesson in lessons.names() for case in outside.cases(lesson) if case.screen]


@pytest.fixture(autouse=True)
def as_before():
    """Wrong answers leave things behind."""
    yield
    torch.set_default_dtype(torch.float32)
    torch.set_grad_enabled(True)


@pytest.mark.timeout(600)
@pytest.mark.parametrize("lesson", [LESSON, *LONG])
def test_every_answer_from_outside_is_judged_as_it_is(lesson: str) -> None:
    judge = trials.judge_in_process(lessons.load(lesson))
    wrongly = [f"{case.exercise}, {case.name}" for case in outside.cases(lesson) if not outside.judged(judge, case)]
    assert wrongly == []


@pytest.mark.timeout(300)
def test_green_means_right_and_right_is_green() -> None:
    assert public.contradictions(LESSON) == {"right and red": [], "wrong and green": public.unseen(LESSON)}


@pytest.mark.timeout(300)
@pytest.mark.parametrize("lesson", [name for name in lessons.names() if name != LESSON])
def test_of_a_sample_what_is_right_is_green_and_what_is_wrong_red(lesson: str) -> None:
    found = public.contradictions(lesson, every=9)
    assert found["right and red"] == []
    assert set(found["wrong and green"]) <= set(public.unseen(lesson))


@pytest.mark.parametrize("lesson", LONG)
def test_whatever_is_right_is_green_and_what_is_wrong_and_green_is_listed(lesson: str) -> None:
    found = public.contradictions(lesson)
    assert found["right and red"] == []
    assert sorted(found["wrong and green"]) == sorted(public.unseen(lesson))


@pytest.mark.parametrize(("lesson", "case"), MISTAKES, ids=[f"{case.exercise}-{case.name}" for _, case in MISTAKES])
def test_a_mistake_is_red_and_its_message_helps(lesson: str, case: outside.Case) -> None:
    result = public.seen(lesson, case.exercise, case.space(lessons.load(lesson).solution))
    assert result.outcome == "wrong"
    assert case.screen in result.message


def test_every_case_says_where_it_comes_from() -> None:
    found = [case for lesson in lessons.names() for case in outside.cases(lesson)]
    assert {case.right for case in found} == {True, False}
    assert all(case.origin and case.text.startswith("# ") for case in found)


def test_a_file_that_names_no_exercise_is_refused(tmp_path: Path) -> None:
    folder = tmp_path / LESSON / "right"
    folder.mkdir(parents=True)
    (folder / "nobody.txt").write_text("x = 1\n")
    with pytest.raises(ValueError, match=r"nobody\.txt is not named"):
        list(outside.cases(LESSON, tmp_path))


@pytest.mark.parametrize(("count", "failures", "rate"), [(0, 0, None), (1, 0, 1.0), (100, 0, 0.03), (100, 1, None)])
def test_the_rule_of_three(count: int, failures: int, rate: float | None) -> None:
    assert outside.bound(count, failures) == rate
