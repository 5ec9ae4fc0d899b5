"""Nothing that a student writes runs on a page, and what cannot be shown costs its part alone."""

from __future__ import annotations

import csv
from html.parser import HTMLParser
from pathlib import Path

import pytest
from nbformat.v4 import new_code_cell, new_markdown_cell, new_output
from traitlets.config.loader import PyFileConfigLoader

from graders import ROOT
from graders.for_nbgrader import feedback
from graders.for_nbgrader.course import course
from graders.report import page, table
from tests.for_nbgrader.hostile_text import ALL, HOSTILE, PIXEL

INERT = {"a": {"href", "rel"}, "img": {"src", "alt"}, "ol": {"start"}, "th": {"align"}, "td": {"align"}}


class _Seen(HTMLParser):
    def __init__(self, text: str) -> None:
        super().__init__()
        self.elements: list[tuple[str, dict[str, str | None]]] = []
        self.text = ""
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list) -> None:
        self.elements.append((tag, dict(attrs)))

    def handle_data(self, data: str) -> None:
        self.text += data


@pytest.mark.parametrize("name", HOSTILE)
def test_hostile_text_is_text(name: str) -> None:
    seen = _Seen(feedback._html(HOSTILE[name]))
    for tag, attributes in seen.elements:
        assert set(attributes) <= INERT.get(tag, set()), tag
        assert tag in page._TAGS
        assert (attributes.get("href") or "#").startswith(("#", "https://", "http://", "mailto:"))
        assert (attributes.get("src") or "data:image/png").startswith("data:image/png")
    if "script>" in HOSTILE[name] and not name.startswith("link"):
        assert "<script>" in seen.text, "what was written is shown"


def test_pictures_of_the_notebook_are_shown_and_others_named() -> None:
    attached = {"p.png": {"image/png": PIXEL}, "p.svg": {"image/svg+xml": "PHN2Zy8+"}}
    shown = feedback._html("![mine](attachment:p.png) ![drawn](attachment:p.svg) ![gone](attachment:q.png)", attached)
    assert f'<img src="data:image/png;base64,{PIXEL}" alt="mine">' in shown
    assert "[picture that is not in the notebook: drawn]" in shown
    assert "[picture that is not in the notebook: gone]" in shown


def test_text_keeps_its_structure() -> None:
    shown = feedback._html(
        "# Why\n\n*an* [a](https://pytorch.org) `x`\n\n| a |\n|---|\n| 1 |\n\n```python\nx = 1\n```\n\n2. two"
    )
    assert [tag for tag, _ in _Seen(shown).elements if tag in ("h1", "em", "a", "code", "table", "pre", "ol")] == [
        "h1", "em", "a", "code", "table", "pre", "ol",
    ]  # fmt: skip


def test_what_breaks_the_parser_is_shown_as_it_is(monkeypatch: pytest.MonkeyPatch) -> None:
    def fails(*args: object) -> str:
        raise RecursionError

    monkeypatch.setattr(feedback.MarkdownWithMath, "render", fails)
    assert feedback._html("a <b>") == "<pre>a &lt;b&gt;</pre>"


@pytest.mark.parametrize(("locked", "title"), [(True, "Data types"), (False, "")])
def test_the_title_is_the_first_line_of_a_cell_that_students_cannot_change(locked: bool, title: str) -> None:
    cell = new_markdown_cell("# Data types\nWhat a number is.", metadata={"nbgrader": {"locked": locked}})
    assert feedback._title(cell) == title


def test_what_was_said_of_an_exercise_stands_apart_from_its_points() -> None:
    cell = new_code_cell("", metadata={"nbgrader": {"grade_id": "test_f", "solution": False, "score": 1, "points": 2}})
    cell.outputs = [new_output("stream", text="1 of 2 points: 1 of 2 checks passed\n\nf(1)\n  got    2\n")]
    part = feedback._part(cell, {}, set())
    assert (part["name"], part["result"], len(part["lines"])) == ("f", "1 of 2 checks passed", 2)


def about(**changed: object) -> dict:
    part = {
        "name": "dot_in_dtype",
        "score": 0.0,
        "points": 2.0,
        "result": "not right yet",
        "waits": False,
        "look": "none",
    }
    part |= {"lines": [("", "f(x)"), ("got ", "<script>1</script>")], "code": "<script>2</script>", **changed}
    return {"title": "Data <types>", "score": 0.0, "max_score": 2.0, "late_penalty": None, "lost": "", "parts": [part]}


def test_the_page_allows_nothing_and_loses_nothing() -> None:
    shown = page.render([about(written=feedback._html(ALL), comment="<p>well done<script>3</script></p>")])
    seen = _Seen(shown)
    assert not {"script", "iframe", "form", "input", "svg", "object"} & {tag for tag, _ in seen.elements}
    policy = next(attributes["content"] for tag, attributes in seen.elements if "http-equiv" in attributes)
    assert policy is not None
    assert policy.startswith("default-src 'none'; ")
    assert "script" not in policy
    assert "http" not in policy
    assert seen.text.count("<script>") >= 5
    assert "well done" in seen.text
    assert [tag for tag, _ in seen.elements].count("main") == 1
    assert {attributes.get("scope") for tag, attributes in seen.elements if tag == "th"} == {"col", "row", None}
    assert '<section id="dot_in_dtype" class="none">' in shown


def test_cells_of_tables_are_one_line_without_odd_characters(tmp_path: Path) -> None:
    verdict = {
        "student": "=an\u202en\n", "lesson": None, "status": "could not grade", "score": 0, "max_score": 0,
        "reason": "a\x1b[2J\rb", "exercises": [],
    }  # fmt: skip
    table.write_csv([verdict], tmp_path / "grades.csv")
    (row,) = csv.DictReader((tmp_path / "grades.csv").open(encoding="utf-8"))
    assert (row["student"], row["status"], row["reason"]) == (
        "'=an\ufffdn\ufffd",
        "could not grade",
        "a\ufffd[2J\ufffdb",
    )


def test_a_line_end_in_the_name_of_a_folder_costs_no_other_student(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    course(tmp_path / "course", ROOT)
    submitted, aside = tmp_path / "course" / "submitted", tmp_path / "course" / "set_aside"
    for name in ("ann", "a\nb", "c\nd"):
        (submitted / name).mkdir(parents=True)
    (aside / "a b").mkdir(parents=True)
    PyFileConfigLoader("nbgrader_config.py", str(tmp_path / "course")).load_config()
    assert [path.name for path in submitted.iterdir()] == ["ann"]
    assert sorted(path.name for path in aside.iterdir()) == ["a b", "a b+", "c d"]
    assert "'a\\nb' has a line end in its name: moved to " in capsys.readouterr().err
