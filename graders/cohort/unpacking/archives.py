"""What stands in a folder or an archive: listed without being read, read one file at a time.

Archives are never trusted: whatever is read of one has a budget. Zip, 7z and tar archives are opened (`.zip`, `.7z`, `.tar`, and
`.tar` packed with gzip, bzip2 or xz); RAR is named and not opened, as what can open it is a compiled program of its own. Nothing
is written to the disk but what a 7z or a packed tar archive holds, in a temporary file without a name.
"""

from __future__ import annotations

import bz2
import contextlib
import gzip
import io
import lzma
import os
import shutil
import stat
import tarfile
import tempfile
import zipfile
from collections.abc import Iterator
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import IO, Any

from graders.cohort.unpacking.entries import (
    BROKEN,
    MAX_BYTES,
    MAX_CLASS,
    MAX_MEMBERS,
    MAX_PACKED,
    MAX_STUDENT,
    Entry,
    TooLong,
    file_entry,
    ignored,
    moment,
    patience,
    short,
    text_of,
)  # fmt: skip
from graders.cohort.unpacking.sevenzip import as_tar
from graders.collecting.limited import limited

MAX_UNPACKED = 4 << 30  # of a tar or 7z archive that an instructor names, which has to be unpacked to be listed
MAX_RATIO = 1000
MAX_LISTED = 600  # bytes of a zip archive's list for each member, on an average: its name and some numbers
_END_OF_A_ZIP = 22 + (1 << 16)  # bytes at the end of one in which it begins: with a comment, as long as may be
MAX_HEADER = 64 << 10  # of a member of a tar archive: what may take the square of that to read, and not be interrupted
_HEADERS = (
    tarfile.XHDTYPE, tarfile.XGLTYPE, tarfile.SOLARIS_XHDTYPE, tarfile.GNUTYPE_LONGNAME, tarfile.GNUTYPE_LONGLINK,
)  # fmt: skip
_UNPACK: dict[str, Any] = {
    ".gz": gzip.open, ".tgz": gzip.open, ".bz2": bz2.open, ".tbz": bz2.open, ".tbz2": bz2.open, ".xz": lzma.open,
    ".txz": lzma.open, ".lzma": lzma.open,
}  # fmt: skip
_NO_TIME = (1980, 1, 1, 0, 0, 0)  # what a zip archive has where nobody said when


class TooMuch(ValueError):
    """An archive holds more than is read of one."""


def listing(path: Path) -> Iterator[Entry]:
    """Yield what stands in a folder, or in an archive if it can be opened. Raises ValueError, with a sentence."""
    if path.is_dir() and not path.is_symlink():
        yield from _folder(path)
        return
    seconds = patience(path.stat().st_size)
    try:
        with limited(seconds, TooLong):
            found = list(_members(path, path.name, MAX_CLASS))
    except TooLong:
        raise ValueError(f"it takes more than {seconds} seconds to list what it holds") from None
    yield from found


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
            yield replace(file_entry(Path(place, name)), parts=(*_parts(top, place), text_of(name)))


def _parts(top: Path, place: str) -> tuple[str, ...]:
    return tuple(text_of(part) for part in Path(place).relative_to(top).parts)


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
        raise ValueError(f"the archive cannot be read ({short(error)})") from None


def _zip_members(source: Path | io.BytesIO, most: int) -> Iterator[Entry]:
    if _directory_of_a_zip(source) > most * MAX_LISTED:  # before a member is made of each of its lines
        raise TooMuch(f"it holds more than {most} files")
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
        modified = moment(member.date_time) if member.date_time > _NO_TIME else 0.0
        made = Entry(parts, member.file_size, modified, folder=member.is_dir())
        if stat.S_ISLNK(member.external_attr >> 16):
            made.problem = "it is a symbolic link; hand in the file itself"
        elif member.flag_bits & 1:
            made.problem = "it is encrypted; hand it in without a password"
        elif member.file_size > 1 << 20 and member.file_size > MAX_RATIO * max(member.compress_size, 1):
            made.problem = f"it is larger than {MAX_BYTES >> 20} MiB unpacked"
        made.read_all = partial(_from_zip, archive, member)
        yield made


def _directory_of_a_zip(source: Path | io.BytesIO) -> int:
    """Return the bytes of a zip archive's list of members as its end tells them, 0 if there is no such end."""
    with contextlib.ExitStack() as opened:
        file = opened.enter_context(source.open("rb")) if isinstance(source, Path) else source
        file.seek(max(file.seek(0, io.SEEK_END) - _END_OF_A_ZIP, 0))
        _, found, end = file.read().rpartition(b"PK\5\6")
        file.seek(0)
    return int.from_bytes(end[8:12], "little") if found else 0


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
    budget = MAX_UNPACKED if isinstance(source, Path) else MAX_STUDENT
    archive = tarfile.TarFile(fileobj=_Budget(_unpacked(source, name, budget), budget), mode="r", tarinfo=_Member)
    told: set[tuple[str, ...]] = set()
    for count, member in enumerate(archive):
        if count > most:
            raise TooMuch(f"it holds more than {most} files")
        parts = _inner(text_of(member.name))
        if not parts or any(map(ignored, parts)):
            yield from _around(parts, told)
            continue
        made = Entry(parts, member.size, float(member.mtime), folder=member.isdir())
        if not (member.isreg() or member.isdir()):
            made.problem = "it is no regular file; hand in the file itself"
        made.read_all = partial(_from_tar, archive, member)
        yield made


class _Member(tarfile.TarInfo):
    """A member whose further headers (long names, extended attributes) have a size that honest ones have."""

    @classmethod
    def frombuf(cls, buf: bytes | bytearray, encoding: str, errors: str) -> _Member:
        made = super().frombuf(buf, encoding, errors)
        if made.type in _HEADERS and made.size > MAX_HEADER:
            raise tarfile.ReadError(f"a header of {made.size} bytes")
        return made


def _unpacked(source: Path | io.BytesIO, name: str, budget: int) -> IO[bytes]:
    """Return the tar archive in an archive."""
    end = os.path.splitext(name.lower())[1]
    if end == ".7z":
        return as_tar(source, budget, MAX_PACKED, patience(_size(source)))
    if unpack := _UNPACK.get(end):
        made = tempfile.TemporaryFile()  # noqa: SIM115 (the caller reads from it, forwards and backwards)
        with unpack(source, "rb") as packed:
            shutil.copyfileobj(_Budget(packed, budget), made)
        made.seek(0)
        return made
    return source if isinstance(source, io.BytesIO) else source.open("rb")


def _size(source: Path | io.BytesIO) -> int:
    return source.stat().st_size if isinstance(source, Path) else source.getbuffer().nbytes


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
    parts = [part for part in text_of(name).replace("\\", "/").split("/") if part not in ("", ".", "..")]
    return tuple(parts[1:] if parts and len(parts[0]) == 2 and parts[0][1] == ":" else parts)
