"""The verdict on one submission: read it, judge it with its lesson's judge, record what came of it.

Loaded by the processes that judge; what is heavy is imported when the first submission needs it.
"""

from __future__ import annotations

import functools
import gc
import importlib
import importlib.metadata
import platform
import time
from collections.abc import Collection
from typing import TYPE_CHECKING, Any

from graders import lessons
from graders.cohort import verdicts
from graders.cohort.choosing import lesson_of
from graders.cohort.spread.power import Power, not_confined
from graders.cohort.submissions import File, Submission, definition
from graders.collecting.endings import NOT_STARTED
from graders.collecting.processes import Zygote
from graders.collecting.starting import Here, Starts
from graders.judge import kept
from graders.lessons.fingerprints import graders_version
from graders.report import suspicion, written

if TYPE_CHECKING:
    from graders.judge.deciding import ExerciseVerdict
    from graders.judge.judge import Judge


class Bench:
    """The judges of one seed and the zygotes that they share, each made at its first use.

    What the judges record is kept in this user's cache, where workers cannot read it. `power` has the rights that this process
    gave up, if it did.
    """

    def __init__(
        self,
        seed: str,
        hidden: tuple[str, ...] = (),
        power: Power | None = None,
        zygotes: dict[tuple[str, ...], Zygote] | None = None,
    ) -> None:
        """hidden: places that workers must not see. zygotes: those that run already, by their libraries."""
        self.seed = seed
        self._starts: Starts = power or Here()
        self._store: kept.Store = power or kept.Folder(kept.default_folder())
        self._deciding = power.deciding if power else not_confined()
        self.hidden = hidden if power else (*hidden, *kept.hidden())
        self._judges: dict[str, Judge] = {}
        self._zygotes = zygotes or {}

    def zygote(self, libraries: tuple[str, ...]) -> Zygote:
        if libraries not in self._zygotes:
            self._zygotes[libraries] = Zygote(libraries, self.hidden, self._starts)
            self._zygotes[libraries].begin()
            importlib.import_module("graders.judge.judge")  # heavy, and meanwhile the zygote loads the same
        return self._zygotes[libraries]

    def judge(self, lesson: str, only: Collection[str] = ()) -> Judge:
        """Return the judge of a lesson. only: the exercises that it will be asked for, if not all; the first call decides."""
        from graders.judge.judge import Judge  # heavy; only those who judge need it

        if lesson not in self._judges:
            zygote = self.zygote(lessons.libraries(lesson, only))
            zygote.begin()
            loaded = lessons.load(lesson, only)  # while the zygote loads the same libraries
            earlier = kept.Kept(self._store, lesson, self.seed, environment("any", self.seed, lesson))
            self._judges[lesson] = Judge(loaded, self.seed, zygote, earlier)
            gc.collect()
            gc.freeze()  # what stays is not looked through whenever a submission's remains are collected
            zygote.warm()
        return self._judges[lesson]

    def grade(self, found: Submission) -> dict[str, Any]:
        """Return the verdict on one submission: of several files the better of each exercise counts."""
        zygote = next(iter(self._zygotes.values()), None) or self.zygote(
            lessons.libraries(found.lesson or lessons.LIGHT[0])
        )
        if found.lesson and not found.problem:
            self.judge(found.lesson)  # while the zygote loads the same libraries
        read = [] if found.problem else [plans(zygote, found, file) for file in found.files]
        readable = [one for one in read if one[1] is None and one[0] is not None]
        if not readable:
            lesson, reason = read[0][:2] if read else (found.lesson, found.problem)
            made_with = self._environment(zygote, lesson)
            return record(found, lesson, made_with, reason=reason or "nothing was handed in")
        lesson = readable[0][0]
        assert lesson is not None
        judge = self.judge(lesson)
        exercises = _better([judge.judge(told["lessons"][lesson], found.only) for _, _, told in readable])
        made_with = self._environment(judge.zygote, lesson)
        made = record(found, lesson, made_with, exercises)
        cells = [cell for _, _, told in readable for cell in told["lessons"][lesson]["cells"]]
        suspicious = suspicion.in_cells(cells, lesson)
        made |= {"suspicious": suspicious} if suspicious else {}
        return made | {"written": _written(lesson, [told["lessons"][lesson] for _, _, told in readable])}

    def _environment(self, zygote: Zygote, lesson: str | None) -> dict[str, Any]:
        return environment(zygote.tier, self.seed, lesson) | {"deciding": self._deciding}

    def timed(self, found: Submission) -> tuple[dict[str, Any], float]:
        """Return the verdict, and the seconds that it took; 0 where something was started for it."""
        begun, started = time.monotonic(), len(self._judges) + len(self._zygotes)
        verdict = self.grade(found)
        return verdict, time.monotonic() - begun if started == len(self._judges) + len(self._zygotes) else 0.0

    def read(self, data: bytes, notebook: bool, wanted: list[str]) -> dict[str, Any]:
        """Return the plans of a file by lesson, or the error, as `grading.Reader` does."""
        zygote = next(iter(self._zygotes.values()), None)
        if zygote is None:  # the one that will be needed to judge it
            likely = max(wanted, key=lambda lesson: sum(name.encode() in data for name in lessons.exercises(lesson)))
            zygote = self.zygote(lessons.libraries(likely))
        return zygote.read(data, notebook, {name: lessons.exercises(name) for name in wanted})

    def close(self) -> None:
        for zygote in self._zygotes.values():
            zygote.close()


