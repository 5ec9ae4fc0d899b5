"""What a class hands in, as each layout has it: folders, clones, and the downloads of the learning platforms."""

from __future__ import annotations

import io
import unicodedata
import zipfile
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from pathlib import PurePosixPath

Files = dict[str, bytes]  # path -> content
_LAYOUT_NEEDS = 3  # students: of fewer, some layouts cannot be told
_DAY = "2026-01-30"


@dataclass(frozen=True)
class Person:
    """Somebody who does not exist."""

    first: str
    last: str
    number: int  # what a platform calls them

    @property
    def name(self) -> str:
        return f"{self.first} {self.last}"

    @property
    def login(self) -> str:
        plain = unicodedata.normalize("NFKD", f"{self.first}.{self.last}".lower())
        return "".join(sign for sign in plain if sign.isascii() and (sign.isalnum() or sign == "."))


@dataclass(frozen=True)
class HandedIn:
    """Everything that one person hands in, by the names that the files have there."""

    person: Person
    files: Files
    late: bool = False


def _placed(all_of_it: list[HandedIn], place: Callable[[Person, PurePosixPath], str]) -> Files:
    """Return the files of all, each where `place` says that a person's file of some name lies."""
    return {place(one.person, PurePosixPath(name)): data for one in all_of_it for name, data in one.files.items()}


def _folders(all_of_it: list[HandedIn]) -> Files:
    return _placed(all_of_it, lambda person, name: f"{person.login}/{name}")


def _lessons(all_of_it: list[HandedIn]) -> Files:
    """What is not called after a lesson lies where its student was asked to put a lesson."""
    names = [PurePosixPath(name) for one in all_of_it for name in one.files]
    lessons = [name.stem for name in names if name.suffix in (".py", ".ipynb")] or [names[0].stem]
    return _placed(
        all_of_it,
        lambda person, name: f"{name.stem if name.stem in lessons else lessons[0]}/{person.login}{name.suffix}",
    )


def _nbgrader(all_of_it: list[HandedIn]) -> Files:
    return _placed(all_of_it, lambda person, name: f"submitted/{person.login}/{name.stem}/{name}")


def _git(all_of_it: list[HandedIn]) -> Files:
    made = {}
    for one in all_of_it:
        clone = f"quantization-hw1-{one.person.login}"
        made[f"{clone}/.git/HEAD"] = b"ref: refs/heads/main\n"
        made |= {f"{clone}/exercises/{name}": data for name, data in one.files.items()}
    return made


def _canvas(all_of_it: list[HandedIn]) -> Files:
    made = {}
    for one in all_of_it:
        person = "".join(sign for sign in f"{one.person.last}{one.person.first}".lower() if sign.isalnum())
        for at, (name, data) in enumerate(one.files.items()):
            upload = 700_000 + 10 * one.person.number + at
            made[f"{person}_{'LATE_' if one.late else ''}{one.person.number}_{upload}_{name}"] = data
    return made


def _moodle(all_of_it: list[HandedIn]) -> Files:
    return _placed(all_of_it, lambda person, name: f"{person.name}_{person.number}_assignsubmission_file_/{name}")


def _blackboard(all_of_it: list[HandedIn]) -> Files:
    made = {}
    for one in all_of_it:
        attempt = f"Homework 1_{one.person.login}_attempt_{_DAY}-15-00-00"
        made[f"{attempt}.txt"] = f"Name: {one.person.name} ({one.person.login})\n".encode()
        made |= {f"{attempt}_{name}": data for name, data in one.files.items()}
    return made


def _brightspace(all_of_it: list[HandedIn]) -> Files:
    return _placed(
        all_of_it, lambda person, name: f"{person.number}-77001 - {person.name} - Jan 30, 2026 926 PM/{name}"
    )


def _sakai(all_of_it: list[HandedIn]) -> Files:
    made = {}
    for one in all_of_it:
        folder = f"Homework 1/{one.person.last}, {one.person.first}({one.person.login})"
        made[f"{folder}/timestamp.txt"] = b"20260130150000000"
        made |= {f"{folder}/Submission attachment(s)/{name}": data for name, data in one.files.items()}
    return made


def _gradescope(all_of_it: list[HandedIn]) -> Files:
    made: Files = {}
    told = ["---"]
    for one in all_of_it:
        folder = f"submission_{9000 + one.person.number}"
        made |= {f"{folder}/{name}": data for name, data in one.files.items()}
        told += [f"{folder}:", "  :submitters:", f"  - :name: {one.person.name}", f"    :sid: '{one.person.number}'"]
    return made | {"submission_metadata.yml": "\n".join([*told, ""]).encode()}


def _files(all_of_it: list[HandedIn]) -> Files:
    """Files named after students hold one lesson each: a folder for each lesson."""
    several = len({name.partition(".")[0] for one in all_of_it for name in one.files}) > 1
    return _placed(
        all_of_it,
        lambda person, name: (f"{name.stem} as " if several else "") + f"files/{person.login}{name.suffix}",
    )


LAYOUTS: dict[str, Callable[[list[HandedIn]], Files]] = {
    "folders": _folders, "canvas": _canvas, "moodle": _moodle, "nbgrader": _nbgrader, "lessons": _lessons, "git": _git,
    "blackboard": _blackboard, "brightspace": _brightspace, "sakai": _sakai, "gradescope": _gradescope, "files": _files,
}  # fmt: skip
DOWNLOADS = ("canvas", "moodle", "blackboard", "brightspace", "sakai", "gradescope")  # which come as one archive


def arranged(handed_in: list[HandedIn], layouts: Iterable[str] = LAYOUTS) -> Files:
    """Return everything as files: the class is cut into as many layouts as it has students for, one after the other.

    One more person's archive is named directly (`one`), where there are several layouts.
    """
    names = list(layouts)[: max(1, len(handed_in) // _LAYOUT_NEEDS)]
    made: Files = {}
    if len(names) > 1:
        *handed_in, last = handed_in
        made[f"{last.person.login}.zip"] = packed(last.files)
    count = len(handed_in)
    for at, name in enumerate(names):
        files = LAYOUTS[name](handed_in[at * count // len(names) : (at + 1) * count // len(names)])
        if name in DOWNLOADS:
            made[f"{name}.zip"] = packed(files)
        else:
            made |= {path if name == "files" else f"{name}/{path}": data for path, data in files.items()}
    return made


def packed(files: Mapping[str, bytes]) -> bytes:
    """Return an archive of files, the same for the same files."""
    held = io.BytesIO()
    with zipfile.ZipFile(held, "w", zipfile.ZIP_DEFLATED) as archive:
        for path, data in files.items():
            archive.writestr(zipfile.ZipInfo(path, (2026, 1, 30, 15, 0, 0)), data, zipfile.ZIP_DEFLATED)
    return held.getvalue()
