"""What a scan keeps of a layer: the k strongest images of each unit, and sums over all images."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, fields
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

Array = NDArray[Any]


@dataclass
class Strongest:
    """Of the C units of a layer, after some of the images.

    Attributes
    ----------
    values : ndarray of float32, (C, k)
        The strongest activations, one an image, in falling order; -inf where there is none.
    images : ndarray of int64, (C, k)
        The images' numbers; of equal activations the lower comes first.  -1 where there is none.
    places : ndarray of int64, (C, k)
        Where in the feature map, counted along its rows.
    total : ndarray of float64, (C,)
        Sum of the finite activations.
    low, high : ndarray of float32, (C,)
        The least and the greatest of them.
    active, active_images, finite, images_seen, nonfinite : ndarray of int64, (C,)
        Activations above the threshold; images with one at least; finite activations; images
        with a finite one; images with one that is not.
    """

    values: Array
    images: Array
    places: Array
    total: Array
    low: Array
    high: Array
    active: Array
    active_images: Array
    finite: Array
    images_seen: Array
    nonfinite: Array

    @classmethod
    def empty(cls, channels: int, k: int) -> Strongest:
        """Before the first image."""
        counts = [np.zeros(channels, np.int64) for _ in range(5)]
        return cls(
            np.full((channels, k), -np.inf, np.float32),
            np.full((channels, k), -1, np.int64),
            np.zeros((channels, k), np.int64),
            np.zeros(channels, np.float64),
            np.full(channels, np.inf, np.float32),
            np.full(channels, -np.inf, np.float32),
            *counts,
        )

    def arrays(self) -> dict[str, Array]:
        """All arrays by name."""
        return {field.name: getattr(self, field.name) for field in fields(self)}

    @classmethod
    def of(cls, arrays: Mapping[str, Array]) -> Strongest:
        """What `arrays` gave."""
        return cls(**{field.name: arrays[field.name] for field in fields(cls)})

    def merged(self, batch: Strongest) -> Strongest:
        """Together with later images."""
        values = np.concatenate([self.values, batch.values], axis=1)
        # Sorting keeps the order of equal ones: the earlier images are the first.
        order = np.argsort(-values, axis=1, kind="stable")[:, : self.values.shape[1]]

        def best(name: str) -> Array:
            both = np.concatenate([getattr(self, name), getattr(batch, name)], axis=1)
            return np.take_along_axis(both, order, axis=1)

        sums = ("total", "active", "active_images", "finite", "images_seen", "nonfinite")
        return Strongest(
            **{name: best(name) for name in ("values", "images", "places")},
            **{name: getattr(self, name) + getattr(batch, name) for name in sums},
            low=np.minimum(self.low, batch.low),
            high=np.maximum(self.high, batch.high),
        )

    def seen(self, maps: Tensor, numbers: Array, threshold: float) -> Strongest:
        """What a batch of activations, (N, C, *spatial), brings, of images of these numbers.

        Only what is stronger than the weakest that is kept so far is looked for.
        """
        flat = maps.detach().reshape(*maps.shape[:2], -1)
        if flat.dtype not in (torch.float32, torch.float64):
            flat = flat.float()
        size = flat.shape[2]
        high, low, total = flat.amax(2), flat.amin(2), flat.sum(2).double()
        active = _above(flat, threshold)
        finite = torch.full_like(active, size)
        if not bool(torch.isfinite(total).all()):
            known = torch.isfinite(flat)
            finite = known.sum(2)
            total = torch.where(known, flat, 0).double().sum(2)
            low = torch.where(known, flat, torch.inf).amin(2)
            flat = torch.where(known, flat, -torch.inf)
            high, active = flat.amax(2), _above(flat, threshold)
        peaks = high.float().cpu().numpy().T  # (C, N)
        values, images, places = self._new(peaks, numbers, flat)
        return Strongest(
            values,
            images,
            places,
            total=_summed(total),
            low=low.amin(0).float().cpu().numpy(),
            high=peaks.max(axis=1),
            active=_summed(active),
            active_images=_summed(active > 0),
            finite=_summed(finite),
            images_seen=_summed(finite > 0),
            nonfinite=_summed(finite < size),
        )

    def _new(self, peaks: Array, numbers: Array, flat: Tensor) -> tuple[Array, Array, Array]:
        """The strongest of a batch that are stronger than what is kept, (C, k) each."""
        channels, k = self.values.shape
        order = np.argsort(-peaks, axis=1, kind="stable")[:, :k]
        found = np.take_along_axis(peaks, order, axis=1)
        wanted = found > self.values[:, -1:]
        values = np.full((channels, k), -np.inf, np.float32)
        images = np.full((channels, k), -1, np.int64)
        places = np.zeros((channels, k), np.int64)
        unit, rank = np.nonzero(wanted)
        row = order[unit, rank]
        values[unit, rank], images[unit, rank] = found[unit, rank], numbers[row]
        if len(unit):
            where = torch.from_numpy(row).to(flat.device), torch.from_numpy(unit).to(flat.device)
            places[unit, rank] = flat[where].argmax(1).cpu().numpy()
        return values, images, places


def _above(flat: Tensor, threshold: float) -> Tensor:
    """How many activations of each row (N, C) are above it.

    Sums of truth values are thirty times as slow as those of floats, which are exact here.
    """
    found = torch.empty(flat.shape[:2], dtype=torch.int64, device=flat.device)
    buffer = torch.empty(flat.shape[1:], dtype=torch.float32, device=flat.device)
    for row, image in zip(found, flat, strict=True):
        torch.gt(image, threshold, out=buffer)
        row.copy_(buffer.sum(1))
    return found


def _summed(values: Tensor) -> Array:
    """Over the images, on the CPU."""
    found: Array = values.sum(0).cpu().numpy()
    return found
