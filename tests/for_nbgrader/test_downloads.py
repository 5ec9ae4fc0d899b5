"""`nbgrader zip_collect` finds the same people and files as `grade`, and autograde loses and overlooks none of them."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from nbgrader.utils import parse_utc

from graders import ROOT
from tests.cohort.handed_in import L2, chosen, notebook, solved, write
from tests.cohort.test_layouts import LAYOUTS
from tests.for_nbgrader.nbgrader_course import exercise_scores, nbgrader, new_course, rows

pytestmark = pytest.mark.timeout(900)
SOLUTION = (ROOT / f"solutions/{L2}.py").read_text(encoding="utf-8")
STUB = (ROOT / f"exercises/{L2}.py").read_text(encoding="utf-8")


@pytest.fixture(scope="module")
def course(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return new_course(tmp_path_factory.mktemp("downloads") / "course", L2)


def collect(course: Path, files: dict[str, Any]) -> str:
    """Put a download into the course and collect it, as an instructor who does it again."""
    archive = course / "downloaded" / L2 / "archive"
    for path in sorted(archive.rglob("*"), reverse=True) if archive.exists() else []:
        path.rmdir() if path.is_dir() else path.unlink()
    write(archive, files)
    return nbgrader(course, "zip_collect", L2, "--force")


def submitted(course: Path) -> dict[str, set[str]]:
    """What stands in `submitted/`: student -> names of files."""
    found: dict[str, set[str]] = {}
    for path in (course / "submitted").glob(f"*/{L2}/**/*"):
        found.setdefault(path.relative_to(course / "submitted").parts[0], set()).add(path.name)
    return found


@pytest.mark.parametrize(
    "name", [name for name in LAYOUTS if name not in ("nbgrader", "lessons", "one student in a folder")]
)
def test_every_download_has_the_same_people_on_both_ways(
    name: str, course: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """In one process each, so that a class takes a second: the extractor of zip_collect, and what `grade` chooses."""
    from graders.for_nbgrader import downloads

    files, _, students = LAYOUTS[name]
    archive = write(tmp_path / "archive", files)
    told: list[str] = []
    extractor = downloads.Extractor()
    monkeypatch.setattr(downloads.Extractor, "lesson", L2)
    monkeypatch.setattr(extractor.log, "warning", lambda *args: told.append(str(args)))
    extractor.extract(str(archive), str(tmp_path / "extracted"))
    assert {path.name for path in (tmp_path / "extracted").iterdir()} == students
    for one in chosen(archive):
        there = {path.name for path in (tmp_path / "extracted" / one.student).iterdir()}
        if one.problem is None and one.lesson == L2:
            assert there & {f"{L2}.ipynb", f"{L2}.py"}
        elif one.problem:
            assert any(one.student in line for line in told)


def test_when_it_was_handed_in_is_told_to_nbgrader(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from graders.for_nbgrader import downloads

    work = notebook(solved("jdoe"))
    names = {
        "jdoe": "HW 1_jdoe_attempt_2026-01-30-15-00-00_hw.ipynb",
        "ann": "HW 1_ann_attempt_2026-02-01-09-30-05_hw.ipynb",
    }
    archive = write(tmp_path / "archive", dict.fromkeys(names.values(), work))
    monkeypatch.setattr(downloads.Extractor, "lesson", L2)
    downloads.Extractor().extract(str(archive), str(tmp_path / "extracted"))
    stamps = {name: (tmp_path / "extracted" / name / "timestamp.txt").read_text() for name in names}
    here = {"jdoe": datetime(2026, 1, 30, 15), "ann": datetime(2026, 2, 1, 9, 30, 5)}  # by this machine's clock
    assert {name: parse_utc(stamp) for name, stamp in stamps.items()} == {
        name: time.astimezone(UTC).replace(tzinfo=None) for name, time in here.items()
    }


def test_what_cannot_be_opened_stands_there_by_its_name(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from graders.for_nbgrader import downloads

    files = {"ann (1).zip": b"PK", "bob.zip": {}, "cy.tar.zst": b"", "dee.py": SOLUTION}
    monkeypatch.setattr(downloads.Extractor, "lesson", L2)
    downloads.Extractor().extract(str(write(tmp_path / "archive", files)), str(tmp_path / "extracted"))
    found = {path.relative_to(tmp_path / "extracted").as_posix() for path in (tmp_path / "extracted").glob("*/*")}
    assert found == {"ann (1)/ann (1).zip", "bob/bob.zip", "cy/cy.tar.zst", f"dee/{L2}.py"}


def test_what_students_hand_in_is_collected_graded_and_graded_again(course: Path) -> None:
    first = {
        f"brownbob_102_9000_{L2}.ipynb": notebook(STUB),
        f"roe_103_9001_{L2}.py": SOLUTION,
        f"poe_104_9002_{L2}.pdf": "%PDF",
    }
    first |= {f"lee_105_9003_{L2}.ipynb": notebook(solved("x")), f"lee_105_9004_{L2}.py": SOLUTION}
    first |= {"day_106_9005_work.zip": {"kit/hw.ipynb": notebook("import own\n" + SOLUTION), "kit/own.py": "x = 1"}}
    collect(course, first)
    assert submitted(course) == {
        "brownbob_102": {f"{L2}.ipynb"},
        "roe_103": {f"{L2}.py"},
        "poe_104": {f"{L2}.pdf"},
        "lee_105": {f"{L2}.ipynb", f"{L2}.py"},
        "day_106": {f"{L2}.ipynb", "own.py"},
    }
    told = nbgrader(course, "autograde", L2, fails=True)
    assert f"poe_104: could not grade: there is no notebook, only {L2}.pdf" in told
    scores = {
        student: sum(score or 0 for score in exercise_scores(row).values()) for student, row in rows(course).items()
    }
    assert scores == {"brownbob_102": 0, "roe_103": 36, "lee_105": 36, "day_106": 36, "poe_104": 0}
    nbgrader(course, "generate_feedback", L2)
    assert (course / "feedback" / "roe_103" / L2 / f"{L2}.html").exists()

    collect(course, {f"brownbob_102_9100_{L2}-2.ipynb": notebook(SOLUTION)})
    told = nbgrader(course, "autograde", L2, fails=True)
    assert "brownbob_102: changed since it was graded, and is graded again" in told
    assert sum(exercise_scores(rows(course)["brownbob_102"]).values()) == 36
    assert told.count("Judged ") == 1
