"""Zeiler and Fergus's three views of a network through a sliding window."""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from typing import TYPE_CHECKING, Any, NamedTuple

import torch
from torch import Tensor

from ...errors import InvalidInputError
from ...progress import Progress
from ..explainer import opened
from ..forward import plain_forward
from ..halving import Batches
from ..inputs import Inputs
from ..layers.layers import Layer, OpTap, resolve_layers
from ..model import caller
from ..targets.request import Request, read_target
from .perturbed import Perturbed, format_of
from .windows import window_table

if TYPE_CHECKING:
    from .occlusion import Occlusion

_IMAGES = 32  # whose targets are read together


class Views(NamedTuple):
    """What a model makes of images with a window covered, for each position of the window.

    Attributes
    ----------
    probability : Tensor or ndarray of float32, (N, rows, columns)
        Of the target (of a regression its value).
    predicted : Tensor or ndarray of int64, (N, rows, columns)
        The most probable class.
    response : Tensor or ndarray of float32, (N, rows, columns)
        The total response of a layer's strongest feature map: the one with the largest sum in
        the image as it is.
    """

    probability: Any
    predicted: Any
    response: Any


def occlusion_views(occlusion: Occlusion, images: Any, target: Any, layer: Any) -> Views:
    """All three from the same forwards; see `Occlusion.views`."""
    model = occlusion.model
    if not isinstance(model, torch.nn.Module) or isinstance(model, torch.jit.ScriptModule):
        what = "scripted or traced" if isinstance(model, torch.nn.Module) else type(model).__name__
        raise InvalidInputError(
            f"the views look at a layer and need a torch.nn.Module; the model is {what}: give the "
            "network itself, or call Occlusion for its map alone"
        )
    with opened(occlusion, images) as (inputs, progress):
        request = read_target(target, len(inputs))
        layers = resolve_layers(model, layer, inputs, output=occlusion.output)
        if len(layers) != 1:
            raise InvalidInputError(f"{len(layers)} layers are given: the views are of one")
        windows, grid = window_table(inputs.spatial, occlusion.window, occlusion.stride)
        watch = _Watch(occlusion, model, layers[0])
        for start in range(0, len(inputs), _IMAGES):
            stop = min(start + _IMAGES, len(inputs))
            watch.batch(inputs.part(start, stop), request.part(start, stop), windows, progress)
    found = [torch.cat(parts) for parts in (watch.probability, watch.predicted, watch.response)]
    shaped = [part.reshape(len(inputs), *grid) for part in found]
    place = inputs.images.device
    return Views(*(part.numpy() if inputs.numpy else part.to(place) for part in shaped))


class _Watch:
    """Runs covered images and notes what comes out, and what a feature map says."""

    def __init__(self, occlusion: Occlusion, model: Any, layer: Layer) -> None:
        self._occlusion, self._model, self._layer = occlusion, model, layer
        self._call = caller(model)
        self._sums: list[Tensor] = []  # (b, C) of each call of the layer in a forward
        self.probability: list[Tensor] = []
        self.predicted: list[Tensor] = []
        self.response: list[Tensor] = []

    def batch(self, inputs: Inputs, request: Request, windows: Any, progress: Progress) -> None:
        """Add what the windows show of some images."""
        from .occlusion import Occluder

        own = self._occlusion
        size = own.batch_size or _IMAGES
        parts = Batches(len(inputs), size).run(
            lambda first, last: self._forward(inputs.part(first, last)), progress, "forward"
        )
        output, sums = (torch.cat(list(column)) for column in zip(*parts, strict=True))
        targets = request.resolve(output, own.task, inputs.spatial)
        if targets.classes.shape[1] != 1:
            raise InvalidInputError("several targets an image: the views are of one")
        strongest = sums.argmax(1)
        form = format_of(self._model, inputs.images)
        occluder = Occluder(inputs.images, own.baseline, windows, form)

        def forward(changed: Inputs) -> Tensor:
            output, sums = self._forward(changed)
            classes = read_target(None, len(changed)).resolve(output, own.task, inputs.spatial)
            self.predicted.append(classes.classes[:, 0].cpu())
            self.response.append(sums[:, strongest[occluder.latest[0]]].cpu())
            return output

        run = Perturbed(
            forward, inputs, targets, score="probability", batch_size=own.batch_size,
            memory_format=occluder.form, group=len(windows),
        )  # fmt: skip
        found = run.scores(len(inputs) * len(windows), occluder, progress, "occlude")
        self.probability.append(found[:, 0].float())

    def _forward(self, inputs: Inputs) -> tuple[Tensor, Tensor]:
        """The selected output, and each feature map's sum (n, C) over all calls."""
        self._sums.clear()
        with self._watched(inputs.images.ndim - 2):
            output = plain_forward(self._call, inputs, self._occlusion.output)
        if not self._sums:
            raise InvalidInputError(
                f"layer {self._layer.name!r} did not run in the forward pass of these images"
            )
        return output, torch.stack(self._sums).sum(0)

    @contextmanager
    def _watched(self, axes: int) -> Iterator[None]:
        layer = self._layer
        calls = itertools.count()

        def note(which: Layer, tensor: Tensor) -> Tensor:
            number = next(calls)
            if layer.call in (None, number):
                maps = layer.arranged(tensor.detach(), axes)
                self._sums.append(maps.flatten(2).sum(2, dtype=torch.float32))
            return tensor

        def hook(module: Any, arguments: Any, output: Any) -> None:
            note(layer, output[0] if isinstance(output, (tuple, list)) else output)

        with ExitStack() as stack:
            if layer.op is not None:
                stack.enter_context(OpTap([layer], note))
            elif layer.module is not None:
                stack.callback(layer.module.register_forward_hook(hook).remove)
            yield
