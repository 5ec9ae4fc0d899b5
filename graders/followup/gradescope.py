"""`gradescope/STUDENT.json`: the `results.json` of a Gradescope autograder.

Written after https://gradescope-autograders.readthedocs.io/en/latest/specs/, which has no schema; `schemas/gradescope.json` says
what that page says.
"""

from __future__ import annotations

import json
from datetime import datetime
from typing import Any

from graders.followup import told
from graders.marks.scoring import final_score, mark


def made(verdicts: list[dict[str, Any]], when: datetime) -> bytes:
    """Return the file of one student: a test per exercise, and the score in the end, which stands above their sum."""
    result = {
        "score": round(sum(map(final_score, verdicts)), 4),
        "execution_time": round(sum(each["seconds"] for one in verdicts for each in one["exercises"]), 4),
        "output": "\n".join(map(told.lesson, verdicts)),
        "stdout_visibility": "hidden",
        "tests": [
            {
                "name": f"{verdict['lesson']}: {each['name']}",
                "score": mark(verdict, each),
                "max_score": each["max_score"],
                "output": told.exercise(verdict, each),
                "tags": [verdict["lesson"], each["outcome"]],
            }
            for verdict in verdicts
            for each in verdict["exercises"]
        ],
    }
    return json.dumps(result, indent=1).encode()
