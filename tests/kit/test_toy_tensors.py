"""Toys that lie in larger storages, toys that are interrupted, and what probes and evaluators tell of them."""

import contextlib

import pytest
import torch

from exercises.kit import toys
from exercises.kit.probes import l3 as probes
from exercises.kit.toys import behaviours, casts, endings, quantized_models, tensors


@pytest.mark.parametrize("x", [torch.arange(6).reshape(2, 3), torch.tensor(1.5), torch.zeros(0), torch.ones(3) > 0])
def test_a_slice_keeps_its_values_in_a_larger_storage(x):
    view = tensors.inside(x)
    assert view.dtype == x.dtype
    assert torch.equal(view, x)
    assert view.is_contiguous()
    assert view.untyped_storage().nbytes() > x.untyped_storage().nbytes()


def test_each_tensor_of_a_model_becomes_a_slice_and_keeps_its_values():
    model, sliced = behaviours.batch_norm(), tensors.inside_each(behaviours.batch_norm())
    assert all(torch.equal(one, other) for one, other in zip(model.parameters(), sliced.parameters(), strict=True))
    assert all(each.untyped_storage().nbytes() > each.nbytes for each in [*sliced.parameters(), *sliced.buffers()])


def test_interrupts_are_no_exceptions():
    with pytest.raises(KeyboardInterrupt):
        endings.interrupted(toys.mlp())(toys.random_input(1, 16))
    with pytest.raises(KeyboardInterrupt):
        endings.interrupted_builder()()


def test_the_probe_tells_whether_the_interrupt_came_out_and_what_it_left():
    def leaves_it(dtype):
        torch.set_default_dtype(dtype)
        return contextlib.suppress(KeyboardInterrupt)

    told = probes.made_after_interrupt(leaves_it, torch.float32, torch.float64)
    assert told["the interrupt came out"] is False
    assert told["after it"].dtype == torch.float64
    assert torch.get_default_dtype() == torch.float32


def test_the_probe_tells_which_parameters_are_trained():
    model = casts.frozen(toys.mlp(), count=False)
    assert probes.trained_parameters(lambda given: given, model) == {
        name: name.endswith("bias") for name, _ in model.named_parameters()
    }


def test_the_evaluator_tells_whether_a_model_is_frozen():
    told = [quantized_models.with_quanto(toys.mlp(), frozen=frozen) for frozen in ("*", "", "*.0")]
    evaluate = quantized_models.describing_evaluator()
    assert [evaluate(model)["frozen"] for model in [*told, toys.mlp()]] == [True, False, False, None]
