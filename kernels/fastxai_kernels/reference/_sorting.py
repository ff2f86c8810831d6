"""Pairs of distance and index, sorted: what the neighbour references share."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

Array = NDArray[Any]


def first_pairs(distances: Array, indices: Array, count: int) -> tuple[Array, Array]:
    """The first pairs by (distance, index), filled up with infinity and -1."""
    order = np.lexsort((indices, distances))[:count]
    missing = count - len(order)
    return (
        np.concatenate([indices[order], np.full(missing, -1)]).astype(np.int32),
        np.concatenate([distances[order], np.full(missing, np.inf)]),
    )


def apart(query: Array, rows: Array) -> Array:
    """Squared distances of rows from a query."""
    squares: Array = np.square(rows.astype(np.float64) - query.astype(np.float64))
    return np.asarray(squares.sum(axis=1))


def among(query: Array, data: Array, candidates: Array, count: int) -> tuple[Array, Array]:
    """The nearest of some rows of data: their numbers and squared distances."""
    return first_pairs(apart(query, data[candidates]), np.asarray(candidates), count)


def stack(pairs: list[tuple[Array, Array]], count: int) -> tuple[Array, Array]:
    indices = np.array([i for i, _ in pairs], np.int32).reshape(-1, count)
    return indices, np.array([d for _, d in pairs], np.float64).reshape(-1, count)
