"""Grade many submissions: find them, judge each in turn or on several processes, keep every verdict as it ends."""

from __future__ import annotations

import sys
import tempfile
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

from graders import ROOT, lessons
from graders.cohort import judges, submissions, verdicts
from graders.cohort.submissions import Submission
from graders.collecting.processes import Zygote

if TYPE_CHECKING:
    from graders.judge.judge import Judge


class Bench:
    """The judges of one seed and the zygotes that they share, each made at its first use."""

    def __init__(self, seed: str, hidden: tuple[str, ...] = ()) -> None:
        self.seed, self.hidden = seed, hidden
        self._judges: dict[str, Judge] = {}
        self._zygotes: dict[tuple[str, ...], Zygote] = {}

    def zygote(self, libraries: tuple[str, ...]) -> Zygote:
        if libraries not in self._zygotes:
            self._zygotes[libraries] = Zygote(libraries, self.hidden)
        return self._zygotes[libraries]

    def judge(self, lesson: str) -> Judge:
        from graders.judge.judge import Judge  # heavy; only those who judge need it

        if lesson not in self._judges:
            zygote = self.zygote(lessons.libraries(lesson))
            zygote.warm()
            self._judges[lesson] = Judge(lessons.load(lesson), self.seed, zygote)
        return self._judges[lesson]

    def grade(self, found: Submission) -> dict[str, Any]:
        """Return the verdict on one submission."""
        zygote = next(iter(self._zygotes.values()), None) or self.zygote(
            lessons.libraries(found.lesson or lessons.LIGHT[0])
        )
        lesson, reason, told = _read(zygote, found)
        if reason is not None or lesson is None:
            made_with = verdicts.environment(zygote.tier, self.seed)
            return verdicts.record(found.student, lesson, found.data, made_with, reason=reason or "", older=found.older)
        judge = self.judge(lesson)
        exercises = judge.judge(told["lessons"][lesson])
        made_with = verdicts.environment(judge.zygote.tier, self.seed)
        return verdicts.record(found.student, lesson, found.data, made_with, exercises, older=found.older)

    def close(self) -> None:
        for zygote in self._zygotes.values():
            zygote.close()


def _read(zygote: Zygote, found: Submission) -> tuple[str | None, str | None, dict[str, Any]]:
    """Return a submission's lesson, why it cannot be graded (None: it can), and its plans by lesson."""
    lesson, reason = found.lesson, found.problem
    if reason is not None:
        return lesson, reason, {}
    wanted = [lesson] if lesson else lessons.names()
    told = zygote.read(found.data, found.notebook, {name: lessons.exercises(name) for name in wanted})
    reason = told.get("error")
    if reason is None and lesson is None:
        lesson, reason = _lesson_of({name: len(plan["defined"]) for name, plan in told["lessons"].items()})
    return lesson, reason, told


def _told_apart(found: list[Submission], hidden: tuple[str, ...]) -> list[Submission]:
    """Read the lesson of files whose name does not tell it, where their student has others: the newest of a lesson counts."""
    of = Counter(one.student for one in found)
    unknown = [one for one in found if one.lesson is None and one.problem is None and of[one.student] > 1]
    if unknown:
        zygote = Zygote(lessons.libraries(lessons.LIGHT[0]), hidden)
        try:
            for one in unknown:
                one.lesson = _read(zygote, one)[0]
        finally:
            zygote.close()
    return found


def _lesson_of(counts: dict[str, int]) -> tuple[str | None, str | None]:
    """Return the lesson with most matching names, or why there is none."""
    best = max(counts.values(), default=0)
    matching = [name for name, count in counts.items() if count == best]
    if best == 0:
        return None, "it defines no exercise of any lesson"
    if len(matching) > 1:
        return None, f"it defines as many exercises of {' as of '.join(matching)}; name the file after its lesson"
    return matching[0], None


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


def grade(
    paths: list[Path],
    output: Path,
    seed: str | None = None,
    workers: int = 1,
    scheduler: str | None = None,
    each: Callable[[dict[str, Any], int], None] = lambda verdict, total: None,
) -> list[dict[str, Any]]:
    """Grade what stands under `paths` into `output`; return the verdicts, in order. Raises WrongUse.

    A verdict that is there already for the same file, seed and graders is kept. `each` is called with every verdict and
    the number of all as soon as it is on the disk.
    """
    missing = [str(path) for path in paths if not path.exists() and not path.is_symlink()]
    if missing:
        raise verdicts.WrongUse(f"there is no file or folder {missing[0]}")
    hidden = _hidden(paths, output)
    found = submissions.newest(_told_apart(list(submissions.find(paths, lessons.names())), hidden))
    if not found:
        raise verdicts.WrongUse(f"there is no .py file, notebook or archive in {', '.join(map(str, paths))}")
    book = verdicts.Book(output, seed)
    try:
        done: dict[int, dict[str, Any]] = {}
        for index, one in enumerate(found):
            kept = book.current(one.student, one.lesson, one.data)
            if kept is not None:
                done[index] = kept
        for known in done.values():
            each(known, len(found))
        todo = {index: one for index, one in enumerate(found) if index not in done}
        if scheduler is None:
            run = judges.judged(iter(todo.items()), book.seed, hidden, workers)
        else:
            run = _elsewhere(todo, book.seed, hidden, scheduler)
        for index, one, (verdict, fault) in run:
            if verdict is None:
                verdict = _not_graded(one, fault, book)
            book.add(verdict)
            done[index] = verdict
            each(verdict, len(found))
        return [done[index] for index in sorted(done)]
    finally:
        book.close()


def _not_graded(one: Submission, fault: str, book: verdicts.Book) -> dict[str, Any]:
    """Return the verdict on a submission that nothing was decided on, and write down why."""
    book.log(f"{one.student}, {one.lesson or one.name}:\n{fault}")
    made_with = verdicts.environment("unknown", book.seed)
    return verdicts.record(one.student, one.lesson, one.data, made_with, reason=judges.FAULT, older=one.older)


def _elsewhere(
    todo: dict[int, Submission], seed: str, hidden: tuple[str, ...], scheduler: str
) -> Iterator[tuple[int, Submission, judges.Judged]]:
    """Let Dask spread the submissions over the machines of a scheduler."""
    from dask.distributed import Client, as_completed

    with Client(scheduler) as client:
        futures = {client.submit(grade_here, one, seed, hidden, pure=False): index for index, one in todo.items()}
        for future in as_completed(list(futures)):
            index = futures[future]
            if future.status == "error":
                yield index, todo[index], judges.Judged(None, f"the scheduler lost it: {future.exception()!r}")
            else:
                yield index, todo[index], judges.Judged(*future.result())


_benches: dict[tuple[str, tuple[str, ...]], Bench] = {}


def grade_here(one: Submission, seed: str, hidden: tuple[str, ...]) -> judges.Judged:
    """Grade one submission in this process of a cluster; its judges stay for the next one."""
    if (seed, hidden) not in _benches:
        _benches[seed, hidden] = Bench(seed, hidden)
    return judges.guarded(lambda: _benches[seed, hidden].grade(one))
