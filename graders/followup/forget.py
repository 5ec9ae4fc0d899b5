"""`python -m graders forget DIR STUDENT`: take a person's data out of every file of an output folder."""

from __future__ import annotations

import csv
import os
import re
import shutil
import zipfile
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any

from graders.cohort import verdicts
from graders.errors import Problem
from graders.followup import explain
from graders.report import handed_back, leaderboard, table
from graders.report.of_class import page
from graders.report.written import FILE, Written

_PSEUDONYM = re.compile(r"model \d+")


def forget(folder: Path, student: str) -> list[str]:
    """Remove a student, as the verdicts call them; return a sentence on each file that was changed or removed.

    What the student handed in lies elsewhere and stays. Raises Problem if nothing in the folder is the student's.
    """
    book = verdicts.opened(folder)
    try:
        ours = [key for key in book.keys if key[0] == student]
        names = {student, *(book.verdict(key).get("name", "") for key in ours)} - {""}
        returned = [name for key in ours for name in book.verdict(key).get("returned", {}).values()]
        for key in ours:
            book.drop(key)
        book.compact()
        told = [f"verdicts.jsonl: {len(ours)} verdicts"] if ours else []
        told += _rows(folder, student)
        told += [f"{FILE}: what was written"] if Written(folder).drop(student) else []
        told += _files(folder, student, returned)
        told += _log(folder / "errors.log", student)
        told += _rewritten(folder, book.some(book.keys)) if told else []
        others = {key[0] for key in book.keys}
    finally:
        book.close()
    left = sorted(path.relative_to(folder).as_posix() for path in _still(folder, names - others))
    if not told and not left:
        raise Problem(f"there is nothing of {student} in {folder}")
    if left:
        told.append(f"still named in {', '.join(left)}: write these again with `grade`, or remove them")
    return told


def _rows(folder: Path, student: str) -> Iterator[str]:
    """Take rows out of all CSV files: those in which a cell is the student, as spreadsheets are given it."""
    cells = {student, str(table.harmless(student))}
    for path in sorted(folder.glob("*.csv")):
        with path.open(newline="", encoding="utf-8-sig") as file:
            rows = list(csv.reader(file))
        kept = [row for row in rows if not cells & set(row)]
        if len(kept) < len(rows):
            unfinished = path.with_suffix(".part")
            with unfinished.open("w", newline="", encoding="utf-8") as file:
                csv.writer(file).writerows(kept)
            os.replace(unfinished, path)
            yield f"{path.name}: {len(rows) - len(kept)} rows"


def _files(folder: Path, student: str, returned: list[str]) -> Iterator[str]:
    """Remove files and folders that are called after the student, and members of archives that are."""
    stems = {handed_back.file_names([student])[student], student, *(f"{name}_feedback" for name in returned)}
    begins = f"{explain.stem(student)}__"
    for path in sorted(folder.rglob("*")):
        if (
            path.stem in stems
            or path.name in stems
            or (path.parent.name == explain.FOLDER and path.name.startswith(begins))
        ):
            if path.is_dir():
                shutil.rmtree(path)
            elif path.exists():
                path.unlink()
            yield f"{path.relative_to(folder)}: removed"
        elif path.suffix == ".zip" and path.is_file():
            yield from _members(path, stems)


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
    yield f"{path.name}: {len(gone)} files"


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


def _still(folder: Path, names: set[str]) -> Iterator[Path]:
    """Find the files, archives and pages among them, in which the student is still named."""
    wanted = [name.encode() for name in names]
    for path in folder.rglob("*"):
        if path.is_file() and path.name not in (".lock", ".seed"):
            data = path.read_bytes()
            if path.suffix == ".zip":
                with zipfile.ZipFile(path) as archive:
                    data = b"\n".join(name.encode() + archive.read(name) for name in archive.namelist())
            if any(name in data for name in wanted):
                yield path
