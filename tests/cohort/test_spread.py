"""Whatever goes wrong while a submission is judged costs that submission, and is written down."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from graders import ROOT
from graders.cohort import grading
from graders.cohort.spread import processes
from graders.cohort.submissions import Submission
from graders.wire import frames

LESSON = "l2_data_types"
STUB = (ROOT / "exercises" / f"{LESSON}.py").read_bytes()


class Ends:
    """Ends the process that unpickles it."""

    def __reduce__(self) -> tuple[Callable[[int], Any], tuple[int]]:
        return os._exit, (3,)


def judged(todo: list[tuple[int, Any]], count: int = 1) -> dict[int, processes.Judged]:
    with closing(processes.Pool((), count)) as pool:
        return {index: told for index, _, told in pool.judged(iter(todo), "seed")}


def test_a_fault_costs_one_submission_and_the_process_goes_on() -> None:
    honest = Submission("ann", LESSON, "ann.py", STUB)
    found = judged([(0, honest), (1, "no submission"), (2, honest), (3, Ends()), (4, honest)])
    assert [found[index].verdict is not None for index in range(5)] == [True, False, True, False, True]
    assert "AttributeError" in found[1].fault
    assert "Traceback" in found[1].fault
    assert "3 processes that judged ended" in found[3].fault
    verdicts = [{**(found[index].verdict or {}), "exercises": None} for index in (0, 2, 4)]
    assert verdicts == [verdicts[0]] * 3
    assert [found[index].seconds > 0 for index in (0, 2, 4)] == [
        False,
        True,
        False,
    ]  # a start tells nothing of the pace


def test_a_verdict_names_what_a_person_should_look_at() -> None:
    borrowed = STUB + b"\n# %%\nfrom exercises.kit.toys.quantized_models import cast as downcast\n"
    found = judged([(0, Submission("ann", LESSON, "ann.py", borrowed)), (1, Submission("bob", LESSON, "bob.py", STUB))])
    verdicts = {index: told.verdict or {} for index, told in found.items()}
    line = borrowed.count(b"\n")
    told = f"line {line}: uses exercises.kit.toys.quantized_models.cast, which the lesson does not give"
    assert verdicts[0]["suspicious"] == [told]
    assert "suspicious" not in verdicts[1]


def test_the_run_goes_on_and_says_so(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("ann", "bob"):
        (tmp_path / "in").mkdir(exist_ok=True)
        (tmp_path / "in" / f"{name}.py").write_bytes(STUB)
    ask = processes.Process.ask

    def asked(self: processes.Process, message: Any) -> processes.Judged:
        if isinstance(message, Submission) and message.student == "ann":
            return processes.Judged(None, "Traceback: a fault\n")
        return ask(self, message)

    monkeypatch.setattr(processes.Process, "ask", asked)
    told = grading.grade([tmp_path / "in"], tmp_path / "out", seed="seed")
    assert [(one["student"], one["status"]) for one in told] == [("ann", "could not grade"), ("bob", "graded")]
    assert told[0]["reason"] == processes.FAULT
    log = (tmp_path / "out" / "errors.log").read_text()
    assert "ann" in log
    assert "a fault" in log
    lines = [json.loads(line) for line in (tmp_path / "out" / "verdicts.jsonl").read_text().splitlines()]
    assert len(lines) == 2


@pytest.mark.alone  # it measures seconds
def test_an_interrupt_ends_the_run_soon_and_leaves_nothing_but_verdicts(tmp_path: Path) -> None:
    for number in range(40):
        (tmp_path / "in").mkdir(exist_ok=True)
        (tmp_path / "in" / f"s{number}.py").write_bytes(STUB + f"# {number}\n".encode())
    (tmp_path / "scratch").mkdir()
    book = tmp_path / "out" / "verdicts.jsonl"
    command = [sys.executable, "-m", "graders", "grade", str(tmp_path / "in"), f"--output={book.parent}", "--workers=2"]
    scratch = os.environ | {"TMPDIR": str(tmp_path / "scratch")}
    run = subprocess.Popen(
        command, cwd=ROOT, env=scratch, stderr=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),  # ignored where tests run behind a shell's &
    )  # fmt: skip
    while not (book.exists() and book.read_bytes().count(b"\n") >= 2):
        assert run.poll() is None
        time.sleep(0.05)
    run.send_signal(signal.SIGINT)
    sent = time.monotonic()
    _, told = run.communicate(timeout=60)
    assert time.monotonic() - sent < 10  # 1 on a quiet machine
    assert run.returncode == 130
    assert told.strip() == "stopped; what was finished is kept, the same command goes on from there"
    assert list((tmp_path / "scratch").iterdir()) == []
    assert all(json.loads(line)["status"] == "graded" for line in book.read_text().splitlines())


def test_the_process_that_writes_loads_nothing_that_decides() -> None:
    code = (
        "import sys; from graders.cohort import grading; import graders.report.table, graders.report.terminal; "
        "print([n for n in sys.modules if n in ('torch', 'transformers', 'pytest') "
        "or n.startswith(('solutions', 'graders.judge.deciding', 'graders.worker'))])"
    )
    ran = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True)
    assert ran.stdout.strip() == "[]"


@pytest.mark.parametrize(
    "changed", [{"student": "bob"}, {"sha256": "0" * 64}, {"lesson": "l3_models_with_different_data_types"}]
)
def test_who_decides_cannot_write_the_lines_of_others(changed: dict[str, str]) -> None:
    one = Submission("ann", LESSON, "ann.py", STUB)
    right = {"student": "ann", "sha256": one.sha256, "lesson": LESSON}
    for verdict in (right, right | changed):
        process = processes.Process("seed", ())
        process._connection, there = socket.socketpair()
        frames.send_frame(there, json.dumps({"verdict": verdict}).encode())
        told = process.ask(one)
        assert told.verdict == (verdict if verdict == right else None)
        assert ("another submission" in told.fault) == (verdict != right)
        process.close()
        there.close()


def test_only_what_is_asked_for_is_judged_and_its_verdict_is_the_same() -> None:
    solution = (ROOT / "solutions" / f"{LESSON}.py").read_text(encoding="utf-8")
    wrong = "\n# %%\ndef integer_range(dtype):\n    return 0, 1\n\n\n# %%\ndef range_from_bits(bits, signed=True):\n"
    wrong += "    return integer_range(torch.int8)\n"
    data = (solution + wrong).encode()
    todo = [(0, Submission("a", LESSON, "a.py", data)), (1, Submission("a", LESSON, "a.py", data))]
    todo[1][1].only = ("range_from_bits", "spacing")
    found = {index: told.verdict or {} for index, told in judged(todo).items()}
    told = [
        {each["name"]: each | {"seconds": 0} for each in found[index]["exercises"] if each["name"] in todo[1][1].only}
        for index in (0, 1)
    ]
    assert told[0] == told[1]
    assert told[1]["range_from_bits"]["message"].startswith("rests on integer_range, which is not right yet")
    assert [each["name"] for each in found[1]["exercises"]] == list(told[1])
