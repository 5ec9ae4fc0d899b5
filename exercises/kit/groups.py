"""Rounding in groups of neighbours, as lesson 5 derives it: here only what comes back, for methods that build on it."""

import torch
from torch import Tensor


def symmetric(weight: Tensor, group_size: int, bits: int = 4) -> Tensor:
    """Quantize and dequantize a float matrix with one symmetric scale for `group_size` neighbours of a row.

    Codes are -(2**(bits-1) - 1) to 2**(bits-1) - 1, rounded half to even; shape and dtype stay. ValueError if a row is no
    whole number of groups.
    """
    groups = _groups(weight, group_size)
    largest_code = 2 ** (bits - 1) - 1
    scales = groups.abs().amax(-1, keepdim=True) / largest_code
    scales = torch.where(scales > 0, scales, 1.0)
    return (torch.round(groups / scales).clamp(-largest_code, largest_code) * scales).reshape(weight.shape)


def affine(tensor: Tensor, group_size: int, bits: int = 4) -> Tensor:
    """Quantize and dequantize a float matrix with a scale and a minimum for `group_size` neighbours of a row.

    Codes are 0 to 2**bits - 1 on the group's own range, which need not hold 0; shape and dtype stay, and a constant group comes
    back exactly. ValueError if a row is no whole number of groups.
    """
    groups = _groups(tensor, group_size)
    low = groups.amin(-1, keepdim=True)
    scales = (groups.amax(-1, keepdim=True) - low) / (2**bits - 1)
    steps = torch.where(scales > 0, scales, 1.0)
    return (torch.round((groups - low) / steps) * scales + low).reshape(tensor.shape)


def _groups(matrix: Tensor, group_size: int) -> Tensor:
    rows, columns = matrix.shape
    if group_size < 1 or columns % group_size:
        raise ValueError(f"rows of {columns} are no whole number of groups of {group_size}")
    return matrix.reshape(rows, columns // group_size, group_size)
