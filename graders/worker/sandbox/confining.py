"""Giving up rights for good, for a process that decides: it reads what is needed to judge, and writes its scratch folder alone.

The means are those of workers, without their limits: it is our code, and what is kept from it is what a mistake in it could
reach. As root it is another user, where that user can read what is needed; else root without any capability.
"""

from __future__ import annotations

import os
import tempfile
from collections.abc import Iterator
from importlib.util import find_spec
from pathlib import Path

from graders import ROOT
from graders.wire import tiers
from graders.worker.sandbox import kernel, seccomp
from graders.worker.sandbox.landlock import SIGNALS, TRUNCATION, Grants
from graders.worker.sandbox.namespaces import FIRST_USER, Namespaces

USER = FIRST_USER - 1  # no worker's
_OURS = ("graders", "solutions", "exercises")
_CLOCKS = "/proc"  # what the kernel tells of workers (see `collecting.deadlines`)


def confine(hidden: list[str], scratch: str, needed: list[str]) -> str:
    """Give up what this machine allows to give up; return as whom this process goes on, and in which tier.

    hidden: folders and files that cannot be seen from then on. needed: folders that can be read.
    """
    for tier, user in _ways():
        if kernel.LINUX and _possible(tier, user, hidden, scratch, needed):
            filtered = _give_up(tier, user, hidden, scratch, needed)
            whom = "0 without capabilities" if _uid == 0 and user is None else user or _uid
            return f"uid {whom}, {tier}{'' if filtered else tiers.UNFILTERED}"
    return f"uid {_uid}, not confined"


_uid = os.getuid() if hasattr(os, "getuid") else -1  # in a user namespace it would be another one


def _ways() -> Iterator[tuple[str, int | None]]:
    wanted = os.environ.get(tiers.CHOSEN, tiers.TIERS[0])
    for tier in tiers.TIERS[tiers.TIERS.index(wanted) :] if wanted in tiers.TIERS else ():
        if _uid == 0:
            yield tier, USER
        if tier != "process":
            yield tier, None


def _possible(tier: str, user: int | None, hidden: list[str], scratch: str, needed: list[str]) -> bool:
    """Try it in a child, which looks whether it can still read what is needed."""
    pid = os.fork()
    if pid == 0:
        status = 1
        try:
            _give_up(tier, user, hidden, scratch, needed)
            status = 0 if _can_judge() else 1
        finally:
            os._exit(status)
    return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == 0


def _give_up(tier: str, user: int | None, hidden: list[str], scratch: str, needed: list[str]) -> bool:
    """Do so, for good; return whether system calls are filtered, too. OSError if something is refused."""
    grants = Grants(hidden, [*needed, _CLOCKS]) if tier == "landlock" else None
    known = grants.abi if grants else SIGNALS
    program = seccomp.program(grants is not None, known >= SIGNALS, known >= TRUNCATION)
    if tier == "namespaces":
        spaces = Namespaces(hidden, scratch, needed, user is not None)
        spaces.enter(user)
    elif _uid == 0:
        os.chown(scratch, user or 0, user or 0)
        kernel.give_up(user)
    kernel.prctl(kernel.NO_NEW_PRIVS, 1)
    kernel.end_with_parent()
    os.chdir(scratch)
    os.environ.update(HOME=scratch, TMPDIR=scratch)
    tempfile.tempdir = None  # what was found before
    if grants:
        grants.restrict(scratch)
    kernel.join_new_keyring()
    if program:
        seccomp.apply(program)
    return program is not None


def _refused(error: OSError) -> None:
    raise error  # which `os.walk` would pass by


def _can_judge() -> bool:
    """Whether Python, its libraries and all of our own files can be read, and the scratch folder written."""
    places = [Path(os.__file__), *(Path(str(spec.origin)) for spec in [find_spec("torch")] if spec)]
    for folder in _OURS:
        for above, below, names in os.walk(ROOT / folder, onerror=_refused):
            below[:] = [name for name in below if name != "__pycache__"]
            places += [Path(above, name) for name in names]
    with tempfile.TemporaryFile() as file:
        file.write(b"x")
    return all(os.access(place, os.R_OK) for place in places)
