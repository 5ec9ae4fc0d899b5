"""Pictures for the lessons on methods: ranges of channels, and what each layer loses. As in `pictures`, each has an `alt`."""

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from torch import Tensor

from exercises.kit.pictures import COLOURS, MARKERS, _figure

if TYPE_CHECKING:
    from exercises.kit.pictures import Picture


def channel_ranges(ranges: Mapping[str, Tensor]) -> "Picture":
    """Draw the largest magnitude of each channel, a line of markers for each named vector, on a logarithmic scale."""
    figure, axes = _figure(8, 4)
    said = []
    for index, (name, largest) in enumerate(ranges.items()):
        style: dict[str, Any] = {"color": COLOURS[index % len(COLOURS)], "marker": MARKERS[index % len(MARKERS)]}
        axes.plot(range(len(largest)), largest.tolist(), linewidth=1, label=name, **style)
        said.append(f"{name}: from {float(largest.min()):.3g} to {float(largest.max()):.3g}")
    axes.set_yscale("log")
    axes.set_xlabel("channel")
    axes.set_ylabel("largest magnitude")
    axes.grid(alpha=0.3)
    axes.legend(frameon=False)
    figure.alt = f"Largest magnitude of each channel. {'; '.join(said)}."
    return figure


def sensitivities(lost: Mapping[str, float]) -> "Picture":
    """Draw what each layer loses as a bar, in the order given; names of layers may be dotted."""
    figure, axes = _figure(8, 0.8 + 0.28 * len(lost))
    axes.barh(range(len(lost)), list(lost.values()), color=COLOURS[0])
    axes.set_yticks(range(len(lost)), [name.removeprefix("model.") for name in lost], fontsize=8)
    axes.invert_yaxis()
    axes.set_xlabel("score lost when this layer alone is quantized")
    axes.set_ylabel("layer")
    axes.grid(alpha=0.3, axis="x")
    worst = max(lost, key=lambda name: lost[name])
    figure.alt = f"A bar for each of {len(lost)} layers; the longest, {lost[worst]:.3g}, is that of {worst}."
    return figure


def plans(rows: Sequence[Mapping[str, Any]], budget: int | None = None) -> "Picture":
    """Draw score against stored bytes for many models.

    rows: dicts with `bytes`, `score` and `kind` (text); each kind has a marker of its own. `budget` is drawn as a line.
    """
    figure, axes = _figure(8, 4.4)
    said = []
    for index, kind in enumerate(dict.fromkeys(row["kind"] for row in rows)):
        own = [row for row in rows if row["kind"] == kind]
        style: dict[str, Any] = {"color": COLOURS[index % len(COLOURS)], "marker": MARKERS[index % len(MARKERS)]}
        axes.plot([row["bytes"] for row in own], [row["score"] for row in own], linestyle="", label=kind, **style)
        scores = [row["score"] for row in own]
        said.append(f"{kind}: {len(own)} models, scores from {min(scores):.3g} to {max(scores):.3g}")
    if budget is not None:
        axes.axvline(budget, color="0.4", linestyle=":", label=f"budget, {budget:,} bytes")
    axes.set_xlabel("stored bytes")
    axes.set_ylabel("score")
    axes.grid(alpha=0.3)
    axes.legend(frameon=False)
    figure.alt = f"Score against size. {'; '.join(said)}."
    return figure
