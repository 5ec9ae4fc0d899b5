"""Which files of a person count: for each lesson those of the newest attempt in which something was answered.

Attempts are what the layout tells to be attempts, by the platform's own number or time; times of files say something only where
the layout keeps them. Two places for one person and lesson that are no attempts are a collision: both are judged, under names
that tell them apart, and neither is chosen.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from datetime import datetime
from functools import cache
from pathlib import PurePosixPath
from typing import Any

from graders import ROOT, lessons
from graders.cohort import submissions
from graders.cohort.people import Person
from graders.cohort.platforms import Source
from graders.cohort.submissions import Candidate, File, Handed, Submission
from graders.cohort.unpacking.entries import SECONDS, TooLong
from graders.collecting.limited import limited

MOST = 4  # files of one lesson and attempt that are judged
SHOWN = 3  # files named where none can be graded


class Chooser:
    """Chooses with the help of a worker that reads files; it is started when a name does not tell enough."""

    def __init__(
        self, read: Callable[[bytes, bool, list[str]], dict[str, Any]], known: Iterable[str] | None = None
    ) -> None:
        """Take a function that has a file read, and the lessons of the course (those that are judged, if None)."""
        self._ask = read
        self._lessons = {name.casefold(): name for name in known or lessons.names()}
        self._judged = [name for name in self._lessons.values() if name in lessons.names()]

    def choose(self, person: Person) -> Iterator[Submission]:
        """Yield a person's submissions: one for each lesson that is recognised, else one that says why there is none."""
        try:
            with limited(SECONDS, TooLong):
                made = self._chosen(person)
        except TooLong:
            reason = f"it takes more than {SECONDS} seconds to read what was handed in; hand in the notebook or the .py file itself"
            made = [Submission(person.student, None, problem=reason, about=dict(person.about))]
        yield from made

    def _chosen(self, person: Person) -> list[Submission]:
        handed = [submissions.unpack(source) for source in person.sources]
        candidates = [one for each in handed for one in self._with_lessons(each)]
        found = sorted({one.lesson for one in candidates if one.lesson})
        closed = [name for each in handed for name in each.closed]
        made = []
        for lesson in found:
            made += self._of_lesson(person, lesson, [one for one in candidates if one.lesson == lesson], handed)
        for lesson, names in self._handed_otherwise(handed).items():
            if lesson not in found:
                reason = f"handed in {_listed(names)}; a notebook (.ipynb) or a .py file is needed"
                made.append(Submission(person.student, lesson, problem=reason))
        if not made:
            made.append(self._nothing(person, candidates, handed))
        elif closed or any(one.problem and not one.lesson for one in candidates):
            unread = closed + [f"{one.path} ({one.problem})" for one in candidates if one.problem and not one.lesson]
            made[0].about["unread"] = unread
        for one in made:
            one.about = {**person.about, **one.about}
        return made

    def _with_lessons(self, handed: Handed) -> list[Candidate]:
        """Tell the lesson of each file: by its exact name, else by what it defines and the folder in which it lies."""
        for one in handed.candidates:
            *above, _ = [self._lessons.get(part.casefold()) for part in one.entry.parts]
            folder = next((lesson for lesson in reversed(above) if lesson), None)
            one.lesson = self._lessons.get(PurePosixPath(one.path).stem.casefold())
            one.named = one.lesson is not None
            if one.named:
                one.rank = -1 if folder == one.lesson and above[-1] != folder else 0
                continue
            expected = folder or handed.source.lesson
            one.lesson = self._by_content(one, expected)
            if one.lesson is None and (one.notebook or len(handed.candidates) == 1):
                one.lesson = expected
            one.rank = -1 if folder == one.lesson is not None and above[-1] != folder else 0
        return handed.candidates

    def _by_content(self, one: Candidate, expected: str | None) -> str | None:
        """Return the lesson that is expected if a file has an exercise of it, else the one most of whose exercises it has.

        A tie is settled by a name in which one lesson's stands.
        """
        known = [name for lesson in self._judged for name in lessons.exercises(lesson)]
        data = one.data.replace(b"\0", b"")  # as UTF-16 has them between the letters
        if one.problem or not (one.notebook or any(name.encode() in data for name in known)):
            return None
        told = self._read(one)
        if "error" in told:
            one.problem = told["error"]
            return None
        counts = {lesson: len(plan["defined"]) for lesson, plan in told["lessons"].items()}
        inside = [name for key, name in self._lessons.items() if key in one.entry.name.casefold()]
        lesson, why_none = lesson_of(counts)
        for name in filter(None, [expected, *inside] if len(inside) < 2 else [expected]):
            if counts.get(name) or (lesson is None and name in inside):
                return name
        if lesson is None and any(counts.values()):
            one.problem = why_none
        return lesson

    def _read(self, one: Candidate) -> dict[str, Any]:
        return self._ask(one.data, one.notebook, self._judged)

    def _of_lesson(
        self, person: Person, lesson: str, candidates: list[Candidate], handed: list[Handed]
    ) -> list[Submission]:
        """Return one submission for a lesson, several where places collide."""
        candidates = _distinct(candidates)
        if len(candidates) > 1:
            self._count_answers(lesson, candidates)
        sides = _collisions(candidates)
        if len(sides) < 2:
            return [self._submission(person.student, lesson, candidates, handed)]
        places = _told_apart([side[0].source for side in sides])
        made = []
        for side, place in zip(sides, places, strict=True):
            one = self._submission(f"{person.student} ({place.replace('/', ' - ')})", lesson, side, handed)
            one.about["collision"] = (
                f"{person.student} handed in {lesson} in {' and in '.join(places)}: decide which counts"
            )
            made.append(one)
        return made

    def _count_answers(self, lesson: str, candidates: list[Candidate]) -> None:
        for one in candidates:
            told = {} if one.problem else self._read(one)
            if lesson in told.get("lessons", {}):
                one.answers = submissions.answers(told["lessons"][lesson], template(lesson))
            elif not one.problem:
                one.problem = told.get("error")

    def _submission(self, student: str, lesson: str, candidates: list[Candidate], handed: list[Handed]) -> Submission:
        """Return what counts: of the newest attempt with answers all files with answers, else the newest file."""
        attempts = _attempts(candidates)
        begun = next((files for files in attempts if any(one.answers for one in files)), None)
        files = [one for one in begun or attempts[0] if one.answers or begun is None]
        best = max(one.rank for one in files)
        files = sorted((one for one in files if one.rank == best), key=_order, reverse=True)
        if begun is None:
            files = sorted(files, key=lambda one: one.problem is None, reverse=True)[:1]
        counted = sorted(files[:MOST], key=lambda one: one.path)
        mine = next(each for each in handed if each.source is counted[0].source)
        made = Submission(student, lesson, files=[File(one.path, one.data) for one in counted])
        made.helpers = submissions.helpers(counted, mine)
        made.problem = counted[0].problem
        made.older = [one.path for one in candidates if one not in counted]
        source = counted[0].source
        if source.late:
            made.about["late"] = True
        if source.returned:
            made.about["returned"] = source.returned
        if source.handed_in is not None:
            made.about["handed_in"] = (
                datetime.fromtimestamp(source.handed_in).astimezone().isoformat(timespec="seconds")
            )
        return made

    def _handed_otherwise(self, handed: list[Handed]) -> dict[str, list[str]]:
        """Return what was handed in for a lesson as something that cannot be graded, where names tell the lesson."""
        found: dict[str, list[str]] = {}
        for each in handed:
            for path in each.others:
                parts = [part.split(".")[0].casefold() for part in path.split("/")]
                lesson = next((self._lessons[part] for part in parts if part in self._lessons), each.source.lesson)
                if lesson:
                    found.setdefault(lesson, []).append(path)
        return found

    def _nothing(self, person: Person, candidates: list[Candidate], handed: list[Handed]) -> Submission:
        """Return the submission of somebody for whom no lesson can be told, with the reason."""
        closed = [name for each in handed for name in each.closed]
        others = [name for each in handed for name in each.others]
        own = [name for each in handed for one in each.source.entries if (name := one.name) and not one.folder]
        if len(candidates) == 1 and not closed:
            one = candidates[0]
            reason = one.problem or "it defines no exercise of any lesson"
        elif candidates and not closed:
            reasons = {one.problem or "no exercise of any lesson in it" for one in candidates}
            reason = f"handed in {_listed([one.path for one in candidates])}: {'; '.join(sorted(reasons))}"
        else:
            problem = next((one.problem for each in person.sources for one in each.entries if one.problem), None)
            names = [*closed, *[one.path for one in candidates], *others] or own
            reason = f"handed in {_listed(names)}" if names else problem or "handed in nothing"
        files = [File(one.path, one.data) for one in candidates]
        return Submission(person.student, None, files=files, problem=reason)


