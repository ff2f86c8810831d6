"""k nearest neighbours by Euclidean distance: exact, and the steps of the approximate search.

    d(x, y)^2 = sum_j (x_j - y_j)^2

Candidates are found by |x|^2 + |y|^2 - 2 xy, one matrix product a tile, about a centre
close to the points, and kept with a margin; what is returned was ranked by direct
differences, ties by the lower index.  BLAS runs single-threaded inside fixed tiles, so
that the bits do not depend on the number of threads.

The approximate search (an inverted file, Jegou, Douze and Schmid 2011, section III) takes
points sorted by cell: `probe_cells` compares each point with the owners of the cells
nearest to it; `join_neighbors` tries the neighbours of its neighbours (Dong, Moses and Li
2011); `rerank` measures what is left in the full space.
"""

# Compiled functions carry no annotations: their types stand in the decorator.
# mypy: disable-error-code="no-untyped-def"

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from ._blas import single_threaded_blas
from ._distance import squared_distance
from ._jit import array_in, array_out, f32, i32, i64, inlined, kernel, u64
from ._threads import parallel_for

_TILE = 256
_BLOCK = 2048
_MARGIN = 8
_GRAIN = 512


@inlined
def _insert(distance, index, distances, indices):
    """Put a pair in its place in a row sorted by (distance, index); the last one falls out."""
    at = distances.shape[0] - 1
    while at > 0 and (
        distances[at - 1] > distance or (distances[at - 1] == distance and indices[at - 1] > index)
    ):
        distances[at] = distances[at - 1]
        indices[at] = indices[at - 1]
        at -= 1
    distances[at] = distance
    indices[at] = index


@kernel(
    *(array_in(f32, 2), array_in(f32, 1), i64, array_in(i64, 1), array_in(i32, 1)),
    *(array_out(f32, 2), array_out(i32, 2)),
)
def _select(products, norms, offset, rows, skip, distances, indices):
    """Keep the smallest of products + norms for each row; `offset` numbers the columns."""
    columns = norms.shape[0]
    whole = columns - columns % 16
    for row in range(products.shape[0]):
        place = rows[row]
        best = distances[place]
        who = indices[place]
        left_out = skip[place]
        values = products[row]
        worst = best[-1]
        for o in range(0, whole, 16):
            v = values[o : o + 16]
            c = norms[o : o + 16]
            hits = 0
            for t in range(16):
                hits += np.int32(v[t] + c[t] < worst)
            if hits:
                for t in range(16):
                    value = v[t] + c[t]
                    if value < worst and offset + o + t != left_out:
                        _insert(value, np.int32(offset + o + t), best, who)
                        worst = best[-1]
        for o in range(whole, columns):
            value = values[o] + norms[o]
            if value < worst and offset + o != left_out:
                _insert(value, np.int32(offset + o), best, who)
                worst = best[-1]


@kernel(
    *(array_in(f32, 2), array_in(f32, 2), array_in(i32, 2)),
    *(array_out(i32, 2), array_out(f32, 2), i64, i64),
)
def _rank(queries, data, candidates, indices, distances, start, stop):
    """Sort each row's candidates by direct distance and keep the first ones."""
    for i in range(start, stop):
        distances[i] = np.float32(np.inf)
        indices[i] = np.int32(-1)
        for c in range(candidates.shape[1]):
            j = candidates[i, c]
            if j >= 0:
                d = squared_distance(queries[i], data[j])
                last = distances[i, -1]
                if d < last or (d == last and j < indices[i, -1]):
                    _insert(d, j, distances[i], indices[i])
        for c in range(distances.shape[1]):
            distances[i, c] = np.sqrt(distances[i, c])


def _centred(
    data: NDArray[np.float32], centre: NDArray[np.float32]
) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    moved = data - centre
    return moved, np.einsum("ij,ij->i", moved, moved)


