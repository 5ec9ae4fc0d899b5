"""What a call leaves behind: the caller's arguments and torch's settings, compared before and after.

Read through torch's own tables and by real types, so that a subclass that overrides methods changes nothing. Objects that are
neither data nor models are left alone.
"""

from __future__ import annotations

import contextlib
import functools
import inspect
from collections.abc import Callable, Iterator, Mapping, Sequence, Sized
from typing import Any

import torch
from torch import Tensor
from torch.nn.modules import module as _everywhere

from exercises.kit.checking.showing import is_freed

_PLAIN = (Tensor, torch.nn.Parameter, torch.nn.Buffer)
_HOOKS = tuple(name for name in vars(torch.nn.Module()) if name.endswith("_hooks"))
_GLOBAL_HOOKS = tuple(
    table for name, table in vars(_everywhere).items() if name.startswith("_global_") and isinstance(table, dict)
)
WANTED = "arguments and torch's settings as they were before"
_MOST = 3  # differences that are told
_DEEPEST = 6
_read, _equal, _clone = object.__getattribute__, torch.equal, Tensor.clone
_detach, _contiguous, _view, _stride = Tensor.detach, Tensor.contiguous, Tensor.view, Tensor.stride

# How torch's settings are read, what they are called, and how they are put back.
_SETTINGS: tuple[tuple[str, Callable[[], Any], Callable[[Any], Any] | None], ...] = (
    ("torch's default dtype", torch.get_default_dtype, torch.set_default_dtype),
    ("torch.is_grad_enabled()", torch.is_grad_enabled, torch.set_grad_enabled),
    ("torch.is_inference_mode_enabled()", torch.is_inference_mode_enabled, None),
    ("torch.get_num_threads()", torch.get_num_threads, torch.set_num_threads),
    ("torch.are_deterministic_algorithms_enabled()", torch.are_deterministic_algorithms_enabled, None),
    ("the number of hooks for all modules", lambda: sum(map(len, _GLOBAL_HOOKS)), None),
)


class Before:
    """Torch's settings and some values as they are when it is made."""

    def __init__(self, values: Mapping[str, Any]) -> None:
        """`values`: what is watched beside the settings, by the name under which it is told."""
        self._settings = [read() for _, read, _ in _SETTINGS]
        self._values = [(name, value, _taken(value, _DEEPEST)) for name, value in values.items()]

    def differences(self) -> list[str]:
        """Say what is different now, a line each, three at most."""
        now = [read() for _, read, _ in _SETTINGS]
        told = [
            f"{name} was {before} and is {after}"
            for (name, _, _), before, after in zip(_SETTINGS, self._settings, now, strict=True)
            if before != after
        ]
        for name, value, before in self._values:
            told += _differences(name, before, _taken(value, _DEEPEST, _detach))
        return told[:_MOST]

    def put_back(self) -> None:
        """Put back the settings that can be."""
        for (_, read, write), before in zip(_SETTINGS, self._settings, strict=True):
            if write is not None and read() != before:
                write(before)


def named(args: Sequence[Any], kwargs: Mapping[str, Any]) -> dict[str, Any]:
    """Return the arguments of a call by the names under which they are told."""
    return {f"argument {place}": value for place, value in enumerate(args, 1)} | dict(kwargs)


# What is remembered of a value: a tuple whose first part is its kind; None for what is left alone.


def _copied(tensor: Tensor) -> Tensor:
    return _clone(_detach(tensor))


def _taken(value: Any, depth: int, values: Callable[[Tensor], Tensor] = _copied) -> Any:
    """`values` keeps those of a tensor: as a copy, or as they are, where they are looked at before anything else happens."""
    kind = type(value)
    if depth == 0:
        return None
    if value is None or kind in (bool, int, float, str, bytes, torch.dtype):
        return ("value", value)
    if issubclass(kind, Tensor):
        return _taken_tensor(value, values)
    if issubclass(kind, torch.nn.Module):
        return ("model", *_taken_model(value, values))
    if issubclass(kind, dict):
        return ("dict", {key: _taken(item, depth - 1, values) for key, item in dict.items(value)})
    if issubclass(kind, list | tuple):
        items = list(list.__iter__(value) if issubclass(kind, list) else tuple.__iter__(value))
        return ("list", [_taken(item, depth - 1, values) for item in items])
    if issubclass(kind, set):
        return ("set", frozenset(map(id, set.__iter__(value))))
    return None


