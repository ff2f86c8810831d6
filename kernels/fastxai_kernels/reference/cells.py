"""Points in few dimensions, sorted into cells: what the fast kernels must find.

e(x, y) = |x - y|^2 + left_x + left_y
"""

from __future__ import annotations

from itertools import pairwise
from typing import Any

import numpy as np
from numpy.typing import NDArray

Array = NDArray[Any]
_LANES = 16
_PADDING = 3e38


def principal_axes(points: Array, mean: Array) -> tuple[Array, Array]:
    """Variances (descending) and directions (columns) of the covariance about ``mean``."""
    moved = points.astype(np.float64) - mean
    variances, directions = np.linalg.eigh(moved.T @ moved / len(points))
    count = min(points.shape)
    return variances[::-1][:count], directions[:, ::-1][:, :count]


def project(points: Array, mean: Array, components: Array) -> tuple[Array, Array]:
    """(points - mean) @ components, and the squared norm of what is left."""
    moved = points.astype(np.float64) - mean
    projected = moved @ components.astype(np.float64)
    left = np.square(moved).sum(axis=1) - np.square(projected).sum(axis=1)
    return projected, np.maximum(left, 0.0)


def pack_cells(
    points: Array, left: Array, cell_starts: Array, centroids: Array
) -> tuple[Array, Array, Array]:
    """Panels of sixteen columns, |y - c|^2 + left_y of every column, each cell's first panel."""
    panels, norms, panel_starts = [], [], [0]
    for cell, (low, high) in enumerate(pairwise(cell_starts)):
        for first in range(low, high, _LANES):
            some = slice(first, min(first + _LANES, high))
            moved = points[some].astype(np.float64) - centroids[cell]
            panel = np.zeros((points.shape[1], _LANES))
            panel[:, : len(moved)] = moved.T
            norm = np.full(_LANES, _PADDING)
            norm[: len(moved)] = np.square(moved).sum(axis=1) + left[some]
            panels.append(panel)
            norms.append(norm)
        panel_starts.append(len(panels))
    return np.concatenate(panels), np.concatenate(norms), np.array(panel_starts, np.int64)


def probe_cells(
    queries: Array,
    left: Array,
    skip: Array,
    near: Array,
    panels: Array,
    norms: Array,
    panel_starts: Array,
    cell_starts: Array,
    centroids: Array,
    indices: Array,
    squares: Array,
) -> tuple[Array, Array]:
    """The first of each list and the owners of the probed cells, by the estimate."""
    d = queries.shape[1]
    new_indices, new_squares = np.empty_like(indices), np.empty(squares.shape)
    for i, query in enumerate(queries.astype(np.float64)):
        best = {j: e for j, e in zip(indices[i], squares[i], strict=True) if j >= 0}
        for cell in near[i][near[i] >= 0]:
            moved = query - centroids[cell]
            size = cell_starts[cell + 1] - cell_starts[cell]
            first, last = panel_starts[cell], panel_starts[cell + 1]
            columns = panels[first * d : last * d].reshape(-1, d, _LANES)
            products = np.einsum("j,pjt->pt", moved, columns.astype(np.float64)).ravel()[:size]
            lengths = norms[first * _LANES : first * _LANES + size]
            estimates = moved @ moved + left[i] + lengths - 2 * products
            for j, e in enumerate(estimates, int(cell_starts[cell])):
                if j != skip[i]:
                    best.setdefault(j, max(e, 0.0))
        pairs = sorted((e, j) for j, e in best.items())[: indices.shape[1]]
        pairs += [(np.inf, -1)] * (indices.shape[1] - len(pairs))
        new_squares[i], new_indices[i] = zip(*pairs, strict=True)
    return new_indices, new_squares
