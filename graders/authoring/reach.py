"""What the hints of an exercise depend on, told from the text: its cell, its slips, and whatever these can reach by a name.

A definition is reached by whoever has its name as a word anywhere, in a docstring or an attribute too; what is no definition
(imports, constants, loops) is reached by all. So more may be taken than is needed, never less.
"""

from __future__ import annotations

import ast
import re
from pathlib import Path
from typing import NamedTuple

from graders.authoring.source import DEFINITION, Exercise, Lesson

_OTHERS = re.compile(r"\b(solutions|graders\.lessons)(?:\.|\s+import\s+)(\w+)")


class _Part(NamedTuple):
    """A statement of a module: the names by which it is reached (none: always), its text, and whose slip it is."""

    names: frozenset[str]
    text: str
    exercise: str = ""


def reached(lesson: Lesson, root: Path) -> dict[str, bytes]:
    """Return the text of everything that an exercise's hints depend on in `solutions/` and `slips.py`, by exercise."""
    slips = root / "graders" / "lessons" / lesson.name / "slips.py"
    solutions, wrong = _parts(lesson.path), _parts(slips) if slips.is_file() else []
    others = _other_lessons(lesson, root, "\n".join(part.text for part in [*solutions, *wrong]))
    return {one.name: others + _text(one, solutions, wrong) for one in lesson.exercises}


def _text(exercise: Exercise, solutions: list[_Part], slips: list[_Part]) -> bytes:
    name, parts = exercise.name, [_Part(frozenset(), exercise.further), *solutions, *slips]
    roots = [part for part in solutions if name in part.names] + [part for part in slips if part.exercise == name]
    found = [part for part in parts if not part.names or any(part is root for root in roots)]
    words: set[str] = set()
    while new := {word for part in found for word in re.findall(r"\w+", part.text)} - words:
        words |= new
        found = [part for part in parts if part.names & words or any(part is other for other in found)]
    return "\0".join(part.text for part in found).encode()


def _parts(path: Path) -> list[_Part]:
    source = path.read_text(encoding="utf-8")
    lines = source.splitlines()
    parts = []
    for node in ast.parse(source).body:
        marks = getattr(node, "decorator_list", [])
        first = min([node.lineno, *(mark.lineno for mark in marks)])
        text = "\n".join(lines[first - 1 : node.end_lineno])
        names = frozenset[str]()
        if isinstance(node, DEFINITION):
            names = frozenset([node.name])
        elif isinstance(node, ast.ImportFrom) and (node.module or "").startswith("solutions."):
            names = frozenset(alias.asname or alias.name for alias in node.names)
        parts.append(_Part(names, text, next(filter(None, map(_slip_of, marks)), "")))
    return parts


def _slip_of(mark: ast.expr) -> str:
    """Return the exercise of `@slip("exercise", ...)`."""
    ours = isinstance(mark, ast.Call) and ast.unparse(mark.func) == "slip" and bool(mark.args)
    return str(mark.args[0].value) if ours and isinstance(mark.args[0], ast.Constant) else ""  # type: ignore[attr-defined]


def _other_lessons(lesson: Lesson, root: Path, text: str) -> bytes:
    """Return the files of other lessons that are imported, whole."""
    found = b""
    for package, name in sorted(set(_OTHERS.findall(text))):
        folder = root.joinpath(*package.split("."))
        if name != lesson.name:
            paths = [folder / f"{name}.py", *sorted((folder / name).rglob("*.py"))]
            found += b"".join(path.read_bytes() for path in paths if path.is_file())
    return found
