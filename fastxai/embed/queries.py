"""New rows among points that are known: their nearest points, and those that equal them."""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from .cells import Cells, build_cells, closest_cells, probes_for
from .copies import equal_rows, hash_rows
from .estimate import Lists, Truth, sample_rows
from .external import ExternalIndex
from .project import Space, choose_projection
from .search import backend
from .spaces import (
    NATIVE,
    exponent_of,
    from_euclidean,
    is_sparse,
    scale_down,
    scale_rows,
    scale_up,
    to_euclidean,
)

_FEW_NUMBERS, _FEW_POINTS = 2e6, 8192
_SLICE = 2048
_PLANNED = 15  # neighbours that searches for fewer are planned for, too
_SHARE = 0.93
_MISSED = 0.6  # no neighbours of neighbours here: the probed cells must hold nearly all
_DEAR = 0.5


class _Plan(NamedTuple):
    """How new rows are sought: in how many cells, with how many candidates."""

    space: Space
    weight: float
    cells: Cells
    probes: int
    length: int


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
        self._metric = metric
        self._native = metric in NATIVE and not is_sparse(X)
        if not self._native:
            self._external = ExternalIndex(X, metric, dict(metric_kwds or {}), seed)
            return
        X = np.asarray(X)
        self._exponent = exponent_of(X, str(metric))
        self._space = to_euclidean(scale_down(X, self._exponent), str(metric))
        self._seed, self._recall = seed, recall
        self._many = self._space.size > _FEW_NUMBERS and len(self._space) > _FEW_POINTS
        self._plans: dict[int, _Plan | None] = {}
        self._lock = threading.Lock()

    def _plan(self, k: int) -> _Plan | None:
        """How ``k`` neighbours are sought; None where all points are compared.

        Made for the next power of two, so that it does not depend on earlier queries.
        """
        planned = _PLANNED if k <= _PLANNED else 1 << (k - 1).bit_length()
        if not self._many or 4 * planned >= len(self._space):  # nearly all are candidates
            return None
        with self._lock:
            if planned not in self._plans:
                self._plans[planned] = _make_plan(
                    backend(), self._space, planned, self._seed, self._recall
                )
            return self._plans[planned]

    def query(self, X_new: Any, k: int) -> tuple[NDArray[np.int32], NDArray[np.float32]]:
        """The ``k`` nearest rows of each new row: indices and distances (m, k), sorted."""
        if not self._native:
            return self._external.query(X_new, k)
        kernels = backend()
        metric, plan = str(self._metric), self._plan(k)
        rows = to_euclidean(scale_rows(np.asarray(X_new), self._exponent, metric), metric)
        found = Lists.empty(len(rows), k)
        for start in range(0, len(rows), _SLICE):
            some = rows[start : start + _SLICE]
            if plan is None:
                nobody = np.full(len(some), -1, np.int32)
                indices, distances = kernels.nearest(some, self._space, k, nobody)
                squares = distances * distances
            else:
                indices, squares = _search(kernels, plan, self._space, some, k)
            found.indices[start : start + _SLICE] = indices
            found.squares[start : start + _SLICE] = squares
        distances = from_euclidean(np.sqrt(found.squares), metric)
        return found.indices, scale_up(distances, self._exponent)


def _make_plan(
    kernels: Any, X: NDArray[np.float32], k: int, seed: int, recall: float
) -> _Plan | None:
    """Cells, and how many of them to probe: measured on rows of the data themselves."""
    rows = sample_rows(len(X), seed)
    projection, truth = choose_projection(kernels, X, k, rows, _SHARE, (1 + recall) / 2)
    cells = build_cells(kernels, projection)
    plan = _Plan(projection.space, projection.weight, cells, 0, projection.length)
    probes = probes_for(cells.ranks(kernels, truth), 1 - _MISSED * (1 - recall))
    while probes <= _DEAR * len(cells.centroids) * X.shape[1] / cells.points.shape[1]:
        plan = plan._replace(probes=probes)
        if _recall(kernels, plan, X, truth) >= recall:
            return plan
        probes = max(probes + 1, probes * 4 // 3)
    return None


def _recall(kernels: Any, plan: _Plan, X: NDArray[np.float32], truth: Truth) -> float:
    """The share of true neighbours that the plan finds for sampled rows."""
    skip = plan.cells.places()[truth.rows]
    rows = np.ascontiguousarray(X[truth.rows])
    return truth.recall(_search(kernels, plan, X, rows, truth.squares.shape[1], skip)[1])[0]


def _search(
    kernels: Any,
    plan: _Plan,
    X: NDArray[np.float32],
    rows: NDArray[np.float32],
    k: int,
    skip: NDArray[np.int32] | None = None,
) -> tuple[NDArray[np.int32], NDArray[np.float32]]:
    """Neighbours and squared distances of rows; ``skip`` names points that are left out."""
    m, cells = len(rows), plan.cells
    points, rest = kernels.project(rows, *plan.space)
    near = closest_cells(kernels, points, cells.centroids, plan.probes)
    nobody = np.full(m, -1, np.int32) if skip is None else skip
    left = np.float32(plan.weight) * rest
    found = cells.probe(kernels, points, left, nobody, near, Lists.empty(m, plan.length))
    mine = np.arange(m, dtype=np.int32)
    indices, squares = kernels.rerank(rows, X, mine, found.indices, cells.order, k)
    few = np.flatnonzero(indices[:, -1] < 0)  # near to tiny cells only
    if len(few) and skip is None:
        indices[few], distances = kernels.nearest(rows[few], X, k, nobody[few])
        squares[few] = distances * distances
    return indices, squares


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
