"""The released kit as a student meets it: set up, untouched, solved; and nothing in it that the grader keeps."""

import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from graders import ROOT
from graders.authoring.release import kit_files, release

PYTHONS = ("python3.11", "python3.12", "python3.13", "python3.14")
SOLUTION = re.compile(r"### BEGIN SOLUTION\n(.*?)### END SOLUTION", re.DOTALL)


def run(kit: Path, *command: str) -> subprocess.CompletedProcess[str]:
    clean = {"PATH": os.environ["PATH"], "HOME": str(kit.parent), "NO_COLOR": "1", "COLUMNS": "100"}
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


@pytest.mark.alone  # the kit's own time limit is one of the clock
@pytest.mark.timeout(600)
def test_a_kit_is_solved_with_what_the_solutions_say(tmp_path):
    release(tmp_path / "kit", ROOT)
    walk(tmp_path / "kit", [sys.executable, "-m", "pytest", "-p", "no:cacheprovider"])


@pytest.mark.full
@pytest.mark.timeout(3600)
def test_a_kit_is_set_up_by_each_python_of_this_machine(tmp_path):
    found = [name for name in PYTHONS if shutil.which(name) and not run(tmp_path, name, "-c", "import venv").returncode]
    assert found
    for python in found:
        release(tmp_path / python, ROOT)
        done = run(tmp_path / python, "env", f"PYTHON={python}", "sh", "exercises/setup.sh")
        assert done.returncode == 0, done.stderr
        walk(tmp_path / python, [".venv/bin/pytest"])


def test_no_three_lines_of_a_solution_are_in_the_kit():
    bodies = [
        _lines(body)
        for lesson in (ROOT / "solutions").glob("l?_*.py")
        for body in SOLUTION.findall(lesson.read_text(encoding="utf-8"))
    ]
    kept = {"\n".join(body[at : at + 3]) for body in bodies for at in range(len(body) - 2)}
    kept = {lines for lines in kept if len(lines) >= 60}  # "try: yield finally:" is anybody's
    assert len(kept) > 300
    texts = ["\n".join(_lines(text)) for name, data in kit_files(ROOT).items() for text in _texts(name, data)]
    assert [lines for lines in kept for text in texts if lines in text] == []


def _texts(name: str, data: bytes) -> list[str]:
    if name.endswith(".ipynb"):
        return ["".join(cell["source"]) for cell in json.loads(data)["cells"]]
    return [data.decode()] if name.endswith((".py", ".json", ".md")) else []


def _lines(text: str) -> list[str]:
    return [line.strip() for line in text.strip().splitlines()]
