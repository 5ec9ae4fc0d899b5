"""What a student sees of `pytest exercises/`, each run in a process of its own, on small folders.

Most runs are forked from a process that has imported torch and pytest and nothing of ours; `cold` ones are started as a
student starts them.
"""

import json
import multiprocessing
import os
import pty
import re
import shutil
import subprocess
import sys
import time
from pathlib import Path
from xml.etree import ElementTree

import pytest

pytestmark = pytest.mark.timeout(240)  # each run imports torch

EXERCISES = Path(__file__).resolve().parents[2] / "exercises"
STUB = "    # YOUR CODE HERE\n    raise NotImplementedError()\n"
SETTINGS = """[tool.pytest.ini_options]
testpaths = ["exercises"]
pythonpath = ["."]
addopts = ["--import-mode=importlib", "--strict-markers"]
timeout = 60
"""


def exercise(name: str, core: bool, examples: str) -> dict:
    return {"name": name, "core": core, "summary": "", "examples": f"Do it.\n\n{examples}"}


LESSONS = [
    {
        "name": "l1_small",
        "title": "Small",
        "exercises": [
            exercise("double", True, ">>> double(2)\n4\n>>> double(0.5)\n1.0\n"),
            exercise("letters", True, ">>> letters('ab')\n{'a': 1, 'b': 1}\n"),
            exercise("quadruple", False, ">>> quadruple(2)\n8\n"),
            exercise("spin", False, ">>> spin()\n1\n"),
        ],
    },
    {"name": "l2_more", "title": "More", "exercises": [exercise("first", True, ">>> first([7, 8])\n7\n")]},
]
HINTS = {"l1_small": {"double": [{"example": 1, "value": "float 0.25", "hint": "that is the square"}]}}
RIGHT = {
    "double": "def double(x):\n    return x * 2\n",
    "letters": "def letters(word):\n    return {letter: word.count(letter) for letter in word}\n",
    "quadruple": "def quadruple(x):\n    return double(double(x))\n",
    "spin": "def spin():\n    return 1\n",
    "first": "def first(x):\n    return x[0]\n",
}
UNTOUCHED = """
l1_small  ────────────────────────  core 0/2, practice 0/2
l2_more   ────────────────────────  core 0/1

5 not started
Next: double, exercises/l1_small.py:3
"""


def _forks() -> multiprocessing.context.ForkServerContext:
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(["torch", "pytest", "doctest"])
    return context


def _run_pytest(folder: str, arguments: list[str], environment: dict[str, str], output: str) -> None:
    """The body of a forked process: what `python -m pytest` does, with stdout and stderr in two files."""
    os.chdir(folder)
    os.environ.clear()
    os.environ.update(environment)
    sys.path[:] = [folder, *(path for path in sys.path if "site-packages" in path or "python3" in path)]
    sys.argv = ["pytest", *arguments]
    for number, name in ((1, "stdout"), (2, "stderr")):
        os.dup2(os.open(f"{output}.{name}", os.O_WRONLY | os.O_CREAT), number)
        setattr(sys, name, open(number, "w", encoding=environment["PYTHONIOENCODING"], closefd=False))  # noqa: SIM115
    code = pytest.main(arguments)
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(code)


