"""The trust report for people: a table in the terminal, and a page with the picture of the margins."""

from __future__ import annotations

import math
from functools import partial
from pathlib import Path
from typing import Any

import jinja2
from rich.console import Console
from rich.table import Table
from rich.text import Text

from exercises.kit import pictures
from graders.trust.fairness.outside import CLASSES, counted

_TEMPLATES = Path(__file__).parent / "templates"
_FURTHEST = 1e6  # margins beyond this, on either side, are drawn at the rim
_COLUMNS = ("refused", "proven", "wheats", "slips", "trivial", "right", "wrong", "outside right", "outside wrong")


def show(report: dict[str, Any], console: Console) -> None:
    """Print a table per lesson, the attacks in a line, and the problems."""
    for lesson in report["lessons"]:
        table = Table(title=lesson["lesson"], title_justify="left", box=None, pad_edge=False, header_style="bold")
        table.add_column("exercise", no_wrap=True)
        for column in _COLUMNS:
            table.add_column(column, justify="right", no_wrap=True)
        for exercise in lesson["exercises"]:
            table.add_row(exercise["name"], *cells(exercise))
        table.add_row("in all", *cells(total(lesson["exercises"])), style="bold")
        console.print()
        console.print(table)
    console.print()
    for line in summary(report):
        console.print(Text(line), soft_wrap=True)
    console.print()
    for problem in report["problems"]:
        console.print(Text(f"falls short: {problem}", style="red"), soft_wrap=True)
    verdict = f"{len(report['problems'])} problems" if report["problems"] else "nothing falls short"
    console.print(Text(f"{verdict}, after {report['seconds']:.0f} s", style="bold"))


def cells(exercise: dict[str, Any]) -> list[str]:
    """Return the numbers of an exercise as the table shows them; right and wrong are margins, in units of the tolerance."""
    killed, made, proven = exercise["killed"], exercise["mutants"], exercise["equivalent"]
    trivial = len(exercise["trivial_accepted"])
    right = [margin["right"] for margin in exercise["margins"] if margin["right"] is not None]
    wrong = [margin["wrong"] for margin in exercise["margins"] if margin["wrong"] is not None]
    exact = "" if exercise["margins"] else "exact"
    told = [f"{killed}/{made - proven}", f"{proven}", f"{exercise['wheats']}", f"{exercise['slips']}"]
    told.append("at 0" if not trivial else f"{trivial} !")
    told += [number(max(right)) if right else exact, number(min(wrong)) if wrong else exact]
    return [*told, *(of_class(exercise[f"outside_{kind}"]) for kind in CLASSES)]


def of_class(told: dict[str, Any]) -> str:
    """Say of a class of cases from outside: misjudged of all, and the bound at 95 % where none was; nothing without a case."""
    if not told["cases"]:
        return "none"
    rate = "" if told["bound"] is None else f" ≤ {told['bound']:.2g}"
    return f"{told['failures']}/{told['cases']}{rate}"


def number(value: float) -> str:
    """Write a margin with two digits."""
    return f"{value:.2g}" if value < 100 else f"{value:.0f}" if value < 1e5 else f"{value:.0e}"


def total(exercises: list[dict[str, Any]]) -> dict[str, Any]:
    """Return the sums over exercises, and all their margins."""
    summed: dict[str, Any] = {
        name: sum(exercise[name] for exercise in exercises)
        for name in ("mutants", "killed", "equivalent", "wheats", "slips", "checks")
    }
    for name in ("trivial_accepted", "margins", "survivors"):
        summed[name] = [item for exercise in exercises for item in exercise[name]]
    for kind in CLASSES:
        told = [exercise[f"outside_{kind}"] for exercise in exercises]
        summed[f"outside_{kind}"] = counted(sum(each["cases"] for each in told), sum(each["failures"] for each in told))
    return summed


def summary(report: dict[str, Any]) -> list[str]:
    """Return what the report says beside its tables, in a few lines."""
    lines = []
    for lesson, runs in zip(report["lessons"], report["runs"], strict=True):
        scores = f"solutions {runs['solutions']:g}/{runs['max']:g} twice alike, stubs {runs['stubs']:g}"
        lines.append(f"{lesson['lesson']}: {scores}; variants judged in {len(lesson['settings'])} settings")
    for lesson in report["lessons"]:
        lines.append(
            f"{lesson['lesson']}, from outside: " + ", ".join(map(partial(_outside, lesson["exercises"]), CLASSES))
        )
        lines.append(f"{lesson['lesson']}, kinds of inputs: {kinds_told(lesson['exercises'])}")
    siege = report["siege"]
    ran = [row for row in siege["attacks"] if row["ran"]]
    held, left_out = sum(not row["wrong"] for row in ran), len(siege["attacks"]) - len(ran)
    lines.append(
        f"attacks: {held} of {len(ran)} got what is due and no more; isolation: {siege['isolation']}"
        + (f"; {left_out} that could harm this machine were not tried" if left_out else "")
    )
    worst = siege["worst"]
    lines.append(
        f"one hostile exercise cost {worst['seconds']:g} s and {worst['memory']:g} times an honest one's memory at most"
    )
    return lines


