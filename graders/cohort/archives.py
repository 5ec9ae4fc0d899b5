"""What stands in a folder or an archive: listed without being read, read one file at a time, never written to the disk.

Names, links and archives are never trusted: symbolic links are not followed, and whatever is read has a budget. Zip and tar
archives are opened (`.zip`, `.tar`, and `.tar` packed with gzip, bzip2 or xz); RAR and 7z are named and not opened, as the
standard library cannot and what can is a compiled program of its own.
"""

from __future__ import annotations

import bz2
import contextlib
import gzip
import io
import lzma
import os
import stat
import tarfile
import zipfile
import zlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from datetime import datetime
from functools import partial
from pathlib import Path
from typing import IO, Any

MAX_BYTES = 20 << 20  # of a file that is graded
MAX_PACKED = 100 << 20  # of an archive that lies in an archive: it is opened in memory
MAX_STUDENT = 200 << 20  # of everything that is read of one student
MAX_MEMBERS = 20_000  # in what one student handed in
MAX_CLASS = 500_000  # in what an instructor names
MAX_TAR = 4 << 30  # of a tar archive unpacked, which has to be read to be listed
MAX_RATIO = 1000
DEPTH = 5  # archives in archives in what a student handed in
_TAR = {".tar": open, ".gz": gzip.open, ".tgz": gzip.open, ".bz2": bz2.open, ".xz": lzma.open, ".txz": lzma.open}
_OTHER = (".rar", ".7z", ".gz", ".bz2", ".xz", ".zst", ".lzh", ".cab")
_IGNORED = ("__pycache__", "__MACOSX", "site-packages", "node_modules", "Thumbs.db", "desktop.ini")
BROKEN = (
    zipfile.BadZipFile, tarfile.TarError, zlib.error, lzma.LZMAError, EOFError, OSError, ValueError, RuntimeError,
    NotImplementedError, KeyError, IndexError, OverflowError,
)  # fmt: skip


class TooMuch(ValueError):
    """An archive holds more than is read of one."""


@dataclass
class Entry:
    """One file, or an empty folder: its path as parts, and what can be known without reading it.

    `modified` is in seconds since 1970, 0 where the time says nothing; `problem` says why it cannot be read; `disk` is where it
    lies if it is a file of its own.
    """

    parts: tuple[str, ...]
    size: int = 0
    modified: float = 0.0
    problem: str | None = None
    folder: bool = False
    disk: Path | None = None
    read_all: Callable[[int], bytes] = lambda limit: b""

    @property
    def name(self) -> str:
        return self.parts[-1]

    @property
    def path(self) -> str:
        return "/".join(self.parts)

    @property
    def kind(self) -> str:
        """The ending in small letters, `.tar.gz` and its like as a whole."""
        stem, end = os.path.splitext(self.name.lower())
        return f".tar{end}" if stem.endswith(".tar") and end in _TAR else end

    @property
    def stem(self) -> str:
        return self.name[: len(self.name) - len(self.kind)]

    @property
    def archive(self) -> bool:
        """Whether it can be opened as an archive."""
        return not self.folder and is_archive(self.name)

    @property
    def closed(self) -> bool:
        """Whether it is an archive that cannot be opened here."""
        return not self.folder and not self.archive and self.kind in _OTHER

    def below(self, count: int) -> Entry:
        """Return the same file without the first parts of its path."""
        return replace(self, parts=self.parts[count:])

    def read(self, limit: int = MAX_BYTES) -> bytes:
        """Return the content. Raises ValueError with a sentence when that is not possible."""
        if self.problem:
            raise ValueError(self.problem)
        if self.size > limit:
            raise ValueError(f"it is larger than {limit >> 20} MiB; clear its outputs and hand it in again")
        try:
            data = self.read_all(limit + 1)
        except BROKEN as error:
            raise ValueError(f"it cannot be read ({_short(error)})") from None
        if len(data) > limit:
            raise ValueError(f"it is larger than {limit >> 20} MiB unpacked")
        return data


