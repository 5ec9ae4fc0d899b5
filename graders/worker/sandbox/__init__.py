"""What a worker may do. Three tiers; the verdict says which one ran, `python -m graders selfcheck` what it stops here.

`namespaces`: nothing else of the machine is in sight (`namespaces`). `landlock`: the machine is in sight, but the kernel keeps
the worker from files, signals and sockets of others (`landlock`). `process`: a process of its own, which can read and write
what the user who grades can. In each: limits (`limits`, `watch`), a keyring of its own and an allowlist of system calls
(`seccomp`); where the library for that is missing, the tier's name says so.
"""

from __future__ import annotations

import contextlib
import os
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

from graders.wire.tiers import TIERS, UNFILTERED
from graders.worker.sandbox import kernel, limits, seccomp, watch
from graders.worker.sandbox.kernel import LINUX
from graders.worker.sandbox.landlock import SIGNALS, TRUNCATION, Grants, abi
from graders.worker.sandbox.limits import OPEN_FILES, limit, limit_files, tasks
from graders.worker.sandbox.namespaces import Namespaces, users

__all__ = ["LINUX", "OPEN_FILES", "Sandbox", "abi", "beside_others", "enter", "limit", "limit_files", "tasks", "watch"]

COUNT_EVERY = 1.0  # seconds that a count of the user's other threads is good for


class Sandbox:
    """What the zygote has entered or looked up, once, for all workers that it forks."""

    def __init__(self, tier: str, hidden: list[str], scratch: str, needed: list[str], own_user: bool) -> None:
        self.scratch, self.forks, self._users = scratch, 0, users()
        self.own_user = own_user and os.getuid() == 0
        self.grants = Grants(hidden, needed) if tier == "landlock" else None
        known = self.grants.abi if self.grants else SIGNALS
        closed = self.grants is not None
        self.program = seccomp.program(closed, known >= SIGNALS, known >= TRUNCATION) if LINUX else None
        self.spaces = Namespaces(hidden, scratch, needed, self.own_user) if tier == "namespaces" else None
        self.tier = tier + ("" if self.program else UNFILTERED)
        self._addresses = limits.address_space() if LINUX else 0
        self._others, self._counted = 0, -COUNT_EVERY

    def fork(self) -> int:
        """Fork a worker; it has to `settle`."""
        self.forks += 1
        if self.spaces is None and time.monotonic() > self._counted + COUNT_EVERY:
            self._others, self._counted = limits.tasks(), time.monotonic()
        return self.spaces.fork() if self.spaces else os.fork()

    def settle(self) -> None:
        """In the worker: go to a scratch folder of its own and give up, for good, what a worker may not. OSError if refused."""
        if self.spaces:
            self.spaces.enter()
            _move_to(self.scratch)
            limits.limit(
                0, self._addresses
            )  # after the change of user, which would clear the signal that comes with the parent's end
        else:
            self._settle_beside_others()
        if LINUX:
            kernel.join_new_keyring()
        if self.program:
            seccomp.apply(self.program)

    def _settle_beside_others(self) -> None:
        limits.first_to_go()
        own = tempfile.mkdtemp(dir=self.scratch)
        others = self._others
        if LINUX and os.getuid() == 0:
            user = self._users(self.forks) if self.own_user else None
            if user is not None:
                os.chmod(self.scratch, 0o711)
                os.chown(own, user, user)
                others = 0
            kernel.give_up(user, 0 if self.grants else kernel.READ_ALL)
        _move_to(own)
        limits.limit(others, self._addresses)
        if self.grants:
            self.grants.restrict(own)


def _move_to(folder: str) -> None:
    os.chdir(folder)
    os.environ.update(HOME=folder, TMPDIR=folder)
    tempfile.tempdir = None  # what was found before


def enter(hidden: list[str], scratch: str, needed: list[str]) -> Sandbox:
    """Enter the best tier that this machine allows, or the one that GRADERS_TIER names, as far as it does.

    hidden: folders and files that workers must not see. needed: folders that they must, wherever they lie.
    """
    wanted = os.environ.get("GRADERS_TIER", TIERS[0])
    for tier in TIERS[TIERS.index(wanted) :] if LINUX else ():
        for own_user in (True, False) if os.getuid() == 0 and tier != "process" else (False,):
            if _possible(lambda: Sandbox(tier, hidden, scratch, needed, own_user)):  # noqa: B023, called at once
                return Sandbox(tier, hidden, scratch, needed, own_user)
    return Sandbox("process", hidden, scratch, needed, False)


def beside_others(scratch: str, needed: list[str]) -> Sandbox:
    """Return the `landlock` tier for children of this process, which enters nothing itself. Raises OSError without Landlock."""
    made = Sandbox("landlock", [], scratch, needed, own_user=False)
    if not _possible(lambda: made):
        raise OSError(
            "this machine has no Landlock, so that it cannot be tried what functions do of which that is not known"
        )
    return made


def _possible(made: Callable[[], Sandbox]) -> bool:
    """Try it in a child: half a set of namespaces cannot be left again."""
    pid = os.fork()
    if pid == 0:
        status = 1
        with contextlib.suppress(OSError):
            sandbox = made()
            inner = sandbox.fork()
            if inner == 0:
                with contextlib.suppress(OSError):
                    sandbox.settle()
                    _look_around()
                    os._exit(0)
                os._exit(1)
            status = os.waitstatus_to_exitcode(os.waitpid(inner, 0)[1])
        os._exit(status)
    return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == 0


def _look_around() -> None:
    """In a worker: raise OSError unless what Python needs can be read, and its own folder written."""
    for name in ("os", "torch", "exercises.kit"):
        place = Path(str(sys.modules[name].__file__))
        place.read_bytes()
        os.listdir(place.parent)
    with tempfile.TemporaryFile() as file:
        file.write(b"x")
