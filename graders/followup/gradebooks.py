"""`canvas.csv` and `moodle.csv`: a row per student and a column per lesson, in the columns that these gradebooks import."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from graders.cohort.platforms import Source
from graders.cohort.roster import Enrolled, Roster
from graders.marks.scoring import final_score

CANVAS, MOODLE = "canvas.csv", "moodle.csv"
Table = tuple[str, list[str], list[list[Any]]]
_CANVAS = {
    "Student": ("student name", "name", "full name", "student"),
    "ID": ("canvas id", "canvas_id"),
    "SIS User ID": ("sis user id", "sis_user_id"),
    "SIS Login ID": ("sis login id", "sis_login_id", "login", "username"),
    "Section": ("section",),
}
_MOODLE = {
    "username": ("username", "login"),
    "idnumber": ("id number", "idnumber", "student_id", "student id"),
    "email": ("email", "email address"),
    "fullname": ("name", "full name", "student name"),
}


def canvas(by_student: Mapping[str, list[dict[str, Any]]], roster: Roster | None) -> Table:
    """Return name, header and rows; the second row says the points possible, as Canvas asks for."""
    lessons = _lessons(by_student)
    most = {one["lesson"]: one["max_score"] for those in by_student.values() for one in those if one["exercises"]}
    first = ["Points Possible", *[""] * (len(_CANVAS) - 1), *(most.get(lesson, "") for lesson in lessons)]
    rows = [
        _row(student, enrolled, _CANVAS, "SIS User ID", by_student, lessons)
        for student, enrolled in _all(by_student, roster)
    ]
    return CANVAS, [*_CANVAS, *lessons], [first, *rows]


def moodle(by_student: Mapping[str, list[dict[str, Any]]], roster: Roster | None) -> Table:
    """Return name, header and rows."""
    lessons = _lessons(by_student)
    rows = [
        _row(student, enrolled, _MOODLE, "idnumber", by_student, lessons)
        for student, enrolled in _all(by_student, roster)
    ]
    return MOODLE, [*_MOODLE, *lessons], rows


def _lessons(by_student: Mapping[str, list[dict[str, Any]]]) -> list[str]:
    return sorted({one["lesson"] for those in by_student.values() for one in those if one["lesson"]})


def _all(by_student: Mapping[str, Any], roster: Roster | None) -> list[tuple[str, Enrolled | None]]:
    """Return everybody: those of the class list, in its order, then who is not in it."""
    listed = {enrolled.id: enrolled for enrolled in roster.rows} if roster else {}
    found = {student: roster.find(Source(student, student)) if roster else None for student in by_student}
    others = [(student, enrolled) for student, enrolled in found.items() if student not in listed]
    return [*listed.items(), *others]


def _row(
    student: str,
    enrolled: Enrolled | None,
    columns: Mapping[str, tuple[str, ...]],
    identity: str,
    by_student: Mapping[str, list[dict[str, Any]]],
    lessons: list[str],
) -> list[Any]:
    """Return a student's row; where the class list has no other id, the student's own stands in the column `identity`."""
    told = {name: next(filter(None, map(enrolled.get, keys)), "") if enrolled else "" for name, keys in columns.items()}
    told[identity] = told[identity] or (enrolled.id if enrolled else student)
    marks = {
        one["lesson"]: final_score(one) for one in by_student.get(student, []) if one["exercises"] or "overrides" in one
    }
    return [*told.values(), *(marks.get(lesson, "") for lesson in lessons)]
