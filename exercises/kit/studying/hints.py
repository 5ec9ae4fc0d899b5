"""Hints on request, one step further each time: a question, what to look up, and the shape of the answer."""

from pathlib import Path

from exercises.kit.studying import memory
from exercises.kit.studying.finding import find

_KINDS = ("a question", "what to look up", "the shape of the answer")


def next_hint(name: str, place: Path = memory.PLACE) -> str:
    """Return the next hint for an exercise as text; after the last one, all of them. KitError for an unknown name."""
    exercise = find(name)
    steps = exercise.steps
    if not steps:
        return f"{exercise.name} has no hints; its examples and the text above it say all there is."
    kept = memory.recall(place)
    key = f"{exercise.lesson}::{exercise.name}"
    read = kept["hints"].get(key, 0)
    read = read if isinstance(read, int) and 0 <= read <= len(steps) else 0
    if read == len(steps):
        return "\n".join(f"{exercise.name}, hint {number}: {step}" for number, step in enumerate(steps, 1))
    memory.remember(kept | {"hints": kept["hints"] | {key: read + 1}}, place)
    more = "ask again for the next one" if read + 1 < len(steps) else "that was the last one"
    return f"{exercise.name}, hint {read + 1} of {len(steps)}, {_KINDS[read]}:\n  {steps[read]}\n({more})"
