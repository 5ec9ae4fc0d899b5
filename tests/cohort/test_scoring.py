"""Other points and a choice of exercises, without judging again."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from graders.errors import Problem
from graders.report.scoring import Scheme


def exercise(name: str, score: float, passed: int, of: int) -> dict[str, Any]:
    checks = [{"name": str(at), "outcome": "passed" if at < passed else "failed", "message": ""} for at in range(of)]
    return {"name": name, "score": score, "max_score": 2, "checks": checks}


VERDICT = {"exercises": [exercise("f", 1.3333, 2, 3), exercise("g", 0.0, 2, 3)], "score": 1.3333, "max_score": 4}


def test_points_are_scaled_by_the_share_of_checks(tmp_path: Path) -> None:
    (tmp_path / "points.csv").write_text("exercise,points\nf,5\ng,1.5\n")
    scheme = Scheme(points=tmp_path / "points.csv", known=["f", "g"])
    told = scheme.applied(VERDICT)
    assert [(each["score"], each["max_score"]) for each in told["exercises"]] == [(3.3333, 5), (0.0, 1.5)]
    assert (told["score"], told["max_score"]) == (3.3333, 6.5)
    assert Scheme().applied(VERDICT) == VERDICT


def test_only_some_exercises_count() -> None:
    scheme = Scheme(["g"], known=["f", "g"])
    told = scheme.applied(VERDICT)
    assert ([each["name"] for each in told["exercises"]], told["max_score"]) == (["g"], 2)
    assert scheme.covers(told, ["f", "g"])
    assert not Scheme().covers(told, ["f", "g"])


@pytest.mark.parametrize("text", ["h,1", "f,x", "f", "f,-1", "f,0", "f,1,2", "f,nan"])
def test_points_that_are_none_are_said(text: str, tmp_path: Path) -> None:
    (tmp_path / "points.csv").write_text(text)
    with pytest.raises(Problem, match=r"no exercise h|needs one number above 0"):
        Scheme(points=tmp_path / "points.csv", known=["f"])
