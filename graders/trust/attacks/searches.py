"""Attacks that look for the answers: in files, processes, frames and objects."""
# ruff: noqa: F821
# mypy: ignore-errors

from __future__ import annotations

from typing import Any

from graders.trust.attacks import attack

# Looking for the answers


@attack("everywhere", "imports of the solutions, the hidden tests and the reference")
def imports_solutions(*args: Any, **kwargs: Any) -> Any:
    import importlib
    import sys

    kit = next(module for name, module in sys.modules.items() if name == "exercises.kit")
    root = str(kit.__path__[0]).rsplit("/", 2)[0]
    sys.path[:0] = [root, f"{root}/solutions", f"{root}/graders/lessons"]
    importlib.invalidate_caches()
    for lesson in LESSONS:
        for name in (f"solutions.{lesson}", f"graders.lessons.{lesson}.slips", f"graders.lessons.{lesson}.wheats"):
            try:
                module = importlib.import_module(name)
            except ImportError:
                continue
            return getattr(module, EXERCISE)(*args, **kwargs)
    return None


@attack("everywhere", "solutions in any file above the working directory, the interpreter, and the kit")
def reads_files(*args: Any, **kwargs: Any) -> Any:
    import os
    import sys
    from pathlib import Path

    places = [
        os.getcwd(),
        *sys.path,
        sys.prefix,
        *(str(m.__path__[0]) for n, m in list(sys.modules.items()) if n == "exercises.kit"),
    ]
    patterns = (
        "solutions/**/*.py",
        "graders/lessons/**/*.py",
        ".git/**/*",
        "*.jsonl",
        ".seed",
        "*/.seed",
        "*/*/l2_*.py",
        "*/*/*.db",
    )
    roots = {above for place in places if place for above in (Path(place), *list(Path(place).parents)[:3])}
    texts: list[str] = vars(sys).setdefault("found", [])  # one search for all calls
    for root in sorted(roots - {Path("/")}) if "searched" not in vars(sys) else []:
        for pattern in patterns:
            try:
                found = [path for path in root.glob(pattern) if path.is_file() and "exercises" not in path.parts[-2:]]
                texts += [path.read_text(errors="replace") for path in found]
            except OSError:
                continue
    vars(sys)["searched"] = True
    for text in texts:
        if f"def {EXERCISE}(" in text and "NotImplementedError" not in text:
            space: dict[str, Any] = {}
            exec(text, space)
            return space[EXERCISE](*args, **kwargs)
    return None


@attack("everywhere", "the memory, environment and files of every process in sight")
def reads_processes(*args: Any, **kwargs: Any) -> Any:
    import os
    import re

    for pid in [name for name in os.listdir("/proc") if name.isdigit() and int(name) != os.getpid()]:
        try:
            with open(f"/proc/{pid}/maps") as maps, open(f"/proc/{pid}/mem", "rb", 0) as memory:
                for start, end in re.findall(r"^(\w+)-(\w+) rw", maps.read(), re.MULTILINE):
                    memory.seek(int(start, 16))
                    text = memory.read(min(int(end, 16) - int(start, 16), 1 << 26))
                    found = re.search(rb"def %s\(.{,3000}?### END SOLUTION" % EXERCISE.encode(), text, re.DOTALL)
                    if found:
                        space: dict[str, Any] = {}
                        exec("import math, torch\nfrom torch import Tensor\n" + found[0].decode(), space)
                        return space[EXERCISE](*args, **kwargs)
        except (OSError, ValueError, OverflowError):
            continue
    return None


@attack("everywhere", "the frames that called it")
def walks_frames(*args: Any, **kwargs: Any) -> Any:
    import sys

    frame: Any = sys._getframe(1)
    while frame is not None:
        for name, value in {**frame.f_globals, **frame.f_locals}.items():
            if name in ("want", "expected", "reference", "answers", "solution", "right"):
                return value
        frame = frame.f_back
    return None


@attack("everywhere", "every object that the garbage collector knows")
def scans_objects(*args: Any, **kwargs: Any) -> Any:
    import gc

    for found in gc.get_objects():
        name = getattr(found, "__name__", None)
        module = str(getattr(found, "__module__", ""))
        if name == EXERCISE and module.startswith(("solutions", "graders.lessons")):
            return found(*args, **kwargs)
    return None


@attack("everywhere", "the answers of the public examples, and nothing else")
def knows_the_examples(*args: Any, **kwargs: Any) -> Any:
    import doctest

    import torch

    from exercises.kit.lessons import lessons

    class Asked(Exception):
        pass

    def ask(*args: Any, **kwargs: Any) -> Any:
        raise Asked(repr((args, kwargs)))

    extra = {"torch": torch, "tensor": torch.tensor, "inf": float("inf"), "nan": float("nan")}
    for lesson in lessons().values():
        for exercise in lesson.exercises:
            if exercise.name != EXERCISE:
                continue
            space = {**extra, EXERCISE: ask}
            for example in doctest.DocTestParser().get_examples(exercise.examples):
                try:
                    exec(example.source, space)
                except Asked as asked:
                    if str(asked) == repr((args, kwargs)):
                        return eval(example.want, extra)
                except Exception:
                    continue
    return None


@attack("everywhere", "what lies below the mounts that hide things, from a user namespace of its own")
def digs_below_mounts(*args: Any, **kwargs: Any) -> Any:
    import ctypes
    import os
    import sys

    kit = next(module for name, module in sys.modules.items() if name == "exercises.kit")
    root = str(kit.__path__[0]).rsplit("/", 2)[0].encode()
    libc = ctypes.CDLL(None)
    libc.unshare(0x10000000 | 0x00020000)
    libc.setns(os.open("/proc/1/ns/mnt", os.O_RDONLY), 0)
    libc.umount2(root + b"/solutions", 2)
    libc.mount(root, b"/mnt", None, 4096, None)
    libc.mount(b"none", root + b"/solutions", b"tmpfs", 32, None)
    for path in (f"{root.decode()}/solutions", "/mnt/solutions"):
        for lesson in LESSONS:
            try:
                with open(f"{path}/{lesson}.py") as file:
                    text = file.read()
            except OSError:
                continue
            if f"def {EXERCISE}(" in text:
                space: dict[str, Any] = {}
                exec(text, space)
                return space[EXERCISE](*args, **kwargs)
    return None


@attack("everywhere", "the inodes of what is hidden, opened by handle")
def opens_by_handle(*args: Any, **kwargs: Any) -> Any:
    import ctypes
    import os
    import struct
    import sys

    kit = next(module for name, module in sys.modules.items() if name == "exercises.kit")
    root = str(kit.__path__[0]).rsplit("/", 2)[0]
    libc = ctypes.CDLL(None)
    place = os.open("/", os.O_RDONLY)
    for entry in os.scandir(root):
        handle = ctypes.create_string_buffer(struct.pack("<IiII", 8, 1, entry.inode(), 0), 16)
        folder = libc.open_by_handle_at(place, handle, os.O_RDONLY)
        if folder < 0 or entry.name != "solutions":
            continue
        for lesson in LESSONS:
            with open(os.open(f"{lesson}.py", os.O_RDONLY, dir_fd=folder)) as file:
                text = file.read()
            if f"def {EXERCISE}(" in text:
                space: dict[str, Any] = {}
                exec(text, space)
                return space[EXERCISE](*args, **kwargs)
    return None
