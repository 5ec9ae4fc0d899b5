"""A realistic class: solutions in which half of the answers are known mistakes."""

from __future__ import annotations

import ast
import builtins
import random
from functools import cache

from graders import ROOT, lessons

_DEFINITION = (ast.FunctionDef, ast.ClassDef)


def half_wrong(lesson: str, dice: random.Random, mark: str = "") -> bytes:
    """Return a lesson's solutions with half of the exercises (fewer where there are no slips) done wrong, as a `.py` file.

    mark: a comment that makes it another file than the others.
    """
    text = (ROOT / "solutions" / f"{lesson}.py").read_text(encoding="utf-8")
    slips = _slips(lesson)
    count = min(len(slips), len(lessons.exercises(lesson)) // 2)
    chosen = {name: dice.choice(slips[name]) for name in dice.sample(sorted(slips), count)}
    lines = text.splitlines()
    for node in reversed(ast.parse(text).body):
        if isinstance(node, _DEFINITION) and node.name in chosen:
            lines[node.lineno - 1 : node.end_lineno] = chosen[node.name].splitlines()
    return "\n".join([*lines, f"# {mark}", ""]).encode()


@cache
def _slips(lesson: str) -> dict[str, list[str]]:
    """Return the sources of those slips that need no names but the solutions', by exercise."""
    known = set(dir(builtins))
    for node in ast.walk(ast.parse((ROOT / "solutions" / f"{lesson}.py").read_text(encoding="utf-8"))):
        known |= _bound(node)
    found: dict[str, list[str]] = {}
    for node in ast.parse((lessons.hidden_tests(lesson).parent / "slips.py").read_text(encoding="utf-8")).body:
        mark = node.decorator_list[0] if isinstance(node, _DEFINITION) and node.decorator_list else None
        if not isinstance(node, _DEFINITION) or not isinstance(mark, ast.Call) or ast.unparse(mark.func) != "slip":
            continue
        node.name, node.decorator_list = ast.literal_eval(mark.args[0]), []
        used = {each.id for each in ast.walk(node) if isinstance(each, ast.Name) and isinstance(each.ctx, ast.Load)}
        if not used - known - set[str]().union(*map(_bound, ast.walk(node))):
            found.setdefault(node.name, []).append(ast.unparse(node))
    return found


def _bound(node: ast.AST) -> set[str]:
    """Return the names that one node of a syntax tree binds."""
    if isinstance(node, _DEFINITION):
        return {node.name}
    if isinstance(node, ast.Import | ast.ImportFrom):
        return {(alias.asname or alias.name).split(".")[0] for alias in node.names}
    if isinstance(node, ast.Name) and not isinstance(node.ctx, ast.Load):
        return {node.id}
    if isinstance(node, ast.arg):
        return {node.arg}
    return {node.name} if isinstance(node, ast.ExceptHandler) and node.name else set()
