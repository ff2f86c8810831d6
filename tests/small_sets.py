"""What tests of image sets share: a small network, images, and comparisons of outputs."""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import nn

SIDE = 16
CLASSES = ("cat", "dog", "bird", "fish")


def small_net(seed: int = 0) -> Any:
    """Four classes of images (3, 16, 16)."""
    torch.manual_seed(seed)
    return nn.Sequential(
        nn.Conv2d(3, 6, 3, padding=1),
        nn.ReLU(),
        nn.MaxPool2d(2),
        nn.Conv2d(6, 8, 3, padding=1),
        nn.ReLU(),
        nn.AdaptiveAvgPool2d(1),
        nn.Flatten(),
        nn.Linear(8, len(CLASSES)),
    ).eval()


def images(n: int, seed: int = 0) -> Any:
    """(n, 3, 16, 16) of float32 in 0..1."""
    return np.random.default_rng(seed).random((n, 3, SIDE, SIDE), np.float32)


def digests(folder: Path) -> dict[str, str]:
    """A hash of every file below a folder by its relative path."""
    return {
        str(file.relative_to(folder)): hashlib.sha256(file.read_bytes()).hexdigest()
        for file in sorted(folder.rglob("*"))
        if file.is_file()
    }
