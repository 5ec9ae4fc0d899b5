"""The process that workers are forked from: libraries are loaded once, and no answer is ever in its memory.

Started by `collecting.starting` with a socket on descriptor 3. Each request is one byte and, for a fork, a descriptor:
`F` + socket: fork a worker that serves that socket; the answer is its pid in four bytes (0: the fork failed).
`K` + pid: kill that worker with all that it started; no answer.
`S` + pid: how that worker ended; the answer is an exit code in four bytes (negative: the signal; 255: not known).
A worker's first byte on its own socket is its tier, and with it comes a descriptor of its /proc (see `collecting.deadlines`).
"""

from __future__ import annotations

import contextlib
import ctypes
import functools
import gc
import importlib
import os
import pickle
import pkgutil
import signal
import socket
import struct
import sys
import time
from pathlib import Path

import exercises.kit
from exercises.kit import unpacking
from graders.wire import records, tiers
from graders.worker import sandbox, worker, world

_OURS = "graders.worker."
_UNKNOWN = 255
_MANY = 100  # workers from which on they start sooner by more than it takes to prepare that
_LARGE_PAGE, _MADV_HUGEPAGE, _MADV_COLLAPSE = 1 << 21, 14, 25


def preload(libraries: list[str]) -> None:
    """Import what workers use: torch, the kit, and these modules, but for ours that use others (see `warmup`)."""
    gc.disable()  # what is imported stays, and to look for garbage meanwhile takes a tenth of the time
    try:
        import torch

        torch.set_num_threads(1)  # before the first operation: forking after a threaded one can hang the child
        if "optimum.quanto" in libraries:
            unpacking.load_quanto()  # workers could not write what quanto would compile
        kit = [module.name for module in pkgutil.walk_packages(exercises.kit.__path__, "exercises.kit.")]
        for library in (*filter(_in_lessons, kit), *libraries):
            if not library.startswith(_OURS):
                with contextlib.suppress(ImportError):
                    importlib.import_module(library)
    finally:
        gc.enable()


def _in_lessons(module: str) -> bool:
    """Whether a module of the kit is for lessons; the others are for the student's own pytest, which they import."""
    return not module.startswith("exercises.kit.studying")


def _use(libraries: list[str]) -> None:
    """Use each part once, so that no worker pays for its first use."""
    import torch

    # After a fork torch replaces its thread pool at the next use, without a lock: where that use is in several threads
    # at once, as in from_pretrained, it fails now and then ("pool INTERNAL ASSERT FAILED"). So it is used here first.
    os.register_at_fork(after_in_child=functools.partial(torch.set_num_threads, 1))
    records.quantized_types()
    worker.answer({}, b"")
    x = torch.ones(8)
    torch.dot(x.to(torch.bfloat16), x.to(torch.bfloat16))
    worker._encode((x, [x.to(torch.float8_e4m3fn)]))
    pickle.dumps(x)  # notes something in torch.Tensor, which else `world` would see as a change
    for library in libraries:
        if library.startswith(_OURS):
            importlib.import_module(library)
    world.remember()


def _forget_the_rest(root: str) -> None:
    """Make solutions and hidden tests unimportable: student code shares this interpreter's import system."""
    sys.path[:] = [entry for entry in sys.path if entry and os.path.realpath(entry) != root]
    sys.meta_path[:] = [finder for finder in sys.meta_path if "__editable__" not in getattr(finder, "__module__", "")]
    sys.path_hooks[:] = [hook for hook in sys.path_hooks if "__editable__" not in getattr(hook, "__module__", "")]
    sys.path_importer_cache.clear()
    for name in [name for name in sys.modules if name.partition(".")[0] == "graders"]:
        if name == "graders" or name.startswith(("graders.worker", "graders.wire")):
            if hasattr(sys.modules[name], "__path__"):
                sys.modules[name].__path__ = []
        else:  # of the process that forked this one
            del sys.modules[name]
    sys.argv[:] = ["submission"]


