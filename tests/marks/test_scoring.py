"""Other points, a choice of exercises, overrides and late penalties, without judging again and without losing what was judged."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

import pytest

from graders.errors import Problem
from graders.marks.late import Late
from graders.marks.overrides import Overrides
from graders.marks.scoring import Scheme, final_score


def exercise(name: str, score: float, passed: int, of: int) -> dict[str, Any]:
    checks = [{"name": str(at), "outcome": "passed" if at < passed else "failed", "message": ""} for at in range(of)]
    return {"name": name, "score": score, "max_score": 2, "checks": checks}


VERDICT = {
    "student": "ann",
    "lesson": "l",
    "exercises": [exercise("f", 1.3333, 2, 3), exercise("g", 0.0, 2, 3)],
    "score": 1.3333,
    "max_score": 4,
}


def overridden(tmp_path: Path, text: str) -> Overrides:
    (tmp_path / "overrides.csv").write_text(text)
    return Overrides(tmp_path / "overrides.csv", ["f", "g"])


def test_points_are_scaled_by_the_share_of_checks(tmp_path: Path) -> None:
    (tmp_path / "points.csv").write_text("exercise,points\nf,5\ng,1.5\n")
    scheme = Scheme(points=tmp_path / "points.csv", known=["f", "g"])
    told = scheme.applied(VERDICT)
    assert [(each["score"], each["max_score"]) for each in told["exercises"]] == [(3.3333, 5), (0.0, 1.5)]
    assert (told["score"], told["max_score"]) == (3.3333, 6.5)
    assert Scheme().applied(VERDICT) == VERDICT


def test_only_some_exercises_count() -> None:
    told = Scheme(["g"], known=["f", "g"]).applied(VERDICT)
    assert ([each["name"] for each in told["exercises"]], told["max_score"]) == (["g"], 2)


def test_down_and_up_again_loses_nothing(tmp_path: Path) -> None:
    (tmp_path / "points.csv").write_text("g,0.001\nf,1\n")
    less = Scheme(["g"], tmp_path / "points.csv", ["f", "g"])
    down = less.applied(less.applied(VERDICT))
    assert (down["score"], down["max_score"]) == (0, 0.001)
    assert Scheme().covers(down, ["f", "g"])
    assert Scheme().applied(down) == VERDICT


def test_a_verdict_of_older_graders_that_lacks_exercises_is_not_enough() -> None:
    assert not Scheme().covers(VERDICT | {"exercises": VERDICT["exercises"][:1]}, ["f", "g"])  # type: ignore[index]


@pytest.mark.parametrize("text", ["h,1", "f,x", "f", "f,-1", "f,0", "f,1,2", "f,nan"])
def test_points_that_are_none_are_said(text: str, tmp_path: Path) -> None:
    (tmp_path / "points.csv").write_text(text)
    with pytest.raises(Problem, match=r"no exercise h|needs one number above 0"):
        Scheme(points=tmp_path / "points.csv", known=["f"])


def test_an_override_stands_beside_what_was_judged(tmp_path: Path) -> None:
    overrides = overridden(
        tmp_path, "\ufeffStudent;Exercise;Score;Reason\nann;g;1.5;right, by another\nbob;f;0;copied\n"
    )
    told = Scheme(overrides=overrides).applied(VERDICT)
    assert told["exercises"] == VERDICT["exercises"]
    assert told["overrides"] == {"g": {"score": 1.5, "reason": "right, by another"}}
    assert (told["score"], told["final_score"], final_score(told)) == (1.3333, 2.8333, 2.8333)
    assert Scheme().applied(told) == VERDICT


def test_what_could_not_be_judged_can_be_given_a_score(tmp_path: Path) -> None:
    lost = VERDICT | {"exercises": [], "score": 0, "max_score": 0}
    told = Scheme(overrides=overridden(tmp_path, "ann,f,2,by hand\n")).applied(lost, ["f", "g"])
    assert final_score(told) == 2


def test_lines_that_are_no_overrides_are_named_in_one_sentence(tmp_path: Path) -> None:
    text = "student,exercise,score,reason\nann,f,1,x\nann,h,1,x\n\nann,g,-1,x\nann,f,2,again\n,g,1\nann,g\nann,g,nan\n"
    with pytest.raises(Problem) as told:
        overridden(tmp_path, text)
    for fault in (
        "line 3 (there is no exercise 'h')",
        "line 5 ('-1' is no score)",
        "line 6 (f of ann",
        "line 7",
        "line 8",
    ):
        assert fault in str(told.value)
    assert "\n" not in str(told.value)


HANDED_IN = "2026-03-02T12:00:00+00:00"


@pytest.mark.parametrize(
    ("due", "about", "days"),
    [
        ("2026-03-02T12:00+00:00", {"handed_in": HANDED_IN}, 0),
        ("2026-03-02T11:59:59+00:00", {"handed_in": HANDED_IN}, 1),
        ("2026-02-27T12:00+00:00", {"handed_in": HANDED_IN}, 3),
        ("2026-02-27T12:00+00:00", {"handed_in": HANDED_IN, "own_due": {"extension": "3"}}, 0),
        ("2026-02-27T12:00+00:00", {"handed_in": HANDED_IN, "own_due": {"extension": "2026-03-05"}}, 0),
        ("2026-04-01", {"handed_in": HANDED_IN, "own_due": {"due": "2026-03-01T12:00+00:00"}}, 1),
        ("2026-04-01", {"handed_in": HANDED_IN, "late": True}, 0),
        ("2026-04-01", {"late": True}, 1),
        (None, {"late": True}, 1),
        (None, {"late": True, "own_due": {"extension": "3 days"}}, 0),
        ("2026-01-01", {}, 0),
    ],
)
def test_days_late(due: str | None, about: dict[str, Any], days: int) -> None:
    told = Late([due] if due else [], "10:25").told(VERDICT | about)
    expected = {"days": days, "percent": min(10 * days, 25)} if days else None
    assert told.get("penalty") == expected
    assert Late([due] if due else []).told(VERDICT | about).get("penalty") is None


def test_a_date_alone_is_the_end_of_that_day() -> None:
    late = Late(["l=2026-03-02", "2020-01-01"], "100", ["l"])
    assert "late" not in late.told(VERDICT | {"handed_in": "2026-03-02T23:59:00"})
    assert "late" in late.told(VERDICT | {"handed_in": "2026-03-03T00:00:01"})
    assert "late" in late.told(VERDICT | {"lesson": "m", "handed_in": "2026-03-02T23:59:00"})


@pytest.mark.parametrize(
    ("due", "extension", "handed_in", "days"),
    [
        ("2026-10-20", "7", "2026-10-27T23:30:00+01:00", 0),
        ("2026-10-20", "7", "2026-10-28T00:00:01+01:00", 1),
        ("2026-03-27", "3", "2026-03-31T00:30:00+02:00", 1),
        ("2026-10-24", "", "2026-10-25T23:30:00+01:00", 1),
        ("2026-03-28", "", "2026-03-30T00:30:00+02:00", 2),
        ("2026-10-25 02:30+02:00", "", "2026-10-25T02:15:00+01:00", 1),
    ],
)
def test_a_day_on_which_clocks_are_changed_is_a_day(
    due: str, extension: str, handed_in: str, days: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TZ", "CET-1CEST,M3.5.0,M10.5.0/3")
    time.tzset()
    try:
        told = Late([due], "10").told(VERDICT | {"handed_in": handed_in, "own_due": {"extension": extension}})
    finally:
        monkeypatch.undo()
        time.tzset()
    assert told.get("penalty", {"days": 0})["days"] == days


def test_a_penalty_is_taken_off_the_sum_and_overrides_included(tmp_path: Path) -> None:
    scheme = Scheme(overrides=overridden(tmp_path, "ann,g,1.6667,x"), late=Late(penalty="10:50"))
    told = scheme.applied(VERDICT | {"late": True})
    assert (told["score"], told["final_score"]) == (1.3333, 2.7)
    assert scheme.applied(told) == told


@pytest.mark.parametrize(
    ("due", "penalty"),
    [
        (["soon"], None),
        (["x=2026-01-01"], None),
        (["2026-13-01"], None),
        (["0026-03-31"], None),
        ([], "ten"),
        ([], "-1"),
        ([], "10:200"),
    ],
)
def test_times_and_penalties_that_are_none_are_said(due: list[str], penalty: str | None) -> None:
    with pytest.raises(Problem):
        Late(due, penalty, ["l"])


@pytest.mark.parametrize(
    "text",
    [
        "ann;f;1,5;x",
        "sep=;\r\nstudent;exercise;score;reason\r\nann;f;1,5;x\r\n",
        'sep=,\nann,f,"1,5",x',
        "ann\tf\t1.5\tx",
    ],
    ids=["decimal comma", "Excel says its separator", "quoted", "tabs"],
)
def test_a_table_is_read_as_spreadsheets_write_it(text: str, tmp_path: Path) -> None:
    assert overridden(tmp_path, text).all == {("ann", "f"): (1.5, "x")}


def test_points_may_have_a_decimal_comma(tmp_path: Path) -> None:
    (tmp_path / "points.csv").write_text("exercise;points\nf;1,5\n")
    assert Scheme(points=tmp_path / "points.csv", known=["f", "g"]).points == {"f": 1.5}


def test_a_decimal_comma_where_commas_separate_is_no_score_and_a_reason(tmp_path: Path) -> None:
    with pytest.raises(Problem, match=r"line 1 \(1,5 is two values here; write 1\.5\)"):
        overridden(tmp_path, "ann,f,1,5,talked to her")


def test_a_folder_is_no_file_of_overrides(tmp_path: Path) -> None:
    (tmp_path / "overrides.csv").mkdir()
    with pytest.raises(Problem, match=r"overrides\.csv cannot be read: Is a directory"):
        Overrides(tmp_path / "overrides.csv", ["f"])
