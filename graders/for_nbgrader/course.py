"""A complete nbgrader course: configuration, source notebooks of all lessons, and a README for the instructor."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Collection, Mapping
from pathlib import Path

from nbformat import NotebookNode

from graders import ROOT
from graders.authoring.files import edited, templates, update_folder
from graders.authoring.notebooks import as_bytes, source_notebook
from graders.authoring.source import BEGIN, END, Lesson, read_lessons, tags
from graders.cohort.verdicts import secret_seed

_HERE = Path(__file__).parent
_MANIFEST = ".course.json"


def course(
    directory: Path, root: Path = ROOT, only: Collection[str] = (), points: Mapping[str, float] | None = None
) -> list[str]:
    """Write an nbgrader course to `directory`, or update the one there; return what to tell, one sentence each.

    only: the exercises that count (none: all); lessons without one are left out. points: others than those of the hidden tests.

    Nothing but the files of the course itself is touched: no submission, no gradebook. A source notebook that was edited
    in the course is moved to `replaced/`; an edited configuration or README stays. FolderError for a folder that is
    neither empty nor such a course; LessonError if a source is malformed.
    """
    files = course_files(root, only, points)
    changed = edited(directory, files, _MANIFEST)
    replaced = {name: _set_aside(directory, name) for name in changed if name.startswith("source/")}
    kept = [name for name in changed if name not in replaced]
    update_folder(directory, files, _MANIFEST, keep=kept)
    secret_seed(directory)
    (directory / "exchange").mkdir(exist_ok=True)
    counts = {name: data.count(b'"grade_id": "test_') for name, data in files.items() if name.endswith(".ipynb")}
    return [
        f"the nbgrader course is in {directory}, with {sum(counts.values())} exercises in {len(counts)} assignments; "
        "its README.md says how to go on",
        *(f"{name} was edited and is replaced; the edited one is now {aside}" for name, aside in replaced.items()),
        *(f"{name} was edited and stays; move it away and run again to get the new one" for name in kept),
    ]


def course_files(
    root: Path = ROOT, only: Collection[str] = (), points: Mapping[str, float] | None = None
) -> dict[str, bytes]:
    """Return the files of the course: path inside it -> content."""
    lessons = [
        lesson for lesson in read_lessons(root) if not only or any(each.name in only for each in lesson.exercises)
    ]
    notebooks = {lesson.name: source_notebook(lesson, only, points) for lesson in lessons}
    files = {f"source/{name}/{name}.ipynb": as_bytes(notebook) for name, notebook in notebooks.items()}
    files["nbgrader_config.py"] = (
        templates(_HERE).get_template("nbgrader_config.py.jinja").render(lessons=lessons).encode()
    )
    readme = (
        templates(_HERE)
        .get_template("course_readme.md.jinja")
        .render(
            lessons=lessons,
            totals={name: _totals(notebook) for name, notebook in notebooks.items()},
            answers=[(lesson, cell) for lesson in lessons for cell in _answers(lesson)],
            begin=BEGIN,
            end=END,
        )
    )
    return files | {"README.md": readme.encode()}


def _totals(notebook: NotebookNode) -> dict[str, str]:
    graded = [cell.metadata.nbgrader for cell in notebook.cells if cell.metadata.get("nbgrader", {}).get("grade")]
    return {
        "exercises": f"{sum(not each.solution for each in graded)}",
        "judge": f"{sum(each.points for each in graded if not each.solution):g}",
        "hand": f"{sum(each.points for each in graded if each.solution):g}",
    }


def _answers(lesson: Lesson) -> list[NotebookNode]:
    return [cell for cell in lesson.notebook.cells if "answer" in tags(cell)]


def _set_aside(directory: Path, name: str) -> str:
    """Move an edited source out of `source/`: nbgrader would give a copy beside it to the students."""
    path = directory / name
    digest = hashlib.sha256(path.read_bytes()).hexdigest()[:8]
    aside = directory / "replaced" / f"{path.stem}-{digest}{path.suffix}"
    aside.parent.mkdir(exist_ok=True)
    os.replace(path, aside)
    return aside.relative_to(directory).as_posix()
