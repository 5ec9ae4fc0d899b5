"""The processes that decide. The one that finds what was handed in and writes the book of verdicts is another one.

Whatever goes wrong while a submission is judged, an exception, a hang, three processes that ended over it, costs that
submission: it could not be graded, the instructor finds the reason in `errors.log`, and the run goes on.
"""

from __future__ import annotations

import contextlib
import itertools
import json
import os
import pickle
import queue
import signal
import socket
import subprocess
import sys
import threading
import traceback
from collections.abc import Callable, Iterator
from concurrent.futures import FIRST_COMPLETED, Future, wait
from typing import Any, NamedTuple

from graders import ROOT
from graders.cohort.spread.power import separated
from graders.errors import Problem
from graders.wire import frames

SECONDS = 1800.0  # for one submission, whose exercises have limits of their own: what takes longer hangs here
ATTEMPTS = 3  # processes that may end over a submission
CLOSING_SECONDS = 2.0
FAULT = "internal error (see errors.log)"
_FIRST, _NEXT, _LAST = range(3)  # reading first: the next submissions wait for it


class Judged(NamedTuple):
    """The verdict on a submission; or what went wrong here; or why nothing can be judged here at all.

    `seconds` it took a process that was ready for its lesson; 0 for the first one of a lesson, which pays for the start.
    """

    verdict: dict[str, Any] | None
    fault: str = ""
    problem: str = ""
    seconds: float = 0.0


class Process:
    """One process that judges, started when it is first needed, and again after it ended."""

    def __init__(self, seed: str, hidden: tuple[str, ...]) -> None:
        self._start = pickle.dumps((seed, hidden))
        self._process: subprocess.Popen | None = None
        self._connection: socket.socket | None = None
        self._stopped = False

    def ask(self, message: Any) -> Judged:
        """Have a submission judged, or files read (`Reading`); only this process's data is pickled, what comes back is JSON."""
        fault = ""
        for _ in range(ATTEMPTS):
            try:
                connection = self._connection or self._begun()
                frames.send_frame(connection, pickle.dumps(message))
                told = Judged(**json.loads(frames.receive_frame(connection)))
                if told.verdict is not None and not isinstance(message, Reading) and not _is_on(told.verdict, message):
                    self.close()
                    return Judged(None, "the process that judged told of another submission")
                return told
            except TimeoutError:
                self.close()
                return Judged(None, f"the process that judged hung for {SECONDS:.0f} seconds")
            except (OSError, EOFError, ValueError, TypeError) as error:
                self.close()
                fault = f"{ATTEMPTS} processes that judged ended ({type(error).__name__}: {error})"
            if self._stopped:
                break
        return Judged(None, fault)

    def _begun(self) -> socket.socket:
        here, there = socket.socketpair()
        child = there.fileno()
        code = f"import sys; sys.path.insert(0, {str(ROOT)!r}); from graders.cohort.spread.processes import serve; serve({child})"
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
        if self._stopped:
            self.stop()
        return here

    def stop(self) -> None:
        """Have the process end, from another thread than the one that waits for its answer, which is woken."""
        self._stopped = True
        if self._connection is not None:
            with contextlib.suppress(OSError):
                self._connection.shutdown(socket.SHUT_RDWR)
        if self._process is not None:
            self._process.terminate()

    def close(self) -> None:
        """End the process, with what it is at."""
        if self._connection is not None:
            self._connection.close()
            self._connection = None
        if self._process is not None:
            self._process.terminate()
            with contextlib.suppress(subprocess.TimeoutExpired):
                self._process.wait(CLOSING_SECONDS)  # it ends its zygotes
            self._process.kill()
            self._process.wait()
            self._process = None


def _is_on(verdict: dict[str, Any], submission: Any) -> bool:
    """Whether a verdict names the student, the files and the lesson of a submission: who decides cannot write others' lines."""
    same = [verdict.get(key) == getattr(submission, key) for key in ("student", "sha256")]
    return all(same) and submission.lesson in (None, verdict.get("lesson"))


class Reading(NamedTuple):
    """A file whose cells are to be planned for each of some lessons (see `judging.Bench.read`)."""

    data: bytes
    notebook: bool
    wanted: list[str]


