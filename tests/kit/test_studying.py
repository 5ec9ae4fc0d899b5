"""What helps a student besides the check: hints in steps, the list, putting a stub back, handing in."""

import json
import os
import shutil
import subprocess
import sys
import time
import zipfile
from collections import Counter
from pathlib import Path

import pytest

from exercises.kit import lessons as kit_lessons
from exercises.kit.lessons import Exercise, KitError, Lesson
from exercises.kit.studying import answers, comparing, finding, hints, judging, listing, memory, packing, watching

STUB = 'def double(x):\n    """Twice x.\n\n    >>> double(2)\n    4\n    """\n    # YOUR CODE HERE\n    raise NotImplementedError()'
HALF = STUB.replace("double", "half")
STEPS = ("Which operator?", "`*`", "one line")
FILE = f"import torch\n\n\n# %%\n{STUB}\n\n\n# %%\nLIMIT = 3\n\n\n# %%\n{HALF}\n"
ANSWER = "    return x * 2  # mine"


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A kit's folder with one lesson, as a `.py` file and as a notebook, nothing of it begun."""
    double = Exercise("l1_small", "double", True, "Twice x.", "", STUB, STEPS)
    half = Exercise("l1_small", "half", False, "Half of x.", "", HALF)
    known = {"l1_small": Lesson("l1_small", "Small", (double, half))}
    for module in (answers, finding, listing, packing, kit_lessons):
        monkeypatch.setattr(module, "lessons", lambda: known)
    (tmp_path / "l1_small.py").write_text(FILE)
    cells = [{"cell_type": "code", "source": [text], "outputs": [1], "execution_count": 1} for text in (STUB, HALF)]
    (tmp_path / "l1_small.ipynb").write_text(json.dumps({"cells": cells}))
    return tmp_path


def answer(folder: Path, name: str = "double", file: str = "l1_small.py", body: str = ANSWER) -> Path:
    """Write an answer into a file."""
    path, ours = folder / file, finding.find(name)
    new = ours.stub.replace("    # YOUR CODE HERE\n    raise NotImplementedError()", body)
    text = path.read_text()
    if file.endswith(".ipynb"):
        path.write_text(text.replace(json.dumps(ours.stub), json.dumps(new)))
    else:
        path.write_text(text.replace(ours.stub, new))
    return path


def test_hints_come_one_after_the_other_and_then_all(tmp_path: Path, folder: Path) -> None:
    told = [hints.next_hint("double", tmp_path / "kept") for _ in range(4)]
    assert [STEPS[number] in text for number, text in enumerate(told[:3])] == [True] * 3
    assert STEPS[1] not in told[0]
    assert all(step in told[3] for step in STEPS)


def test_hints_need_no_memory(folder: Path) -> None:
    nowhere = folder / "no" / "such" / "folder"
    assert STEPS[0] in hints.next_hint("double", nowhere)
    damaged = folder / "damaged"
    damaged.write_text('{"green": 3, "hints": {"l1_small::double": "x"}}')
    assert STEPS[0] in hints.next_hint("double", damaged)


def test_an_exercise_without_hints_says_so(folder: Path) -> None:
    assert hints.next_hint("half", folder / "kept").startswith("half has no hints")


def test_a_misspelt_name_gets_the_near_one(folder: Path) -> None:
    with pytest.raises(KitError, match=r"There is no exercise duoble\. Do you mean double\?"):
        finding.find("duoble")
    assert finding.find("exercises/l1_small.py::half").name == "half"


@pytest.mark.parametrize("file", ["l1_small.py", "l1_small.ipynb"])
def test_reset_puts_one_stub_back_and_keeps_the_answer(folder: Path, file: str) -> None:
    before = (folder / "l1_small.py").read_text(), answers.notebook_code(folder / "l1_small.ipynb")
    answer(folder, file=file)
    answer(folder, "half", file)
    (told,) = answers.reset(finding.find("double"), folder)
    (kept,) = folder.glob("kept_double_*.txt")
    assert kept.name in told
    assert ANSWER in kept.read_text()
    after = (folder / "l1_small.py").read_text(), answers.notebook_code(folder / "l1_small.ipynb")
    assert ("".join(after[1]) if file.endswith("b") else after[0]).count(ANSWER) == 1, "the other answer stays"
    answers.reset(finding.find("half"), folder)
    assert ((folder / "l1_small.py").read_text(), answers.notebook_code(folder / "l1_small.ipynb")) == before


def test_reset_of_an_answer_that_does_not_parse(folder: Path) -> None:
    path = answer(folder, body="    return (x * 2")
    answers.reset(finding.find("double"), folder)
    assert path.read_text() == FILE


def test_reset_without_an_answer_says_so(folder: Path) -> None:
    with pytest.raises(KitError, match="no answer to double"):
        answers.reset(finding.find("double"), folder)
    assert not list(folder.glob("kept_*"))


