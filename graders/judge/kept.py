"""Recordings on disk, so that the first verdict of the next run need not wait for them: the calls, and the right answers.

They are a secret of who grades, as the seed is: the folder and its files can be read by their owner alone, and are not used if
they could have been written by anybody else. What is in a file is signed with the seed; a torn or changed one is made anew.
"""

from __future__ import annotations

import contextlib
import hashlib
import hmac
import json
import os
import stat
import struct
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

OLD = 60 * 24 * 3600  # seconds after which nobody will ask for a recording again
_DIGEST = hashlib.sha256().digest_size


@dataclass
class Recorded:
    """What the checks of one exercise ask, in order; the calls of each check and case; and the right answers, also to others."""

    calls: list[bytes]
    by_case: dict[tuple[str, str], list[bytes]]
    answers: dict[bytes, bytes]


def default_folder() -> Path:
    """Return where the recordings of this user are, whatever was graded."""
    cache = os.environ.get("XDG_CACHE_HOME") or os.path.expanduser("~/.cache")
    return Path(cache) / "quantization-exercises" / "recordings"


def hidden() -> tuple[str, ...]:
    """Return that folder, made if need be: workers are kept from a folder that is there when they start."""
    folder = default_folder()
    with contextlib.suppress(OSError):
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    return (str(folder),)


class Store(Protocol):
    """Where files of recordings lie, by name."""

    def read(self, name: str) -> bytes:
        """Return a file, b"" where there is none that only its owner could have written."""
        ...

    def write(self, name: str, data: bytes) -> None:
        """Keep a file, where that is possible."""
        ...


class Folder:
    """A folder of this user's that is closed to everybody else."""

    def __init__(self, path: Path) -> None:
        self._path = path

    def read(self, name: str) -> bytes:
        try:
            if not _is_private(os.lstat(self._path), stat.S_ISDIR):
                return b""
            descriptor = os.open(self._path / name, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
            with os.fdopen(descriptor, "rb") as file:
                return file.read() if _is_private(os.fstat(descriptor), stat.S_ISREG) else b""
        except OSError:
            return b""

    def write(self, name: str, data: bytes) -> None:
        with contextlib.suppress(OSError):
            self._path.mkdir(mode=0o700, parents=True, exist_ok=True)
            if not _is_private(os.lstat(self._path), stat.S_ISDIR):
                return
            descriptor, beside = tempfile.mkstemp(dir=self._path)  # only its owner can read it
            try:
                with os.fdopen(descriptor, "wb") as file:
                    file.write(data)
                os.replace(beside, self._path / name)
            except OSError:
                os.unlink(beside)
            self._forget_old_ones()

    def _forget_old_ones(self) -> None:
        for path in self._path.iterdir():
            with contextlib.suppress(OSError):
                if time.time() - path.lstat().st_mtime > OLD:
                    path.unlink()


class Kept:
    """The recordings of one lesson, made with one seed by one version of everything (`made_with`)."""

    def __init__(self, store: Store, lesson: str, seed: str, made_with: dict[str, Any]) -> None:
        told = json.dumps([lesson, made_with], sort_keys=True).encode()
        self._key = hashlib.sha256(b"recordings" + seed.encode() + b"\0" + told).digest()
        self._store = store

    def _name(self, exercise: str) -> str:
        return hmac.new(self._key, exercise.encode(), "sha256").hexdigest()

    def read(self, exercise: str) -> Recorded | None:
        """Return what was recorded of an exercise, None if there is nothing that can be trusted."""
        data = self._store.read(self._name(exercise))
        signature, body = data[:_DIGEST], data[_DIGEST:]
        if not hmac.compare_digest(signature, hmac.digest(self._key, body, "sha256")):
            return None
        return _unpacked(body)

    def write(self, exercise: str, recorded: Recorded) -> None:
        """Keep what was recorded of an exercise, if there is a place for it."""
        body = _packed(recorded)
        self._store.write(self._name(exercise), hmac.digest(self._key, body, "sha256") + body)


def _is_private(found: os.stat_result, kind: Any) -> bool:
    """Whether a file is of a kind, ours, and closed to everybody else."""
    ours = not hasattr(os, "geteuid") or found.st_uid == os.geteuid()
    return kind(found.st_mode) and ours and not found.st_mode & 0o077


def _packed(recorded: Recorded) -> bytes:
    numbers = {call: number for number, call in enumerate(recorded.answers)}
    head = {
        "calls": [numbers[call] for call in recorded.calls],
        "by_case": [[*key, [numbers[call] for call in calls]] for key, calls in recorded.by_case.items()],
        "sizes": [[len(call), len(answer)] for call, answer in recorded.answers.items()],
    }
    text = json.dumps(head).encode()
    return struct.pack("<I", len(text)) + text + b"".join(call + answer for call, answer in recorded.answers.items())


def _unpacked(body: bytes) -> Recorded:
    (length,) = struct.unpack_from("<I", body)
    head, at = json.loads(body[4 : 4 + length]), 4 + length
    answers: dict[bytes, bytes] = {}
    for call, answer in head["sizes"]:
        answers[body[at : at + call]] = body[at + call : at + call + answer]
        at += call + answer
    calls = list(answers)
    by_case = {(check, case): [calls[number] for number in numbers] for check, case, numbers in head["by_case"]}
    return Recorded([calls[number] for number in head["calls"]], by_case, answers)
