"""A million points as a picture: counted on a grid of pixels, coloured by what lies there.

A pixel takes the mean of the colours of its points, in linear light, as the eye would mix
dots too small to tell apart: no class hides another, whatever the order of the points.  Its
opacity is the rank of its number of points, so that the sparse and the dense both show.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from .colours import from_light, to_light

Plane = NDArray[np.float64]

_FAINTEST = 0.3  # opacity with the fewest points, were they rare
_PRESENT = 0.1  # share of a pixel's colour that goes evenly to the classes present
_FINE = 5  # pixels along a side for each root of a point, at most


class Grid(NamedTuple):
    """Pixels over the picture: which one each point falls in, and the corners of the whole."""

    pixels: NDArray[np.int64]
    shape: tuple[int, int]
    extent: tuple[float, float, float, float]
    spread: bool


def lay_grid(
    places: NDArray[np.float64], limits: tuple[float, float, float, float], longest: int
) -> Grid:
    """Number the pixels of a grid over ``limits`` with at most ``longest`` pixels a side.

    Few points get larger pixels, and dots of three pixels instead of one, or they would be
    too small to see.
    """
    left, right, bottom, top = limits
    longest = min(longest, max(16, int(_FINE * np.sqrt(len(places)))))
    size = max(right - left, top - bottom) / longest
    width = max(1, int(np.ceil((right - left) / size)))
    height = max(1, int(np.ceil((top - bottom) / size)))
    column = np.clip(((places[:, 0] - left) / size).astype(np.int64), 0, width - 1)
    row = np.clip(((places[:, 1] - bottom) / size).astype(np.int64), 0, height - 1)
    extent = (left, left + width * size, bottom, bottom + height * size)
    return Grid(row * width + column, (height, width), extent, len(places) < longest * longest // 4)


def shade_classes(
    grid: Grid, codes: NDArray[np.int64], colours: NDArray[np.float64]
) -> NDArray[np.float32]:
    """Pixels (rows, columns, RGBA) of points whose class ``codes`` has sRGB ``colours``."""
    n_classes = len(colours)
    light = to_light(colours)
    count = _sums(grid)
    # A class with few points among many must not vanish: a share goes to each one present.
    present = np.sort(grid.pixels * n_classes + codes)
    present = present[np.diff(present, prepend=-1) > 0]
    where, who = present // n_classes, present % n_classes
    n_pixels = count.size
    kinds = np.maximum(np.bincount(where, minlength=n_pixels), 1)
    planes = []
    for channel in range(3):
        by_count = np.bincount(grid.pixels, light[codes, channel], n_pixels)
        evenly = np.bincount(where, light[who, channel], n_pixels) / kinds * count.ravel()
        mixed = (1 - _PRESENT) * by_count + _PRESENT * evenly
        planes.append(mixed.reshape(grid.shape))
    return _paint(grid, count, planes, lambda means: from_light(np.stack(means, axis=-1)))


def shade_values(
    grid: Grid, values: NDArray[np.float64], colour_of: Callable[[Plane], NDArray[np.float64]]
) -> NDArray[np.float32]:
    """Pixels (rows, columns, RGBA): the colour of the mean value of the points there."""
    total = np.bincount(grid.pixels, values, grid.shape[0] * grid.shape[1]).astype(np.float64)
    total = total.reshape(grid.shape)
    return _paint(grid, _sums(grid), [total], lambda means: colour_of(means[0])[..., :3])


def _sums(grid: Grid) -> Plane:
    count = np.bincount(grid.pixels, minlength=grid.shape[0] * grid.shape[1])
    return count.reshape(grid.shape).astype(np.float64)


def _paint(
    grid: Grid,
    count: Plane,
    totals: Sequence[Plane],
    colour_of: Callable[[list[Plane]], NDArray[np.float64]],
) -> NDArray[np.float32]:
    """Spread totals and counts, colour their ratio, and set the opacity by the count."""
    peak = 1.0
    if grid.spread:
        count, totals = _spread(count), [_spread(total) for total in totals]
        peak = 0.25
    there = count > 0
    # Empty pixels are white glass: interpolation then makes no dark rims.
    pixels = np.ones((*grid.shape, 4), np.float32)
    pixels[..., 3] = 0
    pixels[there, :3] = colour_of([total[there] / count[there] for total in totals])
    pixels[there, 3] = _opacity(count[there] / peak)
    return pixels


def _spread(plane: Plane) -> Plane:
    """Binomial smoothing over 3 x 3 pixels; the sum stays."""
    for axis in (0, 1):
        padded = np.pad(plane, [(1, 1) if axis == a else (0, 0) for a in (0, 1)])
        before, here, after = (
            padded.take(range(k, k + plane.shape[axis]), axis) for k in (0, 1, 2)
        )
        plane = 0.25 * before + 0.5 * here + 0.25 * after
    return plane


def _opacity(count: Plane) -> Plane:
    """The share of pixels with no more points, from faint to opaque.

    Ranks, not counts: they show what is dense whatever the most crowded pixel holds.
    """
    levels, which, pixels = np.unique(count, return_inverse=True, return_counts=True)
    rank = np.cumsum(pixels) / count.size
    opacity = np.minimum(levels, 1.0) * (_FAINTEST + (1 - _FAINTEST) * rank)
    shaded: Plane = opacity[which.reshape(count.shape)]
    return shaded
