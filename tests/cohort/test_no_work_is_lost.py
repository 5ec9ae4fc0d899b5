"""Thousands of generated classes: every student has a row for each lesson, made of the student's own files and no others."""

from __future__ import annotations

import random
import re
import shutil
import tempfile
import unicodedata
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.cohort.handed_in import L2, L3, L4, chosen, notebook, solved, write

LESSONS = (L2, L3, L4)
FIRST = ("Ann", "Bob", "José", "Łukasz", "Anna-Lena", "D'Arcy", "李", "ann", "Zoë", "O_Neil")
LAST = ("Lee", "Schmidt", "van der Berg", "Ng", "Ó Briain")
EVIL = (
    "submitted",
    "Ann Lee",
    "Bob",
    "exercises",
    "Ann_1_assignsubmission_file_",
    "work",
    "l2",
    "Submission attachment(s)",
)
MARK = re.compile(rb"owner (\d+) attempt (\d+) lesson (l\d_\w+)")
LAYOUTS = (
    "folders",
    "zips",
    "moodle",
    "moodle, flat",
    "canvas",
    "blackboard",
    "brightspace",
    "sakai",
    "gradescope",
    "nbgrader",
)


def work(dice: random.Random, owner: int, attempt: int, lesson: str) -> tuple[str, str]:
    """A file's name and content, with its owner in it."""
    text = solved(f"owner {owner} attempt {attempt} lesson {lesson}", lesson)
    name = dice.choice([lesson, f"Copy of {lesson}", f"{lesson} (1)", "homework", "Untitled"])
    if name in ("homework", "Untitled"):
        name += lesson[1]
    return (
        (f"{name}.py", text)
        if dice.random() < 0.4
        else (f"{name}.{dice.choice(['ipynb', 'IPYNB'])}", notebook("import torch", text))
    )


def handed_in(dice: random.Random, owner: int, attempt: int, lessons: list[str]) -> dict[str, Any]:
    """What one student packs: files in folders with any names, archives in archives, notes beside them."""
    files: dict[str, Any] = {}
    for lesson in lessons:
        name, content = work(dice, owner, attempt, lesson)
        place = "".join(f"{dice.choice(EVIL)}/" for _ in range(dice.randrange(3)))
        packed: Any = content
        for _ in range(dice.choice([0, 0, 0, 1, 2])):
            end = dice.choice(["zip", "zip", "zip", "tar.gz", "7z"])
            packed, name = {place + name: packed}, f"{dice.choice(EVIL)}{lesson[1]}.{end}"
        files[place + name] = packed
    for junk in dice.sample(
        ["notes.txt", "scan.pdf", "__MACOSX/._x.py", ".ipynb_checkpoints/x.ipynb", "data.csv", "plot.png"],
        dice.randrange(3),
    ):
        files[junk] = "x"
    return files


def laid_out(dice: random.Random, layout: str, people: list[tuple[str, list[dict[str, Any]]]]) -> dict[str, Any]:
    """The whole class as the layout has it; `people`: name and what was handed in, attempt by attempt."""
    made: dict[str, Any] = {"export/submission_metadata.yml": "---\n"} if layout == "gradescope" else {}
    for number, (name, attempts) in enumerate(people, 101):
        for at, files in enumerate(attempts):
            late = dice.choice(["", "LATE_"])
            date = f"2026-0{at + 1}-30-15-00-00"
            if layout == "gradescope":
                made["export/submission_metadata.yml"] += (
                    f"submission_{number}:\n  :submitters:\n  - :name: {name}\n    :sid: '{number}'\n"
                )
            if layout in (
                "canvas",
                "blackboard",
                "moodle, flat",
                "zips",
            ):  # the platform has no folders: folders come as archives
                files = {name: content for name, content in files.items() if "/" not in name} | (
                    {f"more{at}.zip": {name: content for name, content in files.items() if "/" in name}}
                    if any("/" in n for n in files)
                    else {}
                )
            squeezed = re.sub(r"[\W_]", "", name).lower() or "x"
            before = {
                "folders": f"{name} {number}/",
                "nbgrader": f"submitted/{name} {number}/",
                "moodle": f"{name}_{number}_assignsubmission_file_/",
                "moodle, flat": f"{name}_{number}_assignsubmission_file_",
                "canvas": f"{squeezed}_{late}{number}_{9000 + 100 * at + number}_",
                "blackboard": f"HW 1_u{number}_attempt_{date}_",
                "brightspace": f"{number}-7 - {name} - {('Sep', 'Oct', 'Nov')[at]} 24, 2026 926 PM/",
                "sakai": f"HW 1/{name}(u{number})/Submission attachment(s)/",
                "gradescope": f"export/submission_{number}/",
            }
            if layout == "zips":
                made[f"{name} {number}.zip"] = files
                continue
            for path, content in files.items():
                end = re.fullmatch(r"(.*?)(\.tar\.gz|\.\w+)", path)
                again = f"-{at}" if layout == "canvas" and at else ""
                made[before[layout] + (f"{end[1]}{again}{end[2]}" if end else path)] = content
            if not files and before[layout].endswith("/"):
                made[before[layout]] = ""
    return made | ({"HW 1/grades.csv": ""} if layout == "sakai" else {})


