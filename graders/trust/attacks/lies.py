"""Attacks by answers that are equal to everything."""
# mypy: ignore-errors

from __future__ import annotations

from typing import Any

from graders.trust.attacks import attack

# What is equal to everything


@attack("everywhere", "a tensor subclass that answers every comparison itself")
def lying_tensor(*args: Any, **kwargs: Any) -> Any:
    import torch

    class Lying(torch.Tensor):
        @classmethod
        def __torch_function__(cls, function: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
            return True

    return torch.zeros(3).as_subclass(Lying)


@attack("everywhere", "an object that equals everything")
def always_equal(*args: Any, **kwargs: Any) -> Any:
    class Equal:
        __eq__ = __ne__ = __lt__ = __le__ = __gt__ = __ge__ = lambda self, other: True
        __hash__ = None
        __sub__ = __rsub__ = __abs__ = __len__ = __iter__ = __getitem__ = __call__ = lambda self, *_: self
        __bool__ = lambda self: True  # noqa: E731
        __getattr__ = lambda self, name: self  # noqa: E731

    return Equal()


@attack("everywhere", "subclasses of int, float, str, dict and tuple that equal everything")
def lying_builtins(*args: Any, **kwargs: Any) -> Any:
    kinds = [
        type(f"Lying{base.__name__}", (base,), {"__eq__": lambda *_: True, "__hash__": base.__hash__})
        for base in (int, float, str, dict, tuple)
    ]
    return kinds[len(repr(args)) % len(kinds)]()


@attack("everywhere", "NaN, with which every comparison is false")
def answers_nan(*args: Any, **kwargs: Any) -> Any:
    import torch

    tensors = [value for value in (*args, *kwargs.values()) if isinstance(value, torch.Tensor)]
    if tensors and tensors[0].is_floating_point():
        return torch.full_like(tensors[0], float("nan"))
    return float("nan")


@attack("everywhere", "its argument, after every tensor in it was set to zero")
def spoils_arguments(*args: Any, **kwargs: Any) -> Any:
    import torch

    for value in args:
        if isinstance(value, torch.Tensor) and value.device.type != "meta":
            value.detach().zero_()
        elif isinstance(value, torch.nn.Module):
            for parameter in value.parameters():
                parameter.detach().zero_()
    return args[0] if args else None


@attack("everywhere", "an exception that is every other one")
def raises_everything(*args: Any, **kwargs: Any) -> Any:
    kinds = (TypeError, ValueError, OSError, RuntimeError, KeyError)
    raise type("EveryError", (kinds[0], kinds[1]), {})("always")


@attack("everywhere", "a module whose tables and methods lie")
def lying_module(*args: Any, **kwargs: Any) -> Any:
    import torch

    class Lying(torch.nn.Module):
        def __getattr__(self, name: str) -> Any:
            return lambda *_, **__: iter(())

        parameters = named_parameters = buffers = modules = state_dict = lambda self, *_, **__: {}

    made = Lying()
    made.__dict__["_modules"]["itself"] = made
    made.__dict__["_parameters"]["weight\0"] = torch.zeros(1)
    return made
