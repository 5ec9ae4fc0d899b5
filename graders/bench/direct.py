"""A pytest plugin that runs hidden tests on a module of the same process: the floor that the judge is measured against.

No worker, no wire for what is passed in, no isolation of any kind. Only `bench` uses it, on trusted code.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch

from graders import lessons
from graders.judge import checks, names
from graders.judge.contract import StudentRaised
from graders.judge.proxy import Proxy
from graders.judge.recording import in_process
from graders.wire import codec, recipes
from graders.worker import worker

SEED = "bench"


class Direct:
    """The functions of a namespace, called directly; models are described as for the judge, exceptions as data."""

    def __init__(self, space: dict[str, Any]) -> None:
        self._space = space

    def __getattr__(self, name: str) -> Callable[..., Any]:
        if name.startswith("__"):
            raise AttributeError(name)
        return lambda *args, **kwargs: self._call(self._space[name], args, kwargs)

    def probe(self, probe: Callable, name: str, /, *args: Any, **kwargs: Any) -> Any:
        """Run a probe on the named function."""
        return self._call(probe, (self._space[name], *args), kwargs)

    def _call(self, function: Callable, args: tuple, kwargs: dict) -> Any:
        made: dict[int, Any] = {}
        try:
            value = function(*recipes.cooked(args, made), **recipes.cooked(kwargs, made))
        except Exception as error:
            told = worker.describe(error)
            raise StudentRaised(
                told["kind"],
                told["bases"],
                told["text"],
                told["line"],
                told["function"],
                told["source"],
                told["in_file"],
            ) from None
        plain = value is None or isinstance(value, torch.Tensor | bool | int | float | str | torch.dtype)
        return value if plain else codec.decode(codec.encode(value))


class Floor:
    """The fixtures of a lesson's hidden tests on one namespace; reference answers are computed once, as in the judge."""

    def __init__(self, lesson: str) -> None:
        self.space: dict[str, Any] = {}
        self._reference = Proxy(in_process(vars(lessons.load(lesson).solution)))

    def load(self, file: Path) -> None:
        """Execute a submission anew."""
        self.space = worker.new_namespace()
        exec(compile(file.read_text(), str(file), "exec"), self.space)

    @pytest.fixture
    def student(self) -> Direct:
        return Direct(self.space)

    @pytest.fixture
    def reference(self) -> Proxy:
        return self._reference

    @pytest.fixture
    def generator(self, request: pytest.FixtureRequest) -> torch.Generator:
        spec = getattr(request.node, "callspec", None)
        name = names.exercise_name(request.cls)
        return checks.generator(SEED, name, request.node.originalname, spec.id if spec else "")
