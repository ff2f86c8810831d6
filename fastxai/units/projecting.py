"""DeconvNet from a unit at a position back to the pixels, for several images at once."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from numpy.typing import NDArray
from torch import Tensor

from ..errors import NoGradientError
from ..explain.explainer import Explainer, opened
from ..explain.halving import Batches
from ..explain.layers.layers import Layer
from ..explain.model import caller
from ..explain.relu_rules.rules import ReLURules
from .tapping import run_to

_TOGETHER = 16  # images whose graphs are in memory at once


def projected(
    model: Any, images: NDArray[Any], layer: Layer, unit: int, places: Sequence[int]
) -> NDArray[Any]:
    """Keep one activation of an image, zero the rest, go back to the pixels by DeconvNet's rule.

    As `fastxai.DeconvNet.project`, from a given position; what comes behind the layer does not
    run.

    Parameters
    ----------
    model : Module
    images : ndarray of float32, (N, C, *spatial)
    layer : Layer
    unit : int
    places : sequence of int, (N,)
        Where in the feature map, counted along its rows; 0 where the layer has no space.

    Returns
    -------
    ndarray of float32, (N, C, *spatial)

    Raises
    ------
    NoGradientError
        If no gradient leads back to the images.
    """
    with opened(Explainer(model), images) as (inputs, progress):

        def batch(start: int, stop: int) -> Tensor:
            part = inputs.part(start, stop)
            pixels = part.images.detach().requires_grad_()
            seen: list[Tensor] = []
            with ReLURules() as rules:
                run_to(
                    caller(model),
                    part.with_images(pixels),
                    [layer],
                    lambda _, maps: seen.append(maps),
                )
                flat = seen[0].reshape(len(part), seen[0].shape[1], -1)
                rows = torch.arange(len(part), device=flat.device)
                kept = flat[rows, unit, torch.tensor(places[start:stop], device=flat.device)]
                score = (kept * kept.detach()).sum()
                if not score.requires_grad:
                    raise NoGradientError(_NONE.format(layer.name))
                with rules.using("deconvnet"):
                    found = torch.autograd.grad(score, pixels, allow_unused=True)[0]
            if found is None:
                raise NoGradientError(_NONE.format(layer.name))
            return found.float()

        parts = Batches(len(inputs), _TOGETHER).run(batch, progress, "project")
    found: NDArray[Any] = torch.cat(parts).cpu().numpy()
    return found


_NONE = (
    "no gradient leads from layer {0!r} back to the images: the model cuts the graph before it, "
    "by torch.no_grad, detach or a detour over NumPy; choose a layer before that place, or "
    "project=False"
)
