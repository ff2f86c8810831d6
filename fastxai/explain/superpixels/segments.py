"""Which pixels belong together: the user's segments, or ours."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray
from torch import Tensor

from ...errors import InvalidInputError
from .slic import grid, slic

_KINDS = ("slic", "grid")
_FORMS = (
    "give whole numbers from 0 of the images' spatial shape, for all images or one array an image, "
    "a function that returns them for an image (*spatial, C), 'slic' or 'grid'"
)


class Segments(NamedTuple):
    """The segments of one image.

    Attributes
    ----------
    numbers : ndarray of int32, (*spatial)
        From 0, without gaps.
    ids : ndarray of int64, (segments,)
        What the user calls them.
    """

    numbers: NDArray[np.int32]
    ids: NDArray[np.int64]

    def __len__(self) -> int:
        return len(self.ids)


def read_segments(segments: Any) -> Any:
    """What was given as ``segments=``: a name, a function or an array of whole numbers.

    Raises
    ------
    InvalidInputError
        If it is nothing of the kind.
    """
    if segments is None:
        return "slic"
    if isinstance(segments, str):
        if segments not in _KINDS:
            raise InvalidInputError(f"segments={segments!r} is unknown: {_FORMS}")
        return segments
    return segments if callable(segments) else _whole(segments, "segments=")


def check_segments(segments: Any, shape: tuple[int, ...]) -> None:
    """Refuse an array of segments that does not go with images (N, C, *spatial)."""
    if not isinstance(segments, np.ndarray):
        return
    size, given = shape[2:], segments.shape
    if given not in (size, (shape[0], *size)):
        raise InvalidInputError(
            f"segments= has the shape {given} for images {shape}: {_FORMS}; so {size} or "
            f"{(shape[0], *size)}"
        )


def segments_of(segments: Any, image: Tensor, number: int, n_segments: int) -> Segments:
    """The segments of image (c, *spatial), which has this number in the call."""
    size = tuple(image.shape[1:])
    if isinstance(segments, np.ndarray):
        if segments.ndim == len(size):
            return _named(segments)
        if number >= len(segments):
            raise InvalidInputError(
                f"segments= holds {len(segments)} images, and image {number} of the set is "
                "explained: give one array for all, or a function"
            )
        return _named(segments[number])
    if segments == "grid":
        return _named(grid(size, n_segments))
    pixels: NDArray[np.float32] = image.detach().float().cpu().numpy()
    if segments == "slic":
        return _named(slic(pixels, n_segments))
    return _named(_called(segments, pixels, number))


def _called(function: Callable[..., Any], pixels: NDArray[np.float32], number: int) -> Any:
    """What the user's function returns for an image (*spatial, C), which it may write to."""
    size = pixels.shape[1:]
    try:
        found = function(np.ascontiguousarray(np.moveaxis(pixels, 0, -1)))
    except MemoryError:
        raise
    except Exception as error:
        raise InvalidInputError(
            f"the function segments= raised {type(error).__name__} for image {number}, "
            f"an array {(*size, len(pixels))}: {error}"
        ) from error
    found = _whole(found, f"what the function segments= returned for image {number}")
    if found.shape != size:
        raise InvalidInputError(
            f"the function segments= returned the shape {found.shape} for image {number}: it "
            f"should return {size}"
        )
    return found


def _whole(given: Any, what: str) -> NDArray[np.int64]:
    """An array of whole numbers from 0 on."""
    if isinstance(given, Tensor):
        given = given.detach().cpu().numpy()
    try:
        array = np.asarray(given)
    except ValueError:
        raise InvalidInputError(f"{what} is no array of one shape: {_FORMS}") from None
    if array.dtype.kind not in "biu":
        raise InvalidInputError(f"{what} holds {array.dtype}: {_FORMS}")
    if array.size == 0:
        raise InvalidInputError(f"{what} is empty, of the shape {array.shape}: {_FORMS}")
    if array.min() < 0:
        raise InvalidInputError(
            f"{what} holds {int(array.min())}: {_FORMS}. What no segment holds may be one more "
            "segment, such as segments + 1"
        )
    return array.astype(np.int64)


def _named(numbers: NDArray[Any]) -> Segments:
    """Numbers without gaps, and what they were before."""
    ids, inverse = np.unique(numbers, return_inverse=True)
    return Segments(inverse.reshape(numbers.shape).astype(np.int32), ids.astype(np.int64))
