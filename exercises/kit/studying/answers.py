"""Where the answer to an exercise stands in a student's `.py` file or notebook, and how it is put back.

Files are read as text and never executed here.
"""

import ast
import json
import re
from datetime import datetime
from pathlib import Path
from typing import Any

from exercises.kit.lessons import Exercise, KitError, lessons

FOLDER = Path(__file__).resolve().parents[2]


def answer_in(source: str, name: str) -> tuple[int, int] | None:
    """Return the lines (first, one past the last, from 0) of the last definition of `name` in a text, decorators included."""
    try:
        body = ast.parse(source).body
    except (SyntaxError, ValueError):
        return _without_parsing(source, name)
    kinds = (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef)
    found = [node for node in body if isinstance(node, kinds) and node.name == name]
    if not found:
        return None
    node = found[-1]
    return min([node.lineno, *(each.lineno for each in node.decorator_list)]) - 1, node.end_lineno or node.lineno


def _without_parsing(source: str, name: str) -> tuple[int, int] | None:
    """The definition in a text with a mistake in it: from its first line to the next one that stands at the margin."""
    lines = source.split("\n")
    starts = [at for at, line in enumerate(lines) if re.match(rf"(async )?(def|class) {name}\b", line)]
    if not starts:
        return None
    ends = (at for at in range(starts[-1] + 1, len(lines)) if lines[at] and lines[at][0] not in " \t)")
    end = next(ends, len(lines))
    while not lines[end - 1].strip():
        end -= 1
    return starts[-1], end


def is_begun(exercise: Exercise, source: str) -> bool:
    """Whether a text defines the exercise otherwise than its stub does."""
    found = re.findall(rf"^(?:async )?(?:def|class) {exercise.name}\b", source, re.MULTILINE)
    if not found or (
        len(found) == 1 and exercise.stub and exercise.stub in source
    ):  # the plain cases: nothing is parsed
        return False
    place = answer_in(source, exercise.name)
    return place is not None and _code(source, place) != _code(exercise.stub, answer_in(exercise.stub, exercise.name))


def _code(source: str, place: tuple[int, int] | None) -> str:
    """The definition without comments, spaces and docstring: what makes it an answer."""
    text = "\n".join(source.split("\n")[slice(*place)]) if place else source
    try:
        tree = ast.parse(text)
    except (SyntaxError, ValueError):
        return text
    for node in ast.walk(tree):
        if (
            isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef)
            and ast.get_docstring(node) is not None
        ):
            node.body = node.body[1:]
    return ast.dump(tree)


def notebook_code(path: Path) -> list[str]:
    """Return the sources of a notebook's code cells; [] if it cannot be read."""
    try:
        cells = json.loads(path.read_text(encoding="utf-8"))["cells"]
        return ["".join(cell["source"]) for cell in cells if cell["cell_type"] == "code"]
    except (OSError, ValueError, KeyError, TypeError):
        return []


def begun_in(exercise: Exercise, folder: Path = FOLDER) -> list[Path]:
    """Return the files of the lesson (`.py`, notebook) in which an answer to the exercise was begun."""
    text, notebook = folder / f"{exercise.lesson}.py", folder / f"{exercise.lesson}.ipynb"
    found = [text] if text.is_file() and is_begun(exercise, text.read_text(encoding="utf-8", errors="replace")) else []
    return found + [notebook] * any(is_begun(exercise, source) for source in notebook_code(notebook))


def in_notebooks(entries: list[dict[str, Any]], folder: Path = FOLDER) -> list[str]:
    """Return a sentence for each notebook with answers to exercises of the screen that are not started in the `.py` beside it."""
    told = []
    for lesson in dict.fromkeys(entry["lesson"] for entry in entries if entry["outcome"] == "not started"):
        sources = notebook_code(folder / f"{lesson}.ipynb")
        fresh = {entry["name"] for entry in entries if entry["lesson"] == lesson and entry["outcome"] == "not started"}
        known = [each for each in lessons()[lesson].exercises if each.name in fresh]
        found = [each.name for each in known if any(is_begun(each, source) for source in sources)]
        if found:
            names = ", ".join(found[:3]) + f" and {len(found) - 3} more" * (len(found) > 3)
            told.append(
                f"{lesson}.ipynb has answers that {lesson}.py lacks: {names}. There, check({found[0]}) checks them."
            )
    return told


def reset(exercise: Exercise, folder: Path = FOLDER) -> list[str]:
    """Put the stub back wherever an answer stands, and keep the answer in a dated file; return what to tell, a line each.

    KitError if there is nothing to put back.
    """
    told = []
    for path in begun_in(exercise, folder):
        old = _put_back(path, exercise)
        kept = _free(folder / f"kept_{exercise.name}_{datetime.now():%Y-%m-%d_%H-%M-%S}.txt")
        kept.write_text(old + "\n", encoding="utf-8")
        told.append(f"{exercise.name} in {path.name} is as it was given out; your answer is in {kept.name}")
    if not told:
        raise KitError(f"There is no answer to {exercise.name} to take away.")
    return told


def _free(path: Path) -> Path:
    names = (path.with_stem(f"{path.stem}_{number}") for number in range(2, 1000))
    return path if not path.exists() else next(name for name in names if not name.exists())


def _put_back(path: Path, exercise: Exercise) -> str:
    """Replace the answer in a file by the stub, as one step; return the answer."""
    if path.suffix == ".py":
        new, old = _replaced(path.read_text(encoding="utf-8"), exercise)
    else:
        notebook = json.loads(path.read_text(encoding="utf-8"))
        old = ""
        for cell in notebook["cells"]:
            source = "".join(cell["source"])
            if cell["cell_type"] == "code" and is_begun(exercise, source):
                source, old = _replaced(source, exercise)
                cell["source"], cell["outputs"], cell["execution_count"] = source.splitlines(keepends=True), [], None
        new = json.dumps(notebook, indent=1, ensure_ascii=False) + "\n"
    beside = path.with_name(f".{path.name}.new")
    beside.write_text(new, encoding="utf-8")
    beside.replace(path)
    return old


def _replaced(source: str, exercise: Exercise) -> tuple[str, str]:
    place, stub = answer_in(source, exercise.name), answer_in(exercise.stub, exercise.name)
    assert place is not None
    assert stub is not None
    lines = source.split("\n")
    whole = exercise.stub.split("\n")[slice(*stub)]
    return "\n".join([*lines[: place[0]], *whole, *lines[place[1] :]]), "\n".join(lines[slice(*place)])
