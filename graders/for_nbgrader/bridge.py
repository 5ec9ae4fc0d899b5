"""`nbgrader autograde` through the judge: what replaces Execute, and what keeps a submission from stopping the batch.

`Reader` reads what was handed in, whatever it is; `Judge` has it judged in workers and writes the scores into the test cells;
`SaveGrades` stores them; `set_aside` removes what nbgrader should not copy. The course's `nbgrader_config.py` names all four.

nbgrader gives full marks for a test cell without output, so no test cell is ever left silent here.
"""

from __future__ import annotations

import atexit
import json
import os
from bisect import bisect
from collections.abc import Iterator
from itertools import islice
from pathlib import Path
from typing import Any

from nbconvert.exporters import NotebookExporter
from nbformat import NotebookNode, from_dict
from nbgrader.api import BaseCell, Comment, Grade, Gradebook
from nbgrader.converters import NbGraderException
from nbgrader.preprocessors import NbGraderPreprocessor
from nbgrader.utils import compute_checksum, determine_grade, is_grade, is_solution
from traitlets import Integer, Unicode

from graders.cohort import submissions
from graders.for_nbgrader import gradebooks, moved
from graders.for_nbgrader.cells import TEST, Released, rebuilt, released
from graders.for_nbgrader.feedback import LOST_CELL
from graders.for_nbgrader.folders import set_aside
from graders.for_nbgrader.judges import Asked, JudgeEnded, Judges
from graders.for_nbgrader.looking import Look, hidden, note
from graders.report.feedback import told

__all__ = ["Judge", "Reader", "SaveGrades", "set_aside"]  # what the configuration names

GRADED = "graded"
EACH = 20  # submissions for which another judging process is worth its start
# The keys in nbgrader's resources under which go from Judge to the others: the reason; and how checks ended.
LOST, CHECKS = "could_not_grade", "checks"

_JUDGES: dict[tuple[str, tuple[str, ...]], Judges] = {}


class Reader(NotebookExporter):
    """Reads and writes the notebooks of `nbgrader autograde`: first what was handed in, then what became of it.

    A submission that could not be graded ends like any other; when all are done, the run ends with an error that lists
    them, so that the exit status is 1.
    """

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self._masters: dict[tuple[str, str], Released] = {}
        self._notebook = NotebookNode()
        self.look = Look(self.parent)
        if self.parent is not None:
            self._begin_and_end()

    @property
    def _converter(self) -> Any:
        """The converter that made this exporter: nbgrader's Autograde."""
        return self.parent

    def from_filename(self, filename: str, resources: Any = None, **kwargs: Any) -> Any:
        """Rebuild the notebook from a submission and, when nbgrader asks for the second time, have it judged.

        In between nothing is read back, copied or validated: in these notebooks only the text is a submission's.
        """
        about = resources["nbgrader"]
        resources = self._init_resources(resources)
        if self._converter._sanitizing:
            found = submissions.read(Path(filename), about["student"], about["notebook"])
            self._notebook = rebuilt(None if found.problem else found.files[0].data, self._master(about))
            resources["metadata"].update(name=about["notebook"], path=os.path.dirname(filename))
        else:
            for cell in _tests(self._notebook):
                cell.outputs = [_error("nobody has judged this exercise; see Autograde in nbgrader_config.py")]
        for preprocessor in self._preprocessors:
            self._notebook, resources = preprocessor(self._notebook, resources)
        if LOST in about:
            self.look.lose(about["student"], about[LOST])
        self.noted(about)
        return json.dumps(self._notebook, ensure_ascii=False, indent=1) + "\n", resources

    def noted(self, about: dict[str, Any]) -> dict[str, Any]:
        """Note in the notebook of what, and by whom, it was made; where nothing was judged, what was judged before."""
        course = self._converter.coursedir
        folder = Path(course.format_path(course.submitted_directory, about["student"], about["assignment"]))
        return note(self._notebook, folder, about.get(CHECKS, self.look.before.get(CHECKS)))

    def _master(self, about: dict[str, str]) -> Released:
        key = about["notebook"], about["assignment"]
        if key not in self._masters:
            with Gradebook(about["db_url"]) as gradebook:
                self._masters[key] = released(gradebook, *key)
        return self._masters[key]

    def _begin_and_end(self) -> None:
        """Look for notebooks before the converter's run, and end it with an error if something could not be graded.

        In between, a submission that changed since it was graded is graded again. nbgrader has no hook for any of this.
        """
        convert, begin = self._converter.convert_notebooks, self._converter.init_destination

        def look_convert_and_tell() -> None:
            self.look.at_all()
            with gradebooks.one_engine():
                convert()
            if self.look.moved:
                self._converter.log.warning("%d marks moved, which changes.csv lists", self.look.moved)
            if self.look.lost:
                raise NbGraderException("\n".join(self.look.lost))

        def begin_again_if_changed(assignment: str, student: str) -> bool:
            self.look.begin_again_if_changed(assignment, student)
            return begin(assignment, student)

        self._converter.convert_notebooks = look_convert_and_tell
        self._converter.init_destination = begin_again_if_changed


