"""Would the tests notice a fault in the graders' own code? `python -m graders.bench.mutation DIR`.

Draws mutants of what judges, reads answers, grades classes and shows messages, as cosmic-ray makes them, and runs the quick tests
of their rooms on each, in a clone of the repository. `DIR/session.sqlite` is a session of cosmic-ray, which `cr-report` and
`cr-html` read; a run that was stopped goes on. The mutant stands in the file, so that workers and judging processes have it too.
"""

from __future__ import annotations

import argparse
import ast
import contextlib
import difflib
import importlib
import json
import math
import multiprocessing
import os
import random
import re
import subprocess
import sys
import time
from collections import Counter, defaultdict
from collections.abc import Iterator
from itertools import accumulate
from pathlib import Path
from types import ModuleType

import psutil
import pytest
from cosmic_ray import plugins
from cosmic_ray.commands import init
from cosmic_ray.mutating import use_mutation
from cosmic_ray.work_db import use_db
from cosmic_ray.work_item import MutationSpec, TestOutcome, WorkerOutcome, WorkItem, WorkResult

from graders import ROOT
from graders.errors import Problem

_KIT = [f"tests/kit/test_{name}.py" for name in ("closeness", "examples", "left_behind", "properties", "showing")]
_SCREEN = ["tests/kit/test_lines.py", "tests/kit/test_screen.py"]
_PAGES = [
    *(f"tests/report/test_{name}.py" for name in ("feedback", "handed_back")),
    "tests/for_nbgrader/test_feedback_page.py",
]
_GRADING = [f"tests/cohort/test_{name}.py" for name in ("regrade", "spread", "choosing")]
# What is mutated, and the tests of its room; the first name that fits a module counts.
TESTS = {
    "graders/wire": ["tests/wire", "tests/judge", "tests/collecting/test_attempt.py"],
    "graders/judge": ["tests/judge", "tests/collecting/test_attempt.py", "tests/collecting/test_together.py"],
    "graders/cohort/grading.py": _GRADING,
    "graders/cohort/judging.py": _GRADING,
    "graders/cohort/verdicts.py": _GRADING,
    "graders/cohort/spread/cluster.py": ["tests/cohort/test_cluster.py"],
    "graders/cohort/spread/power.py": ["tests/cohort/test_power.py"],
    "graders/cohort/spread": _GRADING,
    "graders/cohort/own.py": [f"tests/cohort/test_{name}.py" for name in ("own", "one_file")],
    "graders/cohort": [f"tests/cohort/test_{name}.py" for name in ("choosing", "layouts", "platforms", "handed_in")],
    "graders/report/feedback.py": _PAGES,
    "graders/for_nbgrader/feedback.py": _PAGES,
    "exercises/kit/checking/screen.py": _SCREEN,
    "exercises/kit/checking/alarm.py": _SCREEN,
    "exercises/kit/checking/loading.py": _SCREEN,
    "exercises/kit/checking": _KIT,
}
QUICK = 15.0  # seconds that the tests take together which are run on every mutant
LIMIT = 180.0  # seconds after which the tests of a mutant are ended: it hangs
# Nearly always the same program: `==` for `is`, and the other way round.
SAME = re.compile(r"core/ReplaceComparisonOperator_(.*_Is(Not)?|Is(Not)?_.*)$")
# Imported once, before the forks.
LIBRARIES = (
    "torch",
    "transformers",
    "optimum.quanto",
    "hypothesis",
    "distributed",
    "nbgrader.apps",
    "matplotlib.pyplot",
)


def modules(path: Path) -> list[Path]:
    """Return a module, or all modules of a folder."""
    return list(path.rglob("*.py")) if path.is_dir() else [path]


