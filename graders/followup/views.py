"""`python -m graders views DIR`: the verdicts as other programs read them.

Students may see the files that are theirs: nothing is in them that a student must not read.
"""

from __future__ import annotations

import os
from collections import defaultdict
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, NamedTuple

from graders.cohort import verdicts
from graders.cohort.roster import Roster
from graders.followup import classroom50, gradebooks, gradescope, junit
from graders.report import handed_back, table

Verdict = dict[str, Any]


class View(NamedTuple):
    """A folder with a file for each student: its name, the ending, and what makes a file of the student's verdicts."""

    folder: str
    ending: str
    made: Callable[[list[Verdict], datetime], bytes]


VIEWS = (
    View("junit", ".xml", junit.made),
    View("gradescope", ".json", gradescope.made),
    View("classroom50", ".json", classroom50.made),
)


def write(folder: Path, roster: Path | None = None) -> list[str]:
    """Write all views of an output folder into it; return a sentence on each. Raises Problem."""
    listed = Roster(roster) if roster else None
    book = verdicts.opened(folder)
    try:
        when = datetime.fromtimestamp(book.path.stat().st_mtime, UTC).replace(microsecond=0)
        by_student: dict[str, list[Verdict]] = defaultdict(list)
        for verdict in book.some(book.keys):
            by_student[verdict["student"]].append(verdict)
    finally:
        book.close()
    names = handed_back.file_names(by_student)
    for view in VIEWS:
        kept = {names[student] + view.ending for student in by_student}
        place = folder / view.folder
        place.mkdir(exist_ok=True)
        for student, those in by_student.items():
            _written(place / (names[student] + view.ending), view.made(those, when))
        for path in place.glob(f"*{view.ending}"):  # of students who are not there any more
            if path.name not in kept:
                path.unlink()
    for name, header, rows in (gradebooks.canvas(by_student, listed), gradebooks.moodle(by_student, listed)):
        table.write_rows(folder / name, header, rows)
    told = [f"{folder / view.folder}: {len(by_student)} files" for view in VIEWS]
    return [*told, *(f"{folder / name}: {len(by_student)} students" for name in (gradebooks.CANVAS, gradebooks.MOODLE))]


def _written(path: Path, data: bytes) -> None:
    unfinished = path.with_suffix(".part")
    unfinished.write_bytes(data)
    os.replace(unfinished, path)
