"""One step of t-SNE's gradient descent.

    g = 4 (exaggeration a - f / Z)            gradient, van der Maaten and Hinton 2008, eq. 5
    gain += 0.2 where velocity and g disagree, else gain *= 0.8; at least 0.01  (Jacobs 1988)
    velocity = momentum velocity - learning_rate gain g, no longer than max_step
    y += velocity

All in one pass: six arrays are read and three written, which is the limit.
"""

# Compiled functions carry no annotations: their types stand in the decorator.
# mypy: disable-error-code="no-untyped-def"

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from ._jit import array_in, array_out, f32, f64, i64, kernel
from ._threads import parallel_for

_GRAIN = 8192
_MORE = np.float32(0.2)
_LESS = np.float32(0.8)
_LEAST = np.float32(0.01)


@kernel(
    *(array_in(f32, 2),) * 5,
    *(f32, f32, f32, f32),
    *(array_out(f32, 2), array_out(f32, 2), array_out(f32, 2), array_out(f64, 1), i64, i64),
)
def _descend(
    Y, velocity, gains, attraction, repulsion, pull, push, momentum, max_step,
    to, to_velocity, to_gains, squares, start, stop,
):  # fmt: skip
    """``pull`` and ``push`` are the weights of both forces, learning rate included."""
    axes = Y.shape[1]
    total = 0.0
    for i in range(start, stop):
        length = 0.0
        for axis in range(axes):
            v = velocity[i, axis]
            g = pull * attraction[i, axis] - push * repulsion[i, axis]
            gain = gains[i, axis]
            gain = gain + _MORE if v * g < np.float32(0.0) else gain * _LESS
            if gain < _LEAST:
                gain = _LEAST
            step = gain * g
            v = momentum * v - step
            total += np.float64(step) * np.float64(step)
            length += np.float64(v) * np.float64(v)
            to_gains[i, axis] = gain
            to_velocity[i, axis] = v
        shrink = np.float32(1.0)
        longest = np.float64(max_step)
        if length > longest * longest:
            shrink = np.float32(longest / np.sqrt(length))
        for axis in range(axes):
            v = shrink * to_velocity[i, axis]
            to_velocity[i, axis] = v
            to[i, axis] = Y[i, axis] + v
    squares[start // _GRAIN] = total


def descend(
    Y: NDArray[np.float32],
    velocity: NDArray[np.float32],
    gains: NDArray[np.float32],
    attraction: NDArray[np.float32],
    repulsion: NDArray[np.float32],
    normaliser: float,
    exaggeration: float,
    learning_rate: float,
    momentum: float,
    max_step: float,
) -> tuple[NDArray[np.float32], NDArray[np.float32], NDArray[np.float32], float]:
    """The next Y, velocity and gains (n, d), and the norm of gain * g."""
    results = np.empty_like(Y), np.empty_like(Y), np.empty_like(Y)
    squares = np.empty(-(-len(Y) // _GRAIN), np.float64)
    rate = 4.0 * learning_rate
    with np.errstate(over="ignore"):  # steps that long end in a norm of infinity or NaN
        weights = np.array([rate * exaggeration, rate / normaliser]).astype(np.float32)
    parallel_for(
        _descend, len(Y), _GRAIN, Y, velocity, gains, attraction, repulsion, *weights,
        np.float32(momentum), np.float32(max_step), *results, squares,
    )  # fmt: skip
    return (*results, float(np.sqrt(squares.sum())) / learning_rate)
