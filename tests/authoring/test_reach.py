"""The hints of an exercise are found again when something changed that they depend on, and only then."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from graders.authoring import derive, hints
from graders.authoring.reach import reached
from graders.authoring.source import read_lessons
from tests.authoring.small_project import write_project

SOLUTION, SLIPS = "solutions/l9_small.py", "graders/lessons/l9_small/slips.py"


@pytest.fixture
def project(tmp_path: Path) -> Path:
    made = write_project(tmp_path)
    helpers = "\n\ndef helper(x):\n    return x * x\n\n\ndef lonely(x):\n    return x\n"
    slips = (made / SLIPS).read_text().replace("return x * x", "return helper(x)", 1)
    (made / SLIPS).write_text(slips + helpers)
    return made


@pytest.mark.parametrize(
    ("file", "old", "new", "again"),
    [
        (SOLUTION, "secret_factor = 2", "secret_factor = 2.0", {"double"}),
        (SOLUTION, "tensor([2., 6.])", "tensor([2.0, 6.])", {"double"}),
        (SOLUTION, "def half(", "# >>> half(torch.ones(1))\n# tensor([0.5])\ndef half(", {"half"}),
        (SLIPS, "def helper(x):\n", "def helper(x, *_):\n", {"double"}),
        (SLIPS, "def lonely(x):\n", "def lonely(x, *_):\n", set()),
        (SOLUTION, "A text that teaches.", "A text.", set()),
        (SOLUTION, "from torch import Tensor", "from torch import Tensor, nn", {"double", "half"}),
        (SLIPS, "return x * x", "return x**2", {"double"}),
        (SLIPS, "you squared", "You squared", {"double"}),
        (SLIPS, "import slip\n", "import slip\n\nFACTOR = 1\n", {"double", "half"}),
    ],
)  # fmt: skip
def test_what_depends_on_a_change_is_found_again(
    project: Path, file: str, old: str, new: str, again: set[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    derive.derive(project)
    asked: list[str] = []

    def watched(lesson: object, only: set[str]) -> object:
        asked.extend(only)
        return hints.hints(lesson, only)  # type: ignore[arg-type]

    monkeypatch.setattr(derive, "hints", watched)
    text = (project / file).read_text()
    assert text.count(old) >= 1
    (project / file).write_text(text.replace(old, new, 1))
    derive.derive(project)
    assert set(asked) == again
    table = (project / "exercises/kit/hints.json").read_bytes()
    (project / ".derived.json").unlink()
    derive.derive(project)
    assert (project / "exercises/kit/hints.json").read_bytes() == table


def test_a_solution_that_a_slip_uses_under_another_name_is_reached(project: Path) -> None:
    use = "import slip\nfrom solutions.l9_small import half as right_half\n"
    text = (
        (project / SLIPS)
        .read_text()
        .replace("import slip\n", use, 1)
        .replace("return helper(x)", "return right_half(x)")
    )
    (project / SLIPS).write_text(text)
    found = reached(read_lessons(project)[0], project)
    assert b"secret_half" in found["double"]
    assert b"secret_factor" not in found["half"]


def test_a_damaged_memory_is_no_matter(project: Path) -> None:
    derive.derive(project)
    table = (project / "exercises/kit/hints.json").read_bytes()
    for damaged in ("[]", "{", json.dumps({"l9_small": {"double": 3, "half": {"key": 1}}})):
        (project / ".derived.json").write_text(damaged)
        assert derive.derive(project) == []
        assert (project / "exercises/kit/hints.json").read_bytes() == table
