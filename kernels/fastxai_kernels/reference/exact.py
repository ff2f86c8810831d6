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


def exact_repulsion(Y: Array, dof: float) -> tuple[Array, float]:
    """The repulsive forces f (n, d) among the places Y (n, d), and Z."""
    forces, sums = exact_repulsion_at(Y, Y, dof, np.arange(len(Y)))
    return forces, float(sums.sum())


def exact_repulsion_at(
    points: Array, Y: Array, dof: float, own: Array | None = None
) -> tuple[Array, Array]:
    """The forces f (m, d) of Y (n, d) on points (m, d), and each one's sum of w.

    ``own`` (m,) says which of Y a point is, to be left out; without it all of Y counts.
    """
    forces, sums = np.zeros(points.shape), np.zeros(len(points))
    others = Y.astype(np.float64)
    for i, point in enumerate(points.astype(np.float64)):
        differences = point - others
        inverse = 1.0 / (1.0 + (differences**2).sum(axis=1) / dof)
        w = inverse**dof
        if own is not None and own[i] >= 0:
            w[own[i]] = 0.0
        sums[i] = w.sum()
        forces[i] = (w * inverse) @ differences
    return forces, sums
