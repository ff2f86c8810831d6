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

import math
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from ._mesh import box_around, limits, mesh_forces, planar, potential_over
from ._mesh_kernels import OUTSIDE, gather_at, gather_at_double
from ._mesh_points import ORDER
from ._mesh_response import padded
from ._threads import parallel_for
from .exact import exact_repulsion, exact_repulsion_at

_POINTS = 256  # new points evaluated in one go
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


def _spacing(step: int) -> float:
    return float(2.0 ** (step / _STEPS))


def _steps(spacing: float) -> int:
    return math.floor(math.log2(spacing) * _STEPS)


class _Measure:
    """Errors of meshes over some points, each mesh made once."""

    def __init__(self, points: NDArray[np.float32], dof: float) -> None:
        self._points, self._dof = points, dof
        self._exact = exact_repulsion(points, dof)[0] if len(points) <= _EXACT else None
        self._forces: dict[int, NDArray[np.float32]] = {}

    def _at(self, step: int) -> NDArray[np.float32]:
        if step not in self._forces:
            self._forces[step] = mesh_forces(self._points, self._dof, _spacing(step))[0]
        return self._forces[step]

    def finest(self, step: int) -> int:
        """The finest mesh that has to be made for a measurement."""
        return step - _FINER if self._exact is None else step

    def error(self, step: int) -> float:
        """RMS of the difference from the exact forces, or finer ones, over RMS."""
        truth = self._at(self.finest(step)) if self._exact is None else self._exact
        error = np.square(self._at(step) - truth, dtype=np.float64).sum()
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
