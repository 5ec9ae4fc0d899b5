"""`leaderboard.csv` and `leaderboard.svg`: what submitted models store and score, with the front, where a lesson measures it."""

from __future__ import annotations

import os
import warnings
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from graders.report.table import write_rows

_COLUMNS = ("student", "exercise", "budget", "bytes", "score", "front")


def write(verdicts: Iterable[dict[str, Any]], folder: Path, pseudonyms: bool = False) -> None:
    """Write both files into the folder, if there is anything to show.

    With `pseudonyms` students are called model 1, model 2, ... in the order of their best scores.
    """
    rows = [
        {"student": verdict["student"], "exercise": exercise, **row}
        for verdict in verdicts
        for exercise, measured in verdict["environment"].get("measured", {}).items()
        for row in measured
    ]
    if not rows:
        return
    rows.sort(key=lambda row: (-row["score"], row["bytes"], row["student"]))
    if pseudonyms:
        numbers = {
            name: f"model {at}" for at, name in enumerate(dict.fromkeys(row["student"] for row in rows), start=1)
        }
        rows = [row | {"student": numbers[row["student"]]} for row in rows]
    best = _front(rows)
    rows = [row | {"front": "yes" if (row["bytes"], row["score"]) in best else ""} for row in rows]
    write_rows(folder / "leaderboard.csv", _COLUMNS, ([row[column] for column in _COLUMNS] for row in rows))
    _picture(rows, sorted(best), folder / "leaderboard.svg")


def _front(rows: list[dict[str, Any]]) -> set[tuple[int, float]]:
    """The (bytes, score) that no other row equals or betters in both and betters in one."""
    best, top = set(), -1.0
    for size, score in sorted({(row["bytes"], row["score"]) for row in rows}, key=lambda pair: (pair[0], -pair[1])):
        if score > top:
            best.add((size, score))
            top = score
    return best


def _picture(rows: list[dict[str, Any]], front: list[tuple[int, float]], path: Path) -> None:
    from matplotlib import rc_context
    from matplotlib.figure import Figure

    figure: Any = Figure(figsize=(9, 5), layout="constrained")
    axes = figure.subplots()
    axes.plot([row["bytes"] for row in rows], [row["score"] for row in rows], "o", color="#0072B2", markersize=6)
    sizes, scores = zip(*front, strict=True)
    axes.step(sizes, scores, where="post", color="#D55E00", linewidth=1.5, label="front: nothing is smaller and better")
    for budget in sorted({row["budget"] for row in rows}):
        axes.axvline(budget, color="0.7", linestyle=":", linewidth=1)
    told: dict[tuple[int, float], list[str]] = {}
    for row in rows:
        names = told.setdefault((row["bytes"], row["score"]), [])
        if row["student"] not in names:
            names.append(row["student"])
    for spot, names in told.items():
        text = ", ".join(names[:3]) + (f" and {len(names) - 3} more" if len(names) > 3 else "")
        axes.annotate(text.replace("$", r"\$")[:60], spot, (4, 5), textcoords="offset points", fontsize=8)
    axes.set_xlabel("stored bytes (dotted: the budgets)")
    axes.set_ylabel("score, 1 / perplexity")
    axes.spines[["top", "right"]].set_visible(False)
    axes.legend(frameon=False, loc="lower right")
    unfinished = path.with_suffix(".part")
    with (
        rc_context({"svg.hashsalt": "leaderboard"}),
        warnings.catch_warnings(),
    ):  # the same picture for the same verdicts
        warnings.simplefilter("ignore")  # of letters of names that the font lacks
        figure.savefig(unfinished, format="svg", metadata={"Date": None})
    os.replace(unfinished, path)
