"""What may come from a worker: the one schema, and the one budget, of every frame and every answer.

Whatever a worker sends may have been written by a student. So it is checked before anything is built from it: first the text,
by a scan that builds nothing; then the tree that it parses to, node by node, with exact keys and exact types; and the sizes
that it claims against the bytes that are there. What passes is built once (see `codec`).

Right answers of the lessons take less than a fifth of each limit.
"""

from __future__ import annotations

import json
import math
import re
from collections.abc import Callable
from typing import Any

from graders.wire import quantized
from graders.wire.recipes import Unreadable

MAX_BYTES = 6 << 20  # of the tensors of an answer
MAX_TREE = 1 << 19  # bytes of JSON of an answer; half of that is the longest byte string in it
MAX_FRAME = 4 + MAX_TREE + MAX_BYTES + (1 << 19)  # an answer, with the header of its tensors
MAX_ANSWERS = 2 * MAX_FRAME  # of one exercise, kept while its checks run; fewer where the right ones are small
MAX_TREES = 1 << 20  # bytes of JSON of those of an exercise's answers that are decoded
MAX_NODES = 50_000
MAX_DEPTH = 50
MAX_TENSORS = 2_000
MAX_DIMENSIONS = 25
MAX_EMPTY = 1 << 16  # elements that a tensor without any would have without its dimensions of 0
MAX_KEYS = 1_000  # of one dict or set: with numbers of the same hash, its time grows with the square
MAX_ALL_KEYS = 10_000
MAX_DIGITS = 4300  # of a number: as many as Python itself reads
MAX_NOTES = 4096  # bytes of what is noted beside an answer
MAX_CODE = 1 << 20  # characters of the cells of a file
MAX_CELLS = 10_000
MAX_PLAN = 24 << 20  # bytes of a file's cells and plans, for every lesson

_TOKENS = re.compile(rb'"[^"\\]*+(?:\\.[^"\\]*+)*+(?:"|\\?\Z)|[\[\]{},]|[-+.0-9eE]{%d,}' % (MAX_DIGITS + 1), re.DOTALL)
_STORED_AS = {"complex64": "float32", "complex128": "float64"}  # safetensors has no complex numbers


# Text


def parsed(text: bytes, most: int = MAX_TREE, nodes: int = 2 * MAX_NODES) -> Any:
    """Parse JSON of at most `most` bytes and about `nodes` values, no key twice. Raises Unreadable before it builds more."""
    if len(text) > most:
        raise Unreadable("it has too many parts")
    if len(text) > 4 * MAX_DEPTH:
        _scan(text, nodes)
    try:
        return json.loads(
            text.decode(), object_pairs_hook=_object
        )  # bytes of other encodings were not seen by the scan
    except Unreadable:
        raise
    except (ValueError, RecursionError) as error:
        raise Unreadable(f"{type(error).__name__} while reading it") from None


def _scan(text: bytes, nodes: int) -> None:
    """Count values and brackets, and look for long numbers, without building any."""
    depth = count = 0
    for token in _TOKENS.finditer(text):
        first = text[token.start()]
        if first in b"[{":
            depth += 1
            count += 1
        elif first in b"]}":
            depth -= 1
        elif first == 0x2C:  # a comma
            count += 1
        elif first != 0x22:  # no string either
            raise Unreadable("a number is too long")
        if count > nodes:
            raise Unreadable("it has too many parts")
        if depth > 4 * MAX_DEPTH:
            raise Unreadable("it is nested too deeply")


def _object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    made = dict(pairs)
    if len(made) != len(pairs):
        raise Unreadable("a key that stands twice")
    return made


# Forms


def fits(value: Any, form: Any) -> bool:
    """Whether parsed JSON has a form: a type, a tuple of forms of which one fits, [form] for each item, {str: form} for each
    value, or {key: form} with exactly these keys."""
    if isinstance(form, tuple):
        return any(fits(value, one) for one in form)
    if isinstance(form, list):
        return type(value) is list and all(fits(item, form[0]) for item in value)
    if isinstance(form, dict):
        if type(value) is not dict:
            return False
        if str in form:
            return all(fits(item, form[str]) for item in value.values())
        return value.keys() == form.keys() and all(fits(value[key], one) for key, one in form.items())
    return value is None if form is None else type(value) is form