def nearest(
    queries: NDArray[np.float32],
    data: NDArray[np.float32],
    n_neighbors: int,
    skip: NDArray[np.int32],
) -> tuple[NDArray[np.int32], NDArray[np.float32]]:
    """The ``n_neighbors`` rows of ``data`` (n, d) nearest to each of ``queries`` (m, d).

    ``skip`` (m,) names the row of data that is left out for a query, -1 for none.  Returns
    indices and distances (m, k), sorted; -1 and infinity where there are too few rows.
    """
    keep = min(n_neighbors + _MARGIN, max(len(data), 1))
    candidates = np.full((len(queries), keep), -1, np.int32)
    centre = data[:: max(1, len(data) // 1024)].mean(axis=0, dtype=np.float64).astype(np.float32)

    def scan(start: int, stop: int) -> None:
        # Always a whole tile: BLAS rounds a product of few rows otherwise.
        tile = np.zeros((_TILE, queries.shape[1]), np.float32)
        tile[: stop - start] = (queries[start:stop] - centre) * np.float32(-2.0)
        best = np.full((stop - start, keep), np.inf, np.float32)
        rows = np.arange(stop - start)
        for o in range(0, len(data), _BLOCK):
            block, norms = _centred(data[o : o + _BLOCK], centre)
            products = (tile @ block.T)[: stop - start]
            _select(products, norms, o, rows, skip[start:stop], best, candidates[start:stop])

    indices = np.empty((len(queries), n_neighbors), np.int32)
    distances = np.empty((len(queries), n_neighbors), np.float32)
    with single_threaded_blas():
        parallel_for(scan, len(queries), _TILE)
    parallel_for(_rank, len(queries), _GRAIN, queries, data, candidates, indices, distances)
    return indices, distances


def probe_cells(
    points: NDArray[np.float32],
    cell_starts: NDArray[np.int64],
    centroids: NDArray[np.float32],
    near: NDArray[np.int32],
    first_cell: int,
    last_cell: int,
    n_candidates: int,
) -> NDArray[np.int32]:
    """Candidates for the owners of cells ``first_cell .. last_cell - 1``.

    ``points`` (n, d) are sorted by cell, cell c owning rows ``cell_starts[c]`` to
    ``cell_starts[c + 1]``; ``near`` (n, p) lists the cells whose owners a point is compared
    with.  Returns (rows of these cells, n_candidates) row numbers, roughly sorted, -1 where
    there are fewer; a point itself is left out.
    """
    first = cell_starts[first_cell]
    found = np.full((cell_starts[last_cell] - first, n_candidates), -1, np.int32)

    def search(start: int, stop: int) -> None:
        for cell in range(first_cell + start, first_cell + stop):
            low, high = cell_starts[cell], cell_starts[cell + 1]
            if high > low:
                rows = found[low - first : high - first]
                _probe(points, cell_starts, centroids[cell], near, low, high, rows)

    with single_threaded_blas():
        parallel_for(search, last_cell - first_cell, 1)
    return found


def _probe(points, cell_starts, centre, near, low, high, found):
    """Compare the points low..high with the owners of all the cells that one of them probes."""
    moved = (points[low:high] - centre) * np.float32(-2.0)
    skip = np.arange(low, high, dtype=np.int32)
    best = np.full(found.shape, np.inf, np.float32)
    probes = near[low:high]
    order = np.argsort(probes, axis=None, kind="stable")
    cells, firsts = np.unique(probes.ravel()[order], return_index=True)
    groups = np.split(order // probes.shape[1], firsts[1:])
    # The most probed first: the sooner the near ones are in, the fewer insertions follow.
    for at in np.argsort([-len(group) for group in groups], kind="stable"):
        rows = groups[at]
        a, b = cell_starts[cells[at]], cell_starts[cells[at] + 1]
        for o in range(a, b, _BLOCK):
            block, norms = _centred(points[o : min(o + _BLOCK, b)], centre)
            queries = moved if len(rows) == len(moved) else moved[rows]
            _select(queries @ block.T, norms, o, rows, skip, best, found)


@kernel(
    *(array_in(f32, 2), array_in(i32, 2), array_in(f32, 2), i64, i64),
    *(array_out(i32, 2), array_out(f32, 2), i64, i64),
)
def _join(points, indices, distances, width, offset, new_indices, new_distances, start, stop):
    seen = np.full(points.shape[0], -1, np.int32)
    for row in range(start, stop):
        i = row + offset
        who = new_indices[row]
        best = new_distances[row]
        who[:] = indices[i]
        best[:] = distances[i]
        seen[i] = i
        for c in range(who.shape[0]):
            if who[c] >= 0:
                seen[who[c]] = i
        worst = best[-1]
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
                    d = squared_distance(points[i], points[m])
                    if d < worst:
                        _insert(d, m, best, who)
                        worst = best[-1]


def join_neighbors(
    points: NDArray[np.float32],
    indices: NDArray[np.int32],
    distances: NDArray[np.float32],
    width: int,
    first: int,
    last: int,
) -> tuple[NDArray[np.int32], NDArray[np.float32]]:
    """Lists of rows ``first .. last - 1`` after trying the neighbours of their neighbours.

    ``indices`` and squared ``distances`` (n, k) are sorted lists of all points; the first
    ``width`` of each are followed, twice.
    """
    new_indices = np.empty((last - first, indices.shape[1]), np.int32)
    new_distances = np.empty((last - first, indices.shape[1]), np.float32)
    lists = (points, indices, distances, width, first, new_indices, new_distances)
    parallel_for(_join, last - first, 4 * _GRAIN, *lists)
    return new_indices, new_distances


@kernel(
    *(array_in(f32, 2), array_in(f32, 2), array_in(i32, 1), array_in(i32, 2), array_in(i32, 1)),
    *(array_out(i32, 2), array_out(f32, 2), i64, i64),
)
def _rerank(queries, data, rows, candidates, names, indices, distances, start, stop):
    for s in range(start, stop):
        query = queries[rows[s]]
        who = indices[s]
        best = distances[s]
        who[:] = np.int32(-1)
        best[:] = np.float32(np.inf)
        for c in range(candidates.shape[1]):
            if candidates[s, c] >= 0:
                j = names[candidates[s, c]]
                d = squared_distance(query, data[j])
                if d < best[-1] or (d == best[-1] and j < who[-1]):
                    _insert(d, j, best, who)


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
    distances = np.empty((len(rows), n_neighbors), np.float32)
    lists = (queries, data, rows, candidates, names, indices, distances)
    parallel_for(_rerank, len(rows), _GRAIN, *lists)
    return indices, distances


@kernel(
    *(array_in(f32, 2), array_in(f32, 1), array_in(f32, 2)),
    *(array_out(f32, 2), i64, i64),
)
def _project(points, mean, components, projected, start, stop):
    for i in range(start, stop):
        to = projected[i]
        to[:] = np.float32(0.0)
        for j in range(points.shape[1]):
            x = points[i, j] - mean[j]
            row = components[j]
            for c in range(to.shape[0]):
                to[c] += x * row[c]


def project(
    points: NDArray[np.float32], mean: NDArray[np.float32], components: NDArray[np.float32]
) -> NDArray[np.float32]:
    """(points - mean) @ components, (d, c), each row by itself: no batch changes its bits."""
    projected = np.empty((len(points), components.shape[1]), np.float32)
    parallel_for(_project, len(points), _GRAIN, points, mean, components, projected)
    return projected


@kernel(
    *(array_in(f32, 2), array_in(i64, 1), array_in(f32, 2), array_in(f32, 2), i64),
    *(array_out(i32, 2), i64, i64),
)
def _query(points, cell_starts, centroids, queries, n_probes, found, start, stop):
    best = np.empty(found.shape[1], np.float32)
    near = np.empty(n_probes, np.float32)
    cells = np.empty(n_probes, np.int32)
    for i in range(start, stop):
        near[:] = np.float32(np.inf)
        cells[:] = np.int32(-1)
        for c in range(centroids.shape[0]):
            d = squared_distance(queries[i], centroids[c])
            if d < near[-1]:
                _insert(d, np.int32(c), near, cells)
        best[:] = np.float32(np.inf)
        found[i] = np.int32(-1)
        for p in range(n_probes):
            if cells[p] >= 0:
                for j in range(cell_starts[cells[p]], cell_starts[cells[p] + 1]):
                    d = squared_distance(queries[i], points[j])
                    if d < best[-1]:
                        _insert(d, np.int32(j), best, found[i])


def query_cells(
    points: NDArray[np.float32],
    cell_starts: NDArray[np.int64],
    centroids: NDArray[np.float32],
    queries: NDArray[np.float32],
    n_probes: int,
    n_candidates: int,
) -> NDArray[np.int32]:
    """Candidates for ``queries`` (m, d) among the owners of the cells nearest to each.

    As `probe_cells`, for points that are not in the cells, each query by itself: no batch
    changes what is found.  Returns (m, n_candidates) row numbers, -1 where there are fewer.
    """
    found = np.empty((len(queries), n_candidates), np.int32)
    lists = (points, cell_starts, centroids, queries, n_probes, found)
    parallel_for(_query, len(queries), 64, *lists)
    return found


def covariance(points: NDArray[np.float32], mean: NDArray[np.float32]) -> NDArray[np.float64]:
    """The covariance (d, d) about ``mean``: float32 products of fixed blocks, float64 sums."""
    blocks = range(0, len(points), _BLOCK)
    width = points.shape[1]
    parts = np.empty((len(blocks), width, width), np.float32)

    def multiply(start: int, stop: int) -> None:
        for block in range(start, stop):
            moved = points[block * _BLOCK : (block + 1) * _BLOCK] - mean
            np.matmul(moved.T, moved, out=parts[block])

    with single_threaded_blas():
        parallel_for(multiply, len(blocks), 1)
    return parts.sum(axis=0, dtype=np.float64) / max(1, len(points))


@kernel(array_in(i32, 2), array_out(u64, 1), i64, i64)
def _hash(words, hashes, start, stop):
    for i in range(start, stop):
        h = np.uint64(0x9E3779B97F4A7C15)
        for j in range(words.shape[1]):
            word = words[i, j]
            if word == np.int32(-2147483648):  # -0.0 equals 0.0
                word = np.int32(0)
            h = (h ^ np.uint64(np.uint32(word))) * np.uint64(0x9DDFEA08EB382D69)
            h ^= h >> np.uint64(29)
        hashes[i] = h


def hash_rows(points: NDArray[np.float32]) -> NDArray[np.uint64]:
    """A 64-bit hash of each row; equal rows have equal hashes."""
    hashes = np.empty(len(points), np.uint64)
    parallel_for(_hash, len(points), _GRAIN, points.view(np.int32), hashes)
    return hashes
