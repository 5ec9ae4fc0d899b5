"""Probes of lesson 4: quantized models, and the files that they are stored in."""

import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch

from exercises.kit.probes.common import arguments_after as arguments_after
from exercises.kit.probes.common import error_text as error_text
from exercises.kit.unpacking import load_quanto

_PLAIN = (torch.Tensor, torch.nn.Parameter, torch.nn.Buffer)


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
