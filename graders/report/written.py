"""What students wrote, kept beside the verdicts in `written.jsonl`: their code for feedback pages, and what a look at it tells.

A line per student and lesson, the last counts: `student`, `lesson`, `code` by exercise, `runs` by exercise (see `of_class.alike`)
and `uses`. The code is text here: it is never parsed or run where marks are made.
"""

from __future__ import annotations

import json
import os
import re
from collections.abc import Iterator, Mapping
from functools import cache
from pathlib import Path
from typing import Any

from graders import ROOT
from graders.report.of_class import alike

FILE = "written.jsonl"
LONGEST = 20_000  # characters of an exercise's code
_COMMENT = re.compile(r"(?m)#.*$")
_INTERNALS = re.compile(
    r"exercises\.kit\.(?:probes|toys|checking)\b|exercises\.kit\s+import[^\n]*?\b(?:probes|toys|checking)\b|\bgraders\.\w+|\bsolutions\.\w+"
    r"|\bgc\.get_\w+|\b_getframe\b|\bsettrace\b|\bsetprofile\b|\binspect\.(?:stack|currentframe)\b|\b(?:f_back|f_globals|f_locals|tb_frame)\b"
    r"|\bctypes\b|\b__subclasses__\b|\bsys\.modules\b|/proc/"
)


def told(lesson: str, code: Mapping[str, str], sources: list[str]) -> dict[str, Any]:
    """Return what to keep of a submission: the definition of each exercise that was begun, and all of its cells to look at."""
    given = {name: text[:LONGEST] for name, text in code.items()}
    runs = {name: alike.runs(name, text) - _known(lesson) for name, text in given.items()}
    uses = internals("\n".join(sources)) - internals(_handed_out(lesson))
    return {
        "code": given,
        "runs": {name: alike.packed(those) for name, those in runs.items() if those},
        "uses": sorted(uses),
    }


def internals(source: str) -> set[str]:
    """Return what a text names of the kit's and the judge's internals, and of what finds its way to them."""
    return {" ".join(found.split()) for found in _INTERNALS.findall(_COMMENT.sub("", source))}


@cache
def _handed_out(lesson: str) -> str:
    return (ROOT / "exercises" / f"{lesson}.py").read_text(encoding="utf-8")


@cache
def _known(lesson: str) -> set[int]:
    """Return the runs that the stub and the reference have, of each exercise."""
    found: set[int] = set()
    for text in (_handed_out(lesson), (ROOT / "solutions" / f"{lesson}.py").read_text(encoding="utf-8")):
        for part in re.split(r"(?m)^(?=def |class |# %%|@)", text):
            begin = re.match(r"(?:def|class) (\w+)", part)
            found |= alike.runs(begin[1], part) if begin else set()
    return found


class Written:
    """The file of an output folder; lines stay in it and not in memory."""

    def __init__(self, folder: Path) -> None:
        self._path = folder / FILE
        self._places: dict[tuple[str, str], int] = {}
        lines = self._path.open("rb") if self._path.exists() else ()
        at = kept = 0
        for data in lines:
            told = _line(data)
            if told is not None:
                self._places[told["student"], told["lesson"]] = at
                kept += 1
            at += len(data)
        if kept > len(self._places):
            self._compact()

    def _compact(self) -> None:
        beside = self._path.with_suffix(".new")
        with beside.open("wb") as file:
            places = {}
            for key in self._places:
                places[key] = file.tell()
                file.write(json.dumps(self.of(*key)).encode() + b"\n")
        os.replace(beside, self._path)
        self._places = places

    def add(self, verdict: dict[str, Any]) -> None:
        """Take what was written out of a verdict, and keep it; a line that a stopped run left torn does not count."""
        told = verdict.pop("written", None)
        if told is None:
            return
        key = {"student": verdict["student"], "lesson": verdict["lesson"]}
        with self._path.open("ab") as file:
            if file.tell():
                file.write(b"\n")
            self._places[verdict["student"], verdict["lesson"]] = file.tell()
            file.write(json.dumps(key | told).encode() + b"\n")

    def of(self, student: str, lesson: str | None) -> dict[str, Any]:
        """Return what a student wrote on a lesson, empty if it is not known."""
        at = self._places.get((student, lesson or ""))
        if at is None:
            return {"code": {}, "runs": {}, "uses": []}
        with self._path.open("rb") as file:
            file.seek(at)
            return json.loads(file.readline())

    def runs(self, lesson: str, students: list[str]) -> Iterator[tuple[str, dict[str, str]]]:
        """Yield students with their runs, for `alike.pairs`."""
        for student in students:
            yield student, self.of(student, lesson)["runs"]


def _line(data: bytes) -> dict[str, Any] | None:
    try:
        told = json.loads(data)
        return (
            told if told["student"] is not None and told["lesson"] and told.keys() >= {"code", "runs", "uses"} else None
        )
    except (ValueError, TypeError, KeyError):
        return None
