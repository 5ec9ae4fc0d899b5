"""The files that a submission imports, in a worker's scratch folder, from where they can be imported."""

from __future__ import annotations

import importlib
import os
import sys


def place(files: dict[str, str]) -> None:
    """Write a submission's own modules, paths as they are imported, and forget what another exercise imported of them.

    Libraries come first: a file called `math.py` replaces no module.
    """
    folder = os.getcwd()
    for path, text in files.items():
        where = os.path.join(folder, *path.split("/"))
        os.makedirs(os.path.dirname(where), exist_ok=True)
        with open(where, "wb") as file:
            file.write(text.encode("utf-8", "surrogateescape"))
    if folder not in sys.path:
        sys.path.append(folder)
    own = {path.split("/")[0].removesuffix(".py") for path in files}
    for name in [name for name in sys.modules if name.split(".")[0] in own]:
        if str(getattr(sys.modules[name], "__file__", "") or folder).startswith(folder):
            del sys.modules[name]
    importlib.invalidate_caches()
