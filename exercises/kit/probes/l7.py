"""Probes of lessons 7 and 8: what builders and evaluators count, modes of models."""

from collections.abc import Callable
from typing import Any

from exercises.kit.probes.common import arguments_after as arguments_after
from exercises.kit.probes.l3 import modes_after as modes_after


def calls_made(function: Callable[..., Any], build: Any, evaluate: Any, *args: Any, **keywords: Any) -> list[int]:
    """Return how often the function called the builder and the evaluator that it was given."""
    function(build, evaluate, *args, **keywords)
    return [build.calls, evaluate.calls]


def builds_made(function: Callable[..., Any], build: Any, *args: Any, **keywords: Any) -> int:
    """Return how often the function called the builder that it was given."""
    function(build, *args, **keywords)
    return build.calls
