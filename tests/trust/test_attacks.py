"""Attacks through the real judge get what is due and no more; and what the judge reads from a worker is only data."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from exercises.kit.checking.examples import run
from exercises.kit.lessons import lessons as kit_lessons
from graders import ROOT, lessons
from graders.cohort.judging import Bench
from graders.cohort.submissions import Submission
from graders.collecting import attempt, together
from graders.collecting.endings import one_line
from graders.trust import siege
from graders.trust.attacks import Attack, corpus, texts

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
    assert sorted(row["name"] for row in found["attacks"]) == sorted(attack.name for attack in corpus())


@pytest.mark.parametrize("name", ["imports_solutions", "reads_files"])
def test_without_namespaces_the_answers_can_be_read(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """These attacks have teeth: the weaker tier, which says so in its verdicts, does not stop them."""
    monkeypatch.setenv("GRADERS_TIER", "process")
    found = siege.siege(LESSON, attacks=[named(name), named("kills_its_parent")])
    assert found["isolation"] == "process"
    assert [row["ran"] for row in found["attacks"]] == [True, False]
    assert found["problems"] == [f"attack {name} ({named(name).sentence}): integer_range got 2 points, none is due"]


def test_the_public_examples_alone_earn_nothing() -> None:
    """An answer from a table passes the public examples of some exercises, so the hidden tests have to refuse it."""
    text = texts.text_of(named("knows_the_examples"), LESSON, HONEST)
    space: dict[str, object] = {}
    exec(text, space)
    outcomes = {exercise.name: run(exercise, space).outcome for exercise in kit_lessons()[LESSON].exercises}
    assert "passed" in outcomes.values()
    assert siege.siege(LESSON, attacks=[named("knows_the_examples")])["problems"] == []


def test_the_siege_sees_marks_that_are_not_due() -> None:
    def honest(*args: object, **kwargs: object) -> object:
        import torch  # here, since the function is copied, as text, into a submission

        return torch.iinfo(args[0]).min, torch.iinfo(args[0]).max

    def spoiling(*args: object, **kwargs: object) -> object:
        return (0, 0)

    gains = siege.siege(LESSON, attacks=[Attack("honest", "the right answer", "everywhere", honest)])
    assert gains["problems"] == ["attack honest (the right answer): integer_range got 2 points, none is due"]
    text = "def EXERCISE(*args):\n    return 0\n\n\ndef float_properties(dtype):\n    return {}"
    spoils = siege.siege(LESSON, attacks=[Attack("spoils", "another exercise", "in_one", text)])
    assert "float_properties lost points through another exercise" in spoils["problems"][0]


ROWS = [
    {"name": name, "kind": kind, "ran": True, "seconds": seconds, "memory": memory}
    for name, kind, seconds, memory in (
        ("loops", "in_one", 9.0, 100),
        ("holds_memory", "in_one", 1.0, 300),
        ("sleeps", "in_one", 2.0, 200),
        ("leaves_modes_on", "everywhere", 99.0, 999),
    )
]


@pytest.mark.parametrize(
    ("told", "tries", "problems"),
    [
        ([(24.9, 1.2)], {"loops": 1, "holds_memory": 1}, []),
        ([(40.0, 1.0), (24.0, 1.3), (24.5, 1.1)], {"loops": 2, "holds_memory": 2}, []),
        (
            [(25.1, 1.0)],
            {"loops": 3, "holds_memory": 3},
            ["it cost 25.1 s, at most 25 is allowed", "it cost 25.1 s, at most 25 is allowed"],
        ),
        (
            [(1.0, 1.21)],
            {"loops": 3, "holds_memory": 3},
            ["it cost 1.21 times the memory of an honest submission, at most 1.2 is allowed"] * 2,
        ),
    ],
    ids=["within", "noise", "too long", "too much memory"],
)
def test_what_one_attack_costs_is_held_against_the_limits(
    told: list[tuple[float, float]], tries: dict[str, int], problems: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """The slowest and the largest of those in one exercise are measured again, an excess up to three times."""
    measured: dict[str, int] = {}

    def alone(attack: Attack, lesson: str) -> dict[str, float]:
        measured[attack.name] = measured.get(attack.name, 0) + 1
        return dict(zip(("seconds", "memory"), told[(measured[attack.name] - 1) % len(told)], strict=True))

    monkeypatch.setattr(siege, "_alone", alone)
    found = siege.costs(LESSON, ROWS)
    assert measured == tries
    assert [problem.partition(f"on {LESSON}: ")[2] for problem in found["problems"]] == problems
    assert (max(found["worst"].values()) > 25 or found["worst"]["memory"] > 1.2) == bool(problems)


def test_what_an_attack_costs_is_measured_with_the_limits_that_hold_in_earnest(monkeypatch: pytest.MonkeyPatch) -> None:
    """An endless loop takes the time of an exercise, and no more."""
    told = siege._alone(named("loops"), LESSON)
    assert siege.SHORT["EXERCISE_SECONDS"] + together.SECONDS < told["seconds"]
    assert told["memory"] <= 2


def test_each_attack_has_a_name_of_its_own() -> None:
    names = [attack.name for attack in corpus()]
    assert len(set(names)) == len(names)


def test_a_submission_of_every_kind_is_honest_elsewhere() -> None:
    names = siege.lessons.exercises(LESSON)
    for attack in corpus():
        text = texts.text_of(attack, LESSON, HONEST)
        assert (HONEST in text) == (attack.kind in ("in_one", "beside"))
        if isinstance(attack.code, str):
            continue
        space: dict[str, object] = {}
        exec(text.replace("\nattack()\n", "\n"), space)
        assert set(names) <= set(space)


# What the judge reads


def test_what_a_student_wrote_stays_one_line_of_a_message() -> None:
    assert one_line("a\n  rule   b\x1b[2J\ud800\u202e", 40) == "a\ufffd  rule   b\ufffd[2J\ufffd\ufffd"
    assert one_line("Größe 2⁻⁸ 🙂") == "Größe 2⁻⁸ 🙂"
    text = "def integer_range(dtype):\n    raise ValueError('x\\x1b[2J')\n"
    message = grade(f"{HONEST}\n\n# %%\n{text}")["exercises"][0]["message"]
    assert (len(message.splitlines()), "\x1b" in message) == (3, False)


def test_the_answers_of_an_exercise_are_kept_up_to_a_limit(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(attempt, "MAX_ANSWERS", 100_000)
    text = f"{HONEST}\n\n# %%\ndef integer_range(dtype):\n    return 'x' * 40_000\n"
    verdict = grade(text)
    outcomes = {check["name"]: check["outcome"] for check in verdict["exercises"][0]["checks"]}
    assert list(outcomes.values())[:4] == ["failed", "memory", "memory", "memory"]
    assert verdict["exercises"][0]["score"] == 0
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


def test_nothing_rests_on_what_is_attacked() -> None:
    """In lesson 5 a layer of the solutions uses the first exercise, and lost its points with it."""
    assert texts.attacked(LESSON) == lessons.exercises(LESSON)[0]
    assert texts.attacked("l5_quantization_in_depth") == "quantize_per_group"


def test_in_its_second_form_a_lesson_is_judged_in_part_with_the_attacked_exercise() -> None:
    names = lessons.exercises("l5_quantization_in_depth")
    few = siege.few("l5_quantization_in_depth")
    assert "quantize_per_group" in few
    assert 3 < len(few) < 6
    assert few[-1] in names[-4:]


def test_a_siege_of_some_exercises_judges_no_others() -> None:
    spoils = "def EXERCISE(*args):\n    return 0\n\n\ndef float_properties(dtype):\n    return {}"
    attack = [Attack("spoils", "another exercise", "in_one", spoils)]
    assert siege.siege(LESSON, attacks=attack, notebook=True, only=("integer_range", "float_properties"))["problems"]
    assert siege.siege(LESSON, attacks=attack, notebook=True, only=("integer_range",))["problems"] == []
