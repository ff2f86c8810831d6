"""Feature maps of a network as rows of places: recorded once, on one scale, with coordinates."""

from __future__ import annotations

import math
from typing import Any, NamedTuple

import torch
from torch import Tensor

from ..errors import InvalidInputError
from ..explain.explainer import BATCH, LayerExplainer, opened
from ..explain.halving import Batches
from ..explain.inputs import Inputs
from ..explain.layers import Layer
from ..explain.model import caller
from ..explain.recorder import record
from ..explain.session import arranged
from ..system import require_memory

_FAR = 3.0  # of a border from the middle: in deviations of a channel, so that places tell
_PART = 256  # images whose maps are looked at together
_FLAT = 1e-6  # of a channel's largest value: what varies less is constant


class Recorded(NamedTuple):
    """What a layer gave for some images.

    Attributes
    ----------
    maps : Tensor of shape (N, C, *grid)
        float32, without a graph, on the network's device.
    layer : Layer
    images : Tensor of shape (N, C, *spatial)
        As they were read.
    """

    maps: Tensor
    layer: Layer
    images: Tensor


class FeatureRecorder(LayerExplainer):
    """Records the feature maps of a layer; the network leaves as it came."""

    name = "features"

    def record(self, images: Any) -> Recorded:
        """Run the network once; it is told if the maps do not fit into memory."""
        with opened(self, images) as (inputs, progress):
            layer = self.resolve(inputs)[0]
            progress.say(f"layer: {layer.name}")
            call = caller(self.model)
            maps: list[Tensor] = []  # all of them, made when the first batch tells their shape

            def one(first: int, last: int) -> None:
                found = self._of(call, inputs.part(first, last), layer)
                if not maps:
                    size = len(inputs) * found[0].numel() * 4
                    what = f"keeping the feature maps of {len(inputs):,} images"
                    require_memory(2 * size, what, "choose a deeper layer, or fewer images")
                    maps.append(found.new_empty((len(inputs), *found.shape[1:])))
                maps[0][first:last] = found

            size = self.batch_size or BATCH
            Batches(len(inputs), size).run(one, progress, "features")
        return Recorded(maps[0], layer, inputs.images)

    def _of(self, call: Any, part: Inputs, layer: Layer) -> Tensor:
        with record(call, part, [layer], output=self.output) as recording:
            found = recording.activations[layer][-1].detach()
            return arranged(layer, found, len(part.spatial)).float()


class Places:
    """How feature maps become rows: each channel to mean 0 and deviation 1, then coordinates.

    Parameters
    ----------
    mean, deviation : Tensor of shape (C,)
    grid : tuple of int
        How the places lie.
    """

    def __init__(self, mean: Tensor, deviation: Tensor, grid: tuple[int, ...]) -> None:
        self.mean, self.deviation, self.grid = mean, deviation, grid

    @classmethod
    def of(cls, recorded: Recorded, rows: Tensor) -> Places:
        """As the maps of some images want it.

        Raises
        ------
        InvalidInputError
            Maps of a single place, that hold NaN, or of constant value.
        """
        maps, name = recorded.maps, recorded.layer.name
        grid = tuple(maps.shape[2:])
        if math.prod(grid) < 2:
            raise InvalidInputError(
                f"layer {name!r} gives maps of one place, where there is no choice of where to "
                "look: choose a layer before the pooling"
            )
        finite = [torch.isfinite(part.flatten(1)).all(1) for part in maps.split(_PART)]
        if bad := (~torch.cat(finite)).nonzero().flatten().tolist():
            raise InvalidInputError(
                f"layer {name!r} gives NaN or infinity for {len(bad)} of {len(maps)} images, the "
                f"first of them number {bad[0]}: look at them, and at the range of all"
            )
        mean, deviation, largest = _moments(maps, rows)
        constant = deviation <= _FLAT * largest
        if bool(constant.all()):
            raise InvalidInputError(
                f"layer {name!r} gives the same value everywhere for all images, and nothing can "
                "be read off it: choose another layer (or is the network not trained?)"
            )
        deviation = deviation.masked_fill(constant, 1.0)
        return cls(mean.float(), deviation.float(), grid)

    @property
    def channels(self) -> int:
        """Numbers at a place."""
        return len(self.mean) + len(self.grid)

    def rows(self, maps: Tensor) -> Tensor:
        """(N, L, C + axes) of maps (N, C, *grid); coordinates lie between -3 and 3."""
        n, c = maps.shape[:2]
        found = maps.new_empty((n, math.prod(self.grid), self.channels))
        shape = (1, c, 1)
        scaled = (maps.flatten(2) - self.mean.view(shape)) / self.deviation.view(shape)
        found[:, :, :c] = scaled.transpose(1, 2)
        lines = [
            torch.linspace(-_FAR, _FAR, size) if size > 1 else torch.zeros(1) for size in self.grid
        ]
        where = torch.stack(torch.meshgrid(*lines, indexing="ij"), -1).flatten(0, -2)
        found[:, :, c:] = where.to(found)
        return found


def _moments(maps: Tensor, rows: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Mean, standard deviation and largest absolute value of each channel of some images."""
    total = maps.new_zeros((3, maps.shape[1]), dtype=torch.float64)
    count = len(rows) * math.prod(maps.shape[2:])
    for part in rows.split(_PART):
        seen = maps[part].transpose(0, 1).flatten(1).double()
        total[0] += seen.sum(1)
        total[1] += seen.square().sum(1)
        total[2] = torch.maximum(total[2], seen.abs().amax(1))
    mean = total[0] / count
    return mean, (total[1] / count - mean.square()).clamp(min=0).sqrt(), total[2]
