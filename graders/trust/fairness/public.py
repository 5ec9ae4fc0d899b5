"""Whether the public check and the hidden tests say the same: what is right is green, what is wrong should be red.

`python -m graders.trust.fairness.public [LESSON...]` prints what is right and red, and what is wrong and green on the examples.
"""

from __future__ import annotations

import contextlib
import io
import itertools
import sys
from collections.abc import Iterator
from typing import Any

from exercises.kit.checking.examples import Result, run
from exercises.kit.lessons import lessons as student_lessons
from graders import lessons
from graders.judge.contract import slips_of, wheats_of
from graders.trust.fairness import outside

# What is wrong and green, by the reason why no example sees it: lesson -> "exercise: name".
UNSEEN: dict[str, dict[str, list[str]]] = {
    "an error's text may be worded in many ways: what stands beside what is told by more than an example": {
        "l4_quantization_theory": [
            "choose_precision: reasons_not_told_apart",
            "choose_precision: both_limits_beside_each",
            "choose_precision: outside both_always",
        ]
    },
    "files are the student's own: what is missing in them shows in the example of load_quantized, which reads them": {
        "l4_quantization_theory": ["save_quantized: saved_without_buffers", "save_quantized: map_missing"]
    },
    "the public model has no answer that is long enough": {
        "l4_quantization_theory": ["exact_match: outside eight_tokens"]
    },
    "it takes a model that was made to tell it apart": {
        "l8_capstone": [
            "smallest_model: outside a_buffer_more",
            "smallest_model: outside hook_gives_float_logits",
            "smallest_model: outside same_for_each_budget",
            "smallest_model: outside the_float_weights_in_attributes",
            "smallest_model: outside the_model_it_was_trained_as",
        ]
    },
    "it takes a plan of many layers": {"l8_capstone": ["plan_mixed_precision: outside by_size_first"]},
}


def variants(lesson: str) -> Iterator[tuple[str, str, bool, dict[str, Any]]]:
    """Yield every wheat, slip and outside case: exercise, name, whether it is right, and its namespace."""
    loaded = lessons.load(lesson)
    wheats, solution = lessons.wheats(lesson), vars(loaded.solution)
    for right, found in (
        (True, wheats_of(wheats) if wheats else []),
        (False, slips_of(loaded.slips) if loaded.slips else []),
    ):
        for one in found:
            exercise: str = one.exercise  # type: ignore[attr-defined]
            yield exercise, one.__name__, right, solution | {exercise: one}
    for case in outside.cases(lesson):
        yield case.exercise, f"outside {case.name}", case.right, case.space(loaded.solution)


def seen(lesson: str, exercise: str, space: dict[str, Any]) -> Result:
    """Return what the public check says of an exercise in a namespace."""
    known = next(each for each in student_lessons()[lesson].exercises if each.name == exercise)
    with contextlib.redirect_stdout(io.StringIO()):
        return run(known, space)


def contradictions(lesson: str, every: int = 1) -> dict[str, list[str]]:
    """Return what is right and red, and what is wrong and green, each as "exercise: name"; of all, or every so-manieth."""
    found: dict[str, list[str]] = {"right and red": [], "wrong and green": []}
    for exercise, name, right, space in itertools.islice(variants(lesson), 0, None, every):
        green = seen(lesson, exercise, space).outcome == "passed"
        if green is not right:
            found["right and red" if right else "wrong and green"].append(f"{exercise}: {name}")
    return found


def unseen(lesson: str) -> list[str]:
    """Return what is listed in `UNSEEN` for a lesson, as `contradictions` names it."""
    return [name for lessons_of in UNSEEN.values() for name in lessons_of.get(lesson, [])]


def main(names: list[str]) -> None:
    """Print the contradictions of some lessons, of all if none is named."""
    for lesson in names or lessons.names():
        for kind, found in contradictions(lesson).items():
            print(f"{lesson}: {len(found)} {kind}", *found, sep="\n  ")


if __name__ == "__main__":
    main(sys.argv[1:])
