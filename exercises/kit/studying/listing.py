"""Every exercise, whether it is core, what is known of it, and where it stands."""

import os
import re
from pathlib import Path

from exercises.kit.lessons import Exercise, lessons
from exercises.kit.studying import memory
from exercises.kit.studying.answers import FOLDER, begun_in


def listed(folder: Path = FOLDER, place: Path = memory.PLACE) -> list[str]:
    """Return a line per exercise under a line per lesson. Nothing is executed: "right" is what the last check said."""
    green = memory.recall(place)["green"]
    lines: list[str] = []
    for lesson in lessons().values():
        lines += [*([""] if lines else []), f"{lesson.name}: {lesson.title}"]
        width = max(len(each.name) for each in lesson.exercises)
        for exercise in lesson.exercises:
            begun = begun_in(exercise, folder)
            kind = "core" if exercise.core else "practice"
            line = f"  {exercise.name:<{width}}  {kind:<8}  {_state(exercise, begun, green):<12}"
            lines.append(f"{line}{_where(exercise, begun, folder)}".rstrip())
    return lines


def _state(exercise: Exercise, begun: list[Path], green: dict[str, str]) -> str:
    if not begun:
        return "not started"
    return "right" if f"{exercise.lesson}::{exercise.name}" in green else "begun"


def _where(exercise: Exercise, begun: list[Path], folder: Path) -> str:
    path = begun[0] if begun else folder / f"{exercise.lesson}.py"
    if path.suffix != ".py" or not path.is_file():
        return os.path.relpath(path)
    text = path.read_text(encoding="utf-8", errors="replace")
    found = re.search(rf"^(?:async )?(?:def|class) {exercise.name}\b", text, re.MULTILINE)
    return f"{os.path.relpath(path)}:{text.count(chr(10), 0, found.start()) + 1 if found else 1}"
