"""Lucent's feature visualisation, as its documentation shows it; many channels in one batch.

https://github.com/greentfrapp/lucent, notebooks "tutorial" and "diversity": a batch of images,
and an objective that is a sum of one channel for each.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np


def lucent(
    model: Any, layer: str, channels: list[int], size: int, steps: int, batch: int, seed: int
) -> Callable[[], np.ndarray]:
    """Images (n, 3, size, size) of channels, ``batch`` of them at a time.

    Standard transforms; then the network's own normalisation, and the network sees images of
    ``size``, as it does ours.
    """
    import torch
    from lucent.optvis import objectives, param, render, transform

    name = layer.replace(".", "_")
    transforms = [*transform.standard_transforms, lambda images: (255 * images - 127) / 128]
    look = {"progress": False, "show_image": False, "preprocess": False}

    def some(part: list[int]) -> np.ndarray:
        each = [objectives.channel(name, channel, batch=k) for k, channel in enumerate(part)]
        found = render.render_vis(
            model,
            objectives.Objective.sum(each),
            lambda: param.image(size, batch=len(part)),
            transforms=transforms,
            thresholds=(steps,),
            fixed_image_size=size,
            **look,
        )
        return np.moveaxis(found[0], 3, 1)

    def call() -> np.ndarray:
        np.random.seed(seed)  # noqa: NPY002 (lucent draws by it)
        torch.manual_seed(seed)
        parts = [channels[first : first + batch] for first in range(0, len(channels), batch)]
        return np.concatenate([some(part) for part in parts])

    return call
