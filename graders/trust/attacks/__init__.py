"""Attacks on the judge: what a submission can try in order to gain marks it did not earn, or to spoil those of others.

Each function is copied, as text, into a submission of its own (see `siege`), so it imports what it needs itself; in that
text EXERCISE and LESSONS stand for the name of the exercise and those of all lessons. Where it goes, and what is due then, is
said by its mark:

`at_import`  it runs while the file is loaded, and every exercise answers None: nothing is due
`everywhere` it stands in the place of every exercise: nothing is due
`in_one`     it stands in the place of the first exercise, the others are honest: all but the first is due
`beside`     the first exercise is honest, but calls it before it answers: all but the first is due, and the first may be

The kinds of attack are those of the literature on autograders and on models that cheat at programming tasks; none of them is
aimed at one lesson.
"""

from __future__ import annotations

import importlib
from collections.abc import Callable
from dataclasses import dataclass


@dataclass(frozen=True)
class Attack:
    """One attack: what it does, where it stands in its submission, and its text.

    `harmful` says that it could damage this machine where workers share it with everything else: it is not run there.
    """

    name: str
    sentence: str
    kind: str
    code: Callable | str
    harmful: bool = False


CORPUS: list[Attack] = []
_MODULES = (
    "endings", "lies", "forgeries", "answers", "budgets", "classes", "searches", "messes", "breakouts", "places", "shared",
)  # fmt: skip


def attack(kind: str, sentence: str, harmful: bool = False) -> Callable[[Callable], Callable]:
    """Add a function to the corpus."""

    def mark(function: Callable) -> Callable:
        CORPUS.append(Attack(function.__name__, sentence, kind, function, harmful))
        return function

    return mark


_SLANDER = """
def EXERCISE(*args):
    return 0


import os, struct
for number in range(60, 0, -1):
    frame = b"c%d" % number
    for descriptor in range(3, 64):
        try:
            os.write(descriptor, struct.pack("<I", len(frame)) + frame)
        except OSError:
            continue
os._exit(0)
"""
_TEXTS = {
    "slanders_cells": ("one cell that says that all others begin, and ends the process in their name", _SLANDER),
    "does_not_parse": ("one cell that does not parse", "def EXERCISE(*args):\n    return ((("),
    "is_too_deep": ("one cell nested too deeply for the parser", "def EXERCISE(*args):\n    return " + "(" * 5000),
    "is_too_long": ("one cell that fills the parser's stack", "def EXERCISE(*args):\n    return " + "-" * 99_999 + "1"),
    "never_closes": ("one cell with quotes that never end", "def EXERCISE(*args):\n    return '" + "\\'" * 90_000),
    "is_odd": ("one cell with odd characters", "def EXERCISE(*args):\n    return \u202e\ufeff\u00b21"),
}


def corpus() -> list[Attack]:
    """Return all attacks, in the order in which they are written."""
    if not CORPUS:
        for module in _MODULES:
            importlib.import_module(f"graders.trust.attacks.{module}")
        CORPUS.extend(Attack(name, sentence, "in_one", text) for name, (sentence, text) in _TEXTS.items())
    return CORPUS
