"""Who handed in what: everything that an instructor names, gathered by person. Nothing of students is read for it but names."""

from __future__ import annotations

import os
import unicodedata
from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from graders.cohort.layouts import Found, Named, Recogniser
from graders.cohort.platforms import PLATFORMS, Source
from graders.cohort.roster import Enrolled, Roster, plain
from graders.cohort.unpacking import archives
from graders.cohort.unpacking.entries import Entry, file_entry, is_archive

SOME = 20  # names in a sentence; sentences about what was lost are never cut


@dataclass
class Person:
    """A student, all places that hold files of theirs, and what is known of them besides (`name`, `section`, `own_due`)."""

    student: str
    sources: list[Source] = field(default_factory=list)
    about: dict[str, Any] = field(default_factory=dict)


@dataclass
class Cohort:
    """The people; sentences on how they were told apart, what belongs to nobody, and what else needs a look.

    `missing` is who of the roster handed in nothing.
    """

    people: list[Person] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    lost: list[str] = field(default_factory=list)
    look: list[str] = field(default_factory=list)
    missing: list[str] = field(default_factory=list)


def gather(
    paths: Iterable[Path], recogniser: Recogniser, roster: Roster | None = None, output: Path | None = None
) -> Cohort:
    """Return who handed in what under files, folders and archives. Raises Problem where a layout is not as asked for."""
    cohort = Cohort()
    sources: list[Source] = []
    aside: list[str] = []
    several: list[str] = []
    taken: dict[str, list[str]] = defaultdict(list)
    for named in _named(list(paths), recogniser, output):
        found = recogniser.recognise(named) if isinstance(named, Named) else named
        taken[found.layout].append(named.label if isinstance(named, Named) else found.sources[0].place)
        within = named.label if isinstance(named, Named) else ""
        sources += [replace(source, within=within) for source in found.sources]
        if found.nobodys:
            names = ", ".join(entry.path for entry in found.nobodys)
            cohort.lost.append(f"nobody's by this pattern: {names}")
        aside += found.aside
        several += _perhaps_several(found, recogniser)
    cohort.notes += [f"layout {layout}: {_some(labels)}" for layout, labels in taken.items()]
    if several:
        cohort.notes.append(f"each taken for one person; if folders in it are people, name it itself: {_some(several)}")
    if aside:
        cohort.notes.append(f"left aside, by their names no work of a student's: {_some(aside)}")
    _join(sources, roster, cohort)
    _report_alike(cohort)
    return cohort


def _perhaps_several(found: Found, recogniser: Recogniser) -> list[str]:
    """Return the folders taken for one person's whose own folders have a lesson each, as those of several people would."""
    told = []
    for source in found.sources if found.layout == "folders" else ():
        inner = sorted(recogniser.perhaps_people(source.entries))
        told += [f"{source.place} ({_some(inner)})"] if len(inner) > 1 else []
    return told


def _named(paths: list[Path], recogniser: Recogniser, output: Path | None) -> list[Named | Found]:
    """Return what is named, bare files and folders of one person gathered by the folder that they are in."""
    made: list[Named | Found] = []
    files: dict[str, list[Entry]] = defaultdict(list)
    folders: dict[Path, list[Named]] = defaultdict(list)
    for path in paths:
        if path.is_dir() and not path.is_symlink():
            named = Named(_label(path), _without(list(archives.listing(path)), path, output))
            many = _downloads(named) if recogniser.layout is None and recogniser.pattern is None else []
            if many:
                made += many
            elif recogniser.is_one(named) or ".git" in named.tops:
                folders[path.resolve().parent].append(named)
            else:
                made.append(named)
        elif is_archive(path.name) and not path.is_symlink() and not _is_named_by_a_platform(path.name):
            entry = file_entry(path)
            try:
                entries = list(archives.listing(path))
                if not entries:
                    raise ValueError("nothing is in it")
                made.append(Named(entry.stem, entries, "archive"))
            except ValueError as error:
                entry.problem = str(error)
                made.append(Found("one", [Source(entry.stem, path.name, [entry])]))
        else:
            files[_owner(path, recogniser)].append(file_entry(path))
    for parent, several in folders.items():
        if len(several) == 1:
            made += several
            continue
        entries = [replace(entry, parts=(named.label, *entry.parts)) for named in several for entry in named.entries]
        made.append(Named(parent.name, entries))
    return made + [Named(owner, entries, "files") for owner, entries in files.items()]


