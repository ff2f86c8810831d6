"""Repulsion from a potential; what the mesh must come near to.

    phi(y) = sum_j w(|y - y_j|),   w(r) = (1 + r^2/dof)^-dof
    f_i = -1/2 grad phi(y_i) = sum_j (1 + r_ij^2/dof)^-(dof + 1) (y_i - y_j)
    Z = sum_i (phi(y_i) - w(0))

The forces here are the exact ones, whatever the spacing.  `mesh_spacing` alone builds a
mesh (Hockney and Eastwood 1981, with quintic B-splines), to see how far it is off.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy import fft
from scipy.interpolate import BSpline

from .exact import exact_repulsion, exact_repulsion_at

Array = NDArray[Any]
_SPLINE = BSpline.basis_element(np.arange(-3.0, 4.0), extrapolate=False)
_FEWEST = 64  # cells along the longer side
_STEPS = 16  # spacings are powers of 2^(1/16)
_MARGIN = 24


class MeshPotential(NamedTuple):
    """Points (n, d) that repel, and the kernel's degrees of freedom."""

    fixed: Array
    dof: float


def _planar(points: Array) -> Array:
    if points.shape[1] not in (1, 2):
        raise ValueError(
            f"a mesh has 1 or 2 dimensions, these points have {points.shape[1]}; use barnes_hut"
        )
    return np.column_stack((points, np.zeros((len(points), 2 - points.shape[1]))))


def _nodes(extent: float, spacing: float) -> int:
    """More than twice the nodes in use, for mirror images not to matter; many times even."""
    return 32 * -(-(int(extent / spacing) + _MARGIN) // 16)


def mesh_size(Y: Array, spacing: float) -> int:
    """Nodes of the padded mesh over these points: time and memory grow with it."""
    extents = np.ptp(_planar(Y.astype(np.float64)), axis=0)
    return _nodes(extents[0], spacing) * _nodes(extents[1], spacing)


def particle_mesh(Y: Array, dof: float, spacing: float) -> tuple[Array, float]:
    """Forces (n, d) and Z of points (n, d), d = 1 or 2."""
    _planar(Y)
    return exact_repulsion(Y, dof)


def mesh_potential(Y: Array, dof: float, spacing: float) -> MeshPotential:
    """The potential of all of Y (n, d), for `evaluate_mesh`."""
    _planar(Y)
    return MeshPotential(Y, dof)


def evaluate_mesh(potential: MeshPotential, points: Array) -> tuple[Array, Array]:
    """Forces (m, d) on other points (m, d), and their sums (m,) over all of Y."""
    _planar(points)
    return exact_repulsion_at(points, potential.fixed, potential.dof)


def _on_a_mesh(Y: Array, dof: float, spacing: float) -> Array:
    """Forces by a mesh, without what each point's own mass adds to it."""
    nodes = [_nodes(extent, spacing) for extent in np.ptp(Y, axis=0)]
    weights, slopes, inverse = [], [], []
    for c in (0, 1):
        apart = ((Y[:, c] - Y[:, c].min()) / spacing)[:, None] - np.arange(-4, nodes[c] - 4)
        weights.append(np.nan_to_num(_SPLINE(apart)))
        slopes.append(np.nan_to_num(_SPLINE.derivative()(apart)) / spacing)
        sampled = np.nan_to_num(
            _SPLINE(np.minimum(np.arange(nodes[c]), nodes[c] - np.arange(nodes[c])))
        )
        inverse.append(1.0 / fft.fft(sampled).real ** 2)
    x, y = (np.minimum(np.arange(m), m - np.arange(m)) * spacing for m in nodes)
    kernel = (1.0 + (x[:, None] ** 2 + y**2) / dof) ** -dof
    waves = fft.fft2(kernel) * inverse[0][:, None] * inverse[1]
    potential = fft.ifft2(waves * fft.fft2(weights[0].T @ weights[1])).real
    own = fft.ifft2(waves).real
    forces = np.zeros(Y.shape)
    for i in range(len(Y)):
        a, b = weights[0][i], weights[1][i]
        here = np.flatnonzero(a)
        there = np.flatnonzero(b)
        a, b = a[here], b[there]
        pairs = own[np.ix_(*[(j[:, None] - j).ravel() for j in (here, there)])]
        pairs = pairs.reshape(len(here), len(here), len(there), len(there))
        felt = potential[np.ix_(here, there)] - np.einsum("ijkl,j,l->ik", pairs, a, b)
        forces[i] = slopes[0][i, here] @ felt @ b, a @ felt @ slopes[1][i, there]
    return -0.5 * forces


def mesh_spacing(Y: Array, dof: float, tolerance: float, guess: float = 0.5) -> float:
    """The coarsest spacing for which RMS(force error) / RMS(force) <= tolerance.

    By bisection, whatever the guess, down to a mesh 2^8 times finer than the coarsest one.
    """
    points = _planar(Y.astype(np.float64))
    exact = particle_mesh(points, dof, guess)[0]
    scale = min(1.0, np.sqrt(dof))
    extent = max(float(np.ptp(points, axis=0).max()), scale)
    widest = int(np.floor(np.log2(min(extent / _FEWEST, 4.0 * scale)) * _STEPS))
    if not exact.any():
        return float(2.0 ** (widest / _STEPS))
    low, high = widest - 8 * _STEPS, widest + 1
    while high - low > 1:
        step = (low + high) // 2 if high <= widest else widest
        error = _on_a_mesh(points, dof, 2.0 ** (step / _STEPS)) - exact
        good = np.square(error).sum() <= tolerance**2 * np.square(exact).sum()
        low, high = (step, high) if good else (low, step)
    return float(2.0 ** (low / _STEPS))