class Folder:
    """A student's folder, the lessons in it, and runs of pytest there."""

    def __init__(self, path: Path):
        self.path = path
        shutil.copytree(
            EXERCISES / "kit", path / "exercises/kit", ignore=shutil.ignore_patterns("__pycache__", "*.json")
        )
        for name in ("conftest.py", "__init__.py"):
            shutil.copy(EXERCISES / name, path / "exercises" / name)
        (path / "exercises/kit/lessons.json").write_text(json.dumps({"lessons": LESSONS}))
        (path / "exercises/kit/hints.json").write_text(json.dumps(HINTS))
        (path / "pyproject.toml").write_text(SETTINGS)
        self.write()

    def write(self, before: str = "import math\n\n", **bodies: str) -> "Folder":
        """Write both lessons: these definitions, the others as stubs."""
        for lesson in LESSONS:
            names = [part["name"] for part in lesson["exercises"]]
            parts = [bodies.get(name, f"def {name}(*x):\n    '''Do it.'''\n{STUB}") for name in names]
            (self.path / f"exercises/{lesson['name']}.py").write_text(before + "\n".join(parts))
        return self

    def arguments(self, *arguments: str, plugins: tuple[str, ...] = ()) -> list[str]:
        chosen = [word for name in ("pytest_timeout", *plugins) for word in ("-p", name)]
        return [*chosen, *arguments]

    def environment(self, **extra: str) -> dict[str, str]:
        ignored = ("PYTEST", "PY_COLORS", "NO_COLOR", "FORCE_COLOR", "COLUMNS")
        kept = {name: value for name, value in os.environ.items() if not name.startswith(ignored)}
        return {**kept, "PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1", "COLUMNS": "80", "PYTHONIOENCODING": "utf-8", **extra}

    def run(
        self, *arguments: str, plugins: tuple[str, ...] = (), at: str = ".", cold: bool = False, **extra: str
    ) -> subprocess.CompletedProcess:
        """Run pytest at a place in the folder, as a student's environment would: without other plugins."""
        words, environment = self.arguments(*arguments, plugins=plugins), self.environment(**extra)
        if cold:
            command = [sys.executable, "-m", "pytest", *words]
            place = self.path / at
            return subprocess.run(
                command, cwd=place, env=environment, capture_output=True, encoding="utf-8", timeout=200
            )
        output = str(self.path / "output")
        process = _forks().Process(target=_run_pytest, args=(str(self.path / at), words, environment, output))
        process.start()
        process.join(200)
        process.kill()
        texts = [Path(f"{output}.{name}").read_text(encoding="utf-8") for name in ("stdout", "stderr")]
        for name in ("stdout", "stderr"):
            Path(f"{output}.{name}").unlink()
        return subprocess.CompletedProcess(words, process.exitcode, *texts)


@pytest.fixture
def folder(tmp_path) -> Folder:
    return Folder(tmp_path)


class TestScreen:
    def test_untouched(self, folder):
        done = folder.run("exercises/", cold=True)
        assert done.stdout == UNTOUCHED
        assert (done.returncode, done.stderr) == (1, "")

    def test_solved(self, folder):
        done = folder.write(**RIGHT).run()
        assert done.stdout == (
            "\nl1_small  ━━━━━━━━━━━━━━━━━━━━━━━━  core 2/2, practice 2/2\n"
            "l2_more   ━━━━━━━━━━━━━━━━━━━━━━━━  core 1/1\n\nAll 5 exercises are right by their examples.\n"
        )
        assert done.returncode == 0

    def test_half_solved(self, folder):
        folder.write(
            double="def double(x):\n    print('x', x)\n    return x * 2 if x == 2 else x * x\n",
            letters="def other_name(word):\n    pass\n",
            quadruple="def quadruple(x):\n    return first([x * 4])\n",
            spin="def spin():\n    return math.nothing\n",
        )
        done = folder.run("exercises")
        assert done.stdout == (
            "\nl1_small  ────────────────────────  core 0/2, practice 0/2\n"
            "l2_more   ────────────────────────  core 0/1\n"
            "\ndouble  exercises/l1_small.py:3\n"
            "  double(0.5)\n"
            "    got    0.25\n"
            "    want   1.0\n"
            "    hint   that is the square\n"
            "    print  x 2 (and 1 more line)\n"
            "\nletters  exercises/l1_small.py:7\n"
            "  letters is not defined; where it stood, other_name is\n"
            "\nquadruple  exercises/l1_small.py:10\n"
            "  quadruple(2)\n"
            "    got    NameError: name 'first' is not defined (exercises/l1_small.py:11)\n"
            "    want   8\n"
            "\nspin  exercises/l1_small.py:13\n"
            "  spin()\n"
            "    got    AttributeError: module 'math' has no attribute 'nothing'\n"
            "           (exercises/l1_small.py:14)\n"
            "    want   1\n"
            "\n1 not started\nNext: double, exercises/l1_small.py:3\n"
        )
        assert (done.returncode, done.stderr) == (1, "")

    def test_an_exercise_that_needs_another_is_quiet(self, folder):
        bodies = {name: body for name, body in RIGHT.items() if name != "double"}
        done = folder.write(**bodies).run()
        assert (
            "quadruple needs double first\n3 right by their examples, 1 not started\nNext: double, exercises/l1_small.py:3\n"
            in done.stdout
        )
        assert "got" not in done.stdout

    def test_deleted_docstrings_prints_warnings_and_another_order_change_nothing(self, folder):
        letters = "def letters(word):\n    print(word)\n    import warnings\n    warnings.warn('careful')\n"
        letters += "    return {letter: 1 for letter in reversed(word)}\n"
        done = folder.write(before="print('hello')\n", **{**RIGHT, "letters": letters}).run()
        assert done.returncode == 0
        assert "hello" not in done.stdout + done.stderr
        assert "careful" not in done.stdout + done.stderr

    def test_a_print_at_module_level_is_not_shown_under_an_exercise(self, folder):
        done = folder.write(before="print('hello')\n", double="def double(x):\n    return x\n").run()
        assert "got    2" in done.stdout
        assert "hello" not in done.stdout


