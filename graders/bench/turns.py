"""Measuring several things in turns, so that a busy machine slows them alike: only ratios of one run say anything."""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable
from typing import Any


def interleaved(what: dict[str, Callable[[], None]], rounds: int, warm: bool = True) -> dict[str, list[float]]:
    """Return the seconds that each took in each of some rounds; `warm`: behind one that does not count."""
    times: dict[str, list[float]] = {name: [] for name in what}
    for run in what.values() if warm else ():
        run()
    for _ in range(rounds):
        for name, run in what.items():
            begun = time.perf_counter()
            run()
            times[name].append(time.perf_counter() - begun)
    return times


def row(lesson: str, what: str, taken: list[float], base: float) -> dict[str, Any]:
    """Return a row of the table: milliseconds, the median of `taken` seconds, and the ratio to `base` seconds."""
    middle = statistics.median(taken)
    return {"lesson": lesson, "what": what, "ms": 1000 * middle, "ratio": middle / base, "rounds": len(taken)}
