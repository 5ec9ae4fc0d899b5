"""What a mutant changes: one expression or one statement, in the ways in which code of this field goes wrong."""

from __future__ import annotations

import ast
import copy
import re
from collections.abc import Iterator
from typing import Any

DTYPES = {
    "float64": ["float32"],
    "float32": ["float64", "float16", "bfloat16"],
    "float16": ["bfloat16", "float32"],
    "bfloat16": ["float16", "float32"],
    "int8": ["uint8", "int16"],
    "uint8": ["int8"],
    "int16": ["int8", "int32"],
    "int32": ["int64", "int16"],
    "int64": ["int32"],
    "double": ["float"],
    "float": ["double", "half"],
    "half": ["bfloat16", "float"],
}
_PAIRS = (
    "min max, amin amax, argmin argmax, minimum maximum, sum mean, any all, zeros ones, zeros_like ones_like, "
    "parameters buffers, named_parameters named_buffers, eval train, isnan isinf, floor ceil, log2 log10, "
    "startswith endswith, add sub, mul div"
)
SWAPS = {
    **DTYPES,
    "round": ["trunc", "floor", "ceil"],
    "trunc": ["round"],
    "isfinite": ["isnan"],
    "nbytes": ["element_size"],
    "inf": ["nan"],
    "named_modules": ["named_children"],
    "modules": ["children"],
    "deepcopy": ["copy"],
    "smallest_normal": ["eps"],
    "eps": ["smallest_normal", "resolution"],
    "no_grad": ["enable_grad"],
    "inference_mode": ["enable_grad"],
}
for _pair in _PAIRS.split(", "):
    _left, _right = _pair.split()
    SWAPS[_left] = [*SWAPS.get(_left, []), _right]
    SWAPS[_right] = [*SWAPS.get(_right, []), _left]
NAMES = {"max": ["min"], "min": ["max"], "any": ["all"], "all": ["any"], "round": ["int"], "sorted": ["list"]}
ERRORS = {"ValueError": "TypeError", "TypeError": "ValueError", "RuntimeError": "ValueError"}
OPERATORS: dict[type, list[type]] = {
    ast.Add: [ast.Sub], ast.Sub: [ast.Add], ast.Mult: [ast.Div], ast.Div: [ast.FloorDiv, ast.Mult],
    ast.FloorDiv: [ast.Div], ast.Mod: [ast.Mult], ast.Pow: [ast.Mult], ast.MatMult: [ast.Mult],
    ast.LShift: [ast.RShift], ast.RShift: [ast.LShift], ast.BitAnd: [ast.BitOr], ast.BitOr: [ast.BitAnd],
    ast.BitXor: [ast.BitAnd],
}  # fmt: skip
COMPARISONS: dict[type, list[type]] = {
    ast.Lt: [ast.LtE, ast.GtE], ast.LtE: [ast.Lt, ast.Gt], ast.Gt: [ast.GtE, ast.LtE], ast.GtE: [ast.Gt, ast.Lt],
    ast.Eq: [ast.NotEq], ast.NotEq: [ast.Eq], ast.Is: [ast.IsNot], ast.IsNot: [ast.Is], ast.In: [ast.NotIn],
    ast.NotIn: [ast.In],
}  # fmt: skip


def _with(node: Any, **fields: Any) -> Any:
    changed = copy.copy(node)
    for name, value in fields.items():
        setattr(changed, name, value)
    return changed


def _without(items: list, index: int) -> list:
    return items[:index] + items[index + 1 :]


def expressions(node: ast.expr, modules: frozenset[str], within: str = "") -> Iterator[ast.expr]:
    """Yield what an expression could be mistaken for.

    `within` says what it stands in: in a "raise" statement texts and calls stay as they are, the order of the "members"
    behind an `in` does not matter.
    """
    raising = within == "raise"
    if isinstance(node, ast.Constant):
        yield from _constants(node, raising)
    elif isinstance(node, ast.Attribute):
        yield from (_with(node, attr=other) for other in SWAPS.get(node.attr, []))
    elif isinstance(node, ast.Name):
        if raising and node.id in ERRORS:
            yield _with(node, id=ERRORS[node.id])
        yield from (_with(node, id=other) for other in NAMES.get(node.id, []))
    elif isinstance(node, ast.BinOp):
        yield from (_with(node, op=other()) for other in OPERATORS.get(type(node.op), []))
        yield from (node.left, node.right)
    elif isinstance(node, ast.UnaryOp):
        yield node.operand
    elif isinstance(node, ast.Compare):
        for index, operator in enumerate(node.ops):
            for other in COMPARISONS[type(operator)]:
                yield _with(node, ops=[*node.ops[:index], other(), *node.ops[index + 1 :]])
    elif isinstance(node, ast.BoolOp):
        yield _with(node, op=ast.Or() if isinstance(node.op, ast.And) else ast.And())
        for index in range(len(node.values)):
            rest = _without(node.values, index)
            yield rest[0] if len(rest) == 1 else _with(node, values=rest)
    elif isinstance(node, ast.IfExp):
        yield from (node.body, node.orelse)
    elif isinstance(node, ast.Call) and not raising:
        yield from _calls(node, modules)
    elif isinstance(node, ast.Subscript):
        yield node.value
    elif isinstance(node, ast.Slice):
        yield from (_with(node, **{part: None}) for part in ("lower", "upper", "step") if getattr(node, part))
    elif isinstance(node, ast.Tuple | ast.List | ast.Set):
        if len(node.elts) > 1 and not isinstance(node, ast.Set) and within != "members":
            yield _with(node, elts=[node.elts[1], node.elts[0], *node.elts[2:]])
        yield from (_with(node, elts=_without(node.elts, index)) for index in range(len(node.elts)))
    elif isinstance(node, ast.Dict):
        for index in range(len(node.keys)):
            yield _with(node, keys=_without(node.keys, index), values=_without(node.values, index))