def _outside(exercises: list[dict[str, Any]], kind: str) -> str:
    """Say how many answers from outside of a class were judged as they are, and what follows from it."""
    told = total(exercises)[f"outside_{kind}"]
    rate = "" if told["bound"] is None else f" (at 95 %: at most {told['bound']:.2g})"
    return f"{told['failures']} of {told['cases']} {kind} ones misjudged{rate}"


def kinds_told(exercises: list[dict[str, Any]]) -> str:
    """Say how many cells of the table exercise x kind have a check, and how many do not apply."""
    found = [cell for exercise in exercises for cell in exercise["kinds"].values()]
    covered, left_out = sum("checks" in cell for cell in found), sum("why" in cell for cell in found)
    return f"{covered} covered by a check, {left_out} do not apply, {len(found) - covered - left_out} empty"


def kind_told(cell: dict[str, Any]) -> str:
    """Say of a cell by how many checks its kind is covered, or that it does not apply."""
    return f"{len(cell['checks'])}" if "checks" in cell else "–" if cell else "gap"


def exact(exercises: list[dict[str, Any]]) -> str:
    """Say how many checks have a tolerance at all."""
    checks = sum(exercise["checks"] for exercise in exercises)
    tolerant = sum(len(exercise["margins"]) for exercise in exercises)
    return f"{checks - tolerant} of {checks} checks compare exactly"


def margin_plot(exercises: list[dict[str, Any]]) -> str:
    """Return an HTML picture of all checks with a tolerance: worst right and best wrong answer on a logarithmic axis."""
    rows = [(exercise["name"], margin) for exercise in exercises for margin in exercise["margins"]]
    if not rows:
        return ""
    from matplotlib.figure import Figure

    figure: Any = Figure(figsize=(9, 1.3 + 0.36 * len(rows)), layout="constrained")
    axes = figure.subplots()
    axes.axvline(1, color="#444444", linewidth=1)
    axes.axvspan(1 / _FURTHEST, 1, color=pictures.COLOURS[2], alpha=0.08, linewidth=0)
    said = []
    for height, (name, margin) in enumerate(reversed(rows)):
        for side, colour, marker in (("right", pictures.COLOURS[2], "o"), ("wrong", pictures.COLOURS[1], "X")):
            if margin[side] is not None:
                axes.plot(_on_axis(margin[side]), height, marker, color=colour, markersize=8, clip_on=False)
        said.append(
            f"{name}, {_readable(margin['check'])}: right {_said(margin['right'])}, wrong {_said(margin['wrong'])}"
        )
    axes.set_xscale("log")
    axes.set_xlim(1 / _FURTHEST, _FURTHEST)
    axes.set_ylim(-0.6, len(rows) - 0.4)
    labels = [f"{name}: {_readable(margin['check'])}" for name, margin in reversed(rows)]
    axes.set_yticks(range(len(rows)), labels)
    axes.set_xlabel("distance from the right answer, in units of the tolerance (at the rim: as far or farther)")
    for side, number, marker in (("worst right variant", 2, "o"), ("best wrong mutant or slip", 1, "X")):
        axes.plot([], [], marker, color=pictures.COLOURS[number], label=side)
    figure.legend(loc="outside upper right", ncols=2, frameon=False)
    axes.spines[["top", "right", "left"]].set_visible(False)
    axes.grid(axis="y", linewidth=0.4, alpha=0.5)
    figure.alt = "Margins in units of the tolerance. " + "; ".join(reversed(said))
    return pictures.as_html(figure)


def _on_axis(value: float) -> float:
    return min(max(value, 1 / _FURTHEST), _FURTHEST) if not math.isnan(value) else _FURTHEST


def _readable(check: str) -> str:
    return check.removeprefix("test_").replace("_", " ")


def _said(value: float | None) -> str:
    return "none" if value is None else number(value)


def page(report: dict[str, Any]) -> str:
    """Return the report as one HTML page that needs no other file."""
    environment = jinja2.Environment(
        loader=jinja2.FileSystemLoader(_TEMPLATES), autoescape=True, trim_blocks=True, lstrip_blocks=True
    )
    environment.globals |= {"cells": cells, "total": total, "number": _said, "readable": _readable, "exact": exact}
    environment.globals |= {"kind_told": kind_told, "kinds_told": kinds_told}
    plots = {lesson["lesson"]: margin_plot(lesson["exercises"]) for lesson in report["lessons"]}
    return environment.get_template("trust.html").render(
        report=report, summary=summary(report), plots=plots, columns=_COLUMNS
    )
