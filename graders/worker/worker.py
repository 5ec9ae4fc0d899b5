"""What runs beside the student's code: load cells, answer calls, and nothing else. No expected value is ever here.

What goes in and out are frames (see `wire.frames`).
"""

from __future__ import annotations

import json
import os
import random
import socket
import sys
import types
from typing import Any

import torch

from exercises.kit.checking.left_behind import Before, named
from exercises.kit.lessons import works_in_place
from graders.wire import codec, frames, notes, recipes
from graders.worker import helpers, loading, magics, plans, submission, world
from graders.worker.loading import describe

_encode, _decode, _dumps = codec.encode, codec.decode, json.dumps
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


def serve(connection: socket.socket) -> None:
    """Answer requests until the judge hangs up, each in a namespace of its own, or until one has changed the world.

    Names in torch are looked at where the judge asks for it (see `collecting.together`).
    """
    send, receive, unpack = frames.send_frame, frames.receive_frame, frames.unpack_request
    run, reply, changed, where = loading.run_cell, answer, world.changed, os.getcwd
    folder, used = where(), False
    while True:
        header, calls = unpack(receive(connection))
        if "read" in header:
            send(connection, b"l" + _read_file(header["read"], calls[0]))
            continue
        if used and (changed(header.get("look", True)) or where() != folder):
            return
        used, space, errors = True, new_namespace(), {}
        if "files" in header:
            helpers.place(header["files"])
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
