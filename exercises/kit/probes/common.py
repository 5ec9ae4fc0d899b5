"""Probes that every lesson uses."""

from collections.abc import Callable
from typing import Any

import torch

# Unbound, from torch's own classes: a subclass that redefines `__dict__` or `__getattribute__` changes nothing.
_own = torch.nn.Module.__dict__["__dict__"].__get__
_requires_gradients = torch.Tensor.requires_grad.__get__  # type: ignore[attr-defined]


def arguments_after(function: Callable[..., Any], *args: Any) -> tuple[Any, list[Any]]:
    """Return what the function returns, and its arguments as they are after the call."""
    result = function(*args)
    return result, list(args)


def tables(module: Any) -> dict[str, Any]:
    """Return what torch's own tables of a module hold, whatever its class says of itself.

    parameters, buffers: tensors by name, those that are None left out. unsaved: buffers that are not in the state dict.
    with_gradients: names of what requires gradients.
    """
    own = _own(module)
    found = {
        table: {str(name): value for name, value in dict.items(own[f"_{table}"]) if value is not None}
        for table in ("parameters", "buffers")
    }
    both = found["parameters"] | found["buffers"]
    with_gradients = [name for name, value in both.items() if _requires_gradients(value)]
    return {**found, "unsaved": sorted(map(str, own["_non_persistent_buffers_set"])), "with_gradients": with_gradients}


def error_text(function: Callable[..., Any], *args: Any, **keywords: Any) -> Any:
    """Return the whole text of the ValueError that the function raises; if it raises none, a list of what it returns."""
    try:
        return [function(*args, **keywords)]
    except ValueError as error:
        return str(error)
