"""What students see is what the sources say, and nothing more of them."""

import ast
import json
from pathlib import Path

import jupytext
import nbformat
import pytest
from torch import tensor

from exercises.kit.checking.examples import fingerprint
from graders import ROOT
from graders.authoring.derive import derive
from graders.authoring.notebooks import stub, student_notebook
from graders.authoring.source import LessonError, read_lesson, read_lessons
from tests.authoring.small_project import LESSON, write_project

pytestmark = pytest.mark.timeout(600)
LESSONS = [path.stem for path in sorted((ROOT / "solutions").glob("l[0-9]_*.py"))]
MARKERS = ["BEGIN SOLUTION", "END SOLUTION", "HIDDEN TESTS", "MARK SCHEME", "nbgrader_bridge"]


@pytest.fixture
def project(tmp_path: Path) -> Path:
    return write_project(tmp_path)


def tree(folder: Path) -> dict[str, tuple[bytes, int]]:
    return {
        path.relative_to(folder).as_posix(): (path.read_bytes(), path.stat().st_mtime_ns)
        for path in folder.rglob("*")
        if path.is_file() and path.name != ".derived.json"  # what derive keeps for the next time
    }


def solution_bodies(name: str) -> list[str]:
    """The text between the markers of each solution of a real lesson, line by line without indentation."""
    text = (ROOT / "solutions" / f"{name}.py").read_text(encoding="utf-8")
    bodies = [part.split("### END SOLUTION")[0] for part in text.split("### BEGIN SOLUTION\n")[1:]]
    return ["\n".join(line.strip("# ").strip() for line in body.strip().splitlines()) for body in bodies]


def test_committed_files_are_what_the_sources_say():
    assert derive(check=True) == []


@pytest.mark.parametrize("name", LESSONS)
class TestRealLesson:
    def test_stub_has_the_same_definitions(self, name):
        written = ast.parse((ROOT / "exercises" / f"{name}.py").read_text(encoding="utf-8"))
        source = ast.parse((ROOT / "solutions" / f"{name}.py").read_text(encoding="utf-8"))
        assert definitions(written) == definitions(source)
        assert len(definitions(source)) > 1

    def test_notebook_is_valid_and_has_no_metadata_of_nbgrader(self, name):
        notebook = nbformat.read(ROOT / "exercises" / f"{name}.ipynb", as_version=4)
        nbformat.validate(notebook)
        assert notebook.metadata.kernelspec.name == "python3"
        assert len({cell.id for cell in notebook.cells}) == len(notebook.cells)
        assert not any("nbgrader" in cell.metadata for cell in notebook.cells)

    @pytest.mark.parametrize("end", ["py", "ipynb"])
    def test_nothing_of_a_solution_is_in_it(self, name, end):
        text = (ROOT / "exercises" / f"{name}.{end}").read_text(encoding="utf-8")
        cells = jupytext.reads(text, fmt="py:percent" if end == "py" else "ipynb").cells
        flat = "\n".join(line.strip() for cell in cells for line in cell.source.splitlines())
        assert [marker for marker in MARKERS if marker in text] == []
        assert [body for body in solution_bodies(name) if body in flat] == []

    def test_every_exercise_is_still_to_be_written(self, name):
        cut = ast.parse((ROOT / "exercises" / f"{name}.py").read_text(encoding="utf-8"))
        named = [node for node in cut.body if hasattr(node, "name")]
        raising = {node.name for node in named if "raise NotImplementedError()" in ast.unparse(node)}
        assert raising == {exercise.name for exercise in read_lesson(ROOT / "solutions" / f"{name}.py").exercises}


def definitions(module: ast.Module) -> dict[str, tuple[str, str | None]]:
    """Signature and docstring of every public function and class of a module."""
    found = {}
    for node in module.body:
        if isinstance(node, ast.FunctionDef | ast.ClassDef) and not node.name.startswith("_"):
            docstring, node.body = ast.get_docstring(node), [ast.Pass()]
            found[node.name] = (ast.unparse(node), docstring)
    return found


def test_kit_holds_no_marker():
    paths = [path for path in (ROOT / "exercises").rglob("*") if path.suffix in {".py", ".json", ".ipynb", ".md"}]
    assert [path for path in paths if any(marker in path.read_text(encoding="utf-8") for marker in MARKERS)] == []


def test_check_writes_nothing_and_names_what_is_missing(project):
    before = tree(project)
    names = [
        "exercises/kit/hints.json",
        "exercises/kit/lessons.json",
        "exercises/l9_small.ipynb",
        "exercises/l9_small.py",
    ]
    assert derive(project, check=True) == names
    assert tree(project) == before
    assert derive(project) == names


def test_second_run_touches_nothing(project):
    derive(project)
    before = tree(project)
    assert derive(project) == []
    assert tree(project) == before


def test_a_changed_stub_is_named_and_restored(project):
    derive(project)
    path = project / "exercises" / "l9_small.py"
    right = path.read_bytes()
    path.write_text("changed", encoding="utf-8")
    assert derive(project, check=True) == ["exercises/l9_small.py"]
    derive(project)
    assert path.read_bytes() == right


def test_files_of_a_lesson_that_is_gone_are_removed(project):
    derive(project)
    (project / "solutions" / "l9_small.py").rename(project / "solutions" / "l8_small.py")
    assert "exercises/l9_small.py" in derive(project, check=True)
    derive(project)
    assert not list((project / "exercises").glob("l9*"))


