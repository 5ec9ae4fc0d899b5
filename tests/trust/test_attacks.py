"""Attacks through the real judge get what is due and no more; and what the judge reads from a worker is only data."""

from __future__ import annotations

import contextlib
import json
import os
import socket
import struct
import threading
import time
from pathlib import Path

import pytest
import torch

from exercises.kit.checking.examples import run
from exercises.kit.lessons import lessons as kit_lessons
from graders import ROOT
from graders.cohort.grading import Bench
from graders.cohort.submissions import Submission
from graders.judge import attempt, processes
from graders.judge.contract import one_line
from graders.judge.processes import WorkerEnded
from graders.trust import siege
from graders.trust.attacks import Attack, corpus
from graders.wire import codec, recipes
from graders.worker import plans, submission, worker

pytestmark = pytest.mark.alone

LESSON = "l2_data_types"
HONEST = (ROOT / "solutions" / f"{LESSON}.py").read_text()
QUICK = (
    "ends_at_import", "kills_its_parent", "crashes", "lying_tensor", "lying_builtins", "answers_nan", "spoils_arguments",
    "patches_comparisons", "patches_worker", "answers_with_a_recipe", "forges_frames", "writes_behind", "imports_solutions",
    "reads_files", "scans_objects", "digs_below_mounts", "opens_by_handle", "vandalises", "does_not_parse",
    "slanders_cells", "answers_with_equal_hashes", "answers_in_parts", "forges_messages",
)  # fmt: skip


def named(name: str) -> Attack:
    return next(attack for attack in corpus() if attack.name == name)


def test_attacks_get_what_is_due() -> None:
    found = siege.siege(LESSON, attacks=[named(name) for name in QUICK])
    assert found["problems"] == []
    assert len(found["attacks"]) == len(QUICK)


@pytest.mark.full
def test_every_attack_gets_what_is_due() -> None:
    found = siege.siege(LESSON)
    assert found["problems"] == []
    assert [row["name"] for row in found["attacks"]] == [attack.name for attack in corpus()]