def sample(tree: Path, count: int, seed: str) -> Iterator[WorkItem]:
    """Yield mutants of `count` different places of the modules in `TESTS`, the same ones for the same seed and code."""
    paths = sorted({path for name in TESTS for path in modules(tree / name)})
    with use_db(":memory:") as everything:
        init(paths, everything, {})
        places = defaultdict(list)
        for item in everything.work_items:
            (made,) = item.mutations
            if not SAME.match(made.operator_name):
                places[str(made.module_path), made.start_pos, made.end_pos].append(made)
    annotated = {str(path): list(unread(path)) for path in paths}
    dice = random.Random(seed)
    kept = sorted(place for place in places if not any(begin <= place[1] < end for begin, end in annotated[place[0]]))
    for number, place in enumerate(dice.sample(kept, min(count, len(kept)))):
        yield WorkItem.single(f"{number:04}", dice.choice(sorted(places[place], key=lambda made: made.operator_name)))


def unread(path: Path) -> Iterator[tuple[tuple[int, int], tuple[int, int]]]:
    """Yield where annotations begin and end, as (line, column): nothing runs there."""
    for node in ast.walk(ast.parse(path.read_text())):
        for found in (getattr(node, "annotation", None), getattr(node, "returns", None)):
            if found is not None:
                yield (found.lineno, found.col_offset), (found.end_lineno, found.end_col_offset)


class Noted:
    """Plugin of pytest that notes how long each test takes; infinite for one that fails.

    What a test's fixtures took counts for all tests behind it in its file, since without it another one makes them.
    """

    def __init__(self, note: Path) -> None:
        self.note = note
        self.took: dict[str, float] = {}
        self.made: dict[str, float] = {}

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        file = report.nodeid.partition("::")[0]
        if report.when == "setup":
            self.made[file] = max(self.made.get(file, 0.0), report.duration)
            self.took[report.nodeid] = self.made[file]
        elif report.when == "call":
            self.took[report.nodeid] += report.duration
        if report.failed:
            self.took[report.nodeid] = math.inf

    def pytest_sessionfinish(self) -> None:
        self.note.write_text(json.dumps(self.took))


class Quick:
    """Plugin of pytest that leaves out all but the quickest tests, and begins with the files that take least."""

    def __init__(self, took: dict[str, float]) -> None:
        quickest = sorted(took, key=lambda test: took[test])
        together = accumulate(took[test] for test in quickest)
        self.chosen = {test for test, seconds in zip(quickest, together, strict=True) if seconds < QUICK}
        self.files: dict[str, float] = defaultdict(float)
        for test in self.chosen:
            self.files[test.partition("::")[0]] += took[test]

    def pytest_collection_modifyitems(self, items: list[pytest.Item]) -> None:
        items[:] = [item for item in items if item.nodeid in self.chosen]
        items.sort(key=lambda item: self.files[item.nodeid.partition("::")[0]])


def run_tests(
    tree: Path, tests: list[str], plugin: Noted | Quick, log: Path, seconds: float | None = None
) -> int | None:
    """Run tests of a clone in a fork of this process, which has the libraries. Returns pytest's status, None after `seconds`."""
    forked = multiprocessing.get_context("fork").Process(target=_tested, args=(tree, tests, plugin, log))
    forked.start()
    forked.join(seconds)
    if forked.is_alive():
        for process in [*psutil.Process(forked.pid).children(recursive=True), forked]:
            with contextlib.suppress(psutil.NoSuchProcess):
                process.kill()
        forked.join()
        return None
    return forked.exitcode


def _tested(tree: Path, tests: list[str], plugin: Noted | Quick, log: Path) -> None:
    os.setsid()
    with log.open("wb") as file:
        os.dup2(file.fileno(), 1)
        os.dup2(file.fileno(), 2)
    os.chdir(tree)
    os.environ |= {
        "PYTHONPATH": str(tree),
        "XDG_CACHE_HOME": str(tree.parent / "cache"),
        "PYTHONDONTWRITEBYTECODE": "1",
    }
    sys.dont_write_bytecode = isinstance(plugin, Quick)
    sys.path[:] = [str(tree), *(path for path in sys.path if path not in ("", str(ROOT)))]
    for name in [name for name in sys.modules if name.split(".")[0] in ("graders", "exercises", "solutions")]:
        del sys.modules[name]
    sys.modules["__main__"] = ModuleType("__main__")  # processes that the tests start would import this one
    sys.exit(
        pytest.main(
            [
                "-xq" if isinstance(plugin, Quick) else "-q",
                "-p",
                "no:cacheprovider",
                "-m",
                "not full and not alone",
                *tests,
            ],
            plugins=[plugin],
        )
    )


