"""Receptive fields: which part of the image a position of a layer can read at all.

Not a number in the image is one in everything that is computed from it: zero weights, ReLUs,
gates and max-pools let it through.  A row of the image set to NaN therefore shows by itself
which positions of a layer read that row, whatever the network does in between: strides,
dilation, padding, shortcuts, pooling over everything.
"""

from __future__ import annotations

import math
import platform
import warnings
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, nullcontext
from typing import Any, NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.overrides import TorchFunctionMode

from ..errors import FastxaiError
from ..explain.inputs import Inputs
from ..explain.layers.layers import Layer
from ..explain.layers.operations import operation
from ..progress import Advance
from .tapping import run_to, shapes_of

_NARROW = (32, 64, 128)  # of the other axes while one is looked at
_TOGETHER = 32  # images of a batch
# What reads all of an image to change, or to weigh, every place of it.
_NORMS = ("group_norm", "instance_norm")
_MEANS = ("mean", "amax", *(f"adaptive_{k}_pool{n}d" for k in ("avg", "max") for n in (1, 2, 3)))
_DIRECT = ("x86_64", "AMD64")  # where oneDNN has no other convolutions


class Field(NamedTuple):
    """The part of the image that each position of a layer reads.

    Attributes
    ----------
    low, high : tuple of ndarray of int64
        Of each spatial axis, by position: the first pixel, and one past the last.  Of a layer
        without space there is one position.
    image : tuple of int
        The image's spatial size.
    """

    low: tuple[NDArray[np.int64], ...]
    high: tuple[NDArray[np.int64], ...]
    image: tuple[int, ...]

    @property
    def size(self) -> tuple[int, ...]:
        """Pixels of the largest part along each axis: that of a position far from the border."""
        return tuple(int((b - a).max()) for a, b in zip(self.low, self.high, strict=True))

    @property
    def whole(self) -> bool:
        """Whether every position reads the whole image."""
        ends = zip(self.low, self.high, self.image, strict=True)
        return all(bool((a == 0).all() and (b == size).all()) for a, b, size in ends)

    def box(self, position: Sequence[int]) -> tuple[slice, ...]:
        """Where the part of one position lies in the image."""
        places = position or (0,) * len(self.image)
        return tuple(
            slice(int(low[p]), int(high[p]))
            for low, high, p in zip(self.low, self.high, places, strict=True)
        )

    @classmethod
    def of_everything(cls, image: Sequence[int], positions: Sequence[int]) -> Field:
        """Every position reads the whole image."""
        counts = tuple(positions) or (1,) * len(image)
        low = tuple(np.zeros(count, np.int64) for count in counts)
        pairs = zip(image, counts, strict=True)
        return cls(low, tuple(np.full(n, size, np.int64) for size, n in pairs), tuple(image))


def receptive_fields(
    call: Callable[..., Any],
    inputs: Inputs,
    layers: Sequence[Layer],
    advance: Advance | None = None,
    *,
    local: bool = False,
) -> dict[Layer, Field]:
    """The receptive field of each layer, for one image of this size.

    Exact for what lets NaN through, which PyTorch's operations do; where an operation of the
    model's own swallows it, or refuses it, the whole image is taken.  Statistics over the image
    (group norm, squeeze and excitation) read all of it, and so does every unit behind them.

    Parameters
    ----------
    call : callable
        The model, in eval mode.
    inputs : Inputs
        One image.
    layers : sequence of Layer
    advance : callable, optional
        Told the rows of the image as they are done, ``sum(inputs.spatial)`` in all.
    local : bool, default False
        Leave out what comes by statistics over the whole image alone.
    """
    advance = advance or (lambda amount: None)
    with torch.no_grad(), _direct_convolutions(), _Local() if local else nullcontext():
        try:
            shapes = _sizes(call, inputs, layers)
        except FastxaiError:
            return {}
        reads: dict[Layer, list[NDArray[np.bool_]]] = {layer: [] for layer in layers}
        for axis in range(len(inputs.spatial)):
            found = _along(call, inputs, layers, shapes, axis, advance)
            for layer in layers:
                reads[layer].append(found[layer])
    return {layer: _field(inputs.spatial, reads[layer]) for layer in layers}


def _field(image: Sequence[int], reads: Sequence[NDArray[np.bool_]]) -> Field:
    """From who reads which row, along each axis (rows of the image, positions)."""
    low, high = [], []
    for read in reads:
        size = len(read)
        nothing = ~read.any(axis=0)  # NaN was swallowed on the way
        low.append(np.where(nothing, 0, read.argmax(axis=0)).astype(np.int64))
        high.append(np.where(nothing, size, size - read[::-1].argmax(axis=0)).astype(np.int64))
    return Field(tuple(low), tuple(high), tuple(image))


