"""The folders of `submitted/` before nbgrader reads them: what counts in them, and what nbgrader cannot copy."""

from __future__ import annotations

import hashlib
import os
import re
import shutil
import stat
from dataclasses import replace
from pathlib import Path

import jupytext
import nbformat
from nbgrader.utils import parse_utc

from graders.cohort.choosing import Chooser
from graders.cohort.people import Person
from graders.cohort.platforms import Source
from graders.cohort.submissions import Submission
from graders.cohort.unpacking import archives

_DEFINED = re.compile(r"^(?:async\s+def|def|class)\s+(\w+)", re.MULTILINE)
_MAY_COUNT = (".py", ".ipynb", ".zip", ".gz", ".tgz", ".tar", ".xz", ".bz2")
_OURS = "timestamp.txt"


def submission(folder: Path, student: str, lesson: str, chooser: Chooser) -> Submission:
    """Return what counts of the folder of a submission: the same as `python -m graders grade` takes."""
    entries = [replace(entry, parts=(lesson, *entry.parts)) for entry in archives.listing(folder)]
    found = list(chooser.choose(Person(student, [Source(student, student, entries)])))
    return next((one for one in found if one.lesson == lesson), found[0])


def notebook_of(folder: Path, lesson: str, chooser: Chooser) -> tuple[Path | None, str]:
    """Return the notebook in the folder of a submission, or None, and a sentence if there is something to say about it.

    nbgrader knows `LESSON.ipynb` only. What counts gets that name: a notebook of another name, or one made of a `.py` file. A
    notebook of the assignment's name in which nothing was begun makes room for it.
    """
    path = folder / f"{lesson}.ipynb"
    if os.path.lexists(path) and not _others(folder, path):
        return path, ""
    chosen = submission(folder, "-", lesson, chooser)
    counted = [file.path.removeprefix(f"{lesson}/") for file in chosen.files if chosen.lesson == lesson]
    if path.name in counted or (not counted and os.path.lexists(path)):
        return path, ""
    if not counted:
        return None, _told(folder)
    notebooks = [name for name in counted if name.lower().endswith(".ipynb") and (folder / name).is_file()]
    aside = ""
    if os.path.lexists(path):
        path.rename(path.with_name(f"{lesson}.untouched.ipynb"))
        aside = f"; {path.name} was not begun and is now {lesson}.untouched.ipynb"
    if notebooks:
        (folder / notebooks[0]).rename(path)
        return path, f"{notebooks[0]} is taken for {path.name} and renamed{aside}"
    try:
        data = chosen.files[0].data.decode()
        path.write_text(data if chosen.files[0].notebook else _as_notebook(data), encoding="utf-8")
    except Exception as error:
        return None, f"{counted[0]} could not be made into a notebook ({type(error).__name__})"
    return path, f"{path.name} was made of {counted[0]}{aside}"


def _others(folder: Path, path: Path) -> bool:
    """Whether anything beside the notebook may be work on the lesson."""
    return any(each != path and (each.is_dir() or each.suffix.lower() in _MAY_COUNT) for each in folder.iterdir())


def _told(folder: Path) -> str:
    names = ", ".join(sorted(each.name for each in folder.iterdir() if each.name != _OURS and each.name[0] != "."))
    return f"there is no notebook{f', only {names}' if names else ''}"


def _as_notebook(text: str) -> str:
    """Return a `.py` lesson as a notebook, its cells called after the exercises in them, so that each is shown in its place."""
    made = jupytext.reads(text, fmt="py:percent")
    for cell in made.cells:
        cell.metadata = nbformat.NotebookNode()
        names = _DEFINED.findall(cell.source) if cell.cell_type == "code" else []
        if names:
            cell["id"] = names[-1][:64]
    return nbformat.writes(made)


def digest(folder: Path) -> str:
    """Return a hash of everything in the folder of a submission but the time stamp."""
    made = hashlib.sha256()
    for path in sorted(folder.rglob("*")):
        if path.name != _OURS and stat.S_ISREG(path.lstat().st_mode) and os.access(path, os.R_OK):
            with path.open("rb") as file:
                made.update(path.relative_to(folder).as_posix().encode(errors="backslashreplace") + b"\0")
                made.update(hashlib.file_digest(file, "sha256").digest())
    return made.hexdigest()


def set_aside(assignment: str, student: str, notebooks: list[str]) -> None:
    """Move what nbgrader cannot copy, or should not, from a submission to `set_aside/`: links, pipes, odd time stamps.

    nbgrader's pre_convert_hook, called in the course's folder: `assignment` and `student` are what the command was asked
    for, `notebooks` the files of one submission.
    """
    folder = Path(notebooks[0]).parent
    for path in sorted(folder.rglob("*")):
        if path.suffix != ".ipynb" and (not _ordinary(path) or (path == folder / "timestamp.txt" and not _dated(path))):
            aside = Path("set_aside") / Path(os.path.relpath(path)).relative_to(
                Path(os.path.relpath(folder)).parents[1]
            )
            aside.parent.mkdir(parents=True, exist_ok=True)
            shutil.rmtree(aside) if aside.is_dir() and not aside.is_symlink() else aside.unlink(missing_ok=True)
            path.rename(aside)


def _ordinary(path: Path) -> bool:
    mode = path.lstat().st_mode
    return stat.S_ISDIR(mode) or (stat.S_ISREG(mode) and os.access(path, os.R_OK))


def _dated(path: Path) -> bool:
    try:
        text = path.read_text().strip()
        return not text or parse_utc(text) is not None
    except (ValueError, OverflowError, OSError):
        return False
