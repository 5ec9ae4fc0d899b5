"""What `nbgrader autograde` is told of `submitted/` before it begins: whose notebook is where, and what has changed since.

nbgrader passes over folders without a notebook of the assignment's name, fails at other names, and never looks at a submission
again that it has graded once, unless its time stamp is newer.
"""

from __future__ import annotations

import json
import os
import shutil
from collections import Counter
from glob import glob
from pathlib import Path
from typing import Any

import sqlalchemy
from nbgrader.api import Gradebook

from graders import lessons
from graders.cohort.choosing import Chooser
from graders.cohort.spread.reading import Reader
from graders.for_nbgrader.folders import digest, notebook_of
from graders.for_nbgrader.moved import NOTED, Checks
from graders.lessons.fingerprints import graders_version

CHANGED = "changed"


class Look:
    """The look at all submissions of a run.

    `lost` are sentences on those that cannot be graded, `again` the folders of those that are graded once more, each with why;
    `before` is what was noted of the one at hand when it was graded before, and `moved` how many marks moved.
    """

    def __init__(self, converter: Any) -> None:
        self._converter = converter
        self.lost: list[str] = []
        self.again: dict[str, str] = {}
        self.before: dict[str, Any] = {}
        self.moved = 0

    def at_all(self) -> None:
        """Find the notebook of every submission, and those that are not as they were when they were graded."""
        course = self._converter.coursedir
        lesson = course.assignment_id
        if course.notebook_id not in ("*", lesson):
            return
        reader = Reader(hidden(self._converter))
        try:
            chooser = Chooser(reader.read)
            for folder in sorted(glob(self._converter._format_source(lesson, course.student_id))):
                student = Path(folder).parent.name
                if os.path.isdir(folder) and student not in course.student_id_exclude.split(","):
                    self._at(folder, student, lesson, chooser)
        finally:
            reader.close()
        for reason, count in Counter(self.again.values()).items():
            self._converter.log.warning("%d graded again: %s", count, reason)

    def _at(self, folder: str, student: str, lesson: str, chooser: Chooser) -> None:
        try:
            notebook, told = notebook_of(Path(folder), lesson, chooser)
        except OSError as error:
            notebook, told = None, f"its folder cannot be used ({error.strerror})"
        if notebook is None:
            self._converter.assignments.pop(folder, None)
            _keep_row(self._converter.coursedir.db_url, lesson, student)
            self.lose(student, told)
            return
        self._converter.assignments[folder] = [str(notebook)]
        if told:
            self._converter.log.warning("%s: %s", student, told)
        reason = why_again(Path(folder), Path(self._converter._format_dest(lesson, student), f"{lesson}.ipynb"))
        if reason:
            self.again[os.path.normpath(folder)] = reason

    def lose(self, student: str, reason: str) -> None:
        """Note that a submission could not be graded, for the end of the run."""
        self.lost.append(f"{student}: could not grade: {reason}")
        self._converter.log.error(self.lost[-1])

    def begin_again_if_changed(self, assignment: str, student: str) -> None:
        """Remove what became of a submission that is another one now, or has other graders, so that nbgrader grades it."""
        folder = self._converter._format_source(assignment, student)
        graded = self._converter._format_dest(assignment, student)
        self.before = _noted(Path(graded, f"{assignment}.ipynb")) or {}
        reason = self.again.get(os.path.normpath(folder))
        if reason and os.path.isdir(graded):
            self._converter.log.warning("%s: %s since it was graded, and is graded again", student, reason)
            shutil.rmtree(graded)


def note(notebook: Any, folder: Path, checks: Checks | None = None) -> dict[str, Any]:
    """Note in an autograded notebook of which submission it was made, by which graders, and how their checks ended."""
    made = {"submitted": digest(folder), "graders": _version(folder.name), "checks": checks or {}}
    notebook.metadata[NOTED] = made
    return made


def _noted(graded: Path) -> dict[str, Any] | None:
    """Return what was noted in an autograded notebook, {} if nothing was; None where there is no notebook to read."""
    try:
        return json.loads(graded.read_bytes())["metadata"].get(NOTED, {})
    except (OSError, ValueError, KeyError):
        return None


def why_again(folder: Path, graded: Path) -> str:
    """Return what is not as it was when a submission was graded, "" if nothing is; by times where it was not noted."""
    noted = _noted(graded)
    if noted is None:
        return ""
    if not noted:
        newer = (folder / graded.name).lstat().st_mtime > graded.stat().st_mtime
        return CHANGED if newer else ""
    if noted.get("submitted") != digest(folder):
        return CHANGED
    return "" if noted.get("graders") == _version(folder.name) else "the graders changed"


def _version(lesson: str) -> str | None:
    return graders_version(lesson) if lesson in lessons.names() else None


def hidden(converter: Any) -> tuple[str, ...]:
    """Return what workers must not see: the course with its gradebook and submissions, and the exchange."""
    course = converter.coursedir
    places = [Path(course.root)]
    database = sqlalchemy.make_url(course.db_url)
    if database.get_backend_name() == "sqlite" and database.database:
        places.append(Path(course.root) / database.database)
    if isinstance(converter.config.Exchange.root, str):
        places.append(Path(converter.config.Exchange.root))
    return tuple(dict.fromkeys(str(place.resolve()) for place in places))


def _keep_row(db_url: str, lesson: str, student: str) -> None:
    """Give a student a row in the gradebook, with the scores that there were, and ask for a person."""
    with Gradebook(db_url) as gradebook:
        gradebook.update_or_create_student(student)
        submission = gradebook.update_or_create_submission(lesson, student)
        for notebook in submission.notebooks:
            for grade in notebook.grades:
                grade.needs_manual_grade = True
        gradebook.db.commit()