class TestBrokenFiles:
    def test_a_syntax_error_is_one_message_with_its_line(self, folder):
        folder.write(**{**RIGHT, "letters": "def letters(word:\n    return {}\n"})
        done = folder.run()
        assert done.stdout == (
            "\nl1_small  ────────────────────────  core 0/2, practice 0/2\n"
            "l2_more   ━━━━━━━━━━━━━━━━━━━━━━━━  core 1/1\n"
            "\nl1_small could not be loaded; 4 exercises are not checked\n"
            "  SyntaxError: '(' was never closed (exercises/l1_small.py:6)\n"
            "      def letters(word:\n"
            "\n1 right by their examples\nNext: exercises/l1_small.py:6\n"
        )
        assert (done.returncode, done.stderr) == (1, "")

    def test_an_exception_at_module_level_names_its_line(self, folder):
        done = folder.write(before="import math\n\nmath.nothing\n").run("exercises/l1_small.py", COLUMNS="120")
        assert "l1_small could not be loaded; 4 exercises are not checked\n" in done.stdout
        assert (
            done.stdout.count("AttributeError: module 'math' has no attribute 'nothing' (exercises/l1_small.py:3)") == 1
        )
        assert done.returncode == 1

    def test_an_endless_loop_at_module_level_is_waited_for_once(self, folder):
        (folder.write(**RIGHT).path / "exercises/l1_small.py").write_text(
            "import time\nwhile True:\n    time.sleep(0.01)\n"
        )
        started = time.monotonic()
        done = folder.run("-o", "timeout=4", COLUMNS="120")
        assert time.monotonic() - started < 60
        assert "no end after 4 s, stopped at exercises/l1_small.py:3" in done.stdout
        assert "l2_more   ━━━━━━━━━━━━━━━━━━━━━━━━  core 1/1\n" in done.stdout
        assert (done.returncode, "Traceback" in done.stdout) == (1, False)

    def test_endless_loops_are_stopped_and_named(self, folder):
        folder.write(
            double="def double(x):\n    while True:\n        pass\n",
            letters="def letters(word):\n    while True:\n        try:\n            while True:\n                word\n"
            "        except:\n            pass\n",
            quadruple="def quadruple(x):\n    try:\n        return quadruple(x)\n    except RecursionError:\n"
            "        while True:\n            print(x, end='')\n",
            spin=RIGHT["spin"],
        )
        done = folder.run("exercises/l1_small.py", "-o", "timeout=3", COLUMNS="120")
        assert "double(2)\n    got    no end after 3 s, stopped at exercises/l1_small.py:" in done.stdout
        assert "letters('ab')\n    got    no end after 3 s, stopped at exercises/l1_small.py:1" in done.stdout
        assert "quadruple(2)\n    got    no end after 3 s, stopped at exercises/l1_small.py:1" in done.stdout
        assert f"print  {'2' * 77}...\n" in done.stdout
        assert "core 0/2, practice 1/2" in done.stdout
        assert done.stderr == ""

    def test_whatever_is_wrong_with_a_file_is_one_message(self, folder):
        broken = {
            "l3_bytes": (b"x = '\xff\xfe'\n", "SyntaxError"),
            "l4_null": (b"x = 1\x00\n", "null bytes"),
            "l5_exit": (b"raise SystemExit(0)\n", "SystemExit: 0"),
            "l6_import": (b"import nothing_of_that_name\n", "ModuleNotFoundError"),
            "l7_indentation": (b"def f():\n  return 1\n return 2\n", "IndentationError"),
            "l8_unsolved": (b"def one():\n    raise NotImplementedError()\none()\n", "NotImplementedError"),
        }
        parts = [exercise("one", True, ">>> one()\n1\n"), exercise("two", False, ">>> two()\n2\n")]
        table = [*LESSONS, *({"name": name, "title": "", "exercises": parts} for name in broken)]
        (folder.write(**RIGHT).path / "exercises/kit/lessons.json").write_text(json.dumps({"lessons": table}))
        for name, (content, _) in broken.items():
            (folder.path / f"exercises/{name}.py").write_bytes(content)
        done = folder.run()
        for name, (_, reason) in broken.items():
            told = done.stdout.split(f"\n{name} could not be loaded; 2 exercises are not checked\n")[1]
            assert reason in told.split("\n\n")[0]
            assert f"exercises/{name}.py:" in told.split("\n\n")[0]
        assert "core 2/2, practice 2/2" in done.stdout
        assert (done.returncode, done.stderr, "Traceback" in done.stdout) == (1, "", False)

    def test_an_empty_file_has_nothing_defined(self, folder):
        (folder.path / "exercises/l2_more.py").write_text("")
        done = folder.run("exercises/l2_more.py")
        assert "first is not defined" in done.stdout
        assert done.returncode == 1

    def test_a_file_that_is_no_lesson_is_left_alone(self, folder):
        (folder.write(**RIGHT).path / "exercises/l1_small (copy).py").write_text("raise SystemExit(3)\n")
        (folder.path / "exercises/l7_of_another_course.py").write_text("raise SystemExit(3)\n")
        assert folder.run().returncode == 0

    def test_a_missing_or_damaged_kit_is_one_sentence(self, folder):
        table = folder.path / "exercises/kit/lessons.json"
        table.write_text("{")
        assert (
            folder.run().stderr
            == "ERROR: exercises/kit/lessons.json is damaged: please fetch the course files again.\n\n"
        )
        table.unlink()
        done = folder.run()
        assert done.stderr == "ERROR: exercises/kit/lessons.json is missing: please fetch the course files again.\n\n"
        assert (done.returncode, done.stdout) == (4, "")


