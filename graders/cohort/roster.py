"""The class list: a CSV file with a row per student and any columns, each of which may be what a platform calls the person."""

from __future__ import annotations

import re
import unicodedata
from collections import defaultdict
from dataclasses import dataclass
from pathlib import Path

from graders.cohort.platforms import Source
from graders.errors import Problem
from graders.marks import late, tables

_IDS = ("id", "student", "student_id", "student id", "sis user id", "sis login id", "username", "login", "email")


@dataclass(frozen=True)
class Enrolled:
    """A row of the class list: the institution's id, and every column by its name in small letters."""

    id: str
    columns: tuple[tuple[str, str], ...]

    def get(self, name: str) -> str:
        return dict(self.columns).get(name, "")

    @property
    def own_due(self) -> dict[str, str]:
        """The student's own due date and extension. Raises Problem where they are none."""
        return late.own_due(self.get("due"), self.get("extension"), self.id)


class Roster:
    """Who is in the class, and by what names; the column `id` is what students are called in verdicts, else the first one."""

    def __init__(self, path: Path) -> None:
        """Read the file. Raises Problem, with a sentence, if it is no class list."""
        rows = tables.rows(path, "the roster")
        if len(rows) < 2:
            raise Problem(
                f"{path} holds no students; it needs a line with the names of its columns, and one per student"
            )
        header = [name.strip().lower() for name in rows[0][1]]
        odd = next((name for name in header if "@" in name or name.isdecimal()), None)
        if odd:
            raise Problem(f"{path}: the first line must name the columns, such as id,name,email; it has {odd}")
        key = header.index(next((name for name in _IDS if name in header), header[0]))
        self.rows: list[Enrolled] = []
        self._by: dict[str, set[Enrolled]] = defaultdict(set)
        for number, row in rows[1:]:
            values = [unicodedata.normalize("NFC", value.strip()) for value in row]
            if any(values[len(header) :]):
                raise Problem(
                    f"{path}: line {number} has more values than there are columns; put one that has the separator in it in"
                    ' quotation marks, "Doe, Jane"'
                )
            if len(values) <= key or not values[key]:
                raise Problem(f"{path}: a student has no {header[key]}: {', '.join(filter(None, values))}")
            enrolled = Enrolled(values[key], tuple(zip(header, values, strict=False)))
            enrolled.own_due  # noqa: B018 (a date that is none is said now)
            self.rows.append(enrolled)
            for name in _names(enrolled):
                self._by[name].add(enrolled)
        self._ids = {enrolled.id: enrolled for enrolled in self.rows}
        ids = [enrolled.id for enrolled in self.rows]
        twice = next((one for one in ids if ids.count(one) > 1), None) if len(self._ids) < len(ids) else None
        if twice is not None:
            raise Problem(f"{path}: {twice} stands there twice; each {header[key]} must be one student's")

    def find(self, source: Source) -> Enrolled | None:
        """Return whose id it is, else the one student for whom the roster has the platform's id, login, address or name."""
        student = unicodedata.normalize("NFC", source.student)
        if student in self._ids:
            return self._ids[student]
        for said in (source.student, source.id, source.email, source.name):
            found = self._by.get(plain(said), set()) if said else set()
            if len(found) == 1:
                return next(iter(found))
        return None


def plain(text: str) -> str:
    """Return a name as names are compared: NFC, small letters, single spaces."""
    return " ".join(unicodedata.normalize("NFC", text).casefold().split())


def _names(enrolled: Enrolled) -> set[str]:
    """Return what a student may be called: every value, a full name the other way round, and as Canvas squeezes it."""
    values = {
        value for name, value in enrolled.columns if value and name not in ("section", "group", "due", "extension")
    }
    names = {enrolled.get(name) for name in ("name", "student name", "full name", "student")}
    first = enrolled.get("first_name") or enrolled.get("first name") or enrolled.get("firstname")
    last = enrolled.get("last_name") or enrolled.get("last name") or enrolled.get("surname")
    names |= {f"{last}, {first}"} if first and last else set()
    made = set(values)
    for name in filter(None, names):
        last, comma, first = (part.strip() for part in name.partition(","))
        if not comma:
            first, _, last = (part.strip() for part in name.rpartition(" "))
        made |= {f"{last}, {first}", f"{first} {last}", re.sub(r"[\W_]", "", last + first)}
    return {plain(name) for name in made}
