"""The autograder's zip holds what Gradescope asks for and what grading needs. Gradescope itself is not tried."""

from __future__ import annotations

import stat
import subprocess
import zipfile
from pathlib import Path

import pytest

from graders import lessons
from graders.errors import Problem
from graders.followup.autograder import autograder


def test_the_zip_holds_scripts_project_and_seed(tmp_path: Path) -> None:
    autograder(tmp_path / "out")
    path = tmp_path / "out/autograder.zip"
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    with zipfile.ZipFile(path) as archive:
        names = set(archive.namelist())
        assert archive.read("project/seed").decode() == (tmp_path / "out/.seed").read_text() != ""
        for script in ("setup.sh", "run_autograder"):
            assert archive.getinfo(script).external_attr >> 16 & 0o111
            subprocess.run(["bash", "-n"], input=archive.read(script), check=True)
    needed = {f"graders/lessons/{name}/test_{name}.py" for name in lessons.names()} | {
        "pyproject.toml",
        "README.md",
        "requirements.lock",
        "graders/__main__.py",
    }
    assert {f"project/{name}" for name in needed} <= names
    assert not [name for name in names if "__pycache__" in name or name.startswith("project/tests")]


def test_the_same_seed_the_second_time(tmp_path: Path) -> None:
    autograder(tmp_path)
    seed = (tmp_path / ".seed").read_text()
    autograder(tmp_path)
    assert (tmp_path / ".seed").read_text() == seed


def test_a_file_is_no_folder(tmp_path: Path) -> None:
    (tmp_path / "a").write_text("")
    with pytest.raises(Problem, match="a is a file; name a folder"):
        autograder(tmp_path / "a")