def _along(
    call: Callable[..., Any],
    inputs: Inputs,
    layers: Sequence[Layer],
    shapes: dict[Layer, tuple[int, ...]],
    axis: int,
    advance: Advance,
) -> dict[Layer, NDArray[np.bool_]]:
    """Who reads which row of one axis.

    The other axes are irrelevant for that, and cut short where the network bears it.
    """
    rows = range(inputs.spatial[axis])
    probe = _Probe(call, layers, shapes, axis)
    short = _shortened(probe, inputs)
    found = probe.reads(short, rows, advance)
    if short is not inputs:
        few = sorted({0, len(rows) // 2, len(rows) - 1})
        sure = probe.reads(inputs, few)
        if any((sure[layer] != found[layer][few]).any() for layer in layers):
            return probe.reads(inputs, rows)
    return found


def _shortened(probe: _Probe, inputs: Inputs) -> Inputs:
    """The image with its other axes cut, such that the layers keep their size along this one."""
    for width in _NARROW:
        cuts = [
            slice(None) if axis == probe.axis else slice(0, width)
            for axis in range(len(inputs.spatial))
        ]
        part = inputs.with_images(inputs.images[(slice(None), slice(None), *cuts)])
        if part.spatial == inputs.spatial:
            return inputs
        try:
            shapes = _sizes(probe.call, part, probe.layers)
        except (FastxaiError, RuntimeError):
            continue
        if all(
            len(shapes[layer]) == len(shape) and shapes[layer][probe.axis] == shape[probe.axis]
            for layer, shape in probe.shapes.items()
            if shape
        ):
            return part
    return inputs


class _Probe(NamedTuple):
    """Asks which positions of the layers read certain rows of one axis."""

    call: Callable[..., Any]
    layers: Sequence[Layer]
    shapes: dict[Layer, tuple[int, ...]]
    axis: int

    def reads(
        self, inputs: Inputs, rows: Sequence[int], advance: Advance = lambda amount: None
    ) -> dict[Layer, NDArray[np.bool_]]:
        """(rows, positions) of each layer."""
        parts: dict[Layer, list[NDArray[np.bool_]]] = {layer: [] for layer in self.layers}
        for start in range(0, len(rows), _TOGETHER):
            some = rows[start : start + _TOGETHER]
            marked = _marked(inputs, some, self.axis)
            try:
                run_to(self.call, marked, self.layers, lambda *seen: self._note(parts, *seen))
            except FastxaiError:  # a model that refuses what is not finite
                return {layer: self._all(layer, len(rows)) for layer in self.layers}
            advance(len(some))
        return {layer: np.concatenate(part) for layer, part in parts.items()}

    def _all(self, layer: Layer, rows: int) -> NDArray[np.bool_]:
        shape = self.shapes[layer]
        return np.ones((rows, shape[self.axis] if shape else 1), bool)

    def _note(
        self, parts: dict[Layer, list[NDArray[np.bool_]]], layer: Layer, maps: Tensor
    ) -> None:
        unknown = maps.isnan().any(1)
        for axis in reversed(range(unknown.ndim - 1)):
            if axis != self.axis:
                unknown = unknown.any(axis + 1)
        parts[layer].append(unknown.reshape(len(maps), -1).cpu().numpy())


def _marked(inputs: Inputs, rows: Sequence[int], axis: int) -> Inputs:
    """Copies of one image, each with one row set to NaN."""
    which = torch.zeros(len(rows), dtype=torch.long)
    images = inputs.images.expand(len(rows), *inputs.images.shape[1:]).clone()
    for image, row in zip(images, rows, strict=True):
        image.select(axis + 1, row).fill_(math.nan)
    return inputs.repeat(which, images)


def _sizes(
    call: Callable[..., Any], inputs: Inputs, layers: Sequence[Layer]
) -> dict[Layer, tuple[int, ...]]:
    """The spatial sizes of the layers."""
    return {layer: shape[1:] for layer, shape in shapes_of(call, inputs, layers).items()}


class _Local(TorchFunctionMode):
    """Within it statistics over the whole image are computed as if everything were known."""

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        kwargs = kwargs or {}
        name = operation(func)
        if name not in (*_NORMS, *_MEANS) or not args or not isinstance(args[0], Tensor):
            return func(*args, **kwargs)
        unknown = args[0].isnan()
        known = args[0].masked_fill(unknown, 0.0)
        found = func(known, *args[1:], **kwargs)
        if name in _NORMS:
            return found.masked_fill(unknown, math.nan)
        return found if _over_the_image(known, found) else func(*args, **kwargs)


def _over_the_image(given: Tensor, found: Any) -> bool:
    """Whether one number a channel is left of feature maps."""
    if not isinstance(found, Tensor) or given.ndim < 3 or found.numel() == given.numel():
        return False
    return found.numel() in (len(given) * given.shape[1], len(given) * given.shape[-1])


@contextmanager
def _direct_convolutions() -> Iterator[None]:
    """Convolutions that read what they are said to read, and no more.

    Winograd's and Fourier's algorithms compute with neighbours whose shares cancel, and that
    not a number never does.
    """
    with torch.backends.cudnn.flags(enabled=False), torch.backends.nnpack.flags(enabled=False):
        if platform.machine() in _DIRECT:
            yield
            return
        with warnings.catch_warnings():
            warnings.filterwarnings("ignore", "TF32 acceleration", UserWarning)
            with torch.backends.mkldnn.flags(enabled=False):
                yield
