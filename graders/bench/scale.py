"""What a large class costs, and that none of it is lost: `python -m graders.bench.scale [COUNT]`.

Grades COUNT submissions (1,000), half of them right and half of them with half of their answers wrong, with one process, with two,
and disturbed: a judging process is killed at every 50 verdicts, the command itself twice. All three give the same verdicts.
"""

from __future__ import annotations

import contextlib
import json
import random
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import psutil
from rich.console import Console
from rich.table import Table

from graders import ROOT
from graders.bench.mistaken import half_wrong

LESSON = "l2_data_types"
FEW, EVERY = 50, 50
_FIRST = 10  # verdicts that are not counted: the start
_LOOK = 0.05


class Run(NamedTuple):
    """How a run went: when each verdict was there, in seconds, and the memory (MiB) of the command and of who judges.

    `after`: the same of the command behind the last verdict, when it writes tables and pages, at each look.
    """

    ends: list[float]
    memory: list[tuple[float, float]]
    after: list[tuple[float, float]]

    def each(self, count: int) -> float:
        """Return the seconds of one verdict among the first `count`."""
        return (self.ends[count - 1] - self.ends[_FIRST - 1]) / (count - _FIRST)


def write(folder: Path, count: int, lesson: str = LESSON) -> None:
    """Write a class: every other submission is right, half of the answers of the others are wrong."""
    solution = (ROOT / "solutions" / f"{lesson}.py").read_bytes()
    dice = random.Random(0)
    for number in range(count):
        place = folder / f"s{number:05}"
        place.mkdir(parents=True)
        data = half_wrong(lesson, dice, str(number)) if number % 2 else solution + f"# {number}\n".encode()
        (place / f"{lesson}.py").write_bytes(data)


def graded(
    handed_in: Path, output: Path, workers: int, disturb: Callable[[int, psutil.Process], None] | None = None
) -> Run:
    """Grade a class; `disturb` gets the number of verdicts and the process of the command whenever there are more."""
    command = [sys.executable, "-m", "graders", "grade", str(handed_in), f"--output={output}", f"--workers={workers}"]
    process = psutil.Popen([*command, "--seed=bench"], cwd=ROOT, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    begun, book, run = time.monotonic(), output / "verdicts.jsonl", Run([], [], [])
    while True:
        running = process.poll() is None
        count = book.read_bytes().count(b"\n") if book.exists() else 0
        if running and count > len(run.ends):
            run.ends.extend([time.monotonic() - begun] * (count - len(run.ends)))
            run.memory.extend([_memory(process)] * (len(run.ends) - len(run.memory)))
            run.after.clear()
            if disturb is not None:
                disturb(count, process)
        elif running and run.ends:
            run.after.append((time.monotonic() - begun, _memory(process)[0]))
        elif not running:
            run.ends.extend([time.monotonic() - begun] * (count - len(run.ends)))
            return run
        time.sleep(_LOOK)


def _memory(process: psutil.Process) -> tuple[float, float]:
    own, judging = 0.0, 0.0
    with contextlib.suppress(psutil.Error):  # it has just ended
        own = process.memory_info().rss / 2**20
        for child in process.children(recursive=True):
            with contextlib.suppress(psutil.Error):  # so has this worker
                if "spread.processes" in " ".join(child.cmdline()):
                    judging = max(judging, child.memory_info().rss / 2**20)
    return own, judging


def disturbed(handed_in: Path, output: Path, every: int, kills: list[int]) -> int:
    """Grade a class with two processes; one is killed every so many verdicts, and the command at those of `kills`.

    Return how many processes were killed.
    """
    dice, killed, due = random.Random(0), 0, every
    kills = list(kills)

    def disturb(count: int, process: psutil.Process) -> None:
        nonlocal killed, due
        if kills and count >= kills[0]:
            kills.pop(0)
            process.kill()
            killed += 1
        elif count >= due:
            due += every
            with contextlib.suppress(psutil.Error, IndexError):  # it may be over
                dice.choice(process.children()).kill()
                killed += 1

    while True:
        left = len(kills)
        graded(handed_in, output, 2, disturb)
        if len(kills) == left:
            return killed


def verdicts(output: Path) -> dict[str, Any]:
    """Return what is said of each student, times aside."""
    told = map(json.loads, (output / "verdicts.jsonl").read_text(encoding="utf-8").splitlines())
    return {
        one["student"]: [(each["outcome"], each["score"], each["message"], each["hint"]) for each in one["exercises"]]
        for one in told
    }


def main(count: int) -> int:
    """Print what a class of `count` costs; 0 if no verdict was lost or another one."""
    with tempfile.TemporaryDirectory() as folder:
        place = Path(folder)
        write(place / "in", count)
        one, two = (graded(place / "in", place / f"out{workers}", workers) for workers in (1, 2))
        killed = disturbed(place / "in", place / "out", EVERY, [count // 3, 2 * count // 3])
        calm = verdicts(place / "out1")
        size = sum(path.stat().st_size for path in (place / "out1").rglob("*")) / 1024 / count
        same = calm == verdicts(place / "out2") == verdicts(place / "out")
    after = one.after or [(one.ends[-1], 0.0)]  # it was over before anybody looked
    rows = [
        (f"seconds each, {FEW} submissions", f"{one.each(FEW):.3f}"),
        (f"seconds each, {count} submissions", f"{one.each(count):.3f}"),
        ("ratio of the two", f"{one.each(count) / one.each(FEW):.2f}"),
        ("two processes instead of one", f"{one.each(count) / two.each(count):.2f} times as fast"),
        (
            f"MiB of the command, {FEW} and {count}",
            " and ".join(f"{one.memory[at - 1][0]:.0f}" for at in (FEW, count - 1)),
        ),
        (
            f"MiB of who judges, {FEW} and {count}",
            " and ".join(f"{one.memory[at - 1][1]:.0f}" for at in (FEW, count - 1)),
        ),
        ("seconds each for tables and pages, at the end", f"{(after[-1][0] - one.ends[-1]) / count:.4f}"),
        ("MiB of the command while it writes them", f"{max(memory for _, memory in after):.0f}"),
        ("KiB of the disk each", f"{size:.1f}"),
        ("students without a verdict", str(count - len(calm))),
        (f"the same verdicts with {killed} processes killed", "yes" if same else "NO"),
    ]
    table = Table(box=None, show_header=False)
    for row in rows:
        table.add_row(*row)
    Console().print(table)
    return int(not same or len(calm) < count)


if __name__ == "__main__":
    sys.exit(main(int(sys.argv[1]) if len(sys.argv) > 1 else 1000))
