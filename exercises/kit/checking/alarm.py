"""An alarm that ends an endless loop in a student's code, also one that catches every exception."""

import contextlib
import signal
import sys
import threading
from collections.abc import Callable, Iterator
from types import FrameType
from typing import Any

_AGAIN = 0.01  # seconds until the next try, while the student's code goes on


def set_alarm(seconds: float, namespace: Callable[[], dict[str, Any] | None], stop: Callable[[], None]) -> Callable:
    """Call `stop`, which raises, after so many seconds and again until the student's code is left; return the cancel.

    namespace: gives the globals of the student's code, or None for no alarm now.  `stop` is called only while a frame
    with these globals is active.  Needs SIGALRM and the main thread, and cannot end a loop inside C.
    """
    earlier = sys.gettrace()

    def ring(signum: int, frame: FrameType | None) -> None:
        names, found = namespace(), False
        while frame is not None:
            if frame.f_globals is names:
                frame.f_trace, found = raise_again, True
            frame = frame.f_back
        if found:
            sys.settrace(lambda *event: None)  # which makes Python heed f_trace
            stop()

    def raise_again(frame: FrameType, event: str, argument: Any) -> Callable:
        """Where an `except:` has swallowed the exception: raise it at that very line, which is outside its `try`."""
        if event == "line":
            stop()
        return raise_again

    def cancel() -> None:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, signal.SIG_DFL)
        sys.settrace(earlier)

    signal.signal(signal.SIGALRM, ring)
    signal.setitimer(signal.ITIMER_REAL, seconds, _AGAIN)
    return cancel


class Stopped(BaseException):
    """The time limit of a check is over."""


@contextlib.contextmanager
def time_limit(seconds: float, namespace: dict[str, Any]) -> Iterator[None]:
    """Interrupt code with these globals by `Stopped` after so many seconds, where an alarm can ring (not on Windows)."""

    def stop() -> None:
        raise Stopped(f">{seconds}s")

    possible = hasattr(signal, "SIGALRM") and threading.current_thread() is threading.main_thread()
    cancel = set_alarm(seconds, lambda: namespace, stop) if possible else lambda: None
    try:
        yield
    finally:
        cancel()
