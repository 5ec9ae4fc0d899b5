"""Toys that end as a notebook's interrupt button ends them: by KeyboardInterrupt, which is no Exception."""

from collections.abc import Callable
from typing import Any, NoReturn

from torch import nn


def _interrupt(*args: Any, **keywords: Any) -> NoReturn:
    raise KeyboardInterrupt


def interrupted(model: nn.Module, part: str = "") -> nn.Module:
    """Return the model; when its submodule `part` (itself, unless given) is to run, KeyboardInterrupt is raised."""
    model.get_submodule(part).forward = _interrupt
    return model


def interrupted_builder() -> Callable[[], nn.Module]:
    """Return a builder that raises KeyboardInterrupt."""
    return _interrupt
