"""Mutants, wheats, slips and trivial answers find the holes in hidden tests; on a toy lesson with known holes."""

from __future__ import annotations

import importlib.util
import itertools
import json
import subprocess
import sys
import time
from pathlib import Path
from types import ModuleType

import pytest
import torch

from exercises.kit.checking.closeness import relative, ulps, within
from graders.__main__ import main
from graders.judge.recording import Lesson
from graders.trust import children, measure, mutants, settings, siege, trials
from graders.trust.margins import _off
from graders.trust.trials import Material

ROOT = Path(__file__).resolve().parents[2]

SOLUTION = '''
import math

import torch
from torch import Tensor


def _largest(x: Tensor) -> Tensor:
    """The largest magnitude."""
    return x.abs().max()


def scale_of(x: Tensor, limit: int = 127) -> float:
    """Return the largest magnitude over limit.  ValueError for an empty tensor."""
    if x.numel() == 0:
        raise ValueError("it is empty")
    return _largest(x.double()).item() / limit


def third_of(x: float) -> float:
    """Return a third."""
    return x / 3
'''
TESTS = '''
import pytest
import torch
from exercises.kit.checking.closeness import exactly, relative, same
from graders.judge.contract import main, raises


class TestScaleOf:
    @main
    @pytest.mark.parametrize("x", [torch.tensor([1.0, 254.0]), torch.tensor([2.0, HOLE]), torch.tensor([[9.0, 1.0], [0.0, 3.0]])])
    def test_scale(self, student, reference, x):
        """The scale."""
        same(student.scale_of(x), reference.scale_of(x), exactly)

    def test_limit(self, student):
        """The limit is 127 unless it is given."""
        same((student.scale_of(torch.ones(2) * 381), student.scale_of(torch.ones(2), 4)), (3.0, 0.25), exactly)

    def test_empty(self, student):
        """An empty tensor is refused."""
        with raises(ValueError):
            student.scale_of(torch.zeros(0))


class TestThirdOf:
    @main
    def test_third(self, student, reference, generator):
        """A third."""
        x = 1 + torch.rand((), generator=generator).item()
        same((student.third_of(x), student.third_of(-x)), (reference.third_of(x), reference.third_of(-x)), relative(1e-3))
'''
WHEATS = """
from graders.judge.contract import wheat


@wheat("third_of")
def by_product(x):
    return x * 0.3333


@wheat("scale_of")
def in_float32(x, limit=127):
    if not len(x):
        raise ValueError
    return float(x.abs().max()) / limit
"""
SLIPS = """
from graders.judge.contract import slip


@slip("third_of", "a third is less than a half")
def half(x):
    return x / 2


@slip("third_of", "a third is nearly this, but not quite")
def nearly(x):
    return x * 0.334
"""


def module(folder: Path, name: str, text: str) -> ModuleType:
    path = folder / f"{name}.py"
    path.write_text(text)
    spec = importlib.util.spec_from_file_location(name, path)
    assert spec is not None
    assert spec.loader is not None
    made = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(made)
    return made


_NUMBERS = itertools.count()


def toy(root: Path, hole: str = "-508.0", tests: str = TESTS, proofs: dict | None = None) -> Material:
    """A lesson of its own; with hole="508.0" its hidden tests never see a negative number of the largest magnitude."""
    folder = root / "graders" / "lessons"
    folder.mkdir(parents=True)
    (root / "pyproject.toml").write_text("")
    path = folder / f"test_toy_{next(_NUMBERS)}.py"  # pytest imports a module of one name once
    path.write_text(tests.replace("HOLE", hole))
    slips = module(root, "slips_toy", SLIPS)
    lesson = Lesson("toy", path, module(root, "solutions_toy", SOLUTION), slips)
    return Material(lesson, module(root, "wheats_toy", WHEATS), proofs or {})


def problems(material: Material) -> list[str]:
    judge = trials.judge_in_process(material.lesson)
    return measure.examine(material, {"1 thread": trials.try_variants(judge, material.wheats)})["problems"]


SURVIVES = ("scale_of", "return x.abs().max()  ->  return x.max()")
SAME = ("scale_of", "return _largest(x.double()).item() / limit  ->  return _largest(x).item() / limit")
PROOFS = {
    SAME: "The largest magnitude of float32 numbers is one of them, and float64 holds it exactly.",
    ("scale_of", SAME[1].replace("_largest(x)", "_largest(x.float())")): "The tensors of this toy are float32 already.",
}


def texts(source: str, name: str) -> list[str]:
    space = ModuleType("toy")
    exec(source, vars(space))
    return [mutant.text for mutant in mutants.mutants(space, source, name)]


