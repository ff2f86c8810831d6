"""Additive models: a curve or a staircase of each feature, added up.

Hastie and Tibshirani 1986, "Generalized additive models"; the curves are cubic splines whose bends
are penalised (Eilers and Marx 1996, "Flexible smoothing with B-splines and penalties"), with knots
at quantiles; the staircases have a step for each bin.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from .answers import Answers
from .columns import Columns
from .terms import Numbers, SumForm, solve, sort_terms

_KNOTS = 6
_BINS = 8
_FEW = 8  # as many different values have a step each
_ROUGH = 30  # steps of a fit that only says which terms leave


@dataclass(frozen=True)
class CurveTerm:
    """What a feature adds, as a curve or a staircase.

    Attributes
    ----------
    column : int
        Of the table.
    places : tuple of int
        Its encoded columns.
    edges : ndarray or None
        Where the staircase steps; None for curves and categories.
    spline : SplineTransformer or None
        The basis of a curve.
    turn : ndarray or None
        From splines to one column that rises and others that bend, see `_rise_and_bends`.
    distinct : ndarray or None
        The values of a feature that has few.
    weights : ndarray of shape (p, M), float64
    centre : ndarray of shape (p,), float64
        Means of the basis on the rows that it was fitted to.
    """

    column: int
    places: tuple[int, ...]
    edges: Numbers | None
    spline: Any
    turn: Numbers | None
    distinct: Numbers | None
    weights: Numbers
    centre: Numbers

    def contributions(self, Z: Numbers) -> Numbers:
        """What it adds to each score of each row (n, M)."""
        return self.basis(Z) @ self.weights

    def basis(self, Z: Numbers) -> Numbers:
        """Its centred columns (n, p)."""
        values = Z[:, list(self.places)]
        if self.spline is not None:
            values = self.spline.transform(values) @ self.turn
        elif self.edges is not None:
            steps = np.arange(len(self.edges) + 1)
            values = (np.digitize(values, self.edges, right=True) == steps).astype(np.float64)
        return np.asarray(values - self.centre, np.float64)

    def with_weights(self, weights: Numbers) -> CurveTerm:
        """The same term, fitted."""
        return replace(self, weights=weights)


Block = tuple[CurveTerm, Numbers]  # a term, and its basis for the rows at hand


def fit_additive(
    Z: Numbers,
    answers: Answers,
    seed: int,
    *,
    max_terms: int,
    shape: str,
    columns: Columns,
    smaller: bool,
) -> list[SumForm]:
    """Sums of 0, 1, 2, ... terms (without ``smaller`` the largest alone).

    Those that a fit can best do without leave first, half of the surplus at a time, then one at
    a time, each time after a fit of what is left: of two features that say the same one stays.
    """
    every = [
        make_term(k, columns.places(k), Z, column.levels, shape)
        for k, column in enumerate(columns.columns)
    ]
    left = [(term, basis) for term in every if np.ptp(basis := term.basis(Z), axis=0).any()]
    while len(left) > max_terms:
        _, fitted = _fit(left, answers, _ROUGH)
        surplus = len(left) - max_terms
        left = _needed(left, fitted, len(left) - (surplus + 1) // 2)
    forms: list[SumForm] = []
    while True:
        base, fitted = _fit(left, answers)
        forms.append(SumForm(base, sort_terms(fitted, Z)))
        if not left or not smaller:
            return forms[::-1]
        left = _needed(left, fitted, len(left) - 1)


def _needed(left: list[Block], fitted: list[CurveTerm], count: int) -> list[Block]:
    """Those without which a fit would lose most, in their order.

    Without a block b of columns, and the others fitted anew, least squares lose
    wᵦᵀ ((BᵀB)⁻¹)ᵦᵦ⁻¹ wᵦ (Wald's statistic); of classes that is an approximation.
    """
    B = np.hstack([basis for _, basis in left])
    gram = B.T @ B
    gram[np.diag_indices_from(gram)] += 1e-3 * np.trace(gram) / len(gram)
    inverse = np.linalg.inv(gram)
    losses, begin = [], 0
    for term in fitted:
        some = slice(begin, begin + len(term.weights))
        alone = np.linalg.inv(inverse[some, some])
        losses.append(float(np.einsum("im,ij,jm->", term.weights, alone, term.weights)))
        begin = some.stop
    order = np.argsort(-np.array(losses), kind="stable")[:count]
    return [left[k] for k in sorted(order.tolist())]


def _fit(left: list[Block], answers: Answers, steps: int = 500) -> tuple[Numbers, list[CurveTerm]]:
    """Base and terms, fitted together."""
    blocks = [basis for _, basis in left]
    B = np.hstack(blocks) if blocks else np.zeros((len(answers), 0))
    base, weights = solve(B, answers, steps=steps)
    edges = np.cumsum([block.shape[1] for block in blocks])[:-1]
    parts = np.split(weights, edges) if blocks else []
    return base, [term.with_weights(part) for (term, _), part in zip(left, parts, strict=True)]


def make_term(
    column: int, places: list[int], Z: Numbers, levels: tuple[str, ...], shape: str
) -> CurveTerm:
    """A term without weights: its basis from the rows."""
    spline, turn, edges, few = None, None, None, None
    if not levels:
        values = Z[:, places[0]]
        distinct = np.unique(values)
        if len(distinct) <= _FEW:
            edges, few = (distinct[1:] + distinct[:-1]) / 2, distinct
        elif shape == "bins":
            edges = np.unique(np.quantile(values, np.linspace(0, 1, _BINS + 1)[1:-1]))
        else:
            spline, turn = _spline(values)
    none = np.zeros((0, 0))
    bare = CurveTerm(column, tuple(places), edges, spline, turn, few, none, np.zeros(1))
    return replace(bare, centre=bare.basis(Z).mean(axis=0))


def _spline(values: Numbers) -> tuple[Any, Numbers]:
    """Cubic splines with knots at quantiles, flat beyond the data; how they are turned."""
    from sklearn.preprocessing import SplineTransformer

    knots = np.unique(np.quantile(values, np.linspace(0, 1, _KNOTS)))
    if len(knots) < 3:  # nearly all values are the same
        knots = np.linspace(values.min(), values.max(), 3)
    transformer = SplineTransformer(knots=knots[:, None], degree=3, extrapolation="constant")
    spline = transformer.fit(values[:, None])
    turn = _rise_and_bends(spline.n_features_out_)
    rise = spline.transform(values[:, None]) @ turn[:, 0]
    turn[:, 0] /= rise.std() or 1.0
    return spline, turn


def _rise_and_bends(count: int) -> Numbers:
    """A basis (count, count - 1) of the splines' weights without their constant.

    A first column that rises evenly from knot to knot, then one for each second difference: a
    ridge penalty on their weights is one on the rise and on the bends of the curve.
    """
    rise = np.arange(count) - (count - 1) / 2
    second = np.diff(np.eye(count), n=2, axis=0)
    return np.column_stack([rise, np.linalg.pinv(second)])
