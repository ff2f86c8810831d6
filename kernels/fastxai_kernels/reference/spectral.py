"""The smooth functions on a graph: leading eigenvectors of D^-1/2 W D^-1/2.

(Ng, Jordan and Weiss 2002.)  The first one, D^1/2 1, is known and left out.  A polynomial
of Chebyshev damps what belongs to eigenvalues below ``edge`` (Zhou, Saad, Tiago and
Chelikowsky 2006); the Rayleigh-Ritz step picks the eigenvectors out of what is left.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.polynomial import Chebyshev
from numpy.typing import NDArray
from scipy import sparse

Array = NDArray[Any]


def _matrix(indptr: Array, indices: Array, values: Array) -> Array:
    n = len(indptr) - 1
    return sparse.csr_array((values.astype(np.float64), indices, indptr), (n, n)).toarray()


def normalise(indptr: Array, indices: Array, weights: Array) -> tuple[Array, Array]:
    """w_ij / sqrt(d_i d_j) for each edge, and the unit vector along D^1/2 1."""
    W = _matrix(indptr, indices, weights)
    root = np.sqrt(W.sum(axis=1))
    rows = np.repeat(np.arange(len(root)), np.diff(indptr))
    return weights / (root[rows] * root[indices]), root / np.linalg.norm(root)


def chebyshev_filter(
    indptr: Array, indices: Array, scaled: Array, block: Array, degree: int, edge: float
) -> Array:
    """T_degree(B) block, with B the matrix after [-1, edge] was mapped to [-1, 1]."""
    values, vectors = np.linalg.eigh(_matrix(indptr, indices, scaled))
    mapped = (2 * values - (edge - 1)) / (edge + 1)
    damped = Chebyshev.basis(degree, domain=(-1, 1))(mapped)
    return np.asarray(vectors @ (damped[:, None] * (vectors.T @ block)))


def ritz(
    indptr: Array, indices: Array, scaled: Array, block: Array, known: Array
) -> tuple[Array, Array, Array]:
    """Eigenvalues, vectors and residuals |A v - value v| within the span of ``block``.

    Without the direction ``known``; the largest eigenvalue first.
    """
    A = _matrix(indptr, indices, scaled)
    Q = np.linalg.qr(block - np.outer(known, known @ block))[0]
    Q = np.linalg.qr(Q - np.outer(known, known @ Q))[0]
    values, turn = np.linalg.eigh(Q.T @ A @ Q)
    values, vectors = values[::-1], Q @ turn[:, ::-1]
    return values, vectors, np.linalg.norm(A @ vectors - vectors * values, axis=0)