def test_the_mutator_knows_the_mistakes_of_the_field() -> None:
    source = '''
import torch
import copy

def quantize(x, scale, low=-128, high=127):
    """Text that is not mutated."""
    if scale <= 0:
        raise ValueError("no scale")
    amax = x.abs().amax(dim=0, keepdim=True)
    q = (x.float() / scale).round().clamp(low, high)
    y = copy.deepcopy(q)
    return y.to(torch.int8), bool(amax.sum() and True)
'''
    found = texts(source, "quantize")
    for text in (
        "def quantize(x, scale, low=-128, high=127)  ->  def quantize(x, scale, low=-128, high=128)",
        "def quantize(x, scale, low=-128, high=127)  ->  def quantize(x, scale, low=-127, high=127)",
        "if scale <= 0  ->  if scale < 0",
        "without: raise ValueError('no scale')",
        "raise ValueError('no scale')  ->  raise TypeError('no scale')",
        "amax = x.abs().amax(dim=0, keepdim=True)  ->  amax = x.amax(dim=0, keepdim=True)",
        "amax = x.abs().amax(dim=0, keepdim=True)  ->  amax = x.abs().amin(dim=0, keepdim=True)",
        "amax = x.abs().amax(dim=0, keepdim=True)  ->  amax = x.abs().amax(dim=1, keepdim=True)",
        "amax = x.abs().amax(dim=0, keepdim=True)  ->  amax = x.abs().amax(keepdim=True)",
        "amax = x.abs().amax(dim=0, keepdim=True)  ->  amax = x.abs().amax(dim=0)",
        "amax = x.abs().amax(dim=0, keepdim=True)  ->  amax = x.abs().amax(dim=0, keepdim=False)",
        "q = (x.float() / scale).round().clamp(low, high)  ->  q = (x.float() / scale).trunc().clamp(low, high)",
        "q = (x.float() / scale).round().clamp(low, high)  ->  q = (x.float() / scale).floor().clamp(low, high)",
        "q = (x.float() / scale).round().clamp(low, high)  ->  q = (x.float() / scale).round()",
        "q = (x.float() / scale).round().clamp(low, high)  ->  q = (x.float() * scale).round().clamp(low, high)",
        "q = (x.float() / scale).round().clamp(low, high)  ->  q = (x.float() // scale).round().clamp(low, high)",
        "q = (x.float() / scale).round().clamp(low, high)  ->  q = (x.float() / scale).round().clamp(-high, high)",
        "q = (x.float() / scale).round().clamp(low, high)  ->  q = (x.half() / scale).round().clamp(low, high)",
        "y = copy.deepcopy(q)  ->  y = q",
        "return (y.to(torch.int8), bool(amax.sum() and True))  ->  return (y.to(torch.uint8), bool(amax.sum() and True))",
        "return (y.to(torch.int8), bool(amax.sum() and True))  ->  return (y.to(torch.int8), bool(amax.mean() and True))",
        "return (y.to(torch.int8), bool(amax.sum() and True))  ->  return (y.to(torch.int8), bool(amax.sum() or True))",
        "return (y.to(torch.int8), bool(amax.sum() and True))  ->  return (bool(amax.sum() and True), y.to(torch.int8))",
    ):
        assert text in found
    assert len(found) == len(set(found))
    assert not [text for text in found if "Text that" in text]


def test_what_compiles_to_the_same_code_is_no_mutant() -> None:
    source = "def f(x):\n    if x:\n        return 1\n    return 0\n"
    found = texts(source, "f")
    assert found.count("without: return 0") == 1
    folded = texts("def f(x):\n    return x + 2 * 0\n", "f")
    assert "return x + 2 * 0  ->  return x - 2 * 0" in folded
    assert "return x + 2 * 0  ->  return x + 3 * 0" not in folded
    assert "without: if x" in found
    assert "if x  ->  if False" not in found  # the same as without it


def test_helpers_belong_to_the_exercise_that_uses_them_first() -> None:
    source = "def _h(x):\n    return x + 1\n\ndef f(x):\n    return _h(x)\n\ndef g(x):\n    return _h(x) * 2\n"
    assert "return x + 1  ->  return x - 1" in texts(source, "f")
    assert "return x + 1  ->  return x - 1" not in texts(source, "g")


def test_a_hole_in_the_hidden_tests_is_found(tmp_path: Path) -> None:
    assert problems(toy(tmp_path / "whole", proofs=PROOFS)) == WITHOUT_A_HOLE
    assert problems(toy(tmp_path / "hole", hole="508.0", proofs=PROOFS)) == [
        "toy, scale_of: it computes numbers and has 1 wheats, fewer than 3",
        "toy, scale_of: it has no slip",
        "toy, scale_of: the mutant survives: return x.abs().max()  ->  return x.max()",
        *WITHOUT_A_HOLE[2:],
    ]


