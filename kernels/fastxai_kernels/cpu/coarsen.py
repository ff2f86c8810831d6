"""A graph with fewer vertices: neighbourhoods become one vertex, their edges are added up.

    W' = P^T W P,    P_ic = 1 where vertex i belongs to aggregate c

(the first, unsmoothed step of aggregation multigrid: Vanek, Mandel and Brezina 1996).  What
is smooth on the small graph is almost smooth on the large one, and costs next to nothing
to find.
"""

# Compiled functions carry no annotations: their types stand in the decorator.
# mypy: disable-error-code="no-untyped-def"

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from ._jit import array_in, array_out, b1, f32, i32, i64, kernel
from ._threads import parallel_for

_GRAIN = 1024
_GRAPH = (array_in(i64, 1), array_in(i32, 1), array_in(f32, 1))


@kernel(*_GRAPH, i64, array_out(i32, 1), array_out(i64, 1), i64, i64)
def _found(indptr, indices, weights, most, owner, count, start, stop):
    """A vertex that no aggregate touches founds one with its neighbours."""
    for i in range(start, stop):
        free = owner[i] < 0
        for e in range(indptr[i], indptr[i + 1]):
            if owner[indices[e]] >= 0:
                free = False
                break
        if free:
            for e in range(indptr[i], min(indptr[i + 1], indptr[i] + most - 1)):
                owner[indices[e]] = count[0]
            owner[i] = count[0]
            count[0] += 1


@kernel(*_GRAPH, array_out(i32, 1), array_out(i64, 1), i64, i64)
def _join_strongest(indptr, indices, weights, owner, count, start, stop):
    for i in range(start, stop):
        if owner[i] < 0:
            best = np.float32(-1.0)
            to = np.int32(-1)
            for e in range(indptr[i], indptr[i + 1]):
                j = indices[e]
                if owner[j] >= 0 and weights[e] > best:
                    best = weights[e]
                    to = owner[j]
            if to < 0:
                to = np.int32(count[0])
                count[0] += 1
            owner[i] = to


def aggregate(
    indptr: NDArray[np.int64], indices: NDArray[np.int32], weights: NDArray[np.float32], most: int
) -> tuple[NDArray[np.int32], int]:
    """The aggregate of each vertex, and how many there are.

    In order, a vertex that no aggregate touches yet founds one with its neighbours, at most
    ``most`` members; what is left joins the aggregate of its strongest neighbour in one, or
    stays alone.
    """
    n = len(indptr) - 1
    owner, count = np.full(n, -1, np.int32), np.zeros(1, np.int64)
    # One thread: what a vertex may do depends on those before it.
    for first in range(0, n, 1 << 18):
        last = min(first + (1 << 18), n)
        _found(indptr, indices, weights, most, owner, count, first, last)
    for first in range(0, n, 1 << 18):
        last = min(first + (1 << 18), n)
        _join_strongest(indptr, indices, weights, owner, count, first, last)
    return owner, int(count[0])


@kernel(
    *(*_GRAPH, array_in(i32, 1), array_in(i32, 1), array_in(i64, 1), b1),
    *(array_out(i64, 1), array_out(i32, 1), array_out(f32, 1), i64, i64),
)
def _add_up(
    indptr, indices, weights, owner, members, starts, fill, places, columns, sums, start, stop
):
    """Edges between aggregates: first counted into ``places``, then filled in, as first met."""
    at = np.full(starts.shape[0] - 1, -1, np.int64)
    for c in range(start, stop):
        to = places[c]
        found = 0
        for m in range(starts[c], starts[c + 1]):
            i = members[m]
            for e in range(indptr[i], indptr[i + 1]):
                other = owner[indices[e]]
                where = at[other]
                if where < 0:
                    where = found
                    at[other] = where
                    found += 1
                    if fill:
                        columns[to + where] = other
                        sums[to + where] = np.float32(0.0)
                if fill:
                    sums[to + where] += weights[e]
        for m in range(starts[c], starts[c + 1]):  # leave the table as it was
            i = members[m]
            for e in range(indptr[i], indptr[i + 1]):
                at[owner[indices[e]]] = -1
        if not fill:
            places[c] = found


def coarsen(
    indptr: NDArray[np.int64],
    indices: NDArray[np.int32],
    weights: NDArray[np.float32],
    owner: NDArray[np.int32],
    count: int,
) -> tuple[NDArray[np.int64], NDArray[np.int32], NDArray[np.float32]]:
    """P^T W P as CSR, with P_ic = 1 where vertex i belongs to aggregate c."""
    members = np.argsort(owner, kind="stable").astype(np.int32)
    starts = np.zeros(count + 1, np.int64)
    np.cumsum(np.bincount(owner, minlength=count), out=starts[1:])
    given = (indptr, indices, weights, owner, members, starts)
    counts, none = np.empty(count, np.int64), (np.empty(0, np.int32), np.empty(0, np.float32))
    grain = max(_GRAIN, count // 256)  # each chunk has a table of all aggregates
    parallel_for(_add_up, count, grain, *given, False, counts, *none)
    places = np.zeros(count + 1, np.int64)
    np.cumsum(counts, out=places[1:])
    columns, sums = np.empty(places[-1], np.int32), np.empty(places[-1], np.float32)
    parallel_for(_add_up, count, grain, *given, True, places, columns, sums)
    return places, columns, sums
