"""Mutants: copies of a reference solution with one edit each, made with the mistakes of this field in mind.

The hidden tests of an exercise are as good as the share of its mutants that they refuse. Edits that compile to the same
code, or to the code of another mutant, are left out; what is left and survives is a gap in the tests, or is proven to be
right in `graders/lessons/<lesson>/equivalents.py`, under the mutant's text.
"""

from __future__ import annotations

import ast
import copy
from collections.abc import Iterator
from dataclasses import dataclass
from types import CodeType, ModuleType
from typing import Any

from graders.trust.operators import expressions, statements

Path = tuple[tuple[str, int | None], ...]
Definition = ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef
_DEFINITIONS = (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef)
_NOT_MUTATED = {"annotation", "returns", "type_comment", "type_params", "ctx", "op", "ops"}


@dataclass(frozen=True)
class Mutant:
    """One edit in one exercise: `text` says which, `code` defines the exercise and its helpers anew."""

    exercise: str
    text: str
    code: CodeType

    def space(self, solution: ModuleType) -> dict[str, Any]:
        """Return the solution's namespace with the mutant in place of the exercise. Raises what the definition raises."""
        space = dict(vars(solution))
        exec(self.code, space)
        return space


def mutants(solution: ModuleType, source: str, exercise: str) -> list[Mutant]:
    """Return the mutants of an exercise: of its own definition, and of the private helpers that it is the first to use."""
    modules = frozenset(name for name, value in vars(solution).items() if isinstance(value, ModuleType))
    definitions = _definitions(ast.parse(source), exercise)
    original = ast.Module(definitions, [])
    seen = {_fingerprint(_compiled(original))}
    texts: dict[str, int] = {}
    found = []
    for edited, text in _edits(original, modules):
        try:
            code = _compiled(edited)
        except (SyntaxError, ValueError):
            continue
        fingerprint = _fingerprint(code)
        if fingerprint not in seen:
            seen.add(fingerprint)
            texts[text] = texts.get(text, 0) + 1
            found.append(Mutant(exercise, text if texts[text] == 1 else f"{text}  ({texts[text]})", code))
    return found


def _definitions(tree: ast.Module, exercise: str) -> list[ast.stmt]:
    """Return the helpers that no earlier definition uses, and the exercise itself."""
    defined = {node.name: node for node in tree.body if isinstance(node, _DEFINITIONS)}
    taken: set[str] = set()
    for name, node in defined.items():
        if name.startswith("_"):
            continue
        own = _helpers(node, defined) - taken
        if name == exercise:
            return [*(defined[helper] for helper in defined if helper in own), node]
        taken |= own
    raise KeyError(exercise)


def _helpers(node: ast.AST, defined: dict[str, Definition]) -> set[str]:
    used = {child.id for child in ast.walk(node) if isinstance(child, ast.Name)}
    own = {name for name in used if name.startswith("_") and name in defined and defined[name] is not node}
    return own.union(*(_helpers(defined[name], {k: v for k, v in defined.items() if k != name}) for name in own))


def _edits(tree: ast.Module, modules: frozenset[str]) -> Iterator[tuple[ast.Module, str]]:
    for path, node, within in _places(tree):
        if isinstance(node, ast.expr) and not isinstance(getattr(node, "ctx", None), ast.Store | ast.Del):
            for replacement in expressions(node, modules, within):
                yield _edited(tree, path, [replacement])
        elif isinstance(node, ast.stmt) and len(path) > 1:
            for block in statements(node):
                yield _edited(tree, path, block)
        elif isinstance(node, ast.comprehension):
            for index in range(len(node.ifs)):
                fewer = copy.copy(node)
                fewer.ifs = node.ifs[:index] + node.ifs[index + 1 :]
                yield _edited(tree, path, [fewer])
        if isinstance(node, _DEFINITIONS):
            for index in range(len(node.decorator_list)):
                yield _edited(tree, (*path, ("decorator_list", index)), [])


