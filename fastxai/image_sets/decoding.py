"""One image of a set: what the model sees, what people see, and where on the photo that is."""

from __future__ import annotations

import math
import re
from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import asdict
from typing import Any, NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image

from ..errors import InvalidInputError
from ..explain.networks.photos import Photo, PhotoError, Preprocess, open_photo
from ..explain.networks.reading import to_rgb

Prepare = Preprocess | Callable[[Image.Image], Any]

_NAN = math.nan
_LONGEST = 300  # letters of a reason
_IMAGE_KEYS = ("image", "img", "pixel_values")
_LABEL_KEYS = ("label", "labels", "target")


class Place(NamedTuple):
    """Where on its photo an image lies, so that a map can be laid back on it.

    Attributes
    ----------
    width, height : int
        Of the upright photo; 0 where unknown.
    orientation : int
        1 to 8, as EXIF counts: how the file's pixels were turned.
    left, top, right, bottom : float
        The crop, in pixels of the upright photo; NaN where unknown, as after a function of
        the user's.
    mode : str
        Pillow's name of what the file holds: RGB, CMYK, L, I;16, P ...
    frames : int
        Pictures in the file, of which the first is the image.
    """

    width: int = 0
    height: int = 0
    orientation: int = 0
    left: float = _NAN
    top: float = _NAN
    right: float = _NAN
    bottom: float = _NAN
    mode: str = ""
    frames: int = 0


NOWHERE = Place()


class Sample(NamedTuple):
    """An image that was read, or why it could not be.

    Attributes
    ----------
    image : float32 array of shape (C, *spatial), or None
        The model's input.
    shown : uint8 array of shape (H, W, 3), or None
        The same as people see it; None where there are not two spatial axes.
    place : Place
    reason : str
        Why there is no image; "" where there is one.
    label : int, str or None
        Where the item itself brings one.
    """

    image: NDArray[np.float32] | None
    shown: NDArray[np.uint8] | None
    place: Place = NOWHERE
    reason: str = ""
    label: Any = None


def failed(reason: str, place: Place = NOWHERE, label: Any = None) -> Sample:
    """No image, and why: one line, the same wherever and whenever it fails."""
    text = " ".join(re.sub(r"0x[0-9a-fA-F]{4,}", "0x...", reason).split())
    text = text.encode("utf-8", "backslashreplace").decode("utf-8")
    return Sample(None, None, place, text[:_LONGEST] or "unknown", label)


def read_photo_file(path: str, prepare: Prepare) -> Sample:
    """A photo from a file; bad data give a reason."""
    try:
        photo = open_photo(path)
    except PhotoError as error:
        return failed(error.fault)
    return from_photo(photo, prepare)


def from_photo(photo: Photo, prepare: Prepare, label: Any = None) -> Sample:
    """What a network is fed of a photo."""
    place = Place(
        photo.width, photo.height, photo.orientation, mode=photo.mode, frames=photo.frames
    )
    if isinstance(prepare, Preprocess):
        left, top, right, bottom = prepare.box(photo.width, photo.height)
        place = place._replace(left=left, top=top, right=right, bottom=bottom)
        return Sample(*prepare.prepare(photo.pixels), place, label=label)
    try:
        found = prepare(photo.pixels)
    except Exception as error:
        return failed(f"preprocess raised {type(error).__name__}: {error}", place, label)
    image, reason = as_image(found)
    if image is None:
        return failed(f"preprocess returned what is no image: {reason}", place, label)
    return Sample(image, picture_of(image), place, label=label)


def from_item(item: Any, prepare: Prepare | None) -> Sample:
    """An item of a Dataset: a tensor or PIL image, alone, before a label, or in a dict."""
    value, label = _parts(item)
    if isinstance(value, Image.Image):
        if prepare is None:
            return failed("the item is a PIL image, and there is no preprocess= for it")
        mode, frames = value.mode, int(getattr(value, "n_frames", 1))
        photo = Photo(to_rgb(value), value.width, value.height, 1, mode, frames)
        return from_photo(photo, prepare, label)
    pixels = _as_pixels(value)
    if pixels is not None and prepare is not None:
        return from_pixels(pixels, prepare, label)
    image, reason = as_image(value)
    return failed(reason, label=label) if image is None else from_input(image, label)


def from_pixels(pixels: NDArray[np.uint8], prepare: Prepare, label: Any = None) -> Sample:
    """A photo that is an array of uint8, (H, W) or (H, W, 3)."""
    photo = Image.fromarray(np.ascontiguousarray(pixels))
    whole = Photo(photo.convert("RGB"), photo.width, photo.height, 1, photo.mode, 1)
    return from_photo(whole, prepare, label)


def from_input(image: NDArray[np.float32], label: Any = None) -> Sample:
    """What is the model's input already, and its own photo."""
    place = NOWHERE
    if image.ndim == 3:
        high, wide = image.shape[1:]
        place = Place(wide, high, 1, 0.0, 0.0, float(wide), float(high), "F", 1)
    return Sample(image, picture_of(image), place, label=label)


