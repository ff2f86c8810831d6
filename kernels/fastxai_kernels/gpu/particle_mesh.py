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

import math
from typing import NamedTuple

import torch
from torch import Tensor

from ._mesh import box_around, limits, mesh_forces, place_of, planar, potential_over
from ._mesh_kernels import BLOCK, OUTSIDE, gather_at
from ._mesh_points import ORDER
from ._mesh_response import padded
from ._triton import ceil_div
from .exact import exact_repulsion, exact_repulsion_at

_FEWEST = 64  # cells along the longer side: so small a mesh costs next to nothing
_STEPS = 16  # spacings are powers of 2^(1/16): the response is then often found again
_FINER = 9  # steps down to the mesh that is taken for the truth: a tenth of the error
_GOAL = 0.85  # of the tolerance, since layouts change between two measurements
_ENOUGH = 0.5  # of the tolerance: with less error a coarser mesh is tried
_SLOPE = 5.0  # log error over log spacing, about
_LEAST_SLOPE = 3.2  # what it may fall to on coarse meshes
_NEAR = 2  # steps
_SATURATED = 0.3  # error from which on it says nothing of finer meshes
_SURELY = 0.25  # spacing, in units of the kernel's scale, for 1% on nearly all layouts
_TRIES = 8
_EXACT = 2048  # points up to which errors are measured against plain sums


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


def _spacing(step: int) -> float:
    return float(2.0 ** (step / _STEPS))


def _steps(spacing: float) -> int:
    return math.floor(math.log2(spacing) * _STEPS)


class _Measure:
    """Errors of meshes over some points, each mesh made once."""

    def __init__(self, points: Tensor, dof: float) -> None:
        self._points, self._dof = points, dof
        self._exact = exact_repulsion(points, dof)[0] if len(points) <= _EXACT else None
        self._forces: dict[int, Tensor] = {}

    def _at(self, step: int) -> Tensor:
        if step not in self._forces:
            self._forces[step] = mesh_forces(self._points, self._dof, _spacing(step))[0]
        return self._forces[step]

    def finest(self, step: int) -> int:
        """The finest mesh that has to be made for a measurement."""
        return step - _FINER if self._exact is None else step

    def error(self, step: int) -> float:
        """RMS of the difference from the exact forces, or finer ones, over RMS."""
        truth = self._at(self.finest(step)) if self._exact is None else self._exact
        error = (self._at(step) - truth).double().square().sum()
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
    scale = min(1.0, math.sqrt(dof))  # on which the kernel changes
    widest = _steps(min(max(*extents, scale) / _FEWEST, 4.0 * scale))
    if max(extents) == 0.0:
        return _spacing(widest)
    most = min(max(1 << 22, 128 * len(Y)), 1 << 26)
    measure = _Measure(points, dof)

    def affordable(step: int) -> bool:
        finest = _spacing(measure.finest(step))
        return math.prod(padded(int(extent / finest) + ORDER) for extent in extents) <= most

    surely = _steps(_SURELY * scale * (tolerance / 0.01) ** (1.0 / _SLOPE))
    if not affordable(widest):
        return _spacing(min(widest, surely))
    step, good, bad = min(widest, _steps(guess)), None, widest + 1
    while not affordable(step):
        step += 1
    for _ in range(_TRIES):
        found = max(measure.error(step), 1e-12)
        change = math.floor(_STEPS * math.log2(_GOAL * tolerance / found) / _SLOPE)
        if found <= _GOAL * tolerance:
            good = step
            if found >= _ENOUGH * tolerance:
                break
        else:
            if good is None and change >= -_NEAR:
                return _spacing(step + change - 1)  # no need to look: the law holds nearby
            bad = min(bad, step)
        step = min(step + change, bad - 1)
        if good is not None:
            step = max(step, good + 1)
            if step >= bad:
                break
        elif not affordable(step):
            far = step + math.floor(change * (_SLOPE / _LEAST_SLOPE - 1.0))
            return _spacing(far if found < _SATURATED else min(far, surely))
    return _spacing(step if good is None else good)


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
