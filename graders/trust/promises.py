"""Whether every sentence of a statement is checked: the maps beside the lessons, and what is wrong with them.

`graders/lessons/<lesson>/promises.py` holds one plain dict, `PROMISES`: exercise -> list of (sentence, check). The sentence
stands in the exercise's docstring, the check is a method of its test class, or one that every exercise has
(`graders.judge.left_behind`). A sentence that promises nothing (a source, a remark) has the check `EXPLAINS`.
"""

from __future__ import annotations

import importlib
import importlib.util
from collections.abc import Iterable, Mapping

EXPLAINS = "-"
Promises = Mapping[str, list[tuple[str, str]]]


def promises(lesson: str) -> Promises | None:
    """Return a lesson's map from sentences to checks, None if it has none."""
    module = f"graders.lessons.{lesson}.promises"
    return importlib.import_module(module).PROMISES if importlib.util.find_spec(module) else None


def problems(found: Promises, statements: Mapping[str, str], checks: Mapping[str, Iterable[str]]) -> list[str]:
    """Return what is wrong with a map, a line each.

    `statements`: the docstring of each exercise. `checks`: the names of its checks.
    """
    wrong = [f"{name}: no sentence of its statement is mapped to a check" for name in statements if not found.get(name)]
    for name, pairs in found.items():
        if name not in statements:
            wrong.append(f"{name} is no exercise of the lesson")
            continue
        for sentence, check in pairs:
            if _words(sentence) not in _words(statements[name]):
                wrong.append(f"{name}: its statement does not say {sentence!r}")
            if check != EXPLAINS and check not in checks[name]:
                wrong.append(f"{name}: there is no check {check} (for {sentence!r})")
    return wrong


def _words(text: str) -> str:
    return " ".join(text.split())
