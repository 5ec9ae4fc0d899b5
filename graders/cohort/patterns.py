"""`--pattern`: an instructor's own words for a layout that is none of the known ones."""

from __future__ import annotations

import re

from graders.cohort.platforms import Source
from graders.cohort.unpacking.entries import Entry
from graders.errors import Problem

_GROUPS = ("student", "name", "attempt", "late")


def compiled(pattern: str | None) -> re.Pattern[str] | None:
    """Return `--pattern` as a regular expression. Raises Problem, with a sentence."""
    if pattern is None:
        return None
    try:
        made = re.compile(pattern)
    except re.error as error:
        raise Problem(f"--pattern is no regular expression: {error}") from None
    odd = set(made.groupindex) - set(_GROUPS)
    if odd or "student" not in made.groupindex:
        raise Problem(
            f"--pattern must name a group (?P<student>...), and may name {', '.join(_GROUPS[1:])} and no other"
        )
    return made


def by_pattern(entries: list[Entry], pattern: re.Pattern[str]) -> tuple[list[Source], list[Entry]]:
    """Return the people that a pattern tells from the beginnings of paths, and the files that are nobody's by it."""
    sources: dict[tuple[str, str], Source] = {}
    nobodys = []
    for entry in entries:
        found = pattern.match(entry.path)
        if found is None or not found["student"]:
            nobodys += [] if entry.folder else [entry]
            continue
        told = {group: found.groupdict().get(group) or "" for group in _GROUPS}
        made = Source(
            told["student"],
            told["student"],
            name=told["name"],
            attempt=_order(told["attempt"]),
            late=bool(told["late"]),
        )
        kept = sources.setdefault((told["student"], told["attempt"]), made)
        if not entry.folder:
            kept.entries.append(entry.below(found[0].count("/")))
    return list(sources.values()), nobodys


def _order(attempt: str) -> tuple[float, ...] | None:
    """Return the numbers in the name of an attempt, which order attempts: a counter, or a date that begins with the year."""
    return tuple(float(number) for number in re.findall(r"\d+", attempt)) if attempt else None
