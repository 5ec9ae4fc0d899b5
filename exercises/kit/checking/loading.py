"""A lesson's file, read and executed for a check. Imports nothing heavy by itself."""

import ast
import contextlib
import sys
from pathlib import Path
from types import ModuleType
from typing import Any

from exercises.kit.checking.alarm import Stopped, time_limit
from exercises.kit.lessons import Exercise, KitError

_LIBRARIES = {"matplotlib", "numpy", "optimum", "safetensors", "torch", "transformers"}


def import_libraries(path: Path) -> None:
    """Import what a lesson takes from torch, the kit and the like, so that their seconds are not the student's."""
    with contextlib.suppress(SyntaxError, ValueError, OSError):  # said when it is loaded
        for statement in ast.parse(path.read_bytes()).body:
            if _imports_a_library(statement):
                with contextlib.suppress(Exception):
                    exec(compile(ast.Module([statement], []), str(path), "exec"), {})


def _imports_a_library(statement: ast.stmt) -> bool:
    if isinstance(statement, ast.ImportFrom):
        names = [statement.module or ""]
    else:
        names = [alias.name for alias in statement.names] if isinstance(statement, ast.Import) else []
    return any(name.partition(".")[0] in _LIBRARIES or name.startswith("exercises.kit") for name in names)


def new_module(path: Path) -> ModuleType:
    """Return the empty module that a lesson's file is executed in, entered under its name."""
    module = ModuleType(f"exercises.{path.stem}")
    module.__file__ = str(path)
    sys.modules[module.__name__] = module
    return module


def execute(path: Path, module: ModuleType, stopped: type[BaseException]) -> tuple[str, str] | None:
    """Execute a lesson's file in its module; return what stopped it, as one sentence and as file:line, None if nothing did.

    stopped: the exception by which a time limit interrupts it.
    """
    try:
        exec(compile(path.read_bytes(), str(path), "exec"), vars(module))
    except (Exception, SystemExit, stopped) as error:
        del sys.modules[module.__name__]
        return _explain(error, path, vars(module), stopped)
    return None


def _explain(
    error: BaseException, path: Path, namespace: dict[str, Any], stopped: type[BaseException]
) -> tuple[str, str]:
    from exercises.kit.checking.examples import describe_error, place_of, short_path

    if isinstance(error, SyntaxError) and error.filename == str(path):
        place = f"{short_path(error.filename)}:{error.lineno or 1}"
        line = (error.text or "").strip()
        return f"{type(error).__name__}: {error.msg} ({place})" + (f"\n    {line[:100]}" if line else ""), place
    place = place_of(error.__traceback__, namespace) or f"{short_path(str(path))}:1"
    return describe_error(error, isinstance(error, stopped), place), place


def loaded(path: Path, name: str, seconds: float) -> dict[str, Any]:
    """Return the namespace of a lesson's file; KitError, which calls it `name`, where it cannot be loaded in that time."""
    import_libraries(path)
    module = new_module(path)
    with time_limit(seconds, vars(module)):
        trouble = execute(path, module, Stopped)
    if trouble is not None:
        raise KitError(f"{name} could not be loaded: {trouble[0]}")
    return vars(module)


def result_of(exercise: Exercise, space: dict[str, Any], seconds: float) -> Any:
    """Return what the examples say of an exercise in the namespace of its file (see `examples.run`)."""
    from exercises.kit.checking.examples import run

    with time_limit(seconds, space):
        return run(exercise, space, stopped=Stopped)
