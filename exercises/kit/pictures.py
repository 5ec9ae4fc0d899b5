"""Pictures for the lessons: each function returns a matplotlib `Figure` whose attribute `alt` says what it shows.

`show(figure)` puts a figure and its text into a notebook. matplotlib is imported when the first picture is drawn.
Colours are those of Okabe and Ito (2008), which stay apart for colour-blind readers; markers and labels differ as well.
"""

import base64
import io
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    class Picture(Figure):
        """A figure with its description in words."""

        alt: str


COLOURS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#56B4E9", "#E69F00", "#000000")
MARKERS = "osD^vPX"
DASHES = ("-", "--", "-.", ":", (0, (5, 1)), (0, (1, 1)), (0, (3, 1, 1, 1)))
MOST_TICKS = 400  # more numbers than this on a line are drawn as a band
_WHOLE = {1: torch.int8, 2: torch.int16, 4: torch.int32, 8: torch.int64}  # by size in bytes


def show(figure: "Picture") -> None:
    """Display the figure in a notebook, its words as alternative text; outside a notebook print the words."""
    try:
        from IPython import get_ipython
        from IPython.display import HTML, display
    except ImportError:
        get_ipython = None
    if get_ipython is None or get_ipython() is None:
        print(figure.alt)
        return
    display(HTML(as_html(figure)))


def as_html(figure: "Picture") -> str:
    """Return an HTML `img` element: the figure as PNG, its words as alternative text."""
    from html import escape

    data = io.BytesIO()
    figure.savefig(data, format="png", dpi=120)
    picture = base64.b64encode(data.getvalue()).decode()
    return f'<img alt="{escape(figure.alt)}" style="max-width: 100%" src="data:image/png;base64,{picture}">'


def number_line(dtypes: Sequence[torch.dtype], low: float, high: float) -> "Picture":
    """Draw the numbers from `low` to `high` that each dtype can represent, one line for each dtype.

    dtypes: float or integer, up to 64 bits. A dtype with very many numbers there is drawn as a band.
    """
    figure, axes = _figure(8, 1.1 + 0.62 * len(dtypes))
    said = []
    for row, dtype in enumerate(dtypes):
        values, count = representable(dtype, low, high)
        colour = COLOURS[row % len(COLOURS)]
        if values is None:
            limits = (torch.finfo if dtype.is_floating_point else torch.iinfo)(dtype)
            band = [max(low, limits.min), min(high, limits.max)]
            axes.fill_between(band, row - 0.3, row + 0.3, color=colour, linewidth=0)
            text = f"{count:,} numbers"
        else:
            axes.vlines(values.tolist(), row - 0.3, row + 0.3, color=colour, linewidth=1.2)
            text = f"{count} numbers{_spacing_text(values)}"
        axes.text(low, row - 0.36, text, fontsize=9, va="bottom")
        said.append(f"{_name(dtype)} has {text}")
    axes.set_yticks(range(len(dtypes)), [_name(dtype) for dtype in dtypes])
    axes.set_ylim(len(dtypes) - 0.4, -0.85)
    margin = 0.01 * (high - low)
    axes.set_xlim(low - margin, high + margin)
    axes.set_xlabel("value")
    axes.set_ylabel("dtype")
    axes.spines["left"].set_visible(False)
    axes.tick_params(axis="y", length=0)
    figure.alt = f"Number line from {low:g} to {high:g}: {'; '.join(said)}."
    return figure