WITHOUT_A_HOLE = [
    "toy, scale_of: it computes numbers and has 1 wheats, fewer than 3",
    "toy, scale_of: it has no slip",
    "toy, third_of: it computes numbers and has 1 wheats, fewer than 3",
]


def test_a_main_check_that_a_constant_satisfies_is_found(tmp_path: Path) -> None:
    once = TESTS.replace("(student.third_of(x), student.third_of(-x))", "student.third_of(x)")
    once = once.replace("1 + torch.rand((), generator=generator).item()", "4.5")
    once = once.replace("(reference.third_of(x), reference.third_of(-x))", "reference.third_of(x)")
    told = problems(toy(tmp_path, tests=once, proofs=PROOFS))
    assert "toy, third_of: its main check accepts the right answer to call 0, always" in told


def test_stale_proofs_fail(tmp_path: Path) -> None:
    told = problems(
        toy(tmp_path, proofs={**PROOFS, SURVIVES: "It is right, whatever they say.", ("scale_of", "x"): "?"})
    )
    assert "toy, scale_of: there is a proof for a mutant that test_scale refuses: " + SURVIVES[1] in told
    assert "toy, scale_of: there is a proof for a mutant that is not made: x" in told


def test_an_empty_proof_is_none(tmp_path: Path) -> None:
    told = problems(toy(tmp_path, proofs={**PROOFS, SAME: "obvious"}))
    assert f"toy, scale_of: the proof is too short to be one: {SAME[1]}" in told


def test_margins_are_measured(tmp_path: Path) -> None:
    material = toy(tmp_path, proofs=PROOFS)
    judge = trials.judge_in_process(material.lesson)
    found = measure.examine(material, {"1 thread": trials.try_variants(judge, material.wheats)})
    (margin,) = found["exercises"][1]["margins"]
    assert (margin["check"], margin["rule"], margin["right_by"], margin["wrong_by"]) == (
        "test_third", "relative", "by_product", "nearly",
    )  # fmt: skip
    assert margin["right"] == pytest.approx(0.1, rel=1e-4)
    assert margin["wrong"] == pytest.approx(2, rel=1e-4)


@pytest.mark.parametrize(
    ("got", "want", "rule", "units"),
    [
        (1.0, 1.0, relative(0.5), 0),
        (1.25, 1.0, relative(0.5), 0.5),
        (3.0, 1.0, within(0.5), 4),
        (1.5, 1.0, within(0.5, of=1.25), 0.5),
        (1 + 2.0**-22, 1.0, ulps(1), 2),
        ([1.0, 2.0], [1.0, 1.0], within(torch.tensor([0.0, 2.0])), 0.5),
    ],
)
def test_units_of_a_tolerance(got: object, want: object, rule: object, units: float) -> None:
    values = (torch.tensor(value, dtype=torch.float64) for value in (got, want))
    assert _off(*values, torch.float32, rule) == pytest.approx(units, rel=1e-6)  # type: ignore[arg-type]


def test_children_do_not_reach_one_another() -> None:
    def spoil() -> str:
        torch.set_default_dtype(torch.float64)
        return str(torch.get_default_dtype())

    def look() -> str:
        return str(torch.get_default_dtype())

    def die() -> None:
        raise SystemExit

    def loop() -> None:
        time.sleep(60)

    found = dict(children.run([spoil, look, die, loop, look], 2.0))
    assert found == {0: "torch.float64", 1: "torch.float32", 2: None, 3: None, 4: "torch.float32"}


def besieged(problems: tuple[str, ...] = ()) -> dict:
    """Return what a siege with one attack that was tried and one that was not says."""
    attack = {"lesson": "toy", "name": "quiet", "sentence": "nothing", "kind": "in_one", "wrong": "", "seconds": 0.1}
    attacks = [attack | {"ran": True}, attack | {"name": "kills", "ran": False}]
    worst = {"seconds": 0.1, "memory": 1.0}
    return {"isolation": "process", "attacks": attacks, "worst": worst, "problems": list(problems)}


