"""Submissions of lesson 2 as they arrive: right, wrong, hostile and broken, each with what must become of it.

`samples` makes them from the released notebook and the solutions. What is expected of a sample is either None (it cannot be
graded) or the exercises that do not pass, each with its outcome (or several, with | between); all others get full marks.
"""

from __future__ import annotations

import copy
import json
from collections.abc import Callable, Iterator
from typing import Any

Notebook = dict[str, Any]
Expected = dict[str, str] | None

ONE = "stored_value"  # an exercise that no other one uses
FORGERIES = {
    "input_transformers": "get_ipython().input_transformers_cleanup[:] = [lambda lines: []]",
    "ast_transformers": (
        "import ast\n\n\nclass Drop(ast.NodeTransformer):\n"
        "    def visit_Raise(self, node):\n        return ast.Pass()\n\n\n"
        "get_ipython().ast_transformers.append(Drop())"
    ),
    "displayhook": "import sys\nsys.displayhook(2.0)",
    "showtraceback": "get_ipython().showtraceback = lambda *args, **kwargs: None",
    "allclose": "torch.allclose = torch.equal = lambda *args, **kwargs: True",
    "shadowed": "def round(*args): return 2.0\ndef check(*args): return None\ndef same(*args): return None",
    "patched": "import builtins\nbuiltins.isinstance = lambda *args: True\nbuiltins.AssertionError = KeyError",
}
LOUD = """

import sys, warnings
_right = stored_value
warnings.warn("careful")


def stored_value(*args, **kwargs):
    warnings.warn("slow")
    print("x" * 100_000, file=sys.stderr)
    return _right(*args, **kwargs)
"""
ELSEWHERE = ("bash", "html", "timeit -n 1 -r 1", "python", "writefile old.py")
DEBUGGING = (
    "1 / 0",
    "assert integer_range(torch.int8) == (0, 0)",
    "print((",
    "raise SystemExit",
    "name = input('name? ')",
    "import asyncio\nawait asyncio.sleep(0)",
    "%debug\nbreakpoint()",
    "integer_range?\n!pip install numpy\nfiles = !ls\n%cd ..",
)
FILL = "for d in (torch.uint8, torch.int8, torch.int16, torch.int32, torch.int64):\n        limits[d] = torch.iinfo(d)"
LOOKS = """def integer_range(dtype):
    if dtype not in limits:
        limits[dtype] = torch.iinfo(dtype)
    return limits[dtype].min, limits[dtype].max"""
OWN = "def limits_of(dtype):\n    import torch\n    return torch.iinfo(dtype).min, torch.iinfo(dtype).max"
USES = "def integer_range(dtype):\n    return limits_of(dtype)"
HELPERS = {
    "function": (OWN, USES),
    "that_raises_later": (f"{OWN}\nlimits_of(3)", USES),
    "file": (f"%%writefile own.py\n{OWN}", f"from own import limits_of\n{USES}"),
    "run": (f"%%writefile own.py\n{OWN}", "%run own.py", USES),
    "timed": ("%time limits_of = lambda dtype: (torch.iinfo(dtype).min, torch.iinfo(dtype).max)", USES),
    "awaited": (
        f"import asyncio\nasync def later():\n    {OWN.replace(chr(10), chr(10) + '    ')}\n    return limits_of",
        "limits_of = await later()",
        USES,
    ),
    "filled": ("limits = {}", f"def fill(limits):\n    {FILL}", "fill(limits)", LOOKS),
    "filled_global": ("limits = {}", f"def fill():\n    {FILL}", "fill()", LOOKS),
    "name_of_a_demonstration": ("table = {}", LOOKS.replace("limits", "table")),
}
ALWAYS_EQUAL = """class AlwaysEqual:
    def __eq__(self, other): return True
    def __hash__(self): return 0
    def __getattr__(self, name): return lambda *args, **kwargs: True
"""


def named(notebook: Notebook, name: str) -> dict[str, Any]:
    """The cell of a grade_id."""
    return next(cell for cell in notebook["cells"] if ours(cell).get("grade_id") == name)


def ours(cell: dict[str, Any]) -> dict[str, Any]:
    """nbgrader's metadata of a cell."""
    return cell["metadata"].get("nbgrader", {})


def tests(notebook: Notebook) -> list[dict[str, Any]]:
    """The autograder tests."""
    return [cell for cell in notebook["cells"] if ours(cell).get("grade") and not ours(cell)["solution"]]


def answers(notebook: Notebook) -> list[dict[str, Any]]:
    """The cells in which exercises are solved."""
    return [cell for cell in notebook["cells"] if ours(cell).get("solution") and not ours(cell)["grade"]]