class TestOptions:
    def test_markers(self, folder):
        folder.write(double=RIGHT["double"], letters=RIGHT["letters"], first=RIGHT["first"])
        done = folder.run("-m", "core")
        assert done.returncode == 0
        assert done.stdout.endswith(
            "\n2 not part of this run\nAll 3 exercises of this run are right by their examples.\n"
        )

    def test_k_and_ids(self, folder):
        folder.write(**RIGHT)
        assert "practice 1/1\n\n3 not part" in folder.run("exercises/l1_small.py", "-k", "spin").stdout
        assert "core 1/1\n\n3 not part" in folder.run("exercises/l1_small.py::double").stdout
        nothing = folder.run("-k", "nothing_like_it")
        assert (nothing.returncode, nothing.stdout.strip()) == (5, "No exercise was selected.")

    def test_a_notebook_that_is_named_too_is_passed_by(self, folder):
        (folder.path / "exercises/l1_small.ipynb").write_text('{"cells": []}', encoding="utf-8")
        both = folder.run("exercises/l1_small.ipynb", "exercises/l1_small.py")
        assert both.stdout == folder.run("exercises/l1_small.py").stdout
        alone = folder.run("exercises/l1_small.ipynb")
        assert (alone.returncode, alone.stdout) == (4, "")
        assert alone.stderr == (
            "ERROR: pytest checks the .py files; in a notebook, check(...) below an exercise checks it.\n\n"
        )

    def test_x_stops_at_the_first(self, folder):
        done = folder.run("-x")
        assert done.returncode == 1
        assert "core 0/2, practice 0/2\n" in done.stdout
        assert done.stdout.endswith("1 not started, 4 not run\nNext: double, exercises/l1_small.py:3\n")
        folder.write(double=RIGHT["double"], letters="def letters(text):\n    return 2\n")
        for option in ("-x", "--maxfail=1"):
            done = folder.run(option)
            assert "1 right by their examples, 3 not run\n" in done.stdout
            assert "  got    2\n" in done.stdout

    def test_one_exercise_is_said_in_the_singular(self, folder):
        folder.write(double=RIGHT["double"])
        alone = folder.run("exercises/l1_small.py::double")
        assert alone.stdout.endswith("\nThe one exercise of this run is right by its examples.\n")

    def test_stepwise_counts_what_it_did_not_come_to(self, folder):
        folder.write(double=RIGHT["double"])
        assert "1 right by their examples, 1 not started, 3 not run\n" in folder.run("--sw").stdout
        again = folder.run("--sw").stdout
        assert "1 not started, 3 not run, 1 not part of this run\n" in again, "it goes on where it stopped"

    @pytest.mark.parametrize(
        ("body", "asked", "told"),
        [
            ("    found = x * 3\n    return found\n", "p found\n", "6"),
            ("    kept = x + 40\n    return kept.nothing\n", "p kept\n", "42"),
        ],
        ids=["a wrong value", "an exception"],
    )
    def test_pdb_stops_in_the_students_code(self, folder, body, asked, told):
        folder.write(double=f"def double(x):\n{body}")
        command = [sys.executable, "-m", "pytest", *folder.arguments("exercises/l1_small.py", "--pdb")]
        stopped = subprocess.run(
            command,
            cwd=folder.path,
            env=folder.environment(),
            input=f"{asked}q\n",
            capture_output=True,
            encoding="utf-8",
            timeout=200,
        )
        assert f"(Pdb) {told}\n" in stopped.stdout
        assert "l1_small.py(5)double()" in stopped.stdout

    def test_pdb_passes_by_what_is_not_started(self, folder):
        done = folder.run("exercises/l1_small.py", "--pdb")
        assert "Pdb" not in done.stdout
        assert "4 not started" in done.stdout

    def test_q_is_shorter(self, folder):
        done = folder.write(double="def double(x):\n    return x\n").run("-q")
        assert "core 0/2" in done.stdout
        assert "got    2" in done.stdout
        assert "Next" not in done.stdout
        assert done.returncode == 1

    def test_v_keeps_pytests_own_lines(self, folder):
        lines = folder.write(double=RIGHT["double"], spin="def spin():\n    return 2\n").run("-v").stdout.splitlines()
        statuses = [line.split("[")[0].strip() for line in lines if "::" in line]
        assert (
            statuses
            == [
                "exercises/l1_small.py::double PASSED",
                "exercises/l1_small.py::letters NOT STARTED",
                "exercises/l1_small.py::quadruple WRONG",
                "exercises/l1_small.py::spin WRONG",
                "exercises/l2_more.py::first NOT STARTED",
            ]
            or statuses[2] == "exercises/l1_small.py::quadruple NOT STARTED"
        )
        assert "    got    2" in lines
        assert "Next: letters, exercises/l1_small.py:6" in lines
        assert not any("FAILURES" in line for line in lines)

    def test_co_lists_the_ids_in_lesson_order(self, folder):
        (folder.path / "exercises/l2_more.py").write_text("raise SystemExit('not imported to collect')\n")
        done = folder.run("--co", "-q")
        names = ["l1_small.py::double", "l1_small.py::letters", "l1_small.py::quadruple", "l1_small.py::spin"]
        assert done.stdout.split("\n\n")[0].splitlines() == [
            f"exercises/{name}" for name in [*names, "l2_more.py::first"]
        ]
        assert done.returncode == 0

    def test_xdist_gives_the_same_screen(self, folder):
        done = folder.run("-n", "2", plugins=("xdist.plugin",), cold=True)
        assert done.stdout.endswith(UNTOUCHED)
        assert done.returncode == 1
        folder.write(**{**RIGHT, "letters": "def letters(word:\n    return {}\n"})
        broken = folder.run("-n", "2", plugins=("xdist.plugin",), cold=True)
        assert broken.stdout.count("SyntaxError") == 1
        assert "core 1/1" in broken.stdout

    def test_junit(self, folder):
        folder.write(double=RIGHT["double"], letters="def letters(word):\n    print('here')\n    return 3\n").run(
            "--junitxml", "junit.xml"
        )
        cases = list(ElementTree.parse(folder.path / "junit.xml").iter("testcase"))
        assert [(case.get("classname"), case.get("name")) for case in cases[:2]] == [
            ("exercises.l1_small", "double"),
            ("exercises.l1_small", "letters"),
        ]
        assert cases[0].find("failure") is None
        assert cases[1].find("failure").text.splitlines()[0] == "letters('ab')"
        assert cases[4].find("failure").get("message") == "first is not started yet"
        assert len(cases) == 5

    def test_other_tests_are_reported_as_ever(self, folder):
        (folder.path / "exercises/test_mine.py").write_text("def test_mine():\n    assert [1] == [2]\n")
        done = folder.write(**RIGHT).run()
        for text in (
            "test session starts",
            "test_mine.py F",
            "= FAILURES =",
            "E       assert [1] == [2]",
            "1 failed, 5 passed",
        ):
            assert text in done.stdout
        assert "core 2/2, practice 2/2" in done.stdout
        alone = folder.run("exercises/test_mine.py").stdout
        assert "1 failed in" in alone
        assert "core" not in alone

    def test_last_failed(self, folder):
        folder.write(**{**RIGHT, "spin": "def spin():\n    return 2\n"}).run()
        done = folder.run("--lf")
        assert "practice 0/1" in done.stdout
        assert "got    2" in done.stdout
        assert done.stdout.endswith("\n3 not part of this run\nNext: spin, exercises/l1_small.py:12\n")


