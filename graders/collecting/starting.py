"""How a zygote comes to be: as a process of its own, or by a fork of one that has loaded the libraries and knows nothing else."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
from typing import Protocol

from graders import ROOT

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
_OFTEN = ("IPython.core.inputtransformer2", "matplotlib.pyplot")  # what some of a class import


class Process(Protocol):
    """What is needed of a process that was started, as `subprocess.Popen` has it."""

    pid: int

    def poll(self) -> int | None: ...

    def kill(self) -> None: ...

    def wait(self) -> int | None: ...


def environment(scratch: str) -> dict[str, str]:
    """Return the environment of a zygote, which student code can read: nothing of the grader's but a few settings."""
    return {name: os.environ[name] for name in _KEPT_ENVIRONMENT if name in os.environ} | {
        "HOME": scratch, "TMPDIR": scratch, "PYTHONHASHSEED": "0", "OMP_NUM_THREADS": "1",
        "HF_HUB_OFFLINE": "1", "HF_HUB_DISABLE_TELEMETRY": "1", "TOKENIZERS_PARALLELISM": "false",
        "TRANSFORMERS_VERBOSITY": "error", "HF_HUB_DISABLE_PROGRESS_BARS": "1",
        "GLIBC_TUNABLES": "glibc.malloc.hugetlb=1",  # large pages: a fork copies a third less of the page tables
        "MPLBACKEND": "Agg", "MPLCONFIGDIR": os.path.expanduser("~/.cache/matplotlib"),
    }  # fmt: skip


def apart(libraries: tuple[str, ...], hidden: list[str], scratch: str) -> tuple[Process, socket.socket]:
    """Start a zygote; return it and the socket through which it is asked."""
    here, there = socket.socketpair()
    child = there.fileno()
    code = (
        f"import sys; sys.path.insert(0, {str(ROOT)!r}); from graders.worker.zygote import main; "
        f"main({str(ROOT)!r}, {[*_OFTEN, *libraries]!r}, {hidden!r}, {scratch!r})"
    )
    process = subprocess.Popen(
        [sys.executable, "-P", "-c", code],
        env=environment(scratch) | {"PYTHONDONTWRITEBYTECODE": "1"},
        cwd=scratch, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL,
        pass_fds=(child,) if child == 3 else (3, child), start_new_session=True,
        preexec_fn=None if child == 3 else (lambda: os.dup2(child, 3, inheritable=True)),
    )  # fmt: skip
    there.close()
    return process, here


def forked(libraries: tuple[str, ...], hidden: list[str], scratch: str) -> tuple[Process, socket.socket]:
    """Fork a zygote off this process: as `apart`, but nothing is loaded for it any more."""
    from graders.worker import zygote  # this process has it already

    here, there = socket.socketpair()
    pid = os.fork()
    if pid == 0:
        try:
            os.setsid()
            here.close()
            child = there.detach()
            if child != 3:
                os.dup2(child, 3)
                os.close(child)
            sys.dont_write_bytecode = True
            zygote.serve(str(ROOT), list(libraries), hidden, scratch)
        finally:
            os._exit(1)
    there.close()
    return _Forked(pid), here


class _Forked:
    """A child by `os.fork`, with what is used of `subprocess.Popen`."""

    def __init__(self, pid: int) -> None:
        self.pid = pid
        self._status: int | None = None

    def poll(self) -> int | None:
        return self._look(os.WNOHANG)

    def kill(self) -> None:
        if self.poll() is None:
            os.kill(self.pid, signal.SIGKILL)

    def wait(self) -> int | None:
        return self._look(0)

    def _look(self, options: int) -> int | None:
        if self._status is None:
            pid, status = os.waitpid(self.pid, options)
            self._status = os.waitstatus_to_exitcode(status) if pid else None
        return self._status
