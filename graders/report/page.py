"""The feedback page: what a student reads about graded lessons, on one page that needs no other file and no network.

Whatever is in it was written by a student, by code of a student, or by a person: it goes through an allowlist of elements and
attributes (nh3), and the page forbids scripts, forms and loads from elsewhere to whatever should get past that.
"""

from __future__ import annotations

import html
import re
from functools import cache
from pathlib import Path
from typing import Any

import jinja2
import nh3
from markupsafe import Markup

_TAGS = {
    "a", "b", "blockquote", "br", "code", "dd", "del", "details", "div", "dl", "dt", "em", "h1", "h2", "h3", "h4", "h5", "h6", "hr",
    "i", "img", "li", "main", "ol", "p", "pre", "section", "span", "strong", "summary", "table", "tbody", "td", "th", "thead", "tr",
    "ul",
}  # fmt: skip
_ATTRIBUTES = {
    "*": {"class", "id"},
    "a": {"href"},
    "img": {"src", "alt"},
    "th": {"scope", "colspan", "rowspan", "align"},
    "td": {"colspan", "rowspan", "align"},
    "ol": {"start"},
}
_LINK = re.compile(r"(?:https?://|mailto:|#)\S*")
_PICTURE = re.compile(r"data:image/(?:png|jpeg|gif|webp);base64,[A-Za-z0-9+/=\s]*")


def clean(text: str, names: bool = True) -> str:
    """Return HTML with nothing in it but text, its structure, links and pictures that are in the page itself.

    names: whether elements may have a class and an id; in other people's pages these would mean something.
    """

    def attribute(tag: str, name: str, value: str) -> str | None:
        form = {"src": _PICTURE, "href": _LINK}.get(name)
        allowed = form.fullmatch(value) if form else names or name not in ("class", "id")
        return value if allowed else None

    schemes = {"http", "https", "mailto", "data"}
    return nh3.clean(text, tags=_TAGS, attributes=_ATTRIBUTES, attribute_filter=attribute, url_schemes=schemes)


def plain(text: str) -> str:
    """Return a text as HTML that shows it as it is."""
    return f"<pre>{html.escape(text)}</pre>"


def render(lessons: list[dict[str, Any]], title: str = "") -> str:
    """Return the page about one lesson, or about several under a title of their own.

    A lesson: `title`, `score`, `max_score`, `late_penalty` (points or None), `lost` (why it could not be graded, or "") and
    `parts`, each with `name`, `score`, `points`, `result`, `waits` (a person has still to grade it), `look`, `lines` (pairs of
    a label and a text), `code`, and as HTML `written` and `comment`. With a title it has a name too, `lesson`.
    """
    told = [about | {"parts": [_with_html(part) for part in about["parts"]]} for about in lessons]
    page = _template().render(title=title or lessons[0]["title"], lessons=told, several=bool(title))
    before, body, after = page.partition("<body>")
    inside, end, rest = after.rpartition("</body>")
    return before + body + clean(inside) + end + rest


def _with_html(part: dict[str, Any]) -> dict[str, Any]:
    return part | {name: Markup(part.get(name) or "") for name in ("written", "comment")}


@cache
def _template() -> jinja2.Template:
    loader = jinja2.FileSystemLoader(Path(__file__).parent / "templates")
    return jinja2.Environment(loader=loader, autoescape=True).get_template("feedback.html.j2")
