"""What students read about their graded work, as text in the notebook and as nbgrader's feedback page.

The rule: `want` is shown in full only where the message prints every argument of the call itself, so that the wanted value
follows from the statement. Where an argument is a hidden input (described, never printed), `want` keeps type, dtype, shape
and words, and loses values. `got` is the student's own answer and stays.
"""

from __future__ import annotations

import re
import sys
import tempfile
from pathlib import Path
from typing import Any

import jinja2
from nbconvert.exporters import HTMLExporter
from nbconvert.filters.markdown_mistune import IPythonRenderer, MarkdownWithMath
from nbformat import NotebookNode

HIDDEN = "another value (not shown: it belongs to a hidden input)"
_TEMPLATES = Path(__file__).resolve().parents[1] / "templates"
_NBGRADER = "server_extensions/formgrader/templates"
_DESCRIBED = re.compile(r"\), (?:\w+|argument \d+) is ")
_TYPED = re.compile(r"(bool|int|float|complex|str|bytes|list|tuple|dict|set|frozenset|Tensor)(?:,? )(?!of )")
_HARMLESS = re.compile(r"torch\.\w+|float\d+\w*|shape \([\d, ]*\)|length \d+|\d+ (?:keys|elements)\b")
_VALUE = re.compile(r"""\d|['"\[{]|\b(?:True|False|None|nan|inf)\b""")
_CONTROL = re.compile(r"[^\S\n ]|[\x00-\x09\x0b-\x1f\x7f-\x9f]")
_PLACES = [str(Path(place)) for place in (sys.prefix, Path(__file__).resolve().parents[2], tempfile.gettempdir())]


def told(exercise: dict[str, Any], score: float, points: float) -> str:
    """Return what a student is told about one exercise of a verdict: points, message, hint, and what else is not right."""
    checks = exercise["checks"]
    failed = [check for check in checks if check["outcome"] != "passed"]
    head = f"{score:g} of {points:g} points"
    if exercise["outcome"] == "not started":
        return f"{head}: not started\n"
    if not failed:
        return f"{head}: right\n"
    if len(failed) == len(checks):
        head += ": not right yet"
    else:
        head += f": {len(checks) - len(failed)} of {len(checks)} checks passed"
        head += "" if score else ", not the one that comes first; without it there are no points"
    lines = [head, "", *public(exercise["message"]).split("\n")]
    if exercise["hint"]:
        lines.append(f"  hint   {_clean(exercise['hint'])}")
    others = [rule for rule in dict.fromkeys(map(_rule, failed)) if rule and rule not in exercise["message"]]
    if others:
        lines += ["", "Not right either:", *(f"  {_clean(rule)}" for rule in others)]
    return "\n".join(lines) + "\n"


def public(message: str) -> str:
    """Return a message of the judge without values that belong to hidden inputs, paths and control characters."""
    lines = message.split("\n")
    printed = any(re.match(r"\w+\(", line) and line.endswith(")") for line in lines)
    printed = printed and not any(_DESCRIBED.search(line) for line in lines if not line.startswith("  "))
    return "\n".join(_clean(line if printed else _without_values(line)) for line in lines)


def _without_values(line: str) -> str:
    if not line.startswith("  want   "):
        return line
    text = line.removeprefix("  want   ")
    typed = _TYPED.match(text)
    if typed:
        return f"  want   a {typed[1]}; {HIDDEN}"
    return f"  want   {HIDDEN}" if _VALUE.search(_HARMLESS.sub("", text)) else line


def _rule(check: dict[str, Any]) -> str:
    """Return the rule that a failed check states."""
    found = re.search(r"^  rule   (.*)$", check["message"], re.MULTILINE)
    return found[1] if found else ""


def _clean(text: str) -> str:
    for place in _PLACES:
        text = text.replace(place, "...")
    return _CONTROL.sub("?", text)


class FeedbackPage(HTMLExporter):
    """nbgrader's feedback page: the graded notebook with what was told about each exercise, and no test source."""

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        import nbgrader

        self.template_name = "feedback_page"
        self.extra_template_basedirs = [str(_TEMPLATES), str(Path(nbgrader.__file__).parent / _NBGRADER)]
        self.filters = {**self.filters, "markdown2html": safe_markdown}

    def from_notebook_node(self, nb: NotebookNode, resources: Any = None, **kwargs: Any) -> tuple[str, Any]:
        for cell in nb.cells:
            if cell.cell_type == "code" and cell.metadata.get("nbgrader", {}).get("grade"):
                cell.source = cell.source.split("### BEGIN HIDDEN TESTS")[0].rstrip()
                cell.outputs = [_shown(output) for output in cell.outputs if output.output_type in ("stream", "error")]
        return super().from_notebook_node(nb, resources, **kwargs)


def _shown(output: NotebookNode) -> NotebookNode:
    if output.output_type == "stream":
        return output
    return NotebookNode(output_type="stream", name="stdout", text=f"{_clean(output.evalue)}\n")


@jinja2.pass_context
def safe_markdown(context: Any, source: str) -> str:
    """Return Markdown as HTML, with HTML in it shown as text: students write it, instructors open it while logged in.

    nbgrader's own pages render such HTML as it is, scripts included, in the origin of the gradebook.
    """
    attachments = context.get("cell", {}).get("attachments", {})
    renderer = IPythonRenderer(escape=True, allow_harmful_protocols=False, attachments=attachments)
    return str(MarkdownWithMath(renderer=renderer).render(source))
