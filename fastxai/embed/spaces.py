"""Metrics that are Euclidean distances of changed vectors.

cosine        1 - x.y / |x||y|  =  |x' - y'|^2 / 2    with x' = x / |x|
correlation   the cosine of vectors with their mean taken off
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import sparse

from ..errors import InvalidInputError

EUCLIDEAN = ("euclidean", "l2")
ANGULAR = ("cosine", "correlation")
NATIVE = EUCLIDEAN + ANGULAR
_ROWS = 65536
# Magnitudes whose squared distances float32 holds.
_SMALL, _LARGE = 1e-12, 1e15


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


def exponent_of(X: NDArray[np.float32], metric: str) -> int:
    """The power of two to divide X by before Euclidean distances; 0 if it fits as it is."""
    if metric not in EUCLIDEAN:
        return 0  # `to_euclidean` takes the length off
    largest = _magnitude(X)
    if largest <= 0 or _SMALL <= largest <= _LARGE:
        return 0
    return int(np.frexp(largest)[1])


def scale_down(X: NDArray[np.float32], exponent: int) -> NDArray[np.float32]:
    """X divided by a power of two, which rounds nothing; X itself for 0."""
    return np.ldexp(X, np.int32(-exponent)) if exponent else X


def scale_up(distances: NDArray[np.float32], exponent: int) -> NDArray[np.float32]:
    """Distances before `scale_down`; those beyond float32 are its largest number."""
    if not exponent:
        return distances
    with np.errstate(over="ignore"):
        scaled = np.ldexp(distances, np.int32(exponent))
    scaled[np.isinf(scaled) & np.isfinite(distances)] = np.finfo(np.float32).max
    return scaled


def scale_rows(rows: NDArray[np.float32], exponent: int, metric: str) -> NDArray[np.float32]:
    """New rows, scaled as the points are that they are compared with.

    Raises
    ------
    InvalidInputError
        If rows are so much larger than the points that no distance can be told from another.
    """
    with np.errstate(over="ignore"):
        scaled = scale_down(rows, exponent)
    if metric in EUCLIDEAN and _magnitude(scaled) > 16 * _LARGE:
        raise InvalidInputError(
            f"the largest magnitude of the new rows is {_magnitude(rows):.3g}, beyond what "
            "float32 can compare with the points; scale the features"
        )
    return scaled


def _magnitude(X: NDArray[np.float32]) -> float:
    return max(float(X.max(initial=0)), -float(X.min(initial=0)))
