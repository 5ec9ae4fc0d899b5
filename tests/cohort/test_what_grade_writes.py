"""From files that a class handed in to the pages that people read, by the command line alone."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from graders.__main__ import main
from graders.report.handed_back import file_names


@pytest.mark.timeout(300)
def test_a_class_becomes_a_report_and_a_page_for_each_student(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "in").mkdir()
    source = "def range_from_bits(bits, signed):\n    # mine\n    return (0, 2 ** (bits ^ 0))\n"
    (tmp_path / "in/Ann Doe.py").write_text(source + "\n\n# %%\nimport sys\n\nframe = sys._getframe\n")
    (tmp_path / "in/bob.pdf").write_text("%PDF")
    assert main(["grade", str(tmp_path / "in"), "--output", str(tmp_path / "out")]) == 1
    report = (tmp_path / "out/report.html").read_text()
    links = re.findall(r'href="(feedback/[^"]+)"', report)
    names = file_names(["Ann Doe", "bob"])
    assert sorted(links) == sorted(f"feedback/{name.replace(' ', '%20')}.html" for name in names.values())
    assert "2 students, 1 submissions graded, 1 could not be graded" in report
    assert "sys._getframe" in report
    page = (tmp_path / f"out/feedback/{names['Ann Doe']}.html").read_text()
    assert "# mine" in page
    assert "handed in bob.pdf" in (tmp_path / f"out/feedback/{names['bob']}.html").read_text()
    assert "report.html" in capsys.readouterr().out
