"""Every tier that can be had here: what it promises is so, and honest code works in it as it does for the student."""

from __future__ import annotations

import errno
import json
import os
import re
import signal
import sys
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from textwrap import indent

import pytest

from graders import ROOT
from graders.__main__ import main
from graders.collecting.processes import Zygote
from graders.trust import breaches, selfcheck
from graders.trust.breaches import deciding
from graders.wire import tiers
from graders.wire.tiers import TIERS, of_rank, rank
from graders.worker import sandbox, zygote
from graders.worker.sandbox import kernel, landlock, namespaces, seccomp
from tests.collecting.test_processes import run
from tests.worker import ordinary_user

pytestmark = pytest.mark.timeout(600)


@pytest.fixture(scope="module", params=TIERS)
def box(request: pytest.FixtureRequest) -> Iterator[Zygote]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("GRADERS_TIER", request.param)
        made = Zygote()
        made.warm()
        assert made.tier == request.param, "these tests need Linux 5.13 as root, and libseccomp"
        yield made
        made.close()


HONEST = {
    "threads": """from concurrent.futures import ThreadPoolExecutor
with ThreadPoolExecutor(8) as pool: return sum(pool.map(abs, range(-9, 0))) == 45""",
    "torch in threads": """import torch
torch.set_num_threads(2)
return (torch.ones(300, 300) @ torch.ones(300, 300))[0, 0].item() == 300""",
    "temporary files": """import tempfile, shutil, pathlib
with tempfile.TemporaryDirectory() as folder:
    made = pathlib.Path(folder, 'a'); made.touch(); made.write_text('x'); made.touch()
    shutil.copy2(made, folder + '/b'); os.replace(folder + '/b', folder + '/c'); os.chmod(made, 0o600)
    with tempfile.NamedTemporaryFile('w') as file: file.write('x')
    return sorted(os.listdir(folder)) == ['a', 'c']""",
    "torch.save": """import torch
torch.save({'w': torch.ones(3)}, 'm.pt'); return torch.load('m.pt')['w'].sum().item() == 3""",
    "matplotlib": """import matplotlib.pyplot as plt
plt.plot([1, 2]); plt.title('x'); plt.savefig('p.png'); return os.path.getsize('p.png') > 1000""",
    "subprocess": """import subprocess
return subprocess.run([sys.executable, '-c', 'print(6)'], capture_output=True, text=True).stdout == '6\\n'""",
    "a child's answer through a pipe": """import multiprocessing
here, there = multiprocessing.Pipe()
child = multiprocessing.get_context('fork').Process(target=lambda: there.send(7)); child.start()
child.join(); return here.recv() == 7""",
    "sleep and clocks": "import time\ntime.sleep(0.01); return time.time() > 0 and time.process_time() > 0",
    "asyncio": "import asyncio\nreturn asyncio.run(asyncio.sleep(0.01, 5)) == 5",
    "random numbers": "import secrets\nreturn len(secrets.token_bytes(8) + open('/dev/urandom', 'rb').read(8)) == 16",
}
SHARED = {
    "multiprocessing.Pool": "import multiprocessing\nwith multiprocessing.Pool(2) as pool: return pool.map(abs, [-1]) == [1]",
    "DataLoader": """import torch
from torch.utils.data import DataLoader, TensorDataset
loader = DataLoader(TensorDataset(torch.arange(8.0)), batch_size=2, num_workers=2)
return sum(batch.sum().item() for batch, in loader) == 28""",
    "shared memory": """from multiprocessing import shared_memory
made = shared_memory.SharedMemory(create=True, size=100); made.close(); made.unlink(); return True""",
}


@pytest.mark.parametrize("name", HONEST)
def test_honest_code_works(box: Zygote, name: str) -> None:
    assert run(box, HONEST[name]) is True


@pytest.mark.parametrize("name", SHARED)
def test_processes_share_memory_where_they_have_one_of_their_own(box: Zygote, name: str) -> None:
    """Landlock cannot give a worker a /dev/shm of its own, and that of the machine is not for it: the manual says so."""
    body = f"def work():\n{indent(SHARED[name], '    ')}\n"
    told = run(box, f"{body}try:\n    return work()\nexcept OSError as error:\n    return type(error).__name__")
    assert told == ("PermissionError" if box.tier == "landlock" else True)


