"""Small pictures of a page, written into it: mean maps, and images with their map on them."""

from __future__ import annotations

import base64
import io
from functools import cache
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from ..plot.overlay import evidence_colours

_ALPHA = 0.85
_FADED = 0.45  # how much of the image is left beneath a map
_SMALL, _SHOWN = 64, 96  # pixels: enlarged below, and to what at least
_HEAT = 112  # pixels of a mean map on the page, doubled for fine screens


def heat(mean: NDArray[np.float64], limit: float, signed: bool = False) -> str:
    """A mean map as a picture; ``limit`` is the value of the strongest colour."""
    scaled = mean / limit if limit > 0 else mean
    colours = _paint(scaled, signed)
    high, wide = mean.shape
    scale = _HEAT * 2 / max(high, wide)
    size = max(1, round(wide * scale)), max(1, round(high * scale))
    return _png(Image.fromarray(colours).resize(size, Image.Resampling.BICUBIC))


def _paint(scaled: NDArray[Any], signed: bool) -> NDArray[np.uint8]:
    """Evidence on white: values in 0..1, or -1..1 where signed."""
    rgba = _rgba(scaled, signed)
    return _bytes(rgba[..., :3] * rgba[..., 3:] + (1 - rgba[..., 3:]))


def overlaid(picture: NDArray[np.uint8], map: NDArray[np.float32], signed: bool) -> str:
    """An image in faded grey, and a map over it, scaled to its own largest magnitude."""
    high, wide = picture.shape[:2]
    grey = picture.astype(np.float32).mean(2, keepdims=True) / 255
    under = np.repeat(grey * _FADED + (1 - _FADED), 3, axis=2)
    if not np.isfinite(map).all() or not np.abs(map).max() > 0:
        return _photo(Image.fromarray(_bytes(under)))
    resized: Any = Image.fromarray(np.ascontiguousarray(map, np.float32), "F")
    values = np.asarray(resized.resize((wide, high), Image.Resampling.BOX))
    rgba = _rgba(values / np.abs(values).max(), signed)
    return _photo(
        Image.fromarray(_bytes(rgba[..., :3] * rgba[..., 3:] + under * (1 - rgba[..., 3:])))
    )


def thumbnail(picture: NDArray[np.uint8]) -> str:
    """An image as it was."""
    return _photo(Image.fromarray(picture))


def _rgba(scaled: NDArray[Any], signed: bool) -> NDArray[np.float64]:
    colours = _colours(signed)
    place = (scaled + 1) / 2 if signed else scaled
    index = np.clip(np.rint(place * (len(colours) - 1)), 0, len(colours) - 1).astype(int)
    found: NDArray[np.float64] = colours[index]
    return found


@cache
def _colours(signed: bool) -> NDArray[np.float64]:
    colours: NDArray[np.float64] = evidence_colours(signed, _ALPHA)(np.arange(256))
    return colours


def _bytes(values: NDArray[Any]) -> NDArray[np.uint8]:
    found: NDArray[np.uint8] = np.clip(np.rint(values * 255), 0, 255).astype(np.uint8)
    return found


def _png(picture: Any) -> str:
    return _uri(picture, "PNG", optimize=True)


def _photo(picture: Any) -> str:
    """As it will be shown; of a small image every pixel is to be seen."""
    longer = max(picture.size)
    if longer < _SMALL:
        scale = -(-_SHOWN // longer)
        wide, high = picture.size
        return _png(picture.resize((wide * scale, high * scale), Image.Resampling.NEAREST))
    return _uri(picture, "JPEG", quality=85, subsampling=0)


def _uri(picture: Any, kind: str, **options: Any) -> str:
    buffer = io.BytesIO()
    picture.save(buffer, kind, **options)
    return f"data:image/{kind.lower()};base64,{base64.b64encode(buffer.getvalue()).decode()}"
