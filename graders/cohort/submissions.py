"""Find what was handed in: files, folders in the usual layouts, and archives as learning platforms make them.

File names, folders and archives are never trusted: symbolic links are not followed, archives are read with limits and only
for `.py` and `.ipynb` members, and nothing of them is ever written to the disk.
"""

from __future__ import annotations

import contextlib
import io
import lzma
import stat
import zipfile
import zlib
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path, PurePosixPath

from graders import ROOT

MAX_BYTES = 20 << 20
MAX_MEMBERS = 20_000
MAX_ARCHIVE = 2 << 30
KINDS = (".py", ".ipynb")
_EXERCISES = ROOT / "exercises"
_BROKEN = (
    zipfile.BadZipFile,
    zlib.error,
    lzma.LZMAError,
    EOFError,
    OSError,
    ValueError,
    RuntimeError,
    NotImplementedError,
)
_IGNORED = ("__pycache__", "__MACOSX", "__init__.py", "conftest.py")


@dataclass
class Submission:
    """One file of one student. `lesson` is None until its content tells; `problem` says why it cannot be graded.

    `rank` is below 0 for what lies in a lesson's folder, as nbgrader makes it, beside the file with the lesson's name.
    """

    student: str
    lesson: str | None
    name: str
    data: bytes = b""
    modified: float = 0.0
    problem: str | None = None
    older: list[str] = field(default_factory=list)
    rank: int = 0

    def __post_init__(self) -> None:
        self.student, self.name = (
            text.encode(errors="backslashreplace").decode() for text in (self.student, self.name)
        )

    @property
    def notebook(self) -> bool:
        return self.name.lower().endswith(".ipynb")


def find(paths: Iterable[Path], lessons: list[str]) -> Iterator[Submission]:
    """Yield every submission under the given files, folders and zip archives, sorted by name."""
    for path in paths:
        if path.is_dir() and not path.is_symlink():
            inside = path / "submitted" if (path / "submitted").is_dir() else path
            yield from _folder(inside, lessons)
        elif path.suffix.lower() == ".zip":
            yield from _archive(path, path.stem, lessons)
        else:
            yield read(path, *_owner((path.resolve().parent.name, path.name), lessons))


def _folder(folder: Path, lessons: list[str]) -> Iterator[Submission]:
    for path in sorted(folder.rglob("*")):
        parts = path.relative_to(folder).parts
        if _ignored(parts):
            continue
        if path.suffix.lower() == ".zip" and path.is_file() and not path.is_symlink():
            yield from _archive(path, path.stem, lessons, parts[0] if len(parts) > 1 else None)
        elif path.suffix.lower() in (*KINDS, ".zip") and not (path.is_dir() and not path.is_symlink()):
            yield read(path, *_owner((folder.resolve().name, *parts), lessons))


def _ignored(parts: tuple[str, ...]) -> bool:
    """Whether a path is hidden, a cache, or one of the kit's own files, which students hand in along with their work."""
    own = len(parts) > 1 and parts[-2] in ("kit", "models") and (_EXERCISES / parts[-2] / parts[-1]).is_file()
    return own or any(part.startswith(".") or part in _IGNORED for part in parts)


def _owner(parts: tuple[str, ...], lessons: list[str]) -> tuple[str, str | None, int]:
    """Return student, lesson and rank from a path; its first part is the name of the folder or archive that was given."""
    folders = [part for index, part in enumerate(parts[:-1]) if index == 0 or part != "exercises"]
    stem = PurePosixPath(parts[-1]).stem
    for at in range(len(folders) - 1, 0, -1):
        if folders[at] in lessons:
            beside = at == len(folders) - 1
            return folders[at - 1], folders[at], (0 if stem == folders[at] else -1) if beside else -2
    if stem in lessons:
        return folders[-1], stem, 0
    return (folders[1] if len(folders) > 1 else stem), None, 0


