"""What the estimators that draw neighbours share: their input, their neighbours, their run."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import sparse

from .._checks import check_whole
from .._warn import warn
from ..devices import CPU, Device, host_array
from ..errors import InvalidInputError
from ..progress import Progress, open_progress
from ..system import compile_kernels
from .adapters import as_neighbor_graph
from .graph import Metric, NeighborGraph
from .jobs import resolve_jobs
from .neighbors import neighbors
from .spaces import NATIVE, is_sparse
from .validation import check_points

_SAMPLE = 1024  # rows that are compared


@contextmanager
def running(n_jobs: Any, verbose: bool, device: Device = CPU) -> Iterator[Progress]:
    """Threads and progress of one run, kernels compiled, and a word on the device."""
    from fastxai_kernels.cpu._threads import threads

    with threads(resolve_jobs(n_jobs)), open_progress(verbose) as progress:
        if device.is_gpu:
            progress.notice(f"on {device.name}")
        else:
            compile_kernels(progress)
        yield progress


def is_precomputed(metric: Metric) -> bool:
    """Whether X holds distances."""
    return isinstance(metric, str) and metric == "precomputed"


def is_searched_there(X: Any, metric: Metric, device: Device) -> bool:
    """Whether the neighbours of X are sought on a GPU: not of sparse rows, or by any metric."""
    return device.is_gpu and metric in NATIVE and not is_sparse(X)


def can_be_there(graph: NeighborGraph, X: Any) -> bool:
    """Whether new rows can be placed on a GPU: rows, among points that lie there."""
    rows = not isinstance(X, tuple) and not is_sparse(X)
    return rows and graph.metric in NATIVE and graph.X_is_dense


def check_rows(estimator: Any, X: Any, metric: Metric, device: Device = CPU) -> Any:
    """Points to fit, or with ``metric="precomputed"`` their distances, (n, n).

    ``estimator`` takes the number and names of features; None in plain functions.  Points
    whose neighbours are sought on a GPU come as `cuda.points.Points`.

    Raises
    ------
    InvalidInputError
        If X is neither, or has fewer than two rows.
    """
    if is_searched_there(X, metric, device):
        from .cuda.points import check_points_there

        return check_points_there(estimator, X, device, reset=True, min_rows=2)
    X = host_array(X)
    if not is_precomputed(metric):
        return check_points(estimator, X, reset=True, min_rows=2)
    D: Any = X if sparse.issparse(X) else np.asarray(X)
    if D.ndim != 2 or D.shape[0] != D.shape[1]:
        raise InvalidInputError(
            f"metric='precomputed' takes a square matrix of distances, not shape {D.shape}"
        )
    if D.shape[0] < 2:
        raise InvalidInputError(
            f"n_samples = {D.shape[0]}: one point has no neighbours; give two or more"
        )
    if estimator is not None:
        estimator.n_features_in_ = D.shape[1]
    return D


def check_pca_components(pca_components: Any, metric: Metric, neighbors: Any) -> None:
    """Refuse what is no number of components, and a PCA of points whose neighbours are given.

    Raises
    ------
    InvalidInputError
    """
    if pca_components is None:
        return
    check_whole("pca_components", pca_components, 1)
    if is_precomputed(metric) or neighbors is not None:
        given = "metric='precomputed'" if is_precomputed(metric) else "neighbors="
        raise InvalidInputError(
            f"pca_components= changes the points, and {given} says who is near already: leave "
            "one of them out"
        )


def find_neighbors_of_rows(
    points: Any,
    k: int,
    given: Any,
    *,
    metric: Metric,
    metric_kwds: Mapping[str, Any] | None,
    recall: float,
    seed: int,
    device: Device,
    unique: bool = False,
    at_most: bool = False,
) -> NeighborGraph:
    """The neighbours of checked points: sought, or taken from what the user computed before.

    With ``at_most`` given neighbours may be fewer than ``k``.

    Raises
    ------
    InvalidInputError
        If what is given does not fit to the points.
    """
    if given is None:
        return neighbors(
            points,
            min(k, points.shape[0] - 1),
            metric=metric,
            metric_kwds=metric_kwds,
            recall=recall,
            unique=unique,
            random_state=seed,
            device=device.name,
        )
    graph = as_neighbor_graph(given, points.shape[0], None if at_most else k, metric=metric)
    if at_most:
        graph = graph.take(min(k, graph.n_neighbors))
    if isinstance(given, NeighborGraph) and metric not in (graph.metric, "euclidean"):
        warn(
            f"metric={metric!r} and neighbors= of metric={graph.metric!r}: the neighbours are "
            f"taken as they are; build them with neighbors(X, metric={metric!r})"
        )
    if is_searched_there(None, metric, device):
        from .cuda.neighbors import with_points_there

        return with_points_there(graph, points, device, seed, recall)
    vectors = not is_precomputed(metric) and graph.X is not None
    if vectors:
        _same_points(graph, points)
    if graph.X is not None or is_precomputed(graph.metric) or is_precomputed(metric):
        return graph
    return NeighborGraph._trusted(
        graph.indices,
        graph.distances,
        metric=graph.metric,
        metric_kwds=graph.metric_kwds,
        recall=graph.recall,
        X=points if graph.groups is None else points[first_rows(graph.groups)],
        groups=graph.groups,
        seed=seed,
        promised=recall,
    )


def _same_points(graph: NeighborGraph, points: Any) -> None:
    """Refuse the neighbours of other points, as far as a sample of rows shows them."""
    if graph.X.shape[1] != points.shape[1]:
        raise InvalidInputError(
            f"X has {points.shape[1]} features, and the given neighbours were sought among "
            f"points with {graph.X.shape[1]}"
        )
    if graph.X is points or is_sparse(graph.X) or is_sparse(points):
        return
    n = points.shape[0]
    rows = np.unique(np.linspace(0, n - 1, min(n, _SAMPLE)).astype(np.int64))
    theirs = graph.X[rows if graph.groups is None else graph.groups[rows]]
    different = (theirs != points[rows]).any(axis=1)
    if different.any():
        raise InvalidInputError(
            f"row {rows[different.argmax()]} of X is another than the one whose neighbours are "
            "given: neighbors= was built for other points, or in another order"
        )


def first_rows(groups: NDArray[np.int32]) -> NDArray[Any]:
    """The first row of X of each distinct one."""
    return np.unique(groups, return_index=True)[1]


def points_embedding(graph: NeighborGraph, embedding: NDArray[np.float32]) -> NDArray[np.float32]:
    """One place a point of the graph: of distinct rows one for all that are equal."""
    return embedding if graph.groups is None else embedding[first_rows(graph.groups)]


def check_schema(state: dict[str, Any], name: str, schema: int) -> None:
    """Take the version out of a pickle's state, and refuse another one.

    Raises
    ------
    InvalidInputError
    """
    if (found := state.pop("schema", None)) != schema:
        raise InvalidInputError(
            f"this pickle holds a {name} of schema {found}, and this version of fastxai reads "
            f"schema {schema}: fit it again, or load it with the version that wrote it"
        )
