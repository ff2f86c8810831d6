"""Activations of transformers as maps: which axis holds the channels, and where the patches lie."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass

from torch import Tensor

from ...errors import InvalidInputError
from .operations import Step
from .probe import Trace

CONVOLUTIONS = frozenset(
    f"conv{transposed}{axes}d" for transposed in ("", "_transpose") for axes in (1, 2, 3)
)
# Class and register tokens that may stand beside merged patches.
_FEW = 8
# Operations that work on the last axis, and such that work on axis 1: they tell what it holds.
_LAST = frozenset({"linear", "layer_norm", "rms_norm"})
_FIRST = CONVOLUTIONS | {
    "batch_norm", "group_norm", "instance_norm", "pixel_shuffle", "interpolate",
    *(f"{kind}_pool{axes}d" for kind in ("adaptive_avg", "adaptive_max", "avg", "max", "lp")
      for axes in (1, 2, 3)),
}  # fmt: skip


@dataclass(frozen=True)
class Patches:
    """(N, prefix + patches, C) to (N, C, *grid): class and register tokens are left out.

    ``tokens_first``: (tokens, N, C).  ``channels_first``: (N, C, tokens).
    """

    grid: tuple[int, ...]
    prefix: int = 0
    tokens_first: bool = False
    channels_first: bool = False

    def __call__(self, activation: Tensor) -> Tensor:
        """Arrange an activation, or a gradient, of any number of images."""
        tokens = activation
        if tokens.ndim == 3 and self.tokens_first:
            tokens = tokens.transpose(0, 1)
        if tokens.ndim == 3 and self.channels_first:
            tokens = tokens.transpose(1, 2)
        wanted = self.prefix + math.prod(self.grid)
        if tokens.ndim != 3 or tokens.shape[1] != wanted:
            raise InvalidInputError(
                f"an activation of shape {tuple(activation.shape)} came where {wanted} tokens "
                f"were expected ({self.prefix} and a grid of {self.grid}); give reshape=, a "
                "function that makes (N, C, H, W) of it"
            )
        patches = tokens[:, self.prefix :].transpose(1, 2)
        return patches.reshape(len(patches), -1, *self.grid)


@dataclass(frozen=True)
class ChannelsLast:
    """(N, *spatial, C) to (N, C, *spatial)."""

    axes: int

    def __call__(self, activation: Tensor) -> Tensor:
        """Arrange an activation, or a gradient, of any number of images."""
        if activation.ndim != self.axes + 2:
            raise InvalidInputError(
                f"an activation of shape {tuple(activation.shape)} came where {self.axes} spatial "
                "axes and channels were expected; give reshape=, a function that makes "
                "(N, C, H, W) of it"
            )
        return activation.movedim(-1, 1)


Arrangement = Patches | ChannelsLast


def arrangement(trace: Trace, step: int, layer: str) -> Arrangement | None:
    """How to make (N, C, *spatial) of what a step gave; None where it is so already.

    Raises
    ------
    InvalidInputError
        Where it can not be told; the message names the shape and ``reshape=``.
    """
    shape, axes = trace.steps[step].shape, len(trace.image) - 1
    found = _patches(trace, step) if len(shape) == 3 else None
    if len(shape) == axes + 2 and (axes > 1 or found is None or found.channels_first):
        return ChannelsLast(axes) if channels_last(trace, step) else None
    if found is None:
        raise InvalidInputError(
            f"layer {layer!r} gives {shape or 'several tensors'} for one image, of which no "
            f"(N, C, {', '.join('DHW'[3 - axes :])}) can be made; choose another layer, or give "
            "reshape=, a function that makes it"
        )
    return found


def _patches(trace: Trace, step: int) -> Patches | None:
    """The grid, and how many tokens come before it."""
    shape = trace.steps[step].shape
    first = shape[1] == trace.n != shape[0]
    channels_first = not first and channels_last(trace, step) is False
    tokens = shape[0] if first else shape[2] if channels_first else shape[1]
    if (grid := grid_of(trace, step, tokens)) is None:
        return None
    return Patches(grid, tokens - math.prod(grid), first, channels_first)


def grid_of(trace: Trace, step: int, tokens: int) -> tuple[int, ...] | None:
    """The grid of that many tokens: the largest convolution's that fits, or a coarser one of it.

    Without a convolution (patches cut out and multiplied): the largest that square patches
    of the image's own size make.
    """
    grids = _grids(trace, step)
    if not grids:
        return _grid_of_image(trace.image[1:], tokens)
    if fitting := [grid for grid in grids if math.prod(grid) <= tokens]:
        return max(fitting, key=math.prod)
    # Merging leaves a whole fraction of the grid, and perhaps a few further tokens.
    left = ((grid, tokens - math.prod(grid)) for grid in _coarser(grids[0]))
    return next((grid for grid, further in left if 0 <= further <= _FEW), None)


def is_grid(trace: Trace, step: int, size: tuple[int, ...]) -> bool:
    """Whether a size is that of a convolution's map before a step, or a whole fraction of it."""
    grids = _grids(trace, step) or [trace.image[1:]]
    return any(size == grid or size in _coarser(grid) for grid in grids)


