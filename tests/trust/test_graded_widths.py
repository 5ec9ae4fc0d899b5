"""No graded model of lesson 4 has a width at which quanto ends the process: bfloat16 weights as qint8."""

import importlib
from collections.abc import Iterator
from typing import Any

import torch

from graders import lessons
from graders.judge import checks
from graders.wire.recipes import Recipe

ENDS_THE_PROCESS = {8, 12, 20, 24, 28, 40}  # inputs of a row


def recipes_in(value: Any) -> Iterator[Recipe]:
    """Every recipe in the parameters of a check, the inner ones too."""
    if isinstance(value, Recipe):
        yield value
        value = [value.args, value.kwargs]
    if isinstance(value, dict):
        value = list(value.values())
    for part in value if isinstance(value, list | tuple) else []:
        yield from recipes_in(part)


def such_widths(model: torch.nn.Module) -> list[int]:
    """The widths of the model's bfloat16 layers at which quanto would end the process."""
    layers = [module for module in model.modules() if isinstance(module, torch.nn.Linear | torch.nn.Conv2d)]
    widths = [layer.weight.shape[1:].numel() for layer in layers if layer.weight.dtype == torch.bfloat16]
    return [width for width in widths if width in ENDS_THE_PROCESS]


def test_no_graded_model_has_such_a_width() -> None:
    exercises = checks.collect(lessons.hidden_tests("l4_quantization_theory"))
    tests = importlib.import_module(exercises[0].owner.__module__)
    given = [case.parameters for exercise in exercises for check in exercise.checks for case in check.cases]
    recipes = list(recipes_in([given, list(vars(tests).values())]))
    models = [made for made in (recipe.build() for recipe in recipes) if isinstance(made, torch.nn.Module)]
    bfloat16 = [model for model in models if any(p.dtype == torch.bfloat16 for p in model.parameters())]
    assert bfloat16
    assert [type(model).__name__ for model in models if such_widths(model)] == []
