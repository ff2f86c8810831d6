"""ONE forward of the user's model, of which only what was asked for is kept.

The graph begins where it is needed: at the images for gradients by pixels, else at the first
recorded layer that runs.  There the activation becomes a leaf; what lies below it keeps
nothing, since no parameter wants a gradient while we record (see `model.untouched`).
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, ExitStack, contextmanager, nullcontext
from copy import copy
from typing import Any

import torch
from torch import Tensor

from ..errors import FastxaiError, InvalidInputError, ModelError, NoGradientError
from .forward import out_of_memory, run_model
from .inputs import Inputs
from .layers.layers import Layer, OpTap
from .outputs import select_output
from .relu_rules.rules import ReLURules


class Recording:
    """What one forward left behind.

    Attributes
    ----------
    output : Tensor
        The selected output, (N, classes) or (N, classes, *spatial).
    images : Tensor
        The explained input; a leaf where its gradient was asked for.
    activations : dict of Layer to list of Tensor
        The activation of each executed call of each layer, as the layer gave it.
    """

    def __init__(self, images: Tensor, rules: ReLURules | None) -> None:
        self.images = images
        self.activations: dict[Layer, list[Tensor]] = {}
        self.output: Tensor = images
        self._rules = rules

    def gradients(
        self, score: Tensor, of: Sequence[Tensor], rule: str = "gradient", *, last: bool = False
    ) -> list[Tensor | None]:
        """Gradients of a scalar; None where it does not depend on a tensor at all.

        The ``last`` pass frees the graph on its way, whose memory is used again at once.
        """
        wanted = [tensor for tensor in of if tensor.requires_grad]
        if not score.requires_grad or not wanted:
            return [None] * len(of)
        try:
            with self._rules.using(rule) if self._rules is not None else nullcontext():
                found = torch.autograd.grad(score, wanted, retain_graph=not last, allow_unused=True)
        except FastxaiError:
            raise
        except Exception as error:  # of hooks and functions of the user's own, too
            if out_of_memory(error):
                raise
            what = "" if isinstance(error, RuntimeError) else f"{type(error).__name__}: "
            raise ModelError(f"the model can not be differentiated: {what}{error}") from error
        by_id = {id(tensor): gradient for tensor, gradient in zip(wanted, found, strict=True)}
        return [by_id.get(id(tensor)) for tensor in of]

    def release(self) -> None:
        """Let go of the graph and of what it keeps."""
        self.activations.clear()
        self.output, self.images = self.output.detach(), self.images.detach()


@contextmanager
def record(
    call: Callable[..., Any],
    inputs: Inputs,
    layers: Sequence[Layer] = (),
    *,
    input_graph: bool = False,
    rules: ReLURules | None = None,
    taps: Sequence[AbstractContextManager[Any]] = (),
    output: Any = None,
) -> Iterator[Recording]:
    """Run the model once; within the block gradients can be asked for.

    Parameters
    ----------
    call : callable
        The model.
    inputs : Inputs
        What it is given (as copies).
    layers : sequence of Layer
        Whose activations are kept.
    input_graph : bool
        Whether gradients by the images will be asked for.
    rules : ReLURules, optional
        Entered around the forward and the backward passes.
    taps : sequence of context managers
        Entered around the forward.
    output : key, index or callable, optional
        See `outputs.select_output`.
    """
    images = inputs.images.detach()
    if input_graph:
        images.requires_grad_()
    recording = Recording(images, rules)
    cut = _Cut(recording, input_graph)
    operations = [layer for layer in layers if layer.op is not None]
    with rules or nullcontext(), ExitStack() as hooks:
        for layer in layers:
            if layer.module is not None and layer.op is None:
                if isinstance(layer.module, torch.jit.ScriptModule):
                    raise InvalidInputError(
                        f"layer {layer.name!r} is scripted or traced, and its activation can not "
                        "be reached; choose a layer that is not"
                    )
                hooks.callback(layer.module.register_forward_hook(cut.hook(layer)).remove)
        # Taps and cuts see this forward only, not those that methods make later.
        with ExitStack() as stack, cut:
            for tap in taps:
                stack.enter_context(tap)
            if operations:
                stack.enter_context(OpTap(operations, cut))
            found = run_model(call, inputs.with_images(images))
        recording.output = select_output(found, output, n=len(inputs))
        del found
        cut.check(layers, input_graph)
        yield recording


class _Cut:
    """Makes the activation of a layer the beginning of the graph, or notes it on the way.

    At work in one forward of one thread.  The hooks stay for the backward passes, in which
    checkpointed segments run again and must do what they did.
    """

    def __init__(self, recording: Recording, input_graph: bool) -> None:
        self._recording, self._input_graph = recording, input_graph
        self._calls: dict[Layer, int] = {}
        self._thread: int | None = None

    def __enter__(self) -> None:
        self._thread = threading.get_ident()

    def __exit__(self, *_: object) -> None:
        self._thread = None

    def __call__(self, layer: Layer, tensor: Tensor) -> Tensor:
        number = self._calls.get(layer, 0)
        self._calls[layer] = number + 1
        if layer.call not in (None, number):
            return tensor
        if not tensor.is_floating_point():
            raise InvalidInputError(
                f"layer {layer.name!r} gives {tensor.dtype} numbers, which have no gradient; "
                "choose a layer that gives feature maps"
            )
        # A graph before the first cut leads to tensors that are no parameters: nobody asks there.
        below = self._input_graph or bool(self._recording.activations)
        tensor = self._begun(tensor, keep=below)
        self._recording.activations.setdefault(layer, []).append(tensor)
        # What follows may work in place: it gets a copy, the recorded values stay.
        return tensor.clone()

    @staticmethod
    def _begun(tensor: Tensor, keep: bool = True) -> Tensor:
        # Inside a no_grad block of the model's own the mode holds to the end of that block.
        torch.set_grad_enabled(True)
        if keep and tensor.requires_grad:
            return tensor
        return (tensor.clone() if tensor.is_inference() else tensor.detach()).requires_grad_()

    def hook(self, layer: Layer) -> Callable[..., Any]:
        """A forward hook that replaces the layer's output, or the first floating tensor in it."""

        def replace(module: Any, arguments: Any, output: Any) -> Any:
            if self._thread == threading.get_ident():
                return _with_first(output, lambda tensor: self(layer, tensor), layer)
            if torch._C._current_graph_task_id() != -1 and layer.call is None:
                return _with_first(output, lambda tensor: self._begun(tensor).clone(), layer)
            return None  # somebody else's forward

        return replace

    def check(self, layers: Sequence[Layer], input_graph: bool) -> None:
        """Say what never ran, and where the model itself cuts the graph."""
        for layer in layers:
            if layer not in self._recording.activations:
                calls = self._calls.get(layer, 0)
                if calls:
                    raise InvalidInputError(
                        f"layer {layer.name!r} ran {calls} times, and call={layer.call} was asked "
                        f"for; calls count from 0, so give at most {calls - 1}"
                    )
                raise InvalidInputError(
                    f"layer {layer.name!r} did not run in the forward pass of these images; "
                    "choose one that does (a model may keep modules for training only)"
                )
        output, images = self._recording.output, self._recording.images
        cut = input_graph and not leads_to(output, images)
        if cut or (layers and not output.requires_grad):
            start = "the images" if cut else f"layer {layers[0].name!r}"
            raise NoGradientError(
                f"no gradient leads from the output back to {start}: the model cuts the graph "
                "after it, by torch.no_grad, detach, argmax or a detour over NumPy; choose a "
                "layer behind that place, or a method that needs only answers (Occlusion, RISE)"
            )


