"""How learning platforms name what they let instructors download: who handed it in, when, and as what.

Each function takes the files of a download and returns what is known of each person (`Source`), or None where it is not one of
that platform. Only the part of a path that the platform itself writes tells the person; what stands behind it is the student's.

- Canvas: `doejane_LATE_102_9100_hw-2.ipynb`: sortable name, late or not, user id, attachment id, file; `-2` is the attempt.
- Moodle: `Jane Doe_48005_assignsubmission_file_/hw.ipynb`, or without folders `..._file_hw.ipynb`; the participant's number is
  one of the assignment in some versions, one of the person in others.
- Blackboard: `Assignment 1_jdoe_attempt_2026-01-30-15-00-00_hw.ipynb`, and a `.txt` of the platform's own for each attempt.
- Brightspace: `123-456 - Jane Doe - Sep 24, 2026 926 PM/hw.ipynb`, or the same in front of the file's name.
- Sakai: `Assignment/Doe, Jane(jdoe)/Submission attachment(s)/hw.ipynb`, `timestamp.txt` beside it.
- Gradescope: `submission_123/hw.py`, and `submission_metadata.yml`, which says whose it is.
"""

from __future__ import annotations

import contextlib
import re
from collections import defaultdict
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import Any, NamedTuple

from graders.cohort.unpacking.entries import Entry, moment

CANVAS = re.compile(r"(?P<name>.+?)_(?P<late>LATE_)?(?P<id>\d+)_(?P<upload>\d+)_(?P<file>.+)", re.DOTALL)
ANONYMOUS = re.compile(r"(?P<name>anon)_(?P<late>LATE_)?(?P<id>[A-Za-z0-9]{5})_(?P<upload>\d+)_(?P<file>.+)", re.DOTALL)
CANVAS_TEXT = re.compile(r"(?P<name>.+?)_(?P<late>LATE_)?(?P<id>\d+)_(?P<file>(?:text|link)\.html)", re.DOTALL)
MOODLE = re.compile(r"(?P<name>.+?)_(?P<id>\d+)_assignsubmission_(?:file|onlinetext)(?:_(?P<file>.*))?", re.DOTALL)
BLACKBOARD = re.compile(r"(?P<who>.+?)_attempt_(?P<time>\d{4}(?:-\d\d){5})(?:_(?P<file>.+)|\.txt)", re.DOTALL)
BRIGHTSPACE = re.compile(
    r"(?P<one>\d+)-(?P<two>\d+) ?- ?(?P<name>.+?) ?- ?"
    r"(?P<time>[^\W\d]+\.? \d{1,2},? \d{4},? \d{3,4}(?: [AP]M)?)(?: ?- ?(?P<file>.+))?",
    re.DOTALL,
)
SAKAI = re.compile(r"(?P<name>.*?)\s*\((?P<id>[^()]+)\)", re.DOTALL)
GRADESCOPE = re.compile(r"submission_(?P<id>\d+)")
_SAKAI_OWN = ("timestamp.txt", "comments.txt", "feedbackText.html")
_AGAIN = re.compile(r"(?P<stem>.+)-(?P<number>\d{1,3})(?P<end>(?:\.tar)?\.\w+)", re.DOTALL)
METADATA = "submission_metadata.yml"


@dataclass
class Source:
    """What one place that the instructor controls holds of one person; `entries` are named as seen from there.

    `student` is unique to the person as far as the place tells, which lies `within` what the instructor named; the platform calls
    them `name` and `id`; `attempt` orders what are attempts there (None: unknown); `timed`: the times of files tell which is newer;
    `handed_in`: in seconds since 1970, by this machine's time zone; `returned`: how a file of feedback begins there.
    """

    student: str
    place: str
    entries: list[Entry] = field(default_factory=list)
    name: str = ""
    id: str = ""
    email: str = ""
    attempt: tuple[float, ...] | None = None
    late: bool = False
    lesson: str | None = None
    timed: bool = False
    handed_in: float | None = None
    returned: dict[str, str] = field(default_factory=dict)
    within: str = ""


def _grouped(entries: list[Entry], told: Callable[[Entry], tuple[Source, Entry | None] | None]) -> list[Source] | None:
    """Gather what `told` says of each file: the person and attempt, and the file as seen from there (None: the platform's own)."""
    found: dict[tuple[str, Any], Source] = {}
    for entry in entries:
        answer = told(entry)
        if answer is None:
            continue
        source, inner = answer
        kept = found.setdefault((source.student, source.attempt), source)
        kept.late |= source.late
        if inner is not None:
            kept.entries.append(inner)
    return list(found.values()) or None


def _inside(entry: Entry, file: str | None) -> Entry | None:
    """Return a file as seen from the folder of a person: `file` is what it is called where there is no such folder."""
    if len(entry.parts) > 1:
        return entry.below(1)
    return replace(entry, parts=(file,)) if file and not entry.folder else None


def _canvas_name(name: str) -> re.Match[str] | None:
    return ANONYMOUS.fullmatch(name) or CANVAS.fullmatch(name) or CANVAS_TEXT.fullmatch(name)


