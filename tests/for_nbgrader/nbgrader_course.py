"""An nbgrader course in a folder, its commands, and what is in its gradebook."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

from nbgrader.api import Gradebook

from graders import ROOT
from graders.for_nbgrader.course import course
from tests.for_nbgrader.nbgrader_samples import Samples

LESSON = "l2_data_types"


def nbgrader(folder: Path, *arguments: str, fails: bool = False) -> str:
    """Run an nbgrader command in a course; return what it said. It must fail if `fails`, and not otherwise."""
    environment = {**os.environ, "HOME": str(folder.parent), "JUPYTER_PREFER_ENV_PATH": "1"}
    environment["PATH"] = os.pathsep.join([str(Path(sys.executable).parent), environment["PATH"]])
    command = [sys.executable, "-m", "nbgrader", *arguments]
    done = subprocess.run(
        command, cwd=folder, env=environment, capture_output=True, text=True, timeout=1500, check=False
    )
    told = done.stdout + done.stderr
    assert (done.returncode != 0) == fails, told[-4000:]
    return told


def new_course(folder: Path, *lessons: str) -> Path:
    """Write a course and generate the assignments of some lessons."""
    course(folder, ROOT)
    for lesson in lessons:
        nbgrader(folder, "generate_assignment", lesson)
    return folder


def notebook(folder: Path, step: str, lesson: str = LESSON) -> dict[str, Any]:
    """A notebook of `source/` or `release/`, its sources as strings."""
    found = json.loads((folder / step / lesson / f"{lesson}.ipynb").read_text(encoding="utf-8"))
    for cell in found["cells"]:
        cell["source"] = "".join(cell["source"])
    return found


def samples(folder: Path) -> Samples:
    """Samples for the assignment that was generated in a course."""
    return Samples(notebook(folder, "release"), notebook(folder, "source"))


def hand_in(folder: Path, student: str, data: bytes, lesson: str = LESSON) -> Path:
    """Put a submission where nbgrader collects them; return its file."""
    path = folder / "submitted" / student / lesson / f"{lesson}.ipynb"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(data)
    return path


def rows(folder: Path, lesson: str = LESSON) -> dict[str, dict[str, tuple[float | None, bool]]]:
    """The gradebook: student -> cell -> (automatic score, whether a person must look)."""
    with Gradebook(f"sqlite:///{folder / 'gradebook.db'}") as gradebook:
        return {
            found.student.id: {
                grade.name: (grade.auto_score, grade.needs_manual_grade)
                for each in found.notebooks
                for grade in each.grades
            }
            for found in gradebook.assignment_submissions(lesson)
        }


def exercise_scores(row: dict[str, tuple[float | None, bool]]) -> dict[str, float | None]:
    """The automatic scores by exercise."""
    return {name.removeprefix("test_"): score for name, (score, _) in row.items() if name.startswith("test_")}
