"""Runs a command as an ordinary user, where user namespaces are allowed or forbidden: for tests that root starts."""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
from pathlib import Path

from graders import ROOT
from graders.worker.sandbox import kernel, namespaces

USER = 54321
_NEWNS = 0x20000


def run(arguments: list[str], forbidden: bool = False, seconds: float = 300) -> subprocess.CompletedProcess[str]:
    """Run Python with these arguments as a user without rights. forbidden: no process may make a namespace.

    In a mount namespace of its own, in which what Python needs can be reached by others than root.
    """
    with tempfile.TemporaryDirectory() as home:
        if os.getuid() == 0:
            os.chmod(home, 0o755)
            own = Path(home, "own")
            own.mkdir()
            os.chown(own, USER, USER)
        else:
            own = Path(home)

        def become() -> None:
            if os.getuid() == 0:
                needed = [Path(place).resolve() for place in (sys.prefix, sys.base_prefix, ROOT)]
                kernel.check(kernel.libc().unshare(_NEWNS), "unshare")
                kernel.mount("none", "/", None, kernel.MS_REC | kernel.MS_PRIVATE)
                for closed in {folder for path in needed for folder in namespaces._closed(path)}:
                    namespaces._cover(closed, needed)
                os.setgroups([])
                os.setresgid(USER, USER, USER)
                os.setresuid(USER, USER, USER)
            if forbidden:
                forbid_namespaces()

        environment = {"PATH": os.environ["PATH"], "HOME": str(own), "TMPDIR": str(own), "PYTHONDONTWRITEBYTECODE": "1"}
        return subprocess.run(
            [sys.executable, *arguments], cwd=ROOT, env=environment, preexec_fn=become, text=True, timeout=seconds,
            stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
        )  # fmt: skip


def forbid_namespaces() -> None:
    """As in a container or where the machine's settings say so."""
    import errno

    import pyseccomp

    made = pyseccomp.SyscallFilter(pyseccomp.ALLOW)
    made.add_rule(pyseccomp.ERRNO(errno.EPERM), "unshare")
    kernel.prctl(kernel.NO_NEW_PRIVS, 1)
    made.load()
