"""`python -m graders selfcheck`: what each isolation tier really stops on this machine, tried from inside a worker."""

from __future__ import annotations

import contextlib
import ctypes
import inspect
import os
import platform
import pty
import signal
import socket
import subprocess
import sys
import tempfile
import textwrap
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from graders import ROOT
from graders.collecting import processes
from graders.judge.proxy import value_of
from graders.trust import breaches
from graders.trust.breaches import deciding
from graders.trust.breaches.found import Tier, name_of
from graders.wire import codec, notes, tiers
from graders.worker import sandbox

MEMORY = 768  # MiB for a worker, so that a check of the limit asks for little
SECONDS = 40.0
_ADD_KEY, _KEYCTL = (248, 250) if platform.machine() == "x86_64" else (217, 219)
_USER_KEYRING, _INVALIDATE = -4, 21


def selfcheck(names: list[str] | None = None, markdown: bool = False) -> int:
    """Print a line per tier and promise; return 0 if all that is promised is held. markdown: print the manual's table."""
    if markdown:
        print(table())
        return 0
    landlock = sandbox.abi()
    print(
        f"Linux {platform.release()}, Landlock ABI {landlock or 'none'}, user {os.getuid()}"
        if sandbox.LINUX
        else sys.platform
    )
    held = True
    for name in names or tiers.TIERS:
        found = check(name)
        found.say()
        held = held and found.held
    print("\neverything that is promised is held" if held else "\nnot everything that is promised is held")
    return 0 if held else 1


def check(name: str, only: tuple[Any, ...] = breaches.ALL) -> Tier:
    """Try all promises in workers of one tier."""
    with _machine() as (told, hidden), _environment(GRADERS_TIER=name, GRADERS_MEMORY=str(MEMORY)):
        zygote = processes.Zygote(hidden=hidden)
        try:
            zygote.warm()
            if zygote.tier.removesuffix(tiers.UNFILTERED) != name:
                return Tier(name, f"workers would run as {zygote.tier}")
            found = Tier(zygote.tier)
            told |= {"scratch": zygote.scratch, "pids": [told["sleeper"], zygote.pid]}
            _ask(zygote, _leave_a_note, told)
            for promise in only:
                found.broken[name_of(promise)] = _broken(lambda *about: _ask(zygote, *about), promise, told)
            found.deciding = deciding.check(told, hidden, lambda ask, promise: _broken(ask, promise, told))
            return found
        finally:
            zygote.close()
            _taken_away(Path("/dev/shm/note"))


def _broken(ask: Callable[..., list[str]], promise: Any, told: dict[str, Any]) -> list[str]:
    """Return how a promise was broken, as the one who tried tells it (`ask`) and as it is seen from outside."""
    before = _state(told["target"])
    seconds = 3.0 if promise is breaches.time_ else SECONDS
    try:
        found = ask(promise, told, seconds)
    except processes.WorkerEnded as ended:
        ends = {breaches.time_: "timeout"} | dict.fromkeys([*breaches.MEMORY, breaches.processes], "killed")
        found = [] if ends.get(promise) == ended.outcome else [f"not known, the worker ended: {ended}"]
    if promise is breaches.write_outside:
        found += [
            f"wrote in {folder}" for folder in dict.fromkeys(told["folders"]) if _taken_away(Path(folder, told["name"]))
        ]
        found += [f"changed {told['target']}"] if _state(told["target"]) != before else []
    if promise is breaches.services and _arrived(told["inbox"]):
        found.append(f"sent a datagram to {told['datagrams']}")
    if promise is breaches.other_processes and _stays(told["name"]):
        found.append("left a process behind")
    return found


def _leave_a_note(told: dict[str, Any]) -> list[str]:
    for place in ("note", "/dev/shm/note"):
        try:
            with open(place, "w") as file:
                file.write("left by another exercise")
        except OSError:
            continue
    return []


def _ask(zygote: processes.Zygote, function: Any, told: dict[str, Any], seconds: float = SECONDS) -> list[str]:
    """Call a function, as text, in a fresh worker. Raises WorkerEnded."""
    source = "from typing import Any\n\n\n" + textwrap.dedent(inspect.getsource(function))
    cell = {"source": source, "line": 1, "number": 1, "flags": 0}
    plain = {name: value for name, value in told.items() if isinstance(value, (str, int, list))}
    call = codec.encode([function.__name__, "", [plain], {}], True)
    worker, limit = zygote.take(), processes.CALL_SECONDS
    try:
        worker.send({"cells": [cell]}, [call])
        processes.CALL_SECONDS = seconds
        deadline = processes.Deadline(seconds)
        frames = [worker.receive(deadline) for _ in range(3)]
    finally:
        processes.CALL_SECONDS = limit
        worker.kill()
    return value_of(notes.split(frames[2][1:])[1])


@contextlib.contextmanager
def _environment(**values: str) -> Iterator[None]:
    before = {name: os.environ.get(name) for name in values}
    os.environ.update(values)
    try:
        yield
    finally:
        for name, value in before.items():
            os.environ.pop(name)
            if value is not None:
                os.environ[name] = value


