"""What failed first: a name that a student's code misses may be missing because a cell before it was lost."""

from __future__ import annotations

import re
from typing import Any

from graders.collecting.endings import one_line

_MISSING = re.compile(r"NameError: name '(\w+)' is not defined")


def first_cause(message: str, cells: list[dict[str, Any]], errors: dict[str, Any]) -> str:
    """Return a line that names the failed import or cell behind a NameError in a message, "" if there is none.

    cells: those of the submission (`schema.CELL`). errors: what loading said of them, by number (`loading.run_cell`).
    """
    missing = _MISSING.search(message)
    if missing is None:
        return ""
    uses = re.compile(rf"\b{missing[1]}\b")
    for cell in cells:
        told = errors.get(str(cell["number"]), {}).get("first")
        if not uses.search(cell["source"]) or not (cell["error"] or told):
            continue
        said = cell["error"] or f"{told['kind']}: {told['text']} (line {told['line']})"
        where = "" if cell["line"] > 1 else f" in code cell {cell['number']}"
        if said not in message:
            return one_line(f"first, {missing[1]} was lost{where}: {said}", 400)
    return ""
