"""What a process that decides could still do, tried in one that has given up its rights as they do."""

from __future__ import annotations

import json
import os
import sys
import tempfile
from collections.abc import Callable
from typing import Any

from graders import ROOT
from graders.trust.breaches import files, machine, neighbours
from graders.trust.breaches.found import name_of
from graders.worker.sandbox import confining

PROMISED = (
    files.read_seed, files.read_another_submission, files.write_outside, neighbours.network, neighbours.services,
    neighbours.keyring, files.devices, machine.namespaces, machine.kernel_calls, files.terminal,
)  # fmt: skip
PROMISING = ("namespaces", "landlock")  # tiers


def check(
    told: dict[str, Any], hidden: tuple[str, ...], broken: Callable[[Callable[..., list[str]], Any], list[str]]
) -> tuple[str, dict[str, list[str]]]:
    """Return as whom a process decides in the tier that the environment names, and by promise what broke it.

    told: what somebody who knows this machine would know. broken: judges what came of one promise, asking for it by its argument.
    """
    unseen = [path for path in hidden if path != str(ROOT)]
    whom = _confined(unseen, lambda: "")[0]
    if not whom.endswith(PROMISING):  # the others promise nothing
        return whom, {}

    def ask(promise: Any, *_: Any) -> list[str]:
        return _confined(unseen, lambda: promise(told))[1]

    return whom, {name_of(promise): broken(ask, promise) for promise in PROMISED}


def _confined(hidden: list[str], act: Callable[[], Any]) -> tuple[str, Any]:
    """Return as whom a child went on after it gave up its rights, and what `act` returned there."""
    needed = [str(ROOT), sys.prefix, sys.base_prefix, *filter(os.path.isdir, sys.path)]
    with tempfile.TemporaryDirectory(prefix="graders-") as scratch, tempfile.TemporaryFile() as answer:
        pid = os.fork()
        if pid == 0:
            try:
                made = [confining.confine(hidden, scratch, needed), act()]
            except BaseException as error:
                made = ["", [f"not known, it ended: {error!r}"]]
            os.write(answer.fileno(), json.dumps(made).encode())
            os._exit(0)
        os.waitpid(pid, 0)
        answer.seek(0)
        whom, found = json.loads(answer.read())
        return whom, found
