"""Workers: what they can do, how they end, and that the zygote survives them."""

from __future__ import annotations

import errno
import os
import re
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from graders import ROOT
from graders.collecting import processes, starting
from graders.collecting.deadlines import Deadline
from graders.collecting.endings import WorkerEnded
from graders.collecting.processes import Zygote
from graders.judge.proxy import value_of
from graders.wire import codec, notes
from graders.worker import sandbox
from graders.worker.sandbox import kernel
from graders.worker.sandbox.namespaces import Namespaces

pytestmark = pytest.mark.alone

_SET_DUMPABLE = 4


@pytest.fixture(scope="module")
def zygote() -> Iterator[Zygote]:
    made = Zygote()
    made.warm()
    yield made
    made.close()


def run(zygote: Zygote, body: str, seconds: float = 30.0) -> object:
    """Call a function with this body in a fresh worker."""
    source = "import os, sys\ndef f():\n" + "".join(f"    {line}\n" for line in body.split("\n"))
    worker = zygote.take()
    try:
        worker.send(
            {"cells": [{"source": source, "line": 1, "number": 1, "flags": 0}]}, [codec.encode(["f", "", [], {}], True)]
        )
        deadline = Deadline(seconds)
        frames = [worker.receive(deadline) for _ in range(3)]
        assert frames[1] == b"l{}"
        return value_of(notes.split(frames[2][1:])[1])
    finally:
        worker.kill()


def test_a_forked_process_has_renewed_its_thread_pool_before_student_code_runs(zygote: Zygote) -> None:
    """Else two threads of from_pretrained could renew it at once, and one of them fail."""
    body = (
        "import torch\n"
        "torch.set_num_threads(3)\n"
        "pid = os.fork()\n"
        "if pid == 0: os._exit(torch.get_num_threads())\n"
        "return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])"
    )
    assert run(zygote, body) == 1


def test_a_compilation_of_quanto_that_was_killed_stops_nobody() -> None:
    """It leaves a lock in the installed package, at which quanto waits for ever before it compiles."""
    import optimum.quanto.library.extensions.cpp as extension

    lock = Path(extension.__file__).parent / "build" / "lock"
    made = not lock.exists()
    lock.parent.mkdir(exist_ok=True)
    lock.touch()
    zygote = Zygote(("optimum.quanto", "graders.worker.warmup"))
    code = "from exercises.kit.toys import precisions; precisions.quantized('mlp', 'qint4')"
    try:
        subprocess.run([sys.executable, "-c", code], cwd=ROOT, check=True, timeout=60)
        zygote.warm()
        body = (
            "from exercises.kit.toys import precisions as toys\nreturn toys.precision(toys.quantized('mlp', 'qint4'))"
        )
        assert run(zygote, body) == "qint4"
    finally:
        zygote.close()
        if made:
            lock.unlink()


def test_the_worker_that_reads_files_is_kept_and_replaced(zygote: Zygote) -> None:
    told = zygote.read(b"def f():\n    return 1\n", False, {"lesson": ["f"]})
    kept = zygote._reader
    assert kept is not None
    assert told["lessons"]["lesson"]["defined"] == ["f"]
    assert zygote.read(b"def (", False, {"lesson": ["f"]})["lessons"]["lesson"]["defined"] == []
    assert zygote._reader is kept
    os.kill(kept._pid, signal.SIGKILL)
    assert zygote.read(b"def f():\n    return 1\n", False, {"lesson": ["f"]}) == told
    assert zygote._reader is not kept


def test_an_answer_comes_back(zygote: Zygote) -> None:
    assert run(zygote, "return [1, 'two']") == [1, "two"]


@pytest.mark.parametrize(
    ("body", "outcome"),
    [
        ("os._exit(0)", "killed"),
        ("os.abort()", "killed"),
        ("import ctypes; ctypes.string_at(0)", "killed"),
        ("while True: pass", "timeout"),
        ("3 ** (3 ** 22)", "timeout"),
        ("import signal, time; signal.pthread_sigmask(signal.SIG_BLOCK, range(1, 65)); time.sleep(99)", "timeout"),
        ("return [0] * 10**13", "memory"),
        ("import torch; return torch.zeros(10**13)", "memory"),
    ],
)
def test_ends_are_told_apart(zygote: Zygote, body: str, outcome: str) -> None:
    with pytest.raises(WorkerEnded) as ended:
        run(zygote, body, seconds=2.0 if outcome == "timeout" else 30.0)
    assert ended.value.outcome == outcome


