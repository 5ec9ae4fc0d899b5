"""Attacks judged by the real judge: each submission states what is due for every exercise, and gets that and no more."""

from __future__ import annotations

import contextlib
import multiprocessing
import os
import time
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from multiprocessing.util import Finalize
from pathlib import Path
from typing import Any

from graders import ROOT, lessons
from graders.cohort.judging import Bench
from graders.cohort.spread.processes import guarded
from graders.cohort.submissions import Submission
from graders.collecting import processes, together
from graders.trust.attacks import Attack, corpus
from graders.trust.attacks.texts import as_notebook, attacked, honest, text_of
from graders.wire import tiers

SEED = "siege"
SHORT = {"CALL_SECONDS": 2.0, "EXERCISE_SECONDS": 3.0}  # no honest exercise needs half of it on a quiet machine
AT_ONCE = 2
MOST = {
    "seconds": 25.0,
    "memory": 1.2,
}  # that one hostile exercise may cost; memory in times that of an honest submission
TRIES = 3
_IN_EARNEST = {name: getattr(processes, name) for name in SHORT}
_TOGETHER = together.SECONDS
_NOTHING_DUE = ("everywhere", "at_import")
_LEFT_BEHIND = "attacked"


def wrong(attack: Attack, verdict: dict[str, Any], first: str) -> str:
    """Return in a few words how a verdict differs from what is due to the attack, "" if it does not; `first` is attacked."""
    if verdict["status"] != "graded":
        return f"it could not be graded: {verdict.get('reason', '')}"
    others = [each for each in verdict["exercises"] if each["name"] != first]
    gained = [first] + [each["name"] for each in others if attack.kind in ("at_import", "everywhere")]
    if attack.kind != "beside":
        for each in verdict["exercises"]:
            if each["name"] in gained and each["score"] > 0:
                return f"{each['name']} got {each['score']:g} points, none is due"
    if attack.kind in ("in_one", "beside"):
        for each in others:
            if each["score"] != each["max_score"]:
                told = each["message"].replace("\n", " ")[:120]
                return f"{each['name']} lost points through another exercise ({each['outcome']}: {told})"
    return ""


def sieges(names: list[str], say: Callable[[str], None] = lambda text: None) -> dict[str, Any]:
    """Judge the attacks on several lessons: on the first in both forms, on the others in turn as `.py` and as notebook.

    A form decides how a file is read, not how an exercise is judged: in the second one of the first lesson the attacked exercise
    and a few others are judged. `worst` is what one hostile exercise cost at most (see `costs`); what is more than MOST is a
    problem.
    """
    forms = [(name, at % 2 == 1) for at, name in enumerate(names)]
    found = []
    for lesson, notebook in forms:
        say(f"attacks, on {lesson}{' as a notebook' if notebook else ''}")
        found.append(siege(lesson, notebook=notebook))
    say(f"attacks, on {names[0]} as a notebook")
    found.append(siege(names[0], notebook=True, only=few(names[0])))
    say("attacks, what one costs at most")
    measured = [costs(one["lesson"], one["attacks"]) for one in found[:-1]]
    rows = [{"lesson": one["lesson"]} | row for one in found for row in one["attacks"]]
    problems = [f"{one['lesson']}: {problem}" for one in found for problem in one["problems"]]
    problems += [problem for one in measured for problem in one["problems"]]
    worst = {key: max(one["worst"][key] for one in measured) for key in MOST}
    return {"isolation": found[0]["isolation"], "attacks": rows, "worst": worst, "problems": problems}


