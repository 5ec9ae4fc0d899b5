"""The student kit: complete, without anything of solutions or graders, kind to what students wrote, movable."""

import errno
import os
import subprocess
import sys
import tomllib
import zipfile
from pathlib import Path

import pytest

from graders import ROOT
from graders.authoring.files import FolderError
from graders.authoring.release import kit_files, release
from graders.authoring.source import read_lesson
from tests.authoring.small_project import write_project

pytestmark = pytest.mark.timeout(120)


@pytest.fixture
def project(tmp_path: Path) -> Path:
    return write_project(tmp_path / "project")


@pytest.fixture
def kit(tmp_path: Path) -> Path:
    return tmp_path / "student kit"


def contents(folder: Path) -> dict[str, bytes]:
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def test_kit_is_complete_and_holds_nothing_else(project, kit):
    told = release(kit, project)
    assert told == [f"the student kit is in {kit}"]
    assert sorted(contents(kit)) == [
        ".kit.json",
        "LICENSE",
        "README.md",
        "exercises/__init__.py",
        "exercises/conftest.py",
        "exercises/kit/__init__.py",
        "exercises/kit/hints.json",
        "exercises/kit/lessons.json",
        "exercises/kit/tool.py",
        "exercises/l9_small.ipynb",
        "exercises/l9_small.py",
        "exercises/models/model.json",
        "pyproject.toml",
        "requirements.lock",
    ]
    text = b"\n".join(contents(kit).values())
    assert b"secret" not in text
    assert b"SOLUTION" not in text


def test_kit_has_stubs_even_if_the_repository_holds_worked_lessons(project, kit):
    (project / "exercises" / "l9_small.py").write_text("secret_factor = 2\n", encoding="utf-8")
    release(kit, project)
    assert "secret" not in (kit / "exercises" / "l9_small.py").read_text(encoding="utf-8")


def test_project_file_is_the_students_part(project, kit):
    release(kit, project)
    ours = tomllib.loads((project / "pyproject.toml").read_text(encoding="utf-8"))
    theirs = tomllib.loads((kit / "pyproject.toml").read_text(encoding="utf-8"))
    assert theirs["project"]["dependencies"] == ours["project"]["dependencies"]
    assert set(theirs["project"]["optional-dependencies"]) <= {"notebook"}
    assert theirs["tool"]["pytest"] == ours["tool"]["pytest"]
    assert theirs["tool"]["setuptools"]["packages"]["find"] == {"include": ["exercises*"]}


def test_readme_has_the_set_up_line_and_the_lessons(project, kit):
    release(kit, project)
    text = (kit / "README.md").read_text(encoding="utf-8")
    assert "```sh\npython3 -m venv .venv && .venv/bin/pytest exercises/\n```" in text
    assert "| Small numbers | `exercises/l9_small.py` or `.ipynb` | 1 core, 1 practice |" in text


@pytest.mark.parametrize("path", sorted((ROOT / "solutions").glob("l[0-9]_*.py")), ids=lambda path: path.stem)
def test_the_guide_shows_every_lesson_of_the_path(path):
    core = [exercise.core for exercise in read_lesson(path).exercises]
    guide = (ROOT / "exercises" / "README.md").read_text(encoding="utf-8")
    assert f"| `{path.stem}` | {core.count(True)} | {core.count(False)} |" in guide


def test_second_release_changes_nothing(project, kit):
    release(kit, project)
    before = contents(kit)
    assert release(kit, project) == [f"the student kit is in {kit}"]
    assert contents(kit) == before


def test_edited_files_stay_and_are_named(project, kit):
    release(kit, project)
    worked = kit / "exercises" / "l9_small.py"
    worked.write_text("my work\n", encoding="utf-8")
    (kit / "my notes.txt").write_text("mine\n", encoding="utf-8")
    (kit / "exercises" / "kit" / "tool.py").unlink()
    (project / "exercises" / "models" / "model.json").write_text('{"new": 1}\n', encoding="utf-8")
    (project / "exercises" / "conftest.py").unlink()
    for _ in range(2):
        told = release(kit, project)
        assert len(told) == 2
        assert told[1].startswith("exercises/l9_small.py was edited in the kit and stays as it is")
        assert worked.read_text(encoding="utf-8") == "my work\n"
        assert (kit / "my notes.txt").read_text(encoding="utf-8") == "mine\n"
        assert (kit / "exercises" / "kit" / "tool.py").is_file()
        assert (kit / "exercises" / "models" / "model.json").read_text(encoding="utf-8") == '{"new": 1}\n'
        assert not (kit / "exercises" / "conftest.py").exists()
    worked.unlink()
    assert len(release(kit, project)) == 1
    assert worked.is_file()


