"""t-SNE's affinities: what the fast kernels must compute.

p_j|i  = exp(-beta_i d_ij^2) / sum_k exp(-beta_i d_ik^2)
beta_i   solves  -sum_j p_j|i log p_j|i = log(perplexity)
p_ij   = (p_j|i + p_i|j) / sum of all

(van der Maaten and Hinton 2008, section 2).  Several perplexities: the mean of their p_j|i
(Lee, Peluffo-Ordóñez and Verleysen 2015).  Neighbours at infinite distance count for
nothing.  A perplexity out of reach: with no more than that many finite neighbours, all of
them alike; with at least that many at the smallest distance, those alike.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import sparse

from .fuzzy_set import _parts

Array = NDArray[Any]
_STEPS = 200


def _row(finite: Array, perplexity: float) -> Array:
    """The affinities of sorted finite distances, by bisection on the logarithm of beta."""
    ties = int((finite == finite[0]).sum())
    if len(finite) <= perplexity or ties >= perplexity:
        alike = len(finite) if len(finite) <= perplexity else ties
        return (np.arange(len(finite)) < alike) / alike
    beyond = (finite - finite[0]) * (finite + finite[0])
    # The solution lies about the distance of the neighbour that perplexity counts to.
    beyond = beyond / beyond[int(perplexity)]
    low, high = -200.0, 200.0
    p = np.zeros(len(finite))
    for _ in range(_STEPS):
        middle = (low + high) / 2
        # Exponents beyond 700 are zero anyway; the bound keeps the products finite.
        t = np.minimum(np.exp(middle) * beyond, 700.0)
        p = np.exp(-t)
        entropy = np.log(p.sum()) + (t * p).sum() / p.sum()
        low, high = (middle, high) if entropy > np.log(perplexity) else (low, middle)
    return np.asarray(p / p.sum())


def conditional_affinities(distances: Array, perplexities: Sequence[float]) -> Array:
    """p_j|i (n, k) of sorted distances (n, k) to true neighbours; rows sum to 1."""
    affinities = np.zeros(distances.shape)
    for i, row in enumerate(distances.astype(np.float64)):
        finite = row[np.isfinite(row)]
        if len(finite):
            rows = [_row(finite, perplexity) for perplexity in perplexities]
            affinities[i, : len(finite)] = np.mean(rows, axis=0)
    return affinities


def joint_affinities(indices: Array, affinities: Array) -> tuple[Array, Array, Array]:
    """p_ij as CSR (indptr, columns, weights), rows sorted, no zeros; all sum to 1.

    ``indices`` (n, k) of neighbours, -1 for none; ``affinities`` (n, k) are p_j|i.
    """
    n, k = indices.shape
    there = (indices >= 0) & (affinities > 0)
    rows = np.repeat(np.arange(n), k).reshape(n, k)[there]
    values = affinities[there].astype(np.float64)
    p = sparse.csr_array((values, (rows, indices[there])), (n, n))
    indptr, columns, weights = _parts(p + p.T)
    return indptr, columns, weights / max(weights.sum(), 1e-300)
