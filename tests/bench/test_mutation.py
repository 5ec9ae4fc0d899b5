"""Mutants of the graders' own code; these tests need the extra [mutation]."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

from graders import ROOT
from graders.errors import Problem

pytestmark = pytest.mark.full
MODULE = "exercises/kit/checking/rounding.py"


@pytest.fixture
def clone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A clone in which one small module is all that is mutated."""
    from graders.bench import mutation

    monkeypatch.setattr(mutation, "TESTS", {MODULE: ["tests/kit/test_closeness.py"]})
    subprocess.run(["git", "clone", "-q", ROOT, tmp_path / "tree"], check=True)
    return tmp_path / "tree"


def test_the_same_seed_draws_the_same_mutants_of_different_places_none_in_an_annotation(clone: Path) -> None:
    from graders.bench import mutation

    drawn = [item.mutations[0] for item in mutation.sample(clone, 10, "a")]
    assert drawn == [item.mutations[0] for item in mutation.sample(clone, 10, "a")]
    assert drawn != [item.mutations[0] for item in mutation.sample(clone, 10, "b")]
    assert len({(one.start_pos, one.end_pos) for one in drawn}) == 10
    lines = (clone / MODULE).read_text().split("\n")
    everything = list(mutation.sample(clone, 10_000, "a"))
    assert not any("->" in lines[item.mutations[0].start_pos[0] - 1] for item in everything)


def test_mutants_are_tried_and_the_code_is_as_it_was(clone: Path, capsys: pytest.CaptureFixture[str]) -> None:
    from cosmic_ray.work_db import use_db

    from graders.bench import mutation

    mutation.run(clone.parent, 3, "a", 1.0)
    with use_db(clone.parent / "session.sqlite") as db:
        found = [result for _, result in db.results]
    assert [one.diff.startswith(f"--- {MODULE}") for one in found] == [True] * 3
    assert "killed" in capsys.readouterr().out
    told = subprocess.run(["git", "-C", clone, "status", "--porcelain", "-uno"], capture_output=True, check=True)
    assert told.stdout == b""


def test_a_folder_in_the_repository_is_refused() -> None:
    from graders.bench import mutation

    with pytest.raises(Problem, match="inside the repository"):
        mutation.run(ROOT / "mutants", 1, "a", 1.0)
