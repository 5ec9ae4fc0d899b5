"""What only the process that runs a function can see: `student.probe(arguments_after, "downcast", x, dtype)`.

A probe calls the function with the arguments and returns data.  It holds no expected value.
"""

import contextlib
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import torch
from torch.overrides import TorchFunctionMode

from exercises.kit.unpacking import load_quanto


def arguments_after(function: Callable[..., Any], *args: Any) -> tuple[Any, list[Any]]:
    """Return what the function returns, and its arguments as they are after the call."""
    result = function(*args)
    return result, list(args)


class _Conversions(TorchFunctionMode):
    """Note the dtypes of results that no tensor among the operands had; a reinterpretation of bits is no conversion."""

    def __init__(self) -> None:
        super().__init__()
        self.dtypes: set[torch.dtype] = set()

    def __torch_function__(self, function: Any, types: Any, args: tuple = (), kwargs: dict | None = None) -> Any:
        result = function(*args, **(kwargs or {}))
        if isinstance(result, torch.Tensor) and function is not torch.Tensor.view:
            operands = {operand.dtype for operand in args if isinstance(operand, torch.Tensor)}
            self.dtypes |= {result.dtype} - operands
        return result


def converted_to(function: Callable[..., Any], *args: Any) -> tuple[Any, set[torch.dtype]]:
    """Return what the function returns, and the dtypes to which torch converted a tensor, or in which it made one."""
    with _Conversions() as seen:
        result = function(*args)
    return result, seen.dtypes


def returns_same_object(
    function: Callable[..., Any], model: torch.nn.Module, *args: Any, **keywords: Any
) -> bool | None:
    """Return whether the function returns the very model that it was given; None if it returns None."""
    result = function(model, *args, **keywords)
    return None if result is None else result is model


def frozen_afterwards(function: Callable[..., Any], model: torch.nn.Module, *args: Any, **keywords: Any) -> Any:
    """Return what the function returns after quanto's freeze: the codes that its weights would be stored as."""
    quanto = load_quanto()
    result = function(model, *args, **keywords)
    if isinstance(result, torch.nn.Module):
        quanto.freeze(result)
    return result


def noted_qtypes(
    function: Callable[..., Any], model: torch.nn.Module, *args: Any, **keywords: Any
) -> dict[str, tuple[str, str]]:
    """Return the names of the weights' and activations' qtypes that quanto's modules in the returned model note."""
    from optimum import quanto

    def name(qtype: Any) -> str:
        return "" if qtype is None else qtype.name

    result = function(model, *args, **keywords)
    named = result.named_modules() if isinstance(result, torch.nn.Module) else []
    found = {path: module for path, module in named if isinstance(module, quanto.QModuleMixin)}
    return {path: (name(module.weight_qtype), name(module.activation_qtype)) for path, module in found.items()}


def error_of(function: Callable[..., Any], model: torch.nn.Module, *args: Any, **keywords: Any) -> tuple[Any, Any]:
    """Return the whole text of the ValueError that the function raises (None if none), and the model afterwards."""
    try:
        function(model, *args, **keywords)
    except ValueError as error:
        return str(error), model
    return None, model


def error_text(function: Callable[..., Any], *args: Any, **keywords: Any) -> Any:
    """Return the whole text of the ValueError that the function raises; if it raises none, a list of what it returns."""
    try:
        return [function(*args, **keywords)]
    except ValueError as error:
        return str(error)


def settings_around(function: Callable[..., Any], model: Any, *args: Any) -> tuple[str, str]:
    """Return the model's generation config as JSON before and after the call."""
    before = model.generation_config.to_json_string()
    function(model, *args)
    return before, model.generation_config.to_json_string()


def calibrations(function: Callable[..., Any], model: torch.nn.Module, *args: Any) -> list[tuple[float, bool]]:
    """Return the momentum of each of quanto's calibrations that the function enters, and whether it streamlines."""
    from optimum import quanto

    entered_with: list[tuple[float, bool]] = []
    enter = quanto.Calibration.__enter__

    def noted(self: Any) -> Any:
        entered_with.append((self.momentum, self.streamline))
        return enter(self)

    quanto.Calibration.__enter__ = noted
    try:
        function(model, *args)
    finally:
        quanto.Calibration.__enter__ = enter
    return entered_with


