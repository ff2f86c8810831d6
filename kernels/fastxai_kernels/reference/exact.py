"""t-SNE's repulsion, all pairs: what the fast kernels must compute.

w(r)  = (1 + r^2 / dof)^-dof
f_i   = sum_{j != i} (1 + r_ij^2 / dof)^-(dof + 1) (y_i - y_j)
Z     = sum_i sum_{j != i} w(r_ij)

(van der Maaten and Hinton 2008; Kobak et al. 2019 for dof).  A point is left out of its own
sum by its number: others at the same place count w = 1.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

Array = NDArray[Any]


def _pairs(points: Array, Y: Array, dof: float, itself: bool) -> tuple[Array, Array]:
    forces, sums = np.zeros(points.shape), np.zeros(len(points))
    others = Y.astype(np.float64)
    for i, point in enumerate(points.astype(np.float64)):
        differences = point - others
        inverse = 1.0 / (1.0 + (differences**2).sum(axis=1) / dof)
        w = inverse**dof
        if not itself:
            w[i] = 0.0
        sums[i] = w.sum()
        forces[i] = (w * inverse) @ differences
    return forces, sums


def exact_repulsion(Y: Array, dof: float) -> tuple[Array, float]:
    """The repulsive forces f (n, d) among the places Y (n, d), and Z."""
    forces, sums = _pairs(Y, Y, dof, itself=False)
    return forces, float(sums.sum())


def exact_repulsion_at(points: Array, Y: Array, dof: float) -> tuple[Array, Array]:
    """The forces f (m, d) of all of Y (n, d) on other points (m, d), and each one's sum of w."""
    return _pairs(points, Y, dof, itself=True)
