"""One lesson in its three faces: the stub (.py), the student's notebook, and nbgrader's source notebook.

All three come from the same cells, and what students must not see is cut by nbgrader's own preprocessors, so that
a stub, a notebook and a released assignment can only agree.
"""

from __future__ import annotations

import ast
import re
import tomllib
from collections import Counter
from collections.abc import Collection, Mapping
from copy import deepcopy
from pathlib import Path
from typing import Any

import jupytext
import nbformat
from nbformat import NotebookNode
from nbgrader.preprocessors import CheckCellMetadata, ClearHiddenTests, ClearSolutions

from graders.authoring.files import templates
from graders.authoring.source import DEFINITION, Exercise, Lesson, LessonError, answer_points, is_exercise, tags
from graders.judge.checks import DEFAULT_POINTS
from graders.judge.names import snake_case

CHECK_IMPORT = """from exercises.kit.examples import check, hint
from torch import inf, nan, tensor  # as the examples call them"""
FAIL_CLOSED = """### BEGIN HIDDEN TESTS
raise RuntimeError("grade with graders.nbgrader_bridge")
### END HIDDEN TESTS"""
KERNEL = {"display_name": "Python 3 (ipykernel)", "language": "python", "name": "python3"}


def stub(lesson: Lesson) -> str:
    """Return the student's .py file: py:percent text with the solutions cut out."""
    notebook = _without_metadata(_cut(lesson, _marked(lesson)))
    notebook.metadata = {"jupytext": {"notebook_metadata_filter": "-all", "cell_metadata_filter": "tags,-all"}}
    return jupytext.writes(notebook, fmt="py:percent").rstrip("\n") + "\n"


def student_notebook(lesson: Lesson) -> NotebookNode:
    """Return the student's notebook: like the stub, with a check after each exercise and nothing of nbgrader's."""
    points = dict.fromkeys((exercise.name for exercise in lesson.exercises), DEFAULT_POINTS)
    return _finished(_without_metadata(_cut(lesson, _with_checks(lesson, _marked(lesson), points))))


def source_notebook(
    lesson: Lesson, only: Collection[str] = (), points: Mapping[str, float] | None = None
) -> NotebookNode:
    """Return nbgrader's source notebook (schema 3): with solutions, points of the hidden tests, tests that fail closed.

    only: the exercises that count (none: all); another one stays, without points, where one of them uses it.
    points: others than those of the hidden tests.

    Text is read-only; an exercise is an autograded answer whose grade_id is its name, followed by its autograder tests
    `test_<name>`; the written answer is graded by hand. Imports and demonstrations belong to the student and carry no
    metadata: nbgrader would otherwise restore them, and a notebook would get another verdict than from `grade`.
    """
    worth = {
        name: (points or {}).get(name, own) for name, own in hidden_points(lesson).items() if not only or name in only
    }
    notebook = _finished(_with_checks(lesson, _with_what_is_used(_marked(lesson), worth), worth))
    return CheckCellMetadata().preprocess(notebook, {})[0]


def as_bytes(notebook: NotebookNode) -> bytes:
    """Return the one way in which a notebook is written to a file."""
    return (nbformat.writes(notebook, version=4).rstrip("\n") + "\n").encode()


def hidden_points(lesson: Lesson) -> dict[str, float]:
    """Return the points of every exercise, read from the classes of `graders/lessons/<lesson>/test_<lesson>.py`.

    The file is parsed, not imported. LessonError if an exercise has no class there, or points that are no literal.
    """
    path = lesson.path.parent.parent / "graders" / "lessons" / lesson.name / f"test_{lesson.name}.py"
    try:
        tree = ast.parse(path.read_text(encoding="utf-8"))
    except (OSError, ValueError, SyntaxError) as error:
        raise LessonError(f"{path.name} cannot be read: {error}") from None
    classes = [node for node in tree.body if isinstance(node, ast.ClassDef)]
    points = {_attribute(node, "exercise", snake_case(node.name)): _points(node, path) for node in classes}
    missing = [exercise.name for exercise in lesson.exercises if exercise.name not in points]
    if missing:
        raise LessonError(f"{path.name} has no class for the exercise {missing[0]}")
    return {exercise.name: points[exercise.name] for exercise in lesson.exercises}


def _points(node: ast.ClassDef, path: Path) -> float:
    points = _attribute(node, "points", DEFAULT_POINTS)
    if not isinstance(points, int | float) or isinstance(points, bool) or points <= 0:
        raise LessonError(f"{path.name}: the points of {node.name} are no positive number")
    return points


def _attribute(node: ast.ClassDef, name: str, default: Any) -> Any:
    """Return the constant that a class assigns to a name, None for any other expression."""
    for statement in node.body:
        if isinstance(statement, ast.Assign) and [ast.unparse(target) for target in statement.targets] == [name]:
            return statement.value.value if isinstance(statement.value, ast.Constant) else None
    return default


