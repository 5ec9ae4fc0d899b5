"""`student` and `reference` as a hidden test sees them: calls become bytes, answers become values."""

from __future__ import annotations

import inspect
import re
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor

from exercises.kit.checking.closeness import Mismatch
from exercises.kit.checking.showing import SMALL, show
from graders.collecting.endings import WorkerEnded
from graders.judge.contract import StudentRaised
from graders.wire import answers, codec, notes, recipes, schema


class Values(dict[bytes, tuple[Any, Exception | None]]):
    """What the answers to the calls of one exercise say, each decoded once; a student's together within the limit for trees."""

    def __init__(self) -> None:
        self._left = schema.MAX_TREES

    def take(self, reply: bytes) -> None:
        """Count a student's answer if it is about to be decoded. Raises Mismatch if it is one too many."""
        if reply in self:
            return
        self._left -= answers.length_of_tree(reply[1:5]) if reply[:1] == b"=" else len(reply)
        if self._left < 0:
            raise Mismatch(got="answers that could not be read (together they have too many parts)", want="data")


class NotDefined(Exception):
    """The submission does not define the function that was called."""


class Proxy:
    """Functions of an implementation, by name: `proxy.integer_range(torch.int8)`, `proxy.probe(seen, "integer_range", …)`.

    `ask` turns an encoded call into an encoded answer. `values` keeps what was decoded, by its bytes, so that a student's answer
    is decoded once for all that look at it: checks do not change what they are given.
    """

    def __init__(self, ask: Callable[[bytes], bytes], values: Values | None = None) -> None:
        self._ask, self._values = ask, values
        self._calls: list[tuple[bytes, bytes | None, str, tuple, dict, Callable | None]] = []

    def __getattr__(self, name: str) -> Callable[..., Any]:
        if name.startswith("__"):
            raise AttributeError(name)
        return lambda *args, **kwargs: self._call(name, None, args, kwargs)

    def probe(self, probe: Callable, name: str, /, *args: Any, **kwargs: Any) -> Any:
        """Run a function of `exercises.kit.probes` in the worker on the named function, and return its data."""
        return self._call(name, probe, args, kwargs)

    def _call(self, name: str, probe: Callable | None, args: tuple, kwargs: dict) -> Any:
        path = f"{probe.__module__}:{probe.__qualname__}" if probe else ""
        call = codec.encode([name, path, list(args), kwargs], strided=True)
        self._calls.append((call, None, name, args, kwargs, probe))
        _, reply = notes.split(self._ask(call))
        self._calls[-1] = (call, reply, name, args, kwargs, probe)
        if self._values is not None:
            self._values.take(reply)
        return value_of(reply, self._values)

    @property
    def last_call(self) -> tuple[str, tuple, dict, Callable | None] | None:
        """The last call that was made: name, arguments, and the probe if it was one."""
        return self._calls[-1][2:] if self._calls else None

    def _left_behind(self, call: bytes) -> list[str]:
        """Return what a recorded call left behind here."""
        reply = self._ask(call)
        found = notes.split(reply)[0]
        name, path, args, kwargs = codec.arguments(call) if found else (codec.called(call), "", [], {})
        self._calls.append((call, reply, name, tuple(args), kwargs, recipes.named(path) if path else None))
        return found


def value_of(reply: bytes, values: Values | None = None) -> Any:
    """Return the value in an answer; raise what the call raised, or Mismatch if it cannot be read.

    Either is kept in `values`, if they are given.
    """
    if values is None:
        return _decoded(reply)
    if reply not in values:
        try:
            values[reply] = _decoded(reply), None
        except Exception as error:
            error.__context__ = error.__cause__ = None  # else what was being read is kept with it
            values[reply] = None, error.with_traceback(None)
    value, raised = values[reply]
    if raised is not None:
        raise raised.with_traceback(None)
    return value


def _decoded(reply: bytes) -> Any:
    kind, body = reply[:1], reply[1:]
    if kind == b"=":
        try:
            return answers.decode(body)
        except recipes.Unreadable as error:
            raise Mismatch(got=f"an answer that could not be read ({error})", want="data") from None
    if kind == b"!":
        raise _raised(body)
    if kind == b"-":
        raise NotDefined(body.decode(errors="replace")[:80])
    raise Mismatch(got=f"an answer that could not be read ({body.decode(errors='replace')[:200]})", want="data")


_TEMPORARY = re.compile(r"(?:/[\w.+-]+)+/tmp[a-z0-9_]{8}(?![a-z0-9_])")  # its name is another one each time


