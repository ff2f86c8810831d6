"""UMAP's fuzzy set: what the fast kernels must compute.

rho_i    distance of the local_connectivity-th distinct neighbour
sigma_i  solves  sum_j exp(-max(0, d_ij - rho_i) / sigma_i) = log2(k_i + 1) bandwidth
p_ij     = exp(-max(0, d_ij - rho_i) / sigma_i)
w        = mix (p + p^T - p p^T) + (1 - mix) p p^T

(McInnes, Healy and Melville 2018, section 3.1).  Neighbours at infinite distance count for
nothing: k_i is the number of the finite ones.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import sparse

Array = NDArray[Any]
_STEPS = 200
# sigma is never below this share of the mean distance, the point itself counted at 0.
_LEAST = 1e-3


def _rho(finite: Array, local_connectivity: float) -> float:
    apart = finite[finite > 0]
    if len(apart) == 0:
        return 0.0
    if len(apart) < local_connectivity:
        return float(apart.max())
    # The k-th neighbour for every k, linear between two of them, 0 for the point itself.
    return float(np.interp(local_connectivity, np.arange(len(apart) + 1), [0.0, *apart]))


def _sigma(finite: Array, rho: float, target: float) -> float:
    """Bisection; 0 if even the smallest sigma gives too much, infinity if none gives enough."""
    beyond = np.maximum(finite - rho, 0.0)
    if (beyond == 0).sum() >= target:
        return 0.0
    low, high = 0.0, 1e30 * max(float(beyond.max()), 1e-30)
    for _ in range(_STEPS):
        middle = np.sqrt(max(low, 1e-30 * high) * high)
        enough = np.exp(-beyond / middle).sum() > target
        low, high = (low, middle) if enough else (middle, high)
    return float(high)


def smooth_distances(
    distances: Array, local_connectivity: float, bandwidth: float
) -> tuple[Array, Array]:
    """rho and sigma (n,) of sorted distances (n, k) to true neighbours."""
    rho, sigma = np.zeros(len(distances)), np.zeros(len(distances))
    known = np.where(np.isfinite(distances), distances, 0.0).astype(np.float64)
    counts = np.isfinite(distances).sum(axis=1)
    overall = known.sum() / max(1, (counts + 1).sum())
    for i, row in enumerate(distances.astype(np.float64)):
        finite = row[np.isfinite(row)]
        rho[i] = _rho(finite, local_connectivity)
        if len(finite):
            sigma[i] = _sigma(finite, rho[i], np.log2(len(finite) + 1) * bandwidth)
        mean = finite.sum() / (len(finite) + 1) if rho[i] > 0 else overall
        sigma[i] = max(sigma[i], _LEAST * mean)
    return rho, sigma


def memberships(distances: Array, rho: Array, sigma: Array) -> Array:
    """p (n, k): 1 up to rho, 0 at infinity."""
    beyond = np.maximum(distances.astype(np.float64) - rho[:, None], 0.0)
    p = np.zeros(distances.shape)
    for i in range(len(p)):
        there = np.isfinite(beyond[i])
        scale = sigma[i] if sigma[i] > 0 else np.inf
        p[i, there] = np.exp(-beyond[i, there] / scale)
    return p


def fuzzy_union(
    indices: Array, strengths: Array, set_op_mix_ratio: float
) -> tuple[Array, Array, Array]:
    """The symmetric graph as CSR (indptr, columns, weights), rows sorted, no zeros."""
    n, k = indices.shape
    there = (indices >= 0) & (strengths > 0)
    rows = np.repeat(np.arange(n), k).reshape(n, k)[there]
    values = strengths[there].astype(np.float64)
    p = sparse.csr_array((values, (rows, indices[there])), (n, n))
    both = p.multiply(p.T)
    return _parts(set_op_mix_ratio * (p + p.T - both) + (1.0 - set_op_mix_ratio) * both)


def _parts(graph: Any) -> tuple[Array, Array, Array]:
    graph = sparse.csr_array(graph)
    graph.eliminate_zeros()
    graph.sort_indices()
    return graph.indptr.astype(np.int64), graph.indices.astype(np.int32), graph.data
