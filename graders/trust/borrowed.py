"""What a worker holds that would answer an exercise: functions of the kit and of the libraries that it has loaded.

A submission may call whatever its worker has loaded. What answers an exercise there is no achievement; so each callable is
tried in the place of each exercise, and those that pass a main check stand in a short list, with the reason why they are there.
torch, transformers, quanto and the standard library are what the exercises are about, and are not tried. What is called so may do
anything, such as the sandbox's own functions that mount: so it is called where it can change nothing but a folder of its own.
"""

from __future__ import annotations

import importlib
import json
import subprocess
import sys
from collections.abc import Iterator
from typing import Any

from exercises.kit.unpacking import load_quanto
from graders import ROOT
from graders.judge.judge import Judge
from graders.judge.recording import in_process
from graders.trust import children

SUBJECTS = ("torch", "transformers", "optimum")
OURS = ("exercises", "graders")
SECONDS = 60.0  # for one callable, in all exercises
_CAST, _QUANTIZE = "exercises.kit.toys.quantized_models:cast", "exercises.kit.toys.quantized_models:with_quanto"
KNOWN = {
    # `cast` is Tensor.to, which is the answer; models of lesson 4 are made in 16 bits by it.
    "l2_data_types": {"downcast": [_CAST]},
    # Probes set torch's default dtype around a call; toys cast a model in place, which the main check of `cast_copy` cannot tell.
    "l3_models_with_different_data_types": {
        "build_in_dtype": ["exercises.kit.probes.l3:under_default"],
        "cast_copy": [_CAST],
        "default_dtype": ["exercises.kit.probes.l3:_default"],
    },
    # Quantized models are arguments of half of lesson 4's exercises: some function of the kit must quantize them. It is
    # quanto.quantize and quanto.freeze, which the statements name.
    "l4_quantization_theory": {
        name: [_QUANTIZE] for name in ("quantize_and_freeze", "quantize_model", "quantized_copy")
    },
}

_LIST = """
import json, sys
sys.argv[:] = ["submission"]
from graders.worker import zygote
zygote.preload(LIBRARIES)
print(json.dumps(sorted(sys.modules)))
"""


def loaded(libraries: tuple[str, ...]) -> list[str]:
    """Return the modules that a worker has loaded, but for those that the exercises are about."""
    code = _LIST.replace("LIBRARIES", repr(list(libraries)))
    ran = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True)
    left_out = {*SUBJECTS, *sys.stdlib_module_names, "sitecustomize", "usercustomize", "__main__"}
    names = json.loads(ran.stdout.splitlines()[-1])
    return [name for name in names if name.partition(".")[0] not in left_out]


def callables(module: str) -> Iterator[tuple[str, Any]]:
    """Yield the callables of a module by name, those of its own classes too where it is ours."""
    try:
        found = dict(vars(importlib.import_module(module)))
    except Exception:  # made in the worker alone, or by hand
        return
    for name, value in found.items():
        home = str(getattr(value, "__module__", None) or module)
        if not callable(value) or home.partition(".")[0] in (*SUBJECTS, *sys.stdlib_module_names):
            continue
        if home.partition(".")[0] in OURS and home != module:
            continue  # imported from another module of ours, where it is tried
        yield f"{module}:{name}", value
        if isinstance(value, type) and module.partition(".")[0] in OURS:
            for own, method in vars(value).items():
                if callable(method) or isinstance(method, staticmethod | classmethod | property):
                    plain = getattr(method, "fget", None) or getattr(method, "__func__", method)
                    yield f"{module}:{name}.{own}", plain


def answers(judge: Judge, modules: list[str]) -> dict[str, list[str]]:
    """Return for each exercise the callables of these modules that pass its main check; each is tried in a child of its own."""
    if "optimum.quanto" in judge.lesson.libraries:
        load_quanto()  # else what a worker has used would compile here
    tried = [pair for module in modules for pair in callables(module)]
    passed: dict[str, list[str]] = {}
    jobs = [_job(judge, value) for _, value in tried]
    for index, exercises in children.run(jobs, SECONDS, [sys.prefix, sys.base_prefix, str(ROOT)]):
        for exercise in exercises or ():  # None: it ended its process, or its time
            passed.setdefault(exercise, []).append(tried[index][0])
    return {exercise: sorted(names) for exercise, names in sorted(passed.items())}


def _job(judge: Judge, value: Any) -> children.Job:
    def run() -> list[str]:
        ask = in_process(dict.fromkeys(judge.names, value))
        return [each.name for each in judge.exercises if not judge.refuses(each, each.main, ask)]

    return run
