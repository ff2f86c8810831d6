"""Sums of terms, each of one feature: what linear and additive surrogates have in common."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from .answers import Answers

Numbers = NDArray[np.float64]
_NEVER = -50.0  # log-odds of a class that the rows at hand do not show


class Term(Protocol):
    """What one feature adds; 0 on average over the rows that it was fitted to."""

    @property
    def column(self) -> int:
        """Of the table as the user knows it."""

    def contributions(self, Z: Numbers) -> Numbers:
        """What it adds to each of the M scores of each row (n, M)."""


@dataclass(frozen=True)
class SumForm:
    """A base and what each term adds to it.

    Attributes
    ----------
    base : ndarray of shape (M,), float64
        The mean score: of classes log-odds (two) or scores whose exponentials are shares
        (several), else the mean answer.
    terms : tuple of Term
        The weightiest first.
    """

    base: Numbers
    terms: tuple[Term, ...]

    def scores(self, Z: Numbers) -> Numbers:
        """The sum for each row (n, M)."""
        total = np.tile(self.base, (len(Z), 1))
        for term in self.terms:
            total += term.contributions(Z)
        return total

    @property
    def size(self) -> dict[str, int]:
        """How many terms."""
        return {"terms": len(self.terms)}


def solve(
    B: Numbers, answers: Answers, strength: float = 1.0, steps: int = 500
) -> tuple[Numbers, Numbers]:
    """Base (M,) and weights (p, M) of centred columns B (n, p).

    Classes: logistic regression; numbers: ridge regression, its penalty by generalised
    cross-validation.
    """
    if answers.codes is not None:
        return _logistic(B, answers.codes, len(answers.names), strength, steps)
    assert answers.values is not None
    base = answers.values.mean(axis=0)
    if not B.shape[1]:
        return base, np.zeros((0, len(base)))
    from sklearn.linear_model import RidgeCV

    penalties = np.geomspace(1e-4, 1e2, 7)
    model = RidgeCV(penalties, fit_intercept=False).fit(B, answers.values - base)
    return base, np.atleast_2d(model.coef_).reshape(len(base), -1).T


def _logistic(
    B: Numbers, codes: NDArray[np.intp], n_classes: int, strength: float, steps: int
) -> tuple[Numbers, Numbers]:
    count = np.bincount(codes, minlength=n_classes)
    there = np.flatnonzero(count)
    width = 1 if n_classes == 2 else n_classes
    base, weights = np.full(width, _NEVER), np.zeros((B.shape[1], width))
    if len(there) == 1 or not B.shape[1]:
        return _shares(count, width), weights
    import warnings

    from sklearn.exceptions import ConvergenceWarning
    from sklearn.linear_model import LogisticRegression

    with warnings.catch_warnings():
        # Classes that can be told apart have no end of the descent but the penalty's.
        warnings.simplefilter("ignore", ConvergenceWarning)
        model = LogisticRegression(C=strength, max_iter=steps).fit(B, codes)
    if len(there) == 2:
        if width == 1:
            return model.intercept_, model.coef_.T
        base[there] = np.stack([-model.intercept_[0], model.intercept_[0]]) / 2
        weights[:, there] = np.stack([-model.coef_[0], model.coef_[0]], axis=1) / 2
        return base, weights
    base[there], weights[:, there] = model.intercept_, model.coef_.T
    return base, weights


def _shares(count: NDArray[np.intp], width: int) -> Numbers:
    """The scores that give each class its share of the rows."""
    with np.errstate(divide="ignore"):
        logs = np.maximum(np.log(count / count.sum()), _NEVER)
    return np.array([logs[1] - logs[0]]) if width == 1 else logs


def weight_of(term: Term, Z: Numbers) -> float:
    """How much a term moves the scores: the standard deviation of what it adds."""
    return float(np.sqrt(np.mean(np.var(term.contributions(Z), axis=0))))


def sort_terms(terms: Sequence[Term], Z: Numbers) -> tuple[Term, ...]:
    """The weightiest first."""
    return tuple(sorted(terms, key=lambda term: -weight_of(term, Z)))
