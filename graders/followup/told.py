"""What a view says of a student's verdicts: nothing that the student must not read."""

from __future__ import annotations

from typing import Any

from graders.marks.scoring import final_score, mark
from graders.report import feedback, table

Verdict = dict[str, Any]


def exercise(verdict: Verdict, each: Verdict) -> str:
    """Return the text on one exercise, as on the feedback page, and why another score counts if one does."""
    text = feedback.told(each, mark(verdict, each), each["max_score"]).strip()
    override = verdict.get("overrides", {}).get(each["name"])
    return f"{text}\n\nThe instructor's score counts: {override['reason']}" if override else text


def lesson(verdict: Verdict) -> str:
    """Return what counts of a lesson in the end, in a line or two."""
    name = verdict["lesson"] or "no lesson"
    lines = [f"{name}: {final_score(verdict):g} of {verdict['max_score']:g} points"]
    if verdict["status"] != "graded":
        lines[0] = f"{name}: could not be graded ({feedback.clean(verdict['reason'])})"
    late = table.penalty(verdict) or ("late, nothing taken off" if verdict.get("late") else "")
    overrides = table.overrides(verdict)
    return "\n".join([*lines, *filter(None, [late, f"the instructor decided: {overrides}" if overrides else ""])])
