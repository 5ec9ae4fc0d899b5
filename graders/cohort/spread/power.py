"""The rights that deciding does without stay with a process beside it, which starts zygotes and keeps recordings, nothing else.

`separated` forks: the parent keeps the rights and does what it is asked, as far as it is one of the few things below; the child
gives them up for good (see `sandbox.confining`) and decides. Where it cannot, it decides as it is, and says so.
"""

from __future__ import annotations

import compileall
import contextlib
import json
import os
import re
import signal
import socket
import sys
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from graders import ROOT, lessons
from graders.collecting.starting import Here, Started, remove
from graders.judge import kept
from graders.wire import frames

_OURS = ("graders", "solutions", "exercises")
_NAME = re.compile("[0-9a-f]{64}")


class Power:
    """The end of whoever decides; `deciding` says as whom. What it asks for is done by the process beside it.

    Without that one nothing can be judged: each method raises SystemExit when it is gone.
    """

    def __init__(self, connection: socket.socket, deciding: str) -> None:
        self._connection, self.deciding = connection, deciding

    def start(self, libraries: tuple[str, ...], hidden: tuple[str, ...]) -> Started:
        """Have a zygote started. What its workers must not see was said before, and cannot be changed from here."""
        with _needed():
            frames.send_frame(self._connection, _packed("start", libraries))
            _, descriptors, _, _ = socket.recv_fds(self._connection, 1, 1)
            pid, scratch = json.loads(frames.receive_frame(self._connection))
            return Started(pid, socket.socket(fileno=descriptors[0]), scratch)

    def end(self, started: Started) -> None:
        with _needed():
            frames.send_frame(self._connection, _packed("end", started.pid))

    def read(self, name: str) -> bytes:
        with _needed():
            frames.send_frame(self._connection, _packed("read", name))
            return frames.receive_frame(self._connection)

    def write(self, name: str, data: bytes) -> None:
        with _needed():
            frames.send_frame(self._connection, _packed("write", name))
            frames.send_frame(self._connection, data)


@contextlib.contextmanager
def _needed() -> Iterator[None]:
    try:
        yield
    except (OSError, EOFError):
        raise SystemExit("the process beside the one that decides ended") from None


def _packed(*request: Any) -> bytes:
    return json.dumps(request).encode()


class _Keeper:
    """The side with the rights. It believes nothing that it is asked: libraries, numbers and names are looked up."""

    def __init__(self, connection: socket.socket, hidden: tuple[str, ...], store: kept.Store) -> None:
        self._connection, self._hidden, self._store = connection, hidden, store
        self._starts = Here()
        self._started: dict[int, Started] = {}

    def serve(self) -> None:
        """Do what is asked until the other end is gone, or asks for something else."""
        verbs: dict[str, Callable[[Any], None]]
        verbs = {"start": self._start, "end": self._end, "read": self._read, "write": self._write}
        with contextlib.suppress(EOFError, OSError, ValueError, TypeError, KeyError):
            while True:
                verb, about = json.loads(frames.receive_frame(self._connection))
                verbs[verb](about)

    def close(self) -> None:
        """End all zygotes."""
        for pid in list(self._started):
            self._end(pid)

    def _start(self, libraries: list[str]) -> None:
        known = {lessons.libraries(name) for name in lessons.names()}
        started = self._starts.start({tuple(libraries)}.intersection(known).pop(), self._hidden)
        self._started[started.pid] = started
        socket.send_fds(self._connection, [b"s"], [started.control.fileno()])
        started.control.close()
        frames.send_frame(self._connection, _packed(started.pid, started.scratch))
        if len(self._started) == 1:
            _compile()

    def _end(self, pid: int) -> None:
        self._starts.end(self._started.pop(pid))

    def _read(self, name: str) -> None:
        frames.send_frame(self._connection, self._store.read(_checked(name)))

    def _write(self, name: str) -> None:
        self._store.write(_checked(name), frames.receive_frame(self._connection))


def _checked(name: str) -> str:
    if not _NAME.fullmatch(name):
        raise ValueError("no name of a recording")
    return name


def _compile() -> None:
    """Keep what Python makes of our own code, while the zygote loads its libraries: who decides cannot write it."""
    for folder in _OURS:
        if os.access(ROOT / folder, os.W_OK) and not sys.dont_write_bytecode:
            compileall.compile_dir(ROOT / folder, quiet=2)


def _read_by_judges(path: Path) -> bool:
    """Whether a place is this repository or lies in what judging reads of it: somebody grades the solutions themselves."""
    folders = [ROOT / folder for folder in _OURS]
    return path == ROOT or any(folder in (path, *path.parents) for folder in folders)


def not_confined() -> str:
    """Return as whom a process decides that has given up nothing."""
    return f"uid {os.getuid()}, not confined"


def separated(hidden: tuple[str, ...], connection: socket.socket) -> Power:
    """Return in a child that has given up its rights, with `connection`; its parent serves it, and ends when it does.

    hidden: places that neither the child nor workers can see, beside the recordings.
    """
    hidden = (*hidden, *kept.hidden())
    scratch = tempfile.mkdtemp(prefix="graders-")
    here, there = socket.socketpair()
    decider = os.fork()
    if decider == 0:
        here.close()
        signal.signal(signal.SIGTERM, signal.SIG_DFL)
        from graders.worker.sandbox import confining

        needed = [str(ROOT), sys.prefix, sys.base_prefix, *filter(os.path.isdir, sys.path)]
        unseen = [path for path in hidden if not _read_by_judges(Path(path))]
        return Power(there, confining.confine(unseen, scratch, needed))
    there.close()
    connection.close()
    keeper = _Keeper(here, hidden, kept.Folder(kept.default_folder()))
    try:
        keeper.serve()
    finally:
        signal.signal(signal.SIGTERM, signal.SIG_IGN)
        os.kill(decider, signal.SIGKILL)
        os.waitpid(decider, 0)
        keeper.close()
        remove(scratch)
    sys.exit()
