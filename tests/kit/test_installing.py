"""The first cell of a notebook: on a platform without the exercises it brings them, and leaves the platform's torch alone."""

import json
import os
import subprocess
import sys

import pytest

from exercises.kit.installing import needed
from graders import ROOT
from graders.authoring.release import release

DEPENDENCIES = ["torch==2.13.0", "transformers>=5.23,<5.24", "torchless>=1"]

# A Python that has the libraries and not the repository, as a platform would.
PLATFORM = """
import sys
sys.meta_path[:] = [finder for finder in sys.meta_path if "editable" not in str(finder)]
sys.path[:] = [place for place in sys.path if place != REPOSITORY]
sys.path_hooks[:] = [hook for hook in sys.path_hooks if "editable" not in str(hook)]
sys.path_importer_cache.clear()
"""


@pytest.mark.parametrize("torch", ["2.9.0", "2.9.1+cu126", "2.14.1", "3.0"])
def test_a_torch_that_is_new_enough_stays(torch):
    assert needed(DEPENDENCIES, torch) == [f"torch=={torch}", *DEPENDENCIES[1:]]


@pytest.mark.parametrize("torch", [None, "2.8.0+cpu", "1.13"])
def test_an_old_or_missing_torch_is_installed(torch):
    assert needed(DEPENDENCIES, torch) == DEPENDENCIES


def run_cells(folder, count: int):
    """Run the first code cells of lesson 2's notebook in `folder` where nothing of the repository can be imported."""
    notebook = json.loads((ROOT / "exercises" / "l2_data_types.ipynb").read_text(encoding="utf-8"))
    cells = ["".join(cell["source"]) for cell in notebook["cells"] if cell["cell_type"] == "code"]
    code = PLATFORM.replace("REPOSITORY", repr(str(ROOT))) + "\n".join(cells[:count])
    code += "\nimport exercises; print(exercises.__path__[0])"
    (folder / "a file").touch()
    environment = {
        "PATH": os.environ["PATH"],
        "HOME": str(folder / "a file" / "home"),  # nobody can write there, root neither
        "PIP_NO_INDEX": "1",
    }
    command = [sys.executable, "-c", code]
    return subprocess.run(
        command, cwd=folder, env=environment, capture_output=True, text=True, timeout=100, check=False
    )


@pytest.mark.timeout(120)
def test_the_first_cell_brings_the_kit(tmp_path):
    release(tmp_path / "quantization-exercises.zip", ROOT)
    done = run_cells(tmp_path, 2)  # the second cell imports check
    assert done.returncode == 0, done.stderr
    assert done.stderr == ""
    assert os.path.realpath(done.stdout.strip()) == str(tmp_path.resolve() / "quantization-exercises" / "exercises")


def test_without_the_archive_the_first_cell_asks_for_it(tmp_path):
    done = run_cells(tmp_path, 1)
    assert done.returncode == 1
    assert done.stderr.splitlines()[-1] == (
        "FileNotFoundError: upload quantization-exercises.zip beside this notebook, then run this cell again"
    )
