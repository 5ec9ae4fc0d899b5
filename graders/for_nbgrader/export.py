"""`nbgrader export --exporter=graders.report.nbgrader_export.Exporter`: a table with one column per exercise.

The first columns are those of nbgrader's own CSV, so that what reads that one reads this one. Every cell is quoted where
it must be, and none is a formula to a spreadsheet. The gradebook is read with a few queries, however long it is.
"""

from __future__ import annotations

import csv
import os
from collections import defaultdict
from pathlib import Path
from typing import Any

from nbgrader.api import Assignment, BaseCell, Grade, Gradebook, Student, SubmittedAssignment, SubmittedNotebook
from nbgrader.plugins import ExportPlugin

from graders.for_nbgrader.cells import TEST
from graders.report.table import harmless

COLUMNS = (
    "assignment",
    "duedate",
    "timestamp",
    "student_id",
    "last_name",
    "first_name",
    "email",
    "raw_score",
    "late_submission_penalty",
    "score",
    "max_score",
    "needs_manual_grade",
)


class Exporter(ExportPlugin):
    """Writes a row per assignment and student to `--to` (default grades.csv); 0 points for what was not handed in.

    A grade that a person still has to give is an empty cell and no 0. `--assignment` and `--student` choose as with
    nbgrader's own exporter.
    """

    def export(self, gradebook: Gradebook) -> None:
        """Write the table in one go, so that a run that is killed leaves the old one."""
        path = Path(self.to or "grades.csv")
        chosen = [
            each for each in gradebook.assignments if not self.assignment or each.name in map(str, self.assignment)
        ]
        exercises = {each.name: _exercises(each) for each in chosen}
        names = list(dict.fromkeys(name for listed in exercises.values() for name in listed))
        unfinished = path.with_name(path.name + ".part")
        with unfinished.open("w", newline="", encoding="utf-8") as file:
            table = csv.writer(file)
            table.writerow([*COLUMNS, *map(harmless, names)])
            for assignment in chosen:
                handed_in = _handed_in(gradebook, assignment)
                for student in gradebook.students:
                    if not self.student or student.id in map(str, self.student):
                        row = _row(assignment, student, handed_in.get(student.id))
                        scores = row.pop("scores")
                        table.writerow(
                            [harmless(row[name]) for name in COLUMNS] + [scores.get(name, "") for name in names]
                        )
        os.replace(unfinished, path)
        self.log.info("Exported grades to %s", path)


def _exercises(assignment: Assignment) -> list[str]:
    """Return the names of an assignment's exercises, in order: the written answer goes by its cell's name."""
    found = []
    for notebook in assignment.notebooks:
        graded = {cell.name for cell in [*notebook.grade_cells, *notebook.task_cells]}
        found += [_exercise(cell.name) for cell in notebook.source_cells if cell.name in graded]
    return found


def _exercise(cell: str) -> str:
    return cell.removeprefix(TEST)


def _handed_in(gradebook: Gradebook, assignment: Assignment) -> dict[str, dict[str, Any]]:
    """Return what was handed in for an assignment: student -> time, penalty and scores."""
    found: dict[str, dict[str, Any]] = defaultdict(lambda: {"penalty": 0.0, "scores": {}, "manual": False, "raw": 0.0})
    of_this = SubmittedAssignment.assignment_id == assignment.id
    notebooks = gradebook.db.query(SubmittedAssignment.student_id, SubmittedAssignment.timestamp, SubmittedNotebook)
    notebooks = notebooks.join(SubmittedNotebook, SubmittedNotebook.assignment_id == SubmittedAssignment.id)
    for student, timestamp, notebook in notebooks.filter(of_this):
        found[student]["timestamp"] = timestamp
        found[student]["penalty"] += notebook.late_submission_penalty or 0.0
    grades = gradebook.db.query(SubmittedAssignment.student_id, BaseCell.name, Grade)
    grades = grades.join(SubmittedNotebook, SubmittedNotebook.assignment_id == SubmittedAssignment.id)
    grades = grades.join(Grade, Grade.notebook_id == SubmittedNotebook.id).join(BaseCell, BaseCell.id == Grade.cell_id)
    for student, cell, grade in grades.filter(of_this):
        given = grade.auto_score is not None or grade.manual_score is not None
        found[student]["scores"][_exercise(cell)] = round(grade.score, 4) if given else ""
        found[student]["raw"] += grade.score
        found[student]["manual"] |= bool(grade.needs_manual_grade)
    return found


def _row(assignment: Assignment, student: Student, found: dict[str, Any] | None) -> dict[str, Any]:
    raw, penalty = (round(found[key], 4) for key in ("raw", "penalty")) if found else (0.0, 0.0)
    return {
        "assignment": assignment.name,
        "duedate": assignment.duedate or "",
        "timestamp": (found and found["timestamp"]) or "",
        "student_id": student.id,
        "last_name": student.last_name or "",
        "first_name": student.first_name or "",
        "email": student.email or "",
        "raw_score": raw,
        "late_submission_penalty": penalty,
        "score": round(max(0.0, raw - penalty), 4),
        "max_score": assignment.max_score,
        "needs_manual_grade": int(found["manual"]) if found else 0,
        "scores": found["scores"] if found else {},
    }
