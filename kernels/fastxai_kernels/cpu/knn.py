"""k nearest neighbours by Euclidean distance, by all pairs.

    d(x, y)^2 = sum_j (x_j - y_j)^2

Pairs are compared by |y|^2 - 2 xy about a centre close to the points and kept with a margin;
what is returned was ranked by direct differences, ties by the lower index.
"""

# Compiled functions carry no annotations: their types stand in the decorator.
# mypy: disable-error-code="no-untyped-def"

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

from ._jit import array_in, array_out, f32, i32, i64, inlined, kernel
from ._lists import EMPTY, FAR, SENTINEL, clear, distance_of, fill, key_of, least, push, write
from ._threads import parallel_for
from ._vectors import LANES, ROWS, at_most, lowest, multiply_tile, squared_distance

_TILE, _LARGE_TILE, _MANY = 64, 256, 2048  # queries that share a pass over the data
_PASS = 2**23  # numbers in the data of one pass: a call takes some 50 ms
_SLACK = np.float32(1e-5)  # rounding of a squared distance out of products, relative
_MARGIN = 8
_DOUBT = np.float32(1e-3)  # squared distances this small beside those from the centre are noisy
_SLOW = 2**32  # numbers subtracted in some 0.4 s
_GRAIN = 512


@inlined
def _load_queries(queries, centre, panels, start, stop):
    """-2 (x - centre) of some queries as columns, sixteen a panel."""
    d = queries.shape[1]
    for i in range(start, stop):
        panel, lane = (i - start) // LANES * d, (i - start) % LANES
        for j in range(d):
            panels[panel + j, lane] = np.float32(-2.0) * (queries[i, j] - centre[j])


@inlined
def _load_rows(data, centre, first, count, rows):
    """y - centre of some rows of the data."""
    for r in range(count):
        row = rows[r]
        values = data[first + r]
        for j in range(row.shape[0]):
            row[j] = values[j] - centre[j]


@kernel(
    *(array_in(f32, 2), array_in(f32, 2), array_in(f32, 1), array_in(i32, 1)),
    *(i64, i64, array_out(i64, 2), i64, i64),
)
def _scan(queries, data, centre, skip, first, last, lists, start, stop):
    """Put the rows first .. last - 1 of data into the lists of queries start .. stop - 1."""
    d = queries.shape[1]
    blocks = (stop - start + LANES - 1) // LANES
    panels = np.zeros((blocks * d, LANES), np.float32)
    _load_queries(queries, centre, panels, start, stop)
    worst = np.full(blocks * LANES, -FAR, np.float32)  # lanes without a query take nothing
    for i in range(start, stop):
        worst[i - start] = least(distance_of(lists[i, 0]), FAR)
    rows = np.zeros((ROWS, d), np.float32)
    products = np.empty((ROWS, blocks * LANES), np.float32)
    norm, zero = np.empty(LANES, np.float32), np.zeros(d, np.float32)
    for o in range(first, last, ROWS):
        count = least(ROWS, last - o)
        _load_rows(data, centre, o, count, rows)
        for block in range(blocks):
            multiply_tile(rows, panels, block, products, block * LANES)
        for r in range(count):
            fill(norm, squared_distance(rows[r], zero))
            for lane in range(0, blocks * LANES, LANES):
                hits = at_most(products[r], lane, norm, 0, worst, lane)
                while hits:
                    t = lane + lowest(hits)
                    hits &= hits - 1
                    if skip[start + t] != o + r:
                        keys = lists[start + t]
                        key = key_of(products[r, t] + norm[0], o + r)
                        if key < keys[0]:
                            push(key, keys)
                            worst[t] = least(distance_of(keys[0]), FAR)


@kernel(
    *(array_in(f32, 2), array_in(f32, 2), array_in(f32, 2), array_in(f32, 2), array_in(f32, 1)),
    *(array_in(i32, 1), array_in(f32, 1), i64, i64, array_out(i64, 2), i64, i64),
)
def _screen(
    queries, data, coarse_queries, coarse, centre, skip, limits, first, last, lists, start, stop,
):  # fmt: skip
    """As `_scan`, measuring the rows that the coarse distance does not exclude."""
    d = coarse.shape[1]
    blocks = (stop - start + LANES - 1) // LANES
    panels = np.zeros((blocks * d, LANES), np.float32)
    _load_queries(coarse_queries, centre, panels, start, stop)
    worst = np.full(blocks * LANES, -FAR, np.float32)
    bases = np.empty(stop - start, np.float32)
    for i in range(start, stop):
        bases[i - start] = squared_distance(coarse_queries[i], centre)
        worst[i - start] = least(distance_of(lists[i, 0]), limits[i]) - bases[i - start]
        worst[i - start] += _SLACK * (limits[i] + bases[i - start])
    rows = np.zeros((ROWS, d), np.float32)
    products = np.empty((ROWS, blocks * LANES), np.float32)
    norm, zero = np.empty(LANES, np.float32), np.zeros(d, np.float32)
    for o in range(first, last, ROWS):
        count = least(ROWS, last - o)
        _load_rows(coarse, centre, o, count, rows)
        for block in range(blocks):
            multiply_tile(rows, panels, block, products, block * LANES)
        for r in range(count):
            fill(norm, squared_distance(rows[r], zero) * (np.float32(1.0) - _SLACK))
            for lane in range(0, blocks * LANES, LANES):
                hits = at_most(products[r], lane, norm, 0, worst, lane)
                while hits:
                    t = lane + lowest(hits)
                    hits &= hits - 1
                    if skip[start + t] != o + r:
                        keys = lists[start + t]
                        key = key_of(squared_distance(queries[start + t], data[o + r]), o + r)
                        if key < keys[0]:
                            push(key, keys)
                            slack = _SLACK * (limits[start + t] + bases[t])
                            far = least(distance_of(keys[0]), limits[start + t])
                            worst[t] = far - bases[t] + slack


