"""What decides has given up the rights of who grades: it writes nothing but its scratch folder, and sees no marks and no seed."""

from __future__ import annotations

import contextlib
import ctypes
import json
import os
import re
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from graders import ROOT, lessons
from graders.cohort import judging
from graders.cohort.spread import power, processes
from graders.cohort.spread.power import Power, separated
from graders.cohort.submissions import Submission
from graders.wire import frames
from graders.worker.sandbox.confining import USER
from tests.worker import ordinary_user

pytestmark = pytest.mark.timeout(600)
LESSON = "l2_data_types"
SECRETS = (".seed", "gradebook.db", "verdicts.jsonl")
_NEWNS = 0x20000


def tried(output: str) -> dict[str, Any]:
    """What a process that decides would do if it were somebody else's: returns what it could."""
    done = []

    def attempt(what: str, act: Callable[[], Any]) -> None:
        with contextlib.suppress(OSError, IndexError):
            act()
            done.append(what)

    for name in SECRETS:
        attempt(f"read {name}", Path(output, name).read_bytes)
        attempt(f"wrote {name}", lambda name=name: open(Path(output, name), "ab").close())  # type: ignore[misc]
    attempt("listed the output", lambda: os.listdir(output)[0])
    for folder in (
        output,
        *(ROOT / each for each in ("solutions", "graders/lessons", "exercises/kit")),
        "/",
        "/tmp",
        "/root",
    ):
        attempt(f"wrote in {folder}", Path(folder, "decided").touch)
    solution = ROOT / "solutions" / f"{LESSON}.py"
    attempt("changed a solution", lambda: open(solution, "r+b").close())
    attempt("removed the output", lambda: os.rename(output, output + "-moved"))
    attempt("became root", lambda: os.setresuid(0, 0, 0) if os.getuid() else os.setgroups([0]))
    attempt("changed rights", lambda: solution.chmod(0o777) or _fails_if_unchanged(solution))
    unshared = ctypes.CDLL(None).unshare(_NEWNS) == 0
    Path(tempfile.gettempdir(), "own").write_text("x")  # the one place that it has
    return {"done": done, "unshared": unshared, "reads": len(solution.read_bytes()), "uid": os.getuid()}


def _fails_if_unchanged(path: Path) -> None:
    if path.stat().st_mode & 0o777 != 0o777:  # the filter answers 0, and does nothing
        raise PermissionError


def decide(descriptor: int, output: str) -> None:
    """In a process of its own: give up the rights, and tell what can still be done."""
    connection = socket.socket(fileno=descriptor)
    power = separated((output,), connection)
    told = tried(output) | {"deciding": power.deciding}
    frames.send_frame(connection, json.dumps(told).encode())


def told_by_who_decides(output: Path, start: Callable[[list[str], int], Any]) -> dict[str, Any]:
    here, there = socket.socketpair()
    code = f"from tests.cohort.test_power import decide; decide({there.fileno()}, {str(output)!r})"
    with here:
        start(["-c", code], there.fileno())
        there.close()
        here.settimeout(120)
        return json.loads(frames.receive_frame(here))


@pytest.fixture
def output() -> Iterator[Path]:
    """A folder in the repository, as in the manual's first commands, that every user may read."""
    with tempfile.TemporaryDirectory(dir=ROOT) as made:
        Path(made).chmod(0o755)
        for name in SECRETS:
            Path(made, name).write_text("secret")
        yield Path(made)


@pytest.mark.parametrize("tier", ["namespaces", "landlock"])
def test_it_can_neither_write_nor_see_marks_and_seed(tier: str, output: Path) -> None:
    """As root: in its tier it is another user, or root without capabilities where no other can read Python."""
    before = sorted((path.name, path.read_text()) for path in output.iterdir())

    def start(arguments: list[str], descriptor: int) -> None:
        environment = os.environ | {"GRADERS_TIER": tier}
        subprocess.run([sys.executable, *arguments], cwd=ROOT, env=environment, pass_fds=[descriptor], check=True)

    told = told_by_who_decides(output, start)
    assert told["done"] == []
    assert not told["unshared"]
    assert told["reads"] == len((ROOT / "solutions" / f"{LESSON}.py").read_bytes())
    assert told["deciding"] in (f"uid {USER}, {tier}", f"uid 0 without capabilities, {tier}")
    assert told["uid"] == (USER if str(USER) in told["deciding"] else 0)
    assert sorted((path.name, path.read_text()) for path in output.iterdir()) == before
    assert list(ROOT.rglob("solutions/decided")) == []


