"""What the units of a layer make of one image."""

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

_MOST = 64  # maps of a picture, unless told


@dataclass(frozen=True, eq=False)
class FeatureMaps:
    """The feature maps of one image; see `feature_maps`.

    Attributes
    ----------
    layer : str
    maps : ndarray of float32, (C, H, W)
    image : ndarray of float32, (channels, height, width)
        What the model was given.
    """

    layer: str
    maps: NDArray[np.float32]
    image: NDArray[np.float32]

    def __repr__(self) -> str:
        """How many, of what size."""
        many, *size = self.maps.shape
        return f"FeatureMaps({self.layer!r}: {many} of {' x '.join(map(str, size))})"

    def figure(
        self,
        units: Sequence[int] | None = None,
        *,
        order: str = "number",
        scale: str = "each",
        shown: Any = None,
        columns: int | None = None,
        title: str | None = None,
    ) -> Figure:
        """Draw the image and its feature maps.

        Parameters
        ----------
        units : sequence of int, optional
            Numbers of units; by default the first 64, or the 64 strongest.
        order : {"number", "strongest"}, default "number"
            "strongest" begins with the unit that has the greatest activation.
        scale : {"each", "layer"}, default "each"
            Whether every map has colours of its own, or all have those of the layer.
        shown : ndarray of uint8 (height, width, 3), optional
            The image as people see it; by default made from the input.
        columns : int, optional
            Panels in a row.
        title : str, optional
            By default the layer's name, and what there is.
        """
        from ..image_sets.decoding import picture_of
        from .drawing import Panel, panels

        if order not in ("number", "strongest"):
            raise InvalidInputError(f"order={order!r}: choose 'number' or 'strongest'")
        if scale not in ("each", "layer"):
            raise InvalidInputError(f"scale={scale!r}: choose 'each' or 'layer'")
        if self.maps.ndim != 3:
            raise InvalidInputError(
                f"feature maps of {self.maps.ndim - 1} axes are no pictures; .maps holds "
                "their values"
            )
        wanted = self._chosen(order) if units is None else list(units)
        if not wanted or any(not 0 <= unit < len(self.maps) for unit in wanted):
            raise InvalidInputError(
                f"units={units!r}: layer {self.layer!r} has units 0 to {len(self.maps) - 1}"
            )
        picture = picture_of(self.image) if shown is None else np.asarray(shown)
        assert picture is not None
        signed = bool((self.maps < 0).any())
        limits = _limits(self.maps, signed) if scale == "layer" else None
        drawn = [Panel([picture], "image")]
        for unit in wanted:
            own = limits or _limits(self.maps[unit], signed)
            drawn.append(Panel([_coloured(self.maps[unit], own)], self._text(unit)))
        columns = columns or min(11, max(4, math.ceil(math.sqrt(1.6 * len(drawn)))))
        return panels(drawn, self._title(len(wanted)) if title is None else title, columns, 1.0)

    def _chosen(self, order: str) -> list[int]:
        if order == "number":
            return list(range(min(len(self.maps), _MOST)))
        flat = self.maps.reshape(len(self.maps), -1)
        peaks = np.where(np.isfinite(flat), flat, -np.inf).max(axis=1)
        return [int(unit) for unit in np.argsort(-peaks, kind="stable")[:_MOST]]

    def _text(self, unit: int) -> str:
        known = self.maps[unit][np.isfinite(self.maps[unit])]
        if not known.size:
            return f"{unit}: not finite"
        if known.min() == known.max():
            return f"{unit}: all {known.max():.3g}"
        return f"{unit}: max {known.max():.3g}"

    def _title(self, shown: int) -> str:
        many, high, wide = self.maps.shape
        some = "" if shown == many else f"{shown} of "
        text = f"{self.layer}: {some}{many} feature maps of {high} × {wide}"
        return text + ("; white is 0" if (self.maps < 0).any() else "")


