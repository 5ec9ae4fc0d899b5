"""How a check that did not pass is told: its outcome, and what came instead of the wanted answer."""

from __future__ import annotations

from exercises.kit.checking.closeness import Mismatch
from graders.collecting.endings import ERROR, FAILED, NOT_STARTED, WorkerEnded
from graders.judge.contract import StudentRaised
from graders.judge.proxy import NotDefined

NEEDS_ANOTHER = "needs another"


def told(error: Exception, name: str) -> tuple[str, list[str]]:
    """Return the outcome and the lines that tell what happened instead of the wanted answer."""
    if isinstance(error, WorkerEnded):
        return error.outcome, [f"got    {error}"]
    if isinstance(error, NotDefined):
        return NOT_STARTED, [f"got    no definition of {error}"]
    if isinstance(error, Mismatch):
        return FAILED, [f"got    {error.got}", f"want   {error.want}"]
    if not isinstance(error, StudentRaised):
        return FAILED, ["got    an answer of another form than asked for"]
    if error.kind == "NotImplementedError" and error.source.startswith("raise NotImplementedError"):
        owner, _, method = error.function.partition(".")
        if owner != name:
            return NEEDS_ANOTHER, [f"got    nothing: it needs {owner} first"]
        if method in ("", "__init__"):
            return NOT_STARTED, ["got    nothing yet"]
        return NEEDS_ANOTHER, [f"got    nothing: {error.function} is not written yet"]
    return ERROR, [f"got    {error}"]
