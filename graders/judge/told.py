"""What is told of a check that did not pass: its outcome, what came instead of the wanted answer, and the mistake behind it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict, is_dataclass
from typing import Any

from exercises.kit.checking.closeness import Mismatch, agree, relative
from graders.collecting.endings import ERROR, FAILED, NOT_STARTED, WorkerEnded
from graders.judge.contract import StudentRaised
from graders.judge.proxy import NotDefined, Values, value_of
from graders.wire import notes

NEEDS_ANOTHER = "needs another"
_SMALL = 1 << 14  # bytes


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


def hint(shown: set[str], slips: list[set[str]], ruled_out: Callable[[], set[str]]) -> str:
    """Return the one slip that explains every failed check, else the one that alone explains the check whose message is shown.

    A slip that explains another check only would stand under a message that it has nothing to do with. Among several, those
    that fail where the student did not are left out.
    """
    for candidates in (set.intersection(*slips), shown):
        likely = candidates - ruled_out() if len(candidates) > 1 else candidates
        if len(likely) == 1:
            return next(iter(likely))
    return ""


def alike(left: bytes, right: bytes, values: Values, known: Values) -> bool:
    """Whether two answers are the same: values up to rounding, exceptions by type.

    right: an answer of the reference or of a slip; small ones are kept decoded in `known`, for all submissions.
    """
    left, right = notes.split(left)[1], notes.split(right)[1]
    if left == right:
        return True
    if left[:1] != right[:1]:
        return False
    try:
        return agree(_outcome(left, values), _outcome(right, known if len(right) <= _SMALL else values), relative(1e-6))
    except Exception:
        return False


def _outcome(reply: bytes, values: Values) -> Any:
    try:
        return _as_data(value_of(reply, values))
    except StudentRaised as raised:
        return raised.kind


def _as_data(value: Any) -> Any:
    """Return the value with the records of models in it as dicts, so that their numbers can be compared."""
    if isinstance(value, list | tuple):
        return type(value)(_as_data(item) for item in value)
    return asdict(value) if is_dataclass(value) and not isinstance(value, type) else value
