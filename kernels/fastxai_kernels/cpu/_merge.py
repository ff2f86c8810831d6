"""Sparse lists turned over, and merged with what they were turned into.

Lists are CSR (indptr, columns, weights), weights above 0.  Turned lists come out sorted
by their sources, so turning twice sorts the rows of any list in linear time.
"""

# Compiled functions carry no annotations: their types stand in the decorator.
# mypy: disable-error-code="no-untyped-def"

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from ._jit import array_in, array_out, f32, f64, i32, i64, inlined, kernel
from ._threads import parallel_for, thread_count

_GRAIN = 2048
_MOST_PARTS = 8  # each keeps a counter for every list

Lists = tuple[NDArray[np.int64], NDArray[np.int32], NDArray[np.float32]]
_LISTS = (array_in(i64, 1), array_in(i32, 1), array_in(f32, 1))


@kernel(*_LISTS, i64, array_out(i64, 2), i64, i64)
def _count(indptr, columns, weights, rows, counts, start, stop):
    """Entries that each part of the rows has for each column."""
    n = indptr.shape[0] - 1
    for part in range(start, stop):
        mine = counts[part]
        mine[:] = 0
        for e in range(indptr[part * rows], indptr[min(n, (part + 1) * rows)]):
            j = columns[e]
            if j >= 0 and weights[e] > np.float32(0.0):
                mine[np.uint64(j)] += 1


@kernel(array_in(i64, 1), array_out(i64, 2), i64, i64)
def _begin(turned, counts, start, stop):
    """Where each part begins to fill a list, in the place of its counts."""
    for j in range(start, stop):
        at = turned[j]
        for part in range(counts.shape[0]):
            count = counts[part, j]
            counts[part, j] = at
            at += count


@kernel(*_LISTS, i64, array_out(i64, 2), array_out(i32, 1), array_out(f32, 1), i64, i64)
def _fill(indptr, columns, weights, rows, ends, sources, backs, start, stop):
    n = indptr.shape[0] - 1
    for part in range(start, stop):
        mine = ends[part]
        for i in range(part * rows, min(n, (part + 1) * rows)):
            for e in range(indptr[i], indptr[i + 1]):
                j = columns[e]
                if j >= 0 and weights[e] > np.float32(0.0):
                    to = np.uint64(j)  # unsigned: no thought of places from the end
                    at = np.uint64(mine[to])
                    sources[at] = i
                    backs[at] = weights[e]
                    mine[to] = at + np.uint64(1)


def turn(
    indptr: NDArray[np.int64], columns: NDArray[np.int32], weights: NDArray[np.float32]
) -> Lists:
    """The transposed square matrix; entries in column -1 or without weight are left out.

    A list is filled by one part of the rows after the other, so that the number of parts
    (that of the threads) changes nothing.
    """
    n = len(indptr) - 1
    parts = max(1, min(thread_count(), _MOST_PARTS, n // _GRAIN))
    rows = -(-n // parts)
    lists = (indptr, columns, weights, rows)
    counts = np.empty((parts, n), np.int64)
    parallel_for(_count, parts, 1, *lists, counts)
    turned = np.zeros(n + 1, np.int64)
    np.cumsum(counts.sum(axis=0), out=turned[1:])
    parallel_for(_begin, n, _GRAIN, turned, counts)
    sources, backs = np.empty(turned[-1], np.int32), np.empty(turned[-1], np.float32)
    parallel_for(_fill, parts, 1, *lists, counts, sources, backs)
    return turned, sources, backs


@inlined
def _united(p, q, mix, share):
    """The weight of p_ij and p_ji together: UMAP's, or, with a share, that of their sum."""
    if share > 0.0:
        return np.float32((np.float64(p) + np.float64(q)) * share)
    return mix * (p + q - p * q) + (np.float32(1.0) - mix) * (p * q)


@kernel(
    *(*_LISTS, *_LISTS, array_in(i64, 1), f32, f64),
    *(array_out(i64, 1), array_out(i32, 1), array_out(f32, 1), i64, i64),
)
def _unite(
    indptr, names, values, turned, sources, backs, starts, mix, share,
    counts, columns, weights, start, stop,
):  # fmt: skip
    """Merge each row with its transposed row, at a place that is surely wide enough."""
    for i in range(start, stop):
        a = indptr[i]
        b = turned[i]
        end = indptr[i + 1]
        last = turned[i + 1]
        to = starts[i]
        # Without branches, while both have entries left: which comes next is anybody's guess.
        while a < end and b < last:
            j, k = names[a], sources[b]
            mine, theirs = j <= k, k <= j
            p = values[a] if mine else np.float32(0.0)
            q = backs[b] if theirs else np.float32(0.0)
            w = _united(p, q, mix, share)
            columns[to] = j if mine else k
            weights[to] = w
            to += w > np.float32(0.0)
            a += mine
            b += theirs
        while a < end:
            w = _united(values[a], np.float32(0.0), mix, share)
            columns[to], weights[to] = names[a], w
            to += w > np.float32(0.0)
            a += 1
        while b < last:
            w = _united(np.float32(0.0), backs[b], mix, share)
            columns[to], weights[to] = sources[b], w
            to += w > np.float32(0.0)
            b += 1
        counts[i] = to - starts[i]


@kernel(*_LISTS, array_in(i64, 1), array_out(i32, 1), array_out(f32, 1), i64, i64)
def _close_up(starts, columns, weights, indptr, to_columns, to_weights, start, stop):
    """Rows one behind the other."""
    for i in range(start, stop):
        o = starts[i]
        for e in range(indptr[i], indptr[i + 1]):
            to_columns[e] = columns[o]
            to_weights[e] = weights[o]
            o += 1


def unite(
    indices: NDArray[np.int32], strengths: NDArray[np.float32], mix: float, share: float
) -> Lists:
    """Lists (n, k) united with their transpose: rows sorted, no zeros.

    The weight is ``share (p + q)``, or, if share is 0, ``mix (p + q - pq) + (1 - mix) pq``.
    """
    n, width = indices.shape
    begins = np.arange(n + 1, dtype=np.int64) * width
    turned = turn(begins, indices.reshape(-1), strengths.reshape(-1))
    sorted_ = turn(*turned)
    starts, counts = sorted_[0] + turned[0], np.empty(n, np.int64)
    wide, strong = np.empty(starts[-1], np.int32), np.empty(starts[-1], np.float32)
    lists = (*sorted_, *turned, starts, np.float32(mix), share)
    parallel_for(_unite, n, _GRAIN, *lists, counts, wide, strong)
    del lists, sorted_, turned  # of a million points gigabytes
    indptr = np.zeros(n + 1, np.int64)
    np.cumsum(counts, out=indptr[1:])
    columns, weights = np.empty(indptr[-1], np.int32), np.empty(indptr[-1], np.float32)
    parallel_for(_close_up, n, _GRAIN, starts, wide, strong, indptr, columns, weights)
    return indptr, columns, weights
