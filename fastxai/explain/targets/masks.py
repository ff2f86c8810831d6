"""Which pixels of an output with pixels are explained."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
import torch
from torch import Tensor

from ...errors import InvalidInputError


class Mask(NamedTuple):
    """Float32 weights (h, w) or (N, h, w); None: where the class is predicted."""

    weights: Tensor | None

    def resized(self, size: tuple[int, ...], images: tuple[int, ...], rows: Any) -> Tensor:
        """The weights of images ``rows`` (a range of ``total``) at the output's size.

        Parameters
        ----------
        size, images
            Spatial size of the output and of the images, either of which the mask may have.
        rows
            (start, stop, total): which images these are, of how many.

        Returns
        -------
        Tensor
            (N, 1, *size).
        """
        assert self.weights is not None
        start, stop, total = rows
        weights = self.weights
        shared = weights.ndim == len(size)
        one_each = weights.ndim == len(size) + 1 and weights.shape[0] in (1, total)
        found = tuple(weights.shape if shared else weights.shape[1:])
        if not (shared or one_each) or found not in (size, images):
            raise InvalidInputError(
                f"the mask in target= has the shape {tuple(weights.shape)}: give the size of the "
                f"output, {size}, or of the images, {images}, for all images, or with {total} in "
                "front for one mask an image"
            )
        if shared or len(weights) == 1:
            weights = weights.expand(stop - start, *found)
        else:
            weights = weights[start:stop]
        weights = weights[:, None]
        if found == size:
            return weights
        small = torch.nn.functional.interpolate(weights, size, mode="nearest-exact")
        lost = weights.flatten(1).any(1) & ~small.flatten(1).any(1)
        if lost.any():
            raise InvalidInputError(
                f"the mask of image {start + int(lost.nonzero()[0])} has no pixel left at the "
                f"size of the output, {size}: give it at that size"
            )
        return small


def has_mask(target: Any) -> bool:
    """Whether ``target`` is (class, mask), and not a class for each of two images."""
    if not isinstance(target, tuple) or len(target) != 2:
        return False
    classes, mask = target
    if mask is None or (isinstance(mask, str) and mask == "predicted"):
        return True
    one = not isinstance(classes, (list, tuple)) and not getattr(classes, "ndim", 0)
    if not isinstance(mask, (Tensor, np.ndarray)):
        return isinstance(mask, (list, tuple)) and one and not callable(classes)
    if mask.ndim == 0:
        return False
    if isinstance(mask, Tensor):
        return one or mask.dtype == torch.bool or bool(mask.is_floating_point())
    return one or mask.dtype.kind in "bf"


def read_mask(mask: Any, n: int) -> Mask | None:
    """Weights of pixels; None for all pixels."""
    if mask is None:
        return None
    if isinstance(mask, str):
        return Mask(None)
    if isinstance(mask, Tensor):
        if mask.layout is not torch.strided or mask.is_quantized or mask.is_meta:
            raise InvalidInputError(
                "the mask in target= is sparse, quantised or meta: give it dense"
            )
        weights = mask.detach().cpu()
    else:
        try:
            weights = torch.tensor(np.asarray(mask), device="cpu")
        except (TypeError, ValueError, RuntimeError) as error:
            raise InvalidInputError(
                f"the mask in target= is no array of numbers: {error}"
            ) from None
    if weights.is_complex():
        raise InvalidInputError("the mask in target= is complex: give True and False")
    if not weights.is_floating_point():
        weights = weights.to(torch.int64)
        if len(values := weights[weights != 0].unique()) > 1:
            raise InvalidInputError(
                f"the mask in target= holds {len(values)} whole numbers besides 0, as a map of "
                "labels does: give True and False, such as labels == 3, or weights as floats"
            )
        weights = weights != 0
    weights = weights.to(torch.float32, copy=True)
    if not 1 <= weights.ndim <= 4 or 0 in weights.shape:
        raise InvalidInputError(
            f"the mask in target= has the shape {tuple(weights.shape)}: give (h, w) as in the "
            f"output or in the images, or one mask an image, ({n}, h, w)"
        )
    if not torch.isfinite(weights).all():
        raise InvalidInputError("the mask in target= holds NaN or infinity")
    if (weights < 0).any():
        raise InvalidInputError(
            "the mask in target= has negative weights: what one region has more than another is "
            "the value of a function of the output, target=lambda output: ..."
        )
    if not weights.any():
        raise InvalidInputError("the mask in target= is empty: no pixel is to be explained")
    return Mask(weights)
