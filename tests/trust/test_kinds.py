"""Every exercise is checked with every kind of input, or something says why the kind does not apply."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import nn

from graders import lessons
from graders.trust import page, trials
from graders.trust.fairness import kinds

ROW: dict[str, dict[str, Any]] = {"0-dim": {"checks": ["test_0_dim"]}, "1-D": {"why": "a matrix"}, "3-D or more": {}}


@pytest.mark.timeout(300)
@pytest.mark.parametrize("lesson", lessons.names())
def test_no_cell_is_empty(lesson: str) -> None:
    judge = trials.judge_in_process(lessons.load(lesson))
    found = kinds.table(judge)
    assert kinds.gaps(found) == []
    assert list(found) == judge.names
    assert len({tuple(row) for row in found.values()}) == 1
    names = {exercise.name: {check.name for check in exercise.checks} for exercise in judge.exercises}
    assert all(set(cell.get("checks", [])) <= names[name] for name, row in found.items() for cell in row.values())


def test_a_gap_is_told_with_its_exercise_and_kind() -> None:
    assert kinds.gaps({"halve": ROW}) == [
        "halve: no hidden test has the kind '3-D or more', and nothing says why it does not apply"
    ]


def test_the_report_counts_the_cells() -> None:
    assert page.kinds_told([{"kinds": ROW}]) == "1 covered by a check, 1 do not apply, 1 empty"
    assert [page.kind_told(cell) for cell in ROW.values()] == ["1", "–", "gap"]


@pytest.mark.parametrize(
    ("kind", "has", "lacks"),
    [
        ("0-dim", torch.tensor(1.0), torch.ones(1)),
        ("unequal rows", torch.tensor([[1.0, 2.0], [1.0, 3.0]]), torch.ones(2, 2)),
        ("3-D or more", torch.ones(2, 1, 2), torch.ones(2, 2)),
        ("not contiguous", torch.ones(2, 3).t(), torch.ones(2, 3)),
        ("slice of a larger storage", torch.ones(5)[1:3], torch.ones(5)),
    ],
)
def test_kinds_of_tensors(kind: str, has: torch.Tensor, lacks: torch.Tensor) -> None:
    assert kinds.SHAPES[kind](has)
    assert not kinds.SHAPES[kind](lacks)


def test_kinds_of_models() -> None:
    model = nn.Sequential(nn.Linear(2, 2), nn.Linear(2, 2))
    assert not any(differs(model) for differs in kinds.MODELS.values())
    model[0].eval().requires_grad_(False)
    assert all(differs(model) for differs in kinds.MODELS.values())


def test_numbers_that_still_round_to_the_largest() -> None:
    end = torch.finfo(torch.float16)
    told = [kinds._just_beyond(torch.tensor([number]).double(), end) for number in (65504.0, -65510.0, 65520.0)]
    assert told == [False, True, False]


@pytest.mark.parametrize(
    ("told", "words"),
    [
        ({"cases": 0, "failures": 0, "bound": None}, "none"),
        ({"cases": 12, "failures": 0, "bound": 0.25}, "0/12 ≤ 0.25"),
        ({"cases": 12, "failures": 1, "bound": None}, "1/12"),
    ],
)
def test_cases_from_outside_in_a_table(told: dict[str, Any], words: str) -> None:
    assert page.of_class(told) == words