@contextlib.contextmanager
def _machine() -> Iterator[tuple[dict[str, Any], tuple[str, ...]]]:
    """Put on this machine what a worker should not reach; yield what is told about it, and the folders to hide."""
    with contextlib.ExitStack() as stack:
        place = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="graders-selfcheck-")))
        output, handed_in = place / "output", place / "submitted"
        for path in (output / ".seed", output / "gradebook.db", output / "target", handed_in / "ann" / "l2.py"):
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text("secret")
        inet = stack.enter_context(socket.create_server(("127.0.0.1", 0)))
        shared, abstract = f"/dev/shm/graders-selfcheck-{os.getpid()}", f"graders-selfcheck-{os.getpid()}"
        for address in ("\0" + abstract, str(place / "socket")):
            listening = stack.enter_context(socket.socket(socket.AF_UNIX))
            listening.bind(address)
            listening.listen()
        inbox = stack.enter_context(socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM))
        inbox.bind(str(place / "inbox"))
        inbox.setblocking(False)
        if os.path.isdir("/dev/shm"):
            Path(shared).write_text("secret")
            stack.callback(os.remove, shared)
        master, slave = pty.openpty()
        stack.callback(os.close, master)
        stack.callback(os.close, slave)
        waits = [
            sys.executable,
            "-c",
            "import sys; sys.stdin.read()",
            "graders-selfcheck",
        ]  # for the end of this process
        sleeper = subprocess.Popen(waits, stdin=subprocess.PIPE, stdout=subprocess.DEVNULL)
        stack.callback(sleeper.wait)
        stack.callback(sleeper.kill)
        stack.callback(_with_a_key())
        folders = [
            ROOT,
            ROOT / "exercises" / "kit",
            Path.cwd(),
            Path.home(),
            "/",
            "/tmp",
            "/var/tmp",
            "/dev/shm",
            place,
            output,
        ]
        lessons = [*(ROOT / "solutions").glob("l*.py"), *(ROOT / "graders" / "lessons").glob("*/*.py")]
        yield (
            {
                "solutions": list(map(str, lessons)),
                "secrets": [str(output / ".seed"), str(output / "gradebook.db")],
                "submission": str(handed_in / "ann" / "l2.py"),
                "target": str(output / "target"),
                "folders": list(map(str, folders)),
                "port": inet.getsockname()[1],
                "abstract": abstract,
                "path": str(place / "socket"),
                "datagrams": str(place / "inbox"),
                "inbox": inbox,
                "shared": shared,
                "terminal": os.ttyname(slave),
                "sleeper": sleeper.pid,
                "name": f"left-{os.getpid()}",
                "memory": MEMORY << 20,
            },
            (str(ROOT), str(output), str(handed_in)),
        )


def _with_a_key() -> Any:
    """Put a key into the keyring of this user; return what takes it away."""
    if not sandbox.LINUX:
        return lambda: None
    call = ctypes.CDLL(None).syscall
    key = call(_ADD_KEY, b"user", b"graders-selfcheck", b"secret", 6, _USER_KEYRING)
    return lambda: call(_KEYCTL, _INVALIDATE, key) if key > 0 else None


def _state(path: str) -> Any:
    """Return all of a file and its folder that somebody could change."""
    about = os.stat(path) if os.path.exists(path) else None
    folder = os.stat(os.path.dirname(path))
    own = (about.st_mode, about.st_size, about.st_mtime, about.st_nlink, os.listxattr(path)) if about else None
    return own, folder.st_mode, sorted(os.listdir(os.path.dirname(path)))


def _arrived(inbox: socket.socket) -> bool:
    with contextlib.suppress(BlockingIOError):
        return bool(inbox.recv(1))
    return False


def _taken_away(path: Path) -> bool:
    """Whether there was such a file; it is removed."""
    there = path.exists()
    path.unlink(missing_ok=True)
    return there


def _stays(name: str) -> bool:
    """Whether a process of this name still runs a second after its worker was ended; it is killed then."""
    end = time.monotonic() + 1
    while found := [
        path for path in Path("/proc").glob("[0-9]*/stat") if f"({name}) " in _text(path).replace(") Z", "")
    ]:
        if time.monotonic() > end:
            for path in found:
                os.kill(int(path.parent.name), signal.SIGKILL)
            return True
        time.sleep(0.05)
    return False


def _text(path: Path) -> str:
    with contextlib.suppress(OSError):
        return path.read_text().strip()
    return ""


def table() -> str:
    """Return what each tier promises, as the manual's Markdown table."""
    lines = ["| | " + " | ".join(f"`{tier}`" for tier in tiers.TIERS) + " |", "|---" * (1 + len(tiers.TIERS)) + "|"]
    for promise in breaches.ALL:
        name, _, more = str(promise.__doc__).partition(": ")
        cells = ["stopped" if promise in breaches.PROMISED[tier] else "**not stopped**" for tier in tiers.TIERS]
        lines.append(f"| **{name}**: {more} | " + " | ".join(cells) + " |")
    return "\n".join(lines)
