"""A mesh over points in the plane: where it lies, its potential, the forces it gives."""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor

from ._mesh_kernels import (
    BLOCK,
    HEADS,
    NODES,
    PIECE,
    RIM,
    SUMS,
    collect,
    fold,
    gather,
    number,
    pile,
    settle,
)
from ._mesh_points import ORDER
from ._mesh_response import convolve, padded, response
from ._triton import ceil_div

_ROUNDING = 0.05  # extent times spacing below which potentials are kept in float64


class Box(NamedTuple):
    """Where the mesh lies: its corner (2,) float64, and its cells along both axes."""

    corner: Tensor
    cells: tuple[int, int]
    spacing: float

    @property
    def shape(self) -> tuple[int, int]:
        """Nodes in use along both axes, padded."""
        return padded(self.cells[0] + ORDER - 1), padded(self.cells[1] + ORDER - 1)

    @property
    def width(self) -> int:
        """Cells of a row, with those of the rims."""
        return self.cells[1] + 2 * RIM

    @property
    def double(self) -> bool:
        return max(self.cells) * self.spacing**2 < _ROUNDING


def place_of(corner: Tensor, spacing: float) -> Tensor:
    """Corner and cells a unit, (3,) float64, as the kernels want them."""
    return torch.cat((corner, corner.new_full((1,), 1.0 / spacing)))


def planar(points: Tensor) -> Tensor:
    """(n, 2), with zeros for what one dimension lacks."""
    if points.shape[1] == 2:
        return points
    if points.shape[1] != 1:
        raise ValueError(
            f"a mesh has 1 or 2 dimensions, these points have {points.shape[1]}; use barnes_hut"
        )
    return torch.cat((points, torch.zeros_like(points)), dim=1)


def limits(points: Tensor) -> tuple[Tensor, tuple[float, float]]:
    """Least coordinates (2,) float64, and the extents along both axes."""
    least, greatest = (bound.double() for bound in torch.aminmax(points, dim=0))
    # Both extents in one number, since each one is waited for: they say how large a mesh is.
    both = complex(torch.view_as_complex(greatest - least))
    return least, (both.real, both.imag)


def box_around(
    limited: tuple[Tensor, tuple[float, float]], spacing: float, margin: float = 0.0
) -> Box:
    least, extents = limited
    inverse = 1.0 / spacing
    rows, columns = (int((extent + 2.0 * margin) * inverse) + 1 for extent in extents)
    return Box(least - margin, (rows, columns), spacing)


class Filed(NamedTuple):
    """Points sorted by the cell of the mesh in which they begin.

    order : (n,) int64, which ones they are
    cells : (n,) int32, row-major, rims included
    offsets : (n, 2), places in the cells, in the type of the mesh
    """

    order: Tensor
    cells: Tensor
    offsets: Tensor


def _spread(points: Tensor, box: Box, place: Tensor) -> tuple[Tensor, Filed]:
    """Unit masses on the padded mesh, and the points sorted."""
    n, rows = len(points), box.cells[0]
    real = torch.float64 if box.double else torch.float32
    blocks = (ceil_div(n, BLOCK),)
    cells = torch.empty(n, dtype=torch.int32, device=points.device)
    number.launch(blocks, points, place, cells, n, box.width, BLOCK=BLOCK)
    cells, order = cells.sort(stable=True)
    begins = cells.new_full(((rows + 2 * RIM) * box.width,), -1)
    ends = torch.empty_like(begins)  # only read where a cell has points
    filed = Filed(order, cells, torch.empty(points.shape, dtype=real, device=points.device))
    arrays = (points, place, cells, order, filed.offsets, begins, ends)
    settle[box.double].launch(blocks, *arrays, n, BLOCK=BLOCK)

    sums = filed.offsets.new_empty((n, SUMS))
    constants = {"LANES": 64, "PIECE": PIECE}
    pile[box.double].launch(
        (ceil_div(n, HEADS),), filed.offsets, cells, ends, sums, n,
        HEADS=HEADS, POINTS=4, **constants,
    )  # fmt: skip
    crossed = ((n - 1) // PIECE,)
    fold[box.double].launch(crossed, cells, begins, ends, sums, POINTS=32, **constants)
    mesh = filed.offsets.new_zeros(box.shape)
    across = box.cells[1] + ORDER - 1
    nodes = (rows + ORDER - 1) * across
    sizes = (nodes, across, mesh.shape[1])
    collect[box.double].launch((ceil_div(nodes, NODES),), begins, sums, mesh, *sizes, BLOCK=NODES)
    return mesh, filed


def potential_over(points: Tensor, dof: float, box: Box) -> tuple[Tensor, Filed, Tensor]:
    """The potential at the padded nodes, the points sorted, and the own potential's waves."""
    mesh, filed = _spread(points, box, place_of(box.corner, box.spacing))
    waves, own = response(*box.shape, box.spacing, dof, box.double, points.device)
    return convolve(mesh, waves), filed, own


def mesh_forces(points: Tensor, dof: float, spacing: float) -> tuple[Tensor, Tensor]:
    """Forces (n, 2) of points (n, 2), n > 0, and partial sums of Z."""
    box = box_around(limits(points), spacing)
    mesh, filed, own = potential_over(points, dof, box)
    n, blocks = len(points), ceil_div(len(points), BLOCK)
    forces = torch.empty_like(points)
    sums = own.new_empty(blocks)
    arrays = (filed.offsets, filed.cells, filed.order, place_of(box.corner, spacing), own, mesh)
    sizes = (n, box.width, mesh.shape[1])
    gather[box.double].launch((blocks,), *arrays, forces, sums, *sizes, BLOCK=BLOCK)
    return forces, sums
