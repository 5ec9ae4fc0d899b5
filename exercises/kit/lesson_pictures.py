"""What each lesson taught, in a sentence, and its picture drawn with a student's own functions.

A drawing gets the functions of a lesson's file and returns a figure with its words, as those in `pictures`.
"""

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import torch

from exercises.kit.pictures import COLOURS, DASHES, MARKERS, _figure, _name

if TYPE_CHECKING:
    from exercises.kit.pictures import Picture

Functions = dict[str, Callable]


def spacings(own: Functions) -> "Picture":
    """Lesson 2: the distance to the next number, by the student's `spacing`, against magnitude."""
    figure, axes = _figure(8, 4.6)
    said = []
    for index, dtype in enumerate((torch.float32, torch.float16, torch.bfloat16)):
        largest = torch.finfo(dtype).max
        powers = [2.0**power for power in range(-30, 41) if 2.0**power <= largest]
        gaps = [own["spacing"](power, dtype) for power in powers]
        style: dict[str, Any] = {"color": COLOURS[index], "linestyle": DASHES[index]}
        axes.plot(powers, gaps, drawstyle="steps-post", label=_name(dtype), linewidth=2, **style)
        said.append(f"{_name(dtype)} has a spacing of {own['spacing'](1.0, dtype):g} at 1")
    axes.set_xscale("log", base=2)
    axes.set_yscale("log", base=2)
    _labelled(axes, "magnitude", "distance to the next number", "by your spacing")
    figure.alt = f"Distance between neighbouring numbers against magnitude, by your spacing: {'; '.join(said)}."
    return figure


def cast_errors(own: Functions) -> "Picture":
    """Lesson 2: histograms of the errors that the student's `downcast_error` finds."""
    sample = torch.rand(10_000, generator=torch.Generator().manual_seed(0))
    found = {_name(dtype): own["downcast_error"](sample, dtype) for dtype in (torch.bfloat16, torch.float16)}
    return _histogram(found, "absolute error of the cast, by your downcast_error", signed=False)


def gaps_against_bytes(own: Functions) -> "Picture":
    """Lesson 3: how far a model's outputs move in each dtype, against its size, by the student's `compare_dtypes`."""
    from exercises.kit import toys

    dtypes = [torch.float32, torch.float16, torch.bfloat16]
    rows = own["compare_dtypes"](toys.dummy_model(), {"x": toys.dummy_input()}, dtypes)
    figure, axes = _figure(8, 4.2)
    said = []
    for index, row in enumerate(rows):
        name = _name(row["dtype"])
        axes.plot(row["footprint"], row["mean_gap"], MARKERS[index], color=COLOURS[index], markersize=10, label=name)
        said.append(f"{name}: {row['footprint']} bytes, mean gap {row['mean_gap']:.2g}")
    _labelled(axes, "bytes of the model", "mean distance of its outputs from float32", "by your compare_dtypes")
    figure.alt = f"Distance of outputs against size, by your compare_dtypes. {'; '.join(said)}."
    return figure


def quantizer_errors(own: Functions) -> "Picture":
    """Lesson 4: the errors of the student's quantizer beside those of torch's own, for one tensor."""
    sample = torch.randn(10_000, generator=torch.Generator().manual_seed(0))
    scale, zero_point = own["scale_and_zero_point"](sample)
    restored = own["linear_dequantize"](own["linear_quantize"](sample, scale, zero_point), scale, zero_point)
    theirs = torch.fake_quantize_per_tensor_affine(sample, scale, zero_point, -128, 127)
    found = {"your quantizer": restored - sample, "torch's, with your scale": theirs - sample}
    figure = _histogram(found, "error", signed=True)
    for edge in (-scale / 2, scale / 2):
        figure.axes[0].axvline(edge, color="0.4", linestyle=":", label="half a step" if edge > 0 else None)
    figure.axes[0].legend(frameon=False, loc="lower center")
    figure.alt += f" Half a step is {scale / 2:.3g}."
    return figure


def groups_and_bits(own: Functions) -> "Picture":
    """Lesson 5: error against bits per weight, by the student's groups."""
    from exercises.kit.error_pictures import error_against_bits

    values = torch.randn(128, 256, generator=torch.Generator().manual_seed(0))
    values = values * (1 + values.square() / 3)
    curves = {}
    for name, size in {"row of 256": 256, "group of 64": 64, "group of 16": 16}.items():
        points = []
        for bits in range(2, 9):
            codes, scales = own["quantize_per_group"](values, size, bits)
            error = (own["dequantize_per_group"](codes, scales) - values).square().mean() / values.square().mean()
            points.append((bits + 32 / size, float(error)))
        curves[name] = points
    return error_against_bits(curves)


def landings(own: Functions) -> "Picture":
    """Lesson 6: where the values of a block land, by the student's formats of four bits."""
    from exercises.kit.format_pictures import where_values_land

    block = torch.tensor([7.5, -6.2, 6.1, 5.0, -4.6, 3.9, 3.0, -2.4, 2.0, -1.6, 1.2, 0.9, -0.7, 0.4, 0.2, 0.0])
    padded, step = torch.cat([block, torch.zeros(16)]), block.abs().max() / 6
    landed = {
        "your mx_quantize": own["mx_dequantize"](*own["mx_quantize"](padded))[:16],
        "your round_to_e2m1": own["round_to_e2m1"](block / step) * step,
        "your nf4_quantize": own["nf4_dequantize"](*own["nf4_quantize"](block, 16), (16,)),
    }
    return where_values_land(block, landed)


