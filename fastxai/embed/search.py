"""The search for neighbours: exact where that is quick, else approximate with its recall measured.

In every run the recall is estimated on a sample, and the search goes on, step by step,
until it holds what was promised: neighbours of neighbours in the full space, then more
cells and more components, then all pairs.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable, Iterator, Mapping
from contextlib import nullcontext
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from ..errors import FastxaiWarning
from .cells import Cells, build_cells, near_cells
from .copies import Copies, find_copies, give_back
from .external import search_external
from .spaces import EUCLIDEAN, NATIVE, from_euclidean, is_sparse, to_euclidean

# Multiplications and comparisons of all pairs that are quicker than anything clever.
_QUICK = 2e11
# Above this all pairs take hours: the recall reached so far is returned with a warning.
_TOO_MANY = 2e15
_SAMPLE = 256
SLICE = 2048


class SearchResult(NamedTuple):
    """Neighbours (n, k): true ones, the row itself left out, sorted by distance.

    ``recall`` is the share of true neighbours found, estimated on a sample (1 if exact).
    """

    indices: NDArray[np.int32]
    distances: NDArray[np.float32]
    recall: float


class _Effort(NamedTuple):
    """How hard to look: share of the variance kept, cells probed, candidates a neighbour."""

    share: float
    widest: int
    probes: int
    factor: int


USUAL = _Effort(0.88, 160, 8, 4)
_CAREFUL = _Effort(0.93, 192, 10, 4)
HARD = _Effort(0.97, 320, 32, 8)
_CAREFUL_ABOVE = 0.97


class Lists(NamedTuple):
    """Neighbours found so far, and their squared distances, (n, k) each."""

    indices: NDArray[np.int32]
    squares: NDArray[np.float32]


def backend() -> Any:
    """The package with the kernels."""
    from fastxai_kernels import select

    return select("cpu")


def _exact(kernels: Any, X: NDArray[np.float32], k: int, advance: Callable[[int], None]) -> Lists:
    n = len(X)
    lists = Lists(np.empty((n, k), np.int32), np.empty((n, k), np.float32))
    rows = max(256, min(SLICE, int(2e10 / max(1, n * X.shape[1])) // 256 * 256))
    for start in range(0, n, rows):
        stop = min(start + rows, n)
        skip = np.arange(start, stop, dtype=np.int32)
        found, distances = kernels.nearest(X[start:stop], X, k, skip)
        lists.indices[start:stop] = found
        lists.squares[start:stop] = distances * distances
        advance(stop - start)
    return lists


def _slices(cells: Cells, points: int) -> Iterator[tuple[int, int]]:
    """Runs of whole cells of about so many points."""
    first = 0
    last_cell = len(cells.starts) - 1
    while first < last_cell:
        last = int(np.searchsorted(cells.starts, cells.starts[first] + points))
        last = min(max(last, first + 1), last_cell)
        yield first, last
        first = last


def _probe(
    kernels: Any, X: NDArray[np.float32], k: int, effort: _Effort, advance: Callable[[int], None]
) -> Lists:
    """Candidates from the nearest cells, ranked by their distances in the full space."""
    cells = build_cells(kernels, X, effort.share, effort.widest)
    near = near_cells(kernels, cells, min(effort.probes, len(cells.centroids)))
    width = min(max(effort.factor * k, k + 32), len(X) - 1)
    lists = Lists(np.empty((len(X), k), np.int32), np.empty((len(X), k), np.float32))
    for first, last in _slices(cells, 8192):
        found = kernels.probe_cells(
            cells.points, cells.starts, cells.centroids, near, first, last, width
        )
        rows = cells.order[cells.starts[first] : cells.starts[last]]
        indices, squares = kernels.rerank(X, X, rows, found, cells.order, k)
        lists.indices[rows] = indices
        lists.squares[rows] = squares
        advance(len(rows))
    return lists


def _join(
    kernels: Any, X: NDArray[np.float32], lists: Lists, advance: Callable[[int], None]
) -> Lists:
    """Every point tries the neighbours of its neighbours."""
    n, k = lists.indices.shape
    new = Lists(np.empty_like(lists.indices), np.empty_like(lists.squares))
    for start in range(0, n, 8192):
        stop = min(start + 8192, n)
        indices, squares = kernels.join_neighbors(X, *lists, min(k, 12), start, stop)
        new.indices[start:stop] = indices
        new.squares[start:stop] = squares
        advance(stop - start)
    return new


class Truth(NamedTuple):
    """The distance of the k-th true neighbour for a sample of rows."""

    rows: NDArray[np.int64]
    last: NDArray[np.float32]

    def recall(self, lists: Lists) -> float:
        """The share of the sampled rows' true neighbours that are in their lists."""
        # Counted by distance: which one of several equally near points is found is no matter.
        near = lists.squares[self.rows] <= self.last[:, None] * np.float32(1 + 1e-5)
        return float(near.mean())


def sample_truth(kernels: Any, X: NDArray[np.float32], k: int, seed: int) -> Truth:
    """The truth about some rows, by all their distances."""
    n = len(X)
    rows = np.sort(np.random.default_rng(seed).choice(n, min(_SAMPLE, n), replace=False))
    _, distances = kernels.nearest(np.ascontiguousarray(X[rows]), X, k, rows.astype(np.int32))
    return Truth(rows, distances[:, -1] ** 2)