@pytest.mark.parametrize("name", ["imports_solutions", "reads_files"])
def test_without_namespaces_the_answers_can_be_read(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """These attacks have teeth: the weaker tier, which says so in its verdicts, does not stop them."""
    monkeypatch.setenv("GRADERS_TIER", "process")
    found = siege.siege(LESSON, attacks=[named(name), named("kills_its_parent")])
    assert found["isolation"] == "process"
    assert [row["ran"] for row in found["attacks"]] == [True, False]
    assert found["problems"] == [f"attack {name} ({named(name).sentence}): integer_range got 2 points, none is due"]


def test_the_public_examples_alone_earn_nothing() -> None:
    """An answer from a table passes every public example, so the hidden tests have to refuse it."""
    text = siege.text_of(named("knows_the_examples"), LESSON, HONEST)
    space: dict[str, object] = {}
    exec(text, space)
    outcomes = {exercise.name: run(exercise, space).outcome for exercise in kit_lessons()[LESSON].exercises}
    assert list(outcomes.values()).count("passed") > len(outcomes) / 2
    assert siege.siege(LESSON, attacks=[named("knows_the_examples")])["problems"] == []


def test_the_siege_sees_marks_that_are_not_due() -> None:
    def honest(*args: object, **kwargs: object) -> object:
        import torch

        return torch.iinfo(args[0]).min, torch.iinfo(args[0]).max

    def spoiling(*args: object, **kwargs: object) -> object:
        return (0, 0)

    gains = siege.siege(LESSON, attacks=[Attack("honest", "the right answer", "everywhere", honest)])
    assert gains["problems"] == ["attack honest (the right answer): integer_range got 2 points, none is due"]
    text = "def EXERCISE(*args):\n    return 0\n\n\ndef float_properties(dtype):\n    return {}"
    spoils = siege.siege(LESSON, attacks=[Attack("spoils", "another exercise", "in_one", text)])
    assert "float_properties lost points through another exercise" in spoils["problems"][0]


def test_a_submission_of_every_kind_is_honest_elsewhere() -> None:
    names = siege.lessons.exercises(LESSON)
    for attack in corpus():
        text = siege.text_of(attack, LESSON, HONEST)
        assert (HONEST in text) == (attack.kind in ("in_one", "beside"))
        if isinstance(attack.code, str):
            continue
        space: dict[str, object] = {}
        exec(text.replace("\nattack()\n", "\n"), space)
        assert set(names) <= set(space)


# What the judge reads


def answer(tree: str, body: bytes = b"") -> bytes:
    return struct.pack("<I", len(tree)) + tree.encode() + body


@pytest.mark.parametrize(
    "tree",
    [
        '{"k":"recipe","name":"exercises.kit.toys:DummyModel","args":{"k":"list","of":[]},"kwargs":{"k":"dict","of":[]}}',
        '{"k":"list","of":[{"k":"recipe","name":"exercises.kit.checking.examples:os.getcwd","args":[],"kwargs":{}}]}',
        '{"k":"tensor","dtype":"float32","size":[1000000000000],"stride":[0],"meta":true}',
        '{"k":"again","id":0}',
    ],
    ids=["recipe", "recipe below", "strides", "again"],
)
def test_an_answer_names_nothing_that_is_called(tree: str) -> None:
    with pytest.raises(recipes.Unreadable):
        codec.decode(answer(tree), answer=True)


def test_an_answer_has_a_limited_tree() -> None:
    tree = '{"k":"list","of":[' + "0," * (codec.MAX_TREE // 2) + "0]}"
    with pytest.raises(recipes.Unreadable):
        codec.decode(answer(tree), answer=True)


@pytest.mark.parametrize(
    "name", ["exercises.kit.checking.examples:os.getcwd", "exercises.kit.toys:torch.hub.load", "os:getcwd"]
)
def test_recipes_are_functions_of_the_kit_itself(name: str) -> None:
    with pytest.raises(recipes.Unreadable):
        recipes.cook(name, [], {})


def test_strides_of_a_tensor_inside_a_model_are_refused() -> None:
    data = codec.encode(torch.nn.Linear(2, 2))
    (length,) = struct.unpack_from("<I", data)
    tree = data[4 : 4 + length].decode().replace('"size":[2,2]', '"size":[2,2],"stride":[0,0]')
    codec.decode(answer(tree, data[4 + length :]))
    with pytest.raises(recipes.Unreadable):
        codec.decode(answer(tree, data[4 + length :]), answer=True)


@pytest.mark.parametrize("kind", ["dict", "set"])
def test_an_answer_has_a_limited_number_of_keys(kind: str) -> None:
    """Keys of the same hash take a time that grows with the square of their number."""
    same_hash = [(2**61 - 1) * number for number in range(1, 1 + codec.MAX_KEYS)]
    parts = [[key, 0] if kind == "dict" else key for key in same_hash]
    assert len(codec.decode(answer(json.dumps({"k": kind, "of": parts})), answer=True)) == codec.MAX_KEYS
    with pytest.raises(recipes.Unreadable, match="too many parts"):
        codec.decode(answer(json.dumps({"k": kind, "of": [*parts, [1, 0] if kind == "dict" else 1]})), answer=True)


def test_what_a_student_wrote_stays_one_line_of_a_message() -> None:
    assert one_line("a\n  rule   b\x1b[2J\ud800\u202e", 40) == "a\ufffd  rule   b\ufffd[2J\ufffd\ufffd"
    assert one_line("Größe 2⁻⁸ 🙂") == "Größe 2⁻⁸ 🙂"
    text = "def integer_range(dtype):\n    raise ValueError('x\\x1b[2J')\n"
    message = grade(f"{HONEST}\n\n# %%\n{text}")["exercises"][0]["message"]
    assert (len(message.splitlines()), "\x1b" in message) == (3, False)


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


def attempt_at(name: str, zygote: _Scripted, submitted: attempt.Submission | None = None) -> attempt.Attempt:
    cells = submission.read(b"# %%\nimport torch\n# %%\ndef f(): return torch\n# %%\ndef g(): return torch, f\n", False)
    made = submitted or attempt.Submission(zygote, "lesson", plans.plan(cells, ["f", "g"]))  # type: ignore[arg-type]
    made.zygote = zygote  # type: ignore[assignment]
    found = attempt.Attempt(made, name, [b"call"])
    found.start()
    return found


def test_a_cell_cannot_be_ended_in_its_name_by_a_later_one() -> None:
    """g's cell runs behind that of f, which it uses, and says that f's begins once more."""
    liar = attempt_at("g", _Scripted([b"c1", b"c2", b"c3", b"c2"], [b"c1", b"c2", b"l{}", b"r=0"]))
    outcome, message = liar.fate() or ("", "")
    assert (outcome, "its cell did not finish" in message) == ("killed", True)
    honest = attempt_at("f", _Scripted([b"c1", b"c2", b"l{}", b"r=1"]), liar.submission)
    assert (honest.fate(), honest.answers) == (None, {b"call": b"=1"})


def test_what_ends_a_worker_is_known_to_those_who_load_the_same_cells_before_it() -> None:
    first = attempt_at("f", _Scripted([b"c1"], [b"c2", b"l{}", b"r=1"]))
    assert first.fate() is None
    second = attempt_at("g", scripted := _Scripted([b"c2", b"c3", b"l{}", b"r=1"]), first.submission)
    assert (second.fate(), scripted.sent) == (None, [2, 3])


def test_a_worker_that_ends_before_any_cell_began_is_no_fault_of_the_code() -> None:
    tried = attempt_at("f", _Scripted([], [], [b"c1", b"c2", b"l{}", b"r=1"]))
    assert (tried.fate(), tried.answers) == (None, {b"call": b"=1"})
    for_good = attempt_at("f", _Scripted([], [], []))
    assert for_good.fate() is None
    with pytest.raises(WorkerEnded):
        for_good.ask(b"call")


def test_calls_that_were_not_recorded_have_a_time_of_their_own(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(processes, "EXERCISE_SECONDS", 0.3)
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


class _NoZygote:
    def __init__(self, share: float = 0.0) -> None:
        self.begun, self.share = time.monotonic(), share

    def exit_code(self, pid: int) -> int:
        return 255

    def cpu_seconds(self, pid: int) -> float:
        """A worker that got this share of the time to compute in."""
        return self.share * (time.monotonic() - self.begun)


def test_a_frame_that_comes_drop_by_drop_ends_in_time(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(processes, "CALL_SECONDS", 0.5)
    here, there = socket.socketpair()
    made = processes.Worker(_NoZygote(), here)  # type: ignore[arg-type]

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
        made.receive(processes.Deadline(10))
    assert time.monotonic() - begun < 2
    thread.join()
    there.close()


@pytest.mark.parametrize(("share", "answers"), [(0.3, True), (1.0, False), (0.01, False)])
def test_a_busy_machine_costs_a_worker_no_time(monkeypatch: pytest.MonkeyPatch, share: float, answers: bool) -> None:
    """Who wants to compute and is kept waiting gets the time back; who computes all the time, or rests, does not."""
    monkeypatch.setattr(processes, "CALL_SECONDS", 0.5)
    here, there = socket.socketpair()
    made = processes.Worker(_NoZygote(share), here)  # type: ignore[arg-type]

    def answer() -> None:
        with contextlib.suppress(OSError):  # the judge has hung up
            worker.send_frame(there, b"rdone")

    late = threading.Timer(1.0, answer)
    late.start()
    if answers:
        assert made.receive(processes.Deadline(0.7)) == b"rdone"
    else:
        with pytest.raises(WorkerEnded, match="no answer in time"):
            made.receive(processes.Deadline(0.7))
    late.join()
    there.close()


def test_patience_ends(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(processes, "CALL_SECONDS", 0.1)
    here, there = socket.socketpair()
    begun = time.monotonic()
    with pytest.raises(WorkerEnded, match="no answer in time"):
        processes.Worker(_NoZygote(0.1), here).receive(processes.Deadline(60))  # type: ignore[arg-type]
    assert time.monotonic() - begun < 3
    there.close()


def test_frames_without_end_do_not_outlast_the_deadline() -> None:
    here, there = socket.socketpair()
    made = processes.Worker(_NoZygote(), here)  # type: ignore[arg-type]
    for _ in range(20):
        worker.send_frame(there, b"c1")
    with pytest.raises(WorkerEnded, match="no answer in time"):
        made.receive(processes.Deadline(-1))
    there.close()


def test_the_answers_of_an_exercise_are_kept_up_to_a_limit(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(attempt, "MAX_ANSWERS", 100_000)
    text = f"{HONEST}\n\n# %%\ndef integer_range(dtype):\n    return 'x' * 40_000\n"
    verdict = grade(text)
    assert [check["outcome"] for check in verdict["exercises"][0]["checks"]] == ["failed", "memory", "memory", "memory"]
    assert verdict["exercises"][1]["outcome"] == "passed"


def test_a_worker_holds_no_descriptor_but_its_own() -> None:
    look = """
def integer_range(dtype):
    import os, stat
    found = []
    for descriptor in range(256):
        try:
            found.append(stat.S_ISSOCK(os.fstat(descriptor).st_mode))
        except OSError:
            continue
    raise ValueError(f"{len(found)} open, {sum(found)} sockets")
"""
    told = grade(f"{HONEST}\n\n# %%\n{look}")["exercises"][0]["message"]
    assert "ValueError: 4 open, 1 sockets" in told


def grade(text: str) -> dict:
    bench = Bench("tests")
    try:
        return bench.grade(Submission("tests", LESSON, f"{LESSON}.py", text.encode()))
    finally:
        bench.close()


def test_what_was_left_behind_is_found(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "attacked").write_text("")
    assert siege._left_behind([]) == [str(tmp_path / "attacked")]
    os.remove(tmp_path / "attacked")
    assert siege._left_behind([]) == []
