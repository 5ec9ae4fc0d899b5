"""Read values without asking them, and show them in short texts that can be told apart; and examples with what came of them."""

import ast
import doctest
from dataclasses import dataclass
from itertools import islice
from typing import Any

import torch
from torch import Tensor

_CONTAINERS = (list, tuple, dict, set, frozenset)
_BASES = (bool, int, float, complex, str, bytes, *_CONTAINERS)
_PACKED = (torch.float4_e2m1fn_x2,)  # two numbers in a byte, which torch does not convert
_SHOWN = 20  # elements of a container that are shown
_EXACT = 14  # characters of a number that are written as they are: 0.00048828125 is what a docstring says
SMALL = 8  # tensors of at most this many elements are shown whole


@dataclass(frozen=True)
class Foreign:
    """Stands for an object of another process that is no data: only its type's name is known. It equals nothing else."""

    type_name: str


def base_type(value: Any) -> type:
    """The builtin type that a value counts as, Tensor for tensors and parameters, else its own type."""
    kind = type(value)
    for base in _BASES:  # told by identity where it can be: most values are of these very types
        if kind is base:
            return base
    if issubclass(kind, Tensor):
        return Tensor if _is_plain_tensor(kind) else kind
    return next((base for base in _BASES if issubclass(kind, base)), kind)


def _is_plain_tensor(kind: type) -> bool:
    if kind in (Tensor, torch.nn.Parameter):
        return True
    own = kind.__mro__[: kind.__mro__.index(Tensor)]
    names = ("__torch_function__", "__torch_dispatch__")
    return not any(name in vars(part) for part in own if part is not torch.nn.Parameter for name in names)


def plain(value: Any) -> Any:
    """The value itself as its base type, read by the base type's own methods; containers one level deep."""
    kind = base_type(value)
    if kind is Tensor:
        with torch._C.DisableTorchFunctionSubclass():
            return Tensor.detach(value)
    if kind is int:
        return int.__int__(value)
    if kind is float:
        return float.__float__(value)
    if kind is complex:
        return complex(complex.real.__get__(value), complex.imag.__get__(value))
    if kind is str:
        return str.__str__(value)
    if kind in (bytes, list, tuple):
        return kind.__getitem__(value, slice(None))
    if kind is dict:
        return dict(dict.items(value))
    if kind in (set, frozenset):
        return frozenset(kind.__iter__(value))
    return value


def span(tensor: Tensor) -> int:
    """The elements of its storage from a strided tensor's first number to its last, both included; 0 if it has none."""
    if tensor.is_contiguous() or not tensor.numel():
        return tensor.numel()
    return 1 + sum((size - 1) * stride for size, stride in zip(tensor.shape, tensor.stride(), strict=True))


def is_freed(tensor: Tensor) -> bool:
    """Whether numbers of a tensor lie beyond the end of its storage, as after `resize_(0)` on it: to read them ends the process."""
    plainly = tensor.layout is torch.strided and tensor.device.type == "cpu" and not tensor.is_nested
    if not plainly or not tensor.numel():
        return False
    return (tensor.storage_offset() + span(tensor)) * tensor.element_size() > tensor.untyped_storage().nbytes()


def comparable(tensor: Tensor) -> Tensor:
    """The numbers in a dtype in which each compares exactly: float64, int64, complex128; packed ones as bytes.

    Raises ValueError where they cannot be read (see `is_freed`).
    """
    if is_freed(tensor):
        raise ValueError("the numbers lie beyond the end of the storage")
    tensor = (tensor if tensor.layout == torch.strided else tensor.to_dense()).cpu()
    tensor = tensor.dequantize() if tensor.is_quantized else tensor  # torch's own, as of torch.quantize_per_tensor
    if tensor.dtype == torch.uint64:
        return tensor.contiguous().view(torch.int64)
    if tensor.dtype in _PACKED:
        return tensor.contiguous().view(torch.uint8).long()
    if tensor.is_complex():
        return tensor.to(torch.complex128)
    return tensor.double() if tensor.is_floating_point() else tensor.long()


def show_type(value: Any) -> str:
    """Name of a value's type: float, Tensor, numpy.float32."""
    kind = base_type(value)
    if kind is Tensor:
        return "Tensor"
    if kind is Foreign:
        return value.type_name
    module = type.__dict__["__module__"].__get__(kind)
    name = type.__dict__["__name__"].__get__(kind)
    return f"{module}.{name}" if module.partition(".")[0] in ("numpy", "torch") else name


def show_typed(value: Any) -> str:
    """Type and value, for a message about types: int 3, float 3.0, None."""
    if value is None:
        return "None"
    kind = base_type(value)
    if kind is Tensor:
        return f"Tensor, {show(value)}"
    return f"{show_type(value)} {show(value)}" if kind in _BASES else show(value)


def show_number(element: Tensor) -> str:
    """One element: exactly where that is short, else in the fewest digits that its own dtype tells apart."""
    number = comparable(element).item()
    dtype = element.dtype
    if not isinstance(number, float) or dtype == torch.float64 or len(repr(number)) <= _EXACT:
        return repr(number if dtype != torch.bool else bool(number))
    for digits in range(1, 18):
        short = float(f"{number:.{digits}g}")
        if torch.tensor(short, dtype=torch.float32).to(dtype).double().item() == number:
            return repr(short)
    return repr(number)