@pytest.mark.parametrize(
    ("place", "read"),
    [(ROOT, True), (ROOT / "solutions/l2.py", True), (ROOT / "out", False), (ROOT.parent, False), (Path("/~"), False)],
)
def test_what_judging_reads_itself_is_not_hidden_from_it(place: Path, read: bool) -> None:
    assert power._read_by_judges(place) is read


@pytest.mark.parametrize(("folder", "file"), [(0o755, 0o600), (0o700, 0o644)], ids=["a file", "the folder itself"])
def test_where_no_other_user_can_read_what_is_needed_it_is_root_without_capabilities(
    folder: int, file: int, tmp_path: Path
) -> None:
    (tmp_path / "ours").mkdir(folder)
    (tmp_path / "ours" / "secret.py").touch(file)
    code = (
        "import os, sys; from graders import ROOT; from graders.worker.sandbox import confining; "
        f"confining._OURS = ({str(tmp_path / 'ours')!r},); os.mkdir({str(tmp_path / 'scratch')!r}); "
        f"needed = [str(ROOT), {str(tmp_path / 'ours')!r}, sys.prefix, sys.base_prefix]; "
        f"print(confining.confine([], {str(tmp_path / 'scratch')!r}, needed)); print(open('/proc/self/status').read())"
    )
    ran = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True)
    assert ran.stdout.startswith("uid 0 without capabilities, namespaces\n")
    assert set(re.findall(r"Cap...:\t(\w+)", ran.stdout)) == {"0" * 16}


@pytest.mark.parametrize(("forbidden", "tier"), [(False, "namespaces"), (True, "landlock")])
def test_an_ordinary_user_gives_up_what_it_can(forbidden: bool, tier: str) -> None:
    code = (
        "import os, sys, tempfile; from graders import ROOT; from graders.worker.sandbox import confining; "
        "scratch, output = tempfile.mkdtemp(), tempfile.mkdtemp(); open(output + '/seed', 'w').close(); "
        "told = confining.confine([output], scratch, [str(ROOT), sys.prefix, sys.base_prefix]); "
        "open(scratch + '/own', 'w').close()\n"
        "for mode in 'ra':\n"
        "    try: open(output + '/seed', mode); print('opened', mode)\n"
        "    except OSError: pass\n"
        "print(told)"
    )
    ran = ordinary_user.run(["-c", code], forbidden)
    assert ran.stdout.strip() == f"uid {ordinary_user.USER}, {tier}"


@pytest.mark.parametrize(
    "asked",
    [
        b'["start", ["os"]]',
        b'["read", "../../.seed"]',
        b'["write", "/etc/passwd"]',
        b'["end", 1]',
        b'["run", 1]',
        b"{",
        b"[]",
    ],
)
def test_the_process_with_the_rights_does_nothing_else(
    asked: bytes, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whoever asks for something else is not answered any more, and is ended."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    code = (
        "import os, socket, sys; from graders.cohort.spread.power import separated; from graders.wire import frames\n"
        "power = separated((), socket.socket(fileno=int(sys.argv[1])))\n"
        "frames.send_frame(power._connection, eval(sys.argv[2]))\n"
        "frames.receive_frame(power._connection)\n"
        "print('answered', flush=True)"
    )
    here, there = socket.socketpair()
    ran = subprocess.run(
        [sys.executable, "-c", code, str(there.fileno()), repr(asked)], cwd=ROOT, pass_fds=[there.fileno()],
        capture_output=True, text=True, timeout=120,
    )  # fmt: skip
    there.close()
    here.close()
    assert "answered" not in ran.stdout
    assert [path for path in tmp_path.rglob("*") if path.is_file()] == []


