"""The fixed form of a line of `verdicts.jsonl`, checked with nothing of the graders' own code."""

from __future__ import annotations

import re
from typing import Any

LINE = {"schema", "student", "lesson", "sha256", "status", "score", "max_score", "exercises", "environment"}
BESIDES = {
    "reason", "files", "older", "name", "section", "own_due", "handed_in", "due", "late", "penalty", "overrides", "final_score",
    "judged", "collision", "unread", "suspicious", "returned",
}  # fmt: skip
EXERCISE = {"name", "outcome", "score", "max_score", "message", "hint", "seconds", "checks"}
OUTCOMES = {"passed", "failed", "error", "not started", "timeout", "memory", "killed"}


def faults(line: dict[str, Any], mains: dict[str, str]) -> list[str]:
    """Return what is wrong with a verdict; `mains` names the main check of each exercise."""
    found = []

    def wrong(condition: bool, what: str) -> None:
        found.extend([what] if condition else [])

    wrong(set(line) - BESIDES != LINE, f"the fields {sorted(set(line) ^ LINE)}")
    wrong(line["schema"] != 1, "the schema")
    wrong(re.fullmatch("[0-9a-f]{64}", line["sha256"]) is None, "the hash of the file")
    wrong(line["status"] not in ("graded", "could not grade"), "the status")
    wrong((line["status"] == "graded") == ("reason" in line), "a reason, or none")
    wrong(line["status"] == "could not grade" and bool(line["exercises"]), "exercises of what could not be graded")
    wrong(line["score"] != round(sum(each["score"] for each in line["exercises"]), 4), "the sum of the scores")
    wrong(line["max_score"] != sum(each["max_score"] for each in line["exercises"]), "the sum of the points")
    for each in line["exercises"]:
        found += [f"{each['name']}: {fault}" for fault in _faults(each, mains[each["name"]])]
    return found


def _faults(each: dict[str, Any], main: str) -> list[str]:
    if set(each) != EXERCISE or any(set(check) != {"name", "outcome", "message"} for check in each["checks"]):
        return ["the fields"]
    outcomes = {check["name"]: check["outcome"] for check in each["checks"]}
    passed = [name for name, outcome in outcomes.items() if outcome == "passed"]
    due = each["max_score"] * len(passed) / len(outcomes) if main in passed else 0
    rules = {
        "an outcome": {each["outcome"], *outcomes.values()} <= OUTCOMES,
        "the score": each["score"] == round(due, 4),
        "the outcome": (each["outcome"] == "passed") == (len(passed) == len(outcomes)),
        "the message": (each["message"] == "") == (each["outcome"] == "passed"),
        "a check's message": all((c["message"] == "") == (c["outcome"] == "passed") for c in each["checks"]),
        "the seconds": isinstance(each["seconds"], float) and each["seconds"] >= 0,
        "the hint": isinstance(each["hint"], str),
        "the main check": main in outcomes and (main in passed or outcomes[main] == each["outcome"]),
    }
    return [name for name, kept in rules.items() if not kept]
