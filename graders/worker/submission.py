"""A student's file as cells, and the names that each binds, reads or changes.

Runs in a worker, before any student code: a file that breaks the parser costs a process, not the grading. Cells are separated
by `# %%` lines in a `.py` file and given in a notebook; a `.py` without such lines is split into its top-level statements.
Which of them an exercise is loaded with is decided in `plans`.
"""

from __future__ import annotations
import __future__

import ast
import io
import itertools
import json
import re
import symtable
import tokenize
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any

from graders.wire.schema import MAX_CELLS, MAX_CODE
from graders.worker import imports, magics, newer

_CELL = re.compile(r"^#\s*%%")
_DEFINITION = re.compile(r"^(?:async\s+def|def|class)\s+(\w+)|^(\w+)\s*=(?!=)", re.MULTILINE)
_CHUNK = re.compile(r"^(?:def|class|async|import|from|@)\b|^@")
_ONLY_LOOK = {"print", "display", "check", "len", "repr", "str", "type", "help", "sum", "min", "max", "get_ipython"}
_WILD = {"exec", "eval", "globals", "vars", "locals", "setattr", "delattr", "__import__", "import_module"}
_WILD_METHODS = _WILD - {"eval"}  # what models in evaluation mode are full of


class UnreadableFile(Exception):
    """The file is no Python text and no notebook; the text says what it is."""


@dataclass
class Cell:
    """One cell: its source, its first line in the file (notebooks: 1), and the names it binds, reads or changes.

    `assigns` are the names that it binds to values (not to functions or modules), `given` those that it hands to calls
    made for their effect, which may change the values.
    """

    source: str
    line: int = 1
    number: int = 0
    binds: set[str] = field(default_factory=set)
    uses: set[str] = field(default_factory=set)
    touches: set[str] = field(default_factory=set)
    imports: set[str] = field(default_factory=set)
    assigns: set[str] = field(default_factory=set)
    given: set[str] = field(default_factory=set)
    stubs: set[str] = field(default_factory=set)
    wild: bool = False
    demonstration: bool = False
    flags: int = 0
    steps: str = ""  # where it goes on although a statement fails: "" nowhere, behind "imports", behind "all"
    error: str | None = None


def read(data: bytes, notebook: bool) -> list[Cell]:
    """Return the cells of a submitted file. Raises UnreadableFile."""
    cells = _notebook_cells(data) if notebook else _text_cells(_text(data))
    if len(cells) > MAX_CELLS or sum(len(cell.source) for cell in cells) > MAX_CODE:
        raise UnreadableFile(f"the file has more than {MAX_CELLS} cells of code, or {MAX_CODE >> 20} MiB in them")
    for number, cell in enumerate(cells, 1):
        cell.number = number
        cell.flags = ast.PyCF_ALLOW_TOP_LEVEL_AWAIT if notebook else 0
        _analyse(cell)
    cells = _with_imports_of_lost_ones(cells)
    for cell, after in itertools.pairwise(cells):
        after.flags |= cell.flags
    return cells


def _with_imports_of_lost_ones(cells: list[Cell]) -> list[Cell]:
    """Return the cells with the imports of those that do not parse before them, as cells of their own."""
    found: list[Cell] = []
    for cell in cells:
        kept = imports.imports_in(cell.source) if cell.error else ""
        if kept.strip():
            found.append(Cell(kept, cell.line, len(cells) + cell.number, demonstration=cell.demonstration))
            _analyse(found[-1])
        found.append(cell)
    return found


def _text(data: bytes) -> str:
    if b"\0" in data:
        raise UnreadableFile("the file is not text (it contains null bytes)")
    try:
        encoding, _ = tokenize.detect_encoding(io.BytesIO(data).readline)
        return io.TextIOWrapper(io.BytesIO(data), encoding).read()
    except (SyntaxError, UnicodeError, LookupError):
        raise UnreadableFile("the file is not UTF-8 text") from None


