"""A class that does not exist, to see a real report with: right, partial, wrong in recognised ways, broken, hostile, late.

The same arguments give the same files. Who hands in what is dealt by a generator with a seed; every recognised mistake that can
stand in a file of its own comes up once before one comes up again, except that the first of each exercise is a frequent one.
"""

from __future__ import annotations

import ast
import csv
import io
import json
import random
import re
import shlex
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import Any

from graders import ROOT, lessons
from graders.authoring.files import write_all
from graders.bench import answers
from graders.bench.answers import RIGHT, SLIP, UNTOUCHED, Answer
from graders.bench.handing_in import LAYOUTS, HandedIn, Person, arranged
from graders.errors import Problem
from graders.trust.attacks import corpus
from graders.trust.attacks.texts import text_of

_FIRST = (
    "Ada", "Björn", "Chidi", "Daria", "Emre", "Fatima", "Goran", "Hana", "Ilse", "José", "Kofi", "Lena", "Mei", "Noor",
    "Olu", "Priya", "Quentin", "Rosa", "Sven", "Tomás", "Uma", "Vera", "Wei", "Ximena", "Yusuf", "Zoë",
)  # fmt: skip
_LAST = (
    "Adams", "Berg", "Costa", "Diaz", "Ek", "Fischer", "Gupta", "Haas", "Ito", "Jensen", "Kaya", "Lund", "Mora", "Nagy",
    "Okafor", "Petrov", "Quist", "Reyes", "Sato", "Turner", "Umar", "Vidal", "Weber", "Xu", "Young", "Zhang",
)  # fmt: skip
_BROKEN = {
    "a notebook that is cut off": ("l.ipynb", b'{"cells": [{"cell_type": "code", "source": ["def dot'),
    "a PDF of the notebook": ("homework.pdf", b"%PDF-1.4\n% not a notebook\n"),
    "an empty file": ("l.py", b""),
    "an archive that is none": ("homework.zip", b"not a zip"),
}
# of the attacks those that end soon, since a class is graded to look at its report; `trust` tries them all
_ATTACKS = (
    "leaves_at_import", "ends_in_call", "always_equal", "imports_solutions", "forges_messages", "patches_comparisons",
    "vandalises", "crashes",
)  # fmt: skip
_PEEK = """    import gc
    import sys

    from exercises.kit.probes import common

    known = [each for each in gc.get_objects() if callable(each)], vars(common), sys._getframe(1).f_globals
"""
_ENDLESS = "    while True:\n        pass\n"


@dataclass(frozen=True)
class Sample:
    """What one person hands in for one lesson: of what kind it is, and what stands for each exercise, where that is known."""

    person: Person
    lesson: str
    kind: str
    given: dict[str, Answer] = field(default_factory=dict)


def write(
    directory: Path,
    students: int = 120,
    names: Sequence[str] = ("l2_data_types",),
    seed: str = "sample",
    layouts: Iterable[str] = LAYOUTS,
) -> list[Sample]:
    """Write a class into `directory`: what it hands in under `handed_in/`, and `roster.csv`; return what each handed in.

    Raises Problem for an unknown lesson and for a folder that holds something already.
    """
    unknown = [name for name in names if name not in lessons.names()]
    if unknown:
        raise Problem(f"there is no lesson {unknown[0]}; there are {', '.join(lessons.names())}")
    if directory.exists() and (not directory.is_dir() or any(directory.iterdir())):
        raise Problem(f"{directory} is there already; name a new folder")
    people = _people(students + 2)  # two of whom hand in nothing
    dealt = [_Dealer(name, seed).deal(people[:students]) for name in names]
    handed_in = []
    for at, person in enumerate(people[:students]):
        files: dict[str, bytes] = {}
        for one in dealt:
            files |= one[at][1]
        handed_in.append(HandedIn(person, files, at % 9 == 4))
    written = {directory / "handed_in" / path: data for path, data in arranged(handed_in, layouts).items()}
    write_all(written | {directory / "roster.csv": _roster(people)})
    return [one[at][0] for at in range(students) for one in dealt]


