"""The graph that UMAP draws: the fuzzy set of the neighbours, and what the targets make of it."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy import sparse

from ..errors import InvalidInputError
from .graph import NeighborGraph

# The farthest that points can be by these distances: such neighbours are none.
_BOUNDS = {"correlation": 2.0, "cosine": 2.0} | dict.fromkeys(
    ("hellinger", "jaccard", "bit_jaccard", "dice"), 1.0
)
_CLASSES = ("categorical",)
_TARGET_METRICS = ("euclidean", "l2", "manhattan", "l1", "chebyshev", "cosine", "correlation")
_ANGLES = ("cosine", "correlation")
_UNKNOWN = 1.0  # distance of a point without a target to all others


class Targets(NamedTuple):
    """Classes (-1 unknown) or numbers, and which rows have any."""

    classes: NDArray[np.int32] | None
    numbers: NDArray[np.float32] | None
    known: NDArray[np.bool_]

    def take(self, rows: NDArray[Any]) -> Targets:
        """The targets of some rows."""
        classes = None if self.classes is None else self.classes[rows]
        numbers = None if self.numbers is None else self.numbers[rows]
        return Targets(classes, numbers, self.known[rows])


def cut_far(
    indices: NDArray[np.int32],
    distances: NDArray[np.float32],
    metric: Any,
    disconnection_distance: float | None,
) -> tuple[NDArray[np.int32], NDArray[np.float32]]:
    """Neighbours at ``disconnection_distance`` or farther are at infinity, and none."""
    limit = disconnection_distance
    if limit is None:
        limit = _BOUNDS.get(metric, np.inf) if isinstance(metric, str) else np.inf
    far = distances >= np.float32(limit)
    if not far.any():
        return indices, distances
    return np.where(far, np.int32(-1), indices), np.where(far, np.float32(np.inf), distances)


def fuzzy_set(
    kernels: Any, indices: Any, distances: Any, local_connectivity: float, mix_ratio: float
) -> Any:
    """The symmetric fuzzy set of neighbours, (n, n), weights in (0, 1]."""
    rho, sigma = kernels.smooth_distances(distances, float(local_connectivity), 1.0)
    strengths = kernels.memberships(distances, rho, sigma)
    return _csr(kernels.fuzzy_union(indices, strengths, float(mix_ratio)))


def _csr(parts: tuple[Any, Any, Any]) -> Any:
    indptr, columns, weights = parts
    n = len(indptr) - 1
    graph = sparse.csr_array((weights, columns, indptr), shape=(n, n))
    graph.has_sorted_indices = True
    return graph


def _parts(graph: Any) -> tuple[Any, Any, Any]:
    return graph.indptr.astype(np.int64), graph.indices.astype(np.int32), graph.data


def check_targets(y: Any, n_points: int, target_metric: Any) -> Targets:
    """Targets as they are used.

    Raises
    ------
    InvalidInputError
        If there is not one a point, the metric is unknown, or numbers are none.
    """
    if target_metric not in _CLASSES + _TARGET_METRICS:
        raise InvalidInputError(
            f"unknown target_metric {target_metric!r}; choose 'categorical' for classes or, for "
            f"numbers, one of {', '.join(_TARGET_METRICS)}"
        )
    values = np.asarray(y)
    if values.ndim == 2 and values.shape[1] == 1:
        values = values[:, 0]
    if values.ndim == 0 or len(values) != n_points:
        given = "a single value" if values.ndim == 0 else f"{len(values):,} targets"
        raise InvalidInputError(f"y holds {given} for {n_points:,} points")
    if target_metric in _CLASSES:
        if values.ndim != 1:
            raise InvalidInputError(
                f"y must be one class a point, not an array of shape {values.shape}"
            )
        classes = encode_classes(values)
        return Targets(classes, None, classes >= 0)
    try:
        wide = values.astype(np.float64).reshape(n_points, -1)
    except (TypeError, ValueError):
        raise InvalidInputError(
            f"target_metric={target_metric!r} takes numbers, and y holds {values.dtype}; "
            "for classes leave target_metric='categorical'"
        ) from None
    if np.isinf(wide).any():
        raise InvalidInputError("y holds infinity; mark unknown targets by NaN")
    known = np.asarray(~np.isnan(wide).any(axis=1))
    if known.any() and target_metric not in _ANGLES:
        wide = wide - np.median(wide[known], axis=0)  # of times, single precision keeps minutes
    return Targets(None, wide.astype(np.float32), known)


def encode_classes(values: NDArray[Any]) -> NDArray[np.int32]:
    """Classes as 0, 1, ...; -1 for -1, NaN and None.

    Examples
    --------
    >>> encode_classes(np.array(["b", "a", None, "b"], dtype=object)).tolist()
    [1, 0, -1, 1]
    """
    if values.dtype.kind == "O":
        unknown = np.array([_is_unknown(value) for value in values], bool)
        kinds = sorted(
            dict.fromkeys(values[~unknown]), key=lambda kind: (str(kind), str(type(kind)))
        )
        number = {kind: i for i, kind in enumerate(kinds)}
        names = np.array(
            [number.get(v, -1) if not u else -1 for v, u in zip(values, unknown, strict=True)]
        )
    else:
        unknown = np.isnan(values) if values.dtype.kind == "f" else np.zeros(len(values), bool)
        if values.dtype.kind in "if":
            unknown |= values == -1
        names = values
    classes = np.full(len(values), -1, np.int32)
    if not unknown.all():
        classes[~unknown] = np.unique(names[~unknown], return_inverse=True)[1]
    return classes


def _is_unknown(value: Any) -> bool:
    try:
        none = value is None or bool(value != value)
    except TypeError:  # pandas.NA, which has no truth
        return True
    return none or (isinstance(value, (int, float, np.number)) and bool(value == -1))


def supervise(
    kernels: Any,
    graph: Any,
    targets: Targets,
    target_metric: str,
    target_weight: float,
    n_neighbors: int,
    seed: int,
) -> Any:
    """The graph made to agree with the targets, each vertex connected as strongly as before.

    ``target_weight`` 0 leaves the data, 1 the targets alone to say who is near.
    """
    if targets.classes is not None:
        far = 2.5 / (1.0 - target_weight) if target_weight < 1 else 1e12
        parts = _parts(graph)
        weights = kernels.class_intersection(*parts, targets.classes, _UNKNOWN, far)
        parts = (*parts[:2], weights)
    else:
        target = _target_graph(kernels, targets, target_metric, n_neighbors, seed)
        known = np.ascontiguousarray(targets.known)
        both = (*_parts(graph), *_parts(target))
        parts = kernels.graph_intersection(*both, known, _UNKNOWN, float(target_weight))
    united = _csr((*parts[:2], kernels.restore_connectivity(*parts)))
    united.eliminate_zeros()
    return united


def _target_graph(
    kernels: Any, targets: Targets, target_metric: str, n_neighbors: int, seed: int
) -> Any:
    """The fuzzy set of the known targets, over all points."""
    from .neighbors import neighbors

    assert targets.numbers is not None
    rows = np.flatnonzero(targets.known)
    n = len(targets.known)
    if len(rows) < 2:
        return sparse.csr_array((n, n), dtype=np.float32)
    k = min(n_neighbors - 1, len(rows) - 1)
    near: NeighborGraph = neighbors(
        targets.numbers[rows], k, metric=target_metric, random_state=seed
    )
    indices = np.full((n, k), -1, np.int32)
    distances = np.full((n, k), np.inf, np.float32)
    indices[rows], distances[rows] = rows[near.indices], near.distances
    return fuzzy_set(kernels, indices, distances, 1.0, 1.0)
