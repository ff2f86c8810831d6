"""Occluded forwards that compute what the window reaches, and take the rest from the image."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch import Tensor, nn

from ...progress import Progress
from ..forward import out_of_memory
from ..inputs import Inputs
from . import local_operations  # noqa: F401  (fills the table of operations)
from .local_tensor import Known, Patch, form_of
from .perturbed import Forward, Meter, available_memory

if TYPE_CHECKING:
    from .occlusion import Occluder

CLOSE = 1e-4  # of the largest output: how far another way to compute it may be off
_LARGEST = 0.5  # of the image: a window that is worth it
_MEMORY = 0.25  # of what there is: for the feature maps of one image


class LocalForward:
    """The model's output for occluded images, from the changed regions.

    Parameters
    ----------
    model, forward
        The model, and what calls it with `Inputs`.
    images : Tensor
        As they are, (n, c, *s).
    occluder : Occluder
        Whose latest batch tells where the images were changed.
    """

    def __init__(
        self, model: nn.Module, forward: Forward, images: Tensor, occluder: Occluder
    ) -> None:
        self._model, self._forward = model, forward
        self._images, self._occluder = images.detach(), occluder
        self._row = -1

    def __call__(self, inputs: Inputs) -> Tensor:
        """The selected output for one batch, all of whose images come from one."""
        with torch.inference_mode():
            output = self._forward(inputs.with_images(self._patch(inputs.images)))
            return output.together() if isinstance(output, Patch) else output

    def _patch(self, occluded: Tensor) -> Patch:
        """The batch as regions of the image as it is."""
        row, windows = self._occluder.latest
        if row != self._row:
            self._row, self._known = row, Known(self._model)
            image = self._images[row : row + 1]
            self._image = image.contiguous(memory_format=form_of(occluded))
        size = tuple((windows[:, :, 1] - windows[:, :, 0]).max(axis=0).tolist())
        # Windows that the border cuts get the same size: more of the image beside them.
        starts = np.minimum(windows[:, :, 0], np.array(occluded.shape[2:]) - size).tolist()
        places = [tuple(start) for start in starts]
        regions = [
            image[(slice(None), *(slice(a, a + n) for a, n in zip(place, size, strict=True)))]
            for image, place in zip(occluded, places, strict=True)
        ]
        patch = torch.stack(regions).contiguous(memory_format=form_of(occluded))
        return Patch(self._image, patch, places, self._known)


def local_forward(
    model: Any, forward: Forward, inputs: Inputs, occluder: Occluder, progress: Progress
) -> Forward | None:
    """A forward that works locally, once it gave the right output for two windows.

    None where it does not pay, or does not work: a scripted model, a callable, a window that
    covers most of the image, a model whose operations leave PyTorch.
    """
    window = occluder.windows[:, :, 1] - occluder.windows[:, :, 0]
    share = math.prod(window.max(axis=0).tolist()) / math.prod(inputs.spatial)
    images = inputs.images
    scripted = isinstance(model, torch.jit.ScriptModule)
    if not isinstance(model, nn.Module) or scripted or images.device.type != "cpu":
        return None
    if share > _LARGEST or len(occluder.windows) < 8:
        return None
    local = LocalForward(model, forward, images, occluder)
    few = np.array([0, len(occluder.windows) // 2])
    buffer = images.new_empty((2, *images.shape[1:])).contiguous(memory_format=occluder.form)
    if buffer.dtype not in (torch.float32, torch.float64):
        buffer = buffer.float()
    rows = occluder.write(few, buffer)
    changed = inputs.repeat(rows, buffer.to(images.dtype))
    try:
        why = _unfit(local, forward, changed)
    except Exception as error:  # whatever a model does with a tensor of another kind
        why = "too little memory" if out_of_memory(error) else str(error)
    if why:
        progress.say(f"the whole image is computed for every window: {why}")
    return None if why else local


def _unfit(local: LocalForward, forward: Forward, changed: Inputs) -> str:
    """Why a model can not be worked on locally; empty where it can."""
    with Meter() as meter:
        expected = forward(changed)
    # What is known of an image stays as long as its windows are worked on.
    available = available_memory(changed.images.device)
    if available is not None and meter.total / len(changed) > _MEMORY * available:
        return "too little memory to keep what is known of the image"
    if not close(local(changed), expected):
        return "regions alone give other outputs"
    return ""


def close(found: Tensor, expected: Tensor) -> bool:
    """Equal within 1e-4 of the largest output; not finite in the same places."""
    if found.shape != expected.shape:
        return False
    finite = expected[torch.isfinite(expected)]
    size = finite.abs().amax().item() if finite.numel() else 0.0
    return bool(torch.allclose(found, expected, rtol=0.0, atol=CLOSE * size, equal_nan=True))
