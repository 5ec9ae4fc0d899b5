"""What students read about their graded work, in words; pages are made elsewhere.

The rule: `want` is shown in full only where the message prints every argument of the call itself, so that the wanted value
follows from the statement. Where an argument is a hidden input (described, never printed), `want` keeps type, dtype, shape
and words, and loses values. `got` is the student's own answer and stays.
"""

from __future__ import annotations

import importlib
import re
import sys
import tempfile
from typing import Any

from graders import ROOT

HIDDEN = "another value (not shown: it belongs to a hidden input)"
OUTCOMES = {
    "passed": "right",
    "failed": "not right yet",
    "error": "ended in an error",
    "timeout": "took too long",
    "memory": "asked for too much memory",
    "killed": "ended its process",
}
_DESCRIBED = re.compile(r"\), (?:\w+|argument \d+) is ")
_TYPED = re.compile(r"(bool|int|float|complex|str|bytes|list|tuple|dict|set|frozenset|Tensor)(?:,? )(?!of )")
_HARMLESS = re.compile(r"torch\.\w+|float\d+\w*|shape \([\d, ]*\)|length \d+|\d+ (?:keys|elements)\b")
_VALUE = re.compile(r"""\d|['"\[{]|\b(?:True|False|None|nan|inf)\b""")
_CONTROL = re.compile(r"[^\S\n ]|[\x00-\x09\x0b-\x1f\x7f-\x9f]")
_PLACES = [str(place) for place in (sys.prefix, ROOT, tempfile.gettempdir())]


def told(exercise: dict[str, Any], score: float, points: float) -> str:
    """Return what a student is told about one exercise of a verdict: points, message, hint, and what else is not right."""
    failed = [check for check in exercise["checks"] if check["outcome"] != "passed"]
    head = f"{score:g} of {points:g} points: {_result(exercise, score, len(failed))}"
    if not failed or exercise["outcome"] == "not started":
        return f"{head}\n"
    lines = [head, "", *public(exercise["message"]).split("\n")]
    if exercise["hint"]:
        lines.append(f"  hint   {clean(exercise['hint'])}")
    others = [said for said in dict.fromkeys(map(rule, failed)) if said and said not in exercise["message"]]
    if others:
        lines += ["", "Not right either:", *(f"  {clean(said)}" for said in others)]
    return "\n".join(lines) + "\n"


def _result(exercise: dict[str, Any], score: float, failed: int) -> str:
    """Return in a few words how an exercise ended."""
    checks = len(exercise["checks"])
    words = OUTCOMES.get(exercise["outcome"], exercise["outcome"])
    if failed in (0, checks) or exercise["outcome"] == "not started":
        return words
    counted = f"{checks - failed} of {checks} checks passed" + ("" if score else ", but not the main one")
    return counted if exercise["outcome"] == "failed" else f"{words}; {counted}"


def part(exercise: dict[str, Any], code: str = "") -> dict[str, Any]:
    """Return what the feedback page says about one exercise of a verdict (see `page.render`)."""
    score, points = exercise["score"], exercise["max_score"]
    head, *lines = told(exercise, score, points).rstrip("\n").split("\n")
    return {
        "name": exercise["name"], "score": score, "points": points, "result": head.partition(": ")[2], "waits": False,
        "look": look(score, points), "lines": [labelled(line) for line in lines[1:]], "code": clean(code),
    }  # fmt: skip


def look(score: float, points: float) -> str:
    """Return whether an exercise got `full` marks, a `part` of them or `none`."""
    return "full" if score >= points else "part" if score else "none"


def labelled(line: str) -> tuple[str, str]:
    """Return the label of a line of a message ("" if it has none) and the rest."""
    found = re.match(r"  (got |want|rule|hint)   (.*)", line)
    return (found[1], found[2]) if found else ("", line)


def public(message: str) -> str:
    """Return a message of the judge without values that belong to hidden inputs, paths and control characters."""
    lines = message.split("\n")
    printed = any(re.match(r"\w+\(", line) and line.endswith(")") for line in lines)
    printed = printed and not any(_DESCRIBED.search(line) for line in lines if not line.startswith("  "))
    return "\n".join(clean(line if printed else _without_values(line)) for line in lines)


def _without_values(line: str) -> str:
    if not line.startswith("  want   "):
        return line
    text = line.removeprefix("  want   ")
    typed = _TYPED.match(text)
    if typed:
        return f"  want   a {typed[1]}; {HIDDEN}"
    return f"  want   {HIDDEN}" if _VALUE.search(_HARMLESS.sub("", text)) else line


def rule(check: dict[str, Any]) -> str:
    """Return the rule that a failed check states."""
    found = re.search(r"^  rule   (.*)$", check["message"], re.MULTILINE)
    return found[1] if found else ""


def clean(text: str) -> str:
    """Return a text without the places of this machine and without control characters."""
    for place in _PLACES:
        text = text.replace(place, "...")
    return _CONTROL.sub("?", text)


def __getattr__(name: str) -> Any:
    if name not in ("FeedbackPage", "safe_markdown"):
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    # the names in configurations of nbgrader courses that were written before the page had a module of its own
    return getattr(importlib.import_module("graders.for_nbgrader.feedback"), name)
