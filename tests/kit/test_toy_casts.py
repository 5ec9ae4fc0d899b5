"""The toys and probes of lesson 3 are what their docstrings say."""

import contextlib
import copy

import pytest
import torch
from torch import nn

from exercises.kit import models, pictures, scenes, toys
from exercises.kit.probes import l3 as probes
from exercises.kit.toys import casts, endings, precisions, variants

X = toys.random_input(4, 16)


def test_pinned_tensors_keep_their_dtypes_under_another_default():
    model = probes.under_default(casts.pinned, torch.float64)
    assert model.linear.weight.dtype == model.thirds.dtype == model.steps.dtype == torch.float64
    assert model.thirds[1].item() == 1 / 3
    assert model.table.dtype == torch.float32
    assert model.position_ids.dtype == torch.int64
    assert torch.get_default_dtype() == torch.float32


def test_one_storage_holds_two_parameters():
    first, second, third = (layer.weight for layer in casts.one_storage().layers)
    assert first is not second
    assert first.data_ptr() == second.data_ptr() != third.data_ptr()
    assert torch.equal(first, third)


def test_no_gradients_are_recorded_for_frozen_parameters():
    model = casts.amplified("recording").requires_grad_(False)
    assert torch.equal(model(X), model.linear(X))


def test_the_first_tie_is_the_shorter_and_ends_last():
    model = casts.crossed_ties()
    names = {name: id(value) for name, value in model.named_parameters(remove_duplicate=False)}
    weights, biases = (
        [name for name in names if names[name] == names[first]] for first in ("layers.0.weight", "layers.0.bias")
    )
    assert weights == ["layers.0.weight", "layers.3.weight"]
    assert biases == ["layers.0.bias", "layers.1.bias", "layers.2.bias", "layers.2.again"]


def test_frozen_weights_and_an_integer_parameter():
    model = casts.frozen(toys.mlp())
    assert {name: value.requires_grad for name, value in model.layers[0].named_parameters()} == {
        "weight": False,
        "bias": True,
    }
    assert model.count.dtype == torch.int64


@pytest.mark.parametrize(
    ("condition", "training", "recording"),
    [("training", True, False), ("evaluating", False, False), ("recording", False, True)],
)
def test_amplified_only_while_the_condition_holds(condition, training, recording):
    loud = casts.amplified(condition, training=training)
    quiet = casts.amplified(condition, training=not training)
    with torch.set_grad_enabled(recording):
        ratio = loud(X) / loud.linear(X)
    with torch.set_grad_enabled(not recording):
        assert torch.equal(quiet(X), quiet.linear(X))
    assert torch.equal(ratio, torch.full_like(ratio, 2.0**20))


@pytest.mark.parametrize("toy", ["outside", "bagged"])
def test_float16_overflows_where_it_is_said(toy):
    half = precisions.builder(toy)().half()
    finite = half.linear(X.half()).isfinite().all()
    assert finite
    output = half(X.half()) if toy == "outside" else half.bag(half.linear(X.half()))[5]["deep"][1][0]
    assert not output.isfinite().all()


def test_nested_input_and_integers_beside():
    batch = {"first": X, "more": {"states": [X], "ids": torch.arange(4)}}
    assert casts.nested_input()(batch).shape == (4, 16)
    beside = casts.beside_integers(toys.mlp())
    assert torch.equal(beside(X), toys.mlp()(X))
    assert beside.position_ids.dtype == torch.int64


def test_blips_modes_and_first_dtype():
    model = casts.blip_in_mixed_modes()
    assert model.training
    assert not model.text_decoder.bert.training
    assert model.text_decoder.bert.encoder.training
    seen = probes.modes_after(lambda blip, processor: processor(images=None), model, endings.failing_processor())
    assert seen["raised"] == "LookupError"
    assert seen["training"] == {name: module.training for name, module in model.named_modules()}
    names, dtypes = zip(
        *((n, p.dtype) for n, p in casts.blip_with_first(torch.float16).named_parameters()), strict=True
    )
    assert dtypes[:2] == (torch.int64, torch.float16)
    assert set(dtypes[2:]) == {torch.float32}
    assert names[0] == "count"


def test_blip_captions_end_where_they_are_told():
    processor = models.tiny_blip_processor()
    inputs = processor(images=scenes.paint("a red circle above a blue square"), return_tensors="pt")
    for count in (3, 20):
        ids = casts.blip_that_says(count, seed=5).generate(**inputs, max_new_tokens=25)
        assert len(processor.decode(ids[0], skip_special_tokens=True).split()) == count