def representable(dtype: torch.dtype, low: float, high: float) -> tuple[Tensor | None, int]:
    """Return the numbers of `dtype` from `low` to `high`, ascending in float64, and how many they are.

    The numbers are None if there are more than `MOST_TICKS`. Zero counts once.
    """
    if not dtype.is_floating_point:
        limits = torch.iinfo(dtype)
        first, last = max(-int(-low // 1), limits.min), min(int(high // 1), limits.max)
        count = max(0, last - first + 1)
        return (torch.arange(first, last + 1, dtype=torch.float64) if count <= MOST_TICKS else None), count
    first, last = _rank(low, dtype, up=True), _rank(high, dtype, up=False)
    count = max(0, last - first + 1)
    if count > MOST_TICKS:
        return None, count
    ranks = torch.arange(first, last + 1)
    magnitudes = ranks.abs().to(_WHOLE[dtype.itemsize]).view(dtype).to(torch.float64)
    return magnitudes * ranks.sign(), count


def _rank(value: float, dtype: torch.dtype, up: bool) -> int:
    """Return the place of the first number at or above `value` (below if not `up`), zero at 0, negatives below."""
    limit = torch.finfo(dtype).max
    value = min(max(value, -limit), limit)
    magnitude = torch.tensor(abs(value), dtype=torch.float64).to(dtype)
    near, rank = float(magnitude), int(magnitude.view(_WHOLE[dtype.itemsize]))
    if value < 0:
        near, rank = -near, -rank
    return rank + (near < value) if up else rank - (near > value)


def _spacing_text(values: Tensor) -> str:
    if len(values) < 2:
        return ""
    gaps = values.diff()
    least, most = float(gaps.min()), float(gaps.max())
    return f", {least:.3g} apart" if least == most else f", {least:.3g} to {most:.3g} apart"


def spacing_by_magnitude(dtypes: Sequence[torch.dtype], low: int = -30, high: int = 40) -> "Picture":
    """Draw the distance between neighbouring numbers of float dtypes against magnitude, from 2**low to 2**high."""
    figure, axes = _figure(8, 4.6)
    said = []
    for index, dtype in enumerate(dtypes):
        info = torch.finfo(dtype)
        powers = [2.0**power for power in range(low, high + 1) if 2.0**power <= info.max]
        gaps = [max(power, info.smallest_normal) * info.eps for power in powers]
        if info.max < 2.0**high:
            powers, gaps = [*powers, info.max], [*gaps, gaps[-1]]
        style: dict[str, Any] = {"color": COLOURS[index % len(COLOURS)], "linestyle": DASHES[index % len(DASHES)]}
        axes.plot(powers, gaps, drawstyle="steps-post", label=_name(dtype), linewidth=2, **style)
        ends = f", and nothing beyond {info.max:g}" if info.max < 2.0**high else ""
        if ends:
            axes.plot(powers[-1:], gaps[-1:], marker=MARKERS[index % len(MARKERS)], color=style["color"])
        said.append(f"{_name(dtype)} has a spacing of {info.eps:g} at 1{ends}")
    axes.set_xscale("log", base=2)
    axes.set_yscale("log", base=2)
    axes.set_xticks([2.0**power for power in range(low, high + 1) if power % 10 == 0])
    axes.set_xlabel("magnitude of the number")
    axes.set_ylabel("distance to the next number")
    axes.grid(alpha=0.3)
    axes.legend(title="a marker: the dtype ends there", frameon=False)
    figure.alt = f"Spacing of numbers against their magnitude, rising in equal steps: {'; '.join(said)}."
    return figure


def downcast_errors(tensor: Tensor, dtypes: Sequence[torch.dtype], bins: int = 40) -> "Picture":
    """Draw a histogram of the absolute errors that a cast of `tensor` to each dtype leaves, on a logarithmic scale.

    tensor: float, any shape. Values that stay exact or become infinite are counted in the legend.
    """
    import numpy

    figure, axes = _figure(8, 4.4)
    exact = tensor.detach().to(torch.float64).flatten()
    errors = {dtype: (exact - tensor.detach().to(dtype).to(torch.float64).flatten()).abs() for dtype in dtypes}
    inexact = {dtype: error[(error > 0) & error.isfinite()] for dtype, error in errors.items()}
    shown = torch.cat([torch.ones(0, dtype=torch.float64), *inexact.values()])
    least, most = (float(shown.min()), float(shown.max())) if len(shown) else (0.1, 1.0)
    edges = numpy.geomspace(least, most if most > least else 2 * least, bins + 1)
    said = []
    for index, dtype in enumerate(dtypes):
        unchanged, lost = int((errors[dtype] == 0).sum()), int((~errors[dtype].isfinite()).sum())
        counts = f"{unchanged} exact" + (f", {lost} infinite" if lost else "")
        style: dict[str, Any] = {"edgecolor": COLOURS[index % len(COLOURS)], "linestyle": DASHES[index % len(DASHES)]}
        label = f"{_name(dtype)} ({counts})"
        axes.hist(inexact[dtype].tolist(), edges, histtype="stepfilled", fill=False, linewidth=2, label=label, **style)
        size = f", median error {float(inexact[dtype].median()):.2g}" if len(inexact[dtype]) else ""
        said.append(f"{_name(dtype)}: {counts}{size}")
    axes.set_xscale("log")
    axes.set_xlabel("absolute error of the cast")
    axes.set_ylabel("how many values")
    axes.legend(frameon=False, loc="upper left")
    figure.alt = f"Histogram of the errors of casting {len(exact)} values. {'; '.join(said)}."
    return figure


def stalling_sum(count: int, dtypes: Sequence[torch.dtype]) -> "Picture":
    """Draw how the sum of `count` ones grows when every partial sum is rounded to each float dtype.

    Nothing is added up here: whole numbers up to 2 / eps are exact, and from there 1 is half of the spacing and lost.
    """
    figure, axes = _figure(8, 4.4)
    said = []
    for index, dtype in enumerate(dtypes):
        limit = 2 / torch.finfo(dtype).eps
        corners = sorted({0.0, min(limit, count), float(count)})
        style: dict[str, Any] = {"color": COLOURS[index % len(COLOURS)], "linestyle": DASHES[index % len(DASHES)]}
        axes.plot(corners, [min(corner, limit) for corner in corners], linewidth=2, label=_name(dtype), **style)
        said.append(f"{_name(dtype)} {'stalls' if limit < count else 'ends'} at {min(limit, count):.8g}")
    axes.set_xlabel("number of ones added")
    axes.set_ylabel("running sum")
    axes.grid(alpha=0.3)
    axes.legend(frameon=False)
    figure.alt = f"Running sum of {count} ones, rounded after every term: {'; '.join(said)}."
    return figure


def weight_before_and_after(weight: Tensor, restored: Tensor) -> "Picture":
    """Draw a weight matrix, the same after quantization and back, and the difference of the two.

    weight, restored: 2-D, of one shape; a quantized weight is dequantized first (`weight.dequantize()`).
    """
    before, after = weight.detach().to(torch.float64), restored.detach().to(torch.float64)
    error = after - before
    figure, panels = _figure(11, 4.2, columns=3)
    largest, off = float(torch.stack([before, after]).abs().max()), float(error.abs().max())
    titles = ("before", "after", f"after - before, at most {off:.2g}")
    for panel, matrix, title in zip(panels, (before, after, error), titles, strict=True):
        bound = off if matrix is error else largest
        colours = "PuOr" if matrix is error else "RdBu"
        image = panel.imshow(
            matrix.tolist(), cmap=colours, vmin=-(bound or 1), vmax=bound or 1, interpolation="nearest"
        )
        panel.set_title(title)
        panel.set_xlabel("input (column)")
        figure.colorbar(image, ax=panel, shrink=0.75)
    panels[0].set_ylabel("output (row)")
    rows, columns = before.shape
    figure.alt = (
        f"Three maps of a weight matrix of {rows} rows and {columns} columns: before and after quantization, both "
        f"within {largest:.3g} of zero, and their difference, at most {off:.2g}."
    )
    return figure


def size_against_score(rows: Sequence[dict[str, Any]]) -> "Picture":
    """Draw score against stored bytes for each precision.

    rows: dicts with the keys `precision` (text), `bytes` (int) and `score` (float), as `compare_precisions` returns.
    Precisions that lie on one spot share a label.
    """
    from matplotlib.ticker import LogLocator, NullLocator

    figure, axes = _figure(8, 4.6)
    spots: list[tuple[float, float, list[str]]] = []
    scores = [row["score"] for row in rows]
    close = 0.03 * (max(scores) - min(scores) or 1.0)
    for index, row in enumerate(rows):
        axes.plot(
            row["bytes"], row["score"], MARKERS[index % len(MARKERS)], color=COLOURS[index % len(COLOURS)], markersize=9
        )
        same = [names for size, score, names in spots if size == row["bytes"] and abs(score - row["score"]) < close]
        if same:
            same[0].append(row["precision"])
        else:
            spots.append((row["bytes"], row["score"], [row["precision"]]))
    for size, score, names in spots:
        axes.annotate("\n".join(names), (size, score), (0, -9), textcoords="offset points", ha="center", va="top")
    axes.set_xscale("log")
    axes.margins(x=0.12, y=0.18)
    axes.xaxis.set_major_locator(LogLocator(subs=(1, 2, 5)))
    axes.xaxis.set_major_formatter(lambda size, _: f"{size / 1000:,.10g} kB")
    axes.xaxis.set_minor_locator(NullLocator())
    axes.set_xlabel("stored bytes")
    axes.set_ylabel("score")
    axes.grid(alpha=0.3)
    said = "; ".join(f"{row['precision']}: {row['bytes']:,} bytes, score {row['score']:.4g}" for row in rows)
    figure.alt = f"Score against size. {said}."
    return figure


def captioned(images: Sequence[Any], captions: Sequence[str]) -> "Picture":
    """Draw images (anything that matplotlib's `imshow` takes) side by side, each with its caption above it."""
    figure, panels = _figure(3 * len(images), 2.6, columns=len(images))
    for panel, image, caption in zip(panels if len(images) > 1 else [panels], images, captions, strict=True):
        panel.imshow(image, interpolation="nearest")
        panel.set_title(caption, fontsize=8)
        panel.set_axis_off()
    figure.alt = f"Images: {'; '.join(captions)}."
    return figure


def _figure(width: float, height: float, columns: int = 1) -> tuple["Picture", Any]:
    """Return a figure of its own (not pyplot's, which a notebook would display twice) and its axes."""
    from matplotlib.figure import Figure

    figure: Any = Figure(figsize=(width, height), layout="constrained")
    axes = figure.subplots(1, columns)
    for axis in [axes] if columns == 1 else axes:
        axis.spines[["top", "right"]].set_visible(False)
    return figure, axes


def _name(dtype: torch.dtype) -> str:
    return str(dtype).removeprefix("torch.")
