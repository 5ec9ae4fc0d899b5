"""`python -m graders gradescope DIR`: the zip that Gradescope makes an autograder of. Nobody has tried it on Gradescope yet."""

from __future__ import annotations

import os
import zipfile
from pathlib import Path

from graders import ROOT
from graders.cohort.verdicts import secret_seed
from graders.errors import Problem

_FOLDERS = ("graders", "solutions", "exercises")
_FILES = ("pyproject.toml", "requirements.lock", "README.md", "LICENSE")
_TEMPLATES = Path(__file__).parent / "templates"
_SCRIPTS = ("setup.sh", "run_autograder")
FILE = "autograder.zip"


def autograder(folder: Path) -> list[str]:
    """Write the zip, with the seed of the folder, which is made if there is none; return what to tell.

    The zip holds solutions, hidden tests and the seed: it is for Gradescope alone. Problem for a folder that is a file.
    """
    if folder.exists() and not folder.is_dir():
        raise Problem(f"{folder} is a file; name a folder")
    folder.mkdir(parents=True, exist_ok=True)
    seed = secret_seed(folder)
    unfinished = folder / f"{FILE}.part"
    secret = os.fdopen(os.open(unfinished, os.O_RDWR | os.O_CREAT | os.O_TRUNC, 0o600), "w+b")
    with secret, zipfile.ZipFile(secret, "w", zipfile.ZIP_DEFLATED) as made:
        for name in _SCRIPTS:
            _add(made, name, (_TEMPLATES / name).read_bytes(), executable=True)
        for path in _project():
            _add(made, f"project/{path.relative_to(ROOT).as_posix()}", path.read_bytes())
        _add(made, "project/seed", seed.encode())
    os.replace(unfinished, folder / FILE)
    return [f"{folder / FILE} holds solutions, hidden tests and the seed: give it to Gradescope and to nobody else"]


def _project() -> list[Path]:
    found = [path for folder in _FOLDERS for path in (ROOT / folder).rglob("*") if path.is_file()]
    return sorted([path for path in found if "__pycache__" not in path.parts] + [ROOT / name for name in _FILES])


def _add(archive: zipfile.ZipFile, name: str, data: bytes, executable: bool = False) -> None:
    member = zipfile.ZipInfo(name, (2026, 1, 1, 0, 0, 0))
    member.external_attr = (0o100755 if executable else 0o100644) << 16
    member.compress_type = zipfile.ZIP_DEFLATED
    archive.writestr(member, data)
