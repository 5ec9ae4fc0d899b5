"""`grades.csv`: one row per student and lesson, one column per exercise that occurs."""

from __future__ import annotations

import csv
import os
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

from graders.collecting.endings import one_line

_COLUMNS = (
    "student",
    "lesson",
    "status",
    "score",
    "max_score",
    "reason",
    "late",
    "penalty",
    "overrides",
    "final_score",
)


def write_csv(verdicts: Sequence[dict[str, Any]], path: Path) -> None:
    """Write the table: what was judged, then what it is worth with overrides and late penalty, then the exercises as judged.

    It goes through the verdicts twice, which are read one after the other: a large class would not fit into memory.
    """
    names = list(dict.fromkeys(exercise["name"] for verdict in verdicts for exercise in verdict["exercises"]))
    write_rows(path, (*_COLUMNS, *names), (_row(verdict, names) for verdict in verdicts))


def _row(verdict: dict[str, Any], names: list[str]) -> list[Any]:
    scores = {exercise["name"]: exercise["score"] for exercise in verdict["exercises"]}
    return [
        verdict["student"],
        verdict["lesson"] or "",
        verdict["status"],
        verdict["score"],
        verdict["max_score"],
        verdict.get("reason") or verdict.get("collision") or "; ".join(verdict.get("unread", [])),
        "late" if verdict.get("late") else "",
        penalty(verdict),
        overrides(verdict),
        verdict.get("final_score", verdict["score"]),
        *(scores.get(name, "") for name in names),
    ]


def penalty(verdict: dict[str, Any]) -> str:
    """Say what is taken off for being late, "" if nothing is."""
    taken = verdict.get("penalty")
    return f"{taken['percent']:g} % off, {taken['days']} day{'s' * (taken['days'] > 1)} late" if taken else ""


def overrides(verdict: dict[str, Any]) -> str:
    """Say what an instructor decided instead of the judge, "" if nothing."""
    told = verdict.get("overrides", {}).items()
    return "; ".join(
        f"{name} {one['score']:g}" + (f" ({one['reason']})" if one["reason"] else "") for name, one in told
    )


def write_rows(path: Path, header: Iterable[str], rows: Iterable[Iterable[Any]]) -> None:
    """Write a CSV file in one go, so that a run that is killed leaves the old one."""
    unfinished = path.with_suffix(".part")
    with unfinished.open("w", newline="", encoding="utf-8", errors="backslashreplace") as file:
        table = csv.writer(file)
        table.writerow(header)
        table.writerows([harmless(value) for value in row] for row in rows)
    os.replace(unfinished, path)


def harmless(value: Any) -> Any:
    """Return a cell that no spreadsheet takes for a formula, of one line, without control and bidirectional characters."""
    if not isinstance(value, str):
        return value
    text = one_line(value, len(value))
    return f"'{text}" if text[:1] in ("=", "+", "-", "@") or value[:1] in ("\t", "\r") else text
