"""What one exercise's workers send, held against what is due: frames as a script has them, no process."""

from __future__ import annotations

import time

import pytest

from graders.collecting import attempt, processes
from graders.collecting.attempt import Attempt, Submission
from graders.collecting.endings import WorkerEnded
from graders.worker import plans, submission


class _Scripted:
    """Stands for a zygote: its workers send these frames, then end."""

    def __init__(self, *workers: list[bytes]) -> None:
        self.workers = list(workers)

    def take(self) -> _Scripted:
        self.frames = self.workers.pop(0)
        return self

    def send(self, header: dict, calls: list[bytes]) -> None:
        self.sent = [cell["number"] for cell in header["cells"]]

    def receive(self, deadline: float) -> bytes:
        if not self.frames:
            raise WorkerEnded("killed", "the code ended its process")
        return self.frames.pop(0)

    def kill(self) -> None:
        pass


def submitted() -> Submission:
    cells = submission.read(b"# %%\nimport torch\n# %%\ndef f(): return torch\n# %%\ndef g(): return torch, f\n", False)
    return Submission(plans.plan(cells, ["f", "g"]))


def attempt_at(name: str, zygote: _Scripted, of: Submission | None = None) -> Attempt:
    of = of or submitted()
    found = Attempt(zygote, of, of.asked(name, [b"call"]))  # type: ignore[arg-type]
    found.start()
    return found


def test_a_cell_cannot_be_ended_in_its_name_by_a_later_one() -> None:
    """g's cell runs behind that of f, which it uses, and says that f's begins once more."""
    both = submitted()
    liar = attempt_at("g", _Scripted([b"c1", b"c2", b"c3", b"c2"], [b"c1", b"c2", b"l{}", b"r=0"]), both)
    outcome, message = liar.fate() or ("", "")
    assert (outcome, "its cell did not finish" in message) == ("killed", True)
    honest = attempt_at("f", _Scripted([b"c1", b"c2", b"l{}", b"r=1"]), both)
    assert (honest.fate(), honest.answers) == (None, {b"call": b"=1"})


def test_what_ends_a_worker_is_known_to_those_who_load_the_same_cells_before_it() -> None:
    both = submitted()
    first = attempt_at("f", _Scripted([b"c1"], [b"c2", b"l{}", b"r=1"]), both)
    assert first.fate() is None
    second = attempt_at("g", scripted := _Scripted([b"c2", b"c3", b"l{}", b"r=1"]), both)
    assert (second.fate(), scripted.sent) == (None, [2, 3])


def test_a_worker_that_ends_before_any_cell_began_is_no_fault_of_the_code() -> None:
    tried = attempt_at("f", _Scripted([], [], [b"c1", b"c2", b"l{}", b"r=1"]))
    assert (tried.fate(), tried.answers) == (None, {b"call": b"=1"})
    for_good = attempt_at("f", _Scripted([], [], []))
    assert for_good.fate() is None
    with pytest.raises(WorkerEnded):
        for_good.ask(b"call")


def test_calls_that_were_not_recorded_have_the_time_that_is_left(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(processes, "EXERCISE_SECONDS", 0.3)
    monkeypatch.setattr(attempt, "LATE_SECONDS", 0.1)
    tried = attempt_at("f", _Scripted(*[[b"c1", b"c2", b"l{}", b"r=1"] for _ in range(9)]))
    tried.fate()
    receive = _Scripted.receive
    monkeypatch.setattr(_Scripted, "receive", lambda self, deadline: time.sleep(0.05) or receive(self, deadline))
    ends = []
    for number in range(4):
        try:
            ends.append(str(tried.ask(b"late %d" % number)))
        except WorkerEnded as ended:
            ends.append(str(ended))
    assert "time was used up" not in ends[0]  # four frames in each, of 0.05 s
    assert "time was used up" in ends[2]
    assert "time was used up" in ends[3]


@pytest.mark.parametrize(
    "told",
    [
        b'{"1": {"bases": 5}, "2": {"bases": 5}}', b"[]", b"{" * 100_000, b'{"1": 1}', b"5", b"", b'{"1": {}, "1": {}}',
        b'{"2": {"kind": "E", "bases": [1], "text": "", "line": 1, "in_file": true, "function": "", "source": ""}}',
        b'{"2": {"kind": "E", "bases": [], "text": "", "line": "1", "in_file": true, "function": "", "source": ""}}',
    ],
)  # fmt: skip
def test_a_forged_frame_costs_its_exercise_and_no_more(told: bytes) -> None:
    tried = attempt_at("f", _Scripted(*[[b"c1", b"c2", b"l" + told]] * 2, [b"c1", b"l" + told], [b"l" + told]))
    outcome, message = tried.fate() or ("", "")
    assert (outcome, "could not be read" in message) == ("killed", True)


def test_answers_that_are_too_large_are_not_kept_with_what_says_so() -> None:
    """What was raised while an answer was at hand held it: sixty calls, sixty answers."""
    large = b"r" + bytes(attempt.LITTLE)
    zygote = _Scripted([b"c1", b"c2", b"c3", b"l{}", large])  # no other worker is asked for the calls that are left
    both = submitted()
    calls = [b"call %d" % number for number in range(8)]
    found = Attempt(zygote, both, both.asked("g", calls, right=1))  # type: ignore[arg-type]
    found.start()
    found.fate()
    kept = list(found.answers.values())
    assert {str(one) for one in kept} == {"its answers are too large"}
    assert all(isinstance(one, WorkerEnded) and one.__traceback__ is None and one.__context__ is None for one in kept)
    for call in calls:
        with pytest.raises(WorkerEnded, match="too large"):
            found.ask(call)
    assert all(isinstance(one, WorkerEnded) and one.__traceback__ is None for one in kept)
