"""Lessons as they are written: `solutions/l?_*.py` read by jupytext, and refused in one sentence when malformed.

Everything that people see is made from a `Lesson`, so what is not allowed in a source file is refused here, once.
"""

from __future__ import annotations

import ast
import re
from dataclasses import dataclass, replace
from itertools import pairwise
from pathlib import Path

import jupytext
from nbformat import NotebookNode

from graders import ROOT
from graders.errors import Problem

BEGIN, END = "### BEGIN SOLUTION", "### END SOLUTION"
DEFINITION = (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef)
_STEP_WORDS = 80
_TAGS = {"code": {"core", "practice", "active-ipynb"}, "markdown": {"question", "answer"}}


class LessonError(Problem):
    """A source file that cannot be turned into a lesson; the text is one sentence for its author."""


@dataclass(frozen=True)
class Exercise:
    """One public function or class of a lesson."""

    name: str
    core: bool
    summary: str  # the docstring's first line
    docstring: str  # the whole docstring, without its indentation
    cell: int  # index of its cell in the lesson's notebook
    steps: tuple[str, ...] = ()  # hints on request: a question, what to look up, the shape of the answer
    further: str = ""  # examples that the public check tries after the docstring's

    @property
    def examples(self) -> str:
        """The docstring, and the further examples behind it."""
        return f"{self.docstring}\n\n{self.further}" if self.further else self.docstring


@dataclass(frozen=True)
class Lesson:
    """A lesson with its solutions; cells of the notebook have the kind of jupytext's reader, tags and no outputs."""

    name: str
    title: str
    path: Path
    notebook: NotebookNode
    exercises: tuple[Exercise, ...]


def read_lessons(root: Path = ROOT) -> list[Lesson]:
    """Read every lesson of `root/solutions` in order; LessonError if there is none or one is malformed."""
    paths = sorted((root / "solutions").glob("l[0-9]_*.py"))
    if not paths:
        raise LessonError(f"{root / 'solutions'} holds no lesson (a file named like l2_data_types.py)")
    return [read_lesson(path) for path in paths]


def read_lesson(path: Path) -> Lesson:
    """Read one py:percent file with solutions; LessonError, with the file's name in it, if it is malformed."""
    try:
        text = path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise LessonError(f"{path.name} cannot be read: {error}") from None
    try:
        notebook = jupytext.reads(text, fmt="py:percent")
        return _lesson(path, notebook)
    except LessonError as error:
        raise LessonError(f"{path.name}: {error}") from None


def _lesson(path: Path, notebook: NotebookNode) -> Lesson:
    cells = notebook.cells
    if not cells or cells[0].cell_type != "markdown" or not cells[0].source.startswith("# "):
        raise LessonError("the first cell is no markdown with a title ('# Title')")
    title = cells[0].source.splitlines()[0][2:].strip()
    heads = {index: (_cut_further(cell), _cut_steps(cell)) for index, cell in enumerate(cells) if is_exercise(cell)}
    for cell in cells:
        _check_cell(cell)
    exercises = tuple(
        replace(exercise(cells[index], index), steps=steps, further=further)
        for index, (further, steps) in heads.items()
    )
    _check_order(cells, exercises)
    return Lesson(path.stem, title, path, notebook, exercises)


def _cut_further(cell: NotebookNode) -> str:
    """Take the further examples out of an exercise's cell: comments at its top, from `# >>> ...` on."""
    comments, code = _head(cell)
    count = next((at for at, line in enumerate(comments) if line.startswith("# >>>")), len(comments))
    cell.source = "\n".join(comments[:count] + code)
    return "\n".join(line[2:] for line in comments[count:])


def _cut_steps(cell: NotebookNode) -> tuple[str, ...]:
    """Take the hints on request out of an exercise's cell: the comments at its top, if they begin with `# hint 1: ...`."""
    comments, code = _head(cell)
    head = [line.lstrip("#").strip() for line in comments]
    if not head or not head[0].startswith("hint 1:"):
        return ()
    steps = re.split(r"(?:^| )hint \d: ", " ".join(head))[1:]
    if len(steps) != 3 or [line[5] for line in head if re.match(r"hint \d:", line)] != ["1", "2", "3"]:
        raise LessonError(f"{where(cell)} has no hints 1, 2 and 3 in this order")
    if any(len(step.split()) > _STEP_WORDS for step in steps):
        raise LessonError(f"{where(cell)} has a hint of more than {_STEP_WORDS} words")
    cell.source = "\n".join(code)
    return tuple(steps)


def _head(cell: NotebookNode) -> tuple[list[str], list[str]]:
    """Return the lines of comments at the top of a cell, and the lines behind them."""
    lines = cell.source.split("\n")
    count = next((at for at, line in enumerate(lines) if not line.startswith("#")), len(lines))
    return lines[:count], lines[count:]


def tags(cell: NotebookNode) -> set[str]:
    """Return the tags of a cell."""
    return set(cell.metadata.get("tags", ()))


def is_exercise(cell: NotebookNode) -> bool:
    """Tell whether a cell defines an exercise."""
    return bool(tags(cell) & {"core", "practice"})


def where(cell: NotebookNode) -> str:
    """Name a cell to its author by its first lines that are not empty."""
    line = next((line for line in cell.source.splitlines() if line.strip()), "")
    return f"the cell that starts with '{line.strip()[:60]}'" if line else "an empty cell"