def is_archive(name: str) -> bool:
    """Whether a file of this name is opened as an archive."""
    stem, end = os.path.splitext(name.lower())
    return end in (".zip", ".tar", ".tgz", ".txz") or (stem.endswith(".tar") and end in _TAR)


def ignored(part: str) -> bool:
    """Whether a file or folder is hidden, or made by a system or an editor."""
    return part.startswith(".") or part in _IGNORED


def listing(path: Path) -> Iterator[Entry]:
    """Yield what stands in a folder, or in an archive if it can be opened. Raises ValueError, with a sentence."""
    if path.is_dir() and not path.is_symlink():
        yield from _folder(path)
    else:
        yield from _members(path, path.name, MAX_CLASS)


def file(path: Path) -> Entry:
    """Return one file on the disk; what is no regular file is not opened."""
    made = Entry((_text(path.name),), disk=path)
    try:
        status = path.lstat()
        made.size, made.modified = status.st_size, status.st_mtime
        made.folder = stat.S_ISDIR(status.st_mode)
        if stat.S_ISLNK(status.st_mode):
            made.problem = "it is a symbolic link; hand in the file itself"
        elif not stat.S_ISREG(status.st_mode):
            made.problem = "it is no regular file"
        made.read_all = partial(_from_disk, path)
    except OSError as error:
        made.problem = f"it cannot be read ({error.strerror})"
    return made


def _from_disk(path: Path, limit: int) -> bytes:
    with path.open("rb") as opened:
        return opened.read(limit)


def _folder(top: Path) -> Iterator[Entry]:
    for place, folders, files in os.walk(top):
        if ".git" in folders:
            yield Entry((*_parts(top, place), ".git"), folder=True)
        links = [name for name in folders if os.path.islink(os.path.join(place, name))]
        folders[:] = sorted(name for name in folders if not ignored(name) and name not in links)
        names = sorted(name for name in [*files, *links] if not ignored(name))
        if place != str(top) and not folders and not names:
            yield Entry(_parts(top, place), folder=True)
        for name in names:
            yield replace(file(Path(place, name)), parts=(*_parts(top, place), _text(name)))


def _parts(top: Path, place: str) -> tuple[str, ...]:
    return tuple(_text(part) for part in Path(place).relative_to(top).parts)


def _text(name: str) -> str:
    """Return a name that can be written, whatever bytes the disk has for it."""
    return name.encode(errors="backslashreplace").decode()


def opened(entry: Entry, left: int) -> list[Entry]:
    """Return the files in a student's archive; `left` is what may still be read of the student. Raises ValueError."""
    data = entry.read(min(MAX_PACKED, left))
    found = []
    for inner in _members(io.BytesIO(data), entry.name, MAX_MEMBERS):
        found.append(replace(inner, parts=(*entry.parts, *inner.parts)))
        if len(found) > MAX_MEMBERS:
            raise ValueError(f"it holds more than {MAX_MEMBERS} files")
    return found


def _members(source: Path | io.BytesIO, name: str, most: int) -> Iterator[Entry]:
    try:
        if name.lower().endswith(".zip"):
            yield from _zip_members(source, most)
        else:
            yield from _tar_members(source, name, most)
    except TooMuch:
        raise
    except BROKEN as error:
        raise ValueError(f"the archive cannot be read ({_short(error)})") from None


def _zip_members(source: Path | io.BytesIO, most: int) -> Iterator[Entry]:
    archive = zipfile.ZipFile(source)
    members = archive.infolist()
    if len(members) > most:
        raise TooMuch(f"it holds more than {most} files")
    told: set[tuple[str, ...]] = set()
    for member in sorted(members, key=lambda member: _zip_name(member)):
        parts = _inner(_zip_name(member))
        if not parts or any(map(ignored, parts)):
            yield from _around(parts, told)
            continue
        made = Entry(parts, member.file_size, moment(member.date_time), folder=member.is_dir())
        if stat.S_ISLNK(member.external_attr >> 16):
            made.problem = "it is a symbolic link; hand in the file itself"
        elif member.flag_bits & 1:
            made.problem = "it is encrypted"
        elif member.file_size > 1 << 20 and member.file_size > MAX_RATIO * max(member.compress_size, 1):
            made.problem = f"it is larger than {MAX_BYTES >> 20} MiB unpacked"
        made.read_all = partial(_from_zip, archive, member)
        yield made


