"""A deadline is patient with a busy machine, and its patience has an end."""

from __future__ import annotations

import pytest

from graders.collecting.deadlines import Deadline


def test_patience_has_an_end() -> None:
    deadline = Deadline(10.0)
    first = deadline.at
    deadline.postpone(4.0)
    assert deadline.at == pytest.approx(first + 4.0)
    for _ in range(100):
        deadline.postpone(5.0)
    assert deadline.at == pytest.approx(first + 10.0)  # as many seconds as it had, once


def test_no_time_is_no_patience() -> None:
    deadline = Deadline(-1.0)
    first = deadline.at
    deadline.postpone(5.0)
    assert deadline.at == first
    assert deadline.passed
