"""Landlock: what of the disk a process may read and write, without root and without namespaces (Linux 5.13 and newer).

By ctypes: the packages for it are either development versions or ask for a newer kernel than Debian 12's (ABI 2); it is three
system calls. What Landlock does not look at (rights, owners and times of files, sockets with a path, and before ABI 6 signals,
before ABI 3 truncation) is refused by the filter of `seccomp`. See landlock(7) for the numbers.
"""

from __future__ import annotations

import ctypes
import os
import stat
from pathlib import Path

import graders.worker.sandbox.kernel as kernel

_CREATE, _ADD, _RESTRICT, _VERSION, _BENEATH = 444, 445, 446, 1, 1
_EXECUTE, _WRITE_FILE, _READ_FILE, _READ_DIR = 1, 2, 4, 8
_TRUNCATE, _IOCTL_DEV = 1 << 14, 1 << 15
_OF_FILES = _EXECUTE | _WRITE_FILE | _READ_FILE | _TRUNCATE | _IOCTL_DEV
READ = _EXECUTE | _READ_FILE | _READ_DIR
USE_DEVICE = _READ_FILE | _WRITE_FILE
OWN = READ | _WRITE_FILE | 1 << 4 | 1 << 5 | 1 << 7 | 1 << 8 | 1 << 9 | 1 << 10 | 1 << 12 | 1 << 13 | _TRUNCATE
_RIGHTS_BY_ABI = {
    1: (1 << 13) - 1,
    2: (1 << 14) - 1,
    3: (1 << 15) - 1,
    4: (1 << 15) - 1,
}  # 5 and newer: ioctl of devices
SIGNALS, TRUNCATION = 6, 3  # the ABI that looks at them

_SYSTEM = ("/bin", "/sbin", "/usr", "/lib", "/lib32", "/lib64", "/libx32", "/etc", "/gnu", "/nix")
_FACTS = (
    "/proc/cpuinfo",
    "/proc/meminfo",
    "/proc/stat",
    "/proc/version",
    "/proc/filesystems",
    "/sys/devices/system/cpu",
)
_DEVICES = ("/dev/null", "/dev/full", "/dev/random", "/dev/urandom")


def abi() -> int:
    """Return the version of this kernel's Landlock, 0 without it."""
    return max(kernel.libc().syscall(_CREATE, None, 0, _VERSION), 0) if kernel.LINUX else 0


class Grants:
    """What workers may read, looked up once, in the zygote: the system, Python, and what students have.

    needed: folders that can be read, but for what lies in them of `hidden`.
    """

    def __init__(self, hidden: list[str], needed: list[str]) -> None:
        self.abi = abi()
        closed = [Path(path).resolve() for path in hidden]
        folders = {Path(path).resolve() for path in (*_SYSTEM, *needed) if os.path.exists(path)}
        places = [place for folder in sorted(folders) for place in _without(folder, closed)]
        self._read = [os.open(place, os.O_PATH | os.O_CLOEXEC) for place in [*places, *_there(_FACTS)]]
        self._devices = [os.open(place, os.O_PATH | os.O_CLOEXEC) for place in _there(_DEVICES)]

    def restrict(self, own: str) -> None:
        """In the worker: from here on only what is granted, the worker's own folder, and its own process. OSError if refused."""
        handled = _RIGHTS_BY_ABI.get(self.abi, (1 << 16) - 1)
        tcp = 3 if self.abi >= 4 else 0  # bind and connect
        scopes = 3 if self.abi >= SIGNALS else 0  # abstract sockets and signals
        attributes = (ctypes.c_uint64 * 3)(handled, tcp, scopes)
        size = 8 if self.abi < 4 else 16 if self.abi < SIGNALS else 24
        libc = kernel.libc()
        rules = kernel.check(libc.syscall(_CREATE, ctypes.byref(attributes), size, 0), "landlock")
        opened = [os.open(place, os.O_PATH) for place in (own, "/proc/self")]
        for descriptor in self._read:
            _grant(rules, descriptor, READ & handled)
        for descriptor in self._devices:
            _grant(rules, descriptor, USE_DEVICE)
        _grant(rules, opened[0], OWN & handled)
        _grant(rules, opened[1], READ & handled)
        kernel.check(libc.syscall(_RESTRICT, rules, 0), "landlock")
        for descriptor in (rules, *opened):
            os.close(descriptor)


class _Beneath(ctypes.Structure):
    _pack_ = 1
    _fields_ = (("rights", ctypes.c_uint64), ("descriptor", ctypes.c_int32))


def _grant(rules: int, descriptor: int, rights: int) -> None:
    if not stat.S_ISDIR(os.fstat(descriptor).st_mode):
        rights &= _OF_FILES
    beneath = _Beneath(rights, descriptor)
    kernel.check(kernel.libc().syscall(_ADD, rules, _BENEATH, ctypes.byref(beneath), 0), "landlock")


def _there(places: tuple[str, ...]) -> list[Path]:
    return [Path(place) for place in places if os.path.exists(place)]


def _without(folder: Path, hidden: list[Path]) -> list[Path]:
    """Return a folder, or where something hidden lies in it, all else that does: Landlock takes nothing away below a grant."""
    below = [path for path in hidden if folder in path.parents]
    if not below:
        return [folder]
    kept = [child for child in folder.iterdir() if child not in hidden and not child.is_symlink()]
    return [place for child in kept for place in _without(child, below)]
