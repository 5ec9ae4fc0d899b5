"""Hidden tests as data: pytest collects them, the judge calls them.

A file of hidden tests is ordinary pytest: one class per exercise, one method per check, parametrized as usual. pytest expands
the parameters once; afterwards each case is a function to call with keyword arguments, which is fifty times cheaper than a
pytest session per submission and judges exactly the same.
"""

from __future__ import annotations

import contextlib
import hashlib
import inspect
import io
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
import torch

from graders import ROOT
from graders.judge.names import exercise_name

FIXTURES = ("student", "reference", "generator")
DEFAULT_POINTS = 2


@dataclass
class Case:
    """One call of a check: its pytest id and its parameters."""

    id: str
    parameters: dict[str, Any]


@dataclass
class Check:
    """One test method: what it says when it fails, and its cases."""

    name: str
    sentence: str
    main: bool
    observed: bool
    function: Callable[..., None]
    fixtures: tuple[str, ...]
    cases: list[Case] = field(default_factory=list)


@dataclass
class Exercise:
    """One test class: the exercise it judges, its points and its checks, the main one among them."""

    name: str
    points: float
    owner: type
    checks: list[Check] = field(default_factory=list)

    @property
    def main(self) -> Check:
        return next(check for check in self.checks if check.main)

    @property
    def together_with(self) -> tuple[str, ...]:
        """The exercises that this one is judged together with (an attribute of its test class)."""
        return getattr(self.owner, "together_with", ())

    def run(self, check: Check, case: Case, seed: str, student: Any, reference: Any) -> None:
        """Run one case; returns if it passes, raises otherwise."""
        made = {"student": student, "reference": reference}
        if "generator" in check.fixtures:
            made["generator"] = generator(seed, self.name, check.name, case.id)
        given = {name: made[name] for name in check.fixtures}
        check.function(self.owner(), **given, **case.parameters)


def generator(seed: str, *path: str) -> torch.Generator:
    """Return a generator for one case's hidden inputs: a function of the cohort's secret seed and the case's path."""
    digest = hashlib.sha256("|".join((seed, *path)).encode()).digest()
    return torch.Generator().manual_seed(int.from_bytes(digest[:7], "big"))


class _Collector:
    def __init__(self) -> None:
        self.items: list[pytest.Item] = []

    def pytest_collection_finish(self, session: pytest.Session) -> None:
        self.items = list(session.items)

    def pytest_internalerror(self, excinfo: pytest.ExceptionInfo[BaseException]) -> None:
        """Let the end of the process through (a run that is stopped ends it), which pytest would tell of and go on after."""
        if isinstance(excinfo.value, SystemExit):
            raise excinfo.value


def collect(path: Path) -> list[Exercise]:
    """Return the exercises that a file of hidden tests judges, in its order. Raises ValueError where a rule is broken."""
    collector = _Collector()
    options = ["--collect-only", "-q", "-s", "--noconftest", "--import-mode=importlib", "-p", "no:cacheprovider"]
    options += ["--disable-plugin-autoload", "-p", "no:unraisableexception"]  # each takes longer than all the rest
    options += ["-c", str(ROOT / "pyproject.toml"), "-o", "addopts="]
    with contextlib.redirect_stdout(io.StringIO()) as told, pytest.MonkeyPatch.context() as patch:
        patch.delenv("PYTEST_ADDOPTS", raising=False)  # meant for other runs, and perhaps for plugins
        status = pytest.main([*options, str(path)], plugins=[collector])
    if status != pytest.ExitCode.OK or not collector.items:
        raise ValueError(f"the hidden tests in {path.name} could not be collected:\n{told.getvalue()}")
    exercises: dict[str, Exercise] = {}
    for item in collector.items:
        assert isinstance(item, pytest.Function)
        if item.cls is None:
            raise ValueError(f"{path.name}: {item.name} stands outside a class")
        name = exercise_name(item.cls)
        exercise = exercises.setdefault(name, Exercise(name, getattr(item.cls, "points", DEFAULT_POINTS), item.cls))
        check = next((known for known in exercise.checks if known.name == item.originalname), None)
        if check is None:
            check = _check(item)
            exercise.checks.append(check)
        spec = getattr(item, "callspec", None)
        check.cases.append(Case(spec.id if spec else "", dict(spec.params) if spec else {}))
    for exercise in exercises.values():
        _obey(exercise, path.name)
    return list(exercises.values())


def _check(item: pytest.Function) -> Check:
    function = inspect.unwrap(item.function)
    sentence = (inspect.getdoc(function) or item.originalname).split("\n\n")[0].replace("\n", " ")
    wanted = tuple(name for name in inspect.signature(function).parameters if name in FIXTURES)
    main, observed = getattr(function, "main", False), getattr(function, "observed", False)
    return Check(item.originalname, sentence, main, observed, function, wanted)


def _obey(exercise: Exercise, file: str) -> None:
    """Raise ValueError unless the class has one main check that is not observed, and at most half of it is observed."""
    mains = [check for check in exercise.checks if check.main]
    if len(mains) != 1 or mains[0].observed:
        raise ValueError(f"{file}: {exercise.name} needs exactly one main check, not an observed one")
    observed = 1 + sum(check.observed for check in exercise.checks)  # with that of what is left behind
    if 2 * observed > 1 + len(exercise.checks):
        raise ValueError(f"{file}: more than half of the checks of {exercise.name} are observed")
