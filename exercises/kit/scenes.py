"""The task of the tiny BLIP: say what is drawn, as in "a red circle above a blue square"."""

import hashlib
import random
from collections.abc import Sequence
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from PIL.Image import Image

SIZE = 32  # pixels, both ways
BACKGROUND = (236, 236, 236)
COLOURS = {
    "red": (214, 39, 40),
    "green": (44, 160, 44),
    "blue": (31, 80, 220),
    "yellow": (240, 205, 40),
    "purple": (148, 50, 180),
    "black": (20, 20, 20),
}
SHAPES = ("circle", "square", "triangle", "cross")
RELATIONS = ("above", "left of")  # the other two would name the same scenes a second time


def captions() -> list[str]:
    """Return all 1152 captions, in a fixed order."""
    things = [f"a {colour} {shape}" for colour in COLOURS for shape in SHAPES]
    return [f"{first} {relation} {second}" for first in things for relation in RELATIONS for second in things]


def is_held_out(caption: str) -> bool:
    """Tell whether the tiny BLIP never saw a scene of this caption in training: about a tenth, by the hash."""
    return hashlib.sha256(caption.encode()).digest()[0] < 26


def paint(caption: str, seed: int = 0) -> "Image":
    """Draw the scene that the caption names: an RGB image of 32x32 pixels; the seed moves and sizes the shapes.

    Raises ValueError for a caption that is not one of `captions()`.
    """
    from PIL import Image, ImageDraw

    first, relation, second = _parts(caption)
    source = random.Random(seed)
    image = Image.new("RGB", (SIZE, SIZE), BACKGROUND)
    canvas = ImageDraw.Draw(image)
    for (colour, shape), along in ((first, 8), (second, 24)):
        along += source.randint(-1, 1)
        across = source.randint(11, 21)  # nearer than 14, the least gap along: so only one relation is right
        centre = (across, along) if relation == "above" else (along, across)
        _draw(canvas, shape, centre, source.randint(5, 6), COLOURS[colour])
    return image


def painted(captions: Sequence[str], seed: int = 0) -> list["Image"]:
    """Return an image for each caption, drawn with the seeds `seed`, `seed` + 1, ..."""
    return [paint(caption, seed + index) for index, caption in enumerate(captions)]


def _parts(caption: str) -> tuple[tuple[str, ...], str, tuple[str, ...]]:
    for relation in RELATIONS:
        first, found, second = caption.partition(f" {relation} ")
        things = [tuple(thing.split(" ")[1:]) for thing in (first, second) if thing.startswith("a ")]
        if found and len(things) == 2 and all(len(t) == 2 and t[0] in COLOURS and t[1] in SHAPES for t in things):
            return things[0], relation, things[1]
    raise ValueError(f"no scene is called {caption!r}; a caption reads like 'a red circle above a blue square'")


def _draw(canvas, shape: str, centre: tuple[int, int], radius: int, colour: tuple[int, int, int]) -> None:
    x, y = centre
    if shape == "circle":
        canvas.ellipse((x - radius, y - radius, x + radius, y + radius), fill=colour)
    elif shape == "square":
        canvas.rectangle((x - radius + 1, y - radius + 1, x + radius - 1, y + radius - 1), fill=colour)
    elif shape == "triangle":
        canvas.polygon([(x, y - radius), (x - radius, y + radius), (x + radius, y + radius)], fill=colour)
    else:
        canvas.rectangle((x - 1, y - radius, x + 1, y + radius), fill=colour)
        canvas.rectangle((x - radius, y - 1, x + radius, y + 1), fill=colour)


def draw_scene(source: random.Random, held_out: bool = True) -> tuple["Image", str]:
    """Draw a scene and its caption, from the held-out or from the training captions."""
    caption = source.choice(_CAPTIONS[held_out])
    return paint(caption, source.getrandbits(32)), caption


def scene(seed: int = 0, held_out: bool = True) -> tuple["Image", str]:
    """Return an image and its caption, chosen by the seed."""
    return draw_scene(random.Random(seed), held_out)


def scenes(count: int, seed: int = 0, held_out: bool = True) -> list[tuple["Image", str]]:
    """Return `count` (image, caption) pairs of held-out or of training captions."""
    source = random.Random(seed)
    return [draw_scene(source, held_out) for _ in range(count)]


_CAPTIONS = {held_out: [c for c in captions() if is_held_out(c) == held_out] for held_out in (True, False)}
