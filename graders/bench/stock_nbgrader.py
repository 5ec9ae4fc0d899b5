"""What one more submission costs in `nbgrader autograde`: through the judge, and with nbgrader's own Execute.

Both grade the same notebooks, with every exercise solved, in turns. The time of a submission is that between the ends of two
submissions of one command, so neither pays for its start. nbgrader's own command runs the public examples only (the hidden
tests are not in the notebook), the judge all hidden tests.
"""

from __future__ import annotations

import os
import shutil
import statistics
import subprocess
import sys
import tempfile
from itertools import pairwise
from pathlib import Path
from typing import Any

import nbformat

from graders import ROOT
from graders.for_nbgrader.course import course

LESSON = "l2_data_types"
ROUNDS = 2
STOCK, OURS = "nbgrader autograde, nbgrader's own Execute", "nbgrader autograde, through the judge"
SUBMISSIONS = {STOCK: 3, OURS: 9}  # in each round; the first one of a command is not counted
_PLAIN = """from pathlib import Path

c = get_config()
c.CourseDirectory.course_id = "quantization"
c.CourseDirectory.root = str(Path(__file__).resolve().parent)
c.Execute.timeout = 300
"""
_STAMP = """

def stamp(**given):
    import time

    with open("times.txt", "a") as file:
        file.write(f"{time.monotonic()}\\n")


c.Autograde.post_convert_hook = stamp
"""


def rows(lesson: str = LESSON) -> list[dict[str, Any]]:
    """Return two rows: milliseconds of one more submission, and the ratio to ours; medians of a few submissions."""
    with tempfile.TemporaryDirectory() as folder:
        made = {what: _course(Path(folder) / name, lesson) for what, name in ((STOCK, "stock"), (OURS, "ours"))}
        config = made[OURS] / "nbgrader_config.py"
        config.write_text(config.read_text(encoding="utf-8") + _STAMP, encoding="utf-8")
        (made[STOCK] / "nbgrader_config.py").write_text(_PLAIN + _STAMP, encoding="utf-8")
        times: dict[str, list[float]] = {STOCK: [], OURS: []}
        for number in range(ROUNDS):
            for what, taken in times.items():
                taken += _autograde(made[what], lesson, number, SUBMISSIONS[what])
    base = statistics.median(times[OURS])
    return [
        {
            "lesson": lesson,
            "what": what,
            "ms": 1000 * statistics.median(taken),
            "ratio": statistics.median(taken) / base,
            "rounds": len(taken),
        }
        for what, taken in reversed(times.items())
    ]


def _course(folder: Path, lesson: str) -> Path:
    """Write a course with one assignment, and a submission to copy."""
    course(folder, ROOT)
    _nbgrader(folder, "generate_assignment", lesson)
    source, release = (
        nbformat.read(folder / step / lesson / f"{lesson}.ipynb", as_version=4) for step in ("source", "release")
    )
    solutions = {cell.id: cell.source for cell in source.cells if cell.metadata.get("nbgrader", {}).get("solution")}
    for cell in release.cells:
        cell.source = solutions.get(cell.metadata.get("nbgrader", {}).get("grade_id"), cell.source)
    nbformat.write(release, folder / "solved.ipynb")
    return folder


def _autograde(folder: Path, lesson: str, number: int, count: int) -> list[float]:
    """Grade `count` new submissions in one command; return the seconds of each but the first."""
    shutil.rmtree(folder / "submitted", ignore_errors=True)
    for each in range(count):
        place = folder / "submitted" / f"s{number}_{each:03}" / lesson
        place.mkdir(parents=True)
        shutil.copy(folder / "solved.ipynb", place / f"{lesson}.ipynb")
    stamps = folder / "times.txt"
    stamps.unlink(missing_ok=True)
    _nbgrader(folder, "autograde", lesson)
    ends = [float(line) for line in stamps.read_text(encoding="utf-8").split()]
    return [after - before for before, after in pairwise(ends)]


def _nbgrader(folder: Path, *arguments: str) -> None:
    """Run an nbgrader command; nbgrader finds the program alembic on the PATH."""
    path = os.pathsep.join([str(Path(sys.executable).parent), os.environ.get("PATH", "")])
    command = [sys.executable, "-m", "nbgrader", *arguments]
    done = subprocess.run(command, cwd=folder, env={**os.environ, "PATH": path}, capture_output=True, text=True)
    if done.returncode != 0:
        raise RuntimeError(done.stdout + done.stderr)
