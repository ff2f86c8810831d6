"""Coloured shapes on plain ground: where they lie, and their pixels."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

SIDE = 56  # pixels
SIZES = ("small", "large")
SHAPES = ("circle", "square", "triangle", "cross", "ring")
_RGB = {
    "red": (0.86, 0.15, 0.16),
    "orange": (1.0, 0.55, 0.05),
    "yellow": (0.97, 0.86, 0.12),
    "green": (0.15, 0.62, 0.22),
    "blue": (0.13, 0.35, 0.85),
    "purple": (0.52, 0.22, 0.72),
    "pink": (0.98, 0.55, 0.75),
    "black": (0.08, 0.08, 0.10),
}
COLOURS = tuple(_RGB)
RELATIONS = ("above", "left of")
# One shape of each colour is never seen in training.
UNSEEN = frozenset((colour, SHAPES[(2 * k) % 5]) for k, colour in enumerate(COLOURS))

_RADII = {"small": (4.0, 5.2), "large": (8.0, 9.6)}  # pixels
_TURN = 0.2  # radians that shapes are turned by, at most
_ALONE = 0.25  # share of scenes with one thing
_GAP = 2.0  # pixels between two things
_CLEAR = 5.0  # pixels by which "above" is more above than left, and the other way round
_NOISE = 0.02


class Thing(NamedTuple):
    """A shape on the ground: its words, its middle and radius in pixels, its turn in radians."""

    size: str
    colour: str
    shape: str
    x: float
    y: float
    radius: float
    turn: float

    @property
    def unseen(self) -> bool:
        """Whether its colour and shape are kept out of training."""
        return (self.colour, self.shape) in UNSEEN

    def __str__(self) -> str:
        return f"a {self.size} {self.colour} {self.shape}"


def place(random: np.random.Generator, unseen: bool, things: int | None) -> tuple[Thing, ...]:
    """Things that neither touch nor leave the picture, in the order in which they are named."""
    count = things or (1 if random.random() < _ALONE else 2)
    while True:
        words = [_words(random) for _ in range(count)]
        if any(pair[1:] in UNSEEN for pair in words) == unseen:
            break
    while True:
        found = [_put(random, *three) for three in words]
        if count == 1:
            return tuple(found)
        dx, dy = found[1].x - found[0].x, found[1].y - found[0].y
        apart = np.hypot(dx, dy) > 1.2 * (found[0].radius + found[1].radius) + _GAP
        if apart and abs(abs(dx) - abs(dy)) > _CLEAR:
            forward = (dy if abs(dy) > abs(dx) else dx) > 0
            return tuple(found if forward else found[::-1])


def _words(random: np.random.Generator) -> tuple[str, ...]:
    return tuple(words[int(random.integers(len(words)))] for words in (SIZES, COLOURS, SHAPES))


def _put(random: np.random.Generator, size: str, colour: str, shape: str) -> Thing:
    radius = random.uniform(*_RADII[size])
    x, y = random.uniform(1.2 * radius + 1, SIDE - 1.2 * radius - 1, 2)
    return Thing(size, colour, shape, float(x), float(y), radius, random.uniform(-_TURN, _TURN))


def draw(placed: list[tuple[Thing, ...]], random: np.random.Generator) -> NDArray[np.float32]:
    """Pictures (n, 3, 56, 56): each pixel is covered as far as it lies inside of a border."""
    n = len(placed)
    images = np.broadcast_to(random.uniform(0.8, 0.95, (n, 1, 1, 1)), (n, 3, SIDE, SIDE)).copy()
    for shape in SHAPES:
        rows = [(i, thing) for i, things in enumerate(placed) for thing in things]
        rows = [(i, thing) for i, thing in rows if thing.shape == shape]
        if not rows:
            continue
        # Two things of a shape on one scene do not touch, but their pixels are written twice.
        for part in (_once(rows, False), _once(rows, True)):
            if part:
                _paint(images, part, shape, random)
    images += random.normal(0, _NOISE, images.shape)
    return np.clip(images, 0, 1).astype(np.float32)


def _once(rows: list[tuple[int, Thing]], again: bool) -> list[tuple[int, Thing]]:
    """Of each scene the first row, or what is left."""
    repeated = [k > 0 and rows[k - 1][0] == row[0] for k, row in enumerate(rows)]
    return [row for row, later in zip(rows, repeated, strict=True) if later == again]


def _paint(
    images: NDArray[np.float64],
    rows: list[tuple[int, Thing]],
    shape: str,
    random: np.random.Generator,
) -> None:
    numbers = [i for i, _ in rows]
    x, y, radius, turn = np.array([thing[3:] for _, thing in rows]).T[:, :, None, None]
    across, down = np.meshgrid(np.arange(SIDE) + 0.5, np.arange(SIDE) + 0.5)
    u = np.cos(turn) * (across - x) + np.sin(turn) * (down - y)
    v = np.cos(turn) * (down - y) - np.sin(turn) * (across - x)
    cover = np.clip(0.5 - _outside(shape, u, v, radius), 0, 1)[:, None]
    ink = np.array([_RGB[thing.colour] for _, thing in rows])
    ink = ink * random.uniform(0.92, 1.06, (len(rows), 1))
    images[numbers] += cover * (ink[:, :, None, None] - images[numbers])


def _outside(shape: str, u: Any, v: Any, radius: Any) -> Any:
    """How far a point lies outside of a shape's border, in pixels; inside it is negative."""
    if shape == "circle":
        return np.hypot(u, v) - radius
    if shape == "ring":
        return np.abs(np.hypot(u, v) - 0.78 * radius) - 0.24 * radius
    if shape == "square":
        return np.maximum(np.abs(u), np.abs(v)) - 0.89 * radius
    if shape == "cross":
        u, v = np.abs(u), np.abs(v)
        bars = np.maximum(u - radius, v - 0.36 * radius), np.maximum(v - radius, u - 0.36 * radius)
        return np.minimum(*bars)
    side = np.sqrt(3) / 2 * np.abs(u) - 0.5 * v  # a triangle that stands on its base
    return np.maximum(v, side) - 0.6 * radius
