"""The leaderboard of models says what was measured, names nobody if asked not to, and appears only where there is one."""

import csv

import pytest

from graders.report import leaderboard


def verdict(student, *pairs):
    rows = [{"budget": 11_480, "bytes": size, "score": score} for size, score in pairs]
    return {"student": student, "environment": {"measured": {"smallest_model": rows}} if rows else {}}


VERDICTS = [verdict("ann", (9000, 0.9), (11000, 0.95)), verdict("=bob", (10000, 0.8), (8000, 0.5)), verdict("cy")]


def read(folder):
    with (folder / "leaderboard.csv").open(newline="") as file:
        return list(csv.DictReader(file))


def test_rows_by_score_with_the_front(tmp_path):
    leaderboard.write(VERDICTS, tmp_path)
    rows = read(tmp_path)
    assert [row["score"] for row in rows] == ["0.95", "0.9", "0.8", "0.5"]
    assert [row["front"] for row in rows] == ["yes", "yes", "", "yes"]
    assert [row["student"] for row in rows] == ["ann", "ann", "'=bob", "'=bob"]
    picture = (tmp_path / "leaderboard.svg").read_text()
    assert picture.startswith("<?xml")
    assert "ann" in picture


def test_pseudonyms(tmp_path):
    leaderboard.write(VERDICTS, tmp_path, pseudonyms=True)
    assert [row["student"] for row in read(tmp_path)] == ["model 1", "model 1", "model 2", "model 2"]
    assert "ann" not in (tmp_path / "leaderboard.svg").read_text() + (tmp_path / "leaderboard.csv").read_text()


def test_the_same_picture_for_the_same_verdicts(tmp_path):
    pictures = []
    for _ in range(2):
        leaderboard.write(VERDICTS, tmp_path)
        pictures.append((tmp_path / "leaderboard.svg").read_bytes())
    assert pictures[0] == pictures[1]


@pytest.mark.parametrize("verdicts", [[], [verdict("cy")]], ids=["nobody", "another lesson"])
def test_nothing_without_measurements(tmp_path, verdicts):
    leaderboard.write(verdicts, tmp_path)
    assert list(tmp_path.iterdir()) == []


def test_odd_names_are_drawn(tmp_path):
    leaderboard.write([verdict("$a_{", (9000, 0.9)), verdict("<b>", (9100, 0.91)), verdict("李\n", (1, 0.1))], tmp_path)
    assert (tmp_path / "leaderboard.svg").exists()
