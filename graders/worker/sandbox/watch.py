"""The watcher: a process beside the zygote that ends a worker whose processes, all together, take more than a worker may.

Limits of Linux hold for one process at a time, and those for groups (cgroups) are not to be had everywhere: who may not fork
without end could still have sixty processes of four gigabytes each. A worker and all that it starts share its session, since
no filter lets them leave it; so they are counted, and ended, by session.
"""

from __future__ import annotations

import contextlib
import os
import signal
import time
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import graders.worker.sandbox.kernel as kernel
import graders.worker.sandbox.limits as limits

_EVERY = 0.05  # seconds: what all cores of a small machine can fill in that time is a fraction of the limit
_SESSION, _THREADS = 3, 17  # fields of /proc/PID/stat after the name
_SOCKET = 212_992  # bytes of the kernel's memory that a descriptor can hold, if it is a socket's
_MANY = 4 * limits.PROCESSES  # of threads: for users whom the limit on processes does not bind, such as root


def start() -> None:
    """Fork the watcher of this process's children; it ends when this process does."""
    zygote = os.getpid()
    if os.fork():
        return
    try:
        kernel.end_with_parent()
        signal.signal(signal.SIGINT, signal.SIG_IGN)
        os.closerange(3, limits.OPEN_FILES)
        own = os.getpid()
        spared = {zygote, own}
        while os.getppid() == zygote:
            time.sleep(_EVERY)
            look(zygote, spared, _taken(zygote)[0])
    finally:
        os._exit(0)


def look(zygote: int, spared: set[int], base: int) -> None:
    """Look once at what the children of a process, in all generations, take; end the sessions that take too much.

    base: bytes that each of them shares with the zygote, of which it is a copy.
    """
    memory, threads, members = Counter[int](), Counter[int](), dict[int, list[int]]()
    ours = os.getsid(zygote)
    for pid in _children(zygote):
        if pid in spared:
            continue
        with contextlib.suppress(OSError, ValueError, IndexError):
            fields = Path(f"/proc/{pid}/stat").read_bytes().rpartition(b") ")[2].split()
            session = int(fields[_SESSION])
            if session == ours:  # it has just been forked
                continue
            members.setdefault(session, []).append(pid)
            threads[session] += int(fields[_THREADS])
            held, sockets = _taken(pid)
            memory[session] += max(held - base, 0) + sockets
    for session, pids in members.items():
        if memory[session] > limits.MEMORY or threads[session] > _MANY:
            for pid in pids:
                with contextlib.suppress(OSError):
                    os.kill(pid, signal.SIGSTOP)  # first, so that none of them forks while the others end
            for pid in [session, *pids]:
                with contextlib.suppress(OSError):
                    os.killpg(pid, signal.SIGKILL)
                with contextlib.suppress(OSError):
                    os.kill(pid, signal.SIGKILL)


def _children(pid: int) -> Iterator[int]:
    """Yield all that a process has started, and what that has started."""
    waiting = [pid]
    while waiting:
        with contextlib.suppress(OSError):
            for task in os.listdir(f"/proc/{(parent := waiting.pop())}/task"):
                with contextlib.suppress(OSError):
                    found = [int(child) for child in Path(f"/proc/{parent}/task/{task}/children").read_bytes().split()]
                    yield from found
                    waiting += found


def _taken(pid: int) -> tuple[int, int]:
    """Return the bytes of memory that a process holds, and those that its descriptors can hold for it in the kernel.

    The first are its own, and what it shares with others without a file. Buffers of sockets are in no process's account.
    """
    told = {b"RssAnon": 0, b"RssShmem": 0, b"FDSize": 0}
    for line in Path(f"/proc/{pid}/status").read_bytes().split(b"\n"):
        name, _, rest = line.partition(b":")
        if name in told:
            told[name] = int(rest.split()[0])
    return told[b"RssAnon"] + told[b"RssShmem"] << 10, told[b"FDSize"] * _SOCKET
