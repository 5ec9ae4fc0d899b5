"""What in a submission's source a person should look at: whatever uses more than a lesson gives.

A static look at names, for people: it changes no score, and who hides a name from it is not found. It reads tokens, not a
syntax tree, since a tree can be built so deep that it ends the process that builds it.
"""

from __future__ import annotations

import io
import itertools
import re
import tokenize
from collections.abc import Iterator
from functools import cache, lru_cache
from typing import Any

from graders import ROOT

MOST = 200_000  # characters that are looked at; a lesson has a third of that
MOST_OF_A_LINE = 1000  # of these: the standard library looks through a line that is no Python once for each quote in it
MOST_TOLD = 20
_TIMES = 10  # that reading goes on behind a line that is no Python
_LONG = 300  # characters of a name or a string that can be of interest
_SHORT = 5_000  # characters of a cell that is kept as it was read
_KIT = "exercises.kit"
# `check` and `hint` of every notebook, and its first cell
_ALWAYS_GIVEN = {
    "exercises",
    _KIT,
    "exercises.kit.examples",
    "exercises.kit.installing",
    "exercises.kit.installing.install",
}
_INSIDE = re.compile(r"(?:exercises\.kit|graders|solutions)(?:\.\w+)+")
_FILES = re.compile(r"(?:^|[/\\])(?:graders|solutions)[/\\]|^/proc\b")
_MACHINERY = re.compile(
    r"sys\.(?:_getframe|_current_frames|modules|meta_path|path_hooks|settrace|setprofile|addaudithook)\b"
    r"|inspect\.(?:stack|currentframe|getouterframes)\b|gc\.get_(?:objects|referrers|referents)\b"
    r"|os\.(?:fork|forkpty|kill|killpg|_exit|system|exec\w+|spawn\w+|ptrace)\b|(?:ctypes|_ctypes|socket|subprocess)\b"
)
_PATCHED = ("torch", "transformers", "optimum", "builtins", "exercises", "numpy", "json", "safetensors")
_SETTINGS = ("torch.backends", "torch.set_")  # meant to be assigned to


def suspicious(source: str, lesson: str | None = None) -> list[str]:
    """Return in a sentence each what a person should look at in a submission's Python text, in order of their lines.

    lesson: whose given helpers are meant; without it, those of all lessons.
    """
    return in_cells([{"source": source, "line": 1, "number": 1}], lesson)


def in_cells(cells: list[dict[str, Any]], lesson: str | None = None) -> list[str]:
    """Return the same of the cells of a submission (`wire.schema.CELL`); of a notebook each sentence names the cell."""
    found: dict[str, tuple[int, int]] = {}  # sentence -> the first cell and line of which it is true
    imported: dict[str, str] = {}
    own: set[str] = set()  # names of the function's own, which hide what is imported by the same
    left = MOST
    for number, cell in enumerate(cells):
        source = cell["source"][:left]
        left -= len(source)
        for line, column, words, told in _read(source):
            own = own | _bound(words) if column else set(_bound(words) if "def" in words[:2] else ())
            for sentence in _said_of_line(words, told, imported, own, lesson):
                found.setdefault(sentence, (number, max(line, 1)))
        for line, text in enumerate(source.split("\n"), 1):
            if len(text) > MOST_OF_A_LINE:
                sentence = f"only the first {MOST_OF_A_LINE} characters of this line were looked at"
                found.setdefault(sentence, (number, line))
    sentences = [
        f"{_place(cells, *at)}: {sentence}" for sentence, at in sorted(found.items(), key=lambda item: item[1])
    ]
    if sum(len(cell["source"]) for cell in cells) > MOST:
        sentences.append(f"only its first {MOST} characters were looked at")
    return sentences[:MOST_TOLD] + ["and more"] * (len(sentences) > MOST_TOLD)


def _place(cells: list[dict[str, Any]], number: int, line: int) -> str:
    cell = cells[number]
    return f"line {cell['line'] + line - 1}" if cell["line"] > 1 or len(cells) == 1 else f"cell {cell['number']}"


def _said_of_line(
    words: list[str], told: list[str], imported: dict[str, str], own: set[str], lesson: str | None
) -> Iterator[str]:
    """Yield what is to be said of one line of code; note what it imports."""
    aliases = {name: meant for name, meant in imported.items() if name not in own} if own else imported
    names = _imported(words, imported) or _used(words, aliases)
    names += [text for text in told if len(text) < _LONG and _INSIDE.fullmatch(text)]
    for name in names:
        yield from _said_of(name, lesson)
    if patched := _assigned_to(words, aliases):
        yield f"replaces {patched}"
    for text in told:
        if len(text) < _LONG and _FILES.search(text):
            yield f"names the path {text[:60]!r}"


def _said_of(name: str, lesson: str | None) -> Iterator[str]:
    if name.partition(".")[0] in ("graders", "solutions"):
        yield f"uses {name}, which belongs to the graders"
    elif name.startswith(_KIT) and not _is_given(name, lesson):
        yield f"uses {name}, which the lesson does not give"
    elif _MACHINERY.match(name):
        yield f"uses {name}, which an exercise does not need"


