"""`python -m graders forget DIR STUDENT`: take a person's data out of every file of an output folder."""

from __future__ import annotations

import csv
import html
import json
import os
import re
import shutil
import unicodedata
import zipfile
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any

from graders.cohort import verdicts
from graders.errors import Problem
from graders.followup import explain
from graders.followup.views import VIEWS
from graders.marks import tables
from graders.report import handed_back, leaderboard, table
from graders.report.of_class import page
from graders.report.written import FILE, Written

_PSEUDONYM = re.compile(r"model \d+")
_WHO = ("student", "sis user id", "idnumber")  # columns that name a student; where there is none, the first
_DIGITS = 5  # of a number that is searched for


def forget(folder: Path, student: str) -> list[str]:
    """Remove a student, as the verdicts call them; return a sentence on each file that was changed or removed.

    What the student handed in lies elsewhere and stays. The verdicts go last: until then the same command finds what a killed one
    left. Raises Problem if nothing in the folder is the student's.
    """
    student = unicodedata.normalize("NFC", student)
    book = verdicts.opened(folder)
    try:
        ours = [book.verdict(key) for key in book.keys if key[0] == student]
        names = {student, *(verdict.get("name", "") for verdict in ours)} - {""}
        returned = [name for verdict in ours for name in verdict.get("returned", {}).values()]
        told = list(_rows(folder, student))
        told += [f"{FILE}: what was written"] if Written(folder).drop(student) else []
        told += _files(folder, student, returned)
        told += _log(folder / "errors.log", student)
        told += _places(folder, student)
        for verdict in ours:
            book.drop((student, verdict["lesson"]))
        book.compact()
        told += [f"verdicts.jsonl: {_count(len(ours), 'verdict')}"] if ours else []
        told += _rewritten(folder, book.some(book.keys)) if told else []
        others = {key[0] for key in book.keys}
    finally:
        book.close()
    left = sorted(path.relative_to(folder).as_posix() for path in _still(folder, names - others))
    if not told and not left:
        raise Problem(f"there is nothing of {student} in {folder}")
    if left:
        told.append(f"still named in {', '.join(left)}: write these again with `grade` or `views`, or remove them")
    return told


def _count(number: int, what: str) -> str:
    return f"{number} {what}{'s' * (number != 1)}"


def _rows(folder: Path, student: str) -> Iterator[str]:
    """Take the student's rows out of all CSV files, whichever way spreadsheets are given the name."""
    called = {student, str(table.harmless(student))}
    for path in sorted(folder.glob("*.csv")):
        first = next((row for _, row in tables.rows(path, "the file")), [])
        columns = [at for at, name in enumerate(first) if name.strip().casefold() in _WHO]
        header = first if columns else None

        def is_students(row: list[str], header: list[str] | None = header, columns: list[int] = columns or [0]) -> bool:
            cells = {unicodedata.normalize("NFC", row[at].strip()) for at in columns if at < len(row)}
            return row != header and not called.isdisjoint(cells)

        count = tables.remove(path, "the file", is_students)
        if count:
            yield f"{path.name}: {_count(count, 'row')}"


def _files(folder: Path, student: str, returned: list[str]) -> Iterator[str]:
    """Remove what is called after the student in the folders that have a file for each, and in archives."""
    name = handed_back.file_names([student])[student]
    begins = f"{explain.stem(student)}__"
    for place in (handed_back.FOLDER, explain.FOLDER, *(view.folder for view in VIEWS)):
        for path in sorted((folder / place).glob("*")):
            if path.stem in (name, student) or (place == explain.FOLDER and path.name.startswith(begins)):
                shutil.rmtree(path) if path.is_dir() else path.unlink()
                yield f"{path.relative_to(folder)}: removed"
    for path in sorted(folder.glob("*.zip")):
        yield from _members(path, {name, student, *(f"{beginning}_feedback" for beginning in returned)})


