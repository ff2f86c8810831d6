"""UMAP's fuzzy set: from the distances of neighbours to a symmetric graph.

    rho_i    distance of the local_connectivity-th distinct neighbour
    sigma_i  solves  sum_j exp(-max(0, d_ij - rho_i) / sigma_i) = log2(k_i + 1) bandwidth
    p_ij     = exp(-max(0, d_ij - rho_i) / sigma_i)
    w        = mix (p + p^T - p p^T) + (1 - mix) p p^T

(McInnes, Healy and Melville 2018, section 3.1).  Neighbours at infinite distance count for
nothing: k_i is the number of the finite ones.  Sigma comes from Newton's method on
1 / sigma, kept inside a bracket: the sum falls and is convex there, so from the left it
never steps too far.
"""

# Compiled functions carry no annotations: their types stand in the decorator.
# mypy: disable-error-code="no-untyped-def"

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from ._jit import array_in, array_out, f32, i64, inlined, kernel
from ._merge import unite
from ._threads import parallel_for

_GRAIN = 2048
# sigma is never below this share of the mean distance, the point itself counted at 0.
_LEAST = np.float32(1e-3)
_STEPS = 100
_TOLERANCE = np.float32(1e-5)


@inlined
def _exp(x):
    """exp(x) for x in [-87, 0] to 2e-7, without a call: loops of it vectorise."""
    t = np.float32(x) * np.float32(1.44269504)
    whole = np.floor(t)
    part = t - whole
    y = np.float32(1.8775767e-3) * part + np.float32(8.9893397e-3)
    y = y * part + np.float32(5.5826318e-2)
    y = y * part + np.float32(2.4015361e-1)
    y = y * part + np.float32(6.9315308e-1)
    y = y * part + np.float32(9.9999994e-1)
    return y * np.int32((np.int32(whole) + np.int32(127)) << np.int32(23)).view(np.float32)


@inlined
def _fall(beyond, inverse, terms):
    """exp(-beyond * inverse) into ``terms``; huge arguments count as 87."""
    for j in range(beyond.shape[0]):
        x = beyond[j] * inverse
        if x > np.float32(87.0):
            x = np.float32(87.0)
        terms[j] = _exp(-x)


@kernel(
    *(array_in(f32, 2), f32, f32, f32),
    *(array_out(f32, 1), array_out(f32, 1), i64, i64),
)
def _smooth(distances, local_connectivity, bandwidth, overall, rho, sigma, start, stop):
    width = distances.shape[1]
    beyond = np.empty(width, np.float32)
    terms = np.empty(width, np.float32)
    whole = int(local_connectivity)
    part = local_connectivity - np.float32(whole)
    for i in range(start, stop):
        row = distances[i]
        k = 0
        zeros = 0
        total = np.float32(0.0)
        while k < width and row[k] < np.float32(3e38):
            total += row[k]
            zeros += row[k] <= np.float32(0.0)
            k += 1
        apart = k - zeros
        # Sorted rows: the distinct neighbours follow the copies.
        r = np.float32(0.0)
        if apart > 0:
            if apart < local_connectivity:
                r = row[k - 1]
            elif whole == 0:
                r = part * row[zeros]
            else:
                r = row[zeros + whole - 1]
                if part > np.float32(0.0) and zeros + whole < k:
                    r += part * (row[zeros + whole] - r)
        rho[i] = r
        mean = total / np.float32(k + 1) if r > np.float32(0.0) else overall
        target = np.float32(np.log2(k + 1.0)) * bandwidth
        near = 0
        for j in range(k):
            b = row[j] - r
            if b <= np.float32(0.0):
                b = np.float32(0.0)
                near += 1
            beyond[j] = b
        s = np.float32(0.0)
        if k > 0 and near < target:
            s = _solve(beyond[:k], terms[:k], target)
        least = _LEAST * mean
        sigma[i] = s if s > least else least


@inlined
def _solve(beyond, terms, target):
    """sigma with sum_j exp(-beyond_j / sigma) = target; 1e30 times the largest if none."""
    largest = beyond[-1]
    low = np.float32(1e-30) / largest
    high = np.float32(np.inf)
    # Below k terms of 1 there is a solution; a first guess that lies to its left.
    inverse = low
    if target < np.float32(beyond.shape[0]):
        total = np.float32(0.0)
        for j in range(beyond.shape[0]):
            total += beyond[j]
        inverse = (np.float32(beyond.shape[0]) - target) / total
    for _ in range(_STEPS):
        _fall(beyond, inverse, terms)
        value = -target
        slope = np.float32(0.0)
        for j in range(beyond.shape[0]):
            value += terms[j]
            slope += beyond[j] * terms[j]
        if abs(value) < _TOLERANCE:
            break
        if value > np.float32(0.0):
            low = inverse
        else:
            high = inverse
        step = inverse + value / slope if slope > np.float32(0.0) else high
        if not (low < step < high):
            if high > np.float32(3e38):
                step = np.float32(2.0) * low
            else:
                step = np.float32(0.5) * (low + high)
        if step == inverse or step > np.float32(1e37):
            break
        inverse = step
    return np.float32(1.0) / inverse


def smooth_distances(
    distances: NDArray[np.float32], local_connectivity: float, bandwidth: float
) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """rho and sigma (n,) of sorted distances (n, k) to true neighbours."""
    n = len(distances)
    rho, sigma = np.empty(n, np.float32), np.empty(n, np.float32)
    total, count = 0.0, n
    for first in range(0, n, 65536):
        block = distances[first : first + 65536]
        finite = block < np.float32(3e38)
        total += float(block.sum(dtype=np.float64, where=finite))
        count += int(finite.sum())
    parallel_for(
        _smooth, n, _GRAIN, distances, np.float32(local_connectivity), np.float32(bandwidth),
        np.float32(total / max(1, count)), rho, sigma,
    )  # fmt: skip
    return rho, sigma


@kernel(
    *(array_in(f32, 2), array_in(f32, 1), array_in(f32, 1)),
    *(array_out(f32, 2), i64, i64),
)
def _memberships(distances, rho, sigma, strengths, start, stop):
    beyond = np.empty(distances.shape[1], np.float32)
    for i in range(start, stop):
        inverse = np.float32(0.0)
        if sigma[i] > np.float32(0.0):
            inverse = np.float32(1.0) / sigma[i]
        for j in range(beyond.shape[0]):
            b = distances[i, j] - rho[i]
            if b < np.float32(0.0):
                b = np.float32(0.0)
            beyond[j] = b
        _fall(beyond, inverse, strengths[i])
        for j in range(beyond.shape[0]):
            if not (distances[i, j] < np.float32(3e38)):
                strengths[i, j] = np.float32(0.0)
            elif beyond[j] <= np.float32(0.0):
                strengths[i, j] = np.float32(1.0)


def memberships(
    distances: NDArray[np.float32], rho: NDArray[np.float32], sigma: NDArray[np.float32]
) -> NDArray[np.float32]:
    """p (n, k): 1 up to rho, 0 at infinity."""
    strengths = np.empty(distances.shape, np.float32)
    parallel_for(_memberships, len(distances), _GRAIN, distances, rho, sigma, strengths)
    return strengths


def fuzzy_union(
    indices: NDArray[np.int32], strengths: NDArray[np.float32], set_op_mix_ratio: float
) -> tuple[NDArray[np.int64], NDArray[np.int32], NDArray[np.float32]]:
    """The symmetric graph as CSR (indptr, columns, weights), rows sorted, no zeros."""
    return unite(indices, strengths, set_op_mix_ratio, 0.0)
