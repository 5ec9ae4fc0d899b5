"""Ways to files that are not a worker's, and to devices."""
# ruff: noqa: SIM105
# mypy: ignore-errors

from __future__ import annotations

from typing import Any


def read_solutions(told: dict[str, Any]) -> list[str]:
    """read solutions: and hidden tests"""
    import os

    found = []
    for path in told["solutions"]:
        try:
            with open(path) as file:
                file.read(1)
            found.append(f"read {path}")
        except OSError:
            pass
        try:
            if os.path.basename(path) in os.listdir(os.path.dirname(path)):
                found.append(f"listed {os.path.dirname(path)}")
        except OSError:
            pass
    return found


def read_seed(told: dict[str, Any]) -> list[str]:
    """read seed: the gradebook and the verdicts"""
    found = []
    for path in told["secrets"]:
        try:
            with open(path) as file:
                file.read(1)
            found.append(f"read {path}")
        except OSError:
            pass
    return found


def read_another_submission(told: dict[str, Any]) -> list[str]:
    """read another submission: in its folder, or what its worker left"""
    import os

    found = []
    try:
        with open(told["submission"]) as file:
            file.read(1)
        found.append(f"read {told['submission']}")
    except OSError:
        pass
    for folder in (told["scratch"], "/dev/shm", "/tmp", "/var/tmp"):
        try:
            for name in os.listdir(folder):
                for path in (f"{folder}/{name}", f"{folder}/{name}/note"):
                    if name == "note" or path.endswith("/note"):
                        with open(path) as file:
                            if file.read() == "left by another exercise":
                                found.append(f"read {path}")
        except OSError:
            continue
    return found


def write_outside(told: dict[str, Any]) -> list[str]:
    """write outside: of the scratch folder; also rights, times, names and lengths of files there"""
    import ctypes
    import os

    for folder in told["folders"]:  # whether anything came of this is looked at from outside
        try:
            os.close(os.open(f"{folder}/{told['name']}", os.O_CREAT | os.O_WRONLY))
        except OSError:
            pass
    path = told["target"]
    libc = ctypes.CDLL(None)
    for attempt in (
        lambda: os.chmod(path, 0o777),
        lambda: os.chmod(os.path.dirname(path), 0o777),
        lambda: os.truncate(path, 0),
        lambda: os.close(os.open(path, os.O_RDONLY | os.O_TRUNC)),
        lambda: os.utime(path, (0, 0)),
        lambda: os.setxattr(path, "user.graders", b"x"),
        lambda: os.rename(path, path + "-moved"),
        lambda: os.link(path, path + "-linked"),
        lambda: os.remove(path),
        lambda: os.symlink(path, path + "-symlink"),
        lambda: libc.rename(path.encode(), b"taken"),
    ):
        try:
            attempt()
        except OSError:
            pass
    return []


def devices(told: dict[str, Any]) -> list[str]:
    """devices: all but null, full, random, urandom; the machine's shared memory"""
    import glob
    import os

    found = []
    names = "zero kmsg kvm fuse vsock userfaultfd mem port loop-control loop0 vda sda nvme0n1 net/tun input/event0 ptmx hwrng"
    for path in [*(f"/dev/{name}" for name in names.split()), *glob.glob("/dev/tty*"), *glob.glob("/dev/vcs*")]:
        for flags in (os.O_RDONLY, os.O_WRONLY):
            try:
                os.close(os.open(path, flags | os.O_NONBLOCK | os.O_NOCTTY))
                found.append(f"opened {path}")
            except OSError:
                pass
    if os.path.exists(told["shared"]):
        try:
            with open(told["shared"]) as file:
                file.read()
            found.append(f"read {told['shared']}")
        except OSError:
            pass
    for name in ("null", "full", "random", "urandom"):
        with open(f"/dev/{name}", "rb"):
            pass
    return found


def terminal(told: dict[str, Any]) -> list[str]:
    """terminal: writing to the one of who grades, typing into it"""
    import fcntl
    import glob
    import os

    found = []
    for path in {told["terminal"], "/dev/tty", "/dev/console", *glob.glob("/dev/pts/*")}:
        try:
            descriptor = os.open(path, os.O_RDWR | os.O_NOCTTY | os.O_NONBLOCK)
        except OSError:
            continue
        found.append(f"opened {path}")
        if path == told["terminal"]:
            try:
                fcntl.ioctl(descriptor, 0x5412, b"#")
                found.append(f"typed into {path}")
            except OSError:
                pass
    return found
