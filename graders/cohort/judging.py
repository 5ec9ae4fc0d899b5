"""The verdict on one submission: read it, judge it with its lesson's judge, record what came of it.

Loaded by the processes that judge; what is heavy is imported when the first submission needs it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from graders import lessons
from graders.cohort import verdicts
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
        lesson, reason, told = read(zygote, found)
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


def read(zygote: Zygote, found: Submission) -> tuple[str | None, str | None, dict[str, Any]]:
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


def _lesson_of(counts: dict[str, int]) -> tuple[str | None, str | None]:
    """Return the lesson with most matching names, or why there is none."""
    best = max(counts.values(), default=0)
    matching = [name for name, count in counts.items() if count == best]
    if best == 0:
        return None, "it defines no exercise of any lesson"
    if len(matching) > 1:
        return None, f"it defines as many exercises of {' as of '.join(matching)}; name the file after its lesson"
    return matching[0], None