def tamed_channels(own: Functions) -> "Picture":
    """Lesson 7: what the student's `smooth` and `fast_hadamard` make of a channel that is far larger than the others."""
    from exercises.kit.method_pictures import channel_ranges

    generator = torch.Generator().manual_seed(0)
    inputs = torch.randn(256, 64, generator=generator)
    inputs[:, 11] *= 40
    linear = torch.nn.Linear(64, 64)
    with torch.no_grad():
        linear.weight.copy_(torch.randn(64, 64, generator=generator) / 8)
    _, divisors = own["smooth"](linear, inputs)
    made = {"before": inputs, "your smooth": inputs / divisors, "your fast_hadamard": own["fast_hadamard"](inputs)}
    return channel_ranges({name: each.abs().amax(0) for name, each in made.items()})


def tokens_per_second(own: Functions) -> "Picture":
    """Lesson 8: the student's `decode_bound` against the length of the text, for weights of 16, 8 and 4 bits."""
    parameters, cache_per_token, bandwidth = 8e9, 131_072, 1e12
    figure, axes = _figure(8, 4.4)
    lengths, said = [1000 * number for number in range(0, 129, 4)], []
    for index, bits in enumerate((16, 8, 4)):
        speeds = [own["decode_bound"](parameters * bits / 8, cache_per_token * length, bandwidth) for length in lengths]
        axes.plot(lengths, speeds, DASHES[index], color=COLOURS[index], linewidth=2, label=f"{bits} bits per weight")
        said.append(f"{bits} bits: from {speeds[0]:.3g} to {speeds[-1]:.3g}")
    _labelled(
        axes, "tokens in the cache", "tokens per second, at most", "8 billion weights, 1 TB/s, by your decode_bound"
    )
    figure.alt = f"Tokens per second against tokens in the cache, by your decode_bound: {'; '.join(said)}."
    return figure


def _labelled(axes: Any, across: str, up: str, title: str) -> None:
    axes.set_xlabel(across)
    axes.set_ylabel(up)
    axes.set_title(title)
    axes.grid(alpha=0.3)
    axes.legend(frameon=False)


def _histogram(errors: dict[str, torch.Tensor], label: str, signed: bool) -> "Picture":
    figure, axes = _figure(8, 4.4)
    largest = max(float(each.abs().max()) for each in errors.values()) * 1.15 or 1.0
    edges = torch.linspace(-largest if signed else 0.0, largest, 61).tolist()
    said = []
    for index, (name, each) in enumerate(errors.items()):
        style: dict[str, Any] = {"edgecolor": COLOURS[index], "linestyle": DASHES[index]}
        axes.hist(each.tolist(), edges, histtype="stepfilled", fill=False, linewidth=2, label=name, **style)
        said.append(f"{name}: at most {float(each.abs().max()):.3g}")
    axes.set_xlabel(label)
    axes.set_ylabel("how many values")
    axes.legend(frameon=False)
    figure.alt = f"Histogram of errors. {'; '.join(said)}."
    return figure


LEARNT = {
    "l2_data_types": "exponent bits buy range, mantissa bits buy precision, and a sum is as good as the dtype it is kept in",
    "l3_models_with_different_data_types": "a cast halves a model at once; bfloat16 keeps the range, float16 the digits",
    "l4_quantization_theory": "a scale and a zero point turn floats into bytes, half a step off at most inside the range",
    "l5_quantization_in_depth": "the fewer values share a scale, the smaller the error, and the more bits the scales take",
    "l6_number_formats": "at four bits it is the shared scale, and where the levels lie, that decide what is lost",
    "l7_quantization_methods": "outliers can be moved, rotated away or made up for, and then few bits are enough",
    "l8_capstone": "what a byte costs in speed and in score tells where the bits of a model belong",
}
"""What a lesson taught, after its core."""

# By lesson: the exercises that a drawing needs, and the drawing; the first whose exercises are right is drawn.
DRAWINGS: dict[str, list[tuple[tuple[str, ...], Callable[[Functions], Any]]]] = {
    "l2_data_types": [(("spacing",), spacings), (("downcast_error",), cast_errors)],
    "l3_models_with_different_data_types": [(("compare_dtypes",), gaps_against_bytes)],
    "l4_quantization_theory": [
        (("scale_and_zero_point", "linear_quantize", "linear_dequantize"), quantizer_errors),
    ],
    "l5_quantization_in_depth": [(("quantize_per_group", "dequantize_per_group"), groups_and_bits)],
    "l6_number_formats": [
        (("mx_quantize", "mx_dequantize", "round_to_e2m1", "nf4_quantize", "nf4_dequantize"), landings),
    ],
    "l7_quantization_methods": [(("smooth", "fast_hadamard"), tamed_channels)],
    "l8_capstone": [(("decode_bound",), tokens_per_second)],
}