def _with_first(output: Any, change: Callable[[Tensor], Tensor], layer: Layer) -> Any:
    """The output with its tensor changed; of tuples, lists and mappings the first floating one."""
    if isinstance(output, Tensor):
        return change(output)
    mapping = isinstance(output, Mapping)
    if mapping or isinstance(output, (tuple, list)):
        for key, value in output.items() if mapping else enumerate(output):
            if isinstance(value, Tensor) and value.is_floating_point():
                if not isinstance(output, tuple):
                    changed = copy(output)
                    changed[key] = change(value)
                    return changed
                make = getattr(type(output), "_make", type(output))  # named tuples, too
                return make([*output[:key], change(value), *output[key + 1 :]])
    raise InvalidInputError(
        f"layer {layer.name!r} returns a {type(output).__name__} without a tensor of floats in "
        "its first level; choose a module inside of it"
    )


def leads_to(output: Tensor, leaf: Tensor) -> bool:
    """Whether the graph of an output goes back to a leaf."""
    waiting = [] if output.grad_fn is None else [output.grad_fn]
    seen = set(waiting)
    while waiting:
        node = waiting.pop()
        if getattr(node, "variable", None) is leaf:
            return True
        for before, _ in node.next_functions:
            if before is not None and before not in seen:
                seen.add(before)
                waiting.append(before)
    return output is leaf
