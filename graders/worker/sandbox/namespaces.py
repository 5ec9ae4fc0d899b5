"""Namespaces (Linux, as root or where users may make namespaces of their own): a view of the machine in which nothing else is.

No network, no other process, no device but a few harmless ones, the whole disk read-only but a small scratch folder; every
folder in / but the system's own (home and temporary folders, other checkouts), this project and what the caller hides are empty
but for what Python and the kit need; and a user of its own (as root) with no capability. The layers and their order are those
measured in the Linux manual pages unshare(2), mount_setattr(2), capabilities(7). No capability at all, since the one to read
everything (CAP_DAC_READ_SEARCH) opens files by their inode, below every mount: open_by_handle_at(2).
"""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import graders.worker.sandbox.kernel as kernel
import graders.worker.sandbox.limits as limits
from graders.worker.sandbox.kernel import MS_BIND, MS_NODEV, MS_NOEXEC, MS_NOSUID, MS_PRIVATE, MS_REC, libc, mount

_NEWNS, _NEWUSER, _NEWPID, _NEWNET, _NEWIPC = 0x00020000, 0x10000000, 0x20000000, 0x40000000, 0x08000000
_SYSTEM = {"bin", "dev", "etc", "gnu", "lib", "lib32", "lib64", "libx32", "nix", "proc", "sbin", "snap", "sys", "usr"}
_DEVICES = ("null", "full", "random", "urandom")
_TOLD_OF_KEYS = ("/proc/keys", "/proc/key-users")
_ROOM = "size=64m,nr_inodes=20k"  # what is in no file, their names and places, is the kernel's memory
FIRST_USER, USERS = 1_000_000, 50_000


def users() -> Callable[[int], int]:
    """Return which user a worker is, by its number, of those that this process forks: never one that another process's is.

    The kernel counts processes by user, so that one who starts as many as may be keeps nobody else from starting theirs.
    """
    first = os.getpid() * 101
    return lambda number: FIRST_USER + (first + number) % USERS


def _cover(folder: Path, needed: list[Path]) -> None:
    """Put an empty file system over a folder, in which only what is needed of it stands again, at its place."""
    kept = [(path, os.open(path, os.O_PATH)) for path in needed if folder in path.parents]
    mount("none", str(folder), "tmpfs", MS_NOSUID | MS_NODEV, "size=1m,mode=755")
    for path, descriptor in kept:
        path.mkdir(parents=True, exist_ok=True)
        mount(f"/proc/self/fd/{descriptor}", str(path), None, MS_BIND | MS_REC)
        os.close(descriptor)


def _places_of_people() -> list[Path]:
    """Return the folders in / where people keep things, wherever that is: all but the system's."""
    return [
        path for path in Path("/").iterdir() if path.name not in _SYSTEM and path.is_dir() and not path.is_symlink()
    ]


def _closed(path: Path) -> list[Path]:
    """Return the outermost folder above a path that other users may not enter, if there is one."""
    return [above for above in reversed(path.parents) if not above.stat().st_mode & 0o001][:1]


def _go_on_in_a_child() -> None:
    """Fork; the parent only waits, with no file open, and ends as the child does, or takes it along."""
    pid = os.fork()
    if pid == 0:
        kernel.end_with_parent()
        return
    os.closerange(3, limits.OPEN_FILES)
    os._exit(abs(os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])))


def _private_devices() -> None:
    """Put an empty file system over /dev, with a few devices that hold nothing, and a place for each worker's shared memory."""
    kept = {name: os.open(f"/dev/{name}", os.O_PATH) for name in _DEVICES}
    mount("none", "/dev", "tmpfs", MS_NOSUID | MS_NOEXEC, "size=64k,mode=755")
    for name, descriptor in kept.items():
        Path("/dev", name).touch()
        mount(f"/proc/self/fd/{descriptor}", f"/dev/{name}", None, MS_BIND)
        os.close(descriptor)
    os.mkdir("/dev/shm")
    for name, number in (("fd", ""), ("stdin", "/0"), ("stdout", "/1"), ("stderr", "/2")):
        os.symlink(f"/proc/self/fd{number}", f"/dev/{name}")


