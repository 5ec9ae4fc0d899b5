"""Which recognised mistake explains an answer."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict, is_dataclass
from typing import Any

from exercises.kit.checking.closeness import relative, same
from graders.judge.contract import StudentRaised
from graders.judge.proxy import Values, value_of
from graders.wire import notes


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


def alike(left: bytes, right: bytes, values: Values) -> bool:
    """Whether two answers are the same: values up to rounding, exceptions by type."""
    left, right = notes.split(left)[1], notes.split(right)[1]
    if left == right:
        return True
    if left[:1] != right[:1]:
        return False
    try:
        same(_outcome(left, values), _outcome(right, values), relative(1e-6))
    except Exception:
        return False
    return True


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
