"""Which code a verdict depends on, as a hash: what judges all lessons, and of lessons and kit what the lesson itself uses.

A change in one lesson leaves the verdicts on the others current. What a lesson uses is told by the imports in its files and in
those that they import. Where that tells nothing (a name that the kit makes when it is asked for), the whole kit counts.
"""

from __future__ import annotations

import ast
import hashlib
import importlib.metadata
from collections.abc import Iterable, Iterator
from functools import cache
from pathlib import Path

from graders import ROOT

_ALWAYS = ("graders/judge", "graders/collecting", "graders/worker", "graders/wire")
_KIT, _LESSONS, _SOLUTIONS = "exercises/kit", "graders/lessons", "solutions"
_FOLLOWED = ("exercises.kit.", "graders.lessons.", "solutions.")
_NAMED = (b"exercises", b"lessons", b"solutions", b"from .")  # what imports something that is followed has one of them


@cache
def graders_version(lesson: str | None) -> str:
    """Return the project's version and a hash of everything that a verdict on a lesson depends on (None: on any lesson)."""
    return f"{importlib.metadata.version('quantization-exercises')}+{fingerprint(lesson)[:12]}"


def fingerprint(lesson: str | None = None, root: Path = ROOT) -> str:
    """Return a hash of the code that makes verdicts on a lesson; None: on all of them."""
    if lesson is None:
        counted = set(_modules(root, (*_ALWAYS, _LESSONS, _SOLUTIONS, _KIT)))
    else:
        own = [
            *_modules(root, (f"{_LESSONS}/{lesson}",)),
            root / _SOLUTIONS / f"{lesson}.py",
            root / _LESSONS / "__init__.py",
        ]
        always = list(_modules(root, _ALWAYS))
        counted = {*always, *own, *_imported([*always, *own], root)}
    digest = hashlib.sha256()
    for path in sorted([*counted, *_models(root)]):
        digest.update(path.relative_to(root).as_posix().encode() + b"\0" + path.read_bytes())
    return digest.hexdigest()


def _modules(root: Path, folders: Iterable[str]) -> Iterator[Path]:
    return (path for folder in folders for path in (root / folder).rglob("*.py"))


def _models(root: Path) -> list[Path]:
    """The tiny trained models: what they answer is in verdicts too."""
    return [path for path in (root / "exercises/models").rglob("*") if path.is_file() and path.suffix != ".pyc"]


def _imported(paths: Iterable[Path], root: Path) -> set[Path]:
    """Return the modules of kit, lessons and solutions that these files import, and those that these import in turn."""
    found: set[Path] = set()
    waiting = list(paths)
    while waiting:
        path = waiting.pop()
        names = _names(path.read_bytes(), path.relative_to(root).parent.parts)
        those = {path for name in names for path in _files(name, root)}
        if any(_is_made_when_asked_for(name, root) for name in names):
            those |= set(_modules(root, (_KIT,)))
        waiting += those - found
        found |= those
    return found


@cache
def _names(source: bytes, package: tuple[str, ...]) -> frozenset[str]:
    """Return what a file of a package imports of what is followed, as full names: modules, and what it takes from them."""
    names = set()
    for node in _statements(ast.parse(source)) if any(part in source for part in _NAMED) else ():
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            above = ".".join(package[: len(package) + 1 - node.level]) if node.level else ""
            module = ".".join(filter(None, (above, node.module)))
            names |= {module} | {f"{module}.{alias.name}" for alias in node.names}
    return frozenset(name for name in names if f"{name}.".startswith(_FOLLOWED))


def _statements(tree: ast.AST) -> Iterator[ast.AST]:
    """Yield the statements of a tree, whatever they stand in: to look at expressions too takes twice as long."""
    for node in ast.iter_child_nodes(tree):
        if not isinstance(node, ast.expr):
            yield node
            yield from _statements(node)


def _files(name: str, root: Path) -> Iterator[Path]:
    """Yield the file of a module and those of the packages that it lies in, as far as the name is one of ours."""
    parts = name.split(".")
    for end in range(2, len(parts) + 1):
        place = root.joinpath(*parts[:end])
        yield from (path for path in (place / "__init__.py", place.with_suffix(".py")) if path.is_file())


def _is_made_when_asked_for(name: str, root: Path) -> bool:
    """Whether a name is taken from the kit itself and is none of its modules."""
    parts = name.split(".")
    return (
        name.startswith("exercises.kit.")
        and len(parts) == 3
        and not any((root / _KIT / file).is_file() for file in (f"{parts[2]}.py", f"{parts[2]}/__init__.py"))
    )
