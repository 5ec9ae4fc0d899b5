"""One person's files as submissions: one for each lesson that is recognised, and one that says why where none is.

File names, folders and archives are never trusted: symbolic links are not followed, archives are read with limits, and nothing of
them is ever written to the disk. What a file holds is told by a worker, never by this process.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath
from typing import Any

from graders import ROOT, lessons
from graders.cohort.platforms import Source
from graders.cohort.unpacking import archives
from graders.cohort.unpacking.entries import DEPTH, MAX_BYTES, MAX_STUDENT, Entry, file_entry, ignored

KINDS = (".py", ".ipynb")
_EXERCISES = ROOT / "exercises"
_OWN = ("__init__.py", "conftest.py", "setup.py")
_NOTES = ("timestamp.txt", "README.md", "LICENSE", "pyproject.toml", "requirements.lock", "requirements.txt")
MAX_HELPERS = 5 << 20
_IMPORT = rb"(?:^|[\s\"'])(?:from|import)[ \t]+%s\b|(?:^|[\s\"'])import[ \t]+[\w., \t]{0,400}\b%s\b"


@dataclass
class File:
    """One file that counts: its path as the student has it, and its content."""

    path: str
    data: bytes

    @property
    def notebook(self) -> bool:
        return self.path.lower().endswith(".ipynb")


@dataclass
class Submission:
    """What counts of one student's work on one lesson. `lesson` is None where none can be told, or the content tells it.

    `files` are judged each, in the order of their paths; `helpers` are what they import, by the path from which it is imported;
    `problem` says why it cannot be graded; `older` names what does not count; `about` is what the verdict says besides; `only` are
    the exercises that are asked for, if not all.
    """

    student: str
    lesson: str | None
    name: str = ""  # with `data`: the one file that counts
    data: bytes = b""
    files: list[File] = field(default_factory=list)
    helpers: dict[str, bytes] = field(default_factory=dict)
    problem: str | None = None
    older: list[str] = field(default_factory=list)
    about: dict[str, Any] = field(default_factory=dict)
    only: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        self.student = self.student.encode(errors="backslashreplace").decode()
        if self.name and not self.files:
            self.files = [File(self.name, self.data)]

    @property
    def counted(self) -> list[File]:
        """The files on which the verdict rests, helpers too, in the order of their paths."""
        return sorted(
            [*self.files, *(File(path, data) for path, data in self.helpers.items())], key=lambda file: file.path
        )

    @property
    def sha256(self) -> str:
        return hashlib.sha256(b"".join(file.data for file in self.counted)).hexdigest()


@dataclass
class Candidate:
    """A file that may be a lesson: whose place it lies in, its content, or why it cannot be read.

    `rank` is below 0 for what lies in a folder below a lesson's own: an older copy, a checkpoint. `answers` counts the exercises
    in it that are begun; it is told only where that decides something.
    """

    source: Source
    entry: Entry
    data: bytes = b""
    problem: str | None = None
    lesson: str | None = None
    named: bool = False
    rank: int = 0
    answers: int = 0

    @property
    def path(self) -> str:
        return self.entry.path

    @property
    def notebook(self) -> bool:
        return self.entry.kind == ".ipynb"


@dataclass
class Handed:
    """Everything of one source: what may be a lesson, Python files beside it, what could not be opened, and the rest.

    What could not be opened says why behind its path, and so does what of the rest has a reason; `paths` has them alone.
    """

    source: Source
    candidates: list[Candidate] = field(default_factory=list)
    modules: dict[str, Entry] = field(default_factory=dict)
    closed: list[str] = field(default_factory=list)
    others: list[str] = field(default_factory=list)
    paths: list[str] = field(default_factory=list)


def unpack(source: Source) -> Handed:
    """List and read what a source holds, archives in it opened, within the budget of one student."""
    made = Handed(source)
    left = MAX_STUDENT
    waiting = [(entry, 0) for entry in source.entries]
    while waiting:
        entry, depth = waiting.pop(0)
        if entry.folder or any(map(ignored, entry.parts)) or _is_kits(entry.parts):
            continue
        if entry.name in _OWN:
            made.modules |= {entry.path: entry} if entry.name == "__init__.py" else {}
            continue
        if entry.archive or entry.closed:
            try:
                if entry.closed:
                    raise ValueError("it is an archive that is not opened here; hand in a .zip")
                if depth == DEPTH:
                    raise ValueError("it is packed more than five times over; unpack it")
                inner = archives.opened(entry, left)
            except ValueError as error:
                made.closed.append(f"{entry.path} ({error})")
                made.paths.append(entry.path)
                continue
            if all(each.folder for each in inner):
                made.others.append(f"{entry.path} (nothing is in it)")
                made.paths.append(entry.path)
            left -= entry.size
            waiting = [(each, depth + 1) for each in inner] + waiting
        elif entry.kind in KINDS:
            found = _loaded(source, entry, left)
            left -= len(found.data)
            made.candidates.append(found)
            if entry.kind == ".py":
                made.modules[entry.path] = entry
        elif entry.name not in _NOTES:
            made.others.append(f"{entry.path} ({entry.problem})" if entry.problem else entry.path)
            made.paths.append(entry.path)
    return _without_repository(made)


def _without_repository(handed: Handed) -> Handed:
    """Leave out solutions, graders and tests of a copy of the whole repository: nobody wrote these to hand them in."""
    paths = [one.entry.parts for one in handed.candidates]
    folders = {path[:depth] for path in paths for depth in range(1, len(path))}
    copies = {
        folder[:-1]
        for folder in folders
        if folder[-1] == "exercises" and {(*folder[:-1], "solutions"), (*folder[:-1], "graders")} <= folders
    }
    own = {(*copy, name) for copy in copies for name in ("solutions", "graders", "tests")}

    def is_own(parts: tuple[str, ...]) -> bool:
        return any(parts[:depth] in own for depth in range(1, len(parts)))

    handed.candidates = [one for one in handed.candidates if not is_own(one.entry.parts)]
    handed.modules = {path: entry for path, entry in handed.modules.items() if not is_own(entry.parts)}
    return handed


def _loaded(source: Source, entry: Entry, left: int) -> Candidate:
    made = Candidate(source, entry)
    try:
        if left <= 0:
            raise ValueError(f"more than {MAX_STUDENT >> 20} MiB were handed in by this student")
        made.data = entry.read(min(MAX_BYTES, left))
    except ValueError as error:
        made.problem = str(error)
    return made


def _is_kits(parts: tuple[str, ...]) -> bool:
    """Whether a path is one of the kit's own files, which students hand in along with their work."""
    own = len(parts) > 1 and any(part in ("kit", "models") for part in parts[:-1])
    at = next((at for at, part in enumerate(parts[:-1]) if part in ("kit", "models")), 0)
    return own and _EXERCISES.joinpath(*parts[at:]).is_file()


