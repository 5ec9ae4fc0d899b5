"""Submissions on the machines of a Dask scheduler: what becomes of them where workers and schedulers are lost."""

from __future__ import annotations

import os
import socket
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import dask
import pytest
from distributed import LocalCluster

from graders.__main__ import main
from graders.cohort import grading
from graders.cohort.spread import cluster
from graders.cohort.spread.processes import Judged
from graders.cohort.verdicts import WrongUse
from graders.errors import Stopped
from tests.cohort.handed_in import L2, solved


def machines(workers: int) -> LocalCluster:
    return LocalCluster(n_workers=workers, threads_per_worker=1, host="127.0.0.1", dashboard_address=None)


@pytest.fixture
def two(monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    monkeypatch.setattr(cluster, "ALONE_SECONDS", 120.0)  # a busy machine starts a lost worker slowly again
    with dask.config.set({"distributed.deploy.lost-worker-timeout": "120s"}), machines(2) as made:
        yield made.scheduler_address


def judged(address: str, todo: list[str]) -> dict[int, Judged]:
    with closing(cluster.Cluster(address, ())) as there:
        return {index: told for index, _, told in there.judged(enumerate(todo), "seed")}


@pytest.mark.parametrize(
    "address", ["tcp://127.0.0.1:1", "127.0.0.1:1", "nowhere", "http://127.0.0.1:1", "tls://x:1", ""]
)
def test_an_address_without_scheduler_is_wrong_use(
    address: str, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(cluster, "CONNECT_SECONDS", 1.0)
    (tmp_path / "ann.py").write_text("x = 1")
    command = ["grade", str(tmp_path / "ann.py"), "--output", str(tmp_path / "out"), f"--scheduler={address}"]
    assert main(command) == 2
    told = capsys.readouterr().err.splitlines()[-1]
    assert told.startswith(f"graders: no Dask scheduler answers at {address} (")
    assert not (tmp_path / "out").exists()


def test_who_is_silent_is_no_scheduler(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cluster, "CONNECT_SECONDS", 0.5)
    with (
        socket.create_server(("127.0.0.1", 0)) as silent,
        pytest.raises(WrongUse, match="no Dask scheduler answers at"),
    ):
        cluster.Cluster(f"tcp://127.0.0.1:{silent.getsockname()[1]}", ())


def test_a_scheduler_without_workers_is_told_in_a_sentence(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cluster, "ALONE_SECONDS", 1.5)
    with (
        machines(0) as nobody,
        pytest.raises(Stopped, match=r"has had no worker for .* seconds: start some with `dask worker"),
    ):
        judged(nobody.scheduler_address, ["one"])


def test_who_ends_three_workers_could_not_be_graded_and_nobody_else_is_lost(
    two: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    log = tmp_path / "ended"

    def judge_here(submission: str, seed: str, hidden: tuple[str, ...]) -> Judged:
        if submission == "ends workers":
            with log.open("a") as file:
                file.write("one\n")
            os._exit(1)
        return Judged({"student": submission})

    monkeypatch.setattr(cluster, "judge_here", judge_here)
    todo = [f"s{number}" for number in range(9)]
    told = judged(two, [*todo[:4], "ends workers", *todo[4:]])
    ended = told.pop(4)
    assert (ended.verdict, ended.fault) == (None, "3 workers ended while they had it")
    assert len(log.read_text().splitlines()) == 3
    assert [one.verdict for _, one in sorted(told.items())] == [{"student": name} for name in todo]


def test_machines_give_the_same_verdicts_as_this_one(two: str, tmp_path: Path) -> None:
    for name in ("ann", "bob"):
        (tmp_path / "in" / name).mkdir(parents=True)
        (tmp_path / "in" / name / f"{L2}.py").write_text(solved(name, L2))
    there, here = (
        grading.grade([tmp_path / "in"], tmp_path / place, seed="seed", scheduler=scheduler)
        for place, scheduler in (("there", two), ("here", None))
    )

    def marks(told: Any) -> list[Any]:
        return [(one["student"], one["score"], [each["outcome"] for each in one["exercises"]]) for one in told]

    assert marks(there) == marks(here)
    assert {one["status"] for one in there} == {"graded"}