def test_comments_and_docstrings_are_no_answer(folder: Path) -> None:
    path = folder / "l1_small.py"
    path.write_text(FILE.replace("    # YOUR CODE HERE", "    # later").replace("Twice x.", "Twice the x."))
    assert answers.begun_in(finding.find("double"), folder) == []


def test_the_list_says_where_each_exercise_stands(folder: Path) -> None:
    answer(folder)
    memory.turned_green(["l1_small::double"], [], folder / "kept")
    title, place, double, half, *_ = listing.listed(folder, folder / "kept")
    assert title == "Small"
    assert place.endswith("l1_small.py")
    assert double.split() == ["double", "core", "examples", "line", "5"]
    assert half.split()[:4] == ["half", "practice", "not", "started"]


def test_the_list_says_right_while_the_judged_file_is_the_same(folder: Path) -> None:
    path = answer(folder)
    memory.turned_green(["l1_small::double"], [], folder / "kept")
    judging.note(path, ["double"], folder / "kept")
    assert listing.listed(folder, folder / "kept")[2].split()[2] == "right"
    path.write_text(path.read_text() + "# later\n")
    assert listing.listed(folder, folder / "kept")[2].split()[2] == "examples"


def test_green_is_forgotten_when_it_turns_wrong(tmp_path: Path) -> None:
    place = tmp_path / "kept"
    assert memory.turned_green(["a::b", "a::c"], [], place) == ["a::b", "a::c"]
    assert memory.turned_green(["a::b"], ["a::c"], place) == []
    assert list(memory.recall(place)["green"]) == ["a::b"]


def test_pack_holds_what_was_begun_and_own_modules(folder: Path) -> None:
    with pytest.raises(KitError, match="nothing to hand in yet"):
        packing.pack("ann", folder, folder)
    path = answer(folder)
    path.write_text("import helper\n" + path.read_text())
    for name in ("helper.py", "unused.py", "conftest.py"):
        (folder / name).write_text("")
    made, names = packing.pack("ann b/c.zip", folder, folder)
    assert (made.name, names) == ("ann_b_c.zip", ["l1_small.py"])
    assert zipfile.ZipFile(made).namelist() == ["l1_small.py", "helper.py"]
    first = made.read_bytes()
    assert packing.pack("ann b/c", folder, folder)[0].read_bytes() == first


def test_pack_takes_the_notebook_where_the_answer_is_there(folder: Path) -> None:
    answer(folder, file="l1_small.ipynb")
    assert packing.pack("ann", folder, folder)[1] == ["l1_small.ipynb"]


def test_a_notebook_beside_the_file_is_named_when_it_has_what_the_file_lacks(folder: Path) -> None:
    entries = [{"lesson": "l1_small", "name": name, "outcome": "not started"} for name in ("double", "half")]
    assert answers.in_notebooks(entries, folder) == []
    answer(folder, file="l1_small.ipynb")
    (told,) = answers.in_notebooks(entries, folder)
    assert told == "l1_small.ipynb has answers that l1_small.py lacks: double. There, check(double) checks them."
    entries[0]["outcome"] = "passed"
    assert answers.in_notebooks(entries, folder) == []


def test_a_kit_without_judge_says_so(tmp_path: Path) -> None:
    with pytest.raises(KitError, match="The hidden tests are no part of this kit"):
        judging.judged(["exercises/l2_data_types.py::spacing"], tmp_path)


def test_what_the_judge_cannot_do_is_one_sentence() -> None:
    with pytest.raises(KitError, match=r"^The hidden tests could not be run: .*nowhere.py: it cannot be read"):
        judging.judged(["/nowhere.py::spacing"])


@pytest.mark.parametrize(
    ("own", "theirs", "mine", "reference", "told"),
    [
        ("f(x)", "f(x)", {"aten::add": 2}, {"aten::add": 2}, "No difference: both run 2 operations of torch on the examples."),
        ("a = 1\nb = 2", "a = 1", {}, {}, "The difference: both compute without tensors; yours has 2 lines, the reference 1."),
        (
            "for x in y: f(x)",
            "f(y)",
            {"aten::add": 9},
            {"aten::add": 1},
            "The difference: yours loops in Python, the reference does not; "
            "on the examples yours runs 9 operations of torch, the reference 1.",
        ),
        (
            "f(x.clone())",
            "f(x)",
            {"aten::add": 1, "aten::clone": 1},
            {"aten::add": 1},
            "The difference: on the examples yours runs 2 operations of torch, the reference 1 (1 and 0 of them copies).",
        ),
    ],
    ids=["same", "lines", "loops", "copies"],
)  # fmt: skip
def test_the_difference_of_two_right_answers_is_counted(own, theirs, mine, reference, told) -> None:
    assert comparing.difference(own, theirs, Counter(mine), Counter(reference)) == told


