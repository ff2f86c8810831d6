"""k nearest neighbours by Euclidean distance: what the fast kernels must find.

d(x, y)^2 = sum_j (x_j - y_j)^2
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from ._sorting import among, stack

Array = NDArray[Any]


def nearest(queries: Array, data: Array, n_neighbors: int, skip: Array) -> tuple[Array, Array]:
    """The nearest rows of ``data`` and their distances; ``skip`` names one left out, or -1."""
    everything = np.arange(len(data))
    pairs = [
        among(query, data, everything[everything != left_out], n_neighbors)
        for query, left_out in zip(queries, skip, strict=True)
    ]
    indices, squares = stack(pairs, n_neighbors)
    return indices, np.sqrt(squares)


def nearest_screened(
    queries: Array,
    data: Array,
    coarse_queries: Array,
    coarse: Array,
    limits: Array,
    n_neighbors: int,
    skip: Array,
) -> tuple[Array, Array]:
    """As `nearest`: what lies beyond the limits by the coarse distance can not be among them."""
    return nearest(queries, data, n_neighbors, skip)
