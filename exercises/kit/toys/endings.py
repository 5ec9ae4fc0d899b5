"""Toys that end before they are done: as a notebook's interrupt button ends them, or by an exception."""

from collections.abc import Callable
from typing import Any, NoReturn

from torch import nn

from exercises.kit import models


def _interrupt(*args: Any, **keywords: Any) -> NoReturn:
    raise KeyboardInterrupt


def interrupted(model: nn.Module, part: str = "") -> nn.Module:
    """Return the model; when its submodule `part` (itself, unless given) is to run, KeyboardInterrupt is raised."""
    model.get_submodule(part).forward = _interrupt
    return model


def _fail(*args: Any, **keywords: Any) -> NoReturn:
    raise LookupError("this toy was told to fail here")


class _FailingProcessor:
    """The tiny BLIP's processor, but for images."""

    def __call__(self, *args: Any, **keywords: Any) -> NoReturn:
        _fail()

    def __getattr__(self, name: str) -> Any:
        return _fail if name == "image_processor" else getattr(models.tiny_blip_processor(), name)


def failing_processor() -> Callable[..., Any]:
    """Return a processor that raises LookupError when it, or its `image_processor` alone, is to process an image."""
    return _FailingProcessor()


def interrupted_builder() -> Callable[[], nn.Module]:
    """Return a builder that raises KeyboardInterrupt."""
    return _interrupt
