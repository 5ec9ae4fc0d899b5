"""The verdicts of a cohort: one JSON object per line, appended and synced as each ends. Everything else is a view of them."""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import secrets
import sys
from collections import Counter
from collections.abc import Iterator, Sequence
from datetime import datetime
from pathlib import Path
from typing import Any, NamedTuple

from graders.cohort.submissions import Submission
from graders.errors import Problem
from graders.lessons.fingerprints import graders_version
from graders.wire import tiers

SCHEMA = 1
GRADED, NOT_GRADED = "graded", "could not grade"
Key = tuple[str, str | None]  # student and lesson
PLACES = ".places"


class WrongUse(Problem):
    """The command was used wrongly; the text says how, in one sentence."""


def seed_hash(seed: str) -> str:
    """Return the public commitment to a secret seed."""
    return hashlib.sha256(seed.encode()).hexdigest()


def new_seed(folder: Path, seed: str | None = None) -> str:
    """Write the secret seed of a cohort, for its owner only, and return it; None: a new one."""
    made = seed if seed is not None else secrets.token_hex(16)
    beside = folder / ".seed.new"  # who is killed here, or finds the disk full, leaves no half seed
    beside.unlink(missing_ok=True)
    with os.fdopen(os.open(beside, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as file:
        file.write(made.encode())
    os.replace(beside, folder / ".seed")
    return made


def secret_seed(folder: Path) -> str:
    """Return the secret seed that a folder keeps for its owner only; it is made the first time."""
    path = folder / ".seed"
    if not path.exists():
        return new_seed(folder)
    path.chmod(0o600)
    return path.read_text(encoding="utf-8")


class _Line(NamedTuple):
    """Where a verdict stands in the file, where the first one of the same student and lesson does, and what tells whether it
    is current."""

    at: int
    first: int
    sha256: str
    graders: str
    seed: str


class Book:
    """The file of verdicts of one output folder: one writer, resumable; lines stay in the file and not in memory."""

    def __init__(self, folder: Path, seed: str | None) -> None:
        """Open or make the folder. Raises WrongUse when it belongs to another seed, is being written or cannot be."""
        self.folder, self.path = folder, folder / "verdicts.jsonl"
        try:
            folder.mkdir(parents=True, exist_ok=True)
            self._lock = self._locked()
            self.seed = self._seed(seed)
            self._lines, self._longer = self._read()
            self._file = self.path.open("a+b")
        except OSError as error:
            raise WrongUse(f"{folder} cannot be written to: {error.strerror}; choose another folder") from None

    def _locked(self) -> Any:
        lock = (self.folder / ".lock").open("w")
        with contextlib.suppress(ImportError):
            import fcntl

            try:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except OSError:
                raise WrongUse(
                    f"{self.folder} is being written by another run; wait for it, or choose another folder"
                ) from None
        return lock

    def _seed(self, given: str | None) -> str:
        path = self.folder / ".seed"
        if path.exists():
            kept = path.read_bytes().decode()
            if given is not None and given != kept:
                raise WrongUse(f"{self.folder} was begun with another seed; leave out --seed, or choose another folder")
            return kept
        if self.path.exists():
            with self.path.open("rb") as file:
                first = next(filter(None, map(_verdict, file)), None)
            if first and (given is None or first["environment"]["seed"] != seed_hash(given)):
                raise WrongUse(
                    f"{self.folder} was begun with another seed; give that one with --seed, or choose another folder"
                )
        return new_seed(self.folder, given)

    def _read(self) -> tuple[dict[Key, _Line], bool]:
        """Read where the last verdict of each student and lesson stands, and whether there is more; drop a torn last line."""
        lines: dict[Key, _Line] = {}
        longer, at = False, 0
        if not self.path.exists():
            return lines, longer
        with self.path.open("r+b") as file:
            for data in file:
                if not data.endswith(b"\n"):
                    file.truncate(at)
                    break
                told = _verdict(data)
                longer |= told is None or (told["student"], told["lesson"]) in lines
                if told is not None:
                    before = lines.pop((told["student"], told["lesson"]), None)
                    lines[told["student"], told["lesson"]] = _line(at, told, before)
                at += len(data)
        return lines, longer

    def current(self, found: Submission) -> dict[str, Any] | None:
        """Return the verdict on these very files by these graders with this seed, if there is one."""
        for key in self._keys_of(found):
            if not self._outdated(key, found):
                return self.verdict(key)
        return None

    def why_again(self, found: Submission) -> str:
        """Return why the verdict that there is on a student and lesson is not current, "" if there is none."""
        return next((self._outdated(key, found) for key in self._keys_of(found)), "")

    def _keys_of(self, found: Submission) -> list[Key]:
        some = (found.lesson,) if found.lesson else {lesson for _, lesson in self._lines}
        return [key for lesson in some if (key := (found.student, lesson)) in self._lines]

    def _outdated(self, key: Key, found: Submission) -> str:
        line, lesson = self._lines[key], key[1]
        if line.sha256 != found.sha256:
            return "other files were handed in"
        if line.graders != graders_version(lesson):
            return f"the graders{f' of {lesson}' if lesson else ''} changed"
        if line.seed != seed_hash(self.seed):
            return "the seed is another one"
        enough = tiers.enough(self.verdict(key)["environment"]["isolation"])
        return "" if enough else "it was judged with less isolation than is asked for"

    @property
    def by_other_graders(self) -> Counter[str | None]:
        """How many verdicts there are by other graders than these, by lesson."""
        lessons = {lesson: graders_version(lesson) for _, lesson in self._lines}
        return Counter(key[1] for key, line in self._lines.items() if line.graders != lessons[key[1]])

    def moved(self) -> Iterator[tuple[dict[str, Any], dict[str, Any]]]:
        """Yield the first and the last verdict on each student and lesson where there are several in the file.

        The first one is what the last run left that came to its end: runs that were killed since have only added lines.
        """
        for line in self._lines.values():
            if line.first != line.at:
                yield self._at(line.first), self._at(line.at)

    def add(self, verdict: dict[str, Any]) -> None:
        """Append a verdict and sync it to the disk."""
        at = self._file.seek(0, os.SEEK_END)
        self._file.write(json.dumps(verdict, ensure_ascii=True).encode() + b"\n")
        self._file.flush()
        os.fsync(self._file.fileno())
        key = verdict["student"], verdict["lesson"]
        before = self._lines.pop(key, None)
        self._longer |= before is not None
        self._lines[key] = _line(at, verdict, before)

    def verdict(self, key: Key) -> dict[str, Any]:
        """Return the last verdict on a student and lesson."""
        return self._at(self._lines[key].at)

    def _at(self, place: int) -> dict[str, Any]:
        self._file.seek(place)
        return json.loads(self._file.readline())

    @property
    def keys(self) -> list[Key]:
        """Students and lessons, in the order of their lines."""
        return list(self._lines)

    def some(self, keys: list[Key]) -> Verdicts:
        """Return the verdicts on some students and lessons; they can be read while the file stays as it is."""
        return Verdicts(self.path, [self._lines[key].at for key in keys])

    def drop(self, key: Key) -> None:
        """Leave out a verdict when the file is compacted."""
        self._longer |= self._lines.pop(key, None) is not None

    def compact(self) -> None:
        """Leave one line per student and lesson, in a file that takes the place of the other when it is whole."""
        if not self._longer:
            return
        beside = self.path.with_suffix(".new")
        lines = {}
        with beside.open("wb") as file:
            for key, line in self._lines.items():
                lines[key] = line._replace(at=file.tell(), first=file.tell())
                self._file.seek(line.at)
                file.write(self._file.readline())
            file.flush()
            os.fsync(file.fileno())
        os.replace(beside, self.path)
        self._file.close()
        self._lines, self._longer = lines, False
        self._file = self.path.open("a+b")

    def remember(self, where: dict[str, Any]) -> None:
        """Write down where the submissions lie and how people were told apart, for who looks at one of them again."""
        known = [one for one in looked_at(self.folder) if one != where]
        beside = self.folder / f"{PLACES}.new"
        beside.write_text(json.dumps([*known, where]), encoding="utf-8")
        os.replace(beside, self.folder / PLACES)

    def log(self, text: str) -> None:
        """Write down for the instructor what went wrong here."""
        with contextlib.suppress(OSError), (self.folder / "errors.log").open("a", encoding="utf-8") as file:
            file.write(f"{datetime.now().isoformat(timespec='seconds')} {text.rstrip()}\n\n")

    def close(self) -> None:
        with contextlib.suppress(OSError):  # a full disk, which has been told already
            self._file.close()
        self._lock.close()


def opened(folder: Path) -> Book:
    """Return the book of a folder that has one. Raises WrongUse."""
    if not (folder / "verdicts.jsonl").is_file():
        raise WrongUse(f"{folder} holds no verdicts.jsonl; name a folder that `python -m graders grade` wrote")
    return Book(folder, None)


def looked_at(folder: Path) -> list[dict[str, Any]]:
    """Return what runs of this output folder looked at, the newest last."""
    with contextlib.suppress(OSError, ValueError):
        return json.loads((folder / PLACES).read_text(encoding="utf-8"))
    return []


class Verdicts(Sequence[dict[str, Any]]):
    """Some verdicts of an output folder, in order; each is read from the file when it is asked for."""

    def __init__(self, path: Path, places: list[int]) -> None:
        self._path, self._places = path, places

    def __len__(self) -> int:
        return len(self._places)

    def __getitem__(self, index: Any) -> Any:
        with self._path.open("rb") as file:
            file.seek(self._places[index])
            return json.loads(file.readline())


def _line(at: int, told: dict[str, Any], before: _Line | None) -> _Line:
    made_with = told["environment"]
    return _Line(
        at,
        before.first if before else at,
        told["sha256"],
        sys.intern(made_with["graders"]),
        sys.intern(made_with["seed"]),
    )


def _verdict(data: bytes) -> dict[str, Any] | None:
    """Return a line as a verdict, None if it is none."""
    with contextlib.suppress(ValueError, TypeError, KeyError):
        told = json.loads(data)
        needed = (told["student"], told["lesson"], told["sha256"], told["environment"]["seed"])
        if told["schema"] == SCHEMA and needed and told["environment"]["graders"]:
            return told
    return None
