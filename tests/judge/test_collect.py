"""Finding the hidden tests of a lesson."""

from pathlib import Path

import pytest

from graders.judge.checks import collect


def test_a_process_that_is_to_end_ends_while_tests_are_collected(
    tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    """The handler of SIGTERM raises SystemExit, wherever the process is at; pytest would tell of it and go on."""
    (tmp_path / "test_lesson.py").write_text("raise SystemExit\n")
    with pytest.raises(SystemExit):
        collect(tmp_path / "test_lesson.py")
    assert capfd.readouterr() == ("", "")
