"""What goes back to students: a page for each, `feedback/STUDENT.html`, and the pages packed as learning platforms import them.

A page says what nbgrader's feedback page says, by the same code: no hidden value, no test, no path is on it.
"""

from __future__ import annotations

import hashlib
import os
import re
import zipfile
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from graders.collecting.endings import one_line
from graders.report import page
from graders.report.feedback import clean, part
from graders.report.table import overrides, penalty
from graders.report.written import Written

FOLDER = "feedback"
PLATFORMS = ("moodle", "canvas")
_RESERVED = re.compile(r"(?:con|prn|aux|nul|com\d|lpt\d)(?:\.|$)", re.IGNORECASE)
_WHEN = (2026, 1, 1, 0, 0, 0)  # in archives, so that the same pages make the same file


def file_names(students: Iterable[str]) -> dict[str, str]:
    """Return a name for a file of each student's, without an ending, that no two share and every system takes."""
    found = {}
    for student in students:
        plain = "".join(sign if sign.isalnum() or sign in " ._-@()" else "_" for sign in student).strip(" .")[:60]
        digest = hashlib.sha256(student.encode(errors="surrogatepass")).hexdigest()[:8]
        as_it_is = plain == student == student.lower() != "" and not _RESERVED.match(plain)
        found[student] = plain if as_it_is else f"{plain}-{digest}"
    return found


def write(verdicts: Sequence[dict[str, Any]], folder: Path, written: Written) -> dict[str, str]:
    """Write a page for each student, with their code, and an archive for each platform that somebody's work came from.

    Return the name of each student's page. A page that says the same already is left alone; pages of others stay.
    """
    places: dict[str, list[int]] = {}
    for at, verdict in enumerate(verdicts):
        places.setdefault(verdict["student"], []).append(at)
    files = {student: f"{name}.html" for student, name in file_names(places).items()}
    (folder / FOLDER).mkdir(exist_ok=True)
    returned: dict[str, dict[str, str]] = {}  # platform -> path in the archive -> page
    for student, those in places.items():
        told = [verdicts[at] for at in those]
        _put(folder / FOLDER / files[student], render(told, written).encode(errors="backslashreplace"))
        for platform, path in _as_downloaded(told):
            returned.setdefault(platform, {})[path] = files[student]
    for platform in PLATFORMS:
        if platform in returned:
            _pack(folder, f"feedback-{platform}.zip", returned[platform])
    return files


def render(verdicts: list[dict[str, Any]], written: Written) -> str:
    """Return the page of one student: each lesson with its exercises."""
    first = verdicts[0]
    title = one_line(first.get("name") or first["student"])
    return page.render([_about(verdict, written) for verdict in verdicts], clean(title) or "Feedback")


def _about(verdict: dict[str, Any], written: Written) -> dict[str, Any]:
    code = written.of(verdict["student"], verdict["lesson"])["code"]
    decided = overrides(verdict)
    lost = "" if verdict["status"] == "graded" else f"Could not grade: {clean(verdict.get('reason', ''))}"
    return {
        "lesson": verdict["lesson"] or "", "title": verdict["lesson"] or "What was handed in", "lost": lost,
        "score": verdict.get("final_score", verdict["score"]), "max_score": verdict["max_score"], "late_penalty": None,
        "also": list(filter(None, (penalty(verdict), decided and f"Decided by the instructor: {decided}"))),
        "parts": [part(exercise, code.get(exercise["name"], "")) for exercise in verdict["exercises"]],
    }  # fmt: skip


def _as_downloaded(verdicts: list[dict[str, Any]]) -> Iterator[tuple[str, str]]:
    """Yield the platforms that a student's work came from, and how a file in an archive begins to be this student's there."""
    for verdict in verdicts:
        for platform, beginning in verdict.get("returned", {}).items():
            yield platform, f"{beginning}_feedback.html"


def _pack(folder: Path, name: str, files: Mapping[str, str]) -> None:
    unfinished = folder / f"{name}.part"
    with zipfile.ZipFile(unfinished, "w", zipfile.ZIP_DEFLATED) as archive:
        for path, page_name in sorted(files.items()):
            data = (folder / FOLDER / page_name).read_bytes()
            archive.writestr(zipfile.ZipInfo(path, _WHEN), data, zipfile.ZIP_DEFLATED)
    os.replace(unfinished, folder / name)


def _put(path: Path, data: bytes) -> None:
    """Write a page in one go, unless it is there."""
    if path.is_file() and path.read_bytes() == data:
        return
    unfinished = path.with_suffix(".part")
    unfinished.write_bytes(data)
    os.replace(unfinished, path)
