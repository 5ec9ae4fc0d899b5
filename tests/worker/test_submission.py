"""Which cells of a student's file an exercise is loaded with."""

from __future__ import annotations

import json
import time

import pytest

from graders.collecting import processes
from graders.wire.schema import MAX_CELLS, MAX_CODE
from graders.worker import plans, submission

NAMES = ["integer_range", "downcast", "spacing"]


def chosen(source: str, name: str = "spacing") -> list[str]:
    """The first lines of the cells that an exercise is loaded with."""
    cells = submission.read(source.encode(), notebook=False)
    plan = plans.plan(cells, NAMES)
    return [plan["cells"][index]["source"].strip().splitlines()[-1].strip() for index in plan["plans"][name]["cells"]]


def test_other_exercises_and_demonstrations_stay_out() -> None:
    source = """
import torch
# %%
x = torch.rand(3); print(x)
# %%
torch.dot = None
def downcast(tensor, dtype): x = tensor; return x
# %%
def spacing(value, dtype): x = value; return torch.finfo(dtype).eps
"""
    assert chosen(source) == ["import torch", "def spacing(value, dtype): x = value; return torch.finfo(dtype).eps"]


def test_an_exercise_that_is_used_comes_along_and_is_named() -> None:
    source = """
# %%
def downcast(t, d): return t
# %%
def helper(v): return downcast(v, 1)
# %%
def spacing(v, d): return helper(v)
"""
    plan = plans.plan(submission.read(source.encode(), False), NAMES)
    assert plan["plans"]["spacing"] == {"cells": [0, 1, 2], "rests_on": ["downcast"], "stub": False}


@pytest.mark.parametrize(
    "support",
    [
        "TABLE['a'] = 1",
        "TABLE.update(a=1)",
        "def fill():\n    global TABLE\n    TABLE = {'a': 1}\n# %%\nfill()",
        "for key in 'ab':\n    TABLE[key] = 1",
        "if True:\n    TABLE |= {'a': 1}",
        "try:\n    from missing import TABLE\nexcept ImportError:\n    TABLE = {'a': 1}",
        "globals()['TABLE'] = {'a': 1}",
        "from helpers import *",
        "with open('x') as TABLE: pass",
        "del TABLE['b']",
        "import shelf\n# %%\nshelf.fill(TABLE)",
        "import shelf\n# %%\nshelf.fill(into=[TABLE])",
        "def fill():\n    TABLE['a'] = 1\n# %%\nfill()",
        "def fill():\n    TABLE.update(a=1)\n# %%\nfill()",
    ],
    ids=lambda text: text.split("\n")[0],
)
def test_support_cells_that_may_change_what_is_used_come_along(support: str) -> None:
    source = f"# %%\nTABLE = {{}}\n# %%\n{support}\n# %%\ndef spacing(value, dtype): return TABLE['a']"
    assert len(chosen(source)) == source.count("# %%")


def test_what_only_looks_at_a_value_stays_out() -> None:
    source = "# %%\nTABLE = {}\n# %%\nprint(TABLE); check(TABLE); len(TABLE)\n# %%\ndef spacing(v, d): return TABLE"
    assert len(chosen(source)) == 2


def test_what_is_handed_modules_and_functions_stays_out() -> None:
    source = "# %%\nimport torch\n# %%\ndef helper(): return torch\n# %%\nbenchmark(helper, torch.float32, n=torch)\n"
    assert chosen(source + "# %%\ndef spacing(v, d): return helper()") == [
        "import torch",
        "def helper(): return torch",
        "def spacing(v, d): return helper()",
    ]


def test_a_copy_of_the_untouched_cell_takes_nothing_away() -> None:
    stub = "def spacing(v, d):\n    raise NotImplementedError()"
    assert chosen(f"# %%\ndef spacing(v, d): return 1\n# %%\n{stub}") == ["def spacing(v, d): return 1"]
    assert chosen(f"# %%\n{stub}\n# %%\n{stub}") == ["raise NotImplementedError()"] * 2


def test_a_class_is_a_stub_while_its_init_is() -> None:
    stub = "class spacing:\n    def __init__(self):\n        raise NotImplementedError()\n    def f(self):\n        {}"
    begun = stub.format("raise NotImplementedError()").replace("raise NotImplementedError()", "self.x = 1", 1)
    assert chosen(f"# %%\n{begun}\n# %%\n{stub.format('return 1')}") == ["raise NotImplementedError()"]
    assert chosen(f"# %%\nclass spacing:\n    x = 1\n# %%\n{stub.format('return 1')}") == ["x = 1"]


def test_a_file_without_cell_marks_is_split_at_its_statements() -> None:
    source = "import torch\n\n@decorate\ndef downcast(t, d):\n    return t\n\ntorch.x = 1\ndef spacing(v, d):\n    return 1\n"
    assert chosen(source) == ["return 1"]
    assert chosen("import torch\ndef spacing(v, d):\n    return torch.x\n") == ["import torch", "return torch.x"]


