"""What a search has found, and the truth about a sample of rows: how its recall is estimated."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

_SAMPLE = 384


class Lists(NamedTuple):
    """Neighbours found so far, and their squared distances, (n, L) each, sorted."""

    indices: NDArray[np.int32]
    squares: NDArray[np.float32]

    @staticmethod
    def empty(n: int, length: int) -> Lists:
        """Lists of nothing: -1 at infinity."""
        return Lists(np.full((n, length), -1, np.int32), np.full((n, length), np.inf, np.float32))


class Truth(NamedTuple):
    """The k true neighbours of a sample of rows."""

    rows: NDArray[np.int32]
    indices: NDArray[np.int32]
    squares: NDArray[np.float32]

    def near(self, squares: NDArray[np.float32]) -> NDArray[np.bool_]:
        """Whether squared distances from each row are those of true neighbours.

        Counted by distance: which one of several equally near points is found is no matter.
        """
        near: NDArray[np.bool_] = squares <= self.squares[:, -1:] * np.float32(1 + 1e-5)
        return near

    def recall(self, squares: NDArray[np.float32]) -> tuple[float, float]:
        """The share of true neighbours found for the rows, and its standard error."""
        shares = self.near(squares).mean(axis=1)
        return float(shares.mean()), float(shares.std() / np.sqrt(len(shares)))


def spread(n: int, count: int) -> NDArray[np.int64]:
    """Rows spread over all: one drawn from each of ``count`` stretches of equal length.

    Drawn, and not every so-manyth: data may repeat with a period.
    """
    if count >= n:
        return np.arange(n)
    within = np.random.default_rng(0).random(count)
    return ((np.arange(count) + within) * (n / count)).astype(np.int64)


def sample_rows(n: int, seed: int) -> NDArray[np.int32]:
    """The rows that stand for all, ascending."""
    rows = np.random.default_rng(seed).choice(n, min(_SAMPLE, n), replace=False)
    return np.sort(rows).astype(np.int32)


def sample_truth(kernels: Any, X: NDArray[np.float32], rows: NDArray[np.int32], k: int) -> Truth:
    """The truth about some rows, by all their distances."""
    indices, distances = kernels.nearest(np.ascontiguousarray(X[rows]), X, k, rows)
    return Truth(rows, indices, distances * distances)
