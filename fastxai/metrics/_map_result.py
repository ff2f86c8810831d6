"""What a measure of maps returns: a value for each image, and an estimate for all such images."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.special import ndtri, stdtrit

from ._estimate import Estimate
from ._map_reading import Numbers


@dataclass(frozen=True, eq=False, repr=False)
class MapMeasure:
    """A figure of maps.

    Attributes
    ----------
    name : str
        What was measured.
    values : ndarray of float64
        (N,), or (N, K) with several targets an image; NaN where the measure says nothing.
    estimate : Estimate
        The mean, with a 95% confidence interval for images drawn like these.  An image with
        several targets counts once, by their mean; NaN is left out.
    n : int
        How many images count.
    chance : Estimate, optional
        The same of maps of noise, where that is known.
    """

    name: str
    values: Numbers
    estimate: Estimate
    n: int
    chance: Estimate | None = None

    def __repr__(self) -> str:
        """The figure, its interval, and how many images it is of."""
        found, of = self.estimate, len(self.values)
        count = f"{self.n} images" if self.n == of else f"{self.n} of {of} images"
        chance = "" if self.chance is None else f", chance {self.chance.value:.3f}"
        return (
            f"{self.name} {found.value:.3f} ({found.low:.3f} .. {found.high:.3f}; {count}{chance})"
        )


def over_set(values: Numbers, low: float = -math.inf, high: float = math.inf) -> Estimate:
    """The mean over images (N,) or (N, K), with the 95% interval of the mean of a sample.

    Of values between two bounds the interval is Wilson's, its sample as large as one of zeros
    and ones with the same variance, and by Student's quantile where the variance is estimated;
    of others it is Student's, unknown (NaN) for one image.
    """
    sample = by_image(values)
    sample = sample[np.isfinite(sample)]
    if not len(sample):
        return Estimate(math.nan, math.nan, math.nan)
    mean = float(sample.mean())
    if math.isfinite(low) and math.isfinite(high):
        width = high - low
        ends = _wilson(np.clip((sample - low) / width, 0, 1))
        return Estimate(mean, min(mean, low + width * ends[0]), max(mean, low + width * ends[1]))
    if len(sample) == 1:
        return Estimate(mean, math.nan, math.nan)
    half = _student(len(sample)) * float(sample.std(ddof=1)) / math.sqrt(len(sample))
    return Estimate(mean, max(low, mean - half), min(high, mean + half))


def _wilson(sample: Numbers) -> tuple[float, float]:
    """The interval of the mean of values in [0, 1] (Wilson 1927)."""
    size, mean = float(len(sample)), float(sample.mean())
    spread, quantile = mean * (1 - mean), float(ndtri(0.975))
    if len(sample) > 1 and not ((sample == 0) | (sample == 1)).all():
        variance = float(sample.var(ddof=1))
        if variance == 0:
            return mean, mean
        size, quantile = size * spread / variance, _student(len(sample))
    shrink = 1 + quantile**2 / size
    middle = (mean + quantile**2 / (2 * size)) / shrink
    half = quantile * math.sqrt(max(spread, 0.0) / size + (quantile / (2 * size)) ** 2) / shrink
    return max(0.0, middle - half), min(1.0, middle + half)


def _student(count: int) -> float:
    return float(stdtrit(count - 1, 0.975))


def by_image(values: Numbers) -> Numbers:
    """One value an image: the mean of its targets that have one."""
    if values.ndim == 1:
        return values
    known = np.isfinite(values)
    total = np.where(known, values, 0.0).sum(axis=1)
    count = known.sum(axis=1)
    return np.where(count > 0, total / np.maximum(count, 1), np.nan)


def measured(
    name: str,
    values: Numbers,
    single: bool,
    low: float = -math.inf,
    high: float = math.inf,
    chance: Numbers | None = None,
) -> dict[str, Any]:
    """The fields of a `MapMeasure` of values (N, K)."""
    return {
        "name": name,
        "values": values[:, 0] if single else values,
        "estimate": over_set(values, low, high),
        "n": int(np.isfinite(by_image(values)).sum()),
        "chance": None if chance is None else over_set(chance, low, high),
    }


def rank_correlation(one: Numbers, other: Numbers) -> Numbers:
    """Spearman's correlation of two maps (N, K, *spatial): (N, K).

    Ties have the mean of their ranks.  NaN where a map holds NaN or infinity, or has the same
    value everywhere: then there is no order to compare.
    """
    from scipy.stats import rankdata

    n, k = one.shape[:2]
    found = np.full((n, k), np.nan)
    for place in np.ndindex(n, k):
        a, b = one[place].ravel(), other[place].ravel()
        if np.isfinite(a).all() and np.isfinite(b).all():
            found[place] = _pearson(rankdata(a), rankdata(b))
    return found


def _pearson(one: NDArray[Any], other: NDArray[Any]) -> float:
    a, b = one - one.mean(), other - other.mean()
    spread = math.sqrt(float(a @ a)) * math.sqrt(float(b @ b))
    return float(np.clip((a @ b) / spread, -1, 1)) if spread > 0 else math.nan