def _approximate(
    kernels: Any,
    X: NDArray[np.float32],
    k: int,
    promised: float,
    seed: int,
    advance: Callable[[int], None],
) -> tuple[Lists, float]:
    n, d = X.shape
    pairs = float(n) * n * max(d, 16) * 2
    truth = sample_truth(kernels, X, k, seed)
    lists = _probe(kernels, X, k, _CAREFUL if promised > _CAREFUL_ABOVE else USUAL, advance)
    recall = truth.recall(lists)

    def join_while_it_helps() -> None:
        nonlocal lists, recall
        for _ in range(6):
            before = recall
            lists = _join(kernels, X, lists, advance)
            recall = truth.recall(lists)
            if recall >= promised or recall - before < 0.2 * (promised - recall):
                return

    if recall < promised:
        join_while_it_helps()
    if recall < promised and pairs > 10 * _QUICK:
        harder = _probe(kernels, X, k, HARD, advance)
        if truth.recall(harder) > recall:
            lists, recall = harder, truth.recall(harder)
        join_while_it_helps()
    if recall < promised and pairs <= _TOO_MANY:
        lists, recall = _exact(kernels, X, k, advance), 1.0
    if recall < promised:
        warnings.warn(
            f"the neighbour search reached a recall of {recall:.3f}, short of the promised "
            f"{promised}: data without structure in {d} dimensions needs all pairs; reduce the "
            "dimensions first (fastxai.PCA) or accept it by a lower recall=",
            FastxaiWarning,
            stacklevel=4,
        )
    return lists, recall


def _search_native(
    kernels: Any,
    X: NDArray[np.float32],
    k: int,
    promised: float,
    seed: int,
    advance: Callable[[int], None],
) -> tuple[Lists, float]:
    """Neighbours by Euclidean distance; exact copies are searched once."""
    n, d = X.shape
    if float(n) * n * max(d, 16) * 2 <= _QUICK:
        return _exact(kernels, X, k, advance), 1.0
    copies = find_copies(X, kernels.hash_rows(X))
    if not copies.matter:
        return _approximate(kernels, X, k, promised, seed, advance)
    return _search_copies(kernels, X, k, promised, seed, advance, copies)


def _search_copies(
    kernels: Any,
    X: NDArray[np.float32],
    k: int,
    promised: float,
    seed: int,
    advance: Callable[[int], None],
    copies: Copies,
) -> tuple[Lists, float]:
    unique = np.ascontiguousarray(X[copies.firsts])
    u = len(unique)
    few = min(k, u - 1)
    if few == 0:
        lists, recall = Lists(np.empty((u, 0), np.int32), np.empty((u, 0), np.float32)), 1.0
    elif float(u) * u * max(X.shape[1], 16) * 2 <= _QUICK:
        lists, recall = _exact(kernels, unique, few, advance), 1.0
    else:
        lists, recall = _approximate(kernels, unique, few, promised, seed, advance)
    return Lists(*give_back(copies, lists.indices, lists.squares, k)), recall


def find_neighbors(
    X: Any,
    k: int,
    *,
    metric: str | Callable[..., float] = "euclidean",
    metric_kwds: Mapping[str, Any] | None = None,
    seed: int = 0,
    recall: float = 0.95,
    progress: Any = None,
) -> SearchResult:
    """The ``k`` true neighbours of every row of X, the row itself left out.

    Parameters
    ----------
    X : ndarray of shape (n, d), float32, C-contiguous, or sparse
        Validated vectors; n > k.
    k : int
        Neighbours a row.
    metric : str or callable
        "euclidean", "cosine" and "correlation" of dense vectors are searched here; other
        metrics, and sparse vectors, by pynndescent.
    metric_kwds : mapping, optional
        Further arguments of the metric.
    seed : int
        Seeds the sample on which the recall is estimated, and pynndescent.
    recall : float
        The promised share of true neighbours.
    progress : Progress, optional
        Told of rows done.

    Returns
    -------
    SearchResult
        Indices, distances, and the recall estimated.
    """
    n = X.shape[0]
    opened = nullcontext(_nothing) if progress is None else progress.stage("neighbours", n)
    with opened as advance:
        if metric not in NATIVE or is_sparse(X):
            return SearchResult(*search_external(X, k, metric, metric_kwds or {}, seed))
        space = to_euclidean(np.asarray(X), str(metric))
        lists, reached = _search_native(backend(), space, k, recall, seed, advance)
    distances = from_euclidean(np.sqrt(lists.squares), str(metric))
    return SearchResult(lists.indices, distances, reached)


def _nothing(rows: float) -> None:
    """No progress is shown."""


def memory_needed(X: Any, k: int, metric: Any) -> float:
    """Bytes that a search takes on top of X, roughly."""
    n, d = float(X.shape[0]), int(X.shape[1])
    lists = 8.0 * n * k
    if metric not in NATIVE or is_sparse(X):
        # pynndescent's trees, candidates and a copy of the data
        held = 2.0 * X.data.nbytes if is_sparse(X) else 4.0 * n * d
        return held + 6 * lists + 400.0 * n
    changed = 0.0 if metric in EUCLIDEAN else 4.0 * n * (d + 1)
    projected = 2 * 4.0 * n * min(d, USUAL.widest)
    return changed + projected + 4 * lists + 64.0 * n + 2**28
