"""Write many files as one step, never over what somebody has edited, and from templates that miss nothing."""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Collection, Mapping
from pathlib import Path

import jinja2

from graders.errors import Problem


class FolderError(Problem):
    """A folder that cannot be written to; the text is one sentence for whoever named it."""


def templates(room: Path) -> jinja2.Environment:
    """Return the templates of texts (not of pages: nothing is escaped) that a room of `graders/` keeps."""
    return jinja2.Environment(
        loader=jinja2.FileSystemLoader(room / "templates"),
        undefined=jinja2.StrictUndefined,
        keep_trailing_newline=True,
        trim_blocks=True,
    )


def write_all(files: Mapping[Path, bytes]) -> None:
    """Write every file beside its place first and move all of them then: a failure leaves no half file."""
    staged: dict[Path, Path] = {}
    try:
        for path, data in files.items():
            path.parent.mkdir(parents=True, exist_ok=True)
            staged[path] = path.with_name(f".{path.name}.{os.getpid()}.new")
            staged[path].write_bytes(data)
        for path, new in staged.items():
            os.replace(new, path)
    finally:
        for new in staged.values():
            new.unlink(missing_ok=True)


def edited(folder: Path, files: Mapping[str, bytes], manifest: str) -> list[str]:
    """Return the names in `files` (path inside the folder -> new content) that somebody has changed there.

    `manifest` names the file of the folder that remembers what was written. FolderError for a folder that holds other
    things and no manifest, for a damaged one, and for a path that is a file.
    """
    before = _known(folder, manifest)
    return [name for name, data in files.items() if _differs(folder / name, before.get(name), _digest(data))]


def update_folder(folder: Path, files: Mapping[str, bytes], manifest: str, keep: Collection[str]) -> None:
    """Bring `folder` to `files`, except for the names in `keep`; FolderError as in `edited`.

    Files that were written once, are no longer wanted and were not edited are removed.
    """
    before = _known(folder, manifest)
    new = {folder / name: data for name, data in files.items() if name not in keep and _read(folder / name) != data}
    after = {name: before.get(name, "") if name in keep else _digest(data) for name, data in files.items()}
    try:
        write_all(new | {folder / manifest: (json.dumps(after, indent=1, sort_keys=True) + "\n").encode()})
        for name in before.keys() - files.keys():
            if (folder / name).is_file() and not _differs(folder / name, before[name]):
                (folder / name).unlink()
                if not any((folder / name).parent.iterdir()):
                    (folder / name).parent.rmdir()
    except OSError as error:
        raise FolderError(f"{error.filename or folder} cannot be written: {error.strerror}") from None


def _known(folder: Path, manifest: str) -> dict[str, str]:
    if folder.exists() and not folder.is_dir():
        raise FolderError(f"{folder} is a file; name a folder")
    try:
        known = json.loads((folder / manifest).read_text(encoding="utf-8"))
    except FileNotFoundError:
        if folder.exists() and any(folder.iterdir()):
            raise FolderError(f"{folder} is not empty and was not written by this command; name a new folder") from None
        return {}
    except ValueError:
        raise FolderError(f"{folder / manifest} is damaged; name a new folder") from None
    if not isinstance(known, dict) or any(Path(name).is_absolute() or ".." in Path(name).parts for name in known):
        raise FolderError(f"{folder / manifest} is damaged; name a new folder")
    return known


def _differs(path: Path, *untouched: str | None) -> bool:
    data = _read(path)
    return data is not None and _digest(data) not in untouched


def _read(path: Path) -> bytes | None:
    return path.read_bytes() if path.is_file() else None


def _digest(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()
