"""One database engine per gradebook for a whole `nbgrader autograde`, which opens its gradebook seven times for a submission.

Each opening makes an engine, which compiles every statement anew: that is most of what opening costs. A gradebook is still opened
and closed as nbgrader does, with a session and a connection of its own; only the engine, which holds no data, is the one before.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from functools import cache
from unittest.mock import patch

from nbgrader import api


@contextlib.contextmanager
def one_engine() -> Iterator[None]:
    """Let gradebooks with the same address share an engine until this ends."""
    with patch.object(api, "create_engine", cache(api.create_engine)):
        yield
