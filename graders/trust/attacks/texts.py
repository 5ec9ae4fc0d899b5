"""The submissions that attacks are packed into: an honest one, with the attack in the place that its kind says."""

from __future__ import annotations

import ast
import functools
import inspect
import re
import textwrap

import nbformat

from graders import ROOT, lessons
from graders.trust.attacks import Attack


@functools.cache
def honest(lesson: str) -> str:
    """Return the text of a lesson's solutions."""
    return (ROOT / "solutions" / f"{lesson}.py").read_text(encoding="utf-8")


@functools.cache
def attacked(lesson: str) -> str:
    """Return the exercise that is attacked: the first that no other one of the solutions uses, and would fall with."""
    used = set()
    for definition in ast.parse(honest(lesson)).body:
        names = {node.id for node in ast.walk(definition) if isinstance(node, ast.Name)}
        used |= names - {getattr(definition, "name", "")}
    return next(name for name in lessons.exercises(lesson) if name not in used)


def text_of(attack: Attack, lesson: str, right: str) -> str:
    """Return the submission of an attack on a lesson; `right` is that of somebody honest."""
    names, first = lessons.exercises(lesson), attacked(lesson)
    if attack.kind == "everywhere":
        return "\n\n".join(f"# %%\n{_code(attack, name)}" for name in names)
    if attack.kind == "at_import":
        unsolved = "\n\n\n".join(f"def {name}(*args, **kwargs):\n    return None" for name in names)
        return f"# %%\n{_code(attack, 'attack')}\n\n\nattack()\n\n\n{unsolved}\n"
    if attack.kind == "in_one":
        return f"{right}\n\n# %%\n{_code(attack, first)}\n"
    beside = (
        f"_honest = {first}\n\n\ndef {first}(*args, **kwargs):\n    attack(*args)\n    return _honest(*args, **kwargs)"
    )
    return f"{right}\n\n# %%\n{_code(attack, 'attack')}\n\n\n{beside}\n"


def _code(attack: Attack, name: str) -> str:
    """Return the attack as the definition of `name`, without its mark."""
    if isinstance(attack.code, str):
        return attack.code.replace("EXERCISE", name)
    tree = ast.parse(textwrap.dedent(inspect.getsource(attack.code)))
    definition = tree.body[0]
    assert isinstance(definition, ast.FunctionDef)
    definition.name, definition.decorator_list = name, []
    known = f"from typing import Any\nEXERCISE, LESSONS = {name!r}, {lessons.names()!r}"
    definition.body[:0] = ast.parse(known).body
    return ast.unparse(tree).replace(
        f"def {name}(*args: Any, **kwargs: Any) -> Any:", f"def {name}(*args, **kwargs):", 1
    )


def as_notebook(text: str) -> bytes:
    """Return a submission of `# %%` cells as a notebook."""
    cells = re.split(r"(?m)^# %%.*$", text)
    made = nbformat.v4.new_notebook(
        cells=[nbformat.v4.new_code_cell(cell.strip("\n")) for cell in cells if cell.strip()]
    )
    return nbformat.writes(made, version=4).encode(errors="surrogatepass")