def sample(directory: Path, students: int, names: Sequence[str], seed: str) -> str:
    """Write a class, and return what to do with it."""
    write(directory, students, names, seed)
    place = shlex.quote(str(directory))
    grade = f"python -m graders grade {place}/handed_in/* --roster {place}/roster.csv --output {place}/graded"
    return f"wrote {students} students; grade them with\n\n    {grade}\n"


def _people(count: int) -> list[Person]:
    made = []
    for at in range(count):
        last = _LAST[(at * 7 + at // len(_LAST)) % len(_LAST)]
        again = at // (len(_FIRST) * len(_LAST))
        made.append(Person(_FIRST[at % len(_FIRST)], last + ("" if not again else f"-{again + 1}"), 1001 + at))
    return made


def _roster(people: list[Person]) -> bytes:
    table = io.StringIO()
    rows = csv.writer(table)
    rows.writerow(["id", "name", "number", "email", "section"])
    for person in people:
        section = "morning" if person.number % 2 else "evening"
        rows.writerow([person.login, person.name, person.number, f"{person.login}@example.org", section])
    return table.getvalue().encode()


class _Dealer:
    """Deals what a class writes on one lesson."""

    def __init__(self, lesson: str, seed: str) -> None:
        self.lesson = lesson
        self._random = random.Random(f"{seed}/{lesson}")
        self._stub = (ROOT / "exercises" / f"{lesson}.py").read_text(encoding="utf-8")
        self._notebook = json.loads((ROOT / "exercises" / f"{lesson}.ipynb").read_text(encoding="utf-8"))
        self._known = answers.of_lesson(lesson)
        self._slips = {
            name: self._deck([one for one in known if one.kind == SLIP]) for name, known in self._known.items()
        }
        self._attacks = [attack for attack in corpus() if attack.name in _ATTACKS]

    def _deck(self, cards: list[Answer]) -> Iterator[Answer]:
        """Yield all cards in some order, then all of them again; nothing if there is none."""
        while cards:
            self._random.shuffle(cards)
            yield from cards

    def deal(self, people: list[Person]) -> list[tuple[Sample, dict[str, bytes]]]:
        """Return for each person the sample, and its files by name."""
        made: list[tuple[Sample, dict[str, bytes]]] = []
        for at, person in enumerate(people):
            kind = {7: "broken", 13: "hostile"}.get(at % 20) or {17: "copied", 37: "peeks", 23: "right"}.get(
                at % 40, "partial"
            )
            kind = "slow" if at % 120 == 111 else "untouched" if at % 30 == 29 else kind
            given = {} if kind in ("broken", "hostile") else self._given(kind, [sample for sample, _ in made])
            sample = Sample(person, self.lesson, kind, given)
            made.append((sample, self._files(sample, at)))
        return made

    def _given(self, kind: str, before: list[Sample]) -> dict[str, Answer]:
        if kind == "copied":
            of = self._random.choice([sample for sample in before if sample.kind == "partial"])
            return {name: _disguised(answer) for name, answer in of.given.items()}
        ability = {"right": 1.0, "untouched": 0.0}.get(kind, self._random.betavariate(3.2, 1.3))
        given = {name: self._answer(name, ability) for name in self._known if kind != "untouched"}
        if kind in ("slow", "peeks"):
            first, *_ = given
            body = _ENDLESS if kind == "slow" else _PEEK + f"    return {first}.__doc__\n"
            given[first] = Answer(first, kind, kind, f"def {first}(*args):\n{body}")
        return given

    def _answer(self, name: str, ability: float) -> Answer:
        chance, known = self._random.random(), self._known[name]
        if chance < ability:
            right = [one for one in known if one.kind == RIGHT]
            return right[0] if self._random.random() < 0.4 else self._random.choice(right)
        slips = [one for one in known if one.kind == SLIP]
        kind = self._random.choices((SLIP, UNTOUCHED, "error"), (6, 2, 1))[0]
        if kind == SLIP and slips:
            return slips[0] if self._random.random() < 0.3 else next(self._slips[name])
        if kind == "error":
            text = self._random.choice(
                (f"return {name}_of(args)", "return torch.ones(3) + 'a'", "return None", "return (args")
            )
            return Answer(name, kind, text, f"def {name}(*args):\n    {text}\n")
        return Answer(name, UNTOUCHED, "", "")

    def _files(self, sample: Sample, at: int) -> dict[str, bytes]:
        if sample.kind == "broken":
            name, data = list(_BROKEN.values())[at // 20 % len(_BROKEN)]
            return {name if name.startswith("homework") else self.lesson + name[1:]: data}
        notebook = at % 3 > 0
        name = f"{self.lesson}{'.ipynb' if notebook else '.py'}"
        if sample.kind == "hostile":
            attack = self._attacks[at // 20 % len(self._attacks)]
            honest = _answered(self._stub, {name: known[0] for name, known in self._known.items()})
            text = text_of(attack, self.lesson, honest)
            return {name: _as_notebook(text) if notebook else text.encode()}
        if not notebook:
            return {name: _answered(self._stub, sample.given).encode()}
        cells = [
            cell | {"source": _answered("".join(cell["source"]), sample.given)} if cell["cell_type"] == "code" else cell
            for cell in self._notebook["cells"]
        ]
        return {name: json.dumps(self._notebook | {"cells": cells}, indent=1).encode()}


def _as_notebook(text: str) -> bytes:
    """Return `# %%` cells as a notebook of a format in which cells have no ids, which would be drawn anew each time."""
    sources = [cell.strip("\n") for cell in re.split(r"(?m)^# %%.*$", text) if cell.strip()]
    cells: list[dict[str, Any]] = [
        {"cell_type": "code", "source": one, "metadata": {}, "outputs": [], "execution_count": None} for one in sources
    ]
    return json.dumps({"cells": cells, "metadata": {}, "nbformat": 4, "nbformat_minor": 4}).encode()


def _answered(source: str, given: dict[str, Answer]) -> str:
    """Return a lesson, or a cell of it, as it was handed out, with these answers in it."""
    lines = source.split("\n")
    definitions = [node for node in _parsed(source) if isinstance(node, answers.Definition)]
    for node in reversed(definitions):
        answer = given.get(node.name)
        if answer is not None and answer.text:
            lines[node.lineno - 1 : node.end_lineno] = _documented(answer, node).rstrip("\n").split("\n")
    return "\n".join(lines)


@cache
def _parsed(source: str) -> list[ast.stmt]:
    return ast.parse(source).body


def _documented(answer: Answer, stub: answers.Definition) -> str:
    """Return an answer with the docstring of its stub, as students leave it there."""
    try:
        own = next(node for node in ast.parse(answer.text).body if getattr(node, "name", "") == answer.exercise)
    except SyntaxError:
        return answer.text
    documented = isinstance(own, ast.ClassDef) or ast.get_docstring(own) is not None  # type: ignore[arg-type]
    first, docstring = own.body[0], stub.body[0]  # type: ignore[attr-defined]
    if documented or first.lineno == own.lineno or ast.get_docstring(stub) is None:
        return answer.text
    lines = answer.text.split("\n")
    lines.insert(first.lineno - 1, f'    """{ast.get_docstring(stub)}\n    """' if docstring else "")
    return "\n".join(lines)


class _Renamed(ast.NodeTransformer):
    """Gives other names to the variables that a function binds itself."""

    def __init__(self, tree: ast.AST) -> None:
        self._bound = {
            each.id for each in ast.walk(tree) if isinstance(each, ast.Name) and isinstance(each.ctx, ast.Store)
        }

    def visit_Name(self, node: ast.Name) -> ast.Name:
        node.id = f"my_{node.id}" if node.id in self._bound else node.id
        return node


def _disguised(answer: Answer) -> Answer:
    """Return somebody else's answer as one's own: other names, other comments."""
    try:
        tree = ast.parse(answer.text)
    except SyntaxError:
        return answer
    text = ast.unparse(_Renamed(tree).visit(tree))
    return Answer(
        answer.exercise, answer.kind, answer.name, f"# all my own work\n{text}\n" if text else "", answer.sentence
    )
