"""A measured figure, and the interval it lies in when only a sample was measured."""

from __future__ import annotations

import math
from itertools import pairwise
from typing import Any

import numpy as np
from numpy.typing import NDArray

_Z = 1.959963984540054  # the normal distribution's 97.5% quantile
_BATCHES = 32
_T = 2.0395134463964077  # Student's 97.5% quantile for 31 degrees of freedom


class Estimate(float):
    """A number that knows how sure it is: a float in every other respect.

    Made as ``Estimate(value, low, high)``, or as ``Estimate(value)`` if it is exact.

    Attributes
    ----------
    value : float
        The figure.
    low : float
        Lower end of its 95% confidence interval.
    high : float
        Upper end; both are the value itself where it is exact.
    exact : bool
        Whether everything was measured, and not a sample.

    Examples
    --------
    >>> from fastxai.metrics.embedding import Estimate
    >>> share = Estimate(0.5, 0.45, 0.55)
    >>> share, share.low, share.exact, round(share + 0.1, 3)
    (0.5, 0.45, False, 0.6)
    """

    low: float
    high: float

    def __new__(cls, value: float, low: float | None = None, high: float | None = None) -> Estimate:
        self = super().__new__(cls, value)
        self.low = float(value if low is None else low)
        self.high = float(value if high is None else high)
        return self

    def __reduce__(self) -> tuple[Any, ...]:
        return type(self), (self.value, self.low, self.high)

    @property
    def value(self) -> float:
        """The figure as a plain float."""
        return float(self)

    @property
    def exact(self) -> bool:
        """Whether everything was measured."""
        return self.low == self.high


def mean_of_sample(scores: NDArray[Any], population: float) -> Estimate:
    """The mean of scores in [0, 1], measured for some of a population.

    Wilson's interval, its sample as large as one of zeros and ones would have to be for the
    same variance, and larger still the more of the population was drawn.
    """
    m, mean = len(scores), float(np.mean(scores))
    if m >= population:
        return Estimate(mean)
    size = m / (1 - m / population)
    spread = mean * (1 - mean)
    if m > 1 and spread > 0:
        variance = float(np.var(scores, ddof=1, dtype=np.float64))
        if variance <= 0:
            return Estimate(mean)
        size *= spread / variance
    shrink = 1 + _Z**2 / size
    middle = (mean + _Z**2 / (2 * size)) / shrink
    half = _Z * math.sqrt(max(spread, 0.0) / size + (_Z / (2 * size)) ** 2) / shrink
    return Estimate(mean, min(mean, max(0.0, middle - half)), max(mean, min(1.0, middle + half)))


def by_batches(value: float, batches: list[float]) -> Estimate:
    """A figure of many draws, its interval from those of `_BATCHES` equal parts of them."""
    half = _T * float(np.std(batches, ddof=1)) / math.sqrt(len(batches))
    return Estimate(value, value - half, value + half)


def batches_of(count: int) -> list[slice]:
    """Equal parts of so many draws."""
    edges = np.linspace(0, count, _BATCHES + 1).astype(int).tolist()
    return [slice(a, b) for a, b in pairwise(edges)]
