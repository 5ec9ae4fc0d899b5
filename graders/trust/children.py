"""Run many small jobs, each in a forked child of this process, a few at a time: nothing that one does reaches another."""

from __future__ import annotations

import contextlib
import json
import os
import select
import signal
import tempfile
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import torch

from graders.worker import sandbox

AT_ONCE = 2
Job = Callable[[], Any]


@dataclass
class _Child:
    index: int
    pid: int
    deadline: float
    told: bytes = b""


def run(jobs: list[Job], seconds: float, needed: list[str] | None = None) -> Iterator[tuple[int, Any]]:
    """Yield (index, result) of every job as it ends; a result is data, None if the child died or took longer than `seconds`.

    The limits on memory and files are those of a worker; what a child prints is lost. needed: for jobs of which nobody knows
    what they do: they can read these folders, write one of their own, and have no rights besides. Raises OSError where this
    machine has no Landlock for that.
    """
    torch.set_num_threads(1)  # a child that is forked behind a threaded operation can hang
    running: dict[int, _Child] = {}
    waiting = list(enumerate(jobs))[::-1]
    with tempfile.TemporaryDirectory(prefix="graders-", ignore_cleanup_errors=True) as scratch:
        box = sandbox.beside_others(scratch, needed) if needed is not None else None
        try:
            while waiting or running:
                while waiting and len(running) < AT_ONCE:
                    index, job = waiting.pop()
                    reader, child = _fork(index, job, scratch, seconds, box)
                    running[reader] = child
                for reader in _ready(running):
                    child = running[reader]
                    part = os.read(reader, 1 << 16) if time.monotonic() < child.deadline else b""
                    child.told += part
                    if not part:
                        _end(reader, running.pop(reader))
                        yield child.index, _result(child.told)
        finally:
            for reader, child in running.items():
                _end(reader, child)


def _ready(running: dict[int, _Child]) -> list[int]:
    """Wait for children that tell something, and return them and those whose time is up."""
    first = min(child.deadline for child in running.values())
    told, _, _ = select.select(list(running), [], [], max(first - time.monotonic(), 0))
    now = time.monotonic()
    return [reader for reader, child in running.items() if reader in told or now >= child.deadline]


def _fork(index: int, job: Job, scratch: str, seconds: float, box: sandbox.Sandbox | None) -> tuple[int, _Child]:
    reader, writer = os.pipe()
    pid = os.fork()
    if pid:
        os.close(writer)
        return reader, _Child(index, pid, time.monotonic() + seconds)
    try:
        torch.set_num_threads(1)  # renews torch's thread pool while this is the only thread; see zygote.py
        if box is not None:
            box.settle()
        else:
            sandbox.limit(sandbox.tasks())
            os.chdir(scratch)
        sandbox.limit_files()
        null = os.open(os.devnull, os.O_RDWR)
        for descriptor in (0, 1, 2):
            os.dup2(null, descriptor)
        with os.fdopen(writer, "wb") as pipe:
            pipe.write(json.dumps(job()).encode())
    except BaseException:
        os._exit(1)
    os._exit(0)


def _end(reader: int, child: _Child) -> None:
    os.close(reader)
    with contextlib.suppress(ProcessLookupError, PermissionError):
        os.killpg(child.pid, signal.SIGKILL)
    with contextlib.suppress(ProcessLookupError):
        os.kill(child.pid, signal.SIGKILL)
    with contextlib.suppress(ChildProcessError):
        os.waitpid(child.pid, 0)


def _result(told: bytes) -> Any:
    try:
        return json.loads(told)
    except ValueError:
        return None
