"""Which submissions are nearly the same, though it is not the answer that everybody gives.

Measured on what students wrote: of each exercise the definition without comments, docstrings, brackets and commas, its own
names made one, cut into runs of RUN tokens. Runs that the stub or the reference has do not count, nor those that more than
COMMON students have: many right answers are the same line. Two submissions are reported when they share at least LEAST of what
is left, in two exercises or more, and SHARE of what the one with fewer has. It is a reason to look, and no proof.
"""

from __future__ import annotations

import base64
import keyword
import re
import zlib
from collections import Counter, defaultdict
from collections.abc import Iterable
from itertools import combinations, pairwise

import numpy

RUN, COMMON, LEAST, SHARE = 8, 4, 40, 0.8
_FORM = "(),"  # may stand or not, where a formatter has been
# a text that never ends is one to the end: else each quote in it would be looked through to the end once more
_TOKEN = re.compile(
    r"""(?P<comment>\#[^\n]*)|(?P<text>[rRbBuUfF]{0,2}(?:\"\"\"(?:[^"\\]|\\.|"(?!""))*+(?:\"\"\")?|'''(?:[^'\\]|\\.|'(?!''))*+(?:''')?"""
    r"""|"(?:[^"\\\n]|\\.)*+"?|'(?:[^'\\\n]|\\.)*+'?))|(?P<name>[^\W\d]\w*)|(?P<number>\d[\w.]*)|(?P<space>\s+)|(?P<sign>.)""",
    re.DOTALL,
)


def tokens(code: str) -> list[str]:
    """Return the tokens of a text that need not be Python; a text alone on a line is a docstring, and left out."""
    found: list[str] = []
    line_begins = True
    for token in _TOKEN.finditer(code):
        kind, text = str(token.lastgroup), token.group()
        if kind == "space":
            line_begins |= "\n" in text
        elif kind != "comment" and text not in _FORM and not (kind == "text" and line_begins):
            own = kind == "name" and not keyword.iskeyword(text) and found[-1:] != ["."]
            text = text.strip("\"'") if kind == "text" else text
            found.append("n" if own and code[token.end() : token.end() + 1] != "(" else text)
            line_begins = False
    return found


def runs(exercise: str, code: str) -> set[int]:
    """Return the runs of an answer to an exercise, as numbers of 32 bits."""
    those = tokens(code)
    return {
        zlib.crc32("\0".join([exercise, *those[at : at + RUN]]).encode(errors="replace"))
        for at in range(len(those) - RUN + 1)
    }


def packed(numbers: set[int]) -> str:
    """Return runs as they are kept in a file."""
    return base64.b64encode(numpy.array(sorted(numbers), "<u4").tobytes()).decode()


def pairs(submissions: Iterable[tuple[str, dict[str, str]]]) -> list[tuple[str, str, int, int, list[str]]]:
    """Return pairs of students whose work on one lesson is nearly the same, the most alike first.

    submissions: each student with the packed runs of each exercise. A pair has the number of runs that both have, that of the one
    who has fewer, and the exercises.
    """
    students: list[str] = []
    names: dict[str, int] = {}
    columns: list[numpy.ndarray] = [numpy.zeros((0, 3), numpy.int64)]
    for at, (student, by_exercise) in enumerate(submissions):
        students.append(student)
        for exercise, text in by_exercise.items():
            those = numpy.frombuffer(base64.b64decode(text), "<u4").astype(numpy.int64)
            number = names.setdefault(exercise, len(names))
            columns.append(numpy.column_stack([those, numpy.full_like(those, at), numpy.full_like(those, number)]))
    table = numpy.concatenate(columns)
    _, which, counts = numpy.unique(table[:, 0], return_inverse=True, return_counts=True)
    table, counts = table[counts[which] <= COMMON], counts[which][counts[which] <= COMMON]
    totals = numpy.bincount(table[:, 1], minlength=len(students))
    shared = table[counts > 1]
    return _reported(shared[numpy.argsort(shared[:, 0], kind="stable")], totals, students, list(names))


def _reported(
    table: numpy.ndarray, totals: numpy.ndarray, students: list[str], exercises: list[str]
) -> list[tuple[str, str, int, int, list[str]]]:
    together: Counter[tuple[int, int]] = Counter()
    places: dict[tuple[int, int], set[int]] = defaultdict(set)
    begins = [0, *(numpy.flatnonzero(numpy.diff(table[:, 0])) + 1).tolist(), len(table)]
    for begin, end in pairwise(begins):
        for one, other in combinations(sorted(table[begin:end, 1].tolist()), 2):
            together[one, other] += 1
            places[one, other].add(int(table[begin, 2]))
    found = []
    for (one, other), count in together.items():
        fewer = int(min(totals[one], totals[other]))
        if count >= LEAST and len(places[one, other]) > 1 and count >= SHARE * fewer:
            found.append(
                (students[one], students[other], count, fewer, [exercises[at] for at in sorted(places[one, other])])
            )
    return sorted(found, key=lambda pair: (-pair[2] / pair[3], pair[:2]))
