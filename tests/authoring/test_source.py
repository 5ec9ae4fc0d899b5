"""Malformed lessons are refused in one sentence that names the file."""

import ast

import pytest

from graders import ROOT
from graders.authoring.source import LessonError, answer_points, read_lesson, read_lessons, tags
from tests.authoring.small_project import LESSON, write_project

CORE, PRACTICE, NO_TAG = '# %% tags=["core"]', '# %% tags=["practice"]', "# %%"
BEGIN, END = "    ### BEGIN SOLUTION\n", "    ### END SOLUTION\n"
LONE_BEGIN = f"    return x * secret_factor\n{END}"
SECOND = "\ndef other(x):\n    return x\n\n\n# %% [markdown] tags"
# what is wrong: the replacement that makes it so, and a part of the sentence
MALFORMED = {
    "no markers": (f"{BEGIN}    secret_factor", "    secret_factor", "'### END SOLUTION' where '### BEGIN SOLUTION'"),
    "no end": (LONE_BEGIN, "    return x", "has no '### END SOLUTION'"),
    "nested": ("    secret_factor = 2\n", BEGIN, "'### BEGIN SOLUTION' where '### END SOLUTION' belongs"),
    "misspelt marker": (f"{BEGIN}    secret_half", "    # BEGIN SOLUTION\n    secret_half", "has the line '# BEGIN"),
    "markers in a text": ("# A text", "# ### BEGIN SOLUTION A text", "has solution markers but not the tag answer"),
    "two definitions": ("\n# %% [markdown] tags", SECOND, "exactly one public function or class, and has half, other"),
    "no definition": ("def half(", "def _half(", "exactly one public function or class, and has none"),
    "no tag": (CORE, NO_TAG, "solution markers but not the tag core or practice"),
    "untagged definition": ("import torch\n", "def helper():\n    pass\n", "defines helper but has no tag"),
    "unknown tag": (CORE, '# %% tags=["kore"]', "unknown tag 'kore' (a code cell knows active-ipynb, core, practice)"),
    "two tags": (CORE, '# %% tags=["core", "practice"]', "more than one tag"),
    "core behind practice": (
        "# %% [markdown]\n# ## Twice\n",
        LESSON[LESSON.index(PRACTICE) : LESSON.index("# %% [markdown] tags")].replace("half", "third"),
        "the core exercise double stands behind practice",
    ),
    "twice": ("def half", "def double", "double is defined twice"),
    "no example": (">>> double(", "double(", "double has no docstring with a summary line and an example"),
    "syntax": ("def half(x: Tensor)", "def half(x: Tensor", "does not parse"),
    "no title": ("# # Small numbers", "# Small numbers", "the first cell is no markdown with a title"),
    "no imports": ("# %%\nimport torch\nfrom torch import Tensor\n", "", "not the one with the imports"),
    "no exercise": (LESSON[LESSON.index("# %% [markdown]\n# ## Twice") :], "", "no cell has the tag core or practice"),
    "no mark scheme": ("# Mark scheme", "# Mark", "has no mark scheme"),
    "item without points": ("- 1: names", "- names", "has no mark scheme, a list whose items begin with their points"),
    "wrong total": ("scheme, 3 points", "scheme, 4 points", "says 4 points, and its items add up to 3"),
    "answer alone": ('# %% [markdown] tags=["question"]', "# %% [markdown]", "one question and one answer"),
    "answer not next": (
        '# %% [markdown] tags=["answer"]',
        '# %% [markdown]\n# between\n\n# %% [markdown] tags=["answer"]',
        "the question is not followed by the answer",
    ),
}


@pytest.mark.parametrize(("old", "new", "said"), MALFORMED.values(), ids=MALFORMED)
def test_malformed_lessons_are_refused_in_one_sentence(tmp_path, old, new, said):
    path = tmp_path / "l9_small.py"
    path.write_text(LESSON.replace(old, new, 1), encoding="utf-8")
    with pytest.raises(LessonError) as caught:
        read_lesson(path)
    assert str(caught.value).startswith("l9_small.py: ")
    assert said in str(caught.value)
    assert len(str(caught.value).splitlines()) == 1


