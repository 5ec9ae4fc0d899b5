"""The calls to Linux that neither Python nor a kept package makes: prctl, mount, capset, and a few by their number.

By ctypes, because they are a line each: Python has no unshare before 3.12 and no mount at all, and the packages that join them
(sandlock) need Landlock ABI 6, which the kernels of Debian 12 and Ubuntu 24.04 do not have.
"""

from __future__ import annotations

import contextlib
import ctypes
import functools
import os
import platform
import sys

PDEATHSIG, NO_NEW_PRIVS, CAPBSET_DROP, SECCOMP = 1, 38, 24, 22
MS_RDONLY, MS_NOSUID, MS_NODEV, MS_NOEXEC, MS_BIND, MS_REC, MS_PRIVATE = 1, 2, 4, 8, 4096, 16384, 1 << 18
_MOUNT_SETATTR, _AT_RECURSIVE, _ATTR_RDONLY = 442, 0x8000, 1
_KEYCTL = {"x86_64": 250, "aarch64": 219, "riscv64": 219}
_JOIN_SESSION_KEYRING = 1
READ_ALL = 1 << 1 | 1 << 2  # the capabilities to pass by the rights of files: DAC_OVERRIDE, DAC_READ_SEARCH

LINUX = sys.platform.startswith("linux")


def _mounts() -> str:
    """Return the name of this process's mount namespace, "" where there is none."""
    with contextlib.suppress(OSError):
        return os.readlink("/proc/self/ns/mnt")
    return ""


_FIRST_MOUNTS = _mounts()
_has_left = False


@functools.cache
def libc() -> ctypes.CDLL:
    """Return the C library, with errno kept for each call."""
    return ctypes.CDLL(None, use_errno=True)


def check(result: int, what: str) -> int:
    """Return the result of a call; OSError with the text `what` if it failed."""
    if result < 0:
        raise OSError(ctypes.get_errno(), f"{what}: {os.strerror(ctypes.get_errno())}")
    return result


def prctl(option: int, *values: int) -> None:
    """Change something of this process; OSError if that is refused."""
    arguments = [ctypes.c_ulong(value) for value in (*values, 0, 0, 0, 0)[:4]]
    check(libc().prctl(option, *arguments), f"prctl {option}")


def mount(source: str, target: str, kind: str | None, flags: int, data: str | None = None) -> None:
    """Mount, as mount(2). OSError where that would be for the whole machine, whoever calls this, and why ever."""
    need_own_mounts()
    encoded = [value.encode() if value is not None else None for value in (source, target, kind)]
    check(libc().mount(*encoded, ctypes.c_ulong(flags), data.encode() if data else None), f"mount {target}")


def need_own_mounts() -> None:
    """Raise OSError unless this process, or one that forked it, has left the mounts that it began with.

    Once is enough: nothing goes back, and a namespace that has gone leaves its name to the next one.
    """
    global _has_left
    _has_left = _has_left or _mounts() != _FIRST_MOUNTS
    if not _has_left:
        raise OSError("this process has no mounts of its own")


def make_read_only(folder: str) -> None:
    """Make every mount at and below a folder read-only; device nodes and sockets stay usable."""
    need_own_mounts()
    attributes = (ctypes.c_uint64 * 4)(_ATTR_RDONLY, 0, 0, 0)
    path = os.fsencode(folder)
    told = libc().syscall(_MOUNT_SETATTR, -100, path, _AT_RECURSIVE, ctypes.byref(attributes), 32)
    check(told, f"mount_setattr {folder}")


def join_new_keyring() -> None:
    """Leave the session keyring of who grades for a new, empty one; no kernel without keys is told apart from one with."""
    number = _KEYCTL.get(platform.machine())
    if number is not None:
        libc().syscall(number, _JOIN_SESSION_KEYRING, None)


def give_up(user: int | None, keep: int = 0) -> None:
    """Become another user, and give up every capability but those in the mask `keep`, for good, whatever is executed later."""
    for capability in range(64):
        if not keep >> capability & 1 and libc().prctl(CAPBSET_DROP, capability, 0, 0, 0) != 0:
            break
    if user is not None:
        os.setgroups([])
        os.setresgid(user, user, user)
        os.setresuid(user, user, user)
    header, mask = (ctypes.c_uint32 * 2)(0x20080522, 0), keep & 0xFFFFFFFF
    check(libc().capset(header, (ctypes.c_uint32 * 6)(mask, mask, 0, 0, 0, 0)), "capset")


def end_with_parent() -> None:
    """Have this process killed when the one that forked it ends."""
    with contextlib.suppress(OSError):
        prctl(PDEATHSIG, 9)
