"""`check` in a real kernel, as JupyterLab drives it: with the hidden tests, and interrupted; the kernel goes on in any case."""

import os
import signal
import time
from collections.abc import Callable, Iterator
from queue import Empty

import psutil
import pytest
from jupyter_client.manager import start_new_kernel

from graders import ROOT

pytestmark = pytest.mark.timeout(120)
RIGHT = "def integer_range(dtype):\n    info = torch.iinfo(dtype)\n    return info.min, info.max"
BY_ITS_EXAMPLES = RIGHT.replace("info =", "if dtype == torch.int32:\n        return 0, 1\n    info =")
ENDLESS = "def integer_range(dtype):\n    while True:\n        pass"
INTERRUPTED = "integer_range: the check was interrupted\n"


class Kernel:
    """A kernel in a student's folder."""

    def __init__(self) -> None:
        self.manager, self.client = start_new_kernel(cwd=str(ROOT / "exercises"))
        self.process = psutil.Process(self.manager.provisioner.pid)

    def run(self, code: str, until: Callable[[], bool] | None = None) -> list[str]:
        """Run a cell; return what it shows, and the name of its exception. until: when to interrupt it."""
        request = self.client.execute(code)
        shown: list[str] = []
        while True:
            if until is not None and until():
                os.kill(self.process.pid, signal.SIGINT)  # the kernel alone, not those that it started
                until = None
            try:
                message = self.client.get_iopub_msg(timeout=0.1)
            except Empty:
                continue
            if message["parent_header"].get("msg_id") != request:
                continue
            content = message["content"]
            if content.get("execution_state") == "idle":
                return shown
            if message["msg_type"] == "error":
                shown.append(content["ename"])
            elif message["msg_type"] in ("stream", "display_data"):
                shown.append(content.get("text") or content["data"]["text/plain"])

    def judges(self) -> list[psutil.Process]:
        """The processes of the hidden tests that it started."""
        return [each for each in self.process.children() if "judge" in each.cmdline()]


@pytest.fixture(scope="module")
def kernel() -> Iterator[Kernel]:
    made = Kernel()
    assert made.run("from exercises.kit.examples import check, hint\nimport torch") == []
    yield made
    made.client.stop_channels()
    made.manager.shutdown_kernel(now=True)


def test_a_right_answer_is_right_by_the_hidden_tests_too(kernel: Kernel) -> None:
    assert kernel.run(f"{RIGHT}\ncheck(integer_range, judge=True)") == [
        "integer_range: right, by the hidden tests too\n"
    ]


def test_what_the_examples_cannot_tell_the_hidden_tests_tell(kernel: Kernel) -> None:
    (told,) = kernel.run(f"{BY_ITS_EXAMPLES}\ncheck(integer_range, judge=True)")
    assert told.startswith("integer_range: its examples are right, a hidden test is not:\ninteger_range(torch.int32)\n")
    assert "\n  rule   " in told


@pytest.mark.parametrize(
    ("body", "told"),
    [
        ("    return -1, 1", "integer_range(torch.int8)\n  got    (-1, 1)\n  want   (-128, 127)"),
        ("    raise NotImplementedError()", "integer_range is not started yet\n"),
    ],
    ids=["wrong", "unsolved"],
)
def test_the_hidden_tests_wait_for_the_examples(kernel: Kernel, body: str, told: str) -> None:
    assert kernel.run(f"def integer_range(dtype):\n{body}\ncheck(integer_range, judge=True)") == [told]


def soon() -> Callable[[], bool]:
    due = time.monotonic() + 1
    return lambda: time.monotonic() > due


@pytest.mark.parametrize("answer", [ENDLESS, ENDLESS.replace("pass", "import time; time.sleep(60)")])
def test_an_interrupt_of_an_endless_loop_is_one_line(kernel: Kernel, answer: str) -> None:
    assert kernel.run(f"{answer}\ncheck(integer_range)", until=soon()) == [INTERRUPTED]
    assert kernel.run("print('alive')") == ["alive\n"]


def test_an_interrupt_of_the_hidden_tests_is_one_line_and_ends_them(kernel: Kernel) -> None:
    assert kernel.run(RIGHT) == []
    assert kernel.run("check(integer_range, judge=True)", until=lambda: bool(kernel.judges())) == [INTERRUPTED]
    assert psutil.wait_procs(kernel.judges(), timeout=30)[1] == []
    assert kernel.run("print('alive')") == ["alive\n"]
