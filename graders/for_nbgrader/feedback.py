"""nbgrader's feedback page: points and messages by exercise, the student's code, and the comments of people."""

from __future__ import annotations

from html import escape
from typing import Any

import jinja2
from nbconvert.exporters import Exporter, HTMLExporter
from nbconvert.filters.markdown_mistune import IPythonRenderer, MarkdownWithMath
from nbformat import NotebookNode
from nbgrader.api import Gradebook

from graders.report import page
from graders.report.feedback import clean, labelled, look

LOST_CELL = "lost"  # the id of the cell that says why a submission could not be graded
_PICTURES = ("image/png", "image/jpeg", "image/gif", "image/webp")


class FeedbackPage(HTMLExporter):
    """The page that `nbgrader generate_feedback` writes: points and messages by exercise, the student's code, comments.

    It is made from the graded notebook, with no test source in it, and needs no other file and no network.
    """

    def from_notebook_node(  # type: ignore[override] # the text of a page, as every exporter of nbconvert returns
        self, nb: NotebookNode, resources: Any = None, **kwargs: Any
    ) -> tuple[str, Any]:
        """Let nbgrader's preprocessors look up scores and comments, then write the page."""
        nb, resources = Exporter.from_notebook_node(self, nb, resources, **kwargs)
        about = resources["nbgrader"]
        ours = [cell for cell in nb.cells if cell.metadata.get("nbgrader")]
        answers = {cell.metadata.nbgrader.grade_id: cell for cell in ours if cell.metadata.nbgrader.solution}
        graded = [cell for cell in ours if cell.metadata.nbgrader.grade or cell.metadata.nbgrader.get("task")]
        waiting = _waiting(about)
        told = {name: about.get(name) for name in ("score", "max_score", "late_penalty")}
        told["title"] = next(filter(None, map(_title, nb.cells)), about["notebook"])
        told["parts"] = [_part(cell, answers, waiting) for cell in graded]
        told["lost"] = "".join(cell.source for cell in nb.cells if cell.get("id") == LOST_CELL)
        return page.render([told]), resources


def _title(cell: NotebookNode) -> str:
    """Return the title that a locked text cell gives the lesson; students cannot change it."""
    locked = cell.cell_type == "markdown" and cell.metadata.get("nbgrader", {}).get("locked")
    return cell.source.split("\n")[0][2:] if locked and cell.source.startswith("# ") else ""


def _waiting(about: dict[str, Any]) -> set[str]:
    """Return the cells to which a person has still to give a score."""
    with Gradebook(about["db_url"]) as gradebook:
        found = gradebook.find_submission_notebook(about["notebook"], about["assignment"], about["student"])
        return {each.name for each in found.grades if each.auto_score is None and each.manual_score is None}


def _part(cell: NotebookNode, answers: dict[str, NotebookNode], waiting: set[str]) -> dict[str, Any]:
    """Return what the page says about one graded cell."""
    ours = cell.metadata.nbgrader
    tests = cell.cell_type == "code" and not ours.solution
    name = ours.grade_id.removeprefix("test_") if tests else ours.grade_id
    answer = answers.get(name)
    text = "".join(map(_text, cell.outputs)) if tests else ""
    head, *lines = text.split("\n")
    part = {"name": name, "score": ours.score, "points": ours.points, "result": head.partition(": ")[2]}
    part["waits"] = not tests and ours.grade_id in waiting
    if part["waits"]:
        part["result"] = "not graded yet"
    part["lines"] = [labelled(line) for line in "\n".join(lines).strip("\n").split("\n")] if "".join(lines) else []
    part["look"] = look(ours.score, ours.points) if tests else "written"
    part["code"] = answer.source if tests and answer else cell.source if not tests and cell.cell_type == "code" else ""
    part["written"] = "" if tests or cell.cell_type == "code" else _html(cell.source, cell.get("attachments"))
    part["comment"] = _html((answer or cell).metadata.nbgrader.get("comment"))
    return part


def _text(output: NotebookNode) -> str:
    if output.output_type == "stream":
        return str(output.text)
    return f"0 points: {clean(output.evalue)}\n" if output.output_type == "error" else ""


@jinja2.pass_context
def safe_markdown(context: Any, source: str) -> str:
    """Return Markdown as HTML, with HTML in it shown as text: students write it, instructors open it while logged in.

    nbgrader's own pages render such HTML as it is, scripts included, in the origin of the gradebook.
    """
    return _html(source, context.get("cell", {}).get("attachments"))


def _html(source: str | None, attachments: dict[str, dict[str, str]] | None = None) -> str:
    """Return Markdown as clean HTML; where it cannot be read, the text as it is."""
    if not source:
        return ""
    try:
        return page.clean(MarkdownWithMath(renderer=_Renderer(attachments or {})).render(source), names=False)
    except Exception:  # of a parser that a student feeds: whatever it is, it costs this part alone
        return page.plain(source)


class _Renderer(IPythonRenderer):
    """Writes HTML in which nothing runs: HTML and diagrams as text, no names, pictures only out of the notebook."""

    def __init__(self, attachments: dict[str, dict[str, str]]) -> None:
        super().__init__(escape=True, allow_harmful_protocols=False, exclude_anchor_links=True, attachments=attachments)

    def block_mermaidjs(self, code: str) -> str:
        return page.plain(code)

    def image(self, text: str, url: str, title: str | None = None) -> str:
        attached = self.attachments.get(url.removeprefix("attachment:"), {}) if url.startswith("attachment:") else {}
        kind = next((kind for kind in _PICTURES if kind in attached), None)
        if kind is not None or url.startswith("data:"):
            source = f"data:{kind};base64,{attached[kind]}" if kind is not None else url
            return f'<img src="{escape(source)}" alt="{escape(text)}">'
        return escape(f"[picture that is not in the notebook: {text or url}]")
