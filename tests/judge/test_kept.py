"""What was recorded is kept where nobody else can read or write it, and is what would be recorded again."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from graders import ROOT, lessons
from graders.judge.kept import Folder, Kept, Recorded
from graders.judge.recording import Recording

LESSON, NAME = "l2_data_types", "integer_range"
MADE = Recorded(
    [b"a", b"b"], {("test_x", "0"): [b"b"], ("test_y", ""): [b"a", b"b"]}, {b"a": b"=1", b"b": b"", b"c": b"!"}
)

DIGEST = """
import hashlib, sys
from graders import lessons
from graders.judge.recording import Recording
made = Recording(lessons.load(sys.argv[1]), "kept")
told = [(one.name, made._of(one.name)) for one in (made.exercises if len(sys.argv) < 3 else reversed(made.exercises))]
print(hashlib.sha256(repr(sorted((name, of.calls, of.by_case, of.answers) for name, of in told)).encode()).hexdigest())
"""


def kept(folder: Path, seed: str = "seed", **made_with: Any) -> Kept:
    return Kept(Folder(folder), LESSON, seed, {"torch": "2"} | made_with)


def test_what_was_kept_is_what_comes_back(tmp_path: Path) -> None:
    folder = tmp_path / "a" / "b"
    kept(folder).write(NAME, MADE)
    assert kept(folder).read(NAME) == MADE
    assert folder.stat().st_mode & 0o777 == 0o700
    assert [path.stat().st_mode & 0o777 for path in folder.iterdir()] == [0o600]


def test_it_belongs_to_one_exercise_seed_and_version(tmp_path: Path) -> None:
    kept(tmp_path / "in").write(NAME, MADE)
    assert kept(tmp_path / "in").read("spacing") is None
    assert kept(tmp_path / "in", "another").read(NAME) is None
    assert kept(tmp_path / "in", torch="3").read(NAME) is None


@pytest.mark.parametrize("change", ["torn", "changed", "empty", "link", "pipe", "open file", "open folder"])
def test_what_somebody_else_could_have_written_is_not_used(tmp_path: Path, change: str) -> None:
    folder = tmp_path / "in"
    kept(folder).write(NAME, MADE)
    (path,) = folder.iterdir()
    data = path.read_bytes()
    if change in ("torn", "changed", "empty"):
        path.write_bytes({"torn": data[:-1], "changed": data[:-1] + b"?", "empty": b""}[change])
    elif change == "open file":
        path.chmod(0o620)
    elif change == "open folder":
        folder.chmod(0o770)
    else:
        path.unlink()
        (tmp_path / "elsewhere").write_bytes(data)
        path.symlink_to(tmp_path / "elsewhere") if change == "link" else os.mkfifo(path, 0o600)
    assert kept(folder).read(NAME) is None


def test_without_a_folder_nothing_is_kept_and_nothing_ends(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    kept(tmp_path / "file" / "in").write(NAME, MADE)
    assert kept(tmp_path / "file" / "in").read(NAME) is None


def test_what_is_kept_is_not_recorded_again_and_only_what_is_asked_is(tmp_path: Path) -> None:
    lesson = lessons.load(LESSON)
    first = Recording(lesson, "seed", kept(tmp_path / "in"))
    calls = first.calls(NAME)
    assert len(list((tmp_path / "in").iterdir())) == 1
    again = Recording(lesson, "seed", kept(tmp_path / "in"))
    again._solution = None  # type: ignore[assignment]
    assert again.calls(NAME) == calls
    assert [again.answer(call) for call in calls] == [first.answer(call) for call in calls]


def digest(lesson: str, hash_seed: str, *order: str) -> str:
    environment = os.environ | {"PYTHONHASHSEED": hash_seed}
    ran = subprocess.run(
        [sys.executable, "-c", DIGEST, lesson, *order], cwd=ROOT, env=environment, capture_output=True, text=True
    )
    assert ran.returncode == 0, ran.stderr
    return ran.stdout.split()[-1]


def test_another_process_records_the_same_in_any_order() -> None:
    assert digest(LESSON, "1") == digest(LESSON, "2", "reversed")


@pytest.mark.full
@pytest.mark.timeout(1800)
@pytest.mark.parametrize("lesson", lessons.names())
def test_another_process_records_the_same_of_every_lesson(lesson: str) -> None:
    assert digest(lesson, "1") == digest(lesson, "2", "reversed")
