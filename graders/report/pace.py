"""How fast verdicts come, and how long the rest takes."""

from __future__ import annotations

from collections import deque

_LAST = 200  # verdicts by which the pace is told: a class is not alike from its begin to its end


class Pace:
    """The mean of what verdicts cost. What was kept from an earlier run, or had something started for it, tells nothing."""

    def __init__(self) -> None:
        self._seconds: deque[float] = deque(maxlen=_LAST)

    def add(self, seconds: float) -> None:
        """Take the seconds by which one verdict prolonged the run; 0 if that tells nothing of others."""
        if seconds > 0:
            self._seconds.append(seconds)

    def left(self, count: int) -> float | None:
        """Return the seconds that `count` more take, None as long as nothing tells."""
        return count * sum(self._seconds) / len(self._seconds) if self._seconds else None

    def told(self, done: int, total: int) -> str:
        """Return a line: how many are done, the pace, and how long the rest takes."""
        left = self.left(total - done)
        if left is None:
            return f"{done} of {total}"
        each = sum(self._seconds) / len(self._seconds)
        pace = f"{1 / each:.1f} a second" if each < 1 else f"{each:.1f} seconds each"
        return f"{done} of {total}, {pace}, about {_span(left)} left"


def _span(seconds: float) -> str:
    if seconds < 90:
        return f"{seconds:.0f} s"
    minutes = round(seconds / 60)
    return f"{minutes} min" if minutes < 90 else f"{minutes // 60} h {minutes % 60} min"
