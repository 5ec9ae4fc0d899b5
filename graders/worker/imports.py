"""What of a cell must not be lost with the rest of it: its imports."""

from __future__ import annotations

import ast
import re

_IMPORT = re.compile(r"(?:import|from)\s+\w")


def steps(tree: ast.Module) -> str:
    """Return where a cell goes on although a statement fails: behind imports; behind all where it defines nothing itself."""
    if not any(isinstance(statement, ast.Import | ast.ImportFrom) for statement in tree.body):
        return ""
    definitions = ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef
    return "imports" if any(isinstance(statement, definitions) for statement in tree.body) else "all"


def imports_in(source: str) -> str:
    """Return a source that does not parse with nothing but the imports in it, each in its line."""
    lines = source.split("\n")
    kept = [""] * len(lines)
    for at, line in enumerate(lines):
        if _IMPORT.match(line):
            for end in range(at + 1, min(at + 40, len(lines)) + 1):
                if _parses("\n".join(lines[at:end])):
                    kept[at:end] = lines[at:end]
                    break
    return "\n".join(kept)


def _parses(source: str) -> bool:
    try:
        ast.parse(source)
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        return False
    return True
