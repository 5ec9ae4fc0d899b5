"""Every exercise, whether it is core, what is known of it, and where it stands."""

import os
import re
from pathlib import Path

from exercises.kit.lessons import Exercise, lessons
from exercises.kit.studying import judging, memory
from exercises.kit.studying.answers import FOLDER, begun_in


def listed(folder: Path = FOLDER, place: Path = memory.PLACE) -> list[str]:
    """Return a line per exercise under two lines per lesson. Nothing is executed: states are what the last checks said.

    "right" is what hidden tests found so; "examples" that the examples were, and nobody asked the hidden tests since.
    """
    green = memory.recall(place)["green"]
    lines: list[str] = []
    for lesson in lessons().values():
        lines += [*([""] if lines else []), lesson.title, os.path.relpath(folder / f"{lesson.name}.py")]
        width = max(len(each.name) for each in lesson.exercises)
        for exercise in lesson.exercises:
            begun = begun_in(exercise, folder)
            kind = "core" if exercise.core else "practice"
            line = f"  {exercise.name:<{width}}  {kind:<8}  {_state(exercise, begun, green, place):<11}"
            lines.append(f"{line}  {_where(exercise, begun, folder)}".rstrip())
    return [*lines, "", "examples: its examples are right; right: the hidden tests say so too (--judge)."]


def _state(exercise: Exercise, begun: list[Path], green: dict[str, str], place: Path) -> str:
    if not begun:
        return "not started"
    if f"{exercise.lesson}::{exercise.name}" not in green:
        return "begun"
    return "right" if judging.is_right(exercise.lesson, exercise.name, begun[0], place) else "examples"


def _where(exercise: Exercise, begun: list[Path], folder: Path) -> str:
    path = begun[0] if begun else folder / f"{exercise.lesson}.py"
    if path.suffix != ".py":
        return "in the notebook"
    if not path.is_file():
        return "the file is missing"
    text = path.read_text(encoding="utf-8", errors="replace")
    found = re.search(rf"^(?:async )?(?:def|class) {exercise.name}\b", text, re.MULTILINE)
    return f"line {text.count(chr(10), 0, found.start()) + 1}" if found else "not defined"
