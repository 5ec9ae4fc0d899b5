"""Ways to other programs, on this machine or elsewhere."""
# ruff: noqa: SIM105
# mypy: ignore-errors

from __future__ import annotations

from typing import Any


def network(told: dict[str, Any]) -> list[str]:
    """network: sockets of every kind but those between processes of one machine"""
    import socket

    found = []
    try:
        socket.create_connection(("127.0.0.1", told["port"]), 2).close()
        found.append(f"connected to port {told['port']}")
    except OSError:
        pass
    # IPv4 and 6, netlink, packets, the kernel's cryptography, a virtual machine's host, XDP
    for kind in (2, 10, 16, 17, 38, 40, 44):
        for shape in (socket.SOCK_STREAM, socket.SOCK_DGRAM, socket.SOCK_RAW):
            try:
                socket.socket(kind, shape).close()
                found.append(f"made a socket of kind {kind}")
            except OSError:
                pass
    return found


def services(told: dict[str, Any]) -> list[str]:
    """services: programs of this machine that listen on a path or a name, such as a desktop's bus or Docker"""
    import socket

    found = []
    for address in ("\0" + told["abstract"], told["path"]):
        try:
            with socket.socket(socket.AF_UNIX) as made:
                made.connect(address)
            found.append(f"connected to {address}".replace("\0", "@"))
        except OSError:
            pass
    for kind in (socket.SOCK_DGRAM, socket.SOCK_SEQPACKET):
        try:
            pair = socket.socketpair(socket.AF_UNIX, kind)
            pair[0].sendmsg([b"x"], [], 0, told["datagrams"])  # whether it arrived is looked at from outside
        except OSError:
            pass
    return found


def other_processes(told: dict[str, Any]) -> list[str]:
    """other processes: read, signalled, changed; what stays behind a worker; names in a keyring"""
    import ctypes
    import os
    import resource
    import signal

    found = []
    for pid in told["pids"]:
        try:
            with open(f"/proc/{pid}/cmdline", "rb") as file:
                if b"graders" not in file.read():
                    continue  # another process that has this number in here
            found.append(f"read /proc/{pid}/cmdline")
        except FileNotFoundError:
            continue  # not in sight
        except OSError:
            pass
        for name in ("environ", "maps", "mem", "fd/0"):
            try:
                open(f"/proc/{pid}/{name}", "rb").close()
                found.append(f"read /proc/{pid}/{name}")
            except OSError:
                pass
        for what, attempt in (
            ("signalled", lambda pid=pid: os.kill(pid, 0)),
            ("limited", lambda pid=pid: resource.prlimit(pid, resource.RLIMIT_CORE, (0, 0))),
            ("slowed down", lambda pid=pid: os.setpriority(os.PRIO_PROCESS, pid, 0)),
            ("moved", lambda pid=pid: os.sched_setaffinity(pid, os.sched_getaffinity(pid))),
        ):
            try:
                attempt()
                found.append(f"{what} process {pid}")
            except OSError:
                pass
    try:
        with open("/proc/keys") as file:
            if "graders-selfcheck" in file.read():
                found.append("read the name of a key of who grades")
    except OSError:
        pass
    if os.fork() == 0:
        try:
            os.setsid()
        except OSError:
            pass
        ctypes.CDLL(None).prctl(
            15, told["name"].encode(), 0, 0, 0
        )  # whether it is still there is looked at from outside
        ctypes.CDLL(None).prctl(1, 0, 0, 0, 0)
        while True:
            signal.pause()
    return found


def keyring(told: dict[str, Any]) -> list[str]:
    """keyring: keys of who grades, and keys left for others"""
    import ctypes
    import platform

    call = ctypes.CDLL(None, use_errno=True).syscall
    number = {"x86_64": 250}.get(platform.machine(), 219)
    found = []
    for keyring in (-3, -4, -5):
        if call(number, 10, keyring, b"user", b"graders-selfcheck", 0) > 0:
            found.append("found a key of who grades")
        if call({"x86_64": 248}.get(platform.machine(), 217), b"user", b"graders-worker", b"x", 1, keyring) > 0:
            found.append("left a key")
    return found
