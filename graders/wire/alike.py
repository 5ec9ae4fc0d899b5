"""When an answer counts as the right one before any check has looked at it."""

from __future__ import annotations

from functools import lru_cache

from graders.wire import schema
from graders.wire.recipes import Unreadable

_KEPT = 2000  # bytes of an exception that is kept: honest ones have some hundred


def is_right(reply: bytes, right: bytes) -> bool:
    """Whether no check can tell an answer from the right one: the same bytes, or an exception of the same type.

    Of an exception, checks see its type and the builtin ones above it (see `contract.raises`); its words and its line are the
    student's own. A stub's exception, of which its source is seen too, has to have the same bytes.
    """
    if reply == right:
        return True
    if reply[:1] != b"!" or right[:1] != b"!":
        return False
    ours = _type(right)
    theirs = _type(reply) if len(reply) <= _KEPT else _type.__wrapped__(reply)
    return ours is not None and ours[0] != "NotImplementedError" and theirs == ours


@lru_cache(2048)  # the same exceptions come again and again
def _type(reply: bytes) -> tuple[str, tuple[str, ...]] | None:
    """Return the type and the bases of an exception, None where it cannot be read."""
    try:
        told = schema.exception(reply[1:])
    except Unreadable:
        return None
    return told["kind"], tuple(told["bases"])
