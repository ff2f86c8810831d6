"""The search for neighbours: exact where that is quick, else approximate with its recall measured.

In every run all distances of a few sampled rows are computed.  By them the search is
planned (how many components, cells and candidates it takes), the recall is estimated after
each step, and the search goes on until it holds what was promised: neighbours of
neighbours, then more cells, then all pairs.
"""

from __future__ import annotations

import sys
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
from .project import FEW_ROWS, MANY_FEATURES, WIDEST
from .spaces import (
    EUCLIDEAN,
    NATIVE,
    exponent_of,
    from_euclidean,
    is_sparse,
    scale_down,
    scale_up,
    to_euclidean,
)

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


class _Told:
    """Progress that ends at its total, whichever way is taken and how often it turns."""

    def __init__(self, advance: Callable[[float], None], total: float) -> None:
        self._advance, self._left = advance, float(total)

    def over(self, rows: int) -> Callable[[float], None]:
        """To be told of so many rows, which stand for all that is left."""
        unit = self._left / rows

        def advance(done: float) -> None:
            self._left -= unit * done
            self._advance(unit * done)

        return advance

    def finish(self) -> None:
        """Nothing is left."""
        self.over(1)(1)


def backend() -> Any:
    """The package with the kernels."""
    from fastxai_kernels import select

    return select("cpu")


def _exact(kernels: Any, X: NDArray[np.float32], k: int, told: _Told) -> Lists:
    n = len(X)
    advance = told.over(n)
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
    told: _Told,
) -> tuple[Lists, float]:
    n, d = X.shape
    all_pairs = 2.0 * n * n * d <= _TOO_MANY
    lists, recall = search_approximately(kernels, X, k, promised, seed, told.over(n), all_pairs)
    return (_exact(kernels, X, k, told), 1.0) if lists is None else (lists, recall)


def _search_native(
    kernels: Any,
    X: NDArray[np.float32],
    k: int,
    promised: float,
    seed: int,
    told: _Told,
) -> tuple[Lists, float]:
    """Neighbours by Euclidean distance; exact copies are searched once."""
    n, d = X.shape
    if promised >= 1 or 2.0 * n * n * max(d, 16) <= _QUICK:
        return _exact(kernels, X, k, told), 1.0
    copies = find_copies(X, kernels.hash_rows(X))
    if not copies.matter:
        return _approximate(kernels, X, k, promised, seed, told)
    return _search_copies(kernels, X, k, promised, seed, told, copies)


def _search_copies(
    kernels: Any,
    X: NDArray[np.float32],
    k: int,
    promised: float,
    seed: int,
    told: _Told,
    copies: Copies,
) -> tuple[Lists, float]:
    unique = np.ascontiguousarray(X[copies.firsts])
    u = len(unique)
    few = min(k, u - 1)
    if few == 0:
        lists, recall = Lists(np.empty((u, 0), np.int32), np.empty((u, 0), np.float32)), 1.0
    elif 2.0 * u * u * max(X.shape[1], 16) <= _QUICK:
        lists, recall = _exact(kernels, unique, few, told), 1.0
    else:
        lists, recall = _approximate(kernels, unique, few, promised, seed, told)
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
        told = _Told(advance, n)
        if metric not in NATIVE or is_sparse(X):
            kwds = metric_kwds or {}
            found = SearchResult(*search_external(X, k, metric, kwds, seed, recall))
        else:
            found = _search_space(np.asarray(X), k, str(metric), recall, seed, told)
        told.finish()
    if found.recall < recall:
        warn_of_recall(found.recall, recall, X.shape[1])
    return found


def warn_of_recall(reached: float, promised: float, d: int) -> None:
    """Say that a search fell short of what it promised."""
    warnings.warn(
        f"the neighbour search reached a recall of {reached:.3f}, short of the promised "
        f"{promised}: {d} dimensions may be too many; reduce them first "
        "(fastxai.PCA) or accept it by a lower recall=",
        FastxaiWarning,
        stacklevel=_level_outside(),
    )


def _search_space(
    X: NDArray[np.float32], k: int, metric: str, promised: float, seed: int, told: _Told
) -> SearchResult:
    """Neighbours by the kernels."""
    exponent = exponent_of(X, metric)
    space = to_euclidean(scale_down(X, exponent), metric)
    lists, recall = _search_native(backend(), space, k, promised, seed, told)
    distances = scale_up(from_euclidean(np.sqrt(lists.squares), metric), exponent)
    return SearchResult(lists.indices, distances, recall)


def _level_outside() -> int:
    """The stacklevel at which the caller's warning names code outside of this package."""
    frame, level = sys._getframe(1), 1
    # scikit-learn wraps the methods of estimators.
    while frame.f_back and frame.f_globals.get("__name__", "").startswith(("fastxai.", "sklearn.")):
        frame, level = frame.f_back, level + 1
    return level


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
    width, length = min(d, WIDEST), max(4 * k, k + 48)
    held = 8 * width + max(4 * width, 16 * length) + 8 * k + 100
    # The sample and its directions in float64; of fewer features they are small.
    directions = 16.0 * d * FEW_ROWS if d > MANY_FEATURES else 0.0
    return changed + lists + n * held + directions + 2**28
