"""The check that every exercise has without being written: what its calls left behind, as the worker noted it."""

from __future__ import annotations

import inspect
import re
from collections.abc import Callable
from typing import Any

from exercises.kit.checking.closeness import Mismatch
from graders.collecting.endings import WorkerEnded
from graders.judge.checks import Case, Check
from graders.judge.proxy import Proxy
from graders.wire import notes

NAME = "test_leaves_nothing_behind"
SENTENCE = "Nothing is left behind: arguments, torch's settings and hooks are after the call what they were before it."


def check(calls: Callable[[], list[bytes]], solution: Callable | None) -> Check:
    """Return the check for an exercise; `calls` returns those of its other checks, as they were recorded."""

    def leaves_nothing_behind(_: Any, student: Proxy) -> None:
        for call in calls():
            try:
                found = student._left_behind(call)
            except WorkerEnded:  # other checks say so
                continue
            if found:
                probe = student._calls[-1][-1]
                raise Mismatch(got="; ".join(_by_name(note, probe, solution) for note in found), want="no such change")

    made = Check(NAME, SENTENCE, main=False, observed=True, function=leaves_nothing_behind, fixtures=("student",))
    made.cases.append(Case("", {}))
    return made


def notes_of(reply: bytes) -> list[str]:
    """Return what a call left behind, of its answer with notes."""
    return notes.split(reply)[0]


def _by_name(note: str, probe: Callable | None, solution: Callable | None) -> str:
    """Put the names of parameters in place of numbers; a probe's arguments are told as "an argument"."""
    try:
        names = [] if probe is not None or solution is None else list(inspect.signature(solution).parameters)
    except (TypeError, ValueError):
        names = []

    def name(found: re.Match) -> str:
        place = int(found[1]) - 1
        return names[place] if place < len(names) else "an argument"

    return re.sub(r"^argument (\d{1,3})\b", name, note)


def alike(left: bytes, right: bytes) -> bool:
    """Whether two answers left the same behind."""
    return notes_of(left) == notes_of(right)
