"""The verdicts of a cohort: one JSON object per line, appended and synced as each ends. Everything else is a view of them."""

from __future__ import annotations

import contextlib
import hashlib
import importlib.metadata
import json
import os
import platform
import secrets
from collections.abc import Iterator
from dataclasses import asdict
from datetime import datetime
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

from graders import ROOT
from graders.errors import Problem
from graders.wire import tiers

if TYPE_CHECKING:
    from graders.judge.deciding import ExerciseVerdict

SCHEMA = 1
GRADED, NOT_GRADED = "graded", "could not grade"


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
    student: str,
    lesson: str | None,
    data: bytes,
    made_with: dict[str, Any],
    exercises: list[ExerciseVerdict] | None = None,
    reason: str = "",
    older: list[str] | None = None,
) -> dict[str, Any]:
    """Return one line of `verdicts.jsonl`; without `exercises` the submission could not be graded, for `reason`."""
    made: dict[str, Any] = {
        "schema": SCHEMA,
        "student": student,
        "lesson": lesson,
        "sha256": hashlib.sha256(data).hexdigest(),
        "status": GRADED if exercises is not None else NOT_GRADED,
        "score": round(sum(exercise.score for exercise in exercises or []), 4),
        "max_score": sum(exercise.max_score for exercise in exercises or []),
        "exercises": [_exercise(exercise) for exercise in exercises or []],
        "environment": made_with,
    }
    if reason:
        made["reason"] = reason
    if older:
        made["older"] = older
    return made


def _exercise(verdict: ExerciseVerdict) -> dict[str, Any]:
    told = asdict(verdict)
    for check in told["checks"]:
        del check["slips"]
    return told


class Book:
    """The file of verdicts of one output folder: one writer, resumable, never rewritten."""

    def __init__(self, folder: Path, seed: str | None) -> None:
        """Open or make the folder. Raises WrongUse when it belongs to another seed, is being written or cannot be."""
        self.folder, self.path = folder, folder / "verdicts.jsonl"
        try:
            folder.mkdir(parents=True, exist_ok=True)
            self._lock = self._locked()
            self.seed = self._seed(seed)
            self.verdicts = self._read()
            self._file = self.path.open("ab")
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
            first = next(self._lines(self.path.read_bytes()), None)
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

    @staticmethod
    def _lines(data: bytes) -> Iterator[dict[str, Any]]:
        for line in data.split(b"\n"):
            with contextlib.suppress(ValueError, TypeError, KeyError):
                told = json.loads(line)
                needed = (told["student"], told["lesson"], told["sha256"], told["environment"]["seed"])
                if told["schema"] == SCHEMA and needed and told["environment"]["graders"]:
                    yield told

    def _read(self) -> dict[tuple[str, str | None], dict[str, Any]]:
        """Read the verdicts so far, the last one of each student and lesson; drop a torn last line."""
        if not self.path.exists():
            return {}
        data = self.path.read_bytes()
        if data and not data.endswith(b"\n"):
            data = data[: data.rfind(b"\n") + 1]
            with self.path.open("r+b") as file:
                file.truncate(len(data))
        return {(told["student"], told["lesson"]): told for told in self._lines(data)}

    def current(self, student: str, lesson: str | None, data: bytes) -> dict[str, Any] | None:
        """Return the verdict on this very file by these graders with this seed, if there is one."""
        digest = hashlib.sha256(data).hexdigest()
        for (who, what), told in self.verdicts.items():
            if who == student and (lesson is None or what in (lesson, None)) and told["sha256"] == digest:
                made_with = told["environment"]
                made_now = made_with["graders"], made_with["seed"]
                if made_now == (graders_version(), seed_hash(self.seed)) and tiers.enough(made_with["isolation"]):
                    return told
        return None

    def add(self, verdict: dict[str, Any]) -> None:
        """Append a verdict and sync it to the disk."""
        self._file.write(json.dumps(verdict, ensure_ascii=True).encode() + b"\n")
        self._file.flush()
        os.fsync(self._file.fileno())
        self.verdicts[verdict["student"], verdict["lesson"]] = verdict

    def log(self, text: str) -> None:
        """Write down for the instructor what went wrong here."""
        with contextlib.suppress(OSError), (self.folder / "errors.log").open("a", encoding="utf-8") as file:
            file.write(f"{datetime.now().isoformat(timespec='seconds')} {text.rstrip()}\n\n")

    def close(self) -> None:
        with contextlib.suppress(OSError):  # a full disk, which has been told already
            self._file.close()
        self._lock.close()
