"""`grades.csv`: one row per student and lesson, one column per exercise that occurs."""

from __future__ import annotations

import csv
import os
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from graders.collecting.endings import one_line


def write_csv(verdicts: Iterable[dict[str, Any]], path: Path) -> None:
    """Write the table in one go, so that a run that is killed leaves the old one."""
    rows = list(verdicts)
    names = list(dict.fromkeys(exercise["name"] for row in rows for exercise in row["exercises"]))
    unfinished = path.with_suffix(".part")
    with unfinished.open("w", newline="", encoding="utf-8", errors="backslashreplace") as file:
        table = csv.writer(file)
        table.writerow(["student", "lesson", "status", "score", "max_score", "reason", *names])
        for row in rows:
            scores = {exercise["name"]: exercise["score"] for exercise in row["exercises"]}
            told = [
                row["student"],
                row["lesson"] or "",
                row["status"],
                row["score"],
                row["max_score"],
                row.get("reason") or row.get("collision") or "; ".join(row.get("unread", [])),
            ]
            table.writerow([harmless(value) for value in told] + [scores.get(name, "") for name in names])
    os.replace(unfinished, path)


def harmless(value: Any) -> Any:
    """Return a cell that no spreadsheet takes for a formula, of one line, without control and bidirectional characters."""
    if not isinstance(value, str):
        return value
    text = one_line(value, len(value))
    return f"'{text}" if text[:1] in ("=", "+", "-", "@") or value[:1] in ("\t", "\r") else text
