"""A class is graded to the end whatever is killed in between."""

from __future__ import annotations

import random
from pathlib import Path

from graders import ROOT
from graders.bench import scale
from graders.bench.mistaken import half_wrong


def test_a_class_survives_its_processes(tmp_path: Path) -> None:
    scale.write(tmp_path / "in", 12)
    scale.graded(tmp_path / "in", tmp_path / "calm", 1)
    assert scale.disturbed(tmp_path / "in", tmp_path / "out", every=3, kills=[4, 8]) >= 4
    calm = scale.verdicts(tmp_path / "calm")
    assert scale.verdicts(tmp_path / "out") == calm
    assert sorted(calm) == [f"s{number:05}" for number in range(12)]
    right = [all(outcome == "passed" for outcome, *_ in told) for _, told in sorted(calm.items())]
    assert right == [True, False] * 6


def test_half_of_the_answers_are_other_ones() -> None:
    text = half_wrong("l2_data_types", random.Random(1), "7").decode()
    solution = (ROOT / "solutions" / "l2_data_types.py").read_text()
    compile(text, "half", "exec")
    cells = [sum(cell in other for cell in solution.split("# %%")) for other in (solution, text)]
    assert cells[0] - cells[1] == 9
    assert text.endswith("# 7\n")
