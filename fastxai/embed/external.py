"""Metrics that are not ours: SciPy for few points, pynndescent for many.

pynndescent runs on one thread, so that the bits repeat; importing and compiling it takes
half a minute, which a few thousand points can do without.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import sparse

from ..errors import InvalidInputError

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
}
_SPARSE = {"euclidean": "euclidean", "l2": "euclidean", "cosine": "cosine", "manhattan": "l1"}
_FEW = 4096
_ROWS = 512


def _pairs(X: Any, rows: Any, metric: str, metric_kwds: Mapping[str, Any]) -> NDArray[np.float64]:
    """Distances from some rows to all of X."""
    if sparse.issparse(X):
        from sklearn.metrics import pairwise_distances

        return np.asarray(pairwise_distances(rows, X, metric=_SPARSE[metric]))
    from scipy.spatial.distance import cdist

    return np.asarray(cdist(rows, X, _DENSE[metric], **metric_kwds))


def _few(X: Any, metric: Any) -> bool:
    known = _SPARSE if sparse.issparse(X) else _DENSE
    return X.shape[0] <= _FEW and not callable(metric) and metric in known


def _exact(
    X: Any, rows: Any, k: int, metric: str, metric_kwds: Mapping[str, Any], leave_out: bool
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
    from pynndescent.distances import named_distances

    from .spaces import NATIVE

    if not callable(metric) and metric not in named_distances:
        names = ", ".join(sorted({*named_distances, *NATIVE}))
        raise InvalidInputError(f"unknown metric {metric!r}; the metrics are: {names}")


def _index(X: Any, k: int, metric: Any, metric_kwds: Mapping[str, Any], seed: int) -> Any:
    from pynndescent import NNDescent

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
    X: Any, k: int, metric: Any, metric_kwds: Mapping[str, Any], seed: int
) -> tuple[NDArray[np.int32], NDArray[np.float32]]:
    """``k`` true neighbours of each row; X may be sparse."""
    if _few(X, metric):
        return _exact(X, X, k, metric, metric_kwds, leave_out=True)
    _known_metric(metric)
    indices, distances = _index(X, k + 1, metric, metric_kwds, seed).neighbor_graph
    return _without_self(indices, distances, k)


def query_external(
    X: Any, X_new: Any, k: int, metric: Any, metric_kwds: Mapping[str, Any], seed: int
) -> tuple[NDArray[np.int32], NDArray[np.float32]]:
    """``k`` rows of X nearest to each new row."""
    if _few(X, metric):
        return _exact(X, X_new, k, metric, metric_kwds, leave_out=False)
    _known_metric(metric)
    index = _index(X, max(k, min(30, X.shape[0])), metric, metric_kwds, seed)
    indices, distances = index.query(X_new, k=k)
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
