"""A project of one small lesson, for tests that derive, release and grade without the real ones."""

from pathlib import Path

LESSON = '''# ---
# jupyter:
#   jupytext:
#     cell_metadata_filter: tags,nbgrader,-all
#   kernelspec:
#     display_name: Python 3 (ipykernel)
#     language: python
#     name: python3
# ---

# %% [markdown]
# # Small numbers
#
# A text that teaches.

# %%
import torch
from torch import Tensor

# %% [markdown]
# ## Twice

# %% tags=["core"]
def double(x: Tensor) -> Tensor:
    """Return twice `x`.

    x: any shape.
    >>> double(torch.tensor([1.0, 3.0]))
    tensor([2., 6.])
    """
    if not x.numel():
        return x
    ### BEGIN SOLUTION
    secret_factor = 2
    return x * secret_factor
    ### END SOLUTION


# %% tags=["active-ipynb"]
# # A demonstration.
# print(torch.arange(3) * 2)

# %% tags=["practice"]
def half(x: Tensor) -> Tensor:
    """Return half of `x`.

    >>> x = torch.tensor([2.0, 6.0])
    >>> half(x)
    tensor([1., 3.])
    >>> half("text")
    Traceback (most recent call last):
        ...
    TypeError
    """
    ### BEGIN SOLUTION
    secret_half = 0.5
    return x * secret_half
    ### END SOLUTION


# %% [markdown] tags=["question"]
# Why?

# %% [markdown] tags=["answer"]
# ### BEGIN SOLUTION
# The secret reason, which has two sides:
# - one
# - another
#
# Mark scheme, 3 points:
#
# - 1: names the secret reason
# - 2 points: says why
# ### END SOLUTION
'''

HIDDEN = """import torch

from graders.judge.contract import main


class TestDouble:
    points = 3

    @main
    def test_twice(self, student, reference):
        assert student.double(torch.ones(1)).item() == 2


class TestHalf:
    @main
    def test_half(self, student, reference):
        assert student.half(torch.ones(1)).item() == 0.5
"""

SLIPS = """from graders.judge.contract import slip


@slip("double", "you squared; twice is x + x")
def squared(x):
    return x * x


@slip("double", "you gave the argument back")
def same(x):
    return x


@slip("double", "this slip is right on the example")
def right(x):
    return x + x


@slip("half", "two slips that agree: one")
def one(x):
    return x * 0 if isinstance(x, object) and not isinstance(x, str) else x * 0.5


@slip("half", "two slips that agree: other")
def other(x):
    raise_other = x * 0 if not isinstance(x, str) else None
    if raise_other is None:
        raise LookupError("no text")
    return raise_other
"""

PROJECT = """[build-system]
requires = ["setuptools>=77"]
build-backend = "setuptools.build_meta"

[project]
name = "small"
version = "0.1"
description = "A small project."
readme = "README.md"
requires-python = ">=3.11"
license = "MIT"
dependencies = ["torch==2.13.0", "pytest>=9"]

[project.optional-dependencies]
graders = ["nbgrader==0.9.6"]

[tool.setuptools.packages.find]
include = ["exercises*", "solutions*", "graders*"]

[tool.pytest.ini_options]
testpaths = ["exercises"]
pythonpath = ["."]
timeout = 10
"""

FILES = {
    "solutions/l9_small.py": LESSON,
    "graders/lessons/l9_small/test_l9_small.py": HIDDEN,
    "graders/lessons/l9_small/slips.py": SLIPS,
    "exercises/__init__.py": "",
    "exercises/conftest.py": "",
    "exercises/kit/__init__.py": "",
    "exercises/kit/tool.py": "VALUE = 1\n",
    "exercises/kit/__pycache__/tool.pyc": "cache",
    "exercises/models/model.json": "{}\n",
    "exercises/notes_with_my_solution.py": "not for students\n",
    "pyproject.toml": PROJECT,
    "requirements.lock": "torch==2.13.0\n",
    "LICENSE": "MIT\n",
    "README.md": "# Small\n\n```sh\npython3 -m venv .venv && .venv/bin/pytest exercises/\n```\n",
}


def write_project(root: Path) -> Path:
    """Write the small project into `root` and return it."""
    for name, text in FILES.items():
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_text(text, encoding="utf-8")
    return root
