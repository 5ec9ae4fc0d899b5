"""How pytest sees the lessons: one item per exercise, in order, and one calm screen at the end.

A lesson is found by its name and read as text; it is imported inside its first item, so that the time limit covers an
endless loop at module level.  Nothing is compared here: `exercises.kit.checking.examples` does that.
"""

import contextlib
import importlib
import re
import sys
from pathlib import Path
from subprocess import Popen

import pytest

_HERE = Path(__file__).resolve().parent
if str(_HERE.parent) not in sys.path:  # the kit has one name wherever pytest is started
    sys.path.insert(0, str(_HERE.parent))

from exercises.kit.checking import loading, screen  # noqa: E402
from exercises.kit.checking.alarm import set_alarm  # noqa: E402
from exercises.kit.lessons import Exercise, KitError, lessons  # noqa: E402
from exercises.kit.studying import commands  # noqa: E402
from exercises.kit.studying.commands import pytest_addoption, pytest_cmdline_main  # noqa: E402, F401

_CALM = pytest.StashKey[bool]()  # only lessons run, without -v: our screen takes the place of pytest's report
_QUIET = pytest.StashKey[bool]()
_ENTRIES = pytest.StashKey[list]()  # of the screen
_BEGUN = pytest.StashKey[Popen[str] | None]()  # the judge, which loads libraries while the examples run
_JUDGE = pytest.StashKey[str]()  # what is to tell of the hidden tests, beside their verdicts
_WORDS = {
    "passed": ("passed", ".", "PASSED"),
    "not started": ("not started", "-", "NOT STARTED"),
    "waiting": ("waiting", "-", "WAITING"),
    "not loadable": ("not loadable", "E", "NOT LOADABLE"),
    "missing": ("wrong", "F", "MISSING"),
    "wrong": ("wrong", "F", "WRONG"),
}


def _is_lesson(path: Path) -> bool:
    return path.parent == _HERE and path.match("l?_*.py")


class LessonFile(pytest.File):
    """A lesson: read as text to collect it, executed once, when its first exercise runs."""

    namespace: dict | None = None  # its globals, from the moment it is loaded
    trouble: tuple[str, str] | None = None  # why it could not be loaded, and where (file:line)

    def collect(self):
        lesson = lessons().get(self.path.stem)
        if lesson is None:
            return
        text = self.text()
        found = re.finditer(r"^(?:async )?(?:def|class) (\w+)", text, re.MULTILINE)
        lines = {match[1]: text.count("\n", 0, match.start()) + 1 for match in found}
        for position, exercise in enumerate(lesson.exercises):
            line, instead = lines.get(exercise.name), ""
            if line is None:
                line, instead = _where_it_stood([each.name for each in lesson.exercises], position, lines)
            yield ExerciseItem.from_parent(self, exercise=exercise, position=position, line=line, instead=instead)

    def text(self) -> str:
        """What can be read of the file; whatever is wrong with it is said when it is loaded."""
        with contextlib.suppress(OSError):
            return self.path.read_text(encoding="utf-8", errors="replace")
        return ""

    def repr_failure(self, excinfo, style=None):
        return str(excinfo.value) if isinstance(excinfo.value, KitError) else super().repr_failure(excinfo, style)

    def load(self) -> None:
        """Execute the lesson, once; what stops it is kept in `trouble`."""
        if self.namespace is None:
            module = loading.new_module(self.path)
            self.namespace = vars(module)
            self.trouble = loading.execute(self.path, module, pytest.fail.Exception)


def _where_it_stood(names: list[str], position: int, lines: dict[str, int]) -> tuple[int, str]:
    """The line and name of what stands between the neighbours of an exercise that is gone; else the line of the one before."""
    before = max((lines.get(name, 0) for name in names[:position]), default=0)
    after = min((lines[name] for name in names[position + 1 :] if lines.get(name, 0) > before), default=sys.maxsize)
    others = ((line, name) for name, line in lines.items() if name not in names and before < line < after)
    return min(others, default=(max(before, 1), ""))


