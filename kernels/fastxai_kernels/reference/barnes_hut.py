"""Repulsion by a tree of cells: the exact sums that it approximates.

f_i = sum_{j != i} (1 + r_ij^2 / dof)^-(dof + 1) (y_i - y_j)
Z   = sum_i sum_{j != i} (1 + r_ij^2 / dof)^-dof

(van der Maaten 2014, section 4; dof: Kobak et al. 2019.)  A tree of `angle` 0 gives these.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

Array = NDArray[Any]


def barnes_hut_at(points: Array, Y: Array, dof: float, angle: float) -> tuple[Array, Array]:
    """Forces (m, d) of the points Y (n, d) on others (m, d), and sum_j w(r_ij) of each (m,)."""
    del angle
    forces, sums = np.zeros(points.shape), np.zeros(len(points))
    others = Y.astype(np.float64)
    for i, point in enumerate(points.astype(np.float64)):
        apart = point - others
        v = 1.0 / (1.0 + (apart**2).sum(axis=1) / dof)
        forces[i], sums[i] = v ** (dof + 1.0) @ apart, (v**dof).sum()
    return forces, sums


def barnes_hut(Y: Array, dof: float, angle: float) -> tuple[Array, float]:
    """Repulsive forces (n, d) on points (n, d), and the normalisation Z."""
    forces, total = np.zeros(Y.shape), 0.0
    for i in range(len(Y)):
        others = np.delete(Y, i, axis=0)
        force, weight = barnes_hut_at(Y[i : i + 1], others, dof, angle)
        forces[i], total = force[0], total + float(weight[0])
    return forces, total
