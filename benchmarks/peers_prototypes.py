"""The other side of prototypes and criticisms: the whole kernel matrix in NumPy.

As quick as NumPy does it: one product (of a matrix with itself, of which BLAS computes half),
everything else in place, and sums that are kept up to date instead of computed anew.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from fastxai.bench.child import Stages


def _matrix(X: np.ndarray, gamma: float) -> np.ndarray:
    X = X - X.mean(axis=0)
    squares = np.einsum("ij,ij->i", X, X)
    K = X @ X.T
    K *= -2
    K += squares[:, None]
    K += squares
    np.maximum(K, 0, out=K)
    K *= X.dtype.type(-gamma)
    np.exp(K, out=K)
    return K


def _greedy(X: np.ndarray, gamma: float, n_prototypes: int, n_criticisms: int) -> dict[str, Any]:
    K = _matrix(X, gamma)
    n = len(K)
    means, sums, taken = K.mean(axis=1, dtype=np.float64), np.zeros(n), np.zeros(n, bool)
    chosen: list[int] = []
    losses: list[float] = []
    whole, near, among = float(means.mean()), 0.0, 0.0
    for m in range(1, n_prototypes + 1):
        score = means - sums / m
        score[taken] = -np.inf
        point = int(score.argmax())
        chosen.append(point)
        taken[point] = True
        near, among = near + means[point], among + 2 * sums[point] + 1
        losses.append(whole - 2 * near / m + among / m**2)
        sums += K[point]
    witness, left = np.abs(means - sums / n_prototypes), np.ones(n)
    factors, criticisms = np.zeros((n_criticisms, n)), []
    for c in range(n_criticisms):
        score = np.full(n, -np.inf)
        free = ~taken & (left > 1e-6)
        score[free] = witness[free] + np.log(left[free])
        point = int(score.argmax())
        criticisms.append(point)
        taken[point] = True
        known = factors[:c]
        factors[c] = (K[point] - known[:, point] @ known) / np.sqrt(left[point])
        left -= factors[c] ** 2
    return {"prototypes": chosen, "criticisms": criticisms, "mmd2": losses}


def choose(
    stages: Stages, data: str, out: str, n: int, gamma: float, calls: int, dtype: str
) -> dict[str, Any]:
    """Ten prototypes, ten criticisms of the first n rows."""
    with stages("load"):
        X = np.load(data)[:n].astype(dtype)
    found, seconds = stages.repeat(lambda: _greedy(X, gamma, 10, 10), calls)
    np.savez(out, **found)
    return {"calls": seconds}


TASKS = {"choose": choose}
