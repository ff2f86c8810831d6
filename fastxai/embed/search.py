"""The search for neighbours: exact where that is quick, else approximate with its recall measured.

In every run all distances of a few sampled rows are computed.  By them the search is
planned (how many components, cells and candidates it takes), the recall is estimated after
each step, and the search goes on until it holds what was promised: neighbours of
neighbours, then more cells, then all pairs.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable, Mapping
from contextlib import nullcontext
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from ..errors import FastxaiWarning
from .approximate import search_approximately
from .copies import Copies, find_copies, give_back
from .estimate import Lists
from .external import search_external
from .spaces import EUCLIDEAN, NATIVE, from_euclidean, is_sparse, to_euclidean

# Multiplications of all pairs that are quicker than anything clever.
_QUICK = 1e11
# Above this all pairs take hours: the recall reached so far is returned with a warning.
_TOO_MANY = 2e15
_ROWS = 4096


class SearchResult(NamedTuple):
    """Neighbours (n, k): true ones, the row itself left out, sorted by distance.

    ``recall`` is the share of true neighbours found, estimated on a sample (1 if exact).
    """

    indices: NDArray[np.int32]
    distances: NDArray[np.float32]
    recall: float


def backend() -> Any:
    """The package with the kernels."""
    from fastxai_kernels import select

    return select("cpu")


def _exact(kernels: Any, X: NDArray[np.float32], k: int, advance: Callable[[float], None]) -> Lists:
    n = len(X)
    lists = Lists(np.empty((n, k), np.int32), np.empty((n, k), np.float32))
    for start in range(0, n, _ROWS):
        stop = min(start + _ROWS, n)
        skip = np.arange(start, stop, dtype=np.int32)
        found, distances = kernels.nearest(X[start:stop], X, k, skip)
        lists.indices[start:stop] = found
        lists.squares[start:stop] = distances * distances
        advance(stop - start)
    return lists


def _approximate(
    kernels: Any,
    X: NDArray[np.float32],
    k: int,
    promised: float,
    seed: int,
    advance: Callable[[float], None],
) -> tuple[Lists, float]:
    n, d = X.shape
    all_pairs = 2.0 * n * n * d <= _TOO_MANY
    lists, recall = search_approximately(kernels, X, k, promised, seed, advance, all_pairs)
    if lists is None:
        return _exact(kernels, X, k, advance), 1.0
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
    advance: Callable[[float], None],
) -> tuple[Lists, float]:
    """Neighbours by Euclidean distance; exact copies are searched once."""
    n, d = X.shape
    if promised >= 1 or 2.0 * n * n * max(d, 16) <= _QUICK:
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
    advance: Callable[[float], None],
    copies: Copies,
) -> tuple[Lists, float]:
    unique = np.ascontiguousarray(X[copies.firsts])
    u = len(unique)
    few = min(k, u - 1)
    if few == 0:
        lists, recall = Lists(np.empty((u, 0), np.int32), np.empty((u, 0), np.float32)), 1.0
    elif 2.0 * u * u * max(X.shape[1], 16) <= _QUICK:
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
    # Projected points twice, lists of candidates twice (see `approximate`), the rest small.
    width, length = d if d <= 64 else min(d, 128), max(4 * k, k + 48)
    held = 8 * width + max(4 * width, 16 * length) + 8 * k + 100
    return changed + lists + n * held + 2**28