class ExerciseItem(pytest.Item):
    """The examples of one exercise."""

    parent: LessonFile

    def __init__(self, *, exercise: Exercise, position: int, line: int, instead: str, **kwargs):
        """`instead`: what stands where it stood, if it is not there."""
        super().__init__(exercise.name, **kwargs)
        self.exercise, self.position, self.line, self.instead = exercise, position, line, instead
        self.result = None
        self.add_marker("core" if exercise.core else "practice")
        self.add_marker(pytest.mark.filterwarnings("ignore"))

    def setup(self) -> None:
        self.parent.load()

    def runtest(self) -> None:
        from exercises.kit.checking.examples import Result

        if self.parent.trouble is not None:
            self.result = Result("not loadable", self.parent.trouble[0])
        elif self.config.option.usepdb:
            self._debug()
        else:
            self._check()
        if self.result.outcome == "missing" and self.instead:
            told = f"{self.name} is not defined; where it stood, {self.instead} is"
            self.result = Result("missing", told)
        if self.result.outcome != "passed":
            raise AssertionError(self.result.message)  # what editors show as failed, not as an error

    def _check(self) -> None:
        from exercises.kit.checking.examples import run

        self.result = run(self.exercise, self.parent.namespace, stopped=pytest.fail.Exception)

    def _debug(self) -> None:
        """Check it, and raise what makes pytest's debugger stop in the student's code."""
        from exercises.kit.studying import debugging

        with debugging.last_frame(self.name, self.parent.namespace) as kept:
            self._check()
        if self.result.outcome in ("not started", "waiting"):
            raise debugging.NothingToDebug(self.result.message)
        if self.result.outcome == "wrong":
            frames = debugging.own_frames(self.result.error, self.parent.namespace) or next(iter(kept), None)
            raise AssertionError(self.result.message).with_traceback(frames)

    def repr_failure(self, excinfo, style=None):
        ours = isinstance(excinfo.value, KitError) or (self.result and isinstance(excinfo.value, AssertionError))
        return str(excinfo.value) if ours else super().repr_failure(excinfo, style)

    def reportinfo(self):
        return self.path, self.line - 1, self.name

    def describe(self, printed: str = "") -> screen.Entry:
        """What the screen needs to know of this exercise, after it ran or where it did not."""
        from exercises.kit.checking.examples import short_path

        place = f"{short_path(str(self.path))}:{self.line}"
        return {
            "lesson": self.exercise.lesson,
            "total": len(lessons()[self.exercise.lesson].exercises),
            "position": self.position,
            "name": self.name,
            "core": self.exercise.core,
            "outcome": self.result.outcome if self.result else "not run",
            "message": self.result.message if self.result else "",
            "printed": screen.printed_line(printed) if printed else "",
            "place": self.parent.trouble[1] if self.parent.trouble else place,
        }


def _only_lessons(config: pytest.Config) -> bool:
    """Whether nothing but lessons will be collected, so that the report is ours to write."""
    paths = {Path(config.invocation_params.dir, argument.partition("::")[0]).resolve() for argument in config.args}
    other_tests = (path for pattern in config.getini("python_files") for path in _HERE.rglob(pattern))
    return all(_is_lesson(path) or (path == _HERE and not any(other_tests)) for path in paths)


def pytest_configure(config: pytest.Config) -> None:
    config.addinivalue_line("markers", "core: what the course's own notebooks do")
    config.addinivalue_line("markers", "practice: further practice")
    option = config.option
    calm = option.verbose <= 0 and not option.collectonly and _only_lessons(config)
    config.stash[_CALM], config.stash[_QUIET] = calm, option.verbose < 0
    if calm:
        option.verbose = -2  # pytest's own header and last line away; the screen says it
        try:
            lessons()
        except KitError as error:
            raise pytest.UsageError(str(error)) from error


def pytest_sessionstart(session: pytest.Session) -> None:
    reporter = session.config.pluginmanager.get_plugin("terminalreporter")
    if reporter and reporter.isatty() and session.config.stash[_CALM] and session.config.option.capture != "no":
        session.config.pluginmanager.register(RunningLine(reporter))


class RunningLine:
    """On a terminal, the exercise that is running; wiped away at the end."""

    def __init__(self, reporter):
        self.reporter = reporter

    def show(self, text: str) -> None:
        width = self.reporter._tw.fullwidth - 1
        self.reporter.write(f"\r{text[:width]:<{width}}\r")

    @pytest.hookimpl(tryfirst=True)
    def pytest_collection(self) -> None:
        self.show("importing the libraries")

    def pytest_runtest_logstart(self, nodeid: str) -> None:
        self.show(nodeid)

    @pytest.hookimpl(tryfirst=True)
    def pytest_sessionfinish(self) -> None:
        self.show("")


