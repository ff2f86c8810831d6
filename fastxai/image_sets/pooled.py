"""Maps averaged on a small grid: how the evidence of each is spread."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import pairwise
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    from .results import Results


def pooled(
    results: Results, name: str, rows: NDArray[np.int64], places: NDArray[np.int64], grid: int
) -> NDArray[np.float32]:
    """The square roots of the shares of each map's evidence by cell, (n, d), of unit length.

    Evidence for the class and against it have cells of their own.  NaN where a map is the same
    everywhere or not finite: it does not say where anything is.
    """
    parts = [
        _shares(maps, grid, two_sided(results, name))
        for maps in in_parts(results, name, rows, places)
    ]
    return np.concatenate(parts) if parts else np.empty((0, 0), np.float32)


def in_parts(
    results: Results, name: str, rows: NDArray[np.int64], places: NDArray[np.int64]
) -> Iterator[NDArray[np.float32]]:
    """The maps of some images, of one target each, some at a time; magnitudes of channels.

    Images that follow each other in a chunk of the disk come together: it is read once.
    """
    chunk = rows // int(results.maps[name].chunks[0])
    starts = np.flatnonzero(np.diff(chunk, prepend=-1)).tolist()
    for first, last in pairwise([*starts, len(rows)]):
        some = slice(first, last)
        maps = results.take(rows[some], name)
        if not results.single:
            maps = maps[np.arange(len(maps)), places[some]]
        yield np.abs(maps).sum(axis=1) if by_channel(results, name) else maps


def by_channel(results: Results, name: str) -> bool:
    """Whether a method's maps have a value for each channel of the image."""
    return "channel" in results.manifest.layout.arrays[name]["dimensions"]


def two_sided(results: Results, name: str) -> bool:
    """Whether maps, as `in_parts` gives them, tell evidence against from evidence for."""
    return results.signed(name) and not by_channel(results, name)


def cells_of(size: int, grid: int) -> NDArray[np.float64]:
    """The weight of each of ``size`` pixels in the mean of each of ``grid`` cells."""
    grid = min(grid, size)
    edges = np.linspace(0, size, grid + 1)
    pixels = np.arange(size)
    covered = np.minimum(edges[1:, None], pixels + 1) - np.maximum(edges[:-1, None], pixels)
    weights: NDArray[np.float64] = np.maximum(covered, 0) * (grid / size)
    return weights


def _shares(maps: NDArray[Any], grid: int, signed: bool) -> NDArray[np.float32]:
    values = maps.astype(np.float64)
    axes = tuple(range(1, values.ndim))
    low, high = values.min(axis=axes), values.max(axis=axes)
    known = np.isfinite(low) & np.isfinite(high) & (high > low)
    values = np.where(known.reshape(-1, *[1] * len(axes)), values, 0.0)
    # By the largest first, so that tiny gradients do not vanish in the sum.
    most = np.abs(values).max(axis=axes, keepdims=True, initial=0.0)
    values = values / np.where(most > 0, most, 1.0)
    sides = (np.maximum(values, 0), np.maximum(-values, 0)) if signed else (np.abs(values),)
    cells = np.concatenate([_means(side, grid).reshape(len(values), -1) for side in sides], axis=1)
    total = cells.sum(axis=1, keepdims=True)
    cells = np.sqrt(cells / np.where(total > 0, total, 1.0))
    cells[~known] = np.nan
    return cells.astype(np.float32)


def _means(values: NDArray[np.float64], grid: int) -> NDArray[np.float64]:
    for axis in range(1, values.ndim):
        weights = cells_of(values.shape[axis], grid)
        values = np.moveaxis(np.moveaxis(values, axis, -1) @ weights.T, -1, axis)
    return values
