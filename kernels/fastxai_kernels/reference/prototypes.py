"""Prototypes and criticisms: what the fast kernels must choose.

k(x, y)  = exp(-gamma |x - y|^2)
c_i      = 1/n sum_j k(x_i, x_j)
MMD^2(S) = 1/n sum_i c_i - 2/m sum_{j in S} c_j + 1/m^2 sum_{j, l in S} k(x_j, x_l),  m = |S|
f_i      = c_i - 1/m sum_{j in S} k(x_i, x_j)

The next prototype leaves the least MMD^2(S); the next criticism adds most to
sum_{i in C} |f_i| + log det K_CC (Kim, Khanna and Koyejo 2016, "Examples are not enough, learn
to criticize!").  Here every candidate set is evaluated in full.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

Array = NDArray[Any]

_LEAST = 1e-6  # of 1 - k(x, nearest combination of C): what is left of a copy is rounding


def _kernel(X: Array, Y: Array, gamma: float) -> Array:
    away = X.astype(np.float64)[:, None] - Y.astype(np.float64)[None]
    return np.asarray(np.exp(-gamma * (away**2).sum(axis=2)))


def kernel_sums(
    X: Array, centre: Array, gamma: float, start: int, stop: int, first: int, last: int
) -> tuple[Array, Array]:
    """Sums of the rows and of the columns of k(X[start:stop], X[first:last])."""
    K = _kernel(X[start:stop], X[first:last], gamma)
    return K.sum(axis=1), K.sum(axis=0)


def next_prototype(X: Array, gamma: float, means: Array, chosen: Sequence[int], sums: Array) -> int:
    """The point (the lowest of equals) that, put to those chosen, leaves the least MMD^2.

    ``means`` (n,) are c.  ``sums`` (n,) are sum_{j in S} k(x_i, x_j) over those chosen, here
    written anew.
    """
    sums[:] = _kernel(X, X[list(chosen)], gamma).sum(axis=1)
    losses = np.full(len(X), np.inf)
    for i in sorted(set(range(len(X))) - set(chosen)):
        S = [*chosen, i]
        losses[i] = means.mean() - 2 * means[S].mean() + _kernel(X[S], X[S], gamma).mean()
    return int(losses.argmin())


def witness(X: Array, gamma: float, means: Array, chosen: Sequence[int], sums: Array) -> Array:
    """f (n,) of the prototypes chosen; ``sums`` are brought up to date."""
    sums[:] = _kernel(X, X[list(chosen)], gamma).sum(axis=1)
    return np.asarray(means - sums / len(chosen))


def next_criticism(
    X: Array,
    gamma: float,
    witness: Array,
    prototypes: Sequence[int],
    chosen: Sequence[int],
    factors: Array,
    left: Array,
) -> int:
    """The point (the lowest of equals) that, put to those chosen, adds most; -1 if none can.

    None can where all that is left are copies of those chosen.  ``factors`` (n, room) and
    ``left`` (n,), which begins as 1, are rows of the Cholesky factor of K and the squares of
    its next diagonal; here only ``left`` is written.
    """
    C = list(chosen)
    _, before = np.linalg.slogdet(_kernel(X[C], X[C], gamma)) if C else (1.0, 0.0)
    scores = np.full(len(X), -np.inf)
    for i in sorted(set(range(len(X))) - set(prototypes) - set(chosen)):
        sign, after = np.linalg.slogdet(_kernel(X[[*C, i]], X[[*C, i]], gamma))
        left[i] = np.exp(after - before) if sign > 0 else 0.0
        if left[i] > _LEAST:
            scores[i] = abs(witness[i]) + np.log(left[i])
    return int(scores.argmax()) if np.isfinite(scores).any() else -1
