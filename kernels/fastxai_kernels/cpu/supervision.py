"""Supervision: a fuzzy set made to agree with classes, or with a second graph.

    w_ij exp(-far)        where the classes of i and j differ
    u_ij^alpha v_ij^beta  with v the graph of the targets

(McInnes, Healy and Melville 2018, section 3.3; the intersection of fuzzy sets.)
"""

# Compiled functions carry no annotations: their types stand in the decorator.
# mypy: disable-error-code="no-untyped-def"

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from ._jit import array_in, array_out, b1, f32, f64, i32, i64, kernel
from ._threads import parallel_for

_GRAIN = 2048


@kernel(
    *(array_in(i64, 1), array_in(i32, 1), array_in(f32, 1), array_in(i32, 1), f32, f32),
    *(array_out(f32, 1), i64, i64),
)
def _classes(indptr, columns, weights, labels, at_unknown, at_far, to, start, stop):
    for i in range(start, stop):
        for e in range(indptr[i], indptr[i + 1]):
            other = labels[columns[e]]
            factor = np.float32(1.0)
            if labels[i] < 0 or other < 0:
                factor = at_unknown
            elif labels[i] != other:
                factor = at_far
            to[e] = weights[e] * factor


def class_intersection(
    indptr: NDArray[np.int64],
    columns: NDArray[np.int32],
    weights: NDArray[np.float32],
    labels: NDArray[np.int32],
    unknown_distance: float,
    far_distance: float,
) -> NDArray[np.float32]:
    """Weights times exp(-far) where the labels of both ends differ, exp(-unknown) at -1."""
    to = np.empty(len(weights), np.float32)
    factors = np.float32(np.exp(-unknown_distance)), np.float32(np.exp(-far_distance))
    edges = (indptr, columns, weights, labels, *factors, to)
    parallel_for(_classes, len(indptr) - 1, _GRAIN, *edges)
    return to


_GRAPH = (array_in(i64, 1), array_in(i32, 1), array_in(f32, 1))


@kernel(
    *(*_GRAPH, *_GRAPH, array_in(b1, 1), f32, f32, f32, f64, f64),
    *(b1, array_out(i64, 1), array_out(i32, 1), array_out(f32, 1), i64, i64),
)
def _intersect(
    indptr, columns, weights, target_indptr, target_columns, target_weights, known, at_unknown,
    least, target_least, alpha, beta, fill, places, to_columns, to_weights, start, stop,
):  # fmt: skip
    """Merge the rows of two graphs: first counted into ``places``, then filled in."""
    for i in range(start, stop):
        a, last_a = indptr[i], indptr[i + 1]
        b, last_b = target_indptr[i], target_indptr[i + 1]
        to = places[i]
        found = 0
        while a < last_a or b < last_b:
            u = least
            v = target_least
            mine = False
            if b >= last_b or (a < last_a and columns[a] <= target_columns[b]):
                j = columns[a]
            else:
                j = target_columns[b]
            if a < last_a and columns[a] == j:
                u = weights[a]
                mine = True
                a += 1
            if b < last_b and target_columns[b] == j:
                v = target_weights[b]
                b += 1
            w = np.float32(0.0)
            if known[i] and known[j]:
                w = np.float32(u**alpha * v**beta)
            elif mine:
                w = u * at_unknown
            if w > np.float32(0.0):
                if fill:
                    to_columns[to + found] = j
                    to_weights[to + found] = w
                found += 1
        if not fill:
            places[i] = found


def graph_intersection(
    indptr: NDArray[np.int64],
    columns: NDArray[np.int32],
    weights: NDArray[np.float32],
    target_indptr: NDArray[np.int64],
    target_columns: NDArray[np.int32],
    target_weights: NDArray[np.float32],
    known: NDArray[np.bool_],
    unknown_distance: float,
    mix_weight: float,
) -> tuple[NDArray[np.int64], NDArray[np.int32], NDArray[np.float32]]:
    """The product of two graphs, u^alpha v^beta, on every edge that one of them has.

    alpha = 1, beta = m / (1 - m) for a mix weight m below 1/2, else beta = 1 and
    alpha = (1 - m) / m.  An edge that one graph lacks counts there as half its smallest
    weight, at least 1e-8 (and at most 1e-4 in the target's).  Edges with an end that is not
    ``known`` are those of the first graph times exp(-unknown).
    """
    n = len(indptr) - 1
    least = max(float(weights.min(initial=1.0)) / 2, 1e-8)
    target_least = min(max(float(target_weights.min(initial=1.0)) / 2, 1e-8), 1e-4)
    alpha = 1.0 if mix_weight < 0.5 else (1.0 - mix_weight) / mix_weight
    beta = mix_weight / (1.0 - mix_weight) if mix_weight < 0.5 else 1.0
    graphs = (indptr, columns, weights, target_indptr, target_columns, target_weights, known)
    numbers = (np.float32(np.exp(-unknown_distance)), np.float32(least), np.float32(target_least))
    given = (*graphs, *numbers, alpha, beta)
    counts, none = np.empty(n, np.int64), (np.empty(0, np.int32), np.empty(0, np.float32))
    parallel_for(_intersect, n, _GRAIN, *given, False, counts, *none)
    new_indptr = np.zeros(n + 1, np.int64)
    np.cumsum(counts, out=new_indptr[1:])
    new_columns = np.empty(new_indptr[-1], np.int32)
    new_weights = np.empty(new_indptr[-1], np.float32)
    parallel_for(_intersect, n, _GRAIN, *given, True, new_indptr, new_columns, new_weights)
    return new_indptr, new_columns, new_weights


@kernel(*_GRAPH, array_out(f32, 1), i64, i64)
def _row_maxima(indptr, columns, weights, largest, start, stop):
    for i in range(start, stop):
        top = np.float32(0.0)
        for e in range(indptr[i], indptr[i + 1]):
            if weights[e] > top:
                top = weights[e]
        largest[i] = top


@kernel(*_GRAPH, array_in(f32, 1), array_out(f32, 1), i64, i64)
def _restore(indptr, columns, weights, largest, to, start, stop):
    for i in range(start, stop):
        for e in range(indptr[i], indptr[i + 1]):
            j = columns[e]
            low = indptr[j]
            high = indptr[j + 1]
            while low < high:  # the edge back
                middle = (low + high) >> 1
                if columns[middle] < i:
                    low = middle + 1
                else:
                    high = middle
            p = weights[e] / largest[i] if largest[i] > np.float32(0.0) else np.float32(0.0)
            q = weights[low] / largest[j] if largest[j] > np.float32(0.0) else np.float32(0.0)
            to[e] = p + q - p * q


def restore_connectivity(
    indptr: NDArray[np.int64], columns: NDArray[np.int32], weights: NDArray[np.float32]
) -> NDArray[np.float32]:
    """Rows divided by their maximum, then p + p^T - p p^T; the graph's pattern is symmetric."""
    n = len(indptr) - 1
    largest, to = np.empty(n, np.float32), np.empty(len(weights), np.float32)
    parallel_for(_row_maxima, n, _GRAIN, indptr, columns, weights, largest)
    parallel_for(_restore, n, _GRAIN, indptr, columns, weights, largest, to)
    return to
