"""How pytest sees the lessons: one item per exercise, in order, and one calm screen at the end.

A lesson is found by its name and read as text; it is imported inside its first item, so that the time limit covers an
endless loop at module level.  Nothing is compared here: `exercises.kit.checking.examples` does that.
"""

import contextlib
import importlib
import re
import sys
from pathlib import Path

import pytest
from _pytest.config import create_terminal_writer

_HERE = Path(__file__).resolve().parent
if str(_HERE.parent) not in sys.path:  # the kit has one name wherever pytest is started
    sys.path.insert(0, str(_HERE.parent))

from exercises.kit.checking import loading, screen  # noqa: E402
from exercises.kit.checking.alarm import set_alarm  # noqa: E402
from exercises.kit.lessons import Exercise, KitError, lessons  # noqa: E402

_CALM = pytest.StashKey[bool]()  # only lessons run, without -v: our screen takes the place of pytest's report
_QUIET = pytest.StashKey[bool]()
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
            line = lines.get(exercise.name, 1)
            yield ExerciseItem.from_parent(self, exercise=exercise, position=position, line=line)

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


class ExerciseItem(pytest.Item):
    """The examples of one exercise."""

    parent: LessonFile

    def __init__(self, *, exercise: Exercise, position: int, line: int, **kwargs):
        super().__init__(exercise.name, **kwargs)
        self.exercise, self.position, self.line = exercise, position, line
        self.result = None
        self.add_marker("core" if exercise.core else "practice")
        self.add_marker(pytest.mark.filterwarnings("ignore"))

    def setup(self) -> None:
        self.parent.load()

    def runtest(self) -> None:
        from exercises.kit.checking.examples import Result, run

        if self.parent.trouble is not None:
            self.result = Result("not loadable", self.parent.trouble[0])
        else:
            self.result = run(self.exercise, self.parent.namespace, stopped=pytest.fail.Exception)
        if self.result.outcome != "passed":
            raise AssertionError(self.result.message)  # what editors show as failed, not as an error

    def repr_failure(self, excinfo, style=None):
        ours = isinstance(excinfo.value, KitError) or (self.result and isinstance(excinfo.value, AssertionError))
        return str(excinfo.value) if ours else super().repr_failure(excinfo, style)

    def reportinfo(self):
        return self.path, self.line - 1, self.name

    def describe(self, printed: str) -> screen.Entry:
        """What the screen needs to know of this exercise after it ran."""
        from exercises.kit.checking.examples import printed_line, short_path

        place = f"{short_path(str(self.path))}:{self.line}"
        return {
            "lesson": self.exercise.lesson,
            "total": len(lessons()[self.exercise.lesson].exercises),
            "position": self.position,
            "name": self.name,
            "core": self.exercise.core,
            "outcome": self.result.outcome,
            "message": self.result.message,
            "printed": printed_line(printed) if printed else "",
            "place": self.parent.trouble[1] if self.parent.trouble else place,
        }


def _only_lessons(config: pytest.Config) -> bool:
    """Whether nothing but lessons will be collected, so that the report is ours to write."""
    paths = {Path(config.invocation_params.dir, argument.partition("::")[0]).resolve() for argument in config.args}
    other_tests = (path for pattern in config.getini("python_files") for path in _HERE.rglob(pattern))
    return all(_is_lesson(path) or (path == _HERE and not any(other_tests)) for path in paths)


def pytest_addoption(parser: pytest.Parser) -> None:
    group = parser.getgroup("exercises")
    group.addoption("--list", action="store_true", help="show every exercise, its state and its place; check nothing")
    group.addoption("--hint", metavar="NAME", help="show the next of three hints for an exercise")
    group.addoption("--watch", action="store_true", help="check the exercise at hand again at every save")
    group.addoption("--reset", metavar="NAME", help="put the stub of an exercise back, and keep the answer beside it")
    pack = "check, then write a zip to hand in, named NAME.zip (default: your user name; write --pack=NAME)"
    group.addoption("--pack", metavar="NAME", nargs="?", const="", help=pack)


def pytest_cmdline_main(config: pytest.Config) -> int | None:
    """Do what was asked for instead of a check."""
    option = config.option
    if not (option.list or option.hint or option.reset or option.watch):
        return None
    from exercises.kit.studying import answers, finding, hints, listing

    writer = create_terminal_writer(config)
    try:
        if option.list:
            writer.line("\n".join(listing.listed()))
        elif option.hint:
            writer.line(hints.next_hint(option.hint))
        elif option.reset:
            writer.line("\n".join(answers.reset(finding.find(option.reset))))
        else:
            from exercises.kit.studying.watching import watch

            config.pluginmanager.getplugin("capturemanager").suspend_global_capture(in_=True)  # keys are read
            watch(_watched(config), writer, float(config.getini("timeout") or 10))
    except KitError as error:
        raise pytest.UsageError(str(error)) from error
    return pytest.ExitCode.OK


def _watched(config: pytest.Config) -> list[Path]:
    """The lessons that were named, or that lie in a folder that was."""
    given = [Path(config.invocation_params.dir, argument.partition("::")[0]).resolve() for argument in config.args]
    paths = [_HERE / f"{name}.py" for name in lessons()]
    found = [path for path in paths if path.is_file() and any(place in (path, *path.parents) for place in given)]
    if not found:
        raise KitError("There is no lesson to watch in what was named.")
    return found


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


def pytest_terminal_summary(terminalreporter, config: pytest.Config) -> None:
    kinds = (pytest.TestReport, pytest.CollectReport)
    reports = [each for group in terminalreporter.stats.values() for each in group if isinstance(each, kinds)]
    entries = [report.exercise for report in reports if hasattr(report, "exercise")]
    if entries:
        if not config.stash[_CALM]:
            terminalreporter.line("")
        screen.show(terminalreporter._tw, entries, brief=config.stash[_QUIET])
        _after_the_screen(terminalreporter._tw, entries, config)
    elif config.stash[_CALM] and not reports:
        terminalreporter.write_line("No exercise was selected.")


def _after_the_screen(writer, entries: list[screen.Entry], config: pytest.Config) -> None:
    """Remember what turned green, and hand in if that was asked for."""
    from exercises.kit.studying import memory, packing

    keys = {f"{entry['lesson']}::{entry['name']}": entry["outcome"] for entry in entries}
    green = [key for key, outcome in keys.items() if outcome == "passed"]
    memory.turned_green(green, [key for key in keys if key not in green])
    if config.option.pack is None:
        return
    try:
        made, names = packing.pack(config.option.pack, Path(config.invocation_params.dir))
    except KitError as error:
        writer.line(str(error))
        return
    still = len(keys) - len(green)
    writer.line(f"{made.name} holds {', '.join(names)}" + (f"; {still} exercises are not right yet" if still else ""))
