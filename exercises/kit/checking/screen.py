"""The one screen at the end of `pytest exercises/`, drawn with pytest's own terminal writer.

An entry is the dict that `conftest.py` hangs on the report of an exercise (it travels between xdist's processes, so it
holds plain values only): lesson, total (exercises in that lesson), position, name, core, outcome, message, printed, place
(file:line).
"""

from itertools import groupby
from typing import Any

Entry = dict[str, Any]
_LABELS = {"got": {"red": True}, "want": {"green": True}, "hint": {"cyan": True}, "print": {"light": True}}


def show(writer: Any, entries: list[Entry], brief: bool = False) -> None:
    """Write a bar per lesson, what is wrong, how much is not started, and where to go next; briefly without the last."""
    entries = sorted(entries, key=lambda entry: (entry["lesson"], entry["position"]))
    lessons = [list(group) for _, group in groupby(entries, key=lambda entry: entry["lesson"])]
    _show_bars(writer, lessons)
    for lesson in lessons:
        _show_trouble(writer, lesson)
    if not brief:
        _show_rest(writer, entries, sum(lesson[0]["total"] for lesson in lessons))


def _show_bars(writer: Any, lessons: list[list[Entry]]) -> None:
    names = max(len(lesson[0]["lesson"]) for lesson in lessons)
    counts = [_counts(lesson) for lesson in lessons]
    width = max(8, min(24, writer.fullwidth - names - max(map(len, counts)) - 5))
    for lesson, text in zip(lessons, counts, strict=True):
        solved = sum(entry["outcome"] == "passed" for entry in lesson)
        done = len(lesson) == solved
        length = max(bool(solved), solved * width // len(lesson))
        full, rest = _strokes(writer)
        writer.write(f"{lesson[0]['lesson']:<{names}}  ")
        writer.write(full * length, green=True)
        writer.write(rest * (width - length), light=True)
        writer.line(f"  {text}", green=done)


def _counts(lesson: list[Entry]) -> str:
    parts = []
    for name, core in (("core", True), ("practice", False)):
        outcomes = [entry["outcome"] for entry in lesson if entry["core"] == core]
        if outcomes:
            parts.append(f"{name} {outcomes.count('passed')}/{len(outcomes)}")
    return ", ".join(parts)


def _strokes(writer: Any) -> tuple[str, str]:
    """Line characters, or ASCII where the terminal's encoding lacks them."""
    try:
        "━─".encode(getattr(writer._file, "encoding", None) or "ascii")
    except (LookupError, UnicodeEncodeError):
        return "#", "-"
    return "━", "─"


def _show_trouble(writer: Any, lesson: list[Entry]) -> None:
    lost = [entry for entry in lesson if entry["outcome"] == "not loadable"]
    if lost:
        writer.line()
        others = f"; {len(lost)} exercises are not checked" if len(lost) > 1 else ""
        writer.line(f"{lost[0]['lesson']} could not be loaded{others}", bold=True)
        _show_message(writer, lost[0]["message"], lost[0]["printed"])
    for entry in lesson:
        if entry["outcome"] in ("wrong", "missing"):
            show_one(writer, entry["name"], entry["place"], entry["message"], entry["printed"])


def show_one(writer: Any, name: str, place: str, message: str, printed: str = "") -> None:
    """Write what is wrong with one exercise, below its name and place."""
    writer.line()
    writer.write(name, bold=True)
    writer.line(f"  {place}", light=True)
    _show_message(writer, message, printed)


def _show_message(writer: Any, message: str, printed: str) -> None:
    for line in [*message.splitlines(), *filter(None, [printed])]:
        label = line.split(maxsplit=1)[0] if line.startswith("  ") and line.strip() else ""
        if label in _LABELS:
            indented, rest = line[: line.index(label)], line[line.index(label) + len(label) :]
            writer.write(f"  {indented}")
            writer.write(label, **_LABELS[label])
            writer.line(rest)
        else:
            writer.line(f"  {line}")


def _show_rest(writer: Any, entries: list[Entry], total: int) -> None:
    """The quiet lines at the end."""
    writer.line()
    for entry in entries:
        if entry["outcome"] == "waiting":
            writer.line(entry["message"], light=True)
    fresh = sum(entry["outcome"] == "not started" for entry in entries)
    left_out = total - len(entries)
    counts = [f"{fresh} not started"] * bool(fresh) + [f"{left_out} not part of this run"] * bool(left_out)
    if counts:
        writer.line(", ".join(counts), light=True)
    following = next((entry for entry in entries if entry["outcome"] != "passed"), None)
    if following is None:
        scope = " of this run" if left_out else ""
        writer.line(f"All {len(entries)} exercises{scope} are solved.", green=True)
        return
    writer.write("Next: ", bold=True)
    name = "" if following["outcome"] == "not loadable" else f"{following['name']}, "
    writer.line(f"{name}{following['place']}")
