"""Syntax that a newer Python than this one knows, told by its looks: a student's own Python may be that one."""

from __future__ import annotations

import re
import sys

_SINCE = (
    ((3, 12), re.compile(r"^\s*type\s+\w+\s*(?:\[.*\]\s*)?=|\b(?:def|class)\s+\w+\s*\[")),
    ((3, 14), re.compile(r"""^\s*except\s+[\w.]+\s*,\s*[\w., ]+:|(?<!\w)[tT][rR]?["']""")),
)


def told(source: str, error: SyntaxError) -> str:
    """Return what to say behind a syntax error whose line may be right in a newer Python, "" if it may not."""
    lines = source.split("\n")
    line = lines[error.lineno - 1] if error.lineno and error.lineno <= len(lines) else ""
    since = [version for version, looks in _SINCE if looks.search(line)]
    if "f-string" in str(error.msg) or re.search(r"""\b[fF][rR]?["']""", line):
        since.append((3, 12))  # quotes, backslashes and comments inside the braces
    version = min(since, default=(0, 0))
    if version <= sys.version_info[:2]:
        return ""
    here = "{}.{}".format(*sys.version_info)
    return f"; this may be syntax of Python {version[0]}.{version[1]}, and it is read by Python {here}: write it for that one"