def _collapse() -> None:
    """Put this process's memory on large pages: a fork copies, and a worker's end undoes, one entry instead of 512.

    MADV_COLLAPSE is there since Linux 6.1; without it nothing changes.
    """
    libc = ctypes.CDLL(None)
    libc.madvise.argtypes = [ctypes.c_void_p, ctypes.c_size_t, ctypes.c_int]
    with contextlib.suppress(OSError, AttributeError):
        for line in Path("/proc/self/maps").read_text().splitlines():
            place, rights, _, _, file, *_ = line.split()
            start, end = (int(number, 16) for number in place.split("-"))
            start, end = -(-start // _LARGE_PAGE) * _LARGE_PAGE, end // _LARGE_PAGE * _LARGE_PAGE
            if rights == "rw-p" and file == "0" and end > start:
                libc.madvise(start, end - start, _MADV_HUGEPAGE)
                libc.madvise(start, end - start, _MADV_COLLAPSE)


def _needed() -> list[str]:
    """Return the folders that workers must be able to read: Python, its libraries, and what students have."""
    kit = os.path.dirname(str(exercises.kit.__path__[0]))
    return [sys.prefix, sys.base_prefix, kit, *filter(os.path.isdir, sys.path)]


def _status(pid: int, ended: dict[int, int]) -> int:
    for _ in range(50):
        _reap(ended)
        if pid in ended:
            return ended.pop(pid)
        time.sleep(0.002)
    return _UNKNOWN


def _kill(pid: int) -> None:
    """Kill a worker and its process group; only here are workers known by the numbers that `fork` gave."""
    for kill in (os.killpg, os.kill):
        with contextlib.suppress(ProcessLookupError, PermissionError):
            kill(pid, signal.SIGKILL)


def _reap(ended: dict[int, int]) -> None:
    with contextlib.suppress(ChildProcessError):
        while True:
            pid, status = os.waitpid(-1, os.WNOHANG)
            if pid == 0:
                return
            if os.WIFSTOPPED(status) or os.WIFCONTINUED(status):
                _kill(pid)  # it asked to be traced by its parent, which is here
                continue
            ended[pid] = os.waitstatus_to_exitcode(status)
            while len(ended) > 256:
                ended.pop(next(iter(ended)))


def _greet(connection: socket.socket, tier: bytes) -> None:
    """Send a descriptor of the folder in /proc through which the judge can see what this worker waits and computes."""
    try:
        folder = os.open("/proc" if tier == b"N" else "/proc/self", os.O_RDONLY | os.O_DIRECTORY)
        socket.send_fds(connection, [tier], [folder])
        os.close(folder)
    except OSError:  # no Linux; or this user's other processes have too many on their way
        connection.sendall(tier)


def _become_worker(box: sandbox.Sandbox, connection: socket.socket) -> None:
    try:
        box.settle()
        signal.signal(signal.SIGINT, signal.SIG_DFL)
        os.closerange(3, connection.fileno())
        os.closerange(connection.fileno() + 1, sandbox.OPEN_FILES)
        _greet(connection, b"N" if box.spaces else b"P")
        sandbox.limit_files()
        worker.serve(connection)
    except BaseException:
        os._exit(1)
    os._exit(0)


def main(root: str, libraries: list[str], hidden: list[str], scratch: str) -> None:
    """Load libraries, then `serve`."""
    os.closerange(4, sandbox.OPEN_FILES)  # the copy of it that Popen passed on: a worker with it could answer for us
    preload(libraries)
    serve(root, libraries, hidden, scratch)


def serve(root: str, libraries: list[str], hidden: list[str], scratch: str) -> None:
    """Enter the best sandbox there is, tell the judge which, and fork on request. The libraries are loaded."""
    control = socket.socket(fileno=3)
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    _use(libraries)
    _forget_the_rest(root)
    null = os.open(os.devnull, os.O_RDWR)
    for descriptor in (0, 1, 2):
        os.dup2(null, descriptor)
    box = sandbox.enter(hidden, scratch, _needed())
    gc.collect()
    gc.freeze()
    gc.set_threshold(20_000)  # else workers that build models and throw them away collect all the time
    if sys.platform.startswith("linux"):
        sandbox.watch.start()
    control.sendall(struct.pack("<b", tiers.rank(box.tier)))
    ended: dict[int, int] = {}
    while True:
        message, descriptors, _, _ = socket.recv_fds(control, 5, 1)
        if not message:
            os._exit(0)
        if message[:1] == b"K":
            _kill(struct.unpack("<i", message[1:5])[0])
            continue
        if message[:1] == b"S":
            control.sendall(struct.pack("<i", _status(struct.unpack("<i", message[1:5])[0], ended)))
            continue
        connection = socket.socket(fileno=descriptors[0])
        try:
            pid = box.fork()
        except OSError:
            pid = -1
        if pid == 0:
            control.close()
            _become_worker(box, connection)
        connection.close()
        control.sendall(struct.pack("<i", max(pid, 0)))
        _reap(ended)
        if box.forks == _MANY:
            _collapse()