EXCEPTION = {
    "kind": str, "bases": [str], "text": str, "line": (int, None), "in_file": bool, "function": str, "source": str,
}  # fmt: skip
SENT = ("source", "line", "number", "flags", "error", "steps")  # what a worker gets of a cell
ERRORS = {str: EXCEPTION | {"went_on": bool, "first": EXCEPTION}}  # by the number of their cell
CELL = {
    "source": str, "line": int, "number": int, "flags": int, "error": (str, None), "steps": str, "exercises": [str],
}  # fmt: skip
PLAN = {"cells": [CELL], "plans": {str: {"cells": [int], "rests_on": [str], "stub": bool}}, "defined": [str]}
READ = ({"error": str}, {"lessons": {str: PLAN}})


def exception(body: bytes) -> dict[str, Any]:
    """Return an exception as a worker describes it. Raises Unreadable."""
    return _formed(parsed(body), EXCEPTION)


def notes(body: bytes) -> list[str]:
    """Return what a worker notes beside an answer. Raises Unreadable."""
    return _formed(parsed(body, MAX_NOTES), [str])


def errors(body: bytes) -> dict[str, Any]:
    """Return the exceptions of cells, by number. Raises Unreadable."""
    return _formed(parsed(body), ERRORS)


def read(body: bytes) -> dict[str, Any]:
    """Return what a worker read of a file: `{"lessons": {lesson: plan}}` or `{"error": why}`. Raises Unreadable."""
    told = _formed(parsed(body, MAX_PLAN, MAX_PLAN), READ)
    for planned in told.get("lessons", {}).values():
        places = range(len(planned["cells"]))
        if any(place not in places for one in planned["plans"].values() for place in one["cells"]):
            raise Unreadable("a cell that is not there")
    return told


def _formed(value: Any, form: Any) -> Any:
    if not fits(value, form):
        raise Unreadable("it is not what was asked for")
    return value


# Answers

_QUANTIZED = {
    "k": str, "type": str, "qtype": (str, None), "axis": (int, None), "dtype": str, "size": [int], "inner": dict,
    "meta": {str: str},
}  # fmt: skip


