"""Tensors that cannot be sent as they are: what is sent arrives in a storage of its own size."""

import torch
from torch import Tensor, nn


def inside(values: Tensor) -> Tensor:
    """Return a contiguous tensor with these values that is a slice of a larger storage, with other numbers around it."""
    count = values.numel()
    storage = torch.full((3 * count + 7,), 77, dtype=torch.float32).to(values.dtype)
    return storage[count + 2 : 2 * count + 2].copy_(values.flatten()).view(values.shape)


def inside_each(model: nn.Module) -> nn.Module:
    """Return the model, each of whose parameters and buffers is now a slice of a larger storage of its own."""
    for tensor in [*model.parameters(), *model.buffers()]:
        tensor.data = inside(tensor.data)
    return model
