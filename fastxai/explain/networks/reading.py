"""Photos from files, upright and in colour, whatever their kind and state."""

from __future__ import annotations

import os
import stat
import struct
import threading
from collections.abc import Iterator
from contextlib import nullcontext
from pathlib import Path
from typing import IO, Any, NamedTuple

import numpy as np
from numpy.typing import NDArray
from PIL import ExifTags, Image, UnidentifiedImageError

from ...errors import InvalidInputError

# Programs for another program to run, films, and what Pillow knows by name only.
NO_PHOTOS = frozenset({"BUFR", "EPS", "GRIB", "HDF5", "MPEG", "WMF"})
_COMMON = ("JPEG", "PNG", "GIF", "BMP", "PPM")
_NOT_SOUGHT = NO_PHOTOS.union(_COMMON)
TURNS = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}
_KEPT = ("icc_profile",)  # of what Pillow knows of a file beside its pixels
# Photos of more pixels are decoded one at a time, so that threads together need no more memory
# than one and the largest photo.
_LARGE = 25_000_000
_one_large = threading.Lock()


class Photo(NamedTuple):
    """A photo as it is seen, and what its file is.

    Attributes
    ----------
    pixels : PIL.Image.Image
        Upright, of mode RGB; smaller than the photo where that is too large to be decoded whole.
    width, height : int
        Of the upright photo.
    orientation : int
        1 to 8, as EXIF counts: how ``pixels`` were turned.
    mode : str
        Pillow's name of what the file holds: RGB, CMYK, L, I;16, P ...
    frames : int
        How many pictures the file holds; ``pixels`` are the first.
    """

    pixels: Image.Image
    width: int
    height: int
    orientation: int
    mode: str
    frames: int

    def cut(self, box: tuple[float, float, float, float], size: tuple[int, int]) -> Image.Image:
        """Cut a box (left, top, right, bottom), in the whole photo's pixels, as a picture.

        Parameters
        ----------
        box : tuple of float
        size : tuple of int
            Width and height of the picture.
        """
        wide, high = self.pixels.size
        across, down = wide / self.width, high / self.height
        left, top = max(box[0] * across, 0.0), max(box[1] * down, 0.0)
        right, bottom = min(box[2] * across, float(wide)), min(box[3] * down, float(high))
        return self.pixels.resize(size, Image.Resampling.BICUBIC, (left, top, right, bottom))


class PhotoError(InvalidInputError):
    """A file that can not be read as a photo.

    Attributes
    ----------
    fault : str
        What is wrong, without the file's name.
    """

    def __init__(self, path: str | Path, fault: str) -> None:
        super().__init__(f"{path} {fault}" if fault[0] != ":" else f"{path}{fault}")
        self.fault = fault.removeprefix(": ")


def read_photo(path: str | Path) -> Image.Image:
    """Read a photo in any format that Pillow knows, as 8-bit red, green and blue.

    It is turned as its EXIF data say.  Grey, palette and CMYK images become colours, 16-bit
    values lose their lower byte, transparent pixels lie on white, floats are stretched from
    the least to the greatest, and of several frames the first is taken.  A JPEG of more pixels
    than ``PIL.Image.MAX_IMAGE_PIXELS`` is decoded at a half, a quarter or an eighth of its size.

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
        If the file is missing, damaged, no image, or too large.
    """
    return open_photo(path).pixels


def open_photo(path: str | Path) -> Photo:
    """Read a photo as `read_photo` does, with what its file says of it.

    It may be called from several threads at once.

    Raises
    ------
    PhotoError
        If the file is missing, damaged, no image, or too large.
    """
    check_file(path)
    try:
        with open(path, "rb") as file, _identified(file, os.fspath(path)) as image:
            return _decoded(image, path)
    except (PhotoError, MemoryError):
        raise
    except PermissionError:
        raise PhotoError(path, "can not be read: permission denied") from None
    except UnidentifiedImageError:
        raise PhotoError(path, "is no image, or of a kind that is not known") from None
    except Image.DecompressionBombError as error:
        raise PhotoError(path, f"is too large to be a photo: {error}") from None
    except Exception as error:  # Pillow's readers raise whatever a damaged file leads them to
        raise PhotoError(path, f"is damaged: {_said(error)}") from None


def _decoded(image: Any, path: str | Path) -> Photo:
    mode, (width, height) = image.mode, image.size
    with _one_large if width * height > _LARGE else nullcontext():
        reduced = _fit(image, path)
        turn = _orientation(image)
        image.load()
        # Of a PNG it may be known only now; a TIFF is upright by now.
        left = _orientation(image)
        pixels = to_rgb(image)
        if left in TURNS:
            pixels = pixels.transpose(TURNS[left])
    # What is done already must not be done again, by a function of the user's.
    pixels.info = {key: pixels.info[key] for key in _KEPT if key in pixels.info}
    turn = left if turn == 1 else turn
    if not reduced:
        width, height = pixels.size
    elif turn >= 5:
        width, height = height, width
    return Photo(pixels, width, height, turn, mode, _frames(image))


