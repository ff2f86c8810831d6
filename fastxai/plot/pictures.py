"""Images and maps as a sheet shows them: any array or tensor in, red, green and blue out."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..errors import InvalidInputError

Pixels = NDArray[np.float64]

_GREY = np.array([0.299, 0.587, 0.114])  # luma of ITU-R BT.601
FADE = 0.45  # how far the greyed image moves towards white beneath a map
_ROBUST = {2: 99.5, 3: 98.0}  # percentile of the absolute values at the end of the colours


def as_array(given: Any, what: str = "images") -> NDArray[Any]:
    """Return a NumPy array of numbers; tensors are detached and fetched, torch is not needed."""
    if hasattr(given, "detach"):
        given = given.detach().cpu()
        if "bfloat16" in str(given.dtype):  # NumPy has no such type
            given = given.float()
    try:
        found = np.asarray(given)
    except (TypeError, ValueError) as error:
        raise InvalidInputError(f"{what}: {error}") from None
    if found.dtype.kind not in "biuf":
        raise InvalidInputError(f"{what}: numbers are expected, not {found.dtype}")
    if not found.size:
        raise InvalidInputError(f"{what}: nothing is in an array of shape {found.shape}")
    return found


def read_image(image: Any, mean: Any = None, std: Any = None) -> Pixels:
    """Return an image to be shown, (H, W, 3) in 0..1.

    Whole numbers count from 0 to 255 (uint16 to 65535).  With ``mean`` and ``std`` (a number or
    one a channel) floats are taken for ``(shown - mean) / std``.  Else floats in 0..1 are shown
    as they are and others stretched from their least to their greatest value.
    """
    found = _channels_last(as_array(image, "image"))
    if found.dtype.kind == "f":
        pixels = _to_unit(found.astype(np.float64), mean, std)
    else:
        full = {"bool": 1.0, "uint16": 65535.0}.get(found.dtype.name, 255.0)
        pixels = found / full
        if pixels.min() < 0.0 or pixels.max() > 1.0:
            raise InvalidInputError(
                f"image: whole numbers from {found.min()} to {found.max()} are no image; 0 to 255 "
                "is expected"
            )
    if pixels.shape[2] == 4:  # on white, as a page is
        pixels = pixels[..., :3] * pixels[..., 3:] + 1.0 - pixels[..., 3:]
    elif pixels.shape[2] == 1:
        pixels = np.repeat(pixels, 3, axis=2)
    return np.clip(np.nan_to_num(pixels), 0.0, 1.0)


def read_images(images: Any, mean: Any = None, std: Any = None) -> list[Pixels]:
    """Return some images to be shown; see `read_image`."""
    if isinstance(images, str | bytes) or not hasattr(images, "__len__") or not len(images):
        raise InvalidInputError("images: an array (N, ...) or a sequence of images is expected")
    return [read_image(image, mean, std) for image in images]


def _channels_last(image: NDArray[Any]) -> NDArray[Any]:
    if image.ndim == 2:
        return image[..., None]
    if image.ndim == 3 and image.shape[0] in (1, 3) and image.shape[2] not in (1, 3, 4):
        return np.moveaxis(image, 0, 2)
    if image.ndim == 3 and image.shape[2] in (1, 3, 4):
        return image
    if image.ndim == 3 and image.shape[0] in (1, 3, 4):
        return np.moveaxis(image, 0, 2)
    raise InvalidInputError(
        f"an image of shape {image.shape} can not be shown: (H, W), (H, W, 3) or (3, H, W) is "
        "expected; for images with other channels give display=, pictures made for the eye"
    )


def _to_unit(pixels: Pixels, mean: Any, std: Any) -> Pixels:
    if mean is not None or std is not None:
        factors = []
        for name, given, default in (("mean", mean, 0.0), ("std", std, 1.0)):
            factor = as_array(default if given is None else given, name).reshape(-1)
            if len(factor) not in (1, pixels.shape[2]):
                raise InvalidInputError(
                    f"{len(factor)} values of {name} for an image of {pixels.shape[2]} channels"
                )
            factors.append(factor.astype(np.float64))
        return pixels * factors[1] + factors[0]
    known = pixels[np.isfinite(pixels)]
    low, high = (float(known.min()), float(known.max())) if known.size else (0.0, 1.0)
    if low >= 0.0 and high <= 1.0:
        return pixels
    return (pixels - low) / ((high - low) or 1.0)


def faded(image: Pixels, background: str) -> Pixels:
    """What lies beneath a map: the image itself, or its grey values moved towards white."""
    if background == "colour":
        return image
    grey = np.repeat((image @ _GREY)[..., None], 3, axis=2)
    return grey if background == "grey" else grey + FADE * (1.0 - grey)


def reach(values: NDArray[Any], signed: bool, axes: int) -> tuple[float, float]:
    """The values at the ends of the colours of maps with two axes, or three with channels.

    The farther end is the 99.5th percentile of the absolute values (the 98th where channels
    are colours: a few pixels must not turn all others pale); where that is zero, the greatest.
    Signed maps are centred at zero.  Others begin at zero, unless even the least value is more
    than half the greatest: then there.
    """
    known = np.abs(values[np.isfinite(values)]).astype(np.float64)
    if not known.size:
        return (-1.0 if signed else 0.0), 1.0
    high = float(np.percentile(known, _ROBUST[axes])) or float(known.max()) or 1.0
    if signed:
        return -high, high
    low = float(known.min())
    return (low if high / 2 < low < high else 0.0), high


def colour_map(map: NDArray[Any], limits: tuple[float, float], signed: bool) -> Pixels:
    """Return a map with channels (C, H, W) as a picture (H, W, 4), transparent where NaN.

    Three channels are red, green and blue; zero is mid-grey where signed, else black.
    """
    low, high = limits
    channels = np.moveaxis(map, 0, 2).astype(np.float64)
    missing = np.isnan(channels).any(axis=2, keepdims=True)
    if signed:
        shown = 0.5 + channels / (2 * max(abs(low), abs(high)) or 1.0)
    else:
        shown = (channels - low) / ((high - low) or 1.0)
    return np.concatenate([np.clip(np.nan_to_num(shown), 0.0, 1.0), 1.0 - missing], axis=2)


def read_map(map: Any, channels: str) -> NDArray[Any]:
    """Return one map, (H, W) or (3, H, W)."""
    values = as_array(map, "map")
    if values.ndim not in (2, 3):
        raise InvalidInputError(
            f"a map of shape {values.shape} can not be drawn: (H, W) or (C, H, W) is expected "
            "(of volumes, choose a slice)"
        )
    values = values.astype(np.float64)
    if values.ndim == 3 and values.shape[0] != 3:
        values = values[0] if len(values) == 1 else fold_channels(values, channels)
    return values


def fold_channels(map: NDArray[Any], channels: str) -> NDArray[Any]:
    """Return (H, W) of (C, H, W): the sum over the channels, or the value farthest from zero."""
    if channels == "sum":
        return np.asarray(map.sum(axis=0, dtype=np.float64))
    known = np.abs(np.where(np.isnan(map), -1.0, map))
    return np.asarray(np.take_along_axis(map, known.argmax(axis=0)[None], axis=0)[0])
