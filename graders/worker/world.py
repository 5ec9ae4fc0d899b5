"""What an exercise must leave as it found it, if another one is to run in the same process after it.

A guard for honest verdicts, not against attacks: whoever changes torch for everybody, by mistake or on purpose, is noticed,
and the next exercise gets a new process.
"""

from __future__ import annotations

import builtins
import copy
import math
import sys
import threading
import warnings
from typing import Any

import torch
from torch.nn.modules import module

_PLACES: list[Any] = [builtins, copy, math, torch, torch.Tensor, torch.nn, torch.nn.Module, torch.nn.Linear]
_IF_LOADED = ("torch.nn.functional", "torch.nn.init", "optimum.quanto")
_HOOKS = [table for name, table in vars(module).items() if name.startswith("_global_") and isinstance(table, dict)]
_before: list[Any] = []


def remember() -> None:
    """Take this process as it is now for what all that are forked from it must be like."""
    loaded = [name for name in sys.modules if name in _IF_LOADED or name.startswith("exercises.kit.")]
    _PLACES.extend(sys.modules[name] for name in loaded)
    _before[:] = [_settings(), _names()]


def changed(names: bool = True) -> bool:
    """Whether this process differs from what was remembered in anything that another exercise could notice.

    names: look also at all that has a name in torch and the kit, which takes a millisecond, and the first time six.
    """
    return _settings() != _before[0] or (names and _names() != _before[1])


def _settings() -> list[Any]:
    return [
        torch.get_default_dtype(),
        torch.is_grad_enabled(),
        torch.is_inference_mode_enabled(),
        torch.get_num_threads(),
        torch.are_deterministic_algorithms_enabled(),
        torch.get_float32_matmul_precision(),
        torch.is_autocast_enabled("cpu"),
        torch._C._len_torch_function_stack(),
        torch._C._len_torch_dispatch_stack(),
        float(torch.tensor([1e-45]).mul(1)),  # 0 where denormal numbers are flushed
        [len(table) for table in _HOOKS],
        sys.getrecursionlimit(),
        sys.gettrace(),
        sys.getprofile(),
        threading.active_count(),
        any(each[0] == "error" for each in warnings.filters),
        "raise" in sys.modules["numpy"].geterr().values() if "numpy" in sys.modules else False,
    ]


def _names() -> list[list[int]]:
    """Return what stands behind the names, as numbers. The names themselves are left alone: looking at them copies their memory."""
    return [list(map(id, vars(place).values())) for place in _PLACES]
