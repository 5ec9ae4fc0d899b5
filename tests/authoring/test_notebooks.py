"""The notebooks run from top to bottom in a kernel, unsolved and solved."""

import nbformat
import pytest
from nbclient import NotebookClient

from graders import ROOT
from graders.authoring.notebooks import student_notebook
from graders.authoring.source import Lesson, read_lesson

pytestmark = pytest.mark.timeout(600)
LESSONS = sorted((ROOT / "solutions").glob("l[0-9]_*.py"))
each_lesson = pytest.mark.parametrize("path", LESSONS, ids=lambda path: path.stem)


def run(notebook: nbformat.NotebookNode) -> list[tuple[str, str, str]]:
    """Run all cells in a student's folder; return the id of each cell that raised, with the exception."""
    place = {"metadata": {"path": str(ROOT / "exercises")}}
    NotebookClient(notebook, timeout=300, allow_errors=True, resources=place).execute()
    code = [cell for cell in notebook.cells if cell.cell_type == "code"]
    return [(cell.id, out.ename, out.evalue) for cell in code for out in cell.outputs if out.output_type == "error"]


def warned(notebook: nbformat.NotebookNode) -> list[str]:
    """What stands on stderr below the cells: warnings and progress bars."""
    outputs = [out for cell in notebook.cells if cell.cell_type == "code" for out in cell.outputs]
    return [out.text for out in outputs if out.get("name") == "stderr"]


def said(notebook: nbformat.NotebookNode, lesson: Lesson) -> dict[str, str]:
    """What `check` printed, by exercise."""
    cells = {cell.id: cell for cell in notebook.cells}
    outputs = {each.name: cells[f"test_{each.name}"].outputs for each in lesson.exercises}
    return {name: "".join(out.get("text", "") for out in found) for name, found in outputs.items()}


@each_lesson
def test_unsolved_notebook_runs_and_calls_every_exercise_not_started(path):
    lesson = read_lesson(path)
    notebook = student_notebook(lesson)
    errors = run(notebook)
    assert [error for error in errors if error[1] != "NotImplementedError"] == []
    assert [error for error in errors if error[0].startswith("test_")] == []
    assert warned(notebook) == []
    assert said(notebook, lesson) == {each.name: f"{each.name} is not started yet\n" for each in lesson.exercises}


@each_lesson
def test_solved_notebook_runs_and_every_check_is_right(path):
    lesson = read_lesson(path)
    notebook = student_notebook(lesson)
    cells = {cell.id: cell for cell in notebook.cells}
    for exercise in lesson.exercises:
        cells[exercise.name].source = lesson.notebook.cells[exercise.cell].source
    assert run(notebook) == []
    assert warned(notebook) == []
    assert [text for text in said(notebook, lesson).values() if "right" not in text] == []
