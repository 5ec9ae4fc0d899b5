"""The processes that decide. The one that finds what was handed in and writes the book of verdicts is another one.

Whatever goes wrong while a submission is judged, an exception, an end of the process, a hang, costs that submission: it could
not be graded, the instructor finds the reason in `errors.log`, and the run goes on.
"""

from __future__ import annotations

import contextlib
import json
import os
import pickle
import socket
import subprocess
import sys
import traceback
from collections.abc import Callable, Iterator
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from typing import Any, NamedTuple

from graders import ROOT
from graders.errors import Problem
from graders.wire import frames

SECONDS = 1800.0  # for one submission, whose exercises have limits of their own: what takes longer hangs here
FAULT = "internal error (see errors.log)"


class Judged(NamedTuple):
    """The verdict on a submission; or what went wrong here; or why nothing can be judged here at all."""

    verdict: dict[str, Any] | None
    fault: str = ""
    problem: str = ""


class Process:
    """One process that judges, started when it is first needed, and again after it ended."""

    def __init__(self, seed: str, hidden: tuple[str, ...]) -> None:
        self._start = pickle.dumps((seed, hidden))
        self._process: subprocess.Popen | None = None
        self._connection: socket.socket | None = None

    def judge(self, submission: Any) -> Judged:
        """Judge a submission; only this process's data is pickled. What comes back is JSON, and a verdict on this submission."""
        try:
            connection = self._connection or self._begun()
            frames.send_frame(connection, pickle.dumps(submission))
            told = Judged(**json.loads(frames.receive_frame(connection)))
            if told.verdict is not None and not _is_on(told.verdict, submission):
                raise ValueError("it told of another submission")
            return told
        except (OSError, EOFError, ValueError, TypeError) as error:
            self.close()
            return Judged(None, f"the process that judged ended or hung ({type(error).__name__}: {error})")

    def _begun(self) -> socket.socket:
        here, there = socket.socketpair()
        child = there.fileno()
        code = f"import sys; sys.path.insert(0, {str(ROOT)!r}); from graders.cohort.judges import serve; serve({child})"
        self._process = subprocess.Popen(
            [sys.executable, "-P", "-c", code],
            env=os.environ | {"HF_HUB_OFFLINE": "1", "HF_HUB_DISABLE_PROGRESS_BARS": "1"},
            stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, pass_fds=(child,),
            start_new_session=True,  # an interrupt is for the one that writes; this one ends when its input does
        )  # fmt: skip
        there.close()
        here.settimeout(SECONDS)
        self._connection = here
        frames.send_frame(here, self._start)
        return here

    def close(self) -> None:
        """End the process, with what it is at."""
        if self._connection is not None:
            with contextlib.suppress(OSError):
                self._connection.shutdown(socket.SHUT_RDWR)  # wakes the thread that waits for an answer
            self._connection.close()
            self._connection = None
        if self._process is not None:
            with contextlib.suppress(subprocess.TimeoutExpired):
                self._process.wait(1)  # it ends its zygotes
            self._process.kill()
            self._process.wait()
            self._process = None


def _is_on(verdict: dict[str, Any], submission: Any) -> bool:
    """Whether a verdict names the student, the files and the lesson of a submission: who decides cannot write others' lines."""
    same = [verdict.get(key) == getattr(submission, key) for key in ("student", "sha256")]
    return all(same) and submission.lesson in (None, verdict.get("lesson"))


def judged(
    todo: Iterator[tuple[int, Any]], seed: str, hidden: tuple[str, ...], count: int
) -> Iterator[tuple[int, Any, Judged]]:
    """Judge on `count` processes, a submission ahead for each; yield number, submission and what came of it, as each ends."""
    idle = [Process(seed, hidden) for _ in range(count)]
    processes = list(idle)
    running: dict[Future[Judged], tuple[int, Any, Process]] = {}
    with ThreadPoolExecutor(count) as threads:
        try:
            for index, submission in todo:
                process = idle.pop()
                running[threads.submit(process.judge, submission)] = index, submission, process
                if not idle:
                    yield from _ended(running, idle)
            while running:
                yield from _ended(running, idle)
        finally:
            for process in processes:
                process.close()


def _ended(
    running: dict[Future[Judged], tuple[int, Any, Process]], idle: list[Process]
) -> Iterator[tuple[int, Any, Judged]]:
    for future in wait(running, return_when=FIRST_COMPLETED).done:
        index, submission, process = running.pop(future)
        idle.append(process)
        judged = future.result()
        if judged.problem:
            raise Problem(judged.problem)
        yield index, submission, judged


def guarded(judge: Callable[[], dict[str, Any]]) -> Judged:
    """Return the verdict, or the traceback of whatever prevented it."""
    try:
        return Judged(judge())
    except Problem as problem:
        return Judged(None, problem=str(problem))
    except Exception:
        return Judged(None, traceback.format_exc())


def serve(descriptor: int) -> None:
    """Judge what comes in on a socket, a submission each, and answer with verdicts, until it ends."""
    from graders.cohort.judging import Bench

    connection = socket.socket(fileno=descriptor)
    os.set_inheritable(descriptor, False)
    seed, hidden = pickle.loads(frames.receive_frame(connection))
    bench = Bench(seed, hidden)
    try:
        while True:
            submission = pickle.loads(frames.receive_frame(connection))
            told = guarded(lambda one=submission: bench.grade(one))  # type: ignore[misc]
            frames.send_frame(connection, json.dumps(told._asdict()).encode())
    except (EOFError, OSError):
        return
    finally:
        bench.close()
