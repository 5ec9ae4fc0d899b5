"""What grading costs: one more submission in the judge, against one more plain pytest run of the same hidden tests.

The row on a submission with half of its answers wrong is to be held against that of a right one, not the floor.
Every row is a median over rounds in which all rows take turns, so that a busy machine slows them alike; only ratios of one
run say anything, and a group's ratios are to its first row. The floor is `pytest.main` with its defaults, once per
submission, on the same hidden tests, in a warm process that calls the student's module directly: no isolation, no limits,
no protection.
"""

from __future__ import annotations

import contextlib
import io
import itertools
import json
import os
import random
import statistics
import subprocess
import sys
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from rich.console import Console
from rich.table import Table

from graders import ROOT, lessons
from graders.bench import stock_nbgrader, waiting
from graders.bench.direct import SEED, Direct, Floor
from graders.bench.mistaken import half_wrong
from graders.bench.turns import interleaved, row
from graders.cohort.judging import Bench
from graders.cohort.submissions import Submission
from graders.judge import checks

ROUNDS = 15
COLD_ROUNDS = 2


def bench(output: Path | None = None) -> int:
    """Measure every lesson and nbgrader, print a table, and write `bench.json` into `output`; return the exit status."""
    rows = (
        [row for lesson in lessons.names() for row in measure(lesson)]
        + _imports()
        + waiting.first_verdicts()
        + waiting.saves()
        + stock_nbgrader.rows()
    )
    table = Table(box=None, pad_edge=False, header_style="bold")
    for name in ("lesson", "what", "ms", "ratio", "rounds"):
        table.add_column(name, justify="left" if name in ("lesson", "what") else "right")
    for each in rows:
        if each["ratio"] == 1:
            table.add_section()
        table.add_row(each["lesson"], each["what"], f"{each['ms']:.1f}", f"{each['ratio']:.2f}", str(each["rounds"]))
    Console().print(table)
    if output is not None:
        output.mkdir(parents=True, exist_ok=True)
        (output / "bench.json").write_text(json.dumps(rows, indent=1))
    return 0


def measure(lesson: str) -> list[dict[str, Any]]:
    """Return the rows of one lesson: milliseconds per submission, and the ratio to the floor."""
    tests = lessons.hidden_tests(lesson)
    file = ROOT / "solutions" / f"{lesson}.py"
    submission = Submission("bench", lesson, file.name, file.read_bytes())
    floor, judges = Floor(lesson), Bench(SEED)
    exercises = checks.collect(tests)
    options = ["--noconftest", "-c", str(ROOT / "pyproject.toml"), "-o", "addopts=--import-mode=importlib", str(tests)]

    def plain() -> None:
        floor.load(file)
        with contextlib.redirect_stdout(io.StringIO()) as told:
            status = pytest.main(options, plugins=[floor])
        if status != 0:
            raise RuntimeError(told.getvalue())

    def without_pytest() -> None:
        floor.load(file)
        for exercise in exercises:
            for check in exercise.checks:
                for case in check.cases:
                    exercise.run(check, case, SEED, Direct(floor.space), floor._reference)

    dice = random.Random(0)
    halves = itertools.cycle(Submission("bench", lesson, file.name, half_wrong(lesson, dice)) for _ in range(6))

    def half_of_it() -> None:
        judges.grade(next(halves))

    def judged() -> None:
        verdict = judges.grade(submission)
        if verdict["score"] != verdict["max_score"]:
            raise RuntimeError(f"{lesson}: the solutions do not get full marks")

    what: dict[str, Callable[[], None]] = {
        "floor: pytest.main, module called directly": plain,
        "judge: in workers": judged,
        "judge: in workers, half of the answers wrong": half_of_it,
        "no pytest, module called directly": without_pytest,
    }
    try:
        times = interleaved(what, ROUNDS)
    finally:
        judges.close()
    times["cold pytest process with the judge"] = [_cold(tests, file) for _ in range(COLD_ROUNDS)]
    base = statistics.median(next(iter(times.values())))
    return [row(lesson, name, taken, base) for name, taken in times.items()]


def _cold(tests: Path, file: Path) -> float:
    begun = time.perf_counter()
    command = [sys.executable, "-m", "pytest", "-q", str(tests), f"--submission={file}", "-o", "timeout=600"]
    subprocess.run(command, cwd=ROOT, check=True, capture_output=True)
    return time.perf_counter() - begun


def _imports() -> list[dict[str, Any]]:
    """Return what the student's own command costs, against importing what it needs."""
    kit = dict(os.environ, PYTEST_DISABLE_PLUGIN_AUTOLOAD="1", PYTEST_ADDOPTS="-p pytest_timeout")
    first = ["exercises/l2_data_types.py"]
    pairs = [("import torch", first), ("import torch, transformers, optimum.quanto", ["exercises/"])]
    rows = []
    for statement, arguments in pairs:

        def run(command: list[str]) -> None:
            subprocess.run(command, cwd=ROOT, env=kit, capture_output=True)

        imports, student = [sys.executable, "-c", statement], [sys.executable, "-m", "pytest", *arguments]
        name = f"pytest {arguments[0]}, untouched"
        times = interleaved({statement: partial(run, imports), name: partial(run, student)}, 5)
        base = statistics.median(times[statement])
        rows += [row("", what, taken, base) for what, taken in times.items()]
    return rows
