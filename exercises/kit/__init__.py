"""Support for the lessons: comparison, examples, toy models, tiny trained models, pictures.

Nothing is imported here, so that a lesson pays only for what it uses.
"""

import importlib
from types import ModuleType

_NAMES_IN_LESSONS = {"toy_behaviours": "toys.behaviours", "toy_transformers": "toys.small_transformers"}


def __getattr__(name: str) -> ModuleType:
    if name not in _NAMES_IN_LESSONS:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return importlib.import_module(f"{__name__}.{_NAMES_IN_LESSONS[name]}")
