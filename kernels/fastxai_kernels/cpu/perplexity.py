"""t-SNE's affinities: from the distances of neighbours to a joint distribution.

    p_j|i  = exp(-beta_i d_ij^2) / sum_k exp(-beta_i d_ik^2)
    beta_i   solves  -sum_j p_j|i log p_j|i = log(perplexity)
    p_ij   = (p_j|i + p_i|j) / sum of all

(van der Maaten and Hinton 2008, section 2).  Several perplexities: the mean of their p_j|i
(Lee, Peluffo-Ordóñez and Verleysen 2015).  Neighbours at infinite distance count for
nothing.  A perplexity out of reach: with no more than that many finite neighbours, all of
them alike; with at least that many at the smallest distance, those alike.

With s = log beta the entropy falls from log(neighbours) to log(ties) and has the slope
-beta^2 Var(d^2): Newton's method in s, kept inside a bracket, which is
halved where that does not converge.
"""

# Compiled functions carry no annotations: their types stand in the decorator.
# mypy: disable-error-code="no-untyped-def"

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from ._jit import array_in, array_out, f32, f64, i64, inlined, kernel
from ._merge import Lists, unite
from ._threads import parallel_for
from ._vectors import LANES
from ._wide import constant, exp, fma, load, splat, store, total64, where_less

_GRAIN = 1024
_STEPS = 100
_PATIENCE = 8  # steps after which every second one halves the bracket
_TOLERANCE = 2e-6
_LARGEST = np.float32(1e30)  # of a squared distance, in units of the row's


@kernel(array_in(f32, 2), array_in(f64, 1), array_out(f32, 2), i64, i64)
def _affinities(distances, perplexities, affinities, start, stop):
    width = distances.shape[1]
    room = (width + LANES - 1) // LANES * LANES
    beyond = np.empty(room, np.float32)
    terms = np.empty(room, np.float32)
    share = 1.0 / perplexities.shape[0]
    for i in range(start, stop):
        row = distances[i]
        out = affinities[i]
        out[:] = np.float32(0.0)
        k = 0
        ties = 0
        while k < width and row[k] < np.float32(np.inf):
            ties += row[k] <= row[0]
            k += 1
        for q in range(perplexities.shape[0]):
            perplexity = perplexities[q]
            if k <= perplexity or ties >= perplexity:
                alike = k if k <= perplexity else ties
                for j in range(alike):
                    out[j] += np.float32(share / alike)
                continue
            _lay(row[:k], int(perplexity), beyond)
            total = _solve(beyond, terms, np.log(perplexity))
            factor = np.float32(share / total)
            for j in range(k):
                out[j] += factor * terms[j]


@inlined
def _lay(row, middle, beyond):
    """d^2 less the smallest, as multiples of that of the neighbour ``middle``; the rest huge."""
    first = row[0]
    unit = row[middle]
    height = (unit - first) / unit * (np.float32(1.0) + first / unit)
    for j in range(row.shape[0]):
        x = (row[j] - first) / unit * (row[j] / unit + first / unit) / height
        beyond[j] = x if x < _LARGEST else _LARGEST
    for j in range(row.shape[0], beyond.shape[0]):
        beyond[j] = np.float32(np.inf)


@inlined
def _solve(beyond, terms, target):
    """Terms of that entropy, up to their sum, which is returned."""
    low = -75.0
    high = 75.0
    s = 0.0
    zero = 1.0
    for count in range(_STEPS):
        beta = splat(np.float32(np.exp(s)))
        sum0 = sum1 = sum2 = constant(0.0)
        for at in range(0, beyond.shape[0], LANES):
            x = beta * load(beyond, at)
            p = where_less(x, constant(87.0), exp(constant(0.0) - x))
            x = where_less(x, constant(87.0), x)
            store(terms, at, p)
            sum0 += p
            p *= x
            sum1 += p
            sum2 = fma(p, x, sum2)
        zero = total64(sum0)
        mean = total64(sum1) / zero
        excess = np.log(zero) + mean - target
        if abs(excess) < _TOLERANCE:
            break
        if excess > 0.0:
            low = s
        else:
            high = s
        slope = total64(sum2) / zero - mean * mean
        step = s + excess / slope if slope > 0.0 else high
        # Newton's steps may go back and forth between flat ends, and gain nothing.
        if not (low < step < high) or (count >= _PATIENCE and count % 2 == 0):
            step = 0.5 * (low + high)
        s = step
    return zero


def conditional_affinities(
    distances: NDArray[np.float32], perplexities: Sequence[float]
) -> NDArray[np.float32]:
    """p_j|i (n, k) of sorted distances (n, k) to true neighbours; rows sum to 1."""
    affinities = np.empty(distances.shape, np.float32)
    wanted = np.asarray(perplexities, np.float64)
    parallel_for(_affinities, len(distances), _GRAIN, distances, wanted, affinities)
    return affinities


def joint_affinities(indices: NDArray[np.int32], affinities: NDArray[np.float32]) -> Lists:
    """p_ij as CSR (indptr, columns, weights), rows sorted, no zeros; all sum to 1.

    ``indices`` (n, k) of neighbours, -1 for none; ``affinities`` (n, k) are p_j|i.
    """
    there = (indices >= 0) & (affinities > 0)
    total = 2.0 * float(affinities.sum(dtype=np.float64, where=there))
    return unite(indices, affinities, 0.0, 1.0 / total if total > 0.0 else 1.0)
