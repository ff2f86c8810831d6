"""Images with windows or segments covered, and the map of what windows' scores say of each pixel.

x_b = x with the baseline inside window b, or in the segments that b does not show
M_p = mean of s_w over the windows w that cover p      (Zeiler and Fergus 2014, section 4.1)
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

Array = NDArray[Any]


def _region(window: Array) -> tuple[slice, ...]:
    return tuple(slice(int(start), int(stop)) for start, stop in window)


def occlude(images: Array, baseline: Array, rows: Array, windows: Array, out: Array) -> None:
    """Write into out (b, c, *s): image ``rows[b]``, and its baseline within ``windows[b]``.

    ``images`` and ``baseline`` are (n, c, *s) with one to three axes s, ``windows`` (b, axes, 2)
    are first pixels and those after the last.  ``out`` may lie with the channels last.
    """
    for b, (row, window) in enumerate(zip(rows, windows, strict=True)):
        out[b] = images[row]
        region = (slice(None), *_region(window))
        out[b][region] = baseline[row][region]


def occlude_segments(
    images: Array, baseline: Array, segments: Array, rows: Array, shown: Array, out: Array
) -> None:
    """Write into out (b, c, *s): image ``rows[b]``, and its baseline where it is not shown.

    ``images`` and ``baseline`` are (n, c, *s) with one to three axes s, ``segments`` (n, *s) are
    numbers of segments, and ``shown`` (b, number of segments) tells which are left as they are
    (Ribeiro, Singh and Guestrin 2016, section 3.3).  ``out`` may lie with the channels last.
    """
    for b, row in enumerate(rows):
        out[b] = np.where(shown[b][segments[row]], images[row], baseline[row])


def occlusion_map(scores: Array, windows: Array, size: Sequence[int]) -> Array:
    """Maps (n, *size): each pixel's mean of the scores (n, w) of the ``windows`` that cover it.

    NaN where no window does, and where one has a score that is not finite.
    """
    total, count = np.zeros((len(scores), *size)), np.zeros(size)
    for value, window in zip(scores.astype(np.float64).T, windows, strict=True):
        region = _region(window)
        total[(slice(None), *region)] += np.where(np.isfinite(value), value, np.nan).reshape(
            -1, *[1] * len(size)
        )
        count[region] += 1
    return np.divide(total, count, out=np.full_like(total, np.nan), where=count > 0)
