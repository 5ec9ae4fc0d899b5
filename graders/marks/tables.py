"""CSV files that instructors write: read as spreadsheets save them, refused with a sentence."""

from __future__ import annotations

import csv
import io
from pathlib import Path

from graders.errors import Problem


def rows(path: Path, what: str) -> list[tuple[int, list[str]]]:
    """Return the rows that are not empty, each with the number of its line.

    Commas, semicolons or tabs separate, whichever the first line has most of. Raises Problem; `what` names the file in it.
    """
    try:
        text = path.read_bytes().decode("utf-8-sig")
    except OSError as error:
        raise Problem(f"{what} {path} cannot be read: {error.strerror}") from None
    except UnicodeDecodeError:
        raise Problem(f"{what} {path} is not UTF-8 text; save it as CSV in UTF-8") from None
    separator = max(",;\t", key=text.split("\n", 1)[0].count)
    reader = csv.reader(io.StringIO(text, newline=""), delimiter=separator)
    try:
        return [(reader.line_num, row) for row in reader if any(value.strip() for value in row)]
    except csv.Error as error:
        raise Problem(f"{what} {path} is no CSV: {error}") from None
