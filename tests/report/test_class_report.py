"""The class report counts what verdicts say, shows it as text, and stays small and quick for a large class."""

from __future__ import annotations

import re
import time
from html.parser import HTMLParser
from pathlib import Path
from types import SimpleNamespace

import pytest

from graders.report.of_class import alike, page
from graders.report.of_class.figures import of_class
from graders.report.written import Written
from tests.report.verdicts import HINT, exercise, lost, verdict

NOBODY = SimpleNamespace(lost=[], look=[], missing=[], notes=[])
WRONG = exercise(outcome="failed", hint=HINT)
CLASS = [
    verdict("ann"),
    verdict("bob", "l2_data_types", WRONG),
    verdict("cy", "l2_data_types", WRONG, late=True),
    verdict("dee", "l2_data_types", exercise(outcome="not started")),
    verdict("eve", "l2_data_types", exercise(outcome="timeout", seconds=15.0), collision="eve handed in twice"),
    lost("fay", "handed in homework.pdf"),
]


class Page(HTMLParser):
    """The elements of a page by name, each with its attributes, and whether each that was opened was closed."""

    VOID = ("meta", "img", "br", "rect", "line")

    def __init__(self, text: str) -> None:
        super().__init__()
        self.elements: list[tuple[str, dict[str, str | None]]] = []
        self.open: list[str] = []
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list) -> None:
        self.elements.append((tag, dict(attrs)))
        self.open += [] if tag in ("meta", "img", "br") else [tag]

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def named(self, tag: str) -> list[dict[str, str | None]]:
        return [attributes for name, attributes in self.elements if name == tag]


def test_what_is_counted() -> None:
    figures = of_class(CLASS)
    lesson = figures.lessons["l2_data_types"]
    assert (len(figures.students), figures.graded, figures.lost) == (6, 5, 1)
    assert lesson.exercises["spacing"].counts == {"right": 1, "wrong": 3, "not started": 1}
    assert (lesson.bins[0], lesson.bins[-1], lesson.median, lesson.full) == (4, 1, 0.0, 1)
    assert figures.of(figures.mistakes) == [(2, 5, "l2_data_types", "spacing", HINT)]
    assert figures.of(figures.checks) == [(2, 5, "l2_data_types", "spacing", "The gap to the next number.")]
    assert [(why, [student for student, _ in those]) for why, those in figures.look.items()] == [
        ("could not be graded", ["fay"]),
        ("two places for one student", ["eve"]),
        ("handed in late", ["cy"]),
        ("slow, or ended by the limits", ["eve"]),
    ]
    assert figures.columns == ["l2_data_types", ""]


def test_the_page_can_be_read_without_seeing_it_and_loads_nothing() -> None:
    shown = page.render(of_class(CLASS), NOBODY, {"ann": "ann.html"}, "data:image/svg+xml;base64,PHN2Zy8+")
    seen = Page(shown)
    assert seen.open == []
    assert len(seen.named("main")) == len(seen.named("h1")) == 1
    assert not seen.named("script")
    assert not seen.named("link")
    assert all(head.get("scope") in ("col", "row") for head in seen.named("th"))
    assert all(picture.get("aria-label") or picture.get("aria-hidden") for picture in seen.named("svg"))
    assert all(picture["alt"] and str(picture["src"]).startswith("data:") for picture in seen.named("img"))
    assert "default-src 'none'" in str(seen.named("meta")[1]["content"])
    ids = {attributes["id"] for _, attributes in seen.elements if "id" in attributes}
    links = [str(link["href"]) for link in seen.named("a")]
    assert {link[1:] for link in links if link.startswith("#")} <= ids
    assert [link for link in links if not link.startswith("#")] == ["leaderboard.csv", "feedback/ann.html"]


