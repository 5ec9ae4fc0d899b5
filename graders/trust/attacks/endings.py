"""Attacks that end the process, never end, or use up what the machine has."""
# mypy: ignore-errors

from __future__ import annotations

from typing import Any

from graders.trust.attacks import attack

# Ending the process, or never ending


@attack("at_import", "sys.exit while the file is loaded")
def leaves_at_import(*args: Any, **kwargs: Any) -> Any:
    import sys

    print("1 passed, 0 failed")
    sys.exit(0)


@attack("at_import", "os._exit while the file is loaded")
def ends_at_import(*args: Any, **kwargs: Any) -> Any:
    import os

    os._exit(0)


@attack("at_import", "an endless loop while the file is loaded")
def never_loads(*args: Any, **kwargs: Any) -> Any:
    while True:
        pass


@attack("in_one", "os._exit in a call")
def ends_in_call(*args: Any, **kwargs: Any) -> Any:
    import os

    os._exit(0)


@attack("in_one", "sys.exit in a call")
def leaves_in_call(*args: Any, **kwargs: Any) -> Any:
    raise SystemExit(0)


@attack("in_one", "SIGKILL to itself")
def kills_itself(*args: Any, **kwargs: Any) -> Any:
    import os
    import signal

    os.kill(os.getpid(), signal.SIGKILL)


@attack("in_one", "SIGKILL to its parent and to its process group", harmful=True)
def kills_its_parent(*args: Any, **kwargs: Any) -> Any:
    import os
    import signal

    if os.getppid() > 1:
        os.kill(os.getppid(), signal.SIGKILL)
    os.killpg(0, signal.SIGKILL)


@attack("in_one", "a read at address 0")
def crashes(*args: Any, **kwargs: Any) -> Any:
    import ctypes

    ctypes.string_at(0)


@attack("in_one", "recursion without end, with the limit raised")
def recurses(*args: Any, **kwargs: Any) -> Any:
    import sys

    sys.setrecursionlimit(1 << 30)

    class Deep:
        def __repr__(self) -> str:
            return "%r" % (self,)  # noqa: UP031

    return repr(Deep())


@attack("in_one", "an endless loop in Python, every signal and exception swallowed")
def loops(*args: Any, **kwargs: Any) -> Any:
    import signal

    for number in range(1, 32):
        try:
            signal.signal(number, signal.SIG_IGN)
        except (OSError, ValueError):
            continue
    while True:
        try:
            while True:
                pass
        except BaseException:
            continue


@attack("in_one", "an endless loop in C")
def loops_in_c(*args: Any, **kwargs: Any) -> Any:
    import re

    return re.match("(a*)*(a*)*(a*)*b", "a" * 60)


@attack("in_one", "a long sleep")
def sleeps(*args: Any, **kwargs: Any) -> Any:
    import time

    time.sleep(300)


# Using up what the machine has


@attack("in_one", "memory, in one piece and in many")
def takes_memory(*args: Any, **kwargs: Any) -> Any:
    import torch

    kept = []
    while True:
        kept.append(torch.ones(1 << 26))


@attack("in_one", "200 MB of output")
def floods_output(*args: Any, **kwargs: Any) -> Any:
    import os

    for _ in range(200):
        os.write(1, b"x" * (1 << 20))
        os.write(2, b"x" * (1 << 20))


@attack("in_one", "a file that fills the disk")
def fills_disk(*args: Any, **kwargs: Any) -> Any:
    with open("large", "wb") as file:
        for _ in range(1 << 12):
            file.write(bytes(1 << 20))


@attack("in_one", "children that fork children")
def forks(*args: Any, **kwargs: Any) -> Any:
    import os
    import time

    for _ in range(300):
        if os.fork() == 0:
            time.sleep(300)


@attack("beside", "a daemon that outlives its call, in a session of its own")
def leaves_daemon(*args: Any, **kwargs: Any) -> Any:
    import os
    import time

    if os.fork() == 0:
        os.setsid()
        if os.fork() == 0:
            time.sleep(300)
        os._exit(0)


@attack("in_one", "an answer of a gigabyte, in every call")
def answers_at_length(*args: Any, **kwargs: Any) -> Any:
    import torch

    return [torch.zeros(1 << 25) for _ in range(8)]


@attack("in_one", "an answer whose keys all have the same hash, so that a dict of them takes the judge hours")
def answers_with_equal_hashes(*args: Any, **kwargs: Any) -> Any:
    import struct
    import sys

    pairs = ",".join(f"[{(2**61 - 1) * number},0]" for number in range(1, 10_000))
    tree = ('{"k":"dict","of":[' + pairs + "]}").encode()
    sys.modules["graders.worker.worker"]._encode = lambda value: struct.pack("<I", len(tree)) + tree
    return 0


@attack("in_one", "an answer of millions of parts, in every call")
def answers_in_parts(*args: Any, **kwargs: Any) -> Any:
    import struct
    import sys

    tree = b'{"k":"list","of":[' + b"0," * (1 << 18) + b"0]}"
    sys.modules["graders.worker.worker"]._encode = lambda value: struct.pack("<I", len(tree)) + tree
    return 0
