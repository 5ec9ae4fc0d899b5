"""`classroom50/STUDENT.json`: a `result.json` of Classroom 50, `classroom50/result/v1`.

Its scores are integers: hundredths of a point. What only the platform's runner knows is taken from the variables that it sets
(https://github.com/foundation50/classroom50/wiki/Advanced-Autograding); elsewhere stand words that say so.
"""

from __future__ import annotations

import json
import os
from datetime import UTC, datetime
from typing import Any

from graders.marks.scoring import final_score, mark

UNIT = 100  # in a point


def made(verdicts: list[dict[str, Any]], when: datetime) -> bytes:
    """Return the file of one student."""
    tests = [
        {
            "test-name": f"{verdict['lesson']}: {each['name']}",
            "passed": mark(verdict, each) >= each["max_score"],
            "score": min(round(mark(verdict, each) * UNIT), round(each["max_score"] * UNIT)),
            "max-score": round(each["max_score"] * UNIT),
        }
        for verdict in verdicts
        for each in verdict["exercises"]
    ]
    tests += [
        {"test-name": f"{verdict['lesson']}: {name}", "passed": True, "score": points, "max-score": points}
        for verdict in verdicts
        for name, points in _given(verdict)
    ]
    most = sum(test["max-score"] for test in tests)
    lessons = [verdict["lesson"] or "none" for verdict in verdicts]
    said = os.environ.get
    result = {
        "schema": "classroom50/result/v1",
        "classroom": said("CLASSROOM") or "not-on-classroom50",
        "assignment": said("ASSIGNMENT") or "-".join(lessons),
        "assignment_type": said("ASSIGNMENT_TYPE") or "individual",
        "owner": said("OWNER") or said("USERNAME") or verdicts[0]["student"],
        "submission": said("SUBMISSION_TAG") or f"submit/{verdicts[0]['sha256'][:12]}",
        "commit": said("COMMIT_URL") or "not-on-classroom50",
        "release": said("RELEASE_URL") or "not-on-classroom50",
        "review": said("REVIEW_URL") or said("COMMIT_URL") or "not-on-classroom50",
        "datetime": _utc(max((one["handed_in"] for one in verdicts if "handed_in" in one), default=None), when),
        "graded_at": _utc(None, when),
        "score": min(round(sum(map(final_score, verdicts)) * UNIT), most),
        "max-score": most,
        "tests": tests,
    }
    return json.dumps(result, indent=1).encode()


def _given(verdict: dict[str, Any]) -> list[tuple[str, int]]:
    """Return the exercises that only an override has a score for, since nothing could be judged, and that score."""
    judged = {each["name"] for each in verdict["exercises"]}
    return [
        (name, round(one["score"] * UNIT)) for name, one in verdict.get("overrides", {}).items() if name not in judged
    ]


def _utc(text: str | None, when: datetime) -> str:
    moment = datetime.fromisoformat(text) if text else when
    return moment.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