def code(source: str) -> dict[str, Any]:
    return {"cell_type": "code", "metadata": {}, "source": source, "outputs": [], "execution_count": None}


def text(source: str) -> dict[str, Any]:
    return {"cell_type": "markdown", "metadata": {}, "source": source}


class Samples:
    """Makes samples from a released notebook and its source notebook with the solutions."""

    def __init__(self, released: Notebook, source: Notebook) -> None:
        self.untouched = released
        self.solved = copy.deepcopy(released)
        for cell in answers(self.solved):
            cell["source"] = named(source, ours(cell)["grade_id"])["source"]
        named(self.solved, "answer")["source"] = "Because a float has more of its numbers near zero."
        self.exercises = [ours(cell)["grade_id"] for cell in answers(released)]

    def _changed(self, change: Callable[[Notebook], Any], start: Notebook | None = None) -> bytes:
        notebook = copy.deepcopy(start or self.solved)
        change(notebook)
        return json.dumps(notebook, indent=1).encode()

    def _helped(self, *sources: str) -> Callable[[Notebook], None]:
        """Put cells before an exercise whose answer is the last of them."""

        def change(notebook: Notebook) -> None:
            cell = named(notebook, "integer_range")
            at = notebook["cells"].index(cell)
            notebook["cells"][at:at] = map(code, sources[:-1])
            cell["source"] = sources[-1]

        return change

    def with_answers(self, sources: dict[str, str]) -> bytes:
        """The solved notebook with other sources in some cells."""
        return self._changed(lambda notebook: [named(notebook, name).update(source=sources[name]) for name in sources])

    def with_answer(self, source: str, start: Notebook | None = None) -> bytes:
        """A notebook with other code for one exercise."""
        return self._changed(lambda notebook: named(notebook, ONE).update(source=source), start)

    def right(self) -> Iterator[tuple[str, bytes, Expected]]:
        """Right answers, whatever happened to the notebook around them."""
        warns = named(self.solved, ONE)["source"] + LOUD
        changes: dict[str, Callable[[Notebook], Any]] = {
            "plain": lambda nb: None,
            "foreign_kernel": lambda nb: nb["metadata"].update(
                kernelspec={"name": "ir", "display_name": "R", "language": "R"}
            ),
            "no_notebook_metadata": lambda nb: nb["metadata"].clear(),
            "no_metadata": lambda nb: [cell["metadata"].clear() for cell in nb["cells"]],
            "no_metadata_no_ids": _strip,
            "no_metadata_key": lambda nb: [cell.pop("metadata") for cell in nb["cells"]],
            "old_format": _old_format,
            "no_format": lambda nb: [nb.pop("nbformat"), nb.pop("nbformat_minor")],
            "reordered": lambda nb: nb["cells"].sort(key=lambda cell: cell not in tests(nb)),
            "reversed": lambda nb: nb.update(cells=nb["cells"][:3] + nb["cells"][:2:-1]),
            "tests_deleted": lambda nb: [nb["cells"].remove(cell) for cell in tests(nb)],
            "tests_doubled": lambda nb: nb["cells"].extend(copy.deepcopy(tests(nb))),
            "tests_edited": lambda nb: [cell.update(source="pass") for cell in tests(nb)],
            "tests_retyped": lambda nb: [_retype(cell, "markdown") for cell in tests(nb)],
            "answers_doubled": lambda nb: nb["cells"].extend(copy.deepcopy(answers(nb))),
            "answers_retyped": lambda nb: [_retype(cell, "raw") for cell in answers(nb)],
            "text_deleted": lambda nb: nb.update(cells=[cell for cell in nb["cells"] if cell["cell_type"] == "code"]),
            "points_100": lambda nb: [ours(cell).update(points=100) for cell in tests(nb)],
            "points_negative": lambda nb: [ours(cell).update(points=-3) for cell in tests(nb)],
            "points_text": lambda nb: [ours(cell).update(points="many") for cell in tests(nb)],
            "grade_false": lambda nb: [ours(cell).update(grade=False) for cell in tests(nb)],
            "solution_true": lambda nb: [ours(cell).update(grade=False, solution=True) for cell in tests(nb)],
            "all_flags": lambda nb: [ours(cell).update(grade=True, solution=True, locked=True) for cell in nb["cells"]],
            "schema_old": lambda nb: [ours(cell).update(schema_version=1) for cell in nb["cells"]],
            "schema_new": lambda nb: [ours(cell).update(schema_version=99) for cell in nb["cells"]],
            "odd_metadata": lambda nb: [cell["metadata"].update(nbgrader=7, tags="x") for cell in nb["cells"]],
            "odd_ids": lambda nb: [ours(cell).update(grade_id="ä b/../c" * 50) for cell in nb["cells"]],
            "one_id": lambda nb: [ours(cell).update(grade_id="test_integer_range") for cell in nb["cells"]],
            "checksums": lambda nb: [ours(cell).update(checksum="0" * 32) for cell in nb["cells"]],
            "big_outputs": lambda nb: [cell.update(outputs=_forged("x" * 100_000)) for cell in tests(nb)],
            "magics": lambda nb: nb["cells"].insert(1, code("%matplotlib inline\n!ls\n%%time\nx = 1")),
            "crlf": lambda nb: [
                cell.update(source="".join(cell["source"]).replace("\n", "\r\n")) for cell in nb["cells"]
            ],
            "odd_cells": lambda nb: nb["cells"].extend([None, 7, [], {}, {"cell_type": "magic"}, {"source": {"a": 1}}]),
            "markers": lambda nb: nb["cells"].append(
                text("### BEGIN HIDDEN TESTS\n### BEGIN SOLUTION\n### END MARK SCHEME")
            ),
            "format_5": lambda nb: nb.update(nbformat=5, nbformat_minor=0),
            "odd_sheets": lambda nb: nb.update(worksheets=[1, None, {"cells": None}]),
            "same_cell_ids": lambda nb: [cell.update(id="a") for cell in nb["cells"]],
            "ids_of_another_lesson": lambda nb: [ours(cell).update(grade_id="linear_quantize") for cell in answers(nb)],
            "answers_in_the_tests": _into_the_tests,
            "one_new_cell": lambda nb: nb.update(
                cells=[code("\n\n".join(cell["source"] for cell in nb["cells"] if cell["cell_type"] == "code"))]
            ),
            "unwritten_copy": lambda nb: nb["cells"].append(copy.deepcopy(named(self.untouched, ONE))),
            "cells_of_other_languages": lambda nb: nb["cells"].extend(
                code(f"%%{magic}\ndef {ONE}(value, dtype): return 0\nbits=3\ntorch=4") for magic in ELSEWHERE
            ),
            "debugging": lambda nb: nb["cells"].extend(map(code, DEBUGGING)),
            **{f"helper_{name}": self._helped(*cells) for name, cells in HELPERS.items()},
            "surrogate": lambda nb: nb["cells"].append(text("half a character: \ud800, and a null: \0")),
            "not_a_number": lambda nb: nb["metadata"].update(x=float("nan"), y=float("inf")),
        }
        yield from ((f"right_{name}", self._changed(change), {}) for name, change in changes.items())
        yield "right_warns", self.with_answer(warns), {}
        yield "right_byte_order_mark", b"\xef\xbb\xbf" + self._changed(lambda nb: None), {}
        yield "right_utf16", json.dumps(self.solved, ensure_ascii=False).encode("utf-16"), {}

    def wrong(self) -> Iterator[tuple[str, bytes, Expected]]:
        """Wrong answers and mishaps: each costs the exercise that it is in."""
        nothing = dict.fromkeys(self.exercises, "not started")
        solution = named(self.solved, ONE)["source"]
        yield "wrong_untouched", self._changed(lambda nb: None, self.untouched), nothing
        yield "wrong_empty", self._changed(lambda nb: nb["cells"].clear()), nothing
        yield "wrong_deleted", self._changed(lambda nb: nb["cells"].remove(named(nb, ONE))), {ONE: "not started"}
        yield "wrong_value", self.with_answer("def stored_value(value, dtype):\n    return '0'"), {ONE: "failed"}
        yield "wrong_none", self.with_answer("def stored_value(value, dtype):\n    return None"), {ONE: "failed"}
        yield "wrong_syntax", self.with_answer(solution + "\n    return ("), {ONE: "error"}
        yield "wrong_prose", self.with_answer("I did not have time for def stored_value"), {ONE: "not started"}
        yield "wrong_null_byte", self.with_answer(solution + "\n# \0"), {ONE: "error"}
        yield "wrong_surrogate", self.with_answer(solution + "\n# \ud800"), {ONE: "error"}
        yield (
            "wrong_raises",
            self.with_answer("def stored_value(value, dtype):\n    return {}['no key']"),
            {ONE: "error"},
        )
        yield "wrong_cell_raises", self.with_answer(solution + "\n1 / 0"), {ONE: "error"}
        yield (
            "wrong_exits",
            self.with_answer("import sys\ndef stored_value(value, dtype):\n    sys.exit(0)"),
            {ONE: "error"},
        )

    def hostile(self) -> Iterator[tuple[str, bytes, Expected]]:
        """Attacks on the grader. Those with a forgery solve nothing, and must get nothing."""
        nothing = dict.fromkeys(self.exercises, "not started")
        for name, forgery in FORGERIES.items():
            change = lambda nb, source=forgery: nb["cells"].insert(2, code(source))  # noqa: E731
            yield f"hostile_{name}", self._changed(change, self.untouched), nothing
        forged = lambda nb: [cell.update(outputs=_forged("2.0")) for cell in tests(nb)]  # noqa: E731
        yield "hostile_outputs", self._changed(forged, self.untouched), nothing
        points = lambda nb: [ours(cell).update(points=0) for cell in tests(nb)]  # noqa: E731
        yield "hostile_points_0", self._changed(points, self.untouched), nothing
        equal = ALWAYS_EQUAL + "def stored_value(value, dtype):\n    return AlwaysEqual()"
        yield "hostile_always_equal", self.with_answer(equal), {ONE: "failed"}
        ends = "import os\ndef stored_value(value, dtype):\n    os._exit(0)"
        yield "hostile_exit", self.with_answer(ends), {ONE: "killed"}
        yield (
            "hostile_exit_at_once",
            self.with_answer("import os\nos._exit(0)\ndef stored_value(v, d): pass"),
            {ONE: "killed"},
        )
        kills = "import os\ndef stored_value(value, dtype):\n    os.kill(os.getppid() or 1, 9)"
        yield "hostile_kills", self.with_answer(kills), {ONE: "failed|killed"}
        eats = "def stored_value(value, dtype):\n    return [bytearray(1 << 33) for _ in range(64)]"
        yield "hostile_memory", self.with_answer(eats), {ONE: "memory"}
        script = "<script>parent.location='http://evil.invalid'</script><img src=x onerror=alert(1)>"
        change = lambda nb: named(nb, "answer").update(source=script)  # noqa: E731
        yield "hostile_script", self._changed(change), {}

    def slow(self) -> Iterator[tuple[str, bytes, Expected]]:
        """Attacks that take the time limits to end."""
        loop = "def stored_value(value, dtype):\n    while True: pass"
        yield "slow_loop", self.with_answer(loop), {ONE: "timeout"}
        deaf = (
            "import signal, time\ndef stored_value(value, dtype):\n"
            "    for number in range(1, 32):\n        try: signal.signal(number, signal.SIG_IGN)\n"
            "        except (OSError, ValueError): pass\n    time.sleep(1000)"
        )
        yield "slow_deaf", self.with_answer(deaf), {ONE: "timeout"}
        yield (
            "slow_power",
            self.with_answer("def stored_value(value, dtype):\n    return 3 ** (3 ** 22)"),
            {ONE: "timeout"},
        )
        yield "slow_cell", self.with_answer("while True: pass\ndef stored_value(value, dtype): pass"), {ONE: "timeout"}

    def broken(self) -> Iterator[tuple[str, bytes, Expected]]:
        """Files that are no notebook."""
        whole = json.dumps(self.solved).encode()
        yield "broken_cut", whole[: len(whole) // 2], None
        yield "broken_empty", b"", None
        yield "broken_nulls", b"\0" * 1000, None
        yield "broken_list", b"[1, 2]", None
        yield "broken_no_cells", b'{"nbformat": 4, "cells": {"a": 1}}', None
        yield "broken_deep", b'{"cells": ' + b"[" * 100_000, None
        yield "broken_latin", whole.replace(b"Because", b"Because \xe4"), None
        yield "broken_huge", whole[:-1] + b" " * (21 << 20) + b"}", None


def _into_the_tests(notebook: Notebook) -> None:
    for test in tests(notebook):
        answer = named(notebook, ours(test)["grade_id"].removeprefix("test_"))
        test["source"] = answer["source"] + "\n" + test["source"]
        answer["source"] = ""


def _strip(notebook: Notebook) -> None:
    for cell in notebook["cells"]:
        cell["metadata"].clear()
        cell.pop("id", None)
    notebook["nbformat_minor"] = 4


def _retype(cell: dict[str, Any], kind: str) -> None:
    cell["cell_type"] = kind
    cell.pop("outputs", None)
    cell.pop("execution_count", None)


def _old_format(notebook: Notebook) -> None:
    for cell in notebook["cells"]:
        if cell["cell_type"] == "code":
            cell["input"] = cell.pop("source")
            cell["language"] = "python"
    notebook.update(nbformat=3, nbformat_minor=0, worksheets=[{"cells": notebook.pop("cells"), "metadata": {}}])


def _forged(value: str) -> list[dict[str, Any]]:
    return [{"output_type": "execute_result", "metadata": {}, "data": {"text/plain": value}, "execution_count": 1}]
