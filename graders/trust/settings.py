"""The same verdicts on other machines: variants judged again with more threads, older processors, and other hidden inputs.

Each processor is emulated in a process of its own, by the environment variable that torch reads at its first operation.
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

NATIVE = "this processor"
CAPABILITIES = {NATIVE: None, "no vector units": "default", "AVX2": "avx2"}
OTHER_INPUTS = "other hidden inputs"
PLAIN = {"1 thread": 1, "2 threads": 2, "1 thread, again": 1}  # how many threads, on this processor
_LONGEST = 900
Rows = list[dict[str, Any]]


def measure(names: list[str]) -> dict[str, dict[str, Rows]]:
    """Return for each lesson what became of its variants (see `trials.try_variants`) in each setting.

    RuntimeError if a setting's process ends early, with its last words.
    """
    jobs = [(name, capability) for name in names for capability in CAPABILITIES]
    with ThreadPoolExecutor(2) as pool:
        found = list(pool.map(lambda job: _in_process_of_its_own(*job), jobs))
    measured: dict[str, dict[str, Rows]] = {name: {} for name in names}
    for (name, _), settings in zip(jobs, found, strict=True):
        measured[name] |= settings
    return measured


def _in_process_of_its_own(name: str, capability: str) -> dict[str, Rows]:
    environment = dict(os.environ, PYTHONPATH=str(ROOT))
    value = CAPABILITIES[capability]
    if value is not None:
        environment["ATEN_CPU_CAPABILITY"] = value
    command = [sys.executable, "-m", "graders.trust.settings", name, capability]
    ran = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, timeout=_LONGEST)
    if ran.returncode != 0:
        raise RuntimeError(f"{name} on {capability}: {ran.stderr.strip().splitlines()[-1:]}")
    return json.loads(ran.stdout)


def here(name: str, capability: str) -> dict[str, Rows]:
    """Return the rows of this process, by setting."""
    import torch

    from graders.trust import trials

    material = trials.material(name)
    judge = trials.judge_in_process(material.lesson)
    if capability != NATIVE:
        return {capability: trials.try_variants(judge, material.wheats)}
    found = {}
    for setting, threads in PLAIN.items():
        torch.set_num_threads(threads)
        found[setting] = trials.try_variants(judge, material.wheats)
    torch.set_num_threads(1)
    other = trials.judge_in_process(material.lesson, trials.OTHER_SEED)
    found[OTHER_INPUTS] = trials.try_variants(other, material.wheats, "wheat")
    return found


if __name__ == "__main__":
    with contextlib.redirect_stdout(sys.stderr):
        told = here(sys.argv[1], sys.argv[2])
    print(json.dumps(told))
