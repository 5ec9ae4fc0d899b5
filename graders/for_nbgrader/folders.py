"""The folders of `submitted/` before nbgrader reads them: which file is the notebook, and what nbgrader cannot copy."""

from __future__ import annotations

import os
import shutil
import stat
from pathlib import Path

from nbgrader.utils import parse_utc

from graders.cohort import submissions


def notebook_of(folder: Path, lesson: str) -> tuple[Path | None, str]:
    """Return the notebook in the folder of a submission, or None, and a sentence if there is something to say about it.

    nbgrader knows `LESSON.ipynb` only. A notebook of another name gets that name if there is none, the newest of several:
    the one that `python -m graders grade` takes.
    """
    path = folder / f"{lesson}.ipynb"
    if os.path.lexists(path):
        return path, ""
    there = sorted(each for each in folder.iterdir() if not each.name.startswith("."))
    found = [submissions.read(each, "", lesson) for each in there if each.suffix.lower() == ".ipynb"]
    if not found:
        names = ", ".join(each.name for each in there if each.name != "timestamp.txt")
        return None, f"there is no notebook{f', only {names}' if names else ''}"
    (chosen,) = submissions.newest(found)
    (folder / chosen.name).rename(path)
    return path, f"{chosen.name} is taken for {path.name} and renamed"


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
