"""As `warmup`, for the lessons on methods: the tiny Llama instead of the T5 and the BLIP, so that no lesson waits for others."""

import optimum.quanto as quanto
import torch

from exercises.kit import models
from exercises.kit.unpacking import unpack_in_torch


def _use() -> None:
    unpack_in_torch()
    batch = models.number_lines([1])
    for weights, activations in (("qint4", None), ("qint8", "qint8")):
        llama, _ = models.tiny_llama()
        quanto.quantize(llama, weights=weights, activations=activations)
        with torch.no_grad(), quanto.Calibration():
            llama(**batch)
        quanto.freeze(llama)
        with torch.no_grad():
            llama(**batch)


_use()
