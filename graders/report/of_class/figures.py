"""The figures of a class, counted in one pass over its verdicts, which are read one after the other."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any

from graders.report.feedback import rule

GRADED = "graded"
BINS = 10
SLOW = 10.0  # seconds for one exercise: what a person may want to know of
SUSPICIOUS = "uses more than the lesson gives"
MOST = 25  # mistakes and checks that are listed
LOOKS = (
    "could not be graded", "two places for one student", "files that could not be opened", "handed in late", SUSPICIOUS,
    "slow, or ended by the limits",
)  # fmt: skip
KINDS = ("right", "partly", "wrong", "not started")


@dataclass
class ExerciseFigures:
    """How an exercise went: how many were right, partly right, without points, not started."""

    name: str
    counts: Counter[str] = field(default_factory=Counter)

    @property
    def shares(self) -> list[tuple[str, int, float, float]]:
        """Each kind with its count, and begin and width of its part of a bar, in percent."""
        total = self.counts.total() or 1
        found, begin = [], 0.0
        for kind in KINDS:
            width = 100 * self.counts[kind] / total
            found.append((kind, self.counts[kind], begin, width))
            begin += width
        return found


@dataclass
class LessonFigures:
    """One lesson: scores as shares of what there is to get, and its exercises in their order."""

    name: str
    shares: list[float] = field(default_factory=list)
    lost: int = 0
    exercises: dict[str, ExerciseFigures] = field(default_factory=dict)

    @property
    def bins(self) -> list[int]:
        """How many have 0 to 10 % of the points, 10 to 20 %, ...; full marks are in the last."""
        found = Counter(min(int(share * BINS), BINS - 1) for share in self.shares)
        return [found[at] for at in range(BINS)]

    @property
    def median(self) -> float:
        ordered = sorted(self.shares)
        middle = len(ordered) // 2
        return ordered[middle] if len(ordered) % 2 else (ordered[middle - 1] + ordered[middle]) / 2

    @property
    def full(self) -> int:
        return sum(share >= 1 for share in self.shares)


@dataclass
class Student:
    """One row of the class list: the points of each lesson, as text."""

    name: str
    called: str = ""
    section: str = ""
    late: bool = False
    scores: dict[str, str] = field(default_factory=dict)


@dataclass
class Figures:
    """Everything that the page shows."""

    lessons: dict[str, LessonFigures] = field(default_factory=dict)
    students: dict[str, Student] = field(default_factory=dict)
    mistakes: Counter[tuple[str, str, str]] = field(default_factory=Counter)  # lesson, exercise, sentence
    checks: Counter[tuple[str, str, str]] = field(default_factory=Counter)  # lesson, exercise, rule
    look: dict[str, list[tuple[str, str]]] = field(default_factory=dict)  # why -> students, and what there is to say
    environments: Counter[tuple[tuple[str, str], ...]] = field(default_factory=Counter)
    graded: int = 0
    lost: int = 0

    def needs_a_look(self, why: str, student: str, told: str) -> None:
        self.look.setdefault(why, []).append((student, told))

    @property
    def columns(self) -> list[str]:
        """The lessons, and "" where somebody's work belongs to none."""
        nobody_knows = any("" in student.scores for student in self.students.values())
        return [*self.lessons, *([""] if nobody_knows else [])]

    def of(self, most: Counter[tuple[str, str, str]]) -> list[tuple[int, int, str, str, str]]:
        """Return the most frequent of a counter: how many, of how many whose work on the lesson was graded, and of what."""
        return [(count, len(self.lessons[one[0]].shares), *one) for one, count in most.most_common(MOST)]


def of_class(verdicts: Iterable[dict[str, Any]]) -> Figures:
    """Count; nothing is kept of a verdict but numbers, names and what needs a look."""
    made = Figures()
    for verdict in verdicts:
        _count(made, verdict)
    made.lessons = dict(sorted(made.lessons.items()))
    made.look = {why: made.look[why] for why in LOOKS if why in made.look}
    made.students = dict(sorted(made.students.items(), key=lambda one: (one[0].casefold(), one[0])))
    return made


def _count(made: Figures, verdict: dict[str, Any]) -> None:
    student, lesson = verdict["student"], verdict["lesson"]
    row = made.students.setdefault(student, Student(student))
    row.called, row.section = verdict.get("name", row.called), verdict.get("section", row.section)
    where = f"{lesson}: " if lesson else ""
    if verdict.get("late"):
        row.late = True
        made.needs_a_look("handed in late", student, lesson or "")
    if "collision" in verdict:
        made.needs_a_look("two places for one student", student, verdict["collision"])
    if "unread" in verdict:
        made.needs_a_look("files that could not be opened", student, where + ", ".join(verdict["unread"]))
    if "suspicious" in verdict:
        made.needs_a_look(SUSPICIOUS, student, where + "; ".join(verdict["suspicious"]))
    figures = made.lessons.setdefault(lesson, LessonFigures(lesson)) if lesson else None
    if verdict["status"] != GRADED:
        made.lost += 1
        given = f"; {verdict['final_score']:g} by overrides" if "overrides" in verdict else ""
        row.scores[lesson or ""] = f"could not grade{given}"
        made.needs_a_look("could not be graded", student, where + verdict.get("reason", ""))
        if figures:
            figures.lost += 1
        return
    assert figures is not None  # what was graded has a lesson
    made.graded += 1
    counted = f"{verdict.get('final_score', verdict['score']):g} of {verdict['max_score']:g}"
    row.scores[lesson] = counted + (f" ({verdict['score']:g} before overrides)" if "overrides" in verdict else "")
    figures.shares.append(verdict["score"] / (verdict["max_score"] or 1))
    environment = {key: value for key, value in verdict["environment"].items() if isinstance(value, str)}
    made.environments[tuple(environment.items())] += 1
    for exercise in verdict["exercises"]:
        _count_exercise(made, figures, student, exercise)


def _count_exercise(made: Figures, figures: LessonFigures, student: str, exercise: dict[str, Any]) -> None:
    name = exercise["name"]
    counts = figures.exercises.setdefault(name, ExerciseFigures(name)).counts
    if exercise["outcome"] == "not started":
        counts["not started"] += 1
        return
    counts["right" if exercise["outcome"] == "passed" else "partly" if exercise["score"] else "wrong"] += 1
    if exercise["hint"]:
        made.mistakes[figures.name, name, exercise["hint"]] += 1
    for check in exercise["checks"]:
        if check["outcome"] == "failed":
            made.checks[figures.name, name, rule(check) or check["name"]] += 1
    if exercise["outcome"] in ("timeout", "memory", "killed") or exercise["seconds"] > SLOW:
        told = f"{figures.name}, {name}: {exercise['outcome']}, {exercise['seconds']:.1f} s"
        made.needs_a_look("slow, or ended by the limits", student, told)
