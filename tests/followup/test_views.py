"""Files for other programs: each keeps to its schema, holds what counts, and nothing that a student must not read."""

from __future__ import annotations

import csv
import json
from pathlib import Path
from typing import Any

import jsonschema
import pytest
import xmlschema

from graders import __main__
from graders.cohort import verdicts
from graders.followup import views
from tests.cohort.handed_in import L2, L4
from tests.followup.books import FIRST, book, line

SCHEMAS = Path(views.__file__).parent / "schemas"


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return book(tmp_path / "out")


def rows(path: Path) -> list[list[str]]:
    with path.open(newline="", encoding="utf-8") as file:
        return list(csv.reader(file))


def test_each_file_keeps_to_its_schema(folder: Path) -> None:
    views.write(folder)
    schema = xmlschema.XMLSchema(str(SCHEMAS / "junit.xsd"))
    files = sorted((folder / "junit").iterdir())
    assert len(files) == 4
    for path in files:
        schema.validate(str(path))
    for kind in ("gradescope", "classroom50"):
        told = json.loads((SCHEMAS / f"{kind}.json").read_text())
        jsonschema.Draft202012Validator.check_schema(told)
        files = sorted((folder / kind).iterdir())
        assert len(files) == 4
        for path in files:
            jsonschema.validate(json.loads(path.read_text()), told)


@pytest.mark.parametrize(
    ("field", "value"), [("score", 1.5), ("submission", "x"), ("datetime", "yesterday"), ("more", 1)]
)
def test_the_schema_of_classroom50_refuses_what_the_platform_refuses(folder: Path, field: str, value: Any) -> None:
    views.write(folder)
    told = json.loads((folder / "classroom50/ann.json").read_text())
    with pytest.raises(jsonschema.ValidationError):
        jsonschema.validate(told | {field: value}, json.loads((SCHEMAS / "classroom50.json").read_text()))


def test_the_schema_of_junit_refuses_a_suite_without_its_counts(folder: Path) -> None:
    views.write(folder)
    text = (folder / "junit/ann.xml").read_text()
    assert not xmlschema.XMLSchema(str(SCHEMAS / "junit.xsd")).is_valid(text.replace(' failures="0"', ""))


def test_what_counts_is_in_each(folder: Path) -> None:
    views.write(folder)
    told = json.loads((folder / "gradescope/bob.json").read_text())
    assert (told["score"], told["tests"][0]["score"]) == (0.8, 1)
    assert "20 % off, 2 days late" in told["output"]
    assert "half" in told["tests"][0]["output"]
    told = json.loads((folder / "classroom50/bob.json").read_text())
    assert (told["score"], told["max-score"], told["datetime"]) == (80, 1200, "2026-03-02T11:00:00Z")
    assert json.loads((folder / "classroom50/ann.json").read_text())["score"] == 533
    text = (folder / "junit/bob.xml").read_text()
    assert 'tests="6" failures="2" errors="4"' in text
    assert "20 % off" in text


def test_a_score_for_what_could_not_be_judged_is_in_each(folder: Path) -> None:
    held = verdicts.opened(folder)
    held.add(line("hal", L2, overrides={FIRST: {"score": 1.5, "reason": "oral"}}, final_score=1.5))
    held.close()
    views.write(folder)
    told = json.loads((folder / "classroom50/hal.json").read_text())
    assert (told["score"], told["max-score"], [test["test-name"] for test in told["tests"]]) == (
        150,
        150,
        [f"{L2}: {FIRST}"],
    )
    assert json.loads((folder / "gradescope/hal.json").read_text())["score"] == 1.5
    assert 'name="final_score" value="1.5"' in (folder / "junit/hal.xml").read_text()
    for table in ("canvas.csv", "moodle.csv"):
        assert [row[-2:] for row in rows(folder / table) if "hal" in row] == [["1.5", ""]]


def test_no_hidden_value_and_no_name_of_a_check_is_in_them(folder: Path) -> None:
    views.write(folder)
    for kind in ("junit", "gradescope", "classroom50"):
        for path in (folder / kind).iterdir():
            assert "4242" not in (text := path.read_text())
            assert "test_main" not in text


def test_tables_for_gradebooks_have_the_class_lists_ids(folder: Path, tmp_path: Path) -> None:
    rows_of_the_class = (
        "id,name,email,login,canvas id,section",
        "ann,Lee Ann,ann@x.org,al,7,A",
        "eve,Eve,e@x.org,e,8,B",
        "bob,Bob Stone,b@x.org,bs,9,A",
    )
    (tmp_path / "roster.csv").write_text("\n".join(rows_of_the_class))
    views.write(folder, tmp_path / "roster.csv")
    canvas, moodle = rows(folder / "canvas.csv"), rows(folder / "moodle.csv")
    assert canvas[0] == ["Student", "ID", "SIS User ID", "SIS Login ID", "Section", L2, L4]
    assert canvas[1] == ["Points Possible", "", "", "", "", "2", "2"]
    assert canvas[2:5] == [
        ["Lee Ann", "7", "ann", "al", "A", "4.0", "1.3333"],
        ["Eve", "8", "eve", "e", "B", "", ""],
        ["Bob Stone", "9", "bob", "bs", "A", "0.8", ""],
    ]
    assert moodle[1] == ["al", "ann", "ann@x.org", "Lee Ann", "4.0", "1.3333"]
    assert [row[2] for row in canvas[5:]] == ["'=cy", "d/../ö \ufffd<&"]


def test_files_of_who_is_gone_go_too(folder: Path) -> None:
    views.write(folder)
    (folder / "junit/zoe.xml").write_text("")
    views.write(folder)
    assert not (folder / "junit/zoe.xml").exists()


def test_a_folder_without_verdicts_is_said(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for command in (["views"], ["forget", "ann"], ["explain", "ann", FIRST]):
        assert __main__.main([command[0], str(tmp_path), *command[1:]]) == 2
        assert "holds no verdicts.jsonl" in (told := capsys.readouterr().err)
        assert told.count("\n") == 1
    assert list(tmp_path.iterdir()) == []