def _said(error: BaseException) -> str:
    return str(getattr(error, "strerror", None) or error) or type(error).__name__


def check_file(path: str | Path) -> None:
    """Find out whether there is a plain file; a pipe would be waited for without an end.

    Raises
    ------
    PhotoError
        If there is none.
    """
    try:
        kind = os.stat(path).st_mode
    except PermissionError:
        raise PhotoError(path, "can not be read: permission denied") from None
    except (OSError, ValueError) as error:
        if os.path.islink(path):
            raise PhotoError(path, "is a link to a file that is not there") from None
        if isinstance(error, FileNotFoundError | NotADirectoryError):
            raise PhotoError(path, ": no such file") from None
        raise PhotoError(path, f"can not be read: {_said(error)}") from None
    if stat.S_ISDIR(kind):
        raise PhotoError(path, "is a folder, a file was expected")
    if not stat.S_ISREG(kind):
        raise PhotoError(path, "is no plain file")


def _identified(file: IO[bytes], name: str) -> Any:
    """The image of a file, before anything is decoded.

    As `PIL.Image.open` does, but that warns of large images, or refuses them, before one can
    ask for a smaller copy; and warnings can not be held back in one thread alone.
    """
    prefix = file.read(16)
    for format in _formats():
        factory, accept = Image.OPEN[format]
        try:
            if accept is None or accept(prefix) is True:
                file.seek(0)
                return factory(file, name)
        except (SyntaxError, IndexError, TypeError, struct.error):
            continue  # not of this format
    raise UnidentifiedImageError


def _formats() -> Iterator[str]:
    """Formats in an order that is the same whatever else was imported; the rare ones last."""
    Image.preinit()
    yield from (format for format in _COMMON if format in Image.OPEN)
    Image.init()
    yield from sorted(Image.OPEN.keys() - _NOT_SOUGHT)


def _fit(image: Any, path: str | Path) -> bool:
    """Have a JPEG that is too large decoded smaller; refuse others that are too large."""
    most = Image.MAX_IMAGE_PIXELS
    width, height = image.size
    if most is None or width * height <= most:
        return False
    # A progressive one is held whole while it is decoded, whatever size is asked for.
    if image.format in ("JPEG", "MPO") and not image.info.get("progressive"):
        for part in (2, 4, 8):
            if width * height <= most * part**2 and min(width, height) >= part:
                image.draft(None, (width // part, height // part))
                return True
    kind = "a progressive JPEG" if image.info.get("progressive") else f"{image.format}"
    raise PhotoError(
        path,
        f"is too large to be a photo: {width:,} x {height:,} pixels in {kind}, where {most:,} "
        "are decoded at most; make it smaller, or save it as a baseline JPEG, which is read at a "
        "part of its size",
    )


def _orientation(image: Any) -> int:
    """How the photo is to be turned; damaged EXIF data turn nothing."""
    try:
        found = image.getexif().get(ExifTags.Base.Orientation, 1)
    except Exception:
        return 1
    return found if found in TURNS else 1


def _frames(image: Any) -> int:
    """Whether a later frame is damaged is of no interest to the first."""
    try:
        return int(getattr(image, "n_frames", 1))
    except Exception:
        return 1


def to_rgb(photo: Any) -> Image.Image:
    """Any mode as 8-bit red, green and blue; see `read_photo`."""
    if photo.mode.startswith("I"):  # 16 bits, which Pillow may hold in 32
        values = np.asarray(photo)
        if photo.mode.startswith("I;16") or values.max() > 255:
            values = values >> 8
        return Image.fromarray(np.clip(values, 0, 255).astype(np.uint8)).convert("RGB")
    if photo.mode == "F":
        return Image.fromarray(_stretched(np.asarray(photo))).convert("RGB")
    if "A" in photo.getbands() or "a" in photo.getbands() or "transparency" in photo.info:
        layer = photo.convert("RGBA")
        white = Image.new("RGBA", layer.size, "white")
        return Image.alpha_composite(white, layer).convert("RGB")
    rgb: Image.Image = photo.convert("RGB")
    return rgb


def _stretched(values: NDArray[Any]) -> NDArray[np.uint8]:
    """Floats as 0 to 255; infinite ones are the extremes of the others, NaN counts as zero."""
    known = values[np.isfinite(values)].astype(np.float64)
    low, high = (float(known.min()), float(known.max())) if known.size else (0.0, 1.0)
    if np.isnan(values).any():
        low, high = min(low, 0.0), max(high, 0.0)
    numbers = np.clip(np.nan_to_num(values.astype(np.float64)), low, high)
    return np.rint((numbers - low) / ((high - low) or 1.0) * 255).astype(np.uint8)
