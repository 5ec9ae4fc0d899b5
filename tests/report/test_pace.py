"""How long the rest takes: told by what verdicts cost, without the start and without what was kept."""

from __future__ import annotations

import io
from typing import Any

import pytest
from rich.console import Console

from graders.report import terminal
from graders.report.pace import Pace


def test_start_and_what_was_kept_tell_nothing() -> None:
    pace = Pace()
    pace.add(0.0)
    assert (pace.left(100), pace.told(1, 101)) == (None, "1 of 101")
    pace.add(0.2)
    pace.add(0.4)
    assert pace.left(100) == pytest.approx(30)
    assert pace.told(3, 103) == "3 of 103, 3.3 a second, about 30 s left"


@pytest.mark.parametrize(("seconds", "told"), [(4, "about 4 s left"), (600, "about 10 min left"), (9000, "2 h 30 min")])
def test_the_rest_is_told_in_units_that_people_use(seconds: float, told: str) -> None:
    pace = Pace()
    pace.add(seconds)
    assert told in pace.told(1, 2)
    assert f"{seconds:.1f} seconds each" in pace.told(1, 2)


def test_an_earlier_part_of_a_class_is_forgotten() -> None:
    pace = Pace()
    for seconds in [9.0] * 300 + [0.5] * 200:
        pace.add(seconds)
    assert pace.left(10) == pytest.approx(5)


def test_without_a_terminal_a_line_is_said_now_and_then(monkeypatch: pytest.MonkeyPatch) -> None:
    now = [0.0]
    monkeypatch.setattr(terminal.time, "monotonic", lambda: now[0])
    written = io.StringIO()
    verdict: dict[str, Any] = {"student": "ann"}
    with terminal.Screen(Console(file=written)) as screen:
        for at in range(1, 41):
            now[0] = at * 0.9
            screen.pace.add(0.9)
            screen.each(verdict, 40)
    assert written.getvalue().splitlines() == [
        "12 of 40, 1.1 a second, about 25 s left",
        "24 of 40, 1.1 a second, about 14 s left",
        "36 of 40, 1.1 a second, about 4 s left",
    ]
