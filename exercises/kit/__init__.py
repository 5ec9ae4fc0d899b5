"""Support for the lessons: comparison, examples, toy models, tiny trained models, pictures.

Nothing is imported here, so that a lesson pays only for what it uses.
"""

import importlib
import logging
from types import ModuleType

# quanto imports this module of torch, which warns of a CUDA toolkit without a GPU: no news to a student.
logging.getLogger("torch.utils.cpp_extension").setLevel(logging.ERROR)
# matplotlib tells where it keeps its cache when the home cannot be written to.
logging.getLogger("matplotlib").setLevel(logging.ERROR)

_NAMES_IN_LESSONS = {"toy_behaviours": "toys.behaviours", "toy_transformers": "toys.small_transformers"}


def __getattr__(name: str) -> ModuleType:
    if name not in _NAMES_IN_LESSONS:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return importlib.import_module(f"{__name__}.{_NAMES_IN_LESSONS[name]}")
