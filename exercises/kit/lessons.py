"""What the kit knows of the lessons: `lessons.json` and `hints.json`, both derived.  Imports nothing heavy.

lessons.json  {"lessons": [{"name", "title", "exercises": [{"name", "core", "summary", "examples", "stub", "steps"}]}]}, where
              `examples` is the docstring of the exercise, `stub` its cell as given out, `steps` its hints on request.
hints.json    {lesson: {exercise: [{"example", "value", "hint"}]}}: at the example of that index (as
              doctest.DocTestParser counts them) the answer with this fingerprint earns this sentence.
"""

import json
import re
from dataclasses import dataclass
from functools import cache
from pathlib import Path

_KIT = Path(__file__).resolve().parent


class KitError(Exception):
    """A file of the course is missing or damaged; the message is one sentence for the student."""


@dataclass(frozen=True)
class Exercise:
    """One function or class to write."""

    lesson: str
    name: str
    core: bool
    summary: str
    examples: str
    stub: str = ""
    steps: tuple[str, ...] = ()

    @property
    def in_place(self) -> bool:
        """Whether it may change its first argument."""
        return says_in_place(self.examples)


@dataclass(frozen=True)
class Lesson:
    """The exercises of one file, in order."""

    name: str
    title: str
    exercises: tuple[Exercise, ...]


@cache
def lessons() -> dict[str, Lesson]:
    """Return the lessons by name, in order.  KitError without a readable lessons.json."""
    found = _read("lessons.json")
    try:
        return {entry["name"]: _lesson(entry) for entry in found["lessons"]}
    except (KeyError, TypeError) as error:
        raise KitError(_damaged("lessons.json")) from error


def _lesson(entry: dict) -> Lesson:
    exercises = tuple(
        Exercise(
            entry["name"],
            part["name"],
            part["core"],
            part.get("summary", ""),
            part["examples"],
            part.get("stub", ""),
            tuple(part.get("steps", ())),
        )
        for part in entry["exercises"]
    )
    return Lesson(entry["name"], entry.get("title", ""), exercises)


def says_in_place(statement: str) -> bool:
    """Return whether a statement says "in place": only then may the exercise change its first argument."""
    return re.search(r"\bin\s+place\b", statement) is not None


@cache
def works_in_place(exercise: str) -> bool:
    """Return whether an exercise of this name may change its first argument."""
    return any(each.in_place for lesson in lessons().values() for each in lesson.exercises if each.name == exercise)


def hint_for(exercise: Exercise, example: int, fingerprint: str) -> str | None:
    """Return the hint that this answer to an example earns; None if no hint, or more than one, belongs to it."""
    entries = _hints().get(exercise.lesson, {}).get(exercise.name, [])
    found = {entry["hint"] for entry in entries if entry["example"] == example and entry["value"] == fingerprint}
    return found.pop() if len(found) == 1 else None


@cache
def _hints() -> dict:
    return _read("hints.json") if (_KIT / "hints.json").exists() else {}


def _read(name: str) -> dict:
    try:
        return json.loads((_KIT / name).read_text(encoding="utf-8"))
    except FileNotFoundError as error:
        raise KitError(f"exercises/kit/{name} is missing: please fetch the course files again.") from error
    except (OSError, ValueError) as error:
        raise KitError(_damaged(name)) from error


def _damaged(name: str) -> str:
    return f"exercises/kit/{name} is damaged: please fetch the course files again."