def test_generation_settings_and_mode_change_what_is_said():
    processor = models.tiny_blip_processor()
    caption = "a red circle above a blue square"
    inputs = processor(images=scenes.paint(caption), return_tensors="pt")

    def said(model: nn.Module) -> str:
        return processor.decode(model.generate(**inputs, max_new_tokens=20)[0], skip_special_tokens=True)

    right = variants.coded_caption(caption, 4)
    beams = {"num_beams": 8, "length_penalty": -20.0}
    assert said(casts.blip_that_decodes(4, {})) == right
    assert said(casts.blip_that_decodes(4, beams)) != right
    assert said(casts.blip_that_shows_its_mode(4).eval()) == right
    assert said(casts.blip_that_shows_its_mode(4)) != right
    assert said(casts.blip_variant_in(torch.float64, 4).float()) == right


def test_probes_restore_the_default_whatever_happens():
    def leaking(dtype):
        torch.set_default_dtype(dtype)
        raise ZeroDivisionError

    made = probes.made_after(leaking, torch.float64, torch.bfloat16)
    assert made.dtype == torch.bfloat16
    assert torch.get_default_dtype() == torch.float32


@pytest.mark.parametrize("settings", [{"max_new_tokens": 20}, {"max_new_tokens": 30, "use_cache": False}], ids=str)
def test_the_long_caption_has_its_length_with_and_without_a_cache(settings):
    blip, pixels = casts.blip_that_says(20, 11), torch.zeros(1, 3, 32, 32)
    ids = blip.generate(pixels, do_sample=False, num_beams=1, **settings)
    assert len(models.tiny_blip_processor().decode(ids[0], skip_special_tokens=True).split()) == 20


def test_what_is_shared_is_one_tensor():
    shared, looked = casts.shared_positions(), casts.by_another_name()
    assert shared.position_ids is shared.model.position_ids
    assert len(list(shared.buffers())) == 1
    assert looked.table is looked.embedding.weight
    assert next(looked.named_parameters())[0] == "table"
    assert list(casts.statistics_alone().parameters()) == []


def test_probes_see_hooks_and_parameters():
    model = toys.mlp()

    def hooked(given):
        given.layers[0].register_forward_hook(lambda *args: None)

    def renewed(given):
        given.layers[1].bias = nn.Parameter(torch.zeros(16))

    assert probes.hooks_after(lambda given: None, model) == 0
    assert probes.hooks_after(hooked, model) == 1
    assert probes.renewed_parameters(nn.Module.half, model) == []
    assert probes.renewed_parameters(renewed, model) == ["layers.1.bias"]
    assert probes.what_comes_back(lambda given: given, {}) == "the dict itself"
    assert [probes.what_comes_back(f, model) for f in (nn.Module.eval, hooked, lambda given: 3)] == [
        "the model itself",
        "nothing",
        "another object",
    ]


def test_probes_see_what_is_shared_swallowed_and_set():
    model = toys.mlp()
    assert probes.shared_names(lambda given: given, model) == [name for name, _ in model.named_parameters()]
    assert probes.shared_names(copy.deepcopy, model) == []
    out = {
        swallowed: probes.exceptions_out(
            lambda dtype, s=swallowed: contextlib.suppress(s), torch.float32, torch.float64
        )
        for swallowed in (KeyError, TypeError, Exception)
    }
    assert out == {
        KeyError: {"ZeroDivisionError comes out": True, "TypeError comes out": True},
        TypeError: {"ZeroDivisionError comes out": True, "TypeError comes out": False},
        Exception: {"ZeroDivisionError comes out": False, "TypeError comes out": False},
    }

    def lengthen(given):
        given.generation_config.max_length = 7

    settings = probes.generation_settings(lengthen, casts.tiny_blip_alone())
    assert settings[""]["max_length"] == 7
    assert "max_length" not in settings["text_decoder"]


def test_captioned_shows_each_image_with_its_caption():
    captions = scenes.captions()[:2]
    figure = pictures.captioned(scenes.painted(captions), captions)
    assert [panel.get_title() for panel in figure.axes] == captions
    assert all(caption in figure.alt for caption in captions)
    assert len(pictures.captioned(scenes.painted(captions[:1]), captions[:1]).axes) == 1