def _places(node: ast.AST, path: Path = (), within: str = "") -> Iterator[tuple[Path, ast.AST, str]]:
    """Yield every node that can be edited, with its path, and what it stands in (see `operators.expressions`)."""
    if isinstance(node, ast.Raise):
        within = "raise"
    elif isinstance(node, ast.Compare) and within != "raise":
        within = "members" if isinstance(node.ops[0], ast.In | ast.NotIn) else ""
    for field, value in ast.iter_fields(node):
        if field in _NOT_MUTATED:
            continue
        for index, child in enumerate(value) if isinstance(value, list) else [(None, value)]:
            docstring = isinstance(node, _DEFINITIONS) and field == "body" and index == 0 and _is_text(child)
            if isinstance(child, ast.AST) and not docstring:
                place = (*path, (field, index))
                yield place, child, within
                yield from _places(child, place, within)


def _is_text(node: Any) -> bool:
    return isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant) and isinstance(node.value.value, str)


def _edited(tree: ast.Module, path: Path, block: list[Any]) -> tuple[ast.Module, str]:
    """Return a copy of the tree with the node at `path` replaced by `block` (one node, or statements), and what changed."""
    changed = copy.deepcopy(tree)
    owner: Any = changed
    for field, index in path[:-1]:
        owner = getattr(owner, field) if index is None else getattr(owner, field)[index]
    field, index = path[-1]
    new = [copy.deepcopy(node) for node in block]
    if index is None:
        setattr(owner, field, new[0])
    else:
        getattr(owner, field)[index : index + 1] = new
        if field in ("body", "finalbody") and not getattr(owner, field):
            getattr(owner, field).append(ast.Pass())
    return ast.fix_missing_locations(changed), _text(tree, changed, path, block)


def _text(tree: ast.Module, changed: ast.Module, path: Path, block: list[Any]) -> str:
    at = max(length for length in range(1, len(path) + 1) if isinstance(_node(tree, path[:length]), ast.stmt))
    before = _node(tree, path[:at])
    if at < len(path):
        return f"{_head(before)}  ->  {_head(_node(changed, path[:at]))}"
    after = "; ".join(_head(node) for node in block)
    if after == _head(before):
        return "only the first turn: " + after if isinstance(before, ast.For) else "for Exception alone: " + after
    return f"{_head(before)}  ->  {after}" if after else f"without: {_head(before)}"


def _node(tree: ast.AST, path: Path) -> Any:
    node: Any = tree
    for field, index in path:
        node = getattr(node, field) if index is None else getattr(node, field)[index]
    return node


def _head(statement: ast.stmt) -> str:
    """Return a statement in one line; of a compound one only its head."""
    shown: Any = copy.copy(statement)
    if isinstance(getattr(shown, "body", None), list):
        shown.body = [ast.Pass()]
        for field in ("orelse", "finalbody", "handlers"):
            if hasattr(shown, field):
                setattr(shown, field, [])
        if isinstance(shown, ast.Try | ast.TryStar):
            return "try"
        lines = ast.unparse(ast.fix_missing_locations(shown)).splitlines()[:-1]
        return " ".join(line.strip() for line in lines).removesuffix(":")
    return " ".join(ast.unparse(ast.fix_missing_locations(shown)).split())


def _compiled(tree: ast.Module) -> CodeType:
    return compile(ast.unparse(tree), "<mutant>", "exec", dont_inherit=True)


def _fingerprint(code: CodeType) -> tuple:
    """Return what a code object does, without where it stands."""
    constants = tuple(
        _fingerprint(value) if isinstance(value, CodeType) else (type(value).__name__, repr(value))
        for value in code.co_consts
    )
    names = (code.co_names, code.co_varnames, code.co_freevars, code.co_cellvars)
    return (code.co_code, constants, names, code.co_flags, code.co_exceptiontable, code.co_argcount)
