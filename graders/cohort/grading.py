"""Grade many submissions: find them, judge each in turn or on several processes, keep every verdict as it ends."""

from __future__ import annotations

import sys
import tempfile
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from contextlib import ExitStack, closing
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from graders import ROOT, lessons
from graders.cohort import judging, verdicts
from graders.cohort.choosing import Chooser
from graders.cohort.layouts import Recogniser
from graders.cohort.people import Cohort, gather
from graders.cohort.roster import Roster
from graders.cohort.spread.processes import FAULT, Pool
from graders.cohort.submissions import Submission
from graders.marks import changes
from graders.marks.late import Late
from graders.marks.overrides import FILE, Overrides
from graders.marks.scoring import Scheme
from graders.report.written import Written

if TYPE_CHECKING:
    from graders.cohort.spread.cluster import Cluster


def hidden(paths: Iterable[Path], output: Path) -> tuple[str, ...]:
    """Return what workers must not see: the verdicts and the other submissions, as far as that hides nothing they need."""
    needed = [
        Path(place).resolve() for place in (sys.prefix, sys.base_prefix, ROOT / "exercises", tempfile.gettempdir())
    ]
    unseen = []
    for path in [output, *paths]:
        folder = path.resolve() if path.is_dir() else path.resolve().parent
        if not any(place == folder or folder in place.parents for place in needed):
            unseen.append(folder)
        elif path.is_file():
            unseen.append(path.resolve())
    return tuple(dict.fromkeys(map(str, unseen)))


@dataclass(frozen=True)
class Options:
    """How to tell people apart where guessing is not enough, which exercises count how much (all, as they say themselves), when
    lessons are due and what being late costs (see `marks.late`)."""

    layout: str | None = None
    pattern: str | None = None
    roster: Path | None = None
    only: tuple[str, ...] = ()
    points: Path | None = None
    due: tuple[str, ...] = ()
    late_penalty: str | None = None

    def scheme(self, output: Path) -> Scheme:
        """Return what counts, with the overrides in the output folder. Raises Problem where an option or a file is wrong."""
        known = lessons.all_exercises()
        late = Late(self.due, self.late_penalty, lessons.names())
        return Scheme(self.only, self.points, known, Overrides(output / FILE, known), late)

    def places(self, paths: Iterable[Path]) -> dict[str, Any]:
        """Return where the submissions lie and how people are told apart, as data."""
        return {
            "paths": [str(path.absolute()) for path in paths],
            "layout": self.layout,
            "pattern": self.pattern,
            "roster": str(self.roster.absolute()) if self.roster else None,
        }


