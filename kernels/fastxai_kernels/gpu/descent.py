"""One step of t-SNE's gradient descent.

    g = 4 (exaggeration a - f / Z)            gradient, van der Maaten and Hinton 2008, eq. 5
    gain += 0.2 where velocity and g disagree, else gain *= 0.8; at least 0.01  (Jacobs 1988)
    velocity = momentum velocity - learning_rate gain g, no longer than max_step
    y += velocity

All in one pass.  Limit: five arrays are read and three written, 32 bytes a number.
"""

# Compiled functions carry no annotations: their types stand in the decorator.
# mypy: disable-error-code="no-untyped-def"

from __future__ import annotations

import numpy as np
import torch
import triton.language as tl
from torch import Tensor

from ._triton import ceil_div, kernel

# Rows of a program, by number of axes if that is compiled in (0: it is not) and axes it holds.
_SHAPES = {(2, 2): 256, (3, 4): 128, (0, 32): 16}
_MOST_AXES = 32


@kernel(
    "Y:*fp32 velocity:*fp32 gains:*fp32 attraction:*fp32 repulsion:*fp32 to:*fp32 "
    "to_velocity:*fp32 to_gains:*fp32 squares:*fp64 n:i32 width:i32 pull:fp32 push:fp32 "
    "momentum:fp32 max_step:fp32",
    [{"WIDTH": width, "AXES": axes, "ROWS": rows} for (width, axes), rows in _SHAPES.items()],
)
def _descend(
    Y, velocity, gains, attraction, repulsion, to, to_velocity, to_gains, squares,
    n, width, pull, push, momentum, max_step,
    WIDTH: tl.constexpr, AXES: tl.constexpr, ROWS: tl.constexpr,
):  # fmt: skip
    """``pull`` and ``push`` are the weights of both forces, learning rate included."""
    if WIDTH > 0:
        width = WIDTH
    i = tl.program_id(0) * ROWS + tl.arange(0, ROWS)
    axis = tl.arange(0, AXES)
    o = i.to(tl.int64)[:, None] * width + axis[None, :]
    inside = (i < n)[:, None] & (axis < width)[None, :]
    v = tl.load(velocity + o, mask=inside, other=0.0)
    g = pull * tl.load(attraction + o, mask=inside, other=0.0)
    g -= push * tl.load(repulsion + o, mask=inside, other=0.0)
    gain = tl.load(gains + o, mask=inside, other=0.0)
    gain = tl.maximum(tl.where(v * g < 0.0, gain + 0.2, gain * 0.8), 0.01)
    step = gain * g
    v = momentum * v - step
    # Squares of long steps pass float32.
    wide = v.to(tl.float64)
    length = tl.sqrt(tl.sum(wide * wide, axis=1))
    shrink = tl.where(length > max_step, max_step / tl.maximum(length, 1e-300), 1.0).to(tl.float32)
    v = shrink[:, None] * v
    tl.store(to_gains + o, gain, mask=inside)
    tl.store(to_velocity + o, v, mask=inside)
    tl.store(to + o, tl.load(Y + o, mask=inside, other=0.0) + v, mask=inside)
    wide = step.to(tl.float64)
    tl.store(squares + tl.program_id(0), tl.sum(tl.sum(wide * wide, axis=1), axis=0))


def _single(x: float) -> float:
    """x in float32: infinite where it is too large."""
    with np.errstate(over="ignore"):  # steps that long end in a norm of infinity or NaN
        return float(np.float32(x))


def descend(
    Y: Tensor,
    velocity: Tensor,
    gains: Tensor,
    attraction: Tensor,
    repulsion: Tensor,
    normaliser: float,
    exaggeration: float,
    learning_rate: float,
    momentum: float,
    max_step: float,
) -> tuple[Tensor, Tensor, Tensor, float]:
    """The next Y, velocity and gains (n, d), and the norm of gain * g.

    Raises
    ------
    ValueError
        If d is above 32.
    """
    n, width = Y.shape
    if width > _MOST_AXES:
        raise ValueError(f"on a GPU a map has at most {_MOST_AXES} components, not {width}")
    shape = next((s for s in _SHAPES if s[0] == width), (0, _MOST_AXES))
    rows = _SHAPES[shape]
    results = torch.empty_like(Y), torch.empty_like(Y), torch.empty_like(Y)
    squares = torch.empty(ceil_div(n, rows), dtype=torch.float64, device=Y.device)
    rate = 4.0 * learning_rate
    numbers = (rate * exaggeration, rate / normaliser, momentum, max_step)
    _descend.launch(
        (len(squares),), Y, velocity, gains, attraction, repulsion, *results, squares, n, width,
        *map(_single, numbers), WIDTH=shape[0], AXES=shape[1], ROWS=rows,
    )  # fmt: skip
    norm = float(squares.sum().sqrt())  # the contract returns a number: the one wait
    return (*results, norm / learning_rate)
