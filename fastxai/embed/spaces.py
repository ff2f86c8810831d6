"""Metrics that are Euclidean distances of changed vectors.

cosine        1 - x.y / |x||y|  =  |x' - y'|^2 / 2    with x' = x / |x|
correlation   the cosine of vectors with their mean taken off
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import sparse

EUCLIDEAN = ("euclidean", "l2")
ANGULAR = ("cosine", "correlation")
NATIVE = EUCLIDEAN + ANGULAR
_ROWS = 65536


def is_sparse(X: Any) -> bool:
    """True for SciPy's sparse matrices and arrays."""
    return bool(sparse.issparse(X))


def to_euclidean(X: NDArray[np.float32], metric: str) -> NDArray[np.float32]:
    """Vectors whose Euclidean distances rank as ``metric`` does; X itself for Euclidean.

    A vector without a direction (zero, or constant under correlation) is at distance 1
    from every other and at 0 from its like: it points along a coordinate of its own.
    """
    if metric in EUCLIDEAN:
        return X
    n, d = X.shape
    space = np.zeros((n, d + 1), np.float32)
    for start in range(0, n, _ROWS):
        block = X[start : start + _ROWS].astype(np.float64)
        if metric == "correlation":
            block -= block.mean(axis=1, keepdims=True)
        # Scaled first: squares of tiny or huge entries leave the range of numbers.
        largest = np.abs(block).max(axis=1, keepdims=True, initial=0.0)
        block /= np.where(largest > 0, largest, 1.0)
        length = np.linalg.norm(block, axis=1, keepdims=True)
        lost = length[:, 0] <= 0
        space[start : start + _ROWS, :d] = block / np.where(lost[:, None], 1.0, length)
        space[start : start + _ROWS, d] = lost
    return space


def from_euclidean(distances: NDArray[np.float32], metric: str) -> NDArray[np.float32]:
    """Distances of ``metric`` from those of the changed vectors."""
    if metric in EUCLIDEAN:
        return distances
    return (distances * distances * np.float32(0.5)).astype(np.float32)
