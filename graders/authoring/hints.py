"""What slips answer on the public examples: the only trace of them that students receive.

For every exercise the kit carries wrong values, as fingerprints, each with the sentence of the slip that gives it.
Whoever gets that value sees that sentence; no wrong code and no reference leaves `graders/`.
"""

from __future__ import annotations

import contextlib
import doctest
import importlib
import importlib.util
import io
import math
from collections.abc import Callable, Collection, Iterator
from pathlib import Path
from types import ModuleType
from typing import Any

import torch

from exercises.kit.checking.examples import fingerprint
from exercises.kit.checking.left_behind import Watch
from exercises.kit.lessons import says_in_place
from exercises.kit.quiet import quiet_transformers
from graders import ROOT
from graders.authoring.agreement import check_examples
from graders.authoring.source import Exercise, Lesson, LessonError
from graders.judge.contract import slips_of


def hints(lesson: Lesson, only: Collection[str] | None = None) -> dict[str, list[dict[str, Any]]]:
    """Return the hints of a lesson's exercises, or of some: name -> list of {example, value, hint}, by examples and slips.

    `example` counts all statements that `doctest.DocTestParser` finds in docstring and further examples, set-up included.
    A value that the right answer gives too, or two slips with different sentences, tells nothing and is left out; but of two slips
    of which one is wrong in an earlier example, which is where its hint is shown, the other one is meant. A lesson
    without `graders/lessons/<lesson>/slips.py` has no hints.
    """
    root = lesson.path.parent.parent
    solutions = _module(root, "solutions", lesson.name)
    exercises = [exercise for exercise in lesson.exercises if only is None or exercise.name in only]
    check_examples(lesson, solutions, exercises)
    if not (root / "graders" / "lessons" / lesson.name / "slips.py").is_file():
        return {}
    by_exercise: dict[str, list[Any]] = {exercise.name: [] for exercise in lesson.exercises}
    slips: list[Any] = slips_of(_module(root, f"graders.lessons.{lesson.name}", "slips"))
    for slip in slips:
        if slip.exercise not in by_exercise:
            raise LessonError(f"slips.py has a slip for {slip.exercise}, which {lesson.path.name} lacks")
        by_exercise[slip.exercise].append(slip)
    found = {each.name: _hints_of(each, by_exercise[each.name], vars(solutions)) for each in exercises}
    return {name: rows for name, rows in found.items() if rows}


def _hints_of(exercise: Exercise, slips: list[Any], names: dict[str, Any]) -> list[dict[str, Any]]:
    right = _answers(exercise, names[exercise.name], names)
    sentences: dict[tuple[int, str], set[str]] = {}
    first: dict[tuple[int, str], set[str]] = {}  # of the slips for which it is the first wrong value
    for slip in slips:
        told = map(_told, _answers(exercise, slip, names), right)
        wrong = [(example, value) for example, value in enumerate(told) if value is not None]
        for place in wrong:
            sentences.setdefault(place, set()).add(slip.sentence)
        for place in wrong[:1]:
            first.setdefault(place, set()).add(slip.sentence)
    single = {}
    for place, each in sentences.items():
        meant = each if len(each) == 1 else first.get(place, set())
        if len(meant) == 1:
            single[place] = next(iter(meant))
    return [{"example": place[0], "value": place[1], "hint": hint} for place, hint in sorted(single.items())]


def _told(got: tuple[str, str] | None, want: tuple[str, str] | None) -> str | None:
    """Return what the public check sees that is not right: another value, else what was left behind; None if nothing is."""
    if got is None or want is None or got == want:
        return None
    return got[0] if got[0] != want[0] else got[1]


def _answers(exercise: Exercise, function: Callable, names: dict[str, Any]) -> list[tuple[str, str] | None]:
    """Return for every example the fingerprint of its value or exception, and what it left behind.

    None for what cannot be reached.
    """
    examples = doctest.DocTestParser().get_examples(exercise.examples)
    watch = Watch(function, says_in_place(exercise.docstring))
    space = {**names, "tensor": torch.tensor, "inf": math.inf, "nan": math.nan, exercise.name: watch.watched()}
    found: list[tuple[str, str] | None] = [None] * len(examples)
    for index, example in enumerate(examples):
        code = compile(example.source.strip(), "<example>", "eval" if example.want else "exec")
        try:
            with watch.example(), _undisturbed():
                value = eval(code, space)
            told = fingerprint(value) if example.want else ""
        except Exception as error:
            told = fingerprint(error, watch.raised)
        found[index] = told, watch.mark if watch.left else ""
        if told.startswith("raises ") and not example.want:
            break
    return found


@contextlib.contextmanager
def _undisturbed() -> Iterator[None]:
    """Keep what a statement draws or prints from the next one, as the kit does when it runs the examples."""
    quiet = io.StringIO()
    with (
        quiet_transformers(),
        torch.random.fork_rng(devices=[]),
        contextlib.redirect_stdout(quiet),
        contextlib.redirect_stderr(quiet),
    ):
        torch.manual_seed(0)
        yield


def _module(root: Path, package: str, name: str) -> ModuleType:
    """Import a module of this repository by its name, one of another root (as tests use) by its path."""
    if root.resolve() == ROOT:
        return importlib.import_module(f"{package}.{name}")
    path = root.joinpath(*package.split("."), f"{name}.py")
    spec = importlib.util.spec_from_file_location(name, path)
    if spec is None or spec.loader is None:
        raise LessonError(f"{path.name} cannot be imported")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module
