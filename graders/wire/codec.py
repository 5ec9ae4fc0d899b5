"""Values as bytes: a JSON tree whose tensors travel in one safetensors block. Never pickle.

Both sides use this module: the judge encodes arguments and decodes answers, the worker the other way round. Arguments keep
strides, views and identity (one tensor given twice stays one tensor); answers arrive contiguous and detached. Whatever is no
data (an object of a foreign type, a tensor subclass) arrives as a `Foreign` that only knows its type's name.

Everything is read through the real type with unbound functions bound here, at import, so that a subclass that overrides
`__iter__`, `__eq__` or `__torch_function__` changes nothing.
"""

from __future__ import annotations

import json
import struct
from typing import Any

import safetensors.torch
import torch
from safetensors import TensorSpec, serialize
from torch import Tensor

from exercises.kit.checking.showing import Foreign, is_freed, span
from graders.wire import models, records
from graders.wire.recipes import Recipe, Unreadable, cook
from graders.wire.schema import MAX_BYTES, MAX_NODES, MAX_TENSORS, MAX_TREE

MAX_DEPTH = 40

_serialize, _spec, _load = serialize, TensorSpec, safetensors.torch.load
_dumps, _loads = json.dumps, json.loads
_flat = torch.Tensor.as_strided
_detach, _contiguous, _address = torch.Tensor.detach, torch.Tensor.contiguous, torch.Tensor.data_ptr

_BASES = (list, tuple, dict, bool, int, float, str, bytes, set, frozenset)
_NO_SAFETENSORS = (torch.complex64, torch.complex128)
_MARGIN = 16  # elements on either side of an argument; bytes may be read as a wider dtype, so a power of two


# Encoding


