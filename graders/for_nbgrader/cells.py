"""A submitted notebook made fit for nbgrader: what the course fixes comes from the gradebook, what students write from them.

nbgrader repairs some of what editors and students do to a notebook and ends with an exception, for this student or for the
whole batch, on the rest: retyped or duplicated cells, changed flags, points and versions, missing metadata, invalid JSON.
So nothing of a submission's structure is kept here. A cell counts as the master's cell of the same `grade_id` and gets type,
flags, points and, where it is locked, the source of that one; every other cell is shown and means nothing.

This is what people read. The judge reads the submitted file itself.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import nbformat
from nbformat import NotebookNode
from nbgrader.api import Gradebook

MAX_CELLS = 2000
MAX_SOURCE = 100_000  # characters of a cell that are shown
CUT = "\n\n[cut here: the cell is longer than can be shown]"
TEST = "test_"  # the grade_id of an exercise's tests is this and the name of the exercise
MISPLACED = (
    "The cell for this answer was missing. If the answer stands in another cell of the notebook, grade it there."
)
_KINDS = ("code", "markdown", "raw")
_PICTURES = ("image/png", "image/jpeg", "image/gif")
_BASE64 = re.compile(r"[A-Za-z0-9+/=\s]*")


@dataclass(frozen=True)
class Master:
    """One cell that the gradebook knows, as `nbgrader generate_assignment` stored it."""

    name: str
    kind: str
    source: str
    locked: bool
    grade: bool
    solution: bool
    task: bool
    points: float | None
    checksum: str

    @property
    def tests(self) -> bool:
        """Whether this is an autograder test."""
        return self.grade and not self.solution


@dataclass(frozen=True)
class Released:
    """An assignment's notebook as the gradebook knows it: its cells, in the order in which they were stored, and its kernel."""

    cells: list[Master]
    kernelspec: dict[str, Any]


@dataclass
class _Cell:
    """One cell of a submission: its type, text and pictures, and the master cell that it claims to be."""

    kind: str
    source: str
    claims: str | None = None
    attachments: dict[str, dict[str, str]] | None = None


def released(gradebook: Gradebook, notebook: str, assignment: str) -> Released:
    """Read an assignment's notebook from the gradebook. Raises MissingEntry if there is none."""
    found = gradebook.find_notebook(notebook, assignment)
    points = {cell.name: float(cell.max_score) for cell in [*found.grade_cells, *found.task_cells]}
    graded, solutions, tasks = (
        {cell.name for cell in cells} for cells in (found.grade_cells, found.solution_cells, found.task_cells)
    )
    cells = [
        Master(
            cell.name,
            cell.cell_type,
            cell.source or "",
            bool(cell.locked),
            cell.name in graded,
            cell.name in solutions,
            cell.name in tasks,
            points.get(cell.name),
            cell.checksum,
        )
        for cell in found.source_cells
    ]
    return Released(cells, json.loads(found.kernelspec) if found.kernelspec else {})


def rebuilt(data: bytes | None, master: Released) -> NotebookNode:
    """Return a valid notebook: the submission's cells in its order, and the graded cells that are missing in it.

    Of an unreadable submission, or none, only the graded cells remain. Points, flags, kernel and the source of locked cells
    are the master's; outputs and other metadata are gone.
    """
    cells = list(_cells(data)) if data is not None else []
    by_name = {known.name: known for known in master.cells}
    chosen = {at: by_name[name] for name, at in _stand_ins(cells, by_name).items()}
    made = [(chosen.get(at), _cell(cell, chosen.get(at))) for at, cell in enumerate(cells)]
    for known in master.cells:
        if (known.grade or known.task) and known not in chosen.values():
            made.insert(_place(known, made), (known, _cell(_missing(known, made), known)))
    for number, (_, cell) in enumerate(made):
        cell["id"] = f"cell-{number}"
    metadata = {"kernelspec": master.kernelspec} if master.kernelspec else {}
    return nbformat.from_dict(
        {"nbformat": 4, "nbformat_minor": 5, "metadata": metadata, "cells": [cell for _, cell in made]}
    )