def canvas(entries: list[Entry]) -> list[Source] | None:
    """Read a Canvas download. Its attempts are told by the number that Canvas puts behind a file's name, then by the upload."""
    tops = [entry for entry in entries if len(entry.parts) == 1 and not entry.folder]
    if 2 * sum(_canvas_name(entry.name) is not None for entry in tops) <= len({entry.parts[0] for entry in entries}):
        return None
    groups: dict[tuple[str, int], list[tuple[float, str, Entry]]] = defaultdict(list)
    sources: dict[str, Source] = {}
    for entry in tops:
        found = _canvas_name(entry.name)
        if found is None:
            continue
        student = f"{found['name']}_{found['id']}"
        source = sources.setdefault(student, Source(student, student, name=found["name"], id=found["id"], timed=True))
        source.late |= bool(found["late"])
        again = _AGAIN.fullmatch(found["file"])
        upload = float(found.groupdict().get("upload") or 0)
        name = f"{again['stem']}{again['end']}" if again else found["file"]
        inner = replace(entry, parts=(found["file"],), modified=upload)
        groups[student, int(again["number"]) if again else 0].append((upload, name, inner))
    made = []
    for (student, _), files in groups.items():
        by_name: dict[str, list[tuple[float, str, Entry]]] = defaultdict(list)
        for one in sorted(files, key=lambda file: file[0]):
            by_name[one[1]].append(one)
        for index in range(max(map(len, by_name.values()))):  # a name that comes twice was handed in twice
            those = [uploads[index] for uploads in by_name.values() if len(uploads) > index]
            first = min(upload for upload, _, _ in those)
            made.append(replace(sources[student], entries=[entry for *_, entry in those], attempt=(first,)))
            made[-1].returned = {"canvas": f"{student}_{first:.0f}"} if first else {}
    return made or None


def moodle(entries: list[Entry]) -> list[Source] | None:
    """Read a Moodle download, with folders or without."""

    def told(entry: Entry) -> tuple[Source, Entry | None] | None:
        found = MOODLE.fullmatch(entry.parts[0])
        if found is None:
            return None
        student = f"{found['name']}_{found['id']}"
        return Source(student, student, name=found["name"], id=found["id"], timed=True), _inside(entry, found["file"])

    made = _grouped(entries, told)
    for source in made or []:  # files that lie on the disk may have been copied since: those in the archive say when
        times = [entry.modified for entry in source.entries if entry.modified and entry.disk is None]
        source.handed_in = max(times, default=None)
        source.returned = {"moodle": f"{source.name.replace('_', ' ')}_{source.id}_assignsubmission_file"}
    return made


def blackboard(entries: list[Entry]) -> list[Source] | None:
    """Read a Blackboard download; the user's name is what differs behind the assignment's."""
    matches = {entry.parts[0]: BLACKBOARD.fullmatch(entry.parts[0]) for entry in entries}
    users = _users({found["who"] for found in matches.values() if found})

    def told(entry: Entry) -> tuple[Source, Entry | None] | None:
        found = matches[entry.parts[0]]
        if found is None:
            return None
        user = users[found["who"]]
        attempt = _numbers(found["time"].split("-"))
        when = moment(tuple(map(int, attempt))) or None
        made = Source(user, user, id=user, attempt=attempt, timed=True, handed_in=when)
        return made, _inside(entry, found["file"])

    return _grouped(entries, told)


def _users(names: set[str]) -> dict[str, str]:
    """Return who is meant by `Assignment_user`: assignments and users may have underscores, the assignment is the same for all."""
    beginning = next(iter(names)).split("_") if names else []
    while beginning and len(names) > 1 and not all(name.split("_")[: len(beginning)] == beginning for name in names):
        beginning.pop()
    count = len(beginning) if len(names) > 1 else -1
    made = {}
    for name in names:
        parts = name.split("_")
        made[name] = "_".join(parts[min(count, len(parts) - 1) :] if count > 0 else parts[-1:])
    return made


def brightspace(entries: list[Entry]) -> list[Source] | None:
    """Read a Brightspace download. Of its two numbers the first is the user's, unless it is the same for all."""
    matches = {entry.parts[0]: BRIGHTSPACE.fullmatch(entry.parts[0]) for entry in entries}
    known = [found for found in matches.values() if found]
    names, ones, twos = ({found[key] for found in known} for key in ("name", "one", "two"))
    number = "two" if len(names) > 1 and len(ones) == 1 and len(twos) > 1 else "one"

    def told(entry: Entry) -> tuple[Source, Entry | None] | None:
        found = matches[entry.parts[0]]
        if found is None:
            return None
        student = f"{found['name']}_{found[number]}"
        date = _date(found["time"])
        made = Source(student, student, name=found["name"], id=found[number], attempt=date, timed=True)
        made.handed_in = date[0] or None
        return made, _inside(entry, found["file"])

    return _grouped(entries, told)


