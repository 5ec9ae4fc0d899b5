"""What is late, by how many days, and what that costs where an instructor says so. Nothing is lost for being late otherwise."""

from __future__ import annotations

import math
import re
from collections.abc import Iterable
from datetime import datetime, time, timedelta
from typing import Any, NamedTuple

from graders.errors import Problem

_DAY = timedelta(days=1)
_DAYS = re.compile(r"(\d{1,3})(?: ?d(?:ays?)?)?", re.IGNORECASE)


class Penalty(NamedTuple):
    """Percent of a score for each day that is begun, and the most of it that is taken."""

    percent: float = 0.0
    most: float = 100.0


class Late:
    """When lessons are due, and the penalty."""

    def __init__(self, due: Iterable[str] = (), penalty: str | None = None, lessons: Iterable[str] = ()) -> None:
        """Read `WHEN` or `LESSON=WHEN`, and `PERCENT[:MAX]`. Raises Problem for what is neither, or no lesson of `lessons`."""
        known = list(lessons)
        self._due: dict[str, datetime] = {}
        for text in due:
            lesson, _, told = text.rpartition("=")
            if lesson and lesson not in known:
                raise Problem(f"--due {text}: there is no lesson {lesson}")
            self._due[lesson] = when(told, "--due")
        self.penalty = _penalty(penalty) if penalty else Penalty()

    def told(self, verdict: dict[str, Any]) -> dict[str, Any]:
        """Return what a verdict says of being late: `due`, `late`, and `penalty` with days and percent where one is taken.

        With both times known these tell whether it is late; else the platform's mark (`late`) does, and counts as one day.
        With an extension and no time of handing in nothing is taken off.
        """
        due = self._due_for(verdict)
        if due and "handed_in" in verdict:
            handed_in = datetime.fromisoformat(verdict["handed_in"])
            late = handed_in.astimezone() > due
            days = max(1, math.ceil((_by_the_clock(handed_in) - _by_the_clock(due)) / _DAY)) if late else 0
        else:
            late = bool(verdict.get("late"))
            days = int(late and "extension" not in verdict.get("own_due", {}))
        made: dict[str, Any] = {"due": due.isoformat(timespec="seconds")} if due else {}
        if late:
            made["late"] = True
        if days and self.penalty.percent:
            made["penalty"] = {"days": days, "percent": min(self.penalty.percent * days, self.penalty.most)}
        return made

    def _due_for(self, verdict: dict[str, Any]) -> datetime | None:
        """Return when a verdict's work was due: as the class list says of the student, else as the command does."""
        own = verdict.get("own_due", {})
        due = when(own["due"], "due") if "due" in own else self._due.get(verdict["lesson"] or "", self._due.get(""))
        extension = own.get("extension", "")
        days = _DAYS.fullmatch(extension)
        if days:
            return due and (_by_the_clock(due) + int(days[1]) * _DAY).astimezone()
        return when(extension, "extension") if extension else due


def when(text: str, where: str) -> datetime:
    """Return a moment, in this machine's time zone where none is said; a date alone is the end of that day. Raises Problem."""
    try:
        made = datetime.fromisoformat(text.strip())
        if re.fullmatch(r"[\dW-]+", text.strip()):
            made = datetime.combine(made, time.max.replace(microsecond=0))
        if not 1970 <= made.year < 3000:
            raise ValueError
        return made.astimezone()
    except (ValueError, OverflowError):
        raise Problem(f"{where}: {text!r} is no time; write it as 2026-03-31 or '2026-03-31 18:00'") from None


def _by_the_clock(moment: datetime) -> datetime:
    """Return what clocks show here then, for counting days: those on which clocks are changed are no shorter or longer."""
    return moment.astimezone().replace(tzinfo=None)


def own_due(due: str, extension: str, whose: str) -> dict[str, str]:
    """Return what a class list says of a student: a due date, and an extension to a date or by a number of days.

    Raises Problem where it is neither.
    """
    if due:
        when(due, f"the due date of {whose}")
    if extension and not _DAYS.fullmatch(extension):
        when(extension, f"the extension of {whose} (a date or a number of days)")
    return {key: value for key, value in (("due", due), ("extension", extension)) if value}


def _penalty(text: str) -> Penalty:
    percent, _, most = text.partition(":")
    try:
        made = Penalty(float(percent.rstrip("% ")), float(most.rstrip("% ") or 100))
    except ValueError:
        made = Penalty(math.nan)
    if not (0 <= made.percent <= 100 and 0 <= made.most <= 100):
        raise Problem(f"--late-penalty {text}: write percent a day, and the most of it, as 10 or 10:50")
    return made