def check_a_class(seed: int, layout: str) -> None:
    dice = random.Random(seed)
    several = layout in ("canvas", "blackboard", "brightspace")
    people: list[tuple[str, list[dict[str, Any]]]] = []
    expected: dict[int, dict[str, int]] = {}
    for owner in range(dice.randrange(2, 6)):
        name = unicodedata.normalize(dice.choice(["NFC", "NFD"]), f"{dice.choice(FIRST)} {dice.choice(LAST)}")
        attempts = dice.randrange(1, 4) if several else 1
        lessons = [dice.sample(LESSONS, dice.choice([0, 1, 1, 1, 2, 3])) for _ in range(attempts)]
        expected[owner] = {lesson: at for at, those in enumerate(lessons) for lesson in those}
        files = [handed_in(dice, owner, at, those) for at, those in enumerate(lessons)]
        people.append((name, files if any(files) else [{"essay.pdf": "%PDF"}, *files[1:]]))
    folder = Path(tempfile.mkdtemp())
    try:
        class_of = laid_out(dice, layout, people)
        packed = dice.random() < 0.5 and layout not in ("nbgrader",)
        found = chosen(
            write(folder, {"class.zip": class_of}) / "class.zip" if packed else write(folder / "in", class_of)
        )
    finally:
        shutil.rmtree(folder)
    rows: dict[str, dict[str | None, tuple[set[int], int]]] = {}
    for one in found:
        marks = [MARK.search(file.data) for file in one.files]
        owners = {int(mark[1]) for mark in marks if mark}
        assert (one.lesson, one.problem) not in [(row, None) for row in rows.get(one.student, {})]
        rows.setdefault(one.student, {})[one.lesson] = owners, max((int(mark[2]) for mark in marks if mark), default=-1)
        assert all(mark and mark[3].decode() == one.lesson for mark in marks) or one.problem
    graded = {}
    for student, of_student in rows.items():
        owners = set().union(*(owners for owners, _ in of_student.values()))
        assert len(owners) <= 1, (student, owners)
        for owner in owners:
            assert owner not in graded
            graded[owner] = {lesson: attempt for lesson, (_, attempt) in of_student.items()}
    with_work = {owner: of for owner, of in expected.items() if of}
    assert graded == with_work
    assert len(rows) == len(expected)
    assert all(list(of) == [None] for student, of in rows.items() if not any(owners for owners, _ in of.values()))


@pytest.mark.timeout(600)
@settings(max_examples=200, deadline=None, derandomize=True, suppress_health_check=list(HealthCheck))
@given(st.integers(0, 2**32), st.sampled_from(LAYOUTS))
def test_no_student_loses_or_gains_a_file(seed: int, layout: str) -> None:
    check_a_class(seed, layout)


@pytest.mark.full
@pytest.mark.timeout(1800)
@settings(max_examples=2000, deadline=None, derandomize=True, suppress_health_check=list(HealthCheck))
@given(st.integers(0, 2**32), st.sampled_from(LAYOUTS))
def test_in_two_thousand_classes_no_student_loses_or_gains_a_file(seed: int, layout: str) -> None:
    check_a_class(seed, layout)
