"""The reference beside one's own answer, where `solutions/` is there, and once one's own is right.

What is said of the two is counted while both run the exercise's examples; the solution is read as a file, never imported.
"""

import ast
import doctest
from collections import Counter
from pathlib import Path
from typing import Any

from exercises.kit.checking import loading
from exercises.kit.checking.alarm import time_limit
from exercises.kit.lessons import Exercise, KitError
from exercises.kit.studying import judging
from exercises.kit.studying.answers import FOLDER, answer_in, begun_in
from exercises.kit.studying.finding import find

_COPIES = ("aten::clone", "aten::_to_copy", "aten::copy_")
_LOOPS = (ast.For, ast.While, ast.ListComp, ast.SetComp, ast.DictComp, ast.GeneratorExp)


def compared(name: str, seconds: float, folder: Path = FOLDER) -> list[str]:
    """Return the lines that show one's own answer, the reference, and a difference between them that was counted.

    KitError where the answer is not right yet, or there are no solutions.
    """
    exercise = find(name)
    source = folder.parent / "solutions" / f"{exercise.lesson}.py"
    if not source.is_file():
        raise KitError("The solutions are no part of this kit: there is nothing to compare with.")
    own = folder / f"{exercise.lesson}.py"
    if own not in begun_in(exercise, folder):
        raise KitError(f"{exercise.name} is not started in {own.name} yet; the reference is shown once it is right.")
    answer = loading.loaded(own, own.name, seconds)
    _refuse_wrong(exercise, answer, own, seconds)
    texts = [_body(path.read_text(encoding="utf-8"), exercise.name) for path in (own, source)]
    counts = [_counted(exercise, space, seconds) for space in (answer, loading.loaded(source, source.name, seconds))]
    mine, theirs = (text.splitlines() for text in texts)
    return ["yours:", *mine, "", "the reference:", *theirs, "", difference(*texts, *counts)]


def _refuse_wrong(exercise: Exercise, space: dict[str, Any], own: Path, seconds: float) -> None:
    """KitError unless the examples are right and, where it can be asked, the judge says so too."""
    result = loading.result_of(exercise, space, seconds)
    if result.outcome != "passed":
        raise KitError(f"the reference is shown once {exercise.name} is right.\n{result.message}")
    if judging.is_right(exercise.lesson, exercise.name, own) or not judging.is_there():
        return
    verdict = judging.judged([f"{own}::{exercise.name}"])[exercise.lesson, exercise.name]
    if verdict["outcome"] != "passed":
        raise KitError(f"the reference is shown once {exercise.name} is right; {judging.told(verdict)}")
    judging.note(own, [exercise.name])


def _body(source: str, name: str) -> str:
    """The definition without its docstring and the markers of nbgrader."""
    place = answer_in(source, name)
    assert place is not None
    lines = source.split("\n")[slice(*place)]
    node = ast.parse("\n".join(lines)).body[0]
    assert isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef)
    if ast.get_docstring(node) is not None:
        text = node.body[0]
        del lines[text.lineno - 1 : text.end_lineno]
    kept = [line for line in lines if not line.strip().startswith("### ") and line.strip() != "# YOUR CODE HERE"]
    return "\n".join(kept).rstrip()


def _counted(exercise: Exercise, space: dict[str, Any], seconds: float) -> Counter[str]:
    """Return how often each of torch's operations ran inside the exercise while its examples were evaluated."""
    from torch.utils._python_dispatch import TorchDispatchMode

    from exercises.kit.checking.examples import NAMES

    class Counting(TorchDispatchMode):
        def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
            found[func.name().partition(".")[0]] += 1
            return func(*args, **(kwargs or {}))

    def watched(*args: Any, **kwargs: Any) -> Any:
        with Counting():
            return function(*args, **kwargs)

    found: Counter[str] = Counter()
    function = space[exercise.name]
    names = {**space, **NAMES, exercise.name: function if isinstance(function, type) else watched}
    with time_limit(seconds, space):
        for example in doctest.DocTestParser().get_examples(exercise.examples):
            try:
                exec(compile(example.source, "<example>", "exec"), names)
            except Exception:
                if example.exc_msg is None:
                    raise
    return found


def difference(own: str, theirs: str, mine: Counter[str], reference: Counter[str]) -> str:
    """Return in one sentence how two right answers differ: by loops, operations, copies or length, whichever comes first."""
    loops, others = (_loops(text) for text in (own, theirs))
    if bool(loops) != bool(others):
        who, other = ("yours", "the reference") if loops else ("the reference", "yours")
        return f"The difference: {who} loops in Python, {other} does not{_operations(mine, reference)}."
    if mine.total() != reference.total():
        return f"The difference{_operations(mine, reference).replace(';', ':', 1)}."
    left, right = (sum(bool(line.strip()) for line in text.splitlines()) for text in (own, theirs))
    same = (
        f"both run {mine.total()} operations of torch on the examples"
        if mine.total()
        else "both compute without tensors"
    )
    return (
        f"The difference: {same}; yours has {left} lines, the reference {right}."
        if left != right
        else f"No difference: {same}."
    )


def _loops(text: str) -> int:
    return sum(isinstance(node, _LOOPS) for node in ast.walk(ast.parse(text)))


def _operations(mine: Counter[str], reference: Counter[str]) -> str:
    if mine.total() == reference.total():
        return ""
    copies = [sum(each[name] for name in _COPIES) for each in (mine, reference)]
    of_them = f" ({copies[0]} and {copies[1]} of them copies)" if copies[0] != copies[1] else ""
    return (
        f"; on the examples yours runs {mine.total()} operations of torch, the reference {reference.total()}{of_them}"
    )
