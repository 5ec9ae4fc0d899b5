"""`python -m graders grade` on right, wrong, broken and hostile submissions, in the layouts that people hand in."""

from __future__ import annotations

import csv
import errno
import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import jupytext
import pytest

from graders import __main__
from graders.cohort import grading, judging, submissions, verdicts
from graders.cohort.spread.processes import Judged, Process
from graders.collecting import processes
from graders.judge import checks
from tests.cohort.verdict_form import faults

ROOT = Path(__file__).resolve().parents[2]
LESSON = "l2_data_types"
SOLUTION = (ROOT / f"solutions/{LESSON}.py").read_text()
STUB = (ROOT / f"exercises/{LESSON}.py").read_text()
COUNT = 18


def with_body(name: str, body: str, source: str = SOLUTION) -> str:
    """The source with another body for one exercise, put right below its signature."""
    head = f"def {name}("
    at = source.index(head)
    end = source.index(":\n", source.index(")", at)) + 2
    return source[:end] + "".join(f"    {line}\n" for line in body.split("\n")) + source[end:]


def before(name: str, line: str, source: str = SOLUTION) -> str:
    """The source with a line at module level right above one exercise, in its cell."""
    return source.replace(f"def {name}(", f"{line}\n\ndef {name}(")


SAMPLES: dict[str, tuple[str, dict[str, str], float]] = {
    "right": (SOLUTION, {}, 36),
    "stub": (STUB, dict.fromkeys(["*"], "not started"), 0),
    "syntax": (SOLUTION.replace("def spacing(", "def spacing(("), {"spacing": "error"}, 34),
    "raises": (before("spacing", "1 / 0"), {"spacing": "error"}, 34),
    "exits": (before("spacing", "import os; os._exit(0)"), {"spacing": "killed"}, 34),
    "exits_in_a_call": (with_body("spacing", "import os; os._exit(0)"), {"spacing": "killed"}, 34),
    "sys_exit": (with_body("spacing", "raise SystemExit(0)"), {"spacing": "error"}, 34),
    "loops": (with_body("spacing", "while True:\n    pass"), {"spacing": "timeout"}, 34),
    "loops_at_module_level": (before("spacing", "while True: pass"), {"spacing": "timeout"}, 34),
    "memory": (with_body("spacing", "torch.zeros(10**13)"), {"spacing": "memory"}, 34),
    "list_memory": (with_body("spacing", "[0] * 10**13"), {"spacing": "memory"}, 34),
    "recursion": (with_body("spacing", "return spacing(value, dtype)"), {"spacing": "error"}, 34),
    "vandal": (
        before(
            "spacing", "torch.Tensor.to = torch.finfo = torch.dot = len = None; torch.set_default_dtype(torch.float64)"
        ),
        {"spacing": "error"},
        34,
    ),
    "prints": (with_body("spacing", "import sys, warnings; print('x' * 10**6); warnings.warn('!')"), {}, 36),
    "missing": (SOLUTION.replace("def spacing(", "def other("), {"spacing": "not started"}, 34),
    "none": (with_body("spacing", "return None"), {"spacing": "failed"}, 34),
}


@pytest.fixture(scope="module")
def graded(tmp_path_factory: pytest.TempPathFactory) -> dict[str, dict[str, Any]]:
    """Every sample as a bare file, and the solution as a notebook, graded in one run with short limits."""
    folder = tmp_path_factory.mktemp("handed in")
    for name, (source, _, _) in SAMPLES.items():
        (folder / f"{name}.py").write_text(source)
    jupytext.write(jupytext.reads(SOLUTION, "py:percent"), folder / "notebook.ipynb")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(processes, "CALL_SECONDS", 3.0)
        patch.setattr(processes, "EXERCISE_SECONDS", 5.0)
        told = grading.grade([folder], folder / "out", seed="tests")
    return {verdict["student"]: verdict for verdict in told}


@pytest.mark.timeout(180)
@pytest.mark.parametrize("name", SAMPLES)
def test_only_what_is_wrong_is_lost(graded: dict[str, dict[str, Any]], name: str) -> None:
    _, wrong, score = SAMPLES[name]
    verdict = graded[name]
    assert (verdict["status"], verdict["lesson"], verdict["max_score"]) == ("graded", LESSON, 2 * COUNT)
    outcomes = {exercise["name"]: exercise["outcome"] for exercise in verdict["exercises"]}
    expected = {exercise: wrong.get(exercise, wrong.get("*", "passed")) for exercise in outcomes}
    assert outcomes == expected
    assert verdict["score"] == score


