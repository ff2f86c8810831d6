"""t-SNE's attraction along the edges of a sparse graph: what the fast kernels must compute.

a_i = sum_j p_ij (1 + r_ij^2 / dof)^-1 (y_i - y_j)
C   = -sum_ij p_ij log w(r_ij),   w(r) = (1 + r^2 / dof)^-dof

(van der Maaten and Hinton 2008; Kobak, Linderman, Steinerberger, Kluger and Berens 2019 for
dof).  With the repulsive f_i and Z of the other kernels the gradient of the KL divergence is
4 (a_i - f_i / Z), and the divergence itself  sum p log p + C + log Z.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import sparse

Array = NDArray[Any]


def _edges(Y: Array, indptr: Array, columns: Array, dof: float) -> tuple[Array, Array, Array]:
    """Sources (e,), differences y_i - y_j (e, d) and r^2 / dof (e,) of all edges."""
    rows = np.repeat(np.arange(len(Y)), np.diff(indptr))
    differences = Y.astype(np.float64)[rows] - Y.astype(np.float64)[columns]
    return rows, differences, (differences**2).sum(axis=1) / dof


def attraction(Y: Array, indptr: Array, columns: Array, weights: Array, dof: float) -> Array:
    """The attractive forces a (n, d) at the places Y (n, d), p as CSR."""
    rows, differences, squares = _edges(Y, indptr, columns, dof)
    forces = np.zeros(Y.shape)
    np.add.at(forces, rows, (weights / (1.0 + squares))[:, None] * differences)
    return forces


def cross_entropy(Y: Array, indptr: Array, columns: Array, weights: Array, dof: float) -> float:
    """C = -sum p log w of the places Y (n, d), p as CSR."""
    _, _, squares = _edges(Y, indptr, columns, dof)
    return float((weights * dof * np.log1p(squares)).sum(dtype=np.float64))


def reorder_graph(
    order: Array, indptr: Array, columns: Array, weights: Array
) -> tuple[Array, Array, Array]:
    """The symmetric graph whose vertex r is vertex ``order[r]`` of this one; rows sorted.

    ``order`` (n,) holds every vertex once; the places to go with it are ``Y[order]``.
    """
    n = len(order)
    graph = sparse.csr_array((weights, columns, indptr), (n, n))[order][:, order]
    graph.sort_indices()
    return graph.indptr.astype(np.int64), graph.indices.astype(np.int32), graph.data