def helpers(of: Iterable[Candidate], handed: Handed) -> dict[str, bytes]:
    """Return the Python files of the same student that these files import, and those that they import in turn.

    A module lies beside the file that imports it, or below; the path is the one by which it is imported.
    """
    found: dict[str, bytes] = {}
    waiting = [(PurePosixPath(each.path).parent, each.data) for each in of]
    counted = {each.path for each in of}
    while waiting:
        folder, data = waiting.pop()
        data = data.replace(rb"\n", b"\n")  # in a notebook
        for path, entry in handed.modules.items():
            if path in counted or folder not in PurePosixPath(path).parents:
                continue
            inner = PurePosixPath(path).relative_to(folder)
            name = re.escape(inner.parts[0].removesuffix(".py")).encode()
            if inner.as_posix() in found or not re.search(_IMPORT % (name, name), data, re.MULTILINE):
                continue
            try:
                content = entry.read(MAX_HELPERS)
            except ValueError:
                continue
            if sum(map(len, found.values())) + len(content) <= MAX_HELPERS:
                found[inner.as_posix()] = content
                waiting.append((folder, content))
    return found


def read(path: Path, student: str, lesson: str | None) -> Submission:
    """Return one file on the disk as a submission; what is no regular file of a sensible size is not opened."""
    entry = file_entry(path)
    made = Submission(student, lesson, entry.name)
    try:
        if entry.kind not in KINDS and not entry.problem:
            raise ValueError("it is neither a .py file nor a notebook (.ipynb)")
        made.files[0].data = entry.read()
    except ValueError as error:
        made.problem = str(error)
    return made


def with_helpers(path: Path) -> Submission:
    """Return one's own file, called after its lesson or not, with the modules beside it that it imports."""
    lesson = path.stem if path.stem in lessons.names() else None
    found = read(path, "", lesson)
    handed = Handed(Source("", str(path)))
    handed.modules = {each.name: file_entry(each) for each in path.parent.glob("*.py") if each.name not in _OWN}
    found.helpers = helpers([Candidate(handed.source, file_entry(path), found.files[0].data)], handed)
    return found


def definition(text: str, name: str) -> str:
    """Return the lines of a function or class at the left margin, without blanks at their ends: for comparison only."""
    lines = text.split("\n")
    begin = re.compile(rf"(?:async\s+def|def|class)\s+{re.escape(name)}\b")
    starts = [at for at, line in enumerate(lines) if begin.match(line)]
    if not starts:
        return ""
    end = next((at for at in range(starts[-1] + 1, len(lines)) if lines[at][:1].strip()), len(lines))
    return "\n".join(line.rstrip() for line in lines[starts[-1] : end]).strip()


def answers(told: dict[str, Any], template: str) -> int:
    """Return how many exercises are begun in a file that a worker has read: they are there, and not as they were given out."""
    count = 0
    for name in told["defined"]:
        plan = told["plans"].get(name)
        cells = [cell for cell in told["cells"] if name in cell["exercises"]]
        given = definition(template, name)
        count += not (plan and plan["stub"]) and not (
            cells and given and definition(cells[-1]["source"], name) == given
        )
    return count