def test_a_file_without_cell_marks_that_does_not_parse_keeps_the_rest() -> None:
    source = "def downcast(t, d:\n    return t\n\n@cache\ndef spacing(v, d):\n    return 1\n"
    plan = plans.plan(submission.read(source.encode(), False), NAMES)
    errors = {tuple(cell["exercises"]): cell["error"] for cell in plan["cells"]}
    assert errors[("spacing",)] is None
    assert "line 1" in errors[("downcast",)]


def test_lines_are_those_of_the_file() -> None:
    cells = submission.read(b"# %%\nimport torch\n# %%\n\ndef spacing(v, d)\n    return 1\n", False)
    assert cells[1].error == "SyntaxError: expected ':' (line 5)"


def test_future_imports_hold_for_the_cells_behind_them() -> None:
    cells = submission.read(
        b"# %%\nfrom __future__ import annotations\n# %%\ndef spacing(v: Missing, d): return 1", False
    )
    assert cells[1].flags == cells[0].flags != 0


def notebook(*sources: object, **more: object) -> bytes:
    cells = [{"cell_type": "code", "source": source} for source in sources]
    return json.dumps({"cells": cells, **more}).encode()


def test_magics_are_ignored_and_their_bodies_kept() -> None:
    source = "%%time\n%matplotlib inline\n!pip install torch\ndef spacing(v, d):\n    return 1\nx = !ls\n"
    cells = submission.read(notebook(source), notebook=True)
    assert cells[0].error is None
    assert "spacing" in cells[0].binds


@pytest.mark.parametrize("magic", ["%%bash", "%%html", "%%timeit -n 1", "%%python", "%%writefile old.py", "\n%%sh -e"])
def test_what_a_cell_magic_runs_elsewhere_is_no_code_of_the_notebook(magic: str) -> None:
    (cell,) = submission.read(notebook(f"{magic}\ndef spacing(v, d):\n    return 0\nbits=3"), notebook=True)
    assert (cell.binds, cell.error) == (set(), None)


def test_what_a_line_magic_times_is_run() -> None:
    (cell,) = submission.read(notebook("%time TABLE = {}\n%prun -q  other = TABLE"), notebook=True)
    assert cell.binds == {"TABLE", "other"}


def test_files_that_a_notebook_writes_and_runs_are_there_for_all() -> None:
    cells = submission.read(notebook("%%writefile own.py\nx = 1", "%run own.py", "def spacing(v, d): return x"), True)
    assert plans.plan(cells, NAMES)["plans"]["spacing"]["cells"] == [0, 1, 2]


def test_a_notebook_may_await_and_a_file_may_not() -> None:
    source = "import asyncio\nx = await asyncio.sleep(0, 3)"
    (cell,) = submission.read(notebook(source), notebook=True)
    assert (cell.error, cell.binds) == (None, {"asyncio", "x"})
    assert (
        submission.read(source.encode(), notebook=False)[-1].error == "SyntaxError: 'await' outside function (line 2)"
    )


def test_demonstrations_rebind_nothing_that_a_student_binds() -> None:
    sources = ["TABLE = {}", "def spacing(v, d): return TABLE, bits", "TABLE = 3", "bits = 3", "TABLE.clear()"]
    cells = json.loads(notebook(*sources))["cells"]
    for cell in cells[2:]:
        cell["metadata"] = {"tags": ["active-ipynb"]}
    read = submission.read(json.dumps({"cells": cells}).encode(), notebook=True)
    assert plans.plan(read, NAMES)["plans"]["spacing"]["cells"] == [0, 1, 3]


@pytest.mark.parametrize("sheets", [None, [], [None, 7, {"cells": 3}], {}, "x"])
def test_worksheets_without_cells_do_not_stand_for_the_cells(sheets: object) -> None:
    assert len(submission.read(notebook("x = 1", worksheets=sheets), notebook=True)) == 1


def test_notebooks_of_other_shapes() -> None:
    lines = submission.read(notebook(["def spacing(v, d):\n", "    return 1"]), notebook=True)
    assert lines[0].binds == {"spacing"}
    old = json.dumps({"worksheets": [{"cells": [{"cell_type": "code", "input": "x = 1"}]}]}).encode()
    assert submission.read(old, notebook=True)[0].binds == {"x"}


@pytest.mark.parametrize(
    ("data", "notebook", "told"),
    [
        (b'{"cells": [', True, "not valid JSON"),
        (b"[" * 100_000, True, "not valid JSON"),
        (b"3", True, "not a notebook"),
        (b"{}", True, "no list of cells"),
        (b"\xff\xfe\x00x", False, "null bytes"),
        (b"\xff\xfex = 1", False, "not UTF-8"),
    ],
)
def test_what_cannot_be_read_is_said_in_one_sentence(data: bytes, notebook: bool, told: str) -> None:
    with pytest.raises(submission.UnreadableFile, match=told):
        submission.read(data, notebook)


