"""k nearest neighbours by Euclidean distance: what the fast kernels must find.

d(x, y)^2 = sum_j (x_j - y_j)^2
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

Array = NDArray[Any]


def _first(distances: Array, indices: Array, count: int) -> tuple[Array, Array]:
    """The first pairs by (distance, index), filled up with infinity and -1."""
    order = np.lexsort((indices, distances))[:count]
    missing = count - len(order)
    return (
        np.concatenate([indices[order], np.full(missing, -1)]).astype(np.int32),
        np.concatenate([distances[order], np.full(missing, np.inf)]),
    )


def _among(query: Array, data: Array, candidates: Array, count: int) -> tuple[Array, Array]:
    """The nearest of some rows of data: their numbers and squared distances."""
    difference = data[candidates].astype(np.float64) - query.astype(np.float64)
    return _first((difference**2).sum(axis=1), np.asarray(candidates), count)


def _stack(pairs: list[tuple[Array, Array]], count: int) -> tuple[Array, Array]:
    indices = np.array([i for i, _ in pairs], np.int32).reshape(-1, count)
    return indices, np.array([d for _, d in pairs], np.float64).reshape(-1, count)


def nearest(queries: Array, data: Array, n_neighbors: int, skip: Array) -> tuple[Array, Array]:
    """The nearest rows of ``data`` and their distances; ``skip`` names one left out, or -1."""
    everything = np.arange(len(data))
    pairs = [
        _among(query, data, everything[everything != left_out], n_neighbors)
        for query, left_out in zip(queries, skip, strict=True)
    ]
    indices, squares = _stack(pairs, n_neighbors)
    return indices, np.sqrt(squares)


def probe_cells(
    points: Array,
    cell_starts: Array,
    centroids: Array,
    near: Array,
    first_cell: int,
    last_cell: int,
    n_candidates: int,
) -> Array:
    """The nearest owners of the cells that a point probes, for the owners of some cells."""
    found = []
    for i in range(cell_starts[first_cell], cell_starts[last_cell]):
        owners = [np.arange(cell_starts[c], cell_starts[c + 1]) for c in near[i]]
        others = np.concatenate(owners)
        found.append(_among(points[i], points, others[others != i], n_candidates)[0])
    return np.array(found, np.int32).reshape(-1, n_candidates)


def join_neighbors(
    points: Array, indices: Array, distances: Array, width: int, first: int, last: int
) -> tuple[Array, Array]:
    """Lists of squared distances after trying the neighbours of the neighbours."""
    pairs = []
    for i in range(first, last):
        near = indices[i, :width]
        around = indices[near[near >= 0], :width]
        tried = np.union1d(indices[i], around)
        pairs.append(
            _among(points[i], points, tried[(tried >= 0) & (tried != i)], indices.shape[1])
        )
    return _stack(pairs, indices.shape[1])


def rerank(
    queries: Array, data: Array, rows: Array, candidates: Array, names: Array, n_neighbors: int
) -> tuple[Array, Array]:
    """The nearest of each row's candidates: rows of data and squared distances."""
    pairs = [
        _among(queries[row], data, names[some[some >= 0]], n_neighbors)
        for row, some in zip(rows, candidates, strict=True)
    ]
    return _stack(pairs, n_neighbors)


def project(points: Array, mean: Array, components: Array) -> Array:
    """(points - mean) @ components."""
    return (points.astype(np.float64) - mean) @ components.astype(np.float64)


def query_cells(
    points: Array,
    cell_starts: Array,
    centroids: Array,
    queries: Array,
    n_probes: int,
    n_candidates: int,
) -> Array:
    """The nearest owners of the cells nearest to each query."""
    cells = nearest(queries, centroids, n_probes, np.full(len(queries), -1))[0]
    found = []
    for query, probed in zip(queries, cells, strict=True):
        owners = [np.arange(cell_starts[c], cell_starts[c + 1]) for c in probed if c >= 0]
        found.append(_among(query, points, np.concatenate(owners), n_candidates)[0])
    return np.array(found, np.int32).reshape(-1, n_candidates)


def covariance(points: Array, mean: Array) -> Array:
    """The covariance about ``mean``, divided by the number of points."""
    moved = points.astype(np.float64) - mean
    return moved.T @ moved / max(1, len(points))


def hash_rows(points: Array) -> NDArray[np.uint64]:
    """A 64-bit hash of each row: that of its bytes, -0 taken as 0."""
    clean = np.ascontiguousarray(points + np.float32(0.0))
    return np.array([hash(row.tobytes()) % 2**64 for row in clean], np.uint64)
