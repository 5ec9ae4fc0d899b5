"""What is remembered between two runs: when an exercise turned green, what was judged, how many hints were read.

A convenience: nothing rests on it. A file that is missing, damaged or cannot be written is the same as an empty one.
"""

import contextlib
import json
from datetime import datetime
from pathlib import Path
from typing import Any

PLACE = Path(__file__).resolve().parents[2] / ".progress.json"


def recall(place: Path = PLACE) -> dict[str, Any]:
    """Return {"green": {exercise: time}, "judged": {exercise: hash of its file}, "hints": {exercise: number read}}.

    An exercise is "lesson::exercise".
    """
    found = None
    with contextlib.suppress(OSError, ValueError):
        found = json.loads(place.read_text(encoding="utf-8"))
    known = found if isinstance(found, dict) else {}
    return {key: each if isinstance(each := known.get(key), dict) else {} for key in ("green", "judged", "hints")}


def remember(kept: dict[str, Any], place: Path = PLACE) -> None:
    """Keep it, if the folder can be written to."""
    with contextlib.suppress(OSError):
        beside = place.with_suffix(".new")
        beside.write_text(json.dumps(kept, indent=1) + "\n", encoding="utf-8")
        beside.replace(place)


def turned_green(names: list[str], wrong: list[str], place: Path = PLACE) -> list[str]:
    """Note which of "lesson::exercise" are right now; return those that are so for the first time."""
    kept = recall(place)
    fresh = [name for name in names if name not in kept["green"]]
    now = datetime.now().isoformat(" ", "minutes")
    green = {name: since for name, since in kept["green"].items() if name not in wrong} | dict.fromkeys(fresh, now)
    if green != kept["green"]:
        remember(kept | {"green": green}, place)
    return fresh
