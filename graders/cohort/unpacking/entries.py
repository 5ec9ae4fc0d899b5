"""One file that was handed in: its path as parts, what can be known without reading it, and how it is read.

Names and links are never trusted: symbolic links are not followed, and whatever is read has a budget.
"""

from __future__ import annotations

import contextlib
import lzma
import os
import stat
import tarfile
import zipfile
import zlib
from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import datetime
from functools import partial
from pathlib import Path

MAX_BYTES = 20 << 20  # of a file that is graded
MAX_PACKED = 100 << 20  # of an archive that lies in an archive: it is opened in memory
MAX_STUDENT = 200 << 20  # of everything that is read of one student
MAX_MEMBERS = 20_000  # in what one student handed in
MAX_CLASS = 500_000  # in what an instructor names
SECONDS = 10  # of the processor, for all that is read of one student, or for a list of what an archive holds
DEPTH = 5  # archives in archives in what a student handed in
_AROUND_TAR = (".gz", ".bz2", ".xz", ".lzma")
_ARCHIVES = (".zip", ".7z", ".tar", ".tgz", ".tbz", ".tbz2", ".txz", *(f".tar{end}" for end in _AROUND_TAR))
_PACKED = (*_AROUND_TAR, ".z", ".lz", ".lz4", ".zst")
_OTHER = (
    *_PACKED, *(f".tar{end}" for end in _PACKED), ".tzst", ".tlz", ".rar", ".zipx", ".lzh", ".cab", ".ace", ".arj", ".iso", ".dmg",
)  # fmt: skip
_IGNORED = ("__pycache__", "__MACOSX", "site-packages", "node_modules", "Thumbs.db", "desktop.ini")
BROKEN = (
    zipfile.BadZipFile, tarfile.TarError, zlib.error, lzma.LZMAError, EOFError, OSError, ValueError, RuntimeError,
    NotImplementedError, KeyError, IndexError, OverflowError,
)  # fmt: skip


class TooLong(Exception):
    """What is read takes too long; no error of an archive's, so that nothing takes it for one and goes on."""


def patience(packed: int) -> int:
    """Return the seconds of the processor that an archive of so many bytes may take to be listed; unpacking takes a tenth."""
    return SECONDS + (packed >> 20)


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
        return f".tar{end}" if stem.endswith(".tar") and end in _PACKED else end

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
            raise ValueError(f"it cannot be read ({short(error)})") from None
        if len(data) > limit:
            raise ValueError(f"it is larger than {limit >> 20} MiB unpacked")
        return data


def is_archive(name: str) -> bool:
    """Whether a file of this name is opened as an archive."""
    return name.lower().endswith(_ARCHIVES)


def ignored(part: str) -> bool:
    """Whether a file or folder is hidden, or made by a system or an editor."""
    return part.startswith(".") or part in _IGNORED


def file_entry(path: Path) -> Entry:
    """Return one file on the disk; what is no regular file is not opened."""
    made = Entry((text_of(path.name),), disk=path)
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


def text_of(name: str) -> str:
    """Return a name that can be written, whatever bytes the disk has for it."""
    return name.encode(errors="backslashreplace").decode()


def moment(given: tuple[int, ...]) -> float:
    """Return year, month, day, hour, minute, second, by this machine's clock, as seconds since 1970; 0 where there is no such."""
    with contextlib.suppress(ValueError, OverflowError, OSError):
        return datetime(*given).timestamp()  # type: ignore[arg-type]
    return 0.0


def short(error: BaseException) -> str:
    return " ".join(str(error).split())[:80] or type(error).__name__