@pytest.mark.parametrize("text", ["<script>alert(1)</script>", '" onload="x', "a\u202eb\x1b[2J\nc", "\ud800"])
def test_what_students_write_is_text(text: str, tmp_path: Path) -> None:
    """Names, sections, reasons and what belongs to nobody may be anything."""
    told = SimpleNamespace(lost=[text], look=[text], missing=[text], notes=[text])
    everything = [verdict(text, name=text, section=text, collision=text), lost(text, text)]
    page.write(everything, tmp_path, told, {text: "x.html"}, Written(tmp_path))
    shown = (tmp_path / "report.html").read_text("utf-8")
    seen = Page(shown)
    assert not seen.named("script")
    assert all("onload" not in attributes for _, attributes in seen.elements)
    assert not re.search("[\u202e\x1b]", shown)


def test_a_class_of_nobody_and_one_that_is_all_lost() -> None:
    assert Page(page.render(of_class([]), NOBODY, {})).open == []
    shown = page.render(of_class([lost("fay", "no JSON", "l2_data_types")]), NOBODY, {})
    assert "None of 1 could be graded." in shown


def test_2000_students_of_8_lessons_make_a_small_page_in_seconds(tmp_path: Path) -> None:
    names = [f"l{at}_lesson" for at in range(1, 9)]
    done = [
        exercise(f"exercise_{at}", ("passed", "failed", "not started")[at % 3], hint="" if at % 3 != 1 else HINT)
        for at in range(18)
    ]
    everything = [verdict(f"student.{at}", name, *done, name=f"Student {at}") for at in range(2000) for name in names]
    begun = time.process_time()
    page.write(
        everything, tmp_path, NOBODY, {f"student.{at}": f"student.{at}.html" for at in range(2000)}, Written(tmp_path)
    )
    assert time.process_time() - begun < 10
    assert (tmp_path / "report.html").stat().st_size < 3_000_000


def test_who_handed_in_nothing_needs_a_look() -> None:
    told = SimpleNamespace(lost=[], look=[], missing=["zoe"], notes=[])
    shown = page.render(of_class([verdict("ann")]), told, {})
    assert "Handed in nothing (1)" in shown
    assert "<p>Nothing.</p>" not in shown
    assert "<p>Nothing.</p>" in page.render(of_class([verdict("ann")]), NOBODY, {})


def test_a_lesson_is_named_beside_its_exercises_where_there_are_several() -> None:
    beside = '<span class="soft">l2_data_types</span>'
    assert beside not in page.render(of_class([verdict("bob", "l2_data_types", WRONG)]), NOBODY, {})
    both = [verdict("bob", "l2_data_types", WRONG), verdict("bob", "l4_quantization_theory")]
    assert beside in page.render(of_class(both), NOBODY, {})


def test_the_class_list_is_in_order_however_it_was_handed_in() -> None:
    assert list(of_class([verdict(student) for student in ("bob", "Zoe", "ann", "Bo")]).students) == [
        "ann",
        "Bo",
        "bob",
        "Zoe",
    ]


def test_the_class_list_shows_what_an_instructor_decided() -> None:
    decided = {"overrides": {"spacing": {"score": 1.5, "reason": ""}}, "final_score": 1.5}
    figures = of_class([verdict("ann", **decided), lost("bob", "no", "l2_data_types", **decided)])
    assert [list(row.scores.values()) for row in figures.students.values()] == [
        ["1.5 of 2 (2 before overrides)"],
        ["could not grade; 1.5 by overrides"],
    ]


def test_of_a_pair_the_exercises_stand_in_the_order_of_the_lesson(tmp_path: Path) -> None:
    runs = {"spacing": alike.packed(set(range(50))), "decode_bits": alike.packed(set(range(50, 99)))}
    written = SimpleNamespace(runs=lambda lesson, students: [(student, runs) for student in students])
    both = [verdict(who, "l2_data_types", exercise("decode_bits"), exercise("spacing")) for who in ("ann", "bob")]
    page.write(both, tmp_path, NOBODY, {}, written)
    assert "99 of 99 runs, in decode_bits, spacing" in (tmp_path / "report.html").read_text(encoding="utf-8")
