"""Which kinds of inputs the hidden tests of each exercise have: the kinds by which wrong answers got through once.

Derived from the calls that were recorded of the hidden tests, not from memory. A cell says by which checks a kind is covered,
or why it does not apply, in most cases by quoting the statement; an empty cell is a gap.
"""

from __future__ import annotations

import inspect
import re
from collections.abc import Callable, Iterable, Iterator
from functools import partial
from typing import Any

import torch
from torch import Tensor, nn

from graders.judge import checks, left_behind
from graders.judge.judge import Judge
from graders.trust.promises import EXPLAINS, promises
from graders.wire import codec, notes, schema
from graders.wire.recipes import Recipe

Cell = dict[str, Any]  # {"checks": [...]}, {"why": "..."}, or {}: a gap
_FLOATS = (torch.float16, torch.bfloat16, torch.float32)
_MODELS = ("nn.Module", "nn.Linear")  # annotations begin so


def table(judge: Judge) -> dict[str, dict[str, Cell]]:
    """Return for each exercise of a lesson a cell for each kind."""
    return {exercise.name: _row(judge, exercise) for exercise in judge.exercises}


def gaps(found: dict[str, dict[str, Cell]]) -> list[str]:
    """Return the empty cells, a line each."""
    return [
        f"{name}: no hidden test has the kind {kind!r}, and nothing says why it does not apply"
        for name, row in found.items()
        for kind, cell in row.items()
        if not cell
    ]


def _row(judge: Judge, exercise: checks.Exercise) -> dict[str, Cell]:
    solution = vars(judge.lesson.solution)[exercise.name]
    statement = " ".join((inspect.getdoc(solution) or "").partition(">>>")[0].split())
    calls = {check.name: list(_calls(judge, exercise, check)) for check in exercise.checks[:-1]}
    row: dict[str, Cell] = {}
    for kind, seen in SHAPES.items():
        row[kind] = _covered(calls, partial(_any_tensor, seen)) or _no_tensor(solution)
        row[kind] = row[kind] or _quoted(statement, _OTHER_SHAPES[kind]) or _by_hand(exercise.name, kind)
    row["0-dim"] = row["0-dim"] or _left_open(statement, "0-dim")
    for kind, differs in MODELS.items():
        row[kind] = _no_model(solution) or _covered(calls, partial(_any_model, differs))
        row[kind] = row[kind] or _left_open(statement, _WORDS[kind])
    row[BEYOND] = _between(calls) or _by_hand(exercise.name, BEYOND)
    row["what is left behind"] = {"checks": [left_behind.NAME]}
    row["an interrupt"] = _interrupted(statement, calls)
    row["errors by name"] = _errors(judge, exercise, statement)
    row["texts of errors"] = _texts(judge, exercise)
    row["sentences of the statement"] = _sentences(judge, exercise)
    return row


# Cells


def _covered(calls: dict[str, list[Any]], has: Callable[[Any], bool]) -> Cell:
    found = [check for check, each in calls.items() if any(map(has, each))]
    return {"checks": found} if found else {}


def _quoted(statement: str, pattern: str) -> Cell:
    found = re.search(pattern, statement)
    return {"why": f"the statement says “{found[0]}”"} if found else {}


def _by_hand(exercise: str, kind: str) -> Cell:
    return {"why": _BY_HAND[exercise, kind]} if (exercise, kind) in _BY_HAND else {}


def _left_open(statement: str, word: str) -> Cell:
    return {} if word in statement else {"why": f"the statement leaves it open: it does not say “{word}”"}


def _annotations(solution: Any) -> str:
    if inspect.isclass(solution):
        return "Tensor"  # its methods take some
    return " ".join(str(one.annotation) for one in inspect.signature(solution).parameters.values())


def _no_tensor(solution: Any) -> Cell:
    return {} if "Tensor" in _annotations(solution) else {"why": "it takes no tensor"}


def _no_model(solution: Any) -> Cell:
    if inspect.isclass(solution):
        return {"why": "it is a class"}
    signature = inspect.signature(solution)
    kinds = [str(one.annotation) for one in signature.parameters.values()]
    both = any(kind.startswith(_MODELS) for kind in kinds) and "nn." in str(signature.return_annotation)
    return {} if both else {"why": "it does not return a model that it was given, or a copy"}


