"""Tensors that cannot be sent as they are: what is sent arrives in a storage of its own size."""

import torch
from torch import Tensor


def inside(values: Tensor) -> Tensor:
    """Return a contiguous tensor with these values that is a slice of a larger storage, with other numbers around it."""
    count = values.numel()
    storage = torch.full((3 * count + 7,), 77, dtype=torch.float32).to(values.dtype)
    return storage[count + 2 : 2 * count + 2].copy_(values.flatten()).view(values.shape)
