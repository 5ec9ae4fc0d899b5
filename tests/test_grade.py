"""`python -m graders grade` on right, wrong, broken and hostile submissions, in the layouts that people hand in."""

from __future__ import annotations

import csv
import json
import os
import subprocess
import sys
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import jupytext
import pytest

from graders import cohort, submissions, verdicts
from graders.judge import processes

ROOT = Path(__file__).resolve().parents[1]
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
        told = cohort.grade([folder], folder / "out", seed="tests")
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


def test_verdicts_have_the_fixed_form(graded: dict[str, dict[str, Any]]) -> None:
    verdict = graded["syntax"]
    keys = {"schema", "student", "lesson", "sha256", "status", "score", "max_score", "exercises", "environment"}
    assert keys <= set(verdict)
    exercise = verdict["exercises"][0]
    assert set(exercise) == {"name", "outcome", "score", "max_score", "message", "hint", "seconds", "checks"}
    assert set(exercise["checks"][0]) == {"name", "outcome", "message"}
    assert {"torch", "isolation", "seed", "graders"} <= set(verdict["environment"])
    assert "tests" not in json.dumps(verdict["environment"])


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
    first = cohort.grade([folder], tmp_path / "one", seed="a")
    second = cohort.grade([folder], tmp_path / "two", seed="a")
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
    told = {verdict["student"]: verdict for verdict in cohort.grade([folder], tmp_path / "out")}
    assert told["zoe"]["score"] == 36
    assert (told["carol"]["status"], told["carol"]["score"]) == ("graded", 0)
    reasons = {name: verdict["reason"] for name, verdict in told.items() if verdict["status"] == "could not grade"}
    assert set(reasons) == {"empty", "nothing", "bytes", "broken", "notebook", "link", "bomb"}
    assert all("\n" not in reason and len(reason) < 120 for reason in reasons.values())
    assert reasons["broken"] == "the notebook is not valid JSON (was it saved completely?)"
    assert reasons["empty"] == "it defines no exercise of any lesson"


def found(path: Path) -> list[tuple[str, str | None]]:
    return [(one.student, one.lesson) for one in submissions.find([path], [LESSON])]


def test_layouts(handed_in: Callable[..., Path]) -> None:
    handed_in("alice.py")
    handed_in("bob/l2_data_types.py")
    handed_in("dan/l2_data_types/l2_data_types.ipynb", "{}")
    handed_in("Eve Example_123_assignsubmission_file/homework.ipynb", "{}")
    handed_in("__pycache__/x.py")
    folder = handed_in("notes.txt", "")
    assert found(folder) == [
        ("Eve Example_123_assignsubmission_file", None), ("alice", None), ("bob", LESSON), ("dan", LESSON),
    ]  # fmt: skip
    assert found(folder / "bob") == [("bob", LESSON)]
    assert found(folder / "bob" / "l2_data_types.py") == [("bob", LESSON)]


def test_nbgraders_layout(handed_in: Callable[..., Path]) -> None:
    folder = handed_in("submitted/alice/l2_data_types/l2_data_types.ipynb", "{}")
    handed_in("source/l2_data_types/l2_data_types.ipynb", "{}")
    assert found(folder) == [("alice", LESSON)]


def test_archives(tmp_path: Path) -> None:
    path = tmp_path / "moodle.zip"
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("alice_1_assign/l2_data_types.py", SOLUTION)
        archive.writestr("../../evil.py", "x = 1")
        archive.writestr("bob.ipynb", "{}")
        archive.writestr("huge.py", " " * (submissions.MAX_BYTES + 1))
        archive.writestr("readme.txt", "")
    made = {one.student: one for one in submissions.find([path], [LESSON])}
    assert set(made) == {"alice_1_assign", "evil", "bob", "huge"}
    assert "larger" in str(made["huge"].problem)
    assert not (tmp_path.parent / "evil.py").exists()
    (tmp_path / "torn.zip").write_bytes(path.read_bytes()[:100])
    assert "cannot be read" in str(next(submissions.find([tmp_path / "torn.zip"], [])).problem)


