"""What students wrote, kept beside the verdicts in `written.jsonl`: their code for feedback pages, and its tokens to compare.

A line per student and lesson, the last counts: `student`, `lesson`, `code` by exercise, `runs` by exercise (see
`of_class.alike`). The code is text here: it is never parsed or run where marks are made.
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


def told(lesson: str, code: Mapping[str, str]) -> dict[str, Any]:
    """Return what to keep of a submission: the definition of each exercise that was begun, and its runs of tokens."""
    given = {name: text[:LONGEST] for name, text in code.items()}
    runs = {name: alike.runs(name, text) - _known(lesson) for name, text in given.items()}
    return {"code": given, "runs": {name: alike.packed(those) for name, those in runs.items() if those}}


@cache
def _known(lesson: str) -> set[int]:
    """Return the runs that the stub and the reference have, of each exercise."""
    found: set[int] = set()
    for folder in ("exercises", "solutions"):
        text = (ROOT / folder / f"{lesson}.py").read_text(encoding="utf-8")
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

    def drop(self, student: str) -> bool:
        """Remove everything that a student wrote; return whether there was anything."""
        theirs = [key for key in self._places if key[0] == student]
        for key in theirs:
            del self._places[key]
        if theirs:
            self._compact()
        return bool(theirs)

    def of(self, student: str, lesson: str | None) -> dict[str, Any]:
        """Return what a student wrote on a lesson, empty if it is not known."""
        at = self._places.get((student, lesson or ""))
        if at is None:
            return {"code": {}, "runs": {}}
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
        return told if told["student"] is not None and told["lesson"] and told.keys() >= {"code", "runs"} else None
    except (ValueError, TypeError, KeyError):
        return None
