"""`python -m graders judge`: one process loads the libraries, and becomes who decides and, by a fork, the zygote."""

import json
import os
import subprocess
import sys
import time
from pathlib import Path

import pytest

from graders import ROOT

FIRST = "    stored = torch.tensor(abs(value), dtype=dtype).item()\n"
LOOKS = """
    import contextlib, os, sys
    from pathlib import Path
    known = b""
    with contextlib.suppress(OSError):
        known = Path("/proc/self/environ").read_bytes()
    theirs = [name for name in sys.modules if name.startswith(("graders.c", "graders.j", "graders.l", "solutions"))]
    assert b"secret" not in known and "SECRET" not in os.environ and not theirs
"""


def judge(named: list[str], later: str = "", **environment: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "graders", "judge", *named]
    return subprocess.run(command, cwd=ROOT, env=os.environ | environment, input=later, capture_output=True, text=True)


def test_a_worker_knows_nothing_of_who_forked_its_zygote(tmp_path: Path) -> None:
    right = (ROOT / "solutions" / "l2_data_types.py").read_text(encoding="utf-8")
    assert FIRST in right
    (tmp_path / "l2_data_types.py").write_text(right.replace(FIRST, LOOKS + FIRST), encoding="utf-8")
    ran = judge([f"{tmp_path}/l2_data_types.py::spacing"], SECRET="secret", TMPDIR=str(tmp_path))
    told = json.loads(ran.stdout)
    assert (told["name"], told["outcome"], told["message"]) == ("spacing", "passed", "")
    assert [path.name for path in tmp_path.iterdir()] == ["l2_data_types.py"]


def test_what_it_cannot_do_is_one_sentence_and_a_status(tmp_path: Path) -> None:
    (tmp_path / "l2_data_types.py").write_text("")
    ran = judge([f"{tmp_path}/l2_data_types.py::nothing"])
    assert (ran.returncode, ran.stdout, ran.stderr) == (2, "", "graders: l2_data_types has no exercise nothing\n")


def test_what_to_judge_can_be_said_when_the_libraries_are_there(tmp_path: Path) -> None:
    """`pytest exercises/ --judge` starts the judge before its own imports, and knows later what is green."""
    (tmp_path / "l2_data_types.py").write_text("def spacing(value, dtype):\n    return 1.0\n")
    ran = judge(["--stdin", f"{tmp_path}/l2_data_types.py"], later=f"{tmp_path}/l2_data_types.py::spacing\n")
    told = json.loads(ran.stdout)
    assert (told["name"], told["outcome"], ran.returncode) == ("spacing", "failed", 0)


def test_one_exercise_waits_for_no_library_that_others_need(tmp_path: Path) -> None:
    """Lesson 5's file imports torch alone; neither who decides nor the workers load transformers, which one exercise needs."""
    right = (ROOT / "solutions" / "l5_quantization_in_depth.py").read_text(encoding="utf-8")
    looks = 'import sys; assert not {"transformers", "optimum.quanto"} & sys.modules.keys()'
    first = "    wide, largest_code = "
    assert first in right
    (tmp_path / "l5_quantization_in_depth.py").write_text(
        right.replace(first, f"    {looks}\n{first}"), encoding="utf-8"
    )
    code = f"""
from graders.cohort.own import judged
(told,) = judged(["{tmp_path}/l5_quantization_in_depth.py::mse_scale"], "a seed")
print(told["outcome"])
{looks}"""
    ran = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True)
    assert (ran.stdout, ran.stderr) == ("passed\n", "")


def test_one_that_is_ended_before_leaves_nothing_behind(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "graders", "judge", "--stdin", "l2_data_types.py"]
    pipe = subprocess.PIPE
    ran = subprocess.Popen(command, cwd=ROOT, env=os.environ | {"TMPDIR": str(tmp_path)}, stdin=pipe, stderr=pipe)
    while not (made := list(tmp_path.iterdir())):
        assert ran.poll() is None
        time.sleep(0.01)
    ran.terminate()
    assert ran.communicate() == (None, b"")  # until the process that it started has ended, too
    assert not made[0].exists()


def test_the_options_of_other_runs_do_not_reach_the_hidden_tests(monkeypatch: pytest.MonkeyPatch) -> None:
    from graders import lessons
    from graders.judge.checks import collect

    monkeypatch.setenv("PYTEST_ADDOPTS", "-n 2")
    assert [each.name for each in collect(lessons.hidden_tests("l2_data_types"))] == lessons.exercises("l2_data_types")
