"""The linear stand-in: weighted least squares from masks to scores."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]
_FLAT = 8 * float(np.finfo(np.float32).eps)  # scores of float32 that vary less are all the same
_SINGULAR = 1e12


class Fit(NamedTuple):
    """Weights of the segments (K, segments) and the intercept (K,) of each target."""

    coefficients: Array
    intercept: Array

    def at(self, shown: NDArray[Any]) -> Array:
        """(n, K): what the stand-in says of masks."""
        found: Array = self.intercept + shown.astype(np.float64) @ self.coefficients.T
        return found


def ridge(shown: NDArray[Any], scores: Array, weights: Array, alpha: float) -> Fit:
    """Minimise sum w (y - b - z c)^2 + alpha |c|^2, the intercept b free.

    ``shown`` is (n, segments), ``scores`` (n, K).  Without a penalty, and masks that do not tell
    some segments apart, the shortest of the solutions.
    """
    z = shown.astype(np.float64)
    total = weights.sum()
    middle, mean = weights @ z / total, weights @ scores / total
    z = z - middle
    weighted = z * weights[:, None]
    gram, right = weighted.T @ z, weighted.T @ (scores - mean)
    if alpha > 0:
        gram[np.diag_indices_from(gram)] += alpha
        found = np.linalg.solve(gram, right)
    else:
        found = np.linalg.pinv(gram, hermitian=True) @ right
    return Fit(found.T, mean - middle @ found)


def constrained(shown: NDArray[Any], scores: Array, weights: Array) -> Fit:
    """Minimise sum w (y - b - z c)^2 with b the score of nothing and b + sum c that of all.

    The first two rows are all and nothing.  By a Lagrange multiplier (Covert and Lee 2021,
    equation 7):  c = A^-1 (r - 1 (1' A^-1 r - d) / 1' A^-1 1),  A = Z' W Z,  r = Z' W (y - b),
    d the score of all less that of nothing.  NaN where the masks do not suffice.
    """
    whole, nothing = scores[0], scores[1]
    z, segments = shown.astype(np.float64), shown.shape[1]
    weighted = z * weights[:, None]
    gram = weighted.T @ z
    if segments == 1:  # no masks lie between all and nothing
        return Fit((whole - nothing)[:, None], nothing)
    if not np.linalg.cond(gram) < _SINGULAR:
        return Fit(np.full((len(whole), segments), np.nan), nothing)
    right = weighted.T @ (scores - nothing)
    solved = np.linalg.solve(gram, np.column_stack([right, np.ones(segments)]))
    free, ones = solved[:, :-1], solved[:, -1:]
    missing = whole - nothing - free.sum(0)
    found = free + ones * (missing / ones.sum())
    # What rounding leaves is shared out: the sum is exact to the last place.
    found += (whole - nothing - found.sum(0)) / segments
    return Fit(found.T, nothing)


def r_squared(fit: Fit, shown: NDArray[Any], scores: Array, weights: Array) -> Array:
    """(K,): the share of the weighted variance of the scores that the stand-in explains.

    NaN where the scores do not vary: there is nothing to explain.
    """
    used = scores[weights > 0]
    if len(used) == 0:
        return np.full(scores.shape[1], np.nan)
    mean = weights @ scores / weights.sum()
    left = weights @ np.square(scores - fit.at(shown))
    all_of_it = weights @ np.square(scores - mean)
    flat = np.ptp(used, axis=0) <= _FLAT * np.abs(used).max(0)
    with np.errstate(invalid="ignore", divide="ignore"):
        return np.where(flat, np.nan, 1 - left / all_of_it)


def select(shown: NDArray[Any], scores: Array, weights: Array, n_features: int) -> NDArray[Any]:
    """Which segments one target's stand-in may use, as lime's "auto" chooses them.

    Up to six: one after another the one that leaves the least; more: those of the largest
    weights by a nearly free fit.
    """
    n_features = min(n_features, shown.shape[1])
    if n_features <= 6:
        return _forward(shown, scores, weights, n_features)
    size = np.abs(ridge(shown, scores[:, None], weights, 0.01).coefficients[0])
    return np.sort(np.argsort(-size, kind="stable")[:n_features])


def _forward(shown: NDArray[Any], scores: Array, weights: Array, n_features: int) -> NDArray[Any]:
    """Greedy by the variance explained without a penalty: r' G^+ r of each set of segments."""
    z = shown.astype(np.float64)
    total = weights.sum()
    z = z - weights @ z / total
    weighted = z * weights[:, None]
    gram, right = weighted.T @ z, weighted.T @ (scores - weights @ scores / total)
    chosen: list[int] = []
    for _ in range(n_features):
        left = np.setdiff1d(np.arange(len(gram)), chosen)
        sets = np.column_stack([np.tile(chosen, (len(left), 1)), left]).astype(np.int64)
        grams, rights = gram[sets[:, :, None], sets[:, None, :]], right[sets]
        inverse = np.linalg.pinv(grams, hermitian=True)
        explained = np.einsum("si,sij,sj->s", rights, inverse, rights)
        chosen.append(int(left[explained.argmax()]))
    return np.sort(np.array(chosen))
