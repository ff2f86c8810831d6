"""One step of t-SNE's gradient descent: what the fast kernels must compute.

g = 4 (exaggeration a - f / Z)            gradient, van der Maaten and Hinton 2008, eq. 5
gain += 0.2 where velocity and g disagree, else gain *= 0.8; at least 0.01  (Jacobs 1988)
velocity = momentum velocity - learning_rate gain g, no longer than max_step
y += velocity
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

Array = NDArray[Any]


def descend(
    Y: Array,
    velocity: Array,
    gains: Array,
    attraction: Array,
    repulsion: Array,
    normaliser: float,
    exaggeration: float,
    learning_rate: float,
    momentum: float,
    max_step: float,
) -> tuple[Array, Array, Array, float]:
    """The next Y, velocity and gains (n, d), and the norm of gain * g."""
    gradient = 4 * (exaggeration * attraction.astype(np.float64) - repulsion / normaliser)
    against = velocity * gradient < 0
    gains = np.maximum(np.where(against, gains + 0.2, gains * 0.8), 0.01)
    scaled = gains * gradient
    velocity = momentum * velocity - learning_rate * scaled
    length = np.sqrt((velocity**2).sum(axis=1, keepdims=True))
    velocity = np.where(
        length > max_step, velocity * (max_step / np.maximum(length, 1e-300)), velocity
    )
    return Y + velocity, velocity, gains, float(np.sqrt((scaled**2).sum()))