@cache
def template(lesson: str) -> str:
    """Return a lesson as it was given out."""
    path = ROOT / "exercises" / f"{lesson}.py"
    return path.read_text(encoding="utf-8") if path.is_file() else ""


def lesson_of(counts: dict[str, int]) -> tuple[str | None, str | None]:
    """Return the lesson with most matching names, or why there is none."""
    best = max(counts.values(), default=0)
    matching = [name for name, count in counts.items() if count == best]
    if best == 0:
        return None, "it defines no exercise of any lesson"
    if len(matching) > 1:
        return None, f"it defines as many exercises of {' as of '.join(matching)}; name the file after its lesson"
    return matching[0], None


def _distinct(candidates: list[Candidate]) -> list[Candidate]:
    """Leave out files that are another one, byte for byte; of several the one in the better place stays, then the first."""
    kept: dict[tuple[bytes, bool, str | None], Candidate] = {}
    for one in sorted(candidates, key=lambda one: (one.rank, one.named), reverse=True):
        kept.setdefault((one.data, one.notebook, one.problem), one)
    return [one for one in candidates if any(one is other for other in kept.values())]


def _collisions(candidates: list[Candidate]) -> list[list[Candidate]]:
    """Return the candidates by place, if there are several with answers and the layout does not tell which is newer."""
    begun = [one for one in candidates if one.answers]
    places = {id(one.source) for one in begun}
    if len(places) < 2 or all(one.source.attempt is not None for one in begun):
        return [candidates]
    newest = {max(one.entry.modified for one in begun if id(one.source) == place) for place in places}
    if len(newest) == len(places) and all(one.source.timed for one in begun):
        return [candidates]
    return [
        [one for one in candidates if id(one.source) == place] for place in dict.fromkeys(id(o.source) for o in begun)
    ]


