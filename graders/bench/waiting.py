"""How long a student waits: for the answer to a save, and for the first verdict of the hidden tests.

`pytest exercises/LESSON --watch` is held against what is promised of it. `python -m graders judge FILE::EXERCISE` is held against
what the student's own run has to import, `import exercises.LESSON` in a new Python: what stands at the top of the lesson's file
(lesson 2: torch), and nothing of pytest. `python -m graders judge FILE` is held against that with the libraries that the lesson
works on (lesson 5 puts its layers into a model of transformers and compares them with quanto's, which its file does not import at
the top). Commands take turns; the recordings of earlier runs are there, as they are but for the first run on a machine, which has
a row of its own.
"""

from __future__ import annotations

import os
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

from graders import ROOT, lessons
from graders.bench.turns import interleaved, row

PROMISED = {"l2_data_types": 0.7, "l4_quantization_theory": 1.5}  # seconds
SAVES = 7
ROUNDS = 5
LESSONS = ("l2_data_types", "l4_quantization_theory", "l5_quantization_in_depth", "l7_quantization_methods")


def saves() -> list[dict[str, Any]]:
    """Return two rows per lesson: the promise, and the median of some saves; the ratio is to the promise."""
    found = []
    for lesson, seconds in PROMISED.items():
        middle = statistics.median(_saves(lesson))
        for what, each, rounds in (("promised from save to answer", seconds, 1), ("--watch", middle, SAVES)):
            found.append({"lesson": lesson, "what": what, "ms": 1000 * each, "ratio": each / seconds, "rounds": rounds})
    return found


def _saves(lesson: str) -> list[float]:
    with tempfile.TemporaryDirectory() as folder:
        shutil.copytree(
            ROOT / "exercises", Path(folder, "exercises"), ignore=shutil.ignore_patterns("__pycache__", ".*")
        )
        shutil.copy(ROOT / "pyproject.toml", folder)
        file = Path(folder, "exercises", f"{lesson}.py")
        command = [sys.executable, "-u", "-m", "pytest", f"exercises/{lesson}.py", "--watch"]
        kit = os.environ | {"PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1", "PYTEST_ADDOPTS": "-p pytest_timeout"}
        running = subprocess.Popen(
            command, cwd=folder, env=kit, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, bufsize=1
        )
        assert running.stdin is not None
        assert running.stdout is not None
        try:
            taken = []
            while "q quit" not in running.stdout.readline():
                pass
            for number in range(SAVES):
                time.sleep(1.0)  # as between two saves of a person; the next process waits by then
                text = file.read_text(encoding="utf-8")
                begun = time.perf_counter()
                file.write_text(f"{text}\n# save {number}\n", encoding="utf-8")
                while "q quit" not in running.stdout.readline():
                    pass
                taken.append(time.perf_counter() - begun)
                running.stdout.readline()  # "(0.3 s)"
            return taken
        finally:
            running.kill()
            running.wait()


def first_verdicts(names: tuple[str, ...] = LESSONS) -> list[dict[str, Any]]:
    """Return five rows a lesson: its imports and the verdict on one exercise, all imports and the verdict on all, and recording."""
    return [each for lesson in names for each in _rows(lesson)]


def _rows(lesson: str) -> list[dict[str, Any]]:
    file = ROOT / "solutions" / f"{lesson}.py"
    alone = f"import exercises.{lesson}"
    public = [library for library in lessons.libraries(lesson) if not library.startswith("graders.")]
    with tempfile.TemporaryDirectory() as cache:
        judge = partial(_run, cache, "-m", "graders", "judge")
        what: dict[str, Callable[[], None]] = {
            alone: partial(_run, cache, "-c", alone),
            "first verdict, one exercise": partial(judge, f"{file}::{lessons.exercises(lesson)[-1]}"),
            "imports of all exercises": partial(_run, cache, "-c", ", ".join([alone, *public])),
            "first verdict, all exercises": partial(judge, str(file)),
        }
        times = interleaved(what, ROUNDS)
    with tempfile.TemporaryDirectory() as cache:
        judge = partial(_run, cache, "-m", "graders", "judge", str(file))
        times["first verdict, all exercises, nothing recorded"] = interleaved({"": judge}, 1, warm=False)[""]
    few, every = (statistics.median(times[name]) for name in (alone, "imports of all exercises"))
    return [row(lesson, name, taken, every if "all exercises" in name else few) for name, taken in times.items()]


def _run(cache: str, *arguments: str) -> None:
    environment = os.environ | {"XDG_CACHE_HOME": cache}
    subprocess.run([sys.executable, *arguments], cwd=ROOT, env=environment, check=True, capture_output=True)
