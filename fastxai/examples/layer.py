"""Which numbers of a forward pass are the features of an image, and how they are read.

By default they are what the network's last matrix works on: the input of the last linear layer
(or convolution) that runs on the way to the output.  There the network has done all it does to
tell the classes apart by planes, and distances mean most.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from torch import Tensor, nn
from torch.overrides import TorchFunctionMode

from ..errors import InvalidInputError
from ..explain.inputs import Inputs
from ..explain.layers import Layer, OpTap, resolve_layers
from ..explain.layers.operations import operation
from ..explain.layers.probe import Trace, probe
from ..explain.layers.tokens import CONVOLUTIONS, PRODUCTS, channels_last

POOLS = ("mean", "flatten")
_HEADS = frozenset({"linear", "mm", "addmm"}) | CONVOLUTIONS | PRODUCTS


@dataclass(frozen=True)
class FeatureLayer:
    """Where in a network's forward pass features are read.

    Attributes
    ----------
    name : str
        Of the module or operation, "input of" it where what goes into it is meant.
    layer : Layer
        The module, or the operation.
    before : bool
        Whether the input of the operation is meant, and not its result.
    last : bool
        Whether the last axis holds the channels, and not the one behind the images.
    pool : {"mean", "flatten"}
        What becomes of positions.
    """

    name: str
    layer: Layer
    before: bool
    last: bool
    pool: str

    def reduced(self, found: Any, n: int) -> Tensor:
        """(N, d) of what the layer gave; a copy, since what follows may work in place.

        Raises
        ------
        InvalidInputError
            If it holds no row of floats an image.
        """
        tensor = _first(found)
        if tensor is None or not tensor.is_floating_point():
            what = type(found).__name__ if tensor is None else f"{tensor.dtype} numbers"
            raise InvalidInputError(
                f"layer {self.name!r} gives {what}: choose one that gives floats"
            )
        if not tensor.ndim or len(tensor) != n or not tensor.numel():
            raise InvalidInputError(
                f"layer {self.name!r} gives {tuple(tensor.shape)} for {n} images: its first axis "
                "should count them; choose another layer"
            )
        tensor = tensor.detach()
        if tensor.ndim > 2 and self.pool == "mean":
            axes = range(1, tensor.ndim - 1) if self.last else range(2, tensor.ndim)
            return tensor.float().mean(dim=tuple(axes))
        return tensor.float().reshape(n, -1).clone()


def find_layer(
    model: nn.Module, layer: Any, inputs: Inputs, output: Any = None, pool: str = "mean"
) -> FeatureLayer:
    """The layer that is meant; by default the input of the last linear layer or convolution.

    Parameters
    ----------
    model : Module
        Unwrapped, in eval mode.
    layer : None, str or Module
    inputs : Inputs
        What the model will be given.
    output : key or index, optional
        Which output the default layer leads to.
    pool : {"mean", "flatten"}, default "mean"

    Raises
    ------
    InvalidInputError
        If there is no such layer, or it does not run.
    """
    trace = probe(model, inputs, output)
    if layer is None:
        return _default(trace, pool)
    if isinstance(layer, (list, tuple, set, frozenset)):
        raise InvalidInputError(f"layer={layer!r}: a bank holds the features of one layer; name it")
    found = resolve_layers(model, layer, inputs, reshape=_as_it_is)[0]
    if found.op is not None:
        steps = [n for n, s in enumerate(trace.steps) if (s.name, s.occurrence) == found.op]
    else:
        steps = [returned.step for returned in trace.returns if returned.module == found.name]
        if not trace.calls.get(found.name):
            raise InvalidInputError(
                f"layer {found.name!r} did not run in the forward pass of these images; choose one "
                "that does (a model may keep modules for training only)"
            )
    last = _channels_last(trace, steps[-1]) if steps else False
    return FeatureLayer(found.name, found, False, last, pool)


def _as_it_is(tensor: Tensor) -> Tensor:
    return tensor


def _default(trace: Trace, pool: str) -> FeatureLayer:
    heads = [n for n in sorted(trace.used) if trace.steps[n].name in _HEADS]
    if not heads:
        raise InvalidInputError(
            "the model has no linear layer and no convolution, whose input would be the features: "
            "give layer=, a module or its name"
        )
    step = trace.steps[heads[-1]]
    # The innermost module: a Sequential that ends in it returns the same tensor.
    module = next((one.module for one in trace.returns if one.step == heads[-1]), None)
    name = module or f"{step.name}[{step.occurrence}]"
    layer = Layer(name, op=(step.name, step.occurrence))
    return FeatureLayer(f"input of {name}", layer, True, step.name not in CONVOLUTIONS, pool)


def _channels_last(trace: Trace, step: int) -> bool:
    told = channels_last(trace, step)
    return len(trace.steps[step].shape) != len(trace.image) + 1 if told is None else told


def _first(found: Any) -> Tensor | None:
    """The tensor, or the first of a tuple, list or mapping."""
    if isinstance(found, Tensor):
        return found
    values = found.values() if isinstance(found, dict) else found
    if isinstance(values, (tuple, list)) or isinstance(found, dict):
        return next((one for one in values if isinstance(one, Tensor)), None)
    return None


# --- reading -----------------------------------------------------------------------------


class Reading:
    """The features of one forward, filled in while it runs."""

    def __init__(self, at: FeatureLayer, n: int) -> None:
        self._at, self._n = at, n
        self._found: Tensor | None = None

    def keep(self, found: Any) -> None:
        """Take what the layer gave; of several calls the last counts."""
        self._found = self._at.reduced(found, self._n)

    @property
    def features(self) -> Tensor:
        """(N, d) floats.

        Raises
        ------
        InvalidInputError
            If the layer did not run.
        """
        if self._found is None:
            raise InvalidInputError(
                f"layer {self._at.name!r} did not run for these images, though it did for others: "
                "the model's way depends on what it sees; choose a layer that always runs"
            )
        return self._found


@contextmanager
def reading(at: FeatureLayer, n: int) -> Iterator[Reading]:
    """A forward of ``n`` images inside the block is read at the layer."""
    found, layer = Reading(at, n), at.layer
    if at.before and layer.op is not None:
        with _InputTap(*layer.op, lambda given: found.keep(_rows(given, n))):
            yield found
        return
    if layer.op is not None:

        def cut(_: Layer, tensor: Tensor) -> Tensor:
            found.keep(tensor)
            return tensor

        with OpTap([layer], cut):
            yield found
        return
    assert layer.module is not None
    handle = layer.module.register_forward_hook(lambda *call: found.keep(call[-1]))
    try:
        yield found
    finally:
        handle.remove()


def _rows(given: list[Any], n: int) -> Any:
    """Among an operation's arguments the one with a row an image: not the weights."""
    tensors = [one for one in given if isinstance(one, Tensor) and one.ndim]
    free = [one for one in tensors if not isinstance(one, nn.Parameter)]
    return next((one for one in free or tensors if len(one) == n), free[0] if free else None)


class _InputTap(TorchFunctionMode):
    """Shows what goes into the k-th operation of a name."""

    def __init__(self, name: str, occurrence: int, show: Callable[[list[Any]], None]) -> None:
        super().__init__()
        self._name, self._occurrence, self._show = name, occurrence, show
        self._counts = Counter[str]()

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        kwargs = kwargs or {}
        if (name := operation(func)) == self._name:
            if self._counts[name] == self._occurrence:
                self._show([*args, *kwargs.values()])
            self._counts[name] += 1
        return func(*args, **kwargs)