def _told_apart(sources: list[Source]) -> list[str]:
    """Name the places so that no two are called the same: with what holds them, or a number, only where that is needed."""
    names = [source.place for source in sources]
    if len({source.within for source in sources}) == len(names) > len(set(names)):
        names = [f"{source.within}/{source.place}" for source in sources]
    return [f"{name}, {at}" if names.count(name) > 1 else name for at, name in enumerate(names, 1)]


def _attempts(candidates: list[Candidate]) -> list[list[Candidate]]:
    """Return the files of each attempt, the newest attempt first."""
    groups: dict[tuple[Any, ...], list[Candidate]] = {}
    for one in candidates:
        source = one.source
        key = (source.attempt,) if source.attempt is not None else (None, id(source))
        groups.setdefault(key, []).append(one)
    newest = {key: max(one.entry.modified if key[0] is None else 0.0 for one in files) for key, files in groups.items()}
    order = sorted(groups, key=lambda key: (key[0] or (), newest[key]), reverse=True)
    return [groups[key] for key in order]


def _order(one: Candidate) -> tuple[bool, bool, bool, float, str]:
    """Order files of one attempt, the best last: those that can be read and bear the lesson's name, then the newer."""
    modified = one.entry.modified if one.source.timed else 0.0
    return one.problem is None, one.named, one.answers > 0, modified, one.path


def _listed(names: list[str]) -> str:
    shown = sorted(dict.fromkeys(names))
    return ", ".join(shown[:SHOWN]) + (f" and {len(shown) - SHOWN} more" if len(shown) > SHOWN else "")
