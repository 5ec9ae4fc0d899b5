"""What hostile submissions cost a class: `python -m graders.bench.hostile [COUNT]`.

Grades COUNT right submissions (100) with one process, and then the same class in which every fifth is an attack instead, drawn
from those that the siege of `trust` tries, with the limits that hold in earnest. Says how many times as long that takes, and which
of them took most.
"""

from __future__ import annotations

import json
import random
import sys
import tempfile
from pathlib import Path

from rich.console import Console
from rich.table import Table

from graders.bench.scale import LESSON, graded
from graders.trust.attacks import Attack, corpus
from graders.trust.attacks.texts import honest, text_of

EVERY = 5  # one of so many is hostile
_SLOWEST = 5


def drawn(count: int) -> list[Attack]:
    """Return so many attacks of the bank, the same each time; no one twice before each has come once."""
    dice, found = random.Random(0), list[Attack]()
    while len(found) < count:
        bank = list(corpus())
        dice.shuffle(bank)
        found += bank
    return found[:count]


def write(folder: Path, count: int, attacks: list[Attack]) -> None:
    """Write a class of right submissions; the attacks take the place of every fifth."""
    right, waiting = honest(LESSON), list(attacks)
    for number in range(count):
        text = text_of(waiting.pop(), LESSON, right) if waiting and number % EVERY == 0 else right
        place = folder / f"s{number:05}"
        place.mkdir(parents=True)
        (place / f"{LESSON}.py").write_text(f"{text}\n# {number}\n", encoding="utf-8", errors="surrogatepass")


def seconds_of(output: Path) -> dict[str, float]:
    """Return what the exercises of each student took."""
    told = map(json.loads, (output / "verdicts.jsonl").read_text(encoding="utf-8").splitlines())
    return {one["student"]: sum(each["seconds"] for each in one["exercises"]) for one in told}


def main(count: int) -> int:
    """Print how many times as long a class takes with attacks in it; 0 if each submission has its verdict."""
    attacks = drawn(count // EVERY)
    with tempfile.TemporaryDirectory() as folder:
        place = Path(folder)
        write(place / "calm", count, [])
        write(place / "hostile", count, attacks)
        calm, hostile = (graded(place / name, place / f"{name}_out", 1).ends for name in ("calm", "hostile"))
        spent = seconds_of(place / "hostile_out")
    table = Table(box=None, show_header=False)
    table.add_row(f"seconds for {count} right submissions", f"{calm[-1]:.0f}")
    table.add_row(f"seconds with {len(attacks)} attacks among them", f"{hostile[-1]:.0f}")
    table.add_row("times as long", f"{hostile[-1] / calm[-1]:.2f}")
    by_student = {f"s{EVERY * at:05}": attack.name for at, attack in enumerate(reversed(attacks))}
    for student in sorted(by_student, key=lambda name: -spent.get(name, 0.0))[:_SLOWEST]:
        table.add_row(f"seconds of {by_student[student]}", f"{spent.get(student, 0.0):.1f}")
    Console().print(table)
    return int(len(spent) < count)


if __name__ == "__main__":
    sys.exit(main(int(sys.argv[1]) if len(sys.argv) > 1 else 100))
