"""What hidden tests, slips and wheats are written with.

`main` and `observed` mark checks, `raises` expects an exception of the student's, `recipe` names an argument that is made in
the worker, `slip` and `wheat` collect recognised mistakes and honest variants.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import wraps
from types import ModuleType
from typing import Any, TypeVar

from exercises.kit.checking.closeness import Mismatch
from graders.wire import codec
from graders.wire.recipes import Recipe

F = TypeVar("F", bound=Callable)


def main(check: F) -> F:
    """Mark the one check of an exercise without which it scores 0."""
    check.main = True  # type: ignore[attr-defined]
    return check


def observed(check: F) -> F:
    """Mark a check that rests on what only the worker can see, and could therefore be forged."""
    check.observed = True  # type: ignore[attr-defined]
    return check


class StudentRaised(Exception):
    """An exception of the student's code, as data: its type, the builtin types above it, and where it was raised."""

    def __init__(
        self,
        kind: str,
        bases: list[str],
        text: str,
        line: int | None,
        function: str,
        source: str,
        in_file: bool = False,
    ) -> None:
        super().__init__(kind)
        self.kind, self.bases, self.text = kind, bases, text
        self.line, self.function, self.source, self.in_file = line, function, source, in_file

    def __str__(self) -> str:
        where = f" (line {self.line} of {'the file' if self.in_file else 'its cell'})" if self.line else ""
        return f"{self.kind}: {self.text}{where}" if self.text else f"{self.kind}{where}"


@contextmanager
def raises(expected: type[BaseException]) -> Iterator[None]:
    """Expect the student's call to raise `expected` or a subclass; anything else is a Mismatch."""
    try:
        yield
    except StudentRaised as error:
        if error.kind == "NotImplementedError" and "raise NotImplementedError" in error.source:
            raise
        if expected.__name__ not in error.bases:
            raise Mismatch(got=str(error), want=expected.__name__) from None
    else:
        raise Mismatch(got="no exception", want=expected.__name__)


def recipe(function: Callable, *args: Any, **kwargs: Any) -> Recipe:
    """Name an argument that the worker makes: a public function of `exercises.kit.*`, and data to call it with."""
    return Recipe(f"{function.__module__}:{function.__qualname__}", args, kwargs)


def once(function: F) -> F:
    """Keep what a function makes of recipes and data: hidden inputs are the same for a whole cohort. It is not to be changed."""
    made: dict[bytes, Any] = {}

    @wraps(function)
    def remembered(*args: Any) -> Any:
        key = codec.encode(list(args), strided=True)
        if key not in made:
            made[key] = function(*args)
        return made[key]

    return remembered  # type: ignore[return-value]


def slip(exercise: str, sentence: str) -> Callable[[F], F]:
    """Mark a wrong implementation of `exercise`; `sentence` names the misconception to whoever makes it."""

    def mark(function: F) -> F:
        function.exercise, function.sentence = exercise, sentence  # type: ignore[attr-defined]
        return function

    return mark


def wheat(exercise: str) -> Callable[[F], F]:
    """Mark an honest right implementation of `exercise`, in another style than the reference."""

    def mark(function: F) -> F:
        function.exercise = exercise  # type: ignore[attr-defined]
        return function

    return mark


def slips_of(module: ModuleType) -> list[Callable]:
    """Return the slips of a module in the order in which they are written."""
    return [value for value in vars(module).values() if hasattr(value, "sentence") and hasattr(value, "exercise")]


def wheats_of(module: ModuleType) -> list[Callable]:
    """Return the wheats of a module in the order in which they are written."""
    return [value for value in vars(module).values() if hasattr(value, "exercise") and not hasattr(value, "sentence")]
