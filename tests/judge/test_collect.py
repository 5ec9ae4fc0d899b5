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


@pytest.mark.parametrize(
    ("marks", "told"),
    [
        (["@main", ""], ""),
        (["@main", "", "@observed"], ""),
        (["@main", "@observed"], "more than half of the checks of double are observed"),
        (["@main", "", "@observed", "@observed"], "more than half of the checks of double are observed"),
        (["", ""], "double needs exactly one main check"),
        (["@main", "@main"], "double needs exactly one main check"),
        (["@main @observed", ""], "double needs exactly one main check, not an observed one"),
    ],
    ids=str,
)
def test_one_check_is_the_main_one_and_at_most_half_are_observed(marks: list[str], told: str, tmp_path: Path) -> None:
    """What is left behind is one more check of each exercise, and observed."""
    lines = ["from graders.judge.contract import main, observed", "class TestDouble:"]
    for at, mark in enumerate(marks):
        lines += [f"    {each}" for each in mark.split()] + [f"    def test_{at}(self, student): pass"]
    (tmp_path / "test_lesson.py").write_text("\n".join(lines))
    if told:
        with pytest.raises(ValueError, match=told):
            collect(tmp_path / "test_lesson.py")
    else:
        (double,) = collect(tmp_path / "test_lesson.py")
        assert len(double.checks) == len(marks)
