"""Exact neighbours of some points among all, and how near to them others rank."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

Float32 = NDArray[np.float32]
Rows = NDArray[np.int64]
Lists = NDArray[np.int32]

_SLICE = 2e10  # multiplications in one call of the kernel, so that Ctrl-C is heard
_TILE = 256
_QUERIES = 256  # rows ranked at once by one thread
_OTHERS = 2**12  # points they are compared with at once, fewer where there are many features
_NUMBERS = 2**22
_SAME = 1e-10  # relative to the squared lengths: distances closer than this are ties


class Space:
    """All points of the data or of a map, and the rows of them that are judged.

    What was found is kept, so that several measures, or several maps of the same data, cost
    one search.
    """

    def __init__(self, points: Float32, rows: Rows) -> None:
        self.points, self.rows = points, rows
        self._found: Lists | None = None

    def nearest(self, k: int) -> Lists:
        """The ``k`` nearest points of each row (m, k), the row itself left out."""
        if self._found is None or self._found.shape[1] < k:
            self._found = _nearest(self.points, self.rows, k)
        return self._found[:, :k]

    def ranks(self, others: Lists) -> NDArray[np.int64]:
        """One plus the number of points nearer to each row than each of ``others`` (m, k)."""
        return ranks(self.points, self.rows, others)


def _nearest(points: Float32, rows: Rows, k: int) -> Lists:
    """A slice at a time."""
    from fastxai_kernels import select

    nearest = select("cpu").nearest
    tiles = int(_SLICE / (points.size * _TILE))
    step = _TILE * min(max(tiles, 2), 32)
    found = np.empty((len(rows), k), np.int32)
    for start in range(0, len(rows), step):
        some = rows[start : start + step]
        queries = np.ascontiguousarray(points[some])
        found[start : start + step] = nearest(queries, points, k, some.astype(np.int32))[0]
    return found


def ranks(points: Float32, rows: Rows, others: Lists) -> NDArray[np.int64]:
    """One plus the number of points strictly nearer to a row than each of its ``others``.

    All distances by |x|^2 - 2 x.y in float64; those that differ by rounding alone are ties,
    and of ties all have the lowest rank.
    """
    from fastxai_kernels.cpu._blas import single_threaded_blas
    from fastxai_kernels.cpu._threads import parallel_for

    n, d = points.shape
    centre = points[:: max(1, n // 1024)].mean(axis=0, dtype=np.float64)
    limits, order = _limits(points, centre, rows, others)
    counts = np.zeros((len(rows), others.shape[1] + 1), np.int64)

    def count(tile: NDArray[np.float64], norms: NDArray[np.float64], start: int, stop: int) -> None:
        queries = points[rows[start:stop]] - centre
        products = queries @ tile.T
        products *= -2
        products += norms
        for i in range(start, stop):
            # How many of the limits lie at or below each distance.
            below = np.searchsorted(limits[i], products[i - start], side="right")
            counts[i] += np.bincount(below, minlength=counts.shape[1])

    step = max(256, min(_OTHERS, _NUMBERS // d))
    with single_threaded_blas():
        for first in range(0, n, step):
            tile = points[first : first + step] - centre
            norms = np.einsum("ij,ij->i", tile, tile)
            parallel_for(count, len(rows), _QUERIES, tile, norms)
    nearer = np.empty(others.shape, np.int64)
    np.put_along_axis(nearer, order, np.cumsum(counts, axis=1)[:, :-1], axis=1)
    return nearer + 1 - _self_is_nearer(limits, order, points, centre, rows)


def _limits(
    points: Float32, centre: NDArray[np.float64], rows: Rows, others: Lists
) -> tuple[NDArray[np.float64], NDArray[np.int64]]:
    """Squared distances to the others less the row's own length, sorted; and their order."""
    limits = np.empty(others.shape)
    for i, row in enumerate(rows):
        query, near = points[row] - centre, points[others[i]] - centre
        lengths = np.einsum("ij,ij->i", near, near)
        limits[i] = lengths - 2 * (near @ query) - _SAME * (lengths + query @ query)
    order = np.argsort(limits, axis=1, kind="stable")
    return np.take_along_axis(limits, order, axis=1), order


def _self_is_nearer(
    limits: NDArray[np.float64],
    order: NDArray[np.int64],
    points: Float32,
    centre: NDArray[np.float64],
    rows: Rows,
) -> NDArray[np.int64]:
    """1 where the row itself, at distance 0, was counted among the nearer ones."""
    own = points[rows] - centre
    itself = -np.einsum("ij,ij->i", own, own)
    nearer = np.empty(order.shape, np.int64)
    np.put_along_axis(nearer, order, (itself[:, None] < limits).astype(np.int64), axis=1)
    return nearer