@pytest.mark.parametrize(
    "manifest", ["", "[]", '{"../outside.txt": "0"}', "{"], ids=["empty", "list", "outside", "torn"]
)
def test_a_damaged_manifest_is_refused(project, kit, manifest):
    kit.mkdir()
    (kit / ".kit.json").write_text(manifest, encoding="utf-8")
    with pytest.raises(FolderError, match="is damaged; name a new folder"):
        release(kit, project)


def test_other_folders_and_files_are_refused(project, kit):
    kit.mkdir()
    (kit / "thesis.txt").write_text("mine", encoding="utf-8")
    with pytest.raises(FolderError, match="is not empty and was not written by this command"):
        release(kit, project)
    assert contents(kit) == {"thesis.txt": b"mine"}
    with pytest.raises(FolderError, match="is a file; name a folder"):
        release(kit / "thesis.txt", project)


def test_an_archive_is_one_folder_and_the_same_bytes_again(project, tmp_path):
    first, again = tmp_path / "kit.zip", tmp_path / "again" / "kit.zip"
    assert release(first, project) == [f"the student kit is in {first}"]
    release(again, project)
    assert first.read_bytes() == again.read_bytes()
    with zipfile.ZipFile(first) as archive:
        assert {name: archive.read(f"kit/{name}") for name in kit_files(project)} == kit_files(project)
        assert len(archive.namelist()) == len(kit_files(project))


def test_an_archive_takes_no_place_of_a_folder(project, tmp_path):
    (tmp_path / "kit.zip").mkdir()
    with pytest.raises(FolderError, match=r"kit\.zip is a folder; name a file"):
        release(tmp_path / "kit.zip", project)


def test_the_real_kit_works_after_a_move(tmp_path):
    release(tmp_path / "first", ROOT)
    moved = (tmp_path / "first").rename(tmp_path / "moved here")
    command = [sys.executable, "-m", "pytest", "exercises/", "-q", "-p", "no:cacheprovider"]
    environment = {**os.environ, "PYTHONPATH": "", "NO_COLOR": "1"}
    done = subprocess.run(command, cwd=moved, env=environment, capture_output=True, text=True, timeout=120, check=False)
    assert done.returncode == 1, done.stdout + done.stderr
    assert "Traceback" not in done.stdout
    lesson = next((moved / "exercises").glob("l2_*.py"))
    lesson.write_text(
        lesson.read_text(encoding="utf-8") + "\n\nfrom exercises import kit\nprint(kit.__file__)\n", encoding="utf-8"
    )
    done = subprocess.run(
        [sys.executable, str(lesson)],
        cwd=moved,
        env={**environment, "PYTHONPATH": str(moved)},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.stdout.strip() == str(moved / "exercises" / "kit" / "__init__.py"), done.stderr


def test_nothing_of_solutions_or_graders_is_in_the_real_kit():
    files = kit_files(ROOT)
    assert {name.split("/")[0] for name in files} <= {
        "exercises",
        "pyproject.toml",
        "README.md",
        "LICENSE",
        "requirements.lock",
    }
    for name in ("solutions", "graders", "tests"):
        importing = [path for path, data in files.items() if path.endswith(".py") and f"from {name}".encode() in data]
        assert importing == []


@pytest.mark.parametrize("name", ["kit", "kit.zip"])
def test_a_full_disk_is_said_with_the_place(
    name: str, project: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(path: Path, data: bytes) -> int:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(Path, "write_bytes", full)
    with pytest.raises(FolderError, match=rf"{name} cannot be written: No space left on device"):
        release(tmp_path / name, project)