def _limits(values: NDArray[Any], signed: bool) -> tuple[float, float]:
    """The ends of the colours: about zero where the layer has negative values."""
    most = float(np.abs(values[np.isfinite(values)]).max(initial=0.0)) or 1.0
    return (-most if signed else 0.0), most


def _coloured(map: NDArray[Any], limits: tuple[float, float]) -> NDArray[np.uint8]:
    from matplotlib import colormaps

    low, high = limits
    shown = np.clip((map.astype(np.float64) - low) / (high - low), 0.0, 1.0)
    colours = colormaps["RdBu_r" if low < 0 else "viridis"].with_extremes(bad="#ECECEC")
    found: NDArray[np.uint8] = colours(np.ma.masked_invalid(shown), bytes=True)[..., :3]
    return found


def feature_maps(model: Any, image: Any, layer: Any = None, *, call: int | None = None) -> Any:
    """Return the feature maps of an image, to be drawn as a grid.

    Parameters
    ----------
    model : Module
        It is left as it came.
    image : Tensor or ndarray, (C, H, W) or (1, C, H, W)
        Floats, prepared as for the model.
    layer : str, Module, or sequence of them, optional
        By name or module; by default the last convolution's feature map.  "resolutions" and
        "activations" are several, as of `scan_units`; those of them without space are left out.
    call : int, optional
        Of a layer that runs several times which call; by default the first, 0.

    Returns
    -------
    FeatureMaps, or dict of str to FeatureMaps where layers were given as a sequence

    Raises
    ------
    InvalidInputError
        If there is no such layer, if it has no space, or if more than one image is given.

    Examples
    --------
    >>> import torch, fastxai
    >>> net = torch.nn.Sequential(torch.nn.Conv2d(3, 8, 3), torch.nn.ReLU())
    >>> fastxai.feature_maps(net, torch.rand(3, 16, 16), "1")
    FeatureMaps('1': 8 of 14 x 14)
    """
    import torch

    from ..explain.explainer import Explainer, check_reading, opened
    from ..explain.inputs import spatial_axes
    from ..explain.layers.layers import resolve_layers
    from ..explain.model import caller, unwrap
    from .choosing import called, units_of
    from .tapping import run_to

    check_reading(call, None)
    inner = unwrap(model)
    with (
        opened(Explainer(inner), _one(image, spatial_axes(inner) or 2)) as (inputs, _),
        torch.no_grad(),
    ):
        if layer is None:
            last = resolve_layers(inner, None, inputs)[0]
            layers = {called(last): last}
        else:
            layers = units_of(inner, layer, inputs, call)
        names = {found: name for name, found in layers.items()}
        made: dict[str, FeatureMaps] = {}
        pixels = inputs.images[0].float().cpu().numpy()

        def see(found: Any, maps: Any) -> None:
            if maps.ndim == 2 and _is_several(layer):
                return
            if maps.ndim == 2:
                raise InvalidInputError(
                    f"layer {names[found]!r} has no space: it gives {maps.shape[1]} numbers for "
                    "an image, and no maps; fastxai.scan_units finds the images that excite them"
                )
            values = maps[0].float().cpu().numpy().copy()
            made[names[found]] = FeatureMaps(names[found], values, pixels)

        run_to(caller(inner), inputs, list(layers.values()), see)
    if isinstance(layer, (list, tuple, set, frozenset)) or _is_several(layer):
        return {name: made[name] for name in layers if name in made}
    return next(iter(made.values()))


def _is_several(layer: Any) -> bool:
    return isinstance(layer, str) and layer in ("activations", "resolutions")


def _one(image: Any, axes: int) -> Any:
    """One image with an axis of images."""
    shape: Any = getattr(image, "shape", ())
    if len(shape) == axes + 1:
        return image[None]
    if len(shape) == axes + 2 and shape[0] != 1:
        raise InvalidInputError(
            f"image has the shape {tuple(shape)}: one image (C, H, W) at a time is shown"
        )
    return image
