"""A run of nbgrader opens its gradebook often, on one engine: what it reads and writes is as without."""

from pathlib import Path

import pytest
from nbgrader.api import Gradebook, MissingEntry

from graders.for_nbgrader.gradebooks import one_engine


@pytest.fixture
def address(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    monkeypatch.setattr("nbgrader.api.get_alembic_version", lambda: "0")  # else a program is started for it
    return f"sqlite:///{tmp_path}/gradebook.db"


def test_gradebooks_share_an_engine_and_nothing_else(address: str, tmp_path: Path) -> None:
    with one_engine():
        with Gradebook(address) as first:
            first.add_student("ann", first_name="Ann")
        with Gradebook(address) as one, Gradebook(address) as other, Gradebook(f"{address}2") as another:
            assert one.engine is other.engine is first.engine is not another.engine
            assert one.find_student("ann") is not other.find_student("ann")
            other.update_or_create_student("ann", first_name="Anne")
            with pytest.raises(MissingEntry):
                another.find_student("ann")
        with Gradebook(address) as again:
            assert again.find_student("ann").first_name == "Anne"
    with Gradebook(address) as later:
        assert later.engine is not first.engine
        assert later.find_student("ann").first_name == "Anne"


def test_a_gradebook_that_is_taken_away_is_made_anew(address: str, tmp_path: Path) -> None:
    with one_engine():
        with Gradebook(address) as first:
            first.add_student("ann")
        (tmp_path / "gradebook.db").unlink()
        with Gradebook(address) as second:
            assert second.students == []
