"""Images by their Fourier coefficients and principal colours.

    image = sigmoid(colours · irfft2(coefficients / f^decay) / 4)

Olah, Mordvintsev and Schubert, "Feature visualization", Distill 2017, section "Preconditioning
and parameterization".  The same images can be written by their pixels; steepest ascent takes
another way to them: low frequencies move as fast as high ones, and the colours of photographs,
which mostly vary together, one by one.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor

# The square root of the covariance of red, green and blue in ImageNet's photographs, scaled to a
# longest column of 1; columns are principal colours (the constants of Lucid's code).
_COLOURS = ((0.26, 0.09, 0.02), (0.27, 0.00, -0.05), (0.27, -0.09, 0.03))
_START = 0.01  # standard deviation of the coefficients at the start
_CONTRAST = 4.0  # Lucid's divisor: with less, pixels saturate early


def principal_colours() -> Tensor:
    """(3, 3): red, green and blue of each principal colour, one a column."""
    found = torch.tensor(_COLOURS)
    return found / torch.linalg.vector_norm(found, dim=0).max()


def start(seeds: Sequence[Sequence[int]], channels: int, size: tuple[int, int]) -> Tensor:
    """Random coefficients (N, C, H, W // 2 + 1, 2): each image's from its own seed."""
    shape = (channels, size[0], size[1] // 2 + 1, 2)
    drawn = [np.random.default_rng(seed).standard_normal(shape, np.float32) for seed in seeds]
    return torch.from_numpy(np.stack(drawn)).mul_(_START)


class Spectrum:
    """The coefficients of a batch of images, and the images that they are.

    Parameters
    ----------
    coefficients : Tensor of shape (N, C, H, W // 2 + 1, 2)
        Real and imaginary parts, float32.
    size : (int, int)
        Height and width of the images.
    decay : float
        See above.
    decorrelate : bool
        Whether channels are principal colours; of three channels only.
    """

    def __init__(
        self, coefficients: Tensor, size: tuple[int, int], decay: float, decorrelate: bool
    ) -> None:
        self.coefficients = coefficients.requires_grad_()
        self._size = size
        place = {"device": coefficients.device, "dtype": coefficients.dtype}
        down, across = (torch.fft.fftfreq(size[0]), torch.fft.rfftfreq(size[1]))
        frequency = torch.sqrt(down[:, None] ** 2 + across**2).clamp(min=1.0 / max(size))
        self._scale = (frequency**-decay / _CONTRAST)[..., None].to(**place)
        self._colours = principal_colours().to(**place) if decorrelate else None

    def images(self, rows: Tensor | None = None) -> Tensor:
        """(N, C, H, W) in 0..1, of all or of some rows."""
        wanted = self.coefficients if rows is None else self.coefficients[rows]
        scaled = torch.view_as_complex(wanted * self._scale)
        pixels = torch.fft.irfft2(scaled, s=self._size, norm="ortho")
        if self._colours is not None:
            pixels = (self._colours @ pixels.flatten(2)).unflatten(2, self._size)
        return torch.sigmoid(pixels)
