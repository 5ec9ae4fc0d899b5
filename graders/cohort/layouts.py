"""Which layout is it that an instructor names? The one place where a path becomes a person.

`files`: files named after students. `folders`: a folder or an archive per student; what is below belongs to that student, whatever
it is called. `one`: all of it is one person's. `lessons`: a folder per lesson, in each of them any of the others. `nbgrader`:
`submitted/STUDENT/LESSON/`. `git`: clones, `ASSIGNMENT-STUDENT/`. And the downloads of the learning platforms (see `platforms`).

A folder around everything is passed through. Only the outermost part that tells people apart names the student: what a student
packed names lessons, never people.
"""

from __future__ import annotations

import os
from collections.abc import Iterable
from dataclasses import dataclass, field, replace

from graders.cohort.patterns import by_pattern, compiled
from graders.cohort.platforms import PLATFORMS, Platform, Source
from graders.cohort.unpacking import archives
from graders.cohort.unpacking.entries import Entry
from graders.errors import Problem

LAYOUTS = ("files", "folders", "one", "lessons", "nbgrader", "git", *PLATFORMS)
KINDS = (".py", ".ipynb")
_FOR_READING = (
    ".pdf", ".html", ".htm", ".doc", ".docx", ".odt", ".rtf", ".pages", ".png", ".jpg", ".jpeg", ".heic", ".tex",
)  # fmt: skip
_KIT = ("exercises", "kit", "models", "quantization-kit")


@dataclass
class Named:
    """Something that an instructor names, or what is in the folder around everything: its name, and the files below it.

    `kind` is `folder`, `archive` (which may be one person's, named after that one) or `files` (each of them named).
    """

    label: str
    entries: list[Entry]
    kind: str = "folder"

    def __post_init__(self) -> None:
        self.tops: dict[str, list[Entry]] = {}
        for entry in self.entries:
            self.tops.setdefault(entry.parts[0], []).append(entry)

    @property
    def folders(self) -> list[str]:
        return [top for top, entries in self.tops.items() if _is_folder(entries)]


@dataclass
class Found:
    """Who is in it, which layout that was, the files that no person could be told for, and names that are no one's work."""

    layout: str
    sources: list[Source]
    nobodys: list[Entry] = field(default_factory=list)
    aside: list[str] = field(default_factory=list)