def show(value: Any, limit: int = 180) -> str:
    """A text of at most `limit` characters: large tensors by shape and dtype, unknown objects by type."""
    text = _show(value, 4)
    return text if len(text) <= limit else text[: limit - 3] + "..."


def _show(value: Any, depth: int) -> str:
    kind = base_type(value)
    if kind is Tensor:
        return _show_tensor(plain(value))
    if value is None or kind in (torch.dtype, torch.device):
        return repr(value)
    if kind is int and int.bit_length(value) > 256:
        return f"an int of {int.bit_length(value)} bits"
    if kind in (str, bytes):
        return repr(plain(value)[:200])
    if kind in _CONTAINERS:
        return _show_container(plain(value), kind, depth - 1) if depth else "..."
    return repr(plain(value)) if kind in _BASES else f"an object of type {show_type(value)}"


def _show_container(value: Any, kind: type, depth: int) -> str:
    first = list(islice(value, _SHOWN))
    if kind is dict:
        parts = [f"{_show(key, depth)}: {_show(value[key], depth)}" for key in first]
    else:
        parts = [_show(part, depth) for part in first]
    if kind in (set, frozenset):
        parts.sort()
    text = ", ".join(parts) + (", ..." if len(value) > _SHOWN else "")
    if kind is tuple:
        return f"({text},)" if len(value) == 1 else f"({text})"
    if kind is list:
        return f"[{text}]"
    if kind is dict or (kind is set and parts):
        return f"{{{text}}}"
    return f"{kind.__name__}({{{text}}})" if parts else f"{kind.__name__}()"


def _show_tensor(tensor: Tensor) -> str:
    try:
        return _show_readable(tensor)
    except Exception:  # torch has tensors without a shape, and dtypes that it cannot read
        return f"a tensor of {tensor.dtype} whose numbers cannot be read"


def _show_readable(tensor: Tensor) -> str:
    if tensor.numel() > SMALL or tensor.device.type != "cpu" or tensor.layout != torch.strided:
        place = "" if tensor.device.type == "cpu" else f" on {tensor.device.type}"
        return f"a tensor of shape {tuple(tensor.shape)}, {tensor.dtype}{place}"
    default = tensor.dtype in (torch.float32, torch.int64, torch.bool)
    empty = "" if tensor.numel() else f", shape {tuple(tensor.shape)}"
    numbers = tensor.dequantize() if tensor.is_quantized else tensor
    return f"tensor({_nested(numbers)}{'' if default else f', dtype={tensor.dtype}'}{empty})"


def _nested(tensor: Tensor) -> str:
    if tensor.dim() == 0:
        return show_number(tensor)
    return "[" + ", ".join(_nested(part) for part in tensor.unbind(0)) + "]"


# A wrong example


def message(name: str, examples: list[doctest.Example], index: int, found: tuple[str, str], hint: str | None) -> str:
    """The call with the statements that prepare it, whole, so that they can be pasted; then got, want and hint."""
    lines = [*_preparation(name, examples, index), *examples[index].source.strip().splitlines()]
    parts = [("got", found[0]), ("want", found[1]), ("hint", hint)]
    lines += [f"  {name:<6} {' '.join(text.splitlines())}" for name, text in parts if text is not None]
    return "\n".join(lines)


def _preparation(name: str, examples: list[doctest.Example], index: int) -> list[str]:
    """Source lines of the earlier statements that define, or act on, the variables of the example.

    Where the example asks what a call of the exercise, `name`, did to its arguments, that call is one of them.
    """
    statements = [example.source.strip() for example in examples[:index] if not example.want]
    variables = set().union(*map(_defined, statements))
    shown = _names(examples[index].source.strip())
    used, called = shown & variables, name in shown
    lines: list[str] = []
    for statement in reversed(statements):
        defined, named = _defined(statement), _names(statement)
        calls = name in named
        if used & (defined or named) or (calls and not called and used & named):
            called |= calls
            used = (used - defined) | (_read(statement) & variables)
            lines = statement.splitlines() + lines
    return lines


def _names(source: str, context: type = ast.expr_context) -> set[str]:
    nodes = ast.walk(ast.parse(source))
    return {node.id for node in nodes if isinstance(node, ast.Name) and isinstance(node.ctx, context)}


def _read(source: str) -> set[str]:
    """The names whose values a statement needs; `rows += [1]` needs those of rows."""
    nodes = ast.walk(ast.parse(source))
    changed = {
        node.target.id for node in nodes if isinstance(node, ast.AugAssign) and isinstance(node.target, ast.Name)
    }
    return _names(source, ast.Load) | changed


def _defined(source: str) -> set[str]:
    """The names that a statement gives a value: by assignment, `def` or `import`."""
    nodes = list(ast.walk(ast.parse(source)))
    imported = {
        alias.asname or alias.name for node in nodes if isinstance(node, ast.ImportFrom) for alias in node.names
    }
    written = {node.name for node in nodes if isinstance(node, ast.FunctionDef)}
    return imported | written | _names(source, ast.Store)
