"""Run a student's cell: as a whole, or statement by statement where what fails must not cost the rest.

An import that fails (a library that is not here) and a set-up statement that fails (a drive that cannot be mounted, a window
system for plots) cost what uses them, not the imports behind them. What failed first is kept, with its line.
"""

from __future__ import annotations

import ast
import asyncio
import builtins
import linecache
from collections.abc import Iterator
from types import CodeType
from typing import Any

_COUNTED_IN_THE_FILE: set[str] = set()  # cells of a .py file; lines of a notebook are counted in each cell


def run_cell(cell: dict[str, Any], space: dict[str, Any]) -> dict | None:
    """Run one cell; return the description of the exception that stopped it, or of one behind which it went on; or None.

    `went_on` says which; `first` describes the first exception.
    """
    name = f"<cell {cell['number']}>"
    source = "\n" * (cell["line"] - 1) + cell["source"]
    if cell["line"] > 1:
        _COUNTED_IN_THE_FILE.add(name)
    linecache.cache[name] = (len(source), None, [line + "\n" for line in source.split("\n")], name)
    first = None
    try:
        for code, goes_on in _parts(source, name, cell):
            try:
                waiting = eval(code, space)
                if waiting is not None:  # the cell awaits something itself, as a notebook's may
                    asyncio.run(waiting)
            except BaseException as error:
                first = first or describe(error)
                if not goes_on or not isinstance(error, Exception):
                    return describe(error) | {"went_on": False, "first": first}
    except BaseException as error:
        return describe(error) | {"went_on": False, "first": first or describe(error)}
    return first and first | {"went_on": True, "first": first}


def _parts(source: str, name: str, cell: dict[str, Any]) -> Iterator[tuple[CodeType, bool]]:
    """Yield what to run, and whether the cell goes on where it fails: see `submission.steps`."""
    if not cell.get("steps"):
        yield compile(source, name, "exec", cell["flags"], dont_inherit=True), False
        return
    for statement in ast.parse(source).body:
        goes_on = cell["steps"] == "all" or isinstance(statement, ast.Import | ast.ImportFrom)
        yield compile(ast.Module([statement], []), name, "exec", cell["flags"], dont_inherit=True), goes_on


def describe(error: BaseException) -> dict[str, Any]:
    """Return an exception as data: type, builtin types above it, text, and the last frame of the student's code."""
    line, function, source, inside, in_file = None, "", "", False, False
    trace = error.__traceback__
    while trace is not None:
        code = trace.tb_frame.f_code
        inside = code.co_filename.startswith("<cell ")
        if inside:
            line, function = trace.tb_lineno, code.co_qualname
            in_file = code.co_filename in _COUNTED_IN_THE_FILE
            source = linecache.getline(code.co_filename, line).strip()
        trace = trace.tb_next
    try:
        text = str.__str__(str(error))[:120]
    except BaseException:
        text = ""
    bases = [base.__name__ for base in type(error).__mro__ if getattr(builtins, base.__name__, None) is base]
    return {
        "kind": type(error).__name__[:80],
        "bases": bases,
        "text": text.split("\n")[0],
        "line": line,
        "in_file": in_file,
        "function": function,
        "source": source[:200] if inside else "",
    }
