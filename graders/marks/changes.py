"""`changes.csv`: every mark that moved since it was last given, and what moved it. Rows are added, none is taken away."""

from __future__ import annotations

import csv
from collections.abc import Iterable, Iterator
from datetime import datetime
from pathlib import Path
from typing import Any

from graders.marks.scoring import mark
from graders.report.table import write_rows

FILE = "changes.csv"
COLUMNS = ("student", "lesson", "exercise", "old", "new", "check", "why", "when")
Verdict = dict[str, Any]


def moved(old: Verdict, new: Verdict) -> Iterator[dict[str, Any]]:
    """Yield a row for each exercise whose mark is another one now, and one without exercise if the late penalty is."""
    before, after = _exercises(old), _exercises(new)
    where = {"student": new["student"], "lesson": new["lesson"] or ""}
    for name in dict.fromkeys([*before, *after]):
        left, right = before.get(name), after.get(name)
        marks = _mark(old, left), _mark(new, right)
        if marks[0] == marks[1]:
            continue
        checks, why = "", "does not count now" if left else "counts now"
        if left and right:
            checks = _checks(left, right)
            other_points = not checks and left.get("max_score") != right.get("max_score")
            why = _why(old, new, name, other_points)
        yield where | {"exercise": name, "old": marks[0], "new": marks[1], "check": checks, "why": why}
    taken = [f"{one['penalty']['percent']:g} % off" if "penalty" in one else "" for one in (old, new)]
    if taken[0] != taken[1]:
        yield where | {"exercise": "", "old": taken[0], "new": taken[1], "check": "", "why": "late penalty"}


def add(pairs: Iterable[tuple[Verdict, Verdict]], path: Path) -> int:
    """Add what moved to the file, which is replaced when it is whole; return how many marks did.

    A row that was written by a run which was killed right after is not written twice.
    """
    kept = _read(path)
    last = {_place(row): (row["old"], row["new"]) for row in kept}
    now = datetime.now().astimezone().isoformat(timespec="seconds")
    rows = [_as_text(row | {"when": now}) for old, new in pairs for row in moved(old, new)]
    made = [row for row in rows if last.get(_place(row)) != (row["old"], row["new"])]
    if made:
        write_rows(path, COLUMNS, ([row[name] for name in COLUMNS] for row in [*kept, *made]))
    return len(rows)


def _read(path: Path) -> list[dict[str, str]]:
    if not path.is_file():
        return []
    with path.open(newline="", encoding="utf-8") as file:
        return [{name: row.get(name) or "" for name in COLUMNS} for row in csv.DictReader(file)]


def _as_text(row: dict[str, Any]) -> dict[str, str]:
    return {name: str(row[name]) for name in COLUMNS}


def _place(row: dict[str, str]) -> tuple[str, ...]:
    return row["student"].removeprefix("'"), row["lesson"], row["exercise"]


def _exercises(verdict: Verdict) -> dict[str, Verdict]:
    return {each["name"]: each for each in verdict["exercises"]} | {
        name: {"name": name, "checks": []}
        for name in verdict.get("overrides", {})
        if all(each["name"] != name for each in verdict["exercises"])
    }


def _mark(verdict: Verdict, exercise: Verdict | None) -> str:
    return "" if exercise is None else f"{mark(verdict, exercise):g}"


def _checks(before: Verdict, after: Verdict) -> str:
    """Name the checks that ended in another way, and how: those that are new or gone too."""
    old, new = ({check["name"]: check["outcome"] for check in one["checks"]} for one in (before, after))
    return "; ".join(
        f"{name} ({old.get(name, 'no check')}, now {new.get(name, 'no check')})"
        for name in dict.fromkeys([*old, *new])
        if old.get(name) != new.get(name)
    )


def _why(old: Verdict, new: Verdict, name: str, other_points: bool) -> str:
    overrides = [one.get("overrides", {}).get(name) for one in (old, new)]
    if overrides[0] != overrides[1]:
        return f"override: {overrides[1]['reason']}" if overrides[1] else "the override is gone"
    if other_points:
        return "other points"
    if old["sha256"] != new["sha256"]:
        return "other files were handed in"
    return "the graders changed" if old["environment"]["graders"] != new["environment"]["graders"] else "judged again"
