"""The end of a lesson: what it taught, and its picture, drawn with the student's own functions."""

from pathlib import Path
from typing import Any

from exercises.kit.checking import loading
from exercises.kit.checking.alarm import Stopped, time_limit
from exercises.kit.lessons import KitError, Lesson, lessons
from exercises.kit.studying.answers import FOLDER


def learnt(entries: list[dict[str, Any]], fresh: list[str]) -> list[str]:
    """Return a sentence for each lesson of the screen whose core became complete with one of `fresh` ("lesson::exercise")."""
    if not fresh:
        return []
    from exercises.kit.lesson_pictures import LEARNT

    told = []
    for name in dict.fromkeys(entry["lesson"] for entry in entries):
        core = {each.name for each in lessons()[name].exercises if each.core}
        right = {entry["name"] for entry in entries if entry["lesson"] == name and entry["outcome"] == "passed"}
        if name in LEARNT and core <= right and any(f"{name}::{each}" in fresh for each in core):
            offer = f"`pytest exercises/ --picture {name}` draws it with your own functions."
            told.append(f"{name}, core done: {LEARNT[name]}. {offer}")
    return told


def drawn(name: str, seconds: float, folder: Path = FOLDER) -> list[str]:
    """Draw a lesson's picture with the functions in its `.py` file into an SVG beside it; return where it is, and its words.

    KitError for an unknown lesson, and while what the picture needs is not right.
    """
    from exercises.kit.lesson_pictures import DRAWINGS

    lesson = _find(name)
    space = loading.loaded(folder / f"{lesson.name}.py", lesson.name, seconds)
    missing: list[str] = []
    for needed, draw in DRAWINGS.get(lesson.name, []):
        asked = [each for each in lesson.exercises if each.name in needed]
        wrong = [each.name for each in asked if loading.result_of(each, space, seconds).outcome != "passed"]
        if not wrong:
            try:
                with time_limit(seconds, space):
                    figure = draw(space)
            except (Exception, Stopped) as error:  # right on the examples is not right on everything
                told = f"{type(error).__name__}: {error}".splitlines()[0]
                raise KitError(f"Your {', '.join(needed)} did not get through the picture: {told:.100}") from error
            made = folder / f"picture_{lesson.name}.svg"
            figure.savefig(made, metadata={"Description": figure.alt, "Date": None})
            return [f"The picture is in {made.relative_to(folder.parent)}.", figure.alt]
        missing = wrong
    raise KitError(
        f"The picture of {lesson.name} needs {', '.join(missing)} first."
        if missing
        else f"{lesson.name} has no picture."
    )


def _find(name: str) -> Lesson:
    found = [each for each in lessons().values() if each.name.startswith(Path(name).stem)]
    if len(found) != 1:
        raise KitError(f"There is no lesson {name}; there are {', '.join(lessons())}.")
    return found[0]