@pytest.fixture
def kit(tmp_path: Path) -> Path:
    """A kit with one lesson of two exercises, which pytest can run."""
    root = Path(__file__).resolve().parents[2]
    skipped = shutil.ignore_patterns("__pycache__", "*.json")
    shutil.copytree(root / "exercises" / "kit", tmp_path / "exercises" / "kit", ignore=skipped)
    for name in ("conftest.py", "__init__.py"):
        shutil.copy(root / "exercises" / name, tmp_path / "exercises" / name)
    shutil.copy(root / "pyproject.toml", tmp_path)
    rows = [
        {
            "name": name,
            "core": True,
            "summary": "",
            "examples": f">>> {name}({given})\n4\n",
            "stub": stub,
            "steps": steps,
        }
        for name, given, stub, steps in (("double", 2, STUB, STEPS), ("half", 8, HALF, []))
    ]
    table = {"lessons": [{"name": "l1_small", "title": "Small", "exercises": rows}]}
    (tmp_path / "exercises/kit/lessons.json").write_text(json.dumps(table))
    (tmp_path / "exercises/kit/hints.json").write_text("{}")
    (tmp_path / "exercises/l1_small.py").write_text(FILE)
    return tmp_path


def asked(kit: Path, *options: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "pytest", "exercises/", *options]
    return subprocess.run(command, cwd=kit, capture_output=True, text=True, env=os.environ | {"PYTHONPATH": str(kit)})


def test_pytest_does_what_it_is_asked(kit: Path) -> None:
    told = asked(kit, "--hint", "double")
    assert (told.returncode, told.stdout.splitlines()[1]) == (0, "  Which operator?")
    told = asked(kit, "--hint", "triple")
    assert (told.returncode, told.stderr.splitlines()[0]) == (4, "ERROR: There is no exercise triple.")
    path = kit / "exercises/l1_small.py"
    path.write_text(FILE.replace(STUB, STUB.replace("    # YOUR CODE HERE\n    raise NotImplementedError()", ANSWER)))
    told = asked(kit, "--pack=ann")
    assert told.stdout.splitlines()[-1] == "ann.zip holds l1_small.py; not started: 1."
    assert "double  core      examples" in asked(kit, "--list").stdout
    assert asked(kit, "--reset", "double").returncode == 0
    assert path.read_text() == FILE


def test_watch_answers_a_save_and_goes_on_by_itself(kit: Path) -> None:
    path = kit / "exercises/l1_small.py"
    command = [sys.executable, "-u", "-m", "pytest", "exercises/", "--watch"]
    environment = os.environ | {"PYTHONPATH": str(kit), "COLUMNS": "80"}
    running = subprocess.Popen(
        command, cwd=kit, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, env=environment
    )
    assert running.stdin is not None
    assert running.stdout is not None

    def until(text: str) -> str:
        told = ""
        while text not in told:
            line = running.stdout.readline()
            assert line, told
            told += line
        return told

    try:
        assert "double is not started yet" in until("q quit")
        for body, due in (
            ("return x", "got    2"),
            ("return x * 2", "half is not started yet"),
            ("import os; os._exit(1)", ""),
        ):
            time.sleep(0.3)
            text = FILE.replace(STUB, f"def double(x):\n    {body}")
            path.write_text(text if due else FILE.replace(HALF, f"def half(x):\n    {body}"))
            assert (due or "half: the code ended its process") in until("q quit")
        running.stdin.write("h\nq\n")
        running.stdin.flush()
        assert "half has no hints" in running.communicate(timeout=60)[0]
        assert running.returncode == 0
    finally:
        running.kill()


def test_of_a_notebooks_history_the_judge_gets_what_still_counts() -> None:
    imports, first, other = (
        "import torch",
        "def f():\n    while True: pass\ncheck(f)",
        "SIZE = 3\n\n\ndef f():\n    pass",
    )
    both, last = "def f(): ...\ndef g(): ...", "def f():\n    return SIZE"
    history = [imports, first, "x = = 3", other, both, "check(f)", last]
    assert judging.not_replaced(history) == [imports, "x = = 3", other, both, "check(f)", last]


class Narrow:
    """A terminal of 40 columns."""

    fullwidth = 40

    def __init__(self) -> None:
        self.lines: list[str] = []

    def line(self, text: str = "", **style: bool) -> None:
        self.lines += text.split("\n")


def test_what_a_key_shows_is_cut_between_words() -> None:
    writer = Narrow()
    sitting = watching.Watch([answers.FOLDER / "l7_quantization_methods.py"], writer, 1.0)
    for key in "rl":
        assert sitting.press(key)
    assert writer.lines[:2] == ["Press y to put the stub of perplexity", "back (your answer is kept in a file"]
    too_long = [line for line in writer.lines if len(line) > writer.fullwidth]
    assert [line for line in too_long if " " in line.strip()] == [], "only a path stays whole"
