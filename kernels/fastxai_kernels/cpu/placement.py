"""New points among fixed ones: the attraction of each by its neighbours.

    a = sum_j p_j (1 + r_j^2 / dof)^-1 (y - y_j)
    s = sum_j p_j (1 + r_j^2 / dof)^-1              a / s leads to the neighbours' mean

The gradient of -sum_j p_j log w(r_j) is 2 a, with w(r) = (1 + r^2 / dof)^-dof.
"""

# Compiled functions carry no annotations: their types stand in the decorator.
# mypy: disable-error-code="no-untyped-def"

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from ._jit import array_in, array_out, f32, i32, i64, kernel
from ._threads import parallel_for

_GRAIN = 256


@kernel(
    *(array_in(f32, 2), array_in(f32, 2), array_in(i32, 2), array_in(f32, 2), f32),
    *(array_out(f32, 2), array_out(f32, 1), i64, i64),
)
def _attract(points, Y, indices, affinities, inverse_dof, forces, stiffness, start, stop):
    axes = Y.shape[1]
    for i in range(start, stop):
        total = np.float32(0.0)
        for axis in range(axes):
            forces[i, axis] = np.float32(0.0)
        for c in range(indices.shape[1]):
            j = indices[i, c]
            if j < 0:
                continue
            square = np.float32(0.0)
            for axis in range(axes):
                away = points[i, axis] - Y[j, axis]
                square += away * away
            pull = affinities[i, c] / (np.float32(1.0) + square * inverse_dof)
            total += pull
            for axis in range(axes):
                forces[i, axis] += pull * (points[i, axis] - Y[j, axis])
        stiffness[i] = total


def attraction_at(
    points: NDArray[np.float32],
    Y: NDArray[np.float32],
    indices: NDArray[np.int32],
    affinities: NDArray[np.float32],
    dof: float,
) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """a (m, d) and s (m,) of points (m, d) with neighbours (m, k) in Y; -1 is none."""
    forces, stiffness = np.empty_like(points), np.empty(len(points), np.float32)
    parallel_for(
        _attract, len(points), _GRAIN, points, Y, indices, affinities, np.float32(1 / dof),
        forces, stiffness,
    )  # fmt: skip
    return forces, stiffness
