"""Images in a NumPy array, in memory or mapped from a file."""

from __future__ import annotations

import hashlib
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ...errors import InvalidInputError
from ..decoding import (
    Prepare,
    Sample,
    as_image,
    check_prepare,
    describe_prepare,
    failed,
    from_input,
    from_pixels,
)
from ..labels import Label
from .base import Source

_DIGESTED = 16  # rows that are looked at
_WHOLE = 2**31  # bytes in memory of which all are hashed: some seconds


class ArraySource(Source):
    """Floats (N, C, *spatial), the model's input, or photos of uint8 (N, H, W) or (N, H, W, 3)."""

    kind = "array"

    def __init__(
        self,
        values: NDArray[Any],
        labels: list[Label],
        groups: list[str | None],
        prepare: Prepare | None,
    ) -> None:
        super().__init__([""] * len(values), labels, groups)
        self.values, self.prepare = values, prepare

    def _read(self, i: int) -> Sample:
        if self.prepare is not None:
            return from_pixels(self.values[i], self.prepare)
        image, reason = as_image(np.asarray(self.values[i]))
        return failed(reason) if image is None else from_input(image)

    def _part(self, start: int, stop: int) -> Source:
        rows = slice(start, stop)
        values = np.array(self.values[rows])  # of a mapped file, what other machines have not
        return ArraySource(values, self.labels[rows], self.groups[rows], self.prepare)

    def _details(self) -> dict[str, Any]:
        digest = hashlib.sha256()
        count = len(self.values)
        rows = sorted({round(k * (count - 1) / (_DIGESTED - 1)) for k in range(_DIGESTED)})
        if not isinstance(self.values, np.memmap) and self.values.nbytes <= _WHOLE:
            rows = list(range(count))
        for i in rows:
            digest.update(np.ascontiguousarray(self.values[i]).tobytes())
        return {
            "shape": list(self.values.shape),
            "dtype": self.values.dtype.str,
            "rows_sha256": digest.hexdigest(),
            "preprocess": describe_prepare(self.prepare),
        }


def check_array(values: NDArray[Any], prepare: Prepare | None) -> Prepare | None:
    """Find out what an array holds; return what its photos are prepared with, if they are any.

    Raises
    ------
    InvalidInputError
        If it is neither the model's input nor photos.
    """
    what = f"the array has the shape {values.shape} of {values.dtype}"
    if isinstance(values, np.ma.MaskedArray):
        raise InvalidInputError(f"{what} and is masked: fill it, images.filled(value)")
    if values.dtype.kind == "f":
        if not 3 <= values.ndim <= 5 or 0 in values.shape[1:]:
            raise InvalidInputError(
                f"{what}: floats are the model's input, (N, C, *spatial)"
                + ("; images of one channel are images[:, None]" if values.ndim == 3 else "")
            )
        return None
    colours = values.ndim == 4 and values.shape[3] == 3
    if values.dtype != np.uint8 or not (values.ndim == 3 or colours) or 0 in values.shape[1:]:
        raise InvalidInputError(
            f"{what}: floats (N, C, *spatial) are expected, normalised as in training, or photos "
            "of uint8, (N, H, W) or (N, H, W, 3)"
        )
    check_prepare(prepare, needed=True)
    return prepare