class Recogniser:
    """Tells people from paths, for a course with these lessons. Raises Problem for a pattern or layout that there is not."""

    def __init__(self, lessons: Iterable[str], layout: str | None = None, pattern: str | None = None) -> None:
        self.lessons = {name.casefold(): name for name in lessons}
        if layout is not None and layout not in LAYOUTS:
            raise Problem(f"there is no layout {layout}; there are {', '.join(LAYOUTS)}")
        self.layout, self.pattern = layout, compiled(pattern)

    def lesson_of(self, name: str) -> str | None:
        """Return the lesson that is called exactly so."""
        return self.lessons.get(name.casefold())

    def recognise(self, named: Named) -> Found:
        """Return who handed in what of the files below something that an instructor names. Raises Problem if asked for wrongly."""
        while True:
            found = self._here(named)
            inner = None if found else self._unwrapped(named)
            if found or inner is None:
                break
            named = inner
        return found or self._otherwise(named)

    def _here(self, named: Named) -> Found | None:
        """Return what is recognised without doubt, or was asked for and is there."""
        if self.pattern is not None:
            sources, nobodys = by_pattern(named.entries, self.pattern)
            return Found("pattern", sources, nobodys) if sources else None
        if "submitted" in named.folders and self.layout in (None, "nbgrader"):
            inside = [entry.below(1) for entry in named.tops["submitted"] if len(entry.parts) > 1]
            return self._people("nbgrader", Named("submitted", inside))
        downloads = _downloads(named, self.layout)
        if downloads:
            name, sources = downloads[0]
            return Found(name, [*sources, *self._rest(named, PLATFORMS[name])])
        if self.layout in PLATFORMS:
            return None
        if self.layout == "one" or (self.layout is None and self.is_one(named)):
            return Found("one", [self._one(named)])
        if self.layout == "git":
            return self._people("git", named, _assignment(named, sure=True))
        if self.layout == "lessons":
            return self._by_lessons(named)
        if self.layout is not None or named.label == "submitted":
            return self._people(self.layout or "nbgrader", named)
        return None

    def _otherwise(self, named: Named) -> Found:
        if self.layout is not None:
            raise Problem(
                f"{named.label} is no download of {self.layout}; leave out --layout, or say it with --pattern"
            )
        if self.pattern is not None:
            return Found("pattern", [], [entry for entry in named.entries if not entry.folder])
        folders = named.folders
        if any(map(self.lesson_of, folders)):
            return self._by_lessons(named)
        if named.kind == "archive" and not folders and sum(counts(entry) for entry in named.entries) == 1:
            return Found("one", [self._one(named)])
        assignment = _assignment(named)
        packed = any(entry.archive for entry in named.entries if len(entry.parts) == 1)
        return self._people("git" if assignment else "folders" if folders or packed else "files", named, assignment)

    def _by_lessons(self, named: Named) -> Found:
        """Return the people of each folder that is called after a lesson, no student; what lies beside these is people's."""
        made = Found("lessons", [])
        for top, entries in named.tops.items():
            lesson = self.lesson_of(top)
            if lesson is None or not _is_folder(entries):
                beside = self._people("lessons", Named(named.label, entries))
                made.sources += beside.sources
                made.aside += beside.aside
                continue
            inner = Named(top, [entry.below(1) for entry in entries if len(entry.parts) > 1])
            inside = Recogniser(self.lessons.values()).recognise(inner)
            made.sources += [replace(source, lesson=lesson, place=f"{top}/{source.place}") for source in inside.sources]
            made.aside += [f"{top}/{name}" for name in inside.aside]
        return made

    def _people(self, layout: str, named: Named, assignment: str = "") -> Found:
        """Return a person for each thing at the top: a folder, an archive, or the files of one name."""
        sources: dict[tuple[str, bool], Source] = {}
        aside = []
        for top, entries in named.tops.items():
            if top == ".git":
                continue
            if _is_folder(entries):
                sources[top, True] = Source(top.removeprefix(assignment), top, _below(entries))
            elif named.kind == "files" or counts(entries[0]) or entries[0].problem:
                stem = _stem(entries[0])
                student = named.label if self.lesson_of(stem) else stem
                alone = entries[0].archive or entries[0].closed
                place = top if alone else student
                sources.setdefault((place, alone), Source(student, place)).entries.append(entries[0])
            else:
                aside.append(top)
        return Found(layout, list(sources.values()), aside=aside)

    def _rest(self, named: Named, platform: Platform) -> list[Source]:
        """Return the people of lessons and archives that lie in a download and are not named as the platform names them."""
        others = [
            entry
            for top, entries in named.tops.items()
            if not platform.fits(top)
            for entry in entries
            if entry.kind in KINDS or entry.archive or entry.closed
        ]
        return self._people("", Named(named.label, others)).sources

    def is_one(self, named: Named) -> bool:
        """Whether it is one person's: lessons stand at its top, and there are not several folders with lessons beside them."""
        if named.kind == "files" or not any(self._is_lesson(entry.parts) for entry in named.entries):
            return False
        archives = {entry.parts[0] for entry in named.entries if len(entry.parts) == 1 and entry.archive}
        return len(archives | self.perhaps_people(named.entries)) < 2

    def perhaps_people(self, entries: list[Entry]) -> set[str]:
        """Return the folders at the top that have lessons at theirs, but for the kit's and those of lessons."""
        tops = {entry.parts[0] for entry in entries if len(entry.parts) > 1 and self._is_lesson(entry.parts[1:])}
        return {top for top in tops if top.lower() not in _KIT and not self.lesson_of(top)}

    def _is_lesson(self, parts: tuple[str, ...]) -> bool:
        """Whether a path is a lesson at the top of what one person has: alone, in the kit's folder, or in the lesson's own."""
        name, end = os.path.splitext(parts[-1])
        lesson = self.lesson_of(name) if end.lower() in KINDS else None
        above = parts[:-1]
        return lesson is not None and (
            not above or above == ("exercises",) or (len(above) == 1 and self.lesson_of(above[0]) == lesson)
        )

    def _one(self, named: Named) -> Source:
        return Source(named.label, named.label, [entry for entry in named.entries if ".git" not in entry.parts])

    def _unwrapped(self, named: Named) -> Named | None:
        """Return what is in the one folder or archive around everything; None if there is none, or it is a person's."""
        tops = [top for top, entries in named.tops.items() if _is_folder(entries) or counts(entries[0])]
        if len(tops) != 1 or named.kind == "files" or named.label == "submitted":
            return None
        (top,) = tops
        entries = named.tops[top]
        if not _is_folder(entries):
            return _opened(entries[0]) if named.kind == "folder" and entries[0].archive else None
        inner = Named(top, [entry.below(1) for entry in entries if len(entry.parts) > 1], named.kind)
        persons = self.is_one(inner) or ".git" in inner.tops
        if named.kind == "archive" or top.lower() in _KIT:
            return replace(inner, label=named.label)
        return None if persons or self.lesson_of(top) or not _holds_several(inner) else inner


