"""The units of a layer, and the images that excite one of them."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from .store import LayerShape
from .strongest import Strongest


class Excitation(NamedTuple):
    """One of the strongest images of a unit.

    ``image`` is its number, ``path`` "" where it came from no file, ``label`` its true class if
    known, ``position`` where in the feature map the activation ``value`` stood, and ``box`` the
    part of the image that it reads: the first pixel along each axis, and one past the last.
    """

    image: int
    path: str
    label: str | None
    value: float
    position: tuple[int, ...]
    box: tuple[tuple[int, int], ...]


class LayerUnits(NamedTuple):
    """The units of one layer, an entry of each array for each.

    Attributes
    ----------
    name : str
    shape : tuple of int
        Of the feature maps; () where the layer has no space.
    field : tuple of int
        Pixels that a unit can read along each axis of the image.
    values : ndarray of float32, (C, k)
        The strongest activations, one an image, in falling order; -inf where the set has fewer
        images.
    images : ndarray of int64, (C, k)
        The images' numbers, -1 where there is none; of equal values the lower comes first.
    positions : ndarray of int64, (C, k, axes)
        Where in the feature map.
    mean, minimum, maximum : ndarray, (C,)
        Over all images and positions; NaN where none is finite.
    active, active_images : ndarray of float64, (C,)
        Share of positions that are above the threshold, and of images with one at least.
    nonfinite : ndarray of int64, (C,)
        Images in which an activation was NaN or infinite; such activations count nowhere else.
    """

    name: str
    shape: tuple[int, ...]
    field: tuple[int, ...]
    values: NDArray[np.float32]
    images: NDArray[np.int64]
    positions: NDArray[np.int64]
    mean: NDArray[np.float64]
    minimum: NDArray[np.float32]
    maximum: NDArray[np.float32]
    active: NDArray[np.float64]
    active_images: NDArray[np.float64]
    nonfinite: NDArray[np.int64]


def units_of_layer(found: LayerShape, state: Strongest) -> LayerUnits:
    """What a scan keeps of a layer, as users read it."""
    shape = found.shape or (1,) * len(found.field.image)
    positions = np.stack(np.unravel_index(state.places, shape), axis=2)
    nothing = state.finite == 0
    with np.errstate(invalid="ignore", divide="ignore"):
        mean, active = state.total / state.finite, state.active / state.finite
        active_images = state.active_images / state.images_seen
    return LayerUnits(
        found.name,
        found.shape,
        found.field.size,
        state.values,
        state.images,
        positions if found.shape else positions[..., :0],
        mean,
        np.where(nothing, np.nan, state.low).astype(np.float32),
        np.where(nothing, np.nan, state.high).astype(np.float32),
        active,
        active_images,
        state.nonfinite,
    )