@lru_cache(10_000)
def _is_given(name: str, lesson: str | None) -> bool:
    """Whether a dotted name is in a module of the kit that a lesson imports, or is itself what its text imports."""
    given, parts = _given(lesson), name.split(".")
    if name in given:
        return True
    for count in range(len(parts), 1, -1):
        path = ROOT.joinpath(*parts[:count])
        if path.is_dir() or path.with_suffix(".py").is_file():
            module = ".".join(parts[:count])
            return module in _ALWAYS_GIVEN or module in given
    return True


@cache
def _given(lesson: str | None) -> set[str]:
    """Return what the texts of lessons import of the kit, in code, in comments and in examples."""
    names: set[str] = set()
    for path in sorted((ROOT / "exercises").glob(f"{lesson or 'l?_*'}.py")):
        for line in path.read_text(encoding="utf-8").split("\n"):
            words = re.findall(r"[\w.]+", re.sub(r"^[\s#>.]+", "", line))
            names.update(_imported(words, {}))
    return {name for name in names if name.startswith(_KIT)}


@lru_cache(1024)  # most of a submission is what its lesson gave to everybody
def _read_once(source: str) -> list[tuple[int, int, list[str], list[str]]]:
    return list(_statements("\n".join(line[:MOST_OF_A_LINE] for line in source.split("\n"))))


def _read(source: str) -> list[tuple[int, int, list[str], list[str]]]:
    return _read_once(source) if len(source) < _SHORT else _read_once.__wrapped__(source)


def _statements(source: str) -> Iterator[tuple[int, int, list[str], list[str]]]:
    """Yield each line of code: its number, where it begins, its names (dotted ones joined) and signs, and its strings."""
    lines = [f"{line}\n" for line in source.split("\n")]
    at = 0
    for _ in range(_TIMES):
        words: list[str] = []
        told: list[str] = []
        last = column = 0
        try:
            for token in tokenize.generate_tokens(io.StringIO("".join(lines[at:])).readline):
                last = token.start[0]
                column = column if words or told else token.start[1]
                if token.type == tokenize.STRING:
                    told.append(token.string.strip("rbufRBUF").strip("\"'"))
                elif token.type in (tokenize.NEWLINE, tokenize.ENDMARKER) or token.string == ";":
                    yield at + last, column, words, told
                    words, told = [], []
                elif token.type in (tokenize.NAME, tokenize.OP):
                    if words and _continues(words[-1], token.string):
                        words[-1] += token.string
                    else:
                        words.append(token.string)
            return
        except (tokenize.TokenError, SyntaxError):
            yield at + last, column, words, told
            at += max(last, 1)
        if at >= len(lines):
            return


def _continues(name: str, token: str) -> bool:
    """Whether a token belongs to the dotted name before it."""
    dot, named = name.endswith("."), name[-1].isalnum() or name[-1] == "_"
    return len(name) < _LONG and (token.isidentifier() if dot else token == "." and named)


def _imported(words: list[str], aliases: dict[str, str]) -> list[str]:
    """Return what an import statement imports, and note under which names; [] for other statements."""
    words = [word for word in words if word not in ("(", ")", ",")]
    if words[:1] == ["from"] and "import" in words[2:3]:
        home, rest = words[1] + ".", words[3:]
    elif words[:1] == ["import"]:
        home, rest = "", words[1:]
    else:
        return []
    names = []
    for place, word in enumerate(rest):
        if word == "as" or rest[place - 1 : place] == ["as"]:
            continue
        names.append(f"{home}{word}")
        renamed = rest[place + 1 : place + 2] == ["as"]
        alias = "".join(rest[place + 2 : place + 3]) if renamed else word.partition(".")[0]
        aliases[alias] = names[-1] if home or renamed else alias
    return names


def _bound(words: list[str]) -> set[str]:
    """Return the names that a statement makes a function's own: its parameters, or what is assigned to."""
    if "def" in words[:2]:
        return {
            word
            for before, word in itertools.pairwise(words)
            if before in ("(", ",", "*", "**") and word.isidentifier()
        }
    return set(words[:1]) if words[1:2] in (["="], [":"]) else set()


def _used(words: list[str], aliases: dict[str, str]) -> list[str]:
    return [name for word in words if (name := _resolved(word, aliases))]


def _resolved(word: str, aliases: dict[str, str]) -> str:
    """Return a dotted name with what its first part was imported as, "" if that is no import."""
    first, dot, rest = word.partition(".")
    return aliases[first] + dot + rest if first in aliases else ""


def _assigned_to(words: list[str], aliases: dict[str, str]) -> str:
    """Return the name in a library that a statement assigns to, "" if it does not."""
    if words[1:2] == ["="] and "." in words[0]:
        name = _resolved(words[0], aliases)
        if name.partition(".")[0] in _PATCHED and not name.startswith(_SETTINGS):
            return name
    return ""