@kernel(
    *(array_in(f32, 2), array_in(f32, 2), array_in(f32, 1), array_in(i32, 1), f32),
    *(array_in(i64, 2), array_out(i32, 2), array_out(f32, 2), i64, i64),
)
def _rank(queries, data, centre, skip, doubt, lists, indices, distances, start, stop):
    """Sort each query's candidates by direct distance and keep the first ones.

    A query much nearer to its neighbours than to the centre is compared with all rows: its
    candidates were found by differences of much larger numbers.
    """
    keys = np.empty(indices.shape[1] + 1, np.int64)
    for i in range(start, stop):
        clear(keys)
        for c in range(lists.shape[1] - 1):
            j = np.int32(lists[i, c])
            if j >= 0:
                key = key_of(squared_distance(queries[i], data[j]), j)
                if key < keys[0]:
                    push(key, keys)
        far = distance_of(keys[0])
        if 0 < far < doubt * squared_distance(queries[i], centre):
            clear(keys)
            for row in range(data.shape[0]):
                key = key_of(squared_distance(queries[i], data[row]), row)
                if key < keys[0] and row != skip[i]:
                    push(key, keys)
        write(keys, indices[i], distances[i])
        for c in range(distances.shape[1]):
            distances[i, c] = np.sqrt(distances[i, c])


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
    m, n = len(queries), len(data)
    lists = _empty(m, min(n_neighbors + _MARGIN, n))
    centre = _centre(data)
    for first, last in _passes(data):
        scan = (queries, data, centre, skip, first, last, lists)
        parallel_for(_scan, m, _LARGE_TILE if m >= _MANY else _TILE, *scan)
    return _ranked(queries, data, centre, skip, _DOUBT, lists, n_neighbors)


def nearest_screened(
    queries: NDArray[np.float32],
    data: NDArray[np.float32],
    coarse_queries: NDArray[np.float32],
    coarse: NDArray[np.float32],
    limits: NDArray[np.float32],
    n_neighbors: int,
    skip: NDArray[np.int32],
) -> tuple[NDArray[np.int32], NDArray[np.float32]]:
    """As `nearest`, for data of which something coarser is known.

    ``coarse_queries`` (m, c) and ``coarse`` (n, c) are points whose distances are at most
    those of queries and data; ``limits`` (m,) squared distances that at least
    ``n_neighbors`` rows of data do not exceed.  Only rows within the limits by the coarse
    distance are measured.
    """
    m = len(queries)
    lists = _empty(m, n_neighbors)
    centre = _centre(coarse)
    for first, last in _passes(coarse):
        known = (coarse_queries, coarse, centre, skip, limits)
        parallel_for(_screen, m, _TILE, queries, data, *known, first, last, lists)
    nowhere = np.zeros(data.shape[1], np.float32)  # what was measured is not in doubt
    return _ranked(queries, data, nowhere, skip, np.float32(0.0), lists, n_neighbors)


def _ranked(
    queries: NDArray[np.float32],
    data: NDArray[np.float32],
    centre: NDArray[np.float32],
    skip: NDArray[np.int32],
    doubt: np.float32,
    lists: NDArray[np.int64],
    n_neighbors: int,
) -> tuple[NDArray[np.int32], NDArray[np.float32]]:
    indices = np.empty((len(queries), n_neighbors), np.int32)
    distances = np.empty((len(queries), n_neighbors), np.float32)
    # So few queries a call that even comparing all rows takes well under a second.
    grain = int(min(_GRAIN, max(1, _SLOW // max(1, data.size))))
    found = (lists, indices, distances)
    parallel_for(_rank, len(queries), grain, queries, data, centre, skip, doubt, *found)
    return indices, distances


def _empty(rows: int, length: int) -> NDArray[np.int64]:
    lists = np.full((rows, length + 1), EMPTY, np.int64)
    lists[:, -1] = SENTINEL
    return lists


def _centre(data: NDArray[np.float32]) -> NDArray[np.float32]:
    some = data[:: max(1, len(data) // 1024)]
    centre: NDArray[np.float32] = some.mean(axis=0, dtype=np.float64).astype(np.float32)
    return centre


def _passes(data: NDArray[np.float32]) -> Iterator[tuple[int, int]]:
    rows = max(1024, _PASS // max(1, data.shape[1]))
    for first in range(0, len(data), rows):
        yield first, min(first + rows, len(data))
