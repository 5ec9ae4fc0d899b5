"""Reference and slips in a worker that holds no student code: for calls whose arguments contain a student's answer.

Such a call may be anything: the judge's own process runs nothing on it. In the sandbox it can reach what a submission can.
"""

from __future__ import annotations

import inspect
import json
import struct

from graders.collecting.deadlines import Deadline
from graders.collecting.endings import WorkerEnded
from graders.collecting.processes import CALL_SECONDS, Zygote
from graders.judge.contract import slips_of
from graders.judge.recording import Lesson

_SLIPS = """
import sys, types

def module(name, **content):
    made = sys.modules[name] = types.ModuleType(name)
    vars(made).update(content)
    return made

module("solutions")
module("solutions.LESSON", **globals())
module("graders.judge")
module("graders.judge.contract", slip=lambda exercise, sentence: lambda function: function)
exec(compile(SOURCE, "slips", "exec"), vars(slips := module("slips")))
globals().update({"slip " + name: value for name, value in vars(slips).items()})
"""


class Apart:
    """Asks a fresh worker with a lesson's solutions, and one with its slips too."""

    def __init__(self, zygote: Zygote, lesson: Lesson) -> None:
        self._zygote, self._lesson = zygote, lesson
        self._left = CALL_SECONDS

    def begin(self) -> None:
        """Begin another exercise: all that it asks here together has the time of one call."""
        self._left = CALL_SECONDS

    def right(self, call: bytes) -> bytes:
        """Return the reference's answer. Raises WorkerEnded."""
        return self._ask([inspect.getsource(self._lesson.solution)], [call])[0]

    def slips(self, exercise: str, call: bytes) -> list[tuple[str, bytes]]:
        """Return the sentences of an exercise's slips with their answers. Raises WorkerEnded."""
        lesson = self._lesson
        known = [one for one in slips_of(lesson.slips) if one.exercise == exercise] if lesson.slips else []  # type: ignore[attr-defined]
        if not known or lesson.slips is None:
            return []
        glue = _SLIPS.replace("LESSON", lesson.name).replace("SOURCE", repr(inspect.getsource(lesson.slips)))
        calls = [_renamed(call, f"slip {one.__name__}") for one in known]
        replies = self._ask([inspect.getsource(lesson.solution), glue], calls)
        return [(one.sentence, reply) for one, reply in zip(known, replies, strict=True)]  # type: ignore[attr-defined]

    def _ask(self, sources: list[str], calls: list[bytes]) -> list[bytes]:
        if self._left <= 0:
            raise WorkerEnded("timeout", "the exercise's time was used up")
        worker, deadline = self._zygote.take(), Deadline(self._left)
        try:
            cells = [{"source": text, "line": 1, "number": at, "flags": 0} for at, text in enumerate(sources, 1)]
            worker.send({"cells": cells}, calls)
            frames = [worker.receive(deadline) for _ in [*cells, "loaded", *calls]]
            if frames[len(cells)] != b"l{}":
                raise WorkerEnded("killed", "the reference could not be loaded")
            return [frame[1:] for frame in frames[len(cells) + 1 :]]
        finally:
            self._left = deadline.left
            worker.kill()


def _renamed(call: bytes, name: str) -> bytes:
    """Return a call that was encoded here as one of another function."""
    (length,) = struct.unpack_from("<I", call)
    tree = json.loads(call[4 : 4 + length])
    tree["of"][0] = name
    head = json.dumps(tree, separators=(",", ":")).encode()
    return struct.pack("<I", len(head)) + head + call[4 + length :]