def _downloads(named: Named, layout: str | None = None) -> list[tuple[str, list[Source]]]:
    """Return the platforms of which it may be a download, the likeliest first.

    What a student's file is called stands behind what the platform writes, and may look like another platform's: that one fits
    fewer names, or reaches further into them.
    """
    found = []
    for name, platform in PLATFORMS.items():
        sources = platform.read(named.entries) if layout in (None, name) else None
        if sources:
            matches = [match for top in named.tops if (match := platform.fits(top))]
            reach = sum(match.start("file") if match.groupdict().get("file") else match.end() for match in matches)
            found.append((-len(matches), reach / max(len(matches), 1), name, sources))
    return [(name, sources) for *_, name, sources in sorted(found, key=lambda one: one[:2])]


def _holds_several(named: Named) -> bool:
    """Whether there are people in a folder rather than what one of them has: folders or archives alone, or lessons alone."""
    if _downloads(named):
        return True
    kinds = [
        "folder" if _is_folder(entries) or entries[0].archive else entries[0].kind in KINDS
        for entries in named.tops.values()
        if _is_folder(entries) or counts(entries[0])
    ]
    return len(kinds) > 1 and len(set(kinds)) == 1


def _is_folder(entries: list[Entry]) -> bool:
    return entries[0].folder or len(entries[0].parts) > 1


def _below(entries: list[Entry]) -> list[Entry]:
    return [entry.below(1) for entry in entries if len(entry.parts) > 1 and ".git" not in entry.parts]


def _stem(entry: Entry) -> str:
    """Return a file's name without its endings, also where a system put one behind the right one (`ann.ipynb.txt`)."""
    stem, end = os.path.splitext(entry.stem)
    return stem if end.lower() in KINDS else entry.stem


def counts(entry: Entry) -> bool:
    """Whether a file beside others was handed in, and is no list or note of the instructor's."""
    odd = any(f"{kind}." in entry.name.lower() for kind in KINDS)
    return entry.kind in (*KINDS, *_FOR_READING) or entry.archive or entry.closed or odd


def _opened(entry: Entry) -> Named | None:
    """Return what is in an archive on the disk, None if it cannot be opened or nothing is in it."""
    try:
        entries = list(archives.listing(entry.disk)) if entry.disk else []
    except ValueError:
        return None
    return Named(entry.stem, entries, "archive") if entries else None


def _assignment(named: Named, sure: bool = False) -> str:
    """Return `ASSIGNMENT-`, with which the folders of clones begin, "" if these are none."""
    clones = [top for top in named.folders if any(entry.parts[1:2] == (".git",) for entry in named.tops[top])]
    folders = clones if len(clones) > 1 else named.folders
    around = named.label.removesuffix("submissions")
    if around != named.label and around.endswith("-") and folders and all(top.startswith(around) for top in folders):
        return around
    beginning = os.path.commonprefix(folders)  # noqa: RUF071 (names, not paths)
    beginning = beginning[: beginning.rfind("-") + 1] if len(folders) > 1 else ""
    alike = bool(clones) or sure or any(sign.isdigit() for sign in beginning)
    return beginning if alike and all(top != beginning for top in folders) else ""
