"""The released kit as a student meets it: set up, untouched, solved; and nothing in it that the grader keeps."""

import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from graders import ROOT
from graders.authoring.release import kit_files, release

PYTHONS = [name for name in ("python3.11", "python3.12", "python3.13", "python3.14") if shutil.which(name)]
SOLUTION = re.compile(r"### BEGIN SOLUTION\n(.*?)### END SOLUTION", re.DOTALL)


def run(kit: Path, *command: str) -> subprocess.CompletedProcess[str]:
    clean = {"PATH": "/usr/local/bin:/usr/bin:/bin", "HOME": str(kit.parent), "NO_COLOR": "1", "COLUMNS": "100"}
    return subprocess.run(command, cwd=kit, env=clean, capture_output=True, text=True, timeout=1500, check=False)


def walk(kit: Path, pytest_command: list[str]) -> None:
    """Check the untouched kit, then solve it and check it again."""
    untouched = run(kit, *pytest_command, "exercises/")
    assert untouched.returncode == 1
    assert untouched.stderr == ""
    assert "Next: integer_range, exercises/l2_data_types.py" in untouched.stdout
    for lesson in (ROOT / "solutions").glob("l?_*.py"):
        shutil.copy(lesson, kit / "exercises")
    solved = run(kit, *pytest_command, "exercises/")
    assert solved.returncode == 0, solved.stdout
    assert solved.stderr == ""
    assert "not started" not in solved.stdout


@pytest.mark.timeout(600)
def test_a_kit_is_solved_with_what_the_solutions_say(tmp_path):
    release(tmp_path / "kit", ROOT)
    walk(tmp_path / "kit", [sys.executable, "-m", "pytest", "-p", "no:cacheprovider"])


@pytest.mark.full
@pytest.mark.timeout(3600)
@pytest.mark.parametrize("python", PYTHONS)
def test_a_kit_is_set_up_by_each_python(python, tmp_path):
    release(tmp_path / "kit", ROOT)
    done = run(tmp_path / "kit", "env", f"PYTHON={python}", "sh", "exercises/setup.sh")
    assert done.returncode == 0, done.stderr
    walk(tmp_path / "kit", [".venv/bin/pytest"])


def test_no_line_of_a_solution_is_in_the_kit():
    kept = {
        line.strip()
        for lesson in (ROOT / "solutions").glob("l?_*.py")
        for body in SOLUTION.findall(lesson.read_text(encoding="utf-8"))
        for line in body.splitlines()
        if len(line.strip()) >= 40
    }
    assert len(kept) > 300
    texts = [
        data.decode() for name, data in kit_files(ROOT).items() if name.endswith((".py", ".ipynb", ".json", ".md"))
    ]
    assert [line for line in kept for text in texts if line in text] == []