def grade(
    paths: list[Path],
    output: Path,
    seed: str | None = None,
    workers: int = 1,
    scheduler: str | None = None,
    each: Callable[[dict[str, Any], int], None] = lambda verdict, total: None,
    options: Options | None = None,
    gathered: Callable[[Cohort], None] = lambda cohort: None,
    note: Callable[[str], None] = lambda sentence: None,
    spent: Callable[[float], None] = lambda seconds: None,
) -> verdicts.Verdicts:
    """Grade what stands under `paths` into `output`; return the verdicts, in order. Raises WrongUse.

    Files are read a student at a time, while others are judged. A verdict that is there already for the same files, seed and
    graders is kept. `each` is called with every verdict and the number of all, as far as it is known, as soon as it is on the
    disk; `gathered` with the people before the first; `note` with a sentence on what is judged again, which marks moved, and what
    of overrides and due dates had no effect; `spent` with the seconds by which a verdict prolonged the run, 0 where that tells
    nothing of others.
    """
    options = options or Options()
    missing = [str(path) for path in paths if not path.exists() and not path.is_symlink()]
    if missing:
        raise verdicts.WrongUse(f"there is no file or folder {missing[0]}")
    scheme = options.scheme(output)
    recogniser = Recogniser(lessons.names(), options.layout, options.pattern)
    roster = Roster(options.roster) if options.roster else None
    cohort = gather(paths, recogniser, roster, output)
    if not cohort.people:
        raise verdicts.WrongUse(f"there is no .py file, notebook or archive in {', '.join(map(str, paths))}")
    gathered(cohort)
    unseen = hidden(paths, output)
    with ExitStack() as opened:
        machines = Pool(unseen, workers) if scheduler is None else _cluster(scheduler, unseen)
        where = opened.enter_context(closing(machines))
        book = opened.enter_context(closing(verdicts.Book(output, seed)))
        kept = Written(output)
        book.remember(options.places(paths))
        for lesson, count in book.by_other_graders.items():
            on = f" on {lesson}" if lesson else ""
            note(f"{count} verdicts{on} in {output} are by other graders: what is named now is judged again")
        run = _Run(cohort, Chooser(where.read), book, each, scheme, note)
        for index, one, (verdict, fault, _, seconds) in where.judged(run.todo(), book.seed):
            if verdict is None:
                verdict = _not_graded(one, fault, book)
            kept.add(verdict)
            verdict = run.scored(verdict)
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
        note: Callable[[str], None],
    ) -> None:
        self._scheme, self._note = scheme, note
        self._again: Counter[str] = Counter()  # why something was judged again
        self._people, self._chooser, self._book, self._each = cohort.people, chooser, book, each
        self._keys: dict[int, verdicts.Key] = {}
        self._chosen = self._seen = self._untimed = 0

    def todo(self) -> Iterator[tuple[int, Submission]]:
        """Yield what has to be judged, each with its number, reading one student's files after the other's."""
        for person in self._people:
            self._seen += 1
            for one in self._chooser.choose(person):
                index, self._chosen = self._chosen, self._chosen + 1
                kept = self._current(one)
                if kept is None:
                    one.only = tuple(sorted(self._scheme.only))
                    yield index, one
                    continue
                told = self.scored(judging.renewed(kept, one))
                if told != kept:
                    self._book.add(told)
                self.done(index, told)

    def _current(self, one: Submission) -> dict[str, Any] | None:
        """Return the verdict that there is and stays, and note why where there is another one."""
        kept = self._book.current(one)
        if kept is None:
            self._again += Counter(filter(None, [self._book.why_again(one)]))
        elif not self._scheme.covers(kept, _exercises(kept)):
            self._again["only some exercises were judged"] += 1
            return None
        return kept

    def scored(self, verdict: dict[str, Any]) -> dict[str, Any]:
        """Return a verdict with what counts of it."""
        return self._scheme.applied(verdict, _exercises(verdict))

    def done(self, index: int, verdict: dict[str, Any]) -> None:
        """Note a verdict that stands in the book."""
        self._keys[index] = verdict["student"], verdict["lesson"]
        self._untimed += "due" in verdict and "handed_in" not in verdict
        self._each(verdict, self._chosen + len(self._people) - self._seen)

    def finish(self) -> verdicts.Verdicts:
        """Leave one line per student and lesson in the book, and none without a lesson where there is one with; return ours."""
        ours = [self._keys[index] for index in sorted(self._keys)]
        told = {student for student, lesson in ours if lesson is not None}
        for student, lesson in self._book.keys:
            if lesson is None and student in told and (student, None) not in ours:
                self._book.drop((student, None))
        self._tell()
        self._book.compact()
        return self._book.some(list(dict.fromkeys(ours)))

    def _tell(self) -> None:
        """Write down which marks moved while the book still has the old ones, and say what there is to say of the run."""
        for reason, count in self._again.items():
            self._note(f"{count} judged again: {reason}")
        count = changes.add(self._book.moved(), self._book.folder / changes.FILE)
        if count:
            moved = "1 mark" if count == 1 else f"{count} marks"
            self._note(f"{moved} moved, which {changes.FILE} in {self._book.folder} lists")
        lesson_of = {name: lesson for lesson in lessons.names() for name in lessons.exercises(lesson)}
        known = set(self._book.keys)
        for student, exercise in self._scheme.overrides.all:
            lesson = lesson_of[exercise]
            if (student, lesson) not in known:
                self._note(f"{FILE}: {student} has no verdict on {lesson}, so the score for {exercise} counts nowhere")
        if self._untimed:
            self._note(
                f"{self._untimed} have a due date, and nothing tells when they were handed in: it makes none late"
            )


def _exercises(verdict: dict[str, Any]) -> list[str]:
    return lessons.exercises(verdict["lesson"]) if verdict["lesson"] else []


def _not_graded(one: Submission, fault: str, book: verdicts.Book) -> dict[str, Any]:
    """Return the verdict on a submission that nothing was decided on, and write down why."""
    book.log(f"{one.student}, {one.lesson or ', '.join(file.path for file in one.files)}:\n{fault}")
    return judging.record(one, one.lesson, judging.environment("unknown", book.seed, one.lesson), reason=FAULT)
