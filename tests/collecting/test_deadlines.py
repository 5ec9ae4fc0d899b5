"""A worker's time: what the machine takes is given back, what the worker lets pass is not."""

from __future__ import annotations

import contextlib
import os
import socket
import struct
import subprocess
import sys
import threading
import time

import pytest

from graders.collecting import processes
from graders.collecting.deadlines import Clock, Deadline
from graders.collecting.endings import WorkerEnded
from graders.wire import frames


class _NoZygote:
    def exit_code(self, pid: int) -> int:
        return 255


class _Clock(Clock):
    """Says that the machine takes this share of the time."""

    def __init__(self, share: float = 0.0) -> None:
        self.share = share
        super().__init__(-1)

    def taken(self) -> float:
        since, self._looked = self._looked, time.monotonic()
        return self.share * (self._looked - since)


def worker_at(connection: socket.socket, share: float = 0.0) -> processes.Worker:
    return processes.Worker(_NoZygote(), connection, _Clock(share))  # type: ignore[arg-type]


def test_a_frame_that_comes_drop_by_drop_ends_in_time(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(processes, "CALL_SECONDS", 0.5)
    here, there = socket.socketpair()
    made = worker_at(here)

    def drip() -> None:
        there.sendall(struct.pack("<I", 1 << 20))
        for _ in range(100):
            try:
                there.sendall(b"x")
            except OSError:
                return
            time.sleep(0.05)

    thread = threading.Thread(target=drip)
    thread.start()
    begun = time.monotonic()
    with pytest.raises(WorkerEnded, match="no answer in time"):
        made.receive(Deadline(10))
    assert time.monotonic() - begun < 2
    thread.join()
    there.close()


def test_frames_that_come_together_are_read_one_by_one() -> None:
    here, there = socket.socketpair()
    made = worker_at(here)
    sent = b"".join(struct.pack("<I", len(frame)) + frame for frame in (b"first", b"", b"third"))
    there.sendall(sent[:-2])
    assert (made.receive(Deadline(10)), made.has_more) == (b"first", True)
    assert (made.receive(Deadline(10)), made.has_more) == (b"", False)
    there.sendall(sent[-2:])
    assert (made.receive(Deadline(10)), made.has_more) == (b"third", False)
    there.close()


@pytest.mark.parametrize(("share", "answers"), [(0.7, True), (0.0, False)])
def test_a_busy_machine_costs_a_worker_no_time(monkeypatch: pytest.MonkeyPatch, share: float, answers: bool) -> None:
    """Who wants to compute and is kept waiting gets the time back."""
    monkeypatch.setattr(processes, "CALL_SECONDS", 0.5)
    here, there = socket.socketpair()
    made = worker_at(here, share)

    def answer() -> None:
        with contextlib.suppress(OSError):  # the judge has hung up
            frames.send_frame(there, b"rdone")

    late = threading.Timer(0.8, answer)
    late.start()
    if answers:
        assert made.receive(Deadline(0.7)) == b"rdone"
    else:
        with pytest.raises(WorkerEnded, match="no answer in time"):
            made.receive(Deadline(0.7))
    late.join()
    there.close()


def test_patience_ends(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(processes, "CALL_SECONDS", 0.1)
    here, there = socket.socketpair()
    begun = time.monotonic()
    with pytest.raises(WorkerEnded, match="no answer in time"):
        worker_at(here, 0.9).receive(Deadline(60))
    assert 0.19 < time.monotonic() - begun < 3  # the limit, and once more
    there.close()


def test_frames_without_end_do_not_outlast_the_deadline() -> None:
    here, there = socket.socketpair()
    made = worker_at(here)
    for _ in range(20):
        frames.send_frame(there, b"c1")
    with pytest.raises(WorkerEnded, match="no answer in time"):
        made.receive(Deadline(-1))
    there.close()


def clock_of(code: str) -> tuple[subprocess.Popen, Clock]:
    process = subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE)
    assert process.stdout is not None
    process.stdout.read(1)
    return process, Clock(os.open(f"/proc/{process.pid}", os.O_RDONLY | os.O_DIRECTORY), whole=False)


@pytest.mark.skipif(not os.path.exists("/proc/self/schedstat"), reason="the kernel does not tell")
def test_who_queues_behind_another_program_is_given_it_back() -> None:
    """Both on one processor: there one of two gets half of the time."""
    spin = f"import os; os.sched_setaffinity(0, [{min(os.sched_getaffinity(0))}]); print(flush=True)\nwhile True: pass"
    (other, other_clock), (process, clock) = clock_of(spin), clock_of(spin)
    time.sleep(1.5)
    taken = clock.taken()
    for ended in (other, process):
        ended.kill()
        ended.wait()
    clock.close()
    other_clock.close()
    assert 0.3 < taken < 1.6


class _Told(Clock):
    """Reads what it is told: the seconds that threads waited, and those that all computed."""

    def __init__(self, *told: tuple[dict[str, float], float]) -> None:
        self.told = list(told)
        super().__init__(-1)
        self._looked -= 1.0

    def _read(self) -> tuple[dict[str, float], float]:
        return self.told.pop(0)


@pytest.mark.parametrize(
    ("waited", "computed", "taken"),
    [
        ({"1/1": 0.6}, 0.4, 0.6),
        ({"1/1": 0.01}, 0.08, 0.01),
        ({"1/1": 0.7, "1/2": 0.75}, 1.0, 0.0),
        ({"1/1": 0.7, "2/2": 0.75}, 0.9, 0.1),
        ({}, 0.0, 0.0),
    ],
    ids=["kept waiting", "a sleeper", "behind its own threads", "behind its own children", "nothing is told"],
)
def test_only_what_others_computed_is_given_back(waited: dict[str, float], computed: float, taken: float) -> None:
    clock = _Told(({"1/1": 0.0}, 0.0), (waited, computed))
    assert clock.taken() == pytest.approx(taken, abs=0.05)
