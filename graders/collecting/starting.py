"""Starting zygotes, which takes the rights to make namespaces: here, or where somebody kept them (see `cohort.spread.power`)."""

from __future__ import annotations

import os
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
from typing import NamedTuple, Protocol

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


class Started(NamedTuple):
    """A zygote that runs: the number of its process, the socket that it listens to, the folder of its workers."""

    pid: int
    control: socket.socket
    scratch: str


class Starts(Protocol):
    """What can start and end zygotes."""

    def start(self, libraries: tuple[str, ...], hidden: tuple[str, ...]) -> Started:
        """Start a zygote with these libraries, and do not wait until it is ready. hidden: places that workers must not see."""
        ...

    def end(self, started: Started) -> None:
        """Kill a zygote, and remove the folder of its workers."""
        ...


def environment(scratch: str) -> dict[str, str]:
    """Return the environment of a zygote, which student code can read: nothing of the grader's but a few settings."""
    return {name: os.environ[name] for name in _KEPT_ENVIRONMENT if name in os.environ} | {
        "HOME": scratch, "TMPDIR": scratch, "PYTHONHASHSEED": "0", "OMP_NUM_THREADS": "1",
        "HF_HUB_OFFLINE": "1", "HF_HUB_DISABLE_TELEMETRY": "1", "TOKENIZERS_PARALLELISM": "false",
        "TRANSFORMERS_VERBOSITY": "error", "HF_HUB_DISABLE_PROGRESS_BARS": "1",
        "GLIBC_TUNABLES": "glibc.malloc.hugetlb=1",  # large pages: a fork copies a third less of the page tables
        "MPLBACKEND": "Agg", "MPLCONFIGDIR": os.path.expanduser("~/.cache/matplotlib"),
    }  # fmt: skip


class Here:
    """Starts zygotes as children of this process."""

    def __init__(self) -> None:
        self._processes: dict[int, subprocess.Popen] = {}

    def start(self, libraries: tuple[str, ...], hidden: tuple[str, ...]) -> Started:
        scratch = tempfile.mkdtemp(prefix="graders-")
        here, there = socket.socketpair()
        root = str(ROOT)
        code = (
            f"import sys; sys.path.insert(0, {root!r}); from graders.worker.zygote import main; "
            f"main({root!r}, {[*_OFTEN, *libraries]!r}, {[root, *hidden]!r}, {scratch!r})"
        )
        child = there.fileno()
        process = subprocess.Popen(
            [sys.executable, "-P", "-c", code], env=environment(scratch) | {"PYTHONDONTWRITEBYTECODE": "1"},
            cwd=scratch, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL,
            pass_fds=(child,) if child == 3 else (3, child), start_new_session=True,
            preexec_fn=None if child == 3 else (lambda: os.dup2(child, 3, inheritable=True)),
        )  # fmt: skip
        there.close()
        self._processes[process.pid] = process
        return Started(process.pid, here, scratch)

    def end(self, started: Started) -> None:
        process = self._processes.pop(started.pid)
        process.kill()
        process.wait()
        remove(started.scratch)


class Forks(Here):
    """Starts its first zygote by a fork of this process, which has loaded the libraries and knows nothing that workers must not
    know; whatever is started later is a process of its own."""

    def __init__(self, scratch: str) -> None:
        super().__init__()
        self._scratch, self._forked = scratch, 0

    def start(self, libraries: tuple[str, ...], hidden: tuple[str, ...]) -> Started:
        if self._forked:
            return super().start(libraries, hidden)
        from graders.worker import zygote  # this process has it already

        here, there = socket.socketpair()
        self._forked = os.fork()
        if self._forked == 0:
            try:
                os.setsid()
                here.close()
                child = there.detach()
                if child != 3:
                    os.dup2(child, 3)
                    os.close(child)
                sys.dont_write_bytecode = True
                zygote.serve(str(ROOT), list(libraries), [str(ROOT), *hidden], self._scratch)
            finally:
                os._exit(1)
        there.close()
        return Started(self._forked, here, self._scratch)

    def end(self, started: Started) -> None:
        if started.pid != self._forked:
            super().end(started)
            return
        os.kill(started.pid, signal.SIGKILL)
        os.waitpid(started.pid, 0)
        remove(started.scratch)


def remove(folder: str) -> None:
    """Remove a scratch folder, however deep the folders are that a submission made in it."""
    try:
        shutil.rmtree(folder, ignore_errors=True)
    except RecursionError:
        subprocess.run(["rm", "-rf", "--", folder], stderr=subprocess.DEVNULL, check=False)
