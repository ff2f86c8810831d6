"""Metrics that are not ours: pair by pair for few points, pynndescent for many.

pynndescent runs on one thread, so that the bits repeat; compiling it takes half a minute,
and for a function as metric some minutes, which a few thousand points can do without.
"""

from __future__ import annotations

import threading
import warnings
from collections.abc import Callable, Mapping
from typing import Any, cast

import numpy as np
from numpy.typing import NDArray

from ..errors import InvalidInputError
from .spaces import NATIVE, is_sparse

# pynndescent's names of metrics that SciPy (dense) or scikit-learn (sparse) has as well.
_DENSE = {
    "manhattan": "cityblock",
    "taxicab": "cityblock",
    "l1": "cityblock",
    "chebyshev": "chebyshev",
    "linfinity": "chebyshev",
    "linfty": "chebyshev",
    "linf": "chebyshev",
    "minkowski": "minkowski",
    "canberra": "canberra",
    "braycurtis": "braycurtis",
    "mahalanobis": "mahalanobis",
}
_SCIPYS = {"vinv": "VI"}
_PYNNDESCENTS = {"VI": "vinv"}
_SPARSE = {"euclidean": "euclidean", "l2": "euclidean", "cosine": "cosine", "manhattan": "l1"}
_FEW = 4096
_FEW_CALLS = 2048  # points so few that a function is called for every pair: some seconds
_WIDE = 30
_SAMPLE = 96  # rows that the recall is estimated on
_CALLS = 2_000_000  # of a function, for that: some seconds
_ROWS = 512
# Numba's default threading layer ends the process if two threads run parallel code at once.
_PYNNDESCENT = threading.Lock()


def _pairs(X: Any, rows: Any, metric: Any, metric_kwds: Mapping[str, Any]) -> NDArray[np.float64]:
    """Distances from some rows to all of X."""
    if is_sparse(X):
        from sklearn.metrics import pairwise_distances

        return np.asarray(pairwise_distances(rows, X, metric=_SPARSE[metric]))
    if metric not in _DENSE:
        function, others = _function(metric), list(X)
        return np.array([[function(x, y, **metric_kwds) for y in others] for x in rows])
    from scipy.spatial import distance

    cdist: Any = distance.cdist  # its types know each metric's arguments by name only
    named = {_SCIPYS.get(name, name): value for name, value in metric_kwds.items()}
    return np.asarray(cdist(rows, X, _DENSE[metric], **named))


def _arguments(metric: Any, metric_kwds: Mapping[str, Any]) -> Mapping[str, Any]:
    """The metric's arguments under pynndescent's names; scikit-learn's are known too.

    Without a covariance pynndescent would take the Euclidean distance for Mahalanobis's.
    """
    if metric != "mahalanobis":
        return metric_kwds
    given = dict(metric_kwds)
    if "V" in given:
        given = {"vinv": np.linalg.inv(np.asarray(given["V"], np.float64))}
    given = {_PYNNDESCENTS.get(name, name): value for name, value in given.items()}
    if "vinv" not in given:
        raise InvalidInputError(
            "metric='mahalanobis' needs the covariance of the features: V, or its inverse VI "
            "(vinv), in metric_kwds (TSNE: metric_params)"
        )
    return {"vinv": np.ascontiguousarray(given["vinv"], np.float32)}


def _few(X: Any, metric: Any) -> bool:
    known = _SPARSE if is_sparse(X) else _DENSE
    if not callable(metric) and metric in known:
        return bool(X.shape[0] <= _FEW)
    return not is_sparse(X) and X.shape[0] <= _FEW_CALLS


def _function(metric: Any) -> Callable[..., float]:
    """What computes one distance."""
    if callable(metric):
        return cast(Callable[..., float], metric)
    from pynndescent.distances import named_distances

    return cast(Callable[..., float], named_distances[metric])


def _exact(
    X: Any, rows: Any, k: int, metric: Any, metric_kwds: Mapping[str, Any], leave_out: bool
) -> tuple[NDArray[np.int32], NDArray[np.float32]]:
    m = rows.shape[0]
    indices = np.empty((m, k), np.int32)
    away = np.empty((m, k), np.float32)
    for start in range(0, m, _ROWS):
        stop = min(start + _ROWS, m)
        distances = _pairs(X, rows[start:stop], metric, metric_kwds).astype(np.float32)
        if leave_out:
            distances[np.arange(stop - start), np.arange(start, stop)] = np.inf
        indices[start:stop] = np.argsort(distances, axis=1, kind="stable")[:, :k]
        away[start:stop] = np.take_along_axis(distances, indices[start:stop], 1)
    return indices, away


def _known_metric(metric: str | Callable[..., float]) -> None:
    if not callable(metric) and metric in {**_DENSE, **_SPARSE}:
        return
    from pynndescent.distances import named_distances

    if not callable(metric) and metric not in named_distances:
        names = ", ".join(sorted({*named_distances, *NATIVE, "precomputed"}))
        raise InvalidInputError(f"unknown metric {metric!r}; the metrics are: {names}")