class Checked:
    """Check the tree of an answer against its tensors.

    `blocks` gives dtype and number of bytes of a tensor by its key, `sizes` the bytes of an element by dtype.
    """

    def __init__(self, blocks: dict[str, tuple[str, int]], sizes: dict[str, int]) -> None:
        self.blocks, self.sizes = blocks, sizes
        self.nodes = self.keys = self.bytes = 0
        self.used: set[str] = set()

    def check(self, tree: Any) -> None:
        """Raise Unreadable unless the tree is one that `codec.encode` could have made."""
        self.value(tree, 0)
        if self.used != self.blocks.keys():
            raise Unreadable("tensors that stand nowhere")

    def value(self, node: Any, depth: int) -> None:
        self.nodes += 1
        if self.nodes > MAX_NODES:
            raise Unreadable("it has too many parts")
        if depth > MAX_DEPTH:
            raise Unreadable("it is nested too deeply")
        if node is None or type(node) in (bool, int, float, str):
            return
        kind = node.get("k") if type(node) is dict else None
        check = _KINDS.get(kind) if type(kind) is str else None
        if check is None:
            raise Unreadable(f"an answer is no {kind!r:.40}" if type(node) is dict else "a list where a value was due")
        check(self, node, depth)

    def many(self, node: dict, depth: int) -> None:
        items = node.get("of")
        if type(items) is not list or set(node) - {"k", "of", "exact"}:
            raise Unreadable("a container without a list of parts")
        if node["k"] != "list" and node["k"] != "tuple":
            self.keys += len(items)
            if len(items) > MAX_KEYS or self.keys > MAX_ALL_KEYS:
                raise Unreadable("it has too many parts")
        for item in items:
            if node["k"] == "dict":
                if type(item) is not list or len(item) != 2:
                    raise Unreadable("a dict without pairs")
                self.value(item[0], depth + 1)
                self.value(item[1], depth + 1)
            else:
                self.value(item, depth + 1)

    def words(self, node: dict, depth: int) -> None:
        (key,) = {"dtype": ("name",), "bytes": ("hex",), "foreign": ("type",)}[node["k"]]
        if set(node) != {"k", key} or type(node[key]) is not str:
            raise Unreadable(f"a {node['k']} without its {key}")
        if node["k"] == "dtype" and node["name"] not in self.sizes:
            raise Unreadable("a dtype that torch does not have")

    def tensor(self, node: dict, depth: int = 0) -> None:
        meta, parameter = node.get("meta", True), node.get("parameter", True)
        held = {"meta"} if "meta" in node else {"data"}
        if set(node) - {"parameter"} != {"k", "dtype", "size"} | held or meta is not True or parameter is not True:
            raise Unreadable("a tensor that is described in another way")
        if type(node["dtype"]) is not str or node["dtype"] not in self.sizes:
            raise Unreadable("a dtype that torch does not have")
        size = elements(node["size"], "meta" in node) * self.sizes[node["dtype"]]
        if "meta" in node:
            return
        block = self.blocks.get(node["data"]) if type(node["data"]) is str else None
        if block != (_STORED_AS.get(node["dtype"], node["dtype"]), size):
            raise Unreadable("a tensor whose bytes are of another dtype, or of another number")
        self.used.add(node["data"])
        self.bytes += size
        if self.bytes > 2 * MAX_BYTES:  # tied weights name the same bytes more than once
            raise Unreadable(f"it is larger than {MAX_BYTES >> 20} MiB")

    def part(self, node: Any, depth: int) -> None:
        """A parameter, a buffer, or an inner tensor of a quantized one."""
        self.nodes += 1
        if self.nodes > MAX_NODES or depth > MAX_DEPTH:
            raise Unreadable("it has too many parts")
        if type(node) is dict and node.get("k") == "quantized":
            return self.quantized_tensor(node, depth + 1)
        if fits(node, {"foreign": str}):
            return None
        if not (type(node) is dict and set(node) == {"value", "storage", "bytes"} and type(node["value"]) is dict):
            raise Unreadable("a part of a model that is described in another way")
        if node["value"].get("k") != "tensor" or not (_count(node["storage"]) and _count(node["bytes"])):
            raise Unreadable("a part of a model that is described in another way")
        return self.tensor(node["value"])

    def quantized_tensor(self, node: dict, depth: int) -> None:
        if not fits(node, _QUANTIZED) or node["dtype"] not in self.sizes:
            raise Unreadable("a quantized tensor that is described in another way")
        elements(node["size"])
        for inner in node["inner"].values():
            self.part(inner, depth + 1)
        quantized.check(node)

    def model(self, node: dict, depth: int) -> None:
        if set(node) != {"k", "type", "modules", "parameters", "buffers"} or type(node["type"]) is not str:
            raise Unreadable("a model that is described in another way")
        if type(node["modules"]) is not list or len(node["modules"]) > MAX_NODES - self.nodes:
            raise Unreadable("it has too many parts")
        self.nodes += len(node["modules"])
        for one in node["modules"]:
            if not (type(one) is list and list(map(type, one)) == [str, str, bool]):
                raise Unreadable("a module that is described in another way")
        for one in self._listed(node["parameters"]) + self._listed(node["buffers"]):
            if set(one) != {"name", "object", "persistent", "of"} or not _count(one["object"]):
                raise Unreadable("a parameter that is described in another way")
            if type(one["name"]) is not str or type(one["persistent"]) is not bool:
                raise Unreadable("a parameter that is described in another way")
            self.part(one["of"], depth + 1)

    @staticmethod
    def _listed(value: Any) -> list[dict]:
        if type(value) is not list or any(type(one) is not dict for one in value):
            raise Unreadable("a model that is described in another way")
        return value


_KINDS: dict[str, Callable[[Checked, dict, int], None]] = {
    **dict.fromkeys(("list", "tuple", "set", "frozenset", "dict"), Checked.many),
    **dict.fromkeys(("dtype", "bytes", "foreign"), Checked.words),
    "tensor": Checked.tensor,
    "quantized": Checked.quantized_tensor,
    "model": Checked.model,
}


def elements(size: Any, meta: bool = False) -> int:
    """Return the number of elements of a shape. Raises Unreadable if it is none, or one that nothing here can have.

    A shape that is huge but for a dimension of 0 would take gigabytes as nested lists, or summed up.
    """
    if type(size) is not list or len(size) > MAX_DIMENSIONS or not all(_count(length) for length in size):
        raise Unreadable("a shape that no tensor has")
    if not meta and 0 in size and math.prod(max(length, 1) for length in size) > MAX_EMPTY:
        raise Unreadable("a tensor without elements, and of a huge shape")
    return math.prod(size)


def _count(value: Any) -> bool:
    return type(value) is int and 0 <= value < 1 << 48