def _between(calls: dict[str, list[Any]]) -> Cell:
    """Numbers above the largest of a dtype that still round to it: only for calls that name a dtype and give wider numbers."""
    found, wider = [], False
    for check, each in calls.items():
        for args in each:
            ends = [torch.finfo(dtype) for dtype in _parts(args, torch.dtype) if dtype in _FLOATS]
            numbers = [
                t.detach().double() for t in _tensors(args) if t.dtype.is_floating_point and t.device.type == "cpu"
            ]
            wide = max((torch.finfo(t.dtype).bits for t in _tensors(args) if t.dtype.is_floating_point), default=0)
            wider |= any(end.bits < wide for end in ends)
            if any(_just_beyond(values, end) for values in numbers for end in ends):
                found.append(check)
                break
    if found:
        return {"checks": found}
    return {} if wider else {"why": "no numbers are given together with a narrower float dtype"}


def _just_beyond(values: Tensor, end: torch.finfo) -> bool:
    half = end.max * end.eps / 4  # at least a quarter of the last step, and less than half of it
    return bool(((values.abs() > end.max) & (values.abs() < end.max + half)).any())


def _interrupted(statement: str, calls: dict[str, list[Any]]) -> Cell:
    cell = _covered(calls, lambda args: any("interrupt" in name for name in _names(args)))
    promised = re.search(r"after an exception|is restored|old default|KeyboardInterrupt", statement)
    return cell or ({} if promised else {"why": "the statement promises nothing for an exception from within"})


def _errors(judge: Judge, exercise: checks.Exercise, statement: str) -> Cell:
    named = set(re.findall(r"\b[A-Z]\w*Error\b", statement))
    if not named:
        return {"why": "the statement names no error"}
    raised: dict[str, list[str]] = {}
    for check in exercise.checks[:-1]:
        for call in _recorded(judge, exercise, check):
            _, reply = notes.split(judge.reference._ask(call))
            for base in schema.exception(reply[1:])["bases"] if reply[:1] == b"!" else ():
                raised.setdefault(base, []).append(check.name)
    told = [(name, check) for text, check in _promised(judge, exercise) for name in named if name in text]
    for name, promised in told:  # where a probe catches the error
        if promised != EXPLAINS:
            raised.setdefault(name, []).append(promised)
    covered = [by for name in sorted(named) for by in raised.get(name, [])]
    return {"checks": list(dict.fromkeys(covered))} if named <= raised.keys() else {}


def _texts(judge: Judge, exercise: checks.Exercise) -> Cell:
    told = [
        pair
        for pair in _promised(judge, exercise)
        if re.search(r"\btext\b[^.]*\b(names|lists)|names in its text", pair[0])
    ]
    if not told:
        return {"why": "the statement says nothing of an error's text"}
    return {"checks": [check for _, check in told]} if all(check != EXPLAINS for _, check in told) else {}


def _sentences(judge: Judge, exercise: checks.Exercise) -> Cell:
    found = [check for _, check in _promised(judge, exercise) if check != EXPLAINS]
    return {"checks": list(dict.fromkeys(found))} if found else {}


def _promised(judge: Judge, exercise: checks.Exercise) -> list[tuple[str, str]]:
    return (promises(judge.lesson.name) or {}).get(exercise.name, [])


# Kinds of tensors and models, and the words of a statement that leave them out


def _unequal_rows(tensor: Tensor) -> bool:
    if tensor.dim() < 2 or min(tensor.shape) < 1 or tensor.shape[0] < 2 or tensor.device.type == "meta":
        return False
    rows = tensor.detach().reshape(tensor.shape[0], -1)
    rows = rows if rows.is_complex() else rows.double()  # some narrow dtypes cannot be compared
    return bool((rows[0] != rows[1:]).any())


def _is_slice(tensor: Tensor) -> bool:
    return tensor.is_contiguous() and tensor.untyped_storage().nbytes() > tensor.numel() * tensor.element_size() > 0


