"""Probes of lessons 7 and 8: what builders and evaluators count, modes of models, what new layers give when they are called."""

from collections.abc import Callable
from typing import Any

import torch

from exercises.kit.probes.l3 import modes_after as modes_after


def calls_made(function: Callable[..., Any], build: Any, evaluate: Any, *args: Any, **keywords: Any) -> list[int]:
    """Return how often the function called the builder and the evaluator that it was given."""
    function(build, evaluate, *args, **keywords)
    return [build.calls, evaluate.calls]


def counts_of(function: Callable[..., Any], model: Any, *args: Any) -> dict[str, int]:
    """Return what the model counted while the function ran: calls, those in training mode, those with gradients."""
    before = dict(model.counts)
    function(model, *args)
    return {name: count - before[name] for name, count in model.counts.items()}


def builds_made(function: Callable[..., Any], build: Any, *args: Any, **keywords: Any) -> int:
    """Return how often the function called the builder that it was given."""
    function(build, *args, **keywords)
    return build.calls


def called_with(function: Callable[..., Any], layer: Any, x: torch.Tensor) -> torch.Tensor:
    """Return what the layer that function(layer) returns gives for x."""
    with torch.no_grad():
        return function(layer)(x)


def called_smoothed(function: Callable[..., Any], layer: Any, x: torch.Tensor) -> torch.Tensor:
    """Return new(x / s) for the new layer and s that function(layer, x) returns."""
    new, s = function(layer, x)
    with torch.no_grad():
        return new(x / s)


def called_in_turn(function: Callable[..., Any], first: Any, second: Any, x: torch.Tensor) -> torch.Tensor:
    """Return what both layers that function(first, second) returns give for x, with a ReLU between them."""
    first, second = function(first, second)
    with torch.no_grad():
        return second(torch.relu(first(x)))
