"""Answers as a class would write them, as text: the reference, honest variants, recognised mistakes, nothing.

They are cut out of the lessons' own files: the definition under the exercise's name, with the imports and helpers that it
needs in front of it. Nothing is imported or run for it.
"""

from __future__ import annotations

import ast
import re
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from graders import ROOT, lessons

RIGHT, SLIP, UNTOUCHED = "right", "slip", "not started"
_MARKERS = re.compile(r"^ *### (?:BEGIN|END) SOLUTION\n", re.MULTILINE)
Definition = ast.FunctionDef | ast.ClassDef


@dataclass(frozen=True)
class Answer:
    """The text of one exercise's cell; `sentence` is the hint that is due to a recognised mistake."""

    exercise: str
    kind: str
    name: str
    text: str
    sentence: str = ""


@cache
def of_lesson(lesson: str) -> dict[str, list[Answer]]:
    """Return for each exercise every answer that can stand in a file of its own: the reference first, then variants, then slips."""
    solution = _Source(ROOT / "solutions" / f"{lesson}.py")
    found: dict[str, list[Answer]] = {}
    for exercise in lessons.exercises(lesson):
        text = _MARKERS.sub("", solution.text_of(solution.definitions[exercise]))
        found[exercise] = [Answer(exercise, RIGHT, "reference", text)]
    for module, mark, kind in (("wheats", "wheat", RIGHT), ("slips", "slip", SLIP)):
        path = lessons.hidden_tests(lesson).with_name(f"{module}.py")
        source = _Source(path) if path.exists() else None
        for name, said in source.marked(mark) if source else ():
            exercise, sentence = said[0], said[1] if kind == SLIP else ""
            alone = source.alone(name, exercise, solution) if source else None
            if alone is not None:
                found[exercise].append(Answer(exercise, kind, name, alone, sentence))
    return found


class _Source:
    """A Python file, and its definitions, imports and constants by the names that they bind."""

    def __init__(self, path: Path) -> None:
        self.text = path.read_text(encoding="utf-8")
        self._lines = self.text.split("\n")
        tree = ast.parse(self.text)
        self.definitions = {node.name: node for node in tree.body if isinstance(node, Definition)}
        self._bound: dict[str, ast.stmt] = dict(self.definitions)
        for node in tree.body:
            for name in _binds(node):
                self._bound[name] = node

    def text_of(self, node: ast.stmt) -> str:
        """Return the lines of a statement, without decorators."""
        return "\n".join(self._lines[node.lineno - 1 : node.end_lineno]) + "\n"

    def marked(self, mark: str) -> list[tuple[str, list[str]]]:
        """Return the definitions under a mark such as `@slip(...)`: their names and the texts in the mark."""
        found = []
        for name, node in self.definitions.items():
            for call in node.decorator_list:
                if isinstance(call, ast.Call) and isinstance(call.func, ast.Name) and call.func.id == mark:
                    found.append((name, [self._value(argument) for argument in call.args]))
        return found

    def _value(self, node: ast.expr) -> str:
        """Return a text that is written there, or the constant of the file that is named there."""
        bound = self._bound.get(node.id) if isinstance(node, ast.Name) else None
        return str(ast.literal_eval(bound.value if isinstance(bound, ast.Assign) else node))

    def alone(self, name: str, exercise: str, solution: _Source) -> str | None:
        """Return a definition under the exercise's name, behind what it needs; None if that is the solution of the exercise."""
        parts: dict[str, str] = {}
        waiting = [name]
        while waiting:
            known = waiting.pop(0)
            node = self._bound[known]
            if isinstance(node, ast.ImportFrom) and str(node.module).startswith("solutions."):
                alias = next(alias for alias in node.names if known in (alias.asname, alias.name))
                if alias.name == exercise:
                    return None
                if alias.asname:  # else it is the name of an exercise, which the same file answers
                    text = _MARKERS.sub("", solution.text_of(solution.definitions[alias.name]))
                    parts[known] = re.sub(rf"\b{alias.name}\b", known, text)
                continue
            if not (isinstance(node, ast.ImportFrom) and str(node.module).startswith("graders.")):
                parts[known] = self._import(node, known) or self.text_of(node)
            used = {each.id for each in ast.walk(node) if isinstance(each, ast.Name)} & self._bound.keys()
            waiting += sorted(used - {"slip", "wheat"} - parts.keys() - set(waiting))
        own = re.sub(rf"\b{name}\b", exercise, parts.pop(name))
        imports = sorted(text for text in parts.values() if text.startswith(("import ", "from ")))
        order = {known: self._bound[known].lineno for known in parts}
        others = [parts[known] for known in sorted(parts, key=order.__getitem__) if parts[known] not in imports]
        return "\n\n".join(["".join(imports), *others, own]).lstrip("\n")

    def _import(self, node: ast.stmt, name: str) -> str:
        """Return the import of one name out of those of a statement, "" if it is none."""
        if not isinstance(node, ast.Import | ast.ImportFrom):
            return ""
        alias = next(alias for alias in node.names if name == (alias.asname or alias.name.split(".")[0]))
        return ast.unparse(type(node)(**{**vars(node), "names": [alias]})) + "\n"


def _binds(node: ast.stmt) -> list[str]:
    if isinstance(node, ast.Import | ast.ImportFrom):
        return [alias.asname or alias.name.split(".")[0] for alias in node.names]
    if isinstance(node, ast.Assign):
        return [each.id for target in node.targets for each in ast.walk(target) if isinstance(each, ast.Name)]
    return [node.target.id] if isinstance(node, ast.AnnAssign) and isinstance(node.target, ast.Name) else []
