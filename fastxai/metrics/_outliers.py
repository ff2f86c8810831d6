"""Points so far out that the scale of the picture is theirs."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray

from ..errors import InvalidInputError
from . import _inputs as inputs
from ._estimate import Estimate

_ROUNDS = 50
_ENOUGH = 1e-6


def outlier_fraction(embedding: ArrayLike, *, fence: float = 3.0) -> Estimate:
    """Share of points that lie far out, as Tukey's outer fence has it.

    A point is an outlier if its distance from the middle of the embedding (the spatial
    median: the place with the least sum of distances to all points) is above Q3 + fence *
    (Q3 - Q1), where Q1 and Q3 are the quartiles of these distances.  Of points spread evenly
    over a disc, or as a normal distribution, there are none or next to none.

    Parameters
    ----------
    embedding : array-like of shape (n, c), any number of columns
        Places of the points; rows with NaN are left out.
    fence : float, default 3.0
        In interquartile ranges; 1.5 is Tukey's inner fence.

    Returns
    -------
    Estimate
        Between 0 and 0.25, exact.

    Raises
    ------
    InvalidInputError
        If no point has coordinates, or the fence is negative.

    References
    ----------
    Tukey 1977, "Exploratory data analysis", chapter 2; Weiszfeld 1937 for the median.

    Examples
    --------
    >>> import numpy as np
    >>> from fastxai.metrics.embedding import outlier_fraction
    >>> places = np.random.default_rng(0).normal(size=(200, 2))
    >>> places[:2] = [90, 0], [0, 90]
    >>> outlier_fraction(places)
    0.01
    """
    if not fence >= 0:
        raise InvalidInputError(f"fence={fence}: it can not be negative")
    places = inputs.points(embedding, "embedding")
    places = places[inputs.with_place(places)]
    if not len(places):
        raise InvalidInputError("no point has coordinates")
    far = _from_middle(places.astype(np.float64))
    low, high = np.quantile(far, [0.25, 0.75])
    return Estimate(float((far > high + fence * (high - low)).mean()))


def _from_middle(places: NDArray[np.float64]) -> NDArray[np.float64]:
    """Distances from the spatial median, which turns with the embedding."""
    middle = np.median(places, axis=0)
    for _ in range(_ROUNDS):
        far = np.sqrt(((places - middle) ** 2).sum(axis=1))
        scale = float(far.mean())
        weights = 1 / np.maximum(far, 1e-9 * scale if scale > 0 else 1.0)
        moved = (places * weights[:, None]).sum(axis=0) / weights.sum()
        step = float(np.sqrt(((moved - middle) ** 2).sum()))
        middle = moved
        if step <= _ENOUGH * scale:
            break
    return np.asarray(np.sqrt(((places - middle) ** 2).sum(axis=1)))
