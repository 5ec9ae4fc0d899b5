"""How long the first verdict of `python -m graders judge FILE` takes, against what the student's own run has to import.

That is `import exercises.LESSON` in a new Python: the imports at the top of the lesson's file (lesson 2: torch), and nothing of
pytest. All commands take turns. The recordings of earlier runs are there, as they are but for the first run on a machine, which
has a row of its own.
"""

from __future__ import annotations

import os
import statistics
import subprocess
import sys
import tempfile
from collections.abc import Callable
from functools import partial
from typing import Any

from graders import ROOT, lessons
from graders.bench.turns import interleaved, row

ROUNDS = 5
LESSONS = ("l2_data_types", "l4_quantization_theory", "l5_quantization_in_depth", "l7_quantization_methods")


def rows(names: tuple[str, ...] = LESSONS) -> list[dict[str, Any]]:
    """Return four rows a lesson: the imports, the verdict on one exercise, on all, and on all where nothing was recorded."""
    return [each for lesson in names for each in _rows(lesson)]


def _rows(lesson: str) -> list[dict[str, Any]]:
    file = ROOT / "solutions" / f"{lesson}.py"
    with tempfile.TemporaryDirectory() as cache:
        judge = partial(_run, cache, "-m", "graders", "judge")
        what: dict[str, Callable[[], None]] = {
            f"import exercises.{lesson}": partial(_run, cache, "-c", f"import exercises.{lesson}"),
            "first verdict, one exercise": partial(judge, f"{file}::{lessons.exercises(lesson)[-1]}"),
            "first verdict, all exercises": partial(judge, str(file)),
        }
        times = interleaved(what, ROUNDS)
    with tempfile.TemporaryDirectory() as cache:
        judge = partial(_run, cache, "-m", "graders", "judge", str(file))
        times["first verdict, all exercises, nothing recorded"] = interleaved({"": judge}, 1, warm=False)[""]
    base = statistics.median(next(iter(times.values())))
    return [row(lesson, name, taken, base) for name, taken in times.items()]


def _run(cache: str, *arguments: str) -> None:
    environment = os.environ | {"XDG_CACHE_HOME": cache}
    subprocess.run([sys.executable, *arguments], cwd=ROOT, env=environment, check=True, capture_output=True)
