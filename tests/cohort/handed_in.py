"""Small classes as they are handed in: files, archives, and what `grade` would make of them, without judging."""

from __future__ import annotations

import io
import json
import tarfile
import zipfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import py7zr

from graders import ROOT, lessons
from graders.cohort.choosing import Chooser
from graders.cohort.layouts import Recogniser
from graders.cohort.people import Cohort, gather
from graders.cohort.roster import Roster
from graders.cohort.submissions import Submission
from graders.worker import plans, submission

L2, L3, L4 = "l2_data_types", "l3_models_with_different_data_types", "l4_quantization_theory"
STUB = (ROOT / f"exercises/{L2}.py").read_text()
Content = str | bytes | Mapping[str, Any]  # a mapping is an archive


def solved(mark: str = "", lesson: str = L2, name: str | None = None) -> str:
    """A small `.py` lesson in which one exercise is begun; `mark` tells it from others."""
    return f"def {name or lessons.exercises(lesson)[0]}(*args):\n    return {mark!r}\n"


def notebook(*sources: str) -> str:
    cells = [{"cell_type": "code", "source": source, "metadata": {}, "outputs": []} for source in sources]
    return json.dumps({"cells": cells, "metadata": {}, "nbformat": 4, "nbformat_minor": 5})


def packed(files: Mapping[str, Content], kind: str = "zip") -> bytes:
    """An archive of these files; those that are mappings are archives too."""
    held = io.BytesIO()
    if kind == "zip":
        with zipfile.ZipFile(held, "w", zipfile.ZIP_DEFLATED) as archive:
            for name, content in files.items():
                archive.writestr(zipfile.ZipInfo(name, (2026, 1, 1, 0, 0, 0)), as_bytes(content, name))
    elif kind == "7z":
        with py7zr.SevenZipFile(held, "w") as seven:
            for name, content in files.items():
                seven.writestr(as_bytes(content, name), name)
    else:
        with tarfile.open(fileobj=held, mode=f"w:{kind}") as tar:
            for name, content in files.items():
                data = as_bytes(content, name)
                member = tarfile.TarInfo(name)
                member.size = len(data)
                tar.addfile(member, io.BytesIO(data))
    return held.getvalue()


def as_bytes(content: Content, name: str = "") -> bytes:
    if isinstance(content, Mapping):
        return packed(content, {"gz": "gz", "tgz": "gz", "7z": "7z"}.get(name.rpartition(".")[2], "zip"))
    return content.encode() if isinstance(content, str) else content


def write(folder: Path, files: Mapping[str, Content]) -> Path:
    """Write files below a folder; names that end in / are empty folders."""
    folder.mkdir(parents=True, exist_ok=True)
    for name, content in files.items():
        path = folder / name
        if name.endswith("/"):
            path.mkdir(parents=True)
            continue
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(as_bytes(content, name))
    return folder


def read(data: bytes, is_notebook: bool, wanted: list[str]) -> dict[str, Any]:
    """Read a file as a worker does, in this process: it is the test's own."""
    try:
        cells = submission.read(data, is_notebook)
    except submission.UnreadableFile as error:
        return {"error": str(error)}
    return {"lessons": {lesson: plans.plan(cells, lessons.exercises(lesson)) for lesson in wanted}}


def gathered(*paths: Path, layout: str | None = None, pattern: str | None = None, roster: Path | None = None) -> Cohort:
    recogniser = Recogniser(lessons.names(), layout, pattern)
    return gather(paths, recogniser, Roster(roster) if roster else None)


def chosen(*paths: Path, **options: Any) -> list[Submission]:
    """Everything that `grade` would judge or say a reason for."""
    chooser = Chooser(read)
    return [one for person in gathered(*paths, **options).people for one in chooser.choose(person)]


def rows(*paths: Path, **options: Any) -> list[tuple[str, str | None]]:
    """Student and lesson (without its title) of each row, in order."""
    return sorted((one.student, one.lesson and one.lesson[:2]) for one in chosen(*paths, **options))  # type: ignore[type-var]
