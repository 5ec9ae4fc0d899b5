"""`explain` prints the failing hidden input as a call that can be pasted: run on the same answer, it gives what was got."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from graders import ROOT, __main__, lessons
from graders.cohort import grading
from graders.followup.explain import explain
from tests.cohort.handed_in import L2, write

WRONG = "\n\ndef spacing(value, dtype):\n    return 0.25\n"


@pytest.fixture(scope="module")
def graded(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """The files and the output folder of a run in which Ann's `spacing` is wrong."""
    folder = tmp_path_factory.mktemp("class")
    solution = (ROOT / f"solutions/{L2}.py").read_text()
    files = write(folder / "in", {f"ann/{L2}.py": solution + WRONG, f"bob/{L2}.py": solution})
    grading.grade([files], folder / "out", "s")
    return files, folder / "out"


def call_of(text: str) -> str:
    """Return the part of a text that is a script."""
    return text[text.index("import torch") :].split("\n\ngot ")[0]


@pytest.mark.timeout(180)
def test_the_failing_input_is_a_call_to_paste(graded: tuple[Path, Path]) -> None:
    _, out = graded
    head, first, *_ = explain(out, "ann", "spacing", [])
    assert head.startswith("ann, spacing: failed, 0 of 2 points")
    assert ", the main one" in first
    assert "rule  " in first
    assert "compared exactly" in first
    given: list[Any] = []
    exec(call_of(first), {"spacing": lambda *args: given.append(args)})
    want: dict[str, Any] = {}
    exec((ROOT / f"solutions/{L2}.py").read_text(), want)
    assert f"want     {want['spacing'](*given[0])!r}" in first
    assert "got      0.25" in first


@pytest.mark.timeout(180)
def test_files_that_changed_or_moved_are_said(
    graded: tuple[Path, Path], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    files, out = graded
    other = write(tmp_path / "in", {f"ann/{L2}.py": (files / f"ann/{L2}.py").read_text() + "# more"})
    assert __main__.main(["explain", str(out), "ann", "spacing", "--from", str(other)]) == 0
    assert "other ones now" in capsys.readouterr().out
    assert __main__.main(["explain", str(out), "ann", "spacing", "--from", str(tmp_path / "nowhere")]) == 2
    assert "--from PATH" in capsys.readouterr().err


@pytest.mark.timeout(180)
def test_what_is_right_has_nothing_to_explain(graded: tuple[Path, Path]) -> None:
    assert list(explain(graded[1], "bob", "spacing", []))[1:] == [f"{L2}.py: every check passes now."]


@pytest.mark.parametrize(
    ("student", "exercise", "told"),
    [("zoe", "spacing", "no verdict on l2_data_types of zoe"), ("ann", "spacin", "there is no exercise spacin")],
)
def test_who_or_what_is_unknown_is_said(
    graded: tuple[Path, Path], student: str, exercise: str, told: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert __main__.main(["explain", str(graded[1]), student, exercise]) == 2
    assert told in (said := capsys.readouterr().err)
    assert said.count("\n") == 1


@pytest.mark.full
@pytest.mark.timeout(1800)
@pytest.mark.parametrize("lesson", lessons.names())
def test_every_exercise_of_every_lesson_can_be_explained(lesson: str, tmp_path: Path) -> None:
    """Each exercise gives None, in a submission of its own; each text must run with the reference in its place."""
    solution = (ROOT / f"solutions/{lesson}.py").read_text()
    names = lessons.exercises(lesson)
    wrong = {name: f"\n\ndef {name}(*args, **kwargs):\n    return None\n" for name in names}
    files = {f"{name}/{lesson}.py": solution + text for name, text in wrong.items()}
    grading.grade([write(tmp_path / "in", files)], tmp_path / "out", "s")
    space: dict[str, Any] = {"__name__": "pasted"}
    exec(compile(solution, lesson, "exec"), space)
    for name in names:
        texts = [text for text in explain(tmp_path / "out", name, name, []) if "import torch" in text]
        assert texts, name
        kept = dict(space)
        for text in texts:
            expects_an_error = "want     " in text and text.rstrip().endswith("Error")
            try:
                exec(call_of(text), dict(kept))
            except Exception:
                assert expects_an_error, text