def test_of_two_files_the_newest_counts(handed_in: Callable[..., Path]) -> None:
    folder = handed_in("alice/l2_data_types.py")
    handed_in("alice/l2_data_types.ipynb", "{}")
    os.utime(folder / "alice/l2_data_types.ipynb", (1, 1))
    (kept,) = submissions.newest(submissions.find([folder], [LESSON]))
    assert (kept.name, kept.older) == ("l2_data_types.py", ["l2_data_types.ipynb"])


def test_in_a_lessons_folder_the_file_of_its_name_counts(handed_in: Callable[..., Path]) -> None:
    """As in nbgrader, which knows no other file; newer drafts and copies in folders below take nothing away."""
    folder = handed_in("submitted/alice/l2_data_types/l2_data_types.ipynb", "{}")
    os.utime(folder / "submitted/alice/l2_data_types/l2_data_types.ipynb", (1, 1))
    handed_in("submitted/alice/l2_data_types/scratch.ipynb", "{}")
    handed_in("submitted/alice/l2_data_types/old/l2_data_types.ipynb", "{}")
    handed_in("submitted/bob/l2_data_types/l2_data_types (1).ipynb", "{}")
    kept = {one.student: one for one in submissions.newest(submissions.find([folder], [LESSON]))}
    assert {student: one.name for student, one in kept.items()} == {
        "alice": "l2_data_types.ipynb",
        "bob": "l2_data_types (1).ipynb",
    }
    assert kept["alice"].modified == 1
    assert sorted(kept["alice"].older) == ["l2_data_types.ipynb", "scratch.ipynb"]


@pytest.mark.timeout(120)
def test_a_run_that_was_killed_goes_on(handed_in: Callable[..., Path], tmp_path: Path) -> None:
    folder = handed_in("alice.py")
    handed_in("bob.py")
    out = tmp_path / "out"
    cohort.grade([folder], out)
    path = out / "verdicts.jsonl"
    whole = path.read_bytes()
    first, second, _ = whole.split(b"\n")
    path.write_bytes(first + b"\n" + second[:50])
    seen = []
    told = cohort.grade([folder], out, each=lambda verdict, total: seen.append(verdict["student"]))
    assert [verdict["student"] for verdict in told] == ["alice", "bob"]
    assert path.read_bytes().startswith(first + b"\n")
    assert len(path.read_bytes().splitlines()) == 2
    assert seen == ["alice", "bob"]


def test_a_changed_file_is_judged_again_and_the_last_line_counts(tmp_path: Path) -> None:
    book = verdicts.Book(tmp_path, "a")
    made = verdicts.record("alice", LESSON, b"one", verdicts.environment("process", "a"), [])
    book.add(made)
    assert book.current("alice", LESSON, b"one") == made
    assert book.current("alice", LESSON, b"two") is None
    book.close()
    again = verdicts.Book(tmp_path, None)
    assert again.current("alice", LESSON, b"one") == made
    again.close()


def test_the_seed_is_kept_secret_and_fixed(tmp_path: Path) -> None:
    book = verdicts.Book(tmp_path, None)
    assert (tmp_path / ".seed").stat().st_mode & 0o777 == 0o600
    assert book.seed not in json.dumps(verdicts.environment("process", book.seed))
    with pytest.raises(verdicts.WrongUse, match="another run"):
        verdicts.Book(tmp_path, None)
    book.close()
    with pytest.raises(verdicts.WrongUse, match="another seed"):
        verdicts.Book(tmp_path, "other")


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
        (plain,) = cohort.grade([folder], tmp_path / "plain", seed="a")
    (boxed,) = cohort.grade([folder], tmp_path / "boxed", seed="a")
    assert plain["environment"]["isolation"] == "process"
    assert without_times(plain) == without_times(boxed)


@pytest.mark.timeout(180)
def test_several_processes_give_the_same_verdicts(handed_in: Callable[..., Path], tmp_path: Path) -> None:
    for name in ("alice", "bob", "carol"):
        folder = handed_in(f"{name}.py", SAMPLES["none"][0])
    one = cohort.grade([folder], tmp_path / "one", seed="a")
    two = cohort.grade([folder], tmp_path / "two", seed="a", workers=2)
    assert [without_times(verdict) for verdict in one] == [without_times(verdict) for verdict in two]
