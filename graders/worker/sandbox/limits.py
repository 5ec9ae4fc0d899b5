"""What every worker is limited to, whatever the tier: memory, processes, files, and the first place when memory runs out."""

from __future__ import annotations

import contextlib
import os
import sys
from pathlib import Path

import graders.worker.sandbox.kernel as kernel

if sys.platform != "win32":
    import resource

MEMORY = int(os.environ.get("GRADERS_MEMORY", 4096)) << 20
FILE_SIZE = 64 << 20
OPEN_FILES = 256
PROCESSES = 64


def first_to_go() -> None:
    """In the worker: of all processes this one is ended first when the machine runs out of memory, before the judge."""
    with contextlib.suppress(OSError):
        file = os.open("/proc/self/oom_score_adj", os.O_WRONLY)
        os.write(file, b"1000")
        os.close(file)


def tasks() -> int:
    """Return how many threads this user has in sight: the limit on processes counts those of all the user's programs."""
    count, user = 0, os.getuid()
    for folder in Path("/proc").glob("[0-9]*"):
        with contextlib.suppress(OSError):
            count += len(os.listdir(folder / "task")) if folder.stat().st_uid == user else 0
    return count


def limit(others: int = 0, addresses: int = 0) -> None:
    """In the worker: a process group of its own, an end with its parent, and limits that it cannot raise.

    others: how many threads count besides its own, where it shares its user with other programs. addresses: how many bytes of
    addresses it has already, if that is known.
    """
    os.setsid()
    limits = [
        (resource.RLIMIT_CORE, 0),
        (resource.RLIMIT_FSIZE, FILE_SIZE),
        (resource.RLIMIT_NPROC, others + PROCESSES),
    ]
    if kernel.LINUX:
        kernel.end_with_parent()
        kernel.prctl(kernel.NO_NEW_PRIVS, 1)
        # What a process has for itself, and with what it shares: memory shared between processes is not in RLIMIT_DATA.
        limits += [(resource.RLIMIT_DATA, MEMORY), (resource.RLIMIT_AS, (addresses or address_space()) + MEMORY)]
        limits += [(resource.RLIMIT_MSGQUEUE, 0)]
    for kind, value in limits:
        with contextlib.suppress(ValueError, OSError):
            resource.setrlimit(kind, (value, value))


def limit_files() -> None:
    """In the worker, once it has sent what it has to send: so many open files and no more.

    Of the descriptors that a user's processes have on their way through sockets the kernel counts those of all of them, and
    who may open few may send none while as many are on their way: another worker could keep this one from greeting.
    """
    with contextlib.suppress(ValueError, OSError):
        resource.setrlimit(resource.RLIMIT_NOFILE, (OPEN_FILES, OPEN_FILES))


def address_space() -> int:
    """Return how many bytes of addresses this process has already, most of them libraries."""
    return int(Path("/proc/self/statm").read_text().split()[0]) * resource.getpagesize()
