"""Handing in: one zip with the lessons that were begun, as the instructor's `grade` takes it."""

import getpass
import re
import zipfile
from collections.abc import Iterable
from pathlib import Path

from exercises.kit.lessons import KitError, lessons
from exercises.kit.studying.answers import FOLDER, begun_in

_SAME_TIME = (2020, 1, 1, 0, 0, 0)  # the same answers give the same bytes


def name_of(given: str) -> str:
    """Return the name of the zip without its ending: what was given, else the user's name; letters, digits, `.`, `-`, `_`."""
    try:
        wanted = given or getpass.getuser()
    except (OSError, KeyError):
        wanted = ""
    return re.sub(r"[^\w.-]+", "_", wanted.removesuffix(".zip")).strip("._") or "my_answers"


def files_to_hand_in(folder: Path = FOLDER) -> list[Path]:
    """Return the `.py` files and notebooks in which at least one exercise was begun, in order."""
    found = (path for lesson in lessons().values() for each in lesson.exercises for path in begun_in(each, folder))
    return sorted(dict.fromkeys(found))


def pack(given: str, into: Path, folder: Path = FOLDER) -> tuple[Path, list[str]]:
    """Write NAME.zip into a folder; return it and the names of the lessons' files in it. KitError if nothing was begun."""
    paths = files_to_hand_in(folder)
    if not paths:
        raise KitError("There is nothing to hand in yet: no exercise has been begun.")
    made = into / f"{name_of(given)}.zip"
    beside = made.with_name(f".{made.name}.new")
    with zipfile.ZipFile(beside, "w", zipfile.ZIP_DEFLATED) as archive:
        for path in [*paths, *_helpers(paths, folder)]:
            archive.writestr(zipfile.ZipInfo(path.name, _SAME_TIME), path.read_bytes(), zipfile.ZIP_DEFLATED)
    beside.replace(made)
    return made, [path.name for path in paths]


def told(given: str, into: Path, outcomes: dict[str, str]) -> str:
    """Hand in, and say in one sentence what is in the zip and which of the exercises that were checked are open still.

    outcomes: by "lesson::exercise". KitError if nothing was begun.
    """
    made, names = pack(given, into)
    begun = [
        key.partition("::")[2] for key, outcome in outcomes.items() if outcome in ("wrong", "missing", "not loadable")
    ]
    fresh = len(outcomes) - sum(outcome == "passed" for outcome in outcomes.values()) - len(begun)
    wrong = f"not right yet: {', '.join(begun[:5])}" + f" and {len(begun) - 5} more" * (len(begun) > 5) if begun else ""
    still = "; ".join(filter(None, [wrong, f"not started: {fresh}" if fresh else ""])) or "nothing is open"
    return f"{made.name} holds {', '.join(names)}; {still}."


def _helpers(paths: Iterable[Path], folder: Path) -> list[Path]:
    """Return the student's own modules beside the lessons that these import."""
    own = {path.stem: path for path in folder.glob("*.py") if path.name not in ("__init__.py", "conftest.py")}
    texts = [path.read_text(encoding="utf-8", errors="replace") for path in paths]
    return [path for stem, path in sorted(own.items()) if stem not in lessons() and _imported(stem, texts)]


def _imported(stem: str, texts: list[str]) -> bool:
    return any(re.search(rf"\b(?:import|from)\s+(?:exercises\.)?{re.escape(stem)}\b", text) for text in texts)
