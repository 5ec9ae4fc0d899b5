"""A walk by someone who sees only README and `exercises/`: each command that the guide names, and what it must answer.

What made people stumble is a line of its own here. Core exercises of every lesson turn right in one go; one goes the whole way:
untouched, wrong, hint, right, watched, compared, drawn, packed, graded.
"""

import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from exercises.kit.lessons import lessons
from exercises.kit.studying.answers import answer_in

ROOT = Path(__file__).resolve().parents[2]
FIRST = "integer_range"
WRONG = "    return -torch.iinfo(dtype).max, torch.iinfo(dtype).max"
pytestmark = pytest.mark.timeout(600)


@pytest.fixture(scope="module")
def clone(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What a clone holds, untouched."""
    made = tmp_path_factory.mktemp("clone")
    listed = subprocess.run(["git", "ls-files"], cwd=ROOT, capture_output=True, text=True, check=True).stdout
    for name in listed.splitlines():
        if name.startswith(("exercises/", "solutions/", "graders/")) or "/" not in name:
            (made / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(ROOT / name, made / name)
    return made


@pytest.fixture
def student(clone: Path):
    """Run a command there as a student does: with no plugin but the kit's own."""

    def run(*words: str, given: str = "") -> subprocess.CompletedProcess[str]:
        environment = os.environ | {"PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1", "COLUMNS": "80", "NO_COLOR": "1"}
        if words[0] == "pytest":
            words = ("pytest", "-p", "pytest_timeout", *words[1:])
        command = [sys.executable, "-m", *words]
        return subprocess.run(
            command, cwd=clone, env=environment, input=given, capture_output=True, text=True, timeout=300
        )

    return run


def solution(lesson: str, name: str) -> str:
    source = (ROOT / f"solutions/{lesson}.py").read_text(encoding="utf-8")
    place = answer_in(source, name)
    assert place is not None
    return "\n".join(line for line in source.split("\n")[slice(*place)] if "### " not in line)


def write(clone: Path, lesson: str, name: str, text: str) -> None:
    """Put a definition where the one of that name stands."""
    path = clone / f"exercises/{lesson}.py"
    lines = path.read_text(encoding="utf-8").split("\n")
    place = answer_in("\n".join(lines), name)
    assert place is not None
    path.write_text("\n".join([*lines[: place[0]], *text.split("\n"), *lines[place[1] :]]), encoding="utf-8")


def told_in_readme() -> str:
    return (ROOT / "README.md").read_text(encoding="utf-8") + (ROOT / "exercises/README.md").read_text(encoding="utf-8")


@pytest.mark.parametrize(
    "option", ["--watch", "--hint", "--list", "--reset", "--pack", "--judge", "--compare", "--picture"]
)
def test_the_guide_names_every_option(option: str) -> None:
    assert option in told_in_readme()


def test_one_exercise_goes_the_whole_way(clone: Path, student) -> None:
    lesson = "l2_data_types"
    file = f"exercises/{lesson}.py"
    stub = "    # YOUR CODE HERE\n    raise NotImplementedError()"
    whole = solution(lesson, FIRST)
    untouched = student("pytest", "exercises/")
    assert untouched.stdout.endswith(f"Next: {FIRST}, {file}:37\n"), "the first screen says what to open"
    assert (untouched.returncode, untouched.stderr) == (1, "")

    body = lessons()[lesson].exercises[0].stub.replace(stub, WRONG)
    write(clone, lesson, FIRST, body[body.index("def ") :])
    wrong = student("pytest", file)
    assert "got    (-127, 127)\n" in wrong.stdout, "a message has got and want"
    assert "want   (-128, 127)\n" in wrong.stdout

    assert "hint 1 of 3, a question:" in student("pytest", "exercises/", "--hint", FIRST).stdout
    assert "the reference is shown once" in student("pytest", "exercises/", "--compare", FIRST).stderr

    write(clone, lesson, FIRST, whole)
    right = student("pytest", file, "--judge")
    assert "\n1 right, 17 not started\n" in right.stdout, "right is more than right by its examples"
    assert re.search(rf"{FIRST} +core +right +line 37\n", student("pytest", "exercises/", "--list").stdout)
    compared = student("pytest", "exercises/", "--compare", FIRST).stdout
    assert "the reference:\ndef integer_range" in compared
    assert compared.splitlines()[-1].startswith("No difference: ")

    watched = student("pytest", file, "--watch", given="h\nq\n").stdout
    assert f"{FIRST} is right" in watched
    assert "range_from_bits is not started yet" in watched, "it goes on by itself"


def test_the_core_of_a_lesson_then_its_picture_its_zip_and_its_grade(clone: Path, student) -> None:
    lesson = "l2_data_types"
    for exercise in lessons()[lesson].exercises:
        if exercise.core:
            write(clone, lesson, exercise.name, solution(lesson, exercise.name))
    packed = student("pytest", f"exercises/{lesson}.py", "--pack=ann")
    assert "core 9/9, practice 0/9" in packed.stdout
    assert "l2_data_types, core done: " in packed.stdout.replace("\n", " ")
    assert packed.stdout.endswith("ann.zip holds l2_data_types.py; not started: 9.\n"), "what is open is said"
    assert student("pytest", "exercises/", "-m", "core", "-k", "l2_data_types").returncode == 0

    drawn = student("pytest", "exercises/", "--picture", lesson)
    assert drawn.stdout.startswith("The picture is in exercises/picture_l2_data_types.svg.\n")
    assert "<svg" in (clone / "exercises/picture_l2_data_types.svg").read_text(encoding="utf-8")

    graded = student("graders", "grade", "ann.zip", "--output", "graded")
    assert graded.returncode == 0, graded.stderr
    (line,) = (clone / "graded/verdicts.jsonl").read_text(encoding="utf-8").splitlines()
    verdict = json.loads(line)
    assert (verdict["student"], verdict["lesson"]) == ("ann", lesson)
    outcomes = {each["name"]: each["outcome"] for each in verdict["exercises"]}
    core = {each.name for each in lessons()[lesson].exercises if each.core}
    assert {name for name, outcome in outcomes.items() if outcome == "passed"} == core


def test_the_core_of_every_lesson_turns_right(clone: Path, student) -> None:
    for lesson in lessons().values():
        for exercise in lesson.exercises:
            if exercise.core:
                write(clone, lesson.name, exercise.name, solution(lesson.name, exercise.name))
    done = student("pytest", "exercises/", "-m", "core")
    count = sum(exercise.core for lesson in lessons().values() for exercise in lesson.exercises)
    assert f"All {count} exercises of this run are right by their examples." in done.stdout
    assert done.returncode == 0


def test_a_kit_has_no_hidden_tests_and_says_so(clone: Path, student) -> None:
    write(clone, "l2_data_types", FIRST, solution("l2_data_types", FIRST))
    for name in ("graders", "solutions"):
        (clone / name).rename(clone / f"no_{name}")
    try:
        told = student("pytest", "exercises/l2_data_types.py", "--judge", "-k", FIRST)
        assert "The hidden tests are no part of this kit" in told.stdout
        assert "right by its examples" in told.stdout
        assert "nothing to compare with" in student("pytest", "exercises/", "--compare", FIRST).stderr
    finally:
        for name in ("graders", "solutions"):
            (clone / f"no_{name}").rename(clone / name)
