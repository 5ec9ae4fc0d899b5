"""`nbgrader autograde` grades a submission again when it, or the graders of its lesson, are other ones; and only then."""

from __future__ import annotations

import json
from pathlib import Path

import nbformat
import pytest

from graders.for_nbgrader import looking

LESSON = "l2_data_types"


@pytest.fixture
def graded(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> tuple[Path, Path]:
    """A submission's folder, and the notebook that was made of it by graders of version 1."""
    monkeypatch.setattr(looking, "graders_version", lambda lesson: "1")
    folder = tmp_path / "submitted/ann" / LESSON
    folder.mkdir(parents=True)
    (folder / f"{LESSON}.ipynb").write_text("{}")
    notebook = nbformat.v4.new_notebook()
    looking.note(notebook, folder)
    made = tmp_path / f"{LESSON}.ipynb"
    made.write_text(nbformat.writes(notebook))
    return folder, made


def test_nothing_changed(graded: tuple[Path, Path]) -> None:
    assert looking.why_again(*graded) == ""


def test_another_file(graded: tuple[Path, Path]) -> None:
    (graded[0] / f"{LESSON}.ipynb").write_text("{ }")
    assert looking.why_again(*graded) == "changed"


def test_other_graders(graded: tuple[Path, Path], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(looking, "graders_version", lambda lesson: "2")
    assert looking.why_again(*graded) == "the graders changed"


def test_a_course_of_older_graders_that_did_not_note_their_version(graded: tuple[Path, Path]) -> None:
    told = json.loads(graded[1].read_text())
    del told["metadata"]["graders"]["graders"]
    graded[1].write_text(json.dumps(told))
    assert looking.why_again(*graded) == "the graders changed"


def test_nothing_was_graded(graded: tuple[Path, Path]) -> None:
    graded[1].unlink()
    assert looking.why_again(*graded) == ""
