"""`report.html`: a class on one page, for its instructor. It needs no other file and no network, and holds no script.

Whatever a student wrote is text here: everything is escaped, names lose control and bidirectional characters, and the page
forbids scripts, forms and loads from elsewhere to whatever should get past that.
"""

from __future__ import annotations

import base64
import os
from collections.abc import Iterable, Mapping
from functools import cache
from pathlib import Path
from typing import Any

import jinja2
from markupsafe import Markup

from graders.collecting.endings import one_line
from graders.report.of_class import alike
from graders.report.of_class.figures import BINS, SUSPICIOUS, Figures, of_class

_PICTURE = 1 << 20  # bytes: a larger leaderboard is left out, the page stays small
PAIRS = 50  # of each lesson that are listed
ALIKE = "nearly the same answers"
_ABOUT = {
    SUSPICIOUS: "That a name stands there is no proof that it was used, or to what end: read the code.",
    ALIKE: f"Runs of {alike.RUN} tokens without comments, docstrings and own names; without those of the stub and the reference and"
    f" those that more than {alike.COMMON} students share. Listed from {alike.LEAST} shared runs in two exercises or more, and"
    f" {alike.SHARE:.0%} of what the one with fewer has. A reason to look at both, and no proof.",
}
_WIDE = 2_000  # characters of a sentence on what needs a look


def write(
    verdicts: Iterable[dict[str, Any]], folder: Path, cohort: Any, pages: Mapping[str, str], written: Any
) -> None:
    """Write the page in one go.

    `cohort` has sentences on people and layouts; `pages` the feedback page of each student; `written` what they wrote
    (`report.written.Written`).
    """
    figures = of_class(verdicts)
    _look_at(figures, written)
    text = render(figures, cohort, pages, _leaderboard(folder / "leaderboard.svg"))
    unfinished = folder / "report.part"
    unfinished.write_text(text, encoding="utf-8", errors="backslashreplace")
    os.replace(unfinished, folder / "report.html")


def _look_at(figures: Figures, written: Any) -> None:
    """Add what a look at the code tells."""
    for lesson, about in figures.lessons.items():
        students = [student for student, row in figures.students.items() if lesson in row.scores]
        for one, other, shared, fewer, exercises in alike.pairs(written.runs(lesson, students))[:PAIRS]:
            in_order = sorted(exercises, key=[*about.exercises, *exercises].index)
            told = f"{lesson}: {shared} of {fewer} runs, in {', '.join(in_order)}"
            figures.needs_a_look(ALIKE, f"{one} and {other}", told)


def render(figures: Figures, cohort: Any, pages: Mapping[str, str], leaderboard: str = "") -> str:
    """Return the page."""
    told = {name: list(getattr(cohort, name, ())) for name in ("lost", "look", "missing", "notes")}
    return _template().render(class_=figures, told=told, pages=pages, leaderboard=leaderboard, bins=BINS, about=_ABOUT)


def _leaderboard(path: Path) -> str:
    """Return the picture as a part of the page, "" where there is none; as a picture nothing in it can act."""
    if not path.is_file() or path.stat().st_size > _PICTURE:
        return ""
    return "data:image/svg+xml;base64," + base64.b64encode(path.read_bytes()).decode()


@cache
def _template() -> jinja2.Template:
    loader = jinja2.FileSystemLoader(Path(__file__).parents[1] / "templates")
    made = jinja2.Environment(
        loader=loader, autoescape=True, undefined=jinja2.StrictUndefined, trim_blocks=True, lstrip_blocks=True
    )
    made.filters["parts"] = lambda name: Markup("_<wbr>").join(name.split("_"))
    made.filters["line"] = lambda text: one_line(str(text), _WIDE)
    return made.get_template("report.html.j2")
