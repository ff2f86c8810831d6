"""The arrays of a batch: maps as they are stored, and thumbnails."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from .job import Batch, Job, Maps
from .manifest import Layout
from .thumbnails import THUMBNAILS, thumbnail


def blocks(
    job: Job, layout: Layout, batch: Batch, found: Maps, reasons: list[str]
) -> dict[str, NDArray[Any]]:
    """A block an array of the layout; NaN, and black, where an image failed."""
    failed = np.array([bool(reason) for reason in reasons])
    made = {name: _maps(job, layout, name, found, failed) for name in layout.maps}
    if THUMBNAILS in layout.arrays:
        size = layout.arrays[THUMBNAILS]["shape"][:2]
        pictures = np.zeros((len(failed), *size, 3), np.uint8)
        for i, sample in enumerate(batch.samples):
            if not failed[i] and sample.shown is not None:
                pictures[i] = thumbnail(sample.shown, size)
        made[THUMBNAILS] = pictures
    return made


def _maps(
    job: Job, layout: Layout, name: str, found: Maps, failed: NDArray[np.bool_]
) -> NDArray[Any]:
    shape = layout.arrays[name]["shape"]
    if name not in found.maps:
        return np.full((len(failed), *shape), np.nan, job.dtype)
    maps = found.maps[name]
    if job.dtype == "float16":
        scale = found.scale[name]
        maps = maps / scale.reshape(*scale.shape, *[1] * (maps.ndim - 2))
    block = np.array(maps[:, 0] if layout.single else maps, job.dtype)
    block[failed] = np.nan
    return block


def scales(maps: NDArray[np.float32]) -> NDArray[np.float32]:
    """Powers of two (B, K) that bring each map into -1..1, where float16 is finest."""
    largest = np.abs(maps.reshape(*maps.shape[:2], -1)).max(2)
    usable = np.isfinite(largest) & (largest > 0)
    exponent = np.ceil(np.log2(largest, where=usable, out=np.zeros_like(largest)))
    scale: NDArray[np.float32] = np.exp2(np.clip(exponent, -126, 127)).astype(np.float32)
    return scale
