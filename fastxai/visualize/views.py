"""Views of images: shifted, scaled and turned at random, all in one interpolation.

What only one exact view excites is noise that the network happens to answer to; what is to be
seen must survive small changes.  Each image has a view of its own in each step, drawn from its own
seed.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from .options import Options


class Views:
    """The views of some images in some steps.

    Parameters
    ----------
    seeds : sequence of sequences of int
        One an image.
    count : int
        How many each image has.
    options : Options
        jitter, scaling and rotation.
    size : (int, int)
        Height and width.
    device : torch.device
    """

    def __init__(
        self,
        seeds: Sequence[Sequence[int]],
        count: int,
        options: Options,
        size: tuple[int, int],
        device: torch.device,
    ) -> None:
        self._still = not (options.jitter or options.scaling or options.rotation)
        self._size = size
        drawn = [np.random.default_rng(seed).uniform(-1, 1, (count, 4)) for seed in seeds]
        self._matrices = _matrices(np.stack(drawn, 1), options, size).to(device)

    def of(self, images: Tensor, step: int, rows: Tensor | None = None) -> Tensor:
        """The images (N, C, H, W) as seen in a step; ``rows`` tells which of all they are.

        Beyond the border an image is mirrored.
        """
        if self._still:
            return images
        matrices = self._matrices[step] if rows is None else self._matrices[step, rows]
        grid = F.affine_grid(matrices, list(images.shape), align_corners=False)
        return F.grid_sample(images, grid, padding_mode="reflection", align_corners=False)


def _matrices(drawn: np.ndarray, options: Options, size: tuple[int, int]) -> Tensor:
    """(count, N, 2, 3): from a view's places to the image's, in halves of its sides."""
    angle = drawn[..., 0] * math.radians(options.rotation)
    zoom = (1 + options.scaling) ** drawn[..., 1]
    shift = 2 * options.jitter * drawn[..., 2:]
    cos, sin, flat = np.cos(angle) * zoom, np.sin(angle) * zoom, size[0] / size[1]
    found = np.empty((*angle.shape, 2, 3), np.float32)
    found[..., 0, 0], found[..., 0, 1] = cos, -sin * flat
    found[..., 1, 0], found[..., 1, 1] = sin / flat, cos
    found[..., :, 2] = shift
    return torch.from_numpy(found)
