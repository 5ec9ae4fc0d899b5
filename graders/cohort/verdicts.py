"""The verdicts of a cohort: one JSON object per line, appended and synced as each ends. Everything else is a view of them."""

from __future__ import annotations

import contextlib
import hashlib
import importlib.metadata
import json
import os
import platform
import secrets
import sys
from collections.abc import Sequence
from dataclasses import asdict
from datetime import datetime
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from graders import ROOT
from graders.cohort.submissions import Submission
from graders.errors import Problem
from graders.wire import tiers

if TYPE_CHECKING:
    from graders.judge.deciding import ExerciseVerdict

SCHEMA = 1
GRADED, NOT_GRADED = "graded", "could not grade"
Key = tuple[str, str | None]  # student and lesson


class WrongUse(Problem):
    """The command was used wrongly; the text says how, in one sentence."""


_ROOMS = ("judge", "collecting", "worker", "wire", "lessons")
_JUDGING = (*(f"graders/{room}" for room in _ROOMS), "solutions", "exercises/kit")


@cache
def graders_version() -> str:
    """Return the project's version and a hash of everything that a verdict depends on."""
    return f"{importlib.metadata.version('quantization-exercises')}+{fingerprint()[:12]}"


def fingerprint(root: Path = ROOT) -> str:
    """Return a hash of the code that makes verdicts, wherever in its rooms it stands."""
    digest = hashlib.sha256()
    for path in sorted(path for folder in _JUDGING for path in (root / folder).rglob("*.py")):
        digest.update(path.relative_to(root).as_posix().encode() + b"\0" + path.read_bytes())
    return digest.hexdigest()


def seed_hash(seed: str) -> str:
    """Return the public commitment to a secret seed."""
    return hashlib.sha256(seed.encode()).hexdigest()


def environment(tier: str, seed: str) -> dict[str, Any]:
    """Return what a verdict was made with: versions, isolation tier, seed hash, graders' version."""
    import torch  # not needed to keep the book

    packages = ("torch", "transformers", "optimum-quanto", "numpy")
    return {
        "python": platform.python_version(),
        "platform": f"{platform.system()} {platform.machine()}",
        "cpu": torch.backends.cpu.get_cpu_capability(),
        **{package: importlib.metadata.version(package) for package in packages},
        "isolation": tier,
        "seed": seed_hash(seed),
        "graders": graders_version(),
    }


def record(
    found: Submission,
    lesson: str | None,
    made_with: dict[str, Any],
    exercises: list[ExerciseVerdict] | None = None,
    reason: str = "",
) -> dict[str, Any]:
    """Return one line of `verdicts.jsonl`; without `exercises` the submission could not be graded, for `reason`.

    Beyond the fixed fields it has `files` (what counted, in the order of their paths), `older` (what did not), and what is known
    of the person and the way of handing in: `name`, `section`, `late`, `collision`, `unread`, `returned` (see `Source`).
    """
    made: dict[str, Any] = {
        "schema": SCHEMA,
        "student": found.student,
        "lesson": lesson,
        "sha256": found.sha256,
        "status": GRADED if exercises is not None else NOT_GRADED,
        "score": round(sum(exercise.score for exercise in exercises or []), 4),
        "max_score": sum(exercise.max_score for exercise in exercises or []),
        "exercises": [_exercise(exercise) for exercise in exercises or []],
        "environment": made_with,
    }
    measured = {exercise.name: exercise.measured for exercise in exercises or [] if exercise.measured}
    if measured:
        made["environment"] = made_with | {"measured": measured}
    if reason:
        made["reason"] = reason
    return made | _besides(found)


_BESIDES = ("files", "older", "name", "section", "late", "collision", "unread", "returned")


def _besides(found: Submission) -> dict[str, Any]:
    told = found.about | {"files": [file.path for file in found.counted], "older": found.older}
    return {key: told[key] for key in _BESIDES if told.get(key)}


def renewed(told: dict[str, Any], found: Submission) -> dict[str, Any]:
    """Return a verdict that is current, with what is known now of the person and of the other files."""
    return {key: value for key, value in told.items() if key not in _BESIDES} | _besides(found)


def _exercise(verdict: ExerciseVerdict) -> dict[str, Any]:
    told = {key: value for key, value in asdict(verdict).items() if key != "measured"}
    told["checks"] = [{key: check[key] for key in ("name", "outcome", "message")} for check in told["checks"]]
    return told


class _Line(NamedTuple):
    """Where a verdict stands in the file, and what tells whether it is current."""

    at: int
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
        made = given if given is not None else secrets.token_hex(16)
        beside = path.with_name(".seed.new")  # a run that is killed here leaves no half seed
        beside.unlink(missing_ok=True)
        with os.fdopen(os.open(beside, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as file:
            file.write(made.encode())
        os.replace(beside, path)
        return made

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
                    lines.pop((told["student"], told["lesson"]), None)
                    lines[told["student"], told["lesson"]] = _line(at, told)
                at += len(data)
        return lines, longer

    def current(self, found: Submission) -> dict[str, Any] | None:
        """Return the verdict on these very files by these graders with this seed, if there is one."""
        made_with = graders_version(), seed_hash(self.seed)
        digest = found.sha256
        for lesson in (found.lesson,) if found.lesson else {lesson for _, lesson in self._lines}:
            line = self._lines.get((found.student, lesson))
            if line is not None and line.sha256 == digest and (line.graders, line.seed) == made_with:
                told = self.verdict((found.student, lesson))
                return told if tiers.enough(told["environment"]["isolation"]) else None
        return None

    def add(self, verdict: dict[str, Any]) -> None:
        """Append a verdict and sync it to the disk."""
        at = self._file.seek(0, os.SEEK_END)
        self._file.write(json.dumps(verdict, ensure_ascii=True).encode() + b"\n")
        self._file.flush()
        os.fsync(self._file.fileno())
        key = verdict["student"], verdict["lesson"]
        self._longer |= self._lines.pop(key, None) is not None
        self._lines[key] = _line(at, verdict)

    def verdict(self, key: Key) -> dict[str, Any]:
        """Return the last verdict on a student and lesson."""
        self._file.seek(self._lines[key].at)
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
                lines[key] = line._replace(at=file.tell())
                self._file.seek(line.at)
                file.write(self._file.readline())
            file.flush()
            os.fsync(file.fileno())
        os.replace(beside, self.path)
        self._file.close()
        self._lines, self._longer = lines, False
        self._file = self.path.open("a+b")

    def log(self, text: str) -> None:
        """Write down for the instructor what went wrong here."""
        with contextlib.suppress(OSError), (self.folder / "errors.log").open("a", encoding="utf-8") as file:
            file.write(f"{datetime.now().isoformat(timespec='seconds')} {text.rstrip()}\n\n")

    def close(self) -> None:
        with contextlib.suppress(OSError):  # a full disk, which has been told already
            self._file.close()
        self._lock.close()


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


def _line(at: int, told: dict[str, Any]) -> _Line:
    made_with = told["environment"]
    return _Line(at, told["sha256"], sys.intern(made_with["graders"]), sys.intern(made_with["seed"]))


def _verdict(data: bytes) -> dict[str, Any] | None:
    """Return a line as a verdict, None if it is none."""
    with contextlib.suppress(ValueError, TypeError, KeyError):
        told = json.loads(data)
        needed = (told["student"], told["lesson"], told["sha256"], told["environment"]["seed"])
        if told["schema"] == SCHEMA and needed and told["environment"]["graders"]:
            return told
    return None
