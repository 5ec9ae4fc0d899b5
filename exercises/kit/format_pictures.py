"""Pictures of number formats, for lesson 6: their levels, what they cost and lose, and where the values of a block land."""

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from torch import Tensor

from exercises.kit.pictures import COLOURS, MARKERS, _figure

if TYPE_CHECKING:
    from exercises.kit.pictures import Picture

# fmt: off
NF4 = (
    -1.0, -0.6961928, -0.52507305, -0.39491749, -0.28444138, -0.18477343, -0.09105004, 0.0,
    0.0795803, 0.1609302, 0.2461123, 0.33791524, 0.44070983, 0.562617, 0.72295684, 1.0,
)
# fmt: on
"""The levels of NF4 as bitsandbytes publishes them."""


def levels_on_lines(formats: Mapping[str, Tensor]) -> "Picture":
    """Draw the levels of each format on a line of its own, all divided by their largest magnitude.

    formats: name -> levels, any order; what is not finite is left out, doubles count once.
    """
    figure, axes = _figure(9, 0.8 + 0.55 * len(formats))
    said = []
    for row, (name, levels) in enumerate(formats.items()):
        finite = levels.double()[levels.isfinite()]
        places = (finite / finite.abs().max()).unique()
        axes.vlines(places.tolist(), row - 0.32, row + 0.32, color=COLOURS[row % len(COLOURS)], linewidth=1)
        inside = int((places.abs() <= 0.1).sum())
        said.append(f"{name} has {len(places)} levels, {inside} of them within a tenth of zero")
    axes.set_yticks(range(len(formats)), list(formats))
    axes.set_ylim(len(formats) - 0.4, -0.6)
    axes.set_xlabel("level / largest level")
    axes.set_ylabel("format")
    axes.spines["left"].set_visible(False)
    axes.tick_params(axis="y", length=0)
    figure.alt = f"Levels of formats on lines from -1 to 1: {'; '.join(said)}."
    return figure


def error_against_bits(rows: Sequence[tuple[str, float, float]]) -> "Picture":
    """Draw the relative error of formats against their bits per weight, the error on a logarithmic axis.

    rows: (name, bits per weight, relative error).
    """
    figure, axes = _figure(9, 5)
    for index, (name, bits, error) in enumerate(rows):
        colour = COLOURS[index % len(COLOURS)]
        axes.plot(
            [bits],
            [error],
            MARKERS[index % len(MARKERS)],
            color=colour,
            markersize=9,
            markerfacecolor=colour if index < len(MARKERS) else "none",
            label=f"{name}: {bits:.4g} bits, {error:.2%}",
        )
    axes.set_yscale("log")
    axes.set_xlabel("bits per weight")
    axes.set_ylabel("relative error")
    axes.grid(alpha=0.3, which="both")
    axes.legend(frameon=False, loc="upper right")
    said = "; ".join(f"{name}: {bits:.4g} bits, error {error:.2%}" for name, bits, error in rows)
    figure.alt = f"Relative error against bits per weight. {said}."
    return figure


def where_values_land(block: Tensor, landed: Mapping[str, Tensor]) -> "Picture":
    """Draw lines from each value of a block to the number that it becomes, one strip for each format.

    block: 1-D.  landed: name -> the restored values, of the same shape.
    """
    figure, axes = _figure(9, 1 + 1.15 * len(landed))
    values, said = block.double(), []
    for row, (name, restored) in enumerate(landed.items()):
        colour = COLOURS[row % len(COLOURS)]
        axes.vlines(values.tolist(), row - 0.36, row - 0.24, color="black", linewidth=1)
        axes.vlines(restored.tolist(), row + 0.24, row + 0.36, color=colour, linewidth=2)
        for value, place in zip(values.tolist(), restored.tolist(), strict=True):
            axes.plot([value, place], [row - 0.24, row + 0.24], color=colour, linewidth=0.9)
        error = float((restored.double() - values).norm() / values.norm())
        axes.text(float(values.min()), row - 0.4, f"error {error:.1%}", fontsize=9, va="bottom")
        said.append(f"{name}: {len(restored.unique())} different numbers, error {error:.1%}")
    axes.set_yticks(range(len(landed)), list(landed))
    axes.set_ylim(len(landed) - 0.5, -0.65)
    axes.set_xlabel("value (above) and what it becomes (below)")
    axes.set_ylabel("format")
    axes.spines["left"].set_visible(False)
    axes.tick_params(axis="y", length=0)
    figure.alt = (
        f"Where {len(block)} values from {float(values.min()):g} to {float(values.max()):g} land. {'; '.join(said)}."
    )
    return figure
