"""How a test class says which exercise it judges. Imports nothing, for those who only want to know the names."""

from __future__ import annotations

import re


def exercise_name(owner: type) -> str:
    """Return the exercise that a test class judges: `exercise` if it says so, else its name in snake case."""
    return getattr(owner, "exercise", None) or snake_case(owner.__name__)


def snake_case(name: str) -> str:
    """Return the name of the function that a test class is named after: TestIntegerRange -> integer_range."""
    return re.sub(r"(?<!^)(?=[A-Z])", "_", name.removeprefix("Test")).lower()