def test_what_lies_beside_the_project_is_not_in_sight() -> None:
    """Another checkout, say, with its solutions."""
    with tempfile.TemporaryDirectory(dir=ROOT.parent) as beside:
        Path(beside, "solutions.py").write_text("secret")
        os.chmod(beside, 0o755)
        made = Zygote()
        made.warm()
        try:
            seen = run(made, f"return os.path.exists({str(Path(beside, 'solutions.py'))!r})")
            assert (made.tier, seen) in (("namespaces", False), ("process", True))
        finally:
            made.close()


def test_answers_cannot_be_imported(zygote: Zygote) -> None:
    body = """import importlib
found = []
for name in {names!r}:
    try:
        importlib.import_module(name)
    except ImportError:
        continue
    found.append(name)
return found"""
    names = [
        "solutions",
        "solutions.l2_data_types",
        "graders.lessons",
        "graders.judge.judge",
        "graders.cohort.grading",
        "tests",
    ]
    assert run(zygote, body.format(names=names)) == []


def test_no_module_of_the_judge_is_in_the_worker(zygote: Zygote) -> None:
    loaded = run(
        zygote, "return sorted(name for name in sys.modules if name.startswith(('graders', 'solutions', 'tests')))"
    )
    box = ("kernel", "landlock", "limits", "namespaces", "seccomp", "watch")
    sides = {
        "wire": ("codec", "frames", "models", "notes", "quantized", "recipes", "records", "schema", "tiers"),
        "worker": (
            "helpers",
            "imports",
            "loading",
            "magics",
            "newer",
            "plans",
            "sandbox",
            *(f"sandbox.{name}" for name in box),
            "submission",
            "worker",
            "world",
            "zygote",
        ),
    }
    assert loaded == sorted(
        [
            "graders",
            *(f"graders.{room}" for room in sides),
            *(f"graders.{room}.{name}" for room, names in sides.items() for name in names),
        ]
    )


def test_secrets_of_the_environment_stay_out(zygote: Zygote, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SECRET_TOKEN", "x")
    fresh = Zygote()
    try:
        assert "SECRET_TOKEN" not in run(fresh, "return sorted(os.environ)")  # type: ignore[operator]
    finally:
        fresh.close()


def needs_namespaces(zygote: Zygote) -> None:
    if zygote.tier != "namespaces":
        pytest.fail(
            "this machine does not allow namespaces; the tests of that tier need Linux with root or user namespaces"
        )


@pytest.mark.parametrize(
    "body",
    [
        "os.mkdir('/somewhere')",
        f"open({str(ROOT / 'exercises' / 'x')!r}, 'w')",
        "import socket; socket.create_connection(('127.0.0.1', 9), 1)",
        "os.setuid(0)",
        f"open({str(ROOT / 'solutions' / 'l2_data_types.py')!r})",
        "os.kill(int(sorted(os.listdir('/proc'), key=lambda n: n.isdigit())[-1]) + 1, 9)",
        "[os.fork() or __import__('time').sleep(60) for _ in range(500)]",
    ],
)
def test_the_namespaces_tier_refuses(zygote: Zygote, body: str) -> None:
    needs_namespaces(zygote)
    told = run(zygote, f"try:\n    {body}\nexcept OSError as error:\n    return type(error).__name__\nreturn None")
    assert told is not None


def test_an_ordinary_user_gets_namespaces_too() -> None:
    """Two workers after one another: after the first, the zygote has to come back from its PID namespace.

    Where the machine allows it, which the manual's command tells; elsewhere it must be refused.
    """
    nobody = {"user": 65534, "group": 65534, "extra_groups": []} if os.getuid() == 0 else {}
    allowed = subprocess.run(["unshare", "-Urpn", "true"], capture_output=True, **nobody).returncode == 0
    pid = os.fork()
    if pid == 0:
        try:
            if os.getuid() == 0:
                os.setgroups([])
                os.setresgid(65534, 65534, 65534)
                os.setresuid(65534, 65534, 65534)
                kernel.prctl(_SET_DUMPABLE, 1)  # else its files in /proc would still be root's
            spaces = Namespaces([], tempfile.mkdtemp(), [], False)
            os._exit(max(map(_is_alone, [spaces] * 2)))
        except OSError as error:
            os._exit(error.errno or 1)
    status = os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])
    assert status == (0 if allowed else errno.EPERM)


