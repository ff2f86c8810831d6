"""`neighbors`: the k true neighbours of every point, by the search that suits the data."""

from __future__ import annotations

import warnings
from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..devices import choose_device, host_array
from ..errors import FastxaiWarning, InvalidInputError
from ..progress import Progress, open_progress
from ..system import compile_kernels, require_memory
from .adapters import lists_of_matrix
from .copies import find_copies, hash_rows
from .graph import Metric, NeighborGraph
from .jobs import resolve_jobs
from .search import backend, find_neighbors, memory_needed
from .spaces import NATIVE, is_sparse
from .validation import check_points, check_seed

__all__ = ["NeighborGraph", "neighbors"]


def neighbors(
    X: Any,
    n_neighbors: int = 15,
    *,
    metric: Metric = "euclidean",
    metric_kwds: Mapping[str, Any] | None = None,
    recall: float = 0.95,
    unique: bool = False,
    random_state: Any = 0,
    n_jobs: int | None = None,
    device: str = "auto",
    verbose: bool = False,
) -> NeighborGraph:
    """Find the nearest neighbours of every point, once for every use.

    Few points are compared pair by pair.  Of many, each is compared with those in the cells
    near to it and with the neighbours of its neighbours; the recall is estimated on a
    sample, and the search goes on until it is what was promised.

    Parameters
    ----------
    X : array-like or sparse matrix of shape (n, d)
        The points; with ``metric="precomputed"`` their distances, of shape (n, n), or a
        sparse matrix of them, in which what is not stored is no neighbour.
    n_neighbors : int, default 15
        True neighbours a point, the point itself not counted (umap-learn counts it).
        Reduced, with a warning, where there are not that many other points.
    metric : str or callable, default "euclidean"
        "euclidean", "cosine" and "correlation" of dense data are searched by compiled
        kernels, other metrics (and sparse data) by pynndescent.
    metric_kwds : mapping, optional
        Further arguments of the metric.
    recall : float, default 0.95
        The share of true neighbours that is promised for the compiled kernels.
    unique : bool, default False
        Compare distinct rows only: the points of the graph are the distinct rows of X in
        the order in which they appear, and row i of X is point ``graph.groups[i]``.
        Without it copies are each other's neighbours, at distance 0.
    random_state : int, Generator, RandomState or None, default 0
        The same number finds the same neighbours; None draws one.
    n_jobs : int, optional
        Threads; by default all that may be used.
    device : {"auto", "cpu", "cuda", "cuda:1"}, default "auto"
        Where the search runs: "auto" is where a torch tensor lies, and for arrays of the host
        a CUDA device where there is one.  Sparse data and metrics of pynndescent are searched
        on the CPU.
    verbose : bool, default False
        Show progress on stderr.

    Returns
    -------
    NeighborGraph

    Raises
    ------
    InvalidInputError
        If X is no matrix of finite numbers with two rows or more, the metric is unknown, or
        distances are NaN, negative, or not 0 on the diagonal.
    NotEnoughMemoryError
        If the search would not fit into memory.

    References
    ----------
    Jegou, Douze and Schmid, "Product quantization for nearest neighbor search", 2011,
    section III; Dong, Moses and Li, "Efficient k-nearest neighbor graph construction for
    generic similarity measures", 2011.

    Examples
    --------
    >>> import fastxai
    >>> X = fastxai.datasets.digits().data
    >>> graph = fastxai.neighbors(X, n_neighbors=10)
    >>> graph.indices.shape, graph.distances.dtype
    ((1797, 10), dtype('float32'))
    """
    k = _count(n_neighbors)
    if not 0 < recall <= 1:
        raise InvalidInputError(f"recall={recall} is no share; choose a number in (0, 1]")
    where = choose_device(device, X)
    seed = check_seed(random_state)
    jobs = resolve_jobs(n_jobs)
    if metric_kwds and metric in (*NATIVE, "precomputed"):
        raise InvalidInputError(
            f"metric={metric!r} takes no arguments, and metric_kwds names {sorted(metric_kwds)}"
        )
    if isinstance(metric, str) and metric == "precomputed":
        return _of_distances(X, k, unique)
    if where.is_gpu and metric in NATIVE and not is_sparse(X):
        from .cuda.neighbors import neighbors_there

        with open_progress(verbose) as progress:
            return neighbors_there(
                X,
                k,
                where,
                metric=str(metric),
                recall=recall,
                unique=unique,
                seed=seed,
                progress=progress,
                possible=_possible,
            )
    points = check_points(None, host_array(X), reset=False)
    n = points.shape[0]
    if n < 2:
        raise InvalidInputError(f"n_samples = {n}: one point has no neighbours; give two or more")
    from fastxai_kernels.cpu._threads import threads

    with open_progress(verbose) as progress, threads(jobs):
        groups = None
        if unique:
            points, groups = _distinct(points, progress)
        k = _possible(k, points.shape[0], "distinct points" if unique else "points")
        _check_memory(points, k, metric)
        if metric in NATIVE and not is_sparse(points):
            compile_kernels(progress)
        found = find_neighbors(
            points,
            k,
            metric=metric,
            metric_kwds=metric_kwds,
            seed=seed,
            recall=recall,
            progress=progress,
        )
    return NeighborGraph._trusted(
        found.indices,
        found.distances,
        metric=metric,
        metric_kwds=metric_kwds,
        recall=found.recall,
        X=points,
        groups=groups,
        seed=seed,
        promised=recall,
    )


