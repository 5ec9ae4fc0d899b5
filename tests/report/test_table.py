"""`grades.csv` of a class that is larger than memory."""

from __future__ import annotations

import csv
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from graders.report.table import write_csv


class Verdict(dict):
    """A verdict that counts how many there are."""

    there = most = 0

    def __init__(self, at: int) -> None:
        exercise = {"name": f"f{at % 2}", "score": at}
        super().__init__(student=f"s{at}", lesson="l", status="graded", score=1, max_score=2, exercises=[exercise])
        Verdict.there += 1
        Verdict.most = max(Verdict.most, Verdict.there)

    def __del__(self) -> None:
        Verdict.there -= 1


class Book(Sequence):
    """A hundred verdicts, each made when it is asked for."""

    def __len__(self) -> int:
        return 100

    def __getitem__(self, index: Any) -> Any:
        if index >= len(self):
            raise IndexError
        return Verdict(index)


def test_no_more_than_a_few_verdicts_are_in_memory(tmp_path: Path) -> None:
    write_csv(Book(), tmp_path / "grades.csv")
    with (tmp_path / "grades.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert [(row["student"], row["f0"], row["f1"]) for row in rows[:2]] == [("s0", "0", ""), ("s1", "", "1")]
    assert len(rows) == 100
    assert Verdict.most <= 3
