"""The pictures of number formats show the numbers they claim to show, and say so in words."""

import torch

from exercises.kit import format_pictures, pictures

BLOCK = torch.tensor([7.5, -1.0, 0.3])
LANDED = {"one": torch.tensor([6.0, -1.0, 0.5]), "two": torch.tensor([7.5, -1.25, 0.0])}
ROWS = [(f"format {index}", 4 + index / 4, 0.1 / (index + 1)) for index in range(9)]


def lines_of(axes, row):
    """Return the places at which the vertical lines of one call stand."""
    return sorted(segment[0][0] for segment in axes.collections[row].get_segments())


def test_levels_are_divided_by_the_largest_and_counted_once():
    figure = format_pictures.levels_on_lines(
        {"e2m1": torch.tensor([0.0, -0.0, 3.0, -6.0, 6.0]), "with inf": torch.tensor([1.0, float("inf"), float("nan")])}
    )
    assert lines_of(figure.axes[0], 0) == [-1.0, 0.0, 0.5, 1.0]
    assert lines_of(figure.axes[0], 1) == [1.0]
    assert "e2m1 has 4 levels, 1 of them within a tenth of zero" in figure.alt


def test_errors_stand_at_their_bits():
    figure = format_pictures.error_against_bits(ROWS)
    drawn = [(line.get_xdata()[0], line.get_ydata()[0]) for line in figure.axes[0].lines]
    assert drawn == [row[1:] for row in ROWS]
    looks = {(line.get_marker(), line.get_color(), line.get_markerfacecolor()) for line in figure.axes[0].lines}
    assert len(looks) == len(ROWS)
    assert "format 1: 4.25 bits, error 5.00%" in figure.alt


def test_every_value_has_a_line_to_where_it_lands():
    figure = format_pictures.where_values_land(BLOCK, LANDED)
    joined = [tuple(line.get_xdata()) for line in figure.axes[0].lines]
    wanted = [pair for landed in LANDED.values() for pair in zip(BLOCK.tolist(), landed.tolist(), strict=True)]
    assert joined == wanted
    assert "one: 3 different numbers, error 20." in figure.alt
    assert pictures.as_html(figure).startswith("<img alt=")
