"""From `solutions/` to what students see: stubs, notebooks, examples and hints, all derived and committed.

Files written, relative to the root of the repository:

- `exercises/<lesson>.py` and `exercises/<lesson>.ipynb`, the stub and the notebook (see `graders.authoring.notebooks`);
- `exercises/kit/lessons.json`, from which examples are read even when a student's docstrings are gone:
  `{"lessons": [{"name", "title", "exercises": [{"name", "core": bool, "summary": the docstring's first line,
  "examples": the whole docstring and further examples, "stub": its cell, "steps": hints on request}]}]}`, lessons and
  exercises in order;
- `exercises/kit/hints.json`, the wrong values that slips give on the examples (see `graders.authoring.hints`):
  `{lesson: {exercise: [{"example": index, "value": fingerprint, "hint": sentence}]}}`.

The same sources give the same bytes, so `derive --check` proves that what is committed is what the sources say.
"""

from __future__ import annotations

import contextlib
import hashlib
import importlib.metadata
import json
from pathlib import Path
from typing import Any

from graders import ROOT
from graders.authoring.agreement import check_agreement
from graders.authoring.files import write_all
from graders.authoring.hints import hints
from graders.authoring.notebooks import as_bytes, stub, student_notebook
from graders.authoring.reach import reached
from graders.authoring.source import Lesson, read_lessons

_CACHE = ".derived.json"  # of this machine only


def derive(root: Path = ROOT, check: bool = False) -> list[str]:
    """Bring `root/exercises` to what `root/solutions` says; return the files changed, relative to root.

    With `check` nothing is written, and the files returned are those out of date. Derived files of lessons that no
    longer exist count too, and are removed. LessonError, before anything is written, if a source is malformed.
    """
    files = derived_files(root)
    changed = {name: data for name, data in files.items() if _read(root / name) != data}
    stale = [name for name in _present(root) if name not in files]
    if not check:
        write_all({root / name: data for name, data in changed.items()})
        for name in stale:
            (root / name).unlink()
    return sorted([*changed, *stale])


def derived_files(root: Path = ROOT) -> dict[str, bytes]:
    """Return everything that is derived: path relative to root -> content."""
    lessons = read_lessons(root)
    for lesson in lessons:
        check_agreement(lesson)
    files = {}
    for lesson in lessons:
        files[f"exercises/{lesson.name}.py"] = stub(lesson).encode()
        files[f"exercises/{lesson.name}.ipynb"] = as_bytes(student_notebook(lesson))
    files["exercises/kit/lessons.json"] = _json(lessons_table(lessons))
    files["exercises/kit/hints.json"] = _json(_hints(lessons, root))
    return files


def _hints(lessons: list[Lesson], root: Path) -> dict[str, Any]:
    """Return the hints of every lesson. Finding them runs every slip, so those of exercises that are as they were are kept."""
    kept = _remembered(root / _CACHE)
    shared = hashlib.sha256()
    for library in ("torch", "transformers", "optimum-quanto"):
        shared.update(importlib.metadata.version(library).encode() + b"\0")
    for path in sorted([*(root / "exercises").rglob("*.py"), *(root / "graders/authoring").rglob("*.py")]):
        if path.parent != root / "exercises":  # stubs are derived
            shared.update(path.read_bytes())
    found: dict[str, dict[str, Any]] = {}
    for lesson in lessons:
        keys = {}
        for name, text in reached(lesson, root).items():
            key = shared.copy()
            key.update(text)
            keys[name] = key.hexdigest()
        known = kept.get(lesson.name)
        rows = known.items() if isinstance(known, dict) else ()
        current = {
            name: row for name, row in rows if isinstance(row, dict) and name in keys and row.get("key") == keys[name]
        }
        made = hints(lesson, keys.keys() - current.keys()) if len(current) < len(keys) else {}
        found[lesson.name] = {
            name: current.get(name) or {"key": key, "hints": made.get(name, [])} for name, key in keys.items()
        }
    if found != kept:
        with contextlib.suppress(OSError):
            write_all({root / _CACHE: _json(found)})
    return {
        lesson: {name: row["hints"] for name, row in rows.items() if row["hints"]} for lesson, rows in found.items()
    }


def _remembered(path: Path) -> dict[str, Any]:
    with contextlib.suppress(OSError, ValueError):
        found = json.loads(path.read_text(encoding="utf-8"))
        if isinstance(found, dict):
            return found
    return {}


def lessons_table(lessons: list[Lesson]) -> dict[str, Any]:
    """Return the content of `lessons.json`."""
    return {"lessons": [{"name": each.name, "title": each.title, "exercises": _rows(each)} for each in lessons]}


def _rows(lesson: Lesson) -> list[dict[str, Any]]:
    stubs = {cell.id: cell.source for cell in student_notebook(lesson).cells}
    return [
        {"name": each.name, "core": each.core, "summary": each.summary, "examples": each.examples}
        | {"stub": stubs[each.name], "steps": each.steps}
        for each in lesson.exercises
    ]


def _present(root: Path) -> list[str]:
    folder = root / "exercises"
    return [f"exercises/{path.name}" for end in ("py", "ipynb") for path in folder.glob(f"l[0-9]_*.{end}")]


def _read(path: Path) -> bytes | None:
    return path.read_bytes() if path.is_file() else None


def _json(table: Any) -> bytes:
    return (json.dumps(table, indent=1, ensure_ascii=False) + "\n").encode()
