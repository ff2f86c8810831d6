"""New points in an embedding that stays as it is."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy import sparse

from ..errors import InvalidInputError
from ..progress import Progress
from .adapters import as_query_lists
from .copies import hash_rows
from .graph import NeighborGraph
from .spaces import is_sparse
from .umap_graph import cut_far
from .umap_layout import Forces, arrange_new

_NONE = np.iinfo(np.int32).max
_HARDLY = 1e-20


class NewRows(NamedTuple):
    """New rows, as far as the embedding is concerned.

    Attributes
    ----------
    known : ndarray of shape (m,), int32
        The training point that a row equals, or -1.
    indices, distances : ndarray of shape (m, k)
        Neighbours among the training points.
    keys : ndarray of shape (m,), uint64
        A number for each row that depends on the row alone.
    """

    known: NDArray[np.int32]
    indices: NDArray[np.int32]
    distances: NDArray[np.float32]
    keys: NDArray[np.uint64]

    def take(self, some: NDArray[Any]) -> NewRows:
        """Some of the rows."""
        return NewRows(*(np.asarray(part)[some] for part in self))


def find_neighbors_of(graph: NeighborGraph, rows: Any, k: int, kernels: Any) -> NewRows:
    """Neighbours of checked rows among the points of the graph."""
    if is_sparse(rows) != is_sparse(graph.X):  # one form, one hash
        rows = rows.toarray() if is_sparse(rows) else sparse.csr_matrix(rows)
    known = graph.match(rows)
    new = np.flatnonzero(known < 0)
    indices = np.full((rows.shape[0], k), -1, np.int32)
    distances = np.full((rows.shape[0], k), np.inf, np.float32)
    if len(new):
        indices[new], distances[new] = graph.query(rows[new], k)
    return NewRows(known, indices, distances, hash_rows(kernels, rows))


def take_neighbors_of(graph: NeighborGraph, value: Any, k: int, kernels: Any) -> NewRows:
    """Neighbours that the user computed: (indices, distances), or a sparse matrix."""
    if not isinstance(value, tuple) and not is_sparse(value):
        raise InvalidInputError(
            "this estimator was fitted to neighbours or distances, not to points: new raw rows can "
            "not be placed; give transform the tuple (indices, distances) of their neighbours "
            "among the training rows"
        )
    if graph.groups is not None:
        raise InvalidInputError(
            "this estimator was fitted to distinct rows (unique=True), of which given indices say "
            "nothing: give transform the new rows themselves"
        )
    given: Any = value
    if isinstance(value, tuple):
        if len(value) < 2 or any(np.ndim(part) != 2 for part in value[:2]):
            raise InvalidInputError(
                "transform takes (indices, distances), two matrices with one row a new point"
            )
        given = value[0]
    indices, distances = as_query_lists(value, np.shape(given)[0], graph.n_points, k)
    lowest = np.where(distances == 0, indices, _NONE).min(axis=1, initial=_NONE)
    known = np.where(lowest < _NONE, lowest, -1).astype(np.int32)
    words = np.concatenate([indices.view(np.float32), distances], axis=1)
    return NewRows(known, indices, distances, hash_rows(kernels, np.ascontiguousarray(words)))


def place(
    kernels: Any,
    embedding: NDArray[np.float32],
    new: NewRows,
    metric: Any,
    disconnection_distance: float | None,
    local_connectivity: float,
    n_epochs: int,
    forces: Forces,
    seed: int,
    progress: Progress,
) -> NDArray[np.float32]:
    """Where new rows come to lie among the training points: NaN without neighbours.

    Each begins at the weighted mean of its neighbours and moves by them alone.
    """
    indices, distances = cut_far(new.indices, new.distances, metric, disconnection_distance)
    there = np.asarray(~np.isnan(embedding).any(axis=1))
    graph = _edges(kernels, indices, distances, there, local_connectivity)
    fixed = np.ascontiguousarray(embedding[there])
    start = _weighted_means(graph, fixed)
    seeds = new.keys ^ np.uint64(seed)
    with progress.stage("layout", n_epochs) as advance:
        places = arrange_new(kernels, graph, start, fixed, n_epochs, forces, seeds, advance)
    places[np.diff(graph.indptr) == 0] = np.nan
    return places


def _edges(
    kernels: Any,
    indices: NDArray[np.int32],
    distances: NDArray[np.float32],
    there: NDArray[np.bool_],
    local_connectivity: float,
) -> Any:
    """Memberships of training points that have a place, as CSR over these."""
    lost = (indices >= 0) & ~there[indices]
    distances = np.where(lost, np.float32(np.inf), distances)
    # A new point is not its own neighbour, as a training point is: one less is connected.
    # With none at all sigma would be held against the mean of all rows, and the batch matter.
    connectivity = max(_HARDLY, local_connectivity - 1.0)
    rho, sigma = kernels.smooth_distances(np.sort(distances, axis=1), connectivity, 1.0)
    weights = kernels.memberships(distances, rho, sigma)
    weights[indices < 0] = 0
    rows, columns = np.nonzero(weights)
    indptr = np.concatenate([[0], np.cumsum(np.bincount(rows, minlength=len(weights)))])
    number = np.cumsum(there) - 1
    edges = number[indices[rows, columns]].astype(np.int32)
    shape = (len(weights), int(there.sum()))
    return sparse.csr_array((weights[rows, columns], edges, indptr), shape=shape)


def _weighted_means(graph: Any, fixed: NDArray[np.float32]) -> NDArray[np.float32]:
    """Where each row's neighbours lie on average, summed in the order of the row."""
    means = np.zeros((graph.shape[0], fixed.shape[1]))
    filled = np.flatnonzero(np.diff(graph.indptr))
    if len(filled):
        weights = graph.data.astype(np.float64)[:, None]
        sums = np.add.reduceat(weights * fixed[graph.indices], graph.indptr[filled], axis=0)
        means[filled] = sums / np.add.reduceat(weights, graph.indptr[filled], axis=0)
    return np.ascontiguousarray(means, dtype=np.float32)