class Namespaces:
    """The zygote's side of the `namespaces` tier: entered once, then every worker is forked into its own PID namespace.

    `own_user`: as root, workers run as another user each, who must be able to read what Python needs; else as root without
    capabilities. A caller that is not root goes on in a child: only from a PID namespace of its own may it come back to one.
    """

    def __init__(self, hidden: list[str], scratch: str, needed: list[str], own_user: bool) -> None:
        self.scratch, self.forks, self._users = scratch, 0, users()
        places = {Path(path).resolve() for path in needed}
        self.needed = [path for path in places if not places & set(path.parents)]
        uid, gid = os.getuid(), os.getgid()
        self.own_user = uid == 0 and own_user
        flags = _NEWNS | _NEWNET | _NEWIPC | (0 if uid == 0 else _NEWUSER | _NEWPID)
        kernel.check(libc().unshare(flags), "unshare")
        kernel.need_own_mounts()
        if uid != 0:
            Path("/proc/self/setgroups").write_text("deny")
            Path("/proc/self/uid_map").write_text(f"0 {uid} 1")
            Path("/proc/self/gid_map").write_text(f"0 {gid} 1")
            _go_on_in_a_child()
        mount("none", "/", None, MS_REC | MS_PRIVATE)
        if uid != 0:  # the processes of this PID namespace, for `watch`
            mount("proc", "/proc", "proc", MS_NOSUID | MS_NODEV | MS_NOEXEC)
        _private_devices()
        self._own_pids = os.open("/proc/thread-self/ns/pid", os.O_RDONLY | os.O_CLOEXEC)
        before = os.umask(0o022)
        closed = [folder for path in self.needed for folder in _closed(path)]
        covered = {Path(scratch).parent, *_places_of_people(), *closed, *map(Path, hidden)}
        for folder in sorted(covered, key=lambda path: len(path.parts)):
            if folder.is_dir():
                _cover(folder.resolve(), self.needed)
            elif folder.is_file():
                mount("/dev/null", str(folder), None, MS_BIND)
        Path(scratch).mkdir(parents=True, exist_ok=True)
        os.umask(before)
        mount("none", scratch, "tmpfs", MS_NOSUID | MS_NODEV, f"{_ROOM},mode=700")
        kernel.make_read_only("/")

    def fork(self) -> int:
        """Fork a child that is the first process of a new PID namespace; the caller stays in its own."""
        self.forks += 1
        kernel.check(libc().unshare(_NEWPID), "unshare pid")
        try:
            pid = os.fork()
        except BaseException:
            libc().setns(self._own_pids, _NEWPID)
            raise
        if pid:
            kernel.check(libc().setns(self._own_pids, _NEWPID), "setns")
        return pid

    def enter(self, user: int | None = None) -> None:
        """In the child: a scratch folder, shared memory, a /proc and (as root) a user of its own; then give up every capability.

        user: which one, if not the next one for a worker.
        """
        user = (user or self._users(self.forks)) if self.own_user else 0
        kernel.check(libc().unshare(_NEWNS | _NEWIPC), "unshare mounts")
        os.close(self._own_pids)
        for folder in ("/dev/shm", self.scratch):
            if not os.path.isdir(folder):
                os.makedirs(folder)
            mount("none", folder, "tmpfs", MS_NOSUID | MS_NODEV, f"{_ROOM},mode=700,uid={user},gid={user}")
        mount("proc", "/proc", "proc", MS_NOSUID | MS_NODEV | MS_NOEXEC)
        limits.first_to_go()
        for path in filter(os.path.exists, _TOLD_OF_KEYS):
            mount("/dev/null", path, None, MS_BIND)
        kernel.make_read_only("/proc")  # else an ordinary user could take back what was written to oom_score_adj
        kernel.give_up(user if self.own_user else None)
