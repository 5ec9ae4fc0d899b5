"""A cell that fails for all costs what it must: the imports behind what fails are there, and messages name what failed first."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator
from typing import Any

import pytest

from graders import ROOT
from graders.cohort.judging import Bench
from graders.cohort.submissions import Submission
from graders.collecting.first_cause import first_cause
from graders.wire import schema
from graders.worker import loading, submission
from graders.worker.worker import new_namespace

LESSON = "l2_data_types"
HONEST = (ROOT / "solutions" / f"{LESSON}.py").read_text()
IMPORTS = "import math\nimport torch\nfrom torch import Tensor\n"


@pytest.fixture(scope="module")
def bench() -> Iterator[Bench]:
    made = Bench("first cause")
    yield made
    made.close()


def notebook(*cells: str) -> bytes:
    listed = [{"cell_type": "code", "source": source, "metadata": {}, "outputs": []} for source in cells]
    return json.dumps({"cells": listed, "metadata": {}, "nbformat": 4, "nbformat_minor": 5}).encode()


def graded(bench: Bench, data: bytes, name: str = "s.ipynb") -> dict[str, dict[str, Any]]:
    verdict = bench.grade(Submission("s", LESSON, name, data))
    return {each["name"]: each for each in verdict["exercises"]}


INTEGER_RANGE = (
    "def integer_range(dtype: torch.dtype) -> tuple[int, int]:\n"
    "    if dtype.is_floating_point or dtype.is_complex or dtype is torch.bool:\n"
    "        raise TypeError(dtype)\n"
    "    return torch.iinfo(dtype).min, torch.iinfo(dtype).max\n"
)


@pytest.mark.parametrize(
    "trouble",
    [
        "import seaborn as sns\n",
        "from google.colab import drive\ndrive.mount('/content/drive')\n",
        "import matplotlib\nmatplotlib.use('TkAgg')\n",
        "from google.colab import files, userdata\nfiles.upload()\nKEY = userdata.get('KEY')\n!pip install seaborn\n",
        "import os\nos.chdir('/content/drive/MyDrive')\n",
        "type Numbers = list[float]\n",
    ],
    ids=["seaborn", "drive", "TkAgg", "files", "chdir", "newer syntax"],
)
def test_what_fails_in_the_import_cell_costs_nothing(bench: Bench, trouble: str) -> None:
    found = graded(bench, notebook(trouble + IMPORTS, INTEGER_RANGE))["integer_range"]
    assert (found["outcome"], found["message"]) == ("passed", "")


def test_a_file_with_cells_goes_on_too(bench: Bench) -> None:
    cut = HONEST.index("import torch\n")
    text = HONEST[:cut] + "import seaborn\n" + HONEST[cut:]
    assert {each["outcome"] for each in graded(bench, text.encode(), "s.py").values()} == {"passed"}


def test_what_uses_the_failed_import_names_it(bench: Bench) -> None:
    body = INTEGER_RANGE.replace("    return", "    sns.set_theme()\n    return")
    found = graded(bench, notebook("import seaborn as sns\n" + IMPORTS, body))["integer_range"]
    assert found["outcome"] == "error"
    lines = found["message"].splitlines()
    assert lines[0] == "first, sns was lost in code cell 1: ModuleNotFoundError: No module named 'seaborn' (line 1)"
    assert "  got    NameError: name 'sns' is not defined (line 4 of its cell)" in lines


def test_a_cell_that_cannot_be_read_is_named_by_what_misses_it(bench: Bench) -> None:
    found = graded(
        bench, notebook(IMPORTS, "HALF = 0.5 +\n", INTEGER_RANGE.replace("    return", "    HALF\n    return"))
    )
    assert found["integer_range"]["message"].startswith(
        "first, HALF was lost in code cell 2: SyntaxError: invalid syntax (line 1)\n"
    )


def test_a_cell_that_defines_something_stops_where_it_fails() -> None:
    space = new_namespace()
    (cell,) = submission.read(notebook("import seaborn\nA = 1\n1 / 0\nB = 2\ndef helper(): pass\n"), notebook=True)
    assert cell.steps == "imports"
    told = loading.run_cell({key: getattr(cell, key) for key in schema.SENT}, space)
    assert told is not None
    assert (told["kind"], told["went_on"], told["first"]["kind"]) == ("ZeroDivisionError", False, "ModuleNotFoundError")
    assert "A" in space
    assert "B" not in space


def test_an_interrupt_in_the_import_cell_is_no_reason_to_go_on() -> None:
    space = new_namespace()
    cell = {"source": "import math\nraise SystemExit\nA = 1\n", "line": 1, "number": 77, "flags": 0, "steps": "all"}
    told = loading.run_cell(cell, space)
    assert told is not None
    assert not told["went_on"]
    assert "A" not in space


NEWER = [
    ("type Numbers = list[float]", "3.12"),
    ("def first[T](items: list[T]) -> T: ...", "3.12"),
    ("""text = f"{names["a"]}" """, "3.12"),
    ("text = t'{name}'", "3.14"),
]


@pytest.mark.parametrize(
    ("line", "version"), [pair for pair in NEWER if int(pair[1].split(".")[1]) > sys.version_info.minor]
)
def test_newer_syntax_is_called_so(line: str, version: str) -> None:
    (cell,) = submission.read(notebook("x = 1\n" + line + "\n"), notebook=True)
    assert cell.error is not None
    assert f"(line 2); this may be syntax of Python {version}, and it is read by Python " in cell.error


@pytest.mark.parametrize("line", ["x = (1", "def f(:", "retrun 1", "for x in y"])
def test_other_mistakes_are_not(line: str) -> None:
    (cell,) = submission.read(notebook(line + "\n"), notebook=True)
    assert cell.error is not None
    assert "Python" not in cell.error


def test_a_cause_is_named_only_where_the_name_stands() -> None:
    cells = [{"number": 1, "source": "import seaborn as sns", "line": 1, "error": None}]
    told = {"kind": "ModuleNotFoundError", "text": "No module named 'seaborn'", "line": 1}
    errors = {"1": told | {"went_on": True, "first": told}}
    assert first_cause("  got    NameError: name 'sns' is not defined", cells, errors).startswith("first, sns was lost")
    assert first_cause("  got    NameError: name 'x' is not defined", cells, errors) == ""
    assert first_cause("  got    1\n  want   2", cells, errors) == ""
