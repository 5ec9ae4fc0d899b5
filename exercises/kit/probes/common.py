"""Probes that every lesson uses."""

from collections.abc import Callable
from typing import Any


def arguments_after(function: Callable[..., Any], *args: Any) -> tuple[Any, list[Any]]:
    """Return what the function returns, and its arguments as they are after the call."""
    result = function(*args)
    return result, list(args)
