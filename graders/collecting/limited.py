"""A limit on what this process computes on a student's data."""

from __future__ import annotations

import contextlib
import math
import signal
import threading
from collections.abc import Callable, Iterator
from typing import Any


@contextlib.contextmanager
def limited(seconds: float, over: Callable[[], Exception]) -> Iterator[None]:
    """Raise `over()` in this thread when it has computed for so long, if it is the one that signals go to.

    It is raised once more each second of computing, so that code which catches it ends all the same; what must not catch it,
    must not know its type.
    """
    main = threading.current_thread() is threading.main_thread()
    if seconds == math.inf or not main or not hasattr(signal, "setitimer"):
        yield
        return

    def stop(*_: Any) -> None:
        raise over()

    before = signal.signal(signal.SIGPROF, stop)
    signal.setitimer(signal.ITIMER_PROF, seconds, 1.0)
    try:
        try:
            yield
        finally:  # which a signal can interrupt; the next one comes a second later
            signal.setitimer(signal.ITIMER_PROF, 0.0)
    finally:
        signal.setitimer(signal.ITIMER_PROF, 0.0)
        signal.signal(signal.SIGPROF, before)
