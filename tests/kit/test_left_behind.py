"""What a call leaves behind is seen in arguments, models and torch's settings, and nothing else is."""

from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import nn

from exercises.kit import toys
from exercises.kit.checking.left_behind import Before, named


def told(change: Callable[[Any], Any], value: Any) -> list[str]:
    before = Before(named([value], {}))
    try:
        change(value)
        return before.differences()
    finally:
        before.put_back()


def halve_data(model: nn.Module) -> None:
    for parameter in model.parameters():
        parameter.data = parameter.data.half()


def nested() -> dict[str, Any]:
    return {"ids": torch.arange(3), "deep": [{"x": torch.ones(2)}], "name": "a"}


@pytest.mark.parametrize(
    ("value", "change", "note"),
    [
        (torch.ones(3), lambda x: x.mul_(2), "argument 1 has other values"),
        (torch.ones(3), lambda x: x.data.mul_(2), "argument 1 has other values"),
        (torch.ones(3), lambda x: x.numpy().fill(7), "argument 1 has other values"),
        (torch.zeros(3), lambda x: x.neg_(), "argument 1 has other values"),
        (torch.ones(4, 4).t()[1:], lambda x: x.add_(1), "argument 1 has other values"),
        (torch.ones(3), lambda x: setattr(x, "data", x.half()), "argument 1 has dtype torch.float16 instead of torch.float32"),
        (torch.ones(3, 2), lambda x: x.t_(), "argument 1 has shape (2, 3) instead of (3, 2)"),
        (torch.ones(3), lambda x: x.requires_grad_(), "argument 1 has requires_grad True instead of False"),
        (torch.ones(3), lambda x: x.untyped_storage().resize_(0), "argument 1 has lost its numbers"),
        ([1, 2, 3], lambda x: x.pop(), "argument 1 has 2 items instead of 3"),
        ([1, 2], lambda x: x.pop(), "argument 1 has 1 item instead of 2"),
        ([1, 2, 3], lambda x: x.reverse(), "argument 1[0] is another value"),
        (nested(), lambda x: x.pop("ids"), "argument 1 has other keys, 2 items instead of 3"),
        (nested(), lambda x: x["deep"][0]["x"].zero_(), "argument 1['deep'][0]['x'] has other values"),
        (nested(), lambda x: x.update(name="b"), "argument 1['name'] is another value"),
        ({1, 2}, lambda x: x.add(3), "argument 1 has other items"),
        (toys.mlp(), lambda m: m.eval(), "argument 1 has training=False instead of True"),
        (toys.mlp(), lambda m: m.layers[0].eval(), "argument 1, module 'layers.0', has training=False instead of True"),
        (toys.mlp(), halve_data, "argument 1, layers.0.weight, has dtype torch.float16 instead of torch.float32"),
        (toys.mlp(), lambda m: m.requires_grad_(False), "argument 1, layers.0.weight, has requires_grad False instead of True"),
        (toys.mlp(), lambda m: m.layers[0].register_forward_hook(print), "argument 1, module 'layers.0', has 1 hooks instead of 0"),
        (toys.mlp(), lambda m: m.layers.append(nn.Identity()), "argument 1 has other modules, parameters or buffers"),
        (None, lambda _: torch.set_default_dtype(torch.float64), "torch's default dtype was torch.float32 and is torch.float64"),
        (None, lambda _: torch.set_grad_enabled(False), "torch.is_grad_enabled() was True and is False"),
        (None, lambda _: torch.set_num_threads(torch.get_num_threads() + 1), None),
    ],
)  # fmt: skip
def test_a_change_is_told(value: Any, change: Callable, note: str | None) -> None:
    if note is None:
        threads = torch.get_num_threads()
        note = f"torch.get_num_threads() was {threads} and is {threads + 1}"
    assert told(change, value)[0] == note


@pytest.mark.parametrize(
    ("value", "change"),
    [
        (torch.tensor([1.0, float("nan")]), lambda x: x * 2),
        (torch.ones(2, 3, device="meta"), lambda x: x + 1),
        (nested(), lambda x: [dict(x), list(x["deep"])]),
        (toys.mlp().eval(), lambda m: m(torch.ones(1, 16))),
        (toys.mlp(), lambda m: m.load_state_dict({k: v.clone() for k, v in m.state_dict().items()})),
        (nested(), lambda x: x.update(name="".join(["", "a"]))),
        ([0.5], lambda x: x.__setitem__(0, float("0.5"))),
        (object(), print),
    ],
    ids=["nan", "meta", "copies", "a forward pass", "the same values", "equal text", "an equal number", "no data"],
)
def test_what_stays_is_not_told(value: Any, change: Callable) -> None:
    assert told(change, value) == []


def test_a_list_that_holds_itself_has_an_end() -> None:
    """Values are remembered a few levels deep."""
    value: list[Any] = [1]
    value.append(value)
    assert told(lambda x: None, value) == []
    assert told(lambda x: x.reverse(), value)[0] == "argument 1[0] is of another kind"


def test_settings_are_put_back() -> None:
    told(lambda _: (torch.set_default_dtype(torch.float16), torch.set_grad_enabled(False)), None)
    assert (torch.get_default_dtype(), torch.is_grad_enabled()) == (torch.float32, True)


def test_a_quantized_weight_is_seen_through() -> None:
    from exercises.kit.toys.quantized_models import with_quanto
    from exercises.kit.unpacking import load_quanto

    load_quanto()
    model = with_quanto(toys.mlp([16, 16]), "qint8", frozen="*")
    assert told(lambda m: m(torch.ones(1, 16)), model) == []
    assert told(lambda m: m.layers[0].weight._data.zero_(), model) == ["argument 1, layers.0.weight, has other values"]
