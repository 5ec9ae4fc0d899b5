"""`pytest exercises/ --watch`: the exercise at hand, checked again at every save, with the libraries kept loaded.

The libraries are imported once, here. Each save is answered by a process of its own, forked from this one, so that nothing
of the student's code stays. Where there is no fork (Windows) the next process is started ahead of need instead.
"""

import contextlib
import multiprocessing
import os
import queue
import sys
import threading
import time
import warnings
from collections.abc import Iterator
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

from exercises.kit.checking import loading, screen
from exercises.kit.checking.alarm import Stopped, time_limit
from exercises.kit.lessons import Exercise, KitError, lessons
from exercises.kit.studying import answers, memory
from exercises.kit.studying.hints import next_hint
from exercises.kit.studying.listing import listed

KEYS = "h hint   n next   l list   r reset   q quit"
_LATE = 5.0  # seconds beyond the time limit after which a process that ignores it is ended
_FORK = "fork" in multiprocessing.get_all_start_methods()
_processes = multiprocessing.get_context("fork" if _FORK else "spawn")


def _answer(connection: Connection, path: Path, seconds: float) -> None:
    """In a process of its own: load the lesson, check the exercises that are asked for until one is not right."""
    loading.import_libraries(path)
    from exercises.kit.checking.examples import run

    names = connection.recv()
    sys.stdout = sys.stderr = open(os.devnull, "w", encoding="utf-8")  # noqa: SIM115 - for the rest of the process
    warnings.simplefilter("ignore")
    module = loading.new_module(path)
    with time_limit(seconds, vars(module)):
        trouble = loading.execute(path, module, Stopped)
    if trouble is not None:
        connection.send(("", "not loadable", trouble[0]))
        return
    for exercise in lessons()[path.stem].exercises:
        if exercise.name in names:
            with time_limit(seconds, vars(module)):
                result = run(exercise, vars(module), stopped=Stopped)
            connection.send((exercise.name, result.outcome, result.message))
            if result.outcome != "passed":
                return
    connection.send(("", "done", ""))


class Watch:
    """One sitting: the exercises still to do, in order, and the one at hand."""

    def __init__(self, paths: list[Path], writer: Any, seconds: float) -> None:
        self.writer, self.seconds = writer, seconds
        self.todo: list[tuple[Path, Exercise]] = [(p, each) for p in paths for each in lessons()[p.stem].exercises]
        self.at = 0
        self._ahead: tuple[Path, Any, Connection] | None = None

    @property
    def hand(self) -> tuple[Path, Exercise]:
        return self.todo[self.at]

    def _started(self, path: Path) -> tuple[Any, Connection]:
        ahead, self._ahead = self._ahead, None
        if ahead is not None and ahead[0] == path and ahead[1].is_alive():
            return ahead[1], ahead[2]
        return self._new(path)

    def _new(self, path: Path) -> tuple[Any, Connection]:
        connection, theirs = _processes.Pipe()
        process = _processes.Process(target=_answer, args=(theirs, path, self.seconds), daemon=True)
        process.start()
        theirs.close()
        return process, connection

    def check(self, several: bool = True) -> None:
        """Check the exercise at hand; while what is checked is right, go on to the next one (`several`), and show the last."""
        while True:
            path, exercise = self.hand
            rest = [each.name for place, each in self.todo[self.at :] if place == path]
            outcome, message = "done", ""
            for name, outcome, message in self._asked(path, rest if several else [exercise.name]):
                if outcome == "passed":
                    memory.turned_green([f"{path.stem}::{name}"], [])
                    self.say(f"{name} is right: {message.partition(': ')[2]}", green=True)
                    self.at += 1
            if outcome not in ("passed", "done") or not several or self.at == len(self.todo):
                break
        self.at = min(self.at, len(self.todo) - 1)
        self.show(outcome, message)
        if not _FORK:
            self._ahead = (self.hand[0], *self._new(self.hand[0]))

    def _asked(self, path: Path, names: list[str]) -> Iterator[tuple[str, str, str]]:
        process, connection = self._started(path)
        connection.send(names)
        try:
            while connection.poll(self.seconds + _LATE):
                told = connection.recv()
                yield told
                if told[1] != "passed":
                    return
            yield names[0], "wrong", f"{names[0]}: no end after {self.seconds:g} s, stopped"
        except EOFError:
            yield names[0], "wrong", f"{names[0]}: the code ended its process"
        finally:
            process.kill()
            process.join()
            connection.close()

    def say(self, text: str, **style: bool) -> None:
        """Write lines, cut between words where the terminal is narrower."""
        for line in text.splitlines():
            self.writer.line("\n".join(screen.wrapped(line, self.writer.fullwidth)), **style)

    def show(self, outcome: str, message: str) -> None:
        """Show where things stand: the exercise at hand, its message, and the keys."""
        _, exercise = self.hand
        if outcome == "done":
            self.say("All of these exercises are right.", green=True)
        else:
            screen.show_one(self.writer, exercise.name, self.place(), message)
        self.say(KEYS, light=True)

    def place(self) -> str:
        """Return file:line of the exercise at hand."""
        path, exercise = self.hand
        found = answers.answer_in(path.read_text(encoding="utf-8", errors="replace"), exercise.name)
        return f"{os.path.relpath(path)}:{found[0] + 1 if found else 1}"

    def press(self, key: str) -> bool:
        """Do what a key stands for; False to quit."""
        path, exercise = self.hand
        if key == "h":
            self.say(next_hint(f"{path.stem}::{exercise.name}"))
        elif key == "n":
            self.at = (self.at + 1) % len(self.todo)
            self.check(several=False)
        elif key == "l":
            self.say("\n".join(listed()))
        elif key == "r":
            self.say(f"Press y to put the stub of {exercise.name} back (your answer is kept in a file beside it).")
        elif key == "y":
            with contextlib.suppress(KitError):
                self.say("\n".join(answers.reset(exercise)))
        return key != "q"


