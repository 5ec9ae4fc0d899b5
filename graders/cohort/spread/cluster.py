"""Submissions on the machines of a Dask scheduler. A process of its own judges beside each thread of a Dask worker.

Dask gives what a lost worker was at to another one. Here it is asked to report each loss instead, so that they can be counted:
who was there when three workers ended could not be graded. The third time a submission runs with no other one beside it, so
that none is blamed for its neighbours.
"""

from __future__ import annotations

import asyncio
import contextlib
import queue
import time
from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from distributed import Client, Future, KilledWorker, rpc

from graders.cohort.spread.processes import ATTEMPTS, Judged, Process
from graders.cohort.spread.reading import Reader
from graders.cohort.verdicts import WrongUse
from graders.errors import Problem, Stopped

CONNECT_SECONDS = 5.0
ALONE_SECONDS = 20.0  # without any worker
_LOOK_SECONDS = 1.0
_CLOSE_SECONDS = 1.0


@dataclass
class _Sent:
    """A submission and its number, and how many workers ended while they had it."""

    index: int
    submission: Any
    lost: int = 0


class Cluster:
    """The workers of a scheduler. Raises WrongUse if there is no scheduler at the address."""

    def __init__(self, address: str, hidden: tuple[str, ...]) -> None:
        """Connect; `hidden`: places that workers must not see."""
        self._address, self._hidden, self._seed = address, hidden, ""
        self._reader = Reader(hidden)
        try:
            kind = asyncio.run(asyncio.wait_for(_identity(address), CONNECT_SECONDS))["type"]
        except Exception as error:  # what a wrong address raises depends on how it is wrong
            kind = type(error).__name__
        if kind != "Scheduler":
            raise WrongUse(
                f"no Dask scheduler answers at {address} ({kind}); "
                "start one with `dask scheduler` and give the address that it prints, as tcp://HOST:8786"
            )
        self._client = Client(address, timeout=CONNECT_SECONDS, set_as_default=False)
        self._before: int | None = None
        with contextlib.suppress(Exception):  # a scheduler that lets nobody do so counts to its own number
            self._before = self._client.run_on_scheduler(_report_losses_after, 0)
        self._ended: queue.SimpleQueue[Future] = queue.SimpleQueue()
        self._sent: dict[Future, _Sent] = {}
        self._suspects: deque[_Sent] = deque()
        self._threads, self._looked, self._seen = 0, 0.0, time.monotonic()

    @property
    def count(self) -> int:
        """How many submissions are judged at a time."""
        if time.monotonic() - self._looked > _LOOK_SECONDS:
            self._look()
        return max(1, self._threads)

    def judged(self, todo: Iterator[tuple[int, Any]], seed: str) -> Iterator[tuple[int, Any, Judged]]:
        """Judge submissions, one ahead for each thread; yield number, submission and what came of it, as each ends.

        Raises Stopped when there was no worker for a while.
        """
        self._seed = seed
        for index, submission in todo:
            self._send(_Sent(index, submission))
            while len(self._sent) >= 2 * self.count:
                yield from self._next()
        while self._sent or self._suspects:
            if not self._sent:
                self._send(self._suspects.popleft())
            yield from self._next()

    def read(self, data: bytes, notebook: bool, wanted: list[str]) -> dict[str, Any]:
        """Return the plans of a file by lesson, or the error; that is done here."""
        return self._reader.read(data, notebook, wanted)

    def _send(self, one: _Sent) -> None:
        future = self._client.submit(judge_here, one.submission, self._seed, self._hidden, pure=False)
        self._sent[future] = one
        future.add_done_callback(self._ended.put)

    def _next(self) -> Iterator[tuple[int, Any, Judged]]:
        """Wait for one that has ended; yield what came of it, or send it again."""
        future = self._wait()
        one = self._sent.pop(future)
        try:
            judged = Judged(*future.result(timeout=ALONE_SECONDS))
        except KilledWorker as error:
            one.lost += error.allowed_failures + 1
            judged = Judged(None, f"{one.lost} workers ended while they had it")
        except Exception as error:  # it was cancelled, or this project is not the same there
            one.lost += 1
            judged = Judged(None, f"the scheduler lost it {one.lost} times: {error!r}")
        else:
            one.lost = ATTEMPTS
        if judged.problem:
            raise Problem(judged.problem)
        if one.lost >= ATTEMPTS:
            yield one.index, one.submission, judged
        elif one.lost == ATTEMPTS - 1:
            self._suspects.append(one)
        else:
            self._send(one)

    def _wait(self) -> Future:
        while True:
            with contextlib.suppress(queue.Empty):
                return self._ended.get(timeout=_LOOK_SECONDS)
            self._look()
            if time.monotonic() - self._seen > ALONE_SECONDS:
                raise Stopped(
                    f"the scheduler at {self._address} has had no worker for {ALONE_SECONDS:.0f} seconds: start some with "
                    f"`dask worker {self._address}`; what was finished is kept, the same command goes on from there"
                )

    def _look(self) -> None:
        """See how many threads there are, and remember when there were any."""
        self._looked = time.monotonic()
        with contextlib.suppress(OSError, TimeoutError):
            self._threads = sum(self._client.nthreads().values()) if self._client.status == "running" else 0
            if self._threads:
                self._seen = self._looked

    def close(self) -> None:
        """Leave the scheduler; what its workers are at is lost."""
        self._reader.close()
        with contextlib.suppress(Exception):
            if self._before is not None and self._client.status == "running":
                self._client.run_on_scheduler(_report_losses_after, self._before)
        self._client.close(timeout=_CLOSE_SECONDS)


async def _identity(address: str) -> dict[str, Any]:
    """Ask who is there. A client that finds nobody would try on, and not let go when it is given up."""
    async with rpc(address) as there:
        return await there.identity()


def _report_losses_after(count: int, dask_scheduler: Any) -> int:
    before, dask_scheduler.allowed_failures = dask_scheduler.allowed_failures, count
    return before


_idle: dict[tuple[str, tuple[str, ...]], queue.SimpleQueue[Process]] = {}


def judge_here(submission: Any, seed: str, hidden: tuple[str, ...]) -> Judged:
    """Judge a submission by a process beside this Dask worker; it stays for the next one."""
    idle = _idle.setdefault((seed, hidden), queue.SimpleQueue())
    try:
        process = idle.get_nowait()
    except queue.Empty:
        process = Process(seed, hidden)
    try:
        return process.ask(submission)
    finally:
        idle.put(process)
