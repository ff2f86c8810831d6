"""Repulsion by one scalar potential on a mesh, in O(n + N log N) for N nodes; 2-D (and 1-D).

    phi(y) = sum_j w(|y - y_j|),   w(r) = (1 + r^2/dof)^-dof
    f_i = -1/2 grad phi(y_i),      Z = sum_i (phi(y_i) - own_i)

(Hockney and Eastwood 1981, particle-mesh with an analytical derivative, as in Essmann et
al. 1995; for t-SNE by several potentials and another interpolation: Linderman et al. 2019.)
Unit masses are spread to the nodes by quintic B-splines, convolved with the kernel by one
forward and one inverse FFT (``_mesh_response``), and the spline through the potential is
evaluated at the points, with its derivative.  What a point's own mass adds depends on the
place in its cell and is subtracted.

The error is what the mesh cannot resolve, waves shorter than twice the spacing: it falls
with the spacing as a high power, and weighs the more the more a point's force comes from
near neighbours.  `mesh_spacing` measures it.  float32, but float64 for a mesh so fine or an
extent so small that differences of float32 potentials would be mostly rounding.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from .._mesh_search import EXACT, Measure, coarsest_spacing
from ._mesh import box_around, limits, mesh_forces, planar, potential_over
from ._mesh_kernels import OUTSIDE, gather_at, gather_at_double
from ._mesh_points import ORDER
from ._mesh_response import padded
from ._threads import parallel_for
from .exact import exact_repulsion, exact_repulsion_at

_POINTS = 256  # new points evaluated in one go


class MeshPotential(NamedTuple):
    """The potential of fixed points on a mesh, to be evaluated at other points.

    corner : (2,) float64, where the first cell begins
    spacing : of the nodes
    cells : (2,) along both axes; points beyond them are served by plain sums
    nodes : (cells[0] + 5, padded) float32 or float64, the potential at the nodes
    fixed : (n, 2) float32, the points
    dof : of the kernel
    """

    corner: NDArray[np.float64]
    spacing: float
    cells: NDArray[np.int64]
    nodes: NDArray[Any]
    fixed: NDArray[np.float32]
    dof: float


def mesh_size(Y: NDArray[np.float32], spacing: float) -> int:
    """Nodes of the padded mesh over these points: time and memory grow with it.

    A call of `particle_mesh` needs about 6 bytes a node (12 in float64).
    """
    rows, columns = box_around(planar(Y), spacing).shape
    return rows * columns


def particle_mesh(
    Y: NDArray[np.float32], dof: float, spacing: float
) -> tuple[NDArray[np.float32], float]:
    """Forces (n, d) and Z of points (n, d), d = 1 or 2, on a mesh of this spacing.

    Forces are sums over all others, not yet divided by Z.
    """
    if len(Y) == 0:
        return np.zeros(Y.shape, np.float32), 0.0
    forces, z = mesh_forces(planar(Y), dof, spacing)
    return np.ascontiguousarray(forces[:, : Y.shape[1]]), z


def _rms(found: NDArray[np.float32], truth: NDArray[np.float32]) -> float:
    """RMS of the difference over RMS."""
    error = np.square(found - truth, dtype=np.float64).sum()
    return float(np.sqrt(error / max(float(np.square(truth, dtype=np.float64).sum()), 1e-300)))


def mesh_spacing(Y: NDArray[np.float32], dof: float, tolerance: float, guess: float = 0.5) -> float:
    """The coarsest spacing for which RMS(force error) / RMS(force) <= tolerance.

    Found by comparing the forces on all points with those of a mesh 1.5 times finer (of up
    to 2048 points: with the exact ones), from ``guess`` on, say the last spacing found: one
    comparison is then mostly enough.  A mesh of fewer than 64 cells along its longer side
    saves nothing: the spacing is never wider.  Where a mesh fine enough would have more than
    about 60 nodes a point (outliers), what is returned is extrapolated and not measured:
    compare `mesh_size` with what is bearable.
    """
    points = planar(Y)
    extents = [high - low for low, high in zip(*limits(points), strict=True)]
    exact = exact_repulsion(points, dof)[0] if len(points) <= EXACT else None
    measure = Measure(lambda spacing: mesh_forces(points, dof, spacing)[0], exact, _rms)
    return coarsest_spacing(
        measure, len(Y), extents, dof, tolerance, guess, lambda cells: padded(int(cells) + ORDER)
    )


def mesh_potential(Y: NDArray[np.float32], dof: float, spacing: float) -> MeshPotential:
    """The potential of all of Y (n, d), for `evaluate_mesh`.

    The mesh reaches a tenth of the extent beyond the points.
    """
    points = planar(Y)
    least, greatest = limits(points)
    extent = max(greatest[0] - least[0], greatest[1] - least[1])
    box = box_around(points, spacing, 0.1 * extent)
    mesh, _, _ = potential_over(points, dof, box)
    return MeshPotential(np.array(box.corner), spacing, np.array(box.cells), mesh, points, dof)


def evaluate_mesh(
    potential: MeshPotential, points: NDArray[np.float32]
) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Forces (m, d) on other points (m, d), and their sums (m,) over all of Y.

    A point's bits do not depend on what else is asked for.  Beyond the mesh the sums are
    plain ones, exact and slow.
    """
    placed = planar(points)
    forces, sums = np.empty(placed.shape, np.float32), np.empty(len(points), np.float32)
    nodes, dof = potential.nodes, potential.dof
    corner, cells = potential.corner.tolist(), potential.cells.tolist()
    collect = gather_at_double if nodes.dtype == np.float64 else gather_at
    place = (*corner, 1.0 / potential.spacing, *cells)
    parallel_for(collect, len(points), _POINTS, placed, *place, nodes, forces, sums)
    outside = np.flatnonzero(sums == OUTSIDE)
    if len(outside):
        found = exact_repulsion_at(placed[outside], potential.fixed, dof)
        forces[outside], sums[outside] = found
    return np.ascontiguousarray(forces[:, : points.shape[1]]), sums
