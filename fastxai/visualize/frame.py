"""What a network takes: how many channels, of which size, and how values in 0..1 are normalised."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from .._checks import check_whole
from ..errors import InvalidInputError
from ..explain.forward import run_model
from ..explain.inputs import Inputs, spatial_axes
from ..explain.model import place_of

SIDE = 128  # pixels, where nothing tells the size
_CONVOLUTIONS = (nn.Conv2d, nn.ConvTranspose2d)


@dataclass(frozen=True, eq=False)
class Frame:
    """The form of the images.

    Attributes
    ----------
    channels : int
    size : (int, int)
        Height and width.
    mean, std : Tensor of shape (channels, 1, 1)
        The network is given (image - mean) / std, in its own precision.
    dtype : torch.dtype
    """

    channels: int
    size: tuple[int, int]
    mean: Tensor
    std: Tensor
    dtype: torch.dtype

    @property
    def device(self) -> torch.device:
        """Where the network lies."""
        return self.mean.device

    def inputs(self, images: Tensor) -> Inputs:
        """What the network is given for images (N, C, H, W) in 0..1."""
        given = ((images - self.mean) / self.std).to(self.dtype)
        # Convolutions are 5 to 50% faster with the channels last, whatever the weights' order.
        return Inputs(given.contiguous(memory_format=torch.channels_last))

    def run(self, network: Callable[..., Any], images: Tensor) -> Any:
        """What a network returns for images in 0..1."""
        return run_model(network, self.inputs(images))

    def trial(self) -> Tensor:
        """Two images by which shapes are found out: grey, with some noise."""
        generator = torch.Generator().manual_seed(0)
        noise = torch.rand(2, self.channels, *self.size, generator=generator)
        return (0.25 + 0.5 * noise).to(self.device)


def read_frame(
    model: nn.Module, size: Any, channels: Any, mean: Any, std: Any, preprocess: Any
) -> Frame:
    """The form of a model's images, from what is given and from the model itself.

    Raises
    ------
    InvalidInputError
        If something given has no meaning, or the model takes no images of two axes.
    """
    axes = spatial_axes(model)
    if axes is not None and axes != 2:
        raise InvalidInputError(
            f"the model's convolutions have {axes} spatial axes: images of two are made only"
        )
    if preprocess is not None:
        missing = [name for name in ("size", "mean", "std") if not hasattr(preprocess, name)]
        if missing:
            raise InvalidInputError(
                f"preprocess= is a {type(preprocess).__name__} without {missing[0]}: give a "
                "fastxai.explain.networks.Preprocess, or size=, mean= and std="
            )
        size = preprocess.size if size is None else size
        mean = preprocess.mean if mean is None else mean
        std = preprocess.std if std is None else std
    centre, spread = _numbers(mean, 0.0, "mean"), _numbers(std, 1.0, "std")
    if (spread <= 0).any():
        raise InvalidInputError(f"std={std!r}: positive numbers are expected")
    found = _channels(model, channels, max(len(centre), len(spread)))
    for name, factor in (("mean", centre), ("std", spread)):
        if len(factor) not in (1, found):
            raise InvalidInputError(
                f"{len(factor)} values of {name} for images of {found} channels: give one for "
                "each, or one for all"
            )
    device, dtype = place_of(model)
    place = {"device": device or torch.device("cpu"), "dtype": torch.float32}
    factors = [torch.tensor(f, **place).expand(found)[:, None, None] for f in (centre, spread)]
    return Frame(found, _size(size), factors[0], factors[1], dtype or torch.float32)


def _channels(model: nn.Module, given: Any, normalised: int) -> int:
    """As given, as the first convolution takes, or as many as are normalised."""
    if given is not None:
        check_whole("image_channels", given, 1)
        return int(given)
    for module in model.modules():
        if isinstance(module, _CONVOLUTIONS) and not isinstance(
            module, nn.modules.lazy.LazyModuleMixin
        ):
            return int(module.in_channels)
    if normalised > 1:
        return normalised
    raise InvalidInputError(
        "the model has no convolution that tells the channels of its images: give "
        "image_channels=3, or 1 for grey ones"
    )


def _numbers(given: Any, default: float, name: str) -> np.ndarray:
    try:
        found = np.asarray(default if given is None else given, np.float32).reshape(-1)
    except (TypeError, ValueError):
        found = np.empty(0, np.float32)
    if not len(found) or not np.isfinite(found).all():
        raise InvalidInputError(f"{name}={given!r}: give a number, or one for each channel")
    return found


def _size(given: Any) -> tuple[int, int]:
    sides = (SIDE,) * 2 if given is None else given
    sides = (sides,) * 2 if isinstance(sides, (int, np.integer)) else tuple(sides)
    if len(sides) != 2:
        raise InvalidInputError(f"size={given!r}: give a number of pixels, or (height, width)")
    for side in sides:
        check_whole("size", side, 2)
    return int(sides[0]), int(sides[1])