def test_a_notebook_is_judged_as_its_text(graded: dict[str, dict[str, Any]]) -> None:
    assert graded["notebook"]["score"] == graded["right"]["score"]


def test_messages_are_short_and_tell_no_path(graded: dict[str, dict[str, Any]]) -> None:
    for verdict in graded.values():
        for exercise in verdict["exercises"]:
            assert len(exercise["message"].splitlines()) <= 8
            assert str(ROOT) not in exercise["message"]
            assert "Traceback" not in exercise["message"]
            assert (exercise["message"] == "") == (exercise["outcome"] == "passed")


def test_verdicts_have_the_fixed_form(graded: dict[str, dict[str, Any]], tmp_path: Path) -> None:
    mains = {exercise.name: exercise.main.name for exercise in lessons_checks()}
    for verdict in graded.values():
        line = json.loads(json.dumps(verdict))
        assert faults(line, mains) == []
        assert {"torch", "isolation", "seed", "graders"} <= set(line["environment"])
        assert "tests" not in json.dumps(line["environment"])
    (refused,) = grading.grade([written(tmp_path / "refused.ipynb", "{")], tmp_path / "out")
    assert faults(json.loads((tmp_path / "out" / "verdicts.jsonl").read_text()), mains) == []
    assert refused["status"] == "could not grade"


def lessons_checks() -> list[Any]:
    return checks.collect(ROOT / f"graders/lessons/{LESSON}/test_{LESSON}.py")


def written(path: Path, text: str | bytes) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(text.encode() if isinstance(text, str) else text)
    return path


@pytest.mark.parametrize(
    ("change", "told"),
    [
        ({"score": 1.5}, "the sum of the scores"),
        ({"exercises": [{"score": 0.6667}]}, "spacing: the score"),
        ({"exercises": [{"outcome": "wrong"}]}, "spacing: an outcome"),
        ({"exercises": [{"message": ""}]}, "spacing: the message"),
        ({"status": "could not grade"}, "a reason, or none"),
    ],
)
def test_the_check_of_the_form_sees_faults(change: dict[str, Any], told: str) -> None:
    checked = [
        {"name": name, "outcome": name, "message": "" if name == "passed" else "x"} for name in ("passed", "failed")
    ]
    each = {
        "name": "spacing",
        "outcome": "failed",
        "score": 1.0,
        "max_score": 2,
        "message": "x",
        "hint": "",
        "seconds": 0.1,
    }
    line: dict[str, Any] = {
        "schema": 1,
        "student": "a",
        "lesson": LESSON,
        "sha256": "0" * 64,
        "status": "graded",
        "score": 1.0,
    }
    line |= {"max_score": 2, "exercises": [each | {"checks": checked}], "environment": {}}
    assert faults(line, {"spacing": "passed"}) == []
    line |= {key: value for key, value in change.items() if key != "exercises"}
    line["exercises"] = [line["exercises"][0] | (change.get("exercises") or [{}])[0]]
    assert told in faults(line, {"spacing": "passed"})


def without_times(verdict: dict[str, Any]) -> dict[str, Any]:
    told = json.loads(json.dumps(verdict))
    told.pop("environment")
    for exercise in told["exercises"]:
        exercise.pop("seconds")
    return told


@pytest.fixture
def handed_in(tmp_path: Path) -> Callable[..., Path]:
    """Write a file below a folder `in`, and return that folder."""

    def write(name: str, content: str | bytes = STUB) -> Path:
        path = tmp_path / "in" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content.encode() if isinstance(content, str) else content)
        return tmp_path / "in"

    return write


@pytest.mark.timeout(120)
def test_the_same_file_gets_the_same_verdict(handed_in: Callable[..., Path], tmp_path: Path) -> None:
    wrong = with_body("spacing", "return 0.5", SOLUTION)
    folder = handed_in("alice.py", wrong)
    first = grading.grade([folder], tmp_path / "one", seed="a")
    second = grading.grade([folder], tmp_path / "two", seed="a")
    assert [without_times(verdict) for verdict in first] == [without_times(verdict) for verdict in second]
    assert 0 < first[0]["score"] < first[0]["max_score"]


