"""How good the graders are: what the hidden tests refuse and accept, and what the judge withstands, measured.

A problem is whatever falls short: a mutant that survives without proof, a proof that holds no more, an honest variant that is
refused, a slip that is accepted or not named, an answer without a solution that scores, an attack that gains or spoils marks,
a verdict that is not the same twice. Each is said in one line; the exit status is 0 only if there is none.
"""

from __future__ import annotations

import json
import platform
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from rich.console import Console

from graders import ROOT, lessons
from graders.authoring.hints import hints
from graders.authoring.source import read_lesson
from graders.errors import Problem
from graders.judge.judge import Judge
from graders.trust import page, settings, siege, trials
from graders.trust.fairness import kinds, outside
from graders.trust.trials import Material

FEWEST_WHEATS = 3  # of an exercise that computes numbers
Say = Callable[[str], None]


def trust(names: list[str], output: Path | None, attacks: bool = False) -> int:
    """Measure the graders of some lessons (all, if none is named), print a table, write report and page into `output`.

    attacks: judge these alone. Returns the exit status: 0 if nothing falls short. Raises Problem for a lesson that there is not.
    """
    unknown = set(names) - set(lessons.names())
    if unknown:
        raise Problem(f"there is no lesson {min(unknown)}; there are {', '.join(lessons.names())}")
    names = names or lessons.names()
    torch.set_num_threads(1)
    console, begun = Console(), time.monotonic()

    def say(text: str) -> None:
        console.print(f"{time.monotonic() - begun:6.1f} s  {text}", style="dim", highlight=False, soft_wrap=True)

    report: dict[str, Any] = {"schema": 1, "seed": trials.SEED, "versions": _versions(), "problems": []}
    report["lessons"] = [] if attacks else _lessons(names, say)
    report["siege"] = siege.sieges(names, say)
    report["runs"] = [] if attacks else [siege.runs(name) for name in names]
    for found in [*report["lessons"], report["siege"], *report["runs"]]:
        report["problems"] += found.pop("problems")
    report["seconds"] = round(time.monotonic() - begun, 1)
    if output is not None:
        output.mkdir(parents=True, exist_ok=True)
        (output / "trust.json").write_text(json.dumps(report, indent=1), encoding="utf-8")
        (output / "trust.html").write_text(page.page(report), encoding="utf-8")
    page.show(report, console)
    return int(bool(report["problems"]))


def _lessons(names: list[str], say: Say) -> list[dict[str, Any]]:
    """Return what is known of each lesson's hidden tests (see `examine`)."""
    say("the same variants in other settings: threads, processors, hidden inputs")
    measured = settings.measure(names)
    lessons_found = []
    for name in names:
        material = trials.material(name)
        judge = trials.judge_in_process(material.lesson)
        found = examine(material, measured[name], say, judge)
        found["problems"] += _hints_differ(name) + _kinds_of_inputs(judge, found["exercises"])
        lessons_found.append(found)
    return lessons_found


def _versions() -> dict[str, str]:
    return {"python": platform.python_version(), "torch": torch.__version__, "machine": platform.machine()}


def examine(
    material: Material,
    measured: dict[str, settings.Rows],
    say: Say = lambda text: None,
    judge: Judge | None = None,
) -> dict[str, Any]:
    """Return what is known of a lesson's hidden tests, exercise by exercise, and the problems in one line each.

    `measured`: what became of its variants in each setting (`trials.try_variants`), the first being the plain one.
    `judge`: one of this lesson, without workers; it is made unless it is given.
    """
    lesson = material.lesson.name
    judge = judge or trials.judge_in_process(material.lesson)
    say(f"{lesson}: answers without a solution")
    trivial = trials.try_trivial(judge)
    mutants = trials.try_mutants(judge, material.source, lambda name: say(f"{lesson}: mutants of {name}"))
    exercises, problems = [], _stale(material, mutants)
    cases = [(case, outside.judged(judge, case)) for case in outside.cases(lesson)]
    for exercise in judge.exercises:
        name = exercise.name
        own = {setting: [row for row in rows if row["exercise"] == name] for setting, rows in measured.items()}
        plain = next(iter(own.values()), [])
        survivors = [row["text"] for row in mutants[name] if row["refused_by"] is None]
        proven = [text for text in survivors if material.equivalents.get((name, text))]
        wrong = _variant_problems(own, trials.is_numeric(judge, exercise))
        wrong += [f"the mutant survives: {text}" for text in survivors if text not in proven]
        wrong += [f"its main check accepts {answer}" for answer in trivial[name]]
        theirs = [(case, held) for case, held in cases if case.exercise == name]
        wrong += [f"from outside, {case.name} is {_judged(case)}" for case, held in theirs if not held]
        problems += [f"{lesson}, {name}: {told}" for told in wrong]
        found = {"name": name, "mutants": len(mutants[name]), "killed": len(mutants[name]) - len(survivors)}
        found |= {"equivalent": len(proven), "survivors": [text for text in survivors if text not in proven]}
        for kind in ("wheat", "slip"):
            found[f"{kind}s"] = sum(row["kind"] == kind for row in plain)
        found["trivial_accepted"] = trivial[name]
        for kind in outside.CLASSES:
            held_ones = [held for case, held in theirs if case.right is (kind == "right")]
            found[f"outside_{kind}"] = outside.counted(len(held_ones), held_ones.count(False))
        found["margins"] = _margins(trials.tolerances(judge, exercise), own, mutants[name])
        found["checks"] = len(exercise.checks)
        exercises.append(found)
    problems += _differences(lesson, measured)
    proofs = [{"exercise": name, "text": text, "proof": proof} for (name, text), proof in material.equivalents.items()]
    found = {"lesson": lesson, "settings": list(measured), "exercises": exercises}
    return found | {"proofs": proofs, "problems": problems}


