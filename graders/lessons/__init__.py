"""The lessons as the judge gets them: hidden tests, slips, wheats and reference solutions, found by their file names."""

from __future__ import annotations

import ast
import importlib
from collections.abc import Collection
from functools import cache
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING

from graders.judge.names import snake_case

if TYPE_CHECKING:
    from graders.judge.recording import Lesson

_HERE = Path(__file__).parent
_HEAVY = ("transformers", "optimum.quanto", "graders.worker.warmup")
LIGHT = ("l2_data_types", "l6_number_formats")
_LLAMA = ("transformers", "optimum.quanto", "graders.worker.warmup_llama")
_WITH_LLAMA = ("l7_quantization_methods", "l8_capstone")
# Where a lesson's file imports torch alone: the exercises that hidden tests put into models all the same.
_WITH_MODELS = {"l5_quantization_in_depth": {"quantize_with_own_layers"}}


def names() -> list[str]:
    """Return the names of the lessons that have hidden tests, in order."""
    return sorted(path.parent.name for path in _HERE.glob("l[0-9]_*/test_l[0-9]_*.py"))


def hidden_tests(name: str) -> Path:
    """Return the file of a lesson's hidden tests."""
    return _HERE / name / f"test_{name}.py"


def load(name: str, only: Collection[str] = ()) -> Lesson:
    """Import what belongs to a lesson, to judge all of its exercises or a few."""
    from graders.judge.recording import Lesson

    solution = importlib.import_module(f"solutions.{name}")
    loaded = libraries(name, only)
    if loaded:
        _quiet()
    return Lesson(name, hidden_tests(name), solution, _optional(name, "slips"), loaded)


def _quiet() -> None:
    """Let transformers say nothing here: what the judge loads and builds is no news to an instructor."""
    from transformers.utils import logging

    logging.set_verbosity_error()
    logging.disable_progress_bar()


def libraries(name: str, only: Collection[str] = ()) -> tuple[str, ...]:
    """Return what workers have loaded besides torch before they are forked: for a lesson, or for a few of its exercises."""
    if name in LIGHT or (only and name in _WITH_MODELS and _WITH_MODELS[name].isdisjoint(only)):
        return ()
    return _LLAMA if name in _WITH_LLAMA else _HEAVY


@cache
def exercises(name: str) -> list[str]:
    """Return the names of a lesson's exercises without importing its tests: one test class each."""
    tree = ast.parse(hidden_tests(name).read_text())
    classes = [node for node in tree.body if isinstance(node, ast.ClassDef) and node.name.startswith("Test")]
    return [_named(node) or snake_case(node.name) for node in classes]


def all_exercises() -> list[str]:
    """Return the names of the exercises of all lessons, in order."""
    return [exercise for name in names() for exercise in exercises(name)]


def _named(node: ast.ClassDef) -> str | None:
    for line in node.body:
        if isinstance(line, ast.Assign) and isinstance(line.targets[0], ast.Name) and line.targets[0].id == "exercise":
            return str(ast.literal_eval(line.value))
    return None


def wheats(name: str) -> ModuleType | None:
    """Return the module of a lesson's honest variants, if it has one."""
    return _optional(name, "wheats")


def _optional(lesson: str, kind: str) -> ModuleType | None:
    if not (_HERE / lesson / f"{kind}.py").exists():
        return None
    return importlib.import_module(f"graders.lessons.{lesson}.{kind}")