def _marked(lesson: Lesson) -> NotebookNode:
    """Copy the lesson's cells and give each its id and nbgrader's metadata.

    The ids of cells that are no exercise name the exercise they stand before: they outlive edits of any text, which
    nbgrader needs (once there are submissions it refuses another set of cells).
    """
    notebook = deepcopy(lesson.notebook)
    names = {exercise.cell: exercise.name for exercise in lesson.exercises}
    seen: Counter[tuple[str, str]] = Counter()
    for index, cell in enumerate(notebook.cells):
        cell.metadata.pop("nbgrader", None)
        if index in names:
            cell.id = names[index]
            _set(cell, solution=True)
        elif "answer" in tags(cell):
            cell.id = "answer"
            _set(cell, solution=True, grade=True, points=answer_points(cell))
        elif "question" in tags(cell):
            cell.id = "question"
            _set(cell, locked=True)
        else:
            following = next((name for place, name in names.items() if place > index), "end")
            kind = "text" if cell.cell_type == "markdown" else "demonstration" if tags(cell) else "code"
            seen[kind, following] += 1
            cell.id = f"{kind}_{following}_{seen[kind, following]}"
            if kind == "text":
                _set(cell, locked=True)
    return notebook


def _set(cell: NotebookNode, **flags: bool | float) -> None:
    plain = {"schema_version": 3, "grade_id": cell.id, "task": False}
    cell.metadata["nbgrader"] = nbformat.from_dict(plain | {"grade": False, "solution": False, "locked": False} | flags)


def _with_what_is_used(notebook: NotebookNode, asked: Collection[str]) -> NotebookNode:
    """Leave out the exercises that are not asked for and that nothing which stays uses, and demonstrations of them."""
    others = {cell.id: cell.source for cell in notebook.cells if is_exercise(cell) and cell.id not in asked}
    demonstrations = [cell.id for cell in notebook.cells if cell.cell_type == "code" and "active-ipynb" in tags(cell)]
    stays = [cell for cell in notebook.cells if cell.cell_type == "code" and cell.id not in [*others, *demonstrations]]
    texts = [cell.source for cell in stays]
    while texts:
        text = texts.pop()
        texts += [others.pop(name) for name in list(others) if re.search(rf"\b{name}\b", text)]
    gone = re.compile(rf"\b({'|'.join(others)})\b") if others else None
    notebook.cells = [
        cell
        for cell in notebook.cells
        if cell.id not in others and not (gone and cell.id in demonstrations and gone.search(cell.source))
    ]
    return notebook


def _with_checks(lesson: Lesson, notebook: NotebookNode, points: Mapping[str, float]) -> NotebookNode:
    """Begin with the cell that fetches the kit, import `check` in the next code cell, add a test cell to every exercise.

    An exercise without points has a cell in which it can be checked.
    """
    first = next(cell for cell in notebook.cells if cell.cell_type == "code")
    first.source = f"{CHECK_IMPORT}\n\n{first.source}"
    cells = [nbformat.v4.new_code_cell(_fetching(lesson.path.parent.parent), id="fetch_the_kit")]
    for cell in notebook.cells:
        cells.append(cell)
        if is_exercise(cell) and cell.id not in points:
            cells.append(nbformat.v4.new_code_cell(f"check({cell.id})", id=f"check_{cell.id}"))
        elif is_exercise(cell):
            test = nbformat.v4.new_code_cell(f"check({cell.id})\n{FAIL_CLOSED}", id=f"test_{cell.id}")
            _set(test, grade=True, locked=True, points=points[cell.id])
            cells.append(test)
    notebook.cells = cells
    return notebook


def _fetching(root: Path) -> str:
    """Return the cell that fetches the kit where it is missing, from the address in pyproject.toml if there is one."""
    project = tomllib.loads((root / "pyproject.toml").read_text(encoding="utf-8"))
    address = project.get("tool", {}).get("student-kit", {}).get("address", "")
    template = templates(Path(__file__).parent).get_template("first_cell.py.jinja")
    return template.render(name=project["project"]["name"], address=address).rstrip("\n")


def _cut(lesson: Lesson, notebook: NotebookNode) -> NotebookNode:
    """Cut what students must not see, by nbgrader's own rule."""
    for cutter in (ClearSolutions(), ClearHiddenTests()):
        notebook, _ = cutter.preprocess(notebook, {})
    for exercise in lesson.exercises:
        cell = next(cell for cell in notebook.cells if cell.id == exercise.name)
        _check_stub(lesson, exercise, cell.source)
    return notebook


def _check_stub(lesson: Lesson, exercise: Exercise, source: str) -> None:
    """Refuse markers that cut more than a body: the stub must define the exercise, and raise only when it is called."""
    problem = LessonError(f"{lesson.path.name}: the solution markers of {exercise.name} are not inside of its body")
    try:
        tree = ast.parse(source)
    except SyntaxError:
        raise problem from None
    definitions = [node for node in tree.body if isinstance(node, DEFINITION) and node.name == exercise.name]
    if not definitions or ast.get_docstring(definitions[0]) != exercise.docstring:
        raise problem
    bodies = [tree.body, *(node.body for node in ast.walk(tree) if isinstance(node, ast.ClassDef))]
    if any(isinstance(statement, ast.Raise) for body in bodies for statement in body):
        raise problem
    if not any(isinstance(node, ast.Raise) for node in ast.walk(definitions[0])):
        raise problem


def _without_metadata(notebook: NotebookNode) -> NotebookNode:
    for cell in notebook.cells:
        cell.metadata.pop("nbgrader", None)
    return notebook


def _finished(notebook: NotebookNode) -> NotebookNode:
    for cell in notebook.cells:
        cell.metadata.pop("lines_to_next_cell", None)  # jupytext's, for the .py only
    notebook.metadata = nbformat.from_dict({"kernelspec": KERNEL, "language_info": {"name": "python"}})
    notebook.nbformat, notebook.nbformat_minor = 4, 5
    nbformat.validate(notebook)
    return notebook
