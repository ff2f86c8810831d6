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

The limit is memory: some 500 bytes a point, most of them the 36 sums of a cell's points and
the sort, and some 40 bytes a node, most of them the two transforms.
"""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor

from .._mesh_search import EXACT, Measure, coarsest_spacing
from ._mesh import box_around, limits, mesh_forces, place_of, planar, potential_over
from ._mesh_kernels import BLOCK, OUTSIDE, gather_at
from ._mesh_points import ORDER
from ._mesh_response import padded
from ._triton import ceil_div
from .exact import exact_repulsion, exact_repulsion_at


class MeshPotential(NamedTuple):
    """The potential of fixed points on a mesh, to be evaluated at other points.

    corner : (2,) float64, where the first cell begins
    spacing : of the nodes
    cells : (2,) int64, along both axes; points beyond them are served by plain sums
    nodes : (cells[0] + 5, padded) float32 or float64, the potential at the nodes
    fixed : (n, 2) float32, the points
    dof : of the kernel
    """

    corner: Tensor
    spacing: float
    cells: Tensor
    nodes: Tensor
    fixed: Tensor
    dof: float


def mesh_size(Y: Tensor, spacing: float) -> int:
    """Nodes of the padded mesh over these points: time and memory grow with it.

    A call of `particle_mesh` needs about 16 bytes a node (32 in float64), and 300 a point.
    """
    rows, columns = box_around(limits(planar(Y)), spacing).shape
    return rows * columns


def particle_mesh(Y: Tensor, dof: float, spacing: float) -> tuple[Tensor, float]:
    """Forces (n, d) and Z of points (n, d), d = 1 or 2, on a mesh of this spacing.

    Forces are sums over all others, not yet divided by Z.
    """
    if len(Y) == 0:
        return torch.zeros_like(Y), 0.0
    forces, sums = mesh_forces(planar(Y), dof, spacing)
    # The one scalar the contract returns.
    return forces[:, : Y.shape[1]].contiguous(), float(sums.sum())


def _rms(found: Tensor, truth: Tensor) -> float:
    """RMS of the difference over RMS."""
    error = (found - truth).double().square().sum()
    ratio = error / truth.double().square().sum().clamp(min=1e-300)
    return float(ratio.sqrt())  # the search goes on by it


def mesh_spacing(Y: Tensor, dof: float, tolerance: float, guess: float = 0.5) -> float:
    """The coarsest spacing for which RMS(force error) / RMS(force) <= tolerance.

    Found by comparing the forces on all points with those of a mesh 1.5 times finer (of up
    to 2048 points: with the exact ones), from ``guess`` on, say the last spacing found: one
    comparison is then mostly enough.  A mesh of fewer than 64 cells along its longer side
    saves nothing: the spacing is never wider.  Where a mesh fine enough would have more than
    about 60 nodes a point (outliers), what is returned is extrapolated and not measured:
    compare `mesh_size` with what is bearable.
    """
    points = planar(Y)
    _, extents = limits(points)
    exact = exact_repulsion(points, dof)[0] if len(points) <= EXACT else None
    measure = Measure(lambda spacing: mesh_forces(points, dof, spacing)[0], exact, _rms)
    return coarsest_spacing(
        measure, len(Y), extents, dof, tolerance, guess, lambda cells: padded(int(cells) + ORDER)
    )


def mesh_potential(Y: Tensor, dof: float, spacing: float) -> MeshPotential:
    """The potential of all of Y (n, d), for `evaluate_mesh`.

    The mesh reaches a tenth of the extent beyond the points.
    """
    points = planar(Y)
    limited = limits(points)
    box = box_around(limited, spacing, 0.1 * max(limited[1]))
    mesh, _, _ = potential_over(points, dof, box)
    cells = torch.tensor(box.cells, device=Y.device)
    nodes = mesh[: box.cells[0] + ORDER - 1].clone()  # and not the padding below it
    return MeshPotential(box.corner, spacing, cells, nodes, points, dof)


def evaluate_mesh(potential: MeshPotential, points: Tensor) -> tuple[Tensor, Tensor]:
    """Forces (m, d) on other points (m, d), and their sums (m,) over all of Y.

    A point's bits do not depend on what else is asked for.  Beyond the mesh the sums are
    plain ones, exact and slow.
    """
    placed, nodes = planar(points), potential.nodes
    forces, sums = torch.empty_like(placed), placed.new_empty(len(points))
    place = place_of(potential.corner, potential.spacing)
    gather_at[nodes.dtype == torch.float64].launch(
        (ceil_div(len(points), BLOCK),), placed, place, potential.cells, nodes,
        forces, sums, len(points), nodes.shape[1], BLOCK=BLOCK,
    )  # fmt: skip
    outside = torch.nonzero(sums == OUTSIDE).flatten()
    if len(outside):
        found, total = exact_repulsion_at(placed[outside], potential.fixed, potential.dof)
        forces[outside], sums[outside] = found, total.float()
    return forces[:, : points.shape[1]].contiguous(), sums
