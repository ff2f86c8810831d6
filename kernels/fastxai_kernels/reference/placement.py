"""New points among fixed ones: what the fast kernels must compute.

a = sum_j p_j (1 + r_j^2 / dof)^-1 (y - y_j)       attraction by the neighbours y_j
s = sum_j p_j (1 + r_j^2 / dof)^-1                 its stiffness: a / s leads to their mean

The gradient of -sum_j p_j log w(r_j) is 2 a, with w(r) = (1 + r^2 / dof)^-dof.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

Array = NDArray[Any]


def attraction_at(
    points: Array, Y: Array, indices: Array, affinities: Array, dof: float
) -> tuple[Array, Array]:
    """a (m, d) and s (m,) of points (m, d) with neighbours (m, k) in Y; -1 is none."""
    away = points[:, None, :].astype(np.float64) - Y[np.maximum(indices, 0)]
    p = np.where(indices >= 0, affinities, 0.0)
    pull = p / (1 + (away**2).sum(axis=2) / dof)
    return (pull[:, :, None] * away).sum(axis=1), pull.sum(axis=1)
