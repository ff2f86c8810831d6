"""Whether single precision keeps what the data has to say."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from .._warn import warn

_SAMPLE = 512  # rows that are looked at
_STEPS = 64  # of single precision that a feature's spread should have at least
_EPSILON = 2.0**-24


def warn_of_rounding(points: NDArray[Any]) -> None:
    """Warn of features whose spread is lost beside their offset in float32.

    Parameters
    ----------
    points : ndarray of shape (n, d), finite
        Before they are converted; float32 and smaller types have nothing to lose.
    """
    if points.dtype.itemsize <= 4 or len(points) == 0:
        return
    rows = np.unique(np.linspace(0, len(points) - 1, min(len(points), _SAMPLE)).astype(np.int64))
    some = points[rows].astype(np.float64)
    spread = some.max(axis=0) - some.min(axis=0)
    rounding = np.abs(some).max(axis=0) * _EPSILON
    lost = (spread > 0) & (spread < _STEPS * rounding)
    if lost.any():
        column = int(lost.argmax())
        warn(
            f"column {column} of X (and {int(lost.sum()) - 1} more) varies by "
            f"{spread[column]:.3g} around {some[:, column].mean():.6g}, of which single precision "
            "keeps next to nothing: subtract the mean of each column first"
        )
