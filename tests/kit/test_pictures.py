"""The pictures show the numbers they claim to show, and say so in words."""

import subprocess
import sys

import numpy
import pytest
import torch

from exercises.kit import pictures, toys

ROWS = [
    {"precision": "float32", "bytes": 1000, "score": 1.0},
    {"precision": "bfloat16", "bytes": 500, "score": 1.0},
    {"precision": "float16", "bytes": 500, "score": 1.0},
    {"precision": "qint2", "bytes": 100, "score": 0.25},
]
WEIGHT = toys.random_input(6, 4)


def figures():
    """Return one figure of each kind."""
    return {
        "number_line": pictures.number_line([torch.float8_e5m2, torch.bfloat16, torch.int8], 1, 2),
        "spacing_by_magnitude": pictures.spacing_by_magnitude([torch.float32, torch.float16]),
        "downcast_errors": pictures.downcast_errors(toys.random_input(50), [torch.float16, torch.bfloat16]),
        "stalling_sum": pictures.stalling_sum(300, [torch.float32, torch.bfloat16]),
        "weight_before_and_after": pictures.weight_before_and_after(WEIGHT, WEIGHT.round()),
        "size_against_score": pictures.size_against_score(ROWS),
    }


@pytest.mark.parametrize("name", figures())
def test_words_and_labels(name):
    figure = figures()[name]
    axes = [axis for axis in figure.axes if axis.get_label() != "<colorbar>"]
    assert len(figure.alt) > 40
    assert figure.alt.endswith(".")
    assert all(axis.get_xlabel() for axis in axes)
    assert axes[0].get_ylabel()
    assert pictures.as_html(figure).startswith('<img alt="')


def ticks(figure) -> list[list[float]]:
    """Return the positions of the ticks on each line of a number line."""
    return [[segment[0][0] for segment in lines.get_segments()] for lines in figure.axes[0].collections]


def test_number_line_draws_the_numbers_of_each_dtype():
    figure = pictures.number_line([torch.float8_e5m2, torch.bfloat16, torch.int8], 1, 2)
    assert ticks(figure) == [[1, 1.25, 1.5, 1.75, 2], [1 + i / 128 for i in range(129)], [1, 2]]
    assert "bfloat16 has 129 numbers, 0.00781 apart" in figure.alt


@pytest.mark.parametrize("dtype", [torch.float8_e4m3fn, torch.float8_e5m2, torch.float16, torch.bfloat16])
@pytest.mark.parametrize(("low", "high"), [(-0.3, 0.7), (1, 2), (-3, -1.01), (0.0, 0.001)])
def test_representable_finds_every_number(dtype, low, high, monkeypatch):
    monkeypatch.setattr(pictures, "MOST_TICKS", 10**6)
    whole = {1: torch.uint8, 2: torch.int16}[dtype.itemsize]
    every = torch.arange(2 ** (8 * dtype.itemsize)).to(whole).view(dtype).to(torch.float64)
    wanted = every[(every >= low) & (every <= high)].unique()
    values, count = pictures.representable(dtype, low, high)
    assert values.tolist() == wanted.tolist()
    assert count == len(wanted)


def test_representable_counts_what_it_does_not_list():
    assert pictures.representable(torch.float32, 1, 2) == (None, 2**23 + 1)
    assert pictures.representable(torch.int8, -1000, 1000)[1] == 256
    assert pictures.representable(torch.float16, -1e9, 1e9) == (None, 2 * 31743 + 1)
    assert pictures.representable(torch.uint8, -3.5, 2.5)[0].tolist() == [0, 1, 2]


@pytest.mark.parametrize("dtype", [torch.float32, torch.float16])
def test_spacing_is_the_distance_to_the_next_number(dtype):
    line = pictures.spacing_by_magnitude([dtype], low=-20, high=10).axes[0].lines[0]
    powers = torch.tensor(line.get_xdata(), dtype=dtype)
    above = torch.nextafter(powers, torch.full_like(powers, torch.inf))
    assert (above - powers).tolist() == list(line.get_ydata())


def test_spacing_ends_where_the_dtype_ends():
    figure = pictures.spacing_by_magnitude([torch.float32, torch.float16])
    assert [line.get_xdata()[-1] for line in figure.axes[0].lines] == [2.0**40, 65504, 65504]
    assert "nothing beyond 65504" in figure.alt


def test_downcast_errors_counts_every_value():
    tensor = torch.tensor([1.0, 0.1, 0.2, 0.3, 1e6])
    figure = pictures.downcast_errors(tensor, [torch.float16])
    outline = figure.axes[0].patches[0].get_path().vertices
    assert outline[:, 1].sum() / 2 == 3  # each bar has two upper corners
    assert outline[:, 0].min() == pytest.approx(float((tensor[1:4] - tensor[1:4].half()).abs().min()))
    assert "1 exact, 1 infinite" in figure.alt
    legend = [text.get_text() for text in figure.axes[0].get_legend().get_texts()]
    assert legend == ["float16 (1 exact, 1 infinite)"]


def test_downcast_errors_of_nothing_but_exact_values():
    assert "3 exact" in pictures.downcast_errors(torch.ones(3), [torch.float16]).alt


def test_sum_stalls():
    dtypes = [torch.float32, torch.bfloat16, torch.float16, torch.float8_e5m2]
    figure = pictures.stalling_sum(2100, dtypes)
    for dtype, line in zip(dtypes, figure.axes[0].lines, strict=True):
        drawn, total = [], torch.zeros((), dtype=dtype)
        for _ in range(2101):
            drawn.append(total.item())
            total = (total.float() + 1).to(dtype)
        assert numpy.interp(range(2101), line.get_xdata(), line.get_ydata()).tolist() == drawn
    assert "float32 ends at 2100; bfloat16 stalls at 256; float16 stalls at 2048" in figure.alt


def test_weight_maps():
    figure = pictures.weight_before_and_after(WEIGHT, WEIGHT.round())
    before, after, error = (torch.tensor(axis.images[0].get_array()) for axis in figure.axes[:3])
    assert torch.equal(before, WEIGHT.double())
    assert torch.equal(after, WEIGHT.round().double())
    assert torch.equal(error, after - before)
    limits = [axis.images[0].get_clim() for axis in figure.axes[:3]]
    assert limits[0] == limits[1]
    assert limits[2] == (-error.abs().max(), error.abs().max())


def test_size_against_score():
    figure = pictures.size_against_score(ROWS)
    points = [(line.get_xdata()[0], line.get_ydata()[0]) for line in figure.axes[0].lines]
    assert points == [(row["bytes"], row["score"]) for row in ROWS]
    assert [text.get_text() for text in figure.axes[0].texts] == ["float32", "bfloat16\nfloat16", "qint2"]


def test_show_outside_a_notebook_prints_the_words(capsys):
    figure = pictures.size_against_score(ROWS)
    pictures.show(figure)
    assert capsys.readouterr().out == figure.alt + "\n"


def test_importing_pictures_imports_no_matplotlib():
    code = "import sys, exercises.kit.pictures; print('matplotlib' in sys.modules, 'IPython' in sys.modules)"
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=120, check=True)
    assert result.stdout == "False False\n"
