"""Projected points, sorted into the cells of a short k-means on a sample."""

from __future__ import annotations

import math
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from .estimate import Lists, Truth, spread
from .project import Projection

_PER_CELL = 300
_MANY_POINTS = 100_000
_ROUNDS = 5
_SAMPLE_PER_CELL = 48
_SLICE = 65_536
_NEAR = 8


class Cells(NamedTuple):
    """Projected points sorted by cell; row s of ``points`` is row ``order[s]`` of the data.

    Attributes
    ----------
    points, left : ndarray of shape (n, c) and (n,), float32
        As in `Projection`.
    order : ndarray of shape (n,), int32
    starts : ndarray of shape (cells + 1,), int64
        The first point of each cell.
    centroids : ndarray of shape (cells, c), float32
    packed : tuple
        Panels, norms and starts of the panels, as `pack_cells` makes them.
    near : ndarray of shape (n, 8), int32
        The cells closest to each point.
    """

    points: NDArray[np.float32]
    left: NDArray[np.float32]
    order: NDArray[np.int32]
    starts: NDArray[np.int64]
    centroids: NDArray[np.float32]
    packed: tuple[NDArray[np.float32], NDArray[np.float32], NDArray[np.int64]]
    near: NDArray[np.int32]

    def probe(
        self,
        kernels: Any,
        points: NDArray[np.float32],
        left: NDArray[np.float32],
        skip: NDArray[np.int32],
        near: NDArray[np.int32],
        lists: Lists,
    ) -> Lists:
        """Lists after trying the owners of the cells ``near`` to some points."""
        return Lists(
            *kernels.probe_cells(
                points, left, skip, near, *self.packed, self.starts, self.centroids, *lists
            )
        )

    def places(self) -> NDArray[np.int32]:
        """Which point each row of the data is."""
        place = np.empty(len(self.order), np.int32)
        place[self.order] = np.arange(len(self.order), dtype=np.int32)
        return place

    def ranks(self, kernels: Any, truth: Truth) -> NDArray[np.int32]:
        """Which of a sampled row's closest cells its true neighbours lie in, all sorted."""
        count, place = len(self.centroids), self.places()
        near = closest_cells(kernels, self.points[place[truth.rows]], self.centroids, count)
        rank = np.empty_like(near)
        np.put_along_axis(rank, near, np.arange(count, dtype=np.int32)[None], axis=1)
        owner = np.searchsorted(self.starts, place[truth.indices], side="right") - 1
        return np.sort(np.take_along_axis(rank, owner, axis=1), axis=None)


def probes_for(ranks: NDArray[np.int32], covered: float) -> int:
    """Cells to probe so that a share ``covered`` of true neighbours lies in them."""
    at = int(np.ceil(min(max(covered, 0.0), 1.0) * len(ranks)))
    return int(ranks[min(at, len(ranks) - 1)]) + 1


def outside(ranks: NDArray[np.int32], probes: int) -> float:
    """The share of true neighbours that lie in none of so many cells."""
    return 1 - float(np.searchsorted(ranks, probes)) / len(ranks)


def cell_count(n: int) -> int:
    """Cells of about 300 points, growing with the root of n above 100,000 points."""
    return max(1, int(n / (_PER_CELL * math.sqrt(max(1.0, n / _MANY_POINTS))) + 0.5))


def build_cells(kernels: Any, projection: Projection) -> Cells:
    """Sort projected points into cells."""
    points, left = projection.points, projection.left
    count = cell_count(len(points))
    sample = _sample(points, count)
    centroids = _centroids(kernels, sample, count)
    # What the sample shows to be large is split at once, what all points show later.
    for some in (sample, points):
        centroids, near = _split_large(kernels, some, centroids, len(some) / count)
    order = np.argsort(near[:, 0], kind="stable").astype(np.int32)
    starts = np.zeros(len(centroids) + 1, np.int64)
    np.cumsum(np.bincount(near[:, 0], minlength=len(centroids)), out=starts[1:])
    points, left, near = points[order], left[order], near[order]
    packed = kernels.pack_cells(points, left, starts, centroids)
    return Cells(points, left, order, starts, centroids, packed, near)


def closest_cells(
    kernels: Any, points: NDArray[np.float32], centroids: NDArray[np.float32], count: int
) -> NDArray[np.int32]:
    """The ``count`` centroids nearest to each point, the nearest first."""
    # The centroids are the owners of one cell that every point probes.
    cells = len(centroids)
    starts = np.array([0, cells], np.int64)
    middle = centroids.mean(axis=0, keepdims=True, dtype=np.float64).astype(np.float32)
    packed = kernels.pack_cells(centroids, np.zeros(cells, np.float32), starts, middle)
    found = np.empty((len(points), min(count, cells)), np.int32)
    for start in range(0, len(points), _SLICE):
        some = points[start : start + _SLICE]
        m = len(some)
        nothing, nobody = np.zeros(m, np.float32), np.full(m, -1, np.int32)
        near, lists = np.zeros((m, 1), np.int32), Lists.empty(m, found.shape[1])
        found[start : start + m] = kernels.probe_cells(
            some, nothing, nobody, near, *packed, starts, middle, *lists
        )[0]
    return found


def _means(
    points: NDArray[np.float32], owner: NDArray[np.int32], centroids: NDArray[np.float32]
) -> NDArray[np.float32]:
    """The mean of each cell's points; an empty cell stays where it was."""
    order = np.argsort(owner, kind="stable")
    counts = np.bincount(owner, minlength=len(centroids))
    filled = np.flatnonzero(counts)
    firsts = (np.cumsum(counts) - counts)[filled]
    moved = centroids.copy()
    sums = np.add.reduceat(points[order], firsts, axis=0, dtype=np.float64)
    moved[filled] = sums / counts[filled, None]
    return moved


def _sample(points: NDArray[np.float32], count: int) -> NDArray[np.float32]:
    """Points enough for so many cells."""
    return points[spread(len(points), _SAMPLE_PER_CELL * count)]


def _centroids(kernels: Any, points: NDArray[np.float32], count: int) -> NDArray[np.float32]:
    """The means of cells of points."""
    centroids = points[spread(len(points), count)]
    for _ in range(_ROUNDS):
        owner = closest_cells(kernels, points, centroids, 1)[:, 0]
        centroids = _means(points, owner, centroids)
    return centroids


def _split_large(
    kernels: Any, points: NDArray[np.float32], centroids: NDArray[np.float32], target: float
) -> tuple[NDArray[np.float32], NDArray[np.int32]]:
    """Give a cell with more than four times ``target`` points more centroids.

    Comes with the centroids closest to each point.
    """
    near = closest_cells(kernels, points, centroids, _NEAR)
    for _ in range(4):
        counts = np.bincount(near[:, 0], minlength=len(centroids))
        large = np.flatnonzero(counts > 4 * target)
        if len(large) == 0:
            break
        more = [centroids]
        for cell in large:
            rows = np.flatnonzero(near[:, 0] == cell)
            pieces = int(np.ceil(len(rows) / target))
            more.append(_centroids(kernels, _sample(points[rows], pieces), pieces))
        centroids = np.concatenate(more)
        near = closest_cells(kernels, points, centroids, _NEAR)
    return centroids, near
