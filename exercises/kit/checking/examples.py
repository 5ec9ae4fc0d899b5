"""The public check: the examples of an exercise, evaluated and compared by value.

`check(integer_range)` in a notebook and `pytest exercises/` run the same code.  Examples come from the kit's derived copy
of the docstring, so a student may change or delete the docstring; what a function prints is shown apart and never compared.
"""

import contextlib
import dis
import doctest
import inspect
import linecache
import math
import os
import re
import warnings
from collections.abc import Iterator
from dataclasses import dataclass, field
from types import CodeType, FunctionType, TracebackType
from typing import Any

import torch

from exercises.kit import resting
from exercises.kit.checking.closeness import Mismatch, python_floats, relative, same
from exercises.kit.checking.fingerprints import fingerprint
from exercises.kit.checking.left_behind import WANTED, Watch
from exercises.kit.checking.properties import property_of
from exercises.kit.checking.showing import message, show
from exercises.kit.lessons import Exercise, KitError, hint_for, lessons
from exercises.kit.quiet import quiet_transformers

__all__ = [
    "Result",
    "describe_error",
    "fingerprint",
    "place_of",
    "run",
    "short_path",
    "unwritten",
]

_RULE = python_floats(relative(1e-9))  # tensors and ints exactly
NAMES: dict[str, Any] = {"torch": torch, "tensor": torch.tensor, "inf": math.inf, "nan": math.nan}
_LONGEST_MESSAGE = 120


@dataclass(frozen=True)
class Result:
    """How the examples of one exercise ended.

    outcome: "passed", "wrong", "missing", "not started" or "waiting" (for an exercise it calls).  message: for "wrong" the
    call with what prepares it, got, want and perhaps a hint; else one sentence.  error: the exception that came instead
    of an answer, if one did.
    """

    outcome: str
    message: str
    error: BaseException | None = field(default=None, compare=False, repr=False)


@dataclass(frozen=True)
class _Answer:
    """What an example gave: a value, or the exception that ended it, by itself or because a time limit stopped it."""

    value: Any = None
    error: BaseException | None = None
    stopped: bool = False

    @property
    def outcome(self) -> Any:
        return self.value if self.error is None else self.error


def run(exercise: Exercise, namespace: dict[str, Any], stopped: type[BaseException] | tuple = ()) -> Result:
    """Evaluate the examples in a copy of the student's globals, and stop at the first that is wrong.

    A wrong exercise that uses others is told with those of them that are wrong.
    stopped: exceptions by which a time limit interrupts a call.  KitError if an example itself cannot be read.
    """
    result = _run(exercise, namespace, stopped)
    if result.outcome != "wrong":
        return result
    others = resting.used(exercise, namespace)
    below = [other.name for other in others if _run(other, namespace, stopped).outcome == "wrong"]
    return Result("wrong", resting.told(result.message, below), result.error)


def _run(exercise: Exercise, namespace: dict[str, Any], stopped: type[BaseException] | tuple) -> Result:
    if exercise.name not in namespace:
        return Result("missing", f"{exercise.name} is not defined: its definition is gone, or has another name")
    if _is_untouched(namespace[exercise.name]):  # no models are built for it
        return Result("not started", f"{exercise.name} is not started yet")
    examples = doctest.DocTestParser().get_examples(exercise.examples)
    wanted = [_wanted(exercise, example) for example in examples]
    watch = Watch(namespace[exercise.name], exercise.in_place)
    space = {**namespace, **NAMES, exercise.name: watch.watched()}
    for index, example in enumerate(examples):
        answer = _answer(example, space, stopped, watch)
        stub, _, method = (_stub_of(answer.error) or "").partition(".")
        own = stub == exercise.name
        if (own and method in ("", "__init__")) or (stub and _is_stub(namespace[exercise.name])):
            return Result("not started", f"{exercise.name} is not started yet")
        if own:
            found = f"nothing: {stub}.{method} is not written yet", _show_wanted(example, wanted[index])
            return Result("wrong", message(exercise.name, examples, index, found, None))
        if stub:
            return Result("waiting", f"{exercise.name} needs {stub} first")
        found = _difference(example, wanted[index], answer, namespace)
        if found is not None:
            hint = _hint(exercise, index, answer, watch)
            if hint is None and answer.error is None and example.exc_msg is None:
                hint = _property(answer.value, wanted[index])
            return Result("wrong", message(exercise.name, examples, index, found, hint), answer.error)
        if watch.left:
            hint = hint_for(exercise, index, watch.mark)
            return Result("wrong", message(exercise.name, examples, index, (watch.shown, WANTED), hint))
    count = sum(bool(example.want) for example in examples)
    return Result("passed", f"{exercise.name}: {count} example{'s' * (count != 1)} right")


def _hint(exercise: Exercise, index: int, answer: _Answer, watch: Watch) -> str | None:
    """What is known of this mistake, or what else the call did."""
    if answer.stopped:
        return None  # what it left behind it had no time to clear away
    known = None
    with contextlib.suppress(Exception):  # an answer that cannot be read, as a tensor of 1-bit integers
        known = hint_for(exercise, index, fingerprint(answer.outcome, watch.raised))
    return known or (f"it leaves something behind as well: {watch.shown}" if watch.left else None)


def _property(value: Any, wanted: Any) -> str | None:
    with contextlib.suppress(Exception):
        return property_of(value, wanted)
    return None


def _wanted(exercise: Exercise, example: doctest.Example) -> Any:
    """The value that the example shows, or the name of the exception; evaluated away from the student's names."""
    if example.exc_msg is not None:
        return example.exc_msg.partition(":")[0].strip()
    if not example.want:
        return None
    try:
        return eval(example.want.strip(), dict(NAMES))
    except Exception as error:
        raise KitError(f"An example of {exercise.name} cannot be read: {example.want.strip()}") from error