def _taken_tensor(tensor: Tensor, values: Callable[[Tensor], Tensor]) -> Any:
    kind: Any = type(tensor)
    if kind not in _PLAIN:
        parts = _inner(tensor)
        return ("parts", [_taken_tensor(part, values) for part in parts]) if parts else None
    if tensor.layout is not torch.strided:
        return None
    if is_freed(tensor):
        return ("freed",)
    head = ("tensor", tensor.dtype, tuple(tensor.shape), tensor.requires_grad)
    return (*head, None) if tensor.device.type == "meta" else (*head, values(tensor))


def _inner(tensor: Tensor) -> list[Tensor]:
    """Return the tensors inside a quantized one."""
    flatten = getattr(type(tensor), "__tensor_flatten__", None)
    return [_read(tensor, name) for name in flatten(tensor)[0]] if flatten is not None else []


def _taken_model(model: torch.nn.Module, values: Callable[[Tensor], Tensor]) -> tuple[dict[str, Any], dict[str, Any]]:
    """Return the modules (class, training mode, number of hooks) and the tensors, each by qualified name."""
    modules: dict[str, Any] = {}
    tensors: dict[str, Any] = {}
    known: dict[int, Any] = {}
    for name, part in _walk(model):
        own = _read(part, "__dict__")
        modules[name] = (type(part), own.get("training"), sum(len(own.get(table) or ()) for table in _HOOKS))
        for table in ("_parameters", "_buffers"):
            for key, tensor in dict.items(own[table]):
                if isinstance(tensor, Tensor):
                    if id(tensor) not in known:
                        known[id(tensor)] = _taken_tensor(tensor, values)
                        if table == "_buffers" and not tensor.is_floating_point() and known[id(tensor)]:
                            known[id(tensor)] = (*known[id(tensor)][:-1], None)  # models count their own calls
                    tensors[f"{name}.{key}" if name else key] = known[id(tensor)]
    return modules, tensors


def _walk(root: torch.nn.Module) -> Iterator[tuple[str, torch.nn.Module]]:
    stack, seen = [("", root)], {id(root)}
    while stack:
        name, part = stack.pop()
        yield name, part
        for key, child in reversed(dict.items(_read(part, "__dict__")["_modules"])):
            if child is not None and id(child) not in seen:
                seen.add(id(child))
                stack.append((f"{name}.{key}" if name else key, child))


# What is said of two such memories.


def _differences(name: str, before: Any, after: Any) -> Iterator[str]:
    if before is None or after is None:
        return
    if after[0] == "freed" != before[0]:
        yield f"{name} has lost its numbers"
    elif before[0] != after[0]:
        yield f"{name} is of another kind"
    elif before[0] == "tensor":
        yield from _tensors_differ(name, before[1:], after[1:])
    elif before[0] == "parts":
        for left, right in zip(before[1], after[1], strict=False):
            yield from _differences(name, left, right)
    elif before[0] == "model":
        yield from _models_differ(name, before[1:], after[1:])
    elif before[0] == "dict":
        if before[1].keys() != after[1].keys():
            yield f"{name} has other keys, {_count(after[1])} instead of {len(before[1])}"
            return
        for key in before[1]:
            yield from _differences(f"{name}[{key!r:.40}]", before[1][key], after[1][key])
    elif before[0] == "list":
        if len(before[1]) != len(after[1]):
            yield f"{name} has {_count(after[1])} instead of {len(before[1])}"
            return
        for place, (left, right) in enumerate(zip(before[1], after[1], strict=True)):
            yield from _differences(f"{name}[{place}]", left, right)
    elif before[0] == "set":
        if before[1] != after[1]:
            yield f"{name} has other items"
    elif before[1] is not after[1] and before[1] != after[1]:
        yield f"{name} is another value"