def _date(text: str) -> tuple[float, ...]:
    parts = text.replace(",", "").replace(".", "").split()
    with contextlib.suppress(ValueError, IndexError):
        clock = parts[3].zfill(4) + (f" {parts[4]}" if len(parts) > 4 else "")
        form = "%b %d %Y %I%M %p" if len(parts) > 4 else "%b %d %Y %H%M"
        return (datetime.strptime(f"{parts[0][:3]} {parts[1]} {parts[2]} {clock}", form).timestamp(),)
    return (0.0,)


def sakai(entries: list[Entry]) -> list[Source] | None:
    """Read a Sakai download: the user's name stands in brackets behind the person's."""
    folders = {entry.parts[0] for entry in entries if len(entry.parts) > 1 or entry.folder}
    second = {entry.parts[1] for entry in entries if len(entry.parts) > 1}
    files = {entry.parts[0] for entry in entries if len(entry.parts) == 1}
    marked = any(name.startswith(("Submission attachment", "timestamp.txt")) for name in second)
    if not (marked or files & {"grades.csv", "grades.xls"}) or not any(map(SAKAI.fullmatch, folders)):
        return None

    def told(entry: Entry) -> tuple[Source, Entry | None] | None:
        found = SAKAI.fullmatch(entry.parts[0])
        if found is None or (len(entry.parts) == 1 and not entry.folder):
            return None
        made = Source(found["id"], entry.parts[0], name=found["name"], id=found["id"])
        own = len(entry.parts) < 2 or entry.parts[1] in _SAKAI_OWN or entry.parts[1].startswith("Feedback ")
        attached = len(entry.parts) > 2 and entry.parts[1].startswith("Submission attachment")
        return made, None if own else entry.below(2 if attached else 1)

    return _grouped(entries, told)


def gradescope(entries: list[Entry]) -> list[Source] | None:
    """Read a Gradescope export; of a group each member is a person with the same files."""
    if not any(GRADESCOPE.fullmatch(entry.parts[0]) for entry in entries):
        return None
    metadata = next((entry for entry in entries if entry.parts == (METADATA,)), None)
    about = _metadata(metadata) if metadata else {}

    def told(entry: Entry) -> tuple[Source, Entry | None] | None:
        if not GRADESCOPE.fullmatch(entry.parts[0]):
            return None
        number = entry.parts[0].removeprefix("submission_")
        return Source(entry.parts[0], entry.parts[0], id=number, attempt=_numbers([number])), _inside(entry, None)

    found = _grouped(entries, told) or []
    made = []
    for source in found:
        told_of = about.get(source.student, {})
        source.handed_in = _created(str(told_of.get(":created_at", "")))
        submitters = [person for person in told_of.get(":submitters") or [] if isinstance(person, dict)]
        for person in submitters or [{}]:
            who = {key: str(person.get(f":{key}") or "").strip() for key in ("sid", "email", "name")}
            student = who["sid"] or who["email"] or who["name"] or source.student
            made.append(
                replace(source, student=student, name=who["name"], email=who["email"], id=who["sid"] or source.id)
            )
    return made or None


def _metadata(entry: Entry) -> dict[str, dict[str, Any]]:
    """Return what the metadata says of each submission: data only, no object of Ruby's is made."""
    import yaml

    with contextlib.suppress(ValueError, yaml.YAMLError, RecursionError):
        told = yaml.load(entry.read(100 << 20), Loader=_plain(yaml))
        if isinstance(told, dict):
            return {str(key): about for key, about in told.items() if isinstance(about, dict)}
    return {}


def _created(text: str) -> float | None:
    """Return a time of Ruby's, `2026-02-12 20:36:50.354474000 Z`, as seconds since 1970."""
    with contextlib.suppress(ValueError, OverflowError):
        day, clock, *zone = text.split()
        zone = [part[:3] + ":" + part[3:] if len(part) == 5 else part for part in zone]
        return datetime.fromisoformat(f"{day}T{clock[:8]}{''.join(zone)}").timestamp()
    return None


def _plain(yaml: Any) -> Any:
    """Return YAML's safe loader, with every text left a text: a student's number may begin with zeros."""

    class Plain(getattr(yaml, "CBaseLoader", yaml.BaseLoader)):  # type: ignore[misc]
        pass

    return Plain


def _numbers(parts: list[str]) -> tuple[float, ...]:
    return tuple(float(part) for part in parts)


class Platform(NamedTuple):
    """How to read a download, and whether something at its top is named as the platform names it."""

    read: Callable[[list[Entry]], list[Source] | None]
    fits: Callable[[str], Any]


PLATFORMS = {
    "gradescope": Platform(gradescope, GRADESCOPE.fullmatch),
    "sakai": Platform(sakai, SAKAI.fullmatch),
    "moodle": Platform(moodle, MOODLE.fullmatch),
    "blackboard": Platform(blackboard, BLACKBOARD.fullmatch),
    "brightspace": Platform(brightspace, BRIGHTSPACE.fullmatch),
    "canvas": Platform(canvas, _canvas_name),
}
