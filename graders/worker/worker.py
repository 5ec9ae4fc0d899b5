"""What runs beside the student's code: load cells, answer calls, and nothing else. No expected value is ever here.

What goes in and out are frames (see `wire.frames`).
"""

from __future__ import annotations

import asyncio
import builtins
import json
import linecache
import os
import random
import socket
import sys
import types
from typing import Any

import torch

from graders.wire import codec, frames, recipes
from graders.worker import helpers, magics, plans, submission, world

_encode, _decode, _dumps = codec.encode, codec.decode, json.dumps
_seed = random.seed
_torch_seed = torch.default_generator.manual_seed  # torch.manual_seed looks for every other device, too, at each call


def new_namespace() -> dict[str, Any]:
    """Return the namespace of a fresh module for student code, with the names that a notebook offers."""
    module = types.ModuleType("submission")
    sys.modules["submission"] = module
    space = module.__dict__
    space.update(
        get_ipython=lambda: magics.Notebook(space), display=lambda *args, **kwargs: None, __file__="submission.py"
    )
    return space


_COUNTED_IN_THE_FILE: set[str] = set()  # cells of a .py file; lines of a notebook are counted in each cell


def run_cell(cell: dict[str, Any], space: dict[str, Any]) -> dict | None:
    """Run one cell; return the description of its exception, or None."""
    name = f"<cell {cell['number']}>"
    source = "\n" * (cell["line"] - 1) + cell["source"]
    if cell["line"] > 1:
        _COUNTED_IN_THE_FILE.add(name)
    linecache.cache[name] = (len(source), None, [line + "\n" for line in source.split("\n")], name)
    try:
        waiting = eval(compile(source, name, "exec", cell["flags"], dont_inherit=True), space)
        if waiting is not None:  # the cell awaits something itself, as a notebook's may
            asyncio.run(waiting)
    except BaseException as error:
        return describe(error)
    return None


def describe(error: BaseException) -> dict[str, Any]:
    """Return an exception as data: type, builtin types above it, text, and the last frame of the student's code."""
    line, function, source, inside, in_file = None, "", "", False, False
    trace = error.__traceback__
    while trace is not None:
        code = trace.tb_frame.f_code
        inside = code.co_filename.startswith("<cell ")
        if inside:
            line, function = trace.tb_lineno, code.co_qualname
            in_file = code.co_filename in _COUNTED_IN_THE_FILE
            source = linecache.getline(code.co_filename, line).strip()
        trace = trace.tb_next
    try:
        text = str.__str__(str(error))[:120]
    except BaseException:
        text = ""
    bases = [base.__name__ for base in type(error).__mro__ if getattr(builtins, base.__name__, None) is base]
    return {
        "kind": type(error).__name__[:80],
        "bases": bases,
        "text": text.split("\n")[0],
        "line": line,
        "in_file": in_file,
        "function": function,
        "source": source[:200] if inside else "",
    }


def answer(space: dict[str, Any], request: bytes) -> bytes:
    """Answer one encoded call (name, probe, args, kwargs): `=` and the value, `!` and the exception, `?` and why not readable.

    Random numbers are the same in every call, so that whoever makes a known mistake with them is recognised.
    """
    try:
        _seed(0)
        _torch_seed(0)
        name, probe, args, kwargs = _decode(request)
        if name not in space:
            return b"-" + name.encode()
        function = space[name]
        value = recipes.cook(probe, (function, *args), kwargs) if probe else function(*args, **kwargs)
        return b"=" + _encode(value)
    except recipes.Unreadable as error:
        return b"?" + str(error)[:200].encode()
    except BaseException as error:
        return b"!" + _dumps(describe(error)).encode()


def serve(connection: socket.socket) -> None:
    """Answer requests until the judge hangs up, each in a namespace of its own, or until one has changed the world."""
    send, receive, unpack = frames.send_frame, frames.receive_frame, frames.unpack_request
    run, reply, changed, where = run_cell, answer, world.changed, os.getcwd
    folder, used = where(), False
    while True:
        header, calls = unpack(receive(connection))
        if "read" in header:
            send(connection, b"l" + _read_file(header["read"], calls[0]))
            continue
        if used and (changed() or where() != folder):
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
