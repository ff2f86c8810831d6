"""What a network is fed of photos: a crop from the middle, resized and normalised."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image

from ...errors import InvalidInputError
from .reading import Photo, PhotoError, open_photo, read_photo

__all__ = ["Photo", "PhotoError", "Preprocess", "open_photo", "parse_preprocess", "read_photo"]

_FILTERS = {
    "bicubic": Image.Resampling.BICUBIC,
    "bilinear": Image.Resampling.BILINEAR,
    "lanczos": Image.Resampling.LANCZOS,
    "nearest": Image.Resampling.NEAREST,
}


@dataclass(frozen=True)
class Preprocess:
    """How a photo becomes the input of a network: a crop from its middle, resized, normalised.

    Attributes
    ----------
    size : tuple of int, default (224, 224)
        Height and width of the input.
    crop : float, default 0.875
        Share of the photo that is kept, of the largest part from its middle with the input's
        proportions.  As resizing the shorter side to size / crop and cutting size out of that.
    mean, std : tuple of float
        The input is (value - mean) / std of values in 0..1; one number for grey input, three
        for colours.
    interpolation : {"bicubic", "bilinear", "lanczos", "nearest"}, default "bicubic"
    """

    size: tuple[int, int] = (224, 224)
    crop: float = 0.875
    mean: tuple[float, ...] = (0.485, 0.456, 0.406)
    std: tuple[float, ...] = (0.229, 0.224, 0.225)
    interpolation: str = "bicubic"

    def __post_init__(self) -> None:
        if min(self.size) < 1 or max(self.size) > 10_000:
            raise InvalidInputError(f"preprocess: size={self.size} is no size of an image")
        if not 0 < self.crop <= 1:
            raise InvalidInputError(f"preprocess: crop={self.crop}: a share in 0..1 is expected")
        if len(self.mean) not in (1, 3) or len(self.mean) != len(self.std):
            raise InvalidInputError(
                f"preprocess: {len(self.mean)} values of mean and {len(self.std)} of std: one of "
                "each is expected for grey input, three for colours"
            )
        if not np.isfinite([*self.mean, *self.std]).all() or min(self.std) <= 0:
            raise InvalidInputError(f"preprocess: std={self.std}: positive numbers are expected")
        if self.interpolation not in _FILTERS:
            raise InvalidInputError(
                f"preprocess: interpolation={self.interpolation}: choose one of "
                f"{', '.join(_FILTERS)}"
            )

    def __call__(self, photos: Sequence[Image.Image]) -> tuple[Any, NDArray[np.uint8]]:
        """Return the input (N, C, H, W), float32, and the same as pictures (N, H, W, 3)."""
        if not len(photos):
            raise InvalidInputError("no photos: one at least is needed")
        images, shown = zip(*map(self.prepare, photos), strict=True)
        return torch.from_numpy(np.stack(images)), np.stack(shown)

    def box(self, width: int, height: int) -> tuple[float, float, float, float]:
        """Left, top, right and bottom of what is cut out of a photo, in its pixels."""
        high, wide = self.size
        scale = min(width / wide, height / high) * self.crop
        x, y = width / 2, height / 2
        left, top = max(x - wide * scale / 2, 0.0), max(y - high * scale / 2, 0.0)
        right, bottom = x + wide * scale / 2, y + high * scale / 2
        return left, top, min(right, float(width)), min(bottom, float(height))

    def prepare(self, photo: Image.Image) -> tuple[NDArray[np.float32], NDArray[np.uint8]]:
        """Return the input (C, H, W) of one photo, and the same as a picture (H, W, 3)."""
        if photo.mode != "RGB":
            photo = photo.convert("RGB")
        high, wide = self.size
        cut = photo.resize((wide, high), _FILTERS[self.interpolation], self.box(*photo.size))
        shown = np.asarray(cut)
        values = shown.transpose(2, 0, 1)
        if len(self.mean) == 1:
            values = np.asarray(cut.convert("L"))[None]
        image = np.empty(values.shape, np.float32)
        for channel, table in enumerate(self._tables):
            np.take(table, values[channel], out=image[channel], mode="clip")
        return image, shown

    @cached_property
    def _tables(self) -> NDArray[np.float32]:
        """What each of the 256 values of a channel becomes."""
        values = np.arange(256, dtype=np.float32) / np.float32(255)
        mean, std = (np.asarray(each, np.float32)[:, None] for each in (self.mean, self.std))
        return (values - mean) / std


def parse_preprocess(text: str, default: Preprocess) -> Preprocess:
    """Read ``"size=224,crop=0.875,mean=0.485/0.456/0.406,std=1"``; the rest is the default's.

    Raises
    ------
    InvalidInputError
        If a name is unknown or a value no number.
    """
    given: dict[str, Any] = {}
    for part in filter(None, (part.strip() for part in text.split(","))):
        name, equals, value = (piece.strip() for piece in part.partition("="))
        if not equals or name not in _PARSERS:
            raise InvalidInputError(
                f"preprocess: {part!r} is not known; give {', '.join(_PARSERS)} as in "
                "size=224,crop=0.875,mean=0.485/0.456/0.406,std=0.229/0.224/0.225"
            )
        try:
            given[name] = _PARSERS[name](value)
        except ValueError:
            raise InvalidInputError(f"preprocess: {part!r} is no number, nor numbers") from None
    values = {name: getattr(default, name) for name in _PARSERS} | given
    count = max(len(values["mean"]), len(values["std"]))
    for name in ("mean", "std"):  # one number is for every channel
        if len(values[name]) == 1 and (name in given) != ("mean" in given and "std" in given):
            values[name] = values[name] * count
    return Preprocess(**values)


def _numbers(text: str) -> tuple[float, ...]:
    return tuple(float(number) for number in text.split("/"))


def _size(text: str) -> tuple[int, int]:
    high, _, wide = text.partition("x")
    return int(high), int(wide or high)


_PARSERS: dict[str, Any] = {
    "size": _size,
    "crop": float,
    "mean": _numbers,
    "std": _numbers,
    "interpolation": str,
}