class TestColour:
    def test_colours_mark_the_parts(self, folder):
        folder.write(double="def double(x):\n    return x\n")
        done = folder.run("exercises/l1_small.py::double", "--color=yes")
        assert "\x1b[31mgot\x1b[0m    2" in done.stdout
        assert "\x1b[32mwant\x1b[0m   4" in done.stdout

    def test_no_color_is_honoured(self, folder):
        assert "\x1b" not in folder.run("exercises/l2_more.py", NO_COLOR="1", TERM="xterm").stdout
        assert "\x1b[1mNext" in folder.run("exercises/l2_more.py", FORCE_COLOR="1", TERM="xterm").stdout

    @pytest.mark.parametrize("width", [40, 80])
    def test_no_word_is_broken_and_nothing_cut(self, folder, width):
        text = "def letters(word):\n    raise ValueError('a rather long sentence, which says what is wrong with the argument')\n"
        folder.write(
            letters=text,
            double="def double(x):\n    return x, 'another long text that goes on and on, beyond it all'\n",
        )
        done = folder.run(COLUMNS=str(width), TERM="dumb")
        lines = done.stdout.splitlines()
        assert [line for line in lines if len(line) > width and len(line.split()) > 1] == []
        words = done.stdout.split()
        for each in (
            "a rather long sentence, which says what is wrong with the argument",
            "double(2)",
            "letters('ab')",
        ):
            assert " ".join(each.split()) in " ".join(words)
        assert "\x1b" not in done.stdout

    def test_a_terminal_without_lines_gets_ascii(self, folder):
        done = folder.write(**RIGHT).run("exercises/l2_more.py", PYTHONIOENCODING="ascii")
        assert f"l2_more  {'#' * 24}  core 1/1" in done.stdout

    def test_on_a_terminal_the_running_exercise_is_named_and_wiped(self, folder):
        screen, theirs = pty.openpty()
        process = subprocess.Popen(
            [sys.executable, "-m", "pytest", *folder.arguments("exercises/l2_more.py")],
            cwd=folder.path,
            env=folder.environment(NO_COLOR="1"),
            stdout=theirs,
        )
        os.close(theirs)
        text = b""
        while chunk := _read(screen):
            text += chunk
        os.close(screen)
        assert process.wait(timeout=60) == 1
        name = b"exercises/l2_more.py::first"
        assert name in text
        wiped = text.index(name) + len(name)
        assert text.index(b" " * 79, wiped) < text.index(b"core 0/1")