def plans(zygote: Zygote, found: Submission, file: File) -> tuple[str | None, str | None, dict[str, Any]]:
    """Return the lesson of a file, why it cannot be graded (None: it can), and its plans by lesson."""
    lesson = found.lesson
    wanted = [lesson] if lesson else lessons.names()
    told = zygote.read(file.data, file.notebook, {name: lessons.exercises(name) for name in wanted})
    reason = told.get("error")
    if reason is None and lesson is None:
        lesson, reason = lesson_of({name: len(plan["defined"]) for name, plan in told["lessons"].items()})
    for plan in told.get("lessons", {}).values():
        plan["files"] = {path: data.decode("utf-8", "surrogateescape") for path, data in found.helpers.items()}
    return lesson, reason, told


def read(bench: Bench, found: Submission, lesson: str) -> list[tuple[str, dict[str, Any]]]:
    """Return the files of a submission that can be read, each with its plan for a lesson."""
    zygote = bench.zygote(lessons.libraries(lesson))
    told = [(file.path, plans(zygote, found, file)) for file in found.files]
    return [(path, about["lessons"][lesson]) for path, (of, reason, about) in told if of == lesson and reason is None]


def _written(lesson: str, plans: list[dict[str, Any]]) -> dict[str, Any]:
    """Return what to keep of the code: of each exercise that was begun the definition in the first file that has one."""
    code: dict[str, str] = {}
    for plan in plans:
        for cell in plan["cells"]:
            begun = [name for name in cell["exercises"] if name in plan["plans"] and not plan["plans"][name]["stub"]]
            code |= {name: text for name in begun if (text := definition(cell["source"], name)) and name not in code}
    return written.told(lesson, code)


def _better(judged: list[list[ExerciseVerdict]]) -> list[ExerciseVerdict]:
    """Return of each exercise the verdict with the higher score; of equal ones that of the file in which it was begun."""
    return [
        max(of_one, key=lambda one: (one.score, one.outcome != NOT_STARTED)) for of_one in zip(*judged, strict=True)
    ]


@functools.cache
def _machine() -> dict[str, str]:
    import torch  # not needed to keep the book

    packages = ("torch", "transformers", "optimum-quanto", "numpy")
    return {
        "python": platform.python_version(),
        "platform": f"{platform.system()} {platform.machine()}",
        "cpu": torch.backends.cpu.get_cpu_capability(),
        **{package: importlib.metadata.version(package) for package in packages},
    }


def environment(tier: str, seed: str, lesson: str | None) -> dict[str, Any]:
    """Return what a verdict on a lesson was made with: versions, isolation tier, seed hash, graders' version."""
    return _machine() | {
        "isolation": tier,
        "seed": verdicts.seed_hash(seed),
        "graders": graders_version(lesson),
    }


def record(
    found: Submission,
    lesson: str | None,
    made_with: dict[str, Any],
    exercises: list[ExerciseVerdict] | None = None,
    reason: str = "",
) -> dict[str, Any]:
    """Return one line of `verdicts.jsonl`; without `exercises` the submission could not be graded, for `reason`.

    Beyond the fixed fields it has `files` (what counted, in the order of their paths), `older` (what did not), and what is known
    of the person and the way of handing in: `name`, `section`, `own_due` (of the class list), `handed_in`, `late`, `collision`,
    `unread`.
    """
    made: dict[str, Any] = {
        "schema": verdicts.SCHEMA,
        "student": found.student,
        "lesson": lesson,
        "sha256": found.sha256,
        "status": verdicts.GRADED if exercises is not None else verdicts.NOT_GRADED,
        "score": round(sum(exercise.score for exercise in exercises or []), 4),
        "max_score": sum(exercise.max_score for exercise in exercises or []),
        "exercises": [_exercise(exercise) for exercise in exercises or []],
        "environment": made_with,
    }
    measured = {exercise.name: exercise.measured for exercise in exercises or [] if exercise.measured}
    if measured:
        made["environment"] = made_with | {"measured": measured}
    if reason:
        made["reason"] = reason
    return made | _besides(found)


_BESIDES = ("files", "older", "name", "section", "own_due", "handed_in", "late", "collision", "unread", "returned")


def _besides(found: Submission) -> dict[str, Any]:
    told = found.about | {"files": [file.path for file in found.counted], "older": found.older}
    return {key: told[key] for key in _BESIDES if told.get(key)}


def renewed(told: dict[str, Any], found: Submission) -> dict[str, Any]:
    """Return a verdict that is current, with what is known now of the person and of the other files."""
    return {key: value for key, value in told.items() if key not in _BESIDES} | _besides(found)


def _exercise(verdict: ExerciseVerdict) -> dict[str, Any]:
    checks = [{"name": check.name, "outcome": check.outcome, "message": check.message} for check in verdict.checks]
    return {key: value for key, value in vars(verdict).items() if key != "measured"} | {"checks": checks}
