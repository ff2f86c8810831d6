"""The approximate search, planned and judged by what is known of a sample of rows.

Candidates come from the nearest cells in a space of few components, and from the neighbours
of neighbours there; the best of them are measured in the full space.  How many components,
candidates and cells that takes is read off the sample.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from .cells import Cells, build_cells, closest_cells, outside, probes_for
from .estimate import Lists, Truth, sample_rows
from .project import choose_projection

Advance = Callable[[float], None]

# Share of the variance to begin with: for the usual promises, and for high ones.
_SHARE, _CAREFUL_SHARE, _CAREFUL_ABOVE = 0.91, 0.945, 0.97
# Neighbours of neighbours find some of what lies in no probed cell.
_MISSED = 1.25
_WIDTH = 12
_SURE = 0.5  # standard errors by which the estimate has to be above the promise
_ROUNDS = 6
_SLICE = 65_536
# Probing that takes more of the time of all pairs is not worth it.
_DEAR = 0.35
# ... even where all pairs can not be compared.
_VERY_DEAR = 0.02


def search_approximately(
    kernels: Any,
    X: NDArray[np.float32],
    k: int,
    promised: float,
    seed: int,
    advance: Advance,
    all_pairs: bool,
) -> tuple[Lists | None, float]:
    """The neighbours of all rows and the recall estimated.

    None instead of lists that fall short of ``promised``, or that would take hardly less
    time than all pairs do, if ``all_pairs`` may be compared.
    """
    share = _CAREFUL_SHARE if promised > _CAREFUL_ABOVE else _SHARE
    rows = sample_rows(len(X), seed)
    projection, truth = choose_projection(kernels, X, k, rows, share, (1 + promised) / 2)
    search = _Search(kernels, X, build_cells(kernels, projection), truth, projection.length)
    del projection
    missed, recall = _MISSED * (1 - promised), 0.0
    most = search.most_probes(_DEAR if all_pairs else _VERY_DEAR)
    while True:
        more = search.probed + 1 + search.probed // 3
        probes = max(probes_for(search.ranks, 1 - missed), more)
        if probes > most and all_pairs:
            break  # they take hardly longer
        probes = min(probes, most)
        if probes <= search.probed:
            break
        search.probe(probes, advance)
        recall, error = search.join_until(promised)
        if recall - _SURE * error >= promised:
            break
        # If as many of those outside are found as now, how few may be outside?
        missed = 0.9 * (1 - promised) * outside(search.ranks, probes) / max(1 - recall, 1e-9)
    if recall < promised and all_pairs:
        return None, recall
    search.complete()
    return search.finish(advance), recall


class _Search:
    """Lists of candidates for all points, in the order of the cells."""

    def __init__(
        self, kernels: Any, X: NDArray[np.float32], cells: Cells, truth: Truth, length: int
    ) -> None:
        self.kernels, self.X, self.cells, self.truth, self.length = kernels, X, cells, truth, length
        self.sampled = cells.places()[truth.rows]
        self.ranks = cells.ranks(kernels, truth)
        self.probed = 0
        self.lists = Lists.empty(len(X), length)

    def most_probes(self, dear: float) -> int:
        """Cells whose probing takes a share ``dear`` of the operations of all pairs."""
        width, d, count = self.cells.points.shape[1], self.X.shape[1], len(self.cells.centroids)
        return min(max(1, int(dear * count * d / width)), count)

    def probe(self, probes: int, advance: Advance) -> None:
        """Try the owners of more cells, up to so many a point."""
        cells, n, first = self.cells, len(self.X), self.probed
        for start in range(0, n, _SLICE):
            rows = np.arange(start, min(start + _SLICE, n), dtype=np.int32)
            near = cells.near[start : start + _SLICE]
            if probes > near.shape[1]:
                near = closest_cells(self.kernels, cells.points[rows], cells.centroids, probes)
            self._try(rows, near[:, first:probes])
            if first == 0:
                advance(0.5 * len(rows))
        self.probed = probes

    def _try(self, rows: NDArray[np.int32], near: NDArray[np.int32]) -> None:
        """Try the owners of the cells ``near`` to some points."""
        cells = self.cells
        lists = Lists(self.lists.indices[rows], self.lists.squares[rows])
        near = np.ascontiguousarray(near)
        lists = cells.probe(self.kernels, cells.points[rows], cells.left[rows], rows, near, lists)
        self.lists.indices[rows] = lists.indices
        self.lists.squares[rows] = lists.squares

    def complete(self) -> None:
        """Try more cells for points that have fewer than k candidates: those of tiny cells."""
        cells, k, probes = self.cells, self.truth.squares.shape[1], self.probed
        rows = np.flatnonzero(self.lists.indices[:, k - 1] < 0).astype(np.int32)
        while len(rows) and probes < len(cells.centroids):
            probes = 4 * probes
            near = closest_cells(self.kernels, cells.points[rows], cells.centroids, probes)
            self._try(rows, near)
            rows = rows[self.lists.indices[rows, k - 1] < 0]

    def recall(self) -> tuple[float, float]:
        """Recall, and its standard error, that the lists would give now."""
        found = np.ascontiguousarray(self.lists.indices[self.sampled])
        order, rows = self.cells.order, self.truth.rows
        k = self.truth.squares.shape[1]
        return self.truth.recall(self.kernels.rerank(self.X, self.X, rows, found, order, k)[1])

    def join_until(self, promised: float) -> tuple[float, float]:
        """Try neighbours of neighbours until the recall is reached or gains little."""
        points, left = self.cells.points, self.cells.left
        recall, error = self.recall()
        for _ in range(_ROUNDS):
            before = recall
            if recall - _SURE * error >= promised:
                break
            self.lists = Lists(
                *self.kernels.join_neighbors(points, left, *self.lists, _WIDTH, 0, len(points))
            )
            recall, error = self.recall()
            if recall - before < 0.25 * (promised + _SURE * error - recall):
                break
        return recall, error

    def finish(self, advance: Advance) -> Lists:
        """Measure the candidates in the full space; rows in the order of the data."""
        n, order, k = len(self.X), self.cells.order, self.truth.squares.shape[1]
        lists = Lists.empty(n, k)
        for start in range(0, n, _SLICE):
            rows = order[start : start + _SLICE]
            found = self.lists.indices[start : start + _SLICE]
            indices, squares = self.kernels.rerank(self.X, self.X, rows, found, order, k)
            lists.indices[rows] = indices
            lists.squares[rows] = squares
            advance(0.5 * len(rows))
        return lists