def _count(n_neighbors: Any) -> int:
    whole = isinstance(n_neighbors, (int, np.integer)) and not isinstance(n_neighbors, bool)
    if not whole or n_neighbors < 1:
        raise InvalidInputError(f"n_neighbors={n_neighbors!r}: choose a whole number of 1 or more")
    return int(n_neighbors)


def _possible(k: int, n: int, what: str, stacklevel: int = 3) -> int:
    """``k``, or with a warning as many neighbours as n points have."""
    if n > k:
        return k
    warnings.warn(
        f"n_neighbors = {k} and there are {n} {what}: each has {n - 1} neighbours at most, "
        f"so {n - 1} are taken",
        FastxaiWarning,
        stacklevel=stacklevel,
    )
    return n - 1


def _distinct(points: Any, progress: Progress) -> tuple[Any, NDArray[np.int32]]:
    """The distinct rows in the order in which they appear, and which of them each row is."""
    if not is_sparse(points):
        compile_kernels(progress)
    copies = find_copies(points, hash_rows(backend(), points))
    groups = len(copies.starts) - 1
    if groups == 1:
        raise InvalidInputError(
            f"all {points.shape[0]:,} rows are equal: with unique=True that is n_samples = 1, "
            "and one point has no neighbours"
        )
    return (points if groups == points.shape[0] else points[copies.firsts]), copies.group


def _check_memory(points: Any, k: int, metric: Metric) -> None:
    n, d = points.shape
    require_memory(
        memory_needed(points, k, metric),
        f"the search for {k} neighbours of {n:,} x {d}",
        "take fewer points, or fewer dimensions (fastxai.PCA first)",
    )


def _of_distances(D: Any, k: int, unique: bool) -> NeighborGraph:
    if unique:
        raise InvalidInputError(
            "unique=True compares rows of X and metric='precomputed' has none; take copies out "
            "of the matrix of distances first"
        )
    if not is_sparse(D):
        D = np.asarray(D)
    if D.dtype.kind not in "biuf":
        raise InvalidInputError(f"distances must be numbers, not {D.dtype}")
    if D.ndim != 2 or D.shape[0] != D.shape[1]:
        raise InvalidInputError(
            f"metric='precomputed' takes a square matrix of distances, not one of shape {D.shape}"
        )
    n = D.shape[0]
    if n < 2:
        raise InvalidInputError(f"n_samples = {n}: one point has no neighbours; give two or more")
    k = _possible(k, n, "points", stacklevel=4)
    indices, distances = lists_of_matrix(D, k)
    return NeighborGraph._trusted(indices, distances, metric="precomputed", recall=1.0)
