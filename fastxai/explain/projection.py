"""DeconvNet as in the paper: one activation of a layer, brought back to the pixels."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from .._checks import check_whole
from ..errors import InvalidInputError, NoGradientError
from .explainer import Explainer
from .gradients import Projection
from .inputs import read_inputs, spatial_axes
from .layers import Layer, resolve_layers
from .model import caller, place_of, plain_mode, untouched
from .recorder import record
from .rules import ReLURules


def project(explainer: Explainer, images: Any, layer: Any, unit: int | None) -> Projection:
    """See `DeconvNet.project`."""
    model = explainer.model
    if unit is not None:
        check_whole("unit", unit, 0)
    with plain_mode(), untouched(model):
        device, dtype = place_of(model)
        axes = spatial_axes(model)
        inputs = read_inputs(images, explainer.wrt, device=device, dtype=dtype, spatial=axes)
        layers = resolve_layers(model, layer, inputs, output=explainer.output)
        if len(layers) != 1:
            raise InvalidInputError(f"give one layer, not {len(layers)}")
        parts = []
        size = explainer.batch_size or 32
        for start in range(0, len(inputs), size):
            rules = ReLURules()
            part = inputs.part(start, min(start + size, len(inputs)))
            with record(
                caller(model), part, layers, input_graph=True, rules=rules, output=explainer.output
            ) as recording:
                activation = recording.activations[layers[0]][0]
                seed, *found = _strongest(layers[0], activation, unit)
                score = (activation * seed).sum()
                gradient = recording.gradients(score, [recording.images], "deconvnet")[0]
                if gradient is None:
                    raise NoGradientError(
                        f"layer {layers[0].name!r} does not depend on the images: the model cuts "
                        "the graph before it"
                    )
                parts.append((gradient.float(), *found))
    columns = [torch.cat(list(column)) for column in zip(*parts, strict=True)]
    if inputs.numpy:
        columns = [column.cpu().numpy() for column in columns]
    return Projection(*columns)


def _strongest(layer: Layer, activation: Tensor, unit: int | None) -> tuple[Tensor, ...]:
    """Zeros but at the strongest activation of the unit; which unit, where, how strong."""
    maps = activation.detach()
    if maps.ndim < 3:
        raise InvalidInputError(
            f"layer {layer.name!r} gives {tuple(maps.shape)}: choose one that gives feature maps"
        )
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
