"""Exercises by the name that a student types."""

from difflib import get_close_matches

from exercises.kit.lessons import Exercise, KitError, lessons


def find(name: str) -> Exercise:
    """Return the exercise `name` or `lesson::name`; KitError, with what is near, if there is none."""
    lesson, _, short = name.rpartition("::")
    known = [each for found in lessons().values() for each in found.exercises]
    for exercise in known:
        if exercise.name == short and exercise.lesson.startswith(lesson.rpartition("/")[2].removesuffix(".py")):
            return exercise
    near = get_close_matches(short, [each.name for each in known], 1)
    raise KitError(f"There is no exercise {name}." + (f" Do you mean {near[0]}?" if near else ""))
