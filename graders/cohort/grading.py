"""Grade many submissions: find them, judge each in turn or on several processes, keep every verdict as it ends."""

from __future__ import annotations

import sys
import tempfile
from collections.abc import Callable, Iterable, Iterator
from contextlib import ExitStack, closing
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from graders import ROOT, lessons
from graders.cohort import verdicts
from graders.cohort.choosing import Chooser
from graders.cohort.layouts import Recogniser
from graders.cohort.people import Cohort, gather
from graders.cohort.roster import Roster
from graders.cohort.spread.processes import FAULT, Pool
from graders.cohort.submissions import Submission
from graders.report.scoring import Scheme

if TYPE_CHECKING:
    from graders.cohort.spread.cluster import Cluster


def _hidden(paths: Iterable[Path], output: Path) -> tuple[str, ...]:
    """Return what workers must not see: the verdicts and the other submissions, as far as that hides nothing they need."""
    needed = [
        Path(place).resolve() for place in (sys.prefix, sys.base_prefix, ROOT / "exercises", tempfile.gettempdir())
    ]
    hidden = []
    for path in [output, *paths]:
        folder = path.resolve() if path.is_dir() else path.resolve().parent
        if not any(place == folder or folder in place.parents for place in needed):
            hidden.append(folder)
        elif path.is_file():
            hidden.append(path.resolve())
    return tuple(dict.fromkeys(map(str, hidden)))


@dataclass(frozen=True)
class Options:
    """How to tell people apart where guessing is not enough, and which exercises count how much (all, as they say themselves)."""

    layout: str | None = None
    pattern: str | None = None
    roster: Path | None = None
    only: tuple[str, ...] = ()
    points: Path | None = None


def grade(
    paths: list[Path],
    output: Path,
    seed: str | None = None,
    workers: int = 1,
    scheduler: str | None = None,
    each: Callable[[dict[str, Any], int], None] = lambda verdict, total: None,
    options: Options | None = None,
    gathered: Callable[[Cohort], None] = lambda cohort: None,
    spent: Callable[[float], None] = lambda seconds: None,
) -> verdicts.Verdicts:
    """Grade what stands under `paths` into `output`; return the verdicts, in order. Raises WrongUse.

    Files are read a student at a time, while others are judged. A verdict that is there already for the same files, seed and
    graders is kept. `each` is called with every verdict and the number of all, as far as it is known, as soon as it is on the
    disk; before it `spent` with the seconds by which a verdict prolonged the run, 0 where that tells nothing of others;
    `gathered` with the people before the first.
    """
    options = options or Options()
    missing = [str(path) for path in paths if not path.exists() and not path.is_symlink()]
    if missing:
        raise verdicts.WrongUse(f"there is no file or folder {missing[0]}")
    every = [name for lesson in lessons.names() for name in lessons.exercises(lesson)]
    scheme = Scheme(options.only, options.points, every)
    recogniser = Recogniser(lessons.names(), options.layout, options.pattern)
    roster = Roster(options.roster) if options.roster else None
    cohort = gather(paths, recogniser, roster, output)
    if not cohort.people:
        raise verdicts.WrongUse(f"there is no .py file, notebook or archive in {', '.join(map(str, paths))}")
    gathered(cohort)
    hidden = _hidden(paths, output)
    with ExitStack() as opened:
        where = opened.enter_context(
            closing(_cluster(scheduler, hidden) if scheduler is not None else Pool(hidden, workers))
        )
        book = opened.enter_context(closing(verdicts.Book(output, seed)))
        run = _Run(cohort, Chooser(where.read), book, each, scheme)
        for index, one, (verdict, fault, _, seconds) in where.judged(run.todo(), book.seed):
            if verdict is None:
                verdict = _not_graded(one, fault, book)
            verdict = scheme.applied(verdict)
            book.add(verdict)
            spent(seconds / where.count)
            run.done(index, verdict)
        return run.finish()


def _cluster(address: str, hidden: tuple[str, ...]) -> Cluster:
    from graders.cohort.spread.cluster import Cluster  # loads Dask, which others do without

    return Cluster(address, hidden)


class _Run:
    """Goes through the people, and keeps what came of them in order."""

    def __init__(
        self,
        cohort: Cohort,
        chooser: Chooser,
        book: verdicts.Book,
        each: Callable[[dict[str, Any], int], None],
        scheme: Scheme,
    ) -> None:
        self._scheme = scheme
        self._people, self._chooser, self._book, self._each = cohort.people, chooser, book, each
        self._keys: dict[int, verdicts.Key] = {}
        self._chosen = self._seen = 0

    def todo(self) -> Iterator[tuple[int, Submission]]:
        """Yield what has to be judged, each with its number, reading one student's files after the other's."""
        for person in self._people:
            self._seen += 1
            for one in self._chooser.choose(person):
                index, self._chosen = self._chosen, self._chosen + 1
                kept = self._book.current(one)
                if kept is None or not self._scheme.covers(
                    kept, lessons.exercises(kept["lesson"]) if kept["lesson"] else []
                ):
                    yield index, one
                    continue
                told = self._scheme.applied(verdicts.renewed(kept, one))
                if told != kept:
                    self._book.add(told)
                self.done(index, told)

    def done(self, index: int, verdict: dict[str, Any]) -> None:
        """Note a verdict that stands in the book."""
        self._keys[index] = verdict["student"], verdict["lesson"]
        self._each(verdict, self._chosen + len(self._people) - self._seen)

    def finish(self) -> verdicts.Verdicts:
        """Leave one line per student and lesson in the book, and none without a lesson where there is one with; return ours."""
        ours = [self._keys[index] for index in sorted(self._keys)]
        told = {student for student, lesson in ours if lesson is not None}
        for student, lesson in self._book.keys:
            if lesson is None and student in told and (student, None) not in ours:
                self._book.drop((student, None))
        self._book.compact()
        return self._book.some(list(dict.fromkeys(ours)))


def _not_graded(one: Submission, fault: str, book: verdicts.Book) -> dict[str, Any]:
    """Return the verdict on a submission that nothing was decided on, and write down why."""
    book.log(f"{one.student}, {one.lesson or ', '.join(file.path for file in one.files)}:\n{fault}")
    return verdicts.record(one, one.lesson, verdicts.environment("unknown", book.seed), reason=FAULT)