def read(path: Path, student: str, lesson: str | None, rank: int = 0) -> Submission:
    """Return one file as a submission; what is no regular file of a sensible size is not opened."""
    made = Submission(student, lesson, path.name, rank=rank)
    try:
        status = path.lstat()
        made.modified = status.st_mtime
        if stat.S_ISLNK(status.st_mode):
            made.problem = "it is a symbolic link; hand in the file itself"
        elif not stat.S_ISREG(status.st_mode):
            made.problem = "it is no regular file"
        elif path.suffix.lower() not in KINDS:
            made.problem = "it is neither a .py file nor a notebook (.ipynb)"
        elif status.st_size > MAX_BYTES:
            made.problem = f"it is larger than {MAX_BYTES >> 20} MiB; clear its outputs and hand it in again"
        else:
            made.data = path.read_bytes()
    except OSError as error:
        made.problem = f"it cannot be read ({error.strerror})"
    return made


def _archive(
    file: Path | io.BytesIO, name: str, lessons: list[str], student: str | None = None, inside: bool = False
) -> Iterator[Submission]:
    """Yield the lessons in a zip archive, as if it were a folder of this name; `student`: whose it is, if that is known.

    Platforms put what each student handed in into one archive, archives among them: these are opened, but none in these.
    """
    try:
        with zipfile.ZipFile(file) as archive:
            members = [member for member in archive.infolist() if _kind(member.filename) in (*KINDS, ".zip")]
            if len(members) > MAX_MEMBERS or sum(min(member.file_size, MAX_BYTES) for member in members) > MAX_ARCHIVE:
                raise zipfile.BadZipFile("it holds too much")
            for member in sorted(members, key=lambda member: member.filename):
                parts = tuple(part for part in _path(member.filename).parts if part not in ("/", ".."))
                if not parts or _ignored(parts) or member.is_dir():
                    continue
                owner, lesson, rank = _owner((name, *parts), lessons)
                made = _member(archive, member, student or owner, lesson, rank)
                if _kind(member.filename) == ".zip" and made.problem is None:
                    if not inside:
                        yield from _archive(io.BytesIO(made.data), _path(made.name).stem, lessons, made.student, True)
                        continue
                    made.problem = "it is an archive in an archive in an archive; unpack it"
                yield made
    except _BROKEN as error:
        yield Submission(student or name, None, f"{name}.zip", problem=f"the archive cannot be read ({error})")


def _path(name: str) -> PurePosixPath:
    return PurePosixPath(name.replace("\\", "/"))


def _kind(name: str) -> str:
    return _path(name).suffix.lower()


def _member(
    archive: zipfile.ZipFile, member: zipfile.ZipInfo, student: str, lesson: str | None, rank: int
) -> Submission:
    made = Submission(student, lesson, _path(member.filename).name, rank=rank)
    with contextlib.suppress(ValueError):
        made.modified = datetime(*member.date_time).timestamp()
    if member.file_size > MAX_BYTES or (member.compress_size and member.file_size > 1000 * member.compress_size):
        made.problem = f"it is larger than {MAX_BYTES >> 20} MiB unpacked"
    elif stat.S_ISLNK(member.external_attr >> 16):
        made.problem = "it is a symbolic link; hand in the file itself"
    else:
        try:
            made.data = archive.read(member)
        except _BROKEN as error:
            made.problem = f"the archive cannot be read ({error})"
    return made


def newest(submissions: Iterable[Submission]) -> list[Submission]:
    """Keep one of several files of a student for a lesson, and list the names of the others in it.

    One that can be read and is the newest counts; what lies beside it in a lesson's folder never does.
    """
    kept: dict[tuple[str, str | None], Submission] = {}
    for found in submissions:
        key = (found.student, found.lesson)
        other = kept.get(key)
        if other is None:
            kept[key] = found
        elif _order(found) >= _order(other):
            found.older = [*other.older, other.name]
            kept[key] = found
        else:
            other.older.append(found.name)
    return list(kept.values())


def _order(one: Submission) -> tuple[int, bool, float]:
    return one.rank, one.problem is None, one.modified
