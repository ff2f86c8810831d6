"""Figures of a map: where its positive evidence lies, and on how little of the image."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

_LEVELS = 512  # of a map's values, between which areas are interpolated


class Figures(NamedTuple):
    """One value a map, (B, K) float32; NaN where there is no positive evidence to speak of.

    Attributes
    ----------
    mean : ndarray
        Of the values.
    x, y : ndarray
        Centre of the positive evidence, 0 at the left or upper edge, 1 at the other.
    peak_x, peak_y : ndarray
        Where the largest value is.
    area : ndarray
        The smallest share of the pixels that holds half of the positive evidence.
    """

    mean: NDArray[np.float32]
    x: NDArray[np.float32]
    y: NDArray[np.float32]
    peak_x: NDArray[np.float32]
    peak_y: NDArray[np.float32]
    area: NDArray[np.float32]


def figures(maps: NDArray[np.float32]) -> Figures:
    """Figures of maps (B, K, *spatial); see `by_pixel` for those by channel."""
    flat = maps.reshape(-1, *maps.shape[2:])
    found = np.array([_figures(one) for one in flat], np.float32).reshape(*maps.shape[:2], 6)
    return Figures(*(np.ascontiguousarray(found[..., i]) for i in range(6)))


def _figures(map: NDArray[np.float32]) -> list[float]:
    nothing = [np.nan] * 5
    if not np.isfinite(map).all():
        return [np.nan, *nothing]
    mean = float(map.mean(dtype=np.float64))
    highest = float(map.max())
    if highest <= 0:
        return [mean, *nothing]
    evidence = np.maximum(map, 0)
    total = float(evidence.sum(dtype=np.float64))
    x = _centre(evidence, total, map.ndim - 1)
    y = _centre(evidence, total, map.ndim - 2) if map.ndim > 1 else np.nan
    place = np.unravel_index(int(map.argmax()), map.shape)
    peak_x = (place[-1] + 0.5) / map.shape[-1]
    peak_y = (place[-2] + 0.5) / map.shape[-2] if map.ndim > 1 else np.nan
    return [mean, x, y, peak_x, peak_y, _area(evidence, highest, total)]


def _centre(evidence: NDArray[np.float32], total: float, axis: int) -> float:
    others = tuple(a for a in range(evidence.ndim) if a != axis)
    profile = evidence.sum(others, dtype=np.float64)
    return float(profile @ (np.arange(len(profile)) + 0.5)) / (total * len(profile))


def _area(evidence: NDArray[np.float32], highest: float, total: float) -> float:
    """From counts and sums of values by level: sorting would take as long as a small network."""
    values = evidence.ravel()
    # Divided first: of tiny maps the quotient of levels and highest value is no float32.
    shares = values / np.float32(highest)
    levels = np.minimum((shares * _LEVELS).astype(np.int64), _LEVELS - 1)
    counts = np.bincount(levels, minlength=_LEVELS)[::-1]
    sums = np.bincount(levels, values, _LEVELS)[::-1].cumsum()
    k = int(np.searchsorted(sums, total / 2))
    k = min(k, _LEVELS - 1)
    before = float(sums[k - 1]) if k else 0.0
    share = (total / 2 - before) / max(float(sums[k]) - before, np.finfo(np.float64).tiny)
    return float(counts[:k].sum() + min(share, 1.0) * counts[k]) / values.size


def by_pixel(maps: Any, spatial: int) -> NDArray[np.float32]:
    """(B, K, *spatial) of maps that may have an axis of channels before: magnitudes are added."""
    array: NDArray[np.float32] = np.asarray(maps)
    return np.abs(array).sum(2) if array.ndim == 3 + spatial else array
