"""The images of a bank nearest to one: every distance, exactly, in bounded memory."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from ..errors import InvalidInputError

METRICS = ("euclidean", "cosine")
# Two float32 forwards of the same image, alone and among others, differ by less; two photos
# that differ at all, by more.
SAME = 1e-5
_BYTES = 2**24  # of float64 rows that are compared together


class Near(NamedTuple):
    """Images of a bank, the nearest first.

    Attributes
    ----------
    rows : ndarray of shape (m,), int64
        Rows of the bank.
    distances : ndarray of shape (m,), float64
    labels : list of m str or None
    """

    rows: NDArray[np.int64]
    distances: NDArray[np.float64]
    labels: list[str | None]

    def __len__(self) -> int:
        return len(self.rows)


class Distances(NamedTuple):
    """From one image to all: (n,) by the metric, and which have the very same features."""

    values: NDArray[np.float64]
    same: NDArray[np.bool_]


def check_metric(metric: Any) -> None:
    """Refuse what can not be measured."""
    if metric not in METRICS:
        raise InvalidInputError(f"metric={metric!r}: choose 'euclidean' or 'cosine'")


def distances_to(
    features: NDArray[np.float32], query: NDArray[np.float32], metric: str
) -> Distances:
    """Distances of one vector (d,) to all rows (n, d).

    euclidean |x - y|; cosine 1 - x.y / |x||y|, where a vector of zeros is at distance 1 from
    every other, as for `fastxai.neighbors`.  ``same``: |x - y| <= 1e-5 |y|.
    """
    y = query.astype(np.float64)
    n, d = features.shape
    values, same = np.empty(n), np.empty(n, np.bool_)
    length = float(np.linalg.norm(y))
    size = max(1, _BYTES // (8 * d))
    for start in range(0, n, size):
        rows = slice(start, start + size)
        x = features[rows].astype(np.float64)
        away = x - y
        apart = np.sqrt(np.einsum("ij,ij->i", away, away))
        same[rows] = apart <= SAME * length
        values[rows] = apart if metric == "euclidean" else _angles(x, y, length)
    return Distances(values, same)


def _angles(x: NDArray[np.float64], y: NDArray[np.float64], length: float) -> NDArray[np.float64]:
    lengths = np.sqrt(np.einsum("ij,ij->i", x, x))
    both = lengths * length
    cosines = np.divide(np.einsum("ij,j->i", x, y), both, out=np.zeros(len(x)), where=both > 0)
    cosines[(lengths == 0) & (length == 0)] = 1.0
    found: NDArray[np.float64] = np.clip(1.0 - cosines, 0.0, 2.0)
    return found


def nearest(
    distances: NDArray[np.float64], allowed: NDArray[np.bool_], k: int, labels: list[str | None]
) -> Near:
    """The k nearest of the rows that are allowed; of equally far ones the first of the bank."""
    rows = np.flatnonzero(allowed)
    if k < len(rows):
        limit = np.partition(distances[rows], k - 1)[k - 1]
        rows = rows[distances[rows] <= limit]
    rows = rows[np.argsort(distances[rows], kind="stable")][:k].astype(np.int64)
    return Near(rows, distances[rows], [labels[row] for row in rows.tolist()])
