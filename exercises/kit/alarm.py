"""An alarm that ends an endless loop in a student's code, also one that catches every exception."""

import signal
from collections.abc import Callable
from types import FrameType
from typing import Any

_AGAIN = 0.001  # seconds until the next try, when an `except:` swallowed the last


def set_alarm(seconds: float, namespace: Callable[[], dict[str, Any] | None], stop: Callable[[], None]) -> Callable:
    """Call `stop`, which raises, after so many seconds and again until the student's code is left; return the cancel.

    namespace: gives the globals of the student's code.  Only while one of its frames is active anything is raised.  Needs
    SIGALRM and the main thread, and cannot end a loop inside C.
    """

    def ring(signum: int, frame: FrameType | None) -> None:
        names = namespace()
        while frame is not None and frame.f_globals is not names:
            frame = frame.f_back
        signal.setitimer(signal.ITIMER_REAL, _AGAIN if frame is not None else 0.1)
        if frame is not None:
            stop()

    def cancel() -> None:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, signal.SIG_DFL)

    signal.signal(signal.SIGALRM, ring)
    signal.setitimer(signal.ITIMER_REAL, seconds)
    return cancel
