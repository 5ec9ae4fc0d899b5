"""The class that the repository makes: the same each time, in every layout, with answers that are what they are called."""

from __future__ import annotations

from pathlib import Path

import pytest

from graders import lessons
from graders.bench import answers, samples
from graders.bench.handing_in import LAYOUTS
from graders.cohort.layouts import Recogniser
from graders.cohort.people import gather
from graders.cohort.roster import Roster
from graders.errors import Problem
from graders.trust import trials
from graders.trust.attacks import corpus

L2 = "l2_data_types"


def files(folder: Path) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def test_the_same_arguments_give_the_same_class_and_another_seed_another_one(tmp_path: Path) -> None:
    for name, seed in (("one", "a"), ("two", "a"), ("three", "b")):
        samples.write(tmp_path / name, 30, [L2], seed)
    assert files(tmp_path / "one") == files(tmp_path / "two")
    assert files(tmp_path / "one") != files(tmp_path / "three")


@pytest.mark.parametrize("names", [[L2], [L2, "l6_number_formats"]], ids=["one lesson", "two lessons"])
def test_every_layout_is_there_and_everybody_is_found_by_the_roster(tmp_path: Path, names: list[str]) -> None:
    made = samples.write(tmp_path / "class", 40, names)
    paths = sorted((tmp_path / "class/handed_in").iterdir())
    cohort = gather(paths, Recogniser(lessons.names()), Roster(tmp_path / "class/roster.csv"))
    assert {note.partition(":")[0] for note in cohort.notes} == {f"layout {name}" for name in [*LAYOUTS, "one"]}
    assert {person.student for person in cohort.people} == {sample.person.login for sample in made}
    assert (len(made), len(cohort.missing), cohort.look, cohort.lost) == (40 * len(names), 2, [], [])
    assert any(source.late for person in cohort.people for source in person.sources)


def test_everybody_of_a_large_class_is_one_person(tmp_path: Path) -> None:
    made = samples.write(tmp_path / "class", 480)
    cohort = gather(sorted((tmp_path / "class/handed_in").iterdir()), Recogniser(lessons.names()))
    assert (len(made), len(cohort.people)) == (480, 480)


def test_a_class_of_120_makes_every_recognised_mistake_and_holds_every_kind(tmp_path: Path) -> None:
    made = samples.write(tmp_path / "class", 120)
    known = {
        (one.exercise, one.name) for all_of_it in answers.of_lesson(L2).values() for one in all_of_it if one.sentence
    }
    given = {(one.exercise, one.name) for sample in made for one in sample.given.values() if one.kind == "slip"}
    assert given == known
    assert {sample.kind for sample in made} == {
        "right", "partial", "untouched", "copied", "peeks", "slow", "hostile", "broken",
    }  # fmt: skip


@pytest.mark.parametrize(
    "lesson", [L2, *(pytest.param(one, marks=pytest.mark.full) for one in lessons.names() if one != L2)]
)
def test_right_answers_are_right_alone_in_a_file_and_mistakes_are_not(lesson: str) -> None:
    judge = trials.judge_in_process(lessons.load(lesson))
    wrongly = []
    for name, known in answers.of_lesson(lesson).items():
        for one in known:
            space = dict(vars(judge.lesson.solution))
            exec(compile(one.text, one.name, "exec"), space)
            exercise = judge.exercise(name)
            refused = trials.first_refusal(judge, exercise, trials.in_process(space)) is not None
            if refused != (one.kind == "slip"):
                wrongly.append((name, one.name))
    assert wrongly == []


def test_the_attacks_are_some_of_those_that_trust_tries() -> None:
    assert set(samples._ATTACKS) <= {attack.name for attack in corpus() if not attack.harmful}


def test_what_cannot_be_written_is_said_in_a_sentence(tmp_path: Path) -> None:
    (tmp_path / "full").mkdir()
    (tmp_path / "full/file").touch()
    with pytest.raises(Problem, match="full is there already; name a new folder"):
        samples.write(tmp_path / "full")
    with pytest.raises(Problem, match="there is no lesson l9; there are l2_data_types"):
        samples.write(tmp_path / "class", 5, ["l9"])