@pytest.hookimpl(wrapper=True)
def pytest_collect_file(file_path: Path, parent: pytest.Collector):
    collectors = yield  # pytest's own would import a lesson that is named on the command line
    return [LessonFile.from_parent(parent, path=file_path)] if _is_lesson(file_path) else collectors


def pytest_collection_finish(session: pytest.Session) -> None:
    files = {item.parent for item in session.items if isinstance(item, ExerciseItem)}
    if session.config.option.collectonly or not files:
        return
    if session.config.option.judge and not hasattr(session.config, "workerinput"):
        from exercises.kit.studying import judging

        session.config.stash[_BEGUN] = judging.begin(
            [f"{item.path}::{item.name}" for item in session.items if isinstance(item, ExerciseItem)]
        )
    for file in files:
        loading.import_libraries(file.path)
    importlib.import_module("exercises.kit.checking.examples")


@pytest.hookimpl(optionalhook=True)
def pytest_timeout_set_timer(item: pytest.Item, settings):
    """pytest-timeout's hook for another alarm: ours gets out of `except:` and prints no stacks."""
    if not isinstance(item, ExerciseItem) or settings.method != "signal":
        return None
    from pytest_timeout import is_debugging

    def namespace() -> dict | None:
        return item.parent.namespace if settings.disable_debugger_detection or not is_debugging(earlier) else None

    def stop() -> None:
        pytest.fail(f"Timeout (>{settings.timeout}s)")

    earlier = sys.gettrace()
    item.cancel_timeout = set_alarm(settings.timeout, namespace, stop)
    return True


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item: pytest.Item, call: pytest.CallInfo):
    report = yield
    if isinstance(item, ExerciseItem) and call.when == "call" and item.result is not None:
        report.exercise = item.describe(dict(report.sections).get("Captured stdout call", ""))
    return report


@pytest.hookimpl(wrapper=True)
def pytest_report_teststatus(report: pytest.TestReport, config: pytest.Config):
    status = yield  # an editor's plugin listens here
    entry = getattr(report, "exercise", None)
    if entry is None:
        return status
    category, letter, word = _WORDS[entry["outcome"]]
    return (category, "", "") if config.stash[_CALM] else (category, letter, word)


def _entries(reporter) -> list[screen.Entry]:
    """What is known of the exercises of this run, those included that it did not come to."""
    reports = (each for group in reporter.stats.values() for each in group if isinstance(each, pytest.TestReport))
    ran = {each.nodeid: each.exercise for each in reports if hasattr(each, "exercise")}
    items = getattr(reporter._session, "items", [])  # of its own, not of xdist's processes
    left = [item for item in items if isinstance(item, ExerciseItem) and item.nodeid not in ran]
    return [*ran.values(), *(item.describe() for item in left if ran)]


@pytest.hookimpl(trylast=True)
def pytest_sessionfinish(session: pytest.Session) -> None:
    reporter = session.config.pluginmanager.get_plugin("terminalreporter")
    if reporter is None or hasattr(session.config, "workerinput"):
        return
    session.config.stash[_ENTRIES] = entries = _entries(reporter)
    if entries and session.config.stash[_CALM]:
        session.shouldfail = ""  # "stopping after 1 failures": the screen says what was not run
    if entries and session.config.option.judge:
        session.config.stash[_JUDGE] = commands.judge(entries, session.config.stash.get(_BEGUN, None))
        if session.exitstatus == pytest.ExitCode.OK and any(each["outcome"] != "passed" for each in entries):
            session.exitstatus = pytest.ExitCode.TESTS_FAILED


def pytest_terminal_summary(terminalreporter, config: pytest.Config) -> None:
    entries, writer = config.stash.get(_ENTRIES, []), terminalreporter._tw
    if entries:
        if not config.stash[_CALM]:
            terminalreporter.line("")
        screen.show(writer, entries, brief=config.stash[_QUIET])
        commands.finish(writer, entries, config, config.stash.get(_JUDGE, ""))
    elif config.stash[_CALM] and not terminalreporter.stats.keys() - {"deselected"}:
        terminalreporter.write_line("No exercise was selected.")