def _from_zip(archive: zipfile.ZipFile, member: zipfile.ZipInfo, limit: int) -> bytes:
    with archive.open(member) as opened:
        return opened.read(limit)


def _zip_name(member: zipfile.ZipInfo) -> str:
    """Return a member's name; many programs write UTF-8 without saying so."""
    if not member.flag_bits & 0x800:
        with contextlib.suppress(UnicodeError):
            return member.filename.encode("cp437").decode("utf-8")
    return member.filename


def _tar_members(source: Path | io.BytesIO, name: str, most: int) -> Iterator[Entry]:
    unpack: Any = _TAR[os.path.splitext(name.lower())[1]]
    plain = source if isinstance(source, io.BytesIO) and unpack is open else unpack(source, "rb")
    archive = tarfile.TarFile(fileobj=_Budget(plain, MAX_TAR if isinstance(source, Path) else MAX_STUDENT), mode="r")
    told: set[tuple[str, ...]] = set()
    for count, member in enumerate(archive):
        if count > most:
            raise TooMuch(f"it holds more than {most} files")
        parts = _inner(_text(member.name))
        if not parts or any(map(ignored, parts)):
            yield from _around(parts, told)
            continue
        made = Entry(parts, member.size, float(member.mtime), folder=member.isdir())
        if not (member.isreg() or member.isdir()):
            made.problem = "it is no regular file; hand in the file itself"
        made.read_all = partial(_from_tar, archive, member)
        yield made


def _from_tar(archive: tarfile.TarFile, member: tarfile.TarInfo, limit: int) -> bytes:
    found = archive.extractfile(member)
    return found.read(limit) if found is not None else b""


class _Budget(io.RawIOBase):
    """A file that can be read up to some place: what a small archive unpacks to is not known before."""

    def __init__(self, file: IO[bytes], most: int) -> None:
        self._file, self._most = file, most

    def read(self, size: int = -1) -> bytes:
        data = self._file.read(size)
        if self._file.tell() > self._most:
            raise TooMuch(f"it is larger than {self._most >> 20} MiB unpacked")
        return data

    def seek(self, offset: int, whence: int = 0) -> int:
        if whence == 0 and offset > self._most:
            raise TooMuch(f"it is larger than {self._most >> 20} MiB unpacked")
        return self._file.seek(offset, whence)

    def tell(self) -> int:
        return self._file.tell()


def _around(parts: tuple[str, ...], told: set[tuple[str, ...]]) -> Iterator[Entry]:
    """Yield, once, the folder in which something lies that is ignored, and `.git` itself."""
    at = next((at for at, part in enumerate(parts) if ignored(part)), 0)
    place = parts[: at + 1] if ".git" in parts[at : at + 1] else parts[:at]
    if place and place not in told:
        told.add(place)
        yield Entry(place, folder=True)


def _inner(name: str) -> tuple[str, ...]:
    """Return the parts of a member's name: none that leads elsewhere."""
    parts = [part for part in _text(name).replace("\\", "/").split("/") if part not in ("", ".", "..")]
    return tuple(parts[1:] if parts and len(parts[0]) == 2 and parts[0][1] == ":" else parts)


def moment(given: tuple[int, ...]) -> float:
    """Return year, month, day, hour, minute, second, by this machine's clock, as seconds since 1970; 0 where there is no such."""
    with contextlib.suppress(ValueError, OverflowError, OSError):
        return datetime(*given).timestamp()  # type: ignore[arg-type]
    return 0.0


def _short(error: BaseException) -> str:
    return " ".join(str(error).split())[:80] or type(error).__name__
