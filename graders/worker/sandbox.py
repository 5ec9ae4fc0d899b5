"""What a worker may do. Two tiers; the verdict says which one ran.

`process`: a process of its own with limits on time, memory, file size and open files, and an environment without secrets.
It can still read the disk, use the network and leave the folder it was started in.

`namespaces` (Linux, as root or where users may make namespaces of their own): also no network, no other process in sight,
the whole disk read-only but a small scratch folder; every folder in / but the system's own (home and temporary folders,
other checkouts), this project and what the caller hides are empty but for what Python and the kit need; and a user of its own
(as root) with no capability. The layers and their order are those measured in the Linux manual pages unshare(2),
mount_setattr(2), capabilities(7). No capability at all, since the one to read everything (CAP_DAC_READ_SEARCH) opens files by
their inode, below every mount: open_by_handle_at(2).
"""

from __future__ import annotations

import contextlib
import ctypes
import os
import signal
import sys
from pathlib import Path

if sys.platform != "win32":
    import resource

MEMORY = 4 << 30
FILE_SIZE = 64 << 20
OPEN_FILES = 256
PROCESSES = 64

_NEWNS, _NEWUSER, _NEWPID, _NEWNET, _NEWIPC = 0x00020000, 0x10000000, 0x20000000, 0x40000000, 0x08000000
_MS_REC, _MS_PRIVATE, _MS_NOSUID, _MS_NODEV, _MS_BIND = 16384, 1 << 18, 2, 4, 4096
_MOUNT_SETATTR, _AT_RECURSIVE, _ATTR_RDONLY = 442, 0x8000, 1
_PDEATHSIG, _NO_NEW_PRIVS, _CAPBSET_DROP = 1, 38, 24
_SYSTEM = {"bin", "dev", "etc", "gnu", "lib", "lib32", "lib64", "libx32", "nix", "proc", "sbin", "snap", "sys", "usr"}
_FIRST_USER, _USERS = 1_000_000, 50_000


def _libc() -> ctypes.CDLL:
    return ctypes.CDLL(None, use_errno=True)


def _check(result: int, what: str) -> None:
    if result != 0:
        raise OSError(ctypes.get_errno(), what)


def _mount(source: str, target: str, kind: str | None, flags: int, data: str | None = None) -> None:
    encoded = [value.encode() if value is not None else None for value in (source, target, kind)]
    _check(_libc().mount(*encoded, ctypes.c_ulong(flags), data.encode() if data else None), f"mount {target}")


def _cover(folder: Path, needed: list[Path]) -> None:
    """Put an empty file system over a folder, in which only what is needed of it stands again, at its place."""
    kept = [(path, os.open(path, os.O_PATH)) for path in needed if folder in path.parents]
    _mount("none", str(folder), "tmpfs", _MS_NOSUID | _MS_NODEV, "size=1m,mode=755")
    for path, descriptor in kept:
        path.mkdir(parents=True, exist_ok=True)
        _mount(f"/proc/self/fd/{descriptor}", str(path), None, _MS_BIND | _MS_REC)
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
        _libc().prctl(_PDEATHSIG, signal.SIGKILL, 0, 0, 0)
        return
    os.closerange(3, OPEN_FILES)
    os._exit(abs(os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])))


