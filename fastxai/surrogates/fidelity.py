"""How true a surrogate is to its model, measured on rows that it was not fitted to."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..metrics._estimate import Estimate, mean_of_sample
from .answers import Answers

AGREEMENT, R2 = "agreement", "R²"


@dataclass(frozen=True)
class Fidelity:
    """The share of the model's answers that a surrogate gives, too.

    Attributes
    ----------
    value : float
        Agreement: the share of rows with the same class, an `Estimate` with its 95% interval.
        R²: the share of the variance of the model's answers that is explained.
    constant : float
        The same of the best surrogate that ignores all features.
    measure : {"agreement", "R²"}
    how : str
        On which rows it was measured.
    rows : int
        How many these are.
    """

    value: float
    constant: float
    measure: str
    how: str
    rows: int

    def __str__(self) -> str:
        return f"{self.headline} · {self.rows:,} rows, {self.how}"

    @property
    def empty(self) -> bool:
        """Whether a constant is as true to the model: then nothing is explained."""
        return self.value <= self.constant

    @property
    def headline(self) -> str:
        """The figure and the constant's, for the title of a picture."""
        if self.measure == AGREEMENT:
            return (
                f"Agrees with the model on {share(self.value)} of held-out rows "
                f"(a constant: {share(self.constant)})"
            )
        return f"R² {figure(self.value)} of the model's held-out answers (a constant: 0)"


@dataclass(frozen=True)
class Truth:
    """Model and surrogate against the true answers, on the rows of the fidelity.

    Attributes
    ----------
    model, surrogate : float
        Share of right classes, or R².
    measure : {"accuracy", "R²"}
    """

    model: float
    surrogate: float
    measure: str

    def __str__(self) -> str:
        write = share if self.measure == "accuracy" else figure
        return (
            f"{self.measure} on y: the model {write(self.model)}, "
            f"the surrogate {write(self.surrogate)}"
        )


def share(value: float) -> str:
    """A share as a percentage that says 100% of everything only."""
    text = f"{value:.1%}" if value > 0.99 or value < 0.1 else f"{value:.0%}"
    if value < 1 and text == "100.0%":
        return ">99.9%"
    return text.replace(".0%", "%")


def figure(value: float) -> str:
    """An R² with two digits, and never 1.00 for less."""
    if 0.995 <= value < 1:
        return ">0.99"
    return f"{round(value, 2) + 0.0:.2f}".replace("-", "−").replace("1.00", "1")


def to_codes(scores: NDArray[np.float64]) -> NDArray[np.intp]:
    """The class of each row: of one column, whether it is above 0; of more, the largest."""
    if scores.shape[1] == 1:
        return (scores[:, 0] > 0).astype(np.intp)
    return np.asarray(scores.argmax(axis=1), np.intp)


def likeness(answers: Answers, scores: NDArray[np.float64]) -> float:
    """Agreement or R² of scores with the model's answers about the same rows."""
    if answers.codes is not None:
        return float(np.mean(to_codes(scores) == answers.codes))
    assert answers.values is not None
    return r2(answers.values, scores)


def estimate(answers: Answers, scores: NDArray[np.float64]) -> float:
    """`likeness`, with its interval where it is a share."""
    if answers.codes is None:
        return likeness(answers, scores)
    same = (to_codes(scores) == answers.codes).astype(np.float64)
    found: Estimate = mean_of_sample(same, np.inf)
    return found


def r2(truth: NDArray[np.float64], answers: NDArray[np.float64]) -> float:
    """1 - residual / total sum of squares, over all columns together."""
    from sklearn.metrics import r2_score

    total: Any = r2_score(truth, answers, multioutput="variance_weighted")
    return float(total)
