"""The instructor's manual says what is there: observed checks, columns of the export, files that the configuration names."""

from __future__ import annotations

import ast
import re
from importlib import import_module
from pathlib import Path

import pytest
from traitlets.config import Config

from graders import ROOT
from graders.for_nbgrader.course import course_files
from graders.for_nbgrader.export import COLUMNS
from graders.judge.names import snake_case

MANUAL = (ROOT / "graders" / "README.md").read_text(encoding="utf-8")


def observed(path: Path) -> set[tuple[str, str, str]]:
    """The observed checks in a file of hidden tests: lesson, exercise, check."""
    classes = [node for node in ast.parse(path.read_text(encoding="utf-8")).body if isinstance(node, ast.ClassDef)]
    return {
        (path.stem.removeprefix("test_"), _exercise(each), method.name)
        for each in classes
        for method in each.body
        if isinstance(method, ast.FunctionDef) and "observed" in map(ast.unparse, method.decorator_list)
    }


def _exercise(node: ast.ClassDef) -> str:
    for line in node.body:
        if isinstance(line, ast.Assign) and ast.unparse(line.targets[0]) == "exercise":
            return str(ast.literal_eval(line.value))
    return snake_case(node.name)


def test_every_observed_check_is_in_the_manual():
    table = MANUAL.split("## Observed checks")[1]
    rows = [re.findall(r"[\w.]+", line.replace("`", "")) for line in table.splitlines() if line.startswith("| l")]
    told = {(lesson, exercise, check) for lesson, exercise, *checks in rows if lesson != "lesson" for check in checks}
    there = set().union(*map(observed, (ROOT / "graders" / "lessons").glob("*/test_l[0-9]_*.py")))
    assert told == there


def test_every_column_of_the_export_is_in_the_manual():
    section = MANUAL.split("## Export")[1].split("## What is protected")[0]
    assert [name for name in COLUMNS if f"`{name}`" not in section] == []


def test_the_configuration_names_what_there_is():
    config = course_files()["nbgrader_config.py"].decode()
    names = re.findall(r'"(graders\.[\w.]+)"', config)
    assert len(names) >= 5
    for name in names:
        module, _, attribute = name.rpartition(".")
        assert hasattr(import_module(module), attribute), name


@pytest.mark.parametrize(
    ("path", "student"),
    [
        ("extracted/all/ann_l2_data_types.ipynb", "ann"),
        ("extracted/all/ann_LATE_12_34_l2_data_types-2.ipynb", "ann"),
        ("extracted/ann_12/l2_data_types.ipynb", "ann"),
        ("extracted/all/Ann Lee_12_assignsubmission_file_/l2_data_types.ipynb", "Ann Lee"),
        ("extracted/all/Ann Lee_12_assignsubmission_file_/l2_data_types (1).ipynb", "Ann Lee"),
        ("extracted/all/Ann Lee_12_assignsubmission_file_/final_l2_data_types.ipynb", "Ann Lee"),
        ("extracted/all/Ann Lee_12_assignsubmission_file_/task/my l2_data_types.ipynb", "Ann Lee"),
        ("extracted/all/Ann Lee_12_assignsubmission_file_final_l2_data_types.ipynb", "Ann Lee"),
        ("extracted/all/Ann Lee_12_assignsubmission_file_/homework.ipynb", None),
        ("extracted/l2_data_types.ipynb", None),
    ],
)
def test_files_of_an_lms_belong_to_their_students(path, student):
    found = re.match(_configuration().FileNameCollectorPlugin.named_regexp, f"/course/downloaded/l2_data_types/{path}")
    assert (found and found["student_id"]) == student
    assert found is None or found["file_id"] == "l2_data_types"


def _configuration() -> Config:
    """The course's configuration, as nbgrader reads it."""
    config = Config()
    exec(course_files()["nbgrader_config.py"], {"get_config": lambda: config, "__file__": "/course/nbgrader_config.py"})
    return config
