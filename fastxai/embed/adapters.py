"""Neighbours that others computed, in the conventions of others.

umap-learn counts a point among its own neighbours, scikit-learn's transformers do so
sometimes; a `NeighborGraph` never does.  What is wrong with given lists is said with row
and column.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..errors import InvalidInputError
from .graph import Lists, Metric, NeighborGraph
from .spaces import is_sparse

_ROWS = 256
# Of the largest distance: what float32 leaves of a distance of 0 that was computed by a product.
_ROUNDING = 1e-3


def as_neighbor_graph(
    value: Any, n_points: int, n_neighbors: int | None, metric: Metric = "euclidean"
) -> NeighborGraph:
    """The graph of ``n_neighbors`` true neighbours that a value of some convention stands for.

    Parameters
    ----------
    value : NeighborGraph, tuple or sparse matrix
        A graph (its own metric holds); ``(indices, distances)``, or umap-learn's
        ``(indices, distances, index)``, of shape (n, m) with or without the points
        themselves; or a sparse matrix of shape (n, n) whose stored entries are distances, as
        scikit-learn's ``KNeighborsTransformer`` and ``kneighbors_graph(mode="distance")``
        make them.
    n_points : int
        Points that there are.
    n_neighbors : int or None
        Neighbours wanted a point, the point itself not counted; None for all that are given.
    metric : str or callable, default "euclidean"
        What the distances are.

    Returns
    -------
    NeighborGraph

    Raises
    ------
    InvalidInputError
        If the shape is wrong, there are fewer neighbours than wanted, an index is out of
        range or named twice in a row, or distances are NaN, negative or unsorted.

    Examples
    --------
    >>> import numpy as np
    >>> indices = np.array([[0, 1, 2], [1, 0, 2], [2, 1, 0]])
    >>> distances = np.array([[0.0, 1.0, 3.0], [0.0, 1.0, 2.0], [0.0, 2.0, 3.0]])
    >>> as_neighbor_graph((indices, distances), 3, 2).indices.tolist()
    [[1, 2], [0, 2], [1, 0]]
    """
    if isinstance(value, NeighborGraph):
        _same_rows(value.n_points if value.groups is None else len(value.groups), n_points)
        return value if n_neighbors is None else value.take(n_neighbors)
    if is_sparse(value):
        _fitting(value, n_points, n_points)
        most = int(np.diff(value.tocsr().indptr).max(initial=0))
        lists = lists_of_sparse(value, most if n_neighbors is None else n_neighbors)
        longest = int((lists[0] >= 0).sum(axis=1).max(initial=0))
    else:
        lists = without_points(*_pair(value, n_points, n_points))
        longest = lists[0].shape[1]
    wanted = max(longest, 1) if n_neighbors is None else n_neighbors
    _enough(longest, wanted, "the point itself not counted; ")
    return NeighborGraph._trusted(lists[0], lists[1], metric=metric).take(wanted)


def as_query_lists(value: Any, n_rows: int, n_points: int, n_neighbors: int) -> Lists:
    """Neighbours of other rows among the points, of the same conventions.

    Parameters
    ----------
    value : tuple or sparse matrix
        ``(indices, distances)`` of shape (n_rows, m), or a sparse matrix of distances of
        shape (n_rows, n_points).
    n_rows, n_points : int
        New rows, and points that they are neighbours of.
    n_neighbors : int
        Neighbours wanted a row.

    Returns
    -------
    indices : ndarray of shape (n_rows, n_neighbors), int32
    distances : ndarray of shape (n_rows, n_neighbors), float32

    Raises
    ------
    InvalidInputError
        As by `as_neighbor_graph`.
    """
    if is_sparse(value):
        _fitting(value, n_rows, n_points)
        indices, distances = lists_of_sparse(value, n_neighbors, leave_out=False)
        longest = int((indices >= 0).sum(axis=1).max(initial=0))
    else:
        indices, distances = _pair(value, n_rows, n_points)
        indices = np.where(np.isinf(distances), np.int32(-1), indices)
        longest = indices.shape[1]
    _enough(longest, n_neighbors, "")
    return (
        np.ascontiguousarray(indices[:, :n_neighbors]),
        np.ascontiguousarray(distances[:, :n_neighbors]),
    )


def _same_rows(given: int, n_rows: int) -> None:
    if given != n_rows:
        raise InvalidInputError(f"neighbours of {given:,} points are given for {n_rows:,} points")


def _fitting(matrix: Any, n_rows: int, n_points: int) -> None:
    if matrix.shape != (n_rows, n_points):
        raise InvalidInputError(
            f"the sparse matrix of distances has shape {matrix.shape}, not ({n_rows}, {n_points})"
        )
    if matrix.dtype.kind not in "iuf":
        raise InvalidInputError(f"distances must be numbers, not {matrix.dtype}")


def _enough(given: int, wanted: int, counted: str) -> None:
    if given < wanted:
        raise InvalidInputError(
            f"{wanted} neighbours a point are needed and {given} are given, {counted}compute more "
            "of them, or lower n_neighbors"
        )


# --- (indices, distances) ----------------------------------------------------------------


def _pair(value: Any, n_rows: int, n_points: int) -> Lists:
    """Checked lists out of a tuple of two or three."""
    if not isinstance(value, (tuple, list)) or len(value) not in (2, 3):
        raise InvalidInputError(
            "neighbours must be a NeighborGraph, a tuple (indices, distances) or a sparse matrix "
            f"of distances, not {type(value).__name__}"
        )
    indices, distances = (np.asarray(part) for part in value[:2])
    _check_form(indices, distances)
    _same_rows(len(indices), n_rows)
    check_lists(indices, distances, n_points)
    return indices.astype(np.int32), distances.astype(np.float32)


def check_graph(indices: Any, distances: Any, groups: Any) -> Lists:
    """The lists of a graph, if they can be true; -1 at an infinite distance."""
    indices, distances = np.asarray(indices), np.asarray(distances)
    _check_form(indices, distances)
    n = len(indices)
    check_lists(indices, distances, n)
    _refuse(
        indices == np.arange(n)[:, None],
        lambda i, j: "the point is its own neighbour; leave the point itself out",
    )
    if groups is not None:
        _check_groups(np.asarray(groups), n)
    distances = np.ascontiguousarray(distances, np.float32)
    return np.where(np.isinf(distances), np.int32(-1), indices).astype(np.int32), distances


def _check_groups(groups: NDArray[Any], n_points: int) -> None:
    if groups.ndim != 1 or groups.dtype.kind not in "iu":
        raise InvalidInputError("groups must be a vector of integers: the point of each row")
    if len(groups) and not 0 <= groups.min() <= groups.max() < n_points:
        wrong = int(np.argmax((groups < 0) | (groups >= n_points)))
        raise InvalidInputError(
            f"groups, row {wrong}: {groups[wrong]} is not one of the points 0 to {n_points - 1}"
        )
    if (empty := np.bincount(groups.astype(np.int64), minlength=n_points) == 0).any():
        raise InvalidInputError(f"groups: no row is point {int(empty.argmax())}")


def _check_form(indices: NDArray[Any], distances: NDArray[Any]) -> None:
    if indices.ndim != 2 or indices.shape != distances.shape:
        raise InvalidInputError(
            "indices and distances must be two matrices of the same shape, one row a point; "
            f"they have shapes {indices.shape} and {distances.shape}"
        )
    if indices.dtype.kind not in "iu":
        raise InvalidInputError(f"indices must be integers, not {indices.dtype}")
    if distances.dtype.kind not in "iuf":
        raise InvalidInputError(f"distances must be numbers, not {distances.dtype}")


def check_lists(indices: NDArray[Any], distances: NDArray[Any], n_points: int) -> None:
    """Raise for the first place in lists of neighbours that can not be true."""
    _refuse(
        (indices < -1) | (indices >= n_points),
        lambda i, j: f"neighbour {indices[i, j]} is not one of the points 0 to {n_points - 1}",
    )
    _refuse(np.isnan(distances), lambda i, j: "the distance is NaN")
    _refuse(distances < 0, lambda i, j: f"the distance {distances[i, j]} is negative")
    _refuse(
        (indices == -1) & np.isfinite(distances),
        lambda i, j: (
            f"there is no neighbour (index -1) at distance {distances[i, j]}; write infinity there"
        ),
    )
    _refuse(
        distances[:, 1:] < distances[:, :-1],
        lambda i, j: (
            f"distances are unsorted: {distances[i, j + 1]} follows {distances[i, j]}; "
            "sort each row by distance, the nearest first"
        ),
    )
    ordered = np.sort(indices, axis=1)
    _refuse(
        (ordered[:, 1:] == ordered[:, :-1]) & (ordered[:, 1:] >= 0),
        lambda i, j: f"point {ordered[i, j]} is named twice",
        columns=False,
    )


def _refuse(wrong: NDArray[np.bool_], say: Any, columns: bool = True) -> None:
    if wrong.any():
        i, j = np.unravel_index(int(wrong.argmax()), wrong.shape)
        place = f"row {i}, column {j}" if columns else f"row {i}"
        raise InvalidInputError(f"neighbours, {place}: {say(i, j)}")


def without_points(indices: NDArray[np.int32], distances: NDArray[np.float32]) -> Lists:
    """Lists without the points themselves; -1 at an infinite distance.

    If no row names itself the neighbours are true ones already.  If some do, one entry goes
    from every row: itself, or else (crowded out by its copies) the last.
    """
    myself = indices == np.arange(len(indices), dtype=np.int32)[:, None]
    counted = myself.any(axis=1)
    if counted.any():
        myself[~counted, -1] = True
        k = indices.shape[1] - 1
        indices = indices[~myself].reshape(len(indices), k)
        distances = distances[~myself].reshape(len(distances), k)
    return np.where(np.isinf(distances), np.int32(-1), indices), distances


# --- matrices of distances ---------------------------------------------------------------


def lists_of_matrix(D: Any, n_neighbors: int) -> Lists:
    """The nearest points by a square matrix of distances, dense or sparse.

    Of a sparse matrix the stored entries are distances, explicit zeros too; a row with fewer
    than ``n_neighbors`` is filled up with -1 and infinity.
    """
    if is_sparse(D):
        return lists_of_sparse(D, n_neighbors)
    n = len(D)
    k = min(n_neighbors, n - 1)
    indices = np.empty((n, k), np.int32)
    nearest = np.empty((n, k), np.float32)
    for start in range(0, n, _ROWS):
        block = np.array(D[start : start + _ROWS], np.float32)  # a copy: the diagonal is changed
        mine = np.arange(len(block))
        _check_block(block, start)
        block[mine, start + mine] = np.inf
        some = np.argpartition(block, k - 1, axis=1)[:, :k].astype(np.int32)
        away = np.take_along_axis(block, some, 1)
        order = np.lexsort((some, away), axis=1)
        indices[start : start + _ROWS] = np.take_along_axis(some, order, 1)
        nearest[start : start + _ROWS] = np.take_along_axis(away, order, 1)
    indices[np.isinf(nearest)] = -1
    return indices, nearest


def _check_block(block: NDArray[np.float32], start: int) -> None:
    for wrong, say in ((np.isnan(block), "is NaN"), (block < 0, "is negative")):
        if wrong.any():
            i, j = np.unravel_index(int(wrong.argmax()), wrong.shape)
            raise InvalidInputError(f"the distance in row {start + i}, column {j} {say}")
    itself = block[np.arange(len(block)), start + np.arange(len(block))]
    if (wrong := itself > _ROUNDING * _largest(block)).any():
        row = int(wrong.argmax())
        raise _not_zero(start + row, float(itself[row]))


def _largest(distances: NDArray[np.float32]) -> float:
    """The largest finite distance, or 0."""
    return float(distances.max(initial=0.0, where=np.isfinite(distances)))


def _not_zero(row: int, distance: float) -> InvalidInputError:
    return InvalidInputError(
        f"the distance of point {row} from itself is {distance}, not 0; similarities must be "
        "turned into distances first"
    )


def lists_of_sparse(D: Any, n_neighbors: int, leave_out: bool = True) -> Lists:
    """The nearest columns by the stored entries of each row, the diagonal left out."""
    D = D.tocsr()
    n = D.shape[0]
    rows = np.repeat(np.arange(n, dtype=np.int32), np.diff(D.indptr))
    columns, away = D.indices.astype(np.int32), D.data.astype(np.float32)
    for wrong, say in ((np.isnan(away), "is NaN"), (away < 0, "is negative")):
        if wrong.any():
            at = int(wrong.argmax())
            raise InvalidInputError(f"the distance in row {rows[at]}, column {columns[at]} {say}")
    if leave_out and (wrong := (rows == columns) & (away > _ROUNDING * _largest(away))).any():
        at = int(wrong.argmax())
        raise _not_zero(int(rows[at]), float(away[at]))
    pairs = np.sort(rows * np.int64(D.shape[1]) + columns)
    if (twice := pairs[1:] == pairs[:-1]).any():
        row, column = divmod(int(pairs[twice.argmax()]), D.shape[1])
        raise InvalidInputError(f"the distance in row {row}, column {column} is stored twice")
    kept = np.isfinite(away)
    if leave_out:
        kept &= rows != columns
    rows, columns, away = rows[kept], columns[kept], away[kept]
    order = np.lexsort((columns, away, rows))
    rows, columns, away = rows[order], columns[order], away[order]
    counts = np.bincount(rows, minlength=n)
    place = np.arange(len(rows)) - np.repeat(np.cumsum(counts) - counts, counts)
    indices = np.full((n, n_neighbors), -1, np.int32)
    nearest = np.full((n, n_neighbors), np.inf, np.float32)
    first = place < n_neighbors
    indices[rows[first], place[first]] = columns[first]
    nearest[rows[first], place[first]] = away[first]
    return indices, nearest