def _notebook_cells(data: bytes) -> list[Cell]:
    try:
        notebook = json.loads(data)
    except (ValueError, RecursionError):
        raise UnreadableFile("the notebook is not valid JSON (was it saved completely?)") from None
    if not isinstance(notebook, dict):
        raise UnreadableFile("the file is JSON but not a notebook")
    listed = notebook.get("cells")
    if not isinstance(listed, list) and isinstance(notebook.get("worksheets"), list):
        sheets = [sheet.get("cells") for sheet in notebook["worksheets"] if isinstance(sheet, dict)]
        listed = [entry for cells in sheets if isinstance(cells, list) for entry in cells]
    if not isinstance(listed, list):
        raise UnreadableFile("the notebook has no list of cells")
    cells = []
    for entry in listed:
        if isinstance(entry, dict) and (entry.get("cell_type") == "code" or _was_code(entry)):
            source = entry.get("source", entry.get("input", ""))
            text = "".join(map(str, source)) if isinstance(source, list) else str(source)
            cells.append(Cell(text.replace("\r\n", "\n").replace("\r", "\n"), demonstration=_is_demonstration(entry)))
    return cells


def _is_demonstration(entry: dict[str, Any]) -> bool:
    """Whether a cell is one that shows something and stands in the notebook alone; in the .py it is a comment."""
    metadata = entry.get("metadata")
    tags = metadata.get("tags") if isinstance(metadata, dict) else None
    return isinstance(tags, list) and "active-ipynb" in tags


def _was_code(entry: dict[str, Any]) -> bool:
    """Whether nbgrader gave the cell out as the place for an answer in code, whatever an editor made of it since."""
    metadata = entry.get("metadata")
    ours = metadata.get("nbgrader") if isinstance(metadata, dict) else None
    return isinstance(ours, dict) and ours.get("cell_type") == "code" and ours.get("solution") is True


def _text_cells(text: str) -> list[Cell]:
    lines = text.split("\n")  # as Python counts them: splitlines would cut at form feeds, too
    statements = _statements(text)
    marks = [index for index, line in enumerate(lines) if _CELL.match(line)]
    if statements is not None:
        inside = {line for first, last in statements for line in range(first + 1, last)}
        starts = [mark for mark in marks if mark not in inside] or [first for first, _ in statements[1:]]
    else:
        starts = marks or _chunks(lines)
    pairs = itertools.pairwise([0, *starts, len(lines)])
    return [Cell("\n".join([*lines[a:b], ""]), a + 1) for a, b in pairs if any(line.strip() for line in lines[a:b])]


def _statements(text: str) -> list[tuple[int, int]] | None:
    """Return for each top-level statement its first line, decorators included, and the one behind it; None if none parses."""
    try:
        body = ast.parse(text).body
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        return None
    firsts = [min([node.lineno, *(d.lineno for d in getattr(node, "decorator_list", []))]) - 1 for node in body]
    return [(first, node.end_lineno or node.lineno) for first, node in zip(firsts, body, strict=True)]


def _chunks(lines: list[str]) -> list[int]:
    """Return where a file without cell marks is cut that does not parse: at the definitions in column 0."""
    starts = [index for index, line in enumerate(lines) if _CHUNK.match(line)]
    return [at for at in starts if at == 0 or not lines[at - 1].startswith("@")]


def _parse(cell: Cell) -> ast.Module:
    try:
        return ast.parse(cell.source)
    except SyntaxError:
        if not magics.has_magics(cell.source):
            raise
        changed = magics.as_python(cell.source)
        tree = ast.parse(changed)
        cell.wild = magics.has_files(cell.source)
        cell.source = changed
        return tree


def _analyse(cell: Cell) -> None:
    try:
        tree = _parse(cell)
        compile(tree, "<cell>", "exec", cell.flags, dont_inherit=True)
        for statement in tree.body:
            _bindings(statement, cell)
        cell.steps = imports.steps(tree)
        cell.binds |= cell.imports | cell.assigns
        cell.uses |= _globals(symtable.symtable(cell.source, "<cell>", "exec"), cell)
        cell.wild |= any(isinstance(node, ast.Attribute) and node.attr in _WILD_METHODS for node in ast.walk(tree))
        cell.wild |= bool(cell.uses & _WILD)
    except SyntaxError as error:
        line = (error.lineno or 1) + cell.line - 1
        cell.error = f"{type(error).__name__}: {error.msg} (line {line}){newer.told(cell.source, error)}"
    except (ValueError, RecursionError, MemoryError) as error:
        cell.error = f"{type(error).__name__}: {error}"[:120]
    if cell.error:
        cell.binds = {a or b for a, b in _DEFINITION.findall(cell.source)}


