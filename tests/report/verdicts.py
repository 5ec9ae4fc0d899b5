"""Verdicts as `grade` writes them, made without grading."""

from __future__ import annotations

from typing import Any

MESSAGE = (
    "spacing(x, torch.float16), x is float32\n  got    0.25\n  want   0.4375\n  rule   The gap to the next number."
)
HINT = "the whole gap, not half of it"


def exercise(name: str = "spacing", outcome: str = "passed", **changed: Any) -> dict[str, Any]:
    passed = outcome == "passed"
    message = "" if passed else MESSAGE
    checks = [{"name": "test_gap", "outcome": outcome, "message": message}]
    made = {
        "name": name,
        "outcome": outcome,
        "score": 2.0 * passed,
        "max_score": 2,
        "message": message,
        "hint": "",
        "seconds": 0.1,
    }
    return made | {"checks": checks} | changed


def verdict(
    student: str = "ann", lesson: str | None = "l2_data_types", *exercises: dict[str, Any], **changed: Any
) -> dict[str, Any]:
    done = list(exercises or [exercise()])
    made = {
        "schema": 1,
        "student": student,
        "lesson": lesson,
        "sha256": "0" * 64,
        "status": "graded",
        "exercises": done,
    }
    made |= {"score": sum(each["score"] for each in done), "max_score": sum(each["max_score"] for each in done)}
    return made | {"environment": {"torch": "2", "isolation": "namespaces", "seed": "00", "graders": "1"}} | changed


def lost(student: str, reason: str, lesson: str | None = None, **changed: Any) -> dict[str, Any]:
    told = {"status": "could not grade", "reason": reason, "exercises": [], "score": 0, "max_score": 0}
    return verdict(student, lesson) | told | changed
