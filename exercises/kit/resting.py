"""An exercise that uses another one which is not right yet: said first, as the grader says it."""

from collections.abc import Iterator
from types import CodeType, FunctionType
from typing import Any

from exercises.kit.lessons import Exercise, lessons


def used(exercise: Exercise, namespace: dict[str, Any]) -> list[Exercise]:
    """Return the exercises of the lesson that the student's code of this one names, directly or in functions of its own."""
    lesson = lessons().get(exercise.lesson)
    known = {other.name: other for other in lesson.exercises if other.name in namespace} if lesson else {}
    found: dict[str, Exercise] = {}
    seen, waiting = {exercise.name}, [exercise.name]
    while waiting:
        for name in _names(namespace.get(waiting.pop())):
            if name not in seen:
                seen.add(name)
                if name in known:
                    found[name] = known[name]
                elif isinstance(namespace.get(name), FunctionType) and namespace[name].__globals__ is namespace:
                    waiting.append(name)
    return list(found.values())


def _names(value: Any) -> Iterator[str]:
    """Yield the global names that a function, or the methods of a class, read."""
    functions = vars(value).values() if isinstance(value, type) else [value]
    codes = [code for one in functions if isinstance(code := getattr(one, "__code__", None), CodeType)]
    while codes:
        code = codes.pop()
        yield from code.co_names
        codes += [part for part in code.co_consts if isinstance(part, CodeType)]


def told(message: str, below: list[str]) -> str:
    """Return a message with what it rests on first, and without a hint: the mistake may be in the other code."""
    if not below:
        return message
    lines = [line for line in message.splitlines() if not line.startswith("  hint ")]
    return "\n".join([f"rests on {', '.join(below)}, which is not right yet", *lines])