def _parts(item: Any) -> tuple[Any, Any]:
    """The image of an item, and its label."""
    value, label = item, None
    if isinstance(item, Mapping):
        value = next((item[key] for key in _IMAGE_KEYS if key in item), item)
        label = next((item[key] for key in _LABEL_KEYS if key in item), None)
    elif isinstance(item, (tuple, list)) and item:
        value, label = item[0], item[1] if len(item) > 1 else None
    return value, _plain_label(label)


def _plain_label(label: Any) -> int | str | None:
    """A class as a number or name; what else stands beside an image is no label."""
    if isinstance(label, (torch.Tensor, np.ndarray)):
        label = label.item() if math.prod(label.shape) == 1 else None
    if isinstance(label, np.generic):
        label = label.item()
    if isinstance(label, str):
        return str(label)
    whole = isinstance(label, int) or (isinstance(label, float) and label.is_integer())
    return int(label) if whole else None


def _as_pixels(value: Any) -> NDArray[np.uint8] | None:
    """Bytes as pixels (H, W) or (H, W, 3); colours may come first, as torchvision reads them."""
    if isinstance(value, torch.Tensor) and value.dtype == torch.uint8:
        value = value.detach().cpu().numpy()
    if not isinstance(value, np.ndarray) or value.dtype != np.uint8 or not value.size:
        return None
    pixels: NDArray[np.uint8] = value
    if pixels.ndim == 3 and pixels.shape[0] in (1, 3) and pixels.shape[2] != 3:
        pixels = np.moveaxis(pixels, 0, 2)
    if pixels.ndim == 3 and pixels.shape[2] == 1:
        pixels = pixels[..., 0]
    return pixels if pixels.ndim == 2 or (pixels.ndim == 3 and pixels.shape[2] == 3) else None


def as_image(value: Any) -> tuple[NDArray[np.float32] | None, str]:
    """A tensor or array as the model's input, (C, *spatial) float32; or None, and why."""
    if isinstance(value, torch.Tensor):
        if value.layout is not torch.strided or value.is_nested or value.is_meta:
            return None, "it is a tensor that is not dense: a dense one (C, *spatial) is expected"
        value = value.detach().cpu()
        value = (value.float() if value.is_floating_point() else value).resolve_neg().numpy()
    if not isinstance(value, np.ndarray):
        return None, f"it is a {type(value).__name__}: a tensor (C, *spatial) is expected"
    if value.dtype.kind != "f" or isinstance(value, np.ma.MaskedArray):
        return None, f"it is of {value.dtype}: floats, normalised as in training, are expected"
    if not 2 <= value.ndim <= 4 or 0 in value.shape:
        return None, f"it has the shape {value.shape}: (C, *spatial) is expected"
    with np.errstate(over="ignore"):  # found just below as infinity
        image = np.array(value, np.float32, order="C")
    if not np.isfinite(image).all():
        return None, "it holds NaN or infinity"
    return image, ""


def picture_of(image: NDArray[np.float32]) -> NDArray[np.uint8] | None:
    """The model's input as a picture; beyond 0..1 it is stretched from its least to greatest."""
    if image.ndim != 3:
        return None
    values = image if len(image) == 3 else np.repeat(image.mean(0, keepdims=True), 3, 0)
    low, high = float(values.min()), float(values.max())
    if low < 0.0 or high > 1.0:
        values = (values - np.float32(low)) / np.float32((high - low) or 1.0)
    pixels: NDArray[np.uint8] = np.rint(values * np.float32(255)).astype(np.uint8)
    return np.ascontiguousarray(pixels.transpose(1, 2, 0))


def of_shape(sample: Sample, shape: tuple[int, ...] | None) -> Sample:
    """The sample, if it has the shape that all images of its set have."""
    if sample.image is None or shape is None or sample.image.shape == shape:
        return sample
    reason = f"the image has the shape {sample.image.shape}, and the others have {shape}"
    return failed(reason, sample.place, sample.label)


def describe_prepare(prepare: Prepare | None) -> dict[str, Any] | str | None:
    """What tells one way to prepare photos from another: its values, or words."""
    if prepare is None or isinstance(prepare, Preprocess):
        return None if prepare is None else asdict(prepare)
    name = getattr(prepare, "__qualname__", None)
    if name is not None:
        return f"{getattr(prepare, '__module__', '')}.{name}"
    return " ".join(re.sub(r"0x[0-9a-fA-F]{4,}", "0x...", repr(prepare)).split())


def check_prepare(prepare: Any, needed: bool) -> None:
    """Refuse what can not prepare a photo.

    Raises
    ------
    InvalidInputError
    """
    if prepare is None and needed:
        raise InvalidInputError(
            "preprocess= is missing: photos are cut, resized and normalised as in training, by "
            "fastxai.explain.networks.Preprocess(size, crop, mean, std) or a function of a PIL "
            "image that returns a tensor (C, H, W)"
        )
    if prepare is not None and not callable(prepare):
        raise InvalidInputError(
            f"preprocess is a {type(prepare).__name__}: a Preprocess or a function of a PIL image "
            "is expected"
        )


def summary_of(reasons: list[str]) -> str:
    """The commonest reasons, with how often each came."""
    common = Counter(reasons).most_common(3)
    return "; ".join(f"{count:,} x {reason}" for reason, count in common)
