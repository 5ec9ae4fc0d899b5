"""Pictures of what quantization costs, drawn as in `exercises.kit.pictures`."""

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from exercises.kit.pictures import COLOURS, DASHES, MARKERS, _figure

if TYPE_CHECKING:
    from exercises.kit.pictures import Picture


def error_against_bits(curves: Mapping[str, Sequence[tuple[float, float]]]) -> "Picture":
    """Draw error against bits per weight, a curve for each name.

    curves: for each name its points (bits per weight, error > 0), in the order of the bits.
    """
    figure, axes = _figure(8, 4.6)
    for index, (name, points) in enumerate(curves.items()):
        axes.plot(
            [bits for bits, _ in points],
            [error for _, error in points],
            marker=MARKERS[index % len(MARKERS)],
            color=COLOURS[index % len(COLOURS)],
            linestyle=DASHES[index % len(DASHES)],
            label=name,
        )
    axes.set_yscale("log")
    axes.set_xlabel("bits per weight, scales included")
    axes.set_ylabel("mean squared error / mean square")
    axes.grid(alpha=0.3)
    axes.legend(title="one scale for each", frameon=False)
    said = "; ".join(
        f"{name}: from {points[0][1]:.2g} at {points[0][0]:.3g} bits to {points[-1][1]:.2g} at {points[-1][0]:.3g} bits"
        for name, points in curves.items()
    )
    figure.alt = f"Error against bits per weight. {said}."
    return figure