def _constants(node: ast.Constant, raising: bool) -> Iterator[ast.expr]:
    value = node.value
    if isinstance(value, bool):
        yield ast.Constant(not value)
    elif isinstance(value, int):
        yield from (ast.Constant(value + 1), ast.Constant(value - 1))
    elif isinstance(value, float):
        yield from (ast.Constant(2 * value), ast.Constant(-value)) if value else (ast.Constant(1.0),)
    elif isinstance(value, str) and not raising:
        yield ast.Constant("" if value else "x")
        if re.search(r"\d", value):
            yield ast.Constant(re.sub(r"\d+", lambda found: str(int(found[0]) + 1), value, count=1))


def _calls(node: ast.Call, modules: frozenset[str]) -> Iterator[ast.expr]:
    """A call unwrapped to what it acts on; an argument less; two arguments swapped."""
    function = node.func
    inner = function.value if isinstance(function, ast.Attribute) else None
    method = inner is not None and not _is_module(inner, modules)
    if inner is not None and method:
        yield inner
    elif node.args and not isinstance(node.args[0], ast.Starred):
        yield node.args[0]
    if method or len(node.args) > 1:
        yield from (_with(node, args=_without(node.args, index)) for index in range(len(node.args)))
    yield from (_with(node, keywords=_without(node.keywords, index)) for index in range(len(node.keywords)))
    if len(node.args) > 1 and getattr(function, "attr", getattr(function, "id", "")) not in _COMMUTATIVE:
        yield _with(node, args=[node.args[1], node.args[0], *node.args[2:]])
    if isinstance(function, ast.Attribute):
        yield from _of_the_field(node, function.value, function.attr)


_COMMUTATIVE = {"max", "min", "maximum", "minimum", "dot", "equal", "gcd"}
_CASTS = ("float16", "bfloat16", "float32")


def _of_the_field(call: ast.Call, owner: ast.expr, name: str) -> Iterator[ast.expr]:
    """The last row for all of them; the storage for the elements; another dtype for a cast, or one on the way; other ties; the
    symmetric range; products rounded before the sum."""
    if name in ("mean", "sum", "max", "min") and not call.args and not call.keywords:
        yield _written(f"(x[-1] if x.dim() > 1 else x).{name}()", x=owner)
    elif name == "numel":
        yield _written("x.untyped_storage().nbytes() // x.element_size()", x=owner)
    if name == "to" and len(call.args) == 1:
        yield from (_with(call, args=[_written(f"torch.{dtype}")]) for dtype in _CASTS)
        yield from (_with(call, func=_written(f"x.to(torch.{dtype}).to", x=owner)) for dtype in _CASTS)
    elif name == "round" and not call.args:
        yield _written("(x + 0.5).floor()", x=owner)
        yield _written("(x.abs() + 0.5).floor() * x.sign()", x=owner)
    elif name == "clamp" and len(call.args) == 2:
        yield _with(call, args=[ast.UnaryOp(ast.USub(), call.args[1]), call.args[1]])
    elif name == "dot" and len(call.args) == 2:
        yield _written("(x * y).sum()", x=call.args[0], y=call.args[1])


def _written(text: str, **nodes: ast.expr) -> Any:
    """Parse an expression and put nodes in place of its names."""

    class Put(ast.NodeTransformer):
        def visit_Name(self, node: ast.Name) -> ast.expr:
            return nodes.get(node.id, node)

    return Put().visit(ast.parse(text, mode="eval")).body


def _is_module(node: ast.expr, modules: frozenset[str]) -> bool:
    while isinstance(node, ast.Attribute):
        node = node.value
    return isinstance(node, ast.Name) and node.id in modules


def _exceptions_only(node: ast.Try) -> Iterator[list[ast.stmt]]:
    """What stands in `finally`, for exceptions and success alone: KeyboardInterrupt is neither."""
    if not node.handlers and not _returns(node.body):
        handler = ast.ExceptHandler(ast.Name("Exception", ast.Load()), None, [*node.finalbody, ast.Raise()])
        yield [ast.Try(node.body, [handler], [*node.orelse, *node.finalbody], [])]


def _returns(body: list[ast.stmt]) -> bool:
    return any(isinstance(node, ast.Return) for statement in body for node in ast.walk(statement))


def statements(node: ast.stmt) -> Iterator[list[ast.stmt]]:
    """Yield what could stand in place of a statement: nothing, its inside, or itself with another condition."""
    if not isinstance(node, ast.Pass | ast.Import | ast.ImportFrom | ast.Global | ast.Nonlocal):
        yield []
    if isinstance(node, ast.If):
        yield [_with(node, test=ast.Constant(True))]
        if node.orelse:
            yield [_with(node, test=ast.Constant(False))]
    elif isinstance(node, ast.While):
        yield [_with(node, test=ast.Constant(False))]
    elif isinstance(node, ast.For):
        yield [_with(node, body=[*node.body, ast.Break()])]
    elif isinstance(node, ast.With):
        yield list(node.body)
    elif isinstance(node, ast.Try):
        yield [*node.body, *node.orelse]
        if node.finalbody:
            yield [*node.body, *node.orelse, *node.finalbody]
            yield from _exceptions_only(node)
    elif isinstance(node, ast.AugAssign):
        yield from ([_with(node, op=other())] for other in OPERATORS.get(type(node.op), []))
        target = _with(node.target, ctx=ast.Store())
        yield [ast.Assign([target], node.value)]
    elif isinstance(node, ast.Break):
        yield [ast.Continue()]
    elif isinstance(node, ast.Continue):
        yield [ast.Break()]