def _is_alone(spaces: Namespaces) -> int:
    """Fork a worker; return 0 if it sees no other process, no network and no capability of its own."""
    pid = spaces.fork()
    if pid:
        return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])
    try:
        spaces.enter()
        processes = [name for name in os.listdir("/proc") if name.isdigit()]
        devices = Path("/proc/net/dev").read_text().splitlines()[2:]
        capable = re.search(r"CapEff:\s*(\w+)", Path("/proc/self/status").read_text())
        alone = processes == ["1"] and len(devices) == 1 and capable is not None and int(capable[1], 16) == 0
        os._exit(0 if alone else 99)
    except OSError:
        os._exit(98)


def test_a_worker_can_write_in_its_own_folder_and_leaves_nothing(zygote: Zygote) -> None:
    assert run(zygote, "open('note', 'w').write('x'); return os.listdir('.')") == ["note"]
    assert run(zygote, "return os.listdir('.')") == []


def test_a_worker_is_the_first_to_go_when_memory_runs_out(zygote: Zygote) -> None:
    assert run(zygote, "return open('/proc/self/oom_score_adj').read()") == "1000\n"


def test_the_limit_on_processes_leaves_out_what_the_user_runs_besides() -> None:
    before = sandbox.tasks()
    children = [subprocess.Popen(["sleep", "60"]) for _ in range(5)]
    try:
        assert sandbox.tasks() >= before + 3
    finally:
        for child in children:
            child.kill()
            child.wait()


def test_the_zygote_is_started_again_when_it_dies() -> None:
    zygote = Zygote()
    try:
        assert run(zygote, "return 1") == 1
        first = zygote.pid
        os.kill(first, signal.SIGKILL)
        os.waitid(os.P_PID, first, os.WEXITED | os.WNOWAIT)
        assert run(zygote, "return 2") == 2
        assert zygote.pid not in (0, first)
    finally:
        zygote.close()


def test_folders_that_lie_too_deep_for_python_are_removed(tmp_path: Path) -> None:
    """A worker made them; where it shares the disk, they would stay, and end whoever clears away."""
    code = "import os, sys; os.chdir(sys.argv[1])\nfor _ in range(3000): os.mkdir('deep'); os.chdir('deep')"
    subprocess.run([sys.executable, "-c", code, str(tmp_path)], check=True)
    starting.remove(str(tmp_path))
    assert not tmp_path.exists()


def test_a_file_that_breaks_the_parser_costs_nothing_else(zygote: Zygote) -> None:
    told = zygote.read(b"(" * 300_000, False, {"l2": ["f"]})
    assert "error" in told or told["lessons"]["l2"]["plans"] == {}
    assert run(zygote, "return 3") == 3


def test_a_file_that_takes_long_to_read_costs_that_time_once(zygote: Zygote, monkeypatch: pytest.MonkeyPatch) -> None:
    """The worker that reads files is kept; that the time is up tells of the file, whichever worker it was."""
    monkeypatch.setattr(processes, "READ_SECONDS", 0.5)
    assert "lessons" in zygote.read(b"x = 1", False, {"l": ["f0"]})
    text = "".join(f"def f{at}(): return f{at + 1}()\n" for at in range(4000))
    begun = time.monotonic()
    assert "limits of time" in zygote.read(text.encode(), False, {"l": ["f0"]})["error"]
    assert time.monotonic() - begun < 4 * 0.5
    assert "lessons" in zygote.read(b"x = 1", False, {"l": ["f0"]})


def test_no_two_workers_are_the_same_user(zygote: Zygote) -> None:
    """Also of two processes that judge: whoever starts as many processes as may be would keep the other's from starting any."""
    other = Zygote()
    try:
        found = [run(each, "return os.getuid()") for each in (zygote, other) for _ in range(3)]
    finally:
        other.close()
    assert len(set(found)) == (6 if os.getuid() == 0 else 1)
