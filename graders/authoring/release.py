"""The student kit: `exercises/` as derived, and the few files with which it is installed and run. Nothing else."""

from __future__ import annotations

import io
import json
import tomllib
import zipfile
from pathlib import Path
from typing import Any

from graders import ROOT
from graders.authoring.derive import derived_files
from graders.authoring.files import FolderError, edited, templates, update_folder, write_all
from graders.authoring.source import Lesson, read_lessons

_MANIFEST = ".kit.json"
_SUPPORT = ("kit", "models")  # folders of exercises/ that go to students as they are
_SINGLE = ("__init__.py", "conftest.py", "setup.sh", "README.md")
_NO_DATE = (1980, 1, 1, 0, 0, 0)  # the earliest that a zip can hold
_EXTRAS = ("notebook",)
_PROJECT = ("name", "version", "description", "readme", "requires-python", "license", "dependencies")


def release(directory: Path, root: Path = ROOT) -> list[str]:
    """Write the student kit to `directory`, or bring one there up to date; return what to tell, one sentence each.

    A name that ends in .zip becomes an archive with everything in one folder, the same bytes from the same sources.

    A file that a student has edited is kept as it is, and named. FolderError for a folder that is neither empty nor a
    kit; LessonError if a source is malformed.
    """
    files = kit_files(root)
    if directory.suffix == ".zip":
        _write_archive(directory, files)
        return [f"the student kit is in {directory}"]
    kept = edited(directory, files, _MANIFEST)
    update_folder(directory, files, _MANIFEST, keep=kept)
    told = [
        f"{name} was edited in the kit and stays as it is; move it away and release again to get the new one"
        for name in kept
    ]
    return [f"the student kit is in {directory}", *told]


def _write_archive(path: Path, files: dict[str, bytes]) -> None:
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, data in sorted(files.items()):
            entry = zipfile.ZipInfo(f"{path.stem}/{name}", _NO_DATE)
            entry.compress_type, entry.external_attr = zipfile.ZIP_DEFLATED, 0o644 << 16
            entry.create_system = 3  # Unix, whatever system writes it
            archive.writestr(entry, data)
    if path.is_dir():
        raise FolderError(f"{path} is a folder; name a file")
    try:
        write_all({path: packed.getvalue()})
    except OSError as error:
        raise FolderError(f"{error.filename or path} cannot be written: {error.strerror}") from None


def kit_files(root: Path = ROOT) -> dict[str, bytes]:
    """Return the student kit: path inside it -> content."""
    source = root / "exercises"
    paths = [source / name for name in _SINGLE]
    for folder in _SUPPORT:
        paths += sorted((source / folder).rglob("*"))
    files = {path.relative_to(root).as_posix(): path.read_bytes() for path in paths if _is_kept(path, source)}
    files |= derived_files(root)
    project = tomllib.loads(_needed(root / "pyproject.toml").decode())
    files["pyproject.toml"] = student_project(project).encode()
    for path in (root / "LICENSE", lock_file(root)):
        files[path.name] = _needed(path)
    files["README.md"] = student_readme(read_lessons(root), _needed(root / "README.md").decode()).encode()
    return files


def student_project(project: dict[str, Any]) -> str:
    """Return the pyproject.toml of the kit: the project's own students' part, with no package but exercises."""
    extras = project["project"].get("optional-dependencies", {})
    tables = {
        "build-system": project["build-system"],
        "project": {key: project["project"][key] for key in _PROJECT},
        "project.optional-dependencies": {name: extras[name] for name in _EXTRAS if name in extras},
        "tool.setuptools.packages.find": {"include": ["exercises*"]},
        "tool.pytest.ini_options": project["tool"]["pytest"]["ini_options"],
    }
    return "\n".join(f"[{name}]\n" + "".join(_line(*item) for item in table.items()) for name, table in tables.items())


def student_readme(lessons: list[Lesson], readme: str) -> str:
    """Return the kit's README, with the set-up line of the project's own README (the first fenced block)."""
    return (
        templates(Path(__file__).parent)
        .get_template("student_readme.md.jinja")
        .render(lessons=lessons, setup=setup_line(readme))
    )


def setup_line(readme: str) -> str:
    """Return the content of the first fenced block of a README."""
    parts = readme.split("```")
    if len(parts) < 3:
        raise FolderError("README.md has no fenced block with the set-up line")
    return parts[1].split("\n", 1)[1].rstrip("\n")


def lock_file(root: Path) -> Path:
    """Return the lock file of the project, the one file of its kind in the root."""
    found = [path for pattern in ("*.lock", "requirements*.txt", "pylock*.toml") for path in root.glob(pattern)]
    if len(found) != 1:
        raise FolderError(f"{root} must hold one lock file, and holds {len(found)}")
    return found[0]


def _needed(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        raise FolderError(f"{path.name} is missing in the repository: {error.strerror}") from None


def _is_kept(path: Path, source: Path) -> bool:
    parts = path.relative_to(source).parts
    return path.is_file() and not any(part.startswith(".") or part == "__pycache__" for part in parts)


def _line(key: str, value: Any) -> str:
    """Write one TOML entry; strings, numbers, booleans and lists of strings are written as in JSON."""
    if isinstance(value, list):
        return f"{key} = [\n" + "".join(f"    {json.dumps(part, ensure_ascii=False)},\n" for part in value) + "]\n"
    return f"{key} = {json.dumps(value, ensure_ascii=False)}\n"
