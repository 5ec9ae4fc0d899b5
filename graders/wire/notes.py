"""What a worker notes beside an answer, and how the two travel: `~`, the notes' length, the notes as JSON, the answer.

An answer without notes has its own bytes alone. Whoever reads notes cannot know who wrote them.
"""

from __future__ import annotations

import json
import struct

from graders.wire import schema
from graders.wire.recipes import Unreadable

MOST, LONGEST = 3, 200


def attach(reply: bytes, notes: list[str]) -> bytes:
    """Return an answer with notes before it."""
    if not notes:
        return reply
    text = json.dumps(notes[:MOST]).encode()
    return b"~" + struct.pack("<I", len(text)) + text + reply


def split(reply: bytes) -> tuple[list[str], bytes]:
    """Return the notes and the answer; notes that cannot be read say so themselves."""
    if reply[:1] != b"~":
        return [], reply
    try:
        (length,) = struct.unpack_from("<I", reply, 1)
        notes = [note[:LONGEST] for note in schema.notes(reply[5 : 5 + length])[:MOST]]
    except (Unreadable, struct.error):
        return ["what it left behind could not be read"], b"?its notes could not be read"
    return notes, reply[5 + length :]
