"""Small pictures of what was explained, so that a set can be looked at without its files."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

THUMBNAILS = "thumbnails"


def thumbnail_size(spatial: tuple[int, ...], side: int) -> tuple[int, int]:
    """Height and width: the longer one ``side``, never enlarged."""
    high, wide = spatial
    scale = min(1.0, side / max(high, wide))
    return max(1, round(high * scale)), max(1, round(wide * scale))


def thumbnail(shown: NDArray[np.uint8], size: tuple[int, int]) -> NDArray[np.uint8]:
    """A picture (H, W, 3) made smaller."""
    high, wide = size
    if shown.shape[:2] == (high, wide):
        return shown
    small: Any = Image.fromarray(shown).resize((wide, high), Image.Resampling.BOX)
    return np.asarray(small)
