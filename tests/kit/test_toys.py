"""The toy models are what their docstrings say, from their arguments alone."""

import inspect
from pathlib import Path

import pytest
import torch
from torch import nn

from exercises.kit import copying, toys
from exercises.kit.toys import behaviours, precisions, small_models, small_transformers

FLOAT_TOYS = {
    "mlp": (16,),
    "outlier_mlp": (16,),
    "without_tensors": (16,),
    "module_under_two_names": (16,),
    "convolutional": (16, 5, 5),
    "buffered": (16,),
    "non_persistent": (16,),
    "shared_buffer": (16,),
    "batch_norm": (16,),
    "nested": (16,),
    "mixed_modes": (16,),
    "reveals_mode": (16,),
    "gated": (16,),
    "packed": (16,),
}
QUANTIZABLE = ["mlp", "outlier_mlp", "convolutional", "buffered", "batch_norm", "nested", "tied", "integer_input"]


def make(name: str, **keywords) -> nn.Module:
    """Return the toy of that name."""
    return precisions.builder(name, **keywords)()


def seeded_toys() -> list[str]:
    """Return the names of all toys that take a seed and nothing else."""
    return [
        name
        for module in (small_models, behaviours, small_transformers)
        for name, function in inspect.getmembers(module, inspect.isfunction)
        if function.__module__ == module.__name__ and issubclass(function.__annotations__.get("return", str), nn.Module)
        if all(p.default is not p.empty for p in inspect.signature(function).parameters.values())
        if "seed" in inspect.signature(function).parameters
    ]


def test_dummy_model_is_the_course_s():
    model = toys.dummy_model()
    low = toys.dummy_model().to(torch.bfloat16)
    with torch.no_grad():
        gap = (model(toys.dummy_input()) - low(toys.dummy_input()).float()).abs()
    assert sum(parameter.numel() for parameter in model.parameters()) == 30
    assert gap.mean().item() == pytest.approx(0.000998, abs=5e-7)
    assert gap.max().item() == pytest.approx(0.00169, abs=5e-6)


def test_dummy_model_has_the_weights_of_the_course_s_seed():
    with torch.random.fork_rng():
        torch.manual_seed(123)
        first = nn.Embedding(2, 2)
    assert torch.equal(toys.dummy_model().token_embedding.weight, first.weight)


def test_there_are_seeded_toys():
    assert {"mlp", "tied", "buffered", "nested", "small_t5", "small_blip"} <= set(seeded_toys())


@pytest.mark.parametrize("name", seeded_toys())
def test_weights_depend_on_the_seed_alone(name):
    state = torch.get_rng_state()
    first, again, other = (list(make(name, seed=seed).parameters()) for seed in (5, 5, 6))
    assert all(torch.equal(one, two) for one, two in zip(first, again, strict=True))
    assert not all(torch.equal(one, two) for one, two in zip(first, other, strict=True))
    assert torch.equal(torch.get_rng_state(), state)


@pytest.mark.parametrize(("name", "shape"), FLOAT_TOYS.items(), ids=FLOAT_TOYS)
def test_toys_run(name, shape):
    assert make(name)(toys.random_input(4, *shape)).isfinite().all()


@pytest.mark.parametrize("name", QUANTIZABLE)
def test_quantizable_toys_are_wide_and_name_each_module_once(name):
    model = make(name)
    weights = [module.weight for module in model.modules() if isinstance(module, nn.Linear | nn.Conv2d)]
    assert all(weight.shape[1] >= 16 for weight in weights)
    assert len(list(model.named_modules(remove_duplicate=False))) == len(list(model.named_modules()))


@pytest.mark.parametrize("qtype", ["qint8", "qint4", "qint2"])
@pytest.mark.parametrize("name", ["mlp", "convolutional", "nested", "small_t5", "small_blip"])
def test_toys_can_be_quantized(name, qtype):
    model = precisions.quantized(name, qtype)
    assert precisions.precision(model) == qtype
    assert all(module.frozen for module in model.modules() if hasattr(module, "frozen"))


def test_quantized_freezes_where_it_is_told():
    model = precisions.quantized("nested", frozen="encoder.0.*")
    frozen = {name: module.frozen for name, module in model.named_modules() if hasattr(module, "frozen")}
    assert frozen["encoder.0.attention.query"]
    assert not frozen["encoder.1.attention.query"]
    assert not frozen["lm_head"]


def test_mlp_from_takes_the_given_tensors():
    weights = [toys.random_input(32, 16, seed=1), toys.random_input(16, 32, seed=2)]
    biases = [torch.ones(32), torch.zeros(16)]
    x = toys.random_input(3, 16)
    wanted = torch.relu(x @ weights[0].T + 1) @ weights[1].T
    torch.testing.assert_close(toys.mlp_from(weights, biases)(x), wanted)


