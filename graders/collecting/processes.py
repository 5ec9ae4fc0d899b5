"""This side of zygote and workers: start, feed, time out, kill."""

from __future__ import annotations

import contextlib
import os
import signal
import socket
import struct
from collections import deque
from multiprocessing.connection import wait
from typing import Any

from graders.collecting import starting
from graders.collecting.deadlines import Clock, Deadline
from graders.collecting.endings import WorkerEnded
from graders.errors import Problem
from graders.wire import frames, schema, tiers
from graders.wire.recipes import Unreadable

CALL_SECONDS = 10.0
EXERCISE_SECONDS = 20.0
READ_SECONDS = 5.0  # for a file, which takes a tenth of it
START_SECONDS = 120.0
SPARES = 3
_AT_ONCE = 1 << 16  # bytes


class Worker:
    """One forked process, for exercises of one submission, or for reading files."""

    def __init__(self, zygote: Zygote, connection: socket.socket, clock: Clock | None = None) -> None:
        self._zygote, self.connection, self._pid = zygote, connection, 0
        self._clock = clock  # with the worker's first byte, which it sends before any student code runs
        self._buffer = bytearray()

    def started(self, pid: int) -> None:
        self._pid = pid

    def send(self, header: dict[str, Any], calls: list[bytes]) -> None:
        """Send cells to load and calls to answer. Raises WorkerEnded."""
        self.connection.settimeout(CALL_SECONDS)
        if self._clock is not None:
            self._clock.look()
        try:
            frames.send_frame(self.connection, frames.pack_request(header, calls))
        except (OSError, ValueError):
            raise self._ended() from None

    def receive(self, deadline: Deadline, most: int = schema.MAX_FRAME) -> bytes:
        """Return the next frame. Raises WorkerEnded, with outcome `timeout` when `deadline` or the time of a call is passed."""
        call = Deadline(CALL_SECONDS)
        try:
            if self._clock is None:
                self._clock = self._greeted(min(call.left, deadline.left))
            (length,) = struct.unpack("<I", self._read(4, call, deadline))
            if length > most:
                self.kill()
                raise WorkerEnded("memory", "its answer is too large")
            return self._read(length, call, deadline)
        except TimeoutError:
            self.kill()
            raise WorkerEnded("timeout", "no answer in time") from None
        except (OSError, EOFError, ValueError):
            raise self._ended() from None

    def _greeted(self, seconds: float) -> Clock:
        """Receive the descriptor through which the kernel tells of this worker, if it could send one."""
        if seconds <= 0:
            raise TimeoutError
        self.connection.settimeout(seconds)
        told, descriptors, _, _ = socket.recv_fds(self.connection, 1, 1)
        if not told:
            raise EOFError
        return Clock(descriptors[0] if descriptors else -1, whole=told == b"N")

    @property
    def has_more(self) -> bool:
        """Whether the next frame has come already, as a whole."""
        return len(self._buffer) >= 4 and len(self._buffer) - 4 >= struct.unpack_from("<I", self._buffer)[0]

    def _read(self, length: int, *deadlines: Deadline) -> bytes:
        """Read `length` bytes; TimeoutError at the first of the deadlines, even if some come all the time."""
        parts = self._buffer  # what has come behind them stays
        while len(parts) < length:
            left = min(deadline.left for deadline in deadlines)
            if left <= 0:
                taken = self._clock.taken() if self._clock else 0.0
                for deadline in deadlines:
                    deadline.postpone(taken)
                if any(deadline.passed for deadline in deadlines):
                    raise TimeoutError
                continue
            self.connection.settimeout(left)
            with contextlib.suppress(TimeoutError):  # said by the clock, above
                part = self.connection.recv(max(_AT_ONCE, min(length - len(parts), 1 << 20)))
                if not part:
                    raise EOFError
                parts += part
        with memoryview(parts) as view:
            read = bytes(view[:length])
        del parts[:length]
        return read

    def _ended(self) -> WorkerEnded:
        code = self._zygote.exit_code(self._pid)
        self.kill()
        if code == -signal.SIGKILL:
            return WorkerEnded("killed", "the process was killed (signal 9; too much memory, or by the code itself)")
        if code < 0:
            with contextlib.suppress(ValueError):
                return WorkerEnded("killed", f"the process was ended by {signal.Signals(-code).name}")
        return WorkerEnded("killed", "the code ended its process")

    def kill(self) -> None:
        """End the worker with all that it started."""
        if self._pid > 1:
            self._zygote.end(self._pid)  # before it is told that nobody listens: it need not wake up for its end
            self._pid = 0
        if self._clock is not None:
            self._clock.close()
        self.connection.close()