def _answer(
    example: doctest.Example, space: dict[str, Any], stopped: type[BaseException] | tuple, watch: Watch
) -> _Answer:
    source = example.source.strip()
    try:
        with watch.example(), _undisturbed():
            return _Answer(eval(compile(source, "<example>", "eval" if example.want else "exec"), space))
    except stopped as error:
        return _Answer(error=error, stopped=True)
    except (Exception, SystemExit) as error:
        return _Answer(error=error)


@contextlib.contextmanager
def _undisturbed() -> Iterator[None]:
    """Give every example the same random numbers, and one thread as the judge does.

    The models are so small that more threads only wait for one another, on a busy machine beyond the time limit.
    Libraries are quiet meanwhile: what is wrong is said in the message, and the models' settings are odd at times.
    """
    threads = torch.get_num_threads()
    with warnings.catch_warnings(action="ignore"), quiet_transformers(), torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        torch.set_num_threads(1)
        try:
            yield
        finally:
            torch.set_num_threads(threads)


def _difference(
    example: doctest.Example, wanted: Any, answer: _Answer, namespace: dict[str, Any]
) -> tuple[str, str] | None:
    """What came and what should have come, or None if they agree."""
    if example.exc_msg is not None:
        if answer.error is None:
            return show(answer.value), wanted
        if not answer.stopped and wanted in [kind.__name__ for kind in type(answer.error).__mro__]:
            return None
        return _show_error(answer, namespace), wanted
    if answer.error is not None:
        return _show_error(answer, namespace), _show_wanted(example, wanted)
    try:
        same(answer.value if example.want else None, wanted, _RULE)
    except Mismatch as mismatch:
        return mismatch.got, mismatch.want
    except Exception as trouble:
        return f"a value that cannot be compared ({type(trouble).__name__})", show(wanted)
    return None


def _show_wanted(example: doctest.Example, wanted: Any) -> str:
    return wanted if example.exc_msg is not None else show(wanted) if example.want else "no exception"


def _show_error(answer: _Answer, namespace: dict[str, Any]) -> str:
    return describe_error(answer.error, answer.stopped, place_of(answer.error.__traceback__, namespace))


def describe_error(error: BaseException, stopped: bool, place: str) -> str:
    """Return type, message and place of an exception in one line; of a time limit, after how long it stopped what."""
    try:
        text = " ".join(str(error).split())
    except Exception:
        text = ""
    if stopped:
        seconds = re.search(r"([\d.]+)s\b", text)
        after = f" after {float(seconds[1]):g} s" if seconds else ""
        return f"no end{after}, stopped" + (f" at {place}" if place else "")
    text = text if len(text) <= _LONGEST_MESSAGE else text[: _LONGEST_MESSAGE - 3] + "..."
    name = type(error).__name__
    return (f"{name}: {text}" if text else name) + (f" ({place})" if place else "")


def place_of(traceback: TracebackType | None, namespace: dict[str, Any]) -> str:
    """Return file:line of the last frame of a traceback that lies in the student's own code, "" if none does."""
    place = ""
    while traceback is not None:
        if traceback.tb_frame.f_globals is namespace:
            path, line = traceback.tb_frame.f_code.co_filename, traceback.tb_lineno
            place = f"{short_path(path)}:{line}" if os.path.exists(path) else f"line {line} of its cell"
        traceback = traceback.tb_next
    return place


def short_path(path: str) -> str:
    """Return a path as one types it: relative to the working directory where that is shorter."""
    with contextlib.suppress(ValueError):  # another drive on Windows
        return min(os.path.relpath(path), path, key=len)
    return path


def unwritten(error: BaseException | None) -> str | None:
    """Return the name of the exercise whose stub raised: the last frame is the exercise itself, on its raise line."""
    stub = _stub_of(error)
    return stub and stub.partition(".")[0]


def _stub_of(error: BaseException | None) -> str | None:
    """The qualified name of the stub that raised: an exercise, or a method of one."""
    if not isinstance(error, NotImplementedError):  # torch raises these too
        return None
    traceback = error.__traceback__
    while traceback.tb_next is not None:
        traceback = traceback.tb_next
    code = traceback.tb_frame.f_code
    linecache.checkcache(code.co_filename)
    line = linecache.getline(code.co_filename, traceback.tb_lineno, traceback.tb_frame.f_globals)
    if not line.strip().startswith("raise NotImplementedError"):
        return None
    name = code.co_qualname.partition(".")[0]
    known = any(exercise.name == name for lesson in lessons().values() for exercise in lesson.exercises)
    return code.co_qualname if known and "<locals>" not in code.co_qualname else None


def _code_of(function: Any) -> list[CodeType]:
    """The code of a function; of a class that of its own `__init__`, or of all its methods if it has none."""
    if isinstance(function, type):
        methods = {name: value for name, value in vars(function).items() if isinstance(value, FunctionType)}
        chosen = [methods["__init__"]] if "__init__" in methods else list(methods.values())
        return [method.__code__ for method in chosen]
    code = getattr(inspect.unwrap(function), "__code__", None)
    return [] if code is None else [code]


def _is_stub(function: Any) -> bool:
    codes = _code_of(function)
    return bool(codes) and all("NotImplementedError" in code.co_names for code in codes)


def _is_untouched(function: Any) -> bool:
    """Whether a function, or a class's `__init__`, does nothing but `raise NotImplementedError()`."""
    codes = _code_of(function)
    return bool(codes) and all(
        code.co_names == ("NotImplementedError",)
        and not any(step.opname.startswith("RETURN") for step in dis.get_instructions(code))
        for code in codes
    )
