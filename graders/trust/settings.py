"""The same verdicts on other machines: variants judged again with more threads, older processors, and other hidden inputs.

Each setting is tried in a process of its own; a processor is emulated by the environment variable that torch reads at its
first operation.
"""

from __future__ import annotations

import contextlib
import json
import os
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from typing import Any

from graders import ROOT

CAPABILITIES = {"no vector units": "default", "AVX2": "avx2"}
OTHER_INPUTS = "other hidden inputs"
PLAIN = {"1 thread": 1, "2 threads": 2, "1 thread, again": 1}  # how many threads, on this processor
_LONGEST = 900
Rows = list[dict[str, Any]]


def measure(names: list[str]) -> dict[str, dict[str, Rows]]:
    """Return for each lesson what became of its variants (see `trials.try_variants`) in each setting.

    RuntimeError if a setting's process ends early, with its last words.
    """
    jobs = [(name, setting) for name in names for setting in (*PLAIN, *CAPABILITIES, OTHER_INPUTS)]
    with ThreadPoolExecutor(2) as pool:
        found = list(pool.map(lambda job: _in_process_of_its_own(*job), jobs))
    measured: dict[str, dict[str, Rows]] = {name: {} for name in names}
    for (name, setting), rows in zip(jobs, found, strict=True):
        measured[name][setting] = rows
    return measured


def _in_process_of_its_own(name: str, setting: str) -> Rows:
    environment = dict(os.environ, PYTHONPATH=str(ROOT))
    if setting in CAPABILITIES:
        environment["ATEN_CPU_CAPABILITY"] = CAPABILITIES[setting]
    command = [sys.executable, "-m", "graders.trust.settings", name, setting]
    ran = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, timeout=_LONGEST)
    if ran.returncode != 0:
        raise RuntimeError(f"{name}, {setting}: {ran.stderr.strip().splitlines()[-1:]}")
    return json.loads(ran.stdout)


def here(name: str, setting: str) -> Rows:
    """Return the rows of this process, whose setting this is."""
    import torch

    from graders.trust import trials

    material = trials.material(name)
    seed = trials.OTHER_SEED if setting == OTHER_INPUTS else trials.SEED
    judge = trials.judge_in_process(material.lesson, seed)
    for exercise in judge.names:
        judge.recording.calls(exercise)  # the right answers come from one thread, as in earnest
    torch.set_num_threads(PLAIN.get(setting, 1))
    return trials.try_variants(judge, material.wheats, "wheat" if setting == OTHER_INPUTS else "")


if __name__ == "__main__":
    with contextlib.redirect_stdout(sys.stderr):
        told = here(sys.argv[1], sys.argv[2])
    print(json.dumps(told))