def _read(screen: int) -> bytes:
    try:
        return os.read(screen, 65536)
    except OSError:  # how Linux says that the other end is closed
        return b""


class TestEditors:
    def test_items_know_their_lines(self, folder):
        (folder.path / "listing.py").write_text(
            "def pytest_collection_finish(session):\n"
            "    print([(item.location[0], item.location[1] + 1, item.location[2]) for item in session.items][:2])\n"
        )
        done = folder.run("--co", "-q", "-s", plugins=("listing",))
        assert "[('exercises/l1_small.py', 3, 'double'), ('exercises/l1_small.py', 8, 'letters')]" in done.stdout

    def test_a_failure_is_an_assertion_and_listeners_hear_every_status(self, folder):
        (folder.path / "listener.py").write_text(
            "def pytest_exception_interact(node, call, report):\n"
            "    print('heard', node.name, call.excinfo.typename, report.longreprtext.splitlines()[0])\n"
            "def pytest_report_teststatus(report):\n"
            "    if report.when == 'call':\n        print('status', report.outcome)\n"
        )
        done = folder.write(spin=RIGHT["spin"]).run("-s", "exercises/l1_small.py", plugins=("listener",))
        assert "heard double AssertionError double is not started yet" in done.stdout
        assert done.stdout.count("status failed") == 3
        assert done.stdout.count("status passed") == 1


