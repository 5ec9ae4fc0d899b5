"""Attacks by files, descriptors, limits and the way in which modules are found."""
# mypy: ignore-errors

from __future__ import annotations

from typing import Any

from graders.trust.attacks import attack


@attack("beside", "folders within folders, thousands deep, and thousands of files, for whoever cleans up")
def digs_folders(*args: Any, **kwargs: Any) -> Any:
    import os

    home = os.getcwd()
    try:
        for _ in range(3000):
            os.mkdir("d" * 100)
            os.chdir("d" * 100)
    except OSError:
        pass
    os.chdir(home)
    for number in range(3000):
        try:
            with open(f"f{number}", "w") as file:
                file.write("x")
        except OSError:
            break


@attack("beside", "links, pipes, sockets and files with odd names where it may write, some of them without rights")
def leaves_odd_files(*args: Any, **kwargs: Any) -> Any:
    import contextlib
    import os
    import socket

    for name in (b"\xff\xfe", "\u202ename\n".encode(), b"-rf", b"*", b" ", b"a" * 255):
        with contextlib.suppress(OSError):
            os.mkfifo(name)
    for number, target in enumerate(("/etc/passwd", "..", ".", "/proc/self/fd/3", "/dev/zero", "x" * 4000)):
        with contextlib.suppress(OSError):
            os.symlink(target, f"link{number}")
    with contextlib.suppress(OSError):
        socket.socket(socket.AF_UNIX).bind("socket")
    for name in ("torch", "json", "exercises"):
        with contextlib.suppress(OSError):
            os.makedirs(f"{name}/kit")
            open(f"{name}/__init__.py", "w").close()
            os.chmod(name, 0)


@attack("at_import", "modules called like those that the worker uses, beside it and at the head of every path")
def shadows_modules(*args: Any, **kwargs: Any) -> Any:
    import os
    import sys
    import types

    class Finder:
        @staticmethod
        def find_spec(name: str, path: Any = None, target: Any = None) -> None:
            return None

    for name in ("json", "struct", "safetensors", "torch", "exercises"):
        with open(f"{name}.py", "w") as file:
            file.write("raise SystemExit\n")
    sys.path.insert(0, os.getcwd())
    sys.meta_path.insert(0, Finder)
    for name in ("exercises.kit.probes.l2", "exercises.kit.toys", "exercises.kit.models", "safetensors.torch"):
        sys.modules[name] = types.ModuleType(name)


@attack("everywhere", "the kit's recipes make what it likes, and what they made before")
def replaces_recipes(*args: Any, **kwargs: Any) -> Any:
    import sys

    recipes = sys.modules["graders.wire.recipes"]
    recipes.cook = lambda *anything: anything
    sys.modules["graders.wire.codec"].cook = lambda *anything: anything
    return args[0] if args else kwargs


@attack("everywhere", "exercises.kit with functions that answer for it")
def replaces_the_kit(*args: Any, **kwargs: Any) -> Any:
    import sys
    import types

    for name in [name for name in sys.modules if name.startswith(("exercises.kit.probes", "exercises.kit.toys"))]:
        made = types.ModuleType(name)
        made.__getattr__ = lambda attribute: lambda *anything, **words: {"outputs": [0], "calls": 1}
        sys.modules[name] = made
    return None


@attack("in_one", "descriptors sent with its answer, many, so that those who read it run out of them")
def sends_descriptors(*args: Any, **kwargs: Any) -> Any:
    import os
    import socket

    read, _ = os.pipe()
    for descriptor in range(3, 16):
        try:
            with socket.socket(fileno=os.dup(descriptor)) as connection:
                for _ in range(50):
                    socket.send_fds(connection, [b"x"], [read] * 250)
        except OSError:
            continue


@attack("in_one", "what is due to the next call, read from under the worker, so that the two no longer agree")
def steals_requests(*args: Any, **kwargs: Any) -> Any:
    import os
    import threading

    def steal(descriptor: int) -> None:
        try:
            while os.read(descriptor, 1 << 16):
                pass
        except OSError:
            pass

    for descriptor in range(3, 16):
        threading.Thread(target=steal, args=(descriptor,), daemon=True).start()
    return 0


@attack("in_one", "a stop of itself, and of all its threads, in the middle of an answer")
def stops_itself(*args: Any, **kwargs: Any) -> Any:
    import os
    import signal

    os.kill(os.getpid(), signal.SIGSTOP)


@attack("in_one", "an abort that leaves a core, with every limit raised first", harmful=True)
def dumps_core(*args: Any, **kwargs: Any) -> Any:
    import os
    import resource

    for limit in (resource.RLIMIT_CORE, resource.RLIMIT_FSIZE, resource.RLIMIT_NOFILE, resource.RLIMIT_AS):
        try:
            resource.setrlimit(limit, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))
        except (OSError, ValueError):
            continue
    os.abort()


@attack("beside", "no room: for files, descriptors, a stack or memory, for whoever comes next")
def lowers_limits(*args: Any, **kwargs: Any) -> Any:
    import resource

    for limit in (resource.RLIMIT_FSIZE, resource.RLIMIT_NOFILE, resource.RLIMIT_STACK, resource.RLIMIT_CPU):
        try:
            resource.setrlimit(limit, (1, 1))
        except (OSError, ValueError):
            continue


@attack("in_one", "forty threads that compute, and alarms that interrupt whatever waits")
def computes_in_threads(*args: Any, **kwargs: Any) -> Any:
    import signal
    import threading

    def compute() -> None:
        while True:
            pass

    signal.signal(signal.SIGALRM, lambda *_: None)
    signal.setitimer(signal.ITIMER_REAL, 0.001, 0.001)
    for _ in range(40):
        try:
            threading.Thread(target=compute, daemon=True).start()
        except RuntimeError:
            break
    compute()


@attack("in_one", "a child that takes its place and answers after it has ended")
def leaves_a_child_to_answer(*args: Any, **kwargs: Any) -> Any:
    import os

    if os.fork():
        os._exit(0)
    return (0, 255)


@attack("beside", "memory of torch and of Python that all who are forked share, written to through the kernel")
def writes_to_shared_pages(*args: Any, **kwargs: Any) -> Any:
    import contextlib
    import ctypes
    import mmap
    import sys

    import torch

    place = id(True)
    with contextlib.suppress(OSError), open("/proc/self/mem", "r+b", buffering=0) as memory:
        memory.seek(place)
        kept = memory.read(16)
        memory.seek(place)
        memory.write(kept)
    libc = ctypes.CDLL(None)
    page = place & ~(mmap.PAGESIZE - 1)
    libc.madvise(ctypes.c_void_p(page), ctypes.c_size_t(mmap.PAGESIZE), 10)  # not inherited by children
    for name in ("add", "matmul", "equal", "round"):
        setattr(torch, name, None)
    sys.modules["exercises.kit.lessons"].works_in_place = lambda name: True
