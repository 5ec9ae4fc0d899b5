"""The hidden tests under plain pytest: `pytest graders/` on the solutions, `pytest graders/ --submission=FILE` on a file.

The fixtures are those of the judge itself: the same workers, the same recorded calls, the same messages.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from exercises.kit.checking.closeness import Mismatch
from graders import lessons
from graders.collecting.attempt import Attempt, Submission
from graders.collecting.endings import WorkerEnded
from graders.collecting.processes import Zygote
from graders.judge import checks, judge, names
from graders.judge.contract import StudentRaised
from graders.judge.proxy import NotDefined, Proxy

_OURS = (Mismatch, StudentRaised, WorkerEnded, NotDefined)
SEED = "pytest graders/"
SECONDS = 120
_HERE = Path(__file__).parent


class Session:
    """What one pytest session needs per lesson: a judge, the submission's cells, and the attempt in progress."""

    def __init__(self, submission: Path | None, seed: str) -> None:
        self.submission, self.seed = submission, seed
        self.zygotes: dict[tuple[str, ...], Zygote] = {}
        self.judges: dict[str, judge.Judge] = {}
        self.read: dict[str, Submission] = {}
        self.attempt: Attempt | None = None
        self.lesson = ""

    def judge_of(self, lesson: str) -> judge.Judge:
        """Return the lesson's judge, made at its first use."""
        if lesson not in self.judges:
            found = lessons.load(lesson)
            zygote = self.zygotes.setdefault(found.libraries, Zygote(found.libraries))
            self.judges[lesson] = judge.Judge(found, self.seed, zygote)
        return self.judges[lesson]

    def attempt_of(self, lesson: str, exercise: str) -> Attempt:
        """Return the attempt at an exercise: its worker has answered the recorded calls."""
        made = self.judge_of(lesson)
        if self.attempt is None or (self.lesson, self.attempt.name) != (lesson, exercise):
            self.end()
            if lesson not in self.read:
                file = self.submission or Path(str(made.lesson.solution.__file__))
                told = made.zygote.read(file.read_bytes(), file.suffix == ".ipynb", {lesson: made.names})
                if "error" in told:
                    raise pytest.UsageError(f"{file.name}: {told['error']}")
                self.read[lesson] = Submission(told["lessons"][lesson])
            together_with = made.exercise(exercise).together_with
            asked = self.read[lesson].asked(exercise, made.recording.calls(exercise), together_with)
            self.lesson, self.attempt = lesson, Attempt(made.zygote, self.read[lesson], asked)
            self.attempt.start()
        return self.attempt

    def end(self) -> None:
        """End the worker of the attempt in progress."""
        if self.attempt is not None:
            self.attempt.end()
            self.attempt = None


_KEY = pytest.StashKey[Session]()


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--submission", metavar="FILE", help="judge this .py or .ipynb file (write it with '=')")
    parser.addoption("--seed", metavar="TEXT", default=SEED, help="the secret that hidden inputs are made from")


def pytest_itemcollected(item: pytest.Item) -> None:
    """Let `-k dot_in_dtype` select the checks of an exercise, which bear only its class's name."""
    if _HERE in item.path.parents and isinstance(item, pytest.Function) and item.cls is not None:
        item.extra_keyword_matches.add(names.exercise_name(item.cls))


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:
        if _HERE in item.path.parents and item.get_closest_marker("timeout") is None:
            item.add_marker(pytest.mark.timeout(SECONDS))


def pytest_configure(config: pytest.Config) -> None:
    given = config.getoption("--submission")
    if given is not None and not Path(given).is_file():
        raise pytest.UsageError(f"--submission={given}: there is no such file")
    config.stash[_KEY] = Session(Path(given) if given else None, config.getoption("--seed"))


def pytest_unconfigure(config: pytest.Config) -> None:
    session = config.stash.get(_KEY, None)
    if session is not None:
        session.end()
        for zygote in session.zygotes.values():
            zygote.close()


def _lesson(request: pytest.FixtureRequest) -> str:
    return request.path.stem.removeprefix("test_")


@pytest.fixture
def student(request: pytest.FixtureRequest) -> Proxy:
    """The submission's functions, answered by a worker."""
    session = request.config.stash[_KEY]
    exercise = names.exercise_name(request.cls)
    attempt = session.attempt_of(_lesson(request), exercise)
    lost = attempt.fate()
    if lost is not None:
        raise Mismatch(got=lost[1], want=f"an implementation of {exercise}")
    proxy = Proxy(attempt.ask)
    request.node.stash[_PROXY] = proxy
    return proxy


_PROXY = pytest.StashKey[Proxy]()


@pytest.fixture
def reference(request: pytest.FixtureRequest) -> Proxy:
    """The reference solutions, answered in this process."""
    return request.config.stash[_KEY].judge_of(_lesson(request)).reference


@pytest.fixture
def generator(request: pytest.FixtureRequest) -> Any:
    """The generator of this case's hidden inputs, as in a judgement with this session's seed."""
    spec = getattr(request.node, "callspec", None)
    name, seed = names.exercise_name(request.cls), request.config.getoption("--seed")
    return checks.generator(seed, name, request.node.originalname, spec.id if spec else "")


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item: pytest.Item, call: pytest.CallInfo) -> Any:
    report = yield
    if call.excinfo is not None and isinstance(call.excinfo.value, _OURS) and isinstance(item, pytest.Function):
        exercise = names.exercise_name(item.cls) if item.cls else ""
        proxy = item.stash.get(_PROXY, None)
        lesson = item.config.stash[_KEY].judge_of(item.path.stem.removeprefix("test_"))
        report.longrepr = lesson.message(exercise, item.function.__doc__ or item.name, proxy, call.excinfo.value)[1]
    return report
