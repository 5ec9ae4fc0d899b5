"""The notebooks run from top to bottom in a kernel, unsolved and solved."""

import ast
import builtins
import doctest
import itertools
import re
from collections.abc import Iterable

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


def _text(output: nbformat.NotebookNode) -> str:
    return output.get("text", "") or output.get("data", {}).get("text/plain", "")


@each_lesson
def test_unsolved_notebook_runs_and_calls_every_exercise_not_started(path):
    lesson = read_lesson(path)
    notebook = student_notebook(lesson)
    assert run(notebook) == [], "Run All would stop at such a cell"
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


def test_run_all_goes_on_behind_a_cell_that_uses_what_is_not_written():
    sources = [
        "import torch\nfrom exercises.kit.examples import check, hint",
        "def integer_range(dtype):\n    # YOUR CODE HERE\n    raise NotImplementedError()",
        "integer_range(torch.int8)",
        "def spin():\n    raise NotImplementedError('mine')\n\n\nspin()",
        "def range_from_bits(bits, signed):\n    while True:\n        pass",
        "from exercises.kit.checking import notebook\nnotebook.SECONDS = 0.5\ncheck(range_from_bits)",
        "hint('integer_rang')",
        "low, high = integer_range(torch.int8)\nprint(low)",
        "print(high)",
        "print(nobody)",
    ]
    notebook = nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell(source) for source in sources])
    errors = run(notebook)
    texts = ["".join(_text(out) for out in cell.outputs) for cell in notebook.cells]
    assert texts[2] == "integer_range is not written yet; this cell needs it\n"
    own = [("NotImplementedError", "mine"), ("NameError", "name 'nobody' is not defined")]
    assert [error[1:] for error in errors] == own, "an error of one's own stays an error"
    assert texts[7] == texts[8] == texts[2]
    assert "got    no end after 0.5 s, stopped" in texts[5]
    (message,) = notebook.cells[5].outputs
    assert "<b" in message.data["text/html"]
    assert texts[6] == "There is no exercise integer_rang. Do you mean integer_range?\n"


def bound(statements: list[ast.stmt]) -> set[str]:
    """The names that statements bind outside of functions and classes."""
    inner = (ast.FunctionDef, ast.ClassDef)
    written = {each.name for each in statements if isinstance(each, inner)}
    nodes = [node for each in statements if not isinstance(each, inner) for node in ast.walk(each)]
    imported = {node.asname or node.name.partition(".")[0] for node in nodes if isinstance(node, ast.alias)}
    return written | imported | _names(nodes, ast.Store)


def _names(nodes: Iterable[ast.AST], context: type[ast.expr_context]) -> set[str]:
    return {node.id for node in nodes if isinstance(node, ast.Name) and isinstance(node.ctx, context)}


@each_lesson
def test_the_call_of_a_message_can_be_pasted_into_a_cell(path):
    lesson = read_lesson(path)
    cells = [ast.parse(cell.source).body for cell in student_notebook(lesson).cells if cell.cell_type == "code"]
    known = set(vars(builtins)).union(*map(bound, cells))
    for exercise in lesson.exercises:
        tree = ast.parse("".join(each.source for each in doctest.DocTestParser().get_examples(exercise.examples)))
        own = {node.arg for node in ast.walk(tree) if isinstance(node, ast.arg)} | _names(ast.walk(tree), ast.Store)
        assert _names(ast.walk(tree), ast.Load) <= known | own | bound(tree.body), exercise.name


@each_lesson
def test_no_line_of_a_paragraph_turns_into_a_numbered_list(path):
    lines = "\n\n".join(cell.source for cell in read_lesson(path).notebook.cells if cell.cell_type == "markdown").split(
        "\n"
    )
    text = re.compile(r"(?!\d+[.)] |\s*$|\s)")
    torn = [after for before, after in itertools.pairwise(lines) if text.match(before) and re.match(r"1[.)] ", after)]
    assert torn == []
