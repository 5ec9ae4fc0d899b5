"""Frames on the socket between judge and worker: a length in four bytes, then that many bytes.

A request is one frame (what to do, and the encoded calls). What comes back are frames of their own, sent as they come:
`c<number>` a cell begins, `l<json>` loading ended (the errors by cell), `r<answer>` one answer per call.
"""

from __future__ import annotations

import json
import socket
import struct
from typing import Any

MAX_FRAME = 1 << 30
_pack, _unpack, _loads = struct.pack, struct.unpack, json.loads


def read_exactly(connection: socket.socket, length: int) -> bytes:
    """Read `length` bytes; EOFError when the other side is gone."""
    parts = bytearray()
    while len(parts) < length:
        part = connection.recv(min(length - len(parts), 1 << 20))
        if not part:
            raise EOFError
        parts += part
    return bytes(parts)


def send_frame(connection: socket.socket, payload: bytes) -> None:
    """Send one frame: its length in four bytes, then the payload."""
    connection.sendall(_pack("<I", len(payload)) + payload)


def receive_frame(connection: socket.socket, limit: int = MAX_FRAME) -> bytes:
    """Receive one frame; ValueError if it claims to be longer than `limit`."""
    (length,) = _unpack("<I", read_exactly(connection, 4))
    if length > limit:
        raise ValueError("the frame is too long")
    return read_exactly(connection, length)


def pack_request(header: dict[str, Any], calls: list[bytes]) -> bytes:
    """Return one request frame's payload: a JSON header and the encoded calls."""
    head = json.dumps(header | {"calls": [len(call) for call in calls]}).encode()
    return _pack("<I", len(head)) + head + b"".join(calls)


def unpack_request(payload: bytes) -> tuple[dict[str, Any], list[bytes]]:
    """Return the header and the calls of a request."""
    (length,) = _unpack("<I", payload[:4])
    header = _loads(payload[4 : 4 + length])
    calls, at = [], 4 + length
    for size in header["calls"]:
        calls.append(payload[at : at + size])
        at += size
    return header, calls