def _grids(trace: Trace, step: int) -> list[tuple[int, ...]]:
    axes = len(trace.image) - 1
    return [s.shape[2:] for s in reversed(trace.steps[:step]) if is_map(s, axes)]


def _coarser(grid: tuple[int, ...]) -> Iterator[tuple[int, ...]]:
    for factor in range(2, max(grid) + 1):
        yield tuple(-(-extent // factor) for extent in grid)


def _grid_of_image(size: tuple[int, ...], tokens: int) -> tuple[int, ...] | None:
    for patch in range(2, min(size) + 1):
        if all(extent % patch == 0 for extent in size):
            grid = tuple(extent // patch for extent in size)
            if math.prod(grid) <= tokens:
                return grid
    return None


def is_map(step: Step, axes: int) -> bool:
    """Whether a step is a convolution that gives a map, and not a gate of one pixel."""
    return (
        step.name in CONVOLUTIONS
        and len(step.shape) == axes + 2
        and any(extent > 1 for extent in step.shape[2:])
    )


def channels_last(trace: Trace, step: int) -> bool | None:
    """Whether the last axis holds the channels; None where nothing tells.

    Told by the nearest operation on either side that works on a known axis, through those
    that keep the shape.
    """
    shape = trace.steps[step].shape
    seen, todo = {step}, [step]
    while todo:
        found = [_evidence(trace, number) for number in todo]
        if (told := next((answer for answer in found if answer is not None), None)) is not None:
            return told
        near = {
            number
            for here in todo
            for number in (*trace.steps[here].parents, *trace.children[here])
            if trace.steps[number].shape == shape and not _moves_axes(trace, here, number)
        }
        todo = sorted(near - seen)
        seen |= near
    return None


def _evidence(trace: Trace, step: int) -> bool | None:
    """What the operation that made a tensor, and those that take it, say of its axes."""
    for number in (step, *trace.children[step]):
        found = trace.steps[number]
        if found.name in _LAST and found.over < 2:
            return True
        if found.name in _FIRST:
            return False
    return None


# What puts the same numbers elsewhere.
MOVES = frozenset(
    {"permute", "transpose", "movedim", "swapaxes", "reshape", "view", "flatten", "unflatten"}
    | {"contiguous", "roll", "pad"}
)


def _moves_axes(trace: Trace, one: int, other: int) -> bool:
    return trace.steps[max(one, other)].name in MOVES


ATTENTION = frozenset(
    {
        "scaled_dot_product_attention",
        "multi_head_attention_forward",
        "_native_multi_head_attention",
        "flex_attention",
    }
)
PRODUCTS = frozenset({"matmul", "__matmul__", "bmm", "einsum", "baddbmm"})


def attentions(trace: Trace) -> list[int]:
    """The steps that mix tokens: attention functions, and a softmax whose result multiplies."""
    return [number for number in sorted(trace.used) if _is_attention(trace, number)]


def _is_attention(trace: Trace, number: int) -> bool:
    step = trace.steps[number]
    if step.name in ATTENTION:
        return True
    if step.name not in ("softmax", "_softmax") or len(step.shape) < 3:
        return False
    todo, seen = [number], {number}
    while todo:
        for child in trace.children[todo.pop()]:
            found = trace.steps[child]
            if found.name in PRODUCTS:
                return True
            if found.shape[-2:] == step.shape[-2:] and child not in seen:
                seen.add(child)
                todo.append(child)
    return False


_MEANS = frozenset({"mean", "sum", "amax", "max"})


def reads_all(trace: Trace) -> bool:
    """Whether the answer reads all tokens behind the last attention, and no class token."""
    last = max(attentions(trace), default=0)
    return any(number > last and _pools(trace, number) for number in trace.used)


def _pools(trace: Trace, number: int) -> bool:
    """Whether a step brings tokens together, and not each token's channels (a norm's mean)."""
    step = trace.steps[number]
    sources = [s for p in step.parents if len(s := trace.steps[p].shape) > 2]
    if "pool" in step.name:
        return bool(sources)
    return step.name in _MEANS and any(step.shape[: len(s) - 1] != s[:-1] for s in sources)
