"""What the hidden tests of a lesson are tried on: mutants, honest variants, recognised mistakes, answers without a solution."""

from __future__ import annotations

import builtins
import copy
import gc
import importlib
import importlib.util
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from types import ModuleType
from typing import Any

import torch

from graders import lessons
from graders.collecting.endings import PASSED
from graders.judge import checks
from graders.judge.contract import slips_of, wheats_of
from graders.judge.judge import Judge
from graders.judge.recording import Lesson, in_process
from graders.trust import children
from graders.trust.margins import margins, tolerances
from graders.trust.mutants import Mutant, mutants
from graders.wire import codec

SEED = "trust"
OTHER_SEED = "trust, with other hidden inputs"
MUTANT_SECONDS = 30.0
MOST_CONSTANTS = 40
Ask = Callable[[bytes], bytes]
Rows = list[dict[str, Any]]


@dataclass
class Material:
    """A lesson with what it is tried on: honest variants, and proofs for the mutants that are right."""

    lesson: Lesson
    wheats: ModuleType | None = None
    equivalents: dict[tuple[str, str], str] = field(default_factory=dict)

    @property
    def source(self) -> str:
        return Path(str(self.lesson.solution.__file__)).read_text(encoding="utf-8")


def material(name: str) -> Material:
    """Return the material of a lesson of this repository."""
    proofs = f"graders.lessons.{name}.equivalents"
    known = importlib.util.find_spec(proofs) is not None
    equivalents = importlib.import_module(proofs).EQUIVALENT if known else {}
    return Material(lessons.load(name), lessons.wheats(name), equivalents)


def judge_in_process(lesson: Lesson, seed: str = SEED) -> Judge:
    """Return a judge that has no workers: it judges trusted code only."""
    return Judge(lesson, seed, None)


# Mutants


def try_mutants(judge: Judge, source: str, each: Callable[[str], None]) -> dict[str, Rows]:
    """Return for each exercise its mutants: `text`, `refused_by` (a check, or None) and `margins`; `each` hears the names.

    Every mutant runs in a child of its own; one that ends its process, or takes too long, is refused.
    """
    gc.collect()
    gc.freeze()  # children touch what they collect, and copy it
    found: dict[str, Rows] = {}
    for exercise in judge.exercises:
        each(exercise.name)
        made = mutants(judge.lesson.solution, source, exercise.name)
        with_tolerance = bool(tolerances(judge, exercise))
        jobs = [_mutant_job(judge, exercise, mutant, with_tolerance) for mutant in made]
        rows: Rows = [{} for _ in made]
        for index, told in children.run(jobs, MUTANT_SECONDS):
            rows[index] = {
                "text": made[index].text,
                **(told or {"refused_by": "its process or its time ended", "margins": {}}),
            }
        found[exercise.name] = rows
    gc.unfreeze()
    return found


def _mutant_job(judge: Judge, exercise: checks.Exercise, mutant: Mutant, with_tolerance: bool) -> children.Job:
    def job() -> dict[str, Any]:
        try:
            ask = in_process(mutant.space(judge.lesson.solution))
        except Exception:
            return {"refused_by": "its definition", "margins": {}}
        refused_by = first_refusal(judge, exercise, ask)
        return {"refused_by": refused_by, "margins": margins(judge, exercise, ask) if with_tolerance else {}}

    return job


def first_refusal(judge: Judge, exercise: checks.Exercise, ask: Ask) -> str | None:
    """Return the name of the first check that refuses the answers of `ask`, None if all accept them."""
    return next((check.name for check in exercise.checks if judge.refuses(exercise, check, ask)), None)


# Honest variants and recognised mistakes


def try_variants(judge: Judge, wheats: ModuleType | None, only: str = "") -> Rows:
    """Return what became of every wheat and slip of a lesson (`only`: "wheat"), and of its reference: verdict and margins."""
    slips: list[Any] = slips_of(judge.lesson.slips) if judge.lesson.slips else []
    variants: list[tuple[str, str, Callable | None]] = []
    for wheat in wheats_of(wheats) if wheats else []:
        variants.append(("wheat", wheat.exercise, wheat))  # type: ignore[attr-defined]
    variants += [("slip", slip.exercise, slip) for slip in slips]
    variants += [("reference", name, None) for name in judge.names]
    measured = {exercise.name for exercise in judge.exercises if tolerances(judge, exercise)}
    return [
        _variant(judge, kind, name, function, name in measured)
        for kind, name, function in variants
        if only in ("", kind)
    ]


