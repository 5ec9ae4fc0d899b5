"""What must agree: solutions, their examples, hidden tests, slips and wheats. Told early, in one sentence and with the line."""

from __future__ import annotations

import ast
from collections.abc import Iterable, Iterator
from pathlib import Path
from types import ModuleType

from exercises.kit import lessons as kit
from exercises.kit.checking import examples
from graders.authoring.source import DEFINITION, Exercise, Lesson, LessonError
from graders.judge.names import snake_case

_MARKS = ("slip", "wheat")


def check_agreement(lesson: Lesson) -> None:
    """Raise LessonError for a test class without exercise, an exercise without class, no or two main checks, and odd slips.

    A lesson for which there is no folder of hidden tests yet has nothing to agree with.
    """
    tests = lesson.path.parent.parent / "graders" / "lessons" / lesson.name
    if not tests.is_dir():
        return
    hidden = tests / f"test_{lesson.name}.py"
    if not hidden.is_file():
        raise LessonError(f"{lesson.path.name} has no hidden tests: write {hidden.relative_to(tests.parents[2])}")
    names = {exercise.name for exercise in lesson.exercises}
    classes = {_judged(node): node for node in _classes(hidden)}
    for name, node in classes.items():
        if name not in names:
            raise LessonError(f"{hidden.name}:{node.lineno}: {node.name} judges {name}, which {lesson.path.name} lacks")
        mains = sum(map(_is_main, node.body))
        if mains != 1:
            raise LessonError(
                f"{hidden.name}:{node.lineno}: {node.name} has {mains or 'no'} main checks (@main); it needs one"
            )
    for name in sorted(names - classes.keys()):
        raise LessonError(
            f"{lesson.path.name}:{line_of(lesson, name)}: {name} has no class of hidden tests in {hidden.name}"
        )
    for kind in _MARKS:
        for name, line in _marked(tests / f"{kind}s.py", kind):
            if name not in names:
                raise LessonError(f"{kind}s.py:{line}: a {kind} for {name}, which {lesson.path.name} lacks")


def check_examples(lesson: Lesson, solution: ModuleType, exercises: Iterable[Exercise]) -> None:
    """Raise LessonError for an example of some of a lesson's exercises that the solution does not give."""
    for each in exercises:
        asked = kit.Exercise(lesson.name, each.name, each.core, each.summary, each.examples)
        told = examples.run(asked, vars(solution))
        if told.outcome != "passed":
            where = f"{lesson.path.name}:{line_of(lesson, each.name)}"
            raise LessonError(
                f"{where}: an example of {each.name} is not what the solution gives: {' '.join(told.message.split())}"
            )


def line_of(lesson: Lesson, name: str) -> int:
    """Return the line on which an exercise's definition begins."""
    found = (node.lineno for node in _parsed(lesson.path).body if isinstance(node, DEFINITION) and node.name == name)
    return next(found, 1)


def _parsed(path: Path) -> ast.Module:
    try:
        return ast.parse(path.read_text(encoding="utf-8"))
    except SyntaxError as error:
        raise LessonError(f"{path.name}:{error.lineno}: does not parse: {error.msg}") from None


def _classes(path: Path) -> list[ast.ClassDef]:
    return [node for node in _parsed(path).body if isinstance(node, ast.ClassDef) and node.name.startswith("Test")]


def _judged(node: ast.ClassDef) -> str:
    for line in node.body:
        if isinstance(line, ast.Assign) and ast.unparse(line.targets[0]) == "exercise":
            return str(ast.literal_eval(line.value))
    return snake_case(node.name)


def _is_main(method: ast.stmt) -> bool:
    return isinstance(method, ast.FunctionDef) and "main" in map(ast.unparse, method.decorator_list)


def _marked(path: Path, kind: str) -> Iterator[tuple[str, int]]:
    """Yield the exercises that a file's slips or wheats are for, with their lines."""
    for node in _parsed(path).body if path.is_file() else []:
        for mark in getattr(node, "decorator_list", []):
            ours = isinstance(mark, ast.Call) and ast.unparse(mark.func) == kind and bool(mark.args)
            if ours and isinstance(mark.args[0], ast.Constant):
                yield str(mark.args[0].value), mark.lineno