class Zygote:
    """A preloaded process and the workers forked from it, a few of them ahead of need. Restarts itself if it dies."""

    def __init__(
        self, libraries: tuple[str, ...] = (), hidden: tuple[str, ...] = (), starts: starting.Starts | None = None
    ) -> None:
        """Prepare a zygote; `hidden`: places that workers must not see. `starts`: what starts it, if not this process."""
        self.libraries, self.hidden = libraries, hidden
        self.tier = "process"
        self._reader: Worker | None = None  # a worker that reads files, which it does not execute
        self._spares: deque[Worker] = deque()
        self._starts = starts or starting.Here()
        self._started: starting.Started | None = None
        self._ready = False

    @property
    def pid(self) -> int:
        """The number of the zygote's process, 0 before it runs."""
        return self._started.pid if self._started else 0

    @property
    def scratch(self) -> str:
        """The folder in which its workers have theirs, "" before it runs."""
        return self._started.scratch if self._started else ""

    def begin(self) -> None:
        """Start the zygote if it does not run, and do not wait until it is ready."""
        if self._started is not None and not _is_closed(self._started.control):
            return
        self.close()
        if wrong := tiers.wrong_setting():
            raise Problem(wrong)
        self._started = self._starts.start(self.libraries, self.hidden)
        self._started.control.settimeout(START_SECONDS)

    @property
    def _control(self) -> socket.socket:
        if self._started is None:
            raise EOFError
        return self._started.control

    def _wait_until_ready(self) -> None:
        try:
            self.tier = tiers.of_rank(*struct.unpack("<b", frames.read_exactly(self._control, 1)))
        except BaseException:
            self.close()
            raise
        if not tiers.enough(self.tier):
            self.close()
            raise Problem(
                f"this machine isolates with the tier `{self.tier}`, and `{os.environ[tiers.REQUIRED]}` is required; "
                "`python -m graders selfcheck` says what each tier stops here"
            )
        self._ready = True

    def _ask(self, message: bytes, descriptors: tuple[int, ...] = ()) -> None:
        socket.send_fds(self._control, [message], descriptors)

    def _answer(self) -> int:
        return struct.unpack("<i", frames.read_exactly(self._control, 4))[0]

    def _order(self) -> None:
        here, there = socket.socketpair()
        self._ask(b"F", (there.fileno(),))
        there.close()
        self._spares.append(Worker(self, here))

    def warm(self) -> None:
        """Start the zygote now, so that the first submission does not wait for it."""
        self.begin()
        if not self._ready:
            self._wait_until_ready()
        while len(self._spares) < SPARES:
            self._order()

    def take(self) -> Worker:
        """Return a fresh worker. Raises OSError when none can be had."""
        for _ in range(3):
            try:
                self.warm()
                spare = self._spares[0]
                if spare._pid == 0:
                    self._collect(spare)
                self._spares.popleft()
                if spare._pid > 0:
                    self._order()
                    return spare
            except (OSError, EOFError, KeyError):
                self.close()
        raise OSError("no worker process could be started; is the machine out of memory or processes?")

    def read(self, data: bytes, notebook: bool, lessons: dict[str, list[str]]) -> dict[str, Any]:
        """Have a worker read a submitted file: `{"lessons": {lesson: plan}}` or `{"error": why}`.

        Nothing of it is executed, so the worker is kept for the next file; only a new one's end tells something of the file. That
        the time is up, either one tells.
        """
        kept, self._reader = self._reader, None
        for reader in (kept, None) if kept else (None,):
            reader = reader or self.take()
            try:
                reader.send({"read": {"notebook": notebook, "lessons": lessons}, "cells": []}, [data])
                told = schema.read(reader.receive(Deadline(READ_SECONDS), schema.MAX_PLAN)[1:])
            except (WorkerEnded, Unreadable) as error:
                reader.kill()
                if isinstance(error, WorkerEnded) and error.outcome == "timeout":
                    break
                continue
            self._reader = reader
            return told
        return {"error": "the file could not be parsed within the limits of time and memory"}

    def _collect(self, until: Worker) -> None:
        """Read the pids of the spares ordered so far, in order, up to `until`."""
        for spare in self._spares:
            if spare._pid == 0:
                spare.started(self._answer() or -1)
            if spare is until:
                return

    def end(self, pid: int) -> None:
        """Have a worker killed; with the zygote it ends anyway."""
        with contextlib.suppress(OSError, EOFError):
            self._ask(b"K" + struct.pack("<i", pid))

    def exit_code(self, pid: int) -> int:
        """Return how a worker ended (negative: by which signal), 255 if that is not known."""
        try:
            if self._spares:
                self._collect(self._spares[-1])
            self._ask(b"S" + struct.pack("<i", pid))
            return self._answer()
        except (OSError, EOFError):
            return 255

    def close(self) -> None:
        """End the zygote and its spare workers, and remove their scratch folder."""
        for spare in [*self._spares, *filter(None, [self._reader])]:
            spare.kill()
        self._spares.clear()
        self._reader, self._ready = None, False
        if self._started is not None:
            self._started.control.close()
            self._starts.end(self._started)
            self._started = None


def _is_closed(connection: socket.socket) -> bool:
    """Whether nobody is at the other end any more."""
    try:
        return bool(wait([connection], 0)) and not connection.recv(1, socket.MSG_PEEK)
    except OSError:
        return True


def refuse_below(tier: str) -> None:
    """Require a tier from now on, in this process and what it starts. Raises Problem if this machine does not allow it."""
    os.environ[tiers.REQUIRED] = tier
    zygote = Zygote()
    try:
        zygote.warm()
    finally:
        zygote.close()
