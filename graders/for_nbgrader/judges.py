"""Processes that judge for `nbgrader autograde`, ahead of the submission that nbgrader is at.

nbgrader goes through a class one by one and spends its time on notebooks and the gradebook; meanwhile the next submissions
are judged here. What decides has no gradebook at hand, and what writes the gradebook has loaded no test.
"""

from __future__ import annotations

import queue
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from typing import Any, NamedTuple

from graders import lessons
from graders.cohort import submissions
from graders.cohort.choosing import Chooser
from graders.cohort.spread.processes import Process, Reading
from graders.cohort.submissions import Submission
from graders.for_nbgrader.folders import submission


class Asked(NamedTuple):
    """A submission: its file, its student and the lesson that it must be."""

    path: str
    student: str
    lesson: str


class JudgeEnded(Exception):
    """The judge could not judge: a fault here, not in the submission. The text says which."""


class Judges:
    """A few judging processes, each started when it is first needed; they stay until `close`."""

    def __init__(self, seed: str, hidden: tuple[str, ...], count: int) -> None:
        """Keep the cohort's secret seed and the places that workers must not see for `count` processes."""
        self.count = count
        self._processes = [Process(seed, hidden) for _ in range(count)]
        self._idle: queue.LifoQueue[Process] = queue.LifoQueue()
        for process in self._processes:
            self._idle.put(process)
        self._threads = ThreadPoolExecutor(count)
        self._asked: dict[Asked, Future[dict[str, Any]]] = {}

    def ask(self, asked: Asked) -> None:
        """Have a submission judged, and go on."""
        if asked not in self._asked:
            self._asked[asked] = self._threads.submit(self._judge, asked)

    def answer(self, asked: Asked) -> dict[str, Any]:
        """Return the verdict on a submission as soon as it is there. Raises JudgeEnded."""
        self.ask(asked)
        return self._asked.pop(asked).result()

    def close(self) -> None:
        """End the processes; what they are at is lost."""
        for process in self._processes:
            process.stop()
        self._threads.shutdown(cancel_futures=True)
        for process in self._processes:
            process.close()

    def _judge(self, asked: Asked) -> dict[str, Any]:
        process = self._idle.get()
        try:
            told = process.ask(_found(process, asked))
        finally:
            self._idle.put(process)
        if told.verdict is None:
            raise JudgeEnded(told.problem or told.fault.strip().rpartition("\n")[2])
        return told.verdict


def _found(process: Process, asked: Asked) -> Submission:
    """Return what counts in the folder of a submission; a file that cannot be read is the notebook, and says why."""
    if asked.lesson not in lessons.names():
        return Submission(asked.student, None, problem=f"{asked.lesson} is no lesson of ours")
    path = Path(asked.path)
    alone = submissions.read(path, asked.student, asked.lesson)
    if alone.problem:
        return alone

    def read(data: bytes, notebook: bool, wanted: list[str]) -> dict[str, Any]:
        told = process.ask(Reading(data, notebook, wanted))
        if told.verdict is None:
            raise JudgeEnded(told.problem or told.fault)
        return told.verdict

    found = submission(path.parent, asked.student, asked.lesson, Chooser(read))
    return found if found.lesson == asked.lesson and found.files else alone
