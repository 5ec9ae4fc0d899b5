"""What the command line says when something is missing, and `pytest graders/` on one exercise."""

from __future__ import annotations

import errno
import subprocess
import sys
from pathlib import Path

import pytest

from graders import ROOT, __main__
from graders.errors import exit_status


def test_an_install_without_the_extra_is_told_its_name(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setitem(sys.modules, "rich.console", None)
    monkeypatch.delitem(sys.modules, "graders.report.terminal", raising=False)
    assert __main__.main(["grade", str(tmp_path), "--output", str(tmp_path / "out")]) == 1
    assert "it comes with the extra [graders]" in (told := capsys.readouterr().err)
    assert told.count("\n") == 1


def test_a_path_that_is_not_there_is_wrong_use_and_writes_nothing(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "a.py").write_text("")
    paths = [str(tmp_path / name) for name in ("a.py", "b.py")]
    assert __main__.main(["grade", *paths, "--output", str(tmp_path / "out")]) == 2
    assert f"there is no file or folder {paths[1]}" in capsys.readouterr().err
    assert not (tmp_path / "out").exists()


@pytest.mark.timeout(180)
def test_one_exercise_can_be_selected_by_its_name_with_another_seed(tmp_path: Path) -> None:
    file = tmp_path / "a b.py"
    file.write_text((ROOT / "solutions/l2_data_types.py").read_text())
    command = [
        sys.executable,
        "-m",
        "pytest",
        "graders/",
        f"--submission={file}",
        "-k",
        "dot_in_dtype",
        "--seed",
        "other",
        "-q",
    ]
    ran = subprocess.run(command, cwd=ROOT, capture_output=True, text=True)
    assert ran.returncode == 0, ran.stdout[-2000:]
    listed = subprocess.run([*command, "--collect-only"], cwd=ROOT, capture_output=True, text=True).stdout
    names = [line for line in listed.splitlines() if "::" in line]
    assert names
    assert all("::TestDotInDtype::" in line for line in names)


@pytest.mark.parametrize(
    ("error", "told"),
    [
        (OSError(errno.ENOSPC, "No space left on device"), "No space left on device"),
        (PermissionError(errno.EACCES, "Permission denied", "out/a"), "out/a: Permission denied"),
    ],
)
def test_a_place_that_cannot_be_written_is_said_in_a_sentence(
    error: OSError, told: str, capsys: pytest.CaptureFixture[str]
) -> None:
    def fails() -> int:
        raise error

    assert exit_status(fails) == 1
    said = capsys.readouterr().err
    assert said == f"graders: stopped ({told}); make room there or name another place, and run it again\n"


def test_a_fault_of_ours_keeps_its_traceback() -> None:
    def fails() -> int:
        raise OSError(errno.EBADF, "Bad file descriptor")

    with pytest.raises(OSError, match="Bad file"):
        exit_status(fails)


@pytest.mark.parametrize("workers", ["0", "two", "1.5"])
def test_a_number_of_workers_that_is_none_is_said(workers: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit, match="2"):
        __main__.main(["grade", "x", "--output", "y", "--workers", workers])
    assert "argument --workers: a whole number, at least 1" in capsys.readouterr().err