def report_of(material: Material, monkeypatch: pytest.MonkeyPatch, output: Path) -> int:
    """Run the command on the toy lesson, without the attacks and the other settings."""
    rows = trials.try_variants(trials.judge_in_process(material.lesson), material.wheats)
    monkeypatch.setattr(measure.lessons, "names", lambda: ["toy"])
    monkeypatch.setattr(trials, "material", lambda name: material)
    monkeypatch.setattr(settings, "measure", lambda names: {"toy": {"1 thread": rows}})
    monkeypatch.setattr(measure, "_hints_differ", lambda name: [])
    row = {"1-D": {"checks": ["test_scale"]}, "0-dim": {"why": "the statement leaves it open"}}
    monkeypatch.setattr(measure.kinds, "table", lambda judge: dict.fromkeys(judge.names, row))
    monkeypatch.setattr(siege, "sieges", lambda names, say: besieged())
    runs = {"lesson": "toy", "solutions": 4, "max": 4, "stubs": 0}
    monkeypatch.setattr(siege, "runs", lambda name: runs | {"problems": []})
    monkeypatch.setattr(measure, "FEWEST_WHEATS", 1)
    return measure.trust(["toy"], output)


@pytest.mark.parametrize(("hole", "status"), [("-508.0", 0), ("508.0", 1)], ids=["whole", "hole"])
def test_the_command_says_what_falls_short(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture, hole: str, status: int
) -> None:
    material = toy(tmp_path / "toy", hole, proofs=PROOFS)
    vars(material.lesson.slips)["double"] = _a_slip()
    assert report_of(material, monkeypatch, tmp_path / "report") == status
    told = json.loads((tmp_path / "report" / "trust.json").read_text())
    line = "toy, scale_of: the mutant survives: return x.abs().max()  ->  return x.max()"
    assert told["problems"] == ([line] if status else [])
    shown = capsys.readouterr().out
    assert (f"falls short: {line}" in shown) == bool(status)
    assert "kinds of inputs: 2 covered by a check, 2 do not apply, 0 empty" in shown
    page = (tmp_path / "report" / "trust.html").read_text()
    assert 'title="the statement leaves it open"' in page
    assert page.count("Nothing falls short") == 1 - status
    assert 'alt="Margins in units of the tolerance' in page


@pytest.mark.parametrize("problems", [(), ("toy: attack quiet gained",)], ids=["held", "gained"])
def test_the_attacks_alone_can_be_asked_for(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture, problems: tuple[str, ...]
) -> None:
    monkeypatch.setattr(siege, "sieges", lambda names, say: besieged(problems))
    status = main(["trust", "l2_data_types", "--attacks", "--output", str(tmp_path)])
    assert status == len(problems)
    shown = capsys.readouterr().out
    assert "attacks: 1 of 1 got what is due and no more; isolation: process; 1 that could harm" in shown
    assert ("falls short: toy: attack quiet gained" in shown) == bool(problems)
    assert json.loads((tmp_path / "trust.json").read_text())["problems"] == list(problems)
    page = (tmp_path / "trust.html").read_text()
    assert "<td>toy</td><td><code>kills</code></td>" in page
    assert "not run here" in page


def _a_slip() -> object:
    def double(x: torch.Tensor, limit: int = 127) -> float:
        if x.numel() == 0:
            raise ValueError
        return 2 * x.abs().max().item() / limit

    vars(double).update(exercise="scale_of", sentence="it is not to be doubled")
    return double


def test_a_verdict_that_differs_is_told() -> None:
    row = {"name": "w", "exercise": "e", "accepted": True, "score": 2.0, "hint": "", "checks": [["c", "passed", "x"]]}
    other = {**row, "checks": [["c", "passed", "y"]]}
    worse = {**row, "score": 1.0}
    shown = {"1 thread": [row], "1 thread, again": [other], "2 threads": [other], "AVX2": [other]}
    assert measure._differences("toy", shown) == ["toy, e: the verdict on w differs (1 thread, again)"]
    assert measure._differences("toy", {"1 thread": [row], "AVX2": [worse]}) == [
        "toy, e: the verdict on w differs (AVX2)"
    ]


def test_a_few_exercises_of_lesson_2() -> None:
    material = trials.material("l2_data_types")
    judge = trials.judge_in_process(material.lesson)
    judge.exercises = [
        judge.exercise(name) for name in ("integer_range", "downcast", "overflows", "mixed_precision_dot")
    ]
    found = trials.try_mutants(judge, material.source, lambda name: None)
    survivors = {(name, row["text"]) for name, rows in found.items() for row in rows if row["refused_by"] is None}
    assert survivors <= set(material.equivalents)
    assert sum(map(len, found.values())) > 60
    assert not [answer for answers in trials.try_trivial(judge).values() for answer in answers]


@pytest.mark.full
@pytest.mark.timeout(1800)
@pytest.mark.parametrize("lesson", measure.lessons.names())
def test_nothing_falls_short(lesson: str) -> None:
    ran = subprocess.run([sys.executable, "-m", "graders", "trust", lesson], cwd=ROOT, capture_output=True, text=True)
    assert ran.returncode == 0, ran.stdout[-4000:] + ran.stderr[-2000:]
