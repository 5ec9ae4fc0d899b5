"""How pytest sees the lessons: one item per exercise, in order, and one calm screen at the end.

A lesson is found by its name and read as text; it is imported inside its first item, so that the time limit covers an
endless loop at module level.  Nothing is compared here: `exercises.kit.checking.examples` does that.
"""

import ast
import contextlib
import importlib
import re
import sys
from pathlib import Path
from types import ModuleType

import pytest

_HERE = Path(__file__).resolve().parent
if str(_HERE.parent) not in sys.path:  # the kit has one name wherever pytest is started
    sys.path.insert(0, str(_HERE.parent))

from exercises.kit.checking import screen  # noqa: E402
from exercises.kit.checking.alarm import set_alarm  # noqa: E402
from exercises.kit.lessons import Exercise, KitError, lessons  # noqa: E402

_LIBRARIES = {"matplotlib", "numpy", "optimum", "safetensors", "torch", "transformers"}
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


def _imports_a_library(statement: ast.stmt) -> bool:
    if isinstance(statement, ast.ImportFrom):
        names = [statement.module or ""]
    else:
        names = [alias.name for alias in statement.names] if isinstance(statement, ast.Import) else []
    return any(name.partition(".")[0] in _LIBRARIES or name.startswith("exercises.kit") for name in names)


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

    def import_libraries(self) -> None:
        """Import what the lesson takes from torch, the kit and the like, so that their seconds are not the student's."""
        with contextlib.suppress(SyntaxError, ValueError, OSError):  # said when it is loaded
            for statement in ast.parse(self.path.read_bytes()).body:
                if _imports_a_library(statement):
                    with contextlib.suppress(Exception):
                        exec(compile(ast.Module([statement], []), str(self.path), "exec"), {})

    def load(self) -> None:
        """Execute the lesson, once; what stops it is kept in `trouble`."""
        if self.namespace is not None:
            return
        name = f"exercises.{self.path.stem}"
        module = ModuleType(name)
        module.__file__ = str(self.path)
        sys.modules[name] = module
        self.namespace = vars(module)
        try:
            exec(compile(self.path.read_bytes(), str(self.path), "exec"), self.namespace)
        except (Exception, SystemExit, pytest.fail.Exception) as error:
            del sys.modules[name]
            self.trouble = self._explain(error)

    def _explain(self, error: BaseException) -> tuple[str, str]:
        from exercises.kit.checking.examples import describe_error, place_of, short_path

        if isinstance(error, SyntaxError) and error.filename == str(self.path):
            place = f"{short_path(error.filename)}:{error.lineno or 1}"
            line = (error.text or "").strip()
            return f"{type(error).__name__}: {error.msg} ({place})" + (f"\n    {line[:100]}" if line else ""), place
        place = place_of(error.__traceback__, self.namespace) or f"{short_path(str(self.path))}:1"
        return describe_error(error, isinstance(error, pytest.fail.Exception), place), place


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
        file.import_libraries()
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
    elif config.stash[_CALM] and not reports:
        terminalreporter.write_line("No exercise was selected.")
