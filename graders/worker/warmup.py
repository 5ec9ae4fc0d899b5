"""Imported by a zygote for lessons with models: uses each library once, so that no worker pays for its first use.

transformers and quanto import most of themselves when something is first called. The models used here are those that every
student has; nothing of the hidden tests is touched.
"""

import optimum.quanto as quanto
import torch

from exercises.kit import models, scenes


def _use() -> None:
    t5, tokenizer = models.tiny_t5()
    blip, processor = models.tiny_blip()
    with torch.no_grad():
        t5.generate(**tokenizer("translate number to words: 1", return_tensors="pt"), max_new_tokens=2)
        image, _ = scenes.scene(0)
        blip.generate(**processor(images=image, return_tensors="pt"), max_new_tokens=2)
    layers = torch.nn.Sequential(torch.nn.Linear(16, 16), torch.nn.Conv2d(16, 16, 1))
    quanto.quantize(layers, weights="qint4", activations="qint8")
    quanto.freeze(layers)
    layers[0].weight.dequantize()


_use()