def few(lesson: str) -> tuple[str, ...]:
    """Return the exercise that is attacked and a few others, from all over the lesson, in its order."""
    names = lessons.exercises(lesson)
    return tuple(sorted({attacked(lesson), *names[:: len(names) // 3]}, key=names.index))


def costs(lesson: str, rows: list[dict[str, Any]]) -> dict[str, Any]:
    """Measure the attacks that took most time and most memory of those in one exercise once more, now one at a time.

    Each runs alone, with the limits that hold in earnest, behind an honest submission in the same process, with which it is
    compared. What the machine does meanwhile only adds, so what is more than MOST is measured up to TRIES times, and the least
    counts.
    """
    rows = [row for row in rows if row["ran"] and row["kind"] in ("in_one", "beside")]
    names = {max(rows, key=lambda row: row[key])["name"] for key in MOST} if rows else set()
    worst, problems = dict.fromkeys(MOST, 0.0), []
    for attack in [attack for attack in corpus() if attack.name in names]:
        least = dict.fromkeys(MOST, float("inf"))
        for _ in range(TRIES):
            least = {key: min(value, least[key]) for key, value in _alone(attack, lesson).items()}
            if all(least[key] <= MOST[key] for key in MOST):
                break
        worst = {key: max(worst[key], least[key]) for key in MOST}
        problems += [
            f"attack {attack.name} ({attack.sentence}) on {lesson}: it cost {least[key]:g} {unit}, at most {MOST[key]:g} is allowed"
            for key, unit in (("seconds", "s"), ("memory", "times the memory of an honest submission"))
            if least[key] > MOST[key]
        ]
    return {"worst": worst, "problems": problems}


def _alone(attack: Attack, lesson: str) -> dict[str, float]:
    """Return what an attack cost a fresh judge: the seconds that it added to an honest submission, and memory as a multiple."""
    with ProcessPoolExecutor(1, multiprocessing.get_context("spawn"), _start, (lesson,)) as pool:
        pool.submit(_judge, lesson, honest(lesson), False, {}).result()  # pays for what comes first
        _, before, _, memory = pool.submit(_judge, lesson, honest(lesson), False, {}).result()
        _, seconds, _, more = pool.submit(_judge, lesson, text_of(attack, lesson, honest(lesson)), False, {}).result()
    return {"seconds": round(max(seconds - before, 0.0), 2), "memory": round(more / max(memory, 1), 2)}


def siege(
    lesson: str,
    each: Callable[[str], None] = lambda name: None,
    attacks: list[Attack] | None = None,
    notebook: bool = False,
    only: tuple[str, ...] = (),
) -> dict[str, Any]:
    """Judge the attacks on a lesson; return the isolation tier and a row per attack (`wrong` is "" where it failed).

    The limits on time are shorter than in earnest, so that endless loops end sooner; they are enforced by the same code. What is
    hostile in every exercise comes first, as it takes longest. only: the exercises that are judged, if not all.
    """
    context = multiprocessing.get_context("spawn")  # a process per judge, as in earnest: torch's random state is global
    rows: list[dict[str, Any]] = []
    scratch: set[str] = set()
    with ProcessPoolExecutor(AT_ONCE, context, _start, (lesson,)) as pool:
        tier = pool.submit(_tier, lesson).result()
        ordered = sorted(attacks or corpus(), key=lambda attack: attack.kind not in _NOTHING_DUE)
        tried = [(attack, not attack.harmful or tiers.rank(tier) >= tiers.rank("landlock")) for attack in ordered]
        judged = [
            pool.submit(_judge, lesson, text_of(attack, lesson, honest(lesson)), notebook, SHORT, only) if ran else None
            for attack, ran in tried
        ]
        for (attack, ran), future in zip(tried, judged, strict=True):
            row = {"name": attack.name, "sentence": attack.sentence, "kind": attack.kind, "ran": ran}
            verdict, seconds, folders, memory = future.result() if future else (None, 0.0, [], 0)
            told = {
                "wrong": wrong(attack, verdict, attacked(lesson)) if verdict else "",
                "seconds": seconds,
                "memory": memory,
            }
            rows.append(row | told)
            scratch.update(folders)
            each(attack.name)
    problems = [f"attack {row['name']} ({row['sentence']}): {row['wrong']}" for row in rows if row["wrong"]]
    problems += [f"the attacks left something behind: {what}" for what in _left_behind(sorted(scratch))]
    return {"lesson": lesson, "isolation": tier, "attacks": rows, "problems": problems}


_bench: Bench  # of a judging process


def _start(lesson: str) -> None:
    global _bench
    _bench = Bench(SEED)
    _bench.judge(lesson)
    Finalize(None, _bench.close, exitpriority=1)


def _tier(lesson: str) -> str:
    return _bench.judge(lesson).zygote.tier


def _judge(
    lesson: str, text: str, notebook: bool, limits: dict[str, float], only: tuple[str, ...] = ()
) -> tuple[dict[str, Any], float, list[str], int]:
    """Return the verdict on a submission, its seconds, the scratch folders of its workers, and the judge's memory in MiB.

    limits: those on time, where they are others than in earnest.
    """
    for name, value in (_IN_EARNEST | limits).items():
        setattr(processes, name, value)
    together.SECONDS = min(_TOGETHER, processes.CALL_SECONDS)
    begun = time.monotonic()
    with contextlib.suppress(OSError):
        Path("/proc/self/clear_refs").write_text("5")  # the peak begins anew
    name, data = (f"{lesson}.ipynb", as_notebook(text)) if notebook else (f"{lesson}.py", text.encode())
    told = guarded(lambda: _bench.timed(Submission("attack", lesson, name, data, only=only)))
    verdict = told.verdict or {"status": "could not grade", "reason": told.fault or told.problem}
    seconds = round(time.monotonic() - begun, 2)
    return verdict, seconds, [zygote.scratch for zygote in _bench._zygotes.values()], _peak_of_memory()


def _peak_of_memory() -> int:
    """Return how many MiB this process had at most since its peak began anew (Linux; 0 elsewhere)."""
    with contextlib.suppress(OSError):
        lines = Path("/proc/self/status").read_text().splitlines()
        return next((int(line.split()[1]) >> 10 for line in lines if line.startswith("VmHWM")), 0)
    return 0


def runs(lesson: str) -> dict[str, Any]:
    """Judge the solutions twice, and the untouched stubs; return the scores, and what is not as it should be."""
    bench = Bench(SEED)
    try:
        files = [ROOT / folder / f"{lesson}.py" for folder in ("solutions", "solutions", "exercises")]
        verdicts = [bench.grade(Submission("runs", lesson, file.name, file.read_bytes())) for file in files]
    finally:
        bench.close()
    problems, (first, again, stubs) = [], verdicts
    if first["score"] != first["max_score"]:
        problems.append(f"{lesson}: the solutions get {first['score']:g} of {first['max_score']:g}")
    if _told(first) != _told(again):
        problems.append(f"{lesson}: two verdicts on the solutions differ")
    started = [each["name"] for each in stubs["exercises"] if each["outcome"] != "not started" or each["score"]]
    problems += [f"{lesson}, {name}: the untouched stub is not 'not started' with 0 points" for name in started]
    return {
        "lesson": lesson,
        "solutions": first["score"],
        "max": first["max_score"],
        "stubs": stubs["score"],
        "problems": problems,
    }


def _told(verdict: dict[str, Any]) -> list[dict[str, Any]]:
    """Return the exercises of a verdict without the time they took."""
    return [{key: value for key, value in each.items() if key != "seconds"} for each in verdict["exercises"]]


def _left_behind(scratch: list[str]) -> list[str]:
    """Return what the attacks left: files outside their scratch folders, and processes that outlived their judge."""
    places = [ROOT, ROOT / "exercises" / "kit", Path.cwd(), Path.home(), *map(Path, ("/tmp", "/var/tmp", "/dev/shm"))]
    files = [str(place / _LEFT_BEHIND) for place in places if (place / _LEFT_BEHIND).exists()]
    return files + [f"process {pid}" for pid in _processes_of(scratch)]


def _processes_of(scratch: list[str]) -> list[int]:
    """Return the processes that still have a zygote's scratch folder as their home (Linux; none elsewhere)."""
    found = []
    for folder in Path("/proc").glob("[0-9]*"):
        with contextlib.suppress(OSError):
            environment = (folder / "environ").read_bytes().split(b"\0")
            running = "Z (zombie)" not in (folder / "status").read_text()
            if (
                running
                and any(f"HOME={home}".encode() in environment for home in scratch)
                and int(folder.name) != os.getpid()
            ):
                found.append(int(folder.name))
    return found
