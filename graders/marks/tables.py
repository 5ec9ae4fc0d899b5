"""CSV files that instructors write: read as spreadsheets save them, refused with a sentence."""

from __future__ import annotations

import codecs
import csv
import io
import math
import os
import re
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

from graders.errors import Problem

_SAID = ("sep=,", "sep=;", "sep=\t")  # Excel's first line, which is no row


class _Table(NamedTuple):
    encoding: str
    separator: str
    lines: list[str]


def rows(path: Path, what: str) -> list[tuple[int, list[str]]]:
    """Return the rows that are not empty, each with the number of its line.

    Commas, semicolons or tabs separate, whichever the first line has most of; a first line `sep=;` of Excel's says it and is no
    row. Raises Problem; `what` names the file in it.
    """
    table = _read(path, what)
    first = ["\n"] if table.lines and _said(table.lines[0]) else table.lines[:1]
    reader = csv.reader([*first, *table.lines[1:]], delimiter=table.separator)
    try:
        return [(reader.line_num, row) for row in reader if any(value.strip() for value in row)]
    except csv.Error as error:
        raise Problem(f"{what} {path} is no CSV: {error}") from None


def remove(path: Path, what: str, gone: Callable[[list[str]], bool]) -> int:
    """Take rows out of a file, which keeps the others as they are written; return how many. Raises Problem."""
    table = _read(path, what)
    reader, kept, count, at = csv.reader(table.lines, delimiter=table.separator), [], 0, 0
    try:
        for row in reader:
            written, at = table.lines[at : reader.line_num], reader.line_num
            count += gone(row)
            kept += [] if gone(row) else written
    except csv.Error as error:
        raise Problem(f"{what} {path} is no CSV: {error}") from None
    if count:
        unfinished = path.with_suffix(".part")
        unfinished.write_bytes("".join(kept).encode(table.encoding))
        os.replace(unfinished, path)
    return count


def number(text: str) -> float:
    """Return a number, written with a point, or with a comma as many spreadsheets do; nan if it is none."""
    try:
        return float(re.sub(r"^(\d+),(\d{1,2})$", r"\1.\2", text.strip()))
    except ValueError:
        return math.nan


def _read(path: Path, what: str) -> _Table:
    """Read a file in UTF-8, or in UTF-16 as Excel saves "Unicode text"."""
    try:
        data = path.read_bytes()
        encoding = "utf-16" if data.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)) else "utf-8"
        if data.startswith(codecs.BOM_UTF8):
            encoding = "utf-8-sig"
        text = data.decode(encoding)
    except OSError as error:
        raise Problem(f"{what} {path} cannot be read: {error.strerror}") from None
    except UnicodeDecodeError:
        text = "\0"
    if "\0" in text:
        raise Problem(f"{what} {path} is not UTF-8 text; save it as CSV in UTF-8")
    lines = list(io.StringIO(text, newline=""))
    first = lines[0] if lines else ""
    return _Table(encoding, _said(first) or max(",;\t", key=first.count), lines)


def _said(line: str) -> str:
    """Return the separator that a first line of Excel's says, "" if it is a row."""
    told = line.strip('"\r\n ').lower()
    return told[-1] if told in _SAID else ""
