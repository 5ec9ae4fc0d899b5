"""`python -m graders judge`: one process loads the libraries, and becomes who decides and, by a fork, the zygote."""

import json
import os
import subprocess
import sys
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


def judge(named: list[str], **environment: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "graders", "judge", *named]
    return subprocess.run(command, cwd=ROOT, env=os.environ | environment, capture_output=True, text=True)


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


def test_the_options_of_other_runs_do_not_reach_the_hidden_tests(monkeypatch: pytest.MonkeyPatch) -> None:
    from graders import lessons
    from graders.judge.checks import collect

    monkeypatch.setenv("PYTEST_ADDOPTS", "-n 2")
    assert [each.name for each in collect(lessons.hidden_tests("l2_data_types"))] == lessons.exercises("l2_data_types")
