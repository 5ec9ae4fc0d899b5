"""What the names in a platform's download tell: whose a file is, and what it is called there."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import pytest

from tests.cohort.handed_in import L2, L3, chosen, gathered, notebook, rows, solved, write

DATE = "Sep 24, 2026 926 PM"


@pytest.mark.parametrize(
    "files",
    [
        {f"{who} - {DATE}/{L2}.py": solved(who) for who in ("101-7 - Jane Doe", "102-7 - Rick Roe")},
        {f"{who} - {DATE}/{L2}.py": solved(who) for who in ("7-101 - Jane Doe", "7-102 - Rick Roe")},
        {f"101-{at} - Jane Doe - {DATE}/{L2}.py": solved(str(at)) for at in (7, 8)},
    ],
    ids=["the second number is all's", "the first number is all's", "one person, twice"],
)
def test_of_brightspaces_numbers_the_first_is_the_users_unless_it_is_the_same_for_all(
    files: dict[str, Any], tmp_path: Path
) -> None:
    expected = {"Jane Doe_101", "Rick Roe_102"} if any("Rick" in name for name in files) else {"Jane Doe_101"}
    assert {student for student, _ in rows(write(tmp_path, files))} == expected


@pytest.mark.parametrize(
    "top",
    [
        "Jane Doe_48005_assignsubmission_file_",
        f"101-7 - Jane Doe - {DATE}",
        "submission_11",
        "Doe, Jane(jdoe)/Submission attachment(s)",
    ],
    ids=["moodle", "brightspace", "gradescope", "sakai"],
)
def test_files_are_called_as_they_are_in_the_folder_of_their_person(top: str, tmp_path: Path) -> None:
    files = {f"in/{top}/mine/{L2}.py": solved("a")} | ({"in/grades.csv": ""} if "jdoe" in top else {})
    (found,) = chosen(write(tmp_path, files) / "in")
    assert [file.path for file in found.files] == [f"mine/{L2}.py"]


def test_in_a_download_of_sakai_an_empty_folder_is_its_persons_and_a_file_beside_the_folders_is_nobodys(
    tmp_path: Path,
) -> None:
    inside = f"Doe, Jane(jdoe)/Submission attachment(s)/{L2}.py"
    folder = write(tmp_path / "in", {inside: solved("j"), "Moe, May(mmoe)/": "", "grades.csv": "", "a list(all)": ""})
    assert rows(folder) == [("jdoe", "l2"), ("mmoe", None)]


def test_in_a_download_of_sakai_what_lies_beside_the_folder_of_attachments_counts(tmp_path: Path) -> None:
    places = [f"Doe, Jane(jdoe)/Submission attachment(s)/{L2}.py", f"Moe, May(mmoe)/{L2}.py"]
    found = chosen(write(tmp_path / "in", {place: solved(place) for place in places}))
    assert [(one.student, [file.path for file in one.files]) for one in found] == [
        ("jdoe", [f"{L2}.py"]),
        ("mmoe", [f"{L2}.py"]),
    ]


@pytest.mark.parametrize("place", ["{lesson}/{who}/hw.ipynb", "{who}/{lesson}/hw.ipynb"])
def test_a_notebook_in_which_nothing_is_defined_is_of_the_lesson_of_its_folder(place: str, tmp_path: Path) -> None:
    places = {who: place.format(lesson=L3, who=who) for who in ("ann", "bob")}
    files = {place: notebook(f"x = {who!r}") for who, place in places.items()}
    files |= {place.replace("hw.ipynb", "notes.py"): "x = 1" for place in places.values()}
    assert rows(write(tmp_path, files)) == [("ann", "l3"), ("bob", "l3")]


@pytest.mark.parametrize("newer", ["first", "second"])
def test_of_two_downloads_of_moodle_the_times_of_the_files_say_which_is_newer(newer: str, tmp_path: Path) -> None:
    for name in ("first", "second"):
        time = 2e9 if name == newer else 1e9
        place = write(tmp_path / name, {f"Jane Doe_1_assignsubmission_file_/{L2}.py": solved(name)})
        os.utime(next(place.rglob("*.py")), (time, time))
    (found,) = chosen(tmp_path / "first", tmp_path / "second")
    assert [file.data for file in found.files] == [solved(newer).encode()]


def test_a_folder_beside_downloads_is_a_persons_too(tmp_path: Path) -> None:
    downloads = {f"{at}.zip": {f"doejane_102_9{at}_{L2}.py": solved(at)} for at in "12"}
    found = rows(write(tmp_path / "in", downloads | {f"ann/{L2}.py": solved("a")}))
    assert ("ann", "l2") in found


def test_an_empty_line_in_a_roster_ends_nothing(tmp_path: Path) -> None:
    write(tmp_path, {"roster.csv": "id,name\na,Ann Lee\n,\n\nb,Bob Ray\n"})
    cohort = gathered(write(tmp_path / "in", {"b.py": solved("b")}), roster=tmp_path / "roster.csv")
    assert (cohort.missing, cohort.look) == (["a (Ann Lee)"], [])