@pytest.mark.parametrize("tier", TIERS)
def test_what_is_promised_is_held(tier: str) -> None:
    found = selfcheck.check(tier)
    assert found.absent == ""
    assert {promise: broken for promise, broken in found.broken.items() if broken and found.promised(promise)} == {}
    assert len(found.broken) == len(breaches.ALL)
    whom, broken = found.deciding
    assert {promise: ways for promise, ways in broken.items() if ways} == {}
    assert len(broken) == (0 if tier == "process" else len(deciding.PROMISED))
    assert whom.endswith("not confined" if tier == "process" and "uid 0" in whom else tier)


def test_the_checks_have_teeth() -> None:
    """Where nothing is promised, they find their way."""
    found = selfcheck.check("process")
    ways = {promise for promise, broken in found.broken.items() if broken}
    unpromised = {selfcheck.name_of(each) for each in breaches.ALL if each not in breaches.BESIDE_OTHERS}
    assert ways == unpromised


@pytest.mark.parametrize("forbidden", [False, True], ids=["namespaces allowed", "namespaces forbidden"])
def test_an_ordinary_user_gets_the_best_tier_and_what_it_promises(forbidden: bool) -> None:
    tier = "landlock" if forbidden else "namespaces"
    told = ordinary_user.run(["-m", "graders", "selfcheck", "namespaces"], forbidden)
    if forbidden:
        assert "namespaces: not available here, workers would run as landlock" in told.stdout
        told = ordinary_user.run(["-m", "graders", "selfcheck", "landlock"], forbidden)
    assert len(re.findall(r" held$", told.stdout, re.MULTILINE)) == len(breaches.ALL) + len(deciding.PROMISED) + 1, (
        told.stdout
    )
    assert f"deciding there: uid {ordinary_user.USER}, {tier}\n" in told.stdout
    assert (told.returncode, tier in told.stdout, "not held" in told.stdout) == (0, True, False), told.stdout


FLOODS = """
import socket
def f():
    global held
    held, sent = socket.socketpair(), 0
    try:
        while True:
            socket.send_fds(held[0], [b"x"], [0] * (200 if sent < 200 else 1))
            sent += 200 if sent < 200 else 1
    except OSError as error:
        return [sent, error.errno]
"""
FLOODED = """
import json, sys
from graders.collecting.deadlines import Deadline
from graders.collecting.processes import Zygote
from graders.judge.proxy import value_of
from graders.wire import codec, notes

def answer(zygote, source):
    worker = zygote.take()
    cell = {"source": source, "line": 1, "number": 1, "flags": 0}
    worker.send({"cells": [cell]}, [codec.encode(["f", "", [], {}], True)])
    frames = [worker.receive(Deadline(20.0)) for _ in range(3)]
    return worker, value_of(notes.split(frames[2][1:])[1])

zygote = Zygote()
flooding, flooded = answer(zygote, sys.argv[1])
others = [answer(zygote, "def f(): return 1") for _ in range(5)]
print(json.dumps([flooded[0] > 250, flooded[1], [told for _, told in others], [one._clock._folder >= 0 for one, _ in others]]))
zygote.close()
"""


def test_no_worker_keeps_an_ordinary_users_other_workers_from_starting() -> None:
    """The kernel counts the descriptors that all of a user's processes have on their way; each worker sends one to begin with."""
    told = ordinary_user.run(["-c", FLOODED, FLOODS])
    assert json.loads(told.stdout.splitlines()[-1]) == [True, errno.ETOOMANYREFS, [1] * 5, [True] * 5], told.stdout


def test_an_older_landlock_holds_the_same(tmp_path, monkeypatch: pytest.MonkeyPatch) -> None:
    """That of Debian 12 (ABI 2) looks neither at signals nor at the length of files: the filter does."""
    monkeypatch.setattr(landlock, "abi", lambda: 2)
    monkeypatch.setattr(sys, "path", [place for place in sys.path if place and os.path.realpath(place) != str(ROOT)])
    scratch = tempfile.mkdtemp(dir=tmp_path)
    tried = (breaches.write_outside, breaches.other_processes, breaches.services)
    with selfcheck._machine() as (told, hidden):
        told |= {"scratch": scratch, "pids": [told["sleeper"]]}
        before = selfcheck._state(told["target"])
        reader, writer = os.pipe()
        made = sandbox.Sandbox("landlock", list(hidden), scratch, zygote._needed(), False)
        pid = made.fork()
        if pid == 0:
            try:
                made.settle()
                found = [way for each in tried for way in each(told)]
                os.write(writer, json.dumps(found).encode())
            finally:
                os._exit(0)
        os.waitpid(pid, 0)
        os.killpg(pid, signal.SIGKILL)
        os.close(writer)
        with os.fdopen(reader) as answer:
            assert json.loads(answer.read()) == []
        assert selfcheck._state(told["target"]) == before
        assert not selfcheck._arrived(told["inbox"])


