"""The windows that slide over an image: where each begins and ends."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ...errors import InvalidInputError

_SHARE = 7  # a window's side by default: this part of the image's


def window_table(
    size: Sequence[int], window: Any = None, stride: Any = None
) -> tuple[NDArray[np.int32], tuple[int, ...]]:
    """Windows at every stride until each pixel is covered; the last are cut at the border.

    Parameters
    ----------
    size : sequence of int
        Of the image, one to three axes.
    window, stride : int or sequence of int, optional
        Pixels, for all axes or one an axis.  By default a seventh of the image, and half a
        window.

    Returns
    -------
    windows : ndarray of int32, (n, axes, 2)
        First pixel and the one after the last, the last axis of the image fastest.
    grid : tuple of int
        How many there are along each axis.

    Raises
    ------
    InvalidInputError
        For a window larger than the image, a stride below 1, and one larger than the window,
        which would leave pixels that no window covers.

    Examples
    --------
    >>> windows, grid = window_table((224, 224), window=32, stride=16)
    >>> grid, windows[-1].tolist()
    ((13, 13), [[192, 224], [192, 224]])
    """
    sides = _sides("window", window, size, [-(-pixels // _SHARE) for pixels in size])
    strides = _sides("stride", stride, size, [max(1, side // 2) for side in sides])
    for axis, (pixels, side, step) in enumerate(zip(size, sides, strides, strict=True)):
        where = f" on axis {axis} of the images' size {tuple(size)}"
        if side > pixels:
            raise InvalidInputError(
                f"window={window!r} is larger than the image{where}: choose at most {pixels}"
            )
        if step > side:
            raise InvalidInputError(
                f"stride={step} is larger than the window of {side}{where}, and pixels between "
                f"windows would never be covered: choose a stride of at most {side}"
            )
    spans = [_spans(*axis) for axis in zip(size, sides, strides, strict=True)]
    grid = tuple(len(span) for span in spans)
    places = np.indices(grid).reshape(len(grid), -1)
    windows = np.stack([span[place] for span, place in zip(spans, places, strict=True)], axis=1)
    return windows.astype(np.int32), grid


def _spans(pixels: int, side: int, step: int) -> NDArray[np.int64]:
    """First and last (n, 2) along one axis."""
    starts = np.arange(-(-(pixels - side) // step) + 1) * step
    return np.stack([starts, np.minimum(starts + side, pixels)], axis=1)


def _sides(name: str, value: Any, size: Sequence[int], default: list[int]) -> list[int]:
    """One whole number of 1 or more an axis."""
    if value is None:
        return default
    several = isinstance(value, Sequence) or (isinstance(value, np.ndarray) and value.ndim > 0)
    if several and (isinstance(value, str) or len(value) != len(size)):
        raise InvalidInputError(
            f"{name}={value!r} for images with {len(size)} spatial axes: give one whole number, "
            "or one an axis"
        )
    sides = list(value) if several else [value] * len(size)
    for side in sides:
        whole = isinstance(side, (int, np.integer)) and not isinstance(side, (bool, np.bool_))
        if not whole or side < 1:
            raise InvalidInputError(f"{name}={value!r}: choose whole numbers of 1 or more")
    return [int(side) for side in sides]
