"""One exercise of one submission, alone: load its cells in a worker, collect the answers, and say what was lost and why.

What a worker sends is bytes: here they are held against the frames that are due (`wire.schema`), and kept as bytes.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from graders.collecting import processes
from graders.collecting.deadlines import Deadline
from graders.collecting.endings import ERROR, NOT_STARTED, WorkerEnded, one_line
from graders.collecting.first_cause import first_cause
from graders.collecting.processes import Zygote
from graders.wire import schema
from graders.wire.recipes import Unreadable
from graders.wire.schema import SENT

MAX_ANSWERS = schema.MAX_ANSWERS
LITTLE = 2 << 20  # bytes that every exercise's answers may have
MORE = 8  # times the bytes of the right answers: float64 for int8
SPARE = 1 << 16  # bytes more than twice the right answers that are kept of every exercise at once
LATE_SECONDS = 2.0  # at least, for calls that were not recorded
AFTER_TIMEOUT = 5.0  # at most, for all other calls together once one has used up the time of a call


@dataclass(frozen=True)
class Asked:
    """What is asked for one exercise: the cells to load, by number, the recorded calls, and the bytes of the right answers."""

    name: str
    numbers: tuple[int, ...]
    calls: tuple[bytes, ...]
    right: int = MAX_ANSWERS

    @property
    def most(self) -> int:
        """The bytes of answers that are looked at."""
        return min(MAX_ANSWERS, max(LITTLE, MORE * self.right))

    @property
    def likely(self) -> int:
        """The bytes of answers that may still be right, as far as they are kept for all exercises at once."""
        return min(MAX_ANSWERS, 2 * self.right + SPARE)


@dataclass(frozen=True)
class Answered:
    """What an exercise answered to all of its recorded calls, as if alone and to the end."""

    answers: dict[bytes, bytes]
    errors: dict[str, Any]  # of the cells that were loaded, by number
    seconds: float


class Submission:
    """The cells of one submission, and those that turned out to end or stop whoever loads them."""

    def __init__(self, plan: dict[str, Any]) -> None:
        self._plans = plan["plans"]
        self.cells = {cell["number"]: cell for cell in plan["cells"]}
        self.order = [cell["number"] for cell in plan["cells"]]
        self._files: dict[str, str] = plan.get("files", {})  # modules of the student's that the cells may import
        self.fatal: dict[tuple[int, frozenset[int]], WorkerEnded] = {}

    def asked(
        self, name: str, calls: list[bytes], together_with: tuple[str, ...] = (), right: int = MAX_ANSWERS
    ) -> Asked:
        """Return what to ask for an exercise.

        together_with: those whose cells are loaded too. right: the bytes of the right answers.
        """
        plans = [self._plans.get(one) for one in (name, *together_with)]
        places = sorted({place for plan in plans if plan for place in plan["cells"]})
        numbers = [self.order[place] for place in places]
        numbers = [number for number in numbers if not self.cells[number]["error"]]
        return Asked(name, tuple(numbers), tuple(calls), right)

    def defines(self, name: str) -> bool:
        """Whether the exercise is there, or may be."""
        return name in self._plans

    def is_stub(self, name: str) -> bool:
        """Whether the exercise was not begun."""
        return self.defines(name) and self._plans[name]["stub"]

    def whole(self, name: str) -> bool:
        """Whether the exercise is there, begun, and its own last cell can be parsed."""
        own = self.own_cell(name)
        return self.defines(name) and not self.is_stub(name) and not (own and own["error"])

    def own_cell(self, name: str) -> dict[str, Any] | None:
        """Return the last cell that defines an exercise."""
        own = [cell for cell in self.cells.values() if name in cell["exercises"]]
        return own[-1] if own else None

    def rests_on(self, name: str) -> list[str]:
        """Return the other exercises that this one uses."""
        return self._plans[name]["rests_on"] if self.defines(name) else []

    def sent(self, numbers: tuple[int, ...]) -> dict[str, Any]:
        """Return cells as a worker gets them, with the files that they may import."""
        cells = [{key: self.cells[number][key] for key in SENT} for number in numbers]
        return {"cells": cells, "files": self._files} if self._files else {"cells": cells}

    def fatal_to(self, numbers: tuple[int, ...]) -> dict[int, WorkerEnded]:
        """Return the cells that would end a worker which loads these.

        What a worker says of a cell is taken over only by those who load all the cells that came before it there: one of
        them may have ended the worker in its name.
        """
        return {number: ended for (number, before), ended in self.fatal.items() if before <= set(numbers)}


class Attempt:
    """One exercise of one submission: its worker, and the answers to its calls; `told`: what it has answered already."""

    def __init__(self, zygote: Zygote, submission: Submission, asked: Asked, told: Answered | None = None) -> None:
        self._zygote, self._submission, self._asked, self.name = zygote, submission, asked, asked.name
        self.answers: dict[bytes, bytes | WorkerEnded] = dict(told.answers) if told else {}
        self.errors: dict[str, Any] = told.errors if told else {}
        self.seconds = told.seconds if told else 0.0
        self._due: list[int] = []
        self.stub = submission.is_stub(asked.name)
        self._worker: processes.Worker | None = None
        self._lost: WorkerEnded | None = None
        self._deadline = Deadline(0.0)
        self._late: Deadline | None = None
        self._received = 0
        self._loaded, self._loading, self._not_begun = False, 0, 0
        self._done = told is not None or not submission.defines(asked.name)

    @property
    def size(self) -> int:
        """The bytes of all answers."""
        return sum(len(answer) for answer in self.answers.values() if isinstance(answer, bytes))

    def start(self) -> None:
        """Hand the cells and the recorded calls to a fresh worker."""
        if self._done or self._own_error():
            return
        self._open(list(self._asked.calls))

    def _open(self, calls: list[bytes]) -> None:
        self._loaded, self._loading = False, 0
        self._worker = self._zygote.take()
        fatal = self._submission.fatal_to(self._asked.numbers)
        self._due = [number for number in self._asked.numbers if number not in fatal]
        try:
            self._worker.send(self._submission.sent(tuple(self._due)), calls)
        except WorkerEnded as ended:
            self._lost = ended

    def _own_error(self) -> tuple[str, str] | None:
        """Return how the last cell that defines the exercise was lost, if it was."""
        last = self._submission.own_cell(self.name)
        if last is None:
            return None
        if last["error"]:
            return ERROR, f"its cell does not parse: {last['error']}"
        ended = self._submission.fatal_to(self._asked.numbers).get(last["number"])
        if ended is not None:
            return ended.outcome, f"its cell did not finish: {ended}"
        told = self.errors.get(str(last["number"]))
        if told is not None and not told["went_on"]:
            outcome = "memory" if "MemoryError" in told["bases"] else ERROR
            return outcome, one_line(f"its cell raised {told['kind']}: {told['text']} (line {told['line']})")
        return None

    def fate(self) -> tuple[str, str] | None:
        """Collect the answers; return outcome and message if the exercise was lost before any check."""
        if not self._submission.defines(self.name):
            return NOT_STARTED, f"{self.name} is not defined"
        self._deadline = Deadline(processes.EXERCISE_SECONDS - self.seconds)
        if not self._done and not self._own_error():
            self._collect(list(self._asked.calls))
        self._done = True
        return self._own_error()

    def _collect(self, pending: list[bytes]) -> None:
        """Read frames until every call has an answer; a call that ends the worker costs that call only."""
        while True:
            try:
                for call, reply in self._replies(pending):
                    self.answers[call] = reply
                return
            except WorkerEnded as found:
                ended = found.again()
                pending = [call for call in pending if call not in self.answers]
                if not self._after(ended, pending):
                    return
                if self._loaded:
                    pending = pending[1:]
                if self._received > self._asked.most:  # which no further answer makes less
                    self.answers |= dict.fromkeys(pending, ended)
                if not pending or self._received > self._asked.most:
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
            if ended.outcome == "timeout" and self._deadline.left > AFTER_TIMEOUT:
                self._deadline = Deadline(AFTER_TIMEOUT)
            return True
        if self._loading == 0:
            self._not_begun += 1
            if self._not_begun < 3:  # not a line of the student's code ran: whatever ended it, the code did not
                return True
            self.answers |= dict.fromkeys(pending, ended)
            return False
        before = self._due[: self._due.index(self._loading)]
        self._submission.fatal[self._loading, frozenset(before)] = ended
        return not self._own_error()

    def _replies(self, pending: list[bytes]) -> Iterator[tuple[bytes, bytes]]:
        if self._lost is not None:
            lost, self._lost = self._lost, None
            raise lost.again()
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
                self.errors, self._loaded = _errors(frame[1:]), True
            else:
                raise WorkerEnded("killed", "the answer could not be read")
        for call in pending:
            frame = self._worker.receive(self._deadline)
            self._received += len(frame)
            if self._received > self._asked.most:
                raise WorkerEnded("memory", "its answers are too large")
            if frame[:1] != b"r":
                raise WorkerEnded("killed", "the answer could not be read")
            yield call, frame[1:]

    def ask(self, call: bytes) -> bytes:
        """Return the answer to a call, asking the worker now if it was not among the recorded ones."""
        if call not in self.answers:
            self._ask_late(call)
        answer = self.answers.get(call)
        if isinstance(answer, bytes):
            return answer
        raise answer.again() if answer else WorkerEnded("killed", "no answer")

    def _ask_late(self, call: bytes) -> None:
        """Ask a fresh worker, as long as there is time: what the recorded calls left of the exercise's, and a little more."""
        self._late = self._late or Deadline(max(self._deadline.left, LATE_SECONDS))
        if self._late.passed:
            self.answers[call] = WorkerEnded("timeout", "the exercise's time was used up")
            return
        self._deadline = self._late
        self.end()
        self._open([call])
        self._collect([call])

    def first_cause(self, message: str) -> str:
        """Return a line that names the cell which was lost before what a message misses, "" if there is none."""
        return first_cause(message, list(self._submission.cells.values()), self.errors)

    def end(self) -> None:
        if self._worker is not None:
            self._worker.kill()
            self._worker = None


def _errors(body: bytes) -> dict[str, Any]:
    try:
        return schema.errors(body)
    except Unreadable:
        raise WorkerEnded("killed", "the answer could not be read") from None