class TestOneKit:
    ONCE = (
        "import sys\nfrom exercises.kit.checking import closeness\n"
        "def double(x):\n"
        "    import exercises.kit.checking.closeness as again\n"
        "    twice = [name for name, module in sys.modules.items()\n"
        "             if str(getattr(module, '__file__', '')).endswith(('closeness.py', 'lessons.py'))]\n"
        "    assert again is closeness\n"
        "    return 2 * x if sorted(twice) == ['exercises.kit.checking.closeness', 'exercises.kit.lessons'] else twice\n"
    )

    @pytest.mark.parametrize(
        ("at", "target"),
        [(".", "exercises"), ("exercises", "l1_small.py"), ("exercises/kit", ".."), ("elsewhere", "{}")],
    )
    def test_the_kit_has_one_name_from_anywhere(self, folder, at, target):
        (folder.path / "elsewhere").mkdir()
        folder.write(double=self.ONCE)
        done = folder.run(target.format(folder.path / "exercises"), "-k", "double", at=at, cold=True)
        assert "core 1/1" in done.stdout
        assert done.returncode == 0

    def test_without_any_settings(self, folder):
        (folder.path / "pyproject.toml").unlink()
        assert folder.write(double=self.ONCE).run("exercises", "-k", "double").returncode == 0


def test_the_readme_shows_the_screen_of_a_new_user():
    root = EXERCISES.parent
    ran = subprocess.run([sys.executable, "-m", "pytest", "exercises/"], cwd=root, capture_output=True, text=True)
    assert f"```\n{ran.stdout.strip()}\n```" in (root / "README.md").read_text(encoding="utf-8")
    picture = (root / "exercises/first_screen.svg").read_text(encoding="utf-8").replace("&#160;", " ")
    picture = re.sub(r"<[^>]*>", "", picture)  # a line is several elements, one for each colour
    assert all(line.split("─")[0].strip() in picture for line in ran.stdout.splitlines())
