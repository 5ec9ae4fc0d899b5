"""A notebook's magics in a worker: what runs in the notebook's own namespace is kept, everything else does nothing.

Lines for the shell and most magics are accepted and ignored. `%%time` and its like leave their body, `%time x = f()` its
statement; the body of `%%bash`, `%%html` or `%%timeit` is no code of the notebook. Files that a notebook writes for itself
(`%%writefile own.py`) can be imported and run (`%run own.py`), in the worker's scratch folder. What a notebook asks of Colab
(`drive.mount`, `files.upload`, `userdata.get`) does nothing.
"""

from __future__ import annotations

import importlib.abc
import importlib.machinery
import os
import re
import sys
import types
from collections.abc import Callable
from typing import Any

_OTHER_LANGUAGES = {"html", "javascript", "js", "latex", "markdown", "svg", "perl", "ruby", "cmd"}
_OTHER_PROCESSES = {"!", "bash", "sh", "script", "sx", "system", "python", "python2", "python3", "pypy"}
_FILE = {"writefile", "file"}
_ELSEWHERE = _OTHER_LANGUAGES | _OTHER_PROCESSES | _FILE | {"timeit"}
# blanks, never line ends: from each of many empty lines the rest of them would be looked through
_MAGIC = re.compile(r"^[ \t]*[%!?]|=[ \t]*[%!]|\?[ \t]*$", re.MULTILINE)
_CELL_MAGIC = re.compile(r"\s*%%(!|\w+)[ \t]*(.*)")
_RUN_HERE = re.compile(r"^([ \t]*)%(?:time|prun)\b(?:[ \t]+-\S+)*[ \t]+(?=\S)", re.MULTILINE)
_FILES = re.compile(r"^[ \t]*%(?:%writefile|%file|run)\b", re.MULTILINE)


def has_magics(source: str) -> bool:
    """Whether a cell that is no Python may be so because of its magics."""
    return _MAGIC.search(source) is not None


def has_files(source: str) -> bool:
    """Whether a cell's magics write a file or run one: what that binds stands elsewhere."""
    return _FILES.search(source) is not None


def as_python(source: str) -> str:
    """Return a cell with its magics made into calls of `get_ipython()`, or left out with what they run elsewhere."""
    from IPython.core.inputtransformer2 import TransformerManager

    magic = _CELL_MAGIC.match(source)
    if magic is not None and magic[1].lower() in _ELSEWHERE:
        if magic[1] not in _FILE:
            return ""
        return f"get_ipython().run_cell_magic({magic[1]!r}, {magic[2]!r}, {source[magic.end() + 1 :]!r})\n"
    if magic is not None:
        source = "\n" * source[: magic.end()].count("\n") + source[magic.end() :]
    return TransformerManager().transform_cell(_RUN_HERE.sub(r"\1", source))


class Notebook:
    """Stands for IPython in a worker: every magic is accepted, and only those for a notebook's own files do something."""

    def __init__(self, space: dict[str, Any]) -> None:
        self._space = space

    def __getattr__(self, name: str) -> Callable:
        return lambda *args, **kwargs: None

    def run_cell_magic(self, name: str, line: str, body: str) -> None:
        """Write the file of a `%%writefile` cell."""
        if name in _FILE and line.split():
            folder = os.getcwd()
            if folder not in sys.path:
                sys.path.insert(0, folder)
            with open(line.split()[-1], "a" if "-a" in line.split() else "w", encoding="utf-8") as file:
                file.write(body + "\n")

    def run_line_magic(self, name: str, line: str, *args: Any, **kwargs: Any) -> None:
        """Run the file of a `%run` line in the notebook's namespace."""
        path = next((word for word in line.split() if not word.startswith("-")), "")
        if name == "run" and path:
            path += "" if path.endswith(".py") else ".py"
            with open(path, encoding="utf-8") as file:
                exec(compile(file.read(), path, "exec", dont_inherit=True), self._space)


class _Inert(types.ModuleType):
    """A module of `google.colab`: whatever is taken from it can be called, and does nothing."""

    def __getattr__(self, name: str) -> Callable:
        if name.startswith("__"):
            raise AttributeError(name)
        return _nothing


def _nothing(*args: Any, **kwargs: Any) -> None:
    """Stand for a function of Colab."""


class _Colab(importlib.abc.MetaPathFinder, importlib.abc.Loader):
    """Finds `google.colab` and its modules where there is no Colab; asked last, so that a real one wins."""

    def find_spec(self, name: str, path: Any, target: Any = None) -> importlib.machinery.ModuleSpec | None:
        known = name in ("google", "google.colab") or name.startswith("google.colab.")
        return importlib.machinery.ModuleSpec(name, self, is_package=True) if known else None

    def create_module(self, spec: importlib.machinery.ModuleSpec) -> types.ModuleType:
        return _Inert(spec.name)

    def exec_module(self, module: types.ModuleType) -> None:
        if module.__name__ == "google.colab":
            for name in ("auth", "drive", "files", "output", "userdata"):
                setattr(module, name, _Inert(f"google.colab.{name}"))


def offer_colab() -> None:
    """Let `from google.colab import drive` find something that does nothing."""
    if not any(type(finder).__name__ == _Colab.__name__ for finder in sys.meta_path):
        sys.meta_path.append(_Colab())