class Pool:
    """Some processes that judge, each with a thread that waits for it. Close it: what they are at is then lost."""

    def __init__(self, hidden: tuple[str, ...], count: int) -> None:
        """Prepare `count` processes; `hidden`: places that workers must not see."""
        self.count, self._hidden = count, hidden
        self._waiting: queue.PriorityQueue[tuple[int, int, Any, Future[Judged]]] = queue.PriorityQueue()
        self._numbers = itertools.count()
        self._processes: list[Process] = []
        self._threads: list[threading.Thread] = []

    def judged(self, todo: Iterator[tuple[int, Any]], seed: str) -> Iterator[tuple[int, Any, Judged]]:
        """Judge submissions, one ahead for each process; yield number, submission and what came of it, as each ends."""
        self._processes = [Process(seed, self._hidden) for _ in range(self.count)]
        self._threads = [threading.Thread(target=self._work, args=[one], daemon=True) for one in self._processes]
        for thread in self._threads:
            thread.start()
        running: dict[Future[Judged], tuple[int, Any]] = {}
        for index, submission in todo:
            running[self._put(_NEXT, submission)] = index, submission
            yield from _ended(running, wait_for_one=len(running) >= 2 * self.count)
        while running:
            yield from _ended(running, wait_for_one=True)

    def read(self, data: bytes, notebook: bool, wanted: list[str]) -> dict[str, Any]:
        """Return the plans of a file by lesson, or the error; to be called by what `judged` goes through."""
        told = _checked(self._put(_FIRST, Reading(data, notebook, wanted)).result())
        return told.verdict or {"error": FAULT}

    def _put(self, priority: int, message: Any) -> Future[Judged]:
        future: Future[Judged] = Future()
        self._waiting.put((priority, next(self._numbers), message, future))
        return future

    def _work(self, process: Process) -> None:
        while True:
            _, _, message, future = self._waiting.get()
            if message is None:
                process.close()
                return
            future.set_result(process.ask(message))

    def close(self) -> None:
        """End the processes, all at once."""
        with contextlib.suppress(queue.Empty):
            while True:
                self._waiting.get_nowait()
        for _ in self._threads:
            self._put(_LAST, None)
        for process in self._processes:
            process.stop()
        for thread in self._threads:
            thread.join(CLOSING_SECONDS + 0.5)


def _ended(running: dict[Future[Judged], tuple[int, Any]], wait_for_one: bool) -> Iterator[tuple[int, Any, Judged]]:
    for future in wait(running, None if wait_for_one else 0, FIRST_COMPLETED).done:
        index, submission = running.pop(future)
        yield index, submission, _checked(future.result())


def _checked(judged: Judged) -> Judged:
    if judged.problem:
        raise Problem(judged.problem)
    return judged


def guarded(judge: Callable[[], tuple[dict[str, Any], float]]) -> Judged:
    """Return the verdict, or the traceback of whatever prevented it."""
    try:
        verdict, seconds = judge()
        return Judged(verdict, seconds=round(seconds, 4))
    except Problem as problem:
        return Judged(None, problem=str(problem))
    except Exception:
        return Judged(None, traceback.format_exc())


def _end(*_: object) -> None:
    """End this process so that what was begun is cleared away; who asks for it a second time, at once, does not disturb that."""
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    sys.exit()


def serve(descriptor: int) -> None:
    """Judge what comes in on a socket, a submission each, and answer with verdicts, until it ends."""
    signal.signal(signal.SIGTERM, _end)
    connection = socket.socket(fileno=descriptor)
    os.set_inheritable(descriptor, False)
    seed, hidden = pickle.loads(frames.receive_frame(connection))
    power = separated(hidden, connection)
    from graders.cohort.judging import Bench

    bench = Bench(seed, hidden, power)
    try:
        while True:
            message = pickle.loads(frames.receive_frame(connection))
            told = guarded(lambda one=message: _done(bench, one))  # type: ignore[misc]
            frames.send_frame(connection, json.dumps(told._asdict()).encode())
    except (EOFError, OSError):
        return
    finally:
        bench.close()


def _done(bench: Any, message: Any) -> tuple[dict[str, Any], float]:
    if isinstance(message, Reading):
        return bench.read(*message), 0.0
    return bench.timed(message)
