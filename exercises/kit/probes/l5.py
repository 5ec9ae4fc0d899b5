"""Probes of lesson 5: layers, observers and training. Objects stay in the worker; what comes back is tensors and names.

State goes in and out by torch's own `load_state_dict` and `state_dict`, called unbound, and is read from torch's own tables.
"""

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn

from exercises.kit.probes.common import tables

_load, _state = nn.Module.load_state_dict, nn.Module.state_dict
_storage = torch.Tensor.untyped_storage
Size = tuple[int, int]


# Functions


def gradients(function: Callable[..., Any], upstream: Tensor, x: Tensor, *args: Any) -> dict[str, Any]:
    """Return function(x, *args), and the gradients of its product with `upstream`, summed.

    gradients: of x, and of each tensor in args that requires gradients; None where none arrives.
    """
    leaves = [value for value in (x, *args) if isinstance(value, Tensor) and value.requires_grad]
    result = function(x, *args)
    if result.requires_grad:
        (result * upstream).sum().backward()
    return {"result": result, "gradients": [leaf.grad for leaf in leaves]}


def gradient_through(function: Callable[..., Any], made_of: Tensor, *args: Any) -> Tensor | None:
    """Return the gradient of the sum of function(2 * made_of, *args) with respect to `made_of`."""
    function(2 * made_of, *args).sum().backward()
    return made_of.grad


# Layers


def _filled(kind: Callable[..., Any], weight: Tensor, own_bias: Tensor | None, *args: Any) -> Any:
    """A layer of the weight's size, its bias put in."""
    layer = kind(weight.shape[1], weight.shape[0], own_bias is not None, *args)
    if own_bias is not None:
        _load(layer, {"bias": own_bias}, strict=False)
    return layer


def fresh(kind: Callable[..., Any], *args: Any, **keywords: Any) -> dict[str, Any]:
    """Return the tables of a new module."""
    return tables(kind(*args, **keywords))


def quantized_layer(
    kind: Callable[..., Any],
    weights: list[Tensor],
    own_bias: Tensor | None,
    inputs: list[Tensor],
    own_dtype: torch.dtype = torch.float32,
) -> dict[str, Any]:
    """Return tables and outputs of a layer that quantized these weights one after the other."""
    layer = _filled(kind, weights[0], own_bias, own_dtype)
    for weight in weights:
        layer.quantize(weight)
    return {"tables": tables(layer), "outputs": [layer(x) for x in inputs]}


def reloaded_layer(
    kind: Callable[..., Any], weight: Tensor, own_bias: Tensor | None, x: Tensor, own_dtype: torch.dtype = torch.float32
) -> dict[str, Any]:
    """Return the state dict of a quantized layer, its output, and those of another one that loaded the state dict.

    The other one answered before it loaded; its second output is in eval mode.
    """
    layer = _filled(kind, weight, own_bias, own_dtype)
    layer.quantize(weight)
    state = {name: value.clone() for name, value in _state(layer).items()}
    other = kind(weight.shape[1], weight.shape[0], own_bias is not None, own_dtype)
    other(x)
    _load(other, state)
    return {"state": state, "outputs": [layer(x), other(x), other.eval()(x)]}


# Layers put into models


def stands(function: Callable[..., Any], model: nn.Module, *args: Any) -> nn.Module:
    """Return function(model, make, *args), where `make` puts a kit's `Stand` for each layer."""
    from exercises.kit.toys.layers import standing

    return function(model, standing(), *args)


def made_for(function: Callable[..., Any], model: nn.Module, *args: Any) -> dict[str, Any]:
    """Return whether the model itself came back, and how often `make` was called with each of its layers, by name.

    Calls with anything else count as "another object".
    """
    from exercises.kit.toys.layers import standing

    make, names = standing(), {id(module): name for name, module in model.named_modules()}
    before = list(model.modules())  # so that no address is used again
    result = function(model, make, *args)
    calls: dict[str, int] = {}
    for given in make.given:
        name = names.get(id(given), "another object")
        calls[name] = calls.get(name, 0) + 1
    return {"the same model": result is model, "calls": calls, "modules before": len(before)}


def shared_tensors(function: Callable[..., Any], *args: Any) -> list[str]:
    """Return the names of what the returned module keeps in a storage of one of the given modules."""
    given = {
        _storage(tensor).data_ptr()
        for module in args
        if isinstance(module, nn.Module)
        for tensor in [*module.parameters(), *module.buffers()]
    }
    result = function(*args)
    found = {**dict(result.named_parameters()), **dict(result.named_buffers())}
    return [name for name, tensor in found.items() if _storage(tensor).data_ptr() in given - {0}]


def buffers_with_gradients(function: Callable[..., Any], *args: Any) -> list[str]:
    """Return the names of the returned module's buffers that require gradients."""
    return [name for name, buffer in function(*args).named_buffers() if buffer.requires_grad]


