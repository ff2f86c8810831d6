"""Real points of any number: photographs of clothes, their crops, or patches of photos."""

from __future__ import annotations

from typing import Any

import numpy as np

from fastxai import datasets

_SIDE = 14


def points(n: int) -> tuple[str, Any]:
    """A name, and n points: Fashion-MNIST up to 70,000, beyond that crops of it.

    Where the data set is not installed, patches of the two photos that come with
    scikit-learn.
    """
    if datasets.FASHION_MNIST.exists():
        if n <= 70_000:
            return "Fashion-MNIST", datasets.fashion_mnist().data[:n]
        crops = datasets.fashion_crops().data
        return "crops of Fashion-MNIST", np.ascontiguousarray(crops[:n], np.float32)
    return "patches of two photos", photo_patches(n)


def photo_patches(n: int) -> Any:
    """Grey patches of 14 x 14 pixels at random places of scikit-learn's two photos."""
    from sklearn.datasets import load_sample_images

    random = np.random.default_rng(0)
    photos = [photo.mean(axis=2).astype(np.float32) for photo in load_sample_images().images]
    found = np.empty((n, _SIDE * _SIDE), np.float32)
    owner = random.integers(len(photos), size=n)
    for number, photo in enumerate(photos):
        windows = np.lib.stride_tricks.sliding_window_view(photo, (_SIDE, _SIDE))
        rows = np.flatnonzero(owner == number)
        y, x = (random.integers(size, size=len(rows)) for size in windows.shape[:2])
        found[rows] = windows[y, x].reshape(len(rows), -1)
    return found
