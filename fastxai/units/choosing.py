"""Which layers are looked at: by name, or by default one a resolution."""

from __future__ import annotations

import re
from dataclasses import replace
from typing import Any

import torch

from ..errors import InvalidInputError
from ..explain.inputs import Inputs
from ..explain.layers.default import _followed, _is_answer
from ..explain.layers.layers import Layer, resolve_layers
from ..explain.layers.probe import Trace, probe
from ..explain.layers.tokens import arrangement, attentions, is_map

_CALL = re.compile(r"(.+) \(call=(\d+)\)")
# torch's names of activation functions; those that only clip are none.
_BOUNDED = frozenset(
    {"relu6", "hardtanh", "hardtanh_", "sigmoid", "hardsigmoid", "tanh", "softsign"}
)
_ACTIVATIONS = frozenset(
    name + ending
    for name in (
        *("relu", "relu6", "leaky_relu", "prelu", "rrelu", "threshold", "hardtanh", "hardswish"),
        *("hardsigmoid", "elu", "selu", "celu", "gelu", "silu", "mish", "softplus", "softsign"),
        *("sigmoid", "tanh"),
    )
    for ending in ("", "_")
)


def units_of(
    model: torch.nn.Module, layers: Any, inputs: Inputs, call: int | None = None
) -> dict[str, Layer]:
    """The layers that are meant, by the names they go by.

    Parameters
    ----------
    model : Module
        Unwrapped, in eval mode.
    layers : None, "resolutions", "activations", str, Module, or sequence of str and Module
        None or "resolutions": of every resolution the last feature map of a convolution, with the
        norm and activation behind it; of transformers the tokens that explainers look at.
        "activations": whatever an activation function gives.
    inputs : Inputs
        One image.
    call : int, optional
        Which call of named layers, where they run several times; by default the first.

    Raises
    ------
    InvalidInputError
        If there is no such layer, or none by default.
    """
    if layers is None or _is(layers, "resolutions"):
        found = _by_resolution(model, inputs) or _activations(model, inputs)
        if not found:
            raise InvalidInputError(
                "the model has no convolution, attention or activation function to choose layers "
                "by; give layers=, names or modules"
            )
    elif _is(layers, "activations"):
        found = _activations(model, inputs)
        if not found:
            raise InvalidInputError(
                "the model runs no activation function that is known; give layers=, names or "
                "modules"
            )
    else:
        several = isinstance(layers, (list, tuple, set, frozenset))
        wanted = list(layers) if several else [layers]
        if not wanted:
            raise InvalidInputError("layers=[] names no layer; give names or modules, or None")
        found = [_named(model, one, inputs, call) for one in wanted]
    return {called(layer): layer for layer in found}


def _is(layers: Any, word: str) -> bool:
    return isinstance(layers, str) and layers == word


def called(layer: Layer) -> str:
    """The name that a layer goes by."""
    return layer.name if layer.call is None else f"{layer.name} (call={layer.call})"


def _named(model: torch.nn.Module, one: Any, inputs: Inputs, call: int | None) -> Layer:
    if isinstance(one, str) and (match := _CALL.fullmatch(one)):  # as `called` writes it
        one, call = match[1], int(match[2])
    try:
        return resolve_layers(model, one, inputs, call)[0]
    except InvalidInputError:
        # Transformers have layers without space, too, of which no maps are to be made.
        layer = resolve_layers(model, one, inputs, call, reshape=_as_it_is)[0]
        trace = probe(model, inputs)
        for returned in trace.returns:
            flat = len(trace.steps[returned.step].shape) == 2
            if returned.module == layer.name and returned.call == (call or 0) and flat:
                return replace(layer, reshape=None)
        raise


def _as_it_is(activation: Any) -> Any:
    return activation


def _by_resolution(model: torch.nn.Module, inputs: Inputs) -> list[Layer]:
    """Of every size of feature map the last that a convolution gives; () without a convolution."""
    trace = probe(model, inputs)
    mixing = attentions(trace)
    axes = len(trace.image) - 1
    convolutions = [
        number
        for number, step in enumerate(trace.steps)
        if is_map(step, axes) and step.shape[0] == trace.n
    ]
    if mixing:
        return resolve_layers(model, None, inputs)
    used = [number for number in convolutions if number in trace.used] or convolutions
    last: dict[tuple[int, ...], int] = {}
    for number in used:
        if not _is_answer(trace, number, convolutions):
            step = _unbounded(trace, _followed(trace, number, mixing))
            size = trace.steps[number].shape[2:]
            last[size] = max(step, last.get(size, 0))
    return [layer for step in sorted(last.values()) if (layer := _at(model, trace, step))]


def _unbounded(trace: Trace, number: int) -> int:
    """The step before an activation with an upper end, at which many images are equally strong.

    Above zero it is wherever the activation is, of those that are cut off at zero.
    """
    step = trace.steps[number]
    if step.name in _BOUNDED and len(step.parents) == 1:
        before = step.parents[0]
        if trace.steps[before].shape == step.shape and trace.returned(before) is not None:
            return before
    return number


def _activations(model: torch.nn.Module, inputs: Inputs) -> list[Layer]:
    """What activation functions give, in order of execution."""
    trace = probe(model, inputs)
    steps = [
        number
        for number, step in enumerate(trace.steps)
        if step.name in _ACTIVATIONS
        and number in trace.used
        and len(step.shape) > 1
        and step.shape[0] == trace.n
    ]
    return list(dict.fromkeys(layer for s in steps if (layer := _at(model, trace, s))))


def _at(model: torch.nn.Module, trace: Trace, number: int) -> Layer | None:
    """The layer whose activation is the result of a step; None where it has no units."""
    step, returned = trace.steps[number], trace.returned(number)
    if returned is None:
        name = f"{step.name}[{step.occurrence}]"
        layer = Layer(name, op=(step.name, step.occurrence))
    else:
        call = returned.call if trace.calls[returned.module] > 1 else None
        layer = Layer(returned.module, model.get_submodule(returned.module), None, call)
    if len(step.shape) == 2:
        return layer
    try:
        return replace(layer, reshape=arrangement(trace, number, layer.name))
    except InvalidInputError:
        return None
