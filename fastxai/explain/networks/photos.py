"""Photos from files, upright and in colour, and what a network is fed of them."""

from __future__ import annotations

import struct
import warnings
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image, ImageOps, UnidentifiedImageError

from ...errors import InvalidInputError
from ...io import existing_file

_FILTERS = {
    "bicubic": Image.Resampling.BICUBIC,
    "bilinear": Image.Resampling.BILINEAR,
    "lanczos": Image.Resampling.LANCZOS,
    "nearest": Image.Resampling.NEAREST,
}
# What Pillow raises on damaged files, whatever the format.
_DAMAGED = (OSError, SyntaxError, ValueError, EOFError, IndexError, KeyError, struct.error)


def read_photo(path: str | Path) -> Image.Image:
    """Read a photo in any format that Pillow knows, as 8-bit red, green and blue.

    It is turned as its EXIF data say.  Grey, palette and CMYK images become colours, 16-bit
    values lose their lower byte, transparent pixels lie on white, floats are stretched from
    the least to the greatest, and of several frames the first is taken.

    Parameters
    ----------
    path : str or Path

    Returns
    -------
    PIL.Image.Image
        Of mode RGB.

    Raises
    ------
    InvalidInputError
        If the file is missing, damaged, no image, or implausibly large.
    """
    path = existing_file(path)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("error", Image.DecompressionBombWarning)
            with Image.open(path) as file:
                file.load()
                return _to_rgb(ImageOps.exif_transpose(file))
    except UnidentifiedImageError:
        raise InvalidInputError(f"{path} is no image, or of a kind that is not known") from None
    except (Image.DecompressionBombWarning, Image.DecompressionBombError) as error:
        raise InvalidInputError(f"{path} is too large to be a photo: {error}") from None
    except _DAMAGED as error:
        raise InvalidInputError(f"{path} is damaged: {error}") from None


def _to_rgb(photo: Image.Image) -> Image.Image:
    if photo.mode.startswith("I"):  # 16 bits, which Pillow may hold in 32
        values = np.asarray(photo).astype(np.int64)
        shift = 8 if photo.mode.startswith("I;16") or values.max() > 255 else 0
        return Image.fromarray(np.clip(values >> shift, 0, 255).astype(np.uint8)).convert("RGB")
    if photo.mode == "F":
        numbers = np.nan_to_num(np.asarray(photo, np.float64))
        spread = float(np.ptp(numbers)) or 1.0
        pixels = np.rint((numbers - numbers.min()) / spread * 255).astype(np.uint8)
        return Image.fromarray(pixels).convert("RGB")
    if "A" in photo.getbands() or "a" in photo.getbands() or "transparency" in photo.info:
        layer = photo.convert("RGBA")
        white = Image.new("RGBA", layer.size, "white")
        return Image.alpha_composite(white, layer).convert("RGB")
    return photo.convert("RGB")


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
        shown = np.stack([np.asarray(self._cut(photo.convert("RGB"))) for photo in photos])
        values = shown
        if len(self.mean) == 1:
            values = np.stack([np.asarray(Image.fromarray(i).convert("L")) for i in shown])[
                ..., None
            ]
        scaled = torch.from_numpy(values.astype(np.float32)) / 255.0
        normal = (scaled - torch.tensor(self.mean)) / torch.tensor(self.std)
        return normal.to(torch.float32).permute(0, 3, 1, 2).contiguous(), shown

    def _cut(self, photo: Image.Image) -> Image.Image:
        high, wide = self.size
        scale = min(photo.width / wide, photo.height / high) * self.crop
        x, y = photo.width / 2, photo.height / 2
        box = (
            x - wide * scale / 2,
            y - high * scale / 2,
            x + wide * scale / 2,
            y + high * scale / 2,
        )
        return photo.resize((wide, high), _FILTERS[self.interpolation], box=box)


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