@pytest.mark.timeout(120)
def test_bad_files_get_a_sentence_and_the_rest_goes_on(handed_in: Callable[..., Path], tmp_path: Path) -> None:
    folder = handed_in("zoe.py", SOLUTION)
    handed_in("empty.py", "")
    handed_in("nothing.py", "print('hello')")
    handed_in("bytes.py", b"\xff\xfe\x00\x01")
    handed_in("broken.ipynb", '{"cells": [')
    handed_in("notebook.ipynb", "{}")
    (folder / "folder.py").mkdir()
    (folder / "link.py").symlink_to(folder / "zoe.py")
    handed_in("carol/l2_data_types.py", "")
    handed_in("bomb.py", "(" * 200_000)
    told = {verdict["student"]: verdict for verdict in grading.grade([folder], tmp_path / "out")}
    assert told["zoe"]["score"] == 36
    assert (told["carol"]["status"], told["carol"]["score"]) == ("graded", 0)
    reasons = {name: verdict["reason"] for name, verdict in told.items() if verdict["status"] == "could not grade"}
    assert set(reasons) == {"empty", "nothing", "bytes", "broken", "notebook", "link", "bomb", "folder.py"}
    assert all("\n" not in reason and len(reason) < 120 for reason in reasons.values())
    assert reasons["broken"] == "the notebook is not valid JSON (was it saved completely?)"
    assert reasons["empty"] == "it defines no exercise of any lesson"


def verdict_on(one: submissions.Submission) -> dict[str, Any]:
    return judging.record(one, one.lesson, judging.environment("process", "a", one.lesson), [])


def of_alice(data: bytes) -> submissions.Submission:
    return submissions.Submission("alice", LESSON, "alice.py", data)


@pytest.mark.timeout(120)
def test_a_run_that_was_killed_goes_on(handed_in: Callable[..., Path], tmp_path: Path) -> None:
    folder = handed_in("alice.py")
    handed_in("bob.py")
    out = tmp_path / "out"
    grading.grade([folder], out)
    path = out / "verdicts.jsonl"
    whole = path.read_bytes()
    first, second, _ = whole.split(b"\n")
    path.write_bytes(first + b"\n" + second[:50])
    seen = []
    told = grading.grade([folder], out, each=lambda verdict, total: seen.append(verdict["student"]))
    assert [verdict["student"] for verdict in told] == ["alice", "bob"]
    assert path.read_bytes().startswith(first + b"\n")
    assert len(path.read_bytes().splitlines()) == 2
    assert seen == ["alice", "bob"]


def test_a_changed_file_is_judged_again_and_the_last_line_counts(tmp_path: Path) -> None:
    book = verdicts.Book(tmp_path, "a")
    made = verdict_on(of_alice(b"one"))
    book.add(made)
    assert book.current(of_alice(b"one")) == made
    assert book.current(of_alice(b"two")) is None
    book.close()
    again = verdicts.Book(tmp_path, None)
    assert again.current(of_alice(b"one")) == made
    again.close()


def test_lines_that_are_no_verdicts_are_passed_over(tmp_path: Path) -> None:
    made = verdict_on(of_alice(b"one"))
    lines = [
        "null",
        "[1]",
        "3",
        '{"schema": 1}',
        '{"schema": 1, "student": "a", "lesson": null}',
        json.dumps(made),
        "torn",
    ]
    (tmp_path / "verdicts.jsonl").write_text("\n".join(lines))
    book = verdicts.Book(tmp_path, "a")
    assert [book.verdict(key) for key in book.keys] == [made]
    book.close()