def _raised(body: bytes) -> Exception:
    try:
        told = schema.exception(body)
    except recipes.Unreadable:
        return WorkerEnded("killed", "the answer could not be read")
    kind, text = told["kind"][:80], _TEMPORARY.sub("FOLDER", told["text"][:120])
    if "MemoryError" in told["bases"] or "can't allocate memory" in text:
        return WorkerEnded("memory", "it asked for more memory than there is")
    line = told["line"] if told["line"] and 0 < told["line"] < 10**8 else None
    function, source = told["function"][:80], told["source"][:200]
    return StudentRaised(kind, told["bases"], text, line, function, source, told["in_file"])


def describe_call(
    name: str,
    args: tuple,
    kwargs: dict,
    reference: Callable | None = None,
    probe: Callable | None = None,
    fixed: bool = False,
) -> str:
    """Return the call as a person reads it: tensors are described; where inputs are fixed, not drawn, small ones are printed.

    What a probe takes for itself, such as torch's default around the call, stands behind the call.
    """
    names = parameters(reference)
    labels = [label for label in parameters(probe)[1:] if label not in names] if probe else []
    places = parameters(probe)[1:] if probe else []
    shown: list[str] = []
    around: list[str] = []
    told: list[str] = []
    passed = 0
    for index, value in enumerate(args):
        own = places[index] if index < len(places) and places[index] in labels else ""
        label = own or (names[passed] if passed < len(names) else f"argument {passed + 1}")
        passed += not own
        text = _short(value, fixed)
        if text is None:
            told.append(f"{label} is {describe(value)}")
            text = label
        (around if own else shown).append(f"{own}={text}" if own and text != own else text)
    for label, value in kwargs.items():
        text = _short(value, fixed)
        if text is None:
            told.append(f"{label} is {describe(value)}")
            text = label
        (around if label in labels else shown).append(f"{label}={text}")
    beside = f", with {', '.join(around)}" if around else ""
    return f"{name}({', '.join(shown)})" + beside + (", " + ", ".join(told) if told else "")


def parameters(function: Callable | None) -> list[str]:
    """Return the names of a function's parameters but for *args and **kwargs; [] if they cannot be told."""
    try:
        parameters = inspect.signature(function).parameters.values()  # type: ignore[arg-type]
    except (TypeError, ValueError):
        return []
    return [one.name for one in parameters if one.kind not in (one.VAR_POSITIONAL, one.VAR_KEYWORD)]


def _short(value: Any, fixed: bool = False) -> str | None:
    if value is None or isinstance(value, bool | int | float | torch.dtype):
        return repr(value)
    if fixed and type(value) is Tensor and _is_told_by_its_numbers(value):
        return show(value, 400)
    if isinstance(value, str):
        return repr(value) if len(value) <= 40 else repr(value[:37] + "...")
    if isinstance(value, list | tuple) and len(value) <= 6:
        parts = [_short(item, fixed) for item in value]
        if all(part is not None for part in parts):
            return ("[{}]" if isinstance(value, list) else "({})").format(", ".join(map(str, parts)))
    return None


def _is_told_by_its_numbers(value: Tensor) -> bool:
    plain = value.device.type == "cpu" and value.layout is torch.strided and not value.requires_grad
    return plain and value.numel() <= SMALL and value.is_contiguous()


def describe(value: Any) -> str:
    """Describe a value in a few words."""
    if isinstance(value, Tensor):
        return _describe_tensor(value)
    if isinstance(value, recipes.Recipe):
        return f"the kit's {_recipe(value)}"
    if isinstance(value, dict):
        return f"a dict with {len(value)} keys"
    return f"a {type(value).__name__} of {len(value)}" if hasattr(value, "__len__") else f"a {type(value).__name__}"


def _recipe(value: recipes.Recipe) -> str:
    """Name a recipe with the recipes and the words that it is made of; numbers, seeds among them, are not shown."""
    told = [
        label + (_recipe(part) if isinstance(part, recipes.Recipe) else repr(part))
        for label, part in [
            *(("", part) for part in value.args),
            *((f"{key}=", part) for key, part in value.kwargs.items()),
        ]
        if isinstance(part, recipes.Recipe) or (isinstance(part, str) and len(part) <= 40)
    ]
    return value.name.rpartition(":")[2] + (f"({', '.join(told)})" if told else "")


def _describe_tensor(value: Tensor) -> str:
    words = [f"{str(value.dtype)[6:]} of shape {tuple(value.shape)}"]
    if value.device.type == "meta":
        return words[0] + " on the meta device"
    if not value.is_contiguous():
        words.append("not contiguous")
    if value.is_floating_point():
        wide = value.detach().double()
        finite = wide[wide.isfinite()]
        if wide.isnan().any():
            words.append("with nan")
        if wide.isinf().any():
            words.append("with inf")
    else:
        finite = value.detach()
    if finite.numel() and not value.is_complex():
        low, high = finite.min().item(), finite.max().item()
        words.append(f"values from {low:.6g} to {high:.6g}")
    return ", ".join(words)
