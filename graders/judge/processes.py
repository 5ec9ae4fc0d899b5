"""The judge's side of zygote and workers: start, feed, time out, kill."""

from __future__ import annotations

import contextlib
import os
import shutil
import signal
import socket
import struct
import subprocess
import sys
import tempfile
import time
from collections import deque
from typing import Any

from graders import ROOT
from graders.worker import sandbox, worker

CALL_SECONDS = 10.0
EXERCISE_SECONDS = 20.0
PATIENCE = 4  # times its seconds that a deadline can be postponed
RESTING = 0.05  # share of the time: a worker that computes less than this is not kept waiting, it rests
START_SECONDS = 120.0
SPARES = 3
MAX_ANSWER = 1 << 27
_KEPT_ENVIRONMENT = (
    "PATH",
    "LANG",
    "LC_ALL",
    "ATEN_CPU_CAPABILITY",
    "ONEDNN_MAX_CPU_ISA",
    "GRADERS_MEMORY",
    "GRADERS_TIER",
    "LD_LIBRARY_PATH",
)


class WorkerEnded(Exception):
    """The worker is gone; `outcome` is `killed`, `memory` or `timeout`, the text says how."""

    def __init__(self, outcome: str, text: str) -> None:
        super().__init__(text)
        self.outcome = outcome


class Deadline:
    """When a worker's time is up: after `seconds` in which it computes or rests.

    What a busy machine takes from a worker that wants to compute is given back, up to PATIENCE times `seconds`: a verdict
    should not depend on what else is running.
    """

    def __init__(self, seconds: float) -> None:
        self.at = time.monotonic() + seconds
        self._left = PATIENCE * seconds

    @property
    def passed(self) -> bool:
        return time.monotonic() > self.at

    def postpone(self, seconds: float) -> None:
        """Give back what the machine took, as far as patience goes."""
        given = min(seconds, self._left)
        self.at += given
        self._left -= given


class Worker:
    """One forked process, for exercises of one submission, or for reading files."""

    def __init__(self, zygote: Zygote, connection: socket.socket) -> None:
        self._zygote, self.connection, self._pid = zygote, connection, 0
        self._looked, self._computed = time.monotonic(), 0.0

    def started(self, pid: int) -> None:
        self._pid = pid

    def send(self, header: dict[str, Any], calls: list[bytes]) -> None:
        """Send cells to load and calls to answer. Raises WorkerEnded."""
        self.connection.settimeout(CALL_SECONDS)
        self._looked = time.monotonic()
        try:
            worker.send_frame(self.connection, worker.pack_request(header, calls))
        except (OSError, ValueError):
            raise self._ended() from None

    def receive(self, deadline: Deadline) -> bytes:
        """Return the next frame. Raises WorkerEnded, with outcome `timeout` when `deadline` or the time of a call is passed."""
        call = Deadline(CALL_SECONDS)
        try:
            (length,) = struct.unpack("<I", self._read(4, call, deadline))
            if length > MAX_ANSWER:
                raise ValueError("the frame is too long")
            return self._read(length, call, deadline)
        except TimeoutError:
            self.kill()
            raise WorkerEnded("timeout", "no answer in time") from None
        except (OSError, EOFError, ValueError):
            raise self._ended() from None

    def _read(self, length: int, *deadlines: Deadline) -> bytes:
        """Read `length` bytes; TimeoutError at the first of the deadlines, even if some come all the time."""
        parts = bytearray()
        while len(parts) < length:
            left = min(deadline.at for deadline in deadlines) - time.monotonic()
            if left <= 0:
                taken = self._kept_waiting()
                for deadline in deadlines:
                    deadline.postpone(taken)
                if any(deadline.passed for deadline in deadlines):
                    raise TimeoutError
                continue
            self.connection.settimeout(left)
            with contextlib.suppress(TimeoutError):  # said by the clock, above
                part = self.connection.recv(min(length - len(parts), 1 << 20))
                if not part:
                    raise EOFError
                parts += part
        return bytes(parts)

    def _kept_waiting(self) -> float:
        """Return the seconds since the last look that the machine took from this worker; 0 if it rests or cannot be seen."""
        now, computed = time.monotonic(), self._zygote.cpu_seconds(self._pid)
        waited, own = now - self._looked, computed - self._computed
        self._looked, self._computed = now, computed
        return max(waited - own, 0.0) if own > RESTING * waited else 0.0

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
        self.connection.close()


