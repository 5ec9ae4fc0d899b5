"""When a worker's time is up, and how much of it the machine took away.

A verdict should not depend on what else is running: what a worker waited for a processor is given back, at most its limit once
more. Only the kernel is asked for that (`schedstat`, proc_pid_schedstat(5)): who sleeps does not wait for a processor, and who
queues behind its own threads or children uses the processors itself.
"""

from __future__ import annotations

import contextlib
import os
import time


class Deadline:
    """A limit of some seconds, which can be postponed by as many at most."""

    def __init__(self, seconds: float) -> None:
        self.at = time.monotonic() + seconds
        self._patience = max(seconds, 0.0)

    @property
    def left(self) -> float:
        """The seconds until then; negative afterwards."""
        return self.at - time.monotonic()

    @property
    def passed(self) -> bool:
        return self.left < 0

    def postpone(self, seconds: float) -> None:
        """Give back what the machine took, as far as patience goes."""
        given = min(seconds, self._patience)
        self.at += given
        self._patience -= given


class Clock:
    """What the kernel says of a worker's threads and children, read through a descriptor of its own `/proc` folder.

    `folder` is that of a /proc in which only the worker and its children are (`whole`), or of the worker itself; -1 where there
    is none: then nothing is given back.
    """

    def __init__(self, folder: int, whole: bool = True) -> None:
        self._folder, self._whole = folder, whole
        self._waited: dict[str, float] = {}
        self._looked, self._computed = 0.0, 0.0
        self.look()

    def look(self) -> None:
        """Begin anew: what was taken before does not count."""
        self._looked, self._waited, self._computed = time.monotonic(), *self._read()

    def taken(self) -> float:
        """Return the seconds since the last look that the machine took: waited by one thread, and computed by none."""
        looked, before, computed = self._looked, self._waited, self._computed
        self.look()
        waited = max((now - before.get(task, 0.0) for task, now in self._waited.items()), default=0.0)
        idle = self._looked - looked - (self._computed - computed)
        return max(0.0, min(waited, idle))

    def _read(self) -> tuple[dict[str, float], float]:
        """Return the seconds that each thread has waited in the run queue, and those that all have computed."""
        waited, computed = {}, 0.0
        for process in self._listed(".") if self._whole else ["."]:
            for thread in self._listed(f"{process}/task"):
                numbers = self._text(f"{process}/task/{thread}/schedstat").split()
                if len(numbers) == 3:
                    waited[f"{process}/{thread}"] = int(numbers[1]) / 1e9
            fields = self._text(f"{process}/stat").rpartition(")")[2].split()
            if len(fields) > 14:  # utime, stime, and those of the children that were waited for
                computed += sum(map(int, fields[11:15])) / os.sysconf("SC_CLK_TCK")
        return waited, computed

    def _listed(self, path: str) -> list[str]:
        with contextlib.suppress(OSError):
            folder = os.open(path, os.O_RDONLY | os.O_DIRECTORY, dir_fd=self._folder)
            try:
                return [name for name in os.listdir(folder) if name.isdigit()]
            finally:
                os.close(folder)
        return []

    def _text(self, path: str) -> str:
        with contextlib.suppress(OSError):
            file = os.open(path, os.O_RDONLY, dir_fd=self._folder)
            try:
                return os.read(file, 4096).decode(errors="replace")
            finally:
                os.close(file)
        return ""

    def close(self) -> None:
        if self._folder >= 0:
            os.close(self._folder)
            self._folder = -1
