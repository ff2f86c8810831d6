"""Supervision: a fuzzy set made to agree with classes, or with a second graph.

(McInnes, Healy and Melville 2018, section 3.3; the intersection of fuzzy sets.)
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import sparse

from .fuzzy_set import _parts

Array = NDArray[Any]


def class_intersection(
    indptr: Array,
    columns: Array,
    weights: Array,
    labels: Array,
    unknown_distance: float,
    far_distance: float,
) -> Array:
    """Weights times exp(-far) where the labels of both ends differ, exp(-unknown) at -1."""
    rows = np.repeat(np.arange(len(indptr) - 1), np.diff(indptr))
    a, b = labels[rows], labels[columns]
    unknown = (a < 0) | (b < 0)
    factor = np.where(
        unknown, np.exp(-unknown_distance), np.where(a == b, 1, np.exp(-far_distance))
    )
    return np.asarray(weights * factor)


def graph_intersection(
    indptr: Array,
    columns: Array,
    weights: Array,
    target_indptr: Array,
    target_columns: Array,
    target_weights: Array,
    known: Array,
    unknown_distance: float,
    mix_weight: float,
) -> tuple[Array, Array, Array]:
    """The product of two graphs, u^alpha v^beta, on every edge that one of them has.

    alpha = 1, beta = m / (1 - m) for a mix weight m below 1/2, else beta = 1 and
    alpha = (1 - m) / m.  An edge that one graph lacks counts there as half its smallest
    weight, at least 1e-8 (and at most 1e-4 in the target's).  Edges with an end that is not
    ``known`` are those of the first graph times exp(-unknown).
    """
    n = len(indptr) - 1
    first = sparse.csr_array((weights.astype(np.float64), columns, indptr), (n, n)).toarray()
    second = sparse.csr_array((target_weights, target_columns, target_indptr), (n, n)).toarray()
    least = max(float(weights.min(initial=1.0)) / 2, 1e-8)
    target_least = min(max(float(target_weights.min(initial=1.0)) / 2, 1e-8), 1e-4)
    u, v = np.where(first > 0, first, least), np.where(second > 0, second, target_least)
    if mix_weight < 0.5:
        product = u * v ** (mix_weight / (1 - mix_weight))
    else:
        product = u ** ((1 - mix_weight) / mix_weight) * v
    product[(first == 0) & (second == 0)] = 0.0
    both = known[:, None] & known[None, :]
    return _parts(np.where(both, product, first * np.exp(-unknown_distance)))


def restore_connectivity(indptr: Array, columns: Array, weights: Array) -> Array:
    """Rows divided by their maximum, then p + p^T - p p^T; the graph's pattern is symmetric."""
    n = len(indptr) - 1
    graph = sparse.csr_array((weights.astype(np.float64), columns, indptr), (n, n))
    largest = graph.max(axis=1).toarray().ravel()
    p = sparse.diags_array(1.0 / np.where(largest > 0, largest, 1.0)) @ graph
    union = (p + p.T - p.multiply(p.T)).toarray()
    rows = np.repeat(np.arange(n), np.diff(indptr))
    return np.asarray(union[rows, columns])