class Judge(NbGraderPreprocessor):
    """Replaces Execute: no kernel, no code of a student in this process; the scores of the judge in the test cells."""

    seed_file = Unicode("", help="File with the cohort's secret seed; .seed in the course's folder if empty.").tag(
        config=True
    )
    processes = Integer(min(os.cpu_count() or 1, 4), help="Most processes that judge at a time.").tag(config=True)

    def preprocess(self, nb: NotebookNode, resources: Any) -> tuple[NotebookNode, Any]:
        """Judge the submitted file, and say in every test cell how its exercise ended."""
        if not isinstance(self.parent, Reader):
            raise NbGraderException("c.Autograde.exporter_class must be graders.nbgrader_bridge.Reader")
        verdict = self._verdict(resources["nbgrader"])
        if verdict["status"] == GRADED:
            exercises = {exercise["name"]: exercise for exercise in verdict["exercises"]}
            resources["nbgrader"][CHECKS] = moved.checks_of(verdict)
            total = 0.0
            for cell in _tests(nb):
                exercise = exercises.get(cell.metadata.nbgrader.grade_id.removeprefix(TEST))
                score = _score(exercise, cell.metadata.nbgrader.points) if exercise else 0.0
                total += score
                cell.outputs = _outputs(exercise, score, cell.metadata.nbgrader.points)
            worth = sum(cell.metadata.nbgrader.points for cell in _tests(nb))
            self.log.info("Judged %s: %g of %g points", resources["nbgrader"]["student"], total, worth)
            return nb, resources
        reason = resources["nbgrader"][LOST] = verdict["reason"]
        text = f"This submission could not be graded: {reason}."
        nb.cells.insert(0, from_dict({"cell_type": "markdown", "id": LOST_CELL, "metadata": {}, "source": text}))
        for cell in _tests(nb):
            cell.outputs = [_error(f"could not grade: {reason}")]
        return nb, resources

    def _verdict(self, about: dict[str, str]) -> dict[str, Any]:
        converter: Any = self.parent.parent
        course = converter.coursedir
        folder = course.format_path(course.submitted_directory, about["student"], about["assignment"])
        asked = Asked(os.path.join(folder, f"{about['notebook']}.ipynb"), about["student"], about["notebook"])
        judges = self._judges(course, 1 + len(converter.assignments) // EACH)
        for each in islice(_ahead(converter, asked), 2 * judges.count):
            judges.ask(each)
        try:
            verdict = judges.answer(asked)
        except JudgeEnded as error:
            raise NbGraderException(f"{asked.student}: the judge failed: {error}") from None
        if verdict["environment"]["isolation"].startswith("process"):
            self.log.warning("no isolation on this machine: what is judged can read its disk (see graders/README.md)")
        return verdict

    def _judges(self, course: Any, wanted: int) -> Judges:
        """Return the judges of this process: lessons are loaded once for all submissions, in as many runs as there are."""
        key = self._seed(Path(course.root)), hidden(self.parent.parent)
        if key not in _JUDGES:
            _JUDGES[key] = Judges(*key, min(wanted, self.processes))
            atexit.register(_JUDGES[key].close)
        return _JUDGES[key]

    def _seed(self, course: Path) -> str:
        path = Path(self.seed_file or course / ".seed")
        if not path.is_file():
            raise NbGraderException(f"there is no seed in {path}; run `python -m graders course` for this folder")
        return path.read_text(encoding="utf-8")


class SaveGrades(NbGraderPreprocessor):
    """Saves the scores of a submission in one step, by nbgrader's own rules.

    One that could not be graded keeps the scores that it had and asks for a person.
    """

    def preprocess(self, nb: NotebookNode, resources: Any) -> tuple[NotebookNode, Any]:
        """Write the scores of the notebook's cells into the gradebook."""
        about = resources["nbgrader"]
        with Gradebook(about["db_url"]) as gradebook:
            found = gradebook.find_submission_notebook(about["notebook"], about["assignment"], about["student"])
            grades, comments = (_by_cell(gradebook, kind, found.id) for kind in (Grade, Comment))
            before = moved.marks(grades)
            for cell in nb.cells if LOST not in about else []:
                if is_grade(cell):
                    grade = grades[cell.metadata.nbgrader.grade_id]
                    grade.auto_score, _ = determine_grade(cell, self.log)
                    grade.needs_manual_grade = grade.manual_score is not None or grade.auto_score is None
                if is_solution(cell):
                    untouched = cell.metadata.nbgrader.checksum == compute_checksum(cell)
                    comments[cell.metadata.nbgrader.grade_id].auto_comment = "No response." if untouched else None
            for grade in grades.values() if LOST in about else []:
                grade.needs_manual_grade = True
            if before and LOST not in about:  # the list first: who is killed in between finds it there, once
                old, new = (self.parent.look.before, before), (self.parent.noted(about), moved.marks(grades))
                self.parent.look.moved += moved.add(Path(self.parent.parent.coursedir.root), about, old, new)
            gradebook.db.commit()
        return nb, resources


def _by_cell(gradebook: Gradebook, kind: Any, notebook: str) -> dict[str, Any]:
    rows = gradebook.db.query(kind, BaseCell.name).join(BaseCell, BaseCell.id == kind.cell_id)
    return {name: row for row, name in rows.filter(kind.notebook_id == notebook)}


def _tests(notebook: NotebookNode) -> list[NotebookNode]:
    ours = [cell for cell in notebook.cells if cell.cell_type == "code" and cell.metadata.get("nbgrader")]
    return [cell for cell in ours if cell.metadata.nbgrader.grade and not cell.metadata.nbgrader.solution]


def _score(exercise: dict[str, Any], points: float) -> float:
    """Return the score in a test cell worth `points`, which may be others than the hidden tests have."""
    score = exercise["score"]
    if points != exercise["max_score"]:
        score = round(score * points / exercise["max_score"], 4)
    return min(max(float(score), 0.0), float(points))


def _outputs(exercise: dict[str, Any] | None, score: float, points: float) -> list[NotebookNode]:
    """Return the outputs of a test cell worth `points`: what happened, and the score as nbgrader reads it."""
    if exercise is None:
        return [_error("the hidden tests have no exercise of this name")]
    return [
        _output("stream", name="stdout", text=told(exercise, score, float(points))),
        _output("execute_result", data={"text/plain": repr(score)}, metadata={}, execution_count=None),
    ]


def _error(text: str) -> NotebookNode:
    """Return an output that nbgrader counts as 0."""
    return _output("error", ename="NotGraded", evalue=text, traceback=[text])


def _output(kind: str, **content: Any) -> NotebookNode:
    return from_dict({"output_type": kind, **content})


def _ahead(converter: Any, asked: Asked) -> Iterator[Asked]:
    """Yield what this run comes to, from a submission on and in order: all that is new to it, or all if it is forced."""
    yield asked
    folders = sorted(converter.assignments)
    for folder in folders[bisect(folders, os.path.dirname(asked.path)) :]:
        student = Path(folder).parent.name
        graded = converter.coursedir.format_path(converter._output_directory, student, Path(folder).name)
        again = os.path.normpath(folder) in converter.exporter.look.again
        if converter.force or again or not os.path.exists(graded):
            yield Asked(os.path.join(folder, os.path.basename(asked.path)), student, asked.lesson)