def watch(paths: list[Path], writer: Any, seconds: float) -> None:
    """Watch lessons until `q` or an interrupt. KitError where watchfiles is missing."""
    try:
        from watchfiles import watch as changes
    except ImportError:
        raise KitError("--watch needs the package watchfiles: pip install watchfiles") from None
    writer.line("importing the libraries", light=True)
    sitting = Watch(paths, writer, seconds)
    loading.import_libraries(sitting.hand[0])
    import exercises.kit.checking.examples  # noqa: F401 - kept loaded for the processes

    keys: queue.Queue[str] = queue.Queue()
    armed = ""
    with contextlib.suppress(KeyboardInterrupt), _single_keys(keys):
        sitting.check()
        folders = sorted({path.parent for path in paths})
        for changed in changes(
            *folders, recursive=False, debounce=60, step=20, rust_timeout=150, yield_on_timeout=True
        ):
            if sitting.hand[0].resolve() in {Path(name).resolve() for _, name in changed}:
                began = time.monotonic()
                sitting.check()
                writer.line(f"({time.monotonic() - began:.1f} s)", light=True)
                loading.import_libraries(sitting.hand[0])
            while not keys.empty():
                key = keys.get()
                if (key != "y" or armed == "r") and not sitting.press(key):
                    return
                armed = key


@contextlib.contextmanager
def _single_keys(keys: "queue.Queue[str]") -> Iterator[None]:
    """Put what is typed into a queue, key by key on a terminal, else line by line."""
    given = sys.stdin

    def read() -> None:
        # not through sys.stdin itself: its lock would be held while processes are forked
        with contextlib.suppress(OSError, ValueError):
            while letter := os.read(given.fileno(), 1):
                if not letter.isspace():
                    keys.put(letter.decode(errors="replace").lower())

    threading.Thread(target=read, daemon=True).start()
    try:
        import termios
        import tty

        before = termios.tcgetattr(given)
        tty.setcbreak(given)
    except Exception:  # no terminal, or Windows: termios.error is no subclass of OSError
        yield
        return
    try:
        yield
    finally:
        termios.tcsetattr(given, termios.TCSADRAIN, before)