def _judged(case: outside.Case) -> str:
    return "right and refused" if case.right else "wrong and accepted"


def _stale(material: Material, mutants: dict[str, trials.Rows]) -> list[str]:
    """Return the proofs that prove nothing: of mutants that are not made, or that are refused after all."""
    found = []
    for (name, text), proof in material.equivalents.items():
        row = next((row for row in mutants.get(name, []) if row["text"] == text), None)
        if row is None:
            found.append(f"{material.lesson.name}, {name}: there is a proof for a mutant that is not made: {text}")
        elif row["refused_by"] is not None:
            told = f"there is a proof for a mutant that {row['refused_by']} refuses: {text}"
            found.append(f"{material.lesson.name}, {name}: {told}")
        elif len(proof.split()) < 4:
            found.append(f"{material.lesson.name}, {name}: the proof is too short to be one: {text}")
    return found


def _variant_problems(own: dict[str, settings.Rows], numeric: bool) -> list[str]:
    found = []
    for setting, rows in own.items():
        for row in rows:
            told = row["message"].splitlines()[:2]
            if row["kind"] != "slip" and not row["accepted"]:
                found.append(f"the {row['kind']} {row['name']} is refused ({setting}): {' '.join(told)}")
            elif row["kind"] == "slip" and row["accepted"]:
                found.append(f"the slip {row['name']} is accepted ({setting})")
            elif row["kind"] == "slip" and row["hint"] != row["sentence"]:
                found.append(f"the slip {row['name']} is not named by its sentence but by {row['hint']!r} ({setting})")
    plain = next(iter(own.values()), [])
    wheats, slips = (sum(row["kind"] == kind for row in plain) for kind in ("wheat", "slip"))
    if numeric and wheats < FEWEST_WHEATS:
        found.append(f"it computes numbers and has {wheats} wheats, fewer than {FEWEST_WHEATS}")
    if not slips:
        found.append("it has no slip")
    return found


def _differences(lesson: str, measured: dict[str, settings.Rows]) -> list[str]:
    """Return where a variant's verdict is not the plain setting's: to the letter on one thread here, else by outcomes.

    A worker has one thread; with more, a sum of bfloat16 products may differ in the digits that a message shows.
    """
    plain = next(iter(measured.values()), [])
    found = []
    for setting, rows in measured.items():
        here = settings.PLAIN.get(setting) == 1
        for first, row in zip(plain, rows, strict=False):
            same = first["name"] == row["name"]
            if same and _verdict(first, here) != _verdict(row, here):
                found.append(f"{lesson}, {row['exercise']}: the verdict on {row['name']} differs ({setting})")
    return found


def _verdict(row: dict[str, Any], whole: bool) -> Any:
    checks = row["checks"] if whole else [check[:2] for check in row["checks"]]
    return row["accepted"], row["score"], row["hint"], checks


def _margins(rules: dict[str, str], own: dict[str, settings.Rows], mutants: trials.Rows) -> list[dict[str, Any]]:
    """Return for each check with a tolerance the worst right variant and the best wrong one, in units of the tolerance."""
    rows = [row for rows in own.values() for row in rows]
    right = [(row["margins"], row["name"]) for row in rows if row["kind"] != "slip"]
    wrong = [(row["margins"], row["name"]) for row in rows if row["kind"] == "slip"]
    wrong += [(row["margins"], row["text"]) for row in mutants if row["refused_by"] is not None]
    found = []
    for check, rule in rules.items():
        worst = max(((units[check], name) for units, name in right if check in units), default=(None, ""))
        beyond = [(units[check], name) for units, name in wrong if units.get(check, 0.0) > 1]
        best = min(beyond, default=(None, ""))
        found.append(
            {
                "check": check,
                "rule": rule,
                "right": worst[0],
                "right_by": worst[1],
                "wrong": best[0],
                "wrong_by": best[1],
            }
        )
    return found


def _kinds_of_inputs(judge: Judge, exercises: list[dict[str, Any]]) -> list[str]:
    """Note with each exercise which kinds of inputs it is checked with, and return the gaps."""
    found = kinds.table(judge)
    for exercise in exercises:
        exercise["kinds"] = found[exercise["name"]]
    return [f"{judge.lesson.name}, {told}" for told in kinds.gaps(found)]


def _hints_differ(name: str) -> list[str]:
    """Return whether the student kit's hints are not those that the slips give on the public examples."""
    kit = json.loads((ROOT / "exercises" / "kit" / "hints.json").read_text(encoding="utf-8")).get(name, {})
    derived = hints(read_lesson(ROOT / "solutions" / f"{name}.py"))
    return (
        []
        if kit == derived
        else [f"{name}: the kit's hints.json is not what its slips give; run `python -m graders derive`"]
    )
