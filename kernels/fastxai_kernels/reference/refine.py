"""Lists of candidates made better: what the fast kernels must find.

e(x, y) = |x - y|^2 + left_x + left_y
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from ._sorting import among, apart, first_pairs, stack

Array = NDArray[Any]


def join_neighbors(
    points: Array,
    left: Array,
    indices: Array,
    squares: Array,
    width: int,
    first: int,
    last: int,
) -> tuple[Array, Array]:
    """Lists by |x - y|^2 + left_x + left_y after trying the neighbours of the neighbours."""
    pairs = []
    for i in range(first, last):
        near = indices[i, :width]
        around = indices[near[near >= 0], :width]
        tried = np.union1d(indices[i], around)
        tried = tried[(tried >= 0) & (tried != i)]
        estimates = apart(points[i], points[tried]) + left[i] + left[tried]
        pairs.append(first_pairs(estimates, tried, indices.shape[1]))
    return stack(pairs, indices.shape[1])


def rerank(
    queries: Array, data: Array, rows: Array, candidates: Array, names: Array, n_neighbors: int
) -> tuple[Array, Array]:
    """The nearest of each row's candidates: rows of data and squared distances."""
    pairs = [
        among(queries[row], data, names[some[some >= 0]], n_neighbors)
        for row, some in zip(rows, candidates, strict=True)
    ]
    return stack(pairs, n_neighbors)
