"""What a person should look at in a submission is named; what lessons give, and what people write, is not."""

from __future__ import annotations

import json
import time
from pathlib import Path

import pytest

from graders import ROOT, lessons
from graders.report.suspicion import MOST_TOLD, in_cells, suspicious

CODE_OF_PEOPLE = """
%matplotlib inline
!pip list
import gc
import torch as t
from torch import tensor
from exercises.kit import toys, toy_behaviours
from exercises.kit.examples import check
solutions = graders = 3
t.backends.cudnn.deterministic = True
toys.mlp().forward = None
def set_in_place(tensor, *, gc: int = 0):
    tensor.data = t.zeros(3)
    gc.get_objects()
    t = tensor
    t.data = 3
print(solutions.real, "see solutions", toys.mlp([1, 2]), '''
from graders import judge''')  # from graders import judge
"""


@pytest.mark.parametrize("folder", ["solutions", "exercises"])
@pytest.mark.parametrize("lesson", lessons.names())
def test_lessons_themselves_are_not_suspicious(folder: str, lesson: str) -> None:
    assert suspicious((ROOT / folder / f"{lesson}.py").read_text(encoding="utf-8"), lesson) == []


def test_what_people_write_is_not() -> None:
    assert suspicious(CODE_OF_PEOPLE) == []


@pytest.mark.parametrize(
    ("source", "told"),
    [
        ("from exercises.kit.toys.quantized_models import cast as c", "uses exercises.kit.toys.quantized_models.cast"),
        ("from exercises.kit import toys\n!ls\ntoys.quantized_models.with_quanto(1)", "quantized_models.with_quanto"),
        ("import exercises.kit.probes.l3 as p\np._default()", "exercises.kit.probes.l3._default"),
        ("from exercises.kit import (\n    models,\n    checking,\n)", "exercises.kit.checking"),
        ("import importlib\nimportlib.import_module('graders.lessons')", "graders.lessons, which belongs"),
        ("import sys as s\nx = 1; s._getframe(2)", "sys._getframe"),
        ("import torch\ntorch.Tensor.__eq__ = lambda *a: True", "replaces torch.Tensor.__eq__"),
        ("from torch import tensor\ndef f(tensor):\n    pass\ntensor.data = 1", "line 4: replaces torch.tensor.data"),
        ("def f(sys):\n    pass\ndef g(x):\n    import sys\n    sys._getframe()", "line 5: uses sys._getframe"),
        ("open('../solutions/l2_data_types.py')", "names the path"),
        ("x = '''\nimport gc\ngc.get_objects()", "gc.get_objects"),
    ],
)
def test_what_a_person_should_look_at_is_named(source: str, told: str) -> None:
    (*_, last) = suspicious(source)
    assert told in last
    assert last.startswith("line ")


def test_a_helper_of_another_lesson_is_named() -> None:
    source = "from exercises.kit import groups\ngroups.symmetric(1, 2, 3)"
    assert suspicious(source, "l7_quantization_methods") == []
    assert "exercises.kit.groups" in suspicious(source, "l5_quantization_in_depth")[0]


@pytest.mark.parametrize("part", ["'''\n'", "a.", "(", "import ", "\\\n", "sys.modules\n", "\0", "\t\n ", "\\'"])
def test_whatever_stands_there_is_looked_at_in_short_time(part: str) -> None:
    begun = time.process_time()
    told = suspicious("import sys\n" + part * 400_000)
    assert len(told) <= MOST_TOLD + 1
    assert time.process_time() - begun < 10


def test_what_stands_far_behind_in_a_line_is_not_looked_at_and_that_is_said() -> None:
    told = suspicious(f"import sys\nx = '{'y' * 2000}'; sys.modules\nsys.modules")
    assert told == [
        "line 2: only the first 1000 characters of this line were looked at",
        "line 3: uses sys.modules, which an exercise does not need",
    ]


def test_outside_cases_are_not_suspicious() -> None:
    for path in Path(ROOT / "graders/trust/outside").rglob("*.txt"):
        assert suspicious(path.read_text(encoding="utf-8")) == [], path.name


@pytest.mark.parametrize("lesson", lessons.names())
def test_a_notebook_as_it_was_handed_out_is_not_suspicious(lesson: str) -> None:
    cells = json.loads((ROOT / f"exercises/{lesson}.ipynb").read_text(encoding="utf-8"))["cells"]
    code = ["".join(cell["source"]) for cell in cells if cell["cell_type"] == "code"]
    told = in_cells([{"source": each, "line": 1, "number": at} for at, each in enumerate(code, start=1)], lesson)
    assert told == []
