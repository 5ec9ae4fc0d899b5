"""The nbgrader course: right metadata, releases without a trace of answers, updates that touch nothing of students."""

import os
import re
import stat
import subprocess
import sys
from pathlib import Path

import nbformat
import pytest
from nbgrader.api import Gradebook
from nbgrader.converters import GenerateAssignment
from nbgrader.nbgraderformat import MetadataValidator
from nbgrader.preprocessors import IncludeHeaderFooter, InstantiateTests, SaveCells

from graders import ROOT
from graders.authoring.files import FolderError
from graders.authoring.notebooks import hidden_points, source_notebook
from graders.authoring.source import LessonError, read_lesson, read_lessons
from graders.for_nbgrader.course import course
from tests.authoring.small_project import HIDDEN, LESSON, write_project

pytestmark = pytest.mark.timeout(600)
LESSONS = sorted((ROOT / "solutions").glob("l[0-9]_*.py"))
SECRETS = ["SOLUTION", "HIDDEN", "MARK SCHEME", "ark scheme", "nbgrader_bridge"]


@pytest.fixture
def project(tmp_path: Path) -> Path:
    return write_project(tmp_path / "project")


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return tmp_path / "course"


def contents(folder: Path) -> dict[str, bytes]:
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def released(notebook):
    """What `nbgrader generate_assignment` makes of a notebook, without a database."""
    left_out = (IncludeHeaderFooter, InstantiateTests, SaveCells)
    for each in [each for each in GenerateAssignment().preprocessors if each not in left_out]:
        notebook, _ = each().preprocess(notebook, {})
    return notebook


