"""A recorded call as Python text that can be pasted: its arguments as literals, large tensors in a file beside it."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from exercises.kit.checking.showing import span
from graders.wire.recipes import Recipe

MOST = 256  # numbers of a tensor that are written out


class Script:
    """The lines that make the arguments of one call; what is given twice is made once, as in the worker."""

    def __init__(self, file: Path) -> None:
        """Large tensors will be saved in `file`, if there are any."""
        self.file = file
        self._imports: set[str] = set()
        self._lines: list[str] = []
        self._large: dict[str, Tensor] = {}
        self._made: dict[int, str] = {}
        self._kept: list[Any] = []  # what has a name stays, or another object could get its id

    def call(self, name: str, args: tuple, kwargs: dict, probe: Callable | None, labels: list[str]) -> str:
        """Return the whole script; `labels` are names for the arguments, as far as they are known."""
        told = [
            self._text(value, labels[at] if at < len(labels) else f"argument_{at + 1}") for at, value in enumerate(args)
        ]
        told += [f"{key}={self._text(value, key)}" for key, value in kwargs.items()]
        function = name
        if probe is not None:
            function = self._imported(f"{probe.__module__}:{probe.__qualname__}")
            told.insert(0, name)
        if self._large:
            from safetensors.torch import save_file

            self.file.parent.mkdir(mode=0o700, exist_ok=True)
            save_file(self._large, self.file)
            self._imports.add("from safetensors.torch import load_file")
            self._lines.insert(0, f"saved = load_file({str(self.file.absolute())!r})")
        body = "\n".join([*self._lines, f"{function}({', '.join(told)})"])
        if re.search(r"\b(inf|nan)\b", body):
            self._imports.add("from math import inf, nan")
        return "\n".join(["import torch", *sorted(self._imports), "", body])

    def _imported(self, path: str) -> str:
        module, _, function = path.partition(":")
        self._imports.add(f"from {module} import {function.partition('.')[0]}")
        return function

    def _text(self, value: Any, label: str) -> str:
        if isinstance(value, Tensor) or type(value) is Recipe:
            return self._named(value, label)
        if isinstance(value, dict):
            pairs = [f"{self._text(key, label)}: {self._text(item, label)}" for key, item in value.items()]
            return f"{{{', '.join(pairs)}}}"
        if isinstance(value, list | tuple | set | frozenset):
            return _around(value, [self._text(item, label) for item in value])
        return repr(value)

    def _named(self, value: Any, label: str) -> str:
        if id(value) not in self._made:
            text = self._tensor(value, label) if isinstance(value, Tensor) else self._recipe(value, label)
            name = self._free(label)
            self._lines.append(f"{name} = {text}")
            self._made[id(value)] = name
            self._kept.append(value)
        return self._made[id(value)]

    def _free(self, label: str) -> str:
        taken = set(self._made.values())
        return next(name for at in range(1, 10**6) if (name := label if at == 1 else f"{label}_{at}") not in taken)

    def _recipe(self, recipe: Recipe, label: str) -> str:
        told = [self._text(value, f"{label}_part") for value in recipe.args]
        told += [f"{key}={self._text(value, key)}" for key, value in recipe.kwargs.items()]
        return f"{self._imported(recipe.name)}({', '.join(told)})"

    def _tensor(self, value: Tensor, label: str) -> str:
        dtype, shape = str(value.dtype), tuple(value.shape)
        plain = value.detach()
        if plain.device.type == "meta":
            text = f"torch.empty_strided({shape}, {tuple(plain.stride())}, dtype={dtype}, device='meta')"
        elif plain.stride() == torch.empty(shape, device="meta").stride():
            text = self._numbers(plain, label)
        else:  # the numbers as they lie in memory, seen as the tensor sees them
            flat = plain.as_strided((span(plain),), (1,), plain.storage_offset())
            text = f"{self._numbers(flat, label)}.as_strided({shape}, {tuple(plain.stride())})"
        if type(value) is torch.nn.Parameter:
            return f"torch.nn.Parameter({text}, requires_grad={value.requires_grad})"
        return f"{text}.requires_grad_()" if value.requires_grad else text

    def _numbers(self, value: Tensor, label: str) -> str:
        if value.numel() > MOST and not value.is_complex():
            name = next(key for at in range(1, 10**6) if (key := f"{label}{at}") not in self._large)
            self._large[name] = value.contiguous().clone()
            return f"saved[{name!r}]"
        if value.numel() == 0:
            return f"torch.empty({tuple(value.shape)}, dtype={value.dtype})"
        return f"torch.tensor({value.tolist()}, dtype={value.dtype})"


def _around(value: Any, items: list[str]) -> str:
    inner = ", ".join(items)
    if isinstance(value, tuple):
        return f"({inner},)" if len(items) == 1 else f"({inner})"
    if isinstance(value, list):
        return f"[{inner}]"
    kind = type(value).__name__
    return f"{kind}([{inner}])"
