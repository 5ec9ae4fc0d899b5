"""The verdict on one's own files, soon: what `python -m graders judge` does.

To load the libraries takes longer than all else, and both who decides and the workers need them. So the command starts a process
that loads them once, as a zygote does and with a zygote's environment, and then forks: the child is the zygote, and the parent
goes on as the one that decides. Hidden tests, solutions and the rest of the environment come into the parent behind the fork.
"""

from __future__ import annotations

import contextlib
import gc
import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any, TextIO

from graders import ROOT, lessons
from graders.collecting import starting
from graders.collecting.processes import Zygote
from graders.errors import Problem, exit_status
from graders.judge import kept

_SEED = "one's own"


def judge(named: list[str], later: TextIO | None = None) -> int:
    """Print the verdict on each exercise of one's own files, as JSON lines (see `judged`); return the exit status.

    later: what is to be judged comes from there, a line each, while what `named` needs is loaded.
    """
    path, only = next(iter(_wanted(named).items()))
    libraries = _libraries(path, only)
    scratch = tempfile.mkdtemp(prefix="graders-")
    code = (
        f"import sys; sys.path.insert(0, {str(ROOT)!r}); from graders.cohort.own import serve; "
        f"serve({libraries!r}, {kept.hidden()!r}, {scratch!r})"
    )
    command, environment = [sys.executable, "-P", "-c", code], starting.environment(scratch)
    try:
        with subprocess.Popen(command, env=environment, cwd=scratch, stdin=subprocess.PIPE, encoding="utf-8") as run:
            named = later.read().splitlines() if later else named
            run.communicate(json.dumps({"named": named, "environment": dict(os.environ), "folder": os.getcwd()}))
            return run.returncode
    finally:
        starting.remove(scratch)


def serve(libraries: tuple[str, ...], hidden: tuple[str, ...], scratch: str) -> None:
    """Load libraries, fork the zygote, then judge what is named on the standard input; ends this process."""
    status = 130
    with contextlib.suppress(KeyboardInterrupt):  # which the command itself tells of
        status = exit_status(lambda: _judge(libraries, hidden, scratch))
    os._exit(status)  # Python would take a tenth of a second to clear torch away


def _judge(libraries: tuple[str, ...], hidden: tuple[str, ...], scratch: str) -> int:
    from graders.worker import zygote

    zygote.preload(list(libraries))
    gc.freeze()
    forked = Zygote(libraries, hidden, starting.Forks(scratch))
    forked.begin()
    asked = sys.stdin.read()
    if not asked:  # the command was ended, before it knew what to judge
        forked.close()
        return 0
    told = json.loads(asked)
    os.environ.clear()
    os.environ.update(told["environment"])
    os.chdir(told["folder"])
    for verdict in judged(told["named"], _SEED, forked):
        print(json.dumps(verdict), flush=True)
    return 0


def judged(named: list[str], seed: str, zygote: Zygote | None = None) -> Iterator[dict[str, Any]]:
    """Yield the verdict on each exercise of one's own files, named as pytest does: FILE, or FILE::EXERCISE.

    Keys: lesson, name, outcome, message, hint. Problem for a file that cannot be judged and for an unknown name.
    """
    from graders.cohort import judging, submissions  # behind the fork

    # A zygote with more libraries than an exercise needs is there sooner than another one.
    bench = judging.Bench(seed, zygotes={zygote.libraries: zygote, (): zygote} if zygote else {})
    try:
        for path, only in _wanted(named).items():
            found = submissions.with_helpers(path)
            if found.lesson:
                bench.judge(found.lesson, only)  # while the zygote gets ready
            lesson, reason, told = judging.plans(bench.zygote(_libraries(path, only)), found, found.files[0])
            if lesson is None or reason is not None:
                raise Problem(f"{path}: {found.problem or reason}")
            unknown = only - set(lessons.exercises(lesson))
            if unknown:
                raise Problem(f"{lesson} has no exercise {', '.join(sorted(unknown))}")
            for verdict in bench.judge(lesson, only).judge(told["lessons"][lesson], only):
                told_of_it = {"outcome": verdict.outcome, "message": verdict.message, "hint": verdict.hint}
                yield {"lesson": lesson, "name": verdict.name, **told_of_it}
    finally:
        bench.close()


def _wanted(named: list[str]) -> dict[Path, set[str]]:
    """Return of each file the exercises that are named, none where the whole file is."""
    wanted: dict[Path, set[str]] = {}
    whole = {Path(each) for each in named if "::" not in each}
    for each in named:
        file, _, exercise = each.partition("::")
        wanted.setdefault(Path(file), set()).update(() if Path(file) in whole else (exercise,))
    return wanted


def _libraries(path: Path, only: set[str]) -> tuple[str, ...]:
    """Return what is loaded for a file; one that is not called after a lesson is read first."""
    return lessons.libraries(path.stem, only) if path.stem in lessons.names() else ()
