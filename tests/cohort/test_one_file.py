"""One's own file, judged as `pytest exercises/ --judge` and `python -m graders judge` ask for it."""

from __future__ import annotations

from pathlib import Path

from graders import ROOT
from graders.cohort.own import judged

LESSON = "l2_data_types"


def test_exercises_are_judged_by_the_names_that_pytest_gives_them(tmp_path: Path) -> None:
    file = tmp_path / "mine.py"
    wrong = "\n# %%\ndef spacing(value, dtype):\n    return None\n"
    file.write_text((ROOT / "solutions" / f"{LESSON}.py").read_text() + wrong)
    right, other = judged([f"{file}::spacing", f"{file}::integer_range"], "a seed")
    assert right == {"lesson": LESSON, "name": "integer_range", "outcome": "passed", "message": "", "hint": ""}
    assert (other["name"], other["outcome"]) == ("spacing", "failed")
    assert "got    None" in other["message"]