class Namespaces:
    """The zygote's side of the `namespaces` tier: entered once, then every worker is forked into its own PID namespace.

    `own_user`: as root, workers run as another user each, who must be able to read what Python needs; else as root without
    capabilities. A caller that is not root goes on in a child: only from a PID namespace of its own may it come back to one.
    """

    def __init__(self, hidden: list[str], scratch: str, needed: list[str], own_user: bool) -> None:
        libc = _libc()
        self.scratch, self.forks = scratch, 0
        places = {Path(path).resolve() for path in needed}
        self.needed = [path for path in places if not places & set(path.parents)]
        uid, gid = os.getuid(), os.getgid()
        self.own_user = uid == 0 and own_user
        flags = _NEWNS | _NEWNET | _NEWIPC | (0 if uid == 0 else _NEWUSER | _NEWPID)
        _check(libc.unshare(flags), "unshare")
        if uid != 0:
            Path("/proc/self/setgroups").write_text("deny")
            Path("/proc/self/uid_map").write_text(f"0 {uid} 1")
            Path("/proc/self/gid_map").write_text(f"0 {gid} 1")
            _go_on_in_a_child()
        _mount("none", "/", None, _MS_REC | _MS_PRIVATE)
        self._own_pids = os.open("/proc/thread-self/ns/pid", os.O_RDONLY | os.O_CLOEXEC)
        before = os.umask(0o022)
        closed = [folder for path in self.needed for folder in _closed(path)]
        covered = {Path(scratch).parent, *_places_of_people(), *closed, *map(Path, hidden)}
        for folder in sorted(covered, key=lambda path: len(path.parts)):
            if folder.is_dir():
                _cover(folder.resolve(), self.needed)
            elif folder.is_file():
                _mount("/dev/null", str(folder), None, _MS_BIND)
        Path(scratch).mkdir(parents=True, exist_ok=True)
        os.umask(before)
        _mount("none", scratch, "tmpfs", _MS_NOSUID | _MS_NODEV, "size=64m,mode=700")
        attributes = (ctypes.c_uint64 * 4)(_ATTR_RDONLY, 0, 0, 0)
        _check(libc.syscall(_MOUNT_SETATTR, -100, b"/", _AT_RECURSIVE, ctypes.byref(attributes), 32), "mount_setattr")

    def fork(self) -> int:
        """Fork a child that is the first process of a new PID namespace; the caller stays in its own."""
        libc = _libc()
        self.forks += 1
        _check(libc.unshare(_NEWPID), "unshare pid")
        try:
            pid = os.fork()
        except BaseException:
            libc.setns(self._own_pids, _NEWPID)
            raise
        if pid:
            _check(libc.setns(self._own_pids, _NEWPID), "setns")
        return pid

    def enter(self) -> None:
        """In the child: a scratch folder, a /proc and (as root) a user of its own; then give up every capability."""
        libc = _libc()
        user = _FIRST_USER + self.forks % _USERS if self.own_user else 0
        _check(libc.unshare(_NEWNS | _NEWIPC), "unshare mounts")
        _mount("none", self.scratch, "tmpfs", _MS_NOSUID | _MS_NODEV, f"size=64m,mode=700,uid={user},gid={user}")
        _mount("proc", "/proc", "proc", _MS_NOSUID | _MS_NODEV)
        first_to_go()
        os.close(self._own_pids)
        for capability in range(64):
            if libc.prctl(_CAPBSET_DROP, capability, 0, 0, 0) != 0:
                break
        if self.own_user:
            os.setgroups([])
            os.setresgid(user, user, user)
            os.setresuid(user, user, user)
        header = (ctypes.c_uint32 * 2)(0x20080522, 0)
        _check(libc.capset(header, (ctypes.c_uint32 * 6)()), "capset")

    def check(self) -> None:
        """In the child: raise OSError unless what Python needs can be read."""
        for folder in self.needed:
            os.listdir(folder)
        for name in ("os", "torch", "exercises.kit"):
            Path(str(sys.modules[name].__file__)).read_bytes()


def enter_namespaces(hidden: list[str], scratch: str, needed: list[str]) -> Namespaces | None:
    """Enter the `namespaces` tier in this process, or return None where the machine does not allow it.

    hidden: folders and files that workers must not see. needed: folders that they must, wherever they lie.
    """
    if not sys.platform.startswith("linux") or os.environ.get("GRADERS_TIER") == "process":
        return None
    for own_user in (True, False):
        if _possible(hidden, scratch, needed, own_user):
            return Namespaces(hidden, scratch, needed, own_user)
    return None


def _possible(hidden: list[str], scratch: str, needed: list[str], own_user: bool) -> bool:
    """Try it in a child: half a set of namespaces cannot be left again."""
    pid = os.fork()
    if pid == 0:
        status = 1
        with contextlib.suppress(OSError):
            spaces = Namespaces(hidden, scratch, needed, own_user)
            inner = spaces.fork()
            if inner == 0:
                with contextlib.suppress(OSError):
                    spaces.enter()
                    spaces.check()
                    os._exit(0)
                os._exit(1)
            status = os.waitstatus_to_exitcode(os.waitpid(inner, 0)[1])
        os._exit(status)
    return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == 0


def first_to_go() -> None:
    """In the worker: of all processes this one is ended first when the machine runs out of memory, before the judge."""
    with contextlib.suppress(OSError):
        Path("/proc/self/oom_score_adj").write_text("1000")


def tasks() -> int:
    """Return how many threads this user has in sight: the limit on processes counts those of all the user's programs."""
    count, user = 0, os.getuid()
    for folder in Path("/proc").glob("[0-9]*"):
        with contextlib.suppress(OSError):
            count += len(os.listdir(folder / "task")) if folder.stat().st_uid == user else 0
    return count


def limit(others: int = 0) -> None:
    """In the worker: a process group of its own, an end with its parent, and limits that it cannot raise.

    others: how many threads count besides its own, where it shares its user with other programs.
    """
    os.setsid()
    if sys.platform.startswith("linux"):
        libc = _libc()
        libc.prctl(_PDEATHSIG, signal.SIGKILL, 0, 0, 0)
        libc.prctl(_NO_NEW_PRIVS, 1, 0, 0, 0)
        resource.setrlimit(resource.RLIMIT_DATA, (MEMORY, MEMORY))
    for kind, value in (
        (resource.RLIMIT_CORE, 0),
        (resource.RLIMIT_FSIZE, FILE_SIZE),
        (resource.RLIMIT_NOFILE, OPEN_FILES),
        (resource.RLIMIT_NPROC, others + PROCESSES),
    ):
        with contextlib.suppress(ValueError, OSError):
            resource.setrlimit(kind, (value, value))