class Zygote:
    """A preloaded process and the workers forked from it, a few of them ahead of need. Restarts itself if it dies."""

    def __init__(self, libraries: tuple[str, ...] = (), hidden: tuple[str, ...] = ()) -> None:
        self.libraries, self.hidden = libraries, hidden
        self.tier = "process"
        self.reader: Worker | None = None  # a worker that reads files, which it does not execute
        self._spares: deque[Worker] = deque()
        self._process: subprocess.Popen | None = None
        self._control: socket.socket | None = None
        self._scratch = ""

    @property
    def pid(self) -> int:
        """The number of the zygote's process, 0 before it runs."""
        return self._process.pid if self._process else 0

    def _start(self) -> None:
        self.close()
        self._scratch = tempfile.mkdtemp(prefix="graders-")
        here, there = socket.socketpair()
        root = str(ROOT)
        hidden = [root, *self.hidden]
        code = (
            f"import sys; sys.path.insert(0, {root!r}); from graders.worker.zygote import main; "
            f"main({root!r}, {list(self.libraries)!r}, {hidden!r}, {self._scratch!r})"
        )
        environment = {name: os.environ[name] for name in _KEPT_ENVIRONMENT if name in os.environ}
        environment |= {
            "HOME": self._scratch, "TMPDIR": self._scratch, "PYTHONHASHSEED": "0", "OMP_NUM_THREADS": "1",
            "HF_HUB_OFFLINE": "1", "HF_HUB_DISABLE_TELEMETRY": "1", "TOKENIZERS_PARALLELISM": "false",
            "PYTHONDONTWRITEBYTECODE": "1", "TRANSFORMERS_VERBOSITY": "error", "HF_HUB_DISABLE_PROGRESS_BARS": "1",
            "GLIBC_TUNABLES": "glibc.malloc.hugetlb=1",  # large pages: a fork copies a third less of the page tables
            "MPLBACKEND": "Agg", "MPLCONFIGDIR": os.path.expanduser("~/.cache/matplotlib"),
        }  # fmt: skip
        child = there.fileno()
        self._process = subprocess.Popen(
            [sys.executable, "-P", "-c", code],
            env=environment, cwd=self._scratch, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL,
            pass_fds=(child,) if child == 3 else (3, child), start_new_session=True,
            preexec_fn=None if child == 3 else (lambda: os.dup2(child, 3, inheritable=True)),
        )  # fmt: skip
        there.close()
        self._control = here
        here.settimeout(START_SECONDS)
        self.tier = sandbox.of_rank(*struct.unpack("<b", worker.read_exactly(here, 1)))

    def _ask(self, message: bytes, descriptors: tuple[int, ...] = ()) -> None:
        assert self._control is not None
        socket.send_fds(self._control, [message], descriptors)

    def _answer(self) -> int:
        assert self._control is not None
        return struct.unpack("<i", worker.read_exactly(self._control, 4))[0]

    def _order(self) -> None:
        here, there = socket.socketpair()
        self._ask(b"F", (there.fileno(),))
        there.close()
        self._spares.append(Worker(self, here))

    def warm(self) -> None:
        """Start the zygote now, so that the first submission does not wait for it."""
        if self._process is None or self._process.poll() is not None:
            self._start()
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

    def _collect(self, until: Worker) -> None:
        """Read the pids of the spares ordered so far, in order, up to `until`."""
        for spare in self._spares:
            if spare._pid == 0:
                spare.started(self._answer() or -1)
            if spare is until:
                return

    def end(self, pid: int) -> None:
        """Have a worker killed; with the zygote it ends anyway."""
        with contextlib.suppress(OSError, AssertionError):
            self._ask(b"K" + struct.pack("<i", pid))

    def exit_code(self, pid: int) -> int:
        """Return how a worker ended (negative: by which signal), 255 if that is not known."""
        return self._told(b"S", pid, 255)

    def cpu_seconds(self, pid: int) -> float:
        """Return for how long a worker has computed so far, 0.0 if that is not known."""
        return self._told(b"T", pid, 0) / 1000

    def _told(self, question: bytes, pid: int, unknown: int) -> int:
        try:
            if self._spares:
                self._collect(self._spares[-1])
            self._ask(question + struct.pack("<i", pid))
            return self._answer()
        except (OSError, EOFError, AssertionError):
            return unknown

    def close(self) -> None:
        """End the zygote and its spare workers, and remove their scratch folder."""
        for spare in [*self._spares, *filter(None, [self.reader])]:
            spare.kill()
        self._spares.clear()
        self.reader = None
        if self._control is not None:
            self._control.close()
            self._control = None
        if self._process is not None:
            self._process.kill()
            self._process.wait()
            self._process = None
        if self._scratch:
            shutil.rmtree(self._scratch, ignore_errors=True)
            self._scratch = ""