def _variant(judge: Judge, kind: str, exercise: str, function: Callable | None, measured: bool) -> dict[str, Any]:
    space = dict(vars(judge.lesson.solution))
    if function is not None:
        space[exercise] = function
    _reset()
    verdict = judge.judge_function(exercise, space)
    return {
        "kind": kind,
        "exercise": exercise,
        "name": function.__name__ if function else exercise,
        "sentence": getattr(function, "sentence", ""),
        "accepted": verdict.outcome == PASSED and verdict.score == verdict.max_score,
        "score": verdict.score,
        "hint": verdict.hint,
        "message": verdict.message,
        "checks": [[check.name, check.outcome, check.message] for check in verdict.checks],
        "margins": margins(judge, judge.exercise(exercise), in_process(space)) if measured else {},
    }


def _reset() -> None:
    """Undo what the variant before may have changed in torch."""
    torch.set_default_dtype(torch.float32)
    torch.set_grad_enabled(True)
    torch.manual_seed(0)


# Answers without a solution


def try_trivial(judge: Judge) -> dict[str, list[str]]:
    """Return for each exercise the answers without a solution that its main check accepts: there should be none.

    Constants are the right answers to the calls that are made with another seed: what somebody could know who does not
    know the cohort's.
    """
    found = {}
    other = judge_in_process(judge.lesson, OTHER_SEED)
    for exercise in judge.exercises:
        accepted = []
        for name, ask in _trivial_answers(other, exercise):
            _reset()
            if not judge.refuses(exercise, exercise.main, ask):
                accepted.append(name)
        found[exercise.name] = accepted
    return found


def _trivial_answers(judge: Judge, exercise: checks.Exercise) -> Iterator[tuple[str, Ask]]:
    values: tuple[Any, ...] = (
        None,
        0,
        0.0,
        1.0,
        True,
        False,
        "",
        (),
        [],
        {},
        float("nan"),
        float("inf"),
        torch.tensor(0.0),
    )
    made: dict[str, Callable] = {repr(value): _constantly(value) for value in values}
    made |= {"its argument": _argument, "its argument, copied": _copied, "zeros like it": _zeros, "ones like it": _ones}
    made["the kind of its argument"] = lambda *args, **_: type(args[0])() if args else None
    for error in _errors(judge.lesson.solution, exercise.name):
        made[f"always {error.__name__}"] = _raising(error)
    for name, function in made.items():
        yield name, in_process(dict.fromkeys(judge.names, function))
    calls = [call for call in judge.recording.calls(exercise.name) if _has_arguments(call)]
    replies = dict.fromkeys(judge.reference._ask(call) for call in calls)
    for index, reply in enumerate(list(replies)[:MOST_CONSTANTS]):
        yield f"the right answer to call {index}, always", _constantly(reply)


def _has_arguments(call: bytes) -> bool:
    """Tell whether a call passes anything: without arguments there is one right answer, and whoever gives it is right."""
    _, _, args, kwargs = codec.decode(call)
    return bool(args or kwargs)


def _constantly(value: Any) -> Callable[..., Any]:
    return lambda *args, **kwargs: value


def _argument(*args: Any, **kwargs: Any) -> Any:
    return next(iter([*args, *kwargs.values()]), None)


def _copied(*args: Any, **kwargs: Any) -> Any:
    return copy.deepcopy(_argument(*args, **kwargs))


def _like(make: Callable, args: tuple) -> Any:
    return next((make(value) for value in args if isinstance(value, torch.Tensor)), make(torch.empty(())))


def _zeros(*args: Any, **kwargs: Any) -> Any:
    return _like(torch.zeros_like, args)


def _ones(*args: Any, **kwargs: Any) -> Any:
    return _like(torch.ones_like, args)


def _errors(solution: ModuleType, name: str) -> list[type[Exception]]:
    """Return the exceptions that an exercise's docstring names, and one that is all of them."""
    words = dict.fromkeys(re.findall(r"\b[A-Z]\w*Error\b", getattr(solution, name).__doc__ or ""))
    kinds = [getattr(builtins, word) for word in words if hasattr(builtins, word)]
    return [*kinds, type("EveryError", tuple(kinds), {})] if len(kinds) > 1 else kinds


def _raising(error: type[Exception]) -> Callable:
    def function(*args: Any, **kwargs: Any) -> Any:
        raise error("always")

    return function


def is_numeric(judge: Judge, exercise: checks.Exercise) -> bool:
    """Return whether an exercise computes numbers: one of its right answers is a float, or a tensor of numbers."""
    for call in judge.recording.calls(exercise.name):
        reply = judge.reference._ask(call)
        if reply[:1] == b"=" and any(map(_is_number, _parts(codec.decode(reply[1:])))):
            return True
    return False


def _is_number(value: Any) -> bool:
    return type(value) is float or (isinstance(value, torch.Tensor) and value.dtype != torch.bool)


def _parts(value: Any) -> Iterator[Any]:
    for part in value if isinstance(value, list | tuple) else [value]:
        if isinstance(part, list | tuple):
            yield from _parts(part)
        else:
            yield part