def test_without_its_library_a_tier_says_so_and_promises_less(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "pyseccomp", None)
    assert seccomp.program() is None
    tier = sandbox.Sandbox("process", [], "", [], False).tier
    assert tier == "process without seccomp"
    assert rank(tier) < rank("process") < rank("landlock without seccomp")
    assert all(of_rank(rank(each)) == each for each in (tier, *TIERS))
    found = selfcheck.Tier(tier, broken={"network": ["connected"], "time": []})
    assert found.held
    assert not selfcheck.Tier("process", broken={"network": ["connected"]}).held


def test_nothing_is_mounted_for_the_whole_machine(monkeypatch: pytest.MonkeyPatch) -> None:
    """Whoever calls what mounts, in a process that has no mounts of its own, is refused."""
    called = []

    class Libc:
        def __getattr__(self, name: str) -> Callable[..., int]:
            return lambda *given: called.append(name) or 0

    monkeypatch.setattr(kernel, "libc", Libc)
    monkeypatch.setattr(namespaces, "libc", Libc)
    for act in (
        namespaces._private_devices,
        lambda: namespaces.Namespaces([], "/nowhere", [], False),
        lambda: kernel.make_read_only("/"),
    ):
        with pytest.raises(OSError, match="no mounts of its own"):
            act()
    assert set(called) <= {"unshare"}


def test_a_child_of_a_worker_is_ended_with_it_and_cannot_leave_its_group(box: Zygote) -> None:
    told = run(box, "pid = os.fork()\nif pid == 0:\n    try: os.setsid()\n    except OSError: os._exit(7)\n    os._exit(0)\n"
                    "return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])")  # fmt: skip
    assert told == 7


def test_the_manual_shows_what_is_promised() -> None:
    assert selfcheck.table() in (ROOT / "graders" / "README.md").read_text(encoding="utf-8")


def test_grading_below_a_required_tier_is_refused(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "ann.py").write_text("# %%\ndef integer_range(dtype):\n    return 0\n")
    command = ["grade", str(tmp_path / "ann.py"), "--output", str(tmp_path / "out")]
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("GRADERS_TIER", "process")
        patch.setenv("GRADERS_REQUIRE_TIER", "process")
        assert main([*command, "--require-tier", "landlock"]) == 2
        told = capsys.readouterr().err
        assert told == (
            "graders: this machine isolates with the tier `process`, and `landlock` is required; "
            "`python -m graders selfcheck` says what each tier stops here\n"
        )
        assert not (tmp_path / "out").exists()
        assert main([*command, "--require-tier", "process"]) == 0
        assert main([*command, "--require-tier", "process", "--scheduler", "tcp://127.0.0.1:1"]) == 2
        patch.setenv("GRADERS_TIER", "nothing")
        assert main([*command, "--require-tier", "process"]) == 2
        assert "GRADERS_TIER is 'nothing'; choose from namespaces, landlock, process" in capsys.readouterr().err


@pytest.mark.parametrize(("required", "enough"), [("", True), ("landlock", False), ("process", True)])
def test_a_verdict_of_a_lower_tier_is_not_kept(monkeypatch: pytest.MonkeyPatch, required: str, enough: bool) -> None:
    monkeypatch.delenv(tiers.REQUIRED, raising=False)
    if required:
        monkeypatch.setenv(tiers.REQUIRED, required)
    assert tiers.enough("process") is enough
    assert tiers.enough("process without seccomp") is (not required)


def test_mounts_that_were_left_are_left_though_the_next_ones_have_their_name(monkeypatch: pytest.MonkeyPatch) -> None:
    """An ordinary user's processes could be alone with the first ones, which are gone then, and their name is free."""
    names = iter([kernel._FIRST_MOUNTS, "mnt:[1]", kernel._FIRST_MOUNTS])
    monkeypatch.setattr(kernel, "_mounts", lambda: next(names))
    monkeypatch.setattr(kernel, "_has_left", False)
    with pytest.raises(OSError, match="no mounts of its own"):
        kernel.need_own_mounts()
    kernel.need_own_mounts()
    kernel.need_own_mounts()
