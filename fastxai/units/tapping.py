"""A forward pass up to the layers that are looked at, and no farther."""

from __future__ import annotations

import threading
from collections import Counter
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from typing import Any

import torch
from torch import Tensor

from ..errors import InvalidInputError
from ..explain.forward import run_model
from ..explain.inputs import Inputs
from ..explain.layers.layers import Layer, OpTap
from ..explain.session import arranged
from ..explain.tensors import tensors_in

# Called with a layer and its activation, (N, C, *spatial), or (N, C) where it has no space.
See = Callable[[Layer, Tensor], None]


class _Enough(BaseException):
    """All layers have run; no error, so that nothing in the model takes it for one."""


class _Watch:
    """Hands over the activation of each layer, and ends the forward after the last."""

    def __init__(self, layers: Sequence[Layer], see: See, axes: int) -> None:
        self._see, self._axes = see, axes
        self._left, self._calls = set(layers), Counter[Layer]()
        self._thread = threading.get_ident()

    def __call__(self, layer: Layer, tensor: Tensor) -> Tensor:
        number = self._calls[layer]
        self._calls[layer] += 1
        if layer in self._left and number == (layer.call or 0):
            self._left.discard(layer)
            self._see(layer, by_channel(layer, tensor, self._axes))
            if not self._left:
                raise _Enough
        return tensor

    def hook(self, layer: Layer) -> Callable[..., None]:
        def look(module: Any, arguments: Any, output: Any) -> None:
            if self._thread == threading.get_ident():  # else somebody else's forward
                self(layer, _first_floating(layer, output))

        return look

    def check(self) -> None:
        """Say which layer never ran."""
        for layer in self._left:
            if calls := self._calls[layer]:
                raise InvalidInputError(
                    f"layer {layer.name!r} ran {calls} times, and call={layer.call} was asked "
                    f"for; calls count from 0, so give at most {calls - 1}"
                )
            raise InvalidInputError(
                f"layer {layer.name!r} did not run in the forward pass of these images; choose "
                "one that does (a model may keep modules for training only)"
            )


def run_to(call: Callable[..., Any], inputs: Inputs, layers: Sequence[Layer], see: See) -> None:
    """Run the model until every layer was seen; what comes after is not computed.

    A layer that runs several times is seen in its call `Layer.call`, by default the first.

    Raises
    ------
    InvalidInputError
        If a layer did not run, or gives what has no units.
    ModelError
        If the model raises.
    """
    watch = _Watch(layers, see, len(inputs.spatial))
    operations = [layer for layer in layers if layer.op is not None]
    with ExitStack() as stack:
        for layer in layers:
            if layer.module is None or layer.op is not None:
                continue
            if isinstance(layer.module, torch.jit.ScriptModule):
                raise InvalidInputError(
                    f"layer {layer.name!r} is scripted or traced, and its activation can not be "
                    "reached; choose a layer that is not"
                )
            stack.callback(layer.module.register_forward_hook(watch.hook(layer)).remove)
        if operations:
            stack.enter_context(OpTap(operations, watch))
        try:
            run_model(call, inputs)
        except _Enough:
            return
    watch.check()


def shapes_of(
    call: Callable[..., Any], inputs: Inputs, layers: Sequence[Layer]
) -> dict[Layer, tuple[int, ...]]:
    """(C, *spatial) of each layer, or (C,) where it has no space.

    Raises
    ------
    InvalidInputError
        If a layer gives nothing.
    """
    found: dict[Layer, tuple[int, ...]] = {}

    def see(layer: Layer, maps: Tensor) -> None:
        found[layer] = tuple(maps.shape[1:])
        if 0 in found[layer]:
            raise InvalidInputError(f"layer {layer.name!r} gives nothing: {tuple(maps.shape)}")

    with torch.no_grad():
        run_to(call, inputs, layers, see)
    return found


def by_channel(layer: Layer, tensor: Tensor, axes: int) -> Tensor:
    """(N, C, *spatial), or (N, C) of a layer without space."""
    if tensor.ndim == 2 and layer.reshape is None:
        return tensor
    return arranged(layer, tensor, axes)


def _first_floating(layer: Layer, output: Any) -> Tensor:
    """The output, or of tuples, lists and mappings the first floating tensor in it."""
    for tensor in tensors_in(output, depth=1):
        if tensor.is_floating_point():
            return tensor
    raise InvalidInputError(
        f"layer {layer.name!r} returns a {type(output).__name__} without a tensor of floats in "
        "its first level; choose a module inside of it"
    )
