"""Processes that judge for `nbgrader autograde`, ahead of the submission that nbgrader is at.

nbgrader goes through a class one by one and spends its time on notebooks and the gradebook; meanwhile the next submissions
are judged here. What decides has no gradebook at hand, and what writes the gradebook has loaded no test.
"""

from __future__ import annotations

import json
import os
import queue
import subprocess
import sys
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from typing import IO, Any, NamedTuple

from graders import ROOT


class Asked(NamedTuple):
    """A submission: its file, its student and the lesson that it must be."""

    path: str
    student: str
    lesson: str


class JudgeEnded(Exception):
    """The judge could not judge: a fault here, not in the submission. The text says which."""


class Judges:
    """A few judging processes, each started when it is first needed; they stay until `close`."""

    def __init__(self, seed: str, hidden: tuple[str, ...], count: int) -> None:
        """Keep the cohort's secret seed and the places that workers must not see for `count` processes."""
        self.count = count
        self._start = json.dumps({"seed": seed, "hidden": hidden})
        self._idle: queue.LifoQueue[subprocess.Popen | None] = queue.LifoQueue()
        for _ in range(count):
            self._idle.put(None)
        self._threads = ThreadPoolExecutor(count)
        self._asked: dict[Asked, Future[dict[str, Any]]] = {}

    def ask(self, asked: Asked) -> None:
        """Have a submission judged, and go on."""
        if asked not in self._asked:
            self._asked[asked] = self._threads.submit(self._judge, asked)

    def answer(self, asked: Asked) -> dict[str, Any]:
        """Return the verdict on a submission as soon as it is there. Raises JudgeEnded."""
        self.ask(asked)
        return self._asked.pop(asked).result()

    def close(self) -> None:
        """End the processes; what they are at is lost."""
        self._threads.shutdown(wait=False, cancel_futures=True)
        while not self._idle.empty():
            process = self._idle.get()
            if process is not None:
                _end(process)

    def _judge(self, asked: Asked) -> dict[str, Any]:
        process = self._idle.get()
        try:
            process = process or self._new()
            told = _exchange(process, json.dumps(asked._asdict()))
        except (OSError, ValueError):
            if process is not None:
                _end(process)
                process = None
            raise JudgeEnded("its process ended") from None
        finally:
            self._idle.put(process)
        if "fault" in told:
            raise JudgeEnded(told["fault"])
        return told

    def _new(self) -> subprocess.Popen:
        code = f"import sys; sys.path.insert(0, {str(ROOT)!r}); from graders.for_nbgrader.judges import serve; serve()"
        process = subprocess.Popen(
            [sys.executable, "-P", "-c", code],
            env=os.environ | {"HF_HUB_OFFLINE": "1"},
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            start_new_session=True,  # an interrupt is for nbgrader; this process ends when its input does
        )
        _write(process, self._start)
        return process


def _end(process: subprocess.Popen) -> None:
    process.kill()
    process.wait()


def _write(process: subprocess.Popen, line: str) -> None:
    assert process.stdin is not None
    process.stdin.write(line + "\n")
    process.stdin.flush()


def _exchange(process: subprocess.Popen, line: str) -> dict[str, Any]:
    """Send a line and return the answer. Raises OSError or ValueError when the process is gone."""
    _write(process, line)
    assert process.stdout is not None
    return json.loads(process.stdout.readline())


def serve() -> None:
    """Judge what comes in on standard input, a JSON line each, and answer with verdicts as JSON lines, until it ends."""
    answers = os.fdopen(os.dup(1), "w", encoding="utf-8")
    os.dup2(2, 1)  # whatever a library prints is no verdict
    from graders.cohort.judging import Bench

    bench = Bench(**json.loads(sys.stdin.readline()))
    try:
        for line in sys.stdin:
            _answer(answers, bench, Asked(**json.loads(line)))
    finally:
        bench.close()


def _found(bench: Any, asked: Asked) -> Any:
    """Return what counts in the folder of a submission; a file that cannot be read is the notebook, and says why."""
    from graders.cohort import submissions
    from graders.cohort.choosing import Chooser
    from graders.for_nbgrader.folders import submission

    path = Path(asked.path)
    alone = submissions.read(path, asked.student, asked.lesson)
    if alone.problem:
        return alone
    found = submission(path.parent, asked.student, asked.lesson, Chooser(bench.read))
    return found if found.lesson == asked.lesson and found.files else alone


def _answer(answers: IO[str], bench: Any, asked: Asked) -> None:
    from graders import lessons
    from graders.cohort import submissions

    try:
        if asked.lesson not in lessons.names():
            found = submissions.Submission(asked.student, None, problem=f"{asked.lesson} is no lesson of ours")
        else:
            found = _found(bench, asked)
        told = bench.grade(found)
    except Exception as error:
        told = {"fault": f"{type(error).__name__}: {error}"}
    answers.write(json.dumps(told) + "\n")
    answers.flush()
