"""The bytes of checkpoints, for lesson 6: gpt-oss's layout, GGUF files, and the tiny T5's weights; nothing is decoded here.

The tiny files in `exercises/models/tiny_formats` are read unless an environment variable names another: GPT_OSS_CHECKPOINT a
safetensors file of gpt-oss or a folder of them, GGUF_FILE a GGUF file.
"""

import os
import struct
from collections.abc import Iterator
from pathlib import Path
from typing import Any, BinaryIO

import torch
from torch import Tensor

_MODELS = Path(__file__).resolve().parent.parent / "models"
TINY_GGUF = _MODELS / "tiny_formats" / "tiny.gguf"
TINY_MXFP4 = _MODELS / "tiny_formats" / "mxfp4.safetensors"
Q8_0_SOURCE = "encoder.block.0.layer.1.DenseReluDense.wo.weight"
"""The matrix of the tiny T5 that the tiny GGUF file holds as Q8_0."""

_TYPES = {  # of GGUF: number -> name, values in a block, bytes of a block
    0: ("F32", 1, 4), 1: ("F16", 1, 2), 30: ("BF16", 1, 2), 2: ("Q4_0", 32, 18), 3: ("Q4_1", 32, 20),
    6: ("Q5_0", 32, 22), 7: ("Q5_1", 32, 24), 8: ("Q8_0", 32, 34), 10: ("Q2_K", 256, 84), 11: ("Q3_K", 256, 110),
    12: ("Q4_K", 256, 144), 13: ("Q5_K", 256, 176), 14: ("Q6_K", 256, 210), 39: ("MXFP4", 32, 17),
}  # fmt: skip
_NUMBERS = {0: "B", 1: "b", 2: "H", 3: "h", 4: "I", 5: "i", 6: "f", 7: "?", 10: "Q", 11: "q", 12: "d"}


def t5_weights(name: str | None = None) -> Tensor:
    """Return one matrix of the tiny T5 by name, or all of its Linear weights in one float32 matrix of 256 columns."""
    from safetensors.torch import load_file

    tensors = load_file(_MODELS / "tiny_t5" / "model.safetensors")
    if name is not None:
        return tensors[name]
    wide = [tensors[key] for key in sorted(tensors) if tensors[key].dim() == 2 and tensors[key].numel() % 4096 == 0]
    return torch.cat([matrix.reshape(-1, 256) for matrix in wide])


def mxfp4_tensors() -> tuple[str, Tensor, Tensor]:
    """Return the name, blocks and scales of the first MXFP4 tensor that is found, of its first expert only.

    Raises FileNotFoundError if there is none.
    """
    from safetensors import safe_open

    for path in _safetensors_files(Path(os.environ.get("GPT_OSS_CHECKPOINT") or TINY_MXFP4).expanduser()):
        with safe_open(path, framework="pt") as file:
            names = set(file.keys())
            for name in sorted(names):
                scales = name.removesuffix("blocks") + "scales"
                if name.endswith("blocks") and scales in names:
                    return name[: -len("blocks") - 1], file.get_slice(name)[:1], file.get_slice(scales)[:1]
    raise FileNotFoundError("GPT_OSS_CHECKPOINT names no safetensors file with a pair of blocks and scales")


def _safetensors_files(path: Path) -> list[Path]:
    return sorted(path.glob("*.safetensors")) if path.is_dir() else [path]


def gguf_tensors(path: str | Path | None = None) -> dict[str, tuple[str, tuple[int, ...], Tensor]]:
    """Return the tensors of a GGUF file: name -> type, shape, and bytes as uint8 (blocks, bytes of a block).

    path: None takes GGUF_FILE, and without that the tiny file. Bytes are mapped, and read when they are used; tensors of types that
    are not known here are left out. Raises ValueError if it is no GGUF file of version 2 or 3.
    """
    import numpy

    path = Path(path or os.environ.get("GGUF_FILE") or TINY_GGUF).expanduser()
    with path.open("rb") as file:
        if file.read(4) != b"GGUF" or _number(file, "I") not in (2, 3):
            raise ValueError(f"{path.name} is no GGUF file of version 2 or 3")
        tensor_count, pair_count = _number(file, "Q"), _number(file, "Q")
        metadata = {_text(file): _value(file, _number(file, "I")) for _ in range(pair_count)}
        infos = [_info(file) for _ in range(tensor_count)]
        alignment = metadata.get("general.alignment", 32)
        start = -(-file.tell() // alignment) * alignment
    content = numpy.memmap(path, dtype=numpy.uint8, mode="c")  # copy on write: the file never changes
    return dict(_mapped(torch.from_numpy(content), start, infos))


def _mapped(content: Tensor, start: int, infos: list[tuple]) -> Iterator[tuple[str, tuple]]:
    for name, shape, kind, offset in infos:
        if kind in _TYPES:
            label, values, size = _TYPES[kind]
            count = torch.Size(shape).numel() // values
            first = start + offset
            yield name, (label, shape, content[first : first + count * size].reshape(count, size))


def gguf_blocks(kind: str, path: str | Path | None = None) -> Tensor:
    """Return the blocks of the first tensor of a type ("Q8_0", "Q4_K"), uint8 (blocks, bytes of a block).

    Raises KeyError if the file has none.
    """
    for label, _, blocks in gguf_tensors(path).values():
        if label == kind:
            return blocks
    raise KeyError(f"the GGUF file has no tensor of type {kind}")


def _number(file: BinaryIO, code: str) -> Any:
    return struct.unpack("<" + code, file.read(struct.calcsize("<" + code)))[0]


def _text(file: BinaryIO) -> str:
    return file.read(_number(file, "Q")).decode()


def _value(file: BinaryIO, kind: int) -> Any:
    if kind == 8:
        return _text(file)
    if kind == 9:
        inner, count = _number(file, "I"), _number(file, "Q")
        return [_value(file, inner) for _ in range(count)]
    return _number(file, _NUMBERS[kind])


def _info(file: BinaryIO) -> tuple[str, tuple[int, ...], int, int]:
    name, dimensions = _text(file), _number(file, "I")
    shape = tuple(_number(file, "Q") for _ in range(dimensions))[::-1]  # GGUF counts the last axis first
    return name, shape, _number(file, "I"), _number(file, "Q")
