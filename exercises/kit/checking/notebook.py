"""What a notebook has beside pytest: `check`, and cells that use an unwritten exercise say so in a line while Run All goes on."""

import ast
import builtins
import contextlib
import html
import inspect
import io
import os
import sys
from collections.abc import Callable
from types import TracebackType
from typing import Any

from exercises.kit.checking.alarm import Stopped, time_limit
from exercises.kit.checking.examples import run, unwritten
from exercises.kit.checking.screen import printed_line
from exercises.kit.lessons import Exercise, KitError, lessons

SECONDS = 10.0  # for one exercise, as in pytest


def check(function: Callable, judge: bool = False) -> None:
    """Run the examples of a function or class that you wrote, and show what came out.

    The exercise is found by the name of the function.  Nothing is returned, and nothing is raised but in nbgrader's
    Validate, which knows by exceptions what is wrong.
    judge: when the examples are right, run the hidden tests as well, where they are there (a clone of the repository).
    """
    name = getattr(function, "__name__", None)
    if not callable(function) or not isinstance(name, str):
        print("check takes the function itself, as in check(integer_range)")
        return
    try:
        namespace = _namespace_of(function)
        exercise = _find(name, namespace)
        printed = io.StringIO()
        with contextlib.redirect_stdout(printed), time_limit(SECONDS, namespace):
            result = run(exercise, namespace, stopped=Stopped)
        message = result.message
        if judge and result.outcome == "passed":
            message = _judged(exercise, function)
    except KitError as error:
        print(error)
        return
    except KeyboardInterrupt:
        print(f"{name}: the check was interrupted")
        return
    _show(message, printed_line(printed.getvalue()) if printed.getvalue() else "")
    if result.outcome != "passed" and os.environ.get("NBGRADER_EXECUTION") == "validate":
        raise AssertionError(result.message)


def _judged(exercise: Exercise, function: Callable) -> str:
    """What the hidden tests say of an exercise: of all cells that were run here, or of the file that it stands in."""
    from exercises.kit.studying import judging

    shell = sys.modules["IPython"].get_ipython() if "IPython" in sys.modules else None
    if shell is not None:
        verdict = judging.judged_cells(exercise.lesson, exercise.name, shell.user_ns.get("In", []))
    else:
        named = f"{os.path.abspath(inspect.getsourcefile(function) or '')}::{exercise.name}"
        verdict = judging.judged([named])[exercise.lesson, exercise.name]
    if verdict["outcome"] == "passed":
        return f"{exercise.name}: right, by the hidden tests too"
    return f"{exercise.name}: {judging.told(verdict)}"


_COLOURS = {"got": "#D55E00", "want": "#0072B2", "hint": "#009E73"}  # of Okabe and Ito: apart for colour-blind readers


def _show(message: str, printed: str) -> None:
    """Print a message; where it has parts and a notebook shows it, as HTML with the same text as its alternative."""
    text = "\n".join(filter(None, [message, printed]))
    shell = sys.modules["IPython"].get_ipython() if "IPython" in sys.modules else None
    if "\n" not in text or not hasattr(shell, "kernel"):
        print(text)
        return
    from IPython.display import display

    display({"text/plain": text, "text/html": as_html(text)}, raw=True)


def as_html(text: str) -> str:
    """Return a message as HTML: long lines wrap, and the names of its parts are bold and coloured."""
    lines = []
    for line in text.splitlines():
        label = line.split(maxsplit=1)[0] if line.startswith("  ") and line.strip() else ""
        shown = html.escape(line)
        if label in _COLOURS:
            shown = shown.replace(label, f'<b style="color: {_COLOURS[label]}">{label}</b>', 1)
        lines.append(f'<div style="padding-left: 9ch; text-indent: -9ch">{shown}</div>')
    style = "font-family: monospace; white-space: pre-wrap; overflow-wrap: anywhere; padding-left: 1ch"
    return f'<div role="status" style="{style}">{"".join(lines)}</div>'


def _namespace_of(function: Callable) -> dict[str, Any]:
    """The globals that the student's function was written in."""
    function = inspect.unwrap(function)
    found = getattr(function, "__globals__", None)
    return found if found is not None else vars(sys.modules.get(function.__module__, builtins))


def _find(name: str, namespace: dict[str, Any]) -> Exercise:
    """The exercise of that name; where several lessons have it, that of the lesson most of whose names are defined."""
    found = [
        (sum(other.name in namespace for other in lesson.exercises), exercise)
        for lesson in lessons().values()
        for exercise in lesson.exercises
        if exercise.name == name
    ]
    if not found:
        raise KitError(f"{name} is not the name of an exercise.")
    return max(found, key=lambda pair: pair[0])[1]


def install(shell: Any) -> None:
    """Let IPython's `shell` take the exception of an exercise's stub for a note.

    What such a cell would have bound is missing in the cells behind it: there the same is said.
    """
    if getattr(shell, "_notes_stubs", False):
        return
    shell._notes_stubs = True
    missing: dict[str, str] = {}  # name -> the exercise for want of which it was not bound

    def needed(error: Any) -> str | None:
        return missing.get(error.name) if isinstance(error, NameError) else unwritten(error)

    def note(shell: Any, kind: type, error: BaseException, trace: TracebackType, tb_offset: int | None = None) -> None:
        name = needed(error)
        if name is None:
            shell.showtraceback((kind, error, trace), tb_offset=tb_offset)
        else:
            print(f"{name} is not written yet; this cell needs it")

    def forgive(result: Any) -> None:
        bound = _assigned(result.info.raw_cell or "")
        name = needed(result.error_in_exec)
        if name is not None:
            missing.update(dict.fromkeys(bound, name))
            result.error_in_exec = None  # by which the kernel would stop the cells behind this one
        elif result.success:
            for each in bound:
                missing.pop(each, None)

    shell.set_custom_exc((NotImplementedError, NameError), note)
    shell.events.register("post_run_cell", forgive)


def _assigned(source: str) -> set[str]:
    """Return the names that a cell binds outside of functions and classes."""
    try:
        tree = ast.parse(source)
    except SyntaxError:
        return set()
    return {node.id for node in ast.walk(tree) if isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store)}
