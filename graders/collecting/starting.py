"""Starting zygotes, which takes the rights to make namespaces: here, or where somebody kept them (see `cohort.spread.power`)."""

from __future__ import annotations

import os
import shutil
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
            f"main({root!r}, {list(libraries)!r}, {[root, *hidden]!r}, {scratch!r})"
        )
        environment = {name: os.environ[name] for name in _KEPT_ENVIRONMENT if name in os.environ}
        environment |= {
            "HOME": scratch, "TMPDIR": scratch, "PYTHONHASHSEED": "0", "OMP_NUM_THREADS": "1",
            "HF_HUB_OFFLINE": "1", "HF_HUB_DISABLE_TELEMETRY": "1", "TOKENIZERS_PARALLELISM": "false",
            "PYTHONDONTWRITEBYTECODE": "1", "TRANSFORMERS_VERBOSITY": "error", "HF_HUB_DISABLE_PROGRESS_BARS": "1",
            "GLIBC_TUNABLES": "glibc.malloc.hugetlb=1",  # large pages: a fork copies a third less of the page tables
            "MPLBACKEND": "Agg", "MPLCONFIGDIR": os.path.expanduser("~/.cache/matplotlib"),
        }  # fmt: skip
        child = there.fileno()
        process = subprocess.Popen(
            [sys.executable, "-P", "-c", code],
            env=environment, cwd=scratch, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL,
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


def remove(folder: str) -> None:
    """Remove a scratch folder, however deep the folders are that a submission made in it."""
    try:
        shutil.rmtree(folder, ignore_errors=True)
    except RecursionError:
        subprocess.run(["rm", "-rf", "--", folder], stderr=subprocess.DEVNULL, check=False)
