"""When something was handed in, as far as a platform tells."""

from __future__ import annotations

import zipfile
from collections.abc import Mapping
from datetime import datetime
from pathlib import Path

import pytest

from tests.cohort.handed_in import L2, Content, chosen, packed, solved, write

METADATA = (
    "submission_7:\n  :created_at: 2026-03-02 20:36:50.354474000 Z\n  :submitters:\n  - :name: Ann\n    :sid: '0012'\n"
    "submission_8:\n  :created_at: soon\n  :submitters:\n  - :name: Bob\n    :sid: '2'\n"
)
LOCAL = datetime(2026, 3, 2, 15, 4, 5).astimezone()


def told(path: Path) -> dict[str, str | None]:
    return {one.student: one.about.get("handed_in") for one in chosen(path)}


@pytest.mark.parametrize(
    ("files", "expected"),
    [
        ({f"HW 1_{who}_attempt_2026-03-02-15-04-05_x.py": solved(who) for who in ("ann", "bob")}, LOCAL),
        (
            {f"1{at}-7 - {who} - Mar 2, 2026 304 PM/x.py": solved(who) for at, who in enumerate(("ann", "bob"))},
            LOCAL.replace(second=0),
        ),
    ],
    ids=["blackboard", "brightspace"],
)
def test_names_tell_it(files: Mapping[str, Content], expected: datetime, tmp_path: Path) -> None:
    assert set(told(write(tmp_path / "in", files)).values()) == {expected.isoformat(timespec="seconds")}


def test_an_attempt_at_no_time_is_no_crash(tmp_path: Path) -> None:
    files = {f"HW 1_{who}_attempt_2026-13-40-15-04-05_x.py": solved(who) for who in ("ann", "bob")}
    assert told(write(tmp_path / "in", files)) == {"ann": None, "bob": None}


def test_gradescopes_metadata_tell_it(tmp_path: Path) -> None:
    files = {
        "submission_7/x.py": solved("ann"),
        "submission_8/x.py": solved("bob"),
        "submission_metadata.yml": METADATA,
    }
    found = told(write(tmp_path / "in", files))
    assert found["0012"] is not None
    assert datetime.fromisoformat(found["0012"]) == datetime.fromisoformat("2026-03-02T20:36:50+00:00")
    assert found["2"] is None


def test_times_in_an_archive_of_moodle_tell_it_and_times_on_the_disk_do_not(tmp_path: Path) -> None:
    files = {
        f"{who}_{at}_assignsubmission_file_/{L2}.py": solved(who) for at, who in enumerate(("Ann Lee", "Bob Ng"), 10)
    }
    (tmp_path / "class.zip").write_bytes(packed(files))
    assert set(told(tmp_path / "class.zip").values()) == {
        datetime(2026, 1, 1).astimezone().isoformat(timespec="seconds")
    }
    assert set(told(write(tmp_path / "in", files)).values()) == {None}


def test_an_archive_that_keeps_no_times_tells_none(tmp_path: Path) -> None:
    with zipfile.ZipFile(tmp_path / "class.zip", "w") as archive:
        for who in ("Ann Lee_10", "Bob Ng_11"):
            archive.writestr(zipfile.ZipInfo(f"{who}_assignsubmission_file_/{L2}.py"), solved(who))
    assert told(tmp_path / "class.zip") == {"Ann Lee_10": None, "Bob Ng_11": None}
