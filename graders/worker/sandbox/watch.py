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
from collections import Counter, defaultdict
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import graders.worker.sandbox.kernel as kernel
import graders.worker.sandbox.limits as limits

_EVERY = 0.05  # seconds: what all cores of a small machine can fill in that time is a fraction of the limit
_TOLD = (b"RssAnon", b"RssShmem", b"VmSize", b"VmData", b"VmStk", b"FDSize")
_SESSION, _THREADS = 3, 17  # fields of /proc/PID/stat after the name
_SOCKET = (
    212_992  # bytes of the kernel's memory that a descriptor can hold, if it is a socket's: their buffers have no owner
)
_UNSEEN = 16 << 20  # bytes of addresses that need no look at what they are
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
            look(zygote, spared, taken(zygote))
    finally:
        os._exit(0)


@dataclass(frozen=True)
class Taken:
    """What a process holds: bytes of its own, bytes that it shares with others without a file, what its descriptors can hold,
    and the bytes of its addresses that are neither data nor stack: libraries, files, and shared memory, touched or not.
    """

    own: int
    shared: int
    sockets: int
    unseen: int


def look(zygote: int, spared: set[int], base: Taken) -> None:
    """Look once at what the children of a process, in all generations, take; end the sessions that take too much.

    base: what each of them has with the zygote, of which it is a copy.
    """
    own, shared, threads, members = Counter[int](), Counter[int](), Counter[int](), dict[int, list[int]]()
    mapped: dict[int, dict[bytes, int]] = defaultdict(dict)
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
            found = taken(pid)
            own[session] += max(found.own - base.own, 0) + found.sockets
            shared[session] += max(found.shared - base.shared, 0)
            if found.unseen - base.unseen > _UNSEEN:
                mapped[session].update(_mapped(pid))
    for session, pids in members.items():
        memory = own[session] + max(shared[session], sum(mapped[session].values()))
        if memory > limits.MEMORY or threads[session] > _MANY:
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


def taken(pid: int) -> Taken:
    """Return what a process holds, nothing of one that has ended and is still listed; OSError if it is gone."""
    told = dict.fromkeys(_TOLD, 0)
    for line in Path(f"/proc/{pid}/status").read_bytes().split(b"\n"):
        name, _, rest = line.partition(b":")
        if name in told:
            told[name] = int(rest.split()[0]) << 10
    sockets, unseen = (told[b"FDSize"] >> 10) * _SOCKET, told[b"VmSize"] - told[b"VmData"] - told[b"VmStk"]
    return Taken(told[b"RssAnon"], told[b"RssShmem"], sockets, unseen)


def _mapped(pid: int) -> dict[bytes, int]:
    """Return the shared memory without a file that a process could touch, by its number, touched or not."""
    found: dict[bytes, int] = {}
    for line in Path(f"/proc/{pid}/maps").read_bytes().split(b"\n"):
        if line.endswith(b"/dev/zero (deleted)"):
            places, rights, _, _, number, *_ = line.split()
            start, end = (int(place, 16) for place in places.split(b"-"))
            if rights.endswith(b"s"):
                found[number] = found.get(number, 0) + end - start
    return found
