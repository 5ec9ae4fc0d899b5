"""Pages for students: one each whatever they are called, no hidden value on it, and archives as platforms import them."""

from __future__ import annotations

import re
import zipfile
from pathlib import Path

from graders.report import handed_back
from graders.report.feedback import HIDDEN
from graders.report.written import Written
from tests.cohort.handed_in import L2, chosen, packed, solved
from tests.report.test_class_report import Page
from tests.report.verdicts import HINT, exercise, lost, verdict

ODD = [
    "ann",
    "Ann",
    "../../etc/passwd",
    "a/b",
    "a_b",
    "",
    ".",
    "CON",
    "con.txt",
    "x" * 300,
    "Zoë",
    "王",
    "\ud800",
    "a\nb",
    "ann ",
]


def test_every_student_has_a_file_of_their_own(tmp_path: Path) -> None:
    names = handed_back.write([verdict(student) for student in ODD], tmp_path, Written(tmp_path))
    written = {path.name for path in (tmp_path / "feedback").iterdir()}
    assert set(names) == set(ODD)
    assert written == set(names.values())
    assert len({name.casefold() for name in written}) == len(ODD)
    assert all(len(name.encode()) < 255 and not re.search(r"[/\\:*?\"<>|\x00-\x1f]|^\.", name) for name in written)
    assert [path.name for path in tmp_path.iterdir()] == ["feedback"]


def test_a_page_says_what_happened_and_no_hidden_value(tmp_path: Path) -> None:
    wrong = exercise(outcome="failed", hint=HINT)
    shown = handed_back.render(
        [verdict("ann", L2, wrong, name="Ann <b>"), lost("ann", "no <JSON>", "l3")], Written(tmp_path)
    )
    seen = Page(shown.replace("<hr>", ""))
    assert len(seen.named("main")) == len(seen.named("h1")) == 1
    assert all(head["scope"] in ("col", "row") for head in seen.named("th"))
    assert HINT in shown
    assert "0.25" in shown
    assert HIDDEN in shown
    assert "0.4375" not in shown
    assert "Could not grade: no &lt;JSON&gt;" in shown
    assert "Ann &lt;b&gt;" in shown
    assert "test_gap" not in shown


def test_a_page_says_what_an_instructor_decided_and_what_lateness_costs(tmp_path: Path) -> None:
    decided = {"overrides": {"spacing": {"score": 1.5, "reason": "talked to her"}}, "final_score": 1.35}
    late = {"penalty": {"days": 1, "percent": 10.0}}
    for one in (verdict("ann", **decided, **late), lost("ann", "no", L2, **decided, **late)):
        shown = handed_back.render([one], Written(tmp_path))
        assert "<p>Decided by the instructor: spacing 1.5 (talked to her).</p>" in shown
        assert "<p>10 % off, 1 day late.</p>" in shown


def test_the_archives_name_pages_as_the_platforms_name_what_was_handed_in(tmp_path: Path) -> None:
    files = {
        "moodle.zip": packed({f"Jane Doe_48005_assignsubmission_file_/{L2}.py": solved()}),
        "canvas.zip": packed({f"roejo_LATE_102_9100_{L2}.py": solved(), f"poejo_103_9200_{L2}.py": solved("b")}),
    }
    for name, data in files.items():
        (tmp_path / name).write_bytes(data)
    made = [verdict(one.student, L2, **one.about) for one in chosen(*(tmp_path / name for name in files))]
    pages = handed_back.write(made, tmp_path, Written(tmp_path))
    with (
        zipfile.ZipFile(tmp_path / "feedback-moodle.zip") as moodle,
        zipfile.ZipFile(tmp_path / "feedback-canvas.zip") as canvas,
    ):
        assert moodle.namelist() == ["Jane Doe_48005_assignsubmission_file_feedback.html"]
        assert canvas.namelist() == ["poejo_103_9200_feedback.html", "roejo_102_9100_feedback.html"]
        assert canvas.read("roejo_102_9100_feedback.html") == (tmp_path / "feedback" / pages["roejo_102"]).read_bytes()


def test_a_page_that_says_the_same_is_left_alone(tmp_path: Path) -> None:
    page = tmp_path / "feedback" / handed_back.write([verdict()], tmp_path, Written(tmp_path))["ann"]
    before = page.stat().st_mtime_ns, page.stat().st_ino
    handed_back.write([verdict()], tmp_path, Written(tmp_path))
    assert (page.stat().st_mtime_ns, page.stat().st_ino) == before
    handed_back.write([verdict("ann", L2, exercise(outcome="failed"))], tmp_path, Written(tmp_path))
    assert page.stat().st_ino != before[1]
