"""The hidden tests, where they are there: in a clone of the whole repository, not in a kit that was given out.

They are asked by a command, `python -m graders judge`, so that neither they nor the solutions are in the process that runs the
student's code. What comes back describes hidden inputs, and never prints them.
"""

import ast
import hashlib
import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

from exercises.kit.lessons import KitError
from exercises.kit.studying import memory
from exercises.kit.studying.answers import FOLDER

ABSENT = "The hidden tests are no part of this kit: examples, arguments, modes and torch's settings are all that is checked here."


def is_there(root: Path = FOLDER.parent) -> bool:
    """Whether the judge and the solutions that it needs lie beside `exercises/`."""
    return (root / "graders" / "judge").is_dir() and (root / "solutions").is_dir()


def begin(named: list[str], root: Path = FOLDER.parent) -> subprocess.Popen[str] | None:
    """Start the judge on exercises, of which it will be told later which it is to judge: it loads libraries meanwhile.

    named: FILE::EXERCISE, with absolute paths. None where nothing can be judged.
    """
    if not is_there(root) or os.name == "nt":
        return None
    command = [sys.executable, "-m", "graders", "judge", "--stdin", *named]
    pipe = subprocess.PIPE
    return subprocess.Popen(command, cwd=root, stdin=pipe, stdout=pipe, stderr=pipe, encoding="utf-8", errors="replace")


def judged(
    named: list[str], root: Path = FOLDER.parent, begun: subprocess.Popen[str] | None = None
) -> dict[tuple[str, str], dict[str, Any]]:
    """Return the judge's verdicts on exercises, named as FILE::EXERCISE with absolute paths, by (lesson, exercise).

    begun: the judge, if it was started on them (see `begin`). A verdict has the keys outcome, message and hint. KitError,
    in one sentence, where nothing can be judged.
    """
    if not is_there(root):
        raise KitError(ABSENT)
    begun = begun or begin(named, root)
    if begun is None:
        raise KitError("The hidden tests need Linux or macOS; on Windows run this in WSL.")
    try:
        told, wrong = begun.communicate("".join(f"{each}\n" for each in named))
    except BaseException:  # interrupted: a notebook's kernel is, and those that it started are not
        begun.terminate()
        raise
    found = [json.loads(line) for line in told.splitlines() if line.startswith("{")]
    if begun.returncode and not found:
        last = (wrong.strip().splitlines() or ["it said nothing"])[-1]
        raise KitError(f"The hidden tests could not be run: {last.removeprefix('graders: ')}")
    return {(one["lesson"], one["name"]): one for one in found}


def judged_cells(lesson: str, name: str, cells: list[str]) -> dict[str, Any]:
    """Return the judge's verdict on an exercise, given the code cells that were run, in order. KitError as in `judged`."""
    parts: list[dict[str, Any]] = [
        {"cell_type": "code", "source": cell, "metadata": {}, "outputs": [], "execution_count": None}
        for cell in not_replaced(cells)
    ]
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / f"{lesson}.ipynb"
        path.write_text(
            json.dumps({"nbformat": 4, "nbformat_minor": 5, "metadata": {}, "cells": parts}), encoding="utf-8"
        )
        return judged([f"{path}::{name}"])[lesson, name]


def not_replaced(cells: list[str]) -> list[str]:
    """Return the cells without those that only define what a later one defines again: an endless loop in them is gone too."""
    kept: list[str] = []
    later: set[str] = set()
    for cell in reversed(cells):
        names = _only_defined(cell)
        if names is None or not names <= later:
            kept.append(cell)
            later |= names or set()
    return kept[::-1]


def _only_defined(cell: str) -> set[str] | None:
    """The functions and classes of a cell that has nothing else but calls for their effect, as `check`; None if it has."""
    try:
        body = ast.parse(cell).body
    except SyntaxError:
        return None
    definitions = [node for node in body if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef)]
    if not definitions or not all(node in definitions or isinstance(node, ast.Expr) for node in body):
        return None
    return {node.name for node in definitions}


def told(verdict: dict[str, Any]) -> str:
    """Return a verdict on an exercise whose examples are right, and which is not, as text."""
    hint = f"\n  hint   {verdict['hint']}" if verdict["hint"] else ""
    return f"its examples are right, a hidden test is not:\n{verdict['message']}{hint}"


def note(path: Path, right: list[str], place: Path = memory.PLACE) -> None:
    """Remember which exercises of a file were judged right, as it is now."""
    kept = memory.recall(place)
    memory.remember(kept | {"judged": kept["judged"] | {f"{path.stem}::{name}": _stamp(path) for name in right}}, place)


def is_right(lesson: str, name: str, path: Path, place: Path = memory.PLACE) -> bool:
    """Whether an exercise was judged right, and its file has not changed since."""
    return memory.recall(place)["judged"].get(f"{lesson}::{name}") == _stamp(path)


def _stamp(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()
