"""The search for neighbours on a device: all pairs where that is quick, else by cells.

The twin of `fastxai.embed.search` and `fastxai.embed.approximate`: planned and judged by the
true neighbours of a sample of rows, it goes on until it holds the recall that was promised.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

import torch
from torch import Tensor

from ..approximate import (
    _CAREFUL_ABOVE,
    _CAREFUL_SHARE,
    _DEAR,
    _MISSED,
    _ROUNDS,
    _SHARE,
    _SURE,
    _VERY_DEAR,
    _WIDTH,
)
from ..estimate import sample_rows
from .cells import Cells, build_cells, closest_cells
from .copies import Copies, find_copies, give_back
from .points import Space
from .project import Projection, Truth, choose_projection

Advance = Callable[[float], None]
Lists = tuple[Tensor, Tensor]

# Multiplications of all pairs that a GPU does in about a second.
_QUICK = 5e13
_TOO_MANY = 5e16
_SLICE_OF_PAIRS = 1e13
_SLICE = 1 << 18
_MOST = 512  # neighbours: lists of candidates are twice as long at least, and hold 1024


class Found(NamedTuple):
    """Neighbours (n, k), sorted, their distances, and the recall estimated (1 if exact)."""

    indices: Tensor
    distances: Tensor
    recall: float


def find_neighbors_there(
    kernels: Any, space: Space, k: int, promised: float, seed: int, advance: Advance
) -> Found:
    """The k true neighbours of every row of a space, the row itself left out."""
    X = space.rows
    n, d = X.shape
    if promised >= 1 or is_quick(n, d) or k > _MOST:
        indices, squares = _exact(kernels, X, k, advance)
        return Found(indices, space.distances(squares), 1.0)
    copies = find_copies(kernels, X)
    if copies.matter:
        (indices, squares), recall = _of_copies(kernels, X, copies, k, promised, seed, advance)
    else:
        (indices, squares), recall = _approximate(kernels, X, k, promised, seed, advance)
    return Found(indices, space.distances(squares), recall)


def is_quick(n: int, d: int) -> bool:
    """Whether all pairs of so many points are compared in about a second."""
    return 2.0 * n * n * max(d, 16) <= _QUICK


def _exact(kernels: Any, X: Tensor, k: int, advance: Advance) -> Lists:
    n, d = X.shape
    indices = torch.empty((n, k), dtype=torch.int32, device=X.device)
    squares = torch.empty((n, k), dtype=torch.float32, device=X.device)
    rows = int(max(1024, _SLICE_OF_PAIRS / (2.0 * n * max(d, 16))))
    for start in range(0, n, rows):
        stop = min(start + rows, n)
        skip = torch.arange(start, stop, dtype=torch.int32, device=X.device)
        indices[start:stop], distances = kernels.nearest(X[start:stop], X, k, skip)
        squares[start:stop] = distances * distances
        advance(stop - start)
    return indices, squares


def _of_copies(
    kernels: Any,
    X: Tensor,
    copies: Copies,
    k: int,
    promised: float,
    seed: int,
    advance: Advance,
) -> tuple[Lists, float]:
    """Copies are searched once, and given back to every copy."""
    unique = X[copies.firsts].contiguous()
    u = len(unique)
    few = min(k, u - 1)
    none = torch.empty((u, 0), dtype=torch.int32, device=X.device)
    lists, recall = (none, none.float()), 1.0
    if few and is_quick(u, X.shape[1]):
        lists = _exact(kernels, unique, few, advance)
    elif few:
        lists, recall = _approximate(kernels, unique, few, promised, seed, advance)
    return give_back(copies, *lists, k), recall


def _approximate(
    kernels: Any, X: Tensor, k: int, promised: float, seed: int, advance: Advance
) -> tuple[Lists, float]:
    """Cells nearby, then neighbours of neighbours, until the sample has its neighbours."""
    n, d = X.shape
    all_pairs = 2.0 * n * n * d <= _TOO_MANY
    share = _CAREFUL_SHARE if promised > _CAREFUL_ABOVE else _SHARE
    rows = torch.from_numpy(sample_rows(n, seed)).to(X.device)
    projection, truth = choose_projection(kernels, X, k, rows, share, (1 + promised) / 2)
    search = _Search(kernels, X, projection, truth)
    missed, recall = _MISSED * (1 - promised), 0.0
    most = search.most_probes(_DEAR if all_pairs else _VERY_DEAR)
    while True:
        more = search.probed + 1 + search.probed // 3
        probes = max(search.probes_for(1 - missed), more)
        if probes > most and all_pairs:
            return _exact(kernels, X, k, advance), 1.0
        probes = min(probes, most)
        if probes <= search.probed:
            break
        search.probe(probes, advance)
        recall, error = search.join_until(promised)
        if recall - _SURE * error >= promised:
            break
        missed = 0.9 * (1 - promised) * search.outside(probes) / max(1 - recall, 1e-9)
    if recall < promised and all_pairs:
        return _exact(kernels, X, k, advance), 1.0
    search.complete()
    return search.finish(advance), recall


class _Search:
    """Lists of candidates for all points, in the order of the cells."""

    def __init__(self, kernels: Any, X: Tensor, projection: Projection, truth: Truth) -> None:
        self.kernels, self.X, self.truth, self.length = kernels, X, truth, projection.length
        self.cells: Cells = build_cells(kernels, projection.points, projection.left)
        self.sampled = self.cells.places()[truth.rows.long()].long()
        self.ranks = self.cells.ranks(kernels, truth.rows, truth.indices)
        self.probed = 0
        self.lists = _empty(len(X), self.length, X.device)

    def probes_for(self, covered: float) -> int:
        """Cells to probe so that a share ``covered`` of true neighbours lies in them."""
        at = min(int(-(-min(max(covered, 0.0), 1.0) * len(self.ranks) // 1)), len(self.ranks) - 1)
        return int(self.ranks[at]) + 1

    def outside(self, probes: int) -> float:
        """The share of true neighbours that lie in none of so many cells."""
        return 1 - float((self.ranks < probes).double().mean())

    def most_probes(self, dear: float) -> int:
        """Cells whose probing takes a share ``dear`` of the operations of all pairs."""
        width, d, count = self.cells.points.shape[1], self.X.shape[1], len(self.cells.centroids)
        return min(max(1, int(dear * count * d / width)), count)

    def probe(self, probes: int, advance: Advance) -> None:
        """Try the owners of more cells, up to so many a point."""
        cells, n, first = self.cells, len(self.X), self.probed
        for start in range(0, n, _SLICE):
            rows = torch.arange(start, min(start + _SLICE, n), device=self.X.device)
            near = cells.near[start : start + _SLICE]
            if probes > near.shape[1]:
                near = closest_cells(self.kernels, cells.points[rows], cells.centroids, probes)
            self._try(rows, near[:, first:probes])
            if first == 0:
                advance(0.5 * len(rows))
        self.probed = probes

    def _try(self, rows: Tensor, near: Tensor) -> None:
        """Try the owners of the cells ``near`` to some points."""
        cells = self.cells
        lists = self.lists[0][rows], self.lists[1][rows]
        some = cells.points[rows], cells.left[rows], rows.int(), near.contiguous()
        self.lists[0][rows], self.lists[1][rows] = cells.probe(self.kernels, *some, lists)

    def complete(self) -> None:
        """Try more cells for points that have fewer than k candidates: those of tiny cells."""
        cells, k, probes = self.cells, self.truth.squares.shape[1], self.probed
        rows = torch.nonzero(self.lists[0][:, k - 1] < 0).ravel()
        while len(rows) and probes < len(cells.centroids):
            probes = 4 * probes
            near = closest_cells(self.kernels, cells.points[rows], cells.centroids, probes)
            self._try(rows, near)
            rows = rows[self.lists[0][rows, k - 1] < 0]

    def recall(self) -> tuple[float, float]:
        """Recall, and its standard error, that the lists would give now."""
        found = self.lists[0][self.sampled].contiguous()
        order, rows, k = self.cells.order, self.truth.rows, self.truth.squares.shape[1]
        return self.truth.recall(self.kernels.rerank(self.X, self.X, rows, found, order, k)[1])

    def join_until(self, promised: float) -> tuple[float, float]:
        """Try neighbours of neighbours until the recall is reached or gains little."""
        recall, error = self.recall()
        for _ in range(_ROUNDS):
            before = recall
            if recall - _SURE * error >= promised:
                break
            points, left = self.cells.points, self.cells.left
            self.lists = self.kernels.join_neighbors(
                points, left, *self.lists, _WIDTH, 0, len(points)
            )
            recall, error = self.recall()
            if recall - before < 0.25 * (promised + _SURE * error - recall):
                break
        return recall, error

    def finish(self, advance: Advance) -> Lists:
        """Measure the candidates in the full space; rows in the order of the data."""
        n, order, k = len(self.X), self.cells.order, self.truth.squares.shape[1]
        indices, squares = _empty(n, k, self.X.device)
        for start in range(0, n, _SLICE):
            rows = order[start : start + _SLICE]
            found = self.lists[0][start : start + _SLICE]
            lists = self.kernels.rerank(self.X, self.X, rows, found, order, k)
            indices[rows.long()], squares[rows.long()] = lists
            advance(0.5 * len(rows))
        return indices, squares


def _empty(n: int, length: int, device: Any) -> Lists:
    """Lists of nothing: -1 at infinity."""
    return (
        torch.full((n, length), -1, dtype=torch.int32, device=device),
        torch.full((n, length), torch.inf, dtype=torch.float32, device=device),
    )