def test_unreadable_sources_are_refused(tmp_path):
    project = write_project(tmp_path)
    (project / "solutions" / "l9_small.py").write_bytes(b"\xff\xfe\x00")
    with pytest.raises(LessonError, match=r"l9_small.py cannot be read"):
        read_lessons(project)
    (project / "solutions" / "l9_small.py").unlink()
    with pytest.raises(LessonError, match="holds no lesson"):
        read_lessons(project)


def test_a_lesson_is_read(tmp_path):
    lesson = read_lessons(write_project(tmp_path))[0]
    assert (lesson.name, lesson.title) == ("l9_small", "Small numbers")
    assert [(each.name, each.core, each.cell) for each in lesson.exercises] == [("double", True, 3), ("half", False, 5)]
    assert [answer_points(cell) for cell in lesson.notebook.cells if "answer" in tags(cell)] == [3.0]


@pytest.mark.parametrize("path", sorted((ROOT / "solutions").glob("l[0-9]_*.py")), ids=lambda path: path.stem)
def test_a_lesson_uses_only_exercises_that_stand_before(path):
    """A notebook is run from top to bottom: what a cell calls must have been defined above it."""
    lesson = read_lesson(path)
    places = {exercise.name: exercise.cell for exercise in lesson.exercises}
    early = []
    for index, cell in enumerate(lesson.notebook.cells):
        if cell.cell_type == "code":
            names = {node.id for node in ast.walk(ast.parse(cell.source)) if isinstance(node, ast.Name)}
            early += [f"{name} in cell {index}" for name in names if places.get(name, -1) > index]
    assert early == []


STEPS = "# hint 1: Which half?\n#   Think of it.\n# hint 2: `torch.half`\n# hint 3: one line: half of x\n"


def test_hints_on_request_are_taken_out_of_the_cell(tmp_path):
    root = write_project(tmp_path)
    path = root / "solutions" / "l9_small.py"
    path.write_text(path.read_text().replace("def half(", f"{STEPS}def half("))
    found = {each.name: each for each in read_lesson(path).exercises}
    assert found["half"].steps == ("Which half? Think of it.", "`torch.half`", "one line: half of x")
    assert found["double"].steps == ()
    assert "hint 1" not in read_lesson(path).notebook.cells[found["half"].cell].source


FURTHER = "# >>> half(torch.ones(1))\n# tensor([0.5])\n"


@pytest.mark.parametrize("steps", [STEPS, ""], ids=["behind hints", "alone"])
def test_further_examples_are_taken_out_of_the_cell_and_stand_behind_the_docstring(tmp_path, steps):
    path = write_project(tmp_path) / "solutions" / "l9_small.py"
    path.write_text(path.read_text().replace("def half(", f"{steps}{FURTHER}def half("))
    lesson = read_lesson(path)
    found = {each.name: each for each in lesson.exercises}
    assert found["half"].examples == f"{found['half'].docstring}\n\n>>> half(torch.ones(1))\ntensor([0.5])"
    assert found["double"].examples == found["double"].docstring
    assert lesson.notebook.cells[found["half"].cell].source.startswith("def half(")


@pytest.mark.parametrize(
    ("steps", "sentence"),
    [
        (STEPS.replace("hint 3", "hint 2"), "has no hints 1, 2 and 3 in this order"),
        (STEPS.replace("Which", "word " * 80), "has a hint of more than 80 words"),
    ],
)
def test_hints_on_request_come_in_three_short_steps(tmp_path, steps, sentence):
    path = write_project(tmp_path) / "solutions" / "l9_small.py"
    path.write_text(path.read_text().replace("def half(", f"{steps}def half("))
    with pytest.raises(LessonError, match=sentence):
        read_lesson(path)