class Encoder:
    """Turn one value into a JSON tree and the tensors it refers to."""

    def __init__(self, strided: bool) -> None:
        self.strided = strided
        self.tensors: dict[str, Tensor] = {}
        self.seen: dict[int, Any] = {}
        self.keep: list[Any] = []
        self.nodes = 0
        self.bytes = 0

    def encode(self, value: Any, depth: int = 0) -> Any:
        self.nodes += 1
        if depth > MAX_DEPTH:
            raise Unreadable("it is nested too deeply, or contains itself")
        if self.nodes > MAX_NODES:
            raise Unreadable("it has too many parts")
        kind = type(value)
        if value is None or kind is bool or kind is int or kind is float or kind is str:
            return value
        if issubclass(kind, Tensor):
            return self.tensor(value, depth)
        if kind is torch.dtype:
            return {"k": "dtype", "name": str(value)[6:]}
        if kind is Recipe:
            return self._once(value, self._recipe, depth)
        if issubclass(kind, torch.nn.Module):
            return models.encode(value, self)
        return self._builtin(value, kind, depth)

    def _builtin(self, value: Any, kind: type, depth: int) -> Any:
        for base in _BASES:
            if not issubclass(kind, base):
                continue
            if base is bool or base is int:
                return int.__index__(value)
            if base is float:
                return float.__float__(value)
            if base is str:
                return str.__str__(value)
            if base is bytes:
                return {"k": "bytes", "hex": bytes.hex(value)}
            if base is dict:
                pairs = [[self.encode(key, depth + 1), self.encode(item, depth + 1)] for key, item in dict.items(value)]
                return {"k": "dict", "of": pairs, "exact": kind is dict}
            items = [self.encode(item, depth + 1) for item in base.__iter__(value)]  # type: ignore[union-attr]
            return {"k": base.__name__, "of": items}
        return {"k": "foreign", "type": _type_name(kind)}

    def _recipe(self, recipe: Recipe, depth: int) -> dict:
        return {
            "k": "recipe",
            "name": recipe.name,
            "args": self.encode(list(recipe.args), depth + 1),
            "kwargs": self.encode(recipe.kwargs, depth + 1),
        }

    def _once(self, value: Any, encode: Any, depth: int) -> Any:
        """Encode an object at its first appearance and refer to it afterwards."""
        if id(value) in self.seen:
            return {"k": "again", "id": self.seen[id(value)]}
        self.seen[id(value)] = len(self.seen)
        self.keep.append(value)
        node = encode(value, depth)
        node["id"] = self.seen[id(value)]
        return node

    def tensor(self, value: Tensor, depth: int = 0) -> dict:
        kind = type(value)
        if kind is not Tensor and kind is not torch.nn.Parameter:
            inner = models.encode_quantized(value, self, depth)
            return inner if inner is not None else {"k": "foreign", "type": _type_name(kind)}
        return self._once(value, self._plain, depth) if self.strided else self._plain(value, depth)

    def _plain(self, value: Tensor, depth: int = 0) -> dict:
        if value.layout is not torch.strided:
            return {"k": "foreign", "type": f"Tensor with layout {value.layout}"}
        if value.is_quantized:  # torch's own, as of torch.quantize_per_tensor
            return {"k": "foreign", "type": f"Tensor of {value.dtype}"}
        node: dict[str, Any] = {"k": "tensor", "dtype": str(value.dtype)[6:], "size": list(value.shape)}
        if self.strided:
            node["stride"] = list(value.stride())
            node["grad"] = value.requires_grad
        if type(value) is torch.nn.Parameter:  # isinstance can be bent by a metaclass
            node["parameter"] = True
        if value.device.type == "meta":
            node["meta"] = True
            return node
        node["data"] = self.block(value)
        return node

    def block(self, value: Tensor) -> str:
        """Put the bytes of a tensor into the safetensors block and return its key."""
        plain = _detach(value)
        if is_freed(plain):
            raise Unreadable("a tensor has lost its numbers")
        if plain.is_conj() or plain.is_neg():
            plain = plain.resolve_conj().resolve_neg()
        if self.strided:
            plain = _flat(plain, (span(plain),), (1,), plain.storage_offset())
        else:
            self.bytes += plain.numel() * plain.element_size()
            if self.bytes > MAX_BYTES:
                raise Unreadable(f"it is larger than {MAX_BYTES >> 20} MiB")
        if plain.dtype in _NO_SAFETENSORS:
            plain = torch.view_as_real(plain)
        key = str(len(self.tensors))
        self.tensors[key] = _contiguous(plain)
        return key

    def blocks(self) -> bytes:
        """Return the safetensors block; `safetensors.torch.save` first checks at length what holds here anyway."""
        if not self.tensors:
            return b""
        specs = {
            key: _spec(
                dtype=str(tensor.dtype)[6:],
                shape=tensor.shape,
                data_ptr=_address(tensor),
                data_len=tensor.numel() * tensor.element_size(),
            )
            for key, tensor in self.tensors.items()
        }
        return bytes(_serialize(specs))


def _type_name(kind: type) -> str:
    name = f"{kind.__module__}.{kind.__qualname__}"
    return str(name).removeprefix("builtins.").removeprefix("__main__.")[:80]


def encode(value: Any, strided: bool = False) -> bytes:
    """Return a value as bytes; `strided` keeps strides and identities (for arguments). Raises Unreadable."""
    encoder = Encoder(strided)
    try:
        header = _dumps(encoder.encode(value), separators=(",", ":")).encode()
    except (ValueError, RecursionError, OverflowError) as error:
        raise Unreadable(str(error)[:120]) from None
    if not strided and (len(header) > MAX_TREE or len(encoder.tensors) > MAX_TENSORS):
        raise Unreadable("it has too many parts")
    return struct.pack("<I", len(header)) + header + encoder.blocks()


# Decoding


