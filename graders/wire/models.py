"""Models as data, as the worker sends them: every module, parameter and buffer of an `nn.Module`, and every inner tensor of a
quantized weight.

torch's own tables are read with unbound functions, so that a subclass that overrides `named_parameters`, `state_dict` or
`__getattr__` changes nothing.
"""

from __future__ import annotations

from typing import Any, Protocol

import torch
from torch import Tensor

from graders.wire.records import quantized_types

MAX_MODULES = 20_000
_read = object.__getattribute__


class Blocks(Protocol):
    """Where the bytes of tensors go."""

    def block(self, value: Tensor) -> str: ...


class _Storages:
    """Number storages and objects by order of appearance; holds them, so that no address is used twice."""

    def __init__(self, encoder: Blocks) -> None:
        self.encoder = encoder
        self.numbers: dict[Any, int] = {}
        self.nodes: dict[Any, dict] = {}
        self.keep: list[Any] = []

    def number(self, key: Any, value: Any) -> int:
        self.keep.append(value)
        return self.numbers.setdefault(key, len(self.numbers))

    def plain(self, tensor: Tensor) -> dict:
        """Encode a plain tensor once per place in storage, with its storage's number and size in bytes."""
        meta = tensor.device.type == "meta"
        key: Any
        if meta:
            key, size = ("meta", id(tensor)), tensor.numel() * tensor.element_size()
        else:
            storage = tensor.untyped_storage()
            size = storage.nbytes()
            key = ("storage", storage.data_ptr()) if size else ("empty", id(tensor))
        place = (key, tensor.storage_offset(), tuple(tensor.shape), tensor.stride(), tensor.dtype)
        if place not in self.nodes:
            node: dict[str, Any] = {"k": "tensor", "dtype": str(tensor.dtype)[6:], "size": list(tensor.shape)}
            node |= {"meta": True} if meta else {"data": self.encoder.block(tensor)}
            self.nodes[place] = node
        return {"value": self.nodes[place], "storage": self.number(key, tensor), "bytes": size}

    def any(self, tensor: Tensor, depth: int) -> dict:
        node = encode_quantized(tensor, self.encoder, depth, self)
        if node is not None:
            return node
        if tensor.layout is not torch.strided:
            return {"foreign": f"Tensor with layout {tensor.layout}"}
        if type(tensor) in (Tensor, torch.nn.Parameter, torch.nn.Buffer):
            return self.plain(tensor)
        return {"foreign": f"{type(tensor).__module__}.{type(tensor).__qualname__}"[:80]}


def encode_quantized(tensor: Tensor, encoder: Blocks, depth: int, storages: _Storages | None = None) -> dict | None:
    """Encode a quanto tensor by its inner tensors; None for any other tensor."""
    kind: Any = type(tensor)
    if kind not in quantized_types() or depth > 10:
        return None
    storages = storages or _Storages(encoder)
    names, meta = kind.__tensor_flatten__(tensor)
    inner = {str(name): storages.any(_read(tensor, name), depth + 1) for name in names}
    own = _read(tensor, "__dict__")
    qtype, axis = own.get("_qtype"), own.get("_axis")
    return {
        "k": "quantized",
        "type": kind.__qualname__,
        "qtype": getattr(qtype, "name", None),
        "axis": axis if type(axis) is int else None,
        "dtype": str(tensor.dtype)[6:],
        "size": list(tensor.shape),
        "inner": inner,
        "meta": {str(key): str(value) for key, value in meta.items()},
    }


def _walk(root: torch.nn.Module) -> list[tuple[str, torch.nn.Module]]:
    """Return (qualified name, module) for every path below root, in registration order; cycles end."""
    found: list[tuple[str, torch.nn.Module]] = []
    stack: list[tuple[str, torch.nn.Module, tuple[int, ...]]] = [("", root, ())]
    while stack:
        name, module, above = stack.pop()
        if len(found) > MAX_MODULES:
            raise ValueError("the model has too many modules")
        found.append((name, module))
        children = [
            (f"{name}.{key}" if name else str(key), child, (*above, id(module)))
            for key, child in dict.items(_read(module, "__dict__")["_modules"])
            if child is not None and id(child) not in (*above, id(module))
        ]
        stack += reversed(children)
    return found


def encode(model: torch.nn.Module, encoder: Blocks) -> dict:
    """Describe a model as a JSON node; the bytes go into the encoder's block."""
    storages = _Storages(encoder)
    node: dict[str, Any] = {"k": "model", "type": _class_name(model), "modules": [], "parameters": [], "buffers": []}
    for name, module in _walk(model):
        own = _read(module, "__dict__")
        node["modules"].append([name, _class_name(module), bool(own.get("training"))])
        unsaved = own.get("_non_persistent_buffers_set") or ()
        for table, target in (("_parameters", "parameters"), ("_buffers", "buffers")):
            for key, tensor in dict.items(own[table]):
                if tensor is None:
                    continue
                entry = {
                    "name": f"{name}.{key}" if name else str(key),
                    "object": storages.number(("object", id(tensor)), tensor),
                }
                entry["persistent"] = key not in unsaved
                node[target].append(entry | {"of": storages.any(tensor, 0)})
    return node


def _class_name(module: torch.nn.Module) -> str:
    return f"{type(module).__module__}.{type(module).__qualname__}"[:200]
