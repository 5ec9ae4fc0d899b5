"""Probes of lesson 2."""

from collections.abc import Callable
from typing import Any

import torch
from torch.overrides import TorchFunctionMode

from exercises.kit.probes.common import arguments_after as arguments_after


class _Conversions(TorchFunctionMode):
    """Note the dtypes of results that no tensor among the operands had; a reinterpretation of bits is no conversion."""

    def __init__(self) -> None:
        super().__init__()
        self.dtypes: set[torch.dtype] = set()

    def __torch_function__(self, function: Any, types: Any, args: tuple = (), kwargs: dict | None = None) -> Any:
        result = function(*args, **(kwargs or {}))
        if isinstance(result, torch.Tensor) and function is not torch.Tensor.view:
            operands = {operand.dtype for operand in args if isinstance(operand, torch.Tensor)}
            self.dtypes |= {result.dtype} - operands
        return result


def converted_to(function: Callable[..., Any], *args: Any) -> tuple[Any, set[torch.dtype]]:
    """Return what the function returns, and the dtypes to which torch converted a tensor, or in which it made one."""
    with _Conversions() as seen:
        result = function(*args)
    return result, seen.dtypes
