"""Whatever goes wrong while a submission is judged costs that submission, and is written down."""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from graders import ROOT
from graders.cohort import grading, judges
from graders.cohort.submissions import Submission
from graders.wire import frames

LESSON = "l2_data_types"
STUB = (ROOT / "exercises" / f"{LESSON}.py").read_bytes()


class Ends:
    """Ends the process that unpickles it."""

    def __reduce__(self) -> tuple[Callable[[int], Any], tuple[int]]:
        return os._exit, (3,)


def test_a_fault_costs_one_submission_and_the_process_goes_on() -> None:
    honest = Submission("ann", LESSON, "ann.py", STUB)
    found = dict[int, judges.Judged]()
    todo = iter([(0, honest), (1, "no submission"), (2, Ends()), (3, honest)])
    for index, _, judged in judges.judged(todo, "seed", (), 1):
        found[index] = judged
    assert [found[index].verdict is not None for index in range(4)] == [True, False, False, True]
    assert "AttributeError" in found[1].fault
    assert "Traceback" in found[1].fault
    assert "ended or hung" in found[2].fault
    first, last = ({**(found[index].verdict or {}), "exercises": None} for index in (0, 3))
    assert first == last


def test_a_verdict_names_what_a_person_should_look_at() -> None:
    borrowed = STUB + b"\n# %%\nfrom exercises.kit.toys.quantized_models import cast as downcast\n"
    todo = [(0, Submission("ann", LESSON, "ann.py", borrowed)), (1, Submission("bob", LESSON, "bob.py", STUB))]
    verdicts = {index: told.verdict or {} for index, _, told in judges.judged(iter(todo), "seed", (), 1)}
    line = borrowed.count(b"\n")
    told = f"line {line}: uses exercises.kit.toys.quantized_models.cast, which the lesson does not give"
    assert verdicts[0]["suspicious"] == [told]
    assert "suspicious" not in verdicts[1]


@pytest.mark.parametrize(
    "changed", [{"student": "bob"}, {"sha256": "0" * 64}, {"lesson": "l3_models_with_different_data_types"}]
)
def test_who_decides_cannot_write_the_lines_of_others(changed: dict[str, str]) -> None:
    one = Submission("ann", LESSON, "ann.py", STUB)
    right = {"student": "ann", "sha256": one.sha256, "lesson": LESSON}
    for verdict in (right, right | changed):
        process = judges.Process("seed", ())
        process._connection, there = socket.socketpair()
        frames.send_frame(there, json.dumps({"verdict": verdict}).encode())
        told = process.judge(one)
        assert told.verdict == (verdict if verdict == right else None)
        assert ("another submission" in told.fault) == (verdict != right)
        process.close()
        there.close()


def test_the_run_goes_on_and_says_so(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("ann", "bob"):
        (tmp_path / "in").mkdir(exist_ok=True)
        (tmp_path / "in" / f"{name}.py").write_bytes(STUB)

    def judged(todo: Any, *args: Any) -> Any:
        for index, one in todo:
            yield index, one, judges.Judged(None, "Traceback: a fault\n") if one.student == "ann" else _right(one)

    def _right(one: Submission) -> judges.Judged:
        return next(iter(real(iter([(0, one)]), "seed", (), 1)))[2]

    real = judges.judged
    monkeypatch.setattr(judges, "judged", judged)
    told = grading.grade([tmp_path / "in"], tmp_path / "out", seed="seed")
    assert [(one["student"], one["status"]) for one in told] == [("ann", "could not grade"), ("bob", "graded")]
    assert told[0]["reason"] == judges.FAULT
    log = (tmp_path / "out" / "errors.log").read_text()
    assert "ann" in log
    assert "a fault" in log
    lines = [json.loads(line) for line in (tmp_path / "out" / "verdicts.jsonl").read_text().splitlines()]
    assert len(lines) == 2


def test_the_process_that_writes_loads_nothing_that_decides() -> None:
    code = (
        "import sys; from graders.cohort import grading; import graders.report.table, graders.report.terminal; "
        "print([n for n in sys.modules if n in ('torch', 'transformers', 'pytest') "
        "or n.startswith(('solutions', 'graders.judge.deciding', 'graders.worker'))])"
    )
    ran = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True)
    assert ran.stdout.strip() == "[]"


def test_only_what_is_asked_for_is_judged_and_its_verdict_is_the_same() -> None:
    solution = (ROOT / "solutions" / f"{LESSON}.py").read_text(encoding="utf-8")
    wrong = "\n# %%\ndef integer_range(dtype):\n    return 0, 1\n\n\n# %%\ndef range_from_bits(bits, signed=True):\n"
    wrong += "    return integer_range(torch.int8)\n"
    data = (solution + wrong).encode()
    todo = [(0, Submission("a", LESSON, "a.py", data)), (1, Submission("a", LESSON, "a.py", data))]
    todo[1][1].only = ("range_from_bits", "spacing")
    found = {index: told.verdict or {} for index, _, told in judges.judged(iter(todo), "seed", (), 1)}
    told = [
        {each["name"]: each | {"seconds": 0} for each in found[index]["exercises"] if each["name"] in todo[1][1].only}
        for index in (0, 1)
    ]
    assert told[0] == told[1]
    assert told[1]["range_from_bits"]["message"].startswith("rests on integer_range, which is not right yet")
    assert [each["name"] for each in found[1]["exercises"]] == list(told[1])
