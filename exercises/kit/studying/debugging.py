"""What `--pdb` shows of an exercise that is not right: the frame in which the student's own code ended, never ours."""

import bdb
import contextlib
import sys
from collections.abc import Iterator
from types import FrameType, TracebackType
from typing import Any


class NothingToDebug(bdb.BdbQuit, AssertionError):
    """Not started, or waiting for another exercise: pytest's `--pdb` passes by what has ended a debugger."""


@contextlib.contextmanager
def last_frame(name: str, namespace: dict[str, Any]) -> Iterator[list[TracebackType]]:
    """Keep, as a traceback, the frame in which a function or method of the exercise ended last while this runs."""
    kept: list[TracebackType] = []

    def note(frame: FrameType, event: str, argument: Any) -> None:
        own = event == "return" and frame.f_globals is namespace
        if own and frame.f_code.co_qualname.partition(".")[0] == name:
            kept[:] = [TracebackType(None, frame, frame.f_lasti, frame.f_lineno)]

    earlier = sys.getprofile()
    sys.setprofile(note)
    try:
        yield kept
    finally:
        sys.setprofile(earlier)


def own_frames(error: BaseException | None, namespace: dict[str, Any]) -> TracebackType | None:
    """Return the part of an exception's traceback that lies in the student's code; None if nothing does."""
    frames, trace = [], error.__traceback__ if error is not None else None
    while trace is not None:
        if trace.tb_frame.f_globals is namespace:
            frames.append(trace)
        trace = trace.tb_next
    made = None
    for trace in reversed(frames):
        made = TracebackType(made, trace.tb_frame, trace.tb_lasti, trace.tb_lineno)
    return made
