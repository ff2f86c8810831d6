"""A graph with fewer vertices: neighbourhoods become one vertex, their edges are added up."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import sparse

Array = NDArray[Any]


def aggregate(indptr: Array, indices: Array, weights: Array, most: int) -> tuple[Array, int]:
    """The aggregate of each vertex, and how many there are.

    In order, a vertex that no aggregate touches yet founds one with its neighbours, at most
    ``most`` members; what is left joins the aggregate of its strongest neighbour in one, or
    stays alone.
    """
    n = len(indptr) - 1
    near = [slice(indptr[i], indptr[i + 1]) for i in range(n)]
    owner, count = np.full(n, -1, np.int32), 0
    for i in range(n):
        others = indices[near[i]]
        if owner[i] < 0 and (owner[others] < 0).all():
            owner[others[: most - 1]] = count
            owner[i] = count
            count += 1
    for i in np.flatnonzero(owner < 0).tolist():
        strength = np.where(owner[indices[near[i]]] >= 0, weights[near[i]], -1.0)
        if len(strength) and strength.max() >= 0:
            owner[i] = owner[indices[near[i]][strength.argmax()]]
        else:
            owner[i] = count
            count += 1
    return owner, count


def coarsen(
    indptr: Array, indices: Array, weights: Array, owner: Array, count: int
) -> tuple[Array, Array, Array]:
    """P^T W P as CSR, with P_ic = 1 where vertex i belongs to aggregate c."""
    n = len(owner)
    W = sparse.csr_array((weights.astype(np.float64), indices, indptr), (n, n))
    P = sparse.csr_array((np.ones(n), owner, np.arange(n + 1)), (n, count))
    small = sparse.csr_array(P.T @ W @ P)
    small.sort_indices()
    return small.indptr.astype(np.int64), small.indices.astype(np.int32), small.data
