"""Installs what the exercises need into a Python that a platform brings (Colab, Kaggle); its own torch stays as it is."""

import importlib
import subprocess
import sys
import tomllib
from importlib import metadata
from pathlib import Path

from exercises.kit.lessons import KitError

OLDEST_TORCH = (2, 9)
_PROJECT = Path(__file__).resolve().parents[2] / "pyproject.toml"


def install() -> None:
    """Have pip install the requirements of the kit that are missing in the running Python.

    Raises KitError, in one sentence, where pip cannot.
    """
    requirements = needed(tomllib.loads(_PROJECT.read_text(encoding="utf-8"))["project"]["dependencies"], _torch())
    command = [sys.executable, "-m", "pip", "install", "--quiet", "--disable-pip-version-check", *requirements]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        why = (done.stderr.strip().splitlines() or ["no reason given"])[-1]
        raise KitError(
            f"pip could not install what the exercises need ({why}); on Kaggle, switch the internet on first"
        )
    importlib.invalidate_caches()


def needed(dependencies: list[str], torch: str | None) -> list[str]:
    """Return what pip is asked for where version `torch` of torch is installed (None: none).

    A torch that is new enough is asked for as it is, so that nothing replaces it: its build fits the platform's GPU.
    """
    if torch is None or tuple(map(int, torch.split(".")[:2])) < OLDEST_TORCH:
        return dependencies
    return [f"torch=={torch}", *(one for one in dependencies if not one.startswith("torch=="))]


def _torch() -> str | None:
    try:
        return metadata.version("torch")
    except metadata.PackageNotFoundError:
        return None