def test_ties():
    tied = toys.tied()
    assert tied.lm_head.weight is tied.embedding.weight
    groups = toys.tied_groups()
    assert groups.layers[0].weight is groups.layers[1].weight is groups.layers[3].weight
    assert groups.layers[1].bias is groups.layers[2].bias
    assert len(list(groups.parameters())) == 5
    assert len(list(toys.on_meta(groups).parameters())) == 5


@pytest.mark.parametrize("name", ["buffered", "shared_buffer", "tied", "batch_norm", "mixed_modes"])
def test_on_meta_keeps_all_but_the_data(name):
    model, empty = make(name), toys.on_meta(make(name))
    for tensors in (nn.Module.named_parameters, nn.Module.named_buffers):
        wanted = [(key, value.shape, value.dtype) for key, value in tensors(model)]
        assert [(key, value.shape, value.dtype) for key, value in tensors(empty)] == wanted
        assert all(value.is_meta for _, value in tensors(empty))
    assert [module.training for module in empty.modules()] == [module.training for module in model.modules()]
    assert empty.state_dict().keys() == model.state_dict().keys()


def test_buffers():
    dtypes = {name: buffer.dtype for name, buffer in behaviours.buffered().named_buffers()}
    assert dtypes == {
        "shift": torch.float32,
        "position_ids": torch.int64,
        "mask": torch.bool,
        "code": torch.int8,
        "cache": torch.float32,
    }
    assert "table" not in behaviours.non_persistent().state_dict()
    assert len(list(behaviours.shared_buffer(layers=3).buffers())) == 1


def test_modes_are_mixed():
    modes = {name: module.training for name, module in behaviours.mixed_modes().named_modules()}
    assert [name for name, training in modes.items() if training] == ["encoder.0.norm", "encoder.1"]


def test_dropout_varies_until_eval():
    model, x = behaviours.nested(dropout=0.5), toys.random_input(4, 16)
    assert not torch.equal(model(x), model(x))
    assert torch.equal(model.eval()(x), model(x))


def test_mode_is_revealed():
    model, x = behaviours.reveals_mode(), toys.random_input(2, 16)
    assert model(x)[0, :3].tolist() == [1, 1, 4]
    with torch.no_grad():
        assert model.eval()(x)[0, :3].tolist() == [0, 0, 4]
        assert model.to(torch.bfloat16)(x.to(torch.bfloat16))[0, :3].tolist() == [0, 0, 2]


def test_an_outlier_changes_no_float32_output():
    x = toys.random_input(8, 16)
    assert torch.equal(toys.outlier_mlp(14)(x), toys.mlp()(x))
    assert toys.outlier_mlp(14).layers[0](x).abs().max() > 1000 * toys.mlp().layers[0](x).abs().max()


def first_infinite(model: nn.Module, x: torch.Tensor) -> str | None:
    """Return the name of the first leaf whose tensor output is not finite in float16."""
    found = []
    for name, module in model.half().named_modules():
        if not list(module.children()):
            module.register_forward_hook(lambda _m, _i, out, name=name: found.append((name, out.isfinite().all())))
    model(x.half())
    return next((name for name, finite in found if not finite), None)


@pytest.mark.parametrize("seed", range(5))
@pytest.mark.parametrize("layer", range(4))
def test_overflow_is_where_it_is_said_to_be(layer, seed):
    x = toys.random_input(4, 16, seed=seed)
    model = behaviours.overflowing_mlp(layer, seed=seed)
    assert model(x).isfinite().all()
    assert first_infinite(model, x) == f"layers.{layer}"


def test_other_overflows():
    x = torch.full((2, 16), 4.0)
    assert first_infinite(behaviours.gated(), x) == "output"
    assert behaviours.gated()(x).tolist() == (x * x).tolist()
    staged = behaviours.staged((2**-15, 2**15, 1), order=(2, 1, 0))
    assert staged(x).tolist() == x.tolist()
    assert first_infinite(staged, x) == "stage_1"
    hidden = behaviours.packed().half()
    assert hidden(x.half()).isfinite().all()
    assert not hidden.packing(x.half())["states"][1].isfinite().all()


def test_failures_fail():
    x = torch.ones(2, 16)
    with pytest.raises(RuntimeError, match="always fails"):
        behaviours.failing()(x)
    with pytest.raises(RuntimeError, match="fail here"):
        behaviours.staged((1, 1), fails_before=1)(x)
    with pytest.raises(TypeError, match="always fails"):
        precisions.failing_builder()()
    with pytest.raises(RuntimeError, match="always fails"):
        precisions.failing_evaluator()(toys.mlp())


