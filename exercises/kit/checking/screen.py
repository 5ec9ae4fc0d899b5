"""The one screen at the end of `pytest exercises/`, drawn with pytest's own terminal writer.

An entry is the dict that `conftest.py` hangs on the report of an exercise (it travels between xdist's processes, so it
holds plain values only): lesson, total (exercises in that lesson), position, name, core, outcome, message, printed, place
(file:line), and judged where hidden tests found it right.
"""

import textwrap
from itertools import groupby
from typing import Any

Entry = dict[str, Any]
_LABELS = {
    "got": {"red": True},
    "want": {"green": True},
    "rule": {"light": True},
    "hint": {"cyan": True},
    "print": {"light": True},
}


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
    room = writer.fullwidth - max(map(len, counts)) - 5
    narrow = room < names + 8  # then the name has a line of its own
    width = max(4, min(24, room if narrow else room - names))
    for lesson, text in zip(lessons, counts, strict=True):
        solved = sum(entry["outcome"] == "passed" for entry in lesson)
        done = len(lesson) == solved
        length = max(bool(solved), solved * width // len(lesson))
        full, rest = _strokes(writer)
        writer.write(f"{lesson[0]['lesson']}\n  " if narrow else f"{lesson[0]['lesson']:<{names}}  ")
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
        for line in wrapped(f"{lost[0]['lesson']} could not be loaded{others}", writer.fullwidth):
            writer.line(line, bold=True)
        _show_message(writer, lost[0]["message"], lost[0]["printed"])
    for entry in lesson:
        if entry["outcome"] in ("wrong", "missing"):
            show_one(writer, entry["name"], entry["place"], entry["message"], entry["printed"])


def show_one(writer: Any, name: str, place: str, message: str, printed: str = "") -> None:
    """Write what is wrong with one exercise, below its name and place."""
    writer.line()
    writer.write(name, bold=True)
    writer.line(_beside(writer, name, place), light=True)
    _show_message(writer, message, printed)


def _beside(writer: Any, before: str, text: str) -> str:
    """A text behind another one, or below it where the line is too short for both."""
    return f"  {text}" if len(before) + 2 + len(text) <= writer.fullwidth else f"\n  {text}"


def _show_message(writer: Any, message: str, printed: str) -> None:
    for line in [*message.splitlines(), *filter(None, [printed])]:
        label = line.split(maxsplit=1)[0] if line.startswith("  ") and line.strip() else ""
        first, *others = wrapped(f"  {line}", writer.fullwidth)
        if label in _LABELS:
            before, _, rest = first.partition(label)
            writer.write(before)
            writer.write(label, **_LABELS[label])
            writer.line(rest)
        else:
            writer.line(first)
        for other in others:
            writer.line(other)


def wrapped(line: str, width: int) -> list[str]:
    """Return a line in pieces of at most `width` characters, cut between words and set in; a longer word stays whole."""
    if len(line) <= width:
        return [line]
    indent = len(line) - len(line.lstrip())
    label = line.split(maxsplit=1)[0]
    longest = max(map(len, line.split()))
    deeper = " " * max(0, min(indent + (7 if label in _LABELS else 4 if indent else 0), width - longest))
    pieces = textwrap.wrap(
        line[indent:],
        width,
        initial_indent=line[:indent],
        subsequent_indent=deeper,
        break_long_words=False,
        break_on_hyphens=False,
        drop_whitespace=True,
    )
    return pieces or [line]


def printed_line(text: str) -> str:
    """Return one line that shows the beginning of what was printed."""
    first, *rest = text.strip().splitlines() or ["blank lines"]
    first = first if len(first) <= 80 else first[:77] + "..."
    more = f" (and {len(rest)} more line{'s' * (len(rest) > 1)})" if rest else ""
    return f"  print  {first}{more}"


def _show_rest(writer: Any, entries: list[Entry], total: int) -> None:
    """The quiet lines at the end."""

    def line(text: str, **style: bool) -> None:
        for piece in wrapped(text, writer.fullwidth):
            writer.line(piece, **style)

    writer.line()
    for entry in entries:
        if entry["outcome"] == "waiting":
            line(entry["message"], light=True)
    outcomes = [entry["outcome"] for entry in entries]
    judged = sum(entry.get("judged", False) for entry in entries)
    left_out = total - len(entries)
    following = next((entry for entry in entries if entry["outcome"] != "passed"), None)
    told = {
        "right": judged if following else 0,
        "right by their examples": outcomes.count("passed") - judged if following else 0,
        "not started": outcomes.count("not started"),
        "not run": outcomes.count("not run"),
        "not part of this run": left_out,
    }
    counts = [f"{count} {what}" for what, count in told.items() if count]
    if counts:
        line(", ".join(counts), light=True)
    if following is None:
        line(_all_of_them(len(entries), left_out, judged), green=True)
        return
    writer.write("Next: ", bold=True)
    name = "" if following["outcome"] == "not loadable" else f"{following['name']},"
    writer.write(name)
    place = following["place"]
    writer.line(f"{' ' * bool(name)}{place}" if len(f"Next: {name} {place}") <= writer.fullwidth else f"\n  {place}")


def _all_of_them(count: int, left_out: int, judged: int) -> str:
    scope = " of this run" if left_out else ""
    which, verb = (f"All {count} exercises{scope}", "are") if count > 1 else (f"The one exercise{scope}", "is")
    if judged == count:
        return f"{which} {verb} right."
    return f"{which} {verb} right by {'their' if count > 1 else 'its'} examples."