def _cells(data: bytes) -> Iterator[_Cell]:
    """Yield what can be read of a notebook's cells, of any version of the format; nothing if it is no notebook."""
    try:
        notebook = json.loads(data)
    except (ValueError, RecursionError):
        return
    if not isinstance(notebook, dict):
        return
    sheets = notebook.get("worksheets")
    listed = notebook.get("cells")
    if not isinstance(listed, list) and isinstance(sheets, list):
        listed = [cell for sheet in sheets if isinstance(sheet, dict) for cell in _list(sheet.get("cells"))]
    for entry in _list(listed)[:MAX_CELLS]:
        if isinstance(entry, dict):
            kind = entry.get("cell_type")
            source = entry.get("source", entry.get("input", ""))
            text = "".join(map(str, source)) if isinstance(source, list) else str(source)
            yield _Cell(
                kind if kind in _KINDS else "raw" if kind is None else "markdown",
                _printable(text),
                _claim(entry),
                _pictures(entry.get("attachments")),
            )


def _list(value: Any) -> list:
    return value if isinstance(value, list) else []


def _printable(text: str) -> str:
    """Return a text that every file can hold and every page can show."""
    text = text.encode("utf-8", "replace").decode("utf-8").replace("\0", "\N{REPLACEMENT CHARACTER}")
    return text if len(text) <= MAX_SOURCE else text[:MAX_SOURCE] + CUT


def _claim(entry: dict[str, Any]) -> str | None:
    """Return the master cell that a cell says it is; editors that drop metadata keep the id of the cell."""
    metadata = entry.get("metadata")
    ours = metadata.get("nbgrader") if isinstance(metadata, dict) else None
    name = ours.get("grade_id") if isinstance(ours, dict) else None
    name = entry.get("id") if name is None else name
    return name if isinstance(name, str) else None


def _pictures(attachments: Any) -> dict[str, dict[str, str]] | None:
    """Return the pictures that a student pasted into a text cell."""
    found = {}
    for name, bundle in attachments.items() if isinstance(attachments, dict) else ():
        for kind, data in bundle.items() if isinstance(bundle, dict) else ():
            if kind in _PICTURES and isinstance(data, str) and _BASE64.fullmatch(data):
                found[_printable(name)] = {kind: data}
    return found or None


def _stand_ins(cells: list[_Cell], by_name: dict[str, Master]) -> dict[str, int]:
    """Return which cell stands for which master cell: of several copies the last that was written in."""
    found: dict[str, int] = {}
    for at, cell in enumerate(cells):
        if cell.claims in by_name:
            master = by_name[cell.claims]
            untouched = not cell.source.strip() or cell.source.strip() == master.source.strip()
            if master.name not in found or master.locked or not untouched:
                found[master.name] = at
    return found


def _missing(master: Master, made: list[tuple[Master | None, dict[str, Any]]]) -> _Cell:
    """Return what takes the place of a graded cell that is gone: a written answer may stand in some other cell."""
    elsewhere = any(owner is None and cell["cell_type"] != "code" and cell["source"].strip() for owner, cell in made)
    return _Cell(master.kind, MISPLACED if not master.locked and elsewhere else master.source)


def _place(master: Master, made: list[tuple[Master | None, dict[str, Any]]]) -> int:
    """Return where a missing cell goes: tests behind their exercise, everything else to the end."""
    exercise = master.name.removeprefix(TEST)
    places = [at for at, (owner, _) in enumerate(made) if owner is not None and owner.name == exercise]
    return places[0] + 1 if places else len(made)


def _cell(cell: _Cell, master: Master | None) -> dict[str, Any]:
    kind = master.kind if master else "markdown" if cell.kind == "raw" else cell.kind  # pages take raw cells for HTML
    source = master.source if master and master.locked else cell.source
    made: dict[str, Any] = {"cell_type": kind, "source": source, "metadata": _metadata(master) if master else {}}
    if kind == "code":
        made |= {"execution_count": None, "outputs": []}
    elif kind == "markdown" and cell.attachments:
        made["attachments"] = cell.attachments
    return made


def _metadata(master: Master) -> dict[str, Any]:
    flags = {"grade": master.grade, "solution": master.solution, "locked": master.locked, "task": master.task}
    plain = {"schema_version": 3, "grade_id": master.name, "cell_type": master.kind, "checksum": master.checksum}
    points = {"points": master.points} if master.points is not None else {}
    return {"deletable": False, "nbgrader": plain | flags | points}
