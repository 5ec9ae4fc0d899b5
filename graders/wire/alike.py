"""When an answer counts as the right one before any check has looked at it."""

from __future__ import annotations

from graders.wire import schema
from graders.wire.recipes import Unreadable


def is_right(reply: bytes, right: bytes) -> bool:
    """Whether no check can tell an answer from the right one: the same bytes, or an exception of the same type.

    Of an exception, checks see its type and the builtin ones above it (see `contract.raises`); its words and its line are the
    student's own. A stub's exception, of which its source is seen too, has to have the same bytes.
    """
    if reply == right:
        return True
    if reply[:1] != b"!" or right[:1] != b"!":
        return False
    try:
        theirs, ours = schema.exception(reply[1:]), schema.exception(right[1:])
    except Unreadable:
        return False
    return ours["kind"] != "NotImplementedError" and all(theirs[key] == ours[key] for key in ("kind", "bases"))
