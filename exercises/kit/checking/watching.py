"""What an exercise leaves behind while examples run: seen by the public check as the hidden tests see it."""

import contextlib
import functools
import inspect
from collections.abc import Callable, Iterator
from typing import Any

from exercises.kit.checking.left_behind import Before, named

WANTED = "arguments and torch's settings as they were before"


class Watch:
    """Note what the calls of a function, and whole examples, leave behind.

    in_place: the first argument may change.  `left` keeps what was noted during the last example.
    """

    def __init__(self, function: Callable, in_place: bool) -> None:
        self.function, self.in_place = function, in_place
        self.left: list[str] = []

    def watched(self) -> Callable:
        """Return the function with every call compared before and after; a class is left as it is."""
        if not inspect.isfunction(self.function):
            return self.function

        @functools.wraps(self.function)
        def call(*args: Any, **kwargs: Any) -> Any:
            values = list(named(args, kwargs).items())[self.in_place :]
            before = Before(dict(values))
            try:
                return self.function(*args, **kwargs)
            finally:
                self._note(before)

        return call

    @contextlib.contextmanager
    def example(self) -> Iterator[None]:
        """Watch torch's settings while an example runs, and put them back."""
        self.left, before = [], Before({})
        try:
            yield
        finally:
            self._note(before)
            before.put_back()

    def _note(self, before: Before) -> None:
        try:
            self.left += [note for note in before.differences() if note not in self.left]
        except Exception:  # what is left of an argument cannot be read
            self.left.append("an argument cannot be read any more")

    @property
    def shown(self) -> str:
        """What was noted, with the student's own names of the arguments."""
        try:
            names = [*inspect.signature(self.function).parameters]
        except (TypeError, ValueError):
            names = []
        numbers = {f"argument {place}": name for place, name in enumerate(names, 1)}
        return "after the call " + "; ".join(_renamed(note, numbers) for note in self.left[:2])

    @property
    def mark(self) -> str:
        """What was noted, as the hints know it (see `fingerprint`)."""
        return f"leaves {'; '.join(self.left)}"[:160]


def _renamed(note: str, names: dict[str, str]) -> str:
    for number, name in names.items():
        if note.startswith(number) and not note[len(number) :][:1].isdigit():
            return name + note[len(number) :]
    return note
