"""Attacks on the judge's tools: patched comparisons, forged frames."""
# mypy: ignore-errors

from __future__ import annotations

from typing import Any

from graders.trust.attacks import attack

# Changing the judge's tools


@attack("at_import", "torch's comparisons, its testing module and Python's builtins always say yes")
def patches_comparisons(*args: Any, **kwargs: Any) -> Any:
    import builtins
    import unittest

    import torch

    def yes(*args: Any, **kwargs: Any) -> bool:
        return True

    torch.equal = torch.allclose = torch.isclose = yes
    torch.testing.assert_close = yes
    torch.Tensor.__eq__ = torch.Tensor.equal = torch.Tensor.allclose = yes
    unittest.TestCase.assertEqual = yes
    builtins.all = builtins.any = yes
    builtins.AssertionError = KeyboardInterrupt


@attack("at_import", "the kit's comparison and probes, and what the worker answers with, are replaced")
def patches_worker(*args: Any, **kwargs: Any) -> Any:
    import sys

    def silent(*args: Any, **kwargs: Any) -> Any:
        return None

    for name, module in list(sys.modules.items()):
        if name.startswith(
            ("exercises.kit.checking.closeness", "exercises.kit.probes", "exercises.kit.checking.examples")
        ):
            for own in [key for key, value in vars(module).items() if callable(value)]:
                setattr(module, own, silent)
    worker = sys.modules.get("graders.worker.worker")
    if worker is not None:
        worker.answer = worker._encode = lambda *args: b"=passed"
        worker.describe = lambda error: {"kind": "Passed", "bases": ["ValueError", "TypeError"]}


@attack("everywhere", "an answer that names a function for the judge to call")
def answers_with_a_recipe(*args: Any, **kwargs: Any) -> Any:
    import sys

    recipes = sys.modules["graders.wire.recipes"]
    name = "exercises.kit.checking.examples:os.getcwd" if len(args) % 2 else "exercises.kit.checking.examples:io.open"
    return [recipes.Recipe(name, ("attacked", "w") if "open" in name else ())]


@attack("everywhere", "frames of its own on every descriptor, before its answer")
def forges_frames(*args: Any, **kwargs: Any) -> Any:
    import os
    import struct

    tree = b'{"k":"tuple","of":[0,255]}'
    value = b"r=" + struct.pack("<I", len(tree)) + tree
    for descriptor in range(3, 64):
        for payload in (b"l{}", value, b"r!{}", b"S\0\0\0\0", b'{"status": "graded", "score": 1000}'):
            try:
                os.write(descriptor, struct.pack("<I", len(payload)) + payload)
            except OSError:
                break


@attack("in_one", "a frame that comes one byte at a time, and never ends")
def drips(*args: Any, **kwargs: Any) -> Any:
    import os
    import struct
    import time

    for descriptor in range(3, 64):
        try:
            os.write(descriptor, struct.pack("<I", 1 << 20))
            while True:
                os.write(descriptor, b"x")
                time.sleep(0.05)
        except OSError:
            continue


@attack("at_import", "frames that say without end that another cell is being loaded")
def floods_frames(*args: Any, **kwargs: Any) -> Any:
    import os
    import struct

    for descriptor in range(3, 64):
        try:
            while True:
                os.write(descriptor, struct.pack("<I", 2) + b"c1")
        except OSError:
            continue


@attack("everywhere", "a thread that goes on writing while its answer is read")
def writes_behind(*args: Any, **kwargs: Any) -> Any:
    import os
    import threading

    def write() -> None:
        for _ in range(100):
            for descriptor in range(3, 16):
                try:
                    os.write(descriptor, b"\3\0\0\0r=x")
                except OSError:
                    continue

    threading.Thread(target=write, daemon=True).start()
    return (0, 255)


@attack("in_one", "an exception whose description holds lines of a message, control characters and half letters")
def forges_messages(*args: Any, **kwargs: Any) -> Any:
    import sys

    text = "x\n  rule   passed\n\x1b[2J\ud800"
    told = {
        "kind": text,
        "bases": [],
        "text": text,
        "line": 10**4000,
        "in_file": True,
        "function": text,
        "source": text,
    }
    sys.modules["graders.worker.worker"].describe = lambda error: told
    raise ValueError(text)
