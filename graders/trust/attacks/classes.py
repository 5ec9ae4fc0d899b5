"""Attacks by classes, types and hooks that lie about what they are: to whoever encodes, counts or compares them."""
# mypy: ignore-errors

from __future__ import annotations

from typing import Any

from graders.trust.attacks import attack


@attack("everywhere", "an object whose class says that it is a tensor, a number, a model, and its own reference")
def claims_a_class(*args: Any, **kwargs: Any) -> Any:
    import torch

    class Claims:
        __class__ = property(lambda self: torch.Tensor)
        dtype, shape, device, layout = torch.float32, torch.Size([1]), torch.device("cpu"), torch.strided

        def __reduce__(self) -> Any:
            return print, ("attacked",)

        def __index__(self) -> int:
            return 255

        __int__ = __hash__ = __len__ = __index__

        def __eq__(self, other: object) -> bool:
            return True

        def __torch_function__(self, *anything: Any, **words: Any) -> Any:
            return True

        def __getattr__(self, name: str) -> Any:
            return lambda *anything, **words: self

    return Claims()


@attack("everywhere", "containers of its own whose length, items and order never end or change while they are read")
def answers_with_endless_containers(*args: Any, **kwargs: Any) -> Any:
    import itertools

    class Endless(list):
        def __iter__(self) -> Any:
            return itertools.count()

        def __len__(self) -> int:
            return 1 << 60

        def __getitem__(self, place: Any) -> Any:
            return self

    class Growing(dict):
        def items(self) -> Any:
            return itertools.count()

        def __hash__(self) -> int:
            return 0

    return [
        Endless([1]),
        Growing(a=1),
        type("Never", (tuple,), {"__iter__": lambda self: itertools.repeat(self)})((1,)),
    ]


@attack("everywhere", "a list that contains itself, and a dict that is a key's value of its own")
def answers_in_circles(*args: Any, **kwargs: Any) -> Any:
    circle: list[Any] = []
    circle.append(circle)
    known: dict[Any, Any] = {}
    known[1] = (known, circle)
    return known


@attack("everywhere", "torch modes that stay on and answer for every function of torch that is called after it")
def leaves_modes_on(*args: Any, **kwargs: Any) -> Any:
    import torch
    from torch.overrides import TorchFunctionMode
    from torch.utils._python_dispatch import TorchDispatchMode

    class Says(TorchFunctionMode):
        def __torch_function__(self, function: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
            return True if function in (torch.equal, torch.Tensor.equal) else function(*args, **(kwargs or {}))

    class Makes(TorchDispatchMode):
        def __torch_dispatch__(self, function: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
            made = function(*args, **(kwargs or {}))
            return made.fill_(1) if isinstance(made, torch.Tensor) and made.is_floating_point() else made

    Says().__enter__()
    Makes().__enter__()
    return torch.zeros(3)


@attack("everywhere", "classes in the place of functions whose metaclass answers for every question")
def answers_with_a_metaclass(*args: Any, **kwargs: Any) -> Any:
    class Meta(type):
        def __instancecheck__(cls, other: object) -> bool:
            return True

        __subclasscheck__ = __eq__ = __instancecheck__

        def __hash__(cls) -> int:
            return 0

        def __getattr__(cls, name: str) -> Any:
            return cls

        @property
        def __mro__(cls) -> Any:
            return (int, float, str, object)

    return Meta("int", (int,), {"__module__": "builtins", "__qualname__": "int"})(255)


@attack("everywhere", "an exception whose type, text and traceback are made to be asked for, without end")
def raises_what_never_ends(*args: Any, **kwargs: Any) -> Any:
    class Text(str):
        def __str__(self) -> str:
            return self

        def split(self, *anything: Any) -> Any:
            return [self]

        def __getitem__(self, place: Any) -> Any:
            return self

    class Never(ValueError, KeyError):
        def __str__(self) -> str:
            return Text("\u202e" + "x" * 1_000_000)

    Never.__name__ = "ValueError\n  rule   passed\u202e" + "y" * 10_000
    Never.__qualname__ = Never.__name__
    error: BaseException = Never()
    for _ in range(50):
        made = Never()
        made.__cause__, made.__context__ = error, made
        error = made
    raise error


@attack(
    "everywhere", "parameters and buffers of a real module that are other things, or stand in two modules, or are huge"
)
def answers_with_a_bent_model(*args: Any, **kwargs: Any) -> Any:
    import torch

    model = torch.nn.Sequential(torch.nn.Linear(2, 2), torch.nn.Linear(2, 2))
    model._modules["0"]._modules["again"] = model
    model._parameters["x"] = torch.nn.Parameter(torch.empty(0, 1 << 40))
    model._buffers["y"] = torch.zeros(1).expand(1 << 20)
    object.__setattr__(model, "__dict__", {**model.__dict__, "training": "yes", "_buffers": dict(model._buffers, z=5)})
    return model