def test_a_malformed_lesson_changes_nothing(project):
    derive(project)
    (project / "solutions" / "l9_small.py").write_text(LESSON.replace("return x * secret_half", "return -x"), "utf-8")
    (project / "solutions" / "l10_bad.py").write_text("# %% [markdown]\n# no title", "utf-8")
    (project / "solutions" / "l8_bad.py").write_text("# %% [markdown]\n# no title", "utf-8")
    before = tree(project)
    with pytest.raises(LessonError, match=r"l8_bad.py: the first cell"):
        derive(project)
    assert tree(project) == before


def test_a_failure_while_writing_leaves_every_file_whole(project, monkeypatch):
    derive(project)
    before = tree(project / "exercises")
    (project / "solutions" / "l9_small.py").write_text(LESSON.replace("A text", "Another text"), encoding="utf-8")
    write_bytes = Path.write_bytes

    def full_disk(path: Path, data: bytes) -> int:
        if "ipynb" in path.name:
            write_bytes(path, data[:10])
            raise OSError("no space left")
        return write_bytes(path, data)

    monkeypatch.setattr(Path, "write_bytes", full_disk)
    with pytest.raises(OSError, match="no space"):
        derive(project)
    assert tree(project / "exercises") == before


def test_stub_is_cut_and_demonstrations_are_comments(project):
    text = stub(read_lessons(project)[0])
    assert "secret" not in text
    assert "    if not x.numel():\n        return x\n    # YOUR CODE HERE\n    raise NotImplementedError()\n" in text
    assert "# print(torch.arange(3) * 2)\n" in text
    assert text.startswith("# %% [markdown]\n# # Small numbers\n")
    space: dict = {}
    exec(text, space)
    with pytest.raises(NotImplementedError):
        space["double"](space["torch"].ones(1))


def test_notebook_has_a_check_behind_every_exercise(project):
    cells = student_notebook(read_lessons(project)[0]).cells
    code = [cell.source for cell in cells if cell.cell_type == "code"]
    assert code[1].startswith("from exercises.kit.examples import check, hint\nfrom torch import inf, nan, tensor")
    assert [source for source in code if source.startswith("check")] == ["check(double)", "check(half)"]
    assert "print(torch.arange(3) * 2)" in code[4]
    assert cells[-1].source == "YOUR ANSWER HERE"
    assert all(set(cell.metadata) <= {"tags"} for cell in cells)


def test_ids_outlive_edits_of_text(project):
    lesson = project / "solutions" / "l9_small.py"
    before = [cell.id for cell in student_notebook(read_lesson(lesson)).cells]
    lesson.write_text(LESSON.replace("A text that teaches.", "Other words.").replace("Why?", "How?"), encoding="utf-8")
    assert [cell.id for cell in student_notebook(read_lesson(lesson)).cells] == before


def test_lessons_table(project):
    derive(project)
    table = json.loads((project / "exercises" / "kit" / "lessons.json").read_text(encoding="utf-8"))
    (lesson,) = table["lessons"]
    double, half = lesson["exercises"]
    assert (lesson["name"], lesson["title"]) == ("l9_small", "Small numbers")
    assert [(row["name"], row["core"], row["summary"]) for row in (double, half)] == [
        ("double", True, "Return twice `x`."),
        ("half", False, "Return half of `x`."),
    ]
    assert double["examples"].endswith("tensor([2., 6.])")


def test_hints_are_the_wrong_values_that_one_slip_gives(project):
    derive(project)
    table = json.loads((project / "exercises" / "kit" / "hints.json").read_text(encoding="utf-8"))
    rows = table["l9_small"]
    squares, same = fingerprint(tensor([1.0, 9.0])), fingerprint(tensor([1.0, 3.0]))
    assert sorted(rows["double"], key=lambda row: row["hint"]) == [
        {"example": 0, "value": same, "hint": "you gave the argument back"},
        {"example": 0, "value": squares, "hint": "you squared; twice is x + x"},
    ]
    # on its second example the two slips give the same zeros; on its third one raises
    assert [(row["example"], row["hint"]) for row in rows["half"]] == [(2, "two slips that agree: other")]
    assert rows["half"][0]["value"] == "raises LookupError"


def test_of_two_slips_that_agree_the_one_that_was_wrong_before_is_not_meant(project):
    path = project / "graders" / "lessons" / "l9_small" / "slips.py"
    slip = """

@slip("half", "half of a text")
def text_only(x):
    if isinstance(x, str):
        raise LookupError("no text")
    return x / 2
"""
    path.write_text(path.read_text(encoding="utf-8") + slip, encoding="utf-8")
    derive(project)
    table = json.loads((project / "exercises" / "kit" / "hints.json").read_text(encoding="utf-8"))
    assert [(row["example"], row["hint"]) for row in table["l9_small"]["half"]] == [(2, "half of a text")]


def test_a_slip_for_an_unknown_exercise_is_refused(project):
    path = project / "graders" / "lessons" / "l9_small" / "slips.py"
    path.write_text(path.read_text(encoding="utf-8").replace('"half"', '"hlaf"'), encoding="utf-8")
    with pytest.raises(LessonError, match=r"slips.py:\d+: a slip for hlaf, which l9_small.py lacks"):
        derive(project)


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("def half(", "### BEGIN SOLUTION\nSECRET = 1\n### END SOLUTION\ndef half("),
        ("    x: any shape.\n", "    ### BEGIN SOLUTION\n    x: any shape.\n    ### END SOLUTION\n"),
        ("def double(x: Tensor) -> Tensor:\n", "class double:\n"),
    ],
    ids=["before the definition", "in the docstring", "in the body of a class"],
)
def test_markers_that_cut_more_than_a_body_are_refused(project, old, new):
    (project / "solutions" / "l9_small.py").write_text(LESSON.replace(old, new), encoding="utf-8")
    with pytest.raises(LessonError, match=r"the solution markers of (half|double) are not inside of its body"):
        derive(project, check=True)
