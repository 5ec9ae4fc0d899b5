"""What an instructor sees in the terminal while submissions are graded, and afterwards."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Iterable
from typing import Any

from rich.console import Console
from rich.markup import escape
from rich.progress import BarColumn, Progress, TextColumn
from rich.table import Table
from rich.text import Text

from graders.collecting.endings import one_line
from graders.report.pace import Pace
from graders.report.table import overrides, penalty

LONGEST = 30
LINE_SECONDS = 10.0  # between two lines on how far it is, where there is no terminal
_OUTCOMES = ("passed", "failed", "error", "timeout", "memory", "killed", "not started")
_WIDE = 10_000  # characters: a sentence on what was lost is shown whole


class Screen:
    """A progress bar while grading (a line now and then where there is no terminal), then a table, and all that needs a look."""

    def __init__(self, console: Console | None = None) -> None:
        self.console = console or Console()
        columns = (TextColumn("grading"), BarColumn(), TextColumn("{task.description}"))
        self.progress = Progress(*columns, console=self.console, transient=True, disable=not self.console.is_terminal)
        self.lost = False  # whether something that was handed in has no verdict yet that can be relied on
        self._task: Any = None
        self.pace, self._done, self._told = Pace(), 0, time.monotonic()
        self.cohort: Any = None

    def __enter__(self) -> Screen:
        self.progress.start()
        return self

    def __exit__(self, *ended: object) -> None:
        self.progress.stop()

    def gathered(self, cohort: Any) -> None:
        """Say how the people were told apart, before anything is judged."""
        self.cohort = cohort
        for note in cohort.notes:
            self._line(note, "dim")

    def note(self, sentence: str) -> None:
        """Say something about the run."""
        self._line(sentence, "dim")

    def each(self, verdict: dict[str, Any], total: int) -> None:
        """Show that there is one more verdict of `total`, and how long the rest takes."""
        self._done += 1
        told = self.pace.told(self._done, total)
        if self.console.is_terminal:
            self._task = self.progress.add_task("") if self._task is None else self._task
            shown = f"{told}  {escape(one_line(verdict['student'], LONGEST))}"
            self.progress.update(self._task, total=total, completed=self._done, description=shown)
        elif time.monotonic() - self._told >= LINE_SECONDS and self._done < total:
            self._told = time.monotonic()
            self._line(told, "dim")

    def summary(self, verdicts: Iterable[dict[str, Any]], folder: str) -> None:
        """Print a row per student and lesson (the first of many), then all that could not be graded or needs a look."""
        table = Table(box=None, pad_edge=False, header_style="bold")
        table.add_column("student", overflow="fold", max_width=LONGEST)
        table.add_column("lesson", no_wrap=True)
        table.add_column("score", justify="right", no_wrap=True)
        table.add_column("", overflow="fold")
        tiers = set()
        counts: Counter[bool] = Counter()
        look = []
        for at, verdict in enumerate(verdicts):
            graded = verdict["status"] == "graded"
            counts[graded] += 1
            tiers |= {verdict["environment"]["isolation"]} if graded else set()
            look += _to_look_at(verdict)
            if at < LONGEST:
                lesson = verdict["lesson"] or "-"
                table.add_row(
                    Text(one_line(verdict["student"])), lesson, _score(verdict), Text(one_line(_outcomes(verdict)))
                )
        self.console.print(table)
        if counts.total() > LONGEST:
            self._line(f"… and {counts.total() - LONGEST} more", "dim")
        self.lost = bool(look or (self.cohort and self.cohort.lost))
        self._look(look)
        self.console.print()
        tier = f"; isolation: {', '.join(sorted(tiers))}" if tiers else ""
        self.console.print(f"{counts[True]} graded, {counts[False]} could not be graded{tier}")
        self._line(f"report.html, feedback/, grades.csv and verdicts.jsonl are in {folder}", "dim")

    def _look(self, look: list[str]) -> None:
        """Print everything that a person has to see to; nothing of it is cut."""
        cohort = self.cohort
        look = [*look, *(cohort.lost if cohort else []), *(cohort.look if cohort else [])]
        if look:
            self.console.print("\nneeds a look", style="bold")
            for line in look:
                self._line(f"  {line}")
        if cohort and cohort.missing:
            self.console.print("\nhanded in nothing", style="bold")
            for student in cohort.missing:
                self._line(f"  {student}")

    def _line(self, text: str, style: str = "") -> None:
        self.console.print(Text(one_line(text, _WIDE), style=style), soft_wrap=True)


def _to_look_at(verdict: dict[str, Any]) -> list[str]:
    student, lesson = verdict["student"], verdict["lesson"]
    told = []
    if verdict["status"] != "graded":
        told.append(f"{student}{f', {lesson}' if lesson else ''}: could not grade: {verdict['reason']}")
    if "collision" in verdict:
        told.append(f"{student}: {verdict['collision']}")
    if "unread" in verdict:
        told.append(f"{student}: also handed in {', '.join(verdict['unread'])}")
    return told


def _score(verdict: dict[str, Any]) -> str:
    worth = verdict.get("final_score", verdict["score"])
    graded = verdict["status"] == "graded" or "overrides" in verdict
    return f"{worth:g}/{verdict['max_score']:g}" if graded else "-"


def _outcomes(verdict: dict[str, Any]) -> str:
    if verdict["status"] != "graded":
        return f"could not grade: {verdict['reason']}"
    counts = Counter(exercise["outcome"] for exercise in verdict["exercises"])
    told = ", ".join(f"{counts[outcome]} {outcome}" for outcome in _OUTCOMES if counts[outcome])
    beside = [
        f"override: {overrides(verdict)}" if "overrides" in verdict else "",
        penalty(verdict) or ("late" if verdict.get("late") else ""),
        f"older: {', '.join(verdict['older'])}" if verdict.get("older") else "",
    ]
    return told + "".join(f" ({one})" for one in beside if one)
