"""The object or its context: where the evidence lies, against boxes or masks."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from .._checks import check_flag, check_number
from ._map_reading import Numbers, check_axes, check_channels, per_pixel, read_maps, regions
from ._map_result import MapMeasure, measured


def pointing_game(
    maps: Any,
    boxes: Any = None,
    masks: Any = None,
    *,
    tolerance: float = 15,
    axes: int = 2,
    by_channel: bool = False,
    channels: str = "absolute",
) -> MapMeasure:
    """The share of maps whose highest point lies on the object, or near it.

    Zhang et al. 2016, "Top-down neural attention by excitation backprop", section 4.1: a hit is
    a maximum at most ``tolerance`` pixels from the object.  Where several pixels share the
    maximum the value is the share of them that hit: what choosing one by lot gives on average,
    so a map that is the same everywhere scores as chance does.

    Parameters
    ----------
    maps : Tensor or ndarray
        (N, *spatial), or (N, K, *spatial) with several targets; of raw values.
    boxes : array or sequence of arrays, optional
        (N, 4) left, top, right, bottom in pixels, or (M, 4) for each image, whose union counts;
        in general 2 * axes numbers, the low corner and the high one, x before y before z.
    masks : array, optional
        (N, *spatial), or (N, K, *spatial) with one a target; what is not 0 is the object.
    tolerance : float, default 15
        Pixels, from centre to centre.  15 is the paper's, for photos of some 300 pixels; it is
        a tenth of a 150-pixel image and half of a 32-pixel one: choose it by your images.
    axes : int, default 2
        How many axes of the maps are spatial.
    by_channel : bool, default False
        Whether maps have an axis of channels before the spatial ones.
    channels : {"absolute", "sum"}, default "absolute"
        How channels are added up: their magnitudes, or with their signs.

    Returns
    -------
    MapMeasure
        Values from 0 to 1; NaN for maps with NaN and for images without an object.  ``chance``
        is that of a pixel chosen by lot: the share of the image that counts as a hit.

    Raises
    ------
    InvalidInputError
        If shapes do not match, or neither boxes nor masks are given, or both.

    Examples
    --------
    >>> import numpy as np
    >>> from fastxai.metrics.maps import pointing_game
    >>> maps = np.zeros((2, 8, 8))
    >>> maps[0, 1, 1] = maps[1, 6, 6] = 1
    >>> pointing_game(maps, boxes=[[0, 0, 3, 3]] * 2, tolerance=1).values.tolist()
    [1.0, 0.0]
    """
    check_number("tolerance", tolerance, 0)
    values, inside, single = _read(maps, boxes, masks, axes, by_channel, channels)
    near = np.stack([[_grown(mask, tolerance) for mask in image] for image in inside])
    flat, hits = values.reshape(*values.shape[:2], -1), near.reshape(*near.shape[:2], -1)
    peaks = flat == flat.max(axis=2, keepdims=True)
    found = (peaks & hits).sum(axis=2) / np.maximum(peaks.sum(axis=2), 1)
    known = np.isfinite(flat).all(axis=2)
    there = inside.any(axis=tuple(range(2, inside.ndim)))
    chance = np.where(known & there, hits.mean(axis=2), np.nan)
    return MapMeasure(
        **measured("pointing_game", np.where(known & there, found, np.nan), single, 0, 1, chance)
    )


def evidence_share(
    maps: Any,
    boxes: Any = None,
    masks: Any = None,
    *,
    outside: bool = False,
    axes: int = 2,
    by_channel: bool = False,
    channels: str = "absolute",
) -> MapMeasure:
    """The share of the positive evidence that lies on the object, and not on its context.

        share = sum of max(map, 0) inside / sum of max(map, 0)

    (Wang et al. 2020, "Score-CAM", section 4.4, call it the energy-based pointing game.)  Compare
    it with ``chance``, the share of the image that the object covers.

    Parameters
    ----------
    maps, boxes, masks, axes, by_channel, channels
        As of `pointing_game`.
    outside : bool, default False
        Return the share that lies outside instead.

    Returns
    -------
    MapMeasure
        Values from 0 to 1; NaN for maps with NaN or infinity, for those without any positive
        evidence, and for images without an object.

    Raises
    ------
    InvalidInputError
        As `pointing_game` does.

    Examples
    --------
    >>> import numpy as np
    >>> from fastxai.metrics.maps import evidence_share
    >>> maps = np.zeros((1, 8, 8))
    >>> maps[0, 1, 1], maps[0, 6, 6] = 3, 1
    >>> evidence_share(maps, boxes=[[0, 0, 4, 4]]).values.tolist()
    [0.75]
    """
    check_flag("outside", outside)
    values, inside, single = _read(maps, boxes, masks, axes, by_channel, channels)
    there = inside.any(axis=tuple(range(2, inside.ndim)))
    if outside:
        inside = ~inside
    flat, within = values.reshape(*values.shape[:2], -1), inside.reshape(*inside.shape[:2], -1)
    known = np.asarray(np.isfinite(flat).all(axis=2))
    positive = np.where(known[..., None], np.maximum(flat, 0), 0)
    # By the largest first, so that no sum overflows.
    positive /= np.maximum(positive.max(axis=2, keepdims=True), np.finfo(np.float64).tiny)
    total = positive.sum(axis=2)
    known = known & there & (total > 0)
    share = (positive * within).sum(axis=2) / np.where(total > 0, total, 1)
    chance = np.where(known, within.mean(axis=2), np.nan)
    name = "evidence_outside" if outside else "evidence_share"
    return MapMeasure(**measured(name, np.where(known, share, np.nan), single, 0, 1, chance))


def _read(
    maps: Any, boxes: Any, masks: Any, axes: int, by_channel: bool, channels: str
) -> tuple[Numbers, NDArray[np.bool_], bool]:
    """Maps (N, K, *spatial), objects (N, 1 or K, *spatial), and whether images have one target."""
    check_axes(axes)
    check_flag("by_channel", by_channel)
    check_channels(channels)
    array, single = read_maps(maps, axes, by_channel)
    values = per_pixel(array, axes, channels)
    n, k, *size = values.shape
    return values, regions(boxes, masks, n, k, tuple(size)), single


def _grown(mask: NDArray[np.bool_], tolerance: float) -> NDArray[np.bool_]:
    """The pixels at most so far from the mask."""
    if tolerance == 0 or not mask.any():
        return mask
    from scipy.ndimage import distance_transform_edt

    away = distance_transform_edt(~mask)
    return np.asarray(away <= tolerance)
