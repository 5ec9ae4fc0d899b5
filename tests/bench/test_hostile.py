"""A class with attacks in it is graded to the end, and what they take is told of them."""

from __future__ import annotations

import random
from pathlib import Path

import pytest

from graders.bench import hostile
from graders.trust.attacks import corpus


def test_attacks_stand_in_the_place_of_every_fifth(tmp_path: Path) -> None:
    attacks = hostile.drawn(3)
    hostile.write(tmp_path, 12, attacks)
    files = {path.parent.name: path.read_text() for path in tmp_path.rglob("*.py")}
    right = {name for name, text in files.items() if text.removesuffix(f"{int(name[1:])}\n") == files["s00001"][:-2]}
    assert sorted(set(files) - right) == ["s00000", "s00005", "s00010"]


def test_all_of_the_bank_is_drawn_before_any_comes_again() -> None:
    bank = sorted(attack.name for attack in corpus())
    random.seed(1)
    assert sorted(attack.name for attack in hostile.drawn(len(bank))) == bank
    assert hostile.drawn(2 * len(bank))[:5] == hostile.drawn(5)


@pytest.mark.full
def test_each_submission_gets_its_verdict(capsys: pytest.CaptureFixture[str]) -> None:
    assert hostile.main(10) == 0
    assert "times as long" in capsys.readouterr().out
