"""One connection to the gradebook for a whole `nbgrader autograde`, instead of seven for each submission.

nbgrader opens its gradebook anew for every step, and looks each time whether all tables are there. Here one that was opened stays
until the run is over; closing it ends its transaction alone, so that others can see and change what is in it as before.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from types import ModuleType

from nbgrader.api import Gradebook
from nbgrader.converters import autograde
from nbgrader.preprocessors import latesubmissions


class _Kept(Gradebook):
    def close(self) -> None:
        """End the transaction, and keep the connection."""
        self.db.remove()


@contextlib.contextmanager
def kept(*modules: ModuleType) -> Iterator[None]:
    """Let nbgrader's autograde, and the modules named, open each gradebook once until this ends."""
    opened: dict[tuple[str, ...], _Kept] = {}

    def once(*given: str) -> _Kept:
        if given not in opened:
            opened[given] = _Kept(*given)
        return opened[given]

    before = {module: module.Gradebook for module in (autograde, latesubmissions, *modules)}
    try:
        for module in before:
            module.Gradebook = once  # type: ignore[attr-defined]
        yield
    finally:
        for module, original in before.items():
            module.Gradebook = original  # type: ignore[attr-defined]
        for gradebook in opened.values():
            gradebook.close()
            gradebook.engine.dispose()