@pytest.mark.parametrize("form", ["tensor", "logits", "tuple", "dict", "nested"])
def test_every_form_of_answer_holds_the_same_logits(form):
    x = toys.random_input(3, 16)
    answer = toys.answering(form)(x)
    unpack = {
        "tensor": lambda a: a,
        "logits": lambda a: a.logits,
        "tuple": lambda a: a[0],
        "dict": lambda a: a["logits"],
        "nested": lambda a: a["result"]["logits"],
    }
    assert torch.equal(unpack[form](answer), toys.answering("tensor")(x))


def test_integer_inputs():
    ids = small_transformers.random_tokens(vocabulary=32)
    mask = torch.ones_like(ids)
    logits = toys.integer_input()(ids, mask)
    mask[:, 3:] = 0
    assert logits.shape == (4, 4)
    assert not torch.equal(toys.integer_input()(ids, mask), logits)
    assert toys.tied()(ids).shape == (4, 6, 32)


def test_root_leaf_and_mixed_dtypes():
    assert toys.root_leaf(torch.tensor(2.0))(torch.ones(3)).tolist() == [2.0, 2.0, 2.0]
    dtypes = [torch.float16, torch.float64]
    model = toys.mixed_dtypes(dtypes)
    assert [layer.weight.dtype for layer in model.layers] == dtypes
    assert list(toys.without_tensors().parameters()) == list(toys.without_tensors().buffers()) == []


def test_small_transformers():
    t5, blip = small_transformers.small_t5(), small_transformers.small_blip()
    assert t5.lm_head.weight is t5.shared.weight
    assert t5(**small_transformers.small_t5_inputs()).logits.shape == (4, 6, 48)
    assert blip(**small_transformers.small_blip_inputs()).logits.shape == (4, 6, 24)
    assert not t5.training
    assert not blip.training


def test_blip_folder(tmp_path, monkeypatch):
    from transformers import BlipForConditionalGeneration

    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    folder = small_transformers.blip_folder(seed=3, dtype=torch.bfloat16)
    loaded, wanted = BlipForConditionalGeneration.from_pretrained(folder), small_transformers.small_blip(3)
    assert loaded.dtype == torch.bfloat16
    assert all(
        torch.equal(one, two.to(torch.bfloat16))
        for one, two in zip(loaded.parameters(), wanted.parameters(), strict=True)
    )


def test_new_folder(tmp_path, monkeypatch):
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    assert list(Path(small_transformers.new_folder()).iterdir()) == []
    assert not Path(small_transformers.new_folder(made=False)).exists()


def test_builder_builds_anew():
    build = precisions.builder("mlp", seed=4)
    first, second = build(), build()
    assert first is not second
    assert torch.equal(first.layers[0].weight, second.layers[0].weight)
    assert build.calls == 2
    varying = precisions.builder("mlp", varying=True)
    assert not torch.equal(varying().layers[0].weight, varying().layers[0].weight)
    with pytest.raises(LookupError):
        precisions.builder("no_such_toy")


def test_fidelity_falls_with_precision():
    inputs = {"x": toys.random_input(32, 16, seed=9)}
    evaluate = precisions.fidelity("mlp", inputs, seed=2)
    models = [toys.mlp(seed=2), toys.mlp(seed=2).half(), toys.mlp(seed=2).bfloat16()]
    models += [precisions.quantized("mlp", weights, seed=2) for weights in ("qint4", "qint2")]
    scores = [evaluate(model) for model in models]
    assert scores[0] == 1.0
    assert scores == sorted(scores, reverse=True)
    assert len(set(scores)) == 5
    assert evaluate.calls == 5


def test_scripted_scores_follow_the_precision():
    evaluate = precisions.scripted_evaluator({"float32": 0.5, "bfloat16": 0.25, "qint8": 0.125})
    assert evaluate(toys.mlp()) == 0.5
    assert evaluate(toys.mlp().bfloat16()) == 0.25
    assert evaluate(precisions.quantized("mlp")) == 0.125
    with pytest.raises(KeyError):
        evaluate(toys.mlp().half())


def test_batch_feature():
    feature = small_transformers.batch_feature({"x": torch.ones(2)})
    assert type(feature).__name__ == "BatchFeature"
    assert feature["x"].tolist() == [1.0, 1.0]


def test_a_copy_is_new_and_keeps_ties_modes_and_values():
    model = toys.tied(seed=1).eval()
    copies = copying.copier((model, {"weight": model.state_dict()["lm_head.weight"]}))
    before = {name: value.clone() for name, value in model.state_dict().items()}
    with torch.no_grad():
        model.lm_head.weight.zero_()  # a change of the original comes too late
    (first, _), (second, second_dict) = copies(), copies()
    with torch.no_grad():
        first.lm_head.weight.add_(1.0)
    assert first.lm_head.weight is first.embedding.weight
    assert not second.training
    for name, value in second.state_dict().items():
        assert torch.equal(value, before[name])
    assert torch.equal(second_dict["weight"], before["lm_head.weight"])