def _count(items: Sized) -> str:
    return f"{len(items)} item{'s' * (len(items) != 1)}"


def _tensors_differ(name: str, before: Any, after: Any) -> Iterator[str]:
    for what, left, right in zip(("dtype", "shape", "requires_grad"), before, after, strict=False):
        if left != right:
            yield f"{name} has {what} {right} instead of {left}"
            return
    if before[3] is not None and after[3] is not None and not _same_bits(before[3], after[3]):
        yield f"{name} has other values"


def _same_bits(left: Tensor, right: Tensor) -> bool:
    """Whether two tensors of one dtype and shape hold the same bytes: nan equals itself, -0.0 is not 0.0."""
    if not left.is_floating_point() and not left.dtype.is_complex:
        return _equal(left, right)
    left, right = _contiguous(left).reshape(-1), _contiguous(right).reshape(-1)
    if left.dtype.is_complex:
        left, right = torch.view_as_real(left), torch.view_as_real(right)
    return not left.numel() or _equal(_view(left, torch.uint8), _view(right, torch.uint8))


def _models_differ(name: str, before: Any, after: Any) -> Iterator[str]:
    (modules, tensors), (modules_after, tensors_after) = before, after
    kinds, kinds_after = ({key: part[0] for key, part in each.items()} for each in (modules, modules_after))
    if kinds != kinds_after or tensors.keys() != tensors_after.keys():
        yield f"{name} has other modules, parameters or buffers"
        return
    for part, (_, training, hooks) in modules.items():
        where = f"{name}, module {part!r}," if part else f"{name}"
        _, training_after, hooks_after = modules_after[part]
        if training != training_after:
            yield f"{where} has training={training_after} instead of {training}"
        if hooks != hooks_after:
            yield f"{where} has {hooks_after} hooks instead of {hooks}"
    for key, taken in tensors.items():
        yield from _differences(f"{name}, {key},", taken, tensors_after[key])


# While examples run


class Watch:
    """Note what the calls of a function, and whole examples, leave behind.

    in_place: the first argument may change.  `left` keeps what was noted during the last example, `raised` the last exception that
    came out of the function itself.
    """

    def __init__(self, function: Callable, in_place: bool) -> None:
        self.function, self.in_place = function, in_place
        self.left: list[str] = []
        self.raised: BaseException | None = None

    def watched(self) -> Callable:
        """Return the function with every call compared before and after; a class is left as it is."""
        if not inspect.isfunction(self.function):
            return self.function

        @functools.wraps(self.function)
        def call(*args: Any, **kwargs: Any) -> Any:
            values = list(named(args, kwargs).items())[self.in_place :]
            before = Before(dict(values))
            try:
                return self.function(*args, **kwargs)
            except BaseException as error:
                self.raised = error
                raise
            finally:
                self._note(before)

        return call

    @contextlib.contextmanager
    def example(self) -> Iterator[None]:
        """Watch torch's settings while an example runs, and put them back."""
        self.left, self.raised, before = [], None, Before({})
        try:
            yield
        finally:
            self._note(before)
            before.put_back()

    def _note(self, before: Before) -> None:
        try:
            self.left += [note for note in before.differences() if note not in self.left]
        except Exception:  # what is left of an argument cannot be read
            self.left.append("an argument cannot be read any more")

    @property
    def shown(self) -> str:
        """What was noted, with the student's own names of the arguments."""
        try:
            names = [*inspect.signature(self.function).parameters]
        except (TypeError, ValueError):
            names = []
        numbers = {f"argument {place}": name for place, name in enumerate(names, 1)}
        return "after the call " + "; ".join(_renamed(note, numbers) for note in self.left[:2])

    @property
    def mark(self) -> str:
        """What was noted, as the hints know it (see `fingerprint`)."""
        return f"leaves {'; '.join(self.left)}"[:160]


def _renamed(note: str, names: dict[str, str]) -> str:
    for number, name in names.items():
        if note.startswith(number) and not note[len(number) :][:1].isdigit():
            return name + note[len(number) :]
    return note
