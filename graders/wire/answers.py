"""Answers of a worker, from bytes to values: checked as a whole, then built, once."""

from __future__ import annotations

import struct
from typing import Any

import safetensors.torch
from torch import Tensor

from graders.wire import codec, records, schema
from graders.wire.recipes import Unreadable
from graders.wire.schema import MAX_BYTES, MAX_TENSORS

MAX_HEADER = 200  # bytes of what safetensors says of one tensor
_HEADER = {"dtype": str, "shape": [int], "data_offsets": [int]}
_SIZES = {name: dtype.itemsize for name, dtype in records.DTYPES.items()}


def decode(data: bytes) -> Any:
    """Rebuild a value from bytes that come from a worker, where anybody may have written them. Raises Unreadable.

    Nothing is built before all of it was checked (see `schema`), and nothing is called that the bytes name.
    """
    try:
        (length,) = struct.unpack_from("<I", data)
        tree = schema.parsed(data[4 : 4 + length])
        body = data[4 + length :]
        tensors = load_tensors(body) if body else {}
        blocks = {key: (str(one.dtype)[6:], one.numel() * one.element_size()) for key, one in tensors.items()}
        schema.Checked(blocks, _SIZES).check(tree)
        return codec.Decoder(tensors).decode(tree)
    except Unreadable:
        raise
    except Exception as error:
        raise Unreadable(f"{type(error).__name__} while reading it") from error


def length_of_tree(head: bytes) -> int:
    """Return how long the tree of an answer says it is, of its first four bytes."""
    return struct.unpack("<I", head)[0] if len(head) == 4 else 0


def load_tensors(content: bytes) -> dict[str, Tensor]:
    """Return the tensors of a safetensors file, by name. Raises Unreadable before too many or too large ones are made."""
    try:
        (length,) = struct.unpack_from("<Q", content)
        if len(content) - length > 8 + MAX_BYTES:
            raise Unreadable(f"it is larger than {MAX_BYTES >> 20} MiB")
        told = schema.parsed(content[8 : 8 + length], MAX_HEADER * MAX_TENSORS)
        described = {name: one for name, one in told.items() if name != "__metadata__"}
        if not schema.fits(described, {str: _HEADER}) or len(described) > MAX_TENSORS:
            raise Unreadable("it has too many parts")
        for one in described.values():
            schema.elements(one["shape"])
        return safetensors.torch.load(content)
    except Unreadable:
        raise
    except Exception as error:
        raise Unreadable(f"{type(error).__name__} while reading it") from error
