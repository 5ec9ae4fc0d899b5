"""Attacks that leave a mess behind for the exercises that follow."""
# mypy: ignore-errors

from __future__ import annotations

from typing import Any

from graders.trust.attacks import attack

# Leaving a mess behind


@attack("beside", "torch's global state is changed and stays changed")
def changes_state(*args: Any, **kwargs: Any) -> Any:
    import torch

    torch.set_default_dtype(torch.float64)
    torch.set_grad_enabled(False)
    torch.manual_seed(1)
    torch.set_flush_denormal(True)
    torch.set_num_threads(2)
    torch.use_deterministic_algorithms(True)


@attack("beside", "torch, the builtins, the recursion limit and the environment are vandalised")
def vandalises(*args: Any, **kwargs: Any) -> Any:
    import builtins
    import os
    import sys

    import torch

    os.environ.clear()
    sys.setrecursionlimit(60)
    sys.modules["json"] = sys.modules["struct"] = None
    for name in ("dot", "tensor", "finfo", "iinfo", "zeros", "float32"):
        delattr(torch, name)
    builtins.isinstance = builtins.len = None


@attack("beside", "every file that it may write to is overwritten", harmful=True)
def overwrites_files(*args: Any, **kwargs: Any) -> Any:
    import sys
    from pathlib import Path

    kit = next(module for name, module in sys.modules.items() if name == "exercises.kit")
    for folder in (
        Path(kit.__path__[0]),
        Path(kit.__path__[0]).parents[1],
        Path(sys.prefix),
        Path.home(),
        Path("/tmp"),
    ):
        for path in (folder / "attacked", folder / "__init__.py"):
            try:
                with open(path, "a") as file:
                    file.write("\n")
            except OSError:
                continue


@attack("beside", "signal handlers, exit handlers, hooks and threads that go on afterwards")
def leaves_hooks(*args: Any, **kwargs: Any) -> Any:
    import atexit
    import os
    import signal
    import sys
    import threading
    import time

    atexit.register(lambda: os.write(3, b"x"))
    signal.signal(signal.SIGALRM, lambda *_: os._exit(0))
    sys.settrace(lambda *_: None)
    sys.addaudithook(lambda *_: None)
    sys.displayhook = sys.excepthook = lambda *_: os._exit(0)
    threading.Thread(target=time.sleep, args=(300,), daemon=False).start()