def shares_storage(function: Callable[..., Any], model: torch.nn.Module, *args: Any, **keywords: Any) -> bool:
    """Return whether the model that the function returns has a parameter or buffer in a storage of the given one's."""

    def storages(owner: torch.nn.Module) -> set[int]:
        tensors = [*owner.parameters(), *owner.buffers()]
        return {tensor.untyped_storage().data_ptr() for tensor in tensors if type(tensor) in _PLAIN} - {0}

    before = storages(model)
    return bool(before & storages(function(model, *args, **keywords)))


_PLAIN = (torch.Tensor, torch.nn.Parameter, torch.nn.Buffer)


def saved_files(
    function: Callable[..., Any], model: torch.nn.Module, *below: str, as_text: bool = False
) -> tuple[dict[str, bytes], list[str]]:
    """Call function(model, folder) for a new folder, and return its files by path, and what else lies there but folders.

    The folder exists and is empty; with `below`, names of folders inside each other, it does not exist yet.
    It is given as a Path, or as a str if `as_text`.
    """
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as above:
        folder = Path(above, *below)
        function(model, str(folder) if as_text else folder)
        found = sorted(path for path in folder.rglob("*") if path.is_symlink() or not path.is_dir())
        plain = [path for path in found if path.is_file() and not path.is_symlink()]
        files = {path.relative_to(folder).as_posix(): path.read_bytes() for path in plain}
        return files, [path.name for path in found if path not in plain]


def loaded_from(
    function: Callable[..., Any], build: Callable[[], Any], files: dict[str, bytes], as_text: bool = False
) -> Any:
    """Return function(build, folder) for a new folder with these files, given as a Path, or as a str if `as_text`."""
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as folder:
        for name, content in files.items():
            path = Path(folder, name)
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(content)
        return function(build, folder if as_text else Path(folder))


# Torch's default dtype: every probe sets it to `before`, and back at its end whatever the function left behind.


@contextlib.contextmanager
def _default(dtype: torch.dtype) -> Iterator[None]:
    old = torch.get_default_dtype()
    torch.set_default_dtype(dtype)
    try:
        yield
    finally:
        torch.set_default_dtype(old)


def made_around(manager: Callable[..., Any], before: torch.dtype, *dtypes: torch.dtype) -> dict[str, torch.Tensor]:
    """Enter manager(dtype) for each dtype, one inside the other, and leave them again; return a new tensor of each stage."""
    with _default(before):
        return {"before": torch.ones(2), **_stages(manager, list(dtypes))}


def _stages(manager: Callable[..., Any], dtypes: list[torch.dtype], depth: int = 1) -> dict[str, torch.Tensor]:
    with manager(dtypes[0]):
        made = {f"inside block {depth}": torch.nn.Linear(1, 1).weight.detach().fill_(1 / 3)}
        made |= _stages(manager, dtypes[1:], depth + 1) if dtypes[1:] else {}
    return {**made, f"after block {depth}": torch.tensor([1 / 3])}


def made_after_exception(
    manager: Callable[..., Any], before: torch.dtype, *dtypes: torch.dtype
) -> dict[str, torch.Tensor]:
    """Return a tensor made after manager(dtype) was left in peace, and one made after an exception inside of it.

    The exception is raised in manager(dtype) for each dtype inside the one before.
    """
    with _default(before):
        with manager(dtypes[0]):
            pass
        peaceful = torch.tensor([1 / 3])
    with _default(before):
        with contextlib.suppress(ZeroDivisionError), contextlib.ExitStack() as stack:
            for dtype in dtypes:
                stack.enter_context(manager(dtype))
            raise ZeroDivisionError
        return {"without an exception": peaceful, "after an exception": torch.tensor([1 / 3])}


def interrupted(manager: Callable[..., Any], before: torch.dtype, dtype: torch.dtype) -> str:
    """Raise ZeroDivisionError inside of manager(dtype), and return "swallowed" if it does not come out."""
    with _default(before):
        with manager(dtype):
            raise ZeroDivisionError
        return "swallowed"


def entered(manager: Callable[..., Any], before: torch.dtype, dtype: torch.dtype) -> str:
    """Enter manager(dtype), where torch's default is `before`, and return "entered"."""
    with _default(before), manager(dtype):
        return "entered"


def made_after_refusal(manager: Callable[..., Any], before: torch.dtype, dtype: torch.dtype) -> torch.Tensor:
    """Try to enter manager(dtype), and return a tensor that is made after the TypeError, or inside without one."""
    with _default(before):
        try:
            with manager(dtype):
                return torch.tensor([1 / 3])
        except TypeError:
            return torch.tensor([1 / 3])


