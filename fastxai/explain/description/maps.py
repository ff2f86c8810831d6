"""The maps of an explanation one by one, and what is measured of each."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from ...errors import InvalidInputError
from ..explanation import Explanation
from .places import Box, Places, boxes_elsewhere, find_places
from .wording import GRADIENTS

_FEW_CHANNELS = 4  # maps (N, C, H, W) of so many are by channel, unless the images say


class Shown(NamedTuple):
    """One map, and its measures."""

    layer: str
    image: int
    target: int
    values: NDArray[np.float64]  # ([C,] *spatial)
    status: str
    places: Places | None
    against: bool
    boxes: list[Box]
    signs: tuple[float, float]


def as_array(value: Any) -> Any:
    """A NumPy array, of a tensor on any device, too."""
    return np.asarray(value.detach().cpu() if hasattr(value, "detach") else value)


def several(explanation: Explanation) -> bool:
    """Whether maps have an axis of targets."""
    status = explanation.status
    return np.ndim(next(iter(status.values())) if isinstance(status, dict) else status) == 2


def axes_of(explanation: Explanation, images: Any) -> int:
    """How many axes of the maps are spatial."""
    maps = explanation.maps
    one = next(iter(maps.values())) if isinstance(maps, dict) else maps
    rest = int(one.ndim) - 1 - several(explanation)
    if (ndim := getattr(images, "ndim", None)) is not None and ndim - 2 in (rest, rest - 1):
        return int(ndim) - 2
    if rest == 3 and one.shape[-3] <= _FEW_CHANNELS:
        return 2
    if not 1 <= rest <= 4:
        raise InvalidInputError(
            f"maps have the shape {tuple(one.shape)}: describe() reads (N, [K,] [C,] *spatial)"
        )
    return min(rest, 3)


def by_layer(explanation: Explanation, axes: int) -> Iterator[tuple[str, Any]]:
    """Maps (N, K, [C,] *spatial) of each layer."""
    maps = explanation.maps if isinstance(explanation.maps, dict) else {"": explanation.maps}
    with_targets = several(explanation)
    for layer, values in maps.items():
        array = as_array(values)
        if 0 in array.shape:
            raise InvalidInputError(f"maps have the shape {array.shape}: there is no map")
        yield layer, array if with_targets else array[:, None]


def measured(
    explanation: Explanation, layer: str, maps: Any, axes: int, boxes: int, random_state: int
) -> Iterator[Shown]:
    """Each map with its places, and the boxes that are to be hidden, the strongest first."""
    table = (
        explanation.status[layer] if isinstance(explanation.status, dict) else explanation.status
    )
    table = np.asarray(table).reshape(maps.shape[:2])
    for image, target in np.ndindex(*maps.shape[:2]):
        values = np.asarray(maps[image, target], np.float64)
        status = str(table[image, target])
        if status in ("ok", "empty_after_relu") and not np.isfinite(values).all():
            status = "nonfinite"
        shown = _Evidence(values, axes, sizes=explanation.method in GRADIENTS)
        one = Shown(layer, image, target, values, status, None, False, [], (0.0, 0.0))
        if status in ("zero_gradient", "nonfinite") or values.min() == values.max():
            yield one
            continue
        places = find_places(shown.evidence)
        random = np.random.default_rng([random_state, 11])  # the same in whatever batch it comes
        others = boxes_elsewhere(places.box, shown.evidence.shape, boxes, random)
        yield one._replace(
            places=places, against=shown.against, boxes=[places.box, *others], signs=shown.signs
        )


class _Evidence:
    """What speaks for the target, summed over channels; against it where nothing does.

    With ``sizes`` what is far from zero, whatever its sign.
    """

    def __init__(self, values: NDArray[np.float64], axes: int, sizes: bool) -> None:
        parts = [np.maximum(values, 0), np.maximum(-values, 0)]
        most = max(float(part.max()) for part in parts)
        if most > 0 and np.isfinite(most):
            parts = [part / most for part in parts]  # so that no sum overflows
        if values.ndim > axes:
            parts = [part.sum(axis=0) for part in parts]
        total = sum(float(part.sum()) for part in parts)
        positive, negative = (float(part.sum()) / total if total > 0 else 0.0 for part in parts)
        self.signs = (positive, negative)
        self.against = not sizes and not self.signs[0] > 0
        self.evidence = parts[0] + parts[1] if sizes else parts[1 if self.against else 0]


def table_of(found: list[Shown], layer: str) -> list[list[list[Box | None]]]:
    """The boxes of each image and target of a layer, as many of each."""
    some = [one for one in found if one.layer == layer]
    most = max(len(one.boxes) for one in some)
    table: list[list[list[Box | None]]] = []
    for one in some:
        if one.target == 0:
            table.append([])
        table[-1].append([*one.boxes, *[None] * (most - len(one.boxes))])
    return table
