"""CSV files that instructors write: read as spreadsheets save them, refused with a sentence."""

from __future__ import annotations

import csv
import io
import math
import re
from pathlib import Path

from graders.errors import Problem


def rows(path: Path, what: str) -> list[tuple[int, list[str]]]:
    """Return the rows that are not empty, each with the number of its line.

    Commas, semicolons or tabs separate, whichever the first line has most of; a first line `sep=;` of Excel's says it and is no
    row. Raises Problem; `what` names the file in it.
    """
    try:
        text = path.read_bytes().decode("utf-8-sig")
    except OSError as error:
        raise Problem(f"{what} {path} cannot be read: {error.strerror}") from None
    except UnicodeDecodeError:
        raise Problem(f"{what} {path} is not UTF-8 text; save it as CSV in UTF-8") from None
    told, _, below = text.partition("\n")
    if told.strip('"\r ').lower() in ("sep=,", "sep=;", "sep=\t"):
        separator, text = told.strip('"\r ')[-1], f"\n{below}"
    else:
        separator = max(",;\t", key=told.count)
    reader = csv.reader(io.StringIO(text, newline=""), delimiter=separator)
    try:
        return [(reader.line_num, row) for row in reader if any(value.strip() for value in row)]
    except csv.Error as error:
        raise Problem(f"{what} {path} is no CSV: {error}") from None


def number(text: str) -> float:
    """Return a number, written with a point, or with a comma as many spreadsheets do; nan if it is none."""
    try:
        return float(re.sub(r"^(\d+),(\d{1,2})$", r"\1.\2", text.strip()))
    except ValueError:
        return math.nan