def under_default(function: Callable[..., Any], before: torch.dtype, *args: Any) -> Any:
    """Return what the function returns where torch's default dtype is `before`."""
    with _default(before):
        return function(*args)


def made_after(function: Callable[..., Any], before: torch.dtype, *args: Any) -> torch.Tensor:
    """Call the function where torch's default dtype is `before`, and return a tensor made after it returned or raised."""
    with _default(before):
        with contextlib.suppress(Exception):
            function(*args)
        return torch.tensor([1 / 3])


def built(function: Callable[..., Any], build: Any, dtype: torch.dtype) -> dict[str, Any]:
    """Return how often function(build, dtype) called a kit's `Builder`, and whether it returned what that built last."""
    with _default(torch.float32):
        result = function(build, dtype)
    return {"calls of build": build.calls, "its model came back": bool(build.models) and result is build.models[-1]}


# Models as they are afterwards, and what they were given.


def shared_names(function: Callable[..., Any], model: torch.nn.Module, *args: Any) -> list[str]:
    """Return the names of what the returned model keeps in a storage of the given one, in order."""

    def storages(owner: torch.nn.Module) -> dict[str, int]:
        tensors = [*owner.named_parameters(), *owner.named_buffers()]
        return {name: tensor.untyped_storage().data_ptr() for name, tensor in tensors if type(tensor) in _PLAIN}

    before = set(storages(model).values()) - {0}
    return [name for name, storage in storages(function(model, *args)).items() if storage in before]


def generation_settings(function: Callable[..., Any], model: Any, *args: Any) -> dict[str, dict[str, Any]]:
    """Return what the generation config of every module that has one sets, after the function returned or raised."""
    with contextlib.suppress(Exception):
        function(model, *args)
    named = [(name, getattr(module, "generation_config", None)) for name, module in model.named_modules()]
    return {name: config.to_diff_dict() for name, config in named if config is not None}


def what_comes_back(function: Callable[..., Any], *args: Any) -> str:
    """Return whether the function returns its first argument, "the model itself", or "nothing" or "another object"."""
    given, result = args[0], function(*args)
    kind = "model" if isinstance(given, torch.nn.Module) else type(given).__name__
    return f"the {kind} itself" if result is given else "nothing" if result is None else "another object"


def renewed_parameters(function: Callable[..., Any], model: torch.nn.Module, *args: Any) -> list[str]:
    """Return the names that the model does not bind to the same Parameter object as before the call."""
    before = dict(model.named_parameters(remove_duplicate=False))
    function(model, *args)
    after = dict(model.named_parameters(remove_duplicate=False))
    return [name for name in before | after if before.get(name) is not after.get(name)]


def modes_after(function: Callable[..., Any], model: torch.nn.Module, *args: Any) -> dict[str, Any]:
    """Return the type of what the function raised ("" if nothing), and the training flag of every module afterwards."""
    raised = ""
    try:
        function(model, *args)
    except Exception as error:
        raised = type(error).__name__
    return {"raised": raised, "training": {name: module.training for name, module in model.named_modules()}}


def hooks_after(function: Callable[..., Any], model: torch.nn.Module, *args: Any) -> int:
    """Return how many forward hooks there are, in the model and for all modules, after the function returned or raised."""
    with contextlib.suppress(Exception):
        function(model, *args)
    everywhere = torch.nn.modules.module
    tables = [everywhere._global_forward_hooks, everywhere._global_forward_pre_hooks]
    for module in model.modules():
        tables += [module._forward_hooks, module._forward_pre_hooks]
    return sum(map(len, tables))


def first_float_given(function: Callable[..., Any], part: str, model: torch.nn.Module, *args: Any) -> Any:
    """Return the first float tensor that the model's module `part` is called with while the function runs."""
    seen: list[torch.Tensor] = []

    def note(module: torch.nn.Module, given: tuple, named: dict[str, Any]) -> None:
        tensors = [value for value in (*given, *named.values()) if isinstance(value, torch.Tensor)]
        seen.extend(tensor for tensor in tensors if tensor.is_floating_point())

    model.get_submodule(part).register_forward_pre_hook(note, with_kwargs=True)
    function(model, *args)
    return seen[0] if seen else "no float tensor"
