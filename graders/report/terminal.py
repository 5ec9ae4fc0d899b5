"""What an instructor sees in the terminal while submissions are graded, and afterwards."""

from __future__ import annotations

from collections import Counter
from typing import Any

from rich.console import Console
from rich.markup import escape
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn
from rich.table import Table
from rich.text import Text

from graders.collecting.endings import one_line

LONGEST = 30


class Screen:
    """A progress bar while grading, then one table."""

    def __init__(self, console: Console | None = None) -> None:
        self.console = console or Console()
        columns = (
            TextColumn("grading"),
            BarColumn(),
            MofNCompleteColumn(),
            TimeRemainingColumn(),
            TextColumn("{task.description}"),
        )
        self.progress = Progress(*columns, console=self.console, transient=True)
        self._task: Any = None

    def __enter__(self) -> Screen:
        self.progress.start()
        return self

    def __exit__(self, *ended: object) -> None:
        self.progress.stop()

    def each(self, verdict: dict[str, Any], total: int) -> None:
        if self._task is None:
            self._task = self.progress.add_task("", total=total)
        self.progress.update(self._task, advance=1, description=escape(one_line(verdict["student"], LONGEST)))

    def summary(self, verdicts: list[dict[str, Any]], folder: str) -> None:
        """Print a row per student and lesson (the first of many), the commonest causes of lost points, and where it all is."""
        table = Table(box=None, pad_edge=False, header_style="bold")
        table.add_column("student", overflow="fold", max_width=LONGEST)
        table.add_column("lesson", no_wrap=True)
        table.add_column("score", justify="right", no_wrap=True)
        table.add_column("", overflow="fold")
        for verdict in verdicts[:LONGEST]:
            table.add_row(
                Text(one_line(verdict["student"])),
                verdict["lesson"] or "-",
                _score(verdict),
                Text(one_line(_outcomes(verdict))),
            )
        self.console.print(table)
        if len(verdicts) > LONGEST:
            self.console.print(f"… and {len(verdicts) - LONGEST} more", style="dim")
        lost = [verdict for verdict in verdicts if verdict["status"] != "graded"]
        tier = {verdict["environment"]["isolation"] for verdict in verdicts}
        self.console.print()
        self.console.print(
            f"{len(verdicts) - len(lost)} graded, {len(lost)} could not be graded; isolation: {', '.join(tier)}"
        )
        self.console.print(Text(f"verdicts.jsonl and grades.csv are in {folder}"), style="dim")


def _score(verdict: dict[str, Any]) -> str:
    return f"{verdict['score']:g}/{verdict['max_score']:g}" if verdict["status"] == "graded" else "-"


def _outcomes(verdict: dict[str, Any]) -> str:
    if verdict["status"] != "graded":
        return f"could not grade: {verdict['reason']}"
    counts = Counter(exercise["outcome"] for exercise in verdict["exercises"])
    told = ", ".join(f"{count} {outcome}" for outcome, count in counts.items())
    return told + (f" (older: {', '.join(verdict['older'])})" if verdict.get("older") else "")
