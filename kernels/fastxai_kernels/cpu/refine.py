"""Lists of candidates made better: neighbours of neighbours, and distances in the full space.

    e(x, y) = |x - y|^2 + left_x + left_y

orders candidates by few components of them (see `cells`).  `join_neighbors` tries the
neighbours of the neighbours (Dong, Moses and Li 2011, section 2), `rerank` measures what is
left in all features.
"""

# Compiled functions carry no annotations: their types stand in the decorator.
# mypy: disable-error-code="no-untyped-def"

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from ._jit import array_in, array_out, f32, i32, i64, kernel
from ._lists import clear, key_of, push, read, write
from ._threads import parallel_for
from ._vectors import squared_distance

_GRAIN = 512


@kernel(
    *(array_in(f32, 2), array_in(f32, 1), array_in(i32, 2), array_in(f32, 2), i64, i64),
    *(array_out(i32, 2), array_out(f32, 2), i64, i64),
)
def _join(points, left, indices, squares, width, offset, new_indices, new_squares, start, stop):
    seen = np.full(points.shape[0], -1, np.int32)
    keys = np.empty(indices.shape[1] + 1, np.int64)
    for row in range(start, stop):
        i = row + offset
        seen[i] = i
        for c in range(indices.shape[1]):
            if indices[i, c] >= 0:
                seen[indices[i, c]] = i
        read(indices[i], squares[i], keys)
        for c in range(width):
            j = indices[i, c]
            if j < 0:
                break
            for e in range(width):
                m = indices[j, e]
                if m < 0:
                    break
                if seen[m] != i:
                    seen[m] = i
                    key = key_of(squared_distance(points[i], points[m]) + left[i] + left[m], m)
                    if key < keys[0]:
                        push(key, keys)
        write(keys, new_indices[row], new_squares[row])


def join_neighbors(
    points: NDArray[np.float32],
    left: NDArray[np.float32],
    indices: NDArray[np.int32],
    squares: NDArray[np.float32],
    width: int,
    first: int,
    last: int,
) -> tuple[NDArray[np.int32], NDArray[np.float32]]:
    """Lists of rows ``first .. last - 1`` after trying the neighbours of their neighbours.

    ``indices`` and ``squares`` (n, L) are sorted lists of all points by |x - y|^2 + left_x +
    left_y; the first ``width`` of each are followed, twice.
    """
    new_indices = np.empty((last - first, indices.shape[1]), np.int32)
    new_squares = np.empty((last - first, indices.shape[1]), np.float32)
    lists = (points, left, indices, squares, min(width, indices.shape[1]), first)
    parallel_for(_join, last - first, 4 * _GRAIN, *lists, new_indices, new_squares)
    return new_indices, new_squares


@kernel(
    *(array_in(f32, 2), array_in(f32, 2), array_in(i32, 1), array_in(i32, 2), array_in(i32, 1)),
    *(array_out(i32, 2), array_out(f32, 2), i64, i64),
)
def _rerank(queries, data, rows, candidates, names, indices, squares, start, stop):
    keys = np.empty(indices.shape[1] + 1, np.int64)
    for s in range(start, stop):
        query = queries[rows[s]]
        clear(keys)
        for c in range(candidates.shape[1]):
            if candidates[s, c] >= 0:
                j = names[candidates[s, c]]
                key = key_of(squared_distance(query, data[j]), j)
                if key < keys[0]:
                    push(key, keys)
        write(keys, indices[s], squares[s])


def rerank(
    queries: NDArray[np.float32],
    data: NDArray[np.float32],
    rows: NDArray[np.int32],
    candidates: NDArray[np.int32],
    names: NDArray[np.int32],
    n_neighbors: int,
) -> tuple[NDArray[np.int32], NDArray[np.float32]]:
    """The ``n_neighbors`` candidates nearest to each of ``queries[rows]``, by direct distance.

    A candidate c of (m, L) stands for row ``names[c]`` of ``data``, -1 for none.  Returns
    rows of data and squared distances (m, n_neighbors), sorted.
    """
    indices = np.empty((len(rows), n_neighbors), np.int32)
    squares = np.empty((len(rows), n_neighbors), np.float32)
    lists = (queries, data, rows, candidates, names, indices, squares)
    parallel_for(_rerank, len(rows), _GRAIN, *lists)
    return indices, squares
