"""How long `pytest exercises/LESSON --watch` takes from a save to its answer, against what is promised of it."""

from __future__ import annotations

import os
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

from graders import ROOT

PROMISED = {"l2_data_types": 0.7, "l4_quantization_theory": 1.5}  # seconds
SAVES = 7


def rows() -> list[dict[str, Any]]:
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
