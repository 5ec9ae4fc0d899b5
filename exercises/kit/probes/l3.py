"""Probes of lesson 3: torch's default dtype, and models as they are afterwards and what they were given."""

import contextlib
from collections.abc import Callable, Iterator
from typing import Any

import torch

from exercises.kit.probes.common import arguments_after as arguments_after

_PLAIN = (torch.Tensor, torch.nn.Parameter, torch.nn.Buffer)


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
    """Enter manager(dtype) for each dtype, one inside the other, and leave them again.

    Returns a new tensor of each stage: between the call of the manager and the block, in it, and after it.
    """
    with _default(before):
        return _stages(manager, list(dtypes))


def _stages(manager: Callable[..., Any], dtypes: list[torch.dtype], depth: int = 1) -> dict[str, torch.Tensor]:
    block = manager(dtypes[0])
    made = {f"before block {depth}": torch.tensor([1 / 3])}
    with block:
        made[f"inside block {depth}"] = torch.nn.Linear(1, 1).weight.detach().fill_(1 / 3)
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


def made_after_interrupt(manager: Callable[..., Any], before: torch.dtype, *dtypes: torch.dtype) -> dict[str, Any]:
    """Raise KeyboardInterrupt inside of manager(dtype) for each dtype; return whether it came out, and a tensor made then."""
    with _default(before):
        came_out = True
        try:
            with contextlib.ExitStack() as stack:
                for dtype in dtypes:
                    stack.enter_context(manager(dtype))
                raise KeyboardInterrupt
            came_out = False
        except KeyboardInterrupt:
            pass
        return {"the interrupt came out": came_out, "after it": torch.tensor([1 / 3])}


def exceptions_out(manager: Callable[..., Any], before: torch.dtype, dtype: torch.dtype) -> dict[str, bool]:
    """Return which exceptions come out of a block of manager(dtype) in which they are raised.

    TypeError is one of them: the manager itself gives it for a dtype that it refuses, and may catch it too widely.
    """
    out = {}
    with _default(before):
        for error in (ZeroDivisionError, TypeError):
            try:
                with manager(dtype):
                    raise error
                out[f"{error.__name__} comes out"] = False
            except error:
                out[f"{error.__name__} comes out"] = True
    return out


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
        with contextlib.suppress(Exception, KeyboardInterrupt):
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
    with contextlib.suppress(Exception, KeyboardInterrupt):
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


def trained_parameters(function: Callable[..., Any], model: torch.nn.Module, *args: Any) -> dict[str, bool]:
    """Return which parameters of the model that the function returns require gradients."""
    result = function(model, *args)
    named = result.named_parameters() if isinstance(result, torch.nn.Module) else []
    return {name: parameter.requires_grad for name, parameter in named}


def modes_after(function: Callable[..., Any], model: torch.nn.Module, *args: Any) -> dict[str, Any]:
    """Return the type of what the function raised ("" if nothing), and the training flag of every module afterwards."""
    raised = ""
    try:
        function(model, *args)
    except (Exception, KeyboardInterrupt) as error:
        raised = type(error).__name__
    return {"raised": raised, "training": {name: module.training for name, module in model.named_modules()}}


def hooks_after(function: Callable[..., Any], model: torch.nn.Module, *args: Any) -> int:
    """Return how many forward hooks there are, in the model and for all modules, after the function returned or raised."""
    with contextlib.suppress(Exception, KeyboardInterrupt):
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

    hook = model.get_submodule(part).register_forward_pre_hook(note, with_kwargs=True)
    try:
        function(model, *args)
    finally:
        hook.remove()
    return seen[0] if seen else "no float tensor"


def dtype_given(function: Callable[..., Any], part: str, model: torch.nn.Module, *args: Any) -> torch.dtype | str:
    """Return the dtype of what `first_float_given` returns, or that there was no float tensor."""
    seen = first_float_given(function, part, model, *args)
    return seen if isinstance(seen, str) else seen.dtype
