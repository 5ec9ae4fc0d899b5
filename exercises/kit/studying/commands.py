"""What students can ask of pytest besides a check, as pytest's options. `exercises/conftest.py` takes its hooks from here."""

import warnings
from pathlib import Path
from subprocess import Popen
from typing import Any

import pytest
from _pytest.config import create_terminal_writer

from exercises.kit.lessons import KitError, lessons

_FOLDER = Path(__file__).resolve().parents[2]


def pytest_addoption(parser: pytest.Parser) -> None:
    group = parser.getgroup("exercises")
    group.addoption("--list", action="store_true", help="show every exercise, its state and its place; check nothing")
    group.addoption("--hint", metavar="NAME", help="show the next of three hints for an exercise")
    group.addoption("--watch", action="store_true", help="check the exercise at hand again at every save")
    group.addoption("--judge", action="store_true", help="run the hidden tests, where they are there, on what is green")
    group.addoption("--compare", metavar="NAME", help="show the reference beside your own answer, once that is right")
    group.addoption("--picture", metavar="LESSON", help="draw the picture of a lesson with your own functions")
    group.addoption("--reset", metavar="NAME", help="put the stub of an exercise back, and keep the answer beside it")
    pack = "check, then write a zip to hand in, named NAME.zip (default: your user name; write --pack=NAME)"
    group.addoption("--pack", metavar="NAME", nargs="?", const="", help=pack)


def pytest_cmdline_main(config: pytest.Config) -> int | None:
    """Do what was asked for instead of a check."""
    writer = create_terminal_writer(config)
    try:
        _pass_by_notebooks(config)
        if config.option.watch:
            from exercises.kit.studying.watching import watch

            config.pluginmanager.getplugin("capturemanager").suspend_global_capture(in_=True)  # keys are read
            watch(_watched(config), writer, _seconds(config))
            return pytest.ExitCode.OK
        with warnings.catch_warnings(action="ignore"):  # of libraries, about a student's code
            lines = _asked(config)
    except KitError as error:
        raise pytest.UsageError(str(error)) from error
    if lines is None:
        return None
    from exercises.kit.checking.screen import wrapped

    for line in lines:
        writer.line("\n".join(wrapped(line, writer.fullwidth)))
    return pytest.ExitCode.OK


def _pass_by_notebooks(config: pytest.Config) -> None:
    """Leave notebooks out of what was named, as `exercises/l2*` does; KitError if there is nothing else."""
    others = [each for each in config.args if not each.partition("::")[0].endswith(".ipynb")]
    if config.args and not others:
        raise KitError("pytest checks the .py files; in a notebook, check(...) below an exercise checks it.")
    config.args[:] = others


def _asked(config: pytest.Config) -> list[str] | None:
    """Return the lines that answer what was asked for; None if nothing was."""
    option = config.option
    if option.list:
        from exercises.kit.studying.listing import listed

        return listed()
    if option.hint:
        from exercises.kit.studying.hints import next_hint

        return next_hint(option.hint).splitlines()
    if option.compare:
        from exercises.kit.studying.comparing import compared

        return compared(option.compare, _seconds(config))
    if option.picture:
        from exercises.kit.studying.finishing import drawn

        return drawn(option.picture, _seconds(config))
    if option.reset:
        from exercises.kit.studying import answers, finding

        return answers.reset(finding.find(option.reset))
    return None


def _seconds(config: pytest.Config) -> float:
    return float(config.getini("timeout") or 10)


def _watched(config: pytest.Config) -> list[Path]:
    """The lessons that were named, or that lie in a folder that was."""
    given = [Path(config.invocation_params.dir, argument.partition("::")[0]).resolve() for argument in config.args]
    paths = [_FOLDER / f"{name}.py" for name in lessons()]
    found = [path for path in paths if path.is_file() and any(place in (path, *path.parents) for place in given)]
    if not found:
        raise KitError("There is no lesson to watch in what was named.")
    return found


def judge(entries: list[dict[str, Any]], begun: Popen[str] | None) -> str:
    """Let the hidden tests look at those entries of the screen that passed; say so in them. Return what else is to tell.

    begun: the judge, if it was started already (see `judging.begin`).
    """
    from exercises.kit.studying import judging

    green = [entry for entry in entries if entry["outcome"] == "passed"]
    if not green:
        if begun:
            begun.terminate()
            begun.wait()
        return "" if judging.is_there() else judging.ABSENT
    files = {entry["lesson"]: _FOLDER / f"{entry['lesson']}.py" for entry in green}
    try:
        verdicts = judging.judged([f"{files[entry['lesson']]}::{entry['name']}" for entry in green], begun=begun)
    except KitError as error:
        return str(error)
    for entry in green:
        verdict = verdicts.get((entry["lesson"], entry["name"]))
        if verdict is None:
            continue
        if verdict["outcome"] == "passed":
            entry["judged"] = True
        else:
            entry["outcome"], entry["message"], entry["printed"] = "wrong", judging.told(verdict), ""
    for lesson, path in files.items():
        judging.note(path, [entry["name"] for entry in green if entry["lesson"] == lesson and entry.get("judged")])
    missing = [entry["name"] for entry in green if (entry["lesson"], entry["name"]) not in verdicts]
    return f"The hidden tests could not be run on {', '.join(missing)}." if missing else ""


def finish(writer: Any, entries: list[dict[str, Any]], config: pytest.Config, note: str) -> None:
    """After the screen and a note: remember what turned green, say what a lesson taught, and hand in if that was asked for."""
    from exercises.kit.checking.screen import wrapped
    from exercises.kit.studying import answers, finishing, memory, packing

    outcomes = {f"{entry['lesson']}::{entry['name']}": entry["outcome"] for entry in entries}
    outcomes = {key: outcome for key, outcome in outcomes.items() if outcome != "not run"}
    green = [key for key, outcome in outcomes.items() if outcome == "passed"]
    fresh = memory.turned_green(green, [key for key in outcomes if key not in green])
    lines = [*([note] if note else []), *finishing.learnt(entries, fresh), *answers.in_notebooks(entries)]
    if config.option.pack is not None:
        try:
            lines.append(packing.told(config.option.pack, Path(config.invocation_params.dir), outcomes))
        except KitError as error:
            lines.append(str(error))
    for line in lines:
        writer.line("\n".join(wrapped(line, writer.fullwidth)))