def _check_cell(cell: NotebookNode) -> None:
    if cell.cell_type not in _TAGS:
        raise LessonError(f"{where(cell)} is neither code nor markdown")
    unknown = tags(cell) - _TAGS[cell.cell_type]
    if unknown:
        known = ", ".join(sorted(_TAGS[cell.cell_type]))
        raise LessonError(f"{where(cell)} has the unknown tag '{min(unknown)}' (a {cell.cell_type} cell knows {known})")
    if len(tags(cell)) > 1:
        raise LessonError(f"{where(cell)} has more than one tag")
    if is_exercise(cell) or "answer" in tags(cell):
        _check_markers(cell)
    elif BEGIN in cell.source or END in cell.source:
        wanted = "core or practice" if cell.cell_type == "code" else "answer"
        raise LessonError(f"{where(cell)} has solution markers but not the tag {wanted}")
    if "answer" in tags(cell):
        answer_points(cell)
    if cell.cell_type == "code" and not tags(cell):
        public = _public(_parsed(cell))
        if public:
            raise LessonError(f"{where(cell)} defines {public[0].name} but has no tag (core or practice)")


def _check_markers(cell: NotebookNode) -> None:
    expected = BEGIN
    for line in cell.source.splitlines():
        if line.strip() == expected:
            expected = END if expected == BEGIN else BEGIN
        elif "BEGIN SOLUTION" in line or "END SOLUTION" in line:
            raise LessonError(f"{where(cell)} has the line '{line.strip()}' where '{expected}' belongs")
    if expected == END:
        raise LessonError(f"{where(cell)} has no '{END}'")
    if BEGIN not in cell.source:
        raise LessonError(f"{where(cell)} has no '{BEGIN}'")


def _check_order(cells: list[NotebookNode], exercises: tuple[Exercise, ...]) -> None:
    if not exercises:
        raise LessonError("no cell has the tag core or practice")
    names = [exercise.name for exercise in exercises]
    for name in names:
        if names.count(name) > 1:
            raise LessonError(f"{name} is defined twice")
    kinds = [exercise.core for exercise in exercises]
    if kinds != sorted(kinds, reverse=True):
        late = next(b.name for a, b in pairwise(exercises) if b.core and not a.core)
        raise LessonError(f"the core exercise {late} stands behind practice; core comes first")
    first = next(cell for cell in cells if cell.cell_type == "code")
    if tags(first):
        raise LessonError("the first code cell is not the one with the imports")
    marks = [next(iter(tags(cell)), "") for cell in cells if cell.cell_type == "markdown"]
    if marks.count("answer") > 1 or marks.count("question") != marks.count("answer"):
        raise LessonError("a lesson has one question and one answer, each in a markdown cell with that tag")
    following = [tags(after) for cell, after in pairwise(cells) if "question" in tags(cell)]
    if following not in ([], [{"answer"}]):
        raise LessonError("the question is not followed by the answer")


def _parsed(cell: NotebookNode) -> ast.Module:
    try:
        return ast.parse(cell.source)
    except SyntaxError as error:
        raise LessonError(f"{where(cell)} does not parse: {error.msg} in its line {error.lineno}") from None


def _public(tree: ast.Module) -> list[ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef]:
    return [node for node in tree.body if isinstance(node, DEFINITION) and not node.name.startswith("_")]


def exercise(cell: NotebookNode, index: int) -> Exercise:
    """Read the exercise that a cell defines; LessonError unless it is one public definition with examples."""
    tree = _parsed(cell)
    public = _public(tree)
    if len(public) != 1:
        found = ", ".join(node.name for node in public) or "none"
        raise LessonError(f"{where(cell)} must have exactly one public function or class, and has {found}")
    name, docstring = public[0].name, ast.get_docstring(public[0]) or ""
    summary = docstring.split("\n", 1)[0].strip()
    if not summary or ">>>" not in docstring:
        raise LessonError(f"{name} has no docstring with a summary line and an example (>>>)")
    return Exercise(name, "core" in tags(cell), summary, docstring, index)


def answer_points(cell: NotebookNode) -> float:
    """Return what a written answer is worth: the sum of the points in its mark scheme.

    The scheme is the list behind a line with the words "mark scheme"; an item begins with its points ("- 1: ...",
    "- 2 points: ...") or names them once ("- ... (1 point)"). A total in that line must agree.
    """
    heading, found, text = _split_scheme(cell)
    items = [line for line in text.splitlines() if re.match(r"[-*] ", line)]
    numbers = [re.findall(r"^[-*] \**\(?(\d+(?:\.\d+)?)\b|(\d+(?:\.\d+)?) points?\b", line) for line in items]
    if not found or not items or not all(numbers):
        raise LessonError(f"{where(cell)} has no mark scheme, a list whose items begin with their points")
    points = sum(float(first or later) for (first, later), *_ in numbers)
    total = re.search(r"(\d+(?:\.\d+)?) points?\b", heading)
    if total and float(total[1]) != points:
        raise LessonError(f"the mark scheme says {total[1]} points, and its items add up to {points:g}")
    return points


def _split_scheme(cell: NotebookNode) -> tuple[str, bool, str]:
    lines = cell.source.splitlines()
    for index, line in enumerate(lines):
        if "mark scheme" in line.lower():
            return line, True, "\n".join(lines[index + 1 :])
    return "", False, ""
