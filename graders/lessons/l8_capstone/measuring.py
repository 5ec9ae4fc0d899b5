"""What a returned Llama really stores and really scores, from its record alone: nothing of a student's runs here.

The worker that sent the record is not believed. Bytes are counted from the tensors that arrived; names, classes, dtypes and shapes
are compared with those of a model built here; values are checked to be finite and then loaded into that model.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn

from exercises.kit.checking.closeness import Mismatch
from graders.judge import records
from graders.wire import codec
from graders.wire.records import ModelRecord, QuantizedRecord, TensorRecord

_LINEAR = ("torch.nn.modules.linear.Linear", "optimum.quanto.nn.qlinear.QLinear")
_SCALES = ("input_scale", "output_scale")
_scores: dict[tuple[str, bytes], float] = {}


def record_of(model: nn.Module) -> ModelRecord:
    """Return the record of a model that was made here."""
    return codec.decode(codec.encode(model))


def leaves(record: ModelRecord) -> list[TensorRecord]:
    """Return every plain tensor of a record, those inside quantized weights too. Raises Mismatch for one without data."""
    found: list[TensorRecord] = []
    for name, held in records.tensors(record).items():
        parts = records.leaves(held) if isinstance(held, QuantizedRecord) else [held]
        if any(part.tensor.is_meta for part in parts):
            raise Mismatch(got=f"{name} without data, on the meta device", want="a tensor that stores its values")
        found += parts
    return found


def stored_bytes(record: ModelRecord) -> int:
    """Return the bytes that a record's tensors store: of each storage what is said, but no less than what its data needs.

    Tensors that are said to share a storage and are equal need it once. A tensor that is constant along a dimension may be stored
    once along it (`expand`).
    """
    said: dict[int, int] = {}
    needed: dict[int, dict[tuple[str, bytes], int]] = {}
    for leaf in leaves(record):
        said[leaf.storage] = max(leaf.storage_bytes, 0)
        needed.setdefault(leaf.storage, {})[_content(leaf.tensor)] = _least(leaf.tensor)
    return sum(max(said[storage], sum(needed[storage].values())) for storage in said)


def _content(tensor: Tensor) -> tuple[str, bytes]:
    return str((tensor.dtype, tuple(tensor.shape))), tensor.contiguous().flatten().view(torch.uint8).numpy().tobytes()


def _least(tensor: Tensor) -> int:
    """The bytes of a tensor with every dimension along which it is constant taken once."""
    raw = tensor.contiguous().reshape(*tensor.shape, 1).view(torch.uint8)
    count = 1
    for dim, size in enumerate(tensor.shape):
        constant = bool((raw == raw.narrow(dim, 0, 1)).all()) if size else False
        count *= 1 if constant else size
    return count * tensor.element_size()


def llama_score(got: Any, budget: int, build: Callable[[], nn.Module], evaluate: Callable[[nn.Module], float]) -> float:
    """Return the score of a returned Llama's dequantized values in a float32 `build()`. Raises Mismatch if it is no such
    model, or over the budget.
    """
    record = _model(got)
    own = build()
    _same_modules(record, {name: _named(module) for name, module in own.named_modules()})
    size = stored_bytes(record)
    if size > budget:
        raise Mismatch(got=f"a model of {size:,} bytes", want=f"at most {budget:,} bytes")
    expected = {**dict(own.named_parameters()), **dict(own.named_buffers())}
    quantized = {
        name.rpartition(".")[0] for name, held in records.tensors(record).items() if isinstance(held, QuantizedRecord)
    }
    extra = {f"{layer}.{scale}" for layer in quantized for scale in _SCALES}
    _same_names(record, set(expected), extra)
    linear_weights = {f"{name}.weight" for name in _linears(own)}
    values = {}
    for name, target in expected.items():
        held = records.tensors(record)[name]
        if isinstance(held, QuantizedRecord) and name not in linear_weights:
            raise Mismatch(got=f"a quantized {name}", want="weights of Linears quantized, nothing else")
        values[name] = _value(name, held, tuple(target.shape))
    return _scored("weights", record, lambda: _loaded(own, values), evaluate)


def int8_score(
    got: Any,
    build: Callable[[], nn.Module],
    quantize: Callable[[nn.Module], nn.Module],
    evaluate: Callable[[nn.Module], float],
) -> float:
    """Return the score of a Llama in int8 weights and activations: every Linear's input quantized with its input_scale.

    `quantize` makes of `build()` what has to have come back, but for values. Raises Mismatch if it is something else.
    """
    record, own = _model(got), build()
    wanted = record_of(quantize(build()))
    _same_modules(record, {name: (module.type,) for name, module in wanted.modules.items()})
    _same_names(record, set(records.tensors(wanted)), set())
    for name, held in records.tensors(wanted).items():
        _same_form(name, records.tensors(record)[name], held)
    scales = {name: float(records.tensors(record)[f"{name}.input_scale"].tensor) for name in _linears(own)}  # type: ignore[union-attr]
    broken = [name for name, scale in scales.items() if not 0 < scale < float("inf")]
    if broken:
        raise Mismatch(got=f"the input_scale {scales[broken[0]]:g} of {broken[0]}", want="a finite scale above 0")
    targets = {**dict(own.named_parameters()), **dict(own.named_buffers())}
    values = {
        name: _value(name, records.tensors(record)[name], tuple(target.shape)) for name, target in targets.items()
    }

    def ready() -> nn.Module:
        model = _loaded(own, values)
        for name, scale in scales.items():
            model.get_submodule(name).register_forward_pre_hook(_rounding(scale))
        return model

    return _scored("int8", record, ready, evaluate)


def _rounding(scale: float) -> Callable[[nn.Module, tuple], tuple]:
    return lambda _, args: (torch.round(args[0] / scale).clamp(-128, 127) * scale, *args[1:])


def _model(got: Any) -> ModelRecord:
    if not isinstance(got, ModelRecord):
        raise Mismatch(got, "a model")
    leaves(got)  # each has data
    return got


def _named(module: nn.Module) -> tuple[str, ...]:
    return _LINEAR if isinstance(module, nn.Linear) else (f"{type(module).__module__}.{type(module).__qualname__}",)


def _same_modules(record: ModelRecord, wanted: dict[str, tuple[str, ...]]) -> None:
    for name in wanted.keys() | record.modules.keys():
        found = record.modules[name].type if name in record.modules else "no module"
        if found not in wanted.get(name, ()):
            want = " or ".join(kind.rpartition(".")[2] for kind in wanted.get(name, ("no module",)))
            raise Mismatch(got=f"{found.rpartition('.')[2]} as {name or 'the model'}", want=want)


def _same_names(record: ModelRecord, wanted: set[str], allowed: set[str]) -> None:
    odd = sorted((records.tensors(record).keys() - wanted - allowed) | (wanted - records.tensors(record).keys()))
    if odd:
        has = "a tensor more" if odd[0] in records.tensors(record) else "no tensor"
        raise Mismatch(got=f"{has}, {odd[0]}", want="the tensors of build()")


def _same_form(name: str, got: Any, want: Any) -> None:
    """Ask for the same kind of tensor, of the same dtypes and shapes inside."""
    parts = [
        ([(leaf.tensor.dtype, tuple(leaf.tensor.shape)) for leaf in records.leaves(held)], held.type, held.qtype)
        if isinstance(held, QuantizedRecord)
        else ([(held.tensor.dtype, tuple(held.tensor.shape))], "", "")
        for held in (got, want)
    ]
    if parts[0] != parts[1]:
        raise Mismatch(got=f"{name} of another dtype, shape or qtype", want="as quanto makes it")


def _value(name: str, held: Any, shape: tuple[int, ...]) -> Tensor:
    """Return a tensor's value in float32, of the shape that is due and finite."""
    try:
        value = records.dequantized(held) if isinstance(held, QuantizedRecord) else held.tensor
    except Exception as error:
        raise Mismatch(got=f"{name}, which cannot be dequantized ({type(error).__name__})", want="a weight") from None
    if tuple(value.shape) != shape:
        raise Mismatch(got=f"{name} of shape {tuple(value.shape)}", want=f"shape {shape}")
    if not value.dtype.is_floating_point:
        raise Mismatch(got=f"{name} of dtype {str(value.dtype)[6:]}", want="a float dtype")
    value = value.detach().to(torch.float32)
    if not bool(value.isfinite().all()):
        raise Mismatch(got=f"{name} with inf or nan", want="finite values")
    return value


def _loaded(own: nn.Module, values: dict[str, Tensor]) -> nn.Module:
    targets = {**dict(own.named_parameters()), **dict(own.named_buffers())}
    with torch.no_grad():
        for name, value in values.items():
            targets[name].copy_(value)
    return own.eval()


def _linears(model: nn.Module) -> list[str]:
    return [name for name, module in model.named_modules() if isinstance(module, nn.Linear)]


def _scored(
    how: str, record: ModelRecord, make: Callable[[], nn.Module], evaluate: Callable[[nn.Module], float]
) -> float:
    """Score a model, once for the same tensors and the same evaluator: several checks ask for it."""
    digest = hashlib.sha256()
    for name, held in records.tensors(record).items():
        digest.update(name.encode())
        for leaf in records.leaves(held) if isinstance(held, QuantizedRecord) else [held]:
            digest.update(
                b"".join(part if isinstance(part, bytes) else part.encode() for part in _content(leaf.tensor))
            )
    key = (f"{how} {id(evaluate)}", digest.digest())
    if key not in _scores:
        _scores[key] = evaluate(make())
    return _scores[key]