def answers_of(function: Callable[..., Any], model: nn.Module, inputs: dict[str, Tensor], *args: Any) -> Tensor:
    """Return the logits of the returned model on these inputs, without gradients."""
    result = function(model, *args)
    with torch.no_grad():
        return result(**inputs).logits


def tokens_of(function: Callable[..., Any], model: nn.Module, input_ids: Tensor) -> Tensor:
    """Return the tokens that the returned model generates greedily."""
    result: Any = function(model)
    return result.eval().generate(input_ids=input_ids, do_sample=False, num_beams=1, max_new_tokens=32)


def folded_answer(function: Callable[..., Any], layer: nn.Module, norm: nn.Module, x: Tensor) -> Tensor:
    """Return the answer of function(layer, norm) to x."""
    with torch.no_grad():
        return function(layer, norm)(x)


# Observers


def observed_range(
    kind: Callable[..., Any],
    batches: list[Tensor],
    options: dict[str, Any] | None = None,
    handed_on_after: int | None = None,
    training: bool = True,
) -> dict[str, Any]:
    """Return the scales of an observer after these batches, for int8 and uint8, and `min` and `max` as they then are.

    handed_on_after: after so many batches its state dict is loaded into a new observer, which goes on.
    """
    observer = kind(**(options or {})).train(training)
    for index in range(len(batches) + 1):
        if index == handed_on_after:
            state = {name: value.clone() for name, value in _state(observer).items()}
            observer = kind(**(options or {})).train(training)
            _load(observer, state)
        if index < len(batches):
            observer(batches[index])
    scales = [observer.scale_and_zero_point(dtype) for dtype in (torch.int8, torch.uint8)]
    scales = [observer.scale_and_zero_point(), *scales]
    found = tables(observer)["buffers"]
    return {"min": found["min"], "max": found["max"], "scales": scales}


def before_the_first_batch(kind: Callable[..., Any], options: dict[str, Any], handed_on: bool = False) -> Any:
    """Return what `scale_and_zero_point` of a new observer returns, or of one that loaded a new one's state dict."""
    observer = kind(**options)
    if handed_on:
        state = {name: value.clone() for name, value in _state(observer).items()}
        observer = kind(**options)
        _load(observer, state)
    return observer.scale_and_zero_point()


def passed_through(kind: Callable[..., Any], x: Tensor, options: dict[str, Any] | None = None) -> dict[str, Any]:
    """Return whether an observer gives back its input itself, as it was, and what it keeps of it after two calls."""
    observer, before = kind(**(options or {})), x.detach().clone()
    mine, values, returned = _storage(x).data_ptr(), [], []
    for _ in range(2):
        returned.append(observer(x))
        own = nn.Module.__dict__["__dict__"].__get__(observer)
        values += tables(observer)["buffers"].items()
        values += [(name, value) for name, value in own.items() if isinstance(value, Tensor)]
    return {
        "the input itself": all(each is x for each in returned),
        "unchanged": torch.equal(x.detach(), before),
        "requires gradients": [name for name, value in values if value.requires_grad],
        "shares memory": [name for name, value in values if _storage(value).data_ptr() == mine],
    }


# Training


def trained(kind: Callable[..., Any], weight: Tensor, own_bias: Tensor | None, x: Tensor, upstream: Tensor) -> Any:
    """Return the output of a layer with these numbers, the gradients of its product with `upstream`, and its tables after.

    Its output in eval mode comes last.
    """
    layer = _filled(kind, weight, own_bias)
    _load(layer, {"weight": weight}, strict=False)
    output = layer(x)
    (output * upstream).sum().backward()
    parameters = tables(layer)["parameters"]
    found = {name: parameters[name].grad for name in ("weight", "bias") if name in parameters}
    gradients = {**found, "x": x.grad}
    return {"output": output, "gradients": gradients, "tables": tables(layer), "in eval mode": layer.eval()(x)}


def converted(kind: Callable[..., Any], weight: Tensor, own_bias: Tensor | None, x: Tensor, steps: int = 0) -> Any:
    """Convert a layer, train it on the sum of its outputs for some steps, convert it again, and train it once more.

    Returns the output before the second conversion, the converted layer's output then and after the last step, its tables, and the
    name of its class.
    """
    layer = _filled(kind, weight, own_bias)
    _load(layer, {"weight": weight}, strict=False)
    layer.convert()
    for _ in range(steps):
        _step(layer, x)
    with torch.no_grad():
        before = layer(x)
        other = layer.convert()
        first = other(x)
    _step(layer, x)
    with torch.no_grad():
        second = other(x)
    outputs = {"trained": before, "converted": first, "after more training": second}
    return {**outputs, "tables": tables(other), "class": type(other).__name__}


def _step(layer: Any, x: Tensor) -> None:
    """One step of gradient descent on half the sum of squares of the outputs, of size 1/64."""
    parameters = list(tables(layer)["parameters"].values())
    for parameter in parameters:
        parameter.grad = None
    (layer(x).square().sum() / 2).backward()
    for parameter in parameters:
        parameter.data -= parameter.grad / 64