def test_root_decides_as_another_user_and_recordings_are_kept_by_the_process_with_the_rights(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    stub = Submission("ann", LESSON, "ann.py", (ROOT / "exercises" / f"{LESSON}.py").read_bytes())
    written = []
    for _ in range(2):
        process = processes.Process("seed", ())
        try:
            verdict = process.ask(stub).verdict
            assert verdict is not None
            assert verdict["status"] == "graded"
            assert verdict["environment"]["deciding"] == f"uid {USER}, namespaces"
        finally:
            process.close()
        kept = {path: path.stat().st_mtime_ns for path in tmp_path.rglob("*") if path.is_file()}
        assert len(kept) == len(lessons.exercises(LESSON))
        written.append(kept)
    assert written[0] == written[1]
    assert all(path.stat().st_uid == os.getuid() and path.stat().st_mode & 0o077 == 0 for path in kept)


def running(scratch: Path) -> list[int]:
    found = []
    for folder in Path("/proc").glob("[0-9]*"):
        with contextlib.suppress(OSError):
            if str(scratch).encode() in (folder / "environ").read_bytes():
                found.append(int(folder.name))
    return found


@pytest.mark.parametrize("how", [signal.SIGTERM, signal.SIGKILL])
def test_who_decides_ends_with_the_process_that_has_the_rights(
    how: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TMPDIR", str(tmp_path))
    process = processes.Process("seed", ())
    try:
        assert process.ask(processes.Reading(b"x = 1\n", False, [LESSON])).verdict
        assert len(running(tmp_path)) >= 3  # both, and the zygote
        assert process._process is not None
        process._process.send_signal(how)
        process._process.wait()
        end = time.monotonic() + 20
        while running(tmp_path) and time.monotonic() < end:
            time.sleep(0.05)
        assert running(tmp_path) == []
        if how == signal.SIGTERM:
            assert list(tmp_path.iterdir()) == []
    finally:
        process.close()


def test_a_second_request_to_end_does_not_disturb_what_is_cleared_away() -> None:
    """A pool that is closed asks twice, at once; the second one raised again, amid the end of the zygotes."""
    before = signal.getsignal(signal.SIGTERM)
    try:
        with pytest.raises(SystemExit):
            processes._end()
        os.kill(os.getpid(), signal.SIGTERM)
    finally:
        signal.signal(signal.SIGTERM, before)


def test_a_clock_tells_who_decides_what_workers_wait() -> None:
    """The kernel's figures of a worker, which is another user in another place, are readable after the rights are gone."""
    code = (
        "import socket, sys; from graders.cohort.spread.power import separated; from graders.wire import frames\n"
        "from graders.collecting.deadlines import Deadline; from graders.collecting.processes import Zygote\n"
        "connection = socket.socket(fileno=int(sys.argv[1])); power = separated((), connection)\n"
        "zygote = Zygote((), (), power); worker = zygote.take(); worker.send({'cells': []}, [])\n"
        "worker.receive(Deadline(20.0)); waited, computed = worker._clock._read()\n"
        "frames.send_frame(connection, b'%d' % len(waited))"
    )
    for tier in ("namespaces", "landlock"):
        here, there = socket.socketpair()
        environment = os.environ | {"GRADERS_TIER": tier}
        subprocess.run(
            [sys.executable, "-c", code, str(there.fileno())],
            cwd=ROOT,
            pass_fds=[there.fileno()],
            env=environment,
            check=True,
        )
        there.close()
        assert int(frames.receive_frame(here)) >= 1, tier
        here.close()


def test_who_judges_in_the_process_that_was_started_says_so() -> None:
    bench = judging.Bench("seed")
    assert bench._deciding == f"uid {os.getuid()}, not confined"
    assert not isinstance(bench._starts, Power)