def _globals(table: symtable.SymbolTable, cell: Cell) -> set[str]:
    """Return the global names that a cell reads, its functions' included; names that functions assign are bindings.

    What a function assigns may be read by that very statement (`COUNT += 1`), which a symbol table does not tell.
    """
    top = table.get_type() == "module"
    found = {name.get_name() for name in table.get_symbols() if (top or name.is_global()) and name.is_referenced()}
    if not top:
        assigned = {name.get_name() for name in table.get_symbols() if name.is_declared_global() and name.is_assigned()}
        cell.binds |= assigned
        found |= assigned
    return found.union(*(_globals(inner, cell) for inner in table.get_children()))


def _bindings(statement: ast.stmt, cell: Cell) -> None:
    """Collect the names that a top-level statement binds, and those whose objects it may change."""
    if isinstance(statement, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
        cell.binds.add(statement.name)
        if _is_stub(statement):
            cell.stubs.add(statement.name)
        cell.touches |= _changed(ast.walk(statement))
        return
    if isinstance(statement, ast.Import | ast.ImportFrom):
        if getattr(statement, "module", None) == "__future__":
            cell.flags |= sum(getattr(__future__, alias.name).compiler_flag for alias in statement.names)
        for alias in statement.names:
            cell.wild |= alias.name == "*"
            cell.imports.add((alias.asname or alias.name).split(".")[0])
        return
    for node in ast.iter_child_nodes(statement):
        if isinstance(node, ast.stmt):
            _bindings(node, cell)
        elif isinstance(node, ast.ExceptHandler | ast.match_case):
            for inner in node.body:
                _bindings(inner, cell)
    if isinstance(statement, ast.AugAssign):
        cell.uses.add(_root(statement.target))
    nodes = _expressions(statement)
    cell.assigns |= {n.id for n in nodes if isinstance(n, ast.Name) and isinstance(n.ctx, ast.Store | ast.Del)}
    cell.touches |= _changed(nodes)
    cell.given |= _given(nodes)


def _changed(nodes: Iterable[ast.AST]) -> set[str]:
    """Return the names whose objects may be changed: by an assignment into them, or by a call for its effect."""
    found: set[str] = set()
    for node in nodes:
        if isinstance(node, ast.Attribute | ast.Subscript) and isinstance(node.ctx, ast.Store | ast.Del):
            found.add(_root(node))
        elif isinstance(node, ast.Expr) and isinstance(node.value, ast.Call):
            found.add(_root(node.value))
    return found


def _given(nodes: Iterable[ast.AST]) -> set[str]:
    """Return the names that stand in the arguments of calls for their effect."""
    calls = [node.value for node in nodes if isinstance(node, ast.Expr) and isinstance(node.value, ast.Call)]
    calls = [call for call in calls if _root(call) not in _ONLY_LOOK]
    arguments = [value for call in calls for value in (*call.args, *(keyword.value for keyword in call.keywords))]
    return {node.id for value in arguments for node in ast.walk(value) if isinstance(node, ast.Name)}


def _is_stub(statement: ast.stmt) -> bool:
    """Whether a definition still ends in the line that stands where the answer goes; of a class its `__init__`, if it has one."""
    if isinstance(statement, ast.ClassDef):
        methods = [node for node in statement.body if isinstance(node, ast.FunctionDef)]
        methods = [node for node in methods if node.name == "__init__"] or methods
        return bool(methods) and all(map(_is_stub, methods))
    last = getattr(statement, "body", [None])[-1]
    return isinstance(last, ast.Raise) and isinstance(last.exc, ast.Call) and _root(last.exc) == "NotImplementedError"


def _expressions(statement: ast.stmt) -> list[ast.AST]:
    """Return the nodes of a statement without those of the statements inside it."""
    found: list[ast.AST] = []
    stack: list[ast.AST] = [statement]
    while stack:
        node = stack.pop()
        found.append(node)
        stack += [child for child in ast.iter_child_nodes(node) if not isinstance(child, ast.stmt | ast.ExceptHandler)]
    return found


def _root(node: ast.AST) -> str:
    while isinstance(node, ast.Attribute | ast.Subscript | ast.Call):
        node = node.func if isinstance(node, ast.Call) else node.value
    return node.id if isinstance(node, ast.Name) else ""
