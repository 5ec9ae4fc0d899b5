"""Models as plain data, as the judge gets them. What is counted and compared in them is the judge's (`judge.records`)."""

from __future__ import annotations

import importlib
import sys
from dataclasses import dataclass, field
from typing import Any, Protocol

import torch
from torch import Tensor

DTYPES = {str(value)[6:]: value for value in vars(torch).values() if isinstance(value, torch.dtype)}
_TENSORS_OF_QUANTO = "optimum.quanto.tensor."
_found: list[Any] = []


@dataclass
class ModuleRecord:
    """One module: its class's qualified name and its training flag."""

    type: str
    training: bool


@dataclass
class TensorRecord:
    """One parameter or buffer. `storage` numbers the storages of the model; tensors that share one have the same number."""

    tensor: Tensor
    storage: int
    storage_bytes: int
    persistent: bool = True


@dataclass
class QuantizedRecord:
    """A quantized weight: qtype, outward dtype and shape, and its inner tensors by name (nested for packed ones)."""

    type: str
    qtype: str | None
    axis: int | None
    dtype: torch.dtype
    shape: tuple[int, ...]
    inner: dict[str, Any]
    meta: dict[str, str] = field(default_factory=dict)


@dataclass
class ModelRecord:
    """A model as data. Names are qualified as in `named_modules`, `named_parameters`, `named_buffers`, in their order.

    A tensor that stands under several names is listed under each; `identities` has the same number for them.
    """

    type: str
    modules: dict[str, ModuleRecord]
    parameters: dict[str, TensorRecord | QuantizedRecord]
    buffers: dict[str, TensorRecord | QuantizedRecord]
    identities: dict[str, int]


def quantized_types() -> list[Any]:
    """Return quanto's tensor classes, if quanto is loaded; looked up once, in the zygote before any student code ran."""
    if not _found and "optimum.quanto" in sys.modules:
        importlib.import_module("optimum.quanto.tensor.weights.tinygemm")  # which quanto itself imports late
        for name in [name for name in sys.modules if name.startswith(_TENSORS_OF_QUANTO)]:
            own = [kind for kind in vars(sys.modules[name]).values() if getattr(kind, "__module__", "") == name]
            _found.extend(kind for kind in own if hasattr(kind, "__tensor_flatten__"))
    return _found


class Tensors(Protocol):
    """Where the tensors of an answer are found."""

    def tensor(self, node: dict) -> Tensor: ...


def _record(node: dict, decoder: Tensors, persistent: bool = True) -> Any:
    if node.get("k") == "quantized":
        return decode_quantized(node, decoder)
    if "foreign" in node:
        raise ValueError(f"the model holds {node['foreign']}")
    return TensorRecord(decoder.tensor(node["value"]), int(node["storage"]), int(node["bytes"]), persistent)


def decode_quantized(node: dict, decoder: Tensors) -> QuantizedRecord:
    """Rebuild the record of a quantized weight."""
    inner = {name: _record(item, decoder) for name, item in node["inner"].items()}
    shape = tuple(int(n) for n in node["size"])
    return QuantizedRecord(node["type"], node["qtype"], node["axis"], DTYPES[node["dtype"]], shape, inner, node["meta"])


def decode_model(node: dict, decoder: Tensors) -> ModelRecord:
    """Rebuild the record of a model."""
    tables: dict[str, dict] = {}
    identities: dict[str, int] = {}
    for target in ("parameters", "buffers"):
        tables[target] = {e["name"]: _record(e["of"], decoder, e["persistent"]) for e in node[target]}
        identities |= {e["name"]: int(e["object"]) for e in node[target]}
    modules = {name: ModuleRecord(kind, training) for name, kind, training in node["modules"]}
    return ModelRecord(node["type"], modules, tables["parameters"], tables["buffers"], identities)
