"""The maps from the sentences of statements to the checks that hold them."""

from __future__ import annotations

import ast

import pytest

from exercises.kit.lessons import lessons as student_lessons
from graders import lessons
from graders.trust import promises
from graders.trust.promises import EXPLAINS, problems

EVERYWHERE = ["test_leaves_nothing_behind"]


def checks_of(lesson: str) -> dict[str, list[str]]:
    tree = ast.parse(lessons.hidden_tests(lesson).read_text())
    classes = [node for node in tree.body if isinstance(node, ast.ClassDef) and node.name.startswith("Test")]
    return {
        name: EVERYWHERE + [part.name for part in owner.body if isinstance(part, ast.FunctionDef)]
        for name, owner in zip(lessons.exercises(lesson), classes, strict=True)
    }


@pytest.mark.parametrize("lesson", lessons.names())
def test_every_exercise_maps_its_sentences_to_checks_that_exist(lesson: str) -> None:
    found = promises.promises(lesson)
    statements = {each.name: each.examples for each in student_lessons()[lesson].exercises}
    assert found is not None
    assert problems(found, statements, checks_of(lesson)) == []


def test_what_is_wrong_with_a_map_is_said() -> None:
    statements = {"halve": "Return half of x.\nx: a float.", "double": "Return x + x."}
    checks = {"halve": ["test_half"], "double": ["test_double"]}
    right = {"halve": [("Return half of x. x: a float.", "test_half")], "double": [("Return x + x.", EXPLAINS)]}
    assert problems(right, statements, checks) == []
    wrong = {"halve": [("Return a third.", "test_half"), ("x: a float.", "test_third")], "treble": []}
    assert problems(wrong, statements, checks) == [
        "double: no sentence of its statement is mapped to a check",
        "halve: its statement does not say 'Return a third.'",
        "halve: there is no check test_third (for 'x: a float.')",
        "treble is no exercise of the lesson",
    ]
