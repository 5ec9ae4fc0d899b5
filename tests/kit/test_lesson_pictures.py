"""The picture at the end of each lesson, drawn with the functions of a lesson's file: here with the solutions."""

import importlib
from pathlib import Path
from types import SimpleNamespace

import pytest

from exercises.kit.checking import loading
from exercises.kit.lesson_pictures import DRAWINGS, LEARNT
from exercises.kit.lessons import KitError, lessons
from exercises.kit.studying import finishing

CASES = [(lesson, needed, draw) for lesson, found in DRAWINGS.items() for needed, draw in found]
pytestmark = pytest.mark.timeout(120)


def test_every_lesson_has_a_sentence_and_a_picture() -> None:
    assert set(LEARNT) == set(DRAWINGS) == set(lessons())
    for lesson, needed, _ in CASES:
        assert set(needed) <= {exercise.name for exercise in lessons()[lesson].exercises}


@pytest.mark.parametrize(("lesson", "needed", "draw"), CASES, ids=[draw.__name__ for *_, draw in CASES])
def test_a_picture_is_drawn_with_what_it_needs_and_nothing_else(lesson, needed, draw) -> None:
    space = vars(importlib.import_module(f"solutions.{lesson}"))
    figure = draw({name: space[name] for name in needed})
    assert figure.alt.endswith(".")
    assert figure.axes[0].get_xlabel()


def test_the_core_is_praised_once() -> None:
    core = [each.name for each in lessons()["l2_data_types"].exercises if each.core]
    entries = [{"lesson": "l2_data_types", "name": name, "outcome": "passed"} for name in core]
    (told,) = finishing.learnt(entries, [f"l2_data_types::{core[-1]}"])
    assert told.startswith("l2_data_types, core done: exponent bits buy range")
    assert finishing.learnt(entries, []) == finishing.learnt(entries, ["l2_data_types::spacing"]) == []
    assert finishing.learnt(entries[1:], [f"l2_data_types::{core[-1]}"]) == []


def test_what_is_missing_for_a_picture_is_named() -> None:
    with pytest.raises(KitError, match=r"The picture of l2_data_types needs downcast_error first\."):
        finishing.drawn("l2", 10.0)
    with pytest.raises(KitError, match="There is no lesson l99"):
        finishing.drawn("l99", 10.0)


def test_an_answer_that_is_right_on_the_examples_alone_may_fail_the_picture(tmp_path: Path, monkeypatch) -> None:
    text = "def spacing(value, dtype):\n    raise OSError('not for this one')\n"
    (tmp_path / "l2_data_types.py").write_text(text)
    monkeypatch.setattr(loading, "result_of", lambda *_: SimpleNamespace(outcome="passed"))
    with pytest.raises(KitError, match="Your spacing did not get through the picture: OSError: not for this one"):
        finishing.drawn("l2_data_types", 10.0, tmp_path)