def test_a_full_disk_stops_the_run_in_one_sentence_and_nothing_is_lost(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    book = verdicts.Book(tmp_path / "out", "a")
    book.add(verdict_on(of_alice(b"one")))
    book.close()
    before = (tmp_path / "out" / "verdicts.jsonl").read_bytes()

    def full(self: Any, verdict: dict[str, Any]) -> None:
        self._file.write(b'{"schema": 1, "stu')
        self._file.flush()
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(verdicts.Book, "add", full)
    monkeypatch.setattr(Process, "ask", lambda self, one: Judged(verdict_on(one)))
    handed_in = written(tmp_path / "bob" / f"{LESSON}.py", STUB).parent.parent
    assert __main__.main(["grade", str(handed_in), "--output", str(tmp_path / "out"), "--seed", "a"]) == 1
    assert "stopped (No space left on device); what was finished is kept" in (told := capsys.readouterr().err)
    assert told.count("\n") == 1
    again = verdicts.Book(tmp_path / "out", "a")
    again.close()
    assert (tmp_path / "out" / "verdicts.jsonl").read_bytes() == before


@pytest.mark.parametrize("place", ["file", "file/below", "/proc/there"])
def test_a_folder_that_cannot_be_written_is_wrong_use(
    place: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    written(tmp_path / "file", "")
    handed_in = written(tmp_path / "bob.py", STUB)
    assert __main__.main(["grade", str(handed_in), "--output", str(tmp_path / place)]) == 2
    assert "cannot be written to" in (told := capsys.readouterr().err)
    assert told.count("\n") == 1


def test_a_run_that_was_killed_while_it_made_the_seed_leaves_none(tmp_path: Path) -> None:
    (tmp_path / ".seed.new").write_text("")
    book = verdicts.Book(tmp_path, None)
    assert book.seed == (tmp_path / ".seed").read_text() != ""
    book.close()


def test_the_seed_is_kept_secret_and_fixed(tmp_path: Path) -> None:
    book = verdicts.Book(tmp_path, None)
    assert (tmp_path / ".seed").stat().st_mode & 0o777 == 0o600
    assert book.seed not in json.dumps(judging.environment("process", book.seed, None))
    with pytest.raises(verdicts.WrongUse, match="another run"):
        verdicts.Book(tmp_path, None)
    book.close()
    with pytest.raises(verdicts.WrongUse, match="another seed"):
        verdicts.Book(tmp_path, "other")


@pytest.mark.parametrize("other", ["a", "b", "c", None])
def test_a_folder_that_has_verdicts_and_no_seed_takes_theirs_alone(other: str | None, tmp_path: Path) -> None:
    environment = {"seed": verdicts.seed_hash("mine"), "graders": "1"}
    line = {"schema": 1, "student": "ann", "lesson": LESSON, "sha256": "0", "environment": environment}
    (tmp_path / "verdicts.jsonl").write_text(json.dumps(line) + "\n")
    with pytest.raises(verdicts.WrongUse, match="another seed; give that one"):
        verdicts.Book(tmp_path, other)
    verdicts.Book(tmp_path, "mine").close()


def command(*arguments: object) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "graders", *map(str, arguments)], cwd=ROOT, capture_output=True, text=True
    )


@pytest.mark.timeout(120)
def test_the_command_line(handed_in: Callable[..., Path], tmp_path: Path) -> None:
    folder = handed_in("=alice.py", SOLUTION)
    ran = command("grade", folder, "--output", tmp_path / "out", "--seed", "s")
    assert (ran.returncode, "36/36" in ran.stdout) == (0, True)
    with (tmp_path / "out" / "grades.csv").open() as file:
        (row,) = csv.DictReader(file)
    assert (row["student"], row["score"], row["spacing"]) == ("'=alice", "36.0", "2.0")
    handed_in("bob.py", "")
    assert command("grade", folder, "--output", tmp_path / "out").returncode == 1
    wrong = command("grade", tmp_path / "missing.py", "--output", tmp_path / "out")
    assert (wrong.returncode, wrong.stderr.count("\n")) == (2, 1)
    assert command("grade", folder).returncode == 2


@pytest.mark.timeout(120)
def test_the_plain_tier_gives_the_same_scores(handed_in: Callable[..., Path], tmp_path: Path) -> None:
    folder = handed_in("alice.py", SAMPLES["syntax"][0])
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("GRADERS_TIER", "process")
        (plain,) = grading.grade([folder], tmp_path / "plain", seed="a")
    (boxed,) = grading.grade([folder], tmp_path / "boxed", seed="a")
    assert plain["environment"]["isolation"] == "process"
    assert without_times(plain) == without_times(boxed)


@pytest.mark.timeout(180)
def test_several_processes_give_the_same_verdicts(handed_in: Callable[..., Path], tmp_path: Path) -> None:
    for name in ("alice", "bob", "carol"):
        folder = handed_in(f"{name}.py", SAMPLES["none"][0])
    one = grading.grade([folder], tmp_path / "one", seed="a")
    two = grading.grade([folder], tmp_path / "two", seed="a", workers=2)
    assert [without_times(verdict) for verdict in one] == [without_times(verdict) for verdict in two]
