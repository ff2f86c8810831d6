"""Maps, boxes and masks as arrays of one form; what is none is refused, with the remedy."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from .._checks import check_whole
from ..errors import InvalidInputError

Numbers = NDArray[np.float64]


def read_maps(maps: Any, axes: int, by_channel: bool) -> tuple[Any, bool]:
    """Maps (N, K, *spatial) or (N, K, C, *spatial), and whether each image has one target.

    Parameters
    ----------
    maps : Tensor or ndarray
        (N, [K,] *spatial), or (N, [K,] C, *spatial) if ``by_channel``.
    axes : int
        How many axes are spatial.
    """
    array = as_array(maps, "maps")
    extra = array.ndim - 1 - axes - by_channel
    if extra not in (0, 1):
        form = "(N, [K,] " + "C, " * by_channel + ", ".join("DHW"[-axes:]) + ")"
        raise InvalidInputError(
            f"maps have the shape {array.shape}: give {form}; axes= says how many axes are "
            "spatial, by_channel=True that there are channels before them"
        )
    if 0 in array.shape:
        raise InvalidInputError(f"maps have the shape {array.shape}: there is no map")
    return (array[:, None] if extra == 0 else array), extra == 0


def read_targets(maps: Any, axes: int, k: int, single: bool) -> Any:
    """Maps (N, K, [C,] *spatial) where it is known how many targets an image has.

    ``single``: whether each image has one target, so that there is no axis for them.
    """
    array = maps[:, None] if single else maps
    if array.ndim - 2 - axes not in (0, 1) or array.shape[1] != k:
        form = "(N, [C,] *spatial)" if single else f"(N, {k}, [C,] *spatial)"
        raise InvalidInputError(
            f"maps have the shape {maps.shape}, and target= names {k} an image: give maps {form} "
            "that were made for the same target"
        )
    return array


def check_fit(shape: tuple[int, ...], images: tuple[int, ...]) -> None:
    """Refuse maps that are not of images (N, C, *spatial)."""
    if shape[:1] != images[:1]:
        raise InvalidInputError(
            f"maps of the shape {shape} for {images[0]} images: give one for each, in their order"
        )
    size = images[2:]
    if shape[1:][-len(size) :] != size:
        raise InvalidInputError(
            f"maps of the shape {shape} for images of {size} pixels: enlarge them to the images' "
            "size, where they are as fastxai returns them"
        )


def as_array(value: Any, name: str) -> Any:
    """A NumPy array of real numbers, of a tensor on any device, too."""
    if isinstance(value, dict):
        raise InvalidInputError(
            f"{name} is a dict of {', '.join(map(str, value))}: give the maps of one layer"
        )
    if hasattr(value, "maps") and hasattr(value, "status"):
        raise InvalidInputError(f"{name} is an Explanation: give its .maps")
    if hasattr(value, "detach"):
        value = value.detach().cpu()
        value = (value.float() if value.is_floating_point() else value).numpy()
    try:
        array = np.asarray(value)
    except ValueError:
        raise InvalidInputError(f"{name} are of different sizes: give one array") from None
    if array.dtype.kind not in "biuf":
        raise InvalidInputError(f"{name} is an array of {array.dtype}: give numbers")
    return array


def per_pixel(maps: Any, axes: int, channels: str = "absolute") -> Numbers:
    """(N, K, *spatial) float64: one value a pixel.

    Maps by channel are added up over the channels: their magnitudes (``"absolute"``, what
    Smilkov et al. 2017 and Adebayo et al. 2018 show), or as they are (``"sum"``).
    """
    values = np.asarray(maps, np.float64)
    if values.ndim == 2 + axes:
        return values
    return np.asarray((np.abs(values) if channels == "absolute" else values).sum(axis=2))


def check_channels(channels: Any) -> None:
    """Refuse an unknown way to add up channels."""
    if channels not in ("absolute", "sum"):
        raise InvalidInputError(f"channels={channels!r}: choose 'absolute' or 'sum'")


def regions(boxes: Any, masks: Any, n: int, k: int, size: tuple[int, ...]) -> NDArray[np.bool_]:
    """Where the object is: (N, 1, *spatial) or (N, K, *spatial).

    Parameters
    ----------
    boxes : array or sequence of arrays, optional
        (N, 2 * axes), or for each image (M, 2 * axes), whose union counts: first the low
        corner, then the high one, x before y before z, in pixels (PASCAL VOC's and COCO's
        corners: left, top, right, bottom).  A pixel belongs to the box its centre lies in.
    masks : array, optional
        (N, *spatial), or (N, K, *spatial) with one for each target: what is not 0 belongs.
    """
    if (boxes is None) == (masks is None):
        given = "both are given" if boxes is not None else "neither is given"
        raise InvalidInputError(f"boxes= or masks= says where the object is, and {given}: give one")
    if masks is None:
        return _from_boxes(boxes, n, size)
    array = as_array(masks, "masks")
    if array.shape == (n, *size):
        return np.asarray(array != 0)[:, None]
    if array.shape == (n, k, *size):
        return np.asarray(array != 0)
    raise InvalidInputError(
        f"masks have the shape {array.shape} for {n} images of {size} pixels and {k} targets: "
        f"give {(n, *size)}" + (f" or {(n, k, *size)}" if k > 1 else "")
    )


def _from_boxes(boxes: Any, n: int, size: tuple[int, ...]) -> NDArray[np.bool_]:
    ends = 2 * len(size)
    if len(boxes) != n:
        raise InvalidInputError(f"boxes= holds {len(boxes)} for {n} images: give one for each")
    found = np.zeros((n, 1, *size), dtype=bool)
    for row, given in enumerate(boxes):
        own = np.asarray(as_array(given, f"boxes[{row}]"), np.float64)
        own = own.reshape(0, ends) if own.size == 0 else np.atleast_2d(own)
        if own.ndim != 2 or own.shape[1] != ends or not np.isfinite(own).all():
            names = {2: "start, stop", 4: "left, top, right, bottom"}.get(
                ends, "low x, ..., high z"
            )
            raise InvalidInputError(
                f"boxes[{row}] has the shape {own.shape}: give {ends} finite numbers ({names}), "
                f"or several such rows, for images of {size} pixels"
            )
        for box in own:
            if (box[: ends // 2] > box[ends // 2 :]).any():
                raise InvalidInputError(
                    f"boxes[{row}] is {box.tolist()}: its low corner comes first, then the high one"
                )
            found[row, 0][_pixels(box, size)] = True
    return found


def _pixels(box: Numbers, size: Sequence[int]) -> tuple[slice, ...]:
    """The pixels whose centres (at i + 1/2) lie in [low, high), last axis first in the box."""
    axes = len(size)
    spans = []
    for axis, pixels in enumerate(size):
        low, high = box[axes - 1 - axis], box[2 * axes - 1 - axis]
        first, last = (int(np.ceil(end - 0.5)) for end in (low, high))
        spans.append(slice(min(max(first, 0), pixels), min(max(last, 0), pixels)))
    return tuple(spans)


def check_axes(axes: Any) -> None:
    """Refuse what is no number of spatial axes."""
    check_whole("axes", axes, 1)
    if axes > 3:
        raise InvalidInputError(f"axes={axes}: images have 1 to 3 spatial axes")
