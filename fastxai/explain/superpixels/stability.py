"""How far weights hang on which masks were drawn, from the masks that there are."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy import stats

from .sampling import Masks
from .solve import Array, Fit, r_squared

_SPLITS = 10
Solve = Callable[[NDArray[Any], Array, Array], Fit]  # of masks, scores and weights


class Stability(NamedTuple):
    """Of each target: ``std`` is (K, segments), the others (K,)."""

    std: Array
    agreement: Array
    held_out: Array


def stability(masks: Masks, scores: Array, solve: Solve, seed: int) -> Stability:
    """What other masks would have given, and how well masks are foreseen that were not used.

        std^2 = mean of (c_1 - c_2)^2 / 4,   agreement = mean rank correlation of c_1 and c_2

    The masks drawn are split into halves, ten times, and both are solved.  The difference of two
    halves spreads twice as far as the whole from seed to seed; their ranks agree a little less
    than those of two seeds would (Spearman's and Brown's correction says too much: near 0 many
    coefficients are as good as tied).  ``held_out`` is the mean R^2 of a half's stand-in on the
    other half.  No forward is run for any of it.

    Masks that were written out belong to both halves.  With those alone nothing is left to
    chance: the spread is 0, and nothing is held out.
    """
    k, segments = scores.shape[1], masks.shown.shape[1]
    if masks.exact:
        return Stability(np.zeros((k, segments)), np.ones(k), np.full(k, np.nan))
    random = np.random.default_rng([seed, 1])
    squares, ranks, fidelity = np.zeros((k, segments)), np.zeros(k), np.zeros(k)
    for _ in range(_SPLITS):
        halves = _halves(masks, random)
        fits = [solve(*_part(masks, scores, rows)) for rows in halves]
        squares += np.square(fits[0].coefficients - fits[1].coefficients) / 4
        ranks += _rank_correlation(fits[0].coefficients, fits[1].coefficients)
        for fit, others in zip(fits, halves[::-1], strict=True):
            new = others & (masks.pairs >= 0)
            fidelity += r_squared(fit, masks.shown[new], scores[new], masks.weights[new]) / 2
    return Stability(np.sqrt(squares / _SPLITS), ranks / _SPLITS, fidelity / _SPLITS)


def _halves(masks: Masks, random: np.random.Generator) -> list[NDArray[np.bool_]]:
    """Two sets of rows: each has half of what was drawn, and all that was not."""
    drawn = np.unique(masks.pairs[masks.pairs >= 0])
    first = random.permutation(drawn)[: len(drawn) // 2]
    always, mine = masks.pairs < 0, np.isin(masks.pairs, first)
    return [always | mine, always | ~mine]


def _part(masks: Masks, scores: Array, rows: NDArray[np.bool_]) -> tuple[Any, Array, Array]:
    """A half's masks, scores and weights.

    Beside masks that were written out, and a penalty, the half weighs as much as the whole.
    """
    weights = masks.weights[rows].copy()
    drawn, mine = masks.pairs >= 0, masks.pairs[rows] >= 0
    weights[mine] *= masks.weights[drawn].sum() / max(weights[mine].sum(), 1e-300)
    return masks.shown[rows], scores[rows], weights


def _rank_correlation(a: Array, b: Array) -> Array:
    """(K,): Spearman's; NaN where either does not vary, or is not finite."""
    found = np.full(len(a), np.nan)
    for k, pair in enumerate(zip(a, b, strict=True)):
        if all(np.isfinite(one).all() and np.ptp(one) > 0 for one in pair):
            found[k] = np.corrcoef([stats.rankdata(one) for one in pair])[0, 1]
    return found
