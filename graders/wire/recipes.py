"""Arguments that travel as the call that makes them: a function of `exercises.kit` and data."""

from __future__ import annotations

import importlib
import sys
from dataclasses import dataclass, field
from typing import Any


class Unreadable(Exception):
    """A value that cannot be sent as data; the text says why."""


@dataclass(eq=False)
class Recipe:
    """An argument made where it is used: a function of `exercises.kit`, by name, with data as its arguments."""

    name: str
    args: tuple = ()
    kwargs: dict = field(default_factory=dict)

    def build(self) -> Any:
        """Call the recipe here (nested recipes first) and return what it makes."""
        return cook(self.name, cooked(self.args, {}), cooked(self.kwargs, {}))


def cooked(value: Any, made: dict[int, Any]) -> Any:
    """Replace the recipes inside lists, tuples and dicts by what they make, each once."""
    if isinstance(value, Recipe):
        if id(value) not in made:
            made[id(value)] = cook(value.name, cooked(value.args, made), cooked(value.kwargs, made))
        return made[id(value)]
    if isinstance(value, dict):
        return {key: cooked(item, made) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return type(value)(cooked(item, made) for item in value)
    return value


def cook(name: str, args: Any, kwargs: dict) -> Any:
    """Call a function of `exercises.kit` by its name. Raises Unreadable for any other."""
    return named(name)(*args, **kwargs)


def named(name: str) -> Any:
    """Return a function of `exercises.kit` by its name. Raises Unreadable for any other."""
    module, _, function = name.partition(":")
    if not module.startswith("exercises.kit."):
        raise Unreadable(f"the recipe {name} is not in exercises.kit")
    found: Any = sys.modules.get(module) or importlib.import_module(module)
    for part in function.split("."):
        found = getattr(found, part, None)
    if not str(getattr(found, "__module__", "")).startswith("exercises.kit."):
        raise Unreadable(f"the recipe {name} is not in exercises.kit")
    return found
