"""Rows held out of the fit, and fits to rows drawn again: how true, and how stable."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from ..errors import InvalidInputError
from .answers import Answers
from .fidelity import AGREEMENT, R2, Fidelity, estimate, likeness, to_codes

Numbers = NDArray[np.float64]
Rows = NDArray[np.intp]
Fit = Callable[..., list[Any]]  # (Z, answers, *, smaller): forms of growing size

FEWEST = 10  # rows that anything can be held out of
_ENOUGH = 2000  # rows from which on a quarter is held out, instead of each fifth in turn
_REFIT_ROWS = 20_000


class Plan(NamedTuple):
    """Which rows are fitted to and which are judged by, and how that is called."""

    splits: list[tuple[Rows, Rows]]
    how: str

    @property
    def whole(self) -> bool:
        """Whether every row is judged, each by a fit without it."""
        return len(self.splits) > 1


def plan_of(held_out: Any, answers: Answers, seed: int) -> Plan:
    """Split the rows.

    Parameters
    ----------
    held_out : "auto", float or int
        A share to be held out, a number of folds; "auto" is 5 folds below 2,000 rows, else a
        quarter.

    Raises
    ------
    InvalidInputError
        If it is neither, or there are too few rows.
    """
    n = len(answers)
    if n < FEWEST:
        raise InvalidInputError(
            f"X has {n} rows, and no fidelity can be measured on fewer than {FEWEST}: give more "
            "(the model may be asked about rows without labels, too)"
        )
    if isinstance(held_out, str) and held_out == "auto":
        held_out = 5 if n < _ENOUGH else 0.25
    share = isinstance(held_out, (float, np.floating)) and 0 < held_out < 1
    folds = isinstance(held_out, (int, np.integer)) and not isinstance(held_out, bool)
    if not share and not (folds and held_out >= 2):
        raise InvalidInputError(
            f"held_out={held_out!r}: give a share between 0 and 1, a number of folds of 2 or "
            "more, or 'auto'"
        )
    if share:
        count = round(n * held_out)
        if not 0 < count < n - 1:
            raise InvalidInputError(f"held_out={held_out}: that is {count} of {n} rows")
        order = np.random.default_rng([seed, 0]).permutation(n)
        rows = np.sort(order[count:]), np.sort(order[:count])
        return Plan([rows], f"held out of the {n:,} by the seed")
    if held_out > n:
        raise InvalidInputError(f"held_out={held_out} folds of {n} rows: give fewer folds")
    return Plan(_folds(int(held_out), answers, seed), f"{held_out}-fold cross-validated")


def _folds(count: int, answers: Answers, seed: int) -> list[tuple[Rows, Rows]]:
    from sklearn.model_selection import KFold, StratifiedKFold

    codes = answers.codes
    sizes = np.zeros(0) if codes is None else np.bincount(codes)
    stratified = codes is not None and sizes[sizes > 0].min() >= count
    splitter = (StratifiedKFold if stratified else KFold)(count, shuffle=True, random_state=seed)
    return list(splitter.split(np.zeros(len(answers)), codes if stratified else None))


@dataclass(frozen=True)
class Judged:
    """The surrogate of all sizes, and what was found about them.

    Attributes
    ----------
    forms : list
        Of growing size; the last is the surrogate.
    fidelities : list of float
        Of each, on rows held out.
    fidelity : Fidelity
        Of the last.
    fitted, judged : ndarray of int
        Rows that the last was fitted to, and that it was judged by.
    scores : ndarray of shape (judged, M)
        Its held-out scores for these.
    """

    forms: list[Any]
    fidelities: list[float]
    fidelity: Fidelity
    fitted: Rows
    judged: Rows
    scores: Numbers


def judge(fit: Fit, Z: Numbers, answers: Answers, plan: Plan, advance: Any) -> Judged:
    """Fit, and judge by the rows that were held out.

    With one split the surrogate is the one fitted to the rows that were not held out; with
    several it is fitted to all rows, and judged by the fits to parts of them.
    """
    paths = []
    for train, _ in plan.splits:
        paths.append(fit(Z[train], answers.some(train), smaller=True))
        advance()
    forms = fit(Z, answers, smaller=True) if plan.whole else paths[0]
    advance()
    judged = np.concatenate([test for _, test in plan.splits])
    known = answers.some(judged)

    def held_out(size: int) -> Numbers:
        """Scores of the forms of a size, or of the largest there is."""
        pairs = zip(paths, plan.splits, strict=True)
        return np.concatenate([p[min(size, len(p) - 1)].scores(Z[test]) for p, (_, test) in pairs])

    scores = [held_out(size) for size in range(len(forms))]
    constant = _constant(answers, plan, known)
    measure = AGREEMENT if answers.codes is not None else R2
    fidelity = Fidelity(estimate(known, scores[-1]), constant, measure, plan.how, len(judged))
    fidelities = [likeness(known, some) for some in scores]
    fitted = np.arange(len(Z)) if plan.whole else plan.splits[0][0]
    return Judged(forms, fidelities, fidelity, fitted, judged, scores[-1])


def _constant(answers: Answers, plan: Plan, known: Answers) -> float:
    """The fidelity of what answers the same for all rows: the commonest class, the mean."""
    if answers.codes is None:
        return 0.0
    guesses = []
    for train, test in plan.splits:
        commonest = int(np.bincount(answers.codes[train]).argmax())
        guesses.append(np.full(len(test), commonest))
    return float(np.mean(np.concatenate(guesses) == known.codes))


@dataclass(frozen=True)
class Stability:
    """What happens to a surrogate when the rows are drawn again, with replacement.

    Attributes
    ----------
    likeness : ndarray of shape (refits,)
        Agreement with the surrogate, or the R² of its answers, on all rows.
    forms : list
        The refits.
    used : dict of str to float
        The share of refits that use each feature, of those that any does.
    first : dict of str to float
        Of trees the share of refits that ask about a feature first.
    """

    likeness: NDArray[np.float64]
    forms: list[Any]
    used: dict[str, float]
    first: dict[str, float]

    def __len__(self) -> int:
        return len(self.forms)


def refit(
    fit: Fit, Z: Numbers, answers: Answers, form: Any, count: int, seed: int, advance: Any
) -> list[tuple[Any, float]]:
    """Fits to rows drawn with replacement, and how like the surrogate each of them answers."""
    found = []
    theirs = form.scores(Z)
    said = Answers(answers.output, answers.names, answers.labels, None, theirs)
    if answers.codes is not None:
        said = Answers("class", answers.names, answers.labels, to_codes(theirs))
    for k in range(count):
        generator = np.random.default_rng([seed, 2, k])
        rows = np.sort(generator.integers(0, len(Z), min(len(Z), _REFIT_ROWS)))
        again = fit(Z[rows], answers.some(rows), smaller=False)[-1]
        same = likeness(said, again.scores(Z)) if _differs(said) else float("nan")
        found.append((again, same))
        advance()
    return found


def _differs(said: Answers) -> bool:
    """Whether the surrogate's answers differ, so that an R² of them means something."""
    return said.values is None or bool(np.ptp(said.values, axis=0).any())
