"""A network up to one of its layers: what lies above is never run."""

from __future__ import annotations

import threading
from collections import Counter
from contextlib import nullcontext
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn

from ..errors import InvalidInputError, ModelError
from ..explain.forward import run_model
from ..explain.inputs import Inputs
from ..explain.layers.layers import Layer, OpTap
from ..explain.outputs import select_output
from ..explain.tensors import tensors_in


class _Reached(BaseException):
    """Ends a forward pass; models that catch exceptions of all kinds do not catch it."""


class Found(NamedTuple):
    """What a pass gave: the activation, and of another layer on the way the features."""

    activation: Tensor
    features: Tensor | None


class UpTo(nn.Module):
    """The model's forward pass up to a layer, whose activation it returns.

    Usable within ``with``, which puts hooks on the model and takes them off again.  A deep copy
    has hooks of its own.  Forward passes of others meanwhile, in other threads, are as ever.

    Parameters
    ----------
    model : Module
        In eval mode.
    layer : Layer, optional
        None: the output, which is reached without a stop.
    output : key, index or callable, optional
        See `outputs.select_output`.
    beside : Layer, optional
        Whose features are wanted, too; a module that runs before.
    """

    def __init__(
        self, model: nn.Module, layer: Layer | None, output: Any = None, beside: Layer | None = None
    ) -> None:
        super().__init__()
        self.model, self.layer, self.output, self.beside = model, layer, output, beside
        self._thread: int | None = None
        self._calls = Counter[Layer]()
        self._kept: dict[str, Tensor] = {}
        self._handles: list[Any] = []

    def __enter__(self) -> UpTo:
        for layer, hook in ((self.beside, self._note), (self.layer, self._stop)):
            if layer is not None and layer.module is not None and layer.op is None:
                self._handles.append(layer.module.register_forward_hook(hook))
        return self

    def __exit__(self, *_: object) -> None:
        while self._handles:
            self._handles.pop().remove()

    def forward(self, images: Tensor) -> Found:
        """The activation of the layer, arranged as (N, C, *spatial) or (N, C)."""
        self._calls.clear()
        self._kept.clear()
        output = self._run(images)
        activation, features = self._kept.get("activation"), self._kept.get("features")
        self._kept.clear()  # a graph must not outlive its step
        if self.layer is None:
            activation = select_output(output, self.output, n=len(images))
        elif activation is None:
            raise InvalidInputError(f"layer {self.layer.name!r} {self._absent(self.layer)}")
        elif activation.ndim != 2 or self.layer.reshape is not None:
            activation = self.layer.arranged(activation, images.ndim - 2)
        if self.beside is not None:
            if features is None:
                raise InvalidInputError(f"layer {self.beside.name!r} did not run on the way")
            features = self.beside.arranged(features, images.ndim - 2)
        return Found(activation, features)

    def _run(self, images: Tensor) -> Any:
        """What the model returns, if it comes to that."""
        operations = [layer for layer in (self.beside, self.layer) if layer and layer.op]
        self._thread = threading.get_ident()
        try:
            with OpTap(operations, self._met) if operations else nullcontext():
                return self.model(images)
        except _Reached:
            return None
        finally:
            self._thread = None

    def _absent(self, layer: Layer) -> str:
        if calls := self._calls[layer]:
            return f"ran {calls} times, and call={layer.call} was asked for; calls count from 0"
        return "did not run in the forward pass of these images; choose one that does"

    def _met(self, layer: Layer, tensor: Tensor) -> Tensor:
        """A tensor that was looked for: goes on, or ends the pass."""
        if layer is self.layer:
            self._kept["activation"] = tensor
            raise _Reached
        self._kept["features"] = tensor.clone()  # what follows may work on it in place
        return tensor

    def _stop(self, module: nn.Module, arguments: Any, output: Any) -> None:
        if self._thread != threading.get_ident() or self.layer is None:
            return
        number = self._calls[self.layer]
        self._calls[self.layer] += 1
        if number == (self.layer.call or 0):
            self._met(self.layer, _first(output, self.layer))

    def _note(self, module: nn.Module, arguments: Any, output: Any) -> None:
        if self._thread == threading.get_ident() and self.beside is not None:
            self._met(self.beside, _first(output, self.beside))


def _first(output: Any, layer: Layer) -> Tensor:
    """The first tensor of floats in what a module returned."""
    for tensor in tensors_in(output, attributes=True):
        if tensor.is_floating_point():
            return tensor
    raise InvalidInputError(
        f"layer {layer.name!r} returns a {type(output).__name__} without a tensor of floats; "
        "choose a module inside of it"
    )


def check_calls(model: nn.Module, layer: Layer, inputs: Inputs) -> None:
    """Refuse a layer that runs several times where it is not said which of them is meant.

    Raises
    ------
    InvalidInputError
        If it does.
    """
    if layer.module is None or layer.op is not None or layer.call is not None:
        return
    calls = 0

    def count(*_: Any) -> None:
        nonlocal calls
        calls += 1

    handle = layer.module.register_forward_hook(count)
    try:
        with torch.no_grad():
            run_model(model, inputs)
    except ModelError:
        pass  # what lies above the layer may refuse images of this size, and need not run
    finally:
        handle.remove()
    if calls > 1:
        raise InvalidInputError(
            f"layer {layer.name!r} runs {calls} times in one forward pass: say which is meant, "
            f"call=0 to call={calls - 1}"
        )