def test_byte_order_marks_and_windows_lines() -> None:
    cells = submission.read("\ufeffdef spacing(v, d):\r\n    return 1\r\n".encode(), notebook=False)
    assert (cells[0].binds, cells[0].error) == ({"spacing"}, None)


# Files that are honest and odd


def loaded(source: str, name: str = "spacing") -> dict:
    """The namespace after the cells of an exercise were run, as a worker runs them."""
    plan = plans.plan(submission.read(source.encode(), notebook=False), NAMES)
    space: dict = {}
    for place in plan["plans"][name]["cells"]:
        cell = plan["cells"][place]
        assert cell["error"] is None
        exec(compile(cell["source"], "<cell>", "exec", cell["flags"], dont_inherit=True), space)
    return space


@pytest.mark.parametrize(
    "source",
    [
        "COUNT = 1\ndef spacing():\n    global COUNT\n    COUNT += 1\n    return COUNT\n",
        "# %%\nTOTAL = 1\n# %%\nTOTAL += 1\ndef spacing():\n    return 2\n",
        "import math\n\x0c\ndef downcast():\n    return 1\n\x0c\ndef spacing():\n    return int(math.sqrt(4))\n",
        "A = 1  # \u2028 \x1c \x85\nB = 1\ndef spacing():\n    return A + B\n",
        'def spacing():\n    """Text.\n\n# %% no cell\n    """\n    return 2\n',
        'import math\n# %%\ndef downcast():\n    """\n# %%\n    """\n# %%\ndef spacing():\n    return int(math.sqrt(4))\n',
        "import math\nglobals()['spacing'] = lambda: int(math.sqrt(4))\n",
        "import math\nexec('def spacing(): return int(math.sqrt(4))')\n",
        "def _made():\n    return 2\n\nfor name in ('spacing',):\n    globals()[name] = _made\n",
        "def spacing():\n    return _later()\n\ndef _later():\n    return 2\n",
        "def spacing():\n    return 1\n\ndel spacing\n\ndef spacing():\n    return 2\n",
    ],
)  # fmt: skip
def test_what_python_would_run_is_loaded(source: str) -> None:
    assert loaded(source)["spacing"]() == 2


def test_what_only_a_wild_cell_may_define_does_not_tell_the_lesson() -> None:
    plan = plans.plan(submission.read(b"exec('x = 1')\n# %%\ndef downcast(): pass\n", False), NAMES)
    assert plan["defined"] == ["downcast"]
    assert set(plan["plans"]) == set(NAMES)


def test_a_demonstration_with_a_model_in_eval_mode_stays_out() -> None:
    source = "# %%\nmodel.eval(); time.sleep(9)\n# %%\ndef spacing(v, d): return 1"
    assert chosen(source) == ["def spacing(v, d): return 1"]


def test_a_file_with_thousands_of_statements_is_planned_within_the_time_of_a_call() -> None:
    source = "import torch\ndef spacing(v, d):\n    return torch.x\n" + "".join(f"x{i} = {i}\n" for i in range(5000))
    cells = submission.read(source.encode(), False)
    begun = time.process_time()
    plan = plans.plan(cells, [*NAMES, *(f"x{i}" for i in range(0, 60, 2))])
    assert plan["plans"]["spacing"]["cells"] == [0, 1]
    assert time.process_time() - begun < processes.READ_SECONDS / 2


@pytest.mark.parametrize("part", ["\n", " \n", "=\n", "?\n", "% \n", "%time "])
def test_a_cell_that_does_not_parse_is_read_in_short_time(part: str) -> None:
    """Magics are looked for in it: from each of many empty lines the rest of them was looked through once more."""
    begun = time.process_time()
    submission.read(("x = (\n" + part * 100_000 + "$").encode(), False)
    assert time.process_time() - begun < processes.READ_SECONDS / 2


@pytest.mark.parametrize("encoding", ["undefined", "idna", "rot13", "no_such"])
def test_a_file_in_an_encoding_that_nobody_can_read_says_so(encoding: str) -> None:
    text = f"# -*- coding: {encoding} -*-\nx = 'ü{'a' * 100}'\n"
    with pytest.raises(submission.UnreadableFile, match="not UTF-8 text"):
        submission.read(text.encode(), False)


@pytest.mark.parametrize("text", ["x\n# %%\n" * (MAX_CELLS + 1), "# " + "x" * MAX_CODE], ids=["cells", "characters"])
def test_a_file_has_a_limited_number_of_cells_and_characters(text: str) -> None:
    """A file of a million cells took the judge as much memory again as it has."""
    notebook = {"cells": [{"cell_type": "code", "source": cell} for cell in text.split("# %%\n")]}
    for data, is_notebook in ((text.encode(), False), (json.dumps(notebook).encode(), True)):
        with pytest.raises(submission.UnreadableFile, match="more than"):
            submission.read(data, is_notebook)
