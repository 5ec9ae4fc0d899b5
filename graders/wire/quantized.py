"""Whether a quantized tensor that a worker describes can be what it claims to be, before anything is rebuilt from it.

quanto rebuilds its tensors from inner tensors and from texts (`__tensor_flatten__`), and evaluates those texts; a scale that is
broadcast against codes can be a thousand times larger than both. So the texts must be those that belong to the node's own
shape, and the inner tensors must have the sizes that quanto gives them (quanto 0.2.7: tensor/weights/qbytes.py, qbits.py,
tensor/packed.py, tensor/grouped.py).
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable
from typing import Any

from graders.wire.recipes import Unreadable

MAX_TINYGEMM = 2048  # rows and columns: it is unpacked by a product with a matrix of that many columns squared
_QTYPES = {"qint2", "qint4", "qint8", "qfloat8", "qfloat8_e4m3fn", "qfloat8_e4m3fnuz", "qfloat8_e5m2"}
_STRIDES = re.compile(r"[\[(](?:\d{1,15}(?:, \d{1,15})*,?)?[\])]")
_GROUPS = re.compile(r"None|[1-9]\d{0,6}")


def check(node: dict[str, Any]) -> None:
    """Raise Unreadable unless the described tensor's texts and inner sizes belong to its shape."""
    right = _CHECKS.get(node["type"])
    if right is None or not _texts(node) or not right(node):
        raise Unreadable("a quantized tensor whose parts do not belong to its shape")


def _texts(node: dict[str, Any]) -> bool:
    told = dict(node["meta"])
    sizes = told.pop("size", None) == str(node["size"]) and bool(_STRIDES.fullmatch(told.pop("stride", "")))
    if node["type"].endswith("PackedTensor"):
        return sizes and (node["qtype"], node["axis"]) == (None, None) and set(told) <= {"bits"}
    sizes = sizes and node["qtype"] in _QTYPES and told.pop("qtype", None) == node["qtype"]
    if "axis" in told:
        sizes = sizes and node["axis"] in (0, -1, None) and told.pop("axis") == str(node["axis"])
    groups = _GROUPS.fullmatch(told.pop("group_size", "None"))
    return sizes and bool(groups) and told in ({}, *({"activation_qtype": name} for name in ("none", *_QTYPES)))


def _inner(node: dict[str, Any], *names: str) -> list[Any] | None:
    """Return the sizes of the inner tensors, None unless they are plain ones of these names."""
    if set(node["inner"]) != set(names):
        return None
    parts = [node["inner"][name].get("value") for name in names]
    return None if None in parts else [part["size"] for part in parts]


def _broadcasts(size: list[int], onto: list[int]) -> bool:
    """Whether a shape is spread over another one without making it larger."""
    return len(size) <= len(onto) and all(one in (1, whole) for one, whole in zip(size[::-1], onto[::-1], strict=False))


def _codes_of_bytes(node: dict[str, Any]) -> bool:
    sizes = _inner(node, "_data", "_scale")
    return sizes is not None and sizes[0] == node["size"] and _broadcasts(sizes[1], sizes[0])


def _codes_of_bits(node: dict[str, Any]) -> bool:
    packed = node["inner"].get("_data", {})
    rest = {**node, "inner": {name: part for name, part in node["inner"].items() if name != "_data"}}
    sizes = _inner(rest, "_scale", "_shift")
    if sizes is None or packed.get("type") != "PackedTensor":
        return False
    whole = packed["size"]
    return math.prod(whole) == math.prod(node["size"]) and all(_broadcasts(size, whole) for size in sizes)


def _packed(node: dict[str, Any]) -> bool:
    sizes, bits = _inner(node, "_data"), node["meta"].get("bits")
    if sizes is None or bits not in ("2", "4") or not node["size"]:
        return False
    rows = -(-node["size"][0] * int(bits) // 8)
    return node["dtype"] == "uint8" and sizes[0] == [rows, *node["size"][1:]]


def _small_matrix(node: dict[str, Any]) -> bool:
    return len(node["size"]) == 2 and max(node["size"]) <= MAX_TINYGEMM


def _tinygemm(node: dict[str, Any]) -> bool:
    packed, scales = node["inner"].get("_data", {}), node["inner"].get("_scale_shift", {}).get("value")
    if set(node["inner"]) != {"_data", "_scale_shift"} or packed.get("type") != "TinyGemmPackedTensor" or not scales:
        return False
    same = math.prod(packed["size"]) == math.prod(node["size"])
    return same and _small_matrix(node) and math.prod(scales["size"]) <= 2 * math.prod(node["size"])


_CHECKS: dict[str, Callable[[dict[str, Any]], bool]] = {
    "WeightQBytesTensor": _codes_of_bytes,
    "ActivationQBytesTensor": _codes_of_bytes,
    "WeightQBitsTensor": _codes_of_bits,
    "PackedTensor": _packed,
    "TinyGemmWeightQBitsTensor": _tinygemm,
    "TinyGemmPackedTensor": lambda node: _inner(node, "_data") is not None and _small_matrix(node),
}