def _index(X: Any, k: int, metric: Any, metric_kwds: Mapping[str, Any], seed: int) -> Any:
    """A new index; the caller holds the lock."""
    from pynndescent import NNDescent

    if callable(metric) and not hasattr(metric, "py_func"):
        raise InvalidInputError(
            f"metric={metric!r}: for more than {_FEW_CALLS:,} points (or sparse ones) a function "
            "must be compiled; decorate it with numba.njit"
        )
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return NNDescent(
            X,
            metric=metric,
            metric_kwds=dict(metric_kwds),
            n_neighbors=k,
            random_state=seed % 2**31,
            n_jobs=1,
        )


def search_external(
    X: Any, k: int, metric: Any, metric_kwds: Mapping[str, Any], seed: int, promised: float
) -> tuple[NDArray[np.int32], NDArray[np.float32], float]:
    """``k`` true neighbours of each row, and the recall; X may be sparse.

    The recall is estimated, and the search widened if it falls short, where all distances
    of a row can be had (see `_pairs`); else it is nan.
    """
    _known_metric(metric)
    metric_kwds = _arguments(metric, metric_kwds)
    if _few(X, metric):
        return *_exact(X, X, k, metric, metric_kwds, leave_out=True), 1.0
    for width in (k + 1, 2 * (k + 1)):
        with _PYNNDESCENT:
            indices, distances = _index(X, width, metric, metric_kwds, seed).neighbor_graph
        lists = _without_self(indices[:, : k + 1], distances[:, : k + 1], k)
        recall = _recall(X, lists[0], metric, metric_kwds, seed)
        if not recall < promised:
            break
    return *lists, recall


def _recall(
    X: Any,
    found: NDArray[np.int32],
    metric: Any,
    metric_kwds: Mapping[str, Any],
    seed: int,
) -> float:
    """The share of true neighbours among those found, estimated on a sample of rows."""
    known = _SPARSE if is_sparse(X) else _DENSE
    called = callable(metric) and not is_sparse(X)
    if not called and metric not in known:
        return float("nan")
    n, k = found.shape
    count = min(_SAMPLE, max(8, _CALLS // n)) if called else _SAMPLE
    rows = np.sort(np.random.default_rng(seed).choice(n, min(count, n), replace=False))
    near = []
    for row in rows:
        distances = _pairs(X, X[row : row + 1], metric, metric_kwds)[0]
        distances[row] = np.inf
        last = np.partition(distances, k - 1)[k - 1]
        near.append((found[row] >= 0) & (distances[found[row]] <= last * (1 + 1e-5)))
    return float(np.mean(near))


class ExternalIndex:
    """Answers queries of new rows under a metric that is not ours, each row by itself.

    Parameters
    ----------
    X, metric, metric_kwds, seed
        As for `search_external`.
    """

    def __init__(self, X: Any, metric: Any, metric_kwds: Mapping[str, Any], seed: int) -> None:
        metric_kwds = _arguments(metric, metric_kwds)
        self._X, self._metric, self._kwds = X, metric, metric_kwds
        self._index: Any = None
        if not _few(X, metric):
            _known_metric(metric)
            with _PYNNDESCENT:
                self._index = _index(X, min(_WIDE, X.shape[0]), metric, metric_kwds, seed)

    def query(self, rows: Any, k: int) -> tuple[NDArray[np.int32], NDArray[np.float32]]:
        """The ``k`` rows of X nearest to each new row."""
        if self._index is None:
            return _exact(self._X, rows, k, self._metric, self._kwds, leave_out=False)
        # One at a time: pynndescent draws on from query to query of a batch.
        with _PYNNDESCENT:
            found = [self._index.query(rows[i : i + 1], k=k) for i in range(rows.shape[0])]
        indices = np.concatenate([np.empty((0, k), np.int32), *(f[0] for f in found)])
        distances = np.concatenate([np.empty((0, k), np.float32), *(f[1] for f in found)])
        distances[indices < 0] = np.inf
        return _sorted(indices.astype(np.int32), distances.astype(np.float32))


def _sorted(
    indices: NDArray[np.int32], distances: NDArray[np.float32]
) -> tuple[NDArray[np.int32], NDArray[np.float32]]:
    order = np.lexsort((indices, distances), axis=1)
    return (
        np.ascontiguousarray(np.take_along_axis(indices, order, 1)),
        np.ascontiguousarray(np.take_along_axis(distances, order, 1)),
    )


def _without_self(
    indices: NDArray[Any], distances: NDArray[Any], k: int
) -> tuple[NDArray[np.int32], NDArray[np.float32]]:
    """Take each row itself (or, if it is not there, the last entry) off lists of k + 1."""
    myself = indices == np.arange(len(indices))[:, None]
    myself[~myself.any(axis=1), -1] = True
    # Named twice can only happen with a broken list; keep the row length in any case.
    myself &= np.cumsum(myself, axis=1) == 1
    kept = indices[~myself].reshape(-1, k).astype(np.int32)
    away = distances[~myself].reshape(-1, k).astype(np.float32)
    away[kept < 0] = np.inf
    return _sorted(kept, away)