class Decoder:
    """Rebuild a value from its tree and tensors."""

    def __init__(self, tensors: dict[str, Tensor]) -> None:
        self.tensors = tensors
        self.made: dict[int, Any] = {}

    def decode(self, node: Any) -> Any:
        if not isinstance(node, dict):
            if isinstance(node, list):
                raise Unreadable("a list where a value was due")
            return node
        kind = node["k"]
        if kind == "again":
            return self.made[node["id"]]
        made = self._make(kind, node)
        if "id" in node:
            self.made[node["id"]] = made
        return made

    def _make(self, kind: str, node: dict) -> Any:
        if kind == "tensor":
            return self.tensor(node)
        if kind == "dtype":
            return records.DTYPES[node["name"]]
        if kind == "dict":
            return {self._key(key): self.decode(item) for key, item in node["of"]}
        if kind in ("list", "tuple", "set", "frozenset"):
            items = [self._key(item) if "set" in kind else self.decode(item) for item in node["of"]]
            return {"list": list, "tuple": tuple, "set": set, "frozenset": frozenset}[kind](items)
        if kind == "bytes":
            return bytes.fromhex(node["hex"])
        if kind == "foreign":
            return Foreign("".join(filter(str.isprintable, str(node["type"])))[:80])
        if kind == "recipe":
            return cook(node["name"], self.decode(node["args"]), self.decode(node["kwargs"]))
        if kind == "model":
            return records.decode_model(node, self)
        if kind == "quantized":
            return records.decode_quantized(node, self)
        raise Unreadable(f"an unknown kind of value: {kind!r:.40}")

    def _key(self, node: Any) -> Any:
        key = self.decode(node)
        try:
            hash(key)
        except TypeError:
            raise Unreadable("a key that cannot be hashed") from None
        return key

    def tensor(self, node: dict) -> Tensor:
        dtype, size = records.DTYPES[node["dtype"]], [int(n) for n in node["size"]]
        if node.get("meta"):
            if "stride" in node:
                return torch.empty_strided(size, node["stride"], dtype=dtype, device="meta")
            return torch.empty(size, dtype=dtype, device="meta")
        block = self.tensors[node["data"]]
        if dtype in _NO_SAFETENSORS:
            block = torch.view_as_complex(block)
        if block.dtype != dtype:
            raise Unreadable("a tensor whose bytes are of another dtype")
        made = _inside(block).as_strided(size, node["stride"]) if "stride" in node else block.reshape(size)
        if node.get("grad"):
            made.requires_grad_(True)
        return (
            torch.nn.Parameter(made, requires_grad=bool(node.get("grad")))
            if node.get("parameter") and "stride" in node
            else made
        )


class _Told(Decoder):
    """Leaves recipes as they are named."""

    def _make(self, kind: str, node: dict) -> Any:
        if kind == "recipe":
            return Recipe(node["name"], tuple(self.decode(node["args"])), self.decode(node["kwargs"]))
        return super()._make(kind, node)


def called(call: bytes) -> str:
    """Return the name of the function that a call encoded here is for."""
    return _loads(call[4 : 4 + struct.unpack_from("<I", call)[0]])["of"][0]


def arguments(call: bytes) -> list[Any]:
    """Return a call encoded here as it was made: name, probe, arguments, those by name; recipes are not cooked."""
    return decode(call, _Told)


def _inside(block: Tensor) -> Tensor:
    """Return a block as a slice of a larger storage: an argument has its elements, whoever counts or reads the storage errs."""
    count = block.numel()
    storage = block.new_ones(count + 2 * _MARGIN)
    storage[_MARGIN : _MARGIN + count] = block.reshape(-1)
    return storage[_MARGIN : _MARGIN + count]


def decode(data: bytes, decoder: type[Decoder] = Decoder) -> Any:
    """Rebuild a value from bytes that `encode` made. Raises Unreadable for anything that is not well formed."""
    try:
        (length,) = struct.unpack_from("<I", data)
        node = _loads(data[4 : 4 + length])
        body = data[4 + length :]
        return decoder(_load(body) if body else {}).decode(node)
    except Unreadable:
        raise
    except Exception as error:
        raise Unreadable(f"{type(error).__name__} while reading it") from error
