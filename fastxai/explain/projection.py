"""DeconvNet as in the paper: one activation of a layer, brought back to the pixels."""

from __future__ import annotations

from dataclasses import replace
from typing import Any, NamedTuple

import torch
from torch import Tensor

from .._checks import check_whole
from ..errors import InvalidInputError, NoGradientError
from .explainer import BATCH, Explainer, check_reading, opened
from .halving import Batches
from .layers.layers import Layer, resolve_layers
from .model import caller
from .recorder import record
from .relu_rules.coverage import check_cover
from .relu_rules.rules import ReLURules
from .session import arranged


class Projection(NamedTuple):
    """What `DeconvNet.project` returns, one an image.

    ``maps`` (N, C, H, W): the activation, brought back to the pixels; ``unit`` (N,) and
    ``position`` (N, axes): which feature map, and where in it; ``activation`` (N,): how strong.
    """

    maps: Any
    unit: Any
    position: Any
    activation: Any


def project(
    explainer: Explainer, images: Any, layer: Any, unit: int | None, call: Any, reshape: Any
) -> Projection:
    """See `DeconvNet.project`."""
    if unit is not None:
        check_whole("unit", unit, 0)
    check_reading(call, reshape)
    model, output = explainer.model, explainer.output
    with opened(explainer, images) as (inputs, progress):
        layers = resolve_layers(model, layer, inputs, call, reshape, output)
        if len(layers) != 1:
            raise InvalidInputError(f"give one layer, not {len(layers)}")
        one = layers[0] if layers[0].call is not None else replace(layers[0], call=0)

        def batch(start: int, stop: int) -> tuple[Tensor, ...]:
            rules, part = ReLURules(), inputs.part(start, stop)
            with record(
                caller(model), part, [one], input_graph=True, rules=rules, output=output
            ) as recording:
                if start == 0:
                    check_cover(rules, recording.output, model, progress)
                activation = recording.activations[one][0]
                maps = arranged(one, activation, len(part.spatial))
                seed, *found = _strongest(one, maps.detach(), unit)
                score = (maps * seed).sum()
                gradient = recording.gradients(score, [recording.images], "deconvnet", last=True)[0]
            if gradient is None:
                raise NoGradientError(
                    f"no gradient leads from layer {one.name!r} back to the images: the model "
                    "cuts the graph before it, or reshape= does"
                )
            return gradient.float(), *found

        size = explainer.batch_size or BATCH
        parts = Batches(len(inputs), size).run(batch, progress, "project")
    columns: list[Any] = [torch.cat(list(column)) for column in zip(*parts, strict=True)]
    if inputs.numpy:
        columns = [column.cpu().numpy() for column in columns]
    return Projection(*columns)


def _strongest(layer: Layer, maps: Tensor, unit: int | None) -> tuple[Tensor, ...]:
    """Zeros but at the strongest activation of the unit; which unit, where, how strong."""
    n, channels, *space = maps.shape
    if unit is not None and unit >= channels:
        raise InvalidInputError(f"unit={unit}: layer {layer.name!r} has units 0 to {channels - 1}")
    rows = torch.arange(n, device=maps.device)
    flat = maps.reshape(n, channels, -1)
    best = flat.amax(2)
    units = best.argmax(1) if unit is None else torch.full_like(rows, unit)
    place = flat[rows, units].argmax(1)
    seed = torch.zeros_like(flat)
    seed[rows, units, place] = flat[rows, units, place]
    position = torch.stack(torch.unravel_index(place, space), 1)
    return seed.reshape(maps.shape), units, position, flat[rows, units, place].float()
