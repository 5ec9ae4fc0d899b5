"""Which cells of a submission an exercise is loaded with: its own and those it needs, in the order of the file.

So a cell that raises, hangs or damages torch costs only the exercises that stand in it or use it. Runs in a worker, as
`submission` does.
"""

from __future__ import annotations

import builtins
from typing import Any

from graders.wire.schema import SENT
from graders.worker.submission import Cell


class _File:
    """The cells of a file, the exercises that each defines, and the names that are looked up for every exercise.

    `relevant`: the cells that an exercise can need at all; long files have thousands that none does. `values`: names bound
    to values. `students`: what is bound outside of demonstrations. `supported`: what is bound outside of exercises.
    """

    def __init__(self, cells: list[Cell], names: list[str]) -> None:
        self.cells = cells
        self.exercises = [sorted(cell.binds & set(names) - _unwritten_copies(cell, cells)) for cell in cells]
        used, bound, self.values, self.students = set[str](), set[str](), set[str](), set[str]()
        for cell in cells:
            used |= cell.uses
            bound |= cell.binds
            self.values |= cell.assigns
            self.students |= set() if cell.demonstration else cell.binds
        self.relevant = [
            at
            for at, cell in enumerate(cells)
            if not cell.error
            and (
                self.exercises[at]
                or cell.wild
                or (cell.binds | cell.given) & used
                or cell.touches & used
                or cell.touches & bound
            )
        ]
        self.supported = set[str]().union(*(cells[at].binds for at in self.relevant if not self.exercises[at]))
        self.wild = any(cell.wild and not own and not cell.error for cell, own in self.pairs())

    def pairs(self) -> Any:
        """Return each cell with its exercises."""
        return zip(self.cells, self.exercises, strict=True)


def plan(cells: list[Cell], names: list[str]) -> dict[str, Any]:
    """Return the cells as data, the exercises that they define, and for each which cells to load and what others it uses.

    An exercise without a definition is planned too if a cell is wild: that may define anything.
    """
    file = _File(cells, names)
    defined = set[str]().union(*file.exercises)
    plans = {name: _needs(name, file) for name in names if name in defined or file.wild}
    listed = [{key: getattr(cell, key) for key in SENT} | {"exercises": own} for cell, own in file.pairs()]
    return {"cells": listed, "plans": plans, "defined": sorted(defined)}


def _unwritten_copies(cell: Cell, cells: list[Cell]) -> set[str]:
    """Return the names that a cell leaves as they were given out while another one defines them."""
    return {name for name in cell.stubs if any(name in other.binds - other.stubs for other in cells)}


def _needs(name: str, file: _File) -> dict[str, Any]:
    cells, exercises = file.cells, file.exercises
    own_cells = [at for at, own in enumerate(exercises) if name in own]
    chosen = set(own_cells) or {at for at, cell in enumerate(cells) if not exercises[at] and not cell.error}
    builtin = set(dir(builtins)) - file.supported  # an exercise's cell that shadows a builtin does so for itself alone
    needed: set[str] = set()
    helpers: set[str] = set()
    while True:
        before = (len(chosen), len(needed))
        for at in chosen:
            needed |= cells[at].uses
            helpers |= set() if exercises[at] else cells[at].binds - cells[at].imports
        needed -= builtin
        chosen |= {at for at in file.relevant if _wanted(cells[at], exercises[at], needed, helpers, file)}
        if before == (len(chosen), len(needed)):
            break
    used = {other for at in chosen for other in exercises[at] if other in needed and other != name}
    stub = bool(own_cells) and name in cells[own_cells[-1]].stubs
    return {"cells": sorted(chosen), "rests_on": sorted(used), "stub": stub}


def _wanted(cell: Cell, own: list[str], needed: set[str], helpers: set[str], file: _File) -> bool:
    """Whether a cell binds what is needed, or may change what that or a helper is."""
    if own:
        return bool(cell.binds & needed - (set() if set(own) & needed else file.supported))
    changed = (cell.binds | cell.given & file.values) & needed | cell.touches & (needed | helpers)
    return cell.wild or bool(changed - (file.students if cell.demonstration else set()))
