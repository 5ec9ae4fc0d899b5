"""What runs beside the student's code: load cells, answer calls, and nothing else. No expected value is ever here.

A request is one frame (cells to load, calls to answer); the answers are frames of their own, sent as they come:
`c<number>` a cell begins, `l<json>` loading ended (the errors by cell), `r<answer>` one answer per call.
"""

from __future__ import annotations

import json
import os
import random
import socket
import struct
import sys
import types
from typing import Any

import torch

from exercises.kit.checking.left_behind import Before, named
from exercises.kit.lessons import works_in_place
from graders.wire import codec, notes, recipes
from graders.worker import loading, magics, plans, submission, world
from graders.worker.loading import describe

MAX_FRAME = 1 << 30
_encode, _decode, _dumps, _loads = codec.encode, codec.decode, json.dumps, json.loads
_pack, _unpack = struct.pack, struct.unpack
_seed = random.seed
_torch_seed = torch.default_generator.manual_seed  # torch.manual_seed looks for every other device, too, at each call


def new_namespace() -> dict[str, Any]:
    """Return the namespace of a fresh module for student code, with the names that a notebook offers."""
    magics.offer_colab()
    module = types.ModuleType("submission")
    sys.modules["submission"] = module
    space = module.__dict__
    space.update(
        get_ipython=lambda: magics.Notebook(space), display=lambda *args, **kwargs: None, __file__="submission.py"
    )
    return space


def answer(space: dict[str, Any], request: bytes) -> bytes:
    """Answer one encoded call (name, probe, args, kwargs): `=` and the value, `!` and the exception, `?` and why not readable.

    What the call left behind is noted before the answer (see `notes`); torch's settings are then as they were again.
    Random numbers are the same in every call, so that whoever makes a known mistake with them is recognised.
    """
    before = None
    try:
        _seed(0)
        _torch_seed(0)
        name, probe, args, kwargs = _decode(request)
        if name not in space:
            return b"-" + name.encode()
        function = space[name]
        before = _before(name, args, kwargs)
        value = recipes.cook(probe, (function, *args), kwargs) if probe else function(*args, **kwargs)
        reply = b"=" + _encode(value)
    except recipes.Unreadable as error:
        reply = b"?" + str(error)[:200].encode()
    except BaseException as error:
        reply = b"!" + _dumps(describe(error)).encode()
    return _with_notes(reply, before) if before is not None else reply


def _before(name: str, args: list[Any], kwargs: dict[str, Any]) -> Before:
    """Remember what the call must leave as it is: an exercise that works in place may change what it was given first."""
    watched = named(args, kwargs)
    if works_in_place(name):
        watched = dict(list(watched.items())[1:])
    return Before(watched)


def _with_notes(reply: bytes, before: Before) -> bytes:
    try:
        told = before.differences()
        before.put_back()
    except BaseException as error:  # what is left of an argument cannot be read
        told = [f"an argument cannot be read any more ({type(error).__name__[:80]})"]
    return notes.attach(reply, told)


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


def _unpack_request(payload: bytes) -> tuple[dict[str, Any], list[bytes]]:
    (length,) = _unpack("<I", payload[:4])
    header = _loads(payload[4 : 4 + length])
    calls, at = [], 4 + length
    for size in header["calls"]:
        calls.append(payload[at : at + size])
        at += size
    return header, calls


def serve(connection: socket.socket) -> None:
    """Answer requests until the judge hangs up, each in a namespace of its own, or until one has changed the world."""
    send, receive, run, reply, changed, where = (
        send_frame,
        receive_frame,
        loading.run_cell,
        answer,
        world.changed,
        os.getcwd,
    )
    folder, used = where(), False
    while True:
        header, calls = _unpack_request(receive(connection))
        if "read" in header:
            send(connection, b"l" + _read_file(header["read"], calls[0]))
            continue
        if used and (changed() or where() != folder):
            return
        used, space, errors = True, new_namespace(), {}
        for cell in header["cells"]:
            send(connection, b"c" + str(cell["number"]).encode())
            error = run(cell, space)
            if error is not None:
                errors[cell["number"]] = error
        send(connection, b"l" + _dumps(errors).encode())
        for call in calls:
            send(connection, b"r" + reply(space, call))


def _read_file(header: dict[str, Any], data: bytes) -> bytes:
    """Split a submitted file into cells and plan each exercise of each lesson that is asked for."""
    try:
        cells = submission.read(data, header["notebook"])
    except submission.UnreadableFile as error:
        return json.dumps({"error": str(error)}).encode()
    planned = {lesson: plans.plan(cells, names) for lesson, names in header["lessons"].items()}
    return json.dumps({"lessons": planned}).encode()