def _is_named_by_a_platform(name: str) -> bool:
    """Whether an archive is called as a platform calls one student's file, and so is no download of a class."""
    return any(platform.fits(name) for platform in PLATFORMS.values())


def _label(path: Path) -> str:
    return path.resolve().name.encode(errors="backslashreplace").decode()


def _owner(path: Path, recogniser: Recogniser) -> str:
    """Return whose a lesson's file is that is named directly: the folder's in which it is, a lesson's own or the kit's aside."""
    folder = path.resolve().parent
    while (recogniser.lesson_of(folder.name) or folder.name == "exercises") and folder.parent != folder:
        folder = folder.parent
    return folder.name.encode(errors="backslashreplace").decode()


def _without(entries: list[Entry], folder: Path, output: Path | None) -> list[Entry]:
    """Leave out folders into which verdicts were written, this run's among them."""
    graded = {entry.parts[:-1] for entry in entries if entry.name == "verdicts.jsonl" and len(entry.parts) > 1}
    if output is not None:
        inside = os.path.relpath(output.resolve(), folder.resolve())
        graded |= {tuple(Path(inside).parts)} if not inside.startswith(os.pardir) and inside != os.curdir else set()
    return [entry for entry in entries if not any(entry.parts[: len(place)] == place for place in graded)]


def _downloads(named: Named) -> list[Named | Found]:
    """Return the archives in a folder if all that is there are downloads of platforms: no student alone makes it look so."""
    tops = [entry for entry in named.entries if len(entry.parts) == 1 and not entry.folder]
    if len(tops) < 2 or len(tops) != len(named.tops) or not all(entry.archive and entry.disk for entry in tops):
        return []
    made: list[Named | Found] = []
    for entry in tops:
        try:
            inside = Named(entry.stem, list(archives.listing(entry.disk)), "archive") if entry.disk else None
        except ValueError:
            return []
        if inside is None or not any(platform.read(inside.entries) for platform in PLATFORMS.values()):
            return []
        made.append(inside)
    return made


def _join(sources: list[Source], roster: Roster | None, cohort: Cohort) -> None:
    """Gather the sources of each person, by the roster's ids where it knows them."""
    people: dict[str, Person] = {}
    seen: set[Enrolled] = set()
    unknown = []
    written: dict[str, set[str]] = defaultdict(set)
    for source in sources:
        enrolled = roster.find(source) if roster else None
        student = enrolled.id if enrolled else unicodedata.normalize("NFC", source.student).strip() or "-"
        written[student] |= {source.student} if enrolled is None else set()
        person = people.setdefault(student, Person(student))
        person.sources.append(source)
        name = (enrolled.get("name") if enrolled else "") or source.name
        told = {"name": name, "section": _section(enrolled), "own_due": enrolled.own_due if enrolled else None}
        person.about |= {key: value for key, value in told.items() if value}
        if enrolled:
            seen.add(enrolled)
        elif roster:
            unknown.append(student)
    cohort.people = list(people.values())
    if roster:
        cohort.missing = [_called(enrolled) for enrolled in roster.rows if enrolled not in seen]
    if unknown:
        cohort.look.append(f"not in the roster: {', '.join(dict.fromkeys(unknown))}")
    for names in written.values():
        if len(names) > 1:
            cohort.look.append(f"taken for one name, written in {len(names)} ways: {_shown(names)}")


def _section(enrolled: Enrolled | None) -> str:
    return enrolled.get("section") if enrolled else ""


def _called(enrolled: Enrolled) -> str:
    name = enrolled.get("name")
    return f"{enrolled.id} ({name})" if name and name != enrolled.id else enrolled.id


def _report_alike(cohort: Cohort) -> None:
    """Say which different students have nearly the same name, or are called the same by the platform."""
    by: dict[str, set[str]] = defaultdict(set)
    for person in cohort.people:
        for name in {person.student, *(source.name for source in person.sources)} - {""}:
            by[plain(name)].add(person.student)
    told = sorted({tuple(sorted(students)) for students in by.values() if len(students) > 1})
    cohort.notes += [f"nearly the same name, taken for different people: {', '.join(students)}" for students in told]


def _shown(names: Iterable[str]) -> str:
    """Return names so that the eye sees what differs: letters beyond ASCII as they are encoded."""
    return ", ".join(ascii(name) for name in sorted(names))


def _some(labels: list[str]) -> str:
    more = len(labels) - SOME
    return ", ".join(labels[:SOME]) + (f" and {more} more" if more > 0 else "")
