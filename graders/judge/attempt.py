"""One exercise of one submission: load its cells in a worker, collect the answers, and say what was lost and why."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

from graders.judge import processes
from graders.judge.contract import one_line
from graders.judge.first_cause import first_cause
from graders.judge.processes import WorkerEnded, Zygote
from graders.worker.submission import SENT

PASSED, FAILED, ERROR, NOT_STARTED = "passed", "failed", "error", "not started"
MAX_ANSWERS = 1 << 28  # bytes of one exercise, kept in the judge while its checks run


class Submission:
    """The cells of one submission, and those that turned out to end or stop whoever loads them."""

    def __init__(self, zygote: Zygote, lesson: str, plan: dict[str, Any]) -> None:
        self.zygote, self.lesson, self.plans = zygote, lesson, plan["plans"]
        self.cells = {cell["number"]: cell for cell in plan["cells"]}
        self.order = [cell["number"] for cell in plan["cells"]]
        self.fatal: dict[tuple[int, frozenset[int]], WorkerEnded] = {}

    def fatal_to(self, numbers: list[int]) -> dict[int, WorkerEnded]:
        """Return the cells that would end a worker which loads these.

        What a worker says of a cell is taken over only by those who load all the cells that came before it there: one of
        them may have ended the worker in its name.
        """
        return {number: ended for (number, before), ended in self.fatal.items() if before <= set(numbers)}


class Attempt:
    """One exercise of one submission: its worker, and the answers to its calls.

    `together_with`: the exercises that it is judged together with, whose cells are loaded too.
    """

    def __init__(
        self, submission: Submission, name: str, calls: list[bytes], together_with: tuple[str, ...] = ()
    ) -> None:
        self.submission, self.name, self.calls, self.together_with = submission, name, calls, together_with
        self.answers: dict[bytes, bytes | WorkerEnded] = {}
        self.errors: dict[str, Any] = {}
        self.lesson = submission.lesson
        self._plan = submission.plans.get(name)
        self._numbers = self._needed()
        self._due: list[int] = []
        self.stub = bool(self._plan and self._plan["stub"])
        self._worker: processes.Worker | None = None
        self._lost: WorkerEnded | None = None
        self._deadline = processes.Deadline(0.0)
        self._late: processes.Deadline | None = None
        self._received = 0
        self._loaded, self._loading, self._not_begun = False, 0, 0
        self._done = self._plan is None

    def _needed(self) -> list[int]:
        plans = [self.submission.plans.get(name) for name in (self.name, *self.together_with)]
        places = sorted({place for plan in plans if plan for place in plan["cells"]})
        return [number for number in (self.submission.order[place] for place in places) if not self._error(number)]

    def _error(self, number: int) -> str | None:
        return self.submission.cells[number]["error"]

    @property
    def whole(self) -> bool:
        """Whether the exercise is there, begun, and none of its cells is lost."""
        return self._plan is not None and not self.stub and self._own_error() is None

    def send_to(self, worker: processes.Worker) -> None:
        """Hand all cells and the recorded calls to a worker. Raises WorkerEnded."""
        worker.send({"cells": self._cells(self._numbers)}, self.calls)

    def frames_before_answers(self) -> list[bytes]:
        """Return what a worker sends before its answers where no cell raises."""
        return [*(b"c%d" % number for number in self._numbers), b"l{}"]

    def _cells(self, numbers: list[int]) -> list[dict[str, Any]]:
        return [{key: self.submission.cells[number][key] for key in SENT} for number in numbers]

    def start(self) -> None:
        """Hand the cells and the recorded calls to a fresh worker."""
        if self._done or self._own_error():
            return
        self._open(self.calls)

    def _open(self, calls: list[bytes]) -> None:
        self._loaded, self._loading = False, 0
        self._worker = self.submission.zygote.take()
        fatal = self.submission.fatal_to(self._numbers)
        self._due = [number for number in self._numbers if number not in fatal]
        try:
            self._worker.send({"cells": self._cells(self._due)}, calls)
        except WorkerEnded as ended:
            self._lost = ended

    def _own_error(self) -> tuple[str, str] | None:
        """Return how the last cell that defines the exercise was lost, if it was."""
        own = [cell for cell in self.submission.cells.values() if self.name in cell["exercises"]]
        if not own:
            return None
        last = own[-1]
        if last["error"]:
            return ERROR, f"its cell does not parse: {last['error']}"
        ended = self.submission.fatal_to(self._numbers).get(last["number"])
        if ended is not None:
            return ended.outcome, f"its cell did not finish: {ended}"
        told = self.errors.get(str(last["number"]), {})
        if told and not told.get("went_on"):
            outcome = "memory" if "MemoryError" in told.get("bases", []) else ERROR
            return outcome, one_line(
                f"its cell raised {told.get('kind')}: {told.get('text')} (line {told.get('line')})"
            )
        return None

    def fate(self) -> tuple[str, str] | None:
        """Collect the answers; return outcome and message if the exercise was lost before any check."""
        if self._plan is None:
            return NOT_STARTED, f"{self.name} is not defined"
        if not self._done and not self._own_error():
            self._deadline = processes.Deadline(processes.EXERCISE_SECONDS)
            self._collect(list(self.calls))
        self._done = True
        return self._own_error()

    def _collect(self, pending: list[bytes]) -> None:
        """Read frames until every call has an answer; a call that ends the worker costs that call only."""
        while True:
            try:
                for call, reply in self._replies(pending):
                    self.answers[call] = reply
                return
            except WorkerEnded as ended:
                pending = [call for call in pending if call not in self.answers]
                if not self._after(ended, pending):
                    return
                if self._loaded:
                    pending = pending[1:]
                if not pending:
                    return
                if self._deadline.passed:
                    self.answers |= {
                        call: WorkerEnded("timeout", "the exercise's time was used up") for call in pending
                    }
                    return
                self.end()
                self._open(pending)

    def _after(self, ended: WorkerEnded, pending: list[bytes]) -> bool:
        """Note what ended the worker; return whether the rest is worth another one."""
        if self._loaded:
            self.answers[pending[0]] = ended
            return True
        if self._loading == 0:
            self._not_begun += 1
            if self._not_begun < 3:  # not a line of the student's code ran: whatever ended it, the code did not
                return True
            self.answers |= dict.fromkeys(pending, ended)
            return False
        before = self._due[: self._due.index(self._loading)]
        self.submission.fatal[self._loading, frozenset(before)] = ended
        return not self._own_error()

    def _replies(self, pending: list[bytes]) -> Iterator[tuple[bytes, bytes]]:
        if self._lost is not None:
            lost, self._lost = self._lost, None
            raise lost
        assert self._worker is not None
        begun = iter(self._due)
        while not self._loaded:
            frame = self._worker.receive(self._deadline)
            if frame[:1] == b"c":
                number = next(begun, 0)
                if frame[1:] != str(number).encode():
                    raise WorkerEnded("killed", "the answer could not be read")
                self._loading = number
            elif frame[:1] == b"l":
                self.errors, self._loaded = _object(frame[1:]), True
            else:
                raise WorkerEnded("killed", "the answer could not be read")
        for call in pending:
            frame = self._worker.receive(self._deadline)
            self._received += len(frame)
            if self._received > MAX_ANSWERS:
                raise WorkerEnded("memory", "its answers are too large")
            yield call, frame[1:]

    def ask(self, call: bytes) -> bytes:
        """Return the answer to a call, asking the worker now if it was not among the recorded ones."""
        if call not in self.answers:
            self._ask_late(call)
        answer = self.answers.get(call, WorkerEnded("killed", "no answer"))
        if isinstance(answer, WorkerEnded):
            raise answer
        return answer

    def _ask_late(self, call: bytes) -> None:
        """Ask a fresh worker, as long as all late calls together have not used up the exercise's time once more."""
        self._late = self._late or processes.Deadline(processes.EXERCISE_SECONDS)
        if self._late.passed:
            self.answers[call] = WorkerEnded("timeout", "the exercise's time was used up")
            return
        self._deadline = self._late
        self.end()
        self._open([call])
        self._collect([call])

    def first_cause(self, message: str) -> str:
        """Return a line that names the cell which was lost before what a message misses, "" if there is none."""
        return first_cause(message, list(self.submission.cells.values()), self.errors)

    def end(self) -> None:
        if self._worker is not None:
            self._worker.kill()
            self._worker = None


def _object(text: bytes) -> dict[str, Any]:
    try:
        told = json.loads(text)
    except (ValueError, RecursionError):
        return {}
    return told if isinstance(told, dict) and all(isinstance(item, dict) for item in told.values()) else {}


def read(zygote: Zygote, data: bytes, notebook: bool, lessons: dict[str, list[str]]) -> dict[str, Any]:
    """Read a submitted file in a worker: `{"lessons": {lesson: plan}}` or `{"error": why}`.

    Nothing of it is executed, so the worker is kept for the next file; only a new one's end tells something of the file.
    """
    kept, zygote.reader = zygote.reader, None
    for reader in (kept, None) if kept else (None,):
        reader = reader or zygote.take()
        try:
            reader.send({"read": {"notebook": notebook, "lessons": lessons}, "cells": []}, [data])
            frame = reader.receive(processes.Deadline(processes.CALL_SECONDS))
        except WorkerEnded:
            reader.kill()
            continue
        zygote.reader = reader
        return json.loads(frame[1:])
    return {"error": "the file could not be parsed within the limits of time and memory"}