def nbgrader(folder: Path, *arguments: str) -> str:
    environment = {**os.environ, "HOME": str(folder), "PYTHONPATH": str(ROOT)}
    command = [sys.executable, "-m", "nbgrader", *arguments]
    done = subprocess.run(
        command, cwd=folder, env=environment, capture_output=True, text=True, timeout=120, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout + done.stderr


def test_metadata_of_every_kind_of_cell(project):
    notebook = source_notebook(read_lessons(project)[0])
    MetadataValidator().validate_nb(notebook)
    found = {}
    for cell in notebook.cells:
        meta = cell.metadata.get("nbgrader")
        kinds = [key for key in ("grade", "solution", "locked") if meta and meta[key]]
        found[cell.id] = (cell.cell_type, kinds, meta and meta.get("points"))
        assert meta is None or (meta.schema_version, meta.grade_id) == (3, cell.id)
    assert found == {
        "fetch_the_kit": ("code", [], None),
        "text_double_1": ("markdown", ["locked"], None),
        "code_double_1": ("code", [], None),
        "text_double_2": ("markdown", ["locked"], None),
        "double": ("code", ["solution"], None),
        "test_double": ("code", ["grade", "locked"], 3),
        "demonstration_half_1": ("code", [], None),
        "half": ("code", ["solution"], None),
        "test_half": ("code", ["grade", "locked"], 2),
        "question": ("markdown", ["locked"], None),
        "answer": ("markdown", ["grade", "solution"], 3),
    }


def test_tests_check_the_examples_and_fail_closed(project):
    cell = next(cell for cell in source_notebook(read_lessons(project)[0]).cells if cell.id == "test_double")
    assert cell.source.splitlines() == [
        "check(double)",
        "### BEGIN HIDDEN TESTS",
        'raise RuntimeError("grade with graders.nbgrader_bridge")',
        "### END HIDDEN TESTS",
    ]


@pytest.mark.parametrize("path", LESSONS, ids=lambda path: path.stem)
def test_released_real_notebook_has_no_trace_of_answers(path):
    lesson = read_lesson(path)
    notebook = released(source_notebook(lesson))
    text = nbformat.writes(notebook)
    assert [secret for secret in SECRETS if secret in text] == []
    cells = {cell.id: cell for cell in notebook.cells}
    for exercise in lesson.exercises:
        assert cells[exercise.name].source.rstrip().endswith("raise NotImplementedError()")
        assert cells[f"test_{exercise.name}"].source.strip() == f"check({exercise.name})"
    assert cells["answer"].source == "YOUR ANSWER HERE"


def test_points_come_from_the_hidden_tests(project):
    assert hidden_points(read_lessons(project)[0]) == {"double": 3, "half": 2}
    path = project / "graders" / "lessons" / "l9_small" / "test_l9_small.py"
    path.write_text(HIDDEN.replace("class TestHalf:", "class TestOther:\n    exercise = 'half'"), encoding="utf-8")
    assert hidden_points(read_lessons(project)[0]) == {"double": 3, "half": 2}


@pytest.mark.parametrize(
    ("old", "new", "said"),
    [
        ("class TestHalf", "class TestHlaf", "test_l9_small.py has no class for the exercise half"),
        ("points = 3", "points = 1 + 2", "the points of TestDouble are no positive number"),
        ("points = 3", "points = 0", "the points of TestDouble are no positive number"),
        ("class TestHalf:", "class TestHalf", "test_l9_small.py cannot be read"),
    ],
    ids=["no class", "no literal", "zero", "syntax"],
)
def test_bad_hidden_tests_are_refused_before_anything_is_written(project, folder, old, new, said):
    (project / "graders" / "lessons" / "l9_small" / "test_l9_small.py").write_text(
        HIDDEN.replace(old, new), encoding="utf-8"
    )
    with pytest.raises(LessonError, match=re.escape(said)):
        course(folder, project)
    assert not folder.exists()


def test_course_is_complete(project, folder):
    course(folder, project)
    files = contents(folder)
    assert sorted(files) == [
        ".course.json",
        ".seed",
        "README.md",
        "nbgrader_config.py",
        "source/l9_small/l9_small.ipynb",
    ]
    readme = files["README.md"].decode()
    assert "| `l9_small` | 2 | 5 | 3 |" in readme
    assert "- 2 points: says why" in readme
    assert "SOLUTION" not in readme


def test_some_exercises_with_other_points(project, folder):
    told = course(folder, project, only=["half"], points={"half": 7})
    assert "with 1 exercises in 1 assignments" in told[0]
    notebook = nbformat.read(folder / "source/l9_small/l9_small.ipynb", as_version=4)
    cells = {cell.id: cell.metadata.get("nbgrader", {}) for cell in notebook.cells}
    assert "double" not in cells
    assert "test_double" not in cells
    assert cells["test_half"].points == 7
    assert "| `l9_small` | 1 | 7 | 3 |" in (folder / "README.md").read_text()


def test_an_exercise_that_another_one_uses_stays_without_points(project, folder):
    path = project / "solutions/l9_small.py"
    path.write_text(path.read_text().replace("return x * secret_half", "return double(x) * secret_half / 2"))
    notebook = source_notebook(read_lessons(project)[0], only=["half"])
    cells = {cell.id: cell.metadata.get("nbgrader", {}) for cell in notebook.cells}
    assert cells["double"].solution
    assert cells["check_double"] == {}
    assert "test_double" not in cells
    assert cells["test_half"].points == 2


def test_seed_is_secret_and_stays(project, folder):
    course(folder, project)
    path = folder / ".seed"
    seed = path.read_bytes()
    path.chmod(0o644)
    course(folder, project)
    assert path.read_bytes() == seed
    assert len(seed) == 32
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    course(folder.with_name("another"), project)
    assert (folder.with_name("another") / ".seed").read_bytes() != seed


def test_second_run_updates_sources_and_nothing_else(project, folder):
    course(folder, project)
    for name in ("submitted/ann/l9_small/l9_small.ipynb", "gradebook.db", "release/l9_small/l9_small.ipynb"):
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(name, encoding="utf-8")
    before = contents(folder)
    course(folder, project)
    assert contents(folder) == before
    (project / "solutions" / "l9_small.py").write_text(LESSON.replace("A text", "A new text"), encoding="utf-8")
    course(folder, project)
    after = contents(folder)
    changed = sorted(name for name in before if after[name] != before[name])
    assert changed == [".course.json", "source/l9_small/l9_small.ipynb"]
    assert b"A new text" in after["source/l9_small/l9_small.ipynb"]


def test_what_the_instructor_edited_is_not_lost(project, folder):
    course(folder, project)
    source, config = folder / "source" / "l9_small" / "l9_small.ipynb", folder / "nbgrader_config.py"
    right = source.read_bytes()
    source.write_bytes(right + b"\n")
    config.write_text("# mine\n", encoding="utf-8")
    told = course(folder, project)
    assert source.read_bytes() == right
    assert [path.read_bytes() for path in (folder / "replaced").iterdir()] == [right + b"\n"]
    assert config.read_text(encoding="utf-8") == "# mine\n"
    assert len(told) == 3
    assert told[1].startswith(
        "source/l9_small/l9_small.ipynb was edited and is replaced; the edited one is now replaced/"
    )
    assert told[2].startswith("nbgrader_config.py was edited and stays")


def test_the_source_of_a_lesson_that_is_gone_goes_too(project, folder):
    course(folder, project)
    for old, new in (
        ("solutions/l9_small.py", "solutions/l8_small.py"),
        ("graders/lessons/l9_small", "graders/lessons/l8_small"),
        ("graders/lessons/l8_small/test_l9_small.py", "graders/lessons/l8_small/test_l8_small.py"),
    ):
        (project / old).rename(project / new)
    course(folder, project)
    assert [path.name for path in (folder / "source").iterdir()] == ["l8_small"]


def test_another_folder_is_refused(project, folder):
    folder.mkdir()
    (folder / "gradebook.db").write_text("mine", encoding="utf-8")
    with pytest.raises(FolderError, match="is not empty and was not written by this command"):
        course(folder, project)
    assert contents(folder) == {"gradebook.db": b"mine"}


@pytest.fixture(scope="module")
def generated(tmp_path_factory) -> Path:
    """A course whose assignment nbgrader has generated."""
    base = tmp_path_factory.mktemp("nbgrader")
    course(base / "course", write_project(base / "project"))
    nbgrader(base / "course", "generate_assignment", "l9_small")
    return base / "course"


def test_release_has_no_trace_of_answers(generated):
    (path,) = (generated / "release").rglob("*.*")
    text = path.read_text(encoding="utf-8")
    assert [secret for secret in [*SECRETS, "secret"] if secret in text] == []
    notebook = nbformat.read(path, as_version=4)
    cells = {cell.metadata.nbgrader.grade_id: cell for cell in notebook.cells if "nbgrader" in cell.metadata}
    assert cells["test_double"].source.strip() == "check(double)"
    assert cells["test_double"].metadata.editable is False
    assert cells["double"].metadata.get("editable", True)
    assert cells["answer"].source == "YOUR ANSWER HERE"


def test_gradebook_knows_points_and_kinds(generated):
    with Gradebook(f"sqlite:///{generated / 'gradebook.db'}") as gradebook:
        cells = gradebook.find_notebook("l9_small", "l9_small").grade_cells
        assert {cell.name: (cell.max_score, cell.cell_type) for cell in cells} == {
            "test_double": (3, "code"),
            "test_half": (2, "code"),
            "answer": (3, "markdown"),
        }


def test_zip_collect_finds_the_students(generated):
    archive = generated / "downloaded" / "l9_small" / "archive"
    archive.mkdir(parents=True)
    (archive / "ann_1_2_l9_small.ipynb").write_bytes((generated / "release/l9_small/l9_small.ipynb").read_bytes())
    nbgrader(generated, "zip_collect", "l9_small")
    assert [path.parts[-3:] for path in (generated / "submitted").rglob("*.ipynb")] == [
        ("ann_1", "l9_small", "l9_small.ipynb")
    ]


def test_exchange_takes_the_release(generated):
    nbgrader(generated, "release_assignment", "l9_small")
    nbgrader(generated, "collect", "l9_small")
    assert (generated / "exchange/quantization/outbound/l9_small/l9_small.ipynb").is_file()


def test_without_the_configuration_nobody_gains_a_point(project, folder):
    course(folder, project)
    nbgrader(folder, "generate_assignment", "l9_small")
    (folder / "nbgrader_config.py").unlink()
    submitted = folder / "submitted" / "ann" / "l9_small" / "l9_small.ipynb"
    submitted.parent.mkdir(parents=True)
    submitted.write_bytes((folder / "source" / "l9_small" / "l9_small.ipynb").read_bytes())
    nbgrader(folder, "autograde", "l9_small")
    with Gradebook(f"sqlite:///{folder / 'gradebook.db'}") as gradebook:
        assert gradebook.find_submission("l9_small", "ann").score == 0
