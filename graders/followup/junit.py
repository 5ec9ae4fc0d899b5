"""`junit/STUDENT.xml`: a suite per lesson and a case per exercise, in the form of Apache Ant's JUnit task.

The form is that of https://github.com/windyroad/JUnit-Schema, which `schemas/junit.xsd` describes.
"""

from __future__ import annotations

import re
from datetime import datetime
from typing import Any
from xml.etree import ElementTree

from graders.followup import told

_ILLEGAL = re.compile("[^\t\n\r\u0020-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")  # in XML 1.0
_PROPERTIES = ("student", "status", "score", "max_score", "final_score", "due", "handed_in", "late")


def made(verdicts: list[dict[str, Any]], when: datetime) -> bytes:
    """Return the file of one student."""
    root = ElementTree.Element("testsuites")
    for number, verdict in enumerate(verdicts):
        root.append(_suite(verdict, number, when))
    ElementTree.indent(root)
    return ElementTree.tostring(root, "utf-8", xml_declaration=True)


def _suite(verdict: dict[str, Any], number: int, when: datetime) -> ElementTree.Element:
    name = verdict["lesson"] or "no lesson"
    outcomes = [each["outcome"] for each in verdict["exercises"]]
    lost = verdict["status"] != "graded"
    counts = {
        "tests": len(outcomes) + lost,
        "failures": sum(outcome in ("failed", "not started") for outcome in outcomes),
        "errors": sum(outcome in ("error", "timeout", "memory", "killed") for outcome in outcomes) + lost,
    }
    seconds = sum(each["seconds"] for each in verdict["exercises"])
    suite = ElementTree.Element(
        "testsuite",
        {
            "name": name, "package": "exercises", "id": str(number), "hostname": "localhost",
            "timestamp": when.strftime("%Y-%m-%dT%H:%M:%S"), "time": f"{seconds:.4f}",
            **{key: str(value) for key, value in counts.items()},
        },
    )  # fmt: skip
    properties = ElementTree.SubElement(suite, "properties")
    for key in _PROPERTIES:
        if key in verdict:
            ElementTree.SubElement(properties, "property", name=key, value=_legal(str(verdict[key])))
    for each in verdict["exercises"]:
        case = ElementTree.SubElement(
            suite, "testcase", name=each["name"], classname=name, time=f"{each['seconds']:.4f}"
        )
        if each["outcome"] != "passed":
            kind = "failure" if each["outcome"] in ("failed", "not started") else "error"
            ElementTree.SubElement(case, kind, type=each["outcome"]).text = _legal(told.exercise(verdict, each))
    if lost:
        case = ElementTree.SubElement(suite, "testcase", name="grading", classname=name, time="0")
        ElementTree.SubElement(case, "error", type="could not grade").text = _legal(told.lesson(verdict))
    ElementTree.SubElement(suite, "system-out").text = _legal(told.lesson(verdict))
    ElementTree.SubElement(suite, "system-err")
    return suite


def _legal(text: str) -> str:
    return _ILLEGAL.sub("\ufffd", text)