def _members(path: Path, stems: Iterable[str]) -> Iterator[str]:
    with zipfile.ZipFile(path) as archive:
        names = archive.namelist()
        gone = [name for name in names if any(part in stems or Path(part).stem in stems for part in name.split("/"))]
        if not gone:
            return
        unfinished = path.with_suffix(".part")
        with zipfile.ZipFile(unfinished, "w", zipfile.ZIP_DEFLATED) as made:
            for name in names:
                if name not in gone:
                    made.writestr(archive.getinfo(name), archive.read(name))
    os.replace(unfinished, path)
    yield f"{path.name}: {_count(len(gone), 'file')}"


def _rewritten(folder: Path, others: Sequence[dict[str, Any]]) -> Iterator[str]:
    """Write again what tells of the whole class, as far as it is there: of the others alone."""
    board = folder / "leaderboard.csv"
    if board.is_file():
        with board.open(newline="", encoding="utf-8") as file:
            pseudonyms = all(_PSEUDONYM.fullmatch(row["student"]) for row in csv.DictReader(file))
        for path in (board, board.with_suffix(".svg")):
            path.unlink(missing_ok=True)
        leaderboard.write(others, folder, pseudonyms)
        yield "leaderboard.csv and leaderboard.svg: written again"
    if (folder / "report.html").is_file():
        pages = handed_back.file_names(verdict["student"] for verdict in others)
        there = {student: f"{name}.html" for student, name in pages.items()}
        page.write(others, folder, None, there, Written(folder))
        yield "report.html: written again, without what the last run said of layouts and of who handed in nothing"


def _log(path: Path, student: str) -> Iterator[str]:
    """Take the student's entries out of the log: an entry is what stands between two empty lines."""
    if not path.is_file():
        return
    entries = path.read_text(encoding="utf-8").split("\n\n")
    kept = [entry for entry in entries if f" {student}, " not in entry.split("\n", 1)[0]]
    if len(kept) < len(entries):
        unfinished = path.with_suffix(".part")
        unfinished.write_text("\n\n".join(kept), encoding="utf-8")
        os.replace(unfinished, path)
        yield f"{path.name}: {len(entries) - len(kept)} entries"


def _places(folder: Path, student: str) -> Iterator[str]:
    """Take paths that are called after the student out of the list of what was graded."""
    known, called = verdicts.looked_at(folder), _word(student)
    kept = [run | {"paths": [path for path in run["paths"] if not called.search(Path(path).name)]} for run in known]
    if kept != known:
        unfinished = folder / f"{verdicts.PLACES}.new"
        unfinished.write_text(json.dumps([run for run in kept if run["paths"]]), encoding="utf-8")
        os.replace(unfinished, folder / verdicts.PLACES)
        yield f"{verdicts.PLACES}: where it lay"


def _word(*texts: str) -> re.Pattern[str]:
    """Return what finds one of some texts as a word, at least one."""
    return re.compile("|".join(rf"(?<!\w){re.escape(text)}(?!\w)" for text in texts))


def _still(folder: Path, names: set[str]) -> Iterator[Path]:
    """Find the files, archives and pages among them, in which the student is still named, or which are called so.

    A number that has few digits is looked for nowhere: it stands everywhere as something else.
    """
    wanted = [name for name in names if not (name.isdecimal() and len(name) < _DIGITS)]
    if not wanted:
        return
    named = _word(*(form for name in wanted for form in (name, json.dumps(name)[1:-1], html.escape(name))))
    for path in folder.rglob("*"):
        if path.is_file() and path.name not in (".lock", ".seed"):
            data = path.read_bytes()
            if path.suffix == ".zip":
                with zipfile.ZipFile(path) as archive:
                    data = b"\n".join(name.encode() + archive.read(name) for name in archive.namelist())
            if named.search(f"{path.name}\n{data.decode(errors='replace')}"):
                yield path
