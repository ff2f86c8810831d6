"""What stands where something of an image is taken away."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F

from ...errors import InvalidInputError

_BLUR = 20  # standard deviations that an image is wide
_FORMS = (
    "give a number, one number a channel, an image (C, *spatial), 'mean' (of each image and "
    "channel) or 'blur'"
)


def check_baseline(baseline: Any) -> None:
    """Refuse what is no baseline, before anything is known of the images."""
    if isinstance(baseline, str):
        if baseline not in ("mean", "blur"):
            raise InvalidInputError(f"baseline={baseline!r} is unknown: {_FORMS}")
        return
    try:
        values = torch.as_tensor(baseline, dtype=torch.float64, device="cpu")
    except (TypeError, ValueError, RuntimeError):
        raise InvalidInputError(f"baseline is a {type(baseline).__name__}: {_FORMS}") from None
    if not bool(torch.isfinite(values).all()):
        raise InvalidInputError(f"baseline holds NaN or infinity: {_FORMS}")


def read_baseline(baseline: Any, images: Tensor) -> Tensor:
    """The baseline of each image, shaped like ``images`` (n, c, *s), in their units.

    Parameters
    ----------
    baseline : float, sequence, Tensor, ndarray, "mean" or "blur"
        A value; one a channel; an image (c, *s); each image's mean by channel; each image
        blurred by a Gaussian whose standard deviation is a twentieth of its side.

    Raises
    ------
    InvalidInputError
        If its shape does not go with the images.
    """
    check_baseline(baseline)
    axes = images.ndim - 2
    if isinstance(baseline, str):
        if baseline == "blur":
            return blurred(images)
        dims = tuple(range(2, images.ndim))
        return images.mean(dims, keepdim=True, dtype=_wide(images)).to(images).expand_as(images)
    if isinstance(baseline, np.ndarray):
        baseline = torch.from_numpy(np.ascontiguousarray(baseline))
    values = torch.as_tensor(baseline, dtype=images.dtype, device=images.device)
    if values.ndim == 1 and len(values) == images.shape[1]:
        values = values.reshape(-1, *[1] * axes)
    elif values.ndim not in (0, axes + 1):
        raise InvalidInputError(_misfit(values, images))
    try:
        return values.expand_as(images)
    except RuntimeError:
        raise InvalidInputError(_misfit(values, images)) from None


def _misfit(values: Tensor, images: Tensor) -> str:
    return (
        f"the baseline has the shape {tuple(values.shape)} for images {tuple(images.shape)}: "
        + _FORMS
    )


def _wide(images: Tensor) -> torch.dtype:
    return torch.float64 if images.dtype == torch.float64 else torch.float32


def blurred(images: Tensor) -> Tensor:
    """Each channel (n, c, *s) after a Gaussian along every axis; the border's pixels go on."""
    found = images.to(_wide(images))
    for axis in range(2, images.ndim):
        pixels = images.shape[axis]
        sigma = pixels / _BLUR
        radius = max(1, math.ceil(3 * sigma))
        places = torch.arange(-radius, radius + 1, dtype=found.dtype, device=found.device)
        weights = torch.exp(-0.5 * (places / sigma) ** 2)
        weights = (weights / weights.sum()).reshape(1, 1, -1)
        along = found.movedim(axis, -1)
        rows = F.pad(along.reshape(-1, 1, pixels), (radius, radius), mode="replicate")
        found = F.conv1d(rows, weights).reshape(along.shape).movedim(-1, axis)
    return found.to(images.dtype)
