"""The filters of the first layer, ready to be looked at."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from ..errors import InvalidInputError

if TYPE_CHECKING:
    from matplotlib.figure import Figure

_MOST_CHANNELS = 64  # of a filter whose channels are shown one by one
_MOST = 256  # filters of a picture


@dataclass(frozen=True, eq=False)
class Filters:
    """Filters of a layer; see `filters`.

    Attributes
    ----------
    layer : str
    weights : ndarray of float32, (F, C, H, W)
        As the network has them; those of one axis as (F, 1, C, W).
    """

    layer: str
    weights: NDArray[np.float32]

    def __len__(self) -> int:
        return len(self.weights)

    def __repr__(self) -> str:
        """How many, of what size."""
        many, *size = self.weights.shape
        return f"Filters({self.layer!r}: {many} of {' x '.join(map(str, size))})"

    def pictures(self, scale: str = "each") -> NDArray[np.uint8]:
        """The filters as pictures, mid-grey where a weight is zero.

        Parameters
        ----------
        scale : {"each", "shared"}, default "each"
            Whether every filter has its own contrast, or all have that of the largest weight.

        Returns
        -------
        ndarray of uint8, (F, h, w, 3)
            In colour where there are three channels, grey where there is one; of other numbers
            the channels lie side by side in a square.
        """
        if scale not in ("each", "shared"):
            raise InvalidInputError(f"scale={scale!r}: choose 'each' or 'shared'")
        values = np.where(np.isfinite(self.weights), self.weights, 0.0).astype(np.float64)
        axes = (1, 2, 3) if scale == "each" else (0, 1, 2, 3)
        most = np.abs(values).max(axis=axes, keepdims=True)
        shown = 0.5 + values / np.where(most > 0, 2 * most, 1.0)
        pixels = np.rint(shown * 255).astype(np.uint8)
        channels = pixels.shape[1]
        if channels == 3:
            return np.ascontiguousarray(np.moveaxis(pixels, 1, 3))
        grey = np.repeat(pixels[..., None], 3, axis=4)
        if channels == 1:
            return np.asarray(grey[:, 0])
        if channels > _MOST_CHANNELS:
            raise InvalidInputError(
                f"layer {self.layer!r} has filters of {channels} channels, which are no picture; "
                f"at most {_MOST_CHANNELS} are: choose the first layer, or look at what excites "
                "its units (fastxai.scan_units)"
            )
        from .drawing import mosaic

        return np.stack([mosaic(tiles) for tiles in grey])

    def figure(
        self,
        units: Sequence[int] | None = None,
        *,
        scale: str = "each",
        columns: int | None = None,
        title: str | None = None,
    ) -> Figure:
        """Draw the filters, each with its number.

        Parameters
        ----------
        units : sequence of int, optional
            Numbers of filters; by default all, 256 at most.
        scale : {"each", "shared"}, default "each"
            As of `pictures`.
        columns : int, optional
            Filters in a row.
        title : str, optional
            By default the layer's name, and what there is.
        """
        from .drawing import Panel, panels

        wanted = list(range(min(len(self), _MOST))) if units is None else list(units)
        if not wanted or any(not 0 <= unit < len(self) for unit in wanted):
            raise InvalidInputError(
                f"units={units!r}: layer {self.layer!r} has filters 0 to {len(self) - 1}"
            )
        found = self.pictures(scale)
        drawn = [Panel([found[unit]], self._text(unit)) for unit in wanted]
        columns = columns or min(16, max(4, math.ceil(math.sqrt(2 * len(wanted)))))
        inches = 0.6 if self.weights.shape[1] in (1, 3) else 1.4
        return panels(drawn, self._title(len(wanted)) if title is None else title, columns, inches)

    def _text(self, unit: int) -> str:
        if not np.isfinite(self.weights[unit]).all():
            return f"{unit}: NaN"
        return f"{unit}" if self.weights[unit].any() else f"{unit}: all 0"

    def _title(self, shown: int) -> str:
        many, channels, high, wide = self.weights.shape
        some = "" if shown == many else f"{shown} of "
        of = {1: "", 3: ", red, green and blue"}.get(channels, f", {channels} channels each")
        return f"{self.layer}: {some}{many} filters of {high} × {wide}{of}; grey is 0"


def filters(model: Any, layer: Any = None, *, shape: Sequence[int] | None = None) -> Filters:
    """Return the filters of the first layer, or of another, as what can be looked at.

    The weights of a trained first layer are edges, bars and colour blobs.  Noise, copies of one
    filter and filters that are all zero are signs of too little training, too large a learning
    rate, or too little regularisation.

    Parameters
    ----------
    model : Module
        It is not run.
    layer : str or Module, optional
        A convolution, or a linear layer; by default the first that the model holds.
    shape : sequence of int, optional
        (C, H, W) of the images that a linear layer reads, flattened.

    Returns
    -------
    Filters

    Raises
    ------
    InvalidInputError
        If there is no such layer, or its weights are no pictures.

    Examples
    --------
    >>> import torch, fastxai
    >>> net = torch.nn.Sequential(torch.nn.Conv2d(3, 8, 5), torch.nn.ReLU())
    >>> found = fastxai.filters(net)
    >>> found, found.pictures().shape
    (Filters('0': 8 of 3 x 5 x 5), (8, 5, 5, 3))
    """
    from torch import nn

    from ..explain.layers.layers import _find
    from ..explain.model import unwrap
    from ..explain.model_state import lazy_names

    inner = unwrap(model)
    if lazy := lazy_names(inner):
        raise InvalidInputError(
            f"the model has parameters without a shape yet ({', '.join(lazy[:6])}): run it once"
        )
    kinds = (nn.Conv1d, nn.Conv2d, nn.Conv3d, nn.Linear)
    if layer is None:
        named = ((name, module) for name, module in inner.named_modules())
        name, module = next(((n, m) for n, m in named if isinstance(m, kinds)), ("", None))
        if module is None:
            raise InvalidInputError("the model holds no convolution and no linear layer")
    else:
        name, module = _find(inner, layer)
        if not isinstance(module, kinds):
            raise InvalidInputError(
                f"layer {name!r} is a {type(module).__name__}: a convolution or a linear layer "
                "has filters"
            )
    weights = module.weight.detach().cpu().float().numpy()
    return Filters(name or type(module).__name__, _as_pictures(name, weights, shape))


def _as_pictures(name: str, weights: Any, shape: Sequence[int] | None) -> NDArray[np.float32]:
    """(F, C, H, W)."""
    if weights.ndim == 2:
        if shape is None or len(shape) != 3 or math.prod(shape) != weights.shape[1]:
            given = "none was given" if shape is None else f"{tuple(shape)} was given"
            raise InvalidInputError(
                f"layer {name!r} is linear and reads {weights.shape[1]} numbers: give the shape "
                f"(C, H, W) of the images that they are, shape=; {given}"
            )
        return np.array(weights.reshape(len(weights), *shape), np.float32)
    if shape is not None:
        raise InvalidInputError(f"shape= is for linear layers, and {name!r} is a convolution")
    if weights.ndim == 3:
        weights = weights[:, None]
    if weights.ndim != 4:
        raise InvalidInputError(
            f"layer {name!r} has filters of {weights.ndim - 2} axes, which are no pictures"
        )
    return np.array(weights, np.float32)
