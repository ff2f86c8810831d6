"""Sparse linear models: an L1 path says which features, a fit of those alone with what weight.

Tibshirani 1996, "Regression shrinkage and selection via the lasso"; the second fit, which takes
back the shrinkage, is the relaxed lasso of Meinshausen 2007.
"""

from __future__ import annotations

import inspect
import warnings
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from .answers import Answers
from .terms import Numbers, SumForm, solve, sort_terms

_STEPS = 40  # of the L1 path, each with a penalty less by a quarter
_FACTOR = 0.75
_PATH_ROWS = 2000  # that say in which order features come; all rows say with what weight


@dataclass(frozen=True)
class LinearTerm:
    """A weight times how far a feature is from its mean.

    Attributes
    ----------
    column : int
        Of the table.
    place : int
        Of the encoded column: a number, or 0 and 1 of a level.
    weights : ndarray of shape (M,), float64
        What one unit more adds.
    mean, spread : float
        Of the feature, on the rows that it was fitted to.
    """

    column: int
    place: int
    weights: Numbers
    mean: float
    spread: float

    def contributions(self, Z: Numbers) -> Numbers:
        """What it adds to each score of each row (n, M)."""
        return (Z[:, [self.place]] - self.mean) * self.weights


def fit_linear(
    Z: Numbers, answers: Answers, seed: int, *, max_terms: int, owners: list[int], smaller: bool
) -> list[SumForm]:
    """Sums of 0, 1, 2, ... terms, in the order in which features enter the L1 path.

    Without ``smaller`` the largest alone.
    """
    mean, spread = Z.mean(axis=0), Z.std(axis=0)
    varies = spread > 1e-12 * np.maximum(1.0, np.abs(mean))
    unit = np.where(varies, spread, 1.0)
    S = (Z - mean) / unit
    order = _entries(S[:, varies], answers, seed, max_terms)
    order = np.flatnonzero(varies)[order].tolist()
    most, forms = min(max_terms, len(order)), []
    for k in range(0 if smaller else most, most + 1):
        chosen = order[:k]
        base, weights = solve(S[:, chosen], answers, strength=3.0)
        terms = [
            LinearTerm(owners[j], j, w / unit[j], float(mean[j]), float(unit[j]))
            for j, w in zip(chosen, weights, strict=True)
        ]
        forms.append(SumForm(base, sort_terms(terms, Z)))
    return forms


def _entries(S: Numbers, answers: Answers, seed: int, most: int) -> list[int]:
    """Features in the order in which they get a weight as the L1 penalty falls."""
    found: list[int] = []
    if len(S) > _PATH_ROWS:
        rows = np.random.default_rng([seed, 1]).permutation(len(S))[:_PATH_ROWS]
        S, answers = S[rows], answers.some(rows)
    for weights in _path(S, answers, seed):
        size = np.abs(weights).max(axis=0)
        new = [j for j in np.argsort(-size, kind="stable").tolist() if size[j] > 0]
        found += [j for j in new if j not in found]
        if len(found) >= min(most, S.shape[1]):
            break
    return found


def _path(S: Numbers, answers: Answers, seed: int) -> Any:
    """Weights (M, d) for falling penalties."""
    if answers.codes is None:
        from sklearn.linear_model import enet_path

        assert answers.values is not None
        centred = answers.values - answers.values.mean(axis=0)
        slopes = S.T @ centred / len(S)
        largest = float(np.sqrt((slopes**2).sum(axis=1)).max())  # above it no feature has a weight
        if not largest > 0:
            return
        penalties = largest * np.geomspace(1, 1e-4, 100)
        _, weights, _ = enet_path(S, centred, l1_ratio=1.0, alphas=penalties)
        yield from np.moveaxis(weights.reshape(-1, S.shape[1], weights.shape[-1]), -1, 0)
        return
    if len(np.unique(answers.codes)) > 1 and S.shape[1]:
        yield from _logistic_path(S, answers.codes, seed)


def _logistic_path(S: Numbers, codes: NDArray[np.intp], seed: int) -> Any:
    from sklearn.exceptions import ConvergenceWarning
    from sklearn.linear_model import LogisticRegression
    from sklearn.svm import l1_min_c

    strength = float(l1_min_c(S, codes, loss="log"))
    model = LogisticRegression(
        C=strength, solver="saga", warm_start=True, max_iter=50, tol=1e-3, random_state=seed
    ).set_params(**_l1())
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)  # the order is what is asked for
        for _ in range(_STEPS):
            strength /= _FACTOR
            yield model.set_params(C=strength).fit(S, codes).coef_


def _l1() -> dict[str, Any]:
    """How this version of scikit-learn is told to take an L1 penalty."""
    from sklearn.linear_model import LogisticRegression

    usual = inspect.signature(LogisticRegression).parameters["penalty"].default
    return {"penalty": "l1"} if usual == "l2" else {"l1_ratio": 1.0}