SHAPES: dict[str, Callable[[Tensor], bool]] = {
    "0-dim": lambda tensor: tensor.dim() == 0,
    "1-D": lambda tensor: tensor.dim() == 1,
    "unequal rows": _unequal_rows,
    "3-D or more": lambda tensor: tensor.dim() > 2,
    "not contiguous": lambda tensor: not tensor.is_contiguous(),
    "slice of a larger storage": _is_slice,
}
_VECTOR = r"\b(two )?vectors?\b|\b1-D\b|(a|A) row\b|absmax: float32 \(blocks,\)"
_MATRIX = r"\b(two )?matri(x|ces)\b|\b2-D\b|\(rows, columns\)|\(tokens, \w+\)|uint8 \(n, 144\)|\(in_features"
_AXES = r"last axis|\(\.\.\., [^)]*\)|of at least one axis|2 to 4 dimensions"
_OTHER_SHAPES = {
    "0-dim": f"{_VECTOR}|{_MATRIX}|{_AXES}|any shape but 0-dim",
    "1-D": f"{_MATRIX}|2 to 4 dimensions",
    "unequal rows": _VECTOR,
    "3-D or more": f"{_VECTOR}|{_MATRIX}",
    "not contiguous": r"\bcontiguous\b",
    "slice of a larger storage": r"(?!)",
}


def _modes_differ(model: nn.Module) -> bool:
    return len({module.training for module in model.modules()}) > 1


def _some_are_frozen(model: nn.Module) -> bool:
    floats = [one for one in model.parameters() if one.dtype.is_floating_point]
    return any(not one.requires_grad for one in floats)


MODELS: dict[str, Callable[[nn.Module], bool]] = {
    "modes that differ": _modes_differ,
    "parameters without gradients": _some_are_frozen,
}
_WORDS = {"modes that differ": "mode", "parameters without gradients": "requires_grad"}

BEYOND = "values beyond the largest number"
_AS_ITS_PARTNER = "codes and scales are those of quantize_per_channel: 2 to 4 dimensions"
_OF_A_LAYER = "a vector of a layer's input channels, and its weight"
_BY_HAND = {
    ("tensor_bytes", "unequal rows"): "only sizes count, not values",
    ("saturating_cast", BEYOND): "it casts to integers; a float dtype is an error",
    ("dequantize_per_channel", "1-D"): _AS_ITS_PARTNER,
    ("W8A16Linear", BEYOND): "its codes are int8; the dtype is that of its scales and its bias",
    ("smooth_scales", "3-D or more"): _OF_A_LAYER,
}


# What was given


class _AsWritten(codec.Decoder):
    """Leave recipes as they are."""

    def _make(self, kind: str, node: dict) -> Any:
        if kind == "recipe":
            return Recipe(node["name"], self.decode(node["args"]), self.decode(node["kwargs"]))
        return super()._make(kind, node)


def _recorded(judge: Judge, exercise: checks.Exercise, check: checks.Check) -> Iterator[bytes]:
    for case in check.cases:
        yield from judge.recording.calls_of(exercise, check, case)


def _calls(judge: Judge, exercise: checks.Exercise, check: checks.Check) -> Iterator[Any]:
    """Yield what each call of a check was given: the probe's name, arguments and keywords."""
    for call in _recorded(judge, exercise, check):
        yield codec.decode(call, _AsWritten)[1:]


def _parts(value: Any, kind: type | tuple[type, ...]) -> Iterator[Any]:
    if isinstance(value, kind):
        yield value
    if isinstance(value, Recipe):
        value = [*value.args, *value.kwargs.values()]
    items: Iterable[Any] = (
        value.values() if isinstance(value, dict) else value if isinstance(value, list | tuple) else ()
    )
    for item in items:
        yield from _parts(item, kind)


def _tensors(args: Any) -> Iterator[Tensor]:
    return _parts(args, Tensor)


def _names(args: Any) -> Iterator[str]:
    yield from (recipe.name for recipe in _parts(args, Recipe))
    yield from (text for text in args[:1] if isinstance(text, str))


def _any_tensor(seen: Callable[[Tensor], bool], args: Any) -> bool:
    return any(map(seen, _tensors(args)))


def _any_model(differs: Callable[[nn.Module], bool], args: Any) -> bool:
    made = (recipe.build() for part in args[1:] for recipe in _outermost(part))
    return any(differs(model) for model in made if isinstance(model, nn.Module))


def _outermost(value: Any) -> Iterator[Recipe]:
    if isinstance(value, Recipe):
        yield value
    items: Iterable[Any] = (
        value.values() if isinstance(value, dict) else value if isinstance(value, list | tuple) else ()
    )
    for item in items:
        yield from _outermost(item)
