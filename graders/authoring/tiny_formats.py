"""Write the two tiny files of lesson 6, `python -m graders.authoring.tiny_formats`: matrices of the tiny T5 in other formats.

`mxfp4.safetensors` is made by the reference solutions in gpt-oss's layout, `tiny.gguf` by GGUF's maintainers' package `gguf`,
which quantizes to Q8_0 itself and only stores Q4_K: those codes are made here, in the plainest way. The files are committed; the
script stands here and not beside them, because it holds solutions.
"""

from __future__ import annotations

from pathlib import Path

import torch
from safetensors.torch import save_file
from torch import Tensor

from exercises.kit import checkpoints
from solutions.l6_number_formats import encode_e2m1, mx_quantize

_BLOCK = "encoder.block.0.layer.1.DenseReluDense"
_Q4_K_SOURCE = "encoder.block.1.layer.1.DenseReluDense.wo.weight"


def write(folder: Path = checkpoints.TINY_GGUF.parent) -> None:
    """Write both files into the folder."""
    folder.mkdir(parents=True, exist_ok=True)
    experts = torch.stack([checkpoints.t5_weights(f"{_BLOCK}.{name}.weight") for name in ("wi_0", "wi_1")])
    exponents, elements = mx_quantize(experts)
    codes = encode_e2m1(elements).unflatten(-1, (-1, 16, 2))
    blocks = codes[..., 0] | codes[..., 1] << 4
    name = "block.0.mlp.mlp1_weight"
    save_file({f"{name}.blocks": blocks, f"{name}.scales": exponents}, folder / checkpoints.TINY_MXFP4.name)
    _write_gguf(folder / checkpoints.TINY_GGUF.name)


def _write_gguf(path: Path) -> None:
    import gguf  # of the extra [dev]

    q8_0, q4_k = gguf.GGMLQuantizationType.Q8_0, gguf.GGMLQuantizationType.Q4_K
    writer = gguf.GGUFWriter(path, "tiny")
    source = checkpoints.t5_weights(checkpoints.Q8_0_SOURCE).numpy()
    writer.add_tensor("blk.0.ffn_down.weight", gguf.quants.quantize(source, q8_0), raw_dtype=q8_0)
    blocks = to_q4_k(checkpoints.t5_weights(_Q4_K_SOURCE))
    writer.add_tensor("blk.1.ffn_down.weight", blocks.numpy(), raw_dtype=q4_k)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()


def to_q4_k(matrix: Tensor) -> Tensor:
    """Return Q4_K blocks, uint8 (rows, 144 for every 256 columns): each run of 32 from its least to its largest value."""
    runs = matrix.reshape(-1, 8, 32)
    lows = (-runs.amin(-1)).clamp(min=0)
    steps = (runs.amax(-1) + lows) / 15
    d, dmin = (value.amax(-1, keepdim=True).div(63).half() for value in (steps, lows))
    s, m = ((value / unit.float()).round().clamp(0, 63).to(torch.uint8) for value, unit in ((steps, d), (lows, dmin)))
    step, low = (d.float() * s).clamp(min=1e-12), dmin.float() * m
    q = ((runs + low.unsqueeze(-1)) / step.unsqueeze(-1)).round().clamp(0, 15).to(torch.uint8)
    first = torch.cat([s[:, :4] | (s[:, 4:] >> 4) << 6, m[:, :4] | (m[:, 4:] >> 4) << 6], dim=1)
    last = (s[:, 4:] & 15) | (m[:, 4:] & 15) << 4
    pairs = q.reshape(-1, 4, 2, 32)
    codes = (pairs[:, :, 0] | pairs[:, :, 1] << 4).flatten(1)
    blocks = torch.cat([d.view(torch.uint8), dmin.view(torch.uint8), first, last, codes], dim=1)
    return blocks.reshape(len(matrix), -1)


if __name__ == "__main__":
    write()
