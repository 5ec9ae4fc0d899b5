"""The version in a verdict changes with whatever the verdict depends on, and with nothing else."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from graders import ROOT, lessons
from graders.lessons.fingerprints import fingerprint

ROOMS = [
    *(f"graders/{room}" for room in ("judge", "collecting", "worker", "wire", "lessons")),
    "solutions",
    "exercises",
]
L2, L3, L4, L7, L8 = (lessons.names()[at] for at in (0, 1, 2, 5, 6))


@pytest.fixture(scope="module")
def copy(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("copy")
    for room in ROOMS:
        shutil.copytree(ROOT / room, root / room, ignore=shutil.ignore_patterns("__pycache__"))
    return root


def changed(root: Path, path: str, added: bytes = b"#") -> set[str]:
    """Return the lessons whose hash is another one after a change of a file."""
    before = {name: fingerprint(name, root) for name in lessons.names()}
    kept = (root / path).read_bytes()
    (root / path).write_bytes(kept + added)
    after = {name: fingerprint(name, root) for name in lessons.names()}
    (root / path).write_bytes(kept)
    return {name for name in before if before[name] != after[name]}


def test_the_same_files_elsewhere_are_the_same_version(copy: Path) -> None:
    assert [fingerprint(name, copy) for name in lessons.names()] == [fingerprint(name) for name in lessons.names()]


@pytest.mark.parametrize(
    "path", [f"graders/lessons/{L4}/test_{L4}.py", f"graders/lessons/{L4}/slips.py", f"solutions/{L4}.py"]
)
def test_a_lesson_is_of_no_concern_to_others(copy: Path, path: str) -> None:
    assert changed(copy, path, b" ") == {L4}


@pytest.mark.parametrize(
    "path", ["graders/judge/deciding.py", "graders/worker/sandbox/limits.py", "graders/wire/codec.py"]
)
def test_what_judges_concerns_all_lessons(copy: Path, path: str) -> None:
    assert changed(copy, path) == set(lessons.names())


@pytest.mark.parametrize("path", ["exercises/kit/checking/closeness.py", "exercises/models/tiny_t5/config.json"])
def test_closeness_and_models_concern_all_lessons(copy: Path, path: str) -> None:
    assert changed(copy, path) == set(lessons.names())


def test_probes_concern_the_lessons_that_import_them(copy: Path) -> None:
    """Lesson 3 takes a name from the kit that is no module of it, so the whole kit counts there."""
    assert changed(copy, "exercises/kit/probes/l4.py") == {L3, L4}
    assert changed(copy, "exercises/kit/probes/l7.py") == {L3, L7, L8}


def test_a_byte_in_any_judging_room_or_kit_folder_changes_the_version_of_all(copy: Path) -> None:
    folders = {path.parent for room in ROOMS for path in (copy / room).rglob("*.py")}
    folders -= {copy / "exercises", copy / "exercises/models"}
    assert {folder.name for folder in folders} >= {"toys", "probes", "checking", L2, "wire", "solutions"}
    before = fingerprint(None, copy)
    for folder in folders:
        path = next(folder.glob("*.py"))
        kept = path.read_bytes()
        path.write_bytes(kept + b"#")
        assert fingerprint(None, copy) != before, path
        path.write_bytes(kept)
