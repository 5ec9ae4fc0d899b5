"""What does not agree is refused by `derive` with one sentence and the line."""

from __future__ import annotations

from pathlib import Path

import pytest

from graders import ROOT
from graders.authoring.agreement import check_agreement
from graders.authoring.derive import derive
from graders.authoring.source import LessonError, read_lessons
from tests.authoring.small_project import HIDDEN, LESSON, SLIPS, write_project


@pytest.fixture
def project(tmp_path: Path) -> Path:
    return write_project(tmp_path)


FAULTS = {
    "a class without exercise": (
        {"test_l9_small.py": HIDDEN.replace("TestHalf", "TestThird")},
        "test_l9_small.py:14: TestThird judges third, which l9_small.py lacks",
    ),
    "an exercise without class": (
        {"test_l9_small.py": HIDDEN[: HIDDEN.index("class TestHalf")]},
        "l9_small.py:44: half has no class of hidden tests in test_l9_small.py",
    ),
    "no main check": (
        {"test_l9_small.py": HIDDEN.replace("    @main\n    def test_twice", "    def test_twice")},
        "test_l9_small.py:6: TestDouble has no main checks (@main); it needs one",
    ),
    "two main checks": (
        {"test_l9_small.py": HIDDEN + "\n    @main\n    def test_again(self, student): pass\n"},
        "test_l9_small.py:14: TestHalf has 2 main checks (@main); it needs one",
    ),
    "a slip of an unknown exercise": (
        {"slips.py": SLIPS.replace('slip("half", "two slips that agree: one")', 'slip("third", "odd")')},
        "slips.py:19: a slip for third, which l9_small.py lacks",
    ),
    "a wheat of an unknown exercise": (
        {"wheats.py": '@wheat("third")\ndef third(x): pass\n'},
        "wheats.py:1: a wheat for third, which l9_small.py lacks",
    ),
    "an example that the solution does not give": (
        {"../../../solutions/l9_small.py": LESSON.replace("tensor([2., 6.])", "tensor([2., 7.])", 1)},
        "l9_small.py:24: an example of double is not what the solution gives",
    ),
    "no hidden tests at all": ({"test_l9_small.py": None}, "l9_small.py has no hidden tests"),
}


@pytest.mark.parametrize("name", FAULTS)
def test_derive_refuses(name: str, project: Path) -> None:
    files, told = FAULTS[name]
    for file, text in files.items():
        path = project / "graders" / "lessons" / "l9_small" / file
        path.unlink() if text is None else path.write_text(text)
    before = {path: path.read_bytes() for path in (project / "exercises").rglob("*") if path.is_file()}
    with pytest.raises(LessonError) as refused:
        derive(project)
    assert str(refused.value).startswith(told)
    assert "\n" not in str(refused.value)
    assert before == {path: path.read_bytes() for path in (project / "exercises").rglob("*") if path.is_file()}


def test_the_real_lessons_agree() -> None:
    for lesson in read_lessons(ROOT):
        check_agreement(lesson)