def result(tree: Path, mutant: MutationSpec, tests: list[str], took: dict[str, float], log: Path) -> WorkResult:
    """Run the quick tests on a mutant."""
    operator = plugins.get_operator(mutant.operator_name)(**mutant.operator_args)
    try:
        with use_mutation(mutant.module_path, operator, mutant.occurrence) as (before, after):
            status = run_tests(tree, tests, Quick(took), log, LIMIT)
    except AttributeError as error:  # cosmic-ray 8.7 replaces no exception whose name has a dot
        return WorkResult(WorkerOutcome.EXCEPTION, output=str(error), test_outcome=TestOutcome.INCOMPETENT)
    name = str(mutant.module_path.relative_to(tree))
    return WorkResult(
        worker_outcome=WorkerOutcome.NORMAL,
        output="timeout" if status is None else log.read_text(errors="replace"),
        test_outcome=TestOutcome.SURVIVED if status == 0 else TestOutcome.KILLED,
        diff="\n".join(difflib.unified_diff(before.splitlines(), after.splitlines(), name, name, lineterm="")),
    )


def timed(tree: Path, name: str) -> dict[str, float]:
    """Return the seconds of each test of a room, run once without any mutant; infinite for one that fails."""
    room = "-".join(re.findall(r"\w+", " ".join(TESTS[name])))[:80]
    note, log = tree.parent / f"{room}.json", tree.parent / f"{room}.log"
    if not note.exists() and run_tests(tree, TESTS[name], Noted(note), log) != 0:
        print(f"without any mutant tests of {name} fail, which are left out: {log}", flush=True)
    return json.loads(note.read_text())


def run(folder: Path, count: int, seed: str, hours: float) -> None:
    """Draw the sample, if `folder` has none, and run the tests on what was not tried, until the time is up."""
    if folder.resolve().is_relative_to(ROOT):
        raise Problem(f"{folder} is inside the repository; choose a folder outside of it")
    folder.mkdir(parents=True, exist_ok=True)
    ends = time.monotonic() + 3600 * hours
    tree, session = folder.resolve() / "tree", folder / "session.sqlite"
    if not tree.exists():
        subprocess.run(["git", "clone", "-q", ROOT, tree], check=True)
    subprocess.run(["git", "-C", tree, "checkout", "-q", "."], check=True)  # a run that was killed leaves its mutant
    with use_db(session) as db:
        if not db.num_work_items:
            db.add_work_items(sample(tree, count, seed))
        for name in LIBRARIES:
            importlib.import_module(name)
        for item in sorted(db.pending_work_items, key=lambda item: item.job_id):
            if time.monotonic() > ends:
                print("the time is up; the same command goes on")
                break
            (mutant,) = item.mutations
            path = mutant.module_path.relative_to(tree).as_posix()
            name = next(name for name in TESTS if path == name or path.startswith(f"{name}/"))
            begun = time.monotonic()
            found = result(tree, mutant, TESTS[name], timed(tree, name), folder / "tests.log")
            db.set_result(item.job_id, found)
            outcome = str(found.test_outcome.value)
            where = f"{path}:{mutant.start_pos[0]}"
            print(
                f"{item.job_id}  {outcome:8}  {time.monotonic() - begun:5.1f} s  {where}  {mutant.operator_name}",
                flush=True,
            )
        ends_of = Counter(found.test_outcome for _, found in db.results)
        print(f"{ends_of[TestOutcome.KILLED]} killed, {ends_of[TestOutcome.SURVIVED]} survived: `cr-html {session}`")


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m graders.bench.mutation", description=__doc__)
    parser.add_argument("folder", type=Path, metavar="DIR")
    parser.add_argument("--count", type=int, default=300, help="mutants, each of another place")
    parser.add_argument("--seed", default="0", help="another one draws others")
    parser.add_argument("--hours", type=float, default=2.0)
    arguments = parser.parse_args()
    try:
        run(arguments.folder, arguments.count, arguments.seed, arguments.hours)
    except Problem as problem:
        sys.exit(str(problem))


if __name__ == "__main__":
    main()
