"""New rows among points that are known: their nearest points, and those that equal them."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from .cells import Cells, build_cells
from .copies import equal_rows, hash_rows
from .external import ExternalIndex
from .search import HARD, SLICE, USUAL, Lists, Truth, backend, sample_truth
from .spaces import NATIVE, from_euclidean, is_sparse, to_euclidean


class QueryIndex:
    """Answers queries of new rows, each by itself: no batch changes what a row finds.

    Parameters
    ----------
    X : ndarray of shape (n, d), float32, or sparse
        The rows among which neighbours are sought.
    metric, metric_kwds, seed, recall
        As for `find_neighbors`.
    """

    def __init__(
        self,
        X: Any,
        *,
        metric: str | Callable[..., float] = "euclidean",
        metric_kwds: Mapping[str, Any] | None = None,
        seed: int = 0,
        recall: float = 0.95,
    ) -> None:
        self._X = X
        self._metric = metric
        self._kwds = dict(metric_kwds or {})
        self._seed = seed
        self._recall = recall
        self._cells: Cells | None = None
        self._probes = 0
        self._factor = USUAL.factor
        self._native = metric in NATIVE and not is_sparse(X)
        if not self._native:
            self._external = ExternalIndex(X, metric, self._kwds, seed)
        else:
            self._space = to_euclidean(np.asarray(X), str(metric))
            if self._space.size > 2e6 and len(X) > 8192:
                self._build(backend())

    def _build(self, kernels: Any) -> None:
        """Cells, and how many of them to probe: measured on rows of the data themselves."""
        X = self._space
        k = 15
        truth = sample_truth(kernels, X, k, self._seed)
        for effort in (USUAL, HARD):
            self._cells = build_cells(kernels, X, effort.share, effort.widest)
            self._factor = effort.factor
            probes = effort.probes
            while probes < min(len(self._cells.centroids), 256):
                self._probes = probes
                found = self._search(kernels, np.ascontiguousarray(X[truth.rows]), k + 1)
                lists = Lists(found[0][:, 1:], found[1][:, 1:])
                sampled = Truth(np.arange(len(truth.rows)), truth.last)
                if sampled.recall(lists) >= self._recall:
                    return
                probes *= 4
        self._cells = None

    def _search(
        self, kernels: Any, rows: NDArray[np.float32], k: int
    ) -> tuple[NDArray[np.int32], NDArray[np.float32]]:
        cells = self._cells
        if cells is None:
            found, distances = kernels.nearest(
                rows, self._space, k, np.full(len(rows), -1, np.int32)
            )
            return found, distances * distances
        projected = kernels.project(rows, cells.space.mean, cells.space.components)
        width = min(max(self._factor * k, k + 32), len(self._space))
        candidates = kernels.query_cells(
            cells.points, cells.starts, cells.centroids, projected, self._probes, width
        )
        mine = np.arange(len(rows), dtype=np.int32)
        indices, squares = kernels.rerank(rows, self._space, mine, candidates, cells.order, k)
        return indices, squares

    def query(
        self, X_new: Any, k: int, progress: Any = None
    ) -> tuple[NDArray[np.int32], NDArray[np.float32]]:
        """The ``k`` nearest rows of each new row: indices and distances (m, k), sorted."""
        if not self._native:
            return self._external.query(X_new, k)
        kernels = backend()
        rows = to_euclidean(np.asarray(X_new), str(self._metric))
        indices = np.empty((len(rows), k), np.int32)
        squares = np.empty((len(rows), k), np.float32)
        for start in range(0, len(rows), SLICE):
            stop = start + SLICE
            indices[start:stop], squares[start:stop] = self._search(kernels, rows[start:stop], k)
        return indices, from_euclidean(np.sqrt(squares), str(self._metric))


def query_neighbors(
    X: Any,
    X_new: Any,
    k: int,
    *,
    metric: str | Callable[..., float] = "euclidean",
    metric_kwds: Mapping[str, Any] | None = None,
    seed: int = 0,
    recall: float = 0.95,
) -> tuple[NDArray[np.int32], NDArray[np.float32]]:
    """The ``k`` rows of X nearest to each new row; see `QueryIndex`, which can be kept."""
    index = QueryIndex(X, metric=metric, metric_kwds=metric_kwds, seed=seed, recall=recall)
    return index.query(X_new, k)


class RowIndex:
    """Finds rows by their values.

    Parameters
    ----------
    X : ndarray or CSR matrix of shape (n, d), float32
    """

    def __init__(self, X: Any) -> None:
        self._X = X
        hashes = hash_rows(backend(), X)
        self._order = np.argsort(hashes, kind="stable")
        self._hashes = hashes[self._order]

    def find(self, X_new: Any) -> NDArray[np.int32]:
        """For each new row the lowest row of X that equals it, -1 where there is none."""
        wanted = hash_rows(backend(), X_new)
        at = np.minimum(np.searchsorted(self._hashes, wanted), len(self._order) - 1)
        rows = np.full(len(wanted), -1, np.int32)
        alike = np.flatnonzero(self._hashes[at] == wanted)
        there = self._order[at[alike]]
        same = equal_rows(self._X, there, X_new, alike)
        rows[alike[same]] = there[same]
        return rows


def find_rows(X: Any, X_new: Any) -> NDArray[np.int32]:
    """For each new row the lowest row of X that equals it; see `RowIndex`, which can be kept."""
    return RowIndex(X).find(X_new)
